//! What the loader asks of an API, on PoCL.

use std::sync::Arc;

use super::*;
use crate::loader::weights::tests::weights_arrive_whole;

fn device() -> Arc<Context> {
    open(&OpenOptions::default()).expect("an OpenCL device is needed: apt install pocl-opencl-icd")
}

#[test]
fn weights_pass_through_staging() {
    weights_arrive_whole(&device());
}
