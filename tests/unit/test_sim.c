/* The simulated world: that it is deterministic, and that its disks, wires and deaths do what sim.h
 * says.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/fiber.h"
#include "engine/base/mem.h"
#include "engine/base/sim.h"
#include "engine/base/task.h"

static struct sim *sim;

static void
put(struct env_file *f, const void *data, size_t size, uint64_t offset)
{
    if (env_pwrite(f, data, size, offset) != 0) /* an assertion that holds costs a system call */
        ck_abort();
}

static struct env_file *
open_file(const char *path, int flags)
{
    struct env_file *f;

    ck_assert_int_eq(env_open(env_self(), path, flags | ENV_READ | ENV_WRITE, &f), 0);
    return f;
}

static void
run_node(struct env *node, void (*fn)(void *arg), void *arg)
{
    enum sim_result r;

    sim_node_start(node, fn, arg);
    r = sim_run(sim, UINT64_MAX, NULL, NULL);
    if (r != SIM_IDLE)
        printf("%s", sim_report(sim));
    ck_assert_str_eq(sim_result_name(r), "idle");
}

/* ---- a small workload for determinism ------------------------------------------------------ */

enum { WORK_CLIENTS = 5, WORK_MESSAGES = 20 };

struct work {
    struct env *server, *client;
    int echoed, lost;
};

static void
session_fiber(void *arg)
{
    struct env_sock *s = arg;
    struct fiber_io io;
    uint8_t buf[512];

    fiber_io_init(&io, sched_self(), s);
    for (;;) {
        struct iovec v = { .iov_base = buf };
        struct env_file *f;
        size_t got, sent;
        int rc = env_recv(s, buf, sizeof buf, &got);

        if (rc == ERR_AGAIN && fiber_io_wait(&io, ENV_EV_READ, 5 * SIM_SECOND) == 0)
            continue;
        if (rc != 0 || got == 0)
            break;
        f = open_file("/log", ENV_CREATE);
        put(f, buf, got, 0);
        rc = env_sync(f);
        env_close(f);
        ck_assert_int_eq(rc, 0);
        v.iov_len = got;
        if (env_sendv(s, &v, 1, &sent) != 0)
            break;
    }
    fiber_io_fini(&io);
    env_sock_close(s);
}

static void
acceptor_fiber(void *arg)
{
    struct env_sock *l = arg, *s;
    struct fiber_io io;

    fiber_io_init(&io, sched_self(), l);
    for (;;) {
        while (env_accept(l, &s) == 0)
            fiber_start(sched_self(), "session", 0, session_fiber, s);
        if (fiber_io_wait(&io, ENV_EV_READ, UINT64_MAX) != 0)
            break;
    }
}

static void
work_server_main(void *arg)
{
    struct sched *s = sched_new(env_self());
    struct env_sock *l;

    (void)arg;
    ck_assert_int_eq(env_listen(env_self(), "*:5432", 16, &l), 0);
    fiber_start(s, "acceptor", 0, acceptor_fiber, l);
    sched_run(s, false);
}

static void
work_client_fiber(void *arg)
{
    struct work *w = arg;

    for (int m = 0; m < WORK_MESSAGES; m++) {
        struct env_sock *s;
        struct fiber_io io;
        uint8_t out[100], in[100];
        struct iovec v = { out, sizeof out };
        size_t n, have = 0;
        int rc = 0;

        env_random(env_self(), out, sizeof out);
        ck_assert_int_eq(env_connect(env_self(), "server:5432", &s), 0);
        fiber_io_init(&io, sched_self(), s);
        if (fiber_io_wait(&io, ENV_EV_WRITE, SIM_SECOND) == 0 && env_connect_result(s) == 0 &&
            env_sendv(s, &v, 1, &n) == 0) {
            while (rc == 0 && have < sizeof in) {
                rc = env_recv(s, in + have, sizeof in - have, &n);
                if (rc == 0 && n == 0)
                    break;
                have += n;
                if (rc == ERR_AGAIN)
                    rc = fiber_io_wait(&io, ENV_EV_READ, SIM_SECOND);
            }
        }
        w->echoed += have == sizeof in;
        w->lost += have != sizeof in;
        fiber_io_fini(&io);
        env_sock_close(s);
        fiber_sleep_us(env_random_u64(env_self()) % 10000);
    }
}

static void
work_client_main(void *arg)
{
    struct sched *s = sched_new(env_self());

    for (int i = 0; i < WORK_CLIENTS; i++)
        fiber_start(s, "client", 0, work_client_fiber, arg);
    sched_run(s, true);
    sched_free(s);
}

