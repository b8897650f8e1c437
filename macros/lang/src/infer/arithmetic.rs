//! Operators, and broadcasting.

use super::blame::confused;
use super::block::Inference;
use super::facts::relation;
use super::text::text;
use super::typed::{Argument, Call};
use super::types::{Axis, Element, Type};
use super::value::{Environment, Tensor, Value};
use crate::ast::Expr;
use crate::functions::runtime::{BROADCAST, NEG, NOT, SQUEEZE, operator};
use crate::functions::{Runtime, runtime};
use crate::report::{Checked, Depends, Place};
use crate::terms::Atom;
use ansatz_shapes::{Misfit, Size as _, Spread};
use proc_macro2::Ident;

impl<'a> Inference<'a, '_, '_> {
    /// `left op right`
    pub(super) fn binary(
        &mut self,
        op: &'static str,
        left: Value<'a>,
        right: Value<'a>,
        expr: &'a Expr,
    ) -> Checked<Value<'a>> {
        let at = expr.span;
        match (left, right) {
            (Value::Error(lost), _) | (_, Value::Error(lost)) => Err(lost),
            (Value::Tensor(left), Value::Tensor(right)) => {
                self.tensors_binary(op, &left, &right, at).map(Value::Tensor)
            }
            (Value::Tensor(left), right) => {
                let right = self.scalar(op, &left, right, at)?;
                self.tensors_binary(op, &left, &right, at).map(Value::Tensor)
            }
            (left, Value::Tensor(right)) => {
                let left = self.scalar(op, &right, left, at)?;
                self.tensors_binary(op, &left, &right, at).map(Value::Tensor)
            }
            (Value::Flag(left), Value::Flag(right)) => match op {
                "==" => Ok(Value::Flag(left == right)),
                "!=" => Ok(Value::Flag(left != right)),
                "&&" => Ok(Value::Flag(left && right)),
                "||" => Ok(Value::Flag(left || right)),
                _ => self.no_operator(op, "truth values", at),
            },
            (Value::Text(left), Value::Text(right)) => match op {
                "==" => Ok(Value::Flag(left == right)),
                "!=" => Ok(Value::Flag(left != right)),
                _ => self.no_operator(op, "texts", at),
            },
            // Sizes are numbers too: what is no size any more is a number.
            (left, right) => match ([&left, &right].map(|side| self.dimension(side)), left.number(), right.number()) {
                ([Some(l), Some(r)], a, b)
                    if op != "/" || a.is_none() || b.is_none() || self.facts.dims.quotient(&l, &r).is_some() =>
                {
                    self.sizes_binary(op, &l, &r, expr)
                }
                (_, Some(l), Some(r)) => self.numbers_binary(op, l, r, at),
                _ => {
                    let message = format!("`{op}` does not join {} and {}", left.what(), right.what());
                    let open = [&left, &right].map(|side| matches!(side, Value::Size(term) if term.number().is_none()));
                    let error = self.fault(at, message);
                    if open.contains(&true) {
                        error.help(
                            "a size that is known only at run time joins tensors and whole numbers: `0.5 * (t * x)`",
                        );
                    }
                    error.fail()
                }
            },
        }
    }

    /// `-a`, `!a`
    pub(super) fn unary(&mut self, op: char, value: Value<'a>, expr: &'a Expr) -> Checked<Value<'a>> {
        let at = expr.span;
        match (op, value) {
            (_, Value::Error(lost)) => Err(lost),
            ('-', Value::Number { value, integer }) => {
                Ok(Value::Number { value: -value, integer: integer.map(|integer| -integer) })
            }
            ('-', value @ Value::Size(_)) if let Some(number) = value.number() => {
                Ok(Value::Number { value: -number, integer: None })
            }
            ('-', Value::Tensor(x)) => {
                self.reals("-", &x, at)?;
                self.map(&NEG, &[&x], vec![], x.ty.clone(), at).map(Value::Tensor)
            }
            ('!', Value::Flag(flag)) => Ok(Value::Flag(!flag)),
            ('!', Value::Tensor(x)) if x.ty.element == Element::Truth => {
                self.map(&NOT, &[&x], vec![], x.ty.clone(), at).map(Value::Tensor)
            }
            (op, other) => {
                let message = format!("`{op}` does not apply to {}", other.what());
                self.fail(at, message)
            }
        }
    }

    /// A number next to a tensor becomes a tensor of its shape.
    pub(super) fn scalar(&mut self, op: &str, like: &Tensor, value: Value<'a>, at: Place) -> Checked<Tensor> {
        let scalar = match &value {
            value if let Some(number) = value.number() => Argument::Number(number),
            Value::Size(term) => Argument::Real(term.clone()),
            other => {
                let message =
                    format!("`{op}` does not join {} and {}", Value::Tensor(like.clone()).what(), other.what());
                let error = self.fault(at, message);
                if matches!(other, Value::Layer(_)) {
                    error.help(format!(
                        "`|>` binds less than `{op}`: put the pipeline in parentheses, `(x |> f) {op} y`"
                    ));
                }
                return error.fail();
            }
        };
        if like.ty.element != Element::Real {
            let message = format!("`{op}` does not join {} and {}", like.ty.element, value.what());
            let error = self.fault(at, message);
            return match like.ty.element {
                Element::Truth => error.help("`to_real(…)` makes truth values 1 and 0"),
                _ => error.help("indices are compared with indices into the same dimension"),
            }
            .fail();
        }
        self.constant(like, scalar, at)
    }

    fn tensors_binary(&mut self, op: &'static str, a: &Tensor, b: &Tensor, at: Place) -> Checked<Tensor> {
        use Element::{Index, Real, Truth};
        let element = if matches!(op, "+" | "-" | "*" | "/") { Real } else { Truth };
        let fits = match (op, &a.ty.element, &b.ty.element) {
            ("&&" | "||", Truth, Truth) => true,
            ("&&" | "||", _, _) => false,
            (_, Real, Real) => true,
            ("==" | "!=", Index(left), Index(right)) if left == right => true,
            ("==" | "!=", Index(left), Index(right)) => {
                let (left, right) = (left.clone(), right.clone());
                let message = format!("`{op}` compares indices into {left} with indices into {right}");
                let notes = self.notes(a, &[(left, right)]);
                return self.fault(at, message).notes(notes).fail();
            }
            _ => false,
        };
        if !fits {
            let (left, right) = (a.ty.element.clone(), b.ty.element.clone());
            let message = match left == right {
                true => format!("`{op}` does not apply to {left}"),
                false => format!("`{op}` does not join {left} and {right}"),
            };
            let truth = left == Truth || right == Truth;
            let error = self.fault(at, message);
            if truth && !matches!(op, "&&" | "||") {
                error.help("`to_real(…)` makes truth values 1 and 0; `!`, `&&` and `||` join truth values");
            } else if matches!(left, Index(_)) || matches!(right, Index(_)) {
                error.help("indices are classes, not numbers: `==` compares them, `cross_entropy` learns them");
            }
            return error.fail();
        }
        self.pair(op, operator(op), a, b, element, at)
    }

    /// An elementwise function of two tensors, after broadcasting. `shown` is how the source calls it.
    pub(super) fn pair(
        &mut self,
        shown: &str,
        of: &'static Runtime,
        a: &Tensor,
        b: &Tensor,
        element: Element,
        at: Place,
    ) -> Checked<Tensor> {
        let (a, b, axes) = self.broadcast(shown, a, b, at)?;
        self.map(of, &[&a, &b], vec![], Type { element, axes }, at)
    }

    /// Two tensors in their common shape.
    fn broadcast(&mut self, shown: &str, a: &Tensor, b: &Tensor, at: Place) -> Checked<(Tensor, Tensor, Vec<Axis>)> {
        match ansatz_shapes::broadcast(&a.ty.axes, &b.ty.axes) {
            Ok((mut axes, [left, right])) => {
                self.no_column(shown, a, b, at)?;
                // Equal sizes may carry their label on one side only.
                for shape in [&a.ty.axes, &b.ty.axes] {
                    for (i, axis) in axes.iter_mut().rev().enumerate() {
                        let own = shape.iter().rev().nth(i).filter(|own| own.size == axis.size);
                        if let (None, Some(own)) = (&axis.label, own) {
                            axis.label = own.label.clone();
                            axis.origin = axis.origin.take().or_else(|| own.origin.clone());
                        }
                    }
                }
                let a = self.spread(a, &left, &axes, at)?;
                let b = self.spread(b, &right, &axes, at)?;
                Ok((a, b, axes))
            }
            Err(misfit) => {
                let message = format!("`{shown}` does not join {} and {}", a.ty, b.ty);
                let mut sizes = vec![];
                let mut notes = vec![];
                let mut rule =
                    "axes are compared from the right: they are equal, or one of them is a literal 1".to_owned();
                let mut labels = None;
                if let Misfit::Size { expected, found, .. } = misfit {
                    rule = match (&expected.label, &found.label) {
                        (Some(l), Some(r)) if expected.size == found.size => {
                            labels = relabelled(b, r, l).or_else(|| relabelled(a, l, r));
                            format!("the axes `{l}` and `{r}` differ")
                        }
                        _ => format!("axes are compared from the right, and {} is not {}", found.size, expected.size),
                    };
                    sizes.push((expected.size, found.size));
                }
                for tensor in [a, b] {
                    notes.extend(self.notes(tensor, &[]).into_iter().filter(|_| tensor.trail.len() > 1));
                }
                notes.push(rule);
                notes.extend(confused(&sizes));
                let help = labels
                    .or_else(|| self.mended(a, b))
                    .or_else(|| self.mended(b, a))
                    .or_else(|| with_ones(a, b))
                    .or_else(|| with_ones(b, a));
                let error = self.fault(at, message).depends(Depends::OnShapes).notes(notes);
                error.help = help;
                error.fail()
            }
        }
    }

    /// `[n, 1]` and `[n]` would make `[n, n]`, which is hardly ever meant: whoever means it writes both as columns or rows.
    fn no_column(&mut self, shown: &str, a: &Tensor, b: &Tensor, at: Place) -> Checked<()> {
        let (longer, shorter) = if a.ty.rank() > b.ty.rank() { (a, b) } else { (b, a) };
        let more = longer.ty.rank() - shorter.ty.rank();
        if more == 0 {
            return Ok(());
        }
        let own = longer.ty.axes[more..].iter().zip(&shorter.ty.axes);
        let mut stretched = own.filter(|(longer, shorter)| longer.is_one() && !shorter.is_one());
        let twice = |axis: &Axis| longer.ty.axes.iter().any(|other| other.size == axis.size);
        let Some((_, axis)) = stretched.find(|(_, axis)| twice(axis)) else { return Ok(()) };
        let message = format!("`{shown}` would repeat {} and {} along {} twice", a.ty, b.ty, axis.size);
        let mut column: Vec<String> = shorter.ty.axes.iter().map(|axis| axis.size.to_string()).collect();
        let row = column.join(", ");
        column.push("1".to_owned());
        self.fault(at, message)
            .help(format!("a pattern makes a column, `y |> [{row}] -> [{}]`, or a row", column.join(", ")))
            .depends(Depends::OnShapes)
            .fail()
    }

    /// What would give `tensor` the last axis of `other`, if a layer made it.
    fn mended(&self, other: &Tensor, tensor: &Tensor) -> Option<String> {
        let (wanted, came) = (other.ty.axes.last()?, tensor.ty.axes.last()?);
        let producer = self.producer(tensor, tensor.ty.rank() - 1).filter(|_| wanted.size != came.size)?;
        Some(format!("make `{producer}` produce {}", wanted.size))
    }

    /// One operand on its way to the common shape.
    fn spread(&mut self, tensor: &Tensor, spread: &Spread, axes: &[Axis], at: Place) -> Checked<Tensor> {
        let mut tensor = tensor.clone();
        if !spread.squeezed.is_empty() {
            let kept = self.known(ansatz_shapes::reduce(&tensor.ty.axes, &spread.squeezed).ok(), at)?;
            let ty = Type { element: tensor.ty.element.clone(), axes: kept };
            tensor = self.tensor(Call::new(&SQUEEZE, [&tensor]).over(spread.squeezed.clone()), ty, at)?;
        }
        if !spread.inserted.is_empty() {
            let ty = Type { element: tensor.ty.element.clone(), axes: axes.to_vec() };
            tensor = self.tensor(Call::new(&BROADCAST, [&tensor]).over(spread.inserted.clone()), ty, at)?;
        }
        Ok(tensor)
    }

    pub(super) fn select(&mut self, condition: &Tensor, yes: &Tensor, no: &Tensor, at: Place) -> Checked<Tensor> {
        if condition.ty.element != Element::Truth {
            let message = format!("`select` chooses by truth values, but is given {}", condition.ty);
            return self.fault(at, message).help("compare first: `select(x > 0, a, b)`").fail();
        }
        self.reals("select", yes, at)?;
        self.reals("select", no, at)?;
        let (yes, no, _) = self.broadcast("select", yes, no, at)?;
        let (yes, condition, _) = self.broadcast("select", &yes, condition, at)?;
        let (no, condition, axes) = self.broadcast("select", &no, &condition, at)?;
        self.map(runtime("select"), &[&condition, &yes, &no], vec![], Type::real(axes), at)
    }

    /// `floor_div(a, b)`, `ceil_div(a, b)`
    pub(super) fn rounded_size(
        &mut self,
        name: &Ident,
        arguments: &'a [crate::ast::Argument],
        environment: &Environment<'a>,
    ) -> Checked<Value<'a>> {
        let sizes = arguments.iter().map(|argument| {
            let (value, at) = (self.value(&argument.value, environment)?, argument.value.span);
            if let Some(lost) = value.lost() {
                return Err(lost);
            }
            self.dimension(&value).map_or_else(
                || self.fail(at, format!("`{name}` divides whole numbers and sizes, not {}", value.what())),
                Ok,
            )
        });
        let sizes = sizes.collect::<Vec<_>>().into_iter().collect::<Checked<Vec<_>>>()?;
        let quotient = crate::resolve::division(&name.to_string(), &sizes, name.span(), self.nets.report)?;
        Ok(Value::of_size(self.facts.dims.normal(&quotient)))
    }

    fn sizes_binary(
        &mut self,
        op: &'static str,
        left: &crate::terms::Term,
        right: &crate::terms::Term,
        expr: &'a Expr,
    ) -> Checked<Value<'a>> {
        let at = expr.span;
        if let "+" | "-" | "*" | "/" = op {
            let op = op.chars().next().unwrap_or('+');
            let term = crate::resolve::arithmetic(op, left, right, &self.facts.dims, at, self.nets.report)?;
            return Ok(Value::of_size(term));
        }
        let (Some(l), Some(r)) = (left.whole(), right.whole()) else {
            let message = format!("`{}` cannot be decided at compile time", text(expr));
            let help = "a size that is known only at run time cannot choose code";
            return Err(self.need(&left.plus(right), at, message, help.to_owned()));
        };
        self.numbers_binary(op, l as f64, r as f64, at)
    }

    fn numbers_binary(&mut self, op: &'static str, left: f64, right: f64, at: Place) -> Checked<Value<'a>> {
        let number = |value: f64| Ok(Value::Number { value, integer: None });
        match op {
            "+" => number(left + right),
            "-" => number(left - right),
            "*" => number(left * right),
            "/" if right == 0.0 => {
                self.fault(at, "a division by 0").help("choose numbers of which this is none").fail()
            }
            "/" => number(left / right),
            _ => match relation(op, left, right) {
                Some(holds) => Ok(Value::Flag(holds)),
                None => self.no_operator(op, "numbers", at),
            },
        }
    }

    fn no_operator<T>(&mut self, op: &str, what: &str, at: Place) -> Checked<T> {
        self.fail(at, format!("`{op}` does not apply to {what}"))
    }
}

