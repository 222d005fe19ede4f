//! What does a text state that can be wrong in one character: numbers with their units, dates, times, addresses, links,
//! tickers, negations. And which of them does a quote not hold?

use std::{collections::HashSet, sync::LazyLock};

use regex::{Captures, Regex};
use unicode_normalization::UnicodeNormalization;

use super::answers::{is_stopword, without_thousands};
use crate::words::is_han;

/// A unit's canonical name and how it is written.
const UNITS: [(&str, &str); 22] = [
    ("business days", r"business\s+days?|working\s+days?|个?工作日"),
    ("%", r"%|percent|per\s?cent"),
    ("seconds", r"seconds?|secs?|秒钟?"),
    ("minutes", r"minutes?|mins?|分钟"),
    ("hours", r"hours?|hrs?|个?小时"),
    ("days", r"days?|天|日"),
    ("weeks", r"weeks?|个?星期|周"),
    ("months", r"months?|个月"),
    ("years", r"years?|年"),
    ("times", r"times|次"),
    ("words", r"words?|个?单词|个?词"),
    ("digits", r"digits?|位数?字?"),
    ("blocks", r"blocks?|个?区块"),
    ("confirmations", r"confirmations?|次?个?确认"),
    ("points", r"points?|个?积分"),
    ("usd", r"usd\b|us\s+dollars?|dollars?|美元|美金"),
    ("yuan", r"cny\b|rmb\b|yuan|元|人民币"),
    ("eur", r"eur\b|euros?|欧元"),
    ("gwei", r"gwei"),
    ("kb", r"kb\b"),
    ("mb", r"mb\b"),
    ("gb", r"gb\b"),
];

/// English number words that stand before a unit.
const NUMBER_WORDS: [(&str, &str); 20] = [
    ("one", "1"),
    ("two", "2"),
    ("three", "3"),
    ("four", "4"),
    ("five", "5"),
    ("six", "6"),
    ("seven", "7"),
    ("eight", "8"),
    ("nine", "9"),
    ("ten", "10"),
    ("eleven", "11"),
    ("twelve", "12"),
    ("fifteen", "15"),
    ("twenty", "20"),
    ("twenty-four", "24"),
    ("thirty", "30"),
    ("forty", "40"),
    ("sixty", "60"),
    ("ninety", "90"),
    ("hundred", "100"),
];

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];

/// Words in which 不, 别, 非, 无, 未, 没 do not negate.
const NO_NEGATION: [&str; 27] = [
    "不过",
    "不仅",
    "不但",
    "不管",
    "不论",
    "不断",
    "不久",
    "不妨",
    "差不多",
    "对不起",
    "非常",
    "除非",
    "特别",
    "别人",
    "别的",
    "类别",
    "区别",
    "级别",
    "识别",
    "分别",
    "个别",
    "性别",
    "鉴别",
    "无论",
    "无线",
    "未来",
    "要不要",
];

fn compiled(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a pattern of this file compiles; this is a bug")
}

static UNIT: LazyLock<String> =
    LazyLock::new(|| UNITS.iter().map(|(_, written)| format!("(?:{written})")).collect::<Vec<_>>().join("|"));
