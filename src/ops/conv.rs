//! Convolution. Σ y · conv(x, w) is linear in each of x, w and y; the three passes are its derivatives by them, so that
//! derivatives of every order stay among the three.

use super::cases::{Case, Domain, each};
use super::causal::{Course, Site};
use super::kind::{Kind, Operands};
use super::rule::{Cotangents, Rule, Walk};
use super::verify::operand;
use crate::graph::{Conv, DType, Graph, Node, NodeId, Op, Pass};
use crate::kernel::conv as kernel;
use crate::kernel::work::Work;
use crate::{Error, Result};

/// One pass of a convolution.
pub(super) struct Convolution(pub Pass, pub Conv);

impl Graph {
    /// One pass of a convolution; see [`Pass`] for the operands.
    ///
    /// # Errors
    /// If the kernel does not fit, or an operand has not the shape or element type that the pass takes.
    pub fn conv(&mut self, pass: Pass, conv: Conv, a: NodeId, b: NodeId) -> Result<NodeId> {
        let operands = [a, b].map(|x| (&*self[x].dims, self[x].dtype));
        let dims = convolved(pass, conv, operands).map_err(|problem| Error::shape("a convolution", problem))?;
        let dtype = self[a].dtype;
        Ok(self.push(Op::Conv { pass, conv }, vec![a, b], dims, dtype))
    }
}

/// The shape of the result.
fn convolved(pass: Pass, conv: Conv, operands: [(&[usize], DType); 2]) -> std::result::Result<Vec<usize>, String> {
    let count = conv.count()?;
    let [(a, dtype), (b, other)] = operands;
    if !dtype.is_float() || dtype != other {
        return Err(format!("takes real numbers of one type, not {dtype:?} and {other:?}"));
    }
    let (&[n, c, ..], &[o, i, ..], 4, 4) = (a, b, a.len(), b.len()) else {
        return Err(format!("takes operands of four axes, not {a:?} and {b:?}"));
    };
    let groups = conv.groups;
    let plane = |what: &str, dims: &[usize], expected: &[usize]| match dims[2..] == *expected {
        true => Ok(()),
        false => Err(format!("takes {what} of {expected:?} rows and columns and is given {:?}", &dims[2..])),
    };
    let divided = |channels: usize| match channels.is_multiple_of(groups) {
        true => Ok(channels / groups),
        false => Err(format!("{groups} groups do not divide {channels} channels")),
    };
    match pass {
        Pass::Forward => {
            plane("images", a, &conv.size)?;
            plane("weights", b, &conv.kernel)?;
            if divided(c)? != i {
                return Err(format!("{c} channels in {groups} groups meet weights for {i} channels"));
            }
            divided(o)?;
            Ok(vec![n, o, count[0], count[1]])
        }
        Pass::Data => {
            plane("results", a, &count)?;
            plane("weights", b, &conv.kernel)?;
            if divided(c)? * groups != o {
                return Err(format!("{c} channels meet weights that give {o} channels"));
            }
            Ok(vec![n, groups * i, conv.size[0], conv.size[1]])
        }
        Pass::Weight => {
            plane("images", a, &conv.size)?;
            plane("results", b, &count)?;
            if n != o {
                return Err(format!("{n} images meet {o} results"));
            }
            divided(i)?;
            Ok(vec![i, divided(c)?, conv.kernel[0], conv.kernel[1]])
        }
    }
}

