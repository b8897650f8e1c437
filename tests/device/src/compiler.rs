//! The functions of the compiler, which are g++'s work. What was compiled once is kept beside the tests.

use std::collections::hash_map::DefaultHasher;
use std::ffi::{CStr, c_char, c_int};
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

type Code = c_int;
const SUCCESS: Code = 0;
const INVALID_PROGRAM: Code = 3;
const COMPILATION: Code = 6;

const HEADER: &str = include_str!("../host.h");
/// As the processor's own kernels are compiled, but for optimisation, which would take more time than it saves.
const FLAGS: &str = "-std=c++17 -shared -fPIC -fvisibility=hidden -mfma -ffp-contract=off -fno-strict-aliasing -w";

#[derive(Default)]
struct Source {
    text: String,
    log: String,
    image: Vec<u8>,
}

static SOURCES: Mutex<Vec<Option<Source>>> = Mutex::new(Vec::new());

fn sources() -> MutexGuard<'static, Vec<Option<Source>>> {
    SOURCES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where compiled kernels are kept, and the header with its precompiled form.
fn folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let program = std::env::current_exe().unwrap_or_default();
        let folder = program.with_file_name("kernels").join(format!("{:016x}", hash(&[HEADER, FLAGS, &flags()])));
        let _ = std::fs::create_dir_all(&folder);
        if !folder.join("host.h.gch").exists() {
            let header = folder.join(format!("host-{}.h", std::process::id()));
            let made = header.with_extension("gch");
            let _ = std::fs::write(&header, HEADER)
                .and_then(|()| std::fs::copy(&header, folder.join("host.h")).map(|_| ()));
            let flags = format!("{FLAGS} {}", flags());
            let mut command = Command::new("g++");
            command.args(flags.split_whitespace()).args(["-x", "c++-header"]).arg(&header).arg("-o").arg(&made);
            // Without it every text takes half a second longer.
            if command.output().is_ok_and(|done| done.status.success()) {
                let _ = std::fs::rename(&made, folder.join("host.h.gch"));
            }
            let _ = std::fs::remove_file(&header);
        }
        folder
    })
}

fn flags() -> String {
    std::env::var("HOST_FLAGS").unwrap_or_else(|_| "-O1".into())
}

fn hash(texts: &[&str]) -> u64 {
    let mut hasher = DefaultHasher::new();
    texts.hash(&mut hasher);
    hasher.finish()
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvrtcVersion(major: *mut c_int, minor: *mut c_int) -> Code {
    unsafe { (*major, *minor) = (13, 0) };
    SUCCESS
}
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvrtcCreateProgram(
    program: *mut usize,
    source: *const c_char,
    _: *const c_char,
    _: c_int,
    _: *const *const c_char,
    _: *const *const c_char,
) -> Code {
    let text = unsafe { CStr::from_ptr(source) }.to_string_lossy().into_owned();
    let mut sources = sources();
    sources.push(Some(Source { text, ..Source::default() }));
    unsafe { *program = sources.len() };
    SUCCESS
}

/// The kernels of a text: `KERNEL(256) name(`.
fn names(text: &str) -> impl Iterator<Item = &str> {
    let heads = text.lines().filter_map(|line| line.strip_prefix("KERNEL("));
    heads.filter_map(|line| Some(line.split_once(") ")?.1.split_once('(')?.0))
}

/// Compiles a text to a shared library.
fn compile(text: &str, flush: bool) -> Result<Vec<u8>, String> {
    let mut whole = text.to_owned();
    for name in names(text) {
        whole += &format!("HOST_KERNEL({name}, {flush})\n");
    }
    let folder = folder();
    let kept = folder.join(format!("{:016x}.so", hash(&[&whole])));
    if let Ok(library) = std::fs::read(&kept) {
        return Ok(library);
    }
    static NEXT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let input = folder.join(format!("{}-{number}.cc", std::process::id()));
    let output = input.with_extension("so");
    std::fs::write(&input, whole).map_err(|problem| problem.to_string())?;
    let mut command = Command::new("g++");
    command.args(FLAGS.split(' ')).args(flags().split_whitespace()).arg("-include").arg(folder.join("host.h"));
    command.arg("-I").arg(folder).arg(&input).arg("-o").arg(&output);
    let done = command.output().map_err(|problem| format!("g++: {problem}"))?;
    if !done.status.success() {
        return Err(String::from_utf8_lossy(&done.stderr).into_owned());
    }
    let library = std::fs::read(&output).map_err(|problem| problem.to_string())?;
    let _ = (std::fs::remove_file(&input), std::fs::rename(&output, &kept));
    Ok(library)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvrtcCompileProgram(program: usize, count: c_int, options: *const *const c_char) -> Code {
    let option = |i: usize| unsafe { CStr::from_ptr(*options.add(i)) }.to_bytes() == b"--ftz=true";
    let flush = (0..count as usize).any(option);
    let Some(text) = sources().get(program - 1).and_then(|source| Some(source.as_ref()?.text.clone())) else {
        return INVALID_PROGRAM;
    };
    // Others may compile meanwhile.
    let done = compile(&text, flush);
    let mut sources = sources();
    let Some(Some(source)) = sources.get_mut(program - 1) else { return INVALID_PROGRAM };
    match done {
        Ok(library) => {
            source.image = b"STANDIN\0".to_vec();
            source.image.extend((library.len() as u64).to_le_bytes());
            source.image.extend(library);
            SUCCESS
        }
        Err(log) => {
            source.log = log;
            COMPILATION
        }
    }
}

/// Gives what a program holds.
fn give<R>(program: usize, get: impl FnOnce(&Source) -> R) -> Option<R> {
    sources().get(program - 1).and_then(Option::as_ref).map(get)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvrtcGetCUBINSize(program: usize, size: *mut usize) -> Code {
    let Some(len) = give(program, |source| source.image.len()) else { return INVALID_PROGRAM };
    unsafe { *size = len };
    SUCCESS
}
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvrtcGetCUBIN(program: usize, to: *mut u8) -> Code {
    let copy = |source: &Source| unsafe {
        std::ptr::copy_nonoverlapping(source.image.as_ptr(), to, source.image.len());
    };
    give(program, copy).map_or(INVALID_PROGRAM, |()| SUCCESS)
}
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvrtcGetProgramLogSize(program: usize, size: *mut usize) -> Code {
    let Some(len) = give(program, |source| source.log.len()) else { return INVALID_PROGRAM };
    unsafe { *size = len + 1 };
    SUCCESS
}
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvrtcGetProgramLog(program: usize, to: *mut u8) -> Code {
    let copy = |source: &Source| unsafe {
        std::ptr::copy_nonoverlapping(source.log.as_ptr(), to, source.log.len());
        *to.add(source.log.len()) = 0;
    };
    give(program, copy).map_or(INVALID_PROGRAM, |()| SUCCESS)
}
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvrtcDestroyProgram(program: *mut usize) -> Code {
    if let Some(slot) = sources().get_mut(unsafe { *program } - 1) {
        *slot = None;
    }
    SUCCESS
}
