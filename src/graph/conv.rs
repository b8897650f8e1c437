//! The builder of convolutions over the last two axes, or the last one.

use super::*;
use crate::{Error, Result};

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
pub(crate) fn convolved(
    pass: Pass,
    conv: Conv,
    operands: [(&[usize], DType); 2],
) -> std::result::Result<Vec<usize>, String> {
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
