//! Kernels that are written by hand, as instances of templates over the numbers of a launch.

use super::{Argument, BLOCKS, NARROW, Place, Source, THREADS, Task, element, threads};
use crate::conv::{self, Convolution};
use crate::gemm::Gemm;
use crate::lookup::{Kind, Lookup};
use crate::pool::{Pool, Pooling};
use crate::view::View;
use crate::work::FoldIn;

pub(super) const PRODUCTS: &str = include_str!("../text/products.cuh");
const PLANES: &str = include_str!("../text/planes.cuh");
const LOOKUP: &str = include_str!("../text/lookup.cuh");

/// The edge of a block of a product.
const TILE: usize = 64;
/// Products of so few elements do not fill a device with blocks: a thread computes each.
const FEW: usize = 1 << 14;

pub(super) fn operand(view: &View) -> Argument {
    Argument::Operand(Some(Place::of(view)))
}

fn value(number: usize) -> Argument {
    Argument::Value(number as u64)
}

/// What a pointer to the elements of a view is called, which are only read, or written.
pub(super) fn reads(view: &View) -> String {
    format!("const {}*", element(view.element))
}

pub(super) fn writes(view: &View) -> String {
    format!("{}*", element(view.element))
}

/// A struct of constants, and what it is called in a kernel.
pub(super) fn constants(numbers: &[(&str, usize)]) -> String {
    let each = numbers.iter().map(|(name, number)| format!(" {name} = {number},"));
    format!("    struct Numbers {{ enum : uint32_t {{{} }};", each.collect::<String>())
}

impl Source {
    /// A launch of a template over numbers: blocks, threads of a block, bytes that they share.
    pub(super) fn instance(
        &mut self,
        template: &'static str,
        numbers: &str,
        call: &str,
        parameters: &[&str],
        launch: [usize; 3],
        arguments: Vec<Argument>,
    ) -> Result<Task, String> {
        self.template(template);
        let named: Vec<String> = parameters.iter().enumerate().map(|(i, kind)| format!("{kind} p{i}")).collect();
        let given: Vec<String> = (0..parameters.len()).map(|i| format!("p{i}")).collect();
        let body = format!("{numbers}\n    {call}({});\n", given.join(", "));
        self.launch(&named.join(", "), &body, launch, arguments)
    }

    /// None if there is nothing to compute.
    pub(super) fn product(&mut self, gemm: &Gemm) -> Result<Option<Task>, String> {
        let Gemm { batch, m, n, k, ref a, ref b, ref c, accumulate } = *gemm;
        let tiles = m.div_ceil(TILE) * n.div_ceil(TILE);
        if batch * m * n == 0 || (accumulate && k == 0) {
            return Ok(None);
        }
        let aligned = &self.aligned;
        let plan = self.products.as_mut().and_then(|products| products.plan(gemm, |operand| aligned[operand]));
        if let Some(plan) = plan {
            self.scratch = self.scratch.max(plan.workspace());
            return Ok(Some(Task::Product { plan, places: [a, b, c].map(Place::of), scratch: 0, accumulate }));
        }
        if let Some(task) = self.tensor_product(gemm)? {
            return Ok(Some(task));
        }
        let mut arguments = vec![operand(a), operand(b), operand(c), value(m), value(n), value(k)];
        let strides = [a, b, c].into_iter().flat_map(|view| &view.strides);
        arguments.extend(strides.map(|&stride| Argument::Value(stride as u64)));
        self.template(PRODUCTS);
        let strides: Vec<String> = (0..9).map(|i| format!("int64_t s{i}")).collect();
        let parameters = format!(
            "{} a, {} b, {} c, uint32_t m, uint32_t n, uint32_t k, {}",
            reads(a),
            reads(b),
            writes(c),
            strides.join(", ")
        );
        let elements = batch * m * n;
        let (name, own, launch) = if elements <= FEW {
            let block = threads(elements);
            ("product_elements", format!("{elements}, "), [elements.div_ceil(block), block, 0])
        } else {
            ("products", String::new(), [batch * tiles, THREADS, 16 * (TILE + 4 + TILE) * self.float.size()])
        };
        let body = format!(
            "    {name}({own}a, b, c, m, n, k, Layout{{s0, s1, s2}}, Layout{{s3, s4, s5}}, Layout{{s6, s7, s8}}, {accumulate});\n"
        );
        self.launch(&parameters, &body, launch, arguments).map(Some)
    }

    pub(super) fn lookup(&mut self, lookup: &Lookup) -> Result<Vec<Task>, String> {
        let Lookup { ref kind, rows, width, ref index, count, ref out } = *lookup;
        let write = writes(out);
        let arguments = |from: &View| {
            vec![operand(index), operand(from), operand(out), value(rows), value(width), value(count), Argument::Fault]
        };
        let bytes = rows * width * out.element.size();
        let per_index = [count.div_ceil(8), THREADS, 0];
        let mut tasks = Vec::new();
        let (name, from, launch) = match kind {
            Kind::Gather { table } => {
                let blocks = (count * width).div_ceil(THREADS).min(BLOCKS);
                ("gather", table, [blocks, THREADS, 0])
            }
            Kind::ScatterAdd { values } => {
                tasks.push(Task::Clear(Place::of(out), bytes));
                ("scatter_add", values, per_index)
            }
            Kind::Put { table, values } => {
                if Place::of(table) != Place::of(out) {
                    tasks.push(Task::Copy(Place::of(table), Place::of(out), bytes));
                }
                ("put", values, per_index)
            }
        };
        if count * width > 0 {
            let read = reads(from);
            let parameters = ["const uint32_t*", &read, &write, "uint64_t", "uint64_t", "uint64_t", "Fault*"];
            tasks.push(self.instance(LOOKUP, "", name, &parameters, launch, arguments(from))?);
        }
        Ok(tasks)
    }

