//! Matrix products as data.

use super::view::{Access, View};

/// `C = A·B`, or `C += A·B`, for a batch of matrices with any strides: `A` is `[m, k]`, `B` `[k, n]`, `C` `[m, n]`. The
/// axes of a view are the number of the matrix, its rows and its columns.
#[derive(Clone, Debug, PartialEq)]
pub struct Gemm {
    /// The number of products.
    pub batch: usize,
    /// Rows of `A` and `C`.
    pub m: usize,
    /// Columns of `B` and `C`.
    pub n: usize,
    /// Columns of `A`, rows of `B`.
    pub k: usize,
    /// The left factor.
    pub a: View,
    /// The right factor.
    pub b: View,
    /// The product.
    pub c: View,
    /// Whether to add to `C` instead of replacing it.
    pub accumulate: bool,
}

impl Gemm {
    pub(super) fn views_mut(&mut self, visit: &mut dyn FnMut(Access, &mut View, &[usize])) {
        let Gemm { batch, m, n, k, .. } = *self;
        visit(Access::Read, &mut self.a, &[batch, m, k]);
        visit(Access::Read, &mut self.b, &[batch, k, n]);
        let access = if self.accumulate { Access::Update } else { Access::Write };
        visit(access, &mut self.c, &[batch, m, n]);
    }
}
