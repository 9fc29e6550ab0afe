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

// One whose rows are windows over images, of one plane, which a warpgroup copies itself.
struct Moving {
    static constexpr bool BOXED = false;
    static constexpr int COPIERS = GROUP;
    static constexpr int COPYING = 88, MULTIPLYING = 208;
    Images images;

    template <int BM>
    struct Share {
        Images::Share<BM, CHUNKS, GROUP> windows;

        __device__ __forceinline__ Share(const Moving& all, int row0) : windows(all.images, row0, 0) {}
        __device__ __forceinline__ void copy(unsigned char* tile, int, int word, Barrier*) {
            windows.copy(reinterpret_cast<uint32_t*>(tile), word / STAGE_WORDS);
            commit_copies();
        }
    };
};

constexpr int CONSUMERS = 2;       // warpgroups that multiply
constexpr int LATE = 2;            // stages that threads copy before they see to it that the first has come

// Tiles of MT * 64 rows by BN columns per consumer: both share one of twice the rows, or, with TURNS, take
// one after the other, so that one multiplies while the other finishes.
template <int MT_, int BN_, int STAGES_, bool TURNS_ = false>
struct Tiling {
    static constexpr int MT = MT_, BN = BN_, STAGES = STAGES_;
    static constexpr bool TURNS = TURNS_;
    static constexpr int SHARING = TURNS ? 1 : CONSUMERS, BM = SHARING * MT * 64;
    static constexpr int BYTES = (BM + BN) * ROW_BYTES; // of a stage

    // Tiles of a product, which blocks share out like cards.
    int rows, columns;

    __device__ __forceinline__ Tiling(int m, int n, const Finish& f) {
        int written = f.signs ? f.sign_stride * 32 : n; // signs up to the end of their stride
        rows = (m + BM - 1) / BM;
        columns = (written + BN - 1) / BN;
    }
    __device__ __forceinline__ int count() const { return rows * columns; }
};

// What consumers and those who copy tell each other.
template <class T>
struct Barriers {
    Barrier filled[T::STAGES], left[T::STAGES];
    Barrier multiplied[CONSUMERS]; // a tile, where consumers take turns
};

template <class T, class Left>
__device__ __forceinline__ void start(Barriers<T>& barriers) {
    if (threadIdx.x == 0) {
        for (int i = 0; i < T::STAGES; i++) {
            barrier_start(&barriers.filled[i], Left::BOXED ? 1 : 1 + GROUP);
            barrier_start(&barriers.left[i], T::SHARING);
        }
        for (int i = 0; i < CONSUMERS; i++) barrier_start(&barriers.multiplied[i], 1);
        publish_barriers();
    }
    __syncthreads();
}

// The first warpgroup copies the stages of all tiles of its block, as soon as there is room for them.
template <class T, class Left>
__device__ __forceinline__ void copy_tiles(const T& tiling, Barriers<T>& barriers, unsigned char* tiles,
                                           const Left& a, const TensorMap& w_map, int steps, int planes) {
    static_assert(T::STAGES >= LATE + 1, "a consumer's stage is announced before its room is waited for");
    leave_registers<Left::COPYING>();
    if (threadIdx.x >= Left::COPIERS) return;
    uint32_t step = 0; // of all tiles of this block
    for (int at = blockIdx.x; at < tiling.count(); at += gridDim.x) {
        int tile_row, tile_column;
        tile_of(at, tiling.rows, tiling.columns, tile_row, tile_column);
        typename Left::template Share<T::BM> rows(a, tile_row * T::BM);
        for (int k = 0; k < steps * planes; k++, step++) {
            int stage = step % T::STAGES, word = k % steps * STAGE_WORDS;
            if (!Left::BOXED && step >= LATE) { // before it waits for room, which may be long
                wait_copies<LATE - 1>();
                show_copies();
                arrive(&barriers.filled[(step - LATE) % T::STAGES]);
            }
            if (step >= T::STAGES) wait(&barriers.left[stage], (step / T::STAGES - 1) & 1);
            unsigned char* tile = tiles + stage * T::BYTES;
            Barrier* filled = &barriers.filled[stage];
            if (threadIdx.x == 0) {
                arrive_expecting(filled, Left::BOXED ? T::BYTES : T::BN * ROW_BYTES);
                copy_box(tile + T::BM * ROW_BYTES, &w_map, word, tile_column * T::BN, filled);
            }
            rows.copy(tile, planes - 1 - k / steps, word, filled);
        }
    }
    if (Left::BOXED) return;
    wait_copies<0>();
    show_copies();
    for (uint32_t last = step > LATE ? step - LATE : 0; last < step; last++) {
        arrive(&barriers.filled[last % T::STAGES]);
    }
}

