use ansatz::prelude::*;

net! {
    pub net Tower(x: [n, d]; depth: usize) -> [n, 3] { x |> blocks: [linear(d); depth] |> linear(3) }
}

fn main() {
    let tower: Tower = Tower::init(0);
}
