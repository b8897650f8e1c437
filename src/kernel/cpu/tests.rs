//! Fused kernels against a naive evaluation, point by point, of random kernels.

use super::random;
use super::vectorized::Instructions;
use super::{Operand, Prepared, Real, Scratch};
use crate::bf16;
use crate::elementwise::{Binary, Compare, Unary};
use crate::random::Stream;
use crate::tiled::{Accumulation, Code, Fold, Kind, Register, Row, Source, Store, Tiled};
use crate::view::{DType, View};
use proptest::prelude::*;

/// Everything that a row can compute.
fn codes() -> Vec<Code> {
    let unary = Unary::ALL.iter().map(|&f| Code::Unary(f));
    let binary = Binary::ALL.iter().map(|&f| Code::Binary(f));
    let compare = Compare::ALL.iter().map(|&f| Code::Compare(f));
    unary.chain(binary).chain(compare).chain([Code::ToReal, Code::ToIndex, Code::MulAdd, Code::Select]).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn random_kernels_agree_with_naive_evaluation_in_f32(
        dims in dims(), seed in any::<u64>(), threads in 1usize..4,
    ) {
        check::<f32>(&dims, seed, threads)?;
    }

    #[test]
    fn random_kernels_agree_with_naive_evaluation_in_f64(
        dims in dims(), seed in any::<u64>(), threads in 1usize..4,
    ) {
        check::<f64>(&dims, seed, threads)?;
    }
}

fn dims() -> impl Strategy<Value = Vec<usize>> {
    let size = prop_oneof![1 => Just(0), 2 => Just(1), 6 => 2usize..8, 4 => 8usize..70, 1 => 500usize..3000];
    // An axis without points leaves operands along the other axes as large as they are.
    let points = |dims: &Vec<usize>| dims.iter().map(|&d| d.max(1)).product::<usize>();
    proptest::collection::vec(size, 0..6).prop_filter("too many points", move |dims| points(dims) < 40_000)
}

/// Roundings that a term of a sum passes at most: additions to a lane (32 where a short row has one lane), of lanes to
/// each other (6), of the blocks of a tile (8), and of tiles, which are compensated (2).
const ROUNDINGS: f64 = 48.0;

/// Choices made from a seed.
struct Choices {
    seed: u64,
    made: u64,
}

impl Choices {
    fn below(&mut self, n: usize) -> usize {
        self.made += 1;
        (random::uniform([self.seed as u32, (self.seed >> 32) as u32, 0, 0], 0, self.made) * n as f64) as usize
    }

    fn order(&mut self, n: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..n).collect();
        // Mostly as it is, sometimes shuffled.
        if self.below(2) == 0 {
            (1..n).for_each(|i| order.swap(i, self.below(i + 1)));
        }
        order
    }
}

/// Memory of one operand, with the type of its elements.
#[derive(Clone)]
enum Memory<T> {
    Float(Vec<T>),
    Index(Vec<u32>),
    Half(Vec<u16>),
    Bool(Vec<u8>),
}

impl<T: Real> Memory<T> {
    fn new(element: DType, values: impl Iterator<Item = f64>) -> Self {
        match element {
            DType::F32 | DType::F64 => Memory::Float(values.map(T::from_f64).collect()),
            // Some are beyond what f32 tells apart.
            DType::Index => {
                Memory::Index(values.map(|x| (x.abs() * 4.0) as u32 + if x > 1.0 { 1 << 24 } else { 0 }).collect())
            }
            DType::Bf16 => Memory::Half(values.map(|x| bf16::narrow(x as f32)).collect()),
            DType::Bool => Memory::Bool(values.map(|x| u8::from(x > 0.0)).collect()),
        }
    }