impl Rule<'_> for Convolution {
    fn arity(&self) -> Option<usize> {
        Some(2)
    }

    fn result(&self, graph: &Graph, node: &Node) -> Result<(Vec<usize>, DType), String> {
        let operands = [0, 1].map(|i| (&*operand(graph, node, i).dims, operand(graph, node, i).dtype));
        Ok((convolved(self.0, self.1, operands)?, operands[0].1))
    }

    fn kind(&self) -> Kind<'static> {
        Kind::Alone(launch)
    }

    fn passes(&self) -> usize {
        0
    }

    fn course(&self, at: &Site<'_>) -> Result<Course, String> {
        // Images stay apart; channels, rows and columns are summed over.
        let mut images = at.none(0);
        images[0] = (self.0 != Pass::Weight).then_some(0);
        at.computed(&[images, at.none(1)])
    }

    fn value(&self, graph: &Graph, node: &Node, operands: &[&[f64]]) -> Result<Vec<f64>> {
        let from = |i: usize| &*operand(graph, node, i).dims;
        Ok(conv(self.0, self.1, [from(0), from(1)], operands, &node.dims))
    }

    fn vjp(&self, graph: &mut Graph, y: NodeId, c: Cotangents<'_>, _: Walk) -> Result<Vec<Option<NodeId>>> {
        let (a, b, c) = (graph[y].inputs[0], graph[y].inputs[1], c.one()?);
        Ok(conv_vjp(graph, self.0, self.1, a, b, c)?.map(Some).to_vec())
    }

    fn cases(float: DType) -> Result<Vec<Case>> {
        let passes = each!(Pass: Forward Data Weight).iter();
        let cases: Result<Vec<_>> = passes.map(|&pass| conv_cases(pass, float)).collect();
        Ok(cases?.concat())
    }
}

fn launch(graph: &Graph, id: NodeId, operands: &mut Operands<'_>) -> Result<Work, NodeId> {
    let node = &graph[id];
    let Op::Conv { pass, conv } = node.op else { return Err(id) };
    let [a, b] = [0, 1].map(|i| &*graph[node.inputs[i]].dims);
    let weights = match pass {
        Pass::Forward | Pass::Data => b,
        Pass::Weight => &node.dims,
    };
    let count = conv.count().map_err(|_| id)?;
    Ok(Work::Convolution(Box::new(kernel::Convolution {
        pass,
        conv,
        count,
        batch: a[0],
        inputs: weights[1],
        outputs: weights[0] / conv.groups,
        phases: kernel::phases(pass, &conv, count),
        operands: [operands.dense(graph, node.inputs[0])?, operands.dense(graph, node.inputs[1])?],
        result: operands.dense(graph, id)?,
    })))
}

/// The result for operands of verified shapes.
fn conv(pass: Pass, conv: Conv, dims: [&[usize]; 2], operands: &[&[f64]], result: &[usize]) -> Vec<f64> {
    let (x, w, y) = match pass {
        Pass::Forward => (dims[0], dims[1], result),
        Pass::Data => (result, dims[1], dims[0]),
        Pass::Weight => (dims[0], result, dims[1]),
    };
    let Conv { size, kernel, stride, dilation, before, groups, .. } = conv;
    let (inputs, outputs) = (w[1], w[0] / groups);
    let mut found = vec![0.0; result.iter().product()];
    for n in 0..x[0] {
        for o in 0..w[0] {
            for i in 0..inputs {
                let channel = o / outputs * inputs + i;
                for tap in 0..kernel[0] * kernel[1] {
                    let at_w = (o * inputs + i) * kernel[0] * kernel[1] + tap;
                    for position in 0..y[2] * y[3] {
                        let at_y = (n * w[0] + o) * y[2] * y[3] + position;
                        let seen = |axis: usize, position: usize, tap: usize| {
                            (position * stride[axis] + tap * dilation[axis])
                                .checked_sub(before[axis])
                                .filter(|&at| at < size[axis])
                        };
                        let (row, column) =
                            (seen(0, position / y[3], tap / kernel[1]), seen(1, position % y[3], tap % kernel[1]));
                        let (Some(row), Some(column)) = (row, column) else { continue };
                        let at_x = ((n * x[1] + channel) * size[0] + row) * size[1] + column;
                        match pass {
                            Pass::Forward => found[at_y] += operands[0][at_x] * operands[1][at_w],
                            Pass::Data => found[at_x] += operands[0][at_y] * operands[1][at_w],
                            Pass::Weight => found[at_w] += operands[0][at_x] * operands[1][at_y],
                        }
                    }
                }
            }
        }
    }
    found
}

/// The two other passes, with the cotangent in the place of the result.
fn conv_vjp(graph: &mut Graph, pass: Pass, conv: Conv, a: NodeId, b: NodeId, c: NodeId) -> Result<[NodeId; 2]> {
    let (by_a, by_b) = match pass {
        Pass::Forward => ((Pass::Data, c, b), (Pass::Weight, a, c)),
        Pass::Data => ((Pass::Forward, c, b), (Pass::Weight, c, a)),
        Pass::Weight => ((Pass::Data, b, c), (Pass::Forward, a, c)),
    };
    Ok([graph.conv(by_a.0, conv, by_a.1, by_a.2)?, graph.conv(by_b.0, conv, by_b.1, by_b.2)?])
}

