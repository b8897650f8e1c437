//! Paths from noise to data in the language and on the host, predictions that follow from one another, samplers, pairs.

use ansatz::flow::{Path, Prediction, Process, Sampler};
use ansatz::ode;
use ansatz::prelude::*;
use ansatz::transport::{Pairing, Sinkhorn, squared_distances};
use proptest::prelude::*;

net! {
    pub dim Plane = 2;

    pub net Linear(s: [n, 1]) -> (alpha: [n, 1], sigma: [n, 1], alpha_slope: [n, 1], sigma_slope: [n, 1]) {
        let (alpha, sigma, alpha_slope, sigma_slope) = path(s);
        (alpha = alpha, sigma = sigma, alpha_slope = alpha_slope, sigma_slope = sigma_slope)
    }

    pub net Cosine(s: [n, 1]) -> (alpha: [n, 1], sigma: [n, 1], alpha_slope: [n, 1], sigma_slope: [n, 1]) {
        let (alpha, sigma, alpha_slope, sigma_slope) = path(s, kind = cosine);
        (alpha = alpha, sigma = sigma, alpha_slope = alpha_slope, sigma_slope = sigma_slope)
    }

    pub net Preserving(s: [n, 1]) -> (alpha: [n, 1], sigma: [n, 1], alpha_slope: [n, 1], sigma_slope: [n, 1]) {
        let (alpha, sigma, alpha_slope, sigma_slope) = path(s, kind = variance_preserving);
        (alpha = alpha, sigma = sigma, alpha_slope = alpha_slope, sigma_slope = sigma_slope)
    }

    net Field(x: [n, Plane], s: [n, 1]) -> [n, Plane] { concat(x, s) |> linear(8) |> tanh |> linear(Plane) }

    /// Flow matching on a path of diffusion; the time is a parameter of the check as well.
    pub net Matching(x0: [n, Plane], x1: [n, Plane], s: [n, 1]) -> [] {
        let (alpha, sigma, alpha_slope, sigma_slope) = path(s |> sigmoid, kind = variance_preserving);
        mse(field: Field(alpha * x1 + sigma * x0, s), alpha_slope * x1 + sigma_slope * x0)
    }

    pub net Divergence(x: [n, Plane], y: [m, Plane]) -> [] { sinkhorn_divergence(x, y, epsilon = 0.2, turns = 400) }

    /// With the gradient by the clouds: `w` scales both.
    pub net Scaled(x: [n, Plane], y: [m, Plane], w: [Plane]) -> [] {
        sinkhorn_divergence(x * w, y * w, epsilon = 0.5, turns = 300)
    }

    pub net Sliced(x: [n, Plane], y: [n, Plane]) -> [] { sliced_wasserstein(x, y, directions = 4000) }

    pub net Line(x: [n, 1], y: [n, 1]) -> [] { sliced_wasserstein(x, y, directions = 3) }
}

ansatz::gradcheck!(Matching);
ansatz::gradcheck!(Scaled);

type Points<N> = Tensor<(N, Plane), f64, Cpu>;

fn points(list: &serde_json::Value) -> Vec<[f64; 2]> {
    let point = |p: &serde_json::Value| [p[0].as_f64().unwrap(), p[1].as_f64().unwrap()];
    list.as_array().unwrap().iter().map(point).collect()
}

fn rows(points: &[[f64; 2]]) -> Points<usize> {
    from_vec(points.as_flattened().to_vec(), (points.len(), Plane)).expect("points of the plane")
}

