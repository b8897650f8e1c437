//! Attention on matrix units.

use super::special::{operand, reads, writes};
use super::tensor::TENSOR;
use super::{NARROW, Source, Task};
use crate::attention::{Attention, Pass};
use crate::view::{DType, View};

const FLASH: &str = include_str!("../text/flash.cuh");
/// Rows of a block of threads, and of the others in a step.
const BLOCK: usize = 64;
const THREADS: usize = 128;
/// Wider heads do not fit in the registers.
const WIDEST: usize = 128;
/// Fewer queries leave most of a unit idle.
const FEWEST: usize = 16;
/// What a copy moves at once, and what a unit takes, in elements.
const CHUNK: usize = 8;
const UNIT: usize = 16;

/// Whether rows lie side by side and begin at multiples of so many elements.
fn begins(view: &View, at: usize) -> bool {
    let multiple = |number: usize| number.is_multiple_of(at);
    view.strides[3] == 1
        && multiple(view.offset)
        && view.strides[..3].iter().all(|stride| multiple(stride.unsigned_abs()))
}

impl Source {
    /// Whether matrix units help with attention: over narrow numbers, without anything that is added to scores.
    fn is_flash(&self, attention: &Attention) -> bool {
        let Attention { queries, width, value_width, q, k, v, bias, mask, slopes, start, .. } = attention;
        let narrow = [q, k, v].iter().all(|view| view.element == DType::Bf16 && begins(view, CHUNK));
        let fits = |width: usize| width.is_multiple_of(UNIT) && (1..=WIDEST).contains(&width);
        let plain = bias.is_none() && mask.is_none() && slopes.is_none() && start.is_none();
        self.matrix_units && narrow && plain && fits(*width) && fits(*value_width) && *queries >= FEWEST
    }

    /// A launch of a template, a block of threads for each 64 of so many rows; `parts` are the numbers in shared memory.
    fn flash(
        &mut self,
        attention: &Attention,
        call: &str,
        parameters: &[(String, &View)],
        [units, rows]: [usize; 2],
        parts: usize,
    ) -> Result<Task, String> {
        let grid = units * rows.div_ceil(BLOCK);
        if grid >= NARROW {
            return Err(format!("attention of {grid} blocks is larger than a launch takes"));
        }
        [super::special::PRODUCTS, TENSOR, FLASH].into_iter().for_each(|text| self.template(text));
        let named: Vec<String> = parameters.iter().enumerate().map(|(i, (kind, _))| format!("{kind} p{i}")).collect();
        let given: Vec<String> = (0..parameters.len()).map(|i| format!("p{i}")).collect();
        let body = format!("{}\n    {call}({});\n", self.numbers(attention), given.join(", "));
        let arguments = parameters.iter().map(|(_, view)| operand(view)).collect();
        let launch = [grid, THREADS, parts * DType::Bf16.size()];
        // Sums and scores are in registers, whatever they take.
        self.bounded(&format!("{THREADS}, 1"), &named.join(", "), &body, launch, arguments, 0)
    }

    /// What matrix units do for attention; none if they do not help.
    pub(super) fn flash_attention(&mut self, attention: &Attention) -> Result<Vec<Task>, String> {
        if !self.is_flash(attention) {
            return Ok(Vec::new());
        }
        let Attention { batch, heads, shared, queries, keys, width, value_width, ref q, ref k, ref v, .. } = *attention;
        // The numbers of so many rows of both widths.
        let [rows, values] = [width, value_width].map(|width| width + CHUNK);
        let given = [q, k, v].map(|view| (reads(view), view)).to_vec();
        let call = |name: &str, written: &[&View]| {
            let pairs = written.iter().all(|view| begins(view, 2));
            format!("{name}<Numbers, {pairs}>")
        };
        let write = |view| (writes(view), view);
        match &attention.pass {
            Pass::Forward { out, logarithms } if logarithms.element == DType::F32 => {
                let parameters = [given, [out, logarithms].map(write).to_vec()].concat();
                let parts = BLOCK * (3 * rows + 2 * values);
                let call = call("flash_forward", &[out]);
                Ok(vec![self.flash(attention, &call, &parameters, [batch * heads, queries], parts)?])
            }
            Pass::Backward { logarithms, common, c, dq, dk, dv } => {
                let wide = [logarithms, common].iter().all(|view| view.element == DType::F32);
                let narrow = c.element == DType::Bf16 && begins(c, CHUNK);
                if !wide || !narrow || dk.element != dv.element {
                    return Ok(Vec::new());
                }
                let read = |view| (reads(view), view);
                let given = [given, [logarithms, common, c].map(read).to_vec()].concat();
                let step = if width.max(value_width) > BLOCK { BLOCK / 2 } else { BLOCK };
                let parts = (BLOCK + 2 * step) * (rows + values);
                let parameters = [&given[..], &[write(dq)]].concat();
                let queries = [batch * heads, queries];
                let first = self.flash(attention, &call("flash_queries", &[dq]), &parameters, queries, parts)?;
                let parameters = [&given[..], &[dk, dv].map(write)].concat();
                // Two numbers of `f32` for each query of two steps.
                let parts = parts + 2 * step * 4;
                let keys = [batch * shared, keys];
                let second = self.flash(attention, &call("flash_keys", &[dk, dv]), &parameters, keys, parts)?;
                Ok(vec![first, second])
            }
            Pass::Forward { .. } => Ok(Vec::new()),
        }
    }
}
