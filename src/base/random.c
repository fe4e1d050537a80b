#include "base/random.h"

#include <math.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include "base/philox.h"
#include "base/thread_pool.h"

/*
 * Every piece of words is turned into elements in full and then copied: an element never depends
 * on where a chunk or a tensor ends.
 */
enum { HALF = KL_PHILOX_PIECE / 2, QUARTER = KL_PHILOX_PIECE / 4, CHUNK_PIECES = 64 };

/* ---- Filling in parallel -------------------------------------------------------------------- */

typedef struct fill fill;
struct fill {
    uint64_t key, draw;
    /* Turns the words of a piece into `each` elements. `first` is the index of the first. */
    void (*convert)(const fill *f, uint64_t first, const uint32_t *words, void *out);
    int64_t count, each;
    size_t element;
    char *out;
    double a, b;
    int64_t low;
    uint64_t range;
};

static void fill_chunk(void *arg, int64_t chunk)
{
    const fill *f = arg;
    uint32_t words[KL_PHILOX_PIECE];
    double elements[KL_PHILOX_PIECE];
    for (int64_t i = 0; i < CHUNK_PIECES; i++) {
        int64_t piece = chunk * CHUNK_PIECES + i, first = piece * f->each;
        if (first >= f->count)
            return;
        int64_t count = f->count - first < f->each ? f->count - first : f->each;
        kl_philox_piece(f->key, f->draw, (uint64_t)piece, words);
        f->convert(f, (uint64_t)first, words, elements);
        memcpy(f->out + (size_t)first * f->element, elements, (size_t)count * f->element);
    }
}

static void run_fill(kl_random *r, fill *f)
{
    f->key = r->key;
    f->draw = r->draw++;
    int64_t pieces = f->count / f->each + (f->count % f->each != 0);
    if (f->count > 0)
        kl_parallel_for(pieces / CHUNK_PIECES + (pieces % CHUNK_PIECES != 0), fill_chunk, f);
}

/*
 * Further words for an element whose first ones were rejected. The blocks of a draw's pieces never
 * reach so far up.
 */
static void retry_words(const fill *f, uint64_t element, uint64_t attempt, uint32_t out[4])
{
    kl_philox(f->key, f->draw, (attempt << 56) | element, out);
}

#define MAX_ATTEMPTS 200

/* ---- Uniform -------------------------------------------------------------------------------- */

static double unit_f64(uint32_t high, uint32_t low)
{
    return (double)(((uint64_t)high << 32 | low) >> 11) * 0x1p-53;
}

static void convert_uniform_f32(const fill *f, uint64_t first, const uint32_t *words, void *out)
{
    float *at = out, low = (float)f->a, high = (float)f->b, width = high - low;
    float below = nextafterf(high, low);
    for (int i = 0; i < KL_PHILOX_PIECE; i++) {
        /* Converting a signed number is what vector units can do. */
        float value = low + width * ((float)(int32_t)(words[i] >> 8) * 0x1p-24f);
        at[i] = value < high || width <= 0 ? value : below;
    }
}

static void convert_uniform_f64(const fill *f, uint64_t first, const uint32_t *words, void *out)
{
    double *at = out, below = nextafter(f->b, f->a);
    for (int i = 0; i < HALF; i++) {
        double value = f->a + (f->b - f->a) * unit_f64(words[i], words[HALF + i]);
        at[i] = value < f->b || f->b <= f->a ? value : below;
    }
}

void kl_random_uniform_f32(kl_random *r, float *out, int64_t count, float low, float high)
{
    run_fill(r, &(fill){.convert = convert_uniform_f32,
                        .count = count,
                        .each = KL_PHILOX_PIECE,
                        .element = sizeof *out,
                        .out = (char *)out,
                        .a = low,
                        .b = high});
}

void kl_random_uniform_f64(kl_random *r, double *out, int64_t count, double low, double high)
{
    run_fill(r, &(fill){.convert = convert_uniform_f64,
                        .count = count,
                        .each = HALF,
                        .element = sizeof *out,
                        .out = (char *)out,
                        .a = low,
                        .b = high});
}

/* ---- Normal: Box and Muller, with own logarithm and sine ------------------------------------ */

