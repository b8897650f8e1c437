//! Random programs, right ones and such with a mistake, against what PyTorch says of them.
//!
//! `programs.txt` is written by `tests/fixtures/programs`: declarations that all programs share, two sizes for each
//! run-time dimension, and the programs. Before each stands the verdict of PyTorch's meta tensors: `+` and the shape of
//! the result (two shapes, if it depends on the run-time dimensions), `?` and shapes where small sizes would fail, `-`
//! where it fails, and a word where only our rules are broken: the sizes are equal numbers of different `names` or
//! `labels`; a tensor is of another `kind`, or points into another `space`; two tensors are of different `shape`, where PyTorch
//! would repeat one; `parameters` would have a size that is known only at run time; the `rank` is too high.

use ansatz_lang::infer::{Type, infer};
use ansatz_lang::report::Report;
use ansatz_lang::{parse, resolve};
use std::collections::BTreeMap;

/// The sizes of run-time dimensions.
type Sizes = BTreeMap<String, usize>;

/// What the checker says of a program: the type of the result of its last net, or its errors.
fn checked(source: &str) -> Result<Type, Vec<String>> {
    let mut report = Report::new();
    let program = parse::parse(source.parse().expect("the programs of the file are tokens"), &mut report);
    let names = resolve::resolve(&program, &mut report);
    let inferred = infer(&names, &mut report);
    let errors: Vec<String> = report.into_diagnostics().iter().map(|diagnostic| diagnostic.text()).collect();
    if !errors.is_empty() {
        return Err(errors);
    }
    let net = inferred.nets.iter().find(|net| net.item.name == "F").expect("every program declares `F`");
    Ok(net.results[0].clone().expect("a net without errors has a type"))
}

/// The shape of a type where run-time dimensions have these sizes.
fn shape(ty: &Type, sizes: &Sizes) -> String {
    let size = |axis: &ansatz_lang::infer::Axis| axis.size.evaluate(&|name| sizes.get(name).copied());
    let axes: Option<Vec<String>> = ty.axes.iter().map(|axis| size(axis).map(|size| size.to_string())).collect();
    axes.map_or_else(|| format!("{ty}"), |axes| axes.join(","))
}

#[test]
fn the_checker_and_pytorch_agree() {
    let file = include_str!("programs.txt");
    let (shared, rest) = file.split_once("\n\n").expect("declarations, sizes, programs");
    let (sizes, programs) = rest.split_once("\n\n").expect("declarations, sizes, programs");
    let sizes: Vec<(&str, [usize; 2])> = sizes
        .split(' ')
        .map(|pair| {
            let (name, sizes) = pair.split_once('=').expect("`n=5,6`");
            let (one, two) = sizes.split_once(',').expect("`n=5,6`");
            (name, [one, two].map(|size| size.parse().expect("a number")))
        })
        .collect();
    let runs = [0, 1].map(|run| sizes.iter().map(|(name, sizes)| ((*name).to_owned(), sizes[run])).collect::<Sizes>());
    let (mut counts, mut wrong) = (BTreeMap::<(String, &str), usize>::new(), vec![]);
    for line in programs.lines() {
        let (verdict, program) = line.split_once(' ').expect("a verdict and a program");
        // A private net: a public one whose parameters have run-time sizes is a template that others may complete.
        let source = format!("{shared}\nnet F{program}");
        let answer = checked(&source);
        let word = verdict.chars().next().filter(|mark| "+?".contains(*mark));
        let key = word.map_or_else(|| verdict.to_owned(), |mark| mark.to_string());
        let said = if answer.is_ok() { "accepted" } else { "rejected" };
        *counts.entry((key.clone(), said)).or_insert(0) += 1;
        let agree = match (&answer, key.as_str()) {
            (Ok(ty), "+" | "?") => {
                let (one, two) = verdict[1..].split_once(';').unwrap_or((&verdict[1..], &verdict[1..]));
                [one, two] == [shape(ty, &runs[0]).as_str(), shape(ty, &runs[1]).as_str()]
            }
            (Err(_), "+") | (Ok(_), _) => false,
            (Err(_), _) => true,
        };
        if !agree {
            let answer = answer.map_or_else(|errors| errors.join("\n"), |ty| ty.to_string());
            wrong.push(format!("{line}\n    {}", answer.replace('\n', "\n    ")));
        }
    }
    for ((verdict, said), count) in &counts {
        println!("{verdict:>12} {said}: {count}");
    }
    assert!(programs.lines().count() >= 3000);
    assert!(wrong.is_empty(), "{} disagreements\n{}", wrong.len(), wrong.join("\n"));
}

/// The text up to a place, with all brackets closed; `None` inside of a word or a text.
fn prefix(source: &str, end: usize) -> Option<String> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let (last, next) = (source[..end].chars().last()?, source[end..].chars().next()?);
    let quotes = source[..end].chars().filter(|c| *c == '"').count();
    if (is_word(last) && is_word(next)) || quotes % 2 == 1 {
        return None;
    }
    let mut open = vec![];
    for letter in source[..end].chars() {
        match letter {
            '(' => open.push(')'),
            '[' => open.push(']'),
            '{' => open.push('}'),
            ')' | ']' | '}' => drop(open.pop()),
            _ => {}
        }
    }
    Some(source[..end].chars().chain(open.into_iter().rev()).collect())
}

/// Half-typed programs keep the names that are declared, and never stop the macro.
#[test]
fn every_prefix_keeps_its_names() {
    let file = include_str!("programs.txt");
    let (shared, rest) = file.split_once("\n\n").expect("declarations, sizes, programs");
    let (_, programs) = rest.split_once("\n\n").expect("declarations, sizes, programs");
    let shared = shared.lines().next().expect("the dimensions");
    let mut done = 0;
    for line in programs.lines().step_by(29) {
        let (_, program) = line.split_once(' ').expect("a verdict and a program");
        let source = format!("pub net F{program}");
        for end in (10..source.len()).filter(|end| source.is_char_boundary(*end)) {
            let Some(part) = prefix(&source, end) else { continue };
            let Ok(tokens) = format!("{shared} {part}").parse() else { continue };
            let expanded = ansatz_lang::expand(tokens).tokens.to_string();
            for name in ["A", "V", "F"] {
                let declares = |keyword: &str| expanded.contains(&format!("{keyword} {name} "));
                assert!(declares("struct") || declares("type"), "`{name}` is lost in {part}");
            }
            done += 1;
        }
    }
    assert!(done >= 3000, "only {done} prefixes");
}
