// Functions of numbers, with the results that Metal's specification gives them in the safe math mode.

#pragma once

#include "vectors.h"

namespace metal {

// Functions are overloads and not templates, so that `max(x, 0)` takes the type of x. Those of vectors go lane by lane.
#define EACH_1(f, V) INLINE V##2 f(V##2 a) { return V##2{f(a.x), f(a.y)}; } \
    INLINE V##3 f(V##3 a) { return V##3{f(a.x), f(a.y), f(a.z)}; } \
    INLINE V##4 f(V##4 a) { return V##4{f(a.x), f(a.y), f(a.z), f(a.w)}; }
#define EACH_2(f, V) INLINE V##2 f(V##2 a, V##2 b) { return V##2{f(a.x, b.x), f(a.y, b.y)}; } \
    INLINE V##3 f(V##3 a, V##3 b) { return V##3{f(a.x, b.x), f(a.y, b.y), f(a.z, b.z)}; } \
    INLINE V##4 f(V##4 a, V##4 b) { return V##4{f(a.x, b.x), f(a.y, b.y), f(a.z, b.z), f(a.w, b.w)}; }
#define EACH_3(f, V) INLINE V##2 f(V##2 a, V##2 b, V##2 c) { return V##2{f(a.x, b.x, c.x), f(a.y, b.y, c.y)}; } \
    INLINE V##3 f(V##3 a, V##3 b, V##3 c) { return V##3{f(a.x, b.x, c.x), f(a.y, b.y, c.y), f(a.z, b.z, c.z)}; } \
    INLINE V##4 f(V##4 a, V##4 b, V##4 c) { \
        return V##4{f(a.x, b.x, c.x), f(a.y, b.y, c.y), f(a.z, b.z, c.z), f(a.w, b.w, c.w)}; \
    }

// Halves are computed with as floats and rounded once.
#define FLOAT_1(f, value) INLINE float f(float a) { return value; } INLINE half f(half a) { return half(f(float(a))); } \
    EACH_1(f, float) EACH_1(f, half)
#define FLOAT_2(f, value) INLINE float f(float a, float b) { return value; } \
    INLINE half f(half a, half b) { return half(f(float(a), float(b))); } EACH_2(f, float) EACH_2(f, half)
#define FLOAT_3(f, value) INLINE float f(float a, float b, float c) { return value; } \
    INLINE half f(half a, half b, half c) { return half(f(float(a), float(b), float(c))); } EACH_3(f, float) EACH_3(f, half)

FLOAT_1(acos, __builtin_acosf(a)) FLOAT_1(acosh, __builtin_acoshf(a)) FLOAT_1(asin, __builtin_asinf(a))
FLOAT_1(asinh, __builtin_asinhf(a)) FLOAT_1(atan, __builtin_atanf(a)) FLOAT_1(atanh, __builtin_atanhf(a))
FLOAT_1(ceil, __builtin_ceilf(a)) FLOAT_1(cos, __builtin_cosf(a)) FLOAT_1(cosh, __builtin_coshf(a))
FLOAT_1(exp, __builtin_expf(a)) FLOAT_1(exp2, __builtin_exp2f(a)) FLOAT_1(fabs, __builtin_fabsf(a))
FLOAT_1(floor, __builtin_floorf(a)) FLOAT_1(log, __builtin_logf(a)) FLOAT_1(log2, __builtin_log2f(a))
FLOAT_1(rint, __builtin_rintf(a)) FLOAT_1(round, __builtin_roundf(a)) FLOAT_1(rsqrt, 1.0f / __builtin_sqrtf(a))
FLOAT_1(sin, __builtin_sinf(a)) FLOAT_1(sinh, __builtin_sinhf(a)) FLOAT_1(sqrt, __builtin_sqrtf(a))
FLOAT_1(tan, __builtin_tanf(a)) FLOAT_1(tanh, __builtin_tanhf(a)) FLOAT_1(trunc, __builtin_truncf(a))
// Zeros keep their sign, and the sign of no number is zero.
FLOAT_1(sign, a > 0 ? 1.0f : a < 0 ? -1.0f : a == 0 ? a : 0.0f)
// Below one, also for the negative number next to zero.
FLOAT_1(fract, a - __builtin_floorf(a) < 1.0f ? a - __builtin_floorf(a) : 0x1.fffffep-1f)
FLOAT_2(atan2, __builtin_atan2f(a, b)) FLOAT_2(fmod, __builtin_fmodf(a, b))
FLOAT_2(pow, __builtin_powf(a, b)) FLOAT_2(powr, a < 0 ? __builtin_nanf("") : __builtin_powf(a, b))
FLOAT_2(step, b < a ? 0.0f : 1.0f)
FLOAT_3(fma, __builtin_fmaf(a, b, c)) FLOAT_3(mix, a + (b - a) * c)

