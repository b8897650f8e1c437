//! Named and positional arguments of other libraries.

use super::Named;

const fn named(names: &'static [&'static str], mend: &'static str) -> Named {
    Named { names, mend }
}

/// Names of arguments.
pub const PARAMETERS: &[Named] = &[
    named(&["dim", "axis", "dims", "axes"], "an axis is named: `over = t`, by its label or its dimension"),
    named(&["keepdim", "keepdims"], "a pattern keeps an axis of size 1: `mean([n, t, d] -> [n, 1, d])`"),
    named(&["kernel_size", "filter_size", "pool_size"], "write `kernel = 3`"),
    named(&["strides"], "write `stride = 2`"),
    named(&["dilation_rate"], "write `dilation = 2`"),
    named(
        &["in_features", "in_channels", "num_features", "normalized_shape", "input_shape", "input_dim"],
        "leave it out: a layer reads it off what it is given",
    ),
    named(&["out_features", "units", "features"], "it comes by position: `linear(64)`"),
    named(&["out_channels", "filters"], "it comes by position: `conv2d(64)`"),
    named(&["num_embeddings", "vocab_size"], "leave it out: the indices say it, `tokens: [n, t] in Word`"),
    named(&["embedding_dim", "embed_dim"], "it comes by position: `embedding(64)`"),
    named(&["use_bias"], "write `bias = false`"),
    named(&["num_groups", "feature_group_count"], "write `groups = 4`"),
    named(&["activation", "act_fn"], "an activation is a stage of its own: `x |> linear(64) |> relu`"),
    named(&["name"], "a label names a part: `x |> hidden: linear(64)`"),
    named(&["rate", "drop_prob"], "it comes by position: `dropout(0.1)`"),
    named(&["negative_slope"], "write `slope = 0.01`"),
    named(&["approximate"], "the tanh form has a name of its own: `gelu_tanh`"),
    named(&["scale_factor"], "write `scale = 2`"),
    named(&["epsilon"], "write `eps = 1e-5`"),
    named(&["ignore_index"], "write `ignore = 0`"),
    named(&["weight", "class_weight"], "write `weights = w`, with a tensor of one number for each class"),
    named(&["is_causal", "use_causal_mask"], "write `causal = true`"),
    named(
        &["attn_mask", "key_padding_mask"],
        "write `mask = m`, a tensor that is added to the scores, or `lengths = l`",
    ),
    named(&["dropout_p", "dropout_rate", "dropout"], "dropout is a stage of its own: `x |> dropout(0.1)`"),
    named(&["num_heads"], "split the heads by a pattern: `x |> [n, t, (heads e)] -> [n, heads, t, e]`"),
    named(&["padding_mode"], "padding is zeros; other values come by `concat` of slices"),
    named(
        &["reduction"],
        "the result is the mean over all; without it, write the formula: `-sum(one_hot(y) * log_softmax(x), over = Class)`",
    ),
    named(&["inplace"], "leave it out: nothing changes in a net, and memory is planned when it is compiled"),
    named(&["dtype", "device"], "leave it out: the element type is chosen in Rust, `Mlp::<f64>::init(0)`"),
    named(&["training"], "leave it out: dropout and batch statistics act in training by themselves"),
    named(&["unbiased_var", "correction", "ddof"], "write `unbiased = true`"),
    named(&["min", "max"], "the bounds come by position: `clamp(x, -1, 1)`"),
    named(&["kernel_initializer", "weight_init"], "write `init = xavier_uniform`"),
    named(&["batch_first"], "leave it out: the axes have names, in the order that the signature gives them"),
];

/// What a function is given by position elsewhere.
pub const PLACES: &[Named] = &[
    named(&["linear"], "the width of the input is read off it, and the layer is given its own alone: `linear(64)`"),
    named(
        &["conv1d", "conv2d", "conv_transpose1d", "conv_transpose2d"],
        "the channels of the input are read off it, and all but the channels of the layer is named: `conv2d(64, kernel = 3)`",
    ),
    named(
        &["embedding"],
        "how many there are is said by the indices, and the layer is given its width alone: `embedding(64)`",
    ),
    named(
        &["layer_norm", "rms_norm", "batch_norm", "instance_norm"],
        "the size is read off what it is given: leave it out",
    ),
    named(
        &["flatten"],
        "it keeps the first axis and merges the others; `flatten(over = (h, w))` names neighbouring axes",
    ),
    named(
        &["softmax", "log_softmax", "sum", "mean", "var", "argmax", "concat", "split"],
        "an axis is named: `over = t`",
    ),
    named(
        &["max", "min"],
        "`maximum(a, b)` and `minimum(a, b)` take two, elementwise; an axis is named: `max(x, over = t)`",
    ),
];
