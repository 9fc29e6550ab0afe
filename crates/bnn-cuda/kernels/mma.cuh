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

// Where a chunk of a row of a tile lies; chunk c is at the word of chunk 0 ^ c * 4.
__device__ __forceinline__ int word_of(int row, int chunk) {
    return row * STAGE_WORDS + (chunk ^ row % CHUNKS) * 4;
}

// What a lane loads of two chunks of a warp's rows, or columns, from `first` on. Matrices are rows 0-7
// and 8-15 of the first chunk, then of the second; of columns, both chunks of 0-7, then of 8-15.
__device__ __forceinline__ int row_word(int first) {
    int lane = threadIdx.x % WARP;
    return word_of(first + lane % 16, lane / 16);
}
__device__ __forceinline__ int column_word(int first) {
    int lane = threadIdx.x % WARP;
    return word_of(first + lane / 16 * 8 + lane % 8, lane / 8 % 2);
}

// Two chunks of 16 rows or columns each; what the lane loads of the first ones lies there.
template <int PARTS>
__device__ __forceinline__ void load_parts(Quad (&parts)[PARTS], const uint32_t* first) {
#pragma unroll
    for (int i = 0; i < PARTS; i++) parts[i] = load_matrices(first + i * 16 * STAGE_WORDS);
}

// A warp's share of a stage where both operands are packed signs; `multiply`, of every file that has
// such products, counts 256 bits of k, which are two chunks. Where the parts of a whole stage are all
// UNROLLED, no branch keeps loads from going ahead of products.
template <bool UNROLLED>
struct Bits {
    static constexpr int W_CHUNKS = CHUNKS; // per row of the weights and stage

    static __device__ __forceinline__ int weights_word(int first) { return column_word(first); }

    // Of `left` words of k; what the lane loads begins at these words of the tiles.
    template <int TM, int TN>
    static __device__ __forceinline__ void stage(int (&counts)[TM][TN][4], const uint32_t* tiles,
                                                 int a_word, int w_word, int left) {
        auto part = [&](int chunk) {
            Quad a_parts[TM], w_parts[TN / 2];
            load_parts(a_parts, tiles + (a_word ^ chunk * 4));
            load_parts(w_parts, tiles + (w_word ^ chunk * 4));
            multiply(counts, a_parts, w_parts);
        };
        if (UNROLLED && left >= STAGE_WORDS) {
#pragma unroll
            for (int chunk = 0; chunk < CHUNKS; chunk += 2) part(chunk);
        } else {
#pragma unroll 1
            for (int chunk = 0; chunk < CHUNKS && chunk * 4 < left; chunk += 2) part(chunk);
        }
    }
};

// A left operand whose rows lie one after the other.
struct Lines {
    const uint32_t* at;
    long long count; // of a plane
    int words;

    // What a thread copies of ROWS rows, ACROSS chunks of each row and stage: the same rows and the
    // same chunk in every stage. Zeros where rows or words end.
    template <int ROWS, int ACROSS, int THREADS>
    struct Share {
        static constexpr int APART = THREADS / ACROSS; // rows
        const Lines& lines;
        int rows;             // from the thread's first one on
        const uint32_t* from; // its chunk of this row, in the next stage

        __device__ __forceinline__ Share(const Lines& all, long long row0, int plane) : lines(all) {
            long long row = row0 + threadIdx.x / ACROSS;
            rows = (int)min(lines.count - row, (long long)ROWS);
            from = lines.at + (plane * lines.count + row) * lines.words + threadIdx.x % ACROSS * 4;
        }

        // Copies stage `step` of the rows.
        __device__ __forceinline__ void copy(uint32_t* tile, int step) {
            int row = threadIdx.x / ACROSS, chunk = threadIdx.x % ACROSS;
            bool deep = chunk * 4 < lines.words - step * ACROSS * 4;
            tile += (row * ACROSS + (chunk ^ row % ACROSS)) * 4;
            const uint32_t* source = from;
#pragma unroll
            for (int at = 0; at < ROWS; at += APART, source += (long long)APART * lines.words) {
                if (APART > ROWS && row >= ROWS) break; // more threads than chunks
                copy_async(tile + at * ACROSS * 4, source, deep && at < rows);
            }
            from += ACROSS * 4;
        }

        // Back to the first of so many stages.
        __device__ __forceinline__ void again(int steps) { from -= steps * ACROSS * 4; }
        // And to the plane before.
        __device__ __forceinline__ void before(int steps) {
            again(steps);
            from -= lines.count * lines.words;
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
    Lines weights{w, n, words / (STAGE_WORDS / W_WORDS)};

    // Stages are copied ahead, plane after plane, from the last one to the first.
    int steps = (words + STAGE_WORDS - 1) / STAGE_WORDS, step = 0;
    int plane = steps ? planes - 1 : -1;
    typename Left::template Share<BM, CHUNKS, THREADS> left(a, row0, planes - 1);
    Lines::Share<BN, Operands::W_CHUNKS, THREADS> right(weights, column0, 0);
    auto fetch = [&](uint32_t* stage) {
        if (plane >= 0) {
            left.copy(stage, step);
            right.copy(stage + BM * STAGE_WORDS, step);
            if (++step == steps) {
                left.before(steps);
                right.again(steps);
                step = 0;
                plane--;
            }
        }
        commit_copies(); // an empty group too: the count of groups tells what has come
    };
    for (int i = 0; i < STAGES - 1; i++) fetch(tiles + i * STAGE);

    int a_word = row_word(warp_row), w_word = BM * STAGE_WORDS + Operands::weights_word(warp_column);
    int counts[TM][TN][4] = {};
    int stage = 0, free = (STAGES - 1) * STAGE; // where the next one lies, and the one before did
    for (int pass = 0; pass < planes; pass++) {
#pragma unroll
        for (int i = 0; i < TM; i++)
#pragma unroll
            for (int j = 0; j < TN; j++)
#pragma unroll
                for (int c = 0; c < 4; c++) counts[i][j][c] *= 2; // Horner
        for (int k = 0; k < words; k += STAGE_WORDS) {
            wait_copies<STAGES - 2>();
            __syncthreads(); // this stage is here, and the one before is free
            fetch(tiles + free);
            Operands::stage(counts, tiles, stage + a_word, stage + w_word, words - k);
            free = stage;
            stage = stage == (STAGES - 1) * STAGE ? 0 : stage + STAGE;
        }
    }
    int row = (int)row0 + warp_row, column = column0 + warp_column;
    Outputs<TM, TN>{f, counts, row, column, (int)m, n}.finish();
}
