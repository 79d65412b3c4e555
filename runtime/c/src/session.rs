//! Sessions: loaded entries.

use std::ffi::{CString, c_char};

use drift_runtime::{DeviceElement, HostElement, HostScalar, IoTensor, Session, StateTensor, f16};

use crate::call::{call, free, make, needed_text, shared, unique};
use crate::dims::NamedDim;
use crate::objects::{CBundle, CDevice};
use crate::options::{LoadOptions, load_options};
use crate::run::Slot;
use crate::status::{Failure, Status};

/// Type of an element of an input, output or state.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(non_camel_case_types, reason = "names of C")]
pub enum Element {
    /// IEEE single.
    DRIFT_F32 = 0,
    /// IEEE half, in two bytes.
    DRIFT_F16 = 1,
    /// 64-bit signed integer; values must fit 32 bits.
    DRIFT_I64 = 2,
    /// 32-bit signed integer.
    DRIFT_I32 = 3,
    /// 8-bit signed integer.
    DRIFT_I8 = 4,
    /// 8-bit unsigned integer.
    DRIFT_U8 = 5,
    /// One byte, 0 or 1.
    DRIFT_BOOL = 6,
    /// 32-bit unsigned integer.
    DRIFT_U32 = 7,
    /// 16-bit signed integer.
    DRIFT_I16 = 8,
    /// 16-bit unsigned integer.
    DRIFT_U16 = 9,
    /// 64-bit unsigned integer; values must fit 32 bits.
    DRIFT_U64 = 10,
    /// The upper half of an IEEE single, in two bytes.
    DRIFT_BF16 = 11,
    /// ONNX's float8e4m3fn, in a byte, as are all that follow.
    DRIFT_F8E4M3 = 12,
    /// ONNX's float8e4m3fnuz.
    DRIFT_F8E4M3FNUZ = 13,
    /// ONNX's float8e5m2.
    DRIFT_F8E5M2 = 14,
    /// ONNX's float8e5m2fnuz.
    DRIFT_F8E5M2FNUZ = 15,
    /// ONNX's float8e8m0.
    DRIFT_F8E8M0 = 16,
    /// ONNX's float4e2m1, in the low bits.
    DRIFT_F4E2M1 = 17,
    /// An integer from -8 to 7.
    DRIFT_I4 = 18,
    /// An integer from 0 to 15.
    DRIFT_U4 = 19,
    /// An integer from -2 to 1.
    DRIFT_I2 = 20,
    /// An integer from 0 to 3.
    DRIFT_U2 = 21,
}

/// An input, output or state: dense, row-major. Its memory belongs to the session.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Tensor {
    /// Name, as the model writes it.
    pub name: *const c_char,
    /// Type of its elements.
    pub element: Element,
    /// Number of sizes.
    pub rank: usize,
    /// Sizes, outermost first.
    pub shape: *const u64,
    /// Bytes of all elements: what drift_session_write and drift_session_read take. Those of a state may be more: what
    /// drift_session_write_state and drift_session_read_state take.
    pub bytes: usize,
}

/// A loaded entry of a bundle.
pub struct CSession {
    pub(crate) slot: Slot,
    inputs: Vec<Described>,
    outputs: Vec<Described>,
    pub(crate) states: Vec<Described>,
    pub(crate) dims: Vec<NamedDim>,
}

/// What a [`Tensor`] points to.
pub(crate) struct Described {
    name: CString,
    shape: Vec<u64>,
    element: Element,
    bytes: usize,
}

impl Described {
    fn new(tensor: &IoTensor) -> Self {
        let element = match tensor.element {
            HostElement::F32 => Element::DRIFT_F32,
            HostElement::F16 => Element::DRIFT_F16,
            HostElement::I64 => Element::DRIFT_I64,
            HostElement::I32 => Element::DRIFT_I32,
            HostElement::I8 => Element::DRIFT_I8,
            HostElement::U8 => Element::DRIFT_U8,
            HostElement::Bool => Element::DRIFT_BOOL,
            HostElement::I16 => Element::DRIFT_I16,
            HostElement::U16 => Element::DRIFT_U16,
            HostElement::U32 => Element::DRIFT_U32,
            HostElement::U64 => Element::DRIFT_U64,
            HostElement::Bf16 => Element::DRIFT_BF16,
            HostElement::F8E4M3 => Element::DRIFT_F8E4M3,
            HostElement::F8E4M3Fnuz => Element::DRIFT_F8E4M3FNUZ,
            HostElement::F8E5M2 => Element::DRIFT_F8E5M2,
            HostElement::F8E5M2Fnuz => Element::DRIFT_F8E5M2FNUZ,
            HostElement::F8E8M0 => Element::DRIFT_F8E8M0,
            HostElement::F4E2M1 => Element::DRIFT_F4E2M1,
            HostElement::I4 => Element::DRIFT_I4,
            HostElement::U4 => Element::DRIFT_U4,
            HostElement::I2 => Element::DRIFT_I2,
            HostElement::U2 => Element::DRIFT_U2,
        };
        Self::of(&tensor.name, &tensor.shape, element, bytes_of_all(tensor))
    }

