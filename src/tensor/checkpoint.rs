//! Memory for time: layers that are computed again.

use super::{Float, Shape, Var, record};

/// What a layer gives for `x`. In training, its derivative keeps what the layer reads, and computes again what lies between
/// (Griewank 1992; Chen et al. 2016, "Training Deep Nets with Sublinear Memory Cost"). Random draws and running statistics
/// are those of one run of the layer.
///
/// ```
/// use ansatz::tensor::{Scope, checkpoint, exp, sin};
///
/// let scope = Scope::new(true);
/// let x = scope.input::<(usize,), f32>("x", (3,));
/// let y = checkpoint(&x, || sin(&exp(&x)));
/// assert_eq!(y.shape(), &(3,));
/// ```
pub fn checkpoint<S: Shape, T: Shape, E: Float>(x: &Var<S, E>, layer: impl FnOnce() -> Var<T, E>) -> Var<T, E> {
    let Some(since) = x.erased().tracer.recorded() else { return layer() };
    let y = layer();
    record(&[y.erased()], *y.shape(), &|g, n| g.checkpoint(since, n[0]))
}
