//! Simpler nodes: common subexpressions, constants, algebra. Each op says in its rule what it may become; the longer of
//! these answers stand here.

mod elementwise;
mod structure;
mod sums;

use super::Kind;
use crate::graph::{DType, Graph, Node, NodeId, Op};
use std::collections::HashMap;
use std::mem::{Discriminant, discriminant};

/// What two equal nodes have in common, and may have with others that differ in their op's attributes.
type Identity = (Discriminant<Op>, Vec<NodeId>, Vec<usize>, DType);

/// Whether two ops compute the same. Numbers are told apart by their bits: 0 and −0 are two, NaN is one.
fn same(a: &Op, b: &Op) -> bool {
    if let (Op::Constant(a), Op::Constant(b)) = (a, b) {
        return a.to_bits() == b.to_bits();
    }
    a == b
}

/// Builds the new graph: each node is looked at by the rules of its op before it is appended.
pub(crate) struct Rewriter {
    graph: Graph,
    known: HashMap<Identity, Vec<NodeId>>,
}

impl Rewriter {
    /// An empty graph with the slots of another, in which nothing is known yet.
    pub fn new(graph: &Graph) -> Self {
        let graph = Graph { inputs: graph.inputs.clone(), states: graph.states.clone(), ..Graph::default() };
        Rewriter { graph, known: HashMap::new() }
    }

    /// What was written.
    pub fn finish(self) -> Graph {
        self.graph
    }

    /// A node equal to the one described.
    pub fn make(&mut self, op: Op, inputs: Vec<NodeId>, dims: &[usize], dtype: DType) -> NodeId {
        let node = Node { op, inputs, dims: dims.to_vec(), dtype };
        if !matches!(node.op.kind(), Kind::Stored(_) | Kind::Loop(_)) && node.is_empty() {
            return self.constant(0.0, dims, dtype);
        }
        match node.op.with(|rule| rule.simpler(self, &node)) {
            Some(simpler) => simpler,
            None => self.append(node),
        }
    }

    fn append(&mut self, node: Node) -> NodeId {
        let Node { op, inputs, dims, dtype } = node;
        let graph = &mut self.graph;
        let known = self.known.entry((discriminant(&op), inputs, dims, dtype));
        let (_, inputs, dims, _) = known.key().clone();
        let alike = known.or_default();
        alike.iter().copied().find(|&id| same(&graph[id].op, &op)).unwrap_or_else(|| {
            let id = graph.push(op, inputs, dims, dtype);
            alike.push(id);
            id
        })
    }

    /// What is written already.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    pub fn node(&self, id: NodeId) -> &Node {
        &self.graph[id]
    }

    pub fn constant(&mut self, value: f64, dims: &[usize], dtype: DType) -> NodeId {
        self.append(Node { op: Op::Constant(value), inputs: vec![], dims: dims.to_vec(), dtype })
    }

    /// The number that every element of the node is, if it is a constant.
    pub fn value(&self, id: NodeId) -> Option<f64> {
        self.node(id).constant()
    }
}
