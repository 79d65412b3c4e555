//! Commands that are kept and encoded at each submission, since Metal submits a command buffer once.
#![expect(unsafe_code, reason = "encodes commands, whose ranges Metal does not check")]

use std::sync::{Arc, Mutex};

use drift_bundle::manifest::{TextureKind, TextureObject};
use objc2::rc::Retained;
use objc2::runtime::ProtocolObject;
use objc2_foundation::NSRange;
use objc2_metal::{
    MTLBarrierScope, MTLBlitCommandEncoder, MTLBuffer, MTLCommandBuffer, MTLCommandEncoder,
    MTLComputeCommandEncoder, MTLComputePassDescriptor, MTLDispatchType, MTLOrigin, MTLSize, MTLTexture,
};

use super::bind::{Bind, Bindings};
use super::context::{Context, Submitted};
use super::handle::Shared;
use super::memory::Buffer;
use super::not_made;
use super::pipelines::{Kernel, Pipelines};
use super::queries::{Queries, Samples};
use super::texture::{Textures, row_bytes};
use crate::api::{Memory, Record, Rows, Step, Work};
use crate::error::RuntimeError;

const DOING: &str = "recording commands";

/// A command and everything that it uses.
pub(crate) enum Command {
    Barrier,
    Copy {
        from: Shared<dyn MTLBuffer>,
        to: Shared<dyn MTLBuffer>,
        offsets: (usize, usize),
        bytes: usize,
    },
    Zero {
        buffer: Shared<dyn MTLBuffer>,
        bytes: usize,
    },
    /// Rows of texels from the start of a buffer.
    Fill {
        from: Shared<dyn MTLBuffer>,
        texture: Shared<dyn MTLTexture>,
        rows: Rows,
    },
    Dispatch {
        kernel: Arc<Kernel>,
        arguments: Arc<[Bind]>,
        grid: MTLSize,
        stamp: Option<Stamp>,
    },
}

/// Where the times of a dispatch are kept.
pub(crate) struct Stamp {
    samples: Arc<Samples>,
    dispatch: usize,
}

/// Lists of commands.
#[derive(Default)]
pub(crate) struct Recordings {
    pub(crate) lists: Vec<Vec<Command>>,
    /// What was submitted without a fence.
    pub(crate) unfenced: Vec<Submitted>,
}

/// What it was given to last, with all that was submitted without one before.
#[derive(Default)]
pub(crate) struct Fence(pub(crate) Mutex<Vec<Submitted>>);

/// Encodes commands into a command buffer.
pub(crate) fn encode<'a>(
    buffer: &ProtocolObject<dyn MTLCommandBuffer>,
    mut commands: impl Iterator<Item = &'a Command>,
) -> Result<(), RuntimeError> {
    let mut encoder = Encoder { buffer, pass: Pass::None };
    commands.try_for_each(|command| encoder.add(command))
}

/// What is being encoded.
enum Pass {
    None,
    Compute(Retained<ProtocolObject<dyn MTLComputeCommandEncoder>>),
    Blit(Retained<ProtocolObject<dyn MTLBlitCommandEncoder>>),
}

struct Encoder<'b> {
    buffer: &'b ProtocolObject<dyn MTLCommandBuffer>,
    pass: Pass,
}

impl Encoder<'_> {
    fn add(&mut self, command: &Command) -> Result<(), RuntimeError> {
        match command {
            Command::Barrier => self.barrier(),
            Command::Copy { from, to, offsets, bytes } => {
                // SAFETY: the loader keeps ranges inside of their buffers.
                unsafe {
                    self.blit()?.copyFromBuffer_sourceOffset_toBuffer_destinationOffset_size(
                        from, offsets.0, to, offsets.1, *bytes,
                    );
                }
            }
            Command::Zero { buffer, bytes } => {
                self.blit()?.fillBuffer_range_value(buffer, NSRange::new(0, *bytes), 0);
            }
            Command::Fill { from, texture, rows } => fill(self.blit()?, from, texture, rows),
            Command::Dispatch { kernel, arguments, grid, stamp } => {
                let pass = self.compute(stamp.as_ref())?;
                dispatch(pass, kernel, arguments, *grid);
                if stamp.is_some() {
                    self.end();
                }
            }
        }
        Ok(())
    }

    /// Passes wait for each other where they use the same memory. Inside of one nothing does.
    fn barrier(&mut self) {
        match &self.pass {
            Pass::None => {}
            Pass::Compute(pass) => {
                pass.memoryBarrierWithScope(MTLBarrierScope::Buffers | MTLBarrierScope::Textures);
            }
            Pass::Blit(_) => self.end(),
        }
    }

    /// The pass for copies.
    fn blit(&mut self) -> Result<&ProtocolObject<dyn MTLBlitCommandEncoder>, RuntimeError> {
        if !matches!(self.pass, Pass::Blit(_)) {
            self.end();
            let pass = self.buffer.blitCommandEncoder().ok_or_else(|| not_made(DOING, None))?;
            self.pass = Pass::Blit(pass);
        }
        let Pass::Blit(pass) = &self.pass else { unreachable!("begun above") };
        Ok(pass)
    }

    /// The pass for kernels; one of its own for each that is timed.
    fn compute(
        &mut self,
        stamp: Option<&Stamp>,
    ) -> Result<&ProtocolObject<dyn MTLComputeCommandEncoder>, RuntimeError> {
        if !matches!(self.pass, Pass::Compute(_)) || stamp.is_some() {
            self.end();
            let descriptor = MTLComputePassDescriptor::computePassDescriptor();
            descriptor.setDispatchType(MTLDispatchType::Concurrent);
            if let Some(Stamp { samples, dispatch }) = stamp {
                samples.attach(&descriptor, *dispatch);
            }
            let pass = self.buffer.computeCommandEncoderWithDescriptor(&descriptor);
            self.pass = Pass::Compute(pass.ok_or_else(|| not_made(DOING, None))?);
        }
        let Pass::Compute(pass) = &self.pass else { unreachable!("begun above") };
        Ok(pass)
    }

    fn end(&mut self) {
        match std::mem::replace(&mut self.pass, Pass::None) {
            Pass::None => {}
            Pass::Compute(pass) => pass.endEncoding(),
            Pass::Blit(pass) => pass.endEncoding(),
        }
    }
}

