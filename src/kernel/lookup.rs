//! Rows of a table by their indices, as data.

use super::view::{Access, View};

/// A launch that goes by indices. All views are dense.
#[derive(Clone, Debug, PartialEq)]
pub struct Lookup {
    /// What is done.
    pub kind: Kind,
    /// The number of rows of the table.
    pub rows: usize,
    /// The elements of a row.
    pub width: usize,
    /// The indices.
    pub index: View,
    /// The number of indices.
    pub count: usize,
    /// The result.
    pub out: View,
}

/// What is done with the rows.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// `out[n] = table[index[n]]`
    Gather {
        /// The table.
        table: View,
    },
    /// `out = 0`, then `out[index[n]] += values[n]`
    ScatterAdd {
        /// A row for each index.
        values: View,
    },
    /// `out = table`, then `out[index[n]] = values[n]`; the result may lie where the table does.
    Put {
        /// The table.
        table: View,
        /// A row for each index.
        values: View,
    },
}

impl Lookup {
    pub(super) fn views_mut(&mut self, visit: &mut dyn FnMut(Access, &mut View, &[usize])) {
        let (table_len, values_len) = (self.rows * self.width, self.count * self.width);
        visit(Access::Read, &mut self.index, &[self.count]);
        let out_len = match &mut self.kind {
            Kind::Gather { table } => {
                visit(Access::Read, table, &[table_len]);
                values_len
            }
            Kind::ScatterAdd { values } => {
                visit(Access::Read, values, &[values_len]);
                table_len
            }
            Kind::Put { table, values } => {
                visit(Access::Read, table, &[table_len]);
                visit(Access::Read, values, &[values_len]);
                table_len
            }
        };
        visit(Access::Write, &mut self.out, &[out_len]);
    }

    /// Whether the result may lie where `source` is: in place of the table, which nothing else reads.
    pub(super) fn replaces(&self, source: usize, target: usize) -> bool {
        let whole = |view: &View, operand: usize| (view.operand, view.offset) == (operand, 0);
        match &self.kind {
            Kind::Put { table, values } => {
                whole(table, source)
                    && whole(&self.out, target)
                    && self.index.operand != source
                    && values.operand != source
            }
            Kind::Gather { .. } | Kind::ScatterAdd { .. } => false,
        }
    }
}
