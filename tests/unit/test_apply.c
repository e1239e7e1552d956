/* The applier and changes of role, on two engines in one process: what a standby shows is always a
 * prefix of the primary's commits (G1), whatever restarts, promotions and cuts come in between.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/checksum.h"
#include "engine/base/env.h"
#include "engine/base/mem.h"
#include "engine/lsm/lsm.h"
#include "engine/txn/follow.h"
#include "logship/ship_send.h"
#include "standby/apply.h"
#include "tests/support/folder.h"

enum { NODES = 2, WRITERS = 4, KEYS = 48, HISTORY = 20000, TREE = 1, VALUE_BIG = 300000 };

struct node {
    char dir[80];
    struct engine *engine;
    struct apply *apply;
    incarnation_t follows;
    bool is_cramped; /* memtables of one megabyte, flushed by hand */
    int lanes;       /* 0: as it comes */
};

struct writer_txn {
    struct txn *txn;
    uint32_t values[KEYS]; /* as it sees its own keys; 0: none */
    uint32_t saved[KEYS];
    int savepoint;
};

static struct env *env;
static char root[64];
static struct node nodes[NODES];
static incarnation_t next_inc;
static struct writer_txn writers[WRITERS];
static uint32_t committed[KEYS], next_value, seed, first_seed;
static int primary;
static tree_id_t last_tree; /* none is given twice, by whichever primary */

/* The table as of each commit. */
static struct state {
    scn_t scn;
    uint32_t values[KEYS];
} * history;
static size_t history_count;

static uint32_t
rnd(uint32_t n)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % n;
}

static void
must(int rc)
{
    ck_assert_msg(rc == 0, "seed: %s", diag_last()->message);
}

/* ---- nodes ----------------------------------------------------------------------------------- */

static void
node_mount(struct node *n)
{
    struct engine_options o = {
        .env = env,
        .dir = n->dir,
        .memtable_bytes = 6 << 20,
        .memtable_each = 256 << 10,
        .cache_bytes = 1 << 20,
        .ring_bytes = 256 << 10,
        .redo_file_bytes = 1 << 20,
        .no_sync = true,
        .no_background = n->is_cramped,
    };

    if (n->is_cramped)
        o.memtable_bytes = 1 << 20;
    must(engine_mount(&o, &n->engine));
}

static void
node_apply(struct node *n)
{
    struct apply_options o = { .lanes = n->lanes != 0 ? n->lanes : 1 + (int)rnd(3) };

    n->apply = apply_start(n->engine, n->follows, &o);
}

static void
node_unmount(struct node *n)
{
    apply_stop(n->apply);
    n->apply = NULL;
    engine_follow_stop(n->engine);
    engine_close(n->engine);
    n->engine = NULL;
}

static void
setup(void)
{
    char command[256];
    uint64_t id;

    env = env_posix_new();
    test_folder(root, sizeof root, "rd-apply");
    memset(nodes, 0, sizeof nodes);
    for (int i = 0; i < NODES; i++)
        snprintf(nodes[i].dir, sizeof nodes[i].dir, "%s/n%d", root, i);
    must(engine_create(env, nodes[0].dir, &id));
    snprintf(command, sizeof command, "cp -r %s %s", nodes[0].dir, nodes[1].dir);
    ck_assert_int_eq(system(command), 0);
    for (int i = 0; i < NODES; i++)
        node_mount(&nodes[i]);
    next_inc = 1;
    primary = 0;
    next_value = 0;
    last_tree = history_count = 0;
    memset(committed, 0, sizeof committed);
    history = xcalloc(HISTORY, sizeof *history);
    must(engine_open_write(nodes[0].engine, next_inc, 1000 + next_inc));
    nodes[0].follows = next_inc;
}

static void
writers_end(void)
{
    for (int i = 0; i < WRITERS; i++) {
        if (writers[i].txn != NULL)
            txn_free(writers[i].txn);
        writers[i].txn = NULL;
    }
}

static void
teardown(void)
{
    char command[128];

    writers_end();
    for (int i = 0; i < NODES; i++)
        node_unmount(&nodes[i]);
    env_free(env);
    xfree(history);
    snprintf(command, sizeof command, "rm -rf %s", root);
    ck_assert_int_eq(system(command), 0);
}

static void
stop_following(struct node *n, struct lsn end)
{
    engine_follow_stop(n->engine);
    must(apply_drain(n->apply, end));
    apply_stop(n->apply);
    n->apply = NULL;
}