impl Drop for Encoder<'_> {
    /// A pass that is dropped before its end is an error of the program to Metal.
    fn drop(&mut self) {
        self.end();
    }
}

fn dispatch(
    pass: &ProtocolObject<dyn MTLComputeCommandEncoder>,
    kernel: &Kernel,
    arguments: &[Bind],
    grid: MTLSize,
) {
    pass.setComputePipelineState(&kernel.state);
    for argument in arguments {
        // SAFETY: offsets are inside of their buffers, and numbers below what the tables hold, which the loader and the
        // bundle's validator have checked.
        unsafe {
            match argument {
                Bind::Buffer { buffer, offset, index } => {
                    pass.setBuffer_offset_atIndex(Some(buffer), *offset, *index);
                }
                Bind::Texture { texture, index } => pass.setTexture_atIndex(Some(texture), *index),
            }
        }
    }
    pass.dispatchThreadgroups_threadsPerThreadgroup(grid, kernel.workgroup);
}

fn fill(
    pass: &ProtocolObject<dyn MTLBlitCommandEncoder>,
    from: &ProtocolObject<dyn MTLBuffer>,
    texture: &ProtocolObject<dyn MTLTexture>,
    rows: &Rows,
) {
    let row = row_bytes(&rows.object) as usize;
    let (layer, depth) = rows.layer_and_depth();
    let size = MTLSize { width: rows.object.extent_px[0] as usize, height: rows.count as usize, depth: 1 };
    let origin = MTLOrigin { x: 0, y: rows.first as usize, z: depth as usize };
    // SAFETY: the buffer holds so many rows, and the texture has them.
    unsafe {
        pass.copyFromBuffer_sourceOffset_sourceBytesPerRow_sourceBytesPerImage_sourceSize_toTexture_destinationSlice_destinationLevel_destinationOrigin(
            from,
            0,
            row,
            row * rows.count as usize,
            size,
            texture,
            layer as usize,
            0,
            origin,
        );
    }
}

/// Appends to one list.
pub(crate) struct Recorder<'a> {
    pub(crate) list: &'a mut Vec<Command>,
}

impl Record<Context> for Recorder<'_> {
    fn barrier(&mut self, _before: Work, _after: Work) {
        self.list.push(Command::Barrier);
    }

    fn copy(&mut self, from: (&Buffer, u64), to: (&Buffer, u64), bytes: u64) {
        if bytes > 0 {
            self.list.push(Command::Copy {
                from: from.0.raw.clone(),
                to: to.0.raw.clone(),
                offsets: (from.1 as usize, to.1 as usize),
                // Copies take whole words. Ranges begin at multiples of 256, so that these belong to no other.
                bytes: bytes.next_multiple_of(4) as usize,
            });
        }
    }

    fn zero(&mut self, buffer: &Buffer) {
        self.list.push(Command::Zero { buffer: buffer.raw.clone(), bytes: buffer.size() as usize });
    }

    fn clear(&mut self, textures: &Textures) {
        let Some(zeros) = &textures.zeros else { return };
        for (texture, object) in textures.images.iter().zip(&textures.objects) {
            for rows in parts(object, zeros.size()) {
                self.list.push(Command::Fill { from: zeros.raw.clone(), texture: texture.clone(), rows });
            }
        }
    }

    fn fill(&mut self, from: &Buffer, textures: &Textures, rows: &Rows) {
        let texture = textures.images[rows.texture].clone();
        self.list.push(Command::Fill { from: from.raw.clone(), texture, rows: *rows });
    }

    fn dispatch(&mut self, pipelines: &Pipelines, bindings: &Bindings, index: usize, step: Step) {
        let [width, height, depth] = step.grid.map(|count| count as usize);
        self.list.push(Command::Dispatch {
            kernel: pipelines.of(step.shader),
            arguments: bindings.of(index),
            grid: MTLSize { width, height, depth },
            stamp: None,
        });
    }

    fn reset_times(&mut self, _queries: &Queries) {}

    fn stamp_start(&mut self, _queries: &Queries, _submission: usize) {}

    /// A pass takes its times itself.
    fn stamp_end(&mut self, queries: &Queries, _submission: usize, dispatch: usize) {
        if let Some(Command::Dispatch { stamp, .. }) = self.list.last_mut() {
            *stamp = Some(Stamp { samples: Arc::clone(&queries.samples), dispatch });
        }
    }
}

/// The rows of all layers of a texture, in parts of at most so many bytes.
fn parts(object: &TextureObject, most_bytes: u64) -> impl Iterator<Item = Rows> {
    let object = *object;
    let [_, height, last] = object.extent_px;
    let layers = match object.kind {
        TextureKind::D2 => 1,
        TextureKind::Array | TextureKind::D3 => last,
    };
    let most = (most_bytes / row_bytes(&object)).clamp(1, height.into()) as u32;
    (0..layers).flat_map(move |layer| {
        (0..height).step_by(most as usize).map(move |first| Rows {
            texture: 0,
            object,
            layer,
            first,
            count: most.min(height - first),
        })
    })
}
