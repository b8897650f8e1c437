//! Rows of a table by their indices: taken, summed, replaced. The derivative of each consists of the others.

use super::cases::{Case, Domain};
use super::causal::{Course, Site};
use super::kind::{Kind, Operands};
use super::rule::{Cotangents, Rule, Walk};
use super::simplify::Rewriter;
use super::verify::{expect, fit, float, operand};
use crate::graph::{Compare, DType, Graph, Node, NodeId, Op, misfit};
use crate::kernel::lookup::{self, Lookup};
use crate::kernel::work::Work;
use crate::{Error, Result};
use ansatz_shapes as shapes;

/// Rows by their indices.
pub(super) struct Gather;

impl Graph {
    /// The rows of a table at the indices: `[rows, ..]` at `[i, ..]` gives `[i, .., ..]`.
    ///
    /// # Errors
    /// If the table has no axis, or `index` does not hold indices. A run whose indices are beyond the table is an error of
    /// the run.
    pub fn gather(&mut self, table: NodeId, index: NodeId) -> Result<NodeId> {
        self.expect_indices("gather", index)?;
        let dims = shapes::gather(&self[table].dims, &self[index].dims).map_err(misfit("gather"))?;
        let dtype = self[table].dtype;
        Ok(self.push(Op::Gather, vec![table, index], dims, dtype))
    }

    /// A table of `rows` rows, each the sum of the values whose index it is, in their order; zeros where there is none.
    /// Values `[i, .., ..]` at `[i, ..]` give `[rows, ..]`.
    ///
    /// # Errors
    /// If the values are no reals with a row for each index, or `index` does not hold indices.
    pub fn scatter_add(&mut self, values: NodeId, index: NodeId, rows: usize) -> Result<NodeId> {
        self.expect_float("scatter_add", values)?;
        self.expect_indices("scatter_add", index)?;
        let (values_dims, index_dims) = (&self[values].dims, &self[index].dims);
        let dims = shapes::scatter(&rows, values_dims, index_dims).map_err(misfit("scatter_add"))?;
        let dtype = self[values].dtype;
        Ok(self.push(Op::ScatterAdd, vec![values, index], dims, dtype))
    }

    /// The table with its rows at the indices replaced by values `[i, .., ..]`; of equal indices the last one's row stays.
    ///
    /// # Errors
    /// If the values have not a row of the table for each index, or `index` does not hold indices.
    pub fn put(&mut self, table: NodeId, index: NodeId, values: NodeId) -> Result<NodeId> {
        self.expect_indices("put", index)?;
        let rows = shapes::gather(&self[table].dims, &self[index].dims).map_err(misfit("put"))?;
        if self[values].dims != rows || self[values].dtype != self[table].dtype {
            let (table, values) = (&self[table], &self[values]);
            let problem = format!(
                "the rows to put are {:?}{rows:?}, as the table and the indices have them, not {:?}{:?}",
                table.dtype, values.dtype, values.dims
            );
            return Err(Error::shape("put", problem));
        }
        let (dims, dtype) = (self[table].dims.clone(), self[table].dtype);
        Ok(self.push(Op::Put, vec![table, index, values], dims, dtype))
    }

    fn expect_indices(&self, op: &'static str, index: NodeId) -> Result<()> {
        match self[index].dtype {
            DType::Index => Ok(()),
            found => Err(Error::shape(op, format!("goes by indices, not by {found:?}"))),
        }
    }
}

