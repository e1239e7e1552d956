/* text, varchar, bpchar, name, bytea and those that look like text.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/base/checksum.h"
#include "engine/base/utf8.h"
#include "engine/types/type_int.h"

int
text_in(const struct type *t, const struct type_env *env, struct arena *a, struct slice text,
        int32_t typmod, struct datum *out)
{
    (void)t, (void)env, (void)a, (void)typmod;
    *out = datum_slice(text);
    return 0;
}

int
varchar_in(const struct type *t, const struct type_env *env, struct arena *a, struct slice text,
           int32_t typmod, struct datum *out)
{
    struct datum d = datum_slice(text);

    (void)env;
    return type_coerce_typmod(t->oid, typmod, false, a, &d, out);
}

int
bpchar_in(const struct type *t, const struct type_env *env, struct arena *a, struct slice text,
          int32_t typmod, struct datum *out)
{
    struct datum d = datum_slice(text);

    (void)env;
    return type_coerce_typmod(t->oid, typmod, false, a, &d, out);
}

int
name_in(const struct type *t, const struct type_env *env, struct arena *a, struct slice text,
        int32_t typmod, struct datum *out)
{
    (void)t, (void)env, (void)a, (void)typmod;
    *out = datum_bytes(text.data, chars_clip(text, NAME_SIZE_MAX));
    return 0;
}

int
text_recv(const struct type *t, const struct type_env *env, struct arena *a, struct slice bytes,
          int32_t typmod, struct datum *out)
{
    int rc = utf8_check(bytes.data, bytes.size);

    return rc != 0 ? rc : t->in(t, env, a, bytes, typmod, out);
}

void
bytes_out(const struct type *t, const struct type_env *env, const struct datum *d, struct writer *w)
{
    (void)t, (void)env;
    wr_bytes(w, d->p, d->size);
}

void
bytes_send(const struct type *t, const struct type_env *env, const struct datum *d,
           struct writer *w)
{
    (void)t, (void)env;
    wr_bytes(w, d->p, d->size);
}

int
cmp_bytes(const struct type *t, const struct datum *a, const struct datum *b)
{
    (void)t;
    return slice_cmp(datum_view(a), datum_view(b));
}

uint64_t
hash_bytes(const struct type *t, const struct datum *d)
{
    (void)t;
    return hash64(d->p, d->size, 0);
}

int
cmp_bpchar(const struct type *t, const struct datum *a, const struct datum *b)
{
    (void)t;
    return slice_cmp(slice(a->p, bpchar_size(a)), slice(b->p, bpchar_size(b)));
}

uint64_t
hash_bpchar(const struct type *t, const struct datum *d)
{
    (void)t;
    return hash64(d->p, bpchar_size(d), 0);
}

/* ---- bytea --------------------------------------------------------------------------------- */

