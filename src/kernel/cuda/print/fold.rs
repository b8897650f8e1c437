//! Fused kernels that fold: registers combined over the reduced axes.

use super::point::{Kept, Taking, WIDE, at, counter, written};
use super::{LANES, NARROW, Parameters, Source, THREADS, Task, positions, threads};
use crate::tiled::{Accumulation, Fold, Tiled};
use std::fmt::Write;

/// Warps of a block at most.
const WARPS: usize = THREADS / LANES;
/// A warp folds so many terms alone, a block more.
const WARP_TERMS: usize = 1024;
/// Fewer blocks leave a device idle, so that terms are cut in parts.
const FEW: usize = 264;
/// Terms that are worth a part of their own, for each of the threads that share them.
const PART: usize = 16;

/// Which threads share the terms of a result.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Way {
    /// The last axis is reduced: the lanes of a warp take neighbouring terms.
    Warp,
    /// The same with the threads of a block.
    Block,
    /// The last axis is kept: the lanes of a warp take neighbouring results, and warps take terms by turns.
    Columns,
    /// A thread takes all terms of a result.
    Alone,
}

impl Way {
    /// Warps of a block for so many results of so many terms each.
    fn warps(self, units: usize, terms: usize) -> usize {
        match self {
            Way::Warp => units.clamp(1, WARPS),
            Way::Block => WARPS,
            Way::Columns => terms.clamp(1, WARPS),
            Way::Alone => WARPS,
        }
    }

    /// Results of a block of so many warps, and threads that share the terms of one.
    fn shape(self, warps: usize) -> [usize; 2] {
        match self {
            Way::Warp => [warps, LANES],
            Way::Block => [1, warps * LANES],
            Way::Columns => [LANES, warps],
            Way::Alone => [warps * LANES, 1],
        }
    }
}

/// How a fold is written in the words of the kernels: its type, its beginning, how two combine, and a warp.
struct Words {
    kind: &'static str,
    begin: &'static str,
    warp: &'static str,
}

impl Words {
    fn of(fold: Fold) -> Self {
        let (kind, begin, warp) = match fold {
            Fold::Sum => ("double", "0", "warp_sum"),
            Fold::Max => ("real", "-(real)INFINITY", "warp_max"),
            Fold::Min => ("real", "(real)INFINITY", "warp_min"),
            Fold::ArgMax => ("Best", "{-(real)INFINITY, ALL_LANES}", "warp_best"),
        };
        Words { kind, begin, warp }
    }
}

/// The type in which a fold is kept.
pub(super) fn kind(fold: Fold) -> &'static str {
    Words::of(fold).kind
}

/// `to` combined with `value`.
pub(super) fn combine(fold: Fold, to: &str, value: &str) -> String {
    match fold {
        Fold::Sum => format!("{to} += {value};"),
        Fold::Max => format!("{to} = max_({to}, {value});"),
        Fold::Min => format!("{to} = min_({to}, {value});"),
        Fold::ArgMax => format!("{to} = better({to}, {value});"),
    }
}

/// What is stored of a fold, by the name of its value.
fn result(fold: Fold, name: &str) -> String {
    match fold {
        // Without terms there is no position.
        Fold::ArgMax => format!("{name}.at == ALL_LANES ? 0 : {name}.at"),
        Fold::Sum | Fold::Max | Fold::Min => format!("(real){name}"),
    }
}

/// Bytes of the largest partial result.
pub(super) const PARTIAL: usize = 16;

/// Declares what terms are combined in.
pub(super) fn begins(tiled: &Tiled, indent: &str) -> String {
    let one = |(i, accumulation): (usize, &Accumulation)| {
        let Words { kind, begin, .. } = Words::of(accumulation.fold);
        format!("{indent}{kind} f{i} = {begin};\n")
    };
    tiled.accumulations.iter().enumerate().map(one).collect()
}

/// Combines the registers of term `k` with those before.
pub(super) fn taken(tiled: &Tiled, indent: &str) -> String {
    let one = |(i, Accumulation { fold, register, .. }): (usize, &Accumulation)| {
        let value = if *fold == Fold::ArgMax { format!("Best{{r{register}, k}}") } else { format!("r{register}") };
        format!("{indent}{}\n", combine(*fold, &format!("f{i}"), &value))
    };
    tiled.accumulations.iter().enumerate().map(one).collect()
}