/* ---- shipping -------------------------------------------------------------------------------- */

/* FO-30 between two engines: lineage, chain, cut, follow. */
static void
node_follow(struct node *n, struct node *of)
{
    struct redo_pos mine, theirs, at = { 0 }, there;
    struct lineage_fork fork;
    struct lineage_end a, b;
    incarnation_t target = engine_incarnation(of->engine);

    apply_stop(n->apply);
    n->apply = NULL;
    if (n->follows != 0) {
        node_apply(n);
        must(engine_log_end(n->engine, n->follows, &mine));
        must(apply_drain(n->apply, mine.lsn));
        apply_stop(n->apply);
        n->apply = NULL;
    }
    must(engine_lineage_merge(n->engine, engine_lineage(of->engine), NULL));
    must(engine_log_end(n->engine, n->follows, &mine));
    must(engine_log_end(of->engine, target, &theirs));
    a = (struct lineage_end){ engine_lineage(n->engine), n->follows, mine.lsn };
    b = (struct lineage_end){ engine_lineage(of->engine), target, theirs.lsn };
    must(lineage_compare(&a, &b, &fork));
    at.lsn = fork.lsn;
    if (fork.inc != 0) {
        must(ship_locate(n->engine, fork.inc, fork.lsn, &at));
        must(ship_locate(of->engine, fork.inc, fork.lsn, &there));
        ck_assert(at.lsn.v == there.lsn.v && hash128_eq(at.chain, there.chain));
    }
    must(engine_follow_cut(n->engine, target, &at, NULL));
    n->follows = target;
    must(engine_follow_start(n->engine, target));
    node_apply(n);
}

/* Frames from the primary's log to the standby's, at most so many; all of them if `most` is 0. */
static void
ship(struct node *from, struct node *to, uint32_t most)
{
    struct redo_cursor *c;
    struct redo_frame *f, *copy;
    struct redo_pos end;
    uint32_t count = 0;

    redo_kick(engine_redo(from->engine));
    if (most == 0)
        must(
            redo_wait_durable(engine_redo(from->engine), redo_reserved(engine_redo(from->engine))));
    must(engine_log_end(to->engine, to->follows, &end));
    must(redo_cursor_open(engine_redo(from->engine), to->follows, end.lsn, &c));
    while ((most == 0 || count++ < most) && redo_cursor_next_frame(c, &f) == 0) {
        must(redo_frame_decode(f->bytes, f->bytes_size, &copy));
        must(redo_append_frame(engine_redo(to->engine), copy, to->follows));
        redo_frame_unref(copy);
    }
    redo_cursor_close(c);
}

/* ---- checking -------------------------------------------------------------------------------- */

static uint32_t
value_of(struct slice v)
{
    ck_assert_uint_ge(v.size, 4);
    for (size_t i = 4; i + 4 <= v.size; i += 1 + v.size / 7)
        ck_assert_uint_eq(v.data[i], v.data[0]);
    return load_u32(v.data);
}

static void
read_table(struct engine *e, const struct read_moment *m, scn_t *scn, uint32_t values[KEYS])
{
    struct txn *t = txn_new(e);
    struct txn_cursor *c;
    struct slice key, value;
    int rc;

    memset(values, 0, KEYS * sizeof *values);
    must(txn_begin(t, TXN_REPEATABLE_READ, true));
    must(txn_statement_begin(t));
    if (m != NULL)
        must(txn_pin_moment(t, *m));
    *scn = m != NULL ? m->scn : txn_snapshot_scn(t);
    must(txn_scan(t, TREE, slice(NULL, 0), slice(NULL, 0), 0, m, &c));
    while ((rc = txn_cursor_next(c, &key, &value)) == 0)
        values[key.data[0]] = value_of(value);
    ck_assert_int_eq(rc, ERR_END);
    txn_cursor_close(c);
    txn_statement_end(t);
    txn_free(t);
}

static const struct state *
state_at(scn_t scn)
{
    static const struct state nothing;

    for (size_t i = history_count; i-- > 0;)
        if (history[i].scn <= scn)
            return &history[i];
    return &nothing;
}

static void
check_values(scn_t scn, const uint32_t values[KEYS], const char *what)
{
    const struct state *s = state_at(scn);

    for (int k = 0; k < KEYS; k++)
        ck_assert_msg(values[k] == s->values[k],
                      "seed %u: %s: key %d at SCN %llu is %u, not %u (of SCN %llu)", first_seed,
                      what, k, (unsigned long long)scn, values[k], s->values[k],
                      (unsigned long long)s->scn);
}

