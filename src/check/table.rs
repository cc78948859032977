//! What a run found, for people. Pure text out: what is where, and in which colour.
//!
//! Nothing from outside can steer a terminal or turn the direction of writing: what would is shown as a replacement.

use std::fmt::Write as _;

use url::Url;

use super::report::{MailboxReport, Outcome, Report, TenantReport, outcome, remedy};
use crate::api::v1alpha1::condition::{Condition, ConditionStatus};
use crate::api::v1alpha1::tenant::CalendarTenantStatus;
use crate::api::vocabulary::{ConditionType, Reason, conditions_of};
use crate::config::Writes;
use crate::domain::conditions::find;
use crate::domain::mailbox::checks::listed;
use crate::ids::{Kind, ObjectKey};
use crate::plain::harmless;

/// How to write it.
#[derive(Clone, Debug)]
pub struct Style {
    /// Whether in colours.
    pub colored: bool,
    /// How many characters a line may have; none: as many as it takes.
    pub width: Option<usize>,
    /// Base URL of the pages about conditions.
    pub runbooks: String,
}

#[derive(Clone, Copy, Debug)]
enum Color {
    Red,
    Green,
    Yellow,
    Faint,
    Bold,
}

impl Color {
    /// Colours that every terminal has, readable on dark and on light.
    const fn code(self) -> &'static str {
        match self {
            Self::Red => "31",
            Self::Green => "32",
            Self::Yellow => "33",
            Self::Faint => "2",
            Self::Bold => "1",
        }
    }
}

/// How one line looks.
#[derive(Clone, Copy, Debug)]
struct Look {
    mark: &'static str,
    color: Color,
}

const WELL: Look = Look {
    mark: "✓",
    color: Color::Green,
};
const BAD: Look = Look {
    mark: "✗",
    color: Color::Red,
};
const WARNING: Look = Look {
    mark: "!",
    color: Color::Yellow,
};
const OPEN: Look = Look {
    mark: "?",
    color: Color::Yellow,
};
const NOT_TRIED: Look = Look {
    mark: "-",
    color: Color::Faint,
};

/// Room for the longest type of a condition.
const TYPE_WIDTH: usize = 20;

/// Room for the longest status.
const STATUS_WIDTH: usize = 7;

/// Room for most reasons.
const REASON_WIDTH: usize = 18;

/// A message gets at least so much room.
const NARROWEST: usize = 30;

/// The whole report.
#[must_use]
pub fn render(report: &Report, style: &Style) -> String {
    let mut page = Page {
        style,
        text: String::new(),
        consent: None,
    };
    for tenant in &report.tenants {
        page.tenant(tenant);
        let of_it = |mailbox: &&MailboxReport| mailbox.tenant.as_ref() == Some(&tenant.record.key);
        for mailbox in report.mailboxes.iter().filter(of_it) {
            page.mailbox(mailbox);
        }
    }
    page.summary(report);
    page.text
}

struct Page<'a> {
    style: &'a Style,
    text: String,
    /// To be shown beside what consent may end.
    consent: Option<Url>,
}