#[test]
fn distances_are_those_of_pot() -> Result<()> {
    use ansatz::transport::{assign, sliced_wasserstein, wasserstein};
    let file: serde_json::Value =
        serde_json::from_str(include_str!("fixtures/transport.json")).expect("the fixture is well-formed");
    let [x, y, z, directions] = ["x", "y", "z", "directions"].map(|name| points(&file[name]));
    let expected = file["divergence"].as_f64().unwrap();
    let found = to_vec(&Divergence::<f64>::init(0).forward(rows(&x), rows(&y))?)[0];
    assert!((found - expected).abs() < 1e-9, "{found} {expected}");
    let host = Sinkhorn { tolerance: 1e-12, ..Sinkhorn::new(file["epsilon"].as_f64().unwrap()) }.divergence(&x, &y)?;
    assert!((host - expected).abs() < 1e-9, "{host} {expected}");
    for (i, gradient) in points(&file["gradient"]).into_iter().enumerate() {
        for axis in 0..2 {
            let moved = |by: f64| -> Result<f64> {
                let mut x = x.clone();
                x[i][axis] += by;
                Ok(to_vec(&Divergence::<f64>::init(0).forward(rows(&x), rows(&y))?)[0])
            };
            let difference = (moved(1e-4)? - moved(-1e-4)?) / 2e-4;
            assert!((difference - gradient[axis]).abs() < 1e-7, "{difference} {}", gradient[axis]);
        }
    }
    let [first, second] = [(&x, 0), (&y, 1)].map(|(c, axis)| c.iter().map(|p| p[axis]).collect::<Vec<f64>>());
    for (order, expected) in file["line"].as_array().unwrap().iter().enumerate() {
        let found = wasserstein(&first, &second, order as f64 + 1.0)?;
        assert!((found - expected.as_f64().unwrap()).abs() < 1e-12, "{found} {expected}");
    }
    let found = sliced_wasserstein(&x, &y, &directions, 2.0)?;
    assert!((found - file["sliced"].as_f64().unwrap()).abs() < 1e-12);
    let found = assign(&squared_distances(&x, &z)?, 6)?.cost;
    assert!((found - file["assignment"].as_f64().unwrap()).abs() < 1e-9);
    Ok(())
}

#[test]
fn sliced_losses_are_squared_distances() -> Result<()> {
    use ansatz::transport::{directions, sliced_wasserstein, wasserstein};
    let x = ansatz::data::Toy::Moons.sample(50, 1);
    let y = ansatz::data::normal_points(50, 2);
    let found = to_vec(&Sliced::<f64>::init(0).forward(rows(&x), rows(&y))?)[0];
    let expected = sliced_wasserstein(&x, &y, &directions(20_000, 2, 3), 2.0)?.powi(2);
    assert!((found / expected - 1.0).abs() < 0.05, "{found} {expected}");
    // On the line every direction is 1 or −1, and equal numbers keep their places.
    let (a, b) = ([0.5, -1.0, 0.5, 2.0], [1.0, 1.0, 1.0, -3.0]);
    let tensor = |v: [f64; 4]| from_vec(v.to_vec(), (4, Const::<1>));
    let found = to_vec(&Line::<f64>::init(0).forward(tensor(a)?, tensor(b)?)?)[0];
    assert!((found - wasserstein(&a, &b, 2.0)?.powi(2)).abs() < 1e-12, "{found}");
    Ok(())
}

const PATHS: [Path; 3] = [Path::Linear, Path::Cosine, Path::VariancePreserving];
const PREDICTIONS: [Prediction; 4] = [Prediction::Velocity, Prediction::Noise, Prediction::Data, Prediction::Score];

#[test]
fn the_language_and_the_host_know_the_same_paths() -> Result<()> {
    let times = [0.0, 0.1, 0.35, 0.5, 0.8, 0.95];
    let s: Tensor<(usize, Const<1>), f64, Cpu> = from_vec(times.to_vec(), (6, Const))?;
    let linear = Linear::<f64>::init(0).forward(s.clone())?;
    let cosine = Cosine::<f64>::init(0).forward(s.clone())?;
    let preserving = Preserving::<f64>::init(0).forward(s)?;
    let found = [
        [linear.alpha, linear.sigma, linear.alpha_slope, linear.sigma_slope],
        [cosine.alpha, cosine.sigma, cosine.alpha_slope, cosine.sigma_slope],
        [preserving.alpha, preserving.sigma, preserving.alpha_slope, preserving.sigma_slope],
    ];
    for (path, found) in PATHS.into_iter().zip(found) {
        let found = found.map(|tensor| to_vec(&tensor));
        for (i, s) in times.into_iter().enumerate() {
            let at = path.at(s);
            for (found, expected) in found.iter().zip([at.alpha, at.sigma, at.alpha_slope, at.sigma_slope]) {
                assert!((found[i] - expected).abs() < 1e-13, "{path:?} at {s}: {} {expected}", found[i]);
            }
        }
    }
    Ok(())
}

