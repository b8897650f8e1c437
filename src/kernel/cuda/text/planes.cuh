// What slides over the last two axes: pooling and convolution, an element of the result for each thread. `P` and `C` hold
// the geometry as constants.

/// Rows and columns, those behind the last.
struct Area {
    uint32_t top, bottom, left, right;
};
/// What a window sees along an axis.
template <class P, int AXIS>
INLINE void window(uint32_t i, uint32_t* first, uint32_t* end) {
    constexpr int32_t size = AXIS ? P::width : P::height, kernel = AXIS ? P::kernel1 : P::kernel0,
                      stride = AXIS ? P::stride1 : P::stride0, padding = AXIS ? P::padding1 : P::padding0;
    const int32_t at = (int32_t)i * stride - padding;
    *first = at < 0 ? 0 : at;
    *end = at + kernel > size ? size : at + kernel;
}
/// The windows that see a position along an axis.
template <class P, int AXIS>
INLINE void windows(uint32_t position, uint32_t* first, uint32_t* end) {
    constexpr int32_t count = AXIS ? P::count1 : P::count0, kernel = AXIS ? P::kernel1 : P::kernel0,
                      stride = AXIS ? P::stride1 : P::stride0, padding = AXIS ? P::padding1 : P::padding0;
    const int32_t reach = (int32_t)position + padding, low = reach - kernel + 1;
    *first = low <= 0 ? 0 : (low + stride - 1) / stride;
    *end = reach / stride + 1 > count ? count : reach / stride + 1;
}
/// What the window of a number sees of its plane.
template <class P>
INLINE Area seen(uint32_t at) {
    Area area;
    window<P, 0>(at / P::count1 % P::count0, &area.top, &area.bottom);
    window<P, 1>(at % P::count1, &area.left, &area.right);
    return area;
}
/// The windows that see the position of a number.
template <class P>
INLINE Area seeing(uint32_t at) {
    Area area;
    windows<P, 0>(at / P::width % P::height, &area.top, &area.bottom);
    windows<P, 1>(at % P::width, &area.left, &area.right);
    return area;
}
/// Where the plane of a window begins, and where the windows of a position's plane do.
template <class P>
INLINE int64_t plane_of(uint32_t window) { return (int64_t)(window / (P::count0 * P::count1)) * P::height * P::width; }
template <class P>
INLINE int64_t windows_of(uint32_t position) { return (int64_t)(position / (P::height * P::width)) * P::count0 * P::count1; }
/// The sum of an area of rows of this width.
template <class X>
INLINE real sum_of(const X* x, Area area, uint32_t width) {
    real sum = 0;
    for (uint32_t i = area.top; i < area.bottom; i++)
        for (uint32_t j = area.left; j < area.right; j++) sum = sum + x[i * width + j];
    return sum;
}

#define PLANES(total) const uint32_t at = blockIdx.x * blockDim.x + threadIdx.x; if (at >= (total)) return;

template <class P, class X, class Y>
INLINE void pool_sum(const X* x, Y* y) {
    PLANES(P::planes * P::count0 * P::count1)
    y[at] = sum_of(x + plane_of<P>(at), seen<P>(at), P::width);
}
template <class P, class X, class Y>
INLINE void pool_spread(const X* x, Y* y) {
    PLANES(P::planes * P::height * P::width)
    y[at] = sum_of(x + windows_of<P>(at), seeing<P>(at), P::count1);
}
template <class P, class X>
INLINE Best pool_best(const X* x, uint32_t at) {
    const Area area = seen<P>(at);
    x += plane_of<P>(at);
    Best best = {-(real)INFINITY, ALL_LANES};
    for (uint32_t i = area.top; i < area.bottom; i++)
        for (uint32_t j = area.left; j < area.right; j++) best = better(best, Best{x[i * P::width + j], (uint32_t)(i * P::width + j)});
    return best;
}
template <class P, class X, class Y>
INLINE void pool_max(const X* x, Y* y) {
    PLANES(P::planes * P::count0 * P::count1)
    y[at] = pool_best<P>(x, at).value;
}
template <class P, class X>
INLINE void pool_argmax(const X* x, uint32_t* y) {
    PLANES(P::planes * P::count0 * P::count1)
    y[at] = pool_best<P>(x, at).at;
}
template <class P, class X, class Y>
INLINE void pool_take(const X* x, const uint32_t* positions, Y* y) {
    PLANES(P::planes * P::count0 * P::count1)
    y[at] = x[plane_of<P>(at) + positions[at]];
}
/// Each window gives to the position that it has chosen, one of those that it sees.
template <class P, class X, class Y>
INLINE void pool_put(const X* x, const uint32_t* positions, Y* y) {
    PLANES(P::planes * P::height * P::width)
    const Area area = seeing<P>(at);
    const int64_t first = windows_of<P>(at);
    real sum = 0;
    for (uint32_t i = area.top; i < area.bottom; i++)
        for (uint32_t j = area.left; j < area.right; j++) {
            const int64_t window = first + i * P::count1 + j;
            if (positions[window] == at % (P::height * P::width)) sum = sum + x[window];
        }
    y[at] = sum;
}