static bool
client_is_down(void *arg)
{
    struct work *w = arg;

    return !sim_node_is_up(w->client);
}

static uint64_t
workload(uint64_t seed, struct work *w)
{
    struct sim *outer = sim;
    uint64_t hash;

    sim = sim_new(seed);
    *w = (struct work){ .server = sim_node_new(sim, "server") };
    w->client = sim_node_new(sim, "client");
    sim_node_start(w->server, work_server_main, NULL);
    sim_node_start(w->client, work_client_main, w);
    ck_assert_int_eq(sim_run(sim, 40 * SIM_MILLISECOND, client_is_down, w), SIM_TIME);
    sim_net_partition(sim, w->server, w->client, true);
    ck_assert_int_eq(sim_run(sim, SIM_SECOND, client_is_down, w), SIM_TIME);
    sim_net_heal(sim);
    sim_node_crash(w->server);
    sim_node_start(w->server, work_server_main, NULL);
    ck_assert_int_eq(sim_run(sim, 600 * SIM_SECOND, client_is_down, w), SIM_DONE);
    ck_assert_uint_eq(sim_node_leaked_bytes(w->client), 0);
    hash = sim_trace_hash(sim);
    sim_free(sim);
    sim = outer;
    return hash;
}

/* SIM-1: the same seed gives the same run. */
START_TEST(test_same_seed_same_run)
{
    uint64_t hashes[4];

    for (uint64_t seed = 0; seed < 4; seed++) {
        struct work a, b;

        hashes[seed] = workload(seed, &a);
        ck_assert_uint_eq(hashes[seed], workload(seed, &b));
        ck_assert_int_eq(a.echoed, b.echoed);
        ck_assert_int_eq(a.echoed + a.lost, WORK_CLIENTS * WORK_MESSAGES);
        ck_assert_int_gt(a.echoed, 0);
        ck_assert_int_gt(a.lost, 0);
    }
    ck_assert_uint_ne(hashes[0], hashes[1]);
    ck_assert_uint_ne(hashes[1], hashes[2]);
}
END_TEST

/* ---- threads and locks --------------------------------------------------------------------- */

struct locks {
    struct env_mutex a, b;
    struct env_cond changed;
    int count, taken;
    bool crossed;
};

static void
counter_thread(void *arg)
{
    struct locks *l = arg;

    for (int i = 0; i < 100; i++) {
        int seen;

        env_mutex_lock(&l->a);
        seen = l->count;
        env_thread_yield(env_self());
        l->count = seen + 1;
        env_cond_signal(&l->changed);
        env_mutex_unlock(&l->a);
    }
}

static void
locks_init(struct locks *l)
{
    env_mutex_init(env_self(), &l->a);
    env_mutex_init(env_self(), &l->b);
    env_cond_init(env_self(), &l->changed);
}

static void
locks_fini(struct locks *l)
{
    env_mutex_fini(&l->a);
    env_mutex_fini(&l->b);
    env_cond_fini(&l->changed);
}

static void
locks_main(void *arg)
{
    struct locks *l = arg;
    struct env_thread *t[4];

    locks_init(l);
    for (int i = 0; i < 4; i++)
        t[i] = env_thread_start(env_self(), "counter", counter_thread, l);
    env_mutex_lock(&l->a);
    while (l->count < 400)
        env_cond_wait(&l->changed, &l->a);
    ck_assert(!env_cond_wait_us(&l->changed, &l->a, 1000) || l->count == 400);
    env_mutex_unlock(&l->a);
    for (int i = 0; i < 4; i++)
        env_thread_join(t[i]);
    locks_fini(l);
}

START_TEST(test_mutexes_exclude)
{
    struct env *node = sim_node_new(sim, "n");
    struct locks l = { 0 };

    run_node(node, locks_main, &l);
    ck_assert_int_eq(l.count, 400);
    ck_assert_uint_eq(sim_node_leaked_bytes(node), 0);
}
END_TEST

static void
cross_thread(void *arg)
{
    struct locks *l = arg;

    env_mutex_lock(&l->b);
    env_sleep_us(env_self(), 1000);
    env_mutex_lock(&l->a);
}

static void
deadlock_main(void *arg)
{
    struct locks *l = arg;

    locks_init(l);
    env_thread_start(env_self(), "crossing", cross_thread, l);
    env_mutex_lock(&l->a);
    env_sleep_us(env_self(), 1000);
    env_mutex_lock(&l->b);
}

