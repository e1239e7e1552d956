/* A primary under load is killed with SIGKILL at random moments and started again, many times
 * (A1 to A8, A13; TXNE-2, TXNE-8): every commit that was acknowledged is there, none is half there,
 * the sum of the bank's accounts never changes, and what is there is a prefix: no transfer without
 * the one that it was built on (A8), nor any that nobody asked for.
 *
 * KILLS=n sets how often (default 25), SEED=n replays the moments.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "engine/base/env.h"
#include "engine/base/fiber.h"
#include "engine/engine.h"

enum { ACCOUNTS = 40, FIBERS = 12, TREE_BANK = 1, TREE_LOG = 2 };

static char dir[64];
static int out_fd; /* the child tells of each acknowledged commit here */

static void
fail(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, diag_last()->message);
    exit(3);
}

static struct engine *
open_engine(struct env *env, incarnation_t inc)
{
    struct engine_options o = {
        .env = env,
        .dir = dir,
        .memtable_bytes = 1 << 20,
        .cache_bytes = 1 << 20,
        .ring_bytes = 1 << 18,
        .redo_file_bytes = 1 << 20,
    };
    struct engine *e;

    if (engine_mount(&o, &e) != 0)
        fail("mount");
    if (engine_open_write(e, inc, inc) != 0)
        fail("open for writing");
    return e;
}

/* What stands in a row, as text; the empty text for no row. */
static int
read_row(struct txn *t, const char *key, struct txn_row *row, char text[48])
{
    int rc = txn_read_newest(t, TREE_BANK, slice_str(key), LOCK_WAIT, row);

    text[0] = '\0';
    if (rc == 0 && row->found)
        snprintf(text, 48, "%.*s", (int)row->value.size, (const char *)row->value.data);
    return rc;
}

/* An account's row: its balance, and how many transfers have changed it. *number: which this is. */
static int
add_to(struct txn *t, const char *key, int amount, unsigned *number)
{
    struct txn_row row;
    char text[48];
    int rc;

    do {
        int balance = 0;

        rc = read_row(t, key, &row, text);
        if (rc != 0)
            return rc;
        *number = 0;
        (void)sscanf(text, "%d %u", &balance, number);
        snprintf(text, sizeof text, "%d %u", balance + amount, ++*number);
        rc = txn_write(t, TREE_BANK, slice_str(key), TXN_PUT, slice_str(text), &row);
    } while (rc == ERR_AGAIN);
    return rc;
}

/* ---- the load ---------------------------------------------------------------------------------
 */

struct load {
    struct engine *engine;
    struct env *env;
    uint32_t round;
    uint32_t next;
};

static int
transfer(struct load *l, struct txn *t, uint64_t id, struct commit_token *token)
{
    char from[16], to[16], entry[32], what[64];
    uint64_t r = env_random_u64(l->env);
    unsigned numbers[2] = { 0 };
    int rc = txn_begin(t, TXN_READ_COMMITTED, false);

    snprintf(from, sizeof from, "a%02u", (unsigned)(r % ACCOUNTS));
    snprintf(to, sizeof to, "a%02u", (unsigned)(r / ACCOUNTS % ACCOUNTS));
    snprintf(entry, sizeof entry, "%012" PRIu64, id);
    if (rc == 0)
        rc = txn_statement_begin(t);
    if (rc == 0)
        rc = add_to(t, from, -7, &numbers[0]);
    fiber_yield();
    if (rc == 0)
        rc = add_to(t, to, 7, &numbers[1]);
    snprintf(what, sizeof what, "%s %u %s %u", from + 1, numbers[0], to + 1, numbers[1]);
    if (rc == 0)
        rc = txn_put(t, TREE_LOG, slice_str(entry), slice_str(what));
    if (rc == 0) {
        txn_statement_end(t);
        rc = txn_commit(t, token);
    }
    if (rc != 0 && txn_is_open(t))
        txn_rollback(t);
    return rc;
}

