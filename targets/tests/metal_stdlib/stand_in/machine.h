// What compiled kernels and the machine that runs them (machine.cpp) know of each other.

#pragma once

namespace msl {

typedef unsigned int word;

// A texture as the host hands it over: rows of texels of four channels, without gaps.
struct texture {
    unsigned char* texels;
    word extent[3];
    word element;  // 0 float, 1 half, 2 int, 3 uint
};

// Where an invocation is, under Metal's names.
struct position {
    word thread_position_in_grid[3];
    word thread_position_in_threadgroup[3];
    word threadgroup_position_in_grid[3];
    word threads_per_threadgroup[3];
    word threadgroups_per_grid[3];
    word threads_per_grid[3];
    word thread_index_in_threadgroup;
    word thread_index_in_simdgroup;
    word simdgroup_index_in_threadgroup;
    word threads_per_simdgroup;
    word simdgroups_per_threadgroup;
};

// What a dispatch binds, by index, with the bytes of each buffer's range.
struct bound {
    void* const* buffers;
    const unsigned long* bytes;
    word count;
    const texture* const* textures;
};

typedef void (*enter)(const position&, const bound&);

// An argument of a kernel: what its text says of it.
struct argument {
    word kind;  // 0 buffer, 1 texture2d, 2 texture2d_array, 3 texture3d
    word index;
    unsigned long bytes;  // of a buffer
    word element;         // of a texture: 0 floats, 1 int, 2 uint
    word written;
};

struct entry {
    const char* name;
    enter run;
    const argument* arguments;
    word count;
    word waits;  // whether invocations wait for one another
};

// One dispatch.
struct dispatch {
    const entry* what;
    const bound* memory;
    word threadgroups[3];
    word threads[3];
    word shared_bytes;
};

// What all lanes of a simdgroup have given.
struct given {
    const unsigned char* slots;  // `slot_bytes` apart
    word lane;
    word lanes;
};
constexpr word slot_bytes = 64;
constexpr word simdgroup_lanes = 32;

}  // namespace msl

extern "C" {
// Runs a dispatch; what went wrong, or null. One at a time.
const char* msl_run(const msl::dispatch*);
void msl_barrier(int line);
// Waits for the lanes of a simdgroup and shows what each has given.
msl::given msl_exchange(const void* value, unsigned long bytes, int line);
// Threadgroup memory that a workgroup sees for the first time: filled with ones, so that nobody relies on zeros.
void msl_poison(void* bytes, unsigned long size, unsigned long* workgroup);
extern unsigned long msl_workgroup;
// Gives the dispatch up.
[[noreturn]] void msl_fail(const char* what, int line, long first, long second);
// Gives it up where bytes are in no bound range and in no threadgroup memory.
void msl_check_span(const void* from, unsigned long bytes, int line);
}
