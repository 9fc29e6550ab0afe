// Sign products on the tensor cores of Hopper (sm_90a): wgmma, fed by the bulk tensor copy engine.
//
// One warpgroup copies, the others multiply. Tiles of 1024 bits of k go through a ring of stages;
// a stage's two barriers say that it has been filled, and that every consumer has left it.

constexpr int STAGE_BITS = 1024;   // of k; a row of 128 bytes, as wide as the swizzle
constexpr int ROW_BYTES = STAGE_BITS / 8;
constexpr int GROUP = 128;         // threads of a warpgroup

struct alignas(64) TensorMap { char bytes[128]; };

__device__ __forceinline__ unsigned shared_address(const void* pointer) {
    return (unsigned)__cvta_generic_to_shared(pointer);
}

__device__ __forceinline__ void barrier_start(uint64_t* barrier, int arrivals) {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(barrier)), "r"(arrivals));
}

__device__ __forceinline__ void arrive(uint64_t* barrier) {
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_address(barrier)) : "memory");
}

__device__ __forceinline__ void arrive_expecting(uint64_t* barrier, int bytes) {
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(barrier)),
                 "r"(bytes) : "memory");
}

__device__ __forceinline__ void wait(uint64_t* barrier, int parity) {
    asm volatile("{\n"
                 ".reg .pred done;\n"
                 "again:\n"
                 "mbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n"
                 "@!done bra again;\n"
                 "}" ::"r"(shared_address(barrier)), "r"(parity) : "memory");
}

// Starts a copy of the map's box at (word of k, row); zeros where the matrix ends.
__device__ __forceinline__ void copy_box(void* to, const TensorMap* map, int word, int row,
                                         uint64_t* barrier) {
    asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes "
                 "[%0], [%1, {%2, %3}], [%4];" ::"r"(shared_address(to)), "l"(map), "r"(word),
                 "r"(row), "r"(shared_address(barrier)) : "memory");
}

// Describes rows of 128 bytes, swizzled by the copy engine, eight rows to the next kilobyte.
__device__ __forceinline__ uint64_t describe(const void* tile) {
    return (uint64_t)((shared_address(tile) & 0x3FFFF) >> 4) | 1ull << 16 | (uint64_t)(1024 >> 4) << 32 |
           1ull << 62;
}

__device__ __forceinline__ void start_mma() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
__device__ __forceinline__ void commit_mma() {
    asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}
// Nothing reads the counts before this, nor is anything of it moved behind it.
template <int TN> __device__ __forceinline__ void settle(int (&counts)[TN][4]) {
#pragma unroll
    for (int j = 0; j < TN; j++) {
        asm volatile("" : "+r"(counts[j][0]), "+r"(counts[j][1]), "+r"(counts[j][2]), "+r"(counts[j][3])
                     :: "memory");
    }
}
template <int LEFT> __device__ __forceinline__ void wait_mma() {
    asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(LEFT) : "memory");
}

