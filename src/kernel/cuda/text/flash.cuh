// Attention on matrix units, block by block (Dao 2023, "FlashAttention-2"): 64 queries a block of threads, 16 a warp, and 64
// keys and values at a time, of which the next ones are on their way meanwhile. `A` holds sizes and strides as in
// `attention.cuh`; weights are rounded to sixteen bits before they meet the values.

constexpr int FLASH = 64, FLASH_THREADS = 128;

/// The keys that any of these queries may see, by blocks.
template <class A>
INLINE void flash_range(int32_t first, int32_t row, int32_t* begin, int32_t* end) {
    const int32_t low = first + row, high = first + row + FLASH - 1;
    int32_t from = 0, to = A::keys - 1;
    if (A::causal) to = to < high ? to : high;
    if (A::window > 0) {
        const int32_t window = A::window;
        from = low - window + 1 > 0 ? low - window + 1 : 0;
        to = to < high + window - 1 ? to : high + window - 1;
    }
    *begin = from / FLASH;
    *end = to < 0 ? 0 : to / FLASH + 1;
}
/// Whether a query sees a key.
template <class A>
INLINE bool flash_sees(int32_t position, int32_t key) {
    const int32_t distance = position - key, far = distance < 0 ? -distance : distance;
    return key < (int32_t)A::keys && !(A::causal && distance < 0) && !(A::window > 0 && far >= (int32_t)A::window);
}

