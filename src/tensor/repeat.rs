//! Equal layers in sequence.

use super::{Element, Shape, Var};

/// So many layers in sequence, each of which gives what the next one takes: `layer` is told which one it is, from 0.
///
/// ```
/// use ansatz::tensor::{Scope, repeat, sin};
///
/// let scope = Scope::new(true);
/// let x = scope.input::<(usize,), f32>("x", (3,));
/// let y = repeat(&x, 4, |_, x| sin(&x));
/// assert_eq!(y.shape(), &(3,));
/// ```
pub fn repeat<S: Shape, T: Element>(
    x: &Var<S, T>,
    times: usize,
    mut layer: impl FnMut(usize, Var<S, T>) -> Var<S, T>,
) -> Var<S, T> {
    (0..times).fold(x.clone(), |x, i| layer(i, x))
}
