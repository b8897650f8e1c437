//! Distributions in the plane that generative models are tried on.

use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use std::f64::consts::{FRAC_1_SQRT_2, PI, TAU};
use std::fmt;
use std::str::FromStr;

/// A distribution in the plane. Each is of about unit size up to a factor of four, as in the experiments of FFJORD
/// (Grathwohl et al. 2019), whose parameters these are.
///
/// ```
/// use ansatz::data::Toy;
///
/// let points: Vec<[f64; 2]> = Toy::Moons.sample(1000, 7);
/// assert_eq!(points, Toy::Moons.sample(1000, 7));
/// assert_eq!("checkerboard".parse::<Toy>()?, Toy::Checkerboard);
/// # Ok::<(), ansatz::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Toy {
    /// Two half circles of radius 2 that reach into each other, centred, with normal noise of deviation 0.1.
    Moons,
    /// Eight normal distributions of deviation 0.25 on a circle of radius 2√2.
    Gaussians,
    /// Eight of the sixteen unit-and-a-bit squares of [−4, 4]², uniformly: those where the sum of column and row is even.
    Checkerboard,
    /// Five arms: normal distributions stretched along the radius and twisted by it.
    Pinwheel,
    /// A spiral of one and a half turns, r = 0.3 t for t from 3π/2 to 9π/2, with normal noise of deviation 0.1.
    SwissRoll,
}

impl Toy {
    /// All of them.
    pub const ALL: [Toy; 5] = [Toy::Moons, Toy::Gaussians, Toy::Checkerboard, Toy::Pinwheel, Toy::SwissRoll];

    /// The name, as it is read from text.
    pub fn name(self) -> &'static str {
        match self {
            Toy::Moons => "moons",
            Toy::Gaussians => "gaussians",
            Toy::Checkerboard => "checkerboard",
            Toy::Pinwheel => "pinwheel",
            Toy::SwissRoll => "swissroll",
        }
    }

    /// Independent draws, which depend on the seed alone: the same on every machine up to the rounding of sine and
    /// cosine.
    pub fn sample(self, count: usize, seed: u64) -> Vec<[f64; 2]> {
        let mut draw = Draw(ChaCha8Rng::seed_from_u64(seed));
        (0..count).map(|_| self.point(&mut draw)).collect()
    }

    fn point(self, draw: &mut Draw) -> [f64; 2] {
        match self {
            Toy::Moons => {
                let (upper, angle, [dx, dy]) = (draw.below(2) == 0, PI * draw.uniform(), draw.normal());
                let (x, y) = if upper { (angle.cos(), angle.sin()) } else { (1.0 - angle.cos(), 0.5 - angle.sin()) };
                [2.0 * x - 1.0 + 0.1 * dx, 2.0 * y - 0.5 + 0.1 * dy]
            }
            Toy::Gaussians => {
                let (angle, [dx, dy]) = (TAU / 8.0 * draw.below(8) as f64, draw.normal());
                [4.0 * FRAC_1_SQRT_2 * angle.cos() + 0.25 * dx, 4.0 * FRAC_1_SQRT_2 * angle.sin() + 0.25 * dy]
            }
            Toy::Checkerboard => {
                let (column, half) = (draw.below(4), draw.below(2));
                let row = 2 * half + column % 2;
                [2.0 * (column as f64 + draw.uniform()) - 4.0, 2.0 * (row as f64 + draw.uniform()) - 4.0]
            }
            Toy::Pinwheel => {
                let (arm, [along, across]) = (draw.below(5), draw.normal());
                let (radial, tangential) = (1.0 + 0.3 * along, 0.1 * across);
                let angle = TAU / 5.0 * arm as f64 + 0.25 * radial.exp();
                let (sin, cos) = angle.sin_cos();
                [2.0 * (radial * cos + tangential * sin), 2.0 * (tangential * cos - radial * sin)]
            }
            Toy::SwissRoll => {
                let (t, [dx, dy]) = (1.5 * PI * (1.0 + 2.0 * draw.uniform()), draw.normal());
                [0.3 * t * t.cos() + 0.1 * dx, 0.3 * t * t.sin() + 0.1 * dy]
            }
        }
    }
}

impl fmt::Display for Toy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Toy {
    type Err = crate::Error;