static LIST_NUMBER: LazyLock<Regex> = LazyLock::new(|| compiled(r"(?m)^[\s>*#-]*\d{1,2}(?:[.)、]|:\s)\s*"));
static LINK: LazyLock<Regex> = LazyLock::new(|| {
    compiled(
        r#"(?i)https?://[^\s<>()\[\]"'`，。；、）】》！？]+|[\w.+-]+@[\w-]+(?:\.[\w-]+)+|(?-u:\b)(?:[a-z0-9-]+\.)+(?:com|org|net|io|app|cn|dev|xyz|finance|co|me|info)(?-u:\b)(?:/[^\s<>()\[\]"'`，。；、）】》！？]*)?"#,
    )
});
static ADDRESS: LazyLock<Regex> = LazyLock::new(|| {
    compiled(
        r"(?-u:\b)(?:0[xX][0-9a-fA-F]{4,}|(?:bc1|tb1|ltc1|bnb1|cosmos1)[0-9a-z]{8,}|[1-9A-HJ-NP-Za-km-z]{26,90})(?-u:\b)",
    )
});
static DATE: LazyLock<Regex> = LazyLock::new(|| {
    let month = "(?P<name>jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*";
    compiled(&format!(
        r"(?i)(?P<y>\d{{4}})\s?[-/.年]\s?(?P<m>\d{{1,2}})\s?[-/.月]\s?(?P<d>\d{{1,2}})\s?[日号]?|(?P<m2>\d{{1,2}})\s?月\s?(?P<d2>\d{{1,2}})\s?[日号]|(?-u:\b){month}\.?\s+(?P<d3>\d{{1,2}})(?:st|nd|rd|th)?(?:,?\s+(?P<y3>\d{{4}}))?(?-u:\b)|(?-u:\b)(?P<d4>\d{{1,2}})(?:st|nd|rd|th)?\s+(?P<name4>jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?(?:,?\s+(?P<y4>\d{{4}}))?(?-u:\b)"
    ))
});
static CLOCK: LazyLock<Regex> = LazyLock::new(|| compiled(r"(?-u:\b)(\d{1,2}):(\d{2})(?::\d{2})?(?-u:\b)"));
static NUMBER: LazyLock<Regex> = LazyLock::new(|| {
    compiled(&format!(
        r"(?i)(?P<money>[$¥€£])?\s?(?P<number>\d+(?:\.\d+)?)(?:[\s-]*(?P<unit>{})|\s*(?P<ticker>[a-z][a-z0-9]{{1,9}})(?-u:\b))?",
        *UNIT
    ))
});
static TICKER: LazyLock<Regex> = LazyLock::new(|| compiled(r"(?-u:\b)[A-Z][A-Z0-9]{1,9}(?-u:\b)"));
static WORD: LazyLock<Regex> = LazyLock::new(|| compiled(r"[A-Za-z]+(?:['’][A-Za-z]+)?|\d+|\p{Han}"));
static SPELLED: LazyLock<Regex> = LazyLock::new(|| {
    let words = NUMBER_WORDS.iter().rev().map(|(word, _)| *word).collect::<Vec<_>>().join("|");
    compiled(&format!(r"(?i)(?-u:\b)(?P<word>{words})(?P<gap>[\s-]+)(?P<unit>{})(?P<end>(?-u:\b)|\s|$)", *UNIT))
});
static SPELLED_HAN: LazyLock<Regex> = LazyLock::new(|| {
    compiled(&format!(r"(?P<word>[零一二两三四五六七八九十百千万]+)(?P<unit>个?(?:小时|工作日|星期|月)|{})", *UNIT))
});

/// What a text states, sorted by sort: each a canonical form that equal statements share.
#[derive(Debug, Default)]
struct Stated {
    links: Vec<String>,
    addresses: Vec<String>,
    dates: Vec<String>,
    clocks: Vec<String>,
    numbers: Vec<Number>,
    tickers: Vec<String>,
}

#[derive(Debug)]
struct Number {
    value: String,
    /// A known unit, a currency, or a ticker in capitals.
    unit: Option<String>,
    /// The word after it, in lower case, whatever it is: a quote's `5 usdt` holds up `5 USDT`.
    word: Option<String>,
}

