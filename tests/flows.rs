//! Differential equations in the language against the solvers on the host, and their gradients against differences.

use ansatz::ode;
use ansatz::prelude::*;
use serde_json::Value;

net! {
    pub dim Plane = 2;

    pub net Field(x: [n, Plane], s: []) -> [n, Plane] {
        x |> linear(8) |> |y| tanh(y + s) |> linear(Plane)
    }

    pub net Flow(x: [n, Plane]) -> [n, Plane] {
        ode(x, s = 0..1.5, by = rk4(6), |x, s| field: Field(x, s))
    }

    /// A net as the field, backwards, by another method; then a layer as the field.
    pub net Other(x: [n, Plane]) -> [n, Plane] {
        x |> ode(s = 1.5..-0.5, by = tsit5(2), gradient = recompute, Field)
          |> ode(s = 0..1, by = euler(3), gradient = adjoint, [linear(4), relu, linear(Plane)])
    }

    pub net Stored(x: [n, Plane], y: [n, Plane], w: [Plane]) -> [] {
        mse(ode(x, s = 0..1, by = rk4(16), gradient = stored, |x, s| field: Field(x * w, s)), y)
    }

    pub net Recomputed(x: [n, Plane], y: [n, Plane], w: [Plane]) -> [] {
        mse(ode(x, s = 0..1, by = rk4(16), gradient = recompute, |x, s| field: Field(x * w, s)), y)
    }

    /// A continuous normalizing flow.
    pub net Density(x: [n, Plane]) -> (z: [n, Plane], log_det: [n], log_density: [n]) {
        let (z, log_det) = cnf(x, s = 1..0, by = rk4(12), |x, s| field: Field(x, s));
        (z = z, log_det = log_det, log_density = normal_log_prob(z, over = Plane) + log_det)
    }

    pub net Back(z: [n, Plane]) -> (x: [n, Plane], log_det: [n]) {
        let (x, log_det) = cnf(z, s = 0..1, by = rk4(12), gradient = recompute, Field);
        (x = x, log_det = log_det)
    }

    pub net Estimated(x: [n, Plane]) -> (log_det: [n]) {
        let (_z, log_det) = cnf(x, s = 1..0, by = rk4(12), trace = hutchinson, Field);
        (log_det = log_det)
    }

    pub net Likelihood(x: [n, Plane], w: [Plane]) -> [] {
        let (z, log_det) = cnf(x * w, s = 1..0, by = rk4(6), |x, s| field: Field(x * w, s));
        -mean(normal_log_prob(z, over = Plane) + log_det)
    }

    pub net LikelihoodByAdjoint(x: [n, Plane], w: [Plane]) -> [] {
        let (z, log_det) = cnf(x * w, s = 1..0, by = rk4(16), gradient = adjoint, |x, s| field: Field(x * w, s));
        -mean(normal_log_prob(z, over = Plane) + log_det)
    }

    pub net LikelihoodStored(x: [n, Plane], w: [Plane]) -> [] {
        let (z, log_det) = cnf(x * w, s = 1..0, by = rk4(16), |x, s| field: Field(x * w, s));
        -mean(normal_log_prob(z, over = Plane) + log_det)
    }

    /// The net of the fixture `adjoint.json`.
    pub net Judged(x: [n, Plane], y: [n, Plane], w: [Plane]) -> [] {
        mse(ode(x, s = 0..1.5, by = tsit5(40), gradient = adjoint, |x, s| field: Field(x * w, s)), y)
    }

    /// The kinetic energy of the paths beside their ends.
    pub net Moved(x: [n, Plane], w: [Plane]) -> (end: [n, Plane], energy: [n]) {
        let (end, energy) = ode(x, s = 0..1.5, by = rk4(24), |x, s| {
            let velocity = field: Field(x * w, s);
            (velocity, sum(square(velocity), over = Plane))
        });
        (end = end, energy = energy)
    }

    /// A loss with a price on the energy, three ways to its gradient; the state has an axis more (Dupont et al. 2019).
    net Transport(x: [n, Plane], w: [Plane], y: [n, Plane]; steps: usize) -> (stored: [], recomputed: [], adjoint: []) {
        let field = [linear(8), tanh, linear(Plane + 1)];
        let x = x |> pad(0, 1);
        let push = |x, s| {
            let velocity = field(x * concat(w, slice(w, 0, 1)) + s);
            (velocity, mean(square(velocity)))
        };
        let loss = |end, energy| mse(end |> slice(0, Plane), y) + 0.3 * energy;
        let (end1, energy1) = ode(x, s = 0..1, by = rk4(steps), gradient = stored, push);
        let (end2, energy2) = ode(x, s = 0..1, by = rk4(steps), gradient = recompute, push);
        let (end3, energy3) = ode(x, s = 0..1, by = rk4(steps), gradient = adjoint, push);
        (stored = loss(end1, energy1), recomputed = loss(end2, energy2), adjoint = loss(end3, energy3))
    }

    pub net Priced(x: [n, Plane], w: [Plane], y: [n, Plane]) -> [] {
        let (stored, _recomputed, _adjoint) = transport: Transport(x, w, y, 3);
        stored
    }
    pub net ByStored(x: [n, Plane], w: [Plane], y: [n, Plane]) -> [] {
        let (stored, _recomputed, _adjoint) = transport: Transport(x, w, y, 30);
        stored
    }
    pub net ByRecomputed(x: [n, Plane], w: [Plane], y: [n, Plane]) -> [] {
        let (_stored, recomputed, _adjoint) = transport: Transport(x, w, y, 30);
        recomputed
    }
    pub net ByAdjoint(x: [n, Plane], w: [Plane], y: [n, Plane]) -> [] {
        let (_stored, _recomputed, adjoint) = transport: Transport(x, w, y, 30);
        adjoint
    }

    /// Two couplings in turn on the halves of a point.
    pub net Couplings(a: [n, 1], b: [n, 1]) -> [] {
        let (b, first) = spline(b, a |> linear(8) |> tanh |> linear(11), bound = 2);
        let (a, second) = spline(a, b |> linear(8) |> tanh |> linear(11), bound = 2);
        -mean(normal_log_prob(concat(a, b)) / 10 + mean(first + second))
    }

    pub net Adjoint(x: [n, Plane], y: [n, Plane], w: [Plane]) -> [] {
        mse(ode(x, s = 0..1, by = rk4(16), gradient = adjoint, |x, s| field: Field(x * w, s)), y)
    }
}