    /// Takes sizes anew, where they are.
    fn follow(&mut self, tensor: &IoTensor) {
        self.shape.copy_from_slice(&tensor.shape);
        self.bytes = usize::try_from(bytes_of_all(tensor)).unwrap_or(usize::MAX);
    }

    fn state(state: &StateTensor) -> Self {
        let element = match state.element {
            DeviceElement::F32 => Element::DRIFT_F32,
            DeviceElement::F16 => Element::DRIFT_F16,
            DeviceElement::I32 => Element::DRIFT_I32,
            DeviceElement::U32 => Element::DRIFT_U32,
        };
        Self::of(&state.name, &state.shape, element, state.bytes)
    }

    fn of(name: &str, shape: &[u64], element: Element, bytes: u64) -> Self {
        let name = CString::new(name.replace('\0', "\u{fffd}")).unwrap_or_default();
        Self { name, shape: shape.to_vec(), element, bytes: usize::try_from(bytes).unwrap_or(usize::MAX) }
    }

    fn tensor(&self) -> Tensor {
        let Self { name, shape, element, bytes } = self;
        Tensor {
            name: name.as_ptr(),
            element: *element,
            rank: shape.len(),
            shape: shape.as_ptr(),
            bytes: *bytes,
        }
    }
}

/// A bundle is refused where this would not fit the device's memory, let alone the host's addresses.
fn bytes_of_all(tensor: &IoTensor) -> u64 {
    tensor.elements().unwrap_or(u64::MAX).saturating_mul(tensor.element.size_bytes())
}

/// Loads an entry of a bundle for a device. `options` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drift_session_load(
    device: *const CDevice,
    bundle: *const CBundle,
    options: *const LoadOptions,
    out: *mut *mut CSession,
) -> Status {
    // SAFETY: the caller keeps to the header.
    unsafe {
        make(out, || {
            let (device, bundle) = (shared(device, "device")?, shared(bundle, "bundle")?);
            Ok(CSession::new(device.device.load_with(&bundle.0, &load_options(options)?)?))
        })
    }
}

/// Loads `count` entries of a bundle into the same memory: weights and states of one name are there once. `entries` are their
/// names, and `out` has a place for each session. The runs of the sessions take turns, and outputs have to be read before
/// another of them runs. The entry in `options`, which may be NULL, is not looked at.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drift_session_load_entries(
    device: *const CDevice,
    bundle: *const CBundle,
    entries: *const *const c_char,
    count: usize,
    options: *const LoadOptions,
    out: *mut *mut CSession,
) -> Status {
    // SAFETY: the caller keeps to the header.
    call(|| unsafe {
        if out.is_null() || entries.is_null() {
            return Err(Failure::argument("`entries` or `out` is null"));
        }
        (0..count).for_each(|index| out.add(index).write(std::ptr::null_mut()));
        let (device, bundle) = (shared(device, "device")?, shared(bundle, "bundle")?);
        let names = (0..count).map(|index| needed_text(entries.add(index).read(), "entries"));
        let names = names.collect::<Result<Vec<&str>, _>>()?;
        let sessions = device.device.load_entries(&bundle.0, &names, &load_options(options)?)?;
        for (index, session) in sessions.into_iter().enumerate() {
            out.add(index).write(Box::into_raw(Box::new(CSession::new(session))));
        }
        Ok(())
    })
}

/// Frees a session. A run that is on its way is called off, as by drift_session_cancel.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drift_session_free(session: *mut CSession) {
    // SAFETY: the caller keeps to the header.
    unsafe { free(session) }
}

/// Number of inputs; 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drift_session_input_count(session: *const CSession) -> usize {
    // SAFETY: the caller keeps to the header.
    unsafe { session.as_ref() }.map_or(0, |session| session.inputs.len())
}

/// Number of outputs; 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drift_session_output_count(session: *const CSession) -> usize {
    // SAFETY: the caller keeps to the header.
    unsafe { session.as_ref() }.map_or(0, |session| session.outputs.len())
}

