// The straight-through estimator, the loss, and updates of parameters.

// dy where |x| <= range and the code has no hole, times `raised`; 0 elsewhere.
KERNEL(256) pass_through(const float* dy, const float* x, const uint32_t* mask, long long rows,
                         int columns, int stride, float range, float raised, float* out) {
    long long at = thread_number();
    if (at >= rows * columns) return;
    bool passes = fabsf(x[at]) <= range;
    if (mask) {
        auto [row, column] = place_of(at, columns);
        passes = passes && (mask[row * stride + column / WARP] >> column % WARP & 1);
    }
    out[at] = passes ? dy[at] * raised : 0.0f;
}

// clip(x, -1, 1); unlike fminf and fmaxf, lets NaN through.
__device__ __forceinline__ float clip(float x) { return x < -1.0f ? -1.0f : x > 1.0f ? 1.0f : x; }

// clip(x, -1, 1), or the rectifier; and the gradient of either.
KERNEL(256) activate(const float* x, long long count, int rectifier, float* y) {
    long long at = thread_number();
    if (at >= count) return;
    float value = x[at];
    y[at] = rectifier ? (value <= 0.0f ? 0.0f : value) : clip(value);
}

KERNEL(256) activate_grad(const float* dy, const float* x, long long count, int rectifier, float* dx) {
    long long at = thread_number();
    if (at >= count) return;
    bool passes = rectifier ? x[at] > 0.0f : fabsf(x[at]) <= 1.0f;
    dx[at] = passes ? dy[at] : 0.0f;
}

// Squared hinge loss: gradients, and the row of loss sum and errors. One block: batches are small.
KERNEL(256) squared_hinge(const float* scores, const float* labels, int samples, int classes,
                          float* grad, float* tally) {
    __shared__ double losses[256];
    __shared__ int errors[256];
    double loss = 0.0;
    int wrong = 0;
    for (int row = threadIdx.x; row < samples; row += blockDim.x) {
        const float* score = scores + (long long)row * classes;
        int label = (int)labels[row], best = 0;
        for (int at = 0; at < classes; at++) {
            float target = at == label ? 1.0f : -1.0f;
            float margin = 1.0f - target * score[at];
            float slack = margin <= 0.0f ? 0.0f : margin; // unlike max, lets NaN through
            loss += (double)slack * (double)slack;
            grad[(long long)row * classes + at] = -2.0f * target * slack / (float)(samples * classes);
            if (score[at] > score[best]) best = at;
        }
        wrong += best != label;
    }
    losses[threadIdx.x] = loss;
    errors[threadIdx.x] = wrong;
    __syncthreads();
    if (threadIdx.x > 0) return;
    for (int at = 1; at < blockDim.x; at++) {
        loss += losses[at];
        wrong += errors[at];
    }
    tally[0] = (float)(loss / (double)classes);
    tally[1] = (float)wrong;
}

// An optimizer (Rule of bnn-core).
struct Rule {
    float decay1, rest1, decay2, rest2; // rest = 1 - decay, rounded from f64
    float eps, scale;
    int shift;        // shift-based AdaMax, else Adam
    int written_back; // keeps the rounded maximum
    int clip;
};

__device__ __forceinline__ float step(const Rule& rule, float p, float g, float& m, float& v,
                                      float step_size) {
    m = rule.decay1 * m + rule.rest1 * g;
    float divisor;
    if (rule.shift) {
        float u = fmaxf(rule.decay2 * v, fabsf(g));
        divisor = ap2(u) + rule.eps;
        v = rule.written_back ? divisor : u;
    } else {
        v = rule.decay2 * v + rule.rest2 * (g * g);
        divisor = sqrtf(v) + rule.eps;
    }
    float moved = p - rule.scale * step_size * m / divisor;
    return rule.clip ? clip(moved) : moved;
}

// Neighbours, moved by one access where there are four.
template <int SIDE> struct alignas(4 * SIDE) Many { float at[SIDE]; };

template <int SIDE> __device__ __forceinline__ Many<SIDE> load(const float* from) {
    return *reinterpret_cast<const Many<SIDE>*>(from);
}

template <int SIDE> __device__ __forceinline__ void store(float* to, const Many<SIDE>& many) {
    *reinterpret_cast<Many<SIDE>*>(to) = many;
}

__device__ __forceinline__ int crossed(float x, const Reals& cuts, int count) {
    int sum = 0;
    for (int cut = 0; cut < count; cut++) sum += x >= cuts.at[cut];
    return sum;
}

