//! The check of any pair of a function and its derivative.

use super::difference::{Value, Verdict, compare};
use crate::ops::Domain;
use crate::{Error, Result};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};
use std::fmt;
use std::ops::RangeInclusive;

/// One argument of a function under test: a vector of some length, each element from a domain.
///
/// Only real elements are varied; indices and truth values are drawn and then held.
#[derive(Clone, Debug)]
pub struct Input {
    /// How messages call it.
    pub name: String,
    /// Its length, at least and at most. Where lengths differ, failures shrink to the shortest.
    pub len: RangeInclusive<usize>,
    /// Its shape, if it is a tensor of that; messages then count along its axes.
    pub shape: Option<Vec<usize>>,
    /// Where its elements come from.
    pub domain: Domain,
}

impl Input {
    /// An argument of `len` elements.
    pub fn new(name: impl Into<String>, len: RangeInclusive<usize>, domain: Domain) -> Self {
        Input { name: name.into(), len, shape: None, domain }
    }

    /// A tensor of this shape.
    pub fn tensor(name: impl Into<String>, shape: &[usize], domain: Domain) -> Self {
        let len = shape.iter().product();
        Input { shape: Some(shape.to_vec()), ..Self::new(name, len..=len, domain) }
    }

    /// An element as Rust would write it: `fc1.weight[3, 7]`.
    fn element(&self, mut element: usize) -> String {
        let shape = self.shape.as_deref().unwrap_or(&[usize::MAX]);
        let mut index: Vec<String> = Vec::new();
        for &size in shape.iter().rev() {
            index.push((element % size.max(1)).to_string());
            element /= size.max(1);
        }
        index.reverse();
        if index.is_empty() { self.name.clone() } else { format!("{}[{}]", self.name, index.join(", ")) }
    }
}

/// How thorough a check is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// How many points are tried.
    pub cases: u32,
    /// The relative difference that is allowed between a directional derivative and finite differences.
    pub tolerance: f64,
    /// The share of points that may lie on a kink, where nothing is checked.
    pub kinks: f64,
    /// The points depend on this number alone.
    pub seed: u64,
}

impl Default for Settings {
    /// 64 points, relative tolerance 10⁻⁶, one point in ten on a kink.
    fn default() -> Self {
        Settings { cases: 64, tolerance: 1e-6, kinks: 0.1, seed: 0 }
    }
}

/// What a check that passed has seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passed {
    /// Points at which the derivative agreed with finite differences.
    pub checked: u32,
    /// Points that lie on a kink.
    pub kinks: u32,
}

/// Why a check did not pass.
#[derive(Debug)]
pub enum Failure {
    /// The derivative disagrees with finite differences.
    Derivative {
        /// The point, one vector for each argument, as simple as could be found.
        point: Vec<Vec<f64>>,
        /// The argument with respect to which the derivative is wrong, by its place, and its element: the last of those
        /// that could be found.
        input: (usize, usize),
        /// The same as a name, `fc1.weight[3, 7]`.
        name: String,
        /// The element of the result, of how many.
        output: (usize, usize),
        /// What the derivative claims.
        analytic: f64,
        /// What finite differences say.
        numeric: f64,
    },
    /// The function has no finite value at a point of its domain.
    NotFinite {
        /// The point, one vector for each argument.
        point: Vec<Vec<f64>>,
    },
    /// Too many points lie on a kink, so that nothing is known.
    Kinks {
        /// Points that lie on a kink.
        kinks: u32,
        /// Points at which the derivative agreed with finite differences.
        checked: u32,
    },
    /// The function or its derivative could not be evaluated.
    Evaluation(Error),
}

impl std::error::Error for Failure {}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Derivative { point, input: (input, _), name, output: (result, results), analytic, numeric } => {
                let of = if *results > 1 { format!(" of element {result} of the result") } else { String::new() };
                let relative = (analytic - numeric).abs() / analytic.abs().max(numeric.abs());
                write!(
                    f,
                    "wrong derivative{of} with respect to `{name}`: it claims {analytic:.9}, and finite differences give \
                     {numeric:.9} (relative difference {relative:.1e}), where this argument is {}",
                    Point(&point[*input..][..1])
                )
            }
            Failure::NotFinite { point } => write!(f, "the function has no finite value at {}", Point(point)),
            Failure::Kinks { kinks, checked } => write!(
                f,
                "{kinks} points lie on kinks of the function and {checked} do not: too few to judge the derivative; \
                 choose a domain that keeps away from the kinks"
            ),
            Failure::Evaluation(error) => write!(f, "the function could not be evaluated: {error}"),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Evaluation(error)
    }
}

