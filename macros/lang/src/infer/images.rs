//! Functions of rows, columns and channels: pooling, up-sampling, norms of channels.

use super::arguments::{Gift, Given, flag};
use super::block::Inference;
use super::typed::{Acts, LayerKind, Operation, Setting, Slide};
use super::types::Type;
use super::value::{LayerValue, Tensor};
use crate::functions::Function;
use crate::report::Place;
use crate::resolve::{Absorbed, Checked};
use crate::terms::Term;
use ansatz_shapes::{Misfit, Size as _};

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
        let kernel = self.counts(name, "kernel", given, axes, at)?.ok_or(Absorbed)?;
        let stride = self.counts(name, "stride", given, axes, at)?.unwrap_or_else(|| kernel.clone());
        let padding = self.counts(name, "padding", given, axes, at)?.unwrap_or_else(|| vec![0; axes]);
        if kernel.contains(&0) || stride.contains(&0) {
            self.fault(at, format!("`{name}` takes a kernel and a stride of at least 1"));
            return Err(Absorbed);
        }
        if let Some(axis) = (0..axes).find(|&axis| 2 * padding[axis] > kernel[axis]) {
            let (padding, kernel) = (padding[axis], kernel[axis]);
            self.fault(at, format!("the padding {padding} of `{name}` is more than half of its kernel {kernel}"))
                .help("a window that sees nothing of the image has no result: choose a smaller padding");
            return Err(Absorbed);
        }
        match ansatz_shapes::windows(&x.ty.axes, &kernel, &stride, &padding) {
            Ok(result) => {
                let (runtime, count_padding) = match name {
                    "max_pool1d" | "max_pool2d" => ("max_pool", None),
                    _ => ("avg_pool", Some(flag("count_include_pad", given, true))),
                };
                let operation =
                    Operation::Pool { function: runtime, input: x.id, kernel, stride, padding, count_padding };
                self.tensor(operation, Type::real(result), at)
            }
            Err(Misfit::Size { axis, expected, .. }) => {
                let (size, padding) = (&x.ty.axes[axis], padding[axis + axes - x.ty.rank()]);
                let around = if padding > 0 { format!(" with padding {padding}") } else { String::new() };
                let message =
                    format!("the kernel {expected} of `{name}` is larger than the axis {size} of {}{around}", x.ty);
                let notes = self.notes(x, &[]);
                let error = self.fault(at, message);
                error.notes = notes;
                error.help("choose a smaller kernel, or pool less before");
                Err(Absorbed)
            }
            Err(misfit) => {
                let slides = if axes == 1 { "the last axis" } else { "the last two axes" };
                let message = format!("`{name}` slides over {slides}, but is given {}", x.ty);
                self.misfit(&misfit, name, message, x, at);
                Err(Absorbed)
            }
        }
    }

    /// `upsample`
    pub(super) fn upsample(&mut self, x: &Tensor, given: &Given<'a>, at: Place) -> Checked<Tensor> {
        self.reals("upsample", x, at)?;
        let factor = match given.get("scale") {
            Some(Gift::Count(0)) => {
                self.fault(at, "the scale of `upsample` is at least 1");
                return Err(Absorbed);
            }
            Some(Gift::Count(factor)) => *factor,
            _ => 2,
        };
        let rank = x.ty.rank();
        if rank < 2 {
            let message = format!("`upsample` takes rows and columns, the last two axes, but is given {}", x.ty);
            self.fault(at, message);
            return Err(Absorbed);
        }
        let mut axes = x.ty.axes.clone();
        for axis in &mut axes[rank - 2..] {
            axis.size = axis.size.times(&Term::literal(factor));
        }
        let function = match given.get("mode") {
            Some(Gift::Choice("bilinear")) => "upsample_bilinear",
            _ => "upsample_nearest",
        };
        self.tensor(Operation::Upsample { function, input: x.id, factor }, Type::real(axes), at)
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
            self.fault(at, format!("`{name}` takes channels on axis 1, {axes}, but is given {}", x.ty));
            return Err(Absorbed);
        }
        if name == "instance_norm" {
            return self.map("instance_norm", &[x], vec![eps], x.ty.clone(), at);
        }
        let channels = x.ty.axes[1].size.clone();
        let settings = match (name, given.get("groups")) {
            ("group_norm", Some(Gift::Count(groups))) => vec![Setting::Count(*groups), Setting::Number(eps)],
            ("group_norm", _) => return Err(Absorbed),
            _ => {
                let momentum = function.number("momentum", given).ok_or(Absorbed)?;
                if !(0.0..=1.0).contains(&momentum) {
                    self.fault(at, format!("the momentum of `batch_norm` lies in [0, 1], {momentum} does not"))
                        .help("it is the share of the new batch in the running statistics; 0.1 is usual");
                    return Err(Absorbed);
                }
                vec![Setting::Number(eps), Setting::Number(momentum)]
            }
        };
        if let Some(position) = self.unit_placed(layer) {
            return self.unit_again(position, x, settings, at);
        }
        self.fixed(name, &channels, at, "take")?;
        let number = channels.number().ok_or(Absorbed)?;
        if let Some(Setting::Count(groups)) = settings.first()
            && (*groups == 0 || !number.is_multiple_of(*groups))
        {
            self.fault(at, format!("{groups} groups do not divide the {channels} channels of {}", x.ty));
            return Err(Absorbed);
        }
        let kind = LayerKind::Unit {
            name: if name == "batch_norm" { "BatchNorm" } else { "GroupNorm" },
            sizes: vec![channels],
            acts: Acts::OnChannels,
            parameters: 2 * number,
            work: Term::literal(0),
        };
        self.unit(name, layer, kind, x, settings, at)
    }

    /// `conv2d`
    pub(super) fn conv(
        &mut self,
        function: &'static Function,
        layer: &LayerValue<'a>,
        x: &Tensor,
        given: &Given<'a>,
        at: Place,
    ) -> Checked<Tensor> {
        let name = function.name;
        self.reals(name, x, at)?;
        let Some(Gift::Width(outputs, width)) = given.get("channels") else { return Err(Absorbed) };
        let pair = |counts: Option<Vec<usize>>, absent: usize| counts.map_or([absent; 2], |c| [c[0], c[1]]);
        let kernel = pair(self.counts(name, "kernel", given, 2, at)?, 3);
        let stride = pair(self.counts(name, "stride", given, 2, at)?, 1);
        let dilation = pair(self.counts(name, "dilation", given, 2, at)?, 1);
        let groups = match given.get("groups") {
            Some(Gift::Count(groups)) => *groups,
            _ => 1,
        };
        if [kernel, stride, dilation].concat().contains(&0) || groups == 0 {
            self.fault(at, format!("kernel, stride, dilation and groups of `{name}` are at least 1"));
            return Err(Absorbed);
        }
        let (before, after) = match given.get("padding") {
            Some(Gift::Choice(_)) if stride != [1, 1] => {
                self.fault(at, format!("`{name}` keeps the size of an image only with stride 1"))
                    .help("give the padding as a number: half of the kernel, rounded down, is usual");
                return Err(Absorbed);
            }
            // As in PyTorch, the odd zero of an even kernel stands behind.
            Some(Gift::Choice(_)) => {
                let total = [0, 1].map(|i| dilation[i] * (kernel[i] - 1));
                (total.map(|zeros| zeros / 2), total.map(|zeros| zeros - zeros / 2))
            }
            _ => {
                let padding = pair(self.counts(name, "padding", given, 2, at)?, 0);
                (padding, padding)
            }
        };
        let slide = Slide { kernel, stride, dilation, before, after, groups };
        let settings = vec![Setting::Shape, Setting::Slide(slide)];
        if let Some(position) = self.unit_placed(layer) {
            return self.unit_again(position, x, settings, at);
        }
        if x.ty.rank() != 4 {
            let message = format!("`{name}` takes images [n, channels, rows, columns], but is given {}", x.ty);
            let notes = self.notes(x, &[]);
            self.fault(at, message).notes = notes;
            return Err(Absorbed);
        }
        let inputs = x.ty.axes[1].size.clone();
        self.fixed(name, outputs, *width, "produce")?;
        self.fixed(name, &inputs, at, "take")?;
        let (i, o) = (inputs.number().ok_or(Absorbed)?, outputs.number().ok_or(Absorbed)?);
        let of_groups = Term::literal(groups);
        let Some(channels) = inputs.quotient(&of_groups).filter(|_| o.is_multiple_of(groups)) else {
            let (what, size) = if i.is_multiple_of(groups) { ("produces", outputs) } else { ("takes", &inputs) };
            let message = format!("{groups} groups do not divide the {size} channels that `{name}` {what}");
            self.fault(at, message).help("every group has equally many channels on both sides");
            return Err(Absorbed);
        };
        let [rows, columns] = kernel;
        let weights = o * (i / groups) * rows * columns;
        let bias = flag("bias", given, true);
        let kind = LayerKind::Unit {
            name: if bias { "Conv2d" } else { "UnbiasedConv2d" },
            sizes: vec![channels.clone(), outputs.clone(), Term::literal(rows), Term::literal(columns)],
            acts: Acts::OnImages(slide),
            parameters: weights + if bias { o } else { 0 },
            work: channels.times(&Term::literal(rows * columns)),
        };
        if let Err(Misfit::Size { axis, expected, .. }) = super::units::applied(&kind, &x.ty) {
            let zeros = before[axis - 2] + after[axis - 2];
            let around = if zeros > 0 { format!(" with {zeros} zeros around") } else { String::new() };
            let size = &x.ty.axes[axis];
            let message = format!(
                "the kernel of `{name}` reaches over {expected}, and the axis {size} of {} is smaller{around}",
                x.ty
            );
            let notes = self.notes(x, &[]);
            let error = self.fault(at, message);
            error.notes = notes;
            error.help("choose a smaller kernel, or more padding");
            return Err(Absorbed);
        }
        self.unit(name, layer, kind, x, settings, at)
    }

    /// One whole number for each axis, or the same for all of them.
    fn counts(
        &mut self,
        callee: &str,
        parameter: &str,
        given: &Given<'a>,
        axes: usize,
        at: Place,
    ) -> Checked<Option<Vec<usize>>> {
        match given.get(parameter) {
            Some(Gift::Counts(counts)) if counts.len() == 1 => Ok(Some(vec![counts[0]; axes])),
            Some(Gift::Counts(counts)) if counts.len() == axes => Ok(Some(counts.clone())),
            Some(Gift::Counts(counts)) => {
                let message = format!("`{parameter}` of `{callee}` has {} numbers for {axes} axes", counts.len());
                self.fault(at, message);
                Err(Absorbed)
            }
            _ => Ok(None),
        }
    }
}