impl Rule<'_> for Gather {
    fn arity(&self) -> Option<usize> {
        Some(2)
    }

    fn result(&self, graph: &Graph, node: &Node) -> Result<(Vec<usize>, DType), String> {
        let (table, index) = (operand(graph, node, 0), operand(graph, node, 1));
        expect(index, &index.dims, DType::Index)?;
        Ok((fit(shapes::gather(&table.dims, &index.dims))?, table.dtype))
    }

    fn kind(&self) -> Kind<'static> {
        Kind::Alone(gather_launch)
    }

    fn passes(&self) -> usize {
        0
    }

    fn course(&self, at: &Site<'_>) -> Result<Course, String> {
        let (table, index) = (at.all(0), at.all(1));
        let rows =
            table.iter().map(|axis| axis.and_then(|axis| axis.checked_sub(1)).map(|axis| axis + index.len())).collect();
        at.computed(&[rows, index])
    }

    fn value(&self, graph: &Graph, node: &Node, operands: &[&[f64]]) -> Result<Vec<f64>> {
        gather(operands[0], &operand(graph, node, 0).dims, operands[1])
    }

    fn vjp(&self, graph: &mut Graph, y: NodeId, c: Cotangents<'_>, _: Walk) -> Result<Vec<Option<NodeId>>> {
        // Each row gets the cotangents of all places that took it.
        let (table, index, c) = (graph[y].inputs[0], graph[y].inputs[1], c.one()?);
        let rows = graph[table].dims[0];
        Ok(vec![Some(graph.scatter_add(c, index, rows)?), None])
    }

    fn simpler(&self, to: &mut Rewriter, node: &Node) -> Option<NodeId> {
        // The first rows of a table in their order are a part of it.
        let (rows, index) = (to.node(node.inputs[0]).dims[0], to.node(node.inputs[1]));
        let in_order = index.op == Op::Iota { axis: 0 } && index.dims.len() == 1 && index.dims[0] <= rows;
        let part = Op::Slice { axis: 0, start: 0 };
        in_order.then(|| to.make(part, vec![node.inputs[0]], &node.dims, node.dtype))
    }

    fn cases(float: DType) -> Result<Vec<Case>> {
        gather_cases(float)
    }
}

/// Sums at each index.
pub(super) struct ScatterAdd;

impl Rule<'_> for ScatterAdd {
    fn arity(&self) -> Option<usize> {
        Some(2)
    }

    fn result(&self, graph: &Graph, node: &Node) -> Result<(Vec<usize>, DType), String> {
        let (values, index) = (operand(graph, node, 0), operand(graph, node, 1));
        float(values)?;
        expect(index, &index.dims, DType::Index)?;
        let rows = node.dims.first().ok_or("gives a table, which has rows")?;
        Ok((fit(shapes::scatter(rows, &values.dims, &index.dims))?, values.dtype))
    }

    fn kind(&self) -> Kind<'static> {
        Kind::Alone(scatter_add_launch)
    }

    fn passes(&self) -> usize {
        0
    }

    fn course(&self, at: &Site<'_>) -> Result<Course, String> {
        let leading = at.all(1).len();
        let rows =
            at.all(0).iter().map(|axis| axis.and_then(|axis| axis.checked_sub(leading)).map(|axis| axis + 1)).collect();
        at.computed(&[rows, at.none(1)])
    }

    fn value(&self, _: &Graph, node: &Node, operands: &[&[f64]]) -> Result<Vec<f64>> {
        scatter_add(operands[0], operands[1], &node.dims)
    }

    fn vjp(&self, graph: &mut Graph, y: NodeId, c: Cotangents<'_>, _: Walk) -> Result<Vec<Option<NodeId>>> {
        let (index, c) = (graph[y].inputs[1], c.one()?);
        Ok(vec![Some(graph.gather(c, index)?), None])
    }

    fn simpler(&self, to: &mut Rewriter, node: &Node) -> Option<NodeId> {
        to.node(node.inputs[1]).is_empty().then(|| to.constant(0.0, &node.dims, node.dtype))
    }

    fn cases(float: DType) -> Result<Vec<Case>> {
        scatter_add_cases(float)
    }
}

/// A table with rows replaced.
pub(super) struct Put;

impl Rule<'_> for Put {
    fn arity(&self) -> Option<usize> {
        Some(3)
    }

    fn result(&self, graph: &Graph, node: &Node) -> Result<(Vec<usize>, DType), String> {
        let (table, index) = (operand(graph, node, 0), operand(graph, node, 1));
        expect(index, &index.dims, DType::Index)?;
        expect(operand(graph, node, 2), &fit(shapes::gather(&table.dims, &index.dims))?, table.dtype)?;
        Ok((table.dims.clone(), table.dtype))
    }

    fn kind(&self) -> Kind<'static> {
        Kind::Alone(put_launch)
    }

    fn passes(&self) -> usize {
        0
    }

    fn course(&self, at: &Site<'_>) -> Result<Course, String> {
        at.kept()
    }

    fn value(&self, _: &Graph, node: &Node, operands: &[&[f64]]) -> Result<Vec<f64>> {
        put(operands[0], &node.dims, operands[1], operands[2])
    }

    fn vjp(&self, graph: &mut Graph, y: NodeId, c: Cotangents<'_>, _: Walk) -> Result<Vec<Option<NodeId>>> {
        let (table, index, c) = (graph[y].inputs[0], graph[y].inputs[1], c.one()?);
        let [table, values] = put_vjp(graph, table, index, c)?;
        Ok(vec![Some(table), None, Some(values)])
    }

    fn simpler(&self, to: &mut Rewriter, node: &Node) -> Option<NodeId> {
        to.node(node.inputs[1]).is_empty().then_some(node.inputs[0])
    }

    fn cases(float: DType) -> Result<Vec<Case>> {
        put_cases(float)
    }
}

