//! Residual networks (He, Zhang, Ren, Sun 2016) in torchvision's layers and keys.

use crate::net;

net! {
    /// Two convolutions, and what went into them added.
    pub net Basic(x: [n, c, h, w]; width: usize, stride: usize = 1) -> [n, width, ceil_div(h, stride), ceil_div(w, stride)] {
        let y = x
            |> conv1: conv2d(width, stride, padding = 1, bias = false) |> bn1: batch_norm |> relu
            |> conv2: conv2d(width, padding = 1, bias = false) |> bn2: batch_norm;
        let skip = if stride == 1 && c == width { x } else {
            x |> downsample: [conv2d(width, kernel = 1, stride, bias = false), batch_norm]
        };
        relu(y + skip)
    }

    /// A convolution between one to fewer channels and one to four times as many; the stride is that of the middle.
    pub net Bottleneck(x: [n, c, h, w]; width: usize, stride: usize = 1)
        -> [n, 4 * width, ceil_div(h, stride), ceil_div(w, stride)]
    {
        let y = x
            |> conv1: conv2d(width, kernel = 1, bias = false) |> bn1: batch_norm |> relu
            |> conv2: conv2d(width, stride, padding = 1, bias = false) |> bn2: batch_norm |> relu
            |> conv3: conv2d(4 * width, kernel = 1, bias = false) |> bn3: batch_norm;
        let skip = if stride == 1 && c == 4 * width { x } else {
            x |> downsample: [conv2d(4 * width, kernel = 1, stride, bias = false), batch_norm]
        };
        relu(y + skip)
    }

    /// Four stages of blocks at full, half, quarter and eighth size. For large images the stem makes them a quarter as high
    /// and wide before; for small ones it leaves them as they are.
    pub net ResNet(
        image: [n, c, h, w];
        block = Basic, width = 64, depth1: usize, depth2: usize, depth3: usize, depth4: usize, classes = 1000, small = false
    ) -> [n, classes] {
        let x = if small {
            image |> conv1: conv2d(width, padding = 1, bias = false) |> bn1: batch_norm |> relu
        } else {
            image |> conv1: conv2d(width, kernel = 7, stride = 2, padding = 3, bias = false) |> bn1: batch_norm |> relu
                  |> max_pool2d(3, stride = 2, padding = 1)
        };
        x |> layer1: [block(width); depth1]
          |> layer2: [block(2 * width, stride = if i == 0 { 2 } else { 1 }); i in 0..depth2]
          |> layer3: [block(4 * width, stride = if i == 0 { 2 } else { 1 }); i in 0..depth3]
          |> layer4: [block(8 * width, stride = if i == 0 { 2 } else { 1 }); i in 0..depth4]
          |> mean([n, k, i, j] -> [n, k])
          |> fc: linear(classes)
    }

    /// ResNet-18 for images of any size, 1000 classes.
    pub net ResNet18 = ResNet(c = 3, depth1 = 2, depth2 = 2, depth3 = 2, depth4 = 2);
    /// ResNet-34 for images of any size, 1000 classes.
    pub net ResNet34 = ResNet(c = 3, depth1 = 3, depth2 = 4, depth3 = 6, depth4 = 3);
    /// ResNet-50 for images of any size, 1000 classes.
    pub net ResNet50 = ResNet(c = 3, block = Bottleneck, depth1 = 3, depth2 = 4, depth3 = 6, depth4 = 3);
    /// ResNet-18 for small images, as those of CIFAR, ten classes.
    pub net ResNet18Small = ResNet(c = 3, depth1 = 2, depth2 = 2, depth3 = 2, depth4 = 2, classes = 10, small = true);

    /// A block of the article's nets for CIFAR-10, whose skip connections have no parameters: every other position, and zeros
    /// for the channels that are new.
    net Plain(x: [n, c, h, w]; width: usize, stride: usize = 1) -> [n, width, ceil_div(h, stride), ceil_div(w, stride)] {
        let y = x
            |> conv1: conv2d(width, stride, padding = 1, bias = false) |> bn1: batch_norm |> relu
            |> conv2: conv2d(width, padding = 1, bias = false) |> bn2: batch_norm;
        let skip = if stride == 1 && c == width { x } else {
            x |> max_pool2d(1, stride) |> pad(width / 4, width / 4, over = c)
        };
        relu(y + skip)
    }

    /// The article's nets for CIFAR-10: 6 · depth + 2 layers in three stages, at full, half and quarter size.
    pub net CifarResNet(image: [n, c, h, w]; width = 16, depth: usize, classes = 10) -> [n, classes] {
        image
            |> conv1: conv2d(width, padding = 1, bias = false) |> bn1: batch_norm |> relu
            |> layer1: [Plain(width); depth]
            |> layer2: [Plain(2 * width, stride = if i == 0 { 2 } else { 1 }); i in 0..depth]
            |> layer3: [Plain(4 * width, stride = if i == 0 { 2 } else { 1 }); i in 0..depth]
            |> mean([n, k, i, j] -> [n, k]) |> linear: linear(classes)
    }

    /// ResNet-20 of the article's table for CIFAR-10.
    pub net ResNet20 = CifarResNet(c = 3, h = 32, w = 32, depth = 3);
}
