//! What can go wrong between the text of a kernel and its specialised module.

/// A kernel that cannot be read, breaks the dialect, or cannot be lowered. Every case names what to change.
#[derive(Debug, thiserror::Error)]
pub enum ModuleError {
    /// The text is not WGSL, or does not validate. The diagnostics show line and caret.
    #[error("the kernel does not parse\n{diagnostics}")]
    Source {
        /// naga's message with the offending line.
        diagnostics: String,
    },
    /// A module does not validate after a pass: the pass or its input is at fault.
    #[error("the module is invalid after `{pass}`: {diagnostics}")]
    Invalid {
        /// The pass that ran last.
        pass: &'static str,
        /// naga's message.
        diagnostics: String,
    },
    /// An expression of a rebuilt function has no type.
    #[error("an expression of `{function}` has no type: {diagnostics}")]
    Untyped {
        /// Function being rebuilt.
        function: String,
        /// naga's message.
        diagnostics: String,
    },
    /// An operand was used outside the block that evaluates it.
    #[error("`{function}` uses an expression outside the block that evaluates it")]
    OutOfScope {
        /// Function being rebuilt.
        function: String,
    },
    /// The module uses something that the dialect leaves out.
    #[error("{construct} in `{place}` is outside the kernel dialect; {instead}")]
    OutsideDialect {
        /// What was found.
        construct: &'static str,
        /// Function or variable.
        place: String,
        /// What to write instead.
        instead: &'static str,
    },
    /// A called function returns from the middle.
    #[error("function `{function}` returns before its end; give it one `return`, as its last statement")]
    NotSingleExit {
        /// The called function.
        function: String,
    },
    /// A loop with a `u_` counter cannot be unrolled.
    #[error("the loop over `{counter}` is marked for unrolling but {reason}")]
    NotUnrollable {
        /// Name of the counter.
        counter: String,
        /// What prevents it.
        reason: &'static str,
    },
    /// Unrolling made the function too large.
    #[error(
        "unrolling makes `{function}` longer than {limit} statements; rename a `u_` counter or shorten its loop"
    )]
    TooLarge {
        /// Function being rebuilt.
        function: String,
        /// The limit.
        limit: usize,
    },
    /// Cooperative matrices that cannot work as written.
    #[error("cooperative matrix in `{function}`: {reason}")]
    Cooperative {
        /// Function with the operation.
        function: String,
        /// What is wrong, and what was expected.
        reason: String,
    },
    /// Not all invocations that must take part arrive together.
    #[error(
        "`{function}` has {operation} where invocations may have gone different ways; move it out of the branch or loop that differs"
    )]
    Divergent {
        /// The kernel.
        function: String,
        /// What needs all invocations.
        operation: &'static str,
    },
    /// A loop whose rounds cannot be bounded from the text.
    #[error(
        "`{function}` has a loop over {counter} whose rounds have no bound that can be read; write it as \
         `for (var i = a; i < b; i += c)` with a constant step and a bounded end"
    )]
    Unbounded {
        /// The kernel.
        function: String,
        /// Name of the counter.
        counter: String,
    },
    /// A device without f16 cannot run this kernel even with packed storage.
    #[error("`{variable}` cannot be lowered to packed f16 storage: {reason}")]
    F16Storage {
        /// The variable.
        variable: String,
        /// Why not.
        reason: &'static str,
    },
}
