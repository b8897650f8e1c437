//! Chains as one kernel: a block of threads takes a few positions of the axis through all links, and waits between them.
//! What a link has read or written, and a later one reads again, stays in shared memory.

use super::fold::{Way, begins, combined, meet, stored, taken};
use super::point::{Kept, Taking, WIDE, written};
use super::{LANES, NARROW, Parameters, Source, Task, positions};
use crate::chain::{Chain, Link};
use crate::tiled::{Register, Source as From};
use crate::view::{DType, View};
use std::fmt::Write;

/// Points for each thread of a block, if there are so many.
const EACH: usize = 4;
/// A block takes several positions of the axis, if it has fewer points.
const FEW_POINTS: usize = 256;
/// Fewer blocks leave a device idle.
const FEW_BLOCKS: usize = 264;
/// Threads of a block: so many at most, and twice as many where shared memory leaves no room for a second block.
const THREADS: usize = 512;
const HALF_SHARED: usize = 96 << 10;
/// The most bytes that a block keeps.
const MOST_KEPT: usize = 200 << 10;
/// A lane for each term pays from so many terms on.
const WARP_TERMS: usize = 8;
/// Terms that one thread may fold alone.
const ALONE: usize = 4096;

/// Numbers that a link reads or writes, and later ones read again.
struct Version<'a> {
    view: &'a View,
    dims: &'a [usize],
    axis: usize,
    /// The link and its register.
    from: (usize, Register),
    /// The links, and their sources.
    reads: Vec<(usize, usize)>,
}

impl Source {
    /// The kernel of a chain; none if its links are better run one after the other.
    pub(super) fn chain(&mut self, chain: &Chain) -> Result<Option<Task>, String> {
        let Some(first) = chain.links.first() else { return Ok(None) };
        let size = first.tiled.dims[first.axis];
        let inner = |link: &Link| link.tiled.dims.iter().product::<usize>().checked_div(size).unwrap_or(0);
        let most = chain.links.iter().map(inner).max().unwrap_or(0);
        let random = |link: &Link| link.tiled.sources.iter().any(|source| matches!(source, From::Random { .. }));
        if most == 0 || size * most >= NARROW || chain.links.iter().any(random) {
            return Ok(None);
        }
        let together = (FEW_POINTS / most).min(size / FEW_BLOCKS).max(1);
        let ways: Vec<Option<Way>> = chain.links.iter().map(|link| self.way(link, together)).collect();
        let alone = |(link, way): (&Link, &Option<Way>)| {
            let terms = link.tiled.dims.iter().zip(&link.tiled.reduced).filter(|(_, gone)| **gone);
            *way == Some(Way::Alone) && terms.map(|(size, _)| size).product::<usize>() > ALONE
        };
        if chain.links.iter().zip(&ways).any(alone) {
            return Ok(None);
        }

        let threads =
            |most_threads: usize| (together * most).div_ceil(EACH).next_multiple_of(LANES).clamp(LANES, most_threads);
        // The folds of a block meet in shared memory, then comes what is kept.
        let folds = chain.links.iter().map(|link| link.tiled.accumulations.len()).max().unwrap_or(0);
        let meeting = folds * threads(2 * THREADS) / LANES * super::fold::PARTIAL;
        let (kept, shared) = self.kept(chain, together, meeting);
        // Twice as many threads have half as many registers, too few for double precision.
        let twice = shared > HALF_SHARED && self.float == DType::F32;
        let threads = threads(if twice { 2 * THREADS } else { THREADS });

        let written: Vec<usize> = chain.links.iter().flat_map(|link| written(&link.tiled)).collect();
        let mut parameters = Parameters::new(&written);
        let mut body =
            format!("    const uint32_t begin = blockIdx.x * {together}u, end = min(begin + {together}u, {size}u);\n");
        if shared > 0 {
            body += "    DYNAMIC_SHARED(memory);\n";
        }
        for (number, ((link, way), kept)) in chain.links.iter().zip(&ways).zip(&kept).enumerate() {
            body += if number == 0 { "    {\n" } else { "    __syncthreads();\n    {\n" };
            body += &match way {
                None => self.everywhere(link, inner(link), threads, kept, &mut parameters),
                Some(way) => self.folded(link, *way, threads, kept, &mut parameters),
            };
            body += "    }\n";
        }
        let (text, arguments) = (parameters.text(), parameters.arguments());
        if arguments.len() > super::super::driver::MOST_ARGUMENTS {
            return Ok(None);
        }
        self.launch(&text, &body, [size.div_ceil(together), threads, shared], arguments).map(Some)
    }

