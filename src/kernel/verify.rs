//! What a schedule must keep to, whoever made it: the check on which everything unsafe about a run rests.
//!
//! - Every buffer of the arena lies inside it, every view of every launch inside its buffer, and has its type.
//! - Nothing is read that has not been written, or that something else has been written over.
//! - Every element is written once. What a launch writes over something that it reads is written as
//!   [`Work::replaces`] allows; its results lie apart.
//! - Launches write what they say they write; outputs and new values of the state are there at the end.

use super::chain::Chain;
use super::lookup::{Kind, Lookup};
use super::nest::Nest;
use super::schedule::{BufferId, Home, Schedule, Step};
use super::view::{Access, DType, View};
use super::work::Work;
use std::collections::{BTreeMap, HashMap, HashSet};

/// A view, what is done with it, and over which extents it is walked.
type Seen = (Access, View, Vec<usize>);

/// What is in memory between two launches.
struct Ledger<'a> {
    schedule: &'a Schedule,
    /// Who holds which bytes of the arena: first byte, end, buffer.
    arena: BTreeMap<usize, (usize, BufferId)>,
    /// The tensors of the state that have their new values.
    updated: HashSet<usize>,
    written: HashMap<BufferId, Written>,
}

/// How much of a buffer is there.
enum Written {
    /// All of it, from the beginning: it is given.
    Given,
    Whole,
    /// These elements, and so many are missing.
    Part(Vec<bool>, usize),
}

impl Schedule {
    /// Whether all launches keep to the rules, in this order and with the buffers where they lie.
    ///
    /// # Errors
    /// A sentence that names the first launch that breaks a rule, and the rule.
    pub fn verify(&self) -> Result<(), String> {
        let targets: HashSet<BufferId> = self.steps.iter().flat_map(|step| &step.writes).copied().collect();
        let given = |id: &BufferId| !matches!(self.buffers[*id].home, Home::Arena(_)) && !targets.contains(id);
        let written = (0..self.buffers.len()).filter(given).map(|id| (id, Written::Given)).collect();
        let mut ledger = Ledger { schedule: self, arena: BTreeMap::new(), updated: HashSet::new(), written };
        for (number, step) in self.steps.iter().enumerate() {
            ledger.step(step).map_err(|problem| format!("launch {number} {problem}"))?;
        }
        let news = targets.iter().filter(|id| matches!(self.buffers[**id].home, Home::State(_)));
        for &id in self.outputs.iter().chain(news) {
            ledger.there(id).map_err(|problem| format!("a result is buffer {id}, which {problem}"))?;
        }
        Ok(())
    }
}

