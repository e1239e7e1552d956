/* The node: the host functions that the transaction room would lend, opening, replay, branches.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/storage_world.h"

#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/mem.h"
#include "engine/lsm/version.h"

/* ---- small things -----------------------------------------------------------------------------
 */

uint64_t
storage_random(struct storage_world *w, uint64_t below)
{
    uint64_t z = w->random += 0x9e3779b97f4a7c15ull;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    z ^= z >> 31;
    return below == 0 ? z : z % below;
}

bool
storage_is_broken(const struct storage_world *w, enum storage_rule rule)
{
    return (w->broken & (uint32_t)rule) != 0;
}

bool
storage_chance(struct storage_world *w, unsigned percent)
{
    return storage_random(w, 100) < percent;
}

void
storage_say(struct storage_world *w, const char *fmt, ...)
{
    va_list ap;

    if (!w->trace)
        return;
    va_start(ap, fmt);
    printf("    ");
    vprintf(fmt, ap);
    printf("\n");
    va_end(ap);
}

void
storage_diverge(struct storage_world *w, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(w->why, sizeof w->why, fmt, ap);
    va_end(ap);
    longjmp(w->found, 1);
}

void
storage_must(struct storage_world *w, int rc, const char *what)
{
    if (rc != 0)
        storage_diverge(w, "%s failed: %s %s", what, err_name(rc), diag_last()->message);
}

/* ---- host -------------------------------------------------------------------------------------
 */

struct storage_status *
storage_status_of(struct storage_world *w, txid_t txid)
{
    for (uint32_t i = w->status_count; i-- > 0;)
        if (w->statuses[i].txid == txid)
            return &w->statuses[i];
    return NULL;
}

void
storage_set_status(struct storage_world *w, txid_t txid, bool aborted, scn_t scn)
{
    struct storage_status *s = storage_status_of(w, txid);

    if (s == NULL) {
        CHECK(w->status_count < WORLD_STATUSES);
        s = &w->statuses[w->status_count++];
    }
    *s = (struct storage_status){ txid, aborted, scn, ++w->ended };
}

static bool
is_open_here(const struct storage_world *w, txid_t txid)
{
    for (int i = 0; i < WORLD_TXNS; i++)
        for (uint32_t k = 0; w->txns[i].open && k < w->txns[i].stack_count; k++)
            if (w->txns[i].stack[k] == txid)
                return true;
    return false;
}

static bool
is_unheard(const struct storage_world *w, txid_t txid)
{
    for (uint32_t i = 0; i < w->seen_count; i++)
        if (w->seen[i] == txid)
            return false;
    return !is_open_here(w, txid);
}

/* TXN-2: dead only by an abort record or by the end of its incarnation. */
static enum lsm_status
host_resolve(void *arg, txid_t txid, scn_t *scn)
{
    struct storage_world *w = arg;
    const struct storage_status *s = storage_status_of(w, txid);

    if (s != NULL && !s->aborted) {
        *scn = s->scn;
        return LSM_COMMITTED;
    }
    if (s != NULL)
        return LSM_DEAD;
    if (storage_is_broken(w, STORAGE_BREAK_TXN_1))
        return is_open_here(w, txid) ? LSM_OPEN : LSM_DEAD;
    if (storage_is_broken(w, STORAGE_BREAK_TXN_2) && is_unheard(w, txid))
        return LSM_DEAD;
    return txid_incarnation(txid) != w->inc ? LSM_DEAD : LSM_OPEN;
}

static uint64_t
lsn_of(const struct storage_world *w, incarnation_t inc, uint64_t pos)
{
    return w->oracle.incs[inc].start + pos;
}

static struct lsn
host_floor(void *arg, incarnation_t *inc)
{
    struct storage_world *w = arg;

    *inc = w->inc;
    return lsn_make(w->reading != 0 ? w->reading : lsn_of(w, w->inc, w->end[w->inc]));
}

static int
host_settle(void *arg, struct lsn *end)
{
    struct storage_world *w = arg;

    for (int i = 0; i < WORLD_TXNS; i++)
        if (w->txns[i].open && !w->txns[i].elsewhere)
            storage_spill(w, &w->txns[i]);
    *end = lsn_make(lsn_of(w, w->inc, w->end[w->inc]));
    return 0;
}

