//! The world file: tenants, applications and mailboxes that the emulator pretends to serve.
//!
//! It is plain data that a person writes. What follows from it (ids, indexes) is in
//! `state::directory`.

mod behaviour;
mod check;

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use behaviour::{
    Behaviour, BookingNotifications, DeniedText, UnknownPlace, ValidationFailureCode,
};

/// Why a world was refused: every problem at once.
#[derive(Debug, thiserror::Error)]
pub enum WorldError {
    /// There is no such file, or it is not text.
    #[error("the world file is not readable: {0}")]
    File(#[source] std::io::Error),
    /// It is not YAML, or has a field that does not exist.
    #[error("the world is not readable: {0}")]
    Unreadable(#[from] serde_yaml_ng::Error),
    /// It contradicts itself.
    #[error("the world contradicts itself: {}", .0.join("; "))]
    Contradictory(Vec<String>),
}

/// Everything that exists.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct World {
    /// Shorter lives than Graph's own.
    pub limits: Limits,
    /// Whether limits on the number of calls apply.
    pub quotas: Quotas,
    /// How the emulator behaves where the real service is not documented.
    pub behaviour: Behaviour,
    /// Tenants.
    pub tenants: Vec<Tenant>,
}

/// Shorter lives, so that renewals are seen sooner.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Limits {
    /// A subscription never gets a longer life than this, whatever was asked.
    #[serde(
        with = "jiff::fmt::serde::unsigned_duration::friendly::compact::optional",
        skip_serializing_if = "Option::is_none"
    )]
    pub max_lifetime: Option<Duration>,
    /// A subscription always gets at least this life, instead of 45 minutes.
    #[serde(
        with = "jiff::fmt::serde::unsigned_duration::friendly::compact::optional",
        skip_serializing_if = "Option::is_none"
    )]
    pub min_lifetime: Option<Duration>,
    /// Life of a token, instead of 60 to 90 minutes.
    #[serde(
        with = "jiff::fmt::serde::unsigned_duration::friendly::compact::optional",
        skip_serializing_if = "Option::is_none"
    )]
    pub token_lifetime: Option<Duration>,
    /// How long a notification URL may take to answer its validation, instead of 10 seconds.
    #[serde(
        with = "jiff::fmt::serde::unsigned_duration::friendly::compact::optional",
        skip_serializing_if = "Option::is_none"
    )]
    pub validation_timeout: Option<Duration>,
}

/// Whether limits on the number of calls apply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Quotas {
    /// The documented ones.
    #[default]
    Documented,
    /// None at all.
    Off,
}

/// One Microsoft 365 tenant.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Tenant {
    /// Tenant ID, a GUID.
    pub id: String,
    /// Name of the organization.
    #[serde(default)]
    pub display_name: String,
    /// Domains, verified or not.
    #[serde(default)]
    pub domains: Vec<Domain>,
    /// Applications that an administrator has admitted.
    #[serde(default)]
    pub applications: Vec<Application>,
    /// Mailboxes.
    #[serde(default)]
    pub mailboxes: Vec<Mailbox>,
    /// Many rooms at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generate: Option<Generate>,
}

/// A domain of a tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Domain {
    /// Fully qualified name.
    pub name: String,
    /// The tenant's default domain.
    #[serde(default)]
    pub default: bool,
    /// The `onmicrosoft.com` domain that the tenant was born with.
    #[serde(default)]
    pub initial: bool,
    /// Ownership was proven.
    #[serde(default = "yes")]
    pub verified: bool,
}

/// An application in a tenant: registration and service principal in one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Application {
    /// Application ID, a GUID.
    pub client_id: String,
    /// Name of the application.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// Client secrets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<ClientSecret>,
    /// Certificates whose holder may sign assertions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub certificates: Vec<Certificate>,
    /// Workload identities that may act as the application.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub federated: Vec<FederatedCredential>,
    /// Consented application roles.
    #[serde(default)]
    pub roles: Vec<String>,
    /// Roles of RBAC for Applications, such as `Application Calendars.Read`: they never show in a token.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exchange_roles: Vec<String>,
    /// Addresses of mailboxes outside the application access policy.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub denied: Vec<String>,
    /// The application may not sign in.
    #[serde(default, skip_serializing_if = "is_no")]
    pub disabled: bool,
    /// Conditional Access refuses its tokens.
    #[serde(default, skip_serializing_if = "is_no")]
    pub blocked_by_policy: bool,
}

/// A client secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClientSecret {
    /// The secret itself.
    pub value: String,
    /// When it ends; never if missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

/// A certificate of an application; one that has expired proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Certificate {
    /// The certificate in PEM.
    pub pem: String,
}

/// A federated credential: whoever holds a token with these three may act as the application.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FederatedCredential {
    /// Issuer of the token, byte for byte.
    pub issuer: String,
    /// Its subject, such as `system:serviceaccount:calendars:operator`.
    pub subject: String,
    /// Its audience.
    pub audience: String,
    /// File with the issuer's JWKS; relative to the world file, or else to where the emulator runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks_file: Option<String>,
    /// The issuer's JWKS itself. Without either it is fetched by OIDC discovery.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks: Option<serde_json::Value>,
}

