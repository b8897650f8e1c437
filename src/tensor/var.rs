//! A recorded tensor, whose type carries its shape.

use super::scope::Tracer;
use super::{Element, Shape};
use crate::graph::{Graph, NodeId};
use crate::{Error, Result};
use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;
use std::rc::Rc;

/// A tensor of shape `S` over the elements `T` in a graph under construction. It is cheap to clone.
pub struct Var<S: Shape, T: Element> {
    erased: Erased,
    shape: S,
    element: PhantomData<T>,
}

impl<S: Shape, T: Element> Var<S, T> {
    pub(crate) fn new(erased: Erased, shape: S) -> Self {
        Var { erased, shape, element: PhantomData }
    }

    /// The shape, with the sizes of run-time dimensions.
    pub fn shape(&self) -> &S {
        &self.shape
    }

    /// The node of the graph.
    pub fn id(&self) -> NodeId {
        self.erased.id
    }

    /// The same tensor without its shape in the type.
    pub fn erase(&self) -> Erased {
        self.erased.clone()
    }

    pub(crate) fn erased(&self) -> &Erased {
        &self.erased
    }
}

impl<S: Shape, T: Element> Clone for Var<S, T> {
    fn clone(&self) -> Self {
        Var { erased: self.erased.clone(), shape: self.shape, element: PhantomData }
    }
}

impl<S: Shape, T: Element> fmt::Debug for Var<S, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "%{} : {:?}{:?}", self.id().index(), T::DTYPE, self.shape.concrete())
    }
}

/// A recorded tensor whose type does not tell its shape.
#[derive(Clone)]
pub struct Erased {
    pub(crate) tracer: Rc<Tracer>,
    pub(crate) id: NodeId,
}

impl fmt::Debug for Erased {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "%{}", self.id.index())
    }
}

/// What a typed function appends to the graph; the operands are of that graph.
pub(crate) type Operation<'a> = &'a dyn Fn(&mut Graph, &[NodeId]) -> Result<NodeId>;

/// Records an operation on at least one operand; `shape` and `T` are what the result should be.
pub(crate) fn record<S: Shape, T: Element>(operands: &[&Erased], shape: S, operation: Operation<'_>) -> Var<S, T> {
    let erased = record_erased(operands, shape.concrete().as_ref(), T::DTYPE, operation);
    Var::new(erased, shape)
}

/// Records an operation with two results of one shape.
pub(crate) fn record_two<S: Shape, T: Element>(
    operands: &[&Erased],
    shape: S,
    operation: &dyn Fn(&mut Graph, &[NodeId]) -> Result<[NodeId; 2]>,
) -> (Var<S, T>, Var<S, T>) {
    let other = Cell::new(None);
    let first = record(operands, shape, &|graph, ids| {
        let [first, second] = operation(graph, ids)?;
        other.set(Some(second));
        Ok(first)
    });
    // After an error, which is kept, the first stands for both.
    let second = record(&[first.erased()], shape, &|_, ids| Ok(other.get().unwrap_or(ids[0])));
    (first, second)
}

fn record_erased(operands: &[&Erased], dims: &[usize], dtype: crate::graph::DType, operation: Operation<'_>) -> Erased {
    let tracer = &operands[0].tracer;
    let mixed = operands.iter().any(|other| !Rc::ptr_eq(&other.tracer, tracer));
    let ids: Vec<NodeId> = operands.iter().map(|operand| operand.id).collect();
    let id = tracer.record(dims, dtype, &mut |graph| {
        if mixed {
            return Err(Error::value("an operand was recorded on another graph; record all operands below one scope"));
        }
        operation(graph, &ids)
    });
    Erased { tracer: tracer.clone(), id }
}
