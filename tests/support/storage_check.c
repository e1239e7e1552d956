/* Comparing: point reads and scans, forwards and backwards, table and index, through the catalogue
 * of the moment that is read.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "engine/base/mem.h"
#include "engine/lsm/view.h"
#include "tests/support/storage_world.h"

/* One tree read at one moment; closed before anything diverges. */
struct reading {
    struct storage_world *w;
    struct undo_read read;
    struct arena arena;
    char why[256];
};

static bool
own_version(void *arg, txid_t txid, uint64_t seq)
{
    const struct storage_txn *t = arg;

    (void)seq;
    for (uint32_t i = 0; i < t->stack_count; i++)
        if (t->stack[i] == txid)
            return true;
    for (uint32_t i = 0; i < t->kid_count; i++)
        if (t->kids[i] == txid)
            return true;
    return false;
}

/* The view of a tree: the snapshot's, or the present one. */
static bool
reading_open(struct reading *r, struct storage_world *w, tree_id_t tree, incarnation_t b, scn_t s,
             const struct storage_snap *snap, const struct storage_txn *own)
{
    struct lsm_tree *t = snap != NULL ? NULL : lsm_tree_find(w->lsm, tree);

    memset(r, 0, sizeof *r);
    r->w = w;
    if (snap != NULL)
        for (size_t i = 0; i < snap->view_count; i++)
            if (lsm_tree_id(lsm_view_tree(snap->views[i])) == tree) {
                r->read.view = snap->views[i];
                lsm_view_ref(r->read.view);
            }
    if (t != NULL)
        r->read.view = lsm_view_acquire(t);
    if (r->read.view == NULL)
        return false;
    r->read.branch = b;
    r->read.scn = s;
    if (own != NULL) {
        r->read.own = own_version;
        r->read.own_arg = (void *)(uintptr_t)own;
    }
    arena_init(&r->arena, NULL);
    r->read.arena = &r->arena;
    return true;
}

static void
reading_close(struct reading *r)
{
    lsm_view_release(r->read.view);
    arena_fini(&r->arena);
}

/* The first byte of a value; 0: no row; -1: an error, in r->why. */
static int
get(struct reading *r, const uint8_t *key, size_t size, uint8_t *value, size_t cap)
{
    struct undo_row row;
    int rc = undo_get(&r->read, slice(key, size), &row);

    if (rc == ERR_NOT_FOUND)
        return 0;
    if (rc != 0 || row.value.size > cap) {
        snprintf(r->why, sizeof r->why, "get: %s %s", err_name(rc), diag_last()->message);
        return -1;
    }
    memcpy(value, row.value.data, row.value.size);
    return (int)row.value.size;
}

static tree_id_t
catalogue_of(struct storage_world *w, incarnation_t b, scn_t s, const struct storage_snap *snap,
             const struct storage_txn *own)
{
    struct reading r;
    uint8_t value[8] = { 0 };
    int got;

    if (!reading_open(&r, w, CATALOGUE, b, s, snap, own))
        storage_diverge(w, "the catalogue is gone");
    got = get(&r, (const uint8_t *)"c", 1, value, sizeof value);
    reading_close(&r);
    if (got < 0)
        storage_diverge(w, "%s", r.why);
    return got == 0 ? FIRST_TREE : load_u64(value);
}

tree_id_t
storage_catalogue(struct storage_world *w, incarnation_t b, scn_t s, const struct storage_txn *own)
{
    return catalogue_of(w, b, s, NULL, own);
}

uint8_t
storage_read_own(struct storage_world *w, struct storage_txn *t, uint8_t key)
{
    struct reading r;
    uint8_t value = 0;
    int got;

    if (!reading_open(&r, w, t->tree, w->inc, SCN_MAX, NULL, t))
        storage_diverge(w, "tree %llu of an open transaction is gone", (unsigned long long)t->tree);
    got = get(&r, &key, 1, &value, 1);
    reading_close(&r);
    if (got < 0)
        storage_diverge(w, "%s", r.why);
    return value;
}

/* ---- showing ----------------------------------------------------------------------------------
 */

