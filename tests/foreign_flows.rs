//! Flows of another crate: inside of flows, their inverses and densities, under names of one's own.
#![deny(warnings)]

use ansatz::prelude::*;
use blocks::flows::{Space, Warp};

net! {
    use blocks::flows::{Given as Conditional, Space, Steps, Warp};

    /// Flows of another crate as parts of one.
    pub flow Both(x: [n, Space]) { x |> warp: Warp |> shuffle(seed = 1) |> steps: Steps(6) |> again: Warp }
    pub net Likelihood(x: [n, Space]) -> [] { -mean(Both.log_prob(x)) }

    /// What a foreign flow has, asked of it by name.
    pub net Asked(x: [n, Space]) -> (back: [n, Space], log_prob: [n], drawn: [n, Space], sum: [n]) {
        let flow = Warp;
        let (z, there) = flow(x);
        let (back, here) = flow.inverse(z);
        (back = back, log_prob = flow.log_prob(x), drawn = flow.sample([n, Space]), sum = there + here)
    }
    pub net Conditioned(x: [n, Space], c: [n, 1]) -> (back: [n, Space], sum: [n], log_prob: [n]) {
        let flow = Conditional;
        let (z, there) = flow(x, c);
        let (back, here) = flow.inverse(z, c);
        (back = back, sum = there + here, log_prob = flow.log_prob(x, c))
    }

    /// The conditions of a flow are those of its parts.
    pub flow Told(x: [n, Space], c: [n, 1]) {
        let seen = c |> linear(1) |> tanh;
        x |> first: Conditional(c) |> Warp |> rest: [[Conditional(seen), reverse]; 2]
    }

    /// One more name, and an instance of the template.
    pub net Mine = Warp;
    pub net Six = Steps(d = 6, hidden = 5, depth = 3);
    pub net Likely(x: [n, Space]) -> [] { -mean(Mine.log_prob(x)) }
    pub flow Twice(x: [n, 6]) { x |> first: Six |> second: Six }
}

ansatz::gradcheck!(Likelihood);

fn points() -> Tensor<(usize, Space), f64, Cpu> {
    from_vec((0..12).map(|i| (f64::from(i) + 0.5).sin()).collect(), (3, Space)).expect("four each")
}

fn near(a: &[f64], b: &[f64]) {
    assert_eq!(a.len(), b.len());
    assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-9 * (1.0 + b.abs())), "{a:?}\n{b:?}");
}

/// ln |det ∂z/∂x| at a point, by central differences.
fn numeric(map: &dyn Fn(Vec<f64>) -> Vec<f64>, x: &[f64]) -> f64 {
    let size = x.len();
    let column = |j: usize| {
        let shifted = |by: f64| map(x.iter().enumerate().map(|(i, x)| if i == j { x + by } else { *x }).collect());
        shifted(1e-6).iter().zip(shifted(-1e-6)).map(|(a, b)| (a - b) / 2e-6).collect::<Vec<_>>()
    };
    let mut m: Vec<Vec<f64>> = (0..size).map(column).collect();
    let mut total = 0.0;
    for i in 0..size {
        let pivot = (i..size).max_by(|&a, &b| m[a][i].abs().total_cmp(&m[b][i].abs())).expect("a row");
        m.swap(i, pivot);
        total += m[i][i].abs().ln();
        for r in i + 1..size {
            let factor = m[r][i] / m[i][i];
            let (above, below) = m.split_at_mut(r);
            below[0].iter_mut().zip(&above[i]).for_each(|(a, b)| *a -= factor * b);
        }
    }
    total
}

