/* Text kernels: length, case, pieces, padding. Those of bytea share what they can: characters are
 * then bytes.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/types/func_int.h"

uint8_t *
text_room(struct func_call *call, size_t size)
{
    if (size > TEXT_SIZE_MAX) {
        (void)DIAG(ERR_LIMIT, "requested length too large");
        return NULL;
    }
    return arena_try_alloc(call->arena, size + 1);
}

int
text_from_writer(struct func_call *call, struct writer *w, struct datum *out)
{
    int rc = wr_finish(w);
    uint8_t *p;

    if (rc == 0) {
        p = text_room(call, w->size);
        if (p == NULL)
            rc = diag_last()->code;
        else if (w->size > 0)
            memcpy(p, w->data, w->size);
        *out = datum_bytes(p, w->size);
    }
    wr_fini(w);
    return rc;
}

static bool
is_bytea(const struct func_call *call)
{
    return call->func->args[0] == TYPE_BYTEA;
}

static size_t
char_count(const struct func_call *call, const struct datum *d)
{
    return is_bytea(call) ? d->size : chars_count(datum_view(d));
}

static size_t
char_prefix(const struct func_call *call, struct slice s, size_t chars)
{
    if (is_bytea(call))
        return chars < s.size ? chars : s.size;
    return chars_prefix(s, chars);
}

int
fn_text_length(struct func_call *call, const struct datum *args, struct datum *out)
{
    *out = datum_int((int64_t)char_count(call, &args[0]));
    return 0;
}

int
fn_bpchar_length(struct func_call *call, const struct datum *args, struct datum *out)
{
    (void)call;
    *out = datum_int((int64_t)chars_count(slice(args[0].p, bpchar_size(&args[0]))));
    return 0;
}

int
fn_octet_length(struct func_call *call, const struct datum *args, struct datum *out)
{
    (void)call;
    *out = datum_int(args[0].size);
    return 0;
}

int
fn_bit_length(struct func_call *call, const struct datum *args, struct datum *out)
{
    (void)call;
    *out = datum_int((int64_t)args[0].size * 8);
    return 0;
}

/* ---- case: ASCII letters only, as in the C locale ------------------------------------------ */

enum { CASE_LOWER, CASE_UPPER, CASE_INITCAP };

static int
change_case(struct func_call *call, const struct datum *in, int how, struct datum *out)
{
    uint8_t *p = text_room(call, in->size);
    bool in_word = false;

    if (p == NULL)
        return diag_last()->code;
    for (uint32_t i = 0; i < in->size; i++) {
        uint8_t c = in->p[i];
        if (how == CASE_UPPER || (how == CASE_INITCAP && !in_word))
            p[i] = ascii_upper(c);
        else
            p[i] = ascii_lower(c);
        in_word = ascii_is_alpha(c) || ascii_is_digit(c);
    }
    *out = datum_bytes(p, in->size);
    return 0;
}

int
fn_lower(struct func_call *call, const struct datum *args, struct datum *out)
{
    return change_case(call, &args[0], CASE_LOWER, out);
}

int
fn_upper(struct func_call *call, const struct datum *args, struct datum *out)
{
    return change_case(call, &args[0], CASE_UPPER, out);
}

int
fn_initcap(struct func_call *call, const struct datum *args, struct datum *out)
{
    return change_case(call, &args[0], CASE_INITCAP, out);
}

/* ---- pieces -------------------------------------------------------------------------------- */

/* The characters [from, from + count) of s, from 1; count < 0: to the end. */
static int
take_range(struct func_call *call, const struct datum *s, int64_t from, bool has_count,
           int64_t count, struct datum *out)
{
    struct slice rest = datum_view(s);
    int64_t end = from + count;
    size_t skip;

    if (has_count && count < 0)
        return DIAG(ERR_SUBSTRING, "negative substring length not allowed");
    if (from < 1)
        from = 1;
    if (has_count && end <= from) {
        *out = datum_bytes(s->p, 0);
        return 0;
    }
    skip = char_prefix(call, rest, (size_t)(from - 1));
    rest = slice(rest.data + skip, rest.size - skip);
    if (has_count)
        rest.size = char_prefix(call, rest, (size_t)(end - from));
    *out = datum_slice(rest);
    return 0;
}

