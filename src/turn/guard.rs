//! What needs no document: asks for a person, small talk, account matters, danger, orders in disguise.
//!
//! Rules settle what has a fixed wording; a softmax over the question's vector, signs and terms, fitted on the written
//! examples in `prompts/guard/examples.jsonl`, settles the rest. Danger is looked at first, then a person asked for, then
//! everything else. The guard never changes the judge's confidence: that is computed for every question.

mod features;

mod signs;

use std::{path::Path, sync::LazyLock};

use regex::RegexSet;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use self::features::{Features, Scales};
use super::logistic::{Softmax, SparseRow};
use crate::{
    error::{Error, Result},
    model::{Embedder, Side},
    safety::{Masked, injection},
};

/// What a message is, as far as the guard can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// An ordinary question: retrieval and the judge decide.
    None,
    /// Asks for a person.
    Human,
    /// A greeting, thanks, a question about the bot.
    SmallTalk,
    /// Needs a look at the customer's own account.
    Account,
    /// Not a question for this support.
    OffTopic,
    /// Tries to give orders.
    Injection,
    /// A seed phrase or key was shown to or typed in somewhere.
    LeakedKey,
    /// A transaction that the customer did not make.
    Theft,
    /// Money sent to the wrong person, address or network.
    WrongTransfer,
    /// Somebody tries to talk the customer out of money.
    Scam,
    /// A bad contract was approved.
    MaliciousApproval,
    /// Somebody else is in the account.
    Takeover,
    /// Phone or card lost or stolen.
    LostPhone,
    /// Complaint, regulator, police, lawyer.
    Dispute,
    /// Despair, or a threat to oneself or others.
    SelfHarm,
    /// Is this really you?
    VerifyOfficial,
}

impl Class {
    /// Every class, `None` first; the order of the softmax's rows.
    pub const ALL: [Class; 16] = [
        Class::None,
        Class::Human,
        Class::SmallTalk,
        Class::Account,
        Class::OffTopic,
        Class::Injection,
        Class::LeakedKey,
        Class::Theft,
        Class::WrongTransfer,
        Class::Scam,
        Class::MaliciousApproval,
        Class::Takeover,
        Class::LostPhone,
        Class::Dispute,
        Class::SelfHarm,
        Class::VerifyOfficial,
    ];

    /// The situation's name, which is also its card's; `None` for classes without danger.
    pub fn situation(self) -> Option<&'static str> {
        match self {
            Class::LeakedKey => Some("leaked_key"),
            Class::Theft => Some("theft"),
            Class::WrongTransfer => Some("wrong_transfer"),
            Class::Scam => Some("scam"),
            Class::MaliciousApproval => Some("malicious_approval"),
            Class::Takeover => Some("takeover"),
            Class::LostPhone => Some("lost_phone"),
            Class::Dispute => Some("dispute"),
            Class::SelfHarm => Some("self_harm"),
            Class::VerifyOfficial => Some("verify_official"),
            Class::None | Class::Human | Class::SmallTalk | Class::Account | Class::OffTopic | Class::Injection => None,
        }
    }
}

/// A written example.
#[derive(Debug, Clone, Deserialize)]
pub struct Example {
    /// What a customer would type.
    pub text: String,
    /// What it is.
    pub class: Class,
}

/// How sure the softmax has to be before its class counts. Shipped in `models/judge/guard.json`, with its figures.
#[derive(Debug, Clone, Deserialize)]
struct Thresholds {
    danger: f64,
    danger_sure: f64,
    human: f64,
    account: f64,
    small_talk: f64,
    off_topic: f64,
    injection: f64,
    fit: Fit,
}

/// How the softmax is fitted.
#[derive(Debug, Clone, Deserialize)]
struct Fit {
    /// L2 penalty, in examples' worth of doubt.
    decay: f64,
    /// Passes over the examples.
    steps: usize,
    /// How much an ordinary example counts beside one of another class.
    weight_none: f64,
    /// What signs and terms count beside the vector.
    scales: Scales,
}

static THRESHOLDS: LazyLock<Thresholds> =
    LazyLock::new(|| serde_json::from_str(SETTINGS).expect("models/judge/guard.json parses; this is a bug"));

const SETTINGS: &str = include_str!("../../models/judge/guard.json");

const EXAMPLES: &str = include_str!("../../prompts/guard/examples.jsonl");

/// The fitted guard.
#[derive(Debug, Clone)]
pub struct Guard {
    fitted: Option<Fitted>,
}

