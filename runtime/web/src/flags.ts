/** WebGPU's numbers, which are globals in a browser only and in no type library. */

export const BUFFER = { MAP_READ: 1, COPY_SRC: 4, COPY_DST: 8, UNIFORM: 64, STORAGE: 128 } as const;
export const TEXTURE = { COPY_DST: 2, TEXTURE_BINDING: 4, STORAGE_BINDING: 8 } as const;
export const MAP_MODE_READ = 1;
export const STAGE_COMPUTE = 4;
