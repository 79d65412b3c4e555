//! The stand-in as a device under the runtime's loader.

use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use drift_bundle::manifest::{DeviceElement, Dispatch, Resource, TextureObject};
use drift_runtime::api::{
    Api, Bound, Deadline, Program, Purpose, Record, Role, Rows, Serial, Step, Times, Work,
};
use drift_runtime::{
    CacheUse, CooperativeMatrix, DeviceFeatures, DeviceInfo, DeviceKind, DeviceLimits, DeviceType,
    RuntimeError, SubgroupFeatures,
};

use super::damage::Damage;
use super::kernels::{BoundKernel, Kernels};
use super::memory::{Buffer, Texture};
use super::queue::{Command, Failure, Queue, Stamps, lock};

/// Executes MSL on the processor, within the limits of Apple's family 7 (A14 and M1).
pub(super) struct StandIn {
    info: DeviceInfo,
    queue: Queue,
    damage: Option<Arc<Damage>>,
}

impl StandIn {
    pub(super) fn new(damage: Option<Arc<Damage>>) -> Self {
        Self { info: info(), queue: Queue::new(), damage }
    }
}

/// Limits from Metal's feature set tables, family 7. Apple's simdgroups have 32 threads.
fn info() -> DeviceInfo {
    let subgroups = SubgroupFeatures { operations: true, size: 32, selectable: None };
    let (ab, c) = (DeviceElement::F16, DeviceElement::F32);
    DeviceInfo {
        kind: DeviceKind::Metal,
        index: 0,
        name: "MSL on this processor".to_owned(),
        driver: "clang".to_owned(),
        api_version: "2.4".to_owned(),
        vendor_id: 0x106b,
        device_id: 0,
        device_type: DeviceType::Cpu,
        features: DeviceFeatures {
            f16: true,
            subgroups,
            cooperative_matrices: vec![CooperativeMatrix { m: 8, n: 8, k: 8, ab, c }],
            timestamps: true,
            bounded_buffers: false,
            bounded_textures: false,
            bounded_matrices: false,
        },
        limits: DeviceLimits {
            workgroups: [u32::MAX; 3],
            workgroup_size: [1024; 3],
            workgroup_invocations: 1024,
            workgroup_subgroups: 0,
            shared_bytes: 32 << 10,
            storage_binding_bytes: 1 << 30,
            uniform_binding_bytes: 64 << 10,
            buffer_bytes: 1 << 30,
            texture_2d_px: 16_384,
            texture_3d_px: 2_048,
            texture_layers: 2_048,
            image_buffer_texels: 0,
            storage_buffers: 31,
            uniform_buffers: 31,
            sampled_images: 128,
            storage_images: 128,
            resources: 31 + 128,
            memory_bytes: u64::MAX,
        },
    }
}

/// Lists of commands. Those of one program share what its kernels did wrong.
#[derive(Default)]
pub(super) struct Recordings {
    lists: Vec<Arc<Vec<Command>>>,
    failure: Failure,
}

/// Appends to one list.
pub(super) struct Recorder<'a>(&'a mut Vec<Command>);

/// Where the program of the last submission says what went wrong.
#[derive(Default)]
pub(super) struct Fence(Mutex<Failure>);

impl Api for StandIn {
    type Buffer = Buffer;
    type Textures = Vec<Texture>;
    type Pipelines = Kernels;
    type Bindings = Vec<Arc<BoundKernel>>;
    type Recordings = Recordings;
    type Recorder<'a> = Recorder<'a>;
    type Fence = Fence;
    type Queries = Stamps;

    fn info(&self) -> &DeviceInfo {
        &self.info
    }

    fn check(&self, doing: &'static str) -> Result<(), RuntimeError> {
        self.queue.check(doing)
    }

    fn buffer(self: &Arc<Self>, bytes: u64, _purpose: Purpose) -> Result<Buffer, RuntimeError> {
        Buffer::new(bytes)
    }

    fn textures(
        self: &Arc<Self>,
        objects: &[TextureObject],
        _role: Role,
    ) -> Result<Vec<Texture>, RuntimeError> {
        objects.iter().map(|object| Texture::new(*object)).collect()
    }

    fn texture_bytes(textures: &Vec<Texture>) -> u64 {
        textures.iter().map(|texture| texture.object.size_bytes()).sum()
    }

    fn pipelines(
        self: &Arc<Self>,
        program: &Program<'_>,
        _cache_dir: Option<&Path>,
        deadline: Deadline,
    ) -> Result<(Kernels, CacheUse), RuntimeError> {
        Ok((Kernels::new(program, deadline)?, CacheUse::Off))
    }