ansatz::gradcheck!(Stored);
ansatz::gradcheck!(Recomputed);
ansatz::gradcheck!(Likelihood);
ansatz::gradcheck!(Priced);
ansatz::gradcheck!(Couplings);

fn points() -> Tensor<(usize, Plane), f64, Cpu> {
    from_vec((0..10).map(|i| (1.3 * f64::from(i)).sin()).collect(), (5, Plane)).expect("five points")
}

/// The solution on the host of what the net `field` says.
fn solve(field: &Field<f64>, solver: ode::Solver, span: std::ops::Range<f64>) -> Result<Vec<f64>> {
    let session = Session::new(field)?;
    let derivative = |s: f64, x: &[f64], dx: &mut [f64]| {
        let batch = FieldBatch { x: from_vec(x.to_vec(), (5, Plane))?, s: from_vec(vec![s], ())? };
        dx.copy_from_slice(&to_vec(&session.run(&batch)?));
        Ok(())
    };
    Ok(solver.solve(derivative, span, &to_vec(&points()))?.y)
}

#[test]
fn the_language_solves_as_the_host() -> Result<()> {
    let flow: Flow<f64> = Flow::init(3);
    let found = to_vec(&flow.forward(points())?);
    let expected = solve(&flow.field, ode::rk4(6), 0.0..1.5)?;
    assert!(found.iter().zip(&expected).all(|(f, e)| (f - e).abs() < 1e-13), "{found:?} {expected:?}");
    assert_eq!(Flow::PARAMETERS, 2 * 8 + 8 + 8 * 2 + 2);
    assert_eq!(Flow::multiply_adds(5), 6 * 4 * 5 * (2 * 8 + 8 * 2));
    Ok(())
}

