//! Values of options, as Go reads them.

/// A size with a decimal suffix, as go-units `FromHumanSize` reads it: `10m` is 10,000,000.
pub(crate) fn parse_size(text: &str) -> Option<u64> {
    scaled(text, 1000)
}

/// A size with a binary suffix, as go-units `RAMInBytes` reads it: `1m` is 1,048,576.
pub(crate) fn parse_memory(text: &str) -> Option<u64> {
    scaled(text, 1024)
}

fn scaled(text: &str, base: u64) -> Option<u64> {
    let lower = text.trim().to_ascii_lowercase();
    let digits = lower.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let suffix = lower[digits.len()..].trim_end_matches('b').trim_end_matches('i');
    let power = ["", "k", "m", "g", "t"].iter().position(|known| *known == suffix)?;
    let factor = base.pow(u32::try_from(power).ok()?);
    let number = digits.trim();
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(factor);
    }
    let fraction = number.contains('.').then(|| number.parse::<f64>().ok())??;
    if !(0.0..1e15).contains(&fraction) {
        return None;
    }
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "as go-units"
    )]
    Some((fraction * factor as f64) as u64)
}

/// Go's `strconv.ParseBool`.
pub(crate) fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}
