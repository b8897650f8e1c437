use ansatz::prelude::*;

net! {
    pub dim Pixels = 784;
    pub dim Digit = 10;

    pub net Mlp(x: [n, Pixels]) -> [n, Digit] {
        x |> fc1: lienar(256) |> relu |> fc2: linear(Digit)
    }
}

fn main() {
    let mlp: Mlp = Mlp::init(0);
    let _ = mlp.session();
}
