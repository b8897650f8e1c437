//! Sizes that meet: what is calculated in one net and known in another, what coincides, and numbers beside tensors.

#![deny(warnings)]

use ansatz::nn::Net;
use ansatz::prelude::*;
use ansatz::tensor::Const;

net! {
    pub dim D = 8;

    /// The size of its input is calculated.
    net Even(b: [n, 2 * h]) -> [n, 2 * h] { 2 * b }

    /// The same where the size is a name of its own.
    pub net OfName(x: [n, t]) -> [n, t] where 2 | t { x |> Even }

    /// The same where the size is a number.
    pub net OfNumber(x: [n, 6]) -> [n, 6] { x |> Even |> twice: Even }

    net Twofold(x: [n, d]) -> (once: [n, d], both: [n, 2 * d]) { (once = x, both = concat(x, x)) }

    pub net Threefold(x: [n, 4]) -> [n, 12] { let (once, both) = Twofold(x); concat(once, both) }

    /// An axis is found by the dimension that it was, whatever became of its size.
    pub net Pooled(x: [n, 1, h, w]) -> [n] { x |> max_pool2d(2) |> mean(over = (h, w)) |> [n, 1] -> [n] }

    /// Two sizes of one template may be one number.
    net Row(x: [n, d]; width: usize) -> [n, width] {
        param v: [width, d] = ones;
        let total = sum(v, over = d) |> [o] -> [o, 1];
        einsum(x[n, i], (v / total)[o, i] -> [n, o])
    }

    pub net Square(x: [n, D]) -> [n, D] { x |> Row(D) }

    /// Numbers stand for tensors, and sizes for numbers.
    pub net Numbers(x: [n, D]) -> [n, D] { maximum(x, 0) / D + 0.5 * D + select(x > 0, 1 - x, -1) + floor_div(D, 3) }
}

fn forward<const N: usize>(values: [f32; N]) -> Tensor<(usize, Const<N>), f32, Cpu> {
    from_vec(values.to_vec(), (1, Const)).expect("as many values as the shape has")
}

#[test]
fn a_calculated_size_meets_a_known_one() {
    let of_name = OfName::<f32>::init(0).forward(from_vec(vec![1.0, 2.0, 3.0, 4.0], (1, 4)).unwrap()).unwrap();
    assert_eq!(to_vec(&of_name), [2.0, 4.0, 6.0, 8.0]);
    let of_number = OfNumber::<f32>::init(0).forward(forward([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])).unwrap();
    assert_eq!(to_vec(&of_number), [4.0, 8.0, 12.0, 16.0, 20.0, 24.0]);
    let threefold = Threefold::<f32>::init(0).forward(forward([1.0, 2.0, 3.0, 4.0])).unwrap();
    assert_eq!(to_vec(&threefold), [1.0, 2.0, 3.0, 4.0, 1.0, 2.0, 3.0, 4.0, 1.0, 2.0, 3.0, 4.0]);
}

#[test]
fn axes_keep_the_name_of_their_dimension() {
    let image: Vec<f32> = (0..16).map(|i| i as f32).collect();
    let pooled = Pooled::<f32>::init(0).forward(from_vec(image, (1, Const::<1>, 4, 4)).unwrap()).unwrap();
    assert_eq!(to_vec(&pooled), [10.0]);
}

#[test]
fn sizes_that_coincide_stay_apart() {
    let x = from_vec(vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0], (1, D)).unwrap();
    assert_eq!(to_vec(&Square::<f32>::init(0).forward(x).unwrap()), [4.5; 8]);
    assert_eq!(Square::<f32>::PARAMETERS, 64);
}

#[test]
fn numbers_stand_for_tensors() {
    let x = from_vec(vec![8.0, -8.0, 0.0, 4.0, -4.0, 2.0, 1.0, -1.0], (1, D)).unwrap();
    let numbers = Numbers::<f32>::init(0).forward(x).unwrap();
    let expected = [8.0_f32, -8.0, 0.0, 4.0, -4.0, 2.0, 1.0, -1.0]
        .map(|x| x.max(0.0) / 8.0 + 4.0 + if x > 0.0 { 1.0 - x } else { -1.0 } + 2.0);
    assert_eq!(to_vec(&numbers), expected);
    assert_eq!(Numbers::<f32>::NAME, "Numbers");
}
