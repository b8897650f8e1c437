//! Right programs: what they mean, and that every part of them, cut anywhere, is read without a panic.

use proc_macro2::{Delimiter, Group, Ident, Literal, Punct, Spacing, Span, TokenStream, TokenTree};
use proptest::prelude::*;

use super::{correct, print, read, value};
use crate::ast::{Fact, Item, ResultType, Size};
use crate::parse::parse;
use crate::report::Report;

const MLP: &str = "
    // A named, statically sized dimension: a type of its own.
    pub dim Pixels = 784;
    pub dim Digit  = 10;

    /// A multi-layer perceptron: x_{l+1} = σ(W_l x_l + b_l).
    pub net Mlp(x: [n, Pixels]) -> [n, Digit] {
        x |> fc1: linear(256) |> relu
          |> fc2: linear(128) |> relu
          |> fc3: linear(Digit)
    }

    /// The empirical risk.
    pub net Risk(x: [n, Pixels], y: [n] in Digit) -> (loss: [], correct: []) {
        let logits = mlp: Mlp(x);
        (loss = cross_entropy(logits, y), correct = mean(argmax(logits, over = Digit) == y))
    }
";

const BLOCKS: &str = "
    net Basic(x: [n, c, h, w]) -> [n, 64, ceil_div(h, 2), ceil_div(w, 2)] {
        let y = x
            |> conv1: conv2d(64, kernel = 3, stride, padding = 1, bias = false) |> bn1: batch_norm |> relu
            |> conv2: conv2d(64, kernel = 3, padding = 1, bias = false) |> bn2: batch_norm;
        let skip = if stride == 1 && c == width { x } else {
            x |> downsample: [conv2d(width, kernel = 1, stride, bias = false), batch_norm]
        };
        relu(y + skip)
    }

    pub net ResNet18(image: [n, 3, h = 32, w = 32]) -> [n, 10] {
        image
            |> conv1: conv2d(64, kernel = 3, padding = 1, bias = false) |> bn1: batch_norm |> relu
            |> layer1: [Basic(64); 2]
            |> layer2: [Basic(128, stride = 2), Basic(128)]
            |> mean(over = (h, w))
            |> fc: linear(10)
    }
";

const ATTENTION: &str = "
    /// Causal multi-head self-attention.
    net SelfAttention(x: [n, t, d]) -> [n, t, d] where heads | d, d >= 3 * heads {
        let (q, k, v) = x |> c_attn: linear(3 * d) |> split(3);
        let by_head = |z| z |> heads: reshape(heads, over = d);
        attention(by_head(q), by_head(k), by_head(v), causal = true) |> c_proj: linear(d)
    }
";

const FLOWS: &str = "
    pub dim Plane = 2;
    pub(crate) dim Wide = 4 * Plane + 1;

    pub flow Bends(x: [n, d], c: [n, 3]; width = 8) {
        x |> [[coupling(|a| concat(a, c) |> linear(width) |> linear(d)), reverse]; 4] |> actnorm
    }

    net Fit(x: [n, 4], c: [n, 3]) -> [] { -mean(bends: Bends.log_prob(x, c)) }

    net Centred(x: [n, d]) -> [n, d] {
        param gain: [d] = normal(0.02);
        state running: [d] = zeros;
        update running = 0.9 * running + 0.1 * mean(x, over = n);
        gain * (x - running) |> head: freeze(linear(d, init = orthogonal, bias = zeros))
    }

    pub net Velocity(x: [n, Plane], s: [n, 1]) -> [n, Plane] {
        concat(x, s) |> linear(128) |> silu |> linear(128) |> silu |> linear(Plane)
    }

    /// Conditional flow matching: E ‖ x1 − x0 − g((1−s) x0 + s x1, s) ‖².
    pub net FlowMatching(x1: [n, Plane]) -> [] {
        let x0 = normal([n, Plane]);
        let s  = uniform([n, 1]);
        let g  = velocity: Velocity((1 - s) * x0 + s * x1, s);
        square(x1 - x0 - g) |> sum(over = Plane) |> mean
    }
";

const PROGRAMS: [&str; 4] = [MLP, BLOCKS, ATTENTION, FLOWS];

#[test]
fn programs_survive_printing_and_reading() {
    for source in PROGRAMS {
        let once = print::program(&correct(source));
        let twice = print::program(&correct(&once));
        assert_eq!(once, twice);
    }
}

