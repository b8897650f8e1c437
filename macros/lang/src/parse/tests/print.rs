//! Source text of a syntax tree; parsing it again gives the same tree.

use crate::ast::*;

pub fn program(program: &Program) -> String {
    program.items.iter().map(item).collect::<Vec<_>>().join("\n")
}

fn item(item: &Item) -> String {
    match item {
        Item::Dim(dim) => {
            format!("{} {} dim {} = {};", dim.attributes, dim.visibility.tokens, dim.name, size(&dim.size))
        }
        Item::Net(net) => {
            let inputs = join(&net.inputs, input);
            let result = match &net.result {
                ResultType::One(one) => ty(one),
                ResultType::Named(all) => format!("({})", join(all, input)),
            };
            let facts = if net.facts.is_empty() { String::new() } else { format!("where {}", join(&net.facts, fact)) };
            let body = net.body.as_ref().map_or(String::new(), |body| format!("{{ {} }}", block(body)));
            let (attributes, visibility) = (&net.attributes, &net.visibility.tokens);
            let parameters = match net.parameters.is_empty() {
                true => String::new(),
                false => format!("; {}", join(&net.parameters, parameter)),
            };
            let (word, result) = match net.role {
                Role::Flow => ("flow", String::new()),
                _ => ("net", format!("-> {result}")),
            };
            format!("{attributes} {visibility} {word} {}({inputs}{parameters}) {result} {facts} {body}", net.name)
        }
        Item::Alias(alias) => {
            let (attributes, visibility) = (&alias.attributes, &alias.visibility.tokens);
            format!("{attributes} {visibility} net {} = {};", alias.name, expr(&alias.target))
        }
    }
}

fn join<T>(all: &[T], print: impl Fn(&T) -> String) -> String {
    all.iter().map(print).collect::<Vec<_>>().join(", ")
}

fn axis(axis: &PatternAxis) -> String {
    let parts = axis.parts.iter().map(size).collect::<Vec<_>>().join(" ");
    if axis.grouped { format!("({parts})") } else { parts }
}

fn parameter(parameter: &Parameter) -> String {
    let kind = parameter.kind.map_or("", |kind| match kind {
        ParameterKind::Whole => ": usize",
        ParameterKind::Real => ": f64",
        ParameterKind::Flag => ": bool",
        ParameterKind::Text => ": str",
        ParameterKind::Layer => ": layer",
    });
    let default = parameter.default.as_ref().map_or(String::new(), |default| format!(" = {}", expr(default)));
    format!("{}{kind}{default}", parameter.name)
}

fn input(input: &Input) -> String {
    format!("{}: {}", input.name, ty(&input.ty))
}

fn ty(ty: &TensorType) -> String {
    let axes = join(&ty.axes, |axis| match &axis.label {
        Some(label) => format!("{label} = {}", size(&axis.size)),
        None => size(&axis.size),
    });
    let space = ty.space.as_ref().map_or(String::new(), |space| format!(" in {}", size(space)));
    format!("[{axes}]{space}")
}

pub fn size(value: &Size) -> String {
    match value {
        Size::Literal(number, _) => number.to_string(),
        Size::Name(name) => name.to_string(),
        Size::Infer(_) => "_".to_string(),
        Size::Arithmetic { op, operands, .. } => format!("({} {op} {})", size(&operands[0]), size(&operands[1])),
        Size::Call { name, arguments } => format!("{name}({})", join(arguments, size)),
    }
}

fn fact(fact: &Fact) -> String {
    match fact {
        Fact::Divides(a, b) => format!("{} | {}", size(a), size(b)),
        Fact::Relation(a, relation, b) => format!("{} {relation} {}", size(a), size(b)),
    }
}

pub fn block(block: &Block) -> String {
    let statements = block.statements.iter().map(|statement| {
        let binding = match statement {
            Statement::Let(binding) => binding,
            Statement::Own(own) => {
                let word = if own.state { "state" } else { "param" };
                return format!("{word} {}: {} = {}; ", own.name, ty(&own.ty), expr(&own.start));
            }
            Statement::Update(update) => return format!("update {} = {}; ", update.name, expr(&update.value)),
        };
        let pattern = match &binding.pattern {
            LetPattern::Name(name) => name.to_string(),
            LetPattern::Tuple(names) => format!("({})", join(names, ToString::to_string)),
        };
        format!("let {pattern} = {}; ", expr(&binding.value))
    });
    format!("{}{}", statements.collect::<String>(), expr(&block.result))
}

pub fn expr(value: &Expr) -> String {
    match &value.kind {
        ExprKind::Name(name) => name.to_string(),
        ExprKind::Rust { call, result } => format!("({} -> {})", self::expr(call), ty(result)),
        ExprKind::Path(segments) => segments.iter().map(ToString::to_string).collect::<Vec<_>>().join("::"),
        ExprKind::Number { integer: Some(integer), .. } => integer.to_string(),
        ExprKind::Number { value, integer: None } => format!("{value:?}"),
        ExprKind::Bool(value) => value.to_string(),
        ExprKind::Str(text) => format!("{text:?}"),
        ExprKind::Call { callee, arguments } => {
            let arguments = join(arguments, |argument| match &argument.name {
                Some(name) => format!("{name} = {}", expr(&argument.value)),
                None => expr(&argument.value),
            });
            format!("{}({arguments})", expr(callee))
        }
        ExprKind::Member { of, name } => format!("{}.{name}", expr(of)),
        ExprKind::Label { label, inner } => match &inner.kind {
            ExprKind::Block(scope) if scope.statements.is_empty() => format!("{label}: ({})", block(scope)),
            _ => format!("{label}: {}", expr(inner)),
        },
        ExprKind::Pipeline(stages) => format!("({})", stages.iter().map(expr).collect::<Vec<_>>().join(" |> ")),
        ExprKind::Binary { op, operands } => format!("({} {op} {})", expr(&operands[0]), expr(&operands[1])),
        ExprKind::Range(ends) => format!("({}..{})", expr(&ends[0]), expr(&ends[1])),
        ExprKind::Unary { op, operand } => format!("({op}{})", expr(operand)),
        ExprKind::Closure { parameters, body } => {
            format!("(|{}| {})", join(parameters, ToString::to_string), expr(body))
        }
        ExprKind::Tuple(elements) => {
            let elements = join(elements, |(name, value)| match name {
                Some(name) => format!("{name} = {}", expr(value)),
                None => expr(value),
            });
            format!("({elements})")
        }
        ExprKind::List(elements) => format!("[{}]", join(elements, expr)),
        ExprKind::Repeat { layer, times: Times::Count(count) } => format!("[{}; {}]", expr(layer), size(count)),
        ExprKind::Repeat { layer, times: Times::Range { index, bounds } } => {
            format!("[{}; {index} in {}..{}]", expr(layer), size(&bounds[0]), size(&bounds[1]))
        }
        ExprKind::Pattern(Pattern { from, to }) => format!("[{}] -> [{}]", join(from, axis), join(to, axis)),
        ExprKind::Einsum { operands, result } => {
            let operands =
                join(operands, |operand| format!("({})[{}]", expr(&operand.tensor), join(&operand.axes, axis)));
            format!("einsum({operands} -> [{}])", join(result, axis))
        }
        ExprKind::If { condition, yes, no } => {
            format!("if {} {{ {} }} else {{ {} }}", expr(condition), block(yes), block(no))
        }
        ExprKind::Block(inner) => format!("{{ {} }}", block(inner)),
        ExprKind::Error(_) => "<error>".to_string(),
    }
}
