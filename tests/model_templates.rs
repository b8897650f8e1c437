//! The models of the library as templates of one's own nets: each is the model that the library has under its own name.
#![deny(warnings)]

use ansatz::models::{bert, gpt2, llama, particles, residual, resnet, vgg, vit};
use ansatz::nn::{self, Model};
use ansatz::prelude::*;

net! {
    use ansatz::models::{
        AlexNet, Bert, BertClassifier, CifarResNet, Gpt2, LeNet, Llama, Particles, ResNet, Residual, Transformer, UNet, VggA, VggD,
        ViT,
    };
    use ansatz::models::bert::Segment;
    use ansatz::models::gpt2::Block;
    use ansatz::models::llama::SwiGlu;
    use ansatz::models::resnet::Bottleneck;

    pub dim Token = 11;
    pub dim Kind = 3;

    pub dim Glyph = 65;
    pub dim GlyphPlace = 256;

    pub net Baby = Gpt2(vocabulary = Glyph, places = GlyphPlace, width = 384, layers = 6, heads = 6, drop = 0.2);
    pub net Decoder = Llama(width = 2048, layers = 22, heads = 32, shared = 4, hidden = 5632);
    pub net Encoder = Bert(width = 768, layers = 12, heads = 12, hidden = 3072);
    pub net Classifier = BertClassifier(
        vocabulary = Token, places = 6, width = 8, layers = 2, heads = 2, hidden = 12, classes = Kind,
    );
    pub net Vision = ViT(c = 3, h = 224, w = 224, patch = 16, width = 768, layers = 12, heads = 12, hidden = 3072, classes = 1000);
    pub net Plane = Particles(d = 2, layers = 16, heads = 1);
    pub net Residual100 = Residual(d = 2, hidden = 16, depth = 100, scale = 0.01);
    pub net Resnet20 = CifarResNet(c = 3, h = 32, w = 32, depth = 3);
    pub net Resnet50 = ResNet(c = 3, block = Bottleneck, depth1 = 3, depth2 = 4, depth3 = 6, depth4 = 3);
    pub net Vgg11 = VggA(c = 3, h = 32, w = 32, hidden = 512, classes = 10);

    pub net Translator = Transformer(
        vocabulary = Token, places = 6, waves = 4, scale = 2.83, layers = 1, heads = 2, hidden = 12,
    );
    pub net Letters = LeNet(classes = 26);
    pub net Alex = AlexNet(c = 1, h = 32, w = 32, width = 4, hidden = 8);
    pub net Deep = VggD(c = 1, h = 32, w = 32, width = 4, hidden = 8, classes = 3);
    pub net Denoise = UNet(c = 1, h = 4, w = 4, width = 4, groups = 2, waves = 3);

    /// Parts of the models in a net of one's own.
    pub net Reads(tokens: [n, t] in Token, segments: [n, t] in Segment, seen: [n, t], kind: [n] in Kind) -> [] {
        let encoded = Bert(tokens, segments, seen, vocabulary = Token, places = 6, width = 8, layers = 1, heads = 2, hidden = 12);
        encoded |> block: Block(2, 0.0) |> gate: SwiGlu(hidden = 12) |> mean(over = t) |> linear(Kind) |> cross_entropy(kind)
    }
}

ansatz::gradcheck!(Reads);

fn slots<M: Model<f32>>() -> Vec<(String, Vec<usize>)> {
    nn::slots::<f32, M>().into_iter().map(|slot| (slot.key, slot.dims)).collect()
}

/// The same keys and sizes, and from one seed the same values.
macro_rules! same {
    ($own:ident, $library:ty, $($input:expr),+) => {
        assert_eq!(slots::<$own>(), slots::<$library>());
        let (own, library): ($own, $library) = ($own::init(7), <$library>::init(7));
        let (own, library) = (to_vec(&own.forward($($input),+)?), to_vec(&library.forward($($input),+)?));
        assert!(own == library && own.iter().any(|value| value.abs() > 1e-3));
    };
}

fn reals<S: ansatz::tensor::Shape>(shape: S) -> Tensor<S, f32, Cpu> {
    let values = (0..shape.num_elements()).map(|i| (i as f32 * 0.7).sin()).collect();
    from_vec(values, shape).expect("as many values")
}

