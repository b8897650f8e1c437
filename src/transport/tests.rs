//! Transport against all permutations, against proofs of optimality, and against its axioms.

use super::*;
use proptest::prelude::*;

/// The least cost over all assignments, by trying them.
fn brute(costs: &[f64], columns: usize) -> f64 {
    fn least(costs: &[f64], columns: usize, row: usize, taken: u32) -> f64 {
        if row * columns == costs.len() {
            return 0.0;
        }
        let free = (0..columns).filter(|column| taken & (1 << column) == 0);
        free.map(|c| costs[row * columns + c] + least(costs, columns, row + 1, taken | (1 << c)))
            .fold(f64::INFINITY, f64::min)
    }
    least(costs, columns, 0, 0)
}

fn cloud(size: impl Into<proptest::collection::SizeRange>) -> impl Strategy<Value = Vec<[f64; 2]>> {
    proptest::collection::vec([-1.0..1.0, -1.0..1.0], size)
}

fn numbers(size: impl Into<proptest::collection::SizeRange>) -> impl Strategy<Value = Vec<f64>> {
    proptest::collection::vec(-3.0..3.0f64, size)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn assignments_are_the_cheapest(rows in 1..6usize, extra in 0..3usize, seed in numbers(48), ties in any::<bool>()) {
        let columns = rows + extra;
        let round = |x: &f64| if ties { x.round() } else { *x };
        let costs: Vec<f64> = seed.iter().take(rows * columns).map(round).collect();
        let found = assign(&costs, columns).unwrap();
        prop_assert!((found.cost - brute(&costs, columns)).abs() < 1e-12);
        let mut sorted = found.columns.clone();
        sorted.sort_unstable();
        sorted.dedup();
        prop_assert_eq!(sorted.len(), rows);
    }

    /// Duality proves an assignment of any size to be the cheapest.
    #[test]
    fn prices_prove_assignments(size in 1..60usize, extra in 0..9usize, seed in numbers(60 * 69)) {
        let columns = size + extra;
        let costs = &seed[..size * columns];
        let Assignment { columns: chosen, cost, prices: (u, v) } = assign(costs, columns).unwrap();
        for row in 0..size {
            for column in 0..columns {
                let slack = costs[row * columns + column] - u[row] - v[column];
                prop_assert!(slack > -1e-11 && (chosen[row] != column || slack < 1e-11));
            }
        }
        prop_assert!(v.iter().all(|&v| v <= 0.0));
        prop_assert!((0..columns).all(|column| chosen.contains(&column) || v[column] == 0.0));
        prop_assert!((u.iter().sum::<f64>() + v.iter().sum::<f64>() - cost).abs() < 1e-10);
    }

    /// On the line: samples of equal size by assignment, of different size by repeating each point of both.
    #[test]
    fn the_distance_on_the_line_is_that_of_the_assignment(x in numbers(1..5), y in numbers(1..5), cubic in any::<bool>()) {
        let order = if cubic { 3.0 } else { 1.0 };
        let copies = |values: &[f64], n: usize| -> Vec<f64> { values.iter().flat_map(|&v| vec![v; n]).collect() };
        let (many_x, many_y) = (copies(&x, y.len()), copies(&y, x.len()));
        let costs: Vec<f64> =
            many_x.iter().flat_map(|a| many_y.iter().map(move |b| (a - b).abs().powf(order))).collect();
        let expected = (assign(&costs, many_y.len()).unwrap().cost / many_x.len() as f64).powf(1.0 / order);
        prop_assert!((wasserstein(&x, &y, order).unwrap() - expected).abs() < 1e-12);
    }

    #[test]
    fn distances_are_metrics(x in numbers(1..9), y in numbers(1..9), z in numbers(1..9), order in 1.0..4.0f64) {
        let d = |a: &[f64], b: &[f64]| wasserstein(a, b, order).unwrap();
        prop_assert_eq!(d(&x, &x), 0.0);
        prop_assert!((d(&x, &y) - d(&y, &x)).abs() < 1e-12);
        prop_assert!(d(&x, &z) <= d(&x, &y) + d(&y, &z) + 1e-12);
        let lift = |v: &[f64]| -> Vec<[f64; 2]> { v.iter().map(|&a| [a, (2.0 * a).sin()]).collect() };
        let directions = directions(7, 2, 5);
        let s = |a: &[f64], b: &[f64]| sliced_wasserstein(&lift(a), &lift(b), &directions, order).unwrap();
        prop_assert_eq!(s(&x, &x), 0.0);
        prop_assert!((s(&x, &y) - s(&y, &x)).abs() < 1e-12);
        prop_assert!(s(&x, &z) <= s(&x, &y) + s(&y, &z) + 1e-12);
    }

    /// A shift by t moves every projection by its part of t: SW₂² = |t|²/2 in the plane, over all directions.
    #[test]
    fn sliced_distances_of_shifted_clouds(x in cloud(1..20), t in [-2.0..2.0, -2.0..2.0]) {
        let even: Vec<[f64; 2]> = (0..64).map(|i| f64::from(i) / 64.0 * std::f64::consts::PI).map(|a| [a.cos(), a.sin()]).collect();
        let y: Vec<[f64; 2]> = x.iter().map(|p| [p[0] + t[0], p[1] + t[1]]).collect();
        let expected = f64::hypot(t[0], t[1]) / 2f64.sqrt();
        prop_assert!((sliced_wasserstein(&x, &y, &even, 2.0).unwrap() - expected).abs() < 1e-12);
    }

    /// The plan couples the clouds, its value is what the definition says, and it is the least: no weaker coupling.
    #[test]
    fn entropic_couplings(x in cloud(2..7), y in cloud(2..7), epsilon in 0.5..2.0f64) {
        let sinkhorn = Sinkhorn { tolerance: 1e-10, ..Sinkhorn::new(epsilon) };
        let Coupling { plan, value, .. } = sinkhorn.couple(&x, &y).unwrap();
        let (n, m) = (x.len(), y.len());
        for i in 0..n {
            prop_assert!((plan[i * m..][..m].iter().sum::<f64>() * n as f64 - 1.0).abs() < 1e-9);
        }
        for j in 0..m {
            prop_assert!(((0..n).map(|i| plan[i * m + j]).sum::<f64>() * m as f64 - 1.0).abs() < 1e-9);
        }
        let costs = squared_distances(&x, &y).unwrap();
        let objective = |plan: &[f64]| -> f64 {
            let entropy = |p: f64| if p > 0.0 { p * (p * (n * m) as f64).ln() } else { 0.0 };
            plan.iter().zip(&costs).map(|(&p, c)| p * c / 2.0 + epsilon * entropy(p)).sum()
        };
        prop_assert!((objective(&plan) - value).abs() < 1e-8);
        let independent = vec![((n * m) as f64).recip(); n * m];
        prop_assert!(value <= objective(&independent) + 1e-9);
        // Weight moved round a square leaves the sums and costs more.
        let mut other = plan.clone();
        let moved = 0.1 * plan[0].min(plan[m + 1]);
        for (at, sign) in [(0, -1.0), (1, 1.0), (m, 1.0), (m + 1, -1.0)] {
            other[at] += sign * moved;
        }
        prop_assert!(value <= objective(&other) + 1e-9);
    }

    #[test]
    fn divergences_are_symmetric_and_positive(x in cloud(1..8), y in cloud(1..8)) {
        let sinkhorn = Sinkhorn { tolerance: 1e-9, ..Sinkhorn::new(0.5) };
        let d = |a: &[[f64; 2]], b: &[[f64; 2]]| sinkhorn.divergence(a, b).unwrap();
        prop_assert!(d(&x, &x).abs() < 1e-7);
        prop_assert!((d(&x, &y) - d(&y, &x)).abs() < 1e-7);
        prop_assert!(d(&x, &y) > -1e-7);
    }
}

