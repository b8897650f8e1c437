use proptest::prelude::*;

use super::*;

fn n() -> Term {
    Term::run_time("n")
}

fn h() -> Term {
    Term::run_time("h")
}

fn embed() -> Term {
    Term::nominal("Embed", 64)
}

fn lit(size: usize) -> Term {
    Term::literal(size)
}

#[test]
fn names_of_equal_size_stay_different() {
    assert_ne!(embed(), Term::nominal("Time", 64));
    assert_ne!(embed(), lit(64));
    assert_eq!(embed().number(), Some(64));
    assert_eq!(embed().plus(&lit(0)), embed());
    assert!(lit(1).is_one() && !Term::nominal("One", 1).is_one());
}

#[test]
fn terms_print_in_decimals_and_names() {
    assert_eq!(lit(784).to_string(), "784");
    assert_eq!(lit(3).times(&embed()).to_string(), "3 * Embed");
    assert_eq!(n().plus(&h()).to_string(), "h + n");
    assert_eq!(n().minus(&lit(1)).to_string(), "n - 1");
    assert_eq!(lit(1).minus(&n()).to_string(), "1 - n");
    assert_eq!(n().minus(&n()).to_string(), "0");
    assert_eq!(n().times(&h()).plus(&lit(2)).plus(&n()).to_string(), "h * n + n + 2");
    assert_eq!(h().ceil_div(&lit(2)).to_string(), "ceil_div(h, 2)");
    assert_eq!(h().floor_div(&n()).to_string(), "floor_div(h, n)");
}

#[test]
fn exact_division_finds_the_quotient_or_none() {
    let product = lit(6).times(&embed()).times(&n());
    assert_eq!(product.divide(&lit(3).times(&n())), Some(lit(2).times(&embed())));
    assert_eq!(product.divide(&lit(5)), None);
    assert_eq!(product.divide(&lit(4)).map(|quotient| quotient.to_string()).as_deref(), Some("3 * Embed * n / 2"));
    assert_eq!(product.divide(&h()), None);
    let (sum, difference) = (n().plus(&h()), n().minus(&h()));
    assert_eq!(sum.times(&difference).divide(&sum), Some(difference));
    assert_eq!(n().divide(&lit(0)), None);
    assert_eq!(lit(784).divide(&lit(28)), Some(lit(28)));
}

#[test]
fn a_strided_convolution_gives_the_written_size() {
    // kernel 3, stride 2, padding 1: floor((h + 2 - 3) / 2) + 1
    let out = h().minus(&lit(1)).floor_div(&lit(2)).plus(&lit(1));
    assert_eq!(out, h().ceil_div(&lit(2)));
    assert_eq!(lit(4).times(&h()).plus(&lit(3)).floor_div(&lit(4)), h());
    assert_eq!(lit(32).ceil_div(&lit(5)), lit(7));
    assert_eq!(n().times(&h()).plus(&lit(1)).ceil_div(&h()), n().plus(&lit(1).ceil_div(&h())));
}

#[test]
fn dims_keep_the_first_meaning() {
    let mut dims = Dims::new();
    dims.declare("Embed", Meaning::Nominal(64)).unwrap();
    dims.declare("Wide", Meaning::Alias(lit(4).times(&embed()))).unwrap();
    dims.declare("n", Meaning::RunTime).unwrap();
    assert_eq!(dims.declare("n", Meaning::Nominal(3)), Err(Meaning::RunTime));
    assert_eq!(dims.term("Wide").unwrap().number(), Some(256));
    assert_eq!(dims.term("n"), Some(n()));
    assert_eq!(dims.term("m"), None);
    assert_eq!(dims.names().collect::<Vec<_>>(), ["Embed", "Wide", "n"]);
}

