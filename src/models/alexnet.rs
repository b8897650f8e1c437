//! AlexNet (Krizhevsky, Sutskever, Hinton 2012) in its form for small images: torchvision's layers and keys, with kernels
//! of 3 from the first on.

use crate::net;

net! {
    /// AlexNet for images of one size. All widths are multiples of `width`.
    pub net AlexNet(image: [n, c, h, w]; width = 64, hidden = 4096, classes = 10, drop = 0.5) -> [n, classes] {
        image
            |> features: [
                conv2d(width, stride = 2, padding = 1), relu, max_pool2d(2),
                conv2d(3 * width, padding = 1), relu, max_pool2d(2),
                conv2d(6 * width, padding = 1), relu,
                conv2d(4 * width, padding = 1), relu,
                conv2d(4 * width, padding = 1), relu, max_pool2d(2)
            ]
            |> flatten
            |> classifier: [
                dropout(drop), linear(hidden), relu,
                dropout(drop), linear(hidden), relu,
                linear(classes)
            ]
    }

    /// AlexNet for images of 32 × 32.
    pub net AlexNet32 = AlexNet(c = 3, h = 32, w = 32);
}
