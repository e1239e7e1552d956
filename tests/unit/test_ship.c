/* Redo over real links between two engines: everything arrives once and in order, whatever is cut
 * in between.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/checksum.h"
#include "engine/base/env.h"
#include "engine/base/mem.h"
#include "engine/lsm/lsm.h"
#include "engine/txn/follow.h"
#include "logship/ship_base.h"
#include "logship/ship_receive.h"
#include "logship/ship_send.h"
#include "standby/apply.h"
#include "tests/support/folder.h"

enum { TREE = 1, PRIMARY = 1, STANDBY = 2 };

static struct env *env;
static struct sched *sched;
static struct job_pool *jobs;
static char root[64], dirs[2][96];
static struct engine *engines[2];
static struct apply *apply;
static struct link_hub *hubs[2];
static struct link *standby_link;
static struct ship_sender *sender;
static struct ship_receiver *receiver;
static struct ship_base_source *source;
static struct ship_base_copy *copy;
static struct ship_ack last_ack;
static bool accepting, forging; /* the chain in requests */
static int end_code;
static int senders_ended, sources, located;
static struct ship_located answer;

static void
must(int rc)
{
    ck_assert_msg(rc == 0, "%s", diag_last()->message);
}

/* ---- the primary's side ------------------------------------------------------------------------
 */

static void
pointer(void *arg, struct ship_pointer *out)
{
    (void)arg;
    *out = (struct ship_pointer){ engine_incarnation(engines[0]), engine_visible_scn(engines[0]),
                                  redo_durable(engine_redo(engines[0])) };
}

static void
on_sender_end(void *arg, struct ship_sender *s, int code)
{
    (void)arg;
    (void)code;
    senders_ended++;
    if (s == sender)
        sender = NULL;
}

static void
on_source_end(void *arg)
{
    (void)arg;
    sources--;
}

static int
primary_message(void *arg, struct link *l, const struct ship_header *h, struct slice body)
{
    struct ship_send_options o = { .engine = engines[0],
                                   .sched = sched,
                                   .jobs = jobs,
                                   .link = l,
                                   .target = engine_incarnation(engines[0]),
                                   .pointer = pointer,
                                   .on_end = on_sender_end };

    (void)arg;
    if (h->type == SHIP_LOCATE)
        return ship_answer_locate(engines[0], jobs, l, body);
    if (h->type == SHIP_ACK)
        return ship_ack_decode(body, &last_ack);
    if (h->type == SHIP_COPY_BEGIN) {
        struct ship_copy_begin begin;

        must(ship_copy_begin_decode(body, &begin));
        sources++;
        source = ship_base_source_start(engines[0], sched, jobs, l, &begin, on_source_end, NULL);
        return 0;
    }
    if (h->type == SHIP_FILE_GET)
        return ship_base_source_message(source, h, body);
    if (h->type == SHIP_COPY_END) {
        ship_base_source_stop(source);
        source = NULL;
        return 0;
    }
    ck_assert_int_eq(h->type, SHIP_REDO_REQUEST);
    if (sender != NULL)
        ship_sender_stop(sender);
    must(ship_redo_request_decode(body, &o.request));
    if (forging)
        o.request.from.chain.lo ^= 1;
    sender = ship_sender_start(&o);
    return 0;
}

static void
primary_up(void *arg, struct link *l)
{
    (void)arg;
    (void)l;
}

static void
primary_down(void *arg, struct link *l, int code)
{
    (void)arg;
    (void)l;
    (void)code;
    if (sender != NULL)
        ship_sender_stop(sender);
    sender = NULL;
    if (source != NULL)
        ship_base_source_stop(source);
    source = NULL;
}

/* ---- the standby's side ------------------------------------------------------------------------
 */

static int
standby_message(void *arg, struct link *l, const struct ship_header *h, struct slice body)
{
    (void)arg;
    (void)l;
    if (h->type == SHIP_LOCATED) {
        located++;
        return ship_located_decode(body, &answer);
    }
    if (copy != NULL)
        return ship_base_copy_message(copy, h, body);
    return receiver != NULL ? ship_receiver_on_message(receiver, h, body) : 0;
}

