/* The manifest: edits are whole or absent, a torn tail is cut and corruption refused.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "engine/base/env.h"
#include "engine/base/mem.h"
#include "engine/lsm/manifest_int.h"
#include "tests/support/folder.h"
#include "tests/support/sim_test.h"

static struct env *env;
static char dir[64], path[96];

static void
setup(void)
{
    env = env_posix_new();
    test_folder(dir, sizeof dir, "test-manifest");
    snprintf(path, sizeof path, "%s/manifest", dir);
}

static void
teardown(void)
{
    char fresh[112];

    snprintf(fresh, sizeof fresh, "%s.new", path);
    unlink(fresh);
    unlink(path);
    ck_assert_int_eq(rmdir(dir), 0);
    env_free(env);
}

static void
create(void)
{
    struct manifest_edit e;
    uint8_t id[8];

    store_u64(id, 42);
    manifest_edit_init(&e);
    manifest_put(&e, MANIFEST_DATABASE, slice(NULL, 0), slice(id, 8));
    ck_assert_int_eq(manifest_create(env, dir, &e), 0);
    manifest_edit_fini(&e);
}

static struct manifest *
reopen(void)
{
    struct manifest *m = NULL;

    ck_assert_int_eq(manifest_open(env, dir, &m), 0);
    return m;
}

/* Edit n puts two pins and removes an older one: three changes that must come together. */
static void
commit_nth(struct manifest *m, unsigned n)
{
    struct manifest_edit e;
    char key[32], value[64];

    manifest_edit_init(&e);
    snprintf(value, sizeof value, "value %u", n);
    snprintf(key, sizeof key, "a%u", n);
    manifest_put(&e, MANIFEST_PIN, slice_str(key), slice_str(value));
    snprintf(key, sizeof key, "b%u", n);
    manifest_put(&e, MANIFEST_PIN, slice_str(key), slice_str(value));
    if (n > 0) {
        snprintf(key, sizeof key, "a%u", n - 1);
        manifest_remove(&e, MANIFEST_PIN, slice_str(key));
    }
    ck_assert_int_eq(manifest_commit(m, &e), 0);
    manifest_edit_fini(&e);
}

static bool
has(struct manifest *m, char letter, unsigned n)
{
    struct writer w;
    char key[32], value[64];
    int rc;

    wr_init(&w, 0);
    snprintf(key, sizeof key, "%c%u", letter, n);
    snprintf(value, sizeof value, "value %u", n);
    rc = manifest_get(m, MANIFEST_PIN, slice_str(key), &w);
    if (rc == 0)
        ck_assert(slice_eq(wr_view(&w), slice_str(value)));
    else
        ck_assert_int_eq(rc, ERR_NOT_FOUND);
    wr_fini(&w);
    return rc == 0;
}

/* Exactly edits 0 to count - 1 are there. */
static void
expect_edits(struct manifest *m, unsigned count, unsigned out_of)
{
    for (unsigned n = 0; n < out_of; n++) {
        ck_assert_int_eq(has(m, 'b', n), n < count);
        ck_assert_int_eq(has(m, 'a', n), n + 1 == count);
    }
}

static void
write_file(const uint8_t *data, size_t size)
{
    struct env_file *f;

    ck_assert_int_eq(env_open(env, path, ENV_WRITE | ENV_CREATE | ENV_TRUNCATE, &f), 0);
    ck_assert_int_eq(env_pwrite(f, data, size, 0), 0);
    env_close(f);
}

/* Where each record of a file ends. */
static unsigned
record_ends(const uint8_t *data, size_t size, size_t *ends, unsigned max)
{
    struct manifest_reader r;
    struct manifest_record record;
    unsigned n = 0;

    ck_assert_int_eq(manifest_reader_init(&r, data, size), 0);
    while (n < max && manifest_reader_next(&r, &record) == 0)
        ends[n++] = r.at;
    return n;
}

START_TEST(test_edits_survive)
{
    struct manifest *m;
    struct manifest_edit e;

    create();
    manifest_edit_init(&e);
    ck_assert_int_eq(manifest_create(env, dir, &e), ERR_FILE_EXISTS);
    manifest_edit_fini(&e);
    m = reopen();
    ck_assert_uint_eq(manifest_database_id(m), 42);
    for (unsigned n = 0; n < 20; n++) {
        commit_nth(m, n);
        if (n % 3 == 0) {
            manifest_close(m);
            m = reopen();
        }
        expect_edits(m, n + 1, 20);
        ck_assert_uint_eq(manifest_sequence(m), n + 2);
    }
    manifest_close(m);
}
END_TEST

