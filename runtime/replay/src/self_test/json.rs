//! The report as JSON, for a user to send.

use std::fmt::Write;

use super::{Fault, SelfTestReport, Untested, WrongDispatch};

impl SelfTestReport {
    /// The report as JSON: a contract of names, of which later versions may have more. Numbers that JSON has no words for are
    /// strings.
    pub fn to_json(&self) -> String {
        let Self {
            device,
            driver,
            api,
            ids: [vendor, id],
            bundle,
            model,
            entry,
            variant,
            tests,
            wrong,
            untested,
        } = self;
        let fields = [
            ("device", text(device)),
            ("driver", text(driver)),
            ("api", text(api)),
            ("vendor_id", text(&format!("{vendor:#06x}"))),
            ("device_id", text(&format!("{id:#06x}"))),
            ("bundle", text(bundle)),
            ("model", text(model)),
            ("entry", text(entry)),
            ("variant", text(variant)),
            ("right", wrong.is_empty().to_string()),
            ("tests", tests.to_string()),
            ("wrong", list(wrong.iter().map(wrong_dispatch))),
            ("untested", list(untested.iter().map(untested_dispatch))),
        ];
        object(&fields)
    }
}

fn wrong_dispatch(wrong: &WrongDispatch) -> String {
    let texts = |names: &[String]| list(names.iter().map(|name| text(name)));
    let WrongDispatch { dispatches, shaders, nodes, fault } = wrong;
    let mut fields =
        vec![("dispatches", texts(dispatches)), ("shaders", texts(shaders)), ("nodes", texts(nodes))];
    match fault {
        Fault::Values { wrong, samples, sample, expected, got, tolerance } => fields.extend([
            ("fault", text("values")),
            ("wrong_samples", wrong.to_string()),
            ("samples", samples.to_string()),
            ("sample", sample.to_string()),
            ("expected", number(*expected)),
            ("got", number(*got)),
            ("tolerance", number(*tolerance)),
        ]),
        Fault::Unsteady { differ, samples } => fields.extend([
            ("fault", text("unsteady")),
            ("wrong_samples", differ.to_string()),
            ("samples", samples.to_string()),
        ]),
    }
    object(&fields)
}

fn untested_dispatch(Untested { dispatch, reason }: &Untested) -> String {
    object(&[("dispatch", text(dispatch)), ("reason", text(reason))])
}

fn object(fields: &[(&str, String)]) -> String {
    let fields: Vec<String> = fields.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
    format!("{{{}}}", fields.join(","))
}

fn list(values: impl Iterator<Item = String>) -> String {
    format!("[{}]", values.collect::<Vec<_>>().join(","))
}

fn number(value: f64) -> String {
    if value.is_finite() { format!("{value:e}") } else { text(&value.to_string()) }
}

fn text(value: &str) -> String {
    let mut quoted = String::with_capacity(value.len() + 2);
    quoted.push('"');
    for c in value.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => {
                // Writing to a String cannot fail; all control characters are below U+10000.
                let _ = write!(quoted, "\\u{:04x}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::{number, text};

    #[test]
    fn strings_and_numbers_are_json() {
        assert_eq!(text("a\"b\\c\n\u{85}"), "\"a\\\"b\\\\c\\u000a\\u0085\"");
        assert_eq!(number(f64::NAN), "\"NaN\"");
        assert_eq!(number(-0.5), "-5e-1");
        assert_eq!(number(128.0), "1.28e2");
    }
}
