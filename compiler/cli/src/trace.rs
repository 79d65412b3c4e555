//! One replay as a trace that chrome://tracing and Perfetto open.

use serde_json::{Value, json};

/// GPU time of one dispatch.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Span {
    /// Name of the dispatch.
    pub(crate) name: String,
    /// How long it ran.
    pub(crate) milliseconds: f64,
    /// What it must read and write at least.
    pub(crate) bytes: u64,
    /// Its arithmetic.
    pub(crate) flops: u64,
}

/// Lays the dispatches one after another: times say how long each took, not what ran side by side.
pub(crate) fn json(device: &str, spans: &[Span]) -> Value {
    let mut start_us = 0.0;
    let mut events = vec![json!({
        "name": "process_name", "ph": "M", "pid": 0, "args": { "name": device },
    })];
    for span in spans {
        let duration_us = span.milliseconds * 1000.0;
        events.push(json!({
            "name": span.name,
            "cat": "dispatch",
            "ph": "X",
            "pid": 0,
            "tid": 0,
            "ts": start_us,
            "dur": duration_us,
            "args": { "bytes": span.bytes, "flops": span.flops },
        }));
        start_us += duration_us;
    }
    json!({ "displayTimeUnit": "ms", "traceEvents": events })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dispatches_follow_each_other() {
        let span =
            |name: &str, milliseconds| Span { name: name.to_owned(), milliseconds, bytes: 8, flops: 4 };
        let trace = json("a device", &[span("a", 0.5), span("b", 0.25)]);
        let events = trace["traceEvents"].as_array().unwrap();
        assert_eq!(events.len(), 3);
        assert_eq!((events[2]["ts"].as_f64(), events[2]["dur"].as_f64()), (Some(500.0), Some(250.0)));
    }
}
