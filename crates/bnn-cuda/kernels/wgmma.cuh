// What Hopper alone has (sm_90a): barriers that count bytes, the bulk tensor copy engine, and products of
// a warpgroup that read their operands from shared memory. In front of hopper.cu.
//
// A row of a tile is 128 bytes, as wide as the swizzle: the 16 bytes at an address lie where its bits
// 4 to 6 are exclusive-ored with its bits 7 to 9. Tiles begin at whole kilobytes.

constexpr int ROW_BYTES = STAGE_WORDS * 4; // of a tile
constexpr int GROUP = 128;         // threads of a warpgroup

// What 32 bytes of a row hold: 256 bits, or 32 unsigned numbers.
struct OfBits {};
struct OfBytes {};

#ifdef BNN_EMULATED
#define __grid_constant__

// A matrix of words, in the place of what a driver encodes.
struct TensorMap { const uint32_t* at; uint64_t words, rows, box_rows; };

struct Barrier {
    int arrivals, pending, bytes, parity;

    // The next phase begins when all have arrived, and all bytes.
    void turn() {
        if (pending || bytes) return;
        parity ^= 1;
        pending = arrivals;
    }
};

inline void barrier_start(Barrier* barrier, int arrivals) { *barrier = Barrier{arrivals, arrivals, 0, 0}; }
inline void publish_barriers() {}
inline void arrive_expecting(Barrier* barrier, int bytes) {
    barrier->bytes += bytes;
    barrier->pending--;
    barrier->turn();
}
inline void arrive(Barrier* barrier) { arrive_expecting(barrier, 0); }
inline void wait(Barrier* barrier, int parity) {
    for (int turn = 0; barrier->parity == parity; turn++) {
        if (turn > 100000) emulation::stuck("a barrier waits for what never comes");
        emulation::yield();
    }
}

// Addresses in shared memory, as the device counts them.
inline unsigned shared_address(const void* pointer) {
    return (unsigned)(reinterpret_cast<const unsigned char*>(pointer) - emulation::shared.get());
}
inline unsigned char* swizzled(unsigned address) {
    return emulation::shared.get() + (address ^ (address >> 7 & 7) << 4);
}

inline void copy_box(void* to, const TensorMap* map, int word, int row, Barrier* barrier) {
    for (unsigned r = 0; r < map->box_rows; r++)
        for (unsigned i = 0; i < ROW_BYTES / 4; i++) {
            bool inside = row + r < map->rows && word + i < map->words;
            uint32_t value = inside ? map->at[(row + r) * map->words + word + i] : 0;
            std::memcpy(swizzled(shared_address(to) + r * ROW_BYTES + i * 4), &value, 4);
        }
    barrier->bytes -= (int)map->box_rows * ROW_BYTES;
    barrier->turn();
}

inline uint64_t describe(const void* tile) { return shared_address(tile) >> 4; }
inline void show_copies() {}
inline void start_mma() {}
inline void commit_mma() { emulation::products().commit(); }
template <int LEFT> void wait_mma() { emulation::products().wait(LEFT); }
template <int TN> void settle(int (&)[TN][4]) {}
template <int COUNT> void leave_registers() {}
template <int COUNT> void take_registers() {}

// 32 bytes of a row of the tile that is described.
struct Slice {
    uint64_t at[4];

    Slice(uint64_t tile, unsigned row) {
        unsigned address = (unsigned)tile * 16 + row * ROW_BYTES;
        for (unsigned half = 0; half < 2; half++) std::memcpy(at + half * 2, swizzled(address + half * 16), 16);
    }
};

inline int product(OfBits, const Slice& a, const Slice& w) {
    int sum = 0;
    for (int i = 0; i < 4; i++) sum += __builtin_popcountll(a.at[i] & w.at[i]);
    return sum;
}
inline int product(OfBytes, const Slice& a, const Slice& w) {
    int sum = 0;
    for (int i = 0; i < 4; i++)
        for (int shift = 0; shift < 64; shift += 8)
            sum += (int)((a.at[i] >> shift & 0xFF) * (w.at[i] >> shift & 0xFF));
    return sum;
}

template <class Kind, int TN>
void mma_async(Kind kind, int (&d)[TN][4], uint64_t a, uint64_t w, int go_on) {
    unsigned me = emulation::current % GROUP, lane = me % 32, first = me / 32 * 16 + lane / 4;
    emulation::products().open.push_back([=, &d] {
        Slice rows[2] = {{a, first}, {a, first + 8}};
        for (unsigned j = 0; j < TN; j++)
            for (unsigned i = 0; i < 4; i++) {
                int sum = product(kind, rows[i / 2], Slice(w, j * 8 + lane % 4 * 2 + i % 2));
                d[j][i] = go_on ? d[j][i] + sum : sum;
            }
    });
}
#else
struct alignas(64) TensorMap { char bytes[128]; };

using Barrier = uint64_t;

__device__ __forceinline__ void barrier_start(Barrier* barrier, int arrivals) {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(barrier)), "r"(arrivals));
}

// Barriers are there for the copy engine as well.
__device__ __forceinline__ void publish_barriers() {
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
}

__device__ __forceinline__ void arrive(Barrier* barrier) {
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_address(barrier)) : "memory");
}

