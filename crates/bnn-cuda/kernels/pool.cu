// Max-pooling: of codes, and of reals with its gradient. The first largest entry wins.

// The bits of the winner.
KERNEL(256) pool_code(const uint32_t* planes, long long rows, int columns, int stride,
                      Integers weights, int count, Patches patches, long long out_rows,
                      uint32_t* out) {
    long long bit = thread_number();
    if (bit >= out_rows * stride * WARP) return;
    auto [out_row, column] = place_of(bit, stride * WARP);
    int word = column / WARP, shift = column % WARP;
    long long best = -1;
    int most = 0;
    for (int tap = 0; tap < patches.window_height * patches.window_width; tap++) {
        long long row = source_row(patches, out_row, tap);
        if (row < 0) continue;
        int sum = 0;
        for (int plane = 0; plane < count; plane++) {
            bool set = planes[(plane * rows + row) * stride + word] >> shift & 1;
            sum += set ? weights.at[plane] : -weights.at[plane];
        }
        if (best < 0 || sum > most) {
            best = row;
            most = sum;
        }
    }
    for (int plane = 0; plane < count; plane++) {
        bool set = planes[(plane * rows + best) * stride + word] >> shift & 1;
        uint32_t packed = __ballot_sync(ALL, set && column < columns);
        if (shift == 0) out[((long long)plane * out_rows + out_row) * stride + word] = packed;
    }
}

// The winner, and its tap.
KERNEL(256) max_pool(const float* x, int columns, Patches patches, long long out_rows, float* y,
                     float* taps) {
    long long at = thread_number();
    if (at >= out_rows * columns) return;
    auto [out_row, column] = place_of(at, columns);
    int winner = -1;
    float most = 0.0f;
    for (int tap = 0; tap < patches.window_height * patches.window_width; tap++) {
        long long row = source_row(patches, out_row, tap);
        if (row < 0) continue;
        float value = x[row * columns + column];
        if (winner < 0 || value > most) {
            winner = tap;
            most = value;
        }
    }
    y[at] = most;
    taps[at] = (float)winner;
}

// Every entry gathers the gradients of the windows that it won, in the order of their places.
KERNEL(256) max_pool_grad(const float* dy, const float* taps, long long rows, int columns, Patches p,
                          float* dx) {
    long long at = thread_number();
    if (at >= rows * columns) return;
    auto [row, column] = place_of(at, columns);
    auto [image, pixel] = place_of(row, p.height * p.width);
    int y = pixel / p.width + p.pad, x = pixel % p.width + p.pad;
    float sum = 0.0f;
    for (int ty = p.window_height - 1; ty >= 0; ty--) {
        int oy = (y - ty) / p.stride;
        if (y < ty || oy * p.stride != y - ty || oy >= p.out_height) continue;
        for (int tx = p.window_width - 1; tx >= 0; tx--) {
            int ox = (x - tx) / p.stride;
            if (x < tx || ox * p.stride != x - tx || ox >= p.out_width) continue;
            long long place = (image * p.out_height + oy) * p.out_width + ox;
            if (taps[place * columns + column] == (float)(ty * p.window_width + tx)) {
                sum += dy[place * columns + column];
            }
        }
    }
    dx[at] = sum;
}