/* SIM-2: when nothing can ever run again, the run ends and says who waits for whom. */
START_TEST(test_deadlock_is_reported)
{
    struct env *node = sim_node_new(sim, "n");
    struct locks l = { 0 };

    sim_node_start(node, deadlock_main, &l);
    ck_assert_int_eq(sim_run(sim, UINT64_MAX, NULL, NULL), SIM_DEADLOCK);
    ck_assert(strstr(sim_report(sim), "thread main waits for a mutex of thread crossing") != NULL);
    ck_assert(strstr(sim_report(sim), "thread crossing waits for a mutex of thread main") != NULL);
}
END_TEST

static int
slow_job(void *arg)
{
    env_sleep_us(env_self(), 500);
    *(int *)arg += 1;
    return 0;
}

static struct job_pool *pool;
static int job_total;

static void
job_fiber(void *arg)
{
    int n = 0;

    (void)arg;
    for (int i = 0; i < 5; i++)
        ck_assert_int_eq(job_run(pool, slow_job, &n), 0);
    fiber_sleep_us(3600 * SIM_SECOND);
    job_total += n;
}

static void
jobs_main(void *arg)
{
    struct sched *s = sched_new(env_self());
    uint64_t start = env_boot_ns(env_self());

    (void)arg;
    pool = job_pool_new(env_self(), "jobs", 3);
    for (int i = 0; i < 20; i++)
        fiber_start(s, "f", 0, job_fiber, NULL);
    sched_run(s, true);
    job_pool_free(pool);
    sched_free(s);
    ck_assert_uint_ge(env_boot_ns(env_self()) - start, 3600 * SIM_SECOND * 1000);
}

START_TEST(test_fibers_and_jobs_in_virtual_time)
{
    struct env *node = sim_node_new(sim, "n");

    job_total = 0;
    run_node(node, jobs_main, NULL);
    ck_assert_int_eq(job_total, 100);
    ck_assert_uint_eq(sim_node_leaked_bytes(node), 0);
}
END_TEST

/* ---- files and power cuts ------------------------------------------------------------------ */

enum { SECTORS = 64, SECTOR = 512, HISTORY = 400 };

/* What each sector may hold after a cut: the value at the last sync, and all written since. */
struct file_model {
    uint8_t now[SECTORS], synced[SECTORS];
    uint8_t since[SECTORS][HISTORY];
    int since_count[SECTORS];
    bool is_dsync;
    int rounds;
};

static void
model_write(struct file_model *m, int at, int count, uint8_t value)
{
    for (int s = at; s < at + count; s++) {
        m->now[s] = value;
        if (m->is_dsync) {
            m->synced[s] = value;
            m->since_count[s] = 0;
        } else {
            m->since[s][m->since_count[s]++ % HISTORY] = value;
        }
    }
}

static void
model_sync(struct file_model *m)
{
    memcpy(m->synced, m->now, sizeof m->now);
    memset(m->since_count, 0, sizeof m->since_count);
}

static void
writer_main(void *arg)
{
    struct file_model *m = arg;
    struct env_file *f = open_file("/data", m->is_dsync ? ENV_DSYNC : 0);
    uint8_t buf[SECTORS * SECTOR];

    for (int i = 0; i < m->rounds; i++) {
        int at = (int)(env_random_u64(env_self()) % SECTORS);
        int count = 1 + (int)(env_random_u64(env_self()) % (uint64_t)(SECTORS - at));
        uint8_t value = (uint8_t)(1 + env_random_u64(env_self()) % 255);

        memset(buf, value, (size_t)count * SECTOR);
        put(f, buf, (size_t)count * SECTOR, (uint64_t)at * SECTOR);
        model_write(m, at, count, value);
        if (!m->is_dsync && env_random_u64(env_self()) % 8 == 0) {
            ck_assert_int_eq(env_sync(f), 0);
            model_sync(m);
        }
    }
    sim_node_crash(env_self());
}

static bool
sector_may_be(const struct file_model *m, int s, uint8_t value)
{
    if (value == m->synced[s])
        return true;
    for (int i = 0; i < m->since_count[s] && i < HISTORY; i++)
        if (m->since[s][i] == value)
            return true;
    return false;
}

struct cut_stats {
    int lost, kept, torn;
};