/// Geometry, images, channels of a group before and after.
const CASES: [(Conv, [usize; 3]); 7] = [
    (plain([4, 5], [3, 3]), [2, 2, 3]),
    (Conv { before: [1, 1], after: [1, 1], ..plain([5, 4], [3, 3]) }, [1, 3, 2]),
    (Conv { stride: [2, 2], before: [1, 1], after: [1, 1], ..plain([6, 5], [3, 3]) }, [2, 2, 2]),
    (Conv { stride: [2, 3], dilation: [2, 1], before: [2, 0], after: [1, 2], ..plain([7, 6], [3, 2]) }, [1, 2, 2]),
    (Conv { stride: [2, 2], ..plain([5, 5], [1, 1]) }, [2, 3, 4]),
    (Conv { groups: 3, before: [1, 1], after: [1, 1], ..plain([4, 4], [3, 3]) }, [2, 1, 1]),
    (Conv { groups: 2, before: [0, 1], after: [0, 2], ..plain([1, 7], [1, 4]) }, [2, 2, 3]),
];

const fn plain(size: [usize; 2], kernel: [usize; 2]) -> Conv {
    Conv { size, kernel, stride: [1, 1], dilation: [1, 1], before: [0, 0], after: [0, 0], groups: 1 }
}

/// The shapes of the operands of a pass and of its result.
fn shapes(pass: Pass, conv: Conv, [n, i, o]: [usize; 3]) -> [[usize; 4]; 3] {
    let count = conv.count().expect("the kernel fits");
    let x = [n, conv.groups * i, conv.size[0], conv.size[1]];
    let w = [conv.groups * o, i, conv.kernel[0], conv.kernel[1]];
    let y = [n, conv.groups * o, count[0], count[1]];
    match pass {
        Pass::Forward => [x, w, y],
        Pass::Data => [y, w, x],
        Pass::Weight => [x, y, w],
    }
}

fn conv_cases(pass: Pass, float: DType) -> Result<Vec<Case>> {
    let all = Domain::reals(-2.0, 2.0);
    let case = |&(conv, sizes): &(Conv, [usize; 3])| {
        let [a, b, _] = shapes(pass, conv, sizes);
        let name = format!("Conv {pass:?} {conv:?}");
        Case::new(name, float, &[(&a, all), (&b, all)], |graph, x| graph.conv(pass, conv, x[0], x[1]))
    };
    CASES.iter().map(case).collect()
}

#[cfg(all(test, feature = "check"))]
mod tests {
    use super::*;
    use crate::ops::interpret;
    use crate::run::compile;
    use crate::run::{Data, State};
    use proptest::prelude::*;

    fn configurations() -> impl Strategy<Value = (Conv, [usize; 3])> {
        let axis = (1usize..5, 1usize..4, 1usize..4, 0usize..4, 0usize..4, 1usize..24);
        let fits = |&(kernel, _, dilation, before, after, size): &(usize, usize, usize, usize, usize, usize)| {
            size + before + after > dilation * (kernel - 1)
        };
        let axis = axis.prop_filter("the kernel is larger than the image", fits);
        let channels = prop_oneof![3 => (1usize..4, 1usize..9, 1usize..20), 1 => (1usize..9, 1usize..2, 1usize..3)];
        (axis.clone(), axis, channels, 1usize..4).prop_map(|(a, b, (groups, i, o), n)| {
            let conv = Conv {
                size: [a.5, b.5],
                kernel: [a.0, b.0],
                stride: [a.1, b.1],
                dilation: [a.2, b.2],
                before: [a.3, b.3],
                after: [a.4, b.4],
                groups,
            };
            (conv, [n, i, o])
        })
    }

