//! Which numbers lie in memory with sixteen bits.
//!
//! What matrix products, convolutions and attention read is narrow, and so is what lies between them: their results and
//! what elementwise kernels make of these, if another product reads what comes of it. Everything else is as it was: state,
//! inputs and outputs, the results of folds, logarithms of sums, sums by index, and whatever the new state is computed
//! from elementwise, gradients of parameters above all. Where a product reads one of these, it reads a narrow copy, which is
//! made once.
//!
//! Only memory changes. Launches compute in `f32`, and products add up in `f32`.

use super::memory;
use crate::kernel::attention::{Attention, Pass};
use crate::kernel::limits::Limits;
use crate::kernel::lookup::{Kind, Lookup};
use crate::kernel::schedule::{Buffer, BufferId, Home, Schedule, Step};
use crate::kernel::tiled::{self, Source, Tiled};
use crate::kernel::view::{Access, DType, View};
use crate::kernel::work::Work;
use std::collections::HashMap;
use std::sync::Arc;

/// Has launches read and write numbers of sixteen bits, before the buffers have their places.
pub(super) fn narrow(schedule: &mut Schedule, limits: &Limits) {
    for step in &mut schedule.steps {
        if let Work::Loop(nest) = &mut step.work {
            let body = Arc::make_mut(&mut nest.body);
            narrow(body, limits);
            memory::lay_out(body, limits);
            schedule.buffers[step.operands[nest.memory.operand]].len = body.bytes;
        }
    }
    for number in 0..schedule.steps.len() {
        part_logarithms(schedule, number);
    }
    for id in Facts::of(schedule).narrow(schedule) {
        schedule.buffers[id].element = DType::Bf16;
    }
    copy_factors(schedule);
    for step in &mut schedule.steps {
        let Step { work, operands, .. } = step;
        work.views_mut(&mut |_, view, _| view.element = schedule.buffers[operands[view.operand]].element);
    }
}

/// The logarithms of sums lie behind the result of attention, in one buffer. They get one of their own, so that the result
/// can be narrow, unless a launch sees both at once.
fn part_logarithms(schedule: &mut Schedule, number: usize) {
    let Step { work: Work::Attention(attention), operands, .. } = &schedule.steps[number] else { return };
    let Pass::Forward { out, logarithms } = &attention.pass else { return };
    let (id, cut) = (operands[out.operand], logarithms.offset);
    let in_arena = matches!(schedule.buffers[id].home, Home::Arena(_)) && !schedule.outputs.contains(&id);
    let mut parts = in_arena && operands[logarithms.operand] == id;
    let seers: Vec<usize> = (0..schedule.steps.len()).filter(|&at| schedule.steps[at].operands.contains(&id)).collect();
    for &at in &seers {
        let Step { work, operands, .. } = &schedule.steps[at];
        work.clone().views_mut(&mut |_, view, extents| {
            let (first, last) = view.reach(extents);
            let cut = cut as isize;
            parts &= operands[view.operand] != id || extents.contains(&0) || last < cut || first >= cut;
        });
    }
    if !parts {
        return;
    }
    let own = schedule.buffers.len();
    let whole = &mut schedule.buffers[id];
    let rest = Buffer { len: whole.len - cut, ..whole.clone() };
    whole.len = cut;
    schedule.buffers.push(rest);
    for at in seers {
        let Step { mut work, operands, .. } = schedule.steps[at].clone();
        let mut named = Vec::new();
        work.views_mut(&mut |_, view, _| {
            let mut seen = operands[view.operand];
            if seen == id && view.offset >= cut {
                seen = own;
                view.offset -= cut;
            }
            view.operand = number_of(&mut named, seen);
        });
        schedule.steps[at] = Step::new(work, named);
    }
}

/// What is known of each buffer.
struct Facts {
    /// Whether it cannot be narrow.
    wide: Vec<bool>,
    /// Whether it is a factor of a product, or the result of one.
    factor: Vec<bool>,
    result: Vec<bool>,
    /// What is computed elementwise from what: source and target.
    follows: Vec<(BufferId, BufferId)>,
}

impl Facts {
    fn of(schedule: &Schedule) -> Self {
        let count = schedule.buffers.len();
        let none = || vec![false; count];
        let mut facts = Facts { wide: none(), factor: none(), result: none(), follows: Vec::new() };
        for (id, buffer) in schedule.buffers.iter().enumerate() {
            facts.wide[id] = !matches!(buffer.home, Home::Arena(_)) || buffer.element != DType::F32;
        }
        schedule.outputs.iter().for_each(|&id| facts.wide[id] = true);
        for step in &schedule.steps {
            facts.step(&mut step.work.clone(), &step.operands);
        }
        facts
    }

