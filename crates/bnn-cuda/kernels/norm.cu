// Batch normalization, plain and shift-based. Sums over samples run in f64, in an order that depends
// on the shape alone: chunks of rows first, then the chunks in order.

constexpr int CHUNK = 256; // rows of a partial sum
constexpr int LINES = 8;   // rows that a block reads at a time; it has 32 columns

// Constants of a norm (Norm of bnn-core).
struct Norm {
    float eps, momentum;
    int shift;    // rounds to powers of two
    int variance; // the running spread is the unbiased variance
};

__device__ __forceinline__ float rounded(float x, int shift) { return shift ? ap2(x) : x; }

// The column of this thread, of the block's 32.
__device__ __forceinline__ int my_column() { return blockIdx.x * WARP + threadIdx.x % WARP; }

// Sums `SUMS` terms of the block's columns over rows [first, last): every thread learns its column's.
template <int SUMS, class Terms>
__device__ __forceinline__ void sum_rows(long long first, long long last, int columns,
                                         double (&sums)[SUMS], Terms terms) {
    __shared__ double lines[LINES][SUMS][WARP];
    int lane = threadIdx.x % WARP, line = threadIdx.x / WARP;
    for (int i = 0; i < SUMS; i++) sums[i] = 0.0;
    for (long long row = first + line; row < last; row += LINES) {
        if (my_column() < columns) terms(row, my_column(), sums);
    }
    for (int i = 0; i < SUMS; i++) lines[line][i][lane] = sums[i];
    __syncthreads();
    for (int i = 0; i < SUMS; i++) {
        sums[i] = 0.0;
        for (int at = 0; at < LINES; at++) sums[i] += lines[at][i][lane];
    }
    __syncthreads();
}

// The same over a chunk of rows: partial[chunk][sum][column].
template <int SUMS, class Terms>
__device__ __forceinline__ void sum_chunk(long long rows, int columns, double* partial, Terms terms) {
    long long first = (long long)blockIdx.y * CHUNK;
    double sums[SUMS];
    sum_rows<SUMS>(first, min(rows, first + CHUNK), columns, sums, terms);
    if (threadIdx.x >= WARP || my_column() >= columns) return;
    for (int i = 0; i < SUMS; i++) {
        partial[((long long)blockIdx.y * SUMS + i) * columns + my_column()] = sums[i];
    }
}

// The sum over all chunks.
__device__ __forceinline__ double sum_chunks(const double* partial, int chunks, int sums, int which,
                                             int columns, int column) {
    double sum = 0.0;
    for (int chunk = 0; chunk < chunks; chunk++) {
        sum += partial[((long long)chunk * sums + which) * columns + column];
    }
    return sum;
}

KERNEL(256) sum_values(const float* x, long long rows, int columns, double* partial) {
    sum_chunk<1>(rows, columns, partial, [=](long long row, int column, double* sums) {
        sums[0] += x[row * columns + column];
    });
}

KERNEL(256) finish_mean(const double* partial, int chunks, long long rows, int columns, float* mean) {
    int column = (int)thread_number();
    if (column >= columns) return;
    mean[column] = (float)(sum_chunks(partial, chunks, 1, 0, columns, column) / (double)rows);
}

KERNEL(256) sum_squares(const float* x, long long rows, int columns, const float* mean, int shift,
                        double* partial) {
    sum_chunk<1>(rows, columns, partial, [=](long long row, int column, double* sums) {
        float centred = x[row * columns + column] - mean[column];
        sums[0] += (double)centred * (double)rounded(centred, shift);
    });
}

// Running statistics before and after a batch.
struct Running {
    const float* old_mean;
    const float* old_spread;
    float* mean;
    float* spread;
};

// Inverse deviation of a column, and its gain; moves the running statistics.
__device__ __forceinline__ float spread_of(float variance, float mean, float gamma, long long rows,
                                           int column, const Norm& norm, const Running& running,
                                           float* inverse_deviation) {
    float inverse = 1.0f / sqrtf(variance + norm.eps);
    float spread = inverse;
    if (norm.variance) spread = rows > 1 ? variance * (float)rows / (float)(rows - 1) : variance;
    float keep = 1.0f - norm.momentum;
    running.mean[column] = keep * running.old_mean[column] + norm.momentum * mean;
    running.spread[column] = keep * running.old_spread[column] + norm.momentum * spread;
    inverse_deviation[column] = inverse;
    return rounded(gamma, norm.shift) * rounded(inverse, norm.shift);
}

KERNEL(256) finish_spread(const double* partial, int chunks, long long rows, int columns, Norm norm,
                          const float* mean, const float* gamma, Running running,
                          float* inverse_deviation, float* gain) {
    int column = (int)thread_number();
    if (column >= columns) return;
    float variance = (float)(sum_chunks(partial, chunks, 1, 0, columns, column) / (double)rows);
    gain[column] = spread_of(variance, mean[column], gamma[column], rows, column, norm, running,
                             inverse_deviation);
}

