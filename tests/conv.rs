//! Convolutional nets from the outside: values against plain loops and PyTorch, gradients.
#![deny(warnings)]

use crate::formula::{Sketch, uniform};
use ansatz::dfdx::tensor::TensorFromVec;
use ansatz::engine::compile;
use ansatz::engine::{Data, State};
use ansatz::grad::grad;
use ansatz::graph::{Binary, Conv, DType, Graph, NodeId, Pass};
use ansatz::prelude::*;
use ansatz::tensor::{Const, Cpu, Tensor};

net! {
    pub net Plain(x: [n, 4, 7, 9]) -> [n, 6, 5, 7] { x |> conv: conv2d(6) }
    pub net Strided(x: [n, 4, 7, 9]) -> [n, 6, 4, 5] { x |> conv: conv2d(6, kernel = 3, stride = 2, padding = 1, bias = false) }
    pub net Same(x: [n, 4, 7, 9]) -> [n, 2, 7, 9] { x |> conv: conv2d(2, kernel = (4, 3), dilation = (1, 2), padding = "same") }
    pub net Grouped(x: [n, 4, h, w]) -> [n, 8, h, w] { x |> conv: conv2d(8, kernel = (1, 3), padding = (0, 1), groups = 2) }
    pub net Depthwise(x: [n, 4, 7, 9]) -> [n, 4, _, _] { x |> conv: conv2d(4, kernel = 5, stride = (3, 2), padding = 2, groups = 4) }

    pub net Row(x: [n, 4, t = 63]) -> [n, 6, 31] { x |> conv: conv1d(6, kernel = 3, stride = 2, padding = 1, dilation = 2, groups = 2) }
    pub net SameRow(x: [n, 4, t]) -> [n, 2, t] { x |> conv: conv1d(2, kernel = 4, padding = "same", bias = false) }

    pub net There(x: [n, 4, h = 7, w = 9]) -> [n, 6, 4, 4] {
        x |> conv: conv2d(6, kernel = (3, 2), stride = (2, 3), padding = (2, 1), dilation = (2, 1), groups = 2, bias = false)
    }
    pub net Back(y: [n, 6, h = 4, w = 4]) -> [n, 4, 7, 9] {
        y |> conv: conv_transpose2d(4, kernel = (3, 2), stride = (2, 3), padding = (2, 1), output_padding = (0, 0), dilation = (2, 1), groups = 2)
    }
    pub net RowBack(y: [n, 6, t = 31]) -> [n, 4, 64] {
        y |> conv: conv_transpose1d(4, kernel = 3, stride = 2, padding = 1, output_padding = 1, dilation = 2, groups = 2, bias = false)
    }

    /// Small enough for finite differences.
    pub net Loss(image: [n, 2, h = 5, w = 4]) -> [] {
        let y = image |> a: conv2d(3, padding = 1) |> tanh |> b: Narrow(3) |> c: Narrow(4, stride = 2) |> mean(over = (h, w));
        square(y) |> mean
    }
    pub net LossBack(image: [n, 2, h = 3, w = 2]) -> [] {
        let y = image |> conv_transpose2d(4, stride = 2, padding = 1, output_padding = (1, 0), groups = 2) |> tanh;
        y |> conv2d(2, kernel = (2, 1), groups = 2) |> mean(over = h) |> conv_transpose1d(3, kernel = 2) |> conv1d(2) |> square |> mean
    }
    net Narrow(x: [n, c, h, w]; width: usize, stride: usize = 1) -> [n, width, ceil_div(h, stride), ceil_div(w, stride)] {
        let y = x |> conv2d(width, kernel = 3, stride, padding = 1) |> group_norm(1) |> tanh;
        if stride == 1 && c == width { x + y } else { y + (x |> down: conv2d(width, kernel = 1, stride)) }
    }
}

const H: usize = 7;
const W: usize = 9;

/// The layer as nested loops: x `[2, c, 7, 9]`, weights `[o, c / groups, kh, kw]`.
struct Case {
    kernel: [usize; 2],
    stride: [usize; 2],
    dilation: [usize; 2],
    before: [usize; 2],
    groups: usize,
    size: [usize; 2],
}

impl Case {
    fn run(&self, x: &[f64], weight: &[f64], bias: Option<&[f64]>, outputs: usize) -> Vec<f64> {
        let (channels, [rows, columns]) = (4 / self.groups, self.kernel);
        let mut y = vec![];
        for n in 0..2 {
            for o in 0..outputs {
                for place in 0..self.size[0] * self.size[1] {
                    let at = [place / self.size[1], place % self.size[1]];
                    let mut sum = bias.map_or(0.0, |bias| bias[o]);
                    for tap in 0..channels * rows * columns {
                        let (c, i, j) = (tap / (rows * columns), tap / columns % rows, tap % columns);
                        let row = (at[0] * self.stride[0] + i * self.dilation[0]).wrapping_sub(self.before[0]);
                        let column = (at[1] * self.stride[1] + j * self.dilation[1]).wrapping_sub(self.before[1]);
                        if row < H && column < W {
                            let channel = o / (outputs / self.groups) * channels + c;
                            sum += weight[o * channels * rows * columns + tap]
                                * x[((n * 4 + channel) * H + row) * W + column];
                        }
                    }
                    y.push(sum);
                }
            }
        }
        y
    }
}

