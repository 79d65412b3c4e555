//! Numbers as people read them.

/// `1.5 MiB`, `12 B`.
pub(crate) fn bytes(count: u64) -> String {
    scaled(count, 1024, &["B", "KiB", "MiB", "GiB", "TiB"])
}

/// `3.2 MFLOP`.
pub(crate) fn flops(count: u64) -> String {
    scaled(count, 1000, &["FLOP", "kFLOP", "MFLOP", "GFLOP", "TFLOP", "PFLOP"])
}

/// `0.031 ms`, `12.4 ms`: three digits that matter.
pub(crate) fn milliseconds(value: f64) -> String {
    let decimals = match value {
        value if value < 1.0 => 3,
        value if value < 10.0 => 2,
        value if value < 100.0 => 1,
        _ => 0,
    };
    format!("{value:.decimals$} ms")
}

fn scaled(count: u64, base: u64, units: &[&str]) -> String {
    let mut value = count as f64;
    let mut units = units.iter();
    let mut unit = units.next().copied().unwrap_or_default();
    for larger in units {
        if value < base as f64 {
            break;
        }
        value /= base as f64;
        unit = larger;
    }
    if count < base { format!("{count} {unit}") } else { format!("{value:.1} {unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_grow_with_the_number() {
        assert_eq!(bytes(0), "0 B");
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(1536), "1.5 KiB");
        assert_eq!(bytes(u64::MAX), "16777216.0 TiB");
        assert_eq!(flops(999), "999 FLOP");
        assert_eq!(flops(3_200_000), "3.2 MFLOP");
        assert_eq!(milliseconds(0.0312), "0.031 ms");
        assert_eq!(milliseconds(12.44), "12.4 ms");
        assert_eq!(milliseconds(1234.5), "1234 ms");
    }
}