/// Statements of `text` that no quote holds, for people: `number 24 hours`, `negation not refundable`.
pub fn unsupported(text: &str, quotes: &[&str]) -> Vec<String> {
    let own = stated(text);
    let quoted: Vec<Stated> = quotes.iter().map(|quote| stated(quote)).collect();
    let mut missing = Vec::new();
    let mut lacks = |sort: &str, values: &[String], of: fn(&Stated) -> &Vec<String>| {
        let known: HashSet<&String> = quoted.iter().flat_map(of).collect();
        missing.extend(values.iter().filter(|value| !known.contains(value)).map(|value| format!("{sort} {value}")));
    };
    lacks("link", &own.links, |stated| &stated.links);
    lacks("address", &own.addresses, |stated| &stated.addresses);
    lacks("date", &own.dates, |stated| &stated.dates);
    lacks("time", &own.clocks, |stated| &stated.clocks);
    // `usdt` in a quote holds up `USDT`: look among all its words.
    let words: HashSet<String> = quotes.iter().flat_map(|quote| words(quote)).collect();
    missing.extend(
        own.tickers
            .iter()
            .filter(|ticker| !words.contains(&ticker.to_lowercase()))
            .map(|ticker| format!("ticker {ticker}")),
    );
    let numbers: Vec<&Number> = quoted.iter().flat_map(|stated| &stated.numbers).collect();
    for number in &own.numbers {
        let holds = |known: &&Number| {
            known.value == number.value
                && (number.unit.is_none() || known.unit == number.unit || known.word == number.unit)
        };
        if !numbers.iter().any(holds) {
            missing.push(
                format!("number {} {}", number.value, number.unit.as_deref().unwrap_or_default()).trim_end().to_owned(),
            );
        }
    }
    missing.extend(negations(text, quotes));
    let mut seen = HashSet::new();
    missing.retain(|one| seen.insert(one.clone()));
    missing
}

fn stated(text: &str) -> Stated {
    let text: String = text.nfkc().collect();
    let mut rest = LIST_NUMBER.replace_all(&text, "\n").into_owned();
    let mut stated = Stated::default();
    let mut take =
        |rest: &mut String, pattern: &Regex, each: &mut dyn FnMut(&mut Stated, &Captures<'_>) -> bool| {
            let taken = pattern.replace_all(rest, |found: &Captures<'_>| {
                if each(&mut stated, found) { " ¦ ".to_owned() } else { found[0].to_owned() }
            });
            *rest = taken.into_owned();
        };
    take(&mut rest, &LINK, &mut |stated, found| {
        let link = found[0].trim_end_matches(['.', ',', ':', ';', '!', '?', '/', '*', '_']).to_lowercase();
        stated.links.push(
            link.trim_start_matches("https://").trim_start_matches("http://").trim_start_matches("www.").to_owned(),
        );
        true
    });
    take(&mut rest, &ADDRESS, &mut |stated, found| {
        let word = &found[0];
        // A long word is no address: one has digits among its letters.
        let mixed = word.bytes().any(|b| b.is_ascii_digit()) && word.bytes().any(|b| b.is_ascii_alphabetic());
        if mixed {
            stated.addresses.push(word.to_owned());
        }
        mixed
    });
    take(&mut rest, &DATE, &mut |stated, found| date(stated, found));
    take(&mut rest, &CLOCK, &mut |stated, found| {
        stated.clocks.push(format!("{}:{}", found[1].trim_start_matches('0').parse::<u8>().unwrap_or(0), &found[2]));
        true
    });
    for ticker in TICKER.find_iter(&rest) {
        let letters = ticker.as_str().bytes().filter(u8::is_ascii_alphabetic).count();
        if letters >= 2 && !is_stopword(&ticker.as_str().to_lowercase()) && !is_negator(&ticker.as_str().to_lowercase())
        {
            stated.tickers.push(ticker.as_str().to_owned());
        }
    }
    let rest = spelled_out(&without_thousands(&rest));
    for found in NUMBER.captures_iter(&rest) {
        let money = found.name("money").map(|sign| match sign.as_str() {
            "$" => "usd",
            "¥" => "yuan",
            "€" => "eur",
            _ => "gbp",
        });
        let unit = found.name("unit").and_then(|unit| unit_of(unit.as_str()));
        // `5 USDT`: a ticker in capitals is a unit too; in `5 is enough` the word is not.
        let word = found.name("ticker").map(|word| word.as_str());
        let ticker = word.filter(|word| TICKER.is_match(word)).map(str::to_lowercase);
        let unit = money.or(unit).map(str::to_owned).or(ticker);
        stated.numbers.push(Number { value: canonical(&found["number"]), unit, word: word.map(str::to_lowercase) });
    }
    stated
}

