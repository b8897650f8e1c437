//! A graph as a compiled program that takes and gives plain vectors of f64, as the interpreter does.

use crate::graph::{DType, Graph, InputSlot};
use crate::run::{Data, DataMut, Device, Precision, Program, State, Workspace, compile_for};
use crate::{Error, Result};

pub(super) struct Compiled {
    program: Program,
    state: State,
    workspace: Workspace,
    inputs: Vec<InputSlot>,
    outputs: usize,
}

impl Compiled {
    pub fn new(graph: &Graph, device: &Device) -> Result<Self> {
        let program = compile_for(graph, device, Precision::Full)?;
        let state = State::on(device, graph.states())?;
        let workspace = program.workspace(&state)?;
        Ok(Compiled { program, state, workspace, inputs: graph.inputs().to_vec(), outputs: graph.outputs().len() })
    }

    /// Runs the program. States are in the order of the graph's slots; each result has its elements row-major.
    pub fn run(&mut self, states: &[Vec<f64>], inputs: &[Vec<f64>]) -> Result<Vec<Vec<f64>>> {
        for (i, values) in states.iter().enumerate() {
            fill(self.state.get_mut(i)?, values)?;
        }
        let stored: Vec<Stored> =
            self.inputs.iter().zip(inputs).map(|(slot, values)| Stored::new(slot.dtype, values)).collect();
        let data: Vec<Data<'_>> = stored.iter().map(Stored::data).collect();
        self.program.evaluate(&self.state, &data, &mut self.workspace)?;
        Ok((0..self.outputs).map(|i| self.program.output(&self.workspace, i).to_f64()).collect())
    }
}

/// Elements as a program stores them.
enum Stored {
    F32(Vec<f32>),
    F64(Vec<f64>),
    Index(Vec<u32>),
    Bool(Vec<u8>),
}

impl Stored {
    fn new(dtype: DType, values: &[f64]) -> Self {
        match dtype {
            DType::F32 => Stored::F32(values.iter().map(|&x| x as f32).collect()),
            DType::F64 | DType::Bf16 => Stored::F64(values.to_vec()),
            DType::Index => Stored::Index(values.iter().map(|&x| x as u32).collect()),
            DType::Bool => Stored::Bool(values.iter().map(|&x| u8::from(x != 0.0)).collect()),
        }
    }

    fn data(&self) -> Data<'_> {
        match self {
            Stored::F32(values) => Data::F32(values),
            Stored::F64(values) => Data::F64(values),
            Stored::Index(values) => Data::Index(values),
            Stored::Bool(values) => Data::Bool(values),
        }
    }
}

fn fill(to: DataMut<'_>, values: &[f64]) -> Result<()> {
    fn each<T>(to: &mut [T], values: &[f64], convert: impl Fn(f64) -> T) -> Result<()> {
        if to.len() != values.len() {
            return Err(Error::value(format!("a state of {} elements is given {}", to.len(), values.len())));
        }
        to.iter_mut().zip(values).for_each(|(to, &value)| *to = convert(value));
        Ok(())
    }
    match to {
        DataMut::F32(to) => each(to, values, |x| x as f32),
        DataMut::F64(to) => each(to, values, |x| x),
        DataMut::Index(to) => each(to, values, |x| x as u32),
        DataMut::Bool(to) => each(to, values, |x| u8::from(x != 0.0)),
    }
}