/// The bytes in which the threads of so many warps meet.
pub(super) fn meeting(tiled: &Tiled, way: Way, warps: usize) -> usize {
    match way {
        Way::Warp | Way::Alone => 0,
        Way::Block => tiled.accumulations.len() * warps * PARTIAL,
        Way::Columns => tiled.accumulations.len() * warps * LANES * PARTIAL,
    }
}

/// What threads have combined by themselves meets: in one lane, or at the beginning of shared memory.
pub(super) fn meet(tiled: &Tiled, way: Way, warps: usize, indent: &str) -> String {
    let mut text = String::new();
    for (i, accumulation) in tiled.accumulations.iter().enumerate() {
        let Words { kind, warp: over, .. } = Words::of(accumulation.fold);
        if matches!(way, Way::Warp | Way::Block) {
            let _ = writeln!(text, "{indent}f{i} = {over}(f{i});");
        }
        let (size, at) = match way {
            Way::Warp | Way::Alone => continue,
            Way::Block => (warps, "threadIdx.x / 32"),
            Way::Columns => (warps * LANES, "threadIdx.x"),
        };
        let _ = writeln!(text, "{indent}{kind}* m{i} = ({kind}*)(memory + {});", i * size * PARTIAL);
        let guard = if way == Way::Block { "if (threadIdx.x % 32 == 0) " } else { "" };
        let _ = writeln!(text, "{indent}{guard}m{i}[{at}] = f{i};");
    }
    if meeting(tiled, way, warps) > 0 {
        let _ = writeln!(text, "{indent}__syncthreads();");
    }
    text
}

/// Has one thread combine what has met in shared memory.
pub(super) fn combined(tiled: &Tiled, way: Way, warps: usize, indent: &str) -> String {
    let (step, from) = match way {
        Way::Warp | Way::Alone => return String::new(),
        Way::Block => (1, ""),
        Way::Columns => (LANES, " + threadIdx.x"),
    };
    let one = |(i, Accumulation { fold, .. }): (usize, &Accumulation)| {
        let next = combine(*fold, &format!("f{i}"), &format!("m{i}[{step} * w{from}]"));
        format!("{indent}for (uint32_t w = 1; w < {warps}; w++) {next}\n")
    };
    tiled.accumulations.iter().enumerate().map(one).collect()
}

/// Stores the results.
pub(super) fn stored(tiled: &Tiled, parameters: &mut Parameters<'_>, indent: &str) -> String {
    let one = |(i, Accumulation { fold, view, .. }): (usize, &Accumulation)| {
        format!("{indent}{} = {};\n", at(view, parameters), result(*fold, &format!("f{i}")))
    };
    tiled.accumulations.iter().enumerate().map(one).collect()
}

