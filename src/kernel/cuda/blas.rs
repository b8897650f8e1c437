//! Matrix products by NVIDIA's library cuBLASLt. A plan says how the library does a product: it is asked once, and gives the
//! same bits whenever it is followed. Without the library, and for what it cannot do, the printed kernels serve.

use super::driver::{Context, Stream};
use super::library::CublasLt;
use crate::gemm::Gemm;
use crate::precision::Precision;
use crate::view::{DType, View};
use std::collections::HashMap;
use std::ffi::{c_int, c_void};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// The library, opened for a device.
pub struct Blas {
    library: CublasLt,
    handle: usize,
}

/// What functions give when they have done what they should.
const SUCCESS: c_int = 0;

impl Blas {
    /// Looks for the library in these folders, then where the system's loader looks. The device must be that of the thread.
    pub(super) fn find(folders: &[PathBuf]) -> Option<Self> {
        let library = CublasLt::find(folders)?;
        let mut handle = 0;
        // SAFETY: a place to write to.
        let made = unsafe { (library.cublasLtCreate)(&raw mut handle) };
        (made == SUCCESS).then_some(Blas { library, handle })
    }

    /// Its version.
    pub fn version(&self) -> [i32; 2] {
        [0, 1].map(|property| {
            let mut number = 0;
            // SAFETY: a place to write to; the properties are the major and the minor version.
            unsafe { (self.library.cublasLtGetProperty)(property, &raw mut number) };
            number
        })
    }
}

impl Drop for Blas {
    fn drop(&mut self) {
        // SAFETY: it was made by the library.
        unsafe { (self.library.cublasLtDestroy)(self.handle) };
    }
}

impl fmt::Debug for Blas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.library.fmt(f)
    }
}

/// What the library calls element types, and what it computes in.
mod code {
    use std::ffi::c_int;
    pub const R32: c_int = 0;
    pub const R64: c_int = 1;
    pub const RB16: c_int = 14;
    pub const COMPUTE_32: c_int = 68;
    pub const COMPUTE_TF32: c_int = 77;
    pub const COMPUTE_64: c_int = 70;
    /// Attributes of a product, of a layout, and of what is asked for.
    pub const TRANSPOSE_A: c_int = 3;
    pub const TRANSPOSE_B: c_int = 4;
    pub const BATCH: c_int = 5;
    pub const BATCH_STRIDE: c_int = 6;
    pub const WORKSPACE: c_int = 1;
    pub const REDUCTIONS: c_int = 3;
    pub const ALIGNMENTS: [c_int; 4] = [5, 6, 7, 8];
}

/// The most memory that a product may use while it runs, as NVIDIA advises for its newer devices.
const MOST_WORKSPACE: usize = 32 << 20;
/// Parts of a sum may meet in the workspace, in the type that is computed in, and nowhere else.
const REDUCTIONS: u32 = 2;

/// The type of the elements of a matrix as the library calls it; none if it has no products of them.
fn type_of(element: DType) -> Option<c_int> {
    match element {
        DType::F32 => Some(code::R32),
        DType::F64 => Some(code::R64),
        DType::Bf16 => Some(code::RB16),
        DType::Index | DType::Bool => None,
    }
}

/// A matrix as the library wants it: in columns that lie `leading` elements apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Matrix {
    kind: c_int,
    rows: u64,
    columns: u64,
    leading: i64,
    /// Elements to the next matrix of the batch.
    stride: i64,
    /// The bytes that all addresses of matrices are multiples of.
    aligned: u32,
}

/// The greatest extent of a matrix.
const MOST: usize = i32::MAX as usize;

impl Matrix {
    /// A matrix of `rows` rows as it is, of which elements of a column lie side by side.
    fn new(view: &View, batch: usize, [rows, columns]: [usize; 2], axes: [usize; 2], aligned: usize) -> Option<Self> {
        let [row, column] = axes.map(|axis| view.strides[axis]);
        let stride = if batch == 1 { 0 } else { view.strides[0] };
        // One column lies anywhere.
        let leading = if columns == 1 { rows as isize } else { column };
        let fits = (row == 1 || rows == 1) && leading >= rows as isize && stride >= 0 && rows.max(columns) <= MOST;
        let aligned = if stride == 0 { aligned } else { 1 << (aligned | bytes(view, stride)).trailing_zeros() };
        fits.then_some(Matrix {
            kind: type_of(view.element)?,
            rows: rows as u64,
            columns: columns as u64,
            leading: leading as i64,
            stride: stride as i64,
            aligned: aligned as u32,
        })
    }
}

fn bytes(view: &View, elements: isize) -> usize {
    elements.unsigned_abs() * view.element.size()
}

