//! WHAT IS THE TEXT TALKING ABOUT? Places where secrets, transactions or orders are named: they decide what a number or
//! a string next to them is.

use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, AhoCorasickBuilder, MatchKind};

use super::fold::Folded;

/// A subject that changes how a string near it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Subject {
    Seed,
    Key,
    Transaction,
    Code,
    Password,
    Pin,
    Card,
    Cvv,
    IdNumber,
    Phone,
    Order,
    Api,
}

/// Where one subject is named: bytes of the folded text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mention {
    pub(super) subject: Subject,
    pub(super) start: usize,
    pub(super) end: usize,
}

const WORDS: &[(Subject, &[&str])] = &[
    (
        Subject::Seed,
        &[
            "助记词",
            "助記詞",
            "助记",
            "助記",
            "助忆词",
            "助憶詞",
            "注记词",
            "註記詞",
            "种子词",
            "恢复短语",
            "恢復短語",
            "恢复词",
            "12个词",
            "12个单词",
            "十二个",
            "24个",
            "mnemonic",
            "seed phrase",
            "seedphrase",
            "seed word",
            "my seed",
            "seed:",
            "recovery phrase",
            "secret phrase",
            "backup phrase",
            "recovery word",
            "backup word",
            "12 word",
            "24 word",
            "twelve word",
            "secret recovery",
            "bip39",
            "srp",
        ],
    ),
    (
        Subject::Key,
        &[
            "私钥",
            "私鑰",
            "密钥",
            "密鑰",
            "秘钥",
            "私key",
            "privatekey",
            "private key",
            "private_key",
            "private-key",
            "priv key",
            "privkey",
            "priv_key",
            "secret key",
            "secretkey",
            "secret_key",
            "private seed",
            "my pk",
            "pk:",
            "pk=",
            "pk is",
            "keystore",
            "wif",
            "my key",
            "the key is",
            "key is",
            "key:",
            "key=",
            "spend key",
            "钥匙",
        ],
    ),
    (
        Subject::Transaction,
        &[
            "交易",
            "哈希",
            "哈西",
            "哈稀",
            "转账",
            "轉賬",
            "转帐",
            "轉帳",
            "区块",
            "區塊",
            "txid",
            "tx id",
            "tx_",
            "tx:",
            "/tx/",
            "#tx",
            "txn",
            "tx",
            "tx=",
            "tx是",
            "transaction",
            "transfer",
            "hash",
            "explorer",
            "etherscan",
            "tronscan",
            "bscscan",
            "solscan",
            "polygonscan",
            "arbiscan",
            "blockchair",
            "mempool",
            "oklink",
            "block",
            "提币",
            "提幣",
            "提现",
            "充值",
            "充币",
            "withdraw",
            "deposit",
        ],
    ),
    (
        Subject::Code,
        &[
            "验证码",
            "驗證碼",
            "校验码",
            "動態碼",
            "动态码",
            "动态密码",
            "动态口令",
            "一次性",
            "安全码",
            "確認碼",
            "确认码",
            "短信码",
            "谷歌码",
            "谷歌验证",
            "otp",
            "2fa",
            "verification code",
            "verify code",
            "confirmation code",
            "security code",
            "sms code",
            "login code",
            "auth code",
            "authenticator",
            "one-time",
            "one time code",
            "passcode",
            "access code",
            "authentication code",
            "google code",
            "code is",
            "code:",
            "code was",
            "code i got",
            "code they",
            "pin code",
            "email code",
            "text code",
        ],
    ),
    (
        Subject::Password,
        &[
            "密码",
            "密碼",
            "口令",
            "password",
            "passwd",
            "pass word",
            "passphrase",
            "pwd",
            "pw",
            "pass:",
            "pass is",
            "login:",
        ],
    ),
    (Subject::Pin, &["pin is", "pin:", "my pin", "pin码", "pin 码", "pin number", "pin "]),
    (
        Subject::Card,
        &[
            "卡号",
            "卡號",
            "银行卡",
            "銀行卡",
            "信用卡",
            "储蓄卡",
            "借记卡",
            "card",
            "visa",
            "mastercard",
            "unionpay",
            "银联",
        ],
    ),
    (
        Subject::Cvv,
        &[
            "cvv",
            "cvc",
            "cvn",
            "csc",
            "安全码",
            "安全碼",
            "背面",
            "后三位",
            "後三位",
            "卡片验证码",
            "卡验证码",
            "security code",
            "card code",
            "card verification",
        ],
    ),
    (
        Subject::IdNumber,
        &[
            "身份证",
            "身份證",
            "证件",
            "證件",
            "护照",
            "護照",
            "id card",
            "id number",
            "id no",
            "passport",
            "ssn",
            "social security",
            "national id",
        ],
    ),
    (
        Subject::Phone,
        &[
            "电话",
            "電話",
            "手机",
            "手機",
            "号码是",
            "联系我",
            "聯繫我",
            "phone",
            "mobile",
            "cell",
            "whatsapp",
            "call me",
            "text me",
            "tel",
            "reach me",
            "contact me",
            "my number",
        ],
    ),
    (
        Subject::Order,
        &[
            "订单",
            "訂單",
            "单号",
            "單號",
            "流水号",
            "流水號",
            "工单",
            "工單",
            "编号",
            "編號",
            "order",
            "ticket",
            "reference",
            "ref ",
            "ref:",
            "invoice",
            "case number",
            "case id",
            "tracking",
            "receipt",
            "uid",
            "用户id",
            "user id",
        ],
    ),
    (
        Subject::Api,
        &[
            "api key",
            "apikey",
            "api_key",
            "api-key",
            "api secret",
            "apisecret",
            "api_secret",
            "secret:",
            "secret=",
            "secret is",
            "token",
            "token is",
            "access token",
            "access_token",
            "access key",
            "bearer",
            "api密钥",
            "api 密钥",
            "api是",
            "authorization:",
        ],
    ),
];