// Counts of a consumer's rows of a tile over the stages of a plane.
template <class Kind, class T>
__device__ __forceinline__ void multiply_plane(int (&counts)[T::MT][T::BN / 8][4], Barriers<T>& barriers,
                                               unsigned char* tiles, int first_row, int steps,
                                               uint32_t& step) {
    for (int k = 0; k < steps; k++, step++) {
        int stage = step % T::STAGES;
        wait(&barriers.filled[stage], step / T::STAGES & 1);
        unsigned char* tile = tiles + stage * T::BYTES;
        uint64_t w = describe(tile + T::BM * ROW_BYTES);
        start_mma();
#pragma unroll
        for (int part = 0; part < 4; part++) { // of 32 bytes: two units of 16
#pragma unroll
            for (int i = 0; i < T::MT; i++) {
                uint64_t a = describe(tile + (first_row + i * 64) * ROW_BYTES);
                mma_async(Kind{}, counts[i], a + part * 2, w + part * 2, k + part);
            }
        }
        commit_mma();
        wait_mma<1>(); // the stage before is done with
        if (k > 0 && threadIdx.x % GROUP == 0) arrive(&barriers.left[(step - 1) % T::STAGES]);
    }
    wait_mma<0>();
#pragma unroll
    for (int i = 0; i < T::MT; i++) settle(counts[i]);
    if (threadIdx.x % GROUP == 0) arrive(&barriers.left[(step - 1) % T::STAGES]);
}

// Blocks make tile after tile: while the consumers finish one, the copies for the next are under way.
// With PLANES, planes of weights 1, 2, 4.. are summed by Horner's rule in a second set of registers
// (MT is 1 then).
template <class Kind, class T, bool PLANES, class Left>
__device__ __forceinline__ void count_hopper(const Left& a, const TensorMap& w_map, int m, int n,
                                             int words, int planes, const Finish& f) {
    __shared__ Barriers<T> barriers;
    DYNAMIC_SHARED(unsigned char, tiles);
    T tiling(m, n, f);
    int steps = (words + STAGE_WORDS - 1) / STAGE_WORDS;
    start<T, Left>(barriers);
    if (threadIdx.x < GROUP) {
        copy_tiles(tiling, barriers, tiles, a, w_map, steps, planes);
        return;
    }
    take_registers<Left::MULTIPLYING>();
    int group = threadIdx.x / GROUP - 1, first_row = T::TURNS ? 0 : group * T::MT * 64;
    int turn = T::TURNS ? group : 0; // of the block's tiles
    for (int at; (at = blockIdx.x + turn * gridDim.x) < tiling.count(); turn += T::TURNS ? CONSUMERS : 1) {
        int tile_row, tile_column;
        tile_of(at, tiling.rows, tiling.columns, tile_row, tile_column);
        int counts[T::MT][T::BN / 8][4];
        int totals[PLANES ? T::BN / 8 : 1][4] = {};
        uint32_t step = turn * steps * planes; // of all tiles of this block
        // Who waits for a stage has to know that the one before in its place has come.
        if (T::TURNS && turn > 0) {
            wait(&barriers.multiplied[(turn - 1) % CONSUMERS], (turn - 1) / CONSUMERS & 1);
        }
        for (int plane = 0; plane < (PLANES ? planes : 1); plane++) {
            multiply_plane<Kind, T>(counts, barriers, tiles, first_row, steps, step);
            if constexpr (PLANES) {
#pragma unroll
                for (int j = 0; j < T::BN / 8; j++)
#pragma unroll
                    for (int c = 0; c < 4; c++) totals[j][c] = 2 * totals[j][c] + counts[0][j][c];
            }
        }
        if (T::TURNS && threadIdx.x % GROUP == 0) arrive(&barriers.multiplied[group]);
        int row = tile_row * T::BM + first_row + threadIdx.x % GROUP / WARP * 16;
        if constexpr (PLANES) {
            Outputs<1, T::BN / 8>{f, &totals, row, tile_column * T::BN, m, n}.finish();
        } else {
#pragma unroll
            for (int i = 0; i < T::MT; i++) {
                Outputs<1, T::BN / 8>{f, &counts[i], row + i * 64, tile_column * T::BN, m, n}.finish();
            }
        }
    }
}

