// What happens to the counts of a product: put in front of every file with one.
//
// A sum is `factor * count + row term + column term`, and what earlier passes left. Where sums are
// cut, the cut is in the column term already: a sign is set where the sum is not negative.

struct Finish {
    const int* previous;     // sums of earlier passes [m][n], or none
    const int* row_terms;    // [m], or none
    const int* column_terms; // [classes][term_stride], or none; readable up to the end of any tile
    const int* classes;      // class of a row's place in its image, or none: all 0
    int positions;           // places of an image
    int factor;              // of this pass's counts
    float scale;             // of the reals
    int term_stride;         // of the column terms
    int sign_stride;         // words per row of signs
    int unused;
    // One of these three is given:
    int* sums;               // [m][n], for the next pass
    float* reals;            // [m][n]
    uint32_t* signs;         // [m][sign_stride]
};

// The column terms of an output row, where there are some.
__device__ __forceinline__ const int* column_terms_of(const Finish& f, long long row) {
    int of = f.classes ? f.classes[(uint32_t)row % (uint32_t)f.positions] : 0;
    return f.column_terms + (long long)of * f.term_stride;
}

// Four neighbours of a row.
struct alignas(16) Four { int at[4]; };

// Outputs of a warp: TM strips of 16 rows by TN * 8 columns. They lie as the tensor cores leave them: lane l has rows l / 4 and l / 4 + 8 of a strip, of every 8
// columns those at l % 4 * 2 and the next. One step after the other is taken for all of them, in
// registers: what a step loads is under way at once, and no step is there for every combination.
// TN is a multiple of 4, so that the lanes of a quad, which have the same rows, make whole words of
// signs.
template <int TM, int TN>
struct Outputs {
    static constexpr int ROWS = TM * 2; // of the lane
    const Finish& f;
    int (*counts)[TN][4]; // of every strip, and what becomes of them
    int first_row, first_column, m, n;

    __device__ __forceinline__ int lane() const { return threadIdx.x % WARP; }
    __device__ __forceinline__ int row(int at) const {
        return first_row + at * 8 + lane() / 4;
    }
    // The same, or the last one, whose terms are there to be read.
    __device__ __forceinline__ int row_there(int at) const { return min(row(at), m - 1); }
    __device__ __forceinline__ int column(int j) const { return first_column + j * 8 + lane() % 4 * 2; }
    __device__ __forceinline__ int& value(int at, int j, int c) const {
        return counts[at / 2][j][at % 2 * 2 + c];
    }

    // Counts become sums, but for what is added below.
    __device__ __forceinline__ void scale() const {
        int terms[ROWS] = {};
        if (f.row_terms) {
#pragma unroll
            for (int at = 0; at < ROWS; at++) terms[at] = f.row_terms[row_there(at)];
        }
#pragma unroll
        for (int at = 0; at < ROWS; at++)
#pragma unroll
            for (int j = 0; j < TN; j++)
#pragma unroll
                for (int c = 0; c < 2; c++) value(at, j, c) = f.factor * value(at, j, c) + terms[at];
    }

    __device__ __forceinline__ void add_previous() const {
        int left = n - column(0);
#pragma unroll
        for (int at = 0; at < ROWS; at++) {
            const int* line = f.previous + (long long)row_there(at) * n + column(0);
#pragma unroll
            for (int j = 0; j < TN; j++)
#pragma unroll
                for (int c = 0; c < 2; c++) value(at, j, c) += j * 8 + c < left ? line[j * 8 + c] : 0;
        }
    }

    __device__ __forceinline__ void add_column(int at, int j, int2 term) const {
        value(at, j, 0) += term.x;
        value(at, j, 1) += term.y;
    }

    __device__ __forceinline__ void add_columns() const {
#pragma unroll
        for (int j = 0; j < TN; j++) {
            int2 term = *reinterpret_cast<const int2*>(f.column_terms + column(j));
#pragma unroll
            for (int at = 0; at < ROWS; at++) add_column(at, j, term);
        }
    }

