// The words in which kernels are written. `real` is the type of a program's real numbers, `float` or `double`. NVRTC has
// no headers, and needs none: what is used stands here. Another compiler finds the words of CUDA in a header of its own.
#ifdef __CUDACC_RTC__
typedef signed int int32_t;
typedef unsigned char uint8_t;
typedef unsigned short uint16_t;
typedef unsigned int uint32_t;
typedef signed long long int64_t;
typedef unsigned long long uint64_t;
#define INFINITY __int_as_float(0x7f800000)
#define NAN __int_as_float(0x7fc00000)
#define DYNAMIC_SHARED(name) extern __shared__ __align__(16) unsigned char name[]
#else
#include "host.h"
#endif

#define INLINE static __device__ __forceinline__
#define INLINE_MEMBER __device__ __forceinline__
#define KERNEL(...) extern "C" __global__ void __launch_bounds__(__VA_ARGS__)
#define ALL_LANES 0xffffffffu

// What is multiplied and added with one rounding says so; nothing else is.
INLINE float fma_(float a, float b, float c) { return __fmaf_rn(a, b, c); }
INLINE double fma_(double a, double b, double c) { return __fma_rn(a, b, c); }
INLINE float root(float x) { return __fsqrt_rn(x); }
INLINE double root(double x) { return __dsqrt_rn(x); }

// An integer part: 0 for NaN, the nearest index for what lies outside.
INLINE uint32_t to_index(float x) { return __float2uint_rz(x); }
INLINE uint32_t to_index(double x) { return __double2uint_rz(x); }

INLINE real max_(real a, real b) { return a != a ? a : (a > b ? a : b); }
INLINE real min_(real a, real b) { return a != a ? a : (a < b ? a : b); }
/// Of both zeros 0; NaN stays what it is.
INLINE real sign_(real x) { return x > 0 ? (real)1 : x < 0 ? (real)-1 : x + (real)0; }
INLINE real relu_(real x) { return x < 0 ? (real)0 : x; }
INLINE real truth(bool x) { return x ? (real)1 : (real)0; }

/// What a launch is given for many tensors.
template <int N>
struct Table {
    uint64_t at[N];
};

/// Neighbours, which a thread reads and writes with one instruction or two.
template <class T>
struct alignas(4 * sizeof(T) < 16 ? 4 * sizeof(T) : 16) Four {
    T at[4];
};

/// A number of sixteen bits in memory, the upper half of a `float`, see `kernel/bf16`. Whoever reads it has a `float`.
struct bf16 {
    uint16_t bits;
    INLINE_MEMBER operator float() const { return __uint_as_float((uint32_t)bits << 16); }
    /// The nearest, of two equally near ones the even one; NaN stays NaN.
    INLINE_MEMBER void operator=(float x) {
        const uint32_t b = __float_as_uint(x);
        bits = x != x ? 0x7fff : (b + 0x7fff + (b >> 16 & 1)) >> 16;
    }
};

// ---- over the lanes of a warp ----

/// A sum of reals is kept in double: however many threads share it, the result is as good as one rounding.
INLINE double warp_sum(double x) {
    for (int d = 16; d > 0; d >>= 1) x += __shfl_xor_sync(ALL_LANES, x, d);
    return x;
}
INLINE real warp_max(real x) {
    for (int d = 16; d > 0; d >>= 1) x = max_(x, __shfl_xor_sync(ALL_LANES, x, d));
    return x;
}
INLINE real warp_min(real x) {
    for (int d = 16; d > 0; d >>= 1) x = min_(x, __shfl_xor_sync(ALL_LANES, x, d));
    return x;
}

/// A number and its position.
struct Best {
    real value;
    uint32_t at;
};
/// The first of the greatest; the first NaN is the greatest of all.
INLINE Best better(Best a, Best b) {
    const bool nan_a = a.value != a.value, nan_b = b.value != b.value;
    const bool alike = a.value == b.value || (nan_a && nan_b);
    return (alike ? b.at < a.at : !nan_a && (nan_b || b.value > a.value)) ? b : a;
}
INLINE Best warp_best(Best x) {
    for (int d = 16; d > 0; d >>= 1) {
        const Best other = {__shfl_xor_sync(ALL_LANES, x.value, d), __shfl_xor_sync(ALL_LANES, x.at, d)};
        x = better(x, other);
    }
    return x;
}

// ---- what went wrong ----

/// The first index beyond its table, and the rows of the table; whoever runs the kernels looks at it.
struct Fault {
    uint32_t any, index;
    uint64_t rows;
};
INLINE void beyond(Fault* fault, uint32_t index, uint64_t rows) {
    if (atomicExch(&fault->any, 1u) == 0) {
        fault->index = index;
        fault->rows = rows;
    }
}
