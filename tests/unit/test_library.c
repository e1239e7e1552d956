/* The storage engine as somebody else's program would have it: one header of ours, and
 * libredoubt-engine.a alone to link. A word list with a past.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/engine.h"

enum { WORDS = 1 };

static struct env *env;
static struct engine *engine;
static char dir[64];

static void
must(int rc, const char *what)
{
    if (rc == 0)
        return;
    fprintf(stderr, "%s: %s (%s)\n", what, diag_last()->message, err_name(rc));
    exit(1);
}

static void
expect(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "not so: %s\n", what);
    exit(1);
}

static void
open_database(incarnation_t inc)
{
    struct engine_options o = { .env = env,
                                .dir = dir,
                                .memtable_bytes = 4 << 20,
                                .cache_bytes = 1 << 20,
                                .redo_file_bytes = 1 << 20 };

    must(engine_mount(&o, &engine), "mount");
    must(engine_open_write(engine, inc, inc), "open for writing");
}

static scn_t
put(struct txn *t, const char *word, const char *meaning)
{
    struct commit_token token;

    must(txn_begin(t, TXN_READ_COMMITTED, false), "begin");
    must(txn_statement_begin(t), "statement");
    must(txn_put(t, WORDS, slice_str(word), slice_str(meaning)), "put");
    txn_statement_end(t);
    must(txn_commit(t, &token), "commit");
    must(engine_wait_visible(engine, token.scn, UINT64_MAX), "wait");
    return token.scn;
}

static void
expect_meaning(struct txn *t, scn_t as_of, const char *word, const char *meaning)
{
    struct read_moment past = { 0, as_of }, *m = as_of != 0 ? &past : NULL;
    struct slice value;

    must(txn_begin(t, TXN_READ_COMMITTED, true), "begin");
    must(txn_statement_begin(t), "statement");
    if (m != NULL)
        must(txn_pin_moment(t, past), "AS OF");
    must(txn_get(t, WORDS, slice_str(word), m, &value), word);
    expect(slice_eq(value, slice_str(meaning)), word);
    txn_statement_end(t);
    txn_rollback(t);
}

static int
count(struct txn *t)
{
    struct txn_cursor *c;
    struct slice word, meaning;
    int rows = 0, rc;

    must(txn_begin(t, TXN_READ_COMMITTED, true), "begin");
    must(txn_statement_begin(t), "statement");
    must(txn_scan(t, WORDS, slice("", 0), slice(NULL, 0), 0, NULL, &c), "scan");
    while ((rc = txn_cursor_next(c, &word, &meaning)) == 0)
        rows++;
    expect(rc == ERR_END, "the scan ends");
    txn_cursor_close(c);
    txn_statement_end(t);
    txn_rollback(t);
    return rows;
}

int
main(void)
{
    char command[96];
    struct txn *t;
    scn_t first;
    uint64_t id;

    env = env_posix_new();
    snprintf(dir, sizeof dir, "/tmp/rd-library-XXXXXX");
    expect(mkdtemp(dir) != NULL, "a folder");
    snprintf(command, sizeof command, "rm -rf %s", dir);
    must(engine_create(env, dir, &id), "create");
    open_database(1);
    t = txn_new(engine);
    first = put(t, "redo", "what was done");
    (void)put(t, "redoubt", "a small fort");
    (void)put(t, "redo", "the truth");
    txn_free(t);
    must(engine_flush_all(engine), "flush");
    engine_close(engine);
    open_database(2);
    must(engine_wait_visible(engine, engine_newest_scn(engine), UINT64_MAX), "wait");
    t = txn_new(engine);
    expect_meaning(t, 0, "redo", "the truth");
    expect_meaning(t, first, "redo", "what was done");
    expect(count(t) == 2, "two words");
    txn_free(t);
    engine_close(engine);
    env_free(env);
    expect(system(command) == 0, "the folder goes");
    puts("1 passed, 0 failed");
    return 0;
}