/* Natural logarithm of a positive normal number, after Cephes. */
static inline float log_f32(float x)
{
    int32_t bits;
    memcpy(&bits, &x, sizeof bits);
    /* x = 2^exponent * m with m in [sqrt(1/2), sqrt(2)). */
    int32_t exponent = (bits - 0x3F3504F3) >> 23;
    bits -= exponent * (1 << 23);
    float m, e = (float)exponent;
    memcpy(&m, &bits, sizeof m);
    m -= 1.0f;
    float p = 7.0376836292e-2f;
    p = p * m - 1.1514610310e-1f;
    p = p * m + 1.1676998740e-1f;
    p = p * m - 1.2420140846e-1f;
    p = p * m + 1.4249322787e-1f;
    p = p * m - 1.6668057665e-1f;
    p = p * m + 2.0000714765e-1f;
    p = p * m - 2.4999993993e-1f;
    p = p * m + 3.3333331174e-1f;
    float square = m * m;
    return m + (m * square * p - 0.5f * square + e * -2.12194440e-4f) + e * 0.693359375f;
}

/* Sine and cosine of turn * 2 pi / 2^32: the top bits name the quarter. */
static inline void sincos_f32(uint32_t turn, float *sine, float *cosine)
{
    uint32_t quarter = (turn + 0x20000000u) >> 30;
    /* From -pi/4 to pi/4. */
    float x = (float)(int32_t)(turn - (quarter << 30)) * 1.4629180792671596e-9f;
    float z = x * x;
    float s = ((-1.9515295891e-4f * z + 8.3321608736e-3f) * z - 1.6666654611e-1f) * z * x + x;
    float c =
        ((2.443315711809948e-5f * z - 1.388731625493765e-3f) * z + 4.166664568298827e-2f) * z * z -
        0.5f * z + 1.0f;
    bool swap = quarter & 1;
    float a = swap ? c : s, b = swap ? s : c;
    *sine = quarter & 2 ? -a : a;
    *cosine = (quarter + 1) & 2 ? -b : b;
}

static inline void normal_pair_f32(uint32_t w0, uint32_t w1, float *a, float *b)
{
    /* w0 + 1/2 as a fraction of 2^32: never 0; the halves are exact signed conversions. */
    float u =
        ((float)(int32_t)(w0 >> 16) * 65536.0f + ((float)(int32_t)(w0 & 0xFFFF) + 0.5f)) * 0x1p-32f;
    float log_u = log_f32(u), sine, cosine;
    float radius = sqrtf(-2.0f * (log_u < 0.0f ? log_u : 0.0f));
    sincos_f32(w1, &sine, &cosine);
    *a = radius * cosine;
    *b = radius * sine;
}

/* The same in float64, after fdlibm. */
static inline double log_f64(double x)
{
    int64_t bits;
    memcpy(&bits, &x, sizeof bits);
    int64_t exponent = (bits - 0x3FE6A09E667F3BCD) >> 52;
    bits -= exponent * ((int64_t)1 << 52);
    double m, e = (double)exponent;
    memcpy(&m, &bits, sizeof m);
    double f = m - 1.0, s = f / (2.0 + f), z = s * s;
    double r = 1.479819860511658591e-01;
    r = r * z + 1.531383769920937332e-01;
    r = r * z + 1.818357216161805012e-01;
    r = r * z + 2.222219843214978396e-01;
    r = r * z + 2.857142874366239149e-01;
    r = r * z + 3.999999999940941908e-01;
    r = r * z + 6.666666666666735130e-01;
    r *= z;
    double half_square = 0.5 * f * f;
    return e * 6.93147180369123816490e-01 -
           ((half_square - (s * (half_square + r) + e * 1.90821492927058770002e-10)) - f);
}

static inline void sincos_f64(uint64_t turn, double *sine, double *cosine)
{
    uint64_t quarter = (turn + ((uint64_t)1 << 61)) >> 62;
    double x = (double)(int64_t)(turn - (quarter << 62)) * 3.4061215800304555e-19;
    double z = x * x;
    double s = 1.58969099521155010221e-10;
    s = s * z - 2.50507602534068634195e-08;
    s = s * z + 2.75573137070700676789e-06;
    s = s * z - 1.98412698298579493134e-04;
    s = s * z + 8.33333333332248946124e-03;
    s = s * z - 1.66666666666666324348e-01;
    s = s * z * x + x;
    double c = -1.13596475577881948265e-11;
    c = c * z + 2.08757232129817482790e-09;
    c = c * z - 2.75573143513906633035e-07;
    c = c * z + 2.48015872894767294178e-05;
    c = c * z - 1.38888888888741095749e-03;
    c = c * z + 4.16666666666666019037e-02;
    c = c * z * z - 0.5 * z + 1.0;
    double a = quarter & 1 ? c : s, b = quarter & 1 ? s : c;
    *sine = quarter & 2 ? -a : a;
    *cosine = (quarter + 1) & 2 ? -b : b;
}

static inline void normal_pair_f64(const uint32_t w[4], double *a, double *b)
{
    double u = (double)((((uint64_t)w[0] << 32 | w[1]) >> 12) * 2 + 1) * 0x1p-53;
    double log_u = log_f64(u), sine, cosine;
    double radius = sqrt(-2.0 * (log_u < 0.0 ? log_u : 0.0));
    sincos_f64((uint64_t)w[2] << 32 | w[3], &sine, &cosine);
    *a = radius * cosine;
    *b = radius * sine;
}

