//! Values that are computed from nothing: inputs, state, constants, positions, random draws. None has a derivative;
//! draws are constants to the derivative.

use super::cases::{Case, Domain};
use super::{index, random};
use crate::Result;
use crate::graph::{DType, Distribution};

/// One number in every element, as the element type holds it.
pub(super) fn constant(value: f64, len: usize, dtype: DType) -> Vec<f64> {
    vec![super::logic::converted(value, dtype); len]
}

/// The position along `axis`.
pub(super) fn iota(dims: &[usize], axis: usize) -> Vec<f64> {
    let weights: Vec<usize> = (0..dims.len()).map(|i| usize::from(i == axis)).collect();
    index::walk(dims, &weights).map(|position| position as f64).collect()
}

/// One draw per element, keyed by the key's four words (seed and step, low word first), the path and the position.
pub(super) fn random(distribution: Distribution, path: u64, key: &[f64], len: usize) -> Vec<f64> {
    let key = [0, 1, 2, 3].map(|i| key[i] as u64);
    let draw = match distribution {
        Distribution::Normal => random::normal,
        Distribution::Uniform => random::uniform,
    };
    (0..len as u64).map(|position| draw(key, path, position)).collect()
}

pub(super) fn input_cases(float: DType) -> Result<Vec<Case>> {
    Ok(vec![Case::new("Input", float, &[(&[2, 3], Domain::reals(-3.0, 3.0))], |_, x| Ok(x[0]))?])
}

pub(super) fn state_cases(float: DType) -> Result<Vec<Case>> {
    Ok(vec![Case::new("State", float, &[], |graph, _| {
        graph.state("weight", crate::graph::StateKind::Parameter, &[2, 3], float)
    })?])
}

pub(super) fn constant_cases(float: DType) -> Result<Vec<Case>> {
    let of = |value: f64, dtype| {
        Case::new(format!("Constant {value} as {dtype:?}"), float, &[], move |graph, _| {
            Ok(graph.constant(value, &[2, 3], dtype))
        })
    };
    [of(0.25, float), of(-0.0, float), of(7.0, DType::Index), of(1.0, DType::Bool)].into_iter().collect()
}

pub(super) fn iota_cases(float: DType) -> Result<Vec<Case>> {
    (0..3).map(|axis| Case::new(format!("Iota {axis}"), float, &[], |graph, _| graph.iota(&[2, 3, 4], axis))).collect()
}

pub(super) fn random_cases(op: Distribution, float: DType) -> Result<Vec<Case>> {
    Ok(vec![Case::new(format!("Random {op:?}"), float, &[], |graph, _| graph.random(op, 0x5eed, &[5, 7], float))?])
}
