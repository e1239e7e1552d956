/* The storage engine in the manner of RocksDB's db_bench: the same benchmarks, options of the same
 * names and meanings, and a report of the same shape, so that bench/vs-rocksdb can set both side by
 * side. Each operation is a transaction of its own.
 *
 *   engine [--benchmarks=LIST] [--db=FOLDER] [--num=N] [--reads=N] [--writes=N] [--threads=N]
 *          [--key_size=BYTES] [--value_size=BYTES] [--compression_ratio=R] [--batch_size=N]
 * [--seek_nexts=N]
 *          [--write_buffer_size=BYTES] [--cache_size=BYTES] [--duration=SECONDS] [--sync=0|1]
 *          [--use_existing_db=0|1] [--histogram=0|1] [--seed=N] [--retention=SECONDS]
 *
 * LIST, separated by commas, in order:
 *   fillseq, fillrandom   a fresh database; N writes a thread in key order, or of random keys
 *   fillsync              likewise, each durable before it returns: give --writes with it
 *   overwrite             N writes of random keys a thread
 *   readrandom            N reads of random keys a thread
 *   readwhilewriting      the same, with one more thread that writes all the while
 *   seekrandom            N times: seek to a random key, read `seek_nexts` rows from there
 *   readseq               reads everything in key order
 *   flush, compact        write what is in memory to segments; merge everything down
 *   stats                 counts the rows, prints space amplification and figures
 *
 * Without --sync (and but for fillsync) redo is written and never forced, as db_bench writes its
 * log. A session sees its own commits, so its next statement waits until the last one is visible: a
 * thread that does not want to wait takes turns with --sessions=N of them, as clients that pipeline
 * do.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "engine/base/env.h"
#include "engine/base/mem.h"
#include "engine/engine.h"
#include "engine/lsm/lsm.h"

enum { THREADS_MAX = 64, VALUE_POOL = 1 << 20, HIST_SUB = 32, HIST_SIZE = 64 * HIST_SUB };

struct options {
    char benchmarks[400], db[200];
    uint64_t num, reads, writes, seed, duration, retention;
    size_t key_size, value_size, write_buffer_size, cache_size;
    double compression_ratio;
    int threads, sessions, batch_size, seek_nexts, sync, use_existing_db, histogram;
    uint64_t redo_file_bytes;
};

struct bench {
    struct options o;
    struct env *env;
    struct engine *engine; /* NULL: closed */
    bool engine_syncs;     /* how it was opened */
    tree_id_t tree;
    uint8_t *values;     /* VALUE_POOL bytes to take values from */
    uint64_t user_bytes; /* written since the database was made */
};

/* Latencies in ns, on a scale that is logarithmic with HIST_SUB steps to a power of two. */
struct histogram {
    uint64_t count, sum, max, min;
    uint64_t slots[HIST_SIZE];
};

struct worker;
typedef void worker_main(struct worker *w);
struct worker {
    struct bench *b;
    worker_main *fn;
    struct txn **sessions;
    struct txn *txn;        /* the session whose turn it is */
    struct histogram *hist; /* NULL: not wanted */
    uint8_t *key;
    uint64_t random, value_at;
    uint64_t ops, bytes, found;
    uint64_t last_ns; /* end of the operation before */
    uint64_t end_ns;  /* --duration; 0: by count */
    uint64_t limit;   /* operations */
    int number;
    bool sync;
    _Atomic bool *stop; /* for the writer beside readers; NULL: by count */
};

static struct env *
world(const struct worker *w)
{
    return w->b->env;
}

NORETURN
static void
fail(const char *what)
{
    fprintf(stderr, "%s: %s\n%s\n", what, diag_last()->message, diag_last()->detail);
    exit(1);
}

static void
must(int rc, const char *what)
{
    if (rc != 0)
        fail(what);
}

/* ---- random keys and values ----------------------------------------------------------------- */

static uint64_t
next_random(uint64_t *state)
{
    uint64_t x = *state += 0x9e3779b97f4a7c15ull;

    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ x >> 27) * 0x94d049bb133111ebull;
    return x ^ x >> 31;
}