static void
standby_up(void *arg, struct link *l)
{
    (void)arg;
    standby_link = l;
}

static void
standby_down(void *arg, struct link *l, int code)
{
    (void)arg;
    (void)l;
    (void)code;
    standby_link = NULL;
    if (copy != NULL)
        ship_base_copy_link_down(copy);
    if (receiver != NULL)
        ship_receiver_link_down(receiver);
}

static bool
accepts(void *arg, member_id_t from, incarnation_t inc)
{
    (void)arg;
    return accepting && from == PRIMARY && inc == engine_incarnation(engines[0]);
}

static void
on_end(void *arg, struct ship_receiver *r, int code)
{
    (void)arg;
    (void)r;
    end_code = code;
}

static void
on_applied(void *arg, struct lsn applied, scn_t scn)
{
    (void)arg;
    (void)applied;
    (void)scn;
}

/* ---- driving ------------------------------------------------------------------------------------
 */

static void
receive(void)
{
    struct ship_receive_options o = { .engine = engines[1],
                                      .sched = sched,
                                      .jobs = jobs,
                                      .purpose = SHIP_REDO_FOLLOW,
                                      .inc = engine_incarnation(engines[0]),
                                      .target = engine_incarnation(engines[0]),
                                      .accepts = accepts,
                                      .on_end = on_end };

    while (standby_link == NULL)
        fiber_sleep_us(1000);
    o.link = standby_link;
    receiver = ship_receiver_start(&o);
}

static void
receive_end(void)
{
    struct ship_receiver *r = receiver;

    receiver = NULL;
    if (r != NULL)
        ship_receiver_stop(r);
}

static uint32_t value_count;

static scn_t
write_some(uint32_t n, size_t size)
{
    struct txn *t = txn_new(engines[0]);
    struct commit_token token = { 0 };
    uint8_t *value = xcalloc(1, size), key[4];

    for (uint32_t i = 0; i < n; i++) {
        store_u32(key, i);
        store_u32(value, ++value_count);
        for (size_t k = 4; k + 4 <= size; k += 4) /* does not compress */
            store_u32(value + k, load_u32(value + k - 4) * 1664525u + 1013904223u);
        must(txn_begin(t, TXN_READ_COMMITTED, false));
        must(txn_statement_begin(t));
        must(txn_put(t, TREE, slice(key, 4), slice(value, size)));
        txn_statement_end(t);
        must(txn_commit(t, &token));
        if (i % 64 == 0)
            fiber_yield();
    }
    txn_free(t);
    xfree(value);
    return token.scn;
}

static bool is_quiet; /* the primary flushes and merges only when it is told to */

static void
mount(int i)
{
    struct engine_options o = { .env = env,
                                .dir = dirs[i],
                                .redo_file_bytes = 1 << 20,
                                .ring_bytes = 1 << 20,
                                .memtable_bytes = 8 << 20,
                                .no_background = is_quiet && i == 0 };

    must(engine_mount(&o, &engines[i]));
}

/* ---- base copies -------------------------------------------------------------------------------
 */

static uint64_t cut_at; /* bytes of segments; 0: not */
static uint64_t copy_total, copy_fetched;
static const char *copy_reuse;
static bool is_loading, has_loaded;
static scn_t loaded_scn;

static void
progress(void *arg, uint64_t bytes, uint64_t total)
{
    (void)arg;
    copy_total = total;
    ck_assert_uint_le(bytes, total);
    if (cut_at != 0 && bytes >= cut_at && standby_link != NULL) {
        cut_at = 0;
        link_close(standby_link, ERR_STOPPED, NULL);
    }
}

/* Writes for as long as a copy runs. */
static void
load_main(void *arg)
{
    (void)arg;
    while (is_loading) {
        loaded_scn = write_some(10, 8000);
        fiber_sleep_us(500);
    }
    has_loaded = true;
}

