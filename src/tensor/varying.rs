//! Parameters that change with time: equal layers stand at nodes, and between them their parameters are interpolated.

use super::scope::{Mixture, Scope};
use super::{Float, Path, Var};
use crate::graph::{Binary, Compare, DType, Graph, NodeId, StateKind, Unary};
use crate::{Error, Result};
use std::ops::Range;
use std::rc::Rc;

/// How the parameters of equal layers make those of one layer that depends on the time s.
#[derive(Clone, Debug, PartialEq)]
pub struct Varying {
    /// How many layers there are.
    pub layers: usize,
    /// What holds between them.
    pub between: Between,
    /// The time over which they are spread evenly; before and behind it nothing changes.
    pub span: Range<f64>,
}

/// What holds between layers that are spread over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Between {
    /// The first layer stands at the start of the span and the last at its end; between two neighbours the parameters
    /// lie on a line.
    Linear,
    /// Each layer holds for an equal part of the span. Within [`ode`](crate::ode) it is the middle of a step that decides, so
    /// that no step sees two layers: with as many steps of Euler's method as layers, it is a residual network.
    Constant,
}

impl Scope {
    /// The scope of the layer that equal layers make at the time `s`, whose parameters are kept below `list` as `0`, `1`, …
    /// It is recorded once, as the first of them: a parameter of `list.0` then stands for the interpolated one.
    ///
    /// # Errors
    /// At [`Scope::finish`]: if there is no layer, the span is empty or not finite, or the layer holds what does not vary,
    /// like running statistics.
    ///
    /// ```
    /// use ansatz::tensor::{Between, Const, Scope, Varying};
    ///
    /// let scope = Scope::new(false);
    /// let s = scope.input::<(), f32>("s", ());
    /// let varying = Varying { layers: 3, between: Between::Linear, span: 0.0..1.0 };
    /// let bias = scope.varying("field", &s, &varying).child("field.0").parameter::<(Const<2>,), f32>("bias", (Const,));
    /// scope.output("bias", &bias);
    /// let keys: Vec<String> = scope.finish()?.states().iter().map(|slot| slot.key.clone()).collect();
    /// assert_eq!(keys, ["field.0.bias", "field.1.bias", "field.2.bias"]);
    /// # Ok::<(), ansatz::Error>(())
    /// ```
    pub fn varying<E: Float>(&self, list: &str, s: &Var<(), E>, how: &Varying) -> Scope {
        let halfway = s.erased().tracer.halfway(s.id()).unwrap_or(s.id());
        let weights = self.record_all(how.layers, E::DTYPE, &|graph| match how.between {
            Between::Linear => hats(graph, s.id(), how, E::DTYPE),
            Between::Constant => parts(graph, halfway, how, E::DTYPE),
        });
        self.mixed(|around| Mixture { list: self.path().child(list), weights, around })
    }
}

/// Where a time lies in the span, in parts of which the span has `count`.
fn place(graph: &mut Graph, s: NodeId, how: &Varying, count: usize, dtype: DType) -> Result<NodeId> {
    let Varying { layers, span, .. } = how;
    let length = span.end - span.start;
    if *layers == 0 {
        return Err(Error::shape("varying", "there is no layer whose parameters could vary"));
    }
    if !length.is_finite() || length == 0.0 {
        return Err(Error::shape("varying", format!("layers are spread over a span of time, not over {span:?}")));
    }
    let start = graph.constant(span.start, &[], dtype);
    let passed = graph.binary(Binary::Sub, s, start)?;
    let scale = graph.constant(count as f64 / length, &[], dtype);
    graph.binary(Binary::Mul, passed, scale)
}

/// The weight of each layer, 1 at its own node and falling to 0 at the nodes beside it.
fn hats(graph: &mut Graph, s: NodeId, how: &Varying, dtype: DType) -> Result<Vec<NodeId>> {
    let last = how.layers.saturating_sub(1);
    let at = place(graph, s, how, last, dtype)?;
    let (least, greatest) = (graph.constant(0.0, &[], dtype), graph.constant(last as f64, &[], dtype));
    let at = graph.binary(Binary::Max, at, least)?;
    let at = graph.binary(Binary::Min, at, greatest)?;
    let one = graph.constant(1.0, &[], dtype);
    let mut weight = |i: usize| {
        let node = graph.constant(i as f64, &[], dtype);
        let away = graph.binary(Binary::Sub, at, node)?;
        let away = graph.unary(Unary::Abs, away)?;
        let near = graph.binary(Binary::Sub, one, away)?;
        graph.unary(Unary::Relu, near)
    };
    (0..how.layers).map(&mut weight).collect()
}

