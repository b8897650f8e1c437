//! `==` in the condition of an `if`: inside of the branch, both sides are one dimension.

use super::block::Inference;
use super::mentions;
use super::typed::Call;
use super::types::Type;
use super::value::{Binding, Environment, Tensor, Value};
use crate::ast::{Block, Expr, ExprKind};
use crate::functions::runtime::RESHAPE;
use crate::report::Checked;
use crate::terms::Term;
use std::cell::Cell;
use std::rc::Rc;

impl<'a> Inference<'a, '_, '_> {
    /// The names of a branch, where a condition holds: what has one side of an `==` as an axis has the other.
    pub(super) fn equated(
        &mut self,
        condition: &'a Expr,
        branch: &'a Block,
        environment: &Environment<'a>,
    ) -> Checked<Environment<'a>> {
        let mut inside = environment.clone();
        for (from, to) in self.equations(condition, environment)? {
            self.facts.dims.rename(&from, &to);
            let mut names = vec![];
            mentions::block(branch, &mut |name| names.push(name));
            let mut seen = vec![];
            for name in names {
                if seen.contains(&name.to_string()) {
                    continue;
                }
                seen.push(name.to_string());
                let Some(binding) = inside.iter().find(|binding| binding.name == *name).cloned() else { continue };
                let Value::Tensor(tensor) = &binding.value else { continue };
                if tensor.ty.axes.iter().all(|axis| axis.size != from) {
                    continue;
                }
                binding.used.set(true);
                let value = Value::Tensor(self.renamed(tensor, &from, &to, branch)?);
                inside = inside.with(Rc::new(Binding { name: binding.name.clone(), value, used: Cell::new(true) }));
            }
        }
        Ok(inside)
    }

    /// A tensor with one dimension in the place of another of the same size.
    fn renamed(&mut self, x: &Tensor, from: &Term, to: &Term, branch: &'a Block) -> Checked<Tensor> {
        let mut axes = x.ty.axes.clone();
        for axis in axes.iter_mut().filter(|axis| axis.size == *from) {
            axis.size = to.clone();
        }
        let ty = Type { element: x.ty.element.clone(), axes };
        let id = self.push(Call::new(&RESHAPE, [x]), ty.clone(), branch.result.span)?;
        Ok(Tensor { id, ty, trail: x.trail.clone() })
    }

    /// The sizes that a condition says are equal and that are not the same dimension anyway.
    fn equations(&mut self, condition: &'a Expr, environment: &Environment<'a>) -> Checked<Vec<(Term, Term)>> {
        let ExprKind::Binary { op, operands } = &condition.kind else { return Ok(vec![]) };
        match *op {
            "&&" => {
                let mut all = self.equations(&operands[0], environment)?;
                all.extend(self.equations(&operands[1], environment)?);
                Ok(all)
            }
            "==" => {
                let left = self.value(&operands[0], environment)?;
                let right = self.value(&operands[1], environment)?;
                let (Some(left), Some(right)) = (self.dimension(&left), self.dimension(&right)) else {
                    return Ok(vec![]);
                };
                if left == right || left.number().is_none() || left.number() != right.number() {
                    return Ok(vec![]);
                }
                // A name gives way to a number, else the left side to the right one.
                Ok(vec![if left.as_integer().is_some() { (right, left) } else { (left, right) }])
            }
            _ => Ok(vec![]),
        }
    }
}