static void
show_source(struct storage_world *w, const char *what, incarnation_t tag, struct lsm_source *s)
{
    int rc = lsm_source_first(s);

    while (rc == 0 && s->valid) {
        char key[16] = "";

        for (size_t i = 0; i < s->v.key.size && i < 6; i++)
            snprintf(key + 2 * i, 3, "%02x", s->v.key.data[i]);
        storage_say(w, "  %s tag %u to %llu: key %s stamp %llx seq %llu %s until %llu", what, tag,
                    (unsigned long long)s->part, key, (unsigned long long)s->v.stamp,
                    (unsigned long long)s->v.seq, s->v.kind == VERSION_DELETE ? "delete" : "put",
                    (unsigned long long)s->v.superseded);
        rc = lsm_source_next(s);
    }
    lsm_source_fini(s);
}

/* Everything that a tree holds, newest run first. */
static void
show_tree(struct storage_world *w, tree_id_t tree)
{
    struct lsm_tree *t = lsm_tree_find(w->lsm, tree);
    struct lsm_source s;
    struct lsm_view *v;

    if (t == NULL || !w->trace)
        return;
    v = lsm_view_acquire(t);
    storage_say(w, "tree %llu, for branch %u:", (unsigned long long)tree, v->branch);
    for (uint32_t i = 0; i < v->mem_count; i++) {
        lsm_source_mem(&s, &v->mems[i]);
        show_source(w, "memtable", v->mems[i].mem->tag, &s);
    }
    for (uint32_t i = 0; i < v->run_count; i++)
        for (uint32_t k = 0; k < v->runs[i].count; k++) {
            lsm_source_files(&s, &v->runs[i].slots[k], 1, 0);
            show_source(w, "main", v->runs[i].slots[k].file->tag, &s);
        }
    for (uint32_t i = 0; i < v->undo_count; i++) {
        lsm_source_files(&s, &v->undo[i], 1, 0);
        show_source(w, v->undo[i].revived ? "revived undo" : "undo", v->undo[i].file->tag, &s);
    }
    lsm_view_release(v);
}

/* ---- the table --------------------------------------------------------------------------------
 */

static void
show(char *out, size_t cap, const struct oracle_rows *rows)
{
    size_t at = 0;

    for (int k = 0; k < ORACLE_KEYS; k++)
        at += (size_t)snprintf(out + at, cap - at, " %d=%u", k, rows->value[k]);
}

static bool
table_points(struct reading *r, struct oracle_rows *got)
{
    memset(got, 0, sizeof *got);
    for (uint8_t k = 0; k < ORACLE_KEYS; k++)
        if (get(r, &k, 1, &got->value[k], 1) < 0)
            return false;
    return true;
}

static bool
table_scan(struct reading *r, int flags, struct oracle_rows *got)
{
    struct undo_cursor *c;
    struct slice key;
    struct undo_row row;
    int last = (flags & UNDO_BACKWARD) != 0 ? 256 : -1, step = last > 0 ? -1 : 1;
    int rc = undo_cursor_open(&r->read, slice(NULL, 0), slice(NULL, 0), flags, &c);

    memset(got, 0, sizeof *got);
    if (rc != 0) {
        snprintf(r->why, sizeof r->why, "cursor: %s %s", err_name(rc), diag_last()->message);
        return false;
    }
    while ((rc = undo_cursor_next(c, &key, &row)) == 0) {
        if (key.size != 1 || key.data[0] >= ORACLE_KEYS || (key.data[0] - last) * step <= 0 ||
            row.value.size != 1) {
            snprintf(r->why, sizeof r->why, "scan: key %u after %d", key.data[0], last);
            break;
        }
        last = key.data[0];
        got->value[last] = row.value.data[0];
    }
    undo_cursor_close(c);
    if (rc != ERR_END && r->why[0] == '\0')
        snprintf(r->why, sizeof r->why, "scan: %s %s", err_name(rc), diag_last()->message);
    return rc == ERR_END;
}

