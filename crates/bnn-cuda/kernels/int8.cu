// Sign products on tensor cores that multiply bytes: mma.m16n8k32, unsigned.
//
// Set bits are bytes of 1, clear ones 0, so that a sum of products is a count of common bits; a row
// of bytes that are sums of planes counts them all at once. What signs are beyond bits is in the
// terms of rows and columns, as for every other kernel.
//
// Bits become bytes in registers. A word shifted by s and masked has bits s, s + 8, s + 16, s + 24
// as its bytes: in any order, as long as it is the same in both operands. An `mma` therefore takes
// bits 2t and 2t + 1 of every byte of a chunk, t = 0..3, and rows of bytes are written in this order
// beforehand (`gather_bytes`): those of bit s lie in the chunk of number s, of 128 columns each.

#ifdef BNN_EMULATED
struct Fragments { uint32_t a[4], b[2]; };
inline void mma_bytes(int (&c)[4], const Quad& a, uint32_t b0, uint32_t b1) {
    unsigned me = emulation::current % 32;
    Fragments mine{{a.at[0], a.at[1], a.at[2], a.at[3]}, {b0, b1}};
    Quad sums = emulation::exchange(mine, [&](auto lane) {
        Quad sums{};
        for (unsigned i = 0; i < 4; i++)
            for (unsigned q = 0; q < 4; q++) {
                Fragments row = lane(me / 4 * 4 + q), column = lane((me % 4 * 2 + i % 2) * 4 + q);
                for (unsigned half = 0; half < 2; half++)
                    for (unsigned shift = 0; shift < 32; shift += 8)
                        sums.at[i] += (row.a[half * 2 + i / 2] >> shift & 0xFF) *
                                      (column.b[half] >> shift & 0xFF);
            }
        return sums;
    });
    for (int i = 0; i < 4; i++) c[i] += (int)sums.at[i];
}
#else
// c += sums of products of 16 rows of a with 8 rows of b, 32 bytes each.
__device__ __forceinline__ void mma_bytes(int (&c)[4], const Quad& a, uint32_t b0, uint32_t b1) {
    asm volatile("mma.sync.aligned.m16n8k32.row.col.s32.u8.u8.s32 "
                 "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+r"(c[0]), "+r"(c[1]), "+r"(c[2]), "+r"(c[3])
                 : "r"(a.at[0]), "r"(a.at[1]), "r"(a.at[2]), "r"(a.at[3]), "r"(b0), "r"(b1));
}
#endif

// Bit `bit` of every byte, as a byte.
__device__ __forceinline__ uint32_t spread(uint32_t word, int bit) { return word >> bit & 0x01010101u; }

// 256 bits of k.
template <int TM, int TN>
__device__ __forceinline__ void multiply(int (&counts)[TM][TN][4], const Quad (&a)[TM],
                                         const Quad (&w)[TN / 2]) {
#pragma unroll
    for (int chunk = 0; chunk < 2; chunk++)
#pragma unroll
        for (int bit = 0; bit < 8; bit += 2) {
            Quad rows[TM];
#pragma unroll
            for (int i = 0; i < TM; i++)
#pragma unroll
                for (int part = 0; part < 4; part++)
                    rows[i].at[part] = spread(a[i].at[chunk * 2 + part % 2], bit + part / 2);
#pragma unroll
            for (int j = 0; j < TN; j++) {
                uint32_t word = w[j / 2].at[j % 2 * 2 + chunk];
#pragma unroll
                for (int i = 0; i < TM; i++)
                    mma_bytes(counts[i][j], rows[i], spread(word, bit), spread(word, bit + 1));
            }
        }
}

// A warp's share of a stage where one operand is rows of bytes, and the weights are packed signs.
struct Bytes {
    static constexpr int W_CHUNKS = 1; // 128 bits

    static __device__ __forceinline__ int weights_word(int first) {
        return (first + threadIdx.x % WARP) * W_CHUNKS * 4;
    }

    template <int TM, int TN>
    static __device__ __forceinline__ void stage(int (&counts)[TM][TN][4], const uint32_t* tiles,
                                                 int a_word, int w_word, int) {
        Quad w_parts[TN / 4];
#pragma unroll
        for (int j = 0; j < TN / 4; j++) w_parts[j] = load_matrices(tiles + w_word + j * WARP * 4);
#pragma unroll
        for (int bit = 0; bit < 8; bit += 2) {
            Quad a_parts[TM];
            load_parts(a_parts, tiles + (a_word ^ bit * 4));
#pragma unroll
            for (int j = 0; j < TN; j++) {
                uint32_t word = w_parts[j / 4].at[j % 4];
#pragma unroll
                for (int i = 0; i < TM; i++)
                    mma_bytes(counts[i][j], a_parts[i], spread(word, bit), spread(word, bit + 1));
            }
        }
    }
};

KERNEL(256, 2) int8_128x128(const uint32_t* a, const uint32_t* w, long long m, int n, int words,
                            int planes, Finish f) {
    count_tile<Bits<false>, 128, 128, 64, 32>(Lines{a, m, words}, w, m, n, words, planes, f);
}

KERNEL(128) int8_64x64(const uint32_t* a, const uint32_t* w, long long m, int n, int words, int planes,
                       Finish f) {
    count_tile<Bits<false>, 64, 64, 32, 32>(Lines{a, m, words}, w, m, n, words, planes, f);
}

KERNEL(64) int8_32x32(const uint32_t* a, const uint32_t* w, long long m, int n, int words, int planes,
                      Finish f) {
    count_tile<Bits<false>, 32, 32, 16, 32>(Lines{a, m, words}, w, m, n, words, planes, f);
}

KERNEL(256) bytes_128x256(const uint32_t* a, const uint32_t* w, long long m, int n, int words,
                          int planes, Finish f) {
    count_tile<Bytes, 128, 256, 64, 64>(Lines{a, m, words}, w, m, n, words, planes, f);
}

KERNEL(256, 2) bytes_128x128(const uint32_t* a, const uint32_t* w, long long m, int n, int words,
                             int planes, Finish f) {
    count_tile<Bytes, 128, 128, 64, 32>(Lines{a, m, words}, w, m, n, words, planes, f);
}

KERNEL(128) bytes_64x64(const uint32_t* a, const uint32_t* w, long long m, int n, int words, int planes,
                        Finish f) {
    count_tile<Bytes, 64, 64, 32, 32>(Lines{a, m, words}, w, m, n, words, planes, f);
}

KERNEL(64) bytes_32x32(const uint32_t* a, const uint32_t* w, long long m, int n, int words, int planes,
                       Finish f) {
    count_tile<Bytes, 32, 32, 16, 32>(Lines{a, m, words}, w, m, n, words, planes, f);
}

KERNEL(256) windows_int8_128x128(const uint32_t* a, const uint32_t* w, long long m, int n, int words,
                                 int planes, Finish f, Pixels pixels) {
    count_tile<Bits<false>, 128, 128, 64, 32>(Images{a, m, pixels}, w, m, n, words, planes, f);
}

KERNEL(128) windows_int8_64x64(const uint32_t* a, const uint32_t* w, long long m, int n, int words,
                               int planes, Finish f, Pixels pixels) {
    count_tile<Bits<false>, 64, 64, 32, 32>(Images{a, m, pixels}, w, m, n, words, planes, f);
}

KERNEL(64) windows_int8_32x32(const uint32_t* a, const uint32_t* w, long long m, int n, int words,
                              int planes, Finish f, Pixels pixels) {
    count_tile<Bits<false>, 32, 32, 16, 32>(Images{a, m, pixels}, w, m, n, words, planes, f);
}
