/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/engine_script.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/env.h"
#include "engine/base/mem.h"
#include "engine/engine.h"
#include "engine/lsm/lsm.h"
#include "tests/support/sim_test.h"

/* A step is one transaction, in words: "a3" puts a value under key 3 of tree a, "a3!" a large one,
 * "a3-" deletes; "(" is a savepoint, ")" releases it, "<" rolls back to it and releases it; "new"
 * makes tree d, "drop" drops it; "abort" at the end. What begins with a full stop is no
 * transaction.
 */
static const char *const steps[] = {
    "a0 a1 a2 a3 b0 b1",
    "a1 a2- b2 b3",
    "new d0 d1 d2 b4",
    ".flush",
    "a4 ( a5 a0 ( a1 d3 < b1 ) a6 ( a7 a0- <",
    ".ids",
    ".rest", /* history expires: retention is half a minute */
    "a8 a4- b5",
    "( a0! a1! a2! a3! ) a4! a5! ( b0! b1! b2! < a6! a7! b3",
    "a0! b0! b1! b2! ( b3! b4! ) b5! b6! d0! abort",
    "a0 a1- b0 d1-",
    ".compact",
    "a2 a3 b1-",
    "drop a5",
    "new d0 d4 b6",
    ".reopen",
    "a0- a1 a2-",
    ".flush",
    "a3- a8 b0-",
    ".cut 4", /* to what was there four moments ago */
    "a9 a1 b7",
    ".flush",
    ".compact",
    ".orphan",
    "a10 a3 d5",
    ".ids",
    ".drop",
    ".rest",
    ".compact",
    "drop a0 b0",
    ".rest",
    "new d1 a11 b11",
};

enum {
    STEPS = sizeof steps / sizeof steps[0],
    BIG_BYTES = 60000,
    VALUE_MAX = BIG_BYTES + 64,
    RETENTION_US = 30000000,
    SAVES = 8,
    IDS = 100,
};
static const char TREE_ROW[] = "~d";

uint32_t
script_steps(void)
{
    return STEPS;
}

struct script *
script_new(struct sim *sim, struct env *node)
{
    struct script *s = calloc(1, sizeof *s);

    s->sim = sim;
    s->node = node;
    return s;
}

void
script_free(struct script *s)
{
    free(s);
}

static void
expect(const struct script *s, bool holds, const char *what, uint64_t a, uint64_t b)
{
    if (holds)
        return;
    fprintf(stderr, "step %u (%s), incarnation %u: %s (%" PRIu64 ", %" PRIu64 ") %s\n", s->step,
            s->step < STEPS ? steps[s->step] : "end", s->next_inc, what, a, b,
            diag_last()->message);
    abort();
}

/* Notes an error and says whether the life goes on. */
static bool
bear(struct script *s, int rc, const char *what)
{
    s->last_error = rc;
    snprintf(s->last_message, sizeof s->last_message, "%s: %s (%s)", what, diag_last()->message,
             err_name(rc));
    diag_clear();
    if (++s->errors > s->errors_max)
        return false;
    env_sleep_us(s->node, 1500 * SIM_MILLISECOND);
    return true;
}

/* ---- values ---------------------------------------------------------------------------------- */

static struct slice
value_bytes(uint32_t number, uint8_t buf[VALUE_MAX])
{
    size_t size = number % 2 == 1 ? BIG_BYTES + number % 50 : 8 + number % 40;
    uint64_t x = number * 0x9e3779b97f4a7c15ull + 1;

    for (size_t i = 0; i < size; i++) {
        buf[i] = (uint8_t)(x >> 56);
        x = x * 6364136223846793005ull + 1442695040888963407ull;
    }
    store_u32(buf, number);
    return slice(buf, size);
}

static uint32_t
value_number(const struct script *s, struct slice v)
{
    static uint8_t want[VALUE_MAX];
    uint32_t number;

    expect(s, v.size >= 8, "half a value", v.size, 0);
    number = load_u32(v.data);
    expect(s, slice_eq(value_bytes(number, want), v), "a value that nobody wrote", number, v.size);
    return number;
}

static void
key_text(uint32_t key, char out[8])
{
    snprintf(out, 8, "k%02u", key);
}

/* ---- reading --------------------------------------------------------------------------------- */