// All of a norm of one chunk of rows: 32 columns to a block.
KERNEL(256) norm_chunk(const float* x, long long rows, int columns, Norm norm, const float* gamma,
                       const float* beta, Running running, float* mean, float* inverse_deviation,
                       float* y) {
    __shared__ float gains[WARP];
    int column = my_column(), lane = threadIdx.x % WARP;
    double sums[1];
    sum_rows<1>(0, rows, columns, sums, [=](long long row, int column, double* sums) {
        sums[0] += x[row * columns + column];
    });
    float centre = (float)(sums[0] / (double)rows);
    sum_rows<1>(0, rows, columns, sums, [=](long long row, int column, double* sums) {
        float centred = x[row * columns + column] - centre;
        sums[0] += (double)centred * (double)rounded(centred, norm.shift);
    });
    if (threadIdx.x < WARP && column < columns) {
        mean[column] = centre;
        gains[lane] = spread_of((float)(sums[0] / (double)rows), centre, gamma[column], rows, column,
                                norm, running, inverse_deviation);
    }
    __syncthreads();
    if (column >= columns) return;
    float gain = gains[lane], offset = beta[column];
    for (long long row = threadIdx.x / WARP; row < rows; row += LINES) {
        y[row * columns + column] = (x[row * columns + column] - centre) * gain + offset;
    }
}

// The gain of evaluation.
KERNEL(256) eval_gain(int columns, Norm norm, const float* gamma, const float* spread, float* gain) {
    int column = (int)thread_number();
    if (column >= columns) return;
    float inverse = norm.variance ? 1.0f / sqrtf(spread[column] + norm.eps) : spread[column];
    gain[column] = rounded(gamma[column], norm.shift) * rounded(inverse, norm.shift);
}

// (x - mean) * gain + beta, rounded after each of the three operations (Norm::apply).
KERNEL(256) apply(const float* x, long long count, int columns, const float* mean, const float* gain,
                  const float* beta, float* y) {
    long long at = thread_number();
    if (at >= count) return;
    int column = place_of(at, columns).column;
    y[at] = (x[at] - mean[column]) * gain[column] + beta[column];
}

// Adds g, q g and hat g of an element, where q is the centred value and hat the normalized one.
__device__ __forceinline__ void add_gradients(double* sums, float g, float centred, float scale,
                                              int shift) {
    sums[0] += g;
    sums[1] += (double)rounded(centred, shift) * (double)g;
    sums[2] += (double)rounded(centred * scale, shift) * (double)g;
}

// gain (g - mean(g) - q slope).
struct Slope {
    double gain, mean_g, slope;
};

__device__ __forceinline__ Slope slope_of(const double* sums, float gamma, float scale,
                                          long long rows, int shift) {
    double gain = rounded(gamma, shift) * scale; // rounded to f32 first
    return Slope{gain, sums[0] / (double)rows,
                 sums[1] / (double)rows * (double)scale * (double)scale};
}

__device__ __forceinline__ float gradient(const Slope& s, float g, float centred, int shift) {
    return (float)(s.gain * ((double)g - s.mean_g - (double)rounded(centred, shift) * s.slope));
}

KERNEL(256) sum_gradients(const float* dy, const float* x, long long rows, int columns,
                          const float* mean, const float* inverse_deviation, int shift,
                          double* partial) {
    sum_chunk<3>(rows, columns, partial, [=](long long row, int column, double* sums) {
        long long at = row * columns + column;
        float scale = rounded(inverse_deviation[column], shift);
        add_gradients(sums, dy[at], x[at] - mean[column], scale, shift);
    });
}

// Gradients by gamma and beta, and what the gradient by x needs of every column.
KERNEL(256) finish_gradients(const double* partial, int chunks, long long rows, int columns,
                             int shift, const float* gamma, const float* inverse_deviation,
                             Slope* slopes, float* dgamma, float* dbeta) {
    int column = (int)thread_number();
    if (column >= columns) return;
    double sums[3];
    for (int i = 0; i < 3; i++) sums[i] = sum_chunks(partial, chunks, 3, i, columns, column);
    float scale = rounded(inverse_deviation[column], shift);
    slopes[column] = slope_of(sums, gamma[column], scale, rows, shift);
    dgamma[column] = (float)sums[2];
    dbeta[column] = (float)sums[0];
}

KERNEL(256) apply_gradient(const float* dy, const float* x, long long count, int columns,
                           const float* mean, int shift, const Slope* slopes, float* dx) {
    long long at = thread_number();
    if (at >= count) return;
    int column = place_of(at, columns).column;
    dx[at] = gradient(slopes[column], dy[at], x[at] - mean[column], shift);
}

// All of a norm's gradients of one chunk of rows: 32 columns to a block.
KERNEL(256) norm_grad_chunk(const float* dy, const float* x, long long rows, int columns, int shift,
                            const float* gamma, const float* mean, const float* inverse_deviation,
                            float* dx, float* dgamma, float* dbeta) {
    int column = my_column();
    bool here = column < columns;
    float centre = here ? mean[column] : 0.0f;
    float scale = here ? rounded(inverse_deviation[column], shift) : 0.0f;
    double sums[3];
    sum_rows<3>(0, rows, columns, sums, [=](long long row, int column, double* sums) {
        long long at = row * columns + column;
        add_gradients(sums, dy[at], x[at] - centre, scale, shift);
    });
    if (!here) return;
    Slope slope = slope_of(sums, gamma[column], scale, rows, shift);
    if (threadIdx.x < WARP) {
        dgamma[column] = (float)sums[2];
        dbeta[column] = (float)sums[0];
    }
    for (long long row = threadIdx.x / WARP; row < rows; row += LINES) {
        long long at = row * columns + column;
        dx[at] = gradient(slope, dy[at], x[at] - centre, shift);
    }
}
