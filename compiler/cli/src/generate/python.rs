//! What chat templates expect of Python: JSON as its `json` module prints it, and dates as `strftime` does.

use minijinja::value::{Kwargs, ValueKind};
use minijinja::{Error, ErrorKind, Value};
use std::fmt::Write;

/// Values within one another that are printed: more is a mistake, and would take the stack.
const DEEPEST: usize = 100;

/// The filter `tojson`.
pub(crate) fn to_json(value: &Value, options: Kwargs) -> Result<String, Error> {
    let indent: Option<usize> = options.get("indent")?;
    let separators: Option<Vec<String>> = options.get("separators")?;
    let default = if indent.is_some() { [",", ": "] } else { [", ", ": "] };
    let mut separators = separators.unwrap_or_else(|| default.map(str::to_owned).to_vec()).into_iter();
    let (Some(item), Some(key), None) = (separators.next(), separators.next(), separators.next()) else {
        return Err(refusal("`separators` must be two texts"));
    };
    let ensure_ascii = options.get::<Option<bool>>("ensure_ascii")?.unwrap_or(false);
    let sort_keys = options.get::<Option<bool>>("sort_keys")?.unwrap_or(false);
    options.assert_all_used()?;
    let mut json = Json { text: String::new(), indent, item, key, ensure_ascii, sort_keys };
    json.value(value, 0)?;
    Ok(json.text)
}

fn refusal(reason: &str) -> Error {
    Error::new(ErrorKind::InvalidOperation, reason.to_owned())
}

/// A text on its way.
struct Json {
    text: String,
    indent: Option<usize>,
    item: String,
    key: String,
    ensure_ascii: bool,
    sort_keys: bool,
}

impl Json {
    fn value(&mut self, value: &Value, depth: usize) -> Result<(), Error> {
        if depth > DEEPEST {
            return Err(refusal("`tojson` meets values too deep in one another"));
        }
        match value.kind() {
            ValueKind::None => self.text.push_str("null"),
            ValueKind::Bool => self.text.push_str(if value.is_true() { "true" } else { "false" }),
            ValueKind::Number => self.text.push_str(&number(value)?),
            ValueKind::String => self.string(value.as_str().unwrap_or_default()),
            ValueKind::Seq | ValueKind::Iterable => self.list(value, depth)?,
            ValueKind::Map => self.map(value, depth)?,
            kind => return Err(refusal(&format!("`tojson` cannot write {kind}"))),
        }
        Ok(())
    }

    fn list(&mut self, value: &Value, depth: usize) -> Result<(), Error> {
        self.text.push('[');
        let mut count = 0;
        for item in value.try_iter()? {
            self.separate(count, depth + 1);
            self.value(&item, depth + 1)?;
            count += 1;
        }
        self.close(']', count, depth);
        Ok(())
    }

    fn map(&mut self, value: &Value, depth: usize) -> Result<(), Error> {
        let keys = value.try_iter()?.map(|key| Ok((key_text(&key)?, key)));
        let mut keys = keys.collect::<Result<Vec<(String, Value)>, Error>>()?;
        if self.sort_keys {
            keys.sort_by(|a, b| a.0.cmp(&b.0));
        }
        self.text.push('{');
        for (count, (text, key)) in keys.iter().enumerate() {
            self.separate(count, depth + 1);
            self.string(text);
            self.text.push_str(&self.key);
            self.value(&value.get_item(key)?, depth + 1)?;
        }
        self.close('}', keys.len(), depth);
        Ok(())
    }

    /// What stands before an item.
    fn separate(&mut self, earlier: usize, depth: usize) {
        if earlier > 0 {
            self.text.push_str(&self.item);
        }
        self.line(depth);
    }

    fn close(&mut self, bracket: char, items: usize, depth: usize) {
        if items > 0 {
            self.line(depth);
        }
        self.text.push(bracket);
    }

    fn line(&mut self, depth: usize) {
        if let Some(indent) = self.indent {
            self.text.push('\n');
            self.text.extend(std::iter::repeat_n(' ', indent.min(DEEPEST) * depth));
        }
    }

