//! The inputs of a run, copied from host tensors into buffers that are reused from step to step.

use super::{Cpu, Float, Indices, Shape, Tensor, copy_into};
use crate::run::Data;
use dfdx::shapes::HasShape;
use std::ops::Deref;

/// The inputs of a run, in order. Once each buffer has held its largest input, filling it again allocates nothing.
///
/// ```
/// use ansatz::tensor::{Const, Data, Feed, Indices, from_vec};
///
/// let mut feed = Feed::default();
/// for step in 0..2 {
///     feed.clear();
///     feed.tensor(&from_vec(vec![step as f32; 3], (3,))?);
///     feed.indices(&Indices::<(usize,), Const<10>>::new(vec![7], (1,))?);
/// }
/// assert_eq!(feed.data()[..], [Data::F32(&[1.0; 3]), Data::Index(&[7])]);
/// # Ok::<(), ansatz::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct Feed {
    buffers: Vec<Buffer>,
    rows: Vec<Rows>,
    used: usize,
}

/// What is known of the rows of an input: how many positions its first axis has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rows {
    /// Elements were given, and no shape.
    Unknown,
    /// No axis has a size that is known only at run time: the input is the same for every sample.
    Shared,
    /// The first axis has such a size.
    First(usize),
    /// Another one has, and not the first.
    Behind,
}

impl Rows {
    fn of<S: Shape>(shape: &S) -> Self {
        let dims = shape.concrete();
        // A shape takes any size where that is a number of the run time, and no other where it is of the type.
        let varies = |axis: usize| {
            let mut other = dims;
            other[axis] += 1;
            S::from_concrete(&other).is_some()
        };
        match (0..S::NUM_DIMS).find(|&axis| varies(axis)) {
            None => Rows::Shared,
            Some(0) => Rows::First(dims[0]),
            Some(_) => Rows::Behind,
        }
    }
}

impl Feed {
    /// Forgets the inputs and keeps their buffers.
    pub fn clear(&mut self) {
        self.used = 0;
    }

    /// The next input is a tensor of reals.
    pub fn tensor<S: Shape, E: Float>(&mut self, x: &Tensor<S, E, Cpu>) {
        let values = E::buffer(self.next());
        values.resize(x.shape().num_elements(), E::default());
        copy_into(x, values);
        self.rows[self.used - 1] = Rows::of(x.shape());
    }

    /// The next input is a tensor of indices.
    pub fn indices<S: Shape, D>(&mut self, x: &Indices<S, D>) {
        self.index_slice(x.values());
        self.rows[self.used - 1] = Rows::of(x.shape());
    }

    /// What is known of the rows of each input.
    pub(crate) fn known_rows(&self) -> &[Rows] {
        &self.rows[..self.used]
    }

    /// The next input are these reals.
    pub fn slice<E: Float>(&mut self, values: &[E]) {
        let buffer = E::buffer(self.next());
        buffer.clear();
        buffer.extend_from_slice(values);
    }

    /// The next input are so many reals, which the caller writes.
    pub fn reals<E: Float>(&mut self, len: usize) -> &mut [E] {
        let buffer = E::buffer(self.next());
        buffer.resize(len, E::default());
        buffer
    }

    /// The next input are these indices.
    pub fn index_slice(&mut self, values: &[u32]) {
        let buffer = self.next_indices();
        buffer.clear();
        buffer.extend_from_slice(values);
    }

    /// The next input are indices, which the caller writes into an empty list.
    pub fn write_indices<R>(&mut self, write: impl FnOnce(&mut Vec<u32>) -> R) -> R {
        let buffer = self.next_indices();
        buffer.clear();
        write(buffer)
    }

    /// The next input are these rows of a table of rows of `width` elements.
    ///
    /// # Panics
    /// If a row is beyond the table, or the table holds truth values.
    pub fn rows(&mut self, table: Data<'_>, width: usize, rows: impl Iterator<Item = usize>) {
        fn copy<T: Copy>(table: &[T], width: usize, rows: impl Iterator<Item = usize>, buffer: &mut Vec<T>) {
            buffer.clear();
            rows.for_each(|row| buffer.extend_from_slice(&table[row * width..(row + 1) * width]));
        }
        match table {
            Data::F32(table) => copy(table, width, rows, f32::buffer(self.next())),
            Data::F64(table) => copy(table, width, rows, f64::buffer(self.next())),
            Data::Index(table) => copy(table, width, rows, self.next_indices()),
            Data::Bool(_) => unreachable!("no input of a net holds truth values"),
        }
    }

    /// The inputs, as a program takes them.
    pub fn data(&self) -> Inputs<'_> {
        let mut few = [Data::Bool(&[]); FEW];
        let mut many = Vec::new();
        if self.used > FEW {
            many = self.buffers[..self.used].iter().map(Buffer::data).collect();
        } else {
            for (slot, buffer) in few.iter_mut().zip(&self.buffers[..self.used]) {
                *slot = buffer.data();
            }
        }
        Inputs { few, many, used: self.used }
    }

    fn next_indices(&mut self) -> &mut Vec<u32> {
        let buffer = self.next();
        if !matches!(buffer, Buffer::Index(_)) {
            *buffer = Buffer::Index(Vec::new());
        }
        match buffer {
            Buffer::Index(buffer) => buffer,
            _ => unreachable!("the buffer has just been made one of indices"),
        }
    }

    fn next(&mut self) -> &mut Buffer {
        if self.used == self.buffers.len() {
            self.buffers.push(Buffer::Index(Vec::new()));
            self.rows.push(Rows::Unknown);
        }
        self.rows[self.used] = Rows::Unknown;
        self.used += 1;
        &mut self.buffers[self.used - 1]
    }
}

/// So many inputs are listed without allocating.
const FEW: usize = 8;

/// The inputs of a run as a slice.
#[derive(Debug)]
pub struct Inputs<'a> {
    few: [Data<'a>; FEW],
    many: Vec<Data<'a>>,
    used: usize,
}

impl<'a> Deref for Inputs<'a> {
    type Target = [Data<'a>];

    fn deref(&self) -> &[Data<'a>] {
        if self.used > FEW { &self.many } else { &self.few[..self.used] }
    }
}

/// The elements of one input.
#[doc(hidden)]
#[derive(Debug)]
pub enum Buffer {
    F32(Vec<f32>),
    F64(Vec<f64>),
    Index(Vec<u32>),
}

impl Buffer {
    fn data(&self) -> Data<'_> {
        match self {
            Buffer::F32(values) => Data::F32(values),
            Buffer::F64(values) => Data::F64(values),
            Buffer::Index(values) => Data::Index(values),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_a_few_inputs() {
        let mut feed = Feed::default();
        for i in 0..2 * FEW as u32 {
            feed.index_slice(&[i]);
        }
        assert_eq!(feed.data().len(), 2 * FEW);
        assert_eq!(feed.data()[11], Data::Index(&[11]));
    }

    #[test]
    fn buffers_are_kept() {
        let mut feed = Feed::default();
        feed.slice(&[1.0f64; 100]);
        let address = match feed.data()[0] {
            Data::F64(values) => values.as_ptr(),
            _ => unreachable!(),
        };
        feed.clear();
        feed.slice(&[2.0f64; 50]);
        assert_eq!(feed.data()[0], Data::F64(&[2.0; 50]));
        assert!(matches!(feed.data()[0], Data::F64(values) if values.as_ptr() == address));
    }
}
