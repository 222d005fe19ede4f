//! What did an earlier run finish? One record per line, written as soon as its question is answered, so that a run of hours
//! goes on where it was stopped.

use std::{
    collections::HashMap,
    fs::File,
    io::Write,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::record::Record;
use crate::error::{Error, Result};

/// The file's first line: what the records were made with.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Head {
    made_with: String,
}

/// Records of this run and of an earlier one like it.
#[derive(Debug)]
pub struct Resume {
    path: PathBuf,
    file: File,
    done: HashMap<String, Record>,
}

impl Resume {
    /// Opens or creates the file. `made_with` names everything that a record depends on besides its question: knowledge, models,
    /// judge, settings.
    ///
    /// # Errors
    /// When the file cannot be read or written, or holds the records of another kind of run.
    pub fn open(path: &Path, made_with: &str) -> Result<Resume> {
        let head = Head { made_with: made_with.to_owned() };
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(Error::file("reading", path)(error)),
        };
        // A last line without its end was cut while it was written.
        let whole = text.rfind('\n').map_or("", |end| &text[..=end]);
        let mut lines = whole.lines();
        // A file of another kind is never cut, not even one without a line.
        if let Some(first) = lines.next().or(Some(text.as_str()).filter(|text| !text.is_empty())) {
            let found: Option<Head> = serde_json::from_str(first).ok();
            if found.as_ref() != Some(&head) {
                let found = found.map_or("another file".to_owned(), |found| format!("a run with {}", found.made_with));
                return Err(Error::invalid(path.display().to_string(), found, format!("one with {made_with}")));
            }
        }
        let records = lines.filter_map(|line| serde_json::from_str::<Record>(line).ok());
        let done = records.map(|record| (record.label.id.clone(), record)).collect();
        let file = File::options().create(true).append(true).open(path).map_err(Error::file("writing", path))?;
        file.set_len(whole.len() as u64).map_err(Error::file("writing", path))?;
        let mut resume = Resume { path: path.to_owned(), file, done };
        if whole.is_empty() {
            write_line(&mut resume.file, &head, path)?;
        }
        Ok(resume)
    }

    /// The record of a question that was finished before.
    pub fn take(&mut self, id: &str) -> Option<Record> {
        self.done.remove(id)
    }

    /// How many questions were finished before and not taken yet.
    pub fn left(&self) -> usize {
        self.done.len()
    }

    /// Keeps a finished question's record.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn keep(&mut self, record: &Record) -> Result<()> {
        write_line(&mut self.file, record, &self.path)
    }
}

fn write_line(file: &mut File, line: &impl Serialize, path: &Path) -> Result<()> {
    let mut json = serde_json::to_string(line).map_err(Error::outside("writing a record"))?;
    json.push('\n');
    file.write_all(json.as_bytes()).map_err(Error::file("writing", path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::{metrics::tests::record, suite::Ending};

    #[test]
    fn what_was_finished_is_there_and_a_cut_line_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.jsonl");
        let records = ["a", "b"].map(|id| record(id, true, &["d"], Ending::Answer, 0.9));
        let mut first = Resume::open(&path, "k1").unwrap();
        assert_eq!(first.left(), 0);
        records.iter().for_each(|record| first.keep(record).unwrap());
        drop(first);
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() - 5]).unwrap();
        let mut again = Resume::open(&path, "k1").unwrap();
        assert_eq!(again.take("a").as_ref(), Some(&records[0]));
        assert_eq!((again.take("b"), again.left()), (None, 0));
        again.keep(&records[1]).unwrap();
        assert_eq!(Resume::open(&path, "k1").unwrap().left(), 2);
    }

    #[test]
    fn another_kind_of_run_is_refused_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.jsonl");
        Resume::open(&path, "k1").unwrap();
        let before = std::fs::read(&path).unwrap();
        let refused = Resume::open(&path, "k2").unwrap_err().to_string();
        assert!(refused.contains("a run with k1") && refused.contains("one with k2"), "{refused}");
        assert_eq!(std::fs::read(&path).unwrap(), before);
        for other in ["something else\n", "without an end"] {
            std::fs::write(&path, other).unwrap();
            assert!(Resume::open(&path, "k1").is_err() && std::fs::read(&path).unwrap() == other.as_bytes());
        }
    }
}