static int
host_wait_durable(void *arg, incarnation_t inc, struct lsn lsn)
{
    struct storage_world *w = arg;
    uint64_t pos = lsn.v - w->oracle.incs[w->inc].start;

    if (storage_is_broken(w, STORAGE_BREAK_REDO_1))
        return 0;
    if (inc == w->inc && pos > w->durable)
        w->durable = pos;
    CHECK(w->durable <= w->end[w->inc]);
    return 0;
}

static uint64_t
host_ended(void *arg)
{
    return ((struct storage_world *)arg)->ended;
}

static scn_t
host_tip(void *arg)
{
    struct storage_world *w = arg;

    return w->tip[w->inc];
}

/* ---- life -------------------------------------------------------------------------------------
 */

void
storage_init(struct storage_world *w, uint64_t seed, uint32_t broken)
{
    const char *base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    struct oracle_inc *first;

    memset(w, 0, sizeof *w);
    w->random = seed * 0x2545f4914f6cdd1dull + 1;
    w->broken = broken;
    w->env = env_posix_new();
    w->statuses = xcalloc(WORLD_STATUSES, sizeof *w->statuses);
    w->seen = xcalloc(WORLD_STATUSES, sizeof *w->seen);
    snprintf(w->dir, sizeof w->dir, "%s/test_storage.XXXXXX", base);
    CHECK(mkdtemp(w->dir) != NULL);
    CHECK(lsm_create(w->env, w->dir, 1, NULL) == 0);
    oracle_init(&w->oracle);
    w->known[0] = w->live[0] = true;
    w->trees[0] = CATALOGUE;
    w->trees[1] = FIRST_TREE;
    w->trees[2] = FIRST_TREE + 1;
    w->tree_count = 3;
    first = &w->oracle.incs[0];
    first->start = 4096;
}

static void
remove_folder(const char *path)
{
    DIR *d = opendir(path);
    struct dirent *e;

    while (d != NULL && (e = readdir(d)) != NULL) {
        char name[512];
        struct stat st;

        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        snprintf(name, sizeof name, "%s/%s", path, e->d_name);
        if (lstat(name, &st) == 0 && S_ISDIR(st.st_mode))
            remove_folder(name);
        else
            unlink(name);
    }
    if (d != NULL)
        closedir(d);
    rmdir(path);
}

void
storage_fini(struct storage_world *w)
{
    if (w->lsm != NULL)
        storage_close(w);
    oracle_fini(&w->oracle);
    xfree(w->statuses);
    xfree(w->seen);
    remove_folder(w->dir);
    env_free(w->env);
}

static void
load_status(void *arg, txid_t txid, scn_t scn)
{
    storage_set_status(arg, txid, false, scn);
}

void
storage_open(struct storage_world *w)
{
    struct lsm_options o = { .env = w->env,
                             .dir = w->dir,
                             .memtable_bytes = 4 << 20,
                             .cache_bytes = 1 << 20,
                             .tier_runs = 2,
                             .no_background = true,
                             .broken = w->broken };
    struct lsm_host host = { .arg = w,
                             .resolve = host_resolve,
                             .floor = host_floor,
                             .settle = host_settle,
                             .wait_durable = host_wait_durable,
                             .ended = host_ended,
                             .tip = host_tip };

    w->status_count = w->seen_count = 0;
    storage_must(w, lsm_open(&o, &host, &w->lsm), "opening");
    lsm_each_status(w->lsm, load_status, w);
}

static void
release_snap(struct storage_world *w, struct storage_snap *s)
{
    if (!s->open)
        return;
    for (size_t i = 0; i < s->view_count; i++)
        lsm_view_release(s->views[i]);
    lsm_unhold(w->lsm, &s->hold);
    s->open = false;
}

void
storage_close(struct storage_world *w)
{
    for (int i = 0; i < 2; i++)
        if (w->jobs[i] != NULL)
            lsm_job_discard(w->jobs[i]);
    w->jobs[0] = w->jobs[1] = NULL;
    for (int i = 0; i < WORLD_SNAPS; i++)
        release_snap(w, &w->snaps[i]);
    lsm_close(w->lsm);
    w->lsm = NULL;
}

/* ---- redo -------------------------------------------------------------------------------------
 */

