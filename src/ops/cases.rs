//! Small graphs with one op each and the numbers to try them on: every test of derivatives and kernels walks this list.

use crate::Result;
use crate::graph::{DType, Graph, NodeId};

/// A small graph with one result, `y`, and where its inputs come from.
#[derive(Clone, Debug)]
pub struct Case {
    /// The op, and what is special about the case.
    pub name: String,
    /// The graph; its only output is the op's result.
    pub graph: Graph,
    /// Where the elements of each input come from.
    pub domains: Vec<Domain>,
    /// The state before the run, one tensor a slot.
    pub states: Vec<Vec<f64>>,
}

/// Where the elements of a test tensor come from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Domain {
    /// Real numbers of an interval.
    Reals {
        /// The least.
        low: f64,
        /// The greatest.
        high: f64,
        /// A point to keep a hundredth of the interval's length away from: a kink, a pole.
        avoid: Option<f64>,
    },
    /// Indices into a space of this size.
    Indices(usize),
    /// Truth values.
    Bools,
}

impl Domain {
    /// The real numbers of an interval.
    pub const fn reals(low: f64, high: f64) -> Self {
        Domain::Reals { low, high, avoid: None }
    }

    /// The same without the neighbourhood of a point.
    pub const fn avoiding(self, point: f64) -> Self {
        match self {
            Domain::Reals { low, high, .. } => Domain::Reals { low, high, avoid: Some(point) },
            other => other,
        }
    }

    /// The element that belongs to a number of [0, 1): as evenly spread as the number.
    pub fn element(self, unit: f64) -> f64 {
        match self {
            Domain::Reals { low, high, avoid: None } => low + unit * (high - low),
            Domain::Reals { low, high, avoid: Some(point) } => {
                // The interval without the gap is shorter; what lies beyond the gap is moved over it.
                let gap = (high - low) / 50.0;
                let start = (point - gap / 2.0).max(low);
                let end = (point + gap / 2.0).min(high);
                let x = low + unit * (high - low - (end - start));
                if x < start { x } else { x + (end - start) }
            }
            Domain::Indices(size) => (unit * size as f64).floor(),
            Domain::Bools => f64::from(unit < 0.5),
        }
    }

    /// Elements that depend on the seed alone.
    pub fn sample(self, len: usize, seed: u64) -> Vec<f64> {
        let mut state = seed;
        let mut draw = || {
            // SplitMix64 (Steele, Lea & Flood 2014).
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut word = state;
            word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            word ^= word >> 31;
            (word >> 11) as f64 / (1u64 << 53) as f64
        };
        (0..len).map(|_| self.element(draw())).collect()
    }
}

impl Case {
    /// A graph whose inputs are named `x0`, `x1`, … and have the shapes and domains given; reals are of type `float`.
    pub(super) fn new(
        name: impl Into<String>,
        float: DType,
        inputs: &[(&[usize], Domain)],
        build: impl FnOnce(&mut Graph, &[NodeId]) -> Result<NodeId>,
    ) -> Result<Self> {
        let mut graph = Graph::new();
        let mut nodes = Vec::new();
        for (i, (dims, domain)) in inputs.iter().enumerate() {
            let dtype = match domain {
                Domain::Reals { .. } => float,
                Domain::Indices(_) => DType::Index,
                Domain::Bools => DType::Bool,
            };
            nodes.push(graph.input(format!("x{i}"), dims, dtype));
        }
        let y = build(&mut graph, &nodes)?;
        graph.output("y", y);
        let states = graph.states().iter().map(|slot| vec![3.0; slot.dims.iter().product()]).collect();
        Ok(Case { name: name.into(), graph, domains: inputs.iter().map(|&(_, domain)| domain).collect(), states })
    }

    /// Elements for every input, which depend on the seed alone.
    pub fn sample(&self, seed: u64) -> Vec<Vec<f64>> {
        let slots = self.graph.inputs().iter().zip(&self.domains).zip(0u64..);
        slots
            .map(|((slot, domain), i)| domain.sample(slot.dims.iter().product(), seed.wrapping_mul(31).wrapping_add(i)))
            .collect()
    }
}

/// Lists values and, from the same list, a `match` without a rest arm, so that a forgotten one does not compile.
macro_rules! each {
    ($type:ident: $($variant:ident)*) => {{
        const fn known(value: $type) {
            match value { $($type::$variant => {})* }
        }
        const ALL: &[$type] = &[$($type::$variant),*];
        known(ALL[0]);
        ALL
    }};
}

pub(super) use each;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::cases;

    #[test]
    fn domains_keep_their_distance() {
        for x in Domain::reals(-3.0, 3.0).avoiding(0.0).sample(1000, 1) {
            assert!((-3.0..=3.0).contains(&x) && x.abs() >= 0.0599, "{x}");
        }
        assert!(Domain::Indices(4).sample(100, 2).iter().all(|&i| i.fract() == 0.0 && (0.0..4.0).contains(&i)));
    }

    #[test]
    fn every_case_is_well_formed() {
        for float in [DType::F32, DType::F64] {
            for case in cases(float).unwrap() {
                crate::ops::verify(&case.graph).unwrap_or_else(|e| panic!("{}: {e}", case.name));
            }
        }
    }
}
