//! Which words carry the matter? Latin words by stem, Chinese by pairs of characters; little words left out.

use std::{collections::BTreeSet, sync::LazyLock};

use regex::Regex;

/// The content terms of a text.
pub(super) struct Terms(BTreeSet<String>);

/// Words that say nothing alone, negations among them: [`super::polarity`] reads those.
const LITTLE_EN: &str = " a an the and or but if then else of to in on at by for from with as is are was were be been being am it its this that these those there here you your yours i me my we our us they them their he she his her do does did done has have had having will would shall should can could may might must not no nor never cannot without so such than too very also just only more most any all some each which who whom whose what when where why how please need needs into onto about over under after before within until while during per via up out off again once don't doesn't didn't won't can't isn't aren't wasn't haven't hasn't take takes get gets make makes go ";

static LITTLE_ZH: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        "您好|您|你们|你|我们|我|它们|它|他们|的话|的|了|着|在|和|与|及|以及|是|将会|将|会|把|被|对于|对|就|都|也|并且|并|或者|或|而|请|可以|可能|可|需要|需|必须|务必|要|能够|能|如果|如|若|则|之后|以后|后|之前|以前|前|时候|时|这个|这|那个|那|个|里面|里|中|为了|为|有|从|以内|内|等|即可|即|通过|进行|因为|因此|所以|但是|但|只|仅|再|还|才|又|一般|通常|无法|不能|不会|不可|不得|不要|不用|无需|不必|不|没有|没|未|勿|禁止|最|约|大约|左右|一次|一下|一个",
    )
});

pub(super) fn pattern(text: &str) -> Regex {
    #[expect(clippy::expect_used, reason = "a fixed pattern that the tests compile")]
    Regex::new(text).expect("this is a bug: a fixed pattern does not compile")
}

impl Terms {
    /// Reads a folded text.
    pub(super) fn of(folded: &str) -> Self {
        let mut terms = BTreeSet::new();
        for term in in_order(folded) {
            terms.insert(term);
        }
        Terms(terms)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn contains(&self, term: &str) -> bool {
        self.0.contains(term)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// Share of these terms that `other` has; 0 where there is none to find.
    pub(super) fn share_in(&self, other: &Terms) -> f64 {
        if self.0.is_empty() {
            return 0.0;
        }
        self.0.iter().filter(|term| other.contains(term)).count() as f64 / self.0.len() as f64
    }
}

/// The content terms of a folded text in reading order, with repeats.
pub(super) fn in_order(folded: &str) -> Vec<String> {
    static RUN: LazyLock<Regex> = LazyLock::new(|| pattern(r"[A-Za-z][A-Za-z'-]*|[\x{4e00}-\x{9fff}]+"));
    let text = LITTLE_ZH.replace_all(folded, " ");
    let mut terms = Vec::new();
    for run in RUN.find_iter(&text) {
        let run = run.as_str();
        if run.starts_with(|c: char| c.is_ascii()) {
            for word in run.split('-').filter(|word| word.len() > 1) {
                let word = word.to_lowercase();
                if !LITTLE_EN.contains(&format!(" {word} ")) {
                    terms.push(stem(&word));
                }
            }
            continue;
        }
        let characters: Vec<char> = run.chars().collect();
        if characters.len() == 1 {
            terms.push(run.to_owned());
        }
        terms.extend(characters.windows(2).map(|pair| pair.iter().collect::<String>()));
    }
    terms
}

/// `withdrawals`, `cancelled` and `fees` as `withdrawal`, `cancel` and `fee`: enough to compare, not a stemmer.
fn stem(word: &str) -> String {
    let word = word.trim_end_matches("'s").trim_matches('\'');
    let cut = |ending: &str| word.strip_suffix(ending).filter(|rest| rest.len() >= 3);
    let base = match () {
        () if word.ends_with("ies") => return format!("{}y", &word[..word.len() - 3]),
        () if word.ends_with("ss") => word,
        () => cut("ing").or_else(|| cut("ed")).or_else(|| cut("s")).unwrap_or(word),
    };
    // cancelled -> cancell -> cancel; charge, charged -> charg.
    let doubled = base.len() >= 5 && base.ends_with("ll") && base.len() < word.len();
    let base = if doubled { &base[..base.len() - 1] } else { base };
    base.strip_suffix('e').filter(|rest| rest.len() >= 3).unwrap_or(base).to_owned()
}
