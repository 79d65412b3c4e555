//! Unique names for the values that the importer adds.

use std::collections::{HashMap, HashSet};

/// All names given so far.
#[derive(Default)]
pub(crate) struct Names {
    taken: HashSet<String>,
    /// The last suffix tried per base, so that many names on one base cost no search.
    suffixes: HashMap<String, u64>,
}

impl Names {
    /// Takes a name as it is; false when it was taken before.
    pub(crate) fn reserve(&mut self, name: &str) -> bool {
        self.taken.insert(name.to_owned())
    }

    /// Takes `base`, or the first of `base.1`, `base.2`, ... that is free.
    pub(crate) fn unique(&mut self, base: &str) -> String {
        let mut name = base.to_owned();
        while !self.taken.insert(name.clone()) {
            let suffix = self.suffixes.entry(base.to_owned()).or_default();
            *suffix += 1;
            name = format!("{base}.{suffix}");
        }
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_where_they_are_free_and_count_where_not() {
        let mut names = Names::default();
        assert!(names.reserve("y") && names.reserve("y.1") && !names.reserve("y"));
        assert_eq!([names.unique("y"), names.unique("z"), names.unique("y")], ["y.2", "z", "y.3"]);
    }
}
