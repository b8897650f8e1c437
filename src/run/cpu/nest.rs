//! Loops on the processor.

use super::sequence::{Frame, Sequence};
use crate::kernel::cpu::{Fault, Operand, Real, Scratch};
use crate::kernel::nest::{Moving, Nest};
use crate::kernel::schedule::Home;
use crate::kernel::view::View;

/// A loop whose body is prepared.
#[derive(Debug)]
pub(super) struct Loop<T: Real> {
    nest: Nest,
    pub body: Sequence<T>,
    /// Operands of the body that move on with each step.
    moving: Vec<usize>,
}

impl<T: Real> Loop<T> {
    pub fn new(nest: Nest) -> Self {
        let body = Sequence::new(&nest.body);
        let moves = |i: &usize| seen(&nest, body.homes[*i]).is_some_and(|tensor| tensor.view.strides[0] != 0);
        let moving = (0..body.homes.len()).filter(moves).collect();
        Loop { nest, body, moving }
    }

    /// Runs all steps.
    ///
    /// # Errors
    /// What could not be done.
    ///
    /// # Safety
    /// As for [`Sequence::run`], for the operands of the loop.
    pub unsafe fn launch(
        &self,
        operands: &[Operand],
        frame: &mut Frame,
        threads: usize,
        scratch: &mut Scratch,
    ) -> Result<(), Fault> {
        let Loop { nest, body, moving } = self;
        let first = |view: &View| operands[view.operand].pointer.wrapping_add(view.offset * view.element.size());
        for (begin, carry) in nest.begins.iter().zip(&nest.states) {
            let (from, to) = (first(begin), first(&carry.view));
            if from != to {
                // SAFETY: both hold the carry; they are buffers of their own where they are not the same one.
                unsafe { std::ptr::copy_nonoverlapping(from, to, carry.len * begin.element.size()) };
            }
        }
        let address = |home: Home, position: usize| match (home, seen(nest, home)) {
            (_, Some(Moving { view, .. })) => {
                let step = view.strides[0] * view.element.size() as isize;
                first(view).wrapping_offset(position as isize * step)
            }
            (Home::Arena(offset), None) => first(&nest.memory).wrapping_add(offset),
            (Home::Input(_) | Home::State(_), None) => unreachable!("a loop names all inputs and states of its body"),
        };
        body.bind(frame, |home| address(home, 0));
        let counter = first(&nest.inputs[0].view).cast::<u32>();
        for n in 0..nest.count {
            let position = if nest.reverse { nest.count - 1 - n } else { n };
            for &i in moving {
                frame.operands[i].pointer = address(body.homes[i], position);
            }
            // SAFETY: the counter is aligned and lies in memory of the loop's own; the rest is as the caller says.
            unsafe {
                counter.write(position as u32);
                body.run(frame, threads, scratch)?;
            }
        }
        Ok(())
    }
}

/// The tensor of a loop that its body calls an input or a state.
fn seen(nest: &Nest, home: Home) -> Option<&Moving> {
    match home {
        Home::Input(i) => nest.inputs.get(i),
        Home::State(i) => nest.states.get(i),
        Home::Arena(_) => None,
    }
}
