//! What in a sentence must be copied exactly? Numbers with their units, dates, times, addresses, codes, menu paths.
//!
//! Every ASCII digit of a text ends up in a claim: a changed digit is a changed claim.

use std::{collections::HashSet, sync::LazyLock};

use regex::Regex;

use super::terms::pattern;

/// What sort of claim; two claims agree only within a sort.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Sort {
    /// URL, domain, e-mail.
    Link,
    /// Hash, account or contract address.
    Hash,
    /// Day of a year.
    Date,
    /// Time of day.
    Time,
    /// Telephone number.
    Phone,
    /// Error code, version, standard: `w08`, `-32000`, `6.8.2`, `trc20`.
    Code,
    /// A number with its unit.
    Quantity,
    /// An upper-case word: `USDT`, `KYC`.
    Ticker,
    /// **Bold** text: the name of a button or page.
    Label,
    /// `A > B`.
    Path,
}

/// One thing that must be copied exactly.
#[derive(Debug, Clone)]
pub(super) struct Claim {
    pub(super) sort: Sort,
    /// The same for every way of writing it: `1000 usd`.
    canonical: String,
    /// `within`, `after`, `at least`, `at most`, when the text says so.
    bound: Option<&'static str>,
    /// As the text writes it.
    pub(super) shown: String,
}

/// The claims of a text.
pub(super) struct Claims {
    all: Vec<Claim>,
    /// Every Latin word in lower case, for tickers written small.
    words: HashSet<String>,
}

