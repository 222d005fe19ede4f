//! What is the conversation about, in the customer's own words? The ask, what was tried, the mood, what is missing.

use std::{collections::BTreeSet, ops::Range, sync::LazyLock};

use regex::Regex;

use super::facts::{MASK, pattern, points};
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
    QUESTION: r"(?i)[?]|吗|怎么|咋|如何|为什么|为啥|为何|什么|啥|多久|多少|几时|哪|能不能|可不可以|可以.{0,8}[吗嘛]|是不是|有没有|会不会|要不要|算不算|行不行|对不对|好不好|该不该|是否|^\W*(?:so |and |but |then |hi |hello |hey |also |or )?[ ,]*(?:how|what|whats|what's|why|when|where|which|who|can|could|do|does|did|is|are|will|would|should|am|has|have)(?-u:\b)|(?-u:\b)(?:how (?:do|can|to|long|much)|why (?:is|are|did|does|was)|when will|what should|can you|could you)(?-u:\b)";
    /// Clauses that tell us to do something.
    DEMAND: r"(?i)帮(?:我|忙|下|一下)|给我|替我|为我|让.{0,8}(?:看|查|处理|联系|来|退|审|回)|麻烦|拜托|请(?:你|您|帮|给|把|人|安排|尽快|处理|核|审|查|问)|加急|催|赶紧|赶快|马上|尽快|快点|快给|要求|我要|你们先|你们.{0,4}(?:去|把|给|处理|联系)|联系对方|退(?:我|给|回来|钱|款)|解(?:封|冻|锁)|找.{0,4}人|转.{0,3}人工|有人.{0,4}(?:处理|管|看)|安排|处理(?:一下|下)|查(?:一下|下|清)|看(?:一下|下)|说清楚|给个(?:说法|准话|准信|答复|话|交代|结果)|^\W*(?:ok |okay |so |and |but |then |just |now |at least |please |pls |kindly |or )*(?:refund|reverse|cancel|close|open|reopen|unlock|unfreeze|release|merge|explain|check|look|fix|send|resend|speed|tell|give|call|return|get|let|show|stop|remove|delete|change|update|approve|escalate|transfer|find|help|confirm|restore|review|investigate|lift|block|freeze|credit|process|make|do something|put|pass|connect|take|sort|answer|undo|recover|track|trace|raise|reset|hurry|have (?:someone|somebody|a person)|correct|pull|push|expedite|assign|reply|write)(?-u:\b)|(?-u:\b)(?:please|pls|plz|i (?:want|need|demand|expect|would like|'?d like)|want (?:it|this|that|my|you)|need (?:a|an|it|this|someone|somebody|my|you|to)|wants? (?:a|an|to)|someone (?:has to|must|should|needs? to)|(?:can|could|will|would) (?:you|someone|somebody|anyone|anybody|your)|one of you|your team)(?-u:\b)";
    /// Sentences that ask for something without a question.
    REQUEST: r"(?i)没|未|无法|不了|不能|不行|不到|打不开|失败|请|帮|想|要|希望|求|急|丢|被|错|(?-u:\b)(?:help|need|want|can't|cannot|cant|won't|wont|not|didn't|doesn't|never|fail\w*|stuck|lost|stolen|missing|error|please|wrong|hacked|declined|pending|gone)(?-u:\b)";
    /// Questions that say nothing without the sentence before.
    GENERIC: r"(?i)^\W*(?:那|现在|这|请问|所以|到底|你们|我|该|应该|so|and|but|please|now|ok|okay)*[\s,]*(?:我?该?怎么办|怎么回事|咋办|咋整|咋回事|怎么弄|怎么处理|怎么解决|为什么|为啥|什么情况|啥情况|怎么样|可以吗|能帮.{0,4}吗|帮.{0,4}吗|好吗|有人吗|是不是啊?|对吗|what (?:should|can|do|shall) (?:i|we) do(?: now)?|what(?:'s| is) (?:going on|wrong|happening|up)|why|how come|can (?:you|anyone|someone) (?:please )?help(?: me)?(?: please)?|any ideas?|what now|please help|how do i fix (?:it|this)|is (?:this|that) normal|when will (?:it|this|that) be \w+|什么时候能?(?:修好|解决|恢复|好)|多久能?(?:修好|解决|恢复|好))[\s啊呢呀吧了?!.,。]*$";
    GREETING: r"(?i)^\W*(?:你好|您好|在吗|嗨|哈喽|早上好|下午好|晚上好|谢谢|多谢|好的|嗯+|哦+|ok|okay|hi|hello|hey|good (?:morning|afternoon|evening)|thanks?(?: you)?|there|dear|team|support|客服|,|\s|none of these|以上都不是|都不是)+[啊呀呢吗]?\W*$";
    /// Speaks of a person at all.
    PERSON: r"(?i)人工|人攻|真人|活人|工作人员|客服|专员|坐席|接线员|主管|经理|有人|人吗|机器|ren ?gong|(?-u:\b)(?:human|person|people|someone|somebody|anyone|agent|representative|rep|operator|support|staff|manager|team|bot|robot|machine|service)(?-u:\b)";

    /// Something that a customer does to get it working, done: 了, 过 or 完 stands behind the verb.
    TRIED_ZH: r"试过|试了|都试|照做|(?:看|查|点|清|重启|重装|重置|换|改|关|开|删|卸|卸载|摘|录|传|交|填|联系|打|翻|调|按|连点|进|登|登录|登陆|退出|登出|更新|升级|刷新|导入|取消|加速|撤销|撤|冻结|挂失|报警|报案|验|拍|扫|找|核对|授权|解绑|绑定|绑|设|设置|申请|催|切换|切|重试|检查|清理|清除|清空|问|等|拿掉|去掉|下载|装|停用|禁用|对|举报|申诉|认证|核验|断开|拔|插|连)(?:好|完|掉|到|进|成|出|回|上|下|遍|错)?(?:了|过)|(?:看|查|点|换|改|调|切|进|登|导|传|填|清|关|找).{1,14}(?:了|过)$|(?:调|改|换|切)(?:到|成).{1,10}(?:了|过|还)|按.{0,12}(?:做|操作|试|弄)|照(?:着|你).{0,10}(?:做|操作|试|弄)|打.{0,6}电话|(?i-u:\b)(?:reinstall|restart|reboot|update|clear|reset|logout|login|refresh|try|retry|check) ?(?:了|过)";
    DONE_ZH: r"了|过|已经|都|还是|也|照做|后";
    /// Asks how or whether, tells of a fault, or of what somebody else did.
    NOT_TRIED_ZH: r"怎么|如何|要不要|需不需要|需要.{0,8}吗|是不是|能不能|可不可以|可以.{0,10}吗|必须|应该|^(?:请|麻烦)|吗$|第.{1,3}[次遍回]|被|[错丢]了|等不了|[点看打进登关开删改换]不了|(?:点|按|填|转|发|打|选|输|看|改|删)错|打了水漂|进了(?:骗|别)|(?:有人|别人|骗子).*[了过]|(?:^|[^找问系给让请叫跟和])(?:商家|银行|对方|他们|她们|你们|系统).{0,8}(?:改|换|关|删|打|退|取消|查|登|点|冻结|开|找|问)";
    TRIED_EN: r"(?i)(?-u:\b)(?:(?:i|we|i've|ive|we've|i have|we have|have|already|also|even)(?: (?:have|already|also|even|just|then|now|both|twice|literally|did))* (?:tried|try to|restart(?:ed)?|reinstall(?:ed)?|re-install(?:ed)?|rebooted|updated|upgraded|refreshed|cleared|cleaned|logged (?:out|in|off)|signed (?:out|in)|switched|changed|contacted|called|emailed|e-mailed|messaged|checked|verified|deleted|removed|uninstalled|reset|resent|re-?submitted|submitted|uploaded|waited|turned|disabled|enabled|cancelled|canceled|sped (?:it )?up|re-?imported|did (?:that|this|it|all|the)|done (?:that|this|it|all)|followed|froze|frozen|blocked|revoked|reported|opened a|filed|tapped|scanned|downloaded|asked (?:for|them|him|her|the|support|my)|disputed)|tried (?:everything|that|this|it|all|again|to|re\w+|another|different|both|twice|turning|clearing|using|with)|(?:after|despite) (?:restarting|reinstalling|updating|clearing|rebooting|logging))(?-u:\b)|^\W*(?:and |also |then |already |just |yes |yeah |ok |so |even |now |first )*(?:tried|restarted|reinstalled|re-?installed|rebooted|updated|upgraded|refreshed|cleared|cleaned|switched|changed|waited|logged (?:out|in|off)|signed (?:out|in)|uninstalled|deleted|removed|re-?submitted|submitted|uploaded|resent|re-?sent|contacted|called|emailed|messaged|checked|double[- ]checked|verified|turned|disabled|enabled|toggled|cancelled|canceled|reset|re-?imported|did (?:that|this|it|all|the|both|a)|followed|went (?:into|through|back)|froze|locked|blocked|revoked|reported|opened (?:a|an|the)|raised (?:a|an)|filed|tapped|clicked|pressed|scanned|downloaded|re-?downloaded|asked|looked|sped|disputed|rescanned|retook|re-?took|retried|redid|replaced|moved (?:the rest|everything|what|the remaining|my)|sent (?:a|an|the|them|you|in) ?(?:\w+ ){0,3}(?:query|ticket|report|request|form|email|message|complaint|documents?|photos?|proof|screenshots?|papers|statement)|swapped (?:the|my) (?:sim|phone|cable)|unplugged|charged the phone|wiped|factory reset)(?-u:\b)";
    NOT_YET_EN: r"(?i)(?-u:\b)(?:should i|do i (?:need|have)|can i|could i|must i|how (?:do|can|to)|haven't|have not|didn't|did not|never|(?:nobody|no one|they|you|someone|somebody|merchant|bank|scammers?) (?:\w+ )?(?:changed|called|emailed|cancelled|canceled|removed|deleted|reset|blocked|froze)) ";

    UNSOLVED_ZH: r"还是(?:不|没|打不开|一样|老样子|这样|那样|失败|报错|显示|提示|有问题|无法|卡|进不去|登不)|依然|依旧|仍然|仍旧|没用|没有用|不管用|不好使|不起作用|没效果|没有效果|没解决|没有解决|未解决|解决不了|试过|试了|都试|照做了?|按.{0,10}(?:做|试|操作|弄)(?:了|过)|又(?:不行|失败|报错|来了|是这|出现|卡|闪退|这样)|同样的?(?:回答|答案|话|问题|错误)|一样的?(?:回答|答案|话|问题|错误)|说过了|不是这个(?:问题|意思)|答非所问|没回答|没有回答|重复|帮不上|没帮到|没有帮助|不行啊|不行呀|还不行|也不行|都不行|还没(?:到|好|收到|解决|恢复|修好)";
    UNSOLVED_EN: r"(?i)(?-u:\b)(?:still (?:not|no|doesn'?t|does not|won'?t|can'?t|cannot|isn'?t|hasn'?t|haven'?t|didn'?t|the same|nothing|failing|fails|failed|stuck|pending|broken|says|shows|showing|get|getting|having|happening|wrong|waiting|missing|there|locked|blocked|unsolved|crash\w*)|(?:did|does|do|has|have|was|is)(?:n'?t| not)(?: really| actually| even)? (?:help\w*|work\w*|solved?|fix\w*|change anything|answer)|not (?:working|helping|helpful|solved|fixed|resolved)|no (?:luck|change|difference|use|help|success)|same (?:error|problem|issue|thing|result|answer|message|again)|already (?:tried|did|done|told|said|restarted|reinstalled|updated|checked|followed)|(?:i|we|i've|have) tried|tried (?:that|it|this|them|all|everything|both)|(?:fail|happen|error|reject|declin|crash|broke|stuck|come|came|appear|show)\w*(?: up)? again|keeps? (?:fail|crash|happen|show|say|ask|reject|declin|tell|giv|repeat|com)\w*|you (?:already|just|keep) (?:said|sa(?:y|id)ing?|told|tell\w*|repeat\w*|sent)|(?:that'?s|this is|it'?s) not (?:it|what i|my (?:question|problem|issue))|useless|to no avail|nothing (?:works|worked|helps|helped|changed|happened|happens))(?-u:\b)|(?-u:\b)again\W*$";
    ASKS_TO_EXPLAIN: r"(?i)(?-u:\b)(?:how|can you|could you|please|try|can i|explain|tell me)(?-u:\b).*(?-u:\b)again\W*$";

    /// Words of anger: swearing, blame, threats to complain.
    ANGRY: r"(?i)(?:我要|我去|去|再不.{0,8}|等着|准备|已经|一定)投诉|投诉你|举报你|你们.{0,12}(?:骗|坑|黑[心店我钱]|垃圾|耍|抢|吃了|故意|帮凶|真行|真会|拿.{0,4}当|不管|不作为|踢皮球|推来推去)|(?:垃圾|破|骗子|黑心|坑人|流氓)(?:公司|平台|软件|app|客服|玩意|东西|机器|应用|钱包|系统)|垃圾|骗子[!。\s]*$|抢钱|坑爹|坑人|坑钱|(?:^|[^我你他她])妈的|他妈的|尼玛|你妈[的逼]|特么|(?-u:\b)(?:tmd|nmd|sb|cnm)(?-u:\b)|傻逼|卧槽|我操|操你|去死|滚蛋|滚[!,。\s]*$|气死|气人|火大|无语|恶心|离谱|忽悠|糊弄|敷衍|耍我|逗我|玩我|受够|什么破|什么玩意|啥玩意|不要脸|(?:起诉|告)你们?|找律师|我的?律师|消协|曝光|差评|退钱|不认账|凭什么|凭啥|皮球|踢来踢去|推来推去|搞什么|搞毛|搞笑呢|开玩笑|有完没完|哪有这种|哪门子|讲不讲理|还讲理|什么道理|几个意思|有病|居然|竟然|还好意思|笑话|服了|呵呵|醉了|吃相|黑店|良心|骗人|私吞|还我(?:钱|币|血汗)|退我(?:钱|币|羽毛|积分)?[!。]*$|说好的|甩锅|推卸|装死|没人管|就这(?:服务|水平|态度|效率)|(?:什么|啥|这)(?:态度|服务|效率)|你们(?:连|就是|倒是|真)|难道|(?:催|问|说|打|提|发|找|反馈|联系)(?:了|过)?(?:[三四五六七八九十几好]|好几|\d+|无数)(?:次|回|遍)|第[三四五六七八九十\d]+[次回遍](?:问|说|来|找|了)|等什么等|什么等|还要(?:我)?(?:拖|等)(?:多久|到)|(?:到底|究竟).{0,8}(?:发没|管不管|给不给|退不退|拖|干嘛|干什么|什么时候|想怎|要怎|还要|多久)|让我等到|谁(?:测试|写|设计|负责)的|白交|白扣|白等|耽误|当我|(?-u:\b)(?:wtf|wth|ffs|omfg|fuck\w*|shit\w*|bullshit|bs|crap|damn|bloody|useless|ridiculous|unacceptable|terrible|awful|horrible|pathetic|a joke|worst|disgust\w*|idiots?|stupid|garbage|trash|thieves|thief|liars?|lies|lying|crooks?|rip ?-?off|robbery|robbing|daylight|sue (?:you|tern)|my (?:lawyer|attorney)|(?:formal|file a|making a|this) complaint|complain|furious|angry|fed up|sick of|tired of|outrageous|scammers at|excuse me|how dare|how is that (?:allowed|ok|legal)|where on earth|what on earth|what the hell|the hell|shame on|hostage|incompetent|clowns?|criminals?|(?:nobody|no ?one|noone) (?:\w+ )?(?:warn\w*|answer\w*|repl\w*|cares?|tells?|told|helps?|picks?)|unbelievable|insane|absurd|nonsense|come on|seriously|kidding|do your job|waste of|hate|sucks?|annoy\w*|frustrat\w*|ignor(?:ed|ing)|zero help|what kind of (?:\w+ )?(?:service|app|company|bank|support)|give me (?:back )?my|it'?s my (?:own )?money|my own money|you (?:lost|robbed|cheated|lied|broke|ruined|locked)|still did nothing|did nothing|do nothing|you people|you guys (?:keep|are|just|took|stole)|(?:you|u) (?:are|r|guys|people)(?-u:\b).{0,20}(?:scam|steal\w*|fraud)|(?:stole|steal|stealing|keep(?:ing)?|kept|took|taking|ate|eating|holding|hold) my (?:money|refund|funds|fee|cash|coins)|every (?:single )?(?:update|time|month) (?:you|i)|(?:don'?t|dont|do not) (?:tell|give) me|(?:speak|talk) english|i want answers|own it|never again|nothing is (?:solved|fixed)|been (?:trying|waiting|asking) (?:\w+ ){0,4}for (?:\w+ )?(?:days|weeks|months)|how many times|for the (?:third|fourth|fifth|last|\w+th|3rd) time|(?:third|fourth|fifth|3rd|4th|5th) time)(?-u:\b)|[!?]{2,}\W*[!]|[!]{2,}|[?]{3,}";
    /// Anger that shows in the letters: a word of all capitals among others, or doubled question marks beside "you".
    RAISED: r"(?-u:\b)(?:WHERE|WHEN|WHY|WHO|WHAT|HOW|NOW|NEVER|NOTHING|NOBODY|STILL|MONTHS?|WEEKS?|DAYS?|HOURS?|MINUTES?|YOUR?|MY|ONE|ALL|AGAIN|NOT|NO|STOP|ENOUGH|EVERY|ANY|TWICE|STOLEN|MONEY|BACK|SAME|ALREADY|SECONDS?|FOREVER|MONDAY|TUESDAY|WEDNESDAY|THURSDAY|FRIDAY)(?-u:\b)";
    WORRIED: r"(?i)着急|很急|好急|太急|急死|急用|急需|急急|急[!。,\s]|急$|担心|害怕|好怕|怕|慌|吓|怎么办|咋办|救命|求求|求助|紧急|尽快|不见了|丢了|丢失|没了|被盗|被骗|盗刷|骗子|骗走|全没|睡不着|崩溃|哭|(?-u:\b)(?:worr\w+|scared|afraid|anxious|panic\w*|freak\w*|nervous|urgent\w*|asap|desperate|emergency|please help|help me|lost|gone|missing|stolen|hacked|scammed|drained|terrified|stress\w*|where is my money|wheres my money|life savings)(?-u:\b)|help!";
    SHOUTING: r"(?:(?-u:\b)[A-Z']{2,}(?-u:\b)[\s,.!?]*){4,}";

    DISPUTE: r"(?i)争议|纠纷|拒付|盗刷|未授权|没有授权|不是我(?:刷|付|操作|买)|重复扣|多扣|扣了两次|乱扣|(?-u:\b)(?:disput\w+|charge ?backs?|unauthori[sz]ed|did(?:n't| not) authori[sz]e|charged twice|double charged?|duplicate charge|fraudulent)(?-u:\b)";

    ABOUT_CARD: r"(?i)卡.{0,6}(?:被拒|拒|扣|刷|消费|付|支付|交易|盗)|刷卡|盗刷|商户|商家|消费|退款|扣款|重复扣|(?-u:\b)(?:merchant|declined|charged?|charges|chargeback|atm|purchase|refund\w*|contactless|apple pay|google pay)(?-u:\b)";
    A_CARD: r"(?i)卡[^死住顿]|卡$|(?-u:\b)cards?(?-u:\b)";
    ABOUT_MOVING: r"(?i)提现|提币|提款|转账|转出|转错|转给|转到|充值|充币|到账|入账|没到|收到|汇款|打款|钱没|币没|付款|交易|哈希|区块|确认数|(?-u:\b)(?:withdr\w+|transfer\w*|deposit\w*|top(?:ped)?[ -]?up|sent|send|sending|arriv\w*|receiv\w*|pending|credited|transaction|tx|payment|payout|wire|bridge|swap)(?-u:\b)";
    ABOUT_CHAIN: r"(?i)币|链|哈希|区块|合约|授权|矿工费|地址|钱包|(?-u:\b)(?:chain|hash|tx|wallet|crypto|coins?|tokens?|gas|nonce|contract|approv\w*|swap|bridge|usdt|usdc|btc|eth|trx|bnb|sol)(?-u:\b)";
    ABOUT_APP: r"(?i)闪退|打不开|白屏|黑屏|卡死|卡住|崩溃|报错|错误|加载|更新|登录不|登不|进不去|没反应|界面|按钮|扫码|推送|(?-u:\b)(?:crash\w*|freez\w*|frozen|won'?t open|blank|bugs?|error|load\w*|update\w*|log ?in|sign in|screen|button|app|face ?id|notification\w*|glitch\w*)(?-u:\b)";
    ABOUT_IDENTITY: r"(?i)实名|认证|身份证|护照|人脸|审核|(?-u:\b)(?:kyc|identity|passport|verif\w+|selfie|id card)(?-u:\b)";
    /// A site, a number, a mail address or a name in a messenger.
    CONTACT: r"(?i)\[(?:phone|email) \d|(?-u:\b)[a-z0-9][a-z0-9-]*\.(?:com|net|org|io|xyz|app|top|cc|cn|info|site|online|vip|live|me|co)(?-u:\b)|@\w{3,}|\d{3,}[- ]?\d{4,}";
    MERCHANT: r"(?i)在.{1,12}(?:买|消费|刷|付|吃|店)|淘宝|京东|拼多多|美团|亚马逊|(?-u:\b)(?:amazon|uber|netflix|spotify|apple|steam|airbnb|booking|merchant (?:is|was|called))(?-u:\b)|(?-u:\b)(?:at|from|by) (?:the )?(?-i:[A-Z][a-z]+)";
}

