//! Dims, nets and templates of other modules and of another crate.
#![deny(warnings)]

use ansatz::prelude::*;
use ansatz::tensor::{Float, Shape, Var, add};
use blocks::inner::Feed;

net! {
    // Declared further down, and in another crate.
    use later::{Class, Head as Top};
    use blocks::{Attention, Deeper, Embed, Renamed as Deep};
    use blocks::inner::Feed;
    use self::twins::{left::Block as LeftBlock, right::Block as RightBlock};

    /// Everything together.
    pub net Model(x: [n, t, Embed], y: [n] in Class) -> [] {
        let z = x |> attention: Attention(2) |> mean(over = t) |> feed: Feed |> deep: Deep(1, act = tanh) |> deeper: Deeper;
        z |> LeftBlock |> RightBlock |> Top |> cross_entropy(y)
    }

    /// Functions of Rust: one of another crate, and one of this module with a tensor and a number more.
    pub net Doubled(x: [n, Embed], y: [n, Embed]) -> [n, Embed] {
        let z = x |> linear(Embed) |> blocks::op::double -> [n, Embed];
        self::shifted(z, y, 2) -> [n, Embed]
    }
    pub net DoubledLoss(x: [n, Embed], y: [n, Embed]) -> [] { Doubled(x, y) |> square |> mean }

    /// Another instance of the same template.
    pub net Other(x: [n, t, 12]) -> [n, t, 12] { x |> Attention(3) }

    /// An instance of a foreign template under a name of its own.
    pub net Heads = Attention(d = 6, heads = 3);
}

// Names of one's own for nets of others, and aliases of dimensions whose own names stay behind.
net! {
    use blocks::{Deeper, Pair, Single, Wide};
    use blocks::inner::Feed;

    pub net Mine = Feed;
    pub net Also = Deeper;
    pub net Loss(x: [n, Wide]) -> [] { x |> sum([n, (4 e)] -> [n, e]) |> mine: Mine |> square |> mean }

    /// What a part of a size is has a type that only the alias leads to.
    pub net Parts(x: [n, Wide], y: [n, Pair]) -> (first: [n, Wide / 4], half: [n, Single]) {
        let (a, _b) = y |> split(2);
        (first = x |> [n, (4 e)] -> [n, 4, e] |> mean([n, k, e] -> [n, e]), half = a |> linear(Single))
    }

    /// Named results, and inputs that are indices.
    pub net Chosen(x: [n, Wide], y: [n] in Single) -> (loss: [], hit: []) {
        let logits = x |> linear(Single);
        (loss = cross_entropy(logits, y), hit = mean(argmax(logits) == y))
    }

    /// Another alias, of an alias.
    pub dim Twice = 2 * Wide;
}

// Once more through a name of a name.
net! {
    use self::{Chosen, Parts, Twice};
    use blocks::{Embed, Pair};

    pub net Again = Chosen;
    pub net Eighth(x: [n, Twice]) -> [n, Embed] { x |> [n, (8 e)] -> [n, 8, e] |> sum([n, k, e] -> [n, e]) }
    pub net Through(x: [n, Twice], y: [n, Pair]) -> [n, Embed] {
        let (a, b) = x |> split(2);
        let (first, _half) = Parts(a + b, y);
        first
    }
}

// Another one of the same module.
net! {
    use blocks::Attention;

    pub net Third(x: [n, t, 12]) -> [n, t, 12] { x |> Attention(3) }
}

mod later {
    ansatz::net! {
        use blocks::Embed;
        pub dim Class = 3;
        pub net Head(x: [n, Embed]) -> [n, Class] { x |> linear(Class) }
    }
}

/// Equal names in two modules.
mod twins {
    pub mod left {
        ansatz::net! {
            use blocks::Embed;
            dim Hidden = 4;
            net Half(x: [n, d]) -> [n, Hidden] { x |> half: linear(Hidden) }
            pub net Block(x: [n, d]) -> [n, d] { x |> Half |> back: linear(d) }
            pub net Sure(x: [n, Embed]) -> [n, Embed] { x |> Block }
        }
    }
    pub mod right {
        ansatz::net! {
            dim Hidden = 4;
            net Half(x: [n, d]) -> [n, Hidden] { x |> quarter: linear(Hidden, bias = false) }
            pub net Block(x: [n, d]) -> [n, d] { x |> Half |> back: linear(d) }
        }
    }
}

fn shifted<S: Shape, E: Float>(x: &Var<S, E>, y: &Var<S, E>, times: usize) -> Var<S, E> {
    (0..times).fold(x.clone(), |sum, _| add(&sum, y))
}

