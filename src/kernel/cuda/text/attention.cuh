// Scaled dot-product attention: a warp for each query, or for each key, that goes over blocks of 32 of the others. `A` holds
// sizes and strides as constants; operands that are not given are null.

/// The element of a view at [sample, head, row, column].
#define AT(view, n, h, i, j) ((int64_t)(n) * A::view##0 + (int64_t)(h) * A::view##1 + (int64_t)(i) * A::view##2 + (int64_t)(j) * A::view##3)

template <class B, class S>
struct Extras {
    const B* bias;
    const uint8_t* mask;
    const S* slopes;
    const uint32_t* start;
};
template <class B, class S>
INLINE Extras<B, S> extras(const B* bias, const uint8_t* mask, const S* slopes, const uint32_t* start) {
    return {bias, mask, slopes, start};
}

/// A row of a head of a sample.
struct Row {
    uint32_t n, head, i;
};
/// The row of this warp, of so many heads of so many rows; false if there are no more.
template <class A>
INLINE bool own_row(uint32_t heads, uint32_t rows, Row* row) {
    const uint32_t unit = blockIdx.x * 4 + threadIdx.x / 32;
    *row = {unit / (heads * rows), unit / rows % heads, unit % rows};
    return row->n < A::batch;
}
/// The head of keys that serves a head of queries.
template <class A>
INLINE uint32_t shared_by(uint32_t head) { return head / (A::heads / A::shared); }

/// The score of a key, −∞ if the query does not see it.
template <class A, class Q, class K, class X>
INLINE real score(const Q* q, const K* k, const X& x, uint32_t n, uint32_t head, uint32_t i, uint32_t j) {
    const int64_t first = x.start ? (int64_t)x.start[AT(start, n, 0, 0, 0)] : (int64_t)A::keys - (int64_t)A::queries;
    const int64_t distance = first + i - j, far = distance < 0 ? -distance : distance;
    if ((A::causal && distance < 0) || (A::window > 0 && far >= (int64_t)A::window)) return -(real)INFINITY;
    if (x.mask && !x.mask[AT(mask, n, head, i, j)]) return -(real)INFINITY;
    const uint32_t shared = shared_by<A>(head);
    real sum = 0;
    for (uint32_t e = 0; e < A::width; e++) sum = fma_(q[AT(q, n, head, i, e)], k[AT(k, n, shared, j, e)], sum);
    sum = sum * A::scale();
    if (x.bias) sum = sum + x.bias[AT(bias, n, head, i, j)];
    if (x.slopes) sum = sum - x.slopes[AT(slopes, 0, head, 0, 0)] * (real)far;
    return sum;
}

/// The result and the logarithm of the sum of a query's weights.
template <class A, class Q, class K, class V, class X, class O>
INLINE void attention_forward(const Q* q, const K* k, const V* v, X x, O* out, real* logarithms) {
    Row row;
    if (!own_row<A>(A::heads, A::queries, &row)) return;
    const uint32_t lane = threadIdx.x % 32, n = row.n, head = row.head, i = row.i, shared = shared_by<A>(head);
    constexpr uint32_t COLUMNS = (A::value_width + 31) / 32;
    real sums[COLUMNS] = {}, greatest = -(real)INFINITY, total = 0;
    for (uint32_t j0 = 0; j0 < A::keys; j0 += 32) {
        const real s = j0 + lane < A::keys ? score<A>(q, k, x, n, head, i, j0 + lane) : -(real)INFINITY;
        const real most = max_(greatest, warp_max(s));
        if (most == -(real)INFINITY) continue;
        const real shrink = exp_(greatest - most), weight = exp_(s - most);
        greatest = most;
        total = total * shrink + (real)warp_sum((double)weight);
        for (uint32_t c = 0; c < COLUMNS; c++) sums[c] = sums[c] * shrink;
        for (uint32_t l = 0; l < 32 && j0 + l < A::keys; l++) {
            const real w = __shfl_sync(ALL_LANES, weight, l);
            for (uint32_t c = 0; c < COLUMNS; c++) {
                const uint32_t f = lane + 32 * c;
                if (w != 0 && f < A::value_width) sums[c] = fma_(w, v[AT(v, n, shared, j0 + l, f)], sums[c]);
            }
        }
    }
    for (uint32_t c = 0; c < COLUMNS; c++) {
        const uint32_t f = lane + 32 * c;
        if (f < A::value_width) out[AT(out, n, head, i, f)] = total == 0 ? (real)0 : sums[c] / total;
    }
    if (lane == 0) logarithms[AT(logarithms, n, head, i, 0)] = total == 0 ? -(real)INFINITY : greatest + ln_(total);
}