static LINK: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r#"(?i)[\w.+-]+@[a-z0-9-]+(?:\.[a-z0-9-]+)+|https?://[^\s<>"')\]}*,;。、\x{4e00}-\x{9fff}]+|(?-u:\b)(?:[a-z0-9-]+\.)+[a-z]{2,}(?-u:\b)(?:[/?#][^\s<>"')\]}*,;。、\x{4e00}-\x{9fff}]*)?"#,
    )
});
static HASH: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r"(?-u:\b)0[xX][0-9a-fA-F]+(?:(?:…|\.{2,3})[0-9a-fA-F]+)?(?-u:\b)|(?-u:\b)[0-9A-Za-z]{26,}(?-u:\b)")
});
static MONTH: &str = "jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec";
static DATE: LazyLock<Regex> = LazyLock::new(|| {
    pattern(&format!(
        r"(?i)(?:(?P<y1>\d{{4}})年)?(?P<m1>\d{{1,2}})月(?P<d1>\d{{1,2}})[日号]?|(?-u:\b)(?P<y2>(?:19|20)\d\d)[-/.](?P<m2>\d{{1,2}})[-/.](?P<d2>\d{{1,2}})(?-u:\b)|(?-u:\b)(?P<m3>{MONTH})[a-z]*\.? (?P<d3>\d{{1,2}})(?:st|nd|rd|th)?(?-u:\b)(?:,? (?P<y3>(?:19|20)\d\d)(?-u:\b))?|(?-u:\b)(?P<d4>\d{{1,2}})(?:st|nd|rd|th)? (?:of )?(?P<m4>{MONTH})[a-z]*(?-u:\b)(?:,? (?P<y4>(?:19|20)\d\d)(?-u:\b))?"
    ))
});
static TIME: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?i)(?P<part>凌晨|早上|上午|中午|下午|傍晚|晚上)?\s?(?-u:\b)(?P<h>[01]?\d|2[0-4]):(?P<m>[0-5]\d)(?::[0-5]\d)?(?-u:\b)(?:\s?(?P<ap>[ap])\.?m\b\.?)?|(?-u:\b)(?P<h2>1[0-2]|0?\d)\s?(?P<ap2>[ap])\.?m\b\.?|(?P<part3>凌晨|早上|上午|中午|下午|傍晚|晚上)?\s?(?P<h3>\d{1,2}|[一二两三四五六七八九十]{1,3})点(?P<half>半)?(?P<m3>\d{1,2})?(?P<end>钟|整|分)?",
    )
});
static PHONE: LazyLock<Regex> = LazyLock::new(|| pattern(r"\+\d[\d ()-]{5,}\d|(?-u:\b)\d{3,4}-\d{3,4}-\d{3,4}(?-u:\b)|(?-u:\b)400[ -]\d{3}[ -]\d{4}(?-u:\b)"));
static CODE: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?i)(?-u:\b)(?:utc|gmt)\s?[+-]\s?\d{1,2}(?::\d\d)?|-\d{4,}(?-u:\b)|(?-u:\b)v?\d+(?:\.\d+){2,}(?-u:\b)|(?-u:\b)v\d+(?:\.\d+)*(?-u:\b)|(?-u:\b)24/7(?-u:\b)|(?-u:\b)[a-z]+[-_]?\d[a-z0-9]*(?:[-_][a-z0-9]+)*(?-u:\b)|(?-u:\b)\d+[a-z]+\d[a-z0-9]*(?-u:\b)|(?-u:\b)\d+(?:st|nd|rd|th|fa|d|g)(?-u:\b)",
    )
});
static NUMBER: LazyLock<Regex> = LazyLock::new(|| pattern(r"(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?"));
static HAN_NUMBER: LazyLock<Regex> = LazyLock::new(|| pattern("百分之(?P<share>[零一二两三四五六七八九十百]+)|[零〇一二两三四五六七八九十百千万亿半]+"));
static WORD_NUMBER: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r"(?i)(?-u:\b)(?:half an?|an?|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|fifteen|twenty|thirty|forty|fifty|sixty|ninety|hundred)(?-u:\b)")
});
static TICKER: LazyLock<Regex> = LazyLock::new(|| pattern(r"(?-u:\b)[A-Z]{2,8}(?-u:\b)"));
static BOLD: LazyLock<Regex> = LazyLock::new(|| pattern(r"\*\*([^*\n]+)\*\*"));
static ARROW: LazyLock<Regex> = LazyLock::new(|| pattern(r"([\p{L}\p{N}&()/-]+)\*{0,2}\s*(?:->|>)\s*\*{0,2}([\p{L}\p{N}&()/-]+)"));
static MULTIPLIER: LazyLock<Regex> = LazyLock::new(|| pattern(r"(?i)^\s?(?:万亿|亿|万|千|百|(?:k|m|bn|million|billion|thousand|hundred)(?-u:\b))"));
static RANGE: LazyLock<Regex> = LazyLock::new(|| pattern(r"(?i)^\s?(?:-|~|～|—|至|到|to|or|/|and)\s?(?:[¥$€£]\s?)?\d"));
static BEFORE_MONEY: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"(?i)(?:hk\$|us\$|[¥$€£]|(?-u:\b)(?:usd|cny|rmb|hkd|eur|gbp|jpy|usdt|usdc|btc|eth|bnb|trx|sol))\s?$"));

