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
    /// The stride along the axis of a view of which every slab sees a part of its own.
    fn apart(&self, view: &View) -> Option<usize> {
        view.apart(&self.tiled.dims, self.axis)
    }
}

impl Chain {
    pub(super) fn views_mut(&mut self, visit: &mut dyn FnMut(Access, &mut View, &[usize])) {
        self.links.iter_mut().for_each(|link| link.tiled.views_mut(visit));
    }

    /// Whether `target` may lie where `source` is: one link writes it, at most from the very same element; links before it
    /// see no other slab's part of `source`, links behind it none of `source` and no other slab's part of `target`.
    pub(super) fn replaces(&self, source: usize, target: usize) -> bool {
        let writes = self.links.iter().enumerate().flat_map(|(i, link)| {
            let stores = link.tiled.stores.iter().map(|store| (&store.view, true));
            let folds = link.tiled.accumulations.iter().map(|fold| (&fold.view, false));
            stores.chain(folds).map(move |(view, each)| (i, view, each))
        });
        let mut own = writes.clone().filter(|(_, view, _)| view.operand == target);
        let (Some((writer, written, each)), None) = (own.next(), own.next()) else { return false };
        let Some(stride) = self.links[writer].apart(written) else { return false };
        // Slabs are the same bytes to both only if elements are of one size.
        let part = |link: &Link, view: &View| link.apart(view) == Some(stride) && view.element == written.element;
        let kept = writes.clone().all(|(_, view, _)| view.operand != source);
        kept && self.links.iter().enumerate().all(|(i, link)| {
            link.tiled.sources.iter().all(|other| match other {
                Source::Load(view) if view.operand == source => {
                    (i < writer && part(link, view)) || (i == writer && each && view.sees_as(written))
                }
                Source::Load(view) if view.operand == target => i > writer && part(link, view),
                _ => true,
            })
        })
    }
}
