//! The conditions after `where`.

use super::block::Inference;
use super::instances::Nets;
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
                        let (by_text, of_text) = (equation(by, &by_term, b), equation(of, &of_term, o));
                        let message = format!("{by_text} does not divide {of_text}");
                        self.fault(place(by), message);
                    }
                    (Some(_), Some(_)) => {}
                    _ if of_term.divide(&by_term).is_some() => {}
                    _ => self.open_fact(&by_term.plus(&of_term), place(by)),
                }
                continue;
            };
            let (Ok(l), Ok(r)) = (self.fact_size(left), self.fact_size(right)) else { continue };
            let (Some(a), Some(b)) = (l.number(), r.number()) else {
                self.open_fact(&l.plus(&r), place(left));
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

    fn open_fact(&mut self, on: &Term, span: Span) {
        let message = "this cannot be decided here: it depends on a dimension that is known only at run time";
        let help = "conditions may use declared dimensions, numbers and `parameters`";
        self.need(on, span.into(), message.to_owned(), help.to_owned());
    }

    fn fact_size(&mut self, size: &Size) -> Checked<Term> {
        if let Size::Name(name) = size
            && name == "parameters"
        {
            return self.parameter_count();
        }
        crate::resolve::size(size, &self.signature.dims, &self.signature.broken, self.nets.report)
    }

    /// The number of parameters of this net.
    fn parameter_count(&mut self) -> Checked<Term> {
        if !self.needs.is_empty() {
            return Err(Absorbed);
        }
        Ok(Term::literal(self.layers.iter().map(|layer| parameters(layer, self.nets)).sum()))
    }
}

/// The number of parameters of a layer.
fn parameters(layer: &Layer, nets: &Nets<'_, '_>) -> usize {
    match &layer.kind {
        LayerKind::Net(net) => nets.done(*net).layers.iter().map(|layer| parameters(layer, nets)).sum(),
        kind => kind.parameters(),
    }
}

/// `heads = 3`, `2 * Embed = 128`, `3`
fn equation(size: &Size, term: &Term, number: usize) -> String {
    match size {
        Size::Literal(..) => number.to_string(),
        Size::Name(name) => format!("{name} = {number}"),
        _ => format!("{term} = {number}"),
    }
}

fn place(size: &Size) -> Span {
    match size {
        Size::Literal(_, span) | Size::Infer(span) | Size::Arithmetic { span, .. } => *span,
        Size::Name(name) | Size::Call { name, .. } => name.span(),
    }
}
