/* A hash table of rows: the groups of an aggregate, the build side of a join, what DISTINCT has
 * seen. Rows with equal keys by the types' own comparison are one; nulls are equal here.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "engine/sql/exec_int.h"

enum { ROW_TABLE_FIRST = 256 };

struct row_table *
row_table_new(struct exec *x, const struct plan_column *columns, uint32_t key_count)
{
    struct row_table *t = xcalloc(1, sizeof *t);

    t->rows = row_list_new(x, columns, key_count);
    t->slot_count = ROW_TABLE_FIRST;
    t->slots = xcalloc(t->slot_count, sizeof *t->slots);
    t->hashes = NULL;
    return t;
}

void
row_table_free(struct row_table *t)
{
    if (t == NULL)
        return;
    row_list_free(t->rows);
    xfree(t->slots);
    xfree(t->hashes);
    xfree(t);
}

void
row_table_reset(struct row_table *t)
{
    row_list_reset(t->rows);
    memset(t->slots, 0, t->slot_count * sizeof *t->slots);
}

static uint64_t
row_hash(const struct row_table *t, const struct datum *keys)
{
    uint64_t h = 0x9e3779b97f4a7c15u;

    for (uint32_t i = 0; i < t->rows->width; i++)
        h = (h ^ type_hash(t->rows->types[i], &keys[i])) * 0xff51afd7ed558ccdu;
    return h ^ h >> 32;
}

static bool
rows_equal(const struct row_table *t, const struct datum *a, const struct datum *b)
{
    for (uint32_t i = 0; i < t->rows->width; i++) {
        if (a[i].is_null != b[i].is_null)
            return false;
        if (!a[i].is_null && type_cmp(t->rows->types[i], &a[i], &b[i]) != 0)
            return false;
    }
    return true;
}

/* Slots hold row numbers from 1. */
static size_t *
slot_find(const struct row_table *t, uint64_t hash, const struct datum *keys)
{
    for (size_t i = hash;; i++) {
        size_t *slot = &t->slots[i & (t->slot_count - 1)];

        if (*slot == 0 ||
            (t->hashes[*slot - 1] == hash && rows_equal(t, t->rows->rows[*slot - 1], keys)))
            return slot;
    }
}

static void
table_grow(struct row_table *t)
{
    xfree(t->slots);
    t->slot_count *= 2;
    t->slots = xcalloc(t->slot_count, sizeof *t->slots);
    for (size_t r = 0; r < t->rows->count; r++) {
        size_t i = t->hashes[r];

        while (t->slots[i & (t->slot_count - 1)] != 0)
            i++;
        t->slots[i & (t->slot_count - 1)] = r + 1;
    }
}

bool
row_table_find(const struct row_table *t, const struct datum *keys, size_t *at)
{
    size_t *slot;

    if (t->rows->count == 0)
        return false;
    slot = slot_find(t, row_hash(t, keys), keys);
    *at = *slot - 1;
    return *slot != 0;
}

int
row_table_put(struct row_table *t, const struct datum *keys, size_t *at, bool *found)
{
    uint64_t hash = row_hash(t, keys);
    size_t cap_before = t->rows->cap;
    size_t *slot = slot_find(t, hash, keys);
    int rc;

    *found = *slot != 0;
    if (*found) {
        *at = *slot - 1;
        return 0;
    }
    rc = row_list_add(t->rows, keys);
    if (rc != 0)
        return rc;
    if (t->hashes == NULL || t->rows->cap != cap_before)
        t->hashes = xrealloc(t->hashes, t->rows->cap * sizeof *t->hashes);
    *at = t->rows->count - 1;
    t->hashes[*at] = hash;
    *slot = t->rows->count;
    if (t->rows->count * 4 > t->slot_count * 3)
        table_grow(t);
    return 0;
}
