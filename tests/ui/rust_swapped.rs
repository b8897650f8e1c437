//! Two run-time dimensions are two type parameters, so rustc keeps them apart in the user's own code.
use ansatz::prelude::*;
use ansatz::tensor::{Scope, Var};

net! {
    pub dim Embed = 8;

    pub net Mix(x: [n, t, Embed], weight: [n, 1, Embed]) -> [n, t, Embed] {
        linear(Embed)(x) * weight
    }
}

fn record<N: Dim, T: Dim>(scope: &Scope, x: &Var<(T, N, Embed), f32>, weight: &Var<(N, Const<1>, Embed), f32>) {
    let _ = Mix::record(scope, x, weight);
}

fn forward<N: Dim, T: Dim>(
    mix: &Mix,
    x: Tensor<(N, T, Embed), f32, Cpu>,
    weight: Tensor<(T, Const<1>, Embed), f32, Cpu>,
) {
    let _ = mix.forward(x, weight);
}

fn main() {}