struct Point<'a>(&'a [Vec<f64>]);

impl fmt::Display for Point<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, values) in self.0.iter().enumerate() {
            let shown = &values[..values.len().min(8)];
            write!(f, "{}{shown:?}", if i > 0 { ", " } else { "" })?;
            if shown.len() < values.len() {
                write!(f, " and {} more", values.len() - shown.len())?;
            }
        }
        Ok(())
    }
}

/// Compares a derivative with finite differences of the function, at points drawn from the domains.
///
/// `function` takes one vector for each input and gives a vector (of one element if it is scalar). `vjp` takes the same
/// and a cotangent c of the result, and gives cᵀ ∂f/∂x for each input x, of its length. At each point a random direction v
/// and a random cotangent c are drawn, and ⟨vjp(x, c), v⟩ is compared with central differences of ⟨c, f(x + t v)⟩ in t,
/// in f64 at several steps. A point counts as a kink, where nothing can be said, only if the differences to the left and
/// to the right disagree however small the step.
///
/// ```
/// use ansatz::check::{Domain, Input, Settings, derivative};
///
/// let x = Input::new("x", 1..=4, Domain::reals(-2.0, 2.0));
/// let cube = |x: &[Vec<f64>]| Ok(x[0].iter().map(|x| x * x * x).collect());
/// let vjp = |x: &[Vec<f64>], c: &[f64]| Ok(vec![x[0].iter().zip(c).map(|(x, c)| 3.0 * x * x * c).collect()]);
/// derivative(&[x], cube, vjp, &Settings::default()).unwrap();
/// ```
///
/// # Errors
/// The simplest point that was found at which the derivative is wrong, narrowed down to one element of one input; or why
/// the derivative could not be judged.
pub fn derivative(
    inputs: &[Input],
    function: impl Fn(&[Vec<f64>]) -> Result<Vec<f64>>,
    vjp: impl Fn(&[Vec<f64>], &[f64]) -> Result<Vec<Vec<f64>>>,
    settings: &Settings,
) -> Result<Passed, Failure> {
    let checker = Checker { inputs, function, vjp, tolerance: settings.tolerance };
    let allowed = (settings.kinks * f64::from(settings.cases)).ceil() as u32;
    let config = Config {
        cases: settings.cases,
        max_global_rejects: allowed,
        max_shrink_iters: 2000,
        failure_persistence: None,
        ..Config::default()
    };
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&settings.seed.to_le_bytes());
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &seed));
    let points: Vec<_> =
        inputs.iter().map(|input| proptest::collection::vec(strategy(input.domain), input.len.clone())).collect();
    let (checked, kinks) = (std::cell::Cell::new(0), std::cell::Cell::new(0));
    let outcome =
        runner.run(&(points, any::<u64>().no_shrink()), |(point, seed)| match checker.examine(&point, seed) {
            Ok(Verdict::Agrees) => {
                checked.set(checked.get() + 1);
                Ok(())
            }
            Ok(Verdict::Kink) => {
                kinks.set(kinks.get() + 1);
                Err(TestCaseError::reject("a kink"))
            }
            Ok(verdict) => Err(TestCaseError::fail(format!("{verdict:?}"))),
            Err(error) => Err(TestCaseError::fail(error.to_string())),
        });
    match outcome {
        Ok(()) => Ok(Passed { checked: checked.get(), kinks: kinks.get() }),
        Err(TestError::Fail(reason, (point, seed))) => Err(match checker.examine(&point, seed)? {
            Verdict::NotFinite => Failure::NotFinite { point },
            Verdict::Differs { .. } => checker.locate(&point, seed)?,
            // Only a function that panics, or is not a function of its arguments, comes here.
            Verdict::Agrees | Verdict::Kink => Failure::Evaluation(Error::value(reason.message().to_owned())),
        }),
        Err(TestError::Abort(_)) => Err(Failure::Kinks { kinks: kinks.get(), checked: checked.get() }),
    }
}

