//! A fused elementwise kernel as data: a short list of rows over an iteration space.
//!
//! The processor runs it tile by tile, one dispatch per row and tile; other devices print it as source.
//! A register holds reals of the program's float type, or indices. Truth values are the reals 1 and 0, and are converted
//! when loaded and stored; everything else is stored as it is.

use super::elementwise::{Binary, Compare, Unary};
use super::view::{Access, DType, View};

/// A fused kernel: loads fill registers `0..sources.len()`, rows compute further registers, stores and
/// accumulations write them out.
#[derive(Clone, Debug, PartialEq)]
pub struct Tiled {
    /// The iteration space, row-major; adjacent axes are already merged where every operand allows it.
    pub dims: Vec<usize>,
    /// Register `i` of each point is filled by `sources[i]`.
    pub sources: Vec<Source>,
    /// Row `j` fills register `sources.len() + j`.
    pub rows: Vec<Row>,
    /// Registers written at every point.
    pub stores: Vec<Store>,
    /// Which axes of `dims` the accumulations remove; empty when there are none.
    pub reduced: Vec<bool>,
    /// Registers combined over the reduced axes.
    pub accumulations: Vec<Accumulation>,
}

/// The number of a register.
pub type Register = u16;

/// What a register holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Real numbers, or truth values as 1 and 0.
    Real,
    /// Indices.
    Index,
}

impl Kind {
    /// What a register of elements of this type holds.
    pub fn of(element: DType) -> Self {
        match element {
            DType::F32 | DType::F64 | DType::Bf16 | DType::Bool => Kind::Real,
            DType::Index => Kind::Index,
        }
    }
}

/// Where the values of a register come from.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// Memory.
    Load(View),
    /// One number for all points.
    Constant(f64, Kind),
    /// The position along an axis of the iteration space, as an index: `Σ position[axis] * strides[axis] + offset`.
    Position {
        /// Weight of each axis.
        strides: Vec<isize>,
        /// The value at the origin.
        offset: isize,
    },
    /// A draw keyed by the four words that `key` sees (seed low, seed high, step low, step high), the path, and the
    /// row-major position in the iteration space.
    Random {
        /// The key, dense.
        key: View,
        /// The hash of the label path.
        path: u64,
        /// Standard normal if true, else uniform on [0, 1).
        normal: bool,
    },
}

/// One instruction: `code` applied to earlier registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Row {
    /// What is computed.
    pub code: Code,
    /// The registers it reads; unused ones are 0.
    pub args: [Register; 3],
}

/// What a row computes. Truth values are 1 and 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Code {
    /// A function of one register.
    Unary(Unary),
    /// A function of two registers.
    Binary(Binary),
    /// A comparison of two registers.
    Compare(Compare),
    /// An index as a real number.
    ToReal,
    /// A real number as an index: its integer part, 0 for NaN, the nearest index for what lies outside.
    ToIndex,
    /// `a * b + c`
    MulAdd,
    /// `if a != 0 { b } else { c }`
    Select,
}

impl Code {
    /// How many registers it reads.
    pub fn arity(self) -> usize {
        match self {
            Code::Unary(_) | Code::ToReal | Code::ToIndex => 1,
            Code::Binary(_) | Code::Compare(_) => 2,
            Code::MulAdd | Code::Select => 3,
        }
    }
}

/// A register written to memory at every point.
#[derive(Clone, Debug, PartialEq)]
pub struct Store {
    /// What is written.
    pub register: Register,
    /// Where; no stride is 0 unless the axis has size 1.
    pub view: View,
}

/// A register combined over the reduced axes.
#[derive(Clone, Debug, PartialEq)]
pub struct Accumulation {
    /// How elements combine.
    pub fold: Fold,
    /// What is combined.
    pub register: Register,
    /// Where the result goes; strides of reduced axes are 0.
    pub view: View,
}

/// How an accumulation combines elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fold {
    /// The sum.
    Sum,
    /// The greatest; NaN if any is NaN.
    Max,
    /// The least; NaN if any is NaN.
    Min,
    /// The position of the greatest along the one reduced axis, the first of equals.
    ArgMax,
}

impl Tiled {
    /// What each register holds.
    pub fn kinds(&self) -> Vec<Kind> {
        let source = |source: &Source| match source {
            Source::Load(view) => Kind::of(view.element),
            Source::Constant(_, kind) => *kind,
            Source::Position { .. } => Kind::Index,
            Source::Random { .. } => Kind::Real,
        };
        let mut kinds: Vec<Kind> = self.sources.iter().map(source).collect();
        for row in &self.rows {
            kinds.push(match row.code {
                Code::ToIndex => Kind::Index,
                Code::Select => kinds[row.args[1] as usize],
                Code::Unary(_) | Code::Binary(_) | Code::Compare(_) | Code::ToReal | Code::MulAdd => Kind::Real,
            });
        }
        kinds
    }