/// The rows of a table of shape `from` at the indices.
fn gather_launch(graph: &Graph, id: NodeId, operands: &mut Operands<'_>) -> Result<Work, NodeId> {
    let [table, index] = [0, 1].map(|i| graph[id].inputs[i]);
    let kind = lookup::Kind::Gather { table: operands.dense(graph, table)? };
    launch(graph, kind, [table, index, id], operands)
}

fn scatter_add_launch(graph: &Graph, id: NodeId, operands: &mut Operands<'_>) -> Result<Work, NodeId> {
    let [values, index] = [0, 1].map(|i| graph[id].inputs[i]);
    let kind = lookup::Kind::ScatterAdd { values: operands.dense(graph, values)? };
    launch(graph, kind, [id, index, id], operands)
}

fn put_launch(graph: &Graph, id: NodeId, operands: &mut Operands<'_>) -> Result<Work, NodeId> {
    let [table, index, values] = [0, 1, 2].map(|i| graph[id].inputs[i]);
    let (table_view, values) = (operands.dense(graph, table)?, operands.dense(graph, values)?);
    launch(graph, lookup::Kind::Put { table: table_view, values }, [table, index, id], operands)
}

/// Rows of a table by their indices, from the nodes of table, indices and result.
fn launch(
    graph: &Graph,
    kind: lookup::Kind,
    [table, index, out]: [NodeId; 3],
    operands: &mut Operands<'_>,
) -> Result<Work, NodeId> {
    let (rows, width) = (graph[table].dims[0], graph[table].dims[1..].iter().product());
    let (count, index) = (graph[index].len(), operands.dense(graph, index)?);
    Ok(Work::Lookup(Lookup { kind, rows, width, index, count, out: operands.dense(graph, out)? }))
}

fn gather(table: &[f64], from: &[usize], index: &[f64]) -> Result<Vec<f64>> {
    let width: usize = from[1..].iter().product();
    let rows = index.iter().map(|&i| Ok(table[row(i, from[0])? * width..][..width].to_vec()));
    Ok(rows.collect::<Result<Vec<_>>>()?.concat())
}

/// The sum of the values at each row of a table of shape `dims`.
fn scatter_add(values: &[f64], index: &[f64], dims: &[usize]) -> Result<Vec<f64>> {
    let width: usize = dims[1..].iter().product();
    let mut y = vec![0.0; dims.iter().product()];
    for (n, &i) in index.iter().enumerate() {
        let sum = &mut y[row(i, dims[0])? * width..][..width];
        sum.iter_mut().zip(&values[n * width..]).for_each(|(sum, value)| *sum += value);
    }
    Ok(y)
}

/// The table of shape `dims` with the rows at the indices replaced.
fn put(table: &[f64], dims: &[usize], index: &[f64], values: &[f64]) -> Result<Vec<f64>> {
    let width: usize = dims[1..].iter().product();
    let mut y = table.to_vec();
    for (n, &i) in index.iter().enumerate() {
        y[row(i, dims[0])? * width..][..width].copy_from_slice(&values[n * width..][..width]);
    }
    Ok(y)
}

fn row(index: f64, rows: usize) -> Result<usize> {
    match index as usize {
        row if row < rows => Ok(row),
        row => Err(Error::value(format!("an index is {row}, but the table that it points into has {rows} rows"))),
    }
}

/// The cotangents of the table, whose replaced rows count for nothing, and of the rows, of which those that another
/// replaced count for nothing.
fn put_vjp(graph: &mut Graph, table: NodeId, index: NodeId, c: NodeId) -> Result<[NodeId; 2]> {
    let taken = graph.gather(c, index)?;
    let nothing = graph.constant_like(0.0, taken);
    let table_bar = graph.put(c, index, nothing)?;
    // Which of several equal indices was the last: each row is asked who wrote it.
    let (dims, count) = (graph[index].dims.clone(), graph[index].len());
    let number = graph.iota(&[count], 0)?;
    let number = graph.reshape(number, &dims)?;
    let rows = graph[table].dims[0];
    let unwritten = graph.constant(0.0, &[rows], DType::Index);
    let writers = graph.put(unwritten, index, number)?;
    let writer = graph.gather(writers, index)?;
    let last = graph.compare(Compare::Eq, writer, number)?;
    let whole = graph[taken].dims.clone();
    let last = graph.broadcast(last, &(dims.len()..whole.len()).collect::<Vec<_>>(), &whole)?;
    Ok([table_bar, graph.select(last, taken, nothing)?])
}