/* Pieces of 100 bytes of which a part, repeated, makes the rest: as db_bench does it. */
static uint8_t *
make_values(const struct options *o)
{
    uint8_t *pool = xmalloc(VALUE_POOL);
    size_t raw = (size_t)(100 * o->compression_ratio), at = 0;
    uint64_t random = 301;

    raw = raw < 1 ? 1 : raw > 100 ? 100 : raw;
    while (at < VALUE_POOL) {
        size_t n = VALUE_POOL - at < 100 ? VALUE_POOL - at : 100;

        for (size_t i = 0; i < n; i++)
            pool[at + i] =
                i < raw ? (uint8_t)(' ' + next_random(&random) % 95) : pool[at + i - raw];
        at += n;
    }
    return pool;
}

static struct slice
next_value(struct worker *w)
{
    size_t size = w->b->o.value_size;

    if (w->value_at + size > VALUE_POOL)
        w->value_at = 0;
    w->value_at += size;
    return slice(w->b->values + w->value_at - size, size);
}

/* Eight bytes of number, then '0's; shorter keys keep the lower bytes. */
static struct slice
make_key(struct worker *w, uint64_t number)
{
    size_t size = w->b->o.key_size, n = size < 8 ? size : 8;

    for (size_t i = 0; i < n; i++)
        w->key[i] = (uint8_t)(number >> 8 * (n - 1 - i));
    return slice(w->key, size);
}

static struct slice
random_key(struct worker *w)
{
    return make_key(w, next_random(&w->random) % w->b->o.num);
}

/* ---- latencies ------------------------------------------------------------------------------ */

static unsigned
hist_slot(uint64_t ns)
{
    unsigned log;

    if (ns < HIST_SUB)
        return (unsigned)ns;
    log = 63 - (unsigned)__builtin_clzll(ns);
    return (log - 4) * HIST_SUB + (unsigned)(ns >> (log - 5) & (HIST_SUB - 1));
}

static double
hist_value(unsigned slot)
{
    unsigned log = slot / HIST_SUB + 4;

    if (slot < HIST_SUB)
        return slot;
    return (double)((uint64_t)(HIST_SUB + slot % HIST_SUB) << (log - 5));
}

static void
hist_add(struct histogram *h, uint64_t ns)
{
    h->slots[hist_slot(ns)]++;
    h->min = h->count == 0 || ns < h->min ? ns : h->min;
    h->max = ns > h->max ? ns : h->max;
    h->count++;
    h->sum += ns;
}

static void
hist_merge(struct histogram *h, const struct histogram *from)
{
    for (unsigned i = 0; i < HIST_SIZE; i++)
        h->slots[i] += from->slots[i];
    h->min = h->count == 0 || (from->count != 0 && from->min < h->min) ? from->min : h->min;
    h->max = from->max > h->max ? from->max : h->max;
    h->count += from->count;
    h->sum += from->sum;
}

static double
hist_percentile(const struct histogram *h, double percent)
{
    double want = (double)h->count * percent / 100, seen = 0;

    for (unsigned i = 0; i < HIST_SIZE; i++) {
        seen += (double)h->slots[i];
        if (h->slots[i] != 0 && seen >= want)
            return hist_value(i);
    }
    return (double)h->max;
}

static void
hist_print(const struct histogram *h)
{
    if (h->count == 0)
        return;
    printf("Microseconds per op:\nCount: %lu Average: %.4f\nMin: %.2f Median: %.4f Max: %.2f\n"
           "Percentiles: P50: %.2f P75: %.2f P99: %.2f P99.9: %.2f P99.99: %.2f\n",
           h->count, (double)h->sum / (double)h->count / 1e3, (double)h->min / 1e3,
           hist_percentile(h, 50) / 1e3, (double)h->max / 1e3, hist_percentile(h, 50) / 1e3,
           hist_percentile(h, 75) / 1e3, hist_percentile(h, 99) / 1e3,
           hist_percentile(h, 99.9) / 1e3, hist_percentile(h, 99.99) / 1e3);
}

/* Counts `n` operations. False: it was the last one. */
static bool
done(struct worker *w, uint64_t n)
{
    w->ops += n;
    if (w->hist != NULL || w->end_ns != 0) {
        uint64_t now = env_boot_ns(world(w));

        if (w->hist != NULL)
            hist_add(w->hist, now - w->last_ns);
        w->last_ns = now;
        if (w->end_ns != 0 && now >= w->end_ns)
            return false;
    }
    if (w->stop != NULL)
        return !atomic_load_explicit(w->stop, memory_order_relaxed);
    return w->end_ns != 0 || w->ops < w->limit;
}

