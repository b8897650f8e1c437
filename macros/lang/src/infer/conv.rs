//! Convolutions and their transposes.

use super::arguments::{Gift, Given, flag};
use super::block::Inference;
use super::typed::{Acts, Argument, Kernel, LayerKind};
use super::types::{Axis, Type};
use super::value::{LayerValue, Tensor};
use crate::functions::Function;
use crate::report::{Checked, Place};
use crate::terms::Term;
use ansatz_shapes::{Misfit, Size as _, Slide};

impl<'a> Inference<'a, '_, '_> {
    /// `conv1d`, `conv2d`, `conv_transpose1d`, `conv_transpose2d`
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
        let Some(Gift::Width(outputs, width)) = given.get("channels") else { return self.unexplained(at) };
        let kernel = self.kernel(name, given, at)?;
        let settings = vec![Argument::Shape, Argument::Kernel(kernel)];
        if let Some(position) = self.parts.at(layer.site) {
            return self.unit_again(position, x, settings, at);
        }
        let groups = kernel.groups;
        if x.ty.rank() != 2 + kernel.axes {
            let images = if kernel.axes == 1 { "rows [n, channels, t]" } else { "images [n, channels, rows, columns]" };
            let message = format!("`{name}` takes {images}, but is given {}", x.ty);
            return self.about(x, at, message).fail();
        }
        let inputs = x.ty.axes[1].size.clone();
        self.fixed(name, outputs, *width, "produce")?;
        self.fixed(name, &inputs, at, "take")?;
        let (i, o) = (self.known(inputs.number(), at)?, self.known(outputs.number(), at)?);
        let of_groups = Term::literal(groups);
        let parts = self.facts.dims.quotient(&inputs, &of_groups).zip(outputs.quotient(&of_groups));
        let Some((inputs_of_group, outputs_of_group)) = parts else {
            let (what, size) = if i.is_multiple_of(groups) { ("produces", outputs) } else { ("takes", &inputs) };
            let message = format!("{groups} groups do not divide the {size} channels that `{name}` {what}");
            return self.fault(at, message).help("every group has equally many channels on both sides").fail();
        };
        let taps = &kernel.size[2 - kernel.axes..];
        let all_taps = self.numbers(name, taps, 0, at)?;
        let bias = flag("bias", given, true);
        let (channels, work) = match kernel.behind {
            None => ([inputs_of_group.clone(), outputs.clone()], inputs_of_group),
            Some(_) => ([inputs, outputs_of_group.clone()], outputs_of_group),
        };
        let biased = (bias && kernel.behind.is_some()).then(|| outputs.clone());
        let kind = LayerKind::Unit {
            name: kernel.name(bias),
            sizes: channels.into_iter().chain(taps.iter().copied().map(Term::literal)).chain(biased).collect(),
            acts: Acts::OnImages(kernel),
            parameters: self.numbers(name, &[i / groups, o, all_taps], if bias { o } else { 0 }, at)?,
            work: work.times(&Term::literal(all_taps)),
        };
        if let Err(Misfit::Size { axis, expected, .. }) = super::units::applied(&kind, &x.ty) {
            return self.no_room(name, &kernel, x, axis, &expected, at);
        }
        self.unit(name, layer, kind, x, settings, at)
    }

    /// What the parameters say of the kernel.
    fn kernel(&mut self, name: &'static str, given: &Given<'a>, at: Place) -> Checked<Kernel> {
        let axes = if name.ends_with("1d") { 1 } else { 2 };
        let transposed = name.starts_with("conv_transpose");
        // Along a single row, the row itself is the first axis.
        let both = |counts: Option<Vec<usize>>, absent: usize, row: usize| match counts.as_deref() {
            None if axes == 1 => [row, absent],
            None => [absent; 2],
            Some(&[only]) => [row, only],
            Some(counts) => [counts[0], counts[1]],
        };
        let size = both(self.counts(name, "kernel", given, axes, at)?, 3, 1);
        let stride = both(self.counts(name, "stride", given, axes, at)?, 1, 1);
        let dilation = both(self.counts(name, "dilation", given, axes, at)?, 1, 1);
        let groups = match given.get("groups") {
            Some(Gift::Count(groups)) => *groups,
            _ => 1,
        };
        if [size, stride, dilation].concat().contains(&0) || groups == 0 {
            return self.fail(at, format!("kernel, stride, dilation and groups of `{name}` are at least 1"));
        }
        let (before, after) = match given.get("padding") {
            Some(Gift::Choice(_)) if stride != [1, 1] => {
                return self
                    .fault(at, format!("`{name}` keeps the size of an image only with stride 1"))
                    .help("give the padding as a number: half of the kernel, rounded down, is usual")
                    .fail();
            }
            // As in PyTorch, the odd zero of an even kernel stands behind.
            Some(Gift::Choice(_)) => {
                let total = [0, 1].map(|i| dilation[i] * (size[i] - 1));
                (total.map(|zeros| zeros / 2), total.map(|zeros| zeros - zeros / 2))
            }
            _ => {
                let padding = both(self.counts(name, "padding", given, axes, at)?, 0, 0);
                (padding, padding)
            }
        };
        let behind = both(self.counts(name, "output_padding", given, axes, at)?, 0, 0);
        if let Some(i) = (0..2).find(|&i| behind[i] >= stride[i]) {
            let (behind, stride) = (behind[i], stride[i]);
            return self
                .fault(at, format!("the output padding {behind} of `{name}` is not smaller than its stride {stride}"))
                .help("it chooses among the sizes that a convolution with this stride makes equal")
                .fail();
        }
        let behind = transposed.then_some(behind);
        Ok(Kernel { axes, size, stride, dilation, before, after, groups, behind })
    }

    /// A kernel larger than its axis, or padding that takes all of it away.
    fn no_room<T>(
        &mut self,
        name: &str,
        kernel: &Kernel,
        x: &Tensor,
        axis: usize,
        expected: &Axis,
        at: Place,
    ) -> Checked<T> {
        let i = axis - kernel.axes;
        let zeros = kernel.before[i] + kernel.after[i];
        let size = &x.ty.axes[axis];
        let (message, help) = match kernel.behind {
            None => {
                let around = if zeros > 0 { format!(" with {zeros} zeros around") } else { String::new() };
                let reach = format!("the kernel of `{name}` reaches over {expected}");
                (
                    format!("{reach}, and the axis {size} of {} is smaller{around}", x.ty),
                    "choose a smaller kernel, or more padding",
                )
            }
            Some(_) => (
                format!(
                    "the padding of `{name}` takes {zeros} positions away, and the axis {size} of {} has no more",
                    x.ty
                ),
                "choose less padding, or a larger kernel",
            ),
        };
        self.about(x, at, message).help(help).fail()
    }
}