/// The weight of a key and the cotangent of its score, both 0 where it is not seen.
template <class A, class Q, class K, class V, class X, class C>
INLINE void slope(const Q* q, const K* k, const V* v, const X& x, const real* logarithms, const real* common,
                  const C* c, uint32_t n, uint32_t head, uint32_t i, uint32_t j, real* weight, real* ds) {
    *weight = *ds = 0;
    const real s = score<A>(q, k, x, n, head, i, j);
    if (s == -(real)INFINITY) return;
    const uint32_t shared = shared_by<A>(head);
    *weight = exp_(s - logarithms[AT(logarithms, n, head, i, 0)]);
    real sum = 0;
    for (uint32_t f = 0; f < A::value_width; f++) sum = fma_(c[AT(c, n, head, i, f)], v[AT(v, n, shared, j, f)], sum);
    *ds = A::scale() * *weight * (sum - common[AT(common, n, head, i, 0)]);
}

/// The cotangent of a query.
template <class A, class Q, class K, class V, class X, class C, class D>
INLINE void attention_queries(const Q* q, const K* k, const V* v, X x, const real* logarithms, const real* common,
                              const C* c, D* dq) {
    Row row;
    if (!own_row<A>(A::heads, A::queries, &row)) return;
    const uint32_t lane = threadIdx.x % 32, n = row.n, head = row.head, i = row.i, shared = shared_by<A>(head);
    constexpr uint32_t COLUMNS = (A::width + 31) / 32;
    real sums[COLUMNS] = {};
    for (uint32_t j0 = 0; j0 < A::keys; j0 += 32) {
        real weight = 0, ds = 0;
        if (j0 + lane < A::keys) slope<A>(q, k, v, x, logarithms, common, c, n, head, i, j0 + lane, &weight, &ds);
        for (uint32_t l = 0; l < 32 && j0 + l < A::keys; l++) {
            const real d = __shfl_sync(ALL_LANES, ds, l);
            for (uint32_t e = 0; e < COLUMNS; e++) {
                const uint32_t at = lane + 32 * e;
                if (at < A::width) sums[e] = fma_(d, k[AT(k, n, shared, j0 + l, at)], sums[e]);
            }
        }
    }
    for (uint32_t e = 0; e < COLUMNS; e++) {
        const uint32_t at = lane + 32 * e;
        if (at < A::width) dq[AT(dq, n, head, i, at)] = sums[e];
    }
}

/// The cotangents of a key and its value, over all queries of the heads that it serves.
template <class A, class Q, class K, class V, class X, class C, class DK, class DV>
INLINE void attention_keys(const Q* q, const K* k, const V* v, X x, const real* logarithms, const real* common,
                           const C* c, DK* dk, DV* dv) {
    Row row;
    if (!own_row<A>(A::shared, A::keys, &row)) return;
    const uint32_t lane = threadIdx.x % 32, n = row.n, shared = row.head, j = row.i;
    constexpr uint32_t KEYS = (A::width + 31) / 32, VALUES = (A::value_width + 31) / 32, EACH = A::heads / A::shared;
    real keys[KEYS] = {}, values[VALUES] = {};
    for (uint32_t head = shared * EACH; head < (shared + 1) * EACH; head++) {
        for (uint32_t i0 = 0; i0 < A::queries; i0 += 32) {
            real weight = 0, ds = 0;
            if (i0 + lane < A::queries) slope<A>(q, k, v, x, logarithms, common, c, n, head, i0 + lane, j, &weight, &ds);
            for (uint32_t l = 0; l < 32 && i0 + l < A::queries; l++) {
                const real w = __shfl_sync(ALL_LANES, weight, l), d = __shfl_sync(ALL_LANES, ds, l);
                for (uint32_t e = 0; e < KEYS; e++) {
                    const uint32_t at = lane + 32 * e;
                    if (at < A::width) keys[e] = fma_(d, q[AT(q, n, head, i0 + l, at)], keys[e]);
                }
                for (uint32_t f = 0; f < VALUES; f++) {
                    const uint32_t at = lane + 32 * f;
                    if (at < A::value_width) values[f] = fma_(w, c[AT(c, n, head, i0 + l, at)], values[f]);
                }
            }
        }
    }
    for (uint32_t e = 0; e < KEYS; e++)
        if (lane + 32 * e < A::width) dk[AT(dk, n, shared, j, lane + 32 * e)] = keys[e];
    for (uint32_t f = 0; f < VALUES; f++)
        if (lane + 32 * f < A::value_width) dv[AT(dv, n, shared, j, lane + 32 * f)] = values[f];
}