#[test]
fn paths_lead_from_noise_to_data_and_have_their_slopes() {
    for path in PATHS {
        let (start, end) = (path.at(0.0), path.at(1.0));
        assert!((start.sigma - 1.0).abs() < 1e-4 && start.alpha.abs() < 0.007, "{path:?}");
        assert!((end.alpha - 1.0).abs() < 1e-12 && end.sigma.abs() < 1e-12, "{path:?}");
        for s in [0.05, 0.3, 0.6, 0.9] {
            let (at, before, after, h) = (path.at(s), path.at(s - 1e-6), path.at(s + 1e-6), 2e-6);
            assert!((at.alpha_slope - (after.alpha - before.alpha) / h).abs() < 1e-7, "{path:?} at {s}");
            assert!((at.sigma_slope - (after.sigma - before.sigma) / h).abs() < 1e-7, "{path:?} at {s}");
            if path != Path::Linear {
                assert!((at.alpha.powi(2) + at.sigma.powi(2) - 1.0).abs() < 1e-13, "{path:?} at {s}");
            }
        }
    }
    // Ho et al.: β grows from 10⁻⁴ to 0.02 in 1000 steps, so that ᾱ is the product of 1 − β.
    let product = (0..500).map(|i| 1.0 - (1e-4 + (0.02 - 1e-4) * f64::from(i) / 999.0)).product::<f64>();
    assert!((Path::VariancePreserving.at(0.5).alpha.powi(2) - product).abs() < 1e-3);
}

proptest! {
    #[test]
    fn predictions_follow_from_one_another(
        data in -3.0..3.0f64, noise in -3.0..3.0f64, s in 0.05..0.95f64, path in 0..3usize, from in 0..4usize, to in 0..4usize,
    ) {
        let (path, from, to) = (PATHS[path], PREDICTIONS[from], PREDICTIONS[to]);
        let at = path.at(s);
        let truth = |prediction| match prediction {
            Prediction::Velocity => at.alpha_slope * data + at.sigma_slope * noise,
            Prediction::Noise => noise,
            Prediction::Data => data,
            Prediction::Score => -noise / at.sigma,
        };
        let x = at.alpha * data + at.sigma * noise;
        let found = from.convert(to, path, s, &[x], &[truth(from)]).unwrap()[0];
        prop_assert!((found - truth(to)).abs() < 1e-9 * (1.0 + truth(to).abs()) / at.alpha.min(at.sigma).powi(2));
    }
}

/// The score of data of the normal distribution with this mean and deviation, from which all else follows.
fn gaussian(
    path: Path,
    mean: f64,
    deviation: f64,
    as_what: Prediction,
) -> impl Fn(f64, &[f64], &mut [f64]) -> Result<()> {
    move |s, x, out| {
        let at = path.at(s);
        let variance = (at.alpha * deviation).powi(2) + at.sigma.powi(2);
        let score: Vec<f64> = x.iter().map(|x| -(x - at.alpha * mean) / variance).collect();
        out.copy_from_slice(&Prediction::Score.convert(as_what, path, s, x, &score)?);
        Ok(())
    }
}

#[test]
fn every_sampler_makes_the_distribution() {
    const COUNT: usize = 4000;
    let (mean, deviation) = (1.5, 0.4);
    let noise: Vec<f64> = ansatz::data::normal_points(COUNT / 2, 4).into_flattened();
    let samplers = [
        Sampler::Ode(ode::dopri5(1e-6)),
        Sampler::Ode(ode::heun(100)),
        Sampler::ddim(300),
        Sampler::ddpm(300),
        Sampler::Ancestral { steps: 300, eta: 0.5 },
        Sampler::EulerMaruyama { steps: 600 },
    ];
    for path in PATHS {
        for predicts in PREDICTIONS {
            for by in samplers {
                let process = Process { path, predicts };
                let span = 0.02..0.999;
                // What the noise of the start lacks of data is small.
                let samples = process
                    .sample(by, span.clone(), gaussian(path, mean, deviation, predicts), &noise, 7)
                    .unwrap_or_else(|e| panic!("{path:?} {predicts:?} {by:?}: {e}"));
                let at = path.at(span.end);
                let center = samples.iter().sum::<f64>() / COUNT as f64;
                let spread = (samples.iter().map(|x| (x - center).powi(2)).sum::<f64>() / COUNT as f64).sqrt();
                let expected = ((at.alpha * deviation).powi(2) + at.sigma.powi(2)).sqrt();
                assert!((center - at.alpha * mean).abs() < 0.05, "{path:?} {predicts:?} {by:?}: mean {center}");
                assert!((spread - expected).abs() < 0.03, "{path:?} {predicts:?} {by:?}: deviation {spread}");
            }
        }
    }
}