    /// Whether rows read registers that are there and hold what they take, and views see what their registers hold.
    pub(super) fn check(&self) -> Result<(), String> {
        let registers = self.sources.len() + self.rows.len();
        for (number, row) in self.rows.iter().enumerate() {
            if row.args[..row.code.arity()].iter().any(|&arg| arg as usize >= self.sources.len() + number) {
                return Err(format!("row {number} reads a register that is not filled"));
            }
        }
        if self.accumulations.iter().any(|fold| fold.view.element == DType::Bf16) {
            return Err("the result of a fold is stored with sixteen bits".into());
        }
        let stores = self.stores.iter().map(|store| (store.register, Kind::of(store.view.element)));
        let folds = self.accumulations.iter().map(|fold| (fold.register, Kind::Real));
        let ends: Vec<(Register, Kind)> = stores.chain(folds).collect();
        if let Some((register, _)) = ends.iter().find(|(register, _)| *register as usize >= registers) {
            return Err(format!("there is no register {register}"));
        }
        let kinds = self.kinds();
        let holds = |register: Register, kind: Kind| kinds[register as usize] == kind;
        for (number, row) in self.rows.iter().enumerate() {
            let args = &row.args[..row.code.arity()];
            let right = match row.code {
                Code::Compare(_) => holds(args[0], kinds[args[1] as usize]),
                Code::Select => holds(args[0], Kind::Real) && holds(args[1], kinds[args[2] as usize]),
                Code::ToReal => holds(args[0], Kind::Index),
                Code::Unary(_) | Code::Binary(_) | Code::MulAdd | Code::ToIndex => {
                    args.iter().all(|&arg| holds(arg, Kind::Real))
                }
            };
            if !right {
                return Err(format!("row {number} reads registers of the wrong kind"));
            }
        }
        match ends.iter().find(|&&(register, kind)| !holds(register, kind)) {
            Some((register, _)) => Err(format!("register {register} is written as what it does not hold")),
            None => Ok(()),
        }
    }

    /// The views over the iteration space.
    pub fn views(&self) -> impl Iterator<Item = &View> {
        let loads = self.sources.iter().filter_map(|source| match source {
            Source::Load(view) => Some(view),
            _ => None,
        });
        let stores = self.stores.iter().map(|store| &store.view);
        loads.chain(stores).chain(self.accumulations.iter().map(|accumulation| &accumulation.view))
    }

    /// The strides of all that walks over the iteration space.
    pub fn strides_mut(&mut self) -> impl Iterator<Item = &mut Vec<isize>> {
        let sources = self.sources.iter_mut().filter_map(|source| match source {
            Source::Load(view) => Some(&mut view.strides),
            Source::Position { strides, .. } => Some(strides),
            Source::Constant(..) | Source::Random { .. } => None,
        });
        let stores = self.stores.iter_mut().map(|store| &mut store.view.strides);
        sources.chain(stores).chain(self.accumulations.iter_mut().map(|accumulation| &mut accumulation.view.strides))
    }

    /// Shows every view, as [`Work::views_mut`](super::work::Work::views_mut) does.
    pub fn views_mut(&mut self, visit: &mut dyn FnMut(Access, &mut View, &[usize])) {
        let Tiled { dims, sources, stores, accumulations, reduced, .. } = self;
        for source in sources {
            match source {
                Source::Load(view) => visit(Access::Read, view, dims),
                Source::Random { key, .. } => visit(Access::Read, key, &[4]),
                Source::Constant(..) | Source::Position { .. } => {}
            }
        }
        for store in stores {
            visit(Access::Write, &mut store.view, dims);
        }
        let kept: Vec<usize> = dims.iter().zip(reduced).map(|(&size, gone)| if *gone { 1 } else { size }).collect();
        for accumulation in accumulations {
            visit(Access::Write, &mut accumulation.view, &kept);
        }
    }

    /// Whether `target` may lie where `source` is: `source` is read only at the very element of `target` that is written.
    pub(super) fn replaces(&self, source: usize, target: usize) -> bool {
        let mut stores = self.stores.iter().filter(|store| store.view.operand == target);
        let (Some(store), None) = (stores.next(), stores.next()) else { return false };
        self.accumulations.iter().all(|other| other.view.operand != target)
            && self.sources.iter().all(|other| match other {
                Source::Load(view) => view.operand != source || view.sees_as(&store.view),
                Source::Random { key, .. } => key.operand != source,
                Source::Constant(..) | Source::Position { .. } => true,
            })
    }
}

/// The kernel that copies so many elements from operand 0 to operand 1, each with its own type of them.
pub fn copy(len: usize, [from, to]: [DType; 2]) -> Tiled {
    Tiled {
        dims: vec![len],
        sources: vec![Source::Load(View::dense(0, 0, from))],
        rows: Vec::new(),
        stores: vec![Store { register: 0, view: View::dense(1, 0, to) }],
        reduced: Vec::new(),
        accumulations: Vec::new(),
    }
}