/// Draws one element of a domain. Reals are decimals of nine digits or so and shrink towards 0, to the boundary of what
/// fails.
pub fn strategy(domain: Domain) -> BoxedStrategy<f64> {
    match domain {
        Domain::Reals { low, high, avoid: None } => decimals(low, high).boxed(),
        Domain::Reals { low, high, avoid: Some(point) } => {
            let distance = (high - low) / 100.0;
            decimals(low, high).prop_filter("near a kink", move |x| (x - point).abs() >= distance).boxed()
        }
        Domain::Indices(size) => (0..size).prop_map(|i| i as f64).boxed(),
        Domain::Bools => any::<bool>().prop_map(f64::from).boxed(),
    }
}

/// Proptest's own ranges of reals try only 0 when they shrink; those of integers search for the boundary.
fn decimals(low: f64, high: f64) -> impl Strategy<Value = f64> {
    let magnitude = low.abs().max(high.abs()).max(f64::MIN_POSITIVE);
    let unit = 10f64.powi(9 - magnitude.log10().floor().clamp(-200.0, 200.0) as i32);
    let (first, last) = ((low * unit).floor() as i64, (high * unit).ceil() as i64);
    (first..=last).prop_map(move |k| (k as f64 / unit).clamp(low, high))
}

struct Checker<'a, F, D> {
    inputs: &'a [Input],
    function: F,
    vjp: D,
    tolerance: f64,
}