void
storage_note_tree(struct storage_world *w, tree_id_t tree)
{
    for (uint32_t i = 0; i < w->tree_count; i++)
        if (w->trees[i] == tree)
            return;
    CHECK(w->tree_count < WORLD_TREES);
    w->trees[w->tree_count++] = tree;
}

/* Adds a version; `on_top`: as a transaction does, else as replay does. */
bool
storage_write(struct storage_world *w, tree_id_t tree, const struct oracle_record *r, bool on_top)
{
    struct lsm_tree *t = lsm_tree_find(w->lsm, tree);
    struct lsm_newest newest;
    struct lsm_view *v;
    struct arena arena;
    int rc;

    if (t == NULL)
        return false;
    if (!on_top) {
        storage_must(w,
                     lsm_write(t, slice(r->key, r->key_size), NULL, r->txid, r->seq, r->kind,
                               slice(r->value, r->value_size)),
                     "replaying a write");
        return true;
    }
    arena_init(&arena, NULL);
    v = lsm_view_acquire(t);
    rc = lsm_newest(v, slice(r->key, r->key_size), &arena, &newest);
    if (rc == 0)
        rc = lsm_write(t, slice(r->key, r->key_size), newest.token, r->txid, r->seq, r->kind,
                       slice(r->value, r->value_size));
    lsm_view_release(v);
    arena_fini(&arena);
    storage_must(w, rc, "writing");
    return true;
}

static void
apply_commit(struct storage_world *w, incarnation_t inc, const struct oracle_record *r)
{
    storage_set_status(w, r->txid, false, r->scn);
    for (uint32_t i = 0; i < r->child_count; i++)
        storage_set_status(w, r->children[i], false, r->scn);
    if (r->scn > w->tip[inc])
        w->tip[inc] = r->scn;
}

/* One record, in recovery (`filter`: what the trees have flushed is left out) or as it comes. */
void
storage_apply(struct storage_world *w, incarnation_t inc, uint64_t pos, bool filter)
{
    const struct oracle_record *r = &w->oracle.incs[inc].records[pos];
    struct lsn lsn = lsn_make(lsn_of(w, inc, pos));
    struct lsm_tree *t;

    switch (r->type) {
    case ORACLE_PUT:
        if (w->seen_count < WORLD_STATUSES)
            w->seen[w->seen_count++] = r->txid;
        t = lsm_tree_find(w->lsm, r->tree);
        if (t != NULL && (!filter || lsm_replay_needed(t, inc, lsn, r->txid)))
            (void)storage_write(w, r->tree, r, false);
        return;
    case ORACLE_COMMIT:
        apply_commit(w, inc, r);
        return;
    case ORACLE_ABORT:
        storage_set_status(w, r->txid, true, 0);
        return;
    case ORACLE_TREE_CREATE:
        storage_note_tree(w, r->tree);
        if (!filter || lsm_trees_need(w->lsm, inc, lsn))
            (void)lsm_tree_create(w->lsm, r->tree, r->txid);
        return;
    case ORACLE_TREE_DROP:
        if (!filter || lsm_trees_need(w->lsm, inc, lsn))
            lsm_tree_drop(w->lsm, r->tree, r->txid);
        return;
    case ORACLE_HORIZON: /* HORIZON-3 */
        if (!filter)
            storage_must(w, lsm_horizon_raise(w->lsm, r->scn, SCN_MAX), "following the horizon");
        return;
    }
}

/* REDO-2: to the end of what is held of an incarnation, not to where another goes on from it. */
static uint64_t
replay_end(const struct storage_world *w, incarnation_t inc)
{
    incarnation_t at = w->inc;

    if (inc == at || !storage_is_broken(w, STORAGE_BREAK_REDO_2))
        return w->end[inc];
    while (at != 0 && w->oracle.incs[at].prev != inc)
        at = w->oracle.incs[at].prev;
    return at == 0 ? 0 : w->oracle.incs[at].prev_end;
}

