// Sign products on tensor cores of compute capability 8.0 to 9.0: mma.m16n8k256, AND and popcount.
//
// Blocks copy tiles of both operands to shared memory, several stages ahead, 1024 bits of k at a
// time. A row of a tile is eight chunks of 16 bytes; chunk c of row r lies at c ^ (r % 8), so that
// the eight rows that one ldmatrix reads lie in different banks.

constexpr int CHUNKS = 8;          // of 16 bytes, per row and stage
constexpr int STAGE_WORDS = 32;    // of k, per row and stage
constexpr int STAGES = 3;

#ifdef BNN_EMULATED
struct Quad { uint32_t at[4]; };
inline void copy_async(uint32_t* to, const uint32_t* from, bool inside) {
    for (int i = 0; i < 4; i++) to[i] = inside ? from[i] : 0;
}
inline void commit_copies() {}
template <int LEFT> void wait_copies() {}
inline Quad load_matrices(const uint32_t* row) {
    unsigned me = emulation::current % 32;
    return emulation::exchange(row, [&](auto lane) {
        Quad quad;
        for (unsigned i = 0; i < 4; i++) quad.at[i] = lane(i * 8 + me / 4)[me % 4];
        return quad;
    });
}
struct Fragments { uint32_t a[4], b[2]; };
inline void mma_and_popc(int (&c)[4], const Quad& a, uint32_t b0, uint32_t b1) {
    unsigned me = emulation::current % 32;
    Fragments mine{{a.at[0], a.at[1], a.at[2], a.at[3]}, {b0, b1}};
    Quad sums = emulation::exchange(mine, [&](auto lane) {
        Quad sums{};
        for (unsigned i = 0; i < 4; i++)
            for (unsigned q = 0; q < 4; q++)
                for (unsigned half = 0; half < 2; half++)
                    sums.at[i] += __popc(lane(me / 4 * 4 + q).a[half * 2 + i / 2] &
                                         lane((me % 4 * 2 + i % 2) * 4 + q).b[half]);
        return sums;
    });
    for (int i = 0; i < 4; i++) c[i] += (int)sums.at[i];
}
#else
struct Quad { uint32_t at[4]; };
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
// Four 8 x 16-byte matrices; lane i gives the address of row i % 8 of matrix i / 8.
__device__ __forceinline__ Quad load_matrices(const uint32_t* row) {
    Quad q;
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(q.at[0]), "=r"(q.at[1]), "=r"(q.at[2]), "=r"(q.at[3])
                 : "r"(shared_address(row)) : "memory");
    return q;
}
// c += counts of common bits of 16 rows of a with 8 rows of b, 256 bits each.
__device__ __forceinline__ void mma_and_popc(int (&c)[4], const Quad& a, uint32_t b0, uint32_t b1) {
    asm volatile("mma.sync.aligned.m16n8k256.row.col.s32.b1.b1.s32.and.popc "
                 "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+r"(c[0]), "+r"(c[1]), "+r"(c[2]), "+r"(c[3])
                 : "r"(a.at[0]), "r"(a.at[1]), "r"(a.at[2]), "r"(a.at[3]), "r"(b0), "r"(b1));
}
#endif

// Copies one stage of `ROWS` rows, zeros where rows or words end.
template <int ROWS, int THREADS>
__device__ __forceinline__ void copy_tile(uint32_t* tile, const uint32_t* from, long long first,
                                          long long rows, int k, int words) {
    for (int at = threadIdx.x; at < ROWS * CHUNKS; at += THREADS) {
        int row = at / CHUNKS, chunk = at % CHUNKS;
        bool inside = first + row < rows && k + chunk * 4 < words;
        const uint32_t* source = inside ? from + (first + row) * words + k + chunk * 4 : from;
        copy_async(tile + row * STAGE_WORDS + (chunk ^ row % CHUNKS) * 4, source, inside);
    }
}