// Moves a parameter and encodes it anew (`planes` > 0); counts of changed codes and of values at the
// clip by block: partial[2][blocks]. A thread moves SIDE neighbours; the threads of a word put its
// bits together.
template <int SIDE>
__device__ __forceinline__ void update_values(float* value, const float* gradient, float* m, float* v,
                                              long long rows, int columns, int stride,
                                              const Rule& rule, const float* clock,
                                              const Reals& cuts, int count, int binary, int planes,
                                              uint32_t* out, int* partial, float* tally) {
    constexpr int SPAN = 256 * SIDE; // columns that a block moves at a time
    constexpr int LANES = WARP / SIDE; // threads of a word
    __shared__ int totals[2][256 / WARP];
    int lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
    float step_size = clock[0];
    int changed = 0, clipped = 0;
    int width = planes > 0 ? stride * WARP : columns; // without a code, padding is nobody's
    uint32_t spans = (width + SPAN - 1) / SPAN;
    for (uint32_t at = blockIdx.x; at < (uint32_t)rows * spans; at += gridDim.x) {
        long long row = at / spans;
        int column = at % spans * SPAN + threadIdx.x * SIDE;
        Many<SIDE> old = {}, moved = {};
        bool inside = column < columns; // then all SIDE are
        if (inside) {
            long long here = row * columns + column;
            Many<SIDE> g = load<SIDE>(gradient + here), first = load<SIDE>(m + here),
                       second = load<SIDE>(v + here);
            moved = old = load<SIDE>(value + here);
#pragma unroll
            for (int i = 0; i < SIDE; i++) {
                moved.at[i] = step(rule, old.at[i], g.at[i], first.at[i], second.at[i], step_size);
                clipped += fabsf(moved.at[i]) >= 1.0f;
            }
            store<SIDE>(value + here, moved);
            store<SIDE>(m + here, first);
            store<SIDE>(v + here, second);
        }
        if (planes == 0) continue;
        int after[SIDE] = {};
#pragma unroll
        for (int i = 0; inside && i < SIDE; i++) {
            after[i] = crossed(moved.at[i], cuts, count);
            changed += crossed(old.at[i], cuts, count) != after[i];
        }
        for (int plane = 0; plane < planes; plane++) {
            uint32_t bits = 0;
#pragma unroll
            for (int i = 0; i < SIDE; i++) {
                bool set = binary ? after[i] >> plane & 1 : after[i] > plane; // cuts ascend
                bits |= (uint32_t)(inside && set) << i;
            }
            bits <<= lane % LANES * SIDE;
#pragma unroll
            for (int with = 1; with < LANES; with *= 2) bits |= __shfl_xor_sync(ALL, bits, with);
            if (lane % LANES == 0 && column < width) {
                out[((long long)plane * rows + row) * stride + column / WARP] = bits;
            }
        }
    }
    for (int step = WARP / 2; step > 0; step /= 2) {
        changed += __shfl_xor_sync(ALL, changed, step);
        clipped += __shfl_xor_sync(ALL, clipped, step);
    }
    if (lane == 0) {
        totals[0][warp] = changed;
        totals[1][warp] = clipped;
    }
    __syncthreads();
    if (threadIdx.x >= 2) return;
    int sum = 0;
    for (int at = 0; at < 256 / WARP; at++) sum += totals[threadIdx.x][at];
    partial[threadIdx.x * gridDim.x + blockIdx.x] = sum;
    if (gridDim.x == 1) tally[threadIdx.x] = (float)sum; // else the next kernel makes it
}

KERNEL(256) update(float* value, const float* gradient, float* m, float* v, long long rows,
                   int columns, int stride, Rule rule, const float* clock, Reals cuts, int count,
                   int binary, int planes, uint32_t* out, int* partial, float* tally) {
    update_values<1>(value, gradient, m, v, rows, columns, stride, rule, clock, cuts, count, binary,
                     planes, out, partial, tally);
}

// The same for columns in fours.
KERNEL(256) update_fours(float* value, const float* gradient, float* m, float* v, long long rows,
                         int columns, int stride, Rule rule, const float* clock, Reals cuts,
                         int count, int binary, int planes, uint32_t* out, int* partial,
                         float* tally) {
    update_values<4>(value, gradient, m, v, rows, columns, stride, rule, clock, cuts, count, binary,
                     planes, out, partial, tally);
}

// The row of both counts.
KERNEL(64) tally(const int* partial, int blocks, float* row) {
    int which = threadIdx.x / WARP, lane = threadIdx.x % WARP;
    long long sum = 0;
    for (int at = lane; at < blocks; at += WARP) sum += partial[which * blocks + at];
    for (int step = WARP / 2; step > 0; step /= 2) sum += __shfl_xor_sync(ALL, sum, step);
    if (lane == 0) row[which] = (float)sum;
}

KERNEL(256) fill(float value, long long count, float* out) {
    long long at = thread_number();
    if (at < count) out[at] = value;
}
