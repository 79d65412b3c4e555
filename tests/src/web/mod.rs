//! What the tests of the package for browsers are given: the package itself, bundles, and what is right.

pub mod cases;
pub mod handwritten;
pub mod package;
pub mod readers;
