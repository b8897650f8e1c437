//! From the text of kernels to machine code.

use super::library::Nvrtc;
use std::ffi::{CString, c_char, c_int};
use std::path::PathBuf;

/// Which code is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    /// The compute capability, `[9, 0]` for an H100.
    pub capability: [i32; 2],
    /// Whether denormal numbers of `f32` are zero, as in the programs of the processor.
    pub flush: bool,
}

/// Machine code, and what the compiler has said about it.
#[derive(Clone, Debug)]
pub struct Image {
    /// For the driver to load.
    pub code: Vec<u8>,
    /// Registers, stack and spills of each kernel, where the compiler was asked for them.
    pub log: String,
}

/// The compiler, opened.
#[derive(Debug)]
pub struct Compiler(Nvrtc);

impl Compiler {
    /// Looks for the compiler in these folders, then where the system's loader looks.
    ///
    /// # Errors
    /// A sentence, if it is not on this machine.
    pub fn find(folders: &[PathBuf]) -> Result<Self, String> {
        Ok(Compiler(Nvrtc::find(folders)?))
    }

    /// Its version.
    pub fn version(&self) -> [i32; 2] {
        let [mut major, mut minor] = [0, 0];
        // SAFETY: two places to write to.
        unsafe { (self.0.nvrtcVersion)(&raw mut major, &raw mut minor) };
        [major, minor]
    }

    /// Compiles kernels. `verbose` has the log say what registers each takes.
    ///
    /// # Errors
    /// A sentence with what the compiler says first, and where the text was kept.
    pub fn compile(&self, text: &str, target: Target, verbose: bool) -> Result<Image, String> {
        let [major, minor] = target.capability;
        let mut options = vec![
            format!("--gpu-architecture=sm_{major}{minor}"),
            "--std=c++17".into(),
            // Each operation rounds once, as on the processor; what is fused says so.
            "--fmad=false".into(),
            format!("--ftz={}", target.flush),
        ];
        if verbose {
            options.push("--ptxas-options=-v".into());
        }
        let Nvrtc { nvrtcCreateProgram: create, nvrtcCompileProgram: compile, nvrtcDestroyProgram: destroy, .. } =
            &self.0;
        let source = CString::new(text).map_err(|_| "the text of kernels holds a zero".to_owned())?;
        let options: Vec<CString> = options.into_iter().flat_map(CString::new).collect();
        let options: Vec<*const c_char> = options.iter().map(|option| option.as_ptr()).collect();
        let mut program = 0;
        // SAFETY: all texts live until the program is destroyed, and the places for what is read are as long as the
        // compiler has said.
        unsafe {
            let null = std::ptr::null();
            let code = create(&raw mut program, source.as_ptr(), c"kernels.cu".as_ptr(), 0, null, null);
            if code != 0 {
                return Err(format!("the compiler of kernels cannot begin (error {code})"));
            }
            let code = compile(program, options.len() as c_int, options.as_ptr());
            let log = self.read(program, self.0.nvrtcGetProgramLogSize, self.0.nvrtcGetProgramLog);
            let image = self.read(program, self.0.nvrtcGetCUBINSize, self.0.nvrtcGetCUBIN);
            destroy(&raw mut program);
            let log = String::from_utf8_lossy(&log).trim_end_matches('\0').to_owned();
            if code != 0 {
                let kept = std::env::temp_dir().join(format!("ansatz-kernels-{}.cu", std::process::id()));
                let kept = match std::fs::write(&kept, text) {
                    Ok(()) => format!("the source is in {}", kept.display()),
                    Err(problem) => format!("the source could not be kept: {problem}"),
                };
                let first: Vec<&str> = log.lines().filter(|line| !line.trim().is_empty()).take(6).collect();
                return Err(format!("a kernel does not compile (error {code}); {kept}:\n{}", first.join("\n")));
            }
            Ok(Image { code: image, log })
        }
    }

    /// What the compiler has for a program.
    ///
    /// # Safety
    /// The program is there, and the functions are those of one result.
    unsafe fn read(
        &self,
        program: usize,
        size: unsafe extern "C" fn(usize, *mut usize) -> c_int,
        get: unsafe extern "C" fn(usize, *mut u8) -> c_int,
    ) -> Vec<u8> {
        let mut len = 0;
        // SAFETY: as the caller says.
        unsafe {
            if size(program, &raw mut len) != 0 {
                return Vec::new();
            }
            let mut bytes = vec![0; len];
            if len > 0 && get(program, bytes.as_mut_ptr()) != 0 {
                bytes.clear();
            }
            bytes
        }
    }
}
