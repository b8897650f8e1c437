//! Whether a graph can be read piece by piece: what it gives at a position follows from that position and earlier ones
//! alone, and what it needs of earlier pieces is kept.
//!
//! Positions are the axes whose size changes with the length of the piece; they are found by comparing a graph with its
//! twin, the same graph for a piece of another length. Every value takes a course along them ([`Course`]), which its op
//! derives from those of the operands. What no rule knows is refused.

use super::attention::Sizes;
use super::index::strides;
use super::kind::Kind;
use crate::graph::{Attention, Graph, Loop, Node, NodeId, Op, StateKind};

/// Where the positions of a piece are found in a value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Course {
    /// The same for every piece, and along each axis that changes with its length.
    Still,
    /// Each element belongs to a position, and follows from what was read up to there.
    Along(Line),
    /// The same, but counted from the beginning of the piece.
    Counted(Line),
    /// How many positions were read before the piece: one number.
    Start,
    /// A memory of all that was read, the piece included.
    Kept,
    /// Several results, one after the other: how many elements each has, and its course.
    Several(Vec<(usize, Course)>),
}

/// Element i of a row-major tensor belongs to position i / inner mod count. So said, it holds under any shape.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Line {
    inner: usize,
    count: usize,
}

/// Why a graph cannot be read piece by piece.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Obstacle {
    /// The op, as a graph prints it.
    pub op: String,
    /// What it does.
    pub problem: String,
    /// The parameter that its operands were last computed with.
    pub behind: Option<String>,
}

const MIXES: &str = "goes over positions, which causal attention alone may do";
const LENGTH: &str = "computes with how many positions are read at once";
const TWICE: &str = "has positions along two axes";
const SCATTERED: &str = "goes over elements whose positions no longer lie along an axis";
const COUNTS: &str = "counts positions from the beginning of each piece";

/// Whether what every result of `graph` gives at a position follows from that and earlier ones, for a piece of `count`
/// positions. `twin` is the same graph for a piece of another length, and `start` the input that says how many positions
/// were read before.
///
/// # Errors
/// The first node for which that is not so, or not known.
pub(crate) fn causal(graph: &Graph, twin: &Graph, count: usize, start: Option<NodeId>) -> Result<(), Obstacle> {
    let ends = graph.outputs.iter().map(|(_, id)| *id);
    let needed = needed(graph, ends.clone().chain(graph.states.iter().filter_map(|slot| slot.update)));
    let inputs = |id: NodeId| if Some(id) == start { Some(Course::Start) } else { None };
    let courses = walk(graph, twin, count, &needed, &inputs)?;
    for id in ends {
        let (node, axes) = (&graph[id], varying(&graph[id], &twin[id]));
        let problem = match &courses[id.index()] {
            _ if axes.len() > 1 => TWICE,
            Course::Still => continue,
            Course::Along(line) if carrier(*line, node, &axes).is_some() => continue,
            Course::Along(_) => SCATTERED,
            _ => COUNTS,
        };
        return Err(obstacle(graph, id, problem));
    }
    Ok(())
}

/// Whether an op tells positions apart: it numbers them, or attends to earlier ones alone.
pub(crate) fn tells_apart(graph: &Graph, twin: &Graph) -> bool {
    let differs = |id: NodeId, axis: usize| match (graph.nodes.get(id.index()), twin.nodes.get(id.index())) {
        (Some(node), Some(other)) => node.dims.get(axis) != other.dims.get(axis),
        _ => false,
    };
    graph.nodes().zip(&twin.nodes).any(|((id, node), other)| match (&node.op, &other.op) {
        (Op::Iota { axis }, _) => differs(id, *axis),
        (Op::Attention(how), _) => how.causal && differs(node.inputs[0], 2),
        (Op::Loop(nest), Op::Loop(other)) => tells_apart(&nest.body, &other.body),
        _ => false,
    })
}

/// Which nodes some others are computed from.
fn needed(graph: &Graph, ends: impl Iterator<Item = NodeId>) -> Vec<bool> {
    let mut needed = vec![false; graph.nodes.len()];
    ends.for_each(|id| needed[id.index()] = true);
    for (id, node) in graph.nodes().rev() {
        if needed[id.index()] {
            node.inputs.iter().for_each(|x| needed[x.index()] = true);
        }
    }
    needed
}

