//! A loaded entry: named inputs in, run, named outputs out. Checks names, types and lengths; knows no GPU
//! API.

mod dims;
mod times;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use drift_bundle::manifest::{HostElement, IoBinding, IoTensor};
use half::{bf16, f16};

use crate::backend::{Loaded, Replay};
use crate::deadline::Deadline;
use crate::error::RuntimeError;
use crate::host::{self, HostScalar};
use crate::lease::{Lease, Leased};
use crate::own::OwnRegion;
use crate::program::{IoRange, Program};
use crate::report::{DeclinedVariant, LoadReport, SelfTestUse, Timings};
use crate::self_test::{Plan, SelfTestReport};
use crate::sizes::Sizes;
use crate::states::{StateTensor, States};
use crate::waiter::{Waiter, Watch};

/// A loaded entry. Inputs keep their values between runs; an input that an output takes the place of (state)
/// goes on from the last run's result, and starts as zeros. What a program keeps in regions of state
/// ([`Session::states`]) it keeps until [`Session::reset_state`] or [`Session::write_state`].
pub struct Session {
    replay: Box<dyn Replay>,
    inputs: Vec<Input>,
    outputs: Vec<Output>,
    input_tensors: Vec<IoTensor>,
    output_tensors: Vec<IoTensor>,
    sizes: Sizes,
    states: Vec<StateTensor>,
    progress: Progress,
    /// Until when a run that was called off may go on, if it was not seen to end.
    called_off: Option<Deadline>,
    lease: Arc<Lease>,
    waiter: Arc<Waiter>,
    timeout: Duration,
    /// Which inputs a run uploads; kept, so that a run allocates nothing.
    uploads: Vec<bool>,
    report: LoadReport,
    /// What to compare results with, where the entry is a self-test.
    self_test: Option<Box<Plan>>,
}

/// How a variant came to be chosen.
pub(crate) struct Choice {
    /// Those before it.
    pub(crate) declined: Vec<DeclinedVariant>,
    /// What is known of its self-test.
    pub(crate) tested: SelfTestUse,
    /// What it is a self-test of, if it is one.
    pub(crate) self_test: Option<Plan>,
}

struct Input {
    binding: IoBinding,
    /// Written since the last run.
    fresh: bool,
    /// Written at all, or the app's.
    known: bool,
    /// An output is exactly here, so that the device's copy is the newer one after a run.
    state: bool,
    /// The program writes over it, so that it must be uploaded again for each run.
    overwritten: bool,
    /// It is in an arena, which other sessions may have written over.
    in_arena: bool,
    /// It is in a buffer of the app's, which may have written it there.
    is_the_apps: bool,
}

struct Output {
    binding: IoBinding,
    /// It is in an arena, which other sessions may have written over.
    in_arena: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Progress {
    Loaded,
    Run,
    Failed,
}

impl Session {
    pub(crate) fn new(
        program: &Program<'_>,
        (loaded, own): (Loaded, &[OwnRegion]),
        choice: Choice,
        (lease, waiter): (Arc<Lease>, Arc<Waiter>),
        (timeout, total): (Duration, Duration),
    ) -> Self {
        let Choice { declined, tested, self_test } = choice;
        let report = LoadReport {
            entry: program.entry.name.clone(),
            variant: program.variant.name.clone(),
            declined,
            pipelines: loaded.pipelines,
            dispatches: program.variant.dispatches.len(),
            submissions: loaded.submissions,
            self_test: tested,
            cache: loaded.cache,
            times: crate::report::LoadTimes { total, ..loaded.times },
            bytes: loaded.bytes,
        };
        Self {
            replay: loaded.replay,
            inputs: inputs(program, own),
            outputs: outputs(program),
            input_tensors: program.entry.inputs.clone(),
            output_tensors: program.entry.outputs.clone(),
            sizes: Sizes::of(program.entry),
            states: States::tensors(program),
            progress: Progress::Loaded,
            called_off: None,
            lease,
            waiter,
            timeout,
            uploads: Vec::with_capacity(program.entry.inputs.len()),
            report,
            self_test: self_test.map(Box::new),
        }
    }

    /// Inputs of the entry. Shapes are those of the sizes that are set.
    pub fn inputs(&self) -> &[IoTensor] {
        &self.input_tensors
    }

    /// Outputs of the entry. Shapes are those of the sizes that are set.
    pub fn outputs(&self) -> &[IoTensor] {
        &self.output_tensors
    }

    /// What runs keep for the next one, here and in the sessions that share it.
    pub fn states(&self) -> &[StateTensor] {
        &self.states
    }

