// Matrix units: products of numbers of sixteen bits, added up in `float`. They are there from capability 8.0 on.

#ifdef __CUDACC_RTC__
/// An address of shared memory as instructions take it.
INLINE uint32_t shared_address(const void* p) {
    uint32_t address;
    asm("{ .reg .u64 t; cvta.to.shared.u64 t, %1; cvt.u32.u64 %0, t; }" : "=r"(address) : "l"(p));
    return address;
}
/// Begins to copy the first `valid` of 16 bytes to shared memory, and zeros for the rest. Both addresses are multiples of 16.
INLINE void copy_async(void* to, const void* from, uint32_t valid) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(to)), "l"(from), "r"(valid) : "memory");
}
/// Ends a group of copies.
INLINE void copies_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
/// Waits until at most `LEFT` of this thread's groups are on their way.
template <int LEFT>
INLINE void copies_wait() { asm volatile("cp.async.wait_group %0;" ::"n"(LEFT) : "memory"); }
/// Four matrices of 8 × 8, of which each lane names a row of 16 bytes: lanes 0 to 7 those of the first, and so on. Lane `l`
/// gets numbers `2 (l % 4)` and the next of row `l / 4` of each.
INLINE void load_matrices(uint32_t (&r)[4], const void* row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(shared_address(row)) : "memory");
}
/// The same of the transposed matrices.
INLINE void load_transposed(uint32_t (&r)[4], const void* row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(shared_address(row)) : "memory");
}
/// c += a·b with a [16, 16] and b [16, 8], spread over the lanes of a warp: for g = lane / 4 and t = 2 (lane % 4) a holds rows g
/// and g + 8 at columns t, t + 1, then at t + 8, t + 9; b rows t, t + 1 and t + 8, t + 9 at column g; c rows g and g + 8 at
/// columns t, t + 1.
INLINE void multiply_add(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
                 "{%0, %1, %2, %3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
#endif

/// A block of a matrix in shared memory: `ROWS` lines of `COLUMNS` numbers that lie side by side in memory, so far apart that
/// eight lines at one place fall on different banks.
template <int ROWS, int COLUMNS>
struct Block {
    static constexpr int PITCH = COLUMNS + 8, SIZE = ROWS * PITCH;
    /// Brings the block at [row, column] of a matrix of so many rows and columns, zeros for what lies outside. Neighbours of a
    /// line are one element apart and lines begin at multiples of 16 bytes, if `SMOOTH`.
    template <int THREADS, bool SMOOTH>
    static INLINE_MEMBER void load(bf16* to, const bf16* from, uint32_t row, uint32_t column, uint32_t rows,
                                   uint32_t columns, int64_t line, int64_t step) {
        constexpr int UNROLL = SMOOTH ? ROWS * COLUMNS / 8 / THREADS : 1;
#pragma unroll UNROLL
        for (uint32_t i = threadIdx.x; i < ROWS * COLUMNS / 8; i += THREADS) {
            const uint32_t r = i / (COLUMNS / 8), q = i % (COLUMNS / 8) * 8;
            const uint32_t left = row + r < rows && column + q < columns ? columns - column - q : 0;
            const uint32_t valid = left < 8 ? left : 8;
            bf16* own = to + r * PITCH + q;
            if (SMOOTH) {
                copy_async(own, valid > 0 ? from + (int64_t)(row + r) * line + (column + q) : from, 2 * valid);
            } else {
                const bf16* first = from + (int64_t)(row + r) * line + (int64_t)(column + q) * step;
#pragma unroll
                for (uint32_t e = 0; e < 8; e++) own[e].bits = e < valid ? first[e * step].bits : 0;
            }
        }
    }
};

INLINE uint32_t packed(float a, float b) {
    bf16 low, high;
    low = a, high = b;
    return low.bits | (uint32_t)high.bits << 16;
}
/// Two neighbours of a row, of which the second may lie outside. `PAIRS`: they are written together.
template <bool PAIRS>
INLINE void write_two(bf16* to, int64_t step, float a, float b, bool both, bool update) {
    if (update) a += (float)to[0], b += both ? (float)to[step] : 0;
    if (PAIRS && both) {
        *(uint32_t*)to = packed(a, b);
    } else {
        to[0] = a;
        if (both) to[step] = b;
    }
}
template <bool PAIRS>
INLINE void write_two(float* to, int64_t step, float a, float b, bool both, bool update) {
    to[0] = update ? to[0] + a : a;
    if (both) to[step] = update ? to[step] + b : b;
}

/// C [m, n] = A [m, k] · B [k, n], or C += A·B: blocks of EDGE × EDGE, 32 terms at a time, of which the next ones are on their
/// way meanwhile. A lies by columns, or else by rows, where `COLUMNS_A`; so does B.
template <int EDGE, int ACROSS, bool COLUMNS_A, bool SMOOTH_A, bool COLUMNS_B, bool SMOOTH_B, bool PAIRS, class C>
INLINE void tensor_products(const bf16* a, const bf16* b, C* c, uint32_t m, uint32_t n, uint32_t k, Layout la, Layout lb,
                            Layout lc, bool update) {
    // A warp has 16 · DOWN rows and 8 · WIDE columns of the block; ACROSS warps stand side by side.
    constexpr int STEP = 32, STAGES = 3, WIDE = EDGE / ACROSS / 8, DOWN = 4 * EDGE / 128, WARPS = EDGE / (16 * DOWN) * ACROSS;
    constexpr int THREADS = 32 * WARPS;
    typedef Block<COLUMNS_A ? STEP : EDGE, COLUMNS_A ? EDGE : STEP> BlockA;
    typedef Block<COLUMNS_B ? EDGE : STEP, COLUMNS_B ? STEP : EDGE> BlockB;
    DYNAMIC_SHARED(memory);
    const uint32_t across = (n + EDGE - 1) / EDGE, down = (m + EDGE - 1) / EDGE, tile = blockIdx.x % (across * down);
    const int64_t matrix = blockIdx.x / (across * down);
    // Blocks that run together share rows and columns: they go down by eight before they go across.
    const uint32_t band = tile / (8 * across) * 8, height = down - band < 8 ? down - band : 8, within = tile - band * across;
    const uint32_t row = (band + within % height) * EDGE, column = within / height * EDGE;
    const uint32_t lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const uint32_t own_row = warp / ACROSS * 16 * DOWN, own_column = warp % ACROSS * 8 * WIDE;
    a += matrix * la.matrix, b += matrix * lb.matrix, c += matrix * lc.matrix;
    bf16* blocks = (bf16*)memory;
    const auto load = [&](uint32_t stage, uint32_t first) {
        bf16* to_a = blocks + stage * (BlockA::SIZE + BlockB::SIZE);
        bf16* to_b = to_a + BlockA::SIZE;
        if (COLUMNS_A) BlockA::template load<THREADS, SMOOTH_A>(to_a, a, first, row, k, m, la.column, la.row);
        else BlockA::template load<THREADS, SMOOTH_A>(to_a, a, row, first, m, k, la.row, la.column);
        if (COLUMNS_B) BlockB::template load<THREADS, SMOOTH_B>(to_b, b, column, first, n, k, lb.column, lb.row);
        else BlockB::template load<THREADS, SMOOTH_B>(to_b, b, first, column, k, n, lb.row, lb.column);
    };
    float sums[DOWN][WIDE][4] = {};
    const uint32_t steps = (k + STEP - 1) / STEP;
    for (uint32_t stage = 0; stage < STAGES - 1; stage++) {
        if (stage < steps) load(stage, stage * STEP);
        copies_commit();
    }
    for (uint32_t step = 0; step < steps; step++) {
        copies_wait<STAGES - 2>();
        // The terms are there for all threads, and all have done with those that the next ones replace.
        __syncthreads();
        const uint32_t next = step + STAGES - 1;
        if (next < steps) load(next % STAGES, next * STEP);
        copies_commit();
        const bf16* from_a = blocks + step % STAGES * (BlockA::SIZE + BlockB::SIZE);
        const bf16* from_b = from_a + BlockA::SIZE;
#pragma unroll
        for (uint32_t q = 0; q < STEP; q += 16) {
            uint32_t u[DOWN][4], v[WIDE / 2][4];
#pragma unroll
            for (uint32_t i = 0; i < DOWN; i++) {
                const uint32_t r = own_row + 16 * i;
                if (COLUMNS_A) load_transposed(u[i], from_a + (q + lane / 16 * 8 + lane % 8) * BlockA::PITCH + r + lane / 8 % 2 * 8);
                else load_matrices(u[i], from_a + (r + lane % 16) * BlockA::PITCH + q + lane / 16 * 8);
            }
#pragma unroll
            for (uint32_t j = 0; j < WIDE / 2; j++) {
                const uint32_t s = own_column + 16 * j;
                if (COLUMNS_B) load_matrices(v[j], from_b + (s + lane / 16 * 8 + lane % 8) * BlockB::PITCH + q + lane / 8 % 2 * 8);
                else load_transposed(v[j], from_b + (q + lane % 16) * BlockB::PITCH + s + lane / 16 * 8);
            }
#pragma unroll
            for (uint32_t i = 0; i < DOWN; i++)
#pragma unroll
                for (uint32_t j = 0; j < WIDE; j++) {
                    const uint32_t w[2] = {v[j / 2][j % 2 * 2], v[j / 2][j % 2 * 2 + 1]};
                    multiply_add(sums[i][j], u[i], w);
                }
        }
    }
#pragma unroll
    for (uint32_t i = 0; i < DOWN; i++)
#pragma unroll
        for (uint32_t j = 0; j < WIDE; j++)
#pragma unroll
            for (uint32_t h = 0; h < 2; h++) {
                const uint32_t r = row + own_row + 16 * i + lane / 4 + 8 * h, s = column + own_column + 8 * j + lane % 4 * 2;
                if (r < m && s < n)
                    write_two<PAIRS>(c + r * lc.row + s * lc.column, lc.column, sums[i][j][2 * h], sums[i][j][2 * h + 1], s + 1 < n, update);
            }
}
