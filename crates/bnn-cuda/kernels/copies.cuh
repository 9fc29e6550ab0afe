// Copies of tiles to shared memory by threads, and windows over images as rows of a tile: in front of every
// file whose tiles are copied so.
//
// A row of a tile is eight chunks of 16 bytes; chunk c of row r lies at c ^ (r % 8), so that the eight
// rows that one ldmatrix reads lie in different banks, and as wgmma finds them swizzled.

constexpr int CHUNKS = 8;          // of 16 bytes, per row and stage
constexpr int STAGE_WORDS = 32;    // of k, per row and stage

#ifdef BNN_EMULATED
inline void copy_async(uint32_t* to, const uint32_t* from, bool inside) {
    for (int i = 0; i < 4; i++) to[i] = inside ? from[i] : 0;
}
inline void commit_copies() {}
template <int LEFT> void wait_copies() {}
#else
__device__ __forceinline__ unsigned shared_address(const void* pointer) {
    return (unsigned)__cvta_generic_to_shared(pointer);
}
// Copies 16 bytes, or zeros.
__device__ __forceinline__ void copy_async(uint32_t* to, const uint32_t* from, bool inside) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(to)), "l"(from),
                 "r"(inside ? 16 : 0) : "memory");
}
__device__ __forceinline__ void commit_copies() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int LEFT> __device__ __forceinline__ void wait_copies() {
    asm volatile("cp.async.wait_group %0;" ::"n"(LEFT) : "memory");
}
#endif

// A left operand whose rows are windows over pixels of whole chunks, zeros outside. A thread's rows
// and its chunk are the same in every stage, and so are the corners of its windows.
struct Images {
    const uint32_t* at;
    long long windows; // of a plane
    Pixels pixels;

    template <int BM, int THREADS>
    struct Share {
        static constexpr int MINE = BM * CHUNKS / THREADS, APART = THREADS / CHUNKS;
        const Images& images;
        int image[MINE], y[MINE], x[MINE]; // first pixel of the image, corner of the window

        __device__ __forceinline__ Share(const Images& all, long long row0) : images(all) {
            const Patches& p = images.pixels.patches;
            uint32_t places = p.out_height * p.out_width;
#pragma unroll
            for (int i = 0; i < MINE; i++) {
                long long row = row0 + threadIdx.x / CHUNKS + i * APART;
                bool here = row < images.windows;
                uint32_t place = (uint32_t)row % places;
                image[i] = here ? (int)((uint32_t)row / places) * p.height * p.width : 0;
                y[i] = here ? (int)(place / p.out_width) * p.stride - p.pad : -(1 << 30); // outside
                x[i] = (int)(place % p.out_width) * p.stride - p.pad;
            }
        }

        __device__ __forceinline__ void copy(uint32_t* tile, int plane, int k) const {
            const Patches& p = images.pixels.patches;
            int row = threadIdx.x / CHUNKS, chunk = threadIdx.x % CHUNKS;
            int words = images.pixels.words, word = k + chunk * 4, tap = word / words;
            bool deep = tap < p.window_height * p.window_width;
            int down = tap / p.window_width, across = tap % p.window_width;
            const uint32_t* from = images.at + plane * images.pixels.count * words;
            tile += row * STAGE_WORDS + (chunk ^ row % CHUNKS) * 4;
#pragma unroll
            for (int i = 0; i < MINE; i++, tile += APART * STAGE_WORDS) {
                int line = y[i] + down, column = x[i] + across;
                bool inside = deep && (uint32_t)line < (uint32_t)p.height &&
                              (uint32_t)column < (uint32_t)p.width;
                long long pixel = inside ? image[i] + line * p.width + column : 0;
                copy_async(tile, from + pixel * words + (inside ? word % words : 0), inside);
            }
        }
    };
};
