//! Which questions stand for all of them? A fixed part of a suite, for runs where each question takes seconds.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use super::suite::{Question, Suite};

impl Suite {
    /// The same suite with about `limit` of its questions: each language, kind and split, answerable or not, in its share.
    /// A question's luck hangs on `seed` and its own id alone, so that new questions do not change which old ones are drawn.
    pub fn limited_to(mut self, limit: usize, seed: u64) -> Suite {
        if limit >= self.questions.len() {
            return self;
        }
        let mut strata: BTreeMap<String, Vec<[u8; 32]>> = BTreeMap::new();
        for question in &self.questions {
            strata.entry(stratum(question)).or_default().push(luck(&question.id, seed));
        }
        let quotas = quotas(&strata.values().map(Vec::len).collect::<Vec<_>>(), limit);
        let mut bars: BTreeMap<String, Option<[u8; 32]>> = BTreeMap::new();
        for ((name, mut lucks), quota) in strata.into_iter().zip(quotas) {
            lucks.sort_unstable();
            bars.insert(name, quota.checked_sub(1).and_then(|last| lucks.get(last).copied()));
        }
        self.questions.retain(|question| {
            let bar = bars.get(&stratum(question)).copied().flatten();
            bar.is_some_and(|bar| luck(&question.id, seed) <= bar)
        });
        self
    }
}

fn stratum(question: &Question) -> String {
    let (kind, split) = (question.kind.as_deref().unwrap_or(""), question.split.as_deref().unwrap_or(""));
    format!("{} {} {kind} {split}", question.lang, question.answerable)
}

fn luck(id: &str, seed: u64) -> [u8; 32] {
    Sha256::new().chain_update(seed.to_be_bytes()).chain_update(id).finalize().into()
}

/// `limit` over groups of these sizes, in proportion; what is left after rounding down goes to the largest remainders.
fn quotas(sizes: &[usize], limit: usize) -> Vec<usize> {
    let all: usize = sizes.iter().sum();
    let mut quotas: Vec<usize> = sizes.iter().map(|size| size * limit / all.max(1)).collect();
    let mut by_remainder: Vec<usize> = (0..sizes.len()).collect();
    by_remainder.sort_by_key(|at| (std::cmp::Reverse(sizes[*at] * limit % all.max(1)), *at));
    let left = limit - quotas.iter().sum::<usize>();
    by_remainder.into_iter().take(left).for_each(|at| quotas[at] += 1);
    quotas
}

#[cfg(test)]
mod tests {
    use super::*;

    fn suite(count: usize) -> Suite {
        let folder = tempfile::tempdir().unwrap();
        let line = |at: usize| {
            let (lang, answerable) = (if at.is_multiple_of(4) { "zh" } else { "en" }, !at.is_multiple_of(5));
            let relevant = if answerable { r#"["d"]"# } else { "[]" };
            format!(
                r#"{{"id":"q{at}","question":"q","lang":"{lang}","relevant":{relevant},"answerable":{answerable}}}"#
            )
        };
        let lines: Vec<String> = (0..count).map(line).collect();
        std::fs::write(folder.path().join("questions.jsonl"), lines.join("\n")).unwrap();
        Suite::from_folder(folder.path()).unwrap()
    }

    fn ids(suite: Suite) -> Vec<String> {
        suite.questions.into_iter().map(|question| question.id).collect()
    }

    #[test]
    fn every_stratum_gets_its_share() {
        let part = suite(200).limited_to(40, 1);
        assert_eq!(part.questions.len(), 40);
        let count = |of: fn(&Question) -> bool| part.questions.iter().filter(|question| of(question)).count();
        assert_eq!(count(|question| question.lang == crate::words::Lang::Zh), 10);
        assert_eq!(count(|question| !question.answerable), 8);
        assert_eq!(ids(suite(30).limited_to(30, 1)).len(), 30);
        assert_eq!(ids(suite(30).limited_to(0, 1)).len(), 0);
    }

    #[test]
    fn the_same_seed_draws_the_same_questions() {
        assert_eq!(ids(suite(200).limited_to(40, 1)), ids(suite(200).limited_to(40, 1)));
        assert_ne!(ids(suite(200).limited_to(40, 1)), ids(suite(200).limited_to(40, 2)));
    }

    #[test]
    fn quotas_add_up() {
        assert_eq!(quotas(&[10, 10, 10], 10), [4, 3, 3]);
        assert_eq!(quotas(&[1, 99], 10), [0, 10]);
        assert_eq!(quotas(&[], 0), Vec::<usize>::new());
    }
}