/// What is kept between starts, so that the examples are embedded once.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Fitted {
    features: Features,
    softmax: Softmax,
}

/// What the guard found, with the number behind it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Finding {
    /// What the message is.
    pub class: Class,
    /// How sure, in [0, 1]; 1 where a rule settled it.
    pub probability: f64,
}

impl Finding {
    /// Whether the danger is so plain that its card is sent even where a document would answer.
    pub fn outweighs_an_answer(&self) -> bool {
        self.class.situation().is_some() && self.probability >= THRESHOLDS.danger_sure
    }
}

impl Guard {
    /// Rules alone: what is left when no embedder runs.
    pub fn rules_only() -> Self {
        Guard { fitted: None }
    }

    /// Fits the guard on the written examples, or reads the fit kept in `folder` for the same examples and weights.
    ///
    /// # Errors
    /// Where the embedder fails. A fit that can't be kept is made anew at the next start.
    pub async fn fit(embedder: &Embedder, folder: Option<&Path>) -> Result<Self> {
        let path = folder.map(|folder| folder.join(kept_name(&embedder.abilities().fingerprint)));
        let kept = path.as_ref().and_then(|path| std::fs::read(path).ok());
        if let Some(fitted) = kept.and_then(|bytes| serde_json::from_slice(&bytes).ok()) {
            return Ok(Guard { fitted: Some(fitted) });
        }
        let guard = Guard::fit_on(embedder, examples(EXAMPLES)?).await?;
        if let Some(path) = path {
            let kept = serde_json::to_vec(&guard.fitted).unwrap_or_default();
            if let Err(error) = std::fs::write(&path, kept) {
                tracing::warn!(%error, "the guard's fit could not be kept; it is made anew at the next start");
            }
        }
        Ok(guard)
    }

    /// Fits the guard on these examples and keeps nothing: with a few of them, for tests of what follows from a finding.
    ///
    /// # Errors
    /// Where the embedder fails.
    pub async fn fit_on(embedder: &Embedder, examples: Vec<Example>) -> Result<Self> {
        let texts = examples.iter().map(|example| example.text.clone()).collect();
        let vectors = embedder.embed(Side::Query, texts).await?;
        let fitted = tokio::task::spawn_blocking(move || Fitted::on(&examples, &vectors, &THRESHOLDS.fit))
            .await
            .map_err(|_| Error::Stopped("fitting the guard"))?;
        Ok(Guard { fitted: Some(fitted) })
    }

    /// What a rule settles at once, before anything is embedded.
    pub fn rules(text: &Masked) -> Option<Finding> {
        let sure = |class| Some(Finding { class, probability: 1.0 });
        if Self::has_secret(text) {
            return sure(Class::LeakedKey);
        }
        let plain = text.as_str();
        if asks_for_a_person(plain) {
            return sure(Class::Human);
        }
        if injection::looks_like_orders(plain) {
            return sure(Class::Injection);
        }
        None
    }

    /// Whether a seed phrase or a key was masked in it.
    pub fn has_secret(text: &Masked) -> bool {
        text.redactions().iter().any(|(kind, _)| matches!(*kind, "seed phrase" | "private key"))
    }

    /// What the softmax says of a question, given its vector, `[d]`, unit length, and its words.
    pub fn classify(&self, vector: &[f32], text: &str) -> Finding {
        let Some(fitted) = &self.fitted else {
            return Finding { class: Class::None, probability: 0.0 };
        };
        decide(&fitted.softmax.probabilities_sparse(&fitted.features.of(vector, text)))
    }

    /// How sure the softmax is of any danger, in [0, 1]: what [`Guard::classify`] holds against its threshold. For measuring.
    pub fn danger(&self, vector: &[f32], text: &str) -> f64 {
        let fitted = self.fitted.as_ref();
        fitted.map_or(0.0, |fitted| danger(&fitted.softmax.probabilities_sparse(&fitted.features.of(vector, text))))
    }
}

impl Fitted {
    fn on(examples: &[Example], vectors: &[Vec<f32>], fit: &Fit) -> Self {
        let texts: Vec<&str> = examples.iter().map(|example| example.text.as_str()).collect();
        let features = Features::learn(vectors, &texts, fit.scales);
        let rows: Vec<SparseRow> = (examples.iter().zip(vectors))
            .map(|(example, vector)| SparseRow {
                features: features.of(vector, &example.text),
                class: example.class as usize,
                weight: if example.class == Class::None { fit.weight_none } else { 1.0 },
            })
            .collect();
        let softmax = Softmax::fit_sparse(&rows, features.count(), Class::ALL.len(), fit.decay, fit.steps);
        Fitted { features, softmax }
    }
}

