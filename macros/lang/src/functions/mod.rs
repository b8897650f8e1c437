//! Every function and layer that the language knows: its tensors, its parameters, its shape rule, its sentence.

mod table;
mod rule;
pub mod runtime;

pub use rule::Rule;
pub use runtime::{Runtime, Slot, TypeSlot};
pub use table::FUNCTIONS;

/// A function or layer of the language.
#[derive(Debug)]
pub struct Function {
    /// How it is called, and the name of the runtime function that records it.
    pub name: &'static str,
    /// The tensors it takes, in order.
    pub tensors: &'static [&'static str],
    /// What else it takes.
    pub parameters: &'static [Parameter],
    /// What it does to elements and shapes.
    pub rule: Rule,
    /// How the runtime crate is called for it, unless it is a layer there.
    pub runtime: Runtime,
    /// One sentence for the documentation.
    pub doc: &'static str,
}

/// A row of the table: `::ansatz::tensor::name(tensors, values)` unless it says otherwise.
pub(crate) const fn function(
    name: &'static str,
    tensors: &'static [&'static str],
    parameters: &'static [Parameter],
    rule: Rule,
    doc: &'static str,
) -> Function {
    Function { name, tensors, parameters, rule, runtime: Runtime::new(name), doc }
}

impl Function {
    /// The same of another module of the runtime crate.
    const fn of(mut self, module: &'static str) -> Self {
        self.runtime.module = module;
        self
    }

    /// The same under another name in the runtime crate.
    const fn called(mut self, name: &'static str) -> Self {
        self.runtime.name = name;
        self
    }

    /// The same with other arguments in the runtime crate.
    const fn takes(mut self, arguments: &'static [Slot]) -> Self {
        self.runtime.arguments = arguments;
        self
    }

    /// The same with type arguments in the runtime crate.
    const fn typed(mut self, types: &'static [TypeSlot]) -> Self {
        self.runtime.types = types;
        self
    }

    /// The parameter of this name.
    pub fn parameter(&self, name: &str) -> Option<&'static Parameter> {
        self.parameters.iter().find(|p| p.name == name)
    }

    /// How a call looks: `leaky_relu(x, slope = 0.01)`.
    pub fn usage(&self) -> String {
        let tensors = self.tensors.iter().map(|t| (*t).to_owned());
        let tensors = tensors.chain(self.rule.takes_more().then(|| "…".to_owned()));
        let parameters = self.parameters.iter().map(|p| match (p.positional, p.default) {
            (true, Default::Required) => p.name.to_owned(),
            (_, Default::Value(value)) => format!("{} = {value}", p.name),
            _ => format!("{} = …", p.name),
        });
        format!("{}({})", self.name, tensors.chain(parameters).collect::<Vec<_>>().join(", "))
    }
}

/// A parameter of a function that is no tensor slot.
#[derive(Debug)]
pub struct Parameter {
    /// Its name.
    pub name: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// Whether it may be given by position, after the tensors.
    pub positional: bool,
    /// What holds if it is not given.
    pub default: Default,
}

/// What a parameter takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A number known at compile time.
    Number,
    /// A number or a tensor.
    Exponent,
    /// A probability below 1.
    Probability,
    /// A whole number.
    Count,
    /// A whole number, or one for each axis.
    Counts,
    /// A whole number for each axis, or `"same"`.
    Padding,
    /// `true` or `false`.
    Flag,
    /// A dimension.
    Width,
    /// A dimension or 0.
    Extent,
    /// A shape in brackets.
    Shape,
    /// Axes of the first tensor, by label or dimension.
    Axes,
    /// A tensor of reals.
    Tensor,
    /// A range of numbers.
    Span,
    /// A method with its number of steps.
    Method,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A layer of the value and the time.
    Field,
    /// A layer.
    Layer,
    /// How a tensor starts.
    Start,
    /// `true`, `false`, or how the bias starts.
    Bias,
}

impl Kind {
    /// Whether it takes a layer, which may have a label.
    pub fn is_layer(self) -> bool {
        matches!(self, Kind::Field | Kind::Layer)
    }

    /// Whether what is given for it is no value, so that a bare name cannot stand for it.
    pub fn is_read_as_written(self) -> bool {
        matches!(self, Kind::Axes | Kind::Span | Kind::Method | Kind::Choice(_) | Kind::Start)
    }
}

/// What holds if a parameter is not given.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Default {
    /// It must be given.
    Required,
    /// Nothing.
    Absent,
    /// This, as one would write it.
    Value(&'static str),
}

/// How the runtime crate is called for a function that the table has.
pub fn runtime(name: &str) -> &'static Runtime {
    &find(name).expect("the table has it").runtime
}

/// The function of this name.
pub fn find(name: &str) -> Option<&'static Function> {
    FUNCTIONS.iter().find(|f| f.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_occurs_once() {
        let mut names: Vec<_> = FUNCTIONS.iter().map(|f| f.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), FUNCTIONS.len());
    }

    #[test]
    fn usage_shows_defaults() {
        assert_eq!(find("leaky_relu").map(Function::usage).as_deref(), Some("leaky_relu(x, slope = 0.01)"));
        assert_eq!(find("linear").map(Function::usage).as_deref(), Some("linear(x, width, bias = true, init = …)"));
    }
}