MUST_CHECK
static int
read_tree(const struct script *s, struct txn *t, tree_id_t tree, const struct read_moment *m,
          uint32_t value[SCRIPT_KEYS], tree_id_t *made, uint32_t *number)
{
    struct txn_cursor *c;
    struct slice k, v;
    int rc = txn_scan(t, tree, slice("", 0), slice(NULL, 0), 0, m, &c);

    if (rc != 0)
        return rc;
    while ((rc = txn_cursor_next(c, &k, &v)) == 0) {
        char text[8] = "";

        if (slice_eq(k, slice_str(TREE_ROW))) {
            expect(s, made != NULL && v.size == 12, "a row of a tree", v.size, tree);
            *made = load_u64(v.data);
            *number = load_u32(v.data + 8);
            continue;
        }
        expect(s, k.size == 3 && k.data[0] == 'k', "a key that nobody wrote", k.size, tree);
        memcpy(text, k.data, 3);
        value[atoi(text + 1)] = value_number(s, v);
    }
    txn_cursor_close(c);
    return rc == ERR_END ? 0 : rc;
}

/* Point reads say the same as the scan. */
MUST_CHECK
static int
read_points(const struct script *s, struct txn *t, tree_id_t tree, const struct read_moment *m,
            const uint32_t value[SCRIPT_KEYS])
{
    for (uint32_t i = 0; i < SCRIPT_KEYS; i++) {
        struct slice v;
        char key[8];
        int rc;

        key_text(i, key);
        rc = txn_get(t, tree, slice_str(key), m, &v);
        if (rc != 0 && rc != ERR_NOT_FOUND)
            return rc;
        expect(s, (rc == 0 ? value_number(s, v) : 0) == value[i],
               "a point read and a scan differ at a key of a tree", i, tree);
    }
    return 0;
}

MUST_CHECK
static int
read_state(const struct script *s, struct txn *t, const struct read_moment *m,
           struct script_state *out)
{
    tree_id_t tree[SCRIPT_TREES] = { 1, 2, 0 };
    int rc = 0;

    *out = (struct script_state){ 0 };
    for (int i = 0; rc == 0 && i < SCRIPT_TREES; i++) {
        if (tree[i] == 0)
            continue;
        rc = read_tree(s, t, tree[i], m, out->value[i], i == 0 ? &tree[2] : NULL, &out->made);
        if (rc == 0)
            rc = read_points(s, t, tree[i], m, out->value[i]);
    }
    return rc;
}

