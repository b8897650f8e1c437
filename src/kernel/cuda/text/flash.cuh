// Attention on matrix units, block by block (Dao 2023, "FlashAttention-2"): 64 rows a block of threads, 16 a warp, and up to 64
// of the others at a time, of which the next ones are on their way meanwhile. `A` holds sizes and strides as in
// `attention.cuh`. Weights and their cotangents are rounded to sixteen bits where they are factors. No block adds to what
// another writes: scores are computed once for the queries and once more for the keys.

constexpr int FLASH = 64, FLASH_THREADS = 128;
/// How many of the others there are at a time: sums of wide rows leave fewer registers.
template <class A>
INLINE constexpr int flash_step() { return A::width > 64 || A::value_width > 64 ? 32 : 64; }

/// Whether a query sees a key.
template <class A>
INLINE bool flash_sees(int32_t position, int32_t key) {
    const int32_t distance = position - key, far = distance < 0 ? -distance : distance;
    return key < (int32_t)A::keys && !(A::causal && distance < 0) && !(A::window > 0 && far >= (int32_t)A::window);
}
/// The part of `0..count`, by blocks, that is no further than the window from these 64, whose positions begin at `first`;
/// only what is not later, or not earlier, where `before` or `after`.
template <class A, int STEP>
INLINE void flash_range(int32_t first, int32_t count, bool before, bool after, int32_t* begin, int32_t* end) {
    int32_t from = after ? first : 0, to = before ? first + FLASH - 1 : count - 1;
    if (A::window > 0) {
        const int32_t reach = (int32_t)A::window - 1;
        from = from > first - reach ? from : first - reach;
        to = to < first + FLASH - 1 + reach ? to : first + FLASH - 1 + reach;
    }
    from = from > 0 ? from : 0;
    to = to < count - 1 ? to : count - 1;
    *begin = from / STEP;
    *end = to < from ? *begin : to / STEP + 1;
}
/// products += a·bᵀ for 16 rows of `a` and `COUNT` of `b`, of so many numbers, in shared memory.
template <int WIDTH, int COUNT>
INLINE void flash_rows(float (&products)[COUNT / 8][4], const bf16* a, const bf16* b) {
    constexpr int PITCH = Block<1, WIDTH>::PITCH;
    const uint32_t lane = threadIdx.x % 32;
#pragma unroll
    for (int e = 0; e < WIDTH; e += 16) {
        uint32_t u[4];
        load_matrices(u, a + (lane % 16) * PITCH + e + lane / 16 * 8);
#pragma unroll
        for (int j = 0; j < COUNT / 16; j++) {
            uint32_t r[4];
            load_matrices(r, b + (16 * j + lane / 16 * 8 + lane % 8) * PITCH + e + lane / 8 % 2 * 8);
            const uint32_t low[2] = {r[0], r[1]}, high[2] = {r[2], r[3]};
            multiply_add(products[2 * j], u, low);
            multiply_add(products[2 * j + 1], u, high);
        }
    }
}
/// sums += w·b for 16 rows of `w` in registers, where products of `flash_rows` lie, and `COUNT` rows of `b` in shared memory.
template <int WIDTH, int COUNT>
INLINE void flash_sums(float (&sums)[WIDTH / 8][4], const float (&w)[COUNT / 8][4], const bf16* b) {
    constexpr int PITCH = Block<1, WIDTH>::PITCH;
    const uint32_t lane = threadIdx.x % 32;
#pragma unroll
    for (int j = 0; j < COUNT / 16; j++) {
        const uint32_t u[4] = {packed(w[2 * j][0], w[2 * j][1]), packed(w[2 * j][2], w[2 * j][3]),
                               packed(w[2 * j + 1][0], w[2 * j + 1][1]), packed(w[2 * j + 1][2], w[2 * j + 1][3])};
#pragma unroll
        for (int f = 0; f < WIDTH / 16; f++) {
            uint32_t r[4];
            load_transposed(r, b + (16 * j + lane % 16) * PITCH + 16 * f + lane / 16 * 8);
            const uint32_t low[2] = {r[0], r[1]}, high[2] = {r[2], r[3]};
            multiply_add(sums[2 * f], u, low);
            multiply_add(sums[2 * f + 1], u, high);
        }
    }
}
/// Writes this lane's part of a row, where sums of `flash_sums` lie, times a number.
template <int WIDTH, bool PAIRS, class O>
INLINE void flash_write(O* row, const float (&sums)[WIDTH / 8][4], int h, float by) {
#pragma unroll
    for (int f = 0; f < WIDTH / 8; f++)
        write_two<PAIRS>(row + 8 * f + threadIdx.x % 4 * 2, 1, sums[f][2 * h] * by, sums[f][2 * h + 1] * by, true, false);
}
#define ROW(view, n, h, i) ((int64_t)(n) * A::view##0 + (int64_t)(h) * A::view##1 + (int64_t)(i) * A::view##2)

