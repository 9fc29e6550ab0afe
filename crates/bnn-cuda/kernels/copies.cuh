// Copies of tiles to shared memory by threads, and windows over images as rows of a tile: in front of every
// file whose tiles are copied so.
//
// A row of a tile is eight chunks of 16 bytes; chunk c of row r lies at c ^ (r % 8), so that the eight
// rows that one ldmatrix reads lie in different banks, and as wgmma finds them swizzled.

constexpr int CHUNKS = 8;          // of 16 bytes, per row and stage
constexpr int STAGE_WORDS = 32;    // of k, per row and stage

#ifdef BNN_EMULATED
inline void copy_async(uint32_t* to, const uint32_t* from, bool inside) {
    emulation::copies().open.push_back([=] {
        for (int i = 0; i < 4; i++) to[i] = inside ? from[i] : 0;
    });
}
inline void commit_copies() { emulation::copies().commit(); }
template <int LEFT> void wait_copies() { emulation::copies().wait(LEFT); }
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

// A left operand whose rows are windows over pixels of whole chunks, zeros outside.
struct Images {
    const uint32_t* at;
    long long windows; // of a plane
    Pixels pixels;

    // What a thread copies of ROWS rows, ACROSS chunks of each row and stage: the same rows, corners of
    // windows, and chunk in every stage.
    template <int ROWS, int ACROSS, int THREADS>
    struct Share {
        static constexpr int APART = THREADS / ACROSS, MINE = ROWS / APART;
        const Images& images;
        int y[MINE], x[MINE];   // corners of the windows
        uint32_t corner[MINE];  // and the pixels there, counted also where there are none
        const uint32_t* from;   // plane
        int down, across, word; // of the next stage: tap, and word of its pixel

        __device__ __forceinline__ Share(const Images& all, long long row0, int plane) : images(all) {
            const Patches& p = images.pixels.patches;
            uint32_t places = p.out_height * p.out_width;
#pragma unroll
            for (int i = 0; i < MINE; i++) {
                long long row = row0 + threadIdx.x / ACROSS + i * APART;
                uint32_t image = (uint32_t)row / places, place = (uint32_t)row % places;
                y[i] = (int)(place / p.out_width) * p.stride - p.pad;
                x[i] = (int)(place % p.out_width) * p.stride - p.pad;
                corner[i] = (image * p.height + y[i]) * p.width + x[i];
                if (row >= images.windows) y[i] = -(1 << 30); // outside
            }
            from = images.at + plane * images.pixels.count * images.pixels.words;
            again();
        }

        // Back to the first tap.
        __device__ __forceinline__ void again() {
            down = across = word = 0;
            forward(threadIdx.x % ACROSS * 4);
        }

        // Goes on by so many words of the windows.
        __device__ __forceinline__ void forward(int words) {
            word += words;
            while (word >= images.pixels.words) {
                word -= images.pixels.words;
                if (++across == images.pixels.patches.window_width) across = 0, down++;
            }
        }

        __device__ __forceinline__ void copy(uint32_t* tile, int) {
            const Patches& p = images.pixels.patches;
            int row = threadIdx.x / ACROSS, chunk = threadIdx.x % ACROSS;
            tile += (row * ACROSS + (chunk ^ row % ACROSS)) * 4;
            uint32_t tap = down * p.width + across; // from the corner
#pragma unroll
            for (int i = 0; i < MINE; i++) {
                bool inside = down < p.window_height && (uint32_t)(y[i] + down) < (uint32_t)p.height &&
                              (uint32_t)(x[i] + across) < (uint32_t)p.width;
                long long pixel = corner[i] + tap;
                const uint32_t* source = from + pixel * images.pixels.words + word;
                copy_async(tile + i * APART * ACROSS * 4, source, inside);
            }
            forward(ACROSS * 4);
        }

        __device__ __forceinline__ void before(int) {
            from -= images.pixels.count * images.pixels.words;
            again();
        }
    };
};
