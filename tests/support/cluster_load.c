/* The clients of a cluster_world. A writer looks for the member that takes writes, as a driver with
 * target_session_attrs=read-write does, and moves money or appends its number to lists; a reader
 * reads all tables in one snapshot, on any member.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/cluster_world.h"
#include "tests/support/sim_wire.h"

#define CONNECT_US (1 * SIM_SECOND)
#define ANSWER_US  (8 * SIM_SECOND)
enum { PAD_MAX = 1500, TEXT_MAX = 16 << 10 };

struct client {
    struct cluster *cluster;
    struct sim_wire wire;
    int member; /* that it is connected with; or was */
    unsigned life;
    uint32_t session;
    char text[TEXT_MAX];
};

static bool
connect_to(struct client *k, int member)
{
    struct cluster *c = k->cluster;
    char at[32];

    snprintf(at, sizeof at, "%s:5433", c->node[member].name);
    k->member = member;
    if (sim_wire_connect(&k->wire, at, CONNECT_US) != SIM_WIRE_OK)
        return false;
    k->life = c->node[member].life;
    k->session = ++c->sessions;
    return true;
}

/* ---- writers --------------------------------------------------------------------------------- */

static bool
find_primary(struct client *k)
{
    struct cluster *c = k->cluster;
    int last = k->member;

    for (int i = 0; i < CLUSTER_NODES && !c->stopping; i++) {
        if (connect_to(k, (last + i) % CLUSTER_NODES) &&
            sim_wire_query(&k->wire, CONNECT_US, "SELECT open_mode FROM v$database") ==
                SIM_WIRE_OK &&
            strcmp(sim_wire_field(&k->wire, 0, 0), "READ WRITE") == 0)
            return true;
        sim_wire_close(&k->wire);
    }
    cluster_sleep(c, 10000 + cluster_random(c, 40000));
    return false;
}

static void
put(struct client *k, const char *format, ...)
{
    size_t used = strlen(k->text);
    va_list ap;

    va_start(ap, format);
    vsnprintf(k->text + used, sizeof k->text - used, format, ap);
    va_end(ap);
}

/* Text that makes rows of all sizes; a little of it does not compress. */
static void
put_pad(struct client *k)
{
    uint64_t size = cluster_random(k->cluster, PAD_MAX);

    put(k, ", pad = '");
    for (uint64_t i = 0; i < size / 16; i++)
        put(k, "%016llx", (unsigned long long)cluster_random(k->cluster, UINT64_MAX));
    put(k, "'");
}

/* One statement of the transaction into k->text. Returns how many there are at least. */
static void
put_append(struct client *k, struct write *w, uint32_t id, int list)
{
    w->lists |= (uint8_t)(1 << list);
    put(k, "UPDATE lists SET v = v || '%u,'", id);
    if (cluster_chance(k->cluster, 20))
        put_pad(k);
    put(k, " WHERE k = %d;", list);
}

static void
put_transfer(struct client *k, struct write *w, uint32_t id)
{
    struct cluster *c = k->cluster;

    w->from = (int)cluster_random(c, ACCOUNTS);
    w->to = (w->from + 1 + (int)cluster_random(c, ACCOUNTS - 1)) % ACCOUNTS;
    put(k, "UPDATE bank SET balance = balance - 5");
    put_pad(k);
    put(k, " WHERE id = %d;UPDATE bank SET balance = balance + 5 WHERE id = %d;", w->from, w->to);
    put(k, "INSERT INTO ledger VALUES (%u, %d, %d, 5);", id, w->from, w->to);
}

/* What the transaction does; whether between BEGIN and COMMIT, in one message, is not said here. */
static void
put_statements(struct client *k, struct write *w, uint32_t id)
{
    struct cluster *c = k->cluster;
    uint64_t lists = 1 + cluster_random(c, 3), first = cluster_random(c, LISTS);
    bool bank = cluster_chance(c, 50);

    k->text[0] = '\0';
    put(k, "SELECT incarnation FROM v$database;");
    if (bank)
        put_transfer(k, w, id);
    if (!bank || cluster_chance(c, 30))
        for (uint64_t i = 0; i < lists; i++)
            put_append(k, w, id, (int)((first + i) % LISTS));
}

/* 40001 and 40P01 say that nothing happened; so does any error before COMMIT was sent. What comes
 * with COMMIT may say that the outcome is not known. */
static enum outcome
judge(const struct client *k, enum sim_wire_result r, bool commit_sent)
{
    const char *s = k->wire.sqlstate;

    if (r == SIM_WIRE_OK)
        return OUTCOME_ACKED;
    if (!commit_sent)
        return OUTCOME_REFUSED;
    if (r == SIM_WIRE_ERROR && (strcmp(s, "40001") == 0 || strcmp(s, "40P01") == 0))
        return OUTCOME_REFUSED;
    return OUTCOME_UNKNOWN;
}

