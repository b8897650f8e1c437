//! The parts of a net while its body is inferred: its layers, their labels, and what was made where.

use super::typed::{Key, Layer, LayerKind, ValueId, key};
use super::value::{LayerValue, Site, Tensor};
use crate::terms::Term;
use ansatz_shapes::Size as _;
use proc_macro2::{Ident, Span};
use std::collections::{HashMap, HashSet};

/// What was made at a place: a second use of the place is a second use of the same.
#[derive(Clone, Debug)]
enum Placed {
    /// A layer with parameters or a scope, by its position.
    Layer(usize),
    /// Random draws under this label. A further use draws anew under the same label.
    Draws(Key),
}

/// The parts of a net.
#[derive(Clone, Debug, Default)]
pub(super) struct Parts {
    /// The layers in the order of creation.
    pub(super) layers: Vec<Layer>,
    /// The states that have an update, by their positions among the layers.
    pub(super) updated: Vec<usize>,
    /// The states that values are read from.
    pub(super) owned: Vec<(ValueId, usize)>,
    /// Labels in use, with the scopes before them.
    labels: HashSet<String>,
    /// How many unlabelled parts of a kind there are in a scope: `linear2` comes after `linear1`.
    counts: HashMap<(Option<usize>, &'static str), usize>,
    placed: HashMap<Site, Placed>,
    /// The frames of closures and of repeated layers, by where they were written and which one it is.
    frames: HashMap<(Site, usize), usize>,
}

impl Parts {
    /// The layer that was made at a place, by its position.
    pub(super) fn at(&self, site: Site) -> Option<usize> {
        match self.placed.get(&site) {
            Some(Placed::Layer(position)) => Some(*position),
            _ => None,
        }
    }

    /// Adds a layer that is made at a place.
    pub(super) fn add(&mut self, layer: Layer, site: Site) -> usize {
        self.layers.push(layer);
        let position = self.layers.len() - 1;
        self.placed.insert(site, Placed::Layer(position));
        position
    }

    /// The label of what was drawn at a place.
    pub(super) fn drawn(&self, site: Site) -> Option<Key> {
        match self.placed.get(&site) {
            Some(Placed::Draws(label)) => Some(label.clone()),
            _ => None,
        }
    }

    /// A place draws under a label of a scope.
    pub(super) fn draw(&mut self, site: Site, scope: Option<usize>, label: Ident) -> Key {
        let key = Key { scope, label };
        self.placed.insert(site, Placed::Draws(key.clone()));
        key
    }

    /// The label of the next unlabelled part of a kind in a scope.
    pub(super) fn numbered(&mut self, scope: Option<usize>, kind: &'static str, at: Span) -> Ident {
        let count = self.counts.entry((scope, kind)).or_insert(0);
        *count += 1;
        Ident::new(&format!("{kind}{count}"), at)
    }

    /// Takes a label; gives its path where another part has it.
    pub(super) fn claim(&mut self, label: &Ident, scope: Option<usize>) -> Result<(), String> {
        let path = key(&self.layers, scope, label);
        match self.labels.insert(path.clone()) {
            true => Ok(()),
            false => Err(path),
        }
    }

    /// Whether no part has a label.
    pub(super) fn is_free(&self, label: &Ident, scope: Option<usize>) -> bool {
        !self.labels.contains(&key(&self.layers, scope, label))
    }

    /// The frame of the i-th use of an expression: what is made there is made once for each i.
    pub(super) fn frame_of(&mut self, site: Site, i: usize) -> usize {
        let next = self.frames.len() + 1;
        *self.frames.entry((site, i)).or_insert(next)
    }

    /// One more use of a layer, with its multiply-adds.
    pub(super) fn work(&mut self, position: usize, work: &Term) {
        let layer = &mut self.layers[position];
        layer.multiply_adds = layer.multiply_adds.plus(work);
    }

    /// What was done since those were the multiply-adds of all layers is done so many times.
    pub(super) fn times(&mut self, before: &[Term], times: &Term) {
        for (i, layer) in self.layers.iter_mut().enumerate() {
            let before = before.get(i).cloned().unwrap_or_else(|| Term::literal(0));
            layer.multiply_adds = before.plus(&layer.multiply_adds.minus(&before).times(times));
        }
    }

    /// Whether the first layer of a list stands for all of them.
    pub(super) fn fold(&mut self, list: Option<usize>, fold: bool) {
        if let Some(LayerKind::Scope { folded, .. }) = list.map(|list| &mut self.layers[list].kind) {
            *folded = fold;
        }
    }

    /// How many parts stand in a scope.
    pub(super) fn in_scope(&self, scope: usize) -> usize {
        self.layers.iter().filter(|layer| layer.scope == Some(scope)).count()
    }

    /// The multiply-adds of all layers so far.
    pub(super) fn works(&self) -> Vec<Term> {
        self.layers.iter().map(|layer| layer.multiply_adds.clone()).collect()
    }

    /// The state that a tensor is the value of.
    pub(super) fn state_of(&self, tensor: &Tensor) -> Option<usize> {
        self.owned.iter().find(|(id, _)| *id == tensor.id).map(|(_, layer)| *layer)
    }

    /// The labels of the states.
    pub(super) fn states(&self) -> impl Iterator<Item = (usize, &Ident)> {
        let states = self.layers.iter().enumerate();
        states.filter_map(|(i, layer)| match layer.kind {
            LayerKind::Tensor { state: true, .. } => Some((i, &layer.label)),
            _ => None,
        })
    }

    /// What errors call a part: its label, its place in a list (`blocks.0`), or how it reads.
    pub(super) fn called(&self, layer: &LayerValue<'_>) -> String {
        match &layer.label {
            Some(label) if label.name.to_string().starts_with('_') && !label.written => {
                key(&self.layers, layer.scope, &label.name)
            }
            Some(label) => label.name.to_string(),
            None => layer.text.clone(),
        }
    }
}
