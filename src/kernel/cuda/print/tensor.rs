//! Products on matrix units.

use super::special::{operand, writes};
use super::{Argument, NARROW, Source, Task};
use crate::gemm::Gemm;
use crate::view::{DType, View};

pub(super) const TENSOR: &str = include_str!("../text/tensor.cuh");
/// Terms of a step, and how many steps are in shared memory.
const STEP: usize = 32;
const STAGES: usize = 3;
/// The edges of a block of the result, the greater first, with the warps that stand side by side and all of them.
const EDGES: [(usize, usize, usize); 2] = [(128, 4, 8), (64, 2, 4)];
/// Fewer blocks leave a device idle.
const FEW: usize = 132;
/// Shorter matrices leave most of a unit idle.
const SHORT: usize = 16;
/// What a copy moves at once, in elements.
const CHUNK: usize = 8;

/// How a factor lies.
struct Lies {
    /// Neighbours of a column lie side by side, and not those of a row.
    by_columns: bool,
    /// Lines begin where a copy can.
    smooth: bool,
}

impl Lies {
    fn of(view: &View, [batch, rows, columns]: [usize; 3]) -> Self {
        let by_columns = view.strides[2] != 1 && view.strides[1] == 1;
        let (inner, outer, lines) = if by_columns { (1, 2, columns) } else { (2, 1, rows) };
        let chunks = |number: usize| number.is_multiple_of(CHUNK);
        let begins = |axis: usize, count: usize| count <= 1 || chunks(view.strides[axis].unsigned_abs());
        let smooth = view.strides[inner] == 1 && chunks(view.offset) && begins(outer, lines) && begins(0, batch);
        Lies { by_columns, smooth }
    }

    /// The bytes of a block of so many lines across the terms of a step.
    fn bytes(&self, edge: usize, terms_are_lines: bool) -> usize {
        let (lines, line) = if terms_are_lines { (STEP, edge) } else { (edge, STEP) };
        lines * (line + CHUNK) * DType::Bf16.size()
    }
}

impl Source {
    /// None if matrix units do not help.
    pub(super) fn tensor_product(&mut self, gemm: &Gemm) -> Result<Option<Task>, String> {
        let Gemm { batch, m, n, k, ref a, ref b, ref c, accumulate } = *gemm;
        let narrow = a.element == DType::Bf16 && b.element == DType::Bf16;
        if !self.matrix_units || !narrow || m.min(n).min(k) < SHORT || m.max(n).max(k) >= NARROW {
            return Ok(None);
        }
        let tiles = |edge: usize| batch * m.div_ceil(edge) * n.div_ceil(edge);
        let (edge, across, warps) = if tiles(EDGES[0].0) >= FEW { EDGES[0] } else { EDGES[1] };
        let (la, lb) = (Lies::of(a, [batch, m, k]), Lies::of(b, [batch, k, n]));
        let even = |number: usize| number.is_multiple_of(2);
        let rows = c.strides[..2].iter().all(|stride| even(stride.unsigned_abs()));
        let pairs = c.element == DType::Bf16 && c.strides[2] == 1 && rows && even(c.offset);
        let shared = STAGES * (la.bytes(edge, la.by_columns) + lb.bytes(edge, !lb.by_columns));

        let mut arguments = [a, b, c].map(operand).to_vec();
        arguments.extend([m, n, k].map(|size| Argument::Value(size as u64)));
        arguments
            .extend([a, b, c].into_iter().flat_map(|view| &view.strides).map(|&step| Argument::Value(step as u64)));
        let strides: Vec<String> = (0..9).map(|i| format!("int64_t s{i}")).collect();
        let parameters = format!(
            "const bf16* a, const bf16* b, {} c, uint32_t m, uint32_t n, uint32_t k, {}",
            writes(c),
            strides.join(", ")
        );
        let switches = [la.by_columns, la.smooth, lb.by_columns, lb.smooth, pairs].map(|switch| switch.to_string());
        let body = format!(
            "    tensor_products<{edge}, {across}, {}>(a, b, c, m, n, k, Layout{{s0, s1, s2}}, Layout{{s3, s4, s5}}, \
             Layout{{s6, s7, s8}}, {accumulate});\n",
            switches.join(", ")
        );
        self.template(super::special::PRODUCTS);
        self.template(TENSOR);
        self.launch(&parameters, &body, [tiles(edge), 32 * warps, shared], arguments).map(Some)
    }
}