#[test]
fn a_flow_of_foreign_flows_is_one() -> Result<()> {
    let flow: Both<f64> = Both::init(5);
    let there = flow.forward(points())?;
    let back = flow.inverse(there.z.clone())?;
    near(&to_vec(&back.x), &to_vec(&points()));
    let log_det = to_vec(&there.log_det);
    near(&to_vec(&back.log_det).iter().map(|log| -log).collect::<Vec<_>>(), &log_det);
    let map = |x: Vec<f64>| to_vec(&flow.forward(from_vec(x, (1, Space)).expect("four")).expect("it runs").z);
    for (x, log_det) in to_vec(&points()).chunks(4).zip(&log_det) {
        assert!((numeric(&map, x) - log_det).abs() < 1e-5);
    }
    let z = to_vec(&there.z);
    let density = z
        .chunks(4)
        .zip(&log_det)
        .map(|(z, log_det)| log_det - z.iter().map(|z| 0.5 * z * z).sum::<f64>() - 2.0 * std::f64::consts::TAU.ln());
    near(&to_vec(&flow.log_prob(points())?), &density.collect::<Vec<_>>());
    // The part is the other crate's own type.
    let part: &Warp<f64> = &flow.warp;
    near(&to_vec(&part.inverse(part.forward(points())?.z)?.x), &to_vec(&points()));
    Ok(())
}

#[test]
fn conditions_reach_the_flows_inside_of_one() -> Result<()> {
    let told: Told<f64> = Told::init(4);
    let c = |last: f64| from_vec(vec![0.1, -0.5, last], (3, Const));
    let there = told.forward(points(), c(2.0)?)?;
    let back = told.inverse(there.z.clone(), c(2.0)?)?;
    near(&to_vec(&back.x), &to_vec(&points()));
    near(&to_vec(&back.log_det).iter().map(|log| -log).collect::<Vec<_>>(), &to_vec(&there.log_det));
    let map = |x: Vec<f64>| {
        let c = from_vec(vec![2.0], (1, Const)).expect("one");
        to_vec(&told.forward(from_vec(x, (1, Space)).expect("four"), c).expect("it runs").z)
    };
    assert!((numeric(&map, &to_vec(&points())[8..]) - to_vec(&there.log_det)[2]).abs() < 1e-5);
    // Another condition moves its own point alone.
    let other = told.forward(points(), c(0.0)?)?;
    near(&to_vec(&other.z)[..8], &to_vec(&there.z)[..8]);
    assert_ne!(to_vec(&other.z)[8..], to_vec(&there.z)[8..]);
    Ok(())
}

#[test]
fn a_foreign_flow_has_what_a_flow_has() -> Result<()> {
    let asked: Asked<f64> = Asked::init(2);
    let found = asked.forward(points())?;
    near(&to_vec(&found.back), &to_vec(&points()));
    near(&to_vec(&found.sum), &[0.0; 3]);
    near(&to_vec(&found.log_prob), &to_vec(&asked.flow.log_prob(points())?));
    assert!(to_vec(&found.drawn).iter().all(|x| x.is_finite()) && to_vec(&found.drawn) != to_vec(&points()));
    let conditioned: Conditioned<f64> = Conditioned::init(2);
    let c = || from_vec(vec![0.1, -0.5, 2.0], (3, Const));
    let found = conditioned.forward(points(), c()?)?;
    near(&to_vec(&found.back), &to_vec(&points()));
    near(&to_vec(&found.sum), &[0.0; 3]);
    near(&to_vec(&found.log_prob), &to_vec(&conditioned.flow.log_prob(points(), c()?)?));
    Ok(())
}

#[test]
fn another_name_of_a_flow_is_the_flow() -> Result<()> {
    let mine: Mine<f64> = Mine::init(3);
    let found: MineOutput<f64> = ansatz::nn::forward(&mine, &MineBatch { x: points() })?;
    near(&to_vec(&mine.inverse(found.z)?.x), &to_vec(&points()));
    let likely = to_vec(&Likely { mine: mine.clone() }.forward(points())?)[0];
    let mean = to_vec(&mine.log_prob(points())?).iter().sum::<f64>() / 3.0;
    assert!((likely + mean).abs() < 1e-12);
    let twice: Twice<f64> = Twice::init(3);
    let x = || from_vec((0..12).map(|i| f64::from(i).cos()).collect(), (2, Const));
    near(&to_vec(&twice.inverse(twice.forward(x()?)?.z)?.x), &to_vec(&x()?));
    // An instance of a template has the methods of a flow as well.
    let six: &Six<f64> = &twice.first;
    let there = six.forward(x()?)?;
    near(&to_vec(&six.inverse(there.z)?.x), &to_vec(&x()?));
    assert_eq!(to_vec(&six.log_prob(x()?)?).len(), 2);
    assert_eq!(to_vec(&six.sample(4, 1)?).len(), 24);
    Ok(())
}
