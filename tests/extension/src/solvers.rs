//! Runge-Kutta methods of other tables than the library's.

use ansatz::ode::Method;

/// The method of order 3 with the least bound of its error (Ralston 1962).
pub const RALSTON: Method = Method {
    name: "ralston",
    order: 3,
    a: &[&[], &[1.0 / 2.0], &[0.0, 3.0 / 4.0]],
    b: &[2.0 / 9.0, 1.0 / 3.0, 4.0 / 9.0],
    c: &[0.0, 1.0 / 2.0, 3.0 / 4.0],
    error: None,
    dense: None,
};

/// A table whose second stage does not stand at its time.
pub const CROOKED: Method = Method { name: "crooked", c: &[0.0, 0.25, 0.75], ..RALSTON };
