/* Key ranges: what a scan reads, from the values of a plan's range.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "engine/sql/exec_int.h"

/* What a value means for a column whose type is narrower: an int8 in an int4 column may lie outside
 * of all that the column can hold. */
enum fit { FIT_OK, FIT_NULL, FIT_BELOW, FIT_ABOVE };

static enum fit
fit_value(oid_t column, const struct datum *d)
{
    int64_t lo, hi;

    if (d->is_null)
        return FIT_NULL;
    if (column == TYPE_INT4)
        lo = INT32_MIN, hi = INT32_MAX;
    else if (column == TYPE_INT2)
        lo = INT16_MIN, hi = INT16_MAX;
    else
        return FIT_OK;
    return d->i < lo ? FIT_BELOW : d->i > hi ? FIT_ABOVE : FIT_OK;
}

static struct slice
keep(struct arena *a, const struct writer *w)
{
    return slice(arena_memdup(a, w->size != 0 ? (const void *)w->data : "", w->size), w->size);
}

/* The end of all keys that begin with these bytes. */
static struct slice
prefix_end(struct arena *a, struct slice prefix)
{
    uint8_t *copy = arena_memdup(a, prefix.data, prefix.size);
    size_t size = prefix.size == 0 ? 0 : key_prefix_end(copy, prefix.size);

    return size == 0 ? slice(NULL, 0) : slice(copy, size);
}

static void
add_range(struct key_range *out, uint32_t *count, struct slice lo, struct slice hi)
{
    if (hi.data != NULL && slice_cmp(lo, hi) >= 0)
        return;
    out[(*count)++] = (struct key_range){ lo, hi };
}

/* All keys that begin with `w` and one more part. */
static void
add_point(struct arena *a, struct writer *w, const struct key_part *part, const struct datum *d,
          bool last, struct key_range *out, uint32_t *count)
{
    size_t before = w->size;
    struct slice lo;

    key_put(w, part, d);
    lo = keep(a, w);
    wr_shrink(w, before);
    /* With KEY_FINAL the part ends the key: exactly this one and no longer one. */
    if (last && (part->flags & KEY_FINAL) != 0) {
        uint8_t *hi = arena_alloc(a, lo.size + 1);

        memcpy(hi, lo.data, lo.size);
        hi[lo.size] = 0;
        add_range(out, count, lo, slice(hi, lo.size + 1));
        return;
    }
    add_range(out, count, lo, prefix_end(a, lo));
}

/* ---- IN ---------------------------------------------------------------------------------------
 */

static int
compare_ranges(const void *a, const void *b)
{
    return slice_cmp(((const struct key_range *)a)->lo, ((const struct key_range *)b)->lo);
}

static int
in_ranges(const struct eval *v, const struct plan_range *r, const struct key_part *part,
          struct writer *w, struct arena *a, struct key_range *out, uint32_t *count)
{
    uint32_t kept = 0;

    for (int32_t i = 0; i < r->in_count; i++) {
        struct datum d;
        int rc = eval_row(v, r->in[i], &d);

        if (rc != 0)
            return rc;
        if (fit_value(part->type, &d) == FIT_OK)
            add_point(a, w, part, &d, true, out, count);
    }
    qsort(out, *count, sizeof *out, compare_ranges);
    for (uint32_t i = 0; i < *count; i++)
        if (kept == 0 || !slice_eq(out[kept - 1].lo, out[i].lo))
            out[kept++] = out[i];
    *count = kept;
    return 0;
}

/* ---- bounds -----------------------------------------------------------------------------------
 */

struct bound {
    bool given, inclusive;
    enum fit fit;
    struct datum value;
};

static int
eval_bound(const struct eval *v, struct expr *e, bool inclusive, oid_t type, struct bound *b)
{
    int rc = 0;

    *b = (struct bound){ .given = e != NULL, .inclusive = inclusive };
    if (e != NULL) {
        rc = eval_row(v, e, &b->value);
        b->fit = fit_value(type, &b->value);
    }
    return rc;
}

/* In the order of keys: a descending column swaps what is low. Nulls lie outside of every bound. */
static void
bounded_range(struct arena *a, struct writer *w, const struct key_part *part, struct bound lo,
              struct bound hi, struct key_range *out, uint32_t *count)
{
    bool desc = (part->flags & KEY_DESC) != 0;
    struct slice prefix = keep(a, w), from = prefix, to = prefix_end(a, prefix);
    struct bound first = desc ? hi : lo, last = desc ? lo : hi;
    size_t before = w->size;