    fn operand(&mut self) -> Operand {
        match self {
            Memory::Float(v) => Operand { pointer: v.as_mut_ptr().cast(), len: v.len() },
            Memory::Index(v) => Operand { pointer: v.as_mut_ptr().cast(), len: v.len() },
            Memory::Half(v) => Operand { pointer: v.as_mut_ptr().cast(), len: v.len() },
            Memory::Bool(v) => Operand { pointer: v.as_mut_ptr().cast(), len: v.len() },
        }
    }

    fn get(&self, i: usize) -> Value<T> {
        match self {
            Memory::Float(v) => Value::Real(v[i]),
            Memory::Index(v) => Value::Index(v[i]),
            Memory::Half(v) => Value::Real(T::from_f64(f64::from(bf16::widen(v[i])))),
            Memory::Bool(v) => Value::Real(T::from_u32(v[i].into())),
        }
    }

    fn set(&mut self, i: usize, value: Value<T>) {
        match (self, value) {
            (Memory::Float(v), Value::Real(x)) => v[i] = x,
            (Memory::Index(v), Value::Index(x)) => v[i] = x,
            (Memory::Half(v), Value::Real(x)) => v[i] = bf16::narrow(x.to_f64() as f32),
            (Memory::Bool(v), Value::Real(x)) => v[i] = u8::from(x != T::ZERO),
            (_, value) => panic!("{value:?} has another type in memory"),
        }
    }
}

/// What a register holds at a point.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Value<T> {
    Real(T),
    Index(u32),
}

impl<T: Real> Value<T> {
    fn real(self) -> T {
        match self {
            Value::Real(x) => x,
            Value::Index(x) => panic!("the index {x} is taken for a real number"),
        }
    }

    /// Equal, or both NaN.
    fn same(self, other: Self) -> bool {
        self == other || matches!((self, other), (Value::Real(a), Value::Real(b)) if a.is_nan() && b.is_nan())
    }
}

/// A dense view of the axes for which `keep` holds, in some order, and its number of elements.
fn view(choices: &mut Choices, operand: usize, dims: &[usize], keep: &[bool], element: DType) -> (View, usize) {
    let offset = choices.below(3);
    let mut strides = vec![0; dims.len()];
    let mut len = 1;
    for axis in choices.order(dims.len()).into_iter().rev().filter(|&a| keep[a]) {
        strides[axis] = len as isize;
        len *= dims[axis];
    }
    (View { operand, offset, strides, element }, offset + len)
}

fn element<T: Real>(choices: &mut Choices) -> DType {
    let float = T::ELEMENT;
    [float, float, float, DType::Bf16, DType::Index, DType::Bool][choices.below(6)]
}

