//! Dimensions and shapes: what dfdx's types do not say themselves.

use dfdx::shapes::{Axis, Const, ConstDim, Dim, Shape};
use typenum::Unsigned;

/// A dimension of known size, by name. `net!` implements it for every `dim` that it declares.
pub trait Named: ConstDim {
    /// The name in messages: that of the declaration, or the digits of a literal.
    const NAME: &'static str;
}

impl<const N: usize> Named for Const<N> {
    const NAME: &'static str = Decimal::<N>::TEXT;
}

/// A dimension whose size the compiler can calculate with, as a number of `typenum`. Every declared `dim` has one, and
/// so have the literals up to 1024 and the powers of two.
#[diagnostic::on_unimplemented(
    message = "the compiler cannot calculate with the size of `{Self}`",
    note = "it can with declared dims, literals up to 1024 and powers of two: declare `dim` a name for the size"
)]
pub trait HasNumber: ConstDim {
    /// The size.
    type Number: Unsigned;
}

/// What no dimension is: a number that one calculates with in Rust.
#[doc(hidden)]
#[diagnostic::on_unimplemented(message = "`{D}` is a dimension, and no number", label = "the number is `{D}::SIZE`")]
pub trait Calculates<D> {}

#[diagnostic::do_not_recommend]
impl<const N: usize> HasNumber for Const<N>
where
    typenum::Const<N>: typenum::ToUInt,
    typenum::U<N>: Unsigned,
{
    type Number = typenum::U<N>;
}

/// A shape whose last axis is of the dimension `D`.
#[diagnostic::on_unimplemented(
    message = "the last axis of `{Self}` is not `{D}`",
    label = "a shape that ends with `{D}` is expected here"
)]
pub trait EndsWith<D: Dim>: Shape {
    /// The shape with another last axis.
    type With<Last: Dim>: Shape;

    /// This shape with another last axis.
    fn with<Last: Dim>(&self, last: Last) -> Self::With<Last>;
}

/// A shape in which the axis `Ax` is of a dimension of its own type.
pub trait HasDim<Ax>: Shape {
    /// The dimension.
    type Dim: Dim;
}

macro_rules! ends_with {
    ($($leading:ident $index:tt),*) => {
        impl<$($leading: Dim,)* D: Dim> EndsWith<D> for ($($leading,)* D,) {
            type With<Last: Dim> = ($($leading,)* Last,);

            fn with<Last: Dim>(&self, last: Last) -> Self::With<Last> {
                ($(self.$index,)* last,)
            }
        }
    };
}

/// A shape that can have one more axis at the end.
pub trait Append<D: Dim>: Shape {
    /// The shape with that axis.
    type Appended: Shape;

    /// The shape with one more axis at the end.
    fn append(&self, last: D) -> Self::Appended;
}

macro_rules! append {
    ($($dim:ident $index:tt),*) => {
        impl<$($dim: Dim,)* D: Dim> Append<D> for ($($dim,)*) {
            type Appended = ($($dim,)* D,);

            fn append(&self, last: D) -> Self::Appended {
                ($(self.$index,)* last,)
            }
        }
    };
}

append!();
append!(A 0);
append!(A 0, B 1);
append!(A 0, B 1, C 2);
append!(A 0, B 1, C 2, E 3);
append!(A 0, B 1, C 2, E 3, F 4);

ends_with!();
ends_with!(A 0);
ends_with!(A 0, B 1);
ends_with!(A 0, B 1, C 2);
ends_with!(A 0, B 1, C 2, E 3);
ends_with!(A 0, B 1, C 2, E 3, F 4);

macro_rules! has_dim {
    ($shape:tt $($axis:literal $dim:ident),*) => {$(
        has_dim!(@ $shape $axis $dim);
    )*};
    (@ ($($all:ident),*) $axis:literal $dim:ident) => {
        impl<$($all: Dim),*> HasDim<Axis<$axis>> for ($($all,)*) {
            type Dim = $dim;
        }
    };
}

has_dim!((A) 0 A);
has_dim!((A, B) 0 A, 1 B);
has_dim!((A, B, C) 0 A, 1 B, 2 C);
has_dim!((A, B, C, D) 0 A, 1 B, 2 C, 3 D);
has_dim!((A, B, C, D, E) 0 A, 1 B, 2 C, 3 D, 4 E);
has_dim!((A, B, C, D, E, F) 0 A, 1 B, 2 C, 3 D, 4 E, 5 F);

