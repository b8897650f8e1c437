//! Facts about sizes that generic code states as bounds and that do not hold.
use ansatz::prelude::*;
use ansatz::tensor::{Divides, HasNumber, Product, SameSize};

net! {
    pub dim Heads = 12;
    pub dim Time = 64;
    pub dim Embed = 770;
}

fn transpose<A: SameSize<B>, B: HasNumber>() {}

fn split_heads<H: HasNumber + Divides<D>, D: HasNumber>() {}

fn flatten<A: HasNumber, B: HasNumber, C: Product<A, B>>() {}

fn main() {
    transpose::<Time, Embed>();
    split_heads::<Heads, Embed>();
    flatten::<Heads, Const<64>, Embed>();
    transpose::<Time, Const<64>>();
}