    /// What loading did.
    pub fn report(&self) -> &LoadReport {
        &self.report
    }

    /// Sets an input, row-major. The values are used by every run until they are set again.
    pub fn write<T: HostScalar>(&mut self, name: &str, values: &[T]) -> Result<(), RuntimeError> {
        let index = self.find("input", name)?;
        let tensor = &self.input_tensors[index];
        same_element(tensor, T::ELEMENT)?;
        let expected = elements(tensor);
        if expected != values.len() as u64 {
            return Err(wrong_length(tensor, "values", expected, values.len()));
        }
        self.goes_on("writing an input")?;
        let input = &mut self.inputs[index];
        // A value that does not fit leaves the staged bytes as they were.
        T::to_device(values, input.binding.element, self.replay.input(index)?).map_err(|position| {
            RuntimeError::OutOfRange {
                tensor: name.to_owned(),
                index: position,
                value: values[position].as_i64(),
            }
        })?;
        (input.fresh, input.known) = (true, true);
        Ok(())
    }

    /// Sets an input from little-endian bytes of the model's own type.
    pub fn write_raw(&mut self, name: &str, bytes: &[u8]) -> Result<(), RuntimeError> {
        let index = self.find("input", name)?;
        let tensor = &self.input_tensors[index];
        let expected = elements(tensor) * tensor.element.size_bytes();
        if expected != bytes.len() as u64 {
            return Err(wrong_length(tensor, "bytes", expected, bytes.len()));
        }
        match tensor.element {
            HostElement::F32 => self.write_as::<f32>(name, bytes),
            HostElement::F16 => self.write_as::<f16>(name, bytes),
            HostElement::I64 => self.write_as::<i64>(name, bytes),
            HostElement::I32 => self.write_as::<i32>(name, bytes),
            HostElement::I8 => self.write_as::<i8>(name, bytes),
            HostElement::U8 => self.write_as::<u8>(name, bytes),
            HostElement::Bool => self.write_as::<bool>(name, bytes),
            HostElement::I16 => self.write_as::<i16>(name, bytes),
            HostElement::U16 => self.write_as::<u16>(name, bytes),
            HostElement::U32 => self.write_as::<u32>(name, bytes),
            HostElement::U64 => self.write_as::<u64>(name, bytes),
            HostElement::Bf16 => self.write_as::<bf16>(name, bytes),
            HostElement::F8E4M3 => self.write_as::<host::F8E4M3>(name, bytes),
            HostElement::F8E4M3Fnuz => self.write_as::<host::F8E4M3Fnuz>(name, bytes),
            HostElement::F8E5M2 => self.write_as::<host::F8E5M2>(name, bytes),
            HostElement::F8E5M2Fnuz => self.write_as::<host::F8E5M2Fnuz>(name, bytes),
            HostElement::F8E8M0 => self.write_as::<host::F8E8M0>(name, bytes),
            HostElement::F4E2M1 => self.write_as::<host::F4E2M1>(name, bytes),
            HostElement::I4 => self.write_as::<host::I4>(name, bytes),
            HostElement::U4 => self.write_as::<host::U4>(name, bytes),
            HostElement::I2 => self.write_as::<host::I2>(name, bytes),
            HostElement::U2 => self.write_as::<host::U2>(name, bytes),
        }
    }

    fn write_as<T: HostScalar>(&mut self, name: &str, bytes: &[u8]) -> Result<(), RuntimeError> {
        self.write(name, &T::from_host(bytes))
    }

    /// Runs the program once and waits for it.
    pub fn run(&mut self) -> Result<(), RuntimeError> {
        self.run_times(1)
    }

    /// Until when a run that begins now has to be over; an error where it may not begin.
    pub(crate) fn may_run(&mut self) -> Result<Deadline, RuntimeError> {
        self.goes_on("running")?;
        match self.inputs.iter().position(|input| !input.known && !input.state) {
            Some(index) => Err(RuntimeError::NotWritten { tensor: self.input_tensors[index].name.clone() }),
            None => Ok(Deadline::after(self.timeout)),
        }
    }

    /// Gives a run to the device, or so many of them in a row, at least one.
    pub(crate) fn begin(&mut self, leased: &Leased, count: u32) -> Result<(), RuntimeError> {
        if let Some(state) = leased.torn() {
            return Err(self.torn(state));
        }
        let overwritten = leased.is_overwritten();
        self.uploads.clear();
        let upload = |input: &Input| overwritten && input.in_arena || input.must_be_uploaded();
        self.uploads.extend(self.inputs.iter().map(upload));
        self.progress = Progress::Failed;
        leased.claim();
        self.replay.begin(&self.uploads, count == 1)?;
        self.go_on(count - 1)
    }

