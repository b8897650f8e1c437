//! Loops as data: launches that run so many times, over memory that moves on with each step.

use super::schedule::Schedule;
use super::view::{Access, View};
use std::sync::Arc;

/// A loop over a schedule of its own. What the schedule calls inputs, tensors of the state and arena lies in operands of
/// the launch: step `i` finds each of them at `base + i · stride`.
#[derive(Clone, Debug)]
pub struct Nest {
    /// The number of steps.
    pub count: usize,
    /// Whether the last step runs first.
    pub reverse: bool,
    /// What each step launches. Its input 0 is the number of the step, the others are slices and captures; its states are
    /// the carries, then the stacks.
    pub body: Arc<Schedule>,
    /// The inputs of the body, the number of the step first, which is written before each step.
    pub inputs: Vec<Moving>,
    /// The states of the body. The carries come first, and have one place for all steps.
    pub states: Vec<Moving>,
    /// What each carry begins with, dense.
    pub begins: Vec<View>,
    /// The arena of the body, in bytes.
    pub memory: View,
}

/// A tensor of which each step sees its own part.
#[derive(Clone, Debug, PartialEq)]
pub struct Moving {
    /// Its axes are the number of the step, and the elements of a part, which are dense.
    pub view: View,
    /// The elements of a part.
    pub len: usize,
}

impl Nest {
    pub(super) fn views_mut(&mut self, visit: &mut dyn FnMut(Access, &mut View, &[usize])) {
        let count = self.count;
        for (number, Moving { view, len }) in self.inputs.iter_mut().enumerate() {
            let access = if number == 0 { Access::Scratch } else { Access::Read };
            visit(access, view, &[count, *len]);
        }
        for (begin, carry) in self.begins.iter_mut().zip(&self.states) {
            visit(Access::Read, begin, &[carry.len]);
        }
        for (number, Moving { view, len }) in self.states.iter_mut().enumerate() {
            // Carries are there even after no step.
            let steps = if number < self.begins.len() { 1 } else { count };
            visit(Access::Write, view, &[steps, *len]);
        }
        visit(Access::Scratch, &mut self.memory, &[self.body.bytes]);
    }

    /// Whether result `target` may lie where `source` is: it is the carry that begins as `source`, of which nothing else
    /// is read after the loop has begun.
    pub(super) fn replaces(&self, source: usize, target: usize) -> bool {
        let begins = |(begin, carry): (&View, &Moving)| {
            carry.view.operand == target && (begin.operand, begin.offset) == (source, 0)
        };
        self.begins.iter().zip(&self.states).any(begins) && self.inputs.iter().all(|input| input.view.operand != source)
    }
}