/* MANIFEST-1, MANIFEST-2: the file cut at every byte of its last three edits, what follows zeros or
 * nothing: the edits before are there, the torn one is not, and the next one can be written. */
START_TEST(test_torn_at_every_byte)
{
    struct manifest *m;
    uint8_t *data, *torn;
    size_t size, ends[8];

    create();
    m = reopen();
    for (unsigned n = 0; n < 4; n++)
        commit_nth(m, n);
    manifest_close(m);
    ck_assert_int_eq(manifest_read_file(env, path, &data, &size), 0);
    ck_assert_uint_eq(record_ends(data, size, ends, 8), 5);
    memset(data + MANIFEST_MARK_AT, 0,
           MANIFEST_BLOCK); /* the mark is never synced: it may be lost */
    torn = xmalloc(size);
    for (size_t cut = ends[1]; cut < ends[4]; cut++) {
        unsigned whole = cut >= ends[3] ? 3 : cut >= ends[2] ? 2 : 1;

        memset(torn, 0, size);
        memcpy(torn, data, cut);
        write_file(torn, cut % 2 == 0 ? size : cut);
        m = reopen();
        /* Padding behind the last item may be torn off without harm. */
        if (manifest_sequence(m) == whole + 2)
            whole++;
        expect_edits(m, whole, 4);
        ck_assert_uint_ge(cut + 8, ends[whole]);
        commit_nth(m, whole);
        manifest_close(m);
        m = reopen();
        expect_edits(m, whole + 1, 4);
        manifest_close(m);
    }
    xfree(torn);
    xfree(data);
}
END_TEST

/* MANIFEST-2: any byte of a record that others follow, or of the last one when the mark covers it,
 * or of the header: refused, and the file is left alone. */
START_TEST(test_corruption_is_refused)
{
    struct manifest *m;
    uint8_t *data, *again;
    size_t size, size_again, ends[8];

    create();
    m = reopen();
    for (unsigned n = 0; n < 3; n++)
        commit_nth(m, n);
    manifest_close(m);
    ck_assert_int_eq(manifest_read_file(env, path, &data, &size), 0);
    ck_assert_uint_eq(record_ends(data, size, ends, 8), 4);
    for (int with_mark = 0; with_mark < 2; with_mark++) {
        size_t stop = with_mark ? ends[3] : ends[2];

        if (!with_mark)
            memset(data + MANIFEST_MARK_AT, 0, MANIFEST_BLOCK);
        else
            manifest_mark_encode(data + MANIFEST_MARK_AT, load_u64(data + 16), ends[3], 4);
        for (size_t at = 0; at < stop; at += at < MANIFEST_RECORDS_AT ? 1 : 3) {
            if (at == MANIFEST_HEADER_SIZE)
                at = MANIFEST_RECORDS_AT; /* unused room, and the mark */
            data[at] ^= 0x10;
            write_file(data, size);
            data[at] ^= 0x10;
            int rc = manifest_open(env, dir, &m);

            if (rc == 0) { /* padding carries no meaning */
                expect_edits(m, 3, 3);
                manifest_close(m);
                continue;
            }
            ck_assert(rc == ERR_CORRUPT || (rc == ERR_NOT_SUPPORTED && at < 32));
            ck_assert_int_eq(manifest_read_file(env, path, &again, &size_again), 0);
            ck_assert_uint_eq(size_again, size);
            data[at] ^= 0x10;
            ck_assert(memcmp(again, data, size) == 0);
            data[at] ^= 0x10;
            xfree(again);
        }
    }
    xfree(data);
}
END_TEST

/* A record of another manifest, or of this one in another place, is not taken. */
START_TEST(test_foreign_records)
{
    struct manifest *m;
    uint8_t *data;
    size_t size, ends[8];

    create();
    m = reopen();
    for (unsigned n = 0; n < 3; n++)
        commit_nth(m, n);
    manifest_close(m);
    ck_assert_int_eq(manifest_read_file(env, path, &data, &size), 0);
    ck_assert_uint_eq(record_ends(data, size, ends, 8), 4);
    memset(data + MANIFEST_MARK_AT, 0, MANIFEST_BLOCK);
    /* The last record repeated behind itself: a tail that is no later edit. */
    memcpy(data + ends[3], data + ends[2], ends[3] - ends[2]);
    write_file(data, size);
    m = reopen();
    expect_edits(m, 3, 3);
    manifest_close(m);
    /* The third in the place of the second: its sequence does not fit, and a later one is there. */
    memcpy(data + ends[1], data + ends[2], ends[3] - ends[2]);
    write_file(data, size);
    ck_assert_int_eq(manifest_open(env, dir, &m), ERR_CORRUPT);
    xfree(data);
}
END_TEST