/// The queries of a block of threads, and the blocks of keys that they see.
template <class A, int STEP>
struct FlashQueries {
    typedef Block<STEP, A::width> Keys;
    typedef Block<STEP, A::value_width> Values;
    static constexpr uint32_t DOWN = (A::queries + FLASH - 1) / FLASH;
    // Where order counts, the last queries see most keys; they begin first.
    const uint32_t row = (DOWN - 1 - blockIdx.x % DOWN) * FLASH, head = blockIdx.x / DOWN % A::heads;
    const uint32_t n = blockIdx.x / DOWN / A::heads, shared = head / (A::heads / A::shared);
    const int32_t first = (int32_t)A::keys - (int32_t)A::queries;
    int32_t begin, end;
    INLINE_MEMBER FlashQueries() {
        flash_range<A, STEP>(first + (int32_t)row, A::keys, A::causal, false, &begin, &end);
    }
    /// Begins to bring a block of keys and values into its stage.
    INLINE_MEMBER void load(bf16* stages, const bf16* k, const bf16* v, int32_t block) const {
        bf16* to = stages + block % 2 * (Keys::SIZE + Values::SIZE);
        k += ROW(k, n, shared, 0), v += ROW(v, n, shared, 0);
        Keys::template load<FLASH_THREADS, true>(to, k, block * STEP, 0, A::keys, A::width, A::k2, 1);
        Values::template load<FLASH_THREADS, true>(to + Keys::SIZE, v, block * STEP, 0, A::keys, A::value_width, A::v2, 1);
        copies_commit();
    }
};

/// The result and the logarithms of the sums of weights.
template <class A, bool PAIRS, class O>
INLINE void flash_forward(const bf16* q, const bf16* k, const bf16* v, O* out, float* logarithms) {
    constexpr int E = A::width, F = A::value_width, STEP = 64;
    typedef Block<FLASH, E> Queries;
    typedef Block<STEP, E> Keys;
    typedef Block<STEP, F> Values;
    DYNAMIC_SHARED(memory);
    bf16* const queries = (bf16*)memory;
    bf16* const stages = queries + Queries::SIZE;
    const FlashQueries<A, STEP> own;
    const uint32_t row = own.row, head = own.head, n = own.n, lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const int32_t first = own.first, begin = own.begin, end = own.end;
    const auto load = [&](int32_t block) { own.load(stages, k, v, block); };
    Queries::template load<FLASH_THREADS, true>(queries, q + ROW(q, n, head, 0), row, 0, A::queries, E, A::q2, 1);
    if (begin < end) load(begin);
    float sums[F / 8][4] = {}, greatest[2] = {-INFINITY, -INFINITY}, total[2] = {0, 0};
    for (int32_t block = begin; block < end; block++) {
        copies_wait<0>();
        // The keys are there for all threads, and all have done with those that the next ones replace.
        __syncthreads();
        if (block + 1 < end) load(block + 1);
        const bf16* keys = stages + block % 2 * (Keys::SIZE + Values::SIZE);
        float s[STEP / 8][4] = {};
        flash_rows<E, STEP>(s, queries + 16 * warp * Queries::PITCH, keys);
#pragma unroll
        for (int h = 0; h < 2; h++) {
            const int32_t position = first + (int32_t)(row + 16 * warp + lane / 4 + 8 * h);
            float most = greatest[h];
#pragma unroll
            for (int j = 0; j < STEP / 8; j++)
#pragma unroll
                for (int i = 0; i < 2; i++) {
                    float& x = s[j][2 * h + i];
                    x = flash_sees<A>(position, block * STEP + 8 * j + (int32_t)(lane % 4) * 2 + i) ? x * A::scale() : -INFINITY;
                    most = max_(most, x);
                }
            // Four lanes share a row.
            for (int d = 1; d < 4; d *= 2) most = max_(most, __shfl_xor_sync(ALL_LANES, most, d));
            const float base = most == -INFINITY ? 0.0f : most, shrink = exp_(greatest[h] - base);
            greatest[h] = most;
            float weights = 0;
#pragma unroll
            for (int j = 0; j < STEP / 8; j++)
#pragma unroll
                for (int i = 0; i < 2; i++) {
                    s[j][2 * h + i] = exp_(s[j][2 * h + i] - base);
                    weights += s[j][2 * h + i];
                }
            total[h] = total[h] * shrink + weights;
#pragma unroll
            for (int f = 0; f < F / 8; f++) sums[f][2 * h] *= shrink, sums[f][2 * h + 1] *= shrink;
        }
        flash_sums<F, STEP>(sums, s, keys + Keys::SIZE);
    }
#pragma unroll
    for (int h = 0; h < 2; h++) {
        for (int d = 1; d < 4; d *= 2) total[h] += __shfl_xor_sync(ALL_LANES, total[h], d);
        const uint32_t i = row + 16 * warp + lane / 4 + 8 * h;
        if (i >= A::queries) continue;
        flash_write<F, PAIRS>(out + ROW(out, n, head, i), sums, h, total[h] == 0 ? 0.0f : 1 / total[h]);
        if (lane % 4 == 0)
            logarithms[ROW(logarithms, n, head, i)] = total[h] == 0 ? -INFINITY : greatest[h] + ln_(total[h]);
    }
}

