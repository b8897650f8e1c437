//! Affine maps of each element, whose shift and scale a net may calculate (Dinh et al. 2017, "Real NVP").

use crate::graph::{Binary, Unary};
use crate::tensor::composite::scale;
use crate::tensor::{Float, Shape, Var, record_two};
use crate::{Error, Result};

/// The logarithm of the scale lies between −ln 1000 and ln 1000.
const GREATEST: f64 = 1e3;

/// eᵃ x + b for each element, and the logarithm of its slope, a. `parameters` has two numbers for each element, side by side
/// along the last axis: b, and p with a = p / (1 + |p| / ln 1000). With `inverse`, the inverse map and the logarithm of its
/// slope.
///
/// # Errors
/// At [`Scope::finish`](crate::tensor::Scope::finish): if `parameters` has not two numbers for each element.
pub fn affine<S: Shape, P: Shape, E: Float>(
    x: &Var<S, E>,
    parameters: &Var<P, E>,
    inverse: bool,
) -> (Var<S, E>, Var<S, E>) {
    record_two(&[x.erased(), parameters.erased()], *x.shape(), &|g, n| {
        let (dims, numbers) = (g[n[0]].dims.clone(), g[n[1]].len());
        let elements = g[n[0]].len();
        if numbers != 2 * elements {
            let message = format!("{elements} elements take 2 parameters each, not {numbers} in all");
            return Err(Error::shape("affine", message));
        }
        let parameters = g.reshape(n[1], &[elements, 2])?;
        let mut half = |i| -> Result<_> {
            let half = g.slice(parameters, 1, i, 1)?;
            g.reshape(half, &dims)
        };
        let (shift, raw) = (half(0)?, half(1)?);
        let size = g.unary(Unary::Abs, raw)?;
        let size = scale(g, size, 1.0 / GREATEST.ln())?;
        let one = g.constant_like(1.0, size);
        let bend = g.binary(Binary::Add, size, one)?;
        let slope = g.binary(Binary::Div, raw, bend)?;
        if inverse {
            let slope = g.unary(Unary::Neg, slope)?;
            let factor = g.unary(Unary::Exp, slope)?;
            let centred = g.binary(Binary::Sub, n[0], shift)?;
            return Ok([g.binary(Binary::Mul, centred, factor)?, slope]);
        }
        let factor = g.unary(Unary::Exp, slope)?;
        let scaled = g.binary(Binary::Mul, n[0], factor)?;
        Ok([g.binary(Binary::Add, scaled, shift)?, slope])
    })
}
