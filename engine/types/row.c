/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/types/row.h"

#include "engine/types/numeric.h"
#include "engine/types/type_int.h"

enum { ROW_WIDE = 1 };

/* How a wanted column is got (row_pick.kind). The fixed kinds are one load each. */
enum {
    PICK_MISSING,
    PICK_KEY,
    PICK_U8,
    PICK_CHECKED, /* types whose bytes may hold what is no value: dates, times, bool */
    PICK_I16,
    PICK_I32,
    PICK_U32,
    PICK_I64, /* doubles too */
    PICK_F32,
    PICK_FIXED16,
    PICK_VAR,
};

static int
row_corrupt(void)
{
    return DIAG(ERR_CORRUPT, "damaged row");
}

static uint32_t
varint_size(uint32_t v)
{
    uint32_t n = 1;

    while (v >= 0x80) {
        v >>= 7;
        n++;
    }
    return n;
}

/* ---- layouts ------------------------------------------------------------------------------- */

void
row_layout_init(struct row_layout *l)
{
    for (uint32_t k = 0; k < l->key_count; k++) {
        if (l->key_columns[k] != ROW_KEY_HIDDEN) {
            struct row_column *c = &l->columns[l->key_columns[k]];
            CHECK(c->type == l->key_parts[k].type);
            c->place = key_is_lossy(c->type) ? ROW_COL_VALUE : ROW_COL_KEY;
        }
    }
    l->slot_count = l->fixed_size = l->var_count = 0;
    for (uint32_t i = 0; i < l->column_count; i++) {
        struct row_column *c = &l->columns[i];
        const struct type *t;
        if (c->place != ROW_COL_VALUE)
            continue;
        t = type_get(c->type);
        c->row_size = t->row_size;
        c->rep = t->rep;
        c->slot = (uint16_t)l->slot_count++;
        if (t->row_size > 0) {
            c->offset = l->fixed_size;
            l->fixed_size += t->row_size;
        } else {
            c->offset = l->var_count++;
        }
    }
    l->head_size = 1 + varint_size(l->version) + (l->slot_count + 7) / 8;
}

/* ---- encoding ------------------------------------------------------------------------------ */

static void
put_head(const struct row_layout *l, bool is_wide, uint8_t *p)
{
    uint32_t v = l->version;

    *p++ = is_wide ? ROW_WIDE : 0;
    for (; v >= 0x80; v >>= 7)
        *p++ = (uint8_t)(v | 0x80);
    *p = (uint8_t)v;
}

static inline void
put_fixed(const struct row_column *c, uint8_t *p, const struct datum *d)
{
    if (c->row_size == 4 && c->rep == REP_INT)
        store_u32(p, (uint32_t)d->i);
    else if (c->row_size == 8)
        store_u64(p, (uint64_t)d->i); /* the bits of a double too */
    else
        fixed_store(type_get(c->type), p, d);
}

int
row_encode(struct writer *w, const struct row_layout *l, const struct datum *values)
{
    size_t var_size = 0, end_size, size;
    uint8_t *row, *nulls, *fixed, *ends, *var;
    uint32_t end = 0;
    bool is_wide;

    for (uint32_t i = 0; l->var_count > 0 && i < l->column_count; i++) {
        const struct row_column *c = &l->columns[i];
        if (c->place == ROW_COL_VALUE && c->row_size == 0 && !values[i].is_null)
            var_size += values[i].size;
    }
    is_wide = var_size > UINT16_MAX;
    end_size = is_wide ? 4 : 2;
    size = l->head_size + l->fixed_size + l->var_count * end_size + var_size;
    if (size > ROW_SIZE_MAX)
        return DIAG(ERR_LIMIT, "row is too big: size %zu, maximum size %d", size, ROW_SIZE_MAX);
    row = wr_reserve(w, size);
    if (row == NULL)
        return wr_finish(w);
    memset(row, 0, l->head_size + l->fixed_size);
    put_head(l, is_wide, row);
    nulls = row + l->head_size - (l->slot_count + 7) / 8;
    fixed = row + l->head_size;
    ends = fixed + l->fixed_size;
    var = ends + l->var_count * end_size;
    for (uint32_t i = 0; i < l->column_count; i++) {
        const struct row_column *c = &l->columns[i];
        if (c->place != ROW_COL_VALUE)
            continue;
        if (values[i].is_null)
            nulls[c->slot >> 3] |= (uint8_t)(1 << (c->slot & 7));
        if (c->row_size > 0) {
            if (!values[i].is_null)
                put_fixed(c, fixed + c->offset, &values[i]);
            continue;
        }
        if (!values[i].is_null && values[i].size > 0) {
            memcpy(var + end, values[i].p, values[i].size);
            end += values[i].size;
        }
        if (is_wide)
            store_u32(ends + c->offset * 4, end);
        else
            store_u16(ends + c->offset * 2, (uint16_t)end);
    }
    return 0;
}

