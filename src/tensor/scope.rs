//! Where a net is recorded: a graph under construction and the path of labels.

use super::{Element, Erased, Float, Path, Shape, Var};
use crate::graph::{Binary, DType, Distribution, Graph, NodeId, StateKind};
use crate::{Error, Result};
use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::rc::Rc;

/// A place in a graph under construction: the graph itself, the path of labels, and whether the net is in training.
///
/// Scopes are cheap to clone; all scopes below one root record the same graph.
///
/// ```
/// use ansatz::tensor::{Const, Scope, relu, sum};
///
/// let scope = Scope::new(false);
/// let x = scope.input::<(usize, Const<3>), f32>("x", (2, Const));
/// let y = sum::<_, (usize,), _, _>(&relu(&x));
/// scope.output("y", &y);
/// let graph = scope.finish()?;
/// assert_eq!(graph.outputs()[0].0, "y");
/// # Ok::<(), ansatz::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Scope {
    tracer: Rc<Tracer>,
    path: Path,
    frozen: bool,
    /// What the parameters below a path are made of, where they vary.
    mixture: Option<Rc<Mixture>>,
}

/// Parameters that are sums of those of several layers, which are kept below a list as `0`, `1`, …
#[derive(Debug)]
pub(super) struct Mixture {
    pub list: Path,
    /// The weight of each layer, a scalar.
    pub weights: Vec<NodeId>,
    /// What holds around it.
    pub around: Option<Rc<Mixture>>,
}

impl Scope {
    /// The root of an empty graph. In training, dropout acts and batch statistics are taken from the batch.
    pub fn new(training: bool) -> Self {
        let tracer = Tracer { training, places: None, recording: RefCell::default() };
        Scope::root(tracer)
    }

    /// The root of an empty graph whose runs go on from each other, as it is used after training: causal attention keeps
    /// keys and values of so many places, and positions go on from the place that the graph's first input tells. The net
    /// calculates in `E`.
    pub(crate) fn streaming<E: Float>(places: usize) -> Self {
        let mut graph = Graph::new();
        let start = graph.index_input("start", &[], places);
        graph.cast(start, E::DTYPE);
        let recording = RefCell::new(Recording { graph, ..Recording::default() });
        let tracer = Tracer { training: false, places: Some(places), recording };
        Scope::root(tracer)
    }

    fn root(tracer: Tracer) -> Self {
        Scope { tracer: Rc::new(tracer), path: Path::root(), frozen: false, mixture: None }
    }

    /// The scope of a part: the same graph, a longer path.
    pub fn child(&self, label: &str) -> Self {
        Scope { path: self.path.child(label), ..self.clone() }
    }

    /// The same scope for a part that keeps its values in training: its parameters are buffers.
    pub fn frozen(self) -> Self {
        Scope { frozen: true, ..self }
    }

    /// The same scope where parameters are made of others.
    pub(super) fn mixed(&self, mixture: impl FnOnce(Option<Rc<Mixture>>) -> Mixture) -> Self {
        Scope { mixture: Some(Rc::new(mixture(self.mixture.clone()))), ..self.clone() }
    }

    /// The path of labels.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the net is in training.
    pub fn training(&self) -> bool {
        self.tracer.training
    }

    /// Declares an input of the run.
    pub fn input<S: Shape, T: Element>(&self, name: &str, shape: S) -> Var<S, T> {
        let id = self.tracer.record(shape.concrete().as_ref(), T::DTYPE, &mut |graph| {
            Ok(match T::space() {
                Some(space) => graph.index_input(name, shape.concrete().as_ref(), space),
                None => graph.input(name, shape.concrete().as_ref(), T::DTYPE),
            })
        });
        self.var(id, shape)
    }

