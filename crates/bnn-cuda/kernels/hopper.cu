// Sign products on the tensor cores of Hopper (sm_90a): wgmma, fed by the bulk tensor copy engine.
//
// One warpgroup copies, the others multiply. Tiles of 128 bytes of k, which are 1024 bits, go through a
// ring of stages; a stage's two barriers say that it has been filled, and that every consumer has
// left it. Where the left operand is bytes, the weights are bytes of 0 and 1 in the same order.

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

// A left operand that the copy engine reads: rows that lie one after the other.
struct Boxes {
    static constexpr bool BOXED = true;
    static constexpr int COPIERS = 1;                       // threads
    static constexpr int COPYING = 40, MULTIPLYING = 232;   // registers of a thread
    const TensorMap& map;
    int rows; // of a plane

    template <int BM>
    struct Share {
        const Boxes& boxes;
        int first;

        __device__ __forceinline__ Share(const Boxes& all, int row0) : boxes(all), first(row0) {}
        __device__ __forceinline__ void copy(unsigned char* tile, int plane, int word, Barrier* filled) const {
            copy_box(tile, &boxes.map, word, plane * boxes.rows + first, filled);
        }
    };
};

// One whose rows are windows over images, which a warpgroup copies itself.
struct Moving {
    static constexpr bool BOXED = false;
    static constexpr int COPIERS = GROUP;
    static constexpr int COPYING = 88, MULTIPLYING = 208;
    Images images;

    template <int BM>
    struct Share {
        Images::Share<BM, CHUNKS, GROUP> windows;

        __device__ __forceinline__ Share(const Moving& all, int row0) : windows(all.images, row0, 0) {}
        __device__ __forceinline__ void copy(unsigned char* tile, int plane, int word, Barrier*) {
            if (word == 0) windows.start(plane);
            windows.copy(reinterpret_cast<uint32_t*>(tile), word / STAGE_WORDS);
            commit_copies();
        }
    };
};

// Blocks make tiles of CONSUMERS * MT * 64 rows by BN columns, one after the other: while the
// consumers finish one, the copies for the next are under way.
// With PLANES, planes of weights 1, 2, 4.. are summed by Horner's rule in a second set of registers
// (MT is 1 then).
template <class Kind, int CONSUMERS, int MT, int BN, int STAGES, bool PLANES, class Left>
__device__ __forceinline__ void count_hopper(const Left& a, const TensorMap& w_map, int m, int n,
                                             int words, int planes, const Finish& f) {
    constexpr int BM = CONSUMERS * MT * 64;
    constexpr int STAGE = (BM + BN) * ROW_BYTES;
    constexpr int LATE = 2; // stages that threads copy before they see to it that the first has come
    __shared__ Barrier filled[STAGES], left[STAGES];
    DYNAMIC_SHARED(unsigned char, tiles);
    int steps = (words + STAGE_WORDS - 1) / STAGE_WORDS, total = steps * planes;
    int columns = f.signs ? f.sign_stride * 32 : n; // signs are written up to the end of their stride
    int tile_rows = (m + BM - 1) / BM, tile_columns = (columns + BN - 1) / BN;
    if (threadIdx.x == 0) {
        for (int i = 0; i < STAGES; i++) {
            barrier_start(&filled[i], Left::BOXED ? 1 : 1 + GROUP);
            barrier_start(&left[i], CONSUMERS);
        }
        publish_barriers();
    }
    __syncthreads();
    uint32_t step = 0; // of all tiles of this block
    if (threadIdx.x < GROUP) {
        leave_registers<Left::COPYING>();
        if (threadIdx.x >= Left::COPIERS) return;
        for (int at = blockIdx.x; at < tile_rows * tile_columns; at += gridDim.x) {
            int tile_row, tile_column;
            tile_of(at, tile_rows, tile_columns, tile_row, tile_column);
            typename Left::template Share<BM> rows(a, tile_row * BM);
            for (int k = 0; k < total; k++, step++) {
                int stage = step % STAGES;
                if (step >= STAGES) wait(&left[stage], (step / STAGES - 1) & 1);
                unsigned char* tile = tiles + stage * STAGE;
                int word = k % steps * STAGE_WORDS;
                if (threadIdx.x == 0) {
                    arrive_expecting(&filled[stage], Left::BOXED ? STAGE : BN * ROW_BYTES);
                    copy_box(tile + BM * ROW_BYTES, &w_map, word, tile_column * BN, &filled[stage]);
                }
                rows.copy(tile, planes - 1 - k / steps, word, &filled[stage]);
                if (!Left::BOXED && step >= LATE) {
                    wait_copies<LATE>();
                    show_copies();
                    arrive(&filled[(step - LATE) % STAGES]);
                }
            }
        }
        if (Left::BOXED) return;
        wait_copies<0>();
        show_copies();
        for (uint32_t last = step > LATE ? step - LATE : 0; last < step; last++) arrive(&filled[last % STAGES]);
        return;
    }
    take_registers<Left::MULTIPLYING>();
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
    count_hopper<Bits, 2, 1, 256, 4, false>(Boxes{a, (int)m}, w, (int)m, n, words, planes, f);
}

