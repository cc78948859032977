//! To which hosts a credential may be sent: whoever may write a CalendarTenant must not be able to choose.
//!
//! Says what is allowed, by origin. It resolves no name and makes no call.

use std::collections::BTreeSet;

use url::{Host, Url};

/// The endpoints that the operator was started with, besides Microsoft's own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowedEndpoints {
    origins: BTreeSet<String>,
    microsoft: Microsoft,
}

/// Whether Microsoft's own endpoints may be called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Microsoft {
    /// Yes: the normal case.
    #[default]
    Allowed,
    /// No: this is a rehearsal at a pace that Microsoft must not see.
    Refused,
}

impl AllowedEndpoints {
    /// The origins of `urls`, and Microsoft's own if allowed.
    #[must_use]
    pub fn new(urls: &[Url], microsoft: Microsoft) -> Self {
        Self {
            origins: urls
                .iter()
                .map(|url| url.origin().ascii_serialization())
                .collect(),
            microsoft,
        }
    }

    /// Whether `spec.endpoints` may name this URL. What cannot be read is not allowed.
    #[must_use]
    pub fn allows(&self, url: &str) -> bool {
        Url::parse(url).is_ok_and(|url| {
            url.origin().is_tuple() && self.origins.contains(&url.origin().ascii_serialization())
        })
    }

    /// Whether a tenant without `spec.endpoints` may be worked on.
    #[must_use]
    pub const fn microsoft(&self) -> Microsoft {
        self.microsoft
    }
}

/// Whether the URL names this machine only: there, plain HTTP is acceptable.
#[must_use]
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_compared_by_origin() {
        let urls = ["https://login.example/", "http://127.0.0.1:8600/some/path"];
        let allowed = AllowedEndpoints::new(&urls.map(|u| u.parse().unwrap()), Microsoft::Allowed);
        for (url, expected) in [
            ("https://login.example", true),
            ("https://LOGIN.example:443/x?y", true),
            ("http://127.0.0.1:8600", true),
            ("http://login.example", false),
            ("https://login.example:8443", false),
            ("https://login.example.evil.example", false),
            ("https://login.example@evil.example", false),
            ("http://127.0.0.1", false),
            ("data:text/plain,x", false),
            ("nonsense", false),
        ] {
            assert_eq!(allowed.allows(url), expected, "{url}");
        }
        assert!(!AllowedEndpoints::default().allows("data:text/plain,x"));
    }

    #[test]
    fn loopback_is_this_machine_only() {
        for (url, expected) in [
            ("http://localhost:1", true),
            ("http://127.9.9.9", true),
            ("http://[::1]:8080", true),
            ("http://localhost.example", false),
            ("http://10.0.0.1", false),
            ("http://127.0.0.1.example", false),
        ] {
            assert_eq!(is_loopback(&url.parse().unwrap()), expected, "{url}");
        }
    }
}