#[test]
fn exact_quotients_are_fractions() {
    let (half, third) = (embed().floor_div(&lit(2)), embed().ceil_div(&lit(3)));
    assert_eq!(half.to_string(), "Embed / 2");
    assert_eq!(half.times(&lit(2)), embed());
    // 3 third = Embed + 2 and 2 half = Embed: their product has one normal form.
    assert_eq!(half.times(&third).times(&lit(6)), embed().times(&embed().plus(&lit(2))));
    assert_eq!(half.times(&third).number(), Some(32 * 22));
    assert_eq!(third.to_string(), "(Embed + 2) / 3");
    assert_eq!(lit(128).floor_div(&embed()).to_string(), "128 / Embed");
    assert_eq!(half.plus(&n()).floor_div(&lit(2)).to_string(), "Embed / 4 + floor_div(n, 2)");
    let (over, under) = third.plus(&n()).over_and_under();
    assert_eq!((over.to_string(), under), ("Embed + 3 * n + 2".to_owned(), lit(3)));
}

#[test]
fn facts_make_divisions_exact() {
    let mut dims = Dims::new();
    dims.assume(lit(4), h());
    dims.assume(n(), h().plus(&lit(1)));
    let half = dims.quotient(&h(), &lit(2)).unwrap();
    assert_eq!(half.to_string(), "h / 2");
    assert_eq!(dims.quotient(&half, &lit(2)).unwrap().times(&lit(4)), h());
    assert_eq!(dims.quotient(&h().times(&h()), &lit(16)).unwrap().to_string(), "h * h / 16");
    assert_eq!(dims.quotient(&half, &lit(4)), None);
    assert_eq!(dims.quotient(&h().plus(&lit(1)), &n()).unwrap().to_string(), "(h + 1) / n");
    assert_eq!(dims.quotient(&h(), &n()), None);
    // What slides over `h` by twos meets all of it.
    let slid = h().minus(&lit(1)).floor_div(&lit(2)).plus(&lit(1));
    assert_eq!(dims.normal(&slid), half);
    assert_eq!(half.least(), Some(1));
    assert_eq!(half.minus(&lit(1)).least(), Some(0));
    // One row has no half, however it is shared out.
    let shared = h().floor_div(&lit(2));
    assert_eq!((shared.least(), Term::fraction(&shared, &n()).least()), (Some(0), Some(0)));
    assert_eq!(Term::fraction(&h(), &n()).least(), Some(1));
    assert_eq!(half.substitute(&|name| (name == "h").then(|| lit(8).times(&n()))), lit(4).times(&n()));
}

#[test]
fn substitution_reaches_into_divisions() {
    let term = h().ceil_div(&lit(2)).times(&n());
    let replaced = term.substitute(&|name| (name == "h").then(|| lit(7)));
    assert_eq!(replaced, lit(4).times(&n()));
    assert_eq!(term.atoms().len(), 3);
}

/// How a random term was built, to compare its value with plain arithmetic.
#[derive(Clone, Debug)]
enum Tree {
    Number(i128),
    Name(usize),
    Plus(Box<Tree>, Box<Tree>),
    Minus(Box<Tree>, Box<Tree>),
    Times(Box<Tree>, Box<Tree>),
    Floor(Box<Tree>, i128),
    FloorName(Box<Tree>, usize),
    Ceil(Box<Tree>, i128),
    CeilName(Box<Tree>, usize),
}

const NAMES: [&str; 3] = ["a", "b", "Embed"];

fn name(i: usize) -> Term {
    if i == 2 { embed() } else { Term::run_time(NAMES[i]) }
}

impl Tree {
    fn term(&self) -> Term {
        match self {
            Tree::Number(value) => Term::integer(*value),
            Tree::Name(i) => name(*i),
            Tree::Plus(a, b) => a.term().plus(&b.term()),
            Tree::Minus(a, b) => a.term().minus(&b.term()),
            Tree::Times(a, b) => a.term().times(&b.term()),
            Tree::Floor(a, by) => a.term().floor_div(&Term::integer(*by)),
            Tree::FloorName(a, by) => a.term().floor_div(&name(*by)),
            Tree::Ceil(a, by) => a.term().ceil_div(&Term::integer(*by)),
            Tree::CeilName(a, by) => a.term().ceil_div(&name(*by)),
        }
    }

