//! Layers with parameters.

ansatz::net! {
    /// A linear layer whose weight is the product of two thin matrices, `up · down` (LoRA: Hu et al. 2022, by itself). It
    /// gives nothing but its bias at first.
    pub net LowRank(x: [n, d]; width: usize, rank = 2, start = 0.25) -> [n, width] {
        param down: [rank, d] = kaiming_uniform;
        param up: [width, rank] = zeros;
        param bias: [width] = start;
        einsum(x[n, i], down[r, i], up[o, r] -> [n, o]) + bias
    }
}