/* ---- operations ----------------------------------------------------------------------------- */

static void
write_rows(struct worker *w, bool random)
{
    const struct options *o = &w->b->o;
    struct commit_token token;
    int session = 0;

    do {
        w->txn = w->sessions[session];
        session = session + 1 == o->sessions ? 0 : session + 1;
        must(txn_begin(w->txn, TXN_READ_COMMITTED, false), "begin");
        must(txn_statement_begin(w->txn), "statement");
        for (int i = 0; i < o->batch_size; i++) {
            struct slice key = random ? random_key(w) : make_key(w, w->ops + (uint64_t)i);
            struct slice value = next_value(w);

            must(txn_put(w->txn, w->b->tree, key, value), "put");
            w->bytes += key.size + value.size;
        }
        txn_statement_end(w->txn);
        must(txn_commit(w->txn, &token), "commit");
        if (w->sync)
            must(engine_wait_visible(w->b->engine, token.scn, UINT64_MAX), "wait for commit");
    } while (done(w, (uint64_t)o->batch_size));
}

static void
write_seq(struct worker *w)
{
    write_rows(w, false);
}

static void
write_random(struct worker *w)
{
    write_rows(w, true);
}

static void
read_random(struct worker *w)
{
    do {
        struct slice key = random_key(w), value;
        int rc;

        must(txn_begin(w->txn, TXN_READ_COMMITTED, true), "begin");
        must(txn_statement_begin(w->txn), "statement");
        rc = txn_get(w->txn, w->b->tree, key, NULL, &value);
        if (rc == 0) {
            w->found++;
            w->bytes += key.size + value.size;
        } else if (rc != ERR_NOT_FOUND) {
            fail("get");
        }
        txn_statement_end(w->txn);
        txn_rollback(w->txn);
    } while (done(w, 1));
}

/* Reads up to `rows` from lo. */
static void
scan(struct worker *w, struct slice lo, uint64_t rows)
{
    struct txn_cursor *c;
    struct slice key, value;
    int rc = 0;

    must(txn_begin(w->txn, TXN_READ_COMMITTED, true), "begin");
    must(txn_statement_begin(w->txn), "statement");
    must(txn_scan(w->txn, w->b->tree, lo, slice(NULL, 0), 0, NULL, &c), "scan");
    for (uint64_t i = 0; i < rows; i++) {
        rc = txn_cursor_next(c, &key, &value);
        if (rc != 0)
            break;
        w->found++;
        w->bytes += key.size + value.size;
    }
    if (rc != 0 && rc != ERR_END)
        fail("next");
    txn_cursor_close(c);
    txn_statement_end(w->txn);
    txn_rollback(w->txn);
}

static void
seek_random(struct worker *w)
{
    /* db_bench looks at the row on which it lands and at `seek_nexts` more. */
    do
        scan(w, random_key(w), 1 + (uint64_t)w->b->o.seek_nexts);
    while (done(w, 1));
}

static void
read_seq(struct worker *w)
{
    scan(w, slice("", 0), UINT64_MAX);
    w->ops = w->found;
}

/* ---- the database --------------------------------------------------------------------------- */

static void
db_close(struct bench *b)
{
    if (b->engine != NULL)
        engine_close(b->engine);
    b->engine = NULL;
}

/* The tree's number is kept in a file beside the database. */
static void
tree_file(const struct bench *b, char path[256])
{
    snprintf(path, 256, "%s.tree", b->o.db);
}

static void
db_make_tree(struct bench *b)
{
    char path[256];
    struct txn *t = txn_new(b->engine);
    struct commit_token token;
    FILE *f;

    must(txn_begin(t, TXN_READ_COMMITTED, false), "begin");
    must(txn_statement_begin(t), "statement");
    must(txn_tree_create(t, &b->tree), "create tree");
    txn_statement_end(t);
    must(txn_commit(t, &token), "commit");
    must(engine_wait_visible(b->engine, token.scn, UINT64_MAX), "wait for commit");
    txn_free(t);
    tree_file(b, path);
    f = fopen(path, "w");
    if (f == NULL || fprintf(f, "%lu\n", b->tree) < 0 || fclose(f) != 0) {
        fprintf(stderr, "cannot write %s\n", path);
        exit(1);
    }
}

