//! The transformers of the library: those that `transformers` has give what it gives (`fixtures/models.py`), and what they
//! have in common holds for all.
#![deny(warnings)]

use ansatz::models::{bert, gpt2, llama, particles, translator, vit};
use ansatz::nn::{self, Path, Slot, Stream, Visitor};
use ansatz::optim::Sgd;
use ansatz::prelude::*;
use ansatz::tensor::HostTensor;
use ansatz::text::{Sampler, generate};
use ansatz::train::{Load, load_into};
use proptest::prelude::*;

net! {
    use ansatz::models::{BertClassifier, Gpt2, Llama, ViT};
    use ansatz::models::bert::Segment;

    pub dim Token = 11;
    pub dim Place = 72;
    pub dim BertPlace = 6;
    pub dim Kind = 3;

    pub net TinyGpt2 = Gpt2(vocabulary = Token, places = Place, width = 8, layers = 2, heads = 2);
    pub net TinyGpt2Reading(tokens: [n, t] in Token, next: [n, t] in Token) -> [] {
        cross_entropy(model: TinyGpt2(tokens), next)
    }
    pub net DeepGpt2Reading(tokens: [n, t] in Token, next: [n, t] in Token) -> [] {
        cross_entropy(model: Gpt2(tokens, vocabulary = Token, places = Place, width = 8, layers = 12, heads = 2, drop = 0.1), next)
    }
    pub net RecomputedGpt2Reading(tokens: [n, t] in Token, next: [n, t] in Token) -> [] {
        cross_entropy(
            model: Gpt2(tokens, vocabulary = Token, places = Place, width = 8, layers = 12, heads = 2, drop = 0.1, recompute = true),
            next,
        )
    }

    pub net SmallLlama = Llama(vocabulary = Token, width = 8, layers = 2, heads = 4, shared = 2, hidden = 12, eps = 1e-6);
    pub net SmallLlamaReading(tokens: [n, t] in Token, next: [n, t] in Token) -> [] {
        cross_entropy(model: SmallLlama(tokens), next)
    }

    pub net SmallClassifier = BertClassifier(
        vocabulary = Token, places = BertPlace, width = 8, layers = 2, heads = 2, hidden = 12, classes = Kind,
    );
    pub net SmallClassifierLoss(
        tokens: [n, t] in Token,
        segments: [n, t] in Segment,
        seen: [n, t],
        class: [n] in Kind,
    ) -> [] {
        cross_entropy(model: SmallClassifier(tokens, segments, seen), class)
    }

    pub net SmallViT = ViT(c = 2, h = 8, w = 8, patch = 4, width = 8, layers = 2, heads = 2, hidden = 12, classes = Kind);
    pub net SmallViTLoss(image: [n, 2, 8, 8], class: [n] in Kind) -> [] {
        cross_entropy(model: SmallViT(image), class)
    }
}

/// All tensors of a model, by their keys.
fn tensors<M: Model<f32>>(model: &M) -> Vec<(String, Vec<f32>)> {
    struct All(Vec<(String, Vec<f32>)>);
    impl Visitor<f32> for All {
        fn tensor(&mut self, slot: &Slot, tensor: &dyn HostTensor<f32>) -> Result<()> {
            self.0.push((slot.key.clone(), tensor.to_vec()));
            Ok(())
        }
    }
    let mut all = All(Vec::new());
    model.visit(&Path::root(), &mut all).expect("it shows its tensors");
    all.0
}

/// What `transformers` gave for a model.
struct Expected {
    folder: String,
    text: String,
    load: Load,
}

