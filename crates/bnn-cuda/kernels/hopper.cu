// Sign products on the tensor cores of Hopper (sm_90a): wgmma, fed by the bulk tensor copy engine.
//
// One warpgroup copies, the others multiply. Tiles of 128 bytes of k, which are 1024 bits, go through a
// ring of stages; a stage's two barriers say that it has been filled, and that every consumer has
// left it. Where the left operand is bytes, the weights are bytes of 0 and 1 in the same order.

constexpr int STAGE_WORDS = ROW_BYTES / 4; // of k

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
template <class Kind, int CONSUMERS, int MT, int BN, int STAGES, bool PLANES>
__device__ __forceinline__ void count_hopper(const TensorMap& a_map, const TensorMap& w_map, int m,
                                             int n, int words, int planes, const Finish& f) {
    constexpr int BM = CONSUMERS * MT * 64;
    constexpr int STAGE = (BM + BN) * ROW_BYTES;
    __shared__ Barrier filled[STAGES], left[STAGES];
    DYNAMIC_SHARED(unsigned char, tiles);
    int steps = (words + STAGE_WORDS - 1) / STAGE_WORDS, total = steps * planes;
    int columns = f.signs ? f.sign_stride * 32 : n; // signs are written up to the end of their stride
    int tile_rows = (m + BM - 1) / BM, tile_columns = (columns + BN - 1) / BN;
    if (threadIdx.x == 0) {
        for (int i = 0; i < STAGES; i++) {
            barrier_start(&filled[i], 1);
            barrier_start(&left[i], CONSUMERS);
        }
        publish_barriers();
    }
    __syncthreads();
    uint32_t step = 0; // of all tiles of this block
    if (threadIdx.x < GROUP) {
        leave_registers<40>();
        if (threadIdx.x > 0) return;
        for (int at = blockIdx.x; at < tile_rows * tile_columns; at += gridDim.x) {
            int tile_row, tile_column;
            tile_of(at, tile_rows, tile_columns, tile_row, tile_column);
            for (int k = 0; k < total; k++, step++) {
                int stage = step % STAGES;
                if (step >= STAGES) wait(&left[stage], (step / STAGES - 1) & 1);
                unsigned char* tile = tiles + stage * STAGE;
                int word = k % steps * STAGE_WORDS;
                int plane = planes - 1 - k / steps;
                arrive_expecting(&filled[stage], STAGE);
                copy_box(tile, &a_map, word, plane * m + tile_row * BM, &filled[stage]);
                copy_box(tile + BM * ROW_BYTES, &w_map, word, tile_column * BN, &filled[stage]);
            }
        }
        return;
    }
    take_registers<232>();
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
                for (int part = 0; part < 4; part++) { // of 32 bytes: two units of 16
#pragma unroll
                    for (int i = 0; i < MT; i++) {
                        uint64_t a = describe(tile + (group * MT + i) * 64 * ROW_BYTES);
                        mma_async(Kind{}, counts[i], a + part * 2, w + part * 2, k + part);
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
    count_hopper<Bits, 2, 1, 256, 4, false>(a, w, (int)m, n, words, planes, f);
}

KERNEL(384) hopper_256x192(const __grid_constant__ TensorMap a, const __grid_constant__ TensorMap w,
                           long long m, int n, int words, int planes, Finish f) {
    count_hopper<Bits, 2, 2, 192, 4, false>(a, w, (int)m, n, words, planes, f);
}

KERNEL(384) hopper_128x128(const __grid_constant__ TensorMap a, const __grid_constant__ TensorMap w,
                           long long m, int n, int words, int planes, Finish f) {
    count_hopper<Bits, 2, 1, 128, 6, false>(a, w, (int)m, n, words, planes, f);
}

KERNEL(384) hopper_planes(const __grid_constant__ TensorMap a, const __grid_constant__ TensorMap w,
                          long long m, int n, int words, int planes, Finish f) {
    count_hopper<Bits, 2, 1, 128, 6, true>(a, w, (int)m, n, words, planes, f);
}

KERNEL(384) hopper_bytes_256x192(const __grid_constant__ TensorMap a, const __grid_constant__ TensorMap w,
                                 long long m, int n, int words, int planes, Finish f) {
    count_hopper<Bytes, 2, 2, 192, 4, false>(a, w, (int)m, n, words, planes, f);
}

KERNEL(384) hopper_bytes_128x256(const __grid_constant__ TensorMap a, const __grid_constant__ TensorMap w,
                                 long long m, int n, int words, int planes, Finish f) {
    count_hopper<Bytes, 2, 1, 256, 4, false>(a, w, (int)m, n, words, planes, f);
}

KERNEL(384) hopper_bytes_128x128(const __grid_constant__ TensorMap a, const __grid_constant__ TensorMap w,
                                 long long m, int n, int words, int planes, Finish f) {
    count_hopper<Bytes, 2, 1, 128, 6, false>(a, w, (int)m, n, words, planes, f);
}
