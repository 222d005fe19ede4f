//! What support cannot work without: addresses, transactions, order numbers, amounts, times. They must stay as they are.

use super::{
    carriers::carry,
    dice::{Dice, HEX, LETTERS_AND_DIGITS},
    encodings::{base58, base58_check, eip55, segwit},
};

/// A message and what of it an agent must still be able to read.
pub struct Visible {
    pub text: String,
    pub shown: String,
}

/// A kind of visible thing and the maker of a message with one.
pub type Kind = (&'static str, fn(&mut Dice) -> Visible);

pub const KINDS: &[Kind] = &[
    ("EVM address, EIP-55", |dice| address(dice, |dice| eip55(dice.bytes()))),
    ("EVM address, lower case", |dice| address(dice, |dice| format!("0x{}", dice.token(HEX, 40)))),
    ("Bitcoin address, legacy", |dice| address(dice, bitcoin_legacy)),
    ("Bitcoin address, bech32", |dice| address(dice, bitcoin_segwit)),
    ("TRON address", |dice| address(dice, |dice| base58_check(&[&[0x41], &dice.bytes::<20>()[..]].concat()))),
    ("Solana address", |dice| address(dice, |dice| base58(&dice.bytes::<32>()))),
    ("address, key words near", address_among_key_words),
    ("transaction hash, EVM", |dice| transaction(dice, |dice| format!("0x{}", dice.token(HEX, 64)))),
    ("transaction hash, no prefix", |dice| transaction(dice, |dice| dice.token(HEX, 64))),
    ("transaction in an explorer link", explorer_link),
    ("Solana signature", |dice| transaction(dice, |dice| base58(&dice.bytes::<64>()))),
    ("order number", |dice| carried(ORDER, dice, order_number)),
    ("amount", |dice| carried(AMOUNT, dice, amount)),
    ("time", |dice| carried(TIME, dice, time)),
    ("error code, block, version", |dice| carried(TECHNICAL, dice, technical)),
    ("talk of passwords and codes", talk),
];

const ADDRESS: &[&str] = &[
    "{}",
    "i sent it to {} and nothing arrived",
    "is {} my address?",
    "contract {} is it a scam",
    "withdraw to {} failed",
    "my wallet address is {}",
    "转到{}没到账",
    "我的地址是{}，帮我查一下",
    "地址：{}",
    "收款地址 {} 对吗",
    "合约 {} 安全吗",
    "充值到{}三天了",
];

const TRANSACTION: &[&str] = &[
    "tx {}",
    "hash: {}",
    "transaction {} is pending",
    "txid {} not confirmed",
    "my transaction hash is {}",
    "tx hash {} stuck for hours",
    "交易哈希：{}",
    "交易 {} 一直打包中",
    "哈希 {} 查不到",
    "这笔交易{}什么时候到账",
    "交易hash是{}",
    "转账的 txid: {}",
];

const ORDER: &[&str] = &[
    "order {} is missing",
    "my order number is {}",
    "order id: {}",
    "ref {} please check",
    "订单号{}没到账",
    "订单：{}",
    "我的单号是 {}，请查询",
    "工单 {} 没人回复",
];

const AMOUNT: &[&str] = &[
    "i sent {} and it is gone",
    "balance shows {}",
    "fee was {}",
    "转了{}没到账",
    "余额 {} 不见了",
    "手续费{}太贵",
    "提现{}失败",
];

const TIME: &[&str] =
    &["it happened at {}", "sent on {}", "since {} nothing works", "{}转的，还没到", "时间是{}", "从{}开始一直失败"];

const TECHNICAL: &[&str] = &["it says {}", "what does {} mean", "提示{}", "{} 是什么意思", "app shows {} when i send"];

type Make = fn(&mut Dice) -> String;

fn carried(carriers: &[&str], dice: &mut Dice, make: Make) -> Visible {
    let shown = make(dice);
    Visible { text: carry(carriers, &shown, dice), shown }
}

fn address(dice: &mut Dice, make: Make) -> Visible {
    carried(ADDRESS, dice, make)
}

fn transaction(dice: &mut Dice, make: Make) -> Visible {
    carried(TRANSACTION, dice, make)
}

fn bitcoin_legacy(dice: &mut Dice) -> String {
    base58_check(&[&[dice.pick(&[0, 5])], &dice.bytes::<20>()[..]].concat())
}

fn bitcoin_segwit(dice: &mut Dice) -> String {
    match dice.below(3) {
        0 => segwit(0, &dice.bytes::<20>()),
        1 => segwit(0, &dice.bytes::<32>()),
        _ => segwit(1, &dice.bytes::<32>()),
    }
}

/// Words such as "private key" make nothing secret of an address.
fn address_among_key_words(dice: &mut Dice) -> Visible {
    let carriers = [
        "nobody has my private key but {} was drained",
        "my seed phrase is safe, my address is {}",
        "私钥没有泄露，地址{}被盗了",
        "我导入助记词以后地址变成{}",
        "i imported the private key and got another address {}",
        "我没告诉别人密码，{}里的钱没了",
    ];
    let make = dice.pick::<Make>(&[
        |dice| eip55(dice.bytes()),
        |dice| base58_check(&[&[0x41], &dice.bytes::<20>()[..]].concat()),
        bitcoin_segwit,
    ]);
    carried(&carriers, dice, make)
}

fn explorer_link(dice: &mut Dice) -> Visible {
    let hash = dice.token(HEX, 64);
    let link = match dice.below(7) {
        0 => format!("https://etherscan.io/tx/0x{hash}"),
        1 => format!("https://bscscan.com/tx/0x{hash}"),
        2 => format!("https://tronscan.org/#/transaction/{hash}"),
        3 => format!("https://mempool.space/tx/{hash}"),
        4 => format!("https://www.blockchain.com/btc/tx/{hash}"),
        5 => format!("https://polygonscan.com/tx/0x{hash}"),
        _ => format!("https://solscan.io/tx/{}", base58(&dice.bytes::<64>())),
    };
    let carriers = ["{}", "see {}", "still pending: {}", "这个 {} 一直没到", "链接：{}"];
    Visible { text: carry(&carriers, &link, dice), shown: link }
}

fn order_number(dice: &mut Dice) -> String {
    let day = format!("2026{:02}{:02}", dice.between(1, 12), dice.between(1, 28));
    match dice.below(7) {
        0 => format!("{day}{}", dice.digits("####")),
        1 => format!(
            "{day}{:02}{:02}{:02}{}",
            dice.between(0, 23),
            dice.between(0, 59),
            dice.between(0, 59),
            dice.digits("####")
        ),
        2 => format!("ORD-{}", dice.digits("######")),
        3 => format!("#{}", dice.digits("#####")),
        4 => format!("T-{:06}", dice.between(1, 999_999)),
        5 => format!("PAY{}", dice.token(LETTERS_AND_DIGITS, 10).to_uppercase()),
        _ => dice.digits("########"),
    }
}

fn amount(dice: &mut Dice) -> String {
    let ticker = dice.pick(&["USDT", "ETH", "BTC", "TRX", "SOL", "USDC", "bnb"]);
    match dice.below(9) {
        0 => dice.digits("#,###.## ") + ticker,
        1 => dice.digits("0.00###### ") + ticker,
        2 => dice.digits("##### ") + ticker,
        3 => dice.digits("¥##,###"),
        4 => dice.digits("$###.##"),
        5 => dice.digits("######元"),
        6 => dice.digits("##,###,###.##"),
        7 => dice.digits("1################## wei"),
        _ => dice.digits("#.################ ") + ticker,
    }
}

fn time(dice: &mut Dice) -> String {
    let (month, day) = (dice.between(1, 12), dice.between(1, 28));
    let (hour, minute, second) = (dice.between(0, 23), dice.between(0, 59), dice.between(0, 59));
    match dice.below(8) {
        0 => format!("2026-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}"),
        1 => format!("2026-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z"),
        2 => format!("{month}月{day}日{hour}点{minute}分"),
        3 => format!("{hour:02}:{minute:02}"),
        4 => format!("{day:02}/{month:02}/2026"),
        5 => dice.digits("17########"),
        6 => dice.digits("17###########"),
        _ => format!("2026年{month}月{day}日"),
    }
}

fn technical(dice: &mut Dice) -> String {
    match dice.below(8) {
        0 => dice.digits("error code ####"),
        1 => dice.digits("错误代码 #####"),
        2 => dice.digits("block ########"),
        3 => dice.digits("v#.##.#"),
        4 => dice.digits("nonce ###"),
        5 => dice.digits("gas limit ######"),
        6 => dice.digits("chain id ###"),
        _ => dice.digits("card ending ####"),
    }
}

/// The words that announce a secret, without one.
fn talk(dice: &mut Dice) -> Visible {
    let text = dice.pick(&[
        "my password is wrong, what can i do",
        "忘记密码怎么办",
        "密码输错3次被锁定了",
        "验证码收不到",
        "验证码60秒后过期",
        "the code expired after 5 minutes",
        "otp is not arriving",
        "how do i change my password?",
        "my pin is not accepted after 3 tries",
        "支付密码是几位数？6位还是8位",
        "cvv是什么，在哪里看",
        "is the private key the same as the seed phrase",
        "助记词是12个还是24个单词",
        "my seed phrase has 12 words, is that enough",
        "私钥是64位的吗",
        "the verification code has 6 digits but the app wants 8",
        "where is the cvv on a virtual card",
        "密码是必填的吗",
        "i got 2 codes at 10:30 and neither works",
        "my api key is not working since 2026-03-01",
    ]);
    Visible { text: text.to_owned(), shown: text.to_owned() }
}