// d += counts of common bits of 64 rows of a with 256 rows of w, 256 bits each; without `go_on`, d = counts.
__device__ __forceinline__ void mma_async(int (&d)[32][4], uint64_t a, uint64_t w, int go_on) {
    asm volatile("{\n.reg .pred go_on;\nsetp.ne.b32 go_on, %130, 0;\n"
                 "wgmma.mma_async.sync.aligned.m64n256k256.s32.b1.b1.and.popc {"
        "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
        "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "
        "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, "
        "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63, "
        "%64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79, "
        "%80, %81, %82, %83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95, "
        "%96, %97, %98, %99, %100, %101, %102, %103, %104, %105, %106, %107, %108, %109, %110, %111, "
        "%112, %113, %114, %115, %116, %117, %118, %119, %120, %121, %122, %123, %124, %125, %126, %127 "
        "}, %128, %129, go_on;\n}"
        :
        "+r"(d[0][0]), "+r"(d[0][1]), "+r"(d[0][2]), "+r"(d[0][3]), "+r"(d[1][0]), "+r"(d[1][1]), "+r"(d[1][2]), "+r"(d[1][3]),
        "+r"(d[2][0]), "+r"(d[2][1]), "+r"(d[2][2]), "+r"(d[2][3]), "+r"(d[3][0]), "+r"(d[3][1]), "+r"(d[3][2]), "+r"(d[3][3]),
        "+r"(d[4][0]), "+r"(d[4][1]), "+r"(d[4][2]), "+r"(d[4][3]), "+r"(d[5][0]), "+r"(d[5][1]), "+r"(d[5][2]), "+r"(d[5][3]),
        "+r"(d[6][0]), "+r"(d[6][1]), "+r"(d[6][2]), "+r"(d[6][3]), "+r"(d[7][0]), "+r"(d[7][1]), "+r"(d[7][2]), "+r"(d[7][3]),
        "+r"(d[8][0]), "+r"(d[8][1]), "+r"(d[8][2]), "+r"(d[8][3]), "+r"(d[9][0]), "+r"(d[9][1]), "+r"(d[9][2]), "+r"(d[9][3]),
        "+r"(d[10][0]), "+r"(d[10][1]), "+r"(d[10][2]), "+r"(d[10][3]), "+r"(d[11][0]), "+r"(d[11][1]), "+r"(d[11][2]), "+r"(d[11][3]),
        "+r"(d[12][0]), "+r"(d[12][1]), "+r"(d[12][2]), "+r"(d[12][3]), "+r"(d[13][0]), "+r"(d[13][1]), "+r"(d[13][2]), "+r"(d[13][3]),
        "+r"(d[14][0]), "+r"(d[14][1]), "+r"(d[14][2]), "+r"(d[14][3]), "+r"(d[15][0]), "+r"(d[15][1]), "+r"(d[15][2]), "+r"(d[15][3]),
        "+r"(d[16][0]), "+r"(d[16][1]), "+r"(d[16][2]), "+r"(d[16][3]), "+r"(d[17][0]), "+r"(d[17][1]), "+r"(d[17][2]), "+r"(d[17][3]),
        "+r"(d[18][0]), "+r"(d[18][1]), "+r"(d[18][2]), "+r"(d[18][3]), "+r"(d[19][0]), "+r"(d[19][1]), "+r"(d[19][2]), "+r"(d[19][3]),
        "+r"(d[20][0]), "+r"(d[20][1]), "+r"(d[20][2]), "+r"(d[20][3]), "+r"(d[21][0]), "+r"(d[21][1]), "+r"(d[21][2]), "+r"(d[21][3]),
        "+r"(d[22][0]), "+r"(d[22][1]), "+r"(d[22][2]), "+r"(d[22][3]), "+r"(d[23][0]), "+r"(d[23][1]), "+r"(d[23][2]), "+r"(d[23][3]),
        "+r"(d[24][0]), "+r"(d[24][1]), "+r"(d[24][2]), "+r"(d[24][3]), "+r"(d[25][0]), "+r"(d[25][1]), "+r"(d[25][2]), "+r"(d[25][3]),
        "+r"(d[26][0]), "+r"(d[26][1]), "+r"(d[26][2]), "+r"(d[26][3]), "+r"(d[27][0]), "+r"(d[27][1]), "+r"(d[27][2]), "+r"(d[27][3]),
        "+r"(d[28][0]), "+r"(d[28][1]), "+r"(d[28][2]), "+r"(d[28][3]), "+r"(d[29][0]), "+r"(d[29][1]), "+r"(d[29][2]), "+r"(d[29][3]),
        "+r"(d[30][0]), "+r"(d[30][1]), "+r"(d[30][2]), "+r"(d[30][3]), "+r"(d[31][0]), "+r"(d[31][1]), "+r"(d[31][2]), "+r"(d[31][3])
        : "l"(a), "l"(w), "r"(go_on));
}