static bool
same(const struct script_state *a, const struct script_state *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

static void
print_state(const char *name, const struct script_state *st)
{
    fprintf(stderr, "%s: tree %u\n", name, st->made);
    for (int i = 0; i < SCRIPT_TREES; i++) {
        for (int k = 0; k < SCRIPT_KEYS; k++)
            fprintf(stderr, " %u", st->value[i][k]);
        fprintf(stderr, "\n");
    }
}

static void
expect_state(const struct script *s, const struct script_state *got,
             const struct script_state *want, const char *what, uint64_t a, uint64_t b)
{
    if (!same(got, want)) {
        print_state("read", got);
        print_state("should be", want);
    }
    expect(s, same(got, want), what, a, b);
}

/* ---- what must be there ---------------------------------------------------------------------- */

static void
note_moment(struct script *s, struct moment at)
{
    CHECK(s->moment_count < SCRIPT_MOMENTS);
    s->moments[s->moment_count++] =
        (struct script_moment){ .at = at, .state = s->state, .step = s->step };
}

/* A commit or a cut has happened after all. */
static void
settle_pending(struct script *s, struct moment read, const struct script_state *got)
{
    if (!s->is_pending)
        return;
    s->is_pending = false;
    if (!same(got, &s->pending) || same(&s->pending, &s->state))
        return;
    s->state = s->pending;
    note_moment(s, read);
    s->step++;
}

MUST_CHECK
static int
verify_moment(struct script *s, struct engine *e, struct txn *t, const struct script_moment *m)
{
    scn_t part = lsm_part(engine_lsm(e), m->at.inc, engine_incarnation(e));
    struct read_moment at = { m->at.inc, m->at.scn };
    struct script_state got;
    int rc;

    rc = txn_pin_moment(t, at);
    if (m->at.scn <= part && m->at.scn < engine_horizon(e)) { /* E10 */
        expect(s, rc == ERR_SNAPSHOT_TOO_OLD, "a moment below the horizon is read", m->at.inc,
               m->at.scn);
        diag_clear();
        return 0;
    }
    if (m->gone && rc != 0) {
        expect(s, rc == ERR_SNAPSHOT_TOO_OLD, "a moment that is gone", m->at.inc, m->at.scn);
        diag_clear();
        return 0;
    }
    expect(s, rc == 0, "a moment that is held cannot be read", m->at.inc, m->at.scn);
    rc = read_state(s, t, &at, &got);
    if (rc == 0)
        expect_state(s, &got, &m->state, "the past has changed", m->at.inc, m->at.scn);
    s->compared++;
    return rc;
}

static int
verify_in(struct script *s, struct engine *e, struct txn *t)
{
    struct script_state got;
    int rc = read_state(s, t, NULL, &got);

    if (rc != 0)
        return rc;
    settle_pending(s, (struct moment){ engine_incarnation(e), txn_snapshot_scn(t) }, &got);
    expect_state(s, &got, &s->state, "the present", 0, 0);
    s->compared++;
    for (uint32_t i = 0; rc == 0 && i < s->moment_count; i++)
        rc = verify_moment(s, e, t, &s->moments[i]);
    return rc;
}

int
script_verify(struct script *s, struct engine *e)
{
    struct txn *t = txn_new(e);
    int rc;

    rc = engine_wait_visible(e, engine_newest_scn(e), UINT64_MAX);
    if (rc == 0)
        rc = txn_begin(t, TXN_READ_COMMITTED, true);
    if (rc == 0)
        rc = txn_statement_begin(t);
    if (rc == 0) {
        rc = verify_in(s, e, t);
        txn_statement_end(t);
    }
    txn_free(t);
    return rc;
}

/* ---- one transaction ------------------------------------------------------------------------- */

struct play {
    struct script *s;
    struct engine *e;
    struct txn *t;
    struct script_state now, saved[SAVES];
    int numbers[SAVES];
    int depth;
    tree_id_t made;
    uint32_t word;
};

static int
find_made(struct play *p)
{
    struct slice v;
    int rc;

    if (p->now.made == 0 || p->made != 0)
        return 0;
    rc = txn_get(p->t, 1, slice_str(TREE_ROW), NULL, &v);
    if (rc == 0)
        p->made = load_u64(v.data);
    return rc;
}

static int
play_put(struct play *p, const char *word)
{
    static uint8_t buf[VALUE_MAX];
    uint32_t tree = word[0] == 'd' ? 2 : (uint32_t)(word[0] - 'a');
    uint32_t key = (uint32_t)atoi(word + 1), number = (p->s->step + 1) << 8 | p->word << 1;
    const char end = word[strlen(word) - 1];
    char name[8];
    tree_id_t id;
    int rc = find_made(p);

    if (rc != 0)
        return rc;
    id = tree == 2 ? p->made : tree + 1;
    key_text(key, name);
    number |= end == '!';
    if (end == '-')
        number = 0;
    rc = number == 0 ? txn_delete(p->t, id, slice_str(name))
                     : txn_put(p->t, id, slice_str(name), value_bytes(number, buf));
    if (rc == 0)
        p->now.value[tree][key] = number;
    return rc;
}

static int
play_new(struct play *p)
{
    uint8_t row[12];
    int rc = txn_tree_create(p->t, &p->made);

    if (rc != 0)
        return rc;
    expect(p->s, p->made > p->s->tree_ids_given, "a tree's id is given twice", p->made,
           p->s->tree_ids_given);
    p->s->tree_ids_given = p->made;
    p->now.made = p->s->step + 1;
    store_u64(row, p->made);
    store_u32(row + 8, p->now.made);
    return txn_put(p->t, 1, slice_str(TREE_ROW), slice(row, sizeof row));
}

static int
play_drop(struct play *p)
{
    int rc = find_made(p);

    if (rc == 0)
        rc = txn_tree_drop(p->t, p->made);
    if (rc == 0)
        rc = txn_delete(p->t, 1, slice_str(TREE_ROW));
    p->made = 0;
    p->now.made = 0;
    memset(p->now.value[2], 0, sizeof p->now.value[2]);
    return rc;
}

static int
play_word(struct play *p, const char *word)
{
    p->word++;
    switch (word[0]) {
    case '(':
        p->saved[p->depth] = p->now;
        return txn_savepoint(p->t, &p->numbers[p->depth++]);
    case ')':
        txn_release(p->t, p->numbers[--p->depth]);
        return 0;
    case '<':
        p->now = p->saved[--p->depth];
        txn_rollback_to(p->t, p->numbers[p->depth]);
        txn_release(p->t, p->numbers[p->depth]);
        return 0;
    default:
        break;
    }
    if (strcmp(word, "new") == 0)
        return play_new(p);
    if (strcmp(word, "drop") == 0)
        return play_drop(p);
    return play_put(p, word);
}

static int
play_words(struct play *p, const char *step, bool *aborts)
{
    char text[200], *word, *rest = text;
    int rc = 0;

    snprintf(text, sizeof text, "%s", step);
    while (rc == 0 && (word = strtok_r(rest, " ", &rest)) != NULL) {
        *aborts = strcmp(word, "abort") == 0;
        if (*aborts)
            break;
        rc = txn_statement_begin(p->t);
        if (rc == 0) {
            rc = play_word(p, word);
            txn_statement_end(p->t);
        }
    }
    return rc;
}

/* What it wrote itself is what it reads. */
static int
play_own(struct play *p)
{
    struct script_state got;
    int rc = txn_statement_begin(p->t);

    if (rc != 0)
        return rc;
    rc = read_state(p->s, p->t, NULL, &got);
    if (rc == 0)
        expect_state(p->s, &got, &p->now, "own writes", 0, 0);
    txn_statement_end(p->t);
    return rc;
}

static int
transaction(struct script *s, struct engine *e, const char *step)
{
    struct play p = { .s = s, .e = e, .t = txn_new(e), .now = s->state };
    struct commit_token token = { 0 };
    bool aborts = false;
    int rc = txn_begin(p.t, TXN_READ_COMMITTED, false);

    if (rc == 0)
        rc = play_words(&p, step, &aborts);
    if (rc == 0)
        rc = play_own(&p);
    if (rc == 0 && !aborts) {
        s->pending = p.now;
        s->pending_is_cut = false;
        s->is_pending = true;
        rc = txn_commit(p.t, &token);
        if (rc == 0)
            rc = engine_wait_visible(e, token.scn, UINT64_MAX);
        /* A refused commit is none; that is what the next look must find. */
        s->is_pending = false;
    }
    txn_free(p.t);
    if (rc == 0 && !aborts) {
        s->state = p.now;
        note_moment(s, (struct moment){ token.inc, token.scn });
    }
    return rc;
}

/* ---- the other steps ------------------------------------------------------------------------- */

int
script_mount(struct script *s, struct engine **out)
{
    struct engine_options o = {
        .env = s->node,
        .dir = "/db",
        .memtable_bytes = 512 << 10,
        .memtable_each = 64 << 10,
        .cache_bytes = 1 << 20,
        .ring_bytes = 256 << 10,
        .redo_file_bytes = 1 << 20,
        .retention_us = RETENTION_US,
        .no_background = s->no_background,
    };

    return engine_mount(&o, out);
}

static int
open_write(struct script *s, struct engine *e)
{
    s->next_inc++;
    return engine_open_write(e, s->next_inc, 7000 + s->next_inc);
}

static int
give_ids(struct script *s, struct engine *e)
{
    uint64_t first;
    int rc = engine_ids(e, "thing", IDS, &first);

    if (rc != 0)
        return rc;
    expect(s, first > s->ids_given, "a number is given twice", first, s->ids_given);
    s->ids_given = first + IDS - 1;
    return 0;
}

static int
cut(struct script *s, struct engine *e, uint32_t back)
{
    uint32_t to = s->moment_count - 1 - back;
    int rc;

    engine_close_write(e);
    s->pending = s->moments[to].state;
    s->is_pending = s->pending_is_cut = true;
    s->pending_cut = to;
    s->next_inc++;
    rc = engine_open_write_at(e, s->next_inc, 7000 + s->next_inc, s->moments[to].at.scn);
    if (rc != 0)
        return rc; /* half way, perhaps: the next life tells */
    s->is_pending = false;
    s->state = s->pending;
    note_moment(s, (struct moment){ s->next_inc, s->moments[to].at.scn });
    return 0;
}

/* Moments that only an orphan branch has: after the fork of the last cut. */
static bool
is_orphaned(struct script *s, struct engine *e, const struct script_moment *m)
{
    (void)s;
    return m->at.scn > lsm_part(engine_lsm(e), m->at.inc, engine_incarnation(e));
}

static int
orphans(struct script *s, struct engine *e)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < s->moment_count; i++)
        count += is_orphaned(s, e, &s->moments[i]) && !s->moments[i].gone;
    expect(s, count == 4, "moments of the orphan branch", count, 4);
    return script_verify(s, e);
}

