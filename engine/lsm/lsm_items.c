/* What the LSM room keeps in the manifest, item by item, as bytes and in words.
 *
 *   SEGMENT  key u64be file → u64 tree | u64 run (0: undo) | u8 kind | u8 level | u32 branch |
 *            u64 bytes | u64 nonce | u64 hash lo | u64 hash hi
 *   RUNS     key u64be tree → u32 n | n x u64 run, newest first
 *   TREE     key u64be tree → u64 created | u32 its branch | u32 n | n x (u64 dropped | u32 branch)
 *   POSITION key u32be incarnation, u64be tree → u64 lsn. Tree 0: all trees; the last number:
 *            records about trees themselves
 *   STATUS   key u64be txid → u64 scn        HORIZON, CURRENT  key "" → u64
 *   BRANCH   key u32be incarnation → u64 tip LINEAGE  key u32be incarnation → lineage.h's entry
 *   PIN      key name → u32 incarnation | u64 scn | u8 guaranteed | u64 time us
 *
 * Keys are big-endian, so that items stand in the order of their numbers.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "engine/lsm/lsm_int.h"
#include "engine/lsm/manifest_int.h"

enum { SEGMENT_ITEM_SIZE = 54, PIN_ITEM_SIZE = 21 };

static struct slice
key_u64(uint8_t buf[8], uint64_t v)
{
    store_u64_be(buf, v);
    return slice(buf, 8);
}

static struct slice
key_u32(uint8_t buf[4], uint32_t v)
{
    store_u32_be(buf, v);
    return slice(buf, 4);
}

void
lsm_put_u64(struct manifest_edit *e, enum manifest_type type, uint64_t key, uint64_t value)
{
    uint8_t k[8], v[8];

    store_u64(v, value);
    manifest_put(e, type, key_u64(k, key), slice(v, 8));
}

void
lsm_remove_u64(struct manifest_edit *e, enum manifest_type type, uint64_t key)
{
    uint8_t k[8];

    manifest_remove(e, type, key_u64(k, key));
}

void
lsm_put_singleton(struct manifest_edit *e, enum manifest_type type, uint64_t value)
{
    uint8_t v[8];

    store_u64(v, value);
    manifest_put(e, type, slice(NULL, 0), slice(v, 8));
}

/* ---- segments and runs ------------------------------------------------------------------------
 */

void
lsm_put_segment(struct manifest_edit *e, uint64_t file, const struct lsm_segment_item *item)
{
    uint8_t key[8], value[SEGMENT_ITEM_SIZE];
    struct writer w;

    wr_init_fixed(&w, value, sizeof value);
    wr_u64(&w, item->tree);
    wr_u64(&w, item->run);
    wr_u8(&w, item->kind);
    wr_u8(&w, item->level);
    wr_u32(&w, item->tag);
    wr_u64(&w, item->bytes);
    wr_u64(&w, item->nonce);
    wr_u64(&w, item->hash.lo);
    wr_u64(&w, item->hash.hi);
    CHECK(!w.bad && w.size == sizeof value);
    manifest_put(e, MANIFEST_SEGMENT, key_u64(key, file), wr_view(&w));
}

void
lsm_remove_segment(struct manifest_edit *e, uint64_t file)
{
    lsm_remove_u64(e, MANIFEST_SEGMENT, file);
}

int
lsm_get_segment(struct slice key, struct slice value, uint64_t *file, struct lsm_segment_item *item)
{
    struct reader k, r;

    rd_init(&k, key.data, key.size);
    rd_init(&r, value.data, value.size);
    *file = rd_u64_be(&k);
    item->tree = rd_u64(&r);
    item->run = rd_u64(&r);
    item->kind = rd_u8(&r);
    item->level = rd_u8(&r);
    item->tag = rd_u32(&r);
    item->bytes = rd_u64(&r);
    item->nonce = rd_u64(&r);
    item->hash.lo = rd_u64(&r);
    item->hash.hi = rd_u64(&r);
    if (!rd_ok(&k) || !rd_ok(&r) || rd_left(&k) != 0 || rd_left(&r) != 0 ||
        (item->kind != SEGMENT_MAIN && item->kind != SEGMENT_UNDO) ||
        (item->kind == SEGMENT_UNDO) != (item->run == 0))
        return DIAG(ERR_CORRUPT, "manifest: a segment's item does not fit");
    return 0;
}

int
lsm_segment_hash(struct slice key, struct slice value, uint64_t *file_id, struct hash128 *hash)
{
    struct lsm_segment_item item;
    int rc = lsm_get_segment(key, value, file_id, &item);

    *hash = item.hash;
    return rc;
}

void
lsm_put_runs(struct manifest_edit *e, tree_id_t tree, const struct lsm_view *v)
{
    uint8_t key[8];
    struct writer w;

    wr_init(&w, 0);
    wr_u32(&w, v->run_count);
    for (uint32_t i = 0; i < v->run_count; i++)
        wr_u64(&w, v->runs[i].id);
    if (v->run_count == 0)
        manifest_remove(e, MANIFEST_RUNS, key_u64(key, tree));
    else
        manifest_put(e, MANIFEST_RUNS, key_u64(key, tree), wr_view(&w));
    wr_fini(&w);
}

