// Elementary functions, operation by operation those of `kernel/cpu/math`, so that their results are the same bits.

/// The polynomial with these coefficients, the constant one first.
template <class T>
INLINE T poly(T, T last) { return last; }
template <class T, class... Rest>
INLINE T poly(T x, T first, Rest... rest) { return fma_(poly(x, rest...), x, first); }

INLINE uint32_t bits(float x) { return __float_as_uint(x); }
INLINE uint64_t bits(double x) { return __double_as_longlong(x); }
INLINE float of_bits(uint32_t x) { return __uint_as_float(x); }
INLINE double of_bits64(uint64_t x) { return __longlong_as_double(x); }
INLINE float abs_(float x) { return of_bits(bits(x) & 0x7fffffffu); }
INLINE double abs_(double x) { return of_bits64(bits(x) & 0x7fffffffffffffffull); }
INLINE float signed_as(float x, float y) { return of_bits((bits(x) & 0x7fffffffu) | (bits(y) & 0x80000000u)); }
INLINE double signed_as(double x, double y) {
    return of_bits64((bits(x) & 0x7fffffffffffffffull) | (bits(y) & 0x8000000000000000ull));
}
template <class T>
INLINE T clamp_(T x, T least, T greatest) {
    x = x < least ? least : x;
    return x > greatest ? greatest : x;
}
/// The logarithm of a number that may be 0, negative, infinite or NaN.
template <class T>
INLINE T special_ln(T x, T ln) {
    ln = x < (T)INFINITY ? ln : x;
    ln = x == 0 ? -(T)INFINITY : ln;
    return x < 0 ? (T)NAN : ln;
}

#define LN_2 0.693147180559945309417232121458
#define LOG2_E 1.44269504088896340735992468100
#define SQRT_HALF 0.707106781186547524400844362105
#define TAU 6.28318530717958647692528676656

// ---- double ----

#define ROUND_D 6755399441055744.0
#define LN_2_LOW_D 2.3190468138462996e-17
#define LN_2_SHORT_D 6.93147180369123816490e-01
#define LN_2_REST_D 1.90821492927058770002e-10
#define HALF_PI 1.57079632679489661923132169164
#define HALF_PI_LOW 6.123233995736766e-17
#define HALF_PI_LOWEST -1.4973849048591698e-33

