//! Groups of parameters that are fitted in their own way.

use crate::error::nearest;
use crate::graph::StateKind;
use crate::nn::Slot;
use crate::{Error, Result};
use std::fmt;
use std::sync::Arc;

/// A group of parameters and what is special about it. What stays unset is as for all other parameters.
///
/// ```
/// # use ansatz::optim::Group;
/// let slow = Group::matching("encoder.*").learning_rate(1e-4);
/// let frozen = Group::matching("embedding.weight").frozen();
/// ```
#[derive(Clone)]
pub struct Group {
    name: String,
    rule: Arc<dyn Fn(&Slot) -> bool + Send + Sync>,
    pub(super) learning_rate: Option<f64>,
    pub(super) weight_decay: Option<f64>,
    pub(super) frozen: bool,
}

impl Group {
    /// The parameters whose key fits the pattern, in which `*` stands for any characters: `*.bias`, `layer1.*`.
    pub fn matching(pattern: impl Into<String>) -> Self {
        let pattern = pattern.into();
        let name = pattern.clone();
        Group { name, ..Group::when(move |slot| key_matches(&pattern, &slot.key)) }
    }

    /// The parameters for which `rule` holds.
    pub fn when(rule: impl Fn(&Slot) -> bool + Send + Sync + 'static) -> Self {
        Group {
            name: "by rule".to_owned(),
            rule: Arc::new(rule),
            learning_rate: None,
            weight_decay: None,
            frozen: false,
        }
    }

    /// The group's own learning rate; the schedule acts on it too.
    pub fn learning_rate(mut self, rate: f64) -> Self {
        self.learning_rate = Some(rate);
        self
    }

    /// The group's own weight decay, for all its parameters.
    pub fn weight_decay(mut self, decay: f64) -> Self {
        self.weight_decay = Some(decay);
        self
    }

    /// The group keeps its values; no gradient is computed for it.
    pub fn frozen(mut self) -> Self {
        self.frozen = true;
        self
    }

    /// Whether there is a parameter that it holds.
    ///
    /// # Errors
    /// If there is none, with the key that may have been meant.
    pub(super) fn check(&self, slots: &[Slot]) -> Result<()> {
        let parameters = || slots.iter().filter(|slot| slot.kind == StateKind::Parameter);
        if parameters().any(|slot| self.holds(slot)) {
            return Ok(());
        }
        let inside = parameters().any(|slot| slot.key.contains(&self.name)).then(|| format!("*{}*", self.name));
        let meant = inside.or_else(|| nearest(&self.name, parameters().map(|slot| &*slot.key)).map(str::to_owned));
        let meant = meant.map_or(String::new(), |meant| format!("; did you mean `{meant}`?"));
        let name = &self.name;
        Err(Error::value(format!("a group of parameters, `{name}`, holds none of this net{meant}")))
    }

    pub(super) fn holds(&self, slot: &Slot) -> bool {
        (self.rule)(slot)
    }
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group")
            .field("name", &self.name)
            .field("learning_rate", &self.learning_rate)
            .field("weight_decay", &self.weight_decay)
            .field("frozen", &self.frozen)
            .finish_non_exhaustive()
    }
}

/// Whether a key fits a pattern in which `*` stands for any characters, also none.
pub fn key_matches(pattern: &str, key: &str) -> bool {
    let mut pieces = pattern.split('*');
    let first = pieces.next().unwrap_or_default();
    let Some(mut rest) = key.strip_prefix(first) else { return false };
    let mut pieces: Vec<&str> = pieces.collect();
    let Some(last) = pieces.pop() else { return rest.is_empty() };
    for piece in pieces {
        match rest.find(piece) {
            Some(at) => rest = &rest[at + piece.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::key_matches;

    #[test]
    fn patterns() {
        for (pattern, key, fits) in [
            ("fc1.weight", "fc1.weight", true),
            ("fc1.weight", "fc1.weights", false),
            ("fc1.*", "fc1.weight", true),
            ("fc1.*", "fc10.weight", false),
            ("*.bias", "mlp.fc1.bias", true),
            ("*.bias", "bias", false),
            ("*bias", "bias", true),
            ("layer*.conv*.weight", "layer1.0.conv1.weight", true),
            ("layer*.conv*.weight", "layer1.0.bn1.weight", false),
            ("a*a", "a", false),
            ("*", "", true),
            ("", "x", false),
        ] {
            assert_eq!(key_matches(pattern, key), fits, "{pattern} on {key}");
        }
    }
}
