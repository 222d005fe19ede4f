//! WHICH VALUE DOES SOMEONE TELL US? Codes, passwords, PINs and card check numbers have no shape of their own: the words
//! around them give them away ("验证码是 482913", "my password: …"). E-mail addresses are found here too.

use std::sync::LazyLock;

use regex::Regex;

use super::{
    keys::pattern,
    secrets::{Found, SecretKind, Source},
    talk::{Mention, Subject, is_named},
};

/// Adds every value that the text names as a secret.
pub(super) fn find(text: &str, mentions: &[Mention], source: Source, found: &mut Vec<Found>) {
    if text.contains('@') && source == Source::Person {
        found.extend(EMAIL.find_iter(text).map(|hit| Found { range: hit.range(), kind: SecretKind::Email }));
    }
    if source == Source::Document {
        return;
    }
    let mut add = |pattern: &Regex, kind: SecretKind| {
        for hit in pattern.captures_iter(text) {
            if let Some(value) = hit.iter().skip(1).flatten().next() {
                let is_plain = kind == SecretKind::Password && {
                    let lead = text[..value.start()]
                        .trim_end_matches(|c: char| c.is_whitespace() || "\"'`([【「《<*".contains(c));
                    let is_told =
                        [":", "=", "is", "was", "是", "为", "為", "成", "叫"].iter().any(|end| lead.ends_with(end));
                    is_plain_word(value.as_str(), &text[value.end()..], is_told)
                };
                if !is_plain {
                    found.push(Found { range: value.range(), kind });
                }
            }
        }
    };
    if is_named(mentions, Subject::Cvv) {
        add(&CVV, SecretKind::Cvv);
    }
    if is_named(mentions, Subject::Code) {
        add(&CODE_AFTER, SecretKind::Code);
        add(&CODE_BEFORE, SecretKind::Code);
    }
    if is_named(mentions, Subject::Password) {
        add(&PASSWORD, SecretKind::Password);
        add(&PASSWORD_AT_ONCE, SecretKind::Password);
    }
    if is_named(mentions, Subject::Pin) {
        add(&PIN, SecretKind::Password);
    }
}

static EMAIL: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"[A-Za-z0-9._%+-]+\s?@\s?[A-Za-z0-9](?:[A-Za-z0-9-]*\.)+[A-Za-z]{2,24}\b"));

static CVV: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?i)(?:cvv2?|cvc2?|cvn2?|csc|安全[码碼]|背面的?[三四34][位个]\S{0,3}|[后後][三四34]位\S{0,2}|卡片?验证码|security code|card code|card verification (?:value|code|number))(?:[^0-9\n]{0,12}?|[^0-9\n]{0,30}?(?:is|was|是|为|:|=)\s*)([0-9]{3,4})(?:[^0-9]|$)",
    )
});

/// A code after its name. Up to a dozen other characters stand between ("验证码收到了是 482913"), none of them a digit.
static CODE_AFTER: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?i)(?:验证码|驗證碼|校验码|动态码|動態碼|动态密码|动态口令|一次性密[码碼]|一次性口令|确认码|確認碼|短信码|谷歌码|谷歌验证|安全码|\botp\b|\b2fa\b|(?:verification|verify|confirmation|security|sms|login|auth|authentication|authenticator|access|one[ -]?time|google|email|text)[ -]code|passcode|one[ -]time (?:password|pin)|authenticator|code (?:is|was|i got|they sent)|code:)[^0-9\n]{0,24}?(?:[A-Z]-)?([0-9](?:[ -]{0,2}[0-9]){3,7})(?:[^0-9]|$)",
    )
});

static CODE_BEFORE: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?i)(?:^|[^0-9])(?:[A-Z]-)?([0-9]{3}[ -]{0,2}[0-9]{3}|[0-9]{4}[ -]{1,2}[0-9]{4}|[0-9]{2} {1,2}[0-9]{2}|[0-9]{4,8})[^0-9\n]{0,16}?(?:验证码|驗證碼|校验码|动态码|确认码|短信码|谷歌码|\botp\b|\b2fa\b|(?:verification|confirmation|security|sms|login|auth|one[ -]?time) code|passcode)|([0-9]{2}-[0-9]{2}) ?(?:验证码|驗證碼|校验码|动态码)",
    )
});

/// A password after its name; up to four words may stand between the name and "is" ("the password i set was …").
static PASSWORD: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r#"(?i)(?:密码|密碼|口令|\bpass ?words?\b|\bpasswd\b|\bpassphrase\b|\bpwd\b|\bpw\b|\bpass\b)(?:(?:\s+[a-z']{1,12}){0,4}?(?:\s*(?:是|为|為|設為|设为|设成|改成|就是|叫|\bis\b|\bwas\b|\bto\b|:|=|->)\s*)+|\s+)["'`(\[【「《<*\s]{0,6}([0-9]{2,4}[ -]{1,2}[0-9]{2,4}|[!-~]{4,64})"#,
    )
});