    fn step(&mut self, work: &mut Work, operands: &[BufferId]) {
        let id = |view: &View| operands[view.operand];
        work.views_mut(&mut |access, view, _| self.wide[id(view)] |= access == Access::Update);
        factors(work).into_iter().for_each(|view| self.factor[id(view)] = true);
        results(work).into_iter().for_each(|view| self.result[id(view)] = true);
        match work {
            Work::Fused(tiled) => self.tiled(tiled, operands),
            Work::Chain(chain) => chain.links.iter().for_each(|link| self.tiled(&link.tiled, operands)),
            Work::Pooling(pooling) => self.follows.push((id(&pooling.x), id(&pooling.y))),
            Work::Lookup(Lookup { kind: Kind::Gather { table }, out, .. }) => self.follows.push((id(table), id(out))),
            Work::Products(_) | Work::Convolution(_) => {}
            Work::Attention(attention) => {
                let extras = [&attention.bias, &attention.slopes].into_iter().flatten();
                let sums = match &attention.pass {
                    Pass::Forward { logarithms, .. } => vec![logarithms],
                    Pass::Backward { logarithms, common, .. } => vec![logarithms, common],
                };
                extras.chain(sums).for_each(|view| self.wide[id(view)] = true);
            }
            Work::Lookup(_) | Work::Loop(_) | Work::FoldIn(_) | Work::Call(_) => {
                work.views_mut(&mut |_, view, _| self.wide[id(view)] = true);
            }
        }
    }

    fn tiled(&mut self, tiled: &Tiled, operands: &[BufferId]) {
        // What each register is computed from.
        let mut loads: Vec<Vec<BufferId>> = Vec::new();
        for source in &tiled.sources {
            loads.push(if let Source::Load(view) = source { vec![operands[view.operand]] } else { Vec::new() });
        }
        for row in &tiled.rows {
            let mut all: Vec<BufferId> =
                row.args[..row.code.arity()].iter().flat_map(|&arg| loads[arg as usize].iter().copied()).collect();
            all.sort_unstable();
            all.dedup();
            loads.push(all);
        }
        for store in &tiled.stores {
            let target = operands[store.view.operand];
            self.follows.extend(loads[store.register as usize].iter().map(|&source| (source, target)));
        }
        for fold in &tiled.accumulations {
            self.wide[operands[fold.view.operand]] = true;
        }
    }

    /// The buffers that become narrow.
    fn narrow(&self, schedule: &Schedule) -> Vec<BufferId> {
        let Facts { wide, factor, result, follows } = self;
        // Launches stand in the order in which they run, and so do these pairs: one pass reaches all.
        let mut product = result.clone();
        for &(source, target) in follows {
            product[target] |= product[source];
        }
        let mut state = vec![false; wide.len()];
        for id in schedule.steps.iter().flat_map(|step| &step.writes) {
            state[*id] = matches!(schedule.buffers[*id].home, Home::State(_));
        }
        let mut read = factor.clone();
        for &(source, target) in follows.iter().rev() {
            read[source] |= read[target];
            state[source] |= state[target];
        }
        (0..wide.len()).filter(|&id| !wide[id] && !state[id] && read[id] && (factor[id] || product[id])).collect()
    }
}

/// Has products read narrow copies of what is wide, made before the first of them.
fn copy_factors(schedule: &mut Schedule) {
    let mut copies: HashMap<BufferId, BufferId> = HashMap::new();
    for mut step in std::mem::take(&mut schedule.steps) {
        let mut operands = step.operands.clone();
        for view in factors(&mut step.work) {
            let source = operands[view.operand];
            let Buffer { len, element, .. } = schedule.buffers[source];
            if element != DType::F32 {
                continue;
            }
            let copy = *copies.entry(source).or_insert_with(|| {
                schedule.buffers.push(Buffer { len, element: DType::Bf16, home: Home::Arena(0) });
                let copy = schedule.buffers.len() - 1;
                let work = Work::Fused(tiled::copy(len, [DType::F32, DType::Bf16]));
                schedule.steps.push(Step::new(work, vec![source, copy]));
                copy
            });
            view.operand = number_of(&mut operands, copy);
        }
        // What is not read any more is not named.
        let mut named = Vec::new();
        step.work.views_mut(&mut |_, view, _| view.operand = number_of(&mut named, operands[view.operand]));
        schedule.steps.push(Step::new(step.work, named));
    }
}

