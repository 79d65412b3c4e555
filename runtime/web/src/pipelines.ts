/** Compute pipelines, one for each shader in use, and what each dispatch binds. */

import type { Deadline } from "./deadline.js";
import { DriftError } from "./error.js";
import { STAGE_COMPUTE } from "./flags.js";
import type { Gpu } from "./gpu.js";
import { whole } from "./host.js";
import { type BindingSlot, type Dispatch, type Resource, type Shader, rangeOf } from "./manifest.js";
import { type Program, textureKey, weightTextureOf } from "./program.js";
import { type Place, type Regions, type Weights, textureFormat, viewDimension } from "./regions.js";

export interface Pipeline {
  readonly raw: GPUComputePipeline;
  readonly groups: readonly GPUBindGroupLayout[];
}

/** What a dispatch is encoded from. */
export interface Bound {
  readonly pipeline: GPUComputePipeline;
  readonly groups: readonly GPUBindGroup[];
  readonly workgroups: readonly [number, number, number];
}

/** Whether a storage buffer is bound to be written: all of group 0 is, since activations are one buffer. */
const isWritten = (slot: BindingSlot): boolean => slot.writable || slot.group === 0;

const SAMPLE_TYPES = { F32: "unfilterable-float", F16: "unfilterable-float", I32: "sint", U32: "uint" } as const;

const layoutEntry = (slot: BindingSlot): GPUBindGroupLayoutEntry => {
  const { binding, kind } = slot;
  const visibility = STAGE_COMPUTE;
  if ("Texture" in kind) {
    const dimension = viewDimension(kind.Texture);
    return slot.writable
      ? { binding, visibility, storageTexture: { access: "write-only", format: textureFormat(kind.Texture), viewDimension: dimension } }
      : { binding, visibility, texture: { sampleType: SAMPLE_TYPES[kind.Texture.element], viewDimension: dimension } };
  }
  if ("UniformBuffer" in kind) {
    return { binding, visibility, buffer: { type: "uniform" } };
  }
  return { binding, visibility, buffer: { type: isWritten(slot) ? "storage" : "read-only-storage" } };
};

/** Layouts by what they hold; shaders share them. */
class Layouts {
  private readonly known = new Map<string, GPUBindGroupLayout>();

  constructor(private readonly device: GPUDevice) {}

  of(shader: Shader): GPUBindGroupLayout[] {
    const count = Math.max(0, ...shader.bindings.map(({ group }) => group + 1));
    return Array.from({ length: count }, (_, group) => {
      const slots = shader.bindings.filter((slot) => slot.group === group);
      const entries = slots.map(layoutEntry).sort((a, b) => a.binding - b.binding);
      const key = JSON.stringify(entries);
      const layout = this.known.get(key) ?? this.device.createBindGroupLayout({ entries });
      this.known.set(key, layout);
      return layout;
    });
  }
}

/** Creates the pipelines of a program, all at once; the browser compiles them on its own threads. */
export const createPipelines = async (gpu: Gpu, program: Program, deadline: Deadline): Promise<Map<number, Pipeline>> => {
  const layouts = new Layouts(gpu.device);
  const one = async (index: number): Promise<[number, Pipeline]> => {
    const shader = program.bundle.manifest.shaders[index];
    const doing = `compiling shader \`${shader.name}\``;
    const made = await gpu.scoped(
      doing,
      () => {
        const groups = layouts.of(shader);
        const module = gpu.device.createShaderModule({ code: program.bundle.shaderCode(shader) });
        const layout = gpu.device.createPipelineLayout({ bindGroupLayouts: groups });
        const compute = { module, entryPoint: shader.entry_point };
        const raw = gpu.device.createComputePipelineAsync({ layout, compute });
        // Whoever waits below hears of it; until then nobody may be waiting.
        raw.catch(() => undefined);
        return { groups, raw };
      },
      deadline,
    );
    try {
      return [index, { raw: await deadline.wait(made.raw, doing), groups: made.groups }];
    } catch (error) {
      throw await gpu.blame(doing, error);
    }
  };
  return new Map(await Promise.all(program.shaders().map(one)));
};

/** The memory that resources are in. */
export interface Places {
  readonly regions: Regions;
  /** Those of runs, then those that are there for the init program only. */
  readonly weights: readonly Weights[];
}

const viewOf = (places: Places, resource: Resource): GPUTextureView => {
  const texture = weightTextureOf(resource);
  if (texture === null) {
    return places.regions.view((resource.region as { Variant: number }).Variant);
  }
  const key = textureKey(texture);
  return places.weights.map(({ views }) => views.get(key)).find((view) => view !== undefined) as GPUTextureView;
};

const placeOf = ({ regions, weights }: Places, { region }: Resource): Place =>
  "Variant" in region
    ? regions.place(region.Variant)
    : (weights.map(({ places }) => places.get(region.Weight)).find((place) => place !== undefined) as Place);

/** Makes the bind groups of dispatches. */
export const bind = (
  device: GPUDevice,
  program: Program,
  pipelines: ReadonlyMap<number, Pipeline>,
  dispatches: readonly Dispatch[],
  places: Places,
): Bound[] =>
  dispatches.map((dispatch) => {
    const slots = program.shader(dispatch).bindings;
    const pipeline = pipelines.get(dispatch.shader) as Pipeline;
    checkUses(dispatch, slots, places);
    const entry = (slot: BindingSlot, resource: Resource): GPUBindGroupEntry => {
      if ("Texture" in resource.view) {
        return { binding: slot.binding, resource: viewOf(places, resource) };
      }
      const { buffer, offset } = placeOf(places, resource);
      const { offset: start, size } = rangeOf(resource.view);
      return { binding: slot.binding, resource: { buffer, offset: offset + start, size: whole(size) } };
    };
    const groups = pipeline.groups.map((layout, group) => {
      const entries = slots.flatMap((slot, index) => (slot.group === group ? [entry(slot, dispatch.bindings[index])] : []));
      return device.createBindGroup({ layout, entries });
    });
    return { pipeline: pipeline.raw, groups, workgroups: dispatch.workgroups };
  });

/** Refuses what WebGPU does not allow, and would only say of a whole submission: a buffer that is written and bound to be read only. */
const checkUses = (dispatch: Dispatch, slots: readonly BindingSlot[], places: Places): void => {
  const uses = new Map<GPUBuffer, boolean>();
  slots.forEach((slot, index) => {
    if ("Texture" in slot.kind) {
      return;
    }
    const { buffer } = placeOf(places, dispatch.bindings[index]);
    const written = "StorageBuffer" in slot.kind && isWritten(slot);
    if ((uses.get(buffer) ?? written) !== written) {
      throw new DriftError("driver", `dispatch \`${dispatch.name}\` both writes a buffer and binds it to be read only`);
    }
    uses.set(buffer, written);
  });
};

/** Encodes dispatches as one pass, in which the browser orders them by what they use. One without workgroups is left out. */
export const encode = (commands: GPUCommandEncoder, dispatches: readonly Bound[]): void => {
  if (dispatches.length === 0) {
    return;
  }
  const pass = commands.beginComputePass();
  for (const { pipeline, groups, workgroups } of dispatches) {
    if (workgroups.includes(0)) {
      continue;
    }
    pass.setPipeline(pipeline);
    groups.forEach((group, index) => pass.setBindGroup(index, group));
    pass.dispatchWorkgroups(...workgroups);
  }
  pass.end();
};
