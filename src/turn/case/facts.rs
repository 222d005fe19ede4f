//! Which facts does a message hold? Patterns only: what is found is a piece of the message, so nothing is invented.

use std::sync::LazyLock;

use regex::Regex;

use super::form;
use crate::{turn::ground::fold::fold, words::Span};

/// The facts of one message by slot, in reading order, none overlapping. Where patterns compete, the longest match
/// wins, then the more specific one; a line of a form is one fact.
pub(super) fn find(text: &str) -> Vec<(&'static str, Span)> {
    let text = fold(text);
    let masks: Vec<_> = MASK.find_iter(&text).map(|found| found.range()).collect();
    let mut found = Vec::new();
    for (rank, rule) in RULES.iter().enumerate() {
        let mut from = 0;
        while let Some(captures) = rule.pattern.captures_at(&text, from) {
            let (Some(whole), Some(value)) = (captures.get(0), captures.get(1).or(captures.get(0))) else { break };
            // Continue behind the value, not behind its context, which may open the next match.
            from = if value.end() > from { value.end() } else { whole.end().max(from + 1) };
            let at = value.start()..value.start() + value.as_str().trim_end().len();
            let outside_masks = masks.iter().all(|mask| at.end <= mask.start || mask.end <= at.start);
            if !at.is_empty() && outside_masks && (rule.holds)(&text[..at.start], &text[at.clone()], &text[at.end..]) {
                found.push((at, rank, rule.slot));
            }
            if from > text.len() || !text.is_char_boundary(from) {
                break;
            }
        }
    }
    found.sort_by_key(|(at, rank, _)| (std::cmp::Reverse(at.len()), *rank, at.start));
    let mut kept: Vec<(std::ops::Range<usize>, &'static str)> = Vec::new();
    for (at, _, slot) in found {
        if kept.iter().all(|(other, _)| at.end <= other.start || other.end <= at.start) {
            kept.push((at, slot));
        }
    }
    for (slot, at) in form::answers(&text) {
        // Whatever has a shape of its own tells what it is: a hash in the wrong field is a hash.
        if kept.iter().all(|(other, _)| *other != at) {
            kept.retain(|(other, _)| other.end <= at.start || at.end <= other.start);
            kept.push((at, slot));
        }
    }
    kept.sort_by_key(|(at, _)| at.start);
    kept.into_iter().map(|(at, slot)| (slot, points(&text, at))).collect()
}

/// Bytes to code points.
pub(super) fn points(text: &str, bytes: std::ops::Range<usize>) -> Span {
    let start = text[..bytes.start].chars().count();
    Span { start, end: start + text[bytes].chars().count() }
}

/// A typed mask such as `[seed phrase 1]`.
pub(super) static MASK: LazyLock<Regex> = LazyLock::new(|| pattern(r"\[([A-Za-z][A-Za-z -]*) (\d+)\]"));

pub(super) fn pattern(text: &str) -> Regex {
    #[expect(clippy::expect_used, reason = "a fixed pattern that the tests compile")]
    Regex::new(text).expect("this is a bug: a fixed pattern does not compile")
}

/// Decides on (text before, value, text after) what a pattern cannot.
type Holds = fn(&str, &str, &str) -> bool;

struct Rule {
    slot: &'static str,
    pattern: Regex,
    holds: Holds,
}

/// Pieces used by several patterns. `{B}` is a boundary between ASCII words: a Chinese character beside a code is one.
const PIECES: &[(&str, &str)] = &[
    ("{B}", r"(?-u:\b)"),
    ("{N}", r"(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?"),
    ("{H}", "[零一二两三四五六七八九十百千万亿半几]+"),
    (
        "{H_EN}",
        "(?:(?:a few|a couple(?: of)?|half a|an?|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|\
         fifteen|sixteen|seventeen|eighteen|nineteen|twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety)(?:[- ](?:and )?\
         (?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|fifteen|twenty|thirty|forty|fifty|sixty|seventy|eighty|\
         ninety|hundred|thousand|million|grand))*)",
    ),
    (
        "{MONEY}",
        "人民币|美元|美金|美刀|刀|港币|港元|港纸|蚊|欧元|欧|英镑|镑|日元|日币|韩元|韩币|泰铢|新台币|台币|新加坡元|新币|坡币|\
         澳元|澳币|加元|加币|瑞郎|瑞士法郎|法郎|卢布|卢比|林吉特|马币|令吉|越南盾|印尼盾|盾|比索|迪拉姆|里拉|雷亚尔|澳门元|葡币",
    ),
    (
        "{MONEY_EN}",
        "usd|cny|rmb|cnh|hkd|eur|gbp|jpy|sgd|aud|cad|chf|thb|krw|inr|myr|twd|php|idr|vnd|nzd|aed|brl|mxn|try|pln|sek|nok|dkk|czk|huf|ngn|zar|kes|sar|pkr|bdt|\
         dollars?|bucks?|euros?|pounds?|quid|yuan|renminbi|yen|baht|won|rupees?|ringgits?|dirhams?|pesos?|francs?|liras?|reais|zlot(?:y|ych|ys)|kron(?:a|or|er)|forints?|shekels?|riyals?|naira|shillings?|cents?",
    ),
    (
        "{TOKEN}",
        "usdt|usdc|busd|fdusd|dai|weth|wbtc|btc|eth|bnb|trx|sol|matic|pol|doge|shib|xrp|ltc|arb|avax|ton|usdd|pepe",
    ),
    (
        "{DAY}",
        "大前天|今天|今日|昨天|昨日|前天|前日|前几天|前阵子|昨晚|今晚|今早|昨早|今晨|前晚|昨夜|今夜|前夜|大前晚|当天|当晚|刚才|刚刚|上周[一二三四五六日天末]?|这周[一二三四五六日天]?|\
         上个?星期[一二三四五六日天]?|本周[一二三四五六日天]?|上个月|上月|周[一二三四五六日天]|周末|星期[一二三四五六日天]|礼拜[一二三四五六日天]|\
         (?:20\\d\\d年|今年|去年)?\\d{1,2}月\\d{1,2}[日号]?|(?:20\\d\\d年|今年|去年)?(?:\\d{1,2}|{MONTH_ZH})月(?:[初中底末]|[上中下]旬|份)|\\
         (?:20\\d\\d年|今年|去年)?{MONTH_ZH}月{H_DAY}[日号]?|(?:20\\d\\d年|今年|去年)\\d{1,2}月|去年|\\
         (?:上个?月|这个?月|本月)(?:\\d{1,2}[日号]|{H_DAY}[日号]|[初中底末])|月[初底末]|\\d{1,2}[号日]|{H_DAY}号",
    ),
    ("{MONTH_ZH}", "(?:十[一二]?|[一二三四五六七八九])"),
    ("{H_DAY}", "(?:二?十[一二三四五六七八九]?|三十一?|[一二三四五六七八九])"),
    ("{XX", ""),
    ("{PART}", "大清早|一早|早上|早晨|清晨|上午|中午|午后|下午|傍晚|晚上|晚间|凌晨|半夜|夜里|深夜"),
    (
        "{CLOCK}",
        r"(?:[01]?\d|2[0-4])[:]\d{2}(?::\d{2})?|(?:\d{1,2}|[一二两三四五六七八九十]{1,3})点(?:钟|半|多钟?|来钟|左右|一刻|三刻|过|整|\d{1,2}分?|[零一二三四五六七八九十]{1,3}分?)?(?:左右|前后|多)?",
    ),
    ("{COUNT}", "(?:\\d+|[一二两三四五六七八九十半几]+|好几)(?:多)?\\s?个?(?:多)?"),
    ("{SPAN}", "(?:秒钟?|分钟|小时|钟头|天|日|周|星期|礼拜|月|年)"),
    (
        "{MONTH}",
        "(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)",
    ),
    (
        "{WEEKDAY}",
        "(?:mon(?:day)?|tue(?:s(?:day)?)?|wed(?:nesday)?|thu(?:rs(?:day)?)?|fri(?:day)?|sat(?:urday)?|sun(?:day)?)",
    ),
    (
        "{AMPM}",
        r"(?:\d{1,2}(?:[:.]\d{2})?\s?[ap]\.?m\b|(?:[01]?\d|2[0-3]):\d{2}(?::\d{2})?|noon|midnight|\d{1,2} o'?clock)",
    ),
    (
        "{DAY_EN}",
        "(?:the day before yesterday|yesterday|today|tonight|(?:last |this |next )?{WEEKDAY}|last (?:night|week|month|year|weekend)|\
         this (?:morning|afternoon|evening|week|weekend|month))(?: (?:morning|afternoon|evening|night))?",
    ),
    (
        "{COUNT_EN}",
        "(?:\\d+|an?|one|two|three|four|five|six|seven|eight|nine|ten|twelve|a few|few|several|a couple(?: of)?|couple(?: of)?)",
    ),
    // An order number: digits with a letter or two in front, in groups that hyphens join.
    ("{CODE}", r"[A-Z]{1,6}[-_]?\d[A-Z0-9]*(?:[-_][A-Z0-9]+)*|\d{4,}(?:-[A-Z0-9]+)+|\d{6,}"),
    ("{SPAN_EN}", "(?:seconds?|secs?|minutes?|mins?|hours?|hrs?|h|days?|weeks?|months?|years?)"),
];

/// Words before 银行 that say what sort of bank, not which.
const GENERIC_BANKS: &[&str] = &[
    "手机", "网上", "电话", "开户", "数字", "收款", "付款", "发卡", "对方", "其他", "别的", "各大", "国内", "国外",
    "外国", "本地", "海外", "线上", "直销", "商业", "中央", "哪些", "什么", "自己", "绑定", "支持", "提现", "转账",
    "汇款", "充值", "境外", "合作", "多家", "两家", "所有", "每家", "传统", "股份", "村镇", "地方", "香港", "内地",
    "大陆", "已发", "发给", "中间", "代理",
];

fn always(_: &str, _: &str, _: &str) -> bool {
    true
}

/// The rules, the most specific first.
static RULES: LazyLock<Vec<Rule>> = LazyLock::new(|| {
    let rules: &[(&'static str, &str, Holds)] = &[
        ("tx_hash", r"(?i){B}0x[0-9a-f]{64}{B}", always),
        ("tx_hash", r"(?i){B}[0-9a-f]{64}{B}", always),
        ("tx_hash", r"{B}[1-9A-HJ-NP-Za-km-z]{86,88}{B}", always),
        ("tx_hash", r"(?i){B}(?:0x)?[0-9a-f]{4,8}(?:…|\.{2,4}|\*{2,6})[0-9a-f]{4,8}{B}", |before, value, _| {
            value.chars().any(|c| c.is_ascii_digit()) && names_a_transaction(before)
        }),
        ("address", r"(?i){B}0x[0-9a-f]{4,8}(?:…|\.{2,4}|\*{2,6})[0-9a-f]{4,8}{B}", always),
        ("address", r"(?i){B}0x[0-9a-f]{40}{B}", always),
        ("address", r"(?i){B}bc1[0-9ac-hj-np-z]{11,71}{B}", always),
        ("address", r"{B}T[1-9A-HJ-NP-Za-km-z]{33}{B}", |_, value, _| looks_encoded(value)),
        ("address", r"{B}[13][1-9A-HJ-NP-Za-km-z]{25,34}{B}", |_, value, _| looks_encoded(value)),
        ("address", r"{B}[1-9A-HJ-NP-Za-km-z]{32,44}{B}", |_, value, _| looks_encoded(value)),
        ("address", r"(?i){B}[a-z0-9][a-z0-9-]*\.eth{B}", |_, value, _| {
            !value.starts_with(|c: char| c.is_ascii_digit())
        }),
        (
            "time",
            r"(?i){B}20\d\d(?:-\d{1,2}-\d{1,2}|/\d{1,2}/\d{1,2}|\.\d{1,2}\.\d{1,2})(?:[ t]*(?:at )?\d{1,2}:\d{2}(?::\d{2})?)?",
            not_in_a_number,
        ),
        ("time", r"20\d\d年\d{1,2}月\d{1,2}[日号]?\s?(?:{PART})?\s?(?:{CLOCK})?", not_in_a_number),
        ("time", r"(?:{DAY})(?:的)?\s?(?:{PART})?\s?(?:{CLOCK})?", not_in_a_number),
        ("time", r"(?:{PART})\s?(?:{CLOCK})", not_in_a_number),
        ("time", r"(?:(?:[01]?\d|2[0-4]):\d{2}(?::\d{2})?|\d{1,2}点(?:钟|半|多|左右|\d{1,2}分?)?)", not_in_a_number),
        ("time", r"{COUNT}{SPAN}(?:左右)?(?:之前|以前|前)", not_in_a_number),
        ("time", r"({COUNT}{SPAN})了", not_in_a_number),
        ("time", r"(?:等了|过了|已经|都|快|超过|卡了)\s?({COUNT}{SPAN})", not_in_a_number),
        ("time", r"(?i){B}{COUNT_EN} {SPAN_EN} ago{B}", always),
        (
            "time",
            r"(?i){B}for (?:about |over |more than |almost |nearly |the (?:last|past) )?({COUNT_EN} {SPAN_EN}){B}",
            always,
        ),
        (
            "time",
            r"(?i){B}(?:{AMPM} (?:on )?)?{DAY_EN}(?:,? (?:at |around |about |ca\.? |~)*{AMPM})?{B}",
            |_, value, _| a_weekday_not_a_word(value),
        ),
        (
            "time",
            r"(?i){B}{MONTH}\.? (?:the )?\d{1,2}(?:st|nd|rd|th)?{B}(?:,? 20\d\d)?(?:,? (?:at |around |about )?{AMPM})?{B}",
            always,
        ),
        (
            "time",
            r"(?i){B}\d{1,2}(?:st|nd|rd|th)? (?:of )?{MONTH}{B}(?:,? 20\d\d)?(?:,? (?:at |around |about )?{AMPM})?{B}",
            always,
        ),
        ("time", r"(?i){B}{AMPM}{B}", not_in_a_number),
        ("time", r"(?i){B}(?:on|since|from|by|until|till) (the \d{1,2}(?:st|nd|rd|th)){B}", always),
        ("time", r"(?i){B}(?:in|since|back in|in early|in late) ({MONTH} 20\d\d){B}", not_in_a_number),
        ("time", r"(?i){B}(?:in|since|in early|in late) ({MONTH}){B}", |_, value, _| {
            !["may", "mar", "sun"].contains(&value)
        }),
        ("time", r"(?i){B}(?:half an hour|{COUNT_EN} nights) ago{B}", always),
        ("time", r"(?i){B}on (\d{1,2}/\d{1,2}(?:/\d{2,4})?){B}", always),
        ("time", r"{B}\d{1,2}/\d{1,2}/(?:20)?\d\d{B}", always),
        ("app_version", r"(?i){B}v?\d{1,3}\.\d{1,3}\.\d{1,4}(?:-(?:beta|rc|alpha)\.?\d*)?{B}", not_in_a_number),
        (
            "app_version",
            r"(?i)(?:版本号?|version|ver\.?|app|更新到|升级到|updated? to|upgraded? to)\s?(?:是|为|is|:|#)?\s?(v?\d{1,2}\.\d{1,3}){B}",
            not_in_a_number,
        ),
        ("app_version", r"(?i){B}v\d{1,2}\.\d{1,3}{B}", not_in_a_number),
        (
            "device",
            r"(?i){B}(?:iphone|苹果)\s?(?:\d{1,2}|xs|xr|x|se){B}(?:\s?(?:pro\s?max|pro|plus|mini|max))?",
            not_in_a_number,
        ),
        (
            "device",
            r"(?i)iphone|ipad(?:\s?(?:pro|air|mini))?(?:\s?\d{1,2}{B})?|苹果手机|macbook(?: (?:pro|air))?",
            always,
        ),
        ("device", r"(?i){B}(?:ios|ipados|macos|harmonyos|hyperos)\s?\d{1,2}(?:\.\d{1,2}){0,2}", always),
        ("device", r"(?i)(?:{B}android|安卓|鸿蒙)(?:手机|系统|平板|版)?(?:\s?\d{1,2}(?:\.\d{1,2}){0,2})?", always),
        (
            "device",
            r"(?i)(?:{B}(?:huawei|xiaomi|redmi|oppo|vivo|oneplus|realme|motorola|nokia|samsung)|honor|sony|asus|nothing phone|tecno|infinix|lenovo|zte|meizu|华为|小米|红米|荣耀|三星|一加|魅族|真我|努比亚|中兴|联想|索尼|摩托罗拉)(?:手机|平板)?(?:\s?(?:galaxy|mate|nova|pura|find|reno|note|redmi|edge|razr|xperia|neo|p|s|a|x|k|z|y|g|mi|magic|ace|gt))*(?:\s?(?:fold|flip|turbo))?(?:\s?[a-z]?\d{1,4}[a-z]?{B})?(?:\s?(?:pro\+?|ultra|plus|max|lite|fe|gt|rs|5g|fold|flip|turbo){B}\+?)*",
            always,
        ),
        (
            "device",
            r"(?i){B}(?:galaxy\s?(?:[sazn]\w*|tab|fold|flip)\s?[a-z]?\d{0,3}|pixel\s?\d{1,2}[a-z]?|mate\s?[x\d]\d{1,2}|redmi\s?(?:note\s?|k)?\d{1,2}|find\s?[xn]\d)(?:\s?(?:pro|ultra|plus|max|lite|xl|fold|flip))*{B}",
            always,
        ),
        ("device", r"(?i){B}(?:windows\s?\d{1,2}|ios|harmonyos|mac os){B}", always),
        ("network", r"(?i){B}(?:trc|erc|bep|spl|brc|krc)-?(?:20|2|10|1155|721){B}", always),
        (
            "network",
            r"(?i)波场|以太坊(?:主网|网络|链)?|币安智能链|币安链|比特币(?:网络|链)|闪电网络|雷电网络|{B}(?:tron|bsc|polygon|arbitrum(?: one)?|optimism|avalanche|solana|ethereum|zksync|linea|bnb (?:smart )?chain|lightning network){B}(?:\s?(?:mainnet|network|chain|主网|网络|链))?",
            always,
        ),
        (
            "network",
            r"(?i){B}(?:eth|btc|bnb|base|op|sol|ton|trx|arb|bitcoin){B}\s?(?:mainnet|network|chain|主网|网络|链)",
            always,
        ),
        (
            "bank",
            r"(?i)中国?(?:工商|建设|农业|交通|邮政储蓄|民生|光大)银行|工商银行|建设银行|农业银行|中国银行|招商银行|交通银行|邮储银行|邮储|浦发(?:银行)?|中信银行|光大银行|民生银行|兴业银行|平安银行|广发银行|华夏银行|汇丰(?:银行)?|渣打(?:银行)?|恒生(?:银行)?|花旗(?:银行)?|中银香港|众安银行|星展(?:银行)?|工行|建行|农行|中行|招行|交行|网商银行|微众银行",
            |before, value, _| value != "中行" || !before.ends_with(['途', '其', '之', '集']),
        ),
        (
            "bank",
            r"(?i){B}(?:hsbc|icbc|citibank|bank of america|bofa|wells fargo|barclays|dbs|ocbc|uob|standard chartered|revolut|monzo|deutsche bank|bank of china|china construction bank|hang seng(?: bank)?|santander|lloyds|natwest|td bank|capital one|n26|za bank|cmb|ccb){B}",
            always,
        ),
        ("bank", r"{B}(?:Chase|Citi|Wise){B}|(?i-u:{B})(?:to|from|at|with|my) (?i:(chase|citi|wise)){B}", always),
        (
            "bank",
            // A name in front of the word, without the small words that lead up to it.
            r"[\p{Han}--[从到去在给的用是我你他她它您找和让被往向了于为与跟把对这那哪个家张说问联系通过由经及或叫请帮去回进入查看着了已写显示]]{2,4}银行",
            |_, value, _| !GENERIC_BANKS.iter().any(|kind| value.ends_with(&format!("{kind}银行"))),
        ),
        ("bank", r"{B}(?:[A-Z][a-z]+ ){1,2}Bank{B}", |_, value, _| {
            !["My ", "The ", "A ", "Your ", "Our ", "No ", "This "].iter().any(|word| value.starts_with(word))
        }),
        ("error_code", r"-32\d{3}{B}", always),
        (
            "error_code",
            r"(?i)(?:错误代?码|错误|报错代?码?|代码|状态码|异常码?|error code|error|err|errno|status code|code|报|提示|显示|跳个?|弹出?)\s?(?:是|为|了|is|:|#|=|\()*\s?([A-Z]{0,4}[-_]?\d{2,6}){B}",
            a_code,
        ),
        ("error_code", r"(?i){B}([A-Z]{0,4}-?\d{3,5})\s?(?:错误|报错|error|异常)", a_code),
        ("error_code", r"{B}[A-Z]{1,4}-\d{2,5}{B}", |before, value, after| {
            a_code(before, value, after) && !names_a_number(before) && !after.starts_with('-')
        }),
        ("error_code", r"{B}E\d{3,5}{B}", always),
        ("error_code", r"{B}(?:4001|4100|4200|4900|4901|4902){B}", a_code),
        ("error_code", r"{B}(?:[A-Z]{3,}_)+[A-Z]{2,}{B}", always),
        (
            "error_code",
            r"(?i){B}(?:nonce too (?:low|high)|insufficient funds(?: for gas)?|execution reverted|out of gas|already known|intrinsic gas too low|(?:replacement )?transaction underpriced|gas required exceeds allowance|user rejected(?: the)? request|invalid signature|max fee per gas less than block base fee|slippage exceeded){B}",
            always,
        ),
        (
            "amount",
            r"(?i)(?:-\s?)?(?:us\$|hk\$|nt\$|a\$|s\$|[¥$€£]|{B}(?:{MONEY_EN}){B})\s?{N}(?:\s?(?:万|千|[km]{B}))?(?:\s?(?:usdt|{MONEY_EN}|元){B})?",
            |before, value, after| {
                // "2 dollars 5" names no 5 dollars, and a sign belongs to a number only where a word ends.
                let runs_on = value.starts_with('-') && before.ends_with(|c: char| c.is_alphanumeric());
                let is_code =
                    after.starts_with(['-', ':', '/']) && value.starts_with(|c: char| c.is_ascii_alphabetic());
                let follows_a_number = before.trim_end().ends_with(|c: char| c.is_ascii_digit());
                !(runs_on || is_code || follows_a_number)
            },
        ),
        (
            "amount",
            r"(?i)(?:-|{B}){N}\s?(?:万|千|百|[kw]|mil|million|thousand|grand)?(?:多|来)?\s?个?(?:{TOKEN}|{MONEY_EN}|u|feathers|points){B}",
            a_signed_number,
        ),
        (
            "amount",
            r"(?:-|{B}){N}\s?(?:万|千|百)?(?:多|来|几)?\s?(?:块钱|块|元|{MONEY}|羽毛|积分|枚|个(?:比特币|以太币|泰达币|币))",
            |before, value, after| a_currency(value, after) && a_signed_number(before, value, after),
        ),
        (
            "amount",
            r"(?i){H}(?:多|来)?\s?(?:块[零一二两三四五六七八九半]|块钱|块|元|{MONEY}|羽毛|积分|枚|个?(?:(?:{TOKEN}|u){B}|比特币|以太币|泰达币))",
            |before, value, after| {
                a_currency(value, after)
                    && !["一块", "几块", "半块", "一枚", "几枚"].contains(&value)
                    && !before.ends_with(['第', '单', '统'])
            },
        ),
        ("amount", r"(?i){B}{H_EN} (?:{TOKEN}|{MONEY_EN}){B}", |before, value, _| {
            let bare = ["a ", "an ", "one "].iter().any(|one| value.to_lowercase().starts_with(one))
                && value.split_whitespace().count() == 2;
            !bare && !before.ends_with(|c: char| c.is_ascii_digit())
        }),
        ("amount", r"(?i){B}(?:{N}\s?grand|{H_EN} grand){B}", always),
        (
            "amount",
            r"(?:转|提|充|付|扣|汇|少|退|收|花|亏|丢|欠|押|存|取)(?:了|走|给[^\s,。]{0,4})?我?({H}(?:多|来)?)",
            |_, value, after| value.contains(['千', '万', '百']) && !counts_something(after),
        ),
        (
            "amount",
            r"{B}{N}\s?万(?:多)?|[一二两三四五六七八九十百]+(?:多)?万(?:多|[零一二三四五六七八九百千]+)?",
            |_, _, after| !counts_something(after),
        ),
        ("amount", r"(?i){B}(?:{TOKEN}) ({N}){B}", |_, _, after| {
            !counts_something(after) && !after.starts_with(['.', ':', '-'])
        }),
        (
            "amount",
            r"(?i)(?:转了|转账了?|转出了?|提了|提现了?|提币了?|充了|充值了?|付了|付款了?|扣了我?|收了我?|汇了|{B}(?:withdrew|withdraw|withdrawal of|sent|send|transferr?ed|transfer of|paid|deposited|deposit of|charged|charged me|topped up))\s?({N}){B}",
            |_, value, after| value.len() > 1 && !counts_something(after) && !after.starts_with(['.', ':', '-', '/']),
        ),
        (
            "order",
            r"(?i)(?:订单|提现单?|提币单?|充值单?|交易单?|转账单?|回单|工单|流水|凭证|参考|追踪|运单|快递单?|申诉单?|单据|案件|文件|机器|终端|设备|{B}(?:order|withdrawal|deposit|ticket|case|reference|ref|receipt|invoice|trans(?:action)?|transfer|payment|txn|tracking|claim|report|dispute|complaint|document|file|machine|terminal))\.?\s?(?:单?编?号码?|{B}(?:id|number|num|nr|no){B}\.?|#)\s?(?:是|为|is|was|:|#|=)*\s?({CODE}){B}",
            |_, value, after| value.len() >= 4 && !counts_money(after),
        ),
        (
            "order",
            r"(?i)(?:订单|单号|编号|流水号?|工单|回单|凭证|{B}(?:order|withdrawal|deposit|ticket|case|reference|ref|receipt|invoice|claim|dispute)){B}?\s?(?:是|为|is|was|:|#|=)*\s?({CODE}){B}",
            |_, value, after| value.len() >= 5 && !counts_money(after) && !goes_on_as_a_number(after),
        ),
        ("order", r"(?i){B}[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}{B}", always),
        (
            "order",
            r"(?i){B}(?:[A-Z]{1,4}[-_]?\d{6,}(?:-\d+)*|[A-Z]{1,4}-?\d{4}-?\d{3,}|[A-Z]{2,6}(?:-\d{2,})+-\d{3,}|20\d{6}-\d{3,}){B}",
            always,
        ),
        ("order", r"#(\d{4,}){B}", always),
        ("order", r"{B}\d{12,24}{B}", always),
        ("token", r"(?i){B}(?:{TOKEN}|bitcoin|tether){B}|比特币|以太币|泰达币", |_, value, _| {
            // Words of everyday English unless written as tickers.
            !["sol", "pol", "dai", "ton", "arb"].contains(&value)
        }),
        (
            "product",
            r"(?i)燕鸥卡|虚拟卡|实体卡|余额账户|链上钱包|自托管钱包|余额|{B}(?:tern card|virtual card|physical card|plastic card|chain wallet|on-chain wallet|self-custody wallet|balance account|tern balance){B}|{B}(?:my|the|in|into|tern) (balance){B}",
            |before, _, after| !(before.ends_with("银行") || after.starts_with("宝")),
        ),
    ];
    rules.iter().map(|(slot, text, holds)| Rule { slot, pattern: pattern(&assembled(text)), holds: *holds }).collect()
});

/// A rule's text with the shared pieces put in; pieces may hold pieces.
fn assembled(text: &str) -> String {
    PIECES.iter().chain(PIECES).chain(PIECES).fold(text.to_owned(), |text, (name, piece)| text.replace(name, piece))
}

/// Mixed letters and digits, as encoded bytes have and words do not.
fn looks_encoded(value: &str) -> bool {
    let digits = value.chars().filter(char::is_ascii_digit).count();
    digits >= 2 && value.chars().any(|c| c.is_ascii_uppercase()) && value.chars().any(|c| c.is_ascii_lowercase())
}

/// The few words before speak of a transaction.
fn names_a_transaction(before: &str) -> bool {
    let near: String = before.chars().rev().take(32).collect::<Vec<_>>().into_iter().rev().collect();
    let near = near.to_lowercase();
    ["tx", "hash", "哈希", "交易", "transaction", "sig"].iter().any(|word| near.contains(word))
}

/// Not a piece of a longer number, version or code.
fn not_in_a_number(before: &str, value: &str, after: &str) -> bool {
    let first_is_digit = value.starts_with(|c: char| c.is_ascii_digit());
    let last_is_digit = value.ends_with(|c: char| c.is_ascii_digit());
    let ends = |text: &str| text.ends_with(|c: char| c.is_ascii_alphanumeric() || ".-/:".contains(c));
    let goes_on = |text: &str| {
        let mut chars = text.chars();
        match chars.next() {
            Some(c) if c.is_ascii_digit() => true,
            Some('.' | '-' | '/' | ':') => chars.next().is_some_and(|c| c.is_ascii_digit()),
            _ => false,
        }
    };
    let before =
        before.strip_suffix([':', '-']).filter(|rest| !rest.ends_with(|c: char| c.is_ascii_digit())).unwrap_or(before);
    let cut = (first_is_digit && ends(before)) || (last_is_digit && goes_on(after));
    !cut
}

/// `Sun`, `Mon`, `Sat` and the like only where a capital or the word around says that a day is meant.
fn a_weekday_not_a_word(value: &str) -> bool {
    let lower = value.to_lowercase();
    !["sun", "sat", "mon", "wed", "fri", "thu", "tue", "at sun", "this sun"].contains(&lower.as_str())
        || value.starts_with(|c: char| c.is_ascii_uppercase())
}

/// 一块儿 is no money, and 欧 before 洲 no currency.
fn a_currency(value: &str, after: &str) -> bool {
    let names_a_place = value.ends_with('欧') && after.starts_with(['洲', '姆', '盟']);
    !(after.starts_with('儿') || names_a_place)
}

/// A minus sign belongs to the number only where no word or number runs into it.
fn a_signed_number(before: &str, value: &str, _: &str) -> bool {
    !value.starts_with('-')
        || before.is_empty()
        || before.ends_with(char::is_whitespace)
        || before.ends_with(['(', ':', ','])
}

/// What follows belongs to the number before it: a fraction, a time, a range.
fn goes_on_as_a_number(after: &str) -> bool {
    after.strip_prefix(['.', ':', '-', '/']).is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

/// Whether a number of something is named in front, such as "machine no": what follows is no error.
fn names_a_number(before: &str) -> bool {
    static NUMBER: LazyLock<Regex> = LazyLock::new(|| {
        pattern(r"(?i)(?:(?-u:\b)(?:no|number|num|nr|ref|id)\.?|(?:单|文件|机器|终端|设备|编)号)\s?[:#]?\s?$")
    });
    NUMBER.is_match(before)
}

/// A code, not an amount, a standard or a count.
fn a_code(before: &str, value: &str, after: &str) -> bool {
    const STANDARDS: &[&str] = &[
        "erc", "trc", "bep", "eip", "bip", "utc", "gmt", "kyc", "covid", "iso", "usdt", "spl", "brc", "sim", "iphone",
    ];
    let letters: String = value.chars().take_while(char::is_ascii_alphabetic).collect::<String>().to_lowercase();
    if !letters.is_empty() {
        return !STANDARDS.contains(&letters.as_str()) && value.chars().any(|c| c.is_ascii_digit());
    }
    // A number alone may be many things.
    !counts_something(after)
        && !counts_money(after)
        && !goes_on_as_a_number(after)
        && !before.ends_with(['¥', '$', '€', '£', '.', ','])
}

/// What follows makes the number before it a count or a duration.
fn counts_something(after: &str) -> bool {
    let after = after.trim_start().to_lowercase();
    const COUNTERS: &[&str] = &[
        "天", "小时", "个", "分钟", "秒", "次", "年", "月", "号", "日", "点", "笔", "张", "周", "星期", "人", "倍",
        "遍", "条", "位", "%", "day", "hour", "minute", "min", "second", "time", "week", "month", "year", "hr",
        "people", "percent", "confirm",
    ];
    COUNTERS.iter().any(|counter| after.starts_with(counter))
}

/// What follows makes the number before it money.
fn counts_money(after: &str) -> bool {
    static MONEY: LazyLock<Regex> =
        LazyLock::new(|| pattern(&assembled(r"(?i)^\s?(?:(?:{TOKEN}|{MONEY_EN}|u){B}|元|块|万|{MONEY})")));
    MONEY.is_match(after)
}
