//! The words that every room shares: language, kind, audience, span, document. Plain data, no behaviour beyond
//! reading and printing; a type comes here only when rooms that may not know each other both need it.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    error::{Error, Result},
    safety::Masked,
};

/// A language that Deskhand answers in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Lang {
    /// Chinese; simplified when we write, any script when we read.
    Zh,
    /// English.
    En,
}

impl Lang {
    /// Both, in the order of the enum.
    pub const ALL: [Lang; 2] = [Lang::Zh, Lang::En];

    /// `zh` or `en`.
    pub fn as_str(self) -> &'static str {
        match self {
            Lang::Zh => "zh",
            Lang::En => "en",
        }
    }

    /// The other one.
    pub fn other(self) -> Lang {
        match self {
            Lang::Zh => Lang::En,
            Lang::En => Lang::Zh,
        }
    }
}

impl std::str::FromStr for Lang {
    type Err = Error;

    /// Reads a language tag such as `zh`, `zh-Hant`, `en` or `en-GB`.
    fn from_str(text: &str) -> Result<Self> {
        match text.split(['-', '_']).next().unwrap_or_default().to_ascii_lowercase().as_str() {
            "zh" => Ok(Lang::Zh),
            "en" => Ok(Lang::En),
            _ => Err(Error::invalid("the language", format!("`{text}`"), "`zh` or `en`")),
        }
    }
}

impl std::fmt::Display for Lang {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whether `c` is a Chinese character: the unified ideographs with their extensions, the compatibility ones and 〇.
pub fn is_han(c: char) -> bool {
    matches!(c, '\u{3007}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{323af}')
}

/// The language of `text`, or `None` where it is another one, or nothing in words: emoji, digits, an address.
///
/// Chinese when Han characters carry at least as much of it as other words do ("我的 withdrawal 没到"); else English,
/// unless the text is long enough to be told from other languages in Latin script and is one of those.
pub fn detect_lang(text: &str) -> Option<Lang> {
    /// A Chinese word has about two characters.
    const HAN_PER_WORD: usize = 2;
    /// With fewer letters a guess between languages of one script is worth little, and English is likelier here.
    const TOLD_FROM_LETTERS: usize = 24;

    let is_kana_or_hangul = |c: char| matches!(c, '\u{3040}'..='\u{30ff}' | '\u{ac00}'..='\u{d7af}');
    let han = text.chars().filter(|c| is_han(*c)).count();
    let foreign = text.chars().filter(|c| is_kana_or_hangul(*c)).count();
    if foreign > 2 && foreign * 4 > han {
        return None;
    }
    // Addresses, hashes, URLs and versions are in no language.
    let words: Vec<&str> = text
        .split(|c: char| c.is_whitespace() || is_han(c))
        .filter(|word| word.chars().any(char::is_alphabetic) && !word.chars().any(|c| c.is_ascii_digit()))
        .filter(|word| !word.contains("://") && !word.contains('@'))
        .collect();
    if han > 0 && han >= words.len() * HAN_PER_WORD {
        return Some(Lang::Zh);
    }
    let prose = words.join(" ");
    let letters = prose.chars().filter(|c| c.is_alphabetic()).count();
    if letters == 0 {
        return (han > 0).then_some(Lang::Zh);
    }
    let guess = whatlang::detect(&prose)?;
    match guess.script() {
        whatlang::Script::Latin => {}
        // A few Han characters among English words: whatlang may call the script either way.
        whatlang::Script::Mandarin => return Some(Lang::Zh),
        _ => return None,
    }
    let told = letters >= TOLD_FROM_LETTERS && guess.is_reliable();
    if told && guess.lang() != whatlang::Lang::Eng { None } else { Some(Lang::En) }
}

/// What sort of text a document is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, Default)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// One question and its answer, quoted whole.
    #[default]
    Faq,
    /// A longer text with sections; one section is quoted, with a link to the rest.
    Guide,
    /// How an agent solved a past case. For agents, never quoted to a customer.
    Resolution,
    /// A dated announcement; one in force that matches comes first.
    Notice,
    /// A fixed text for a situation.
    Card,
}

impl Kind {
    /// The lowercase word, as in files and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Faq => "faq",
            Kind::Guide => "guide",
            Kind::Resolution => "resolution",
            Kind::Notice => "notice",
            Kind::Card => "card",
        }
    }
}

