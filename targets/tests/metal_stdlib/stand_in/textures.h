// Textures of four channels, read and written at whole texels.

#pragma once

#include "machine.h"
#include "vectors.h"

namespace metal {

enum class access { sample, read, write, read_write };
template <typename T> struct texel;
template <> struct texel<float> { typedef float4 type; };
template <> struct texel<half> { typedef half4 type; };
template <> struct texel<int> { typedef int4 type; };
template <> struct texel<uint> { typedef uint4 type; };

#define LINE int line = __builtin_LINE()

template <typename T>
struct held_texture {
    typedef typename texel<T>::type pixel;
    const msl::texture* held;

  protected:
    // A place outside is a mistake of the kernel: Metal says nothing of what is read there.
    INLINE unsigned char* at(uint x, uint y, uint z, uint level, uint texel_bytes, int line) const {
        const msl::word* extent = held->extent;
        if (x >= extent[0] || y >= extent[1] || z >= extent[2] || level != 0) {
            msl_fail("texel %ld of its row, row %ld is outside of the texture", line, x, ulong(z) * extent[1] + y);
        }
        return held->texels + ((ulong(z) * extent[1] + y) * extent[0] + x) * texel_bytes;
    }
    INLINE pixel load(uint x, uint y, uint z, uint level, int line) const {
        if (held->element == 1) {
            half4 found;
            __builtin_memcpy(&found, at(x, y, z, level, 8, line), 8);
            return __builtin_convertvector(found, pixel);
        }
        // Whole numbers are of the kernel's type, which the host has made sure of; floats are converted.
        typedef typename texel<float>::type floats;
        if constexpr (sizeof(T) == 4) {
            pixel found;
            __builtin_memcpy(&found, at(x, y, z, level, 16, line), 16);
            return found;
        } else {
            floats found;
            __builtin_memcpy(&found, at(x, y, z, level, 16, line), 16);
            return __builtin_convertvector(found, pixel);
        }
    }
    INLINE void store(pixel value, uint x, uint y, uint z, uint level, int line) const {
        if (held->element == 1) {
            const half4 stored = __builtin_convertvector(value, half4);
            __builtin_memcpy(at(x, y, z, level, 8, line), &stored, 8);
        } else if constexpr (sizeof(T) == 4) {
            __builtin_memcpy(at(x, y, z, level, 16, line), &value, 16);
        } else {
            const float4 stored = __builtin_convertvector(value, float4);
            __builtin_memcpy(at(x, y, z, level, 16, line), &stored, 16);
        }
    }
    template <access A> static INLINE void may_read() { static_assert(A != access::write, "the texture is only written"); }
    template <access A> static INLINE void may_write() {
        static_assert(A == access::write || A == access::read_write, "the texture is only read");
    }
};

template <typename T, access A = access::sample>
struct texture2d : held_texture<T> {
    typedef typename texel<T>::type pixel;
    INLINE uint get_width(uint = 0) const { return this->held->extent[0]; }
    INLINE uint get_height(uint = 0) const { return this->held->extent[1]; }
    INLINE pixel read(uint2 at, uint level = 0, LINE) const {
        this->template may_read<A>();
        return this->load(at.x, at.y, 0, level, line);
    }
    INLINE void write(pixel value, uint2 at, uint level = 0, LINE) const {
        this->template may_write<A>();
        this->store(value, at.x, at.y, 0, level, line);
    }
};
template <typename T, access A = access::sample>
struct texture2d_array : held_texture<T> {
    typedef typename texel<T>::type pixel;
    INLINE uint get_width(uint = 0) const { return this->held->extent[0]; }
    INLINE uint get_height(uint = 0) const { return this->held->extent[1]; }
    INLINE uint get_array_size() const { return this->held->extent[2]; }
    INLINE pixel read(uint2 at, uint layer, uint level = 0, LINE) const {
        this->template may_read<A>();
        return this->load(at.x, at.y, layer, level, line);
    }
    INLINE void write(pixel value, uint2 at, uint layer, uint level = 0, LINE) const {
        this->template may_write<A>();
        this->store(value, at.x, at.y, layer, level, line);
    }
};
template <typename T, access A = access::sample>
struct texture3d : held_texture<T> {
    typedef typename texel<T>::type pixel;
    INLINE uint get_width(uint = 0) const { return this->held->extent[0]; }
    INLINE uint get_height(uint = 0) const { return this->held->extent[1]; }
    INLINE uint get_depth(uint = 0) const { return this->held->extent[2]; }
    INLINE pixel read(uint3 at, uint level = 0, LINE) const {
        this->template may_read<A>();
        return this->load(at.x, at.y, at.z, level, line);
    }
    INLINE void write(pixel value, uint3 at, uint level = 0, LINE) const {
        this->template may_write<A>();
        this->store(value, at.x, at.y, at.z, level, line);
    }
};

// What an argument is, as the host counts it.
template <typename A> struct described;
#define DESCRIBED(kind, number)                                                                    \
    template <typename T, access A> struct described<kind<T, A>> {                                 \
        static constexpr msl::argument as(msl::word index) {                                       \
            constexpr msl::word element = sizeof(T) == 2 ? 0 : T(0.5f) != T(0) ? 0 : T(-1) < T(0) ? 1 : 2; \
            return {number, index, 0, element, A == access::write || A == access::read_write};     \
        }                                                                                          \
    };
DESCRIBED(texture2d, 1) DESCRIBED(texture2d_array, 2) DESCRIBED(texture3d, 3)

}  // namespace metal
