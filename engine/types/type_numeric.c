/* numeric as a type: text and binary forms.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/types/numeric_int.h"
#include "engine/types/type_int.h"

/* PostgreSQL's wire form: i16 digits, i16 weight, u16 sign, i16 display scale, digits. */
enum {
    WIRE_POS = 0x0000,
    WIRE_NEG = 0x4000,
    WIRE_NAN = 0xc000,
    WIRE_PINF = 0xd000,
    WIRE_NINF = 0xf000,
};

int
numeric_in(const struct type *t, const struct type_env *env, struct arena *a, struct slice text,
           int32_t typmod, struct datum *out)
{
    struct datum d;
    int rc = numeric_from_str(a, text, &d);

    (void)t, (void)env;
    return rc != 0 ? rc : numeric_apply_typmod(a, typmod, &d, out);
}

void
numeric_out(const struct type *t, const struct type_env *env, const struct datum *d,
            struct writer *w)
{
    (void)t, (void)env;
    numeric_to_str(d, w);
}

static int
bad_wire(const char *what)
{
    return DIAG(ERR_INVALID_BINARY, "invalid %s in external \"numeric\" value", what);
}

int
numeric_recv(const struct type *t, const struct type_env *env, struct arena *a, struct slice bytes,
             int32_t typmod, struct datum *out)
{
    struct reader r;
    struct num n = { .sign = NUM_POS };
    struct datum d;
    uint16_t sign;
    int rc;

    (void)t, (void)env;
    rd_init(&r, bytes.data, bytes.size);
    n.count = rd_u16_be(&r);
    n.weight = (int16_t)rd_u16_be(&r);
    sign = rd_u16_be(&r);
    n.dscale = rd_u16_be(&r);
    if (!rd_ok(&r) || rd_left(&r) != (size_t)n.count * 2)
        return DIAG(ERR_INVALID_BINARY, "invalid length in external \"numeric\" value");
    switch (sign) {
    case WIRE_POS:
        break;
    case WIRE_NEG:
        n.sign = NUM_NEG;
        break;
    case WIRE_NAN:
        n.sign = NUM_NAN;
        break;
    case WIRE_PINF:
        n.sign = NUM_PINF;
        break;
    case WIRE_NINF:
        n.sign = NUM_NINF;
        break;
    default:
        return bad_wire("sign");
    }
    if (n.dscale > NUMERIC_DISPLAY_SCALE_MAX)
        return bad_wire("scale");
    n.d = arena_alloc(a, (size_t)n.count * 2 + 2);
    for (int i = 0; i < n.count; i++) {
        n.d[i] = rd_u16_be(&r);
        if (n.d[i] >= NBASE)
            return bad_wire("digit");
    }
    if (!num_is_special(&n))
        num_trunc(&n, n.dscale);
    rc = num_store(a, &n, &d);
    return rc != 0 ? rc : numeric_apply_typmod(a, typmod, &d, out);
}

void
numeric_send(const struct type *t, const struct type_env *env, const struct datum *d,
             struct writer *w)
{
    static const uint16_t wire_sign[] = {
        [NUM_POS] = WIRE_POS,   [NUM_NEG] = WIRE_NEG,   [NUM_NAN] = WIRE_NAN,
        [NUM_PINF] = WIRE_PINF, [NUM_NINF] = WIRE_NINF,
    };
    struct arena tmp;
    struct num n;

    (void)t, (void)env;
    arena_init(&tmp, NULL);
    num_load(&tmp, d, &n);
    wr_u16_be(w, (uint16_t)n.count);
    wr_u16_be(w, (uint16_t)n.weight);
    wr_u16_be(w, wire_sign[n.sign]);
    wr_u16_be(w, (uint16_t)n.dscale);
    for (int i = 0; i < n.count; i++)
        wr_u16_be(w, n.d[i]);
    arena_fini(&tmp);
}

int
cmp_numeric(const struct type *t, const struct datum *a, const struct datum *b)
{
    (void)t;
    return numeric_cmp(a, b);
}

uint64_t
hash_numeric(const struct type *t, const struct datum *d)
{
    (void)t;
    return numeric_hash(d);
}
