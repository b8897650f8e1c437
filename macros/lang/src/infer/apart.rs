//! Whether the field of `cnf` takes each point by itself: of points that mix, the logarithm of the determinant would be
//! another one. Where that is not known, as of a function of Rust, it is believed.

use super::block::Inference;
use super::instances::Nets;
use super::typed::{Acts, Argument, Call, Flow, Layer, LayerKind, Operation, Step, ValueId};
use super::types::Type;
use crate::report::Place;
use std::collections::HashMap;

/// Where the axes that count points lie in a value.
type Points = Vec<usize>;

/// Something that makes a value of several points.
struct Mixed(Place);

/// A body that is walked through.
struct Walk<'w> {
    values: &'w [Type],
    layers: &'w [Layer],
    /// The values that follow from points.
    points: HashMap<ValueId, Points>,
}

impl<'a> Inference<'a, '_, '_> {
    /// Where the field of a flow mixes the points that lie along the last axis.
    pub(super) fn mixes(&self, flow: &Flow) -> Option<Place> {
        let rank = self.body.values[flow.value].rank();
        let points = HashMap::from([(flow.value, (0..rank - 1).collect())]);
        let mut walk = Walk { values: &self.body.values, layers: &self.parts.layers, points };
        self.nets.through(&mut walk, &flow.body).err().map(|Mixed(place)| place)
    }
}

impl Nets<'_, '_> {
    fn through(&self, walk: &mut Walk<'_>, steps: &[Step]) -> Result<(), Mixed> {
        for step in steps {
            let mixed = || Mixed(step.span);
            let found = match &step.operation {
                Operation::Call(call) => vec![walk.call(call, step.results[0]).ok_or_else(mixed)?],
                Operation::Layer { layer, inputs, .. } => {
                    let given: Vec<_> = inputs.iter().map(|id| walk.points.get(id).cloned()).collect();
                    match &walk.layers[*layer].kind {
                        LayerKind::Net(net) => self.net_apart(*net, &given).map_err(|_| mixed())?,
                        kind => vec![
                            given
                                .into_iter()
                                .flatten()
                                .next()
                                .map(|points| {
                                    let rank = walk.values[inputs[0]].rank();
                                    layer_apart(kind, rank, &points).then_some(points).ok_or_else(mixed)
                                })
                                .transpose()?,
                        ],
                    }
                }
                Operation::Checkpoint { body, result, .. } => self.inner(walk, body, *result)?,
                Operation::Varying { how, .. } => self.inner(walk, &how.body, how.result)?,
                Operation::Loop { input, how } => {
                    walk.follow(how.value, *input);
                    self.inner(walk, &how.body, how.result)?
                }
                Operation::Ode { input, flow } => {
                    walk.follow(flow.value, *input);
                    self.inner(walk, &flow.body, flow.slope)?;
                    vec![walk.points.get(input).cloned()]
                }
                _ => vec![],
            };
            for (id, points) in step.results.iter().zip(found) {
                walk.points.extend(points.map(|points| (*id, points)));
            }
        }
        Ok(())
    }

    fn inner(&self, walk: &mut Walk<'_>, body: &[Step], result: ValueId) -> Result<Vec<Option<Points>>, Mixed> {
        self.through(walk, body)?;
        Ok(vec![walk.points.get(&result).cloned()])
    }

    /// Where the points lie in the results of a net.
    fn net_apart(&self, net: usize, given: &[Option<Points>]) -> Result<Vec<Option<Points>>, Mixed> {
        let net = self.done(net);
        let Ok(body) = &net.body else { return Ok(vec![]) };
        let points = given.iter().enumerate().filter_map(|(id, points)| Some((id, points.clone()?))).collect();
        let mut walk = Walk { values: &net.values, layers: &net.layers, points };
        self.through(&mut walk, &body.steps)?;
        Ok(body.results.iter().map(|id| walk.points.get(id).cloned()).collect())
    }
}

