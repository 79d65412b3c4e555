//! A machine without a driver: the loader is pointed at nothing, in a process of its own.

use std::process::Command;

use drift_runtime::{Device, DeviceKind, RuntimeError, devices};

/// Set in the child.
const CHILD: &str = "DRIFT_TEST_NO_DRIVER";

#[test]
fn a_machine_without_a_driver_gets_an_error_that_helps() {
    if std::env::var_os(CHILD).is_some() {
        let error = devices().unwrap_err();
        assert!(matches!(error, RuntimeError::NoDriver { .. }), "{error}");
        assert!(error.to_string().contains("apt install"), "{error}");
        for &kind in DeviceKind::HERE {
            let error = Device::open(kind).map(drop).unwrap_err();
            assert!(
                matches!(&error, RuntimeError::NoDriver { kind: missing, .. } if *missing == kind),
                "{error}"
            );
        }
        return;
    }
    let name = "no_driver::a_machine_without_a_driver_gets_an_error_that_helps";
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name])
        .env(CHILD, "1")
        .env("VK_DRIVER_FILES", "/nonexistent")
        .env("VK_ICD_FILENAMES", "/nonexistent")
        .env("OCL_ICD_VENDORS", "/nonexistent")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success() && said.contains("1 passed"), "{said}");
}
