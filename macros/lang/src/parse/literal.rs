//! Numbers and strings as values.

use proc_macro2::Literal;

use super::cursor::{Parsed, Parser};
use crate::ast::ExprKind;

impl Parser {
    /// `0.5`, `1_000`, `1e-5`, `"tanh"`; the cursor stands on the literal.
    pub fn literal(&mut self, literal: &Literal) -> Parsed<ExprKind> {
        let text = literal.to_string();
        let kind = if text.starts_with('"') || text.starts_with("r\"") || text.starts_with("r#") {
            string(&text).map(ExprKind::Str)
        } else {
            number(&text)
        };
        if let Some(kind) = kind {
            self.bump();
            return Ok(kind);
        }
        if text.chars().all(|c| c.is_ascii_digit() || c == '_') {
            return self.error(format!("the number `{text}` is too large")).fail();
        }
        let plain = text.find(|c: char| c.is_ascii_alphabetic() && !matches!(c, 'e' | 'E')).map(|at| &text[..at]);
        let error = match plain.filter(|plain| number(plain).is_some()) {
            Some(_) if text.starts_with("0x") || text.starts_with("0b") || text.starts_with("0o") => {
                self.error(format!("numbers are written in decimals, `{text}` is not"))
            }
            Some(plain) => {
                let plain = plain.trim_end_matches('_');
                self.error(format!("numbers have no type here: `{text}`")).help(format!("write `{plain}`"))
            }
            None => self.error(format!("`{text}` is neither a number nor a string")),
        };
        error.fail()
    }
}

fn number(text: &str) -> Option<ExprKind> {
    if !text.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let digits = text.replace('_', "");
    let value = digits.parse::<f64>().ok().filter(|value| value.is_finite())?;
    let integer = if digits.chars().all(|c| c.is_ascii_digit()) { Some(digits.parse().ok()?) } else { None };
    Some(ExprKind::Number { value, integer })
}

/// The content of a string literal with the usual escapes, or of a raw one.
fn string(text: &str) -> Option<String> {
    if let Some(raw) = text.strip_prefix('r') {
        let marks = raw.chars().take_while(|&c| c == '#').count();
        return Some(raw.get(marks + 1..raw.len().checked_sub(marks + 1)?)?.to_string());
    }
    let mut value = String::new();
    let mut characters = text.strip_prefix('"')?.strip_suffix('"')?.chars();
    while let Some(character) = characters.next() {
        value.push(match character {
            '\\' => match characters.next()? {
                'n' => '\n',
                't' => '\t',
                'r' => '\r',
                '0' => '\0',
                escaped @ ('\\' | '"' | '\'') => escaped,
                _ => return None,
            },
            other => other,
        });
    }
    Some(value)
}
