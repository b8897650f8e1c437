//! Kernels that are alike but for their operands as one launch, which has a table of these: an optimiser's updates of many
//! tensors. What they fold, each to one number, comes from the blocks to a second launch.

use super::fold::{PARTIAL, Way, begins, combine, combined, kind, meet, meeting, stored, taken};
use super::point::{Kept, Taking, WIDE, written};
use super::{Argument, LANES, NARROW, Parameters, Place, Source, THREADS, Task, element};
use crate::tiled::{Fold, Source as From, Tiled};
use crate::view::{DType, View};
use std::fmt::Write;

/// What kernels over one axis have in common that can be one launch: the kernel whose operands are the places that it sees, in
/// the order in which it names them, and whether threads take neighbours together.
#[derive(Clone, Debug, PartialEq)]
pub struct Likeness {
    tiled: Tiled,
    elements: Vec<DType>,
    wide: bool,
}

/// Points of a block, for each of its threads.
const EACH: usize = 16;
const CHUNK: usize = EACH * THREADS;
/// What a row of the table begins with: the first block, and how many points there are.
const HEAD: usize = 2;

impl Source {
    /// What decides whether a kernel, whose operands begin at multiples of so many bytes, and another one can be one launch;
    /// none if it is not over one axis, looks for positions, or draws at random.
    pub fn likeness(&mut self, tiled: &Tiled, aligned: &[usize]) -> Option<Likeness> {
        let random = |source: &From| matches!(source, From::Random { .. });
        let [points] = tiled.dims[..] else { return None };
        let kept = tiled.reduced == [false] || tiled.accumulations.iter().any(|it| it.fold == Fold::ArgMax);
        if points == 0 || points >= NARROW - CHUNK || kept || tiled.sources.iter().any(random) {
            return None;
        }
        self.aligned = aligned.to_vec();
        let wide = self.wide(tiled).is_some();
        let (mut tiled, places) = named(tiled);
        tiled.dims = vec![0];
        Some(Likeness { tiled, elements: places.into_iter().map(|(_, element)| element).collect(), wide })
    }

    /// Kernels that are alike in this, over operands of one numbering, as few launches.
    ///
    /// # Errors
    /// A sentence, if a launch is larger than a device takes.
    pub fn merged(
        &mut self,
        Likeness { tiled, elements, wide }: &Likeness,
        members: &[Tiled],
    ) -> Result<Vec<Task>, String> {
        let rows: Vec<(usize, Vec<Place>)> = members
            .iter()
            .map(|member| (member.dims[0], named(member).1.into_iter().map(|(place, _)| place).collect()))
            .collect();
        // Places that are the same for all are parameters, the others columns of the table.
        let common = |column: &usize| rows.iter().all(|(_, places)| places[*column] == rows[0].1[*column]);
        let common: Vec<usize> = (0..elements.len()).filter(common).collect();
        let width = HEAD + elements.len() - common.len();
        let most = (super::super::driver::MOST_ARGUMENTS - elements.len() - tiled.accumulations.len()) / width;
        let like = Like { tiled, elements, common: &common, written: &written(tiled) };
        let mut tasks = Vec::new();
        for rows in rows.chunks(most.max(1)) {
            let counts: Vec<usize> = rows.iter().map(|(points, _)| points.div_ceil(CHUNK)).collect();
            tasks.push(self.everywhere_of(&like, *wide, &counts, rows)?);
            if !tiled.accumulations.is_empty() {
                let blocks: usize = counts.iter().sum();
                self.scratch = self.scratch.max(tiled.accumulations.len() * blocks * PARTIAL);
                tasks.push(self.folds_of(&like, &counts, rows)?);
            }
        }
        Ok(tasks)
    }

    /// The kernel that goes over the points of all, a few thousand in a block.
    fn everywhere_of(
        &mut self,
        like: &Like<'_>,
        wide: bool,
        counts: &[usize],
        rows: &[(usize, Vec<Place>)],
    ) -> Result<Task, String> {
        let Like { tiled, .. } = *like;
        let folds = tiled.accumulations.iter().map(|it| it.view.operand);
        let folds: Vec<usize> = folds.collect();
        let columns = like.columns(|column| !folds.contains(&column));
        let (width, count, blocks) = (HEAD + columns.len(), rows.len(), counts.iter().sum::<usize>());
        let mut parameters = Parameters::new(like.written);
        let mut body = format!(
            "    uint32_t member = 0, beyond = {count};\n    while (beyond - member > 1) {{\n        const uint32_t middle = \
             (member + beyond) / 2;\n        if (table.at[middle * {width}] <= blockIdx.x) member = middle; else beyond = \
             middle;\n    }}\n"
        );
        let _ = writeln!(
            body,
            "    const uint32_t row = member * {width}, chunk = (blockIdx.x - (uint32_t)table.at[row]) * {CHUNK}u;\n    const \
             uint32_t end = min(chunk + {CHUNK}u, (uint32_t)table.at[row + 1]);"
        );
        body += &like.named(&columns, &rows[0].1, &mut parameters);
        body += &begins(tiled, "    ");
        let each = if wide { WIDE } else { 1 };
        let step = each * THREADS;
        let _ = writeln!(body, "    for (uint32_t q0 = chunk + threadIdx.x * {each}; q0 < end; q0 += {step}) {{");
        let (wide, after) = (wide.then_some(0), taken(tiled, "        "));
        let taking = Taking { wide, linear: "q0", kept: &Kept::default(), after: &after, indent: "        " };
        body += &self.point(tiled, &mut parameters, taking);
        body += "    }\n";
        let (warps, shared) = (THREADS / LANES, meeting(tiled, Way::Block, THREADS / LANES));
        if shared > 0 {
            body += "    DYNAMIC_SHARED(memory);\n";
            body += &meet(tiled, Way::Block, warps, "    ");
            body += "    if (threadIdx.x == 0) {\n";
            body += &combined(tiled, Way::Block, warps, "        ");
            for (i, accumulation) in tiled.accumulations.iter().enumerate() {
                let to = parameters.scratch(i * blocks * PARTIAL, kind(accumulation.fold));
                let _ = writeln!(body, "        {to}[blockIdx.x] = f{i};");
            }
            body += "    }\n";
        }
        let heads = counts.iter().scan(0, |block, count| {
            *block += count;
            Some(*block - count)
        });
        let heads: Vec<[usize; HEAD]> = heads.zip(rows).map(|(block, (points, _))| [block, *points]).collect();
        self.launch_of(&heads, &columns, rows, &parameters, &body, [blocks, THREADS, shared])
    }

