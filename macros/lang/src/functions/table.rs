//! The table of all functions and layers.

use super::{Default, Function, Kind, Parameter, Rule};

const fn map(name: &'static str, doc: &'static str) -> Function {
    Function { name, tensors: &["x"], parameters: &[], rule: Rule::Map, doc }
}

const fn reduce(name: &'static str, doc: &'static str) -> Function {
    Function { name, tensors: &["x"], parameters: &[OVER], rule: Rule::Reduce, doc }
}

const fn pair(name: &'static str, doc: &'static str) -> Function {
    Function { name, tensors: &["a", "b"], parameters: &[], rule: Rule::Pair, doc }
}

const fn norm(name: &'static str, doc: &'static str) -> Function {
    Function { name, tensors: &["x"], parameters: &[EPS, INIT], rule: Rule::Norm, doc }
}

const fn pool(name: &'static str, parameters: &'static [Parameter], doc: &'static str) -> Function {
    Function { name, tensors: &["x"], parameters, rule: Rule::Pool, doc }
}

const fn channel_norm(name: &'static str, parameters: &'static [Parameter], doc: &'static str) -> Function {
    Function { name, tensors: &["x"], parameters, rule: Rule::ChannelNorm, doc }
}

const fn number(name: &'static str, default: Default) -> Parameter {
    Parameter { name, kind: Kind::Number, positional: true, default }
}

const fn named(name: &'static str, kind: Kind, default: Default) -> Parameter {
    Parameter { name, kind, positional: false, default }
}

const fn conv(name: &'static str, parameters: &'static [Parameter], doc: &'static str) -> Function {
    Function { name, tensors: &["x"], parameters, rule: Rule::Conv, doc }
}

/// What a gradient through an equation can do with the values between.
const GRADIENTS: &[&str] = &["stored", "recompute", "adjoint"];
const fn extent(name: &'static str) -> Parameter {
    Parameter { name, kind: Kind::Extent, positional: true, default: Default::Required }
}

const INIT: Parameter = named("init", Kind::Start, Default::Absent);
const BIAS: Parameter = named("bias", Kind::Bias, Default::Value("true"));
const EPS: Parameter = named("eps", Kind::Number, Default::Value("1e-5"));
const KERNEL: Parameter =
    Parameter { name: "kernel", kind: Kind::Counts, positional: true, default: Default::Required };
const STRIDE: Parameter = named("stride", Kind::Counts, Default::Absent);
const PADDING: Parameter = named("padding", Kind::Counts, Default::Value("0"));
const COUNT_INCLUDE_PAD: Parameter = named("count_include_pad", Kind::Flag, Default::Value("true"));
const CHANNELS: Parameter =
    Parameter { name: "channels", kind: Kind::Width, positional: true, default: Default::Required };
const TAPS: Parameter = named("kernel", Kind::Counts, Default::Value("3"));
const STEP: Parameter = named("stride", Kind::Counts, Default::Value("1"));
const DILATION: Parameter = named("dilation", Kind::Counts, Default::Value("1"));
const GROUPS: Parameter = named("groups", Kind::Count, Default::Value("1"));
const CONV: &[Parameter] =
    &[CHANNELS, TAPS, STEP, named("padding", Kind::Padding, Default::Value("0")), DILATION, GROUPS, BIAS, INIT];
const CONV_TRANSPOSE: &[Parameter] = &[
    CHANNELS,
    TAPS,
    STEP,
    PADDING,
    named("output_padding", Kind::Counts, Default::Value("0")),
    DILATION,
    GROUPS,
    BIAS,
    INIT,
];
const TRANSPOSED: &str =
    "The transpose of such a convolution: each position lays its multiple of the kernel down, and they are added.";
const MAX_POOL: &str = "The largest of each window; the stride is the kernel unless given.";
const AVG_POOL: &str = "The mean of each window; the stride is the kernel unless given.";
const OVER: Parameter = named("over", Kind::Axes, Default::Absent);
const WIDTH: Parameter = Parameter { name: "width", kind: Kind::Width, positional: true, default: Default::Required };
const SHAPE: Parameter = Parameter { name: "shape", kind: Kind::Shape, positional: true, default: Default::Required };