/// Adds a date in every form that it also is: `2026-11-22` is an `11-22`. False for what only looks like one.
fn date(stated: &mut Stated, found: &Captures<'_>) -> bool {
    let number = |names: &[&str]| {
        names.iter().find_map(|name| found.name(name)).and_then(|part| part.as_str().parse::<u32>().ok())
    };
    let named = ["name", "name4"].iter().find_map(|name| found.name(name)).and_then(|name| {
        let name = name.as_str().to_lowercase();
        MONTHS.iter().position(|month| *month == name).map(|at| at as u32 + 1)
    });
    let (Some(month), Some(day)) = (number(&["m", "m2"]).or(named), number(&["d", "d2", "d3", "d4"])) else {
        return false;
    };
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return false;
    }
    stated.dates.push(format!("{month:02}-{day:02}"));
    if let Some(year) = number(&["y", "y3", "y4"]) {
        stated.dates.push(format!("{year}-{month:02}-{day:02}"));
    }
    true
}

/// `three days` as `3 days`, `三天` as `3天`: only before a unit, where a number is meant.
fn spelled_out(text: &str) -> String {
    let text = SPELLED.replace_all(text, |found: &Captures<'_>| {
        let word = found["word"].to_lowercase();
        let digits = NUMBER_WORDS.iter().find(|(written, _)| *written == word).map_or("", |(_, digits)| digits);
        format!("{digits}{}{}{}", &found["gap"], &found["unit"], &found["end"])
    });
    let text = SPELLED_HAN.replace_all(&text, |found: &Captures<'_>| match han_number(&found["word"]) {
        Some(value) => format!("{value}{}", &found["unit"]),
        None => found[0].to_owned(),
    });
    text.into_owned()
}

fn han_number(word: &str) -> Option<u64> {
    let (mut total, mut section, mut digit) = (0, 0, None);
    for c in word.chars() {
        let scale = match c {
            '十' => 10,
            '百' => 100,
            '千' => 1000,
            '万' => 10_000,
            _ => {
                let value = if c == '两' {
                    2
                } else {
                    "零一二三四五六七八九".chars().position(|known| known == c)? as u64
                };
                digit = Some(value);
                continue;
            }
        };
        if scale == 10_000 {
            total += (section + digit.unwrap_or(0)).max(1) * scale;
            section = 0;
        } else {
            section += digit.unwrap_or(1) * scale;
        }
        digit = None;
    }
    Some(total + section + digit.unwrap_or(0))
}

fn unit_of(written: &str) -> Option<&'static str> {
    static WHOLE: LazyLock<Vec<(&str, Regex)>> = LazyLock::new(|| {
        UNITS
            .iter()
            .map(|(name, written)| (*name, compiled(&format!("(?i)^(?:{})$", written.replace(r"\b", "")))))
            .collect()
    });
    WHOLE.iter().find(|(_, pattern)| pattern.is_match(written)).map(|(name, _)| *name)
}

/// `007.50` as `7.5`.
fn canonical(number: &str) -> String {
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    let whole = whole.trim_start_matches('0');
    let whole = if whole.is_empty() { "0" } else { whole };
    let part = part.trim_end_matches('0');
    if part.is_empty() { whole.to_owned() } else { format!("{whole}.{part}") }
}

fn words(text: &str) -> Vec<String> {
    let text: String = text.nfkc().collect();
    text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_lowercase).collect()
}

