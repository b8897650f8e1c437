//! Prints a graph, one node a line; the body of a loop stands under it, indented.

use super::Graph;
use crate::kernel::schedule::Home;
use crate::ops::Kind;
use std::fmt;

impl fmt::Display for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        print(self, f, 0)
    }
}

fn print(graph: &Graph, f: &mut fmt::Formatter<'_>, depth: usize) -> fmt::Result {
    let indent = "    ".repeat(depth);
    for (id, node) in graph.nodes() {
        write!(f, "{indent}%{} : {:?}{:?} = ", id.0, node.dtype, node.dims)?;
        let nest = if let Kind::Loop(nest) = node.op.kind() { Some(nest) } else { None };
        match nest {
            Some(nest) => {
                write!(f, "Loop {}{}", nest.count, if nest.reverse { " in reverse" } else { "" })?;
                write!(f, ", {} carries, {} slices", nest.carries, nest.slices)?;
            }
            None => write!(f, "{:?}", node.op)?,
        }
        for input in &node.inputs {
            write!(f, " %{}", input.0)?;
        }
        if let Some(Home::State(i)) = node.given() {
            write!(f, "  # {}", graph.states[i].key)?;
        }
        if let Some(Home::Input(i)) = node.given() {
            write!(f, "  # {}", graph.inputs[i].name)?;
        }
        writeln!(f)?;
        if let Some(nest) = nest {
            print(&nest.body, f, depth + 1)?;
        }
    }
    for state in &graph.states {
        if let Some(value) = state.update {
            writeln!(f, "{indent}update {} = %{}", state.key, value.0)?;
        }
    }
    for (name, value) in &graph.outputs {
        writeln!(f, "{indent}output {name} = %{}", value.0)?;
    }
    Ok(())
}