#[test]
fn the_divergence_lies_between_the_means_and_the_assignment() {
    let x: Vec<[f64; 2]> = (0..12).map(f64::from).map(|i: f64| [(1.3 * i).sin(), (0.7 * i).cos()]).collect();
    let y: Vec<[f64; 2]> = (0..12).map(f64::from).map(|i: f64| [1.0 + (0.9 * i).sin(), (2.1 * i).cos()]).collect();
    let exact = assign(&squared_distances(&x, &y).unwrap(), 12).unwrap().cost / 24.0;
    let fine = Sinkhorn { tolerance: 1e-3, ..Sinkhorn::new(5e-3) }.divergence(&x, &y).unwrap();
    assert!((fine - exact).abs() < 0.02 * exact, "{fine} {exact}");
    let mean = |c: &[[f64; 2]], axis: usize| c.iter().map(|p| p[axis]).sum::<f64>() / 12.0;
    let means = (0..2).map(|axis| (mean(&x, axis) - mean(&y, axis)).powi(2)).sum::<f64>() / 2.0;
    let coarse = Sinkhorn { tolerance: 1e-12, ..Sinkhorn::new(1e4) }.divergence(&x, &y).unwrap();
    assert!((coarse - means).abs() < 1e-3, "{coarse} {means}");
}

#[test]
fn directions_are_of_length_one_and_cover_the_sphere() {
    let directions = directions(4000, 3, 1);
    let second = |i: usize, j: usize| directions.iter().map(|d| d[i] * d[j]).sum::<f64>() / 4000.0;
    for (i, j) in [(0, 0), (0, 1), (1, 2), (2, 2)] {
        // The standard deviation of a product of coordinates is at most 0.3.
        assert!((second(i, j) - if i == j { 1.0 / 3.0 } else { 0.0 }).abs() < 5.0 * 0.3 / 4000f64.sqrt());
    }
    assert!(directions.iter().all(|d| (d.iter().map(|c| c * c).sum::<f64>() - 1.0).abs() < 1e-12));
}

#[test]
fn errors_say_what_to_do() {
    let point = [[0.0, 1.0]];
    let none: [[f64; 2]; 0] = [];
    for (error, part) in [
        (wasserstein(&[], &[1.0], 1.0), "give both at least one"),
        (wasserstein(&[f64::NAN], &[1.0], 1.0), "not finite"),
        (wasserstein(&[1.0], &[1.0], 0.5), "at least 1, not 0.5"),
        (sliced_wasserstein(&point, &none, &[[1.0, 0.0]], 2.0), "give both at least one"),
        (sliced_wasserstein(&point, &point, &[[1.0]], 2.0), "1 coordinates and the points have 2"),
        (assign(&[1.0; 6], 2).map(|a| a.cost), "3 rows cannot each have one of 2 columns"),
        (assign(&[1.0; 5], 2).map(|a| a.cost), "no whole rows of 2"),
        (assign(&[1.0, f64::INFINITY], 2).map(|a| a.cost), "row 0 and column 1 is inf"),
        (Sinkhorn::new(0.0).divergence(&point, &point), "ε and tolerance above 0"),
        (
            Sinkhorn { iterations: 1, ..Sinkhorn::new(0.1) }.divergence(&[[0.0, 0.0], [1.0, 0.5]], &[[1.0, 1.0]; 2]),
            "not solved to 1e-6 after 1 turns",
        ),
    ] {
        let message = error.expect_err("cannot be").to_string();
        assert!(message.contains(part), "{message}");
    }
}
