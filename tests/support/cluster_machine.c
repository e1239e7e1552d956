/* Machines of a cluster_world: making, starting, ending them; the operator.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "node/command.h"
#include "node/command_call.h"
#include "node/node_int.h"
#include "tests/support/cluster_world.h"
#include "tests/support/sim_wire.h"

#define DIR "/db"
#define KEY "/cluster.key"
enum { STOP_POLL_US = 10000, READY_US = 30000000, WORDS_MAX = 8, ANSWER_MAX = 16384 };

/* ---- files ----------------------------------------------------------------------------------- */

static int
put_file(struct env *env, const char *path, const void *data, size_t size)
{
    struct env_file *f;
    int flags = ENV_WRITE | ENV_CREATE | ENV_TRUNCATE | ENV_MODE_PRIVATE;
    int rc = env_open(env, path, flags, &f);

    if (rc != 0)
        return rc;
    rc = env_pwrite(f, data, size, 0);
    if (rc == 0)
        rc = env_sync(f);
    env_close(f);
    return rc;
}

static const struct node_options small = { .memtable_bytes = 1 << 20 };

/* Small figures, so that what is rare is common. */
static int
put_conf(struct cluster_node *n, const char *host)
{
    char text[1024];
    int size = snprintf(text, sizeof text,
                        "name: %s\n"
                        "sql: { listen: [\"%s:5433\"], workers: 2 }\n"
                        "guard: { listen: [\"%s:7433\"], heartbeat: 100ms, net_timeout: 1s }\n"
                        "memory: { cache: 1MB, query: 32MB }\n"
                        "redo: { ring: 1MB, file_size: 1MB, keep: 256MB }\n"
                        "retention: { time: 2d }\n", /* longer than clocks jump */
                        n->name, host, n->name);

    return put_file(n->env, DIR "/redoubt.yaml", text, (size_t)size);
}

static int
take_key(struct cluster_node *n)
{
    struct env_file *f;
    int rc = env_open(n->env, DIR KEY, ENV_READ, &f);

    if (rc != 0)
        return rc;
    rc = env_pread(f, n->cluster->key, sizeof n->cluster->key, 0, &n->cluster->key_size);
    env_close(f);
    return rc;
}

/* ---- what runs on a machine ------------------------------------------------------------------ */

static bool
failed(struct cluster_node *n, int rc)
{
    if (rc == 0)
        return false;
    n->rc = rc;
    snprintf(n->why, sizeof n->why, "%s: %s", err_name(rc), diag_last()->message);
    return true;
}

/* As redoubtd does: a node that has taken a base copy over itself is opened anew. */
static void
node_th_main(void *arg)
{
    struct cluster_node *n = arg;
    struct node *node;

    while (!n->want_stop && !failed(n, node_open(n->env, DIR, &small, &node))) {
        n->node = node;
        while (!n->want_stop && !node_wants_reopen(node))
            env_sleep_us(n->env, STOP_POLL_US);
        n->node = NULL;
        n->closed_unseen = true;
        n->reopened = true;
        node_close(node);
    }
}

static int
first_tables(struct cluster_node *n)
{
    static const char make[] =
        "CREATE TABLE lists (k int PRIMARY KEY, v text NOT NULL, pad text);"
        "CREATE TABLE bank (id int PRIMARY KEY, balance int NOT NULL, pad text);"
        "CREATE TABLE ledger (id int PRIMARY KEY, source int, target int, amount int);"
        "CREATE INDEX ledger_source ON ledger (source);"
        "INSERT INTO lists SELECT g, '', '' FROM generate_series(0, %d) g;"
        "INSERT INTO bank SELECT g, %d, '' FROM generate_series(0, %d) g;"
        "ALTER ROLE redoubt PASSWORD '%s'";
    struct sim_wire w;
    char verifier[256];
    int rc = 0;

    sim_wire_verifier(verifier, sizeof verifier);
    sim_wire_init(&w, n->env);
    while (sim_wire_connect(&w, "127.0.0.1:5433", READY_US) != SIM_WIRE_OK &&
           strcmp(w.sqlstate, "57P03") == 0) /* the catalogue is not published yet */
        env_sleep_us(n->env, STOP_POLL_US);
    if (sim_wire_queryf(&w, READY_US, make, LISTS - 1, ACCOUNT_BEGIN, ACCOUNTS - 1, verifier) !=
        SIM_WIRE_OK)
        rc = DIAG(ERR_INTERNAL, "making tables: %s %s", w.sqlstate, w.message);
    sim_wire_fini(&w);
    return rc;
}