impl std::str::FromStr for Kind {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        [Kind::Faq, Kind::Guide, Kind::Resolution, Kind::Notice, Kind::Card]
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or_else(|| Error::invalid("the kind", format!("`{text}`"), "faq, guide, resolution, notice or card"))
    }
}

/// Who may see a document's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, Default)]
#[serde(rename_all = "lowercase")]
pub enum Audience {
    /// Anyone who asks.
    #[default]
    Customer,
    /// Agents only: evidence for the case, never quoted to a customer.
    Agent,
}

impl Audience {
    /// The lowercase word, as in files and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Audience::Customer => "customer",
            Audience::Agent => "agent",
        }
    }
}

impl std::str::FromStr for Audience {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "customer" => Ok(Audience::Customer),
            "agent" => Ok(Audience::Agent),
            _ => Err(Error::invalid("the audience", format!("`{text}`"), "customer or agent")),
        }
    }
}

/// A piece of a text: Unicode code points, half-open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Span {
    /// The first code point.
    pub start: usize,
    /// One past the last code point.
    pub end: usize,
}

impl Span {
    /// The piece of `text` that this span covers; empty where it lies outside.
    pub fn of<'t>(&self, text: &'t str) -> &'t str {
        let byte = |point: usize| text.char_indices().nth(point).map_or(text.len(), |(at, _)| at);
        if self.start >= self.end { "" } else { &text[byte(self.start)..byte(self.end)] }
    }
}

/// An approved text. `(id, lang)` names it; `revision` changes whenever anything a reader could see changes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Document {
    /// The maintainer's own name for it, the same in both languages.
    pub id: String,
    /// Short content hash and date, for instance `3f9a1c22-2026-11-22`.
    pub revision: String,
    /// The language of title, aliases and body.
    pub lang: Lang,
    /// What sort of text it is.
    pub kind: Kind,
    /// Who may see it.
    pub audience: Audience,
    /// The question it answers, or its heading.
    pub title: Masked,
    /// Other phrasings of the question.
    pub aliases: Vec<Masked>,
    /// The text, Markdown. Offsets count its code points.
    pub body: Masked,
    /// Topics, the first one the main topic.
    pub tags: Vec<String>,
    /// The product it is about, when there are several.
    pub product: Option<String>,
    /// First day on which it holds.
    pub valid_from: Option<Date>,
    /// Last day on which it holds.
    pub valid_until: Option<Date>,
    /// Where it came from: file and line, or a URL.
    pub source: Option<String>,
}

impl Document {
    /// Whether it holds on `day`.
    pub fn holds_on(&self, day: Date) -> bool {
        self.valid_from.is_none_or(|from| from <= day) && self.valid_until.is_none_or(|until| day <= until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_language_is_found_or_said_to_be_unknown() {
        for (text, expect) in [
            ("提现到银行卡要多久到账？", Some(Lang::Zh)),
            ("提現幾天能到", Some(Lang::Zh)),
            ("我的 withdrawal 还没到", Some(Lang::Zh)),
            ("usdt提币", Some(Lang::Zh)),
            ("hi", Some(Lang::En)),
            ("where is my money", Some(Lang::En)),
            ("my card got declined, wtf??", Some(Lang::En)),
            ("How do I withdraw from the app to 招商银行 today please", Some(Lang::En)),
            ("withdrawal stuck 0x52908400098527886E0F7030069857D2E4169EE7", Some(Lang::En)),
            ("Bonjour, je voudrais savoir où est mon argent parce que le virement n'est pas arrivé", None),
            ("¿Dónde está mi dinero? La transferencia todavía no ha llegado a mi cuenta bancaria", None),
            ("Где мои деньги?", None),
            ("出金はいつ届きますか", None),
            ("출금은 언제 도착하나요", None),
            ("😀😀", None),
            ("12345 / 67", None),
            ("0x52908400098527886E0F7030069857D2E4169EE7", None),
            ("", None),
        ] {
            assert_eq!(detect_lang(text), expect, "{text}");
        }
    }

    #[test]
    fn a_span_counts_code_points() {
        assert_eq!(Span { start: 2, end: 4 }.of("提现到账"), "到账");
        assert_eq!(Span { start: 3, end: 99 }.of("a😀bc"), "c");
        assert_eq!(Span { start: 9, end: 3 }.of("abc"), "");
    }
}
