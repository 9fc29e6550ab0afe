// What the sign products are compared with: the paper's two kernels (section 4.3 and its published
// code in outline, not in letter), and the operands of the library's GEMMs.

constexpr int SIDE = 16; // of a block's tile

// The paper's baseline: one output per thread, tiles of floats in shared memory.
// c (m x n) = a (m x k) * b (k x n); a block is SIDE * SIDE threads.
KERNEL(256) paper_float(const float* a, const float* b, float* c, int m, int n, int k) {
    __shared__ float a_tile[SIDE][SIDE];
    __shared__ float b_tile[SIDE][SIDE];
    int x = threadIdx.x % SIDE, y = threadIdx.x / SIDE;
    int row = blockIdx.y * SIDE + y, column = blockIdx.x * SIDE + x;
    float sum = 0.0f;
    for (int from = 0; from < k; from += SIDE) {
        a_tile[y][x] = row < m && from + x < k ? a[(long long)row * k + from + x] : 0.0f;
        b_tile[y][x] = column < n && from + y < k ? b[(long long)(from + y) * n + column] : 0.0f;
        __syncthreads();
        for (int at = 0; at < SIDE; at++) sum = fmaf(a_tile[y][at], b_tile[at][x], sum);
        __syncthreads();
    }
    if (row < m && column < n) c[(long long)row * n + column] = sum;
}

// The paper's XNOR kernel: the same, with 32 signs per word; b is words of k by n.
KERNEL(256) paper_xnor(const uint32_t* a, const uint32_t* b, float* c, int m, int n, int words,
                       int k) {
    __shared__ uint32_t a_tile[SIDE][SIDE];
    __shared__ uint32_t b_tile[SIDE][SIDE];
    int x = threadIdx.x % SIDE, y = threadIdx.x / SIDE;
    int row = blockIdx.y * SIDE + y, column = blockIdx.x * SIDE + x;
    int differing = 0;
    for (int from = 0; from < words; from += SIDE) {
        a_tile[y][x] = row < m && from + x < words ? a[(long long)row * words + from + x] : 0;
        b_tile[y][x] = column < n && from + y < words ? b[(long long)(from + y) * n + column] : 0;
        __syncthreads();
        for (int at = 0; at < SIDE; at++) differing += __popc(a_tile[y][at] ^ b_tile[at][x]);
        __syncthreads();
    }
    if (row < m && column < n) c[(long long)row * n + column] = (float)(k - 2 * differing);
}

// Words of a row-major matrix, transposed.
KERNEL(256) transpose_words(const uint32_t* from, uint32_t* to, int rows, int columns) {
    long long at = thread_number();
    if (at >= (long long)rows * columns) return;
    to[at % columns * rows + at / columns] = from[at];
}

// Signs as bf16 (the upper half of a float, exact for them) and as bytes.
KERNEL(256) to_bf16(const float* from, unsigned short* to, long long count) {
    long long at = thread_number();
    if (at < count) to[at] = (unsigned short)(__float_as_uint(from[at]) >> 16);
}

KERNEL(256) to_int8(const float* from, signed char* to, long long count) {
    long long at = thread_number();
    if (at < count) to[at] = (signed char)from[at];
}

KERNEL(256) from_int32(const int* from, float* to, long long count) {
    long long at = thread_number();
    if (at < count) to[at] = (float)from[at];
}
