//! The one error type of the library. Every message is a sentence that names what was wrong and what to try.

use std::fmt;
use std::path::PathBuf;

/// What can go wrong at run time, with the names, shapes and files involved.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Shapes or element types that an op cannot take.
    #[error("{op}: {problem}")]
    Shape {
        /// The op, as written in the language.
        op: &'static str,
        /// What came, what was expected, and a remedy.
        problem: String,
    },
    /// A value outside what is meaningful: an index beyond its space, a NaN loss, a negative learning rate.
    #[error("{0}")]
    Value(String),
    /// A device that is not there, has no memory left, or has failed.
    #[error("{0}")]
    Device(String),
    /// A checkpoint that does not fit the model; every mismatch is listed, and the model is unchanged.
    #[error("the checkpoint {path} does not fit the model, which is left unchanged:{}", list(.problems))]
    Checkpoint {
        /// The file.
        path: PathBuf,
        /// One sentence for each mismatch.
        problems: Vec<String>,
    },
    /// A data file that cannot be read as its format.
    #[error("{path}: {}", Printable(.problem))]
    Data {
        /// The file.
        path: PathBuf,
        /// What is wrong, with its place in the file.
        problem: String,
    },
    /// The operating system refused to read or write.
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// The attempt: `read`, `write`, `create`.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

/// The result of everything that can fail in this library.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub(crate) fn shape(op: &'static str, problem: impl Into<String>) -> Self {
        Error::Shape { op, problem: problem.into() }
    }

    pub(crate) fn value(problem: impl Into<String>) -> Self {
        Error::Value(problem.into())
    }

    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        Error::Io { action, path: path.into(), source }
    }
}

/// The sentence itself, so that `fn main() -> Result<()>` shows it as it is meant to be read.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The known word that is the fewest changes of a letter away, if they are few.
pub(crate) fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let distance = |other: &str| {
        let mut row: Vec<usize> = (0..=other.chars().count()).collect();
        for (i, a) in word.chars().enumerate() {
            let mut corner = std::mem::replace(&mut row[0], i + 1);
            for (j, b) in other.chars().enumerate() {
                let change = corner + usize::from(a != b);
                corner = row[j + 1];
                row[j + 1] = change.min(row[j] + 1).min(corner + 1);
            }
        }
        row.last().copied().unwrap_or(0)
    };
    let best = known.map(|other| (distance(other), other)).min()?;
    (best.0 <= word.chars().count().div_ceil(3)).then_some(best.1)
}

/// The most problems of one file that a message shows.
const SHOWN: usize = 20;

fn list(problems: &[String]) -> String {
    let shown: String = problems.iter().take(SHOWN).map(|p| format!("\n  - {}", Printable(p))).collect();
    match problems.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown}\n  - and {more} more"),
    }
}

/// Text of a file in a message: what would control a terminal is shown as what it is.
struct Printable<'a>(&'a str);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write;
        self.0.chars().try_for_each(|c| match c {
            c if c.is_control() => write!(f, "{}", c.escape_default()),
            c => f.write_char(c),
        })
    }
}
