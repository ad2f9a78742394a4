//! Go's `path.Match`: `*` and `?` stop at a slash, `[…]` is a class, `\` quotes.

/// Whether all of `text` matches. A malformed pattern matches nothing.
pub(crate) fn matches(pattern: &str, text: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let text: Vec<char> = text.chars().collect();
    go(&pattern, &text)
}

fn go(pattern: &[char], text: &[char]) -> bool {
    let (mut p, mut t) = (0, 0);
    // Where to go on when what follows the last star does not fit: one character further.
    let mut retry: Option<(usize, usize)> = None;
    loop {
        let step = match pattern.get(p) {
            Some('*') => {
                retry = Some((p + 1, t));
                p += 1;
                continue;
            }
            None if t == text.len() => return true,
            None => None,
            Some(_) => text.get(t).and_then(|c| one(&pattern[p..], *c)),
        };
        match (step, retry) {
            (Some(used), _) => (p, t) = (p + used, t + 1),
            (None, Some((after_star, from))) if text.get(from).is_some_and(|c| *c != '/') => {
                retry = Some((after_star, from + 1));
                (p, t) = (after_star, from + 1);
            }
            _ => return false,
        }
    }
}

/// How many pattern characters match this one character.
fn one(pattern: &[char], c: char) -> Option<usize> {
    match pattern[0] {
        '?' => (c != '/').then_some(1),
        '[' => class(pattern, c),
        '\\' => (pattern.get(1) == Some(&c)).then_some(2),
        plain => (plain == c).then_some(1),
    }
}

fn class(pattern: &[char], c: char) -> Option<usize> {
    let negated = pattern.get(1) == Some(&'^');
    let mut at = 1 + usize::from(negated);
    let mut hit = false;
    let mut first = true;
    while first || pattern.get(at) != Some(&']') {
        first = false;
        let low = literal(pattern, &mut at)?;
        let high = if pattern.get(at) == Some(&'-') {
            at += 1;
            literal(pattern, &mut at)?
        } else {
            low
        };
        hit |= (low..=high).contains(&c);
    }
    (hit != negated).then_some(at + 1)
}

fn literal(pattern: &[char], at: &mut usize) -> Option<char> {
    if pattern.get(*at) == Some(&'\\') {
        *at += 1;
    }
    let c = pattern.get(*at).copied().filter(|c| *c != ']' || pattern.get(*at - 1) == Some(&'\\'))?;
    *at += 1;
    Some(c)
}

#[cfg(test)]
mod tests {
    use super::matches;
    use proptest::prelude::*;

    #[test]
    fn like_gos_path_match() {
        for (pattern, text, expected) in [
            ("", "", true),
            ("abc", "abc", true),
            ("*", "abc", true),
            ("*c", "abc", true),
            ("a*", "ab/c", false),
            ("a*/b", "a/b", true),
            ("a*b*c*d*e*/f", "axbxcxdxexxx/f", true),
            ("a*b*c*d*e*/f", "axbxcxdxexxx/fff", false),
            ("a*b?c*x", "abxbbxdbxebxczzy", false),
            ("ab[c]", "abc", true),
            ("ab[b-d]", "abc", true),
            ("ab[^b-d]", "abc", false),
            ("ab[^e-g]", "abc", true),
            ("a\\*b", "a*b", true),
            ("a???b", "a☺☺☺b", true),
            ("a?b", "a/b", false),
            ("[a", "a", false),
            ("[]a]", "]", false),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }

    proptest! {
        #[test]
        fn a_text_matches_itself_and_a_star(text in "[a-z0-9.:-]{0,20}") {
            prop_assert!(matches(&text, &text));
            prop_assert!(matches("*", &text));
        }

        #[test]
        fn any_pattern_ends(pattern in "[a\\[\\]*?^\\\\/-]{0,12}", text in "[ab/]{0,12}") {
            matches(&pattern, &text);
        }
    }
}
