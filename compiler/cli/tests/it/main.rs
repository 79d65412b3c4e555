//! `driftc` as a process: what its help promises, what it leaves behind, and how it ends.
#![cfg(test)]
#![cfg(unix)]

mod build;
mod cut;
mod files;
mod generate;
mod habits;
mod help;
mod hostile;
mod precision;
mod quantize;
mod reduce;
mod verify;