int
fn_substring(struct func_call *call, const struct datum *args, struct datum *out)
{
    bool has_count = call->arg_count > 2;

    return take_range(call, &args[0], args[1].i, has_count, has_count ? args[2].i : 0, out);
}

int
fn_overlay(struct func_call *call, const struct datum *args, struct datum *out)
{
    int64_t from = args[2].i;
    int64_t count = call->arg_count > 3 ? args[3].i : (int64_t)char_count(call, &args[1]);
    struct datum before, after;
    uint8_t *p;
    int rc;

    if (from <= 0)
        return DIAG(ERR_SUBSTRING, "negative substring length not allowed");
    if (from + count > INT32_MAX)
        return DIAG(ERR_NUMERIC_RANGE, "integer out of range");
    rc = take_range(call, &args[0], 1, true, from - 1, &before);
    if (rc == 0)
        rc = take_range(call, &args[0], from + count, false, 0, &after);
    if (rc != 0)
        return rc;
    p = text_room(call, (size_t)before.size + args[1].size + after.size);
    if (p == NULL)
        return diag_last()->code;
    *out = datum_bytes(p, (size_t)before.size + args[1].size + after.size);
    if (before.size > 0)
        memcpy(p, before.p, before.size);
    if (args[1].size > 0)
        memcpy(p + before.size, args[1].p, args[1].size);
    if (after.size > 0)
        memcpy(p + before.size + args[1].size, after.p, after.size);
    return 0;
}

static const uint8_t *
find_bytes(struct slice s, struct slice what)
{
    if (what.size == 0)
        return s.data;
    return s.size < what.size ? NULL : memmem(s.data, s.size, what.data, what.size);
}

int
fn_strpos(struct func_call *call, const struct datum *args, struct datum *out)
{
    const uint8_t *at = NULL;

    if (args[1].size <= args[0].size)
        at = args[1].size == 0 ? args[0].p : find_bytes(datum_view(&args[0]), datum_view(&args[1]));
    if (at == NULL && args[1].size > 0) {
        *out = datum_int(0);
    } else if (args[1].size == 0 || is_bytea(call)) {
        *out = datum_int(at == NULL ? 1 : at - args[0].p + 1);
    } else {
        *out = datum_int((int64_t)chars_count(slice(args[0].p, (size_t)(at - args[0].p))) + 1);
    }
    return 0;
}

int
fn_left(struct func_call *call, const struct datum *args, struct datum *out)
{
    int64_t n = args[1].i;

    if (n < 0)
        n += (int64_t)char_count(call, &args[0]);
    *out = args[0];
    out->size = n <= 0 ? 0 : (uint32_t)char_prefix(call, datum_view(&args[0]), (size_t)n);
    return 0;
}

int
fn_right(struct func_call *call, const struct datum *args, struct datum *out)
{
    int64_t n = args[1].i, count = (int64_t)char_count(call, &args[0]), skip;
    size_t bytes;

    skip = n < 0 ? -n : n >= count ? 0 : count - n;
    bytes = char_prefix(call, datum_view(&args[0]), (size_t)skip);
    *out = datum_bytes(args[0].p + bytes, args[0].size - bytes);
    return 0;
}

/* ---- trimming ------------------------------------------------------------------------------ */

static bool
in_set(const struct func_call *call, const uint8_t *p, size_t n, struct slice set)
{
    const uint8_t *at = set.data, *end = set.data + set.size;

    while (at < end) {
        size_t step = is_bytea(call) ? 1 : chars_step(at, end);
        if (step == n && memcmp(at, p, n) == 0)
            return true;
        at += step;
    }
    return false;
}

static int
trim(struct func_call *call, const struct datum *args, bool front, bool back, struct datum *out)
{
    struct slice set = call->arg_count > 1 ? datum_view(&args[1]) : slice_str(" ");
    const uint8_t *p = args[0].p, *end = p + args[0].size;

    while (front && p < end) {
        size_t n = is_bytea(call) ? 1 : chars_step(p, end);
        if (!in_set(call, p, n, set))
            break;
        p += n;
    }
    while (back && p < end) {
        const uint8_t *last = end - 1;
        while (!is_bytea(call) && last > p && (*last & 0xc0) == 0x80)
            last--;
        if (!in_set(call, last, (size_t)(end - last), set))
            break;
        end = last;
    }
    *out = datum_bytes(p, (size_t)(end - p));
    return 0;
}