/// A number as text at compile time.
struct Decimal<const N: usize>;

impl<const N: usize> Decimal<N> {
    const LEN: usize = if N == 0 { 1 } else { N.ilog10() as usize + 1 };
    const DIGITS: &'static [u8; 20] = &{
        let (mut digits, mut i, mut rest) = ([b'0'; 20], 0, N);
        while i < Self::LEN {
            digits[Self::LEN - 1 - i] = b'0' + (rest % 10) as u8;
            rest /= 10;
            i += 1;
        }
        digits
    };
    const TEXT: &'static str = match std::str::from_utf8(Self::DIGITS.split_at(Self::LEN).0) {
        Ok(text) => text,
        Err(_) => unreachable!(),
    };
}

/// Declares a named dimension of known size, as `dim Name = size;` does in `net!`. After the size stand its binary
/// digits, for [`HasNumber`].
///
/// ```
/// ansatz::declare_dim! {
///     /// The pixels of an image of 28 by 28.
///     pub struct Pixels = 784, 1 1 0 0 0 1 0 0 0 0
/// }
/// use ansatz::tensor::{ConstDim, Named};
/// assert_eq!((Pixels::SIZE, Pixels::NAME), (784, "Pixels"));
/// ```
#[macro_export]
macro_rules! declare_dim {
    ($(#[$meta:meta])* $vis:vis struct $name:ident = $size:expr, $($bit:tt)+) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        $vis struct $name;

        impl $crate::tensor::Dim for $name {
            fn size(&self) -> usize {
                $size
            }

            fn from_size(size: usize) -> ::core::option::Option<Self> {
                (size == $size).then_some($name)
            }
        }

        impl $crate::tensor::ConstDim for $name {
            const SIZE: usize = $size;
        }

        impl $crate::tensor::Named for $name {
            const NAME: &'static str = ::core::stringify!($name);
        }

        impl $crate::tensor::HasNumber for $name {
            type Number = $crate::__number!($crate::tensor::typenum::UTerm; $($bit)+);
        }

        // `2 * Pixels`: with a lifetime, the bound is looked at where somebody multiplies.
        #[doc(hidden)]
        impl<'a> ::core::ops::Mul<$name> for usize
        where
            &'a (): $crate::tensor::Calculates<$name>,
        {
            type Output = usize;

            fn mul(self, _: $name) -> usize {
                self
            }
        }

        const _: () = ::core::assert!(
            <<$name as $crate::tensor::HasNumber>::Number as $crate::tensor::typenum::Unsigned>::USIZE == $size,
            "the binary digits of a dimension differ from its size",
        );
    };
}

/// A number of `typenum` from its binary digits, the highest first.
#[doc(hidden)]
#[macro_export]
macro_rules! __number {
    ($number:ty;) => { $number };
    ($number:ty; 0 $($rest:tt)*) => {
        $crate::__number!($crate::tensor::typenum::UInt<$number, $crate::tensor::typenum::B0>; $($rest)*)
    };
    ($number:ty; 1 $($rest:tt)*) => {
        $crate::__number!($crate::tensor::typenum::UInt<$number, $crate::tensor::typenum::B1>; $($rest)*)
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_are_named_by_their_digits() {
        assert_eq!(Const::<0>::NAME, "0");
        assert_eq!(Const::<7>::NAME, "7");
        assert_eq!(Const::<1024>::NAME, "1024");
        assert_eq!(Const::<{ usize::MAX }>::NAME, usize::MAX.to_string());
    }

    #[test]
    fn literals_have_numbers() {
        assert_eq!(<Const<784> as HasNumber>::Number::USIZE, 784);
        assert_eq!(<Const<4096> as HasNumber>::Number::USIZE, 4096);
    }

    #[test]
    fn the_last_axis_is_replaced() {
        let shape = (5, Const::<3>, Const::<4>);
        assert_eq!(EndsWith::<Const<4>>::with(&shape, Const::<2>), (5, Const::<3>, Const::<2>));
    }
}
