//! Attention on matrix units.

use super::special::{operand, writes};
use super::tensor::TENSOR;
use super::{NARROW, Source, Task};
use crate::attention::Attention;
use crate::view::{DType, View};

const FLASH: &str = include_str!("../text/flash.cuh");
/// Queries of a block of threads, and keys of a step.
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

    /// None if matrix units do not help.
    pub(super) fn flash_forward(
        &mut self,
        attention: &Attention,
        out: &View,
        logarithms: &View,
    ) -> Result<Option<Task>, String> {
        let Attention { batch, heads, queries, width, value_width, ref q, ref k, ref v, .. } = *attention;
        if !self.is_flash(attention) || !begins(out, 2) {
            return Ok(None);
        }
        let grid = batch * heads * queries.div_ceil(BLOCK);
        if grid >= NARROW {
            return Err(format!("attention of {grid} blocks is larger than a launch takes"));
        }
        let [keys, values] = [width, value_width].map(|width| BLOCK * (width + CHUNK) * DType::Bf16.size());
        let parameters =
            format!("const bf16* q, const bf16* k, const bf16* v, {} out, {} sums", writes(out), writes(logarithms));
        let body = format!("{}\n    flash_forward<Numbers>(q, k, v, out, sums);\n", self.numbers(attention));
        [super::special::PRODUCTS, TENSOR, FLASH].into_iter().for_each(|text| self.template(text));
        let arguments = [q, k, v, out, logarithms].map(operand).to_vec();
        self.launch(&parameters, &body, [grid, THREADS, 3 * keys + 2 * values], arguments).map(Some)
    }
}