/// The courses of all nodes that are needed; `given` are those of inputs that are known.
fn walk(
    graph: &Graph,
    twin: &Graph,
    count: usize,
    needed: &[bool],
    given: &dyn Fn(NodeId) -> Option<Course>,
) -> Result<Vec<Course>, Obstacle> {
    let mut courses = Vec::with_capacity(graph.nodes.len());
    for (id, node) in graph.nodes() {
        let alike = twin.nodes.get(id.index()).filter(|other| other.inputs == node.inputs);
        let course = match alike {
            _ if !needed[id.index()] => Ok(Course::Still),
            None => Err(LENGTH.to_owned()),
            Some(_) if matches!(node.op, Op::Input(_)) && given(id).is_some() => Ok(given(id).expect("just asked")),
            Some(other) => Site { graph, id, node, other, twin, count, courses: &courses }.course(),
        };
        courses.push(course.map_err(|problem| obstacle(graph, id, &problem))?);
    }
    Ok(courses)
}

/// A node as a message names it.
pub(crate) fn obstacle(graph: &Graph, id: NodeId, problem: &str) -> Obstacle {
    let mut op = match &graph[id].op {
        Op::Custom(own) => format!("{own:?}"),
        op => format!("{op:?}"),
    };
    // Long settings say little; the name stays.
    if op.len() > 40 {
        op.truncate(op.find([' ', '(']).unwrap_or(op.len()));
    }
    // Breadth first, so that the nearest parameter is found.
    let (mut seen, mut next) = (vec![false; graph.nodes.len()], vec![id]);
    let mut behind = None;
    while behind.is_none() && !next.is_empty() {
        let operands: Vec<NodeId> = next.iter().flat_map(|id| graph[*id].inputs.iter().copied()).collect();
        next = operands.into_iter().filter(|x| !std::mem::replace(&mut seen[x.index()], true)).collect();
        behind = next.iter().find_map(|id| match graph[*id].op {
            Op::State(i) if graph.states[i].kind == StateKind::Parameter => Some(graph.states[i].key.clone()),
            _ => None,
        });
    }
    Obstacle { op, problem: problem.to_owned(), behind }
}

/// How an op treats the values of its operands.
#[derive(Clone, Copy, PartialEq)]
enum Manner {
    /// It keeps them.
    Views,
    /// It computes others from them.
    Computes,
}

/// A node, its twin, and the courses of all before it.
pub(super) struct Site<'a> {
    graph: &'a Graph,
    id: NodeId,
    node: &'a Node,
    other: &'a Node,
    twin: &'a Graph,
    /// How many positions there are.
    count: usize,
    courses: &'a [Course],
}

