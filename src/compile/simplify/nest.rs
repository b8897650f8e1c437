//! Rules of loops: bodies are simplified by themselves, and what nobody uses leaves the loop.

use super::{live, simplify};
use crate::graph::{DType, Graph, Loop, LoopGradient, NodeId, Op};
use crate::ops::Kind;
use std::collections::HashMap;

/// Where a result of a loop is found afterwards.
#[derive(Clone, Copy)]
enum Found {
    Node(NodeId),
    /// Nobody reads it.
    Nowhere,
}

/// An equal graph without dead nodes whose loops are simple: no loop without steps, nor of one step unless it stays apart, no dead carries, stacks and
/// operands, no carry that stays as it is; constants and views of captured values stand in the body, which reads the
/// value itself where it lies.
pub(super) fn loops(graph: &Graph) -> Graph {
    let live = live(graph);
    let mut used: HashMap<NodeId, Vec<bool>> = HashMap::new();
    for (_, node) in graph.nodes().filter(|(id, _)| live[id.index()]) {
        if let Op::Part(i) = node.op {
            let whole = node.inputs[0];
            used.entry(whole).or_insert_with(|| vec![false; graph[whole].results()])[i] = true;
        }
    }
    let mut out = Graph { inputs: graph.inputs.clone(), states: graph.states.clone(), ..Graph::default() };
    let mut renamed: Vec<Option<NodeId>> = vec![None; graph.nodes.len()];
    let mut results: HashMap<NodeId, Vec<Found>> = HashMap::new();
    let name = |renamed: &[Option<NodeId>], id: NodeId| renamed[id.index()].expect("operands stand before their users");
    for (id, node) in graph.nodes().filter(|(id, _)| live[id.index()]) {
        if let Op::Part(i) = node.op {
            let Found::Node(found) = results[&node.inputs[0]][i] else { unreachable!("live results are kept") };
            renamed[id.index()] = Some(found);
            continue;
        }
        let inputs: Vec<NodeId> = node.inputs.iter().map(|&x| name(&renamed, x)).collect();
        if let Op::Loop(nest) = &node.op {
            let found = match nest.count {
                0 => none(&mut out, nest, &inputs),
                1 if !nest.apart => once(&mut out, nest, &inputs),
                _ => repeated(&mut out, nest, &inputs, &used[&id]),
            };
            results.insert(id, found);
        } else {
            renamed[id.index()] = Some(out.push(node.op.clone(), inputs, node.dims.clone(), node.dtype));
        }
    }
    for slot in &mut out.states {
        slot.update = slot.update.map(|value| name(&renamed, value));
    }
    out.outputs = graph.outputs.iter().map(|(label, value)| (label.clone(), name(&renamed, *value))).collect();
    out
}

/// Without a step the carries are the first ones.
fn none(out: &mut Graph, nest: &Loop, inputs: &[NodeId]) -> Vec<Found> {
    let stacks = nest.results().split_off(nest.carries);
    let empty: Vec<NodeId> =
        stacks.into_iter().map(|(dims, dtype)| out.push(Op::Constant(0.0), vec![], dims, dtype)).collect();
    inputs[..nest.carries].iter().copied().chain(empty).map(Found::Node).collect()
}

/// One step is the body itself.
fn once(out: &mut Graph, nest: &Loop, inputs: &[NodeId]) -> Vec<Found> {
    let mut own = vec![out.constant(0.0, &[], DType::Index)];
    for (i, (slot, &x)) in nest.body.inputs[1..].iter().zip(inputs).enumerate() {
        let slice = (nest.carries..nest.carries + nest.slices).contains(&i);
        own.push(if slice { out.push(Op::Reshape, vec![x], slot.dims.clone(), slot.dtype) } else { x });
    }
    let values = out.inline(&nest.body, &own);
    let results = nest.results();
    let outputs = nest.body.outputs.iter().map(|(_, id)| values[id.index()]).enumerate();
    let found = outputs.map(|(i, value)| {
        let (dims, dtype) = results[i].clone();
        Found::Node(if i < nest.carries { value } else { out.push(Op::Reshape, vec![value], dims, dtype) })
    });
    found.collect()
}

/// How a value of the outer graph comes into the new body.
enum Entry {
    Step,
    Carry,
    Slice,
    /// Captured, then given through an op of the body that has the value for its only operand.
    Capture(NodeId, Option<(Op, Vec<usize>)>),
    Constant(f64),
    Dead,
}

