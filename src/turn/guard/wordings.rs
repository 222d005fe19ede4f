//! What has a fixed wording: a wish for a person, thanks, a goodbye, a question about the bot itself. Pure.

use std::sync::LazyLock;

use regex::{Regex, RegexSet};

/// What a message of small talk is; each gets a card of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chat {
    /// Thanks and nothing else.
    Thanks,
    /// "OK", "never mind", "that's all", "bye", and nothing else.
    Closing,
    /// Asks whether it talks to a machine, or what the machine can do.
    AboutBot,
    /// Scolds the bot and asks nothing.
    Insult,
    /// A greeting, and all other chit-chat.
    Greeting,
}

impl Chat {
    /// Its card.
    pub fn card(self) -> &'static str {
        match self {
            Chat::Thanks => "thanks",
            Chat::Closing => "closing",
            Chat::AboutBot => "about_bot",
            Chat::Insult => "sorry",
            Chat::Greeting => "small_talk",
        }
    }
}

/// What a message is by its wording alone, from its first to its last word; `None` where it says anything else too.
pub fn chat(text: &str) -> Option<Chat> {
    static PARTS: LazyLock<[Regex; 5]> = LazyLock::new(|| {
        // Each is a row of its own words, in any order and number, with whatever is no word between them.
        let rows = |zh: &str, en: &str| {
            Regex::new(&format!(r"(?i)^\W*((({zh})\W*)+|((({en})\b\W*)+))+$"))
                .expect("constant patterns; this is a bug")
        };
        [
            rows(THANKS_ZH, THANKS_EN),
            rows(&format!("{THANKS_ZH}|{CLOSING_ZH}"), &format!("{THANKS_EN}|{CLOSING_EN}")),
            rows(ABOUT_BOT_ZH, ABOUT_BOT_EN),
            rows(INSULT_ZH, INSULT_EN),
            rows(GREETING_ZH, GREETING_EN),
        ]
    });
    static ANY_THANKS: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(&format!(r"(?i){THANKS_ZH}|\b({THANKS_EN})\b")).expect("constant patterns; this is a bug")
    });
    if !text.chars().any(char::is_alphanumeric) {
        return None;
    }
    let [thanks, closing, about_bot, insult, greeting] = &*PARTS;
    if thanks.is_match(text) || closing.is_match(text) && ANY_THANKS.is_match(text) {
        Some(Chat::Thanks)
    } else if closing.is_match(text) {
        Some(Chat::Closing)
    } else if about_bot.is_match(text) {
        Some(Chat::AboutBot)
    } else if insult.is_match(text) {
        Some(Chat::Insult)
    } else {
        greeting.is_match(text).then_some(Chat::Greeting)
    }
}

