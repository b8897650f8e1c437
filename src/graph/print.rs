//! Prints a graph, one node a line.

use super::Graph;
use std::fmt;

impl fmt::Display for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (id, node) in self.nodes() {
            write!(f, "%{} : {:?}{:?} = {:?}", id.0, node.dtype, node.dims, node.op)?;
            for input in &node.inputs {
                write!(f, " %{}", input.0)?;
            }
            match node.op {
                super::Op::State(i) => writeln!(f, "  # {}", self.states[i].key)?,
                super::Op::Input(i) => writeln!(f, "  # {}", self.inputs[i].name)?,
                _ => writeln!(f)?,
            }
        }
        for state in &self.states {
            if let Some(value) = state.update {
                writeln!(f, "update {} = %{}", state.key, value.0)?;
            }
        }
        for (name, value) in &self.outputs {
            writeln!(f, "output {name} = %{}", value.0)?;
        }
        Ok(())
    }
}
