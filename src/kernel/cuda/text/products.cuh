// Matrix products of any strides: C = A·B, or C += A·B, where `update`: C [m, n], A [m, k], B [k, n].

/// Elements between matrices, rows and columns.
struct Layout {
    int64_t matrix, row, column;
};
/// An element of the result for each thread.
template <class A, class B, class C>
INLINE void product_elements(uint32_t elements, const A* a, const B* b, C* c, uint32_t m, uint32_t n, uint32_t k,
                             Layout la, Layout lb, Layout lc, bool update) {
    const uint32_t at = blockIdx.x * blockDim.x + threadIdx.x;
    if (at >= elements) return;
    const int64_t matrix = at / (m * n), row = at / n % m, column = at % n;
    a += matrix * la.matrix + row * la.row, b += matrix * lb.matrix + column * lb.column;
    c += matrix * lc.matrix + row * lc.row + column * lc.column;
    real sum = 0;
    for (uint32_t q = 0; q < k; q++) sum = fma_(a[q * la.column], b[q * lb.row], sum);
    *c = update ? *c + sum : sum;
}
/// Blocks of 64 × 64 of the result, 16 terms at a time in shared memory.
template <class A, class B, class C>
INLINE void products(const A* a, const B* b, C* c, uint32_t m, uint32_t n, uint32_t k, Layout la, Layout lb,
                     Layout lc, bool update) {
    DYNAMIC_SHARED(memory);
    real(*as)[64 + 4] = (real(*)[64 + 4]) memory;
    real(*bs)[64] = (real(*)[64])(as + 16);
    const uint32_t across = (n + 63) / 64, down = (m + 63) / 64;
    const uint32_t t = threadIdx.x, ty = t / 16, tx = t % 16, tile = blockIdx.x % (across * down);
    const int64_t matrix = blockIdx.x / (across * down);
    const uint32_t row = tile / across * 64, column = tile % across * 64;
    a += matrix * la.matrix, b += matrix * lb.matrix, c += matrix * lc.matrix;
    real sums[4][4] = {};
    for (uint32_t k0 = 0; k0 < k; k0 += 16) {
#pragma unroll
        for (uint32_t j = 0; j < 4; j++) {
            // Neighbouring threads read neighbouring elements along the axis whose elements lie side by side.
            const uint32_t i = t + 256 * j;
            const uint32_t ra = la.column == 1 ? i / 16 : i % 64, qa = la.column == 1 ? i % 16 : i / 64;
            const uint32_t pb = lb.row == 1 ? i % 16 : i / 64, sb = lb.row == 1 ? i / 16 : i % 64;
            const bool in_a = row + ra < m && k0 + qa < k, in_b = k0 + pb < k && column + sb < n;
            as[qa][ra] = in_a ? (real)a[(row + ra) * la.row + (k0 + qa) * la.column] : (real)0;
            bs[pb][sb] = in_b ? (real)b[(k0 + pb) * lb.row + (column + sb) * lb.column] : (real)0;
        }
        __syncthreads();
#pragma unroll
        for (uint32_t q = 0; q < 16; q++) {
            real u[4], v[4];
#pragma unroll
            for (uint32_t i = 0; i < 4; i++) u[i] = as[q][4 * ty + i], v[i] = bs[q][4 * tx + i];
#pragma unroll
            for (uint32_t i = 0; i < 4; i++)
#pragma unroll
                for (uint32_t j = 0; j < 4; j++) sums[i][j] = fma_(u[i], v[j], sums[i][j]);
        }
        __syncthreads();
    }
#pragma unroll
    for (uint32_t i = 0; i < 4; i++)
#pragma unroll
        for (uint32_t j = 0; j < 4; j++) {
            const uint32_t r = row + 4 * ty + i, s = column + 4 * tx + j;
            if (r < m && s < n) {
                C* to = c + r * lc.row + s * lc.column;
                *to = update ? *to + sums[i][j] : sums[i][j];
            }
        }
}
