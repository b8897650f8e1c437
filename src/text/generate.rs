//! Text that a model goes on with.

use super::Sampler;
use crate::nn::{Net, Stream};
use crate::tensor::{Cpu, Float, Indices, Named, Tensor, to_vec};
use crate::{Error, Result};

/// Goes on with prompts: one pass over what all have in length, then one token of each at a time. The net takes tokens
/// `(tokens: [n, t] in V)` and gives the logits of the next token at each place, `[n, t, V]`; the stream forgets what it has
/// read before. Each new token is shown to `each`, with the number of its prompt, as soon as it is chosen; a prompt for
/// which it gives `false` is not gone on with.
///
/// Gives the new tokens of each prompt, at most `limit`.
///
/// # Errors
/// If there is no prompt, one is empty, prompt and new tokens do not fit into the places of the stream, a token is beyond V,
/// or a token cannot be chosen.
pub fn generate<E, M, V>(
    stream: &mut Stream<E, M>,
    prompts: &[Vec<u32>],
    sampler: &mut Sampler,
    limit: usize,
    mut each: impl FnMut(usize, u32) -> bool,
) -> Result<Vec<Vec<u32>>>
where
    E: Float,
    M: Net<E, Output = Tensor<(usize, usize, V), E, Cpu>>,
    M::Batch: From<Indices<(usize, usize), V>>,
    V: Named,
{
    let lengths = || prompts.iter().map(Vec::len);
    let (Some(shortest), Some(longest)) = (lengths().min().filter(|&least| least > 0), lengths().max()) else {
        return Err(Error::value(
            "a model goes on with prompts of at least one token; give it one, such as the end of a text",
        ));
    };
    let (places, _) = stream.places();
    // The last new token is not read any more.
    if longest + limit > places + 1 {
        return Err(Error::value(format!(
            "a prompt of {longest} tokens and {limit} more do not fit into a stream of {places} places; make a longer one, \
             shorten the prompt or ask for fewer"
        )));
    }
    let n = prompts.len();
    stream.reset();
    let mut texts: Vec<Vec<u32>> = prompts.to_vec();
    let mut open = vec![limit > 0; n];
    let mut next: Vec<u32> = prompts.iter().flat_map(|prompt| prompt[..shortest].iter().copied()).collect();
    let mut read = 0;
    while open.contains(&true) {
        let t = next.len() / n;
        let logits = to_vec(&stream.run(&M::Batch::from(Indices::new(next, (n, t))?))?);
        read += t;
        next = Vec::with_capacity(n);
        for (i, text) in texts.iter_mut().enumerate() {
            if read < prompts[i].len() {
                next.push(prompts[i][read]);
                continue;
            }
            if open[i] {
                let own = &logits[(i * t + t - 1) * V::SIZE..][..V::SIZE];
                let token = sampler.sample(own, text)?;
                text.push(token);
                open[i] = each(i, token) && text.len() < prompts[i].len() + limit;
            }
            // What has ended is read on with its last token, and nobody looks at what follows.
            next.push(text.last().copied().unwrap_or(0));
        }
        if read == places {
            break;
        }
    }
    Ok(texts.iter().zip(prompts).map(|(text, prompt)| text[prompt.len()..].to_vec()).collect())
}

#[cfg(all(test, feature = "check"))]
mod tests {
    use super::*;
    use crate::nn;
    use proptest::prelude::*;

    crate::net! {
        pub dim Word = 7;
        pub dim Place = 12;
        pub dim Embed = 6;

        /// A causal language model of one attention with two heads.
        pub net Tiny(tokens: [n, t] in Word) -> [n, t, Word] {
            let token = embedding(Embed);
            let h = token(tokens) + (positions([t], Place) |> place: embedding(Embed));
            let by_head = |z| z |> [n, t, (2 e)] -> [n, 2, t, e];
            let (q, k) = (by_head(h |> q: linear(Embed)), by_head(h |> k: linear(Embed)));
            attention(q, k, by_head(h |> v: linear(Embed)), causal = true)
                |> [n, 2, t, e] -> [n, t, (2 e)] |> token.project
        }

        /// Each word sees all of the text.
        pub net Bag(tokens: [n, t] in Word) -> [n, t, Word] {
            let h = tokens |> embedding(Embed) |> [n, t, (2 e)] -> [n, 2, t, e];
            let seen = attention(h, h, h, causal = true) |> [n, 2, t, e] -> [n, t, (2 e)];
            (seen |> linear(Word)) + (mean(seen, over = t) |> linear(Word) |> [n, w] -> [n, 1, w])
        }
    }

