//! What whoever comes from PyTorch, Keras, Flax, NumPy or einops writes, and how it is written here.
//!
//! The rows are data: a diagnostic quotes its row, and the chapter on the language lists them all. A test reads every form in
//! the language, so that a mend is right if obeyed.

mod names;
mod parameters;

pub use names::HABITS;
pub use parameters::{PARAMETERS, PLACES};

/// A name that is known elsewhere.
#[derive(Debug)]
pub struct Habit {
    /// The names, as they are written elsewhere.
    pub names: &'static [&'static str],
    /// The form here; empty where there is none.
    pub form: &'static str,
    /// What else there is to say.
    pub note: &'static str,
}

impl Habit {
    /// What would mend it.
    pub fn mend(&self) -> String {
        match (self.form, self.note) {
            ("", note) => note.to_owned(),
            (form, "") => format!("write `{form}`"),
            (form, note) => format!("write `{form}`: {note}"),
        }
    }
}

/// A named argument that is known elsewhere.
#[derive(Debug)]
pub struct Named {
    /// The names, as they are written elsewhere.
    pub names: &'static [&'static str],
    /// What stands in its place.
    pub mend: &'static str,
}

/// Modules of other libraries: what stands behind their dot is the name.
pub const MODULES: &[&str] = &[
    "nn",
    "F",
    "torch",
    "np",
    "numpy",
    "jnp",
    "jax",
    "tf",
    "keras",
    "layers",
    "einops",
    "functional",
    "optax",
    "flax",
];

/// `Conv2d`, `conv_2d` and `conv2d` are one name.
fn plain(name: &str) -> String {
    name.replace('_', "").to_lowercase()
}

/// The row of a name.
pub fn habit(name: &str) -> Option<&'static Habit> {
    let row = |same: &dyn Fn(&str) -> bool| HABITS.iter().find(|habit| habit.names.iter().any(|own| same(own)));
    row(&|own| own == name).or_else(|| row(&|own| plain(own) == plain(name)))
}

/// What a name of another library is here: a form, or a function of the language by nearly that name.
pub fn meant(name: &str) -> Option<String> {
    let own = || crate::functions::FUNCTIONS.iter().find(|function| plain(function.name) == plain(name));
    habit(name).map(Habit::mend).or_else(|| own().map(|function| format!("write `{}`", function.usage())))
}

/// What stands in the place of a named argument.
pub fn parameter(name: &str) -> Option<&'static str> {
    PARAMETERS.iter().find(|named| named.names.contains(&name)).map(|named| named.mend)
}

/// What a function is given by position elsewhere, and how it comes here.
pub fn place(function: &str) -> Option<&'static str> {
    PLACES.iter().find(|named| named.names.contains(&function)).map(|named| named.mend)
}