/* A first node listens beyond its machine only once its role has a password. */
static void
init_th_main(void *arg)
{
    struct cluster_node *n = arg;
    struct node *node;
    char guard[32];

    snprintf(guard, sizeof guard, "%s:7433", n->name);
    if (failed(n, node_init(n->env, DIR, n->name, NULL, guard)) || failed(n, take_key(n)) ||
        failed(n, put_conf(n, "127.0.0.1")) || failed(n, node_open(n->env, DIR, &small, &node)))
        return;
    n->node = node;
    if (!node_wait_ready(node, READY_US))
        failed(n, DIAG(ERR_TIMEOUT, "the first node does not open"));
    else if (!failed(n, first_tables(n)))
        failed(n, put_conf(n, n->name));
    n->node = NULL;
    node_close(node);
}

static void
join_th_main(void *arg)
{
    struct cluster_node *n = arg;
    struct cluster *c = n->cluster;
    char sql[32], guard[32], from[32];
    char words[][12] = { "--name", "--from", "--sql", "--guard", "--key" };
    char key[] = KEY, dir[] = DIR;
    char *argv[] = { words[0], n->name, words[1], from, words[2], sql,
                     words[3], guard,   words[4], key,  dir };

    snprintf(sql, sizeof sql, "%s:5433", n->name);
    snprintf(guard, sizeof guard, "%s:7433", n->name);
    snprintf(from, sizeof from, "%s:7433", c->node[cluster_primary(c)].name);
    if (failed(n, put_file(n->env, KEY, c->key, c->key_size)) ||
        failed(n, command_join(n->env, (int)(sizeof argv / sizeof *argv), argv)))
        return;
    failed(n, put_conf(n, n->name));
}

/* ---- from outside ---------------------------------------------------------------------------- */

bool
cluster_is_up(const struct cluster *c, int node)
{
    return sim_node_is_up(c->node[node].env);
}

int
cluster_primary(const struct cluster *c)
{
    int best = -1;

    for (int i = 0; i < CLUSTER_NODES; i++) {
        const struct node *n = c->node[i].node;

        if (n != NULL && cluster_is_up(c, i) && n->status.state == ROLE_OPEN &&
            (best < 0 || n->status.inc > c->node[best].node->status.inc))
            best = i;
    }
    return best;
}

static void
begin(struct cluster_node *n, void (*fn)(void *arg))
{
    n->want_stop = false;
    n->node = NULL;
    n->rc = 0;
    n->why[0] = '\0';
    n->life++;
    n->reopened = false;
    sim_node_start(n->env, fn, n);
}

static bool
is_down(struct cluster *c, void *arg)
{
    return !cluster_is_up(c, *(int *)arg);
}

/* Runs fn on the machine to its end. */
static void
run_to_end(struct cluster *c, int node, void (*fn)(void *arg), const char *what)
{
    struct cluster_node *n = &c->node[node];

    begin(n, fn);
    EXPECT(c, cluster_wait(c, 120 * SIM_SECOND, is_down, &node), "%s: %s does not end", n->name,
           what);
    EXPECT(c, n->rc == 0, "%s: %s: %s", n->name, what, n->why);
}

void
cluster_start(struct cluster *c, int node)
{
    if (cluster_is_up(c, node))
        return;
    cluster_note(c, "start %s", c->node[node].name);
    begin(&c->node[node], node_th_main);
}

void
cluster_stop(struct cluster *c, int node)
{
    struct cluster_node *n = &c->node[node];

    if (!cluster_is_up(c, node))
        return;
    cluster_note(c, "stop %s", n->name);
    sim_node_resume(n->env);
    n->want_stop = true;
    EXPECT(c, cluster_wait(c, 60 * SIM_SECOND, is_down, &node), "%s does not end", n->name);
    EXPECT(c, sim_node_leaked_bytes(n->env) == 0 || n->rc != 0, "%s leaks %zu bytes", n->name,
           sim_node_leaked_bytes(n->env));
}

void
cluster_kill(struct cluster *c, int node)
{
    cluster_note(c, "kill %s", c->node[node].name);
    c->node[node].node = NULL;
    if (cluster_is_up(c, node))
        sim_node_kill(c->node[node].env);
}

void
cluster_crash(struct cluster *c, int node)
{
    cluster_note(c, "power cut of %s", c->node[node].name);
    c->node[node].node = NULL;
    sim_node_crash(c->node[node].env);
}

/* ---- the operator ---------------------------------------------------------------------------- */

int
cluster_command(struct cluster *c, int node, const char *const *words, uint32_t count, char *answer,
                size_t size)
{
    char at[32];
    struct writer text;
    struct call call;
    int rc;

    snprintf(at, sizeof at, "%s:7433", c->node[node].name);
    rc = call_open(c->clients, at, KEY, &call);
    wr_init(&text, 0);
    if (rc == 0)
        rc = call_run(&call, at, words, count, &text);
    if (answer != NULL)
        snprintf(answer, size, "%s", rc == 0 ? (const char *)text.data : diag_last()->message);
    wr_fini(&text);
    return rc;
}

