/* bool, "char", the integers, oid, floats: text and binary forms, order, hash.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <errno.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/base/checksum.h"
#include "engine/types/type_int.h"

int
type_bad_syntax(const struct type *t, struct slice text)
{
    return DIAG(ERR_INVALID_TEXT, "invalid input syntax for type %s: \"%.*s\"", t->sql_name,
                SLICE_ARGS(text));
}

int
type_out_of_range(const struct type *t, struct slice text)
{
    return DIAG(ERR_NUMERIC_RANGE, "value \"%.*s\" is out of range for type %s", SLICE_ARGS(text),
                t->sql_name);
}

static int
bad_binary(const struct type *t)
{
    return DIAG(ERR_INVALID_BINARY, "incorrect binary data format for type %s", t->sql_name);
}

/* ---- bool ---------------------------------------------------------------------------------- */

int
bool_parse(struct slice text, bool *out)
{
    static const struct {
        const char *word;
        size_t least;
        bool value;
    } words[] = { { "true", 1, true }, { "false", 1, false }, { "yes", 1, true },
                  { "no", 1, false },  { "on", 2, true },     { "off", 2, false },
                  { "1", 1, true },    { "0", 1, false } };
    struct slice s = slice_trim_space(text);

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        size_t n = 0;
        while (n < s.size && ascii_lower(s.data[n]) == (uint8_t)words[i].word[n] &&
               words[i].word[n] != 0)
            n++;
        if (n == s.size && n >= words[i].least) {
            *out = words[i].value;
            return 0;
        }
    }
    return DIAG(ERR_INVALID_TEXT, "invalid input syntax for type boolean: \"%.*s\"",
                SLICE_ARGS(text));
}

int
bool_in(const struct type *t, const struct type_env *env, struct arena *a, struct slice text,
        int32_t typmod, struct datum *out)
{
    bool v;
    int rc = bool_parse(text, &v);

    (void)t, (void)env, (void)a, (void)typmod;
    if (rc == 0)
        *out = datum_bool(v);
    return rc;
}

void
bool_out(const struct type *t, const struct type_env *env, const struct datum *d, struct writer *w)
{
    (void)t, (void)env;
    wr_u8(w, d->i != 0 ? 't' : 'f');
}

int
bool_recv(const struct type *t, const struct type_env *env, struct arena *a, struct slice bytes,
          int32_t typmod, struct datum *out)
{
    (void)env, (void)a, (void)typmod;
    if (bytes.size != 1)
        return bad_binary(t);
    *out = datum_bool(bytes.data[0] != 0);
    return 0;
}

void
byte_send(const struct type *t, const struct type_env *env, const struct datum *d, struct writer *w)
{
    (void)t, (void)env;
    wr_u8(w, (uint8_t)d->i);
}

/* ---- "char" -------------------------------------------------------------------------------- */

/* One byte; bytes above 0x7f are written as \ooo, so that the text form is always UTF-8. */
int
char_in(const struct type *t, const struct type_env *env, struct arena *a, struct slice text,
        int32_t typmod, struct datum *out)
{
    const uint8_t *p = text.data;

    (void)t, (void)env, (void)a, (void)typmod;
    if (text.size == 4 && p[0] == '\\' && (p[1] & 0xfc) == '0' && (p[2] & 0xf8) == '0' &&
        (p[3] & 0xf8) == '0')
        *out = datum_int((p[1] & 3) << 6 | (p[2] & 7) << 3 | (p[3] & 7));
    else
        *out = datum_int(text.size > 0 ? p[0] : 0);
    return 0;
}

void
char_out(const struct type *t, const struct type_env *env, const struct datum *d, struct writer *w)
{
    unsigned c = (uint8_t)d->i;

    (void)t, (void)env;
    if (c >= 0x80) {
        wr_u8(w, '\\');
        wr_u8(w, (uint8_t)('0' + (c >> 6)));
        wr_u8(w, (uint8_t)('0' + (c >> 3 & 7)));
        c = '0' + (c & 7);
    }
    if (c != 0)
        wr_u8(w, (uint8_t)c);
}