    fn bind<'m>(
        self: &Arc<Self>,
        program: &Program<'_>,
        kernels: &Kernels,
        dispatches: &[Dispatch],
        bound: impl Fn(&Resource) -> Bound<'m, Self>,
    ) -> Result<Vec<Arc<BoundKernel>>, RuntimeError> {
        let one = |dispatch: &Dispatch| {
            let slot = |n: usize| bound(&dispatch.bindings[n]);
            let bound = BoundKernel::new(kernels, program, dispatch, slot)?;
            Ok(Arc::new(bound.damaged_by(self.damage.as_ref(), dispatch)))
        };
        dispatches.iter().map(one).collect()
    }

    fn recordings(self: &Arc<Self>, _timed: bool) -> Result<Recordings, RuntimeError> {
        Ok(Recordings::default())
    }

    fn record(
        &self,
        recordings: &mut Recordings,
        body: impl FnOnce(&mut Recorder<'_>),
    ) -> Result<usize, RuntimeError> {
        recordings.lists.push(Arc::default());
        let number = recordings.lists.len() - 1;
        self.record_again(recordings, number, body)?;
        Ok(number)
    }

    fn record_again(
        &self,
        recordings: &mut Recordings,
        number: usize,
        body: impl FnOnce(&mut Recorder<'_>),
    ) -> Result<(), RuntimeError> {
        let mut list = Vec::new();
        body(&mut Recorder(&mut list));
        recordings.lists[number] = Arc::new(list);
        Ok(())
    }

    fn fence(self: &Arc<Self>) -> Result<Fence, RuntimeError> {
        Ok(Fence::default())
    }

    fn submit(
        &self,
        recordings: &mut Recordings,
        numbers: &[usize],
        fence: Option<&Fence>,
    ) -> Result<Serial, RuntimeError> {
        let lists = numbers.iter().map(|number| Arc::clone(&recordings.lists[*number])).collect();
        if let Some(fence) = fence {
            *lock(&fence.0) = Arc::clone(&recordings.failure);
        }
        self.queue.submit(lists, &recordings.failure)
    }

    fn wait(&self, fence: &Fence, serial: Serial, deadline: Deadline) -> Result<(), RuntimeError> {
        self.queue.wait(serial, deadline)?;
        let failure = Arc::clone(&lock(&fence.0));
        let said = lock(&failure).take();
        match said {
            Some(code) => Err(RuntimeError::Driver { doing: "running a kernel", code }),
            None => Ok(()),
        }
    }

    fn has_finished(&self, serial: Serial) -> bool {
        self.queue.has_finished(serial)
    }

    fn queries(self: &Arc<Self>, submissions: &[Range<usize>]) -> Result<Stamps, RuntimeError> {
        let dispatches = submissions.last().map_or(0, |last| last.end);
        Ok(Arc::new(Mutex::new(vec![Duration::ZERO; dispatches])))
    }

    fn times(&self, stamps: &Stamps, ran: &[bool]) -> Result<Times, RuntimeError> {
        let time = |(time, ran): (&Duration, &bool)| if *ran { *time } else { Duration::ZERO };
        let dispatches: Vec<Duration> = lock(stamps).iter().zip(ran).map(time).collect();
        let total = dispatches.iter().sum();
        Ok(Times { dispatches, total })
    }
}

impl Record<StandIn> for Recorder<'_> {
    /// Commands run one after another.
    fn barrier(&mut self, _before: Work, _after: Work) {}

    fn copy(&mut self, from: (&Buffer, u64), to: (&Buffer, u64), bytes: u64) {
        let (from, to) = ((Arc::clone(&from.0.0), from.1), (Arc::clone(&to.0.0), to.1));
        self.0.push(Command::Copy { from, to, bytes });
    }

    fn zero(&mut self, buffer: &Buffer) {
        self.0.push(Command::Zero(Arc::clone(&buffer.0)));
    }

    fn clear(&mut self, textures: &Vec<Texture>) {
        self.0.extend(textures.iter().map(|texture| Command::Zero(Arc::clone(&texture.texels))));
    }

    fn fill(&mut self, from: &Buffer, textures: &Vec<Texture>, rows: &Rows) {
        let Texture { texels, object } = &textures[rows.texture];
        let [width, height, _] = object.extent_px.map(u64::from);
        let row_bytes = width * object.element.texel_bytes();
        let first = u64::from(rows.layer) * height + u64::from(rows.first);
        let to = (Arc::clone(texels), first * row_bytes);
        let bytes = u64::from(rows.count) * row_bytes;
        self.0.push(Command::Copy { from: (Arc::clone(&from.0), 0), to, bytes });
    }

    fn dispatch(&mut self, _kernels: &Kernels, bindings: &Vec<Arc<BoundKernel>>, index: usize, step: Step) {
        let kernel = Arc::clone(&bindings[index]);
        self.0.push(Command::Dispatch { kernel, threadgroups: step.grid, stamp: None });
    }

    fn reset_times(&mut self, _stamps: &Stamps) {}

    fn stamp_start(&mut self, _stamps: &Stamps, _submission: usize) {}

    fn stamp_end(&mut self, stamps: &Stamps, _submission: usize, dispatch: usize) {
        if let Some(Command::Dispatch { stamp, .. }) = self.0.last_mut() {
            *stamp = Some((Arc::clone(stamps), dispatch));
        }
    }
}