static void
db_find_tree(struct bench *b)
{
    char path[256];
    FILE *f;

    tree_file(b, path);
    f = fopen(path, "r");
    if (f == NULL || fscanf(f, "%lu", &b->tree) != 1) {
        fprintf(stderr, "cannot read %s: run a benchmark that fills the database first\n", path);
        exit(1);
    }
    fclose(f);
}

static void
db_remove(struct bench *b)
{
    char command[512];

    /* The folder is the caller's word for what may be removed: only one that a database is in. */
    snprintf(command, sizeof command, "%s/manifest", b->o.db);
    if (!env_exists(b->env, b->o.db))
        return;
    if (!env_exists(b->env, command)) {
        fprintf(stderr, "%s is there and is not a database\n", b->o.db);
        exit(1);
    }
    snprintf(command, sizeof command, "rm -rf '%s'", b->o.db);
    if (system(command) != 0)
        exit(1);
}

static void
db_open(struct bench *b, bool fresh, bool syncs)
{
    struct engine_options eo = {
        .env = b->env,
        .dir = b->o.db,
        .memtable_bytes = b->o.write_buffer_size * 4,
        .memtable_each = b->o.write_buffer_size,
        .cache_bytes = b->o.cache_size,
        .redo_file_bytes = b->o.redo_file_bytes,
        .retention_us = b->o.retention * 1000000 + 1,
        .no_sync = !syncs,
    };
    uint64_t id;

    if (b->engine != NULL && !fresh && b->engine_syncs == syncs)
        return;
    db_close(b);
    if (fresh) {
        db_remove(b);
        b->user_bytes = 0;
        must(engine_create(b->env, b->o.db, &id), "create database");
    }
    must(engine_mount(&eo, &b->engine), "mount");
    b->engine_syncs = syncs;
    must(engine_open_write(b->engine, engine_incarnation(b->engine) + 1, 1), "open for writing");
    if (fresh)
        db_make_tree(b);
    else
        db_find_tree(b);
}

/* ---- running -------------------------------------------------------------------------------- */

static void
worker_th(void *arg)
{
    struct worker *w = arg;

    int count = w->b->o.sessions;

    w->sessions = xcalloc((size_t)count, sizeof *w->sessions);
    for (int i = 0; i < count; i++)
        w->sessions[i] = txn_new(w->b->engine);
    w->txn = w->sessions[0];
    w->last_ns = env_boot_ns(world(w));
    w->fn(w);
    for (int i = 0; i < count; i++)
        txn_free(w->sessions[i]);
    xfree(w->sessions);
}

static void
worker_init(struct bench *b, struct worker *w, int number, worker_main *fn, uint64_t limit)
{
    *w = (struct worker){ .b = b,
                          .fn = fn,
                          .number = number,
                          .limit = limit,
                          .random = b->o.seed * 1000003 + (uint64_t)number,
                          .sync = b->engine_syncs };
    w->key = xmalloc(b->o.key_size + 8);
    memset(w->key, '0', b->o.key_size + 8);
    w->value_at = next_random(&w->random) % VALUE_POOL;
    if (b->o.histogram != 0)
        w->hist = xcalloc(1, sizeof *w->hist);
    if (b->o.duration != 0)
        w->end_ns = env_boot_ns(b->env) + b->o.duration * 1000000000ull;
}

static void
worker_fini(struct worker *w)
{
    xfree(w->key);
    xfree(w->hist);
}

static uint64_t
disk_bytes(void)
{
    struct rusage u;

    getrusage(RUSAGE_SELF, &u);
    return (uint64_t)u.ru_oublock * 512;
}

static void
report(struct bench *b, const char *name, struct worker *workers, uint64_t ns, uint64_t disk,
       bool writes)
{
    struct histogram *h = xcalloc(1, sizeof *h);
    uint64_t ops = 0, bytes = 0, found = 0;
    double seconds = (double)ns / 1e9;

    for (int i = 0; i < b->o.threads; i++) {
        ops += workers[i].ops;
        bytes += workers[i].bytes;
        found += workers[i].found;
        if (workers[i].hist != NULL)
            hist_merge(h, workers[i].hist);
    }
    printf("%-12s : %11.3f micros/op %.0f ops/sec %.3f seconds %lu operations; %6.1f MB/s", name,
           (double)ns / 1e3 * b->o.threads / (double)ops, (double)ops / seconds, seconds, ops,
           (double)bytes / 1048576.0 / seconds);
    if (!writes)
        printf(" (%lu of %lu found)", found, ops);
    printf("\n");
    if (writes) {
        b->user_bytes += bytes;
        printf("Disk writes: %.1f MB, %.2f times what was written\n", (double)disk / 1048576.0,
               (double)disk / (double)bytes);
    }
    hist_print(h);
    fflush(stdout);
    xfree(h);
}

