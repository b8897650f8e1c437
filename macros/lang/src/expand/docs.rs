//! The table in the documentation of a net: layer, shape, parameters, multiply-adds.

use super::Context;
use crate::infer::{Layer, LayerKind, TypedNet};
use crate::terms::{Atom, Term};
use ansatz_shapes::Size as _;
use proc_macro2::TokenStream;
use quote::quote;
use std::rc::Rc;

impl Context<'_, '_> {
    /// The table as doc attributes.
    pub(super) fn table(&self) -> TokenStream {
        let lines = self.lines();
        quote! { #(#[doc = #lines])* }
    }

    fn lines(&self) -> Vec<String> {
        let inputs = self.net.item.inputs.iter().zip(&self.net.inputs).filter_map(|(input, ty)| {
            let ty = ty.as_ref()?;
            Some(format!("`{} : {ty}`", input.name))
        });
        let results = self.net.results.iter().flatten().map(|ty| format!("`{ty}`"));
        let inputs: Vec<_> = inputs.collect();
        let results: Vec<_> = results.collect();
        let mut lines = vec![String::new(), format!("{} → {}", inputs.join(", "), results.join(", "))];
        if self.net.layers.is_empty() {
            return lines;
        }
        lines.push(String::new());
        lines.push("| layer | output | parameters | multiply-adds |".to_owned());
        lines.push("|---|---|---:|---:|".to_owned());
        let (mut parameters, mut work) = (0, Term::literal(0));
        for layer in self.net.layers.iter().filter(|layer| !matches!(layer.kind, LayerKind::Scope)) {
            let own = numeric(&layer.multiply_adds);
            let count = count(layer, self.nets);
            lines.push(format!(
                "| `{}: {}` | `{}` | {count} | {own} |",
                self.net.key(layer),
                layer.text,
                layer.signature.1
            ));
            parameters += count;
            work = work.plus(&own);
        }
        lines.push(format!("| all | | {parameters} | {work} |"));
        lines
    }
}

/// The number of parameters of a layer.
fn count(layer: &Layer, nets: &[Rc<TypedNet<'_>>]) -> usize {
    match &layer.kind {
        LayerKind::Linear { inputs, outputs, bias } => {
            let (i, o) = (inputs.number().unwrap_or_default(), outputs.number().unwrap_or_default());
            i * o + if *bias { o } else { 0 }
        }
        LayerKind::Scope => 0,
        LayerKind::Net(net) => nets[*net].layers.iter().map(|layer| count(layer, nets)).sum(),
    }
}

/// The same with numbers for the declared dimensions.
pub(super) fn numeric(size: &Term) -> Term {
    size.products().fold(Term::literal(0), |sum, (factor, atoms)| {
        let product = atoms.fold(Term::integer(factor), |product, (atom, power)| {
            let value = match atom {
                Atom::Nominal { number, .. } => Term::literal(*number),
                other => Term::atom(other.clone()),
            };
            (0..power).fold(product, |product, _| product.times(&value))
        });
        sum.plus(&product)
    })
}