/// A random kernel and memory for it. Operand 0 is a key.
fn kernel<T: Real>(dims: &[usize], choices: &mut Choices) -> (Tiled, Vec<Memory<T>>) {
    let mut memory = vec![Memory::Index(vec![7, 8, 9, 10])];
    let mut sources = vec![Source::Constant(1.5, Kind::Real)];
    for _ in 0..1 + choices.below(4) {
        sources.push(match choices.below(8) {
            0 if choices.below(3) == 0 => Source::Constant(16_777_217.0, Kind::Index),
            0 => Source::Constant(choices.below(9) as f64 / 2.0 - 2.0, Kind::Real),
            1 => {
                let strides = dims.iter().map(|_| choices.below(3) as isize).collect();
                Source::Position { strides, offset: [0, 4, 16_777_216][choices.below(3)] }
            }
            2 => Source::Random { key: View::dense(0, 0, DType::Index), path: 5, normal: choices.below(2) == 0 },
            _ => {
                let keep: Vec<bool> = dims.iter().map(|_| choices.below(4) > 0).collect();
                let element = element::<T>(choices);
                let (view, len) = view(choices, memory.len(), dims, &keep, element);
                memory.push(Memory::new(element, (0..len).map(|_| choices.below(41) as f64 / 10.0 - 2.0)));
                Source::Load(view)
            }
        });
    }
    let mut tiled = Tiled {
        dims: dims.to_vec(),
        sources,
        rows: Vec::new(),
        stores: Vec::new(),
        reduced: Vec::new(),
        accumulations: Vec::new(),
    };
    let codes = codes();
    for _ in 0..choices.below(8) {
        let code = codes[choices.below(codes.len())];
        let either = [Kind::Real, Kind::Index][choices.below(2)];
        let wanted = match code {
            Code::Compare(_) => [either; 3],
            Code::Select => [Kind::Real, either, either],
            Code::ToReal => [Kind::Index; 3],
            Code::Unary(_) | Code::Binary(_) | Code::ToIndex | Code::MulAdd => [Kind::Real; 3],
        };
        if let [Some(a), Some(b), Some(c)] = wanted.map(|kind| register(&tiled, choices, kind)) {
            tiled.rows.push(Row { code, args: [a, b, c] });
        }
    }
    let mut output = |choices: &mut Choices, keep: &[bool], element| {
        let (view, len) = view(choices, memory.len(), dims, keep, element);
        memory.push(Memory::new(element, std::iter::repeat_n(0.0, len)));
        view
    };
    for _ in 0..choices.below(4) {
        let element = element::<T>(choices);
        if let Some(register) = register(&tiled, choices, Kind::of(element)) {
            let view = output(choices, &vec![true; dims.len()], element);
            tiled.stores.push(Store { register, view });
        }
    }
    let reduced: Vec<bool> = dims.iter().map(|_| choices.below(2) == 0).collect();
    let one = reduced.iter().filter(|&&r| r).count() == 1;
    for _ in 0..choices.below(3) {
        let fold = [Fold::Sum, Fold::Sum, Fold::Max, Fold::Min, Fold::ArgMax][choices.below(if one { 5 } else { 4 })];
        let keep: Vec<bool> = reduced.iter().map(|r| !r).collect();
        let view = output(choices, &keep, if fold == Fold::ArgMax { DType::Index } else { T::ELEMENT });
        let register = register(&tiled, choices, Kind::Real).expect("the first source is real");
        tiled.accumulations.push(Accumulation { fold, register, view });
    }
    if !tiled.accumulations.is_empty() {
        tiled.reduced = reduced;
    }
    (tiled, memory)
}

/// A register of a kind, if there is one.
fn register(tiled: &Tiled, choices: &mut Choices, kind: Kind) -> Option<Register> {
    let kinds = tiled.kinds();
    let fit: Vec<usize> = (0..kinds.len()).filter(|&i| kinds[i] == kind).collect();
    (!fit.is_empty()).then(|| fit[choices.below(fit.len())] as Register)
}

fn positions(dims: &[usize]) -> impl Iterator<Item = Vec<usize>> + '_ {
    (0..dims.iter().product()).map(|mut i| {
        let mut position = vec![0; dims.len()];
        for axis in (0..dims.len()).rev() {
            position[axis] = i % dims[axis];
            i /= dims[axis];
        }
        position
    })
}

fn at(view: &View, position: &[usize]) -> usize {
    let offset: isize = position.iter().zip(&view.strides).map(|(&p, &s)| p as isize * s).sum();
    view.offset + offset as usize
}

fn scalar<T: Real>(code: Code, args: [Value<T>; 3]) -> Value<T> {
    let real = |i: usize| args[i].real();
    match (code, args) {
        (Code::Compare(f), [Value::Index(a), Value::Index(b), _]) => Value::Real(T::truth(match f {
            Compare::Eq => a == b,
            Compare::Ne => a != b,
            Compare::Lt => a < b,
            Compare::Le => a <= b,
            Compare::Gt => a > b,
            Compare::Ge => a >= b,
        })),
        (Code::Select, [_, b, c]) => {
            if real(0) != T::ZERO {
                b
            } else {
                c
            }
        }
        (Code::ToReal, [Value::Index(a), ..]) => Value::Real(T::from_u32(a)),
        (Code::ToIndex, _) => Value::Index(real(0).to_u32()),
        _ => {
            let mut out = [T::ZERO];
            let all: Vec<[T; 1]> = (0..3).map(|i| [if i < code.arity() { real(i) } else { T::ZERO }]).collect();
            super::rows::apply(Instructions::PORTABLE, code, &mut out, [&all[0], &all[1], &all[2]]);
            Value::Real(out[0])
        }
    }
}