impl Kernel {
    /// The struct of the layer.
    fn name(&self, bias: bool) -> &'static str {
        match (self.behind.is_some(), self.axes, bias) {
            (false, 1, true) => "Conv1d",
            (false, 1, false) => "UnbiasedConv1d",
            (false, _, true) => "Conv2d",
            (false, _, false) => "UnbiasedConv2d",
            (true, 1, true) => "ConvTranspose1d",
            (true, 1, false) => "UnbiasedConvTranspose1d",
            (true, _, true) => "ConvTranspose2d",
            (true, _, false) => "UnbiasedConvTranspose2d",
        }
    }

    /// The channels that it takes and gives, of the sizes of the layer, one of which is that of a group.
    pub(super) fn channels(&self, sizes: &[Term]) -> [Term; 2] {
        let groups = Term::literal(self.groups);
        match self.behind {
            None => [sizes[0].times(&groups), sizes[1].clone()],
            Some(_) => [sizes[0].clone(), sizes[1].times(&groups)],
        }
    }

    /// What it makes of images.
    #[expect(clippy::result_large_err, reason = "a misfit is rare, and is told at once")]
    pub(super) fn applied(&self, sizes: &[Term], x: &Type) -> Result<Type, Misfit<Axis>> {
        let [inputs, outputs] = self.channels(sizes).map(Axis::from);
        let outputs = x.axes.get(1).map_or(outputs.clone(), |channels| channels.replaced(outputs.size));
        let slide =
            |i: usize| Slide::kernel(self.size[i], self.dilation[i], self.stride[i], [self.before[i], self.after[i]]);
        let slides: Vec<Slide> = (2 - self.axes..2).filter_map(slide).collect();
        let axes = match self.behind {
            None => ansatz_shapes::conv(&x.axes, &inputs, &outputs, &slides),
            Some(behind) => {
                ansatz_shapes::conv_transpose(&x.axes, &inputs, &outputs, &slides, &behind[2 - self.axes..])
            }
        };
        axes.map(Type::real)
    }
}