static void
run_threads(struct bench *b, const char *name, worker_main *fn, uint64_t limit, bool writes,
            bool beside_writer)
{
    struct worker workers[THREADS_MAX + 1];
    struct env_thread *threads[THREADS_MAX + 1];
    uint64_t start = env_boot_ns(b->env), disk = disk_bytes();
    _Atomic bool stop = false;
    int count = b->o.threads + beside_writer;

    for (int i = 0; i < count; i++) {
        worker_init(b, &workers[i], i, i < b->o.threads ? fn : write_random, limit);
        if (i == b->o.threads)
            workers[i].stop = &stop;
    }
    for (int i = 0; i < count; i++)
        threads[i] = env_thread_start(b->env, "bench", worker_th, &workers[i]);
    for (int i = 0; i < b->o.threads; i++)
        env_thread_join(threads[i]);
    report(b, name, workers, env_boot_ns(b->env) - start, disk_bytes() - disk, writes);
    if (beside_writer) {
        atomic_store(&stop, true);
        env_thread_join(threads[b->o.threads]);
        printf("The writer beside: %lu operations\n", workers[b->o.threads].ops);
        b->user_bytes += workers[b->o.threads].bytes;
    }
    for (int i = 0; i < count; i++)
        worker_fini(&workers[i]);
}

static void
print_stats(struct bench *b)
{
    struct engine_figures e;
    struct lsm_figures l;
    struct worker w;

    must(engine_flush_all(b->engine), "flush");
    worker_init(b, &w, 0, read_seq, 0);
    worker_th(&w);
    engine_get_figures(b->engine, &e);
    lsm_get_figures(engine_lsm(b->engine), &l);
    printf("Rows: %lu, %.1f MB; segments %.1f MB, undo %.1f MB: space amplification %.2f\n",
           w.found, (double)w.bytes / 1048576.0, (double)l.segment_bytes / 1048576.0,
           (double)l.undo_bytes / 1048576.0,
           (double)(l.segment_bytes + l.undo_bytes) / (double)(w.bytes == 0 ? 1 : w.bytes));
    printf("Flushes: %lu, %.1f MB; merges: %lu, %.1f MB; runs at most %lu", l.flushes,
           (double)l.flush_bytes / 1048576.0, l.compactions, (double)l.compaction_bytes / 1048576.0,
           l.runs_max);
    if (b->user_bytes != 0)
        printf("; write amplification without redo %.2f",
               (double)(l.flush_bytes + l.compaction_bytes) / (double)b->user_bytes);
    printf("\nCache: %lu hits, %lu misses\n", e.cache_hits, e.cache_misses);
    worker_fini(&w);
}

static void
timed(struct bench *b, const char *name, int (*fn)(struct engine *e))
{
    uint64_t start = env_boot_ns(b->env);

    must(fn(b->engine), name);
    printf("%-12s : %.3f seconds\n", name, (double)(env_boot_ns(b->env) - start) / 1e9);
}

static bool
run_fill(struct bench *b, const char *name)
{
    bool fresh = b->o.use_existing_db == 0, syncs = b->o.sync != 0;
    uint64_t n = b->o.writes;

    if (strcmp(name, "fillseq") == 0) {
        db_open(b, fresh, syncs);
        run_threads(b, name, write_seq, n, true, false);
    } else if (strcmp(name, "fillrandom") == 0) {
        db_open(b, fresh, syncs);
        run_threads(b, name, write_random, n, true, false);
    } else if (strcmp(name, "fillsync") == 0) {
        db_open(b, fresh, true);
        run_threads(b, name, write_random, n, true, false);
    } else {
        return false;
    }
    return true;
}