    /// The kernel that combines what the blocks have folded, a block for each of the kernels.
    fn folds_of(&mut self, like: &Like<'_>, counts: &[usize], rows: &[(usize, Vec<Place>)]) -> Result<Task, String> {
        let Like { tiled, .. } = *like;
        let columns = like.columns(|column| tiled.accumulations.iter().any(|it| it.view.operand == column));
        let (width, blocks) = (HEAD + columns.len(), counts.iter().sum::<usize>());
        let (warps, shared) = (THREADS / LANES, meeting(tiled, Way::Block, THREADS / LANES));
        let mut parameters = Parameters::new(like.written);
        let mut body = format!(
            "    const uint32_t row = blockIdx.x * {width}, first = table.at[row], end = first + \
             (uint32_t)table.at[row + 1];\n"
        );
        body += &like.named(&columns, &rows[0].1, &mut parameters);
        body += &begins(tiled, "    ");
        let _ = writeln!(body, "    for (uint32_t k = first + threadIdx.x; k < end; k += {THREADS}) {{");
        for (i, accumulation) in tiled.accumulations.iter().enumerate() {
            let from = parameters.scratch(i * blocks * PARTIAL, kind(accumulation.fold));
            let _ = writeln!(body, "        {}", combine(accumulation.fold, &format!("f{i}"), &format!("{from}[k]")));
        }
        body += "    }\n    DYNAMIC_SHARED(memory);\n";
        body += &meet(tiled, Way::Block, warps, "    ");
        body += "    if (threadIdx.x == 0) {\n";
        body += &combined(tiled, Way::Block, warps, "        ");
        body += &stored(tiled, &mut parameters, "        ");
        body += "    }\n";
        let heads = counts.iter().scan(0, |block, count| {
            *block += count;
            Some([*block - count, *count])
        });
        let heads: Vec<[usize; HEAD]> = heads.collect();
        self.launch_of(&heads, &columns, rows, &parameters, &body, [rows.len(), THREADS, shared])
    }

    /// A launch of a kernel with a table: a row for each member, of its head and the places in these columns.
    fn launch_of(
        &mut self,
        heads: &[[usize; HEAD]],
        columns: &[usize],
        rows: &[(usize, Vec<Place>)],
        parameters: &Parameters<'_>,
        body: &str,
        sizes: [usize; 3],
    ) -> Result<Task, String> {
        let words = rows.len() * (HEAD + columns.len());
        let mut text = parameters.text();
        if !text.is_empty() {
            text += ", ";
        }
        text += &format!("const __grid_constant__ Table<{words}> table");
        let mut arguments = parameters.arguments();
        for (head, (_, places)) in heads.iter().zip(rows) {
            arguments.extend(head.map(|number| Argument::Value(number as u64)));
            arguments.extend(columns.iter().map(|&column| Argument::Operand(Some(places[column]))));
        }
        self.bounded(&sizes[1].to_string(), &text, body, sizes, arguments, words)
    }
}

/// What all kernels of a launch have in common.
struct Like<'a> {
    tiled: &'a Tiled,
    elements: &'a [DType],
    /// The operands whose places are the same for all.
    common: &'a [usize],
    written: &'a [usize],
}

impl Like<'_> {
    /// Operands of a kind that have a place in each row of a table.
    fn columns(&self, own: impl Fn(usize) -> bool) -> Vec<usize> {
        (0..self.elements.len()).filter(|column| !self.common.contains(column) && own(*column)).collect()
    }

    /// Reads the addresses of a row, and has the other operands be those of the first.
    fn named(&self, columns: &[usize], places: &[Place], parameters: &mut Parameters<'_>) -> String {
        let mut text = String::new();
        for (number, &column) in columns.iter().enumerate() {
            let kind = element(self.elements[column]);
            let [before, after] = if self.written.contains(&column) { ["", "*"] } else { ["const ", "* __restrict__"] };
            let at = HEAD + number;
            let _ = writeln!(text, "    {before}{kind}{after} t{column} = ({before}{kind}*)table.at[row + {at}];");
            parameters.named.insert(column, format!("t{column}"));
        }
        parameters.placed.extend(self.common.iter().map(|&column| (column, places[column])));
        text
    }
}

/// The kernel with its places for operands, each by its number, and the places with what lies there.
fn named(tiled: &Tiled) -> (Tiled, Vec<(Place, DType)>) {
    let mut places = Vec::new();
    let mut tiled = tiled.clone();
    tiled.views_mut(&mut |_, view: &mut View, _| {
        let place = (Place::of(view), view.element);
        let number = places.iter().position(|known| *known == place).unwrap_or_else(|| {
            places.push(place);
            places.len() - 1
        });
        (view.operand, view.offset) = (number, 0);
    });
    (tiled, places)
}