/// A product as the library is asked for it, `C = op(A)·op(B)` in columns.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Asked {
    batch: i32,
    /// Which of the factors lies in memory with rows and columns exchanged.
    transposed: [bool; 2],
    factors: [Matrix; 2],
    product: Matrix,
    compute: c_int,
    /// Whether the factors are given in the opposite order.
    exchanged: bool,
}

impl Asked {
    /// None if the library cannot take the product as it lies. All addresses are multiples of `aligned` bytes.
    fn of(gemm: &Gemm, aligned: [usize; 3], precision: Precision) -> Option<Self> {
        let Gemm { batch, m, n, k, a, b, c, .. } = gemm;
        let (batch, m, n, k) = (*batch, *m, *n, *k);
        // Of narrow factors the sum may be narrow or not.
        let types = [a, b, c].map(|view| view.element);
        let known = types[0] == types[1] && (types[1] == types[2] || types == [DType::Bf16, DType::Bf16, DType::F32]);
        if batch * m * n * k == 0 || batch > MOST || !known {
            return None;
        }
        // What lies in rows are the columns of the transpose, and Cᵀ = Bᵀ·Aᵀ.
        let exchanged = c.strides[2] == 1 || n == 1;
        let (product, sides) = match exchanged {
            true => (
                Matrix::new(c, batch, [n, m], [2, 1], aligned[2])?,
                [(b, aligned[1], [n, k], [2, 1]), (a, aligned[0], [k, m], [2, 1])],
            ),
            false => (
                Matrix::new(c, batch, [m, n], [1, 2], aligned[2])?,
                [(a, aligned[0], [m, k], [1, 2]), (b, aligned[1], [k, n], [1, 2])],
            ),
        };
        let side = |(view, aligned, [rows, columns], [r, c]): (&View, usize, [usize; 2], [usize; 2])| {
            let as_it_is = Matrix::new(view, batch, [rows, columns], [r, c], aligned).map(|matrix| (false, matrix));
            as_it_is.or_else(|| Some((true, Matrix::new(view, batch, [columns, rows], [c, r], aligned)?)))
        };
        let [(first, left), (second, right)] = [side(sides[0])?, side(sides[1])?];
        let compute = match types[0] {
            DType::F64 => code::COMPUTE_64,
            DType::F32 if precision == Precision::Tf32 => code::COMPUTE_TF32,
            _ => code::COMPUTE_32,
        };
        Some(Asked {
            batch: batch as i32,
            transposed: [first, second],
            factors: [left, right],
            product,
            compute,
            exchanged,
        })
    }
}

/// What the library has answered: how it does a product.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer {
    algorithm: [u64; 8],
    workspace: usize,
    state: c_int,
    waves: f32,
    reserved: [c_int; 4],
}

/// A product that the library does, as often as it is asked.
#[derive(Debug)]
pub struct Product {
    context: Arc<Context>,
    description: Handle,
    /// Of both factors and the result.
    layouts: [Handle; 3],
    answer: Answer,
    asked: Asked,
}

/// Something that the library has made, with the function that ends it.
#[derive(Debug)]
struct Handle(usize, unsafe extern "C" fn(usize) -> c_int);

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: it was made by the library, which is never closed.
        unsafe { (self.1)(self.0) };
    }
}

/// Sets an attribute.
///
/// # Safety
/// The function is that of the handle, and the attribute is a `T`.
unsafe fn set<T>(
    function: unsafe extern "C" fn(usize, c_int, *const c_void, usize) -> c_int,
    handle: &Handle,
    attribute: c_int,
    value: T,
) -> Option<()> {
    // SAFETY: as the caller says.
    let code = unsafe { function(handle.0, attribute, (&raw const value).cast(), size_of::<T>()) };
    (code == SUCCESS).then_some(())
}

