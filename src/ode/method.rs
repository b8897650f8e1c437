//! Explicit Runge-Kutta methods as data.

use crate::{Error, Result};

/// An explicit Runge-Kutta method. With stages kᵢ = f(s + cᵢ h, y + h Σⱼ aᵢⱼ kⱼ), a step is y + h Σᵢ bᵢ kᵢ.
///
/// A table of your own is as good as one of the library: for a [`Solver`](super::Solver), and by its path in a net.
///
/// ```
/// use ansatz::ode::{Solver, Steps};
/// use ansatz::prelude::*;
///
/// mod mine {
///     use ansatz::ode::Method;
///
///     /// The method of order 2 with the least bound of its error (Ralston 1962).
///     pub const RALSTON: Method = Method {
///         name: "ralston",
///         order: 2,
///         a: &[&[], &[2.0 / 3.0]],
///         b: &[0.25, 0.75],
///         c: &[0.0, 2.0 / 3.0],
///         error: None,
///         dense: None,
///     };
/// }
///
/// let solver = Solver { method: &mine::RALSTON, steps: Steps::Fixed(1000) };
/// let solved = solver.solve(|_, y, dy| Ok(dy[0] = -y[0]), 0.0..1.0, &[1.0])?;
/// assert!((solved.y[0] - (-1f64).exp()).abs() < 1e-6);
///
/// net! {
///     pub net Decay(y: [n, 2]) -> [n, 2] { y |> ode(s = 0..1, by = mine::RALSTON(8), |y| y |> linear(2) |> tanh) }
/// }
/// # Ok::<(), ansatz::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Method {
    /// What it is called.
    pub name: &'static str,
    /// The error over a fixed time falls like this power of the step.
    pub order: u32,
    /// The rows of a: row i has i numbers.
    pub a: &'static [&'static [f64]],
    /// The weights of the step.
    pub b: &'static [f64],
    /// The times of the stages in units of the step.
    pub c: &'static [f64],
    /// The weights of the error estimate: b less those of the embedded method, of order one less. The last may belong to
    /// the derivative at the end of the step, where it is no stage of b.
    pub error: Option<&'static [f64]>,
    /// Weights within the step: at s + θh, that of stage i is Σₖ `dense[i][k]` θ^(k+1). Other methods take the cubic
    /// polynomial with the values and the derivatives of both ends.
    pub dense: Option<&'static [[f64; 4]]>,
}

impl Method {
    /// The number of stages.
    pub fn stages(&self) -> usize {
        self.b.len()
    }

    /// Whether the last stage is the derivative at the end of the step, so that the next step has its first stage.
    pub const fn first_same_as_last(&self) -> bool {
        let at = self.b.len() - 1;
        let last = self.a[at];
        let mut alike = self.c[at] == 1.0 && self.b[at] == 0.0;
        let mut i = 0;
        while i < last.len() {
            alike = alike && self.b[i] == last[i];
            i += 1;
        }
        alike
    }

    /// How often a step evaluates the field: a last stage that is the first of the next step does not count.
    pub const fn evaluations(&self) -> usize {
        self.b.len() - self.first_same_as_last() as usize
    }

    /// Checks that the table is one of an explicit method, and that its steps go as far as they should.
    pub(super) fn check(&self) -> Result<()> {
        let Method { name, a, b, c, error, dense, .. } = *self;
        let wrong =
            |problem: String| Err(Error::value(format!("the table of `{name}` is not that of a method: {problem}")));
        if b.is_empty() || (a.len(), c.len()) != (b.len(), b.len()) {
            let (rows, weights, times) = (a.len(), b.len(), c.len());
            return wrong(format!("it has {rows} rows, {weights} weights and {times} times, one of each for a stage"));
        }
        if let Some((i, row)) = a.iter().enumerate().find(|(i, row)| row.len() != *i) {
            return wrong(format!("row {i} has {} numbers, and stage {i} comes after {i} others", row.len()));
        }
        if let Some((i, sum)) =
            a.iter().map(|row| row.iter().sum::<f64>()).enumerate().find(|(i, sum)| !near(*sum, c[*i]))
        {
            return wrong(format!("row {i} sums to {sum}, but its stage stands at the time {}", c[i]));
        }
        let weight: f64 = b.iter().sum();
        if !near(weight, 1.0) {
            return wrong(format!("its weights sum to {weight}, and not to 1"));
        }
        if let Some(length) = error.map(<[f64]>::len).filter(|length| *length != b.len()) {
            return wrong(format!("its error has {length} weights for {} stages", b.len()));
        }
        match dense.map(<[_]>::len).filter(|length| *length != b.len()) {
            Some(length) => wrong(format!("it has {length} polynomials within the step for {} stages", b.len())),
            None => Ok(()),
        }
    }
}

/// Equal up to the rounding of printed coefficients.
fn near(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-9 * (1.0 + b.abs())
}

/// Euler's method, of order 1.
pub const EULER: Method = Method { name: "euler", order: 1, a: &[&[]], b: &[1.0], c: &[0.0], error: None, dense: None };

/// The midpoint method, of order 2 (Runge 1895).
pub const MIDPOINT: Method =
    Method { name: "midpoint", order: 2, a: &[&[], &[0.5]], b: &[0.0, 1.0], c: &[0.0, 0.5], error: None, dense: None };