void
row_encode_key(struct writer *w, const struct row_layout *l, const struct datum *values)
{
    for (uint32_t k = 0; k < l->key_count; k++) {
        CHECK(l->key_columns[k] != ROW_KEY_HIDDEN);
        key_put(w, &l->key_parts[k], &values[l->key_columns[k]]);
    }
}

/* ---- decoding ------------------------------------------------------------------------------ */

int
row_version(struct slice value, uint32_t *version)
{
    struct reader r;
    uint64_t v;

    rd_init(&r, value.data, value.size);
    if ((rd_u8(&r) & ~ROW_WIDE) != 0)
        return row_corrupt();
    v = rd_varint(&r);
    if (!rd_ok(&r) || v == 0 || v > UINT32_MAX)
        return row_corrupt();
    *version = (uint32_t)v;
    return 0;
}

static uint8_t
pick_kind(const struct type *t)
{
    if (t->oid == TYPE_BOOL || t->category == 'D')
        return PICK_CHECKED;
    if (t->rep == REP_FLOAT)
        return t->row_size == 4 ? PICK_F32 : PICK_I64;
    switch (t->row_size) {
    case 0:
        return PICK_VAR;
    case 1:
        return PICK_U8;
    case 2:
        return PICK_I16;
    case 4:
        return t->oid == TYPE_INT4 || t->oid == TYPE_DATE ? PICK_I32 : PICK_U32;
    case 8:
        return PICK_I64;
    default:
        return PICK_FIXED16;
    }
}

static int
pick_column(struct row_pick *p, const struct row_layout *stored, const struct row_column *want)
{
    const struct type *t = type_get(want->type), *st;

    *p = (struct row_pick){
        .kind = PICK_MISSING, .rep = t->rep, .type = want->type, .column = want
    };
    for (uint32_t i = 0; i < stored->column_count; i++) {
        const struct row_column *c = &stored->columns[i];
        if (c->attnum != want->attnum || c->place == ROW_COL_DROPPED)
            continue;
        st = type_get(c->type);
        if (st->rep != t->rep || st->row_size != t->row_size)
            return DIAG(ERR_INTERNAL, "column %u changed its type without a rewrite", c->attnum);
        if (c->place == ROW_COL_KEY) {
            p->kind = PICK_KEY;
        } else {
            p->kind = pick_kind(st);
            p->slot = c->slot;
            p->offset = p->kind == PICK_VAR ? c->offset : stored->head_size + c->offset;
        }
    }
    return 0;
}

int
row_map_init(struct row_map *m, struct arena *a, const struct row_layout *stored,
             const struct row_layout *current, const uint16_t *wanted, uint32_t count)
{
    *m = (struct row_map){ .version = stored->version, .count = count, .stored = stored };
    m->picks = ARENA_ARRAY(a, struct row_pick, count + 1);
    m->key_targets = arena_alloc(a, sizeof *m->key_targets * (stored->key_count + 1));
    memset(m->key_targets, 0xff, sizeof *m->key_targets * (stored->key_count + 1));
    for (uint32_t k = 0; k < count; k++) {
        const struct row_column *want = &current->columns[wanted[k]];
        int rc = pick_column(&m->picks[k], stored, want);
        if (rc != 0)
            return rc;
        for (uint32_t i = 0; m->picks[k].kind == PICK_KEY && i < stored->key_count; i++) {
            if (stored->key_columns[i] == ROW_KEY_HIDDEN ||
                stored->columns[stored->key_columns[i]].attnum != want->attnum)
                continue;
            m->wants_key = true;
            m->picks[k].offset = i;
            m->key_targets[i] = (uint16_t)k;
            if (m->key_parts_needed < i + 1)
                m->key_parts_needed = i + 1;
        }
    }
    return 0;
}

/* What is found out about a row once: where its parts begin. */
struct row_view {
    const uint8_t *row, *nulls, *ends, *var;
    uint32_t var_size;
    bool is_wide;
};

static int
row_open(const struct row_layout *l, struct slice value, struct row_view *v)
{
    uint32_t version = l->version, at = 1;
    size_t end_size, fixed_end = l->head_size + l->fixed_size;

    if (value.size < fixed_end || (value.data[0] & ~ROW_WIDE) != 0)
        return row_corrupt();
    for (; version >= 0x80; version >>= 7)
        if (value.data[at++] != (uint8_t)(version | 0x80))
            return row_corrupt();
    if (value.data[at] != version)
        return row_corrupt();
    v->is_wide = value.data[0] & ROW_WIDE;
    end_size = v->is_wide ? 4 : 2;
    if (value.size - fixed_end < l->var_count * end_size)
        return row_corrupt();
    v->row = value.data;
    v->nulls = value.data + at + 1;
    v->ends = value.data + fixed_end;
    v->var = v->ends + l->var_count * end_size;
    v->var_size = (uint32_t)(value.size - fixed_end - l->var_count * end_size);
    return 0;
}

static inline uint32_t
row_end(const struct row_view *v, uint32_t i)
{
    return v->is_wide ? load_u32(v->ends + i * 4) : load_u16(v->ends + i * 2);
}

