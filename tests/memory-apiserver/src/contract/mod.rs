//! What the operator relies on, rule by rule: both the real API server and the one in memory must keep it.
//!
//! A rule is a function that panics when it is broken, and is given a namespace of its own. The real server has said each
//! of them first. Rules of the one in memory alone are beside its code.

#![expect(clippy::unwrap_used, reason = "a rule fails by panicking")]

use std::fmt;
use std::sync::Arc;

use futures::future::BoxFuture;
use kube::Client;

mod custom;
mod delete;
mod events;
mod ground;
mod identity;
mod leases;
mod lists;
mod pages;
mod status;
mod update;
mod watches;
mod watching;

/// Deletes a namespace with all that is in it.
pub type DeleteNamespace = Arc<dyn Fn(String) -> BoxFuture<'static, ()> + Send + Sync>;

/// Where a rule is tried.
#[derive(Clone)]
pub struct Ground {
    /// May do everything.
    pub client: Client,
    /// Nobody else uses it.
    pub namespace: String,
    /// As the controllers of a cluster do.
    pub delete_namespace: DeleteNamespace,
}

impl fmt::Debug for Ground {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ground")
            .field("namespace", &self.namespace)
            .finish_non_exhaustive()
    }
}

/// A rule.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// A sentence.
    pub name: &'static str,
    /// Panics when the rule is broken.
    pub holds: fn(Ground) -> BoxFuture<'static, ()>,
}

macro_rules! rules {
    ($($module:ident::$rule:ident,)*) => {
        /// All rules.
        pub const RULES: &[Rule] = &[$(Rule {
            name: stringify!($rule),
            holds: |ground| Box::pin($module::$rule(ground)),
        }),*];

        #[cfg(test)]
        mod in_memory {
            $(#[tokio::test(start_paused = true)]
            async fn $rule() {
                super::$module::$rule(super::memory::ground()).await;
            })*
        }
    };
}

rules! {
    identity::an_object_that_is_created_gets_its_identity,
    identity::a_new_object_has_no_version,
    identity::a_name_is_taken_once,
    identity::what_is_not_there_is_not_found,
    identity::nothing_is_created_where_there_is_no_namespace,
    identity::nothing_is_created_in_a_namespace_that_is_being_deleted,
    identity::a_namespace_takes_its_contents_along,
    identity::a_namespace_is_labelled_with_its_name,
    identity::an_object_sent_to_another_namespace_is_refused,
    identity::plain_text_of_a_secret_is_stored_as_data,
    identity::the_system_namespace_names_the_cluster,
    update::an_update_of_an_older_version_is_a_conflict,
    update::an_update_without_a_version_is_only_taken_for_some_kinds,
    update::an_update_that_changes_nothing_makes_no_version,
    update::an_update_of_what_is_gone,
    update::an_update_of_an_object_with_another_uid_is_a_conflict,
    update::an_object_with_another_name_than_its_path_is_refused,
    update::what_the_server_says_of_an_object_stays,
    update::the_type_of_a_secret_stays,
    update::a_merge_patch_changes_what_it_names,
    update::a_merge_patch_for_an_older_version_is_a_conflict,
    leases::a_lease_keeps_what_elections_write,
    leases::an_empty_annotation_list_is_none,
    leases::a_lease_lasts_for_a_while,
    leases::of_two_who_write_one_version_one_wins,
    custom::a_spec_gets_its_defaults_and_loses_what_is_unknown,
    custom::the_first_write_stores_what_the_server_filled_in,
    custom::a_status_sent_with_a_spec_is_left_aside,
    custom::the_generation_counts_changes_of_the_spec,
    custom::a_spec_that_breaks_its_schema_is_refused,
    custom::a_status_is_written_without_the_rest,
    status::a_status_is_stored_with_defaults,
    status::what_a_status_leaves_out_is_removed_whoever_wrote_it,
    status::the_same_status_makes_no_version,
    status::a_status_for_an_older_version_is_a_conflict,
    status::a_status_for_another_object_of_the_name_is_a_conflict,
    status::a_status_without_a_version_is_refused,
    status::what_no_schema_knows_is_not_stored,
    status::a_status_that_breaks_its_schema_is_refused,
    status::the_status_of_what_is_gone_is_not_found,
    status::conditions_keep_their_order,
    status::a_status_does_not_touch_spec_or_labels,
    delete::a_delete_says_what_was_deleted,
    delete::a_deleted_service_account_is_shown,
    delete::a_delete_of_another_object_is_a_conflict,
    delete::a_finalizer_holds_an_object,
    delete::an_object_that_is_made_anew_is_another,
    events::an_event_is_created_and_counted_up,
    events::an_event_that_lacks_something_is_refused,
    events::only_the_count_of_an_event_can_change,
    events::the_recorder_can_publish_twice,
    events::a_token_is_for_whom_it_was_asked,
    events::a_token_of_nobody_is_not_found,
    lists::labels_choose,
    lists::fields_choose,
    lists::metadata_alone_is_shown,
    lists::a_list_names_its_kind,
    lists::a_list_of_a_version_shows_how_it_was,
    pages::pages_show_one_moment,
    pages::pages_of_a_choice_do_not_count_the_rest,
    pages::a_token_that_nobody_gave_is_refused,
    pages::objects_are_listed_by_namespace_and_name,
    watches::a_watch_tells_what_happens_in_order,
    watches::a_watch_tells_everything_since_its_version,
    watches::a_watch_of_no_version_begins_with_everything,
    watches::a_watch_of_no_version_is_told_where_the_list_ends,
    watches::a_watch_by_labels_sees_objects_come_and_go,
    watches::a_watch_by_name_sees_one_object,
    watches::a_watch_of_metadata_shows_metadata_alone,
    watches::a_watch_of_long_ago_is_told_so,
    watches::a_watch_of_one_namespace_sees_no_other,
    watching::a_watch_ends_when_its_time_is_up,
    watching::a_watch_is_told_how_far_it_is_before_it_ends,
    watching::what_changes_nothing_is_not_told,
    watching::a_list_can_be_streamed_and_has_an_end,
    watching::a_streamed_list_of_metadata_has_an_end_too,
    watching::what_does_not_go_with_a_streamed_list_is_refused,
    watching::a_watcher_sees_everything_once,
    watching::a_watcher_of_streamed_lists_sees_everything_once,
}

#[cfg(test)]
mod memory {
    use std::sync::Arc;

    use serde_json::json;

    use super::{Ground, events};
    use crate::MemoryApiServer;

    const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../crds");

    /// A cluster of its own with the operator's kinds, and a namespace in it.
    pub(super) fn ground() -> Ground {
        let server = MemoryApiServer::new(|| "2026-11-24T08:00:00.123456789Z".parse().unwrap());
        for file in std::fs::read_dir(FOLDER).unwrap() {
            let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
            server.install(&serde_yaml_ng::from_str(&text).unwrap());
        }
        server.sign_tokens(events::unsigned);
        let namespace = "calendars".to_owned();
        let object = json!({"kind": "Namespace", "metadata": {"name": namespace}});
        server.create(object).unwrap();
        Ground {
            client: server.client(),
            namespace,
            delete_namespace: Arc::new(move |name| {
                server.delete_namespace(&name).unwrap();
                Box::pin(std::future::ready(()))
            }),
        }
    }
}
