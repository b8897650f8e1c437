//! Builds one fused kernel: the values of its tasks as rows over one iteration space.
//!
//! Every node is evaluated at an affine position of the iteration space. Views change the position, so no view is ever
//! computed; a reshape that the position cannot express splits an axis of the space, and the kernel is built anew.

mod finish;

use super::affine::{Affine, Indivisible, groups, strides};
use super::homes::{Homes, Task};
use crate::graph::{Compare, DType, Graph, NodeId};
use crate::kernel::limits::Limits;
use crate::kernel::schedule::BufferId;
use crate::kernel::tiled::{Code, Fold, Kind as Register, Source, Tiled};
use crate::kernel::view::View;
use crate::ops::{Fused, Kind, Place, Seen, number};
use std::collections::{HashMap, HashSet};

/// A kernel and the buffers its views name.
#[derive(Clone, Debug)]
pub(super) struct Built {
    pub tiled: Tiled,
    pub operands: Vec<BufferId>,
}

/// Why tasks do not become one kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// They need different iteration spaces or each other's finished results.
    Conflict,
    /// This node has to be kept in memory first.
    Keep(NodeId),
}

enum Stop {
    Failure(Failure),
    Split { axis: usize, inner: usize, reshape: NodeId },
}

/// The kernel that computes `tasks`; of those only the ones with `written` store their result.
pub(super) fn build(
    graph: &Graph,
    limits: &Limits,
    homes: &Homes,
    tasks: &[usize],
    written: &dyn Fn(BufferId) -> bool,
) -> Result<Built, Failure> {
    let Task::Compute { source: first, .. } = &homes.tasks[tasks[0]].task else { return Err(Failure::Conflict) };
    let mut space = graph[*first].dims.clone();
    let mut last_split = None;
    loop {
        let mut builder = Builder::new(graph, homes, tasks, &space);
        match builder.tasks(tasks, written) {
            Ok(()) => {
                let built = builder.finish();
                if built.tiled.dims.len() <= limits.axes {
                    return Ok(built);
                }
                // Only splits give so many axes; the last is not needed once what it reshapes is in memory.
                return Err(match last_split {
                    Some(node) if tasks.len() == 1 => Failure::Keep(node),
                    _ => Failure::Conflict,
                });
            }
            Err(Stop::Split { axis, inner, reshape }) => {
                space[axis] /= inner;
                space.insert(axis + 1, inner);
                last_split = graph[reshape].inputs.first().copied();
            }
            // A position along an axis that had to be split is not one number any more.
            Err(Stop::Failure(Failure::Conflict)) if tasks.len() == 1 => {
                return Err(last_split.map_or(Failure::Conflict, Failure::Keep));
            }
            Err(Stop::Failure(failure)) => return Err(failure),
        }
    }
}

/// A register before sources and rows are numbered together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Value {
    Source(usize),
    Row(usize),
}

struct Builder<'a> {
    graph: &'a Graph,
    homes: &'a Homes,
    /// Buffers whose values are at hand here because this kernel computes them.
    own: HashSet<BufferId>,
    space: &'a [usize],
    /// The row-major position in the iteration space.
    linear: Affine,
    known: HashMap<(NodeId, Vec<Affine>), Value>,
    sources: Vec<Source>,
    rows: Vec<(Code, Vec<Value>)>,
    stores: Vec<(Value, View)>,
    accumulations: Vec<(Fold, Value, View)>,
    reduced: Option<Vec<bool>>,
    operands: Vec<BufferId>,
}

impl<'a> Builder<'a> {
    fn new(graph: &'a Graph, homes: &'a Homes, tasks: &[usize], space: &'a [usize]) -> Self {
        let own = tasks.iter().filter_map(|&task| match &homes.tasks[task].task {
            Task::Compute { target, .. } => Some(target.buffer),
            Task::Alone(_) => None,
        });
        let mut linear = Affine::zero(space.len());
        for (axis, stride) in strides(space).into_iter().enumerate() {
            linear.steps[axis] = if space[axis] == 1 { 0 } else { stride };
        }
        Builder {
            graph,
            homes,
            own: own.collect(),
            space,
            linear,
            known: HashMap::new(),
            sources: Vec::new(),
            rows: Vec::new(),
            stores: Vec::new(),
            accumulations: Vec::new(),
            reduced: None,
            operands: Vec::new(),
        }
    }

    fn tasks(&mut self, tasks: &[usize], written: &dyn Fn(BufferId) -> bool) -> Result<(), Stop> {
        for &task in tasks {
            let Task::Compute { source, fold, target } = &self.homes.tasks[task].task else {
                return Err(Stop::Failure(Failure::Conflict));
            };
            if written(target.buffer) {
                self.task(*source, fold.as_ref(), target)?;
            }
        }
        Ok(())
    }

