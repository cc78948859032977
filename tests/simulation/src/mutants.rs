//! Deliberate mistakes, one for each invariant: what the operator would do if it had such a mistake, made at its edges. The
//! simulation has to find each.

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
    /// Whose a subscription is does not matter: all are taken for strays.
    SweepsEverything,
    /// A token is logged.
    LogsToken,
    /// A status is written although it is the same.
    WritesTwice,
    /// Nobody believes that a mailbox is gone.
    SeesNobodyMissing,
    /// A pass panics.
    Panics,
}

impl Mutant {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::RenewsNothing,
        Self::DeletesNothing,
        Self::SweepsEverything,
        Self::LogsToken,
        Self::WritesTwice,
        Self::SeesNobodyMissing,
        Self::Panics,
    ];

    /// The invariants one of which it breaks.
    #[must_use]
    pub const fn breaks(self) -> &'static [Invariant] {
        match self {
            Self::RenewsNothing => &[Invariant::NoLapse],
            Self::DeletesNothing => &[Invariant::OneSubscription, Invariant::Converged],
            Self::SweepsEverything => &[Invariant::NothingForeign],
            Self::LogsToken => &[Invariant::NoSecret],
            Self::WritesTwice => &[Invariant::Quiet, Invariant::BoundedWrites],
            Self::SeesNobodyMissing => &[Invariant::Converged],
            Self::Panics => &[Invariant::NoPanic],
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
                let text = String::from_utf8_lossy(response.body()).into_owned();
                witness.read_impersonal("a log line", &text);
            }
            Self::SweepsEverything
                if *method == Method::GET && path.ends_with("/subscriptions") =>
            {
                take_for_ours(response.body_mut());
            }
            Self::SeesNobodyMissing if *method == Method::POST && path.ends_with("/$batch") => {
                find_everybody(response.body_mut());
            }
            Self::RenewsNothing
            | Self::DeletesNothing
            | Self::SweepsEverything
            | Self::LogsToken
            | Self::WritesTwice
            | Self::SeesNobodyMissing
            | Self::Panics => {}
        }
    }
}

fn answer(status: StatusCode, body: String) -> Response<Vec<u8>> {
    let mut response = Response::new(body.into_bytes());
    *response.status_mut() = status;
    response
}

/// Each subscription of the list gets the URL of one of ours.
fn take_for_ours(body: &mut Vec<u8>) {
    let Ok(mut list) = serde_json::from_slice::<Value>(body) else {
        return;
    };
    let Some(items) = list["value"].as_array_mut() else {
        return;
    };
    let is_ours = |url: &str| url.starts_with(crate::town::RECEIVER);
    let urls: Vec<Value> = items
        .iter()
        .map(|item| item["notificationUrl"].clone())
        .filter(|url| url.as_str().is_some_and(is_ours))
        .collect();
    if let Some(ours) = urls.first() {
        for item in items {
            if !item["notificationUrl"].as_str().is_some_and(is_ours) {
                item["notificationUrl"] = ours.clone();
            }
        }
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
