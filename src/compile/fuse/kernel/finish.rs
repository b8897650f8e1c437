//! From the values of a builder to a kernel: what is used, numbered, over as few axes as possible.

use super::{Builder, Built, Value};
use crate::graph::Binary;
use crate::kernel::tiled::{Accumulation, Code, Fold, Register, Row, Source, Store, Tiled};
use std::collections::{HashMap, HashSet};

impl Builder<'_> {
    pub(super) fn finish(mut self) -> Built {
        self.multiply_add();
        let live = self.live();
        let mut numbers: HashMap<Value, Register> = HashMap::new();
        for value in (0..self.sources.len()).map(Value::Source).chain((0..self.rows.len()).map(Value::Row)) {
            if live.contains(&value) {
                numbers.insert(value, numbers.len() as Register);
            }
        }
        let mut used = Vec::new();
        let mut operand = |known: &mut usize| {
            let buffer = self.operands[*known];
            *known = used.iter().position(|&other| other == buffer).unwrap_or_else(|| {
                used.push(buffer);
                used.len() - 1
            });
        };
        let mut tiled = Tiled {
            dims: self.space.to_vec(),
            sources: Vec::new(),
            rows: Vec::new(),
            stores: Vec::new(),
            reduced: self.reduced.unwrap_or_default(),
            accumulations: Vec::new(),
        };
        for (_, mut source) in self.sources.into_iter().enumerate().filter(|(i, _)| live.contains(&Value::Source(*i))) {
            match &mut source {
                Source::Load(view) => operand(&mut view.operand),
                Source::Random { key, .. } => operand(&mut key.operand),
                Source::Constant(..) | Source::Position { .. } => {}
            }
            tiled.sources.push(source);
        }
        for (_, (code, args)) in self.rows.into_iter().enumerate().filter(|(i, _)| live.contains(&Value::Row(*i))) {
            let mut registers = [0; 3];
            for (register, arg) in registers.iter_mut().zip(&args) {
                *register = numbers[arg];
            }
            tiled.rows.push(Row { code, args: registers });
        }
        for (value, mut view) in self.stores {
            operand(&mut view.operand);
            tiled.stores.push(Store { register: numbers[&value], view });
        }
        for (fold, value, mut view) in self.accumulations {
            operand(&mut view.operand);
            tiled.accumulations.push(Accumulation { fold, register: numbers[&value], view });
        }
        merge_axes(&mut tiled);
        Built { tiled, operands: used }
    }

    /// `a * b + c` in one row where the product has no other use.
    fn multiply_add(&mut self) {
        let mut uses = vec![0; self.rows.len()];
        let ends = self.stores.iter().map(|(value, _)| value).chain(self.accumulations.iter().map(|(_, v, _)| v));
        for value in self.rows.iter().flat_map(|(_, args)| args).chain(ends) {
            if let Value::Row(row) = value {
                uses[*row] += 1;
            }
        }
        for row in 0..self.rows.len() {
            if self.rows[row].0 != Code::Binary(Binary::Add) {
                continue;
            }
            let args = self.rows[row].1.clone();
            for (product, other) in [(args[0], args[1]), (args[1], args[0])] {
                if let Value::Row(product) = product
                    && self.rows[product].0 == Code::Binary(Binary::Mul)
                    && uses[product] == 1
                {
                    let factors = &self.rows[product].1;
                    self.rows[row] = (Code::MulAdd, vec![factors[0], factors[1], other]);
                    break;
                }
            }
        }
    }

    fn live(&self) -> HashSet<Value> {
        let ends = self.stores.iter().map(|(value, _)| *value);
        let mut live: HashSet<Value> = ends.chain(self.accumulations.iter().map(|(_, value, _)| *value)).collect();
        for (row, (_, args)) in self.rows.iter().enumerate().rev() {
            if live.contains(&Value::Row(row)) {
                live.extend(args);
            }
        }
        live
    }
}

/// Drops axes of one position and merges neighbours that every view walks as one.
fn merge_axes(tiled: &mut Tiled) {
    let argmax = tiled.accumulations.iter().any(|accumulation| accumulation.fold == Fold::ArgMax);
    let mut axis = tiled.dims.len();
    while axis > 0 {
        axis -= 1;
        let size = tiled.dims[axis];
        if size == 1 {
            remove_axis(tiled, axis);
            continue;
        }
        if axis + 1 >= tiled.dims.len() {
            continue;
        }
        let inner = tiled.dims[axis + 1] as isize;
        let alike = match tiled.reduced.get(axis..axis + 2) {
            Some(flags) => flags[0] == flags[1] && !(argmax && flags[0]),
            None => true,
        };
        let mut together = true;
        tiled.strides_mut().for_each(|strides| together &= strides[axis] == strides[axis + 1] * inner);
        if alike && together {
            tiled.dims[axis + 1] *= size;
            remove_axis(tiled, axis);
        }
    }
    if tiled.dims.is_empty() {
        tiled.dims.push(1);
        tiled.strides_mut().for_each(|strides| strides.push(0));
    }
}

fn remove_axis(tiled: &mut Tiled, axis: usize) {
    tiled.dims.remove(axis);
    if !tiled.reduced.is_empty() {
        tiled.reduced.remove(axis);
    }
    for strides in tiled.strides_mut() {
        strides.remove(axis);
    }
}
