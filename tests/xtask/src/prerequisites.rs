//! What the machine must have beside Rust: finds it, or installs it on Debian as root, or names it.
//!
//! Nothing that is already there is installed again, whoever put it there.

use crate::{Failure, shell};
use std::path::{Path, PathBuf};

/// Something that the machine must have, and the Debian packages that bring it.
pub(crate) struct Need {
    /// What it is, for people.
    pub(crate) what: &'static str,
    /// Packages that bring it.
    pub(crate) packages: &'static [&'static str],
    /// Whether it is there.
    pub(crate) found: fn() -> bool,
}

/// The loader through which every Vulkan driver is reached.
pub(crate) const VULKAN_LOADER: Need = Need {
    what: "a Vulkan loader (libvulkan.so.1)",
    packages: &["libvulkan1"],
    found: || library("libvulkan.so.1"),
};

/// Any Vulkan driver; Mesa brings one that runs on the CPU.
pub(crate) const VULKAN_DRIVER: Need = Need {
    what: "a Vulkan driver",
    packages: &["mesa-vulkan-drivers"],
    found: || {
        std::env::var_os("VK_DRIVER_FILES").or_else(|| std::env::var_os("VK_ICD_FILENAMES")).is_some()
            || holds("/usr/share/vulkan/icd.d", ".json")
            || holds("/etc/vulkan/icd.d", ".json")
    },
};

/// Validates SPIR-V where driftc is built without SPIRV-Tools.
pub(crate) const SPIRV_VAL: Need =
    Need { what: "spirv-val", packages: &["spirv-tools"], found: || program("spirv-val") };

/// Links Rust, and builds blake3's assembly.
pub(crate) const C_COMPILER: Need = Need {
    what: "a C compiler",
    packages: &["gcc", "libc6-dev"],
    found: || ["cc", "gcc", "clang"].into_iter().any(program),
};

/// Builds spirv-tools from source.
pub(crate) const CPP_COMPILER: Need = Need {
    what: "a C++ compiler",
    packages: &["g++"],
    found: || ["c++", "g++", "clang++"].into_iter().any(program),
};

/// Reports what a lenient driver lets pass.
pub(crate) const VULKAN_VALIDATION: Need = Need {
    what: "the Vulkan validation layer",
    packages: &["vulkan-validationlayers"],
    found: || {
        ["/usr/share/vulkan/explicit_layer.d", "/etc/vulkan/explicit_layer.d"]
            .into_iter()
            .any(|folder| Path::new(folder).join("VkLayer_khronos_validation.json").exists())
    },
};

/// The loader through which every OpenCL driver is reached.
pub(crate) const OPENCL_LOADER: Need = Need {
    what: "an OpenCL loader (libOpenCL.so.1)",
    packages: &["ocl-icd-libopencl1"],
    found: || library("libOpenCL.so.1"),
};

/// Any OpenCL driver; PoCL runs on the CPU.
pub(crate) const OPENCL_DRIVER: Need = Need {
    what: "an OpenCL driver",
    packages: &["pocl-opencl-icd"],
    found: || holds("/etc/OpenCL/vendors", ".icd"),
};

/// Checks emitted OpenCL C.
pub(crate) const CLANG: Need = Need { what: "clang", packages: &["clang"], found: || program("clang") };

/// Compiles MSL for the processor.
pub(crate) const CLANG_16: Need = Need {
    what: "clang 16 or later",
    packages: &["clang-16"],
    found: || {
        let is_new = |version: u32| program(&format!("clang++-{version}"));
        let said = || std::process::Command::new("clang++").arg("--version").output();
        (16..=20).any(is_new)
            || said().is_ok_and(|output| is_clang_16(&String::from_utf8_lossy(&output.stdout)))
    },
};

/// Whether a compiler that says this of itself is new enough.
fn is_clang_16(said: &str) -> bool {
    let version =
        said.split_once("clang version ").and_then(|(_, rest)| rest.split('.').next()?.parse().ok());
    version.is_some_and(|version: u32| version >= 16)
}

/// Checks emitted WGSL with the compiler that WebGPU users have, and replays bundles as their browser does.
pub(crate) const CHROMIUM: Need = Need {
    what: "a browser with WebGPU (chromium)",
    packages: &["chromium"],
    found: || ["chromium", "chromium-browser", "google-chrome"].into_iter().any(program),
};

/// Runs the scripts that build and test the package for browsers.
pub(crate) const NODE: Need = Need { what: "node", packages: &["nodejs"], found: || program("node") };

