//! Vectors of texts that were embedded before, by content: what makes a second publication quick.
//!
//! One file per fingerprint, appended after each batch: a record is 16 bytes of the text's hash and the vector as
//! little-endian f32. A torn last record (a killed process) is cut off; the cache may be deleted at any time.

use std::{
    collections::HashMap,
    fs::{self, OpenOptions},
    io::{Read, Write},
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

use crate::{
    error::{Error, Result},
    model::Side,
};

/// Names a text as one side of a search.
pub type Key = [u8; 16];

/// The cache in a folder.
#[derive(Debug, Clone)]
pub struct Vectors {
    folder: PathBuf,
}

impl Vectors {
    /// A cache in `folder`, which is made when the first vector is kept.
    pub fn at(folder: impl Into<PathBuf>) -> Self {
        Vectors { folder: folder.into() }
    }

    /// The key of a text.
    pub fn key(side: Side, text: &str) -> Key {
        let mut hash = Sha256::new();
        hash.update([match side {
            Side::Query => b'q',
            Side::Passage => b'p',
        }]);
        hash.update(text);
        let mut key = Key::default();
        key.copy_from_slice(&hash.finalize()[..16]);
        key
    }

    /// Every vector of `dims` numbers made with these weights.
    ///
    /// # Errors
    /// Where the file is there and cannot be read.
    pub fn load(&self, fingerprint: &str, dims: usize) -> Result<HashMap<Key, Vec<f32>>> {
        let path = self.path(fingerprint);
        let mut file = match OpenOptions::new().read(true).write(true).open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(HashMap::new()),
            Err(error) => return Err(Error::file("opening", path)(error)),
        };
        // `ingest` appends while `serve` reads: half a record must not look torn.
        file.lock().map_err(Error::file("locking", &path))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(Error::file("reading", &path))?;
        let record = 16 + 4 * dims;
        let whole = bytes.len() / record * record;
        if whole < bytes.len() {
            file.set_len(whole as u64).map_err(Error::file("cutting", &path))?;
        }
        drop(file);
        let vector = |bytes: &[u8]| {
            bytes.chunks_exact(4).map(|four| f32::from_le_bytes([four[0], four[1], four[2], four[3]])).collect()
        };
        Ok(bytes[..whole]
            .chunks_exact(record)
            .map(|record| {
                let mut key = Key::default();
                key.copy_from_slice(&record[..16]);
                (key, vector(&record[16..]))
            })
            .collect())
    }

    /// Keeps more vectors.
    ///
    /// # Errors
    /// Where the folder or file cannot be written.
    pub fn append<'v>(&self, fingerprint: &str, vectors: impl Iterator<Item = (Key, &'v Vec<f32>)>) -> Result<()> {
        let path = self.path(fingerprint);
        fs::create_dir_all(&self.folder).map_err(Error::file("making the folder", &self.folder))?;
        let mut bytes = Vec::new();
        for (key, vector) in vectors {
            bytes.extend_from_slice(&key);
            bytes.extend(vector.iter().flat_map(|x| x.to_le_bytes()));
        }
        let mut file =
            OpenOptions::new().create(true).append(true).open(&path).map_err(Error::file("opening", &path))?;
        file.lock().map_err(Error::file("locking", &path))?;
        file.write_all(&bytes).map_err(Error::file("writing", &path))
    }

    fn path(&self, fingerprint: &str) -> PathBuf {
        let safe: String =
            fingerprint.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(48).collect();
        Path::new(&self.folder).join(format!("{safe}.f32"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_come_back_and_a_torn_record_is_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Vectors::at(folder.path().join("vectors"));
        assert!(cache.load("f", 2).unwrap().is_empty());
        let (a, b) = (Vectors::key(Side::Query, "a"), Vectors::key(Side::Passage, "a"));
        assert_ne!(a, b);
        cache.append("f", [(a, &vec![1.0, 2.0])].into_iter()).unwrap();
        fs::OpenOptions::new().append(true).open(cache.path("f")).unwrap().write_all(&[7; 9]).unwrap();
        assert_eq!(cache.load("f", 2).unwrap(), HashMap::from([(a, vec![1.0, 2.0])]));
        cache.append("f", [(b, &vec![3.0, 4.0])].into_iter()).unwrap();
        assert_eq!(cache.load("f", 2).unwrap().len(), 2);
        assert!(cache.load("g", 2).unwrap().is_empty());
    }
}