/// The weight of each layer, 1 in its own part of the span.
fn parts(graph: &mut Graph, s: NodeId, how: &Varying, dtype: DType) -> Result<Vec<NodeId>> {
    let at = place(graph, s, how, how.layers, dtype)?;
    let mut weights = Vec::with_capacity(how.layers);
    let mut begun = graph.constant(1.0, &[], dtype);
    for i in 1..how.layers {
        let border = graph.constant(i as f64, &[], dtype);
        let passed = graph.compare(Compare::Ge, at, border)?;
        let next = graph.cast(passed, dtype);
        weights.push(graph.binary(Binary::Sub, begun, next)?);
        begun = next;
    }
    weights.push(begun);
    Ok(weights)
}

impl Mixture {
    /// A parameter at a path: if it is one of the first layer, the sum of those of all layers by their weights.
    pub fn parameter(
        mixture: Option<&Rc<Mixture>>,
        graph: &mut Graph,
        path: &Path,
        kind: StateKind,
        (dims, dtype): (&[usize], DType),
    ) -> Result<NodeId> {
        let Some(Mixture { list, weights, around }) = mixture.map(|mixture| &**mixture) else {
            return graph.state(path.as_str(), kind, dims, dtype);
        };
        let Some(rest) = path.below(&list.child("0")) else {
            return Self::parameter(around.as_ref(), graph, path, kind, (dims, dtype));
        };
        let axes: Vec<usize> = (0..dims.len()).collect();
        let mut sum = None;
        for (i, &weight) in weights.iter().enumerate() {
            let path = list.child(&i.to_string()).child(rest);
            let own = Self::parameter(around.as_ref(), graph, &path, kind, (dims, dtype))?;
            let weight = graph.broadcast(weight, &axes, dims)?;
            let part = graph.binary(Binary::Mul, weight, own)?;
            sum = Some(match sum {
                Some(sum) => graph.binary(Binary::Add, sum, part)?,
                None => part,
            });
        }
        sum.ok_or_else(|| Error::shape("varying", "there is no layer whose parameters could vary"))
    }

    /// What a state at a path is told that would vary.
    pub fn refuse(mixture: Option<&Rc<Mixture>>, path: &Path) -> Result<()> {
        let Some(mixture) = mixture else { return Ok(()) };
        if path.below(&mixture.list.child("0")).is_none() {
            return Self::refuse(mixture.around.as_ref(), path);
        }
        let problem =
            format!("`{path}` is no parameter, and parameters alone vary with time; let the layer do without");
        Err(Error::shape("varying", problem))
    }
}

#[cfg(test)]
mod tests {
    use super::super::Const;
    use super::*;

    #[test]
    fn errors_say_what_cannot_vary() {
        let whole = Varying { layers: 3, between: Between::Linear, span: 0.0..1.0 };
        let message = |how: Varying, use_layer: &dyn Fn(&Scope)| {
            let scope = Scope::new(true);
            let s = scope.input::<(), f64>("s", ());
            use_layer(&scope.varying("layers", &s, &how).child("layers.0"));
            scope.finish().expect_err("it cannot vary").to_string()
        };
        for between in [Between::Linear, Between::Constant] {
            assert!(message(Varying { layers: 0, between, ..whole.clone() }, &|_| {}).contains("no layer"));
            let still = Varying { span: 2.0..2.0, between, ..whole.clone() };
            assert!(message(still, &|_| {}).contains("over a span of time, not over 2.0..2.0"));
        }
        let statistics = |scope: &Scope| drop(scope.buffer::<(Const<2>,), f64>("mean", (Const,)));
        assert!(message(whole, &statistics).contains("`layers.0.mean` is no parameter"));
    }
}
