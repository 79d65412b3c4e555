//! The page that `driftc explain --html` writes: one file, nothing loaded from elsewhere.
//!
//! What a model or a bundle says is escaped wherever it stands. A shader that several dispatches use is there once.

use super::report::{Choice, Explained, ExplainedDispatch, ExplainedRule, ExplainedVariant};
use super::times::Times;
use crate::picture::escape;
use crate::tally;
use crate::units::{bytes, flops, milliseconds};
use std::collections::BTreeSet;
use std::fmt::Write;

/// Text of shaders in a page, in bytes, and its dispatches, at most: browsers take seconds for more.
const MOST_SOURCE: usize = 8 << 20;
const MOST_DISPATCHES: usize = 10_000;

const STYLE: &str = "\
:root { color-scheme: light dark; --line: #ddd; --soft: #666; --bar: #7aa7e0; --code: #f4f4f4 }
@media (prefers-color-scheme: dark) { :root { --line: #3a3a3a; --soft: #aaa; --bar: #375e8f; --code: #1c1c1c } }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2em auto; max-width: 90em; padding: 0 1em }
table { border-collapse: collapse; margin: 1em 0; width: 100% }
td, th { border-bottom: 1px solid var(--line); padding: .2em .8em .2em 0; text-align: left; vertical-align: top; overflow-wrap: anywhere }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap }
small, .soft { color: var(--soft) }
pre { background: var(--code); max-height: 40em; overflow: auto; padding: .5em; white-space: pre }
input { font: inherit; padding: .3em .6em; width: 24em; max-width: 100% }
.bar { background: var(--bar); height: .35em }
summary { cursor: pointer }";

/// Rows that do not hold the words searched for are hidden; a shader's text goes where it is unfolded.
const SCRIPT: &str = "\
const box = document.getElementById('search');
box.addEventListener('input', () => {
  const words = box.value.toLowerCase().split(/\\s+/);
  let shown = 0;
  for (const row of document.querySelectorAll('tr.d')) {
    const text = row.textContent.toLowerCase();
    row.hidden = !words.every(word => text.includes(word));
    shown += row.hidden ? 0 : 1;
  }
  document.getElementById('shown').textContent = box.value ? shown + ' dispatches' : '';
});
for (const fold of document.querySelectorAll('details[data-shader]')) {
  fold.addEventListener('toggle', () => {
    const place = fold.querySelector('pre');
    if (fold.open && !place.textContent) {
      place.textContent = document.getElementById('shader-' + fold.dataset.shader).textContent;
    }
  });
}";

/// The whole page. `source` is the text of a shader by its number in the bundle.
pub(super) fn page(
    explained: &Explained,
    times: Option<&Times>,
    source: impl Fn(u32) -> Option<String>,
) -> String {
    let mut left = MOST_DISPATCHES;
    let mut shaders = BTreeSet::new();
    let mut body = format!(
        "<h1>{}</h1>\n<p><input id=\"search\" type=\"search\" placeholder=\"search dispatches, nodes, kernels\" autofocus> \
         <span id=\"shown\" class=\"soft\"></span></p>\n",
        escape(&explained.model)
    );
    for variant in &explained.variants {
        variant_section(variant, times, &mut left, &mut body);
        let all = variant.init.iter().chain(&variant.dispatches);
        shaders.extend(all.filter_map(|dispatch| dispatch.shader));
    }
    rules_section(&explained.rules, &mut body);
    shader_section(&shaders, source, &mut body);
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>{}</title>\n<style>\n{STYLE}\n</style></head>\n<body>\n{body}<script>\n{SCRIPT}\n</script></body></html>\n",
        escape(&explained.model)
    )
}

fn variant_section(variant: &ExplainedVariant, times: Option<&Times>, left: &mut usize, body: &mut String) {
    let ExplainedVariant { entry, target, variant: name, profile, init, dispatches } = variant;
    let times = times.and_then(|times| times.of(variant));
    let sum = |of: fn(&ExplainedDispatch) -> u64| dispatches.iter().map(of).fold(0, u64::saturating_add);
    let measured = times.as_ref().map(|times| format!(", {} on the GPU", milliseconds(times.iter().sum())));
    put(
        body,
        format_args!(
            "<h2>{} for {target}, variant {}</h2>\n<p>Profile {}: {} dispatches, {} more at load; a run reads {}, writes {}, computes \
             {}{}.</p>\n<table><tr><th class=n></th><th>dispatch</th><th>kernel</th><th class=n>reads</th><th \
             class=n>writes</th><th class=n>computes</th><th class=n>time</th></tr>\n",
            escape(entry),
            escape(name),
            escape(profile),
            dispatches.len(),
            init.len(),
            bytes(sum(|dispatch| dispatch.bytes_read)),
            bytes(sum(|dispatch| dispatch.bytes_written)),
            flops(sum(|dispatch| dispatch.flops)),
            measured.unwrap_or_default()
        ),
    );
    let longest = times.as_ref().map_or(0.0, |times| times.iter().copied().fold(0.0, f64::max));
    let at_load = init.iter().enumerate().map(|(at, dispatch)| (format!("load {at}"), dispatch, None));
    let of_runs = dispatches.iter().enumerate();
    let of_runs =
        of_runs.map(|(at, dispatch)| (at.to_string(), dispatch, times.as_ref().map(|times| times[at])));
    for (at, dispatch, time) in at_load.chain(of_runs).take(*left) {
        row(&at, dispatch, time.map(|time| (time, longest)), body);
    }
    body.push_str("</table>\n");
    let all = init.len() + dispatches.len();
    if all > *left {
        put(body, format_args!("<p>{} dispatches are left out; `--json` has all.</p>\n", all - *left));
    }
    *left = left.saturating_sub(all);
}

