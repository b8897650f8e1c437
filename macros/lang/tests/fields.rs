//! The field of `cnf` takes each point by itself: what mixes points is refused, and nothing else is.

use ansatz_lang::expand;

/// Nets that the fields mention.
const NETS: &str = "
    pub net Each(x: [n, t = 3, d = 4]) -> [n, t = 3, d = 4] { x |> layer_norm |> linear(8) |> tanh |> linear(4) }
    pub net Centred(x: [n, t = 3, d = 4]) -> [n, t = 3, d = 4] { x - (mean(x |> linear(4), over = t) |> [n, d] -> [n, 1, d]) }
    pub net Attends(x: [n, t = 3, d = 4]) -> [n, t = 3, d = 4] { attention(x, x, x) }
";

const APART: [&str; 14] = [
    "x",
    "Each(x)",
    "x |> [Each; 3]",
    "x * w + softmax(x) - (mean(x, over = d) |> [n, t] -> [n, t, 1])",
    "concat(x, s * x) |> linear(4)",
    "checkpoint(x, |x| x |> linear(4) |> relu)",
    "einsum(x[n, t, d], x[n, t, b], w[b] -> [n, t, d])",
    "x - sum(einsum(w[d], w[b] -> [d, b]), over = b)",
    "x + (mean(x, over = d) |> [n, t] -> [n, t, 1])",
    "flip(x, over = d) |> slice(0, 2, over = d) |> pad(1, 1, over = d)",
    "x |> dropout(0.1) |> linear(4)",
    "x + mean(w)",
    "ode(x, s = 0..1, by = euler(2), |y| y |> linear(4))",
    "select(x > 0, x, w * x)",
];

const MIXED: [&str; 12] = [
    "x - mean(x)",
    "x - (mean(x, over = t) |> [n, d] -> [n, 1, d])",
    "softmax(x, over = n)",
    "Centred(x)",
    "x |> [Centred; 2]",
    "checkpoint(x, |x| Centred(x))",
    "Attends(x)",
    "flip(x, over = t)",
    "x |> batch_norm |> linear(4)",
    "einsum(x[n, t, d], x[n, u, b] -> [n, t, d])",
    "x |> slice(0, 2, over = t) |> pad(0, 1, over = t)",
    "x |> Each |> log_softmax(over = t)",
];

/// What is said of a flow with this field.
fn says(field: &str) -> Vec<String> {
    let program = format!(
        "{NETS} pub net F(x: [n, t = 3, d = 4], w: [4]) -> [n, 3] {{
            let (z, log_det) = cnf(x, s = 0..1, by = rk4(2), |x, s| 0 * s * mean(w) + ({field}));
            0 * sum(z, over = d) + log_det
        }}"
    );
    expand(program.parse().expect("a program is tokens")).diagnostics.iter().map(|error| error.text()).collect()
}

#[test]
fn a_field_takes_each_point_by_itself() {
    let wrong = APART.iter().map(|field| (field, says(field))).filter(|(_, said)| !said.is_empty());
    let mixed = |said: &[String]| matches!(said, [one] if one.contains("mixes points"));
    let missed = MIXED.iter().map(|field| (field, says(field))).filter(|(_, said)| !mixed(said));
    let all: Vec<_> = wrong.chain(missed).collect();
    assert!(all.is_empty(), "{all:#?}");
}