    fn string(&mut self, text: &str) {
        self.text.push('"');
        for c in text.chars() {
            match c {
                '"' => self.text.push_str("\\\""),
                '\\' => self.text.push_str("\\\\"),
                '\n' => self.text.push_str("\\n"),
                '\r' => self.text.push_str("\\r"),
                '\t' => self.text.push_str("\\t"),
                '\u{8}' => self.text.push_str("\\b"),
                '\u{c}' => self.text.push_str("\\f"),
                c if c < ' ' || (self.ensure_ascii && !(' '..='~').contains(&c)) => {
                    for unit in c.encode_utf16(&mut [0; 2]) {
                        // Writing to a string cannot fail.
                        let _written = write!(self.text, "\\u{unit:04x}");
                    }
                }
                c => self.text.push(c),
            }
        }
        self.text.push('"');
    }
}

fn key_text(key: &Value) -> Result<String, Error> {
    match key.kind() {
        ValueKind::String => Ok(key.as_str().unwrap_or_default().to_owned()),
        ValueKind::None => Ok("null".to_owned()),
        ValueKind::Bool => Ok(if key.is_true() { "true" } else { "false" }.to_owned()),
        ValueKind::Number => number(key),
        kind => Err(refusal(&format!("`tojson` takes no {kind} for a key"))),
    }
}

fn number(value: &Value) -> Result<String, Error> {
    if value.is_integer() {
        return Ok(value.to_string());
    }
    Ok(float(f64::try_from(value.clone())?))
}

/// The shortest digits that are this number, with an exponent where Python's `repr` has one.
fn float(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    let scientific = format!("{value:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if (-4..16).contains(&exponent) {
        let plain = value.to_string();
        return if plain.contains('.') { plain } else { plain + ".0" };
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.abs())
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// A moment in universal time: the zone of a machine is not known without its database.
struct Moment {
    year: u64,
    /// From 1.
    month: usize,
    day: u64,
    /// From 1, in the year.
    day_of_year: u64,
    /// From Sunday, which is 0.
    weekday: usize,
    hour: u64,
    minute: u64,
    second: u64,
}

impl Moment {
    /// `seconds` after 1970 began.
    fn new(seconds: u64) -> Self {
        let (days, time) = (seconds / 86_400, seconds % 86_400);
        let is_leap =
            |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
        // Whole cycles of the calendar first, so that no date takes long.
        let (mut year, mut rest) = (1970 + days / 146_097 * 400, days % 146_097);
        while rest >= 365 + u64::from(is_leap(year)) {
            rest -= 365 + u64::from(is_leap(year));
            year += 1;
        }
        let day_of_year = rest + 1;
        let february = 28 + u64::from(is_leap(year));
        let mut month = 1;
        for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30] {
            if rest < length {
                break;
            }
            rest -= length;
            month += 1;
        }
        Self {
            year,
            month,
            day: rest + 1,
            day_of_year,
            // 1970 began on a Thursday.
            weekday: ((days + 4) % 7) as usize,
            hour: time / 3600,
            minute: time / 60 % 60,
            second: time % 60,
        }
    }

    /// What a letter of a format stands for.
    fn field(&self, letter: char) -> Option<String> {
        let two = |number: u64| format!("{number:02}");
        let twelve = match self.hour % 12 {
            0 => 12,
            hour => hour,
        };
        Some(match letter {
            'Y' => self.year.to_string(),
            'y' => two(self.year % 100),
            'm' => two(self.month as u64),
            'B' => MONTHS[self.month - 1].to_owned(),
            'b' | 'h' => MONTHS[self.month - 1][..3].to_owned(),
            'd' => two(self.day),
            'e' => format!("{:2}", self.day),
            'j' => format!("{:03}", self.day_of_year),
            'A' => DAYS[self.weekday].to_owned(),
            'a' => DAYS[self.weekday][..3].to_owned(),
            'w' => self.weekday.to_string(),
            'H' => two(self.hour),
            'I' => two(twelve),
            'M' => two(self.minute),
            'S' => two(self.second),
            'f' => "000000".to_owned(),
            'p' => if self.hour < 12 { "AM" } else { "PM" }.to_owned(),
            'Z' => "UTC".to_owned(),
            'z' => "+0000".to_owned(),
            'F' => format!("{}-{:02}-{:02}", self.year, self.month, self.day),
            'T' => format!("{:02}:{:02}:{:02}", self.hour, self.minute, self.second),
            '%' => "%".to_owned(),
            _ => return None,
        })
    }
}