impl Ledger<'_> {
    fn step(&mut self, step: &Step) -> Result<(), String> {
        let mut seen: Vec<Seen> = Vec::new();
        step.work.clone().views_mut(&mut |access, view, extents| {
            if !extents.contains(&0) {
                seen.push((access, view.clone(), extents.to_vec()));
            }
        });
        for (access, view, extents) in &mut seen {
            let known = step.operands.get(view.operand).filter(|&&id| id < self.schedule.buffers.len());
            let Some(&id) = known else { return Err(format!("has no operand {}", view.operand)) };
            // From here on the number of the buffer.
            view.operand = id;
            if view.element == DType::Bf16 && matches!(step.work, Work::Call(_)) {
                return Err(format!("calls a function with buffer {id}, which is stored with sixteen bits"));
            }
            self.inside(view, extents).map_err(|problem| format!("sees buffer {id} where {problem}"))?;
            if access.writes() && !step.writes.contains(&id) {
                return Err(format!("writes buffer {id}, and does not say so"));
            }
        }
        match &step.work {
            Work::Loop(nest) => body(nest)?,
            Work::Chain(chain) => {
                chain.links.iter().try_for_each(|link| link.tiled.check())?;
                self.slabs(chain, step)?;
            }
            Work::Fused(tiled) => tiled.check()?,
            Work::Lookup(Lookup { kind: Kind::Put { table, .. }, out, .. }) if table.element != out.element => {
                return Err("puts rows into a table of elements of another type".into());
            }
            _ => {}
        }
        let between = |id: &BufferId| matches!(step.work, Work::Chain(_)) && step.writes.contains(id);
        for (access, view, _) in &seen {
            if matches!(access, Access::Read | Access::Update) && !between(&view.operand) {
                let id = view.operand;
                self.there(id).map_err(|problem| format!("reads buffer {id}, which {problem}"))?;
            }
        }
        self.apart(step, &seen)?;
        seen.iter().filter(|(access, ..)| access.writes()).try_for_each(|seen| self.write(seen))
    }

    /// Whether a view stays inside its buffer and has its type.
    fn inside(&self, view: &View, extents: &[usize]) -> Result<(), String> {
        let buffer = &self.schedule.buffers[view.operand];
        if view.element != buffer.element {
            return Err(format!("{:?} elements are read as {:?}", buffer.element, view.element));
        }
        if view.strides.len() != extents.len() {
            return Err(format!("{} strides walk over {} axes", view.strides.len(), extents.len()));
        }
        let (first, last) = view.reach(extents);
        match first < 0 || last >= buffer.len as isize {
            true => Err(format!("elements {first} to {last} are named and there are {}", buffer.len)),
            false => Ok(()),
        }
    }

    /// Whether a buffer holds all of its values.
    fn there(&self, id: BufferId) -> Result<(), String> {
        let buffer = &self.schedule.buffers[id];
        if buffer.len == 0 {
            return Ok(());
        }
        let lost = match (self.written.get(&id), buffer.home) {
            (None, _) => return Err("is not written yet".into()),
            (Some(Written::Part(_, missing)), _) if *missing > 0 => return Err("is not wholly written yet".into()),
            (Some(Written::Given), Home::State(slot)) => self.updated.contains(&slot),
            (Some(_), Home::Input(_) | Home::State(_)) => false,
            (Some(_), Home::Arena(offset)) => self.arena.get(&offset) != Some(&(offset + buffer.bytes(), id)),
        };
        if lost { Err("has been written over".into()) } else { Ok(()) }
    }

    /// Whether two buffers share memory.
    fn share(&self, a: BufferId, b: BufferId) -> bool {
        let (a, b) = (&self.schedule.buffers[a], &self.schedule.buffers[b]);
        match (a.home, b.home) {
            (Home::Arena(first), Home::Arena(second)) => first < second + b.bytes() && second < first + a.bytes(),
            (home, other) => home == other,
        }
    }

    /// Whether results lie apart, and over what is read only where that is allowed.
    fn apart(&self, step: &Step, seen: &[Seen]) -> Result<(), String> {
        for (i, &target) in step.writes.iter().enumerate() {
            if let Home::Input(_) = self.schedule.buffers[target].home {
                return Err(format!("writes buffer {target}, which is an input"));
            }
            if let Some(other) = step.writes[..i].iter().find(|&&other| self.share(other, target)) {
                return Err(format!("writes its results {other} and {target} to the same place"));
            }
            let reads = seen.iter().filter(|(access, view, _)| {
                *access == Access::Read && !step.writes.contains(&view.operand) && self.share(view.operand, target)
            });
            for source in reads.map(|(_, view, _)| view.operand) {
                let [from, to] = [source, target].map(|id| self.schedule.buffers[id].home);
                if from != to || !step.replaces(source, target) {
                    return Err(format!("writes buffer {target} over buffer {source}, which it still reads"));
                }
            }
        }
        Ok(())
    }

    /// Whether the slabs of a chain are independent: what one link writes, later ones see by the same slabs.
    fn slabs(&self, chain: &Chain, step: &Step) -> Result<(), String> {
        let mut written: HashMap<BufferId, usize> = HashMap::new();
        for link in &chain.links {
            let dims = &link.tiled.dims;
            if link.axis >= dims.len() || !dims[link.axis].is_multiple_of(chain.slabs.max(1)) {
                return Err(format!("cuts axis {} of {dims:?} into {} slabs", link.axis, chain.slabs));
            }
            let mut stored = Vec::new();
            let mut problem = None;
            link.tiled.clone().views_mut(&mut |access, view, extents| {
                let id = step.operands[view.operand];
                let walks = extents.len() == dims.len() && extents[link.axis] == dims[link.axis];
                let part = if walks { view.apart(extents, link.axis) } else { None };
                let own = match written.get(&id) {
                    _ if access.writes() => part.is_some(),
                    Some(stride) => part == Some(*stride),
                    None => !step.writes.contains(&id),
                };
                if !own {
                    problem = Some(format!("has a link that needs more of buffer {id} than its slab"));
                }
                if access.writes() {
                    stored.extend(part.map(|stride| (id, stride)));
                }
            });
            match problem {
                Some(problem) => return Err(problem),
                None => written.extend(stored),
            }
        }
        Ok(())
    }

    /// Takes down what is written.
    fn write(&mut self, (access, view, extents): &Seen) -> Result<(), String> {
        let id = view.operand;
        let buffer = &self.schedule.buffers[id];
        match buffer.home {
            Home::Input(_) => {}
            Home::State(slot) => {
                self.updated.insert(slot);
            }
            Home::Arena(first) => {
                let end = first + buffer.bytes();
                if end > self.schedule.bytes {
                    return Err(format!("writes buffer {id}, which ends behind the arena"));
                }
                let over = |(&start, &(stop, _)): (&usize, &(usize, BufferId))| (stop > first).then_some(start);
                // Holders lie apart: of those that begin before the end, the last ones reach in.
                let lost: Vec<usize> = self.arena.range(..end).rev().map_while(over).collect();
                for start in lost {
                    self.arena.remove(&start);
                }
                self.arena.insert(first, (end, id));
            }
        }
        if *access == Access::Update {
            return Ok(());
        }
        let twice = || Err(format!("writes elements of buffer {id} twice"));
        match self.written.get_mut(&id) {
            Some(Written::Given | Written::Whole) => twice(),
            None if *access == Access::Scratch || covers(view, extents, buffer.len) => {
                self.written.insert(id, Written::Whole);
                Ok(())
            }
            None => {
                self.written.insert(id, Written::Part(vec![false; buffer.len], buffer.len));
                self.write(&(*access, view.clone(), extents.clone()))
            }
            Some(Written::Part(there, missing)) => {
                let mut again = false;
                each(view, extents, &mut |element| {
                    again |= std::mem::replace(&mut there[element], true);
                    *missing = missing.saturating_sub(1);
                });
                if again { twice() } else { Ok(()) }
            }
        }
    }
}

