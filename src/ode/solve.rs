//! Solvers: a method with a choice of steps.

use super::steps::{Segment, Stepper};
use super::{BOSH3, DOPRI5, EULER, HEUN, MIDPOINT, Method, RK4, TSIT5};
use crate::{Error, Result};
use std::ops::Range;

/// A method with a choice of steps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Solver {
    /// What a step does.
    pub method: &'static Method,
    /// How long the steps are.
    pub steps: Steps,
}

/// How long steps are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Steps {
    /// So many of equal length.
    Fixed(usize),
    /// As long as a tolerance allows, by the error estimate of the method.
    Adaptive(Tolerance),
}

/// How exact a step must be: the root of the mean square of error / (absolute + relative · |y|) is at most 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tolerance {
    /// The part in proportion to the solution.
    pub relative: f64,
    /// The part that is left where the solution is zero.
    pub absolute: f64,
    /// The length of the first step; found from the field where it is `None`.
    pub first_step: Option<f64>,
    /// The most steps, rejected ones included.
    pub steps: usize,
}

impl Tolerance {
    /// The same number as relative and absolute tolerance, in at most 100,000 steps.
    pub fn new(tolerance: f64) -> Self {
        Tolerance { relative: tolerance, absolute: tolerance, first_step: None, steps: 100_000 }
    }

    pub(super) fn at(&self, size: f64) -> f64 {
        self.absolute + self.relative * size
    }
}

/// Euler's method in so many steps.
pub const fn euler(steps: usize) -> Solver {
    Solver { method: &EULER, steps: Steps::Fixed(steps) }
}

/// The midpoint method in so many steps.
pub const fn midpoint(steps: usize) -> Solver {
    Solver { method: &MIDPOINT, steps: Steps::Fixed(steps) }
}

/// Heun's method in so many steps.
pub const fn heun(steps: usize) -> Solver {
    Solver { method: &HEUN, steps: Steps::Fixed(steps) }
}

/// The classical Runge-Kutta method in so many steps.
pub const fn rk4(steps: usize) -> Solver {
    Solver { method: &RK4, steps: Steps::Fixed(steps) }
}

/// Bogacki and Shampine's method to this relative and absolute tolerance.
pub fn bosh3(tolerance: f64) -> Solver {
    Solver { method: &BOSH3, steps: Steps::Adaptive(Tolerance::new(tolerance)) }
}

/// Dormand and Prince's method to this relative and absolute tolerance.
pub fn dopri5(tolerance: f64) -> Solver {
    Solver { method: &DOPRI5, steps: Steps::Adaptive(Tolerance::new(tolerance)) }
}

/// Tsitouras' method to this relative and absolute tolerance.
pub fn tsit5(tolerance: f64) -> Solver {
    Solver { method: &TSIT5, steps: Steps::Adaptive(Tolerance::new(tolerance)) }
}

/// Where a solution ends.
#[derive(Clone, Debug, PartialEq)]
pub struct Solved {
    /// The time: the end of the span, or that of the event.
    pub s: f64,
    /// The solution there.
    pub y: Vec<f64>,
    /// How often the field was evaluated.
    pub evaluations: usize,
    /// Steps that count.
    pub accepted: usize,
    /// Steps that were too long and taken again.
    pub rejected: usize,
}

/// A solution at all times of its span.
#[derive(Clone, Debug, PartialEq)]
pub struct Trajectory {
    /// Where it ends.
    pub end: Solved,
    start: (f64, Vec<f64>),
    segments: Vec<Segment>,
}

impl Solver {
    /// The same method with so many steps of equal length.
    pub fn fixed(self, steps: usize) -> Self {
        Solver { steps: Steps::Fixed(steps), ..self }
    }

    /// Solves y′ = f(s, y) over a span of time, which may run backwards. `field` writes the derivative at (s, y) to its
    /// last argument.
    ///
    /// # Errors
    /// Those of the field; if the solution is not finite, the tolerance takes too many steps, or the solver is none.
    pub fn solve<F>(&self, field: F, span: Range<f64>, y: &[f64]) -> Result<Solved>
    where
        F: FnMut(f64, &[f64], &mut [f64]) -> Result<()>,
    {
        self.run(field, span, y, &mut |_| Ok(None), false)
    }

    /// The same, where the solution can then be had at every time of the span.
    ///
    /// # Errors
    /// Those of [`Solver::solve`].
    pub fn trajectory<F>(&self, field: F, span: Range<f64>, y: &[f64]) -> Result<Trajectory>
    where
        F: FnMut(f64, &[f64], &mut [f64]) -> Result<()>,
    {
        let (mut segments, start) = (Vec::new(), (span.start, y.to_vec()));
        let mut keep = |segment: Segment| {
            segments.push(segment);
            Ok(None)
        };
        let end = self.run(field, span, y, &mut keep, true)?;
        Ok(Trajectory { end, start, segments })
    }

