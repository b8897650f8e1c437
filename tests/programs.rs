//! Random programs that PyTorch takes, compiled and run: the results have the shapes that PyTorch says.
#![allow(dead_code, unused_imports, clippy::all)]

use ansatz::dfdx::shapes::{Dim, Shape};
use ansatz::prelude::*;
use ansatz::tensor::{Const, Cpu, HasShape, Indices, Named, Tensor};

/// Some numbers of this shape.
fn reals<S: Shape>(shape: S) -> Tensor<S, f32, Cpu> {
    let values = (0..shape.num_elements()).map(|i| (i as f32 * 1.7).sin()).collect();
    from_vec(values, shape).expect("as many numbers as the shape has")
}

/// Some indices into `Space`.
fn indices<S: Shape, Space: Named>(shape: S) -> Indices<S, Space> {
    let values: Vec<u32> = (0..shape.num_elements()).map(|i| (i * 7 % Space::SIZE) as u32).collect();
    Indices::new(values, shape).expect("indices into the space")
}

fn sizes<S: Shape>(tensor: &Tensor<S, f32, Cpu>) -> Vec<usize> {
    tensor.shape().concrete().into_iter().collect()
}

include!("fixtures/programs.rs");
