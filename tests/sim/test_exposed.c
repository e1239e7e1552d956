/* G3: a standby that is killed and starts again shows no less than it had shown, and never what a
 * cut has taken out of sight or what its redo does not have.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/env.h"
#include "engine/engine.h"
#include "tests/support/sim_test.h"

enum { COMMITS = 12, SEEDS = 20 };

struct world {
    struct sim *sim;
    struct env *node;
    struct commit_token told[COMMITS];
    scn_t shown, floor; /* by the life before; below which nobody may be shown */
    int value;          /* and what was read there */
    int ends;           /* 0: returns, 1: killed, 2: the power is cut */
    uint32_t inc;
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
    struct engine_options o = {
        .env = w->node, .dir = "/db", .memtable_bytes = 1 << 20, .redo_file_bytes = 1 << 20
    };
    struct engine *e;

    must(engine_mount(&o, &e), "mount");
    return e;
}

static void
end_life(struct world *w, struct engine *e)
{
    w->looks++;
    if (w->ends == 1)
        sim_node_kill(w->node);
    if (w->ends == 2)
        sim_node_crash(w->node);
    engine_close(e);
}

static void
write_main(void *arg)
{
    struct world *w = arg;
    struct engine *e;
    struct txn *t;
    uint64_t id;

    must(engine_create(w->node, "/db", &id), "create");
    e = mount(w);
    must(engine_open_write(e, ++w->inc, 1), "open for writing");
    t = txn_new(e);
    for (int i = 0; i < COMMITS; i++) {
        must(txn_begin(t, TXN_READ_COMMITTED, false), "begin");
        must(txn_statement_begin(t), "statement");
        must(txn_put(t, 1, slice_str("a"), slice(&i, sizeof i)), "put");
        txn_statement_end(t);
        must(txn_commit(t, &w->told[i]), "commit");
        must(engine_wait_visible(e, w->told[i].scn, UINT64_MAX), "wait");
    }
    sim_node_kill(w->node);
}

static int
read_value(struct engine *e)
{
    struct txn *t = txn_new(e);
    struct slice value;
    int i;

    must(txn_begin(t, TXN_READ_COMMITTED, true), "begin");
    must(txn_statement_begin(t), "statement");
    must(txn_get(t, 1, slice_str("a"), NULL, &value), "get");
    CHECK(value.size == sizeof i);
    memcpy(&i, value.data, sizeof i);
    txn_free(t);
    return i;
}

/* As a standby: what it shows first, and then what its primary lets it show. */
static void
show_main(void *arg)
{
    struct world *w = arg;
    struct engine *e = mount(w);

    CHECK(engine_visible_scn(e) >= w->floor);
    CHECK(engine_visible_scn(e) <= engine_newest_scn(e));
    engine_publish(e, lsn_make(UINT64_MAX));
    CHECK(engine_visible_scn(e) == engine_newest_scn(e));
    w->shown = engine_visible_scn(e);
    w->value = read_value(e);
    end_life(w, e);
}

static void
cut_main(void *arg)
{
    struct world *w = arg;
    struct engine *e = mount(w);
    scn_t to = w->told[COMMITS / 2].scn;

    must(engine_open_write_at(e, ++w->inc, 1, to), "a cut");
    CHECK(engine_visible_scn(e) <= to);
    w->shown = 0;
    end_life(w, e);
}

static void
body(struct sim *sim, uint64_t seed, void *arg)
{
    struct world w = { .sim = sim, .node = sim_node_new(sim, "a") };

    (void)seed;
    (void)arg;
    sim_test_run_node(sim, w.node, write_main, &w);
    for (int life = 0; life < 6; life++) {
        w.ends = 1 + (int)sim_random(sim, 2);
        sim_test_run_node(sim, w.node, show_main, &w);
        w.floor = w.ends == 1 ? w.shown : 0;
        CHECK(w.looks == (uint32_t)life + 1);
    }
    w.ends = (int)sim_random(sim, 2);
    sim_test_run_node(sim, w.node, cut_main, &w);
    w.floor = 0;
    w.ends = 1;
    sim_test_run_node(sim, w.node, show_main, &w);
    CHECK(w.shown >= w.told[COMMITS / 2].scn && w.value == COMMITS / 2);
    CHECK(w.looks == 8);
}

int
main(void)
{
    sim_test_seeds(SEEDS, body, NULL);
    puts("1 passed, 0 failed");
    return 0;
}
