//! Is the text that was sent good? Its terms and statements against its own quotes, its quotes against the stored
//! documents, its facts against the suite's nuggets. Shares nothing with `turn/ground.rs`, on purpose: two
//! readers who learned from the same book make the same mistakes.

use std::collections::HashSet;

use unicode_normalization::UnicodeNormalization;

use super::{record::Checked, statements, suite::Nugget};
use crate::words::{Lang, Span, is_han};

/// English words that carry no content of their own.
const STOPWORDS: [&str; 64] = [
    "a", "an", "the", "and", "or", "but", "if", "then", "so", "to", "of", "in", "on", "at", "by", "for", "from",
    "with", "as", "is", "are", "was", "were", "be", "been", "being", "it", "its", "this", "that", "these", "those",
    "you", "your", "we", "our", "us", "i", "me", "my", "they", "their", "them", "he", "she", "do", "does", "did",
    "can", "could", "will", "would", "may", "might", "should", "shall", "must", "have", "has", "had", "there", "here",
    "please", "also",
];

/// Whether `word`, in lower case, carries no content of its own.
pub fn is_stopword(word: &str) -> bool {
    STOPWORDS.contains(&word)
}

/// A citation as it was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quote {
    /// The document cited.
    pub document: String,
    /// Its revision.
    pub revision: String,
    /// Its language.
    pub lang: Lang,
    /// The text quoted.
    pub text: String,
    /// Where it is said to stand in the stored text.
    pub span: Span,
}

/// What was sent as an answer.
#[derive(Debug, Clone, Copy)]
pub struct Sent<'a> {
    /// The answer.
    pub text: &'a str,
    /// Its language.
    pub lang: Lang,
    /// What was generated, before any sentence was held back; `None` where nothing was.
    pub draft: Option<&'a str>,
    /// What it cites.
    pub quotes: &'a [Quote],
}

/// Checks an answer. `stored` gives the text of a cited revision, where it is still there.
pub fn check(sent: &Sent<'_>, nuggets: &[Nugget], stored: &dyn Fn(&Quote) -> Option<String>) -> Checked {
    let quotes: Vec<&str> = sent.quotes.iter().map(|quote| quote.text.as_str()).collect();
    let resolves = |quote: &&Quote| stored(quote).is_some_and(|text| resolved(&text, quote));
    let vital = || nuggets.iter().filter(|nugget| nugget.vital);
    Checked {
        grounded: grounded(sent.text, &quotes),
        unsupported: statements::unsupported(sent.text, &quotes),
        unsupported_before_gate: sent.draft.map(|draft| statements::unsupported(draft, &quotes)),
        citations: sent.quotes.len(),
        resolved: sent.quotes.iter().filter(resolves).count(),
        vital: vital().count(),
        matched: vital().filter(|nugget| holds(sent.text, sent.lang, nugget)).count(),
    }
}

/// Share of the content terms of `text`, counted as often as they stand there, that stand in a quote; `None` without
/// content terms.
pub fn grounded(text: &str, quotes: &[&str]) -> Option<f64> {
    let known: HashSet<String> = quotes.iter().flat_map(|quote| content_terms(quote)).collect();
    let terms = content_terms(text);
    let found = terms.iter().filter(|term| known.contains(*term)).count();
    (!terms.is_empty()).then(|| found as f64 / terms.len() as f64)
}

/// Whether the stored text at the citation's offsets is its quote, to the letter.
fn resolved(stored: &str, quote: &Quote) -> bool {
    let length = quote.span.end.saturating_sub(quote.span.start);
    let there: String = stored.chars().skip(quote.span.start).take(length).collect();
    length > 0 && there == quote.text && there.chars().count() == length
}

/// Whether any pattern for the answer's language matches; where there is none for it, any pattern.
fn holds(text: &str, lang: Lang, nugget: &Nugget) -> bool {
    let (own, other) = match lang {
        Lang::Zh => (&nugget.zh, &nugget.en),
        Lang::En => (&nugget.en, &nugget.zh),
    };
    let patterns = if own.is_empty() { other } else { own };
    let folded: String = text.nfkc().collect();
    let plain = without_thousands(&folded);
    patterns.iter().any(|pattern| [text, &folded, &plain].iter().any(|text| pattern.is_match(text)))
}

/// `10,000` as `10000`.
pub fn without_thousands(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let digit = |at: usize| chars.get(at).is_some_and(char::is_ascii_digit);
    let separates = |at: usize| {
        chars[at] == ',' && at > 0 && digit(at - 1) && (1..=3).all(|step| digit(at + step)) && !digit(at + 4)
    };
    (0..chars.len()).filter(|at| !separates(*at)).map(|at| chars[at]).collect()
}

