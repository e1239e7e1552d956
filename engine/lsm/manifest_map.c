/* The manifest's items in memory: a sorted array of nodes.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/lsm/manifest_int.h"

void
manifest_edit_init(struct manifest_edit *e)
{
    wr_init(&e->w, MANIFEST_EDIT_MAX);
    e->item_count = 0;
}

void
manifest_edit_fini(struct manifest_edit *e)
{
    wr_fini(&e->w);
}

static void
edit_item(struct manifest_edit *e, uint8_t op, enum manifest_type type, struct slice key)
{
    CHECK(type > 0 && type < MANIFEST_TYPE_END && key.size <= MANIFEST_KEY_MAX);
    wr_u8(&e->w, op);
    wr_u8(&e->w, (uint8_t)type);
    wr_lenslice(&e->w, key);
    e->item_count++;
}

void
manifest_put(struct manifest_edit *e, enum manifest_type type, struct slice key, struct slice value)
{
    CHECK(value.size <= MANIFEST_VALUE_MAX);
    edit_item(e, MANIFEST_OP_PUT, type, key);
    wr_lenslice(&e->w, value);
}

void
manifest_remove(struct manifest_edit *e, enum manifest_type type, struct slice key)
{
    edit_item(e, MANIFEST_OP_REMOVE, type, key);
}

static void
node_free(struct manifest_node *n)
{
    xfree(n->value);
    xfree(n);
}

static size_t
node_bytes(const struct manifest_node *n)
{
    return 8u + n->key_size + n->value_size;
}

void
manifest_map_fini(struct manifest_map *m)
{
    for (size_t i = 0; i < m->count; i++)
        node_free(m->nodes[i]);
    xfree(m->nodes);
    *m = (struct manifest_map){ 0 };
}

size_t
manifest_map_seek(const struct manifest_map *m, enum manifest_type type, struct slice key)
{
    size_t lo = 0, hi = m->count;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        const struct manifest_node *n = m->nodes[mid];
        int order = (int)n->type - (int)type;

        if (order == 0)
            order = slice_cmp(slice(n->key, n->key_size), key);
        if (order < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static bool
node_is(const struct manifest_node *n, enum manifest_type type, struct slice key)
{
    return n->type == type && slice_eq(slice(n->key, n->key_size), key);
}

const struct manifest_node *
manifest_map_find(const struct manifest_map *m, enum manifest_type type, struct slice key)
{
    size_t at = manifest_map_seek(m, type, key);

    return at < m->count && node_is(m->nodes[at], type, key) ? m->nodes[at] : NULL;
}

static struct manifest_node *
node_new(const struct manifest_item *item)
{
    struct manifest_node *n = xmalloc(sizeof *n + item->key.size);

    n->type = (uint8_t)item->type;
    n->key_size = (uint8_t)item->key.size;
    n->value_size = (uint32_t)item->value.size;
    n->value = xmalloc(item->value.size + 1);
    if (item->key.size != 0)
        memcpy(n->key, item->key.data, item->key.size);
    if (item->value.size != 0)
        memcpy(n->value, item->value.data, item->value.size);
    return n;
}

void
manifest_map_apply(struct manifest_map *m, const struct manifest_item *item)
{
    size_t at = manifest_map_seek(m, item->type, item->key);
    bool there = at < m->count && node_is(m->nodes[at], item->type, item->key);

    if (there) {
        m->bytes -= node_bytes(m->nodes[at]);
        node_free(m->nodes[at]);
    }
    if (item->removed) {
        if (there) {
            m->count--;
            memmove(m->nodes + at, m->nodes + at + 1, (m->count - at) * sizeof *m->nodes);
        }
        return;
    }
    if (!there) {
        if (m->count == m->cap) {
            m->cap = m->cap == 0 ? 64 : m->cap * 2;
            m->nodes = xrealloc(m->nodes, m->cap * sizeof *m->nodes);
        }
        memmove(m->nodes + at + 1, m->nodes + at, (m->count - at) * sizeof *m->nodes);
        m->count++;
    }
    m->nodes[at] = node_new(item);
    m->bytes += node_bytes(m->nodes[at]);
}

int
manifest_map_apply_all(struct manifest_map *m, struct slice payload, uint32_t item_count)
{
    struct manifest_item item;
    struct reader r;
    uint32_t n = 0;

    rd_init(&r, payload.data, payload.size);
    while (manifest_item_next(&r, &item))
        n++;
    if (!rd_ok(&r) || n != item_count)
        return DIAG(ERR_CORRUPT, "manifest: an edit's items do not fit its length");
    rd_init(&r, payload.data, payload.size);
    while (manifest_item_next(&r, &item))
        manifest_map_apply(m, &item);
    return 0;
}

void
manifest_map_snapshot(const struct manifest_map *m, struct manifest_edit *out)
{
    for (size_t i = 0; i < m->count; i++) {
        const struct manifest_node *n = m->nodes[i];

        manifest_put(out, (enum manifest_type)n->type, slice(n->key, n->key_size),
                     slice(n->value, n->value_size));
    }
}
