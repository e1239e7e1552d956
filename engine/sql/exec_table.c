/* A hash table of rows: the groups of an aggregate, the build side of a join, what DISTINCT has
 * seen. Rows with equal keys by the types' own comparison are one; nulls are equal here.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "engine/sql/exec_int.h"

enum { ROW_TABLE_FIRST = 256 };

static void
set_slots(struct row_table *t, size_t count)
{
    struct budget *memory = t->rows->ctx->memory;

    if (memory != NULL) {
        budget_release(memory, t->slot_count * sizeof *t->slots);
        budget_force(memory, count * sizeof *t->slots);
    }
    xfree(t->slots);
    t->slots = count != 0 ? xcalloc(count, sizeof *t->slots) : NULL;
    t->slot_count = count;
}

static void
set_hashes(struct row_table *t, size_t cap)
{
    struct budget *memory = t->rows->ctx->memory;

    if (memory != NULL) {
        budget_release(memory, t->hash_cap * sizeof *t->hashes);
        budget_force(memory, cap * sizeof *t->hashes);
    }
    t->hashes = xrealloc(t->hashes, cap * sizeof *t->hashes + 1);
    t->hash_cap = cap;
}

struct row_table *
row_table_new(const struct exec_ctx *ctx, const struct plan_column *columns, uint32_t key_count)
{
    struct row_table *t = xcalloc(1, sizeof *t);

    t->rows = row_list_new(ctx, columns, key_count);
    t->rows->may_spill = ctx->spill != NULL;
    set_slots(t, ROW_TABLE_FIRST);
    return t;
}

void
row_table_free(struct row_table *t)
{
    if (t == NULL)
        return;
    set_slots(t, 0);
    set_hashes(t, 0);
    row_list_free(t->rows);
    xfree(t->hashes);
    xfree(t);
}

void
row_table_reset(struct row_table *t)
{
    row_list_reset(t->rows);
    if (t->slot_count > ROW_TABLE_FIRST * 16) {
        set_slots(t, ROW_TABLE_FIRST);
        set_hashes(t, 0);
    } else {
        memset(t->slots, 0, t->slot_count * sizeof *t->slots);
    }
}

size_t
row_table_bytes(const struct row_table *t)
{
    return row_list_bytes(t->rows) + t->slot_count * sizeof *t->slots +
           t->hash_cap * sizeof *t->hashes;
}

bool
row_table_is_full(const struct row_table *t, size_t others)
{
    return row_list_is_full(t->rows, row_table_bytes(t) - row_list_bytes(t->rows) + others);
}

uint64_t
row_table_hash(const struct row_table *t, const struct datum *keys)
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

static void
slot_set(struct row_table *t, size_t row)
{
    size_t i = t->hashes[row];

    while (t->slots[i & (t->slot_count - 1)] != 0)
        i++;
    t->slots[i & (t->slot_count - 1)] = row + 1;
}

/* Slots hold row numbers from 1. */
bool
row_table_find(const struct row_table *t, uint64_t hash, const struct datum *keys, size_t *at)
{
    for (size_t i = hash;; i++) {
        size_t slot = t->slots[i & (t->slot_count - 1)];

        if (slot == 0)
            return false;
        if (t->hashes[slot - 1] == hash && rows_equal(t, t->rows->rows[slot - 1], keys)) {
            *at = slot - 1;
            return true;
        }
    }
}

int
row_table_add(struct row_table *t, uint64_t hash, const struct datum *keys, size_t *at)
{
    int rc = row_list_add(t->rows, keys);

    if (rc != 0)
        return rc;
    if (t->hash_cap < t->rows->cap)
        set_hashes(t, t->rows->cap);
    *at = t->rows->count - 1;
    t->hashes[*at] = hash;
    if (t->rows->count * 4 > t->slot_count * 3) {
        set_slots(t, t->slot_count * 2);
        for (size_t r = 0; r < t->rows->count; r++)
            slot_set(t, r);
    } else {
        slot_set(t, *at);
    }
    return 0;
}
