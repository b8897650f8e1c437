//! How tensors start: what stands after `param w: [d, k] =` and after `init =`.

use crate::functions::{Default, Function, Kind, Parameter, Rule, function};

/// The initialiser of this name.
pub fn find(name: &str) -> Option<&'static Function> {
    INITIALISERS.iter().find(|f| f.name == name)
}

const fn start(name: &'static str, parameters: &'static [Parameter], doc: &'static str) -> Function {
    function(name, &[], parameters, Rule::Start, doc)
}

const fn number(name: &'static str, default: Default) -> Parameter {
    Parameter { name, kind: Kind::Number, positional: true, default }
}

const DEVIATION: Parameter = number("deviation", Default::Value("1.0"));
const GAIN: Parameter = number("gain", Default::Value("1.0"));
const RELU_GAIN: Parameter = number("gain", Default::Absent);
/// The words for the fans.
pub const MODES: &[&str] = &["fan_in", "fan_out"];
const MODE: Parameter =
    Parameter { name: "mode", kind: Kind::Choice(MODES), positional: false, default: Default::Value("fan_in") };

/// The table. A number by itself is an initialiser too.
pub const INITIALISERS: &[Function] = &[
    start("zeros", &[], "0 everywhere."),
    start("ones", &[], "1 everywhere."),
    start("normal", &[DEVIATION], "Normal with mean 0."),
    start("truncated_normal", &[DEVIATION], "Normal, where draws beyond two standard deviations are drawn anew."),
    start(
        "uniform",
        &[number("from", Default::Required), number("to", Default::Required)],
        "Uniform between two numbers.",
    ),
    start(
        "kaiming_normal",
        &[RELU_GAIN, MODE],
        "Normal with the standard deviation gain / √fan; the gain is √2 unless given.",
    ),
    start("kaiming_uniform", &[RELU_GAIN, MODE], "Uniform with this standard deviation."),
    start("xavier_normal", &[GAIN], "Normal with the standard deviation gain · √(2 / (fan in + fan out))."),
    start("xavier_uniform", &[GAIN], "Uniform with this standard deviation."),
    start("orthogonal", &[GAIN], "Rows of length gain at right angles, or columns where there are fewer."),
    start("identity", &[GAIN], "The gain where row and column are equal, 0 elsewhere."),
];
