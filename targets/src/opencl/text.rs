//! Pieces of C expressions, with just the parentheses that a reader needs.

use naga::BinaryOperator;

/// How tightly an expression binds, loosest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Precedence {
    Conditional,
    LogicalOr,
    LogicalAnd,
    BitOr,
    BitXor,
    BitAnd,
    Equality,
    Relational,
    Shift,
    Sum,
    Product,
    Unary,
    Primary,
}

/// Whether an operator compares.
pub(super) fn is_comparison(op: BinaryOperator) -> bool {
    matches!(precedence(op), Precedence::Equality | Precedence::Relational)
}

/// How tightly an operator binds.
pub(super) fn precedence(op: BinaryOperator) -> Precedence {
    match op {
        BinaryOperator::Add | BinaryOperator::Subtract => Precedence::Sum,
        BinaryOperator::Multiply | BinaryOperator::Divide | BinaryOperator::Modulo => Precedence::Product,
        BinaryOperator::Equal | BinaryOperator::NotEqual => Precedence::Equality,
        BinaryOperator::Less
        | BinaryOperator::LessEqual
        | BinaryOperator::Greater
        | BinaryOperator::GreaterEqual => Precedence::Relational,
        BinaryOperator::And => Precedence::BitAnd,
        BinaryOperator::ExclusiveOr => Precedence::BitXor,
        BinaryOperator::InclusiveOr => Precedence::BitOr,
        BinaryOperator::LogicalAnd => Precedence::LogicalAnd,
        BinaryOperator::LogicalOr => Precedence::LogicalOr,
        BinaryOperator::ShiftLeft | BinaryOperator::ShiftRight => Precedence::Shift,
    }
}

/// An expression of the emitted text.
#[derive(Clone, Debug)]
pub(super) struct Text {
    pub(super) code: String,
    pub(super) precedence: Precedence,
}

impl Text {
    /// A name, a literal or a call.
    pub(super) fn primary(code: impl Into<String>) -> Self {
        Self { code: code.into(), precedence: Precedence::Primary }
    }

    /// A cast, or a prefix operator with its operand.
    pub(super) fn unary(code: impl Into<String>) -> Self {
        Self { code: code.into(), precedence: Precedence::Unary }
    }

    pub(super) fn new(code: impl Into<String>, precedence: Precedence) -> Self {
        Self { code: code.into(), precedence }
    }

    /// `name(arguments...)`
    pub(super) fn call(name: &str, arguments: &[Text]) -> Self {
        let arguments: Vec<_> = arguments.iter().map(|argument| argument.code.as_str()).collect();
        Self::primary(format!("{name}({})", arguments.join(", ")))
    }

    /// The code, in parentheses if it binds less tightly than `least`.
    pub(super) fn at_least(&self, least: Precedence) -> String {
        if self.precedence >= least { self.code.clone() } else { format!("({})", self.code) }
    }

    /// The operand of a prefix operator or cast. A second sign would read as a decrement.
    pub(super) fn operand(&self) -> String {
        if self.code.starts_with('-') { format!("({})", self.code) } else { self.at_least(Precedence::Unary) }
    }

    /// `self.suffix`, `self[suffix]` and the like.
    pub(super) fn postfix(&self, suffix: &str) -> Self {
        Self::primary(format!("{}{suffix}", self.at_least(Precedence::Primary)))
    }

    /// `left operator right` of left-associative operators.
    pub(super) fn binary(left: &Self, operator: &str, right: &Self, precedence: Precedence) -> Self {
        let (left_least, right_least) = match precedence {
            // Few readers know by heart how these bind against arithmetic.
            Precedence::Shift => (Precedence::Unary, Precedence::Unary),
            Precedence::BitAnd | Precedence::BitXor | Precedence::BitOr => {
                let same = left.precedence == precedence;
                (if same { precedence } else { Precedence::Unary }, Precedence::Unary)
            }
            Precedence::Relational | Precedence::Equality => (Precedence::Sum, Precedence::Sum),
            Precedence::LogicalAnd => (precedence, Precedence::Equality),
            Precedence::LogicalOr => {
                let same = left.precedence == precedence;
                (if same { precedence } else { Precedence::Equality }, Precedence::Equality)
            }
            Precedence::Sum => (precedence, Precedence::Product),
            Precedence::Product => (precedence, Precedence::Unary),
            Precedence::Conditional | Precedence::Unary | Precedence::Primary => {
                (precedence, Precedence::Primary)
            }
        };
        let code = format!("{} {operator} {}", left.at_least(left_least), right.at_least(right_least));
        Self { code, precedence }
    }
}