/// Units by name: what a text may write right behind a number, and the one name for it.
static UNITS: LazyLock<Vec<(&'static str, Regex)>> = LazyLock::new(|| {
    let units: &[(&'static str, &str, &str)] = &[
        ("workday", "个?工作日", "business[ -]days?|working[ -]days?|workdays?"),
        ("hour", "个?(?:小时|钟头)", "hours?|hrs?|h"),
        ("minute", "分钟", "minutes?|mins?"),
        ("second", "秒钟?", "seconds?|secs?|s"),
        ("week", "周|个?星期", "weeks?"),
        ("month", "个月", "months?"),
        ("year", "年", "years?"),
        ("day", "个?(?:自然日|天)|日", "(?:calendar )?days?"),
        ("percent", "%|个?百分点", "percent|per cent|pct"),
        ("permille", "‰", "permille"),
        ("cny", "元人民币|元|块钱?|人民币", "cny|rmb|yuan"),
        ("usd", "美元|美金", "usd|us dollars?|dollars?"),
        ("hkd", "港币|港元", "hkd|hk dollars?"),
        ("eur", "欧元|€", "eur|euros?"),
        ("gbp", "英镑", "gbp|pounds?"),
        ("jpy", "日元", "jpy|yen"),
        ("usdt", "个?泰达币", "个?usdt"),
        ("usdc", "个?USDC", "usdc"),
        ("btc", "个?比特币", "btc|bitcoins?"),
        ("eth", "个?以太币", "eth|ether"),
        ("bnb", "个?BNB", "bnb"),
        ("trx", "个?TRX", "trx"),
        ("sol", "个?SOL", "sol"),
        ("pol", "个?POL", "pol|matic"),
        ("gwei", "个?gwei", "gwei"),
        ("feather", "根?羽毛|个羽毛", "feathers?"),
        ("point", "个?积分", "points?"),
        ("times", "次", "times?"),
        ("fold", "倍", "x"),
        ("digit", "位数?", "[- ]?digits?"),
        ("character", "个?字符", "characters?"),
        ("confirmation", "个?(?:区块)?确认", "(?:block |network )?confirmations?"),
        ("kb", "KB", "kb"),
        ("mb", "MB|兆", "mb"),
        ("gb", "GB", "gb"),
        ("age", "周?岁", "years? (?:old|of age)"),
    ];
    let read = |(name, zh, en): &(&'static str, &str, &str)| (*name, pattern(&format!(r"(?i)^[ -]?(?:{zh}|(?:{en})(?-u:\b))")));
    units.iter().map(read).collect()
});

impl Claims {
    /// Reads a folded text.
    pub(super) fn of(folded: &str) -> Self {
        let mut reader = Reader { text: folded, rest: folded.to_owned(), claims: Vec::new() };
        reader.labels();
        reader.links_and_hashes();
        reader.rest = reader.rest.replace('*', " ");
        reader.dates();
        reader.times();
        reader.simple(&PHONE, Sort::Phone, |found| found.chars().filter(char::is_ascii_digit).collect());
        reader.codes();
        reader.numbers();
        reader.han_numbers();
        reader.word_numbers();
        reader.tickers();
        let words = folded.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
        Claims { all: reader.claims, words: words.map(str::to_lowercase).collect() }
    }

    /// The claims that `passage` (whose folded text is given too) does not make, as written here.
    pub(super) fn missing_in(&self, passage: &Claims, folded: &str) -> Vec<String> {
        let bare = bare(folded);
        let held = |claim: &&Claim| match claim.sort {
            Sort::Label => stands_in(&claim.canonical, &bare),
            Sort::Path => passage.all.iter().any(|other| other.sort == Sort::Path && same_step(&claim.canonical, &other.canonical)),
            Sort::Ticker => passage.words.contains(&claim.canonical) || passage.states(claim),
            _ => passage.states(claim),
        };
        self.all.iter().filter(|claim| !held(claim)).map(|claim| claim.shown.clone()).collect()
    }

    /// Whether these claims hold that one, with its bound unless they leave the bound open.
    pub(super) fn states(&self, claim: &Claim) -> bool {
        let mut same = self.all.iter().filter(|other| other.sort == claim.sort && other.canonical == claim.canonical).peekable();
        same.peek().is_some() && same.any(|other| claim.bound.is_none() || other.bound.is_none() || claim.bound == other.bound)
    }

    /// The claims that a clause can give to the wrong thing.
    pub(super) fn measured(&self) -> impl Iterator<Item = &Claim> {
        self.all.iter().filter(|claim| matches!(claim.sort, Sort::Quantity | Sort::Time | Sort::Date | Sort::Phone | Sort::Link))
    }

    /// Whether there is a claim of the same sort and unit.
    pub(super) fn measures_like(&self, claim: &Claim) -> bool {
        self.all.iter().any(|other| other.sort == claim.sort && other.unit() == claim.unit())
    }
}

impl Claim {
    fn unit(&self) -> &str {
        if self.sort == Sort::Quantity { self.canonical.split_once(' ').map_or("", |(_, unit)| unit) } else { "" }
    }
}

/// Reads one sort after the other; what was read is blanked, so that `2026-11-20` is not three numbers as well.
struct Reader<'t> {
    text: &'t str,
    rest: String,
    claims: Vec<Claim>,
}

