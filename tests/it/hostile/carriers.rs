//! The ordinary words around a secret: what customers write in zh, en and both at once. None of them holds a digit, so
//! that a digit which survives is one of the secret's.

use super::dice::Dice;

/// Where the secret goes.
const SLOT: &str = "{}";

pub const PHRASE: &[&str] = &[
    "{}",
    "here is my seed phrase: {}",
    "my recovery phrase is {} and it says invalid",
    "{} is this the right order?",
    "why can't i import {}",
    "i wrote down {} when i made the wallet, what now",
    "please check {} thanks",
    "backup words {} but the balance is zero",
    "hi, the app asked me for this: {} then it froze",
    "我的助记词是{}，导入提示错误",
    "{} 这样对吗",
    "助记词：{}",
    "我抄的是 {} 请帮我看看",
    "为什么导入不了 {}",
    "钱包备份\n{}\n谢谢",
    "客服你好，{}，余额为零",
    "我的 seed phrase 是 {} 为什么 import 不了",
    "import 的时候输入 {} 提示 invalid",
];

pub const KEY: &[&str] = &[
    "my private key is {}",
    "private key: {}",
    "here's the privkey {} can you import it",
    "secret key = {}",
    "i exported {} as my private key, is that safe",
    "pk: {} what is wrong",
    "{\"privateKey\":\"{}\"}",
    "PRIVATE_KEY={}",
    "我的私钥是{}，帮我导入",
    "私钥：{}",
    "密钥 {} 导入失败",
    "这个 private key {} 为什么 import 不了",
    "我用私钥{}登录不了",
];

/// For a key whose own checksum or shape gives it away.
pub const SHAPED: &[&str] = &[
    "{}",
    "what is {}",
    "i found this in my notes: {} what do i do with it",
    "{} doesn't work",
    "my key is {}.",
    "这是什么 {}",
    "我找到了{}怎么用",
    "请看：{}。",
    "export 出来是 {} 对吗",
    "\"value\": \"{}\",",
];

pub const CODE_ZH: &[&str] = &[
    "验证码是{}",
    "我收到的验证码：{}，但是提示错误",
    "短信验证码{}为什么不对",
    "动态码 {} 过期了",
    "谷歌验证码是 {} 登录不上",
    "我的支付密码是{}，转账失败",
    "校验码：{}",
    "一次性密码{}",
    "交易密码 {} 输入了还是不行",
    "PIN码是{}",
    "我输入{}验证码，还是进不去",
];

pub const CODE_EN: &[&str] = &[
    "my otp is {}",
    "otp: {}",
    "the code i got is {} but it says invalid",
    "verification code {} does not work",
    "my verification code is {}",
    "2fa code: {}",
    "authenticator shows {} and it is rejected",
    "my pin is {}",
    "the sms code was {}",
    "one-time password {} expired",
    "i typed the one time code {} twice",
    "passcode is {}",
    "security code they texted me: {}",
];

pub const PASSWORD_ZH: &[&str] = &[
    "密码是{}",
    "我的密码是 {} 登录不了",
    "登录密码：{}",
    "密码 {} 提示错误",
    "我的口令是{}，为什么不对",
    "账号没问题，密码：{}，帮我看看",
    "密码为{}",
    "我用密码{}登录不上",
    "我的 password 是 {}",
];

pub const PASSWORD_EN: &[&str] = &[
    "my password is {}",
    "password: {}",
    "i use the password {} and cannot log in",
    "pwd={}",
    "my login password is {} why is it wrong",
    "pass: {}",
    "the password i set was {}",
    "passwd {} is rejected",
    "wallet password = {}",
    "my pw is {}",
];

pub const CVV: &[&str] = &[
    "cvv {}",
    "my cvv is {}",
    "CVV: {}",
    "cvc {} is not accepted",
    "the security code on the back is {}",
    "cvv2是{}",
    "安全码是{}",
    "卡背面的三位数是{}",
    "CVV码{}填了还是不行",
    "card verification value {}",
    "卡片验证码：{}",
];

pub const CARD: &[&str] = &[
    "{}",
    "my card number is {}",
    "card {} was charged twice",
    "i can't add {} to the app",
    "visa {} declined",
    "我的银行卡号是{}",
    "卡号：{}，提现失败",
    "提现到{}没到账",
    "绑定 {} 失败",
    "银行卡{}被扣款了",
    "my 银行卡 is {}",
];

pub const IDENTITY: &[&str] = &[
    "{}",
    "我的身份证号是{}",
    "身份证：{}，实名不通过",
    "实名认证 {} 提示已被使用",
    "证件号{}姓名张三",
    "my ID number is {}",
    "kyc failed for {}",
    "id card {} was rejected",
];

pub const PHONE: &[&str] = &[
    "my phone number is {}",
    "call me at {}",
    "please call {} asap",
    "i changed my number to {} and get no sms",
    "phone: {}",
    "我的手机号是{}",
    "手机号：{} 收不到验证码",
    "电话{}，请联系我",
    "联系我 {}",
    "我的号码{}换了",
    "whatsapp {}",
    "微信同号 {}",
];

pub const EMAIL: &[&str] = &[
    "{}",
    "my email is {}",
    "please write to {}.",
    "i signed up with {} and get no mail",
    "邮箱是{}收不到邮件",
    "我的邮箱：{}，请回复",
    "账号 {} 登录不了",
    "contact <{}> please",
    "用{}注册的",
];

/// For a key whose vendor's prefix gives it away.
pub const API_KEY_SHAPED: &[&str] = &["{}", "{} gives me unauthorized", "what is {}", "这个 {} 失效了"];

pub const API_KEY: &[&str] = &[
    "my api key is {}",
    "api key: {}",
    "curl -H \"Authorization: Bearer {}\"",
    "export API_KEY={}",
    "我的 API key 是 {}",
    "密钥：{}",
    "token {} 失效了",
];

pub const FILLER: &[&str] = &[
    "I moved to a new phone last week and everything was fine until this morning.",
    "The app says that the network is busy and asks me to try again later.",
    "I already wrote to you twice and nobody came back to me.",
    "When I open the wallet the balance is there, but the transfer never arrives.",
    "Could you tell me which fee I should choose, and whether it can be sped up?",
    "My brother uses the same app and has no problem at all with his account.",
    "It happened right after the update, before that it had worked for years.",
    "我上周换了新手机，今天早上之前一直都是正常的。",
    "应用提示网络繁忙，让我稍后再试，可是试了很多次都没有用。",
    "我已经给你们写过两次了，没有人回复我。",
    "打开钱包能看到余额，但是转账一直没有到账。",
    "请问应该选哪种手续费，可以加速吗？",
    "我朋友用的是同一个应用，他那边完全没有问题。",
    "就是更新以后才出现的，之前用了好几年都没事。",
    "我在 app 里点了 swap，然后一直 pending，能不能 cancel？",
    "手续费 gas 已经付了，status 还是 failed，please help。",
];

/// A carrier with the secret in it.
pub fn carry(carriers: &[&str], secret: &str, dice: &mut Dice) -> String {
    dice.pick(carriers).replacen(SLOT, secret, 1)
}

/// The message inside ordinary sentences, up to six before it and six after it.
pub fn inside_text(message: &str, dice: &mut Dice) -> String {
    let end = dice.pick(&[" ", "\n"]);
    let mut sentences: Vec<String> = Vec::new();
    for side in 0..2 {
        let count = dice.between(1 - side, 6);
        sentences.extend((0..count).map(|_| dice.pick(FILLER).to_owned()));
        if side == 0 {
            sentences.push(message.to_owned());
        }
    }
    sentences.join(end)
}
