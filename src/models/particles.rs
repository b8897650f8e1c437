//! Attention by itself, as a system of particles that interact: "The Mathematics of Artificial Intelligence" (Peyré),
//! equations 13 and 14.

use crate::net;

net! {
    /// How each token xᵢ moves among all tokens xⱼ (in causal order, among those before it and itself): in each head
    /// V Σⱼ softmaxⱼ(⟨Q xᵢ, K xⱼ⟩ / √e) xⱼ, added up over the heads.
    pub net Move(x: [n, t, d]; heads: usize, causal: bool) -> [n, t, d] where heads | d {
        let by_head = |z| z |> [n, t, (heads e)] -> [n, heads, t, e];
        let (q, k, v) = (x |> q: linear(d, bias = false), x |> k: linear(d, bias = false), x |> v: linear(d, bias = false));
        attention(by_head(q), by_head(k), by_head(v), causal) |> [n, heads, t, e] -> [n, t, (heads e)]
            |> o: linear(d, bias = false)
    }

    /// xˡ⁺¹ = xˡ + Γ(xˡ) / L with L layers, so that depth is a time that runs from 0 to 1.
    pub net Particles(x: [n, t, d]; layers: usize, heads: usize, causal: bool = false) -> [n, t, d] {
        x |> layer: [|x| x + (x |> attention: Move(heads, causal)) / layers; layers]
    }

    /// Points of the plane, 16 layers.
    pub net Plane = Particles(d = 2, layers = 16, heads = 1);
    /// The same, where each sees those before it alone.
    pub net OrderedPlane = Particles(d = 2, layers = 16, heads = 1, causal = true);
}