    pub(super) fn fold_in(&mut self, FoldIn { key, number, to }: &FoldIn) -> Task {
        let parameters = ["const uint32_t*", "const uint32_t*", "uint32_t*"];
        let arguments = [key, number, to].map(operand).to_vec();
        self.instance(LOOKUP, "", "fold_in", &parameters, [1, 1, 0], arguments).expect("one thread is no large launch")
    }

    pub(super) fn pooling(&mut self, pooling: &Pooling) -> Result<Vec<Task>, String> {
        let Pooling { pool, window, count, planes, ref x, ref positions, ref y } = *pooling;
        let numbers = [
            ("planes", planes),
            ("height", window.size[0]),
            ("width", window.size[1]),
            ("count0", count[0]),
            ("count1", count[1]),
            ("kernel0", window.kernel[0]),
            ("kernel1", window.kernel[1]),
            ("stride0", window.stride[0]),
            ("stride1", window.stride[1]),
            ("padding0", window.padding[0]),
            ("padding1", window.padding[1]),
        ];
        let name = match pool {
            Pool::Sum => "pool_sum",
            Pool::Max => "pool_max",
            Pool::ArgMax => "pool_argmax",
            Pool::Spread => "pool_spread",
            Pool::Take => "pool_take",
            Pool::Put => "pool_put",
        };
        let (read, write) = (reads(x), writes(y));
        let mut parameters = vec![&*read];
        let mut arguments = vec![operand(x)];
        if let Some(positions) = positions {
            parameters.push("const uint32_t*");
            arguments.push(operand(positions));
        }
        parameters.push(&write);
        arguments.push(operand(y));
        let elements = planes * pooling.sizes()[1];
        self.planes(name, &numbers, &parameters, elements, arguments)
    }

    pub(super) fn convolution(&mut self, convolution: &Convolution) -> Result<Vec<Task>, String> {
        let Convolution { pass, conv, count, batch, inputs, outputs, .. } = *convolution;
        let numbers = [
            ("batch", batch),
            ("groups", conv.groups),
            ("inputs", inputs),
            ("outputs", outputs),
            ("height", conv.size[0]),
            ("width", conv.size[1]),
            ("count0", count[0]),
            ("count1", count[1]),
            ("kernel0", conv.kernel[0]),
            ("kernel1", conv.kernel[1]),
            ("stride0", conv.stride[0]),
            ("stride1", conv.stride[1]),
            ("dilation0", conv.dilation[0]),
            ("dilation1", conv.dilation[1]),
            ("before0", conv.before[0]),
            ("before1", conv.before[1]),
        ];
        let [a, b] = &convolution.operands;
        let arguments = [a, b, &convolution.result].map(operand).to_vec();
        let parameters = [reads(a), reads(b), writes(&convolution.result)];
        let parameters = parameters.each_ref().map(String::as_str);
        let weights = conv.groups * outputs * inputs * conv.kernel[0] * conv.kernel[1];
        match pass {
            conv::Pass::Forward => {
                let elements = batch * conv.groups * outputs * count[0] * count[1];
                self.planes("conv_forward", &numbers, &parameters, elements, arguments)
            }
            conv::Pass::Data => {
                let elements = batch * conv.groups * inputs * conv.size[0] * conv.size[1];
                self.planes("conv_data", &numbers, &parameters, elements, arguments)
            }
            conv::Pass::Weight if weights == 0 => Ok(Vec::new()),
            conv::Pass::Weight => {
                let numbers = constants(&numbers) + " };";
                let launch = [weights, THREADS, 8 * size_of::<f64>()];
                Ok(vec![self.instance(PLANES, &numbers, "conv_weight<Numbers>", &parameters, launch, arguments)?])
            }
        }
    }

    /// A launch with a thread for each element of the result.
    fn planes(
        &mut self,
        name: &str,
        numbers: &[(&str, usize)],
        parameters: &[&str],
        elements: usize,
        arguments: Vec<Argument>,
    ) -> Result<Vec<Task>, String> {
        if elements == 0 {
            return Ok(Vec::new());
        }
        if elements >= NARROW || numbers.iter().any(|(_, number)| *number >= NARROW) {
            return Err(format!("a result of {elements} elements is larger than one launch takes"));
        }
        let numbers = constants(numbers) + " };";
        let block = threads(elements);
        let launch = [elements.div_ceil(block), block, 0];
        Ok(vec![self.instance(PLANES, &numbers, &format!("{name}<Numbers>"), parameters, launch, arguments)?])
    }
}
