//! Where a net is recorded: a graph under construction and the path of labels.

/// A place in a graph under construction: the graph itself, the path of labels, and whether the net is in training.
#[derive(Clone, Debug)]
pub struct Scope {}