/* Many edits: the file is rewritten and stays small; all is there after each reopening, and a crash
 * between writing the new file and the switch leaves the old one. */
START_TEST(test_rewriting)
{
    struct manifest *m;
    struct env_file *f;
    char fresh[112];
    uint8_t big[3000], *data;
    size_t size;
    uint64_t before;

    create();
    m = reopen();
    memset(big, 7, sizeof big);
    for (unsigned n = 0; n < 1000; n++) {
        ck_assert_int_eq(manifest_put_blob(m, "settings", n + 1, slice(big, sizeof big)), 0);
        if (n % 10 == 0) {
            ck_assert_int_eq(manifest_counter_add(m, "rows", 100, &before), 0);
            ck_assert_uint_eq(before, n / 10 * 100);
        }
    }
    commit_nth(m, 0);
    manifest_close(m);
    ck_assert_int_eq(manifest_read_file(env, path, &data, &size), 0);
    ck_assert_uint_lt(size, 2 << 20);
    snprintf(fresh, sizeof fresh, "%s.new", path);
    ck_assert_int_eq(env_open(env, fresh, ENV_WRITE | ENV_CREATE, &f), 0);
    ck_assert_int_eq(env_pwrite(f, data, size / 2, 0), 0);
    env_close(f);
    xfree(data);
    m = reopen();
    ck_assert(!env_exists(env, fresh));
    ck_assert_uint_eq(manifest_counter(m, "rows"), 10000);
    ck_assert_uint_eq(manifest_counter(m, "none"), 0);
    expect_edits(m, 1, 1);
    manifest_close(m);
}
END_TEST

START_TEST(test_blobs)
{
    struct manifest *m;
    struct writer w;
    uint64_t sequence;

    create();
    m = reopen();
    wr_init(&w, 0);
    ck_assert_int_eq(manifest_get_blob(m, "register", &sequence, &w), ERR_NOT_FOUND);
    ck_assert_int_eq(manifest_put_blob(m, "register", 5, slice_str("five")), 0);
    ck_assert_int_eq(manifest_put_blob(m, "register", 5, slice_str("again")), ERR_AGAIN);
    ck_assert_int_eq(manifest_put_blob(m, "register", 4, slice_str("four")), ERR_AGAIN);
    ck_assert_int_eq(manifest_put_blob(m, "register", 6, slice_str("six")), 0);
    ck_assert_int_eq(manifest_get_blob(m, "register", &sequence, &w), 0);
    ck_assert_uint_eq(sequence, 6);
    ck_assert(slice_eq(wr_view(&w), slice_str("six")));
    wr_fini(&w);
    manifest_close(m);
}
END_TEST

/* The map against a plain array, at random; each seed replays. */
START_TEST(test_map_random)
{
    static struct {
        bool there;
        uint32_t value;
    } model[4][64];
    uint64_t seed = 0x5eed0001 + (uint64_t)_i;
    struct manifest_map map = { 0 };

    memset(model, 0, sizeof model);
    printf("test_map_random: seed %llx\n", (unsigned long long)seed);
    for (int step = 0; step < 3000; step++) {
        seed = seed * 6364136223846793005ull + 1442695040888963407ull;
        unsigned type = seed >> 60 & 3, key = seed >> 50 & 63;
        uint8_t k[2] = { (uint8_t)(key * 3), (uint8_t)key }, v[4];
        struct manifest_item item = { .type = (enum manifest_type)(type + 1),
                                      .removed = (seed >> 40 & 3) == 0,
                                      .key = slice(k, key % 2 + 1) };

        if (key % 2 == 0)
            item.key.size = 1;
        store_u32(v, (uint32_t)step);
        if (!item.removed)
            item.value = slice(v, 4);
        manifest_map_apply(&map, &item);
        model[type][key].there = !item.removed;
        model[type][key].value = (uint32_t)step;
        if (step % 50 != 0)
            continue;
        for (unsigned t = 0; t < 4; t++) {
            for (unsigned i = 0; i < 64; i++) {
                uint8_t q[2] = { (uint8_t)(i * 3), (uint8_t)i };
                const struct manifest_node *n =
                    manifest_map_find(&map, (enum manifest_type)(t + 1), slice(q, i % 2 + 1));

                ck_assert_int_eq(n != NULL, model[t][i].there);
                if (n != NULL)
                    ck_assert_uint_eq(load_u32(n->value), model[t][i].value);
            }
        }
    }
    manifest_map_fini(&map);
}
END_TEST

