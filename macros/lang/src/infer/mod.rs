//! The type of every expression: nets become lists of steps, each with its shape.

mod apart;
mod arguments;
mod arithmetic;
mod attention;
mod bijections;
mod blame;
mod block;
mod call;
mod conv;
mod couplings;
mod equal;
mod expr;
mod facts;
mod flows;
mod functions;
mod hypers;
mod images;
mod instances;
mod layers;
mod lists;
mod lookup;
mod loss;
mod mentions;
mod nets;
mod numbers;
mod ode;
mod varying;
mod own;
mod parts;
mod patterns;
mod pieces;
mod reduce;
mod results;
mod rust;
mod samples;
mod signature;
mod spline;
mod start;
mod text;
mod transport;
mod typed;
mod types;
mod units;
mod value;

use crate::ast::{AliasItem, NetItem};
use crate::report::Report;
use crate::resolve::Names;
use std::rc::Rc;

pub use facts::Assumption;
pub use signature::results;
pub use typed::{
    Argument, Body, Call, Constant, Degrees, Flow, Inverse, Kernel, Key, Layer, LayerKind, Loop, Method, Naming,
    Operation, Reach, Reading, Start, Step, Trace, TypedNet, ValueId, copies, key, key_part, key_with,
};
pub use types::{Axis, Element, Type, shape};

/// What inference leaves.
#[derive(Debug)]
pub struct Inferred<'a> {
    /// The instances of the nets, in the order of inference. Parts point into this list.
    pub nets: Vec<Rc<TypedNet<'a>>>,
    /// The nets that are nothing by themselves.
    pub templates: Vec<Template<'a>>,
    /// The aliases that are no instance's own name.
    pub aliases: Vec<Alias<'a>>,
}

/// A net that whoever uses it has to complete.
#[derive(Debug)]
pub struct Template<'a> {
    /// The declaration.
    pub item: &'a NetItem,
    /// The hyper-parameters and dimensions that must be fixed.
    pub open: Vec<String>,
    /// Whether it holds an error.
    pub failed: bool,
}

/// One more name of an instance.
#[derive(Debug)]
pub struct Alias<'a> {
    /// The declaration.
    pub item: &'a AliasItem,
    /// The position of the instance; `None` if it holds an error.
    pub net: Option<usize>,
}

/// Infers every net.
pub fn infer<'a>(names: &Names<'a>, report: &mut Report) -> Inferred<'a> {
    let inferred = instances::Nets::new(names, report).all();
    // What is wrong with a net of others is told where it is declared.
    if report.is_empty() && names.broken.is_empty() {
        let used = inferred.nets.iter().filter(|net| matches!(net.reach, Reach::Named | Reach::Part));
        let nets = used.filter(|net| net.body.is_err()).map(|net| &net.name);
        let aliases = inferred.aliases.iter().filter(|alias| alias.net.is_none()).map(|alias| &alias.item.name);
        for name in nets.chain(aliases) {
            report.unexplained(name.span());
        }
    }
    inferred
}
