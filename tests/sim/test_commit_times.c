/* TXNE-10: when commits were is known of a primary that died with rows of times in its redo which
 * nobody was shown before it opened again, and so stored them once more.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/env.h"
#include "engine/engine.h"
#include "engine/redo/redo.h"
#include "tests/support/sim_test.h"

enum { COMMITS_MAX = 8, SECOND_US = 1000000, SEEDS = 5 };

struct world {
    struct env *node;
    struct commit_token told[COMMITS_MAX];
    int count;
    uint32_t looks;
};

static void
must(int rc, const char *what)
{
    if (rc == 0)
        return;
    fprintf(stderr, "%s: %s (%s)\n", what, diag_last()->message, err_name(rc));
    abort();
}

static struct engine *
mount(struct world *w)
{
    struct engine_options o = { .env = w->node,
                                .dir = "/db",
                                .memtable_bytes = 1 << 20,
                                .ring_bytes = 1 << 20,
                                .redo_file_bytes = 64 << 10 };
    struct engine *e;

    must(engine_mount(&o, &e), "mount");
    return e;
}

static void
put(struct world *w, struct engine *e)
{
    struct commit_token *told = &w->told[w->count++];
    struct txn *t = txn_new(e);

    must(txn_begin(t, TXN_READ_COMMITTED, false), "begin");
    must(txn_statement_begin(t), "statement");
    must(txn_put(t, 1, slice_str("a"), slice_str("1")), "put");
    txn_statement_end(t);
    must(txn_commit(t, told), "commit");
    must(engine_wait_visible(e, told->scn, UINT64_MAX), "wait");
    txn_free(t);
}

/* Until the keeper has stored times with a commit of its own. */
static void
wait_for_row(struct world *w, struct engine *e)
{
    scn_t before = engine_visible_scn(e);

    while (engine_visible_scn(e) == before)
        env_sleep_us(w->node, SECOND_US / 100);
}

static void
check(struct world *w, struct engine *e)
{
    for (int i = 0; i < w->count; i++) {
        const struct commit_token *told = &w->told[i];
        uint64_t time;
        scn_t scn;

        must(engine_time_of_scn(e, told->scn, &time), "the time of a commit");
        CHECK(time == told->time_us);
        must(engine_scn_at_time(e, told->time_us, &scn), "the commit of a time");
        CHECK(scn == told->scn);
    }
    w->looks++;
}

/* For want of room the manifest does not say what was shown of rows and commits. */
static void
first_main(void *arg)
{
    struct world *w = arg;
    struct sim_fault f = { .ops = SIM_OP_WRITE, .kind = SIM_FAULT_ENOSPC, .path = "manifest" };
    struct engine *e;
    uint64_t id;

    must(engine_create(w->node, "/db", &id), "create");
    e = mount(w);
    must(engine_open_write(e, 1, 1), "open for writing");
    put(w, e);
    wait_for_row(w, e);
    env_sleep_us(w->node, 2 * SECOND_US);
    sim_fault_add(w->node, &f);
    put(w, e);
    put(w, e);
    wait_for_row(w, e);
    put(w, e);
    wait_for_row(w, e);
    put(w, e);
    check(w, e);
    sim_node_kill(w->node);
}

static void
hold_back(void *arg, struct lsn durable, scn_t scn)
{
    (void)arg;
    (void)durable;
    (void)scn;
}

/* Acknowledgement comes once times are stored; then flushes, which let redo go. */
static void
second_main(void *arg)
{
    struct world *w = arg;
    struct commit_gate gate = { .on_durable = hold_back };
    struct engine *e;
    scn_t end;

    sim_fault_clear(w->node);
    e = mount(w);
    engine_set_gate(e, &gate);
    end = engine_newest_scn(e);
    CHECK(engine_visible_scn(e) < w->told[1].scn);
    must(engine_open_write(e, 2, 2), "open for writing");
    while (engine_newest_scn(e) == end)
        env_sleep_us(w->node, SECOND_US / 100);
    engine_set_gate(e, NULL);
    engine_publish(e, redo_reserved(engine_redo(e)));
    for (int i = 0; i < 2; i++) {
        env_sleep_us(w->node, 3 * SECOND_US);
        must(engine_flush_all(e), "flush");
    }
    check(w, e);
    sim_node_kill(w->node);
}

static void
third_main(void *arg)
{
    struct world *w = arg;
    struct engine *e = mount(w);

    engine_publish(e, lsn_make(UINT64_MAX));
    check(w, e);
    engine_close(e);
}

static void
body(struct sim *sim, uint64_t seed, void *arg)
{
    struct world w = { .node = sim_node_new(sim, "a") };

    (void)seed;
    (void)arg;
    sim_test_run_node(sim, w.node, first_main, &w);
    sim_test_run_node(sim, w.node, second_main, &w);
    sim_test_run_node(sim, w.node, third_main, &w);
    CHECK(w.looks == 3);
}

int
main(void)
{
    sim_test_seeds(SEEDS, body, NULL);
    return 0;
}