    /// Which threads share the terms of a fold; none if there is no fold.
    fn way(&self, Link { tiled, axis }: &Link, together: usize) -> Option<Way> {
        if tiled.accumulations.is_empty() {
            return None;
        }
        let sizes = |reduced: bool| {
            let axes = tiled.dims.iter().zip(&tiled.reduced).enumerate();
            axes.filter(move |(at, (_, gone))| at != axis && **gone == reduced).map(|(_, (size, _))| size)
        };
        let [units, terms] = [false, true].map(|reduced| sizes(reduced).product::<usize>());
        let last = (0..tiled.dims.len()).rev().find(|at| at != axis && tiled.dims[*at] > 1);
        Some(match last {
            _ if units * together == 1 => Way::Block,
            Some(last) if tiled.reduced[last] && terms >= WARP_TERMS => Way::Warp,
            _ => Way::Alone,
        })
    }

    /// What each link reads and writes in shared memory, and the bytes of that with `first` bytes before it.
    fn kept(&self, chain: &Chain, together: usize, first: usize) -> (Vec<Kept>, usize) {
        let kept = |view: &View, Link { tiled, axis }: &Link| {
            let apart = |(at, stride): (usize, &isize)| at == *axis || tiled.dims[at] == 1 || *stride != 0;
            (view.element == self.float || view.element == DType::Index)
                && view.strides[*axis] != 0
                && view.strides.iter().enumerate().all(apart)
        };
        let mut versions: Vec<Version<'_>> = Vec::new();
        // Of these, what memory still holds.
        let mut live: Vec<usize> = Vec::new();
        for (number, link) in chain.links.iter().enumerate() {
            let (dims, axis) = (&link.tiled.dims[..], link.axis);
            let version = |view, register| Version { view, dims, axis, from: (number, register), reads: Vec::new() };
            for (i, source) in link.tiled.sources.iter().enumerate() {
                let From::Load(view) = source else { continue };
                let same = |known: &Version<'_>| (known.view, known.dims, known.axis) == (view, dims, axis);
                match live.iter().copied().find(|&at| same(&versions[at])) {
                    // Within a link there is nothing yet.
                    Some(at) if versions[at].from.0 == number => {}
                    Some(at) => versions[at].reads.push((number, i)),
                    None if kept(view, link) => {
                        live.push(versions.len());
                        versions.push(version(view, i as Register));
                    }
                    None => {}
                }
            }
            let changed = written(&link.tiled);
            live.retain(|&at| !changed.contains(&versions[at].view.operand));
            for store in link.tiled.stores.iter().filter(|store| kept(&store.view, link)) {
                live.push(versions.len());
                versions.push(version(&store.view, store.register));
            }
        }
        // What is read most often comes first.
        versions.retain(|version| !version.reads.is_empty());
        versions.sort_by_key(|version| std::cmp::Reverse(version.reads.len()));
        let mut links: Vec<Kept> = chain.links.iter().map(|_| Kept::default()).collect();
        let (mut bytes, room) = (first, MOST_KEPT.min(self.most_shared));
        for Version { view, dims, axis, from: (writer, register), reads } in versions {
            let points = together * dims.iter().product::<usize>() / dims[axis];
            let (kind, size) =
                if view.element == DType::Index { ("uint32_t", 4) } else { (self.real(), self.float.size()) };
            let begin = bytes.next_multiple_of(16);
            if begin + points * size > room {
                continue;
            }
            bytes = begin + points * size;
            let place = format!("(({kind}*)(memory + {begin}))[at]");
            for (link, source) in reads {
                links[link].read.insert(source, place.clone());
            }
            links[writer].write.push((register, place));
        }
        (links, bytes)
    }

