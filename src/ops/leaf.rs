//! Values that are computed from nothing: inputs, state, constants, positions, random draws. None has a derivative;
//! draws are constants to the derivative.

use super::cases::{Case, Domain, each};
use super::causal::{Course, Site};
use super::kind::{Fused, Kind};
use super::rule::{Cotangents, Rule, Walk};
use super::simplify::Rewriter;
use super::verify::{float, operand, within};
use super::{index, random};
use crate::graph::{DType, Graph, InputSlot, KEY, Node, NodeId, Op, StateKind, StateSlot};
use crate::kernel::schedule::Home;
use crate::{Error, Result};

/// What a random draw is distributed as.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Distribution {
    /// Standard normal.
    Normal,
    /// Uniform on [0, 1).
    Uniform,
}

impl Graph {
    /// A tensor that each run is given.
    pub fn input(&mut self, name: impl Into<String>, dims: &[usize], dtype: DType) -> NodeId {
        self.inputs.push(InputSlot { name: name.into(), dims: dims.to_vec(), dtype, space: None });
        self.push(Op::Input(self.inputs.len() - 1), vec![], dims.to_vec(), dtype)
    }

    /// Indices below `space` that each run is given.
    pub fn index_input(&mut self, name: impl Into<String>, dims: &[usize], space: usize) -> NodeId {
        self.inputs.push(InputSlot { name: name.into(), dims: dims.to_vec(), dtype: DType::Index, space: Some(space) });
        self.push(Op::Input(self.inputs.len() - 1), vec![], dims.to_vec(), DType::Index)
    }

    /// A tensor that outlives the run. The same key twice is the same tensor.
    ///
    /// # Errors
    /// If the key is already taken by a tensor of another shape, kind or element type.
    pub fn state(&mut self, key: impl Into<String>, kind: StateKind, dims: &[usize], dtype: DType) -> Result<NodeId> {
        let key = key.into();
        if let Some(i) = self.states.iter().position(|s| s.key == key) {
            let slot = &self.states[i];
            if slot.dims != dims || slot.kind != kind || slot.dtype != dtype {
                return Err(Error::shape(
                    "state",
                    format!("`{key}` is used as {dims:?} and as {:?}; give one of them another label", slot.dims),
                ));
            }
            let known = self.nodes().find(|(_, node)| node.op == Op::State(i)).map(|(id, _)| id);
            if let Some(id) = known {
                return Ok(id);
            }
            return Ok(self.push(Op::State(i), vec![], dims.to_vec(), dtype));
        }
        self.states.push(StateSlot { key, kind, dims: dims.to_vec(), dtype, update: None });
        Ok(self.push(Op::State(self.states.len() - 1), vec![], dims.to_vec(), dtype))
    }

    /// The key that random draws of this graph are taken from (one per graph).
    pub fn key(&mut self) -> Result<NodeId> {
        self.state(KEY, StateKind::Key, &[4], DType::Index)
    }

    /// One number in every element.
    pub fn constant(&mut self, value: f64, dims: &[usize], dtype: DType) -> NodeId {
        self.push(Op::Constant(value), vec![], dims.to_vec(), dtype)
    }

    /// A constant of the shape and element type of another node.
    pub fn constant_like(&mut self, value: f64, like: NodeId) -> NodeId {
        let (dims, dtype) = (self[like].dims.clone(), self[like].dtype);
        self.push(Op::Constant(value), vec![], dims, dtype)
    }

    /// The position along `axis`, as an index.
    pub fn iota(&mut self, dims: &[usize], axis: usize) -> Result<NodeId> {
        if axis >= dims.len() {
            return Err(Error::shape("iota", format!("{dims:?} has no axis {axis}")));
        }
        Ok(self.push(Op::Iota { axis }, vec![], dims.to_vec(), DType::Index))
    }

    /// One draw per element.
    pub fn random(&mut self, distribution: Distribution, path: u64, dims: &[usize], dtype: DType) -> Result<NodeId> {
        let key = self.key()?;
        Ok(self.push(Op::Random { distribution, path }, vec![key], dims.to_vec(), dtype))
    }
}

/// The i-th input.
pub(super) struct Input(pub usize);