    fn input(tokens: &[u32], n: usize) -> TinyBatch {
        Indices::new(tokens.to_vec(), (n, tokens.len() / n)).unwrap().into()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

        /// However a text is cut into runs, the logits are those of one run without a memory.
        #[test]
        fn a_memory_changes_nothing(
            seed in 0u64..5,
            n in 1usize..3,
            tokens in prop::collection::vec(0u32..7, 24),
            cuts in prop::collection::vec(1usize..6, 12),
        ) {
            let (tiny, t): (Tiny<f64>, usize) = (nn::init(seed), 12);
            let tokens = &tokens[..n * t];
            let expected = to_vec(&nn::forward(&tiny, &input(tokens, n)).unwrap());
            let mut stream = Stream::new(&tiny, 12).unwrap();
            let mut read = 0;
            for cut in cuts {
                let len = cut.min(t - read);
                if len == 0 {
                    break;
                }
                let piece: Vec<u32> =
                    (0..n).flat_map(|sample| tokens[sample * t + read..][..len].iter().copied()).collect();
                let found = to_vec(&stream.run(&input(&piece, n)).unwrap());
                for (i, found) in found.iter().enumerate() {
                    let (sample, step, class) = (i / (len * 7), i / 7 % len, i % 7);
                    let expected = expected[(sample * t + read + step) * 7 + class];
                    prop_assert!((found - expected).abs() < 1e-10, "{found} and {expected}");
                }
                read += len;
            }
        }
    }

    /// Greedy generation, checked token by token against whole runs without a memory; prompts of different lengths side by
    /// side give what each gives alone.
    #[test]
    fn prompts_are_gone_on_with() {
        let tiny: Tiny = nn::init(3);
        let mut stream = Stream::new(&tiny, 12).unwrap();
        let prompts = vec![vec![1, 2, 3, 4], vec![5, 0]];
        let mut shown = Vec::new();
        let greedy = &mut Sampler::greedy();
        let both = generate(&mut stream, &prompts, greedy, 8, |i, token| {
            shown.push((i, token));
            true
        });
        let both = both.unwrap();
        assert_eq!(shown.len(), 16);
        for (prompt, tokens) in prompts.iter().zip(&both) {
            let mut text = prompt.clone();
            for &token in tokens {
                let logits = to_vec(&nn::forward(&tiny, &input(&text, 1)).unwrap());
                assert_eq!(token, Sampler::greedy().sample(&logits[logits.len() - 7..], &[]).unwrap());
                text.push(token);
            }
            let alone = generate(&mut stream, std::slice::from_ref(prompt), greedy, 8, |_, _| true).unwrap();
            assert_eq!(alone, std::slice::from_ref(tokens));
        }
        // A full context, and a stop after the second token.
        assert_eq!(generate(&mut stream, &[vec![1; 12]], greedy, 1, |_, _| true).unwrap()[0].len(), 1);
        let mut count = 0;
        let stopped = generate(&mut stream, &prompts[..1], greedy, 8, |_, _| {
            count += 1;
            count < 2
        });
        assert_eq!(stopped.unwrap()[0], both[0][..2]);
    }

    #[test]
    fn what_does_not_fit_is_said() {
        let tiny: Tiny<f64> = nn::init(3);
        let mut stream = Stream::new(&tiny, 12).unwrap();
        let greedy = &mut Sampler::greedy();
        let long = generate(&mut stream, &[vec![0; 8]], greedy, 6, |_, _| true).unwrap_err().to_string();
        assert!(long.starts_with("a prompt of 8 tokens and 6 more do not fit into a stream of 12 places"), "{long}");
        assert!(generate(&mut stream, &[vec![1], vec![]], greedy, 1, |_, _| true).is_err());
        stream.reset();
        stream.run(&input(&[1, 2], 1)).unwrap();
        let other = stream.run(&input(&[1, 2], 2)).unwrap_err().to_string();
        assert!(other.starts_with("a stream that has read 1 samples side by side cannot go on with 2"), "{other}");
        let beyond = stream.run(&input(&[1; 11], 1)).unwrap_err().to_string();
        assert!(beyond.starts_with("a stream of 12 positions has read 2, and has no room for 11 more"), "{beyond}");
        let mut long = Stream::new(&tiny, 20).unwrap();
        long.run(&input(&[1; 12], 1)).unwrap();
        let beyond = long.run(&input(&[1], 1)).unwrap_err().to_string();
        assert!(beyond.contains("the table that it points into has 12 rows"), "{beyond}");
    }

    #[test]
    fn a_net_that_looks_ahead_is_refused() {
        let bag: Bag = nn::init(3);
        let error = generate(&mut Stream::new(&bag, 12).unwrap(), &[vec![1]], &mut Sampler::greedy(), 2, |_, _| true);
        let error = error.unwrap_err().to_string();
        assert_eq!(
            error,
            "`Bag` cannot be read piece by piece: Reduce { op: Sum, axes: [1] } goes over positions, which causal attention \
             alone may do, behind `embedding1`; give it whole inputs by `forward` or a `Session`"
        );
    }
}