int
fn_trim_both(struct func_call *call, const struct datum *args, struct datum *out)
{
    return trim(call, args, true, true, out);
}

int
fn_trim_left(struct func_call *call, const struct datum *args, struct datum *out)
{
    return trim(call, args, true, false, out);
}

int
fn_trim_right(struct func_call *call, const struct datum *args, struct datum *out)
{
    return trim(call, args, false, true, out);
}

/* ---- joining, replacing, padding ----------------------------------------------------------- */

int
fn_textcat(struct func_call *call, const struct datum *args, struct datum *out)
{
    size_t size = (size_t)args[0].size + args[1].size;
    uint8_t *p = text_room(call, size);

    if (p == NULL)
        return diag_last()->code;
    if (args[0].size > 0)
        memcpy(p, args[0].p, args[0].size);
    if (args[1].size > 0)
        memcpy(p + args[0].size, args[1].p, args[1].size);
    *out = datum_bytes(p, size);
    return 0;
}

int
fn_byteacat(struct func_call *call, const struct datum *args, struct datum *out)
{
    return fn_textcat(call, args, out);
}

int
fn_replace(struct func_call *call, const struct datum *args, struct datum *out)
{
    struct slice rest = datum_view(&args[0]), what = datum_view(&args[1]);
    const uint8_t *at;
    struct writer w;

    *out = args[0];
    if (what.size == 0 || find_bytes(rest, what) == NULL)
        return 0;
    wr_init(&w, TEXT_SIZE_MAX);
    while ((at = find_bytes(rest, what)) != NULL && rest.size > 0) {
        wr_bytes(&w, rest.data, (size_t)(at - rest.data));
        wr_bytes(&w, args[2].p, args[2].size);
        rest.size -= (size_t)(at - rest.data) + what.size;
        rest.data = at + what.size;
    }
    wr_slice(&w, rest);
    return text_from_writer(call, &w, out);
}

/* `count` characters from `fill`, over and over, take this many bytes; count is below 2^31. */
static size_t
fill_size(struct slice fill, size_t count)
{
    size_t chars = chars_count(fill);

    return count / chars * fill.size + chars_prefix(fill, count % chars);
}

static void
put_fill(uint8_t *to, struct slice fill, size_t size)
{
    for (size_t at = 0; at < size; at += fill.size)
        memcpy(to + at, fill.data, size - at < fill.size ? size - at : fill.size);
}

static int
pad(struct func_call *call, const struct datum *args, bool in_front, struct datum *out)
{
    struct slice fill = call->arg_count > 2 ? datum_view(&args[2]) : slice_str(" ");
    int64_t want = args[1].i < 0 ? 0 : args[1].i, have = (int64_t)chars_count(datum_view(&args[0]));
    size_t size, extra;
    uint8_t *p;

    *out = args[0];
    if (have >= want || fill.size == 0) {
        out->size = (uint32_t)chars_prefix(datum_view(&args[0]), (size_t)want);
        return 0;
    }
    extra = fill_size(fill, (size_t)(want - have));
    size = extra + args[0].size;
    p = text_room(call, size);
    if (p == NULL)
        return diag_last()->code;
    *out = datum_bytes(p, size);
    put_fill(in_front ? p : p + args[0].size, fill, extra);
    if (args[0].size > 0)
        memcpy(in_front ? p + extra : p, args[0].p, args[0].size);
    return 0;
}

int
fn_lpad(struct func_call *call, const struct datum *args, struct datum *out)
{
    return pad(call, args, true, out);
}

int
fn_rpad(struct func_call *call, const struct datum *args, struct datum *out)
{
    return pad(call, args, false, out);
}

int
fn_repeat(struct func_call *call, const struct datum *args, struct datum *out)
{
    size_t count = args[1].i < 0 ? 0 : (size_t)args[1].i, size;
    uint8_t *p;

    if (!mul_ok(count, (size_t)args[0].size, &size) || size > TEXT_SIZE_MAX)
        return DIAG(ERR_LIMIT, "requested length too large");
    p = text_room(call, size);
    if (p == NULL)
        return diag_last()->code;
    for (size_t at = 0; at < size; at += args[0].size)
        memcpy(p + at, args[0].p, args[0].size);
    *out = datum_bytes(p, size);
    return 0;
}

