//! What the tensors of a foreign file are called, and how they are laid out.

/// A table from the keys and layouts of a foreign file to those of a model. In patterns `*` stands for any characters, and
/// means the same on both sides, from left to right; the last rule that fits a key counts.
///
/// ```
/// use ansatz::train::{Load, Mapping};
///
/// // GPT-2 as Hugging Face stores it: one weight for q, k and v, all weights as [in, out].
/// let mapping = Mapping::new()
///     .rename("blocks.*", "h.*")
///     .split(["blocks.*.attn.q.*", "blocks.*.attn.k.*", "blocks.*.attn.v.*"], "h.*.attn.c_attn.*")
///     .transposed("h.*.c_*.weight");
/// let options = Load::new().mapping(mapping).ignore("h.*.attn.bias");
/// # let _ = options;
/// ```
#[derive(Clone, Debug, Default)]
pub struct Mapping {
    rules: Vec<Rule>,
    transposed: Vec<String>,
    unbatched: Vec<String>,
}

#[derive(Clone, Debug)]
enum Rule {
    Rename { model: String, file: String },
    Join { model: String, file: Vec<String> },
    Split { model: Vec<String>, file: String },
}

/// Where a tensor of the model comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// These tensors of the file, one after the other along the first axis.
    Joined(Vec<String>),
    /// A part of a tensor of the file along the first axis: it has these tensors of the model one after the other, of
    /// which it is the one at this place.
    Part { file: String, parts: Vec<String>, place: usize },
}

impl Mapping {
    /// All keys and layouts agree.
    pub fn new() -> Self {
        Self::default()
    }

    /// What the model calls `model` is `file` in the file.
    pub fn rename(mut self, model: &str, file: &str) -> Self {
        self.rules.push(Rule::Rename { model: model.into(), file: file.into() });
        self
    }

    /// A tensor of the model is several of the file, one after the other along its first axis.
    pub fn join<const N: usize>(mut self, model: &str, file: [&str; N]) -> Self {
        self.rules.push(Rule::Join { model: model.into(), file: file.map(str::to_owned).into() });
        self
    }

    /// Several tensors of the model are one of the file, one after the other along its first axis.
    pub fn split<const N: usize>(mut self, model: [&str; N], file: &str) -> Self {
        self.rules.push(Rule::Split { model: model.map(str::to_owned).into(), file: file.into() });
        self
    }

    /// Matrices that the file calls so are stored transposed, before they are joined or split.
    pub fn transposed(mut self, file: &str) -> Self {
        self.transposed.push(file.into());
        self
    }

    /// Tensors that the file calls so have a first axis of size 1 that the model does without.
    pub fn unbatched(mut self, file: &str) -> Self {
        self.unbatched.push(file.into());
        self
    }

    /// The shape of a tensor that the file calls so, as the model has it.
    pub(super) fn shape(&self, file: &str, stored: &[usize]) -> Vec<usize> {
        match *stored {
            [rows, columns] if self.is_transposed(file) => vec![columns, rows],
            [1, ref rest @ ..] if self.unbatched.iter().any(|pattern| stars(pattern, file).is_some()) => rest.to_vec(),
            _ => stored.to_vec(),
        }
    }

    /// Where the tensor of this key of the model comes from.
    pub(super) fn origin(&self, key: &str) -> Origin {
        let mut origin = Origin::Joined(vec![key.to_owned()]);
        for rule in &self.rules {
            match rule {
                Rule::Rename { model, file } => {
                    if let Some(stars) = stars(model, key) {
                        origin = Origin::Joined(vec![filled(file, &stars)]);
                    }
                }
                Rule::Join { model, file } => {
                    if let Some(stars) = stars(model, key) {
                        origin = Origin::Joined(file.iter().map(|file| filled(file, &stars)).collect());
                    }
                }
                Rule::Split { model, file } => {
                    let found = model.iter().enumerate().find_map(|(i, model)| Some((i, stars(model, key)?)));
                    if let Some((place, stars)) = found {
                        let parts = model.iter().map(|model| filled(model, &stars)).collect();
                        origin = Origin::Part { file: filled(file, &stars), parts, place };
                    }
                }
            }
        }
        origin
    }

    /// Whether the file stores this tensor transposed.
    pub(super) fn is_transposed(&self, file: &str) -> bool {
        self.transposed.iter().any(|pattern| stars(pattern, file).is_some())
    }
}

/// What the stars of a pattern stand for in a key, if it fits. The first stars take as little as they can.
fn stars<'k>(pattern: &str, key: &'k str) -> Option<Vec<&'k str>> {
    let Some((before, after)) = pattern.split_once('*') else {
        return (pattern == key).then(Vec::new);
    };
    let rest = key.strip_prefix(before)?;
    let ends = rest.char_indices().map(|(at, _)| at).chain([rest.len()]);
    ends.into_iter().find_map(|end| {
        let mut found = vec![&rest[..end]];
        found.extend(stars(after, &rest[end..])?);
        Some(found)
    })
}

/// A pattern with its stars replaced; a star too many stands for nothing.
fn filled(pattern: &str, stars: &[&str]) -> String {
    let mut parts = pattern.split('*');
    let mut key = parts.next().unwrap_or_default().to_owned();
    for (i, part) in parts.enumerate() {
        key.push_str(stars.get(i).copied().unwrap_or_default());
        key.push_str(part);
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_are_carried_over_and_the_last_rule_counts() {
        let mapping = Mapping::new()
            .rename("blocks.*", "h.*")
            .rename("blocks.*.norm.*", "h.*.ln_1.*")
            .join("blocks.*.qkv.*", ["l.*.q.*", "l.*.k.*"])
            .split(["a.*.q", "a.*.k"], "b.*.qk");
        assert_eq!(mapping.origin("head"), Origin::Joined(vec!["head".into()]));
        assert_eq!(mapping.origin("blocks.11.mlp.weight"), Origin::Joined(vec!["h.11.mlp.weight".into()]));
        assert_eq!(mapping.origin("blocks.3.norm.bias"), Origin::Joined(vec!["h.3.ln_1.bias".into()]));
        let joined = Origin::Joined(vec!["l.0.q.weight".into(), "l.0.k.weight".into()]);
        assert_eq!(mapping.origin("blocks.0.qkv.weight"), joined);
        let part = Origin::Part { file: "b.2.qk".into(), parts: vec!["a.2.q".into(), "a.2.k".into()], place: 1 };
        assert_eq!(mapping.origin("a.2.k"), part);
    }

    #[test]
    fn a_star_stands_for_any_characters() {
        assert_eq!(stars("a.*.b*", "a.x.y.b"), Some(vec!["x.y", ""]));
        assert_eq!(stars("*", "é"), Some(vec!["é"]));
        assert_eq!(stars("a.*", "b.c"), None);
        assert_eq!(stars("a", "ab"), None);
    }
}
