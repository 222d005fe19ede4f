//! The sample knowledge of a fictional wallet app, compiled in: what an empty data folder starts with.

use jiff::civil::Date;

use super::read::{self, Read};

macro_rules! sample {
    ($($topic:literal),* $(,)?) => {
        &[$(
            (
                concat!($topic, ".zh.md"),
                include_str!(concat!("../../eval/suites/wallet/knowledge/", $topic, ".zh.md")),
            ),
            (
                concat!($topic, ".en.md"),
                include_str!(concat!("../../eval/suites/wallet/knowledge/", $topic, ".en.md")),
            ),
        )*]
    };
}

/// Every file: name and text.
const FILES: &[(&str, &str)] = sample![
    "airdrops-tax",
    "app-versions",
    "approvals",
    "card",
    "contact-hours",
    "crypto-basics",
    "fees",
    "kyc",
    "limits",
    "multi-currency",
    "network-congestion",
    "node-errors",
    "notices",
    "payment-failure",
    "pending-transactions",
    "points-promotions",
    "refunds",
    "registration",
    "resolutions",
    "security",
    "seed-phrase",
    "topup",
    "withdrawal",
    "wrong-transfer",
];

/// Reads the sample knowledge. `today` dates the revisions.
pub fn read(today: Date) -> Read {
    read::read_files(FILES, today)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_sample_is_compiled_in_and_sound() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("eval/suites/wallet/knowledge");
        let mut on_disk: Vec<String> =
            std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
        let mut compiled: Vec<&str> = FILES.iter().map(|(name, _)| *name).collect();
        on_disk.sort();
        compiled.sort_unstable();
        assert_eq!(on_disk, compiled);
        let sample = read(Date::constant(2026, 11, 22));
        assert!(sample.faults.is_empty(), "{:?}", sample.faults);
        assert!(sample.documents.len() >= 300, "{}", sample.documents.len());
    }
}