/// The file of a fit: named after all that it follows from.
fn kept_name(fingerprint: &str) -> String {
    let mut hash = Sha256::new();
    for part in [EXAMPLES, signs::FILE, SETTINGS, fingerprint] {
        hash.update(part);
    }
    format!("guard-{}.json", hex::encode(&hash.finalize()[..6]))
}

/// The class that counts, given each class's probability in the order of [`Class::ALL`].
fn decide(probabilities: &[f64]) -> Finding {
    let of = |class: Class| probabilities[class as usize];
    let best = |classes: &mut dyn Iterator<Item = Class>| {
        classes.max_by(|a, b| of(*a).total_cmp(&of(*b))).unwrap_or(Class::None)
    };
    let danger = danger(probabilities);
    if danger >= THRESHOLDS.danger {
        let class = best(&mut Class::ALL.into_iter().filter(|class| class.situation().is_some()));
        return Finding { class, probability: danger };
    }
    for (class, least) in [
        (Class::Human, THRESHOLDS.human),
        (Class::Injection, THRESHOLDS.injection),
        (Class::Account, THRESHOLDS.account),
        (Class::SmallTalk, THRESHOLDS.small_talk),
        (Class::OffTopic, THRESHOLDS.off_topic),
    ] {
        if of(class) >= least {
            return Finding { class, probability: of(class) };
        }
    }
    Finding { class: Class::None, probability: of(Class::None) }
}

/// All dangers together, given each class's probability in the order of [`Class::ALL`].
fn danger(probabilities: &[f64]) -> f64 {
    let dangers = Class::ALL.into_iter().filter(|class| class.situation().is_some());
    dangers.map(|class| probabilities[class as usize]).sum()
}

/// Whether the message asks for a person, in one of the wordings that leave no doubt.
fn asks_for_a_person(text: &str) -> bool {
    static ASKS: LazyLock<RegexSet> = LazyLock::new(|| {
        RegexSet::new([
            r"[转轉找要叫接换換连連联聯]\s*(接|系|繫|个|個|一个|一下|到|你们|你們|下)?\s*(人工|真人|活人|客服人员|客服人員)",
            r"^\s*(请|請|给我|給我|我要)?\s*(人工|真人|活人)(客服|服务|服務|座席|坐席)?\s*[!！。.?？~～]*\s*$",
            r"(人工|真人|活人)(客服|服务|服務|坐席|座席)?(呢|在吗|在嗎|在不在|在哪|有没有|有沒有)",
            r"(有没有|有沒有|能不能|可不可以).{0,6}(真人|活人|人工)",
            r"(跟|和|同|与).{0,4}(真人|活人|人工|客服).{0,4}(说|說|聊|讲|講|沟通|溝通|谈|談)",
            r"(不要|不想|别|別).{0,6}(机器人|機器人)",
            r"(?i)\b(talk|speak|chat|connect|transfer|put|get|pass|hand|switch|escalate)\b.{0,30}\b(human|person|agent|representative|rep|operator|someone real|real (one|person)|staff|supervisor|manager|advisor|adviser)\b",
            r"(?i)^\W*(a\s+)?(real\s+|live\s+)?(human|agent|representative|operator|person|rep)(\s+(now|please|pls|plz))?\W*$",
            r"(?i)\b(human|live|real)\s+(agent|support|person|being|operator|rep(resentative)?)\b.{0,12}(please|pls|plz|now|asap|!|$)",
            r"(?i)\b(want|need|give me|get me)\b.{0,16}\b(a |an |the )?(real |live |actual )?(human|person|agent|representative|operator)\b",
        ])
        .expect("constant patterns; this is a bug")
    });
    static ABOUT: LazyLock<RegexSet> = LazyLock::new(|| {
        RegexSet::new([
            r"邮箱|郵箱|电话|電話|号码|號碼|几点|幾點|上班|工作时间|工作時間|时间是|人工(审核|審核|费|費)|真人(认证|認證|识别)",
            r"(?i)\b(hours|e-?mail address|phone number|what time|opening)\b",
        ])
        .expect("constant patterns; this is a bug")
    });
    // Only from the beginning: "someone called me" is no wish to be called.
    static CALLS: LazyLock<RegexSet> = LazyLock::new(|| {
        RegexSet::new([
            r"^\W*(请|請|麻烦|麻煩|快点|快點|快|赶紧|趕緊|能不能|可不可以|可以|能|让人|讓人|叫人|你们|你們|现在|現在|马上|馬上|尽快|盡快|直接|\s)*(给我|給我|跟我)?(打|回|拨|撥)(个|個|一个|一個|通)?(电话|電話)(给我|給我|吧|\W|$)",
            r"(安排|预约|預約|约|約)(个|個|一个|一個|一次)?.{0,4}(电话|電話|通话|通話|视频|視頻)(沟通|溝通|聊|吗|嗎|吧|\W|$)",
            r"^\W*(能不能|可不可以|可以|能|想|要|我想|我要).{0,4}(视频|視頻)(聊|连线|連線|沟通|溝通)",
            r"(?i)^\W*((please|pls|plz|can|could|would|will|you|someone|somebody|anyone|have|let|get|your|team|staff|just|kindly|now)\W+)*(call|ring|phone) me\b",
            r"(?i)\b(schedule|book|arrange|set up)\b.{0,10}\b(phone |video )?call\b( with| for|\W*$| tomorrow| today| at)",
        ])
        .expect("constant patterns; this is a bug")
    });
    (ASKS.is_match(text) && !ABOUT.is_match(text)) || CALLS.is_match(text)
}