impl Reader<'_> {
    fn add(&mut self, sort: Sort, canonical: String, at: std::ops::Range<usize>) {
        let bound = if matches!(sort, Sort::Quantity | Sort::Time | Sort::Date) { bound(&self.text[..at.start], &self.text[at.end..]) } else { None };
        let shown = self.text[at].trim().to_owned();
        self.claims.push(Claim { sort, canonical, bound, shown });
    }

    fn blank(&mut self, at: std::ops::Range<usize>) {
        let spaces = "\u{1}".repeat(at.len());
        self.rest.replace_range(at, &spaces);
    }

    fn simple(&mut self, rule: &Regex, sort: Sort, canonical: fn(&str) -> String) {
        let found: Vec<_> = rule.find_iter(&self.rest).map(|found| (found.range(), canonical(found.as_str()))).collect();
        for (at, canonical) in found {
            self.add(sort, canonical, at.clone());
            self.blank(at);
        }
    }

    /// Bold names and menu paths; not blanked, since they may hold numbers too.
    fn labels(&mut self) {
        for found in BOLD.captures_iter(self.text) {
            let Some(inside) = found.get(1) else { continue };
            if !inside.as_str().contains('>') {
                self.add(Sort::Label, bare(inside.as_str()).trim().to_owned(), inside.range());
            }
        }
        // Each step of a path is a claim: "A > B > C" claims "A > B" and "B > C".
        let mut from = 0;
        while let Some(step) = ARROW.captures_at(self.text, from) {
            let (Some(whole), Some(left), Some(right)) = (step.get(0), step.get(1), step.get(2)) else { break };
            let canonical = format!("{}>{}", left.as_str().to_lowercase(), right.as_str().to_lowercase());
            self.add(Sort::Path, canonical, whole.range());
            from = right.start();
        }
    }

    fn links_and_hashes(&mut self) {
        self.simple(&LINK, Sort::Link, |link| {
            let link = link.trim_end_matches(['.', ':', '!', '?']);
            let lower = link.to_lowercase();
            let bare = lower.trim_start_matches("https://").trim_start_matches("http://").trim_start_matches("www.");
            bare.trim_end_matches('/').to_owned()
        });
        let found: Vec<_> = HASH.find_iter(&self.rest).map(|found| found.range()).collect();
        for at in found {
            let hash = &self.rest[at.clone()];
            let hex = hash.starts_with("0x") || hash.starts_with("0X");
            let mixed = hash.chars().any(|c| c.is_ascii_digit());
            if hex || mixed {
                // Base58 tells capitals from small letters.
                let canonical = if hex { hash.to_lowercase() } else { hash.to_owned() };
                self.add(Sort::Hash, canonical, at.clone());
                self.blank(at);
            }
        }
    }

    fn dates(&mut self) {
        let mut found = Vec::new();
        for date in DATE.captures_iter(&self.rest) {
            let part = |names: [&str; 4]| names.iter().find_map(|name| date.name(name)).map(|part| part.as_str().to_lowercase());
            let (Some(month), Some(day)) = (part(["m1", "m2", "m3", "m4"]), part(["d1", "d2", "d3", "d4"])) else { continue };
            let month = MONTH.split('|').position(|name| month.starts_with(name)).map_or(month.clone(), |at| (at + 1).to_string());
            let Some(whole) = date.get(0) else { continue };
            found.push((whole.range(), part(["y1", "y2", "y3", "y4"]), decimal(&month, 0), decimal(&day, 0)));
        }
        for (at, year, month, day) in found {
            self.add(Sort::Date, format!("{month}-{day}"), at.clone());
            if let Some(year) = year {
                self.add(Sort::Date, format!("{year}-{month}-{day}"), at.clone());
            }
            self.blank(at);
        }
    }

    fn times(&mut self) {
        let mut found = Vec::new();
        for time in TIME.captures_iter(&self.rest) {
            let name = |names: &[&str]| names.iter().find_map(|name| time.name(name)).map(|part| part.as_str());
            let (Some(whole), Some(hour)) = (time.get(0), name(&["h", "h2", "h3"])) else { continue };
            let part = name(&["part", "part3"]);
            let on_the_point = name(&["half", "end"]).is_some() || part.is_some() || hour.chars().all(|c| c.is_ascii_digit());
            if !on_the_point {
                // "一点" is "a little", not one o'clock.
                continue;
            }
            let Some(mut hour) = hour.parse::<u32>().ok().or_else(|| han_value(hour).and_then(|value| value.parse().ok())) else { continue };
            let minute = if name(&["half"]).is_some() { "30" } else { name(&["m", "m3"]).unwrap_or("00") };
            let later = matches!(part, Some("下午" | "傍晚" | "晚上")) || matches!(name(&["ap", "ap2"]), Some("p" | "P"));
            if later && hour < 12 {
                hour += 12;
            } else if matches!(name(&["ap", "ap2"]), Some("a" | "A")) && hour == 12 {
                hour = 0;
            }
            found.push((whole.range(), format!("{hour:02}:{minute:0>2}")));
        }
        for (at, canonical) in found {
            self.add(Sort::Time, canonical, at.clone());
            self.blank(at);
        }
    }

    /// Codes, but not a number glued to its unit: `24h`, `5USDT`.
    fn codes(&mut self) {
        let found: Vec<_> = CODE.find_iter(&self.rest).map(|found| found.range()).collect();
        for at in found {
            let code = self.rest[at.clone()].to_lowercase();
            let preceded = self.rest[..at.start].ends_with(|c: char| c.is_ascii_digit() || c == ')');
            if code.starts_with('-') && preceded {
                continue;
            }
            let canonical: String = match () {
                () if code.starts_with('-') => code,
                () if code.starts_with("utc") || code.starts_with("gmt") => code.replace(' ', "").replace("gmt", "utc"),
                () => code.strip_prefix('v').filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit())).unwrap_or(&code).replace(['-', '_'], ""),
            };
            self.add(Sort::Code, canonical, at.clone());
            self.blank(at);
        }
    }

    fn numbers(&mut self) {
        let found: Vec<_> = NUMBER.find_iter(&self.rest).map(|found| found.range()).collect();
        // From the right: "3-5 days" gives its unit to the 3.
        let mut next: Option<(usize, i32, &'static str)> = None;
        for at in found.into_iter().rev() {
            let after = &self.rest[at.end..];
            let multiplier = MULTIPLIER.find(after).map_or("", |found| found.as_str());
            let mut exponent = exponent(multiplier.trim());
            let mut end = at.end + multiplier.len();
            let unit = unit_behind(&self.rest[end..]);
            let mut name = unit.map_or("", |(name, _)| name);
            let mut start = at.start;
            if let Some(money) = BEFORE_MONEY.find(&self.rest[..at.start])
                && name.is_empty()
            {
                name = currency(money.as_str().trim());
                start = money.start();
            }
            if let (Some((next_start, next_exponent, next_unit)), true) = (next, RANGE.is_match(&self.rest[end..]))
                && unit.is_none()
                && next_start <= end + 8
            {
                let between = self.rest[..at.start].to_lowercase();
                let pair = !self.rest[end..].trim_start().to_lowercase().starts_with("and") || between.trim_end().ends_with("between");
                if pair {
                    name = if name.is_empty() { next_unit } else { name };
                    exponent = if multiplier.is_empty() && !next_unit.is_empty() { next_exponent } else { exponent };
                }
            }
            end += unit.map_or(0, |(_, length)| length);
            next = Some((start, exponent, name));
            let value = decimal(&self.rest[at.clone()], exponent);
            self.add(Sort::Quantity, format!("{value} {name}"), start..end);
            self.blank(at);
        }
    }

    /// Chinese numerals where a unit or their length shows that they count.
    fn han_numbers(&mut self) {
        let mut found = Vec::new();
        for number in HAN_NUMBER.captures_iter(&self.rest) {
            let Some(whole) = number.get(0) else { continue };
            if let Some(value) = number.name("share").and_then(|share| han_value(share.as_str())) {
                found.push((whole.range(), format!("{value} percent")));
                continue;
            }
            let Some((unit, length)) = unit_behind(&self.rest[whole.end()..]) else { continue };
            let vague = matches!(whole.as_str(), "一") && matches!(unit, "times" | "digit" | "fold" | "point");
            if let (Some(value), false) = (han_value(whole.as_str()), vague) {
                found.push((whole.start()..whole.end() + length, format!("{value} {unit}")));
            }
        }
        for (at, canonical) in found {
            self.add(Sort::Quantity, canonical, at);
        }
    }

    fn word_numbers(&mut self) {
        let mut found = Vec::new();
        for number in WORD_NUMBER.find_iter(&self.rest) {
            let Some((unit, length)) = unit_behind(&self.rest[number.end()..]) else { continue };
            let value = match number.as_str().to_lowercase().as_str() {
                "half a" | "half an" => "0.5",
                "a" | "an" | "one" => "1",
                word => {
                    const WORDS: &[(&str, &str)] = &[
                        ("two", "2"), ("three", "3"), ("four", "4"), ("five", "5"), ("six", "6"), ("seven", "7"), ("eight", "8"),
                        ("nine", "9"), ("ten", "10"), ("eleven", "11"), ("twelve", "12"), ("fifteen", "15"), ("twenty", "20"),
                        ("thirty", "30"), ("forty", "40"), ("fifty", "50"), ("sixty", "60"), ("ninety", "90"),
                    ];
                    WORDS.iter().find(|(name, _)| *name == word).map_or("100", |(_, value)| value)
                }
            };
            found.push((number.start()..number.end() + length, format!("{value} {unit}")));
        }
        for (at, canonical) in found {
            self.add(Sort::Quantity, canonical, at);
        }
    }

    /// Words in capitals, unless the whole sentence shouts or the capitals only stress.
    fn tickers(&mut self) {
        const STRESS: &[&str] =
            &["NOT", "NO", "OK", "AND", "OR", "NEVER", "DO", "ANY", "ALL", "YOU", "ONLY", "MUST", "DON", "IF", "BE", "IS", "TO", "THE", "CANNOT", "ALWAYS", "AM", "PM"];
        let found: Vec<_> = TICKER.find_iter(&self.rest).map(|found| found.range()).collect();
        for at in found {
            if !STRESS.contains(&&self.rest[at.clone()]) {
                self.add(Sort::Ticker, self.rest[at.clone()].to_lowercase(), at);
            }
        }
    }
}

