//! The approved fixed texts: short sentences that the program itself says, and one card per situation.
//!
//! Defaults are compiled in from `prompts/`; a document of kind `card` with the id `card-<situation>` in the
//! knowledge replaces the default card of that situation.

use std::{collections::BTreeMap, sync::LazyLock};

use crate::{
    safety::{self, Masked},
    words::{Audience, Document, Kind, Lang},
};

static PHRASES: LazyLock<[BTreeMap<String, String>; 2]> = LazyLock::new(|| {
    [include_str!("../../prompts/phrases.zh.toml"), include_str!("../../prompts/phrases.en.toml")]
        .map(|text| toml::from_str(text).expect("prompts/phrases parse; this is a bug"))
});

/// A fixed sentence in `lang`, for instance `phrase(Lang::En, "offer_none")`.
///
/// # Panics
/// When there is no such phrase: a test proves that every key used exists in both languages.
pub fn phrase(lang: Lang, key: &str) -> &'static str {
    let phrases = match lang {
        Lang::Zh => &PHRASES[0],
        Lang::En => &PHRASES[1],
    };
    phrases.get(key).unwrap_or_else(|| panic!("no phrase `{key}`; this is a bug"))
}

macro_rules! default_cards {
    ($($situation:literal),* $(,)?) => {
        &[$(
            ($situation, Lang::Zh, include_str!(concat!("../../prompts/cards/", $situation, ".zh.md"))),
            ($situation, Lang::En, include_str!(concat!("../../prompts/cards/", $situation, ".en.md"))),
        )*]
    };
}

/// Every situation with its default card, in both languages.
const DEFAULT_CARDS: &[(&str, Lang, &str)] = default_cards![
    "leaked_key",
    "theft",
    "wrong_transfer",
    "scam",
    "malicious_approval",
    "takeover",
    "lost_phone",
    "dispute",
    "self_harm",
    "verify_official",
    "small_talk",
    "thanks",
    "closing",
    "about_bot",
    "sorry",
    "off_topic",
    "injection",
    "secret_masked",
    "no_language",
];

/// What a default card's revision ends with; that of a document from a file ends with a day.
const DEFAULT_REVISION: &str = "-default";

static CARDS: LazyLock<Vec<Document>> = LazyLock::new(|| {
    DEFAULT_CARDS.iter().map(|(situation, lang, text)| default_card(situation, *lang, text)).collect()
});

/// The compiled-in card for `situation` in `lang`; `None` where there is no such situation.
pub fn card(situation: &str, lang: Lang) -> Option<&'static Document> {
    let id = format!("card-{situation}");
    CARDS.iter().find(|card| card.id == id && card.lang == lang)
}

/// Whether a document is one of the compiled-in cards, of this version or of an earlier one that is still in the store.
pub fn is_default(card: &Document) -> bool {
    card.kind == Kind::Card && card.revision.ends_with(DEFAULT_REVISION)
}

/// The situations that have a card, in the order of the table.
pub fn situations() -> impl Iterator<Item = &'static str> {
    DEFAULT_CARDS.iter().filter(|(_, lang, _)| *lang == Lang::En).map(|(situation, ..)| *situation)
}

/// Reads the `key: value` front matter of a compiled-in card; the general reader lives in `knowledge/read`.
fn default_card(situation: &str, lang: Lang, text: &str) -> Document {
    let mut parts = text.trim_start_matches("---\n").splitn(2, "\n---\n");
    let (front, body) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let title =
        front.lines().find_map(|line| line.strip_prefix("title:")).unwrap_or(situation).trim().trim_matches('"');
    Document {
        id: format!("card-{situation}"),
        revision: format!("{}{DEFAULT_REVISION}", env!("CARGO_PKG_VERSION")),
        lang,
        kind: Kind::Card,
        audience: Audience::Customer,
        title: safety::mask(title),
        aliases: Vec::new(),
        body: approved(body),
        tags: vec!["card".to_owned()],
        product: None,
        valid_from: None,
        valid_until: None,
        source: Some(format!("prompts/cards/{situation}.{lang}.md")),
    }
}

fn approved(body: &str) -> Masked {
    safety::mask(body.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_phrase_exists_in_both_languages() {
        let keys = |at: usize| PHRASES[at].keys().cloned().collect::<Vec<_>>();
        assert_eq!(keys(0), keys(1));
        assert!(PHRASES.iter().flat_map(BTreeMap::values).all(|text| !text.trim().is_empty()));
    }

    #[test]
    fn a_card_that_goes_to_a_person_sends_nobody_to_tap_for_one() {
        // With these a person is a tap away; every other card comes with a case.
        const NO_CASE: [&str; 7] = ["small_talk", "thanks", "closing", "about_bot", "sorry", "off_topic", "injection"];
        for situation in situations().filter(|situation| !NO_CASE.contains(situation)) {
            for lang in Lang::ALL {
                let body = card(situation, lang).unwrap().body.as_str();
                assert!(!body.contains(phrase(lang, "offer_person")), "{situation} {lang}: {body}");
            }
        }
    }

    #[test]
    fn every_situation_has_a_card_in_both_languages() {
        for situation in situations() {
            for lang in Lang::ALL {
                let card = card(situation, lang).unwrap();
                assert!(card.body.as_str().len() > 20, "{situation} {lang}");
                assert!(!card.title.as_str().is_empty() && !card.body.as_str().contains("---"), "{situation} {lang}");
            }
        }
    }
}
