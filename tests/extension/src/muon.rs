//! Muon.

use ansatz::Result;
use ansatz::graph::NodeId;
use ansatz::optim::{AdamW, At, Fit, Optimiser, within};

/// Muon (Jordan et al. 2024), as `torch.optim.Muon` computes it: the momentum of a matrix is made nearly orthogonal by five
/// Newton-Schulz steps, and the parameter moves along that. Kernels of convolutions are matrices of one row for each
/// channel they make. What is no matrix, and what its key calls an embedding, is left to AdamW.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Muon {
    /// γ, the step of a matrix with as many rows as columns or fewer.
    pub learning_rate: f64,
    /// μ, the share of the last direction that is kept.
    pub momentum: f64,
    /// Whether to look ahead along the momentum.
    pub nesterov: bool,
    /// λ, how fast matrices shrink.
    pub weight_decay: f64,
    /// Fits everything else. Its rate follows schedule and groups in proportion.
    pub others: AdamW,
}

/// The polynomial a x + b x³ + c x⁵ of a Newton-Schulz step, which sends singular values to about 1.
const POLYNOMIAL: [f64; 3] = [3.4445, -4.7750, 2.0315];
const STEPS: usize = 5;
const EPSILON: f64 = 1e-7;

impl Muon {
    /// PyTorch's constants: μ = 0.95 with Nesterov's form, λ = 0.1; AdamW at a rate of 0.003 beside it.
    pub fn new(learning_rate: f64) -> Self {
        Muon { learning_rate, momentum: 0.95, nesterov: true, weight_decay: 0.1, others: AdamW::new(3e-3) }
    }

    fn direction(&self, fit: &mut Fit<'_>) -> Result<NodeId> {
        let (buffer, gradient) = (fit.state("momentum_buffer")?, fit.gradient());
        let mixed = |fit: &mut Fit<'_>, from: NodeId, to: NodeId, share: f64| {
            let (from, to) = (fit.scale(from, 1.0 - share)?, fit.scale(to, share)?);
            fit.add(from, to)
        };
        let momentum = mixed(fit, buffer, gradient, 1.0 - self.momentum)?;
        fit.set(buffer, momentum)?;
        if self.nesterov { mixed(fit, gradient, momentum, self.momentum) } else { Ok(momentum) }
    }
}

/// The nearest matrix with orthogonal rows or columns, about.
fn orthogonalised(fit: &mut Fit<'_>, matrix: NodeId) -> Result<NodeId> {
    let [a, b, c] = POLYNOMIAL;
    let (norm, least) = (fit.norm(matrix)?, fit.constant(EPSILON));
    let norm = fit.maximum(norm, least)?;
    let mut x = fit.div(matrix, norm)?;
    // The product is taken on the shorter side: x xᵀ for wide matrices, xᵀ x for tall ones.
    let tall = matches!(fit.dims(matrix)[..], [rows, columns] if rows > columns);
    for _ in 0..STEPS {
        let gram = fit.matmul(x, x, [tall, !tall])?;
        let square = fit.matmul(gram, gram, [false, false])?;
        let (first, second) = (fit.scale(gram, b)?, fit.scale(square, c)?);
        let factor = fit.add(first, second)?;
        let (left, right) = if tall { (x, factor) } else { (factor, x) };
        let (product, kept) = (fit.matmul(left, right, [false, false])?, fit.scale(x, a)?);
        x = fit.add(kept, product)?;
    }
    Ok(x)
}

impl Optimiser for Muon {
    fn learning_rate(&self) -> f64 {
        self.learning_rate
    }

    fn weight_decay(&self) -> f64 {
        self.weight_decay
    }

    fn scalars(&self, at: &At, emit: &mut dyn FnMut(&'static str, f64)) {
        emit("muon_step", at.learning_rate);
        emit("muon_shrink", 1.0 - at.learning_rate * at.weight_decay);
        let share = self.others.learning_rate / self.learning_rate;
        self.others.scalars(&At { learning_rate: at.learning_rate * share, ..*at }, emit);
    }

    fn update(&self, fit: &mut Fit<'_>) -> Result<NodeId> {
        let dims = fit.dims(fit.parameter());
        if dims.len() < 2 || fit.key().contains("embedding") {
            return self.others.update(fit);
        }
        let (rows, columns) = (dims[0], dims[1..].iter().product::<usize>());
        let direction = self.direction(fit)?;
        let matrix = fit.reshape(direction, &[rows, columns])?;
        let matrix = orthogonalised(fit, matrix)?;
        let direction = fit.reshape(matrix, &dims)?;
        let longer = (rows as f64 / columns as f64).max(1.0).sqrt();
        let (size, shrink) = (fit.scalar("muon_step")?, fit.scalar("muon_shrink")?);
        let size = fit.scale(size, longer)?;
        let (step, kept) = (fit.mul(direction, size)?, fit.mul(fit.parameter(), shrink)?);
        fit.sub(kept, step)
    }

    fn check(&self) -> Result<()> {
        within("the learning rate", self.learning_rate, f64::MIN_POSITIVE, f64::INFINITY)?;
        within("the momentum", self.momentum, 0.0, 1.0)?;
        within("the weight decay", self.weight_decay, 0.0, f64::INFINITY)?;
        self.others.check()
    }
}