fn is_negator(word: &str) -> bool {
    let word = word.replace('’', "'");
    word.ends_with("n't")
        || ["no", "not", "never", "cannot", "without", "none", "nor", "neither", "unable"].contains(&word.as_str())
        || ["不", "没", "未", "无", "勿", "别", "禁", "非"].contains(&word.as_str())
}

/// A negation: what it is about, and the words after it.
struct Negation {
    head: String,
    after: Vec<String>,
}

/// Negations of `text` that no quote makes about the same thing. A sentence that stands in a quote as it is makes none.
fn negations(text: &str, quotes: &[&str]) -> Vec<String> {
    let whole: Vec<String> = quotes.iter().map(|quote| letters(quote)).collect();
    let known: Vec<Negation> = quotes.iter().flat_map(|quote| sentences(quote)).flat_map(negations_of).collect();
    let held = |negation: &Negation| {
        known.iter().any(|other| negation.head.is_empty() || other.after.iter().any(|word| alike(word, &negation.head)))
    };
    sentences(text)
        .into_iter()
        .filter(|sentence| !whole.iter().any(|quote| quote.contains(&letters(sentence))))
        .flat_map(negations_of)
        .filter(|negation| !held(negation))
        .map(|negation| format!("negation not {}", negation.head).trim_end().to_owned())
        .collect()
}

fn negations_of(sentence: &str) -> Vec<Negation> {
    let mut sentence: String = sentence.nfkc().flat_map(char::to_lowercase).collect();
    for word in NO_NEGATION {
        sentence = sentence.replace(word, "");
    }
    let words: Vec<&str> = WORD.find_iter(&sentence).map(|found| found.as_str()).collect();
    let mut found = Vec::new();
    for at in (0..words.len()).filter(|at| is_negator(words[*at])) {
        // 不能, 不会, 无法, 禁止: the helper is not what is negated.
        let helper =
            |word: &str| is_stopword(word) || is_negator(word) || "能会要可以得有须必需法被再止是".contains(word);
        let after: Vec<&str> = words[at + 1..].iter().copied().filter(|word| !helper(word)).take(6).collect();
        let pairs =
            after.windows(2).filter(|pair| is_word_han(pair[0]) && is_word_han(pair[1])).map(|pair| pair.concat());
        let head = match (after.first(), after.get(1)) {
            (Some(first), Some(second)) if is_word_han(first) && is_word_han(second) => format!("{first}{second}"),
            (Some(first), _) => (*first).to_owned(),
            (None, _) => String::new(),
        };
        let after = after.iter().map(|word| (*word).to_owned()).chain(pairs).collect();
        found.push(Negation { head, after });
    }
    found
}

fn is_word_han(word: &str) -> bool {
    word.chars().next().is_some_and(is_han)
}

/// The same word in another form: `cancel`, `cancelled`.
fn alike(a: &str, b: &str) -> bool {
    let stem = |word: &str| word.chars().take(5).collect::<String>();
    a == b || (a.is_ascii() && a.len() >= 4 && b.len() >= 4 && stem(a) == stem(b))
}

fn sentences(text: &str) -> Vec<&str> {
    text.split(['。', '！', '？', '!', '?', '；', ';', '\n'])
        .flat_map(|part| part.split(". "))
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .collect()
}

