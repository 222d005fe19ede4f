//! What is the conversation about, in the customer's own words? The ask, what was tried, the mood, what is missing.

use std::{collections::BTreeSet, sync::LazyLock};

use regex::Regex;

use super::facts::{pattern, points};
use crate::{
    turn::{
        ground::{fold::fold, sentences},
        reply::Code,
    },
    words::Span,
};

/// A customer's message: its place in the conversation and its text.
pub(super) type Message<'a> = (u32, &'a str);

macro_rules! rules {
    ($($(#[$doc:meta])* $name:ident: $text:expr;)*) => {
        $($(#[$doc])* static $name: LazyLock<Regex> = LazyLock::new(|| pattern($text));)*
    };
}

rules! {
    /// All that a request for a person is made of, greetings included: what is left over is the matter.
    PERSON_ZH: r"人工|人攻|真人|活人|工作人员|客服|专员|坐席|接线员|主管|经理|机器人|机器|自动回复|在线|服务|麻烦|谢谢|你好|您好|在吗|可以吗|可以|能不能|能|可不可以|直接|赶紧|赶快|马上|立刻|快点|快|现在|转接|转|接通|接|联系|找|呼叫|叫|换|来|要|想|帮我|帮|给我|给|请问|请|我|你们|你|您|一位|一个|一下|个|位|别|不想|不要|不|和|跟|同|与|说话|说|聊天|聊|谈|对话|沟通|电话|回|打|吧|啊|呢|吗|的|了|呀|好|人|zhuan|ren|gong";
    PERSON_EN: r"(?i)(?-u:\b)(?:i|we|you|want|wanna|need|would|like|to|talk|speak|chat|with|a|an|the|any|real|live|actual|human|being|agent|person|people|someone|somebody|representative|rep|operator|support|customer|service|team|staff|manager|please|pls|plz|get|give|let|me|my|connect|transfer|put|through|can|could|may|now|right|asap|hi|hello|hey|thanks|thank|not|no|stop|bot|robot|machine|ai|help|just|for|this|is|are|there|here|anyone|from|your|who|deal|handle|it|and|or)(?-u:\b)";
    /// Sentences that ask.
    QUESTION: r"(?i)[?]|吗|怎么|咋|如何|为什么|为啥|为何|什么|啥|多久|多少|几时|哪|能不能|可不可以|可以.{0,8}[吗嘛]|是不是|有没有|会不会|要不要|^\W*(?:so |and |but |then |hi |hello |hey |also )?[ ,]*(?:how|what|whats|what's|why|when|where|which|who|can|could|do|does|did|is|are|will|would|should|am|has|have)(?-u:\b)|(?-u:\b)(?:how (?:do|can|to|long|much)|why (?:is|are|did|does|was)|when will|what should|can you|could you)(?-u:\b)";
    /// Sentences that ask for something without a question.
    REQUEST: r"(?i)没|未|无法|不了|不能|不行|不到|打不开|失败|请|帮|想|要|希望|求|急|丢|被|错|(?-u:\b)(?:help|need|want|can't|cannot|cant|won't|wont|not|didn't|doesn't|never|fail\w*|stuck|lost|stolen|missing|error|please|wrong|hacked|declined|pending|gone)(?-u:\b)";
    /// Questions that say nothing without the sentence before.
    GENERIC: r"(?i)^\W*(?:那|现在|这|请问|所以|到底|你们|我|该|应该|so|and|but|please|now|ok|okay)*[\s,]*(?:我?该?怎么办|怎么回事|咋办|咋整|咋回事|怎么弄|怎么处理|怎么解决|为什么|为啥|什么情况|啥情况|怎么样|可以吗|能帮.{0,4}吗|帮.{0,4}吗|好吗|有人吗|是不是啊?|对吗|what (?:should|can|do|shall) (?:i|we) do(?: now)?|what(?:'s| is) (?:going on|wrong|happening|up)|why|how come|can (?:you|anyone|someone) (?:please )?help(?: me)?(?: please)?|any ideas?|what now|please help|how do i fix (?:it|this)|is (?:this|that) normal)[\s啊呢呀吧了?!.,。]*$";
    GREETING: r"(?i)^\W*(?:你好|您好|在吗|嗨|哈喽|早上好|下午好|晚上好|谢谢|多谢|好的|嗯+|哦+|ok|okay|hi|hello|hey|good (?:morning|afternoon|evening)|thanks?(?: you)?|there|dear|team|support|客服|,|\s|none of these|以上都不是|都不是)+[啊呀呢吗]?\W*$";
    /// Speaks of a person at all.
    PERSON: r"(?i)人工|人攻|真人|活人|工作人员|客服|专员|坐席|接线员|主管|经理|有人|人吗|机器|ren ?gong|(?-u:\b)(?:human|person|people|someone|somebody|anyone|agent|representative|rep|operator|support|staff|manager|team|bot|robot|machine|service)(?-u:\b)";

    TRIED_ZH: r"试过|试了|都试|重启|重装|卸载|重新(?:登录|登陆|安装|下载|绑定|提交|打开|进|上传|认证|扫)|刷新|换(?:了|过|成|个|到)|清(?:了|除|理|空)?.{0,2}缓存|更新|升级|联系|打(?:了|过).{0,6}电话|问(?:了|过)|检查|查(?:了|过)|核对|重试|退出|登出|切换|关(?:了|掉|闭)|提交(?:了|过)|上传(?:了|过)|删(?:了|除|掉)|重置|改(?:了|过)|等(?:了|过)|按.{0,12}(?:做|操作|试|弄)|照(?:着|你).{0,10}(?:做|操作|试|弄)|照做|加速(?:了|过)|取消(?:了|过)|导入(?:了|过)";
    DONE_ZH: r"了|过|已经|都|还是|也|照做|后";
    /// Asks how or whether, rather than telling.
    NOT_YET_ZH: r"怎么(?:重|换|清|更|升|联|退|切|关|删|改|取|导|提|查|检)|如何|要不要|需不需要|需要.{0,8}吗|是不是要|能不能|可不可以|可以.{0,10}吗|必须|应该|^(?:请|麻烦)";
    TRIED_EN: r"(?i)(?-u:\b)(?:(?:i|we|i've|ive|we've|i have|we have|have|already|also|even)(?: (?:have|already|also|even|just|then|now|both|twice|literally))* (?:tried|try to|restart(?:ed)?|reinstall(?:ed)?|re-install(?:ed)?|rebooted|updated|upgraded|refreshed|cleared|cleaned|logged (?:out|in|off)|signed (?:out|in)|switched|changed|contacted|called|emailed|e-mailed|messaged|checked|verified|deleted|removed|uninstalled|reset|resent|re-?submitted|submitted|uploaded|waited|turned|disabled|enabled|cancelled|canceled|sped up|re-?imported|did (?:that|this|it|all)|done (?:that|this|it|all)|followed)|tried (?:everything|that|this|it|all|again|to|re\w+|another|different|both|twice|turning|clearing|using|with)|(?:after|despite) (?:restarting|reinstalling|updating|clearing|rebooting|logging))(?-u:\b)|^\W*(?:and |also |then |already )*(?:tried|restarted|reinstalled|rebooted|updated|refreshed|cleared|switched|waited|logged out|uninstalled|re-?submitted)(?-u:\b)";
    NOT_YET_EN: r"(?i)(?-u:\b)(?:should i|do i (?:need|have)|can i|could i|must i|how (?:do|can|to)|haven't|have not|didn't|did not|never) ";

    UNSOLVED_ZH: r"还是(?:不|没|打不开|一样|老样子|这样|那样|失败|报错|显示|提示|有问题|无法|卡|进不去|登不)|依然|依旧|仍然|仍旧|没用|没有用|不管用|不好使|不起作用|没效果|没有效果|没解决|没有解决|未解决|解决不了|试过|试了|都试|照做了?|按.{0,10}(?:做|试|操作|弄)(?:了|过)|又(?:不行|失败|报错|来了|是这|出现|卡|闪退|这样)|同样的?(?:回答|答案|话|问题|错误)|一样的?(?:回答|答案|话|问题|错误)|说过了|不是这个(?:问题|意思)|答非所问|没回答|没有回答|重复|帮不上|没帮到|没有帮助|不行啊|不行呀|还不行|也不行|都不行|还没(?:到|好|收到|解决|恢复|修好)";
    UNSOLVED_EN: r"(?i)(?-u:\b)(?:still (?:not|no|doesn'?t|does not|won'?t|can'?t|cannot|isn'?t|hasn'?t|haven'?t|didn'?t|the same|nothing|failing|fails|failed|stuck|pending|broken|says|shows|showing|get|getting|having|happening|wrong|waiting|missing|there|locked|blocked|unsolved|crash\w*)|(?:did|does|do|has|have|was|is)(?:n'?t| not)(?: really| actually| even)? (?:help\w*|work\w*|solved?|fix\w*|change anything|answer)|not (?:working|helping|helpful|solved|fixed|resolved)|no (?:luck|change|difference|use|help|success)|same (?:error|problem|issue|thing|result|answer|message|again)|already (?:tried|did|done|told|said|restarted|reinstalled|updated|checked|followed)|(?:i|we|i've|have) tried|tried (?:that|it|this|them|all|everything|both)|(?:fail|happen|error|reject|declin|crash|broke|stuck|come|came|appear|show)\w*(?: up)? again|keeps? (?:fail|crash|happen|show|say|ask|reject|declin|tell|giv|repeat|com)\w*|you (?:already|just|keep) (?:said|sa(?:y|id)ing?|told|tell\w*|repeat\w*|sent)|(?:that'?s|this is|it'?s) not (?:it|what i|my (?:question|problem|issue))|useless|to no avail|nothing (?:works|worked|helps|helped|changed|happened|happens))(?-u:\b)|(?-u:\b)again\W*$";
    ASKS_TO_EXPLAIN: r"(?i)(?-u:\b)(?:how|can you|could you|please|try|can i|explain|tell me)(?-u:\b).*(?-u:\b)again\W*$";

    ANGRY: r"(?i)投诉|举报你|你们.{0,12}(?:骗|坑|黑|垃圾|耍|抢)|(?:垃圾|破|骗子|黑心|坑人|流氓)(?:公司|平台|软件|app|客服|玩意|东西|机器|应用|钱包|系统)|垃圾|骗子[!。\s]*$|抢钱|坑爹|坑人|坑钱|妈的|他妈|尼玛|你妈|特么|(?-u:\b)(?:tmd|nmd|sb|cnm)(?-u:\b)|傻逼|卧槽|我操|操你|去死|滚蛋|滚[!,。\s]*$|气死|无语|恶心|离谱|忽悠|糊弄|敷衍|耍我|受够|什么破|什么玩意|啥玩意|不要脸|起诉|律师|消协|曝光|差评|退钱|不认账|(?-u:\b)(?:wtf|wth|ffs|fuck\w*|shit\w*|bullshit|crap|damn|bloody|useless|ridiculous|unacceptable|terrible|awful|horrible|pathetic|joke|worst|disgust\w*|idiots?|stupid|garbage|trash|thieves|liars?|crooks?|rip ?-?off|sue|lawyer|attorney|complain(?:t|ts|ing)?|furious|angry|fed up|sick of|outrageous|scammers|(?:you|u) (?:are|r|guys|people)\b.{0,20}(?:scam|steal\w*|fraud)|(?:stole|steal|stealing) my money)(?-u:\b)|[!]{3,}";
    WORRIED: r"(?i)着急|很急|好急|太急|急死|急用|急需|急急|急[!。,\s]|急$|担心|害怕|好怕|怕|慌|吓|怎么办|咋办|救命|求求|求助|紧急|尽快|不见了|丢了|丢失|没了|被盗|被骗|盗刷|骗子|骗走|全没|睡不着|崩溃|哭|(?-u:\b)(?:worr\w+|scared|afraid|anxious|panic\w*|freak\w*|nervous|urgent\w*|asap|desperate|emergency|please help|help me|lost|gone|missing|stolen|hacked|scammed|drained|terrified|stress\w*|where is my money|wheres my money|life savings)(?-u:\b)|help!";
    SHOUTING: r"(?:(?-u:\b)[A-Z']{2,}(?-u:\b)[\s,.!?]*){4,}";

    DISPUTE: r"(?i)争议|纠纷|拒付|盗刷|未授权|没有授权|不是我(?:刷|付|操作|买)|重复扣|多扣|扣了两次|乱扣|(?-u:\b)(?:disput\w+|charge ?backs?|unauthori[sz]ed|did(?:n't| not) authori[sz]e|charged twice|double charged?|duplicate charge|fraudulent)(?-u:\b)";

    ABOUT_CARD: r"(?i)卡.{0,6}(?:被拒|拒|扣|刷|消费|付|支付|交易|盗)|刷卡|盗刷|商户|商家|消费|退款|扣款|重复扣|(?-u:\b)(?:cards?|merchant|declined|charged?|charges|chargeback|atm|purchase|refund\w*|contactless|apple pay|google pay)(?-u:\b)";
    ABOUT_MOVING: r"(?i)提现|提币|提款|转账|转出|转错|转给|转到|充值|充币|到账|入账|没到|收到|汇款|打款|钱没|币没|付款|交易|哈希|区块|确认数|(?-u:\b)(?:withdr\w+|transfer\w*|deposit\w*|top(?:ped)?[ -]?up|sent|send|sending|arriv\w*|receiv\w*|pending|credited|transaction|tx|payment|payout|wire|bridge|swap)(?-u:\b)";
    ABOUT_CHAIN: r"(?i)币|链|哈希|区块|合约|授权|矿工费|地址|钱包|(?-u:\b)(?:chain|hash|tx|wallet|crypto|coins?|tokens?|gas|nonce|contract|approv\w*|swap|bridge|usdt|usdc|btc|eth|trx|bnb|sol)(?-u:\b)";
    ABOUT_APP: r"(?i)闪退|打不开|白屏|黑屏|卡死|卡住|崩溃|报错|错误|加载|更新|登录不|登不|进不去|没反应|界面|按钮|扫码|推送|(?-u:\b)(?:crash\w*|freez\w*|frozen|won'?t open|blank|bugs?|error|load\w*|update\w*|log ?in|sign in|screen|button|app|face ?id|notification\w*|glitch\w*)(?-u:\b)";
    ABOUT_IDENTITY: r"(?i)实名|认证|身份证|护照|人脸|审核|(?-u:\b)(?:kyc|identity|passport|verif\w+|selfie|id card)(?-u:\b)";
    MERCHANT: r"(?i)在.{1,12}(?:买|消费|刷|付|吃|店)|淘宝|京东|拼多多|美团|亚马逊|(?-u:\b)(?:amazon|uber|netflix|spotify|apple|steam|airbnb|booking|merchant (?:is|was|called))(?-u:\b)|(?-u:\b)(?:at|from|by) (?:the )?(?-i:[A-Z][a-z]+)";
}

/// The customer tells that it did not help, that they tried it already, or that it happens again.
pub(super) fn unsolved(text: &str) -> bool {
    let text = fold(text);
    UNSOLVED_ZH.is_match(&text) || (UNSOLVED_EN.is_match(&text) && !ASKS_TO_EXPLAIN.is_match(&text))
}

/// Where the request stands: the last question of the last message that has a matter of its own. A bare "转人工", a
/// greeting or "still not working" sends the search further back.
pub(super) fn ask(messages: &[Message<'_>]) -> Option<(u32, Span)> {
    let with_matter = messages.iter().rev().find(|(_, text)| has_matter(text) && !only_unsolved(text));
    let chosen = with_matter
        .or_else(|| messages.iter().rev().find(|(_, text)| has_matter(text)))
        .or_else(|| messages.iter().rev().find(|(_, text)| !text.trim().is_empty()))
        .or(messages.last())?;
    let (message, text) = *chosen;
    let pieces = ranges(text);
    let matters: Vec<&std::ops::Range<usize>> = pieces.iter().filter(|at| has_matter(&text[(*at).clone()])).collect();
    let found = |rule: &Regex| matters.iter().rposition(|at| rule.is_match(&fold(&text[(*at).clone()])));
    let at = match found(&QUESTION) {
        // "What should I do?" needs what came before it.
        Some(last) if last > 0 && GENERIC.is_match(&fold(&text[matters[last].clone()])) => {
            matters[last - 1].start..matters[last].end
        }
        Some(last) => matters[last].clone(),
        None => {
            let first = matters.iter().position(|at| REQUEST.is_match(&fold(&text[(*at).clone()]))).unwrap_or(0);
            matters.get(first).map_or_else(|| trimmed(text), |at| (*at).clone())
        }
    };
    Some((message, points(text, at)))
}

/// The sentences in which the customer tells what they did already.
pub(super) fn tried(text: &str) -> Vec<Span> {
    let told = |piece: &str| {
        let piece = fold(piece);
        let zh = TRIED_ZH.is_match(&piece) && DONE_ZH.is_match(&piece) && !NOT_YET_ZH.is_match(&piece);
        zh || (TRIED_EN.is_match(&piece) && !NOT_YET_EN.is_match(&piece))
    };
    ranges(text).into_iter().filter(|at| told(&text[at.clone()])).map(|at| points(text, at)).collect()
}

/// `calm`, `worried` or `angry`, by the strongest word of all messages.
pub(super) fn mood(messages: &[Message<'_>]) -> &'static str {
    let any = |rule: &Regex| messages.iter().any(|(_, text)| rule.is_match(&fold(text)));
    match () {
        () if any(&ANGRY) || any(&SHOUTING) => "angry",
        () if any(&WORRIED) => "worried",
        () => "calm",
    }
}

/// 1 at once, 2 soon, 3 normal.
pub(super) fn priority(code: Code, mood: &str, messages: &[Message<'_>]) -> u8 {
    let dispute = || messages.iter().any(|(_, text)| DISPUTE.is_match(&fold(text)));
    match code {
        Code::Danger => 1,
        Code::Account | Code::Loop => 2,
        _ if mood == "angry" || dispute() => 2,
        _ => 3,
    }
}

/// What an agent will need and has not been given, by what the conversation is about. `problem` when nobody has said
/// what it is about; `merchant` has no slot of its own and is looked for here.
pub(super) fn missing(code: Code, messages: &[Message<'_>], given: &BTreeSet<&str>) -> Vec<String> {
    let all = messages.iter().map(|(_, text)| fold(text)).collect::<Vec<_>>().join("\n");
    if !messages.iter().any(|(_, text)| has_matter(text)) {
        return vec!["problem".to_owned()];
    }
    let on_chain = ABOUT_CHAIN.is_match(&all) || ["tx_hash", "address", "network", "token"].iter().any(|slot| given.contains(slot));
    let mut needed: Vec<&str> = Vec::new();
    let moving = ABOUT_MOVING.is_match(&all);
    if ABOUT_CARD.is_match(&all) && !(moving && on_chain) {
        needed.extend(["product", "merchant", "time", "amount"]);
    } else if (moving || code == Code::Danger) && on_chain {
        needed.extend(["tx_hash", "network", "amount", "time"]);
        if code == Code::Danger {
            needed.push("address");
        }
    } else if moving || code == Code::Danger {
        needed.extend(["order", "bank", "amount", "time"]);
    }
    if ABOUT_APP.is_match(&all) {
        needed.extend(["app_version", "device"]);
        if all.contains("报错") || all.contains("错误") || all.to_lowercase().contains("error") {
            needed.push("error_code");
        }
    }
    if needed.is_empty() && ABOUT_IDENTITY.is_match(&all) {
        needed.extend(["time"]);
    }
    let has = |slot: &str| match slot {
        // Either one leads an agent to the entry.
        "tx_hash" | "order" => given.contains("tx_hash") || given.contains("order"),
        // Money that moved on a chain has no bank, and a card payment's product is the card when it says so.
        "bank" => given.contains("bank") || given.contains("order") || given.contains("tx_hash"),
        "merchant" => MERCHANT.is_match(&all),
        "product" => given.contains("product") || all.contains('卡') || all.to_lowercase().contains("card"),
        other => given.contains(other),
    };
    needed.into_iter().filter(|slot| !has(slot)).map(str::to_owned).collect()
}

/// Says more than "a person, please" or "hello".
fn has_matter(text: &str) -> bool {
    let text = fold(text);
    if GREETING.is_match(&text) {
        return false;
    }
    if !PERSON.is_match(&text) {
        return text.chars().filter(|c| c.is_alphanumeric()).count() >= 2;
    }
    let rest = PERSON_ZH.replace_all(&text, "");
    let rest = PERSON_EN.replace_all(&rest, " ");
    let (mut han, mut latin) = (0, 0);
    for c in rest.chars().filter(|c| c.is_alphanumeric()) {
        if c.is_ascii() { latin += 1 } else { han += 1 }
    }
    // One left-over Chinese character or two letters are a filler that the lists do not know.
    han >= 2 || latin >= 3
}

/// Says only that it did not help: short, and no question of its own.
fn only_unsolved(text: &str) -> bool {
    unsolved(text) && !QUESTION.is_match(&fold(text)) && text.chars().count() <= 24
}

/// The sentences of a message as byte ranges; a long one without full stops is taken apart at its commas.
fn ranges(text: &str) -> Vec<std::ops::Range<usize>> {
    const LONG: usize = 80;
    let mut ranges = Vec::new();
    for sentence in sentences(text) {
        let start = sentence.as_ptr() as usize - text.as_ptr() as usize;
        if sentence.chars().count() <= LONG {
            ranges.push(start..start + sentence.len());
            continue;
        }
        let mut from = 0;
        for (at, comma) in sentence.match_indices(['，', '；', ';']).chain([(sentence.len(), "")]) {
            let piece = trimmed(&sentence[from..at]);
            if !piece.is_empty() {
                ranges.push(start + from + piece.start..start + from + piece.end);
            }
            from = at + comma.len();
        }
    }
    ranges
}

fn trimmed(text: &str) -> std::ops::Range<usize> {
    let start = text.len() - text.trim_start().len();
    start..start + text.trim().len()
}
