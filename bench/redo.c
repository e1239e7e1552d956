/* How fast parts get into the redo, and how many flushes group commit makes of them.
 *
 *   build/release/bench/redo [--dir DIR] [--seconds S] [--size BYTES] [--fdatasync] [--no-sync]
 *
 * First the cost of an append alone (no log writer runs meanwhile); then, for 1 to 64 fibers on one
 * worker, each appending a commit of SIZE bytes and waiting until it is durable: commits and writes
 * per second, commits per write, mean and 99th percentile of the wait.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/fiber.h"
#include "engine/base/mem.h"
#include "engine/redo/record.h"
#include "engine/redo/redo.h"

enum { FIBERS_MAX = 64, SAMPLES_MAX = 1 << 20 };

struct bench {
    struct env *env;
    struct redo *redo;
    const char *dir;
    size_t size;
    uint64_t seconds;
    bool fdatasync, no_sync;
    uint64_t until_ns;
    uint64_t commits;
    uint32_t *samples_us;
    size_t sample_count;
};

struct session {
    struct bench *bench;
    struct writer part;
    size_t commit_at;
};

static void
fail(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, diag_last()->message);
    exit(1);
}

static void
part_make(struct bench *b, struct writer *w, size_t *commit_at)
{
    size_t value_size = b->size > 80 ? b->size - 80 : 1, at;
    uint8_t key[8] = { 1 }, *value = xmalloc(value_size);
    struct redo_commit commit = { .txid = txid_make(1, 1) };

    for (size_t i = 0; i < value_size; i++)
        value[i] = (uint8_t)(i * i >> 2);
    wr_init(w, 0);
    at = redo_encode_writes_begin(w, commit.txid, 1);
    redo_encode_op(w, REDO_OP_PUT, 100, slice(key, sizeof key), slice(value, value_size));
    redo_encode_writes_end(w, at);
    *commit_at = w->size;
    redo_encode_commit(w, &commit, NULL);
    xfree(value);
}

static struct redo_part
part_of(struct session *s, unsigned flags)
{
    return (struct redo_part){ .data = s->part.data,
                               .size = s->part.size,
                               .commit_at = (int64_t)s->commit_at,
                               .inc = 1,
                               .flags = flags };
}

static void
open_log(struct bench *b)
{
    struct lineage_entry e = { .inc = 1, .start_lsn = REDO_LSN_FIRST, .reign_id = 1 };
    struct redo_pos from = { .lsn = REDO_LSN_FIRST };
    struct redo_options o = { .env = b->env,
                              .dir = b->dir,
                              .database_id = 1,
                              .fdatasync = b->fdatasync,
                              .no_sync = b->no_sync };
    struct lineage l;

    lineage_init(&l);
    if (lineage_add(&l, &e) != 0)
        fail("lineage");
    o.lineage = &l;
    if (redo_open(&o, &b->redo) != 0)
        fail("open");
    redo_files_settle(b->redo);
    if (redo_start_writing(b->redo, 1, &from, 1) != 0)
        fail("start");
    lineage_fini(&l);
}

static void
close_log(struct bench *b)
{
    char command[300];

    redo_close(b->redo);
    b->redo = NULL;
    snprintf(command, sizeof command, "rm -rf '%s'", b->dir);
    if (system(command) != 0)
        exit(1);
}

/* ---- append alone --------------------------------------------------------------------------- */

static void
bench_append(struct bench *b)
{
    struct session s = { .bench = b };
    uint64_t total_ns = 0, count = 0;

    part_make(b, &s.part, &s.commit_at);
    for (int round = 0; round < 20; round++) {
        uint64_t n = (8u << 20) / s.part.size, start = env_boot_ns(b->env);
        struct redo_part part;

        for (uint64_t i = 0; i < n; i++) {
            part = part_of(&s, REDO_PART_DEFER_WAKE);
            if (redo_append(b->redo, &part) != 0)
                fail("append");
        }
        total_ns += env_boot_ns(b->env) - start;
        count += n;
        if (redo_wait_durable(b->redo, part.end_lsn) != 0)
            fail("wait");
    }
    printf("append of %zu bytes: %.0f ns\n\n", s.part.size, (double)total_ns / (double)count);
    wr_fini(&s.part);
}

