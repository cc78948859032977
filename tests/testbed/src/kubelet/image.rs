//! Our images: which program is in them, and where it listens unless it is told.

use std::net::Ipv4Addr;

use super::address::rebound;

/// What is known about an image of ours.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Image {
    /// Its name, which is that of its program, too.
    pub(super) program: &'static str,
    listens: &'static [Listen],
}

/// One thing that it listens on.
#[derive(Debug, PartialEq, Eq)]
struct Listen {
    flag: &'static str,
    variable: &'static str,
    /// Without flag and variable.
    default: &'static str,
}

const IMAGES: &[Image] = &[
    Image {
        program: "hybrid-calendar-operator",
        listens: &[
            Listen {
                flag: "--receiver-listen",
                variable: "HYBRID_CALENDAR_RECEIVER_LISTEN",
                default: "[::]:8443",
            },
            Listen {
                flag: "--admin-listen",
                variable: "HYBRID_CALENDAR_ADMIN_LISTEN",
                default: "[::]:9090",
            },
            Listen {
                flag: "--wakes-listen",
                variable: "HYBRID_CALENDAR_WAKES_LISTEN",
                default: "[::]:9091",
            },
        ],
    },
    Image {
        program: "graph-emulator",
        listens: &[
            Listen {
                flag: "--listen",
                variable: "GRAPH_EMULATOR_LISTEN",
                default: "127.0.0.1:8600",
            },
            Listen {
                flag: "--admin",
                variable: "GRAPH_EMULATOR_ADMIN",
                default: "127.0.0.1:8601",
            },
        ],
    },
];

/// The image of this reference, `registry/folder/name:tag@digest`. The tag is taken as it comes: what was built is run.
pub(super) fn named(reference: &str) -> Option<&'static Image> {
    let last = reference.rsplit('/').next()?;
    let name = last.split(['@', ':']).next()?;
    IMAGES.iter().find(|image| image.program == name)
}

/// How a process is started: arguments after the program, and the environment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Invocation {
    pub(super) arguments: Vec<String>,
    pub(super) environment: Vec<(String, String)>,
}

impl Image {
    /// The same with the pod's address wherever it would listen on all.
    pub(super) fn confined(&self, mut invocation: Invocation, pod: Ipv4Addr) -> Invocation {
        for listen in self.listens {
            let in_arguments = listen.confine_arguments(&mut invocation.arguments, pod);
            let in_environment = listen.confine_environment(&mut invocation.environment, pod);
            if let (false, false, Some(address)) =
                (in_arguments, in_environment, rebound(listen.default, pod))
            {
                let variable = listen.variable.to_owned();
                invocation.environment.push((variable, address));
            }
        }
        invocation
    }
}

impl Listen {
    /// Whether the flag is there, as `--flag=value` or in two words.
    fn confine_arguments(&self, arguments: &mut [String], pod: Ipv4Addr) -> bool {
        let mut found = false;
        let mut is_value = false;
        for argument in arguments {
            let joined = argument
                .strip_prefix(self.flag)
                .and_then(|rest| rest.strip_prefix('='));
            let here = joined.is_some() || is_value;
            let value = joined.unwrap_or(argument);
            if let (true, Some(address)) = (here, rebound(value, pod)) {
                let bound = match joined {
                    Some(_) => format!("{}={address}", self.flag),
                    None => address,
                };
                *argument = bound;
            }
            found |= here;
            is_value = argument == self.flag;
        }
        found
    }

    fn confine_environment(&self, environment: &mut [(String, String)], pod: Ipv4Addr) -> bool {
        let mut found = false;
        for (_, value) in environment.iter_mut().filter(|(n, _)| n == self.variable) {
            // An empty value means not set.
            found |= !value.trim().is_empty();
            if let Some(address) = rebound(value, pod) {
                *value = address;
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_known_by_its_name_alone() {
        for reference in [
            "hybridcalendar/hybrid-calendar-operator:0.1.0",
            "mirror.example:5000/a/b/hybrid-calendar-operator@sha256:00",
            "hybrid-calendar-operator",
        ] {
            let image = named(reference).unwrap();
            assert_eq!(image.program, "hybrid-calendar-operator", "{reference}");
        }
        assert_eq!(named("hybridcalendar/other:1"), None);
    }

    fn confined(arguments: &[&str], environment: &[(&str, &str)]) -> Invocation {
        let invocation = Invocation {
            arguments: arguments.iter().map(ToString::to_string).collect(),
            environment: environment
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
        };
        let pod = Ipv4Addr::new(127, 1, 2, 3);
        named("hybrid-calendar-operator")
            .unwrap()
            .confined(invocation, pod)
    }

    #[test]
    fn what_would_listen_on_all_addresses_listens_on_the_pods() {
        let seen = confined(
            &[
                "run",
                "--receiver-listen=0.0.0.0:10001",
                "--admin-listen",
                "[::]:10002",
                "--wakes-listen=[::]:10003",
            ],
            &[],
        );
        let expected = [
            "run",
            "--receiver-listen=127.1.2.3:10001",
            "--admin-listen",
            "127.1.2.3:10002",
            "--wakes-listen=127.1.2.3:10003",
        ];
        assert_eq!(seen.arguments, expected);
        assert_eq!(seen.environment, []);
    }

    #[test]
    fn a_default_is_rebound_by_the_variable() {
        let receiver = "HYBRID_CALENDAR_RECEIVER_LISTEN";
        let seen = confined(&["run"], &[(receiver, "0.0.0.0:10007")]);
        let expected = [
            (receiver, "127.1.2.3:10007"),
            ("HYBRID_CALENDAR_ADMIN_LISTEN", "127.1.2.3:29090"),
            ("HYBRID_CALENDAR_WAKES_LISTEN", "127.1.2.3:29091"),
        ];
        let owned = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(seen.environment, owned);
    }
}
