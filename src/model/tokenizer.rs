//! How does text become the embedder's token ids? Normalise, then the best unigram path, as the weights say.
//!
//! Our own Viterbi and not the `tokenizers` crate's: the engine that the weights were packed with adds scores in f32,
//! breaks ties by first come, keeps each unknown character a token of its own, and maps single code points. Each
//! of these changes ids somewhere, and another id is another vector. Ids are compared in `tests/it/parity.rs`.

use candle_core::quantized::gguf_file::Value;

use super::{gguf::Gguf, import::keys};

/// SentencePiece's mark for a space.
const META: &str = "\u{2581}";

/// An unknown character scores this much less than the rarest piece.
const UNKNOWN_PENALTY: f32 = 10.0;

/// A unigram tokenizer with its normaliser.
pub(super) struct Unigram {
    /// All pieces, one after the other; piece `i` is `text[starts[i]..starts[i + 1]]`.
    text: Vec<u8>,
    starts: Vec<u32>,
    scores: Vec<f32>,
    /// Open addressing by FNV-1a of the piece: its id + 1, or 0.
    slots: Vec<u32>,
    longest_bytes: usize,
    unknown_score: f32,
    rules: Vec<Rule>,
    outputs: Vec<char>,
    /// Start of every sequence.
    pub(super) bos: u32,
    /// End of every sequence.
    pub(super) eos: u32,
    unknown: u32,
}

struct Rule {
    point: char,
    start: u32,
    end: u32,
}

impl Unigram {
    /// Reads the vocabulary and the rules from a GGUF's metadata.
    pub(super) fn from_gguf(gguf: &Gguf) -> Result<Self, String> {
        let id = |key: &str| gguf.number(key).map(|id| id as u32);
        let numbers = |key: &'static str| -> Result<Vec<u32>, String> {
            gguf.row(key)?.iter().map(|value| value.to_u32().map_err(|cause| format!("`{key}`: {cause}"))).collect()
        };

        let mut pieces = Vec::new();
        for piece in gguf.row(keys::PIECES)? {
            let Value::String(piece) = piece else { return Err("a piece is no text".into()) };
            pieces.push(piece.as_str());
        }
        let mut scores = Vec::new();
        for score in gguf.row(keys::SCORES)? {
            let Value::F32(score) = score else { return Err("a score is no number".into()) };
            scores.push(*score);
        }
        let (points, lengths) = (numbers(keys::RULE_POINTS)?, numbers(keys::RULE_LENGTHS)?);
        let mut outputs = numbers(keys::RULE_OUTPUTS)?.into_iter();
        let mut rules = Vec::new();
        for (point, length) in points.into_iter().zip(lengths) {
            rules.push((point, outputs.by_ref().take(length as usize).collect::<Vec<u32>>()));
        }
        let ids = [id(keys::BOS)?, id(keys::EOS)?, id(keys::PADDING)?, id(keys::UNKNOWN)?];
        Unigram::new(&pieces, scores, &rules, ids)
    }

    /// `ids`: start, end, padding, unknown. `rules`: a code point and what replaces it.
    fn new(pieces: &[&str], scores: Vec<f32>, rules: &[(u32, Vec<u32>)], ids: [u32; 4]) -> Result<Self, String> {
        if pieces.is_empty() || pieces.len() != scores.len() {
            return Err(format!("{} pieces with {} scores", pieces.len(), scores.len()));
        }
        let [bos, eos, _padding, unknown] = ids;
        if ids.iter().any(|id| *id as usize >= pieces.len()) {
            return Err(format!("special ids {ids:?} of {} pieces", pieces.len()));
        }
        let mut text = Vec::new();
        let mut starts = vec![0];
        let mut slots = vec![0u32; (pieces.len() * 2).next_power_of_two()];
        let mut longest_bytes = 1;
        for (id, piece) in pieces.iter().enumerate() {
            text.extend_from_slice(piece.as_bytes());
            starts.push(text.len() as u32);
            longest_bytes = longest_bytes.max(piece.len());
            if !piece.is_empty() {
                let hash = piece.bytes().fold(FNV_OFFSET, fnv);
                let mut slot = hash as usize & (slots.len() - 1);
                while slots[slot] != 0 {
                    slot = (slot + 1) & (slots.len() - 1);
                }
                slots[slot] = id as u32 + 1;
            }
        }
        let to_char = |point: u32| char::from_u32(point).ok_or_else(|| format!("{point} is no code point"));
        let (mut kept, mut outputs) = (Vec::new(), Vec::new());
        for (point, replacement) in rules {
            let start = outputs.len() as u32;
            for output in replacement {
                outputs.push(to_char(*output)?);
            }
            kept.push(Rule { point: to_char(*point)?, start, end: outputs.len() as u32 });
        }
        if !kept.is_sorted_by(|a, b| a.point < b.point) {
            return Err("normaliser rules out of order".into());
        }
        let rarest = scores.iter().copied().fold(f32::INFINITY, f32::min);
        Ok(Unigram {
            text,
            starts,
            scores,
            slots,
            longest_bytes,
            unknown_score: rarest - UNKNOWN_PENALTY,
            rules: kept,
            outputs,
            bos,
            eos,
            unknown,
        })
    }

    /// The ids of `text`, without start and end.
    pub(super) fn encode(&self, text: &str) -> Vec<u32> {
        let text = self.normalize(text);
        let bytes = text.as_bytes();
        // starts[i] is the byte where character i begins; the last one is the end.
        let starts: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
        let count = starts.len() - 1;
        // For each character boundary: score, id and start of the best path's last piece.
        let mut best = vec![(f32::NEG_INFINITY, self.unknown, 0u32); count + 1];
        best[0].0 = 0.0;
        for from in 0..count {
            let so_far = best[from].0; // Always reached: every character may be unknown.
            let mut hash = FNV_OFFSET;
            for to in from + 1..=count {
                let (start, end) = (starts[from], starts[to]);
                if end - start > self.longest_bytes {
                    break;
                }
                // FNV takes one byte at a time, so a longer candidate goes on from the shorter one's hash.
                hash = bytes[starts[to - 1]..end].iter().copied().fold(hash, fnv);
                if let Some(id) = self.find(&bytes[start..end], hash)
                    && id != self.unknown
                {
                    let score = so_far + self.scores[id as usize];
                    if score > best[to].0 {
                        best[to] = (score, id, from as u32);
                    }
                }
            }
            let score = so_far + self.unknown_score;
            if score > best[from + 1].0 {
                best[from + 1] = (score, self.unknown, from as u32);
            }
        }
        let mut ids = Vec::new();
        let mut at = count;
        while at > 0 {
            ids.push(best[at].1);
            at = best[at].2 as usize;
        }
        ids.reverse();
        ids
    }

    /// Maps each code point by the rules, makes runs of spaces one, puts one space in front and marks spaces.
    fn normalize(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len() + 8);
        out.push(' ');
        let mut add = |c: char| {
            if c != ' ' || !out.ends_with(' ') {
                out.push(c);
            }
        };
        for c in text.chars() {
            match self.rules.binary_search_by(|rule| rule.point.cmp(&c)) {
                Err(_) => add(c),
                Ok(found) => {
                    let rule = &self.rules[found];
                    self.outputs[rule.start as usize..rule.end as usize].iter().for_each(|c| add(*c));
                }
            }
        }
        // Last, so that a mark that stood in the text itself is not taken for a space above.
        out.replace(' ', META)
    }

    fn find(&self, piece: &[u8], hash: u64) -> Option<u32> {
        let mut slot = hash as usize & (self.slots.len() - 1);
        loop {
            let id = self.slots[slot].checked_sub(1)?;
            let range = self.starts[id as usize] as usize..self.starts[id as usize + 1] as usize;
            if &self.text[range] == piece {
                return Some(id);
            }
            slot = (slot + 1) & (self.slots.len() - 1);
        }
    }
}

