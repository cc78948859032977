//! How soon a problem needs somebody.

/// How soon somebody must act.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Now, also at night: something is being lost, or will be.
    Critical,
    /// In working hours: something does not work, and nothing more is lost by waiting.
    Warning,
    /// Nobody has to: something is not as it should be, and works.
    Info,
}

impl Severity {
    /// All, the most urgent first.
    pub const ALL: [Self; 3] = [Self::Critical, Self::Warning, Self::Info];

    /// As the label `severity` spells it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Warning => "warning",
            Self::Info => "info",
        }
    }

    /// What it means for whoever gets the alert.
    #[must_use]
    pub const fn docs(self) -> &'static str {
        match self {
            Self::Critical => "act now, also at night: something is being lost, or will be",
            Self::Warning => {
                "act in working hours: something does not work, and nothing more is lost by waiting"
            }
            Self::Info => "nobody has to act: something is not as it should be, and works",
        }
    }
}
