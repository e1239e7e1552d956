/* The storage engine in the simulated world: a bank and a ledger under power cuts on a disk that
 * loses what was not synced (A1 to A13, B3; TXNE-2). After each cut the engine is mounted again:
 * every acknowledged commit is there, the accounts add up, AS OF answers as it did before, and what
 * is there is a prefix in SCN order (A8).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/fiber.h"
#include "engine/base/task.h"
#include "engine/engine.h"
#include "tests/support/sim_test.h"

enum { ACCOUNTS = 8, FIBERS = 5, CUTS = 4, TREE_BANK = 1, TREE_LOG = 2, LEDGER_MAX = 20000 };

/* What the client knows: it lives outside of the node. Ids are given in order; acked[id] holds the
 * SCN that the client was told. */
struct world {
    struct sim *sim;
    struct env *node;
    uint32_t next_inc;
    uint32_t asked;
    scn_t acked[LEDGER_MAX];
    uint32_t acked_count, wanted;
    long sum_at[64]; /* by moment remembered */
    scn_t moment[64];
    int moment_count;
    bool checked;
};

static void
must(int rc, const char *what)
{
    if (rc != 0) {
        fprintf(stderr, "%s: %s (%s)\n", what, diag_last()->message, err_name(rc));
        abort();
    }
}

static struct engine *
open_engine(struct world *w)
{
    struct engine_options o = {
        .env = w->node,
        .dir = "/db",
        .memtable_bytes = 1 << 20,
        .memtable_each = 16 << 10, /* small, so that flushes and merges happen */
        .cache_bytes = 1 << 20,
        .ring_bytes = 64 << 10,
        .redo_file_bytes = 1 << 20,
    };
    struct engine *e;

    must(engine_mount(&o, &e), "mount");
    w->next_inc++;
    must(engine_open_write(e, w->next_inc, w->next_inc), "open for writing");
    return e;
}

/* ---- the load ---------------------------------------------------------------------------------
 */

struct client {
    struct world *w;
    struct engine *engine;
};

static int
add_to(struct txn *t, unsigned account, int amount)
{
    char key[8], text[16];
    struct txn_row row;
    int rc;

    snprintf(key, sizeof key, "a%u", account);
    do {
        rc = txn_read_newest(t, TREE_BANK, slice_str(key), LOCK_WAIT, &row);
        if (rc != 0)
            return rc;
        snprintf(text, sizeof text, "%.*s", row.found ? (int)row.value.size : 1,
                 row.found ? (const char *)row.value.data : "0");
        snprintf(text, sizeof text, "%d", atoi(text) + amount);
        rc = txn_write(t, TREE_BANK, slice_str(key), TXN_PUT, slice_str(text), &row);
    } while (rc == ERR_AGAIN);
    return rc;
}

static int
transfer(struct world *w, struct txn *t, uint32_t id, struct commit_token *token)
{
    unsigned from = (unsigned)sim_random(w->sim, ACCOUNTS), to;
    char key[16], value[200];
    int rc = txn_begin(t, TXN_READ_COMMITTED, false);

    to = (from + 1 + (unsigned)sim_random(w->sim, ACCOUNTS - 1)) % ACCOUNTS;
    memset(value, 'v', sizeof value);
    snprintf(key, sizeof key, "%08u", id);
    if (rc == 0)
        rc = txn_statement_begin(t);
    if (rc == 0)
        rc = add_to(t, from, -5);
    if (sim_random(w->sim, 3) == 0)
        fiber_sleep_us(sim_random(w->sim, 2000));
    if (rc == 0)
        rc = add_to(t, to, 5);
    if (rc == 0)
        rc = txn_put(t, TREE_LOG, slice_str(key), slice(value, sizeof value));
    if (rc == 0) {
        txn_statement_end(t);
        rc = txn_commit(t, token);
    }
    if (rc != 0 && txn_is_open(t))
        txn_rollback(t);
    return rc;
}

static void
client_fiber(void *arg)
{
    struct client *c = arg;
    struct world *w = c->w;
    struct txn *t = txn_new(c->engine);

    while (w->asked + 1 < LEDGER_MAX) {
        uint32_t id = ++w->asked;
        struct commit_token token;
        int rc = transfer(w, t, id, &token);

        if (rc == ERR_DEADLOCK)
            continue;
        must(rc, "transfer");
        must(engine_wait_visible(c->engine, token.scn, UINT64_MAX), "wait");
        w->acked[id] = token.scn;
        w->acked_count++;
    }
}

static void
load_main(void *arg)
{
    struct world *w = arg;
    struct client c = { w, open_engine(w) };
    struct sched *s = sched_new(w->node);

    for (int i = 0; i < FIBERS; i++)
        fiber_start(s, "client", 0, client_fiber, &c);
    sched_run(s, false);
}

