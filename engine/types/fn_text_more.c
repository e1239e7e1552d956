/* Text kernels: concatenation of anything, quoting, format(), hashes, encodings, casts.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <openssl/evp.h>

#include "engine/types/array.h"
#include "engine/types/func_int.h"
#include "engine/types/ident.h"

/* ---- concatenation ------------------------------------------------------------------------- */

static void
put_arg(struct func_call *call, int32_t i, const struct datum *d, struct writer *w)
{
    type_out(call->arg_types[i], call->env, d, w);
}

/* As a cast to text has it, which differs from the text form for bool and bpchar. */
static void
put_as_text(struct func_call *call, int32_t i, const struct datum *d, struct writer *w)
{
    if (call->arg_types[i] == TYPE_BOOL)
        wr_str(w, d->i != 0 ? "true" : "false");
    else if (call->arg_types[i] == TYPE_BPCHAR)
        wr_bytes(w, d->p, bpchar_size(d));
    else
        put_arg(call, i, d, w);
}

int
fn_text_any_cat(struct func_call *call, const struct datum *args, struct datum *out)
{
    struct writer w;

    wr_init(&w, TEXT_SIZE_MAX);
    put_as_text(call, 0, &args[0], &w);
    put_as_text(call, 1, &args[1], &w);
    return text_from_writer(call, &w, out);
}

int
fn_concat(struct func_call *call, const struct datum *args, struct datum *out)
{
    struct writer w;

    wr_init(&w, TEXT_SIZE_MAX);
    for (int32_t i = 0; i < call->arg_count; i++) {
        if (!args[i].is_null)
            put_arg(call, i, &args[i], &w);
    }
    return text_from_writer(call, &w, out);
}

int
fn_concat_ws(struct func_call *call, const struct datum *args, struct datum *out)
{
    struct writer w;
    bool first = true;

    if (args[0].is_null) {
        *out = datum_null();
        return 0;
    }
    wr_init(&w, TEXT_SIZE_MAX);
    for (int32_t i = 1; i < call->arg_count; i++) {
        if (args[i].is_null)
            continue;
        if (!first)
            wr_bytes(&w, args[0].p, args[0].size);
        first = false;
        put_arg(call, i, &args[i], &w);
    }
    return text_from_writer(call, &w, out);
}

/* ---- quoting ------------------------------------------------------------------------------- */

int
fn_quote_ident(struct func_call *call, const struct datum *args, struct datum *out)
{
    struct writer w;

    wr_init(&w, TEXT_SIZE_MAX);
    ident_put(&w, datum_view(&args[0]));
    return text_from_writer(call, &w, out);
}

/* The text form of an argument of any type, in the arena. */
static int
arg_text(struct func_call *call, int32_t i, const struct datum *d, struct datum *out)
{
    struct writer w;

    wr_init(&w, TEXT_SIZE_MAX);
    if (call->func->fn == fn_format)
        put_arg(call, i, d, &w);
    else
        put_as_text(call, i, d, &w);
    return text_from_writer(call, &w, out);
}

int
fn_quote_literal(struct func_call *call, const struct datum *args, struct datum *out)
{
    struct datum text;
    struct writer w;
    int rc = arg_text(call, 0, &args[0], &text);

    if (rc != 0)
        return rc;
    wr_init(&w, TEXT_SIZE_MAX);
    literal_put(&w, datum_view(&text));
    return text_from_writer(call, &w, out);
}

int
fn_quote_nullable(struct func_call *call, const struct datum *args, struct datum *out)
{
    if (args[0].is_null) {
        *out = datum_slice(slice_str("NULL"));
        return 0;
    }
    return fn_quote_literal(call, args, out);
}

/* ---- format() ------------------------------------------------------------------------------ */

struct format_spec {
    int64_t position; /* 0: the next */
    int64_t width;
    bool is_left;
    uint8_t kind;
};