static int
run_words(struct cluster *c, int node, const char *format, va_list ap)
{
    char text[256], answer[256];
    const char *words[WORDS_MAX];
    uint32_t count = 0;
    char *save = NULL;
    int rc;

    vsnprintf(text, sizeof text, format, ap);
    cluster_note(c, "%s: %s", c->node[node].name, text);
    for (char *w = strtok_r(text, " ", &save); w != NULL; w = strtok_r(NULL, " ", &save))
        words[count++] = w;
    rc = cluster_command(c, node, words, count, answer, sizeof answer);
    cluster_note(c, "%s: %s: %s", c->node[node].name, words[0], rc == 0 ? "done" : answer);
    return rc;
}

int
cluster_wordsf(struct cluster *c, int node, const char *format, ...)
{
    va_list ap;
    int rc;

    va_start(ap, format);
    rc = run_words(c, node, format, ap);
    va_end(ap);
    return rc;
}

struct posted {
    struct cluster *cluster;
    int node;
    char words[128];
};

static void
posted_main(void *arg)
{
    struct posted *p = arg;

    if (cluster_wordsf(p->cluster, p->node, "%s", p->words) != 0)
        diag_clear();
    p->cluster->commands--;
    xfree(p);
}

void
cluster_post(struct cluster *c, int node, const char *words)
{
    struct posted *p = xcalloc(1, sizeof *p);

    p->cluster = c;
    p->node = node;
    snprintf(p->words, sizeof p->words, "%s", words);
    c->commands++;
    (void)env_thread_start(c->clients, "operator", posted_main, p);
}

/* ---- the configuration ----------------------------------------------------------------------- */

static bool
all_follow(struct cluster *c, void *arg)
{
    int primary = cluster_primary(c);

    (void)arg;
    for (int i = 0; i < CLUSTER_NODES && primary >= 0; i++) {
        const struct node *n = c->node[i].node, *p = c->node[primary].node;

        if (n == NULL || (i != primary &&
                          (n->status.follow != ROLE_FOLLOW_LIVE || n->status.inc != p->status.inc)))
            return false;
    }
    return primary >= 0;
}

static bool
is_settled(struct cluster *c, void *arg)
{
    int primary = cluster_primary(c);

    for (int i = 0; i < CLUSTER_NODES && primary >= 0; i++)
        if (c->node[i].node == NULL || engine_visible_scn(c->node[i].node->engine) !=
                                           engine_visible_scn(c->node[primary].node->engine))
            return false;
    return all_follow(c, arg);
}

static bool
is_open(struct cluster *c, void *arg)
{
    (void)arg;
    return cluster_primary(c) >= 0;
}

void
cluster_converge(struct cluster *c)
{
    cluster_note(c, "faults cease");
    sim_net_heal(c->sim);
    for (int i = 0; i < CLUSTER_NODES; i++) {
        sim_fault_clear(c->node[i].env);
        for (int k = 0; k < CLUSTER_NODES; k++)
            sim_net_set_delay(c->sim, c->node[i].env, c->node[k].env, 50, 500);
        sim_net_set_delay(c->sim, c->node[i].env, c->clients, 50, 500);
        sim_net_set_delay(c->sim, c->clients, c->node[i].env, 50, 500);
        sim_node_resume(c->node[i].env);
        cluster_start(c, i);
    }
    EXPECT(c, cluster_wait(c, 120 * SIM_SECOND, all_follow, NULL),
           "INV-6: nobody acknowledges, or not all follow");
}

void
cluster_settle(struct cluster *c)
{
    EXPECT(c, cluster_wait(c, 60 * SIM_SECOND, is_settled, NULL),
           "INV-6: not all show the newest commit");
}

void
cluster_make(struct cluster *c)
{
    run_to_end(c, 0, init_th_main, "init");
    if (put_file(c->clients, KEY, c->key, c->key_size) != 0)
        cluster_fail(c, "the operator has no key");
    begin(&c->node[0], node_th_main);
    EXPECT(c, cluster_wait(c, 60 * SIM_SECOND, is_open, NULL), "the first node does not open");
    for (int i = 1; i < CLUSTER_NODES; i++) {
        run_to_end(c, i, join_th_main, "join");
        begin(&c->node[i], node_th_main);
    }
    EXPECT(c, cluster_wait(c, 60 * SIM_SECOND, is_settled, NULL), "they do not follow");
    EXPECT(c, cluster_wordsf(c, 0, "protect availability 1 b c") == 0, "they do not protect");
    cluster_mutant_disks(c);
}