/// Heun's method of order 2, the explicit trapezoidal rule.
pub const HEUN: Method =
    Method { name: "heun", order: 2, a: &[&[], &[1.0]], b: &[0.5, 0.5], c: &[0.0, 1.0], error: None, dense: None };

/// The classical method of order 4 (Kutta 1901).
pub const RK4: Method = Method {
    name: "rk4",
    order: 4,
    a: &[&[], &[0.5], &[0.0, 0.5], &[0.0, 0.0, 1.0]],
    b: &[1.0 / 6.0, 1.0 / 3.0, 1.0 / 3.0, 1.0 / 6.0],
    c: &[0.0, 0.5, 0.5, 1.0],
    error: None,
    dense: None,
};

/// The pair of order 3(2) of Bogacki and Shampine (1989).
pub const BOSH3: Method = Method {
    name: "bosh3",
    order: 3,
    a: &[&[], &[0.5], &[0.0, 0.75], &[2.0 / 9.0, 1.0 / 3.0, 4.0 / 9.0]],
    b: &[2.0 / 9.0, 1.0 / 3.0, 4.0 / 9.0, 0.0],
    c: &[0.0, 0.5, 0.75, 1.0],
    error: Some(&[2.0 / 9.0 - 7.0 / 24.0, 1.0 / 3.0 - 0.25, 4.0 / 9.0 - 1.0 / 3.0, -0.125]),
    dense: None,
};

/// The pair of order 5(4) of Dormand and Prince (1980), with Shampine's polynomial of order 4 within the step.
pub const DOPRI5: Method = Method {
    name: "dopri5",
    order: 5,
    a: &[
        &[],
        &[1.0 / 5.0],
        &[3.0 / 40.0, 9.0 / 40.0],
        &[44.0 / 45.0, -56.0 / 15.0, 32.0 / 9.0],
        &[19372.0 / 6561.0, -25360.0 / 2187.0, 64448.0 / 6561.0, -212.0 / 729.0],
        &[9017.0 / 3168.0, -355.0 / 33.0, 46732.0 / 5247.0, 49.0 / 176.0, -5103.0 / 18656.0],
        &[35.0 / 384.0, 0.0, 500.0 / 1113.0, 125.0 / 192.0, -2187.0 / 6784.0, 11.0 / 84.0],
    ],
    b: &[35.0 / 384.0, 0.0, 500.0 / 1113.0, 125.0 / 192.0, -2187.0 / 6784.0, 11.0 / 84.0, 0.0],
    c: &[0.0, 0.2, 0.3, 0.8, 8.0 / 9.0, 1.0, 1.0],
    error: Some(&[71.0 / 57600.0, 0.0, -71.0 / 16695.0, 71.0 / 1920.0, -17253.0 / 339200.0, 22.0 / 525.0, -1.0 / 40.0]),
    dense: Some(&[
        [1.0, -8048581381.0 / 2820520608.0, 8663915743.0 / 2820520608.0, -12715105075.0 / 11282082432.0],
        [0.0; 4],
        [0.0, 131558114200.0 / 32700410799.0, -68118460800.0 / 10900136933.0, 87487479700.0 / 32700410799.0],
        [0.0, -1754552775.0 / 470086768.0, 14199869525.0 / 1410260304.0, -10690763975.0 / 1880347072.0],
        [0.0, 127303824393.0 / 49829197408.0, -318862633887.0 / 49829197408.0, 701980252875.0 / 199316789632.0],
        [0.0, -282668133.0 / 205662961.0, 2019193451.0 / 616988883.0, -1453857185.0 / 822651844.0],
        [0.0, 40617522.0 / 29380423.0, -110615467.0 / 29380423.0, 69997945.0 / 29380423.0],
    ]),
};

/// The pair of order 5(4) of Tsitouras (2011), with his polynomial of order 4 within the step.
pub const TSIT5: Method = Method {
    name: "tsit5",
    order: 5,
    a: &[
        &[],
        &[0.161],
        &[-0.008480655492356989, 0.335480655492357],
        &[2.8971530571054935, -6.359448489975075, 4.3622954328695815],
        &[5.325864828439257, -11.748883564062828, 7.4955393428898365, -0.09249506636175525],
        &[5.86145544294642, -12.92096931784711, 8.159367898576159, -0.071584973281401, -0.028269050394068383],
        &[0.09646076681806523, 0.01, 0.4798896504144996, 1.379008574103742, -3.290069515436081, 2.324710524099774],
    ],
    b: &[0.09646076681806523, 0.01, 0.4798896504144996, 1.379008574103742, -3.290069515436081, 2.324710524099774, 0.0],
    c: &[0.0, 0.161, 0.327, 0.9, 0.9800255409045097, 1.0, 1.0],
    error: Some(&[
        0.0017800110522257714,
        0.0008164344596567469,
        -0.007880878010261995,
        0.1447110071732629,
        -0.5823571654525552,
        0.45808210592918697,
        -1.0 / 66.0,
    ]),
    dense: Some(&[
        [1.0, -2.763706197274826, 2.9132554618219126, -1.0530884977290216],
        [0.0, 0.1317, -0.2234, 0.1017],
        [0.0, 3.9302962368947516, -5.941033872131505, 2.490627285651253],
        [0.0, -12.411077166933676, 30.33818863028232, -16.548102889244902],
        [0.0, 37.50931341651104, -88.1789048947664, 47.37952196281928],
        [0.0, -27.896526289197286, 65.09189467479366, -34.87065786149661],
        [0.0, 1.5, -4.0, 2.5],
    ]),
};
