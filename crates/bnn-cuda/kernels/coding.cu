// Quantizers, bytes, dropout: everything that makes or changes packed signs.
//
// A code is planes of packed signs: word `(plane * rows + row) * stride + column / 32`, bit
// `column % 32`. The stride is a multiple of 4 words; bits behind the last column are clear.
// One warp makes one word: its lanes are the word's bits.

// The planes of a quantizer (Quant of bnn-core), planes of a thermometer or binary digits.
KERNEL(256) encode(const float* x, long long rows, int columns, int stride, Reals cuts, int count,
                   int binary, int planes, uint32_t* out) {
    long long bit = thread_number();
    if (bit >= rows * stride * WARP) return;
    auto [row, column] = place_of(bit, stride * WARP);
    float value = column < columns ? x[row * columns + column] : 0.0f;
    int crossed = 0;
    for (int cut = 0; binary && cut < count; cut++) crossed += value >= cuts.at[cut];
    for (int plane = 0; plane < planes; plane++) {
        bool set = binary ? (crossed >> plane & 1) : value >= cuts.at[plane];
        uint32_t word = __ballot_sync(ALL, set && column < columns);
        if (bit % WARP == 0) out[((long long)plane * rows + row) * stride + column / WARP] = word;
    }
}

// Stochastic signs: set where the element's uniform number is below its hard sigmoid.
KERNEL(256) encode_stochastic(const float* x, long long rows, int columns, int stride,
                              const float* clock, uint32_t stream, uint32_t* out) {
    long long bit = thread_number();
    if (bit >= rows * stride * WARP) return;
    auto [row, column] = place_of(bit, stride * WARP);
    bool set = false;
    if (column < columns) {
        long long at = row * columns + column;
        set = uniform(key_of(clock, stream), (uint32_t)at) < hard_sigmoid(x[at]);
    }
    uint32_t word = __ballot_sync(ALL, set);
    if (bit % WARP == 0) out[row * stride + column / WARP] = word;
}

// The eight planes of bytes; and, if there is room for them, the bytes in the order of int8.cu.
KERNEL(256) slice_bytes(const unsigned char* bytes, long long rows, int columns, int stride,
                        uint32_t* out, unsigned char* ordered) {
    long long bit = thread_number();
    if (bit >= rows * stride * WARP) return;
    auto [row, column] = place_of(bit, stride * WARP);
    unsigned byte = column < columns ? bytes[row * columns + column] : 0;
    for (int plane = 0; plane < 8; plane++) {
        uint32_t word = __ballot_sync(ALL, byte >> plane & 1);
        if (bit % WARP == 0) out[((long long)plane * rows + row) * stride + column / WARP] = word;
    }
    if (!ordered) return;
    int chunk = column % 8, in_chunk = column % 128 / WARP * 4 + column % WARP / 8;
    ordered[row * stride * WARP + column / 128 * 128 + chunk * 16 + in_chunk] = (unsigned char)byte;
}

// The mask of inverted dropout: kept where the uniform number is below `keep` and `old`, if given,
// has no hole yet.
KERNEL(256) dropout(const uint32_t* old, long long rows, int columns, int stride, float keep,
                    const float* clock, uint32_t stream, uint32_t* mask) {
    long long bit = thread_number();
    if (bit >= rows * stride * WARP) return;
    auto [row, column] = place_of(bit, stride * WARP);
    bool kept = false;
    if (column < columns) {
        kept = uniform(key_of(clock, stream), (uint32_t)(row * columns + column)) < keep;
    }
    uint32_t word = __ballot_sync(ALL, kept);
    long long at = row * stride + column / WARP;
    if (bit % WARP == 0) mask[at] = old ? word & old[at] : word;
}

constexpr int SPAN = 1024; // columns of a block of the kernels below: four per thread