static int
parse_spec(const uint8_t **at, const uint8_t *end, struct format_spec *s)
{
    const uint8_t *p = *at, *back = p;
    int64_t v;

    *s = (struct format_spec){ 0 };
    if (scan_digits(&p, end, 9, &v) > 0 && p < end && *p == '$') {
        if (v == 0)
            return DIAG(ERR_INVALID_PARAMETER_VALUE,
                        "format specifies argument 0, but arguments are numbered from 1");
        s->position = v;
        p++;
    } else {
        p = back;
    }
    if (p < end && *p == '-') {
        s->is_left = true;
        p++;
    }
    if (p < end && *p == '*')
        return DIAG(ERR_NOT_SUPPORTED, "a width taken from the arguments of format() is not "
                                       "supported");
    scan_digits(&p, end, 9, &s->width);
    if (p == end) {
        int rc = DIAG(ERR_INVALID_PARAMETER_VALUE, "unterminated format() type specifier");
        diag_hint("For a single \"%%\" use \"%%%%\".");
        return rc;
    }
    s->kind = *p++;
    *at = p;
    return 0;
}

static int
put_formatted(struct func_call *call, const struct format_spec *s, int32_t i, const struct datum *d,
              struct writer *w)
{
    struct datum text = datum_bytes(NULL, 0);
    struct writer one;
    int64_t pad;
    int rc = 0;

    if (d->is_null && s->kind == 'I')
        return DIAG(ERR_INVALID_PARAMETER_VALUE,
                    "null values cannot be formatted as an SQL identifier");
    if (!d->is_null)
        rc = arg_text(call, i, d, &text);
    if (rc != 0)
        return rc;
    wr_init(&one, TEXT_SIZE_MAX);
    if (s->kind == 'I')
        ident_put(&one, datum_view(&text));
    else if (s->kind == 'L' && d->is_null)
        wr_str(&one, "NULL");
    else if (s->kind == 'L')
        literal_put(&one, datum_view(&text));
    else
        wr_bytes(&one, text.p, text.size);
    pad = s->width - (int64_t)chars_count(wr_view(&one));
    for (int64_t k = 0; !s->is_left && k < pad && !w->bad; k++)
        wr_u8(w, ' ');
    wr_slice(w, wr_view(&one));
    for (int64_t k = 0; s->is_left && k < pad && !w->bad; k++)
        wr_u8(w, ' ');
    rc = wr_finish(&one);
    wr_fini(&one);
    return rc;
}

static int
format_all(struct func_call *call, const struct datum *args, struct writer *w)
{
    const uint8_t *p = args[0].p, *end = p + args[0].size;
    int64_t next = 1;

    while (p < end) {
        struct format_spec s;
        int rc;
        if (*p != '%') {
            wr_u8(w, *p++);
            continue;
        }
        p++;
        if (p < end && *p == '%') {
            wr_u8(w, *p++);
            continue;
        }
        rc = parse_spec(&p, end, &s);
        if (rc != 0)
            return rc;
        if (s.kind != 's' && s.kind != 'I' && s.kind != 'L') {
            rc = DIAG(ERR_INVALID_PARAMETER_VALUE, "unrecognized format() type specifier \"%.*s\"",
                      (int)chars_step(p - 1, end), (const char *)p - 1);
            diag_hint("For a single \"%%\" use \"%%%%\".");
            return rc;
        }
        if (s.position > 0)
            next = s.position;
        if (next >= call->arg_count)
            return DIAG(ERR_INVALID_PARAMETER_VALUE, "too few arguments for format()");
        rc = put_formatted(call, &s, (int32_t)next, &args[next], w);
        if (rc != 0)
            return rc;
        next++;
    }
    return 0;
}

int
fn_format(struct func_call *call, const struct datum *args, struct datum *out)
{
    struct writer w;
    int rc;

    *out = datum_null();
    if (args[0].is_null)
        return 0;
    wr_init(&w, TEXT_SIZE_MAX);
    rc = format_all(call, args, &w);
    if (rc == 0)
        return text_from_writer(call, &w, out);
    wr_fini(&w);
    return rc;
}

/* ---- hashes and encodings ------------------------------------------------------------------ */

