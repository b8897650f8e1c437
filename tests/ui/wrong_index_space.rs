use ansatz::prelude::*;

net! {
    pub dim Pixels = 784;
    pub dim Digit = 10;
    pub dim Finger = 10;

    pub net Risk(x: [n, Pixels], y: [n] in Finger) -> [] {
        x |> linear(Digit) |> cross_entropy(y)
    }
}

fn main() {}
