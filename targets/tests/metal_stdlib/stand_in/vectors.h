// Scalars, vectors, and what makes one of another.

#pragma once

typedef unsigned char uchar;
typedef unsigned short ushort;
typedef unsigned int uint;
typedef unsigned long ulong;
typedef _Float16 half;

constexpr half operator""h(long double value) { return static_cast<half>(value); }

// Inlined even where nothing else is: a vector is passed in registers, not through memory.
#define INLINE inline __attribute__((always_inline))

namespace metal {

using ::half;
using ::uchar;
using ::uint;
using ::ulong;
using ::ushort;

#define VECTOR(T, N) typedef T T##N __attribute__((ext_vector_type(N)));
#define VECTORS(T) VECTOR(T, 2) VECTOR(T, 3) VECTOR(T, 4)
VECTORS(char)
VECTORS(uchar)
VECTORS(short)
VECTORS(ushort)
VECTORS(int)
VECTORS(uint)
VECTORS(long)
VECTORS(ulong)
VECTORS(half)
VECTORS(float)
#undef VECTORS
#undef VECTOR

template <typename T, int N>
using vector_of = T __attribute__((ext_vector_type(N)));

// Packed vectors are aligned as their elements, and one of three takes no place for a fourth.
template <typename T>
struct packed_3 {
    T x, y, z;
    packed_3() = default;
    INLINE packed_3(vector_of<T, 3> v) : x(v.x), y(v.y), z(v.z) {}
    INLINE operator vector_of<T, 3>() const { return vector_of<T, 3>{x, y, z}; }
    INLINE T operator[](uint n) const { return n == 0 ? x : n == 1 ? y : z; }
};
#define PACKED(T)                                                                         \
    typedef T packed_##T##2 __attribute__((ext_vector_type(2), aligned(sizeof(T))));      \
    typedef packed_3<T> packed_##T##3;                                                    \
    typedef T packed_##T##4 __attribute__((ext_vector_type(4), aligned(sizeof(T))));
PACKED(char) PACKED(uchar) PACKED(short) PACKED(ushort) PACKED(int) PACKED(uint) PACKED(half) PACKED(float)
#undef PACKED

// clang compares vectors to vectors of integers as wide as the operands; Metal has vectors of bool.
template <int N>
struct bools {
    bool x, y, z, w;
    bools() = default;
    INLINE bools(bool one) : x(one), y(one), z(one), w(one) {}
    template <typename... B, typename = decltype(bool(sizeof...(B) + 2 == N))>
    INLINE bools(bool first, bool second, B... others) : x(first), y(second), z(third(others...)), w(fourth(others...)) {}
    INLINE bools(vector_of<short, N> v) { set(v); }
    INLINE bools(vector_of<int, N> v) { set(v); }
    INLINE bools(vector_of<long, N> v) { set(v); }
    INLINE bool operator[](uint n) const { return n == 0 ? x : n == 1 ? y : n == 2 ? z : w; }
    INLINE bools operator!() const { return {bits{}, !x, !y, !z, !w}; }
    // Friends, so that a comparison's result, which clang says is a vector of integers, may stand on either side.
    INLINE friend bools operator&(bools a, bools b) { return {bits{}, a.x && b.x, a.y && b.y, a.z && b.z, a.w && b.w}; }
    INLINE friend bools operator|(bools a, bools b) { return {bits{}, a.x || b.x, a.y || b.y, a.z || b.z, a.w || b.w}; }

  private:
    struct bits {};
    INLINE bools(bits, bool a, bool b, bool c, bool d) : x(a), y(b), z(c), w(d) {}
    static INLINE bool third() { return false; }
    template <typename... B> static INLINE bool third(bool b, B...) { return b; }
    static INLINE bool fourth() { return false; }
    static INLINE bool fourth(bool) { return false; }
    static INLINE bool fourth(bool, bool b) { return b; }
    template <typename V> INLINE void set(V v) {
        x = v.x != 0;
        y = v.y != 0;
        z = w = false;
        if constexpr (N > 2) z = v.z != 0;
        if constexpr (N > 3) w = v.w != 0;
    }
};
typedef bools<2> bool2;
typedef bools<3> bool3;
typedef bools<4> bool4;

// What a vector is of.
template <typename V> struct lanes { static constexpr int count = 1; typedef V type; };
template <int N> struct lanes<bools<N>> { static constexpr int count = N; typedef bool type; };
#define LANES_OF(T, N) template <> struct lanes<T##N> { static constexpr int count = N; typedef T type; };
#define LANES(T) LANES_OF(T, 2) LANES_OF(T, 3) LANES_OF(T, 4)
LANES(char) LANES(uchar) LANES(short) LANES(ushort) LANES(int) LANES(uint) LANES(long) LANES(ulong)
LANES(half) LANES(float)
#undef LANES
#undef LANES_OF

template <typename V> INLINE V every(typename lanes<V>::type one) {
    if constexpr (lanes<V>::count == 2) return V{one, one};
    else if constexpr (lanes<V>::count == 3) return V{one, one, one};
    else return V{one, one, one, one};
}

template <int N, typename P> INLINE auto lane(P part) {
    if constexpr (lanes<P>::count == 1) return part;
    else if constexpr (N == 0) return part.x;
    else if constexpr (N == 1) return part.y;
    else if constexpr (N == 2) return part.z;
    else return part.w;
}

// Lane N of parts that stand one after another.
template <int N, typename P, typename... Rest> INLINE auto lane_among(P part, Rest... rest) {
    if constexpr (N < lanes<P>::count) return lane<N>(part);
    else return lane_among<N - lanes<P>::count>(rest...);
}

// construct<float4>(a, b, c, d): parts of any arithmetic type that fill the vector exactly, or one scalar for all.
template <typename V, typename... Parts>
INLINE V construct(Parts... parts) {
    constexpr int given = (0 + ... + lanes<Parts>::count), wanted = lanes<V>::count;
    static_assert(given == wanted || (given == 1 && sizeof...(Parts) == 1),
                  "a vector is built of one scalar or of parts that fill it");
    typedef typename lanes<V>::type T;
    if constexpr (given == 1 && wanted > 1) return every<V>(T(parts)...);
    else if constexpr (given != wanted) return V{};
    else if constexpr (wanted == 2) return V{T(lane_among<0>(parts...)), T(lane_among<1>(parts...))};
    else if constexpr (wanted == 3)
        return V{T(lane_among<0>(parts...)), T(lane_among<1>(parts...)), T(lane_among<2>(parts...))};
    else
        return V{T(lane_among<0>(parts...)), T(lane_among<1>(parts...)), T(lane_among<2>(parts...)),
                 T(lane_among<3>(parts...))};
}

template <typename To, typename From>
INLINE To converted(From from) {
    static_assert(lanes<To>::count == lanes<From>::count || lanes<From>::count == 1,
                  "static_cast keeps the number of lanes");
    if constexpr (lanes<To>::count == 1 && lanes<From>::count == 1) return To(from);
    else if constexpr (lanes<To>::count == lanes<From>::count || lanes<From>::count == 1) return construct<To>(from);
    else return To{};
}

template <typename To, typename From>
INLINE To as_type(From from) {
    static_assert(sizeof(To) == sizeof(From), "as_type keeps the size");
    To to;
    if constexpr (sizeof(To) == sizeof(From)) __builtin_memcpy(&to, &from, sizeof to);
    return to;
}

}  // namespace metal