static FINDER: LazyLock<(AhoCorasick, Vec<Subject>)> = LazyLock::new(|| {
    let mut subjects = Vec::new();
    let mut words = Vec::new();
    for (subject, group) in WORDS {
        for word in *group {
            subjects.push(*subject);
            words.push(Folded::new(word).text);
        }
    }
    let finder = AhoCorasickBuilder::new()
        .ascii_case_insensitive(true)
        .match_kind(MatchKind::Standard)
        .build(&words)
        .expect("the words are few and short; failing to build is a bug");
    (finder, subjects)
});

/// Every mention, by place. One pass over the text, whatever it holds.
pub(super) fn mentions(folded: &str) -> Vec<Mention> {
    let (finder, subjects) = &*FINDER;
    finder
        .find_overlapping_iter(folded)
        .filter(|hit| stands_alone(folded.as_bytes(), hit.start(), hit.end()))
        .map(|hit| Mention { subject: subjects[hit.pattern().as_usize()], start: hit.start(), end: hit.end() })
        .collect()
}

/// The longest name that stands in ordinary words by chance: "wif" in "wife", "cell" in "cancelled".
const SHORT_NAME: usize = 4;
/// A run of letters and digits of this length is a string, and what is spelt inside it is no name.
const STRING: usize = 20;

/// Whether a name is not just a part of a longer word or of a key.
fn stands_alone(text: &[u8], start: usize, end: usize) -> bool {
    let name = &text[start..end];
    if !name.iter().all(u8::is_ascii_alphanumeric) {
        return true;
    }
    let before = text[..start].iter().rev().take_while(|byte| byte.is_ascii_alphanumeric()).count();
    let after = text[end..].iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
    let is_letter = |at: Option<usize>| at.and_then(|at| text.get(at)).is_some_and(u8::is_ascii_alphabetic);
    let in_a_word = name.len() <= SHORT_NAME && (is_letter(start.checked_sub(1)) || is_letter(Some(end)));
    !in_a_word && (before == 0 || before + name.len() + after < STRING)
}

/// How many bytes lie between a mention of this subject and `start..end`, whichever side is nearer; mentions further than
/// `before` bytes ahead of it or `after` bytes behind it do not count.
pub(super) fn distance(
    mentions: &[Mention],
    subject: Subject,
    start: usize,
    end: usize,
    before: usize,
    after: usize,
) -> Option<usize> {
    mentions
        .iter()
        .filter(|mention| mention.subject == subject)
        .filter_map(|mention| {
            if mention.end <= start {
                Some(start - mention.end).filter(|gap| *gap <= before)
            } else if mention.start >= end {
                Some(mention.start - end).filter(|gap| *gap <= after)
            } else {
                Some(0)
            }
        })
        .min()
}

/// Whether seed phrases or keys are spoken of right before or after this piece.
pub(super) fn is_seed_talk_near(mentions: &[Mention], start: usize, end: usize) -> bool {
    [Subject::Seed, Subject::Key].iter().any(|subject| distance(mentions, *subject, start, end, 32, 24).is_some())
}

/// Whether the subject is named at all.
pub(super) fn is_named(mentions: &[Mention], subject: Subject) -> bool {
    mentions.iter().any(|mention| mention.subject == subject)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A hash was masked because "wif" stood in it, or because the customer wrote of his wife.
    #[test]
    fn names_are_words_of_their_own() {
        for (text, subject, expect) in [
            ("tx 0x5f3a", Subject::Transaction, true),
            ("my wif: L1", Subject::Key, true),
            ("my wife sent it", Subject::Key, false),
            ("it was cancelled", Subject::Phone, false),
            ("4V89po5SMh22FFyRusrPBmWifV9ucFt6bYKJgRSz8Y", Subject::Key, false),
            ("otp482913", Subject::Code, true),
            ("验证码otp482913", Subject::Code, true),
            ("privatekey5Kb8kLf9zgWQnogidDA76MzPL6TsZZY36hWXMssSzNydYXYB69KF", Subject::Key, true),
        ] {
            assert_eq!(is_named(&mentions(text), subject), expect, "{text}");
        }
    }
}
