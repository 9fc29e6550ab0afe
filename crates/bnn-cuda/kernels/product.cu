// Sign products on plain cores: any GPU, and the oracle of the faster kernels.

constexpr int TILE = 64;   // rows and columns of a block's tile
constexpr int DEPTH = 16;  // words of k in shared memory at a time
constexpr int ROWS = 16;   // rows per thread; its lane is the column

// Counts of common bits of every row of `a` with every row of `w`; planes of `a` of weights 1, 2, 4..
// are summed by Horner's rule from the last to the first.
KERNEL(256) count_plain(const uint32_t* a, const uint32_t* w, long long m, int n, int words,
                        int planes, Finish f) {
    __shared__ uint32_t a_tile[TILE][DEPTH];
    __shared__ uint32_t w_tile[TILE][DEPTH + 1]; // lanes read down a column: one word off, no conflict
    int lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
    long long row0 = (long long)blockIdx.x * TILE;
    int column0 = blockIdx.y * TILE;
    int my_row = warp / 2 * ROWS, my_column = warp % 2 * WARP + lane;
    int counts[ROWS] = {};
    for (int plane = planes - 1; plane >= 0; plane--) {
        for (int i = 0; i < ROWS; i++) counts[i] *= 2;
        for (int k = 0; k < words; k += DEPTH) {
            for (int at = threadIdx.x; at < TILE * DEPTH; at += blockDim.x) {
                int line = at / DEPTH, word = at % DEPTH;
                bool deep = k + word < words;
                long long row = row0 + line;
                a_tile[line][word] = deep && row < m ? a[(plane * m + row) * words + k + word] : 0;
                int column = column0 + line;
                w_tile[line][word] = deep && column < n ? w[(long long)column * words + k + word] : 0;
            }
            __syncthreads();
            for (int word = 0; word < DEPTH; word++) {
                uint32_t weights = w_tile[my_column][word];
                for (int i = 0; i < ROWS; i++) counts[i] += __popc(a_tile[my_row + i][word] & weights);
            }
            __syncthreads();
        }
    }
    int column = column0 + my_column;
    for (int i = 0; i < ROWS; i++) {
        long long row = row0 + my_row + i;
        if (row >= m) break;
        int sum = f.factor * counts[i] + (f.row_terms ? f.row_terms[row] : 0);
        if (f.column_terms) sum += column_terms_of(f, row)[column];
        if (f.previous && column < n) sum += f.previous[row * n + column];
        if (f.sums && column < n) f.sums[row * n + column] = sum;
        if (f.reals && column < n) f.reals[row * n + column] = (float)sum * f.scale;
        if (!f.signs) continue;
        uint32_t word = __ballot_sync(ALL, sum >= 0);
        if (lane == 0 && column / WARP < f.sign_stride) {
            f.signs[row * f.sign_stride + column / WARP] = word;
        }
    }
}

// Sums cut into any number of planes: thermometers and binary digits.
KERNEL(256) cut_sums(const int* sums, long long rows, int columns, int stride, const float* cuts,
                     int count, int binary, int planes, uint32_t* out) {
    long long bit = thread_number();
    if (bit >= rows * stride * WARP) return;
    auto [row, column] = place_of(bit, stride * WARP);
    bool inside = column < columns;
    float sum = inside ? (float)sums[row * columns + column] : 0.0f;
    int crossed = 0;
    for (int cut = 0; binary && inside && cut < count; cut++) {
        crossed += sum >= cuts[(long long)cut * columns + column];
    }
    for (int plane = 0; plane < planes; plane++) {
        bool set = false;
        if (inside) {
            set = binary ? (crossed >> plane & 1)
                         : sum >= cuts[(long long)plane * columns + column];
        }
        uint32_t word = __ballot_sync(ALL, set);
        if (bit % WARP == 0) out[((long long)plane * rows + row) * stride + column / WARP] = word;
    }
}
