//! Row-major positions: how plain loops walk a tensor of any rank.

/// Elements between neighbours along each axis of a row-major tensor.
pub(super) fn strides(dims: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; dims.len()];
    for axis in (1..dims.len()).rev() {
        strides[axis - 1] = strides[axis] * dims[axis];
    }
    strides
}

/// For each element of a row-major tensor of shape `dims`, in order, the number `Σ position[axis] * weights[axis]`.
pub(super) fn walk(dims: &[usize], weights: &[usize]) -> impl Iterator<Item = usize> {
    let strides = strides(dims);
    let dims = dims.to_vec();
    let weights = weights.to_vec();
    (0..dims.iter().product::<usize>())
        .map(move |flat| (0..dims.len()).map(|axis| flat / strides[axis] % dims[axis] * weights[axis]).sum())
}

/// Weights for [`walk`] over the shape `dims` that address the tensor left when `axes` are removed.
pub(super) fn without(dims: &[usize], axes: &[usize]) -> Vec<usize> {
    let kept: Vec<usize> = (0..dims.len()).filter(|axis| !axes.contains(axis)).collect();
    let kept_dims: Vec<usize> = kept.iter().map(|&axis| dims[axis]).collect();
    let mut weights = vec![0; dims.len()];
    for (&axis, stride) in kept.iter().zip(strides(&kept_dims)) {
        weights[axis] = stride;
    }
    weights
}