static void
put_hex(uint8_t *to, const uint8_t *from, size_t size)
{
    static const char digit[] = "0123456789abcdef";

    for (size_t i = 0; i < size; i++) {
        *to++ = (uint8_t)digit[from[i] >> 4];
        *to++ = (uint8_t)digit[from[i] & 15];
    }
}

int
fn_md5(struct func_call *call, const struct datum *args, struct datum *out)
{
    uint8_t digest[EVP_MAX_MD_SIZE], *p = arena_alloc(call->arena, 32);
    unsigned size = 0;

    if (EVP_Digest(args[0].p, args[0].size, digest, &size, EVP_md5(), NULL) != 1 || size != 16)
        return DIAG(ERR_INTERNAL, "could not compute MD5 hash: unsupported");
    put_hex(p, digest, 16);
    *out = datum_bytes(p, 32);
    return 0;
}

int
fn_sha256(struct func_call *call, const struct datum *args, struct datum *out)
{
    uint8_t *p = arena_alloc(call->arena, EVP_MAX_MD_SIZE);
    unsigned size = 0;

    if (EVP_Digest(args[0].p, args[0].size, p, &size, EVP_sha256(), NULL) != 1)
        return DIAG(ERR_INTERNAL, "could not compute SHA256 hash");
    *out = datum_bytes(p, size);
    return 0;
}

static int
encode_base64(struct func_call *call, const struct datum *d, struct datum *out)
{
    static const char digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    struct writer w;
    int column = 0;

    wr_init(&w, TEXT_SIZE_MAX);
    for (uint32_t i = 0; i < d->size; i += 3) {
        uint32_t left = d->size - i;
        uint32_t v = (uint32_t)d->p[i] << 16 | (left > 1 ? (uint32_t)d->p[i + 1] << 8 : 0) |
                     (left > 2 ? d->p[i + 2] : 0);
        wr_u8(&w, (uint8_t)digit[v >> 18]);
        wr_u8(&w, (uint8_t)digit[v >> 12 & 63]);
        wr_u8(&w, left > 1 ? (uint8_t)digit[v >> 6 & 63] : '=');
        wr_u8(&w, left > 2 ? (uint8_t)digit[v & 63] : '=');
        column += 4;
        if (column == 76) {
            wr_u8(&w, '\n');
            column = 0;
        }
    }
    return text_from_writer(call, &w, out);
}

static int
unknown_encoding(struct slice name)
{
    return DIAG(ERR_INVALID_PARAMETER_VALUE, "unrecognized encoding: \"%.*s\"", SLICE_ARGS(name));
}

/* Only what is no text by itself: zeros, bytes above ASCII, the backslash. */
static void
put_escaped(struct writer *w, const struct datum *d)
{
    for (uint32_t i = 0; i < d->size; i++) {
        uint8_t c = d->p[i];
        if (c == 0 || c >= 0x80) {
            wr_u8(w, '\\');
            wr_u8(w, (uint8_t)('0' + (c >> 6)));
            wr_u8(w, (uint8_t)('0' + (c >> 3 & 7)));
            c = (uint8_t)('0' + (c & 7));
        } else if (c == '\\') {
            wr_u8(w, '\\');
        }
        wr_u8(w, c);
    }
}

int
fn_encode(struct func_call *call, const struct datum *args, struct datum *out)
{
    struct slice name = datum_view(&args[1]);
    struct writer w;

    if (slice_eq_nocase(name, "base64"))
        return encode_base64(call, &args[0], out);
    if (!slice_eq_nocase(name, "hex") && !slice_eq_nocase(name, "escape"))
        return unknown_encoding(name);
    wr_init(&w, TEXT_SIZE_MAX);
    if (slice_eq_nocase(name, "hex")) {
        uint8_t *p = wr_reserve(&w, 2 * (size_t)args[0].size);
        if (p != NULL)
            put_hex(p, args[0].p, args[0].size);
    } else {
        put_escaped(&w, &args[0]);
    }
    return text_from_writer(call, &w, out);
}