const THANKS_ZH: &str = "(非常|十分|多|太)?(谢|謝)+(您|你|啦|了|咯|哈|呀|噢|哦|哟|大家|帮忙|幫忙)*|(多|感)(谢|謝|激|恩)(你|您|啦|了|哈|晒)*|唔該(晒)?|辛苦(你|您)?(了|啦)?";
const THANKS_EN: &str = "(many |ok |great )?thank(s| you| u)?( a (lot|bunch|million|ton)| so much| very much| again| mate| man| anyway| you)?|thx|thnx|tnx|ty|tysm|tyvm|cheers( mate)?|(much |i )?appreciate(d)?( it| that| your help| the help)?";
const CLOSING_ZH: &str = "好(的|吧|嘞|滴|哒|呀|啊|了|啦)*|行(吧|了|啦)?|可以(了|啦)|嗯+(呢)?|哦+|噢+|收到(了|啦)?|(我)?(都)?(明白|知道|懂|了解|清楚)(了|啦)?|[没沒](事|有?(问题|問題|别的|別的|其他))(了|啦|儿)*|[没沒]有(了|啦)|(就)?不(用|必|需要)(了|啦)|算(了|啦)(吧)?|(已经|我自己|自己|都|问题)?(搞定|解决|解決|弄好|搞好|处理好|明白)(了|啦)+|(那|就)?先(这样|這樣)(吧|了|啦)?|(那就|就)(这样|這樣)(吧|了|啦)?|再(见|見)|拜+(了|啦)?|(晚|早)安|下次(再)?(聊|说|見|见)|有用|很有(用|帮助|幫助)|ok(的|了|啦)?";
const CLOSING_EN: &str = "ok(ay|ie|ey)?|k+|alright|all right|right|great|perfect|cool|nice( one)?|awesome|brilliant|lovely|excellent|super|fine|got (it|ya)|gotcha|understood|i see|noted|(never ?mind|nvm)( then)?|no,? (worries|problem|need)|nothing (else|more)|no,? that'?s (all|it|everything|fine|ok)|no(pe)?,? (thanks?|thank you)|no(pe)?,? (i'?m|all) (good|set|fine|done)|that'?s (all|it|fine|ok|great|perfect|everything|good)( i need(ed)?)?|that is all|(it'?s |i'?m |we'?re |that'?s )?(all )?(good|set|sorted|solved|done|fixed|resolved)( now| then)?|it(?:'?s)? work(s|ed|ing)( now)?|(that|it|this) (really |was )?(help(s|ed|ful)|work(s|ed))( a lot| perfectly)?|(very|really|so) helpful|(you'?re |you are |ur )?(great|amazing|awesome|the best|a star)|good ?bye|bye( ?bye)?( now)?|see (you|ya|u)( later| soon)?|have a (nice|good|great) (day|one|evening|night|weekend)|good ?night|then|now|for now|i figured it out|figured it out|much better";
const ABOUT_BOT_ZH: &str = "(请问|請問|喂|对面|對面|这|這)?(你|您|我(在|是在)?(跟|和)(谁|誰))?(们)?(到底|究竟)?是(不是)?(一个|個|个)?(机器人?|機器人?|真人|人类|人工智能|AI|ai|自动回复|人|活人)(还是|還是|或者|吗|嗎|么|吧|呀|啊|回复|在回|机器人?|機器人?|真人|人工智能|AI|ai|人|客服)*|(你|您)(能|会|會|可以)(做|干|幹|帮我做|回答|帮|幫)(什么|什麼|啥|些什么|哪些)(事|问题|忙)?(吗|呢|啊)?|(你|您)(叫|是)(什么|什麼|啥|谁|誰)(名字|名)?(啊|呀|呢)?";
const ABOUT_BOT_EN: &str = "(hey |so |wait |hold on |sorry |hi |hello )?((are|r) (you|u|this|i talking (to|with)|i speaking (to|with))|am i (talking|speaking|chatting) (to|with)|is (this|it)|you('?re| are)?)( just| really| actually| even)? (a |an |some )?(real |actual |live )?(bot|robot|chat ?bot|machine|ai|computer|human( being)?|person|automated|real|agent)( or (a |an )?(real |actual )?(bot|robot|machine|ai|human|person|what|not|something))?|who (are|r) (you|u)|what (are|r) (you|u)|what can (you|u) (do|help( me)? with|answer)( for me)?|what do (you|u) do|what'?s your name|who (made|built) (you|u)";
const INSULT_ZH: &str = "(你|您|你们|真|真是|简直|什么|就是|太|个|一群|的|这|這|破|死)*(傻|煞|沙)(逼|比|叉|b|B|x|X|子|瓜)|(你|您|你们|真|真是|简直|什么|就是|太|个|的|这|這|破|死)*(垃圾|废物|廢物|智障|弱智|脑残|腦殘|白痴|笨蛋|蠢货|没用|沒用|没屁用)(机器人|機器人|客服|东西|的东西|玩意|软件|程序|AI|ai)*(了|啊|吧)?|滚(蛋|开|吧)*|(他|你)?妈的|tmd|nmd|sb|SB";
const INSULT_EN: &str = "((you('?re| are)|ur|u r|this (bot|thing)( is)?|this is|what an?|such an?|is) )?((so|such|a|an|just|completely|totally|absolutely|fucking|bloody|really|utterly|the most|piece of) )*(useless|stupid|dumb|idiot(ic)?|moron|garbage|trash|rubbish|crap|shit|bullshit|worthless|pathetic|terrible|awful)( (bot|robot|thing|machine|ai|app|support|service|idiot))?|(fuck|screw|damn)( (you|off|this|it|that))?( (bot|app|thing))?|f\\*+k?( you| off)?|wtf|(i )?hate (you|this( (bot|thing|app))?)";
const GREETING_ZH: &str = "(你|您)(们)?好(呀|啊|哈|哇)?|哈(喽|啰|囉|罗)|嗨|喂+|在(吗|嗎|么|不在|不|嘛)|有人(在)?(吗|嗎|么)|早(上好)?|(下午|晚上|中午)好";
const GREETING_EN: &str = "hi+( there| all| team)?|hello+( there| team)?|hey+( there)?|yo|good (morning|afternoon|evening|day)|any ?(one|body) (there|here|home)|(are )?(you|u) there|howdy|greetings|sup";