/* The reader's result becomes what the disk now holds for good. */
static void
reader_main(void *arg)
{
    struct file_model *m = arg;
    struct env_file *f = open_file("/data", 0);
    uint8_t buf[SECTORS * SECTOR];
    size_t got;

    ck_assert_int_eq(env_pread(f, buf, sizeof buf, 0, &got), 0);
    ck_assert_uint_eq(got, sizeof buf);
    for (int s = 0; s < SECTORS; s++) {
        uint8_t value = buf[s * SECTOR];

        if (memcmp(buf + s * SECTOR, buf + s * SECTOR + 1, SECTOR - 1) != 0 ||
            !sector_may_be(m, s, value))
            ck_abort_msg("sector %d holds %u", s, value);
        m->now[s] = value;
    }
    env_close(f);
}

static void
create_main(void *arg)
{
    struct file_model *m = arg;
    struct env_file *f = open_file("/data", ENV_CREATE);
    uint8_t zeros[SECTORS * SECTOR] = { 0 };

    memset(m, 0, sizeof *m);
    put(f, zeros, sizeof zeros, 0);
    ck_assert_int_eq(env_sync(f), 0);
    env_close(f);
    ck_assert_int_eq(env_sync_dir(env_self(), "/"), 0);
}

static void
cut_rounds(struct env *node, bool is_dsync, struct cut_stats *stats)
{
    struct file_model m;

    run_node(node, create_main, &m);
    m.is_dsync = is_dsync;
    for (int i = 0; i < 60; i++) {
        uint8_t before[SECTORS];

        m.rounds = 1 + (int)sim_random(sim, 40);
        run_node(node, writer_main, &m);
        memcpy(before, m.now, sizeof before);
        run_node(node, reader_main, &m);
        for (int s = 0; s < SECTORS; s++) {
            stats->kept += m.now[s] == before[s];
            stats->lost += m.now[s] != before[s];
        }
        model_sync(&m);
    }
}

/* SIM-3: what was synced survives every power cut; what was not may be lost, sector by sector. */
START_TEST(test_power_cuts_lose_only_what_was_not_synced)
{
    struct env *node = sim_node_new(sim, "n");
    struct cut_stats stats = { 0 };

    cut_rounds(node, false, &stats);
    ck_assert_int_gt(stats.lost, 0);
    ck_assert_int_gt(stats.kept, 0);
}
END_TEST

START_TEST(test_dsync_writes_are_durable)
{
    struct env *node = sim_node_new(sim, "n");
    struct cut_stats stats = { 0 };

    cut_rounds(node, true, &stats);
    ck_assert_int_eq(stats.lost, 0);
}
END_TEST

struct names {
    bool sync_file, sync_dir, kill;
};

static void
write_text(const char *path, const char *text, bool sync)
{
    struct env_file *f = open_file(path, ENV_CREATE);

    put(f, text, strlen(text), 0);
    if (sync)
        ck_assert_int_eq(env_sync(f), 0);
    env_close(f);
}

static void
names_first_main(void *arg)
{
    (void)arg;
    ck_assert_int_eq(env_mkdir(env_self(), "/d"), 0);
    write_text("/d/current", "old", true);
    ck_assert_int_eq(env_sync_dir(env_self(), "/"), 0);
    ck_assert_int_eq(env_sync_dir(env_self(), "/d"), 0);
}

/* The classic replacement of a file, whole or with a step left out. */
static void
names_replace_main(void *arg)
{
    const struct names *n = arg;

    write_text("/d/current.new", "new", n->sync_file);
    ck_assert_int_eq(env_rename(env_self(), "/d/current.new", "/d/current"), 0);
    if (n->sync_dir)
        ck_assert_int_eq(env_sync_dir(env_self(), "/d"), 0);
    if (n->kill)
        sim_node_kill(env_self());
    sim_node_crash(env_self());
}

static char text_found[16];

static void
names_read_main(void *arg)
{
    struct env_file *f = open_file("/d/current", 0);
    size_t got;

    (void)arg;
    memset(text_found, 0, sizeof text_found);
    ck_assert_int_eq(env_pread(f, text_found, 3, 0, &got), 0);
    env_close(f);
}

static void
replace_often(const struct names *how, int *old_count, int *new_count, int *other_count)
{
    *old_count = *new_count = *other_count = 0;
    for (int i = 0; i < 100; i++) {
        struct names n = *how;
        char name[16];
        struct env *node;

        sim_free(sim);
        sim = sim_new((uint64_t)i);
        snprintf(name, sizeof name, "n%d", i);
        node = sim_node_new(sim, name);
        run_node(node, names_first_main, NULL);
        run_node(node, names_replace_main, &n);
        run_node(node, names_read_main, NULL);
        *old_count += strcmp(text_found, "old") == 0;
        *new_count += strcmp(text_found, "new") == 0;
    }
    *other_count = 100 - *old_count - *new_count;
}

