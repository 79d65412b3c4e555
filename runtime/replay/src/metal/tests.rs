//! What the loader asks of an API, on a Mac.

use std::sync::Arc;

use super::*;
use crate::loader::weights::tests::weights_arrive_whole;

fn device() -> Arc<Context> {
    open(&OpenOptions::default()).expect("a Metal device is needed")
}

#[test]
fn weights_pass_through_staging() {
    weights_arrive_whole(&device());
}