static int
base64_value(uint8_t c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (ascii_is_digit(c))
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

static int
decode_base64(struct func_call *call, const struct datum *d, struct datum *out)
{
    uint8_t *p = text_room(call, (size_t)d->size * 3 / 4 + 3);
    uint32_t v = 0;
    size_t n = 0;
    int have = 0, pads = 0;

    if (p == NULL)
        return diag_last()->code;
    for (uint32_t i = 0; i < d->size; i++) {
        uint8_t c = d->p[i];
        int x = base64_value(c);
        if (ascii_is_space(c))
            continue;
        if (c == '=' && have + pads >= 2 && pads < 2 && have + pads < 4) {
            pads++;
            continue;
        }
        if (c == '=')
            return DIAG(ERR_INVALID_PARAMETER_VALUE,
                        "unexpected \"=\" while decoding base64 sequence");
        if (x < 0 || pads > 0)
            return DIAG(ERR_INVALID_PARAMETER_VALUE,
                        "invalid symbol \"%.*s\" found while decoding base64 sequence",
                        (int)chars_step(d->p + i, d->p + d->size), (const char *)d->p + i);
        v = v << 6 | (uint32_t)x;
        if (++have == 4) {
            p[n++] = (uint8_t)(v >> 16);
            p[n++] = (uint8_t)(v >> 8);
            p[n++] = (uint8_t)v;
            have = 0;
            v = 0;
        }
    }
    if (have + pads != 0 && have + pads != 4)
        return DIAG(ERR_INVALID_PARAMETER_VALUE, "invalid base64 end sequence");
    if (have == 3)
        p[n++] = (uint8_t)(v >> 10), p[n++] = (uint8_t)(v >> 2);
    else if (have == 2)
        p[n++] = (uint8_t)(v >> 4);
    *out = datum_bytes(p, n);
    return 0;
}

int
fn_decode(struct func_call *call, const struct datum *args, struct datum *out)
{
    struct slice name = datum_view(&args[1]);
    struct slice text = datum_view(&args[0]);

    if (slice_eq_nocase(name, "base64"))
        return decode_base64(call, &args[0], out);
    if (slice_eq_nocase(name, "hex")) {
        uint8_t *p = arena_alloc(call->arena, text.size + 2);
        p[0] = '\\';
        p[1] = 'x';
        if (text.size > 0)
            memcpy(p + 2, text.data, text.size);
        return type_in(TYPE_BYTEA, call->env, call->arena, slice(p, text.size + 2), -1, out);
    }
    if (slice_eq_nocase(name, "escape"))
        return type_in(TYPE_BYTEA, call->env, call->arena, text, -1, out);
    return unknown_encoding(name);
}

/* ---- casts --------------------------------------------------------------------------------- */

int
fn_bpchar_to_text(struct func_call *call, const struct datum *args, struct datum *out)
{
    (void)call;
    *out = datum_bytes(args[0].p, bpchar_size(&args[0]));
    return 0;
}

int
fn_text_to_name(struct func_call *call, const struct datum *args, struct datum *out)
{
    (void)call;
    *out = datum_bytes(args[0].p, chars_clip(datum_view(&args[0]), NAME_SIZE_MAX));
    return 0;
}

int
fn_bpchar_to_name(struct func_call *call, const struct datum *args, struct datum *out)
{
    struct datum text = datum_bytes(args[0].p, bpchar_size(&args[0]));

    return fn_text_to_name(call, &text, out);
}

int
fn_char_to_text(struct func_call *call, const struct datum *args, struct datum *out)
{
    struct writer w;

    wr_init(&w, 16);
    type_out(TYPE_CHAR, call->env, &args[0], &w);
    return text_from_writer(call, &w, out);
}

int
fn_text_to_char(struct func_call *call, const struct datum *args, struct datum *out)
{
    return type_in(TYPE_CHAR, call->env, call->arena, datum_view(&args[0]), -1, out);
}

int
fn_text_to_regclass(struct func_call *call, const struct datum *args, struct datum *out)
{
    return type_in(TYPE_REGCLASS, call->env, call->arena, datum_view(&args[0]), -1, out);
}