// d += counts of common bits of 64 rows of a with 192 rows of w, 256 bits each; without `go_on`, d = counts.
__device__ __forceinline__ void mma_async(int (&d)[24][4], uint64_t a, uint64_t w, int go_on) {
    asm volatile("{\n.reg .pred go_on;\nsetp.ne.b32 go_on, %98, 0;\n"
                 "wgmma.mma_async.sync.aligned.m64n192k256.s32.b1.b1.and.popc {"
        "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
        "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "
        "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, "
        "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63, "
        "%64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79, "
        "%80, %81, %82, %83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95 "
        "}, %96, %97, go_on;\n}"
        :
        "+r"(d[0][0]), "+r"(d[0][1]), "+r"(d[0][2]), "+r"(d[0][3]), "+r"(d[1][0]), "+r"(d[1][1]), "+r"(d[1][2]), "+r"(d[1][3]),
        "+r"(d[2][0]), "+r"(d[2][1]), "+r"(d[2][2]), "+r"(d[2][3]), "+r"(d[3][0]), "+r"(d[3][1]), "+r"(d[3][2]), "+r"(d[3][3]),
        "+r"(d[4][0]), "+r"(d[4][1]), "+r"(d[4][2]), "+r"(d[4][3]), "+r"(d[5][0]), "+r"(d[5][1]), "+r"(d[5][2]), "+r"(d[5][3]),
        "+r"(d[6][0]), "+r"(d[6][1]), "+r"(d[6][2]), "+r"(d[6][3]), "+r"(d[7][0]), "+r"(d[7][1]), "+r"(d[7][2]), "+r"(d[7][3]),
        "+r"(d[8][0]), "+r"(d[8][1]), "+r"(d[8][2]), "+r"(d[8][3]), "+r"(d[9][0]), "+r"(d[9][1]), "+r"(d[9][2]), "+r"(d[9][3]),
        "+r"(d[10][0]), "+r"(d[10][1]), "+r"(d[10][2]), "+r"(d[10][3]), "+r"(d[11][0]), "+r"(d[11][1]), "+r"(d[11][2]), "+r"(d[11][3]),
        "+r"(d[12][0]), "+r"(d[12][1]), "+r"(d[12][2]), "+r"(d[12][3]), "+r"(d[13][0]), "+r"(d[13][1]), "+r"(d[13][2]), "+r"(d[13][3]),
        "+r"(d[14][0]), "+r"(d[14][1]), "+r"(d[14][2]), "+r"(d[14][3]), "+r"(d[15][0]), "+r"(d[15][1]), "+r"(d[15][2]), "+r"(d[15][3]),
        "+r"(d[16][0]), "+r"(d[16][1]), "+r"(d[16][2]), "+r"(d[16][3]), "+r"(d[17][0]), "+r"(d[17][1]), "+r"(d[17][2]), "+r"(d[17][3]),
        "+r"(d[18][0]), "+r"(d[18][1]), "+r"(d[18][2]), "+r"(d[18][3]), "+r"(d[19][0]), "+r"(d[19][1]), "+r"(d[19][2]), "+r"(d[19][3]),
        "+r"(d[20][0]), "+r"(d[20][1]), "+r"(d[20][2]), "+r"(d[20][3]), "+r"(d[21][0]), "+r"(d[21][1]), "+r"(d[21][2]), "+r"(d[21][3]),
        "+r"(d[22][0]), "+r"(d[22][1]), "+r"(d[22][2]), "+r"(d[22][3]), "+r"(d[23][0]), "+r"(d[23][1]), "+r"(d[23][2]), "+r"(d[23][3])
        : "l"(a), "l"(w), "r"(go_on));
}