impl Page<'_> {
    fn tenant(&mut self, tenant: &TenantReport) {
        let record = &tenant.record;
        let conditions = &record.status.conditions;
        self.heading(Kind::CalendarTenant, &record.key, conditions);
        self.facts(&record.status);
        self.consent = tenant.missing_consent().cloned();
        self.conditions(Kind::CalendarTenant, conditions);
        self.text.push('\n');
    }

    fn mailbox(&mut self, mailbox: &MailboxReport) {
        let record = &mailbox.record;
        let conditions = &record.status.conditions;
        self.heading(Kind::WorkspaceMailbox, &record.key, conditions);
        self.named("Address", 4, &record.spec.address);
        if let Some(found) = &record.status.mailbox {
            let name = found.display_name.as_deref().unwrap_or("no name");
            self.named("Mailbox", 4, &format!("{name}, {}", found.primary_address));
        }
        self.conditions(Kind::WorkspaceMailbox, conditions);
        self.text.push('\n');
    }

    fn heading(&mut self, kind: Kind, key: &ObjectKey, conditions: &[Condition]) {
        let look = match outcome(conditions) {
            Outcome::Ready => WELL,
            Outcome::Problem => BAD,
            Outcome::Undetermined => OPEN,
        };
        let (status, reason) = match find(conditions, &ConditionType::Ready) {
            Some(ready) => (ready.status.as_str(), ready.reason.as_str()),
            None => ("Unknown", Reason::NotYetKnown.as_str()),
        };
        let name = self.paint(Color::Bold, &format!("{} {key}", kind.as_str()));
        let mark = self.paint(look.color, look.mark);
        let ready = self.paint(look.color, &format!("Ready={status} {reason}"));
        let _ = writeln!(self.text, "{mark} {name}   {ready}");
    }

    /// What was found of a tenant besides its conditions.
    fn facts(&mut self, status: &CalendarTenantStatus) {
        if let Some(organization) = &status.organization {
            self.named("Organization", 4, &organization.display_name);
        }
        let name = |domain: &crate::api::v1alpha1::tenant::Domain| {
            let default = if domain.default { " (default)" } else { "" };
            format!("{}{default}", domain.name)
        };
        let (verified, others): (Vec<_>, Vec<_>) =
            status.domains.iter().partition(|domain| domain.verified);
        for (what, domains) in [("Domains", verified), ("Not verified", others)] {
            let names: Vec<String> = domains.into_iter().map(name).collect();
            if !names.is_empty() {
                self.named(what, 4, &listed(&names));
            }
        }
        if let Some(credential) = &status.credential {
            let end = match &credential.expires_at {
                Some(at) => format!("ends {at}"),
                None => "its end is not known".to_owned(),
            };
            self.named("Credential", 4, &format!("{}, {end}", credential.kind));
        }
        if let Some(permissions) = &status.permissions {
            for (what, names) in [
                ("Granted", &permissions.granted),
                ("Missing", &permissions.missing),
                ("Not needed", &permissions.excess),
            ] {
                let text = if names.is_empty() {
                    "none".to_owned()
                } else {
                    names.join(", ")
                };
                self.named(what, 4, &text);
            }
        }
    }

    fn conditions(&mut self, kind: Kind, conditions: &[Condition]) {
        let checks = conditions_of(kind);
        let is_problem = |condition: &&Condition| condition.status == ConditionStatus::True;
        let shown: Vec<&Condition> = checks
            .iter()
            .filter_map(|meta| find(conditions, meta.type_))
            .collect();
        if shown.iter().any(is_problem) {
            for condition in shown {
                self.condition(kind, condition);
            }
            return;
        }
        // Without a problem of a check, `Stalled` tells of a spec that cannot be used.
        let stalled = find(conditions, &ConditionType::Stalled);
        for condition in stalled.into_iter().chain(shown) {
            self.condition(kind, condition);
        }
    }

    fn condition(&mut self, kind: Kind, condition: &Condition) {
        let look = look_of(kind, condition);
        let mark = self.paint(look.color, look.mark);
        let status = format!("{:STATUS_WIDTH$}", condition.status.as_str());
        let status = self.paint(look.color, &status);
        let type_ = format!("{:TYPE_WIDTH$}", condition.type_.as_str());
        let reason = condition.reason.as_str();
        let line = format!("  {mark} {type_}  {status}  ");
        let indent = 4 + TYPE_WIDTH + 2 + STATUS_WIDTH + 2 + REASON_WIDTH + 2;
        let fits = self
            .style
            .width
            .is_none_or(|width| width >= indent + NARROWEST);
        if condition.status == ConditionStatus::True {
            let _ = writeln!(self.text, "{line}{reason}");
            self.problem(kind, condition);
        } else if condition.message.is_empty() {
            let _ = writeln!(self.text, "{line}{reason}");
        } else if fits {
            let message = self.wrapped(&condition.message, indent);
            let _ = writeln!(self.text, "{line}{reason:REASON_WIDTH$}  {message}");
        } else {
            let _ = writeln!(self.text, "{line}{reason}");
            self.line(6, &condition.message);
        }
    }

    /// What is the matter, who acts, what that person does, and where more is said.
    fn problem(&mut self, kind: Kind, condition: &Condition) {
        self.line(6, &condition.message);
        if let Some(problem) = remedy(kind, condition) {
            self.named("Who acts", 6, problem.acts.as_str());
            self.named("Remedy", 6, &plain(problem.remedy));
        }
        let folder = match kind {
            Kind::CalendarTenant => "tenant",
            Kind::WorkspaceMailbox => "mailbox",
        };
        let page = format!("{}/{folder}/{}.md", self.style.runbooks, condition.type_);
        if let Some(url) = self
            .consent
            .take_if(|_| condition.type_ == ConditionType::Unauthorized)
        {
            let text = "An administrator of the tenant gives it at the next address, once the permissions are in the app registration. An error about a missing reply address after that does not matter.";
            self.named("Consent", 6, text);
            self.line(6, url.as_str());
        }
        self.named("More", 6, &page);
    }

    fn summary(&mut self, report: &Report) {
        let ready = |conditions: &[Condition]| outcome(conditions) == Outcome::Ready;
        let tenants = report.tenants.iter();
        let tenants_ready = tenants
            .filter(|t| ready(&t.record.status.conditions))
            .count();
        let mailboxes = report.mailboxes.iter();
        let mailboxes_ready = mailboxes
            .filter(|m| ready(&m.record.status.conditions))
            .count();
        let (color, verdict) = match report.outcome() {
            Outcome::Ready => (Color::Green, "Everything that was checked is well."),
            Outcome::Problem => (Color::Red, "There are problems: True names one."),
            Outcome::Undetermined => (Color::Yellow, "Not everything could be found out."),
        };
        let counts = format!(
            "Tenants ready: {tenants_ready} of {}. Mailboxes ready: {mailboxes_ready} of {}.",
            report.tenants.len(),
            report.mailboxes.len()
        );
        let verdict = self.paint(color, verdict);
        let _ = writeln!(self.text, "{counts}\n{verdict}");
        if report.unfinished {
            self.line(0, "Time ran out: give it more with --timeout.");
        }
        if report.is_microsoft_silent() {
            self.line(
                0,
                "Microsoft was asked from this machine: what counts is its way to the internet, its proxy variables and --ca-file, not the cluster's.",
            );
        }
        if report.lacks_secret() {
            self.line(
                0,
                "A Secret that is in none of the files may be at hand: --client-secret-file FILE, or --certificate FILE --key FILE.",
            );
        }
        let untried = match report.writes {
            Writes::Refused => {
                "Nothing was written at Microsoft. Not tried: the notification URL, subscriptions, and spec.testMailbox (--write-test tries it)."
            }
            Writes::Allowed => "Not tried: the notification URL and subscriptions.",
        };
        self.line(0, untried);
    }

    /// A name and what belongs to it.
    fn named(&mut self, name: &str, indent: usize, text: &str) {
        const NAME_WIDTH: usize = 14;
        let text = self.wrapped(text, indent + NAME_WIDTH);
        let name = self.paint(Color::Faint, &format!("{name:NAME_WIDTH$}"));
        let _ = writeln!(self.text, "{:indent$}{name}{text}", "");
    }

    fn line(&mut self, indent: usize, text: &str) {
        let text = self.wrapped(text, indent);
        let _ = writeln!(self.text, "{:indent$}{text}", "");
    }

    fn paint(&self, color: Color, text: &str) -> String {
        if self.style.colored {
            format!("\u{1b}[{}m{text}\u{1b}[0m", color.code())
        } else {
            text.to_owned()
        }
    }

    /// The text in lines that begin `indent` characters from the left, the first of which is begun already.
    fn wrapped(&self, text: &str, indent: usize) -> String {
        let text = harmless(text);
        let Some(width) = self.style.width else {
            return text;
        };
        let room = width.saturating_sub(indent).max(NARROWEST);
        let (mut lines, mut line) = (Vec::new(), String::new());
        for word in text.split(' ') {
            let length = line.chars().count();
            if length > 0 && length + 1 + word.chars().count() > room {
                lines.push(std::mem::take(&mut line));
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        lines.push(line);
        lines.join(&format!("\n{:indent$}", ""))
    }
}

fn look_of(kind: Kind, condition: &Condition) -> Look {
    let blocks = conditions_of(kind)
        .iter()
        .find(|meta| *meta.type_ == condition.type_)
        .is_none_or(|meta| meta.blocks_ready);
    match condition.status {
        ConditionStatus::True if blocks => BAD,
        ConditionStatus::True => WARNING,
        ConditionStatus::Unknown => OPEN,
        ConditionStatus::False if condition.reason == Reason::NotApplicable => NOT_TRIED,
        ConditionStatus::False => WELL,
    }
}

/// Without the marks of Markdown, in which the vocabulary is written.
fn plain(text: &str) -> String {
    text.chars().filter(|c| !['`', '*'].contains(c)).collect()
}

#[cfg(test)]
mod tests;
