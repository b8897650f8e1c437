use ansatz::prelude::*;

net! {
    use blocks::{Attention, Embed};

    pub net Tiny(x: [n, t, Embed]) -> [n, t, Embed] {
        x |> Attention(3)
    }
}

fn main() {
    let tiny: Tiny = Tiny::init(0);
    println!("{:?}", tiny.attention);
}