int
char_recv(const struct type *t, const struct type_env *env, struct arena *a, struct slice bytes,
          int32_t typmod, struct datum *out)
{
    (void)env, (void)a, (void)typmod;
    if (bytes.size != 1)
        return bad_binary(t);
    *out = datum_int(bytes.data[0]);
    return 0;
}

/* ---- integers ------------------------------------------------------------------------------ */

static int
int_in_slow(const struct type *t, struct slice text, struct datum *out)
{
    struct slice s = slice_trim_space(text);
    const uint8_t *p = s.data, *end = s.data + s.size;
    int64_t min = t->len == 2 ? INT16_MIN : t->len == 4 ? INT32_MIN : INT64_MIN, v = 0;
    bool neg = false;

    if (p < end && (*p == '-' || *p == '+'))
        neg = *p++ == '-';
    if (p == end || !ascii_is_digit(*p))
        return type_bad_syntax(t, text);
    for (; p < end && ascii_is_digit(*p); p++) {
        if (__builtin_mul_overflow(v, (int64_t)10, &v) ||
            __builtin_sub_overflow(v, (int64_t)(*p - '0'), &v) || v < min)
            return type_out_of_range(t, text);
    }
    if (p != end)
        return type_bad_syntax(t, text);
    if (!neg && v == min)
        return type_out_of_range(t, text);
    *out = datum_int(neg ? v : -v);
    return 0;
}

int
int_in(const struct type *t, const struct type_env *env, struct arena *a, struct slice text,
       int32_t typmod, struct datum *out)
{
    int64_t v = 0;
    size_t i = 0, limit = t->len == 2 ? 4 : t->len == 4 ? 9 : 18;
    bool neg = text.size > 0 && text.data[0] == '-';

    (void)env, (void)a, (void)typmod;
    /* The usual case: a few digits that cannot overflow. */
    for (i = neg; i < text.size && i < limit && ascii_is_digit(text.data[i]); i++)
        v = v * 10 + (text.data[i] - '0');
    if (i == text.size && i > neg) {
        *out = datum_int(neg ? -v : v);
        return 0;
    }
    return int_in_slow(t, text, out);
}

void
int_out(const struct type *t, const struct type_env *env, const struct datum *d, struct writer *w)
{
    (void)t, (void)env;
    wr_int(w, d->i);
}

int
int_recv(const struct type *t, const struct type_env *env, struct arena *a, struct slice bytes,
         int32_t typmod, struct datum *out)
{
    (void)env, (void)a, (void)typmod;
    if (bytes.size != (size_t)t->len)
        return bad_binary(t);
    if (t->len == 2)
        *out = datum_int((int16_t)load_u16_be(bytes.data));
    else if (t->len == 4)
        *out = datum_int((int32_t)load_u32_be(bytes.data));
    else
        *out = datum_int((int64_t)load_u64_be(bytes.data));
    return 0;
}

void
int_send(const struct type *t, const struct type_env *env, const struct datum *d, struct writer *w)
{
    (void)env;
    if (t->len == 2)
        wr_u16_be(w, (uint16_t)d->i);
    else if (t->len == 4)
        wr_u32_be(w, (uint32_t)d->i);
    else
        wr_u64_be(w, (uint64_t)d->i);
}