/// Describes an input. What it points to is valid until the session is freed; sizes are those of now, and others after
/// drift_session_set_dim.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drift_session_input(
    session: *const CSession,
    index: usize,
    out: *mut Tensor,
) -> Status {
    // SAFETY: the caller keeps to the header.
    call(|| unsafe { describe(&shared(session, "session")?.inputs, "inputs", index, out) })
}

/// Describes an output. What it points to is valid until the session is freed; sizes are those of now, and others after
/// drift_session_set_dim.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drift_session_output(
    session: *const CSession,
    index: usize,
    out: *mut Tensor,
) -> Status {
    // SAFETY: the caller keeps to the header.
    call(|| unsafe { describe(&shared(session, "session")?.outputs, "outputs", index, out) })
}

pub(crate) unsafe fn describe(
    tensors: &[Described],
    what: &str,
    index: usize,
    out: *mut Tensor,
) -> Result<(), Failure> {
    if out.is_null() {
        return Err(Failure::argument("`out` is null"));
    }
    let count = tensors.len();
    let found = tensors.get(index).ok_or_else(|| {
        Failure::argument(format!("there are {count} {what}; number {index} was asked for"))
    })?;
    // SAFETY: not null; the caller says that it is a place for a tensor.
    unsafe { out.write(found.tensor()) };
    Ok(())
}

/// Sets an input from `bytes` bytes of its own type. Its values are used by every run until they are set again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drift_session_write(
    session: *mut CSession,
    name: *const c_char,
    data: *const u8,
    bytes: usize,
) -> Status {
    // SAFETY: the caller keeps to the header.
    call(|| unsafe {
        let (session, name) = (unique(session, "session")?, needed_text(name, "name")?);
        Ok(session.slot.here()?.write_raw(name, bytes_of(data, bytes)?)?)
    })
}

/// What the caller gives.
pub(crate) unsafe fn bytes_of<'a>(data: *const u8, bytes: usize) -> Result<&'a [u8], Failure> {
    match (data.is_null(), bytes) {
        (_, 0) => Ok(&[]),
        (true, _) => Err(Failure::argument("`data` is null")),
        // SAFETY: not null; the caller says that as many bytes are there.
        (false, _) => Ok(unsafe { std::slice::from_raw_parts(data, bytes) }),
    }
}

/// Where the caller has room, zeroed.
pub(crate) unsafe fn room_of<'a>(into: *mut u8, bytes: usize) -> Result<&'a mut [u8], Failure> {
    match (into.is_null(), bytes) {
        (_, 0) => Ok(&mut []),
        (true, _) => Err(Failure::argument("`into` is null")),
        // SAFETY: not null; the caller says that as many bytes are writable.
        (false, _) => Ok(unsafe {
            into.write_bytes(0, bytes);
            std::slice::from_raw_parts_mut(into, bytes)
        }),
    }
}

/// Runs the entry once and waits for it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drift_session_run(session: *mut CSession) -> Status {
    // SAFETY: the caller keeps to the header.
    call(|| unsafe { Ok(unique(session, "session")?.slot.here()?.run()?) })
}

/// Runs the entry `count` times and waits for the last: each run begins when the one before has ended, without the host between. What
/// changes from run to run is what states hold.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drift_session_run_times(session: *mut CSession, count: u32) -> Status {
    // SAFETY: the caller keeps to the header.
    call(|| unsafe { Ok(unique(session, "session")?.slot.here()?.run_times(count)?) })
}

