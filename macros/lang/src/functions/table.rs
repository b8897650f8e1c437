//! The table of all functions and layers.

use super::runtime::forms;
use super::{Default, Function, Kind, Parameter, Rule, function};

const fn map(name: &'static str, doc: &'static str) -> Function {
    function(name, &["x"], &[], Rule::Map, doc)
}

const fn map_by(name: &'static str, parameters: &'static [Parameter], doc: &'static str) -> Function {
    function(name, &["x"], parameters, Rule::Map, doc)
}

const fn along(name: &'static str, doc: &'static str) -> Function {
    function(name, &["x"], &[OVER], Rule::Along, doc).typed(forms::ALONG)
}

const fn dropout(name: &'static str, doc: &'static str) -> Function {
    function(name, &["x"], &[P], Rule::Dropout, doc).takes(forms::DROPPED)
}

const fn reduce(name: &'static str, doc: &'static str) -> Function {
    function(name, &["x"], &[OVER], Rule::Reduce, doc).typed(forms::REDUCE)
}

const fn pair(name: &'static str, doc: &'static str) -> Function {
    function(name, &["a", "b"], &[], Rule::Pair, doc)
}

const fn norm(name: &'static str, doc: &'static str) -> Function {
    function(name, &["x"], &[EPS, INIT], Rule::Norm, doc)
}

const fn pool(
    name: &'static str,
    runtime: &'static str,
    parameters: &'static [Parameter],
    doc: &'static str,
) -> Function {
    function(name, &["x"], parameters, Rule::Pool, doc).called(runtime).takes(forms::WINDOWS)
}

const fn channel_norm(name: &'static str, parameters: &'static [Parameter], doc: &'static str) -> Function {
    function(name, &["x"], parameters, Rule::ChannelNorm, doc)
}

const fn number(name: &'static str, default: Default) -> Parameter {
    placed(name, Kind::Number, default)
}

const fn placed(name: &'static str, kind: Kind, default: Default) -> Parameter {
    Parameter { name, kind, positional: true, default }
}

const fn named(name: &'static str, kind: Kind, default: Default) -> Parameter {
    Parameter { name, kind, positional: false, default }
}

const fn conv(name: &'static str, parameters: &'static [Parameter], doc: &'static str) -> Function {
    function(name, &["x"], parameters, Rule::Conv, doc)
}

/// What a gradient through an equation can do with the values between.
const GRADIENTS: &[&str] = &["stored", "recompute", "adjoint"];
const fn extent(name: &'static str) -> Parameter {
    placed(name, Kind::Extent, Default::Required)
}

const INIT: Parameter = named("init", Kind::Start, Default::Absent);
const BIAS: Parameter = named("bias", Kind::Bias, Default::Value("true"));
const EPS: Parameter = named("eps", Kind::Number, Default::Value("1e-5"));
const KERNEL: Parameter = placed("kernel", Kind::Counts, Default::Required);
const STRIDE: Parameter = named("stride", Kind::Counts, Default::Absent);
const PADDING: Parameter = named("padding", Kind::Counts, Default::Value("0"));
const COUNT_INCLUDE_PAD: Parameter = named("count_include_pad", Kind::Flag, Default::Value("true"));
const CHANNELS: Parameter = placed("channels", Kind::Width, Default::Required);
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
const P: Parameter = placed("p", Kind::Probability, Default::Required);
const OVER: Parameter = named("over", Kind::Axes, Default::Absent);
const WIDTH: Parameter = placed("width", Kind::Width, Default::Required);
const SHAPE: Parameter = placed("shape", Kind::Shape, Default::Required);

