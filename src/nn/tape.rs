//! Nets on dfdx's tape.

use super::call::parameters;
use super::compiled::{Purpose, next_step, reals, remembered, state};
use super::{Net, Outputs, Slot, Visitor, trace};
use crate::grad::vjp;
use crate::graph::{Graph, NodeId};
use crate::kernel::schedule::Home;
use crate::tensor::{Cpu, Feed, Float, HostTensor, Path, Scope, Shape, Tape, Tensor};
use crate::{Error, Result};
use dfdx::tensor::{CpuError, PutTape, SplitTape};
use dfdx::tensor_ops::ReshapeTo;

/// The result of a net with one real input and one real result, on the input's tape: dfdx differentiates through it, by
/// the input and by every parameter. `dims` are the run-time dimensions of the net in the order of their first
/// appearance. The net runs as after training, without dropout.
///
/// # Errors
/// If the net cannot take these dimensions, or a parameter is a broadcast or permuted view, whose gradient dfdx would
/// take to be laid out differently.
pub fn on_tape<E, M, S, Dst, T>(model: &M, x: Tensor<S, E, Cpu, T>, dims: &[usize]) -> Result<Tensor<Dst, E, Cpu, T>>
where
    E: Float,
    M: Net<E>,
    S: Shape,
    Dst: Shape,
    T: Tape<E, Cpu>,
{
    let x = x.try_contiguous().map_err(|e| Error::value(format!("the input could not be laid out in order: {e}")))?;
    let (x, mut tape) = x.split_tape();
    let mut state = state(model)?;
    state.set_key(0, next_step());
    let mut feed = Feed::default();
    feed.tensor(&x);
    let forward = remembered::<M>(Purpose::Forward, dims, || trace::<E, M>(dims, false))?;
    let mut workspace = forward.program.workspace(&state)?;
    forward.program.evaluate(&state, &feed.data(), &mut workspace)?;
    let y: Tensor<Dst, E, Cpu> = Outputs::collect(&[forward.value(&workspace, 0)])?;
    if T::OWNS_TAPE {
        let backward = remembered::<M>(Purpose::Backward, dims, || backward_graph::<E, M>(dims))?;
        let mut workspace = backward.program.workspace(&state)?;
        let mut handles = Handles(Vec::new());
        model.visit(&Path::root(), &mut handles)?;
        let result = y.clone();
        tape.add_backward_op(move |gradients| {
            let cotangent = gradients.get_or_alloc_mut(&result)?.to_vec();
            feed.slice(&cotangent);
            // Shapes were checked when the program was made; dfdx's error type knows no other reason.
            backward.program.evaluate(&state, &feed.data(), &mut workspace).map_err(|_| CpuError::WrongNumElements)?;
            x.add_gradient(gradients, reals(&backward.value(&workspace, 0).data))?;
            for (i, output) in backward.program.outputs().iter().enumerate().skip(1) {
                let (_, parameter) =
                    handles.0.iter().find(|(key, _)| *key == output.name).ok_or(CpuError::WrongNumElements)?;
                parameter.add_gradient(gradients, reals(&backward.value(&workspace, i).data))?;
            }
            Ok(())
        });
    }
    Ok(y.put_tape(tape))
}

/// From the input and the cotangent of the result to those of the input and of each parameter.
fn backward_graph<E: Float, M: Net<E>>(dims: &[usize]) -> Result<Graph> {
    let scope = Scope::new(false);
    let results = M::trace(&scope, dims);
    let mut graph = scope.finish()?;
    let input = graph.nodes().find(|(_, node)| node.given() == Some(Home::Input(0))).map(|(id, _)| id);
    let (Some(input), &[y]) = (input, &results[..]) else {
        return Err(Error::value(format!("`{}` cannot stand on a tape: it needs one input and one result", M::NAME)));
    };
    let (shape, dtype) = (graph[y].dims.clone(), graph[y].dtype);
    let cotangent = graph.input("cotangent", &shape, dtype);
    let (keys, nodes): (Vec<String>, Vec<NodeId>) = parameters(&graph).into_iter().unzip();
    let wrt: Vec<NodeId> = std::iter::once(input).chain(nodes).collect();
    let gradients = vjp(&mut graph, &[(y, cotangent)], &wrt)?;
    let names = std::iter::once(M::INPUTS[0].to_owned()).chain(keys);
    for (name, gradient) in names.zip(gradients) {
        graph.output(name, gradient);
    }
    Ok(graph)
}

/// The tensors of a model by key.
struct Handles<E: Float>(Vec<(String, Box<dyn HostTensor<E>>)>);

impl<E: Float> Visitor<E> for Handles<E> {
    fn tensor(&mut self, slot: &Slot, tensor: &dyn HostTensor<E>) -> Result<()> {
        if !tensor.is_contiguous() {
            return Err(Error::value(format!(
                "`{}` is a broadcast or permuted view of another tensor; call `contiguous()` on it first",
                slot.key
            )));
        }
        self.0.push((slot.key.clone(), tensor.handle()));
        Ok(())
    }
}
