//! Which tenant the receiver counts a notification for: asked of what follows the cluster in this process.

use std::sync::{Arc, Mutex, PoisonError};

use super::mirror::Mirror;
use super::world::Context;
use crate::ids::Uid;
use crate::notification::receiver::TenantLabel;

/// Finds the tenant of an object for the receiver's metrics.
#[derive(Clone, Debug, Default)]
pub struct Labels(Arc<Mutex<Option<Mirror>>>);

impl Labels {
    /// The CalendarTenant of the mailbox with this UID, as far as this process follows the cluster's objects.
    #[must_use]
    pub fn tenant(&self, uid: &Uid) -> TenantLabel {
        match self.mirror() {
            Some(mirror) => mirror.tenant(uid),
            None => TenantLabel::Unnamed,
        }
    }

    /// The controller whose store is told of, if this process leads.
    pub(super) fn followed(&self) -> Option<Context> {
        self.mirror()?.leads()
    }

    /// From now on answers from this, or not at all.
    pub(super) fn follow(&self, mirror: Option<Mirror>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = mirror;
    }

    fn mirror(&self) -> Option<Mirror> {
        let mirror = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        mirror.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::super::stage::{Stage, room, tenant};
    use super::*;

    #[tokio::test]
    async fn a_notification_is_unknown_only_to_whoever_follows_the_objects() {
        let stage = Stage::new();
        let (labels, mirror) = (Labels::default(), stage.around.mirror.clone());
        let (known, other) = (room(2).uid, room(3).uid);
        assert_eq!(labels.tenant(&known), TenantLabel::Unnamed);
        mirror.mailbox_present(room(2));
        labels.follow(Some(mirror.clone()));
        assert_eq!(labels.tenant(&known), TenantLabel::Unnamed, "no tenant");
        mirror.tenant_present(tenant(1));
        let named = TenantLabel::Named("calendars/contoso".into());
        assert_eq!(labels.tenant(&known), named);
        assert_eq!(labels.tenant(&other), TenantLabel::NoObject);
        assert!(labels.followed().is_none(), "nothing to scrape from");

        let lent = mirror.lend(&stage.context());
        assert_eq!(labels.tenant(&known), named, "who leads knows it, too");
        assert!(labels.followed().is_some());
        drop(lent);
        assert_eq!(labels.tenant(&known), named);
        assert!(labels.followed().is_none());
    }
}
