// What the threads of a threadgroup or of a simdgroup do together, and atomics.

#pragma once

#include "machine.h"
#include "math.h"

namespace metal {

#define LINE int line = __builtin_LINE()

// Barriers.
enum class mem_flags : uint { mem_none = 0, mem_device = 1, mem_threadgroup = 2, mem_texture = 4 };
INLINE mem_flags operator|(mem_flags a, mem_flags b) { return mem_flags(uint(a) | uint(b)); }
INLINE void threadgroup_barrier(mem_flags, LINE) { msl_barrier(line); }
INLINE void simdgroup_barrier(mem_flags, LINE) {
    const char nothing = 0;
    msl_exchange(&nothing, 1, line);
}

// A variable of the kernel's body in threadgroup memory: one for all threads.
template <typename T, int N>
static INLINE threadgroup T& threadgroup_variable() {
    alignas(16) static unsigned char bytes[sizeof(T)];
    static unsigned long workgroup = 0;
    if (workgroup != msl_workgroup) msl_poison(bytes, sizeof(T), &workgroup);
    return (threadgroup T&)*(threadgroup unsigned char*)bytes;
}

// Simdgroups.
template <typename T>
struct from_lanes {
    msl::given given;
    INLINE from_lanes(const T& value, int line) : given(msl_exchange(&value, sizeof(T), line)) {}
    // What a lane that is not there gives is nobody's business: ones in all bits.
    INLINE T of(uint lane) const {
        T value;
        if (lane < given.lanes) __builtin_memcpy(&value, given.slots + lane * msl::slot_bytes, sizeof(T));
        else __builtin_memset(&value, 0xff, sizeof(T));
        return value;
    }
};
template <typename T, typename Two>
T simd_reduced(T value, Two two, uint first, bool is_prefix, bool inclusive, T start, int line) {
    const from_lanes<T> all(value, line);
    const uint end = is_prefix ? all.given.lane + inclusive : all.given.lanes;
    T result = start;
    for (uint n = first; n < end; ++n) result = n == 0 && first == 0 && !is_prefix ? all.of(0) : two(result, all.of(n));
    return result;
}
#define REDUCED(name, T, combined) INLINE T name(T value, LINE) { \
        return simd_reduced(value, [](T a, T b) -> T { return T(combined); }, 0, false, false, T{}, line); \
    }
#define PREFIXED(name, T, combined, inclusive, start) INLINE T name(T value, LINE) { \
        return simd_reduced(value, [](T a, T b) -> T { return T(combined); }, 0, true, inclusive, T(start), line); \
    }
#define OF_LANE(name, T, chosen) INLINE T name(T value, ushort by, LINE) { \
        const from_lanes<T> all(value, line); \
        const uint lane = all.given.lane; \
        (void)lane; \
        return all.of(chosen); \
    }
#define SIMD(T) REDUCED(simd_sum, T, a + b) REDUCED(simd_product, T, a * b) REDUCED(simd_max, T, max(a, b)) \
    REDUCED(simd_min, T, min(a, b)) \
    PREFIXED(simd_prefix_exclusive_sum, T, a + b, false, 0) PREFIXED(simd_prefix_inclusive_sum, T, a + b, true, 0) \
    PREFIXED(simd_prefix_exclusive_product, T, a * b, false, 1) PREFIXED(simd_prefix_inclusive_product, T, a * b, true, 1) \
    INLINE T simd_broadcast_first(T value, LINE) { return from_lanes<T>(value, line).of(0); } \
    OF_LANE(simd_broadcast, T, by) OF_LANE(simd_shuffle, T, by) OF_LANE(simd_shuffle_down, T, lane + by) \
    OF_LANE(simd_shuffle_up, T, lane - by) OF_LANE(simd_shuffle_xor, T, lane ^ by) \
    OF_LANE(quad_broadcast, T, (lane & ~3u) + by) OF_LANE(quad_shuffle_xor, T, lane ^ by)
FOR_NUMBERS(SIMD)
#define SIMD_BITS(T) REDUCED(simd_and, T, a & b) REDUCED(simd_or, T, a | b) REDUCED(simd_xor, T, a ^ b)
FOR_INTS(SIMD_BITS)
struct simd_vote {
    typedef ulong vote_t;
    vote_t held;
    INLINE operator vote_t() const { return held; }
};
inline simd_vote simd_ballot(bool value, LINE) {
    const from_lanes<bool> all(value, line);
    simd_vote vote{0};
    for (uint n = 0; n < all.given.lanes; ++n) vote.held |= ulong(all.of(n)) << n;
    return vote;
}
inline bool simd_any(bool value, LINE) { return simd_ballot(value, line) != 0; }
inline bool simd_all(bool value, LINE) { return simd_ballot(!value, line) == 0; }

