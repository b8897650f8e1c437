//! Fused elementwise kernels on the processor: rows of instructions over tiles that stay in the first-level cache.

use super::layout::Layout;
use super::math::Real;
use super::parallel;
use super::rows;
use super::scratch::Scratch;
use super::strided::RANK;
use super::task::{RESULTS, Task};
use super::vectorized::Instructions;
use super::{Fault, Kernel, Operand};
use crate::tiled::{Accumulation, Code, Fold, Kind, Register, Row, Source, Store, Tiled};
use crate::view::{DType, View};
use std::marker::PhantomData;
use std::ops::Range;

/// A launch below this many nanoseconds of work stays on one thread. Fork and join take 1 µs between launches in quick
/// succession, but more where the other thread has gone to sleep.
const WORTH_A_FORK: f64 = 10_000.0;
/// A program whose kernels all have less work than so many multiply-adds does not wake a second thread.
const WORTH_DIVIDING: usize = 1 << 20;
/// About the time to move one element from or to memory, in nanoseconds.
const ELEMENT: f64 = 0.15;
pub(super) const ALIGN: usize = 64;
/// Bytes of results that stay in the cache while units run side by side.
const ABREAST: usize = 64 << 10;
/// Cache lines that are near each other would wander between the processors that write them.
const BETWEEN_TASKS: usize = 256;

/// A fused kernel with all decisions taken: tiles, which operands are used in place, what is computed once.
#[derive(Clone, Debug)]
pub struct Prepared<T: Real> {
    pub(super) layout: Layout,
    pub(super) sources: Vec<Fill>,
    /// What every tile shares.
    pub(super) prologue: Vec<Step>,
    /// What each tile computes, in order.
    pub(super) steps: Vec<Step>,
    /// Operands whose points are dense in every tile, used where they lie.
    pub(super) in_place: Vec<(Register, Place)>,
    /// Registers that have one value for all points of a tile, which is stored once.
    pub(super) single: Vec<bool>,
    /// The tile of each register in scratch memory.
    pub(super) slots: Vec<Option<usize>>,
    pub(super) slot_count: usize,
    pub(super) stores: Vec<Output>,
    pub(super) folds: Vec<(Fold, Output)>,
    /// Units that are next to each other and run side by side: a step over the reduced axes of all of them, then the
    /// next step. So what lies in memory side by side is read together.
    pub(super) abreast: usize,
    /// Operands that are read, with the size of their elements.
    reads: Vec<(usize, usize)>,
    /// Nanoseconds for all points.
    cost: f64,
    /// About as many multiply-adds as take the same time.
    work: usize,
    real: PhantomData<T>,
}

/// A view along the axes of the layout.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub operand: usize,
    pub offset: isize,
    pub strides: [isize; RANK],
    pub element: DType,
}

#[derive(Clone, Debug)]
pub(super) enum Fill {
    Load(Place),
    Constant(f64, Kind),
    Position { strides: [isize; RANK], offset: isize },
    Random { key: View, path: u64, normal: bool, strides: [isize; RANK] },
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    Fill(usize),
    /// The kind is that of the last operand.
    Row {
        code: Code,
        kind: Kind,
        out: usize,
        args: [usize; 3],
    },
    /// A tile that is kept where a condition holds, and elsewhere gives way to what is stored already.
    Keep {
        condition: usize,
        tile: usize,
        old: usize,
    },
}

#[derive(Clone, Debug)]
pub(super) struct Output {
    pub register: usize,
    pub place: Place,
    /// The tile may be computed where it will lie.
    pub direct: bool,
}