const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;

/// One step of the FNV-1a hash.
fn fnv(hash: u64, byte: u8) -> u64 {
    (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Pieces in order of id; ids 0 to 3 are start, padding, end, unknown.
    fn small(pieces: &[(&str, f32)], rules: &[(u32, Vec<u32>)]) -> Unigram {
        let mut all = vec![("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)];
        all.extend_from_slice(pieces);
        let texts: Vec<&str> = all.iter().map(|piece| piece.0).collect();
        let scores = all.iter().map(|piece| piece.1).collect();
        Unigram::new(&texts, scores, rules, [0, 2, 1, 3]).unwrap()
    }

    fn wallet() -> Unigram {
        small(
            &[
                ("\u{2581}", -2.0),
                ("\u{2581}提", -5.0),
                ("现", -4.0),
                ("提现", -6.0),
                ("a", -3.0),
                ("ab", -5.0),
                ("b", -3.0),
            ],
            &[(9, vec![32]), (0x200b, vec![]), (0x3000, vec![32]), (0xff41, vec![0x61])],
        )
    }

    #[test]
    fn the_best_path_wins_and_unknown_characters_stay_apart() {
        let table: &[(&str, &[u32])] = &[
            ("", &[4]),
            ("提现", &[4, 7]),       // -8 beats -9
            ("ab", &[4, 9]),         // one piece at -5 beats two at -3 each
            ("a\u{200b}b", &[4, 9]), // a rule drops the zero-width space
            ("\u{ff41} b", &[4, 8, 4, 10]),
            ("a \t\u{3000} b", &[4, 8, 4, 10]),
            ("zz", &[4, 3, 3]),
            ("<s>", &[4, 0]), // Written-out special pieces are pieces, as in the reference.
        ];
        for (text, ids) in table {
            assert_eq!(wallet().encode(text), *ids, "{text:?}");
        }
    }

    #[test]
    fn damaged_metadata_is_refused() {
        assert!(Unigram::new(&[], vec![], &[], [0; 4]).is_err());
        assert!(Unigram::new(&["a"], vec![0.0], &[], [0, 0, 0, 9]).is_err());
        assert!(Unigram::new(&["a"], vec![0.0], &[(0xd800, vec![])], [0; 4]).is_err());
        assert!(Unigram::new(&["a"], vec![0.0], &[(9, vec![]), (8, vec![])], [0; 4]).is_err());
    }

    proptest! {
        #[test]
        fn any_text_has_ids_and_no_more_than_characters(text in any::<String>()) {
            let tokenizer = wallet();
            let ids = tokenizer.encode(&text);
            prop_assert!(ids.len() <= text.chars().count() + 1);
            prop_assert!(ids.iter().all(|id| (*id as usize) < tokenizer.scores.len()));
        }
    }
}
