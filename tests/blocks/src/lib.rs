//! A crate of blocks, as someone may publish one: dims, nets, templates and aliases for the nets of others.
#![deny(warnings)]

mod shapes;

pub use inner::{Attention, Deep as Renamed};
pub use shapes::{Both as Pair, Embed, Single, Wide};

/// Functions over recorded tensors.
pub mod op {
    use ansatz::tensor::{Dim, Float, Var, add};

    /// Twice each element.
    pub fn double<N: Dim, D: Dim, E: Float>(x: &Var<(N, D), E>) -> Var<(N, D), E> {
        add(x, x)
    }
}

/// Nothing of `net!`.
pub struct Plain;

/// Blocks whose parts nobody else can name.
pub mod inner {
    use ansatz::net;

    net! {
        use crate::shapes::{Embed, Wide};

        /// A size that is seen here alone.
        dim Hidden = 5;

        /// A net that is seen here alone.
        net Squash(x: [n, d]) -> [n, d] { x |> linear(Hidden) |> tanh |> linear(d) }

        /// Attention of several heads, whatever the size of its input.
        pub net Attention(x: [n, t, d]; heads: usize) -> [n, t, d] where heads | d {
            let (q, k, v) = x |> linear(3 * d) |> split(3);
            let by_head = |z| z |> [n, t, (heads e)] -> [n, heads, t, e];
            attention(by_head(q), by_head(k), by_head(v), causal = true)
                |> [n, heads, t, e] -> [n, t, (heads e)]
                |> proj: linear(d)
        }

        /// A net as it stands, whose input is of a dimension of another module.
        pub net Feed(x: [n, Embed]) -> [n, Embed] { x |> up: linear(Wide) |> gelu |> hid: linear(Hidden) |> down: linear(Embed) }

        /// A template with a private dimension, a private net, a public net and a function of Rust.
        pub net Deep(x: [n, Embed]; depth: usize, act = relu) -> [n, Embed] {
            x |> first: linear(Hidden) |> act |> last: linear(Embed)
                |> [Feed; depth] |> squash: Squash |> crate::op::double -> [n, Embed]
        }
    }
}

/// Maps with an inverse.
pub mod flows {
    ansatz::net! {
        /// The coordinates of a point.
        pub dim Space = 4;

        /// A flow that is seen here alone.
        flow Bend(x: [n, d]; slope = 0.5) { x |> affine |> leaky_relu(slope) }

        /// A flow as it stands, with a private one inside.
        pub flow Warp(x: [n, Space]) { x |> coupling(hidden = 6, act = tanh) |> reverse |> Bend }

        /// A template, for points of any dimension.
        pub flow Steps(x: [n, d]; hidden: usize, depth = 2) {
            x |> [[coupling(hidden = hidden, act = tanh), reverse]; depth] |> mix: invertible_linear
        }

        /// A flow with a condition.
        pub flow Given(x: [n, Space], c: [n, 1]) {
            x |> coupling(|a| concat(a, c) |> linear(8) |> tanh |> linear(Space)) |> reverse
        }
    }
}

ansatz::net! {
    use inner::Deep;

    /// A template with its hyper-parameters.
    pub net Deeper = Deep(depth = 2);
}
