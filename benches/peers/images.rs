//! Residual networks and a U-Net.

use crate::numbers::{build, input, labels};
use crate::train;
use ansatz::prelude::*;

net! {
    pub dim Class = 10;

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

    pub net ResNet20(image: [n, 3, h = 32, w = 32]) -> [n, Class] {
        image
            |> conv1: conv2d(16, kernel = 3, padding = 1, bias = false) |> bn1: batch_norm |> relu
            |> layer1: [Basic(16); 3]
            |> layer2: [Basic(32, stride = 2), [Basic(32); 2]]
            |> layer3: [Basic(64, stride = 2), [Basic(64); 2]]
            |> mean(over = (h, w)) |> fc: linear(Class)
    }

    pub net ResNet18(image: [n, 3, h = 32, w = 32]) -> [n, Class] {
        image
            |> conv1: conv2d(64, kernel = 3, padding = 1, bias = false) |> bn1: batch_norm |> relu
            |> layer1: [Basic(64); 2]
            |> layer2: [Basic(128, stride = 2), Basic(128)]
            |> layer3: [Basic(256, stride = 2), Basic(256)]
            |> layer4: [Basic(512, stride = 2), Basic(512)]
            |> mean(over = (h, w)) |> fc: linear(Class)
    }

    pub net Risk20(image: [n, 3, 32, 32], class: [n] in Class) -> [] {
        cross_entropy(net: ResNet20(image), class)
    }

    pub net Risk18(image: [n, 3, 32, 32], class: [n] in Class) -> [] {
        cross_entropy(net: ResNet18(image), class)
    }

    /// Two convolutions, between which the time is added to each channel.
    net Block(x: [n, i, h, w], e: [n, 128]; width: usize) -> [n, width, h, w] {
        let y = x |> conv1: conv2d(width, kernel = 3, padding = 1) |> gn1: group_norm(8);
        let shift = e |> time: linear(width) |> [n, width] -> [n, width, 1, 1];
        silu(y + shift) |> conv2: conv2d(width, kernel = 3, padding = 1) |> gn2: group_norm(8) |> silu
    }

    pub net UNet(x: [n, 1, 28, 28], s: [n, 1], frequency: [32]) -> [n, 1, 28, 28] {
        let angle = s * frequency;
        let e = concat(cos(angle), sin(angle)) |> t1: linear(128) |> silu |> t2: linear(128) |> silu;
        let join = |x, earlier| concat(upsample(x) |> [n, c, h, w] -> [n, c, h, w], earlier, over = c);
        let h1 = b1: Block(x, e, 32);
        let h2 = h1 |> d1: conv2d(32, kernel = 3, stride = 2, padding = 1) |> b2: Block(e, 64);
        let h3 = h2 |> d2: conv2d(64, kernel = 3, stride = 2, padding = 1) |> b3: Block(e, 128);
        let h4 = join(h3, h2) |> b4: Block(e, 64);
        let h5 = join(h4, h1) |> b5: Block(e, 32);
        h5 |> out: conv2d(1, kernel = 3, padding = 1)
    }

    pub net Matching(x1: [n, 1, 28, 28], frequency: [32]) -> [] {
        let x0 = normal([n, 1, 28, 28]);
        let s = uniform([n, 1]);
        let share = s |> [n, 1] -> [n, 1, 1, 1];
        mse(unet: UNet((1 - share) * x0 + share * x1, s, frequency), x1 - x0)
    }
}

fn sgd() -> Sgd {
    Sgd { momentum: 0.9, ..Sgd::new(0.05) }
}

/// One step of the narrow residual network of 20 layers.
pub fn resnet20() -> ansatz::Result<()> {
    let image = from_vec(input(1000, 64 * 3 * 32 * 32), (64, Const, Const, Const))?;
    let batch = Risk20Batch { image, class: labels(1001, 64)? };
    train("resnet20", Trainer::builder(build::<Risk20>()?, sgd()).build()?, batch)
}

/// One step of the wide residual network of 18 layers.
pub fn resnet18() -> ansatz::Result<()> {
    let image = from_vec(input(1000, 16 * 3 * 32 * 32), (16, Const, Const, Const))?;
    let batch = Risk18Batch { image, class: labels(1001, 16)? };
    train("resnet18", Trainer::builder(build::<Risk18>()?, sgd()).build()?, batch)
}

/// One step of flow matching by a U-Net.
pub fn unet() -> ansatz::Result<()> {
    let frequency: Vec<f32> = (0..32).map(|k| 1000.0 * (-(1e4_f32.ln()) * k as f32 / 32.0).exp()).collect();
    let x1 = from_vec(input(1000, 16 * 28 * 28), (16, Const, Const, Const))?;
    let batch = MatchingBatch { x1, frequency: from_vec(frequency, (Const,))? };
    train("unet", Trainer::builder(build::<Matching>()?, Adam::new(1e-3)).build()?, batch)
}