impl Site<'_> {
    fn operand(&self, i: usize) -> (&Node, &Course) {
        let x = self.node.inputs[i];
        (&self.graph[x], &self.courses[x.index()])
    }

    /// The axes of an operand that change with the length of the piece.
    fn varying(&self, i: usize) -> Vec<usize> {
        varying(self.operand(i).0, &self.twin[self.other.inputs[i]])
    }

    /// The course of what is another value at each position, as an input.
    pub fn own(&self) -> Result<Course, String> {
        match varying(self.node, self.other)[..] {
            [] => Ok(Course::Still),
            [axis] => self.along(self.node, axis).map(Course::Along),
            _ => Err(TWICE.into()),
        }
    }

    /// Positions along an axis, perhaps joined with others outside of them.
    fn along(&self, node: &Node, axis: usize) -> Result<Line, String> {
        match node.dims[axis].is_multiple_of(self.count) {
            true => Ok(Line { inner: node.dims[axis + 1..].iter().product(), count: self.count }),
            false => Err(LENGTH.into()),
        }
    }

    /// The course of a node that has each axis of its operands where `axes` says; along those that it lost, elements are
    /// combined, moved or left out.
    fn carried(&self, manner: Manner, axes: &[Vec<Option<usize>>]) -> Result<Course, String> {
        let mut found = Course::Still;
        let mut lengths = varying(self.node, self.other);
        for (i, to) in axes.iter().enumerate() {
            let ((operand, course), varying) = (self.operand(i), self.varying(i));
            if varying.iter().any(|&axis| to[axis].is_none()) {
                return Err(MIXES.into());
            }
            lengths.retain(|axis| !varying.iter().any(|from| to[*from] == Some(*axis)));
            let moved = |line: &Line| moved(*line, operand, &varying, self.node, to);
            let carried = match course {
                Course::Still => continue,
                Course::Along(line) => Course::Along(moved(line)?),
                Course::Counted(line) if manner == Manner::Views => Course::Counted(moved(line)?),
                Course::Start | Course::Kept if manner == Manner::Views => course.clone(),
                Course::Counted(_) | Course::Start => return Err(COUNTS.into()),
                Course::Kept | Course::Several(_) => return Err(MIXES.into()),
            };
            if found != Course::Still && found != carried {
                return Err(TWICE.into());
            }
            found = carried;
        }
        // No axis has its length from nowhere.
        if lengths.is_empty() { Ok(found) } else { Err(LENGTH.into()) }
    }

    fn course(&self) -> Result<Course, String> {
        let node = self.node;
        if !matches!(node.op.kind(), Kind::Loop(_)) && node.op != self.other.op {
            // What is as long as the piece says so in its settings, too.
            let long = (0..node.inputs.len()).any(|i| !self.varying(i).is_empty());
            return Err(if long { MIXES } else { LENGTH }.into());
        }
        if node.is_empty() {
            return Ok(Course::Still);
        }
        node.op.with(|rule| rule.course(self))
    }

    /// The node.
    pub fn node(&self) -> &Node {
        self.node
    }

    /// The shapes of the operands.
    pub fn shapes(&self) -> Vec<&[usize]> {
        self.node.inputs.iter().map(|&x| &*self.graph[x].dims).collect()
    }

    /// Where the axes of an operand stand in a result that has them all.
    pub fn all(&self, i: usize) -> Vec<Option<usize>> {
        (0..self.operand(i).0.dims.len()).map(Some).collect()
    }

    /// The same if it has none of them.
    pub fn none(&self, i: usize) -> Vec<Option<usize>> {
        vec![None; self.operand(i).0.dims.len()]
    }

    /// The same if it has all but one in their places.
    pub fn except(&self, i: usize, axis: usize) -> Vec<Option<usize>> {
        let mut to = self.all(i);
        to[axis] = None;
        to
    }

    /// The same if some axes of the one operand are gone.
    pub fn without(&self, gone: &[usize]) -> Vec<Option<usize>> {
        let before = |axis: usize| gone.iter().filter(|other| **other < axis).count();
        let to = |axis: Option<usize>| axis.filter(|axis| !gone.contains(axis)).map(|axis| axis - before(axis));
        self.all(0).into_iter().map(to).collect()
    }

    /// The values of the operand, seen elsewhere.
    pub fn viewed(&self, axes: &[Vec<Option<usize>>]) -> Result<Course, String> {
        self.carried(Manner::Views, axes)
    }

    /// Values that are computed along the axes that are lost, and apart from each other along those that are not.
    pub fn computed(&self, axes: &[Vec<Option<usize>>]) -> Result<Course, String> {
        self.carried(Manner::Computes, axes)
    }

    /// Each element from the same element of every operand.
    pub fn elementwise(&self) -> Result<Course, String> {
        let axes: Vec<_> = (0..self.node.inputs.len()).map(|i| self.all(i)).collect();
        self.computed(&axes)
    }

    /// A sum, by which what is counted from the beginning of the piece goes on from the pieces before.
    pub fn sum(&self) -> Result<Course, String> {
        match (self.operand(0).1, self.operand(1).1) {
            (Course::Counted(line), Course::Start) | (Course::Start, Course::Counted(line)) => Ok(Course::Along(*line)),
            _ => self.elementwise(),
        }
    }

    /// The number of each position along an axis.
    pub fn counted(&self, axis: usize) -> Result<Course, String> {
        match varying(self.node, self.other).contains(&axis) {
            true => self.along(self.node, axis).map(Course::Counted),
            false => Ok(Course::Still),
        }
    }

    /// The operand, repeated along new axes.
    pub fn repeated(&self, axes: &[usize]) -> Result<Course, String> {
        let to: Vec<_> = (0..self.node.dims.len()).filter(|axis| !axes.contains(axis)).map(Some).collect();
        let moved = |line: Line| moved(line, self.operand(0).0, &self.varying(0), self.node, &to);
        match self.operand(0).1 {
            Course::Along(line) => Ok(Course::Along(moved(*line)?)),
            Course::Counted(line) => Ok(Course::Counted(moved(*line)?)),
            Course::Kept | Course::Several(_) => Err(MIXES.into()),
            course => Ok(course.clone()),
        }
    }

    /// The same elements under another shape.
    pub fn reshaped(&self) -> Result<Course, String> {
        match (self.operand(0).1, &self.varying(0)[..]) {
            (Course::Still, []) if !varying(self.node, self.other).is_empty() => Err(LENGTH.into()),
            // What is the same along an axis may not be so along those that it becomes.
            (Course::Still, [axis]) => self.along(self.operand(0).0, *axis).map(Course::Along),
            (Course::Still, [_, ..]) => Err(TWICE.into()),
            (Course::Several(_), _) => Err(MIXES.into()),
            (course, _) => Ok(course.clone()),
        }
    }

    /// A part of an axis, or one of several results.
    pub fn part(&self, axis: usize, start: usize) -> Result<Course, String> {
        match self.operand(0).1 {
            Course::Several(parts) => part_at(parts, start, self.node.len()),
            Course::Kept => Err(MIXES.into()),
            _ => self.viewed(&[self.except(0, axis)]),
        }
    }

    /// The i-th of several results.
    pub fn result(&self, i: usize) -> Result<Course, String> {
        match self.operand(0).1 {
            Course::Several(parts) => Ok(parts[i].1.clone()),
            _ => Err(MIXES.into()),
        }
    }

    /// Rows that are put into a tensor of the session, at places that go on from those of earlier pieces, are kept.
    pub fn kept(&self) -> Result<Course, String> {
        let (table, index, values) = (self.operand(0), self.operand(1), self.operand(2));
        let memory = match table.0.op {
            Op::State(i) => {
                let slot = &self.graph.states[i];
                slot.kind == StateKind::Session && slot.update == Some(self.id)
            }
            _ => false,
        };
        let width = values.0.len() / index.0.len().max(1);
        match (index.1, values.1) {
            (Course::Along(at), Course::Along(row)) if memory && at.inner * width == row.inner => Ok(Course::Kept),
            _ => self.computed(&[self.all(0), self.none(1), self.none(2)]),
        }
    }

    /// Queries that go on from where the keys are kept, or samples each by itself.
    pub fn attention(&self, how: &Attention) -> Result<Course, String> {
        let inputs = 0..self.node.inputs.len();
        let dims = |i: usize| &*self.operand(i).0.dims;
        let sizes = Sizes::new(dims(0), dims(1), dims(2));
        let count = self.count;
        let both = |result: usize, logarithms: usize| {
            let parts = [(sizes.result(), result), (sizes.logarithms(), logarithms)];
            let along = |(len, inner)| (len, Course::Along(Line { inner, count }));
            Ok(Course::Several(parts.map(along).to_vec()))
        };
        // The axis with the positions of an operand, and how many elements of it a position has.
        let on = |i: usize| match self.operand(i).1 {
            Course::Along(line) => carrier(*line, self.operand(i).0, &self.varying(i)),
            Course::Still => self.varying(i).first().map(|&axis| (axis, 1)),
            _ => None,
        };
        let still = |i: usize| *self.operand(i).1 == Course::Still && self.varying(i).is_empty();
        if inputs.clone().all(still) {
            return Ok(Course::Several(vec![(sizes.result(), Course::Still), (sizes.logarithms(), Course::Still)]));
        }
        let [bias, mask, slopes, start] = how.extras();
        // Each sample by itself: positions lie along the first axis.
        if let Some((0, within)) = on(0)
            && inputs.clone().all(|i| if Some(i) == slopes { still(i) } else { on(i) == Some((0, within)) })
        {
            return both(sizes.result() / sizes.n * within, sizes.logarithms() / sizes.n * within);
        }
        let along_queries = |i: usize| on(i) == Some((2, 1)) && dims(i)[2] == count;
        let queries = || both(sizes.h * sizes.f, 1);
        let given = [bias, mask].into_iter().flatten().all(along_queries);
        let kept = |i: usize| *self.operand(i).1 == Course::Kept;
        if along_queries(0) && kept(1) && kept(2) {
            let begins = start.is_some_and(|i| *self.operand(i).1 == Course::Start);
            if how.causal && begins && bias.is_none() && mask.is_none() && slopes.is_none_or(still) {
                return queries();
            }
        } else if along_queries(0) && still(1) && still(2) {
            // Keys that are there from the beginning; where the queries stand among them does not count.
            if !how.causal && how.window.is_none() && slopes.is_none() && start.is_none() && given {
                return queries();
            }
        }
        Err(match (how.causal, start) {
            (true, Some(_)) => {
                "goes over positions from a `start` of its own, and so keeps no keys for later pieces; leave `start` out, \
                 a stream goes on by itself"
            }
            (true, None) => "goes over positions in a way of which nothing is kept for later pieces",
            (false, _) => MIXES,
        }
        .into())
    }

    /// The body is walked with the courses of its inputs, until those of the carries stay.
    pub fn repeat(&self, nest: &Loop) -> Result<Course, String> {
        let Op::Loop(twin) = &self.other.op else { return Err(LENGTH.into()) };
        if nest.count != twin.count {
            return Err("takes a step for each position".into());
        }
        let mut inputs = vec![Course::Still];
        for i in 0..self.node.inputs.len() {
            let (operand, course) = self.operand(i);
            let slice = (nest.carries..nest.carries + nest.slices).contains(&i);
            inputs.push(match course {
                Course::Along(line) if slice => {
                    let step = operand.len() / operand.dims[0].max(1);
                    let outside = step.is_multiple_of(line.inner * line.count);
                    if outside { course.clone() } else { return Err("takes a step for each position".into()) }
                }
                Course::Still => course.clone(),
                _ if slice => return Err(MIXES.into()),
                _ => course.clone(),
            });
        }
        let body = &nest.body;
        let needed = needed(body, body.outputs.iter().map(|(_, id)| *id));
        loop {
            let given = |id: NodeId| match body[id].op {
                Op::Input(slot) => Some(inputs[slot].clone()),
                _ => None,
            };
            let inside = |obstacle: Obstacle| format!("has a body in which {} {}", obstacle.op, obstacle.problem);
            let courses = walk(body, &twin.body, self.count, &needed, &given).map_err(inside)?;
            let results: Vec<&Course> = body.outputs.iter().map(|(_, id)| &courses[id.index()]).collect();
            let carries = inputs[1..=nest.carries].to_vec();
            for (i, before) in carries.iter().enumerate() {
                match results[i] {
                    after if before == after || *after == Course::Still => {}
                    after if *before == Course::Still => inputs[1 + i] = after.clone(),
                    _ => return Err(TWICE.into()),
                }
            }
            if inputs[1..=nest.carries] != carries {
                continue;
            }
            let lens = nest.results().into_iter().map(|(dims, _)| dims.iter().product());
            let course = |(i, course): (usize, &&Course)| carries.get(i).unwrap_or(course).clone();
            return Ok(Course::Several(lens.zip(results.iter().enumerate().map(course)).collect()));
        }
    }
}