/// In Chinese the password may follow its name at once ("我用密码abc12345登录"); a rule ("密码6-16位") is shorter.
static PASSWORD_AT_ONCE: LazyLock<Regex> =
    LazyLock::new(|| pattern(r#"(?:密码|密碼|口令)["'`(\[【「《<*\s]{0,5}([A-Za-z][!-~]{3,63}|[0-9][!-~]{5,63})"#));

static PIN: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?i)\bpin\b\s*(?:码|number|code)?\s*(?:是|为|is|was|:|=)\s*([0-9](?:[ -]{0,2}[0-9]){3,7})(?:[^0-9]|$)|\bmy pin(?: number)? ([0-9]{4,6})(?:[^0-9]|$)",
    )
});

/// Whether what follows "password" is a word of the sentence rather than the password itself: letters only, unless the
/// text ends there and the word is none that people say of a password.
fn is_plain_word(value: &str, rest: &str, is_told: bool) -> bool {
    const SAID_OF_PASSWORDS: &[&str] = &[
        "wrong",
        "incorrect",
        "invalid",
        "expired",
        "forgotten",
        "forgot",
        "lost",
        "required",
        "reset",
        "changed",
        "change",
        "secure",
        "weak",
        "strong",
        "blocked",
        "locked",
        "correct",
        "right",
        "needed",
        "compromised",
        "stolen",
        "hacked",
        "exposed",
        "leaked",
        "unknown",
        "empty",
        "missing",
        "gone",
        "safe",
        "broken",
        "page",
        "field",
        "again",
        "please",
        "help",
        "recovery",
        "login",
        "problem",
        "issue",
        "issues",
        "error",
        "work",
        "working",
        "account",
        "wallet",
        "anymore",
        "email",
        "link",
        "twice",
        "there",
        "here",
        "this",
        "that",
        "them",
        "mine",
        "yours",
        "different",
        "same",
        "short",
        "long",
        "simple",
        "complex",
        "protected",
        "ready",
        "set",
        "used",
        "saved",
        "remembered",
        "mistake",
        "online",
        "now",
        "today",
        "app",
        "bank",
        "card",
        "transfer",
        "withdraw",
        "transaction",
        "update",
        "password",
        "manager",
        "verification",
        "profile",
        "phone",
        "settings",
        "security",
    ];
    let bare = value.trim_end_matches(|c: char| c.is_ascii_punctuation());
    if bare.bytes().any(|byte| byte.is_ascii_digit()) || bare.bytes().any(|byte| b"!@#$%^&*_+=~".contains(&byte)) {
        // A link, or a mask that already stands here.
        return bare.starts_with("http") || bare.starts_with("www.");
    }
    if !is_told {
        return true;
    }
    let is_last = rest.trim().is_empty() || rest.starts_with('\n');
    let is_asked = value.ends_with('?');
    !is_last || is_asked || bare.len() < 4 || SAID_OF_PASSWORDS.contains(&bare.to_ascii_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::safety::talk::mentions;

    fn found(text: &str) -> Vec<(SecretKind, &str)> {
        let mut found = Vec::new();
        find(text, &mentions(text), Source::Person, &mut found);
        found.into_iter().map(|found| (found.kind, &text[found.range])).collect()
    }

    #[test]
    fn values_that_are_told() {
        for (text, expect) in [
            ("验证码是482913", Some((SecretKind::Code, "482913"))),
            ("我收到的验证码 48 29 13", Some((SecretKind::Code, "48 29 13"))),
            ("482913 这是我的验证码", Some((SecretKind::Code, "482913"))),
            ("my OTP is 4829", Some((SecretKind::Code, "4829"))),
            ("我输入77-81验证码", Some((SecretKind::Code, "77-81"))),
            ("03-05 收不到验证码", None),
            ("收不到验证码怎么办", None),
            ("验证码 60 秒内没到", None),
            ("密码是abc12345", Some((SecretKind::Password, "abc12345"))),
            ("密码:Sunshine", Some((SecretKind::Password, "Sunshine"))),
            ("密码是什么意思", None),
            ("我用密码abc12345登录不了", Some((SecretKind::Password, "abc12345"))),
            ("密码6-16位字符，不能用123456", None),
            ("the password i set was abc12345", Some((SecretKind::Password, "abc12345"))),
            ("the password i set was wrong", None),
            ("password: ```\nabc12345\n```", Some((SecretKind::Password, "abc12345"))),
            ("一次性密码482913", Some((SecretKind::Code, "482913"))),
            ("my otp is 482  913", Some((SecretKind::Code, "482  913"))),
            ("卡背面的三位数是407", Some((SecretKind::Cvv, "407"))),
            ("the security code on the back is 010", Some((SecretKind::Cvv, "010"))),
            ("我的支付密码是115 192", Some((SecretKind::Password, "115 192"))),
            ("我用密码Xx!45登录", Some((SecretKind::Password, "Xx!45"))),
            ("card verification value 433", Some((SecretKind::Cvv, "433"))),
            ("my password is hunter2, help", Some((SecretKind::Password, "hunter2,"))),
            ("my password is incorrect", None),
            ("forgot my password please help", None),
            ("cvv 123", Some((SecretKind::Cvv, "123"))),
            ("pin is 4829", Some((SecretKind::Password, "4829"))),
            ("error code 4001", None),
            ("我的邮箱 a.b@example.com", Some((SecretKind::Email, "a.b@example.com"))),
        ] {
            assert_eq!(found(text).first().copied(), expect, "{text}");
        }
    }
}
