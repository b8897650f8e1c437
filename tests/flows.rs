//! Differential equations in the language against the solvers on the host, and their gradients against differences.

use ansatz::ode;
use ansatz::prelude::*;

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

    pub net Adjoint(x: [n, Plane], y: [n, Plane], w: [Plane]) -> [] {
        mse(ode(x, s = 0..1, by = rk4(16), gradient = adjoint, |x, s| field: Field(x * w, s)), y)
    }
}

ansatz::gradcheck!(Stored);
ansatz::gradcheck!(Recomputed);

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
