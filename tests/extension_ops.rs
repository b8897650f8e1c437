//! A differentiable op of another crate, as a step of nets.
#![deny(warnings)]

use ansatz::graph::{Custom, Function, Graph, NodeId, Values};
use ansatz::nn::Stream;
use ansatz::prelude::*;
use ansatz::tensor::{Float, Shape, Var};

net! {
    pub dim Features = 3;

    /// Two uses of the op: along time, and along features.
    pub net Smooth(x: [n, t, Features]) -> [n, t, Features] {
        let y = x |> linear(Features) |> [n, t, d] -> [n, d, t];
        let y = extension::ops::leaky(y, 0.5) -> [n, Features, t];
        y |> [n, d, t] -> [n, t, d] |> tanh |> mix: linear(Features)
    }
    pub net Rows(x: [n, t, Features]) -> [n, t, Features] {
        x |> extension::ops::leaky(0.25) -> [n, t, Features] |> linear(Features)
    }
    pub net Astray0(x: [n, t, Features]) -> [n, t, Features] { x |> self::astray(0) -> [n, t, Features] |> linear(Features) }
    pub net Astray1(x: [n, t, Features]) -> [n, t, Features] { x |> self::astray(1) -> [n, t, Features] |> linear(Features) }
    pub net Astray2(x: [n, t, Features]) -> [n, t, Features] { x |> self::astray(2) -> [n, t, Features] |> linear(Features) }
    pub net Astray3(x: [n, t, Features]) -> [n, t, Features] { x |> self::astray(3) -> [n, t, Features] |> linear(Features) }
    pub net Loss(x: [n, t, Features]) -> [] { x |> smooth: Smooth |> rows: Rows |> square |> mean }
}

ansatz::gradcheck!(Loss);

#[test]
fn it_computes_what_it_says() {
    let mut net: Rows<f64> = Rows::init(0);
    let identity = (0..9).map(|i| f64::from(u8::from(i % 4 == 0))).collect();
    net.linear1.weight = from_vec(identity, (Features, Features)).unwrap();
    net.linear1.bias = from_vec(vec![0.0; 3], (Features,)).unwrap();
    let x = from_vec(vec![1.0, 2.0, 4.0, -8.0, 0.0, 16.0], (1, 2, Features)).unwrap();
    assert_eq!(to_vec(&net.forward(x).unwrap()), [1.0, 2.25, 4.5625, -8.0, -2.0, 15.5]);
}

#[test]
fn single_precision_and_training_steps_take_it() {
    let mut trainer = Trainer::builder(Loss::<f32>::init(1), AdamW::new(0.05)).build().unwrap();
    let values = (0..2 * 5 * 3).map(|i| (i as f32 * 0.7).sin()).collect();
    let batch = LossBatch { x: from_vec(values, (2, 5, Features)).unwrap() };
    let first = trainer.step(&batch).unwrap().loss();
    for _ in 0..40 {
        trainer.step(&batch).unwrap();
    }
    let last = trainer.step(&batch).unwrap().loss();
    assert!(last < 0.2 * first, "{first} → {last}");
}

/// An op that says nothing true of its axes.
#[derive(Debug)]
struct Astray(Vec<Vec<Option<usize>>>);

impl Function for Astray {
    fn value(&self, operands: &[Values<'_>]) -> Vec<f64> {
        operands[0].elements.to_vec()
    }
}

impl Custom for Astray {
    fn shape(&self, operands: &[&[usize]]) -> std::result::Result<Vec<usize>, String> {
        Ok(operands[0].to_vec())
    }

    fn vjp(&self, _: &mut Graph, _: &[NodeId], _: NodeId, c: NodeId) -> Result<Vec<Option<NodeId>>> {
        Ok(vec![Some(c)])
    }

    fn axes(&self, _: &[&[usize]]) -> Vec<Vec<Option<usize>>> {
        self.0.clone()
    }
}

fn astray<S: Shape, E: Float>(x: &Var<S, E>, case: usize) -> Var<S, E> {
    let axes = [vec![], vec![vec![Some(0)]], vec![vec![Some(0), Some(1), Some(7)]], vec![vec![None; 3]; 2]];
    ansatz::tensor::custom(Astray(axes[case].clone()), &[x.erase()], *x.shape())
}

#[test]
fn axes_that_are_none_are_refused() {
    macro_rules! refused {
        ($($net:ident $batch:ident),*) => {$(
            let x = from_vec(vec![0.5; 6], (1, 2, Features)).unwrap();
            let error = Stream::new(&$net::<f32>::init(0), 8).unwrap().run(&$batch { x }).expect_err("is refused");
            assert!(error.to_string().contains("names other axes"), "{error}");
        )*};
    }
    refused!(Astray0 Astray0Batch, Astray1 Astray1Batch, Astray2 Astray2Batch, Astray3 Astray3Batch);
}

/// Along features the pieces of a text are independent; along time, of which the op keeps nothing, they are not.
#[test]
fn streams_ask_it_for_its_axes() {
    let x = |range: std::ops::Range<usize>| {
        let values = range.clone().flat_map(|t| (0..3).map(move |i| ((3 * t + i) as f32).cos())).collect();
        from_vec(values, (1, range.len(), Features)).unwrap()
    };
    let rows: Rows = Rows::init(2);
    let whole = to_vec(&rows.forward(x(0..5)).unwrap());
    let mut stream = Stream::new(&rows, 8).unwrap();
    let parts: Vec<f32> =
        [0..2, 2..5].into_iter().flat_map(|range| to_vec(&stream.run(&RowsBatch { x: x(range) }).unwrap())).collect();
    assert_eq!(parts, whole);
    let smooth: Smooth = Smooth::init(2);
    let error = Stream::new(&smooth, 8).unwrap().run(&SmoothBatch { x: x(0..2) }).expect_err("is refused").to_string();
    assert!(error.contains("Leaky"), "{error}");
}
