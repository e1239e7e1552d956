/* The server in the simulated world: clients that pipeline, hang up and are cut off, a visible SCN
 * that creeps, a permit that comes and goes, changes of role; checked: answers come in order, and
 * none tells of a commit that is not visible in its own incarnation.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/mem.h"
#include "engine/base/sim.h"
#include "engine/server/protocol.h"
#include "engine/server/server.h"
#include "tests/support/echo_port.h"

enum { CLIENTS = 4, ROUNDS = 6, BATCH_MAX = 12, INCS = 8 };

struct world {
    struct sim *sim;
    struct env *env;
    struct echo echo;
    struct server *server;
    _Atomic uint64_t visible;       /* packed like echo.newest */
    _Atomic uint64_t reached[INCS]; /* the highest SCN that was ever visible, per incarnation */
    _Atomic bool permit, publishing;
    _Atomic int clients_left;
    uint64_t answers, stamps, cuts;
};

/* ---- the gate ------------------------------------------------------------------------------- */

static struct moment
world_visible(void *arg)
{
    return echo_moment(atomic_load(&((struct world *)arg)->visible));
}

static bool
world_permit(void *arg)
{
    return atomic_load(&((struct world *)arg)->permit);
}

static void
publish(struct world *w, uint64_t packed)
{
    struct moment m = echo_moment(packed);

    if (atomic_load(&w->reached[m.inc]) < m.scn)
        atomic_store(&w->reached[m.inc], m.scn);
    atomic_store(&w->visible, packed);
    server_replies_wake(w->server);
}

static void
publisher_main(void *arg)
{
    struct world *w = arg;

    while (atomic_load(&w->clients_left) > 0) {
        uint64_t visible, newest;

        env_sleep_us(w->env, sim_random(w->sim, 400));
        visible = atomic_load(&w->visible); /* nothing gives way from here to publish() */
        newest = atomic_load(&w->echo.newest);
        atomic_store(&w->permit, sim_random(w->sim, 4) != 0);
        if (atomic_load(&w->publishing) && newest > visible &&
            echo_moment(newest).inc == echo_moment(visible).inc)
            publish(w, visible + 1 + sim_random(w->sim, newest - visible));
        else
            server_replies_wake(w->server);
    }
    atomic_store(&w->permit, true);
    server_replies_wake(w->server);
}

/* ---- a client ------------------------------------------------------------------------------- */

struct client {
    struct world *world;
    struct env_sock *sock;
    struct writer out;
    uint8_t in[8192];
    size_t at, end;
};

static bool
client_connect(struct client *c)
{
    struct env *env = c->world->env;
    int rc;

    c->at = c->end = 0;
    if (env_connect(env, "127.0.0.1:5433", &c->sock) != 0)
        return false;
    while ((rc = env_connect_result(c->sock)) == ERR_AGAIN)
        env_sleep_us(env, 50);
    if (rc != 0)
        env_sock_close(c->sock);
    return rc == 0;
}

/* Sends what has gathered, in pieces. False when the connection is gone. */
static bool
client_send(struct client *c)
{
    size_t sent, at = 0;

    while (at < c->out.size) {
        size_t piece = 1 + sim_random(c->world->sim, c->out.size - at);
        struct iovec v = { c->out.data + at, piece };
        int rc = env_sendv(c->sock, &v, 1, &sent);

        if (rc == ERR_AGAIN)
            sent = 0;
        else if (rc != 0)
            break;
        at += sent;
        if (sim_random(c->world->sim, 3) == 0)
            env_sleep_us(c->world->env, sim_random(c->world->sim, 100));
    }
    wr_reset(&c->out);
    return at > 0;
}

static bool
client_next(struct client *c, struct proto_message *m)
{
    size_t need, got;
    int rc;

    for (;;) {
        CHECK(proto_next(slice(c->in + c->at, c->end - c->at), false, sizeof c->in, m, &need) == 0);
        if (m->size > 0)
            break;
        memmove(c->in, c->in + c->at, c->end - c->at);
        c->end -= c->at;
        c->at = 0;
        rc = env_recv(c->sock, c->in + c->end, sizeof c->in - c->end, &got);
        if (rc == ERR_AGAIN)
            env_sleep_us(c->world->env, 100);
        else if (rc != 0 || got == 0)
            return false;
        else
            c->end += got;
    }
    c->at += m->size;
    return true;
}

static void
put_query(struct client *c, const char *text)
{
    size_t at = proto_begin(&c->out, 'Q');

    wr_cstr(&c->out, text);
    proto_end(&c->out, at);
}

static void
put_startup(struct client *c)
{
    static const char body[] = "\0\3\0\0user\0alice\0database\0d\0";

    wr_u32_be(&c->out, 4 + sizeof body);
    wr_bytes(&c->out, body, sizeof body);
}

/* SRV-1, SRV-12: what is told is true, and in the order in which it was asked. */
static void
check_answer(struct client *c, const struct proto_message *m, bool asked_stamp, unsigned number)
{
    unsigned inc = 0;
    unsigned long long scn = 0;
    char row[16];

    if (m->type == 'C' && asked_stamp) {
        CHECK(sscanf((const char *)m->body.data, "stamp %u %llu", &inc, &scn) == 2);
        CHECK(atomic_load(&c->world->reached[inc]) >= scn);
        c->world->stamps++;
    } else if (m->type == 'D') {
        int n = snprintf(row, sizeof row, "%u", number);

        CHECK(!asked_stamp && m->body.size == 6 + (size_t)n);
        CHECK(memcmp(m->body.data + 6, row, (size_t)n) == 0);
        c->world->answers++;
    }
}

