// Tiles of packed signs on tensor cores that a warp feeds: put in front of every file with such products.
//
// Blocks copy tiles of both operands to shared memory, several stages ahead, 1024 bits of k at a time.

constexpr int STAGES = 3;

#ifdef BNN_EMULATED
struct Quad { uint32_t at[4]; };
inline Quad load_matrices(const uint32_t* row) {
    unsigned me = emulation::current % 32;
    return emulation::exchange(row, [&](auto lane) {
        Quad quad;
        for (unsigned i = 0; i < 4; i++) quad.at[i] = lane(i * 8 + me / 4)[me % 4];
        return quad;
    });
}
#else
struct Quad { uint32_t at[4]; };
// Four 8 x 16-byte matrices; lane i gives the address of row i % 8 of matrix i / 8.
__device__ __forceinline__ Quad load_matrices(const uint32_t* row) {
    Quad q;
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(q.at[0]), "=r"(q.at[1]), "=r"(q.at[2]), "=r"(q.at[3])
                 : "r"(shared_address(row)) : "memory");
    return q;
}
#endif

// Copies one stage of `ROWS` rows, `ACROSS` chunks of each, zeros where rows or words end.
template <int ROWS, int ACROSS, int THREADS>
__device__ __forceinline__ void copy_tile(uint32_t* tile, const uint32_t* from, long long first,
                                          long long rows, int k, int words) {
    for (int at = threadIdx.x; at < ROWS * ACROSS; at += THREADS) {
        int row = at / ACROSS, chunk = at % ACROSS;
        bool inside = first + row < rows && k + chunk * 4 < words;
        const uint32_t* source = inside ? from + (first + row) * words + k + chunk * 4 : from;
        copy_async(tile + row * ACROSS * 4 + (chunk ^ row % ACROSS) * 4, source, inside);
    }
}

// Two chunks of 16 rows each: rows 0-7 and 8-15 of the first chunk, then of the second.
template <int TM>
__device__ __forceinline__ void load_rows(Quad (&parts)[TM], const uint32_t* tile, int chunk) {
    int lane = threadIdx.x % WARP;
#pragma unroll
    for (int i = 0; i < TM; i++) {
        int row = i * 16 + lane % 16;
        parts[i] = load_matrices(tile + row * STAGE_WORDS + ((chunk + lane / 16) ^ row % CHUNKS) * 4);
    }
}

// A warp's share of a stage where both operands are packed signs; `multiply`, of every file that has
// such products, counts 256 bits of k, which are two chunks; UNROLLED of them in a row.
template <int UNROLLED>
struct Bits {
    static constexpr int W_CHUNKS = CHUNKS; // per row of the weights and stage

    // Of `left` words of k; the tiles begin with the warp's rows.
    template <int TM, int TN>
    static __device__ __forceinline__ void stage(int (&counts)[TM][TN][4], const uint32_t* a_tile,
                                                 const uint32_t* w_tile, int left) {
        int lane = threadIdx.x % WARP;
#pragma unroll UNROLLED
        for (int k = 0; k < CHUNKS; k += 2) {
            if (k * 4 >= left) break; // the rest of the row is zeros
            Quad a_parts[TM], w_parts[TN / 2];
            load_rows(a_parts, a_tile, k);
#pragma unroll
            for (int j = 0; j < TN / 2; j++) {
                // Matrices: both chunks of columns 0-7, then of columns 8-15.
                int row = j * 16 + lane / 16 * 8 + lane % 8, chunk = k + lane / 8 % 2;
                w_parts[j] = load_matrices(w_tile + row * STAGE_WORDS + (chunk ^ row % CHUNKS) * 4);
            }
            multiply(counts, a_parts, w_parts);
        }
    }
};

// A left operand whose rows lie one after the other; what a thread copies of a stage.
struct Lines {
    const uint32_t* at;
    long long count; // of a plane
    int words;

    template <int BM, int THREADS>
    struct Share {
        const Lines& lines;
        long long first;

        __device__ __forceinline__ Share(const Lines& all, long long row0) : lines(all), first(row0) {}
        __device__ __forceinline__ void copy(uint32_t* tile, int plane, int k) const {
            const uint32_t* from = lines.at + plane * lines.count * lines.words;
            copy_tile<BM, CHUNKS, THREADS>(tile, from, first, lines.count, k, lines.words);
        }
    };
};

// A block of BM x BN outputs; its warps take WM x WN each. `Operands` says what lies in a stage, and
// `Left` where it comes from.
template <class Operands, int BM, int BN, int WM, int WN, class Left>
__device__ __forceinline__ void count_tile(const Left& a, const uint32_t* w, long long m, int n,
                                           int words, int planes, const Finish& f) {
    constexpr int THREADS = BM / WM * (BN / WN) * WARP;
    constexpr int W_WORDS = Operands::W_CHUNKS * 4;
    constexpr int STAGE = BM * STAGE_WORDS + BN * W_WORDS;
    constexpr int TM = WM / 16, TN = WN / 8;
    DYNAMIC_SHARED(uint32_t, tiles);
    int warp = threadIdx.x / WARP;
    long long row0 = (long long)blockIdx.x * BM;
    int column0 = blockIdx.y * BN;
    int warp_row = warp / (BN / WN) * WM, warp_column = warp % (BN / WN) * WN;
    int steps = (words + STAGE_WORDS - 1) / STAGE_WORDS, total = steps * planes;
    int w_words = words / (STAGE_WORDS / W_WORDS); // of a row of the weights
    int counts[TM][TN][4] = {};
    typename Left::template Share<BM, THREADS> left(a, row0);

    // Stage `step` of all; planes go from the last to the first.
    auto fetch = [&](int step) {
        if (step < total) {
            uint32_t* tile = tiles + step % STAGES * STAGE;
            int k = step % steps;
            left.copy(tile, planes - 1 - step / steps, k * STAGE_WORDS);
            copy_tile<BN, Operands::W_CHUNKS, THREADS>(tile + BM * STAGE_WORDS, w, column0, n,
                                                       k * W_WORDS, w_words);
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
        const uint32_t* tile = tiles + step % STAGES * STAGE;
        Operands::stage(counts, tile + warp_row * STAGE_WORDS,
                        tile + BM * STAGE_WORDS + warp_column * W_WORDS,
                        words - step % steps * STAGE_WORDS);
    }
#pragma unroll
    for (int i = 0; i < TM; i++) {
        finish_rows<TN>(f, &counts[i], (int)row0 + warp_row + i * 16, column0 + warp_column, (int)m, n);
    }
}
