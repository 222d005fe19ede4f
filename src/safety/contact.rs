//! HOW DO WE REACH THE CUSTOMER, WITHOUT ANYONE ELSE KNOWING? Phone numbers and e-mail addresses, sealed.
//!
//! They are masked in every text. What a customer gave is kept once, for the ticket's agent, encrypted with
//! `store.contact_key`; without a key it is not kept. [`Contacts`] cannot be printed, logged or serialised: whoever shows
//! it has to say [`Contacts::reveal`].

use ring::{
    aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    rand::{SecureRandom, SystemRandom},
};

use super::encoded;
use crate::error::{Error, Result};

/// Contacts of one ticket that are kept; a customer who gives more is no longer telling us where to reach them.
const LIMIT_CONTACTS: usize = 8;

/// Length of a key.
const KEY_BYTES: usize = 32;

/// A way to reach somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ContactKind {
    /// A telephone number.
    Phone,
    /// An e-mail address.
    Email,
}

impl ContactKind {
    /// The lowercase word, as sealed and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            ContactKind::Phone => "phone",
            ContactKind::Email => "email",
        }
    }
}

/// What a customer gave to be reached by: each once, oldest first. No `Debug`, no `Serialize`, on purpose.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Contacts(Vec<(ContactKind, String)>);

impl Contacts {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Each with its plain value: for the agent's eyes only.
    pub fn reveal(&self) -> impl Iterator<Item = (ContactKind, &str)> {
        self.0.iter().map(|(kind, value)| (*kind, value.as_str()))
    }

    /// Adds what is new. Of more than eight the oldest go.
    pub fn add(&mut self, more: &Contacts) {
        for (kind, value) in &more.0 {
            self.push(*kind, value);
        }
    }

    pub(super) fn push(&mut self, kind: ContactKind, value: &str) {
        let value = value.trim();
        if !self.0.iter().any(|(_, known)| known == value) {
            self.0.push((kind, value.to_owned()));
        }
        if self.0.len() > LIMIT_CONTACTS {
            self.0.remove(0);
        }
    }

    /// One line for each. A contact holds no line break: the patterns that find them allow none.
    fn written(&self) -> String {
        self.0.iter().map(|(kind, value)| format!("{} {}\n", kind.as_str(), value.replace('\n', " "))).collect()
    }

    fn read(text: &str) -> Self {
        let line = |line: &str| {
            let (kind, value) = line.split_once(' ')?;
            let kind = [ContactKind::Phone, ContactKind::Email].into_iter().find(|known| known.as_str() == kind)?;
            Some((kind, value.to_owned()))
        };
        Contacts(text.lines().filter_map(line).collect())
    }
}

/// What opening a sealed field gave.
pub enum Opened {
    /// Nothing was kept.
    Nothing,
    /// This was kept.
    Contacts(Contacts),
    /// Something was kept, but with another key, or it was tampered with.
    Unreadable,
}

/// The key that contact data is sealed with. Never printed.
pub struct ContactKey(LessSafeKey);

impl std::fmt::Debug for ContactKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ContactKey(set)")
    }
}

impl ContactKey {
    /// Reads 32 bytes in hexadecimal (64 digits) or base64 (43 characters, or 44 with the padding; either alphabet).
    ///
    /// # Errors
    /// What is wrong with it, without a character of it.
    pub fn parse(text: &str) -> std::result::Result<Self, String> {
        let text = text.trim();
        let bytes = match text.len() == 2 * KEY_BYTES {
            true => hex::decode(text).ok(),
            false => encoded::decode(text.trim_end_matches('=')),
        };
        let Some(bytes) = bytes else {
            return Err(format!("found {} characters that are neither base64 nor hexadecimal", text.chars().count()));
        };
        if bytes.len() != KEY_BYTES {
            return Err(format!("found {} bytes", bytes.len()));
        }
        if bytes.iter().all(|byte| *byte == bytes[0]) {
            return Err("found one byte over and over".to_owned());
        }
        let key = UnboundKey::new(&CHACHA20_POLY1305, &bytes).map_err(|_| "found bytes that make no key".to_owned())?;
        Ok(ContactKey(LessSafeKey::new(key)))
    }

