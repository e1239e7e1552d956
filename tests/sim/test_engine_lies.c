/* A storage engine on a disk that lies: bits turn over in any of its files, writes that were
 * acknowledged never arrive or land elsewhere. What is read is right, or it is an error; redo is
 * never cut short for it (B3, B4, B5, B7, B16; rule 7 of faults.md).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/checksum.h"
#include "engine/base/env.h"
#include "engine/base/mem.h"
#include "engine/engine.h"
#include "tests/support/engine_script.h"
#include "tests/support/sim_test.h"

enum { FILES_MAX = 64, PATH_BYTES = 96, FLIPS = 25, LIES_STEP = 3 };

struct lie {
    struct script_world w;
    char paths[FILES_MAX][PATH_BYTES];
    size_t path_count;
    const char *folder; /* whose files are being listed */

    int rc; /* of the last look: 0, all was right */
    char message[300];
    uint64_t looks, refused;
};

static void
lie_init(struct lie *l, uint64_t seed)
{
    memset(l, 0, sizeof *l);
    script_world_init(&l->w, seed);
}

/* Opens without writing and compares all that there is. */
static void
look_main(void *arg)
{
    struct lie *l = arg;
    struct engine *e = NULL;

    l->w.s->no_background = true;
    l->rc = script_mount(l->w.s, &e);
    if (l->rc == 0) {
        engine_publish(e, lsn_make(UINT64_MAX));
        l->rc = script_verify(l->w.s, e);
    }
    snprintf(l->message, sizeof l->message, "%s", l->rc != 0 ? diag_last()->message : "");
    engine_close(e);
}

static void
look(struct lie *l)
{
    l->rc = ERR_INTERNAL;
    script_world_live(&l->w, look_main, l);
    l->looks++;
    l->refused += l->rc != 0;
}

static int
note_name(void *arg, const char *name)
{
    struct lie *l = arg;

    if (strstr(name, "spare") != NULL || strstr(name, ".tmp") != NULL)
        return 0;
    ck_assert_uint_lt(l->path_count, FILES_MAX);
    snprintf(l->paths[l->path_count++], PATH_BYTES, "%s/%s", l->folder, name);
    return 0;
}

static void
list_files(struct lie *l, const char *folder)
{
    l->folder = folder;
    l->path_count = 0;
    ck_assert_int_eq(env_list_dir(l->w.node, folder, note_name, l), 0);
    ck_assert_uint_gt(l->path_count, 0);
}

/* How much of a file is not zeros at its end; and its checksum. */
static uint64_t
measure(struct lie *l, const char *path, uint32_t *crc)
{
    struct env_file *f;
    uint64_t size;
    uint8_t *data;
    size_t got;

    ck_assert_int_eq(env_open(l->w.node, path, ENV_READ, &f), 0);
    ck_assert_int_eq(env_size(f, &size), 0);
    data = xmalloc(size + 1);
    ck_assert_int_eq(env_pread(f, data, size, 0, &got), 0);
    env_close(f);
    *crc = crc32c(0, data, got);
    while (got > 0 && data[got - 1] == 0)
        got--;
    xfree(data);
    return got;
}

/* Turns over a bit here and there, one at a time, and looks. `named`: an error names the file. */
static void
flip_everywhere(struct lie *l, const char *path, const char *named)
{
    uint32_t before, after;
    uint64_t used = measure(l, path, &before);

    for (int i = 0; i < FLIPS && used > 0; i++) {
        uint64_t at = sim_random(l->w.sim, used);
        uint8_t mask = (uint8_t)(1u << sim_random(l->w.sim, 8));

        (void)measure(l, path, &before);
        sim_disk_flip(l->w.node, path, at, mask);
        look(l);
        sim_disk_flip(l->w.node, path, at, mask);
        if (l->rc == 0)
            continue; /* in what carries no meaning, or is not needed any more */
        ck_assert_msg(l->rc == ERR_CORRUPT || l->rc == ERR_NOT_SUPPORTED, "%s at %llu: %s %s", path,
                      (unsigned long long)at, err_name(l->rc), l->message);
        ck_assert_msg(strstr(l->message, named) != NULL, "%s at %llu: %s", path,
                      (unsigned long long)at, l->message);
        (void)measure(l, path, &after);
        ck_assert_uint_eq(before, after); /* nothing was cut, nothing mended by guessing */
    }
}

