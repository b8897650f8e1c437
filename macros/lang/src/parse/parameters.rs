//! Hyper-parameters: their declarations, and nets that fix them.

use super::cursor::{Parsed, Parser};
use crate::ast::{AliasItem, BrokenKind, Item, Parameter, ParameterKind, Visibility};
use proc_macro2::{Ident, TokenStream};

/// What a hyper-parameter can be, with what other languages call it.
const KINDS: [(&str, ParameterKind, &[&str]); 5] = [
    ("usize", ParameterKind::Whole, &["u8", "u16", "u32", "u64", "i8", "i16", "i32", "i64", "isize", "int", "dim"]),
    ("f64", ParameterKind::Real, &["f32", "float", "double"]),
    ("bool", ParameterKind::Flag, &["flag"]),
    ("str", ParameterKind::Text, &["String", "string"]),
    ("layer", ParameterKind::Layer, &["net", "Layer", "Net", "Module"]),
];

impl Parser {
    /// `; width: usize, stride: usize = 1, block = Basic`, or nothing.
    pub fn parameters(&mut self) -> Vec<Parameter> {
        if self.take_operator(";").is_none() {
            return vec![];
        }
        let parameters = self.list(Self::parameter);
        let lost = parameters.iter().find_map(|parameter| parameter.as_ref().err().copied());
        let lost = lost.or_else(|| self.nothing_left("the hyper-parameters").err());
        self.lost = self.lost.or(lost);
        parameters.into_iter().flatten().collect()
    }

    fn parameter(&mut self) -> Parsed<Parameter> {
        let name = self.name("a hyper-parameter")?;
        if let Some(letter) = name.to_string().chars().next().filter(|letter| letter.is_uppercase()) {
            let lower = name.to_string().replacen(letter, &letter.to_lowercase().to_string(), 1);
            let error = self.report.error(name.span(), "the name of a hyper-parameter begins with a small letter");
            error.help(format!("write `{lower}`"));
        }
        let kind = match self.take_operator(":") {
            Some(_) => Some(self.parameter_kind(&name)?),
            None => None,
        };
        let default = match self.take_operator("=") {
            Some(_) => Some(self.expr(&format!("the value of `{name}`"))?),
            None => None,
        };
        if kind.is_none() && default.is_none() {
            return self
                .report
                .error(name.span(), format!("`{name}` needs a type, or a value that it has by itself"))
                .help(format!("write `{name}: usize`, or `{name} = …`"))
                .fail();
        }
        Ok(Parameter { name, kind, default })
    }

    fn parameter_kind(&mut self, name: &Ident) -> Parsed<ParameterKind> {
        self.take_operator("&");
        let Some(word) = self.ident().map(ToString::to_string) else {
            return self
                .unexpected(&format!("the type of `{name}`"))
                .help("a hyper-parameter is a `usize`, `f64`, `bool`, `str` or `layer`; tensors stand before the `;`")
                .fail();
        };
        if let Some((_, kind, _)) = KINDS.iter().find(|(known, ..)| *known == word) {
            self.bump();
            return Ok(*kind);
        }
        let meant = KINDS.iter().find(|(_, _, others)| others.contains(&word.as_str()));
        let error = self.error(format!("`{word}` is no type of a hyper-parameter"));
        error.help(match meant {
            Some((meant, ..)) => format!("write `{meant}` instead of `{word}`"),
            None => "there are `usize`, `f64`, `bool`, `str` and `layer`".to_owned(),
        });
        let Some((_, kind, _)) = meant else { return error.fail() };
        self.bump();
        Ok(*kind)
    }

    /// `= Gpt2(layers = 12);`
    pub fn alias(&mut self, attributes: TokenStream, visibility: Visibility, name: Ident) -> Parsed<Item> {
        self.take_operator("=");
        self.lost = None;
        let target = self.expr(&format!("the net that `{name}` stands for"));
        let ends = self.take_operator(";").is_some();
        match self.lost.map_or(target, Err) {
            Ok(target) => {
                if !ends {
                    self.unexpected(&format!("`;` after what `{name}` stands for"));
                    self.skip_until(|p| p.is_operator(";") || p.is_operator("#") || p.begins_item());
                    self.take_operator(";");
                }
                Ok(Item::Alias(AliasItem { attributes, visibility, name, target }))
            }
            Err(lost) => Err(self.broken([name], &visibility, BrokenKind::Net, lost)),
        }
    }
}
