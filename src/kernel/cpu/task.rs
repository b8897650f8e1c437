//! One thread's share of the launch of a fused kernel.

use super::math::Real;
use super::strided::{RANK, gather, runs, scatter};
use super::tiled::{ALIGN, Fill, Output, Place, Prepared, Step};
use super::vectorized::{Instructions, vectorized};
use super::{Operand, fold, random, rows};
use crate::random::Stream;
use crate::tiled::{Code, Fold, Kind};
use crate::view::DType;
use std::ops::Range;
use std::slice::{from_raw_parts, from_raw_parts_mut};

/// One thread's share of a launch.
pub(super) struct Task<'a, T: Real> {
    kernel: &'a Prepared<T>,
    operands: &'a [Operand],
    arch: Instructions,
    direct: u64,
    /// Where each register's tile lies.
    registers: *mut *mut T,
    tiles: *mut u8,
    results: *mut u8,
    /// The place of the current unit in its group.
    place: usize,
    /// The first point of the current tile and its size.
    starts: [usize; RANK],
    extents: [usize; RANK],
}

/// The results of a fold for the current unit.
struct Results<'r, T> {
    /// A sum is the value minus the correction.
    value: &'r mut [T],
    correction: &'r mut [T],
    /// Where the greatest stands.
    index: &'r mut [u32],
    /// The same for the block of tiles that has not joined yet.
    next: &'r mut [T],
    next_index: &'r mut [u32],
}

/// How many parts these are.
pub(super) const RESULTS: usize = 5;

/// The place of a tile among those over the reduced axes, which join the results in blocks: small tiles would lose more by
/// each correction than they gain.
struct Block {
    /// Whether nothing has joined before.
    first: bool,
    /// Whether the tile is the first of its block, or the last.
    begins: bool,
    ends: bool,
}

impl<'a, T: Real> Task<'a, T> {
    /// # Safety
    /// `memory` has `task_bytes` bytes on a cache line, for this task alone; the operands are as `launch` wants them.
    pub(super) unsafe fn new(
        kernel: &'a Prepared<T>,
        operands: &'a [Operand],
        memory: *mut u8,
        direct: u64,
        arch: Instructions,
    ) -> Self {
        let pointers = (kernel.slots.len() * size_of::<*mut T>()).next_multiple_of(ALIGN);
        // SAFETY: all inside `task_bytes`.
        let (tiles, results) =
            unsafe { (memory.add(pointers), memory.add(pointers + kernel.slot_count * kernel.tile_bytes())) };
        let (starts, extents) = ([0; RANK], [1; RANK]);
        Task { kernel, operands, arch, direct, registers: memory.cast(), tiles, results, place: 0, starts, extents }
    }

    /// Points the registers at their tiles and computes what all tiles share.
    ///
    /// # Safety
    /// As for `launch`.
    pub(super) unsafe fn prepare(&mut self) {
        let kernel = self.kernel;
        for (r, slot) in kernel.slots.iter().enumerate() {
            // SAFETY: the table has an entry per register, the memory a tile per slot.
            unsafe {
                let tile = slot.map_or(std::ptr::null_mut(), |slot| self.tiles.add(slot * kernel.tile_bytes()).cast());
                self.registers.add(r).write(tile);
            }
        }
        if kernel.layout.dims.contains(&0) {
            return;
        }
        self.extents[..kernel.layout.block.len()].copy_from_slice(&kernel.layout.block);
        for step in &kernel.prologue {
            // SAFETY: as the caller says.
            unsafe { self.step(step, kernel.layout.tile()) };
        }
    }

