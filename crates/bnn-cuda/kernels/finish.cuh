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

// The column terms of an output row.
__device__ __forceinline__ const int* column_terms_of(const Finish& f, long long row) {
    if (!f.column_terms) return nullptr;
    int of = f.classes ? f.classes[(uint32_t)row % (uint32_t)f.positions] : 0;
    return f.column_terms + (long long)of * f.term_stride;
}

// Stores two neighbours of a row of n; together where they lie evenly.
template <class T, class Pair>
__device__ __forceinline__ void store_pair(T* line, int column, int n, T first, T second) {
    if (n % 2 == 0 && column < n) {
        *reinterpret_cast<Pair*>(line + column) = Pair{first, second};
        return;
    }
    if (column < n) line[column] = first;
    if (column + 1 < n) line[column + 1] = second;
}

// Finishes 16 rows by TN * 8 columns whose counts lie as the tensor cores leave them: lane l holds
// rows l / 4 and l / 4 + 8, of every 8 columns those at l % 4 * 2 and the next.
// TN is a multiple of 4, so that the lanes of a quad make whole words of signs.
template <int TN>
__device__ __forceinline__ void finish_rows(const Finish& f, int (*counts)[TN][4], int first_row,
                                            int first_column, int m, int n) {
    int lane = threadIdx.x % WARP, factor = f.factor;
    int mine = first_column + lane % 4 * 2;
#pragma unroll
    for (int half = 0; half < 2; half++) {
        int row = first_row + lane / 4 + half * 8;
        bool here = row < m;
        int row_term = here && f.row_terms ? f.row_terms[row] : 0;
        const int* terms = column_terms_of(f, here ? row : 0);
        if (f.previous && here) {
            const int* line = f.previous + (long long)row * n;
#pragma unroll
            for (int j = 0; j < TN; j++) {
#pragma unroll
                for (int c = 0; c < 2; c++) {
                    int& count = (*counts)[j][half * 2 + c];
                    int column = mine + j * 8 + c;
                    count = f.factor * count + (column < n ? line[column] : 0);
                }
            }
            factor = 1;
        }
        if (f.signs) {
            // Words of a quad's lanes: bit j of a lane's byte goes where its columns lie.
#pragma unroll
            for (int group = 0; group < TN / 4; group++) {
                uint32_t word = 0;
#pragma unroll
                for (int j = 0; j < 4; j++) {
                    int2 term = *reinterpret_cast<const int2*>(terms + mine + (group * 4 + j) * 8);
                    const int* count = &(*counts)[group * 4 + j][half * 2];
                    if (factor * count[0] + term.x + row_term >= 0) word |= 1u << j * 8;
                    if (factor * count[1] + term.y + row_term >= 0) word |= 2u << j * 8;
                }
                word <<= lane % 4 * 2;
                word |= __shfl_xor_sync(ALL, word, 1);
                word |= __shfl_xor_sync(ALL, word, 2);
                int at = first_column / WARP + group;
                if (lane % 4 == group % 4 && here && at < f.sign_stride) {
                    f.signs[(long long)row * f.sign_stride + at] = word;
                }
            }
            continue;
        }
        if (!here) continue;
        long long line = (long long)row * n;
#pragma unroll
        for (int j = 0; j < TN; j++) {
            int column = mine + j * 8;
            int2 term = terms ? *reinterpret_cast<const int2*>(terms + column) : int2{0, 0};
            int first = factor * (*counts)[j][half * 2] + term.x + row_term;
            int second = factor * (*counts)[j][half * 2 + 1] + term.y + row_term;
            if (f.sums) {
                store_pair<int, int2>(f.sums + line, column, n, first, second);
            } else {
                store_pair<float, float2>(f.reals + line, column, n, (float)first * f.scale,
                                          (float)second * f.scale);
            }
        }
    }
}