// A code's values as reals, gathered: row `out_row`, column `tap * columns + channel`; holes and
// taps outside the grid are 0. Blocks: output rows by spans of columns.
KERNEL(256) decode(const uint32_t* planes, const uint32_t* mask, long long rows, int columns,
                   int stride, Integers weights, int count, float scale, Patches patches,
                   float* out) {
    int width = patches.window_height * patches.window_width * columns;
    long long out_row = blockIdx.x;
    for (int at = blockIdx.y * SPAN + threadIdx.x; at < min(width, (int)(blockIdx.y + 1) * SPAN);
         at += blockDim.x) {
        int channel = at % columns;
        long long row = source_row(patches, out_row, at / columns);
        int sum = 0;
        if (row >= 0) {
            long long word = row * stride + channel / WARP;
            int bit = channel % WARP;
            for (int plane = 0; plane < count; plane++) {
                bool set = planes[plane * rows * stride + word] >> bit & 1;
                sum += set ? weights.at[plane] : -weights.at[plane];
            }
            if (mask && !(mask[word] >> bit & 1)) sum = 0;
        }
        out[out_row * width + at] = (float)sum * scale;
    }
}

// The same for one plane of weight 1 and columns in fours, which lie in one word each.
KERNEL(256) decode_signs(const uint32_t* plane, const uint32_t* mask, int columns, int stride,
                         float scale, Patches patches, float* out) {
    int width = patches.window_height * patches.window_width * columns;
    int at = blockIdx.y * SPAN + threadIdx.x * 4;
    if (at >= width) return;
    auto [tap, channel] = place_of(at, columns);
    long long row = source_row(patches, blockIdx.x, (int)tap);
    float4 values = {0.0f, 0.0f, 0.0f, 0.0f};
    if (row >= 0) {
        long long word = row * stride + channel / WARP;
        uint32_t signs = plane[word] >> channel % WARP;
        uint32_t kept = mask ? mask[word] >> channel % WARP : ALL;
        values.x = kept & 1 ? signs & 1 ? scale : -scale : 0.0f;
        values.y = kept & 2 ? signs & 2 ? scale : -scale : 0.0f;
        values.z = kept & 4 ? signs & 4 ? scale : -scale : 0.0f;
        values.w = kept & 8 ? signs & 8 ? scale : -scale : 0.0f;
    }
    *reinterpret_cast<float4*>(out + (long long)blockIdx.x * width + at) = values;
}

// Reals, gathered in the same way.
KERNEL(256) gather_reals(const float* x, int columns, Patches patches, float* out) {
    int width = patches.window_height * patches.window_width * columns;
    long long out_row = blockIdx.x;
    for (int at = blockIdx.y * SPAN + threadIdx.x; at < min(width, (int)(blockIdx.y + 1) * SPAN);
         at += blockDim.x) {
        long long row = source_row(patches, out_row, at / columns);
        out[out_row * width + at] = row < 0 ? 0.0f : x[row * columns + at % columns];
    }
}

__device__ __forceinline__ void add(float& sum, float x) { sum += x; }
__device__ __forceinline__ void add(float4& sum, float4 x) {
    sum.x += x.x;
    sum.y += x.y;
    sum.z += x.z;
    sum.w += x.w;
}

// The reverse: sums over all windows that cover an entry, in the order of their places.
template <class T>
__device__ __forceinline__ void scatter(const T* windows, long long count, int columns,
                                        const Patches& p, T* out) {
    long long at = thread_number();
    if (at >= count) return;
    auto [row, channel] = place_of(at, columns);
    int taps = p.window_height * p.window_width;
    auto [image, pixel] = place_of(row, p.height * p.width);
    int y = pixel / p.width + p.pad, x = pixel % p.width + p.pad;
    T sum = {};
    for (int ty = p.window_height - 1; ty >= 0; ty--) {
        int oy = p.stride == 1 ? y - ty : (y - ty) / p.stride;
        if (y < ty || oy * p.stride != y - ty || oy >= p.out_height) continue;
        for (int tx = p.window_width - 1; tx >= 0; tx--) {
            int ox = p.stride == 1 ? x - tx : (x - tx) / p.stride;
            if (x < tx || ox * p.stride != x - tx || ox >= p.out_width) continue;
            long long place = (image * p.out_height + oy) * p.out_width + ox;
            add(sum, windows[(place * taps + ty * p.window_width + tx) * columns + channel]);
        }
    }
    out[at] = sum;
}

KERNEL(256) scatter_reals(const float* windows, long long count, int columns, Patches patches,
                          float* out) {
    scatter(windows, count, columns, patches, out);
}

// Four channels at a time.
KERNEL(256) scatter_fours(const float4* windows, long long count, int columns, Patches patches,
                          float4* out) {
    scatter(windows, count, columns, patches, out);
}
