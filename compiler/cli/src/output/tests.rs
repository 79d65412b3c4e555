//! What is written where, and what stays as it was.

use super::*;

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_written_file_replaces_the_old_one_and_leaves_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.json");
    write(&path, b"old").unwrap();
    write(&path, b"new").unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"new");
    assert_eq!(names(folder.path()), ["a.json"]);
}

#[test]
fn a_file_that_is_not_committed_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a");
    write(&path, b"old").unwrap();
    let mut output = Output::create(&path).unwrap();
    output.file().write_all(b"half").unwrap();
    drop(output);
    assert_eq!(fs::read(&path).unwrap(), b"old");
    assert_eq!(names(folder.path()), ["a"]);
}

#[test]
fn what_cannot_be_written_is_an_error_that_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("taken")).unwrap();
    for path in ["taken", "no/such/file"] {
        assert!(write(&folder.path().join(path), b"new").is_err(), "{path}");
    }
    assert!(write(Path::new(""), b"new").is_err());
    assert_eq!(names(folder.path()), ["taken"]);
}

#[cfg(unix)]
mod unix {
    use super::*;
    use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn a_file_keeps_its_mode() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        for kept in [0o600, 0o640, 0o755, 0o444] {
            fs::write(&path, b"old").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(kept)).unwrap();
            write(&path, b"new").unwrap();
            assert_eq!((mode(&path), fs::read(&path).unwrap()), (kept, b"new".to_vec()));
            fs::remove_file(&path).unwrap();
        }
    }

    #[test]
    fn nobody_reads_early_who_may_not_read_the_old_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        fs::write(&path, b"secret").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let output = Output::create(&path).unwrap();
        let partial = names(folder.path()).into_iter().find(|name| name != "a").unwrap();
        assert_eq!(mode(&folder.path().join(partial)), 0o600);
        drop(output);
    }

    #[test]
    fn links_stay_and_what_they_name_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir(path("deep")).unwrap();
        fs::write(path("deep/file"), b"old").unwrap();
        symlink("deep/file", path("one")).unwrap();
        symlink(path("one"), path("two")).unwrap();
        symlink("deep/new", path("dangling")).unwrap();
        symlink("circle", path("circle")).unwrap();
        write(&path("two"), b"new").unwrap();
        write(&path("dangling"), b"made").unwrap();
        assert!(write(&path("circle"), b"").is_err());
        assert_eq!(fs::read(path("deep/file")).unwrap(), b"new");
        assert_eq!(fs::read(path("deep/new")).unwrap(), b"made");
        for link in ["one", "two", "dangling", "circle"] {
            assert!(fs::symlink_metadata(path(link)).unwrap().is_symlink(), "{link}");
        }
        assert_eq!(names(&path("deep")), ["file", "new"]);
    }

    #[test]
    fn a_device_is_written_to() {
        write(Path::new("/dev/null"), b"nothing").unwrap();
        assert!(fs::metadata("/dev/null").unwrap().file_type().is_char_device());
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("null");
        symlink("/dev/null", &link).unwrap();
        write(&link, b"nothing").unwrap();
        assert_eq!(fs::read_link(&link).unwrap(), Path::new("/dev/null"));
    }

    #[test]
    fn a_pipe_gets_everything() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
        assert!(made.success());
        let bytes = vec![7; 1 << 20];
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| fs::read(&path).unwrap());
            write(&path, &bytes).unwrap();
            assert!(reader.join().unwrap() == bytes);
        });
        assert!(fs::metadata(&path).unwrap().file_type().is_fifo());
    }

    #[test]
    fn what_the_process_has_open_is_known_by_all_its_names() {
        let own = format!("/proc/{}/fd/7", std::process::id());
        let paths = [
            ("/dev/stdout", Some(1)),
            ("/dev/stderr", Some(2)),
            ("/dev/fd/5", Some(5)),
            ("/proc/self/fd/1", Some(1)),
            (own.as_str(), Some(7)),
            ("/proc/1/fd/1", None),
            ("/dev/null", None),
            ("stdout", None),
        ];
        for (path, number) in paths {
            assert_eq!(descriptor(Path::new(path)), number, "{path}");
        }
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("out");
        symlink("/dev/stdout", &link).unwrap();
        assert!(is_standard_output(&link) && !is_standard_output(folder.path()));
    }
}
