//! Tokens from text to batch.

use super::*;
use crate::data::{Dataset, Pass};
use crate::prelude::*;
use crate::run::Data;
use crate::tensor::Feed;
use proptest::prelude::*;

net! {
    pub dim Token = 10;
    pub dim Many = 300;
    pub dim Time = 4;

    pub net Known(x: [n, Time] in Token, y: [n, Time] in Token) -> [] { mean(x == y) }
    pub net Open(x: [n, t] in Token, y: [n, t] in Token) -> [] { mean(x == y) }

    /// The logits of the next token: from the token and its place, with tied weights.
    pub net Tied(x: [n, t] in Token) -> [n, t, Token] {
        let wte = embedding(6);
        let h = wte(x) + (positions([t], Time) |> wpe: embedding(6));
        h + tanh(h) |> wte.project
    }
    pub net Language(x: [n, t] in Token, y: [n, t] in Token) -> (loss: [], picked: [n, t, 6]) {
        let table = wpe: embedding(6)(positions([Time], Time));
        (loss = cross_entropy(tied: Tied(x), y), picked = gather(table, positions([n, t], Time)))
    }
    pub net LanguageRisk(x: [n, t] in Token, y: [n, t] in Token) -> [] {
        let (loss, picked) = language: Language(x, y);
        loss + mean(square(picked))
    }
}

fn digits(len: usize) -> Tokens<Token> {
    Tokens::new((0..len as u32).map(|i| i % 10).collect()).unwrap()
}

/// What a data set feeds: x, y, and the dimensions.
fn fed<B: Batch>(data: &impl Dataset<B>, rows: &[u32], pass: Pass) -> (Vec<u32>, Vec<u32>, Vec<usize>) {
    let (mut feed, mut dims) = (Feed::default(), Vec::new());
    data.feed(rows, pass, &mut feed, &mut dims).unwrap();
    let inputs = feed.data();
    let [Data::Index(x), Data::Index(y)] = inputs[..] else { panic!("two inputs of indices") };
    (x.to_vec(), y.to_vec(), dims)
}

#[test]
fn windows_have_tokens_and_those_that_follow() {
    let windows = Windows::new(digits(11), Time).unwrap();
    let (x, y, dims) = fed::<KnownBatch>(&windows, &[1, 0], Pass::Evaluation);
    assert_eq!((x, y, dims), (vec![4, 5, 6, 7, 0, 1, 2, 3], vec![5, 6, 7, 8, 1, 2, 3, 4], vec![2]));
    assert_eq!(Dataset::<KnownBatch>::len(&windows), 2);

    let open = Windows::new(digits(11), 3usize).unwrap().stride(1);
    assert_eq!(Dataset::<OpenBatch>::len(&open), 8);
    let (x, y, dims) = fed::<OpenBatch>(&open, &[7], Pass::Evaluation);
    assert_eq!((x, y, dims), (vec![7, 8, 9], vec![8, 9, 0], vec![1, 3]));
}

crate::gradcheck!(LanguageRisk);

#[test]
fn embeddings_are_tables() {
    let net: Tied<f64> = Tied::init(3);
    assert_eq!(Tied::PARAMETERS, 60 + 24);
    let (wte, wpe) = (to_vec(&net.wte.weight), to_vec(&net.wpe.weight));
    let (tokens, h) = ([7u32, 2, 2, 9, 0, 7], |token: u32, at: usize, i: usize| {
        let h = wte[token as usize * 6 + i] + wpe[at * 6 + i];
        h + h.tanh()
    });
    let x = Indices::new(tokens.to_vec(), (2usize, 3usize)).unwrap();
    let found = to_vec(&net.forward(x).unwrap());
    for (place, &token) in tokens.iter().enumerate() {
        for c in 0..10 {
            let expected: f64 = (0..6).map(|i| h(token, place % 3, i) * wte[c * 6 + i]).sum();
            assert!((found[place * 10 + c] - expected).abs() < 1e-12);
        }
    }
    let long = net.forward(Indices::new(vec![0; 5], (1usize, 5usize)).unwrap()).unwrap_err().to_string();
    assert!(long.contains("5 positions along its last axis, and only 4 have an index"), "{long}");
}

/// A table starts standard normal; the bounds are five standard errors.
#[test]
fn embeddings_start_as_pytorchs() {
    let net: Tied<f64> = Tied::init(1);
    let values = to_vec(&net.wte.weight);
    let variance = values.iter().map(|x| x * x).sum::<f64>() / 60.0;
    assert!((variance - 1.0).abs() < 5.0 * (2.0f64 / 60.0).sqrt(), "{variance}");
}