// d += counts of common bits of 64 rows of a with 128 rows of w, 256 bits each; without `go_on`, d = counts.
__device__ __forceinline__ void mma_async(int (&d)[16][4], uint64_t a, uint64_t w, int go_on) {
    asm volatile("{\n.reg .pred go_on;\nsetp.ne.b32 go_on, %66, 0;\n"
                 "wgmma.mma_async.sync.aligned.m64n128k256.s32.b1.b1.and.popc {"
        "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
        "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "
        "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, "
        "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63 "
        "}, %64, %65, go_on;\n}"
        :
        "+r"(d[0][0]), "+r"(d[0][1]), "+r"(d[0][2]), "+r"(d[0][3]), "+r"(d[1][0]), "+r"(d[1][1]), "+r"(d[1][2]), "+r"(d[1][3]),
        "+r"(d[2][0]), "+r"(d[2][1]), "+r"(d[2][2]), "+r"(d[2][3]), "+r"(d[3][0]), "+r"(d[3][1]), "+r"(d[3][2]), "+r"(d[3][3]),
        "+r"(d[4][0]), "+r"(d[4][1]), "+r"(d[4][2]), "+r"(d[4][3]), "+r"(d[5][0]), "+r"(d[5][1]), "+r"(d[5][2]), "+r"(d[5][3]),
        "+r"(d[6][0]), "+r"(d[6][1]), "+r"(d[6][2]), "+r"(d[6][3]), "+r"(d[7][0]), "+r"(d[7][1]), "+r"(d[7][2]), "+r"(d[7][3]),
        "+r"(d[8][0]), "+r"(d[8][1]), "+r"(d[8][2]), "+r"(d[8][3]), "+r"(d[9][0]), "+r"(d[9][1]), "+r"(d[9][2]), "+r"(d[9][3]),
        "+r"(d[10][0]), "+r"(d[10][1]), "+r"(d[10][2]), "+r"(d[10][3]), "+r"(d[11][0]), "+r"(d[11][1]), "+r"(d[11][2]), "+r"(d[11][3]),
        "+r"(d[12][0]), "+r"(d[12][1]), "+r"(d[12][2]), "+r"(d[12][3]), "+r"(d[13][0]), "+r"(d[13][1]), "+r"(d[13][2]), "+r"(d[13][3]),
        "+r"(d[14][0]), "+r"(d[14][1]), "+r"(d[14][2]), "+r"(d[14][3]), "+r"(d[15][0]), "+r"(d[15][1]), "+r"(d[15][2]), "+r"(d[15][3])
        : "l"(a), "l"(w), "r"(go_on));
}

// Which tile a block makes: 16 rows of tiles at a time, so that blocks that run together share
// operands in the second-level cache.
__device__ __forceinline__ void tile_of(int block, int tile_rows, int tile_columns, int& row, int& column) {
    constexpr int BAND = 16;
    int band = block / (BAND * tile_columns), first = band * BAND;
    int height = min(BAND, tile_rows - first);
    int inside = block - band * BAND * tile_columns;
    row = first + inside % height;
    column = inside / height;
}