impl<F, D> Checker<'_, F, D>
where
    F: Fn(&[Vec<f64>]) -> Result<Vec<f64>>,
    D: Fn(&[Vec<f64>], &[f64]) -> Result<Vec<Vec<f64>>>,
{
    /// Whether the derivative is right at the point, along directions that follow from the seed.
    fn examine(&self, point: &[Vec<f64>], seed: u64) -> Result<Verdict> {
        let (direction, cotangent) = self.directions(point, seed)?;
        Ok(self.verdict(point, &direction, &cotangent)?.1)
    }

    /// A direction of the arguments and one of the result.
    fn directions(&self, point: &[Vec<f64>], seed: u64) -> Result<(Vec<Vec<f64>>, Vec<f64>)> {
        let away_from_zero = Domain::reals(-1.0, 1.0).avoiding(0.0);
        let results = (self.function)(point)?.len();
        let cotangent = away_from_zero.sample(results, seed);
        let direction: Vec<Vec<f64>> = (self.inputs.iter().zip(point).zip(1u64..))
            .map(|((input, values), i)| match input.domain {
                Domain::Reals { .. } => away_from_zero.sample(values.len(), seed.wrapping_add(i)),
                Domain::Indices(_) | Domain::Bools => vec![0.0; values.len()],
            })
            .collect();
        Ok((direction, cotangent))
    }

    /// The derivative along `direction` of the result weighted by `cotangent`, as claimed, and what differences say of it.
    fn verdict(&self, point: &[Vec<f64>], direction: &[Vec<f64>], cotangent: &[f64]) -> Result<(f64, Verdict)> {
        let gradient = (self.vjp)(point, cotangent)?;
        for (input, (values, given)) in self.inputs.iter().zip(point.iter().zip(&gradient)) {
            let varied = matches!(input.domain, Domain::Reals { .. });
            if varied && values.len() != given.len() {
                let (name, expected, found) = (&input.name, values.len(), given.len());
                return Err(Error::value(format!(
                    "the derivative with respect to `{name}` should have {expected} elements and has {found}"
                )));
            }
        }
        if gradient.len() != point.len() {
            let (expected, found) = (point.len(), gradient.len());
            return Err(Error::value(format!("there are {expected} inputs and {found} derivatives")));
        }
        let along = gradient.iter().zip(direction).flat_map(|(g, v)| g.iter().zip(v).map(|(g, v)| (g * v, *v)));
        let terms: Vec<f64> = along.filter(|(_, v)| *v != 0.0).map(|(term, _)| term).collect();
        let claimed: f64 = terms.iter().sum();
        // A direction may happen to be nearly orthogonal to the gradient; then the sum is small and its terms are not.
        let scale = 0.1 * terms.iter().map(|t| t * t).sum::<f64>().sqrt();
        let verdict = compare(claimed, scale, self.tolerance, |t| {
            let moved: Vec<Vec<f64>> =
                (point.iter().zip(direction)).map(|(x, v)| x.iter().zip(v).map(|(x, v)| x + t * v).collect()).collect();
            let products = (self.function)(&moved)?.into_iter().zip(cotangent).map(|(y, c)| y * c);
            Ok(products.fold(Value { value: 0.0, magnitude: 0.0 }, |sum, product| Value {
                value: sum.value + product,
                magnitude: sum.magnitude + product.abs(),
            }))
        })?;
        Ok((claimed, verdict))
    }

    /// Narrows a failure down to one element of the direction and of the cotangent, as far as the failure remains.
    fn locate(&self, point: &[Vec<f64>], seed: u64) -> Result<Failure> {
        let (direction, cotangent) = self.directions(point, seed)?;
        let lens: Vec<usize> = direction.iter().map(Vec::len).collect();
        let split = |flat: &[f64]| -> Vec<Vec<f64>> {
            let mut rest = flat;
            lens.iter()
                .map(|&len| {
                    let (part, tail) = rest.split_at(len);
                    rest = tail;
                    part.to_vec()
                })
                .collect()
        };
        let differs = |direction: &[f64], cotangent: &[f64]| {
            let outcome = self.verdict(point, &split(direction), cotangent);
            matches!(outcome, Ok((_, Verdict::Differs { .. })))
        };
        let direction = narrowed(direction.concat(), |direction| differs(direction, &cotangent));
        let cotangent = narrowed(cotangent, |cotangent| differs(&direction, cotangent));
        let (analytic, verdict) = self.verdict(point, &split(&direction), &cotangent)?;
        let numeric = if let Verdict::Differs { numeric } = verdict { numeric } else { analytic };
        let first = |values: &[f64]| values.iter().position(|v| *v != 0.0).unwrap_or(0);
        let mut element = first(&direction);
        let mut input = 0;
        while input + 1 < lens.len() && element >= lens[input] {
            element -= lens[input];
            input += 1;
        }
        Ok(Failure::Derivative {
            point: point.to_vec(),
            input: (input, element),
            name: self.inputs[input].element(element),
            output: (first(&cotangent), cotangent.len()),
            analytic,
            numeric,
        })
    }
}