/// The cotangents of queries.
template <class A, bool PAIRS, class D>
INLINE void flash_queries(const bf16* q, const bf16* k, const bf16* v, const float* logarithms, const float* common,
                          const bf16* c, D* dq) {
    constexpr int E = A::width, F = A::value_width, STEP = flash_step<A>();
    typedef Block<FLASH, E> Queries;
    typedef Block<FLASH, F> Results;
    typedef Block<STEP, E> Keys;
    typedef Block<STEP, F> Values;
    DYNAMIC_SHARED(memory);
    bf16* const queries = (bf16*)memory;
    bf16* const results = queries + Queries::SIZE;
    bf16* const stages = results + Results::SIZE;
    const FlashQueries<A, STEP> own;
    const uint32_t row = own.row, head = own.head, n = own.n, lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const int32_t first = own.first, begin = own.begin, end = own.end;
    const auto load = [&](int32_t block) { own.load(stages, k, v, block); };
    Queries::template load<FLASH_THREADS, true>(queries, q + ROW(q, n, head, 0), row, 0, A::queries, E, A::q2, 1);
    Results::template load<FLASH_THREADS, true>(results, c + ROW(c, n, head, 0), row, 0, A::queries, F, A::c2, 1);
    if (begin < end) load(begin);
    float sums[E / 8][4] = {}, least[2], off[2];
#pragma unroll
    for (int h = 0; h < 2; h++) {
        const uint32_t i = row + 16 * warp + lane / 4 + 8 * h;
        least[h] = i < A::queries ? logarithms[ROW(logarithms, n, head, i)] : 0;
        off[h] = i < A::queries ? common[ROW(common, n, head, i)] : 0;
    }
    for (int32_t block = begin; block < end; block++) {
        copies_wait<0>();
        __syncthreads();
        if (block + 1 < end) load(block + 1);
        const bf16* keys = stages + block % 2 * (Keys::SIZE + Values::SIZE);
        float s[STEP / 8][4] = {}, d[STEP / 8][4] = {};
        flash_rows<E, STEP>(s, queries + 16 * warp * Queries::PITCH, keys);
        flash_rows<F, STEP>(d, results + 16 * warp * Results::PITCH, keys + Keys::SIZE);
#pragma unroll
        for (int j = 0; j < STEP / 8; j++)
#pragma unroll
            for (int i = 0; i < 4; i++) {
                const int32_t position = first + (int32_t)(row + 16 * warp + lane / 4 + 8 * (i / 2));
                const bool sees = flash_sees<A>(position, block * STEP + 8 * j + (int32_t)(lane % 4) * 2 + i % 2);
                const float weight = sees ? exp_(s[j][i] * A::scale() - least[i / 2]) : 0.0f;
                s[j][i] = A::scale() * weight * (d[j][i] - off[i / 2]);
            }
        flash_sums<E, STEP>(sums, s, keys);
    }
#pragma unroll
    for (int h = 0; h < 2; h++) {
        const uint32_t i = row + 16 * warp + lane / 4 + 8 * h;
        if (i < A::queries) flash_write<E, PAIRS>(dq + ROW(dq, n, head, i), sums, h, 1);
    }
}

