//! Solvers against closed solutions, against their theory, and against other libraries.

use super::*;
use crate::{Error, Result};
use serde_json::Value;

const FIXED: [Solver; 7] = [euler(1), midpoint(1), heun(1), rk4(1), fixed(&BOSH3), fixed(&DOPRI5), fixed(&TSIT5)];

const fn fixed(method: &'static Method) -> Solver {
    Solver { method, steps: Steps::Fixed(1) }
}

/// A planet on an ellipse of eccentricity 0.3, nearest to the sun at s = 0.
fn field(_: f64, y: &[f64], dy: &mut [f64]) -> Result<()> {
    let cube = y[0].hypot(y[1]).powi(3);
    dy.copy_from_slice(&[y[2], y[3], -y[0] / cube, -y[1] / cube]);
    Ok(())
}

/// By Kepler's equation E − e sin E = s.
fn exact(s: f64) -> [f64; 4] {
    let e = 0.3;
    let angle = (0..50).fold(s, |angle: f64, _| angle - (angle - e * angle.sin() - s) / (1.0 - e * angle.cos()));
    let ((sin, cos), minor) = (angle.sin_cos(), (1.0 - e * e).sqrt());
    let speed = 1.0 / (1.0 - e * cos);
    [cos - e, minor * sin, -sin * speed, minor * cos * speed]
}

