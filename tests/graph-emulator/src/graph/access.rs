//! Who may do what: roles in the token, roles of RBAC for Applications, and the application access policy.
//!
//! Roles in a token last as long as the token. What Exchange keeps itself acts at once.

use super::error::{GraphError, Refusal, access_denied, blocked_by_access_policy, error};
use super::error::{insufficient_privileges, invalid_user};
use crate::state::directory::{Account, Directory, TenantIndex};
use crate::world::DeniedText;

/// The application behind a valid token.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) tenant: String,
    pub(crate) client_id: String,
    pub(crate) principal_id: String,
    pub(crate) roles: Vec<String>,
}

impl Caller {
    fn has_any(&self, roles: &[&str]) -> bool {
        self.roles.iter().any(|role| roles.contains(&role.as_str()))
    }
}

/// What a call wants of a mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    ReadCalendar,
    WriteCalendar,
    Subscribe,
}

impl Need {
    const fn token_roles(self) -> &'static [&'static str] {
        match self {
            Self::ReadCalendar => &[
                "Calendars.Read",
                "Calendars.ReadWrite",
                "Calendars.ReadBasic.All",
            ],
            Self::WriteCalendar => &["Calendars.ReadWrite"],
            // The documentation warns that read-write alone may not be honoured; here it never is.
            Self::Subscribe => &["Calendars.Read"],
        }
    }

    const fn exchange_roles(self) -> &'static [&'static str] {
        match self {
            Self::ReadCalendar => &[
                "Application Calendars.Read",
                "Application Calendars.ReadWrite",
            ],
            Self::WriteCalendar => &["Application Calendars.ReadWrite"],
            Self::Subscribe => &["Application Calendars.Read"],
        }
    }
}

/// Refuses unless the token has one of these directory roles.
pub(crate) fn directory_role(caller: &Caller, roles: &[&str]) -> Result<(), Refusal> {
    if caller.has_any(roles) {
        Ok(())
    } else {
        Err(insufficient_privileges().into())
    }
}

/// Refuses unless the token has the role that Places wants.
pub(crate) fn place_role(caller: &Caller) -> Result<(), Refusal> {
    if caller.has_any(&["Place.Read.All", "Place.ReadWrite.All"]) {
        Ok(())
    } else {
        Err(access_denied().into())
    }
}

/// Why a mailbox cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Obstacle {
    NoRole,
    UnknownMailbox,
    NotInCloud,
    OutsideRoleScope,
    OutsidePolicy,
}

/// The mailbox that `name` means, if this application may use it so.
pub(crate) fn mailbox<'a>(
    tenant: &'a TenantIndex,
    caller: &Caller,
    name: &str,
    need: Need,
) -> Result<&'a Account, Obstacle> {
    let application = tenant.application(&caller.client_id);
    let by_token = caller.has_any(need.token_roles());
    let by_exchange = application.is_some_and(|application| {
        let granted = &application.spec.exchange_roles;
        granted
            .iter()
            .any(|role| need.exchange_roles().contains(&role.as_str()))
    });
    if !by_token && !by_exchange {
        return Err(Obstacle::NoRole);
    }
    let account = tenant.mailbox(name).ok_or(Obstacle::UnknownMailbox)?;
    if !account.has_cloud_mailbox() {
        return Err(Obstacle::NotInCloud);
    }
    let denied = application.is_some_and(|application| {
        let denied = &application.spec.denied;
        denied
            .iter()
            .any(|one| one.eq_ignore_ascii_case(&account.spec.address))
    });
    match (denied, by_token) {
        (false, _) => Ok(account),
        (true, true) => Err(Obstacle::OutsidePolicy),
        (true, false) => Err(Obstacle::OutsideRoleScope),
    }
}

impl Obstacle {
    /// As a call for the mailbox's content is refused.
    pub(crate) fn refusal(self, directory: &Directory, name: &str) -> GraphError {
        let behaviour = &directory.world.behaviour;
        match self {
            Self::NoRole | Self::OutsideRoleScope => access_denied(),
            Self::UnknownMailbox => invalid_user(name),
            Self::NotInCloud => error(
                behaviour.on_premises_status,
                "MailboxNotEnabledForRESTAPI",
                "The mailbox is either inactive, soft-deleted, or is hosted on-premise.",
            ),
            Self::OutsidePolicy => match behaviour.denied_text {
                DeniedText::Policy => blocked_by_access_policy(),
                DeniedText::Generic => access_denied(),
            },
        }
    }
}
