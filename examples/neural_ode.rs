//! Tells two spirals apart by a differential equation that unrolls them: depth as time.
//!
//! ```text
//! cargo run --release --example neural_ode
//! ```
//!
//! prints
//!
//! ```text
//! 26316 parameters
//! test accuracy: 0.9971
//! out/neural_ode.png
//! ```

mod shared;

use ansatz::data::{Samples, Toy};
use ansatz::ode::{self, Trajectory};
use ansatz::plot::{Board, Diagram, Figure, Plane as Picture};
use ansatz::prelude::*;
use shared::{Program, say};

net! {
    pub dim Plane = 2;
    pub dim Arm   = 2;

    pub net Velocity(x: [n, Plane]) -> [n, Plane] {
        x |> linear(128) |> tanh |> linear(64) |> tanh |> linear(Plane)
    }

    /// The velocity at depth s: its weights θ(s) go through three nodes, at s = 0, ½ and 1.
    pub net Field(x: [n, Plane], s: []) -> [n, Plane] { varying(x, s, nodes: [Velocity; 3]) }

    /// A neural differential equation (Chen et al. 2018), then a linear classifier.
    pub net Classify(x: [n, Plane]) -> [n, Arm] {
        ode(x, s = 0..1, by = rk4(12), Field) |> head: linear(Arm)
    }

    pub net Risk(x: [n, Plane], y: [n] in Arm) -> (loss: [], correct: []) {
        let logits = classify: Classify(x);
        (loss = cross_entropy(logits, y), correct = mean(argmax(logits, over = Arm) == y))
    }
}

const SAMPLES: usize = 4096;
const PROGRAM: Program = Program {
    name: "neural_ode",
    about: "Tells two spirals apart by a differential equation that unrolls them: depth as time.",
    length: (160, "epochs"),
    options: &[],
    words: "",
};
const BATCH: usize = 128;

fn main() -> Result<()> {
    let options = PROGRAM.options()?;
    let (points, arms) = spirals(SAMPLES, 1);
    let (train, test) = Samples::new(&batch(&points, &arms)?)?.split(0.75, 1)?;
    let updates = options.length * (SAMPLES * 3 / 4 / BATCH) as u64;
    let builder = Trainer::builder(Risk::init(options.seed + 2), Adam::new(3e-3))
        .seed(options.seed)
        .batch_size(BATCH)
        .epochs(options.length)
        .schedule(Schedule::cosine(updates / 20, updates))
        .clip(1.0);
    say!("{} parameters", Classify::PARAMETERS);
    let (mut trainer, history) = options.fit("neural_ode", builder, &train, Some(&test))?;
    let accuracy = trainer.evaluate(&test)?.get("correct").unwrap_or_default();

    let correct = |of: &dyn Fn(&ansatz::train::Epoch) -> Option<f64>| history.epochs.iter().filter_map(of).collect();
    let net = trainer.model()?.classify;
    let picture = options.path("neural_ode.png");
    let title = "Depth as time: the equation unrolls the spirals until a line parts them";
    Figure::new("Neural differential equation, two spirals")
        .diagram(
            Diagram::new("cross entropy")
                .logarithmic()
                .curve("training", history.train_loss())
                .curve("test", history.validation_loss()),
        )
        .diagram(
            Diagram::new("accuracy")
                .curve("training", correct(&|epoch| epoch.train.get("correct")))
                .curve("test", correct(&|epoch| epoch.validation.as_ref()?.get("correct"))),
        )
        .board(Board::new(title, 4, pictures(&net)?))
        .save(&picture)?;
    say!("test accuracy: {accuracy:.4}");
    say!("{}", picture.display());
    Ok(())
}

/// A swiss roll and the same turned by half.
fn spirals(count: usize, seed: u64) -> (Vec<[f64; 2]>, Vec<u32>) {
    let turned = |(i, [x, y]): (usize, [f64; 2])| if i % 2 == 0 { [x / 2.0, y / 2.0] } else { [-x / 2.0, -y / 2.0] };
    let points = Toy::SwissRoll.sample(count, seed).into_iter().enumerate().map(turned).collect();
    (points, (0..count as u32).map(|i| i % 2).collect())
}

fn tensor(points: &[[f64; 2]]) -> Result<Tensor<(usize, Plane), f32, Cpu>> {
    from_vec(points.iter().flatten().map(|&x| x as f32).collect(), (points.len(), Plane))
}

fn batch(points: &[[f64; 2]], arms: &[u32]) -> Result<RiskBatch> {
    Ok(RiskBatch { x: tensor(points)?, y: Indices::new(arms.to_vec(), (arms.len(),))? })
}

fn pairs(flat: &[f64]) -> Vec<[f64; 2]> {
    flat.chunks_exact(2).map(|p| [p[0], p[1]]).collect()
}

/// Where points are at all depths, by the steps of the net.
fn carry(net: &Classify, points: &[[f64; 2]]) -> Result<Trajectory> {
    let session = Session::new(&net.field)?;
    let velocity = |s: f64, x: &[f64], v: &mut [f64]| {
        let velocities = to_vec(&session.run(&FieldBatch { x: tensor(&pairs(x))?, s: from_vec(vec![s as f32], ())? })?);
        v.iter_mut().zip(velocities).for_each(|(v, found)| *v = f64::from(found));
        Ok(())
    };
    ode::rk4(12).trajectory(velocity, 0.0..1.0, points.as_flattened())
}

/// The points at several depths, their paths, and what the net says of the plane.
fn pictures(net: &Classify) -> Result<Vec<Picture>> {
    let (points, arms) = spirals(800, 2);
    let path = carry(net, &points)?;
    let far = |points: &[f64]| points.iter().fold(0.5, |far: f64, x| far.max(1.05 * x.abs()));
    let arm = |points: &[[f64; 2]], which: u32| -> Vec<[f64; 2]> {
        points.iter().zip(&arms).filter(|(_, arm)| **arm == which).map(|(point, _)| *point).collect()
    };
    let at = |s: f64| {
        let points = pairs(&path.at(s));
        let edge = far(points.as_flattened());
        Picture::new(format!("s = {s}"), -edge, edge).points(arm(&points, 0), 0).points(arm(&points, 1), 1)
    };
    let mut pictures: Vec<Picture> = [0.0, 0.2, 0.4, 0.6, 0.8, 1.0].map(at).to_vec();

    let times: Vec<Vec<[f64; 2]>> = (0..=60).map(|i| pairs(&path.at(f64::from(i) / 60.0))).collect();
    let edge = far(times[60].as_flattened());
    let paths =
        |which: usize| (0..240).filter(|i| i % 2 == which).map(|i| times.iter().map(|t| t[i]).collect()).collect();
    pictures.push(Picture::new("paths", -edge, edge).paths(paths(0), 0).paths(paths(1), 1));

    // The probability of the first arm over the plane.
    let (cells, edge) = (120, 2.4);
    let middle = |i: usize| (i as f64 + 0.5) / cells as f64 * 2.0 * edge - edge;
    let lattice: Vec<[f64; 2]> = (0..cells * cells).map(|i| [middle(i % cells), middle(i / cells)]).collect();
    let logits = to_vec(&net.forward(tensor(&lattice)?)?);
    let first = |l: &[f32]| f64::from(1.0 / (1.0 + (l[1] - l[0]).exp()));
    let shades = logits.chunks_exact(2).map(first).collect();
    let regions = Picture::new("probability of the blue arm", -edge, edge).shares(shades);
    pictures.push(regions.points(arm(&points, 0), 0).points(arm(&points, 1), 1));
    Ok(pictures)
}
