//! Values that settings of sampling may have, wherever they come from.

/// Whether a setting of sampling may have this value.
pub(crate) fn is_allowed(key: &str, value: f64) -> bool {
    match key {
        "temperature" => value.is_finite() && value >= 0.0,
        "top_p" => value > 0.0 && value <= 1.0,
        "min_p" => (0.0..=1.0).contains(&value),
        "repetition_penalty" => (0.01..=100.0).contains(&value),
        _ => value >= 0.0 && value.fract() == 0.0 && value <= u32::MAX.into(),
    }
}

/// What [`is_allowed`] allows, in words.
pub(crate) fn range(key: &str) -> &'static str {
    match key {
        "temperature" => "it must not be negative",
        "top_p" => "it must be above 0 and at most 1",
        "min_p" => "it must be from 0 to 1",
        "repetition_penalty" => "it must be from 0.01 to 100",
        _ => "it must be a whole number",
    }
}

/// Refuses a value of a flag that its setting may not have.
pub(crate) fn allowed(key: &'static str) -> impl Fn(&str) -> Result<f64, String> + Clone {
    move |text| match text.parse::<f64>() {
        Ok(value) if is_allowed(key, value) => Ok(value),
        _ => Err(range(key).to_owned()),
    }
}