/// What the words around a number make of it.
fn bound(before: &str, after: &str) -> Option<&'static str> {
    static BEHIND: LazyLock<Regex> = LazyLock::new(|| pattern(r"(?i)^\s?(?:(?P<within>以内|之内|内|or less|or fewer|以下|封顶)|(?P<after>以?后|之后|later)|(?P<before>以?前|之前)|(?P<least>以上|起|or more))"));
    static AHEAD: LazyLock<Regex> = LazyLock::new(|| {
        pattern(r"(?i)(?:(?P<within>within|under|less than|up to|at most|no more than|not more than|maximum(?: of)?|不超过|不多于|不高于|至多|最多|最高|低于|少于|小于)|(?P<after>after|超过)|(?P<before>before|by|no later than|不晚于)|(?P<least>at least|minimum(?: of)?|no less than|not less than|more than|over|above|至少|最少|最低|不低于|不少于|高于|多于|大于|满))(?: the| about)?\s?[:¥$€£]?\s?$")
    });
    let named = |found: regex::Captures<'_>| ["within", "after", "before", "least"].into_iter().find(|name| found.name(name).is_some());
    BEHIND.captures(after).and_then(named).or_else(|| AHEAD.captures(before).and_then(named))
}

/// The unit that `text` begins with, and its length in bytes.
fn unit_behind(text: &str) -> Option<(&'static str, usize)> {
    let longest = UNITS.iter().filter_map(|(name, rule)| rule.find(text).map(|found| (*name, found.len())));
    longest.max_by_key(|(_, length)| *length)
}

