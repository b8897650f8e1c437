//! LeNet-5 (LeCun, Bottou, Bengio, Haffner 1998), with means instead of trained sub-sampling and a linear last layer.

use crate::net;

net! {
    /// LeNet-5 for grey images of 28 × 28.
    pub net LeNet(image: [n, 1, 28, 28]; classes: usize = 10) -> [n, classes] {
        image
            |> conv1: conv2d(6, kernel = 5, padding = 2) |> tanh |> avg_pool2d(2)
            |> conv2: conv2d(16, kernel = 5) |> tanh |> avg_pool2d(2)
            |> flatten
            |> fc1: linear(120) |> tanh |> fc2: linear(84) |> tanh |> fc3: linear(classes)
    }
}
