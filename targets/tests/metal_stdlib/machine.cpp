// Runs the invocations of a kernel on one thread of the processor: each on a stack of its own where they wait for one
// another, all on one stack where they do not.
//
// Between two waits an invocation runs alone, the first to the last or the last to the first in turn, so that a missing
// barrier shows as a wrong number; threadgroups run last to first. Floats that are smaller than normal ones count as zeros,
// as they may on a GPU. Invocations that wait at different places, or for one that has ended, are an error.

#include "stand_in/machine.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#ifndef __x86_64__
#define MSL_UCONTEXT
#endif
#ifdef MSL_UCONTEXT
#include <ucontext.h>
#endif
#ifdef __x86_64__
#include <xmmintrin.h>
#endif

using msl::word;

unsigned long msl_workgroup = 0;

namespace {

constexpr unsigned long STACK_BYTES = 128 << 10;
constexpr unsigned long GUARD_BYTES = 4096;
constexpr word MOST_INVOCATIONS = 1024;
constexpr word MOST_SIMDGROUPS = MOST_INVOCATIONS / msl::simdgroup_lanes;
constexpr word MOST_VARIABLES = 32;

enum class state { ready, at_barrier, in_simdgroup, ended };

struct invocation {
#ifdef MSL_UCONTEXT
    ucontext_t context;
#else
    void* stack_pointer;
#endif
    msl::position at;
    state now;
    int line;
    word exchanges;
};

struct range {
    const unsigned char* from;
    unsigned long bytes;
};

struct {
    const msl::dispatch* dispatch;
    unsigned char* stacks;
    word held_stacks;
    invocation all[MOST_INVOCATIONS];
    invocation* current;
    bool failed;
    char message[512];
    unsigned long shared_bytes;
    range variables[MOST_VARIABLES];
    word variable_count;
    // Two of each: a lane may give its next value while others still read the last.
    alignas(64) unsigned char slots[MOST_SIMDGROUPS][2][msl::simdgroup_lanes * msl::slot_bytes];
} machine;

unsigned long product(const word* sizes) { return (unsigned long)sizes[0] * sizes[1] * sizes[2]; }

// Stacks with a page between them that nobody may touch.
bool take_stacks(word count) {
    if (machine.held_stacks >= count) return true;
    const unsigned long each = STACK_BYTES + GUARD_BYTES;
    void* taken = mmap(nullptr, each * count, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (taken == MAP_FAILED) return false;
    for (word n = 0; n < count; ++n) mprotect((char*)taken + each * n, GUARD_BYTES, PROT_NONE);
    if (machine.held_stacks) munmap(machine.stacks, each * machine.held_stacks);
    machine.stacks = (unsigned char*)taken;
    machine.held_stacks = count;
    return true;
}

void run_one(invocation& one) { machine.dispatch->what->run(one.at, *machine.dispatch->memory); }

void run_all();

// What runs on a stack: all invocations of the dispatch, or the current one.
void body() {
    if (machine.dispatch->what->waits) {
        run_one(*machine.current);
    } else {
        run_all();
    }
    machine.current->now = state::ended;
}

#ifdef MSL_UCONTEXT
ucontext_t host;

void prepare(invocation& one, unsigned char* stack) {
    getcontext(&one.context);
    one.context.uc_stack.ss_sp = stack;
    one.context.uc_stack.ss_size = STACK_BYTES;
    one.context.uc_link = &host;
    makecontext(&one.context, body, 0);
}
void resume(invocation& one) { swapcontext(&host, &one.context); }
void suspend() { swapcontext(&machine.current->context, &host); }
#else
void* host;

// Keeps what a called function must keep, on the stack that is left.
extern "C" void msl_switch(void** save, void* load);
asm(R"(
.text
.globl msl_switch
.hidden msl_switch
.type msl_switch, @function
msl_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
.size msl_switch, .-msl_switch
)");

void begin() {
    body();
    for (;;) msl_switch(&machine.current->stack_pointer, host);
}

void prepare(invocation& one, unsigned char* stack) {
    // Six registers, and where to go; a function finds its stack 8 off a multiple of 16.
    void** top = (void**)(stack + STACK_BYTES) - 3;
    *--top = (void*)begin;
    for (int n = 0; n < 6; ++n) *--top = nullptr;
    one.stack_pointer = top;
}
void resume(invocation& one) { msl_switch(&host, one.stack_pointer); }
void suspend() { msl_switch(&machine.current->stack_pointer, host); }
#endif

void say(const char* what, int line, long first, long second) {
    const word* group = machine.current->at.threadgroup_position_in_grid;
    const word* thread = machine.current->at.thread_position_in_threadgroup;
    int at = snprintf(machine.message, sizeof machine.message, "kernel `%s`, line %d, threadgroup %u,%u,%u, thread %u,%u,%u: ",
                      machine.dispatch->what->name, line, group[0], group[1], group[2], thread[0], thread[1], thread[2]);
    if (at > 0 && (unsigned long)at < sizeof machine.message) {
        snprintf(machine.message + at, sizeof machine.message - at, what, first, second);
    }
    machine.failed = true;
}

// An invocation of the workgroup that `at` is in, by its number.
void place(msl::position& at, word index) {
    const msl::dispatch& dispatch = *machine.dispatch;
    const word x = dispatch.threads[0], y = dispatch.threads[1];
    at.thread_position_in_threadgroup[0] = index % x;
    at.thread_position_in_threadgroup[1] = index / x % y;
    at.thread_position_in_threadgroup[2] = index / x / y;
    for (int n = 0; n < 3; ++n) {
        at.thread_position_in_grid[n] =
            at.threadgroup_position_in_grid[n] * dispatch.threads[n] + at.thread_position_in_threadgroup[n];
    }
    at.thread_index_in_threadgroup = index;
    at.thread_index_in_simdgroup = index % msl::simdgroup_lanes;
    at.simdgroup_index_in_threadgroup = index / msl::simdgroup_lanes;
}

msl::position in_group(unsigned long group) {
    const msl::dispatch& dispatch = *machine.dispatch;
    msl::position at{};
    at.threadgroup_position_in_grid[0] = group % dispatch.threadgroups[0];
    at.threadgroup_position_in_grid[1] = group / dispatch.threadgroups[0] % dispatch.threadgroups[1];
    at.threadgroup_position_in_grid[2] = group / dispatch.threadgroups[0] / dispatch.threadgroups[1];
    for (int n = 0; n < 3; ++n) {
        at.threads_per_threadgroup[n] = dispatch.threads[n];
        at.threadgroups_per_grid[n] = dispatch.threadgroups[n];
        at.threads_per_grid[n] = dispatch.threads[n] * dispatch.threadgroups[n];
    }
    at.threads_per_simdgroup = msl::simdgroup_lanes;
    at.simdgroups_per_threadgroup = ((word)product(dispatch.threads) + msl::simdgroup_lanes - 1) / msl::simdgroup_lanes;
    return at;
}

void begin_group() {
    ++msl_workgroup;
    machine.shared_bytes = 0;
    machine.variable_count = 0;
}

// Nobody waits: all workgroups, on the stack of the first invocation.
void run_all() {
    const unsigned long groups = product(machine.dispatch->threadgroups);
    const word threads = product(machine.dispatch->threads);
    invocation& one = machine.all[0];
    for (unsigned long group = groups; group-- > 0;) {
        begin_group();
        one.at = in_group(group);
        for (word n = 0; n < threads; ++n) {
            place(one.at, group % 2 ? threads - 1 - n : n);
            run_one(one);
        }
    }
}

// Lets the lanes of each simdgroup go on that all wait in the same place. Whether any may.
bool release_simdgroups(word threads) {
    bool any = false;
    for (word first = 0; first < threads; first += msl::simdgroup_lanes) {
        const word end = first + msl::simdgroup_lanes < threads ? first + msl::simdgroup_lanes : threads;
        bool all = true;
        for (word n = first; n < end; ++n) {
            all = all && machine.all[n].now == state::in_simdgroup && machine.all[n].line == machine.all[first].line;
        }
        for (word n = first; all && n < end; ++n) machine.all[n].now = state::ready;
        any = any || all;
    }
    return any;
}

// Lets all go on that wait at the same barrier. Whether they may; false, too, where all have ended.
bool release_barrier(word threads) {
    word ended = 0;
    for (word n = 0; n < threads; ++n) ended += machine.all[n].now == state::ended;
    if (ended == threads) return false;
    for (word n = 0; n < threads; ++n) {
        const invocation& one = machine.all[n];
        if (one.now == state::at_barrier && one.line == machine.all[0].line) continue;
        machine.current = &machine.all[n];
        // The first invocation may be the one that has ended.
        const char* what = one.now == state::ended ? "it has ended while others wait"
                           : one.now == state::in_simdgroup ? "it waits for its simdgroup, whose other threads are elsewhere"
                                                            : "it waits at a barrier while the first thread is elsewhere";
        say(what, one.line, 0, 0);
        return false;
    }
    for (word n = 0; n < threads; ++n) machine.all[n].now = state::ready;
    return true;
}

void run_group(unsigned long group, word threads) {
    begin_group();
    const msl::position at = in_group(group);
    for (word n = 0; n < threads; ++n) {
        invocation& one = machine.all[n];
        one.at = at;
        place(one.at, n);
        one.now = state::ready;
        one.line = 0;
        one.exchanges = 0;
        prepare(one, machine.stacks + (STACK_BYTES + GUARD_BYTES) * n + GUARD_BYTES);
    }
    bool backwards = group % 2;
    do {
        for (word n = 0; n < threads; ++n) {
            invocation& one = machine.all[backwards ? threads - 1 - n : n];
            if (one.now != state::ready) continue;
            machine.current = &one;
            resume(one);
            if (machine.failed) return;
        }
        backwards = !backwards;
    } while (release_simdgroups(threads) || release_barrier(threads));
}

// Flushes small floats while it lives, operands and results; halves have none that a float could not hold.
struct flushing {
#ifdef __x86_64__
    unsigned before = _mm_getcsr();
    flushing() { _mm_setcsr(before | 0x8040); }
    ~flushing() { _mm_setcsr(before); }
#endif
};

}  // namespace

const char* msl_run(const msl::dispatch* dispatch) {
    const flushing small_floats;
    machine.dispatch = dispatch;
    machine.failed = false;
    machine.current = &machine.all[0];
    machine.all[0].at = {};
    const unsigned long threads = product(dispatch->threads);
    if (threads > MOST_INVOCATIONS) return "more than 1024 threads in a threadgroup";
    if (!take_stacks(dispatch->what->waits ? threads : 1)) return "no memory for the stacks of a threadgroup";
    if (dispatch->what->waits) {
        const unsigned long groups = product(dispatch->threadgroups);
        for (unsigned long group = groups; group-- > 0 && !machine.failed;) run_group(group, threads);
    } else {
        prepare(machine.all[0], machine.stacks + GUARD_BYTES);
        resume(machine.all[0]);
    }
    return machine.failed ? machine.message : nullptr;
}

void msl_barrier(int line) {
    machine.current->now = state::at_barrier;
    machine.current->line = line;
    suspend();
}

msl::given msl_exchange(const void* value, unsigned long bytes, int line) {
    invocation& one = *machine.current;
    const word group = one.at.simdgroup_index_in_threadgroup, lane = one.at.thread_index_in_simdgroup;
    unsigned char* slots = machine.slots[group][one.exchanges++ % 2];
    memcpy(slots + lane * msl::slot_bytes, value, bytes);
    one.now = state::in_simdgroup;
    one.line = line;
    suspend();
    const word threads = product(machine.dispatch->threads), first = group * msl::simdgroup_lanes;
    const word lanes = threads - first < msl::simdgroup_lanes ? threads - first : msl::simdgroup_lanes;
    return {slots, lane, lanes};
}

void msl_poison(void* bytes, unsigned long size, unsigned long* workgroup) {
    memset(bytes, 0xff, size);
    *workgroup = msl_workgroup;
    machine.shared_bytes += (size + 15) / 16 * 16;
    if (machine.shared_bytes > machine.dispatch->shared_bytes) {
        msl_fail("threadgroup variables take %ld bytes, and the bundle says %ld", 0, (long)machine.shared_bytes,
                 machine.dispatch->shared_bytes);
    }
    if (machine.variable_count < MOST_VARIABLES) machine.variables[machine.variable_count++] = {(unsigned char*)bytes, size};
}

void msl_fail(const char* what, int line, long first, long second) {
    say(what, line, first, second);
    for (;;) suspend();
}

void msl_check_span(const void* from, unsigned long bytes, int line) {
    const unsigned char* begin = (const unsigned char*)from;
    const auto holds = [&](const void* start, unsigned long size) {
        return begin >= (const unsigned char*)start && begin + bytes <= (const unsigned char*)start + size;
    };
    const msl::bound& memory = *machine.dispatch->memory;
    for (word n = 0; n < memory.count; ++n) {
        if (holds(memory.buffers[n], memory.bytes[n])) return;
    }
    for (word n = 0; n < machine.variable_count; ++n) {
        if (holds(machine.variables[n].from, machine.variables[n].bytes)) return;
    }
    msl_fail("a matrix of %ld bytes is outside of all memory of the kernel", line, (long)bytes, 0);
}

// What clang's checks call. Each is given data that begins with the place, and one or two values.
namespace {
struct source_location {
    const char* file;
    word line, column;
};
struct type_descriptor {
    unsigned short kind, info;
    char name[1];
};
struct out_of_bounds {
    source_location place;
    const type_descriptor* array;
    const type_descriptor* index;
};
}  // namespace

#define CHECK(name, what)                                                                  \
    extern "C" [[noreturn]] void __ubsan_handle_##name##_abort(source_location* place, unsigned long first, \
                                                               unsigned long second) {     \
        msl_fail(what, (int)place->line, (long)first, (long)second);                       \
    }
CHECK(divrem_overflow, "%ld is divided by %ld")
CHECK(shift_out_of_bounds, "%ld is shifted by %ld")
CHECK(float_cast_overflow, "a float is beyond the integers that it becomes (%#lx)")
CHECK(add_overflow, "the sum of %ld and %ld overflows")
CHECK(sub_overflow, "the difference of %ld and %ld overflows")
CHECK(mul_overflow, "the product of %ld and %ld overflows")
CHECK(negate_overflow, "the negation of %ld overflows")

extern "C" [[noreturn]] void __ubsan_handle_out_of_bounds_abort(out_of_bounds* data, unsigned long index) {
    static char what[256];
    // The name is in quotes, and begins with the address space where there is one.
    const char* name = data->array->name;
    const char* space = strstr(name, "))) ");
    snprintf(what, sizeof what, "index %%ld is outside of '%.160s", space ? space + 4 : name + 1);
    msl_fail(what, (int)data->place.line, (long)index, 0);
}