#[test]
fn a_signature_keeps_all_its_parts() {
    let program = correct(MLP);
    assert_eq!(program.items.len(), 4);
    let Item::Net(risk) = &program.items[3] else { panic!("the fourth item is a net") };
    assert!(risk.attributes.to_string().contains("The empirical risk."));
    assert!(!risk.visibility.is_private());
    assert!(risk.inputs[0].ty.space.is_none() && risk.inputs[1].ty.space.is_some());
    let ResultType::Named(results) = &risk.result else { panic!("the results have names") };
    assert_eq!(results.iter().map(|r| r.name.to_string()).collect::<Vec<_>>(), ["loss", "correct"]);
    let program = correct(BLOCKS);
    let Item::Net(resnet) = &program.items[1] else { panic!("the second item is a net") };
    assert_eq!(resnet.inputs[0].ty.axes[2].label.as_ref().unwrap().to_string(), "h");
    let program = correct(ATTENTION);
    let Item::Net(attention) = &program.items[0] else { panic!("the item is a net") };
    assert!(matches!(attention.facts[0], Fact::Divides(..)));
    assert!(matches!(attention.facts[1], Fact::Relation(_, ">=", Size::Arithmetic { op: '*', .. })));
}

#[test]
fn operators_bind_as_in_rust_and_the_pipe_least() {
    for (source, meaning) in [
        ("a + b * c", "(a + (b * c))"),
        ("a * b + c", "((a * b) + c)"),
        ("a - b - c", "((a - b) - c)"),
        ("a / b * c", "((a / b) * c)"),
        ("-a * b", "((-a) * b)"),
        ("- -a", "(-(-a))"),
        ("!a && b", "((!a) && b)"),
        ("a + b == c", "((a + b) == c)"),
        ("a < b && c >= d || e != f", "(((a < b) && (c >= d)) || (e != f))"),
        ("(a < b) == c", "((a < b) == c)"),
        ("a || b && c", "(a || (b && c))"),
        ("x |> f |> g", "(x |> f |> g)"),
        ("x + 1 |> f", "((x + 1) |> f)"),
        ("x == y |> mean", "((x == y) |> mean)"),
        ("-x |> f", "((-x) |> f)"),
        ("y + (x |> f)", "(y + (x |> f))"),
        ("x |> |z| z + 1 |> f", "(x |> (|z| ((z + 1) |> f)))"),
        ("f(|a, b| a * b, c)", "f((|a, b| (a * b)), c)"),
        ("x |> a: f(1) + y", "(x |> (a: f(1) + y))"),
        ("x |> a: (f(1) |> g)", "(x |> a: ((f(1) |> g)))"),
        ("a: M(x)", "a: M(x)"),
        ("m::f(x)", "m::f(x)"),
        ("f(x)(y)", "f(x)(y)"),
        ("-f(x)", "(-f(x))"),
        ("[f(1); 2 * k]", "[f(1); (2 * k)]"),
        ("[[f, g]; 6]", "[[f, g]; 6]"),
        ("(loss = a, rest = b,)", "(loss = a, rest = b)"),
        ("(a, b)", "(a, b)"),
        ("f(x, over = (h, w), stride)", "f(x, over = (h, w), stride)"),
        ("if a == 1 { b } else if c { d } else { e }", "if (a == 1) { b } else { if c { d } else { e } }"),
        ("{ let a = b; a }", "{ let a = b; a }"),
        ("1_000 + 1e-5 - 0.5", "((1000 + 1e-5) - 0.5)"),
        ("f(\"tanh\", r\"x\", true)", "f(\"tanh\", \"x\", true)"),
    ] {
        assert_eq!(value(source), meaning, "{source}");
    }
}

#[test]
fn sizes_bind_as_in_rust() {
    for (source, meaning) in [
        ("3 * d + 1", "((3 * d) + 1)"),
        ("a - b - c", "((a - b) - c)"),
        ("(a + b) * c / 2", "(((a + b) * c) / 2)"),
        ("ceil_div(h + 1, 2)", "ceil_div((h + 1), 2)"),
        ("1_024", "1024"),
    ] {
        let program = correct(&format!("dim D = {source};"));
        let Item::Dim(dim) = &program.items[0] else { panic!("the item is a dim") };
        assert_eq!(print::size(&dim.size), meaning);
    }
}

/// The first `count` tokens, with the groups that are open then closed.
fn prefix(stream: TokenStream, count: &mut usize) -> TokenStream {
    let mut kept = vec![];
    for tree in stream {
        if *count == 0 {
            break;
        }
        *count -= 1;
        kept.push(match tree {
            TokenTree::Group(group) => {
                let mut part = Group::new(group.delimiter(), prefix(group.stream(), count));
                part.set_span(group.span());
                part.into()
            }
            other => other,
        });
    }
    kept.into_iter().collect()
}

