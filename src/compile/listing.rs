//! What a program does, for reading.

use super::Program;
use crate::kernel::attention::{Attention, Pass};
use crate::kernel::lookup::{Kind, Lookup};
use crate::kernel::schedule::{Home, Schedule};
use crate::kernel::tiled::{Source, Tiled};
use crate::kernel::view::DType;
use crate::kernel::work::{FoldIn, Work};
use std::fmt;

/// A launch and the names of its operands.
struct Line {
    work: Work,
    operands: Vec<String>,
    bytes: usize,
    /// The launches of a step of a loop.
    inner: Vec<Line>,
}

/// The lines of a schedule.
fn lines(schedule: &Schedule, name: &dyn Fn(Home) -> String) -> Vec<Line> {
    let line = |step| {
        let (slots, mut work) = schedule.resolved(step);
        let bytes = step.operands.iter().map(|&buffer| schedule.buffers[buffer].bytes()).sum();
        let mut operands: Vec<String> = slots.iter().map(|slot| name(slot.home)).collect();
        let mut narrow = vec![false; operands.len()];
        work.views_mut(&mut |_, view, _| narrow[view.operand] |= view.element == DType::Bf16);
        operands.iter_mut().zip(narrow).filter(|(_, narrow)| *narrow).for_each(|(name, _)| name.push_str(" in bf16"));
        let mut inner = Vec::new();
        if let Work::Loop(nest) = &work {
            let own = |home: Home| match home {
                Home::Input(0) => "step".into(),
                Home::Input(i) => operands[nest.inputs[i].view.operand].clone(),
                Home::State(i) => operands[nest.states[i].view.operand].clone(),
                Home::Arena(offset) => format!("{}+{offset}", operands[nest.memory.operand]),
            };
            inner = lines(&nest.body, &own);
        }
        Line { work, operands, bytes, inner }
    };
    schedule.steps.iter().map(line).collect()
}

impl Program {
    fn lines(&self) -> Vec<Line> {
        lines(&self.schedule, &|home| match home {
            Home::Input(i) => format!("input {}", self.inputs[i].name),
            Home::State(i) => format!("state {}", self.states[i].key),
            Home::Arena(offset) => format!("@{offset}"),
        })
    }

    /// What each launch does, in a line; those within a loop follow the loop.
    pub(crate) fn titles(&self) -> Vec<String> {
        fn add(titles: &mut Vec<String>, indent: &str, lines: &[Line]) {
            for (i, line) in lines.iter().enumerate() {
                titles.push(format!("{indent}{i:4}  {}", Title(line)));
                add(titles, &format!("{indent}    "), &line.inner);
            }
        }
        let mut titles = Vec::new();
        add(&mut titles, "", &self.lines());
        titles
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (dtype, count, bytes) = (self.dtype(), self.launches(), self.schedule.bytes);
        writeln!(f, "{dtype:?} program: {count} launches, {bytes} bytes of workspace")?;
        list(f, "", &self.lines())?;
        for output in &self.outputs {
            writeln!(f, "output {} : {:?}{:?} @{}", output.name, output.dtype, output.dims, output.offset)?;
        }
        Ok(())
    }
}

fn list(f: &mut fmt::Formatter<'_>, indent: &str, lines: &[Line]) -> fmt::Result {
    let deeper = format!("{indent}    ");
    for (i, line) in lines.iter().enumerate() {
        writeln!(f, "{indent}{i:4}  {}", Title(line))?;
        match &line.work {
            Work::Fused(tiled) => details(f, indent, tiled, &line.operands)?,
            Work::Chain(chain) => {
                for link in &chain.links {
                    writeln!(f, "{deeper}{}, slabs of axis {}", kernel(&link.tiled), link.axis)?;
                    details(f, &deeper, &link.tiled, &line.operands)?;
                }
            }
            _ => list(f, &deeper, &line.inner)?,
        }
        writeln!(f, "{indent}        {} bytes of operands", line.bytes)?;
    }
    Ok(())
}

/// What a launch does, in one line.
struct Title<'a>(&'a Line);