int
oid_in(const struct type *t, const struct type_env *env, struct arena *a, struct slice text,
       int32_t typmod, struct datum *out)
{
    struct slice s = slice_trim_space(text);
    const uint8_t *p = s.data, *end = s.data + s.size;
    int64_t v = 0;
    bool neg = false;

    (void)env, (void)a, (void)typmod;
    if (p < end && (*p == '-' || *p == '+'))
        neg = *p++ == '-';
    if (p == end || !ascii_is_digit(*p))
        return type_bad_syntax(t, text);
    for (; p < end && ascii_is_digit(*p); p++) {
        v = v * 10 + (*p - '0');
        if (v > UINT32_MAX)
            return type_out_of_range(t, text);
    }
    if (p != end)
        return type_bad_syntax(t, text);
    if (neg && v > -(int64_t)INT32_MIN)
        return type_out_of_range(t, text);
    *out = datum_int(neg ? (uint32_t)-v : (uint32_t)v); /* -1 is 4294967295, as ever */
    return 0;
}

int
oid_recv(const struct type *t, const struct type_env *env, struct arena *a, struct slice bytes,
         int32_t typmod, struct datum *out)
{
    (void)env, (void)a, (void)typmod;
    if (bytes.size != 4)
        return bad_binary(t);
    *out = datum_int(load_u32_be(bytes.data));
    return 0;
}

int
cmp_int(const struct type *t, const struct datum *a, const struct datum *b)
{
    (void)t;
    return a->i < b->i ? -1 : a->i > b->i;
}

uint64_t
mix64(uint64_t v)
{
    v ^= v >> 32;
    v *= UINT64_C(0xd6e8feb86659fd93);
    v ^= v >> 32;
    v *= UINT64_C(0xd6e8feb86659fd93);
    return v ^ v >> 32;
}

uint64_t
hash_int(const struct type *t, const struct datum *d)
{
    (void)t;
    return mix64((uint64_t)d->i + UINT64_C(0x9e3779b97f4a7c15));
}

/* ---- floats -------------------------------------------------------------------------------- */

static bool
float_word(struct slice s, double *out)
{
    static const struct {
        const char *word;
        double v;
    } words[] = {
        { "nan", NAN },
        { "infinity", INFINITY },
        { "+infinity", INFINITY },
        { "-infinity", -INFINITY },
        { "inf", INFINITY },
        { "+inf", INFINITY },
        { "-inf", -INFINITY },
    };

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (slice_eq_nocase(s, words[i].word)) {
            *out = words[i].v;
            return true;
        }
    }
    return false;
}

int
float_parse(struct slice text, bool is_single, const char *type_name, double *out)
{
    struct slice s = slice_trim_space(text);
    struct arena tmp;
    char buf[128], *copy = buf, *end;
    double v;
    int rc = 0;

    if (float_word(s, out))
        return 0;
    arena_init(&tmp, NULL);
    if (s.size >= sizeof buf)
        copy = arena_alloc(&tmp, s.size + 1);
    if (s.size > 0)
        memcpy(copy, s.data, s.size);
    copy[s.size] = 0;
    /* strtod also takes words, which were looked at above, and hexadecimal, which PostgreSQL's
     * takes too. */
    errno = 0;
    v = is_single ? (double)strtof(copy, &end) : strtod(copy, &end);
    if (s.size == 0 || (size_t)(end - copy) != s.size || ascii_is_alpha(s.data[s.size - 1]) ||
        isnan(v))
        rc = DIAG(ERR_INVALID_TEXT, "invalid input syntax for type %s: \"%.*s\"", type_name,
                  SLICE_ARGS(text));
    else if (errno == ERANGE && (v == 0 || isinf(v)))
        rc = DIAG(ERR_NUMERIC_RANGE, "\"%.*s\" is out of range for type %s", SLICE_ARGS(s),
                  type_name);
    arena_fini(&tmp);
    *out = v;
    return rc;
}

int
float_in(const struct type *t, const struct type_env *env, struct arena *a, struct slice text,
         int32_t typmod, struct datum *out)
{
    (void)env, (void)a, (void)typmod;
    *out = datum_float(0);
    return float_parse(text, t->len == 4, t->sql_name, &out->f);
}