/* SIM-4: a name is durable after the sync of its folder, and not surely before. */
START_TEST(test_names_need_their_folder_synced)
{
    struct names whole = { .sync_file = true, .sync_dir = true };
    struct names no_dir = { .sync_file = true };
    struct names no_file = { .sync_dir = true };
    struct names killed = { .kill = true };
    int old_count, new_count, other;

    replace_often(&whole, &old_count, &new_count, &other);
    ck_assert_int_eq(new_count, 100);
    replace_often(&no_dir, &old_count, &new_count, &other);
    ck_assert(old_count > 0 && new_count > 0 && other == 0);
    replace_often(&no_file, &old_count, &new_count, &other);
    ck_assert(other > 0);
    replace_often(&killed, &old_count, &new_count, &other);
    ck_assert_int_eq(new_count, 100);
}
END_TEST

static int
collect_name(void *arg, const char *name)
{
    char *all = arg;

    snprintf(all + strlen(all), 100 - strlen(all), "%s ", name);
    return 0;
}

static void
folder_main(void *arg)
{
    struct env *env = env_self();
    struct env_file *f, *lock;
    uint64_t size;
    char all[100] = "";

    (void)arg;
    ck_assert_int_eq(env_mkdir(env, "/d"), 0);
    ck_assert_int_eq(env_mkdir(env, "/d"), ERR_FILE_EXISTS);
    ck_assert_int_eq(env_mkdir(env, "/none/d"), ERR_NO_FILE);
    ck_assert(env_is_dir(env, "/d") && env_exists(env, "/d") && !env_exists(env, "/e"));
    write_text("/d/b", "bee", false);
    write_text("/d/a", "ay", false);
    ck_assert_int_eq(env_link(env, "/d/b", "/d/c"), 0);
    ck_assert_int_eq(env_list_dir(env, "/d", collect_name, all), 0);
    ck_assert_str_eq(all, "a b c ");
    ck_assert_int_eq(env_rmdir(env, "/d"), ERR_IO);
    ck_assert_int_eq(env_unlink(env, "/d/b"), 0);
    ck_assert_int_eq(env_unlink(env, "/d/b"), ERR_NO_FILE);
    ck_assert_int_eq(env_open(env, "/d/c", ENV_READ | ENV_WRITE | ENV_CREATE | ENV_EXCLUSIVE, &f),
                     ERR_FILE_EXISTS);
    f = open_file("/d/c", 0);
    ck_assert_int_eq(env_allocate(f, 10000), 0);
    ck_assert_int_eq(env_size(f, &size), 0);
    ck_assert_uint_eq(size, 10000);
    ck_assert_int_eq(env_truncate(f, 1), 0);
    ck_assert_int_eq(env_size(f, &size), 0);
    ck_assert_uint_eq(size, 1);
    env_close(f);
    ck_assert_int_eq(env_lock_file(env, "/d/lock", &lock), 0);
    ck_assert_int_eq(env_lock_file(env, "/d/lock", &f), ERR_OBJECT_IN_USE);
    env_close(lock);
    ck_assert_int_eq(env_lock_file(env, "/d/lock", &lock), 0);
    env_close(lock);
}

START_TEST(test_folders)
{
    struct env *node = sim_node_new(sim, "n");

    run_node(node, folder_main, NULL);
    ck_assert_uint_eq(sim_node_leaked_bytes(node), 0);
}
END_TEST

/* ---- faults -------------------------------------------------------------------------------- */

static int sync_failed_at, write_failed_at;

static void
faulty_main(void *arg)
{
    struct env_file *f = open_file("/data", ENV_CREATE);
    uint8_t page[4096];

    (void)arg;
    sync_failed_at = write_failed_at = -1;
    memset(page, 7, sizeof page);
    for (int i = 0; i < 10; i++) {
        int rc = env_pwrite(f, page, sizeof page, (uint64_t)i * sizeof page);

        if (rc != 0) {
            ck_assert_int_eq(rc, ERR_DISK_FULL);
            write_failed_at = i;
            break;
        }
        rc = env_sync(f);
        if (rc != 0) {
            ck_assert_int_eq(rc, ERR_IO);
            sync_failed_at = i;
        }
    }
    env_close(f);
}