static bool
has_manifest(void)
{
    char path[128];

    snprintf(path, sizeof path, "%s/manifest", dirs[1]);
    return env_exists(env, path);
}

static int
copy_once(uint64_t rate)
{
    struct ship_base_options o = { .env = env,
                                   .dir = dirs[1],
                                   .jobs = jobs,
                                   .rate = rate,
                                   .progress = progress,
                                   .reuse_dir = copy_reuse };
    int rc;

    while (standby_link == NULL)
        fiber_sleep_us(1000);
    o.link = standby_link;
    copy = ship_base_copy_new(&o);
    rc = ship_base_copy_run(copy);
    copy_fetched = ship_base_copy_fetched(copy);
    ship_base_copy_free(copy);
    copy = NULL;
    return rc;
}

/* COPY-2: attempts that are cut off leave no database, whatever was there already. */
static void
copy_under_load(void)
{
    (void)write_some(300, 12000);
    must(engine_flush_all(engines[0]));
    is_loading = true;
    has_loaded = false;
    fiber_start(sched, "load", 128 << 10, load_main, NULL);
    for (int i = 0; i < 4; i++) {
        cut_at = i == 0 ? 1 : (uint64_t)i << 19;
        ck_assert_int_ne(copy_once(0), 0);
        diag_clear();
        ck_assert(!has_manifest());
    }
    cut_at = 0;
    must(copy_once(0));
    is_loading = false;
    while (!has_loaded)
        fiber_sleep_us(1000);
}

/* A source where all is in segments and nothing goes on: there is redo to tell where the log
 * stands all the same. COPY-3: what belongs to the source's role is not copied; BACKUP-4: what the
 * database remembers is. */
static void
copy_at_rest(void)
{
    struct manifest *m = lsm_manifest(engine_lsm(engines[0]));
    uint64_t sequence;
    struct writer w;

    must(manifest_put_blob(m, "role", 1, slice_str("the source's own")));
    must(manifest_put_blob(m, "parent", 7, slice_str("the database's")));
    loaded_scn = write_some(300, 10000);
    must(engine_compact_all(engines[0]));
    must(engine_flush_all(engines[0]));
    must(copy_once(20 << 20));
    ck_assert(has_manifest());
    must(manifest_open(env, dirs[1], &m));
    wr_init(&w, 0);
    ck_assert_int_ne(manifest_get_blob(m, "role", &sequence, &w), 0);
    diag_clear();
    must(manifest_get_blob(m, "parent", &sequence, &w));
    ck_assert_uint_eq(sequence, 7);
    ck_assert(slice_eq(wr_view(&w), slice_str("the database's")));
    wr_fini(&w);
    manifest_close(m);
}

static int
damage_one(void *arg, const char *name)
{
    char path[512];
    struct env_file *f;

    (void)arg;
    snprintf(path, sizeof path, "%s/segments/%s", dirs[1], name);
    must(env_open(env, path, ENV_WRITE, &f));
    must(env_pwrite(f, "damaged", 7, 100));
    env_close(f);
    return ERR_END;
}

/* COPY-4: what has come is not fetched again, wherever the line is cut; what was damaged meanwhile
 * is; and a node that holds the segments already fetches none. */
static void
copy_goes_on(void)
{
    char path[512], old[512];
    uint64_t fetched = 0;
    int cuts = 0;

    loaded_scn = write_some(300, 20000);
    must(engine_compact_all(engines[0]));
    for (cut_at = 1; copy_once(0) != 0; cut_at = fetched + (256 << 10), cuts++) {
        fetched += copy_fetched;
        diag_clear();
        ck_assert(!has_manifest());
    }
    ck_assert_int_gt(cuts, 3);
    ck_assert_uint_eq(fetched + copy_fetched, copy_total);
    cut_at = 0;

    snprintf(path, sizeof path, "%s/manifest", dirs[1]);
    must(env_unlink(env, path));
    snprintf(path, sizeof path, "%s/segments", dirs[1]);
    ck_assert_int_eq(env_list_dir(env, path, damage_one, NULL), ERR_END);
    must(copy_once(0));
    ck_assert_uint_gt(copy_fetched, 4096);

    snprintf(old, sizeof old, "%s", dirs[1]);
    snprintf(dirs[1], sizeof dirs[1], "%s/d", root);
    copy_reuse = old;
    must(copy_once(0));
    copy_reuse = NULL;
    ck_assert_uint_eq(copy_fetched, 0);
}