// Of a number and no number, the number.
#define EXTREMES(T) INLINE T max(T a, T b) { return __builtin_elementwise_max(a, b); } \
    INLINE T min(T a, T b) { return __builtin_elementwise_min(a, b); }
#define EXTREMES_OF(V) EXTREMES(V) EXTREMES(V##2) EXTREMES(V##3) EXTREMES(V##4)
EXTREMES_OF(float) EXTREMES_OF(int) EXTREMES_OF(uint) EXTREMES_OF(short) EXTREMES_OF(ushort)
EXTREMES_OF(long) EXTREMES_OF(ulong)
INLINE half max(half a, half b) { return half(max(float(a), float(b))); }
INLINE half min(half a, half b) { return half(min(float(a), float(b))); }
EACH_2(max, half) EACH_2(min, half)
#define FLOAT_EXTREMES(T) INLINE T fmax(T a, T b) { return max(a, b); } INLINE T fmin(T a, T b) { return min(a, b); } \
    INLINE T saturate(T a) { return min(max(a, T(0)), T(1)); }
#define FLOAT_EXTREMES_OF(V) FLOAT_EXTREMES(V) FLOAT_EXTREMES(V##2) FLOAT_EXTREMES(V##3) FLOAT_EXTREMES(V##4)
FLOAT_EXTREMES_OF(float) FLOAT_EXTREMES_OF(half)
FLOAT_3(smoothstep, (saturate((c - a) / (b - a)) * saturate((c - a) / (b - a)) * (3 - 2 * saturate((c - a) / (b - a)))))

#define CLAMP(T) INLINE T clamp(T a, T least, T most) { return min(max(a, least), most); }
#define FOR_VECTOR(kind, T) kind(T) kind(T##2) kind(T##3) kind(T##4)
#define FOR_INTS(kind) FOR_VECTOR(kind, int) FOR_VECTOR(kind, uint) FOR_VECTOR(kind, short) FOR_VECTOR(kind, ushort) \
    FOR_VECTOR(kind, long) FOR_VECTOR(kind, ulong)
#define FOR_NUMBERS(kind) FOR_VECTOR(kind, float) FOR_VECTOR(kind, half) FOR_INTS(kind)
FOR_NUMBERS(CLAMP)

INLINE float abs(float a) { return __builtin_fabsf(a); }
INLINE half abs(half a) { return half(__builtin_fabsf(a)); }
// The least number stays what it is.
#define SIGNED_ABS(T, U) INLINE T abs(T a) { return a < 0 ? T(-U(a)) : a; } INLINE U abs(U a) { return a; }
SIGNED_ABS(int, uint) SIGNED_ABS(short, ushort) SIGNED_ABS(long, ulong)
#define ABS_EACH(V) EACH_1(abs, V)
ABS_EACH(float) ABS_EACH(half) ABS_EACH(int) ABS_EACH(uint) ABS_EACH(short) ABS_EACH(ushort) ABS_EACH(long) ABS_EACH(ulong)