#[test]
fn fields_are_nets_and_layers() -> Result<()> {
    let other: Other<f64> = Other::init(1);
    let keys: Vec<String> = ansatz::nn::slots::<f64, Other<f64>>().into_iter().map(|slot| slot.key).collect();
    assert_eq!(keys[..4], ["field.linear1.weight", "field.linear1.bias", "field.linear2.weight", "field.linear2.bias"]);
    assert_eq!(keys[4..], ["sequential1.0.weight", "sequential1.0.bias", "sequential1.2.weight", "sequential1.2.bias"]);
    let found = to_vec(&other.forward(points())?);
    let mut y = solve(&other.field, ode::tsit5(1.0).fixed(2), 1.5..-0.5)?;
    let (inner, outer) = (&other.sequential1._0, &other.sequential1._2);
    let first = (to_vec(&inner.weight), to_vec(&inner.bias));
    let second = (to_vec(&outer.weight), to_vec(&outer.bias));
    let layer = |(w, b): &(Vec<f64>, Vec<f64>), x: &[f64]| -> Vec<f64> {
        let inputs = x.len();
        b.iter().enumerate().map(|(o, b)| b + (0..inputs).map(|i| w[o * inputs + i] * x[i]).sum::<f64>()).collect()
    };
    for _ in 0..3 {
        let slopes: Vec<f64> = y
            .chunks(2)
            .flat_map(|x| layer(&second, &layer(&first, x).into_iter().map(|h| h.max(0.0)).collect::<Vec<_>>()))
            .collect();
        y.iter_mut().zip(slopes).for_each(|(y, k)| *y += k / 3.0);
    }
    assert!(found.iter().zip(&y).all(|(f, e)| (f - e).abs() < 1e-13), "{found:?} {y:?}");
    Ok(())
}

#[test]
fn the_three_gradients_agree() -> Result<()> {
    let y = from_vec(vec![0.25; 10], (5, Plane))?;
    let w = from_vec(vec![0.7, -1.2], (Plane,))?;
    let (loss, stored) = Stored::<f64>::init(2).gradient(&StoredBatch { x: points(), y: y.clone(), w: w.clone() })?;
    let recomputed =
        Recomputed::<f64>::init(2).gradient(&RecomputedBatch { x: points(), y: y.clone(), w: w.clone() })?;
    let adjoint = Adjoint::<f64>::init(2).gradient(&AdjointBatch { x: points(), y, w })?;
    assert_eq!(to_vec(&loss), to_vec(&adjoint.0));
    let weights = |field: &Field<f64>| to_vec(&field.linear1.weight);
    let stored = weights(&stored.field);
    for (other, tolerance) in [(weights(&recomputed.1.field), 1e-14), (weights(&adjoint.1.field), 1e-6)] {
        assert!(stored.iter().zip(&other).all(|(a, b)| (a - b).abs() < tolerance), "{stored:?} {other:?}");
    }
    assert!(stored.iter().any(|g| g.abs() > 1e-3));
    Ok(())
}

/// The adjoint method against that of diffrax, with which torchdiffeq's agrees.
#[test]
fn adjoint_gradients_are_those_of_diffrax() -> Result<()> {
    fn vector(value: &Value) -> Vec<f64> {
        match value {
            Value::Array(all) => all.iter().flat_map(vector).collect(),
            number => vec![number.as_f64().expect("a number")],
        }
    }
    let file: Value = serde_json::from_str(include_str!("fixtures/adjoint.json")).expect("well-formed");
    let numbers = |of: &str, name: &str| vector(&file[of][name]);
    let linear = |name: &str| -> (Vec<f64>, Vec<f64>) {
        (numbers("parameters", &format!("{name}.weight")), numbers("parameters", &format!("{name}.bias")))
    };
    let mut net = Judged::<f64>::init(0);
    let (first, second) = (linear("linear1"), linear("linear2"));
    net.field.linear1.weight = from_vec(first.0, Default::default())?;
    net.field.linear1.bias = from_vec(first.1, Default::default())?;
    net.field.linear2.weight = from_vec(second.0, Default::default())?;
    net.field.linear2.bias = from_vec(second.1, Default::default())?;
    let [x, y] = ["x", "y"].map(|name| from_vec(vector(&file[name]), (5, Plane)));
    let (loss, found) = net.gradient(&JudgedBatch { x: x?, y: y?, w: from_vec(vector(&file["w"]), (Plane,))? })?;
    let field = &found.field;
    for (found, expected) in [
        (to_vec(&loss), vector(&file["loss"])),
        (to_vec(&field.linear1.weight), numbers("gradient", "linear1.weight")),
        (to_vec(&field.linear1.bias), numbers("gradient", "linear1.bias")),
        (to_vec(&field.linear2.weight), numbers("gradient", "linear2.weight")),
        (to_vec(&field.linear2.bias), numbers("gradient", "linear2.bias")),
    ] {
        assert_eq!(found.len(), expected.len());
        for (f, e) in found.iter().zip(&expected) {
            assert!((f - e).abs() < 1e-7, "{f} is not {e}");
        }
    }
    Ok(())
}