static void
compare_table(struct storage_world *w, tree_id_t tree, incarnation_t b, scn_t s,
              const struct storage_snap *snap, const struct oracle_rows *want)
{
    static const char *const how[] = { "points", "forwards", "backwards" };
    struct reading r;
    char got_text[64], want_text[64];

    if (!reading_open(&r, w, tree, b, s, snap, NULL))
        storage_diverge(w, "branch %u SCN %llu: tree %llu is gone", b, (unsigned long long)s,
                        (unsigned long long)tree);
    for (int i = 0; i < 3 && r.why[0] == '\0'; i++) {
        struct oracle_rows got;

        if (!(i == 0 ? table_points(&r, &got) : table_scan(&r, i == 2 ? UNDO_BACKWARD : 0, &got)))
            break;
        if (memcmp(got.value, want->value, sizeof got.value) != 0) {
            show(got_text, sizeof got_text, &got);
            show(want_text, sizeof want_text, want);
            snprintf(r.why, sizeof r.why, "%s in tree %llu: %s, should be %s", how[i],
                     (unsigned long long)tree, got_text, want_text);
        }
    }
    reading_close(&r);
    if (r.why[0] != '\0')
        show_tree(w, tree);
    if (r.why[0] != '\0')
        storage_diverge(w, "branch %u SCN %llu%s: %s", b, (unsigned long long)s,
                        snap != NULL ? " (snapshot)" : "", r.why);
}

/* The index has (value, key) for each row. */
static void
compare_index(struct storage_world *w, tree_id_t tree, incarnation_t b, scn_t s,
              const struct storage_snap *snap, const struct oracle_rows *want)
{
    struct oracle_rows got = { 0 };
    struct undo_cursor *c = NULL;
    struct slice key;
    struct undo_row row;
    struct reading r;
    int rc;

    if (!reading_open(&r, w, tree, b, s, snap, NULL))
        storage_diverge(w, "branch %u SCN %llu: index %llu is gone", b, (unsigned long long)s,
                        (unsigned long long)tree);
    rc = undo_cursor_open(&r.read, slice(NULL, 0), slice(NULL, 0), 0, &c);
    while (rc == 0 && (rc = undo_cursor_next(c, &key, &row)) == 0) {
        uint8_t *at = &got.value[key.data[1] % ORACLE_KEYS];

        *at = *at == 0 ? key.data[0] : 99; /* one row, one entry */
    }
    undo_cursor_close(c);
    reading_close(&r);
    if (rc != ERR_END)
        storage_diverge(w, "index scan: %s %s", err_name(rc), diag_last()->message);
    if (memcmp(got.value, want->value, sizeof got.value) != 0) {
        char got_text[64], want_text[64];

        show(got_text, sizeof got_text, &got);
        show(want_text, sizeof want_text, want);
        show_tree(w, tree);
        storage_diverge(w, "branch %u SCN %llu%s: index %llu: %s, should be %s", b,
                        (unsigned long long)s, snap != NULL ? " (snapshot)" : "",
                        (unsigned long long)tree, got_text, want_text);
    }
}

void
storage_compare(struct storage_world *w, incarnation_t b, scn_t s, const struct storage_snap *snap)
{
    struct oracle_rows want = oracle_rows(&w->oracle, b, s);
    incarnation_t home = storage_is_broken(w, STORAGE_BREAK_READ_3) ? b : lsm_home(w->lsm, b, s);
    tree_id_t tree = catalogue_of(w, home, s, snap, NULL);

    w->compared++;
    compare_table(w, tree, home, s, snap, &want);
    compare_index(w, tree + 1, home, s, snap, &want);
}

/* ---- which moments ----------------------------------------------------------------------------
 */

/* Any moment that must be readable. */
bool
storage_pick_moment(struct storage_world *w, incarnation_t *b, scn_t *s)
{
    for (int tries = 0; tries < 30; tries++) {
        incarnation_t x = (incarnation_t)storage_random(w, w->oracle.count + 1);

        if (!w->live[x])
            continue;
        *b = x;
        *s = storage_random(w, w->tip[x] + 1);
        if (*s > oracle_part(&w->oracle, x, w->inc) || *s >= lsm_horizon(w->lsm))
            return true;
    }
    return false;
}

void
storage_check(struct storage_world *w, unsigned moments)
{
    incarnation_t b;
    scn_t s;

    while (moments-- > 0)
        if (storage_pick_moment(w, &b, &s))
            storage_compare(w, b, s, NULL);
    storage_compare(w, w->inc, w->tip[w->inc], NULL);
    for (uint32_t i = 0; i < w->pin_count; i++)
        storage_compare(w, w->pins[i].at.inc, w->pins[i].at.scn, NULL);
}
