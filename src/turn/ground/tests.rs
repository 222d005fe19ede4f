use proptest::prelude::*;

use super::*;

const TIME_ZH: &str = "普通提现在工作日 15:00 前提交，当天 18:00 前到账；15:00 之后提交，下一个工作日 12:00 前到账。进度可在 **钱包 > 提现 > 记录** 里看到。单笔最高 5 万元，每天最多 3 次。";
const FEE_ZH: &str = "普通提现每笔收 2 USDT，加急提现每笔收 5 USDT。提现一旦提交，无法取消。手续费不会退还。余额少于 10 USDT 时不能提现。";
const SAFE_ZH: &str = "我们绝不会索要助记词、私钥或验证码。忘记助记词，我们无法帮您找回。更换手机后，可以用助记词恢复钱包。实名认证无需提供银行卡。";
const CHAIN_ZH: &str = "TRC20 网络充值 USDT 需要 20 个区块确认，约 3 分钟。错误码 4001 表示您拒绝了签名，-32000 表示节点余额不足。请升级到 6.8.2 版本。仅支持波场地址 TQ5nVYmSLoXpfjV8H3aSPCu4kBqVwsEUwL。";
const TIME_EN: &str = "Withdrawals submitted before 15:00 on a business day arrive by 18:00 the same day. Later ones arrive within 2 business days. You can follow the progress in **Wallet > Withdraw > History**. The limit is 1,000 USD per day.";
const FEE_EN: &str = "A standard card costs $5, and a metal card costs $49. The monthly fee is 0.5% of the balance. Fees are not refunded. You cannot cancel a withdrawal after it is submitted.";
const SAFE_EN: &str = "We never ask for your seed phrase, private key or one-time code. Nobody can recover a lost seed phrase. You must enable 2FA before your first withdrawal. If you have not received the code after 60 seconds, tap **Resend code**. You do not need a passport to open a Basic account.";
const CONTACT_EN: &str = "Write to help@tern.example or call +000 400 120 7788 from 08:00 to 22:00 UTC+8. The official site is https://tern.example/help. The promotion ends on November 20, 2026. Error W-08 means that the contract 0x52908400098527886E0F7030069857D2E4169EE7 rejected the call.";

