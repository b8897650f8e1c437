//! How precisely products are computed.

/// How precisely a device multiplies `f32` numbers in matrix products. The processor always takes [`Precision::Full`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Precision {
    /// As `f32` numbers: each product and each sum is rounded to 24 bits.
    #[default]
    Full,
    /// Factors are rounded to 11 bits (TensorFloat-32) where the device's matrix units take them so, and sums are kept in
    /// `f32`: several times faster on NVIDIA's devices from capability 8.0 on, with an error of about 5e-4 of a factor.
    Tf32,
}
