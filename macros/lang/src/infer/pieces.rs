//! Functions that cut tensors into pieces and join them, or read them under another shape.

use super::arguments::{Gift, Given};
use super::block::Inference;
use super::lists::MAX_REPEATS;
use super::typed::{Argument, Call};
use super::types::{Axis, Element, Type, shape};
use super::value::{Tensor, Value};
use crate::functions::runtime::RESHAPE;
use crate::functions::{Function, runtime};
use crate::report::{Checked, Place};
use crate::terms::Term;
use ansatz_shapes::Size as _;

impl<'a> Inference<'a, '_, '_> {
    /// `split(3)`: equal parts along an axis.
    pub(super) fn split(&mut self, x: &Tensor, given: &Given<'a>, at: Place) -> Checked<Value<'a>> {
        let axis = self.one_axis("split", x, given, at)?;
        let Some(Gift::Count(parts)) = given.get("parts") else { return self.unexplained(at) };
        if *parts == 0 {
            return self.fail(at, "`split` makes at least one part, not 0");
        }
        if *parts > MAX_REPEATS {
            return self.fail(at, format!("`split` makes at most {MAX_REPEATS} parts, not {parts}"));
        }
        let size = self.quotient(&x.ty.axes[axis].size, &Term::literal(*parts), at, x)?;
        let mut pieces = vec![];
        for part in 0..*parts {
            let start = size.times(&Term::literal(part));
            pieces.push((None, Value::Tensor(self.piece(x, axis, start, size.clone(), at)?)));
        }
        Ok(Value::Tuple(pieces))
    }

    /// `slice(2, 5, over = t)`: from the first number up to the second.
    pub(super) fn slice(&mut self, x: &Tensor, given: &Given<'a>, at: Place) -> Checked<Tensor> {
        let axis = self.one_axis("slice", x, given, at)?;
        let (Some(Gift::Width(from, _)), Some(Gift::Width(to, to_place))) = (given.get("from"), given.get("to")) else {
            return self.unexplained(at);
        };
        let size = &x.ty.axes[axis].size;
        let (length, rest) = (to.minus(from), size.minus(to));
        let exact = |term: &Term| match term.number() {
            Some(number) => i128::try_from(number).ok(),
            None => term.as_integer(),
        };
        let at_least = |term: &Term, bound: i128| self.facts.at_least(term, bound);
        match (exact(&length), exact(&rest)) {
            _ if at_least(&length, 1) && at_least(&rest, 0) => {}
            (Some(number), _) if number <= 0 => {
                return self.fail(*to_place, format!("a slice from {from} to {to} is empty"));
            }
            (_, Some(number)) if number < 0 => {
                return self.fail(*to_place, format!("a slice to {to} ends after the axis, which has size {size}"));
            }
            _ if to.number().is_some() && size.number().is_some_and(|size| to.number() > Some(size)) => {
                return self.fail(*to_place, format!("a slice to {to} ends after the axis, which has size {size}"));
            }
            (None, _) if !at_least(&length, 1) => {
                let message = format!("nothing says that {from} is less than {to}");
                let names = length.open_names();
                // `t > 1` rather than `0 < t - 1`.
                let names = names.clone();
                let bound = match names.as_slice() {
                    [name] => length.minus(&Term::run_time(name.clone())).as_integer().map(|rest| (name, -rest)),
                    _ => None,
                };
                let help = match bound {
                    Some((name, least)) => format!("state it, `where {name} > {least}`"),
                    None => format!("state it, `where {from} < {to}`"),
                };
                return Err(self.nets.report.need_fact(names, *to_place, message, help));
            }
            _ => {
                let message = format!("nothing says that the axis of size {size} reaches to {to}");
                let help = format!("state it, `where {size} >= {to}`, or end the slice with `{size}`");
                return Err(self.nets.report.need_fact(rest.open_names(), *to_place, message, help));
            }
        }
        self.piece(x, axis, from.clone(), length, at)
    }

    pub(super) fn piece(&mut self, x: &Tensor, axis: usize, start: Term, size: Term, at: Place) -> Checked<Tensor> {
        // The caller has seen to it that the axis reaches so far. Part of an axis is another axis in its place.
        let from = Axis::from(start.clone());
        let Some(len) = x.ty.axes.get(axis).map(|axis| axis.replaced(size)) else { return self.unexplained(at) };
        let axes = self.known(ansatz_shapes::slice(&x.ty.axes, axis, &from, &len, |_, _| true).ok(), at)?;
        let ty = Type { axes, ..x.ty.clone() };
        let call = Call::new(runtime("slice"), [x]).with("axis", Argument::Count(axis));
        self.tensor(call.with("start", Argument::Size(start)), ty, at)
    }

    /// `pad(1, 1, over = h)`: zeros before and after.
    pub(super) fn pad(&mut self, x: &Tensor, given: &Given<'a>, at: Place) -> Checked<Tensor> {
        self.reals("pad", x, at)?;
        let axis = self.one_axis("pad", x, given, at)?;
        let (Some(Gift::Width(before, _)), Some(Gift::Width(after, _))) = (given.get("before"), given.get("after"))
        else {
            return self.unexplained(at);
        };
        let zeros = [before, after].map(|zeros| Axis::from(zeros.clone()));
        let axes = self.known(ansatz_shapes::pad(&x.ty.axes, axis, &zeros[0], &zeros[1]).ok(), at)?;
        let mut ty = Type { axes, ..x.ty.clone() };
        ty.axes[axis] = x.ty.axes[axis].resized(ty.axes[axis].size.clone());
        let call = Call::new(runtime("pad"), [x]).with("axis", Argument::Count(axis));
        self.tensor(call.with("before", Argument::Size(before.clone())), ty, at)
    }

    /// One after the other along an axis, the last one unless `over` names it.
    pub(super) fn concat(&mut self, tensors: &[Tensor], given: &Given<'a>, at: Place) -> Checked<Tensor> {
        let Some(first) = tensors.first() else { return self.unexplained(at) };
        for tensor in tensors {
            self.reals("concat", tensor, at)?;
        }
        let axis = self.one_axis("concat", first, given, at)?;
        let shapes: Vec<&[Axis]> = tensors.iter().map(|tensor| tensor.ty.axes.as_slice()).collect();
        match ansatz_shapes::concat(&shapes, axis) {
            Ok(mut axes) => {
                axes[axis] = first.ty.axes[axis].replaced(axes[axis].size.clone());
                self.joined(tensors, axis, Type::real(axes), at)
            }
            Err(misfit) => {
                let list: Vec<_> = tensors.iter().map(|tensor| tensor.ty.to_string()).collect();
                let which =
                    if axis + 1 == first.ty.rank() { "the last axis".to_owned() } else { format!("axis {axis}") };
                let message =
                    format!("`concat` takes tensors that differ in {which} alone, not {}", list.join(" and "));
                let wrong = match &misfit {
                    ansatz_shapes::Misfit::Size { operand, .. } | ansatz_shapes::Misfit::Rank { operand, .. } => {
                        *operand
                    }
                    ansatz_shapes::Misfit::Axis { .. } => 0,
                };
                self.misfit(&misfit, "concat", message, &tensors[wrong], at).fail()
            }
        }
    }

    /// Tensors of one shape along a new first axis.
    pub(super) fn stack(&mut self, tensors: &[Tensor], at: Place) -> Checked<Tensor> {
        let Some(first) = tensors.first() else { return self.unexplained(at) };
        let mut inputs = vec![];
        for tensor in tensors {
            self.reals("stack", tensor, at)?;
            if let Err(misfit) = ansatz_shapes::same(&first.ty.axes, &tensor.ty.axes) {
                let message = format!("`stack` takes tensors of one shape, not {} and {}", first.ty, tensor.ty);
                return self.misfit(&misfit, "stack", message, tensor, at).fail();
            }
            let axes = [Axis::from(Term::literal(1))].into_iter().chain(tensor.ty.axes.clone()).collect();
            inputs.push(self.tensor(Call::new(&RESHAPE, [tensor]), Type::real(axes), at)?);
        }
        let axes = [Axis::from(Term::literal(tensors.len()))].into_iter().chain(first.ty.axes.clone()).collect();
        self.joined(&inputs, 0, Type::real(axes), at)
    }

    /// Tensors one after the other along an axis.
    pub(super) fn joined(&mut self, tensors: &[Tensor], axis: usize, ty: Type, at: Place) -> Checked<Tensor> {
        self.tensor(Call::new(runtime("concat"), tensors).with("axis", Argument::Count(axis)), ty, at)
    }

    /// All axes but the first as one, or those that `over` names.
    pub(super) fn flatten(&mut self, x: &Tensor, given: &Given<'a>, at: Place) -> Checked<Tensor> {
        let axes = match given.get("over") {
            Some(Gift::Axes(over)) => self.over("flatten", over, x)?,
            _ => (1..x.ty.rank()).collect(),
        };
        let (Some(&first), Some(&last)) = (axes.first(), axes.last()) else {
            return self.fail(at, format!("`flatten` merges the axes after the first, but is given {}", x.ty));
        };
        if last - first + 1 != axes.len() {
            return self
                .fault(at, format!("`flatten` merges neighbouring axes, and others of {} stand between these", x.ty))
                .help("move them first: `x |> [n, a, b, c] -> [n, (a c), b]`")
                .fail();
        }
        let merged = x.ty.axes[first..=last].iter().fold(Term::literal(1), |all, axis| all.times(&axis.size));
        let mut ty = x.ty.clone();
        ty.axes.splice(first..=last, [Axis::from(merged)]);
        self.tensor(Call::new(&RESHAPE, [x]), ty, at)
    }

    /// The same elements under a shape that provably holds as many, or with other names for its dimensions.
    pub(super) fn reshape(
        &mut self,
        function: &'static Function,
        x: &Tensor,
        given: &Given<'a>,
        at: Place,
    ) -> Checked<Tensor> {
        let Some(Gift::Shape(axes)) = given.get("shape") else { return self.unexplained(at) };
        let elements = |axes: &[Axis]| axes.iter().fold(Term::literal(1), |all, axis| all.times(&axis.size));
        let numbers = |a: &Term, b: &Term| a == b || (a.number().is_some() && a.number() == b.number());
        let (came, wanted) = (elements(&x.ty.axes), elements(axes));
        let fits = match function.name {
            "rename" => axes.len() == x.ty.rank() && x.ty.axes.iter().zip(axes).all(|(a, b)| numbers(&a.size, &b.size)),
            _ => numbers(&came, &wanted),
        };
        if !fits {
            let message = match function.name {
                "rename" => format!("`rename` keeps every size, and {} is not {}", x.ty, shape(axes)),
                _ => format!("{} holds {came} elements and {} holds {wanted}", x.ty, shape(axes)),
            };
            let error = self.about(x, at, message);
            if function.name == "rename" {
                error.help("`reshape` and patterns change sizes");
            }
            return error.fail();
        }
        let ty = Type { element: x.ty.element.clone(), axes: axes.clone() };
        self.tensor(Call::new(&RESHAPE, [x]), ty, at)
    }

    /// Indices as rows of zeros with a 1 at the index.
    pub(super) fn one_hot(&mut self, x: &Tensor, at: Place) -> Checked<Tensor> {
        let Element::Index(space) = &x.ty.element else {
            let message = format!("`one_hot` takes indices, but is given {}", x.ty.element);
            return self
                .fault(at, message)
                .help("an input holds indices if its type says into what: `y: [n] in Digit`")
                .fail();
        };
        let axes = x.ty.axes.iter().cloned().chain([Axis::from(space.clone())]).collect();
        self.tensor(Call::new(runtime("one_hot"), [x]), Type::real(axes), at)
    }
}