    /// Waits for the run that was begun.
    pub(crate) fn end(&mut self, leased: &Leased, deadline: Deadline) -> Result<(), RuntimeError> {
        self.wait(deadline)?;
        leased.settle(0..self.states.len());
        Ok(())
    }

    fn wait(&mut self, deadline: Deadline) -> Result<(), RuntimeError> {
        self.replay.end(deadline)?;
        self.progress = Progress::Run;
        self.inputs.iter_mut().for_each(|input| input.fresh = false);
        Ok(())
    }

    /// Leaves a run that was begun to itself. Whatever comes after it on the device begins when it has ended, so that its states
    /// are whole for others.
    pub(crate) fn call_off(&mut self, leased: &Leased, deadline: Deadline) {
        self.called_off = Some(deadline);
        leased.settle(0..self.states.len());
    }

    /// What a call to the session would wait for now, and until when.
    pub(crate) fn called_off_and_pending(&self) -> Option<(Watch, Deadline)> {
        let deadline = self.called_off.filter(|deadline| !deadline.left().is_zero())?;
        let is_over = self.replay.watch();
        (!is_over()).then_some((is_over, deadline))
    }

    /// Says whether what was begun has ended.
    pub(crate) fn watch(&self) -> Watch {
        self.replay.watch()
    }

    pub(crate) fn lease(&self) -> &Arc<Lease> {
        &self.lease
    }

    pub(crate) fn waiter(&self) -> &Waiter {
        &self.waiter
    }

    /// Runs a self-test twice, in a session of one, and compares samples of each dispatch's result with their right values:
    /// [`crate::Device::self_test`] loads that of an entry.
    pub fn self_test(&mut self) -> Result<SelfTestReport, RuntimeError> {
        if self.self_test.is_none() {
            let (entry, variant) = (self.report.entry.clone(), self.report.variant.clone());
            return Err(RuntimeError::NoSelfTest { entry, variant });
        }
        let name = self.output_tensors[0].name.clone();
        let mut bits = || {
            self.run()?;
            self.read::<i32>(&name)
        };
        let (first, second) = (bits()?, bits()?);
        let plan = self.self_test.as_ref().unwrap_or_else(|| unreachable!("looked at above"));
        Ok(plan.judge(&first, &second))
    }

    /// Zeros what runs keep in regions of state, as when the session was made, for the sessions that share it as well. Inputs,
    /// outputs and state that an output shares with an input stay as they are.
    pub fn reset_state(&mut self) -> Result<(), RuntimeError> {
        let all = 0..self.states.len();
        self.change(all, "resetting state", |replay, deadline| replay.reset_state(deadline))
    }

    /// What a state holds, as it is on the device: [`StateTensor::bytes`] bytes for [`Session::write_state`].
    pub fn read_state(&mut self, name: &str) -> Result<Vec<u8>, RuntimeError> {
        let mut bytes = Vec::new();
        let size = self.states[self.state(name)?].bytes;
        let room = usize::try_from(size).ok().filter(|size| bytes.try_reserve_exact(*size).is_ok());
        let doing = "allocating memory for a state";
        bytes.resize(room.ok_or(RuntimeError::OutOfMemory { doing, bytes: Some(size) })?, 0);
        self.read_state_into(name, &mut bytes)?;
        Ok(bytes)
    }

    /// As [`Session::read_state`], into memory of the caller.
    pub fn read_state_into(&mut self, name: &str, into: &mut [u8]) -> Result<(), RuntimeError> {
        let state = self.state_of(name, into.len())?;
        self.goes_on("reading state")?;
        let deadline = Deadline::after(self.timeout);
        let leased = self.lease.take(deadline)?;
        if leased.is_torn(state) {
            return Err(self.torn(state));
        }
        // Where this fails, the device may still be busy with the copy.
        let before = std::mem::replace(&mut self.progress, Progress::Failed);
        self.replay.read_state(state, into, deadline)?;
        self.progress = before;
        Ok(())
    }

    /// Replaces what a state holds, for the sessions that share it as well, by what [`Session::read_state`] returned, of this
    /// session or of another one of the same bundle and variant on the same kind of device.
    pub fn write_state(&mut self, name: &str, bytes: &[u8]) -> Result<(), RuntimeError> {
        let state = self.state_of(name, bytes.len())?;
        self.change(state..state + 1, "writing state", |replay, deadline| {
            replay.write_state(state, bytes, deadline)
        })
    }