fn difference(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

/// The slope of ln(error) over ln(step), by least squares.
fn measured_order(steps: &[usize], error: impl Fn(usize) -> f64) -> f64 {
    let points: Vec<(f64, f64)> = steps.iter().map(|&n| (-(n as f64).ln(), error(n).ln())).collect();
    let mean = |f: &dyn Fn(&(f64, f64)) -> f64| points.iter().map(f).sum::<f64>() / points.len() as f64;
    let (x, y) = (mean(&|p| p.0), mean(&|p| p.1));
    mean(&|p| (p.0 - x) * (p.1 - y)) / mean(&|p| (p.0 - x) * (p.0 - x))
}

#[test]
fn every_method_has_its_order() {
    for solver in FIXED {
        let order = f64::from(solver.method.order);
        let steps: &[usize] = if order > 3.5 { &[200, 250, 300, 350, 400] } else { &[1024, 1536, 2048, 3072, 4096] };
        for (start, end) in [(0.0, 5.0), (5.0, 0.0)] {
            let error = |n: usize| {
                let solved = solver.fixed(n).solve(field, start..end, &exact(start)).expect("a smooth field");
                assert_eq!((solved.accepted, solved.s), (n, end));
                difference(&solved.y, &exact(end))
            };
            let measured = measured_order(steps, error);
            assert!((measured - order).abs() < 0.2, "{}: {measured}", solver.method.name);
        }
    }
}

/// The polynomials of degree 4 within steps are of order 5, the cubic ones of order 4, both at most of the method's order.
#[test]
fn values_within_steps_have_their_order() {
    for solver in FIXED {
        let order = f64::from(solver.method.order).min(if solver.method.dense.is_some() { 5.0 } else { 4.0 });
        let error = |n: usize| {
            let path = solver.fixed(n).trajectory(field, 0.0..2.0, &exact(0.0)).expect("a smooth field");
            (0..200).map(|i| f64::from(i) * 0.01).map(|s| difference(&path.at(s), &exact(s))).fold(0.0, f64::max)
        };
        let measured = measured_order(&[48, 64, 96, 128, 160], error);
        assert!((measured - order).abs() < 0.2, "{}: {measured}", solver.method.name);
    }
}

#[test]
fn tables_are_consistent() {
    for Solver { method, .. } in FIXED {
        for (row, c) in method.a.iter().zip(method.c) {
            assert!((row.iter().sum::<f64>() - c).abs() < 1e-14, "{}", method.name);
        }
        assert!((method.b.iter().sum::<f64>() - 1.0).abs() < 1e-15, "{}", method.name);
        assert!(method.error.iter().all(|e| e.iter().sum::<f64>().abs() < 1e-15), "{}", method.name);
        for (i, row) in method.dense.into_iter().flatten().enumerate() {
            assert!((row.iter().sum::<f64>() - method.b[i]).abs() < 2e-14, "{}: {i}", method.name);
        }
        assert_eq!(method.first_same_as_last(), method.error.is_some());
    }
}

#[test]
fn errors_stay_below_the_tolerance() {
    // A pendulum, whose energy does not change; a decay and a swing with closed solutions.
    type Field = fn(f64, &[f64], &mut [f64]) -> Result<()>;
    let decay: Field = |_, y, dy| {
        dy[0] = -3.0 * y[0];
        Ok(())
    };
    let swing: Field = |_, y, dy| {
        (dy[0], dy[1]) = (y[1], -y[0]);
        Ok(())
    };
    for tolerance in [1e-3, 1e-5, 1e-7, 1e-9] {
        for solver in [bosh3(tolerance), dopri5(tolerance), tsit5(tolerance)] {
            for (field, start, span, end) in [
                (decay, vec![1.0], 2.0, vec![(-6f64).exp()]),
                (swing, vec![1.0, 0.0], 5.0, vec![5f64.cos(), -5f64.sin()]),
                (field as Field, exact(0.0).to_vec(), 3.0, exact(3.0).to_vec()),
            ] {
                let solved = solver.solve(field, 0.0..span, &start).expect("smooth and not stiff");
                let error = difference(&solved.y, &end);
                // The tolerance is that of a step; errors add up over the span.
                assert!(error < tolerance * 20.0, "{} at {tolerance:e}: {error:e}", solver.method.name);
                let back = solver.solve(field, span..0.0, &solved.y).expect("backwards");
                assert!(difference(&back.y, &start) < tolerance * 20.0 * 6f64.exp(), "{}", solver.method.name);
            }
        }
    }
}

#[test]
fn steps_follow_the_solution() {
    // A peak of width 0.02 at s = 1: most steps are near it.
    let field = |s: f64, _: &[f64], dy: &mut [f64]| {
        dy[0] = 0.02 / ((s - 1.0).powi(2) + 4e-4);
        Ok(())
    };
    let path = tsit5(1e-8).trajectory(field, 0.0..2.0, &[0.0]).expect("smooth");
    assert!((path.end.y[0] - 2.0 * 50f64.atan()).abs() < 1e-7, "{:?}", path.end);
    let times = path.times();
    let near = times.iter().filter(|s| (**s - 1.0).abs() < 0.2).count();
    assert!(near * 2 > times.len(), "{near} of {}", times.len());
    assert_eq!((times[0], times[times.len() - 1], times.len()), (0.0, 2.0, path.end.accepted + 1));
}

#[test]
fn events_stop_the_time() {
    // A ball thrown up from 1 at speed 2 with g = 10 falls on the ground at (2 + √24)/10.
    let ball = |_: f64, y: &[f64], dy: &mut [f64]| {
        (dy[0], dy[1]) = (y[1], -10.0);
        Ok(())
    };
    let landed = (2.0 + 24f64.sqrt()) / 10.0;
    for solver in [rk4(10), midpoint(10), bosh3(1e-8), dopri5(1e-8), tsit5(1e-8)] {
        let solved = solver.solve_until(ball, 0.0..5.0, &[1.0, 2.0], |_, y| y[0]).expect("smooth");
        assert!((solved.s - landed).abs() < 1e-9, "{}: {}", solver.method.name, solved.s);
        assert!((solved.y[1] + 24f64.sqrt()).abs() < 1e-8);
        let back = solver.solve_until(ball, solved.s..0.15, &solved.y, |_, y| 1.1 - y[0]).expect("smooth");
        assert!((back.y[0] - 1.1).abs() < 1e-9 && back.s < landed && back.s > 0.3);
        let none = solver.solve_until(ball, 0.0..0.5, &[1.0, 2.0], |_, y| y[0] + 9.0).expect("smooth");
        assert_eq!(none.s, 0.5);
    }
}

#[test]
fn values_are_those_of_other_libraries() {
    let file: Value = serde_json::from_str(include_str!("../../tests/fixtures/ode.json")).expect("well-formed");
    let vector = |v: &Value| -> Vec<f64> { v.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect() };
    let field = |s: f64, y: &[f64], dy: &mut [f64]| {
        dy[0] = 1.5 * (1.0 + 0.1 * s.sin()) * y[0] - y[0] * y[1];
        dy[1] = y[0] * y[1] - 3.0 * y[1];
        Ok(())
    };
    let steps = file["steps"].as_u64().unwrap() as usize;
    let expected = file["fixed"].as_object().unwrap();
    assert_eq!(expected.len(), 6);
    for (name, value) in expected {
        let solver = FIXED.into_iter().find(|solver| solver.method.name == name).expect("a known method");
        let solved = solver.fixed(steps).solve(field, 0.0..2.0, &[1.0, 1.0]).expect("smooth");
        assert!(difference(&solved.y, &vector(value)) < 1e-12, "{name}: {:?}", solved.y);
    }
    let path = fixed(&TSIT5).fixed(steps).trajectory(field, 0.0..2.0, &[1.0, 1.0]).expect("smooth");
    let inside = &file["inside_tsit5"];
    for (s, value) in vector(&inside["times"]).into_iter().zip(inside["values"].as_array().unwrap()) {
        assert!(difference(&path.at(s), &vector(value)) < 1e-12);
    }
    let exact = &file["exact"];
    for (s, value) in vector(&exact["times"]).into_iter().zip(exact["values"].as_array().unwrap()) {
        for solver in [rk4(4000), dopri5(1e-12), tsit5(1e-12)] {
            let solved = solver.solve(field, 0.0..s, &[1.0, 1.0]).expect("smooth");
            assert!(difference(&solved.y, &vector(value)) < 1e-10, "{}", solver.method.name);
        }
    }
}

#[test]
fn errors_say_what_to_do() {
    let still = |_: f64, _: &[f64], dy: &mut [f64]| {
        dy.fill(0.0);
        Ok(())
    };
    let blow_up = |_: f64, y: &[f64], dy: &mut [f64]| {
        dy[0] = y[0] * y[0];
        Ok(())
    };
    let stiff = |_: f64, y: &[f64], dy: &mut [f64]| {
        dy[0] = -1e8 * y[0];
        Ok(())
    };
    let adaptive_rk4 = Solver { method: &RK4, ..dopri5(1e-6) };
    let impatient = Solver { steps: Steps::Adaptive(Tolerance { steps: 500, ..Tolerance::new(1e-6) }), ..dopri5(1.0) };
    for (solved, part) in [
        (rk4(0).solve(still, 0.0..1.0, &[1.0]), "at least one step"),
        (rk4(1).solve(still, 0.0..f64::NAN, &[1.0]), "finite times"),
        (adaptive_rk4.solve(still, 0.0..1.0, &[1.0]), "`rk4` estimates no error"),
        (dopri5(0.0).solve(still, 0.0..1.0, &[1.0]), "above 0"),
        (rk4(50).solve(blow_up, 0.0..40.0, &[1.0]), "take more steps"),
        (impatient.solve(stiff, 0.0..1.0, &[1.0]), "stiff"),
        (tsit5(1e-6).solve(blow_up, 0.0..2.0, &[1.0]), "too small to move on"),
        (rk4(1).solve(|_, _, _| Err(Error::value("no field")), 0.0..1.0, &[1.0]), "no field"),
    ] {
        let message = solved.expect_err("cannot be solved").to_string();
        assert!(message.contains(part), "{message}");
    }
    let nothing = tsit5(1e-6).solve(still, 1.0..1.0, &[2.0]).expect("no time passes");
    assert_eq!((nothing.y, nothing.evaluations), (vec![2.0], 0));
}