/// Whether the message asks for a person, in one of the wordings that leave no doubt.
pub(super) fn asks_for_a_person(text: &str) -> bool {
    static ASKS: LazyLock<RegexSet> = LazyLock::new(|| {
        RegexSet::new([
            r"[转轉找要叫接换換连連联聯]\s*(接|系|繫|个|個|一个|一下|到|你们|你們|下)?\s*(人工|真人|活人|客服人员|客服人員)",
            r"^\s*(请|請|给我|給我|我要)?\s*(人工|真人|活人)(客服|服务|服務|座席|坐席)?\s*[!！。.?？~～]*\s*$",
            r"(人工|真人|活人)(客服|服务|服務|坐席|座席)?(呢|在吗|在嗎|在不在|在哪|有没有|有沒有)",
            r"(有没有|有沒有|能不能|可不可以).{0,6}(真人|活人|人工)",
            r"(跟|和|同|与).{0,4}(真人|活人|人工|客服).{0,4}(说|說|聊|讲|講|沟通|溝通|谈|談)",
            r"(不要|不想|别|別).{0,6}(机器人|機器人)",
            r"(?i)^\W*(zhuan|zhao|yao)?\s?ren\s?gong\W*$",
            // Once it is a greeting.
            r"^\W*((有人|有没有人|有沒有人)(在)?(吗|嗎|么|嘛)?\W*){2,}$",
            r"(?i)^\W*((is |hello )?any ?(one|body)( (at all|there|here|home))*\W*){2,}$",
            r"(?i)\b(talk|speak|chat|connect|transfer|put|pass|hand|switch|escalate|get (me|us|through|hold))\b.{0,30}\b(human|person|agent|representative|rep|operator|someone real|real (one|person)|staff|supervisor|manager|advisor|adviser)\b",
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
    // Only from the beginning: "someone called me" is no wish to be called.
    static CALLS: LazyLock<RegexSet> = LazyLock::new(|| {
        RegexSet::new([
            r"^\W*(请|請|麻烦|麻煩|快点|快點|快|赶紧|趕緊|能不能|可不可以|可以|能|让人|讓人|叫人|你们|你們|现在|現在|马上|馬上|尽快|盡快|直接|\s)*(给我|給我|跟我)?(打|回|拨|撥)(个|個|一个|一個|通)?(电话|電話)(给我|給我|吧|\W|$)",
            r"(安排|预约|預約|约|約)(个|個|一个|一個|一次)?.{0,4}(电话|電話|通话|通話|视频|視頻)(沟通|溝通|聊|吗|嗎|吧|\W|$)",
            r"^\W*(能不能|可不可以|可以|能|想|要|我想|我要).{0,4}(视频|視頻)(聊|连线|連線|沟通|溝通)",
            r"(?i)^\W*((please|pls|plz|can|could|would|will|you|someone|somebody|anyone|have|let|get|your|team|staff|just|kindly|now)\W+)*(call|ring|phone) me\b",
            r"(?i)\b(schedule|book|arrange|set up)\b.{0,10}\b(phone |video )?call\b( with| for|\W*$| tomorrow| today| at)",
        ])
        .expect("constant patterns; this is a bug")
    });
    (ASKS.is_match(text) && !ABOUT.is_match(text)) || CALLS.is_match(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thanks_closings_and_questions_about_the_bot_are_known_by_their_wording() {
        for text in [
            "谢谢",
            "谢谢啦",
            "好的谢谢",
            "好的，谢谢您！",
            "多谢啦",
            "辛苦了",
            "唔該晒",
            "thanks",
            "Thanks a lot!",
            "thank you so much, you're great",
            "ok thx",
            "great, cheers",
            "thanks that helped!",
            "no thanks",
            "ty!!",
            "perfect, appreciate it",
            "嗯嗯 感谢",
        ] {
            assert_eq!(chat(text), Some(Chat::Thanks), "{text}");
        }
        for text in [
            "好的",
            "嗯",
            "ok",
            "OK.",
            "算了",
            "没有了",
            "不用了",
            "没事了",
            "知道了",
            "明白了",
            "搞定了",
            "那先这样吧",
            "拜拜",
            "晚安",
            "nevermind",
            "nvm",
            "never mind",
            "nothing else",
            "no that's all",
            "No, that's it.",
            "got it",
            "ok got it",
            "all good",
            "bye",
            "sorted now",
            "it works now",
            "i see",
        ] {
            assert_eq!(chat(text), Some(Chat::Closing), "{text}");
        }
        for text in [
            "你是机器人吗",
            "你是真人吗？",
            "你是人还是机器",
            "你是真人还是AI",
            "你能做什么",
            "你叫什么名字",
            "are you a bot",
            "Are you a real person?",
            "am I talking to a bot?",
            "is this a human or a machine",
            "who are you",
            "what can you do",
            "are you a robot or what",
        ] {
            assert_eq!(chat(text), Some(Chat::AboutBot), "{text}");
        }
        for text in [
            "傻逼",
            "垃圾机器人",
            "你真没用",
            "废物",
            "useless",
            "you are useless",
            "stupid bot",
            "fuck off",
            "this is bullshit",
            "wtf",
        ] {
            assert_eq!(chat(text), Some(Chat::Insult), "{text}");
        }
        for text in ["你好", "在吗", "hello there", "hi", "good morning!", "有人吗"] {
            assert_eq!(chat(text), Some(Chat::Greeting), "{text}");
        }
    }

    #[test]
    fn a_message_that_says_more_is_no_small_talk() {
        for text in [
            "",
            "🙂",
            "???",
            "谢谢 那手续费多少",
            "好的 那多久到账",
            "算了 我转错了怎么办",
            "没有收到钱",
            "没有收到",
            "不用了怎么退",
            "thanks, and how long does it take",
            "ok but where is my money",
            "never mind the fee, is my money gone",
            "nothing works",
            "it works but slow",
            "got it wrong, sent to another address",
            "有真人吗",
            "你是机器人吗 我要人工",
            "我是真人",
            "are you a bot, get me a human",
            "who are you people who took my money",
            "is this a real website",
            "is this person from your team",
            "就这样吧 到此为止",
            "goodbye world, i have had enough",
            "done for, all my money is gone",
            "好了吗",
            "可以吗",
            "行不行",
            "是真人认证吗",
            "is this an agent of yours who called me",
            "right of withdrawal",
            "no",
            "不是",
            "no way",
        ] {
            assert_eq!(chat(text), None, "{text}");
        }
    }

    #[test]
    fn a_person_asked_for_plainly_is_heard() {
        for text in [
            "转人工",
            "rengong",
            "zhuan ren gong!",
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
            "有人吗有人吗",
            "anyone there? anyone??",
            "麻烦尽快给我回个电话",
            "打电话给我，我在家",
            "可以约个视频沟通吗",
            "can someone please call me back",
            "Ring me now!",
            "I'd like to book a call for Friday",
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
            "有人打电话给我说是客服",
            "打电话没人接",
            "视频认证要多久",
            "they call me every day and ask for a code",
            "will the paper get wet, im a careful person",
            "someone called me about my account",
            "do you call me before a big transfer",
        ] {
            assert!(!asks_for_a_person(text), "{text}");
        }
    }
}
