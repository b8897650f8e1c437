//! Files on the disk: what is read is a regular file, and what is written replaces the old one whole or not at all.

use crate::{Error, Result};
use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

/// Opens a file to be read. Pipes and devices, which may never end or never begin, are refused.
pub fn open(path: &Path) -> Result<File> {
    let failed = |e| Error::io("read", path, e);
    regular(path, &fs::metadata(path).map_err(failed)?)?;
    File::open(path).map_err(failed)
}

/// All bytes of a file.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.read_to_end(&mut bytes).map_err(|e| Error::io("read", path, e))?;
    Ok(bytes)
}

/// A file that is a text.
pub fn read_text(path: &Path) -> Result<String> {
    String::from_utf8(read(path)?).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        Error::Data { path: path.to_owned(), problem: format!("is no text: its byte {at} is no part of UTF-8") }
    })
}

/// Writes a file, and its folder where there is none: as a hidden file beside it, flushed to the disk, which then takes its
/// name. Whoever reads sees the old file or the new one. Links stay and so do permissions. A hidden file that a killed
/// program left behind is written over; while another program writes one, this is an error.
pub fn replace(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<()> {
    let failed = |e| Error::io("write", path, e);
    let place = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let old = fs::metadata(&place).ok();
    if let Some(old) = &old {
        regular(path, old)?;
        if old.permissions().readonly() {
            return Err(failed(io::Error::new(io::ErrorKind::PermissionDenied, "the file is read-only")));
        }
    }
    let folder = match place.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    fs::create_dir_all(folder).map_err(|e| Error::io("create", folder, e))?;
    let name = place.file_name().ok_or_else(|| failed(io::ErrorKind::InvalidFilename.into()))?;
    let mut hidden = OsString::from(".");
    hidden.push(name);
    hidden.push(".part");
    let hidden = folder.join(hidden);
    let file = exclusive(path, &hidden)?;
    let written = (|| {
        file.set_len(0)?;
        let mut buffered = BufWriter::new(&file);
        write(&mut buffered)?;
        buffered.flush()?;
        drop(buffered);
        if let Some(old) = old {
            file.set_permissions(old.permissions())?;
        }
        file.sync_all()?;
        fs::rename(&hidden, &place)
    })();
    if let Err(error) = written {
        // It is this program's, and holds a part of a file.
        let _ = fs::remove_file(&hidden);
        return Err(failed(error));
    }
    // The new name lasts once the folder is on the disk; not every system can open a folder.
    if let Ok(folder) = File::open(folder) {
        folder.sync_all().map_err(failed)?;
    }
    Ok(())
}

/// The hidden file beside `path`, for this writer alone.
fn exclusive(path: &Path, hidden: &Path) -> Result<File> {
    loop {
        let file = File::options().create(true).write(true).truncate(false).open(hidden);
        let file = file.map_err(|e| Error::io("write", path, e))?;
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => {
                let path = path.display();
                return Err(Error::value(format!(
                    "{path} is being written by another program or thread; write elsewhere"
                )));
            }
            // Some file systems have no locks.
            Err(TryLockError::Error(_)) => return Ok(file),
            // Another may have finished between both calls, and what was opened is now the file itself.
            Ok(()) if same(&file, hidden) => return Ok(file),
            Ok(()) => {}
        }
    }
}

#[cfg(unix)]
fn same(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let [open, named] =
        [file.metadata(), fs::symlink_metadata(path)].map(|found| found.map(|m| (m.dev(), m.ino())).ok());
    open.is_some() && open == named
}

#[cfg(not(unix))]
fn same(_: &File, path: &Path) -> bool {
    path.exists()
}

fn regular(path: &Path, found: &fs::Metadata) -> Result<()> {
    let problem = match found {
        found if found.is_file() => return Ok(()),
        found if found.is_dir() => "is a folder, where a file is expected",
        _ => "is a pipe or a device, where a file is expected",
    };
    Err(Error::Data { path: path.to_owned(), problem: problem.into() })
}

/// A name inside of a folder, with no way out of it.
pub fn inside(folder: &Path, name: &str) -> Option<PathBuf> {
    let plain = Path::new(name).components().all(|part| matches!(part, std::path::Component::Normal(_)));
    (plain && !name.is_empty()).then(|| folder.join(name))
}