/* Decoders are total: random damage gives items or an error, never more. */
START_TEST(test_items_total)
{
    uint64_t seed = 99;
    uint8_t bytes[64];

    for (int round = 0; round < 20000; round++) {
        struct manifest_item item;
        struct reader r;

        for (size_t i = 0; i < sizeof bytes; i++) {
            seed = seed * 6364136223846793005ull + 1442695040888963407ull;
            bytes[i] = (uint8_t)(seed >> 56 & (i < 8 ? 3 : 0xff));
        }
        rd_init(&r, bytes, sizeof bytes);
        while (manifest_item_next(&r, &item)) {
            ck_assert(item.key.size <= MANIFEST_KEY_MAX);
        }
    }
}
END_TEST

/* ---- what was written and never forced --------------------------------------------------------
 */

/* One manifest over three lives: the process is killed in a commit, the next one opens and then the
 * power fails, the last one looks. */
struct lives {
    struct env *node;
    struct sim_fault fault;
    uint64_t read, written; /* edits that a life has seen; that were acknowledged */
    bool begun;
    int looks;
};

static void
killed_main(void *arg)
{
    static uint8_t big[200000];
    struct lives *l = arg;
    struct manifest_edit e;
    struct manifest *m;
    uint8_t id[8] = { 42 };

    manifest_edit_init(&e);
    manifest_put(&e, MANIFEST_DATABASE, slice(NULL, 0), slice(id, 8));
    CHECK(manifest_create(l->node, "/", &e) == 0 && manifest_open(l->node, "/", &m) == 0);
    manifest_edit_fini(&e);
    CHECK(manifest_put_blob(m, "n", 1, slice(big, 10)) == 0);
    l->written = 1;
    sim_fault_add(l->node, &l->fault);
    for (uint64_t n = 2;; n++) {
        CHECK(manifest_put_blob(m, "n", n, slice(big, sizeof big)) == 0);
        l->written = n;
    }
}

static void
reading_main(void *arg)
{
    struct lives *l = arg;
    struct manifest *m;
    struct writer w;

    wr_init(&w, 0);
    CHECK(manifest_open(l->node, "/", &m) == 0);
    CHECK(manifest_get_blob(m, "n", &l->read, &w) == 0);
    wr_fini(&w);
    CHECK(l->read >= l->written);
    l->written = l->read; /* somebody has built on it */
    if (l->begun) {
        CHECK(manifest_put_blob(m, "n", l->read + 1, slice(&w, 8)) == 0);
        l->written++;
    }
    l->looks++;
    sim_node_crash(l->node);
}

static void
lives_body(struct sim *sim, uint64_t seed, void *arg)
{
    struct lives l = { .node = sim_node_new(sim, "a"), .fault = *(struct sim_fault *)arg };

    sim_allow_panic(sim, true);

    sim_test_run_node(sim, l.node, killed_main, &l);
    sim_fault_clear(l.node);
    l.begun = seed % 2 == 0;
    sim_test_run_node(sim, l.node, reading_main, &l);
    l.begun = false;
    sim_test_run_node(sim, l.node, reading_main, &l);
    ck_assert_msg(l.looks == 2, "%s", sim_node_last_words(l.node));
}

/* MANIFEST-3: killed in the sync of an edit; that sync fails, and what it was to write is lost for
 * good though readers still see it; killed between the switch to a new file and the sync of its
 * name. */
START_TEST(test_what_is_read_is_durable)
{
    static const struct sim_fault faults[] = {
        { .ops = SIM_OP_SYNC, .kind = SIM_FAULT_KILL, .count = 1 },
        { .ops = SIM_OP_SYNC, .kind = SIM_FAULT_EIO, .count = 1 },
        { .ops = SIM_OP_SYNC_DIR, .kind = SIM_FAULT_KILL, .count = 1 },
    };
    struct sim_fault fault = faults[_i];

    sim_test_seeds(24, lives_body, &fault);
}
END_TEST

int
main(void)
{
    Suite *s = suite_create("manifest");
    TCase *t = tcase_create("manifest");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, test_edits_survive);
    tcase_add_test(t, test_torn_at_every_byte);
    tcase_add_test(t, test_corruption_is_refused);
    tcase_add_test(t, test_foreign_records);
    tcase_add_test(t, test_rewriting);
    tcase_add_test(t, test_blobs);
    tcase_add_loop_test(t, test_map_random, 0, 4);
    tcase_add_test(t, test_items_total);
    tcase_add_loop_test(t, test_what_is_read_is_durable, 0, 3);
    tcase_set_timeout(t, 60);
    suite_add_tcase(s, t);
    runner = srunner_create(s);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
