//! Facts about the sizes of dimensions, for generic code of one's own.
//!
//! `net!` proves such facts itself. Rust code that is generic over dimensions states them as bounds, and what does not
//! hold is one readable error where the function is used:
//!
//! ```compile_fail
//! use ansatz::tensor::{Const, Divides, HasNumber};
//!
//! fn heads<Heads: HasNumber + Divides<Embed>, Embed: HasNumber>() {}
//! heads::<Const<12>, Const<770>>(); // error: the size of `Const<12>` does not divide that of `Const<770>`
//! ```
//!
//! `typenum` computes a truth value from the two numbers, and a trait of our own, with the dimensions as its
//! parameters, is implemented for "true" alone, so the error names dimensions and not binary digits.

use super::HasNumber;
use std::ops::{Mul, Rem};
use typenum::{B1, Eq, IsEqual, Mod, Prod, U0};

/// A dimension that is as large as `Other`.
///
/// ```
/// use ansatz::tensor::{Const, HasNumber, SameSize};
///
/// ansatz::declare_dim!(struct Time = 64, 1 0 0 0 0 0 0);
///
/// fn transposable<A: SameSize<B>, B: HasNumber>() {}
/// transposable::<Time, Const<64>>();
/// ```
pub trait SameSize<Other: HasNumber>: HasNumber {}

impl<A: HasNumber, B: HasNumber> SameSize<B> for A
where
    A::Number: IsEqual<B::Number>,
    Eq<A::Number, B::Number>: AreSameSize<A, B>,
{
}

/// A dimension whose size divides that of `Other`.
pub trait Divides<Other: HasNumber>: HasNumber {}

impl<A: HasNumber, B: HasNumber> Divides<B> for A
where
    B::Number: Rem<A::Number>,
    Mod<B::Number, A::Number>: IsEqual<U0>,
    Eq<Mod<B::Number, A::Number>, U0>: IsDivisor<A, B>,
{
}

/// A dimension whose size is the product of those of `A` and `B`.
pub trait Product<A: HasNumber, B: HasNumber>: HasNumber {}

impl<A: HasNumber, B: HasNumber, C: HasNumber> Product<A, B> for C
where
    A::Number: Mul<B::Number>,
    C::Number: IsEqual<Prod<A::Number, B::Number>>,
    Eq<C::Number, Prod<A::Number, B::Number>>: IsProduct<A, B, C>,
{
}

/// The answer to "are `A` and `B` of equal size?", for yes alone.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "`{A}` and `{B}` differ in size",
    label = "these two dimensions should be equally large"
)]
pub trait AreSameSize<A, B> {}

#[diagnostic::do_not_recommend]
impl<A, B> AreSameSize<A, B> for B1 {}

/// The answer to "does `A` divide `B`?", for yes alone.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "the size of `{A}` does not divide that of `{B}`",
    label = "the first should divide the second"
)]
pub trait IsDivisor<A, B> {}

#[diagnostic::do_not_recommend]
impl<A, B> IsDivisor<A, B> for B1 {}

/// The answer to "is `C` the product of `A` and `B`?", for yes alone.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "the size of `{C}` is not the product of those of `{A}` and `{B}`",
    label = "this should be a product"
)]
pub trait IsProduct<A, B, C> {}

#[diagnostic::do_not_recommend]
impl<A, B, C> IsProduct<A, B, C> for B1 {}

#[cfg(test)]
mod tests {
    use super::*;
    use dfdx::shapes::Const;

    crate::declare_dim!(struct Embed = 768, 1 1 0 0 0 0 0 0 0 0);
    crate::declare_dim!(struct Heads = 12, 1 1 0 0);

    fn same<A: SameSize<B>, B: HasNumber>() {}
    fn divides<A: Divides<B>, B: HasNumber>() {}
    fn product<C: Product<A, B>, A: HasNumber, B: HasNumber>() {}

    #[test]
    fn facts_that_hold_compile() {
        same::<Embed, Const<768>>();
        divides::<Heads, Embed>();
        divides::<Const<2>, Heads>();
        product::<Embed, Heads, Const<64>>();
    }
}
