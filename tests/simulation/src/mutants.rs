//! Deliberate mistakes, one for each invariant: what the operator would do if it had such a mistake, made at its edges. The
//! simulation has to find each.

use axum::body::Bytes;
use http::{Method, Request, Response, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::witness::{Invariant, Witness};

/// A mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
pub enum Mutant {
    /// Renewals are taken for done without being sent.
    RenewsNothing,
    /// Deletions are taken for done without being sent: what was replaced stays.
    DeletesNothing,
    /// One copy takes the Lease for its own, whatever it says.
    KeepsLeading,
    /// Whose a subscription is does not matter: all are taken for strays.
    SweepsEverything,
    /// A token is logged.
    LogsToken,
    /// A status is written a second time although it is the same.
    WritesTwice,
    /// A status is written again and again although it is the same.
    WritesOften,
    /// Nobody believes that a mailbox is gone.
    SeesNobodyMissing,
    /// A tenant's mailboxes are all taken for ready where they are counted.
    CountsEverybody,
    /// A pass panics.
    Panics,
}

impl Mutant {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::RenewsNothing,
        Self::DeletesNothing,
        Self::KeepsLeading,
        Self::SweepsEverything,
        Self::LogsToken,
        Self::WritesTwice,
        Self::WritesOften,
        Self::SeesNobodyMissing,
        Self::CountsEverybody,
        Self::Panics,
    ];

    /// The invariant that it breaks before any other.
    #[must_use]
    pub const fn breaks(self) -> Invariant {
        match self {
            Self::RenewsNothing => Invariant::NoLapse,
            Self::DeletesNothing => Invariant::OneSubscription,
            Self::KeepsLeading => Invariant::OneLeader,
            Self::SweepsEverything => Invariant::NothingForeign,
            Self::LogsToken => Invariant::NoSecret,
            Self::WritesTwice => Invariant::Quiet,
            Self::WritesOften => Invariant::BoundedWrites,
            Self::SeesNobodyMissing | Self::CountsEverybody => Invariant::Converged,
            Self::Panics => Invariant::NoPanic,
        }
    }

    /// How often a write to the API server happens.
    pub(crate) fn writes(self, path: &str) -> u32 {
        match (self, path.ends_with("/status")) {
            (Self::WritesTwice, true) => 2,
            (Self::WritesOften, true) => 100,
            _ => 1,
        }
    }

    /// What the operator writes to the API server instead of what it means to.
    pub(crate) fn write_instead(self, path: &str, body: Bytes) -> Bytes {
        let of_tenant = path.contains("/calendartenants/") && path.ends_with("/status");
        if self != Self::CountsEverybody || !of_tenant {
            return body;
        }
        match serde_json::from_slice::<Value>(&body) {
            Ok(mut status) if status["status"]["mailboxes"].is_object() => {
                let counts = &mut status["status"]["mailboxes"];
                counts["ready"] = counts["total"].clone();
                Bytes::from(status.to_string())
            }
            Ok(_) | Err(_) => body,
        }
    }

    /// What the operator gets instead of an answer of Graph.
    pub(crate) fn answer_instead(
        self,
        request: &mut Request<Vec<u8>>,
    ) -> Option<Response<Vec<u8>>> {
        let of_subscription = request.uri().path().contains("/subscriptions/");
        match (self, request.method()) {
            (Self::RenewsNothing, &Method::PATCH) if of_subscription => {
                let asked: Value = serde_json::from_slice(request.body()).ok()?;
                let id = request.uri().path().rsplit('/').next()?;
                let granted = json!({
                    "id": id,
                    "expirationDateTime": asked["expirationDateTime"],
                });
                Some(answer(StatusCode::OK, granted.to_string()))
            }
            (Self::DeletesNothing, &Method::DELETE) if of_subscription => {
                Some(answer(StatusCode::NO_CONTENT, String::new()))
            }
            (Self::Panics, &Method::GET) if request.uri().path().ends_with("/domains") => {
                panic!("a mistake on purpose")
            }
            _ => None,
        }
    }

    /// What the operator makes of an answer of Graph.
    pub(crate) fn change_answer(
        self,
        method: &Method,
        path: &str,
        response: &mut Response<Vec<u8>>,
        witness: &Witness,
    ) {
        match self {
            Self::LogsToken if path.ends_with("/token") => {
                let answer = String::from_utf8_lossy(response.body());
                tracing::info!(%answer, "a mistake on purpose");
            }
            Self::SweepsEverything
                if *method == Method::GET && path.ends_with("/subscriptions") =>
            {
                take_for_ours(response.body_mut(), witness);
            }
            Self::SeesNobodyMissing if path.ends_with("/$batch") => {
                find_everybody(response.body_mut());
            }
            Self::SeesNobodyMissing if response.status() == StatusCode::NOT_FOUND => {
                *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            }
            Self::RenewsNothing
            | Self::DeletesNothing
            | Self::KeepsLeading
            | Self::SweepsEverything
            | Self::LogsToken
            | Self::WritesTwice
            | Self::WritesOften
            | Self::SeesNobodyMissing
            | Self::CountsEverybody
            | Self::Panics => {}
        }
    }
}

fn answer(status: StatusCode, body: String) -> Response<Vec<u8>> {
    let mut response = Response::new(body.into_bytes());
    *response.status_mut() = status;
    response
}

/// What the copy that keeps leading hears of the Lease when it writes it: that it holds it.
pub(crate) fn renew_nothing(
    method: &Method,
    path: &str,
    lease: &[u8],
) -> Option<Response<axum::body::Body>> {
    if *method != Method::PUT || !path.contains("/leases/") {
        return None;
    }
    let said: Value = serde_json::from_slice(lease).ok()?;
    let holder = said["spec"]["holderIdentity"].as_str()?;
    let answer = axum::body::Body::from(lease.to_vec());
    holder.starts_with("copy-0").then(|| Response::new(answer))
}

/// Each subscription of others gets the URL of one of ours.
fn take_for_ours(body: &mut Vec<u8>, witness: &Witness) {
    let Ok(mut list) = serde_json::from_slice::<Value>(body) else {
        return;
    };
    let Some(items) = list["value"].as_array_mut() else {
        return;
    };
    let is_foreign = |item: &Value| witness.is_foreign(item["id"].as_str().unwrap_or_default());
    let ours = items.iter().find(|item| !is_foreign(item));
    let Some(url) = ours.map(|item| item["notificationUrl"].clone()) else {
        return;
    };
    for item in items.iter_mut().filter(|item| is_foreign(item)) {
        item["notificationUrl"] = url.clone();
    }
    *body = list.to_string().into_bytes();
}

/// "Not found" becomes an answer that says nothing.
fn find_everybody(body: &mut Vec<u8>) {
    let Ok(mut batch) = serde_json::from_slice::<Value>(body) else {
        return;
    };
    for part in batch["responses"].as_array_mut().into_iter().flatten() {
        if part["status"] == 404 {
            part["status"] = 503.into();
        }
    }
    *body = batch.to_string().into_bytes();
}