/// The moment `now`, in seconds since 1970, as `format` has it.
pub(crate) fn strftime(format: &str, now: u64) -> Result<String, String> {
    let moment = Moment::new(now);
    let mut text = String::new();
    let mut letters = format.chars();
    while let Some(c) = letters.next() {
        if c != '%' {
            text.push(c);
            continue;
        }
        let letter = letters.next();
        let (is_bare, letter) = if letter == Some('-') { (true, letters.next()) } else { (false, letter) };
        let field = letter.and_then(|letter| moment.field(letter));
        let Some(field) = field else {
            let letter = letter.map(String::from).unwrap_or_default();
            return Err(format!("strftime_now knows no `%{letter}`"));
        };
        let bare = field.trim_start_matches(['0', ' ']);
        text.push_str(match (is_bare, bare) {
            (true, "") => "0",
            (true, bare) => bare,
            (false, _) => &field,
        });
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use minijinja::Environment;

    fn json(expression: &str) -> Result<String, Error> {
        let mut environment = Environment::new();
        environment.add_filter("tojson", to_json);
        environment.render_str(&format!("{{{{ {expression} }}}}"), ())
    }

    /// Expected texts are those of `json.dumps`.
    #[test]
    fn json_is_that_of_python() {
        for (expression, expected) in [
            (
                "{'b': [1, 2.0, 1e-7, 1e16, 123456.75, -0.0001], 'a': none} | tojson",
                r#"{"b": [1, 2.0, 1e-07, 1e+16, 123456.75, -0.0001], "a": null}"#,
            ),
            ("[] | tojson", "[]"),
            ("{} | tojson(indent=2)", "{}"),
            (
                "{'a': [1, {}], 'b': 'x'} | tojson(indent=2)",
                "{\n  \"a\": [\n    1,\n    {}\n  ],\n  \"b\": \"x\"\n}",
            ),
            ("{'b': true, 'a': 1} | tojson(sort_keys=true)", r#"{"a": 1, "b": true}"#),
            ("{'b': [1, 2]} | tojson(separators=(',', ':'))", r#"{"b":[1,2]}"#),
            ("'\\n\"\u{1}/\u{e9}\u{7f}<' | tojson", "\"\\n\\\"\\u0001/\u{e9}\u{7f}<\""),
            ("'\u{e9}\u{1f680}' | tojson(ensure_ascii=true)", r#""\u00e9\ud83d\ude80""#),
            ("{1: 2} | tojson", r#"{"1": 2}"#),
        ] {
            assert_eq!(json(expression).unwrap(), expected, "{expression}");
        }
    }

    #[test]
    fn what_is_no_json_is_refused() {
        assert!(json("missing | tojson").unwrap_err().to_string().contains("cannot write undefined"));
        assert!(json("1 | tojson(unknown=1)").is_err());
        assert!(json("1 | tojson(separators=[','])").is_err());
        let deep = (0..200).fold(Value::from(1), |inner, _| Value::from(vec![inner]));
        assert!(to_json(&deep, Kwargs::from_iter::<[(&str, Value); 0]>([])).is_err());
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, expected) in [
            (0, "1970-01-01 00:00:00 Thu 001"),
            (951_782_399, "2000-02-28 23:59:59 Mon 059"),
            (951_782_400, "2000-02-29 00:00:00 Tue 060"),
            (1_772_892_309, "2026-03-07 14:05:09 Sat 066"),
            (4_107_542_399, "2100-02-28 23:59:59 Sun 059"),
            (4_107_542_400, "2100-03-01 00:00:00 Mon 060"),
            (253_402_300_799, "9999-12-31 23:59:59 Fri 365"),
        ] {
            assert_eq!(strftime("%Y-%m-%d %H:%M:%S %a %j", seconds).unwrap(), expected);
        }
        let text = strftime("%-d %B %b %y, %I %p, %A, 100%%, %F %T", 1_772_892_309).unwrap();
        assert_eq!(text, "7 March Mar 26, 02 PM, Saturday, 100%, 2026-03-07 14:05:09");
        assert_eq!(strftime("%Q", 0), Err("strftime_now knows no `%Q`".to_owned()));
        assert_eq!(strftime("100%", 0), Err("strftime_now knows no `%`".to_owned()));
        assert!(strftime("%Y", u64::MAX).is_ok());
    }
}
