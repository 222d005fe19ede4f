//! WHAT HAS COME IN, AND WHAT DOES IT GIVE AWAY OF WHAT CAME BEFORE? A customer's message with what must not be stored: its
//! raw words, for as long as it takes to hold them against the earlier messages, and the contacts in it.

use std::ops::Range;

use super::{
    Masked,
    contact::{ContactKind, Contacts},
    secrets::{self, Replaced, SecretKind, Source},
    split,
};
use crate::words::Span;

/// Earlier messages of the customer that [`Incoming::after`] wants to see.
pub const LOOK_BACK: usize = split::LOOK_BACK;

/// A customer's message as it came in. Only its masked text is ever printed.
#[derive(Clone)]
pub struct Incoming {
    text: Masked,
    contacts: Contacts,
    raw: String,
}

impl std::fmt::Debug for Incoming {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Incoming").field(&self.text).finish()
    }
}

impl Incoming {
    /// Masks a message and keeps what masking took out, for this process's memory only.
    pub fn new(raw: &str) -> Self {
        let mut contacts = Contacts::default();
        let text = secrets::replace_all(raw, Source::Person, &[], |kind, value| match kind {
            SecretKind::Email => contacts.push(ContactKind::Email, value),
            SecretKind::Phone => contacts.push(ContactKind::Phone, value),
            _ => {}
        });
        Incoming { text: Masked(text), contacts, raw: raw.to_owned() }
    }

    /// Its text without secrets, as far as the message alone tells.
    pub fn text(&self) -> &Masked {
        &self.text
    }

    /// The contact data in it.
    pub fn contacts(&self) -> &Contacts {
        &self.contacts
    }

    /// The message held against the customer's earlier ones, oldest first: a seed phrase that they make up together is
    /// masked in all of them.
    pub fn after(&self, earlier: &[Masked]) -> Joined {
        let mut texts: Vec<&str> = earlier.iter().map(Masked::as_str).collect();
        texts.push(&self.raw);
        let phrases_in =
            |text: &str| secrets::masks_in(text).iter().filter(|(kind, _, _)| *kind == SecretKind::SeedPhrase).count();
        let has_phrase = phrases_in(self.text.as_str()) > phrases_in(&self.raw);
        let mut found = split::find(&texts, has_phrase);
        let text = match found.remove(&earlier.len()) {
            Some(own) => Masked(secrets::replace_all(&self.raw, Source::Person, &own, |_, _| {})),
            None => self.text.clone(),
        };
        let changed = found.into_iter().map(|(at, ranges)| (at, Remasked::new(texts[at], &ranges))).collect();
        Joined { text, changed }
    }
}

/// A message and what it changed.
pub struct Joined {
    /// The message's text.
    pub text: Masked,
    /// The earlier messages that are to be masked further, by their place in the given list.
    pub changed: Vec<(usize, Remasked)>,
}

/// A stored message that is masked further. Holds what it was, so it cannot be printed.
pub struct Remasked {
    before: String,
    text: Masked,
    /// Pieces of `before` with the masks that stand for them now.
    pieces: Vec<Piece>,
}

struct Piece {
    before: Span,
    after: Span,
    said: String,
    mask: String,
}

impl Remasked {
    /// Masks the seed phrases at `ranges` (bytes).
    pub(super) fn new(before: &str, ranges: &[Range<usize>]) -> Self {
        let (after, moved) = secrets::replace_phrases(before, ranges);
        let points = |text: &str, bytes: &Range<usize>| {
            let start = text[..bytes.start].chars().count();
            Span { start, end: start + text[bytes.clone()].chars().count() }
        };
        let piece = |(old, new): Replaced| Piece {
            before: points(before, &old),
            after: points(&after, &new),
            said: before[old].to_owned(),
            mask: after[new].to_owned(),
        };
        let pieces = moved.into_iter().map(piece).collect();
        Remasked { before: before.to_owned(), pieces, text: Masked(after) }
    }

    /// What the message says now.
    pub fn text(&self) -> &Masked {
        &self.text
    }

    /// How many masks were put in.
    pub fn masks(&self) -> usize {
        self.pieces.len()
    }

    /// Where a quotation of the message as it was stands in it now; `None` where `value` was not at `span`.
    pub fn moved(&self, span: Span, value: &str) -> Option<Span> {
        if span.of(&self.before) != value {
            return None;
        }
        Some(Span {
            start: self.point(span.start, false),
            end: self.point(span.end, true).max(self.point(span.start, false)),
        })
    }