    /// Compares all passes in `f32` with the interpreter. The elements are small whole numbers, so that every sum is
    /// exact in whatever order it is added.
    fn agree(conv: Conv, sizes: [usize; 3], seed: u64) -> std::result::Result<(), TestCaseError> {
        let mut graph = Graph::new();
        let [x, w, y] = shapes(Pass::Forward, conv, sizes);
        let dims = [x, w, y];
        let [x, w, y] = ["x", "w", "y"].map(|name| {
            let at = ["x", "w", "y"].iter().position(|known| *known == name).expect("one of the three");
            graph.input(name, &dims[at], DType::F32)
        });
        for (pass, a, b) in [(Pass::Forward, x, w), (Pass::Data, y, w), (Pass::Weight, x, y)] {
            let result = graph.conv(pass, conv, a, b).expect("it fits");
            graph.output(format!("{pass:?}"), result);
        }
        let values = |i: usize| {
            let reals = Domain::reals(-4.0, 4.0).sample(dims[i].iter().product(), seed.wrapping_add(i as u64));
            reals.into_iter().map(f64::floor).collect::<Vec<_>>()
        };
        let values = [values(0), values(1), values(2)];
        let expected = interpret(&graph, &[], &values).expect("well-formed").outputs;
        let program = compile(&graph).expect("one float type");
        let state = State::new(&[]);
        let mut workspace = program.workspace(&state).expect("no state");
        let given = values.map(|v| v.iter().map(|&x| x as f32).collect::<Vec<_>>());
        let data = [0, 1, 2].map(|i| Data::F32(&given[i]));
        program.evaluate(&state, &data, &mut workspace).expect("it runs");
        for (i, expected) in expected.iter().enumerate() {
            let found = program.output(&workspace, i).to_f64();
            let name = &program.outputs()[i].name;
            let wrong = found.iter().zip(expected).position(|(a, b)| a != b);
            prop_assert!(wrong.is_none(), "{name} of {conv:?} {sizes:?} differs first at {wrong:?}");
        }
        Ok(())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn kernels_agree_with_the_interpreter((conv, sizes) in configurations(), seed in any::<u64>()) {
            agree(conv, sizes, seed)?;
        }
    }

    /// Blocks of columns, of rows and of the sum, on two threads.
    #[test]
    fn large_convolutions_agree_with_the_interpreter() {
        let same = Conv { before: [1, 1], after: [1, 1], ..plain([32, 32], [3, 3]) };
        let small = Conv { size: [4, 4], ..same };
        for (conv, sizes) in [
            (same, [3, 16, 16]),
            (same, [2, 70, 20]),
            (small, [16, 64, 130]),
            (Conv { stride: [2, 2], ..same }, [2, 16, 32]),
            (Conv { size: [17, 40], ..plain([32, 32], [1, 1]) }, [2, 64, 64]),
            (Conv { groups: 64, ..same }, [2, 1, 1]),
            (Conv { size: [1, 300], ..plain([1, 1], [1, 5]) }, [3, 40, 33]),
            (Conv { size: [1, 200], ..plain([1, 1], [1, 5]) }, [5, 20, 33]),
            (
                Conv {
                    size: [20, 37],
                    kernel: [3, 4],
                    stride: [1, 2],
                    dilation: [2, 3],
                    before: [2, 1],
                    after: [2, 2],
                    groups: 2,
                },
                [3, 5, 7],
            ),
        ] {
            agree(conv, sizes, 5).expect("equal");
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let mut graph = Graph::new();
        let x = graph.input("x", &[2, 4, 5, 5], DType::F32);
        let w = graph.input("w", &[6, 4, 3, 3], DType::F32);
        let conv = plain([5, 5], [3, 3]);
        let mut error = |conv| graph.conv(Pass::Forward, conv, x, w).unwrap_err().to_string();
        for (conv, part) in [
            (Conv { size: [4, 5], ..conv }, "takes images of [4, 5] rows and columns and is given [5, 5]"),
            (Conv { dilation: [3, 1], ..conv }, "reaches over 7 positions, and the image with its padding has 5"),
            (Conv { groups: 3, ..conv }, "3 groups do not divide 4 channels"),
            (Conv { groups: 2, ..conv }, "4 channels in 2 groups meet weights for 4 channels"),
            (Conv { stride: [0, 1], ..conv }, "at least size 1"),
        ] {
            let found = error(conv);
            assert!(found.contains(part), "{found}");
        }
    }
}
