//! Who is measured: the operator, the floor, and the operator's twins in other frameworks.

use testbed::error::Error;
use testbed::operator::OperatorProcess;

use crate::options::{Options, Scenario};
use crate::section::{Column, FLOOR, OPERATOR};
use crate::twin::{Twin, TwinProcess};

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contender {
    /// The operator.
    Operator,
    /// A bare program that writes the same statuses.
    Floor,
    /// The same logic in another framework.
    Twin(Twin),
}

impl Contender {
    /// All who take part in a cold start, in the order of a round: another one begins each time. The operator begins in
    /// the first, because the floor has to know what it writes.
    #[must_use]
    pub fn all(options: &Options, round: u32) -> Vec<Self> {
        let mut all = vec![Self::Operator];
        if options.has_any(&[Scenario::Cold, Scenario::Twins]) {
            all.push(Self::Floor);
        }
        if options.has(Scenario::Twins) {
            all.extend(Twin::ALL.map(Self::Twin));
        }
        let first = round as usize % all.len();
        all.rotate_left(first);
        all
    }

    /// How its column is called.
    #[must_use]
    pub fn column(self) -> Column {
        match self {
            Self::Operator => OPERATOR.into(),
            Self::Floor => FLOOR.into(),
            Self::Twin(twin) => twin.to_string().into(),
        }
    }

    /// The operation of Graph that comes last for each mailbox.
    #[must_use]
    pub fn last_call(self) -> &'static str {
        match self {
            Self::Operator | Self::Floor => "createSubscription",
            Self::Twin(_) => "getPlace",
        }
    }
}

/// A process that is measured.
#[derive(Debug)]
pub enum Running {
    /// The operator.
    Operator(Box<OperatorProcess>),
    /// A twin.
    Twin(TwinProcess),
}

impl Running {
    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        match self {
            Self::Operator(operator) => operator.id(),
            Self::Twin(twin) => twin.id(),
        }
    }

    /// Fails if it has ended.
    pub fn still_runs(&mut self) -> Result<(), Error> {
        let (ended, said) = match self {
            Self::Operator(operator) => (operator.ended()?, operator.logs().join("\n")),
            Self::Twin(twin) => (twin.ended()?, twin.said()),
        };
        match ended {
            None => Ok(()),
            Some(status) => Err(Error::Program {
                program: format!("what is measured ({status})"),
                output: said,
            }),
        }
    }

    /// SIGTERM, and waits for its end.
    pub async fn terminate(&mut self) -> Result<(), Error> {
        match self {
            Self::Operator(operator) => operator.terminate().await.map(|_| ()),
            Self::Twin(twin) => twin.terminate().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[test]
    fn everybody_begins_once_and_the_operator_in_the_first_round() {
        let options = Options::parse_from(["bench", "--scenario", "twins"]);
        let all = Contender::all(&options, 0);
        assert_eq!(all[..2], [Contender::Operator, Contender::Floor]);
        for (round, first) in (0..).zip(&all) {
            assert_eq!(Contender::all(&options, round)[0], *first);
        }
        let alone = Options::parse_from(["bench", "--scenario", "restart"]);
        assert_eq!(Contender::all(&alone, 1), [Contender::Operator]);
    }
}