static void
load_fiber(void *arg)
{
    struct load *l = arg;
    struct txn *t = txn_new(l->engine);

    for (;;) {
        uint64_t id = (uint64_t)l->round << 24 | ++l->next;
        struct commit_token token;
        int rc = transfer(l, t, id, &token);

        if (rc == ERR_DEADLOCK)
            continue;
        if (rc != 0 || engine_wait_visible(l->engine, token.scn, UINT64_MAX) != 0)
            fail("commit");
        if (write(out_fd, &id, sizeof id) != sizeof id)
            exit(0);
    }
}

static void
run_load(uint32_t round)
{
    struct env *env = env_posix_new();
    struct load l = { open_engine(env, round), env, round, 0 };
    struct sched *s = sched_new(env);

    for (int i = 0; i < FIBERS; i++)
        fiber_start(s, "load", 0, load_fiber, &l);
    sched_run(s, false);
    exit(4);
}

/* ---- checking ---------------------------------------------------------------------------------
 */

static int
count_rows(struct txn *t, tree_id_t tree, int (*fn)(void *arg, struct slice k, struct slice v),
           void *arg)
{
    struct txn_cursor *c;
    struct slice k, v;
    int rc = txn_scan(t, tree, slice("", 0), slice(NULL, 0), 0, NULL, &c);
    int bad = 0;

    while (rc == 0 && (rc = txn_cursor_next(c, &k, &v)) == 0)
        bad += fn(arg, k, v);
    txn_cursor_close(c);
    if (rc != ERR_END)
        fail("scan");
    return bad;
}

/* What the ledger's rows say of each account, to compare with its own. */
struct books {
    long sum;
    uint64_t entries[ACCOUNTS], numbers[ACCOUNTS]; /* how many, and the sum of their numbers */
};

static int
add_entry(void *arg, struct slice k, struct slice v)
{
    struct books *b = arg;
    unsigned account[2], number[2];
    char text[64];

    snprintf(text, sizeof text, "%.*s", (int)v.size, (const char *)v.data);
    if (k.size != 12 ||
        sscanf(text, "%u %u %u %u", &account[0], &number[0], &account[1], &number[1]) != 4 ||
        account[0] >= ACCOUNTS || account[1] >= ACCOUNTS)
        return 1;
    for (int i = 0; i < 2; i++) {
        b->entries[account[i]]++;
        b->numbers[account[i]] += number[i];
    }
    return 0;
}

/* The entries of an account are number 1 to the last, each once: none is missing below one that is
 * there. */
static int
compare_account(void *arg, struct slice k, struct slice v)
{
    struct books *b = arg;
    unsigned number = 0, account;
    int balance = 0;
    char text[48];

    snprintf(text, sizeof text, "%.*s", (int)v.size, (const char *)v.data);
    account = k.size == 3 ? 10u * (k.data[1] - '0') + (k.data[2] - '0') : ACCOUNTS;
    if (sscanf(text, "%d %u", &balance, &number) != 2 || account >= ACCOUNTS)
        return 1;
    b->sum += balance;
    return b->entries[account] != number ||
           b->numbers[account] != (uint64_t)number * (number + 1) / 2;
}

/* Opens, reads, and compares with what was acknowledged; exits 0 when all holds. */
static void
check(uint32_t round, const uint64_t *acked, size_t count)
{
    struct env *env = env_posix_new();
    struct engine *e = open_engine(env, round);
    struct txn *t = txn_new(e);
    struct books books = { 0 };
    int bad;

    if (engine_wait_visible(e, engine_newest_scn(e), UINT64_MAX) != 0 ||
        txn_begin(t, TXN_READ_COMMITTED, true) != 0 || txn_statement_begin(t) != 0)
        fail("read");
    bad = count_rows(t, TREE_LOG, add_entry, &books);
    bad += count_rows(t, TREE_BANK, compare_account, &books);
    if (bad != 0 || books.sum != 0) {
        fprintf(stderr, "round %u: the accounts add up to %ld, %d rows do not fit\n", round,
                books.sum, bad);
        exit(5);
    }
    for (size_t i = 0; i < count; i++) {
        struct slice value;
        char entry[32];

        snprintf(entry, sizeof entry, "%012" PRIu64, acked[i]);
        if (txn_get(t, TREE_LOG, slice_str(entry), NULL, &value) != 0) {
            fprintf(stderr, "round %u: acknowledged commit %s is lost\n", round, entry);
            exit(6);
        }
    }
    txn_statement_end(t);
    txn_free(t);
    engine_close(e);
    exit(0);
}