    fn value(&self, at: &[i128; 3]) -> i128 {
        let ceil = |a: i128, by: i128| -(-a).div_euclid(by);
        match self {
            Tree::Number(value) => *value,
            Tree::Name(i) => at[*i],
            Tree::Plus(a, b) => a.value(at) + b.value(at),
            Tree::Minus(a, b) => a.value(at) - b.value(at),
            Tree::Times(a, b) => a.value(at) * b.value(at),
            Tree::Floor(a, by) => a.value(at).div_euclid(*by),
            Tree::FloorName(a, by) => a.value(at).div_euclid(at[*by]),
            Tree::Ceil(a, by) => ceil(a.value(at), *by),
            Tree::CeilName(a, by) => ceil(a.value(at), at[*by]),
        }
    }
}

fn trees() -> impl Strategy<Value = Tree> {
    let leaf = prop_oneof![(-4_i128..9).prop_map(Tree::Number), (0_usize..3).prop_map(Tree::Name)];
    leaf.prop_recursive(4, 12, 2, |inner| {
        let pair = (inner.clone().prop_map(Box::new), inner.clone().prop_map(Box::new));
        let by = (inner.clone().prop_map(Box::new), 1_i128..6);
        let by_name = (inner.prop_map(Box::new), 0_usize..3);
        prop_oneof![
            pair.clone().prop_map(|(a, b)| Tree::Plus(a, b)),
            pair.clone().prop_map(|(a, b)| Tree::Minus(a, b)),
            pair.prop_map(|(a, b)| Tree::Times(a, b)),
            by.clone().prop_map(|(a, by)| Tree::Floor(a, by)),
            by_name.clone().prop_map(|(a, by)| Tree::FloorName(a, by)),
            by.prop_map(|(a, by)| Tree::Ceil(a, by)),
            by_name.prop_map(|(a, by)| Tree::CeilName(a, by)),
        ]
    })
}

proptest! {
    #[test]
    fn terms_are_a_ring(a in trees(), b in trees(), c in trees()) {
        let (a, b, c) = (a.term(), b.term(), c.term());
        prop_assert_eq!(a.plus(&b), b.plus(&a));
        prop_assert_eq!(a.times(&b), b.times(&a));
        prop_assert_eq!(a.plus(&b).plus(&c), a.plus(&b.plus(&c)));
        prop_assert_eq!(a.times(&b).times(&c), a.times(&b.times(&c)));
        prop_assert_eq!(a.times(&b.plus(&c)), a.times(&b).plus(&a.times(&c)));
        prop_assert_eq!(a.plus(&Term::default()), a.clone());
        prop_assert_eq!(a.times(&lit(1)), a.clone());
        prop_assert_eq!(a.minus(&a), Term::default());
    }

    #[test]
    fn evaluation_respects_every_operation(tree in trees(), a in 1_usize..20, b in 1_usize..20) {
        let sizes = |name: &str| match name { "a" => Some(a), "b" => Some(b), _ => None };
        let expected = tree.value(&[a as i128, b as i128, 64]);
        prop_assert_eq!(tree.term().value(&sizes), Some(expected));
        prop_assert_eq!(tree.term().evaluate(&sizes), usize::try_from(expected).ok());
    }

    #[test]
    fn substitution_of_numbers_is_evaluation(tree in trees(), a in 1_usize..20, b in 1_usize..20) {
        let term = tree.term();
        let numbers = |name: &str| match name { "a" => Some(lit(a)), "b" => Some(lit(b)), _ => None };
        let expected = tree.value(&[a as i128, b as i128, 64]);
        prop_assert_eq!(term.substitute(&numbers).value(&|_| None), Some(expected));
        prop_assert_eq!(term.substitute(&|_| None), term);
    }

    #[test]
    fn exact_division_undoes_a_product(a in trees(), b in trees()) {
        let (a, b) = (a.term(), b.term());
        prop_assume!(b != Term::default());
        prop_assert_eq!(a.times(&b).divide(&b), Some(a));
    }

    #[test]
    fn equal_text_means_equal_terms(a in trees(), b in trees()) {
        let (a, b) = (a.term(), b.term());
        prop_assert_eq!(a.to_string() == b.to_string(), a == b);
    }
}