    // The same where rows are of several classes.
    __device__ __forceinline__ void add_classes() const {
#pragma unroll
        for (int at = 0; at < ROWS; at++) {
            const int* terms = column_terms_of(f, row_there(at));
#pragma unroll
            for (int j = 0; j < TN; j++) {
                add_column(at, j, *reinterpret_cast<const int2*>(terms + column(j)));
            }
        }
    }

    // Signs of 32 columns: of each byte of the word, a lane has two bits.
    __device__ __forceinline__ uint32_t word(int at, int group) const {
        uint32_t word = 0;
#pragma unroll
        for (int j = 0; j < 4; j++)
#pragma unroll
            for (int c = 0; c < 2; c++) {
                word |= (uint32_t)(value(at, group * 4 + j, c) >= 0) << (j * 8 + c);
            }
        word <<= lane() % 4 * 2;
        word |= __shfl_xor_sync(ALL, word, 1);
        return word | __shfl_xor_sync(ALL, word, 2);
    }

    // The lanes of a quad store four words at a time, one each.
    __device__ __forceinline__ void store_signs() const {
        constexpr int WORDS = TN / 4, ALL_WORDS = ROWS * WORDS;
        uint32_t mine = 0;
#pragma unroll
        for (int i = 0; i < ALL_WORDS; i++) {
            uint32_t made = word(i / WORDS, i % WORDS);
            if (lane() % 4 == i % 4) mine = made;
            if (i % 4 < 3 && i < ALL_WORDS - 1) continue;
            int which = i / 4 * 4 + lane() % 4;
            int to = row(which / WORDS), at = first_column / WARP + which % WORDS;
            if (which < ALL_WORDS && to < m && at < f.sign_stride) {
                f.signs[(long long)to * f.sign_stride + at] = mine;
            }
        }
    }

    __device__ __forceinline__ void to_reals() const {
#pragma unroll
        for (int at = 0; at < ROWS; at++)
#pragma unroll
            for (int j = 0; j < TN; j++)
#pragma unroll
                for (int c = 0; c < 2; c++) {
                    value(at, j, c) = (int)__float_as_uint((float)value(at, j, c) * f.scale);
                }
    }

    // Two lanes give each other a pair, so that one has four neighbours of these 8 columns, the other of
    // the next 8: a quad stores 64 bytes of a row at once.
    __device__ __forceinline__ void store(int* out) const {
        bool odd = lane() % 2;
#pragma unroll
        for (int at = 0; at < ROWS; at++)
#pragma unroll
            for (int j = 0; j < TN; j += 2) {
                Four four;
#pragma unroll
                for (int c = 0; c < 2; c++) {
                    int low = value(at, j, c), high = value(at, j + 1, c);
                    int other = __shfl_xor_sync(ALL, odd ? low : high, 1);
                    four.at[c] = odd ? other : low;
                    four.at[c + 2] = odd ? high : other;
                }
                int column = first_column + (j + odd) * 8 + lane() % 4 / 2 * 4;
                if (row(at) < m) store_four(out + (long long)row(at) * n + column, n - column, four);
            }
    }

    // As many as are left of a row; together where rows lie evenly.
    __device__ __forceinline__ void store_four(int* to, int left, const Four& four) const {
        if (n % 4 == 0) {
            if (left > 0) *reinterpret_cast<Four*>(to) = four;
            return;
        }
#pragma unroll
        for (int c = 0; c < 4; c++) {
            if (c < left) to[c] = four.at[c];
        }
    }

    __device__ __forceinline__ void finish() const {
        scale();
        if (f.previous) add_previous();
        if (f.classes) {
            add_classes();
        } else if (f.column_terms) {
            add_columns();
        }
        if (f.signs) {
            store_signs();
            return;
        }
        if (f.reals) to_reals();
        store(f.reals ? reinterpret_cast<int*>(f.reals) : f.sums);
    }
};