impl Rule<'_> for Input {
    fn arity(&self) -> Option<usize> {
        Some(0)
    }

    fn result(&self, graph: &Graph, _: &Node) -> Result<(Vec<usize>, DType), String> {
        let slot = graph.inputs().get(self.0).ok_or("reads an input that does not exist")?;
        Ok((slot.dims.clone(), slot.dtype))
    }

    fn kind(&self) -> Kind<'static> {
        Kind::Stored(Home::Input(self.0))
    }

    fn passes(&self) -> usize {
        0
    }

    fn course(&self, at: &Site<'_>) -> Result<Course, String> {
        at.own()
    }

    fn value(&self, _: &Graph, _: &Node, _: &[&[f64]]) -> Result<Vec<f64>> {
        unreachable!("the value of an input is given, not computed")
    }

    fn vjp(&self, _: &mut Graph, _: NodeId, _: Cotangents<'_>, _: Walk) -> Result<Vec<Option<NodeId>>> {
        Ok(vec![])
    }

    fn cases(float: DType) -> Result<Vec<Case>> {
        Ok(vec![Case::new("Input", float, &[(&[2, 3], Domain::reals(-3.0, 3.0))], |_, x| Ok(x[0]))?])
    }
}

/// The i-th tensor of the state.
pub(super) struct State(pub usize);

impl Rule<'_> for State {
    fn arity(&self) -> Option<usize> {
        Some(0)
    }

    fn result(&self, graph: &Graph, _: &Node) -> Result<(Vec<usize>, DType), String> {
        let slot = graph.states().get(self.0).ok_or("reads a state that does not exist")?;
        Ok((slot.dims.clone(), slot.dtype))
    }

    fn kind(&self) -> Kind<'static> {
        Kind::Stored(Home::State(self.0))
    }

    fn passes(&self) -> usize {
        0
    }

    fn course(&self, at: &Site<'_>) -> Result<Course, String> {
        at.own()
    }

    fn value(&self, _: &Graph, _: &Node, _: &[&[f64]]) -> Result<Vec<f64>> {
        unreachable!("the value of a state is given, not computed")
    }

    fn vjp(&self, _: &mut Graph, _: NodeId, _: Cotangents<'_>, _: Walk) -> Result<Vec<Option<NodeId>>> {
        Ok(vec![])
    }

    fn cases(float: DType) -> Result<Vec<Case>> {
        let case = Case::new("State", float, &[], |graph, _| {
            graph.state("weight", crate::graph::StateKind::Parameter, &[2, 3], float)
        });
        Ok(vec![case?])
    }
}

/// One number in every element.
pub(super) struct Constant(pub f64);

impl Rule<'_> for Constant {
    fn arity(&self) -> Option<usize> {
        Some(0)
    }

    fn result(&self, _: &Graph, node: &Node) -> Result<(Vec<usize>, DType), String> {
        let fits = match node.dtype {
            DType::F32 | DType::F64 | DType::Bf16 => true,
            DType::Index => self.0.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&self.0),
            DType::Bool => self.0 == 0.0 || self.0 == 1.0,
        };
        match fits {
            true => Ok((node.dims.clone(), node.dtype)),
            false => Err(format!("holds {}, which is no {:?}", self.0, node.dtype)),
        }
    }

    fn kind(&self) -> Kind<'static> {
        Kind::Fused(Fused::Constant(self.0))
    }

    fn passes(&self) -> usize {
        0
    }

    fn course(&self, _: &Site<'_>) -> Result<Course, String> {
        Ok(Course::Still)
    }

    fn value(&self, _: &Graph, node: &Node, _: &[&[f64]]) -> Result<Vec<f64>> {
        // As the element type holds it.
        Ok(vec![super::logic::converted(self.0, node.dtype); node.len()])
    }

    fn vjp(&self, _: &mut Graph, _: NodeId, _: Cotangents<'_>, _: Walk) -> Result<Vec<Option<NodeId>>> {
        Ok(vec![])
    }

    fn cases(float: DType) -> Result<Vec<Case>> {
        constant_cases(float)
    }
}

/// The position along an axis.
pub(super) struct Iota(pub usize);

