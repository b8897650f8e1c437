//! Products against naive sums, with every instruction set that the processor has.

use super::*;
use crate::view::DType;
use proptest::prelude::*;

/// A view of matrices `[rows, columns]`, row by row, column by column, or with gaps, and its number of elements.
fn view(operand: usize, layout: usize, batch: usize, rows: usize, columns: usize) -> (View, usize) {
    let (row_stride, column_stride) = match layout {
        0 => (columns, 1),
        1 => (1, rows),
        2 => (columns + 3, 1),
        _ => (2, 2 * rows + 1),
    };
    let size = rows * row_stride.max(1) + columns * column_stride.max(1);
    let [row_stride, column_stride] = [row_stride, column_stride].map(|s| s as isize);
    let strides = vec![size as isize, row_stride, column_stride];
    let view = View { operand, offset: layout, strides, element: DType::F64 };
    (view, layout + batch * size)
}

fn check<T: Real>(
    sizes: [usize; 4],
    layouts: [usize; 3],
    accumulate: bool,
    threads: usize,
    instructions: Instructions,
    unit: f64,
) {
    let [batch, m, n, k] = sizes;
    let (a, a_len) = view(0, layouts[0], batch, m, k);
    let (b, b_len) = view(1, layouts[1], batch, k, n);
    let (c, c_len) = view(2, layouts[2], batch, m, n);
    let g = Gemm { batch, m, n, k, a, b, c, accumulate };
    let fill = |len: usize, seed: usize| -> Vec<T> {
        (0..len).map(|i| T::from_f64(((i * 37 + seed) % 101) as f64 / 50.0 - 1.0)).collect()
    };
    let mut memory = [fill(a_len, 1), fill(b_len, 2), fill(c_len, 3)];
    let before = memory[2].clone();
    let operands = memory.each_mut().map(|v| Operand { pointer: v.as_mut_ptr().cast(), len: v.len() });
    // SAFETY: `view` sizes the operands.
    unsafe { gemm_on::<T>(&g, &operands, threads, T::kernels(instructions), &mut Scratch::new()) };
    let at = |view: &View, i: usize, row: usize, column: usize| {
        let steps =
            [i, row, column].into_iter().zip(&view.strides).map(|(position, stride)| position as isize * stride);
        view.offset + steps.sum::<isize>() as usize
    };
    let mut written = vec![false; c_len];
    for i in 0..batch {
        for row in 0..m {
            for column in 0..n {
                let product = |j| memory[0][at(&g.a, i, row, j)].to_f64() * memory[1][at(&g.b, i, j, column)].to_f64();
                let place = at(&g.c, i, row, column);
                let start = if accumulate { before[place].to_f64() } else { 0.0 };
                let exact = start + (0..k).map(product).sum::<f64>();
                let found = memory[2][place].to_f64();
                // The bound for sums in any order (Higham, "Accuracy and Stability of Numerical Algorithms", 3.5),
                // for ours and, in f64, for the naive one.
                let magnitude = start.abs() + (0..k).map(|j| product(j).abs()).sum::<f64>();
                let bound = 2.0 * (k + 1) as f64 * unit * magnitude;
                assert!((found - exact).abs() <= bound, "{g:?} {found} {exact}");
                written[place] = true;
            }
        }
    }
    assert!((0..c_len).all(|i| written[i] || memory[2][i] == before[i]), "{g:?} writes elsewhere");
}

proptest! {
    #[test]
    fn products_agree_with_naive_sums(
        batch in 0usize..4,
        m in prop_oneof![Just(1), 0usize..150],
        n in prop_oneof![Just(1), 0usize..150],
        k in 0usize..150,
        layouts in [0usize..4, 0..4, 0..4],
        accumulate: bool,
        threads in 1usize..4,
    ) {
        for &instructions in Instructions::available() {
            let unit = f64::from(f32::EPSILON) / 2.0;
            check::<f32>([batch, m, n, k], layouts, accumulate, threads, instructions, unit);
            check::<f64>([batch, m, n, k], layouts, accumulate, threads, instructions, f64::EPSILON / 2.0);
        }
    }
}
