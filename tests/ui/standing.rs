//! Where a `net!` stands, and names that something else has in its module.
use ansatz::prelude::*;

net! {
    pub dim Pixels = 784;
    pub net Mlp(x: [n, Pixels]) -> [n, 10] { x |> linear(10) }
}

struct Gate;

net! {
    pub dim Pixels = 783;
    pub net Mlp(x: [n, Pixels]) -> (loss: []) { (loss = x |> linear(Pixels) |> mean) }
    pub net Gate(x: [n, 8]) -> [n, 8] { x |> linear(8) |> sigmoid }
    pub net Other(x: [n, Pixels]) -> [n, 3] { x |> linear(3) }
}

impl Gate {
    net! { pub net Inside(x: [n, 8]) -> [n, 8] { x |> linear(8) } }
}

mod another {
    use ansatz::prelude::*;

    net! { pub net Mlp(x: [n, 4]) -> [n, 4] { x |> linear(4) } }
}

fn main() {
    let model = net! { net Local(x: [n, 8]) -> [n, 8] { x |> linear(8) } };
    let _: Other<f32> = Other::init(0);
    let _: another::Mlp<f32> = another::Mlp::init(0);
}