    /// The parameter of this name at this path. The same path and name twice are the same parameter.
    pub fn parameter<S: Shape, E: Float>(&self, name: &str, shape: S) -> Var<S, E> {
        let kind = if self.frozen { StateKind::Buffer } else { StateKind::Parameter };
        let (key, dims) = (self.path.child(name), shape.concrete());
        let id = self.tracer.record(dims.as_ref(), E::DTYPE, &mut |graph| {
            Mixture::parameter(self.mixture.as_ref(), graph, &key, kind, (dims.as_ref(), E::DTYPE))
        });
        self.var(id, shape)
    }

    /// The buffer of this name at this path, as earlier uses of it in this run have left it.
    pub fn buffer<S: Shape, E: Float>(&self, name: &str, shape: S) -> Var<S, E> {
        let buffer: Var<S, E> = self.state(name, StateKind::Buffer, shape);
        let id = self.tracer.record(shape.concrete().as_ref(), E::DTYPE, &mut |graph| {
            Ok(graph.state_of(buffer.id()).and_then(|slot| slot.update).unwrap_or(buffer.id()))
        });
        self.var(id, shape)
    }

    /// In training, gives the buffer of this name at this path a new value, which takes hold at the end of the run. The
    /// derivative takes it for a constant. Outside of training nothing happens.
    pub fn update<S: Shape, E: Float>(&self, name: &str, value: &Var<S, E>) {
        if !self.training() {
            return;
        }
        let shape = *value.shape();
        let buffer: Var<S, E> = self.state(name, StateKind::Buffer, shape);
        self.tracer.record(shape.concrete().as_ref(), E::DTYPE, &mut |graph| {
            let value = graph.stop_gradient(value.id());
            graph.update(buffer.id(), value)?;
            Ok(value)
        });
    }

    /// A tensor that outlives the run, of any kind, with this name at this path.
    pub fn state<S: Shape, T: Element>(&self, name: &str, kind: StateKind, shape: S) -> Var<S, T> {
        let key = self.path.child(name);
        let id = self.tracer.record(shape.concrete().as_ref(), T::DTYPE, &mut |graph| {
            Mixture::refuse(self.mixture.as_ref(), &key)?;
            graph.state(key.as_str(), kind, shape.concrete().as_ref(), T::DTYPE)
        });
        self.var(id, shape)
    }

    /// Names a result of the graph.
    pub fn output<S: Shape, T: Element>(&self, name: &str, result: &Var<S, T>) {
        self.tracer.recording.borrow_mut().graph.output(name, result.id());
    }

    /// One draw per element, keyed by the path. A second draw at the same path, as in a net that is used twice, is
    /// another one.
    pub(crate) fn draw<S: Shape, E: Float>(&self, distribution: Distribution, shape: S) -> Var<S, E> {
        let id = self.tracer.draw(&self.path, distribution, shape.concrete().as_ref(), E::DTYPE);
        self.var(id, shape)
    }

    /// One number in every element.
    pub(crate) fn constant<S: Shape, T: Element>(&self, value: f64, shape: S) -> Var<S, T> {
        let id = self.tracer.record(shape.concrete().as_ref(), T::DTYPE, &mut |graph| {
            Ok(graph.constant(value, shape.concrete().as_ref(), T::DTYPE))
        });
        self.var(id, shape)
    }

    /// The position along the last axis, as an index below `size`.
    pub(crate) fn positions<S: Shape, T: Element>(&self, shape: S, size: usize) -> Var<S, T> {
        let dims = shape.concrete();
        let dims = dims.as_ref();
        let start = self.tracer.start();
        let id = self.tracer.record(dims, T::DTYPE, &mut |graph| match dims.last() {
            Some(&count) if count > size => Err(Error::value(format!(
                "a tensor of shape {dims:?} has {count} positions along its last axis, and only {size} have an index; \
                 take shorter inputs, or declare a larger dimension for positions"
            ))),
            _ => {
                let step = graph.iota(dims, dims.len().saturating_sub(1))?;
                start.map_or(Ok(step), |start| later(graph, step, start))
            }
        });
        self.var(id, shape)
    }