/* One batch: false when the connection has ended. */
static bool
client_batch(struct client *c)
{
    unsigned count = 1 + (unsigned)sim_random(c->world->sim, BATCH_MAX);
    unsigned base = (unsigned)sim_random(c->world->sim, 100000), done = 0;
    bool is_stamp[BATCH_MAX];
    struct proto_message m;

    for (unsigned i = 0; i < count; i++) {
        char text[32];

        is_stamp[i] = sim_random(c->world->sim, 2) == 0;
        snprintf(text, sizeof text, is_stamp[i] ? "stamp" : "echo %u", base + i);
        put_query(c, text);
    }
    if (!client_send(c))
        return false;
    if (sim_random(c->world->sim, 8) == 0) {
        c->world->cuts++;
        return false; /* hangs up with answers on their way */
    }
    while (done < count) {
        if (!client_next(c, &m))
            return false;
        check_answer(c, &m, is_stamp[done], base + done);
        if (m.type == 'E')
            return false;
        done += m.type == 'Z';
    }
    return true;
}

static void
client_main(void *arg)
{
    struct client c = { .world = arg };
    struct proto_message m;

    wr_init(&c.out, 0);
    for (int round = 0; round < ROUNDS; round++) {
        bool alive;

        if (!client_connect(&c))
            continue;
        put_startup(&c);
        alive = client_send(&c);
        while (alive && (alive = client_next(&c, &m)) && m.type != 'Z')
            ;
        for (int i = 0; i < 4 && alive; i++)
            alive = client_batch(&c);
        env_sock_close(c.sock);
    }
    wr_fini(&c.out);
    atomic_fetch_sub(&c.world->clients_left, 1);
}

/* ---- the node ------------------------------------------------------------------------------- */

/* Demoted at one incarnation, promoted at the next, which goes on from what was visible. */
static void
change_role(struct world *w)
{
    uint64_t fork;

    atomic_store(&w->publishing, false);
    server_demoted(w->server);
    env_sleep_us(w->env, sim_random(w->sim, 1000));
    fork = atomic_load(&w->visible) + (UINT64_C(1) << 40);
    atomic_store(&w->echo.newest, fork);
    publish(w, fork);
    server_promoted(w->server);
    atomic_store(&w->publishing, true);
}

static void
node_main(void *arg)
{
    static const char *const listen[1] = { "127.0.0.1:5433" };
    struct world *w = arg;
    struct env_thread *threads[CLIENTS + 1];
    struct server_options o = { .env = w->env,
                                .port = &w->echo.port,
                                .gate = { world_visible, world_permit, w },
                                .listen = listen,
                                .listen_count = 1,
                                .workers = 2 };

    CHECK(server_new(&o, &w->server) == 0 && server_start(w->server) == 0);
    threads[CLIENTS] = env_thread_start(w->env, "publisher", publisher_main, w);
    for (int i = 0; i < CLIENTS; i++)
        threads[i] = env_thread_start(w->env, "client", client_main, w);
    for (int i = 0; i < INCS - 3 && atomic_load(&w->clients_left) > 0; i++) {
        env_sleep_us(w->env, sim_random(w->sim, 8000));
        change_role(w);
    }
    for (int i = 0; i <= CLIENTS; i++)
        env_thread_join(threads[i]);
    server_stop(w->server);
    CHECK(atomic_load(&w->echo.open_count) == 0);
    server_free(w->server);
}

static void
run_seed(uint64_t seed, uint64_t *answers, uint64_t *stamps)
{
    struct world w = { .sim = sim_new(seed) };
    enum sim_result result;

    w.env = sim_node_new(w.sim, "a");
    echo_init(&w.echo);
    atomic_store(&w.echo.newest, UINT64_C(1) << 40);
    atomic_store(&w.visible, UINT64_C(1) << 40);
    atomic_store(&w.publishing, true);
    atomic_store(&w.clients_left, CLIENTS);
    sim_node_start(w.env, node_main, &w);
    result = sim_run(w.sim, 60 * SIM_SECOND, NULL, NULL);
    ck_assert_msg(result == SIM_IDLE, "seed %llu: %s\n%s\n%s", (unsigned long long)seed,
                  sim_result_name(result), sim_report(w.sim),
                  sim_node_last_words(w.env) != NULL ? sim_node_last_words(w.env) : "");
    ck_assert_msg(sim_node_leaked_bytes(w.env) == 0, "seed %llu leaks %zu bytes",
                  (unsigned long long)seed, sim_node_leaked_bytes(w.env));
    *answers += w.answers;
    *stamps += w.stamps;
    sim_free(w.sim);
}

START_TEST(test_clients_and_roles)
{
    const char *first = getenv("SIM_SEED"), *count = getenv("SIM_SEEDS");
    uint64_t seed = first != NULL ? strtoull(first, NULL, 10) : 1;
    uint64_t seeds = first != NULL ? 1 : count != NULL ? strtoull(count, NULL, 10) : 30;
    uint64_t answers = 0, stamps = 0;

    for (uint64_t i = 0; i < seeds; i++)
        run_seed(seed + i, &answers, &stamps);
    printf("%llu seeds: %llu rows, %llu commits told\n", (unsigned long long)seeds,
           (unsigned long long)answers, (unsigned long long)stamps);
    ck_assert(answers > 0 && stamps > 0);
}
END_TEST

int
main(void)
{
    Suite *s = suite_create("server in the simulated world");
    TCase *t = tcase_create("all");
    SRunner *r;
    int failed;

    tcase_set_timeout(t, 120);
    tcase_add_test(t, test_clients_and_roles);
    suite_add_tcase(s, t);
    r = srunner_create(s);
    srunner_set_fork_status(r, CK_NOFORK);
    srunner_run_all(r, CK_NORMAL);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
