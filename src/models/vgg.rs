//! VGG (Simonyan, Zisserman 2015) with batch norm, in torchvision's layers and keys.

use crate::net;

net! {
    /// Configuration A: eleven layers with weights. Every pool halves the image.
    net Eleven(image: [n, c, h, w]; width: usize, hidden: usize, classes: usize) -> [n, classes] {
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
            |> classifier: Classifier(hidden, classes)
    }

    /// Configuration D: sixteen.
    net Sixteen(image: [n, c, h, w]; width: usize, hidden: usize, classes: usize) -> [n, classes] {
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
            |> classifier: Classifier(hidden, classes)
    }

    net Classifier(x: [n, c, h, w]; hidden: usize, classes: usize) -> [n, classes] {
        x |> flatten
          |> _0: linear(hidden) |> relu |> dropout(0.5)
          |> _3: linear(hidden) |> relu |> dropout(0.5)
          |> _6: linear(classes)
    }

    /// VGG-11 for the 1000 classes of ImageNet.
    pub net Vgg11 = Eleven(c = 3, h = 224, w = 224, width = 64, hidden = 4096, classes = 1000);
    /// VGG-16 for the 1000 classes of ImageNet.
    pub net Vgg16 = Sixteen(c = 3, h = 224, w = 224, width = 64, hidden = 4096, classes = 1000);
    /// VGG-11 for images of 32 × 32.
    pub net Vgg11Small = Eleven(c = 3, h = 32, w = 32, width = 64, hidden = 512, classes = 10);
}
