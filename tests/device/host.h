// CUDA C++ on the processor: what kernels include where no compiler of NVIDIA's reads them.
//
// Every thread of a block is a fiber. A fiber runs until it waits for its block or its warp, or returns. Blocks
// go to the threads of the operating system. Nothing is guessed: a barrier that some threads miss and lanes that meet at
// different places end the launch with a sentence.
//
// HOST_ORDER=forward|reverse|random:SEED  in which order fibers of a block (and blocks of a grid) run between barriers
// -fsanitize=address    reads and writes beyond operands (everything but the launch's operands is poisoned)
// -fsanitize=thread     races: fibers are TSan fibers, only barriers and collectives order them
// -fsanitize=alignment  vector accesses off their alignment
#ifndef HOST_H
#define HOST_H
#include <atomic>
#include <math.h>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sys/mman.h>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#if defined(__SANITIZE_THREAD__)
#define HOST_TSAN 1
extern "C" {
void* __tsan_get_current_fiber(void);
void* __tsan_create_fiber(unsigned flags);
void __tsan_destroy_fiber(void* fiber);
void __tsan_switch_to_fiber(void* fiber, unsigned flags);
void __tsan_acquire(void* address);
void __tsan_release(void* address);
void AnnotateIgnoreReadsBegin(const char* file, int line);
void AnnotateIgnoreReadsEnd(const char* file, int line);
void AnnotateIgnoreWritesBegin(const char* file, int line);
void AnnotateIgnoreWritesEnd(const char* file, int line);
}
#endif
#if defined(__SANITIZE_ADDRESS__)
#define HOST_ASAN 1
extern "C" {
void __sanitizer_start_switch_fiber(void** save, const void* bottom, size_t size);
void __sanitizer_finish_switch_fiber(void* save, const void** bottom, size_t* size);
void __asan_unpoison_memory_region(void const volatile* address, size_t size);
}
#endif

#define __global__
#define __device__
#define __host__
#define __constant__ static const
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __grid_constant__
#define __align__(n) __attribute__((aligned(n)))
// A block lives on one thread of the operating system, which has these of its own.
#define __shared__ static thread_local

struct uint3 { unsigned x, y, z; };
struct dim3 {
    unsigned x, y, z;
    constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};

