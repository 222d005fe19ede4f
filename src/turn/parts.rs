//! What are the questions in a message that asks more than one? Pure.

use std::sync::LazyLock;

use regex::Regex;

use crate::words::is_han;

/// More parts than these are a story, not a list of questions.
const MOST_PARTS: usize = 3;
/// A shorter part says too little to be searched alone, in characters of either language.
const SHORTEST_ZH: usize = 4;
const SHORTEST_EN: usize = 10;

/// The two or three questions of a message, in order, each in the customer's words; empty where it asks only one thing.
pub fn parts(text: &str) -> Vec<&str> {
    static BETWEEN: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(concat!(
            r"(?i)[?？!！。；;\n]+|[，,、\s]*(还有就是|还有|另外|顺便|以及|而且|再问一下|还想问)[，,\s]*|",
            r"[，,.]?\s+(?:and also|and|also|plus|&)\s+(?:(how|what|where|when|why|which|who|can|could|do|does|is|are|will|should)\b)|",
            r"[，,]\s*|[.]\s+",
        ))
        .expect("a constant pattern; this is a bug")
    });
    let mut found: Vec<&str> = Vec::new();
    let mut start = 0;
    for between in BETWEEN.captures_iter(text) {
        let whole = between.get(0).map_or(start..start, |whole| whole.range());
        found.push(&text[start..whole.start]);
        // The word that showed that a question begins is part of it.
        start = between.get(2).map_or(whole.end, |word| word.start());
    }
    found.push(&text[start..]);
    let found =
        found.into_iter().flat_map(|part| if is_chinese(part) { part.split(' ').collect() } else { vec![part] });
    let questions: Vec<&str> = found.map(str::trim).filter(|part| asks(part)).collect();
    if (2..=MOST_PARTS).contains(&questions.len()) { questions } else { Vec::new() }
}

fn is_chinese(part: &str) -> bool {
    part.chars().any(is_han)
}

/// Whether a part is a question of its own.
fn asks(part: &str) -> bool {
    static ZH: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new("[吗嗎呢]$|多少|多久|几[个天点次笔号]|幾|怎[么麼样樣]|咋|如何|哪[里裡儿个個]|在哪|什么|什麼|啥|为何|能不能|能[^，]+吗|可不可以|是不是|是否|行不行|要不要|有没有|有沒有|谁")
            .expect("a constant pattern; this is a bug")
    });
    static EN: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"(?i)^\W*(and |also |so |but |hi |hello |hey )*(how|what|whats|what's|where|when|why|which|who|can|could|do|does|did|is|are|will|would|should|any)\b")
            .expect("a constant pattern; this is a bug")
    });
    let length = part.chars().count();
    if is_chinese(part) {
        length >= SHORTEST_ZH && ZH.is_match(part)
    } else {
        length >= SHORTEST_EN && EN.is_match(part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_questions_are_told_apart() {
        for (text, expected) in [
            (
                "How do I freeze my card, and what does a replacement card cost?",
                vec!["How do I freeze my card", "what does a replacement card cost"],
            ),
            ("how long is a withdrawal? is there a fee?", vec!["how long is a withdrawal", "is there a fee"]),
            ("银行卡怎么绑定？还有提现手续费多少？", vec!["银行卡怎么绑定", "提现手续费多少"]),
            ("提币最低多少 手续费多少", vec!["提币最低多少", "手续费多少"]),
            ("怎么冻结卡，补卡要多少钱", vec!["怎么冻结卡", "补卡要多少钱"]),
        ] {
            assert_eq!(parts(text), expected, "{text}");
        }
    }

    #[test]
    fn one_question_is_one_whatever_it_is_made_of() {
        for text in [
            "",
            "提现多久到账",
            "我昨天提了500，到现在没到账，怎么办",
            "what is the fee for cash and card payments",
            "I sent it yesterday, it is still pending. Why?",
            "how do I link my card, please",
            "你好，请问提现要多久？",
            "a? b? c? d? e?",
        ] {
            assert_eq!(parts(text), Vec::<&str>::new(), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn parts_are_pieces_of_the_message(text in "(怎么|多少|how |what |, |and |？|[a-z ]|提现){0,12}") {
            for part in parts(&text) {
                proptest::prop_assert!(text.contains(part));
            }
        }
    }
}
