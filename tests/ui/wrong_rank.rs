use ansatz::prelude::*;

net! {
    pub dim Pixels = 784;
    pub dim Digit = 10;

    pub net Classify(x: [n, Pixels]) -> [n, Digit] {
        x |> linear(Digit)
    }

    pub net Ranks(x: [n, t, Pixels]) -> [n, Digit] {
        x |> relu |> Classify
    }
}

fn main() {
    let _: Option<RanksBatch> = None;
}