    /// Runs tiles over the reduced axes for a group of units.
    ///
    /// # Safety
    /// As for `launch`, after `prepare`.
    pub(super) unsafe fn run(&mut self, group: usize, steps: Range<usize>) {
        let kernel = self.kernel;
        if steps.is_empty() {
            for place in 0..kernel.abreast {
                self.enter_unit(group, place);
                for (i, (fold, _)) in kernel.folds.iter().enumerate() {
                    // SAFETY: nothing else borrows the results.
                    let Results { value, correction, index, .. } = unsafe { self.results(i) };
                    value.fill(fold::identity(*fold));
                    correction.fill(T::ZERO);
                    index.fill(0);
                }
            }
        }
        let exact = kernel.folds.iter().any(|(fold, _)| *fold == Fold::ArgMax);
        let (mut first, mut open) = (true, 0);
        for step in steps.clone() {
            self.enter_unit(group, 0);
            self.enter_step(step);
            let begins = open == 0;
            open += self.reduced();
            let ends = exact || open >= fold::BLOCK || step + 1 == steps.end;
            for place in 0..kernel.abreast {
                self.enter_unit(group, place);
                self.enter_step(step);
                // SAFETY: as the caller says.
                unsafe { self.tile(&Block { first, begins, ends }) };
            }
            if ends {
                (first, open) = (false, 0);
            }
        }
    }

    /// Runs the current tile.
    ///
    /// # Safety
    /// As for `run`.
    unsafe fn tile(&mut self, block: &Block) {
        let kernel = self.kernel;
        let points = self.extents[..kernel.layout.dims.len()].iter().product();
        // SAFETY: the tile lies inside the iteration space, so every view stays inside its operand.
        unsafe {
            for (register, place) in &kernel.in_place {
                self.registers.add(*register as usize).write(self.place(place));
            }
            for (i, store) in kernel.stores.iter().enumerate().filter(|(i, _)| self.direct >> i & 1 == 1) {
                debug_assert!(i < 64);
                self.registers.add(store.register).write(self.place(&store.place));
            }
            for step in &kernel.steps {
                self.step(step, points);
            }
            for i in 0..kernel.folds.len() {
                self.fold(i, block, points);
            }
            for (i, store) in kernel.stores.iter().enumerate() {
                if i >= 64 || self.direct >> i & 1 == 0 {
                    self.store(store);
                }
            }
        }
    }

    /// Writes the results of a group of units.
    ///
    /// # Safety
    /// As for `launch`, after `run`.
    pub(super) unsafe fn finish(&mut self, group: usize) {
        let kernel = self.kernel;
        for place in 0..kernel.abreast {
            self.enter_unit(group, place);
            // Reduced axes take no part.
            let extents = self.extents;
            for (i, (fold, output)) in kernel.folds.iter().enumerate() {
                // SAFETY: nothing else borrows the results; the views stay inside their operands.
                unsafe {
                    let Results { value, index, .. } = self.results(i);
                    match fold {
                        Fold::ArgMax => self.write(&output.place, &extents, index.as_ptr(), |x: u32| x),
                        Fold::Sum | Fold::Max | Fold::Min => {
                            self.write(&output.place, &extents, value.as_ptr(), |x: T| x);
                        }
                    }
                }
            }
        }
    }

    /// Adds the results of another task, which ran later tiles of the same group.
    ///
    /// # Safety
    /// Both have run `group`, and nobody uses their memory.
    pub(super) unsafe fn take_over(&mut self, other: &mut Self, group: usize) {
        for place in 0..self.kernel.abreast {
            self.enter_unit(group, place);
            other.enter_unit(group, place);
            for (i, (fold, _)) in self.kernel.folds.iter().enumerate() {
                // SAFETY: the memory of two tasks, which nobody else uses.
                unsafe {
                    let Results { value, correction, index, .. } = self.results(i);
                    let next = other.results(i);
                    fold::merge(self.arch, *fold, [value, correction], index, next.value, next.index);
                    if *fold == Fold::Sum {
                        next.correction.iter_mut().for_each(|c| *c = -*c);
                        fold::merge(self.arch, *fold, [value, correction], index, next.correction, next.index);
                    }
                }
            }
        }
    }

