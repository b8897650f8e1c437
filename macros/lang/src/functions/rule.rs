//! What becomes of elements and shapes.

/// What a function does to elements and shapes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Elementwise on one tensor of reals.
    Map,
    /// Elementwise on two tensors of reals, after broadcasting.
    Pair,
    /// `pow`: a number or a tensor as exponent.
    Power,
    /// Elementwise choice between two tensors by a tensor of truth values.
    Select,
    /// Truth values as 0 and 1.
    ToReal,
    /// Reals over some axes.
    Reduce,
    /// The index of the largest over one axis.
    Argmax,
    /// Along one axis, the shape stays.
    Along,
    /// `linear`
    Linear,
    /// `embedding`
    Embedding,
    /// `gather`
    Gather,
    /// `positions`
    Positions,
    /// `checkpoint`
    Checkpoint,
    /// `layer_norm`, `rms_norm`
    Norm,
    /// `conv1d`, `conv2d` and their transposes
    Conv,
    /// Windows over the last axis, or the last two.
    Pool,
    /// `upsample`
    Upsample,
    /// `batch_norm`, `group_norm`, `instance_norm`
    ChannelNorm,
    /// `dropout`, `dropout2d`
    Dropout,
    /// `cross_entropy`
    CrossEntropy,
    /// A scalar from two tensors of one shape.
    PairLoss,
    /// `attention`
    Attention,
    /// `rotary`
    Rotary,
    /// A random tensor of a given shape.
    Draw,
    /// One after the other along an axis.
    Concat,
    /// `ode`
    Ode,
    /// `cnf`
    Cnf,
    /// `varying`
    Varying,
    /// Side by side along a new axis.
    Stack,
    /// Equal parts along an axis.
    Split,
    /// A part along an axis.
    Slice,
    /// Zeros around along an axis.
    Pad,
    /// Neighbouring axes as one.
    Flatten,
    /// The same elements under another shape.
    Reshape,
    /// `one_hot`
    OneHot,
    /// `spline`
    Spline,
    /// `affine`
    Affine,
    /// A map of points with parameters, which has an inverse.
    Bijection,
    /// The numbers of each point in another order.
    Permutation,
    /// `freeze`
    Freeze,
    /// An initialiser, which is no function of tensors.
    Start,
    /// `path`
    Path,
    /// A distance between clouds of points.
    Clouds,
}

impl Rule {
    /// Whether it takes any number of tensors.
    pub fn takes_more(self) -> bool {
        matches!(self, Rule::Concat | Rule::Stack | Rule::Freeze)
    }

    /// Whether a number may stand in the place of one of its tensors, as it may beside an operator.
    pub fn takes_numbers(self) -> bool {
        matches!(self, Rule::Pair | Rule::PairLoss | Rule::Select)
    }

    /// What becomes of the shapes, as the documentation writes it.
    pub fn shapes(self) -> &'static str {
        match self {
            Rule::Map | Rule::Ode | Rule::Along | Rule::Norm | Rule::Dropout => "`[…]` → `[…]`",
            Rule::Pool => "`[…, h]` → `[…, floor_div(h + 2 padding - kernel, stride) + 1]`",
            Rule::Upsample => "`[…, h, w]` → `[…, scale h, scale w]`",
            Rule::ChannelNorm => "`[n, c, …]` → `[n, c, …]`",
            Rule::Pair | Rule::Power => "`[…]`, `[…]` → `[…]`, broadcast",
            Rule::Select => "`[…]` of truth values, `[…]`, `[…]` → `[…]`, broadcast",
            Rule::ToReal => "`[…]` of truth values or indices → `[…]`",
            Rule::Reduce => "`[n, a, d]` → `[n, d]` with `over = a`",
            Rule::Argmax => "`[…, d]` → `[…] in d`",
            Rule::Linear => "`[…, d]` → `[…, width]`",
            Rule::Embedding => "`[…] in d` → `[…, width]`",
            Rule::Gather => "`[d, …]`, `[n] in d` → `[n, …]`",
            Rule::Varying => "`[…]`, `[]` → what the layer gives",
            Rule::Checkpoint => "`[…]` → what the layer gives",
            Rule::Positions => "→ `shape` in `space`",
            Rule::CrossEntropy => "`[…, d]`, `[…] in d` → `[]`",
            Rule::PairLoss => "`[…]`, `[…]` → `[]`",
            Rule::Attention => "`[…, h, t, e]`, `[…, g, s, e]`, `[…, g, s, f]` → `[…, h, t, f]`",
            Rule::Rotary => "`[…, t, e]` → `[…, t, e]`",
            Rule::Draw => "→ `shape`",
            Rule::Affine => "`[…, d]`, `[…, 2 d]` → `[…, d]`, `[…, d]`",
            Rule::Bijection => "`[…, d]` → `[…, d]`, `[…]`",
            Rule::Permutation => "`[…, d]` → `[…, d]`",
            Rule::Spline => "`[…, d]`, `[…, (3K − 1) d]` → `[…, d]`, `[…, d]`",
            Rule::Clouds => "`[n, d]`, `[m, d]` → `[]`",
            Rule::Path => "`[…]` → four `[…]`",
            Rule::Cnf => "`[…, d]` → `[…, d]`, `[…]`",
            Rule::Concat => "`[…, a]`, `[…, b]` → `[…, a + b]`",
            Rule::Conv => "`[n, c, …]` → `[n, channels, …]`",
            Rule::Stack => "`[…]`, `[…]` → `[2, …]`",
            Rule::Split => "`[…, 3 * d]` → three `[…, d]`",
            Rule::Slice => "`[…, d]` → `[…, to - from]`",
            Rule::Pad => "`[…, d]` → `[…, before + d + after]`",
            Rule::Flatten => "`[n, a, b]` → `[n, a * b]`",
            Rule::Reshape => "`[…]` → `shape`",
            Rule::OneHot => "`[…] in d` → `[…, d]`",
            Rule::Freeze => "as the layer",
            Rule::Start => "",
        }
    }
}