// Blocks make tiles of CONSUMERS * MT * 64 rows by BN columns, one after the other: while the
// consumers finish one, the copies for the next are under way.
// With PLANES, planes of weights 1, 2, 4.. are summed by Horner's rule in a second set of registers
// (MT is 1 then).
template <int CONSUMERS, int MT, int BN, int STAGES, bool PLANES>
__device__ __forceinline__ void count_hopper(const TensorMap& a_map, const TensorMap& w_map, int m,
                                             int n, int words, int planes, const Finish& f) {
    constexpr int BM = CONSUMERS * MT * 64;
    constexpr int STAGE = (BM + BN) * ROW_BYTES;
    __shared__ uint64_t filled[STAGES], left[STAGES];
    DYNAMIC_SHARED(unsigned char, tiles);
    int steps = (words * 32 + STAGE_BITS - 1) / STAGE_BITS, total = steps * planes;
    int columns = f.signs ? f.sign_stride * 32 : n; // signs are written up to the end of their stride
    int tile_rows = (m + BM - 1) / BM, tile_columns = (columns + BN - 1) / BN;
    if (threadIdx.x == 0) {
        for (int i = 0; i < STAGES; i++) {
            barrier_start(&filled[i], 1);
            barrier_start(&left[i], CONSUMERS);
        }
        asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
    }
    __syncthreads();
    uint32_t step = 0; // of all tiles of this block
    if (threadIdx.x < GROUP) {
        asm volatile("setmaxnreg.dec.sync.aligned.u32 40;");
        if (threadIdx.x > 0) return;
        for (int at = blockIdx.x; at < tile_rows * tile_columns; at += gridDim.x) {
            int tile_row, tile_column;
            tile_of(at, tile_rows, tile_columns, tile_row, tile_column);
            for (int k = 0; k < total; k++, step++) {
                int stage = step % STAGES;
                if (step >= STAGES) wait(&left[stage], (step / STAGES - 1) & 1);
                unsigned char* tile = tiles + stage * STAGE;
                int word = k % steps * (STAGE_BITS / 32);
                int plane = planes - 1 - k / steps;
                arrive_expecting(&filled[stage], STAGE);
                copy_box(tile, &a_map, word, plane * m + tile_row * BM, &filled[stage]);
                copy_box(tile + BM * ROW_BYTES, &w_map, word, tile_column * BN, &filled[stage]);
            }
        }
        return;
    }
    asm volatile("setmaxnreg.inc.sync.aligned.u32 232;");
    int group = threadIdx.x / GROUP - 1;
    int my_row = group * MT * 64 + threadIdx.x % GROUP / WARP * 16;
    for (int at = blockIdx.x; at < tile_rows * tile_columns; at += gridDim.x) {
        int tile_row, tile_column;
        tile_of(at, tile_rows, tile_columns, tile_row, tile_column);
        int counts[MT][BN / 8][4];
        int totals[PLANES ? BN / 8 : 1][4] = {};
        for (int plane = 0; plane < (PLANES ? planes : 1); plane++) {
            for (int k = 0; k < steps; k++, step++) {
                int stage = step % STAGES;
                wait(&filled[stage], step / STAGES & 1);
                unsigned char* tile = tiles + stage * STAGE;
                uint64_t w = describe(tile + BM * ROW_BYTES);
                start_mma();
#pragma unroll
                for (int part = 0; part < 4; part++) { // 256 bits are 32 bytes: two units of 16
#pragma unroll
                    for (int i = 0; i < MT; i++) {
                        uint64_t a = describe(tile + (group * MT + i) * 64 * ROW_BYTES);
                        mma_async(counts[i], a + part * 2, w + part * 2, k + part);
                    }
                }
                commit_mma();
                wait_mma<1>(); // the stage before is done with
                if (k > 0 && threadIdx.x % GROUP == 0) arrive(&left[(step - 1) % STAGES]);
            }
            wait_mma<0>();
#pragma unroll
            for (int i = 0; i < MT; i++) settle(counts[i]);
            if (threadIdx.x % GROUP == 0) arrive(&left[(step - 1) % STAGES]);
            if constexpr (PLANES) {
#pragma unroll
                for (int j = 0; j < BN / 8; j++)
#pragma unroll
                    for (int c = 0; c < 4; c++) totals[j][c] = 2 * totals[j][c] + counts[0][j][c];
            }
        }
        if constexpr (PLANES) {
            finish_rows<BN / 8>(f, &totals, tile_row * BM + my_row, tile_column * BN, m, n);
        } else {
#pragma unroll
            for (int i = 0; i < MT; i++) {
                int row = tile_row * BM + my_row + i * 64;
                finish_rows<BN / 8>(f, &counts[i], row, tile_column * BN, m, n);
            }
        }
    }
}

KERNEL(384) hopper_128x256(const __grid_constant__ TensorMap a, const __grid_constant__ TensorMap w,
                           long long m, int n, int words, int planes, Finish f) {
    count_hopper<2, 1, 256, 4, false>(a, w, (int)m, n, words, planes, f);
}

KERNEL(384) hopper_256x192(const __grid_constant__ TensorMap a, const __grid_constant__ TensorMap w,
                           long long m, int n, int words, int planes, Finish f) {
    count_hopper<2, 2, 192, 4, false>(a, w, (int)m, n, words, planes, f);
}

KERNEL(384) hopper_128x128(const __grid_constant__ TensorMap a, const __grid_constant__ TensorMap w,
                           long long m, int n, int words, int planes, Finish f) {
    count_hopper<2, 1, 128, 6, false>(a, w, (int)m, n, words, planes, f);
}

KERNEL(384) hopper_planes(const __grid_constant__ TensorMap a, const __grid_constant__ TensorMap w,
                          long long m, int n, int words, int planes, Finish f) {
    count_hopper<2, 1, 128, 6, true>(a, w, (int)m, n, words, planes, f);
}
