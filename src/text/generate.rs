//! Text that a model goes on with.

use super::Sampler;
use crate::nn::{Net, Stream};
use crate::tensor::{Cpu, Float, Indices, Named, Tensor, to_vec};
use crate::{Error, Result};

/// Goes on with prompts: one pass over what all have in length, then one token of each at a time. The net takes the tokens
/// and the place of the first of them, `(tokens: [n, t] in V, start: [n] in T)`, and gives the logits of the next token at
/// each place, `[n, t, V]`; what it read before it keeps (`cached`). Each new token is shown to `each`, with the number of
/// its prompt, as soon as it is chosen; a prompt for which it gives `false` is not gone on with.
///
/// Gives the new tokens of each prompt, at most `limit`.
///
/// # Errors
/// If there is no prompt, one is empty, prompt and new tokens do not fit into the places T, a token is beyond V, or a
/// token cannot be chosen.
pub fn generate<E, M, V, T>(
    stream: &mut Stream<E, M>,
    prompts: &[Vec<u32>],
    sampler: &mut Sampler,
    limit: usize,
    mut each: impl FnMut(usize, u32) -> bool,
) -> Result<Vec<Vec<u32>>>
where
    E: Float,
    M: Net<E, Output = Tensor<(usize, usize, V), E, Cpu>>,
    M::Batch: From<(Indices<(usize, usize), V>, Indices<(usize,), T>)>,
    V: Named,
    T: Named,
{
    let lengths = || prompts.iter().map(Vec::len);
    let (Some(shortest), Some(longest)) = (lengths().min().filter(|&least| least > 0), lengths().max()) else {
        return Err(Error::value(
            "a model goes on with prompts of at least one token; give it one, such as the end of a text",
        ));
    };
    // The last new token is not read any more.
    if longest + limit > T::SIZE + 1 {
        return Err(Error::value(format!(
            "a prompt of {longest} tokens and {limit} more do not fit into `{}` of size {}; shorten the prompt or ask for fewer",
            T::NAME,
            T::SIZE
        )));
    }
    let n = prompts.len();
    if stream.kept().next().is_some() {
        stream.reset();
    }
    let mut texts: Vec<Vec<u32>> = prompts.to_vec();
    let mut open = vec![limit > 0; n];
    let mut next: Vec<u32> = prompts.iter().flat_map(|prompt| prompt[..shortest].iter().copied()).collect();
    let mut read = 0;
    while open.contains(&true) {
        let t = next.len() / n;
        let tokens = Indices::new(next, (n, t))?;
        let start = Indices::new(vec![read as u32; n], (n,))?;
        let logits = to_vec(&stream.run(&M::Batch::from((tokens, start)))?);
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
        if read == T::SIZE {
            break;
        }
    }
    Ok(texts.iter().zip(prompts).map(|(text, prompt)| text[prompt.len()..].to_vec()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Binary, DType, NodeId};
    use crate::nn::{self, Batch, BatchOf, Bindings, Embedding, Linear, Model, Path, Slot, Source, Visitor};
    use crate::tensor::{Attention, Feed, In, Scope, Var, add, attention, cached, positions, record, reshape};
    use proptest::prelude::*;

    crate::declare_dim!(struct Word = 7, 1 1 1);
    crate::declare_dim!(struct Place = 12, 1 1 0 0);
    crate::declare_dim!(struct Embed = 6, 1 1 0);
    type Two = dfdx::shapes::Const<2>;
    type Three = dfdx::shapes::Const<3>;

    /// A causal language model of one attention with two heads, with and without a memory.
    struct Tiny<const CACHED: bool> {
        token: Embedding<Word, Embed, f64>,
        place: Embedding<Place, Embed, f64>,
        q: Linear<Embed, Embed, f64>,
        k: Linear<Embed, Embed, f64>,
        v: Linear<Embed, Embed, f64>,
    }

    impl<const CACHED: bool> Model<f64> for Tiny<CACHED> {
        const PARAMETERS: usize = 42 + 72 + 3 * 42;

        fn describe(path: &Path, slots: &mut Vec<Slot>) {
            Embedding::<Word, Embed, f64>::describe(&path.child("token"), slots);
            Embedding::<Place, Embed, f64>::describe(&path.child("place"), slots);
            ["q", "k", "v"].iter().for_each(|part| Linear::<Embed, Embed, f64>::describe(&path.child(part), slots));
        }

        fn build(path: &Path, source: &mut dyn Source<f64>) -> Result<Self> {
            Ok(Tiny {
                token: Model::build(&path.child("token"), source)?,
                place: Model::build(&path.child("place"), source)?,
                q: Model::build(&path.child("q"), source)?,
                k: Model::build(&path.child("k"), source)?,
                v: Model::build(&path.child("v"), source)?,
            })
        }

        fn visit(&self, path: &Path, visitor: &mut dyn Visitor<f64>) -> Result<()> {
            self.token.visit(&path.child("token"), visitor)?;
            self.place.visit(&path.child("place"), visitor)?;
            self.q.visit(&path.child("q"), visitor)?;
            self.k.visit(&path.child("k"), visitor)?;
            self.v.visit(&path.child("v"), visitor)
        }
    }

    struct Input {
        tokens: Indices<(usize, usize), Word>,
        start: Indices<(usize,), Place>,
    }

    impl From<(Indices<(usize, usize), Word>, Indices<(usize,), Place>)> for Input {
        fn from((tokens, start): (Indices<(usize, usize), Word>, Indices<(usize,), Place>)) -> Self {
            Input { tokens, start }
        }
    }

    impl Batch for Input {
        fn dims(&self) -> Result<Vec<usize>> {
            let mut bindings = Bindings::default();
            bindings.bind("n", "tokens", self.tokens.shape().0)?;
            bindings.bind("t", "tokens", self.tokens.shape().1)?;
            bindings.bind("n", "start", self.start.shape().0)?;
            Ok(bindings.sizes())
        }

        fn feed(&self, feed: &mut Feed) {
            feed.indices(&self.tokens);
            feed.indices(&self.start);
        }
    }

    impl<const CACHED: bool> BatchOf<Tiny<CACHED>> for Input {}

    impl<const CACHED: bool> Net<f64> for Tiny<CACHED> {
        const NAME: &'static str = "Tiny";
        const INPUTS: &'static [&'static str] = &["tokens", "start"];
        const OUTPUTS: &'static [&'static str] = &["output"];
        type Batch = Input;
        type Output = Tensor<(usize, usize, Word), f64, Cpu>;

        fn trace(scope: &Scope, dims: &[usize]) -> Vec<NodeId> {
            let (n, t) = (dims[0], dims[1]);
            let tokens = scope.input::<(usize, usize), In<Word>>("tokens", (n, t));
            let start = scope.input::<(usize,), In<Place>>("start", (n,));
            let step = positions::<_, Place>(scope, (t,));
            let places: Var<(usize, usize), In<Place>> = record(&[&step.erase(), &start.erase()], (n, t), &|g, ids| {
                let [step, first] = [ids[0], ids[1]].map(|id| g.cast(id, DType::F64));
                let (step, first) = (g.broadcast(step, &[0], &[n, t])?, g.broadcast(first, &[1], &[n, t])?);
                let place = g.binary(Binary::Add, step, first)?;
                Ok(g.cast(place, DType::Index))
            });
            let token = Embedding::<Word, Embed, f64>::record(&scope.child("token"), &tokens);
            let h = add(&token, &Embedding::<Place, Embed, f64>::record(&scope.child("place"), &places));
            let head = |name: &str| {
                let x = Linear::<Embed, Embed, f64>::record(&scope.child(name), &h);
                let x = reshape(&x, (n, t, Two {}, Three {}));
                record::<(usize, Two, usize, Three), f64>(&[&x.erase()], (n, Two {}, t, Three {}), &|g, ids| {
                    g.permute(ids[0], &[0, 2, 1, 3])
                })
            };
            let (q, k, v) = (head("q"), head("k"), head("v"));
            let shape = (n, Two {}, t, Three {});
            let y = match CACHED {
                false => attention(&q, &k, &v, shape, Attention { causal: true, ..Attention::default() }),
                true => {
                    let all = (n, Two {}, Place, Three {});
                    let k = cached(&scope.child("k"), &k, &start, all);
                    let v = cached(&scope.child("v"), &v, &start, all);
                    let how = Attention { causal: true, start: Some(start.erase()), ..Attention::default() };
                    attention(&q, &k, &v, shape, how)
                }
            };
            let y = record::<(usize, usize, Embed), f64>(&[&y.erase()], (n, t, Embed), &|g, ids| {
                let y = g.permute(ids[0], &[0, 2, 1, 3])?;
                g.reshape(y, &[n, t, 6])
            });
            vec![Embedding::<Word, Embed, f64>::project(&scope.child("token"), &y).id()]
        }
    }

    fn input(tokens: &[u32], n: usize, start: u32) -> Input {
        let t = tokens.len() / n;
        let tokens = Indices::new(tokens.to_vec(), (n, t)).unwrap();
        Input { tokens, start: Indices::new(vec![start; n], (n,)).unwrap() }
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
            let whole: Tiny<false> = nn::init(seed);
            let (with, t): (Tiny<true>, usize) = (nn::init(seed), 12);
            let tokens = &tokens[..n * t];
            let expected = to_vec(&nn::forward(&whole, &input(tokens, n, 0)).unwrap());
            let mut stream = Stream::new(&with).unwrap();
            let mut read = 0;
            for cut in cuts {
                let len = cut.min(t - read);
                if len == 0 {
                    break;
                }
                let part: Vec<u32> = (0..n).flat_map(|i| tokens[i * t + read..][..len].iter().copied()).collect();
                let found = to_vec(&stream.run(&input(&part, n, read as u32)).unwrap());
                for (place, found) in found.iter().enumerate() {
                    let (sample, step, class) = (place / (len * 7), place / 7 % len, place % 7);
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
        let (whole, with): (Tiny<false>, Tiny<true>) = (nn::init(3), nn::init(3));
        let mut stream = Stream::new(&with).unwrap();
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
                let logits = to_vec(&nn::forward(&whole, &input(&text, 1, 0)).unwrap());
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

    /// A step on one token moves rows in place: the program copies no memory, and a second run compiles nothing.
    #[test]
    fn a_step_works_in_place() {
        let graph = nn::trace::<f64, Tiny<true>>(&[1, 1], false).unwrap();
        let program = crate::compile::compile(&graph).unwrap();
        let memory = 12 * 6 * 8;
        assert!(program.workspace_bytes() < 2 * memory, "{program}");
    }

    #[test]
    fn what_does_not_fit_is_said() {
        let with: Tiny<true> = nn::init(3);
        let mut stream = Stream::new(&with).unwrap();
        let greedy = &mut Sampler::greedy();
        let long = generate(&mut stream, &[vec![0; 8]], greedy, 6, |_, _| true).unwrap_err().to_string();
        assert!(long.starts_with("a prompt of 8 tokens and 6 more do not fit into `Place` of size 12"), "{long}");
        assert!(generate(&mut stream, &[vec![1], vec![]], greedy, 1, |_, _| true).is_err());
        stream.run(&input(&[1, 2], 1, 0)).unwrap();
        let other = stream.run(&input(&[1, 2], 2, 0)).unwrap_err().to_string();
        assert!(
            other.starts_with("`k.cache` keeps [12, 6] since an earlier run, and these inputs take [24, 6]"),
            "{other}"
        );
        let beyond = stream.run(&input(&[1, 2], 1, 11)).unwrap_err().to_string();
        assert!(beyond.contains("the table that it points into has 12 rows"), "{beyond}");
    }
}