/// Installs the packages of its lock file.
pub(crate) const NPM: Need = Need { what: "npm", packages: &["npm"], found: || program("npm") };

/// Makes sure that everything in `needs` is there.
pub(crate) fn ensure(needs: &[&Need]) -> Result<(), Failure> {
    let missing: Vec<&Need> = needs.iter().copied().filter(|need| !(need.found)()).collect();
    for need in needs {
        let state = if missing.iter().any(|lacking| lacking.what == need.what) { "missing" } else { "found" };
        println!("{state}: {}", need.what);
    }
    let packages: Vec<&str> = missing.iter().flat_map(|need| need.packages).copied().collect();
    if packages.is_empty() {
        return Ok(());
    }
    if let Some(obstacle) = cannot_install() {
        return Err(Failure::Usage(format!(
            "{obstacle}; install these Debian packages, or what your system calls them: {}",
            packages.join(" ")
        )));
    }
    install(&packages)?;
    match missing.iter().find(|need| !(need.found)()) {
        None => Ok(()),
        Some(need) => Err(Failure::Usage(format!(
            "{} is still missing after installing {}",
            need.what,
            need.packages.join(" ")
        ))),
    }
}

fn install(packages: &[&str]) -> Result<(), Failure> {
    let as_usage = |failure: Failure| Failure::Usage(failure.to_string());
    shell::run("apt-get", &["update", "--quiet"]).map_err(as_usage)?;
    let mut args = vec!["install", "--yes", "--quiet", "--no-install-recommends"];
    args.extend(packages);
    shell::run("env", &[&["DEBIAN_FRONTEND=noninteractive", "apt-get"], args.as_slice()].concat())
        .map_err(as_usage)
}

/// Why packages cannot be installed from here, if so.
fn cannot_install() -> Option<&'static str> {
    let release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    if !is_debian(&release) {
        Some("this is not Debian")
    } else if !is_root(&status) {
        Some("not running as root")
    } else {
        None
    }
}

fn is_debian(os_release: &str) -> bool {
    os_release
        .lines()
        .filter_map(|line| line.strip_prefix("ID=").or_else(|| line.strip_prefix("ID_LIKE=")))
        .flat_map(|ids| ids.trim_matches('"').split(' '))
        .any(|id| id == "debian")
}

/// `Uid:` lists the real, effective, saved and file-system user.
fn is_root(process_status: &str) -> bool {
    process_status
        .lines()
        .find_map(|line| line.strip_prefix("Uid:"))
        .and_then(|users| users.split_whitespace().nth(1))
        == Some("0")
}

fn program(name: &str) -> bool {
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(name).is_file()))
}

/// Whether the dynamic linker would find the library: in its usual folders, or in `LD_LIBRARY_PATH`.
fn library(name: &str) -> bool {
    let asked = std::env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&asked).collect();
    for base in ["/usr/lib", "/lib", "/usr/lib64", "/lib64", "/usr/local/lib", "/opt/homebrew/lib"] {
        folders.push(PathBuf::from(base));
        folders.push(Path::new(base).join(format!("{}-linux-gnu", std::env::consts::ARCH)));
    }
    folders.iter().any(|folder| folder.join(name).exists())
}

fn holds(folder: &str, suffix: &str) -> bool {
    std::fs::read_dir(folder).is_ok_and(|entries| {
        entries.flatten().any(|entry| entry.file_name().to_string_lossy().ends_with(suffix))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debian_and_its_children_are_recognised() {
        assert!(is_debian("PRETTY_NAME=\"Debian\"\nID=debian\n"));
        assert!(is_debian("ID=ubuntu\nID_LIKE=debian\n"));
        assert!(is_debian("ID=mint\nID_LIKE=\"ubuntu debian\"\n"));
        assert!(!is_debian("ID=fedora\nID_LIKE=\"rhel\"\n"));
        assert!(!is_debian(""));
    }

    #[test]
    fn an_old_clang_is_too_old() {
        assert!(is_clang_16("Debian clang version 16.0.6 (15~deb12u1)\nTarget: x86_64-pc-linux-gnu"));
        assert!(!is_clang_16("Debian clang version 14.0.6\n"));
        assert!(!is_clang_16("gcc 16"));
    }

    #[test]
    fn root_is_the_effective_user_zero() {
        assert!(is_root("Name:\txtask\nUid:\t0\t0\t0\t0\n"));
        assert!(is_root("Uid:\t1000\t0\t0\t0\n"));
        assert!(!is_root("Uid:\t0\t1000\t0\t0\n"));
        assert!(!is_root(""));
    }
}