static bool
enough(void *arg)
{
    const struct world *w = arg;

    return w->acked_count >= w->wanted;
}

/* ---- checking ---------------------------------------------------------------------------------
 */

static long
bank_sum(struct txn *t, const struct read_moment *m)
{
    struct txn_cursor *c;
    struct slice key, value;
    char text[16];
    long sum = 0;
    int rc;

    must(txn_scan(t, TREE_BANK, slice("", 0), slice(NULL, 0), 0, m, &c), "scan");
    while ((rc = txn_cursor_next(c, &key, &value)) == 0) {
        snprintf(text, sizeof text, "%.*s", (int)value.size, (const char *)value.data);
        sum += atol(text);
    }
    if (rc != ERR_END)
        must(rc, "scan");
    txn_cursor_close(c);
    return sum;
}

static void
expect(struct world *w, bool holds, const char *what, uint64_t number)
{
    if (holds)
        return;
    fprintf(stderr, "incarnation %u: %s (%" PRIu64 ")\n", w->next_inc, what, number);
    abort();
}

/* The acknowledged are there; whoever else is there was asked for. */
static void
check_ledger(struct world *w, struct txn *t)
{
    struct txn_cursor *c;
    struct slice key, value;
    uint32_t last = 0;
    char text[16];
    int rc;

    must(txn_scan(t, TREE_LOG, slice("", 0), slice(NULL, 0), 0, NULL, &c), "scan");
    while ((rc = txn_cursor_next(c, &key, &value)) == 0) {
        uint32_t id;

        snprintf(text, sizeof text, "%.*s", (int)key.size, (const char *)key.data);
        id = (uint32_t)atoi(text);
        expect(w, id > last && id <= w->asked, "a row that nobody wrote", id);
        for (uint32_t missing = last + 1; missing < id; missing++)
            expect(w, w->acked[missing] == 0, "an acknowledged commit is lost", missing);
        expect(w, value.size == 200, "half a row", id);
        last = id;
    }
    if (rc != ERR_END)
        must(rc, "scan");
    txn_cursor_close(c);
    for (uint32_t missing = last + 1; missing <= w->asked; missing++)
        expect(w, w->acked[missing] == 0, "an acknowledged commit is lost", missing);
}

static void
check_main(void *arg)
{
    struct world *w = arg;
    struct engine *e = open_engine(w);
    struct txn *t = txn_new(e);
    scn_t newest = engine_newest_scn(e);

    must(engine_wait_visible(e, newest, UINT64_MAX), "wait");
    must(txn_begin(t, TXN_READ_COMMITTED, true), "begin");
    must(txn_statement_begin(t), "statement");
    expect(w, bank_sum(t, NULL) == 0, "the accounts do not add up", 0);
    check_ledger(w, t);
    for (int i = 0; i < w->moment_count; i++) {
        struct read_moment m = { 0, w->moment[i] };

        if (m.scn < engine_horizon(e))
            continue;
        must(txn_pin_moment(t, m), "a moment of the past");
        expect(w, bank_sum(t, &m) == 0, "the accounts of the past do not add up", m.scn);
    }
    txn_statement_end(t);
    txn_free(t);
    if (w->moment_count < 64)
        w->moment[w->moment_count++] = newest;
    engine_close(e);
    w->checked = true;
}

/* ---- one seed -----------------------------------------------------------------------------------
 */

static void
create_main(void *arg)
{
    struct world *w = arg;
    uint64_t id;

    must(engine_create(w->node, "/db", &id), "create");
}

static void
one_seed(struct sim *sim, uint64_t seed, void *arg)
{
    struct world *w = calloc(1, sizeof *w);

    (void)seed;
    (void)arg;
    w->sim = sim;
    w->node = sim_node_new(sim, "a");
    sim_test_run_node(sim, w->node, create_main, w);
    for (int cut = 0; cut < CUTS; cut++) {
        w->wanted = w->acked_count + 1 + (uint32_t)sim_random(sim, 250);
        sim_node_start(w->node, load_main, w);
        /* Sometimes the power fails while it is still opening. */
        if (sim_random(sim, 4) == 0)
            (void)sim_run(sim, sim_random(sim, 20000), NULL, NULL);
        else
            sim_test_run(sim, 600 * SIM_SECOND, enough, w, SIM_DONE);
        if (sim_random(sim, 3) == 0)
            sim_node_kill(w->node);
        else
            sim_node_crash(w->node);
        w->checked = false;
        sim_test_run_node(sim, w->node, check_main, w);
        expect(w, w->checked, "the check did not end", (uint64_t)cut);
    }
    free(w);
}

int
main(void)
{
    sim_test_seeds(12, one_seed, NULL);
    puts("1 passed, 0 failed");
    return 0;
}