/// What would make one tensor fit another that has all of its axes in their order, and more: a pattern with new ones.
pub(super) fn with_ones(longer: &Tensor, shorter: &Tensor) -> Option<String> {
    let mut rest = shorter.ty.axes.iter().enumerate().peekable();
    let (mut from, mut to) = (vec![], vec![]);
    for axis in &longer.ty.axes {
        match rest.next_if(|(_, own)| *own == axis) {
            Some((i, own)) => {
                let name = own.known_as().cloned().unwrap_or_else(|| char::from(b'a' + i as u8).to_string());
                from.push(name.clone());
                to.push(name);
            }
            None => to.push("1".to_owned()),
        }
    }
    let fits = rest.next().is_none() && !from.is_empty() && from.len() < to.len();
    fits.then(|| {
        format!("a pattern puts new axes where they belong: `y |> [{}] -> [{}]`", from.join(", "), to.join(", "))
    })
}

/// The pattern that gives the axis `from` of a tensor the label `to`.
pub(super) fn relabelled(tensor: &Tensor, from: &str, to: &str) -> Option<String> {
    let name = |axis: &Axis| match &axis.label {
        Some(label) if label == from => Some(to.to_owned()),
        Some(label) => Some(label.clone()),
        None => match axis.size.as_atom() {
            Some(Atom::RunTime(name) | Atom::Nominal { name, .. }) => Some(name.clone()),
            _ => None,
        },
    };
    let axes: Vec<String> = tensor.ty.axes.iter().map(name).collect::<Option<_>>()?;
    let twice = axes.iter().enumerate().any(|(i, axis)| axes[..i].contains(axis));
    let axes = axes.join(", ");
    (!twice).then(|| format!("a pattern gives axes other labels: `|> [{axes}] -> [{axes}]`"))
}