KERNEL(384) hopper_128x256(const __grid_constant__ TensorMap a, const __grid_constant__ TensorMap w,
                           long long m, int n, int words, int planes, Finish f) {
    count_hopper<OfBits, Tiling<1, 256, 4>, false>(Boxes{a, (int)m}, w, (int)m, n, words, planes, f);
}

KERNEL(384) hopper_256x192(const __grid_constant__ TensorMap a, const __grid_constant__ TensorMap w,
                           long long m, int n, int words, int planes, Finish f) {
    count_hopper<OfBits, Tiling<2, 192, 4>, false>(Boxes{a, (int)m}, w, (int)m, n, words, planes, f);
}

KERNEL(384) hopper_128x128(const __grid_constant__ TensorMap a, const __grid_constant__ TensorMap w,
                           long long m, int n, int words, int planes, Finish f) {
    count_hopper<OfBits, Tiling<1, 128, 6>, false>(Boxes{a, (int)m}, w, (int)m, n, words, planes, f);
}

KERNEL(384) hopper_planes(const __grid_constant__ TensorMap a, const __grid_constant__ TensorMap w,
                          long long m, int n, int words, int planes, Finish f) {
    count_hopper<OfBits, Tiling<1, 128, 6>, true>(Boxes{a, (int)m}, w, (int)m, n, words, planes, f);
}

KERNEL(384) hopper_bytes_256x192(const __grid_constant__ TensorMap a, const __grid_constant__ TensorMap w,
                                 long long m, int n, int words, int planes, Finish f) {
    count_hopper<OfBytes, Tiling<2, 192, 4>, false>(Boxes{a, (int)m}, w, (int)m, n, words, planes, f);
}

KERNEL(384) hopper_bytes_128x256(const __grid_constant__ TensorMap a, const __grid_constant__ TensorMap w,
                                 long long m, int n, int words, int planes, Finish f) {
    count_hopper<OfBytes, Tiling<1, 256, 4>, false>(Boxes{a, (int)m}, w, (int)m, n, words, planes, f);
}

KERNEL(384) hopper_bytes_128x128(const __grid_constant__ TensorMap a, const __grid_constant__ TensorMap w,
                                 long long m, int n, int words, int planes, Finish f) {
    count_hopper<OfBytes, Tiling<1, 128, 6>, false>(Boxes{a, (int)m}, w, (int)m, n, words, planes, f);
}

KERNEL(384) hopper_windows_128x256(const uint32_t* a, const __grid_constant__ TensorMap w, long long m, int n,
                                   int words, int planes, Finish f, Pixels pixels) {
    count_hopper<OfBits, Tiling<1, 256, 4>, false>(Moving{{a, m, pixels}}, w, (int)m, n, words, planes, f);
}

KERNEL(384) hopper_windows_128x128(const uint32_t* a, const __grid_constant__ TensorMap w, long long m, int n,
                                   int words, int planes, Finish f, Pixels pixels) {
    count_hopper<OfBits, Tiling<1, 128, 6>, false>(Moving{{a, m, pixels}}, w, (int)m, n, words, planes, f);
}

KERNEL(384) hopper_turns_128x192(const __grid_constant__ TensorMap a, const __grid_constant__ TensorMap w,
                                 long long m, int n, int words, int planes, Finish f) {
    count_hopper<OfBits, Tiling<2, 192, 5, true>, false>(Boxes{a, (int)m}, w, (int)m, n, words, planes, f);
}

KERNEL(384) hopper_bytes_turns_128x192(const __grid_constant__ TensorMap a, const __grid_constant__ TensorMap w,
                                       long long m, int n, int words, int planes, Finish f) {
    count_hopper<OfBytes, Tiling<2, 192, 5, true>, false>(Boxes{a, (int)m}, w, (int)m, n, words, planes, f);
}
