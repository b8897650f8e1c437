//! When two expressions say the same, wherever they stand: layers that are hyper-parameters are told apart by that.

use super::{Argument, Expr, ExprKind, Pattern, PatternAxis, Size, Times};

impl Expr {
    /// Whether both say the same. What binds names says the same as itself alone.
    pub fn says(&self, other: &Self) -> bool {
        use ExprKind::{Binary, Bool, Call, Label, List, Member, Name, Number, Path, Repeat, Str, Unary};
        self.number == other.number
            || match (&self.kind, &other.kind) {
                (Name(a), Name(b)) => a == b,
                (Path(a), Path(b)) => a == b,
                (Number { value: a, integer: i }, Number { value: b, integer: j }) => a == b && i == j,
                (Bool(a), Bool(b)) => a == b,
                (Str(a), Str(b)) => a == b,
                (Member { of: a, name: left }, Member { of: b, name: right })
                | (Label { inner: a, label: left }, Label { inner: b, label: right }) => left == right && a.says(b),
                (Unary { operand: a, op: left }, Unary { operand: b, op: right }) => left == right && a.says(b),
                (Binary { operands: a, op: left }, Binary { operands: b, op: right }) => {
                    left == right && all(&a[..], &b[..], Self::says)
                }
                (List(a), List(b)) => all(a, b, Self::says),
                (Call { callee: f, arguments: a }, Call { callee: g, arguments: b }) => {
                    let same = |a: &Argument, b: &Argument| a.name == b.name && a.value.says(&b.value);
                    f.says(g) && all(a, b, same)
                }
                (Repeat { layer: a, times: Times::Count(count) }, Repeat { layer: b, times: Times::Count(other) }) => {
                    a.says(b) && count.says(other)
                }
                (ExprKind::Pattern(Pattern { from, to }), ExprKind::Pattern(other)) => {
                    all(from, &other.from, PatternAxis::says) && all(to, &other.to, PatternAxis::says)
                }
                _ => false,
            }
    }
}

impl PatternAxis {
    fn says(&self, other: &Self) -> bool {
        self.grouped == other.grouped && all(&self.parts, &other.parts, Size::says)
    }
}

impl Size {
    fn says(&self, other: &Self) -> bool {
        match (self, other) {
            (Size::Literal(a, _), Size::Literal(b, _)) => a == b,
            (Size::Name(a), Size::Name(b)) => a == b,
            (Size::Infer(_), Size::Infer(_)) => true,
            (Size::Arithmetic { op: left, operands: a, .. }, Size::Arithmetic { op: right, operands: b, .. }) => {
                left == right && all(&a[..], &b[..], Self::says)
            }
            (Size::Call { name: f, arguments: a }, Size::Call { name: g, arguments: b }) => {
                f == g && all(a, b, Self::says)
            }
            _ => false,
        }
    }
}

fn all<T>(a: &[T], b: &[T], says: impl Fn(&T, &T) -> bool) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| says(a, b))
}