#[test]
fn what_is_wrong_is_said() {
    let short = Windows::new(digits(4), Time).unwrap_err().to_string();
    assert!(short.starts_with("a stream of 4 tokens is too short for windows of 4, which take 5"), "{short}");
    let windows = Windows::new(digits(5), Time).unwrap();
    let (mut feed, mut dims) = (Feed::default(), Vec::new());
    let beyond = Dataset::<KnownBatch>::feed(&windows, &[1], Pass::Evaluation, &mut feed, &mut dims).unwrap_err();
    assert_eq!(beyond.to_string(), "there is no window 1; the data set has 1");

    let error = Tokens::<Token>::new(vec![3, 10]).unwrap_err().to_string();
    assert_eq!(error, "the token at position 1 is 10, which is no index into `Token` of size 10");
    let error = Tokens::<Token>::encode(&Bytes, "x").unwrap_err().to_string();
    assert!(error.starts_with("the tokenizer has 256 tokens, but `Token` has size 10"), "{error}");
    let error = Bytes.decode(&[1, 256]).unwrap_err().to_string();
    assert_eq!(error, "there is no token 256; the tokenizer has the tokens below 256");
    let error = digits(5).slice(2..6).unwrap_err().to_string();
    assert_eq!(error, "there are no tokens 2..6 in a stream of 5");
}

#[test]
fn files_hold_tokens_of_any_width() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokens.bin");
    let mut writer = TokenWriter::<Many>::create(&path).unwrap();
    writer.document(&Bytes, "ab", Some(299)).unwrap();
    writer.document(&Bytes, "c", Some(299)).unwrap();
    let error = writer.tokens(&[7, 300]).unwrap_err().to_string();
    assert_eq!(error, "the token at position 6 is 300, which is no index into `Many` of size 300");
    let tokens = writer.finish().unwrap();
    let mut all = Vec::new();
    tokens.read(0..6, &mut all).unwrap();
    assert_eq!((all, std::fs::metadata(&path).unwrap().len()), (vec![97, 98, 299, 99, 299, 7], 12));

    // The same bytes are other tokens of another vocabulary, and the sixth of them is none of `Token`.
    let bytes = Tokens::<Token>::open(&path).unwrap();
    let error = bytes.read(3..4, &mut Vec::new()).err();
    assert!(error.is_none());
    let error = bytes.read(1..3, &mut Vec::new()).unwrap_err().to_string();
    assert!(error.ends_with("the token at position 2 is 98, which is no index into `Token` of size 10"), "{error}");

    std::fs::write(&path, [0; 7]).unwrap();
    let error = Tokens::<Many>::open(&path).unwrap_err().to_string();
    assert!(error.ends_with("has 7 bytes, which are no whole tokens of `Many` with 2 bytes each"), "{error}");
}

#[test]
fn characters_are_kept_in_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("characters.json");
    let characters = Characters::train(["zebra \"é\"\n", "crab 🦀"]);
    characters.save(&path).unwrap();
    assert_eq!(Characters::load(&path).unwrap(), characters);
    std::fs::write(&path, "\"aba\"").unwrap();
    assert!(Characters::load(&path).unwrap_err().to_string().ends_with("lists the character 'a' twice"));
    std::fs::write(&path, "[1]").unwrap();
    assert!(Characters::load(&path).unwrap_err().to_string().contains("is no tokenizer of characters"));
}

/// Of n bytes that are all equally likely, gzip needs about eight bits each; of a text that it has just seen, next to
/// nothing.
#[test]
fn gzip_needs_what_is_known_of_it() {
    let noise: Vec<u8> = crate::data::shuffled(20_000, 1).into_iter().map(|i| (i % 251) as u8).collect();
    let (first, rest) = noise.split_at(10_000);
    let fresh = gzip_bits_per_byte(first, rest).unwrap();
    assert!((7.9..8.3).contains(&fresh), "{fresh}");
    let seen = gzip_bits_per_byte(first, first).unwrap();
    assert!(seen < 0.2, "{seen}");
    assert!(gzip_bits_per_byte(first, &[]).is_err());
}