static int
drop_orphans(struct script *s, struct engine *e)
{
    struct lsm_branch_info info[16];
    size_t count = lsm_branches(engine_lsm(e), info, 16);
    int rc = 0;

    for (uint32_t i = 0; i < s->moment_count; i++)
        if (is_orphaned(s, e, &s->moments[i]))
            s->moments[i].gone = true;
    for (size_t i = 0; rc == 0 && i < count; i++)
        if (!info[i].followed)
            rc = lsm_branch_drop(engine_lsm(e), info[i].inc);
    return rc;
}

/* ERR_STOPPED: open it again. */
static int
other_step(struct script *s, struct engine *e, const char *step)
{
    if (strcmp(step, ".flush") == 0)
        return engine_flush_all(e);
    if (strcmp(step, ".compact") == 0)
        return engine_compact_all(e);
    if (strcmp(step, ".ids") == 0)
        return give_ids(s, e);
    if (strncmp(step, ".cut", 4) == 0)
        return cut(s, e, (uint32_t)atoi(step + 5));
    if (strcmp(step, ".orphan") == 0)
        return orphans(s, e);
    if (strcmp(step, ".drop") == 0)
        return drop_orphans(s, e);
    if (strcmp(step, ".rest") == 0) {
        env_sleep_us(s->node, 40 * SIM_SECOND);
        return 0;
    }
    expect(s, strcmp(step, ".reopen") == 0, "a step that is none", 0, 0);
    return ERR_STOPPED;
}