static int
get_var(const struct row_view *v, const struct row_pick *p, struct datum *out)
{
    uint32_t from = p->offset == 0 ? 0 : row_end(v, p->offset - 1), to = row_end(v, p->offset);

    if (from > to || to > v->var_size)
        return row_corrupt();
    *out = datum_bytes(v->var + from, to - from);
    if (p->type == TYPE_NUMERIC && !numeric_check(datum_view(out)))
        return row_corrupt();
    return 0;
}

static int
get_pick(const struct row_view *v, const struct row_pick *p, struct datum *out)
{
    float f;

    if (p->kind == PICK_MISSING) {
        *out = p->column->missing;
        return 0;
    }
    if ((v->nulls[p->slot >> 3] >> (p->slot & 7) & 1) != 0) {
        *out = datum_null();
        return 0;
    }
    switch (p->kind) {
    case PICK_CHECKED:
        *out = fixed_load(type_get(p->type), v->row + p->offset);
        return fixed_check(type_get(p->type), out) ? 0 : row_corrupt();
    case PICK_U8:
        *out = datum_int(v->row[p->offset]);
        return 0;
    case PICK_I16:
        *out = datum_int((int16_t)load_u16(v->row + p->offset));
        return 0;
    case PICK_I32:
        *out = datum_int((int32_t)load_u32(v->row + p->offset));
        return 0;
    case PICK_U32:
        *out = datum_int(load_u32(v->row + p->offset));
        return 0;
    case PICK_I64:
        *out = datum_int((int64_t)load_u64(v->row + p->offset));
        return 0;
    case PICK_F32:
        memcpy(&f, v->row + p->offset, sizeof f);
        *out = datum_float((double)f);
        return 0;
    case PICK_FIXED16:
        *out = datum_bytes(v->row + p->offset, 16);
        return 0;
    default:
        return get_var(v, p, out);
    }
}

/* Parts of the key that are wanted; out[] by wanted column. */
static int
decode_key_parts(const struct row_map *m, struct slice key, struct arena *a, struct datum *out)
{
    const struct row_layout *l = m->stored;
    struct reader r;

    rd_init(&r, key.data, key.size);
    for (uint32_t i = 0; i < m->key_parts_needed; i++) {
        int rc;
        if (m->key_targets[i] == 0xffff)
            rc = key_skip(&r, &l->key_parts[i]);
        else
            rc = key_get(&r, &l->key_parts[i], a, &out[m->key_targets[i]]);
        if (rc != 0)
            return rc;
    }
    return 0;
}

/* The same key column wanted twice: the later place got it, the others copy. */
static void
copy_key_picks(const struct row_map *m, struct datum *out)
{
    for (uint32_t k = 0; k < m->count; k++) {
        if (m->picks[k].kind == PICK_KEY)
            out[k] = out[m->key_targets[m->picks[k].offset]];
    }
}

int
row_decode(const struct row_map *m, struct slice key, struct slice value, struct arena *a,
           struct datum *out)
{
    struct row_view v;
    int rc = row_open(m->stored, value, &v);

    if (rc != 0)
        return rc;
    if (m->wants_key) {
        rc = decode_key_parts(m, key, a, out);
        if (rc != 0)
            return rc;
        copy_key_picks(m, out);
    }
    for (uint32_t k = 0; k < m->count; k++) {
        if (m->picks[k].kind == PICK_KEY)
            continue;
        rc = get_pick(&v, &m->picks[k], &out[k]);
        if (rc != 0)
            return rc;
    }
    return 0;
}

int
row_decode_vecs(const struct row_map *m, struct slice key, struct slice value, struct arena *a,
                bool copy, uint32_t row, struct vec *const *vecs)
{
    struct row_view v;
    struct datum d;
    int rc = row_open(m->stored, value, &v);
    struct reader r;

    if (rc != 0)
        return rc;
    rd_init(&r, key.data, key.size);
    for (uint32_t i = 0; i < m->key_parts_needed; i++) {
        uint16_t k = m->key_targets[i];
        if (k == 0xffff) {
            rc = key_skip(&r, &m->stored->key_parts[i]);
        } else {
            rc = key_get(&r, &m->stored->key_parts[i], a, &d);
            if (rc == 0 && copy)
                d = datum_copy(a, &d, m->picks[k].rep);
            for (uint32_t to = 0; rc == 0 && to <= k; to++) {
                if (m->picks[to].kind == PICK_KEY && m->picks[to].offset == i && vecs[to] != NULL)
                    vec_set(vecs[to], row, &d);
            }
        }
        if (rc != 0)
            return rc;
    }
    for (uint32_t k = 0; k < m->count; k++) {
        if (vecs[k] == NULL || m->picks[k].kind == PICK_KEY)
            continue;
        rc = get_pick(&v, &m->picks[k], &d);
        if (rc != 0)
            return rc;
        if (copy && m->picks[k].kind != PICK_MISSING)
            d = datum_copy(a, &d, m->picks[k].rep);
        vec_set(vecs[k], row, &d);
    }
    return 0;
}
