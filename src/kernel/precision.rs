//! How exact a program is.

use super::view::DType;

/// What a program of `f32` numbers does to be faster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Precision {
    /// Nothing: all numbers are `f32`.
    #[default]
    Full,
    /// Where a device's matrix units take them so, the factors of matrix products are rounded to 11 significant bits
    /// (TensorFloat-32), and sums are kept in `f32`: several times faster on NVIDIA's devices from capability 8.0 on, with an
    /// error of about 5e-4 of a factor. On the processor it is [`Full`](Precision::Full).
    Tf32,
    /// What matrix products, convolutions and attention read, and what lies between them, is stored as bfloat16 (Kalamkar et
    /// al. 2019, "A study of BFLOAT16 for deep learning training"): eight bits of exponent as in `f32`, so that no loss has
    /// to be scaled, and eight significant bits. Sums, losses, logarithms of sums, statistics of norms, gradients of
    /// parameters, what the optimiser keeps, and the parameters themselves stay `f32` (Micikevicius et al. 2018, "Mixed
    /// precision training"); products read a rounded copy of the parameters, and add up in `f32`.
    ///
    /// A large net takes little more than half the memory for intermediate values; the loss follows that of
    /// [`Full`](Precision::Full) up to some hundredths of what is learnt. GPUs of NVIDIA's from capability 8.0 on use their
    /// matrix units. On the processor it is slower than `f32`: it computes there by conversion what a GPU computes.
    Bf16,
}

impl Precision {
    /// Whether programs over such numbers can be so exact.
    ///
    /// # Errors
    /// A sentence, if they cannot.
    pub fn fits(self, float: DType) -> Result<(), String> {
        match self {
            Precision::Tf32 | Precision::Bf16 if float == DType::F64 => Err(format!(
                "`Precision::{self:?}` is for numbers of f32, and these are f64; take a net of f32, or `Precision::Full`"
            )),
            _ => Ok(()),
        }
    }
}