/// A field that moves points well.
fn strong(seed: u64) -> Field<f64> {
    let mut field = Field::init(seed);
    field.linear2.weight = field.linear2.weight * 3.0;
    field
}

fn plane(points: &[[f64; 2]]) -> Result<Tensor<(usize, Plane), f64, Cpu>> {
    from_vec(points.as_flattened().to_vec(), (points.len(), Plane))
}

#[test]
fn the_determinant_is_that_of_the_numerical_jacobian() -> Result<()> {
    let flow = Density { field: strong(5) };
    let found = to_vec(&flow.forward(points())?.log_det);
    let h = 1e-5;
    let moved = |axis: usize, by: f64| -> Result<Vec<f64>> {
        let moved: Vec<f64> =
            to_vec(&points()).into_iter().enumerate().map(|(i, x)| if i % 2 == axis { x + by } else { x }).collect();
        Ok(to_vec(&flow.forward(from_vec(moved, (5, Plane))?)?.z))
    };
    let slopes = |axis| -> Result<Vec<f64>> {
        Ok(moved(axis, h)?.iter().zip(moved(axis, -h)?).map(|(a, b)| (a - b) / (2.0 * h)).collect())
    };
    let (by_x, by_y) = (slopes(0)?, slopes(1)?);
    for i in 0..5 {
        let determinant = by_x[2 * i] * by_y[2 * i + 1] - by_x[2 * i + 1] * by_y[2 * i];
        // The determinant of the solution and of the steps differ by the error of the steps.
        assert!((found[i] - determinant.abs().ln()).abs() < 1e-5, "{} {}", found[i], determinant.ln());
        assert!(found[i].abs() > 0.05);
    }
    Ok(())
}

#[test]
fn a_flow_runs_back_and_its_density_has_mass_one() -> Result<()> {
    let there = Density { field: strong(5) };
    let image = there.forward(points())?;
    let back = Back { field: there.field.clone() }.forward(image.z)?;
    let pairs = to_vec(&back.x).into_iter().zip(to_vec(&points()));
    assert!(pairs.into_iter().all(|(a, b)| (a - b).abs() < 1e-5));
    let pairs = to_vec(&back.log_det).into_iter().zip(to_vec(&image.log_det));
    assert!(pairs.into_iter().all(|(a, b)| (a + b).abs() < 1e-5));

    let (cells, edge) = (160, 8.0);
    let middle = |i: usize| (i as f64 + 0.5) / cells as f64 * 2.0 * edge - edge;
    let grid: Vec<[f64; 2]> = (0..cells * cells).map(|i| [middle(i % cells), middle(i / cells)]).collect();
    let logarithms = to_vec(&there.forward(plane(&grid)?)?.log_density);
    let mass = logarithms.iter().map(|l| l.exp()).sum::<f64>() * (2.0 * edge / cells as f64).powi(2);
    assert!((mass - 1.0).abs() < 5e-3, "{mass}");
    Ok(())
}