__device__ __forceinline__ void arrive_expecting(Barrier* barrier, int bytes) {
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(barrier)),
                 "r"(bytes) : "memory");
}

__device__ __forceinline__ void wait(Barrier* barrier, int parity) {
    asm volatile("{\n"
                 ".reg .pred done;\n"
                 "again:\n"
                 "mbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n"
                 "@!done bra again;\n"
                 "}" ::"r"(shared_address(barrier)), "r"(parity) : "memory");
}

// Starts a copy of the map's box at (word of k, row); zeros where the matrix ends.
__device__ __forceinline__ void copy_box(void* to, const TensorMap* map, int word, int row,
                                         Barrier* barrier) {
    asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes "
                 "[%0], [%1, {%2, %3}], [%4];" ::"r"(shared_address(to)), "l"(map), "r"(word),
                 "r"(row), "r"(shared_address(barrier)) : "memory");
}

// What this thread has copied is there for wgmma as well, which sees shared memory its own way.
__device__ __forceinline__ void show_copies() {
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}

// Describes rows of 128 bytes, swizzled by the copy engine, eight rows to the next kilobyte.
__device__ __forceinline__ uint64_t describe(const void* tile) {
    return (uint64_t)((shared_address(tile) & 0x3FFFF) >> 4) | 1ull << 16 | (uint64_t)(1024 >> 4) << 32 |
           1ull << 62;
}

__device__ __forceinline__ void start_mma() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
__device__ __forceinline__ void commit_mma() {
    asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}
// Nothing reads the counts before this, nor is anything of it moved behind it.
template <int TN> __device__ __forceinline__ void settle(int (&counts)[TN][4]) {
#pragma unroll
    for (int j = 0; j < TN; j++) {
        asm volatile("" : "+r"(counts[j][0]), "+r"(counts[j][1]), "+r"(counts[j][2]), "+r"(counts[j][3])
                     :: "memory");
    }
}
template <int LEFT> __device__ __forceinline__ void wait_mma() {
    asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(LEFT) : "memory");
}

// A warpgroup keeps, or has from then on, so many registers per thread.
template <int COUNT> __device__ __forceinline__ void leave_registers() {
    asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(COUNT));
}
template <int COUNT> __device__ __forceinline__ void take_registers() {
    asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(COUNT));
}

#define NUMBERS_64 \
    "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15" \
    ", %16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31" \
    ", %32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47" \
    ", %48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"
#define NUMBERS_96 NUMBERS_64 \
    ", %64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79" \
    ", %80, %81, %82, %83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95"
#define NUMBERS_128 NUMBERS_96 \
    ", %96, %97, %98, %99, %100, %101, %102, %103, %104, %105, %106, %107, %108, %109, %110, %111" \
    ", %112, %113, %114, %115, %116, %117, %118, %119, %120, %121, %122, %123, %124, %125, %126, %127"
#define COUNTS(j) "+r"(d[j][0]), "+r"(d[j][1]), "+r"(d[j][2]), "+r"(d[j][3])
#define COUNTS_16(j) COUNTS(j), COUNTS(j + 1), COUNTS(j + 2), COUNTS(j + 3)
#define COUNTS_64 COUNTS_16(0), COUNTS_16(4), COUNTS_16(8), COUNTS_16(12)
#define COUNTS_96 COUNTS_64, COUNTS_16(16), COUNTS_16(20)
#define COUNTS_128 COUNTS_96, COUNTS_16(24), COUNTS_16(28)
// d += products of 64 rows of a with the columns of w, 32 bytes each; without `go_on`, d = products.
#define MMA_ASYNC(Kind, columns, shape, numbers, a_number, w_number, go_on_number, counts) \
    __device__ __forceinline__ void mma_async(Kind, int (&d)[columns / 8][4], uint64_t a, uint64_t w, \
                                              int go_on) { \
        asm volatile("{\n.reg .pred go_on;\nsetp.ne.b32 go_on, " go_on_number ", 0;\n" \
                     "wgmma.mma_async.sync.aligned.m64n" #columns shape " {" numbers "}, " a_number \
                     ", " w_number ", go_on;\n}" \
                     : counts : "l"(a), "l"(w), "r"(go_on)); \
    }
MMA_ASYNC(OfBits, 128, "k256.s32.b1.b1.and.popc", NUMBERS_64, "%64", "%65", "%66", COUNTS_64)
MMA_ASYNC(OfBits, 192, "k256.s32.b1.b1.and.popc", NUMBERS_96, "%96", "%97", "%98", COUNTS_96)
MMA_ASYNC(OfBits, 256, "k256.s32.b1.b1.and.popc", NUMBERS_128, "%128", "%129", "%130", COUNTS_128)
MMA_ASYNC(OfBytes, 128, "k32.s32.u8.u8", NUMBERS_64, "%64", "%65", "%66", COUNTS_64)
MMA_ASYNC(OfBytes, 192, "k32.s32.u8.u8", NUMBERS_96, "%96", "%97", "%98", COUNTS_96)
MMA_ASYNC(OfBytes, 256, "k32.s32.u8.u8", NUMBERS_128, "%128", "%129", "%130", COUNTS_128)
#endif
