//! What a bundle promises: what was written is what is read, and what is damaged or false is refused by name.

mod code;
mod files;
mod hostile;
mod regions;
mod round_trip;
mod rules;
mod sample;
mod sizes;
mod stream;