fn varying(node: &Node, twin: &Node) -> Vec<usize> {
    (0..node.dims.len()).filter(|&axis| twin.dims.get(axis) != Some(&node.dims[axis])).collect()
}

/// The one axis of a node along which positions change, and how many elements of it each has; the axis may be joined
/// with others outside or inside of the positions.
fn carrier(line: Line, node: &Node, varying: &[usize]) -> Option<(usize, usize)> {
    varying.iter().find_map(|&axis| {
        let stride = strides(&node.dims)[axis];
        let within = line.inner.checked_div(stride)?;
        let fits = within > 0 && within * stride == line.inner && node.dims[axis].is_multiple_of(within * line.count);
        fits.then_some((axis, within))
    })
}

/// Positions of an operand in the result, where its axes are found at `to`.
fn moved(line: Line, from: &Node, varying: &[usize], result: &Node, to: &[Option<usize>]) -> Result<Line, String> {
    if from.dims == result.dims && to.iter().enumerate().all(|(axis, to)| *to == Some(axis)) {
        return Ok(line);
    }
    let (axis, within) = carrier(line, from, varying).ok_or(SCATTERED)?;
    match to[axis] {
        Some(to) if result.dims[to] == from.dims[axis] => {
            Ok(Line { inner: strides(&result.dims)[to] * within, count: line.count })
        }
        _ => Err(MIXES.into()),
    }
}

/// The course of the one among several results that begins there.
fn part_at(parts: &[(usize, Course)], start: usize, len: usize) -> Result<Course, String> {
    let mut first = 0;
    for (own, course) in parts {
        if (first, *own) == (start, len) {
            return Ok(course.clone());
        }
        first += own;
    }
    Err(MIXES.into())
}

#[cfg(test)]
mod tests;