INLINE double power_of_2(int64_t n) { return of_bits64((uint64_t)(n + 1023) << 52); }
INLINE double split_exp(double x, int64_t* n) {
    const double t = fma_(x, LOG2_E, ROUND_D);
    const double k = t - ROUND_D;
    double r = fma_(k, -LN_2, x);
    r = fma_(k, -LN_2_LOW_D, r);
    const double q = poly(r, 1.0 / 2.0, 1.0 / 6.0, 1.0 / 24.0, 1.0 / 120.0, 1.0 / 720.0, 1.0 / 5040.0, 1.0 / 40320.0,
                          1.0 / 362880.0, 1.0 / 3628800.0, 1.0 / 39916800.0, 1.0 / 479001600.0, 1.0 / 6227020800.0);
    *n = (int64_t)(bits(t) - bits(ROUND_D));
    return fma_(q * r, r, r);
}
INLINE double exp_(double x) {
    int64_t n;
    const double e = split_exp(clamp_(x, -746.0, 710.0), &n);
    const int64_t half = (int64_t)((uint64_t)(n + 4096) >> 1) - 2048;
    return (1.0 + e) * power_of_2(half) * power_of_2(n - half);
}
INLINE double expm1_(double x) {
    int64_t n;
    const double e = split_exp(clamp_(x, -60.0, 710.0), &n);
    const double half_scale = power_of_2(n - 1);
    const double result = 2.0 * fma_(e, half_scale, half_scale - 0.5);
    return signed_as(n == 0 ? e : result, x);
}
INLINE double normal_of(double x, double* shift) {
    const bool tiny = x < 2.2250738585072014e-308;
    *shift = tiny ? 54.0 : 0.0;
    return tiny ? x * 18014398509481984.0 : x;
}
INLINE double split_ln(double x, double* n) {
    const uint64_t b = bits(x);
    const uint64_t k = ((b - bits(SQRT_HALF) + (2048ull << 52)) >> 52) - 2048;
    *n = of_bits64(bits(ROUND_D) + k) - ROUND_D;
    return of_bits64(b - (k << 52)) - 1.0;
}
INLINE double ln_series(double z) {
    return z * poly(z, 6.666666666666735130e-01, 3.999999999940941908e-01, 2.857142874366239149e-01,
                    2.222219843214978396e-01, 1.818357216161805012e-01, 1.531383769920937332e-01,
                    1.479819860511658591e-01);
}
INLINE double ln_1_plus(double f, double n, double small) {
    const double s = f / (2.0 + f);
    const double r = ln_series(s * s);
    const double half = 0.5 * f * f;
    const double y = fma_(s, half + r, fma_(n, LN_2_REST_D, small));
    return fma_(n, LN_2_SHORT_D, f - (half - y));
}
INLINE double ln_(double x) {
    double n, shift;
    const double f = split_ln(normal_of(x, &shift), &n);
    return special_ln(x, ln_1_plus(f, n - shift, 0.0));
}
INLINE double log1p_(double x) {
    const double u = 1.0 + x;
    double n, f = split_ln(u, &n), lost = (x - (u - 1.0)) / u;
    if (n == 0.0) f = x, lost = 0.0;
    return signed_as(special_ln(u, ln_1_plus(f, n, lost)), x);
}
INLINE double quadrant(double x, double* tail, uint64_t* number) {
    const double t = fma_(x, 0.636619772367581343075535053490, ROUND_D);
    const double n = t - ROUND_D;
    const double first = fma_(n, -HALF_PI, x);
    const double r = fma_(n, -HALF_PI_LOW, first);
    double rest = fma_(n, -HALF_PI_LOW, first - r);
    rest = fma_(n, -(HALF_PI_LOWEST), rest);
    *tail = clamp_(rest, -1e-16, 1e-16);
    *number = bits(t);
    return clamp_(r, -1.0, 1.0);
}
INLINE double sin_quadrant(double r, double tail, uint64_t number) {
    const double z = r * r;
    const double s = poly(z, 8.33333333332248946124e-03, -1.98412698298579493134e-04, 2.75573137070700676789e-06,
                          -2.50507602534068634195e-08, 1.58969099521155010221e-10);
    const double v = z * r;
    const double sin = r - (fma_(z, fma_(v, -s, 0.5 * tail), -tail) - v * -1.66666666666666324348e-01);
    const double c = poly(z, 4.16666666666666019037e-02, -1.38888888888741095749e-03, 2.48015872894767294178e-05,
                          -2.75573143513906633035e-07, 2.08757232129817482790e-09, -1.13596475577881948265e-11);
    const double half = 0.5 * z;
    const double w = 1.0 - half;
    const double cos = w + (((1.0 - w) - half) + fma_(z, z * c, -r * tail));
    return of_bits64(bits((number & 1) == 0 ? sin : cos) ^ (number & 2) << 62);
}
INLINE double sin_(double x) {
    double tail;
    uint64_t number;
    const double r = quadrant(x, &tail, &number);
    return sin_quadrant(r, tail, number);
}
INLINE double cos_(double x) {
    double tail;
    uint64_t number;
    const double r = quadrant(x, &tail, &number);
    return sin_quadrant(r, tail, number + 1);
}
INLINE double tanh_(double x) {
    const double t = expm1_(2.0 * clamp_(abs_(x), 0.0, 22.0));
    return signed_as(t / (t + 2.0), x);
}
INLINE double erf_near_0(double x) {
    const double z = x * x;
    const double p = poly(z, 1.28379167095512558561e-01, -3.25042107247001499370e-01, -2.84817495755985104766e-02,
                          -5.77027029648944159157e-03, -2.37630166566501626084e-05);
    const double q = poly(z, 1.0, 3.97917223959155352819e-01, 6.50222499887672944485e-02, 5.08130628187576562776e-03,
                          1.32494738004321644526e-04, -3.96022827877536812320e-06);
    return fma_(x, p / q, x);
}
INLINE double erf_near_1(double x) {
    const double s = x - 1.0;
    const double p = poly(s, -2.36211856075265944077e-03, 4.14856118683748331666e-01, -3.72207876035701323847e-01,
                          3.18346619901161753674e-01, -1.10894694282396677476e-01, 3.54783043256182359371e-02,
                          -2.16637559486879084300e-03);
    const double q = poly(s, 1.0, 1.06420880400844228286e-01, 5.40397917702171048937e-01, 7.18286544141962662868e-02,
                          1.26171219808761642112e-01, 1.36370839120290507362e-02, 1.19844998467991074170e-02);
    return 8.45062911510467529297e-01 + p / q;
}
INLINE double erf_beyond(double x) {
    const double s = 1.0 / (x * x);
    const bool near = x < 1.0 / 0.35;
    const double p = near
        ? poly(s, -9.86494403484714822705e-03, -6.93858572707181764372e-01, -1.05586262253232909814e+01,
               -6.23753324503260060396e+01, -1.62396669462573470355e+02, -1.84605092906711035994e+02,
               -8.12874355063065934246e+01, -9.81432934416914548592e+00)
        : poly(s, -9.86494292470009928597e-03, -7.99283237680523006574e-01, -1.77579549177547519889e+01,
               -1.60636384855821916062e+02, -6.37566443368389627722e+02, -1.02509513161107724954e+03,
               -4.83519191608651397019e+02);
    const double q = near
        ? poly(s, 1.0, 1.96512716674392571292e+01, 1.37657754143519042600e+02, 4.34565877475229228821e+02,
               6.45387271733267880336e+02, 4.29008140027567833386e+02, 1.08635005541779435134e+02,
               6.57024977031928170135e+00, -6.04244152148580987438e-02)
        : poly(s, 1.0, 3.03380607434824582924e+01, 3.25792512996573918826e+02, 1.53672958608443695994e+03,
               3.19985821950859553908e+03, 2.55305040643316442583e+03, 4.74528541206955367215e+02,
               -2.24409524465858183362e+01);
    const double z = of_bits64(bits(x) & 0xffffffff00000000ull);
    const double erfc = exp_(fma_(-z, z, -0.5625)) * exp_(fma_(z - x, z + x, p / q)) / x;
    return 1.0 - erfc;
}
INLINE double erf_(double x) {
    const double a = clamp_(abs_(x), 0.0, 6.0);
    return signed_as(a < 0.84375 ? erf_near_0(a) : a < 1.25 ? erf_near_1(a) : erf_beyond(a), x);
}
/// The logarithm as a sum of two numbers, the second a correction to the first.
INLINE double ln_extended(double x, double* low) {
    double n, shift;
    const double f = split_ln(normal_of(x, &shift), &n);
    n = n - shift;
    const double d = 2.0 + f;
    const double d_low = (2.0 - d) + f;
    const double s = f / d;
    const double s_low = (fma_(s, -d, f) - s * d_low) / d;
    const double big = n * LN_2_SHORT_D, small = 2.0 * s;
    const double a = big + small;
    const double part = a - big;
    const double b = (big - (a - part)) + (small - part);
    const double rest = b + (2.0 * s_low + fma_(s, ln_series(s * s), n * LN_2_REST_D));
    const double high = a + rest;
    *low = rest - (high - a);
    return special_ln(x, high);
}
/// The special cases of C's `pow`, given |x| to the power y.
template <class T>
INLINE T signed_power(T x, T y, T magnitude) {
    const bool whole = floor(y) == y;
    const T half = y * (T)0.5;
    const bool odd = whole && floor(half) != half;
    const bool negative = signed_as((T)1, x) < 0;
    magnitude = odd && negative ? -magnitude : magnitude;
    const bool below = x < 0 && x > -(T)INFINITY;
    const bool finite = abs_(y) < (T)INFINITY;
    T power = below && !whole && finite ? (T)NAN : magnitude;
    power = x == -1 && !finite && y == y ? (T)1 : power;
    return y == 0 || x == 1 ? (T)1 : power;
}
INLINE double pow_(double x, double y) {
    double low;
    const double high = ln_extended(abs_(x), &low);
    const double power = y * high;
    double rest = fma_(y, high, -power) + y * low;
    rest = abs_(rest) < 1.0 ? rest : 0.0;
    double exp = exp_(power);
    const double scaled = exp * rest;
    exp = exp < INFINITY ? exp + scaled : exp;
    return signed_power(x, y, exp);
}
INLINE void sin_cos_turns(double turns, double* sin, double* cos) {
    const double t = fma_(turns, 4.0, ROUND_D);
    const double r = fma_(t - ROUND_D, -0.25, turns) * TAU;
    *sin = sin_quadrant(r, 0.0, bits(t));
    *cos = sin_quadrant(r, 0.0, bits(t) + 1);
}

