//! What is accepted as a view and what is not.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod views;

use cluster::{MAX_NODES, View};
use serde_json::{Value, json};

use views::equal_nodes;

fn edit(edit: impl FnOnce(&mut Value)) -> Result<View, String> {
    let mut json = serde_json::to_value(equal_nodes(3)).unwrap();
    edit(&mut json);
    View::from_json(json.to_string().as_bytes()).map_err(|e| e.to_string())
}

#[test]
fn fields_of_newer_releases_are_ignored() {
    let view = edit(|json| {
        json["term"] = json!(7);
        json["nodes"][0]["warmth"] = json!({"share": 0.5});
    });
    assert_eq!(view.unwrap(), equal_nodes(3));
}

#[test]
fn fields_with_a_default_may_be_missing() {
    let view = edit(|json| {
        for key in ["slots", "points", "proxies"] {
            json.as_object_mut().unwrap().remove(key);
        }
        for key in ["zone", "weight", "runId"] {
            json["nodes"][1].as_object_mut().unwrap().remove(key);
        }
    });
    assert_eq!(view.unwrap(), equal_nodes(3));
}

#[test]
fn everything_else_is_checked() {
    let check = |change: &dyn Fn(&mut Value), reason: &str| {
        let error = edit(change).unwrap_err();
        assert!(error.contains(reason), "{reason:?} is not in {error:?}");
    };
    check(&|json| json["epoch"] = json!("7"), "invalid type");
    check(&|json| json["epoch"] = json!(-1), "invalid value");
    check(&|json| json["nodes"][0]["status"] = json!("UP"), "unknown variant");
    check(&|json| json["nodes"][0]["port"] = json!(70_000), "invalid value");
    check(&|json| json["nodes"][0]["port"] = json!(0), "node1 has no address");
    check(&|json| json["nodes"][0]["host"] = json!(""), "node1 has no address");
    check(&|json| json["nodes"][0]["nodeId"] = json!("a b"), "may only hold");
    check(&|json| json["nodes"][0]["weight"] = json!(0), "weight 0 of node1 is not 1 to 100");
    check(&|json| json["nodes"][0]["routable"] = json!(1), "invalid type");
    check(&|json| json["nodes"][1]["nodeId"] = json!("node1"), "id node1 appears twice");
    check(&|json| json["nodes"] = json!([]), "no nodes");
    check(&|json| json["slots"] = json!(65_535), "65535 is no allowed number of slots");
    check(&|json| json["slots"] = json!(1 << 21), "no allowed number of slots");
    check(&|json| json["points"] = json!(0), "make 0, not 1 to");
    check(&|json| json["points"] = json!(4_000_000_000_u32), "make 12000000000, not 1 to");
    check(&|json| *json = json!([]), "invalid length");
}

#[test]
fn the_number_of_members_is_bounded() {
    let mut view = equal_nodes(MAX_NODES + 1);
    assert!(view.check().unwrap_err().to_string().contains("more than 10000 members"));
    view.points = 100;
    view.nodes.pop();
    view.check().unwrap();
}
