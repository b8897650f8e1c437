//! The vision transformer (Dosovitskiy et al. 2021): an image as a sequence of its patches.

use crate::net;
use crate::train::{Load, Mapping};

net! {
    /// Attention to all patches.
    net Attention(x: [n, t, d]; heads: usize) -> [n, t, d] where heads | d {
        let by_head = |z| z |> [n, t, (heads e)] -> [n, heads, t, e];
        let (q, k, v) = (x |> query: linear(d), x |> key: linear(d), x |> value: linear(d));
        attention(by_head(q), by_head(k), by_head(v)) |> [n, heads, t, e] -> [n, t, (heads e)] |> dense: linear(d)
    }

    /// Attention and a perceptron, each behind a norm and added to what went into it.
    pub net Layer(x: [n, t, d]; heads: usize, hidden: usize, eps: f64) -> [n, t, d] {
        let x = x + (x |> layernorm_before: layer_norm(eps) |> attention: Attention(heads));
        x + (x |> layernorm_after: layer_norm(eps) |> intermediate: linear(hidden) |> gelu |> output: linear(d))
    }

    /// A vector of its own in front of all others, and a vector for each place.
    net Placed(x: [n, t, d]) -> [n, t + 1, d] {
        let first = positions([n, 1], 1) |> cls_token: embedding(d) |> [n, place, d] -> [n, place, d];
        concat(first, x, over = place) + (positions([t + 1], t + 1) |> position_embeddings: embedding(d))
    }

    /// Logits of classes, from a vector that stands in front of the patches.
    pub net ViT(
        image: [n, c, h, w];
        patch: usize,
        width: usize,
        layers: usize,
        heads: usize,
        hidden: usize,
        classes: usize,
        eps: f64 = 1e-12,
    ) -> [n, classes] {
        let patches = image |> patch_embeddings: conv2d(width, kernel = patch, stride = patch)
            |> [n, width, a, b] -> [n, (a b), width];
        patches |> embeddings: Placed
            |> layer: [Layer(heads, hidden, eps); layers]
            |> layernorm: layer_norm(eps)
            |> First |> classifier: linear(classes)
    }

    net First(x: [n, t, d]) -> [n, d] { x |> slice(0, 1, over = t) |> [n, 1, d] -> [n, d] }

    /// ViT-B/16 for images of 224 × 224 and the thousand classes of ImageNet: 86 million parameters.
    pub net ViTBase16 = ViT(c = 3, h = 224, w = 224, patch = 16, width = 768, layers = 12, heads = 12, hidden = 3072, classes = 1000);
}

/// How Hugging Face's `transformers` stores `ViTForImageClassification`.
pub fn transformers() -> Load {
    let mapping = Mapping::new()
        .rename("embeddings.*.weight", "vit.embeddings.*")
        .rename("patch_embeddings.*", "vit.embeddings.patch_embeddings.projection.*")
        .rename("layer.*", "vit.encoder.layer.*")
        .rename("layer.*.attention.*", "vit.encoder.layer.*.attention.attention.*")
        .rename("layer.*.attention.dense.*", "vit.encoder.layer.*.attention.output.dense.*")
        .rename("layer.*.intermediate.*", "vit.encoder.layer.*.intermediate.dense.*")
        .rename("layer.*.output.*", "vit.encoder.layer.*.output.dense.*")
        .rename("layernorm.*", "vit.layernorm.*")
        .unbatched("vit.embeddings.cls_token")
        .unbatched("vit.embeddings.position_embeddings");
    Load::new().mapping(mapping).convert()
}
