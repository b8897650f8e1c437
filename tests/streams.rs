//! Nets that are read piece by piece, from outside the crate: the pieces give what the whole gives, or the net is refused.

use ansatz::nn::{BatchOf, Net, Stream, init};
use ansatz::prelude::*;

net! {
    pub dim D = 12;
    pub dim Word = 7;
    pub dim Place = 64;

    /// Every position by itself, in its own and in joined axes, and images of each.
    net Apart(x: [n, t, D]) -> [n, t, D] {
        let rows = x |> [n, t, d] -> [(n t), d] |> linear(8) |> gelu |> linear(D) |> [(n t), d] -> [n, t, d];
        let planes = x |> [n, t, (2 e)] -> [(n t), 1, 2, e] |> conv2d(D, kernel = 2, padding = 1)
            |> [(n t), d, h, w] -> [n, t, d, h, w];
        let planes = planes |> mean(over = (h, w));
        let first = x |> layer_norm |> slice(0, 2) |> pad(4, D - 6) |> linear(D);
        rows + planes + first + softmax(x)
    }
    /// Positions that go on, kept keys, keys between heads, and a scalar for all.
    net Text(words: [n, t] in Word, level: [n, 1, 1]) -> [n, t, Word] {
        let token = embedding(D);
        let h = token(words) + embedding(positions([t], Place), D) + level;
        let by_head = |z| z |> [n, t, (2 e)] -> [n, 2, t, e];
        let (q, k) = (by_head(linear(h, D)) |> rotary, by_head(linear(h, D)) |> rotary);
        let seen = attention(q, k, by_head(linear(h, D)), causal = true, window = 3);
        let joined = seen |> [n, 2, t, e] -> [n, t, (2 e)];
        let among = h |> [n, t, (3 e)] -> [(n t), 1, 3, e];
        let apart = attention(among, among, among) |> [(n t), 1, 3, e] -> [n, t, (3 e)];
        (joined + apart) |> layer_norm |> token.project
    }
    /// An equation of each position.
    net Flowing(x: [n, t, D]) -> [n, t, D] { x |> ode(s = 0..1, by = rk4(3), |x, s| s * (x |> linear(D) |> tanh)) }

    net Mean(x: [n, t, D]) -> [n, t, D] { x - (mean(x, over = t) |> [n, d] -> [n, 1, d]) }
    net Regrouped(x: [n, t, D]) -> [n, t, D] { x |> reshape([n, D, t]) |> softmax(over = D) |> reshape([n, t, D]) }
    net Turned(x: [n, t, D]) -> [n, t, D] { x |> reshape([n, D, t]) |> [n, d, t] -> [n, t, d] }
    net Both(x: [n, t, D]) -> [n, t, D] {
        let h = x |> [n, t, (2 e)] -> [n, 2, t, e];
        let seen = attention(h, h, h, causal = true) |> [n, 2, t, e] -> [n, t, (2 e)];
        seen + (x |> project: linear(D) |> reshape([n, D, t]) |> softmax(over = D) |> reshape([n, t, D]))
    }
    net Everywhere(x: [n, t, D]) -> [n, t, D] {
        let h = x |> [n, t, (2 e)] -> [n, 2, t, e];
        attention(h, h, h) |> [n, 2, t, e] -> [n, t, (2 e)]
    }
    net Begun(x: [n, t, D], first: [n] in Place) -> [n, t, D] {
        let h = x |> [n, t, (2 e)] -> [n, 2, t, e];
        attention(h, h, h, causal = true, start = first) |> [n, 2, t, e] -> [n, t, (2 e)]
    }
    net Shifted(x: [n, t, D]) -> [n, t, D] { x |> [n, t, d] -> [n, d, t] |> conv1d(D, padding = 1) |> [n, d, t] -> [n, t, d] }
    /// Each row of heads backwards, which leaves positions alone.
    net Backwards(x: [n, t, D]) -> [n, t, D] { x |> flip |> [n, t, (2 e)] -> [n, t, 2, e] |> flip |> [n, t, 2, e] -> [n, t, (2 e)] }
    net Reversed(x: [n, t, D]) -> [n, t, D] { x + flip(x, over = t) }
    net Products(x: [n, t, D]) -> [n, t, D] {
        let products = einsum(x[n, i, d], x[n, i, e] -> [n, d, e]);
        einsum(x[n, t, d], products[n, d, e] -> [n, t, e])
    }
    /// As many as there are positions.
    net Counted(x: [n, t, D]) -> [n, t, D] { x + (sum(x * 0 + 1, over = t) |> [n, d] -> [n, 1, d]) }
}

/// Elements that depend on their place.
fn x(n: usize, t: std::ops::Range<usize>, whole: usize) -> Tensor<(usize, usize, D), f32, Cpu> {
    let at = |sample: usize, t: usize, d: usize| ((sample * whole + t) * 12 + d) as f32;
    let rows = (0..n).flat_map(|sample| t.clone().map(move |t| (sample, t)));
    let values = rows.flat_map(|(sample, t)| (0..12).map(move |d| (at(sample, t, d) * 0.37).sin())).collect();
    from_vec(values, (n, t.len(), D)).expect("as many as the shape has")
}

