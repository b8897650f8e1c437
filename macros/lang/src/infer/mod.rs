//! The type of every expression: nets become lists of steps, each with its shape.

mod arguments;
mod arithmetic;
mod blame;
mod block;
mod call;
mod expr;
mod facts;
mod functions;
mod layers;
mod lists;
mod loss;
mod nets;
mod reduce;
mod results;
mod signature;
mod text;
mod typed;
mod types;
mod units;
mod value;

use crate::report::Place;
use crate::report::Report;
use crate::resolve::{Absorbed, Checked, Names};
use std::rc::Rc;

pub use signature::{Signature, results};
pub use typed::{Body, Layer, LayerKind, Operation, Scalar, Step, TypedNet, ValueId, key, key_part};
pub use types::{Axis, Element, Type, shape};

/// Infers every net, in the order of the source.
pub fn infer<'a>(names: &Names<'a>, report: &mut Report) -> Vec<Rc<TypedNet<'a>>> {
    let mut nets = Nets { names, report, states: names.nets.iter().map(|_| State::Waiting).collect(), open: vec![] };
    for net in 0..names.nets.len() {
        nets.infer(net);
    }
    let done = nets.states.into_iter().map(|state| match state {
        State::Done(net) => net,
        State::Waiting | State::Open => unreachable!("every net was inferred"),
    });
    done.collect()
}

/// All nets of a program while they are inferred. A net is inferred when it is first used.
struct Nets<'a, 'r> {
    names: &'r Names<'a>,
    report: &'r mut Report,
    states: Vec<State<'a>>,
    /// The nets under inference, each used by the one before it.
    open: Vec<usize>,
}

enum State<'a> {
    Waiting,
    Open,
    Done(Rc<TypedNet<'a>>),
}

impl<'a> Nets<'a, '_> {
    fn infer(&mut self, net: usize) -> Rc<TypedNet<'a>> {
        if let State::Done(done) = &self.states[net] {
            return done.clone();
        }
        self.states[net] = State::Open;
        self.open.push(net);
        let done = Rc::new(block::net(self, self.names.nets[net]));
        self.open.pop();
        self.states[net] = State::Done(done.clone());
        done
    }

    /// The net as its user sees it. A net that contains itself is an error at `span`.
    fn used(&mut self, net: usize, span: Place) -> Checked<Rc<TypedNet<'a>>> {
        if matches!(self.states[net], State::Open) {
            let start = self.open.iter().position(|&open| open == net).unwrap_or(0);
            let circle = self.open[start..].iter().chain([&net]);
            let circle: Vec<_> = circle.map(|&net| format!("`{}`", self.names.nets[net].name)).collect();
            let name = &self.names.nets[net].name;
            self.report
                .error(span, format!("`{name}` contains itself: {}", circle.join(" → ")))
                .help("a net is a finite tree of layers; break the circle");
            return Err(Absorbed);
        }
        Ok(self.infer(net))
    }
}