static enum outcome
run_in_steps(struct client *k, struct write *w)
{
    struct cluster *c = k->cluster;
    char *at = k->text, *end;
    bool repeatable = cluster_chance(c, 30), rests = cluster_chance(c, 10);
    enum sim_wire_result r = sim_wire_query(
        &k->wire, ANSWER_US, repeatable ? "BEGIN ISOLATION LEVEL REPEATABLE READ" : "BEGIN");

    while (r == SIM_WIRE_OK && (end = strchr(at, ';')) != NULL) {
        *end = '\0';
        r = sim_wire_query(&k->wire, ANSWER_US, at);
        if (r == SIM_WIRE_OK && at == k->text)
            w->inc = (incarnation_t)sim_wire_int(&k->wire, 0, 0);
        at = end + 1;
        if (rests)
            cluster_sleep(c, cluster_random(c, 20000));
    }
    if (r != SIM_WIRE_OK)
        return judge(k, r, false);
    if (cluster_chance(c, 3)) {
        (void)sim_wire_query(&k->wire, ANSWER_US, "ROLLBACK");
        return OUTCOME_REFUSED;
    }
    return judge(k, sim_wire_query(&k->wire, ANSWER_US, "COMMIT"), true);
}

static enum outcome
run_at_once(struct client *k, struct write *w)
{
    enum sim_wire_result r = sim_wire_query(&k->wire, ANSWER_US, k->text);

    if (r == SIM_WIRE_OK)
        w->inc = (incarnation_t)sim_wire_int(&k->wire, 0, 0);
    return judge(k, r, true);
}

static void
write_one(struct client *k)
{
    struct cluster *c = k->cluster;
    uint32_t id = c->writes++;
    struct write *w = &c->write[id];

    *w = (struct write){ .begun = cluster_now(c), .member = k->member };
    put_statements(k, w, id);
    w->outcome = cluster_chance(c, 50) ? run_at_once(k, w) : run_in_steps(k, w);
    w->ended = cluster_now(c);
    w->alone = c->node[w->member].alone_until >= w->begun;
    c->acked += w->outcome == OUTCOME_ACKED;
    if (w->outcome != OUTCOME_ACKED)
        sim_wire_close(&k->wire);
}

static void
writer_main(void *arg)
{
    struct client *k = arg;
    struct cluster *c = k->cluster;

    sim_wire_init(&k->wire, c->clients);
    while (!c->stopping && c->writes < WRITES_MAX) {
        if (k->wire.sock == NULL) { /* others write meanwhile */
            (void)find_primary(k);
            continue;
        }
        write_one(k);
        if (cluster_chance(c, 20))
            cluster_sleep(c, cluster_random(c, 30000));
    }
    sim_wire_fini(&k->wire);
    c->running--;
    xfree(k);
}

/* ---- readers --------------------------------------------------------------------------------- */

static void
take_snapshot(struct client *k, struct seen *s)
{
    const struct sim_wire *w = &k->wire;
    int row = 0;

    if (s->scn == 0) {
        s->scn = (scn_t)sim_wire_int(w, row, 0);
        s->primary = strcmp(sim_wire_field(w, row++, 1), "READ WRITE") == 0;
    }
    for (int i = 0; i < LISTS; i++)
        s->list[i] = strdup(sim_wire_field(w, row++, 0));
    for (int i = 0; i < ACCOUNTS; i++)
        s->balance[i] = sim_wire_int(w, row++, 0);
    s->transfers = (uint32_t)sim_wire_int(w, row, 0);
}

static bool
read_one(struct client *k)
{
    static const char now[] = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;"
                              "SELECT current_scn, open_mode FROM v$database;"
                              "SELECT v FROM lists ORDER BY k;"
                              "SELECT balance FROM bank ORDER BY id;"
                              "SELECT count(*) FROM ledger;"
                              "COMMIT";
    struct cluster *c = k->cluster;
    struct seen *s, read = { .begun = cluster_now(c), .member = k->member, .session = k->session };

    if (sim_wire_query(&k->wire, ANSWER_US, now) != SIM_WIRE_OK)
        return false;
    if (c->seens == SEEN_MAX)
        return true;
    s = &c->seen[c->seens++];
    *s = read;
    s->life = k->life;
    s->ended = cluster_now(c);
    take_snapshot(k, s);
    c->reads++;
    c->standby_reads += !s->primary;
    return true;
}

static void
reader_main(void *arg)
{
    struct client *k = arg;
    struct cluster *c = k->cluster;

    sim_wire_init(&k->wire, c->clients);
    while (!c->stopping) {
        if (k->wire.sock == NULL && !connect_to(k, (int)cluster_random(c, CLUSTER_NODES))) {
            cluster_sleep(c, 20000 + cluster_random(c, 50000));
            continue;
        }
        if (!read_one(k) || cluster_chance(c, 5))
            sim_wire_close(&k->wire);
        cluster_sleep(c, cluster_random(c, 60000));
    }
    sim_wire_fini(&k->wire);
    c->running--;
    xfree(k);
}

/* ---- all of them ----------------------------------------------------------------------------- */

static void
start(struct cluster *c, const char *name, void (*fn)(void *arg))
{
    struct client *k = xcalloc(1, sizeof *k);

    k->cluster = c;
    c->running++;
    (void)env_thread_start(c->clients, name, fn, k);
}

void
cluster_load(struct cluster *c, int writers, int readers)
{
    c->stopping = false;
    for (int i = 0; i < writers; i++)
        start(c, "writer", writer_main);
    for (int i = 0; i < readers; i++)
        start(c, "reader", reader_main);
}

static bool
none_runs(struct cluster *c, void *arg)
{
    (void)arg;
    return c->running == 0 && c->commands == 0;
}

void
cluster_unload(struct cluster *c)
{
    c->stopping = true;
    EXPECT(c, cluster_wait(c, 120 * SIM_SECOND, none_runs, NULL),
           "%d clients and %d commands do not end", c->running, c->commands);
}