/* Is the text, "-d.ddde±x", exactly this number? */
static bool
is_exactly(const char *buf, long double v)
{
    char exact[128];
    size_t digits = (size_t)(strchr(buf, 'e') - buf);

    snprintf(exact, sizeof exact, "%.80Le", v);
    if (strncmp(exact, buf, digits) != 0)
        return false;
    digits += strchr(buf, '.') == NULL;
    return strspn(exact + digits, "0") == strcspn(exact + digits, "e");
}

/* Does the text lie strictly between v's neighbours' midpoints? (On a midpoint it would read back
 * only by the rule for ties, which PostgreSQL's output does not lean on.) Midpoints of doubles need
 * 54 bits, which long double has; the text itself may need more. */
static bool
is_within(const char *buf, double v, bool is_single)
{
    long double x = strtold(buf, NULL), low, high;
    bool reads_back = is_single ? strtof(buf, NULL) == (float)v : strtod(buf, NULL) == v;

    if (!reads_back)
        return false;
    low = is_single ? (long double)nextafterf((float)v, -INFINITY)
                    : (long double)nextafter(v, -INFINITY);
    high = is_single ? (long double)nextafterf((float)v, INFINITY)
                     : (long double)nextafter(v, INFINITY);
    if (isinf((double)high) || isinf((double)low))
        return true;
    low = (low + (long double)v) / 2;
    high = (high + (long double)v) / 2;
    return !(x == low && is_exactly(buf, low)) && !(x == high && is_exactly(buf, high));
}
static_assert(LDBL_MANT_DIG >= 54, "midpoints of doubles must be exact");

/* One more in the last digit of "-d.ddde±x"; false when the digits are all 9. */
static bool
increment_last_digit(char *buf)
{
    char *p = strchr(buf, 'e');

    while (p-- > buf) {
        if (*p == '.')
            continue;
        if (*p < '0' || *p > '9')
            return false;
        if (*p < '9') {
            (*p)++;
            return true;
        }
        *p = '0';
    }
    return false;
}

/* The shortest digits that mean v and no other, in "d.ddde±x" form; v is finite and not 0. */
static void
float_shortest(double v, bool is_single, char buf[40])
{
    int sure = is_single ? 6 : 15, most = is_single ? 9 : 17, n = sure, exponent;
    double least_normal = is_single ? 0x1p-126 : 0x1p-1022;
    bool lopsided = frexp(fabs(v), &exponent) == 0.5;

    if (fabs(v) < least_normal)
        n = 1;
    for (; n < most; n++) {
        snprintf(buf, 40, "%.*e", n - 1, v);
        if (is_within(buf, v, is_single))
            return;
        /* The neighbour above a power of two is twice as far off as the one below. */
        if (lopsided && increment_last_digit(buf) && is_within(buf, v, is_single))
            return;
    }
    snprintf(buf, 40, "%.*e", most - 1, v);
}

/* PostgreSQL's layout: plain from 1e-4 up to 15 (6) digits before the point, else with exponent. */
static void
float_layout(const char *sci, int plain_digits, struct writer *w)
{
    char digits[40];
    int n = 0, exponent;
    const char *p = sci;

    if (*p == '-')
        wr_u8(w, (uint8_t)*p++);
    for (; *p != 'e'; p++) {
        if (*p != '.')
            digits[n++] = *p;
    }
    exponent = atoi(p + 1);
    while (n > 1 && digits[n - 1] == '0')
        n--;
    if (exponent < -4 || exponent >= plain_digits) {
        wr_u8(w, (uint8_t)digits[0]);
        if (n > 1) {
            wr_u8(w, '.');
            wr_bytes(w, digits + 1, (size_t)(n - 1));
        }
        wr_u8(w, 'e');
        wr_u8(w, exponent < 0 ? '-' : '+');
        wr_int_padded(w, exponent < 0 ? -exponent : exponent, 2);
        return;
    }
    if (exponent < 0) {
        wr_str(w, "0.");
        for (int i = -1; i > exponent; i--)
            wr_u8(w, '0');
        wr_bytes(w, digits, (size_t)n);
        return;
    }
    for (int i = 0; i <= exponent || i < n; i++) {
        if (i == exponent + 1)
            wr_u8(w, '.');
        wr_u8(w, i < n ? (uint8_t)digits[i] : '0');
    }
}