    if ((part->flags & KEY_NOT_NULL) == 0) { /* values have the marker 0x02 between the nulls' */
        wr_u8(w, 0x02);
        from = keep(a, w);
        to = prefix_end(a, from);
        wr_shrink(w, before);
    }
    if (first.given && first.fit == FIT_OK) {
        key_put(w, part, &first.value);
        from = keep(a, w);
        if (!first.inclusive)
            from = prefix_end(a, from);
        wr_shrink(w, before);
    }
    if (last.given && last.fit == FIT_OK) {
        key_put(w, part, &last.value);
        to = keep(a, w);
        if (last.inclusive)
            to = prefix_end(a, to);
        wr_shrink(w, before);
    }
    if (from.data != NULL)
        add_range(out, count, from, to);
}

/* A bound beyond what the column can hold takes all or nothing. */
static bool
bound_excludes_all(const struct bound *lo, const struct bound *hi)
{
    return (lo->given && (lo->fit == FIT_NULL || lo->fit == FIT_ABOVE)) ||
           (hi->given && (hi->fit == FIT_NULL || hi->fit == FIT_BELOW));
}

/* ---- all of it --------------------------------------------------------------------------------
 */

/* Puts the equal columns; *none: a value that no row can have. */
static int
put_equal(const struct eval *v, const struct plan_range *r, const struct key_part *parts,
          struct writer *w, bool *none)
{
    for (int32_t i = 0; i < r->equal_count; i++) {
        struct datum d;
        int rc = eval_row(v, r->equal[i], &d);

        if (rc != 0)
            return rc;
        if (fit_value(parts[i].type, &d) != FIT_OK) {
            *none = true;
            return 0;
        }
        key_put(w, &parts[i], &d);
    }
    return 0;
}

static int
next_column(const struct eval *v, const struct plan_range *r, const struct key_part *part,
            struct writer *w, struct arena *a, struct key_range *out, uint32_t *count)
{
    struct datum null = datum_null();
    struct bound lo, hi;
    int rc;

    if (r->in_count > 0)
        return in_ranges(v, r, part, w, a, out, count);
    if (r->is_null) {
        if ((part->flags & KEY_NOT_NULL) == 0)
            add_point(a, w, part, &null, false, out, count);
        return 0;
    }
    rc = eval_bound(v, r->low, r->low_inclusive, part->type, &lo);
    if (rc == 0)
        rc = eval_bound(v, r->high, r->high_inclusive, part->type, &hi);
    if (rc == 0 && !bound_excludes_all(&lo, &hi))
        bounded_range(a, w, part, lo, hi, out, count);
    return rc;
}

int
range_keys(const struct eval *v, const struct plan_range *r, const struct key_part *parts,
           uint32_t part_count, bool backward, struct arena *a, struct key_range **out,
           uint32_t *count)
{
    bool more = r->in_count > 0 || r->low != NULL || r->high != NULL || r->is_null;
    bool none = false;
    struct writer w;
    int rc;

    *count = 0;
    *out = ARENA_ARRAY(a, struct key_range, r->in_count + 1);
    wr_init(&w, 0);
    wr_u8(&w, 0); /* so that there is memory even for an empty key */
    wr_reset(&w);
    rc = put_equal(v, r, parts, &w, &none);
    if (rc == 0 && !none && more) {
        CHECK((uint32_t)r->equal_count < part_count);
        rc = next_column(v, r, &parts[r->equal_count], &w, a, *out, count);
    } else if (rc == 0 && !none) {
        struct slice lo = keep(a, &w);
        bool whole = (uint32_t)r->equal_count == part_count && part_count > 0 &&
                     (parts[part_count - 1].flags & KEY_FINAL) != 0;
        uint8_t *hi = arena_alloc(a, lo.size + 1);

        memcpy(hi, lo.data, lo.size);
        hi[lo.size] = 0;
        add_range(*out, count, lo, whole ? slice(hi, lo.size + 1) : prefix_end(a, lo));
    }
    for (uint32_t i = 0; backward && i < *count / 2; i++) {
        struct key_range swap = (*out)[i];

        (*out)[i] = (*out)[*count - 1 - i];
        (*out)[*count - 1 - i] = swap;
    }
    wr_fini(&w);
    return rc;
}