/* APPLY-1: a prefix of the primary's commits. */
static scn_t
check_prefix(struct node *n)
{
    uint32_t values[KEYS];
    scn_t scn;

    read_table(n->engine, NULL, &scn, values);
    check_values(scn, values, "present");
    return scn;
}

/* ---- writing --------------------------------------------------------------------------------- */

static void
put(struct writer_txn *w, int k, uint32_t value, size_t size)
{
    uint8_t key = (uint8_t)k, *bytes;

    must(txn_statement_begin(w->txn));
    if (value == 0) {
        must(txn_delete(w->txn, TREE, slice(&key, 1)));
    } else {
        bytes = xmalloc(size);
        memset(bytes, (uint8_t)value, size);
        store_u32(bytes, value);
        must(txn_put(w->txn, TREE, slice(&key, 1), slice(bytes, size)));
        xfree(bytes);
    }
    txn_statement_end(w->txn);
    w->values[k] = value;
}

static void
begin(struct writer_txn *w)
{
    if (w->txn == NULL)
        w->txn = txn_new(nodes[primary].engine);
    if (txn_is_open(w->txn))
        return;
    must(txn_begin(w->txn, TXN_READ_COMMITTED, false));
    memcpy(w->values, committed, sizeof committed);
    w->savepoint = 0;
}

static void
commit(struct writer_txn *w, int i)
{
    struct commit_token token;

    must(txn_commit(w->txn, &token));
    for (int k = i; k < KEYS; k += WRITERS)
        committed[k] = w->values[k];
    if (token.scn == 0)
        return;
    ck_assert_uint_lt(history_count, HISTORY);
    history[history_count].scn = token.scn;
    memcpy(history[history_count++].values, committed, sizeof committed);
}

/* Makes and fills a tree, and drops it or not, in one transaction or two. */
static void
tree_change(void)
{
    struct txn *t = txn_new(nodes[primary].engine);
    struct commit_token token;
    tree_id_t id;

    must(txn_begin(t, TXN_READ_COMMITTED, false));
    must(txn_tree_create(t, &id));
    ck_assert_uint_gt(id, last_tree);
    last_tree = id;
    must(txn_statement_begin(t));
    must(txn_put(t, id, slice("a", 1), slice("b", 1)));
    txn_statement_end(t);
    if (rnd(2) == 0) {
        txn_rollback(t);
    } else {
        must(txn_commit(t, &token));
        must(txn_begin(t, TXN_READ_COMMITTED, false));
        must(txn_tree_drop(t, id));
        must(txn_commit(t, &token));
    }
    txn_free(t);
}

static void
step_write(void)
{
    int i = (int)rnd(WRITERS), k = i + WRITERS * (int)rnd(KEYS / WRITERS);
    struct writer_txn *w = &writers[i];

    begin(w);
    switch (rnd(12)) {
    case 0:
        commit(w, i);
        break;
    case 1:
        if (rnd(3) == 0)
            txn_rollback(w->txn);
        break;
    case 2:
        must(txn_savepoint(w->txn, &w->savepoint));
        memcpy(w->saved, w->values, sizeof w->saved);
        break;
    case 3:
        if (w->savepoint != 0) {
            txn_rollback_to(w->txn, w->savepoint);
            memcpy(w->values, w->saved, sizeof w->saved);
        }
        break;
    case 4:
        put(w, k, 0, 0);
        break;
    case 5:
        put(w, k, ++next_value, rnd(40) == 0 ? VALUE_BIG : 8000);
        break;
    case 6:
        tree_change();
        break;
    default:
        put(w, k, ++next_value, 4 + rnd(200));
    }
}

/* ---- changes --------------------------------------------------------------------------------- */

static void
restart_standby(struct node *n)
{
    node_unmount(n);
    node_mount(n);
    (void)check_prefix(n);
    must(engine_follow_start(n->engine, n->follows));
    node_apply(n);
}

/* The standby takes over with what it has; the old primary's commits past it are lost, but stay
 * readable, and it follows. */