/* ---- positions --------------------------------------------------------------------------------
 */

static struct slice
position_key(uint8_t buf[12], incarnation_t inc, tree_id_t tree)
{
    store_u32_be(buf, inc);
    store_u64_be(buf + 4, tree);
    return slice(buf, 12);
}

void
lsm_put_position(struct manifest_edit *e, incarnation_t inc, tree_id_t tree, uint64_t lsn)
{
    uint8_t k[12], v[8];

    store_u64(v, lsn);
    manifest_put(e, MANIFEST_POSITION, position_key(k, inc, tree), slice(v, 8));
}

void
lsm_remove_position(struct manifest_edit *e, incarnation_t inc, tree_id_t tree)
{
    uint8_t k[12];

    manifest_remove(e, MANIFEST_POSITION, position_key(k, inc, tree));
}

static struct lsm_position *
position_find(const struct lsm_positions *p, incarnation_t inc)
{
    for (uint32_t i = 0; i < p->count; i++)
        if (p->at[i].inc == inc)
            return &p->at[i];
    return NULL;
}

bool
lsm_positions_get(const struct lsm_positions *p, incarnation_t inc, uint64_t *lsn)
{
    const struct lsm_position *at = position_find(p, inc);

    if (at != NULL)
        *lsn = at->lsn;
    return at != NULL;
}

void
lsm_positions_set(struct lsm_positions *p, incarnation_t inc, uint64_t lsn)
{
    struct lsm_position *at = position_find(p, inc);

    if (at == NULL) {
        if (p->count == p->cap) {
            p->cap = p->cap == 0 ? 2 : p->cap * 2;
            p->at = xrealloc(p->at, p->cap * sizeof *p->at);
        }
        at = &p->at[p->count++];
        at->inc = inc;
    }
    at->lsn = lsn;
}

void
lsm_positions_remove(struct lsm_positions *p, incarnation_t inc)
{
    struct lsm_position *at = position_find(p, inc);

    if (at != NULL)
        *at = p->at[--p->count];
}

void
lsm_positions_copy(struct lsm_positions *dst, const struct lsm_positions *src)
{
    dst->count = 0;
    for (uint32_t i = 0; i < src->count; i++)
        lsm_positions_set(dst, src->at[i].inc, src->at[i].lsn);
}

void
lsm_positions_restore(struct lsm *l, struct lsm_positions *positions,
                      struct lsm_positions *registry)
{
    struct lsm_positions p, r;

    env_mutex_lock(&l->state);
    p = l->positions;
    r = l->registry;
    l->positions = *positions;
    l->registry = *registry;
    env_mutex_unlock(&l->state);
    *positions = p;
    *registry = r;
}

/* ---- branches, lineage, trees, pins -----------------------------------------------------------
 */

void
lsm_put_branch(struct manifest_edit *e, incarnation_t inc, scn_t tip)
{
    uint8_t k[4], v[8];

    store_u64(v, tip);
    manifest_put(e, MANIFEST_BRANCH, key_u32(k, inc), slice(v, 8));
}

void
lsm_remove_branch(struct manifest_edit *e, incarnation_t inc)
{
    uint8_t k[4];

    manifest_remove(e, MANIFEST_BRANCH, key_u32(k, inc));
}

void
lsm_put_lineage(struct manifest_edit *e, const struct lineage_entry *entry)
{
    uint8_t k[4];
    struct writer w;

    wr_init(&w, 0);
    lineage_entry_encode(&w, entry);
    manifest_put(e, MANIFEST_LINEAGE, key_u32(k, entry->inc), wr_view(&w));
    wr_fini(&w);
}

void
lsm_put_tree(struct manifest_edit *e, const struct lsm_tree *t)
{
    uint8_t key[8];
    struct writer w;

    wr_init(&w, 0);
    wr_u64(&w, t->created);
    wr_u32(&w, t->created_tag);
    wr_u32(&w, t->drop_count);
    for (uint32_t i = 0; i < t->drop_count; i++) {
        wr_u64(&w, t->drops[i].stamp);
        wr_u32(&w, t->drops[i].tag);
    }
    manifest_put(e, MANIFEST_TREE, key_u64(key, t->id), wr_view(&w));
    wr_fini(&w);
}

void
lsm_put_pin(struct manifest_edit *e, const struct lsm_pin *pin)
{
    uint8_t value[PIN_ITEM_SIZE];
    struct writer w;

    wr_init_fixed(&w, value, sizeof value);
    wr_u32(&w, pin->at.inc);
    wr_u64(&w, pin->at.scn);
    wr_u8(&w, pin->guaranteed);
    wr_u64(&w, pin->time_us);
    CHECK(!w.bad);
    manifest_put(e, MANIFEST_PIN, slice_str(pin->name), wr_view(&w));
}

