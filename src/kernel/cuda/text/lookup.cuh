// Rows of a table by their indices. No order of threads shows in a result.

/// out[n] = table[index[n]]
template <class T, class E>
INLINE void gather(const uint32_t* index, const T* table, E* out, uint64_t rows, uint64_t width, uint64_t count, Fault* fault) {
    for (uint64_t at = blockIdx.x * 256 + threadIdx.x; at < count * width; at += (uint64_t)gridDim.x * 256) {
        const uint32_t row = index[at / width];
        if (row < rows) out[at] = table[row * width + at % width];
        else beyond(fault, row, rows);
    }
}
/// Whether one of the indices in a range is this row, asked by a whole warp.
INLINE bool named(const uint32_t* index, uint64_t from, uint64_t to, uint32_t row) {
    for (uint64_t n = from; n < to; n += 32) {
        const uint64_t own = n + threadIdx.x % 32;
        if (__ballot_sync(ALL_LANES, own < to && index[own] == row)) return true;
    }
    return false;
}
/// out[index[n]] += values[n], over an `out` of zeros: the warp of a row's first index adds all of that row, in order.
template <class V, class E>
INLINE void scatter_add(const uint32_t* index, const V* values, E* out, uint64_t rows, uint64_t width, uint64_t count,
                        Fault* fault) {
    const uint64_t n = blockIdx.x * 8 + threadIdx.x / 32;
    const uint32_t lane = threadIdx.x % 32;
    if (n >= count) return;
    const uint32_t row = index[n];
    if (row >= rows) {
        if (lane == 0) beyond(fault, row, rows);
        return;
    }
    if (named(index, 0, n, row)) return;
    for (uint64_t base = n; base < count; base += 32) {
        const bool own = base + lane < count && index[base + lane] == row;
        for (uint32_t left = __ballot_sync(ALL_LANES, own); left != 0; left &= left - 1) {
            const uint64_t from = base + __ffs(left) - 1;
            for (uint64_t c = lane; c < width; c += 32) out[row * width + c] = out[row * width + c] + values[from * width + c];
        }
    }
}
/// out[index[n]] = values[n], over a copy of the table: of equal indices the last one counts.
template <class V, class E>
INLINE void put(const uint32_t* index, const V* values, E* out, uint64_t rows, uint64_t width, uint64_t count, Fault* fault) {
    const uint64_t n = blockIdx.x * 8 + threadIdx.x / 32;
    if (n >= count) return;
    const uint32_t row = index[n], lane = threadIdx.x % 32;
    if (row >= rows) {
        if (lane == 0) beyond(fault, row, rows);
        return;
    }
    if (named(index, n + 1, count, row)) return;
    for (uint64_t c = lane; c < width; c += 32) out[row * width + c] = values[n * width + c];
}
/// The key that follows from a key and a number, see `kernel/random`.
INLINE void fold_in(const uint32_t* key, const uint32_t* number, uint32_t* to) {
    const Words next = philox(key[0], key[1], key[2], key[3], *number, 0xffffffffu);
    for (int i = 0; i < 4; i++) to[i] = next.w[i];
}