/* Decimals that people write: v is a whole number of at most 15 digits over a power of ten.
 * Division of two exact doubles rounds as reading the text does, and of 15 digits no two decimals
 * mean the same double, so these are the shortest digits. */
static bool
float_put_decimal(double v, struct writer *w)
{
    double magnitude = fabs(v), power = 1;

    if (magnitude < 1e-4)
        return false;
    for (int places = 0; places <= 15; places++, power *= 10) {
        double whole = rint(magnitude * power);
        if (whole >= 1e15)
            return false;
        if (whole / power != magnitude)
            continue;
        if (v < 0)
            wr_u8(w, '-');
        wr_int(w, (int64_t)whole / (int64_t)power);
        if (places > 0) {
            wr_u8(w, '.');
            wr_int_padded(w, (int64_t)whole % (int64_t)power, places);
        }
        return true;
    }
    return false;
}

void
float_format(double v, bool is_single, int extra_digits, struct writer *w)
{
    char buf[64];

    if (isnan(v)) {
        wr_str(w, "NaN");
    } else if (isinf(v)) {
        wr_str(w, v > 0 ? "Infinity" : "-Infinity");
    } else if (v == 0) {
        wr_str(w, signbit(v) ? "-0" : "0");
    } else if (extra_digits > 0) {
        if (is_single && fabs(v) < 1e6 && v == (double)(int64_t)v) {
            wr_int(w, (int64_t)v);
            return;
        }
        if (!is_single && float_put_decimal(v, w))
            return;
        float_shortest(v, is_single, buf);
        float_layout(buf, is_single ? 6 : 15, w);
    } else {
        int digits = (is_single ? 6 : 15) + extra_digits;
        snprintf(buf, sizeof buf, "%.*g", digits < 1 ? 1 : digits, v);
        wr_str(w, buf);
    }
}

void
float_out(const struct type *t, const struct type_env *env, const struct datum *d, struct writer *w)
{
    float_format(d->f, t->len == 4, env == NULL ? 1 : env->extra_float_digits, w);
}

int
float_recv(const struct type *t, const struct type_env *env, struct arena *a, struct slice bytes,
           int32_t typmod, struct datum *out)
{
    (void)env, (void)a, (void)typmod;
    if (bytes.size != (size_t)t->len)
        return bad_binary(t);
    if (t->len == 4) {
        uint32_t u = load_u32_be(bytes.data);
        float f;
        memcpy(&f, &u, sizeof f);
        *out = datum_float((double)f);
    } else {
        uint64_t u = load_u64_be(bytes.data);
        *out = datum_float(0);
        memcpy(&out->f, &u, sizeof u);
    }
    return 0;
}

void
float_send(const struct type *t, const struct type_env *env, const struct datum *d,
           struct writer *w)
{
    (void)env;
    if (t->len == 4) {
        float f = (float)d->f;
        uint32_t u;
        memcpy(&u, &f, sizeof u);
        wr_u32_be(w, u);
    } else {
        uint64_t u;
        memcpy(&u, &d->f, sizeof u);
        wr_u64_be(w, u);
    }
}

int
float_cmp(double a, double b)
{
    if (isnan(a) || isnan(b))
        return isnan(a) ? !isnan(b) : -1;
    return a < b ? -1 : a > b;
}

int
cmp_float(const struct type *t, const struct datum *a, const struct datum *b)
{
    (void)t;
    return float_cmp(a->f, b->f);
}

uint64_t
hash_float(const struct type *t, const struct datum *d)
{
    double v = d->f == 0 ? 0 : d->f;
    uint64_t u;

    (void)t;
    if (isnan(v))
        v = NAN;
    memcpy(&u, &v, sizeof u);
    return mix64(u);
}