START_TEST(test_faults_by_rule)
{
    struct env *node = sim_node_new(sim, "n");
    struct sim_fault eio = {
        .ops = SIM_OP_SYNC, .kind = SIM_FAULT_EIO, .path = "data", .skip = 3, .count = 1
    };
    struct sim_fault flip = { .ops = SIM_OP_READ, .kind = SIM_FAULT_BIT_FLIP, .count = 1 };
    uint8_t page[4096], clean[4096];
    struct env_file *f;
    size_t got, wrong = 0;
    int handle = sim_fault_add(node, &eio);

    run_node(node, faulty_main, NULL);
    ck_assert_int_eq(sync_failed_at, 3);
    ck_assert_uint_eq(sim_fault_hits(node, handle), 1);
    sim_disk_set_capacity(node, 10 * 4096);
    ck_assert_int_eq(env_unlink(node, "/data"), 0);
    ck_assert_int_eq(env_sync_dir(node, "/"), 0);
    sim_disk_set_capacity(node, 5 * 4096);
    run_node(node, faulty_main, NULL);
    ck_assert_int_eq(write_failed_at, 5);
    sim_fault_clear(node);
    sim_fault_add(node, &flip);
    ck_assert_int_eq(env_open(node, "/data", ENV_READ, &f), 0);
    ck_assert_int_eq(env_pread(f, page, sizeof page, 0, &got), 0);
    env_close(f);
    memset(clean, 7, sizeof clean);
    for (size_t i = 0; i < sizeof page; i++)
        wrong += page[i] != clean[i];
    ck_assert_uint_eq(wrong, 1);
}
END_TEST

/* ---- death --------------------------------------------------------------------------------- */

struct pair {
    struct env *a, *b;
    int b_count;
};

static void
hoarder_fiber(void *arg)
{
    (void)arg;
    for (int i = 0; i < 50; i++)
        memset(xmalloc(10000), i, 10000);
    (void)DIAG(ERR_IO, "something");
    fiber_sleep_us(UINT64_MAX);
}

static void
panic_fiber(void *arg)
{
    (void)arg;
    fiber_sleep_us(5000);
    PANIC("redo write failed");
}

static void
doomed_thread(void *arg)
{
    struct sched *s = sched_new(env_self());

    (void)arg;
    for (int i = 0; i < 20; i++)
        fiber_start(s, "hoarder", 0, hoarder_fiber, NULL);
    sched_run(s, true);
}

static void
doomed_main(void *arg)
{
    struct sched *s = sched_new(env_self());
    struct env_sock *l;

    (void)arg;
    env_thread_start(env_self(), "other", doomed_thread, NULL);
    ck_assert_int_eq(env_listen(env_self(), "*:1", 5, &l), 0);
    open_file("/left-open", ENV_CREATE);
    fiber_start(s, "hoarder", 0, hoarder_fiber, NULL);
    fiber_start(s, "panic", 0, panic_fiber, NULL);
    sched_run(s, true);
}

static void
bystander_main(void *arg)
{
    struct pair *p = arg;

    for (int i = 0; i < 100; i++) {
        env_sleep_us(env_self(), 1000);
        p->b_count++;
    }
}

/* SIM-5: a panic ends its node alone, with all that the node has; the sanitizer's leak check shows
 * that nothing is left. */
START_TEST(test_a_node_dies_alone)
{
    struct pair p = { sim_node_new(sim, "a"), sim_node_new(sim, "b"), 0 };

    sim_allow_panic(sim, true);
    sim_node_start(p.b, bystander_main, &p);
    for (int i = 0; i < 3; i++) {
        sim_node_start(p.a, doomed_main, NULL);
        ck_assert_int_eq(sim_run(sim, 10 * SIM_MILLISECOND, NULL, NULL), SIM_TIME);
        ck_assert(!sim_node_is_up(p.a));
        ck_assert(strstr(sim_node_last_words(p.a), "redo write failed") != NULL);
    }
    sim_allow_panic(sim, false);
    sim_node_start(p.a, doomed_main, NULL);
    ck_assert_int_eq(sim_run(sim, UINT64_MAX, NULL, NULL), SIM_PANIC);
    ck_assert_int_eq(sim_run(sim, UINT64_MAX, NULL, NULL), SIM_IDLE);
    ck_assert_int_eq(p.b_count, 100);
    sim_node_start(p.a, doomed_main, NULL);
    ck_assert_int_eq(sim_run(sim, SIM_MILLISECOND, NULL, NULL), SIM_TIME);
    sim_node_crash(p.a);
    sim_node_start(p.a, doomed_main, NULL);
}
END_TEST

