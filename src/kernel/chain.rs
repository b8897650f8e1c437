//! Fused kernels that run slab after slab, as data.

use super::tiled::{Source, Tiled};
use super::view::{Access, View};

/// Kernels that agree on an axis none of them reduces. Each slab of it goes through all of them before the next, so that
/// what one has read or written is still in the cache for the next one. No slab sees what another has written.
#[derive(Clone, Debug, PartialEq)]
pub struct Chain {
    /// How many slabs there are, equally long.
    pub slabs: usize,
    /// The kernels.
    pub links: Vec<Link>,
}

/// A kernel, and the axis of its iteration space that is cut into slabs.
#[derive(Clone, Debug, PartialEq)]
pub struct Link {
    /// The kernel over all slabs.
    pub tiled: Tiled,
    /// The axis.
    pub axis: usize,
}

impl Link {
    /// Elements from slab to slab, for a view of one of `slabs`.
    pub fn step(&self, view: &View, slabs: usize) -> isize {
        view.strides[self.axis] * (self.tiled.dims[self.axis] / slabs) as isize
    }

    /// The stride along the axis of a view of which every slab sees a part of its own.
    fn apart(&self, view: &View) -> Option<usize> {
        view.apart(&self.tiled.dims, self.axis)
    }
}

impl Chain {
    pub(super) fn views_mut(&mut self, visit: &mut dyn FnMut(Access, &mut View, &[usize])) {
        self.links.iter_mut().for_each(|link| link.tiled.views_mut(visit));
    }

    /// Whether `target` may lie where `source` is: one link writes it, element by element from there; links before it see
    /// no other slab's part of `source`, links behind it none of `source` and no other slab's part of `target`.
    pub(super) fn replaces(&self, source: usize, target: usize) -> bool {
        let stores = |link: &Link| link.tiled.stores.iter().filter(|store| store.view.operand == target).count();
        let Some(writer) = self.links.iter().position(|link| stores(link) > 0) else { return false };
        let Link { tiled, .. } = &self.links[writer];
        let Some(store) = tiled.stores.iter().find(|store| store.view.operand == target) else { return false };
        let step = self.links[writer].step(&store.view, self.slabs);
        let part = |link: &Link, view: &View| link.apart(view).is_some() && link.step(view, self.slabs) == step;
        let alone = |(i, link): (usize, &Link)| {
            i == writer
                || link.tiled.views().all(|view| match view.operand {
                    operand if operand == source => i < writer && part(link, view),
                    operand if operand == target => i > writer && part(link, view),
                    _ => true,
                })
        };
        let loads = tiled.sources.iter().all(|other| match other {
            Source::Load(view) => view.operand != target && (view.operand != source || view.sees_as(&store.view)),
            _ => true,
        });
        let folds = |operand: usize| tiled.accumulations.iter().any(|other| other.view.operand == operand);
        self.links.iter().map(stores).sum::<usize>() == 1
            && loads
            && !folds(source)
            && !folds(target)
            && tiled.stores.iter().all(|store| store.view.operand != source)
            && self.links.iter().enumerate().all(alone)
    }
}