static void
base_copy(int part)
{
    engine_close(engines[1]);
    snprintf(dirs[1], sizeof dirs[1], "%s/c", root);
    if (part == 3)
        copy_under_load();
    else if (part == 4)
        copy_at_rest();
    else
        copy_goes_on();
    mount(1);
}

static void
follow_copied(void)
{
    struct apply_options ao = { .lanes = 2 };
    incarnation_t target = engine_incarnation(engines[0]);

    ck_assert_uint_eq(engine_incarnation(engines[1]), target);
    ck_assert_uint_gt(engine_newest_scn(engines[1]), 0);
    must(engine_follow_start(engines[1], target));
    apply = apply_start(engines[1], target, &ao);
}

static void
follow(void)
{
    struct apply_options ao = { .on_applied = on_applied };
    struct lineage_fork fork;
    struct redo_pos at;
    struct role_log log;
    struct writer w;
    struct ship_locate q;
    incarnation_t target = engine_incarnation(engines[0]);

    must(ship_log_fill(engines[0], target, &log));
    must(ship_fork_compare(engines[1], 0, engine_lineage(engines[0]), &log, &fork));
    ck_assert_uint_eq(fork.lsn.v, REDO_LSN_FIRST.v);
    while (standby_link == NULL)
        fiber_sleep_us(1000);
    q = (struct ship_locate){ target, log.end };
    wr_init(&w, 64);
    ship_locate_encode(&w, &q);
    must(link_send_wait(standby_link, SHIP_LOCATE, wr_view(&w)));
    wr_fini(&w);
    while (located == 0)
        fiber_sleep_us(1000);
    ck_assert(answer.found && hash128_eq(answer.pos.chain, log.chain));
    must(ship_fork_confirm(engines[1], &fork, &answer, &at));
    must(engine_lineage_merge(engines[1], engine_lineage(engines[0]), NULL));
    must(engine_follow_cut(engines[1], target, &at, NULL));
    must(engine_follow_start(engines[1], target));
    apply = apply_start(engines[1], target, &ao);
}

/* Waits until the standby shows what the primary had committed. */
static void
wait_shown(scn_t scn)
{
    while (engine_visible_scn(engines[1]) < scn) {
        if (receiver == NULL || standby_link == NULL) {
            receive_end();
            receive();
        }
        if (sender != NULL)
            ship_sender_wake(sender);
        if (receiver != NULL)
            ship_receiver_wake(receiver);
        fiber_sleep_us(2000);
    }
}

/* How many, and what they hold. */
static int
count_rows(struct engine *e, uint64_t *hash)
{
    struct txn *t = txn_new(e);
    struct txn_cursor *c;
    struct slice key, value;
    int count = 0;

    *hash = 0;

    must(txn_begin(t, TXN_READ_COMMITTED, true));
    must(txn_statement_begin(t));
    must(txn_scan(t, TREE, slice(NULL, 0), slice(NULL, 0), 0, NULL, &c));
    while (txn_cursor_next(c, &key, &value) == 0) {
        *hash = hash64(value.data, value.size, hash64(key.data, key.size, *hash));
        count++;
    }
    txn_cursor_close(c);
    txn_statement_end(t);
    txn_free(t);
    return count;
}

/* FO-31: what the role does not accept is not taken, and not acknowledged. */
static scn_t
refuse_first(void)
{
    struct redo_pos end;
    scn_t scn;

    accepting = false;
    receive();
    scn = write_some(100, 100);
    fiber_sleep_us(50000);
    must(engine_log_end(engines[1], engine_incarnation(engines[0]), &end));
    ck_assert_uint_eq(end.lsn.v, REDO_LSN_FIRST.v);
    accepting = true;
    receive_end();
    receive(); /* SHIP-4: asked again, the sender begins where the log ends */
    return scn;
}

