use super::*;

/// What is left of each message.
fn check(messages: &[&str], expect: &[&str]) {
    let left: Vec<String> = {
        let found = find(messages, false);
        let left = |(at, text): (usize, &&str)| match found.get(&at) {
            Some(ranges) => super::super::secrets::replace_phrases(text, ranges).0,
            None => (*text).to_owned(),
        };
        messages.iter().enumerate().map(left).collect()
    };
    assert_eq!(left, expect);
}

#[test]
fn twelve_words_in_two_sentences() {
    check(
        &[
            "ok the first part is action guess gift wisdom poem buzz",
            "how long does a withdrawal take?",
            "and the rest: local cash decline chuckle chase cement i think",
        ],
        &[
            "ok the first part is [seed phrase 1]",
            "how long does a withdrawal take?",
            "and the rest: [seed phrase 1] i think",
        ],
    );
}

#[test]
fn a_word_at_a_time() {
    check(
        &["hello", "zebra", "trumpet", "Whale.", "1. oxygen", "第五个 lumber"],
        &[
            "hello",
            "[seed phrase 1]",
            "[seed phrase 1]",
            "[seed phrase 1].",
            "1. [seed phrase 1]",
            "第五个 [seed phrase 1]",
        ],
    );
}

#[test]
fn a_part_beside_a_masked_one() {
    check(
        &["[seed phrase 1]", "and so zebra trumpet whale i think"],
        &["[seed phrase 1]", "and so [seed phrase 1] i think"],
    );
    check(&["my key was [seed phrase 1]", "thank you"], &["my key was [seed phrase 1]", "thank you"]);
    check(&["[seed phrase 1]", "what now? I want my money"], &["[seed phrase 1]", "what now? I want my money"]);
}

#[test]
fn chatter_is_left_alone() {
    for chatter in [
        &["hello", "help", "agent", "human please", "thank you"][..],
        &["visa card", "yes", "gas fee", "network error", "cancel", "okay"],
        &["talk to a human agent", "human agent", "human agent", "i want a human agent"],
        &["你好", "在吗", "人工", "好的", "怎么办", "谢谢"],
        &["是", "好", "对", "行", "嗯", "在", "要"],
        &["请问 gas fee 怎么设置", "swap 失败", "bridge 也不行", "claim 呢"],
    ] {
        check(chatter, chatter);
    }
}