impl Expected {
    fn of(name: &str, load: Load) -> Self {
        let folder = format!("{}/fixtures/models/{name}", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(format!("{folder}/run.txt")).expect("the fixture");
        Expected { folder, text, load: load.model_prefix("model") }
    }

    fn line<T: std::str::FromStr<Err: std::fmt::Debug>>(&self, name: &str) -> Vec<T> {
        let line = self.text.lines().find_map(|line| line.strip_prefix(&format!("{name} "))).expect(name);
        line.split_whitespace().map(|number| number.parse().expect("a number")).collect()
    }

    /// A loss with a `model` of the weights, or of the gradient.
    fn read<M: Model<f32>>(&self, file: &str) -> M {
        let mut model: M = nn::init(1);
        let path = format!("{}/{file}.safetensors", self.folder);
        let loaded = load_into(&mut model, path, &self.load).expect("the checkpoint fits");
        assert!(loaded.missing.is_empty() && loaded.extra.is_empty(), "{loaded:?}");
        model
    }

    /// Logits, loss and gradient are those of `transformers`.
    fn check<M: Model<f32>>(&self, logits: Vec<f32>, (loss, gradient): (Tensor<(), f32, Cpu>, M)) {
        close("logits", &logits, &self.line("logits"), 1e-4);
        close("loss", &to_vec(&loss), &self.line("loss"), 1e-4);
        for ((key, found), (_, expected)) in tensors(&gradient).iter().zip(tensors(&self.read::<M>("gradient"))) {
            close(key, found, &expected, 1e-3);
        }
    }
}

/// Relative to the norm; a gradient that is zero but for rounding has none.
#[track_caller]
fn close(name: &str, found: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(found.len(), expected.len(), "{name}");
    let norm = |values: &mut dyn Iterator<Item = f32>| values.map(|x| x * x).sum::<f32>().sqrt();
    let off = norm(&mut found.iter().zip(expected).map(|(a, b)| a - b));
    let size = norm(&mut expected.iter().copied());
    assert!(off <= tolerance * size || size.max(off) < 1e-6, "{name}: {off} of {size}");
}

/// Tokens, and those that follow them.
fn tokens<V: ansatz::tensor::Named>() -> [Indices<(usize, usize), V>; 2] {
    let tokens = [vec![1, 5, 3, 0, 10, 7, 7, 4, 2, 9], vec![5, 3, 0, 10, 2, 7, 4, 2, 9, 1]];
    tokens.map(|tokens| Indices::new(tokens, (2, 5)).unwrap())
}

#[test]
fn gpt2_is_that_of_transformers() {
    let expected = Expected::of("gpt2", gpt2::transformers());
    let reading: TinyGpt2Reading = expected.read("weights");
    let [tokens, next] = tokens();
    let logits = to_vec(&reading.model.forward(tokens.clone()).unwrap());
    expected.check(logits, reading.gradient(&(tokens, next).into()).unwrap());

    let mut stream = Stream::new(&reading.model, 72).unwrap();
    let found = generate(&mut stream, &[vec![1, 5, 3, 0]], &mut Sampler::greedy(), 64, |_, _| true).unwrap();
    assert_eq!(found[0], expected.line::<u32>("tokens"));
}

#[test]
fn llama_is_that_of_transformers() {
    let expected = Expected::of("llama", llama::transformers());
    let reading: SmallLlamaReading = expected.read("weights");
    let [tokens, next] = tokens();
    let logits = to_vec(&reading.model.forward(tokens.clone()).unwrap());
    expected.check(logits, reading.gradient(&(tokens, next).into()).unwrap());

    let mut stream = Stream::new(&reading.model, 72).unwrap();
    let found = generate(&mut stream, &[vec![1, 5, 3, 0]], &mut Sampler::greedy(), 64, |_, _| true).unwrap();
    assert_eq!(found[0], expected.line::<u32>("tokens"));
}

#[test]
fn bert_is_that_of_transformers() {
    let expected = Expected::of("bert", bert::transformers());
    let loss: SmallClassifierLoss = expected.read("weights");
    let [tokens, _] = tokens();
    let segments = Indices::new(vec![0, 0, 1, 1, 1, 0, 1, 1, 0, 0], (2, 5)).unwrap();
    let seen = from_vec(vec![1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0], (2, 5)).unwrap();
    let class = Indices::new(vec![2, 0], (2,)).unwrap();
    let logits = to_vec(&loss.model.forward(tokens.clone(), segments.clone(), seen.clone()).unwrap());
    expected.check(logits, loss.gradient(&SmallClassifierLossBatch { tokens, segments, seen, class }).unwrap());
}

#[test]
fn a_vision_transformer_is_that_of_transformers() {
    let expected = Expected::of("vit", vit::transformers());
    let loss: SmallViTLoss = expected.read("weights");
    let pixels = (0..256).map(|i| (i as f32 * 0.37).sin()).collect();
    let image: Tensor<(usize, Const<2>, Const<8>, Const<8>), f32, Cpu> =
        from_vec(pixels, (2, Const, Const, Const)).unwrap();
    let class = Indices::new(vec![2, 0], (2,)).unwrap();
    let logits = to_vec(&loss.model.forward(image.clone()).unwrap());
    expected.check(logits, loss.gradient(&SmallViTLossBatch { image, class }).unwrap());
}

#[test]
fn the_models_have_the_sizes_of_their_papers() {
    assert_eq!(gpt2::Gpt2Small::PARAMETERS, 124_439_808);
    assert_eq!(gpt2::Gpt2Medium::PARAMETERS, 354_823_168);
    assert_eq!(gpt2::Gpt2Large::PARAMETERS, 774_030_080);
    assert_eq!(gpt2::Gpt2Xl::PARAMETERS, 1_557_611_200);
    assert_eq!(llama::TinyLlama::PARAMETERS, 1_100_048_384);
    // Without the pooler of 590,592.
    assert_eq!(bert::BertBase::PARAMETERS, 109_482_240 - 590_592);
    assert_eq!(bert::BertLarge::PARAMETERS, 335_141_888 - 1_049_600);
    assert_eq!(vit::ViTBase16::PARAMETERS, 86_567_656);
    let layers = 6 * (4 * 512 * 512 + 2 * 512 * 2048) + 6 * (8 * 512 * 512 + 2 * 512 * 2048);
    let small = 6 * (4 * 512 + 512 + 2048 + 4 * 512) + 6 * (8 * 512 + 512 + 2048 + 6 * 512);
    assert_eq!(translator::BaseTransformer::PARAMETERS, 37_000 * 512 + layers + small);
    assert_eq!(particles::Plane::PARAMETERS, 16 * 4 * 4);
}

/// Every mismatch of a file is told at once.
#[test]
fn a_file_of_another_model_is_refused_in_full() {
    let mut reading: TinyGpt2Reading = nn::init(1);
    let path = format!("{}/fixtures/models/llama/weights.safetensors", env!("CARGO_MANIFEST_DIR"));
    let error = load_into(&mut reading, path, &gpt2::transformers().model_prefix("model")).unwrap_err();
    let ansatz::Error::Checkpoint { problems, .. } = error else { panic!("{error}") };
    assert_eq!(problems.len(), nn::slots::<f32, TinyGpt2>().len(), "{problems:#?}");
}

/// Twelve blocks that are computed again: the same training, dropout included, in less memory.
#[test]
fn recomputed_blocks_change_the_memory_alone() {
    let tokens =
        |shift: u32| Indices::new((0..8 * 64).map(|i| (i * i + shift) % 11).collect::<Vec<u32>>(), (8, 64)).unwrap();
    let whole: DeepGpt2Reading = nn::init(3);
    let again: RecomputedGpt2Reading = nn::init(3);
    let mut whole = Trainer::builder(whole, Sgd::new(1e-2)).seed(5).build().unwrap();
    let mut again = Trainer::builder(again, Sgd::new(1e-2)).seed(5).build().unwrap();
    for step in 0..3 {
        let (x, y) = (tokens(step), tokens(step + 1));
        let expected = whole.step(&(x.clone(), y.clone()).into()).unwrap().loss();
        let found = again.step(&(x, y).into()).unwrap().loss();
        assert!((found - expected).abs() < 1e-5 * expected, "{found} and {expected}");
    }
    for ((key, found), (_, expected)) in tensors(&again.model().unwrap()).iter().zip(tensors(&whole.model().unwrap())) {
        close(key, found, &expected, 1e-4);
    }
    let (whole, again) = (whole.memory(&[8, 64]).unwrap(), again.memory(&[8, 64]).unwrap());
    println!("{whole}; with blocks computed again {again}");
    assert!(3 * again.workspace < whole.workspace, "{again} and {whole}");
}

net! {
    pub dim Width = 16;

    /// The mean of what two heads of causal attention give.
    pub net Attended(x: [n, t, Width]) -> [] {
        let by_head = |z| z |> [n, t, (2 e)] -> [n, 2, t, e];
        let (q, k, v) = (x |> linear(Width), x |> linear(Width), x |> linear(Width));
        attention(by_head(q), by_head(k), by_head(v), causal = true) |> square |> mean
    }
}

/// The matrix of scores is never there: memory is linear in the length.
#[test]
fn attention_takes_memory_in_proportion_to_the_length() {
    let attended: Attended = nn::init(1);
    let mut trainer = Trainer::builder(attended, Sgd::new(1e-2)).build().unwrap();
    let [short, middle, long] = [256, 1024, 4096].map(|t| {
        let memory = trainer.memory(&[1, t]).unwrap();
        println!("{t} tokens: {memory}");
        (memory.workspace + memory.inputs) as f64
    });
    let ratio = (long - middle) / (middle - short);
    assert!((3.8..4.2).contains(&ratio), "{ratio}");
    assert!(long < 4096.0 * 4096.0 * 4.0, "a matrix of scores would be larger than {long} bytes");
}

fn text(tokens: &[u32]) -> Indices<(usize, usize), Token> {
    Indices::new(tokens.to_vec(), (1, tokens.len())).unwrap()
}

fn points(values: &[f32]) -> Tensor<(usize, usize, Const<2>), f32, Cpu> {
    from_vec(values.to_vec(), (1, values.len() / 2, Const)).unwrap()
}

fn near(found: &[f32], expected: &[f32]) -> bool {
    found.len() == expected.len() && found.iter().zip(expected).all(|(a, b)| (a - b).abs() <= 2e-4 * (1.0 + b.abs()))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// What stands later changes nothing before it.
    #[test]
    fn causal_models_do_not_look_ahead(
        seed in 0u64..20,
        tokens in prop::collection::vec(0u32..11, 2..40),
        cut in 0.0..1.0f64,
        other in 0u32..11,
    ) {
        let cut = 1 + (cut * (tokens.len() - 1) as f64) as usize;
        let mut changed = tokens.clone();
        changed[cut..].iter_mut().for_each(|token| *token = (*token + other) % 11);
        let gpt: TinyGpt2 = nn::init(seed);
        let [a, b] = [&tokens, &changed].map(|tokens| to_vec(&gpt.forward(text(tokens)).unwrap()));
        prop_assert!(near(&a[..11 * cut], &b[..11 * cut]));
        let llama: SmallLlama = nn::init(seed);
        let [a, b] = [&tokens, &changed].map(|tokens| {
            to_vec(&llama.forward(Indices::new(tokens.clone(), (1, tokens.len())).unwrap()).unwrap())
        });
        prop_assert!(near(&a[..11 * cut], &b[..11 * cut]));
        let plane: particles::OrderedPlane = nn::init(seed);
        let [a, b] = [&tokens, &changed].map(|tokens| {
            let values: Vec<f32> = tokens.iter().flat_map(|&t| [(t as f32).sin(), (t as f32).cos()]).collect();
            to_vec(&plane.forward(points(&values)).unwrap())
        });
        prop_assert!(near(&a[..2 * cut], &b[..2 * cut]));
    }

    /// Without mask and positions, tokens have no order.
    #[test]
    fn particles_have_no_order(
        seed in 0u64..20,
        (values, order) in prop::collection::vec((-2.0f32..2.0, -2.0f32..2.0), 1..30)
            .prop_flat_map(|values| { let order: Vec<usize> = (0..values.len()).collect(); (Just(values), Just(order).prop_shuffle()) }),
    ) {
        let plane: particles::Plane = nn::init(seed);
        let flat = |order: &[usize], values: &[(f32, f32)]| -> Vec<f32> {
            order.iter().flat_map(|&i| [values[i].0, values[i].1]).collect()
        };
        let first: Vec<usize> = (0..values.len()).collect();
        let y = to_vec(&plane.forward(points(&flat(&first, &values))).unwrap());
        let y: Vec<(f32, f32)> = y.chunks(2).map(|p| (p[0], p[1])).collect();
        let moved = to_vec(&plane.forward(points(&flat(&order, &values))).unwrap());
        prop_assert!(near(&moved, &flat(&order, &y)));
    }

    /// However a text is cut, a stream gives what one run gives.
    #[test]
    fn streams_give_what_one_run_gives(
        seed in 0u64..20,
        tokens in prop::collection::vec(0u32..11, 1..40),
        cuts in prop::collection::vec(1usize..9, 40),
    ) {
        let gpt: TinyGpt2 = nn::init(seed);
        let llama: SmallLlama = nn::init(seed);
        let as_llama = |tokens: &[u32]| Indices::new(tokens.to_vec(), (1, tokens.len())).unwrap();
        let (mut gpt_stream, mut llama_stream) = (Stream::new(&gpt, 72).unwrap(), Stream::new(&llama, 40).unwrap());
        let (mut read, mut from_gpt, mut from_llama) = (0, Vec::new(), Vec::new());
        for cut in cuts {
            let piece = &tokens[read..(read + cut).min(tokens.len())];
            if piece.is_empty() {
                break;
            }
            from_gpt.extend(to_vec(&gpt_stream.run(&TinyGpt2Batch::from(text(piece))).unwrap()));
            from_llama.extend(to_vec(&llama_stream.run(&SmallLlamaBatch::from(as_llama(piece))).unwrap()));
            read += piece.len();
        }
        prop_assert!(near(&from_gpt, &to_vec(&gpt.forward(text(&tokens)).unwrap())));
        prop_assert!(near(&from_llama, &to_vec(&llama.forward(as_llama(&tokens)).unwrap())));
    }

    /// Prompts of any lengths side by side give what each gives alone.
    #[test]
    fn batches_generate_what_each_prompt_does_alone(
        seed in 0u64..20,
        prompts in prop::collection::vec(prop::collection::vec(0u32..11, 1..12), 1..5),
    ) {
        let gpt: TinyGpt2 = nn::init(seed);
        let mut stream = Stream::new(&gpt, 72).unwrap();
        let greedy = &mut Sampler::greedy();
        let all = generate(&mut stream, &prompts, greedy, 10, |_, _| true).unwrap();
        for (prompt, expected) in prompts.iter().zip(&all) {
            let alone = generate(&mut stream, std::slice::from_ref(prompt), greedy, 10, |_, _| true).unwrap();
            prop_assert_eq!(&alone[0], expected);
        }
    }
}
