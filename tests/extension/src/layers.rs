//! Layers with parameters.

use ansatz::nn::Start;

/// The matrix of HiPPO-LegS (Gu et al. 2020), which keeps what a state has seen as coefficients of Legendre polynomials:
/// −√(2i + 1) √(2j + 1) below the diagonal and −(i + 1) on it. A scale multiplies all of it.
pub fn hippo(start: &Start<'_>, scale: f64) -> Vec<f64> {
    let columns = start.dims()[1];
    let root = |i: usize| ((2 * i + 1) as f64).sqrt();
    let value = |i: usize, j: usize| match i.cmp(&j) {
        std::cmp::Ordering::Greater => -root(i) * root(j),
        std::cmp::Ordering::Equal => -((i + 1) as f64),
        std::cmp::Ordering::Less => 0.0,
    };
    (0..start.len()).map(|at| scale * value(at / columns, at % columns)).collect()
}

/// Normal with the deviation that keeps the mean of both variances, forward and back.
pub fn balanced(start: &Start<'_>) -> Vec<f64> {
    let [out, inner] = start.fans();
    (0..start.len()).map(|i| (2.0 / (out + inner)).sqrt() * start.normal(i)).collect()
}

/// As many values as no tensor takes.
pub fn one_more(start: &Start<'_>) -> Vec<f64> {
    vec![0.0; start.len() + 1]
}

ansatz::net! {
    /// A linear memory: states move by the matrix of HiPPO, and inputs come in by a matrix of their own.
    pub net Memory(state: [n, d], x: [n, k]; scale = 0.5) -> [n, d] {
        param a: [d, d] = crate::layers::hippo(scale);
        param b: [d, k] = crate::layers::balanced;
        einsum(state[n, j], a[i, j] -> [n, i]) + einsum(x[n, j], b[i, j] -> [n, i])
    }

    /// A linear layer whose weight is the product of two thin matrices, `up · down` (LoRA: Hu et al. 2022, by itself). It
    /// gives nothing but its bias at first.
    pub net LowRank(x: [n, d]; width: usize, rank = 2, start = 0.25) -> [n, width] {
        param down: [rank, d] = kaiming_uniform;
        param up: [width, rank] = zeros;
        param bias: [width] = start;
        einsum(x[n, i], down[r, i], up[o, r] -> [n, o]) + bias
    }
}
