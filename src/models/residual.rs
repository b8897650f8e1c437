//! Residual networks as differential equations in steps: x ↦ x + (1/L) Uᵀ σ(V x + b), L times.

use crate::net;

net! {
    /// One step; with `scale` = 1/L the net has a limit as L grows (E 2017; Marion et al. 2024).
    pub net Step(x: [n, d]; hidden: usize, scale: f64) -> [n, d] {
        x + scale * (x |> v: linear(hidden) |> tanh |> u: linear(d, bias = false))
    }

    /// So many steps of one size.
    pub net Residual(x: [n, d]; hidden: usize, depth: usize, scale: f64) -> [n, d] {
        x |> steps: [Step(hidden, scale); depth]
    }

    /// A hundred steps on points of the plane.
    pub net Residual100 = Residual(d = 2, hidden = 16, depth = 100, scale = 0.01);
}
