//! Private keys, key files and API keys.

use super::{
    carriers::{self, carry, inside_text},
    dice::{DIGITS, Dice, HEX, LETTERS_AND_DIGITS},
    disguise,
    encodings::{base58, base58_check, solana_secret},
    leak::Secret,
    messages::{Message, Mutation},
};

pub const MUTATIONS: &[Mutation] = &[
    ("WIF, plain", |dice| own_shape(dice, wif, plain)),
    ("WIF, zero-width characters", |dice| own_shape(dice, wif, disguise::zero_width)),
    ("WIF, full-width", |dice| own_shape(dice, wif, disguise::full_width)),
    ("WIF, homoglyphs", |dice| own_shape(dice, wif, disguise::homoglyphs)),
    ("WIF, in groups", |dice| own_shape(dice, wif, disguise::grouped)),
    ("WIF, over several lines", |dice| own_shape(dice, wif, disguise::wrapped)),
    ("WIF, quoted", |dice| own_shape(dice, wif, disguise::quoted)),
    ("WIF, inside long text", |dice| long(own_shape(dice, wif, plain), dice)),
    ("hex key, plain", |dice| in_context(dice, hex_key, plain)),
    ("hex key, upper case", |dice| in_context(dice, hex_key, disguise::upper)),
    ("hex key, zero-width characters", |dice| in_context(dice, hex_key, disguise::zero_width)),
    ("hex key, full-width", |dice| in_context(dice, hex_key, disguise::full_width)),
    ("hex key, homoglyphs", |dice| in_context(dice, hex_key, disguise::homoglyphs)),
    ("hex key, in groups", |dice| in_context(dice, hex_key, disguise::grouped)),
    ("hex key, over several lines", |dice| in_context(dice, hex_key, disguise::wrapped)),
    ("hex key, quoted", |dice| in_context(dice, hex_key, disguise::quoted)),
    ("hex key, inside long text", |dice| long(in_context(dice, hex_key, plain), dice)),
    ("32 bytes of hex, no context", |dice| own_shape(dice, hex_key, plain)),
    ("hex key, transaction words near", hex_key_among_transactions),
    ("Solana key, plain", |dice| own_shape(dice, solana, plain)),
    ("Solana key, zero-width characters", |dice| own_shape(dice, solana, disguise::zero_width)),
    ("Solana key, in groups", |dice| own_shape(dice, solana, disguise::grouped)),
    ("Solana key, over several lines", |dice| own_shape(dice, solana, disguise::wrapped)),
    ("Solana key, as a list of bytes", solana_bytes),
    ("Solana key, inside long text", |dice| long(own_shape(dice, solana, plain), dice)),
    ("extended key, plain", |dice| own_shape(dice, extended, plain)),
    ("extended key, zero-width characters", |dice| own_shape(dice, extended, disguise::zero_width)),
    ("extended key, over several lines", |dice| own_shape(dice, extended, disguise::wrapped)),
    ("extended key, quoted", |dice| own_shape(dice, extended, disguise::quoted)),
    ("keystore file", keystore),
    ("PEM key", pem),
    ("JWT", jwt),
    ("API key, vendor's shape", |dice| {
        let carriers = [carriers::API_KEY, carriers::API_KEY_SHAPED].concat();
        carried(&carriers, dice, vendor_key, plain)
    }),
    ("API key, in context only", |dice| carried(carriers::API_KEY, dice, random_key, plain)),
];

type Make = fn(&mut Dice) -> String;
type Disguise = fn(&str, &mut Dice) -> String;

fn plain(text: &str, _: &mut Dice) -> String {
    text.to_owned()
}

fn own_shape(dice: &mut Dice, make: Make, disguise: Disguise) -> Message {
    carried(carriers::SHAPED, dice, make, disguise)
}

fn in_context(dice: &mut Dice, make: Make, disguise: Disguise) -> Message {
    carried(carriers::KEY, dice, make, disguise)
}

fn carried(carriers: &[&str], dice: &mut Dice, make: Make, disguise: Disguise) -> Message {
    let key = make(dice);
    let written = disguise(&key, dice);
    Message::hiding(carry(carriers, &written, dice), vec![Secret::Key(key)])
}

fn long(mut message: Message, dice: &mut Dice) -> Message {
    message.text = inside_text(&message.text, dice);
    message
}

/// Mainnet or testnet, compressed or not.
fn wif(dice: &mut Dice) -> String {
    let mut payload = vec![dice.pick(&[0x80, 0x80, 0xef])];
    payload.extend(dice.bytes::<32>());
    if dice.chance(0.6) {
        payload.push(1);
    }
    base58_check(&payload)
}

fn hex_key(dice: &mut Dice) -> String {
    let prefix = dice.pick(&["", "0x"]);
    format!("{prefix}{}", dice.token(HEX, 64))
}

/// A key that its owner calls a key, in a message that also speaks of transactions.
fn hex_key_among_transactions(dice: &mut Dice) -> Message {
    let key = hex_key(dice);
    let text = carry(
        &[
            "my transaction failed, private key {}",
            "the tx is stuck so here is my private key: {}",
            "交易失败了，我的私钥是{}，帮我重发",
            "私钥 {} 转账交易一直 pending",
            "hash 查不到，用私钥{}导入也不行",
        ],
        &key,
        dice,
    );
    Message::hiding(text, vec![Secret::Key(key)])
}

fn solana(dice: &mut Dice) -> String {
    base58(&solana_secret(dice.bytes()))
}