/// The values of all registers at all points.
fn evaluate<T: Real>(kernel: &Tiled, memory: &[Memory<T>]) -> Vec<Vec<Value<T>>> {
    let normals = |path, i| {
        let mut out = [T::ZERO];
        random::fill(&Stream::new([7, 8, 9, 10], path), Instructions::PORTABLE, &mut out, i, true);
        out[0]
    };
    let point = |(i, position): (usize, Vec<usize>)| {
        let mut registers: Vec<Value<T>> = Vec::new();
        for source in &kernel.sources {
            registers.push(match source {
                Source::Load(view) => memory[view.operand].get(at(view, &position)),
                Source::Constant(value, Kind::Real) => Value::Real(T::from_f64(*value)),
                Source::Constant(value, Kind::Index) => Value::Index(*value as u32),
                Source::Position { strides, offset } => {
                    let moved: isize = position.iter().zip(strides).map(|(&p, &s)| p as isize * s).sum();
                    Value::Index((moved + offset) as u32)
                }
                Source::Random { path, normal: true, .. } => Value::Real(normals(*path, i as u64)),
                Source::Random { path, .. } => {
                    Value::Real(T::from_f64(random::uniform([7, 8, 9, 10], *path, i as u64)))
                }
            });
        }
        for row in &kernel.rows {
            registers.push(scalar(row.code, row.args.map(|r| registers[r as usize])));
        }
        registers
    };
    positions(&kernel.dims).enumerate().map(point).collect()
}

/// Stores and accumulations of a kernel; for each accumulation also the sum of magnitudes, by which it may be off.
fn naive<T: Real>(kernel: &Tiled, memory: &mut [Memory<T>]) -> Vec<Vec<f64>> {
    let points = evaluate(kernel, memory);
    for (position, registers) in positions(&kernel.dims).zip(&points) {
        for store in &kernel.stores {
            memory[store.view.operand].set(at(&store.view, &position), registers[store.register as usize]);
        }
    }
    let mut magnitudes = Vec::new();
    for Accumulation { fold, register, view } in &kernel.accumulations {
        let kept = kernel.dims.iter().zip(&kernel.reduced).map(|(&d, &r)| if r { 1 } else { d }).collect::<Vec<_>>();
        let len = memory[view.operand].operand().len;
        let start = match fold {
            Fold::Sum => 0.0,
            Fold::Max | Fold::ArgMax => f64::NEG_INFINITY,
            Fold::Min => f64::INFINITY,
        };
        let (mut values, mut lost, mut magnitude) = (vec![start; len], vec![0.0; len], vec![0.0; len]);
        let mut index = vec![0u32; len];
        for (position, registers) in positions(&kernel.dims).zip(&points) {
            let i = at(view, &position);
            let x = registers[*register as usize].real().to_f64();
            magnitude[i] += x.abs();
            match fold {
                Fold::Sum => {
                    // Neumaier's sum, which is exact here.
                    let sum = values[i] + x;
                    let (large, small) = if values[i].abs() > x.abs() { (values[i], x) } else { (x, values[i]) };
                    lost[i] += (large - sum) + small;
                    values[i] = sum;
                }
                Fold::Max => values[i] = values[i].nan_max(x),
                Fold::Min => values[i] = values[i].nan_min(x),
                Fold::ArgMax => {
                    let axis = kernel.reduced.iter().position(|&r| r).expect("one reduced axis");
                    if position[axis] == 0 || x > values[i] || x.is_nan() && !values[i].is_nan() {
                        (values[i], index[i]) = (x, position[axis] as u32);
                    }
                }
            }
        }
        for position in positions(&kept) {
            let i = at(view, &position);
            let value = values[i] + if lost[i].is_finite() { lost[i] } else { 0.0 };
            let value = if *fold == Fold::ArgMax { Value::Index(index[i]) } else { Value::Real(T::from_f64(value)) };
            memory[view.operand].set(i, value);
        }
        magnitudes.push(magnitude);
    }
    magnitudes
}

