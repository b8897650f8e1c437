//! The conditions after `where`.

use super::Nets;
use super::block::Inference;
use super::typed::{Layer, LayerKind};
use crate::ast::{Fact, Size};
use crate::resolve::{Absorbed, Checked};
use crate::terms::Term;
use ansatz_shapes::Size as _;
use proc_macro2::Span;

impl Inference<'_, '_, '_> {
    /// The conditions after `where`.
    pub(super) fn facts(&mut self) {
        let item = self.item;
        for fact in &item.facts {
            let Fact::Relation(left, op, right) = fact else {
                let Fact::Divides(by, of) = fact else { continue };
                let (Ok(by_term), Ok(of_term)) = (self.fact_size(by), self.fact_size(of)) else { continue };
                match (by_term.number(), of_term.number()) {
                    (Some(b), Some(o)) if b == 0 || !o.is_multiple_of(b) => {
                        let message = format!("{by_term} = {b} does not divide {of_term} = {o}");
                        self.fault(place(by), message);
                    }
                    (Some(_), Some(_)) => {}
                    _ if of_term.divide(&by_term).is_some() => {}
                    _ => self.open_fact(place(by)),
                }
                continue;
            };
            let (Ok(l), Ok(r)) = (self.fact_size(left), self.fact_size(right)) else { continue };
            let (Some(a), Some(b)) = (l.number(), r.number()) else {
                self.open_fact(place(left));
                continue;
            };
            let holds = match *op {
                "==" => a == b,
                "!=" => a != b,
                "<" => a < b,
                "<=" => a <= b,
                ">" => a > b,
                _ => a >= b,
            };
            if !holds {
                let says = |size: &Size, term: &Term, number: usize| match size {
                    Size::Literal(..) => number.to_string(),
                    Size::Name(name) => format!("`{name}` is {number}"),
                    _ => format!("{term} is {number}"),
                };
                let message = format!("{}, which is not {op} {b}", says(left, &l, a));
                self.fault(place(left), message);
            }
        }
    }

    fn open_fact(&mut self, span: Span) {
        self.fault(span, "this cannot be decided here: it depends on a dimension that is known only at run time")
            .help("conditions may use declared dimensions, numbers and `parameters`");
    }

    fn fact_size(&mut self, size: &Size) -> Checked<Term> {
        if let Size::Name(name) = size
            && name == "parameters"
        {
            return self.parameters();
        }
        crate::resolve::size(size, &self.signature.dims, &self.signature.broken, self.nets.report)
    }

    /// The number of parameters of this net.
    fn parameters(&mut self) -> Checked<Term> {
        let counts: Vec<_> = self.layers.iter().map(|layer| parameters(layer, self.nets)).collect();
        let total = counts.into_iter().sum::<Option<usize>>().ok_or(Absorbed)?;
        Ok(Term::literal(total))
    }
}

/// The number of parameters of a layer.
fn parameters(layer: &Layer, nets: &mut Nets<'_, '_>) -> Option<usize> {
    match &layer.kind {
        LayerKind::Unit { parameters, .. } => Some(*parameters),
        LayerKind::Scope { .. } => Some(0),
        LayerKind::Net(net) => {
            let inner = nets.infer(*net);
            inner.layers.iter().map(|layer| parameters(layer, nets)).sum()
        }
    }
}

fn place(size: &Size) -> Span {
    match size {
        Size::Literal(_, span) | Size::Infer(span) | Size::Arithmetic { span, .. } => *span,
        Size::Name(name) | Size::Call { name, .. } => name.span(),
    }
}