namespace host {

constexpr int WARP = 32;
constexpr size_t STACK = 256 << 10;

/// What ends a launch: said once, as one sentence; the caller sees the error code.
struct Trouble {
    std::atomic<bool> any{false};
    char text[512] = "";
    void say(const char* format, ...) {
        if (any.exchange(true)) return;
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(text, sizeof text, format, arguments);
        va_end(arguments);
    }
};

#if defined(__x86_64__)
// Saves what a call must keep, and continues where `to` has stopped.
extern "C" void host_switch(void** from, void* to);
asm(".weak host_switch\n.type host_switch,@function\nhost_switch:\n"
    "pushq %rbp\npushq %rbx\npushq %r12\npushq %r13\npushq %r14\npushq %r15\n"
    "movq %rsp,(%rdi)\nmovq %rsi,%rsp\n"
    "popq %r15\npopq %r14\npopq %r13\npopq %r12\npopq %rbx\npopq %rbp\nret\n");
#else
#error "a switch of fibers for this processor is missing"
#endif

/// A copy to shared memory that is on its way.
struct Copy { void* to; const void* from; unsigned bytes, valid; };

enum Wait : uint8_t { FRESH, READY, BLOCK, LANES, DONE };

struct Fiber {
    void* top = nullptr;
    char* stack = nullptr;
    Wait wait = DONE;
    const void* site = nullptr;
    unsigned line = 0;
    uint3 thread{};
    unsigned linear = 0;
    void* payload = nullptr;
    unsigned mask = 0;
    int vote = 0;
    /// Copies on their way, and how many of them each group ends.
    std::vector<Copy> copies;
    std::vector<size_t> groups;
#ifdef HOST_TSAN
    void* tsan = nullptr;
    /// How often it has met its block and its warp: neighbours are apart, so that nobody learns of what came later.
    unsigned barriers = 0, meetings = 0;
    char warp[2];
#endif
#ifdef HOST_ASAN
    void* fake = nullptr;
#endif
};

struct Launch {
    void (*thunk)(void**);
    void** parameters;
    dim3 grid, block;
    size_t shared;
    Trouble* trouble;
    uint64_t order;
    bool flush;
};

/// Whether denormal numbers count as zero, while it lives.
struct Denormals {
#if defined(__x86_64__)
    unsigned before = _mm_getcsr();
    explicit Denormals(bool flush) { _mm_setcsr(flush ? before | 0x8040 : before & ~0x8040u); }
    ~Denormals() { _mm_setcsr(before); }
#else
    explicit Denormals(bool) {}
#endif
};

/// Runs blocks, one after the other.
struct Worker {
    std::vector<Fiber> fibers;
    /// Stacks that no fiber is on, the warmest last: threads that never wait all run on one.
    std::vector<char*> stacks;
    size_t made = 0;
    Fiber* current = nullptr;
    void* home = nullptr;
    uint3 blockIdx{};
    const Launch* launch = nullptr;
    std::vector<unsigned char> dynamic;
    int votes = 0;
    uint64_t state = 0;
#ifdef HOST_TSAN
    void* tsan = nullptr;
    char block[2];
#endif
#ifdef HOST_ASAN
    void* fake = nullptr;
    const void* bottom = nullptr;
    size_t size = 0;
#endif
};

inline thread_local Worker worker;

[[gnu::noinline]] inline Worker& here() { return worker; }

/// What the shim itself reads and writes is no race of the kernel's.
struct Quiet {
#ifdef HOST_TSAN
    Quiet() { AnnotateIgnoreReadsBegin("", 0); AnnotateIgnoreWritesBegin("", 0); }
    ~Quiet() { AnnotateIgnoreReadsEnd("", 0); AnnotateIgnoreWritesEnd("", 0); }
#else
    Quiet() {}
#endif
};

__attribute__((no_sanitize("thread"))) inline void leave() {
    Worker& w = here();
    Fiber& f = *w.current;
#ifdef HOST_TSAN
    __tsan_switch_to_fiber(w.tsan, 1);
#endif
#ifdef HOST_ASAN
    __sanitizer_start_switch_fiber(f.wait == DONE ? nullptr : &f.fake, w.bottom, w.size);
#endif
    host_switch(&f.top, w.home);
#ifdef HOST_ASAN
    __sanitizer_finish_switch_fiber(f.fake, nullptr, nullptr);
#endif
}

__attribute__((no_sanitize("thread"))) inline void resume(Worker& w, Fiber& f) {
    w.current = &f;
#ifdef HOST_TSAN
    __tsan_switch_to_fiber(f.tsan, 1);
#endif
#ifdef HOST_ASAN
    __sanitizer_start_switch_fiber(&w.fake, f.stack, STACK);
#endif
    host_switch(&w.home, f.top);
#ifdef HOST_ASAN
    __sanitizer_finish_switch_fiber(w.fake, nullptr, nullptr);
#endif
}

[[noreturn]] inline void enter() {
    Worker& w = here();
    void (*thunk)(void**);
    void** parameters;
    {
        Quiet quiet;
        thunk = w.launch->thunk;
        parameters = w.launch->parameters;
    }
#ifdef HOST_ASAN
    __sanitizer_finish_switch_fiber(nullptr, &w.bottom, &w.size);
#endif
#ifdef HOST_TSAN
    __tsan_acquire(&w);
#endif
    thunk(parameters);
#ifdef HOST_TSAN
    __tsan_release(&w);
#endif
    {
        Quiet quiet;
        Fiber& f = *w.current;
        f.wait = DONE;
    }
    leave();
    __builtin_unreachable();
}

inline uint64_t draw(uint64_t& state) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

inline void prepare(Worker& w, Fiber& f) {
    if (w.stacks.empty()) {
        void* stack = mmap(nullptr, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        w.stacks.push_back(static_cast<char*>(stack));
        w.made++;
    }
    f.stack = w.stacks.back();
    w.stacks.pop_back();
#ifdef HOST_TSAN
    f.tsan = __tsan_create_fiber(0);
#endif
#ifdef HOST_ASAN
    // The frames of the fiber that was here before have never been left.
    __asan_unpoison_memory_region(f.stack, STACK);
#endif
    // Not all at the same distance from a page, or they would drive each other out of the caches.
    void** top = reinterpret_cast<void**>(f.stack + STACK - 64 - w.made % 61 * 64);
    *--top = nullptr;
    *--top = reinterpret_cast<void*>(&enter);
    for (int i = 0; i < 6; i++) *--top = nullptr;
    f.top = top;
    f.wait = READY;
    f.copies.clear();
    f.groups.clear();
}

inline void block(Worker& w, unsigned count) {
    const Launch& l = *w.launch;
    if (w.fibers.size() < count) w.fibers.resize(count);
    // Nobody may rely on what shared memory held before.
    w.dynamic.assign(l.shared + 16, 0xff);
    for (unsigned i = 0; i < count; i++) {
        Fiber& f = w.fibers[i];
        f.wait = FRESH;
        f.linear = i;
        f.thread = {i % l.block.x, i / l.block.x % l.block.y, i / l.block.x / l.block.y};
    }
#ifdef HOST_TSAN
    w.tsan = __tsan_get_current_fiber();
    __tsan_release(&w);
#endif
    unsigned done = 0;
    std::vector<unsigned> order(count);
    for (unsigned i = 0; i < count; i++) order[i] = l.order == 1 ? count - 1 - i : i;
    while (done < count && !l.trouble->any) {
        if (l.order > 1) {
            for (unsigned i = count; i > 1; i--) std::swap(order[i - 1], order[draw(w.state) % i]);
        }
        // A warp goes as far as it can before the next one starts: what it must not rely on shows.
        bool moved = false;
        for (unsigned i : order) {
            unsigned from = i / WARP * WARP, to = from + WARP < count ? from + WARP : count;
            for (bool again = w.fibers[i].wait <= READY; again && !l.trouble->any;) {
                again = false;
                for (unsigned k = 0; k < to - from; k++) {
                    Fiber& f = w.fibers[l.order == 1 ? to - 1 - k : from + k];
                    if (f.wait > READY) continue;
                    again = moved = true;
                    if (f.wait == FRESH) prepare(w, f);
                    resume(w, f);
                    if (f.wait == DONE) {
                        done++;
                        w.stacks.push_back(f.stack);
                    }
                }
            }
        }
        unsigned waiting = 0;
        const Fiber* first = nullptr;
        for (unsigned i = 0; i < count; i++) {
            if (w.fibers[i].wait == BLOCK) {
                waiting++;
                if (!first) first = &w.fibers[i];
            }
        }
        if (waiting > 0 && waiting + done == count) {
            int votes = 0;
            for (unsigned i = 0; i < count; i++) {
                Fiber& f = w.fibers[i];
                if (f.wait != BLOCK) {
                    l.trouble->say("block (%u, %u, %u): threads wait at a barrier that thread %u, which has returned, misses",
                                   w.blockIdx.x, w.blockIdx.y, w.blockIdx.z, f.linear);
                } else if (f.line != first->line) {
                    l.trouble->say("block (%u, %u, %u): thread %u waits at the barrier of line %u, thread %u at that of %u",
                                   w.blockIdx.x, w.blockIdx.y, w.blockIdx.z, f.linear, f.line, first->linear, first->line);
                }
                votes += f.vote;
            }
            w.votes = votes;
            for (unsigned i = 0; i < count; i++) w.fibers[i].wait = READY;
        } else if (!moved && done < count) {
            l.trouble->say("block (%u, %u, %u): no thread can go on; some wait for lanes of their warp that never come",
                           w.blockIdx.x, w.blockIdx.y, w.blockIdx.z);
        }
    }
    // What a launch that has failed leaves behind.
    for (unsigned i = 0; i < count; i++)
        if (w.fibers[i].wait != FRESH && w.fibers[i].wait != DONE) w.stacks.push_back(w.fibers[i].stack);
#ifdef HOST_TSAN
    __tsan_acquire(&w);
    for (unsigned i = 0; i < count; i++)
        if (w.fibers[i].wait != FRESH) __tsan_destroy_fiber(w.fibers[i].tsan);
#endif
}

/// Waits for all threads of the block; how many have voted 1.
[[gnu::noinline]] inline int barrier(int vote, unsigned line) {
    Quiet quiet;
    Worker& w = here();
    Fiber& f = *w.current;
    f.wait = BLOCK;
    f.line = line;
    f.vote = vote;
#ifdef HOST_TSAN
    void* met = &w.block[f.barriers++ % 2];
    __tsan_release(met);
    leave();
    __tsan_acquire(met);
#else
    leave();
#endif
    return here().votes;
}

/// Waits for the lanes of `mask`, all of which come to this place; the last one runs `work` on the payloads of all.
template <class Payload, class Work>
inline void lanes(unsigned mask, const void* site, Payload& own, Work work) {
    Quiet quiet;
    Worker& w = here();
    Fiber& f = *w.current;
    Fiber* warp = &w.fibers[f.linear / WARP * WARP];
    unsigned lane = f.linear % WARP;
    unsigned threads = w.launch->block.x * w.launch->block.y * w.launch->block.z;
    if (!(mask >> lane & 1)) {
        w.launch->trouble->say("lane %u is not in its own mask %08x", lane, mask);
    }
    f.payload = &own;
    f.mask = mask;
    f.site = site;
    f.wait = LANES;
    Payload* all[WARP] = {};
    bool complete = true;
    for (unsigned i = 0; i < WARP && complete; i++) {
        if (!(mask >> i & 1)) continue;
        bool exists = f.linear / WARP * WARP + i < threads;
        if (!exists || warp[i].wait == DONE) {
            w.launch->trouble->say("lane %u waits for lane %u, which has returned or never was", lane, i);
            complete = false;
        } else if (warp[i].wait != LANES) {
            complete = false;
        } else if (warp[i].mask != mask || warp[i].site != site) {
            w.launch->trouble->say("lanes %u and %u meet at different places or with different masks", lane, i);
            complete = false;
        } else {
            all[i] = static_cast<Payload*>(warp[i].payload);
        }
    }
#ifdef HOST_TSAN
    void* met = &warp->warp[f.meetings++ % 2];
    __tsan_release(met);
#endif
    if (complete) {
#ifdef HOST_TSAN
        __tsan_acquire(met);
#endif
        work(all);
        for (unsigned i = 0; i < WARP; i++) {
            if (mask >> i & 1) warp[i].wait = READY;
        }
    } else {
        leave();
#ifdef HOST_TSAN
        __tsan_acquire(met);
#endif
    }
}

template <class T>
struct Exchanged { T value, result; unsigned from; };

template <class T>
[[gnu::noinline]] inline T shuffle(unsigned mask, T value, unsigned from) {
    Exchanged<T> own{value, value, from};
    lanes(mask, __builtin_return_address(0), own, [&](Exchanged<T>** all) {
        for (int i = 0; i < WARP; i++) {
            if (!all[i]) continue;
            if (all[i]->from < WARP && !all[all[i]->from]) {
                here().launch->trouble->say("lane %d reads lane %u, which takes no part", i, all[i]->from);
                continue;
            }
            all[i]->result = all[i]->from < WARP ? all[all[i]->from]->value : all[i]->value;
        }
    });
    return own.result;
}

inline unsigned lane() { Quiet quiet; return here().current->linear % WARP; }
inline uint3 thread() { Quiet quiet; return here().current->thread; }
inline uint3 place() { Quiet quiet; return here().blockIdx; }
inline dim3 threads() { Quiet quiet; return here().launch->block; }
inline dim3 blocks() { Quiet quiet; return here().launch->grid; }
inline unsigned char* dynamic() { Quiet quiet; return (unsigned char*)(((uintptr_t)here().dynamic.data() + 15) & ~(uintptr_t)15); }

// A function's parameters, one after the other.
template <auto F>
struct Thunk;
template <class... A, void (*F)(A...)>
struct Thunk<F> {
    /// The bytes of each parameter, and 0 behind them.
    static constexpr size_t sizes[] = {sizeof(A)..., 0};
    template <size_t... I>
    static void call(void** parameters, std::index_sequence<I...>) {
        F(*static_cast<std::remove_cv_t<std::remove_reference_t<A>>*>(parameters[I])...);
    }
    static void run(void** parameters) { call(parameters, std::index_sequence_for<A...>{}); }
};

/// All blocks of a grid on so many threads of the operating system. 0, or 1 with the reason in `text`.
inline int run(void (*thunk)(void**), bool flush, dim3 grid, dim3 blocks, size_t shared, void** parameters,
               unsigned threads, char* text, size_t room) {
    Trouble trouble;
    uint64_t order = 0;
    if (const char* wanted = getenv("HOST_ORDER")) {
        if (!strcmp(wanted, "reverse")) order = 1;
        if (!strncmp(wanted, "random:", 7)) order = strtoull(wanted + 7, nullptr, 10) * 2654435761u + 2;
    }
    Launch launch{thunk, parameters, grid, blocks, shared, &trouble, order, flush};
    unsigned count = blocks.x * blocks.y * blocks.z;
    uint64_t total = uint64_t(grid.x) * grid.y * grid.z;
    std::atomic<uint64_t> next{0};
    auto work = [&] {
        Denormals denormals(flush);
        Worker& w = here();
        w.launch = &launch;
        w.state = order;
        for (uint64_t i; (i = next++) < total && !trouble.any;) {
            if (order == 1) i = total - 1 - i;
            w.blockIdx = {unsigned(i % grid.x), unsigned(i / grid.x % grid.y), unsigned(i / grid.x / grid.y)};
            block(w, count);
        }
        w.launch = nullptr;
    };
#ifdef HOST_TSAN
    // Blocks may not rely on each other: each has a thread of its own, which nothing orders.
    for (uint64_t first = 0; first < total && !trouble.any; first += 8) {
        std::vector<std::thread> all;
        for (uint64_t i = first; i < total && i < first + 8; i++) {
            all.emplace_back([&, i] {
                Quiet quiet;
                Denormals denormals(flush);
                Worker& w = here();
                w.launch = &launch;
                w.state = order + i;
                w.blockIdx = {unsigned(i % grid.x), unsigned(i / grid.x % grid.y), unsigned(i / grid.x / grid.y)};
                block(w, count);
                for (char* stack : w.stacks) munmap(stack, STACK);
            });
        }
        for (auto& one : all) one.join();
    }
    if (trouble.any) snprintf(text, room, "%s", trouble.text);
    return trouble.any;
#endif
    if (threads <= 1 || total == 1) {
        work();
    } else {
        std::vector<std::thread> others;
        for (unsigned i = 1; i < threads; i++) others.emplace_back(work);
        work();
        for (auto& other : others) other.join();
    }
    if (trouble.any) snprintf(text, room, "%s", trouble.text);
    return trouble.any;
}

}  // namespace host

#define threadIdx (host::thread())
#define blockIdx (host::place())
#define blockDim (host::threads())
#define gridDim (host::blocks())
#define warpSize 32

#define __syncthreads() ((void)host::barrier(0, __LINE__))
#define __syncthreads_count(p) host::barrier((p) != 0, __LINE__)
#define __syncthreads_or(p) (host::barrier((p) != 0, __LINE__) != 0)
struct Nothing {};
[[gnu::noinline]] inline void __syncwarp(unsigned mask = ~0u) {
    Nothing own;
    host::lanes(mask, __builtin_return_address(0), own, [](Nothing**) {});
}
template <class T>
__forceinline__ T __shfl_sync(unsigned mask, T value, int lane, int width = 32) {
    unsigned self = host::lane();
    return host::shuffle(mask, value, (self & ~unsigned(width - 1)) + unsigned(lane) % width);
}
template <class T>
__forceinline__ T __shfl_xor_sync(unsigned mask, T value, int lanes, int = 32) {
    return host::shuffle(mask, value, host::lane() ^ unsigned(lanes));
}
template <class T>
__forceinline__ T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32) {
    unsigned self = host::lane(), to = self + delta;
    return host::shuffle(mask, value, self / width == to / width ? to : self);
}
template <class T>
__forceinline__ T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32) {
    unsigned self = host::lane();
    return host::shuffle(mask, value, self % width >= delta ? self - delta : self);
}
struct Voted { int own; unsigned all; };
[[gnu::noinline]] inline unsigned __ballot_sync(unsigned mask, int p) {
    Voted own{p != 0, 0};
    host::lanes(mask, __builtin_return_address(0), own, [](Voted** all) {
        unsigned bits = 0;
        for (int i = 0; i < 32; i++) bits |= all[i] && all[i]->own ? 1u << i : 0;
        for (int i = 0; i < 32; i++) if (all[i]) all[i]->all = bits;
    });
    return own.all;
}

