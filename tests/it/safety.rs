//! What a mask looks like, and that it is stable. What must be masked however it is written: see [`crate::hostile`].

#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use bip39::{Language, Mnemonic};
use deskhand::safety::{mask, mask_document};
use proptest::prelude::*;
use rand::{RngExt, SeedableRng, rngs::StdRng};

use crate::hostile;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn masking_twice_changes_nothing(number in any::<u64>(), text in "\\PC{0,120}") {
        let masked = mask(&format!("{text} {}", hostile::message(number).1.text));
        prop_assert_eq!(mask(masked.as_str()), masked);
    }

    #[test]
    fn any_text_is_survived(text in any::<String>()) {
        mask(&text);
        mask_document(&text);
    }
}

#[test]
fn masks_are_typed_and_numbered() {
    for (text, expect) in [
        (
            "我的助记词是 witch collapse practice feed shame open despair creek road again ice least，帮我看看",
            "我的助记词是 [seed phrase 1]，帮我看看",
        ),
        (
            "heres my private key 0xb71c71a67e1177ad4e901695e1b4b9ee17ae16c6668d313eac2f96dbcda3f291 check",
            "heres my private key [private key 1] check",
        ),
        (
            "卡号 4111 1111 1111 1111，验证码 482913，CVV 123",
            "卡号 [card number 1]，验证码 [one-time code 1]，CVV [CVV 1]",
        ),
        ("call 13812345678 or 13912345678", "call [phone 1] or [phone 2]"),
        ("[phone 1] 13812345678", "[phone 1] [phone 2]"),
        ("b71c71a67e1177ad4e901695e1b4b9ee17ae16c6668d313eac2f96dbcda3f291", "[hash or key 1: b71c71…f291]"),
        (
            "交易哈希 0xb71c71a67e1177ad4e901695e1b4b9ee17ae16c6668d313eac2f96dbcda3f291 没到账",
            "交易哈希 0xb71c71a67e1177ad4e901695e1b4b9ee17ae16c6668d313eac2f96dbcda3f291 没到账",
        ),
        (
            "转到 0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed，订单号 20240312000123",
            "转到 0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed，订单号 20240312000123",
        ),
        ("legal winner thank sausage", "[seed phrase 1]"),
        ("can you help me with this please", "can you help me with this please"),
    ] {
        assert_eq!(mask(text).as_str(), expect);
    }
    let masked = mask("call 13812345678 or 13912345678, cvv 123");
    assert_eq!(masked.redactions(), [("CVV", 1), ("phone", 2)]);
    assert_eq!(
        mask_document("客服 service@example.com 010-62345678").as_str(),
        "客服 service@example.com 010-62345678"
    );
}

/// `script` and `alert` are words of the list, and markup says them over and over.
#[test]
fn markup_is_no_phrase() {
    for text in [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)> <script>alert(1)</script>",
        "</script><script>alert('alert')</script>",
    ] {
        assert!(mask(text).redactions().is_empty(), "{}", mask(text));
    }
}

#[test]
fn parts_of_a_phrase_alone_in_a_message() {
    let mut random = StdRng::seed_from_u64(11);
    let (mut parts, mut kept) = (0, 0);
    for _ in 0..2_000 {
        let entropy: [u8; 16] = random.random();
        let phrase = Mnemonic::from_entropy_in(Language::English, &entropy).unwrap();
        let words: Vec<&str> = phrase.words().collect();
        for part in words.chunks(6) {
            parts += 1;
            kept += usize::from(mask(&part.join(" ")).redactions().is_empty());
        }
    }
    println!("{kept} of {parts} parts of six words kept");
    assert!(kept * 100 <= parts, "{kept} of {parts} parts of six words were taken for sentences");
}

#[test]
fn secrets_of_every_other_kind() {
    let jwt = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U";
    let keystore = r#"{"version":3,"crypto":{"cipher":"aes-128-ctr","ciphertext":"5318b4d5bcd28de64ee5559e671353e16f075ecae9f99c7a79a38af5f869aa46","cipherparams":{"iv":"6087dab2f9fdbbfaddc31a909735c1e6"},"kdf":"scrypt","mac":"517ead924a9d0dc3124507e3393d175ce3ff7c1e96529c6c555ce9e51205e9b2"}}"#;
    let bytes: String = (1..=64).map(|byte| byte.to_string()).collect::<Vec<_>>().join(", ");
    for (text, kind, secret) in [
        (format!("my token {jwt}"), "API key", jwt),
        (format!("这是 keystore {keystore} 怎么导入"), "keystore", "5318b4d5bcd28de6"),
        (format!("[{bytes}]"), "private key", "12, 13, 14"),
        ("api key: 9f8sd7f98sd7f98s7df98s7d".into(), "API key", "9f8sd7f9"),
        ("sk-proj-abcdefghijklmnop123456".into(), "API key", "abcdefgh"),
        ("密码是Abc#2024xyz 登不上".into(), "password", "Abc#2024"),
        ("身份证11010519491231002X".into(), "ID number", "19491231"),
        ("我的验证码 ４８２９１３".into(), "one-time code", "４８２９１３"),
        ("信用卡 4111-1111-1111-1111 cvv是 321".into(), "card number", "4111-1111"),
        (
            "seed: wild father tree among universe such mobile favorite target dynamic credit identify".into(),
            "seed phrase",
            "wild father tree",
        ),
    ] {
        let masked = mask(&text);
        assert!(masked.redactions().iter().any(|(found, _)| *found == kind), "{text}: {masked}");
        assert!(!masked.as_str().contains(secret), "{text}: {masked}");
    }
}