    /// Does what writes all of some states while nobody else uses them.
    fn change(
        &mut self,
        states: Range<usize>,
        doing: &'static str,
        with: impl FnOnce(&mut dyn Replay, Deadline) -> Result<(), RuntimeError>,
    ) -> Result<(), RuntimeError> {
        self.goes_on(doing)?;
        let deadline = Deadline::after(self.timeout);
        let leased = self.lease.take(deadline)?;
        // Where this fails, the device may still be busy with it.
        let before = std::mem::replace(&mut self.progress, Progress::Failed);
        leased.tear(states.clone());
        with(&mut *self.replay, deadline)?;
        leased.settle(states);
        self.progress = before;
        Ok(())
    }

    /// Refuses to go on after a failure, and waits for a run that was called off.
    fn goes_on(&mut self, doing: &'static str) -> Result<(), RuntimeError> {
        self.replay.check(doing)?;
        if let Some(deadline) = self.called_off.take() {
            self.wait(deadline)?;
        }
        if self.progress == Progress::Failed { Err(RuntimeError::Failed) } else { Ok(()) }
    }

    /// Which state `name` is.
    fn state(&self, name: &str) -> Result<usize, RuntimeError> {
        let found = self.states.iter().position(|state| state.name == name);
        found.ok_or_else(|| RuntimeError::NoSuchTensor {
            entry: self.report.entry.clone(),
            what: "state",
            wanted: name.to_owned(),
            held: self.states.iter().map(|state| state.name.clone()).collect(),
        })
    }

    /// The same, where the caller has memory for it.
    fn state_of(&self, name: &str, bytes: usize) -> Result<usize, RuntimeError> {
        let index = self.state(name)?;
        let state = &self.states[index];
        if state.bytes == bytes as u64 {
            return Ok(index);
        }
        Err(RuntimeError::Length {
            tensor: state.name.clone(),
            shape: state.shape.clone(),
            unit: "bytes on the device",
            expected: state.bytes,
            found: bytes as u64,
        })
    }

    fn torn(&self, state: usize) -> RuntimeError {
        let (entry, state) = (self.report.entry.clone(), self.states[state].name.clone());
        RuntimeError::StateTorn { entry, state }
    }

    /// Values of an output after the last run, row-major.
    pub fn read<T: HostScalar>(&mut self, name: &str) -> Result<Vec<T>, RuntimeError> {
        let index = self.find("output", name)?;
        let mut values = vec![T::default(); elements(&self.output_tensors[index]) as usize];
        self.read_into(name, &mut values)?;
        Ok(values)
    }

    /// As [`Session::read`], into memory of the caller, which has a place for each value.
    pub fn read_into<T: HostScalar>(&mut self, name: &str, into: &mut [T]) -> Result<(), RuntimeError> {
        let index = self.find("output", name)?;
        let tensor = &self.output_tensors[index];
        same_element(tensor, T::ELEMENT)?;
        let expected = elements(tensor);
        if expected != into.len() as u64 {
            return Err(wrong_length(tensor, "values", expected, into.len()));
        }
        let element = self.outputs[index].binding.element;
        T::from_device(self.fetch(index)?, element, into);
        Ok(())
    }

    /// An output after the last run, as little-endian bytes of the model's own type.
    pub fn read_raw(&mut self, name: &str) -> Result<Vec<u8>, RuntimeError> {
        let index = self.find("output", name)?;
        match self.output_tensors[index].element {
            HostElement::F32 => self.read_as::<f32>(name),
            HostElement::F16 => self.read_as::<f16>(name),
            HostElement::I64 => self.read_as::<i64>(name),
            HostElement::I32 => self.read_as::<i32>(name),
            HostElement::I8 => self.read_as::<i8>(name),
            HostElement::U8 => self.read_as::<u8>(name),
            HostElement::Bool => self.read_as::<bool>(name),
            HostElement::I16 => self.read_as::<i16>(name),
            HostElement::U16 => self.read_as::<u16>(name),
            HostElement::U32 => self.read_as::<u32>(name),
            HostElement::U64 => self.read_as::<u64>(name),
            HostElement::Bf16 => self.read_as::<bf16>(name),
            HostElement::F8E4M3 => self.read_as::<host::F8E4M3>(name),
            HostElement::F8E4M3Fnuz => self.read_as::<host::F8E4M3Fnuz>(name),
            HostElement::F8E5M2 => self.read_as::<host::F8E5M2>(name),
            HostElement::F8E5M2Fnuz => self.read_as::<host::F8E5M2Fnuz>(name),
            HostElement::F8E8M0 => self.read_as::<host::F8E8M0>(name),
            HostElement::F4E2M1 => self.read_as::<host::F4E2M1>(name),
            HostElement::I4 => self.read_as::<host::I4>(name),
            HostElement::U4 => self.read_as::<host::U4>(name),
            HostElement::I2 => self.read_as::<host::I2>(name),
            HostElement::U2 => self.read_as::<host::U2>(name),
        }
    }

