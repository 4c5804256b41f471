// What the CUDA kernels share: storage types, their state, and the few things that differ between compilers.
//
// NVRTC compiles these files as they are, without any header. g++ compiles the same text after tests/kernels/shim/shim.h,
// which stands in for what the first branch defines and for CUDA's own words.

#ifdef __CUDACC__
#define SHARED_MEMORY(name) extern __shared__ __align__(16) unsigned char name[]
#define KERNEL(name, threads, Argument) \
    extern "C" __global__ void __launch_bounds__(threads) name(const __grid_constant__ Argument call)

__device__ __forceinline__ float half_to_float(unsigned short bits) {
    float value;
    asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(bits));
    return value;
}

__device__ __forceinline__ unsigned short float_to_half(float value) {
    unsigned short bits;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(value));
    return bits;
}

// Hides from the compiler that a value stays the same, so that what follows from it is computed again, not kept.
__device__ __forceinline__ void forget(int& value) { asm volatile("" : "+r"(value)); }

// To within a unit in the last place.
__device__ __forceinline__ float reciprocal(float value) {
    float result;
    asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(value));
    return result;
}
#endif

__device__ __forceinline__ double reciprocal(double value) { return 1.0 / value; }

// Storage types: what lies in memory (Stored), what is computed with (State), and the way between them.
struct Float {
    using Stored = float;
    using State = float;
    static __device__ __forceinline__ State open(Stored stored) { return stored; }
    static __device__ __forceinline__ Stored close(State value) { return value; }
};

struct Double {
    using Stored = double;
    using State = double;
    static __device__ __forceinline__ State open(Stored stored) { return stored; }
    static __device__ __forceinline__ Stored close(State value) { return value; }
};

struct Half {
    using Stored = unsigned short;
    using State = float;
    static __device__ __forceinline__ State open(Stored stored) { return half_to_float(stored); }
    static __device__ __forceinline__ Stored close(State value) { return float_to_half(value); }
};

struct Bfloat {
    using Stored = unsigned short;
    using State = float;
    static __device__ __forceinline__ State open(Stored stored) {
        return __uint_as_float(static_cast<unsigned>(stored) << 16);
    }
    // To the nearest, ties to even; a NaN stays one whatever its low bits were.
    static __device__ __forceinline__ Stored close(State value) {
        const unsigned bits = __float_as_uint(value);
        if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<Stored>(bits >> 16 | 0x40u);
        return static_cast<Stored>((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
    }
};

// Inputs are never written while a kernel runs, so they may come through the read-only cache.
template <class Stored>
__device__ __forceinline__ Stored input(const Stored* address) {
    return __ldg(address);
}