    /// The same as [`Solver::solve`], but it ends where `event(s, y)` first changes its sign, within the precision of
    /// the interpolation; [`Solved::s`] is then before the end of the span. The sign is looked at after each step: two
    /// changes within one are not seen. An event that begins as zero starts with the sign it takes next.
    ///
    /// # Errors
    /// Those of [`Solver::solve`].
    pub fn solve_until<F, G>(&self, field: F, span: Range<f64>, y: &[f64], mut event: G) -> Result<Solved>
    where
        F: FnMut(f64, &[f64], &mut [f64]) -> Result<()>,
        G: FnMut(f64, &[f64]) -> f64,
    {
        let mut before = event(span.start, y);
        let mut look = |segment: Segment| {
            let after = event(segment.end, &segment.at(segment.end));
            if before == 0.0 || after != 0.0 && before.signum() == after.signum() {
                before = after;
                return Ok(None);
            }
            // Halving the time in which the sign changes, until the numbers have no middle.
            let (mut left, mut right) = (segment.start, segment.end);
            for _ in 0..100 {
                let middle = left + (right - left) / 2.0;
                if middle == left || middle == right {
                    break;
                }
                let there = event(middle, &segment.at(middle));
                if there != 0.0 && there.signum() == before.signum() { left = middle } else { right = middle }
            }
            Ok(Some((right, segment.at(right))))
        };
        self.run(field, span, y, &mut look, true)
    }

    /// Steps to the end, or to where `look` says; it sees every step if they are kept.
    fn run<F>(
        &self,
        field: F,
        span: Range<f64>,
        y: &[f64],
        look: &mut dyn FnMut(Segment) -> Result<Option<(f64, Vec<f64>)>>,
        keep: bool,
    ) -> Result<Solved>
    where
        F: FnMut(f64, &[f64], &mut [f64]) -> Result<()>,
    {
        if !span.start.is_finite() || !span.end.is_finite() {
            return Err(Error::value(format!("a solution needs finite times, not {span:?}")));
        }
        let weights = self.check()?;
        let mut stepper = Stepper::new(self.method, field, span.start, y);
        let mut step = 0;
        while stepper.s != span.end {
            step += 1;
            let segment = match (self.steps, weights) {
                (Steps::Adaptive(tolerance), Some(weights)) => stepper.adaptive(span.end, &tolerance, weights, keep)?,
                (Steps::Adaptive(_), None) => None,
                (Steps::Fixed(steps), _) => {
                    let share = step as f64 / steps as f64;
                    let end = if step == steps { span.end } else { span.start + (span.end - span.start) * share };
                    stepper.fixed(end, keep)?
                }
            };
            if let Some(segment) = segment
                && let Some((s, y)) = look(segment)?
            {
                (stepper.s, stepper.y) = (s, y);
                break;
            }
        }
        let Stepper { s, y, evaluations, accepted, rejected, .. } = stepper;
        Ok(Solved { s, y, evaluations, accepted, rejected })
    }

    /// The weights of the error estimate, which adaptive steps need.
    fn check(&self) -> Result<Option<&'static [f64]>> {
        self.method.check()?;
        match self.steps {
            Steps::Fixed(0) => Err(Error::value("a solution takes at least one step")),
            Steps::Fixed(_) => Ok(None),
            Steps::Adaptive(Tolerance { relative, absolute, .. }) => {
                if !(relative >= 0.0 && absolute > 0.0 && relative.is_finite() && absolute.is_finite()) {
                    return Err(Error::value(format!(
                        "an absolute tolerance is above 0 and a relative one at least 0, not {absolute} and {relative}"
                    )));
                }
                let name = self.method.name;
                let missing = || {
                    Error::value(format!("`{name}` estimates no error; take fixed steps, or bosh3, dopri5 or tsit5"))
                };
                self.method.error.map(Some).ok_or_else(missing)
            }
        }
    }
}

impl Trajectory {
    /// The solution at a time; before its start and after its end, what it is there.
    pub fn at(&self, s: f64) -> Vec<f64> {
        let forward = self.end.s >= self.start.0;
        let past = |segment: &Segment| if forward { segment.end < s } else { segment.end > s };
        let place = self.segments.partition_point(past);
        match self.segments.get(place) {
            None => self.end.y.clone(),
            Some(_) if (s <= self.start.0) == forward || s == self.start.0 => self.start.1.clone(),
            Some(segment) => segment.at(s),
        }
    }

    /// The times between the steps, from start to end.
    pub fn times(&self) -> Vec<f64> {
        std::iter::once(self.start.0).chain(self.segments.iter().map(|segment| segment.end)).collect()
    }
}