    /// Encrypts `contacts` so that they open only at `place`, for instance a ticket's number. The nonce is random and
    /// stands in front.
    ///
    /// # Errors
    /// Where the system gives no random bytes.
    pub fn seal(&self, contacts: &Contacts, place: &str) -> Result<Vec<u8>> {
        let failed = |_| Error::Outside { act: "sealing contact data".to_owned(), cause: "no random bytes".into() };
        let mut nonce = [0u8; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).map_err(failed)?;
        let mut sealed = contacts.written().into_bytes();
        let aad = Aad::from(place.as_bytes());
        self.0.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut sealed).map_err(failed)?;
        Ok([nonce.as_slice(), &sealed].concat())
    }

    /// Opens what [`ContactKey::seal`] made for the same place.
    pub fn open(&self, sealed: Option<&[u8]>, place: &str) -> Opened {
        let Some(sealed) = sealed else { return Opened::Nothing };
        let plain = || {
            let (nonce, sealed) = sealed.split_at_checked(NONCE_LEN)?;
            let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
            let mut bytes = sealed.to_vec();
            let plain = self.0.open_in_place(nonce, Aad::from(place.as_bytes()), &mut bytes).ok()?;
            Some(Contacts::read(std::str::from_utf8(plain).ok()?))
        };
        plain().map_or(Opened::Unreadable, Opened::Contacts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    const BASE64: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

    fn contacts(values: &[&str]) -> Contacts {
        let mut contacts = Contacts::default();
        values.iter().for_each(|value| contacts.push(ContactKind::Phone, value));
        contacts
    }

    fn values(opened: &Opened) -> Option<Vec<&str>> {
        match opened {
            Opened::Contacts(contacts) => Some(contacts.reveal().map(|(_, value)| value).collect()),
            Opened::Nothing | Opened::Unreadable => None,
        }
    }

    #[test]
    fn a_key_is_32_bytes_in_either_writing() {
        let sealed = ContactKey::parse(HEX).unwrap().seal(&contacts(&["+1 555 0100"]), "T-000001").unwrap();
        for key in [BASE64, BASE64.trim_end_matches('='), &format!(" {HEX}\n"), &HEX.to_uppercase()] {
            let opened = ContactKey::parse(key).unwrap().open(Some(&sealed), "T-000001");
            assert_eq!(values(&opened).unwrap(), ["+1 555 0100"], "{key}");
        }
        let zeros = "0".repeat(64);
        for key in ["", "short", "AAECAwQFBgcICQoLDA0ODw==", "not base64 at all!", &zeros, &HEX[..62]] {
            let fault = ContactKey::parse(key).unwrap_err();
            assert!(key.is_empty() || !fault.contains(key), "{fault}");
        }
    }

    #[test]
    fn sealed_contacts_open_with_their_key_at_their_place_and_nowhere_else() {
        let key = ContactKey::parse(HEX).unwrap();
        let given = contacts(&["13812345678", "ann@example.com"]);
        let sealed = key.seal(&given, "T-000001").unwrap();
        assert_ne!(sealed, key.seal(&given, "T-000001").unwrap(), "the nonce is random");
        assert!(!sealed.windows(6).any(|window| window == b"138123"));
        assert_eq!(values(&key.open(Some(&sealed), "T-000001")).unwrap(), ["13812345678", "ann@example.com"]);
        assert!(matches!(key.open(None, "T-000001"), Opened::Nothing));
        let other = ContactKey::parse(&HEX.replace("00", "ff")).unwrap();
        let mut bent = sealed.clone();
        bent[20] ^= 1;
        for opened in [
            key.open(Some(&sealed), "T-000002"),
            other.open(Some(&sealed), "T-000001"),
            key.open(Some(&bent), "T-000001"),
            key.open(Some(&sealed[..5]), "T-000001"),
        ] {
            assert!(matches!(opened, Opened::Unreadable));
        }
        assert_eq!(format!("{key:?}"), "ContactKey(set)");
    }

    #[test]
    fn each_contact_is_kept_once_and_the_newest_stay() {
        let mut known = contacts(&["1", "2"]);
        known.add(&contacts(&["2", " 3 "]));
        assert_eq!(known.reveal().map(|(_, value)| value).collect::<Vec<_>>(), ["1", "2", "3"]);
        known.add(&contacts(&["4", "5", "6", "7", "8", "9"]));
        assert_eq!((known.len(), known.reveal().next().unwrap().1), (LIMIT_CONTACTS, "2"));
    }
}
