//! Text that every machine has on which a Rust project was built: the sources of its dependencies.

use crate::{Error, Result};
use std::path::{Path, PathBuf};

/// A file of Rust.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Its place below the folder of sources: `rand-0.10.4/src/lib.rs`.
    pub name: String,
    /// What it says.
    pub text: String,
}

/// The Rust files of some crates in the versions that a `Cargo.lock` names, by name and path, from the folder where cargo
/// keeps sources: `registry/src` in `CARGO_HOME`, or in `.cargo` of the home folder.
///
/// # Errors
/// If the lock file cannot be read or does not name a crate, or the sources are not there: `cargo fetch` brings them.
pub fn rust_sources(lock: impl AsRef<Path>, crates: &[&str]) -> Result<Vec<Source>> {
    let home = match (std::env::var_os("CARGO_HOME"), std::env::home_dir()) {
        (Some(home), _) => PathBuf::from(home),
        (None, Some(home)) => home.join(".cargo"),
        (None, None) => {
            return Err(Error::value(
                "neither CARGO_HOME nor a home folder is known, so cargo's sources cannot be found",
            ));
        }
    };
    sources_in(&home.join("registry").join("src"), lock.as_ref(), crates)
}

fn sources_in(registry: &Path, lock: &Path, crates: &[&str]) -> Result<Vec<Source>> {
    let locked = std::fs::read_to_string(lock).map_err(|e| Error::io("read", lock, e))?;
    let mut folders = Vec::new();
    for name in crates {
        let Some(version) = version(&locked, name) else {
            let problem = format!("names no crate `{name}`; take one of the project's dependencies");
            return Err(Error::Data { path: lock.to_owned(), problem });
        };
        folders.push(format!("{name}-{version}"));
    }
    let indices: Vec<PathBuf> =
        std::fs::read_dir(registry).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    let mut sources = Vec::new();
    let mut missing = Vec::new();
    for folder in folders {
        match indices.iter().map(|index| index.join(&folder)).find(|path| path.is_dir()) {
            Some(path) => collect(&path, &folder, &mut sources)?,
            None => missing.push(folder),
        }
    }
    if !missing.is_empty() {
        let (missing, registry) = (missing.join(", "), registry.display());
        return Err(Error::value(format!(
            "the sources of {missing} are not below {registry}; `cargo fetch` in the project brings them there, or train \
             on a text of your own"
        )));
    }
    Ok(sources)
}

/// The version of a crate in a lock file: the last one, if there are several.
fn version<'l>(lock: &'l str, name: &str) -> Option<&'l str> {
    let line = format!("name = \"{name}\"");
    let packages = lock.split("[[package]]").filter(|package| package.lines().any(|l| l.trim() == line));
    let versions = packages.filter_map(|package| {
        let version = package.lines().find_map(|l| l.trim().strip_prefix("version = \""))?;
        version.strip_suffix('"')
    });
    versions.last()
}

/// The Rust files below a folder, by path; those that are no UTF-8 are left out.
fn collect(folder: &Path, name: &str, sources: &mut Vec<Source>) -> Result<()> {
    let entries = std::fs::read_dir(folder).map_err(|e| Error::io("read", folder, e))?;
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        let Some(file) = path.file_name().and_then(|file| file.to_str()) else { continue };
        let name = format!("{name}/{file}");
        if path.is_dir() {
            collect(&path, &name, sources)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let bytes = std::fs::read(&path).map_err(|e| Error::io("read", &path, e))?;
            sources.extend(String::from_utf8(bytes).ok().map(|text| Source { name, text }));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCK: &str = "version = 4\n\n[[package]]\nname = \"ab\"\nversion = \"1.0.0\"\n\n[[package]]\nname = \"ab\"\nversion = \"2.1.0\"\n\n[[package]]\nname = \"c\"\nversion = \"0.1.0\"\n";

    #[test]
    fn sources_are_found_by_name_and_locked_version() {
        let folder = tempfile::tempdir().unwrap();
        let (lock, registry) = (folder.path().join("Cargo.lock"), folder.path().join("src"));
        let source = registry.join("index.example-1").join("ab-2.1.0").join("src");
        std::fs::create_dir_all(&source).unwrap();
        std::fs::write(&lock, LOCK).unwrap();
        std::fs::write(source.join("lib.rs"), "fn a() {}").unwrap();
        std::fs::write(source.join("also.rs"), "fn b() {}").unwrap();
        std::fs::write(source.join("notes.txt"), "no Rust").unwrap();
        let found = sources_in(&registry, &lock, &["ab"]).unwrap();
        let names: Vec<&str> = found.iter().map(|source| &*source.name).collect();
        assert_eq!(names, ["ab-2.1.0/src/also.rs", "ab-2.1.0/src/lib.rs"]);

        let absent = sources_in(&registry, &lock, &["ab", "c"]).unwrap_err().to_string();
        assert!(absent.starts_with("the sources of c-0.1.0 are not below"), "{absent}");
        let unknown = sources_in(&registry, &lock, &["d"]).unwrap_err().to_string();
        assert!(unknown.ends_with("names no crate `d`; take one of the project's dependencies"), "{unknown}");
    }
}