/// (sentence, evidence, whether it is held up)
const CASES: &[(&str, &[&str], bool)] = &[
    // Held up: word for word, or in other words.
    ("提现一旦提交，无法取消。", &[FEE_ZH], true),
    ("工作日 15:00 前提交的普通提现，当天 18:00 前到账。", &[TIME_ZH], true),
    ("下午3点前提交的普通提现，当天18:00前到账", &[TIME_ZH], true),
    ("您可以在 **钱包 > 提现 > 记录** 查看进度。", &[TIME_ZH], true),
    ("单笔最高 50,000 元。", &[TIME_ZH], true),
    ("单笔最高５万元，每天最多三次。", &[TIME_ZH], true),
    ("普通提现每笔收取 2 USDT。", &[FEE_ZH], true),
    ("加急提现每笔 5 USDT。", &[FEE_ZH], true),
    ("提现提交后无法取消。", &[FEE_ZH], true),
    ("手续费不会退还。", &[SAFE_ZH, FEE_ZH], true),
    ("余额少于 10 USDT 时不能提现。", &[FEE_ZH], true),
    ("我們絕不會索要助記詞、私鑰或驗證碼。", &[SAFE_ZH], true),
    ("我们绝不会索要您的助记词或私钥。", &[SAFE_ZH], true),
    ("忘记助记词，无法找回。", &[SAFE_ZH], true),
    ("更换手机后可以用助记词恢复钱包。", &[SAFE_ZH], true),
    ("实名认证无需提供银行卡。", &[FEE_ZH, SAFE_ZH], true),
    ("TRC20 充值 USDT 需要 20 个确认，约三分钟。", &[CHAIN_ZH], true),
    ("错误码 4001 表示您拒绝了签名。", &[CHAIN_ZH], true),
    ("请升级到 v6.8.2 版本。", &[CHAIN_ZH], true),
    ("Withdrawals submitted before 3 pm on a business day arrive by 18:00 the same day.", &[TIME_EN], true),
    ("Later withdrawals arrive within two business days.", &[TIME_EN], true),
    ("The daily limit is 1000 USD.", &[TIME_EN], true),
    ("The limit is 1000 USD per day.", &[TIME_EN], true),
    ("The limit is $1,000 per day.", &[TIME_EN], true),
    ("Follow the progress in **Wallet > Withdraw > History**.", &[TIME_EN], true),
    ("You can follow the progress in Wallet > Withdraw > History.", &[TIME_EN], true),
    ("A metal card costs 49 USD.", &[FEE_EN], true),
    ("The monthly fee is 0.5 percent of the balance.", &[FEE_EN], true),
    ("Fees aren't refunded.", &[FEE_EN], true),
    ("A submitted withdrawal cannot be cancelled.", &[FEE_EN], true),
    ("We never ask for your private key.", &[SAFE_EN], true),
    ("You must enable 2FA before the first withdrawal.", &[SAFE_EN], true),
    ("If you haven't received the code after 60 seconds, tap **Resend code**.", &[SAFE_EN], true),
    ("A Basic account does not need a passport.", &[SAFE_EN], true),
    ("Write to help@tern.example.", &[CONTACT_EN], true),
    ("Call +000 400 120 7788 from 8 am to 10 pm UTC+8.", &[CONTACT_EN], true),
    ("The promotion ends on 2026-11-20.", &[CONTACT_EN], true),
    ("The official site is tern.example/help.", &[CONTACT_EN], true),
    ("Error W-08 means that the contract rejected the call.", &[CONTACT_EN], true),
    // Not held up: a number, a unit, a date, an address, a code, a path.
    ("工作日 16:00 前提交的普通提现，当天 18:00 前到账。", &[TIME_ZH], false),
    ("单笔最高 6 万元。", &[TIME_ZH], false),
    ("单笔最高 5 万美元。", &[TIME_ZH], false),
    ("单笔最高 5 元。", &[TIME_ZH], false),
    ("每天最多 3 笔，最多五次。", &[TIME_ZH], false),
    ("进度可在 **我的 > 提现 > 记录** 里看到。", &[TIME_ZH], false),
    ("进度可在 **钱包 > 提现 > 明细** 里看到。", &[TIME_ZH], false),
    ("加急提现每笔收 2 USDT。", &[FEE_ZH], false),
    ("普通提现每笔收 2 USDC。", &[FEE_ZH], false),
    ("普通提现每笔收 2%。", &[FEE_ZH], false),
    ("错误码 4002 表示您拒绝了签名。", &[CHAIN_ZH], false),
    ("32000 表示节点余额不足。", &[CHAIN_ZH], false),
    ("请升级到 6.8.3 版本。", &[CHAIN_ZH], false),
    ("ERC20 网络充值 USDT 需要 20 个区块确认。", &[CHAIN_ZH], false),
    ("仅支持波场地址 TQ5nVYmSLoXpfjV8H3aSPCu4kBqVwsEUwl。", &[CHAIN_ZH], false),
    ("Later ones arrive within 2 days.", &[TIME_EN], false),
    ("Later ones arrive within 2 hours.", &[TIME_EN], false),
    ("Later ones arrive after 2 business days.", &[TIME_EN], false),
    ("The limit is 1,000 CNY per day.", &[TIME_EN], false),
    ("The limit is 10,000 USD per day.", &[TIME_EN], false),
    ("A standard card costs $49.", &[FEE_EN], false),
    ("The monthly fee is 0.5 of the balance.", &[FEE_EN], false),
    ("The monthly fee is 5% of the balance.", &[FEE_EN], false),
    ("Write to support@tern.example.", &[CONTACT_EN], false),
    ("Call +000 400 120 7799 from 08:00 to 22:00 UTC+8.", &[CONTACT_EN], false),
    ("Call from 08:00 to 22:00 UTC+9.", &[CONTACT_EN], false),
    ("The promotion ends on November 21, 2026.", &[CONTACT_EN], false),
    ("The promotion ends on November 20, 2027.", &[CONTACT_EN], false),
    ("The official site is https://tern.example/login.", &[CONTACT_EN], false),
    ("The official site is https://tern-help.example/help.", &[CONTACT_EN], false),
    ("Error W-09 means that the contract rejected the call.", &[CONTACT_EN], false),
    ("The contract 0x52908400098527886E0F7030069857D2E4169EE8 rejected the call.", &[CONTACT_EN], false),
    ("If you have not received the code after 60 seconds, tap **Send again**.", &[SAFE_EN], false),
    // Not held up: turned round.
    ("提现提交后可以取消。", &[FEE_ZH], false),
    ("手续费会退还。", &[FEE_ZH], false),
    ("余额少于 10 USDT 时可以提现。", &[FEE_ZH], false),
    ("我们会索要助记词、私钥或验证码。", &[SAFE_ZH], false),
    ("更换手机后，不能用助记词恢复钱包。", &[SAFE_ZH], false),
    ("实名认证必须提供银行卡。", &[SAFE_ZH], false),
    ("实名认证需要提供银行卡。", &[SAFE_ZH], false),
    ("实名认证不能提供银行卡。", &[SAFE_ZH], false),
    ("Fees are refunded.", &[FEE_EN], false),
    ("You can cancel a withdrawal after it is submitted.", &[FEE_EN], false),
    ("A standard card never costs $5.", &[FEE_EN], false),
    ("We ask for your seed phrase, private key or one-time code.", &[SAFE_EN], false),
    ("Anybody can recover a lost seed phrase.", &[SAFE_EN], false),
    ("You do not need to enable 2FA before your first withdrawal.", &[SAFE_EN], false),
    ("You must have a passport to open a Basic account.", &[SAFE_EN], false),
    ("You can't follow the progress in **Wallet > Withdraw > History**.", &[TIME_EN], false),
    // Not held up: invented, or of another matter.
    ("提现免费，立即到账。", &[TIME_ZH, FEE_ZH], false),
    ("您的资金由保险公司全额承保。", &[TIME_ZH, FEE_ZH], false),
    ("A standard card costs $5, and your deposits are insured by the government.", &[FEE_EN], false),
    ("Withdrawals arrive immediately.", &[TIME_EN], false),
    ("Yes.", &[FEE_EN], false),
    ("可以。", &[FEE_ZH], false),
    ("", &[FEE_ZH], false),
    ("Fees are not refunded.", &[], false),
    // Half in one passage, half in another: no passage holds it.
    ("The limit is 1,000 USD per day, and a metal card costs $49.", &[TIME_EN, FEE_EN], false),
];