/* SHIP-3: a log that is not the same is sent nothing, though it ends at the same place. */
static void
diverged(void)
{
    receive_end();
    forging = true;
    end_code = 0;
    receive();
    while (end_code == 0)
        fiber_sleep_us(1000);
    ck_assert_int_eq(end_code, ERR_DIVERGED);
    forging = false;
    receive_end();
    receive();
}

/* SHIP-5: after the end no acknowledgement leaves, though what was taken is applied all the same.
 */
static void
stopped(void)
{
    scn_t scn = write_some(500, 1000);
    struct ship_ack said;

    while (last_ack.received.v < redo_sealed(engine_redo(engines[0])).v)
        fiber_sleep_us(1000);
    receive_end();
    said = last_ack;
    while (engine_applied(engines[1]).v < said.received.v)
        fiber_sleep_us(1000);
    fiber_sleep_us(20000); /* time for what must not happen */
    ck_assert_mem_eq(&said, &last_ack, sizeof said);
    receive();
    wait_shown(scn);
}

/* An acknowledgement says durable and applied in the end. */
static void
acknowledged_in_the_end(void)
{
    receive();
    wait_shown(write_some(2000, 100));
    while (last_ack.durable.v < redo_sealed(engine_redo(engines[0])).v ||
           last_ack.applied.v < last_ack.durable.v) {
        ship_receiver_wake(receiver);
        fiber_sleep_us(2000);
    }
    ck_assert_uint_eq(last_ack.inc, engine_incarnation(engines[0]));
}

/* The line is cut again and again, in the middle of anything. */
static void
cut_again_and_again(void)
{
    scn_t scn = 0;

    receive();
    for (int i = 0; i < 12; i++) {
        scn = write_some(30, 20000);
        fiber_sleep_us((uint64_t)(i * 700));
        if (standby_link != NULL)
            link_close(standby_link, ERR_STOPPED, NULL);
        fiber_sleep_us(1000);
    }
    wait_shown(scn);
}

static void
drive(void *arg)
{
    int part = *(int *)arg;
    struct redo_pin absent; /* what the primary keeps for a member that is away */

    accepting = true;
    redo_pin(engine_redo(engines[0]), &absent, 0, REDO_LSN_FIRST);
    if (part >= 3) {
        uint64_t here, there;

        base_copy(part);
        follow_copied();
        receive();
        wait_shown(write_some(100, 100));
        ck_assert_int_eq(count_rows(engines[1], &there), 300);
        ck_assert_int_eq(count_rows(engines[0], &here), 300);
        ck_assert_uint_eq(here, there);
    } else {
        follow();
    }
    if (part >= 3) {
        ck_assert_uint_gt(loaded_scn, 0);
    } else if (part == 0) {
        acknowledged_in_the_end();
        diverged();
        stopped();
    } else if (part == 1) {
        cut_again_and_again();
    } else {
        wait_shown(refuse_first());
    }
    wait_shown(engine_newest_scn(engines[0])); /* the keeper commits too */
    receive_end();
    if (sender != NULL)
        ship_sender_stop(sender);
    redo_unpin(engine_redo(engines[0]), &absent);
    link_hub_free(hubs[1]);
    link_hub_free(hubs[0]);
    while (sources > 0) /* before the engine closes */
        fiber_sleep_us(1000);
    while (sched_fiber_count(sched) > 1)
        fiber_sleep_us(1000);
    sched_stop(sched);
}