static void
fail_over(void)
{
    struct node *old = &nodes[primary], *n = &nodes[1 - primary];
    struct read_moment lost = { engine_incarnation(old->engine), engine_newest_scn(old->engine) };
    uint32_t values[KEYS], before[KEYS];
    struct redo_pos end;
    scn_t scn;

    memcpy(before, state_at(lost.scn)->values, sizeof before);
    engine_close_write(old->engine);
    writers_end();
    must(engine_log_end(n->engine, n->follows, &end));
    stop_following(n, end.lsn);
    next_inc++;
    must(engine_open_write(n->engine, next_inc, 1000 + next_inc));
    n->follows = next_inc;
    primary = 1 - primary;
    while (history_count > 0 && history[history_count - 1].scn > end.scn)
        history_count--;
    memcpy(committed, state_at(end.scn)->values, sizeof committed);
    if (rnd(2) == 0) {
        node_unmount(old);
        node_mount(old);
    }
    node_follow(old, n);
    if (lost.scn > end.scn) {
        read_table(old->engine, &lost, &scn, values);
        for (int k = 0; k < KEYS; k++)
            ck_assert_msg(values[k] == before[k], "lost key %d at %u:%llu is %u, not %u", k,
                          lost.inc, (unsigned long long)lost.scn, values[k], before[k]);
    }
}

