//! Leading, term after term: the controllers run while the Lease is held and the keys are known, and not a moment
//! longer.

use std::sync::Arc;

use thiserror::Error;
use tokio::sync::watch;

use crate::config::{Config, Scope};
use crate::controller::lead::{Broken, Settings, Surroundings, lead};
use crate::domain::endpoints::AllowedEndpoints;
use crate::domain::identity::{Identity, NotificationUrls};
use crate::domain::schedule::Pace;
use crate::ids::InstanceId;
use crate::leader::{Leadership, Term};

/// Why nobody leads any more, though nobody asked for that.
#[derive(Debug, Error)]
pub enum Ended {
    /// The election is gone.
    #[error("nobody takes part in the election any more")]
    Election,
    /// The keys are gone.
    #[error("nobody follows the key Secret any more")]
    Keys,
    /// The controllers are.
    #[error("the controllers ended: {source}")]
    Broken {
        /// Why.
        #[source]
        source: Broken,
    },
    /// A mistake of ours, which the log shows.
    #[error("the controllers panicked")]
    Panicked,
}

/// What stays the same from term to term.
pub(super) struct Terms {
    pace: Pace,
    scope: Scope,
    allowed_endpoints: AllowedEndpoints,
    take_over_from: Option<InstanceId>,
    concurrency: usize,
    notification_url: url::Url,
    listening: watch::Receiver<bool>,
    host: Option<String>,
}

impl Terms {
    pub(super) fn new(
        config: &Config,
        listening: watch::Receiver<bool>,
        host: Option<String>,
    ) -> Self {
        Self {
            pace: config.pace,
            scope: config.scope.clone(),
            allowed_endpoints: config.allowed_endpoints.clone(),
            take_over_from: config.take_over_from.clone(),
            concurrency: config.concurrency,
            notification_url: config.notification_url.clone(),
            listening,
            host,
        }
    }

    fn settings(&self, term: Term, identity: &Identity) -> Settings {
        Settings {
            pace: self.pace,
            scope: self.scope.clone(),
            allowed_endpoints: self.allowed_endpoints.clone(),
            take_over_from: self.take_over_from.clone(),
            concurrency: self.concurrency,
            urls: NotificationUrls::new(self.notification_url.clone(), identity.instance.clone()),
            listening: self.listening.clone(),
            leading_since: term.since,
            served_until: term.previous_renewal.unwrap_or(term.since),
            name: self.host.clone(),
        }
    }

    /// Follows the cluster, and leads whenever this process may, until `stop`.
    ///
    /// # Errors
    /// Something that this needs is gone for good: the process has to end, so that it is started anew.
    pub(super) async fn serve(
        self,
        leadership: watch::Receiver<Leadership>,
        around: Surroundings,
        stop: watch::Receiver<bool>,
    ) -> Result<(), Ended> {
        let mirror = around.mirror.clone();
        tokio::select! {
            source = mirror.follow() => Err(Ended::Broken { source }),
            ended = self.lead(leadership, around, stop) => ended,
        }
    }

    async fn lead(
        self,
        mut leadership: watch::Receiver<Leadership>,
        around: Surroundings,
        mut stop: watch::Receiver<bool>,
    ) -> Result<(), Ended> {
        loop {
            let term = tokio::select! {
                term = begun(&mut leadership) => term,
                _ = stop.wait_for(|stop| *stop) => return Ok(()),
            };
            let term = term.ok_or(Ended::Election)?;
            let mut until_then = stop.clone();
            let serving = async {
                let identity = tokio::select! {
                    identity = known(around.identity.clone()) => identity.ok_or(Ended::Keys)?,
                    // Keys that never come must not keep the Lease from whoever can read them.
                    _ = until_then.wait_for(|stop| *stop) => return Ok(()),
                };
                tracing::info!(installation = %identity.instance, "this copy leads");
                let settings = self.settings(term, &identity);
                let led = lead(settings, around.clone(), until_then).await;
                led.map_err(|source| Ended::Broken { source })
            };
            tokio::select! {
                // Dropping what runs is what losing the Lease demands.
                () = over(&mut leadership, term) => tracing::warn!("this copy leads no longer"),
                ended = serving => return ended,
            }
        }
    }
}

/// The next term, or none when nobody elects any more.
async fn begun(leadership: &mut watch::Receiver<Leadership>) -> Option<Term> {
    let leading = |now: &Leadership| matches!(now, Leadership::Leading(_));
    match *leadership.wait_for(leading).await.ok()? {
        Leadership::Leading(term) => Some(term),
        Leadership::Following => None,
    }
}

/// Until this term has ended.
async fn over(leadership: &mut watch::Receiver<Leadership>, term: Term) {
    // An error is the end as well: nobody renews any more.
    let _ = leadership
        .wait_for(|now| *now != Leadership::Leading(term))
        .await;
}

/// Who we are, as soon as the cluster and the key Secret have told.
async fn known(mut identity: watch::Receiver<Option<Arc<Identity>>>) -> Option<Arc<Identity>> {
    identity.wait_for(Option::is_some).await.ok()?.clone()
}