// ---- float ----

#define ROUND_F 12582912.0f
#define LN_2_LOW_F ((float)(LN_2 - (double)(float)LN_2))
#define LN_2_SHORT_F (355.0f / 512.0f)
#define LN_2_REST_F ((float)(LN_2 - (double)LN_2_SHORT_F))

INLINE float power_of_2(int32_t n) { return of_bits((uint32_t)(n + 127) << 23); }
INLINE float split_exp(float x, int32_t* n) {
    const float t = fma_(x, (float)LOG2_E, ROUND_F);
    const float k = t - ROUND_F;
    float r = fma_(k, -(float)LN_2, x);
    r = fma_(k, -LN_2_LOW_F, r);
    const float q = poly(r, 0.5f, 0.166666667f, 0.041666465f, 0.00833331093f, 0.0013933641f, 0.000198909809f);
    *n = (int32_t)(bits(t) - bits(ROUND_F));
    return fma_(q * r, r, r);
}
INLINE float exp_(float x) {
    int32_t n;
    const float e = split_exp(clamp_(x, -104.0f, 89.0f), &n);
    const int32_t half = n >> 1;
    return (1.0f + e) * power_of_2(half) * power_of_2(n - half);
}
INLINE float expm1_(float x) {
    int32_t n;
    const float e = split_exp(clamp_(x, -30.0f, 89.0f), &n);
    const float half_scale = power_of_2(n - 1);
    const float result = 2.0f * fma_(e, half_scale, half_scale - 0.5f);
    return signed_as(n == 0 ? e : result, x);
}
INLINE float split_ln(float x, int32_t* n) {
    const uint32_t b = bits(x);
    *n = (int32_t)(b - bits((float)SQRT_HALF)) >> 23;
    return of_bits(b - ((uint32_t)*n << 23)) - 1.0f;
}
INLINE float ln_1_plus(float f, float n, float small) {
    const float p = poly(f, 0.333333312f, -0.24999997f, 0.200007157f, -0.166678023f, 0.142490576f, -0.124256873f,
                         0.116854199f, -0.114797338f, 0.0697161147f);
    const float z = f * f;
    float y = fma_(f * z, p, fma_(n, LN_2_REST_F, small));
    y = fma_(z, -0.5f, y);
    return fma_(n, LN_2_SHORT_F, f + y);
}
INLINE float ln_(float x) {
    const bool tiny = x < 1.17549435e-38f;
    int32_t n;
    const float f = split_ln(tiny ? x * 8388608.0f : x, &n);
    return special_ln(x, ln_1_plus(f, (float)n - (tiny ? 23.0f : 0.0f), 0.0f));
}
INLINE float log1p_(float x) {
    const float u = 1.0f + x;
    int32_t n;
    float f = split_ln(u, &n), lost = (x - (u - 1.0f)) / u;
    if (n == 0) f = x, lost = 0.0f;
    return signed_as(special_ln(u, ln_1_plus(f, (float)n, lost)), x);
}
/// Reduced in double.
INLINE float quadrant(float x, uint32_t* number) {
    const double wide = (double)x;
    const double t = fma_(wide, 0.636619772367581343075535053490, ROUND_D);
    double r = fma_(t - ROUND_D, -HALF_PI, wide);
    r = fma_(t - ROUND_D, -HALF_PI_LOW, r);
    *number = (uint32_t)bits(t);
    return (float)clamp_(r, -1.0, 1.0);
}
INLINE float sin_quadrant(float r, uint32_t number) {
    const float z = r * r;
    const float s = poly(z, -0.166666667f, 0.00833333187f, -0.000198400867f, 2.72499258e-6f);
    const float c = poly(z, 0.0416666667f, -0.00138888877f, 2.48006004e-5f, -2.73009592e-7f);
    const float sin = fma_(s * z, r, r);
    const float cos = fma_(c * z, z, fma_(z, -0.5f, 1.0f));
    return of_bits(bits((number & 1) == 0 ? sin : cos) ^ (number & 2) << 30);
}
INLINE float sin_(float x) {
    uint32_t number;
    const float r = quadrant(x, &number);
    // The reduction forgets the sign of a zero.
    return x == 0.0f ? x : sin_quadrant(r, number);
}
INLINE float cos_(float x) {
    uint32_t number;
    const float r = quadrant(x, &number);
    return sin_quadrant(r, number + 1);
}
INLINE float tanh_(float x) {
    const float t = expm1_(2.0f * clamp_(abs_(x), 0.0f, 10.0f));
    return signed_as(t / (t + 2.0f), x);
}
INLINE float erf_(float x) {
    const float t = clamp_(abs_(x), 0.0f, 4.0f), s = t * t;
    float small = poly(s, 0.128379166f, -0.376126267f, 0.112835947f, -0.026854212f, 0.00518908742f, -0.000801686429f,
                       7.87587506e-5f);
    small = fma_(small, t, t);
    float large = poly(t, 0.128720089f, 0.634893341f, 0.106579908f, -0.0239402802f, 0.00362526573f, -0.000261620513f,
                       -1.57844459e-5f, 4.84038024e-6f, -2.94033691e-7f);
    large = 1.0f - exp_(-fma_(large, t, t));
    return signed_as(t < 0.95f ? small : large, x);
}
INLINE float pow_(float x, float y) {
    const float power = (float)exp_((double)y * ln_((double)abs_(x)));
    return signed_power(x, y, power);
}
INLINE void sin_cos_turns(float turns, float* sin, float* cos) {
    const float t = fma_(turns, 4.0f, ROUND_F);
    const float r = fma_(t - ROUND_F, -0.25f, turns) * (float)TAU;
    *sin = sin_quadrant(r, bits(t));
    *cos = sin_quadrant(r, bits(t) + 1);
}

