//! Rows of a table by their indices. Every result is the same whatever the number of threads: each part of a result has
//! one thread, which goes through the indices in order.

use super::math::Real;
use super::{Operand, parallel};
use std::ops::Range;
use std::ptr::copy_nonoverlapping;
use std::slice::{from_raw_parts, from_raw_parts_mut};

/// What is done with the rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `out[n] = table[index[n]]`
    Gather,
    /// `out = 0`, then `out[index[n]] += values[n]`
    ScatterAdd,
    /// `out = table`, then `out[index[n]] = values[n]`
    Put,
}

/// A launch that goes by indices. What the kind does not read or write is named all the same and not touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lookup {
    /// What is done.
    pub kind: Kind,
    /// The number of rows of the table.
    pub rows: usize,
    /// The bytes of a row.
    pub bytes: usize,
    /// The number of indices.
    pub count: usize,
    /// The table, contiguous.
    pub table: Place,
    /// The indices, contiguous.
    pub index: Place,
    /// A row for each index, contiguous.
    pub values: Place,
    /// The result, contiguous. For `Put` it may be the table.
    pub out: Place,
}

/// Where an operand of a lookup begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Which operand of the launch.
    pub operand: usize,
    /// In bytes.
    pub offset: usize,
}

/// An index beyond the rows of its table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Beyond {
    /// The index.
    pub index: u32,
    /// The number of rows.
    pub rows: usize,
}

/// Fewer bytes are moved by one thread.
const WORTH_A_FORK: usize = 1 << 17;
/// Threads share rows by columns if each then has so many bytes of them.
const LINE: usize = 64;

impl Lookup {
    /// All places, to be renumbered.
    pub(crate) fn pieces_mut(&mut self) -> impl Iterator<Item = &mut Place> {
        [&mut self.table, &mut self.index, &mut self.values, &mut self.out].into_iter()
    }

    /// Whether the result may lie where `source` is: in place of the table, which nothing else reads.
    pub(crate) fn replaces(&self, source: usize, target: usize) -> bool {
        let whole = |place: Place, operand: usize| place == Place { operand, offset: 0 };
        self.kind == Kind::Put
            && whole(self.table, source)
            && whole(self.out, target)
            && self.index.operand != source
            && self.values.operand != source
    }

    /// On how many threads the launch is worth doing.
    pub(crate) fn threads(&self, most: usize) -> usize {
        let rows = match self.kind {
            Kind::Gather => self.count,
            Kind::ScatterAdd | Kind::Put => self.count + self.rows,
        };
        if rows * self.bytes < WORTH_A_FORK { 1 } else { most.max(1) }
    }

    /// Moves the rows; elements that are added are of type `T`.
    ///
    /// # Errors
    /// If an index is beyond the table; nothing is written then.
    ///
    /// # Safety
    /// The places hold what the fields say, aligned; the result overlaps none of the operands, except that of `Put` with
    /// the table, which it then is; nothing else uses the result during the call.
    pub(crate) unsafe fn launch<T: Real>(&self, operands: &[Operand], threads: usize) -> Result<(), Beyond> {
        let at = |place: Place| operands[place.operand].pointer.wrapping_add(place.offset);
        // SAFETY: as the caller says.
        let index = unsafe { from_raw_parts(at(self.index).cast::<u32>(), self.count) };
        if let Some(&index) = index.iter().find(|&&index| index as usize >= self.rows) {
            return Err(Beyond { index, rows: self.rows });
        }
        let rows = Rows { table: at(self.table), values: at(self.values), out: at(self.out), bytes: self.bytes };
        let threads = self.threads(threads);
        if self.kind == Kind::Gather {
            parallel::split(threads, &|i| {
                let share = parallel::part(self.count, i, threads);
                // SAFETY: the indices were checked, and each thread writes rows of its own.
                unsafe { rows.gather(index, share) };
            });
            return Ok(());
        }
        let by_columns = self.bytes >= threads * LINE;
        parallel::split(threads, &|i| {
            let share = |len: usize, unit: usize| {
                let units = parallel::part(len.div_ceil(unit), i, threads);
                (units.start * unit).min(len)..(units.end * unit).min(len)
            };
            let own = match by_columns {
                true => Share { rows: 0..self.rows, columns: share(self.bytes, LINE) },
                false => Share { rows: share(self.rows, 1), columns: 0..self.bytes },
            };
            // SAFETY: the indices were checked, and each thread writes a part of the table of its own.
            unsafe {
                match self.kind {
                    Kind::Put => rows.put(index, &own),
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
