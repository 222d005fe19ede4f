//! The short form below a danger's card: what each fact is called, and which lines of a message answer it.

use std::{ops::Range, sync::LazyLock};

use super::facts::MASK;
use crate::{
    turn::{ground::fold::fold, phrases::phrase},
    words::Lang,
};

/// What a form can ask for: every fact that a situation of danger needs.
const SLOTS: &[&str] = &[
    "tx_hash",
    "address",
    "amount",
    "network",
    "time",
    "merchant",
    "card",
    "wallet",
    "contact",
    "device",
    "order",
    "requested",
];

/// What the customer reads for a slot; `None` for one that no form asks for.
pub(super) fn label(slot: &str, lang: Lang) -> Option<&'static str> {
    SLOTS.contains(&slot).then(|| phrase(lang, &format!("fact_{slot}")))
}

/// The values of lines that begin with a label and a colon, with the label's slot. `text` is folded, ranges are bytes.
pub(super) fn answers(text: &str) -> Vec<(&'static str, Range<usize>)> {
    static LABELS: LazyLock<Vec<(&str, String)>> = LazyLock::new(|| {
        let of = |slot: &&'static str| Lang::ALL.map(|lang| (*slot, fold(label(slot, lang).unwrap_or_default())));
        SLOTS.iter().flat_map(of).collect()
    });
    let mut found = Vec::new();
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let value_after =
            |label: &String| Some(line.strip_prefix(label.as_str())?.trim_start().strip_prefix(':')?.trim());
        let answer = LABELS.iter().find_map(|(slot, label)| Some((*slot, value_after(label)?)));
        // What was masked is no fact, except that somebody's number or address was given.
        if let Some((slot, value)) =
            answer.filter(|(slot, value)| !value.is_empty() && (*slot == "contact" || !MASK.is_match(value)))
        {
            let at = start + (value.as_ptr() as usize - line.as_ptr() as usize);
            found.push((slot, at..at + value.len()));
        }
        start += line.len();
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fact_has_a_name_of_its_own_in_both_languages() {
        let labels: Vec<String> =
            Lang::ALL.iter().flat_map(|lang| SLOTS.iter().map(|slot| fold(label(slot, *lang).unwrap()))).collect();
        for (at, label) in labels.iter().enumerate() {
            assert!(!label.contains(':') && !label.contains('\n'), "{label}");
            assert!(labels[at + 1..].iter().all(|other| !other.starts_with(label.as_str())), "{label}");
        }
        assert_eq!(label("error_code", Lang::En), None);
    }

    #[test]
    fn lines_of_a_form_are_read_and_others_are_not() {
        for (text, expected) in [
            ("Network (chain): TRC20", &[("network", "TRC20")] as &[(&str, &str)]),
            (
                "hello\nWhen it happened:  around 3, i think \nMerchant's name: the shop on the corner",
                &[("time", "around 3, i think"), ("merchant", "the shop on the corner")],
            ),
            ("发生时间：刚才\n对方要求您做什么：下载一个软件", &[("time", "刚才"), ("requested", "下载一个软件")]),
            ("Their name, number or website: [phone 1]", &[("contact", "[phone 1]")]),
            ("Wallet address: [seed phrase 1]", &[]),
            ("Wallet address:", &[]),
            ("my Network (chain): TRC20", &[]),
            ("network is slow: why", &[]),
        ] {
            let folded = fold(text);
            let found: Vec<_> = answers(&folded).into_iter().map(|(slot, at)| (slot, &folded[at])).collect();
            assert_eq!(found, expected, "{text}");
        }
    }
}