impl Product {
    fn new(context: &Arc<Context>, blas: &Blas, asked: Asked) -> Option<Self> {
        let library = &blas.library;
        let scale = if asked.compute == code::COMPUTE_64 { code::R64 } else { code::R32 };
        let made = |code: c_int, handle: usize, end| (code == SUCCESS).then_some(Handle(handle, end));
        let (mut handle, mut found) = (0, 0);
        let mut answer = Answer { algorithm: [0; 8], workspace: 0, state: SUCCESS, waves: 0.0, reserved: [0; 4] };
        // SAFETY: handles of the library, places to write to, and attributes of the types that the library documents.
        unsafe {
            let code = (library.cublasLtMatmulDescCreate)(&raw mut handle, asked.compute, scale);
            let description = made(code, handle, library.cublasLtMatmulDescDestroy)?;
            for (attribute, &transposed) in [code::TRANSPOSE_A, code::TRANSPOSE_B].into_iter().zip(&asked.transposed) {
                set(library.cublasLtMatmulDescSetAttribute, &description, attribute, i32::from(transposed))?;
            }
            let mut layout = |matrix: &Matrix| {
                let Matrix { kind, rows, columns, leading, stride, .. } = *matrix;
                let code = (library.cublasLtMatrixLayoutCreate)(&raw mut handle, kind, rows, columns, leading);
                let layout = made(code, handle, library.cublasLtMatrixLayoutDestroy)?;
                set(library.cublasLtMatrixLayoutSetAttribute, &layout, code::BATCH, asked.batch)?;
                set(library.cublasLtMatrixLayoutSetAttribute, &layout, code::BATCH_STRIDE, stride)?;
                Some(layout)
            };
            let layouts = [layout(&asked.factors[0])?, layout(&asked.factors[1])?, layout(&asked.product)?];
            let code = (library.cublasLtMatmulPreferenceCreate)(&raw mut handle);
            let wish = made(code, handle, library.cublasLtMatmulPreferenceDestroy)?;
            let wished = library.cublasLtMatmulPreferenceSetAttribute;
            set(wished, &wish, code::WORKSPACE, MOST_WORKSPACE as u64)?;
            set(wished, &wish, code::REDUCTIONS, REDUCTIONS)?;
            let [left, right] = &asked.factors;
            for (attribute, matrix) in code::ALIGNMENTS.into_iter().zip([left, right, &asked.product, &asked.product]) {
                set(wished, &wish, attribute, matrix.aligned)?;
            }
            let [a, b, c] = [&layouts[0], &layouts[1], &layouts[2]].map(|layout| layout.0);
            let code = (library.cublasLtMatmulAlgoGetHeuristic)(
                blas.handle,
                description.0,
                a,
                b,
                c,
                c,
                wish.0,
                1,
                &raw mut answer,
                &raw mut found,
            );
            let usable = code == SUCCESS && found == 1 && answer.state == SUCCESS;
            usable.then(|| Product { context: Arc::clone(context), description, layouts, answer, asked })
        }
    }

    /// The bytes of memory that it uses while it runs.
    pub fn workspace(&self) -> usize {
        self.answer.workspace
    }
}

impl Stream {
    /// Begins `C = A·B` over matrices at these addresses, or `C += A·B`.
    ///
    /// # Errors
    /// What the library says.
    ///
    /// # Safety
    /// There are matrices as the plan was made for, and so much workspace as it says, which nothing else uses meanwhile.
    pub unsafe fn product(
        &self,
        plan: &Product,
        [a, b, c]: [u64; 3],
        workspace: u64,
        accumulate: bool,
    ) -> Result<(), String> {
        let Product { context, description, layouts, answer, asked } = plan;
        let Some(blas) = context.blas() else { return Err("the library of products is gone".into()) };
        let [left, right] = if asked.exchanged { [b, a] } else { [a, b] };
        let (singles, doubles) = ([1.0, f32::from(accumulate)], [1.0, f64::from(accumulate)]);
        let scale = |i: usize| match asked.compute {
            code::COMPUTE_64 => (&raw const doubles[i]).cast::<c_void>(),
            _ => (&raw const singles[i]).cast::<c_void>(),
        };
        // SAFETY: as the caller says; the scales are read before the call returns.
        let code = unsafe {
            (blas.library.cublasLtMatmul)(
                blas.handle,
                description.0,
                scale(0),
                left,
                layouts[0].0,
                right,
                layouts[1].0,
                scale(1),
                c,
                layouts[2].0,
                c,
                layouts[2].0,
                answer.algorithm.as_ptr(),
                workspace,
                answer.workspace,
                self.handle(),
            )
        };
        match code {
            SUCCESS => Ok(()),
            _ => Err(format!("a product cannot be launched: cuBLASLt gives error {code}")),
        }
    }
}

/// The plans of some programs' products on a device, those that are alike once.
#[derive(Debug)]
pub struct Products {
    context: Arc<Context>,
    precision: Precision,
    known: HashMap<Asked, Option<Arc<Product>>>,
}

impl Products {
    /// No plans yet.
    pub fn new(context: &Arc<Context>, precision: Precision) -> Self {
        Products { context: Arc::clone(context), precision, known: HashMap::new() }
    }