fn row(at: &str, dispatch: &ExplainedDispatch, time: Option<(f64, f64)>, body: &mut String) {
    let time = time.map_or_else(String::new, |(time, longest)| {
        let share = if longest > 0.0 { 100.0 * time / longest } else { 0.0 };
        format!("{}<div class=bar style=\"width:{share:.0}%\"></div>", milliseconds(time))
    });
    put(
        body,
        format_args!(
            "<tr class=d><td class=n>{at}</td><td>{}<br><small>{}</small></td><td>{}</td><td class=n>{}</td><td class=n>{}</td><td \
             class=n>{}</td><td class=n>{time}</td></tr>\n",
            escape(&dispatch.name),
            escape(&dispatch.origins.join(", ")),
            kernel(dispatch),
            bytes(dispatch.bytes_read),
            bytes(dispatch.bytes_written),
            flops(dispatch.flops)
        ),
    );
}

/// The kernel with what is known of it, and its source folded.
fn kernel(dispatch: &ExplainedDispatch) -> String {
    let mut text = escape(&dispatch.kernel);
    if let Some([x, y, z]) = dispatch.workgroups {
        put(&mut text, format_args!(" <small>{x} x {y} x {z} workgroups</small>"));
    }
    if let Some(Choice { why, layouts, declined }) = &dispatch.choice {
        put(&mut text, format_args!("<br><small>{}</small>", escape(why)));
        let declined: String =
            declined.iter().map(|reason| format!("<br>declined {}", escape(reason))).collect();
        put(
            &mut text,
            format_args!(
                "<details><summary class=soft>layouts</summary><small>{}{declined}</small></details>",
                escape(layouts)
            ),
        );
    }
    if let Some(shader) = dispatch.shader {
        put(
            &mut text,
            format_args!(
                "<details data-shader=\"{shader}\"><summary class=soft>source</summary><pre></pre><noscript><a \
                 href=\"#shader-{shader}\">shader {shader}</a></noscript></details>"
            ),
        );
    }
    text
}

/// What each rule did, nodes at which it did the same together.
fn rules_section(rules: &[ExplainedRule], body: &mut String) {
    if rules.is_empty() {
        return;
    }
    put(
        body,
        format_args!("<details><summary>{} decisions of rewrite rules</summary>\n<table>\n", rules.len()),
    );
    let groups = tally::groups(rules.iter().collect(), |rule| format!("{}: {}", rule.rule, rule.outcome));
    for group in groups {
        let nodes: Vec<&str> = group.iter().take(100).map(|rule| rule.node.as_str()).collect();
        put(
            body,
            format_args!(
                "<tr><td>{}</td><td class=n>{}</td><td>{}<details><summary class=soft>nodes</summary><small>{}</small></details></td></tr>\n",
                escape(&group[0].rule),
                group.len(),
                escape(&group[0].outcome),
                escape(&nodes.join(", "))
            ),
        );
    }
    body.push_str("</table></details>\n");
}

fn shader_section(shaders: &BTreeSet<u32>, source: impl Fn(u32) -> Option<String>, body: &mut String) {
    let (mut size, mut left_out) = (0, 0);
    body.push_str("<details><summary>Shaders</summary>\n");
    for &shader in shaders {
        let text = source(shader).filter(|text| size + text.len() <= MOST_SOURCE);
        size += text.as_ref().map_or(0, String::len);
        left_out += usize::from(text.is_none());
        let text = text.unwrap_or_else(|| "left out: `driftc inspect --shaders DIR` writes it".to_owned());
        put(
            body,
            format_args!("<h3>shader {shader}</h3>\n<pre id=\"shader-{shader}\">{}</pre>\n", lines(&text)),
        );
    }
    body.push_str("</details>\n");
    if left_out > 0 {
        put(body, format_args!("<p>The sources of {left_out} shaders are left out of this page.</p>\n"));
    }
}

/// A text of several lines, each escaped.
fn lines(text: &str) -> String {
    text.lines().map(|line| escape(&line.replace('\t', "    "))).collect::<Vec<_>>().join("\n")
}

fn put(text: &mut String, what: std::fmt::Arguments<'_>) {
    text.write_fmt(what).unwrap_or_else(|error| unreachable!("a string takes every write: {error}"));
}