/// A mailbox and its directory object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Mailbox {
    /// Primary SMTP address.
    pub address: String,
    /// Room or user.
    #[serde(rename = "type", default)]
    pub kind: MailboxKind,
    /// Object id, a GUID; made from the seed and the address if missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Name that people know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// Seats of a room.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capacity: Option<u32>,
    /// Further SMTP addresses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// Sign-in name; the address if missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_principal_name: Option<String>,
    /// An account of another organization, without a mailbox here.
    #[serde(default, skip_serializing_if = "is_no")]
    pub guest: bool,
    /// Whether Places knows the room.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub listed: bool,
    /// Where the mailbox really is.
    #[serde(default, skip_serializing_if = "Location::is_cloud")]
    pub location: Location,
}

impl Mailbox {
    /// A room that works.
    #[must_use]
    pub fn room(address: impl Into<String>) -> Self {
        Self {
            address: address.into(),
            kind: MailboxKind::Room,
            id: None,
            display_name: None,
            capacity: None,
            aliases: Vec::new(),
            user_principal_name: None,
            guest: false,
            listed: true,
            location: Location::Cloud,
        }
    }

    /// A person's mailbox that works.
    #[must_use]
    pub fn user(address: impl Into<String>) -> Self {
        Self {
            kind: MailboxKind::User,
            ..Self::room(address)
        }
    }
}

/// Room or user.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum MailboxKind {
    /// A meeting room.
    #[default]
    Room,
    /// A person.
    User,
}

/// Where a mailbox really is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Location {
    /// In Exchange Online.
    #[default]
    Cloud,
    /// On a server of the organization.
    OnPremises,
    /// Deleted, but still in the directory.
    SoftDeleted,
    /// Without a licence.
    Unlicensed,
}

impl Location {
    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "serde asks for a reference"
    )]
    fn is_cloud(&self) -> bool {
        *self == Self::Cloud
    }
}

/// Many rooms at once: `room-000001@contoso.example` and so on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Generate {
    /// How many.
    pub rooms: u32,
    /// What their addresses start with.
    pub prefix: String,
    /// Domain of their addresses.
    pub domain: String,
}

impl Generate {
    /// More rooms have no number of six digits.
    pub(crate) const MOST: u32 = 999_999;

    /// The rooms, numbered from 1; none when there are too many of them, which no check lets pass.
    pub fn mailboxes(&self) -> impl Iterator<Item = Mailbox> + '_ {
        let rooms = if self.rooms > Self::MOST {
            0
        } else {
            self.rooms
        };
        (1..=rooms).map(|number| Mailbox {
            display_name: Some(format!("Room {number}")),
            ..Mailbox::room(format!("{}{number:06}@{}", self.prefix, self.domain))
        })
    }
}

impl World {
    /// Reads and checks a world; JSON is YAML too.
    pub fn from_yaml(text: &str) -> Result<Self, WorldError> {
        let world = read(text)?;
        world.check()?;
        Ok(world)
    }

    /// Reads and checks a world file; `jwksFile` in it is relative to its directory.
    pub fn from_file(path: &Path) -> Result<Self, WorldError> {
        let text = std::fs::read_to_string(path).map_err(WorldError::File)?;
        let mut world = read(&text)?;
        let directory = path.parent().unwrap_or(Path::new(""));
        let applications = world
            .tenants
            .iter_mut()
            .flat_map(|one| &mut one.applications);
        let credentials = applications.flat_map(|application| &mut application.federated);
        for file in credentials.filter_map(|credential| credential.jwks_file.as_mut()) {
            *file = directory.join(&*file).to_string_lossy().into_owned();
        }
        world.check()?;
        Ok(world)
    }

    /// The world as it would be written to a file.
    #[must_use]
    pub fn to_yaml(&self) -> String {
        serde_yaml_ng::to_string(self).unwrap_or_else(|error| format!("# {error}\n"))
    }

    /// Every contradiction in the world.
    pub fn check(&self) -> Result<(), WorldError> {
        let problems = check::problems(self);
        if problems.is_empty() {
            Ok(())
        } else {
            Err(WorldError::Contradictory(problems))
        }
    }

    /// The tenant with this ID.
    pub fn tenant_mut(&mut self, id: &str) -> Option<&mut Tenant> {
        self.tenants
            .iter_mut()
            .find(|tenant| tenant.id.eq_ignore_ascii_case(id))
    }

    /// The mailbox with this primary address, in whichever tenant.
    pub fn mailbox_mut(&mut self, address: &str) -> Option<&mut Mailbox> {
        self.tenants
            .iter_mut()
            .flat_map(|tenant| &mut tenant.mailboxes)
            .find(|mailbox| mailbox.address.eq_ignore_ascii_case(address))
    }
}

/// Brackets within each other that are read. More of them would be refused after a time that grows with their square.
const DEEPEST: usize = 200;

fn read(text: &str) -> Result<World, serde_yaml_ng::Error> {
    if depth(text) > DEEPEST {
        let says = format_args!("there are more than {DEEPEST} brackets within each other");
        return Err(serde::de::Error::custom(says));
    }
    serde_yaml_ng::from_str(text)
}

/// How deep brackets lie within each other, wherever they are: quotes and comments only make it more.
fn depth(text: &str) -> usize {
    let (mut open, mut deepest) = (0_usize, 0);
    for byte in text.bytes() {
        match byte {
            b'{' | b'[' => open += 1,
            b'}' | b']' => open = open.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(open);
    }
    deepest
}

const fn yes() -> bool {
    true
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde asks for a reference"
)]
const fn is_yes(flag: &bool) -> bool {
    *flag
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde asks for a reference"
)]
const fn is_no(flag: &bool) -> bool {
    !*flag
}