    /// Takes the kept axes' part of the position from the number of a unit: its group, and its place in it.
    fn enter_unit(&mut self, group: usize, place: usize) {
        let layout = &self.kernel.layout;
        self.place = place;
        self.extents = [1; RANK];
        let unit = group * self.kernel.abreast + place;
        let unit = self.enter(layout.inner..layout.dims.len(), unit);
        self.enter(0..layout.reduced, unit);
    }

    fn enter_step(&mut self, step: usize) {
        let layout = &self.kernel.layout;
        self.enter(layout.reduced..layout.inner, step);
    }

    /// Splits the number of a tile along these axes; returns what is left.
    fn enter(&mut self, axes: Range<usize>, mut number: usize) -> usize {
        let layout = &self.kernel.layout;
        for axis in axes.rev() {
            let count = layout.counts[axis];
            let position = if count == 1 { 0 } else { number % count };
            number = if count == 1 { number } else { number / count };
            self.starts[axis] = position * layout.block[axis];
            self.extents[axis] = layout.block[axis].min(layout.dims[axis] - self.starts[axis]);
        }
        number
    }

    /// Strides times the first point of the current tile.
    fn offset(&self, strides: &[isize; RANK]) -> isize {
        (0..self.kernel.layout.dims.len()).map(|axis| self.starts[axis] as isize * strides[axis]).sum()
    }

    /// # Safety
    /// The view has elements of type `S`, and the tile lies inside it.
    unsafe fn address<S>(&self, place: &Place) -> *mut S {
        let base: *mut S = self.operands[place.operand].pointer.cast();
        // SAFETY: inside the operand.
        unsafe { base.offset(place.offset + self.offset(&place.strides)) }
    }

    /// Where a register lies whose values are those of a view, whatever their type.
    ///
    /// # Safety
    /// The tile lies inside the view.
    unsafe fn place(&self, place: &Place) -> *mut T {
        // SAFETY: as the caller says.
        unsafe {
            match place.element {
                DType::F32 | DType::F64 => self.address::<T>(place),
                DType::Index => self.address::<u32>(place).cast(),
                DType::Bool | DType::Bf16 => unreachable!("what is converted does not lie where a register does"),
            }
        }
    }

    /// # Safety
    /// As for `run`; the registers that the step reads are filled.
    unsafe fn step(&self, step: &Step, points: usize) {
        match *step {
            // SAFETY: as the caller says.
            Step::Fill(register) => unsafe { self.fill(register, points) },
            // SAFETY: as the caller says; the three registers have tiles of their own.
            Step::Keep { condition, tile, old } => unsafe {
                let [condition, old] = [condition, old].map(|register| self.values(register, points));
                rows::keep::<T>(self.arch, condition, self.values_mut(tile, points), old);
            },
            Step::Row { code, kind, out, args } => {
                let arch = self.arch;
                // SAFETY: tiles of `points` elements, or of one. A row's result never shares the tile of its operands, and
                // stores that overlap operands are not direct.
                unsafe {
                    match (code, kind) {
                        (Code::Compare(f), Kind::Index) => {
                            let [a, b] = [args[0], args[1]].map(|arg| self.values(arg, points));
                            rows::compare::<T, u32>(arch, f, self.values_mut(out, points), a, b);
                        }
                        (Code::Select, Kind::Index) => {
                            let [b, c] = [args[1], args[2]].map(|arg| self.values(arg, points));
                            rows::select_index::<T>(
                                arch,
                                self.values_mut(out, points),
                                self.values(args[0], points),
                                b,
                                c,
                            );
                        }
                        (Code::ToReal, _) => {
                            rows::to_real::<T>(arch, self.values_mut(out, points), self.values(args[0], points));
                        }
                        (Code::ToIndex, _) => {
                            rows::to_index::<T>(arch, self.values_mut(out, points), self.values(args[0], points));
                        }
                        _ => {
                            let arity = code.arity();
                            let tile = |i: usize| if i < arity { self.values(args[i], points) } else { &[] };
                            rows::apply::<T>(arch, code, self.values_mut(out, points), [tile(0), tile(1), tile(2)]);
                        }
                    }
                }
            }
        }
    }