fn check<T: Real>(dims: &[usize], seed: u64, threads: usize) -> Result<(), TestCaseError> {
    let mut choices = Choices { seed, made: 0 };
    let (kernel, memory) = kernel::<T>(dims, &mut choices);
    let (mut expected, mut found) = (memory.clone(), memory);
    let magnitudes = naive(&kernel, &mut expected);
    let operands: Vec<Operand> = found.iter_mut().map(Memory::operand).collect();
    let prepared = Prepared::<T>::new(&kernel);
    // SAFETY: `view` sizes the operands.
    unsafe { prepared.launch_on(&operands, threads, &mut Scratch::new()) };
    for store in &kernel.stores {
        let (expected, found) = (&expected[store.view.operand], &mut found[store.view.operand]);
        for i in 0..found.operand().len {
            let (e, f) = (expected.get(i), found.get(i));
            prop_assert!(e.same(f), "{store:?} {i} {e:?} {f:?}");
        }
    }
    for (accumulation, magnitudes) in kernel.accumulations.iter().zip(magnitudes) {
        let (expected, found) = (&expected[accumulation.view.operand], &mut found[accumulation.view.operand]);
        for (i, magnitude) in magnitudes.iter().enumerate().take(found.operand().len) {
            let (e, f) = (expected.get(i), found.get(i));
            let rounding = if size_of::<T>() == 4 { f64::from(f32::EPSILON) } else { f64::EPSILON } / 2.0;
            let bound = magnitude * rounding * ROUNDINGS;
            // A sum whose partial sums may overflow has no meaning.
            let large = accumulation.fold == Fold::Sum && bound > T::GREATEST.to_f64() * 1e-8;
            let near = accumulation.fold == Fold::Sum && (e.real().to_f64() - f.real().to_f64()).abs() <= bound;
            prop_assert!(e.same(f) || near || large, "{accumulation:?} {i} {e:?} {f:?} ± {bound:e}");
        }
    }
    Ok(())
}

/// Loads and stores of one dense operand each.
fn dense(operand: usize, dims: &[usize]) -> View {
    let mut strides = vec![1; dims.len()];
    (1..dims.len()).rev().for_each(|axis| strides[axis - 1] = strides[axis] * dims[axis] as isize);
    View { operand, offset: 0, strides, element: DType::F32 }
}

#[test]
fn a_state_is_updated_in_place_while_later_rows_read_its_old_value() {
    let n = 5000;
    let load = |operand| Source::Load(dense(operand, &[n]));
    // m ← m + g; p ← p·(old m)
    let kernel = Tiled {
        dims: vec![n],
        sources: vec![load(0), load(1), load(2)],
        rows: vec![
            Row { code: Code::Binary(Binary::Add), args: [0, 1, 0] },
            Row { code: Code::Binary(Binary::Mul), args: [2, 0, 0] },
        ],
        stores: vec![
            Store { register: 3, view: dense(0, &[n]) },
            Store { register: 4, view: dense(2, &[n]) },
            // The old value moves on.
            Store { register: 0, view: dense(3, &[n]) },
        ],
        reduced: vec![],
        accumulations: vec![],
    };
    let mut memory = [3.0f32, 2.0, 5.0, 0.0].map(|x| vec![x; n]);
    let operands = memory.each_mut().map(|v| Operand { pointer: v.as_mut_ptr().cast(), len: n });
    // SAFETY: operands of the size of the kernel.
    unsafe { Prepared::<f32>::new(&kernel).launch_on(&operands, 2, &mut Scratch::new()) };
    for (v, expected) in memory.iter().zip([5.0, 2.0, 15.0, 3.0]) {
        assert!(v.iter().all(|&x| x == expected));
    }
}

