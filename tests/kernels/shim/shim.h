// Runs CUDA kernels on a CPU, for tests: what kernels/cuda_*.cu need of CUDA, in plain C++17 for g++.
//
// Every thread of a block is a fiber that runs until it meets a barrier or a shuffle. Warps, and lanes inside them, go
// on in random order, so that what lacks a barrier is soon computed from the wrong line. Shared memory starts as NaN and
// is fenced. Barriers that some threads never reach, or reach at another place, end the launch with an error.
// Not shown: bank conflicts, coalescing, and how late a GPU may make a store visible without a barrier.
#pragma once

#include <sys/mman.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#if !defined(__x86_64__)
#include <ucontext.h>
#endif

#define __device__
#define __forceinline__ inline __attribute__((always_inline))
#define __syncthreads() shim::block_barrier(__LINE__)
#define __syncwarp() shim::warp_barrier(__LINE__)

struct Index {
    int x, y;
};
static Index threadIdx, blockIdx, blockDim;

namespace shim {

constexpr int WARP = 32, MOST_THREADS = 1024;
constexpr size_t STACK_BYTES = 128 << 10, FENCE_BYTES = 4096;
enum State { READY, AT_BARRIER, AT_WARP, DONE };

struct Fiber {
    State state;
    int place;  // line of the barrier or shuffle it waits at
    int turn;   // shuffles so far: their values lie in two copies
#if defined(__x86_64__)
    void* stack_pointer;
#else
    ucontext_t context;
#endif
};

static Fiber fibers[MOST_THREADS];
static Fiber* current;
static char* stacks;
static unsigned char* shared;
static double passed[2][MOST_THREADS];
static void (*body)(const void*);
static const void* argument;
static std::string failure;
static unsigned long long chance;

inline unsigned random_below(unsigned bound) {
    chance ^= chance << 13;
    chance ^= chance >> 7;
    chance ^= chance << 17;
    return static_cast<unsigned>((chance >> 33) % bound);
}

#if defined(__x86_64__)
static void* scheduler;
extern "C" void shim_switch(void** save, void* load);
asm(R"(
.text
.local shim_switch
shim_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
)");
inline void enter(Fiber& fiber) { shim_switch(&scheduler, fiber.stack_pointer); }
inline void leave() { shim_switch(&current->stack_pointer, scheduler); }
#else
static ucontext_t scheduler;
inline void enter(Fiber& fiber) { swapcontext(&scheduler, &fiber.context); }
inline void leave() { swapcontext(&current->context, &scheduler); }
#endif

static void run_fiber() {
    body(argument);
    current->state = DONE;
    leave();
    abort();
}

inline void start(Fiber& fiber, char* stack) {
    fiber.state = READY;
    fiber.turn = fiber.place = 0;
#if defined(__x86_64__)
    void** top = reinterpret_cast<void**>(stack + STACK_BYTES) - 2;
    top[0] = reinterpret_cast<void*>(run_fiber);  // returned to, with the stack 8 off 16 as after a call
    top[1] = nullptr;
    fiber.stack_pointer = top - 6;
    memset(fiber.stack_pointer, 0, 6 * sizeof(void*));
#else
    getcontext(&fiber.context);
    fiber.context.uc_stack.ss_sp = stack;
    fiber.context.uc_stack.ss_size = STACK_BYTES;
    fiber.context.uc_link = nullptr;
    makecontext(&fiber.context, run_fiber, 0);
#endif
}

inline void wait(State state, int place) {
    current->state = state;
    current->place = place;
    leave();
}

__attribute__((noinline)) static void block_barrier(int place) { wait(AT_BARRIER, place); }
__attribute__((noinline)) static void warp_barrier(int place) { wait(AT_WARP, place); }

__attribute__((noinline)) static double exchange(double value, int lane, int place) {
    double* values = passed[current->turn++ & 1] + (current - fibers) / WARP * WARP;
    values[(current - fibers) % WARP] = value;
    wait(AT_WARP, place);
    return values[lane];
}

inline void fail(const char* what, int place) {
    char text[200];
    snprintf(text, sizeof text, "%s (line %d, block %d)", what, place, blockIdx.x);
    failure = text;
}

// Lets a waiting group go on if it is whole and at one place; returns whether it did.
inline bool release(int first, int last, State state) {
    for (int i = first; i < last; ++i)
        if (fibers[i].state != state || fibers[i].place != fibers[first].place) return false;
    for (int i = first; i < last; ++i) fibers[i].state = READY;
    return true;
}

// Runs the ready lanes of a warp, from a random one on, until none is; returns whether any ran.
inline bool run_warp(int first) {
    bool ran = false;
    do {
        const int shift = static_cast<int>(random_below(WARP)), stride = 2 * static_cast<int>(random_below(16)) + 1;
        for (int i = 0; i < WARP; ++i) {
            const int thread = first + (shift + i * stride) % WARP;
            if (fibers[thread].state != READY) continue;
            current = &fibers[thread];
            threadIdx = {thread, 0};
            enter(*current);
            ran = true;
        }
    } while (release(first, first + WARP, AT_WARP));
    return ran;
}

inline void run_block(int threads) {
    std::vector<int> warps(threads / WARP);
    for (size_t i = 0; i < warps.size(); ++i) warps[i] = static_cast<int>(i) * WARP;
    for (int i = 0; i < threads; ++i) start(fibers[i], stacks + i * STACK_BYTES);
    for (;;) {
        bool ran = false;
        for (size_t i = warps.size(); i > 1; --i) std::swap(warps[i - 1], warps[random_below(static_cast<unsigned>(i))]);
        for (int first : warps) ran = run_warp(first) || ran;
        if (ran || release(0, threads, AT_BARRIER)) continue;
        for (int i = 0; i < threads; ++i)
            if (fibers[i].state != DONE) return fail("threads wait for others that never come", fibers[i].place);
        return;
    }
}

static int launch(void (*kernel)(const void*), const void* call, int grid_x, int grid_y, int threads, int most,
                  int shared_bytes, unsigned long long seed) {
    failure.clear();
    if (threads % WARP != 0 || threads < WARP || threads > most || threads > MOST_THREADS) {
        fail("a block of this size is not what the kernel was compiled for", 0);
        return 1;
    }
    if (stacks == nullptr)
        stacks = static_cast<char*>(mmap(nullptr, MOST_THREADS * STACK_BYTES, PROT_READ | PROT_WRITE,
                                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
    std::vector<unsigned char> memory(shared_bytes + 2 * FENCE_BYTES);
    body = kernel;
    argument = call;
    chance = seed * 0x9e3779b97f4a7c15ull + 1;
    blockDim = {threads, 1};
    // Aligned as a GPU aligns it.
    shared = reinterpret_cast<unsigned char*>((reinterpret_cast<uintptr_t>(memory.data()) + FENCE_BYTES / 2) & ~15ull);
    const size_t before = shared - memory.data();
    for (int y = 0; y < grid_y; ++y)
        for (int x = 0; x < grid_x; ++x) {
            blockIdx = {x, y};
            memset(memory.data(), 0xff, memory.size());
            run_block(threads);
            for (size_t i = 0; failure.empty() && i < memory.size(); ++i)
                if ((i < before || i >= before + shared_bytes) && memory[i] != 0xff)
                    fail("a write outside of shared memory", static_cast<int>(i - before));
            if (!failure.empty()) return 1;
        }
    return 0;
}

extern "C" const char* shim_failure() { return failure.c_str(); }

}  // namespace shim

template <class Value>
inline Value __shfl_sync(unsigned, Value value, int lane, int place = __builtin_LINE()) {
    return static_cast<Value>(shim::exchange(value, lane, place));
}

template <class Value>
inline Value __ldg(const Value* address) {
    return *address;
}

inline float __uint_as_float(unsigned bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

inline unsigned __float_as_uint(float value) {
    unsigned bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

inline float half_to_float(unsigned short bits) {
    _Float16 value;
    memcpy(&value, &bits, sizeof value);
    return static_cast<float>(value);
}

inline unsigned short float_to_half(float value) {
    const _Float16 half = static_cast<_Float16>(value);
    unsigned short bits;
    memcpy(&bits, &half, sizeof bits);
    return bits;
}

inline void forget(int&) {}
inline float reciprocal(float value) { return 1.0f / value; }

#define SHARED_MEMORY(name) unsigned char* name = shim::shared
#define KERNEL(name, most, Argument)                                                                            \
    static void name##_body(const Argument& call);                                                              \
    static void name##_run(const void* call) { name##_body(*static_cast<const Argument*>(call)); }              \
    extern "C" int name(const void* call, int grid_x, int grid_y, int threads, int shared_bytes,                \
                        unsigned long long seed) {                                                              \
        return shim::launch(name##_run, call, grid_x, grid_y, threads, most, shared_bytes, seed);               \
    }                                                                                                           \
    static void name##_body(const Argument& call)
