//! Reads the CSV form of memory problems that the MiniMalloc benchmarks use, so that plans can be compared with theirs.
//!
//! A header names the columns, in any order: `id`, `lower`, `upper`, `size`, and optionally `alignment`; further columns
//! (`hint`, `gaps`) are read over. Live ranges are half-open there and inclusive here. A buffer with gaps counts as live
//! through them, which can only cost bytes.

use super::Tensor;
use thiserror::Error;

/// Buffers of one problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Names of the buffers, in file order.
    pub ids: Vec<String>,
    /// The buffers as tensors to place, in the same order.
    pub tensors: Vec<Tensor>,
}

/// Why a text is not a memory problem.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CsvError {
    /// No header line, or one without a needed column.
    #[error("the header has no column `{column}`; expected at least id,lower,upper,size")]
    MissingColumn {
        /// The column.
        column: &'static str,
    },
    /// A line with fewer fields than the header needs.
    #[error("line {line} has no field for column `{column}`")]
    MissingField {
        /// Line number, from 1.
        line: usize,
        /// The column.
        column: &'static str,
    },
    /// A field that is not a whole number.
    #[error("line {line}: column `{column}` is `{text}`, expected a whole number of 0 or more")]
    NotANumber {
        /// Line number, from 1.
        line: usize,
        /// The column.
        column: &'static str,
        /// What stands there.
        text: String,
    },
    /// A half-open live range without any task in it.
    #[error("line {line}: the live range {lower}..{upper} is empty")]
    EmptyLife {
        /// Line number, from 1.
        line: usize,
        /// First task.
        lower: usize,
        /// One past the last task.
        upper: usize,
    },
}

/// Positions of the columns in a line.
struct Columns {
    id: usize,
    lower: usize,
    upper: usize,
    size: usize,
    alignment: Option<usize>,
}

impl Columns {
    fn of(header: &str) -> Result<Self, CsvError> {
        let position = |name: &str| header.split(',').position(|column| column.trim() == name);
        let needed = |column| position(column).ok_or(CsvError::MissingColumn { column });
        Ok(Self {
            id: needed("id")?,
            lower: needed("lower")?,
            upper: needed("upper")?,
            size: needed("size")?,
            alignment: position("alignment"),
        })
    }
}

/// Reads a problem; blank lines are skipped.
pub fn read(text: &str) -> Result<Problem, CsvError> {
    let mut lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let columns = Columns::of(lines.next().map_or("", |(_, header)| header))?;
    let mut problem = Problem { ids: Vec::new(), tensors: Vec::new() };
    for (at, text) in lines {
        let line = at + 1;
        let fields: Vec<&str> = text.split(',').map(str::trim).collect();
        let field =
            |at: usize, column| fields.get(at).copied().ok_or(CsvError::MissingField { line, column });
        let lower = number(field(columns.lower, "lower")?, line, "lower")?;
        let upper = number(field(columns.upper, "upper")?, line, "upper")?;
        if lower >= upper {
            return Err(CsvError::EmptyLife { line, lower, upper });
        }
        let align = match columns.alignment.and_then(|at| fields.get(at).copied()) {
            None | Some("") => 1,
            Some(text) => number(text, line, "alignment")?,
        };
        problem.ids.push(field(columns.id, "id")?.to_owned());
        problem.tensors.push(Tensor {
            size_bytes: number(field(columns.size, "size")?, line, "size")?,
            first: lower,
            last: upper - 1,
            align,
        });
    }
    Ok(problem)
}

/// A whole number of 0 or more.
fn number<N: std::str::FromStr>(text: &str, line: usize, column: &'static str) -> Result<N, CsvError> {
    text.parse().map_err(|_| CsvError::NotANumber { line, column, text: text.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_open_live_ranges_become_inclusive() {
        let problem = read("id,lower,upper,size\nb1,0,3,4\nb2,3,9,4\n").unwrap();
        assert_eq!(problem.ids, ["b1", "b2"]);
        assert_eq!(
            problem.tensors,
            [
                Tensor { size_bytes: 4, first: 0, last: 2, align: 1 },
                Tensor { size_bytes: 4, first: 3, last: 8, align: 1 }
            ]
        );
        assert_eq!(
            super::super::plan(&problem.tensors, super::super::Effort::COMPILE).unwrap().peak_bytes,
            4
        );
    }

    #[test]
    fn columns_come_in_any_order_and_more_may_stand_beside_them() {
        let problem =
            read("size, id, upper, hint, lower, alignment\n10, x, 2, 7, 1, 8\n\n5,y,4,,3,\n").unwrap();
        assert_eq!(problem.tensors[0], Tensor { size_bytes: 10, first: 1, last: 1, align: 8 });
        assert_eq!(problem.tensors[1], Tensor { size_bytes: 5, first: 3, last: 3, align: 1 });
    }

    #[test]
    fn malformed_text_names_its_line() {
        let error = |text| read(text).unwrap_err().to_string();
        assert_eq!(error(""), "the header has no column `id`; expected at least id,lower,upper,size");
        assert_eq!(error("id,lower,upper,size\na,0,1"), "line 2 has no field for column `size`");
        assert_eq!(
            error("id,lower,upper,size\na,0,1,-4"),
            "line 2: column `size` is `-4`, expected a whole number of 0 or more"
        );
        assert_eq!(error("id,lower,upper,size\na,1,1,4"), "line 2: the live range 1..1 is empty");
    }
}
