//! A residual network of a thousand layers learns if each adds a thousandth of what it computes, and only then.
#![deny(warnings)]

use ansatz::prelude::*;

net! {
    pub dim Plane = 2;

    net Step(x: [n, d]; scale: f64) -> [n, d] {
        x + scale * (x |> v: linear(8) |> tanh |> u: linear(d, bias = false))
    }

    net Fifty(x: [n, d]; scale: f64) -> [n, d] { x |> steps: [Step(scale); 50] }

    /// How far the last layer is from the targets.
    net Distance(x: [n, Plane], y: [n, Plane]; scale: f64) -> [] {
        mse(x |> stages: [Fifty(scale); 20], y)
    }

    pub net Scaled = Distance(scale = 0.001);
    pub net Unscaled = Distance(scale = 1.0);
}

/// Points of a circle, to be stretched and turned.
fn points() -> (Tensor<(usize, Plane), f32, Cpu>, Tensor<(usize, Plane), f32, Cpu>) {
    let angle = |i: usize| i as f32 * std::f32::consts::TAU / 16.0;
    let x = (0..16).flat_map(|i| [angle(i).cos(), angle(i).sin()]).collect();
    let y = (0..16).flat_map(|i| [-0.5 * angle(i).sin(), 1.5 * angle(i).cos() + 0.5]).collect();
    (from_vec(x, (16, Plane)).expect("16 points"), from_vec(y, (16, Plane)).expect("16 points"))
}

/// The losses of forty steps, as far as they are finite.
fn losses<N: Trainable<f32>>(net: N, batch: &N::Batch) -> Vec<f64> {
    let mut trainer = Trainer::builder(net, Adam::new(1e-2)).build().expect("well-formed");
    (0..40).map_while(|_| Some(trainer.step(batch).ok()?.loss())).collect()
}

/// Whether no step makes the loss greater by a twentieth.
fn is_stable(losses: &[f64]) -> bool {
    losses.len() == 40 && losses.windows(2).all(|pair| pair[1] <= 1.05 * pair[0])
}

#[test]
fn a_thousand_layers_learn_in_steps_of_a_thousandth_alone() {
    let scaled = losses(Scaled::init(0), &ScaledBatch::from(points()));
    assert!(is_stable(&scaled) && scaled[39] < 0.1 * scaled[0], "{scaled:?}");
    let unscaled = losses(Unscaled::init(0), &UnscaledBatch::from(points()));
    let end = if unscaled.len() == 40 { unscaled[39] } else { f64::INFINITY };
    assert!(!is_stable(&unscaled) && end > 5.0 * scaled[39], "{unscaled:?}\n{scaled:?}");
}
