//! What happens at a point of a fused kernel, and the kernel that does it everywhere.

use super::{BLOCKS, NARROW, Parameters, Source, Task, offset, positions, threads};
use crate::tiled::{Code, Kind, Register, Row, Source as From, Tiled};
use crate::view::{DType, View};
use std::collections::HashMap;
use std::fmt::Write;

/// What a block keeps in shared memory from one kernel of a chain to the next: elements of memory that sources are read
/// from, and that registers are written to.
#[derive(Debug, Default)]
pub(super) struct Kept {
    pub read: HashMap<usize, String>,
    pub write: Vec<(Register, String)>,
}

impl Kept {
    pub fn any(&self) -> bool {
        !self.read.is_empty() || !self.write.is_empty()
    }
}

impl Source {
    pub(super) fn tiled(&mut self, tiled: &Tiled) -> Result<Vec<Task>, String> {
        if !tiled.accumulations.is_empty() {
            return self.fold(tiled);
        }
        let points: usize = tiled.dims.iter().product();
        if points == 0 {
            return Ok(Vec::new());
        }
        let written = written(tiled);
        let mut parameters = Parameters::new(&written);
        let number = counter(points);
        let mut body = self.streams(tiled, &mut parameters);
        let block = threads(points);
        let _ = writeln!(
            body,
            "    for ({number} v = ({number})blockIdx.x * {block} + threadIdx.x; v < {points}u; v += ({number})gridDim.x * {block}) {{"
        );
        let axes: Vec<(usize, usize)> = tiled.dims.iter().copied().enumerate().collect();
        positions(&mut body, "v", &axes, "        ");
        body += &self.point(tiled, &mut parameters, "v", &Kept::default(), "        ");
        body += "    }\n";
        let grid = points.div_ceil(block).min(BLOCKS);
        let (text, arguments) = (parameters.text(), parameters.arguments());
        Ok(vec![self.launch(&text, &body, [grid, block, 0], arguments)?])
    }

    /// The streams of random draws.
    pub(super) fn streams(&self, tiled: &Tiled, parameters: &mut Parameters<'_>) -> String {
        let mut text = String::new();
        for (i, source) in tiled.sources.iter().enumerate() {
            if let From::Random { key, path, .. } = source {
                let key = parameters.view(key);
                let _ = writeln!(text, "    const Words s{i} = stream({key}, {path:#x}ull);");
            }
        }
        text
    }

    /// Fills the registers of a point and stores what is stored. `linear` is the row-major number of the point.
    pub(super) fn point(
        &self,
        tiled: &Tiled,
        parameters: &mut Parameters<'_>,
        linear: &str,
        kept: &Kept,
        indent: &str,
    ) -> String {
        let kinds = tiled.kinds();
        let real = self.real();
        let mut text = String::new();
        for (i, source) in tiled.sources.iter().enumerate() {
            let value = match source {
                From::Load(_) if kept.read.contains_key(&i) => kept.read[&i].clone(),
                From::Load(view) => {
                    let value = at(view, parameters);
                    if view.element == DType::Bool { format!("({real}){value}") } else { value }
                }
                From::Constant(value, Kind::Index) => format!("{}u", *value as u32),
                From::Constant(value, Kind::Real) => self.literal(*value),
                From::Position { strides, offset: first } => format!("(uint32_t)({first} + {})", offset(strides)),
                From::Random { normal, .. } => {
                    format!("{}(s{i}, {linear})", if *normal { "normal" } else { "uniform" })
                }
            };
            declare(&mut text, kinds[i], i, &value, indent);
        }
        for (number, Row { code, args }) in tiled.rows.iter().enumerate() {
            let [a, b, c] = args.map(|register| format!("r{register}"));
            let value = match code {
                Code::Unary(f) => f.cuda(&a),
                Code::Binary(f) => f.cuda(&a, &b),
                Code::Compare(f) => format!("truth({})", f.cuda(&a, &b)),
                Code::ToReal => format!("({real}){a}"),
                Code::ToIndex => format!("to_index({a})"),
                Code::MulAdd => format!("fma_({a}, {b}, {c})"),
                Code::Select => format!("{a} != 0 ? {b} : {c}"),
            };
            let i = tiled.sources.len() + number;
            declare(&mut text, kinds[i], i, &value, indent);
        }
        for store in &tiled.stores {
            let to = at(&store.view, parameters);
            let truth = if store.view.element == DType::Bool { " != 0" } else { "" };
            let _ = writeln!(text, "{indent}{to} = r{}{truth};", store.register);
        }
        for (register, place) in &kept.write {
            let _ = writeln!(text, "{indent}{place} = r{register};");
        }
        text
    }
}

/// The operands that a kernel writes.
pub(super) fn written(tiled: &Tiled) -> Vec<usize> {
    let stores = tiled.stores.iter().map(|store| store.view.operand);
    stores.chain(tiled.accumulations.iter().map(|accumulation| accumulation.view.operand)).collect()
}

/// The type that counts so many points.
pub(super) fn counter(points: usize) -> &'static str {
    if points < NARROW { "uint32_t" } else { "uint64_t" }
}

/// The element of a view at a point.
pub(super) fn at(view: &View, parameters: &mut Parameters<'_>) -> String {
    format!("{}[{}]", parameters.view(view), offset(&view.strides))
}

fn declare(text: &mut String, kind: Kind, register: usize, value: &str, indent: &str) {
    let kind = if kind == Kind::Real { "real" } else { "uint32_t" };
    let _ = writeln!(text, "{indent}const {kind} r{register} = {value};");
}