#[test]
fn the_estimated_trace_is_right_on_average() -> Result<()> {
    let field = strong(5);
    let exact = to_vec(&Density { field: field.clone() }.forward(points())?.log_det);
    let copies = 4000;
    let many: Vec<f64> = (0..copies).flat_map(|_| to_vec(&points())).collect();
    let estimated = to_vec(&Estimated { field }.forward(from_vec(many, (5 * copies, Plane))?)?.log_det);
    for (i, exact) in exact.iter().enumerate() {
        let draws: Vec<f64> = estimated.iter().skip(i).step_by(5).copied().collect();
        let mean = draws.iter().sum::<f64>() / copies as f64;
        let variance = draws.iter().map(|d| (d - mean).powi(2)).sum::<f64>() / copies as f64;
        assert!((mean - exact).abs() < 5.0 * (variance / copies as f64).sqrt(), "{mean} {exact} {variance}");
        assert!(variance > 1e-3);
    }
    Ok(())
}

#[test]
fn likelihoods_have_the_same_gradient_by_the_adjoint() -> Result<()> {
    let w = from_vec(vec![0.7, -1.2], (Plane,))?;
    let by_adjoint = LikelihoodByAdjoint::<f64>::init(2);
    let stored = LikelihoodStored { field: by_adjoint.field.clone() };
    let (loss, adjoint) = by_adjoint.gradient(&LikelihoodByAdjointBatch { x: points(), w: w.clone() })?;
    let (same, stored) = stored.gradient(&LikelihoodStoredBatch { x: points(), w })?;
    assert_eq!(to_vec(&loss), to_vec(&same));
    let pairs = to_vec(&adjoint.field.linear1.weight).into_iter().zip(to_vec(&stored.field.linear1.weight));
    assert!(pairs.into_iter().all(|(a, b)| (a - b).abs() < 1e-5));
    Ok(())
}

#[test]
fn a_rate_is_integrated_along_the_path() -> Result<()> {
    let moved: Moved<f64> = Moved::init(3);
    let w = from_vec(vec![0.7, -1.2], (Plane,))?;
    let found = moved.forward(points(), w)?;
    let session = Session::new(&moved.field)?;
    // On the host the energies are five more numbers of the state.
    let derivative = |s: f64, y: &[f64], dy: &mut [f64]| {
        let x = y[..10].iter().enumerate().map(|(i, x)| x * [0.7, -1.2][i % 2]).collect();
        let v = to_vec(&session.run(&FieldBatch { x: from_vec(x, (5, Plane))?, s: from_vec(vec![s], ())? })?);
        dy[..10].copy_from_slice(&v);
        v.chunks(2).zip(&mut dy[10..]).for_each(|(v, energy)| *energy = v[0] * v[0] + v[1] * v[1]);
        Ok(())
    };
    let start = [to_vec(&points()), vec![0.0; 5]].concat();
    let expected = ode::rk4(24).solve(derivative, 0.0..1.5, &start)?.y;
    let found = [to_vec(&found.end), to_vec(&found.energy)].concat();
    assert!(found.iter().zip(&expected).all(|(f, e)| (f - e).abs() < 1e-12), "{found:?} {expected:?}");
    assert!(expected[10..].iter().all(|energy| *energy > 0.01));
    Ok(())
}

#[test]
fn a_price_on_the_energy_has_the_same_gradient_three_ways() -> Result<()> {
    let (w, y) = (from_vec(vec![0.7, -1.2], (Plane,))?, from_vec(vec![0.25; 10], (5, Plane))?);
    let (x, w, y) = (points(), w, y);
    let (loss, stored) =
        ByStored::<f64>::init(2).gradient(&ByStoredBatch { x: x.clone(), w: w.clone(), y: y.clone() })?;
    let recomputed =
        ByRecomputed::<f64>::init(2).gradient(&ByRecomputedBatch { x: x.clone(), w: w.clone(), y: y.clone() })?;
    let adjoint = ByAdjoint::<f64>::init(2).gradient(&ByAdjointBatch { x, w, y })?;
    assert_eq!(to_vec(&loss), to_vec(&adjoint.0));
    let stored = to_vec(&stored.transport.field._0.weight);
    let recomputed = to_vec(&recomputed.1.transport.field._0.weight);
    let adjoint = to_vec(&adjoint.1.transport.field._0.weight);
    for (other, tolerance) in [(recomputed, 1e-13), (adjoint, 1e-6)] {
        assert!(stored.iter().zip(&other).all(|(a, b)| (a - b).abs() < tolerance), "{stored:?} {other:?}");
    }
    assert!(stored.iter().any(|g| g.abs() > 1e-2));
    Ok(())
}