impl<T: Real> Prepared<T> {
    /// Decides how to run a kernel.
    pub fn new(kernel: &Tiled) -> Self {
        let registers = kernel.sources.len() + kernel.rows.len();
        let last_use = last_uses(kernel);
        let live = most_live(kernel, &last_use);
        let (layout, walks) = Layout::new(kernel, live, size_of::<T>());
        let axes = |strides: &Vec<isize>| {
            let mut all = [0; RANK];
            all[..strides.len()].copy_from_slice(strides);
            all
        };
        let place = |view: &View, strides: &Vec<isize>| Place {
            operand: view.operand,
            offset: view.offset as isize,
            strides: axes(strides),
            element: view.element,
        };

        let mut in_place = Vec::new();
        let mut invariant = vec![false; registers];
        let mut sources = Vec::new();
        let mut reads = Vec::new();
        for (i, (source, strides)) in kernel.sources.iter().zip(&walks.sources).enumerate() {
            invariant[i] = !matches!(source, Source::Random { .. }) && layout.invariant(strides);
            sources.push(match source {
                Source::Load(view) => {
                    let place = place(view, strides);
                    reads.push((view.operand, view.element.size()));
                    // Among several stores, one might overwrite what the next has to store.
                    let stored = kernel.stores.len() > 1 && kernel.stores.iter().any(|s| s.register as usize == i);
                    if !converted(view) && layout.dense(strides) && !stored {
                        in_place.push((i as Register, place.clone()));
                    }
                    Fill::Load(place)
                }
                Source::Constant(value, kind) => Fill::Constant(*value, *kind),
                Source::Position { offset, .. } => Fill::Position { strides: axes(strides), offset: *offset },
                Source::Random { key, path, normal } => {
                    reads.push((key.operand, 4));
                    Fill::Random { key: key.clone(), path: *path, normal: *normal, strides: axes(strides) }
                }
            });
        }
        let lies_in_place = |r: usize| in_place.iter().any(|(register, _)| *register as usize == r);
        for (i, row) in kernel.rows.iter().enumerate() {
            let args = &row.args[..row.code.arity()];
            // An operand in place moves its address with each tile, even where the elements stay the same.
            invariant[kernel.sources.len() + i] =
                args.iter().all(|&r| invariant[r as usize] && !lies_in_place(r as usize));
        }

        let mut single = vec![false; registers];
        let ends = kernel.stores.iter().map(|s| s.register).chain(kernel.accumulations.iter().map(|a| a.register));
        let ends: Vec<usize> = ends.map(usize::from).collect();
        for (i, (source, strides)) in kernel.sources.iter().zip(&walks.sources).enumerate() {
            let drawn = matches!(source, Source::Random { .. });
            single[i] = !drawn && layout.single(strides) && !lies_in_place(i) && !ends.contains(&i);
        }
        for (i, row) in kernel.rows.iter().enumerate() {
            let out = kernel.sources.len() + i;
            let args = &row.args[..row.code.arity()];
            single[out] = args.iter().all(|&r| single[r as usize]) && !ends.contains(&out);
        }

        let mut slots = Slots { of: vec![None; registers], free: Vec::new(), count: 0 };
        let kinds = kernel.kinds();
        let compute = |code: Code, out: usize, args: [Register; 3]| {
            let args = args.map(usize::from);
            Step::Row { code, kind: kinds[args[code.arity() - 1]], out, args }
        };
        let mut prologue = Vec::new();
        let mut steps = Vec::new();
        let mut filled = vec![false; registers];
        // Registers that already have a tile of another, or a place to be computed at.
        let mut settled = vec![false; registers];
        for r in (0..kernel.sources.len()).filter(|&r| invariant[r] && !lies_in_place(r) && last_use[r] > 0) {
            slots.take(r);
            filled[r] = true;
            prologue.push(Step::Fill(r));
        }
        for (i, row) in kernel.rows.iter().enumerate() {
            let out = kernel.sources.len() + i;
            if invariant[out] && last_use[out] > 0 {
                slots.take(out);
                prologue.push(compute(row.code, out, row.args));
            }
        }
        for (i, row) in kernel.rows.iter().enumerate() {
            let out = kernel.sources.len() + i;
            if invariant[out] || last_use[out] == 0 {
                continue;
            }
            let args = row.args.map(usize::from);
            let [condition, new, old] = args;
            let spent = last_use[new] == i + 1 && !invariant[new] && !single[new] && !lies_in_place(new);
            let kept = spent && new != condition && new != old && keeps(kernel, i);
            for &r in &args[..row.code.arity()] {
                if r < kernel.sources.len() && !filled[r] && !lies_in_place(r) {
                    filled[r] = true;
                    slots.take(r);
                    steps.push(Step::Fill(r));
                }
            }
            if kept {
                slots.of[out] = slots.of[new];
                settled[out] = true;
                steps.push(Step::Keep { condition, tile: out, old });
            } else {
                slots.take(out);
                steps.push(compute(row.code, out, row.args));
            }
            let args = &args[..row.code.arity()];
            for (j, &r) in args.iter().enumerate() {
                let shared = kept && r == new;
                if last_use[r] == i + 1 && !invariant[r] && !shared && !args[..j].contains(&r) {
                    slots.release(r);
                }
            }
        }
        // Sources that are only stored or folded.
        for r in 0..kernel.sources.len() {
            if last_use[r] > 0 && !filled[r] && !lies_in_place(r) {
                slots.take(r);
                steps.push(Step::Fill(r));
            }
        }

        let stores = kernel.stores.iter().zip(&walks.stores).map(|(Store { register, view }, strides)| {
            let register = *register as usize;
            let here = !settled[register]
                && !invariant[register]
                && !lies_in_place(register)
                && !converted(view)
                && layout.dense(strides);
            settled[register] |= here;
            Output { register, place: place(view, strides), direct: here }
        });
        let stores: Vec<Output> = stores.collect();
        let folds = kernel.accumulations.iter().zip(&walks.accumulations);
        let folds = folds.map(|(Accumulation { fold, register, view }, strides)| {
            (*fold, Output { register: *register as usize, place: place(view, strides), direct: false })
        });
        let folds: Vec<_> = folds.collect();

        let moved = sources.iter().filter(|s| !matches!(s, Fill::Constant(..))).count() + stores.len() + folds.len();
        let random = sources.iter().filter(|s| matches!(s, Fill::Random { .. })).count();
        let computed: f64 = kernel.rows.iter().map(|row| rows::cost(row.code)).sum();
        let points = layout.dims.iter().product::<usize>() as f64;
        let cost = points * (moved as f64 * ELEMENT + random as f64 + computed) * size_of::<T>() as f64 / 4.0;
        let work =
            layout.dims.iter().product::<usize>() * (registers + kernel.stores.len() + kernel.accumulations.len()) * 8;
        let (slot_count, slots) = (slots.count, slots.of);
        let beside = layout.beside();
        let room = ABREAST / (layout.results() * size_of::<T>() * RESULTS * folds.len().max(1));
        let abreast = if layout.steps() > 1 && (1..=room).contains(&beside) { beside } else { 1 };
        Prepared {
            layout,
            abreast,
            sources,
            prologue,
            steps,
            in_place,
            single,
            slots,
            slot_count,
            stores,
            folds,
            reads,
            cost,
            work,
            real: PhantomData,
        }
    }