// A block of BM x BN outputs; its warps take WM x WN each.
template <int BM, int BN, int WM, int WN>
__device__ __forceinline__ void count_tile(const uint32_t* a, const uint32_t* w, long long m, int n,
                                           int words, int planes, const Finish& f) {
    constexpr int THREADS = BM / WM * (BN / WN) * WARP;
    constexpr int STAGE = (BM + BN) * STAGE_WORDS;
    constexpr int TM = WM / 16, TN = WN / 8;
    DYNAMIC_SHARED(uint32_t, tiles);
    int lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
    long long row0 = (long long)blockIdx.x * BM;
    int column0 = blockIdx.y * BN;
    int warp_row = warp / (BN / WN) * WM, warp_column = warp % (BN / WN) * WN;
    int steps = (words + STAGE_WORDS - 1) / STAGE_WORDS, total = steps * planes;
    int counts[TM][TN][4] = {};

    // Stage `step` of all; planes go from the last to the first.
    auto fetch = [&](int step) {
        if (step < total) {
            uint32_t* tile = tiles + step % STAGES * STAGE;
            const uint32_t* plane = a + (long long)(planes - 1 - step / steps) * m * words;
            int k = step % steps * STAGE_WORDS;
            copy_tile<BM, THREADS>(tile, plane, row0, m, k, words);
            copy_tile<BN, THREADS>(tile + BM * STAGE_WORDS, w, column0, n, k, words);
        }
        commit_copies(); // an empty group too: the count of groups tells what has come
    };
    for (int step = 0; step < STAGES - 1; step++) fetch(step);
    for (int step = 0; step < total; step++) {
        wait_copies<STAGES - 2>();
        __syncthreads(); // this stage is here, and the one before is free
        fetch(step + STAGES - 1);
        if (step && step % steps == 0) {
            for (int i = 0; i < TM; i++)
                for (int j = 0; j < TN; j++)
                    for (int c = 0; c < 4; c++) counts[i][j][c] *= 2; // Horner: the next plane
        }
        const uint32_t* a_tile = tiles + step % STAGES * STAGE;
        const uint32_t* w_tile = a_tile + BM * STAGE_WORDS;
#pragma unroll
        for (int k = 0; k < CHUNKS; k += 2) { // 256 bits are two chunks
            if (k * 4 >= words - step % steps * STAGE_WORDS) break; // the rest of the row is zeros
            Quad a_parts[TM], w_parts[TN / 2];
#pragma unroll
            for (int i = 0; i < TM; i++) {
                // Matrices: rows 0-7 and 8-15 of the first chunk, then of the second.
                int row = warp_row + i * 16 + lane % 16, chunk = k + lane / 16;
                a_parts[i] = load_matrices(a_tile + row * STAGE_WORDS + (chunk ^ row % CHUNKS) * 4);
            }
#pragma unroll
            for (int j = 0; j < TN / 2; j++) {
                // Matrices: both chunks of columns 0-7, then of columns 8-15.
                int row = warp_column + j * 16 + lane / 16 * 8 + lane % 8, chunk = k + lane / 8 % 2;
                w_parts[j] = load_matrices(w_tile + row * STAGE_WORDS + (chunk ^ row % CHUNKS) * 4);
            }
#pragma unroll
            for (int i = 0; i < TM; i++)
#pragma unroll
                for (int j = 0; j < TN; j++)
                    mma_and_popc(counts[i][j], a_parts[i], w_parts[j / 2].at[j % 2 * 2],
                                 w_parts[j / 2].at[j % 2 * 2 + 1]);
        }
    }
#pragma unroll
    for (int i = 0; i < TM; i++) {
        finish_rows<TN>(f, &counts[i], (int)row0 + warp_row + i * 16, column0 + warp_column, (int)m, n);
    }
}

KERNEL(256) count_128x128(const uint32_t* a, const uint32_t* w, long long m, int n, int words,
                          int planes, Finish f) {
    count_tile<128, 128, 64, 32>(a, w, m, n, words, planes, f);
}

KERNEL(128) count_64x64(const uint32_t* a, const uint32_t* w, long long m, int n, int words,
                        int planes, Finish f) {
    count_tile<64, 64, 32, 32>(a, w, m, n, words, planes, f);
}

KERNEL(64) count_32x32(const uint32_t* a, const uint32_t* w, long long m, int n, int words, int planes,
                       Finish f) {
    count_tile<32, 32, 16, 32>(a, w, m, n, words, planes, f);
}
