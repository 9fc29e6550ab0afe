// Runs kernels on the host: put in front of common.cuh, the same text compiles as C++.
//
// Every thread of a block is a fiber; a barrier or a warp's exchange lets the next fiber run until
// all have come. One block runs at a time, one launch at a time. Slow, but every index computation
// of the real kernel is executed, and the order is always the same.

#define BNN_EMULATED 1

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>
#include <memory>
#include <type_traits>
#include <ucontext.h>
#include <utility>
#include <vector>

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __shared__ static
#define __restrict__
#define DYNAMIC_SHARED(type, name) type* name = reinterpret_cast<type*>(emulation::shared.get())

struct dim3 { unsigned x, y, z; };
struct float2 { float x, y; };
struct alignas(16) float4 { float x, y, z, w; };
struct int2 { int x, y; };

namespace emulation {
constexpr size_t STACK = 96 * 1024;
// What a thread has started: it is done when its group is waited for, and no sooner, so that whoever
// does not wait reads what was there before.
struct Groups {
    std::vector<std::function<void()>> open;
    std::deque<std::vector<std::function<void()>>> committed;

    void commit() {
        committed.push_back(std::move(open));
        open.clear();
    }
    void wait(size_t left) {
        for (; committed.size() > left; committed.pop_front())
            for (auto& work : committed.front()) work();
    }
};
struct Fiber {
    Groups copies, products;
    ucontext_t context;
    std::unique_ptr<char[]> stack;
    bool done;
};
// Those who wait for each other: a block, or a warp of it.
struct Meeting {
    unsigned alive = 0, arrived = 0, round = 0;
    uint64_t slots[32][8];
};
inline std::vector<Fiber> fibers;
inline std::vector<Meeting> warps;
inline Meeting block;
inline ucontext_t scheduler;
inline unsigned current;
struct Free { void operator()(void* memory) const { std::free(memory); } };
inline std::unique_ptr<unsigned char[], Free> shared;
inline void (*body)(void**);
inline void** arguments;

// A fault of the kernel's: fibers that wait for each other would do so forever.
[[noreturn]] inline void stuck(const char* why) {
    std::fprintf(stderr, "emulated kernel: %s\n", why);
    std::abort();
}
inline Groups& copies() { return fibers[current].copies; }
inline Groups& products() { return fibers[current].products; }
inline void yield() { swapcontext(&fibers[current].context, &scheduler); }
inline void release(Meeting& meeting) {
    if (meeting.alive && meeting.arrived == meeting.alive) {
        meeting.arrived = 0;
        meeting.round++;
    }
}
inline void meet(Meeting& meeting) {
    unsigned round = meeting.round;
    meeting.arrived++;
    release(meeting);
    while (meeting.round == round) yield();
}
inline Meeting& warp() { return warps[current / 32]; }
inline void enter() {
    body(arguments);
    fibers[current].done = true;
    block.alive--;
    release(block);
    warp().alive--;
    release(warp());
    swapcontext(&fibers[current].context, &scheduler);
}
} // namespace emulation

inline dim3 threadIdx, blockIdx, blockDim, gridDim;

namespace emulation {
inline void run_block(unsigned threads) {
    block = Meeting{};
    block.alive = threads;
    warps.assign((threads + 31) / 32, Meeting{});
    if (fibers.size() < threads) fibers.resize(threads);
    for (unsigned i = 0; i < threads; i++) {
        Fiber& fiber = fibers[i];
        if (!fiber.stack) fiber.stack.reset(new char[STACK]);
        fiber.done = false;
        fiber.copies = fiber.products = Groups{};
        warps[i / 32].alive++;
        getcontext(&fiber.context);
        fiber.context.uc_stack.ss_sp = fiber.stack.get();
        fiber.context.uc_stack.ss_size = STACK;
        fiber.context.uc_link = nullptr;
        makecontext(&fiber.context, enter, 0);
    }
    for (unsigned left = threads; left > 0;) {
        left = 0;
        for (current = 0; current < threads; current++) {
            if (fibers[current].done) continue;
            threadIdx = dim3{current, 0, 0};
            swapcontext(&scheduler, &fibers[current].context);
            left += !fibers[current].done;
        }
    }
}
inline void run(void (*kernel)(void**), const unsigned* grid, unsigned threads, size_t bytes,
                void** values) {
    shared.reset((unsigned char*)std::aligned_alloc(1024, (bytes / 1024 + 1) * 1024));
    body = kernel;
    arguments = values;
    blockDim = dim3{threads, 1, 1};
    gridDim = dim3{grid[0], grid[1], grid[2]};
    for (unsigned z = 0; z < grid[2]; z++)
        for (unsigned y = 0; y < grid[1]; y++)
            for (unsigned x = 0; x < grid[0]; x++) {
                blockIdx = dim3{x, y, z};
                run_block(threads);
            }
}
// Calls a kernel with the values that an array of pointers to them holds, as a driver does.
template <class... A, size_t... I>
void apply(void (*kernel)(A...), void** values, std::index_sequence<I...>) {
    kernel(*reinterpret_cast<std::remove_cv_t<A>*>(values[I])...);
}
template <class... A>
void apply(void (*kernel)(A...), void** values) {
    apply(kernel, values, std::index_sequence_for<A...>{});
}
// What every lane put into its slot, once all of the warp have.
template <class T, class F>
auto exchange(T mine, F read) {
    Meeting& meeting = warp();
    static_assert(sizeof(T) <= sizeof(meeting.slots[0]), "a slot holds it");
    std::memcpy(meeting.slots[current % 32], &mine, sizeof(T));
    meet(meeting);
    auto lane = [&](unsigned at) {
        T value;
        std::memcpy(&value, meeting.slots[at], sizeof(T));
        return value;
    };
    auto result = read(lane);
    meet(meeting);
    return result;
}
} // namespace emulation

inline void __syncthreads() { emulation::meet(emulation::block); }
inline unsigned __ballot_sync(unsigned, int set) {
    unsigned alive = emulation::warp().alive;
    return emulation::exchange(set, [&](auto lane) {
        unsigned word = 0;
        for (unsigned i = 0; i < alive; i++) word |= unsigned(lane(i) != 0) << i;
        return word;
    });
}
template <class T>
T __shfl_xor_sync(unsigned, T value, int with) {
    unsigned me = emulation::current % 32;
    return emulation::exchange(value, [&](auto lane) { return lane(me ^ unsigned(with)); });
}
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline unsigned __float_as_uint(float x) { unsigned u; std::memcpy(&u, &x, 4); return u; }
inline float __uint_as_float(unsigned u) { float x; std::memcpy(&x, &u, 4); return x; }
inline int min(int a, int b) { return a < b ? a : b; }
inline long long min(long long a, long long b) { return a < b ? a : b; }
using std::fmaxf;
using std::fminf;