int
lsm_get_pin(struct slice key, struct slice value, struct lsm_pin *pin)
{
    struct reader r;

    *pin = (struct lsm_pin){ 0 };
    rd_init(&r, value.data, value.size);
    pin->at.inc = rd_u32(&r);
    pin->at.scn = rd_u64(&r);
    pin->guaranteed = rd_u8(&r) != 0;
    pin->time_us = rd_u64(&r);
    if (!rd_ok(&r) || rd_left(&r) != 0 || key.size == 0 || key.size >= sizeof pin->name)
        return DIAG(ERR_CORRUPT, "manifest: a restore point's item does not fit");
    memcpy(pin->name, key.data, key.size);
    return 0;
}

/* ---- in words ---------------------------------------------------------------------------------
 */

static uint64_t
any_u64_be(struct slice s)
{
    return s.size == 8 ? load_u64_be(s.data) : s.size == 4 ? load_u32_be(s.data) : 0;
}

static void
print_segment(struct slice key, struct slice value, char *out, size_t cap)
{
    struct lsm_segment_item item;
    uint64_t file;

    if (lsm_get_segment(key, value, &file, &item) != 0) {
        snprintf(out, cap, "segment: damaged item");
        return;
    }
    snprintf(out, cap, "segment %016llx tree %llu run %llu %s level %u branch %u %llu bytes",
             (unsigned long long)file, (unsigned long long)item.tree, (unsigned long long)item.run,
             item.kind == SEGMENT_UNDO ? "undo" : "main", item.level, item.tag,
             (unsigned long long)item.bytes);
}

static void
print_lineage(struct slice value, char *out, size_t cap)
{
    struct lineage_entry e;
    struct reader r;

    rd_init(&r, value.data, value.size);
    lineage_entry_decode(&r, &e);
    snprintf(out, cap,
             "incarnation %u of %u after SCN %llu, redo after %u at %llu, reign %016llx%s", e.inc,
             e.parent, (unsigned long long)e.fork_scn, e.prev, (unsigned long long)e.start_lsn.v,
             (unsigned long long)e.reign_id, rd_ok(&r) ? "" : " (damaged)");
}

static void
print_position(struct slice key, struct slice value, char *out, size_t cap)
{
    char whose[32] = "all trees";
    uint64_t tree = key.size == 12 ? load_u64_be(key.data + 4) : 0;

    if (tree == LSM_TREE_NONE)
        snprintf(whose, sizeof whose, "the registry");
    else if (tree != 0)
        snprintf(whose, sizeof whose, "tree %llu", (unsigned long long)tree);
    snprintf(out, cap, "recovery of %s in incarnation %u from %llu", whose,
             key.size == 12 ? load_u32_be(key.data) : 0,
             value.size == 8 ? (unsigned long long)load_u64(value.data) : 0);
}

static void
print_tree(struct slice key, struct slice value, char *out, size_t cap)
{
    struct reader r;
    size_t at;
    uint32_t n;

    rd_init(&r, value.data, value.size);
    at = (size_t)snprintf(out, cap, "tree %llu created at %llx",
                          (unsigned long long)any_u64_be(key), (unsigned long long)rd_u64(&r));
    at += (size_t)snprintf(out + at, cap - at, " on %u", rd_u32(&r));
    n = rd_u32(&r);
    for (uint32_t i = 0; i < n && rd_ok(&r) && at + 48 < cap; i++) {
        uint64_t stamp = rd_u64(&r);

        at += (size_t)snprintf(out + at, cap - at, ", dropped at %llx on %u",
                               (unsigned long long)stamp, rd_u32(&r));
    }
}

void
lsm_item_print(enum manifest_type type, struct slice key, struct slice value, char *out, size_t cap)
{
    const char *name = manifest_type_name(type);
    unsigned long long k = any_u64_be(key), v = value.size >= 8 ? load_u64(value.data) : 0;
    struct lsm_pin pin;

    if (type == MANIFEST_SEGMENT)
        print_segment(key, value, out, cap);
    else if (type == MANIFEST_LINEAGE)
        print_lineage(value, out, cap);
    else if (type == MANIFEST_POSITION)
        print_position(key, value, out, cap);
    else if (type == MANIFEST_TREE)
        print_tree(key, value, out, cap);
    else if (type == MANIFEST_STATUS)
        snprintf(out, cap, "status of %llx: committed at SCN %llu", k, v);
    else if (type == MANIFEST_BRANCH)
        snprintf(out, cap, "branch %llu kept, to SCN %llu", k, v);
    else if (type == MANIFEST_RUNS)
        snprintf(out, cap, "runs of tree %llu: %u", k, value.size >= 4 ? load_u32(value.data) : 0);
    else if (type == MANIFEST_PIN && lsm_get_pin(key, value, &pin) == 0)
        snprintf(out, cap, "restore point \"%s\": branch %u SCN %llu%s", pin.name, pin.at.inc,
                 (unsigned long long)pin.at.scn, pin.guaranteed ? ", guaranteed" : "");
    else if (type == MANIFEST_BLOB || type == MANIFEST_COUNTER)
        snprintf(out, cap, "%s \"%.*s\": %llu, %zu bytes", name, (int)key.size,
                 key.size == 0 ? "" : (const char *)key.data, v, value.size);
    else
        snprintf(out, cap, "%s %llu", name, v);
}