    /// The scratch memory that `run_alone` uses.
    pub(super) fn scratch_alone(&self) -> usize {
        self.task_bytes() + BETWEEN_TASKS
    }

    /// Runs the kernel on so many threads wherever there are so many tiles. The result depends on their number, by
    /// rounding, where sums are split; for an equal number it is always the same.
    ///
    /// A store may overlap a load if both see each point at the same place.
    ///
    /// # Safety
    /// As for [`Kernel::launch`].
    pub(super) unsafe fn launch_on(&self, operands: &[Operand], most: usize, scratch: &mut Scratch) {
        let (groups, steps) = (self.groups(), self.layout.steps());
        let by_group = groups >= 4 * most || steps < most;
        let threads = most.min(if by_group { groups } else { steps }).max(1);
        let bytes = self.task_bytes();
        let memory = Memory(scratch.memory(bytes * threads + BETWEEN_TASKS));
        let direct = self.direct(operands);
        let arch = Instructions::best();
        // SAFETY: every task has its own part of the scratch memory; the caller vouches for the operands.
        let task =
            |i: usize| unsafe { Task::new(self, operands, memory.part(BETWEEN_TASKS + i * bytes), direct, arch) };
        if threads == 1 || by_group {
            parallel::split(threads, &|i| {
                // SAFETY: as above; the tasks write different units.
                unsafe {
                    let mut task = task(i);
                    task.prepare();
                    for group in parallel::part(groups, i, threads) {
                        task.run(group, 0..steps);
                        task.finish(group);
                    }
                }
            });
            return;
        }
        for group in 0..groups {
            parallel::split(threads, &|i| {
                // SAFETY: as above; the tasks write different points, and results only to their scratch memory.
                unsafe {
                    let mut task = task(i);
                    task.prepare();
                    task.run(group, parallel::part(steps, i, threads));
                }
            });
            // SAFETY: the tasks are done; their results are in their scratch memory.
            unsafe {
                let mut first = task(0);
                for i in 1..threads {
                    first.take_over(&mut task(i), group);
                }
                first.finish(group);
            }
        }
    }

    /// Runs the kernel on this thread alone and in memory of `scratch_alone` bytes.
    ///
    /// # Safety
    /// As for [`Kernel::launch`]; the memory begins on a cache line and is not used elsewhere during the call.
    pub(super) unsafe fn run_alone(&self, operands: &[Operand], memory: *mut u8) {
        // SAFETY: as the caller says.
        unsafe {
            let mut task = Task::new(self, operands, memory, self.direct(operands), Instructions::best());
            task.prepare();
            for group in 0..self.groups() {
                task.run(group, 0..self.layout.steps());
                task.finish(group);
            }
        }
    }

    /// Groups of units that run side by side.
    fn groups(&self) -> usize {
        self.layout.units() / self.abreast
    }

    /// Which stores write directly: bit `i` for the `i`-th of them. One that overlaps what is read must not, since
    /// later rows may still read it.
    fn direct(&self, operands: &[Operand]) -> u64 {
        let range = |operand: usize, size: usize| {
            let first = operands[operand].pointer as usize;
            first..first + operands[operand].len * size
        };
        let overlap = |a: Range<usize>, b: Range<usize>| a.start < b.end && b.start < a.end;
        let mut mask = 0;
        for (i, store) in self.stores.iter().enumerate().take(64).filter(|(_, s)| s.direct) {
            let written = range(store.place.operand, store.place.element.size());
            let read = self.reads.iter().any(|&(operand, size)| overlap(written.clone(), range(operand, size)));
            mask |= u64::from(!read) << i;
        }
        mask
    }

