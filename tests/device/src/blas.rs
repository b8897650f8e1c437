//! The functions of the library of products, by simple loops.

use crate::device::{Code, Matrices, SUCCESS, Work, with};
use std::collections::HashMap;
use std::ffi::{c_int, c_void};
use std::sync::{Mutex, MutexGuard, PoisonError};

pub const NOT_INITIALIZED: Code = 1;
pub const ALLOCATION_FAILED: Code = 3;
pub const MALFORMED: Code = 7;
pub const EXECUTION_FAILED: Code = 13;
pub const NOT_SUPPORTED: Code = 15;

const R32: c_int = 0;
const R64: c_int = 1;
const RB16: c_int = 14;
const COMPUTE_32: c_int = 68;
const COMPUTE_64: c_int = 70;
const COMPUTE_TF32: c_int = 77;

/// What a product may use while it runs, if it is allowed to.
const WORKSPACE: usize = 4096;

/// Descriptions, layouts and wishes: attributes by their numbers.
#[derive(Clone, Debug, Default)]
struct Thing {
    kind: Kind,
    values: HashMap<c_int, i64>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Kind {
    #[default]
    Handle,
    Description,
    Layout,
    Wish,
}

/// What `new` gives attributes beyond those that are counted by the library.
const TYPE: c_int = 0;
const SCALE: c_int = 1;
const ROWS: c_int = 2;
const COLUMNS: c_int = 3;
const LEADING: c_int = 4;
const TRANSPOSES: [c_int; 2] = [3, 4];
const BATCH: c_int = 5;
const STRIDE: c_int = 6;

static THINGS: Mutex<Vec<Option<Thing>>> = Mutex::new(Vec::new());

fn things() -> MutexGuard<'static, Vec<Option<Thing>>> {
    THINGS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Handles do not begin at zero, which is none.
const FIRST: usize = 0x7000;

fn make(to: *mut usize, kind: Kind, values: &[(c_int, i64)]) -> Code {
    if to.is_null() {
        return MALFORMED;
    }
    let mut things = things();
    things.push(Some(Thing { kind, values: values.iter().copied().collect() }));
    unsafe { *to = FIRST + things.len() - 1 };
    SUCCESS
}

fn end(handle: usize, kind: Kind) -> Code {
    match handle.checked_sub(FIRST).and_then(|i| things().get_mut(i).map(|slot| slot.take_if(|it| it.kind == kind))) {
        Some(Some(_)) => SUCCESS,
        _ => MALFORMED,
    }
}

fn get(handle: usize, kind: Kind) -> Option<Thing> {
    let things = things();
    things.get(handle.checked_sub(FIRST)?)?.clone().filter(|thing| thing.kind == kind)
}

/// Sets an attribute, whose size must be the one that the library documents.
unsafe fn set(handle: usize, kind: Kind, attribute: c_int, size: usize, value: *const c_void, given: usize) -> Code {
    if value.is_null() || size != given {
        return MALFORMED;
    }
    let mut things = things();
    let slot = handle.checked_sub(FIRST).and_then(|i| things.get_mut(i)?.as_mut()).filter(|thing| thing.kind == kind);
    let Some(thing) = slot else { return MALFORMED };
    let value = unsafe { if size == 8 { value.cast::<i64>().read() } else { i64::from(value.cast::<i32>().read()) } };
    thing.values.insert(attribute, value);
    SUCCESS
}

impl Thing {
    fn get(&self, attribute: c_int, otherwise: i64) -> i64 {
        self.values.get(&attribute).copied().unwrap_or(otherwise)
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cublasLtCreate(handle: *mut usize) -> Code {
    // It allocates on the device.
    if with(|device| device.captures()) { ALLOCATION_FAILED } else { make(handle, Kind::Handle, &[]) }
}
#[unsafe(no_mangle)]
pub extern "C" fn cublasLtDestroy(handle: usize) -> Code {
    if end(handle, Kind::Handle) == SUCCESS { SUCCESS } else { NOT_INITIALIZED }
}
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cublasLtGetProperty(property: c_int, value: *mut c_int) -> Code {
    if value.is_null() {
        return MALFORMED;
    }
    unsafe { *value = if property == 0 { 13 } else { 0 } };
    SUCCESS
}
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cublasLtMatmulDescCreate(to: *mut usize, compute: c_int, scale: c_int) -> Code {
    make(to, Kind::Description, &[(TYPE, compute.into()), (SCALE, scale.into())])
}
#[unsafe(no_mangle)]
pub extern "C" fn cublasLtMatmulDescDestroy(description: usize) -> Code {
    end(description, Kind::Description)
}
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cublasLtMatmulDescSetAttribute(
    description: usize,
    attribute: c_int,
    value: *const c_void,
    bytes: usize,
) -> Code {
    match TRANSPOSES.contains(&attribute) {
        true => unsafe { set(description, Kind::Description, attribute, 4, value, bytes) },
        false => NOT_SUPPORTED,
    }
}
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cublasLtMatrixLayoutCreate(
    to: *mut usize,
    kind: c_int,
    rows: u64,
    columns: u64,
    leading: i64,
) -> Code {
    let sizes = [(ROWS, rows as i64), (COLUMNS, columns as i64), (LEADING, leading)];
    make(to, Kind::Layout, &[&[(TYPE, kind.into())], &sizes[..]].concat())
}
#[unsafe(no_mangle)]
pub extern "C" fn cublasLtMatrixLayoutDestroy(layout: usize) -> Code {
    end(layout, Kind::Layout)
}
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cublasLtMatrixLayoutSetAttribute(
    layout: usize,
    attribute: c_int,
    value: *const c_void,
    bytes: usize,
) -> Code {
    let size = match attribute {
        BATCH => 4,
        STRIDE => 8,
        _ => return NOT_SUPPORTED,
    };
    unsafe { set(layout, Kind::Layout, attribute, size, value, bytes) }
}
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cublasLtMatmulPreferenceCreate(to: *mut usize) -> Code {
    make(to, Kind::Wish, &[])
}
#[unsafe(no_mangle)]
pub extern "C" fn cublasLtMatmulPreferenceDestroy(wish: usize) -> Code {
    end(wish, Kind::Wish)
}
const MOST_WORKSPACE: c_int = 1;
/// Of A, B, C and D, which are aligned to 256 bytes unless something else is said.
const ALIGNMENTS: [c_int; 4] = [5, 6, 7, 8];
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cublasLtMatmulPreferenceSetAttribute(
    wish: usize,
    attribute: c_int,
    value: *const c_void,
    bytes: usize,
) -> Code {
    let size = match attribute {
        MOST_WORKSPACE => 8,
        3 | 5..=8 => 4,
        _ => return NOT_SUPPORTED,
    };
    unsafe { set(wish, Kind::Wish, attribute, size, value, bytes) }
}

/// The product that a description and layouts of A, B, C and D describe, at no place yet.
fn described(description: usize, layouts: [usize; 4]) -> Result<Matrices, Code> {
    let description = get(description, Kind::Description).ok_or(MALFORMED)?;
    let mut found = Vec::new();
    for layout in layouts {
        found.push(get(layout, Kind::Layout).ok_or(MALFORMED)?);
    }
    let size = |i: usize, attribute| found[i].get(attribute, 0) as usize;
    let transposed = TRANSPOSES.map(|attribute| description.get(attribute, 0) != 0);
    let (m, n) = (size(3, ROWS), size(3, COLUMNS));
    let k = size(0, if transposed[0] { ROWS } else { COLUMNS });
    let expected =
        [if transposed[0] { [k, m] } else { [m, k] }, if transposed[1] { [n, k] } else { [k, n] }, [m, n], [m, n]];
    let batch = found[3].get(BATCH, 1);
    let compute = description.get(TYPE, 0) as c_int;
    let kind = if compute == COMPUTE_64 { R64 } else { R32 };
    let known = [COMPUTE_32, COMPUTE_64, COMPUTE_TF32].contains(&compute);
    if !known || description.get(SCALE, -1) != i64::from(kind) || m * n * k == 0 {
        return Err(NOT_SUPPORTED);
    }
    // Of A, B and D; C is read as D is.
    let types = [0, 1, 3].map(|i: usize| found[i].get(TYPE, -1) as c_int);
    let supported = match types {
        [R64, R64, R64] => compute == COMPUTE_64,
        [R32, R32, R32] => compute != COMPUTE_64,
        [RB16, RB16, RB16 | R32] => compute == COMPUTE_32,
        _ => false,
    };
    if !supported || found[2].get(TYPE, -1) != i64::from(types[2]) {
        return Err(NOT_SUPPORTED);
    }
    for (i, layout) in found.iter().enumerate() {
        let fits = [size(i, ROWS), size(i, COLUMNS)] == expected[i] && layout.get(BATCH, 1) == batch;
        // Columns must not overlap.
        if !fits || size(i, LEADING) < size(i, ROWS) || layout.get(STRIDE, 0) < 0 {
            return Err(MALFORMED);
        }
    }
    let matrix = |i: usize| [size(i, LEADING), size(i, STRIDE)];
    Ok(Matrices {
        sizes: [batch as usize, m, n, k],
        transposed,
        layouts: [matrix(0), matrix(1), matrix(3)],
        types,
        tf32: compute == COMPUTE_TF32,
        places: [0; 3],
        scales: [0.0; 2],
        workspace: (0, 0),
    })
}

/// An algorithm, and what is needed for it.
#[repr(C)]
pub struct Answer {
    pub algorithm: [u64; 8],
    pub workspace: usize,
    pub state: Code,
    pub waves: f32,
    pub reserved: [c_int; 4],
}

/// An algorithm as it is kept: what it is, the alignments of A, B and D, and its workspace.
const ALGORITHM: u64 = 0x414c_474f;

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cublasLtMatmulAlgoGetHeuristic(
    handle: usize,
    description: usize,
    a: usize,
    b: usize,
    c: usize,
    d: usize,
    wish: usize,
    count: c_int,
    answers: *mut Answer,
    found: *mut c_int,
) -> Code {
    if get(handle, Kind::Handle).is_none() {
        return NOT_INITIALIZED;
    }
    let Some(wish) = get(wish, Kind::Wish) else { return MALFORMED };
    if count < 1 || answers.is_null() || found.is_null() {
        return MALFORMED;
    }
    unsafe { *found = 0 };
    if let Err(code) = described(description, [a, b, c, d]) {
        return code;
    }
    let aligned = ALIGNMENTS.map(|attribute| wish.get(attribute, 256) as u64);
    let workspace = WORKSPACE.min(wish.get(MOST_WORKSPACE, 0) as usize);
    let algorithm = [ALGORITHM, aligned[0], aligned[1], aligned[3], workspace as u64, 0, 0, 0];
    unsafe {
        *answers = Answer { algorithm, workspace, state: SUCCESS, waves: 1.0, reserved: [0; 4] };
        *found = 1;
    }
    SUCCESS
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cublasLtMatmul(
    handle: usize,
    description: usize,
    alpha: *const c_void,
    a: u64,
    a_layout: usize,
    b: u64,
    b_layout: usize,
    beta: *const c_void,
    c: u64,
    c_layout: usize,
    d: u64,
    d_layout: usize,
    algorithm: *const [u64; 8],
    workspace: u64,
    workspace_bytes: usize,
    stream: usize,
) -> Code {
    if get(handle, Kind::Handle).is_none() {
        return NOT_INITIALIZED;
    }
    if alpha.is_null() || beta.is_null() || algorithm.is_null() || c != d {
        return MALFORMED;
    }
    let mut matrices = match described(description, [a_layout, b_layout, c_layout, d_layout]) {
        Ok(matrices) => matrices,
        Err(code) => return code,
    };
    let [kind, aligned_a, aligned_b, aligned_d, needed, ..] = unsafe { *algorithm };
    let aligned = a.is_multiple_of(aligned_a) && b.is_multiple_of(aligned_b) && d.is_multiple_of(aligned_d);
    if kind != ALGORITHM || !aligned || (workspace_bytes as u64) < needed || !workspace.is_multiple_of(16) {
        return MALFORMED;
    }
    matrices.places = [a, b, d].map(|at| at as usize);
    matrices.workspace = (workspace as usize, needed as usize);
    matrices.scales = [alpha, beta].map(|scale| unsafe {
        if matrices.types[2] == R64 { scale.cast::<f64>().read() } else { f64::from(scale.cast::<f32>().read()) }
    });
    with(|device| {
        let held = matrices.extents().iter().all(|&(at, bytes)| device.holds(at, bytes));
        match held && device.holds(workspace as usize, needed as usize) {
            true if device.give(stream, Work::Product(matrices)) == SUCCESS => SUCCESS,
            _ => EXECUTION_FAILED,
        }
    })
}

impl Matrices {
    /// Where the matrices begin, and the bytes from there to their ends.
    fn extents(&self) -> [(usize, usize); 3] {
        let [batch, m, n, k] = self.sizes;
        let factor =
            |transposed, rows: usize, columns: usize| if transposed { [columns, rows] } else { [rows, columns] };
        let shapes = [factor(self.transposed[0], m, k), factor(self.transposed[1], k, n), [m, n]];
        std::array::from_fn(|i| {
            let ([rows, columns], [leading, stride]) = (shapes[i], self.layouts[i]);
            (self.places[i], ((batch - 1) * stride + (columns - 1) * leading + rows) * size_of(self.types[i]))
        })
    }

    /// Multiplies.
    pub unsafe fn run(&self) {
        // What lies in the workspace is gone.
        unsafe { std::ptr::write_bytes(self.workspace.0 as *mut u8, 0xff, self.workspace.1) };
        let [batch, m, n, k] = self.sizes;
        let [[a_leading, a_stride], [b_leading, b_stride], [leading, stride]] = self.layouts;
        let ([a, b, d], [a_type, b_type, d_type]) = (self.places, self.types);
        let place = |transposed, row: usize, column: usize, leading| match transposed {
            true => column + row * leading,
            false => row + column * leading,
        };
        let rounded = |x: f64| if self.tf32 { tf32(x) } else { x };
        for i in 0..batch {
            for column in 0..n {
                for row in 0..m {
                    let mut sum = 0.0f64;
                    for q in 0..k {
                        let at_a = i * a_stride + place(self.transposed[0], row, q, a_leading);
                        let at_b = i * b_stride + place(self.transposed[1], q, column, b_leading);
                        let (x, y) = unsafe { (read(a_type, a, at_a), read(b_type, b, at_b)) };
                        sum += rounded(x) * rounded(y);
                    }
                    let at = i * stride + row + column * leading;
                    // What is there before is not read where it is not added.
                    let before =
                        if self.scales[1] == 0.0 { 0.0 } else { self.scales[1] * unsafe { read(d_type, d, at) } };
                    unsafe { write(d_type, d, at, self.scales[0] * sum + before) };
                }
            }
        }
    }
}

/// The bytes of an element.
fn size_of(kind: c_int) -> usize {
    match kind {
        R64 => 8,
        RB16 => 2,
        _ => 4,
    }
}

unsafe fn read(kind: c_int, matrix: usize, at: usize) -> f64 {
    unsafe {
        match kind {
            R64 => *(matrix as *const f64).add(at),
            RB16 => f64::from(f32::from_bits(u32::from(*(matrix as *const u16).add(at)) << 16)),
            _ => f64::from(*(matrix as *const f32).add(at)),
        }
    }
}

unsafe fn write(kind: c_int, matrix: usize, at: usize, value: f64) {
    unsafe {
        match kind {
            R64 => *(matrix as *mut f64).add(at) = value,
            RB16 => *(matrix as *mut u16).add(at) = bf16(value as f32),
            _ => *(matrix as *mut f32).add(at) = value as f32,
        }
    }
}

/// The nearest number of sixteen bits, of two the even one.
fn bf16(x: f32) -> u16 {
    let bits = x.to_bits();
    if x.is_nan() { 0x7fff } else { ((bits + 0x7fff + (bits >> 16 & 1)) >> 16) as u16 }
}

/// A number of 11 bits, as the matrix units take it.
fn tf32(x: f64) -> f64 {
    let bits = (x as f32).to_bits();
    f64::from(f32::from_bits((bits + 0x0fff + (bits >> 13 & 1)) & !0x1fff))
}