/* Standard normals in the order that the elements of a piece have. */
static void standard_f32(const uint32_t *words, float *z)
{
    for (int i = 0; i < HALF; i++)
        normal_pair_f32(words[i], words[HALF + i], &z[i], &z[HALF + i]);
}

static void standard_f64(const uint32_t *words, double *z)
{
    for (int i = 0; i < QUARTER; i++) {
        const uint32_t w[4] = {words[i], words[QUARTER + i], words[2 * QUARTER + i],
                               words[3 * QUARTER + i]};
        normal_pair_f64(w, &z[i], &z[QUARTER + i]);
    }
}

static void convert_normal_f32(const fill *f, uint64_t first, const uint32_t *words, void *out)
{
    float *at = out, mean = (float)f->a, stddev = (float)f->b;
    standard_f32(words, at);
    for (int i = 0; i < KL_PHILOX_PIECE; i++)
        at[i] = mean + stddev * at[i];
}

static void convert_normal_f64(const fill *f, uint64_t first, const uint32_t *words, void *out)
{
    double *at = out;
    standard_f64(words, at);
    for (int i = 0; i < HALF; i++)
        at[i] = f->a + f->b * at[i];
}

/* A standard normal within two standard deviations, from further words. */
static float redraw_f32(const fill *f, uint64_t element)
{
    for (uint64_t attempt = 1; attempt < MAX_ATTEMPTS; attempt++) {
        uint32_t w[4];
        float z[4];
        retry_words(f, element, attempt, w);
        normal_pair_f32(w[0], w[1], &z[0], &z[1]);
        normal_pair_f32(w[2], w[3], &z[2], &z[3]);
        for (int i = 0; i < 4; i++)
            if (fabsf(z[i]) <= 2.0f)
                return z[i];
    }
    return 0.0f;
}

static double redraw_f64(const fill *f, uint64_t element)
{
    for (uint64_t attempt = 1; attempt < MAX_ATTEMPTS; attempt++) {
        uint32_t w[4];
        double z[2];
        retry_words(f, element, attempt, w);
        normal_pair_f64(w, &z[0], &z[1]);
        for (int i = 0; i < 2; i++)
            if (fabs(z[i]) <= 2.0)
                return z[i];
    }
    return 0.0;
}

static void convert_truncated_f32(const fill *f, uint64_t first, const uint32_t *words, void *out)
{
    float *at = out, mean = (float)f->a, stddev = (float)f->b;
    standard_f32(words, at);
    for (int i = 0; i < KL_PHILOX_PIECE; i++)
        at[i] = mean + stddev * (fabsf(at[i]) <= 2.0f ? at[i] : redraw_f32(f, first + (uint64_t)i));
}

static void convert_truncated_f64(const fill *f, uint64_t first, const uint32_t *words, void *out)
{
    double *at = out;
    standard_f64(words, at);
    for (int i = 0; i < HALF; i++)
        at[i] = f->a + f->b * (fabs(at[i]) <= 2.0 ? at[i] : redraw_f64(f, first + (uint64_t)i));
}

void kl_random_normal_f32(kl_random *r, float *out, int64_t count, float mean, float stddev)
{
    run_fill(r, &(fill){.convert = convert_normal_f32,
                        .count = count,
                        .each = KL_PHILOX_PIECE,
                        .element = sizeof *out,
                        .out = (char *)out,
                        .a = mean,
                        .b = stddev});
}

void kl_random_normal_f64(kl_random *r, double *out, int64_t count, double mean, double stddev)
{
    run_fill(r, &(fill){.convert = convert_normal_f64,
                        .count = count,
                        .each = HALF,
                        .element = sizeof *out,
                        .out = (char *)out,
                        .a = mean,
                        .b = stddev});
}

void kl_random_truncated_normal_f32(kl_random *r, float *out, int64_t count, float mean,
                                    float stddev)
{
    run_fill(r, &(fill){.convert = convert_truncated_f32,
                        .count = count,
                        .each = KL_PHILOX_PIECE,
                        .element = sizeof *out,
                        .out = (char *)out,
                        .a = mean,
                        .b = stddev});
}

void kl_random_truncated_normal_f64(kl_random *r, double *out, int64_t count, double mean,
                                    double stddev)
{
    run_fill(r, &(fill){.convert = convert_truncated_f64,
                        .count = count,
                        .each = HALF,
                        .element = sizeof *out,
                        .out = (char *)out,
                        .a = mean,
                        .b = stddev});
}