fn currency(sign: &str) -> &'static str {
    match sign.to_lowercase().as_str() {
        "¥" | "cny" | "rmb" => "cny",
        "$" | "us$" | "usd" => "usd",
        "hk$" | "hkd" => "hkd",
        "€" | "eur" => "eur",
        "£" | "gbp" => "gbp",
        other => UNITS.iter().map(|(name, _)| *name).find(|name| *name == other).unwrap_or(""),
    }
}

fn exponent(multiplier: &str) -> i32 {
    match multiplier.to_lowercase().as_str() {
        "百" | "hundred" => 2,
        "千" | "k" | "thousand" => 3,
        "万" => 4,
        "m" | "million" => 6,
        "亿" => 8,
        "bn" | "billion" => 9,
        "万亿" => 12,
        _ => 0,
    }
}

/// A decimal number times a power of ten, written in one way: `1,000` and `0.1` x 10^4 are both `1000`.
fn decimal(number: &str, exponent: i32) -> String {
    let number: String = number.chars().filter(|c| *c != ',').collect();
    let (whole, fraction) = number.split_once('.').unwrap_or((&number, ""));
    let (mut whole, mut fraction) = (whole.to_owned(), fraction.to_owned());
    for _ in 0..exponent {
        if fraction.is_empty() {
            whole.push('0');
        } else {
            whole.push(fraction.remove(0));
        }
    }
    let whole = whole.trim_start_matches('0');
    let fraction = fraction.trim_end_matches('0');
    let whole = if whole.is_empty() { "0" } else { whole };
    if fraction.is_empty() { whole.to_owned() } else { format!("{whole}.{fraction}") }
}

