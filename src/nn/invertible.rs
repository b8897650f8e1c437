//! `invertible_linear`: a linear map whose inverse and determinant are at hand.

use super::{Init, Model, Slot, Source, Visitor};
use crate::Result;
use crate::graph::{Binary, Compare, Graph, NodeId, StateKind, Unary};
use crate::tensor::composite::back;
use crate::tensor::{ConstDim, Cpu, EndsWith, Float, Path, Scope, Tensor, Var, record_two};

/// `invertible_linear`: L U x on the last axis, an invertible 1×1 convolution in its LU form (Kingma, Dhariwal 2018, "Glow").
/// L has ones on its diagonal and U the exponentials of the weights there; below and above stand the other weights. Keyed
/// `weight` `[D, D]`, which starts as 0: the identity.
#[derive(Clone, Debug)]
pub struct InvertibleLinear<D: ConstDim, E: Float = f32> {
    /// Below the diagonal L, above it U, on it the logarithms of U's diagonal.
    pub weight: Tensor<(D, D), E, Cpu>,
}

impl<D: ConstDim, E: Float> InvertibleLinear<D, E> {
    /// Records the layer, and logarithms whose sum over the last axis is that of the determinant.
    pub fn record<S: EndsWith<D>>(scope: &Scope, x: &Var<S, E>) -> (Var<S, E>, Var<S, E>) {
        Self::map(scope, x, false)
    }

    /// Records the inverse in the same way.
    pub fn record_inverse<S: EndsWith<D>>(scope: &Scope, y: &Var<S, E>) -> (Var<S, E>, Var<S, E>) {
        Self::map(scope, y, true)
    }

    fn map<S: EndsWith<D>>(scope: &Scope, x: &Var<S, E>, inverse: bool) -> (Var<S, E>, Var<S, E>) {
        let weight = scope.parameter::<(D, D), E>("weight", Default::default());
        record_two(&[x.erased(), weight.erased()], *x.shape(), &|g, n| {
            let dims = g[n[0]].dims.clone();
            let leading: Vec<usize> = (0..dims.len() - 1).collect();
            let rows: usize = dims[..dims.len() - 1].iter().product();
            let [lower, upper, mut logarithms] = parts(g, n[1], inverse)?;
            let rows_of = g.reshape(n[0], &[rows, D::SIZE])?;
            // Rows are multiplied by the transposed matrices, the right one of the product first.
            let order = if inverse { [lower, upper] } else { [upper, lower] };
            let half = g.matmul(rows_of, order[0], [false, true])?;
            let y = g.matmul(half, order[1], [false, true])?;
            if inverse {
                logarithms = g.unary(Unary::Neg, logarithms)?;
            }
            Ok([g.reshape(y, &dims)?, back(g, logarithms, n[0], &leading)?])
        })
    }
}

/// L and U, or their inverses, and the logarithms of U's diagonal.
fn parts(g: &mut Graph, weight: NodeId, inverse: bool) -> Result<[NodeId; 3]> {
    let dims = g[weight].dims.clone();
    let (row, column) = (g.iota(&dims, 0)?, g.iota(&dims, 1)?);
    let there = |g: &mut Graph, op| -> Result<NodeId> {
        let holds = g.compare(op, row, column)?;
        Ok(g.cast(holds, g[weight].dtype))
    };
    let (below, above, on) = (there(g, Compare::Gt)?, there(g, Compare::Lt)?, there(g, Compare::Eq)?);
    let lower = g.binary(Binary::Mul, weight, below)?;
    let upper = g.binary(Binary::Mul, weight, above)?;
    let diagonal = g.binary(Binary::Mul, weight, on)?;
    let logarithms = g.sum(diagonal, &[1])?;
    let factors = g.unary(Unary::Exp, logarithms)?;
    if !inverse {
        let factors = back(g, factors, weight, &[1])?;
        let diagonal = g.binary(Binary::Mul, on, factors)?;
        return Ok([g.binary(Binary::Add, lower, on)?, g.binary(Binary::Add, upper, diagonal)?, logarithms]);
    }
    // U = S (1 + S⁻¹ N), so U⁻¹ = (1 + S⁻¹ N)⁻¹ S⁻¹.
    let shares = g.unary(Unary::Recip, factors)?;
    let rows = back(g, shares, weight, &[1])?;
    let scaled = g.binary(Binary::Mul, upper, rows)?;
    let (lower, upper) = (inverse_of_one_plus(g, lower, on)?, inverse_of_one_plus(g, scaled, on)?);
    let columns = back(g, shares, weight, &[0])?;
    Ok([lower, g.binary(Binary::Mul, upper, columns)?, logarithms])
}

/// (1 + N)⁻¹ of a triangular N without diagonal: (1 − N)(1 + N²)(1 + N⁴) …, which ends, as a power of N is 0.
fn inverse_of_one_plus(g: &mut Graph, n: NodeId, one: NodeId) -> Result<NodeId> {
    let size = g[n].dims[0];
    let mut power = g.unary(Unary::Neg, n)?;
    let mut product = g.binary(Binary::Add, one, power)?;
    let mut exponent = 2;
    while exponent < size {
        power = g.matmul(power, power, [false, false])?;
        let factor = g.binary(Binary::Add, one, power)?;
        product = g.matmul(product, factor, [false, false])?;
        exponent *= 2;
    }
    Ok(product)
}

impl<D: ConstDim, E: Float> Model<E> for InvertibleLinear<D, E> {
    const PARAMETERS: usize = D::SIZE * D::SIZE;

    fn describe(path: &Path, slots: &mut Vec<Slot>) {
        slots.push(slot::<D>(path));
    }

    fn build(path: &Path, source: &mut dyn Source<E>) -> Result<Self> {
        Ok(InvertibleLinear { weight: slot::<D>(path).build(source)? })
    }

    fn visit(&self, path: &Path, visitor: &mut dyn Visitor<E>) -> Result<()> {
        visitor.tensor(&slot::<D>(path), &self.weight)
    }
}

fn slot<D: ConstDim>(path: &Path) -> Slot {
    Slot::new::<(D, D)>(path, "weight", StateKind::Parameter, Init::Constant(0.0), false)
}
