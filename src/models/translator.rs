//! The transformer of Vaswani et al. (2017): an encoder that reads a text, and a decoder that writes another one while it
//! looks at the first.

use crate::net;

net! {
    /// Attention of several heads from `x` to those places of `source` that `seen` tells.
    net Attention(x: [n, t, d], source: [n, s, d], seen: [n, s]; heads: usize) -> [n, t, d] where heads | d {
        let q = x |> query: linear(d) |> [n, t, (heads e)] -> [n, heads, t, e];
        let k = source |> key: linear(d) |> [n, s, (heads e)] -> [n, heads, s, e];
        let v = source |> value: linear(d) |> [n, s, (heads e)] -> [n, heads, s, e];
        attention(q, k, v, mask = seen > 0.5) |> [n, heads, t, e] -> [n, t, (heads e)] |> output: linear(d)
    }

    /// Attention of several heads to what stands before.
    net Causal(x: [n, t, d]; heads: usize) -> [n, t, d] where heads | d {
        let by_head = |z| z |> [n, t, (heads e)] -> [n, heads, t, e];
        let (q, k, v) = (x |> query: linear(d), x |> key: linear(d), x |> value: linear(d));
        attention(by_head(q), by_head(k), by_head(v), causal = true)
            |> [n, heads, t, e] -> [n, t, (heads e)] |> output: linear(d)
    }

    net Perceptron(x: [n, t, d]; hidden: usize) -> [n, t, d] { x |> up: linear(hidden) |> relu |> down: linear(d) }

    /// One layer of the encoder. Norms stand behind each sum.
    pub net Encode(x: [n, s, d], seen: [n, s]; heads: usize, hidden: usize) -> [n, s, d] {
        let x = x + attention: Attention(x, x, seen, heads) |> norm1: layer_norm;
        x + perceptron: Perceptron(x, hidden) |> norm2: layer_norm
    }

    /// One layer of the decoder.
    pub net Decode(y: [n, t, d], x: [n, s, d], seen: [n, s]; heads: usize, hidden: usize) -> [n, t, d] {
        let y = y + causal: Causal(y, heads) |> norm1: layer_norm;
        let y = y + cross: Attention(y, x, seen, heads) |> norm2: layer_norm;
        y + perceptron: Perceptron(y, hidden) |> norm3: layer_norm
    }

    /// Waves of the position at geometric frequencies from 1 down to 1/10000, added.
    net Waves(x: [n, t, 2 * waves]; waves: usize, places: usize) -> [n, t, 2 * waves] {
        let frequency = exp(-9.210340371976184 / waves * to_real(positions([waves], waves)));
        let place = to_real(positions([t], places));
        let angle = einsum(place[t], frequency[w] -> [t, w]);
        x + concat(sin(angle), cos(angle))
    }

    /// Logits of the next token of `written` at each place, where `seen` is 1 for the tokens of `read` and 0 for what fills
    /// them up to a length. The width is twice the number of `waves`, and `scale` its square root. One table of tokens serves both texts and the logits.
    pub net Transformer(
        read: [n, s] in vocabulary,
        seen: [n, s],
        written: [n, t] in vocabulary;
        vocabulary: usize,
        places: usize,
        waves: usize,
        scale: f64,
        layers: usize,
        heads: usize,
        hidden: usize,
    ) -> [n, t, vocabulary] {
        let table = embedding(2 * waves);
        let x = scale * table(read) |> read_at: Waves(waves, places)
            |> encoder: [|x| layer: Encode(x, seen, heads, hidden); layers];
        scale * table(written) |> written_at: Waves(waves, places)
            |> decoder: [|y| layer: Decode(y, x, seen, heads, hidden); layers]
            |> table.project
    }

    /// The pieces of words of the base model.
    pub dim PairToken = 37000;
    /// The longest text of the base model.
    pub dim PairPlace = 512;
    /// The base model of the paper: 63 million parameters.
    pub net BaseTransformer = Transformer(
        vocabulary = PairToken, places = PairPlace, waves = 256, scale = 22.627416997969522, layers = 6, heads = 8, hidden = 2048,
    );
    /// How well it writes the next token, with a tenth of the target spread over all tokens.
    pub net BaseTranslation(
        read: [n, s] in PairToken,
        seen: [n, s],
        written: [n, t] in PairToken,
        next: [n, t] in PairToken,
    ) -> [] {
        cross_entropy(model: BaseTransformer(read, seen, written), next, label_smoothing = 0.1)
    }
}