    fn task(&mut self, source: NodeId, fold: Option<&(Fold, Vec<usize>)>, target: &Place) -> Result<(), Stop> {
        let dims = &self.graph[source].dims;
        if dims.iter().product::<usize>() != self.space.iter().product::<usize>() {
            return Err(Stop::Failure(Failure::Conflict));
        }
        let map = self.split_over(&self.linear.clone(), dims, source)?;
        let value = match self.homes.home[source.index()] {
            Some(home) if home == target.buffer => self.compute(source, &map)?,
            _ => self.value(source, &map)?,
        };
        let Some((fold, axes)) = fold else {
            let view = self.view(target, &map);
            self.stores.push((value, view));
            return Ok(());
        };
        let mut reduced = vec![false; self.space.len()];
        for &axis in axes {
            for (flag, step) in reduced.iter_mut().zip(&map[axis].steps) {
                *flag |= *step != 0;
            }
        }
        let kept: Vec<Affine> =
            map.into_iter().enumerate().filter(|(axis, _)| !axes.contains(axis)).map(|(_, affine)| affine).collect();
        let mixed = kept.iter().any(|affine| affine.steps.iter().zip(&reduced).any(|(step, flag)| *step != 0 && *flag));
        let several = *fold == Fold::ArgMax && reduced.iter().filter(|flag| **flag).count() != 1;
        if mixed || several || self.reduced.as_ref().is_some_and(|known| *known != reduced) {
            return Err(Stop::Failure(Failure::Conflict));
        }
        self.reduced = Some(reduced);
        let view = self.view(target, &kept);
        self.accumulations.push((*fold, value, view));
        Ok(())
    }

    /// The value of a node at a position: from memory, or computed here.
    fn value(&mut self, node: NodeId, map: &[Affine]) -> Result<Value, Stop> {
        if let Some(&value) = self.known.get(&(node, map.to_vec())) {
            return Ok(value);
        }
        let value = match &self.homes.place[node.index()] {
            Some(place) if !self.own.contains(&place.buffer) => {
                let view = self.view(place, map);
                self.source(Source::Load(view))
            }
            // Computed by this very kernel: at hand if it is this element, not yet in memory if it is another.
            Some(place) if self.homes.home[node.index()] == Some(place.buffer) => {
                if self.graph[node].op.kind().is_boundary() || self.linear_position(node, map) != self.linear {
                    return Err(Stop::Failure(Failure::Conflict));
                }
                self.compute(node, map)?
            }
            _ => self.compute(node, map)?,
        };
        self.known.insert((node, map.to_vec()), value);
        Ok(value)
    }

    fn compute(&mut self, id: NodeId, map: &[Affine]) -> Result<Value, Stop> {
        Ok(match self.graph[id].op.kind() {
            Kind::Stored(_) => self.value(id, map)?,
            Kind::View(seen) => self.seen(id, seen, map)?,
            Kind::Fused(fused) => self.fused(id, fused, map)?,
            Kind::Boundary(_) | Kind::Alone(_) | Kind::Loop(_) | Kind::Part(_) => {
                return Err(Stop::Failure(Failure::Conflict));
            }
        })
    }

    /// The element of the operand that a view shows.
    fn seen(&mut self, id: NodeId, seen: Seen<'_>, map: &[Affine]) -> Result<Value, Stop> {
        let operand = self.graph[id].inputs[0];
        let inner = match seen {
            Seen::Repeated(axes) => {
                let kept = map.iter().enumerate().filter(|(axis, _)| !axes.contains(axis));
                kept.map(|(_, affine)| affine.clone()).collect()
            }
            Seen::Turned(order) => {
                let mut inner = map.to_vec();
                for (affine, &axis) in map.iter().zip(order) {
                    inner[axis] = affine.clone();
                }
                inner
            }
            Seen::From { axis, start } => {
                let mut inner = map.to_vec();
                inner[axis].offset += start;
                inner
            }
            Seen::Shaped => {
                // A kept operand has no position along its axes that it would need; its memory is in row-major order.
                if let Some(place) = self.homes.seen(self.graph, id).filter(|place| !self.own.contains(&place.buffer)) {
                    let view = self.view(&place, map);
                    return Ok(self.source(Source::Load(view)));
                }
                self.reshape(id, map)?
            }
        };
        self.value(operand, &inner)
    }

