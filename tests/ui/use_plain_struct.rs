use ansatz::prelude::*;

net! {
    use blocks::Plain;

    pub net Tiny(x: [n, 4]) -> [n, 4] { x |> linear(4) }
}

fn main() {}
