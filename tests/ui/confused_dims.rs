use ansatz::prelude::*;

net! {
    pub dim Time = 64;
    pub dim Embed = 64;

    pub net Add(x: [n, Time], y: [n, Embed]) -> [n, Time] {
        x + y
    }
}

fn main() {}
