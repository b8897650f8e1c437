//! Keys for random draws.

use super::math::Real;
use super::{Fault, Kernel, Operand, Scratch};
use crate::random;
use crate::view::View;
use crate::work::FoldIn;

impl<T: Real> Kernel<T> for FoldIn {
    fn divides(&self) -> bool {
        false
    }

    fn scratch_bytes(&self, _: usize) -> usize {
        0
    }

    unsafe fn launch(&self, operands: &[Operand], _: usize, _: &mut Scratch) -> Result<(), Fault> {
        let at = |view: &View| operands[view.operand].pointer.cast::<u32>().wrapping_add(view.offset);
        // SAFETY: as the caller says; the key has four words, the number one.
        unsafe {
            let key: [u32; 4] = at(&self.key).cast::<[u32; 4]>().read();
            let number: u32 = at(&self.number).read();
            at(&self.to).cast::<[u32; 4]>().write(random::fold_in(key, number));
        }
        Ok(())
    }
}
