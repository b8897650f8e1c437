//! Functions of rows, columns and channels: pooling, up-sampling, norms of channels.

use super::arguments::{Gift, Given};
use super::block::Inference;
use super::typed::{Acts, Argument, Call, LayerKind};
use super::types::Type;
use super::value::{LayerValue, Tensor};
use crate::functions::Function;
use crate::functions::runtime::{UPSAMPLE_BILINEAR, UPSAMPLE_NEAREST};
use crate::report::{Checked, Place};
use crate::terms::Term;
use ansatz_shapes::{Misfit, Size as _, Slide};

/// No kernel reaches further, no window, no step from one to the next.
const MOST_POSITIONS: usize = u32::MAX as usize;

impl<'a> Inference<'a, '_, '_> {
    /// `max_pool1d`, `max_pool2d`, `avg_pool1d`, `avg_pool2d`
    pub(super) fn pool(
        &mut self,
        function: &'static Function,
        x: &Tensor,
        given: &Given<'a>,
        at: Place,
    ) -> Checked<Tensor> {
        let name = function.name;
        let axes = if name.ends_with("1d") { 1 } else { 2 };
        self.reals(name, x, at)?;
        let kernel = self.counts(name, "kernel", given, axes, at)?;
        let kernel = self.known(kernel, at)?;
        let stride = self.counts(name, "stride", given, axes, at)?.unwrap_or_else(|| kernel.clone());
        let padding = self.counts(name, "padding", given, axes, at)?.unwrap_or_else(|| vec![0; axes]);
        if kernel.contains(&0) || stride.contains(&0) {
            return self.fail(at, format!("`{name}` takes a kernel and a stride of at least 1"));
        }
        if let Some(axis) = (0..axes).find(|&axis| 2 * padding[axis] > kernel[axis]) {
            let (padding, kernel) = (padding[axis], kernel[axis]);
            return self
                .fault(at, format!("the padding {padding} of `{name}` is more than half of its kernel {kernel}"))
                .help("a window that sees nothing of the image has no result: choose a smaller padding")
                .fail();
        }
        let slides: Vec<_> =
            (0..axes).map(|i| Slide { reach: kernel[i], stride: stride[i], padding: 2 * padding[i] }).collect();
        match ansatz_shapes::windows(&x.ty.axes, &slides) {
            Ok(result) => {
                let call = Call::new(&function.runtime, [x])
                    .with("kernel", Argument::Counts(kernel))
                    .with("stride", Argument::Counts(stride))
                    .with("padding", Argument::Counts(padding))
                    .with_all(function.values(given));
                self.tensor(call, Type::real(result), at)
            }
            Err(Misfit::Size { axis, expected, .. }) => {
                let (size, padding) = (&x.ty.axes[axis], padding[axis + axes - x.ty.rank()]);
                let around = if padding > 0 { format!(" with padding {padding}") } else { String::new() };
                let message =
                    format!("the kernel {expected} of `{name}` is larger than the axis {size} of {}{around}", x.ty);
                self.about(x, at, message).help("choose a smaller kernel, or pool less before").fail()
            }
            Err(misfit) => {
                let slides = if axes == 1 { "the last axis" } else { "the last two axes" };
                let message = format!("`{name}` slides over {slides}, but is given {}", x.ty);
                self.misfit(&misfit, name, message, x, at).fail()
            }
        }
    }

    /// `upsample`
    pub(super) fn upsample(&mut self, x: &Tensor, given: &Given<'a>, at: Place) -> Checked<Tensor> {
        self.reals("upsample", x, at)?;
        let factor = match given.get("scale") {
            Some(Gift::Count(0)) => {
                return self.fail(at, "the scale of `upsample` is at least 1");
            }
            Some(Gift::Count(factor)) => *factor,
            _ => 2,
        };
        let rank = x.ty.rank();
        if rank < 2 {
            let message = format!("`upsample` takes rows and columns, the last two axes, but is given {}", x.ty);
            return self.fail(at, message);
        }
        let mut axes = x.ty.axes.clone();
        for axis in &mut axes[rank - 2..] {
            axis.size = axis.size.times(&Term::literal(factor));
        }
        let of = match given.get("mode") {
            Some(Gift::Choice("bilinear")) => &UPSAMPLE_BILINEAR,
            _ => &UPSAMPLE_NEAREST,
        };
        self.tensor(Call::new(of, [x]).with("factor", Argument::Count(factor)), Type::real(axes), at)
    }