static void
catch_up(void)
{
    struct node *p = &nodes[primary], *n = &nodes[1 - primary];
    struct redo_pos end;

    ship(p, n, 0);
    must(engine_log_end(n->engine, n->follows, &end));
    must(apply_drain(n->apply, end.lsn));
    engine_follow_pointer(n->engine, n->follows, end.lsn);
    must(engine_wait_visible(n->engine, end.scn, 5000000));
    ck_assert_uint_ge(check_prefix(n), end.scn);
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void
run_random(uint32_t s, int steps)
{
    seed = first_seed = s;
    node_follow(&nodes[1], &nodes[0]);
    catch_up();
    for (int i = 0; i < steps; i++) {
        struct node *n = &nodes[1 - primary];
        uint32_t what = rnd(1000);

        if (what < 940) {
            step_write();
        } else if (what < 985) {
            ship(&nodes[primary], n, 1 + rnd(5));
            engine_follow_pointer(n->engine, n->follows,
                                  redo_durable(engine_redo(nodes[primary].engine)));
            (void)check_prefix(n);
        } else if (what < 990) {
            restart_standby(n);
        } else if (what < 993) {
            fail_over();
        } else if (what < 996) {
            must(engine_flush_all(rnd(2) == 0 ? n->engine : nodes[primary].engine));
        } else {
            catch_up();
        }
    }
    catch_up();
}

START_TEST(test_random_prefix)
{
    const char *given = getenv("APPLY_SEED");

    run_random(given != NULL ? (uint32_t)strtoul(given, NULL, 0) : (uint32_t)_i * 7919 + 1, 600);
}
END_TEST

/* CUT-4: a transaction open where the node left the stream commits after its return. */
START_TEST(test_resume_reads_again)
{
    struct node *p = &nodes[0], *n = &nodes[1];
    struct commit_token token;
    struct redo_pos end;

    seed = 5;
    node_follow(n, p);
    begin(&writers[0]);
    put(&writers[0], 0, ++next_value, VALUE_BIG); /* long enough to have an LSN */
    begin(&writers[1]);
    put(&writers[1], 1, ++next_value, 10);
    commit(&writers[1], 1);
    catch_up();
    must(engine_flush_all(n->engine));
    if (_i == 1)
        restart_standby(n);
    /* A snapshot standby: it opens, writes, and comes back. */
    must(engine_log_end(n->engine, n->follows, &end));
    stop_following(n, end.lsn);
    must(engine_open_write(n->engine, 50, 4711));
    n->follows = 50;
    {
        struct txn *t = txn_new(n->engine);

        must(txn_begin(t, TXN_READ_COMMITTED, false));
        must(txn_statement_begin(t));
        must(txn_put(t, TREE, slice("\1", 1), slice("\1\1\1\1\1", 5)));
        txn_statement_end(t);
        must(txn_commit(t, &token));
        txn_free(t);
    }
    must(engine_compact_all(n->engine));
    engine_close_write(n->engine);
    if (_i == 2) {
        node_unmount(n);
        node_mount(n);
    }
    node_follow(n, p);
    if (_i == 3)
        restart_standby(n);
    commit(&writers[0], 0);
    catch_up();
    ck_assert_uint_eq(state_at(SCN_MAX)->values[0], 1);
}
END_TEST

/* One transaction that writes every key, `rounds` times over. */
static void
commit_all_keys(int rounds, size_t size)
{
    struct writer_txn w = { .txn = txn_new(nodes[primary].engine) };
    struct commit_token token;

    must(txn_begin(w.txn, TXN_READ_COMMITTED, false));
    for (int i = 0; i < rounds * KEYS; i++)
        put(&w, i % KEYS, ++next_value, size);
    must(txn_commit(w.txn, &token));
    txn_free(w.txn);
    memcpy(committed, w.values, sizeof committed);
    history[history_count].scn = token.scn;
    memcpy(history[history_count++].values, committed, sizeof committed);
}

/* APPLY-2: a standby that has no room for a frame's writes waits for it with the frame half done,
 * and shows nothing of it. */
START_TEST(test_waits_for_memory)
{
    struct node *p = &nodes[0], *n = &nodes[1];
    struct apply_figures figures;
    struct redo_pos end;
    scn_t before;

    node_unmount(n);
    n->is_cramped = true;
    n->lanes = 1 + _i;
    node_mount(n);
    node_follow(n, p);
    commit_all_keys(1, 10);
    catch_up();
    before = engine_visible_scn(n->engine);
    commit_all_keys(3, 20000);
    ship(p, n, 0);
    must(engine_log_end(n->engine, n->follows, &end));
    engine_follow_pointer(n->engine, n->follows, end.lsn);
    do {
        env_thread_yield(env);
        apply_get_figures(n->apply, &figures);
    } while (figures.waits == 0);
    ck_assert_uint_eq(check_prefix(n), before);
    while (lsn_lt(engine_applied(n->engine), end.lsn))
        must(engine_flush_all(n->engine));
    catch_up();
    ck_assert_uint_gt(engine_visible_scn(n->engine), before);
}
END_TEST

/* APPLY-3: writes of a key stay in order, whatever lanes there are; a new incarnation in the middle
 * of the stream begins where all before it has been applied. */
START_TEST(test_lanes_keep_order)
{
    struct node *p = &nodes[0], *n = &nodes[1];
    uint32_t values[KEYS];
    struct redo_pos end;
    scn_t scn;

    seed = 8;
    n->lanes = 1 + _i;
    node_follow(n, p);
    catch_up();
    for (int reign = 0; reign < 3; reign++) {
        for (int i = 0; i < 10; i++)
            commit_all_keys(1 + i % 3, 20 + (size_t)i);
        if (reign == 2)
            break;
        engine_close_write(p->engine);
        next_inc++;
        must(engine_open_write(p->engine, next_inc, 1000 + next_inc));
        p->follows = next_inc;
    }
    node_follow(n, p);
    catch_up();
    for (size_t i = 0; i < history_count; i++) {
        struct read_moment m = { 0, history[i].scn };

        read_table(n->engine, &m, &scn, values);
        check_values(scn, values, "past");
    }
    must(engine_log_end(n->engine, n->follows, &end));
    ck_assert_uint_eq(end.inc, next_inc);
}
END_TEST

/* APPLY-4: a standby that flushed and died anywhere between the parts of a long value has it whole
 * when the rest has come. */
START_TEST(test_restarts_within_long_value)
{
    struct node *p = &nodes[0], *n = &nodes[1];
    struct redo_pos end, all;
    int frames = 0;

    seed = 9;
    node_follow(n, p);
    catch_up();
    begin(&writers[0]);
    put(&writers[0], 0, ++next_value, VALUE_BIG);
    begin(&writers[1]);
    put(&writers[1], 1, ++next_value, 10);
    commit(&writers[1], 1);
    commit(&writers[0], 0);
    must(redo_wait_durable(engine_redo(p->engine), redo_reserved(engine_redo(p->engine))));
    must(engine_log_end(p->engine, p->follows, &all));
    do {
        ship(p, n, 1);
        must(engine_log_end(n->engine, n->follows, &end));
        must(apply_drain(n->apply, end.lsn));
        must(engine_flush_all(n->engine));
        restart_standby(n);
        frames++;
    } while (lsn_lt(end.lsn, all.lsn));
    ck_assert_int_gt(frames, 2);
    catch_up();
    ck_assert_uint_eq(state_at(SCN_MAX)->values[0], 1);
}
END_TEST

/* FO-32: nothing becomes visible that the primary has not published. */
START_TEST(test_pointer_bounds_visible)
{
    struct node *p = &nodes[0], *n = &nodes[1];
    struct redo_pos end;
    scn_t before;

    seed = 6;
    node_follow(n, p);
    begin(&writers[0]);
    put(&writers[0], 0, ++next_value, 10);
    commit(&writers[0], 0);
    catch_up();
    before = engine_visible_scn(n->engine);
    put((begin(&writers[0]), &writers[0]), 0, ++next_value, 10);
    commit(&writers[0], 0);
    ship(p, n, 0);
    must(engine_log_end(n->engine, n->follows, &end));
    must(apply_drain(n->apply, end.lsn));
    ck_assert_uint_eq(engine_visible_scn(n->engine), before);
    engine_follow_pointer(n->engine, n->follows + 1, end.lsn); /* another reign */
    ck_assert_uint_eq(engine_visible_scn(n->engine), before);
    engine_follow_pointer(n->engine, n->follows, end.lsn);
    must(engine_wait_visible(n->engine, end.scn, 5000000));
    ck_assert_uint_gt(check_prefix(n), before);
}
END_TEST

static uint8_t
read_key(struct txn *t, tree_id_t tree)
{
    struct slice value;

    must(txn_get(t, tree, slice("k", 1), NULL, &value));
    return value.data[0];
}

static void
write_both(struct engine *e, uint8_t value)
{
    struct txn *t = txn_new(e);
    struct commit_token token;

    must(txn_begin(t, TXN_READ_COMMITTED, false));
    must(txn_statement_begin(t));
    must(txn_put(t, TREE, slice("k", 1), slice(&value, 1)));
    must(txn_put(t, TREE + 1, slice("k", 1), slice(&value, 1)));
    txn_statement_end(t);
    must(txn_commit(t, &token));
    must(engine_wait_visible(e, token.scn, 5000000));
    txn_free(t);
}

/* CUT-6: one tree is read before the cut, the other one after it; `_i` 1: in a later statement, and
 * in a tree whose memtable has been flushed. */
START_TEST(test_reads_one_branch)
{
    struct node *old = &nodes[0], *n = &nodes[1];
    struct redo_pos end;
    struct txn *t;

    seed = 10;
    node_follow(n, old);
    write_both(old->engine, 1);
    ship(old, n, 0);
    must(engine_log_end(n->engine, n->follows, &end));
    stop_following(n, end.lsn);
    write_both(old->engine, 2); /* is lost */
    t = txn_new(old->engine);
    must(txn_begin(t, TXN_REPEATABLE_READ, true));
    must(txn_statement_begin(t));
    ck_assert_uint_eq(read_key(t, TREE), 2);
    engine_close_write(old->engine);
    next_inc++;
    must(engine_open_write(n->engine, next_inc, 1000 + next_inc));
    n->follows = next_inc;
    primary = 1;
    write_both(n->engine, 3);
    node_follow(old, n);
    if (_i == 1) {
        txn_statement_end(t);
        must(engine_flush_all(old->engine));
        must(txn_statement_begin(t));
    }
    ck_assert_uint_eq(read_key(t, TREE + 1), 2);
    ship(n, old, 0);
    must(engine_log_end(old->engine, old->follows, &end));
    must(apply_drain(old->apply, end.lsn));
    engine_follow_pointer(old->engine, old->follows, end.lsn);
    must(engine_wait_visible(old->engine, end.scn, 5000000));
    ck_assert_uint_eq(read_key(t, TREE + 1), 2);
    txn_rollback(t);
    must(txn_begin(t, TXN_READ_COMMITTED, true));
    must(txn_statement_begin(t));
    ck_assert_uint_eq(read_key(t, TREE + 1), 3);
    txn_free(t);
}
END_TEST

int
main(void)
{
    Suite *s = suite_create("apply");
    TCase *tc = tcase_create("apply");
    SRunner *r = srunner_create(s);
    int failed;

    suite_add_tcase(s, tc);
    tcase_set_timeout(tc, 0);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, test_pointer_bounds_visible);
    tcase_add_loop_test(tc, test_waits_for_memory, 0, 2);
    tcase_add_loop_test(tc, test_lanes_keep_order, 0, 3);
    tcase_add_loop_test(tc, test_reads_one_branch, 0, 2);
    tcase_add_test(tc, test_restarts_within_long_value);
    tcase_add_loop_test(tc, test_resume_reads_again, 0, 4);
    tcase_add_loop_test(tc, test_random_prefix, 0, 6);
    srunner_set_fork_status(r, CK_NOFORK);
    srunner_run_all(r, CK_NORMAL);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
