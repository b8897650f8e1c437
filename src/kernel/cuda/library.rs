//! NVIDIA's libraries as tables of functions, looked for at run time: nothing of NVIDIA's is needed to build, and what is
//! missing is a sentence.

use super::blas::Answer;
use libloading::Library;
use std::ffi::{c_char, c_int, c_uint, c_void};
use std::path::{Path, PathBuf};

/// A library as a table of its functions, each found when the library is opened.
macro_rules! library {
    ($(#[$doc:meta])* $name:ident { $(fn $function:ident($($argument:ty),*);)* }) => {
        $(#[$doc])*
        #[allow(non_snake_case)] // the names of the vendor
        pub(super) struct $name {
            $(pub $function: unsafe extern "C" fn($($argument),*) -> c_int,)*
            path: PathBuf,
            /// Never closed: a thread that has called it runs what it left for its end, whenever that is.
            _library: std::mem::ManuallyDrop<Library>,
        }

        impl $name {
            fn open(path: &Path) -> Result<Self, Trouble> {
                // SAFETY: initialisers of a library of the vendor, which every program of the vendor runs.
                let library = unsafe { Library::new(path) }.map_err(|problem| Trouble::Absent(problem.to_string()))?;
                Ok($name {
                    $(
                        // SAFETY: the vendor documents the function with this signature.
                        $function: *unsafe { library.get(concat!(stringify!($function), "\0").as_bytes()) }
                            .map_err(|_| Trouble::Lacks(stringify!($function)))?,
                    )*
                    path: path.to_owned(),
                    _library: std::mem::ManuallyDrop::new(library),
                })
            }
        }
    };
}

/// Why a file is not the library that is looked for.
enum Trouble {
    /// It is not there, or the system cannot load it.
    Absent(String),
    /// It lacks a function.
    Lacks(&'static str),
}

library! {
    /// The driver. Handles of streams, modules and so on are addresses; device memory is 64 bits wide.
    Driver {
        fn cuInit(c_uint);
        fn cuDriverGetVersion(*mut c_int);
        fn cuDeviceGetCount(*mut c_int);
        fn cuDeviceGet(*mut c_int, c_int);
        fn cuDeviceGetName(*mut c_char, c_int, c_int);
        fn cuDeviceGetAttribute(*mut c_int, c_int, c_int);
        fn cuDeviceTotalMem_v2(*mut usize, c_int);
        fn cuDevicePrimaryCtxRetain(*mut usize, c_int);
        fn cuDevicePrimaryCtxRelease_v2(c_int);
        fn cuCtxSetCurrent(usize);
        fn cuMemGetInfo_v2(*mut usize, *mut usize);
        fn cuMemAlloc_v2(*mut u64, usize);
        fn cuMemFree_v2(u64);
        fn cuMemHostAlloc(*mut *mut c_void, usize, c_uint);
        fn cuMemFreeHost(*mut c_void);
        fn cuMemcpyHtoDAsync_v2(u64, *const c_void, usize, usize);
        fn cuMemcpyDtoHAsync_v2(*mut c_void, u64, usize, usize);
        fn cuMemcpyDtoDAsync_v2(u64, u64, usize, usize);
        fn cuMemsetD8Async(u64, u8, usize, usize);
        fn cuMemsetD32Async(u64, c_uint, usize, usize);
        fn cuStreamCreate(*mut usize, c_uint);
        fn cuStreamDestroy_v2(usize);
        fn cuStreamSynchronize(usize);
        fn cuStreamBeginCapture_v2(usize, c_uint);
        fn cuStreamEndCapture(usize, *mut usize);
        fn cuGraphInstantiateWithFlags(*mut usize, usize, u64);
        fn cuGraphLaunch(usize, usize);
        fn cuGraphDestroy(usize);
        fn cuGraphExecDestroy(usize);
        fn cuModuleLoadDataEx(*mut usize, *const u8, c_uint, *mut c_int, *mut *mut c_void);
        fn cuModuleUnload(usize);
        fn cuModuleGetFunction(*mut usize, usize, *const c_char);
        fn cuFuncSetAttribute(usize, c_int, c_int);
        fn cuLaunchKernel(
            usize, c_uint, c_uint, c_uint, c_uint, c_uint, c_uint, c_uint, usize, *mut *mut c_void, *mut *mut c_void
        );
        fn cuGetErrorString(c_int, *mut *const c_char);
    }
}

library! {
    /// The compiler of kernels.
    Nvrtc {
        fn nvrtcVersion(*mut c_int, *mut c_int);
        fn nvrtcCreateProgram(*mut usize, *const c_char, *const c_char, c_int, *const *const c_char, *const *const c_char);
        fn nvrtcCompileProgram(usize, c_int, *const *const c_char);
        fn nvrtcGetCUBINSize(usize, *mut usize);
        fn nvrtcGetCUBIN(usize, *mut u8);
        fn nvrtcGetProgramLogSize(usize, *mut usize);
        fn nvrtcGetProgramLog(usize, *mut u8);
        fn nvrtcDestroyProgram(*mut usize);
    }
}

library! {
    /// Matrix products. Descriptions and layouts are addresses, as matrices on the device are.
    CublasLt {
        fn cublasLtCreate(*mut usize);
        fn cublasLtDestroy(usize);
        fn cublasLtGetProperty(c_int, *mut c_int);
        fn cublasLtMatmulDescCreate(*mut usize, c_int, c_int);
        fn cublasLtMatmulDescDestroy(usize);
        fn cublasLtMatmulDescSetAttribute(usize, c_int, *const c_void, usize);
        fn cublasLtMatrixLayoutCreate(*mut usize, c_int, u64, u64, i64);
        fn cublasLtMatrixLayoutDestroy(usize);
        fn cublasLtMatrixLayoutSetAttribute(usize, c_int, *const c_void, usize);
        fn cublasLtMatmulPreferenceCreate(*mut usize);
        fn cublasLtMatmulPreferenceDestroy(usize);
        fn cublasLtMatmulPreferenceSetAttribute(usize, c_int, *const c_void, usize);
        fn cublasLtMatmulAlgoGetHeuristic(usize, usize, usize, usize, usize, usize, usize, c_int, *mut Answer, *mut c_int);
        fn cublasLtMatmul(
            usize, usize, *const c_void, u64, usize, u64, usize, *const c_void, u64, usize, u64, usize, *const u64, u64,
            usize, usize
        );
    }
}

/// The variable of the environment that names folders with NVIDIA's libraries, with colons between them.
pub const FOLDERS: &str = "ANSATZ_CUDA";

/// The folders in which the libraries are looked for, before the system's loader is asked by name.
pub fn folders() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = std::env::var_os(FOLDERS).iter().flat_map(std::env::split_paths).collect();
    folders.extend(std::env::var_os("CUDA_PATH").map(|path| Path::new(&path).join("lib64")));
    folders.push("/usr/local/cuda/lib64".into());
    // What `pip` has installed.
    if let Some(environment) = std::env::var_os("VIRTUAL_ENV") {
        let pythons = Path::new(&environment).join("lib").read_dir().into_iter().flatten().flatten();
        for packages in pythons.map(|python| python.path().join("site-packages/nvidia")) {
            let parts = packages.read_dir().into_iter().flatten().flatten();
            folders.extend(parts.map(|part| part.path().join("lib")));
        }
    }
    folders
}

/// Where the libraries are looked for: the names of their files, newest first.
const DRIVER: &[&str] = if cfg!(windows) { &["nvcuda.dll"] } else { &["libcuda.so.1"] };
const NVRTC: &[&str] = if cfg!(windows) {
    &["nvrtc64_130_0.dll", "nvrtc64_120_0.dll"]
} else {
    &["libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so"]
};

const CUBLAS_LT: &[&str] = if cfg!(windows) {
    &["cublasLt64_13.dll", "cublasLt64_12.dll"]
} else {
    &["libcublasLt.so.13", "libcublasLt.so.12", "libcublasLt.so"]
};

/// Opens the first file that is there, by its path in one of the folders or by its name as the system's loader finds it.
fn search<L>(
    names: &[&str],
    folders: &[PathBuf],
    open: impl Fn(&Path) -> Result<L, Trouble>,
) -> Result<L, (String, Option<String>)> {
    let mut seen = None;
    let paths = folders.iter().flat_map(|folder| names.iter().map(move |name| folder.join(name)));
    let paths = paths.filter(|path| path.exists());
    for path in paths.chain(names.iter().map(PathBuf::from)) {
        match open(&path) {
            Ok(library) => return Ok(library),
            Err(Trouble::Lacks(function)) => {
                seen = seen.or(Some(format!("{} has no `{function}`", path.display())));
            }
            // A file by its path is there, so what it lacks is worth telling; a name may just be unknown.
            Err(Trouble::Absent(problem)) if path.is_absolute() => seen = seen.or(Some(problem)),
            Err(Trouble::Absent(_)) => {}
        }
    }
    Err((names.join(" or "), seen))
}

impl Driver {
    /// The driver, looked for in these folders first.
    ///
    /// # Errors
    /// A sentence, if it is not on this machine.
    pub fn find(folders: &[PathBuf]) -> Result<Self, String> {
        search(DRIVER, folders, Driver::open).map_err(|(names, seen)| match seen {
            Some(problem) => format!(
                "no CUDA device: the driver's library does not serve ({problem}); install a newer driver of NVIDIA, or use \
                 `Device::cpu()`"
            ),
            None => format!(
                "no CUDA device: the driver's library {names} is not on this machine (looked in the loader's path and in \
                 {FOLDERS}); install NVIDIA's driver, or use `Device::cpu()`"
            ),
        })
    }
}

impl Nvrtc {
    /// The compiler, looked for in these folders first.
    ///
    /// # Errors
    /// A sentence, if it is not on this machine.
    pub fn find(folders: &[PathBuf]) -> Result<Self, String> {
        search(NVRTC, folders, Nvrtc::open).map_err(|(names, seen)| {
            let problem = seen.map(|problem| format!(" ({problem})")).unwrap_or_default();
            format!(
                "kernels cannot be compiled: {names} is missing{problem}; run `pip install nvidia-cuda-nvrtc` and name the \
                 folder of its library in {FOLDERS}, or use `Device::cpu()`"
            )
        })
    }
}

impl CublasLt {
    /// The library of products, looked for in these folders first.
    pub fn find(folders: &[PathBuf]) -> Option<Self> {
        search(CUBLAS_LT, folders, CublasLt::open).ok()
    }
}

impl std::fmt::Debug for CublasLt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.path.fmt(f)
    }
}

impl std::fmt::Debug for Driver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.path.fmt(f)
    }
}

impl std::fmt::Debug for Nvrtc {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.path.fmt(f)
    }
}