/// The number of a buffer among operands, which it joins if it is not among them.
fn number_of(operands: &mut Vec<BufferId>, buffer: BufferId) -> usize {
    operands.iter().position(|&known| known == buffer).unwrap_or_else(|| {
        operands.push(buffer);
        operands.len() - 1
    })
}

/// What products read.
fn factors(work: &mut Work) -> Vec<&mut View> {
    match work {
        Work::Products(gemms) => gemms.iter_mut().flat_map(|gemm| [&mut gemm.a, &mut gemm.b]).collect(),
        Work::Convolution(convolution) => convolution.operands.iter_mut().collect(),
        Work::Attention(attention) => {
            let Attention { q, k, v, pass, .. } = &mut **attention;
            let cotangent = if let Pass::Backward { c, .. } = pass { Some(c) } else { None };
            [q, k, v].into_iter().chain(cotangent).collect()
        }
        _ => Vec::new(),
    }
}

/// What they write.
fn results(work: &mut Work) -> Vec<&mut View> {
    match work {
        Work::Products(gemms) => gemms.iter_mut().map(|gemm| &mut gemm.c).collect(),
        Work::Convolution(convolution) => vec![&mut convolution.result],
        Work::Attention(attention) => match &mut attention.pass {
            Pass::Forward { out, .. } => vec![out],
            Pass::Backward { dq, dk, dv, .. } => vec![dq, dk, dv],
        },
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compile::{LIMITS, compile};
    use crate::grad::grad;
    use crate::graph::{Binary, Graph, StateKind, Unary};
    use crate::kernel::precision::Precision;

    /// A step of a training: y = tanh(x·a)·b, and `a`, `b` less their gradients of Σ y².
    fn step() -> Graph {
        let mut graph = Graph::new();
        let x = graph.input("x", &[8, 16], DType::F32);
        let a = graph.state("a", StateKind::Parameter, &[16, 32], DType::F32).unwrap();
        let b = graph.state("b", StateKind::Parameter, &[32, 4], DType::F32).unwrap();
        let inner = graph.matmul(x, a, [false, false]).unwrap();
        let inner = graph.unary(Unary::Tanh, inner).unwrap();
        let y = graph.matmul(inner, b, [false, false]).unwrap();
        let square = graph.unary(Unary::Square, y).unwrap();
        let loss = graph.sum(square, &[0, 1]).unwrap();
        for (parameter, gradient) in [a, b].into_iter().zip(grad(&mut graph, loss, &[a, b]).unwrap()) {
            let next = graph.binary(Binary::Sub, parameter, gradient).unwrap();
            graph.update(parameter, next).unwrap();
        }
        graph.output("loss", loss);
        graph
    }

    #[test]
    fn what_products_read_is_narrow_and_what_parameters_follow_is_not() {
        let schedule = compile(&step(), &LIMITS, Precision::Bf16).unwrap().schedule;
        let (mut read, mut bound, mut copies) = (0, 0, Vec::new());
        for step in &schedule.steps {
            let mut work = step.work.clone();
            for view in factors(&mut work) {
                assert_eq!(schedule.buffers[step.operands[view.operand]].element, DType::Bf16);
                read += 1;
            }
            let home = |id: &BufferId| schedule.buffers[*id].home;
            let updates = step.writes.iter().any(|id| matches!(home(id), Home::State(_)));
            for id in step.operands.iter().filter(|id| updates && matches!(home(id), Home::Arena(_))) {
                assert_eq!(schedule.buffers[*id].element, DType::F32);
                bound += 1;
            }
            let narrow = step.writes.iter().any(|id| schedule.buffers[*id].element == DType::Bf16);
            copies.extend(step.operands.iter().map(home).filter(|home| narrow && !matches!(home, Home::Arena(_))));
        }
        // Two products forward, a gradient for each parameter, and one on the way to the first; each parameter and the input
        // are rounded once.
        assert_eq!((read, bound), (10, 2));
        copies.sort_by_key(|home| format!("{home:?}"));
        assert_eq!(copies, [Home::Input(0), Home::State(0), Home::State(1)]);
        assert!(schedule.outputs.iter().all(|&id| schedule.buffers[id].element == DType::F32));
    }

    #[test]
    fn programs_of_f64_stay_as_they_are() {
        let mut graph = Graph::new();
        let x = graph.input("x", &[4, 4], DType::F64);
        let y = graph.matmul(x, x, [false, true]).unwrap();
        graph.output("y", y);
        let problem = compile(&graph, &LIMITS, Precision::Bf16).unwrap_err().to_string();
        assert!(problem.contains("these are f64"), "{problem}");
    }
}
