//! A stand-in for NVIDIA's driver, compiler and library of products, for machines without a GPU: kernels are compiled for the
//! processor with `host.h`, and run there block by block.
//!
//! It is as late as the driver may be: what a stream is given runs only when somebody waits for it, and streams run in no
//! order but that of their events. Fresh memory holds NaN. So what does not wait, or reads what nobody wrote, shows in
//! every run.
#![allow(non_snake_case, clippy::missing_safety_doc)] // the interface is NVIDIA's, and so are its rules

mod blas;
mod compiler;
mod device;
mod driver;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// Whether tests are to run on a GPU with NVIDIA's own libraries: so `ANSATZ_REAL` says.
pub fn real() -> bool {
    std::env::var_os("ANSATZ_REAL").is_some()
}

/// A folder in which the stand-in lies under the names of NVIDIA's libraries, beside the program that runs; or one without
/// anything, if NVIDIA's own are to be found.
///
/// # Panics
/// If it was not built, or the folder cannot be written.
pub fn libraries() -> PathBuf {
    if real() {
        return PathBuf::new();
    }
    static FOLDER: LazyLock<PathBuf> = LazyLock::new(lay_out);
    FOLDER.clone()
}

fn lay_out() -> PathBuf {
    let program = std::env::current_exe().expect("a program knows its file");
    let built = program.ancestors().skip(1).flat_map(|folder| [folder.to_owned(), folder.join("deps")]);
    let name = format!("{}ansatz_device{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    let library = built.map(|folder| folder.join(&name)).find(|library| library.exists());
    let library = library.expect("the stand-in is built with the tests");
    let folder = library.with_file_name("standin");
    std::fs::create_dir_all(&folder).expect("the folder of the tests can be written");
    for name in ["libcuda.so.1", "libnvrtc.so.13", "libcublasLt.so.13"] {
        link(&library, &folder.join(name));
    }
    folder
}

/// Makes `link` lead to a file, whatever other program does the same at the same time.
fn link(to: &Path, link: &Path) {
    let fresh = link.with_extension(std::process::id().to_string());
    let made = std::os::unix::fs::symlink(to, &fresh).and_then(|()| std::fs::rename(&fresh, link));
    made.expect("the folder of the tests can be written");
}
