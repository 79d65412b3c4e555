//! `driftc` as a process: what its help promises, what it leaves behind, and how it ends.
#![cfg(test)]
#![cfg(unix)]

mod build;
mod files;
mod generate;
mod help;
mod hostile;
mod precision;
mod quantize;
mod verify;