    /// A condition of a net on run-time dimensions, whose sizes are given: where it does not hold, [`Scope::finish`] says so.
    pub fn require(&self, holds: bool, net: &str, condition: &str, sizes: &[(&str, usize)]) {
        if !holds {
            let sizes: Vec<_> = sizes.iter().map(|(name, size)| format!("`{name}` is {size}")).collect();
            self.fail(Error::value(format!("`{net}` needs `{condition}`, but {}", sizes.join(" and "))));
        }
    }

    /// Records several scalars at once.
    pub(super) fn record_all(
        &self,
        count: usize,
        dtype: DType,
        operation: &dyn Fn(&mut Graph) -> Result<Vec<NodeId>>,
    ) -> Vec<NodeId> {
        let mut rest = vec![];
        let first = self.tracer.record(&[], dtype, &mut |graph| {
            rest = operation(graph)?;
            Ok(rest[0])
        });
        // After an error, which is kept, the first stands for all.
        rest.resize(count, first);
        rest
    }

    /// Keeps an error, if it is the first, for [`Scope::finish`].
    pub(crate) fn fail(&self, error: Error) {
        self.tracer.recording.borrow_mut().error.get_or_insert(error);
    }

    /// Ends the recording and gives the graph; what was recorded so far leaves this scope.
    ///
    /// # Errors
    /// The first error of all that was recorded.
    pub fn finish(&self) -> Result<Graph> {
        let Recording { graph, error, .. } = self.tracer.recording.take();
        match error {
            Some(error) => Err(error),
            None => Ok(graph),
        }
    }

    fn var<S: Shape, T: Element>(&self, id: NodeId, shape: S) -> Var<S, T> {
        Var::new(Erased { tracer: self.tracer.clone(), id }, shape)
    }
}

/// The graph that a family of scopes and vars records. Typed functions cannot fail to be called: the first error is
/// kept, and a node that could not be recorded is replaced by zeros of the expected shape.
pub(crate) struct Tracer {
    training: bool,
    /// For runs that go on from each other: how many places they keep.
    places: Option<usize>,
    recording: RefCell<Recording>,
}

#[derive(Default)]
struct Recording {
    graph: Graph,
    error: Option<Error>,
    /// How often each path has drawn.
    draws: HashMap<u64, usize>,
    /// How many attentions keep what they have read.
    kept: usize,
    /// For the time of a differential equation, the time in the middle of its step.
    halfway: HashMap<NodeId, NodeId>,
}

impl Tracer {
    /// Records what `operation` appends, which should have this shape and element type.
    pub fn record(
        &self,
        dims: &[usize],
        dtype: DType,
        operation: &mut dyn FnMut(&mut Graph) -> Result<NodeId>,
    ) -> NodeId {
        let Recording { graph, error, .. } = &mut *self.recording.borrow_mut();
        let problem = match operation(graph) {
            Ok(id) if graph[id].dims == dims && graph[id].dtype == dtype => return id,
            Ok(id) => Error::shape(
                "recording",
                format!(
                    "the types promise {dtype:?}{dims:?} and the graph has {:?}{:?}",
                    graph[id].dtype, graph[id].dims
                ),
            ),
            Err(problem) => problem,
        };
        error.get_or_insert(problem);
        graph.constant(0.0, dims, dtype)
    }

    /// How many nodes there are, if the net is in training.
    pub fn recorded(&self) -> Option<usize> {
        self.training.then(|| self.recording.borrow().graph.nodes.len())
    }

    /// The node of [`Tracer::start`].
    const START: NodeId = NodeId(1);

    /// The first place of this run, a real number, if runs go on from each other.
    pub fn start(&self) -> Option<NodeId> {
        self.places.map(|_| Self::START)
    }