    fn fused(&mut self, id: NodeId, fused: Fused, map: &[Affine]) -> Result<Value, Stop> {
        let node = &self.graph[id];
        Ok(match fused {
            Fused::Constant(value) => self.source(Source::Constant(value, Register::of(node.dtype))),
            Fused::Position(axis) => {
                let Affine { offset, steps } = &map[axis];
                let strides = steps.iter().map(|&step| step as isize).collect();
                self.source(Source::Position { strides, offset: *offset as isize })
            }
            Fused::Random { path, normal } => {
                if self.linear_position(id, map) != self.linear || node.len() != self.space.iter().product::<usize>() {
                    return Err(Stop::Failure(Failure::Keep(id)));
                }
                let key = node.inputs[0];
                let dense = |place: &&Place| place.dense(&self.graph[key].dims);
                let Some(place) = self.homes.place[key.index()].as_ref().filter(dense) else {
                    return Err(Stop::Failure(Failure::Keep(key)));
                };
                let key = View::dense(self.operand(place.buffer), place.offset, DType::Index);
                self.source(Source::Random { key, path, normal })
            }
            Fused::Row(code) => {
                let args = node.inputs.iter().map(|&x| self.value(x, map)).collect::<Result<_, _>>()?;
                self.row(code, args)
            }
            Fused::Cast => {
                let x = self.value(node.inputs[0], map)?;
                let from = Register::of(self.graph[node.inputs[0]].dtype);
                match (from, Register::of(node.dtype)) {
                    _ if node.dtype == DType::Bool => {
                        let zero = self.source(Source::Constant(0.0, from));
                        self.row(Code::Compare(Compare::Ne), vec![x, zero])
                    }
                    (Register::Index, Register::Real) => self.row(Code::ToReal, vec![x]),
                    (Register::Real, Register::Index) => self.row(Code::ToIndex, vec![x]),
                    (Register::Real, Register::Real) | (Register::Index, Register::Index) => x,
                }
            }
            Fused::Same => self.value(node.inputs[0], map)?,
        })
    }

    /// The position in the operand of a reshape.
    fn reshape(&self, id: NodeId, map: &[Affine]) -> Result<Vec<Affine>, Stop> {
        let node = &self.graph[id];
        let dims = &self.graph[node.inputs[0]].dims;
        let mut inner = vec![Affine::zero(self.space.len()); dims.len()];
        for [outer, own] in groups(&node.dims, dims) {
            let mut position = Affine::zero(self.space.len());
            for (axis, stride) in outer.clone().zip(strides(&node.dims[outer])) {
                position.add(stride, &map[axis]);
            }
            let parts = self.split_over(&position, &dims[own.clone()], id)?;
            inner.splice(own, parts);
        }
        Ok(inner)
    }

    /// A row-major position as a position along each of `dims`.
    fn split_over(&self, position: &Affine, dims: &[usize], reshape: NodeId) -> Result<Vec<Affine>, Stop> {
        let mut parts = vec![Affine::zero(self.space.len()); dims.len()];
        let mut rest = position.clone();
        let outermost = dims.iter().position(|&size| size != 1);
        for (axis, &size) in dims.iter().enumerate().rev().filter(|(_, size)| **size != 1) {
            if Some(axis) == outermost {
                parts[axis] = rest;
                break;
            }
            (rest, parts[axis]) = rest.divide(size, self.space).map_err(|problem| match problem {
                Indivisible::UntilSplit { axis, inner } => Stop::Split { axis, inner, reshape },
                Indivisible::Never if matches!(self.graph[reshape].op.kind(), Kind::View(Seen::Shaped)) => {
                    Stop::Failure(Failure::Keep(self.graph[reshape].inputs[0]))
                }
                Indivisible::Never => Stop::Failure(Failure::Conflict),
            })?;
        }
        Ok(parts)
    }

    fn linear_position(&self, node: NodeId, map: &[Affine]) -> Affine {
        let mut position = Affine::zero(self.space.len());
        for (stride, affine) in strides(&self.graph[node].dims).into_iter().zip(map) {
            position.add(stride, affine);
        }
        position
    }

    fn view(&mut self, place: &Place, map: &[Affine]) -> View {
        let mut position = Affine::zero(self.space.len());
        position.offset = place.offset;
        for (&stride, affine) in place.strides.iter().zip(map) {
            position.add(stride, affine);
        }
        let element = self.homes.buffers[place.buffer].element;
        let strides = position.steps.iter().map(|&step| step as isize).collect();
        View { operand: self.operand(place.buffer), offset: position.offset, strides, element }
    }

    fn operand(&mut self, buffer: BufferId) -> usize {
        number(&mut self.operands, buffer)
    }

    fn source(&mut self, source: Source) -> Value {
        Value::Source(self.sources.iter().position(|known| *known == source).unwrap_or_else(|| {
            self.sources.push(source);
            self.sources.len() - 1
        }))
    }

    fn row(&mut self, code: Code, args: Vec<Value>) -> Value {
        let row = (code, args);
        Value::Row(self.rows.iter().position(|known| *known == row).unwrap_or_else(|| {
            self.rows.push(row);
            self.rows.len() - 1
        }))
    }
}
