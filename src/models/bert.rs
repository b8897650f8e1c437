//! BERT (Devlin et al. 2019): an encoder that sees a whole text at once.

use crate::net;
use crate::train::{Load, Mapping};

net! {
    /// The pieces of words that BERT reads.
    pub dim BertToken = 30522;
    /// The longest text that BERT reads.
    pub dim BertPlace = 512;
    /// Whether a token belongs to the first of two sentences or to the second.
    pub dim Segment = 2;

    /// Attention to all tokens that `seen` tells.
    net Attention(x: [n, t, d], seen: [n, t]; heads: usize) -> [n, t, d] where heads | d {
        let by_head = |z| z |> [n, t, (heads e)] -> [n, heads, t, e];
        let (q, k, v) = (x |> query: linear(d), x |> key: linear(d), x |> value: linear(d));
        attention(by_head(q), by_head(k), by_head(v), mask = seen > 0.5)
            |> [n, heads, t, e] -> [n, t, (heads e)]
            |> dense: linear(d)
    }

    /// Attention and a perceptron, each added to what went into it. Norms stand behind each sum.
    pub net Layer(x: [n, t, d], seen: [n, t]; heads: usize, hidden: usize) -> [n, t, d] {
        let x = x + attention: Attention(x, seen, heads) |> attention_norm: layer_norm(eps = 1e-12);
        x + (x |> intermediate: linear(hidden) |> gelu |> output: linear(d)) |> output_norm: layer_norm(eps = 1e-12)
    }

    /// A vector for each token. `seen` is 1 for tokens and 0 for what fills a text up to a length.
    pub net Bert(
        tokens: [n, t] in vocabulary,
        segments: [n, t] in Segment,
        seen: [n, t];
        vocabulary: usize = BertToken,
        places: usize = BertPlace,
        width: usize,
        layers: usize,
        heads: usize,
        hidden: usize,
    ) -> [n, t, width] {
        (tokens |> word_embeddings: embedding(width))
            + (segments |> token_type_embeddings: embedding(width))
            + (positions([t], places) |> position_embeddings: embedding(width))
            |> embedding_norm: layer_norm(eps = 1e-12)
            |> layer: [|x| block: Layer(x, seen, heads, hidden); layers]
    }

    /// Logits of classes, from the vector of the first token.
    pub net BertClassifier(
        tokens: [n, t] in vocabulary,
        segments: [n, t] in Segment,
        seen: [n, t];
        vocabulary: usize = BertToken,
        places: usize = BertPlace,
        width: usize = 768,
        layers: usize = 12,
        heads: usize = 12,
        hidden: usize = 3072,
        classes: usize,
    ) -> [n, classes] {
        let x = bert: Bert(tokens, segments, seen, vocabulary, places, width, layers, heads, hidden);
        let first = to_real(to_real(positions([t], places)) < 0.5);
        einsum(x[n, t, d], first[t] -> [n, d]) |> pooler: linear(width) |> tanh |> classifier: linear(classes)
    }

    /// The encoder with 110 million parameters.
    pub net BertBase = Bert(width = 768, layers = 12, heads = 12, hidden = 3072);
    /// The encoder with 340 million parameters.
    pub net BertLarge = Bert(width = 1024, layers = 24, heads = 16, hidden = 4096);
}

/// How Hugging Face's `transformers` stores `BertForSequenceClassification`.
pub fn transformers() -> Load {
    Load::new()
        .mapping(
            Mapping::new()
                .rename("pooler.*", "bert.pooler.dense.*")
                .rename("bert.*_embeddings.*", "bert.embeddings.*_embeddings.*")
                .rename("bert.embedding_norm.*", "bert.embeddings.LayerNorm.*")
                .rename("bert.layer.*.block.attention.*", "bert.encoder.layer.*.attention.self.*")
                .rename("bert.layer.*.block.attention.dense.*", "bert.encoder.layer.*.attention.output.dense.*")
                .rename("bert.layer.*.block.attention_norm.*", "bert.encoder.layer.*.attention.output.LayerNorm.*")
                .rename("bert.layer.*.block.intermediate.*", "bert.encoder.layer.*.intermediate.dense.*")
                .rename("bert.layer.*.block.output.*", "bert.encoder.layer.*.output.dense.*")
                .rename("bert.layer.*.block.output_norm.*", "bert.encoder.layer.*.output.LayerNorm.*"),
        )
        .convert()
}
