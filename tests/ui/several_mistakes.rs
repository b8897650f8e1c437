use ansatz::prelude::*;

net! {
    pub dim Pixels = 784;
    dim Secret = 3;

    pub net One(x: [n, Pixels], s: [n, Secret]) -> [n, Secret] {
        x |> linear(Secret) |> dropot(0.1)
    }

    net Two(x: [n, Pixels]) -> [n] {
        let y = relu(x);
        mean(x, over = Pixel)
    }
}

fn main() {}
