//! The clouds that Microsoft runs, and where Graph and Entra live in each (docs/graph.md 2).
//!
//! Whether a tenant may use other endpoints is decided elsewhere.

use url::Url;

/// One of Microsoft's clouds. Tokens of one are worthless in another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Cloud {
    /// Worldwide, including GCC.
    Worldwide,
    /// US government L4.
    UsGovGccHigh,
    /// US government L5.
    UsGovDod,
    /// China, operated by 21Vianet.
    China,
}

/// Base URLs without `/v1.0`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoints {
    /// Where tokens are issued.
    pub login: Url,
    /// Where Graph answers.
    pub graph: Url,
}

impl Cloud {
    /// Every cloud.
    pub const ALL: [Self; 4] = [
        Self::Worldwide,
        Self::UsGovGccHigh,
        Self::UsGovDod,
        Self::China,
    ];

    /// Origin of the login host.
    #[must_use]
    pub const fn login(self) -> &'static str {
        match self {
            Self::Worldwide => "https://login.microsoftonline.com",
            Self::UsGovGccHigh | Self::UsGovDod => "https://login.microsoftonline.us",
            Self::China => "https://login.partner.microsoftonline.cn",
        }
    }

    /// Origin of Graph.
    #[must_use]
    pub const fn graph(self) -> &'static str {
        match self {
            Self::Worldwide => "https://graph.microsoft.com",
            Self::UsGovGccHigh => "https://graph.microsoft.us",
            Self::UsGovDod => "https://dod-graph.microsoft.us",
            Self::China => "https://microsoftgraph.chinacloudapi.cn",
        }
    }

    /// Audience that a token of a Kubernetes ServiceAccount must carry to be exchanged in this cloud.
    #[must_use]
    pub const fn assertion_audience(self) -> &'static str {
        match self {
            Self::Worldwide => "api://AzureADTokenExchange",
            Self::UsGovGccHigh | Self::UsGovDod => "api://AzureADTokenExchangeUSGov",
            Self::China => "api://AzureADTokenExchangeChina",
        }
    }

    /// Both base URLs.
    ///
    /// # Panics
    /// Never: a test parses all of them.
    #[must_use]
    pub fn endpoints(self) -> Endpoints {
        let parse = |text| Url::parse(text).expect("the URLs above are valid");
        Endpoints {
            login: parse(self.login()),
            graph: parse(self.graph()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cloud_has_https_endpoints() {
        for cloud in Cloud::ALL {
            let endpoints = cloud.endpoints();
            assert_eq!(endpoints.login.scheme(), "https");
            assert_eq!(endpoints.graph.scheme(), "https");
        }
    }
}