template <class To, class From>
__forceinline__ To same_bits(From x) {
    static_assert(sizeof(To) == sizeof(From), "as many bits");
    To y;
    memcpy(&y, &x, sizeof y);
    return y;
}
__forceinline__ float __uint_as_float(uint32_t x) { return same_bits<float>(x); }
__forceinline__ uint32_t __float_as_uint(float x) { return same_bits<uint32_t>(x); }
__forceinline__ double __longlong_as_double(int64_t x) { return same_bits<double>(x); }
__forceinline__ int64_t __double_as_longlong(double x) { return same_bits<int64_t>(x); }
__forceinline__ float __fmaf_rn(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
__forceinline__ double __fma_rn(double a, double b, double c) { return __builtin_fma(a, b, c); }
__forceinline__ float __fsqrt_rn(float x) { return __builtin_sqrtf(x); }
__forceinline__ double __dsqrt_rn(double x) { return __builtin_sqrt(x); }
__forceinline__ uint32_t __double2uint_rz(double x) { return x > 0 ? (x < 4294967296.0 ? (uint32_t)x : ~0u) : 0; }
__forceinline__ uint32_t __float2uint_rz(float x) { return __double2uint_rz(x); }
__forceinline__ uint32_t __umulhi(uint32_t a, uint32_t b) { return (uint64_t)a * b >> 32; }
__forceinline__ int __popc(uint32_t x) { return __builtin_popcount(x); }
__forceinline__ int __ffs(uint32_t x) { return __builtin_ffs(x); }
__forceinline__ uint32_t min(uint32_t a, uint32_t b) { return a < b ? a : b; }

// Matrix units, see `tensor.cuh`. What is copied is poison until it is waited for.
inline void copy_async(void* to, const void* from, unsigned valid) {
    if ((uintptr_t)to % 16 || (uintptr_t)from % 16) {
        host::Quiet quiet;
        host::here().launch->trouble->say("a copy of 16 bytes begins elsewhere than at a multiple of 16");
        return;
    }
    memset(to, 0xff, 16);
    host::Quiet quiet;
    host::here().current->copies.push_back({to, from, 16, valid});
}
inline void copies_commit() {
    host::Quiet quiet;
    host::Fiber& f = *host::here().current;
    f.groups.push_back(f.copies.size());
}
template <int LEFT>
inline void copies_wait() {
    std::vector<host::Copy> arrived;
    {
        host::Quiet quiet;
        host::Fiber& f = *host::here().current;
        if (f.groups.size() <= LEFT) return;
        size_t ended = f.groups.size() - LEFT, count = f.groups[ended - 1];
        arrived.assign(f.copies.begin(), f.copies.begin() + count);
        f.copies.erase(f.copies.begin(), f.copies.begin() + count);
        f.groups.erase(f.groups.begin(), f.groups.begin() + ended);
        for (size_t& end : f.groups) end -= count;
    }
    for (const host::Copy& c : arrived)
        for (unsigned i = 0; i < c.bytes; i += 2)
            *(uint16_t*)((char*)c.to + i) = i < c.valid ? *(const uint16_t*)((const char*)c.from + i) : 0;
}
struct Matrices { const void* row; uint32_t r[4]; };
template <bool TRANSPOSED>
inline void matrices(uint32_t (&r)[4], const void* row, const void* site) {
    if ((uintptr_t)row % 16) {
        host::Quiet quiet;
        host::here().launch->trouble->say("a row of a matrix begins elsewhere than at a multiple of 16 bytes");
    }
    Matrices own{row, {}};
    host::lanes(~0u, site, own, [](Matrices** all) {
        for (int l = 0; l < 32; l++)
            for (int i = 0; i < 8; i++) {
                const int line = l / 4, at = 2 * (l % 4) + i % 2, from = TRANSPOSED ? at : line, to = TRANSPOSED ? line : at;
                all[l]->r[i / 2] |= (uint32_t)((const uint16_t*)all[8 * (i / 2) + from]->row)[to] << 16 * (i % 2);
            }
    });
    memcpy(r, own.r, sizeof own.r);
}
[[gnu::noinline]] inline void load_matrices(uint32_t (&r)[4], const void* row) {
    matrices<false>(r, row, __builtin_return_address(0));
}
[[gnu::noinline]] inline void load_transposed(uint32_t (&r)[4], const void* row) {
    matrices<true>(r, row, __builtin_return_address(0));
}
struct Factors { uint32_t a[4], b[2]; float c[4]; };
[[gnu::noinline]] inline void multiply_add(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
    Factors own;
    memcpy(own.a, a, sizeof own.a);
    memcpy(own.b, b, sizeof own.b);
    memcpy(own.c, c, sizeof own.c);
    host::lanes(~0u, __builtin_return_address(0), own, [](Factors** all) {
        const auto half = [](uint32_t word, int high) { return __uint_as_float(high ? word & 0xffff0000u : word << 16); };
        float a[16][16], b[16][8];
        for (int l = 0; l < 32; l++) {
            const int g = l / 4, t = 2 * (l % 4);
            for (int i = 0; i < 8; i++) a[g + i / 2 % 2 * 8][t + i / 4 * 8 + i % 2] = half(all[l]->a[i / 2], i % 2);
            for (int i = 0; i < 4; i++) b[t + i / 2 * 8 + i % 2][g] = half(all[l]->b[i / 2], i % 2);
        }
        for (int l = 0; l < 32; l++)
            for (int i = 0; i < 4; i++) {
                const int row = l / 4 + i / 2 * 8, column = 2 * (l % 4) + i % 2;
                float sum = all[l]->c[i];
                for (int k = 0; k < 16; k++) sum = __builtin_fmaf(a[row][k], b[k][column], sum);
                all[l]->c[i] = sum;
            }
    });
    memcpy(c, own.c, sizeof own.c);
}
inline uint32_t atomicExch(uint32_t* to, uint32_t by) { return __atomic_exchange_n(to, by, __ATOMIC_RELAXED); }
#define DYNAMIC_SHARED(name) unsigned char* name = host::dynamic()

/// Called by the stand-in for each kernel of a module.
#define HOST_KERNEL(name, flush)                                                                                       \
    extern "C" __attribute__((visibility("default"))) int host_launch_##name(                                          \
        const unsigned* grid, const unsigned* block, size_t shared, void** parameters, unsigned threads, char* text,   \
        size_t room) {                                                                                                 \
        return host::run(&host::Thunk<&name>::run, flush, dim3(grid[0], grid[1], grid[2]),                             \
                         dim3(block[0], block[1], block[2]), shared, parameters, threads, text, room);                 \
    }                                                                                                                  \
    extern "C" __attribute__((visibility("default"))) const size_t* host_sizes_##name() { return host::Thunk<&name>::sizes; }
#endif
