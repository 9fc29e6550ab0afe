// Windows of packed signs, and what zero padding and holes add to a product.
//
// A product counts common bits: with A the set bits of the operand, W those of the weights, M the
// operand's entries that exist (no hole, inside the grid),
//   <a, w> = sum over M of (2A - 1)(2W - 1) = 4|A & W| - 2|M & W| - 2|A| + |M|,
// and the same, weighted, for sums of planes. What depends on the row alone is a row term; where M
// depends only on the row's place in its image, |M & W| is a column term of the place's class.

// Bits [first, first + 32) of a row of `columns` bits.
__device__ __forceinline__ uint32_t bits_at(const uint32_t* row, int first, int columns) {
    int word = first / WARP, shift = first % WARP;
    uint32_t low = row[word] >> shift;
    if (shift && (word + 1) * WARP < columns) low |= row[word + 1] << (WARP - shift);
    return low;
}

// One word of a gathered row: bits [first, first + 32) of its taps times channels.
__device__ uint32_t gathered_word(const uint32_t* plane, const uint32_t* mask, int columns,
                                  int stride, const Patches& patches, long long out_row, int first) {
    int taps = patches.window_height * patches.window_width;
    if (columns % WARP == 0) { // a word of one tap
        auto [tap, channel] = place_of(first, columns);
        long long row = tap < taps ? source_row(patches, out_row, (int)tap) : -1;
        if (row < 0) return 0;
        uint32_t bits = plane ? plane[row * stride + channel / WARP] : ALL;
        return mask ? bits & mask[row * stride + channel / WARP] : bits;
    }
    uint32_t word = 0;
    for (int filled = 0; filled < WARP;) {
        int tap = (first + filled) / columns, channel = (first + filled) % columns;
        if (tap >= taps) break;
        int take = min(WARP - filled, columns - channel);
        long long row = source_row(patches, out_row, tap);
        if (row >= 0) {
            uint32_t bits = plane ? bits_at(plane + row * stride, channel, columns) : ALL;
            if (mask) bits &= bits_at(mask + row * stride, channel, columns);
            if (take < WARP) bits &= (1u << take) - 1;
            word |= bits << filled;
        }
        filled += take;
    }
    return word;
}

// Gathers `count` planes, their holes cleared; with `exists` one more: the entries that exist.
KERNEL(256) gather(const uint32_t* planes, const uint32_t* mask, long long rows, int columns,
                   int stride, int count, int exists, Patches patches, long long out_rows,
                   int out_stride, uint32_t* out) {
    long long at = thread_number();
    long long plane_words = out_rows * out_stride;
    if (at >= plane_words * (count + exists)) return;
    auto [line, word] = place_of(at, out_stride);
    auto [plane, out_row] = place_of(line, (int)out_rows);
    int first = word * WARP;
    const uint32_t* from = plane < count ? planes + plane * rows * stride : nullptr;
    out[at] = gathered_word(from, mask, columns, stride, patches, out_row, first);
}

// The same as bytes, in the order of int8.cu: planes of weights 1, 2, 4.. (at most eight) joined, and
// with `exists`, rows of ones where there are entries. A thread has 32 columns.
KERNEL(256) gather_bytes(const uint32_t* planes, const uint32_t* mask, long long rows, int columns,
                         int stride, int count, int exists, Patches patches, long long out_rows,
                         int out_stride, uint32_t* out) {
    long long at = thread_number();
    if (at >= out_rows * out_stride * (1 + exists)) return;
    auto [line, word] = place_of(at, out_stride);
    bool ones = line >= out_rows;
    long long out_row = ones ? line - out_rows : line;
    uint32_t bytes[8] = {};
    for (int plane = 0; plane < (ones ? 1 : count); plane++) {
        const uint32_t* from = ones ? nullptr : planes + plane * rows * stride;
        uint32_t bits = gathered_word(from, mask, columns, stride, patches, out_row, word * WARP);
        for (int bit = 0; bit < 8; bit++) bytes[bit] |= (bits >> bit & 0x01010101u) << plane;
    }
    uint32_t* to = out + (line * out_stride + word / 4 * 4) * 8 + word % 4;
    for (int bit = 0; bit < 8; bit++) to[bit * 4] = bytes[bit];
}