fn pixels() -> Vec<f64> {
    (0..2 * 4 * H * W).map(|i| (i as f64 * 0.73).sin()).collect()
}

fn image() -> Tensor<(usize, Const<4>, Const<H>, Const<W>), f64, Cpu> {
    Cpu::default().tensor_from_vec(pixels(), (2, Const, Const, Const))
}

fn close(found: Vec<f64>, expected: Vec<f64>) {
    assert_eq!(found.len(), expected.len());
    assert!(found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-12), "{found:?}\n{expected:?}");
}

#[test]
fn layers_are_their_loops() {
    let plain = Case { kernel: [3, 3], stride: [1, 1], dilation: [1, 1], before: [0, 0], groups: 1, size: [5, 7] };
    let net: Plain<f64> = Plain::init(1);
    let (weight, bias) = (net.conv.weight.as_vec(), net.conv.bias.as_vec());
    close(net.forward(image()).unwrap().as_vec(), plain.run(&pixels(), &weight, Some(&bias), 6));

    let strided = Case { stride: [2, 2], before: [1, 1], size: [4, 5], ..plain };
    let net: Strided<f64> = Strided::init(2);
    close(net.forward(image()).unwrap().as_vec(), strided.run(&pixels(), &net.conv.weight.as_vec(), None, 6));

    let same = Case { kernel: [4, 3], stride: [1, 1], dilation: [1, 2], before: [1, 2], groups: 1, size: [7, 9] };
    let net: Same<f64> = Same::init(3);
    let (weight, bias) = (net.conv.weight.as_vec(), net.conv.bias.as_vec());
    close(net.forward(image()).unwrap().as_vec(), same.run(&pixels(), &weight, Some(&bias), 2));

    let grouped = Case { kernel: [1, 3], dilation: [1, 1], before: [0, 1], groups: 2, ..same };
    let net: Grouped<f64> = Grouped::init(4);
    let (weight, bias) = (net.conv.weight.as_vec(), net.conv.bias.as_vec());
    let x = Cpu::default().tensor_from_vec(pixels(), (2, Const, H, W));
    close(net.forward(x).unwrap().as_vec(), grouped.run(&pixels(), &weight, Some(&bias), 8));

    let depthwise = Case { kernel: [5, 5], stride: [3, 2], dilation: [1, 1], before: [2, 2], groups: 4, size: [3, 5] };
    let net: Depthwise<f64> = Depthwise::init(5);
    let (weight, bias) = (net.conv.weight.as_vec(), net.conv.bias.as_vec());
    close(net.forward(image()).unwrap().as_vec(), depthwise.run(&pixels(), &weight, Some(&bias), 4));
}

/// `conv1d` as loops: x `[2, 4, 63]`, weights `[o, c, 3 or 4]`.
fn row_loops(
    weight: &[f64],
    bias: &[f64],
    [taps, stride, dilation, before, groups]: [usize; 5],
    len: usize,
) -> Vec<f64> {
    let (x, channels, outputs) = (pixels(), 4 / groups, bias.len());
    let y = |(n, o, place): (usize, usize, usize)| {
        let tap = |i: usize| {
            let (c, k) = (i / taps, i % taps);
            let at = (place * stride + k * dilation).checked_sub(before).filter(|&at| at < 63);
            let channel = o / (outputs / groups) * channels + c;
            at.map_or(0.0, |at| weight[o * channels * taps + i] * x[(n * 4 + channel) * 63 + at])
        };
        bias[o] + (0..channels * taps).map(tap).sum::<f64>()
    };
    (0..2 * outputs * len).map(|i| y((i / (outputs * len), i / len % outputs, i % len))).collect()
}

#[test]
fn rows_are_their_loops() {
    let net: Row<f64> = Row::init(6);
    let x = from_vec(pixels(), (2, Const, Const)).unwrap();
    let (weight, bias) = (net.conv.weight.as_vec(), net.conv.bias.as_vec());
    close(net.forward(x).unwrap().as_vec(), row_loops(&weight, &bias, [3, 2, 2, 1, 2], 31));
    let net: SameRow<f64> = SameRow::init(7);
    let x = from_vec(pixels(), (2, Const, 63)).unwrap();
    close(net.forward(x).unwrap().as_vec(), row_loops(&net.conv.weight.as_vec(), &[0.0; 2], [4, 1, 1, 1, 1], 63));
}

