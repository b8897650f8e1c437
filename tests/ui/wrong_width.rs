use ansatz::prelude::*;

net! {
    pub dim Pixels = 784;
    pub dim Hidden = 512;
    pub dim Digit = 10;

    pub net Head(h: [n, Hidden]) -> [n, Digit] {
        h |> linear(Digit)
    }

    pub net Mlp(x: [n, Pixels]) -> [n, Digit] {
        x |> fc1: linear(256) |> relu |> head: Head
    }
}

fn main() {
    // The rest of the file keeps its types: this is no further error.
    let mlp: Mlp = Mlp::init(0);
    println!("{:?}", mlp.fc1.weight);
}
