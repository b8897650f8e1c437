//! VGG (Simonyan, Zisserman 2015) with batch norm, in torchvision's layers and keys.

use crate::net;

net! {
    /// Configuration A: eleven layers with weights, for images of one size. Every pool halves the image.
    pub net VggA(image: [n, c, h, w]; width = 64, hidden = 4096, classes = 1000, drop = 0.5) -> [n, classes] {
        image
            |> features: [
                conv2d(width, padding = 1), batch_norm, relu, max_pool2d(2),
                conv2d(2 * width, padding = 1), batch_norm, relu, max_pool2d(2),
                conv2d(4 * width, padding = 1), batch_norm, relu,
                conv2d(4 * width, padding = 1), batch_norm, relu, max_pool2d(2),
                conv2d(8 * width, padding = 1), batch_norm, relu,
                conv2d(8 * width, padding = 1), batch_norm, relu, max_pool2d(2),
                conv2d(8 * width, padding = 1), batch_norm, relu,
                conv2d(8 * width, padding = 1), batch_norm, relu, max_pool2d(2)
            ]
            |> classifier: Classifier(hidden, classes, drop)
    }

    /// Configuration D: sixteen.
    pub net VggD(image: [n, c, h, w]; width = 64, hidden = 4096, classes = 1000, drop = 0.5) -> [n, classes] {
        image
            |> features: [
                conv2d(width, padding = 1), batch_norm, relu,
                conv2d(width, padding = 1), batch_norm, relu, max_pool2d(2),
                conv2d(2 * width, padding = 1), batch_norm, relu,
                conv2d(2 * width, padding = 1), batch_norm, relu, max_pool2d(2),
                conv2d(4 * width, padding = 1), batch_norm, relu,
                conv2d(4 * width, padding = 1), batch_norm, relu,
                conv2d(4 * width, padding = 1), batch_norm, relu, max_pool2d(2),
                conv2d(8 * width, padding = 1), batch_norm, relu,
                conv2d(8 * width, padding = 1), batch_norm, relu,
                conv2d(8 * width, padding = 1), batch_norm, relu, max_pool2d(2),
                conv2d(8 * width, padding = 1), batch_norm, relu,
                conv2d(8 * width, padding = 1), batch_norm, relu,
                conv2d(8 * width, padding = 1), batch_norm, relu, max_pool2d(2)
            ]
            |> classifier: Classifier(hidden, classes, drop)
    }

    net Classifier(x: [n, c, h, w]; hidden: usize, classes: usize, drop: f64) -> [n, classes] {
        x |> flatten
          |> _0: linear(hidden) |> relu |> dropout(drop)
          |> _3: linear(hidden) |> relu |> dropout(drop)
          |> _6: linear(classes)
    }

    /// VGG-11 for the 1000 classes of ImageNet.
    pub net Vgg11 = VggA(c = 3, h = 224, w = 224);
    /// VGG-16 for the 1000 classes of ImageNet.
    pub net Vgg16 = VggD(c = 3, h = 224, w = 224);
    /// VGG-11 for images of 32 × 32.
    pub net Vgg11Small = VggA(c = 3, h = 32, w = 32, hidden = 512, classes = 10);
}