#[test]
fn draws_depend_on_the_seed_alone_and_ddim_draws_nothing() -> Result<()> {
    let process = Process { path: Path::Cosine, predicts: Prediction::Score };
    let sample = |by, seed| {
        process.sample(by, 0.1..0.9, gaussian(Path::Cosine, 0.0, 1.0, Prediction::Score), &[0.3, -1.0], seed)
    };
    assert_eq!(sample(Sampler::ddpm(9), 1)?, sample(Sampler::ddpm(9), 1)?);
    assert_ne!(sample(Sampler::ddpm(9), 1)?, sample(Sampler::ddpm(9), 2)?);
    assert_eq!(sample(Sampler::ddim(9), 1)?, sample(Sampler::ddim(9), 2)?);
    // Where the data is distributed as the noise, a step by the angle φ of the path keeps cos φ of a point.
    let kept = (0.8 / 9.0 * std::f64::consts::FRAC_PI_2).cos().powi(9);
    assert!(sample(Sampler::ddim(9), 1)?.iter().zip([0.3, -1.0]).all(|(a, b)| (a - kept * b).abs() < 1e-12));
    Ok(())
}

#[test]
fn errors_say_what_to_do() {
    let sample = |path, predicts, by, span| {
        let process = Process { path, predicts };
        process.sample(
            by,
            span,
            |_, _, out| {
                out.fill(0.0);
                Ok(())
            },
            &[1.0],
            0,
        )
    };
    let noise = Prediction::Noise;
    for (error, part) in [
        (
            Prediction::Noise.convert(Prediction::Data, Path::Linear, 0.0, &[1.0], &[1.0]),
            "the data does not follow from the noise",
        ),
        (
            Prediction::Noise.convert(Prediction::Data, Path::Linear, 0.5, &[1.0], &[]),
            "0 predicted numbers for points of 1",
        ),
        (sample(Path::Linear, noise, Sampler::ddim(5), 0.0..1.0), "predict the velocity"),
        (sample(Path::Linear, noise, Sampler::ddim(0), 0.1..1.0), "at least one step"),
        (sample(Path::Linear, noise, Sampler::ddim(1), 0.5..2.0), "noise at 0 to data at 1"),
        (
            sample(Path::Linear, noise, Sampler::Ancestral { steps: 1, eta: 2.0 }, 0.5..1.0),
            "between 0 and 1, 2 does not",
        ),
        (
            sample(Path::Linear, Prediction::Velocity, Sampler::EulerMaruyama { steps: 3 }, 0.0..1.0),
            "begin a little later",
        ),
        (Pairing::Exact.partners(&[[1.0]], &[[1.0], [2.0]], 0).map(|_| vec![]), "1 points cannot be paired with 2"),
    ] {
        let message = error.expect_err("cannot be").to_string();
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn pairs_by_transport_are_nearer() -> Result<()> {
    let x = ansatz::data::normal_points(64, 1);
    let y = ansatz::data::Toy::Moons.sample(64, 2);
    let costs = squared_distances(&x, &y)?;
    let mean = |pairing: Pairing| -> Result<f64> {
        let partners = pairing.partners(&x, &y, 3)?;
        Ok(partners.iter().enumerate().map(|(i, &j)| costs[64 * i + j]).sum::<f64>() / 64.0)
    };
    let (exact, independent) = (mean(Pairing::Exact)?, mean(Pairing::Independent)?);
    let (sharp, blurred) =
        (mean(Pairing::Entropic(Sinkhorn::new(0.05)))?, mean(Pairing::Entropic(Sinkhorn::new(1e4)))?);
    assert!(exact < 0.5 * independent && (sharp / exact - 1.0).abs() < 0.2, "{exact} {sharp} {independent}");
    assert!((blurred / independent - 1.0).abs() < 0.4, "{blurred} {independent}");
    let mut partners = Pairing::Exact.partners(&x, &y, 0)?;
    partners.sort_unstable();
    assert_eq!(partners, (0..64).collect::<Vec<_>>());
    Ok(())
}