// ---- both ----

INLINE real sigmoid_(real x) {
    const real e = exp_(-abs_(x));
    return (x < 0 ? e : (real)1) / (1 + e);
}
INLINE real softplus_(real x) { return relu_(x) + log1p_(exp_(-abs_(x))); }

// Inverses of hyperbolic functions, as Rust's library computes them.
INLINE double asinh_(double x) {
    const double a = abs_(x), over = 1.0 / a;
    return signed_as(log1p(a + a / (hypot(1.0, over) + over)), x);
}
INLINE double acosh_(double x) { return x < 1.0 ? NAN : log(x + root(x - 1.0) * root(x + 1.0)); }
INLINE double atanh_(double x) {
    const double a = abs_(x);
    return signed_as(0.5 * log1p(2.0 * a / (1.0 - a)), x);
}

// ---- random numbers, see `kernel/random` ----

struct Words {
    uint32_t w[4];
};
/// Ten rounds of Philox4x32.
INLINE Words philox(uint32_t k0, uint32_t k1, uint32_t a, uint32_t b, uint32_t c, uint32_t d) {
    for (int i = 0; i < 10; i++) {
        const uint32_t left = __umulhi(a, 0xD2511F53u), left_low = a * 0xD2511F53u;
        const uint32_t right = __umulhi(c, 0xCD9E8D57u), right_low = c * 0xCD9E8D57u;
        a = right ^ b ^ k0;
        b = right_low;
        c = left ^ d ^ k1;
        d = left_low;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    return {{a, b, c, d}};
}
/// Key and upper counter of the draws of a key and a path.
INLINE Words stream(const uint32_t* key, uint64_t path) {
    return philox(key[0], key[1], key[2], key[3], (uint32_t)path, (uint32_t)(path >> 32));
}
/// The block of a position.
INLINE Words block_of(const Words& s, uint64_t position) {
    const uint64_t block = position / 64 * 16 + position % 16;
    return philox(s.w[0], s.w[1], (uint32_t)block, (uint32_t)(block >> 32), s.w[2], s.w[3]);
}
INLINE real share_of(uint32_t word) { return (real)word * (real)(1.0 / 16777216.0); }
INLINE real uniform(const Words& s, uint64_t position) {
    const Words x = block_of(s, position);
    const uint32_t w = position % 64 / 16;
    return share_of((w == 0 ? x.w[0] : w == 1 ? x.w[1] : w == 2 ? x.w[2] : x.w[3]) >> 8);
}
/// By Box and Muller's formula.
INLINE real normal(const Words& s, uint64_t position) {
    const Words x = block_of(s, position);
    const uint32_t w = position % 64 / 16;
    const uint32_t radius = (w & 2) ? x.w[2] : x.w[0], angle = (w & 2) ? x.w[3] : x.w[1];
    const real r = root(ln_(share_of((radius >> 8) + 1)) * (real)-2);
    real sin, cos;
    sin_cos_turns(share_of(angle >> 8), &sin, &cos);
    return r * (w % 2 == 0 ? cos : sin);
}