/// Letters and digits only, so that layout and punctuation do not matter.
fn letters(text: &str) -> String {
    text.nfkc().flat_map(char::to_lowercase).filter(|c| c.is_alphanumeric()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_that_no_quote_holds_is_named() {
        // (answer, quote, what is missing)
        let cases: [(&str, &str, &[&str]); 37] = [
            ("It takes 24 hours.", "Takes up to 24 hours.", &[]),
            ("It takes 24 hours.", "Takes up to 24 days.", &["number 24 hours"]),
            ("It takes 24 hours.", "Takes 2 hours, or 4.", &["number 24 hours"]),
            ("Takes three days", "takes 3 days", &[]),
            ("需要三天", "需要3天", &[]),
            ("需要１２小时", "十二个小时内", &[]),
            ("需要十五天", "需要五天", &["number 15 days"]),
            ("1 to 3 business days", "1-3 business days", &[]),
            ("3个工作日", "3天", &["number 3 business days"]),
            ("The limit is 10,000 USDT", "limit: 10000 usdt", &[]),
            ("The limit is 10,000 USDT", "limit: 10000 ETH. USDT is fine", &["number 10000 usdt"]),
            ("The limit is 10,000 USDT", "limit: 10000.00 USDT", &[]),
            ("fee 0.50%", "fee 0.5 percent", &[]),
            ("fee 5%", "fee 0.5%", &["number 5 %"]),
            ("It costs $5", "It costs 5 dollars", &[]),
            ("It costs $5", "It costs €5", &["number 5 usd"]),
            ("1. Open the app\n2. Tap Pay", "Open the app, then tap Pay", &[]),
            ("From Nov 22, 2026", "从2026年11月22日起", &[]),
            ("From 22 November", "2026-11-22", &[]),
            ("From 2026-11-23", "2026-11-22", &["date 11-23", "date 2026-11-23"]),
            ("Open 09:00 to 18:00", "9:00-18:30", &["time 18:00"]),
            ("See https://a.example.com/x.", "(https://a.example.com/x)", &[]),
            ("See https://a.example.com/y", "https://a.example.com/x", &["link a.example.com/y"]),
            ("mail help@example.org", "mail us", &["link help@example.org"]),
            ("Send to 0xAbC12345", "Send to 0xAbC12346", &["address 0xAbC12345"]),
            ("支持USDT和BNB", "支持usdt", &["ticker BNB"]),
            ("It is refundable", "It is refundable", &[]),
            ("It is not refundable", "It is refundable", &["negation not refundable"]),
            ("It can't be cancelled", "You cannot cancel it", &[]),
            ("Fees are not charged. It is never shared.", "Never shared. Fees are charged", &["negation not charged"]),
            ("不会收取费用", "不收取费用", &[]),
            ("无法取消", "可以取消", &["negation not 取消"]),
            ("无法取消", "不支持退款，但可以取消", &["negation not 取消"]),
            ("这非常简单，别人不能看到", "别人看不到，这很简单", &["negation not 看到"]),
            ("Do NOT share it", "Do not share it", &[]),
            ("no", "it isn't", &[]),
            ("May the transfer fail", "transfer may fail", &[]),
        ];
        for (text, quote, missing) in cases {
            assert_eq!(unsupported(text, &[quote]), missing, "{text} | {quote}");
        }
    }

    #[test]
    fn what_stands_in_the_quote_as_it_is_always_holds() {
        let quotes = [
            "提现手续费为 0.5%，最低 2 USDT；到账时间 1-3 个工作日，节假日不处理。详情见 https://example.com/fee 。",
            "1. Open **Settings > Security**.\n2. Never share your 12 words. If you haven't backed up before 2026-11-22, don't log out!",
            "地址 0x52908400098527886E0F7030069857D2E4169EE7 不是合约，无法退回。",
        ];
        for quote in quotes {
            assert_eq!(unsupported(quote, &[quote]), [""; 0], "{quote}");
            for sentence in sentences(quote).into_iter().filter(|sentence| sentence.chars().any(char::is_alphabetic)) {
                assert_eq!(unsupported(sentence, &[quote]), [""; 0], "{sentence}");
            }
        }
    }

    #[test]
    fn chinese_numerals() {
        let cases = [
            ("十", 10),
            ("十五", 15),
            ("二十四", 24),
            ("一百零五", 105),
            ("两千", 2000),
            ("三万五千", 35_000),
            ("七", 7),
        ];
        for (word, value) in cases {
            assert_eq!(han_number(word), Some(value), "{word}");
        }
    }
}