#[test]
fn a_state_keeps_its_old_value_exactly_where_the_condition_fails() {
    let n = 5000;
    let load = |operand| Source::Load(dense(operand, &[n]));
    // A copy of the new p; p ← where(c, p + g, p); q ← where(1, g, q).
    let kernel = Tiled {
        dims: vec![n],
        sources: vec![load(0), load(1), load(2), load(3), Source::Constant(1.0, Kind::Real)],
        rows: vec![
            Row { code: Code::Binary(Binary::Add), args: [1, 2, 0] },
            Row { code: Code::Select, args: [0, 5, 1] },
            Row { code: Code::Unary(Unary::Neg), args: [2, 0, 0] },
            Row { code: Code::Select, args: [4, 7, 3] },
        ],
        stores: vec![
            Store { register: 6, view: dense(4, &[n]) },
            Store { register: 6, view: dense(1, &[n]) },
            Store { register: 8, view: dense(3, &[n]) },
        ],
        reduced: vec![],
        accumulations: vec![],
    };
    let good = |i: usize| i < 2000 || i.is_multiple_of(3);
    let condition = (0..n).map(|i| f32::from(u8::from(good(i)))).collect();
    let mut memory = [condition, vec![3.0f32; n], (0..n).map(|i| i as f32).collect(), vec![7.0; n], vec![0.0; n]];
    let operands = memory.each_mut().map(|v| Operand { pointer: v.as_mut_ptr().cast(), len: n });
    // SAFETY: operands of the size of the kernel.
    unsafe { Prepared::<f32>::new(&kernel).launch_on(&operands, 2, &mut Scratch::new()) };
    for (i, ((&p, &copy), &q)) in memory[1].iter().zip(&memory[4]).zip(&memory[3]).enumerate() {
        let new = if good(i) { 3.0 + i as f32 } else { 3.0 };
        assert_eq!([p, copy, q], [new, new, -(i as f32)]);
    }
}

#[test]
fn long_sums_stay_accurate_and_equal_from_run_to_run() {
    let dims = [3, 200_000];
    let mut values: Vec<f32> = (0..600_000).map(|i| random::uniform([1, 2, 3, 4], 5, i) as f32 + 1.0).collect();
    let exact: f64 = values.iter().map(|&x| f64::from(x)).sum();
    for reduced in [vec![true, true], vec![false, true], vec![true, false]] {
        let strides = match reduced[..] {
            [true, true] => vec![0, 0],
            [false, _] => vec![1, 0],
            _ => vec![0, 1],
        };
        let view = View { operand: 1, offset: 0, strides, element: DType::F32 };
        let kernel = Tiled {
            dims: dims.to_vec(),
            sources: vec![Source::Load(dense(0, &dims))],
            rows: vec![],
            stores: vec![],
            reduced: reduced.clone(),
            accumulations: vec![Accumulation { fold: Fold::Sum, register: 0, view }],
        };
        let prepared = Prepared::<f32>::new(&kernel);
        let mut run = |threads| {
            let mut sums = vec![0.0f32; 200_000];
            let operands = [
                Operand { pointer: values.as_mut_ptr().cast(), len: values.len() },
                Operand { pointer: sums.as_mut_ptr().cast(), len: sums.len() },
            ];
            // SAFETY: operands of the size of the kernel.
            unsafe { prepared.launch_on(&operands, threads, &mut Scratch::new()) };
            sums
        };
        for threads in 1..4 {
            let sums = run(threads);
            assert_eq!(sums, run(threads));
            let total: f64 = sums.iter().map(|&x| f64::from(x)).sum();
            assert!((total / exact - 1.0).abs() < 1e-7, "{reduced:?} {total} {exact}");
        }
    }
}
