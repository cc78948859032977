//! Who owns what after applies and updates.

use super::*;
use serde_json::json;

fn schema() -> Value {
    json!({"properties": {
        "phase": {"type": "string"},
        "subscription": {"properties": {"id": {"type": "string"}, "until": {"type": "string"}}},
        "conditions": {
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["type"],
            "items": {"properties": {"type": {}, "status": {}, "message": {"default": ""}}},
        },
        "history": {"x-kubernetes-list-type": "atomic", "items": {"properties": {"time": {}}}},
    }})
}

struct Play {
    schema: Value,
    live: Value,
    owners: Owners,
}

impl Play {
    fn new(live: Value) -> Self {
        Self {
            schema: schema(),
            live,
            owners: Owners::default(),
        }
    }

    #[expect(clippy::needless_pass_by_value, reason = "written on the spot")]
    fn apply(&mut self, manager: &str, config: Value) {
        let status = Status {
            schema: Schema::new(&self.schema),
            live: &self.live,
        };
        self.live = self.owners.apply(status, manager, &config);
    }

    fn update(&mut self, manager: &str, new: Value) {
        let status = Status {
            schema: Schema::new(&self.schema),
            live: &self.live,
        };
        self.owners.update(status, manager, &new);
        self.live = new;
    }
}

#[test]
fn what_its_only_owner_leaves_out_is_removed_with_what_nobody_owns_in_it() {
    let mut play = Play::new(json!({"phase": "default"}));
    play.apply("me", json!({
        "subscription": {"id": "1", "until": "x"}, "conditions": [{"type": "A"}, {"type": "B"}], "history": [1],
    }));
    play.live["conditions"][0]["message"] = json!("");
    play.apply("me", json!({"conditions": [{"type": "B"}]}));
    assert_eq!(
        play.live,
        json!({"phase": "default", "conditions": [{"type": "B"}]})
    );
}

#[test]
fn what_somebody_else_owns_too_stays() {
    let mut play = Play::new(json!({}));
    play.update("other", json!({"phase": "x", "subscription": {"id": "1"}}));
    play.apply(
        "me",
        json!({"phase": "x", "subscription": {"id": "2", "until": "y"}}),
    );
    play.apply("me", json!({}));
    assert_eq!(play.live, json!({"phase": "x"}));
}

#[test]
fn what_somebody_else_changed_is_theirs() {
    let mut play = Play::new(json!({}));
    play.apply("me", json!({"phase": "x", "subscription": {"id": "1"}}));
    play.update("other", json!({"phase": "y", "subscription": {"id": "1"}}));
    play.apply("me", json!({}));
    assert_eq!(play.live, json!({"phase": "y"}));
}

#[test]
fn the_order_of_items_is_the_applied_one_with_others_in_between() {
    let types = |value: &Value| -> String {
        let items = value["conditions"].as_array().unwrap();
        items
            .iter()
            .map(|item| item["type"].as_str().unwrap())
            .collect()
    };
    let list = |names: &str| -> Value {
        let item = |name: char| json!({"type": name.to_string()});
        json!({"conditions": names.chars().map(item).collect::<Vec<_>>()})
    };
    for (live, applied, expected) in [
        ("", "AB", "AB"),
        ("AB", "BA", "BA"),
        ("XAB", "BA", "XBA"),
        ("AXB", "AB", "AXB"),
        ("AXB", "BA", "XBA"),
        ("AB", "CAB", "CAB"),
        ("XY", "AB", "XYAB"),
    ] {
        let mut play = Play::new(list(live));
        play.apply("me", list(applied));
        assert_eq!(types(&play.live), expected, "{live} {applied}");
    }
}
