//! Does the sentence say yes where the passage says no? Negations and modalities with the words they govern.

use std::sync::LazyLock;

use regex::Regex;

use super::terms::{Terms, in_order, pattern};

/// How a marker bends what it governs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bend {
    /// not, no, 不, 没
    Not,
    /// never, 绝不
    Never,
    /// cannot, must not, 不能, 禁止
    Cannot,
    /// need not, 无需
    NeedNot,
    /// must, 必须
    Must,
    /// can, may, 可以
    May,
    /// only, 仅
    Only,
    /// free, always, immediately and the like: as good as a number
    Strong(&'static str),
}

/// A marker in a clause.
#[derive(Debug, Clone)]
pub(super) struct Mark {
    bend: Bend,
    /// The first content terms behind it.
    governs: Vec<String>,
    /// As the text writes it.
    pub(super) shown: String,
}

/// How many terms behind a marker are taken as what it governs.
const GOVERNED: usize = 3;

/// Words that hold a marker's characters and bend nothing; alternatives with bounds are read as bounds elsewhere.
static HARMLESS: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        "(?i)不同|不仅|不只|不过|不久|不足|不少于|不少|不断|不管|不论|不妨|不错|不超过|不低于|不高于|不多于|不晚于|不早于|对不起|差不多|是不是|能不能|可不可以|会不会|要不要|有没有|是否|\
         未来|无论|无限|无线|非常|特别|分别|类别|级别|区别|识别|别人|别名|性别|个别|可能|可靠|认可|许可|可用|可见|功能|智能|性能|职能|能力|能量|技能|需求|会员|会话|\
         (?-u:\\b)(?:no (?:later|more|less|fewer|earlier) than|not (?:only|more than|less than|later than)|whether or not|no\\.(?: ?\\d))",
    )
});

static MARKS: LazyLock<Vec<(Bend, Regex)>> = LazyLock::new(|| {
    let word = |words: &str| format!("(?-u:\\b)(?:{words})(?-u:\\b)");
    let mark = |bend, zh: &str, en: &str| (bend, pattern(&format!("(?i){zh}|{}", word(en))));
    vec![
        mark(Bend::NeedNot, "无需|无须|不需要?|不必|不用|毋须|免去", "(?:do|does|did)(?:n'?t| not) (?:need|have) to|(?:do|does)(?:n'?t| not) need|need(?:n'?t| not)|no need|not (?:required|necessary|needed)|no longer need"),
        mark(Bend::Never, "从不|从未|绝不会?|永不|永远不会?|决不|绝对不会?", "never"),
        mark(
            Bend::Cannot,
            "无法|不能够?|不可以|不可|不得|不支持|不允许|不接受|禁止|严禁|请勿|切勿|勿|不要|请别|别把|别将|别在|拒绝",
            "can(?:no|')?t|can not|unable|must(?:n'?t| not)|may not|could(?:n'?t| not)|impossible|not (?:possible|allowed|permitted|supported|able)|forbidden|prohibited|(?:is|are)(?:n'?t| not) (?:possible|allowed|permitted|supported|able)",
        ),
        mark(Bend::Not, "不会|不再|不是|不|没有|没|未|非|无", "not|no|\\w+n't|dont|doesnt|didnt|wont|isnt|arent|without|none|neither|nor|nothing|nobody"),
        mark(Bend::Must, "必须|务必|一定要|强制|需要|须|应当|应该|需", "must|required?|requires|have to|has to|needs? to|needs?|should|mandatory"),
        mark(Bend::May, "可以|能够|允许|支持|可|能", "can|may|could|able|allow(?:s|ed)?|supports?|supported|possible|permitted"),
        mark(Bend::Only, "只|仅", "only|solely|exclusively"),
        mark(Bend::Strong("free"), "免费|免手续费|零费用|零手续费", "free|free of charge"),
        mark(Bend::Strong("at once"), "立即|立刻|即时|实时|马上|秒到", "immediately|instantly|instant|at once|right away|real[ -]time"),
        mark(Bend::Strong("always"), "总是|始终|一直|永久", "always|permanently|permanent|forever"),
        mark(Bend::Strong("all"), "所有|全部|任何|一切", "all|every|any"),
        mark(Bend::Strong("sure"), "保证|担保|确保|一定会|肯定", "guarantee[sd]?|definitely|certainly|surely"),
        mark(Bend::Strong("automatic"), "自动", "automatic(?:ally)?"),
    ]
});

/// The markers of a folded clause. Stronger readings first: a piece that was read is not read again.
pub(super) fn marks(folded: &str) -> Vec<Mark> {
    let blank = |text: &str| " ".repeat(text.len());
    let mut text = HARMLESS.replace_all(folded, |found: &regex::Captures<'_>| blank(&found[0])).into_owned();
    let mut marks = Vec::new();
    for (bend, rule) in MARKS.iter() {
        let found: Vec<std::ops::Range<usize>> = rule.find_iter(&text).map(|found| found.range()).collect();
        for at in found {
            let governs = in_order(&folded[at.end..]).into_iter().filter(|term| !is_a_unit(term)).take(GOVERNED).collect();
            marks.push(Mark { bend: *bend, governs, shown: folded[at.clone()].to_owned() });
            text.replace_range(at.clone(), &" ".repeat(at.len()));
        }
    }
    marks
}

/// Units say how much, not what.
fn is_a_unit(term: &str) -> bool {
    const UNITS: &[&str] = &["hour", "day", "minut", "month", "week", "year", "second", "小时", "分钟", "工作", "作日", "business", "天", "usdt", "cny"];
    UNITS.contains(&term)
}

impl Mark {
    fn negates(&self) -> bool {
        matches!(self.bend, Bend::Not | Bend::Never | Bend::Cannot | Bend::NeedNot)
    }

    fn shares_matter(&self, other: &Mark) -> bool {
        self.governs.is_empty() || other.governs.is_empty() || self.governs.iter().any(|term| other.governs.contains(term))
    }

    /// Whether a marker of the passage says the same: its kind and, for a negation, what it governs.
    pub(super) fn held_by(&self, other: &Mark) -> bool {
        let same_kind = match (self.bend, other.bend) {
            // "cannot be cancelled" holds up "is not cancelled", not the other way round.
            (Bend::Not, Bend::Cannot | Bend::Never) => true,
            (own, others) => own == others,
        };
        same_kind && (!self.negates() || self.shares_matter(other))
    }

    /// Whether a text with these terms and markers speaks of what this negation governs, without negating it.
    pub(super) fn dropped_by(&self, terms: &Terms, said: &[&Mark]) -> bool {
        if !self.negates() || self.governs.is_empty() {
            return false;
        }
        let spoken_of = self.governs.iter().filter(|term| terms.contains(term)).count();
        let negated = said.iter().any(|mark| mark.negates() && self.shares_matter(mark));
        spoken_of * 2 >= self.governs.len() && !negated
    }
}