fn keys<M: ansatz::nn::Model<f32>>() -> Vec<String> {
    ansatz::nn::slots::<f32, M>().into_iter().map(|slot| slot.key).collect()
}

#[test]
fn parameters_have_the_usual_keys() {
    let expected = "attention.linear1.weight attention.linear1.bias attention.proj.weight attention.proj.bias \
        feed.up.weight feed.up.bias feed.hid.weight feed.hid.bias feed.down.weight feed.down.bias \
        deep.first.weight deep.first.bias deep.last.weight deep.last.bias \
        deep.sequential1.0.up.weight deep.sequential1.0.up.bias deep.sequential1.0.hid.weight \
        deep.sequential1.0.hid.bias deep.sequential1.0.down.weight deep.sequential1.0.down.bias \
        deep.squash.linear1.weight deep.squash.linear1.bias deep.squash.linear2.weight deep.squash.linear2.bias";
    let found = keys::<Model>();
    assert_eq!(found[..24].join(" "), expected.split_whitespace().collect::<Vec<_>>().join(" "));
    assert_eq!(
        found[found.len() - 9..].join(" "),
        "left_block.half.half.weight left_block.half.half.bias left_block.back.weight left_block.back.bias \
         right_block.half.quarter.weight right_block.back.weight right_block.back.bias top.weight top.bias"
            .replace("top.", "top.linear1.")
    );
}

#[test]
fn a_net_of_another_crate_is_the_same_type_wherever_it_is_used() {
    let model: Model = Model::init(1);
    let feed: Feed = model.feed.clone();
    let x = from_vec(vec![0.5; 16], (2, blocks::Embed)).unwrap();
    assert_eq!(to_vec(&feed.forward(x).unwrap()).len(), 16);
}

ansatz::gradcheck!(Model);
ansatz::gradcheck!(DoubledLoss);

// A net may have the name of a module's, and both a check of it.
mod elsewhere {
    ansatz::net! {
        pub use super::later::Class;
        use blocks::Attention;
        pub net Model(x: [n, t, 4]) -> [] { x |> Attention(2) |> square |> mean }
    }
    ansatz::gradcheck!(crate::borders::elsewhere::Model);
}

#[test]
fn instances_of_a_template_belong_to_the_net_that_made_them() {
    let (other, third, heads): (Other, Third, Heads) = (Other::init(1), Third::init(1), Heads::init(1));
    let names = [std::any::type_name_of_val(&other.attention), std::any::type_name_of_val(&third.attention)];
    assert_eq!(
        names.map(|name| name.rsplit("::").next().unwrap().split('<').next().unwrap().to_owned()),
        ["OtherAttentionHeads3", "ThirdAttentionHeads3"]
    );
    assert_eq!(keys::<Heads>(), ["linear1.weight", "linear1.bias", "proj.weight", "proj.bias"]);
    assert_eq!(to_vec(&heads.proj.weight).len(), 36);
}

#[test]
fn an_alias_of_a_foreign_net_is_as_good_as_a_net() -> Result<()> {
    let x = |rows: usize| from_vec(vec![0.5; 8 * rows], (rows, blocks::Embed));
    let mine: Mine = Mine::init(1);
    let feed: &Feed = &mine;
    // With any type of its run-time dimension, made in both ways.
    let fixed: MineBatch<f32, Const<2>> = MineBatch::from(from_vec(vec![0.5; 16], (Const, blocks::Embed))?);
    let open = MineBatch { x: x(2)? };
    let results = [ansatz::nn::forward(&mine, &fixed)?, ansatz::nn::forward(&mine, &open)?, feed.forward(x(2)?)?];
    assert!(results.iter().all(|result| to_vec(result) == to_vec(&results[0])));
    let also: Also = Also::init(1);
    assert_eq!(to_vec(&also.session()?.run(&AlsoBatch { x: x(3)? })?).len(), 24);
    let again: Again = Again::init(2);
    let y = Indices::new(vec![0, 2], (2,))?;
    let batch = AgainBatch { x: from_vec(vec![0.5; 64], (2, Const))?, y };
    let AgainOutput { loss, hit } = ansatz::nn::forward(&again, &batch)?;
    assert!(to_vec(&loss)[0] > 0.0 && to_vec(&hit)[0] <= 1.0);
    assert_eq!(to_vec(&again.gradient(&batch)?.0), to_vec(&loss));
    Ok(())
}

ansatz::gradcheck!(Loss);

