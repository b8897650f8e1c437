//! The builder of pooling: windows over the last two axes.

use super::*;
use crate::{Error, Result};

impl Graph {
    /// Pools the last two axes by windows; see [`Pool`] for what the operands are.
    ///
    /// # Errors
    /// If the windows do not fit, or an operand has not the shape or element type that they take.
    pub fn pool(&mut self, pool: Pool, window: Window, operands: &[NodeId]) -> Result<NodeId> {
        let operands_like: Vec<(&[usize], DType)> = operands.iter().map(|&x| (&*self[x].dims, self[x].dtype)).collect();
        let (dims, dtype) = pooled(pool, window, &operands_like).map_err(|problem| Error::shape("pooling", problem))?;
        Ok(self.push(Op::Pool { pool, window }, operands.to_vec(), dims, dtype))
    }
}

/// Shape and element type of the result.
pub(crate) fn pooled(
    pool: Pool,
    window: Window,
    operands: &[(&[usize], DType)],
) -> Result<(Vec<usize>, DType), String> {
    let &[(dims, dtype), ref rest @ ..] = operands else { return Err("takes at least one operand".into()) };
    let (wide, narrow) = (window.size, window.count()?);
    let (from, to) = if pool.widens() { (narrow, wide) } else { (wide, narrow) };
    let Some((&last, leading)) = dims.split_last_chunk::<2>().map(|(leading, last)| (last, leading)) else {
        return Err(format!("takes at least two axes, not {dims:?}"));
    };
    if last != from {
        return Err(format!("takes planes of {from:?} and is given {last:?}"));
    }
    if !dtype.is_float() {
        return Err(format!("takes real numbers, not {dtype:?}"));
    }
    match (pool.takes_positions(), rest) {
        (false, []) => {}
        (true, &[(positions, DType::Index)]) if *positions == [leading, &narrow].concat() => {}
        _ => return Err(format!("{pool:?} is given other operands than it takes")),
    }
    let dtype = if pool == Pool::ArgMax { DType::Index } else { dtype };
    Ok(([leading, &to].concat(), dtype))
}