proptest! {
    #[test]
    fn bytes_and_characters_give_the_text_back(text in ".{0,40}") {
        prop_assert_eq!(Bytes.decode(&Bytes.encode(&text).unwrap()).unwrap(), text.clone());
        let characters = Characters::train([&*text]);
        let tokens = characters.encode(&text).unwrap();
        prop_assert!(tokens.iter().all(|&token| (token as usize) < characters.vocabulary()));
        prop_assert_eq!(characters.decode(&tokens).unwrap(), text);
    }

    /// Whatever the stride, a window is a part of the stream, and its targets are the same part one token later.
    #[test]
    fn windows_lie_in_the_stream(len in 5usize..60, time in 1usize..5, stride in 1usize..9, seed: u64, epoch in 0u64..50) {
        let all: Vec<u32> = crate::data::shuffled(len, seed).into_iter().map(|i| i % 10).collect();
        let windows = Windows::new(Tokens::<Token>::new(all.clone()).unwrap(), time).unwrap().stride(stride).jitter();
        let rows: Vec<u32> = (0..Dataset::<OpenBatch>::len(&windows) as u32).collect();
        for pass in [Pass::Training { seed, epoch }, Pass::Evaluation] {
            let (x, y, dims) = fed::<OpenBatch>(&windows, &rows, pass);
            prop_assert_eq!(dims, vec![rows.len(), time]);
            let first = all.windows(time + 1).position(|w| w[..time] == x[..time] && w[1..] == y[..time]);
            prop_assert!(first.is_some());
            let fits = (0..stride).any(|offset| rows.iter().all(|&row| {
                let (at, row) = (row as usize * stride + offset, row as usize * time);
                all.get(at..at + time + 1).is_some_and(|part| part[..time] == x[row..][..time] && part[1..] == y[row..][..time])
            }));
            prop_assert!(fits);
        }
    }

    #[test]
    fn a_split_keeps_all_tokens(len in 0usize..50, share in 0.0f64..1.0) {
        let tokens = digits(len);
        let (first, rest) = tokens.split(share);
        let (mut all, mut parts) = (Vec::new(), Vec::new());
        tokens.read(0..len, &mut all).unwrap();
        first.read(0..first.len(), &mut parts).unwrap();
        rest.read(0..rest.len(), &mut parts).unwrap();
        prop_assert_eq!(all, parts);
    }
}

#[cfg(feature = "tokenizers")]
mod bpe {
    use super::*;

    const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/");

    fn cases() -> serde_json::Value {
        let text = std::fs::read_to_string(format!("{FIXTURES}tokenizer_cases.json")).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    /// A file of Python's `tokenizers`, and what it makes of some texts.
    #[test]
    fn a_foreign_tokenizer_gives_the_same_tokens() {
        let bpe = Bpe::load(format!("{FIXTURES}tokenizer.json")).unwrap();
        assert_eq!((bpe.vocabulary(), bpe.token("<|endoftext|>")), (300, Some(0)));
        for case in cases()["cases"].as_array().unwrap() {
            let text = case["text"].as_str().unwrap();
            let tokens = bpe.encode(text).unwrap();
            assert_eq!(serde_json::json!(tokens), case["ids"], "{text}");
            assert_eq!(bpe.decode(&tokens).unwrap(), text);
        }
        assert!(bpe.decode(&[300]).unwrap_err().to_string().contains("there is no token 300"));
    }

    /// Training finds the tokens that Python's finds, and a saved tokenizer is the same.
    #[test]
    fn training_saving_and_loading() {
        let corpus = cases()["corpus"][0].as_str().unwrap().to_owned();
        let bpe = Bpe::train([&corpus], 300, &["<|endoftext|>"]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokenizer.json");
        bpe.save(&path).unwrap();
        for tokenizer in [bpe, Bpe::load(&path).unwrap()] {
            for case in cases()["cases"].as_array().unwrap() {
                let tokens = tokenizer.encode(case["text"].as_str().unwrap()).unwrap();
                assert_eq!(serde_json::json!(tokens), case["ids"]);
            }
        }
        let error = Bpe::train([&corpus], 256, &["<end>"]).unwrap_err().to_string();
        assert!(error.starts_with("a vocabulary of 256 has no room for 1 special tokens and 256 bytes"), "{error}");
        std::fs::write(&path, "{}").unwrap();
        assert!(Bpe::load(&path).unwrap_err().to_string().contains("describes no tokenizer"));
    }

    /// What is changed in a file is an error or another tokenizer, and never the end of the program.
    #[test]
    fn a_damaged_file_is_no_panic() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokenizer.json");
        Bpe::train(["hug hugs hugging a rug"; 9], 262, &["<end>"]).unwrap().save(&path).unwrap();
        let whole = std::fs::read_to_string(&path).unwrap();
        // A number, a name or a bracket each, replaced by another one of the file.
        let words: Vec<&str> = whole.split_inclusive(|c: char| !c.is_alphanumeric()).collect();
        let mut random = 1_u64;
        let mut next = |below: usize| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (random >> 33) as usize % below
        };
        let mut refused = 0;
        for _ in 0..500 {
            let mut words = words.clone();
            let (place, other) = (next(words.len()), next(words.len()));
            words[place] = words[other];
            std::fs::write(&path, words.concat()).unwrap();
            refused += usize::from(Bpe::load(&path).is_err());
        }
        assert!(refused > 100, "{refused}");
    }
}