/// Copies an output of the last run into `bytes` bytes of its own type.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drift_session_read(
    session: *mut CSession,
    name: *const c_char,
    into: *mut u8,
    bytes: usize,
) -> Status {
    // SAFETY: the caller keeps to the header.
    call(|| unsafe {
        let (session, name) = (unique(session, "session")?, needed_text(name, "name")?);
        let element = session.output(name, bytes)?;
        if into.is_null() && bytes > 0 {
            return Err(Failure::argument("`into` is null"));
        }
        let mut here = session.slot.here()?;
        let session = &mut *here;
        match element {
            Element::DRIFT_F32 => read::<f32>(session, name, into, bytes),
            Element::DRIFT_F16 => read::<f16>(session, name, into, bytes),
            Element::DRIFT_I64 => read::<i64>(session, name, into, bytes),
            Element::DRIFT_I32 => read::<i32>(session, name, into, bytes),
            Element::DRIFT_I8 => read::<i8>(session, name, into, bytes),
            Element::DRIFT_U8 => read::<u8>(session, name, into, bytes),
            Element::DRIFT_BOOL => read::<bool>(session, name, into, bytes),
            Element::DRIFT_U32 => read::<u32>(session, name, into, bytes),
            Element::DRIFT_I16 => read::<i16>(session, name, into, bytes),
            Element::DRIFT_U16 => read::<u16>(session, name, into, bytes),
            Element::DRIFT_U64 => read::<u64>(session, name, into, bytes),
            Element::DRIFT_BF16
            | Element::DRIFT_F8E4M3
            | Element::DRIFT_F8E4M3FNUZ
            | Element::DRIFT_F8E5M2
            | Element::DRIFT_F8E5M2FNUZ
            | Element::DRIFT_F8E8M0
            | Element::DRIFT_F4E2M1
            | Element::DRIFT_I4
            | Element::DRIFT_U4
            | Element::DRIFT_I2
            | Element::DRIFT_U2 => read_bytes(session, name, into, bytes),
        }
    })
}

/// Reads into memory of the caller through memory of our own.
unsafe fn read_bytes(session: &mut Session, name: &str, into: *mut u8, bytes: usize) -> Result<(), Failure> {
    let values = session.read_raw(name)?;
    // SAFETY: both are `bytes` long, and the caller says that `into` is writable.
    unsafe { std::ptr::copy_nonoverlapping(values.as_ptr(), into, values.len().min(bytes)) };
    Ok(())
}

/// Reads into memory of the caller; through memory of our own where its address does not suit the type.
unsafe fn read<T: HostScalar + Default + Clone>(
    session: &mut Session,
    name: &str,
    into: *mut u8,
    bytes: usize,
) -> Result<(), Failure> {
    let count = bytes / size_of::<T>();
    let typed = into.cast::<T>();
    if bytes == 0 || !typed.is_aligned() {
        // SAFETY: as this function's caller says.
        return unsafe { read_bytes(session, name, into, bytes) };
    }
    // SAFETY: the caller says that `bytes` bytes are writable; they are aligned, and zeros are a value of each of the types.
    let values = unsafe {
        into.write_bytes(0, bytes);
        std::slice::from_raw_parts_mut(typed, count)
    };
    Ok(session.read_into(name, values)?)
}

impl CSession {
    pub(crate) fn new(session: Session) -> Self {
        let described = |tensors: &[IoTensor]| tensors.iter().map(Described::new).collect();
        let (inputs, outputs) = (described(session.inputs()), described(session.outputs()));
        let states = session.states().iter().map(Described::state).collect();
        let dims = session.dims().iter().map(NamedDim::new).collect();
        Self { slot: Slot::new(session), inputs, outputs, states, dims }
    }

    /// Describes inputs, outputs and dims anew, after a size was set.
    pub(crate) fn follow(&mut self) -> Result<(), Failure> {
        let session = self.slot.here()?;
        let tensors = self.inputs.iter_mut().zip(session.inputs());
        let tensors = tensors.chain(self.outputs.iter_mut().zip(session.outputs()));
        tensors.for_each(|(described, tensor)| described.follow(tensor));
        self.dims.iter_mut().zip(session.dims()).for_each(|(named, dim)| named.follow(dim));
        Ok(())
    }

    /// The type of the output `name`, whose length has to be `bytes`.
    fn output(&self, name: &str, bytes: usize) -> Result<Element, Failure> {
        let names = || self.outputs.iter().map(|tensor| tensor.name.to_string_lossy());
        let known = || names().collect::<Vec<_>>().join(", ");
        let found = self
            .outputs
            .iter()
            .find(|tensor| tensor.name.to_bytes() == name.as_bytes())
            .ok_or_else(|| Failure::argument(format!("there is no `{name}`, only: {}", known())))?;
        if found.bytes != bytes {
            let (shape, right) = (&found.shape, found.bytes);
            return Err(Failure::argument(format!(
                "`{name}` has shape {shape:?} and takes {right} bytes; {bytes} were given"
            )));
        }
        Ok(found.element)
    }
}

/// Seconds that the last run took on the GPU, where `timestamps` asked for them.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drift_session_gpu_seconds(session: *mut CSession, out: *mut f64) -> Status {
    // SAFETY: the caller keeps to the header.
    call(|| unsafe {
        let session = unique(session, "session")?;
        let out = unique(out, "out")?;
        *out = session.slot.here()?.timings()?.total.as_secs_f64();
        Ok(())
    })
}