impl Rule<'_> for Iota {
    fn arity(&self) -> Option<usize> {
        Some(0)
    }

    fn result(&self, _: &Graph, node: &Node) -> Result<(Vec<usize>, DType), String> {
        within(self.0, &node.dims)?;
        Ok((node.dims.clone(), DType::Index))
    }

    fn kind(&self) -> Kind<'static> {
        Kind::Fused(Fused::Position(self.0))
    }

    fn passes(&self) -> usize {
        1
    }

    fn course(&self, at: &Site<'_>) -> Result<Course, String> {
        at.counted(self.0)
    }

    fn value(&self, _: &Graph, node: &Node, _: &[&[f64]]) -> Result<Vec<f64>> {
        let weights: Vec<usize> = (0..node.dims.len()).map(|i| usize::from(i == self.0)).collect();
        Ok(index::walk(&node.dims, &weights).map(|position| position as f64).collect())
    }

    fn vjp(&self, _: &mut Graph, _: NodeId, _: Cotangents<'_>, _: Walk) -> Result<Vec<Option<NodeId>>> {
        Ok(vec![])
    }

    fn simpler(&self, to: &mut Rewriter, node: &Node) -> Option<NodeId> {
        (node.dims[self.0] == 1).then(|| to.constant(0.0, &node.dims, node.dtype))
    }

    fn cases(float: DType) -> Result<Vec<Case>> {
        let along = |axis| Case::new(format!("Iota {axis}"), float, &[], move |graph, _| graph.iota(&[2, 3, 4], axis));
        (0..3).map(along).collect()
    }
}

/// Draws, and the hash of the path that they are keyed by.
pub(super) struct Random(pub Distribution, pub u64);

impl Rule<'_> for Random {
    fn arity(&self) -> Option<usize> {
        Some(1)
    }

    fn result(&self, graph: &Graph, node: &Node) -> Result<(Vec<usize>, DType), String> {
        let key = operand(graph, node, 0);
        if key.dims != [4] || key.dtype != DType::Index {
            return Err(format!("takes a key of four indices, not {:?}{:?}", key.dtype, key.dims));
        }
        float(node)?;
        Ok((node.dims.clone(), node.dtype))
    }

    fn kind(&self) -> Kind<'static> {
        Kind::Fused(Fused::Random { path: self.1, normal: self.0 == Distribution::Normal })
    }

    fn passes(&self) -> usize {
        30
    }

    fn course(&self, at: &Site<'_>) -> Result<Course, String> {
        at.own()
    }

    fn value(&self, _: &Graph, node: &Node, operands: &[&[f64]]) -> Result<Vec<f64>> {
        Ok(random(self.0, self.1, operands[0], node.len()))
    }

    fn vjp(&self, _: &mut Graph, _: NodeId, _: Cotangents<'_>, _: Walk) -> Result<Vec<Option<NodeId>>> {
        Ok(vec![None])
    }

    fn cases(float: DType) -> Result<Vec<Case>> {
        let draws = each!(Distribution: Normal Uniform).iter().map(|&op| {
            Case::new(format!("Random {op:?}"), float, &[], |graph, _| graph.random(op, 0x5eed, &[5, 7], float))
        });
        draws.collect()
    }
}

/// One draw per element, keyed by the key's four words (seed and step, low word first), the path and the position.
fn random(distribution: Distribution, path: u64, key: &[f64], len: usize) -> Vec<f64> {
    let key = [0, 1, 2, 3].map(|i| key[i] as u64);
    let draw = match distribution {
        Distribution::Normal => random::normal,
        Distribution::Uniform => random::uniform,
    };
    (0..len as u64).map(|position| draw(key, path, position)).collect()
}

fn constant_cases(float: DType) -> Result<Vec<Case>> {
    let of = |value: f64, dtype| {
        Case::new(format!("Constant {value} as {dtype:?}"), float, &[], move |graph, _| {
            Ok(graph.constant(value, &[2, 3], dtype))
        })
    };
    [of(0.25, float), of(-0.0, float), of(7.0, DType::Index), of(1.0, DType::Bool)].into_iter().collect()
}
