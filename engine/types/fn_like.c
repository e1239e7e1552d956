/* LIKE and ILIKE. On a mismatch only the last % is tried again, one character further: so the work
 * is at most text times pattern, never more.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/types/func_int.h"

struct like {
    bool no_case, is_bytes;
};

static inline uint8_t
fold(const struct like *l, uint8_t c)
{
    return l->no_case ? ascii_lower(c) : c;
}

static int
bad_escape(void)
{
    return DIAG(ERR_INVALID_ESCAPE, "LIKE pattern must not end with escape character");
}

/* 1: matches, 0: does not, < 0: error. */
static int
like_match(const struct like *l, struct slice text, struct slice pattern)
{
    const uint8_t *t = text.data, *te = t + text.size, *p = pattern.data, *pe = p + pattern.size;
    const uint8_t *retry_t = NULL, *retry_p = NULL;

    for (;;) {
        if (p < pe && *p == '%') {
            while (p < pe && *p == '%')
                p++;
            if (p == pe)
                return 1;
            retry_p = p;
            retry_t = t;
            continue;
        }
        if (t < te && p < pe) {
            const uint8_t *q = p;
            if (*q == '_') {
                t += l->is_bytes ? 1 : chars_step(t, te);
                p++;
                continue;
            }
            if (*q == '\\' && ++q == pe)
                return bad_escape();
            if (fold(l, *q) == fold(l, *t)) {
                p = q + 1;
                t++;
                continue;
            }
        } else if (t == te && p == pe) {
            return 1;
        }
        if (retry_p == NULL || retry_t == te)
            break;
        retry_t += l->is_bytes ? 1 : chars_step(retry_t, te);
        t = retry_t;
        p = retry_p;
    }
    return 0;
}

static int
like_apply(struct func_call *call, const struct datum *args, bool no_case, bool negate,
           struct datum *out)
{
    struct like l = { .no_case = no_case, .is_bytes = call->func->args[0] == TYPE_BYTEA };
    int rc = like_match(&l, datum_view(&args[0]), datum_view(&args[1]));

    if (rc < 0)
        return rc;
    *out = datum_bool((rc == 1) != negate);
    return 0;
}

int
fn_like(struct func_call *call, const struct datum *args, struct datum *out)
{
    return like_apply(call, args, false, false, out);
}

int
fn_not_like(struct func_call *call, const struct datum *args, struct datum *out)
{
    return like_apply(call, args, false, true, out);
}

int
fn_ilike(struct func_call *call, const struct datum *args, struct datum *out)
{
    return like_apply(call, args, true, false, out);
}

int
fn_not_ilike(struct func_call *call, const struct datum *args, struct datum *out)
{
    return like_apply(call, args, true, true, out);
}

static int
like_batch(struct func_call *call, const struct vec *const *args, bool negate, const uint16_t *sel,
           uint32_t count, struct vec *out)
{
    struct like l = { .is_bytes = call->func->args[0] == TYPE_BYTEA };
    const uint32_t sx = !args[0]->is_const, sy = !args[1]->is_const;

    for (uint32_t k = 0; k < count; k++) {
        uint32_t row = sel != NULL ? sel[k] : k;
        bool is_valid = !vec_is_null(args[0], row) && !vec_is_null(args[1], row);
        out->i[row] = 0;
        vec_set_valid(out, row, is_valid);
        if (is_valid) {
            struct bytes_ref t = args[0]->b[row * sx], p = args[1]->b[row * sy];
            int rc = like_match(&l, slice(t.p, t.size), slice(p.p, p.size));
            if (rc < 0)
                return rc;
            out->i[row] = (rc == 1) != negate;
        }
    }
    return 0;
}

int
b_like(struct func_call *call, const struct vec *const *args, const uint16_t *sel, uint32_t count,
       struct vec *out)
{
    return like_batch(call, args, false, sel, count, out);
}

int
b_not_like(struct func_call *call, const struct vec *const *args, const uint16_t *sel,
           uint32_t count, struct vec *out)
{
    return like_batch(call, args, true, sel, count, out);
}

/* LIKE … ESCAPE: the pattern with its escape character made a backslash. */
int
fn_like_escape(struct func_call *call, const struct datum *args, struct datum *out)
{
    const uint8_t *p = args[0].p, *end = p + args[0].size;
    struct slice escape = datum_view(&args[1]);
    bool after = false;
    struct writer w;

    if (escape.size > 0 && chars_step(escape.data, escape.data + escape.size) != escape.size) {
        int rc = DIAG(ERR_INVALID_ESCAPE, "invalid escape string");
        diag_hint("Escape string must be empty or one character.");
        return rc;
    }
    wr_init(&w, TEXT_SIZE_MAX);
    while (p < end) {
        size_t n = chars_step(p, end);
        bool is_escape = n == escape.size && memcmp(p, escape.data, n) == 0;
        if (is_escape && !after) {
            wr_u8(&w, '\\');
            after = true;
        } else {
            if (*p == '\\' && !after)
                wr_u8(&w, '\\');
            wr_bytes(&w, p, n);
            after = false;
        }
        p += n;
    }
    return text_from_writer(call, &w, out);
}