fn tokens<D: ConstDim + ansatz::tensor::Named>() -> Indices<(usize, usize), D> {
    Indices::new(vec![0, 1, 1, 1, 0, 1], (2, 3)).expect("six indices")
}

#[test]
fn a_template_outside_is_the_model_of_the_library() -> Result<()> {
    same!(Plane, particles::Plane, reals((2, 3, Const)));
    same!(Residual100, residual::Residual100, reals((2, Const)));
    same!(Resnet20, resnet::ResNet20, reals((1, Const, Const, Const)));
    // These have dimensions of their own.
    assert_eq!(slots::<Decoder>(), slots::<llama::TinyLlama>());
    assert_eq!(slots::<Encoder>(), slots::<bert::BertBase>());
    assert_eq!(slots::<Vision>(), slots::<vit::ViTBase16>());
    assert_eq!(slots::<Baby>(), slots::<gpt2::BabyGpt>());
    assert_eq!(slots::<Resnet50>(), slots::<resnet::ResNet50>());
    assert_eq!(slots::<Vgg11>(), slots::<vgg::Vgg11Small>());
    let (own, library): (Baby, gpt2::BabyGpt) = (Baby::init(7), gpt2::BabyGpt::init(7));
    assert_eq!(to_vec(&own.forward(tokens())?), to_vec(&library.forward(tokens())?));
    Ok(())
}

/// The weights and biases of layers that take and give so many.
fn dense(layers: &[(usize, usize)]) -> usize {
    layers.iter().map(|(inputs, outputs)| inputs * outputs + outputs).sum()
}

#[test]
fn small_instances_have_the_sizes_that_were_asked_for() -> Result<()> {
    let letters: Letters = Letters::init(1);
    assert_eq!(to_vec(&letters.forward(reals((2, Const, Const, Const)))?).len(), 2 * 26);
    assert_eq!(Letters::PARAMETERS, dense(&[(25, 6), (6 * 25, 16), (400, 120), (120, 84), (84, 26)]));

    let alex: Alex = Alex::init(1);
    assert_eq!(to_vec(&alex.forward(reals((2, Const, Const, Const)))?).len(), 2 * 10);
    let convolutions = dense(&[(9, 4), (9 * 4, 12), (9 * 12, 24), (9 * 24, 16), (9 * 16, 16)]);
    assert_eq!(Alex::PARAMETERS, convolutions + dense(&[(4 * 16, 8), (8, 8), (8, 10)]));

    let deep: Deep = Deep::init(1);
    assert_eq!(to_vec(&deep.forward(reals((2, Const, Const, Const)))?).len(), 2 * 3);
    let widths = [1, 4, 4, 8, 8, 16, 16, 16, 32, 32, 32, 32, 32, 32];
    let convolutions = widths.windows(2).map(|pair| dense(&[(9 * pair[0], pair[1])]) + 2 * pair[1]).sum::<usize>();
    assert_eq!(Deep::PARAMETERS, convolutions + dense(&[(32, 8), (8, 8), (8, 3)]));

    let denoise: Denoise = Denoise::init(1);
    assert_eq!(to_vec(&denoise.forward(reals((2, Const, Const, Const)), reals((2, Const)))?).len(), 2 * 16);

    let classifier: Classifier = Classifier::init(1);
    let kinds = classifier.forward(tokens(), tokens(), from_vec(vec![1.0; 6], (2, 3))?)?;
    assert_eq!(to_vec(&kinds).len(), 2 * 3);

    let translator: Translator = Translator::init(1);
    let seen = from_vec(vec![1.0; 6], (2, 3))?;
    let logits: Tensor<(usize, usize, Token), f32, Cpu> = translator.forward(tokens(), seen, tokens())?;
    assert_eq!(to_vec(&logits).len(), 2 * 3 * 11);
    // Attention thrice, two perceptrons, five norms.
    let attention = dense(&[(8, 8); 4]);
    assert_eq!(Translator::PARAMETERS, 11 * 8 + 3 * attention + 2 * dense(&[(8, 12), (12, 8)]) + 5 * 2 * 8);
    Ok(())
}