/* Every incarnation that has something unflushed. */
void
storage_replay(struct storage_world *w)
{
    incarnation_t inc = 0, followed = w->inc;
    struct lsn from;
    bool first = true;

    while (lsm_replay_next(w->lsm, inc, first, &inc, &from)) {
        uint64_t start = w->oracle.incs[inc].start, end = replay_end(w, inc);

        first = false;
        lsm_replay_begin(w->lsm, inc);
        w->inc = inc; /* whose transactions may be open */
        for (uint64_t pos = from.v - start; pos < end; pos++) {
            w->reading = start + pos;
            storage_apply(w, inc, pos, true);
        }
        w->reading = lsn_of(w, inc, w->end[inc]);
        w->inc = followed;
        lsm_replay_end(w->lsm, inc);
        if (inc == followed)
            break;
    }
    w->reading = 0;
}

/* ---- branches ---------------------------------------------------------------------------------
 */

bool
storage_holds(struct storage_world *w, incarnation_t b, scn_t s)
{
    scn_t part = oracle_part(&w->oracle, b, w->inc);

    if (s <= part && s < lsm_horizon(w->lsm))
        return false;
    for (incarnation_t x = 0; x < ORACLE_INCS; x++)
        if (w->live[x] && s <= oracle_part(&w->oracle, b, x) && s <= w->tip[x])
            return true;
    return false;
}

/* What the rules say is kept, against what the engine says. */
void
storage_live(struct storage_world *w, incarnation_t old)
{
    struct lsm_branch_info info[ORACLE_INCS];
    size_t count = lsm_branches(w->lsm, info, ORACLE_INCS), expected = 0;

    w->live[old] = w->live[w->inc] = true;
    for (incarnation_t x = 0; x < ORACLE_INCS; x++) {
        if (w->live[x] && x != w->inc && w->tip[x] <= oracle_part(&w->oracle, x, w->inc))
            w->live[x] = false;
        expected += w->live[x];
    }
    if (count != expected)
        storage_diverge(w, "%zu branches are kept, should be %zu", count, expected);
    for (size_t i = 0; i < count; i++)
        if (!w->live[info[i].inc] || info[i].tip != w->tip[info[i].inc])
            storage_diverge(w, "branch %u to SCN %llu is kept, should be %llu", info[i].inc,
                            (unsigned long long)info[i].tip,
                            (unsigned long long)w->tip[info[i].inc]);
}

static const struct lsm_pin *
find_pin(const struct lsm_pin *pins, size_t count, const struct lsm_pin *wanted)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(pins[i].name, wanted->name) == 0 && pins[i].at.inc == wanted->at.inc &&
            pins[i].at.scn == wanted->at.scn)
            return &pins[i];
    return NULL;
}

void
storage_check_pins(struct storage_world *w)
{
    struct lsm_pin there[WORLD_PINS + 1];
    size_t count = lsm_pins(w->lsm, there, WORLD_PINS + 1);

    for (uint32_t i = 0; i < w->pin_count; i++)
        if (find_pin(there, count, &w->pins[i]) == NULL)
            storage_diverge(w, "restore point %s is gone", w->pins[i].name);
    if (count != w->pin_count)
        storage_diverge(w, "%zu restore points, should be %u", count, w->pin_count);
}

/* PIN-1 switched off: as if restore points were rows, which a cut takes out of sight. */
static void
revert_pins(struct storage_world *w, scn_t fork)
{
    for (uint32_t i = 0; i < w->pin_count; i++)
        if (w->pins[i].at.scn > fork)
            storage_must(w, lsm_pin_drop(w->lsm, w->pins[i].name), "reverting a restore point");
}

void
storage_enter(struct storage_world *w, incarnation_t inc)
{
    struct lineage_entry entry;
    incarnation_t old = w->inc;
    int rc;

    oracle_entry(&w->oracle, inc, &entry);
    rc = lsm_enter(w->lsm, &entry, w->tip[old], lsn_make(lsn_of(w, old, w->end[old])), NULL);
    storage_must(w, rc, "entering a branch");
    w->inc = inc;
    if (!w->known[inc]) {
        w->known[inc] = true;
        w->end[inc] = 0;
        w->tip[inc] = entry.fork_scn;
    }
    w->durable = 0;
    storage_forget_txns(w, false);
    if (storage_is_broken(w, STORAGE_BREAK_PIN_1))
        revert_pins(w, entry.fork_scn);
    storage_check_pins(w);
    storage_live(w, old);
    storage_say(w, "branch %u from branch %u at SCN %llu", inc, entry.parent,
                (unsigned long long)entry.fork_scn);
}