    /// The plan of a product whose operands begin at multiples of so many bytes; none if the library is missing or cannot
    /// do it.
    pub fn plan(&mut self, gemm: &Gemm, aligned: impl Fn(usize) -> usize) -> Option<Arc<Product>> {
        let Products { context, precision, known } = self;
        let blas = context.blas()?;
        let first = |view: &View| 1 << (aligned(view.operand) | bytes(view, view.offset as isize)).trailing_zeros();
        let asked = Asked::of(gemm, [first(&gemm.a), first(&gemm.b), first(&gemm.c)], *precision)?;
        known.entry(asked).or_insert_with_key(|asked| Product::new(context, blas, asked.clone()).map(Arc::new)).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where a matrix of the library has an element.
    fn place(matrix: &Matrix, transposed: bool, batch: usize, row: usize, column: usize) -> i64 {
        let (row, column) = if transposed { (column, row) } else { (row, column) };
        assert!(row < matrix.rows as usize && column < matrix.columns as usize);
        batch as i64 * matrix.stride + row as i64 + column as i64 * matrix.leading
    }

    /// Layouts of `[batch, rows, columns]`: dense in rows and in columns, with gaps between these, without neighbours, and
    /// one matrix for all.
    fn layouts(rows: usize, columns: usize) -> Vec<(bool, [isize; 3])> {
        let (r, c, all) = (rows as isize, columns as isize, (rows * columns) as isize);
        vec![
            (true, [all, c, 1]),
            (true, [all, 1, r]),
            (true, [r * (c + 3) + 5, c + 3, 1]),
            (true, [c * (r + 2), 1, r + 2]),
            (false, [4 * all, 2 * c, 2]),
            (true, [0, c, 1]),
            (false, [all, 0, 1]),
        ]
    }

    #[test]
    fn the_library_is_asked_for_the_product_that_is_meant() {
        let view =
            |operand, strides: [isize; 3]| View { operand, offset: 0, strides: strides.to_vec(), element: DType::F32 };
        for (batch, m, n, k) in [(1, 3, 4, 5), (2, 3, 4, 5), (2, 1, 4, 5), (3, 4, 1, 2), (2, 3, 2, 1), (2, 1, 1, 1)] {
            for (fits_a, a) in layouts(m, k) {
                for (fits_b, b) in layouts(k, n) {
                    for (fits_c, c) in layouts(m, n) {
                        // Nothing is written twice.
                        if c.contains(&0) {
                            continue;
                        }
                        let (a, b, c) = (view(0, a), view(1, b), view(2, c));
                        let gemm = Gemm { batch, m, n, k, a, b, c, accumulate: false };
                        let Some(asked) = Asked::of(&gemm, [256; 3], Precision::Full) else {
                            assert!(!(fits_a && fits_b && fits_c), "{gemm:?}");
                            continue;
                        };
                        let same = |view: &View, [i, r, s]: [usize; 3], found: i64| {
                            let at = [i, r, s].into_iter().zip(&view.strides).map(|(q, &stride)| q as isize * stride);
                            assert_eq!(at.sum::<isize>() as i64, found, "{gemm:?} as {asked:?}");
                        };
                        let [left, right] = &asked.factors;
                        let [over, under] = asked.transposed;
                        for (i, r, s, q) in
                            (0..batch * m * n * k).map(|at| (at / (m * n * k), at / (n * k) % m, at / k % n, at % k))
                        {
                            // Rows and columns of the library's result.
                            let (x, y) = if asked.exchanged { (s, r) } else { (r, s) };
                            let (found_a, found_b) = (place(left, over, i, x, q), place(right, under, i, q, y));
                            let [found_a, found_b] =
                                if asked.exchanged { [found_b, found_a] } else { [found_a, found_b] };
                            same(&gemm.a, [i, r, q], found_a);
                            same(&gemm.b, [i, q, s], found_b);
                            same(&gemm.c, [i, r, s], place(&asked.product, false, i, x, y));
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn matrices_promise_no_more_than_all_of_them_keep() {
        let view = View { operand: 0, offset: 0, strides: vec![6, 3, 1], element: DType::F32 };
        let gemm = Gemm { batch: 2, m: 2, n: 3, k: 3, a: view.clone(), b: view.clone(), c: view, accumulate: false };
        let asked = Asked::of(&gemm, [256, 16, 4], Precision::Tf32).expect("it lies in rows");
        // The second matrix begins 24 bytes after the first.
        assert_eq!([asked.factors[0].aligned, asked.factors[1].aligned, asked.product.aligned], [8, 8, 4]);
        assert_eq!(asked.compute, code::COMPUTE_TF32);
        assert_eq!(Asked::of(&gemm, [8; 3], Precision::Full).map(|asked| asked.compute), Some(code::COMPUTE_32));
    }

    #[test]
    fn narrow_factors_go_together_and_add_up_in_f32() {
        use DType::{Bf16, F32, F64};
        for (types, known) in [
            ([Bf16; 3], true),
            ([Bf16, Bf16, F32], true),
            ([F32, F32, Bf16], false),
            ([Bf16, F32, F32], false),
            ([F64, F64, F32], false),
        ] {
            let [a, b, c] = types.map(|element| View { operand: 0, offset: 0, strides: vec![6, 3, 1], element });
            let gemm = Gemm { batch: 1, m: 2, n: 3, k: 3, a, b, c, accumulate: false };
            let asked = Asked::of(&gemm, [256; 3], Precision::Bf16);
            assert_eq!(asked.map(|asked| asked.compute), known.then_some(code::COMPUTE_32), "{types:?}");
        }
    }
}
