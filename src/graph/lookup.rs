//! The builder of ops that go by indices: rows of a table taken, summed and replaced.

use super::build::misfit;
use super::{DType, Graph, NodeId, Op};
use crate::{Error, Result};
use ansatz_shapes as shapes;

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