// Row terms and column terms of a product, a warp each.
//
// Row term: -total * (the sum of the row's integers). Where no plane of existing entries follows the
// gathered planes, the class of the row's place counts these entries. Planes may have been joined to
// bytes, one per entry, also of the entries that exist; or rows are windows that were not gathered, of
// pixels of whole words.
// Column term of a class and an output: -factor * sum over planes of weight * |W & M|, less the
// output's cut, rounded up, if there is one. `inside` says for every class and tap whether the tap
// lies inside the grid. Behind the last output nothing reaches the cut.
struct Rows {
    const uint32_t* planes;
    long long rows;
    const int* classes;
    const int* class_taps;
    int stride, count, exists, positions, channels, total;
    int bound; // of the row's integers
    int bytes;
    Pixels pixels;
    int* out;
};

struct Columns {
    const uint32_t* planes;
    const unsigned char* inside;
    const float* cuts;
    int stride, outputs, count, classes, taps, channels, factor, out_stride;
    int* out;
};

__device__ __forceinline__ int warp_sum(int sum) {
    for (int step = WARP / 2; step > 0; step /= 2) sum += __shfl_xor_sync(ALL, sum, step);
    return sum;
}

// The sum of a word's bytes.
__device__ __forceinline__ int byte_sum(uint32_t word) {
    uint32_t pairs = (word & 0x00FF00FFu) + (word >> 8 & 0x00FF00FFu);
    return (int)((pairs & 0xFFFF) + (pairs >> 16));
}

__device__ __forceinline__ void row_term(const Rows& r, const Integers& weights, long long row) {
    int lane = threadIdx.x % WARP, sum = 0;
    for (int plane = 0; plane < r.count; plane++) {
        const uint32_t* pixels = r.planes + plane * r.pixels.count * r.pixels.words;
        const uint32_t* from = r.planes + (plane * r.rows + row) * r.stride;
        int set = 0;
        for (int word = lane; word < r.stride; word += WARP) {
            uint32_t bits = !r.pixels.words ? from[word]
                                            : gathered_word(pixels, nullptr, r.channels, r.pixels.words,
                                                            r.pixels.patches, row, word * WARP);
            set += r.bytes ? byte_sum(bits) : __popc(bits);
        }
        sum += 2 * weights.at[plane] * set;
    }
    if (r.exists) {
        const uint32_t* from = r.planes + (r.count * r.rows + row) * r.stride;
        for (int word = lane; word < r.stride; word += WARP) sum -= r.bound * __popc(from[word]);
    } else if (lane == 0) {
        sum -= r.bound * r.class_taps[r.classes[(uint32_t)row % (uint32_t)r.positions]] * r.channels;
    }
    sum = warp_sum(sum);
    if (lane == 0) r.out[row] = -r.total * sum;
}

// The least integer that reaches a cut, as far as sums go.
__device__ __forceinline__ int least(float cut) {
    if (!(cut <= 1073741824.0f)) return 1 << 30; // never reached; NaN is not either
    return cut < -1073741824.0f ? -(1 << 30) : (int)ceilf(cut);
}

__device__ __forceinline__ void column_term(const Columns& c, const Integers& weights, long long at) {
    int lane = threadIdx.x % WARP, sum = 0;
    int output = (int)(at % c.out_stride);
    const unsigned char* taps_inside = c.inside + at / c.out_stride * c.taps;
    int words = (c.channels + WARP - 1) / WARP;
    for (int plane = 0; output < c.outputs && c.factor && plane < c.count; plane++) {
        const uint32_t* row = c.planes + ((long long)plane * c.outputs + output) * c.stride;
        for (int at = lane; at < c.taps * words; at += WARP) {
            int tap = at / words, channel = at % words * WARP;
            if (!taps_inside[tap]) continue;
            uint32_t bits = bits_at(row, tap * c.channels + channel, c.taps * c.channels);
            int left = c.channels - channel;
            if (left < WARP) bits &= (1u << left) - 1;
            sum += weights.at[plane] * __popc(bits);
        }
    }
    sum = -c.factor * warp_sum(sum);
    if (c.cuts) sum -= output < c.outputs ? least(c.cuts[output]) : 1 << 30;
    if (lane == 0) c.out[at] = sum;
}

KERNEL(256) terms(Rows rows, Integers row_weights, Columns columns, Integers column_weights) {
    long long at = thread_number() / WARP;
    if (at < rows.rows) {
        row_term(rows, row_weights, at);
    } else if (at - rows.rows < (long long)columns.classes * columns.out_stride) {
        column_term(columns, column_weights, at - rows.rows);
    }
}