// Cooperative matrices, 8x8 only: row-major, the whole of it in each lane.
template <typename T, int Columns, int Rows>
struct simdgroup_matrix {
    static_assert(Columns == 8 && Rows == 8, "simdgroup matrices are 8x8");
    T held[64];
    // Nothing says what a new one is.
    INLINE simdgroup_matrix() { for (int n = 0; n < 64; ++n) held[n] = T(__builtin_nanf("")); }
};
template <typename T, int Columns, int Rows>
simdgroup_matrix<T, Columns, Rows> make_filled_simdgroup_matrix(T value) {
    simdgroup_matrix<T, Columns, Rows> filled;
    for (int n = 0; n < 64; ++n) filled.held[n] = value;
    return filled;
}
typedef simdgroup_matrix<float, 8, 8> simdgroup_float8x8;
typedef simdgroup_matrix<half, 8, 8> simdgroup_half8x8;

// Where each element is; all lanes have to mean the same place.
struct matrix_place {
    ulong begin, row, column;
    INLINE matrix_place(ulong stride, ulong2 origin, bool transposed)
        : begin(transposed ? origin.x * stride + origin.y : origin.y * stride + origin.x),
          row(transposed ? 1 : stride), column(transposed ? stride : 1) {}
    INLINE ulong at(int n) const { return begin + ulong(n / 8) * row + ulong(n % 8) * column; }
    template <typename T> void check(const T* from, int line) const {
        const from_lanes<ulong> all(ulong(from + begin) ^ row << 48 ^ column << 56, line);
        for (uint n = 1; n < all.given.lanes; ++n) {
            if (all.of(n) != all.of(0)) msl_fail("threads 0 and %ld of a simdgroup mean different matrices", line, n, 0);
        }
        if (all.given.lanes != msl::simdgroup_lanes) msl_fail("a simdgroup with a matrix has %ld threads", line, all.given.lanes, 0);
        msl_check_span(from + begin, (7 * row + 7 * column + 1) * sizeof(T), line);
    }
};
#define MATRIX_IN(space)                                                                                            \
    template <typename T>                                                                                           \
    void simdgroup_load(simdgroup_matrix<T, 8, 8>& to, const space T* from, ulong stride = 8, ulong2 origin = 0,    \
                        bool transposed = false, LINE) {                                                            \
        const matrix_place place(stride, origin, transposed);                                                       \
        place.check((const T*)from, line);                                                                          \
        for (int n = 0; n < 64; ++n) to.held[n] = ((const T*)from)[place.at(n)];                                    \
        simdgroup_barrier(mem_flags::mem_none, line);                                                               \
    }                                                                                                               \
    template <typename T>                                                                                           \
    void simdgroup_store(simdgroup_matrix<T, 8, 8> from, space T* to, ulong stride = 8, ulong2 origin = 0,          \
                         bool transposed = false, LINE) {                                                           \
        const matrix_place place(stride, origin, transposed);                                                       \
        place.check((const T*)to, line);                                                                            \
        for (int n = 0; n < 64; ++n) ((T*)to)[place.at(n)] = from.held[n];                                          \
        simdgroup_barrier(mem_flags::mem_none, line);                                                               \
    }
MATRIX_IN(device)
MATRIX_IN(threadgroup)
// Sums are of the result's type.
template <typename D, typename AB, typename C>
void simdgroup_multiply_accumulate(simdgroup_matrix<D, 8, 8>& to, simdgroup_matrix<AB, 8, 8> a, simdgroup_matrix<AB, 8, 8> b,
                                   simdgroup_matrix<C, 8, 8> c) {
    for (int row = 0; row < 8; ++row) {
        for (int column = 0; column < 8; ++column) {
            D sum = D(c.held[row * 8 + column]);
            for (int k = 0; k < 8; ++k) sum += D(a.held[row * 8 + k]) * D(b.held[k * 8 + column]);
            to.held[row * 8 + column] = sum;
        }
    }
}
template <typename D, typename AB>
void simdgroup_multiply(simdgroup_matrix<D, 8, 8>& to, simdgroup_matrix<AB, 8, 8> a, simdgroup_matrix<AB, 8, 8> b) {
    simdgroup_multiply_accumulate(to, a, b, make_filled_simdgroup_matrix<D, 8, 8>(D(0)));
}

// Atomics: threads take turns only where they wait, so that nothing comes between.
enum memory_order { memory_order_relaxed };
template <typename T> struct atomic { T value; };
typedef atomic<int> atomic_int;
typedef atomic<uint> atomic_uint;
#define FETCH(space, name, next)                                                                       \
    template <typename T> T atomic_##name##_explicit(space atomic<T>* at, T by, memory_order) {        \
        const T old = at->value;                                                                       \
        at->value = next;                                                                              \
        return old;                                                                                    \
    }
#define ATOMIC_IN(space)                                                                               \
    template <typename T> T atomic_load_explicit(const space atomic<T>* at, memory_order) { return at->value; } \
    template <typename T> void atomic_store_explicit(space atomic<T>* at, T by, memory_order) { at->value = by; } \
    FETCH(space, exchange, by) FETCH(space, fetch_add, T(uint(old) + uint(by)))                        \
    FETCH(space, fetch_sub, T(uint(old) - uint(by))) FETCH(space, fetch_max, max(old, by))             \
    FETCH(space, fetch_min, min(old, by)) FETCH(space, fetch_and, old & by)                            \
    FETCH(space, fetch_or, old | by) FETCH(space, fetch_xor, old ^ by)
ATOMIC_IN(device)
ATOMIC_IN(threadgroup)

}  // namespace metal
