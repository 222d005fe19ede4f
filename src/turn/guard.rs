//! What needs no document: asks for a person, small talk, account matters, danger, orders in disguise.
//!
//! Rules settle what has a fixed wording; a softmax over the question's vector, fitted on the written examples in
//! `prompts/guard/examples.jsonl`, settles the rest. Danger is looked at first, then a person asked for, then
//! everything else. The guard never changes the judge's confidence: that is computed for every question.

use std::{path::Path, sync::LazyLock};

use regex::RegexSet;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::logistic::{Row, Softmax};
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
    human: f64,
    account: f64,
    small_talk: f64,
    off_topic: f64,
    injection: f64,
    decay: f64,
}

static THRESHOLDS: LazyLock<Thresholds> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../../models/judge/guard.json"))
        .expect("models/judge/guard.json parses; this is a bug")
});

const EXAMPLES: &str = include_str!("../../prompts/guard/examples.jsonl");

/// The fitted guard.
#[derive(Debug, Clone)]
pub struct Guard {
    softmax: Option<Softmax>,
    mean: Vec<f32>,
}

/// What is kept between starts, so that the examples are embedded once.
#[derive(Serialize, Deserialize)]
struct Kept {
    softmax: Softmax,
    mean: Vec<f32>,
}

/// What the guard found, with the number behind it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Finding {
    /// What the message is.
    pub class: Class,
    /// How sure, in [0, 1]; 1 where a rule settled it.
    pub probability: f64,
}

impl Guard {
    /// Rules alone: what is left when no embedder runs.
    pub fn rules_only() -> Self {
        Guard { softmax: None, mean: Vec::new() }
    }

    /// Fits the guard on the written examples, or reads the fit kept in `folder` for the same examples and weights.
    ///
    /// # Errors
    /// Where the embedder fails. A fit that can't be kept is made anew at the next start.
    pub async fn fit(embedder: &Embedder, folder: Option<&Path>) -> Result<Self> {
        let mut hash = Sha256::new();
        hash.update(EXAMPLES);
        hash.update(&embedder.abilities().fingerprint);
        hash.update(THRESHOLDS.decay.to_le_bytes());
        let name = format!("guard-{}.json", hex::encode(&hash.finalize()[..6]));
        let path = folder.map(|folder| folder.join(name));
        let kept = path.as_ref().and_then(|path| std::fs::read(path).ok());
        if let Some(kept) = kept.and_then(|bytes| serde_json::from_slice::<Kept>(&bytes).ok()) {
            return Ok(Guard { softmax: Some(kept.softmax), mean: kept.mean });
        }
        let examples = examples(EXAMPLES)?;
        let texts = examples.iter().map(|example| example.text.clone()).collect();
        let vectors = embedder.embed(Side::Query, texts).await?;
        let guard = tokio::task::spawn_blocking(move || Guard::fit_on(&examples, &vectors))
            .await
            .map_err(|_| Error::Stopped("fitting the guard"))?;
        if let (Some(path), Some(softmax)) = (path, guard.softmax.clone()) {
            let kept = serde_json::to_vec(&Kept { softmax, mean: guard.mean.clone() }).unwrap_or_default();
            if let Err(error) = std::fs::write(&path, kept) {
                tracing::warn!(%error, "the guard's fit could not be kept; it is made anew at the next start");
            }
        }
        Ok(guard)
    }

    fn fit_on(examples: &[Example], vectors: &[Vec<f32>]) -> Self {
        let mean = mean(vectors);
        let centred: Vec<Vec<f32>> = vectors.iter().map(|vector| centre(vector, &mean)).collect();
        let rows: Vec<Row> = (examples.iter().zip(&centred))
            .map(|(example, features)| Row { features, class: example.class as usize, weight: 1.0 })
            .collect();
        Guard { softmax: Some(Softmax::fit(&rows, Class::ALL.len(), THRESHOLDS.decay, 300)), mean }
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

    /// What the softmax says of a question's vector, `[d]`, unit length.
    pub fn classify(&self, vector: &[f32]) -> Finding {
        let Some(softmax) = &self.softmax else {
            return Finding { class: Class::None, probability: 0.0 };
        };
        decide(&softmax.probabilities(&centre(vector, &self.mean)))
    }
}

/// The class that counts, given each class's probability in the order of [`Class::ALL`].
fn decide(probabilities: &[f64]) -> Finding {
    let of = |class: Class| probabilities[class as usize];
    let best = |classes: &mut dyn Iterator<Item = Class>| {
        classes.max_by(|a, b| of(*a).total_cmp(&of(*b))).unwrap_or(Class::None)
    };
    let danger: f64 = Class::ALL.into_iter().filter(|class| class.situation().is_some()).map(of).sum();
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
    ASKS.is_match(text) && !ABOUT.is_match(text)
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

fn mean(vectors: &[Vec<f32>]) -> Vec<f32> {
    let mut mean = vec![0.0; vectors.first().map_or(0, Vec::len)];
    for vector in vectors {
        for (sum, x) in mean.iter_mut().zip(vector) {
            *sum += x / vectors.len() as f32;
        }
    }
    mean
}

/// The vector less the examples' mean, at length 1: e5 vectors share most of their direction.
fn centre(vector: &[f32], mean: &[f32]) -> Vec<f32> {
    let moved: Vec<f32> = vector.iter().zip(mean).map(|(x, m)| x - m).collect();
    let length = moved.iter().map(|x| x * x).sum::<f32>().sqrt().max(1e-6);
    moved.iter().map(|x| x / length).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

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