// Bits of integers of either sign, counted in the unsigned ones.
#define BITS(T, U)                                                                                           \
    INLINE T popcount(T a) { return T(__builtin_popcountll(U(a))); }                                         \
    INLINE T clz(T a) { return T(U(a) ? __builtin_clzll(U(a)) - (64 - 8 * int(sizeof a)) : 8 * int(sizeof a)); } \
    INLINE T ctz(T a) { return T(U(a) ? __builtin_ctzll(U(a)) : 8 * int(sizeof a)); }                        \
    INLINE T reverse_bits(T a) { return T(U(__builtin_bitreverse64(U(a)) >> (64 - 8 * int(sizeof a)))); }    \
    INLINE T mulhi(T a, T b) { return T((__int128(a) * __int128(b)) >> (8 * int(sizeof a))); }               \
    INLINE T insert_bits(T base, T add, uint offset, uint bits) {                                            \
        U mask = bits >= 8 * sizeof(T) ? U(~U(0)) : U(((U(1) << bits) - 1) << offset);                       \
        return bits == 0 ? base : T((U(base) & U(~mask)) | ((U(add) << offset) & mask));                     \
    }                                                                                                        \
    INLINE T extract_bits(T a, uint offset, uint bits) {                                                     \
        const int unused = 8 * int(sizeof a) - int(bits);                                                    \
        return bits == 0 ? T(0) : T(T(U(U(a) << (unused - int(offset)))) >> unused);                         \
    }
BITS(int, uint) BITS(uint, uint) BITS(short, ushort) BITS(ushort, ushort) BITS(long, ulong) BITS(ulong, ulong)
#define EACH_FIELDS(V)                                                                                       \
    INLINE V##2 extract_bits(V##2 a, uint o, uint n) { return V##2{extract_bits(a.x, o, n), extract_bits(a.y, o, n)}; } \
    INLINE V##3 extract_bits(V##3 a, uint o, uint n) {                                                       \
        return V##3{extract_bits(a.x, o, n), extract_bits(a.y, o, n), extract_bits(a.z, o, n)};              \
    }                                                                                                        \
    INLINE V##4 extract_bits(V##4 a, uint o, uint n) {                                                       \
        return V##4{extract_bits(a.x, o, n), extract_bits(a.y, o, n), extract_bits(a.z, o, n), extract_bits(a.w, o, n)}; \
    }                                                                                                        \
    INLINE V##2 insert_bits(V##2 a, V##2 b, uint o, uint n) {                                                \
        return V##2{insert_bits(a.x, b.x, o, n), insert_bits(a.y, b.y, o, n)};                               \
    }                                                                                                        \
    INLINE V##3 insert_bits(V##3 a, V##3 b, uint o, uint n) {                                                \
        return V##3{insert_bits(a.x, b.x, o, n), insert_bits(a.y, b.y, o, n), insert_bits(a.z, b.z, o, n)};  \
    }                                                                                                        \
    INLINE V##4 insert_bits(V##4 a, V##4 b, uint o, uint n) {                                                \
        return V##4{insert_bits(a.x, b.x, o, n), insert_bits(a.y, b.y, o, n), insert_bits(a.z, b.z, o, n),   \
                    insert_bits(a.w, b.w, o, n)};                                                            \
    }
#define EACH_BITS(V) EACH_1(popcount, V) EACH_1(clz, V) EACH_1(ctz, V) EACH_1(reverse_bits, V) EACH_2(mulhi, V) EACH_FIELDS(V)
EACH_BITS(int) EACH_BITS(uint) EACH_BITS(short) EACH_BITS(ushort) EACH_BITS(long) EACH_BITS(ulong)

#define SELECTIONS(T) INLINE T select(T a, T b, bool c) { return c ? b : a; } \
    INLINE T##2 select(T##2 a, T##2 b, bool2 c) { return T##2{c.x ? b.x : a.x, c.y ? b.y : a.y}; } \
    INLINE T##3 select(T##3 a, T##3 b, bool3 c) { return T##3{c.x ? b.x : a.x, c.y ? b.y : a.y, c.z ? b.z : a.z}; } \
    INLINE T##4 select(T##4 a, T##4 b, bool4 c) { \
        return T##4{c.x ? b.x : a.x, c.y ? b.y : a.y, c.z ? b.z : a.z, c.w ? b.w : a.w}; \
    }
