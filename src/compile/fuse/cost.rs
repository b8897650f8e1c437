//! What is too dear to compute again for each use.

use crate::graph::{DType, Graph, Node, NodeId};
use crate::kernel::limits::Limits;
use crate::ops::{Kind, Seen};

/// What computing a node at the place of use costs.
#[derive(Clone, Copy, Default)]
struct Cost {
    /// In passes over a tile of registers.
    rows: usize,
    /// Tensors read.
    loads: usize,
}

/// Keeps the nodes that are rather stored and read than computed for each use.
pub(super) fn keep_expensive(graph: &Graph, limits: &Limits, keep: &mut [bool]) {
    let uses = uses(graph);
    let mut costs = vec![Cost::default(); graph.nodes.len()];
    for (id, node) in graph.nodes() {
        let at = id.index();
        if keep[at] || matches!(node.op.kind(), Kind::Stored(_) | Kind::Loop(_)) {
            costs[at] = Cost { rows: 0, loads: 1 };
            continue;
        }
        let mut cost = Cost { rows: node.op.passes(), loads: 0 };
        for input in &node.inputs {
            cost.rows += costs[input.index()].rows;
            cost.loads += costs[input.index()].loads;
        }
        if let Kind::View(Seen::Repeated(_)) = node.op.kind() {
            let base = viewed(graph, id);
            // A single number is computed once for all tiles of a kernel, which is cheaper than another launch.
            let free = usize::from(graph[base].len() == 1);
            if costs[base.index()].rows > free && node.len() > graph[base].len() {
                keep[base.index()] = true;
            }
            // What is repeated stays in the cache.
            cost = Cost::default();
        } else if !is_view(node)
            && ((uses[at] > 1 && cost.rows + 2 * cost.loads.saturating_sub(1) > limits.dear) || cost.rows > limits.rows)
        {
            let narrow = narrowest(graph, id);
            keep[narrow.index()] = true;
            cost = Cost { rows: if narrow == id { 0 } else { 2 }, loads: 1 };
        }
        costs[at] = cost;
    }
}

/// The node itself, or truth values from which it follows in a step or two: they take a quarter of the memory.
fn narrowest(graph: &Graph, id: NodeId) -> NodeId {
    let mut at = id;
    for _ in 0..2 {
        let varying = |x: &&NodeId| graph[**x].constant().is_none();
        let mut operands = graph[at].inputs.iter().filter(varying);
        let (Some(&only), None) = (operands.next(), operands.next()) else { return id };
        if graph[only].len() != graph[id].len() || graph[at].op.passes() > 1 {
            return id;
        }
        if graph[only].dtype == DType::Bool {
            return only;
        }
        at = only;
    }
    id
}

/// How many computations read each node, through views as well.
fn uses(graph: &Graph) -> Vec<usize> {
    let mut uses = vec![0; graph.nodes.len()];
    for (id, node) in graph.nodes().rev() {
        let weight = if is_view(node) { uses[id.index()] } else { 1 };
        for input in &node.inputs {
            uses[input.index()] += weight;
        }
    }
    uses
}

/// Whether the node only says where the elements of its operand are seen.
fn is_view(node: &Node) -> bool {
    matches!(node.op.kind(), Kind::View(_))
}

/// What a chain of views looks at.
pub(super) fn viewed(graph: &Graph, mut id: NodeId) -> NodeId {
    while is_view(&graph[id]) {
        id = graph[id].inputs[0];
    }
    id
}