/// A plain Chinese numeral: 两百 is 200, 十五 is 15, 一万二 is not one.
fn han_value(text: &str) -> Option<String> {
    if text == "半" {
        return Some("0.5".to_owned());
    }
    let (mut total, mut section, mut digit) = (0u64, 0u64, None::<u64>);
    for c in text.chars() {
        if let Some(value) = "零一二三四五六七八九".chars().position(|numeral| numeral == c || (c == '两' && numeral == '二') || (c == '〇' && numeral == '零')) {
            digit = Some(value as u64);
            continue;
        }
        let unit = match c {
            '十' => 10,
            '百' => 100,
            '千' => 1000,
            '万' => 10_000,
            '亿' => 100_000_000,
            _ => return None,
        };
        if unit >= 10_000 {
            total = total.saturating_add(section.saturating_add(digit.take().unwrap_or(0)).max(1).saturating_mul(unit));
            section = 0;
        } else {
            section = section.saturating_add(digit.take().unwrap_or(1).saturating_mul(unit));
        }
    }
    Some(total.saturating_add(section).saturating_add(digit.unwrap_or(0)).to_string())
}

/// Lower case, emphasis and the spaces beside Chinese characters removed.
fn bare(folded: &str) -> String {
    folded.replace('*', "").split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

/// Whether `label` stands in `text` as a whole: "5 days" does not stand in "15 days".
fn stands_in(label: &str, text: &str) -> bool {
    let word = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    !label.is_empty()
        && text.match_indices(label).any(|(at, _)| {
            let (before, after) = (text[..at].chars().next_back(), text[at + label.len()..].chars().next());
            !(word(before) && word(label.chars().next())) && !(word(after) && word(label.chars().next_back()))
        })
}

/// Whether two steps of a path are the same one. A sentence without emphasis runs the words before a path into it
/// ("打开我的 > 帮助"), so one left side may end with the other, and one right side begin with the other.
fn same_step(own: &str, other: &str) -> bool {
    let (Some((left, right)), Some((other_left, other_right))) = (own.split_once('>'), other.split_once('>')) else { return false };
    (left.ends_with(other_left) || other_left.ends_with(left)) && (right.starts_with(other_right) || other_right.starts_with(right))
}
