//! What a training file remembers of where it came from: the data, and how parameters were fitted.

use super::batches::fed;
use crate::data::{Dataset, Pass};
use crate::nn::Batch;
use crate::optim::Recipe;
use crate::run::Data;
use crate::tensor::Feed;
use crate::{Error, Result};
use serde_json::{Value, json};

/// A data set, as far as it can be told from others without reading all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    samples: u64,
    /// Of some samples.
    sum: u64,
}

impl Origin {
    /// Looks at a few samples, first and last ones among them.
    pub fn of<B: Batch>(data: &dyn Dataset<B>) -> Result<Self> {
        let len = data.len();
        let mut rows: Vec<u32> = [0, len / 3, len / 2, len - 1].map(|row| row as u32).to_vec();
        rows.dedup();
        let (mut feed, mut dims) = (Feed::default(), Vec::new());
        fed(data, &rows, Pass::Evaluation, &mut feed, &mut dims)?;
        // FNV-1a over the bits of all elements.
        let mut sum = 0xcbf2_9ce4_8422_2325_u64;
        let mut take = |word: u64| sum = (sum ^ word).wrapping_mul(0x0100_0000_01b3);
        for data in feed.data().iter() {
            match data {
                Data::F32(values) => values.iter().for_each(|x| take(x.to_bits().into())),
                Data::F64(values) => values.iter().for_each(|x| take(x.to_bits())),
                Data::Index(values) => values.iter().for_each(|&x| take(x.into())),
                Data::Bool(values) => values.iter().for_each(|&x| take(x.into())),
            }
        }
        Ok(Origin { samples: len as u64, sum })
    }

    /// Whether a training that began on this data may go on with the other.
    ///
    /// # Errors
    /// If not, with the word that allows it.
    pub fn check(&self, other: &Self) -> Result<()> {
        if self == other {
            return Ok(());
        }
        let what = match self.samples == other.samples {
            true => format!("other {} samples", other.samples),
            false => format!("{} samples, and not {}", other.samples, self.samples),
        };
        Err(Error::value(format!(
            "this training was resumed and is given {what} than it had before, so that it would not go on as it began; \
             `Trainer::take_other_data` allows it"
        )))
    }

    pub fn note(&self) -> Value {
        json!({ "samples": self.samples, "sum": self.sum })
    }

    pub fn read(note: &Value) -> Option<Self> {
        Some(Origin { samples: note.get("samples")?.as_u64()?, sum: note.get("sum")?.as_u64()? })
    }
}

/// How parameters are fitted, as text that is equal for equal recipes.
pub(super) fn recipe(recipe: &Recipe) -> String {
    format!("{recipe:?}")
}