/// ⟨conv(x), y⟩ = ⟨x, convᵀ(y)⟩ with the same weights.
#[test]
fn transposes_are_adjoint() {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let there: There<f64> = There::init(8);
    let mut back: Back<f64> = Back::init(9);
    assert_eq!((Back::PARAMETERS, Back::multiply_adds(1)), (6 * 2 * 6 + 4, 6 * 16 * 2 * 6));
    back.conv.weight = from_vec(there.conv.weight.as_vec(), Default::default()).unwrap();
    let y = uniform("y", 2 * 6 * 16);
    let (forth, mut transposed) = (
        there.forward(image()).unwrap().as_vec(),
        back.forward(from_vec(y.clone(), (2, Const, Const, Const)).unwrap()).unwrap().as_vec(),
    );
    let bias = back.conv.bias.as_vec();
    transposed.iter_mut().enumerate().for_each(|(i, value)| *value -= bias[i / (H * W) % 4]);
    assert!((dot(&forth, &y) - dot(&pixels(), &transposed)).abs() < 1e-12);

    let there: Row<f64> = Row::init(10);
    let mut back: RowBack<f64> = RowBack::init(11);
    back.conv.weight = from_vec(there.conv.weight.as_vec(), Default::default()).unwrap();
    let y = uniform("y", 2 * 6 * 31);
    let bias = there.conv.bias.as_vec();
    let mut forth = there.forward(from_vec(pixels(), (2, Const, Const)).unwrap()).unwrap().as_vec();
    forth.iter_mut().enumerate().for_each(|(i, value)| *value -= bias[i / 31 % 6]);
    let transposed = back.forward(from_vec(y.clone(), (2, Const, Const)).unwrap()).unwrap().as_vec();
    // A 64th position would be the first that the kernel does not see whole.
    let seen: Vec<f64> = transposed.chunks(64).flat_map(|row| row[..63].to_vec()).collect();
    assert!((dot(&forth, &y) - dot(&pixels(), &seen)).abs() < 1e-12);
}

/// One convolution of `fixtures/conv.txt` with its gradients, compiled, in double precision.
fn check(line: &str) {
    let numbers: Vec<f64> = line.split_whitespace().map(|number| number.parse().expect("a number")).collect();
    let whole: Vec<usize> = numbers[..17].iter().map(|&number| number as usize).collect();
    let (transposed, [n, i, o, groups]) = (whole[0] == 1, [whole[1], whole[2], whole[3], whole[4]]);
    let pair = |at: usize| [whole[5 + at], whole[11 + at]];
    let ([size, kernel, stride], [dilation, padding, behind]) =
        ([pair(0), pair(1), pair(2)], [pair(3), pair(4), pair(5)]);
    // A transposed convolution gives what a plain one takes.
    let covered = |k: usize| (size[k] - 1) * stride[k] + dilation[k] * (kernel[k] - 1) + 1 + behind[k] - 2 * padding[k];
    let (pass, image) = if transposed { (Pass::Data, [covered(0), covered(1)]) } else { (Pass::Forward, size) };
    let conv = Conv { size: image, kernel, stride, dilation, before: padding, after: padding, groups };
    let weights = if transposed { [groups * i, o] } else { [groups * o, i] };

    let mut graph = Graph::new();
    let x = graph.input("x", &[n, groups * i, size[0], size[1]], DType::F64);
    let w = graph.input("w", &[weights[0], weights[1], kernel[0], kernel[1]], DType::F64);
    let bias = graph.input("bias", &[groups * o], DType::F64);
    let y = graph.conv(pass, conv, x, w).expect(line);
    let dims = graph[y].dims.clone();
    let wide = graph.broadcast(bias, &[0, 2, 3], &dims).expect("the channels");
    let y = graph.binary(Binary::Add, y, wide).expect("one shape");
    let cotangent = graph.input("cotangent", &dims, DType::F64);
    let product = graph.binary(Binary::Mul, y, cotangent).expect("one shape");
    let loss = graph.sum(product, &[0, 1, 2, 3]).expect("all axes");
    let gradients = grad(&mut graph, loss, &[x, w, bias]).expect("a scalar");
    for (name, node) in ["y", "x", "w", "bias"].into_iter().zip([y].into_iter().chain(gradients)) {
        graph.output(name, node);
    }

    let len = |node: NodeId| graph[node].dims.iter().product();
    let given = [("x", len(x)), ("w", len(w)), ("bias", len(bias)), ("cotangent", len(y))];
    let given = given.map(|(name, len)| uniform(name, len));
    let program = compile(&graph).expect("one float type");
    let state = State::new(&[]);
    let mut workspace = program.workspace(&state).expect("no state");
    program.evaluate(&state, &given.each_ref().map(|v| Data::F64(v)), &mut workspace).expect("it runs");
    for (k, expected) in numbers[17..].chunks(5).map(Sketch::read).enumerate() {
        let found = Sketch::of(&program.output(&workspace, k).to_f64());
        let off = found.off(&expected);
        assert!(off <= 1e-9 * (1.0 + expected.norm), "{} of {line}: {off}", program.outputs()[k].name);
    }
}

#[test]
fn three_hundred_configurations_by_pytorch() {
    let lines: Vec<&str> = include_str!("fixtures/conv.txt").lines().collect();
    assert_eq!(lines.len(), 300);
    lines.into_iter().for_each(check);
}

ansatz::gradcheck!(Loss);
ansatz::gradcheck!(LossBack);