/// What `solana-keygen` writes to a file.
fn solana_bytes(dice: &mut Dice) -> Message {
    let bytes: Vec<String> = solana_secret(dice.bytes()).iter().map(u8::to_string).collect();
    let list = format!("[{}]", bytes.join(dice.pick(&[",", ", "])));
    Message::hiding(carry(carriers::SHAPED, &list, dice), vec![Secret::Key(bytes.concat())])
}

/// xprv, yprv, zprv, tprv: version, depth, parent, index, chain code, key.
/// Source: BIP-32 and SLIP-132.
fn extended(dice: &mut Dice) -> String {
    let version =
        dice.pick(&[[4, 0x88, 0xad, 0xe4], [4, 0x9d, 0x78, 0x78], [4, 0xb2, 0x43, 0x0c], [4, 0x35, 0x83, 0x94]]);
    let mut payload = version.to_vec();
    payload.extend(dice.bytes::<41>());
    payload.push(0);
    payload.extend(dice.bytes::<32>());
    base58_check(&payload)
}

/// Version 3 of Ethereum's key file, in a line, indented, or cut off at its end.
fn keystore(dice: &mut Dice) -> Message {
    let [cipher, mac, salt] = std::array::from_fn(|_| dice.token(HEX, 64));
    let (address, iv) = (dice.token(HEX, 40), dice.token(HEX, 32));
    let file = serde_json::json!({
        "version": 3, "id": uuid::Uuid::from_bytes(dice.bytes()).to_string(), "address": address,
        "crypto": {
            "ciphertext": cipher, "cipherparams": {"iv": iv}, "cipher": "aes-128-ctr", "kdf": "scrypt",
            "kdfparams": {"dklen": 32, "salt": salt, "n": 262144, "r": 8, "p": 1}, "mac": mac,
        },
    });
    let mut written = if dice.chance(0.5) { file.to_string() } else { format!("{file:#}") };
    if dice.chance(0.2) {
        written.truncate(written.len() - dice.between(1, 6));
    }
    let text =
        carry(&["{}", "my keystore: {}", "这是我的 keystore {} 忘了密码", "导入这个文件失败：\n{}"], &written, dice);
    Message::hiding(text, [cipher, mac, salt].map(Secret::Key).to_vec())
}

fn pem(dice: &mut Dice) -> Message {
    let kind = dice.pick(&[
        "PRIVATE KEY",
        "EC PRIVATE KEY",
        "RSA PRIVATE KEY",
        "OPENSSH PRIVATE KEY",
        "ENCRYPTED PRIVATE KEY",
    ]);
    let lines: Vec<String> = (0..dice.between(1, 8)).map(|_| dice.token(LETTERS_AND_DIGITS, 64)).collect();
    let block = format!("-----BEGIN {kind}-----\n{}\n-----END {kind}-----", lines.join("\n"));
    Message::hiding(carry(carriers::SHAPED, &block, dice), vec![Secret::Key(lines.concat())])
}

fn jwt(dice: &mut Dice) -> Message {
    let url_safe = |json: serde_json::Value, dice: &mut Dice| {
        disguise::base64(&json.to_string(), dice).replace('+', "-").replace('/', "_").replace('=', "")
    };
    let header = url_safe(serde_json::json!({"alg": dice.pick(&["HS256", "RS256", "ES256"]), "typ": "JWT"}), dice);
    let subject = dice.token(LETTERS_AND_DIGITS, 16);
    let payload =
        url_safe(serde_json::json!({"sub": subject, "exp": dice.between(1_700_000_000, 1_900_000_000)}), dice);
    let signature = dice.token(LETTERS_AND_DIGITS, 43);
    let text = carry(carriers::API_KEY, &format!("{header}.{payload}.{signature}"), dice);
    Message::hiding(text, vec![Secret::Key(payload), Secret::Key(signature)])
}

fn random_key(dice: &mut Dice) -> String {
    let length = dice.pick(&[32, 40, 64]);
    dice.token(LETTERS_AND_DIGITS, length)
}

/// A vendor's documented prefix and length; only the part after the prefix is secret, but all of it counts.
fn vendor_key(dice: &mut Dice) -> String {
    let (prefix, length) = dice.pick(&[
        ("sk-", 48),
        ("sk-proj-", 64),
        ("sk-ant-api03-", 93),
        ("sk_live_", 24),
        ("rk_live_", 24),
        ("whsec_", 32),
        ("ghp_", 36),
        ("gho_", 36),
        ("github_pat_", 82),
        ("glpat-", 20),
        ("npm_", 36),
        ("hf_", 34),
        ("AIza", 35),
        ("xoxb-", 48),
        ("dop_v1_", 64),
        ("pypi-", 80),
        ("SG.", 66),
    ]);
    if dice.chance(0.1) {
        return format!("AKIA{}", dice.token("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", 16));
    }
    if dice.chance(0.1) {
        return format!("{}:AA{}", dice.digits(&"#".repeat(10)), dice.token(LETTERS_AND_DIGITS, 33));
    }
    let alphabet = if prefix == "dop_v1_" { HEX } else { LETTERS_AND_DIGITS };
    let body = dice.token(alphabet, length);
    match prefix {
        "SG." => format!("SG.{}.{}", &body[..22], &body[22..65]),
        "xoxb-" => format!("xoxb-{}-{}", dice.string(DIGITS, 12), &body[..24]),
        prefix => format!("{prefix}{body}"),
    }
}
