//! Comma-separated values: a header, then one sample a line.

use super::Labelled;
use crate::files;
use crate::tensor::{Float, Named};
use crate::{Error, Result};
use std::path::Path;

/// How the label column names classes.
#[derive(Clone, Copy, Debug)]
pub enum Classes<'a> {
    /// By their number, from 0.
    Numbers,
    /// By these names, the first of which is class 0.
    Names(&'a [&'a str]),
}

/// Reads samples from a file with a header: the column `label` is the class, every other column a feature, in order.
///
/// # Errors
/// If the file cannot be read, has no such column, a line has another number of fields, or a field is no number or
/// class; with its line. If there are not `X` features or a label is not below `Y`.
pub fn csv<X: Named, Y: Named, E: Float>(
    path: impl AsRef<Path>,
    label: &str,
    classes: Classes<'_>,
) -> Result<Labelled<X, Y, E>> {
    let path = path.as_ref();
    let file = files::open(path)?;
    parse(file, label, classes).map_err(|problem| Error::Data { path: path.to_owned(), problem })
}

fn parse<X: Named, Y: Named, E: Float>(
    file: impl std::io::Read,
    label: &str,
    classes: Classes<'_>,
) -> Result<Labelled<X, Y, E>, String> {
    let mut reader = ::csv::ReaderBuilder::new().trim(::csv::Trim::All).from_reader(file);
    let header = reader.headers().map_err(|e| sentence(&e))?.clone();
    let Some(label_column) = header.iter().position(|name| name == label) else {
        let known = header.iter().collect::<Vec<_>>().join("`, `");
        return Err(format!("has no column `{label}`; its columns are `{known}`"));
    };
    let (mut features, mut labels) = (Vec::new(), Vec::new());
    let mut record = ::csv::StringRecord::new();
    while reader.read_record(&mut record).map_err(|e| sentence(&e))? {
        let line = record.position().map_or(0, ::csv::Position::line);
        for (column, field) in record.iter().enumerate() {
            if column == label_column {
                labels.push(class(field, classes).map_err(|problem| format!("line {line}: {problem}"))?);
            } else {
                let value: f64 = field
                    .parse()
                    .map_err(|_| format!("line {line}: `{field}` in column `{}` is no number", &header[column]))?;
                let value = <E as Float>::from_f64(value);
                if !Float::to_f64(value).is_finite() {
                    let column = &header[column];
                    return Err(format!(
                        "line {line}: `{field}` in column `{column}` is not finite; leave such lines out"
                    ));
                }
                features.push(value);
            }
        }
    }
    Labelled::new(header.len() - 1, features, labels)
}

fn class(field: &str, classes: Classes<'_>) -> Result<u32, String> {
    match classes {
        Classes::Numbers => field.parse().map_err(|_| format!("`{field}` is no class number (0, 1, 2, …)")),
        Classes::Names(names) => names
            .iter()
            .position(|name| *name == field)
            .map(|class| class as u32)
            .ok_or_else(|| format!("`{field}` is none of the classes `{}`", names.join("`, `"))),
    }
}

fn sentence(error: &::csv::Error) -> String {
    match error.kind() {
        ::csv::ErrorKind::UnequalLengths { pos, expected_len, len } => {
            let line = pos.as_ref().map_or(0, ::csv::Position::line);
            format!("line {line}: has {len} fields, the header has {expected_len}")
        }
        ::csv::ErrorKind::Utf8 { pos, .. } => {
            format!("line {}: is not UTF-8 text", pos.as_ref().map_or(0, ::csv::Position::line))
        }
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::{Const, to_vec};

    fn read(text: &str, classes: Classes<'_>) -> Result<Labelled<Const<2>, Const<3>, f64>, String> {
        parse(text.as_bytes(), "kind", classes)
    }

    #[test]
    fn columns_become_features_and_classes() {
        let text = "width,kind,height\n1.5, b, 2\n-3e2,a,0\n";
        let read = read(text, Classes::Names(&["a", "b"])).expect("well-formed");
        assert_eq!(to_vec(&read.features()), [1.5, 2.0, -300.0, 0.0]);
        assert_eq!(read.labels().values(), [1, 0]);
    }

    #[test]
    fn each_malformed_file_has_its_message() {
        for (text, part) in [
            ("a,b\n1,2\n", "no column `kind`; its columns are `a`, `b`"),
            ("a,b,kind\n1,2,0\n1,x,0\n", "line 3: `x` in column `b`"),
            ("a,b,kind\n1,nan,0\n", "line 2: `nan` in column `b` is not finite"),
            ("a,b,kind\n1,2,0\n-inf,1,0\n", "line 3: `-inf` in column `a` is not finite"),
            ("a,b,kind\n1e400,1,0\n", "line 2: `1e400` in column `a` is not finite"),
            ("a,b,kind\n1,2\n", "line 2: has 2 fields, the header has 3"),
            ("a,b,kind\n1,2,-1\n", "line 2: `-1` is no class"),
            ("a,b,kind\n1,2,3\n", "the label 3"),
            ("a,kind\n1,2\n", "has 1 features"),
            ("", "no column"),
        ] {
            let found = read(text, Classes::Numbers).err().unwrap_or_default();
            assert!(found.contains(part), "{text}: {found}");
        }
        let found = read("a,b,kind\n1,2,c\n", Classes::Names(&["a", "b"])).err().unwrap_or_default();
        assert!(found.contains("line 2: `c` is none of the classes `a`, `b`"), "{found}");
    }
}