/// Whether a layer that takes a tensor of a rank takes its points by themselves.
fn layer_apart(kind: &LayerKind, rank: usize, points: &[usize]) -> bool {
    match kind {
        LayerKind::Unit { name: "BatchNorm", .. } => false,
        LayerKind::Unit { acts: Acts::OnChannels | Acts::OnImages(_), .. } => points.iter().all(|axis| *axis == 0),
        LayerKind::Unit { acts: Acts::OnLast, .. } => points.iter().all(|axis| axis + 1 != rank),
        _ => true,
    }
}

impl Walk<'_> {
    fn follow(&mut self, value: ValueId, of: ValueId) {
        let points = self.points.get(&of).cloned();
        self.points.extend(points.map(|points| (value, points)));
    }

    /// Where the points lie in the result of a call; `None` if it mixes them.
    fn call(&self, call: &Call, result: ValueId) -> Option<Option<Points>> {
        let mut found: Option<Points> = None;
        for (i, id) in call.tensors.iter().enumerate() {
            let Some(points) = self.points.get(id) else { continue };
            let (from, to) = (&self.values[*id], &self.values[result]);
            let Some(carried) = carried(call, i, from, to) else { continue };
            // An axis of size 1 holds one point, which goes anywhere.
            let several = points.iter().filter(|axis| !ansatz_shapes::Size::is_one(&from.axes[**axis]));
            let carried: Points = several.map(|axis| carried(*axis)).collect::<Option<_>>()?;
            match &found {
                Some(before) if *before != carried => return None,
                _ => found = Some(carried),
            }
        }
        Some(found)
    }
}

/// Where an axis goes.
type Carried<'c> = Box<dyn Fn(usize) -> Option<usize> + 'c>;

/// Where each axis of the i-th tensor of a call goes; one that goes nowhere is gone over. `None` if that is not known.
fn carried<'c>(call: &'c Call, i: usize, from: &'c Type, to: &'c Type) -> Option<Carried<'c>> {
    let counts = |name: &str| match call.values.iter().find(|(own, _)| *own == name) {
        Some((_, Argument::Counts(counts))) => Some(counts.as_slice()),
        _ => None,
    };
    let along = match call.values.iter().find(|(own, _)| *own == "axis") {
        Some((_, Argument::Count(axis))) => Some(*axis),
        _ => None,
    };
    let (rank, before) = (from.rank(), to.rank().wrapping_sub(from.rank()));
    match call.of.name {
        "einsum" => {
            let Some((_, Argument::Lists(labels))) = call.values.iter().find(|(own, _)| *own == "labels") else {
                return None;
            };
            let (labels, kept) = (labels.get(i)?, counts("result")?);
            Some(Box::new(move |axis| kept.iter().position(|label| Some(label) == labels.get(axis))))
        }
        "broadcast" => {
            let kept: Vec<usize> = (0..to.rank()).filter(|axis| !call.axes.contains(axis)).collect();
            Some(Box::new(move |axis| kept.get(axis).copied()))
        }
        "attention" => Some(Box::new(move |axis| (axis + 2 < rank || axis + 2 == rank && i == 0).then_some(axis))),
        "slice" | "pad" | "concat" | "split" => Some(Box::new(move |axis| (along != Some(axis)).then_some(axis))),
        "reshape" | "rearrange" | "gather" => None,
        _ if !call.axes.is_empty() => Some(Box::new(move |axis| {
            let lost = call.axes.iter().filter(|gone| **gone < axis).count();
            let moved = if to.rank() < rank { axis - lost } else { axis };
            (!call.axes.contains(&axis)).then_some(moved)
        })),
        // Elementwise, after broadcasting.
        _ if rank <= to.rank() => {
            let fits = from.axes.iter().zip(&to.axes[before..]).all(|(a, b)| a == b || ansatz_shapes::Size::is_one(a));
            fits.then(|| Box::new(move |axis| Some(axis + before)) as Carried<'_>)
        }
        _ => None,
    }
}
