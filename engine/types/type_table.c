/* The rows of the type registry, and lookups in it.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/types/type.h"

#include "engine/types/datetime.h"
#include "engine/types/type_int.h"

/* Where each OID's row is, so that finding one is a load and no search. */
enum {
#define T(oid_, ...) SLOT_##oid_,
#include "engine/types/type_list_int.h"
#undef T
    TYPE_COUNT
};
enum { OID_MAX = TYPE_ANYCOMPATIBLEARRAY };
static const uint8_t type_slots[OID_MAX + 1] = {
#define T(oid_, ...) [oid_] = SLOT_##oid_ + 1,
#include "engine/types/type_list_int.h"
#undef T
};

static const struct type type_table[TYPE_COUNT] = {
#define T(oid_, name_, sql_, array_, elem_, len_, by_value_, preferred_, pseudo_, align_,          \
          storage_, category_, rep_, row_size_, lossy_, in_, out_, recv_, send_, cmp_, hash_)      \
    {                                                                                              \
        .oid = oid_,                                                                               \
        .name = name_,                                                                             \
        .sql_name = sql_,                                                                          \
        .array_oid = array_,                                                                       \
        .elem_oid = elem_,                                                                         \
        .len = len_,                                                                               \
        .is_by_value = by_value_,                                                                  \
        .is_preferred = preferred_,                                                                \
        .is_pseudo = pseudo_,                                                                      \
        .align = align_,                                                                           \
        .storage = storage_,                                                                       \
        .category = category_,                                                                     \
        .rep = rep_,                                                                               \
        .row_size = row_size_,                                                                     \
        .key_is_lossy = lossy_,                                                                    \
        .in = in_,                                                                                 \
        .out = out_,                                                                               \
        .recv = recv_,                                                                             \
        .send = send_,                                                                             \
        .cmp = cmp_,                                                                               \
        .hash = hash_,                                                                             \
    },
#include "engine/types/type_list_int.h"
#undef T
};

/* ---- lookups ------------------------------------------------------------------------------- */

const struct type *
type_find(oid_t oid)
{
    uint8_t slot = oid <= OID_MAX ? type_slots[oid] : 0;

    return slot == 0 ? NULL : &type_table[slot - 1];
}

const struct type *
type_get(oid_t oid)
{
    const struct type *t = type_find(oid);

    CHECK(t != NULL);
    return t;
}

const struct type *
type_by_index(size_t index)
{
    return index < TYPE_COUNT ? &type_table[index] : NULL;
}

const struct type *
type_by_name(struct slice name)
{
    static const struct {
        const char *name;
        oid_t oid;
    } aliases[] = {
        { "boolean", TYPE_BOOL },     { "smallint", TYPE_INT2 },   { "integer", TYPE_INT4 },
        { "int", TYPE_INT4 },         { "bigint", TYPE_INT8 },     { "real", TYPE_FLOAT4 },
        { "float", TYPE_FLOAT8 },     { "decimal", TYPE_NUMERIC }, { "dec", TYPE_NUMERIC },
        { "character", TYPE_BPCHAR },
    };

    for (size_t i = 0; i < TYPE_COUNT; i++) {
        if (slice_eq(name, slice_str(type_table[i].name)))
            return &type_table[i];
    }
    for (size_t i = 0; i < sizeof aliases / sizeof aliases[0]; i++) {
        if (slice_eq(name, slice_str(aliases[i].name)))
            return type_get(aliases[i].oid);
    }
    return NULL;
}

const char *
type_sql_name(oid_t oid)
{
    const struct type *t = type_find(oid);

    return t != NULL ? t->sql_name : "???";
}

bool
type_is_polymorphic(oid_t oid)
{
    return oid == TYPE_ANYELEMENT || oid == TYPE_ANYARRAY || oid == TYPE_ANYNONARRAY ||
           oid == TYPE_ANYCOMPATIBLE || oid == TYPE_ANYCOMPATIBLEARRAY;
}

/* ---- dispatch ------------------------------------------------------------------------------ */

