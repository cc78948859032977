//! Which tenant the receiver counts a notification for: asked of whatever follows the cluster in this process.

use std::sync::{Arc, Mutex, PoisonError};

use super::names::Names;
use super::world::Context;
use crate::ids::Uid;
use crate::notification::receiver::TenantLabel;

/// Finds the tenant of an object for the receiver's metrics.
#[derive(Clone, Debug, Default)]
pub struct Labels(Arc<Mutex<Knows>>);

/// Who can be asked.
#[derive(Clone, Default)]
enum Knows {
    #[default]
    Nobody,
    /// A copy that stands by.
    Names(Arc<Names>),
    /// The controller, while this process leads.
    Leads(Context),
}

impl std::fmt::Debug for Knows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Nobody => "Nobody",
            Self::Names(_) => "Names",
            Self::Leads(_) => "Leads",
        })
    }
}

impl Labels {
    /// The controller whose store is followed, if this process leads.
    pub(super) fn followed(&self) -> Option<Context> {
        match self.knows() {
            Knows::Leads(context) => Some(context),
            Knows::Names(_) | Knows::Nobody => None,
        }
    }

    /// From now on answers from this controller's store, or not at all.
    pub(super) fn follow(&self, context: Option<Context>) {
        self.set(context.map_or(Knows::Nobody, Knows::Leads));
    }

    /// From now on answers from these.
    pub(super) fn know(&self, names: Names) {
        self.set(Knows::Names(Arc::new(names)));
    }

    fn knows(&self) -> Knows {
        let knows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        knows.clone()
    }

    fn set(&self, knows: Knows) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = knows;
    }
}

impl Labels {
    /// The CalendarTenant of the mailbox with this UID, as far as this process follows the cluster's objects.
    #[must_use]
    pub fn tenant(&self, uid: &Uid) -> TenantLabel {
        let context = match self.knows() {
            Knows::Leads(context) => context,
            Knows::Names(names) => return names.tenant(uid),
            Knows::Nobody => return TenantLabel::Unnamed,
        };
        let world = context.world();
        let key = world.store.key_of(*uid);
        let Some(entry) = key.and_then(|key| world.store.mailbox(key)) else {
            return TenantLabel::NoObject;
        };
        match entry.desired.as_ref() {
            Ok(desired) if world.store.tenant(&desired.tenant).is_some() => {
                TenantLabel::Named(desired.tenant.to_string().into())
            }
            Ok(_) | Err(_) => TenantLabel::Unnamed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::stage::{Stage, room, tenant};
    use super::*;

    #[tokio::test]
    async fn a_notification_is_unknown_only_to_whoever_follows_the_objects() {
        let stage = Stage::new();
        let labels = stage.around.labels.clone();
        let (known, other) = (room(2).uid, room(3).uid);
        assert_eq!(labels.tenant(&known), TenantLabel::Unnamed);
        let context = stage.context();
        context.mailbox_present(&room(2));
        labels.follow(Some(context.clone()));
        assert_eq!(labels.tenant(&known), TenantLabel::Unnamed, "no tenant");
        context.tenant_present(&tenant(1));
        assert_eq!(
            labels.tenant(&known),
            TenantLabel::Named("calendars/contoso".into())
        );
        assert_eq!(labels.tenant(&other), TenantLabel::NoObject);
    }
}