int
fn_reverse(struct func_call *call, const struct datum *args, struct datum *out)
{
    const uint8_t *p = args[0].p, *end = p + args[0].size;
    uint8_t *to = text_room(call, args[0].size);

    if (to == NULL)
        return diag_last()->code;
    *out = datum_bytes(to, args[0].size);
    to += args[0].size;
    while (p < end) {
        size_t n = chars_step(p, end);
        to -= n;
        memcpy(to, p, n);
        p += n;
    }
    return 0;
}

int
fn_split_part(struct func_call *call, const struct datum *args, struct datum *out)
{
    struct slice rest = datum_view(&args[0]), sep = datum_view(&args[1]);
    int64_t want = args[2].i, parts = 1;
    const uint8_t *at;

    (void)call;
    if (want == 0)
        return DIAG(ERR_INVALID_PARAMETER_VALUE, "field position must not be zero");
    *out = datum_bytes(args[0].p, 0);
    if (rest.size == 0)
        return 0;
    if (sep.size == 0) {
        if (want == 1 || want == -1)
            *out = args[0];
        return 0;
    }
    if (want < 0) {
        for (struct slice s = rest; (at = find_bytes(s, sep)) != NULL; parts++) {
            s.size -= (size_t)(at - s.data) + sep.size;
            s.data = at + sep.size;
        }
        want += parts + 1;
        if (want <= 0)
            return 0;
    }
    while ((at = find_bytes(rest, sep)) != NULL && --want > 0) {
        rest.size -= (size_t)(at - rest.data) + sep.size;
        rest.data = at + sep.size;
    }
    if (at != NULL)
        *out = datum_bytes(rest.data, (size_t)(at - rest.data));
    else if (want == 1)
        *out = datum_slice(rest);
    return 0;
}

int
fn_starts_with(struct func_call *call, const struct datum *args, struct datum *out)
{
    (void)call;
    *out = datum_bool(args[1].size <= args[0].size &&
                      (args[1].size == 0 || memcmp(args[0].p, args[1].p, args[1].size) == 0));
    return 0;
}

int
fn_translate(struct func_call *call, const struct datum *args, struct datum *out)
{
    const uint8_t *p = args[0].p, *end = p + args[0].size;
    struct writer w;

    wr_init(&w, TEXT_SIZE_MAX);
    while (p < end) {
        size_t n = chars_step(p, end);
        const uint8_t *from = args[1].p, *from_end = from + args[1].size;
        const uint8_t *to = args[2].p, *to_end = to + args[2].size;
        bool found = false;
        while (from < from_end && !found) {
            size_t m = chars_step(from, from_end);
            found = m == n && memcmp(from, p, n) == 0;
            if (found && to < to_end)
                wr_bytes(&w, to, chars_step(to, to_end));
            from += m;
            if (to < to_end)
                to += chars_step(to, to_end);
        }
        if (!found)
            wr_bytes(&w, p, n);
        p += n;
    }
    return text_from_writer(call, &w, out);
}

int
fn_chr(struct func_call *call, const struct datum *args, struct datum *out)
{
    int64_t c = args[0].i;
    uint8_t *p;

    if (c == 0)
        return DIAG(ERR_LIMIT, "null character not permitted");
    if (c < 0)
        return DIAG(ERR_INVALID_PARAMETER_VALUE, "character number must be positive");
    if (c > 0x10ffff)
        return DIAG(ERR_LIMIT, "requested character too large for encoding: %u", (unsigned)c);
    if (c >= 0xd800 && c < 0xe000)
        return DIAG(ERR_LIMIT, "requested character not valid for encoding: %u", (unsigned)c);
    p = arena_alloc(call->arena, 4);
    *out = datum_bytes(p, chars_encode((uint32_t)c, p));
    return 0;
}

int
fn_ascii(struct func_call *call, const struct datum *args, struct datum *out)
{
    size_t n;

    (void)call;
    *out = datum_int(args[0].size == 0 ? 0 : chars_decode(args[0].p, args[0].p + args[0].size, &n));
    return 0;
}
