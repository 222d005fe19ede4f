//! Why was it handed over? One plain sentence, with the numbers that decided.

use std::collections::BTreeMap;

use crate::{turn::reply::Code, words::Lang};

/// One plain sentence for a person. Thresholds come from the features `threshold_answer` and `threshold_offer`, the
/// guard's certainty from the feature `guard_<class>`; what is not there is left out.
pub fn why(lang: Lang, code: Code, confidence: f64, features: &BTreeMap<String, f64>) -> String {
    let threshold = |name: &str| features.get(name).copied().filter(|value| value.is_finite());
    let (answer, offer) = (threshold("threshold_answer"), threshold("threshold_offer"));
    let sure = if confidence.is_finite() { confidence.clamp(0.0, 1.0) } else { 0.0 };
    let guard = features.iter().find(|(name, value)| name.starts_with("guard_") && value.is_finite()).map(|(_, value)| *value);
    let numbers = match code {
        Code::Confident | Code::Unsupported | Code::LowConfidence | Code::Loop => judged(lang, sure, answer, None),
        Code::NoKnowledge | Code::Error => judged(lang, sure, answer, offer),
        _ => guard.map_or_else(|| judged(lang, sure, answer, None), |certain| guarded(lang, certain)),
    };
    let reason = reason(lang, code, answer.is_none_or(|needed| sure >= needed));
    match lang {
        Lang::Zh => format!("{reason}：{numbers}。"),
        Lang::En => format!("{reason}: {numbers}."),
    }
}

fn judged(lang: Lang, sure: f64, answer: Option<f64>, offer: Option<f64>) -> String {
    let sure_text = number(sure, &[answer, offer]);
    let mut parts = vec![match lang {
        Lang::Zh => format!("把握 {sure_text}"),
        Lang::En => format!("{sure_text} sure"),
    }];
    for (needed, zh, en) in [(answer, "作答", "answer"), (offer, "给出选项", "offer questions")] {
        let Some(needed) = needed else { continue };
        let needed = number(needed, &[Some(sure)]);
        parts.push(match lang {
            Lang::Zh => format!("{zh}需要 {needed}"),
            Lang::En => format!("{needed} needed to {en}"),
        });
    }
    parts.join(if lang == Lang::Zh { "，" } else { ", " })
}

fn guarded(lang: Lang, certain: f64) -> String {
    match lang {
        Lang::Zh => format!("识别把握 {certain:.2}"),
        Lang::En => format!("recognised with {certain:.2}"),
    }
}

/// Two places, or as many as it takes (up to five) to tell `value` from the numbers beside it.
fn number(value: f64, beside: &[Option<f64>]) -> String {
    let places = (2..5).find(|places| {
        beside.iter().flatten().all(|other| *other == value || format!("{other:.places$}") != format!("{value:.places$}"))
    });
    format!("{value:.0$}", places.unwrap_or(5))
}

fn reason(lang: Lang, code: Code, sure_enough: bool) -> &'static str {
    let (zh, en) = match code {
        Code::Confident => ("把握足够", "Sure enough"),
        Code::Asked => ("客户要求人工", "The customer asked for a person"),
        Code::NoKnowledge => ("知识库里没有足够接近的内容", "Nothing in the documents is near enough"),
        Code::LowConfidence if sure_enough => ("给出的问题客户都没有选", "The customer took none of the questions offered"),
        Code::LowConfidence => ("有相近的文档，但把握不够", "Something is near, but not near enough to answer from"),
        Code::Unsupported => ("拟好的回答没有一句能在文档里找到依据", "No sentence of the answer was held up by the documents"),
        Code::Account => ("需要查看客户自己的账户", "Only someone with access to the customer's account can help"),
        Code::Danger => ("资金或人身安全有危险", "Money or safety is in danger"),
        Code::Loop => ("对话在原地打转，之前的回复没有解决问题", "The conversation goes round in circles; earlier replies did not help"),
        Code::OffTopic => ("与本产品的客服无关", "Not a question for this support"),
        Code::Injection => ("消息里有试图给机器人下命令的文字", "The message tries to give the bot orders"),
        Code::SmallTalk => ("只是寒暄", "A greeting or small talk"),
        Code::NoLanguage => ("客户用的语言不在可回答之列", "The customer writes in a language that the bot does not answer in"),
        Code::Error => ("系统出错，改由人工处理", "Something failed on our side, so a person takes over"),
    };
    match lang {
        Lang::Zh => zh,
        Lang::En => en,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(lang: Lang, code: Code, confidence: f64, features: &[(&str, f64)], expected: &str) {
        let features = features.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
        assert_eq!(why(lang, code, confidence, &features), expected);
    }

    #[test]
    fn says_how_sure_and_how_sure_was_needed() {
        let thresholds = [("threshold_answer", 0.78), ("threshold_offer", 0.3)];
        check(
            Lang::En,
            Code::LowConfidence,
            0.41,
            &thresholds,
            "Something is near, but not near enough to answer from: 0.41 sure, 0.78 needed to answer.",
        );
        check(
            Lang::Zh,
            Code::NoKnowledge,
            0.12,
            &thresholds,
            "知识库里没有足够接近的内容：把握 0.12，作答需要 0.78，给出选项需要 0.30。",
        );
        check(Lang::En, Code::Asked, 0.12, &[("guard_human", 1.0)], "The customer asked for a person: recognised with 1.00.");
        check(Lang::En, Code::Confident, 0.9, &[], "Sure enough: 0.90 sure.");
    }

    #[test]
    fn a_near_miss_does_not_read_like_a_hit() {
        check(
            Lang::En,
            Code::LowConfidence,
            0.7771,
            &[("threshold_answer", 0.7779)],
            "Something is near, but not near enough to answer from: 0.7771 sure, 0.7779 needed to answer.",
        );
        check(Lang::Zh, Code::Confident, f64::NAN, &[("threshold_answer", 0.5)], "把握足够：把握 0.00，作答需要 0.50。");
    }
}