KERNEL(384) hopper_256x192(const __grid_constant__ TensorMap a, const __grid_constant__ TensorMap w,
                           long long m, int n, int words, int planes, Finish f) {
    count_hopper<Bits, 2, 2, 192, 4, false>(Boxes{a, (int)m}, w, (int)m, n, words, planes, f);
}

KERNEL(384) hopper_128x128(const __grid_constant__ TensorMap a, const __grid_constant__ TensorMap w,
                           long long m, int n, int words, int planes, Finish f) {
    count_hopper<Bits, 2, 1, 128, 6, false>(Boxes{a, (int)m}, w, (int)m, n, words, planes, f);
}

KERNEL(384) hopper_planes(const __grid_constant__ TensorMap a, const __grid_constant__ TensorMap w,
                          long long m, int n, int words, int planes, Finish f) {
    count_hopper<Bits, 2, 1, 128, 6, true>(Boxes{a, (int)m}, w, (int)m, n, words, planes, f);
}

KERNEL(384) hopper_bytes_256x192(const __grid_constant__ TensorMap a, const __grid_constant__ TensorMap w,
                                 long long m, int n, int words, int planes, Finish f) {
    count_hopper<Bytes, 2, 2, 192, 4, false>(Boxes{a, (int)m}, w, (int)m, n, words, planes, f);
}

KERNEL(384) hopper_bytes_128x256(const __grid_constant__ TensorMap a, const __grid_constant__ TensorMap w,
                                 long long m, int n, int words, int planes, Finish f) {
    count_hopper<Bytes, 2, 1, 256, 4, false>(Boxes{a, (int)m}, w, (int)m, n, words, planes, f);
}

KERNEL(384) hopper_bytes_128x128(const __grid_constant__ TensorMap a, const __grid_constant__ TensorMap w,
                                 long long m, int n, int words, int planes, Finish f) {
    count_hopper<Bytes, 2, 1, 128, 6, false>(Boxes{a, (int)m}, w, (int)m, n, words, planes, f);
}

KERNEL(384) hopper_windows_128x256(const uint32_t* a, const __grid_constant__ TensorMap w, long long m, int n,
                                   int words, int planes, Finish f, Pixels pixels) {
    count_hopper<Bits, 2, 1, 256, 4, false>(Moving{{a, m, pixels}}, w, (int)m, n, words, planes, f);
}

KERNEL(384) hopper_windows_128x128(const uint32_t* a, const __grid_constant__ TensorMap w, long long m, int n,
                                   int words, int planes, Finish f, Pixels pixels) {
    count_hopper<Bits, 2, 1, 128, 6, false>(Moving{{a, m, pixels}}, w, (int)m, n, words, planes, f);
}