    fn from_str(name: &str) -> crate::Result<Self> {
        Toy::ALL.into_iter().find(|toy| toy.name() == name).ok_or_else(|| {
            let names = Toy::ALL.map(Toy::name).join(", ");
            crate::Error::value(format!("there is no toy distribution `{name}`; there are {names}"))
        })
    }
}

/// Standard normal points of the plane, which depend on the seed alone.
pub fn normal_points(count: usize, seed: u64) -> Vec<[f64; 2]> {
    let mut draw = Draw(ChaCha8Rng::seed_from_u64(seed));
    (0..count).map(|_| draw.normal()).collect()
}

struct Draw(ChaCha8Rng);

impl Draw {
    /// Uniform on [0, 1).
    fn uniform(&mut self) -> f64 {
        self.0.random()
    }

    fn below(&mut self, end: u32) -> u32 {
        self.0.random_range(0..end)
    }

    /// Two independent standard normal numbers, by Box and Muller's formula.
    fn normal(&mut self) -> [f64; 2] {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        let (sin, cos) = (TAU * self.uniform()).sin_cos();
        [radius * cos, radius * sin]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Distance from the curve or the set that the distribution lies on, in deviations of its noise.
    fn deviations(toy: Toy, [x, y]: [f64; 2]) -> f64 {
        match toy {
            Toy::Moons => {
                let to = |cx: f64, cy: f64| ((x - cx).hypot(y - cy) - 2.0).abs() / 0.1;
                to(-1.0, -0.5).min(to(1.0, 0.5))
            }
            Toy::Gaussians => (0..8)
                .map(|i| TAU / 8.0 * f64::from(i))
                .map(|a| (x - 8f64.sqrt() * a.cos()).hypot(y - 8f64.sqrt() * a.sin()) / 0.25)
                .fold(f64::INFINITY, f64::min),
            Toy::Checkerboard => {
                let [column, row] = [x, y].map(|z| ((z + 4.0) / 2.0).floor() as i32);
                if (0..4).contains(&column) && (0..4).contains(&row) && (column + row) % 2 == 0 { 0.0 } else { 99.0 }
            }
            Toy::Pinwheel => ((x.hypot(y) / 2.0 - 1.0) / 0.32).abs(),
            // On the spiral, angle and radius agree modulo a turn.
            Toy::SwissRoll => {
                let turns = (x.hypot(y) / 0.3 - y.atan2(x)) / TAU;
                (turns - turns.round()).abs() * TAU * 0.3 / 0.1
            }
        }
    }

    #[test]
    fn points_lie_where_the_formulas_say() {
        for toy in Toy::ALL {
            let points = toy.sample(4000, 3);
            let worst = points.iter().map(|&p| deviations(toy, p)).fold(0.0, f64::max);
            assert!(worst < 5.5, "{toy}: {worst}");
            assert_eq!(points, toy.sample(4000, 3));
            assert_eq!(points[..10], toy.sample(10, 3));
            assert_ne!(points, toy.sample(4000, 4));
            assert_eq!(toy.name().parse::<Toy>().expect("its own name"), toy);
        }
        assert!("moon".parse::<Toy>().expect_err("no such name").to_string().contains("there are moons, gaussians"));
    }

    /// Bounds are five standard errors of 20 000 draws of the symmetric ones.
    #[test]
    fn means_and_normal_points() {
        for toy in [Toy::Moons, Toy::Gaussians, Toy::Checkerboard, Toy::Pinwheel] {
            let points = toy.sample(20_000, 1);
            for axis in 0..2 {
                let mean = points.iter().map(|p| p[axis]).sum::<f64>() / 2e4;
                assert!(mean.abs() < 5.0 * 2.4 / 2e4f64.sqrt(), "{toy}: {mean}");
            }
        }
        let points = normal_points(20_000, 1);
        let moment = |f: &dyn Fn(&[f64; 2]) -> f64| points.iter().map(f).sum::<f64>() / 2e4;
        let bound = 5.0 / 2e4f64.sqrt();
        assert!(moment(&|p| p[0]).abs() < bound && moment(&|p| p[1]).abs() < bound);
        assert!((moment(&|p| p[0] * p[0]) - 1.0).abs() < bound * 2f64.sqrt());
        assert!(moment(&|p| p[0] * p[1]).abs() < bound);
    }
}