/* ---- the parent -------------------------------------------------------------------------------
 */

struct acks {
    uint64_t *ids;
    size_t count, cap;
};

static void
drain(int fd, struct acks *a)
{
    uint64_t id;

    while (read(fd, &id, sizeof id) == sizeof id) {
        if (a->count == a->cap) {
            a->cap = a->cap != 0 ? 2 * a->cap : 1024;
            a->ids = realloc(a->ids, a->cap * sizeof *a->ids);
        }
        a->ids[a->count++] = id;
    }
}

/* Kills the load a while after its first acknowledgement, or, now and then, in its recovery. */
static void
one_round(uint32_t round, struct acks *a)
{
    int fds[2], status;
    uint64_t first;
    pid_t pid;

    if (pipe(fds) != 0)
        exit(9);
    pid = fork();
    if (pid == 0) {
        close(fds[0]);
        out_fd = fds[1];
        run_load(round);
    }
    close(fds[1]);
    if (rand() % 5 != 0 && read(fds[0], &first, sizeof first) == sizeof first) {
        a->ids = a->ids != NULL ? a->ids : malloc((a->cap = 1024) * sizeof *a->ids);
        if (a->count == a->cap)
            a->ids = realloc(a->ids, (a->cap *= 2) * sizeof *a->ids);
        a->ids[a->count++] = first;
    }
    nanosleep(&(struct timespec){ 0, rand() % 40 * 1000000 }, NULL); /* the moment, by the seed */
    kill(pid, SIGKILL);
    drain(fds[0], a);
    close(fds[0]);
    waitpid(pid, &status, 0);
    if (!WIFSIGNALED(status)) {
        fprintf(stderr, "round %u: the load ended by itself with %d\n", round, status);
        exit(7);
    }
}

int
main(void)
{
    const char *kills = getenv("KILLS"), *seed = getenv("SEED");
    uint32_t rounds = kills != NULL ? (uint32_t)atoi(kills) : 25, inc = 0;
    unsigned s = seed != NULL ? (unsigned)atoi(seed) : (unsigned)time(NULL);
    struct acks a = { 0 };
    char command[96];
    int status = 0;
    pid_t pid;

    printf("SEED=%u KILLS=%u\n", s, rounds);
    fflush(stdout);
    srand(s);
    snprintf(dir, sizeof dir, "/tmp/rd-kill-XXXXXX");
    if (mkdtemp(dir) == NULL)
        return 9;
    snprintf(command, sizeof command, "rm -rf %s", dir);
    memcpy(dir + strlen(dir), "/db", 4);
    pid = fork();
    if (pid == 0) {
        uint64_t id;

        exit(engine_create(env_posix_new(), dir, &id) == 0 ? 0 : 1);
    }
    waitpid(pid, &status, 0);
    for (uint32_t r = 0; r < rounds && status == 0; r++) {
        one_round(++inc, &a);
        inc++;
        pid = fork();
        if (pid == 0)
            check(inc, a.ids, a.count);
        waitpid(pid, &status, 0);
    }
    printf("%zu acknowledged commits, %s\n", a.count, status == 0 ? "all there" : "FAILED");
    if (system(command) != 0)
        status = 1;
    free(a.ids);
    return status == 0 ? 0 : 1;
}