SELECTIONS(float) SELECTIONS(half) SELECTIONS(int) SELECTIONS(uint)
#define DOTS(T) INLINE T dot(T##2 a, T##2 b) { return T(a.x * b.x + a.y * b.y); } \
    INLINE T dot(T##3 a, T##3 b) { return T(a.x * b.x + a.y * b.y + a.z * b.z); } \
    INLINE T dot(T##4 a, T##4 b) { return T(a.x * b.x + a.y * b.y + a.z * b.z + a.w * b.w); } \
    INLINE T length(T##2 a) { return sqrt(dot(a, a)); } INLINE T length(T##3 a) { return sqrt(dot(a, a)); } \
    INLINE T length(T##4 a) { return sqrt(dot(a, a)); }
DOTS(float) DOTS(half)
#define TEST(f, T, value) INLINE bool f(T a) { return value; } INLINE bool2 f(T##2 a) { return {f(a.x), f(a.y)}; } \
    INLINE bool3 f(T##3 a) { return {f(a.x), f(a.y), f(a.z)}; } \
    INLINE bool4 f(T##4 a) { return {f(a.x), f(a.y), f(a.z), f(a.w)}; }
TEST(isnan, float, a != a) TEST(isnan, half, a != a)
TEST(isinf, float, __builtin_fabsf(a) == __builtin_inff()) TEST(isinf, half, __builtin_fabsf(a) == __builtin_inff())
INLINE bool any(bool2 a) { return a.x || a.y; }
INLINE bool any(bool3 a) { return a.x || a.y || a.z; }
INLINE bool any(bool4 a) { return a.x || a.y || a.z || a.w; }
INLINE bool all(bool2 a) { return a.x && a.y; }
INLINE bool all(bool3 a) { return a.x && a.y && a.z; }
INLINE bool all(bool4 a) { return a.x && a.y && a.z && a.w; }

// Fixed-point numbers side by side in a word, the first in the lowest bits.
INLINE uint unorm_bits(float a, float most) { return uint(rint(saturate(a) * most)); }
INLINE uint snorm_bits(float a, float most) { return uint(int(rint(clamp(a == a ? a : 0.0f, -1.0f, 1.0f) * most))); }
INLINE float snorm_value(int bits, float most) { return max(float(bits) / most, -1.0f); }
INLINE uint pack_float_to_unorm4x8(float4 a) {
    return unorm_bits(a.x, 255) | unorm_bits(a.y, 255) << 8 | unorm_bits(a.z, 255) << 16 | unorm_bits(a.w, 255) << 24;
}
INLINE uint pack_float_to_snorm4x8(float4 a) {
    return (snorm_bits(a.x, 127) & 255) | (snorm_bits(a.y, 127) & 255) << 8 | (snorm_bits(a.z, 127) & 255) << 16 |
           (snorm_bits(a.w, 127) & 255) << 24;
}
INLINE uint pack_float_to_unorm2x16(float2 a) { return unorm_bits(a.x, 65535) | unorm_bits(a.y, 65535) << 16; }
INLINE uint pack_float_to_snorm2x16(float2 a) {
    return (snorm_bits(a.x, 32767) & 65535) | (snorm_bits(a.y, 32767) & 65535) << 16;
}
INLINE float4 unpack_unorm4x8_to_float(uint a) {
    return float4{float(a & 255), float(a >> 8 & 255), float(a >> 16 & 255), float(a >> 24)} / 255.0f;
}
INLINE float2 unpack_unorm2x16_to_float(uint a) { return float2{float(a & 65535), float(a >> 16)} / 65535.0f; }
INLINE float4 unpack_snorm4x8_to_float(uint a) {
    return float4{snorm_value(char(a), 127), snorm_value(char(a >> 8), 127), snorm_value(char(a >> 16), 127),
                  snorm_value(char(a >> 24), 127)};
}
INLINE float2 unpack_snorm2x16_to_float(uint a) {
    return float2{snorm_value(short(a), 32767), snorm_value(short(a >> 16), 32767)};
}

}  // namespace metal