/// Keeps halving the elements that are not zero as long as one of the halves fails, the later if both do; a single one
/// becomes 1.
fn narrowed(mut values: Vec<f64>, fails: impl Fn(&[f64]) -> bool) -> Vec<f64> {
    loop {
        let support: Vec<usize> = (0..values.len()).filter(|&i| values[i] != 0.0).collect();
        if let [only] = support[..] {
            let mut unit = vec![0.0; values.len()];
            unit[only] = 1.0;
            return if fails(&unit) { unit } else { values };
        }
        let halves = [&support[support.len() / 2..], &support[..support.len() / 2]].map(|half| {
            let mut part = vec![0.0; values.len()];
            half.iter().for_each(|&i| part[i] = values[i]);
            part
        });
        match halves.into_iter().find(|half| fails(half)) {
            Some(half) if support.len() > 1 => values = half,
            _ => return values,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn elementwise(f: fn(f64) -> f64) -> impl Fn(&[Vec<f64>]) -> Result<Vec<f64>> {
        move |x| Ok(x[0].iter().map(|&x| f(x)).collect())
    }

    fn scaled(f: fn(f64) -> f64) -> impl Fn(&[Vec<f64>], &[f64]) -> Result<Vec<Vec<f64>>> {
        move |x, c| Ok(vec![x[0].iter().zip(c).map(|(&x, c)| c * f(x)).collect()])
    }

    fn any_length() -> Vec<Input> {
        vec![Input::new("x", 1..=6, Domain::reals(-3.0, 3.0))]
    }

    #[test]
    fn right_derivatives_pass() {
        let settings = Settings::default();
        let passed = derivative(&any_length(), elementwise(f64::sin), scaled(f64::cos), &settings).unwrap();
        assert_eq!(passed, Passed { checked: 64, kinks: 0 });
        derivative(&any_length(), elementwise(|x| x.max(0.0)), scaled(|x| f64::from(x > 0.0)), &settings).unwrap();
    }

    #[test]
    fn wrong_derivatives_shrink_to_one_element() {
        let wrong = |x: f64| if x > 1.0 { -x.sin() + 0.01 } else { -x.sin() };
        let failure =
            derivative(&any_length(), elementwise(f64::cos), scaled(wrong), &Settings::default()).unwrap_err();
        let Failure::Derivative { point, analytic, numeric, input, output, .. } = &failure else { panic!("{failure}") };
        assert_eq!((point.len(), point[0].len()), (1, 1), "{failure}");
        assert!(point[0][0] > 1.0 && point[0][0] < 1.001, "{failure}");
        assert!((analytic - numeric - 0.01).abs() < 1e-7, "{failure}");
        assert_eq!((input, output), (&(0, 0), &(0, 1)));
    }

    #[test]
    fn a_wrong_element_of_many_is_named() {
        // f(a, b) = Σ a² b, with the derivative of one element doubled.
        let inputs = [
            Input::new("a", 50..=50, Domain::reals(1.0, 2.0)),
            Input::new("label", 2..=2, Domain::Indices(3)),
            Input::new("b", 50..=50, Domain::reals(1.0, 2.0)),
        ];
        let function = |x: &[Vec<f64>]| Ok(vec![x[0].iter().zip(&x[2]).map(|(a, b)| a * a * b).sum()]);
        let vjp = |x: &[Vec<f64>], c: &[f64]| {
            let mut b: Vec<f64> = x[0].iter().map(|a| a * a * c[0]).collect();
            b[37] *= 2.0;
            Ok(vec![x[0].iter().zip(&x[2]).map(|(a, b)| 2.0 * a * b * c[0]).collect(), vec![], b])
        };
        let failure = derivative(&inputs, function, vjp, &Settings::default()).unwrap_err();
        let message = failure.to_string();
        assert!(message.starts_with("wrong derivative with respect to `b[37]`: it claims 2."), "{message}");
    }

    #[test]
    fn elements_are_counted_along_axes() {
        let element = |shape: &[usize], at| Input::tensor("w", shape, Domain::reals(0.0, 1.0)).element(at);
        assert_eq!([element(&[4, 3], 7), element(&[2, 2, 5], 19)], ["w[2, 1]", "w[1, 1, 4]"]);
        assert_eq!(element(&[], 0), "w");
    }

    #[test]
    fn a_function_of_kinks_alone_is_not_judged() {
        let inputs = [Input::new("x", 1..=1, Domain::reals(0.0, 0.0))];
        let failure =
            derivative(&inputs, elementwise(f64::abs), scaled(f64::signum), &Settings::default()).unwrap_err();
        assert!(matches!(failure, Failure::Kinks { checked: 0, .. }), "{failure}");
    }

    #[test]
    fn poles_and_errors_are_reported() {
        let settings = Settings::default();
        let inputs = [Input::new("x", 1..=1, Domain::reals(-1.0, 1.0))];
        let failure = derivative(&inputs, elementwise(f64::ln), scaled(f64::recip), &settings).unwrap_err();
        assert!(matches!(failure, Failure::NotFinite { .. }), "{failure}");
        let failure = derivative(&inputs, |_| Err(Error::value("no")), scaled(f64::recip), &settings).unwrap_err();
        assert_eq!(failure.to_string(), "the function could not be evaluated: no");
        let failure = derivative(&inputs, elementwise(f64::sin), |_, _| Ok(vec![vec![]]), &settings).unwrap_err();
        assert_eq!(
            failure.to_string(),
            "the function could not be evaluated: the derivative with respect to `x` should have 1 elements and has 0"
        );
    }
}