/* To the end of the script, and closed in order: whatever is missing afterwards, is missed. */
static void
prepare(struct lie *l)
{
    script_world_live(&l->w, script_life, l->w.s);
    ck_assert_msg(l->w.s->finished, "%s", l->w.s->last_message);
    look(l);
    ck_assert_msg(l->rc == 0, "%s", l->message);
    l->looks = l->refused = 0;
}

/* B4: in redo. The message has the file, and where in it. */
START_TEST(test_flips_in_redo)
{
    struct lie l;

    lie_init(&l, 1);
    prepare(&l);
    list_files(&l, "/db/redo");
    for (size_t i = 0; i < l.path_count; i++)
        flip_everywhere(&l, l.paths[i], l.paths[i]);
    printf("redo: %llu looks, %llu refused\n", (unsigned long long)l.looks,
           (unsigned long long)l.refused);
    ck_assert_uint_gt(l.refused, 0);
    script_world_fini(&l.w);
}
END_TEST

/* B5, B7 */
START_TEST(test_flips_in_segments)
{
    struct lie l;

    lie_init(&l, 2);
    prepare(&l);
    list_files(&l, "/db/segments");
    for (size_t i = 0; i < l.path_count; i++)
        flip_everywhere(&l, l.paths[i], strrchr(l.paths[i], '/') + 1);
    printf("segments: %llu looks, %llu refused\n", (unsigned long long)l.looks,
           (unsigned long long)l.refused);
    ck_assert_uint_gt(l.refused, 0);
    script_world_fini(&l.w);
}
END_TEST

/* B16 */
START_TEST(test_flips_in_the_manifest)
{
    struct lie l;

    lie_init(&l, 3);
    prepare(&l);
    for (int i = 0; i < 3; i++)
        flip_everywhere(&l, "/db/manifest", "manifest");
    ck_assert_uint_gt(l.refused, l.looks / 3);
    script_world_fini(&l.w);
}
END_TEST

/* The disk says that it has written, and has not, or not there, or not that. The engine that wrote
 * it may find out by itself; whoever opens it next has all that was acknowledged, or is refused. */
static void
lying_body(enum sim_fault_kind kind, const char *name)
{
    uint32_t n = 0, noticed = 0, points = 0;
    bool met = true;

    for (; met; n += LIES_STEP) {
        struct sim_fault f = { .ops = SIM_OP_WRITE, .kind = kind, .skip = n, .count = 1 };
        struct lie l;
        int handle;

        lie_init(&l, n);
        l.w.s->errors_max = 2;
        handle = sim_fault_add(l.w.node, &f);
        script_world_live(&l.w, script_life, l.w.s);
        met = sim_fault_hits(l.w.node, handle) > 0;
        sim_fault_clear(l.w.node);
        points += met;
        if (l.w.s->created && l.w.s->finished) {
            look(&l);
            ck_assert_msg(l.rc == 0 || l.rc == ERR_CORRUPT, "write %u: %s %s", n, err_name(l.rc),
                          l.message);
            noticed += l.rc != 0;
        } else {
            noticed++;
        }
        ck_assert(met || l.rc == 0);
        script_world_fini(&l.w);
    }
    printf("%s: %u points, %u noticed\n", name, points, noticed);
    ck_assert_uint_gt(noticed, 0);
}

START_TEST(test_lost_writes)
{
    lying_body(SIM_FAULT_LOST_WRITE, "lost write");
}
END_TEST

START_TEST(test_misdirected_writes)
{
    lying_body(SIM_FAULT_MISDIRECTED, "misdirected write");
}
END_TEST

START_TEST(test_bits_flipped_in_writes)
{
    lying_body(SIM_FAULT_BIT_FLIP, "bit flipped in a write");
}
END_TEST

/* ---- redo that is misread once --------------------------------------------------------------- */

struct misread {
    struct env *node;
    uint32_t skip; /* reads of redo before it */
    scn_t acknowledged;
    bool met, done;
};

