//! Objects as an API server may have them: written by another version, or by a person with an editor. What cannot be
//! read is left alone; what can be read has an agenda, and is written as it was read.

use fuzz::Target;
use fuzz::shown::nothing_personal;

use super::objects::{StoredMailbox, StoredTenant};
use super::stage::Stage;

const WORDS: &[&str] = &[
    "\"status\"",
    "\"spec\"",
    "\"conditions\"",
    "\"subscription\"",
    "\"observedGeneration\"",
    "2026-11-24T08:00:00Z",
    "-009998-01-01T00:00:00Z",
    "9999-12-30T22:00:00Z",
    "0s",
    "292y",
];

/// Of a record: what is written of it is what was read.
macro_rules! written_as_read {
    ($record:expr) => {
        let status = serde_json::to_value(&$record.status).unwrap();
        assert_eq!(
            serde_json::from_value(status).ok().as_ref(),
            Some(&$record.status)
        );
        let spec = serde_json::to_value(&$record.spec).unwrap();
        assert_eq!(
            serde_json::from_value(spec).ok().as_ref(),
            Some(&$record.spec)
        );
    };
}

#[test]
fn every_object_is_read_or_left_alone_and_what_is_read_has_an_agenda() {
    let stage = tokio::runtime::Builder::new_current_thread();
    let runtime = { stage }.enable_time().start_paused(true).build().unwrap();
    let _entered = runtime.enter();
    let stage = Stage::new();
    Target::new("objects").words(WORDS).run(|input| {
        let context = stage.context();
        if let Ok(object) = serde_json::from_slice::<StoredTenant>(input) {
            match object.record() {
                Ok(record) => {
                    written_as_read!(record);
                    context.tenant_present(&record);
                    context.tenant_written(&record);
                    context.tenant_gone(&record.key);
                }
                // It is logged.
                Err(error) => nothing_personal(&error.to_string()),
            }
        }
        if let Ok(object) = serde_json::from_slice::<StoredMailbox>(input) {
            match object.record() {
                Ok(record) => {
                    written_as_read!(record);
                    context.tenant_present(&super::stage::tenant(1));
                    let key = record.key.clone();
                    context.mailbox_present(record.clone());
                    context.mailbox_written(record);
                    context.mailbox_gone(&key);
                }
                Err(error) => nothing_personal(&error.to_string()),
            }
        }
    });
}
