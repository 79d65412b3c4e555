//! Loads and runs mutants in a process of its own, since a driver may crash on one or never come back.

use std::error::Error;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child as Process, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use drift_bundle::Bundle;
use drift_bundle::manifest::Target;
use drift_runtime::{Device, DeviceKind, LoadOptions, OpenOptions, RuntimeError};

use super::Stage;

/// How long a run may take by the runtime's own account; the child has some seconds more.
const RUN: Duration = Duration::from_secs(5);

/// How long the child may take for one mutant.
const PATIENCE: Duration = Duration::from_secs(60);

/// A process that answers for one mutant after the other.
pub struct Child {
    process: Process,
    questions: ChildStdin,
    answers: Receiver<String>,
    program: std::path::PathBuf,
}

impl Child {
    /// Starts `program`, which must call [`serve`] when its only argument is `serve`.
    pub fn start(program: &Path) -> Result<Self, Box<dyn Error>> {
        let mut process = Command::new(program)
            .arg("serve")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let questions = process.stdin.take().ok_or("the child has no input")?;
        let output = process.stdout.take().ok_or("the child has no output")?;
        let (sender, answers) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Ok(Self { process, questions, answers, program: program.to_owned() })
    }

    /// How far the bundle at `path` comes. A new process takes over where this one ends.
    pub fn ask(&mut self, path: &Path) -> Result<(Stage, String), Box<dyn Error>> {
        let asked = writeln!(self.questions, "{}", path.display()).and_then(|()| self.questions.flush());
        let answer = match asked {
            Ok(()) => self.answers.recv_timeout(PATIENCE),
            Err(_) => Err(RecvTimeoutError::Disconnected),
        };
        match answer {
            Ok(line) => {
                let (stage, said) = line.split_once(' ').unwrap_or((&line, ""));
                let stage = match stage {
                    "device" => Stage::Device,
                    "refused" => Stage::Refused,
                    "ran" => Stage::Ran,
                    "timeout" => Stage::Timeout,
                    _ => return Err(format!("the child says `{line}`").into()),
                };
                if stage == Stage::Timeout {
                    // The device may be busy for ever.
                    self.restart()?;
                }
                Ok((stage, said.to_owned()))
            }
            Err(RecvTimeoutError::Timeout) => {
                self.restart()?;
                Ok((Stage::Hung, String::new()))
            }
            Err(RecvTimeoutError::Disconnected) => {
                let status = self.process.wait()?;
                self.restart()?;
                Ok((Stage::Crashed, status.to_string()))
            }
        }
    }

    fn restart(&mut self) -> Result<(), Box<dyn Error>> {
        let next = Self::start(&self.program)?;
        *self = next;
        Ok(())
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // It may have ended, and there is nothing to do about a failure.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Answers the questions of [`Child::ask`] until there are no more.
pub fn serve() -> Result<(), Box<dyn Error>> {
    let open = |kind| Device::open_with(kind, &OpenOptions { validation: false, ..OpenOptions::default() });
    let (vulkan, webgpu) = (open(DeviceKind::Vulkan)?, open(DeviceKind::WebGpu)?);
    let mut answers = std::io::stdout();
    for line in std::io::stdin().lines() {
        let (stage, said) = match run([&vulkan, &webgpu], Path::new(&line?)) {
            Ok(()) => ("ran", String::new()),
            Err(RuntimeError::Timeout { .. }) => ("timeout", String::new()),
            Err(error @ (RuntimeError::NoVariant { .. } | RuntimeError::NoTarget { .. })) => {
                ("device", error.to_string())
            }
            Err(error) => ("refused", error.to_string()),
        };
        let said: String = said.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        writeln!(answers, "{stage} {said}")?;
        answers.flush()?;
    }
    Ok(())
}

/// Runs what is for WebGPU there, as nobody's whom one trusts, and all else on Vulkan.
fn run([vulkan, webgpu]: [&Device; 2], path: &Path) -> Result<(), RuntimeError> {
    let bundle = Bundle::open(path)?;
    let untrusted = bundle.manifest().entries.iter().any(|entry| entry.target == Target::WebGpu);
    let device = if untrusted { webgpu } else { vulkan };
    let options = LoadOptions { timeout: RUN, untrusted, ..LoadOptions::default() };
    let mut session = device.load_with(&bundle, &options)?;
    for least in [false, true] {
        for dim in session.dims().to_vec() {
            session.set_dim(&dim.free.name, if least { dim.free.least() } else { dim.free.most() })?;
        }
        for input in session.inputs().to_vec() {
            let elements = input.elements().unwrap_or(0).min(1 << 24) as usize;
            session.write_raw(&input.name, &vec![0; elements * input.element.size_bytes() as usize])?;
        }
        session.run()?;
    }
    let outputs: Vec<String> = session.outputs().iter().map(|output| output.name.clone()).collect();
    for output in outputs {
        session.read_raw(&output)?;
    }
    Ok(())
}