/// Whether the body of a loop keeps to the rules, and the loop gives it what it names.
fn body(nest: &Nest) -> Result<(), String> {
    nest.body.verify().map_err(|problem| format!("is a loop, in which {problem}"))?;
    if nest.begins.iter().zip(&nest.states).any(|(begin, carry)| begin.element != carry.view.element) {
        return Err("is a loop, and a carry begins with elements of another type".into());
    }
    for (id, buffer) in nest.body.buffers.iter().enumerate() {
        let tensor = match buffer.home {
            Home::Input(i) => nest.inputs.get(i),
            Home::State(i) => nest.states.get(i),
            Home::Arena(_) => continue,
        };
        if tensor.is_none_or(|tensor| (tensor.len, tensor.view.element) != (buffer.len, buffer.element)) {
            return Err(format!("is a loop, and gives its body no such tensor as buffer {id}"));
        }
    }
    Ok(())
}

/// Whether a view walks over all of so many elements, each once.
fn covers(view: &View, extents: &[usize], len: usize) -> bool {
    let mut axes: Vec<(isize, usize)> = view.strides.iter().copied().zip(extents.iter().copied()).collect();
    axes.retain(|&(_, extent)| extent > 1);
    axes.sort_unstable();
    let mut reach = 1;
    for (stride, extent) in axes {
        if stride != reach {
            return false;
        }
        reach *= extent as isize;
    }
    view.offset == 0 && reach == len as isize
}

/// Calls `visit` with every element that a view sees.
fn each(view: &View, extents: &[usize], visit: &mut dyn FnMut(usize)) {
    let mut position = vec![0; extents.len()];
    let mut element = view.offset as isize;
    loop {
        visit(element as usize);
        let mut axis = extents.len();
        loop {
            if axis == 0 {
                return;
            }
            axis -= 1;
            position[axis] += 1;
            element += view.strides[axis];
            if position[axis] < extents[axis] {
                break;
            }
            element -= view.strides[axis] * extents[axis] as isize;
            position[axis] = 0;
        }
    }
}
