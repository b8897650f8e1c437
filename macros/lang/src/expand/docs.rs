//! The table in the documentation of a net: layer, shape, parameters, multiply-adds.

use super::Context;
use crate::infer::{Layer, LayerKind, Reach, TypedNet, copies, key_with};
use crate::resolve::reach;
use crate::terms::Term;
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
        let mut lines = vec![String::new(), self.signature()];
        if self.net.layers.is_empty() {
            return lines;
        }
        lines.push(String::new());
        lines.push("| layer | | output | parameters | multiply-adds |".to_owned());
        lines.push("|:--|:--|:--|--:|--:|".to_owned());
        let (mut parameters, mut work) = (0_usize, Term::literal(0));
        for layer in self.net.layers.iter().filter(|layer| !matches!(layer.kind, LayerKind::Scope { .. })) {
            let copies = copies(&self.net.layers, layer.scope);
            let count = count(layer, self.nets).saturating_mul(copies);
            let (key, own) = (self.keys(layer), layer.multiply_adds.numeric());
            let text = match layer.kind {
                LayerKind::Net(net) if self.shows(net) => format!("[`{}`]({})", layer.text, self.nets[net].name),
                _ => format!("`{}`", layer.text),
            };
            let (shown, output) = (grouped(&own.to_string()), &layer.signature.1);
            lines.push(format!("| `{key}` | {text} | `{output}` | `{}` | `{shown}` |", grouped(&count.to_string())));
            parameters = count.saturating_add(parameters);
            work = work.plus(&own);
        }
        let (parameters, work) = (grouped(&parameters.to_string()), grouped(&work.to_string()));
        lines.push(format!("| **total** | | | **`{parameters}`** | **`{work}`** |"));
        lines
    }

    /// The keys of a layer and of those it stands for: `blocks.0…11.attn`
    fn keys(&self, layer: &Layer) -> String {
        let layers = &self.net.layers;
        key_with(layers, layer.scope, &layer.label, &mut |list| {
            layers[list].folds().map(|times| format!("0…{}", times - 1))
        })
    }

    /// Whether whoever sees this net sees that one too, so that its page can be linked.
    fn shows(&self, net: usize) -> bool {
        let net = &self.nets[net];
        net.reach == Reach::Named && reach(&net.visibility) >= reach(self.visibility())
    }

    /// `x : [n, Pixels]` → `[n, Digit]`
    fn signature(&self) -> String {
        let inputs = self.net.item.inputs.iter().zip(&self.net.inputs);
        let inputs: Vec<_> =
            inputs.filter_map(|(input, ty)| Some(format!("`{} : {}`", input.name, ty.as_ref().ok()?))).collect();
        let results = crate::infer::results(self.net.item).into_iter().zip(&self.net.results);
        let results: Vec<_> = results
            .filter_map(|((name, _), ty)| {
                let ty = ty.as_ref().ok()?;
                Some(name.map_or_else(|| format!("`{ty}`"), |name| format!("`{name} : {ty}`")))
            })
            .collect();
        format!("{} → {}", inputs.join(", "), results.join(", "))
    }
}

/// Numbers with their digits in groups of three: `50_826 * n`.
fn grouped(text: &str) -> String {
    let mut shown = String::new();
    let characters: Vec<char> = text.chars().collect();
    for (i, &character) in characters.iter().enumerate() {
        let digits = |part: &[char]| part.iter().take_while(|c| c.is_ascii_digit()).count();
        let before: Vec<char> = characters[..i].iter().rev().copied().collect();
        let within = digits(&before) > 0 && character.is_ascii_digit();
        let named = before.get(digits(&before)).is_some_and(|c| c.is_alphanumeric() || *c == '_');
        if within && !named && digits(&characters[i..]) % 3 == 0 {
            shown.push('_');
        }
        shown.push(character);
    }
    shown
}

/// The number of parameters of a layer.
fn count(layer: &Layer, nets: &[Rc<TypedNet<'_>>]) -> usize {
    match &layer.kind {
        LayerKind::Net(net) => nets[*net].whole.parameters,
        kind => kind.parameters(),
    }
}

#[cfg(test)]
mod tests {
    use super::grouped;

    #[test]
    fn digits_stand_in_groups_of_three() {
        assert_eq!(grouped("784"), "784");
        assert_eq!(grouped("50826 * n + 1234567 * h2048"), "50_826 * n + 1_234_567 * h2048");
    }
}