/* ---- the network --------------------------------------------------------------------------- */

struct talk {
    struct env *server, *client;
    int received; /* bytes, at the server */
    int result;   /* of the client's last wait */
    bool is_over;
    uint64_t sent_bytes;
};

static void
sink_fiber(void *arg)
{
    struct talk *t = arg;
    struct env_sock *l, *s;
    struct fiber_io io;
    uint8_t buf[4096];

    ck_assert_int_eq(env_listen(env_self(), "server:7", 5, &l), 0);
    fiber_io_init(&io, sched_self(), l);
    for (;;) {
        struct fiber_io sio;

        while (env_accept(l, &s) == ERR_AGAIN)
            ck_assert_int_eq(fiber_io_wait(&io, ENV_EV_READ, UINT64_MAX), 0);
        fiber_io_init(&sio, sched_self(), s);
        for (;;) {
            size_t got;
            int rc = env_recv(s, buf, sizeof buf, &got);

            if (rc == ERR_AGAIN && fiber_io_wait(&sio, ENV_EV_READ, UINT64_MAX) == 0)
                continue;
            if (rc != 0 || got == 0)
                break;
            t->received += (int)got;
        }
        fiber_io_fini(&sio);
        env_sock_close(s);
    }
}

static void
sink_main(void *arg)
{
    struct sched *s = sched_new(env_self());

    fiber_start(s, "sink", 0, sink_fiber, arg);
    sched_run(s, false);
}

/* Sends for ever, and waits at most ten seconds for room. */
static void
pusher_fiber(void *arg)
{
    struct talk *t = arg;
    uint8_t buf[1000] = { 0 };
    struct iovec v = { buf, sizeof buf };
    struct env_sock *s;
    struct fiber_io io;

    ck_assert_int_eq(env_connect(env_self(), "server:7", &s), 0);
    fiber_io_init(&io, sched_self(), s);
    t->result = fiber_io_wait(&io, ENV_EV_WRITE, 10 * SIM_SECOND);
    if (t->result == 0)
        t->result = env_connect_result(s);
    while (t->result == 0) {
        size_t sent;
        int rc = env_sendv(s, &v, 1, &sent);

        t->sent_bytes += sent;
        if (rc == ERR_AGAIN)
            t->result = fiber_io_wait(&io, ENV_EV_WRITE, 10 * SIM_SECOND);
        else if (rc != 0)
            t->result = rc;
        else
            fiber_sleep_us(100);
    }
    fiber_io_fini(&io);
    env_sock_close(s);
    t->is_over = true;
}

static void
pusher_main(void *arg)
{
    struct sched *s = sched_new(env_self());

    fiber_start(s, "pusher", 0, pusher_fiber, arg);
    sched_run(s, true);
    sched_free(s);
}

static bool
talk_is_over(void *arg)
{
    return ((struct talk *)arg)->is_over;
}

static void
talk_start(struct talk *t)
{
    *t = (struct talk){ .server = sim_node_new(sim, "server") };
    t->client = sim_node_new(sim, "client");
    sim_node_start(t->server, sink_main, t);
    sim_node_start(t->client, pusher_main, t);
    ck_assert_int_eq(sim_run(sim, SIM_SECOND, talk_is_over, t), SIM_TIME);
    ck_assert_int_gt(t->received, 0);
}

/* SIM-6: what is blocked does not arrive, in that direction only, and arrives after the heal. */
START_TEST(test_partitions)
{
    struct talk t;
    int before;

    talk_start(&t);
    sim_net_block(sim, t.client, t.server, true);
    before = t.received;
    ck_assert_int_eq(sim_run(sim, SIM_SECOND, talk_is_over, &t), SIM_TIME);
    ck_assert_int_eq(t.received, before);
    sim_net_heal(sim);
    ck_assert_int_eq(sim_run(sim, SIM_SECOND, talk_is_over, &t), SIM_TIME);
    ck_assert_int_gt(t.received, before + 100000);
    /* Only acknowledgements are lost: data arrives until the window is full. */
    sim_net_block(sim, t.server, t.client, true);
    before = t.received;
    ck_assert_int_eq(sim_run(sim, 20 * SIM_SECOND, talk_is_over, &t), SIM_DONE);
    ck_assert_int_eq(t.result, ERR_TIMEOUT);
    ck_assert_int_gt(t.received, before);
    ck_assert_int_lt(t.received, before + 200000);
}
END_TEST