    /// The values of a register at the points of the current tile.
    ///
    /// # Safety
    /// The register is filled with elements of type `S`, and nobody writes to it meanwhile.
    unsafe fn values<'t, S>(&self, register: usize, points: usize) -> &'t [S] {
        let points = if self.kernel.single[register] { 1 } else { points };
        // SAFETY: the table has an entry per register, which points at a tile of as many points.
        unsafe { from_raw_parts((*self.registers.add(register)).cast(), points) }
    }

    /// The same, to be written.
    ///
    /// # Safety
    /// Nobody else uses the register meanwhile.
    unsafe fn values_mut<'t, S>(&self, register: usize, points: usize) -> &'t mut [S] {
        let points = if self.kernel.single[register] { 1 } else { points };
        // SAFETY: as above.
        unsafe { from_raw_parts_mut((*self.registers.add(register)).cast(), points) }
    }

    /// # Safety
    /// As for `run`.
    unsafe fn fill(&self, register: usize, points: usize) {
        // SAFETY: the table has an entry per register; each points at a tile of at least `points` elements.
        let tile = unsafe { *self.registers.add(register) };
        let rank = self.kernel.layout.dims.len();
        let single = self.kernel.single[register];
        let (points, extents) = if single { (1, &[1; RANK][..rank]) } else { (points, &self.extents[..rank]) };
        match &self.kernel.sources[register] {
            // SAFETY: as above.
            Fill::Constant(value, Kind::Real) => unsafe { from_raw_parts_mut(tile, points).fill(T::from_f64(*value)) },
            // SAFETY: as above; an index is no larger than a real number.
            Fill::Constant(value, Kind::Index) => unsafe {
                from_raw_parts_mut(tile.cast::<u32>(), points).fill(*value as u32);
            },
            Fill::Load(place) => {
                let strides = &place.strides[..rank];
                // SAFETY: the tile lies inside the view.
                vectorized::<T, _>(
                    self.arch,
                    #[inline(always)]
                    || unsafe {
                        match place.element {
                            DType::F32 | DType::F64 => gather(tile, self.address::<T>(place), extents, strides, |x| x),
                            DType::Index => gather(tile.cast(), self.address::<u32>(place), extents, strides, |x| x),
                            DType::Bf16 => {
                                gather(tile, self.address::<u16>(place), extents, strides, |x| T::from_bf16(x));
                            }
                            DType::Bool => {
                                gather(tile, self.address::<u8>(place), extents, strides, |x| T::from_u32(x.into()));
                            }
                        }
                    },
                );
            }
            Fill::Position { strides, offset } => {
                let first = offset + self.offset(strides);
                runs(extents, &strides[..rank], |dense, position, n, stride| {
                    // SAFETY: a dense run of the tile.
                    let run = unsafe { from_raw_parts_mut(tile.cast::<u32>().add(dense), n) };
                    for (i, x) in run.iter_mut().enumerate() {
                        *x = (first + position + i as isize * stride) as u32;
                    }
                });
            }
            Fill::Random { key, path, normal, strides } => {
                // SAFETY: the operand holds the four words of a key.
                let key: [u32; 4] = unsafe {
                    self.operands[key.operand].pointer.cast::<u32>().add(key.offset).cast::<[u32; 4]>().read()
                };
                let stream = Stream::new(key, *path);
                let first = self.offset(strides);
                runs(extents, &strides[..rank], |dense, position, n, stride| {
                    // SAFETY: a dense run of the tile.
                    let run = unsafe { from_raw_parts_mut(tile.add(dense), n) };
                    if stride == 1 {
                        random::fill(&stream, self.arch, run, (first + position) as u64, *normal);
                    } else {
                        for (i, x) in run.iter_mut().enumerate() {
                            let position = first + position + i as isize * stride;
                            random::fill(&stream, self.arch, std::slice::from_mut(x), position as u64, *normal);
                        }
                    }
                });
            }
        }
    }