/// What a net gives for the pieces, sample by sample.
fn pieces<M>(net: &M, places: usize, pieces: impl Iterator<Item = M::Batch>) -> ansatz::Result<Vec<Vec<f32>>>
where
    M: Net<f32, Output = Tensor<(usize, usize, D), f32, Cpu>>,
    M::Batch: BatchOf<M>,
{
    let mut stream = Stream::new(net, places)?;
    pieces.map(|piece| Ok(to_vec(&stream.run(&piece)?))).collect()
}

/// Cuts of eleven positions.
const CUTS: [&[usize]; 4] = [&[11], &[1; 11], &[6, 5], &[2, 1, 3, 5]];

#[test]
fn pieces_give_what_the_whole_gives() {
    let (n, t) = (2, 11);
    macro_rules! agree {
        ($name:ident, $batch:ident) => {{
            let net: $name = init(7);
            let whole = to_vec(&net.forward(x(n, 0..t, t)).unwrap());
            for cuts in CUTS {
                let mut read = 0;
                let batches = cuts.iter().map(|len| {
                    read += len;
                    $batch::from(x(n, read - len..read, t))
                });
                let found = pieces(&net, 16, batches).unwrap();
                let mut read = 0;
                for (len, found) in cuts.iter().zip(found) {
                    for (i, found) in found.iter().enumerate() {
                        let (sample, step, d) = (i / (len * 12), i / 12 % len, i % 12);
                        let expected = whole[(sample * t + read + step) * 12 + d];
                        assert!(
                            (found - expected).abs() < 1e-4,
                            "{} {cuts:?} {i}: {found} and {expected}",
                            stringify!($name)
                        );
                    }
                    read += len;
                }
            }
        }};
    }
    agree!(Apart, ApartBatch);
    agree!(Flowing, FlowingBatch);
}

#[test]
fn texts_are_gone_on_with() {
    let (t, net): (usize, Text) = (11, init(3));
    let words: Vec<u32> = (0..t as u32).map(|i| i * i % 7).collect();
    let batch = |range: std::ops::Range<usize>| TextBatch {
        words: Indices::new(words[range.clone()].to_vec(), (1, range.len())).unwrap(),
        level: from_vec(vec![0.25], (1, Const, Const)).unwrap(),
    };
    let whole = to_vec(&ansatz::nn::forward(&net, &batch(0..t)).unwrap());
    for cuts in CUTS {
        let (mut stream, mut read, mut found) = (Stream::new(&net, 16).unwrap(), 0, Vec::new());
        for len in cuts {
            found.extend(to_vec(&stream.run(&batch(read..read + len)).unwrap()));
            read += len;
        }
        assert!(found.iter().zip(&whole).all(|(a, b)| (a - b).abs() < 1e-4), "{cuts:?}");
    }
}

#[test]
fn what_mixes_positions_is_refused() {
    let mut wrong = Vec::new();
    macro_rules! refused {
        ($name:ident, $batch:expr, $expected:literal) => {
            for len in [1, 6, 7] {
                let net: $name = init(7);
                let mut stream = Stream::new(&net, 16).unwrap();
                let found = stream.run(&$batch(x(2, 0..len, 11))).map(|_| ()).map_err(|error| error.to_string());
                let expected = format!("`{}` cannot be read piece by piece: {}", stringify!($name), $expected);
                let help = "; give it whole inputs by `forward` or a `Session`";
                if found != Err(format!("{expected}{help}")) {
                    wrong.push(format!("{len} positions: {found:?}\n          not {expected}{help}"));
                }
            }
        };
    }
    refused!(
        Mean,
        MeanBatch::from,
        "Reduce { op: Sum, axes: [1] } goes over positions, which causal attention alone may do"
    );
    refused!(
        Counted,
        CountedBatch::from,
        "Reduce { op: Sum, axes: [1] } goes over positions, which causal attention alone may do"
    );
    refused!(
        Regrouped,
        RegroupedBatch::from,
        "Reduce { op: Max, axes: [1] } goes over elements whose positions no longer lie along an axis"
    );
    refused!(
        Turned,
        TurnedBatch::from,
        "Permute { order: [0, 2, 1] } goes over elements whose positions no longer lie along an axis"
    );
    refused!(
        Both,
        BothBatch::from,
        "Reduce { op: Max, axes: [1] } goes over elements whose positions no longer lie along an axis, behind `project`"
    );
    refused!(Everywhere, EverywhereBatch::from, "Attention goes over positions, which causal attention alone may do");
    refused!(
        Shifted,
        ShiftedBatch::from,
        "Conv goes over positions, which causal attention alone may do, behind `conv1d1`"
    );
    refused!(
        Reversed,
        ReversedBatch::from,
        "Flip { axis: 1 } goes over positions, which causal attention alone may do"
    );
    refused!(Products, ProductsBatch::from, "MatMul goes over positions, which causal attention alone may do");
    let begun = |x| BegunBatch { x, first: Indices::new(vec![0, 0], (2,)).unwrap() };
    refused!(
        Begun,
        begun,
        "Attention goes over positions from a `start` of its own, and so keeps no keys for later pieces; \
        leave `start` out, a stream goes on by itself"
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