/// The customer tells that it did not help, that they tried it already, or that it happens again.
pub(super) fn unsolved(text: &str) -> bool {
    let text = fold(text);
    UNSOLVED_ZH.is_match(&text) || (UNSOLVED_EN.is_match(&text) && !ASKS_TO_EXPLAIN.is_match(&text))
}

/// Where the request stands: the questions and demands that end the last message with a matter of its own, and what it
/// tells right behind them. A bare "转人工", a greeting or "still not working" sends the search further back.
pub(super) fn ask(messages: &[Message<'_>]) -> Option<(u32, Span)> {
    let chosen = messages
        .iter()
        .rev()
        .find(|(_, text)| carries_a_request(text))
        .or_else(|| messages.iter().rev().find(|(_, text)| has_matter(text) && !only_unsolved(text)))
        .or_else(|| messages.iter().rev().find(|(_, text)| has_matter(text)))
        .or_else(|| messages.iter().rev().find(|(_, text)| !text.trim().is_empty()))
        .or(messages.last())?;
    let (message, text) = *chosen;
    let pieces = clauses(text);
    let kept =
        |keep: fn(&str) -> bool| pieces.iter().filter(|at| keep(&text[(*at).clone()])).cloned().collect::<Vec<_>>();
    let mut matters = kept(speaks);
    if matters.is_empty() {
        matters = kept(has_matter);
    }
    Some((message, points(text, request_in(text, &matters))))
}

/// The part of a message that asks, given the clauses that have a matter.
fn request_in(text: &str, matters: &[Range<usize>]) -> Range<usize> {
    let folded: Vec<String> = matters.iter().map(|at| fold(&text[at.clone()])).collect();
    let asks = |at: usize| QUESTION.is_match(&folded[at]) || DEMAND.is_match(&folded[at]);
    let tells = |at: usize| REQUEST.is_match(&folded[at]);
    let Some(last) = (0..matters.len()).rev().find(|at| asks(*at)) else {
        let first = (0..matters.len()).find(|at| tells(*at)).unwrap_or(0);
        return matters.get(first).map_or_else(|| trimmed(text), Clone::clone);
    };
    let mut first = last;
    while first > 0 && asks(first - 1) {
        first -= 1;
    }
    // "What should I do?" needs what came before it.
    if first > 0 && (first..=last).all(|at| GENERIC.is_match(&folded[at])) {
        first = (0..first).rev().find(|at| tells(*at)).unwrap_or(first - 1);
    }
    let mut end = (last + 1..matters.len()).take_while(|at| tells(*at)).last().unwrap_or(last);
    // "Where is it?" tells an agent nothing without the clauses around it.
    while first > 0 && is_thin(&text[matters[first].start..matters[end].end]) {
        first -= 1;
    }
    while end + 1 < matters.len() && is_thin(&text[matters[first].start..matters[end].end]) {
        end += 1;
    }
    matters[first].start..matters[end].end
}

/// Whether it is too short to say what is wrong: under a dozen Chinese characters or two dozen Latin ones.
fn is_thin(text: &str) -> bool {
    text.chars().map(|c| if c.is_ascii() { 1 } else { 2 }).sum::<usize>() < 24
}

/// The clauses in which the customer tells what they did already.
pub(super) fn tried(text: &str) -> Vec<Span> {
    clauses(text).into_iter().filter(|at| tells_a_try(&text[at.clone()])).map(|at| points(text, at)).collect()
}

fn tells_a_try(sentence: &str) -> bool {
    let sentence = fold(sentence);
    let zh = TRIED_ZH.is_match(&sentence) && DONE_ZH.is_match(&sentence) && !NOT_TRIED_ZH.is_match(&sentence);
    zh || (TRIED_EN.is_match(&sentence) && !NOT_YET_EN.is_match(&sentence))
}

/// `calm`, `worried` or `angry`, by the strongest word of all messages.
pub(super) fn mood(messages: &[Message<'_>]) -> &'static str {
    let any = |rule: &Regex| messages.iter().any(|(_, text)| rule.is_match(&fold(text)));
    match () {
        () if any(&ANGRY) || any(&SHOUTING) || messages.iter().any(|(_, text)| raises_the_voice(text)) => "angry",
        () if any(&WORRIED) => "worried",
        () => "calm",
    }
}

/// A word in capitals inside a message that is otherwise in small letters.
fn raises_the_voice(text: &str) -> bool {
    let small = text.chars().filter(char::is_ascii_lowercase).count();
    small >= 8 && RAISED.is_match(&fold(text))
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
pub(super) fn missing(messages: &[Message<'_>], given: &BTreeSet<&str>) -> Vec<String> {
    let all = messages.iter().map(|(_, text)| fold(text)).collect::<Vec<_>>().join("\n");
    if !messages.iter().any(|(_, text)| has_matter(text)) {
        return vec!["problem".to_owned()];
    }
    let on_chain = ABOUT_CHAIN.is_match(&all)
        || ["tx_hash", "address", "network", "token"].iter().any(|slot| given.contains(slot));
    let mut needed: Vec<&str> = Vec::new();
    let (moving, app) = (ABOUT_MOVING.is_match(&all), ABOUT_APP.is_match(&all));
    let paying = ABOUT_CARD.is_match(&all) || (A_CARD.is_match(&all) && !moving && !app);
    if paying && !(moving && on_chain) {
        needed.extend(["product", "merchant", "time", "amount"]);
    } else if moving && on_chain {
        needed.extend(["tx_hash", "network", "amount", "time"]);
    } else if moving {
        needed.extend(["order", "bank", "amount", "time"]);
    }
    if app {
        needed.extend(["app_version", "device"]);
        if all.contains("报错") || all.contains("错误") || all.to_lowercase().contains("error") {
            needed.push("error_code");
        }
    }
    if needed.is_empty() && ABOUT_IDENTITY.is_match(&all) {
        needed.extend(["time"]);
    }
    let has = |slot: &str| match slot {
        "tx_hash" | "order" => names_the_entry(given),
        // Money that moved on a chain has no bank, and a card payment's product is the card when it says so.
        "bank" => given.contains("bank") || given.contains("order") || given.contains("tx_hash"),
        "merchant" => MERCHANT.is_match(&all),
        "product" => given.contains("product") || all.contains('卡') || all.to_lowercase().contains("card"),
        other => given.contains(other),
    };
    needed.into_iter().filter(|slot| !has(slot)).map(str::to_owned).collect()
}

/// What an agent will need in a situation of danger and has not been given. `told` is all that the case quotes of the
/// customer.
pub(super) fn missing_in_danger(situation: &str, told: &str, given: &BTreeSet<&str>) -> Vec<String> {
    let told = fold(told);
    let on_card = A_CARD.is_match(&told) || given.contains("product");
    let needed: &[&str] = match situation {
        "theft" if on_card && !given.contains("tx_hash") => &["amount", "merchant", "time", "card"],
        // A number of ours already says how and where it moved.
        "theft" | "wrong_transfer" if given.contains("order") => &["amount", "time"],
        "theft" | "wrong_transfer" => &["tx_hash", "network", "amount", "time", "address"],
        "leaked_key" => &["wallet", "time"],
        "scam" => &["contact", "amount", "time", "address"],
        "malicious_approval" => &["address", "network", "time"],
        "takeover" => &["time", "device"],
        "lost_phone" => &["time", "device", "card"],
        "dispute" => &["order", "time"],
        "verify_official" => &["contact", "requested"],
        _ => &[],
    };
    let has = |slot: &str| match slot {
        "tx_hash" | "order" => names_the_entry(given),
        "wallet" => given.contains("address"),
        "card" => A_CARD.is_match(&told),
        "merchant" => MERCHANT.is_match(&told),
        "contact" => CONTACT.is_match(&told),
        other => given.contains(other),
    };
    needed.iter().filter(|slot| !has(slot)).map(|slot| (*slot).to_owned()).collect()
}

/// A hash or a number of ours: either one leads an agent to the entry.
fn names_the_entry(given: &BTreeSet<&str>) -> bool {
    given.contains("tx_hash") || given.contains("order")
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

/// A sentence of the matter itself: not what was tried, not what was masked, not "still not working".
fn speaks(sentence: &str) -> bool {
    has_matter(sentence) && !only_unsolved(sentence) && !tells_a_try(sentence) && !MASK.is_match(sentence)
}

/// A sentence of this message asks for something and says what.
fn carries_a_request(text: &str) -> bool {
    clauses(text).into_iter().map(|at| &text[at]).filter(|clause| speaks(clause)).any(|clause| {
        let clause = fold(clause);
        !GENERIC.is_match(&clause) && [&QUESTION, &DEMAND, &REQUEST].iter().any(|rule| rule.is_match(&clause))
    })
}

/// Says only that it did not help: short, and no question of its own.
fn only_unsolved(text: &str) -> bool {
    unsolved(text) && !QUESTION.is_match(&fold(text)) && text.chars().count() <= 24
}

/// The clauses of a message as byte ranges: its sentences, taken apart at commas and, as many customers write
/// Chinese, at spaces between two characters of it.
fn clauses(text: &str) -> Vec<Range<usize>> {
    static BREAK: LazyLock<Regex> = LazyLock::new(|| pattern(r"[，；;]|,\s|[\p{Han}](\s+)[\p{Han}]"));
    let mut found = Vec::new();
    for sentence in sentences(text) {
        let start = sentence.as_ptr() as usize - text.as_ptr() as usize;
        let (mut from, mut search) = (0, 0);
        while let Some(captures) = BREAK.captures_at(sentence, search) {
            let Some(gap) = captures.get(1).or(captures.get(0)) else { break };
            found.push(start + from..start + gap.start());
            (from, search) = (gap.end(), gap.end());
        }
        found.push(start + from..start + sentence.len());
    }
    let within = |at: Range<usize>| {
        let inner = trimmed(&text[at.clone()]);
        at.start + inner.start..at.start + inner.end
    };
    found.into_iter().map(within).filter(|at| !at.is_empty()).collect()
}

fn trimmed(text: &str) -> Range<usize> {
    let start = text.len() - text.trim_start().len();
    start..start + text.trim().len()
}
