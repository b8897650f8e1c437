//! One step after the other: the stages, the error estimate, the next step's length, and values within the step.

use super::{Method, Tolerance};
use crate::{Error, Result};

/// A solution on its way.
pub(super) struct Stepper<F> {
    method: &'static Method,
    field: F,
    pub s: f64,
    pub y: Vec<f64>,
    /// The derivative at (s, y), if it is known.
    slope: Option<Vec<f64>>,
    stages: Vec<Vec<f64>>,
    trial: Vec<f64>,
    pub evaluations: usize,
    pub accepted: usize,
    pub rejected: usize,
    /// The length of the next step of an adaptive solution, and the error of the last, relative to the tolerance.
    next: Option<f64>,
    last_error: f64,
}

/// What a step leaves for values within it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Segment {
    pub start: f64,
    pub end: f64,
    before: Vec<f64>,
    after: Vec<f64>,
    /// The stages, or the derivatives at both ends.
    slopes: Vec<Vec<f64>>,
    dense: Option<&'static [[f64; 4]]>,
}

impl<F: FnMut(f64, &[f64], &mut [f64]) -> Result<()>> Stepper<F> {
    pub fn new(method: &'static Method, field: F, s: f64, y: &[f64]) -> Self {
        let zeros = vec![0.0; y.len()];
        Stepper {
            method,
            field,
            s,
            y: y.to_vec(),
            slope: None,
            stages: vec![zeros.clone(); method.stages()],
            trial: zeros,
            evaluations: 0,
            accepted: 0,
            rejected: 0,
            next: None,
            last_error: 1.0,
        }
    }

    fn evaluate(&mut self, s: f64, y: &[f64], mut slope: Vec<f64>) -> Result<Vec<f64>> {
        self.evaluations += 1;
        (self.field)(s, y, &mut slope)?;
        Ok(slope)
    }

    /// The stages of a step of length h, and in `trial` the value at its end.
    fn stages(&mut self, h: f64) -> Result<()> {
        let mut first = std::mem::take(&mut self.stages[0]);
        match &self.slope {
            Some(slope) => first.copy_from_slice(slope),
            None => {
                let y = std::mem::take(&mut self.y);
                first = self.evaluate(self.s, &y, first)?;
                self.y = y;
                self.slope = Some(first.clone());
            }
        }
        self.stages[0] = first;
        for i in 1..self.method.stages() {
            let mut at = std::mem::take(&mut self.trial);
            combine(&self.y, h, self.method.a[i], &self.stages, &mut at);
            let stage = std::mem::take(&mut self.stages[i]);
            self.stages[i] = self.evaluate(self.s + self.method.c[i] * h, &at, stage)?;
            self.trial = at;
        }
        // With a last stage at the end of the step, `trial` is already the value there.
        if !self.method.first_same_as_last() {
            let mut end = std::mem::take(&mut self.trial);
            combine(&self.y, h, self.method.b, &self.stages, &mut end);
            self.trial = end;
        }
        Ok(())
    }

    /// Goes to `end`, whose stages are there. With `keep`, gives what values within the step need.
    fn advance(&mut self, end: f64, keep: bool) -> Result<Option<Segment>> {
        let start = self.s;
        let before = keep.then(|| self.y.clone());
        std::mem::swap(&mut self.y, &mut self.trial);
        let first = self.slope.take();
        (self.s, self.accepted) = (end, self.accepted + 1);
        if self.method.first_same_as_last() {
            self.slope = self.stages.last().cloned();
        }
        let Some(before) = before else { return Ok(None) };
        let slopes = match self.method.dense {
            Some(_) => self.stages.clone(),
            None => {
                if self.slope.is_none() {
                    let y = std::mem::take(&mut self.y);
                    let slope = vec![0.0; y.len()];
                    self.slope = Some(self.evaluate(end, &y, slope)?);
                    self.y = y;
                }
                vec![first.unwrap_or_default(), self.slope.clone().unwrap_or_default()]
            }
        };
        Ok(Some(Segment { start, end, before, after: self.y.clone(), slopes, dense: self.method.dense }))
    }

    /// A step to `end`.
    pub fn fixed(&mut self, end: f64, keep: bool) -> Result<Option<Segment>> {
        self.stages(end - self.s)?;
        if let Some(bad) = self.trial.iter().find(|y| !y.is_finite()) {
            return Err(Error::value(format!(
                "the solution is {bad} after the step from {} to {end}; take more steps, or look at the field there",
                self.s
            )));
        }
        self.advance(end, keep)
    }

