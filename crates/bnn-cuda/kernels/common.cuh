// What every kernel needs. This text is put in front of each file before it is compiled, by NVRTC for
// a GPU or, behind emulation.hpp, by a C++ compiler for the host.

#ifndef BNN_EMULATED
typedef unsigned int uint32_t;
typedef unsigned long long uint64_t;
#define DYNAMIC_SHARED(type, name) extern __shared__ __align__(1024) unsigned char name##_bytes[]; \
    type* name = reinterpret_cast<type*>(name##_bytes)
#endif

// Threads of a block, and if given, how many blocks a processor should have room for.
#define KERNEL(...) extern "C" __global__ void __launch_bounds__(__VA_ARGS__)

[[maybe_unused]] constexpr int WARP = 32; // not every file needs them
[[maybe_unused]] constexpr unsigned ALL = 0xFFFFFFFFu;

// Weights of planes, or cuts of a quantizer, by value: nothing has to be uploaded for a launch.
struct Integers { int at[256]; };
struct Reals { float at[256]; };

// The number of this thread among all of a launch of one dimension.
__device__ __forceinline__ long long thread_number() {
    return (long long)blockIdx.x * blockDim.x + threadIdx.x;
}

// Row and column of an element; divisions of 64 bits are slow, and few matrices need them.
struct Place {
    long long row;
    int column;
};

__device__ __forceinline__ Place place_of(long long at, int columns) {
    if (at >> 32) return Place{at / columns, (int)(at % columns)};
    return Place{(uint32_t)at / (uint32_t)columns, (int)((uint32_t)at % (uint32_t)columns)};
}

// The step's key, from the device row that Clock::to_row lays out, for one of its streams.
struct Key { uint32_t low, high; };

__device__ __forceinline__ Key key_of(const float* clock, uint32_t stream) {
    uint32_t low = (uint32_t)clock[1] | (uint32_t)clock[2] << 16;
    uint32_t high = (uint32_t)clock[3] | (uint32_t)clock[4] << 16;
    uint32_t spread = (stream + 1) * 0x9E3779B9u;
    return Key{low ^ spread, high + (spread << 16 | spread >> 16)};
}

// Uniform number `index` of a key: the same bits as Key::uniform of bnn-core.
__device__ __forceinline__ float uniform(Key key, uint32_t index) {
    uint32_t x = index ^ key.low;
    x ^= x >> 16;
    x = x * 0x21F0AAADu + key.high;
    x ^= x >> 15;
    x *= 0x735A2D97u;
    x ^= x >> 15;
    return (float)(x >> 8) * (1.0f / 16777216.0f);
}

// clip((x + 1) / 2, 0, 1) (paper, equation 3).
__device__ __forceinline__ float hard_sigmoid(float x) {
    return fminf(fmaxf((x + 1.0f) / 2.0f, 0.0f), 1.0f);
}

// The power of two nearest to x in the log domain, with its sign: scalar::ap2 of bnn-core.
__device__ __forceinline__ float ap2(float x) {
    if (!(fabsf(x) <= 3.402823466e38f)) return x;
    bool tiny = fabsf(x) < 1.17549435e-38f;
    uint32_t bits = __float_as_uint(tiny ? x * 16777216.0f : x);
    uint32_t up = (bits & 0x007FFFFFu) >= 0x003504F4u ? 0x00800000u : 0u;
    float power = __uint_as_float((bits & 0xFF800000u) + up);
    return tiny ? power * (1.0f / 16777216.0f) : power;
}

// A grid, a window over it and its positions: bnn-core's Gather::Patches.
struct Patches {
    int height, width;             // of the grid
    int window_height, window_width;
    int stride, pad;
    int out_height, out_width;     // positions
};

// Images whose windows are not gathered.
struct Pixels {
    long long count; // of a plane, less than 2^31
    Patches patches;
    int words;       // of a pixel, whole chunks of 16 bytes; 0: rows were gathered
    int unused;
};

// The operand row under a tap of an output row (of less than 2^31), or -1 outside the grid.
__device__ __forceinline__ long long source_row(const Patches& p, long long out_row, int tap) {
    uint32_t places = p.out_height * p.out_width;
    uint32_t image = (uint32_t)out_row / places, place = (uint32_t)out_row % places;
    int y = (int)(place / p.out_width) * p.stride + tap / p.window_width - p.pad;
    int x = (int)(place % p.out_width) * p.stride + tap % p.window_width - p.pad;
    if (y < 0 || y >= p.height || x < 0 || x >= p.width) return -1;
    return ((long long)image * p.height + y) * p.width + x;
}