fn size_of(stream: TokenStream) -> usize {
    stream
        .into_iter()
        .map(|tree| match tree {
            TokenTree::Group(group) => 1 + size_of(group.stream()),
            _ => 1,
        })
        .sum()
}

#[test]
fn every_prefix_is_expanded_without_a_panic() {
    for source in PROGRAMS {
        let tokens: TokenStream = source.parse().unwrap();
        for count in 0..=size_of(tokens.clone()) {
            let cut = prefix(tokens.clone(), &mut count.clone());
            crate::expand(cut.clone());
            let mut report = Report::new();
            parse(cut, &mut report);
            // A cut program has at most a few mistakes: one where it is cut and one for each part left open.
            let errors = report.into_diagnostics();
            assert!(errors.len() <= 4, "{errors:#?}");
        }
    }
}

#[test]
fn deep_nesting_is_an_error() {
    for (open, close) in [("(", ")"), ("[", "]"), ("{", "}"), ("-", ""), ("a: ", ""), ("f(", ")"), ("|x| ", "")] {
        let text = format!("{}x{}", open.repeat(1000), close.repeat(1000));
        let (_, diagnostics) = read(&format!("net F(x: [n]) -> [n] {{ {text} }}"));
        assert_eq!(diagnostics.len(), 1, "{open}");
        assert_eq!(diagnostics[0].message, "this is nested too deeply");
    }
}

const WORDS: [&str; 16] =
    ["net", "dim", "pub", "let", "if", "else", "x", "Pixels", "relu", "where", "in", "_", "over", "self", "true", "fn"];

fn soup() -> impl Strategy<Value = TokenStream> {
    let tree = prop_oneof![
        4 => prop::sample::select(&WORDS[..]).prop_map(|word| TokenTree::from(Ident::new(word, Span::call_site()))),
        1 => prop_oneof![
            (0_u64..20).prop_map(Literal::u64_unsuffixed),
            (0_u8..20).prop_map(Literal::u8_suffixed),
            (0_i32..20).prop_map(|value| Literal::i32_unsuffixed(-value)),
            (0.0_f64..2.0).prop_map(Literal::f64_unsuffixed),
            "[a-z\"\\\\]{0,3}".prop_map(|text| Literal::string(&text)),
            Just(Literal::character('c')),
        ]
        .prop_map(TokenTree::from),
        4 => (prop::sample::select("|>-+*/=!<&:;,.#?^%@'".chars().collect::<Vec<_>>()), any::<bool>())
            .prop_map(|(c, joint)| {
                let spacing = if joint { Spacing::Joint } else { Spacing::Alone };
                TokenTree::from(Punct::new(c, spacing))
            }),
    ];
    let leaf = prop::collection::vec(tree.clone(), 0..8).prop_map(|trees| trees.into_iter().collect::<TokenStream>());
    leaf.prop_recursive(4, 60, 6, move |inner| {
        let delimiter =
            prop::sample::select(vec![Delimiter::Parenthesis, Delimiter::Bracket, Delimiter::Brace, Delimiter::None]);
        let group = (delimiter, inner).prop_map(|(delimiter, stream)| TokenTree::from(Group::new(delimiter, stream)));
        prop::collection::vec(prop_oneof![2 => tree.clone(), 1 => group], 0..12)
            .prop_map(|trees| trees.into_iter().collect())
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn token_soup_is_read_without_a_panic(top in soup(), inner in soup()) {
        let body = Group::new(Delimiter::Brace, inner.clone());
        let mut net: TokenStream = "net F(x: [n]) -> [n]".parse().unwrap();
        net.extend([TokenTree::from(body)]);
        for tokens in [top.clone(), net] {
            let mut report = Report::new();
            let program = parse(tokens.clone(), &mut report);
            for diagnostic in report.into_diagnostics() {
                prop_assert!(!diagnostic.message.is_empty());
                diagnostic.tokens();
            }
            drop(program);
        }
    }

    #[test]
    fn a_program_with_a_token_replaced_is_expanded_without_a_panic(
        which in 0_usize..4, at in 0_usize..200, soup in soup()
    ) {
        fn replace(stream: TokenStream, at: &mut isize, new: &TokenStream) -> TokenStream {
            let mut out = TokenStream::new();
            for tree in stream {
                *at -= 1;
                if *at == 0 {
                    out.extend(new.clone());
                    continue;
                }
                out.extend([match tree {
                    TokenTree::Group(group) => Group::new(group.delimiter(), replace(group.stream(), at, new)).into(),
                    other => other,
                }]);
            }
            out
        }
        let tokens: TokenStream = PROGRAMS[which].parse().unwrap();
        crate::expand(replace(tokens, &mut (at as isize), &soup));
    }
}
