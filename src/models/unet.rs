//! The U-Net (Ronneberger, Fischer, Brox 2015) as diffusion uses it: an image to an image, told the time.

use crate::net;

net! {
    /// Waves of the time at geometric frequencies from 1000 down to 1/10 (Vaswani et al. 2017), and two layers on them.
    net Time(s: [n, 1]; waves: usize, width: usize) -> [n, width] {
        // ln 10⁴ = 9.21…
        let frequency = 1000 * exp(-9.210340371976184 / waves * to_real(positions([waves], waves)));
        let angle = s * frequency;
        concat(cos(angle), sin(angle)) |> linear1: linear(width) |> silu |> linear2: linear(width) |> silu
    }

    /// Two convolutions; the time shifts each channel between them.
    net Block(x: [n, c, h, w], time: [n, d]; width: usize, groups: usize) -> [n, channels = width, h, w] {
        let shift = |y| y + (time |> time: linear(width) |> [n, width] -> [n, width, 1, 1]);
        x |> conv1: conv2d(width, padding = 1) |> norm1: group_norm(groups) |> shift |> silu
          |> conv2: conv2d(width, padding = 1) |> norm2: group_norm(groups) |> silu
    }

    /// Three sizes: halved twice on the way down, doubled twice on the way up, where what was left out is joined.
    pub net UNet(x: [n, c, h, w], s: [n, 1]; width: usize, groups: usize = 8, waves: usize = 32) -> [n, c, h, w]
    where
        4 | h, 4 | w, groups | width
    {
        let time = time: Time(s, waves, 4 * width);
        let whole = x |> down1: Block(time, width, groups);
        let half = whole |> halve1: conv2d(width, stride = 2, padding = 1) |> down2: Block(time, 2 * width, groups);
        let quarter = half |> halve2: conv2d(2 * width, stride = 2, padding = 1) |> middle: Block(time, 4 * width, groups);
        let half = concat(upsample(quarter), half, over = channels) |> up2: Block(time, 2 * width, groups);
        let whole = concat(upsample(half), whole, over = channels) |> up1: Block(time, width, groups);
        whole |> out: conv2d(c, padding = 1)
    }

    /// The U-Net for grey images of 28 × 28, 32 channels wide at full size.
    pub net UNet28 = UNet(c = 1, h = 28, w = 28, width = 32);
    /// The U-Net for grey images of 8 × 8, 32 channels wide at full size.
    pub net UNet8 = UNet(c = 1, h = 8, w = 8, width = 32);
}