START_TEST(test_ship)
{
    struct link_handler primary = { primary_up, primary_message, primary_down, NULL };
    struct link_handler standby = { standby_up, standby_message, standby_down, NULL };
    struct link_handler kinds[SHIP_JOINING + 1] = { [SHIP_PEER] = primary };
    char address[ENV_ADDR_MAX];
    struct env_sock *listener;
    int part = _i;

    for (int i = 0; i < 2; i++) {
        struct link_options o = {
            .sched = sched,
            .env = env,
            .database_id = engine_database_id(engines[0]),
            .self = i == 0 ? PRIMARY : STANDBY,
            .boot_id = 100 + (uint64_t)i,
            .name = "node",
            .backoff_min_ms = 2,
            .backoff_max_ms = 5,
        };

        memset(&o.key, 7, sizeof o.key);
        hubs[i] = link_hub_new(&o);
    }
    must(env_listen(env, "127.0.0.1:0", LINK_BACKLOG, &listener));
    link_hub_listen(hubs[0], listener, kinds);
    link_hub_local(hubs[0], address);
    (void)link_dial_start(hubs[1], address, PRIMARY, SHIP_PEER, &standby);
    fiber_start(sched, "drive", 256 << 10, drive, &part);
    sched_run(sched, false);
}
END_TEST

/* COPY-1: a source cannot name a path, nor anything but segments. */
START_TEST(test_copy_takes_segments_only)
{
    static const char *const names[] = {
        "../manifest", "lock",   "segments/0000000000000001.seg", "0000000000000001.SEG",
        "1.seg",       "",       "0000000000000001.seg/../x",     "redoubt.yaml",
        "/etc/passwd", "redo/x", "000000000000000g.seg",          "0000000000000001.segx",
    };

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct ship_base_options o = { .env = env, .dir = root, .jobs = jobs };
        struct ship_header h = { .type = SHIP_COPY_LIST };
        struct ship_base_copy *c = ship_base_copy_new(&o);
        struct writer w;

        wr_init(&w, 4096);
        ship_copy_list_begin(&w, ship_base_copy_id(c), true, 1);
        ship_copy_list_add(&w, &(struct ship_file){ .path = slice_str(names[i]), .size = 1 });
        ck_assert_int_ne(ship_base_copy_message(c, &h, wr_view(&w)), 0);
        diag_clear();
        wr_fini(&w);
        ship_base_copy_free(c);
    }
}
END_TEST

static void
setup(void)
{
    char command[256];
    uint64_t id;

    env = env_posix_new();
    test_folder(root, sizeof root, "rd-ship");
    snprintf(dirs[0], sizeof dirs[0], "%s/a", root);
    snprintf(dirs[1], sizeof dirs[1], "%s/b", root);
    must(engine_create(env, dirs[0], &id));
    snprintf(command, sizeof command, "cp -r %s %s", dirs[0], dirs[1]);
    ck_assert_int_eq(system(command), 0);
    mount(0);
    mount(1);
    must(engine_open_write(engines[0], 3, 99));
    sched = sched_new(env);
    jobs = job_pool_new(env, "ship-job", 2);
    sender = NULL;
    receiver = NULL;
    standby_link = NULL;
    located = 0;
    value_count = 0;
    memset(&last_ack, 0, sizeof last_ack);
}

static void
setup_quiet(void)
{
    is_quiet = true;
    setup();
    is_quiet = false;
}

static void
teardown(void)
{
    char command[128];

    apply_stop(apply);
    apply = NULL;
    job_pool_free(jobs);
    sched_free(sched);
    engine_follow_stop(engines[1]);
    engine_close(engines[1]);
    engine_close(engines[0]);
    env_free(env);
    snprintf(command, sizeof command, "rm -rf %s", root);
    ck_assert_int_eq(system(command), 0);
}

int
main(void)
{
    Suite *s = suite_create("ship");
    TCase *tc = tcase_create("ship"), *quiet = tcase_create("quiet");
    SRunner *r = srunner_create(s);
    int failed;

    suite_add_tcase(s, tc);
    tcase_set_timeout(tc, 0);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, test_ship, 0, 5);
    suite_add_tcase(s, quiet);
    tcase_set_timeout(quiet, 0);
    tcase_add_checked_fixture(quiet, setup_quiet, teardown);
    tcase_add_loop_test(quiet, test_ship, 5, 6);
    tcase_add_test(tc, test_copy_takes_segments_only);
    srunner_set_fork_status(r, CK_NOFORK);
    srunner_run_all(r, CK_NORMAL);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