/// y [n, g·o, h', w'] from x [n, g·i, h, w] and w [g·o, i, kh, kw].
template <class C, class X, class W, class Y>
INLINE void conv_forward(const X* x, const W* w, Y* y) {
    PLANES(C::batch * C::groups * C::outputs * C::count0 * C::count1)
    const uint32_t column = at % C::count1, row = at / C::count1 % C::count0;
    const uint32_t channel = at / (C::count0 * C::count1) % (C::groups * C::outputs);
    const uint32_t n = at / (C::count0 * C::count1 * C::groups * C::outputs), group = channel / C::outputs;
    real sum = 0;
    for (uint32_t c = 0; c < C::inputs; c++) {
        const X* plane = x + ((int64_t)(n * C::groups + group) * C::inputs + c) * C::height * C::width;
        const W* taps = w + ((int64_t)channel * C::inputs + c) * C::kernel0 * C::kernel1;
        for (uint32_t a = 0; a < C::kernel0; a++) {
            const int32_t i = (int32_t)(row * C::stride0 + a * C::dilation0) - (int32_t)C::before0;
            if (i < 0 || i >= (int32_t)C::height) continue;
            for (uint32_t b = 0; b < C::kernel1; b++) {
                const int32_t j = (int32_t)(column * C::stride1 + b * C::dilation1) - (int32_t)C::before1;
                if (j >= 0 && j < (int32_t)C::width) sum = fma_(plane[i * C::width + j], taps[a * C::kernel1 + b], sum);
            }
        }
    }
    y[at] = sum;
}
/// The derivative by x, from that by y.
template <class C, class Y, class W, class X>
INLINE void conv_data(const Y* y, const W* w, X* x) {
    PLANES(C::batch * C::groups * C::inputs * C::height * C::width)
    const uint32_t column = at % C::width, row = at / C::width % C::height;
    const uint32_t channel = at / (C::height * C::width) % (C::groups * C::inputs);
    const uint32_t n = at / (C::height * C::width * C::groups * C::inputs), group = channel / C::inputs;
    real sum = 0;
    for (uint32_t o = group * C::outputs; o < (group + 1) * C::outputs; o++) {
        const Y* plane = y + ((int64_t)n * C::groups * C::outputs + o) * C::count0 * C::count1;
        const W* taps = w + ((int64_t)o * C::inputs + channel % C::inputs) * C::kernel0 * C::kernel1;
        for (uint32_t a = 0; a < C::kernel0; a++) {
            const int32_t i = (int32_t)(row + C::before0) - (int32_t)(a * C::dilation0);
            if (i < 0 || i % (int32_t)C::stride0 != 0 || i / (int32_t)C::stride0 >= (int32_t)C::count0) continue;
            for (uint32_t b = 0; b < C::kernel1; b++) {
                const int32_t j = (int32_t)(column + C::before1) - (int32_t)(b * C::dilation1);
                if (j < 0 || j % (int32_t)C::stride1 != 0 || j / (int32_t)C::stride1 >= (int32_t)C::count1) continue;
                sum = fma_(plane[i / C::stride0 * C::count1 + j / C::stride1], taps[a * C::kernel1 + b], sum);
            }
        }
    }
    x[at] = sum;
}
/// The derivative by w, from x and the derivative by y: a block of threads for each weight.
template <class C, class X, class Y, class W>
INLINE void conv_weight(const X* x, const Y* y, W* w) {
    DYNAMIC_SHARED(memory);
    double* parts = (double*)memory;
    const uint32_t at = blockIdx.x, lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const uint32_t b = at % C::kernel1, a = at / C::kernel1 % C::kernel0;
    const uint32_t c = at / (C::kernel0 * C::kernel1) % C::inputs, channel = at / (C::kernel0 * C::kernel1 * C::inputs);
    const uint32_t group = channel / C::outputs;
    double sum = 0;
    for (uint32_t p = threadIdx.x; p < C::batch * C::count0 * C::count1; p += 256) {
        const uint32_t n = p / (C::count0 * C::count1), row = p / C::count1 % C::count0, column = p % C::count1;
        const int32_t i = (int32_t)(row * C::stride0 + a * C::dilation0) - (int32_t)C::before0;
        const int32_t j = (int32_t)(column * C::stride1 + b * C::dilation1) - (int32_t)C::before1;
        if (i < 0 || i >= (int32_t)C::height || j < 0 || j >= (int32_t)C::width) continue;
        const X* plane = x + ((int64_t)(n * C::groups + group) * C::inputs + c) * C::height * C::width;
        const Y* result = y + ((int64_t)n * C::groups * C::outputs + channel) * C::count0 * C::count1;
        sum = fma_((double)plane[i * C::width + j], (double)result[row * C::count1 + column], sum);
    }
    sum = warp_sum(sum);
    if (lane == 0) parts[warp] = sum;
    __syncthreads();
    if (threadIdx.x == 0) {
        for (uint32_t i = 1; i < 8; i++) sum += parts[i];
        w[at] = (real)sum;
    }
}