static int
hex_value(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 32;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int
bytea_in_hex(struct arena *a, struct slice text, struct datum *out)
{
    uint8_t *p = arena_alloc(a, text.size / 2 + 1);
    size_t n = 0;

    for (size_t i = 2; i < text.size; i++) {
        int high, low;
        if (ascii_is_space(text.data[i]))
            continue;
        high = hex_value(text.data[i]);
        if (high < 0)
            break;
        if (++i >= text.size)
            return DIAG(ERR_INVALID_PARAMETER_VALUE,
                        "invalid hexadecimal data: odd number of digits");
        low = hex_value(text.data[i]);
        if (low < 0)
            return DIAG(ERR_INVALID_PARAMETER_VALUE, "invalid hexadecimal digit: \"%.*s\"",
                        (int)chars_step(text.data + i, text.data + text.size),
                        (const char *)text.data + i);
        p[n++] = (uint8_t)(high << 4 | low);
    }
    for (size_t i = 2; i < text.size; i++) {
        if (!ascii_is_space(text.data[i]) && hex_value(text.data[i]) < 0)
            return DIAG(ERR_INVALID_PARAMETER_VALUE, "invalid hexadecimal digit: \"%.*s\"",
                        (int)chars_step(text.data + i, text.data + text.size),
                        (const char *)text.data + i);
    }
    *out = datum_bytes(p, n);
    return 0;
}

int
bytea_in(const struct type *t, const struct type_env *env, struct arena *a, struct slice text,
         int32_t typmod, struct datum *out)
{
    const uint8_t *s = text.data, *end = s + text.size;
    uint8_t *p;
    size_t n = 0;

    (void)t, (void)env, (void)typmod;
    if (text.size >= 2 && s[0] == '\\' && s[1] == 'x')
        return bytea_in_hex(a, text, out);
    p = arena_alloc(a, text.size + 1);
    while (s < end) {
        if (*s != '\\') {
            p[n++] = *s++;
        } else if (end - s >= 4 && s[1] >= '0' && s[1] <= '3' && (s[2] & 0xf8) == '0' &&
                   (s[3] & 0xf8) == '0') {
            p[n++] = (uint8_t)((s[1] - '0') << 6 | (s[2] - '0') << 3 | (s[3] - '0'));
            s += 4;
        } else if (end - s >= 2 && s[1] == '\\') {
            p[n++] = '\\';
            s += 2;
        } else {
            return DIAG(ERR_INVALID_TEXT, "invalid input syntax for type bytea");
        }
    }
    *out = datum_bytes(p, n);
    return 0;
}

static void
bytea_out_escape(const struct datum *d, struct writer *w)
{
    for (uint32_t i = 0; i < d->size; i++) {
        uint8_t c = d->p[i];
        if (c == '\\') {
            wr_str(w, "\\\\");
        } else if (c < 0x20 || c > 0x7e) {
            wr_u8(w, '\\');
            wr_u8(w, (uint8_t)('0' + (c >> 6)));
            wr_u8(w, (uint8_t)('0' + (c >> 3 & 7)));
            wr_u8(w, (uint8_t)('0' + (c & 7)));
        } else {
            wr_u8(w, c);
        }
    }
}

void
bytea_out(const struct type *t, const struct type_env *env, const struct datum *d, struct writer *w)
{
    static const char digit[] = "0123456789abcdef";
    uint8_t *p;

    (void)t;
    if (env != NULL && env->bytea_escape) {
        bytea_out_escape(d, w);
        return;
    }
    p = wr_reserve(w, 2 + 2 * (size_t)d->size);
    if (p == NULL)
        return;
    *p++ = '\\';
    *p++ = 'x';
    for (uint32_t i = 0; i < d->size; i++) {
        *p++ = (uint8_t)digit[d->p[i] >> 4];
        *p++ = (uint8_t)digit[d->p[i] & 15];
    }
}

int
bytea_recv(const struct type *t, const struct type_env *env, struct arena *a, struct slice bytes,
           int32_t typmod, struct datum *out)
{
    (void)t, (void)env, (void)a, (void)typmod;
    *out = datum_slice(bytes);
    return 0;
}

/* ---- pseudo types -------------------------------------------------------------------------- */

int
no_in(const struct type *t, const struct type_env *env, struct arena *a, struct slice text,
      int32_t typmod, struct datum *out)
{
    (void)env, (void)a, (void)text, (void)typmod, (void)out;
    return DIAG(ERR_NOT_SUPPORTED, "cannot accept a value of type %s", t->sql_name);
}

int
no_recv(const struct type *t, const struct type_env *env, struct arena *a, struct slice bytes,
        int32_t typmod, struct datum *out)
{
    return no_in(t, env, a, bytes, typmod, out);
}

void
void_out(const struct type *t, const struct type_env *env, const struct datum *d, struct writer *w)
{
    (void)t, (void)env, (void)d, (void)w; /* the empty string */
}

void
void_send(const struct type *t, const struct type_env *env, const struct datum *d, struct writer *w)
{
    (void)t, (void)env, (void)d, (void)w;
}
