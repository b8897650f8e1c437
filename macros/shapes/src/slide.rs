//! What slides over the last axes: windows, kernels, and kernels that are laid side by side.

use super::{Fit, Misfit, Size};

/// How a window or kernel slides along an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slide {
    /// From its first to its last position.
    pub reach: usize,
    /// From one place to the next.
    pub stride: usize,
    /// Positions around the axis, before and behind together.
    pub padding: usize,
}

impl Slide {
    /// A kernel of so many taps, each `dilation` after the one before, with zeros before and behind. None if one of its
    /// numbers may not be 0 and is.
    pub fn kernel(taps: usize, dilation: usize, stride: usize, zeros: [usize; 2]) -> Option<Self> {
        let fits = dilation > 0 && stride > 0;
        let reach = dilation.saturating_mul(taps.checked_sub(1)?).saturating_add(1);
        fits.then_some(Slide { reach, stride, padding: zeros[0].saturating_add(zeros[1]) })
    }
}

/// Windows over the last axes, one for each: every such axis becomes the number of its windows. What does not fit is the
/// window, as if the axis should have its size.
pub fn windows<D: Size>(dims: &[D], slides: &[Slide]) -> Fit<Vec<D>, D> {
    along(dims, slides, |size, slide| {
        let count = size.windows(slide.reach, slide.stride, slide.padding);
        count.ok_or_else(|| D::literal(slide.reach))
    })
}

/// Convolution of `[n, inputs, ..]`, with one axis behind the channels for each slide: they become `outputs`, and every such
/// axis the number of places that the kernel finds on it. The caller checks that the groups divide both.
pub fn conv<D: Size>(x: &[D], inputs: &D, outputs: &D, slides: &[Slide]) -> Fit<Vec<D>, D> {
    windows(&channels(x, inputs, outputs, slides.len())?, slides)
}

/// The transposed convolution, which goes the other way: every axis becomes what the places of the kernel cover, with so
/// many positions `behind` that no place covers by itself.
pub fn conv_transpose<D: Size>(x: &[D], inputs: &D, outputs: &D, slides: &[Slide], behind: &[usize]) -> Fit<Vec<D>, D> {
    let longer: Vec<_> = slides
        .iter()
        .zip(behind)
        .map(|(slide, behind)| Slide { reach: slide.reach.saturating_add(*behind), ..*slide })
        .collect();
    along(&channels(x, inputs, outputs, slides.len())?, &longer, |size, slide| {
        let covered = size.covered(slide.reach, slide.stride, slide.padding);
        covered.ok_or_else(|| D::literal((slide.padding - slide.reach.min(slide.padding)) / slide.stride.max(1) + 2))
    })
}

/// `[n, outputs, ..]` of `[n, inputs, ..]`.
fn channels<D: Size>(x: &[D], inputs: &D, outputs: &D, axes: usize) -> Fit<Vec<D>, D> {
    match x {
        [n, channels, rest @ ..] if rest.len() == axes && channels == inputs => {
            Ok([n, outputs].into_iter().chain(rest).cloned().collect())
        }
        [_, found, rest @ ..] if rest.len() == axes => {
            Err(Misfit::Size { operand: 0, axis: 1, expected: inputs.clone(), found: found.clone() })
        }
        _ => Err(Misfit::Rank { operand: 0, expected: axes + 2, found: x.len() }),
    }
}

/// The last axes by a rule, which says what size would do where one does not.
fn along<D: Size>(dims: &[D], slides: &[Slide], rule: impl Fn(&D, &Slide) -> Result<D, D>) -> Fit<Vec<D>, D> {
    let Some(leading) = dims.len().checked_sub(slides.len()) else {
        return Err(Misfit::Rank { operand: 0, expected: slides.len(), found: dims.len() });
    };
    let mut result = dims.to_vec();
    for (i, size) in result[leading..].iter_mut().enumerate() {
        let axis = leading + i;
        *size = rule(size, &slides[i]).map_err(|expected| Misfit::Size {
            operand: 0,
            axis,
            expected,
            found: size.clone(),
        })?;
    }
    Ok(result)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slide(reach: usize, stride: usize, padding: usize) -> Slide {
        Slide { reach, stride, padding }
    }

    #[test]
    fn windows_slide_over_the_last_axes() {
        let pair = [slide(3, 2, 2), slide(2, 2, 0)];
        assert_eq!(windows(&[7, 5, 6], &pair), Ok(vec![7, 3, 3]));
        assert_eq!(windows(&[7, 9], &[slide(3, 1, 2)]), Ok(vec![7, 9]));
        assert_eq!(windows(&[7], &pair), Err(Misfit::Rank { operand: 0, expected: 2, found: 1 }));
        let larger = Misfit::Size { operand: 0, axis: 1, expected: 4, found: 3 };
        assert_eq!(windows(&[7, 3], &[slide(4, 2, 0)]), Err(larger));
    }

    #[test]
    fn a_transposed_convolution_goes_back() {
        for (taps, dilation, stride, zeros) in
            [(3, 1, 1, [1, 1]), (3, 2, 2, [2, 1]), (4, 1, 3, [0, 0]), (1, 1, 2, [0, 0])]
        {
            let slide = Slide::kernel(taps, dilation, stride, zeros).expect("no number is 0");
            for size in 8..14 {
                let there = conv(&[2, 3, size], &3, &5, &[slide]).expect("it fits");
                let lost = (size + zeros[0] + zeros[1] - slide.reach) % stride;
                assert_eq!(conv_transpose(&there, &5, &3, &[slide], &[lost]), Ok(vec![2, 3, size]));
            }
        }
        let nothing = Misfit::Size { operand: 0, axis: 2, expected: 2, found: 1 };
        assert_eq!(conv_transpose(&[2, 3, 1], &3, &5, &[slide(2, 1, 2)], &[0]), Err(nothing));
        assert_eq!(conv_transpose(&[2, 3, 2], &3, &5, &[slide(2, 1, 2)], &[0]), Ok(vec![2, 5, 1]));
        let channels = Misfit::Size { operand: 0, axis: 1, expected: 4, found: 3 };
        assert_eq!(conv(&[2, 3, 9], &4, &5, &[slide(3, 1, 0)]), Err(channels));
        assert_eq!(Slide::kernel(3, 0, 1, [0, 0]), None);
    }
}
