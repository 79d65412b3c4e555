//! f16 and normalized integers in words.

use crate::{assert_close, map};

/// Rounds to the nearest half, ties to even.
pub(crate) fn half_bits(value: f32) -> u16 {
    let bits = value.to_bits();
    let sign = (bits >> 16) as u16 & 0x8000;
    let magnitude = value.abs();
    if magnitude >= 65520.0 {
        return sign | 0x7c00;
    }
    // Below the normal range the spacing is constant; adding a power of two lets the hardware round there.
    if magnitude < 6.103_515_6e-5 {
        return sign | ((magnitude + 0.5).to_bits() - 0.5_f32.to_bits()) as u16;
    }
    let rounded = (bits & 0x7fff_ffff) + 0xfff + ((bits >> 13) & 1);
    sign | ((rounded - (112 << 23)) >> 13) as u16
}

/// The exact value of a finite half.
fn half_value(bits: u16) -> f32 {
    let magnitude = match bits >> 10 & 31 {
        0 => f32::from(bits & 0x3ff) * 2.0_f32.powi(-24),
        exponent => (1.0 + f32::from(bits & 0x3ff) / 1024.0) * 2.0_f32.powi(i32::from(exponent) - 15),
    };
    if bits & 0x8000 == 0 { magnitude } else { -magnitude }
}

#[test]
fn halves_are_packed_and_unpacked_with_correct_rounding() {
    // Ties in both directions, the largest half, subnormals and what rounds to them or to zero.
    let a = [
        0.0,
        -0.0,
        1.0,
        -2.5,
        1.000_488_3,
        1.001_464_8,
        65504.0,
        65519.0,
        6.1e-5,
        5.96e-8,
        2.98e-8,
        2.99e-8,
        1e-9,
        -3.3e-6,
        0.1,
        -1234.567,
        2049.0,
        2051.0,
    ];
    let found = map::<f32, u32>(&["pack2x16float(vec2(a, -a))"], &[&a]);
    let expected = a.map(|a| u32::from(half_bits(a)) | u32::from(half_bits(-a)) << 16);
    assert_eq!(found[0], expected);
    let magnitudes = (0..0x7c00).step_by(97).chain([1, 0x3ff, 0x400, 0x7bff]);
    let bits: Vec<u32> = magnitudes.map(|bits| bits | (bits ^ 0x8000) << 16).collect();
    let found = map::<u32, f32>(&["unpack2x16float(a).x", "unpack2x16float(a).y"], &[&bits]);
    let low: Vec<_> = bits.iter().map(|&bits| half_value(bits as u16)).collect();
    let high: Vec<_> = bits.iter().map(|&bits| half_value((bits >> 16) as u16)).collect();
    assert_eq!(found, [low, high]);
    let found = map::<f32, f32>(&["quantizeToF16(a)", "quantizeToF16(vec4(a)).z"], &[&a]);
    let expected = a.map(|a| half_value(half_bits(a))).to_vec();
    assert_eq!(found, [expected.clone(), expected]);
}

#[test]
fn normalized_integers_are_packed_as_wgsl_says() {
    let a = [0.0, 0.25, 0.5, 1.0, 2.0, -0.25, -1.0, -3.0, 0.999];
    let found = map::<f32, u32>(
        &[
            "pack4x8unorm(vec4(a))",
            "pack4x8snorm(vec4(a))",
            "pack2x16unorm(vec2(a))",
            "pack2x16snorm(vec2(a))",
        ],
        &[&a],
    );
    let unorm = |max: f32| move |a: f32| (0.5 + max * a.clamp(0.0, 1.0)).floor() as u32;
    let snorm = |max: f32| move |a: f32| (0.5 + max * a.clamp(-1.0, 1.0)).floor() as i32;
    assert_eq!(found[0], a.map(|a| unorm(255.0)(a) * 0x0101_0101));
    assert_eq!(found[1], a.map(|a| u32::from(snorm(127.0)(a) as u8) * 0x0101_0101));
    assert_eq!(found[2], a.map(|a| unorm(65535.0)(a) * 0x0001_0001));
    assert_eq!(found[3], a.map(|a| u32::from(snorm(32767.0)(a) as u16) * 0x0001_0001));
    let words = [0, 0x8000_0080, 0x7fff_817f, u32::MAX];
    let found = map::<u32, f32>(
        &["unpack4x8unorm(a).x", "unpack4x8snorm(a).x", "unpack2x16unorm(a).y", "unpack2x16snorm(a).y"],
        &[&words],
    );
    assert_close(&found[0], &words.map(|word| f32::from(word as u8) / 255.0), "unpack4x8unorm");
    assert_close(&found[1], &words.map(|word| (f32::from(word as i8) / 127.0).max(-1.0)), "unpack4x8snorm");
    let high = words.map(|word| (word >> 16) as u16);
    assert_close(&found[2], &high.map(|word| f32::from(word) / 65535.0), "unpack2x16unorm");
    assert_close(
        &found[3],
        &high.map(|word| (f32::from(word as i16) / 32767.0).max(-1.0)),
        "unpack2x16snorm",
    );
}