    /// A code point of the old text in the new one. One inside a piece becomes an edge of its mask.
    fn point(&self, point: usize, is_end: bool) -> usize {
        let mut shift = 0isize;
        for piece in &self.pieces {
            let is_inside = piece.before.start < point && point < piece.before.end;
            if is_inside {
                return if is_end { piece.after.end } else { piece.after.start };
            }
            if point < piece.before.end {
                break;
            }
            shift = piece.after.end as isize - piece.before.end as isize;
        }
        point.saturating_add_signed(shift)
    }
}

/// A text that may quote messages which were masked further, brought up to date; `None` where it quotes none. A whole
/// message is found where it fills whole lines, a piece of several words anywhere: a single word proves nothing.
pub fn rewrite<'r>(text: &str, changed: impl Iterator<Item = &'r Remasked>) -> Option<String> {
    let mut now = text.to_owned();
    for message in changed {
        now = replace_lines(&now, &message.before, message.text.as_str());
        for piece in &message.pieces {
            let on_one_line = piece.said.split_whitespace().collect::<Vec<_>>().join(" ");
            if on_one_line.contains(' ') {
                now = now.replace(&piece.said, &piece.mask).replace(&on_one_line, &piece.mask);
            }
        }
    }
    (now != text).then_some(now)
}

/// Replaces `block` wherever it begins and ends with a line.
fn replace_lines(text: &str, block: &str, with: &str) -> String {
    if block.is_empty() || !text.contains(block) {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len());
    let mut from = 0;
    for (at, _) in text.match_indices(block) {
        let end = at + block.len();
        let is_whole = (at == 0 || text[..at].ends_with('\n')) && (end == text.len() || text[end..].starts_with('\n'));
        if is_whole && at >= from {
            out.push_str(&text[from..at]);
            out.push_str(with);
            from = end;
        }
    }
    out.push_str(&text[from..]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::safety::mask;

    fn remasked(text: &str, phrase: Range<usize>) -> Remasked {
        Remasked::new(text, std::slice::from_ref(&phrase))
    }

    #[test]
    fn contacts_are_found_and_never_printed() {
        let incoming = Incoming::new("call me: 13812345678 or write to ann.lee@example.com, order 20240312A778");
        assert_eq!(incoming.text().as_str(), "call me: [phone 1] or write to [email 1], order 20240312A778");
        let found: Vec<_> = incoming.contacts().reveal().collect();
        assert_eq!(found, [(ContactKind::Phone, "13812345678"), (ContactKind::Email, "ann.lee@example.com")]);
        assert!(!format!("{incoming:?}").contains("138"));
        assert!(Incoming::new("how long does it take").contacts().is_empty());
    }

    #[test]
    fn a_second_half_masks_the_first() {
        let first = mask("ok the first part is action guess gift wisdom poem buzz");
        assert!(first.as_str().contains("wisdom"), "it would be masked by itself: {first}");
        let second = Incoming::new("and the rest: local cash decline chuckle chase cement");
        let joined = second.after(&[first, mask("how long does it take?")]);
        assert!(!joined.text.as_str().contains("cement"), "{}", joined.text);
        let [(0, changed)] = &joined.changed[..] else { panic!("{} changed", joined.changed.len()) };
        assert_eq!(changed.text().as_str(), "ok the first part is [seed phrase 1]");
        assert_eq!(changed.masks(), 1);
    }

    #[test]
    fn a_quotation_moves_with_its_text() {
        // 0..5 "legal", 6..12 "winner" become one mask of 15 code points.
        let changed = remasked("还有 legal winner, 谢谢", 7..19);
        assert_eq!(changed.text().as_str(), "还有 [seed phrase 1], 谢谢");
        let moved =
            |start, end, value| changed.moved(Span { start, end }, value).map(|span| span.of(changed.text().as_str()));
        assert_eq!(moved(0, 2, "还有"), Some("还有"));
        assert_eq!(moved(17, 19, "谢谢"), Some("谢谢"));
        assert_eq!(moved(3, 8, "legal"), Some("[seed phrase 1]"));
        assert_eq!(moved(0, 19, "还有 legal winner, 谢谢"), Some("还有 [seed phrase 1], 谢谢"));
        assert_eq!(moved(9, 17, "winner, "), Some("[seed phrase 1], "));
        assert_eq!(moved(3, 8, "other"), None);
    }

    #[test]
    fn what_quotes_a_message_is_rewritten_and_what_does_not_stays() {
        let changed = [remasked("legal", 0..5), remasked("then winner\nthank", 5..17)];
        let rewritten = |text: &str| rewrite(text, changed.iter());
        assert_eq!(rewritten("legal\nthen winner\nthank").as_deref(), Some("[seed phrase 1]\nthen [seed phrase 1]"));
        assert_eq!(rewritten("ask: winner thank!").as_deref(), Some("ask: [seed phrase 1]!"));
        assert_eq!(rewritten("this is legal, thank you"), None);
        assert_eq!(rewritten("legally"), None);
    }
}