/// The result and the logarithms of the sums of weights.
template <class A, class O>
INLINE void flash_forward(const bf16* q, const bf16* k, const bf16* v, O* out, float* logarithms) {
    constexpr int E = A::width, F = A::value_width;
    typedef Block<FLASH, E> Keys;
    typedef Block<FLASH, F> Values;
    DYNAMIC_SHARED(memory);
    bf16* const queries = (bf16*)memory;
    bf16* const stages = queries + Keys::SIZE;
    constexpr uint32_t DOWN = (A::queries + FLASH - 1) / FLASH;
    // Where order counts, the last queries see most keys; they begin first.
    const uint32_t row = (DOWN - 1 - blockIdx.x % DOWN) * FLASH, head = blockIdx.x / DOWN % A::heads;
    const uint32_t n = blockIdx.x / DOWN / A::heads, shared = head / (A::heads / A::shared);
    const uint32_t lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    q += (int64_t)n * A::q0 + (int64_t)head * A::q1;
    k += (int64_t)n * A::k0 + (int64_t)shared * A::k1;
    v += (int64_t)n * A::v0 + (int64_t)shared * A::v1;
    const int32_t first = (int32_t)A::keys - (int32_t)A::queries;
    int32_t begin, end;
    flash_range<A>(first, row, &begin, &end);
    const auto load = [&](int32_t block) {
        bf16* to = stages + block % 2 * (Keys::SIZE + Values::SIZE);
        Keys::template load<FLASH_THREADS, true>(to, k, block * FLASH, 0, A::keys, E, A::k2, 1);
        Values::template load<FLASH_THREADS, true>(to + Keys::SIZE, v, block * FLASH, 0, A::keys, F, A::v2, 1);
        copies_commit();
    };
    Keys::template load<FLASH_THREADS, true>(queries, q, row, 0, A::queries, E, A::q2, 1);
    if (begin < end) load(begin);
    uint32_t own[E / 16][4];
    float sums[F / 8][4] = {}, greatest[2] = {-INFINITY, -INFINITY}, total[2] = {0, 0};
    for (int32_t block = begin; block < end; block++) {
        copies_wait<0>();
        // The keys are there for all threads, and all have done with those that the next ones replace.
        __syncthreads();
        if (block + 1 < end) load(block + 1);
        const bf16* keys = stages + block % 2 * (Keys::SIZE + Values::SIZE);
        const bf16* values = keys + Keys::SIZE;
        if (block == begin) {
#pragma unroll
            for (int e = 0; e < E / 16; e++)
                load_matrices(own[e], queries + (16 * warp + lane % 16) * Keys::PITCH + 16 * e + lane / 16 * 8);
        }
        float s[FLASH / 8][4] = {};
#pragma unroll
        for (int e = 0; e < E / 16; e++)
#pragma unroll
            for (int j = 0; j < FLASH / 16; j++) {
                uint32_t r[4];
                load_matrices(r, keys + (16 * j + lane / 16 * 8 + lane % 8) * Keys::PITCH + 16 * e + lane / 8 % 2 * 8);
                const uint32_t low[2] = {r[0], r[1]}, high[2] = {r[2], r[3]};
                multiply_add(s[2 * j], own[e], low);
                multiply_add(s[2 * j + 1], own[e], high);
            }
#pragma unroll
        for (int h = 0; h < 2; h++) {
            const int32_t position = first + (int32_t)(row + 16 * warp + lane / 4 + 8 * h);
            float most = greatest[h];
#pragma unroll
            for (int j = 0; j < FLASH / 8; j++)
#pragma unroll
                for (int i = 0; i < 2; i++) {
                    float& x = s[j][2 * h + i];
                    x = flash_sees<A>(position, block * FLASH + 8 * j + (int32_t)(lane % 4) * 2 + i) ? x * A::scale() : -INFINITY;
                    most = max_(most, x);
                }
            // Four lanes share a row.
            for (int d = 1; d < 4; d *= 2) most = max_(most, __shfl_xor_sync(ALL_LANES, most, d));
            const float base = most == -INFINITY ? 0.0f : most, shrink = exp_(greatest[h] - base);
            greatest[h] = most;
            float weights = 0;
#pragma unroll
            for (int j = 0; j < FLASH / 8; j++)
#pragma unroll
                for (int i = 0; i < 2; i++) {
                    s[j][2 * h + i] = exp_(s[j][2 * h + i] - base);
                    weights += s[j][2 * h + i];
                }
            total[h] = total[h] * shrink + weights;
#pragma unroll
            for (int f = 0; f < F / 8; f++) sums[f][2 * h] *= shrink, sums[f][2 * h + 1] *= shrink;
        }
#pragma unroll
        for (int j = 0; j < FLASH / 16; j++) {
            // What scores are to a lane, so are the weights as a factor.
            const uint32_t w[4] = {packed(s[2 * j][0], s[2 * j][1]), packed(s[2 * j][2], s[2 * j][3]),
                                   packed(s[2 * j + 1][0], s[2 * j + 1][1]), packed(s[2 * j + 1][2], s[2 * j + 1][3])};
#pragma unroll
            for (int f = 0; f < F / 16; f++) {
                uint32_t r[4];
                load_transposed(r, values + (16 * j + lane % 16) * Values::PITCH + 16 * f + lane / 16 * 8);
                const uint32_t low[2] = {r[0], r[1]}, high[2] = {r[2], r[3]};
                multiply_add(sums[2 * f], w, low);
                multiply_add(sums[2 * f + 1], w, high);
            }
        }
    }
#pragma unroll
    for (int h = 0; h < 2; h++) {
        for (int d = 1; d < 4; d *= 2) total[h] += __shfl_xor_sync(ALL_LANES, total[h], d);
        const uint32_t i = row + 16 * warp + lane / 4 + 8 * h;
        if (i >= A::queries) continue;
        const float share = total[h] == 0 ? 0.0f : 1 / total[h];
#pragma unroll
        for (int f = 0; f < F / 8; f++)
            write_two<true>(out + (int64_t)n * A::out0 + (int64_t)head * A::out1 + (int64_t)i * A::out2 + 8 * f + lane % 4 * 2, 1,
                            sums[f][2 * h] * share, sums[f][2 * h + 1] * share, true, false);
        if (lane % 4 == 0)
            logarithms[(int64_t)n * A::logarithms0 + (int64_t)head * A::logarithms1 + (int64_t)i * A::logarithms2] =
                total[h] == 0 ? -INFINITY : greatest[h] + ln_(total[h]);
    }
}
