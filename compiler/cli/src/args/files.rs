//! Which files a command reads and writes, so that it harms none of them.

use super::{Cli, Command, CompileFlags};
use crate::error::CliError;
use crate::output::{self, document};
use std::path::{Path, PathBuf};

/// A file and the flag, or the word, that names it.
type Named<'a> = (&'static str, &'a Path);

impl Cli {
    /// Where the command's JSON document goes.
    pub fn json(&self) -> Option<&Path> {
        let json = match &self.command {
            None => &self.compile.json,
            Some(Command::Run(args)) => &args.json,
            Some(Command::Verify(args)) => &args.json,
            Some(Command::SelfTest(args)) => &args.json,
            Some(Command::Bench(args)) => &args.json,
            Some(Command::Generate(args)) => &args.json,
            Some(Command::Compare(args)) => &args.json,
            Some(Command::Inspect(args)) => return args.json(),
            Some(Command::Explain(args)) => &args.json,
            Some(Command::Reduce(args)) => &args.json,
            Some(Command::Devices(args)) => &args.json,
            Some(Command::Operators(args)) => &args.json,
            Some(Command::Completions(_) | Command::Man(_)) => &None,
        };
        json.as_deref()
    }

    /// The command's name, as its document has it; `compile` where it has none.
    pub fn name(&self) -> &'static str {
        match &self.command {
            None => "compile",
            Some(Command::Run(_)) => "run",
            Some(Command::Verify(_)) => "verify",
            Some(Command::SelfTest(_)) => "self-test",
            Some(Command::Bench(_)) => "bench",
            Some(Command::Generate(_)) => "generate",
            Some(Command::Compare(_)) => "compare",
            Some(Command::Inspect(_)) => "inspect",
            Some(Command::Explain(_)) => "explain",
            Some(Command::Reduce(_)) => "reduce",
            Some(Command::Devices(_)) => "devices",
            Some(Command::Operators(_)) => "operators",
            Some(Command::Completions(_)) => "completions",
            Some(Command::Man(_)) => "man",
        }
    }

    /// Whether a file of the command comes out of standard output, which is then left alone.
    pub fn takes_standard_output(&self) -> bool {
        let others = self.written().into_iter().any(|(_, path)| output::is_standard_output(path));
        others || self.json().is_some_and(document::is_standard_output)
    }

    /// The files that the command writes, but for folders.
    fn written(&self) -> Vec<Named<'_>> {
        let others = match &self.command {
            None => vec![("-o", &self.compile.output)],
            Some(Command::Bench(args)) => vec![("--trace", &args.trace)],
            Some(Command::Inspect(args)) => vec![("--html", &args.html)],
            Some(Command::Explain(args)) => vec![("--html", &args.html)],
            _ => Vec::new(),
        };
        let others = others.into_iter().filter_map(|(flag, path)| Some((flag, path.as_deref()?)));
        let small = match &self.command {
            Some(Command::Reduce(args)) => Some(("-o", &*args.output)),
            _ => None,
        };
        let others = others.chain(small);
        let json = self.json().filter(|path| *path != document::STANDARD_OUTPUT);
        others.chain(json.map(|path| ("--json", path))).collect()
    }

    /// The models, bundles and data that the command reads.
    fn read(&self) -> Vec<Named<'_>> {
        match &self.command {
            None => self.compile.models.iter().map(|model| ("model", model.path.as_path())).collect(),
            Some(Command::Run(args)) => vec![("model", &*args.model)],
            Some(Command::Verify(args)) => args.models.iter().map(|path| ("model", path.as_path())).collect(),
            Some(Command::SelfTest(args)) => vec![("bundle", &*args.bundle)],
            Some(Command::Bench(args)) => vec![("model", &*args.model)],
            Some(Command::Generate(args)) => vec![("bundle", &*args.bundle)],
            Some(Command::Compare(args)) => {
                vec![("bundle", &*args.reference), ("bundle", &*args.other), ("tokens", &*args.tokens)]
            }
            Some(Command::Inspect(args)) => args.file().map(|path| ("bundle", path)).into_iter().collect(),
            Some(Command::Explain(args)) => {
                let times = args.times.as_deref().map(|times| ("times", times));
                [("model", &*args.model)].into_iter().chain(times).collect()
            }
            Some(Command::Reduce(args)) => vec![("model", &*args.model)],
            Some(Command::Devices(_) | Command::Operators(_) | Command::Completions(_) | Command::Man(_)) => {
                Vec::new()
            }
        }
    }

    /// Refuses to write over what is read, or two files in one place.
    pub(super) fn check_files(&self) -> Result<(), CliError> {
        let place = |(name, path): Named<'_>| Some((output::regular_file(path)?, name));
        let read: Vec<(PathBuf, &str)> = self.read().into_iter().filter_map(place).collect();
        let mut written: Vec<(PathBuf, &str)> = Vec::new();
        for (path, flag) in self.written().into_iter().filter_map(place) {
            if let Some((_, what)) = read.iter().find(|(read, _)| *read == path) {
                let path = path.display();
                let text = format!("{flag} would write over the {what} `{path}`; name another file");
                return Err(CliError::Usage(text));
            }
            if let Some((_, other)) = written.iter().find(|(earlier, _)| *earlier == path) {
                let text = format!("{other} and {flag} both name `{}`; name two files", path.display());
                return Err(CliError::Usage(text));
            }
            written.push((path, flag));
        }
        Ok(())
    }

    /// What shapes the result, where a model is compiled.
    pub(super) fn flags(&self) -> Option<&CompileFlags> {
        match &self.command {
            None => Some(&self.compile.flags),
            Some(Command::Run(args)) => Some(&args.flags),
            Some(Command::Verify(args)) => Some(&args.flags),
            Some(Command::Bench(args)) => Some(&args.flags),
            Some(Command::Explain(args)) => Some(&args.flags),
            Some(Command::Inspect(args)) => Some(&args.flags),
            Some(Command::Reduce(args)) => Some(&args.flags),
            Some(
                Command::SelfTest(_)
                | Command::Generate(_)
                | Command::Compare(_)
                | Command::Devices(_)
                | Command::Operators(_)
                | Command::Completions(_)
                | Command::Man(_),
            ) => None,
        }
    }
}