    /// A link without folds: the threads go over all of the block's points.
    fn everywhere(
        &self,
        Link { tiled, axis }: &Link,
        inner: usize,
        threads: usize,
        kept: &Kept,
        parameters: &mut Parameters<'_>,
    ) -> String {
        let wide = self.wide(tiled).filter(|last| last != axis);
        let width = if wide.is_some() { WIDE } else { 1 };
        let mut body = format!(
            "        for (uint32_t k = begin * {inner}u + threadIdx.x * {width}; k < end * {inner}u; k += {threads} * {width}) {{\n"
        );
        let others = (0..tiled.dims.len()).filter(|at| at != axis);
        let axes: Vec<(usize, usize)> = std::iter::once(*axis).chain(others).map(|at| (at, tiled.dims[at])).collect();
        positions(&mut body, "k", &axes, "            ");
        if kept.any() {
            let _ = writeln!(body, "            const uint32_t at = k - begin * {inner}u;");
        }
        let taking = Taking { wide, linear: "0", kept, after: "", indent: "            " };
        body += &self.point(tiled, parameters, taking);
        body + "        }\n"
    }

    /// A link with folds.
    fn folded(
        &self,
        Link { tiled, axis }: &Link,
        way: Way,
        threads: usize,
        kept: &Kept,
        parameters: &mut Parameters<'_>,
    ) -> String {
        let others = |reduced: bool| {
            let axes = tiled.dims.iter().zip(&tiled.reduced).enumerate();
            axes.filter(move |(at, (_, gone))| at != axis && **gone == reduced).map(|(at, (size, _))| (at, *size))
        };
        let units: Vec<(usize, usize)> = std::iter::once((*axis, tiled.dims[*axis])).chain(others(false)).collect();
        let gone: Vec<(usize, usize)> = others(true).collect();
        let each: usize = units[1..].iter().map(|(_, size)| size).product();
        let terms: usize = gone.iter().map(|(_, size)| size).product();
        // Neighbouring terms are taken together, where they lie so.
        let wide = self.wide(tiled).filter(|&last| last != *axis && tiled.reduced[last] && way != Way::Alone);
        let width = if wide.is_some() { WIDE } else { 1 };
        let warps = threads / LANES;
        let (first, step, term, share) = match way {
            Way::Block => ("0", 1, "threadIdx.x", threads),
            Way::Warp => ("threadIdx.x / 32", warps, "threadIdx.x % 32", LANES),
            Way::Columns | Way::Alone => ("threadIdx.x", threads, "0", 1),
        };
        let mut body = format!(
            "        for (uint32_t unit = begin * {each}u + {first}; unit < end * {each}u; unit += {step}) {{\n"
        );
        let indent = "            ";
        positions(&mut body, "unit", &units, indent);
        body += &begins(tiled, indent);
        let _ =
            writeln!(body, "{indent}for (uint32_t k = ({term}) * {width}; k < {terms}u; k += {share} * {width}) {{");
        let deeper = "                ";
        positions(&mut body, "k", &gone, deeper);
        if kept.any() {
            let _ = writeln!(body, "{deeper}const uint32_t at = {};", inner_number(&tiled.dims, *axis));
        }
        let after = taken(tiled, deeper);
        body += &self.point(tiled, parameters, Taking { wide, linear: "0", kept, after: &after, indent: deeper });
        let _ = writeln!(body, "{indent}}}");
        body += &meet(tiled, way, warps, indent);
        let writer = match way {
            Way::Block => "if (threadIdx.x == 0) ",
            Way::Warp => "if (threadIdx.x % 32 == 0) ",
            Way::Columns | Way::Alone => "",
        };
        let _ = writeln!(body, "{indent}{writer}{{");
        body += &combined(tiled, way, warps, deeper);
        body += &stored(tiled, parameters, deeper);
        let _ = writeln!(body, "{indent}}}");
        body + "        }\n"
    }
}

/// The row-major number of a point among those of the block.
fn inner_number(dims: &[usize], axis: usize) -> String {
    let mut stride = 1;
    let mut terms = Vec::new();
    for (at, size) in dims.iter().enumerate().rev().filter(|(at, _)| *at != axis) {
        terms.push(format!("(uint32_t)q{at} * {stride}u"));
        stride *= size;
    }
    terms.push(format!("((uint32_t)q{axis} - begin) * {stride}u"));
    terms.join(" + ")
}