/// Latin words and numbers in lower case without stopwords; Chinese as overlapping pairs of characters, or the character
/// where it stands alone.
pub fn content_terms(text: &str) -> Vec<String> {
    let text: String = text.nfkc().flat_map(char::to_lowercase).collect();
    let mut terms = Vec::new();
    for run in runs(&text) {
        let first = run.chars().next().unwrap_or_default();
        if !is_han(first) {
            if !is_stopword(run) && (run.chars().count() > 1 || first.is_ascii_digit()) {
                terms.push(run.to_owned());
            }
            continue;
        }
        let chars: Vec<char> = run.chars().collect();
        match chars.len() {
            1 => terms.push(run.to_owned()),
            _ => terms.extend(chars.windows(2).map(|pair| pair.iter().collect::<String>())),
        }
    }
    terms
}

/// The longest stretches of Chinese characters, and of letters and digits of other scripts.
fn runs(text: &str) -> Vec<&str> {
    #[derive(PartialEq, Clone, Copy)]
    enum Script {
        Han,
        Other,
        Between,
    }
    let script = |c: char| match c {
        c if is_han(c) => Script::Han,
        c if c.is_alphanumeric() => Script::Other,
        _ => Script::Between,
    };
    let mut runs = Vec::new();
    let mut start = 0;
    let mut before = Script::Between;
    for (at, c) in text.char_indices().chain(std::iter::once((text.len(), ' '))) {
        let now = script(c);
        if now != before {
            if before != Script::Between {
                runs.push(&text[start..at]);
            }
            (start, before) = (at, now);
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use regex::Regex;

    use super::*;

    #[test]
    fn grounded_is_the_share_of_content_terms() {
        // open settings fee 5 usdt: "fee" is not in the quote.
        let value = grounded("Open the Settings: fee 5 USDT", &["open settings, pay 5 usdt"]).unwrap();
        assert!((value - 0.8).abs() < 1e-9, "{value}");
        // 提现 现手 手续 续费 against 提现 现费 续费: two of four.
        let value = grounded("提现手续费", &["提现费", "续费"]).unwrap();
        assert!((value - 0.5).abs() < 1e-9, "{value}");
        assert_eq!(grounded("the of !!", &["x"]), None);
        assert_eq!(grounded("word", &[]), Some(0.0));
    }

    #[test]
    fn terms_of_both_scripts() {
        assert_eq!(content_terms("用ＵＳＤＴ付款, v2"), ["用", "usdt", "付款", "v2"]);
    }

    #[test]
    fn a_citation_resolves_only_to_the_letter() {
        let quote = |text: &str, start, end| Quote {
            document: "d".into(),
            revision: "r".into(),
            lang: Lang::Zh,
            text: text.into(),
            span: Span { start, end },
        };
        assert!(resolved("先提现，后到账。", &quote("提现，", 1, 4)));
        for wrong in [
            quote("提现,", 1, 4),
            quote("提现，", 0, 3),
            quote("提现，后", 1, 4),
            quote("到账。", 5, 99),
            quote("", 2, 2),
        ] {
            assert!(!resolved("先提现，后到账。", &wrong), "{wrong:?}");
        }
    }

    #[test]
    fn a_nugget_is_looked_for_in_the_answers_language() {
        let nugget =
            Nugget {
                zh: vec![Regex::new("两天|2天").unwrap()], en: vec![Regex::new("2 days").unwrap()], vital: true
            };
        assert!(holds("需要２天", Lang::Zh, &nugget));
        assert!(!holds("2天", Lang::En, &nugget));
        let digits = Nugget { zh: vec![], en: vec![Regex::new(r"\b10000\b").unwrap()], vital: true };
        assert!(holds("up to 10,000 a day", Lang::En, &digits) && holds("10,000", Lang::Zh, &digits));
        assert_eq!(without_thousands("1,234,567 1,23 12,3456"), "1234567 1,23 12,3456");
    }

    #[test]
    fn a_check_counts_vital_nuggets_and_resolved_citations() {
        let quote = Quote {
            document: "d".into(),
            revision: "r".into(),
            lang: Lang::En,
            text: "fee 5".into(),
            span: Span { start: 0, end: 5 },
        };
        let gone = Quote { document: "gone".into(), ..quote.clone() };
        let quotes = [quote, gone];
        let sent = Sent { text: "fee 7", lang: Lang::En, draft: None, quotes: &quotes };
        let nugget = |pattern: &str, vital| Nugget { zh: vec![], en: vec![Regex::new(pattern).unwrap()], vital };
        let nuggets = [nugget("fee", true), nugget("5", true), nugget("7", false)];
        let checked = check(&sent, &nuggets, &|quote| (quote.document == "d").then(|| "fee 5 USD".to_owned()));
        assert_eq!((checked.citations, checked.resolved, checked.vital, checked.matched), (2, 1, 2, 1));
        assert_eq!(checked.unsupported, ["number 7"]);
        assert_eq!((checked.grounded, checked.unsupported_before_gate), (Some(0.5), None));
    }
}
