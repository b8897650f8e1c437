//! Rows of a table by their indices. Every result is the same whatever the number of threads: each part of a result has
//! one thread, which goes through the indices in order.

use super::math::Real;
use super::{Fault, Kernel, Operand, Scratch, parallel};
use crate::lookup::{Kind, Lookup};
use crate::view::View;
use std::ops::Range;
use std::ptr::copy_nonoverlapping;
use std::slice::{from_raw_parts, from_raw_parts_mut};

/// Fewer bytes are moved by one thread.
const WORTH_A_FORK: usize = 1 << 17;
/// Threads share rows by columns if each then has so many bytes of them.
const LINE: usize = 64;

/// On how many threads the launch is worth doing.
fn threads(lookup: &Lookup, most: usize) -> usize {
    let rows = match lookup.kind {
        Kind::Gather { .. } => lookup.count,
        Kind::ScatterAdd { .. } | Kind::Put { .. } => lookup.count + lookup.rows,
    };
    if rows * bytes(lookup) < WORTH_A_FORK { 1 } else { most.max(1) }
}

/// The bytes of a row.
fn bytes(lookup: &Lookup) -> usize {
    lookup.width * lookup.out.element.size()
}

impl<T: Real> Kernel<T> for Lookup {
    fn divides(&self) -> bool {
        threads(self, 2) > 1
    }

    fn scratch_bytes(&self, _: usize) -> usize {
        0
    }

    /// Nothing is written if an index is beyond the table.
    unsafe fn launch(&self, operands: &[Operand], most: usize, _: &mut Scratch) -> Result<(), Fault> {
        let at = |view: &View| operands[view.operand].pointer.wrapping_add(view.offset * view.element.size());
        // SAFETY: as the caller says.
        let index = unsafe { from_raw_parts(at(&self.index).cast::<u32>(), self.count) };
        if let Some(&index) = index.iter().find(|&&index| index as usize >= self.rows) {
            return Err(Fault::Beyond { index, rows: self.rows });
        }
        let out = at(&self.out);
        let (table, values) = match &self.kind {
            Kind::Gather { table } => (at(table), out),
            Kind::ScatterAdd { values } => (out, at(values)),
            Kind::Put { table, values } => (at(table), at(values)),
        };
        let rows = Rows { table, values, out, bytes: bytes(self) };
        let threads = threads(self, most);
        if let Kind::Gather { .. } = self.kind {
            parallel::split(threads, &|i| {
                let share = parallel::part(self.count, i, threads);
                // SAFETY: the indices were checked, and each thread writes rows of its own.
                unsafe { rows.gather(index, share) };
            });
            return Ok(());
        }
        let by_columns = rows.bytes >= threads * LINE;
        parallel::split(threads, &|i| {
            let share = |len: usize, unit: usize| {
                let units = parallel::part(len.div_ceil(unit), i, threads);
                (units.start * unit).min(len)..(units.end * unit).min(len)
            };
            let own = match by_columns {
                true => Share { rows: 0..self.rows, columns: share(rows.bytes, LINE) },
                false => Share { rows: share(self.rows, 1), columns: 0..rows.bytes },
            };
            // SAFETY: the indices were checked, and each thread writes a part of the table of its own.
            unsafe {
                match self.kind {
                    Kind::Put { .. } => rows.put(index, &own),
                    _ => rows.scatter_add::<T>(index, &own),
                }
            }
        });
        Ok(())
    }
}

/// A thread's part of a table: rows, and bytes of each.
struct Share {
    rows: Range<usize>,
    columns: Range<usize>,
}

impl Share {
    /// The rows that the indices name, each with its place among them.
    fn named<'a>(&'a self, index: &'a [u32]) -> impl Iterator<Item = (usize, usize)> + 'a {
        let rows = index.iter().map(|&row| row as usize).enumerate();
        rows.filter(|(_, row)| self.rows.contains(row))
    }
}

/// The memory of a launch.
struct Rows {
    table: *mut u8,
    values: *mut u8,
    out: *mut u8,
    bytes: usize,
}

// SAFETY: threads write disjoint parts of the result.
unsafe impl Sync for Rows {}

impl Rows {
    /// # Safety
    /// Indices are below the number of rows; nobody else uses the share of the result.
    unsafe fn gather(&self, index: &[u32], share: Range<usize>) {
        for n in share {
            // SAFETY: a row of the table, a row of the result.
            unsafe {
                let from = self.table.add(index[n] as usize * self.bytes);
                copy_nonoverlapping(from, self.out.add(n * self.bytes), self.bytes);
            }
        }
    }

    /// # Safety
    /// As for `gather`; elements are of type `T`.
    unsafe fn scatter_add<T: Real>(&self, index: &[u32], share: &Share) {
        let len = share.columns.len() / size_of::<T>();
        // SAFETY: the share lies inside the table, rows of values inside the values; all are aligned.
        unsafe {
            for row in share.rows.clone() {
                self.out.add(row * self.bytes + share.columns.start).write_bytes(0, share.columns.len());
            }
            for (n, row) in share.named(index) {
                let sum: *mut T = self.out.add(row * self.bytes + share.columns.start).cast();
                let value: *const T = self.values.add(n * self.bytes + share.columns.start).cast();
                let (sum, value) = (from_raw_parts_mut(sum, len), from_raw_parts(value, len));
                sum.iter_mut().zip(value).for_each(|(sum, &value)| *sum = *sum + value);
            }
        }
    }

    /// # Safety
    /// As for `gather`.
    unsafe fn put(&self, index: &[u32], share: &Share) {
        let Share { rows, columns } = share;
        // SAFETY: as above; the result is the table or apart from it.
        unsafe {
            if self.out != self.table {
                for row in rows.clone() {
                    let at = row * self.bytes + columns.start;
                    copy_nonoverlapping(self.table.add(at), self.out.add(at), columns.len());
                }
            }
            for (n, row) in share.named(index) {
                let from = self.values.add(n * self.bytes + columns.start);
                copy_nonoverlapping(from, self.out.add(row * self.bytes + columns.start), columns.len());
            }
        }
    }
}