/* ---- sessions ------------------------------------------------------------------------------- */

static void
session_run(void *arg)
{
    struct session *s = arg;
    struct bench *b = s->bench;
    uint64_t start;

    while ((start = env_boot_ns(b->env)) < b->until_ns) {
        struct redo_part part = part_of(s, REDO_PART_DEFER_WAKE);

        if (redo_append(b->redo, &part) != 0 || redo_wait_durable(b->redo, part.end_lsn) != 0)
            fail("commit");
        b->commits++;
        if (b->sample_count < SAMPLES_MAX)
            b->samples_us[b->sample_count++] = (uint32_t)((env_boot_ns(b->env) - start) / 1000);
    }
}

static void
turn_end(void *arg)
{
    redo_kick(arg);
}

static int
sample_compare(const void *a, const void *b)
{
    const uint32_t *x = a, *y = b;

    return *x < *y ? -1 : *x > *y;
}

static void
bench_sessions(struct bench *b, int fibers)
{
    struct session sessions[FIBERS_MAX];
    struct sched *s = sched_new(b->env);
    struct redo_stats before, after;
    uint64_t start, ns, sum = 0;

    redo_stats(b->redo, &before);
    b->commits = 0;
    b->sample_count = 0;
    start = env_boot_ns(b->env);
    b->until_ns = start + b->seconds * 1000000000u;
    sched_set_turn_hook(s, turn_end, b->redo);
    for (int i = 0; i < fibers; i++) {
        sessions[i] = (struct session){ .bench = b };
        part_make(b, &sessions[i].part, &sessions[i].commit_at);
        fiber_start(s, "session", FIBER_STACK_DEFAULT, session_run, &sessions[i]);
    }
    sched_run(s, true);
    ns = env_boot_ns(b->env) - start;
    sched_free(s);
    redo_stats(b->redo, &after);
    qsort(b->samples_us, b->sample_count, sizeof *b->samples_us, sample_compare);
    for (size_t i = 0; i < b->sample_count; i++)
        sum += b->samples_us[i];
    printf("%6d %12.0f %10.0f %14.1f %10.0f %8u\n", fibers, (double)b->commits * 1e9 / (double)ns,
           (double)(after.writes - before.writes) * 1e9 / (double)ns,
           (double)b->commits / (double)(after.writes - before.writes),
           (double)sum / (double)b->sample_count, b->samples_us[b->sample_count * 99 / 100]);
    for (int i = 0; i < fibers; i++)
        wr_fini(&sessions[i].part);
    redo_release(b->redo, 1, redo_durable(b->redo));
}

int
main(int argc, char **argv)
{
    struct bench b = { .env = env_posix_new(), .dir = "bench-redo.tmp", .size = 300, .seconds = 3 };

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--dir") == 0 && i + 1 < argc)
            b.dir = argv[++i];
        else if (strcmp(argv[i], "--seconds") == 0 && i + 1 < argc)
            b.seconds = strtoull(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--size") == 0 && i + 1 < argc)
            b.size = strtoull(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--fdatasync") == 0)
            b.fdatasync = true;
        else if (strcmp(argv[i], "--no-sync") == 0)
            b.no_sync = true;
        else {
            fprintf(stderr, "usage: redo [--dir DIR] [--seconds S] [--size BYTES] [--fdatasync] "
                            "[--no-sync]\n");
            return 2;
        }
    }
    b.samples_us = xcalloc(SAMPLES_MAX, sizeof *b.samples_us);
    open_log(&b);
    bench_append(&b);
    printf("fibers    commits/s   writes/s  commits/write  mean us   p99 us\n");
    for (int fibers = 1; fibers <= FIBERS_MAX; fibers *= 2)
        bench_sessions(&b, fibers);
    close_log(&b);
    xfree(b.samples_us);
    env_free(b.env);
    return 0;
}