    /// If runs go on from each other: how many places they keep, and the number of one more thing that is kept.
    pub fn keep(&self) -> Option<(usize, usize)> {
        let kept = &mut self.recording.borrow_mut().kept;
        self.places.map(|places| {
            *kept += 1;
            (places, *kept - 1)
        })
    }

    /// Says which time is the middle of the step that a time lies in.
    pub fn set_halfway(&self, time: NodeId, middle: NodeId) {
        self.recording.borrow_mut().halfway.insert(time, middle);
    }

    /// The middle of the step that a time lies in, if it is the time of a differential equation.
    pub fn halfway(&self, time: NodeId) -> Option<NodeId> {
        self.recording.borrow().halfway.get(&time).copied()
    }

    fn draw(&self, path: &Path, distribution: Distribution, dims: &[usize], dtype: DType) -> NodeId {
        let earlier = {
            let draws = &mut self.recording.borrow_mut().draws;
            let count = draws.entry(path.hash()).or_default();
            *count += 1;
            *count - 1
        };
        let hash = if earlier == 0 { path.hash() } else { path.child(&format!("#{earlier}")).hash() };
        self.record(dims, dtype, &mut |graph| graph.random(distribution, hash, dims, dtype))
    }
}

/// Positions, indices, that begin at a place, a real number.
fn later(graph: &mut Graph, step: NodeId, start: NodeId) -> Result<NodeId> {
    let dims = graph[step].dims.clone();
    let step = graph.cast(step, graph[start].dtype);
    let start = graph.broadcast(start, &(0..dims.len()).collect::<Vec<_>>(), &dims)?;
    let position = graph.binary(Binary::Add, step, start)?;
    Ok(graph.cast(position, DType::Index))
}

impl fmt::Debug for Tracer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tracer").field("training", &self.training).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Const, add, normal};
    use super::*;
    use crate::graph::Op;

    #[test]
    fn the_first_error_is_kept() {
        let scope = Scope::new(false);
        let a = scope.input::<(usize,), f32>("a", (2,));
        let b = scope.input::<(usize,), f32>("b", (3,));
        let c = scope.input::<(usize,), f32>("c", (4,));
        add(&add(&a, &b), &c);
        let message = scope.finish().expect_err("the operands differ").to_string();
        assert!(message.contains("should be 2 and is 3"), "{message}");
    }

    #[test]
    fn one_parameter_per_path_and_name() {
        let scope = Scope::new(false);
        let first = scope.child("fc").parameter::<(Const<3>,), f32>("bias", (Const,));
        let second = scope.child("fc").parameter::<(Const<3>,), f32>("bias", (Const,));
        let other = scope.parameter::<(Const<3>,), f32>("bias", (Const,));
        assert_eq!(first.id(), second.id());
        assert_ne!(first.id(), other.id());
        let graph = scope.finish().expect("nothing is wrong");
        assert_eq!(graph.states().iter().map(|s| &*s.key).collect::<Vec<_>>(), ["fc.bias", "bias"]);
    }

    #[test]
    fn equal_paths_draw_twice() {
        let scope = Scope::new(true);
        for _ in 0..2 {
            normal::<(usize,), f32>(&scope.child("noise"), (5,));
        }
        let graph = scope.finish().expect("nothing is wrong");
        let paths: Vec<u64> = graph
            .nodes()
            .filter_map(|(_, node)| match node.op {
                Op::Random { path, .. } => Some(path),
                _ => None,
            })
            .collect();
        assert_eq!(paths.len(), 2);
        assert_eq!(paths[0], Path::root().child("noise").hash());
        assert_ne!(paths[0], paths[1]);
    }

    #[test]
    fn tensors_of_two_graphs_do_not_mix() {
        let (one, two) = (Scope::new(false), Scope::new(false));
        let a = one.input::<(usize,), f32>("a", (2,));
        let b = two.input::<(usize,), f32>("b", (2,));
        add(&a, &b);
        assert!(one.finish().expect_err("two graphs").to_string().contains("another graph"));
    }
}