    pub(super) fn tile_bytes(&self) -> usize {
        (self.layout.tile() * size_of::<T>()).next_multiple_of(ALIGN)
    }

    pub(super) fn result_bytes(&self) -> usize {
        (self.layout.results() * size_of::<T>().max(4)).next_multiple_of(ALIGN)
    }

    /// Results of a unit.
    pub(super) fn unit_bytes(&self) -> usize {
        RESULTS * self.folds.len() * self.result_bytes()
    }

    fn task_bytes(&self) -> usize {
        let pointers = (self.slots.len() * size_of::<*mut T>()).next_multiple_of(ALIGN);
        let results = self.abreast * self.unit_bytes();
        pointers + self.slot_count * self.tile_bytes() + results + BETWEEN_TASKS
    }
}

impl<T: Real> Kernel<T> for Prepared<T> {
    fn divides(&self) -> bool {
        self.work >= WORTH_DIVIDING
    }

    fn scratch_bytes(&self, most: usize) -> usize {
        self.task_bytes() * most.max(1) + BETWEEN_TASKS
    }

    unsafe fn launch(&self, operands: &[Operand], most: usize, scratch: &mut Scratch) -> Result<(), Fault> {
        let threads = if self.cost < WORTH_A_FORK { 1 } else { most.max(1) };
        // SAFETY: as the caller says.
        unsafe { self.launch_on(operands, threads, scratch) };
        Ok(())
    }
}

/// The tiles of the registers, reused when their values are dead.
struct Slots {
    of: Vec<Option<usize>>,
    free: Vec<usize>,
    count: usize,
}

impl Slots {
    fn take(&mut self, register: usize) {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.count += 1;
            self.count - 1
        });
        self.of[register] = Some(slot);
    }

    fn release(&mut self, register: usize) {
        self.free.extend(self.of[register]);
    }
}

/// Whether a row chooses between a new value and the one that lies where it is stored: all of a tile is new almost always,
/// and then there is nothing to do.
fn keeps(kernel: &Tiled, row: usize) -> bool {
    let Row { code: Code::Select, args: [_, _, old] } = kernel.rows[row] else {
        return false;
    };
    let Some(Source::Load(old)) = kernel.sources.get(old as usize) else {
        return false;
    };
    let result = kernel.sources.len() + row;
    old.element.is_float() && kernel.stores.iter().any(|store| store.register as usize == result && store.view == *old)
}

/// Whether the elements are not in memory what they are in registers.
fn converted(view: &View) -> bool {
    matches!(view.element, DType::Bool | DType::Bf16)
}

/// For each register 1 + the last row that reads it, more than all rows if it is stored or folded, 0 if unused.
fn last_uses(kernel: &Tiled) -> Vec<usize> {
    let mut last = vec![0; kernel.sources.len() + kernel.rows.len()];
    let outputs = kernel.stores.iter().map(|s| s.register).chain(kernel.accumulations.iter().map(|a| a.register));
    for register in outputs {
        last[register as usize] = kernel.rows.len() + 1;
    }
    for (i, row) in kernel.rows.iter().enumerate().rev() {
        if last[kernel.sources.len() + i] > 0 {
            for &r in &row.args[..row.code.arity()] {
                last[r as usize] = last[r as usize].max(i + 1);
            }
        }
    }
    last
}

/// The most registers that hold a value at once, if all sources were copied.
fn most_live(kernel: &Tiled, last_use: &[usize]) -> usize {
    let still = |source: &Source| match source {
        Source::Constant(..) => true,
        Source::Load(view) => view.strides.iter().all(|&stride| stride == 0),
        Source::Position { .. } | Source::Random { .. } => false,
    };
    let sources = kernel.sources.iter().zip(last_use).filter(|(source, last)| **last > 0 && !still(source)).count();
    let live_at = |i: usize| (0..=i).filter(|&j| last_use[kernel.sources.len() + j] > i).count();
    sources + (0..kernel.rows.len()).map(live_at).max().unwrap_or(0)
}

/// The start of the scratch memory of a launch.
#[derive(Clone, Copy)]
struct Memory(*mut u8);

// SAFETY: every thread uses its own part.
unsafe impl Send for Memory {}
// SAFETY: as above.
unsafe impl Sync for Memory {}

impl Memory {
    /// # Safety
    /// The memory has at least `offset` bytes.
    unsafe fn part(self, offset: usize) -> *mut u8 {
        // SAFETY: as the caller says.
        unsafe { self.0.add(offset) }
    }
}
