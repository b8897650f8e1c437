//! What happens at a point of a fused kernel, and the kernel that does it everywhere.

use super::{BLOCKS, NARROW, Parameters, Source, Task, element, offset, positions, threads};
use crate::tiled::{Code, Fold, Kind, Register, Row, Source as From, Store, Tiled};
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

/// How a thread takes points.
#[derive(Clone, Copy)]
pub(super) struct Taking<'a> {
    /// The axis along which it takes neighbouring points together, if it does; positions are then those of the first.
    pub wide: Option<usize>,
    /// The row-major number of the point, by its positions or, where points are taken together, by its number `e` among these.
    pub linear: &'a str,
    pub kept: &'a Kept,
    /// What follows at each point.
    pub after: &'a str,
    pub indent: &'a str,
}

/// Points that a thread takes together: with one instruction it reads or writes so many numbers that lie side by side.
pub(super) const WIDE: usize = 4;
/// Registers of kernels with more rows would not hold as many points.
const WIDE_ROWS: usize = 40;
/// The bytes that one instruction reads or writes at most.
const WORD: usize = 16;

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
        let wide = self.wide(tiled);
        let each = if wide.is_some() { WIDE } else { 1 };
        let block = threads(points / each);
        let _ = writeln!(
            body,
            "    for ({number} v = (({number})blockIdx.x * {block} + threadIdx.x) * {each}; v < {points}u; v += ({number})gridDim.x * {block} * {each}) {{"
        );
        let axes: Vec<(usize, usize)> = tiled.dims.iter().copied().enumerate().collect();
        positions(&mut body, "v", &axes, "        ");
        let linear = if wide.is_some() { "(v + e)" } else { "v" };
        let taking = Taking { wide, linear, kept: &Kept::default(), after: "", indent: "        " };
        body += &self.point(tiled, &mut parameters, taking);
        body += "    }\n";
        let grid = (points / each).div_ceil(block).min(BLOCKS);
        let (text, arguments) = (parameters.text(), parameters.arguments());
        Ok(vec![self.launch(&text, &body, [grid, block, 0], arguments)?])
    }

    /// The last axis, if neighbouring points along it can be taken together: every view sees neighbours that begin where a
    /// device reads several at once, or one element for all.
    pub(super) fn wide(&self, tiled: &Tiled) -> Option<usize> {
        let last = tiled.dims.len().checked_sub(1)?;
        let loads =
            tiled.sources.iter().filter_map(|source| if let From::Load(view) = source { Some(view) } else { None });
        let mut views = loads.chain(tiled.stores.iter().map(|store| &store.view)).peekable();
        let first = views.peek().is_some();
        let fits = |view: &View| {
            let size = view.element.size();
            let word = WORD.min(WIDE * size);
            let whole = |elements: usize| (elements * size).is_multiple_of(word);
            let mut outer = view.strides[..last].iter().zip(&tiled.dims);
            match view.strides[last] {
                0 => true,
                1 => {
                    self.aligned[view.operand].is_multiple_of(word)
                        && whole(view.offset)
                        && outer.all(|(stride, size)| *size == 1 || whole(stride.unsigned_abs()))
                }
                _ => false,
            }
        };
        let positions = tiled.accumulations.iter().any(|accumulation| accumulation.fold == Fold::ArgMax);
        let wide = first
            && !positions
            && tiled.dims[last].is_multiple_of(WIDE)
            && tiled.rows.len() <= WIDE_ROWS
            && views.all(fits);
        wide.then_some(last)
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

    /// Fills the registers of a point and stores what is stored.
    pub(super) fn point(&self, tiled: &Tiled, parameters: &mut Parameters<'_>, taking: Taking<'_>) -> String {
        let Taking { wide, kept, after, indent, .. } = taking;
        let kinds = tiled.kinds();
        let mut text = String::new();
        let Some(axis) = wide else {
            let value = |i: usize, parameters: &mut Parameters<'_>| match (kept.read.get(&i), &tiled.sources[i]) {
                (Some(place), _) => place.clone(),
                (None, From::Load(view)) => at(view, parameters),
                (None, _) => String::new(),
            };
            let values: Vec<String> = (0..tiled.sources.len()).map(|i| value(i, parameters)).collect();
            text += &self.registers(tiled, &kinds, &values, taking.linear, indent);
            for store in &tiled.stores {
                let to = at(&store.view, parameters);
                let _ = writeln!(text, "{indent}{to} = {};", kept_as(store));
            }
            for (register, place) in &kept.write {
                let _ = writeln!(text, "{indent}{place} = r{register};");
            }
            return text + after;
        };
        // First what is read, then the points, then what is written.
        let mut values = Vec::new();
        for (i, source) in tiled.sources.iter().enumerate() {
            let From::Load(view) = source else {
                values.push(String::new());
                continue;
            };
            let (kind, apart) = (element(view.element), view.strides[axis] != 0);
            let place = kept.read.get(&i).cloned().unwrap_or_else(|| at(view, parameters));
            let _ = match apart {
                true => writeln!(text, "{indent}const Four<{kind}> w{i} = *(const Four<{kind}>*)&{place};"),
                false => writeln!(text, "{indent}const {kind} w{i} = {place};"),
            };
            values.push(if apart { format!("w{i}.at[e]") } else { format!("w{i}") });
        }
        let mut written: Vec<(&'static str, String, String)> = Vec::new();
        for store in &tiled.stores {
            written.push((element(store.view.element), at(&store.view, parameters), kept_as(store)));
        }
        for (register, place) in &kept.write {
            let kind = if kinds[usize::from(*register)] == Kind::Real { self.real() } else { "uint32_t" };
            written.push((kind, place.clone(), format!("r{register}")));
        }
        for (j, (kind, ..)) in written.iter().enumerate() {
            let _ = writeln!(text, "{indent}Four<{kind}> s{j}_;");
        }
        let _ = writeln!(text, "{indent}const int64_t first = q{axis};\n#pragma unroll");
        let _ = writeln!(
            text,
            "{indent}for (uint32_t e = 0; e < {WIDE}; e++) {{\n{indent}    const int64_t q{axis} = first + e;"
        );
        let deeper = format!("{indent}    ");
        text += &self.registers(tiled, &kinds, &values, taking.linear, &deeper);
        for (j, (.., value)) in written.iter().enumerate() {
            let _ = writeln!(text, "{deeper}s{j}_.at[e] = {value};");
        }
        text += after;
        let _ = writeln!(text, "{indent}}}");
        for (j, (kind, place, _)) in written.iter().enumerate() {
            let _ = writeln!(text, "{indent}*(Four<{kind}>*)&{place} = s{j}_;");
        }
        text
    }

    /// Fills the registers of a point, of which loads have these values.
    fn registers(&self, tiled: &Tiled, kinds: &[Kind], values: &[String], linear: &str, indent: &str) -> String {
        let real = self.real();
        let mut text = String::new();
        for (i, source) in tiled.sources.iter().enumerate() {
            let value = match source {
                From::Load(view) if view.element == DType::Bool => format!("({real}){}", values[i]),
                From::Load(_) => values[i].clone(),
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
        text
    }
}

/// What is stored of a register.
fn kept_as(store: &Store) -> String {
    format!("r{}{}", store.register, if store.view.element == DType::Bool { " != 0" } else { "" })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tiled::copy;
    use crate::work::Work;

    /// Whether threads take neighbours together.
    fn together(tiled: Tiled, aligned: [usize; 2]) -> bool {
        let mut source = Source::new(DType::F32);
        source.tasks(&Work::Fused(tiled), aligned.to_vec()).expect("it is small");
        source.text().contains("*(Four<")
    }

    /// A copy of `[3, 8]` numbers from rows that lie so far apart.
    fn rows(stride: isize, neighbour: isize, offset: usize) -> Tiled {
        let mut tiled = copy(24, [DType::F32; 2]);
        tiled.dims = vec![3, 8];
        tiled.strides_mut().for_each(|strides| *strides = vec![8, 1]);
        if let From::Load(view) = &mut tiled.sources[0] {
            view.strides = vec![stride, neighbour];
            view.offset = offset;
        }
        tiled
    }

    #[test]
    fn neighbours_are_taken_together_only_where_all_views_allow_it() {
        assert!(together(copy(24, [DType::F32; 2]), [16, 256]));
        assert!(together(copy(24, [DType::Bool; 2]), [4, 4]));
        assert!(!together(copy(23, [DType::F32; 2]), [256, 256]), "no whole number of groups");
        assert!(!together(copy(24, [DType::F32; 2]), [256, 8]), "an operand that begins anywhere");
        assert!(together(rows(12, 1, 4), [256, 256]));
        assert!(together(rows(-8, 1, 16), [256, 256]));
        assert!(together(rows(0, 1, 0), [256, 256]), "one row for all");
        assert!(together(rows(1, 0, 1), [4, 256]), "one element for a row");
        assert!(!together(rows(9, 1, 0), [256, 256]), "rows that begin anywhere");
        assert!(!together(rows(8, 1, 2), [256, 256]), "a first element that lies anywhere");
        assert!(!together(rows(16, 2, 0), [256, 256]), "no neighbours");
        assert!(!together(rows(8, -1, 8), [256, 256]), "backwards");
    }
}