impl Source {
    pub(super) fn fold(&mut self, tiled: &Tiled) -> Result<Vec<Task>, String> {
        let select = |gone: bool| -> Vec<(usize, usize)> {
            let axes = tiled.dims.iter().copied().enumerate();
            axes.filter(|(axis, _)| tiled.reduced[*axis] == gone).collect()
        };
        let (kept, gone) = (select(false), select(true));
        let [units, terms] = [&kept, &gone].map(|axes| axes.iter().map(|(_, size)| size).product::<usize>());
        if units == 0 {
            return Ok(Vec::new());
        }
        let way = match tiled.reduced.last() {
            Some(false) => Way::Columns,
            _ if terms <= WARP_TERMS => Way::Warp,
            _ => Way::Block,
        };
        let warps = way.warps(units, terms);
        let [own, share] = way.shape(warps);
        let blocks = units.div_ceil(own);
        // Parts only where blocks are few and each part has terms for all of its threads.
        let parts = FEW.div_ceil(blocks).min(terms / (share * PART)).max(1);
        // Neighbouring terms are taken together, where they lie so.
        let wide = self.wide(tiled).filter(|_| way != Way::Columns);
        let width = if wide.is_some() { WIDE } else { 1 };
        let each = terms.div_ceil(parts).next_multiple_of(width).max(1);
        let parts = terms.div_ceil(each).max(1);
        if units >= NARROW || terms >= NARROW {
            return Err(format!("a fold of {terms} terms to {units} results is larger than a launch takes"));
        }

        let written = written(tiled);
        let mut parameters = Parameters::new(&written);
        let mut body = self.streams(tiled, &mut parameters);
        let (lane, warp) = ("threadIdx.x % 32", "threadIdx.x / 32");
        let (unit, first) = match way {
            Way::Warp => (format!("block * {warps} + {warp}"), lane),
            Way::Block => ("block".into(), "threadIdx.x"),
            Way::Columns => (format!("block * {LANES} + {lane}"), warp),
            Way::Alone => (format!("block * {own} + threadIdx.x"), "0"),
        };
        let _ = writeln!(
            body,
            "    const uint32_t block = blockIdx.x % {blocks}u, part = blockIdx.x / {blocks}u, u = {unit};"
        );
        body += &begins(tiled, "    ");
        // Threads without a result take part in what their warp does together.
        let _ = writeln!(
            body,
            "    const uint32_t unit = u < {units}u ? u : 0, end = u < {units}u ? min((part + 1) * {each}u, {terms}u) : 0;"
        );
        positions(&mut body, "unit", &kept, "    ");
        let _ = writeln!(
            body,
            "    for (uint32_t k = part * {each}u + ({first}) * {width}; k < end; k += {share} * {width}) {{"
        );
        positions(&mut body, "k", &gone, "        ");
        let linear = linear(&tiled.dims);
        let after = taken(tiled, "        ");
        let taking = Taking { wide, linear: &linear, kept: &Kept::default(), after: &after, indent: "        " };
        body += &self.point(tiled, &mut parameters, taking);
        body += "    }\n";
        let shared = meeting(tiled, way, warps);
        if shared > 0 {
            body += "    DYNAMIC_SHARED(memory);\n";
        }
        body += &meet(tiled, way, warps, "    ");
        let writer = match way {
            Way::Warp => format!("{lane} == 0"),
            Way::Block => "threadIdx.x == 0".into(),
            Way::Columns => format!("{warp} == 0"),
            Way::Alone => "true".into(),
        };
        let _ = writeln!(body, "    if ({writer} && u < {units}u) {{");
        let mut scratch = 0;
        let mut places = Vec::new();
        body += &combined(tiled, way, warps, "        ");
        if parts == 1 {
            body += &stored(tiled, &mut parameters, "        ");
        } else {
            for (i, Accumulation { fold, .. }) in tiled.accumulations.iter().enumerate() {
                let to = parameters.scratch(scratch, Words::of(*fold).kind);
                let _ = writeln!(body, "        {to}[part * {units}u + unit] = f{i};");
                places.push(scratch);
                scratch += parts * units * PARTIAL;
            }
        }
        body += "    }\n";
        let (text, arguments) = (parameters.text(), parameters.arguments());
        let mut tasks = vec![self.launch(&text, &body, [blocks * parts, warps * LANES, shared], arguments)?];
        if parts > 1 {
            self.scratch = self.scratch.max(scratch);
            tasks.push(self.join(tiled, &kept, units, parts, &places)?);
        }
        Ok(tasks)
    }

    /// The kernel that combines the parts of each result, in order.
    fn join(
        &mut self,
        tiled: &Tiled,
        kept: &[(usize, usize)],
        units: usize,
        parts: usize,
        places: &[usize],
    ) -> Result<Task, String> {
        let written = written(tiled);
        let mut parameters = Parameters::new(&written);
        let (number, block) = (counter(units), threads(units));
        let mut body = format!(
            "    const {number} unit = blockIdx.x * {block} + threadIdx.x;\n    if (unit >= {units}u) return;\n"
        );
        positions(&mut body, "unit", kept, "    ");
        for (i, (Accumulation { fold, view, .. }, place)) in tiled.accumulations.iter().zip(places).enumerate() {
            let Words { kind, .. } = Words::of(*fold);
            let from = parameters.scratch(*place, kind);
            let next = format!("{from}[part * {units}u + unit]");
            let _ = writeln!(body, "    {kind} f{i} = {from}[unit];");
            let _ = writeln!(
                body,
                "    for (uint32_t part = 1; part < {parts}; part++) {}",
                combine(*fold, &format!("f{i}"), &next)
            );
            let _ = writeln!(body, "    {} = {};", at(view, &mut parameters), result(*fold, &format!("f{i}")));
        }
        let (text, arguments) = (parameters.text(), parameters.arguments());
        self.launch(&text, &body, [units.div_ceil(block), block, 0], arguments)
    }
}

/// The row-major number of a point, from its positions.
fn linear(dims: &[usize]) -> String {
    let mut stride = 1;
    let mut terms = Vec::new();
    for (axis, size) in dims.iter().enumerate().rev() {
        terms.push(format!("(uint64_t)q{axis} * {stride}"));
        stride *= size;
    }
    if terms.is_empty() { "0".into() } else { format!("({})", terms.join(" + ")) }
}
