//! What goes by indices: `embedding` and its `project`, `gather`, `positions`.

use super::arguments::{Gift, Given};
use super::block::Inference;
use super::typed::{Acts, Call, LayerKind, Operation};
use super::types::{Axis, Element, Type};
use super::value::{Callable, LayerValue, Tensor};
use crate::functions::{Rule, runtime};
use crate::report::{Checked, Place};
use crate::terms::Term;
use ansatz_shapes::{Misfit, Size as _};

impl<'a> Inference<'a, '_, '_> {
    /// For each index a row of a table.
    pub(super) fn embedding(
        &mut self,
        layer: &LayerValue<'a>,
        x: &Tensor,
        given: &Given<'a>,
        at: Place,
    ) -> Checked<Tensor> {
        let Some(Gift::Width(width, place)) = given.get("width") else { return self.unexplained(at) };
        let space = self.indices("embedding", x, at)?;
        if let Some(position) = self.parts.at(layer.site) {
            let LayerKind::Unit { sizes, .. } = &self.parts.layers[position].kind else { return self.unexplained(at) };
            if sizes[0] == space {
                return self.unit_again(position, x, vec![], at);
            }
            let (shown, own) = (self.parts.layers[position].shown.clone(), sizes[0].clone());
            let first = self.parts.layers[position].signature.0.clone();
            return self
                .fault(at, format!("`{shown}` takes indices into {own}, but is given {}", x.ty))
                .note(format!("its first use gave it {first}"))
                .help("all uses of a layer share its parameters: give it indices of one kind, or make a second layer")
                .fail();
        }
        self.fixed("embedding", width, *place, "produce")?;
        self.fixed("embedding", &space, at, "take indices into")?;
        let (rows, columns) = (self.known(space.number(), at)?, self.known(width.number(), at)?);
        let kind = LayerKind::Unit {
            name: "Embedding",
            sizes: vec![space, width.clone()],
            acts: Acts::ByIndex,
            parameters: self.numbers("embedding", &[rows, columns], 0, at)?,
            work: Term::literal(0),
        };
        self.unit("embedding", layer, kind, x, vec![], at)
    }

    /// `e.project(x)`: x · Wᵀ with the table of an embedding.
    pub(super) fn project(&mut self, layer: &LayerValue<'a>, x: &Tensor, at: Place) -> Checked<Tensor> {
        let mut bound = layer;
        loop {
            bound = match &bound.kind {
                Callable::Bound(inner) => inner,
                // What is frozen projects by its table all the same.
                Callable::Function(function, given) if function.rule == Rule::Freeze => match given.get("layer") {
                    Some(Gift::Layer(inner, _)) => inner,
                    _ => break,
                },
                _ => break,
            };
        }
        let shown = self.parts.called(bound);
        let is_embedding = matches!(&bound.kind, Callable::Function(function, _) if function.name == "embedding");
        if !is_embedding {
            return self
                .fault(at, format!("`{shown}` has no `project`"))
                .help("an embedding has: `let e = embedding(width);`, and then `e.project(x)` is x Wᵀ with its table")
                .fail();
        }
        let Some(position) = self.parts.at(bound.site) else {
            return self
                .fault(at, format!("the table of `{shown}` has no size yet"))
                .help("apply the embedding to indices before its `project`: they say how many rows it has")
                .fail();
        };
        self.reals("project", x, at)?;
        let LayerKind::Unit { sizes, .. } = &self.parts.layers[position].kind else { return self.unexplained(at) };
        let [rows, width] = [sizes[0].clone(), sizes[1].clone()];
        match ansatz_shapes::linear(&x.ty.axes, &Axis::from(width.clone()), &Axis::from(rows.clone())) {
            Ok(axes) => {
                let work = x.ty.axes.iter().fold(rows, |work, axis| work.times(&axis.size));
                self.parts.work(position, &work);
                let (inputs, settings) = (vec![x.id], vec![]);
                let operation = Operation::Layer { layer: position, method: "project", inputs, settings };
                self.tensor(operation, Type::real(axes), at)
            }
            Err(misfit) => {
                let holes = vec!["_".to_owned(); x.ty.rank().saturating_sub(1)];
                let wanted = holes.into_iter().chain([width.to_string()]).collect::<Vec<_>>().join(", ");
                let message = format!("`{shown}.project` takes [{wanted}] but is given {}", x.ty);
                self.misfit(&misfit, &shown, message, x, at).fail()
            }
        }
    }

    /// Rows of a table by indices into its first axis.
    pub(super) fn gather(&mut self, table: &Tensor, index: &Tensor, at: Place) -> Checked<Tensor> {
        let space = self.indices("gather", index, at)?;
        let Ok(axes) = ansatz_shapes::gather(&table.ty.axes, &index.ty.axes) else {
            return self.fail(at, "`gather` takes rows of a table, but is given a scalar []");
        };
        let rows = table.ty.axes[0].size.clone();
        if rows != space {
            let misfit =
                Misfit::Size { operand: 1, axis: 0, expected: Axis::from(rows.clone()), found: Axis::from(space) };
            let message = format!(
                "`gather` takes indices into {rows}, the first axis of {}, but is given {}",
                table.ty, index.ty
            );
            return self.misfit(&misfit, "gather", message, index, at).fail();
        }
        let ty = Type { element: table.ty.element.clone(), axes };
        self.tensor(Call::new(runtime("gather"), [table, index]), ty, at)
    }

    /// The position along the last axis, as an index.
    pub(super) fn positions(&mut self, given: &Given<'a>, at: Place) -> Checked<Tensor> {
        let (Some(Gift::Shape(axes)), Some(Gift::Width(space, place))) = (given.get("shape"), given.get("space"))
        else {
            return self.unexplained(at);
        };
        self.known_sizes(axes, at)?;
        self.fixed("positions", space, *place, "give indices into")?;
        let Some(last) = axes.last() else {
            return self.fail(at, "`positions` counts along the last axis, but [] has none");
        };
        if let (Some(count), Some(size)) = (last.size.number(), space.number())
            && count > size
        {
            return self
                .fault(at, format!("{count} positions have no indices into {space}, which has size {size}"))
                .help("declare a dimension that is large enough for all positions")
                .fail();
        }
        let ty = Type { element: Element::Index(space.clone()), axes: axes.clone() };
        self.tensor(Call::new(runtime("positions"), None), ty, at)
    }

    /// The space of a tensor of indices.
    fn indices(&mut self, callee: &str, x: &Tensor, at: Place) -> Checked<Term> {
        if let Element::Index(space) = &x.ty.element {
            return Ok(space.clone());
        }
        self.about(x, at, format!("`{callee}` goes by indices, but is given {}", x.ty))
            .help("indices are declared with the dimension that they point into: `tokens: [n, t] in Word`")
            .fail()
    }
}