    /// `batch_norm`, `group_norm`, `instance_norm`
    pub(super) fn channel_norm(
        &mut self,
        function: &'static Function,
        layer: &LayerValue<'a>,
        x: &Tensor,
        given: &Given<'a>,
        at: Place,
    ) -> Checked<Tensor> {
        let name = function.name;
        self.reals(name, x, at)?;
        let eps = self.eps(function, given, at)?;
        let least = if name == "instance_norm" { 3 } else { 2 };
        if x.ty.rank() < least {
            let axes = if least == 3 { "[n, channels, …]" } else { "[n, channels] or [n, channels, …]" };
            return self.fail(at, format!("`{name}` takes channels on axis 1, {axes}, but is given {}", x.ty));
        }
        if name == "instance_norm" {
            return self.map(&function.runtime, &[x], function.values(given), x.ty.clone(), at);
        }
        let channels = x.ty.axes[1].size.clone();
        let settings = match (name, given.get("groups")) {
            ("group_norm", Some(Gift::Count(groups))) => vec![Argument::Count(*groups), Argument::Number(eps)],
            ("group_norm", _) => return self.unexplained(at),
            _ => {
                let momentum = self.known(function.number("momentum", given), at)?;
                if !(0.0..=1.0).contains(&momentum) {
                    return self
                        .fault(at, format!("the momentum of `batch_norm` lies in [0, 1], {momentum} does not"))
                        .help("it is the share of the new batch in the running statistics; 0.1 is usual")
                        .fail();
                }
                vec![Argument::Number(eps), Argument::Number(momentum)]
            }
        };
        if let Some(position) = self.parts.at(layer.site) {
            return self.unit_again(position, x, settings, at);
        }
        self.fixed(name, &channels, at, "take")?;
        let number = self.known(channels.number(), at)?;
        if let Some(Argument::Count(groups)) = settings.first()
            && (*groups == 0 || !number.is_multiple_of(*groups))
        {
            return self.fail(at, format!("{groups} groups do not divide the {channels} channels of {}", x.ty));
        }
        let kind = LayerKind::Unit {
            name: if name == "batch_norm" { "BatchNorm" } else { "GroupNorm" },
            sizes: vec![channels],
            acts: Acts::OnChannels,
            parameters: self.numbers(name, &[2, number], 0, at)?,
            work: Term::literal(0),
        };
        self.unit(name, layer, kind, x, settings, at)
    }

    /// One whole number for each axis, or the same for all of them.
    pub(super) fn counts(
        &mut self,
        callee: &str,
        parameter: &str,
        given: &Given<'a>,
        axes: usize,
        at: Place,
    ) -> Checked<Option<Vec<usize>>> {
        match given.get(parameter) {
            Some(Gift::Counts(counts)) if counts.iter().any(|count| *count > MOST_POSITIONS) => {
                let message = format!("`{parameter}` of `{callee}` is at most {MOST_POSITIONS}");
                self.fail(at, message)
            }
            Some(Gift::Counts(counts)) if counts.len() == 1 => Ok(Some(vec![counts[0]; axes])),
            Some(Gift::Counts(counts)) if counts.len() == axes => Ok(Some(counts.clone())),
            Some(Gift::Counts(counts)) => {
                let message = format!("`{parameter}` of `{callee}` has {} numbers for {axes} axes", counts.len());
                self.fail(at, message)
            }
            _ => Ok(None),
        }
    }
}