/// The cotangents of keys and values, over the queries of all heads that they serve.
template <class A, bool PAIRS, class D>
INLINE void flash_keys(const bf16* q, const bf16* k, const bf16* v, const float* logarithms, const float* common,
                       const bf16* c, D* dk, D* dv) {
    constexpr int E = A::width, F = A::value_width, STEP = flash_step<A>();
    typedef Block<FLASH, E> Keys;
    typedef Block<FLASH, F> Values;
    typedef Block<STEP, E> Queries;
    typedef Block<STEP, F> Results;
    // A stage: queries, cotangents of results, and two numbers for each.
    constexpr int STAGE = Queries::SIZE + Results::SIZE + 4 * STEP;
    DYNAMIC_SHARED(memory);
    bf16* const keys = (bf16*)memory;
    bf16* const values = keys + Keys::SIZE;
    bf16* const stages = values + Values::SIZE;
    constexpr uint32_t DOWN = (A::keys + FLASH - 1) / FLASH, EACH = A::heads / A::shared;
    const uint32_t row = blockIdx.x % DOWN * FLASH, shared = blockIdx.x / DOWN % A::shared, n = blockIdx.x / DOWN / A::shared;
    const uint32_t lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const int32_t first = (int32_t)A::keys - (int32_t)A::queries;
    int32_t begin, end;
    flash_range<A, STEP>((int32_t)row - first, A::queries, false, A::causal, &begin, &end);
    Keys::template load<FLASH_THREADS, true>(keys, k + ROW(k, n, shared, 0), row, 0, A::keys, E, A::k2, 1);
    Values::template load<FLASH_THREADS, true>(values, v + ROW(v, n, shared, 0), row, 0, A::keys, F, A::v2, 1);
    float to_keys[E / 8][4] = {}, to_values[F / 8][4] = {};
    for (uint32_t head = shared * EACH; head < (shared + 1) * EACH; head++) {
        const auto load = [&](int32_t block) {
            bf16* to = stages + block % 2 * STAGE;
            Queries::template load<FLASH_THREADS, true>(to, q + ROW(q, n, head, 0), block * STEP, 0, A::queries, E, A::q2, 1);
            Results::template load<FLASH_THREADS, true>(to + Queries::SIZE, c + ROW(c, n, head, 0), block * STEP, 0, A::queries, F,
                                                        A::c2, 1);
            copies_commit();
            float* numbers = (float*)(to + Queries::SIZE + Results::SIZE);
            const uint32_t i = block * STEP + threadIdx.x % STEP;
            if (threadIdx.x < STEP) numbers[threadIdx.x] = i < A::queries ? logarithms[ROW(logarithms, n, head, i)] : 0;
            else if (threadIdx.x < 2 * STEP) numbers[threadIdx.x] = i < A::queries ? common[ROW(common, n, head, i)] : 0;
        };
        // All have done with what the head before has brought.
        if (head > shared * EACH) __syncthreads();
        if (begin < end) load(begin);
        for (int32_t block = begin; block < end; block++) {
            copies_wait<0>();
            __syncthreads();
            if (block + 1 < end) load(block + 1);
            const bf16* queries = stages + block % 2 * STAGE;
            const bf16* results = queries + Queries::SIZE;
            const float* numbers = (const float*)(results + Results::SIZE);
            float s[STEP / 8][4] = {}, d[STEP / 8][4] = {};
            flash_rows<E, STEP>(s, keys + 16 * warp * Keys::PITCH, queries);
            flash_rows<F, STEP>(d, values + 16 * warp * Values::PITCH, results);
#pragma unroll
            for (int j = 0; j < STEP / 8; j++)
#pragma unroll
                for (int i = 0; i < 4; i++) {
                    const int32_t key = row + 16 * warp + lane / 4 + 8 * (i / 2), at = 8 * j + (lane % 4) * 2 + i % 2;
                    const int32_t query = block * STEP + at;
                    const bool sees = query < (int32_t)A::queries && flash_sees<A>(first + query, key);
                    const float weight = sees ? exp_(s[j][i] * A::scale() - numbers[at]) : 0.0f;
                    s[j][i] = weight;
                    d[j][i] = A::scale() * weight * (d[j][i] - numbers[STEP + at]);
                }
            flash_sums<F, STEP>(to_values, s, results);
            flash_sums<E, STEP>(to_keys, d, queries);
        }
    }
#pragma unroll
    for (int h = 0; h < 2; h++) {
        const uint32_t j = row + 16 * warp + lane / 4 + 8 * h;
        if (j >= A::keys) continue;
        flash_write<E, PAIRS>(dk + ROW(dk, n, shared, j), to_keys, h, 1);
        flash_write<F, PAIRS>(dv + ROW(dv, n, shared, j), to_values, h, 1);
    }
}