static bool
run_benchmark(struct bench *b, const char *name)
{
    uint64_t reads = b->o.reads;

    if (run_fill(b, name))
        return true;
    db_open(b, false, b->o.sync != 0);
    if (strcmp(name, "overwrite") == 0)
        run_threads(b, name, write_random, b->o.writes, true, false);
    else if (strcmp(name, "readrandom") == 0)
        run_threads(b, name, read_random, reads, false, false);
    else if (strcmp(name, "readwhilewriting") == 0)
        run_threads(b, name, read_random, reads, false, true);
    else if (strcmp(name, "seekrandom") == 0)
        run_threads(b, name, seek_random, reads, false, false);
    else if (strcmp(name, "readseq") == 0)
        run_threads(b, name, read_seq, 0, false, false);
    else if (strcmp(name, "flush") == 0)
        timed(b, name, engine_flush_all);
    else if (strcmp(name, "compact") == 0)
        timed(b, name, engine_compact_all);
    else if (strcmp(name, "stats") == 0)
        print_stats(b);
    else
        return false;
    return true;
}

/* ---- options -------------------------------------------------------------------------------- */

static bool
parse_option(struct options *o, const char *arg)
{
    return sscanf(arg, "--benchmarks=%399s", o->benchmarks) == 1 ||
           sscanf(arg, "--db=%199s", o->db) == 1 || sscanf(arg, "--num=%lu", &o->num) == 1 ||
           sscanf(arg, "--reads=%lu", &o->reads) == 1 ||
           sscanf(arg, "--writes=%lu", &o->writes) == 1 ||
           sscanf(arg, "--threads=%d", &o->threads) == 1 ||
           sscanf(arg, "--key_size=%zu", &o->key_size) == 1 ||
           sscanf(arg, "--value_size=%zu", &o->value_size) == 1 ||
           sscanf(arg, "--compression_ratio=%lf", &o->compression_ratio) == 1 ||
           sscanf(arg, "--batch_size=%d", &o->batch_size) == 1 ||
           sscanf(arg, "--seek_nexts=%d", &o->seek_nexts) == 1 ||
           sscanf(arg, "--write_buffer_size=%zu", &o->write_buffer_size) == 1 ||
           sscanf(arg, "--cache_size=%zu", &o->cache_size) == 1 ||
           sscanf(arg, "--duration=%lu", &o->duration) == 1 ||
           sscanf(arg, "--sessions=%d", &o->sessions) == 1 ||
           sscanf(arg, "--sync=%d", &o->sync) == 1 ||
           sscanf(arg, "--use_existing_db=%d", &o->use_existing_db) == 1 ||
           sscanf(arg, "--histogram=%d", &o->histogram) == 1 ||
           sscanf(arg, "--seed=%lu", &o->seed) == 1 ||
           sscanf(arg, "--retention=%lu", &o->retention) == 1;
}

static bool
options_fit(const struct options *o)
{
    return o->num > 0 && o->threads > 0 && o->threads <= THREADS_MAX && o->key_size > 0 &&
           o->key_size <= ENGINE_KEY_MAX && o->value_size > 0 && o->value_size <= VALUE_POOL &&
           o->batch_size > 0 && o->sessions > 0 && o->seek_nexts >= 0;
}

int
main(int argc, char **argv)
{
    struct bench b = {
        .o = { .benchmarks = "fillseq,fillrandom,overwrite,readrandom,seekrandom,"
                             "readwhilewriting,stats,fillsync",
               .db = "/tmp/redoubt-bench",
               .num = 1000000,
               .seed = 1,
               .key_size = 16,
               .value_size = 100,
               .write_buffer_size = 64 << 20,
               .cache_size = 32 << 20,
               .compression_ratio = 0.5,
               .threads = 1,
               .batch_size = 1,
               .sessions = 1024,
               .histogram = 1 },
    };
    char *rest = NULL;

    for (int i = 1; i < argc; i++) {
        if (!parse_option(&b.o, argv[i])) {
            fprintf(stderr, "unknown option %s; the head of bench/engine.c has them\n", argv[i]);
            return 2;
        }
    }
    if (!options_fit(&b.o))
        return 2;
    if (b.o.reads == 0)
        b.o.reads = b.o.num;
    if (b.o.writes == 0)
        b.o.writes = b.o.num;
    b.env = env_posix_new();
    b.values = make_values(&b.o);
    for (char *name = strtok_r(b.o.benchmarks, ",", &rest); name != NULL;
         name = strtok_r(NULL, ",", &rest)) {
        if (!run_benchmark(&b, name)) {
            fprintf(stderr, "unknown benchmark %s\n", name);
            return 2;
        }
    }
    db_close(&b);
    xfree(b.values);
    env_free(b.env);
    return 0;
}