    /// The next step that a tolerance allows, at most to `end`.
    pub fn adaptive(
        &mut self,
        end: f64,
        tolerance: &Tolerance,
        weights: &[f64],
        keep: bool,
    ) -> Result<Option<Segment>> {
        let direction = (end - self.s).signum();
        // The estimate is that of the embedded method: of the order of this method.
        let order = f64::from(self.method.order);
        let mut h = match self.next.or(tolerance.first_step) {
            Some(h) => h.abs(),
            None => self.first_step(end, tolerance)?,
        };
        loop {
            if self.accepted + self.rejected >= tolerance.steps {
                return Err(Error::value(format!(
                    "{} steps of `{}` reach {:.6} on the way to {end}, the last of length {h:.1e}; allow more steps or a \
                     larger tolerance, and take a solver for stiff equations if the solution is smooth",
                    tolerance.steps, self.method.name, self.s
                )));
            }
            let last = h >= (end - self.s).abs() * (1.0 - 1e-12);
            let to = if last { end } else { self.s + direction * h };
            if !last && h <= 16.0 * f64::EPSILON * self.s.abs() {
                return Err(Error::value(format!(
                    "the step of `{}` at {} has become too small to move on: the field is not smooth there, or the \
                     tolerance below what the numbers can show",
                    self.method.name, self.s
                )));
            }
            let length = to - self.s;
            self.stages(length)?;
            let error = self.error(length, weights, tolerance);
            if error <= 1.0 {
                // Söderlind's controller PI.3.4: it looks at the error of the last step too.
                let error = error.max(1e-10);
                let factor = SAFETY * error.powf(-0.7 / order) * self.last_error.powf(0.4 / order);
                self.last_error = error;
                self.next = Some(length.abs().max(if last { h } else { 0.0 }) * factor.clamp(0.2, 10.0));
                return self.advance(to, keep);
            }
            self.rejected += 1;
            let factor = if error.is_finite() { SAFETY * error.powf(-1.0 / order) } else { 0.0 };
            h = length.abs() * factor.clamp(0.1, 1.0);
        }
    }

    /// The estimated error in units of the tolerance, the root of the mean square over the components.
    fn error(&self, h: f64, weights: &[f64], tolerance: &Tolerance) -> f64 {
        let component = |i: usize| {
            let error: f64 = weights.iter().zip(&self.stages).map(|(w, stage)| w * stage[i]).sum();
            h * error / tolerance.at(self.y[i].abs().max(self.trial[i].abs()))
        };
        mean_square((0..self.y.len()).map(component)).sqrt()
    }

    /// The choice of Hairer, Nørsett and Wanner, section II.4.
    fn first_step(&mut self, end: f64, tolerance: &Tolerance) -> Result<f64> {
        let span = (end - self.s).abs();
        let y = self.y.clone();
        let slope = self.evaluate(self.s, &y, vec![0.0; y.len()])?;
        let norm = |x: &[f64]| mean_square(x.iter().zip(&y).map(|(x, y)| x / tolerance.at(y.abs()))).sqrt();
        let (size, speed) = (norm(&y), norm(&slope));
        let small = if size < 1e-5 || speed < 1e-5 { 1e-6 } else { 0.01 * size / speed }.min(span);
        let signed = small * (end - self.s).signum();
        let ahead: Vec<f64> = y.iter().zip(&slope).map(|(y, k)| y + signed * k).collect();
        let other = self.evaluate(self.s + signed, &ahead, vec![0.0; y.len()])?;
        let change: Vec<f64> = other.iter().zip(&slope).map(|(a, b)| a - b).collect();
        let bend = norm(&change) / small;
        let greatest = speed.max(bend);
        let order = f64::from(self.method.order);
        let guess = if greatest <= 1e-15 { (small * 1e-3).max(1e-6) } else { (0.01 / greatest).powf(1.0 / order) };
        self.slope = Some(slope);
        Ok(guess.min(100.0 * small).min(span))
    }
}

/// What is aimed at instead of the whole tolerance.
const SAFETY: f64 = 0.9;

fn mean_square(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let len = values.len().max(1);
    values.map(|x| x * x).sum::<f64>() / len as f64
}

/// y + h Σᵢ wᵢ kᵢ.
fn combine(y: &[f64], h: f64, weights: &[f64], stages: &[Vec<f64>], out: &mut [f64]) {
    out.copy_from_slice(y);
    for (&weight, stage) in weights.iter().zip(stages).filter(|(weight, _)| **weight != 0.0) {
        out.iter_mut().zip(stage).for_each(|(out, k)| *out += h * weight * k);
    }
}

impl Segment {
    /// The value at a time of the step.
    pub fn at(&self, s: f64) -> Vec<f64> {
        if s == self.end {
            return self.after.clone();
        }
        let h = self.end - self.start;
        let t = (s - self.start) / h;
        let mut out = vec![0.0; self.before.len()];
        match self.dense {
            Some(dense) => {
                let weights: Vec<f64> = dense.iter().map(|p| t * (p[0] + t * (p[1] + t * (p[2] + t * p[3])))).collect();
                combine(&self.before, h, &weights, &self.slopes, &mut out);
            }
            None => {
                let (left, right) = ((1.0 - t) * (1.0 - t), t * t);
                let ends = [left * (1.0 + 2.0 * t), right * (3.0 - 2.0 * t)];
                let mixed: Vec<f64> =
                    self.before.iter().zip(&self.after).map(|(a, b)| ends[0] * a + ends[1] * b).collect();
                combine(&mixed, h, &[left * t, right * (t - 1.0)], &self.slopes, &mut out);
            }
        }
        out
    }
}