#[test]
fn a_sentence_is_held_up_by_one_passage_or_not_at_all() {
    let wrong: Vec<String> = CASES
        .iter()
        .filter_map(|(sentence, evidence, expected)| {
            let held = held_up(sentence, evidence);
            (held.supported != *expected).then(|| format!("{sentence} should be {expected}: {held:?}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{} of {} wrong:\n{}", wrong.len(), CASES.len(), wrong.join("\n"));
}

#[test]
fn names_what_is_missing_as_the_sentence_writes_it() {
    assert_eq!(held_up("单笔最高 6 万元。", &[TIME_ZH]).missing, ["6 万元"]);
    assert_eq!(held_up("Write to support@tern.example.", &[CONTACT_EN]).missing, ["support@tern.example"]);
    assert_eq!(held_up("You can cancel a withdrawal after it is submitted.", &[FEE_EN]).missing, ["can", "cannot"]);
}

#[test]
fn splits_at_full_stops_and_nowhere_else() {
    for (text, expected) in [
        ("手续费为 1.5%。请稍候！好吗？", &["手续费为 1.5%。", "请稍候！", "好吗？"] as &[&str]),
        ("It costs 1.5 USD. See https://tern.example/a?b=1. Done!", &["It costs 1.5 USD.", "See https://tern.example/a?b=1.", "Done!"]),
        ("1. Open **Me**.\n2. Tap **Help**.", &["1. Open **Me**.", "2. Tap **Help**."]),
        ("他说：“好。”然后走了。", &["他说：“好。”", "然后走了。"]),
        ("Use it, e.g. for tests. Call no. 5 now.", &["Use it, e.g. for tests.", "Call no. 5 now."]),
        ("**注意。** 下一步。", &["**注意。**", "下一步。"]),
        ("好。**下一步** 继续", &["好。", "**下一步** 继续"]),
        ("Version 6.8.2 is out", &["Version 6.8.2 is out"]),
        ("What?! Really...", &["What?!", "Really..."]),
        ("  \n\n ", &[]),
    ] {
        assert_eq!(sentences(text), expected, "{text}");
    }
}

/// Sentences with one digit each kind of claim can hold, and nothing twice.
fn passage() -> impl Strategy<Value = String> {
    let number = 100u32..9999;
    (number.clone(), number.clone(), number.clone(), 1u32..28, number, any::<bool>()).prop_map(|(a, b, c, day, d, zh)| {
        if zh {
            format!("普通提现每笔收 {a} 元，加急收 {b} USDT。活动截止 2026年11月{day}日，详见 https://tern.example/{c}。错误码 W-{d} 表示限额 {c}.5%。")
        } else {
            format!("A standard card costs {a} USD and express costs {b} EUR. It ends on 2026-11-{day:02}, see https://tern.example/{c}. Error W-{d} means a fee of {c}.5% at **Me > Fees {d}**.")
        }
    })
}

proptest! {
    #[test]
    fn any_text_is_read(sentence in any::<String>(), passage in any::<String>()) {
        let held = held_up(&sentence, &[&passage]);
        prop_assert!((0.0..=1.0).contains(&held.overlap));
    }

    #[test]
    fn any_mix_of_markers_is_read(text in r"([0-9]{1,4}[,.:/-]?|[万亿千百半一两点月日天元%$¥*>]|不|无法|not |cannot |USDT|0x|\*\*|v| |。|\.|@|days|pm){0,24}") {
        held_up(&text, &[&text, "1,000 USDT。不能 5% **A > B**"]);
        sentences(&text);
    }

    #[test]
    fn a_sentence_of_the_evidence_is_held_up(passage in any::<String>(), made in passage()) {
        for passage in [passage, made] {
            for sentence in sentences(&passage).into_iter().filter(|sentence| sentence.chars().any(char::is_alphanumeric)) {
                let held = held_up(sentence, &["Something else.", &passage]);
                prop_assert!(held.supported, "{sentence:?}: {held:?}");
            }
        }
    }

    #[test]
    fn a_changed_digit_is_never_held_up(passage in passage(), which in any::<prop::sample::Index>(), digit in 1u32..10) {
        for sentence in sentences(&passage) {
            let digits: Vec<usize> = sentence.char_indices().filter(|(_, c)| c.is_ascii_digit()).map(|(at, _)| at).collect();
            if digits.is_empty() {
                continue;
            }
            let at = digits[which.index(digits.len())];
            let new = (sentence[at..=at].parse::<u32>().unwrap() + digit) % 10;
            let changed = format!("{}{new}{}", &sentence[..at], &sentence[at + 1..]);
            // Unless the digit was changed into itself, or into another number of the passage.
            prop_assume!(changed != sentence && !numbers_of(&changed).is_subset(&numbers_of(&passage)));
            let held = held_up(&changed, &[&passage]);
            prop_assert!(!held.supported, "{changed:?} from {sentence:?}: {held:?}");
        }
    }

    #[test]
    fn more_text_never_changes_a_finished_sentence(text in r"([a-zA-Z]{1,4}|[0-9]|提现|。|！|？|\.|!|\?|\n| |\*\*|\*|”|\)|e\.g\.|no\.){0,30}", cut in any::<prop::sample::Index>()) {
        let points: Vec<char> = text.chars().collect();
        let prefix: String = points[..cut.index(points.len() + 1)].iter().collect();
        let (early, late) = (sentences(&prefix), sentences(&text));
        let finished = early.len().saturating_sub(1);
        prop_assert_eq!(&early[..finished], &late[..finished.min(late.len())]);
    }
}

fn numbers_of(text: &str) -> std::collections::BTreeSet<String> {
    text.split(|c: char| !c.is_ascii_digit()).filter(|number| !number.is_empty()).map(str::to_owned).collect()
}
