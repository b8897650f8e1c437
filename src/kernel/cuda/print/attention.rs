//! Attention: sizes and strides are constants of a kernel, so that equal layers share it.

use super::special::{constants, operand, reads, writes};
use super::{Argument, NARROW, Place, Source, Task};
use crate::attention::{Attention, Pass};
use crate::view::{DType, View};

const ATTENTION: &str = include_str!("../text/attention.cuh");
/// Queries or keys of a block, a warp each.
const ROWS: usize = 4;

impl Source {
    pub(super) fn attention(&mut self, attention: &Attention) -> Result<Vec<Task>, String> {
        let Attention { batch, heads, shared, queries, keys, .. } = *attention;
        if batch * heads * queries.max(keys) >= NARROW {
            return Err("attention over so many rows is larger than a launch takes".into());
        }
        let tasks = self.flash_attention(attention)?;
        if !tasks.is_empty() {
            return Ok(tasks);
        }
        let numbers = self.numbers(attention);
        let [by_query, by_key] = [batch * heads * queries, batch * shared * keys];
        match &attention.pass {
            Pass::Forward { out, logarithms } => {
                let own = [(writes(out), out), (writes(logarithms), logarithms)];
                self.rows(attention, &numbers, "attention_forward", &own, by_query)
            }
            Pass::Backward { logarithms, common, c, dq, dk, dv } => {
                let given = [logarithms, common, c].map(|view| (reads(view), view));
                let own = [&given[..], &[(writes(dq), dq)]].concat();
                let mut tasks = self.rows(attention, &numbers, "attention_queries", &own, by_query)?;
                let own = [&given[..], &[dk, dv].map(|view| (writes(view), view))].concat();
                tasks.extend(self.rows(attention, &numbers, "attention_keys", &own, by_key)?);
                Ok(tasks)
            }
        }
    }

    /// A launch with a warp for each of so many rows.
    fn rows(
        &mut self,
        attention: &Attention,
        numbers: &str,
        name: &str,
        own: &[(String, &View)],
        rows: usize,
    ) -> Result<Vec<Task>, String> {
        if rows == 0 {
            return Ok(Vec::new());
        }
        let Attention { q, k, v, bias, mask, slopes, start, .. } = attention;
        let extra = |view: &Option<View>| Argument::Operand(view.as_ref().map(Place::of));
        let mut arguments = [q, k, v].map(operand).to_vec();
        arguments.extend([bias, mask, slopes, start].map(extra));
        arguments.extend(own.iter().map(|(_, view)| operand(view)));
        let kind = |view: &Option<View>| view.as_ref().map_or("const real*".into(), reads);
        let mut parameters = format!(
            "{} q, {} k, {} v, {} bias, const uint8_t* mask, {} slopes, const uint32_t* start",
            reads(q),
            reads(k),
            reads(v),
            kind(bias),
            kind(slopes)
        );
        let mut given = "q, k, v, extras(bias, mask, slopes, start)".to_owned();
        for (i, (kind, _)) in own.iter().enumerate() {
            parameters += &format!(", {kind} p{i}");
            given += &format!(", p{i}");
        }
        self.template(ATTENTION);
        let body = format!("{numbers}\n    {name}<Numbers>({given});\n");
        Ok(vec![self.launch(&parameters, &body, [rows.div_ceil(ROWS), 32 * ROWS, 0], arguments)?])
    }

    /// Sizes, strides and switches.
    pub(super) fn numbers(&self, attention: &Attention) -> String {
        let Attention { batch, heads, shared, queries, keys, width, value_width, scale, causal, window, .. } =
            *attention;
        let sizes = [
            ("batch", batch),
            ("heads", heads),
            ("shared", shared),
            ("queries", queries),
            ("keys", keys),
            ("width", width),
            ("value_width", value_width),
            // No key is so far away.
            ("window", window.unwrap_or(0)),
            ("causal", usize::from(causal)),
        ];
        let none = View::dense(0, 0, DType::Bool);
        let mut views = vec![("q", &attention.q), ("k", &attention.k), ("v", &attention.v)];
        let extras = [&attention.bias, &attention.mask, &attention.slopes, &attention.start];
        let extras = extras.map(|view| view.as_ref().unwrap_or(&none));
        views.extend(["bias", "mask", "slopes", "start"].into_iter().zip(extras));
        match &attention.pass {
            Pass::Forward { out, logarithms } => views.extend([("out", out), ("logarithms", logarithms)]),
            Pass::Backward { logarithms, common, c, dq, dk, dv } => {
                views.extend([("logarithms", logarithms), ("common", common), ("c", c)]);
                views.extend([("dq", dq), ("dk", dk), ("dv", dv)]);
            }
        }
        let stride = |(name, view): &(&str, &View)| -> String {
            let axes = (0..4).map(|axis| format!(" {name}{axis} = {},", view.strides.get(axis).copied().unwrap_or(0)));
            axes.collect()
        };
        let strides: String = views.iter().map(stride).collect();
        let scale = self.literal(scale);
        format!(
            "{} enum : int64_t {{{strides} }};\n        static INLINE_MEMBER real scale() {{ return {scale}; }} }};",
            constants(&sizes)
        )
    }
}