int
type_in(oid_t oid, const struct type_env *env, struct arena *a, struct slice text, int32_t typmod,
        struct datum *out)
{
    const struct type *t = type_get(oid);

    return t->in(t, env, a, text, typmod, out);
}

void
type_out(oid_t oid, const struct type_env *env, const struct datum *d, struct writer *w)
{
    const struct type *t = type_get(oid);

    t->out(t, env, d, w);
}

int
type_recv(oid_t oid, const struct type_env *env, struct arena *a, struct slice bytes,
          int32_t typmod, struct datum *out)
{
    const struct type *t = type_get(oid);

    return t->recv(t, env, a, bytes, typmod, out);
}

void
type_send(oid_t oid, const struct type_env *env, const struct datum *d, struct writer *w)
{
    const struct type *t = type_get(oid);

    t->send(t, env, d, w);
}

int
type_cmp(oid_t oid, const struct datum *a, const struct datum *b)
{
    const struct type *t = type_get(oid);

    CHECK(t->cmp != NULL);
    return t->cmp(t, a, b);
}

uint64_t
type_hash(oid_t oid, const struct datum *d)
{
    const struct type *t = type_get(oid);

    CHECK(t->hash != NULL);
    return d->is_null ? UINT64_C(0x5bd1e9955bd1e995) : t->hash(t, d);
}

const char *
type_out_str(oid_t oid, const struct type_env *env, struct arena *a, const struct datum *d)
{
    struct writer w;
    char *s;

    if (d->is_null)
        return "null";
    wr_init(&w, 0);
    type_out(oid, env, d, &w);
    s = w.size > 0 ? arena_strndup(a, (const char *)w.data, w.size) : arena_strdup(a, "");
    wr_fini(&w);
    return s;
}

/* ---- fixed-width forms --------------------------------------------------------------------- */

void
fixed_store(const struct type *t, uint8_t *p, const struct datum *d)
{
    switch (t->row_size) {
    case 1:
        *p = (uint8_t)d->i;
        return;
    case 2:
        store_u16(p, (uint16_t)d->i);
        return;
    case 4:
        if (t->rep == REP_FLOAT) {
            float f = (float)d->f;
            memcpy(p, &f, sizeof f);
        } else {
            store_u32(p, (uint32_t)d->i);
        }
        return;
    case 8:
        store_u64(p, (uint64_t)d->i); /* the bits of a double too */
        return;
    default:
        CHECK(t->row_size == 16 && d->size == 16);
        memcpy(p, d->p, 16);
    }
}

struct datum
fixed_load(const struct type *t, const uint8_t *p)
{
    switch (t->row_size) {
    case 1:
        return datum_int(*p);
    case 2:
        return datum_int((int16_t)load_u16(p));
    case 4:
        if (t->rep == REP_FLOAT) {
            float f;
            memcpy(&f, p, sizeof f);
            return datum_float((double)f);
        }
        /* Signed: int4, date. Unsigned: oid and its like. */
        if (t->oid == TYPE_INT4 || t->oid == TYPE_DATE)
            return datum_int((int32_t)load_u32(p));
        return datum_int(load_u32(p));
    case 8:
        return datum_int((int64_t)load_u64(p));
    default:
        return datum_bytes(p, t->row_size);
    }
}

bool
fixed_check(const struct type *t, const struct datum *d)
{
    switch (t->oid) {
    case TYPE_BOOL:
        return d->i == 0 || d->i == 1;
    case TYPE_DATE:
        return d->i == DATE_NOBEGIN || d->i == DATE_NOEND || (d->i >= DATE_MIN && d->i < DATE_END);
    case TYPE_TIME:
        return d->i >= 0 && d->i <= US_PER_DAY;
    case TYPE_TIMESTAMP:
    case TYPE_TIMESTAMPTZ:
        return d->i == TIMESTAMP_NOBEGIN || d->i == TIMESTAMP_NOEND ||
               (d->i >= TIMESTAMP_MIN && d->i < TIMESTAMP_END);
    default:
        return true;
    }
}
