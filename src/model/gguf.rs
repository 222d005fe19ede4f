//! How is a GGUF opened? Mapped, its head read, every fault named with the file and the way out.

use std::{fs::File, io::Cursor, path::Path};

use candle_core::{
    Device,
    quantized::{
        QTensor,
        gguf_file::{Content, Value},
    },
};

use crate::error::{Error, Result};

/// An open GGUF. Reading a tensor copies it; the rest stays on disk.
pub(super) struct Gguf {
    bytes: memmap2::Mmap,
    pub(super) content: Content,
}

impl Gguf {
    /// Maps the file and reads its head.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(Error::file("reading", path))?;
        #[expect(unsafe_code, reason = "the one mmap call; the cache replaces files by rename, never writes in place")]
        let bytes = unsafe { memmap2::Mmap::map(&file) }.map_err(Error::file("mapping", path))?;
        let content = Content::read(&mut Cursor::new(&bytes[..])).map_err(|cause| damaged(path, plain(cause)))?;
        Ok(Gguf { bytes, content })
    }

    /// The whole file, to seek and read in.
    pub(super) fn reader(&self) -> Cursor<&[u8]> {
        Cursor::new(&self.bytes)
    }

    pub(super) fn tensor(&self, name: &str) -> Result<QTensor, String> {
        self.content.tensor(&mut self.reader(), name, &Device::Cpu).map_err(plain)
    }

    pub(super) fn value(&self, key: &str) -> Result<&Value, String> {
        self.content.metadata.get(key).ok_or_else(|| format!("no `{key}` in the file"))
    }

    pub(super) fn number(&self, key: &str) -> Result<usize, String> {
        self.value(key)?.to_u32().map(|number| number as usize).map_err(|cause| format!("`{key}`: {cause}"))
    }

    pub(super) fn text(&self, key: &str) -> Result<&str, String> {
        self.value(key)?.to_string().map(String::as_str).map_err(|cause| format!("`{key}`: {cause}"))
    }

    pub(super) fn row(&self, key: &str) -> Result<&[Value], String> {
        self.value(key)?.to_vec().map(Vec::as_slice).map_err(|cause| format!("`{key}`: {cause}"))
    }
}

/// The error for a file that is there and is not what it should be.
pub(super) fn damaged(path: &Path, problem: String) -> Error {
    Error::Weights {
        model: path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
        problem: format!("{} cannot be used: {problem}; delete it and run `deskhand models fetch`", path.display()),
        cause: None,
    }
}

/// candle's errors carry a backtrace and no source worth keeping.
pub(super) fn plain(cause: candle_core::Error) -> String {
    cause.to_string().lines().next().unwrap_or_default().to_owned()
}