static void
must(int rc, const char *what)
{
    if (rc != 0)
        PANIC("%s: %s (%s)", what, diag_last()->message, err_name(rc));
}

static struct engine *
misread_mount(struct misread *m)
{
    struct engine_options o = { .env = m->node, .dir = "/db", .redo_file_bytes = 64 << 10 };
    struct engine *e;

    must(engine_mount(&o, &e), "mount");
    return e;
}

static void
misread_write_main(void *arg)
{
    struct misread *m = arg;
    struct commit_token token;
    struct engine *e;
    struct txn *t;
    uint64_t id;

    must(engine_create(m->node, "/db", &id), "create");
    e = misread_mount(m);
    must(engine_open_write(e, 1, 1), "open for writing");
    /* The file has little but the last frame: that is where the bit turns over. */
    t = txn_new(e);
    must(txn_begin(t, TXN_READ_COMMITTED, false), "begin");
    for (uint8_t i = 0; i < 4; i++) {
        uint8_t value[8000];

        for (size_t k = 0; k < sizeof value; k++)
            value[k] = (uint8_t)env_random_u64(m->node);
        must(txn_statement_begin(t), "statement");
        must(txn_put(t, 1, slice(&i, 1), slice(value, sizeof value)), "put");
        txn_statement_end(t);
    }
    must(txn_commit(t, &token), "commit");
    must(engine_wait_visible(e, token.scn, UINT64_MAX), "wait");
    m->acknowledged = token.scn;
    sim_node_kill(m->node);
}

/* What it takes the end to be, it makes final. */
static void
misread_go_on_main(void *arg)
{
    struct misread *m = arg;
    struct sim_fault f = {
        .ops = SIM_OP_READ, .kind = SIM_FAULT_MISREAD, .path = "redo-", .skip = m->skip, .count = 1
    };
    int handle = sim_fault_add(m->node, &f);
    struct engine_options o = { .env = m->node, .dir = "/db", .redo_file_bytes = 64 << 10 };
    struct engine *e;
    int rc = engine_mount(&o, &e);

    if (rc == 0)
        rc = engine_open_write(e, 2, 2);
    m->met = sim_fault_hits(m->node, handle) > 0;
    sim_fault_clear(m->node);
    CHECK(rc == 0 || rc == ERR_CORRUPT);
    diag_clear();
    sim_node_kill(m->node);
}

static void
misread_look_main(void *arg)
{
    struct misread *m = arg;
    struct engine *e = misread_mount(m);

    m->done = engine_newest_scn(e) >= m->acknowledged;
    engine_close(e);
}

static void
misread_body(struct sim *sim, uint64_t seed, void *arg)
{
    bool *met = arg;
    struct misread m = { .node = sim_node_new(sim, "a"), .skip = (uint32_t)(seed / 10) };

    sim_test_run_node(sim, m.node, misread_write_main, &m);
    sim_test_run_node(sim, m.node, misread_go_on_main, &m);
    sim_test_run_node(sim, m.node, misread_look_main, &m);
    ck_assert(m.done);
    *met |= m.met;
}

/* B3: what is not whole may have been misread: it is read again before it counts as a torn tail,
 * and before the log goes on from there (LOG-4). */
START_TEST(test_redo_misread_at_the_start)
{
    bool met = false;

    sim_test_seeds(60, misread_body, &met);
    ck_assert(met);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("engine_lies");
    TCase *t = tcase_create("engine_lies");
    SRunner *r;
    int failed;

    tcase_set_timeout(t, 0);
    tcase_add_test(t, test_flips_in_redo);
    tcase_add_test(t, test_flips_in_segments);
    tcase_add_test(t, test_flips_in_the_manifest);
    tcase_add_test(t, test_lost_writes);
    tcase_add_test(t, test_misdirected_writes);
    tcase_add_test(t, test_bits_flipped_in_writes);
    tcase_add_test(t, test_redo_misread_at_the_start);
    suite_add_tcase(suite, t);
    r = srunner_create(suite);
    srunner_set_fork_status(r, CK_NOFORK);
    srunner_run_all(r, CK_NORMAL);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
