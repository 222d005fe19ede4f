//! Brings up to date what was made from messages that are masked further: replies with their cases, events, tickets.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::{
    safety::incoming::{self, Remasked},
    turn::case::Case,
};

/// Rewrites stored JSON; whether anything changed. A case is written anew from its fields; every other text loses the
/// pieces of the changed messages that it quotes.
pub(super) fn rewrite(json: &mut Value, changed: &BTreeMap<i64, Remasked>) -> bool {
    let before = json.clone();
    rewrite_cases(json, changed);
    rewrite_texts(json, changed);
    *json != before
}

/// The case itself (a ticket's), or the one in a reply.
fn rewrite_cases(json: &mut Value, changed: &BTreeMap<i64, Remasked>) {
    let place = if json.get("facts").is_some() { Some(json) } else { json.get_mut("case") };
    let Some(place) = place.filter(|place| place.is_object()) else { return };
    // What is no case of this version is rewritten like any other JSON.
    let Ok(mut case) = Case::deserialize(&*place) else { return };
    case.remask(changed);
    if let Ok(case) = serde_json::to_value(case) {
        *place = case;
    }
}

fn rewrite_texts(json: &mut Value, changed: &BTreeMap<i64, Remasked>) {
    match json {
        Value::String(text) => {
            if let Some(now) = incoming::rewrite(text, changed.values()) {
                *text = now;
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| rewrite_texts(item, changed)),
        Value::Object(fields) => fields.values_mut().for_each(|field| rewrite_texts(field, changed)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