#[test]
fn an_alias_of_a_dimension_leads_to_what_it_is_made_of() -> Result<()> {
    let parts: Parts = Parts::init(1);
    let wide = |rows: usize| from_vec((0..32 * rows).map(|i| i as f32).collect(), (rows, blocks::Wide));
    let found = parts.forward(wide(1)?, from_vec(vec![1.0; 6], (1, blocks::Pair))?)?;
    // The types are those of the other crate.
    let first: Tensor<(usize, blocks::Embed), f32, Cpu> = found.first;
    let half: Tensor<(usize, blocks::Single), f32, Cpu> = found.half;
    assert_eq!((to_vec(&first)[..2].to_vec(), to_vec(&half).len()), (vec![12.0, 13.0], 3));
    assert_eq!(<blocks::Pair as ConstDim>::SIZE + <Twice as ConstDim>::SIZE, 6 + 64);
    let eighth: Eighth = Eighth::init(1);
    let ones = || from_vec(vec![1.0; 64], (1, Twice));
    assert_eq!(to_vec(&eighth.forward(ones()?)?), [8.0; 8]);
    let through: Through = Through::init(1);
    let y = from_vec(vec![1.0; 6], (1, blocks::Pair))?;
    assert_eq!(to_vec(&through.forward(ones()?, y)?), [2.0; 8]);
    Ok(())
}

#[test]
fn a_name_that_goes_through_a_net_is_known_to_rust_too() {
    assert_eq!(<elsewhere::Class as ConstDim>::SIZE, 3);
}

#[test]
fn a_function_of_rust_is_a_step_of_a_net() {
    let doubled: Doubled = Doubled::init(1);
    let at = |y: f32| {
        let values = |value: f32| from_vec(vec![value; 8], (1, blocks::Embed)).unwrap();
        to_vec(&doubled.forward(values(0.5), values(y)).unwrap())
    };
    let linear = at(0.0);
    assert!(linear.iter().any(|x| *x != 0.0));
    assert!(at(0.25).iter().zip(&linear).all(|(shifted, x)| (shifted - x - 0.5).abs() < 1e-6));
}

net! {
    pub dim Pixels = 64;
    pub dim Digit = 10;
    pub net Read(x: [n, Pixels]; width = 16) -> [n, Digit] { x |> hidden: linear(width) |> relu |> out: linear(Digit) }
    pub net Wide = Read(width = 32);
    pub net Risk(x: [n, Pixels], y: [n] in Digit) -> (loss: [], correct: []) {
        let logits = read: Read(x);
        (loss = cross_entropy(logits, y), correct = mean(argmax(logits) == y))
    }
    pub net WideRisk(x: [n, Pixels], y: [n] in Digit) -> [] { x |> read: Wide |> cross_entropy(y) }
}

/// Trains any net, and gives it as it is read again from a file, with its losses before and after.
fn fit<N: Trainable<f32>>(data: &dyn Dataset<N::Batch>) -> Result<(N, f64, f64)> {
    let mut trainer = Trainer::builder(ansatz::nn::init::<f32, N>(1), AdamW::new(3e-3)).epochs(2).build()?;
    let before = trainer.evaluate(data)?.loss();
    trainer.fit(data, None)?;
    let after = trainer.evaluate(data)?.loss();
    let path = std::env::temp_dir().join(format!("ansatz-borders-{}-{}.safetensors", N::NAME, std::process::id()));
    ansatz::train::save(&trainer.model()?, &path)?;
    let read = ansatz::train::load(&path);
    let _ = std::fs::remove_file(path);
    Ok((read?, before, after))
}

#[test]
fn one_function_trains_any_net() {
    let digits = ansatz::data::digits::<Pixels, Digit, f32>().unwrap();
    let (risk, before, after) = fit::<Risk>(&digits).unwrap();
    assert!(after < 0.8 * before, "{before} {after}");
    let (wide, before, after) = fit::<WideRisk>(&digits).unwrap();
    assert!(after < 0.8 * before, "{before} {after}");
    // The parts are nets too.
    let logits = |net: &dyn Fn() -> Result<Tensor<(usize, Digit), f32, Cpu>>| to_vec(&net().unwrap());
    let x = digits.features();
    let narrow = logits(&|| risk.read.forward(x.clone()));
    let again = logits(&|| ansatz::nn::forward(&risk.read, &ReadBatch::from(x.clone())));
    assert_eq!(narrow, again);
    assert_ne!(narrow, logits(&|| wide.read.forward(x.clone())));
}
