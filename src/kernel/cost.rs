//! What work costs at least: the bytes that it moves and the multiplications and additions that it makes.

use crate::attention::{Attention, Pass};
use crate::conv::Convolution;
use crate::gemm::Gemm;
use crate::work::Work;

/// A lower bound of what a launch does, whoever does it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// The bytes read and written, each element of a view once.
    pub bytes: usize,
    /// Multiplications and additions of products, attention and convolutions; what fused kernels compute is free beside
    /// the memory that they touch.
    pub operations: usize,
    /// Kernels that run: a chain is one, and each product.
    pub launches: usize,
}

/// What a device does in a second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Speed {
    /// Bytes that it moves.
    pub bytes: f64,
    /// Multiplications and additions that it makes.
    pub operations: f64,
    /// Seconds from one kernel to the next.
    pub launch: f64,
}

impl Cost {
    /// The least seconds that a device needs: to move the bytes or to compute, whichever takes longer, and to launch.
    pub fn seconds(&self, speed: &Speed) -> f64 {
        let moving = self.bytes as f64 / speed.bytes;
        let computing = self.operations as f64 / speed.operations;
        moving.max(computing) + self.launches as f64 * speed.launch
    }
}

impl Work {
    /// What the work costs at least. A loop costs what its body does, which is told by itself.
    pub fn cost(&self) -> Cost {
        let mut bytes = 0;
        let mut seen = Vec::new();
        let visit = &mut |_, view: &mut crate::view::View, extents: &[usize]| {
            if seen.contains(view) {
                return;
            }
            let walked = extents.iter().zip(&view.strides).filter(|(_, stride)| **stride != 0);
            bytes += walked.map(|(size, _)| size).product::<usize>() * view.element.size();
            seen.push(view.clone());
        };
        let operations = match self {
            Work::Products(gemms) => gemms.iter().map(Gemm::operations).sum(),
            Work::Attention(attention) => attention.operations(),
            Work::Convolution(convolution) => convolution.operations(),
            Work::Loop(_) => return Cost::default(),
            _ => 0,
        };
        self.clone().views_mut(visit);
        let launches = match self {
            Work::Products(gemms) => gemms.len(),
            _ => 1,
        };
        Cost { bytes, operations, launches }
    }
}

impl Gemm {
    fn operations(&self) -> usize {
        2 * self.batch * self.m * self.n * self.k
    }
}

impl Attention {
    /// Those of the products, of keys that are seen.
    fn operations(&self) -> usize {
        let Attention { batch, heads, queries, keys, width, value_width, causal, window, .. } = *self;
        let seen = window.map_or(keys, |window| keys.min(2 * window));
        let pairs = batch * heads * queries * seen / if causal { 2 } else { 1 };
        // Forward scores and values; backward the scores again, and a product for each cotangent and that of the weights.
        match self.pass {
            Pass::Forward { .. } => 2 * pairs * (width + value_width),
            Pass::Backward { .. } => 2 * pairs * (3 * width + 2 * value_width),
        }
    }
}

impl Convolution {
    fn operations(&self) -> usize {
        let [h, w] = self.count;
        let taps = self.conv.kernel[0] * self.conv.kernel[1];
        2 * self.batch * h * w * self.conv.groups * self.inputs * self.outputs * taps
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tiled::copy;
    use crate::view::{DType, View};

    #[test]
    fn a_copy_moves_its_bytes_twice_and_a_product_reads_its_factors() {
        let cost = Work::Fused(copy(100, [DType::F32; 2])).cost();
        assert_eq!(cost, Cost { bytes: 800, operations: 0, launches: 1 });
        let view =
            |operand, strides: [isize; 3]| View { operand, offset: 0, strides: strides.to_vec(), element: DType::F32 };
        // A matrix that all products of the batch share is read once.
        let gemm = Gemm {
            batch: 4,
            m: 2,
            n: 3,
            k: 5,
            a: view(0, [0, 5, 1]),
            b: view(1, [15, 3, 1]),
            c: view(2, [6, 3, 1]),
            accumulate: false,
        };
        let cost = Work::Products(vec![gemm]).cost();
        assert_eq!(cost, Cost { bytes: 4 * (10 + 60 + 24), operations: 240, launches: 1 });
        let speed = Speed { bytes: 1e3, operations: 1e9, launch: 0.5 };
        assert!((cost.seconds(&speed) - (0.376 + 0.5)).abs() < 1e-12);
    }
}
