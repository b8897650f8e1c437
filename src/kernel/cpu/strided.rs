//! Dense tiles from and to strided memory.

/// The greatest rank of an iteration space.
pub(super) const RANK: usize = 8;

/// Calls `run(dense, memory, n, stride)` for each innermost run of a box in row-major order: `n` points that are
/// dense from `dense` and lie in memory from `memory` with `stride`.
#[inline(always)]
pub(super) fn runs(extents: &[usize], strides: &[isize], mut run: impl FnMut(usize, isize, usize, isize)) {
    // Innermost first, without axes of size 1, neighbours merged.
    let mut sizes = [1; RANK];
    let mut steps = [0; RANK];
    let mut rank = 0;
    for (&extent, &stride) in extents.iter().zip(strides).rev() {
        if extent == 0 {
            return;
        }
        if extent == 1 {
            continue;
        }
        if rank > 0 && stride == steps[rank - 1] * sizes[rank - 1] as isize {
            sizes[rank - 1] *= extent;
        } else {
            sizes[rank] = extent;
            steps[rank] = stride;
            rank += 1;
        }
    }
    let inner = sizes[0] * sizes[1];
    let mut position = [0; RANK];
    let (mut dense, mut memory) = (0, 0);
    loop {
        for i in 0..sizes[1] {
            run(dense + i * sizes[0], memory + i as isize * steps[1], sizes[0], steps[0]);
        }
        dense += inner;
        let mut axis = 2;
        loop {
            if axis >= rank {
                return;
            }
            position[axis] += 1;
            memory += steps[axis];
            if position[axis] < sizes[axis] {
                break;
            }
            memory -= steps[axis] * sizes[axis] as isize;
            position[axis] = 0;
            axis += 1;
        }
    }
}

/// Fills a dense tile from strided memory.
///
/// # Safety
/// `to` is valid for writes of the box, `from` for reads at every strided position of it.
#[inline(always)]
pub(super) unsafe fn gather<S: Copy, D: Copy>(
    to: *mut D,
    from: *const S,
    extents: &[usize],
    strides: &[isize],
    convert: impl Fn(S) -> D,
) {
    runs(extents, strides, |dense, memory, n, stride| {
        // SAFETY: dense and strided positions of the box, for which the caller vouches.
        unsafe {
            let (to, from) = (to.add(dense), from.offset(memory));
            match stride {
                0 => {
                    let value = convert(*from);
                    (0..n).for_each(|i| *to.add(i) = value);
                }
                1 => (0..n).for_each(|i| *to.add(i) = convert(*from.add(i))),
                _ => (0..n).for_each(|i| *to.add(i) = convert(*from.offset(i as isize * stride))),
            }
        }
    });
}

/// Writes a dense tile to strided memory.
///
/// # Safety
/// `from` is valid for reads of the box, `to` for writes at every strided position of it.
#[inline(always)]
pub(super) unsafe fn scatter<S: Copy, D: Copy>(
    to: *mut D,
    from: *const S,
    extents: &[usize],
    strides: &[isize],
    convert: impl Fn(S) -> D,
) {
    runs(extents, strides, |dense, memory, n, stride| {
        // SAFETY: dense and strided positions of the box, for which the caller vouches.
        unsafe {
            let (to, from) = (to.offset(memory), from.add(dense));
            match stride {
                1 => (0..n).for_each(|i| *to.add(i) = convert(*from.add(i))),
                _ => (0..n).for_each(|i| *to.offset(i as isize * stride) = convert(*from.add(i))),
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transposed_box_round_trips() {
        let memory: Vec<u32> = (0..60).collect();
        let mut tile = [0.0f32; 60];
        // Element [i, j, k] of a 3×4×5 box lies at i + 3·j + 12·k.
        let (extents, strides) = ([3, 4, 5], [1, 3, 12]);
        // SAFETY: the strided positions are a permutation of 0..60.
        unsafe { gather(tile.as_mut_ptr(), memory.as_ptr(), &extents, &strides, |x| x as f32) };
        assert_eq!(tile[20 + 2 * 5 + 3], (1 + 3 * 2 + 12 * 3) as f32);
        let mut back = [0u32; 60];
        // SAFETY: as above.
        unsafe { scatter(back.as_mut_ptr(), tile.as_ptr(), &extents, &strides, |x| x as u32) };
        assert_eq!(back[..], memory[..]);
    }

    #[test]
    fn broadcast_axes_repeat() {
        let memory = [1, 2, 3];
        let mut tile = [0; 12];
        // SAFETY: positions 0..3.
        unsafe { gather(tile.as_mut_ptr(), memory.as_ptr(), &[2, 3, 2], &[0, 1, 0], |x: i32| x) };
        assert_eq!(tile, [1, 1, 2, 2, 3, 3, 1, 1, 2, 2, 3, 3]);
    }
}
