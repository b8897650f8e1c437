//! Convolutional nets from the outside: values against plain loops, keys and sizes of ResNets, gradients.
#![deny(warnings)]

use ansatz::dfdx::tensor::TensorFromVec;
use ansatz::nn;
use ansatz::prelude::*;
use ansatz::tensor::{Const, Cpu, Tensor};

net! {
    pub net Plain(x: [n, 4, 7, 9]) -> [n, 6, 5, 7] { x |> conv: conv2d(6) }
    pub net Strided(x: [n, 4, 7, 9]) -> [n, 6, 4, 5] { x |> conv: conv2d(6, kernel = 3, stride = 2, padding = 1, bias = false) }
    pub net Same(x: [n, 4, 7, 9]) -> [n, 2, 7, 9] { x |> conv: conv2d(2, kernel = (4, 3), dilation = (1, 2), padding = "same") }
    pub net Grouped(x: [n, 4, h, w]) -> [n, 8, h, w] { x |> conv: conv2d(8, kernel = (1, 3), padding = (0, 1), groups = 2) }
    pub net Depthwise(x: [n, 4, 7, 9]) -> [n, 4, _, _] { x |> conv: conv2d(4, kernel = 5, stride = (3, 2), padding = 2, groups = 4) }

    /// Basic residual block (He et al. 2016).
    net Basic(x: [n, c, h, w]; width: usize, stride: usize = 1) -> [n, width, ceil_div(h, stride), ceil_div(w, stride)] {
        let y = x
            |> conv1: conv2d(width, kernel = 3, stride, padding = 1, bias = false) |> bn1: batch_norm |> relu
            |> conv2: conv2d(width, kernel = 3, padding = 1, bias = false) |> bn2: batch_norm;
        let skip = if stride == 1 && c == width { x } else {
            x |> downsample: [conv2d(width, kernel = 1, stride, bias = false), batch_norm]
        };
        relu(y + skip)
    }

    /// ResNet-18 for images of 32 × 32, with the stem of CIFAR.
    pub net ResNet18(image: [n, 3, h = 32, w = 32]; classes: usize = 10) -> [n, classes] {
        image
            |> conv1: conv2d(64, kernel = 3, padding = 1, bias = false) |> bn1: batch_norm |> relu
            |> layer1: [Basic(64); 2]
            |> layer2: [Basic(128, stride = 2), Basic(128)]
            |> layer3: [Basic(256, stride = 2), Basic(256)]
            |> layer4: [Basic(512, stride = 2), Basic(512)]
            |> mean(over = (h, w))
            |> fc: linear(classes)
    }

    /// Small enough for finite differences.
    pub net Loss(image: [n, 2, h = 5, w = 4]) -> [] {
        let y = image |> a: conv2d(3, padding = 1) |> tanh |> b: Narrow(3) |> c: Narrow(4, stride = 2) |> mean(over = (h, w));
        square(y) |> mean
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

#[test]
fn a_resnet_has_the_keys_and_the_size_of_torchvision() {
    assert_eq!(ResNet18::PARAMETERS, 11_173_962);
    let keys: Vec<String> = nn::slots::<f32, ResNet18>().into_iter().map(|slot| slot.key).collect();
    for key in [
        "conv1.weight",
        "bn1.running_var",
        "layer1.0.conv1.weight",
        "layer2.0.downsample.0.weight",
        "layer2.0.downsample.1.running_mean",
        "layer4.1.bn2.bias",
        "fc.bias",
    ] {
        assert!(keys.iter().any(|own| own == key), "{key} is not among {keys:?}");
    }
    // 20 convolutions, 20 norms of four tensors, and the last layer.
    assert_eq!(keys.len(), 20 + 20 * 4 + 2);
    assert_eq!(ResNet18::multiply_adds(1), 555_422_720);
}

ansatz::gradcheck!(Loss);
