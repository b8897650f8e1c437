//! What rustc itself says of nets, optimisers, data sets and dimensions that do not go together.
use ansatz::data::Labelled;
use ansatz::prelude::*;

net! {
    pub dim Pixels = 784;
    pub dim Cells = 784;
    pub dim Digit = 10;

    pub net Mlp(x: [n, Pixels]) -> [n, Digit] { x |> linear(Digit) }
    pub net Risk(x: [n, Pixels], y: [n] in Digit) -> [] { cross_entropy(Mlp(x), y) }
}

fn without_a_loss() {
    let _ = Trainer::builder(Mlp::<f32>::init(0), Adam::new(1e-3));
}

fn in_another_order() {
    let _ = Trainer::builder(Adam::new(1e-3), 784);
}

fn of_other_dims(trainer: &mut Trainer<Risk>, data: &Labelled<Cells, Digit, f32>) {
    let _ = trainer.fit(data, None);
}

fn without_elements() {
    let _ = Mlp::init(0);
}

fn as_a_number() -> usize {
    2 * Pixels
}

fn main() {}
