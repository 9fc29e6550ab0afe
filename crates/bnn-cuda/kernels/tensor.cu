// Sign products on tensor cores of compute capability 8.0 to 9.0: mma.m16n8k256, AND and popcount.

#ifdef BNN_EMULATED
struct Fragments { uint32_t a[4], b[2]; };
inline void mma_and_popc(int (&c)[4], const Quad& a, uint32_t b0, uint32_t b1) {
    unsigned me = emulation::current % 32;
    Fragments mine{{a.at[0], a.at[1], a.at[2], a.at[3]}, {b0, b1}};
    Quad sums = emulation::exchange(mine, [&](auto lane) {
        Quad sums{};
        for (unsigned i = 0; i < 4; i++)
            for (unsigned q = 0; q < 4; q++)
                for (unsigned half = 0; half < 2; half++)
                    sums.at[i] += __popc(lane(me / 4 * 4 + q).a[half * 2 + i / 2] &
                                         lane((me % 4 * 2 + i % 2) * 4 + q).b[half]);
        return sums;
    });
    for (int i = 0; i < 4; i++) c[i] += (int)sums.at[i];
}
#else
// c += counts of common bits of 16 rows of a with 8 rows of b, 256 bits each.
__device__ __forceinline__ void mma_and_popc(int (&c)[4], const Quad& a, uint32_t b0, uint32_t b1) {
    asm volatile("mma.sync.aligned.m16n8k256.row.col.s32.b1.b1.s32.and.popc "
                 "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+r"(c[0]), "+r"(c[1]), "+r"(c[2]), "+r"(c[3])
                 : "r"(a.at[0]), "r"(a.at[1]), "r"(a.at[2]), "r"(a.at[3]), "r"(b0), "r"(b1));
}
#endif

// 256 bits of k.
template <int TM, int TN>
__device__ __forceinline__ void multiply(int (&counts)[TM][TN][4], const Quad (&a)[TM],
                                         const Quad (&w)[TN / 2]) {
#pragma unroll
    for (int i = 0; i < TM; i++)
#pragma unroll
        for (int j = 0; j < TN; j++)
            mma_and_popc(counts[i][j], a[i], w[j / 2].at[j % 2 * 2], w[j / 2].at[j % 2 * 2 + 1]);
}

KERNEL(256, 2) count_128x128(const uint32_t* a, const uint32_t* w, long long m, int n, int words,
                             int planes, Finish f) {
    count_tile<Bits<true>, 128, 128, 64, 32>(Lines{a, m, words}, w, m, n, words, planes, f);
}

KERNEL(128) count_64x64(const uint32_t* a, const uint32_t* w, long long m, int n, int words,
                        int planes, Finish f) {
    count_tile<Bits<true>, 64, 64, 32, 32>(Lines{a, m, words}, w, m, n, words, planes, f);
}

KERNEL(64) count_32x32(const uint32_t* a, const uint32_t* w, long long m, int n, int words, int planes,
                       Finish f) {
    count_tile<Bits<true>, 32, 32, 16, 32>(Lines{a, m, words}, w, m, n, words, planes, f);
}

KERNEL(256, 2) windows_128x128(const uint32_t* a, const uint32_t* w, long long m, int n, int words,
                               int planes, Finish f, Pixels pixels) {
    count_tile<Bits<true>, 128, 128, 64, 32>(Images{a, m, pixels}, w, m, n, words, planes, f);
}

KERNEL(128) windows_64x64(const uint32_t* a, const uint32_t* w, long long m, int n, int words,
                          int planes, Finish f, Pixels pixels) {
    count_tile<Bits<true>, 64, 64, 32, 32>(Images{a, m, pixels}, w, m, n, words, planes, f);
}

KERNEL(64) windows_32x32(const uint32_t* a, const uint32_t* w, long long m, int n, int words,
                         int planes, Finish f, Pixels pixels) {
    count_tile<Bits<true>, 32, 32, 16, 32>(Images{a, m, pixels}, w, m, n, words, planes, f);
}
