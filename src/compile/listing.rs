//! What a program does, for reading.

use super::fuse::{Schedule, Work};
use super::memory::Layout;
use super::program::{Place, Program, resolved};
use crate::kernel::chain::Link;
use crate::kernel::cpu::Lookup;
use crate::kernel::cpu::attention::{Attention, Pass};
use crate::kernel::tiled::{Source, Tiled};
use std::fmt;

/// A launch and the names of its operands.
#[derive(Debug)]
pub(super) struct Line {
    work: Work,
    operands: Vec<String>,
    bytes: usize,
    /// The launches of a step of a loop.
    inner: Vec<Line>,
}

/// The lines of a schedule.
pub(super) fn lines(schedule: &Schedule, layout: &Layout, name: &dyn Fn(Place) -> String) -> Vec<Line> {
    let line = |step| {
        let (slots, work) = resolved(schedule, layout, step);
        let buffers = step.operands.iter().map(|&buffer| &schedule.buffers[buffer]);
        let bytes = buffers.map(|buffer| buffer.len * buffer.dtype.size()).sum();
        let operands: Vec<String> = slots.iter().map(|slot| name(slot.place)).collect();
        let mut inner = Vec::new();
        if let Work::Loop(repeat) = &work {
            let nest = &repeat.nest;
            let memory = &operands[repeat.memory];
            let own = |place: Place| match place {
                Place::Input(0) => "step".into(),
                Place::Input(i) => operands[repeat.inputs[i - 1].operand].clone(),
                Place::State(i) => operands[repeat.results[i]].clone(),
                Place::Arena(offset) => format!("{memory}+{offset}"),
            };
            inner = lines(&nest.schedule, &nest.layout, &own);
        }
        Line { work, operands, bytes, inner }
    };
    schedule.steps.iter().map(line).collect()
}

/// How many kernels and matrix products a run launches.
pub(super) fn launches(schedule: &Schedule) -> usize {
    let of = |work: &Work| match work {
        Work::Chain(chain) => chain.links.len(),
        Work::Loop(repeat) => repeat.nest.count * launches(&repeat.nest.schedule),
        _ => 1,
    };
    schedule.steps.iter().map(|step| of(&step.work)).sum()
}

impl Program {
    /// What each launch does, in a line; those within a loop follow the loop.
    pub(crate) fn titles(&self) -> Vec<String> {
        fn add(titles: &mut Vec<String>, indent: &str, lines: &[Line]) {
            for (i, line) in lines.iter().enumerate() {
                titles.push(format!("{indent}{i:4}  {}", Title(line)));
                add(titles, &format!("{indent}    "), &line.inner);
            }
        }
        let mut titles = Vec::new();
        add(&mut titles, "", &self.listing);
        titles
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (dtype, count, bytes) = (self.dtype(), self.launches(), self.arena_bytes);
        writeln!(f, "{dtype:?} program: {count} launches, {bytes} bytes of workspace")?;
        list(f, "", &self.listing)?;
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
                    let own = moving(link, &line.operands);
                    writeln!(f, "{deeper}{}", kernel(&link.tiled))?;
                    details(f, &deeper, &link.tiled, &own)?;
                }
            }
            _ => list(f, &deeper, &line.inner)?,
        }
        writeln!(f, "{indent}        {} bytes of operands", line.bytes)?;
    }
    Ok(())
}

/// What the views of a link see.
fn moving(link: &Link, operands: &[String]) -> Vec<String> {
    link.operands.iter().map(|own| format!("{} + slab * {}", operands[own.operand], own.step)).collect()
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
                match pooling.positions {
                    Some(positions) => write!(f, " at {} → {y}", name(positions.operand)),
                    None => write!(f, " → {y}"),
                }
            }
            Work::Convolution(work) => {
                let ([a, b], y) = (work.operands.map(|span| name(span.operand)), name(work.result.operand));
                let (pass, batch, i, o, conv) = (work.pass, work.batch, work.inputs, work.outputs, work.conv);
                write!(f, "convolution {pass:?} {batch} × {i} → {o} channels, {conv:?}  {a}, {b} → {y}")
            }
            Work::Loop(repeat) => {
                let order = if repeat.nest.reverse { " in reverse" } else { "" };
                write!(f, "loop of {} steps{order} in {}", repeat.nest.count, name(repeat.memory))
            }
            Work::Attention(work) => {
                let Attention { batch, heads, queries, keys, width, pass, .. } = **work;
                let [q, k, v] = [work.q, work.k, work.v].map(|view| name(view.operand));
                let (what, to) = match pass {
                    Pass::Forward { out, .. } => ("attention", out),
                    Pass::Backward { dq, .. } => ("derivative of attention", dq),
                };
                let to = name(to.operand);
                write!(f, "{what} {batch} × {heads} × {queries} by {keys} of {width}  {q}, {k}, {v} → {to}")
            }
            Work::Lookup(lookup) => {
                let (table, index, to) =
                    (name(lookup.table.operand), name(lookup.index.operand), name(lookup.out.operand));
                let Lookup { rows, count, bytes, .. } = lookup;
                write!(f, "{:?} {count} of {rows} rows of {bytes} bytes  {table} at {index} → {to}", lookup.kind)
            }
            Work::FoldIn([key, number, to]) => write!(f, "fold {} into {} → {}", name(*number), name(*key), name(*to)),
            Work::Call(call) => {
                let operands: Vec<_> = call.operands.iter().map(|(span, _)| name(span.operand).as_str()).collect();
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
            Source::Constant(value) => writeln!(f, "{indent}        r{register} = {value}")?,
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