fn repeated(out: &mut Graph, nest: &Loop, inputs: &[NodeId], used: &[bool]) -> Vec<Found> {
    let body = simplify(&nest.body);
    let outputs: Vec<NodeId> = body.outputs.iter().map(|(_, id)| *id).collect();
    let stays = |i: usize| body[outputs[i]].op == Op::Input(1 + i);
    let (needed, alive) = needed(&body, nest.carries, used, &stays);

    let entries: Vec<Entry> = (0..body.inputs.len())
        .map(|slot| {
            let Some(i) = slot.checked_sub(1) else { return Entry::Step };
            let read = body.nodes().any(|(id, node)| alive[id.index()] && node.op == Op::Input(slot));
            let x = inputs[i];
            if i < nest.carries && needed[i] {
                Entry::Carry
            } else if !read {
                Entry::Dead
            } else if (nest.carries..nest.carries + nest.slices).contains(&i) {
                slice(out, x, &body.inputs[slot].dims)
            } else {
                capture(out, x)
            }
        })
        .collect();

    // The new body: step, carries, slices, captures, then all else.
    let mut new = Graph::new();
    let mut own: Vec<Option<NodeId>> = vec![None; body.inputs.len()];
    let mut operands = Vec::new();
    let mut counts = [0; 2];
    let kinds = [|entry: &Entry| matches!(entry, Entry::Carry), |entry: &Entry| matches!(entry, Entry::Slice)];
    own[0] = Some(new.input("step", &[], DType::Index));
    for (kind, count) in kinds.into_iter().zip(&mut counts) {
        for (slot, _) in entries.iter().enumerate().filter(|(_, entry)| kind(entry)) {
            let declared = &body.inputs[slot];
            own[slot] = Some(new.input(declared.name.clone(), &declared.dims, declared.dtype));
            operands.push(inputs[slot - 1]);
            *count += 1;
        }
    }
    let mut captured: Vec<(NodeId, NodeId)> = Vec::new();
    for (slot, entry) in entries.iter().enumerate() {
        let Entry::Capture(x, _) = entry else { continue };
        if captured.iter().all(|(known, _)| known != x) {
            let inner = new.input(body.inputs[slot].name.clone(), &out[*x].dims, out[*x].dtype);
            captured.push((*x, inner));
            operands.push(*x);
        }
    }
    for (slot, entry) in entries.iter().enumerate() {
        let declared = &body.inputs[slot];
        match entry {
            Entry::Capture(x, through) => {
                let known = captured.iter().find(|(known, _)| known == x);
                let inner = known.expect("every capture was added").1;
                own[slot] = Some(match through {
                    Some((op, dims)) => new.push(op.clone(), vec![inner], dims.clone(), declared.dtype),
                    None => inner,
                });
            }
            Entry::Constant(value) => own[slot] = Some(new.constant(*value, &declared.dims, declared.dtype)),
            Entry::Step | Entry::Carry | Entry::Slice | Entry::Dead => {}
        }
    }
    let mut renamed: Vec<Option<NodeId>> = vec![None; body.nodes.len()];
    for (id, node) in body.nodes().filter(|(id, _)| alive[id.index()]) {
        renamed[id.index()] = if let Op::Input(slot) = node.op {
            own[slot]
        } else {
            let operands = node.inputs.iter().filter_map(|x| renamed[x.index()]).collect();
            Some(new.push(node.op.clone(), operands, node.dims.clone(), node.dtype))
        };
    }
    // Two stacks of one value are one; a carry is always its own.
    let mut kept: Vec<usize> = Vec::new();
    let mut places: Vec<Option<usize>> = vec![None; outputs.len()];
    for i in (0..outputs.len()).filter(|&i| needed[i]) {
        let same = kept.iter().position(|&k| k >= nest.carries && i >= nest.carries && outputs[k] == outputs[i]);
        places[i] = Some(same.unwrap_or_else(|| {
            let value = renamed[outputs[i].index()].expect("needed outputs are alive");
            new.output(body.outputs[i].0.clone(), value);
            kept.push(i);
            kept.len() - 1
        }));
    }
    let [carries, slices] = counts;
    let parts = match kept.is_empty() {
        true => Vec::new(),
        false => {
            let Loop { count, reverse, apart, .. } = *nest;
            let gradient = LoopGradient::Rerun;
            out.nest(Loop { body: new, count, reverse, carries, slices, gradient, apart }, operands)
        }
    };
    let found = |(i, place): (usize, Option<usize>)| match place {
        Some(place) => Found::Node(parts[place]),
        None if i < nest.carries && stays(i) => Found::Node(inputs[i]),
        None => Found::Nowhere,
    };
    places.into_iter().enumerate().map(found).collect()
}

/// Which outputs of a body are needed, and which of its nodes. A carry is also needed where a needed node reads it,
/// except one that stays as it is.
fn needed(body: &Graph, carries: usize, used: &[bool], stays: &dyn Fn(usize) -> bool) -> (Vec<bool>, Vec<bool>) {
    let mut needed: Vec<bool> = used.iter().enumerate().map(|(i, &used)| used && !(i < carries && stays(i))).collect();
    loop {
        let mut alive = vec![false; body.nodes.len()];
        for (_, (_, id)) in body.outputs.iter().enumerate().filter(|(i, _)| needed[*i]) {
            alive[id.index()] = true;
        }
        let mut complete = true;
        for (id, node) in body.nodes().rev() {
            if !alive[id.index()] {
                continue;
            }
            for input in &node.inputs {
                alive[input.index()] = true;
            }
            if let Op::Input(slot) = node.op
                && let Some(i) = slot.checked_sub(1).filter(|&i| i < carries && !stays(i))
            {
                complete &= needed[i];
                needed[i] = true;
            }
        }
        if complete {
            return (needed, alive);
        }
    }
}

/// Where all steps read the same, the slice is a capture or a constant.
fn slice(out: &Graph, x: NodeId, dims: &[usize]) -> Entry {
    if let Op::Constant(value) = out[x].op {
        return Entry::Constant(value);
    }
    let Op::Broadcast { axes } = &out[x].op else { return Entry::Slice };
    if axes[0] != 0 {
        return Entry::Slice;
    }
    let inner = axes[1..].iter().map(|axis| axis - 1).collect::<Vec<_>>();
    let through = (!inner.is_empty()).then(|| (Op::Broadcast { axes: inner }, dims.to_vec()));
    Entry::Capture(out[x].inputs[0], through)
}

/// A view moves into the body, where it costs nothing, and the body reads what is viewed where it lies.
fn capture(out: &Graph, x: NodeId) -> Entry {
    let node = &out[x];
    if let Op::Constant(value) = node.op {
        return Entry::Constant(value);
    }
    match matches!(node.op.kind(), Kind::View(_)) {
        true => Entry::Capture(node.inputs[0], Some((node.op.clone(), node.dims.clone()))),
        false => Entry::Capture(x, None),
    }
}