/// The table.
pub const FUNCTIONS: &[Function] = &[
    map("relu", "The positive part, max(x, 0)."),
    Function {
        name: "leaky_relu",
        tensors: &["x"],
        parameters: &[number("slope", Default::Value("0.01"))],
        rule: Rule::Map,
        doc: "x where positive, slope · x elsewhere.",
    },
    map("gelu", "x Φ(x) with the exact normal distribution function Φ."),
    map("gelu_tanh", "The tanh form of GELU, as in GPT-2."),
    map("silu", "x σ(x)."),
    map("sigmoid", "σ(x) = 1 / (1 + e⁻ˣ)."),
    map("logit", "ln x − ln(1 − x), the inverse of the sigmoid."),
    map("tanh", "The hyperbolic tangent."),
    map("softplus", "ln(1 + eˣ)."),
    Function {
        name: "elu",
        tensors: &["x"],
        parameters: &[number("alpha", Default::Value("1.0"))],
        rule: Rule::Map,
        doc: "x where positive, alpha · (eˣ − 1) elsewhere.",
    },
    map("exp", "eˣ."),
    map("ln", "The natural logarithm."),
    map("log1p", "ln(1 + x), exact near 0."),
    map("expm1", "eˣ − 1, exact near 0."),
    map("sqrt", "The square root."),
    map("rsqrt", "1 / √x."),
    map("square", "x²."),
    map("sin", "The sine."),
    map("cos", "The cosine."),
    map("erf", "The error function."),
    map("abs", "The absolute value."),
    map("sign", "−1, 0 or 1."),
    map("recip", "1 / x."),
    map("atan", "The angle whose tangent is x, between −π/2 and π/2."),
    map("log2", "The logarithm to base 2."),
    map("exp2", "2ˣ."),
    map("floor", "The greatest whole number that is not above x."),
    map("round", "The nearest whole number, of two equally near ones the even one."),
    map("ceil", "The least whole number that is not below x."),
    map("cbrt", "The cube root."),
    map("asinh", "The inverse of sinh."),
    map("acosh", "The positive inverse of cosh, for x from 1."),
    map("atanh", "The inverse of tanh, for x between −1 and 1."),
    map("sinh", "(eˣ − e⁻ˣ) / 2."),
    map("cosh", "(eˣ + e⁻ˣ) / 2."),
    map("tan", "tan x, x in radians."),
    map("asin", "The angle whose sine is x, between −π/2 and π/2."),
    map("acos", "The angle whose cosine is x, between 0 and π."),
    Function {
        name: "pow",
        tensors: &["x"],
        parameters: &[Parameter {
            name: "exponent",
            kind: Kind::Exponent,
            positional: true,
            default: Default::Required,
        }],
        rule: Rule::Power,
        doc: "x to a power: a number, or a tensor that broadcasts with x.",
    },
    Function {
        name: "clamp",
        tensors: &["x"],
        parameters: &[number("lo", Default::Required), number("hi", Default::Required)],
        rule: Rule::Map,
        doc: "x, but at least lo and at most hi.",
    },
    pair("minimum", "The smaller of two, elementwise."),
    pair("maximum", "The larger of two, elementwise."),
    pair("atan2", "The angle of the point (b, a) to the first axis."),
    pair("rem", "What is left of a after whole multiples of b, with the sign of a."),
    Function {
        name: "select",
        tensors: &["condition", "yes", "no"],
        parameters: &[],
        rule: Rule::Select,
        doc: "yes where the condition holds, no elsewhere.",
    },
    Function {
        name: "to_real",
        tensors: &["x"],
        parameters: &[],
        rule: Rule::ToReal,
        doc: "1 where true, 0 where false; of an index its number.",
    },
    reduce("sum", "The sum, over all axes unless `over` names some."),
    reduce("mean", "The mean, over all axes unless `over` names some."),
    reduce("max", "The largest, over all axes unless `over` names some."),
    reduce("min", "The smallest, over all axes unless `over` names some."),
    Function {
        name: "var",
        tensors: &["x"],
        parameters: &[OVER, named("unbiased", Kind::Flag, Default::Value("false"))],
        rule: Rule::Reduce,
        doc: "The mean squared deviation; `unbiased = true` divides by one less than the number of elements.",
    },
    reduce("logsumexp", "ln Σ eˣ, without overflow."),
    reduce("normal_log_prob", "The logarithm of the standard normal density, Σ −x²/2 − ln(2π)/2."),
    Function {
        name: "argmax",
        tensors: &["x"],
        parameters: &[OVER],
        rule: Rule::Argmax,
        doc: "Where the largest stands: an index into the axis (the last unless `over` names one).",
    },
    Function {
        name: "softmax",
        tensors: &["x"],
        parameters: &[OVER],
        rule: Rule::Along,
        doc: "eˣ / Σ eˣ along an axis (the last unless `over` names one).",
    },
    Function {
        name: "log_softmax",
        tensors: &["x"],
        parameters: &[OVER],
        rule: Rule::Along,
        doc: "x − ln Σ eˣ along an axis (the last unless `over` names one).",
    },
    Function {
        name: "linear",
        tensors: &["x"],
        parameters: &[WIDTH, BIAS, INIT],
        rule: Rule::Linear,
        doc: "x Wᵀ + b on the last axis.",
    },
    Function {
        name: "embedding",
        tensors: &["x"],
        parameters: &[WIDTH, INIT],
        rule: Rule::Embedding,
        doc: "For each index its row of a table W; `e.project(y)` of an embedding `e` is y Wᵀ, which ties output weights to it.",
    },
    Function {
        name: "gather",
        tensors: &["table", "index"],
        parameters: &[],
        rule: Rule::Gather,
        doc: "The rows of a table at indices into its first axis.",
    },
    Function {
        name: "positions",
        tensors: &[],
        parameters: &[
            SHAPE,
            Parameter { name: "space", kind: Kind::Width, positional: true, default: Default::Required },
        ],
        rule: Rule::Positions,
        doc: "The position along the last axis, 0, 1, 2, …, as an index into a dimension.",
    },
    norm("layer_norm", "(x − mean) / √(variance + eps) over the last axis, times a weight, plus a bias."),
    norm("rms_norm", "x / √(mean of x² + eps) over the last axis, times a weight."),
    channel_norm(
        "batch_norm",
        &[EPS, named("momentum", Kind::Number, Default::Value("0.1")), INIT],
        "(x − mean) / √(variance + eps) of each channel, times a weight, plus a bias; statistics of the batch in training, running ones elsewhere.",
    ),
    channel_norm(
        "group_norm",
        &[Parameter { name: "groups", kind: Kind::Count, positional: true, default: Default::Required }, EPS, INIT],
        "(x − mean) / √(variance + eps) over each group of channels and all axes after them, times a weight, plus a bias.",
    ),
    channel_norm("instance_norm", &[EPS], "(x − mean) / √(variance + eps) of each channel over all axes after it."),
    conv("conv1d", CONV, "A kernel that slides over the last axis; `padding = \"same\"` keeps the size."),
    conv(
        "conv2d",
        CONV,
        "A kernel that slides over rows and columns (cross-correlation); `padding = \"same\"` keeps the size.",
    ),
    conv("conv_transpose1d", CONV_TRANSPOSE, TRANSPOSED),
    conv("conv_transpose2d", CONV_TRANSPOSE, TRANSPOSED),
    pool("max_pool1d", &[KERNEL, STRIDE, PADDING], MAX_POOL),
    pool("max_pool2d", &[KERNEL, STRIDE, PADDING], MAX_POOL),
    pool("avg_pool1d", &[KERNEL, STRIDE, PADDING, COUNT_INCLUDE_PAD], AVG_POOL),
    pool("avg_pool2d", &[KERNEL, STRIDE, PADDING, COUNT_INCLUDE_PAD], AVG_POOL),
    Function {
        name: "upsample",
        tensors: &["x"],
        parameters: &[
            Parameter { name: "scale", kind: Kind::Count, positional: true, default: Default::Value("2") },
            named("mode", Kind::Choice(&["nearest", "bilinear"]), Default::Value("nearest")),
        ],
        rule: Rule::Upsample,
        doc: "Rows and columns `scale` times as many, by repetition or linear interpolation.",
    },
    Function {
        name: "dropout2d",
        tensors: &["x"],
        parameters: &[Parameter { name: "p", kind: Kind::Probability, positional: true, default: Default::Required }],
        rule: Rule::Dropout,
        doc: "In training, each channel is 0 with probability p and x / (1 − p) otherwise.",
    },
    Function {
        name: "attention",
        tensors: &["q", "k", "v"],
        parameters: &[
            named("causal", Kind::Flag, Default::Value("false")),
            named("scale", Kind::Number, Default::Absent),
            named("window", Kind::Count, Default::Absent),
            named("mask", Kind::Tensor, Default::Absent),
            named("lengths", Kind::Tensor, Default::Absent),
            named("start", Kind::Tensor, Default::Absent),
            named("alibi", Kind::Flag, Default::Value("false")),
        ],
        rule: Rule::Attention,
        doc: "softmax(scale · q kᵀ) v in each head, with 1/√e for the scale unless it is given.",
    },
    Function {
        name: "rotary",
        tensors: &["x"],
        parameters: &[
            named("base", Kind::Number, Default::Value("10000")),
            named("interleaved", Kind::Flag, Default::Value("false")),
            named("start", Kind::Tensor, Default::Absent),
        ],
        rule: Rule::Rotary,
        doc: "Pairs of numbers of the last axis turned by their position along the one before.",
    },
    Function {
        name: "freeze",
        tensors: &["x"],
        parameters: &[Parameter { name: "layer", kind: Kind::Layer, positional: true, default: Default::Required }],
        rule: Rule::Freeze,
        doc: "The layer, whose parameters keep their values in training; the gradient goes through it to x.",
    },
    Function {
        name: "dropout",
        tensors: &["x"],
        parameters: &[Parameter { name: "p", kind: Kind::Probability, positional: true, default: Default::Required }],
        rule: Rule::Dropout,
        doc: "In training, each element is 0 with probability p and x / (1 − p) otherwise.",
    },
    Function {
        name: "cross_entropy",
        tensors: &["logits", "target"],
        parameters: &[
            named("weights", Kind::Tensor, Default::Absent),
            named("ignore", Kind::Count, Default::Absent),
            named("label_smoothing", Kind::Probability, Default::Value("0.0")),
        ],
        rule: Rule::CrossEntropy,
        doc: "The mean of −ln softmax(logits)[target].",
    },
    Function {
        name: "mse", tensors: &["a", "b"], parameters: &[], rule: Rule::PairLoss, doc: "The mean of (a − b)²."
    },
    Function {
        name: "bce_with_logits",
        tensors: &["logits", "target"],
        parameters: &[],
        rule: Rule::PairLoss,
        doc: "The mean of −t ln σ(x) − (1 − t) ln(1 − σ(x)).",
    },
    Function {
        name: "normal",
        tensors: &[],
        parameters: &[SHAPE],
        rule: Rule::Draw,
        doc: "Draws from the standard normal distribution.",
    },
    Function {
        name: "uniform",
        tensors: &[],
        parameters: &[SHAPE],
        rule: Rule::Draw,
        doc: "Draws uniformly from [0, 1).",
    },
    Function {
        name: "bernoulli",
        tensors: &[],
        parameters: &[
            SHAPE,
            Parameter { name: "p", kind: Kind::Number, positional: true, default: Default::Value("0.5") },
        ],
        rule: Rule::Draw,
        doc: "1 with probability p, 0 otherwise.",
    },
    Function {
        name: "concat",
        tensors: &["a", "b"],
        parameters: &[OVER],
        rule: Rule::Concat,
        doc: "Tensors one after the other along the last axis, or the axis `over`.",
    },
    Function {
        name: "stack",
        tensors: &["a", "b"],
        parameters: &[],
        rule: Rule::Stack,
        doc: "Tensors of one shape side by side along a new first axis.",
    },
    Function {
        name: "split",
        tensors: &["x"],
        parameters: &[
            Parameter { name: "parts", kind: Kind::Count, positional: true, default: Default::Required },
            OVER,
        ],
        rule: Rule::Split,
        doc: "Equal parts along the last axis, or the axis `over`: `let (q, k, v) = x |> split(3);`.",
    },
    Function {
        name: "slice",
        tensors: &["x"],
        parameters: &[extent("from"), extent("to"), OVER],
        rule: Rule::Slice,
        doc: "The part from the place `from` up to the place `to`, which is the first one left out.",
    },
    Function {
        name: "pad",
        tensors: &["x"],
        parameters: &[extent("before"), extent("after"), OVER],
        rule: Rule::Pad,
        doc: "Zeros before and after along the last axis, or the axis `over`.",
    },
    Function {
        name: "flatten",
        tensors: &["x"],
        parameters: &[OVER],
        rule: Rule::Flatten,
        doc: "All axes but the first as one, or the neighbouring axes `over`.",
    },
    Function {
        name: "reshape",
        tensors: &["x"],
        parameters: &[SHAPE],
        rule: Rule::Reshape,
        doc: "The same elements in the same order under a shape that holds as many.",
    },
    Function {
        name: "rename",
        tensors: &["x"],
        parameters: &[SHAPE],
        rule: Rule::Reshape,
        doc: "The same tensor with other dimensions of the same sizes.",
    },
    Function {
        name: "one_hot",
        tensors: &["x"],
        parameters: &[],
        rule: Rule::OneHot,
        doc: "A row for each index, with 1 at the index and 0 elsewhere.",
    },
    Function {
        name: "ode",
        tensors: &["x"],
        parameters: &[
            named("s", Kind::Span, Default::Required),
            named("by", Kind::Method, Default::Required),
            named("gradient", Kind::Choice(GRADIENTS), Default::Value("stored")),
            Parameter { name: "field", kind: Kind::Field, positional: true, default: Default::Required },
        ],
        rule: Rule::Ode,
        doc: "The solution of dx/ds = field(x, s) at the end of the range `s`, by a method in equal steps.",
    },
    Function {
        name: "cnf",
        tensors: &["x"],
        parameters: &[
            named("s", Kind::Span, Default::Required),
            named("by", Kind::Method, Default::Required),
            named("gradient", Kind::Choice(GRADIENTS), Default::Value("stored")),
            named("trace", Kind::Choice(&["exact", "hutchinson"]), Default::Value("exact")),
            Parameter { name: "field", kind: Kind::Field, positional: true, default: Default::Required },
        ],
        rule: Rule::Cnf,
        doc: "The same solution z, and for each point along the last axis the logarithm of the determinant of ∂z/∂x.",
    },
    Function {
        name: "varying",
        tensors: &["x", "s"],
        parameters: &[
            named("between", Kind::Choice(&["linear", "constant"]), Default::Value("linear")),
            named("span", Kind::Span, Default::Value("0..1")),
            Parameter { name: "layers", kind: Kind::Layer, positional: true, default: Default::Required },
        ],
        rule: Rule::Varying,
        doc: "What a layer gives whose parameters at the time s lie between those of equal layers, spread over `span`.",
    },
    Function {
        name: "checkpoint",
        tensors: &["x"],
        parameters: &[Parameter { name: "layer", kind: Kind::Layer, positional: true, default: Default::Required }],
        rule: Rule::Checkpoint,
        doc: "What the layer gives for x; its derivative keeps x alone and computes the layer again.",
    },
    Function {
        name: "path",
        tensors: &["s"],
        parameters: &[named(
            "kind",
            Kind::Choice(&["linear", "cosine", "variance_preserving"]),
            Default::Value("linear"),
        )],
        rule: Rule::Path,
        doc: "α and σ of the path x = α x₁ + σ x₀ from noise x₀ at s = 0 to data x₁ at s = 1, then their derivatives by s.",
    },
    Function {
        name: "sinkhorn_divergence",
        tensors: &["x", "y"],
        parameters: &[
            named("epsilon", Kind::Number, Default::Value("0.05")),
            named("turns", Kind::Count, Default::Value("100")),
        ],
        rule: Rule::Clouds,
        doc: "OT(x, y) − ½ OT(x, x) − ½ OT(y, y) between clouds of points, by entropic transport with half the squared distance as cost.",
    },
    Function {
        name: "sliced_wasserstein",
        tensors: &["x", "y"],
        parameters: &[named("directions", Kind::Count, Default::Value("50"))],
        rule: Rule::Clouds,
        doc: "The squared distance of transport along a line, a mean over drawn directions, between clouds of equally many points.",
    },
    Function {
        name: "spline",
        tensors: &["x", "parameters"],
        parameters: &[
            named("bound", Kind::Number, Default::Value("3.0")),
            named("inverse", Kind::Flag, Default::Value("false")),
        ],
        rule: Rule::Spline,
        doc: "A monotone spline of K rational quadratics between −bound and bound (or its inverse), and the logarithm of its slope.",
    },
    Function {
        name: "affine",
        tensors: &["x", "parameters"],
        parameters: &[named("inverse", Kind::Flag, Default::Value("false"))],
        rule: Rule::Affine,
        doc: "eᵃ x + b (or its inverse), and the logarithm of its slope; the parameters of each number are b and what a is made of.",
    },
    Function {
        name: "coupling",
        tensors: &["x"],
        parameters: &[
            Parameter { name: "conditioner", kind: Kind::Layer, positional: true, default: Default::Absent },
            named("hidden", Kind::Counts, Default::Absent),
            named("act", Kind::Layer, Default::Absent),
            named("bins", Kind::Count, Default::Absent),
            named("bound", Kind::Number, Default::Value("3.0")),
        ],
        rule: Rule::Bijection,
        doc: "The first half of each point stays, and says by the conditioner how the second is mapped: affinely, or by splines of so many bins. With the logarithm of the determinant.",
    },
    Function {
        name: "autoregressive",
        tensors: &["x"],
        parameters: &[
            named("hidden", Kind::Counts, Default::Required),
            named("act", Kind::Layer, Default::Absent),
            named("bins", Kind::Count, Default::Absent),
            named("bound", Kind::Number, Default::Value("3.0")),
        ],
        rule: Rule::Bijection,
        doc: "Each number is mapped as those before it say, by masked layers of the widths `hidden` (MADE). With the logarithm of the determinant.",
    },
    Function {
        name: "actnorm",
        tensors: &["x"],
        parameters: &[],
        rule: Rule::Bijection,
        doc: "An affine map of each feature that starts from the first batch's mean and deviation. With the logarithm of the determinant.",
    },
    Function {
        name: "invertible_linear",
        tensors: &["x"],
        parameters: &[],
        rule: Rule::Bijection,
        doc: "L U x on the last axis, an invertible 1×1 convolution. With the logarithm of the determinant.",
    },
    Function {
        name: "reverse",
        tensors: &["x"],
        parameters: &[],
        rule: Rule::Permutation,
        doc: "The numbers of each point from the last to the first.",
    },
    Function {
        name: "shuffle",
        tensors: &["x"],
        parameters: &[named("seed", Kind::Count, Default::Value("0"))],
        rule: Rule::Permutation,
        doc: "The numbers of each point in an order that the seed decides.",
    },
];