/// The table.
pub const FUNCTIONS: &[Function] = &[
    map("relu", "The positive part, max(x, 0)."),
    map_by("leaky_relu", &[number("slope", Default::Value("0.01"))], "x where positive, slope · x elsewhere."),
    map("gelu", "x Φ(x) with the exact normal distribution function Φ."),
    map("gelu_tanh", "The tanh form of GELU, as in GPT-2."),
    map("silu", "x σ(x)."),
    map("sigmoid", "σ(x) = 1 / (1 + e⁻ˣ)."),
    map("logit", "ln x − ln(1 − x), the inverse of the sigmoid."),
    map("tanh", "The hyperbolic tangent."),
    map("softplus", "ln(1 + eˣ)."),
    map_by("elu", &[number("alpha", Default::Value("1.0"))], "x where positive, alpha · (eˣ − 1) elsewhere."),
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
    function(
        "pow",
        &["x"],
        &[placed("exponent", Kind::Exponent, Default::Required)],
        Rule::Power,
        "x to a power: a number, or a tensor that broadcasts with x.",
    ),
    map_by(
        "clamp",
        &[number("lo", Default::Required), number("hi", Default::Required)],
        "x, but at least lo and at most hi.",
    ),
    pair("minimum", "The smaller of two, elementwise."),
    pair("maximum", "The larger of two, elementwise."),
    pair("atan2", "The angle of the point (b, a) to the first axis."),
    pair("rem", "What is left of a after whole multiples of b, with the sign of a."),
    function("select", &["condition", "yes", "no"], &[], Rule::Select, "yes where the condition holds, no elsewhere."),
    function("to_real", &["x"], &[], Rule::ToReal, "1 where true, 0 where false; of an index its number."),
    reduce("sum", "The sum, over all axes unless `over` names some."),
    reduce("mean", "The mean, over all axes unless `over` names some."),
    reduce("max", "The largest, over all axes unless `over` names some."),
    reduce("min", "The smallest, over all axes unless `over` names some."),
    function(
        "var",
        &["x"],
        &[OVER, named("unbiased", Kind::Flag, Default::Value("false"))],
        Rule::Reduce,
        "The mean squared deviation; `unbiased = true` divides by one less than the number of elements.",
    )
    .typed(forms::REDUCE),
    reduce("logsumexp", "ln Σ eˣ, without overflow."),
    reduce("normal_log_prob", "The logarithm of the standard normal density, Σ −x²/2 − ln(2π)/2."),
    function(
        "argmax",
        &["x"],
        &[OVER],
        Rule::Argmax,
        "Where the largest stands: an index into the axis (the last unless `over` names one).",
    )
    .typed(forms::ARGMAX),
    along("softmax", "eˣ / Σ eˣ along an axis (the last unless `over` names one)."),
    along("log_softmax", "x − ln Σ eˣ along an axis (the last unless `over` names one)."),
    along("flip", "The elements of an axis in the opposite order (the last unless `over` names one)."),
    function("linear", &["x"], &[WIDTH, BIAS, INIT], Rule::Linear, "x Wᵀ + b on the last axis."),
    function(
        "embedding",
        &["x"],
        &[WIDTH, INIT],
        Rule::Embedding,
        "For each index its row of a table W; `e.project(y)` of an embedding `e` is y Wᵀ, which \
         ties output weights to it.",
    ),
    function("gather", &["table", "index"], &[], Rule::Gather, "The rows of a table at indices into its first axis.")
        .takes(forms::SHAPED),
    function(
        "positions",
        &[],
        &[SHAPE, placed("space", Kind::Width, Default::Required)],
        Rule::Positions,
        "The position along the last axis, 0, 1, 2, …, as an index into a dimension.",
    )
    .takes(forms::POSITIONS),
    norm("layer_norm", "(x − mean) / √(variance + eps) over the last axis, times a weight, plus a bias."),
    norm("rms_norm", "x / √(mean of x² + eps) over the last axis, times a weight."),
    channel_norm(
        "batch_norm",
        &[EPS, named("momentum", Kind::Number, Default::Value("0.1")), INIT],
        "(x − mean) / √(variance + eps) of each channel, times a weight, plus a bias; statistics \
         of the batch in training, running ones elsewhere.",
    ),
    channel_norm(
        "group_norm",
        &[placed("groups", Kind::Count, Default::Required), EPS, INIT],
        "(x − mean) / √(variance + eps) over each group of channels and all axes after them, \
         times a weight, plus a bias.",
    ),
    channel_norm("instance_norm", &[EPS], "(x − mean) / √(variance + eps) of each channel over all axes after it."),
    conv("conv1d", CONV, "A kernel that slides over the last axis; `padding = \"same\"` keeps the size."),
    conv(
        "conv2d",
        CONV,
        "A kernel that slides over rows and columns (cross-correlation); `padding = \"same\"` \
         keeps the size.",
    ),
    conv("conv_transpose1d", CONV_TRANSPOSE, TRANSPOSED),
    conv("conv_transpose2d", CONV_TRANSPOSE, TRANSPOSED),
    pool("max_pool1d", "max_pool", &[KERNEL, STRIDE, PADDING], MAX_POOL),
    pool("max_pool2d", "max_pool", &[KERNEL, STRIDE, PADDING], MAX_POOL),
    pool("avg_pool1d", "avg_pool", &[KERNEL, STRIDE, PADDING, COUNT_INCLUDE_PAD], AVG_POOL),
    pool("avg_pool2d", "avg_pool", &[KERNEL, STRIDE, PADDING, COUNT_INCLUDE_PAD], AVG_POOL),
    function(
        "upsample",
        &["x"],
        &[
            placed("scale", Kind::Count, Default::Value("2")),
            named("mode", Kind::Choice(&["nearest", "bilinear"]), Default::Value("nearest")),
        ],
        Rule::Upsample,
        "Rows and columns `scale` times as many, by repetition or linear interpolation.",
    ),
    dropout("dropout2d", "In training, each channel is 0 with probability p and x / (1 − p) otherwise."),
    function(
        "attention",
        &["q", "k", "v"],
        &[
            named("causal", Kind::Flag, Default::Value("false")),
            named("scale", Kind::Number, Default::Absent),
            named("window", Kind::Count, Default::Absent),
            named("mask", Kind::Tensor, Default::Absent),
            named("lengths", Kind::Tensor, Default::Absent),
            named("start", Kind::Tensor, Default::Absent),
            named("alibi", Kind::Flag, Default::Value("false")),
        ],
        Rule::Attention,
        "softmax(scale · q kᵀ) v in each head, with 1/√e for the scale unless it is given.",
    )
    .takes(forms::ATTENTION),
    function(
        "rotary",
        &["x"],
        &[
            named("base", Kind::Number, Default::Value("10000")),
            named("interleaved", Kind::Flag, Default::Value("false")),
            named("start", Kind::Tensor, Default::Absent),
        ],
        Rule::Rotary,
        "Pairs of numbers of the last axis turned by their position along the one before.",
    ),
    function(
        "freeze",
        &["x"],
        &[placed("layer", Kind::Layer, Default::Required)],
        Rule::Freeze,
        "The layer, whose parameters keep their values in training; the gradient goes through it to x.",
    ),
    dropout("dropout", "In training, each element is 0 with probability p and x / (1 − p) otherwise."),
    function(
        "cross_entropy",
        &["logits", "target"],
        &[
            named("weights", Kind::Tensor, Default::Absent),
            named("ignore", Kind::Count, Default::Absent),
            named("label_smoothing", Kind::Probability, Default::Value("0.0")),
        ],
        Rule::CrossEntropy,
        "The mean of −ln softmax(logits)[target].",
    )
    .takes(forms::CROSS_ENTROPY),
    function("mse", &["a", "b"], &[], Rule::PairLoss, "The mean of (a − b)²."),
    function(
        "bce_with_logits",
        &["logits", "target"],
        &[],
        Rule::PairLoss,
        "The mean of −t ln σ(x) − (1 − t) ln(1 − σ(x)).",
    ),
    function("normal", &[], &[SHAPE], Rule::Draw, "Draws from the standard normal distribution.").takes(forms::DRAWN),
    function("uniform", &[], &[SHAPE], Rule::Draw, "Draws uniformly from [0, 1).").takes(forms::DRAWN),
    function(
        "bernoulli",
        &[],
        &[SHAPE, placed("p", Kind::Number, Default::Value("0.5"))],
        Rule::Draw,
        "1 with probability p, 0 otherwise.",
    )
    .takes(forms::DRAWN),
    function(
        "concat",
        &["a", "b"],
        &[OVER],
        Rule::Concat,
        "Tensors one after the other along the last axis, or the axis `over`.",
    )
    .takes(forms::LIST),
    function("stack", &["a", "b"], &[], Rule::Stack, "Tensors of one shape side by side along a new first axis."),
    function(
        "split",
        &["x"],
        &[placed("parts", Kind::Count, Default::Required), OVER],
        Rule::Split,
        "Equal parts along the last axis, or the axis `over`: `let (q, k, v) = x |> split(3);`.",
    ),
    function(
        "slice",
        &["x"],
        &[extent("from"), extent("to"), OVER],
        Rule::Slice,
        "The part from the place `from` up to the place `to`, which is the first one left out.",
    )
    .takes(forms::CUT),
    function(
        "pad",
        &["x"],
        &[extent("before"), extent("after"), OVER],
        Rule::Pad,
        "Zeros before and after along the last axis, or the axis `over`.",
    )
    .takes(forms::CUT),
    function(
        "flatten",
        &["x"],
        &[OVER],
        Rule::Flatten,
        "All axes but the first as one, or the neighbouring axes `over`.",
    ),
    function(
        "reshape",
        &["x"],
        &[SHAPE],
        Rule::Reshape,
        "The same elements in the same order under a shape that holds as many.",
    ),
    function("rename", &["x"], &[SHAPE], Rule::Reshape, "The same tensor with other dimensions of the same sizes."),
    function("one_hot", &["x"], &[], Rule::OneHot, "A row for each index, with 1 at the index and 0 elsewhere.")
        .takes(forms::ERASED),
    function(
        "ode",
        &["x"],
        &[
            named("s", Kind::Span, Default::Required),
            named("by", Kind::Method, Default::Required),
            named("gradient", Kind::Choice(GRADIENTS), Default::Value("stored")),
            placed("field", Kind::Field, Default::Required),
        ],
        Rule::Ode,
        "The solution of dx/ds = field(x, s) at the end of the range `s`, by a method in equal steps.",
    ),
    function(
        "cnf",
        &["x"],
        &[
            named("s", Kind::Span, Default::Required),
            named("by", Kind::Method, Default::Required),
            named("gradient", Kind::Choice(GRADIENTS), Default::Value("stored")),
            named("trace", Kind::Choice(&["exact", "hutchinson"]), Default::Value("exact")),
            placed("field", Kind::Field, Default::Required),
        ],
        Rule::Cnf,
        "The same solution z, and for each point along the last axis the logarithm of the \
         determinant of ∂z/∂x.",
    ),
    function(
        "varying",
        &["x", "s"],
        &[
            named("between", Kind::Choice(&["linear", "constant"]), Default::Value("linear")),
            named("span", Kind::Span, Default::Value("0..1")),
            placed("layers", Kind::Layer, Default::Required),
        ],
        Rule::Varying,
        "What a layer gives whose parameters at the time s lie between those of equal layers, \
         spread over `span`.",
    ),
    function(
        "checkpoint",
        &["x"],
        &[placed("layer", Kind::Layer, Default::Required)],
        Rule::Checkpoint,
        "What the layer gives for x; its derivative keeps x alone and computes the layer again.",
    ),
    function(
        "path",
        &["s"],
        &[named("kind", Kind::Choice(&["linear", "cosine", "variance_preserving"]), Default::Value("linear"))],
        Rule::Path,
        "α and σ of the path x = α x₁ + σ x₀ from noise x₀ at s = 0 to data x₁ at s = 1, then \
         their derivatives by s.",
    )
    .takes(forms::PATH)
    .of("flow"),
    function(
        "sinkhorn_divergence",
        &["x", "y"],
        &[named("epsilon", Kind::Number, Default::Value("0.05")), named("turns", Kind::Count, Default::Value("100"))],
        Rule::Clouds,
        "OT(x, y) − ½ OT(x, x) − ½ OT(y, y) between clouds of points, by entropic transport with \
         half the squared distance as cost.",
    )
    .of("transport"),
    function(
        "sliced_wasserstein",
        &["x", "y"],
        &[named("directions", Kind::Count, Default::Value("50"))],
        Rule::Clouds,
        "The squared distance of transport along a line, a mean over drawn directions, between \
         clouds of equally many points.",
    )
    .called("sliced_wasserstein_loss")
    .of("transport")
    .takes(forms::DROPPED),
    function(
        "spline",
        &["x", "parameters"],
        &[named("bound", Kind::Number, Default::Value("3.0")), named("inverse", Kind::Flag, Default::Value("false"))],
        Rule::Spline,
        "A monotone spline of K rational quadratics between −bound and bound (or its inverse), \
         and the logarithm of its slope.",
    ),
    function(
        "affine",
        &["x", "parameters"],
        &[named("inverse", Kind::Flag, Default::Value("false"))],
        Rule::Affine,
        "eᵃ x + b (or its inverse), and the logarithm of its slope; the parameters of each number \
         are b and what a is made of.",
    ),
    function(
        "coupling",
        &["x"],
        &[
            placed("conditioner", Kind::Layer, Default::Absent),
            named("hidden", Kind::Counts, Default::Absent),
            named("act", Kind::Layer, Default::Absent),
            named("bins", Kind::Count, Default::Absent),
            named("bound", Kind::Number, Default::Value("3.0")),
        ],
        Rule::Bijection,
        "The first half of each point stays, and says by the conditioner how the second is \
         mapped: affinely, or by splines of so many bins. With the logarithm of the determinant.",
    ),
    function(
        "autoregressive",
        &["x"],
        &[
            named("hidden", Kind::Counts, Default::Required),
            named("act", Kind::Layer, Default::Absent),
            named("bins", Kind::Count, Default::Absent),
            named("bound", Kind::Number, Default::Value("3.0")),
        ],
        Rule::Bijection,
        "Each number is mapped as those before it say, by masked layers of the widths `hidden` \
         (MADE). With the logarithm of the determinant.",
    ),
    function(
        "actnorm",
        &["x"],
        &[],
        Rule::Bijection,
        "An affine map of each feature that starts from the first batch's mean and deviation. \
         With the logarithm of the determinant.",
    ),
    function(
        "invertible_linear",
        &["x"],
        &[],
        Rule::Bijection,
        "L U x on the last axis, an invertible 1×1 convolution. With the logarithm of the determinant.",
    ),
    function("reverse", &["x"], &[], Rule::Permutation, "The numbers of each point from the last to the first."),
    function(
        "shuffle",
        &["x"],
        &[named("seed", Kind::Count, Default::Value("0"))],
        Rule::Permutation,
        "The numbers of each point in an order that the seed decides.",
    ),
];