/// Shapes of a table and of indices into it.
const SHAPES: [(&[usize], &[usize]); 5] =
    [(&[5, 3], &[2, 4]), (&[2], &[3]), (&[3, 2, 2], &[]), (&[1, 4], &[2]), (&[4, 7], &[9])];

fn gather_cases(float: DType) -> Result<Vec<Case>> {
    let all = Domain::reals(-2.0, 2.0);
    let mut cases = Vec::new();
    for (table, index) in SHAPES {
        let name = format!("Gather of {table:?} at {index:?}");
        let inputs = [(table, all), (index, Domain::Indices(table[0]))];
        cases.push(Case::new(name, float, &inputs, |graph, x| graph.gather(x[0], x[1]))?);
    }
    let inputs: [(&[usize], Domain); 2] = [(&[3, 5], all), (&[4], Domain::Indices(5))];
    cases.push(Case::new("Gather of columns", float, &inputs, |graph, x| {
        let turned = graph.permute(x[0], &[1, 0])?;
        graph.gather(turned, x[1])
    })?);
    cases.push(Case::new("Gather of the first rows", float, &[(&[5, 3], all)], |graph, x| {
        let first = graph.iota(&[4], 0)?;
        graph.gather(x[0], first)
    })?);
    let inputs: [(&[usize], Domain); 2] = [(&[6], Domain::Indices(4)), (&[5], Domain::Indices(6))];
    cases.push(Case::new("Gather of indices", float, &inputs, |graph, x| graph.gather(x[0], x[1]))?);
    Ok(cases)
}

fn scatter_add_cases(float: DType) -> Result<Vec<Case>> {
    let mut cases = Vec::new();
    for (table, index) in SHAPES {
        let values = [index, &table[1..]].concat();
        let name = format!("ScatterAdd of {values:?} to {table:?}");
        let inputs = [(&values[..], Domain::reals(-2.0, 2.0)), (index, Domain::Indices(table[0]))];
        cases.push(Case::new(name, float, &inputs, |graph, x| graph.scatter_add(x[0], x[1], table[0]))?);
    }
    Ok(cases)
}

fn put_cases(float: DType) -> Result<Vec<Case>> {
    let all = Domain::reals(-2.0, 2.0);
    let mut cases = Vec::new();
    for (table, index) in SHAPES {
        let values = [index, &table[1..]].concat();
        let name = format!("Put {values:?} into {table:?}");
        let inputs = [(table, all), (index, Domain::Indices(table[0])), (&values[..], all)];
        cases.push(Case::new(name, float, &inputs, |graph, x| graph.put(x[0], x[1], x[2]))?);
    }
    Ok(cases)
}

#[cfg(test)]
mod tests {
    use super::super::interpret;
    use super::*;
    use crate::graph::Op;

    #[test]
    fn an_index_beyond_the_table_is_an_error() {
        let mut graph = Graph::new();
        let table = graph.input("table", &[4, 2], DType::F64);
        let index = graph.input("index", &[1], DType::Index);
        let y = graph.gather(table, index).unwrap();
        graph.output("y", y);
        let error = interpret(&graph, &[], &[vec![0.0; 8], vec![4.0]]).unwrap_err();
        assert_eq!(error.to_string(), "an index is 4, but the table that it points into has 4 rows");
    }

    #[test]
    fn of_equal_indices_the_last_stays_and_has_the_derivative() {
        let mut graph = Graph::new();
        let table = graph.input("table", &[2], DType::F64);
        let index = graph.input("index", &[3], DType::Index);
        let values = graph.input("values", &[3], DType::F64);
        let y = graph.put(table, index, values).unwrap();
        assert!(matches!(graph[y].op, Op::Put));
        let sum = graph.sum(y, &[0]).unwrap();
        let d = crate::grad::grad(&mut graph, sum, &[table, values]).unwrap();
        let inputs = [vec![1.0, 2.0], vec![1.0, 1.0, 1.0], vec![3.0, 4.0, 5.0]];
        let result = interpret(&graph, &[], &inputs).unwrap();
        assert_eq!(result.value(y), [1.0, 5.0]);
        assert_eq!(result.value(d[0]), [1.0, 0.0]);
        assert_eq!(result.value(d[1]), [0.0, 0.0, 1.0]);
    }
}
