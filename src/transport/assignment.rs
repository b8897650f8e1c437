//! Exact assignment by shortest augmenting paths.

use crate::{Error, Result};

/// A cheapest assignment of rows to columns.
#[derive(Clone, Debug, PartialEq)]
pub struct Assignment {
    /// The column of each row; no two are equal.
    pub columns: Vec<usize>,
    /// The sum of the costs.
    pub cost: f64,
    /// Prices of the rows and of the columns that prove it: u + v ≤ c everywhere, with equality where a row is assigned
    /// to a column; a column without a row has the price 0, and none has a greater one.
    pub prices: (Vec<f64>, Vec<f64>),
}

/// Assigns every row of a cost matrix `[rows, columns]`, row-major, to a column of its own so that the sum of the costs is
/// least: shortest augmenting paths with prices (Jonker, Volgenant 1987; Crouse 2016), in O(rows² · columns).
///
/// ```
/// let cheapest = ansatz::transport::assign(&[4.0, 1.0, 3.0, 2.0, 0.0, 5.0, 3.0, 2.0, 2.0], 3)?;
/// assert_eq!((cheapest.columns, cheapest.cost), (vec![1, 0, 2], 5.0));
/// # Ok::<(), ansatz::Error>(())
/// ```
///
/// # Errors
/// If the costs are no whole rows, there are more rows than columns, or a cost is not finite.
pub fn assign(costs: &[f64], columns: usize) -> Result<Assignment> {
    if columns == 0 || !costs.len().is_multiple_of(columns) {
        let found = costs.len();
        return Err(Error::value(format!("{found} costs are no whole rows of {columns}; give a row for each of them")));
    }
    let rows = costs.len() / columns;
    if rows > columns {
        return Err(Error::value(format!(
            "{rows} rows cannot each have one of {columns} columns; transpose the costs"
        )));
    }
    if let Some(at) = costs.iter().position(|cost| !cost.is_finite()) {
        let (row, column, cost) = (at / columns, at % columns, costs[at]);
        return Err(Error::value(format!("the cost of row {row} and column {column} is {cost}; give a large number")));
    }
    let mut search = Search::new(rows, columns);
    for row in 0..rows {
        search.add(costs, row);
    }
    let assigned: Vec<usize> = search.column_of;
    let cost = assigned.iter().enumerate().map(|(row, &column)| costs[row * columns + column]).sum();
    Ok(Assignment { columns: assigned, cost, prices: (search.row_price, search.column_price) })
}

const NONE: usize = usize::MAX;

struct Search {
    row_price: Vec<f64>,
    column_price: Vec<f64>,
    column_of: Vec<usize>,
    row_of: Vec<usize>,
    /// Of the path that is looked for: the least reduced cost to each column, and the row it is reached from.
    distance: Vec<f64>,
    from: Vec<usize>,
    done: Vec<bool>,
}

impl Search {
    fn new(rows: usize, columns: usize) -> Self {
        Search {
            row_price: vec![0.0; rows],
            column_price: vec![0.0; columns],
            column_of: vec![NONE; rows],
            row_of: vec![NONE; columns],
            distance: vec![0.0; columns],
            from: vec![NONE; columns],
            done: vec![false; columns],
        }
    }

    /// Finds the cheapest way to give one more row a column: Dijkstra's search over reduced costs, which are not negative.
    fn add(&mut self, costs: &[f64], start: usize) {
        let columns = self.distance.len();
        self.distance.fill(f64::INFINITY);
        self.done.fill(false);
        let (mut row, mut reached) = (start, 0.0);
        let end = loop {
            let line = &costs[row * columns..][..columns];
            let mut nearest = (f64::INFINITY, NONE);
            for (column, cost) in line.iter().enumerate() {
                if self.done[column] {
                    continue;
                }
                let through = reached + cost - self.row_price[row] - self.column_price[column];
                if through < self.distance[column] {
                    (self.distance[column], self.from[column]) = (through, row);
                }
                let (least, best) = nearest;
                let distance = self.distance[column];
                // Of equals a free column, which ends the search.
                if distance < least || distance == least && best != NONE && self.row_of[column] == NONE {
                    nearest = (distance, column);
                }
            }
            let (least, column) = nearest;
            reached = least;
            self.done[column] = true;
            match self.row_of[column] {
                NONE => break column,
                next => row = next,
            }
        };
        self.row_price[start] += reached;
        for column in 0..columns {
            if self.done[column] && column != end {
                let slack = reached - self.distance[column];
                self.column_price[column] -= slack;
                self.row_price[self.row_of[column]] += slack;
            }
        }
        let mut column = end;
        loop {
            let row = self.from[column];
            self.row_of[column] = row;
            std::mem::swap(&mut self.column_of[row], &mut column);
            if row == start {
                return;
            }
        }
    }
}