    fn read_as<T: HostScalar>(&mut self, name: &str) -> Result<Vec<u8>, RuntimeError> {
        let values = self.read::<T>(name)?;
        let mut bytes = Vec::with_capacity(values.len() * T::ELEMENT.size_bytes() as usize);
        T::to_host(&values, &mut bytes);
        Ok(bytes)
    }

    /// GPU times of the last run, where [`crate::LoadOptions::timestamps`] asked for them.
    pub fn timings(&mut self) -> Result<Timings, RuntimeError> {
        self.has_run("reading timings")?;
        self.replay.timings()
    }

    fn has_run(&mut self, doing: &'static str) -> Result<(), RuntimeError> {
        self.goes_on(doing)?;
        if self.progress == Progress::Loaded { Err(RuntimeError::NotRun) } else { Ok(()) }
    }

    fn fetch(&mut self, index: usize) -> Result<&[u8], RuntimeError> {
        self.has_run("reading a result")?;
        let deadline = Deadline::after(self.timeout);
        let leased = self.lease.take(deadline)?;
        if self.outputs[index].in_arena && leased.is_overwritten() {
            return Err(RuntimeError::Overwritten { entry: self.report.entry.clone() });
        }
        // Where this fails, the device may still be busy with the copy.
        self.progress = Progress::Failed;
        self.replay.fetch(index, deadline)?;
        self.progress = Progress::Run;
        Ok(self.replay.output(index))
    }

    fn find(&self, what: &'static str, name: &str) -> Result<usize, RuntimeError> {
        let tensors = if what == "input" { &self.input_tensors } else { &self.output_tensors };
        tensors.iter().position(|tensor| tensor.name == name).ok_or_else(|| RuntimeError::NoSuchTensor {
            entry: self.report.entry.clone(),
            what,
            wanted: name.to_owned(),
            held: tensors.iter().map(|tensor| tensor.name.clone()).collect(),
        })
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("report", &self.report).finish_non_exhaustive()
    }
}

impl Input {
    fn must_be_uploaded(&self) -> bool {
        self.fresh || self.is_overwritten()
    }

    /// Whether a run leaves something else where it is.
    fn is_overwritten(&self) -> bool {
        self.known && self.overwritten && !self.state
    }
}

/// Finds out what the program does to the memory of each input.
fn inputs(program: &Program<'_>, own: &[OwnRegion]) -> Vec<Input> {
    let written = written_ranges(program);
    let places = program.variant.inputs.iter().zip(program.input_ranges());
    let input = |((binding, range), state): ((&IoBinding, IoRange), bool)| {
        let is_the_apps = own.iter().any(|own| own.region == range.region);
        Input {
            binding: *binding,
            fresh: false,
            known: range.size == 0 || is_the_apps,
            state,
            overwritten: written.iter().any(|other| other.overlaps(&range)),
            in_arena: program.is_in_arena(binding),
            is_the_apps,
        }
    };
    places.zip(program.state_inputs()).map(input).collect()
}

fn outputs(program: &Program<'_>) -> Vec<Output> {
    let output = |binding: &IoBinding| Output { binding: *binding, in_arena: program.is_in_arena(binding) };
    program.variant.outputs.iter().map(output).collect()
}

/// What a run writes of the variant's regions.
fn written_ranges(program: &Program<'_>) -> Vec<IoRange> {
    let mut ranges = Vec::new();
    for dispatch in &program.variant.dispatches {
        for (slot, resource) in program.shader(dispatch).bindings.iter().zip(&dispatch.bindings) {
            if slot.writable {
                ranges.extend(IoRange::bound(resource));
            }
        }
    }
    ranges.sort_unstable();
    ranges.dedup();
    ranges
}

fn elements(tensor: &IoTensor) -> u64 {
    tensor.elements().unwrap_or_else(|| unreachable!("verified: shapes do not overflow"))
}

fn same_element(tensor: &IoTensor, found: HostElement) -> Result<(), RuntimeError> {
    if tensor.element == found {
        return Ok(());
    }
    Err(RuntimeError::ElementType { tensor: tensor.name.clone(), expected: tensor.element, found })
}

fn wrong_length(tensor: &IoTensor, unit: &'static str, expected: u64, found: usize) -> RuntimeError {
    RuntimeError::Length {
        tensor: tensor.name.clone(),
        shape: tensor.shape.clone(),
        unit,
        expected,
        found: found as u64,
    }
}