    /// # Safety
    /// As for `run`; the register is filled.
    unsafe fn store(&self, store: &Output) {
        // SAFETY: the tile lies inside the view; the register's tile has as many points.
        unsafe {
            let tile: *const T = *self.registers.add(store.register);
            match store.place.element {
                DType::F32 | DType::F64 => self.write(&store.place, &self.extents, tile, |x: T| x),
                DType::Index => self.write(&store.place, &self.extents, tile.cast(), |x: u32| x),
                DType::Bf16 => self.write(&store.place, &self.extents, tile, |x: T| x.to_bf16()),
                DType::Bool => self.write(&store.place, &self.extents, tile, |x: T| u8::from(x != T::ZERO)),
            }
        }
    }

    /// # Safety
    /// The box lies inside the view, whose elements are of type `D`; `from` has as many points.
    unsafe fn write<S: Copy, D: Copy>(
        &self,
        place: &Place,
        extents: &[usize; RANK],
        from: *const S,
        convert: impl Fn(S) -> D,
    ) {
        let rank = self.kernel.layout.dims.len();
        vectorized::<T, _>(
            self.arch,
            #[inline(always)]
            || {
                // SAFETY: as the caller says.
                unsafe { scatter(self.address::<D>(place), from, &extents[..rank], &place.strides[..rank], &convert) }
            },
        );
    }

    /// Positions of the current tile along the reduced axes.
    fn reduced(&self) -> usize {
        self.extents[self.kernel.layout.reduced..self.kernel.layout.inner].iter().product()
    }

    /// Folds the current tile and combines it with those before.
    ///
    /// # Safety
    /// As for `run`; the register is filled.
    unsafe fn fold(&self, i: usize, block: &Block, points: usize) {
        let layout = &self.kernel.layout;
        let (fold, output) = &self.kernel.folds[i];
        let outer = self.extents[..layout.reduced].iter().product();
        let inner = self.extents[layout.inner..layout.dims.len()].iter().product();
        let position = if layout.reduced < layout.inner { self.starts[layout.reduced] } else { 0 };
        let shape = [outer, self.reduced(), inner];
        // SAFETY: the register's tile has `points` elements; nothing else borrows the results.
        unsafe {
            let tile = from_raw_parts(*self.registers.add(output.register), points);
            let Results { value, correction, index, next, next_index } = self.results(i);
            if block.first {
                fold::tile(self.arch, *fold, shape, tile, value, index, position as u32, !block.begins);
                correction.fill(T::ZERO);
                return;
            }
            fold::tile(self.arch, *fold, shape, tile, next, next_index, position as u32, !block.begins);
            if block.ends {
                fold::merge(self.arch, *fold, [value, correction], index, next, next_index);
            }
        }
    }

    /// The results of the `i`-th fold.
    ///
    /// # Safety
    /// They are borrowed once at a time.
    unsafe fn results<'r>(&self, i: usize) -> Results<'r, T> {
        let layout = &self.kernel.layout;
        let kept = (0..layout.reduced).chain(layout.inner..layout.dims.len());
        let n = kept.map(|axis| self.extents[axis]).product();
        let bytes = self.kernel.result_bytes();
        // SAFETY: a unit has so many parts for each fold.
        unsafe {
            let first = self.results.add(self.place * self.kernel.unit_bytes());
            let at = |part: usize| first.add((RESULTS * i + part) * bytes);
            Results {
                value: from_raw_parts_mut(at(0).cast(), n),
                correction: from_raw_parts_mut(at(1).cast(), n),
                index: from_raw_parts_mut(at(2).cast(), n),
                next: from_raw_parts_mut(at(3).cast(), n),
                next_index: from_raw_parts_mut(at(4).cast(), n),
            }
        }
    }
}