START_TEST(test_silence_after_a_power_cut)
{
    struct talk t;

    talk_start(&t);
    sim_node_crash(t.server);
    ck_assert_int_eq(sim_run(sim, 30 * SIM_SECOND, talk_is_over, &t), SIM_DONE);
    ck_assert_int_eq(t.result, ERR_TIMEOUT); /* half-open: nobody said a word */
}
END_TEST

START_TEST(test_reset_after_a_restart)
{
    struct talk t;

    talk_start(&t);
    sim_node_crash(t.server);
    sim_node_start(t.server, sink_main, &t);
    ck_assert_int_eq(sim_run(sim, 30 * SIM_SECOND, talk_is_over, &t), SIM_DONE);
    ck_assert_int_eq(t.result, ERR_CONNECTION_FAILURE);
}
END_TEST

START_TEST(test_kill_closes_connections)
{
    struct talk t;

    talk_start(&t);
    sim_node_kill(t.server);
    ck_assert_int_eq(sim_run(sim, SIM_SECOND, talk_is_over, &t), SIM_DONE);
    ck_assert_int_eq(t.result, ERR_CONNECTION_FAILURE);
}
END_TEST

START_TEST(test_refused_and_reset)
{
    struct talk t = { .server = sim_node_new(sim, "server") };

    t.client = sim_node_new(sim, "client");
    sim_node_start(t.server, bystander_main, &(struct pair){ 0 });
    sim_node_start(t.client, pusher_main, &t);
    ck_assert_int_eq(sim_run(sim, SIM_SECOND, talk_is_over, &t), SIM_DONE);
    ck_assert_int_eq(t.result, ERR_CONNECT);
    sim_node_kill(t.server);
    sim_free(sim);
    sim = sim_new(5);
    talk_start(&t);
    sim_net_reset(sim, t.server, t.client);
    ck_assert_int_eq(sim_run(sim, SIM_SECOND, talk_is_over, &t), SIM_DONE);
    ck_assert_int_eq(t.result, ERR_CONNECTION_FAILURE);
}
END_TEST

START_TEST(test_paused_nodes_stand_still)
{
    struct talk t;
    uint64_t sent;

    talk_start(&t);
    sim_node_pause(t.client);
    sent = t.sent_bytes;
    ck_assert_int_eq(sim_run(sim, SIM_SECOND, talk_is_over, &t), SIM_TIME);
    ck_assert_uint_eq(t.sent_bytes, sent);
    sim_node_resume(t.client);
    ck_assert_int_eq(sim_run(sim, SIM_SECOND, talk_is_over, &t), SIM_TIME);
    ck_assert_uint_gt(t.sent_bytes, sent);
}
END_TEST

/* ---- the suite ----------------------------------------------------------------------------- */

static void
setup(void)
{
    sim = sim_new(42);
}

static void
teardown(void)
{
    sim_free(sim);
    ck_assert(task_self()->env == NULL);
}

int
main(void)
{
    Suite *suite = suite_create("sim");
    TCase *tc = tcase_create("sim");
    SRunner *sr;
    int failed;

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, test_same_seed_same_run);
    tcase_add_test(tc, test_mutexes_exclude);
    tcase_add_test(tc, test_deadlock_is_reported);
    tcase_add_test(tc, test_fibers_and_jobs_in_virtual_time);
    tcase_add_test(tc, test_power_cuts_lose_only_what_was_not_synced);
    tcase_add_test(tc, test_dsync_writes_are_durable);
    tcase_add_test(tc, test_names_need_their_folder_synced);
    tcase_add_test(tc, test_folders);
    tcase_add_test(tc, test_faults_by_rule);
    tcase_add_test(tc, test_a_node_dies_alone);
    tcase_add_test(tc, test_partitions);
    tcase_add_test(tc, test_silence_after_a_power_cut);
    tcase_add_test(tc, test_reset_after_a_restart);
    tcase_add_test(tc, test_kill_closes_connections);
    tcase_add_test(tc, test_refused_and_reset);
    tcase_add_test(tc, test_paused_nodes_stand_still);
    suite_add_tcase(suite, tc);
    sr = srunner_create(suite);
    srunner_set_fork_status(sr, CK_NOFORK);
    srunner_run_all(sr, CK_NORMAL);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed != 0;
}