/// Whether small talk is thanks or a goodbye rather than a greeting: it gets another card.
pub fn says_thanks(text: &str) -> bool {
    static THANKS: LazyLock<RegexSet> = LazyLock::new(|| {
        RegexSet::new([
            r"谢|謝|多谢|感恩|辛苦了|再见|再見|拜拜|好的|明白了|知道了|收到",
            r"(?i)\b(thanks?|thx|ty|cheers|appreciate|bye|goodbye|great|perfect|got it|that helped|solved|ok(ay)?)\b",
        ])
        .expect("constant patterns; this is a bug")
    });
    THANKS.is_match(text)
}

/// Reads examples, one JSON object per line.
pub fn examples(lines: &str) -> Result<Vec<Example>> {
    lines
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty())
        .map(|(at, line)| {
            serde_json::from_str(line).map_err(|error| {
                Error::invalid(format!("line {} of the guard's examples", at + 1), error.to_string(), "text and class")
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thanks_are_told_from_greetings() {
        for text in ["thanks, that helped", "谢谢啦", "ok great", "明白了 辛苦"] {
            assert!(says_thanks(text), "{text}");
        }
        for text in ["hello", "你好", "are you a bot"] {
            assert!(!says_thanks(text), "{text}");
        }
    }

    #[test]
    fn a_person_asked_for_plainly_is_heard() {
        for text in [
            "转人工",
            "轉人工",
            "人工",
            "我要找人工客服",
            "请帮我转接人工",
            "能不能找个真人",
            "有活人吗 叫活人出来",
            "我要跟真人说",
            "agent",
            "human please",
            "I want to talk to a real person",
            "let me speak with someone, connect me to an agent",
            "get me a human now",
            "别给我机器人",
            "麻烦尽快给我回个电话",
            "打电话给我，我在家",
            "可以约个视频沟通吗",
            "can someone please call me back",
            "Ring me now!",
            "I'd like to book a call for Friday",
        ] {
            assert!(asks_for_a_person(text), "{text}");
        }
    }

    #[test]
    fn a_question_about_people_is_not_a_call_for_one() {
        for text in [
            "人工客服邮箱多少",
            "人工审核要多久",
            "真人认证失败怎么办",
            "what are your agents' hours",
            "send money to another person",
            "有人打电话给我说是客服",
            "打电话没人接",
            "视频认证要多久",
            "they call me every day and ask for a code",
            "someone called me about my account",
            "do you call me before a big transfer",
        ] {
            assert!(!asks_for_a_person(text), "{text}");
        }
    }

    #[test]
    fn every_class_has_examples_and_a_place() {
        let examples = examples(EXAMPLES).unwrap();
        for (at, class) in Class::ALL.into_iter().enumerate() {
            assert_eq!(class as usize, at);
            assert!(examples.iter().filter(|example| example.class == class).count() >= 14, "{class:?}");
        }
    }

    #[test]
    fn danger_counts_together() {
        let mut probabilities = [0.0; 16];
        probabilities[Class::Theft as usize] = THRESHOLDS.danger * 0.6;
        probabilities[Class::Scam as usize] = THRESHOLDS.danger * 0.5;
        assert_eq!(decide(&probabilities).class, Class::Theft);
    }
}