/* ---- lives ----------------------------------------------------------------------------------- */

/* A database that was not finished when the node died is made again, or is there. */
static bool
create(struct script *s)
{
    uint64_t id;

    while (!s->created) {
        int rc = engine_create(s->node, "/db", &id);

        if (rc != 0 && rc != ERR_FILE_EXISTS && !bear(s, rc, "create"))
            return false;
        s->created = rc == 0 || rc == ERR_FILE_EXISTS;
    }
    return true;
}

static struct engine *
open_engine(struct script *s)
{
    struct engine *e = NULL;
    int rc;

    for (;;) {
        rc = script_mount(s, &e);
        if (rc == 0) {
            rc = open_write(s, e);
            if (rc == 0)
                rc = script_verify(s, e);
            if (rc == 0)
                return e;
            engine_close(e);
        }
        if (!bear(s, rc, "opening"))
            return NULL;
    }
}

/* False: too many errors. */
static bool
play_steps(struct script *s, struct engine **e)
{
    while (s->step < STEPS) {
        const char *step = steps[s->step];
        int rc = step[0] == '.' ? other_step(s, *e, step) : transaction(s, *e, step);
        bool is_cut = strncmp(step, ".cut", 4) == 0;

        if (rc == ERR_STOPPED && strcmp(step, ".reopen") == 0) {
            rc = 0;
            is_cut = true;
        }
        if (rc == 0)
            s->step++;
        else if (!bear(s, rc, step))
            return false;
        if (is_cut && (rc != 0 || strcmp(step, ".reopen") == 0)) {
            engine_close(*e);
            *e = open_engine(s);
            if (*e == NULL)
                return false;
        }
    }
    return true;
}

void
script_life(void *arg)
{
    struct script *s = arg;
    struct engine *e;

    s->finished = false;
    s->errors = 0;
    if (!create(s))
        return;
    e = open_engine(s);
    if (e == NULL)
        return;
    if (!play_steps(s, &e)) {
        engine_close(e);
        return;
    }
    if (script_verify(s, e) == 0)
        s->finished = true;
    engine_close(e);
}

void
script_look(void *arg)
{
    struct script *s = arg;
    struct engine *e;

    s->finished = false;
    s->errors = 0;
    if (!create(s))
        return;
    e = open_engine(s);
    if (e == NULL)
        return;
    engine_close(e);
    s->finished = true;
}

/* ---- a world for it -------------------------------------------------------------------------- */

void
script_world_init(struct script_world *w, uint64_t seed)
{
    w->sim = sim_new(seed);
    sim_allow_panic(w->sim, true);
    sim_set_verbose(w->sim, getenv("FAULTS_VERBOSE") != NULL);
    w->node = sim_node_new(w->sim, "a");
    w->s = script_new(w->sim, w->node);
}

void
script_world_fini(struct script_world *w)
{
    script_free(w->s);
    sim_free(w->sim);
}

static bool
node_is_down(void *arg)
{
    return !sim_node_is_up(arg);
}

void
script_world_live(struct script_world *w, void (*fn)(void *arg), void *arg)
{
    sim_node_start(w->node, fn, arg);
    sim_test_run(w->sim, 100000 * SIM_SECOND, node_is_down, w->node, SIM_DONE);
}