impl fmt::Display for Title<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = self.0;
        let name = |operand: usize| &line.operands[operand];
        match &line.work {
            Work::Fused(tiled) => write!(f, "{}", kernel(tiled)),
            Work::Chain(chain) => write!(f, "chain of {} kernels in {} slabs", chain.links.len(), chain.slabs),
            Work::Products(gemms) => {
                for (i, gemm) in gemms.iter().enumerate() {
                    let [a, b, c] = [&gemm.a, &gemm.b, &gemm.c].map(|view| name(view.operand));
                    let (batch, m, n, k) = (gemm.batch, gemm.m, gemm.n, gemm.k);
                    let apart = if i > 0 { "; " } else { "" };
                    write!(f, "{apart}product {batch} × [{m}, {k}]·[{k}, {n}]  {a} · {b} → {c}")?;
                }
                Ok(())
            }
            Work::Pooling(pooling) => {
                let (x, y) = (name(pooling.x.operand), name(pooling.y.operand));
                let (pool, planes, window) = (pooling.pool, pooling.planes, pooling.window);
                write!(f, "pool {pool:?} {planes} × {window:?}  {x}")?;
                match &pooling.positions {
                    Some(positions) => write!(f, " at {} → {y}", name(positions.operand)),
                    None => write!(f, " → {y}"),
                }
            }
            Work::Convolution(work) => {
                let ([a, b], y) = (work.operands.each_ref().map(|view| name(view.operand)), name(work.result.operand));
                let (pass, batch, i, o, conv) = (work.pass, work.batch, work.inputs, work.outputs, work.conv);
                write!(f, "convolution {pass:?} {batch} × {i} → {o} channels, {conv:?}  {a}, {b} → {y}")
            }
            Work::Loop(nest) => {
                let order = if nest.reverse { " in reverse" } else { "" };
                write!(f, "loop of {} steps{order} in {}", nest.count, name(nest.memory.operand))
            }
            Work::Attention(work) => {
                let Attention { batch, heads, queries, keys, width, ref pass, .. } = **work;
                let [q, k, v] = [&work.q, &work.k, &work.v].map(|view| name(view.operand));
                let (what, to) = match pass {
                    Pass::Forward { out, .. } => ("attention", out),
                    Pass::Backward { dq, .. } => ("derivative of attention", dq),
                };
                let to = name(to.operand);
                write!(f, "{what} {batch} × {heads} × {queries} by {keys} of {width}  {q}, {k}, {v} → {to}")
            }
            Work::Lookup(Lookup { kind, rows, width, count, index, out }) => {
                let (index, to) = (name(index.operand), name(out.operand));
                let (what, from) = match kind {
                    Kind::Gather { table } => ("gather", name(table.operand)),
                    Kind::ScatterAdd { values } => ("add up", name(values.operand)),
                    Kind::Put { values, .. } => ("put", name(values.operand)),
                };
                write!(f, "{what} {count} of {rows} rows of {width}  {from} at {index} → {to}")
            }
            Work::FoldIn(FoldIn { key, number, to }) => {
                let [key, number, to] = [key, number, to].map(|view| name(view.operand));
                write!(f, "fold {number} into {key} → {to}")
            }
            Work::Call(call) => {
                let operands: Vec<_> = call.operands.iter().map(|(view, _)| name(view.operand).as_str()).collect();
                write!(f, "{:?}  {} → {}", call.function, operands.join(", "), name(call.result.operand))
            }
        }
    }
}

fn kernel(tiled: &Tiled) -> String {
    let axes: Vec<usize> = (0..tiled.reduced.len()).filter(|&axis| tiled.reduced[axis]).collect();
    let over = if axes.is_empty() { String::new() } else { format!(" over {axes:?}") };
    let (reads, rows) = (tiled.sources.len(), tiled.rows.len());
    let results = tiled.stores.len() + tiled.accumulations.len();
    format!("fused {:?}{over}: {reads} operands, {rows} rows, {results} results", tiled.dims)
}

fn details(f: &mut fmt::Formatter<'_>, indent: &str, tiled: &Tiled, operands: &[String]) -> fmt::Result {
    for (register, source) in tiled.sources.iter().enumerate() {
        match source {
            Source::Load(view) => {
                let (operand, offset) = (&operands[view.operand], view.offset);
                writeln!(f, "{indent}        r{register} = {operand} + {offset} by {:?}", view.strides)?;
            }
            Source::Constant(value, _) => writeln!(f, "{indent}        r{register} = {value}")?,
            Source::Position { strides, offset } => {
                writeln!(f, "{indent}        r{register} = position {offset} by {strides:?}")?
            }
            Source::Random { normal, path, .. } => {
                let distribution = if *normal { "normal" } else { "uniform" };
                writeln!(f, "{indent}        r{register} = {distribution} {path:016x}")?;
            }
        }
    }
    for (j, row) in tiled.rows.iter().enumerate() {
        let [a, b, c] = row.args;
        writeln!(f, "{indent}        r{} = {:?} r{a} r{b} r{c}", tiled.sources.len() + j, row.code)?;
    }
    for store in &tiled.stores {
        let (operand, offset) = (&operands[store.view.operand], store.view.offset);
        writeln!(f, "{indent}        {operand} + {offset} by {:?} ← r{}", store.view.strides, store.register)?;
    }
    for accumulation in &tiled.accumulations {
        let (operand, offset) = (&operands[accumulation.view.operand], accumulation.view.offset);
        let (fold, register, strides) = (accumulation.fold, accumulation.register, &accumulation.view.strides);
        writeln!(f, "{indent}        {operand} + {offset} by {strides:?} ← {fold:?} r{register}")?;
    }
    Ok(())
}