/* ---- Integers ------------------------------------------------------------------------------- */

static uint64_t word_pair(uint32_t high, uint32_t low)
{
    return (uint64_t)high << 32 | low;
}

/* Maps a 64-bit number to 0..range-1; false for the few that would make some values likelier
   (Lemire, "Fast random integer generation in an interval", 2019). */
static inline bool scale_down(uint64_t number, uint64_t range, uint64_t *out)
{
    __extension__ typedef unsigned __int128 wide;
    wide product = (wide)number * range;
    *out = (uint64_t)(product >> 64);
    return (uint64_t)product >= range || (uint64_t)product >= -range % range;
}

static uint64_t below_range(const fill *f, uint64_t element, uint64_t number)
{
    uint64_t value = 0;
    if (f->range == 0) /* all 2^64 */
        return number;
    for (uint64_t attempt = 1; !scale_down(number, f->range, &value) && attempt < MAX_ATTEMPTS;
         attempt++) {
        uint32_t w[4];
        retry_words(f, element, attempt, w);
        number = word_pair(w[0], w[1]);
    }
    return value;
}

static void convert_int(const fill *f, uint64_t first, const uint32_t *words, void *out)
{
    uint64_t *at = out;
    for (int i = 0; i < HALF; i++)
        at[i] = (uint64_t)f->low +
                below_range(f, first + (uint64_t)i, word_pair(words[i], words[HALF + i]));
}

void kl_random_int(kl_random *r, int64_t *out, int64_t count, int64_t low, int64_t high)
{
    uint64_t range = high > low ? (uint64_t)high - (uint64_t)low : 1;
    run_fill(r, &(fill){.convert = convert_int,
                        .count = count,
                        .each = HALF,
                        .element = sizeof *out,
                        .out = (char *)out,
                        .low = low,
                        .range = range});
}

static void convert_bernoulli(const fill *f, uint64_t first, const uint32_t *words, void *out)
{
    uint8_t *at = out;
    uint32_t limit = (uint32_t)f->range;
    for (int i = 0; i < KL_PHILOX_PIECE; i++)
        at[i] = words[i] < limit;
}

void kl_random_bernoulli(kl_random *r, uint8_t *out, int64_t count, double keep)
{
    if (!(keep > 0) || keep >= 1) {
        r->draw++;
        if (count > 0)
            memset(out, keep >= 1, (size_t)count);
        return;
    }
    double limit = keep * 0x1p32;
    run_fill(r, &(fill){.convert = convert_bernoulli,
                        .count = count,
                        .each = KL_PHILOX_PIECE,
                        .element = 1,
                        .out = (char *)out,
                        .range = limit < 0xFFFFFFFFu ? (uint64_t)limit : 0xFFFFFFFFu});
}

void kl_random_permutation(kl_random *r, int64_t *out, int64_t count)
{
    fill f = {.key = r->key, .draw = r->draw++};
    uint32_t words[KL_PHILOX_PIECE];
    for (int64_t i = 0; i < count; i++)
        out[i] = i;
    for (int64_t i = 0; i + 1 < count; i++) {
        if (i % HALF == 0)
            kl_philox_piece(f.key, f.draw, (uint64_t)(i / HALF), words);
        f.range = (uint64_t)(count - i);
        int64_t other =
            i + (int64_t)below_range(&f, (uint64_t)i,
                                     word_pair(words[i % HALF], words[HALF + i % HALF]));
        int64_t value = out[i];
        out[i] = out[other];
        out[other] = value;
    }
}

/* ---- The default generator ------------------------------------------------------------------ */

static _Atomic uint64_t default_seed, keys_given;
static atomic_bool seeded;

static uint64_t entropy(void)
{
    uint64_t seed;
    if (getrandom(&seed, sizeof seed, GRND_NONBLOCK) == (ssize_t)sizeof seed)
        return seed;
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * 1000000007u ^ (uint64_t)t.tv_nsec << 20 ^ (uintptr_t)&t;
}

kl_status kl_set_random_seed(uint64_t seed)
{
    atomic_store(&default_seed, seed);
    atomic_store(&keys_given, 0);
    atomic_store(&seeded, true);
    return KL_OK;
}

uint64_t kl_random_next_key(void)
{
    if (!atomic_load(&seeded)) {
        uint64_t none = 0;
        atomic_compare_exchange_strong(&default_seed, &none, entropy());
        atomic_store(&seeded, true);
    }
    uint32_t words[4];
    /* No tensor is drawn under this draw number, should a key of one's own equal the seed. */
    kl_philox(atomic_load(&default_seed), UINT64_MAX, atomic_fetch_add(&keys_given, 1), words);
    return word_pair(words[0], words[1]);
}
