//! One line for many that are alike: the first of them, and how many more there are.

use std::collections::HashMap;

/// Lines that differ in names and numbers only, together, in the order of the first of each group.
pub(crate) fn groups<T>(lines: Vec<T>, text: impl Fn(&T) -> String) -> Vec<Vec<T>> {
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut groups: Vec<Vec<T>> = Vec::new();
    for line in lines {
        let place = *places.entry(form(&text(&line))).or_insert(groups.len());
        match groups.get_mut(place) {
            Some(group) => group.push(line),
            None => groups.push(vec![line]),
        }
    }
    groups
}

/// The lines, of those that are alike only the first, with how many more there are; all as they are where `all` says so.
pub(crate) fn lines(lines: &[String], all: bool) -> Vec<String> {
    if all {
        return lines.to_vec();
    }
    let groups = groups(lines.iter().collect(), |line| (*line).clone());
    let shown = groups.into_iter().map(|group| match group.len() {
        1 => group[0].clone(),
        more => format!("{} (and {} more like it; --all lists them)", group[0], more - 1),
    });
    shown.collect()
}

/// What alike lines have in common: everything but names, which stand between backticks, and numbers.
pub(crate) fn form(line: &str) -> String {
    let mut form = String::with_capacity(line.len());
    let mut is_name = false;
    for c in line.chars() {
        match c {
            '`' => {
                is_name = !is_name;
                form.push(c);
            }
            _ if is_name => {}
            _ if c.is_ascii_digit() => {
                if !form.ends_with('0') {
                    form.push('0');
                }
            }
            c => form.push(c),
        }
    }
    form
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alike_lines_are_counted() {
        let of = |texts: &[&str], all| {
            let texts: Vec<String> = texts.iter().map(|&text| text.to_owned()).collect();
            lines(&texts, all)
        };
        let texts =
            ["node `a` is slow: 12 rows", "other", "node `b` is slow: 7 rows", "node `c` is fast: 7 rows"];
        let tallied = [
            "node `a` is slow: 12 rows (and 1 more like it; --all lists them)",
            "other",
            "node `c` is fast: 7 rows",
        ];
        assert_eq!(of(&texts, false), tallied);
        assert_eq!(of(&texts, true), texts);
        assert!(of(&[], false).is_empty());
    }
}
