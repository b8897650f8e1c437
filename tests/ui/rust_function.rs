use ansatz::prelude::*;
use ansatz::tensor::{Float, Var};

fn halves<N: Dim, E: Float>(x: &Var<(N, Const<8>), E>) -> Var<(N, Const<4>), E> {
    ansatz::tensor::slice(&x.erase(), 1, 0, (x.shape().0, Const))
}

net! {
    pub net Wide(x: [n, 8]) -> [n, 5] {
        x |> linear(8) |> self::halves -> [n, 5]
    }
}

fn main() {}
