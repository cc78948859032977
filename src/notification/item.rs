//! A notification as Graph sends it, reduced to what verifying it takes (docs/graph.md 8.6 and 8.7). The
//! resource and its data are not read at all.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, SeqAccess, Visitor};

/// More than fit into the largest body with their required fields; fewer than could hurt.
pub const MAX_ITEMS: usize = 5_000;

/// The body of one request.
#[derive(Debug, Deserialize)]
pub struct Body {
    /// Its items, which may be of several subscriptions.
    #[serde(deserialize_with = "bounded")]
    pub value: Vec<Item>,
}

/// One notification. What is missing makes it unverifiable, not malformed.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Item {
    /// Proof that the subscription is ours.
    pub client_state: Option<String>,
    /// The tenant that it comes from.
    pub tenant_id: Option<String>,
    /// Only in lifecycle notifications.
    pub lifecycle_event: Option<String>,
}

fn bounded<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Item>, D::Error> {
    struct Items;

    impl<'de> Visitor<'de> for Items {
        type Value = Vec<Item>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "at most {MAX_ITEMS} notifications")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Self::Value, A::Error> {
            let mut items = Vec::new();
            while let Some(item) = sequence.next_element()? {
                if items.len() == MAX_ITEMS {
                    return Err(A::Error::invalid_length(MAX_ITEMS + 1, &self));
                }
                items.push(item);
            }
            Ok(items)
        }
    }

    from.deserialize_seq(Items)
}
