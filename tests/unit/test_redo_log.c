/* The log on real files: order, density, group commit, back-pressure, files, cuts, following,
 * archive, retention. LOG-1 to LOG-12 are engine/redo/README.md's.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "engine/base/fiber.h"
#include "engine/base/mem.h"
#include "engine/redo/redo_int.h"
#include "engine/redo/strand.h"
#include "tests/support/folder.h"
#include "tests/support/redo_rig.h"

static struct env *env;
static char dir[64];
static struct redo_rig rig;

static void
setup(void)
{
    env = env_posix_new();
    test_folder(dir, sizeof dir, "test-redo");
    redo_rig_init(&rig, env, dir);
}

static void
teardown(void)
{
    char command[96];

    redo_rig_fini(&rig);
    env_free(env);
    snprintf(command, sizeof command, "rm -rf %s", dir);
    ck_assert_int_eq(system(command), 0);
}

static void
rig_open(void)
{
    int rc = redo_rig_open(&rig);

    ck_assert_msg(rc == 0, "%s", diag_last()->message);
}

/* ---- order and density ---------------------------------------------------------------------- */

enum { APPENDERS = 4, APPENDS = 3000 };

struct appender {
    struct env_thread *thread;
    uint64_t first, seed;
    uint64_t reserved; /* how often on_reserved ran */
    scn_t last_scn;
};

static void
on_reserved(void *arg, scn_t scn, uint64_t time_us, struct lsn end_lsn)
{
    struct appender *a = arg;

    a->reserved++;
    /* LOG-10: no frame holds it yet. */
    ck_assert_uint_lt(redo_sealed(rig.redo).v, end_lsn.v);
    if (scn != 0) {
        ck_assert_uint_gt(time_us, 0);
        ck_assert_uint_gt(scn, a->last_scn);
        a->last_scn = scn;
    }
}

static void
appender_run(void *arg)
{
    struct appender *a = arg;
    struct writer w;

    wr_init(&w, 0);
    for (uint64_t i = 0; i < APPENDS; i++) {
        struct redo_part part;

        a->seed = a->seed * 6364136223846793005u + 1442695040888963407u;
        redo_rig_part(&rig, &w, a->first + i, a->seed >> 33 & 1023, (a->seed >> 20 & 3) != 0,
                      &part);
        part.on_reserved = on_reserved;
        part.arg = a;
        ck_assert_int_eq(redo_append(rig.redo, &part), 0);
        if (i % 64 == 0)
            ck_assert_int_eq(redo_wait_durable(rig.redo, part.end_lsn), 0);
    }
    wr_fini(&w);
}

struct durable_seen {
    struct redo_pos last;
    uint64_t calls, frames;
    struct lsn sealed;
};

static void
on_durable(void *arg, const struct redo_pos *pos)
{
    struct durable_seen *d = arg;

    ck_assert_uint_gt(pos->lsn.v, d->last.lsn.v); /* LOG-2 */
    ck_assert_uint_ge(pos->scn, d->last.scn);
    d->last = *pos;
    d->calls++;
}

static void
on_sealed(void *arg, struct redo_frame *frame)
{
    struct durable_seen *d = arg;

    ck_assert_uint_eq(frame->head.lsn.v, d->sealed.v);
    ck_assert_uint_lt(redo_durable(rig.redo).v, redo_frame_end(&frame->head).v);
    d->sealed = redo_frame_end(&frame->head);
    d->frames++;
}

/* LOG-3: many threads append; what is read back is dense and in order, and so are the callbacks. */
START_TEST(test_many_appenders)
{
    struct appender a[APPENDERS] = { 0 };
    struct durable_seen seen = { .sealed = REDO_LSN_FIRST };
    struct redo_listener listener = { .on_sealed = on_sealed,
                                      .on_durable = on_durable,
                                      .arg = &seen };
    uint64_t commits, reserved = 0;
    struct lsn end, first = REDO_LSN_FIRST;
    incarnation_t inc;

    rig.options.ring_bytes = 64 << 10;
    rig_open();
    redo_listen(rig.redo, &listener);
    inc = redo_rig_start(&rig, 0);
    for (int i = 0; i < APPENDERS; i++) {
        a[i].first = (uint64_t)i * APPENDS;
        a[i].seed = (uint64_t)i + 11;
        a[i].thread = env_thread_start(env, "appender", appender_run, &a[i]);
    }
    for (int i = 0; i < APPENDERS; i++) {
        env_thread_join(a[i].thread);
        reserved += a[i].reserved;
    }
    ck_assert_uint_eq(reserved, APPENDERS * APPENDS);
    ck_assert_int_eq(redo_wait_durable(rig.redo, redo_reserved(rig.redo)), 0);
    commits = redo_rig_read(&rig, inc, first, 1, &end, NULL);
    ck_assert_uint_eq(commits, redo_reserved_scn(rig.redo));
    ck_assert_uint_eq(end.v, redo_reserved(rig.redo).v);
    redo_stop(rig.redo);
    ck_assert_uint_eq(seen.last.lsn.v, end.v);
    ck_assert_uint_eq(seen.last.scn, commits);
    ck_assert_uint_eq(seen.sealed.v, end.v);
    redo_unlisten(rig.redo, &listener);
    /* The same from files alone. */
    redo_rig_close(&rig);
    rig_open();
    ck_assert_uint_eq(redo_rig_read(&rig, inc, first, 1, &end, NULL), commits);
}
END_TEST

/* Fibers of one worker, with the wake deferred to the end of its turn, as sessions do it. */
static void
turn_end(void *arg)
{
    redo_kick(arg);
}

static void
session_run(void *arg)
{
    uint64_t *next = arg;
    struct writer w;

    wr_init(&w, 0);
    for (int i = 0; i < 50; i++) {
        struct redo_part part;

        redo_rig_part(&rig, &w, (*next)++, 300, true, &part);
        part.flags = REDO_PART_DEFER_WAKE;
        ck_assert_int_eq(redo_append(rig.redo, &part), 0);
        ck_assert_int_eq(redo_wait_durable(rig.redo, part.end_lsn), 0);
    }
    wr_fini(&w);
}

START_TEST(test_group_commit_of_fibers)
{
    struct sched *s = sched_new(env);
    struct redo_stats stats;
    uint64_t next = 0;
    incarnation_t inc;

    rig_open();
    inc = redo_rig_start(&rig, 0);
    sched_set_turn_hook(s, turn_end, rig.redo);
    for (int i = 0; i < 32; i++)
        fiber_start(s, "session", FIBER_STACK_DEFAULT, session_run, &next);
    sched_run(s, true);
    sched_free(s);
    redo_stats(rig.redo, &stats);
    ck_assert_uint_eq(stats.parts, 32 * 50 + 1);
    ck_assert_uint_lt(stats.writes, 32 * 50);
    ck_assert_uint_eq(redo_rig_read_keys(&rig, inc, REDO_LSN_FIRST, 1, 0, NULL, NULL), 1600);
}
END_TEST

/* ---- the ring ------------------------------------------------------------------------------- */

/* Parts of every size up to the greatest wrap the ring at every offset; too large a one is refused.
 */
START_TEST(test_ring_wraps)
{
    struct redo_part part;
    struct writer w;
    uint64_t number = 0;
    incarnation_t inc;
    size_t max;

    rig.options.ring_bytes = 16 << 10;
    rig_open();
    inc = redo_rig_start(&rig, 0);
    max = redo_part_max(rig.redo);
    ck_assert_uint_eq(max, 8 << 10);
    for (size_t size = 1; size < max - 100; size += 97)
        redo_rig_put(&rig, number++, size, false);
    wr_init(&w, 0);
    redo_rig_part(&rig, &w, number, max, true, &part);
    ck_assert_int_eq(redo_append(rig.redo, &part), ERR_LIMIT);
    wr_fini(&w);
    ck_assert_int_eq(redo_wait_durable(rig.redo, redo_reserved(rig.redo)), 0);
    ck_assert_uint_eq(redo_rig_read_keys(&rig, inc, REDO_LSN_FIRST, 1, 0, NULL, NULL), number);
}
END_TEST

struct pinner {
    struct redo_frame *frames[4096];
    uint32_t count;
};

static void
pin_sealed(void *arg, struct redo_frame *frame)
{
    struct pinner *p = arg;

    if (p->count % 3 != 0)
        redo_frame_ref(frame);
    else
        frame = NULL;
    p->frames[p->count++] = frame;
}

/* Frames that slow senders hold are stepped over; what they hold stays whole. */
START_TEST(test_pinned_frames)
{
    static struct pinner p;
    struct redo_listener listener = { .on_sealed = pin_sealed, .arg = &p };
    incarnation_t inc;
    uint64_t n = 300;

    p.count = 0;
    rig.options.frame_cache_bytes = 5 << 20;
    rig.options.lz4_bytes_min = UINT32_MAX;
    rig_open();
    inc = redo_rig_start(&rig, 0);
    redo_listen(rig.redo, &listener);
    for (uint64_t i = 0; i < n; i++) {
        redo_rig_put(&rig, i, 60000, true);
        /* Give the oldest back, so that at most 40 are held. */
        if (p.count > 40) {
            struct redo_frame *f = p.frames[p.count - 40];
            struct redo_frame_head head;

            if (f != NULL)
                ck_assert_int_eq(redo_frame_verify(f->bytes, f->bytes_size, &head), 0);
            redo_frame_unref(f);
            p.frames[p.count - 40] = NULL;
        }
    }
    redo_unlisten(rig.redo, &listener);
    for (uint32_t i = 0; i < p.count; i++)
        redo_frame_unref(p.frames[i]);
    ck_assert_uint_eq(redo_rig_read_keys(&rig, inc, REDO_LSN_FIRST, 1, 0, NULL, NULL), n);
}
END_TEST

/* ---- roles ---------------------------------------------------------------------------------- */

static void
wait_beyond(void *arg)
{
    int *rc = arg;

    *rc = redo_wait_durable(rig.redo, LSN_MAX);
}

/* A stopped log accepts nothing, and whoever waits for what will not come is told. */
struct pool_user {
    struct redo_frame_pool pool;
    struct redo_frame *frame;
};

static void
alloc_main(void *arg)
{
    struct pool_user *u = arg;

    u->frame = redo_pool_alloc(&u->pool, 100);
}

/* Senders hold every frame: who needs memory goes on once they let go, although the recent past
 * keeps its references. */
START_TEST(test_waits_for_senders)
{
    enum { FRAMES = 8 };
    struct pool_user u = { .frame = NULL };
    struct redo_frame *held[FRAMES];
    struct env_thread *thread;

    redo_pool_init(&u.pool, env, FRAMES * ENV_ALIGN);
    for (int i = 0; i < FRAMES; i++) {
        held[i] = redo_pool_alloc(&u.pool, 100);
        redo_pool_push(&u.pool, held[i]);
    }
    thread = env_thread_start(env, "alloc", alloc_main, &u);
    while (atomic_load(&u.pool.waiting) == 0)
        env_thread_yield(env);
    for (int i = 0; i < FRAMES; i++)
        redo_pool_unref(&u.pool, held[i]);
    env_thread_join(thread); /* hangs if it was not woken */
    redo_pool_unref(&u.pool, u.frame);
    redo_pool_fini(&u.pool);
}
END_TEST

START_TEST(test_stop)
{
    struct redo_part part;
    struct env_thread *t;
    struct writer w;
    int rc = 0;

    rig_open();
    redo_rig_start(&rig, 0);
    wr_init(&w, 0);
    redo_rig_part(&rig, &w, 1, 10, true, &part);
    t = env_thread_start(env, "waiter", wait_beyond, &rc);
    redo_stop(rig.redo);
    env_thread_join(t);
    ck_assert_int_eq(rc, ERR_STOPPED);
    ck_assert_int_eq(redo_append(rig.redo, &part), ERR_ROLE);
    ck_assert_int_eq(redo_wait_durable(rig.redo, redo_reserved(rig.redo)), 0);
    /* Of the incarnation that was, nothing is accepted in the next (TXN-1). */
    redo_rig_start(&rig, 1);
    ck_assert_int_eq(redo_append(rig.redo, &part), ERR_ROLE);
    wr_fini(&w);
}
END_TEST

static int
count_inc(void *arg, incarnation_t inc, struct lsn first, struct redo_pos end)
{
    uint32_t *seen = arg;

    ck_assert_uint_eq(end.inc, inc);
    ck_assert_uint_le(first.v, end.lsn.v);
    *seen |= 1u << inc;
    return 0;
}

/* LOG-9: a cut leaves what it cuts off as an orphan's redo, readable to its end; the log goes on
 * from the cut in a file of its own, and that survives a restart. */
START_TEST(test_cut_and_orphan)
{
    struct redo_pos fork, orphan_end;
    struct lsn orphan_lsn, end;
    uint32_t seen = 0;

    rig_open();
    redo_rig_start(&rig, 0);
    for (uint64_t i = 0; i < 20; i++)
        redo_rig_put(&rig, i, 200, true);
    ck_assert_int_eq(redo_locate(rig.redo, 1, redo_durable(rig.redo), &fork), 0);
    ck_assert_uint_eq(fork.scn, 20);
    for (uint64_t i = 20; i < 50; i++)
        redo_rig_put(&rig, i, 200, true);
    orphan_lsn = redo_reserved(rig.redo);
    fork.chain.lo ^= 1;
    ck_assert_int_eq(redo_cut(rig.redo, &fork), ERR_NOT_FOUND);
    fork.chain.lo ^= 1;
    ck_assert_int_eq(redo_cut(rig.redo, &fork), 0);
    ck_assert_uint_eq(redo_durable(rig.redo).v, fork.lsn.v);
    redo_rig_start_at(&rig, 2, &fork, 1, fork.scn);
    for (uint64_t i = 20; i < 40; i++)
        redo_rig_put(&rig, i, 300, true);
    for (int life = 0; life < 2; life++) {
        ck_assert_uint_eq(redo_rig_read_keys(&rig, 2, REDO_LSN_FIRST, 1, 0, NULL, NULL), 40);
        ck_assert_uint_eq(redo_rig_read_keys(&rig, 1, REDO_LSN_FIRST, 1, 0, &end, NULL), 50);
        ck_assert_uint_eq(end.v, orphan_lsn.v);
        ck_assert_int_eq(redo_end(rig.redo, 1, &orphan_end), 0);
        ck_assert_uint_eq(orphan_end.lsn.v, orphan_lsn.v);
        ck_assert_uint_eq(orphan_end.scn, 50);
        seen = 0;
        ck_assert_int_eq(redo_each(rig.redo, count_inc, &seen), 0);
        ck_assert_uint_eq(seen, 6);
        redo_rig_close(&rig);
        rig_open();
    }
    /* Two histories of one incarnation are refused. */
    ck_assert_int_eq(
        redo_start_writing(rig.redo, 1, &(struct redo_pos){ .lsn = REDO_LSN_FIRST }, 1),
        ERR_DIVERGED);
    ck_assert_int_eq(redo_end(rig.redo, 3, &orphan_end), ERR_NOT_FOUND);
}
END_TEST

/* Positions that two nodes compare: chains at frame ends, from memory and from files alike. */
START_TEST(test_locate)
{
    struct redo_pos ends[40], pos;
    size_t count = 0;

    rig.options.file_bytes = 64 << 10;
    rig_open();
    redo_rig_start(&rig, 0);
    for (uint64_t i = 0; i < 40; i++) {
        redo_rig_put(&rig, i, 3000, true);
        ends[count++] = redo_durable_pos(rig.redo);
    }
    for (int life = 0; life < 2; life++) {
        for (size_t i = 0; i < count; i++) {
            struct lsn inside = { i + 1 < count ? ends[i + 1].lsn.v - 1 : UINT64_MAX };

            ck_assert_int_eq(redo_locate(rig.redo, 1, ends[i].lsn, &pos), 0);
            ck_assert_uint_eq(pos.lsn.v, ends[i].lsn.v);
            ck_assert(hash128_eq(pos.chain, ends[i].chain));
            ck_assert_int_eq(redo_locate(rig.redo, 1, inside, &pos), 0);
            ck_assert_uint_eq(pos.lsn.v, ends[i].lsn.v);
            ck_assert_uint_eq(pos.scn, ends[i].scn);
        }
        ck_assert_int_eq(redo_locate(rig.redo, 1, REDO_LSN_FIRST, &pos), 0);
        ck_assert_uint_eq(pos.lsn.v, REDO_LSN_FIRST.v);
        ck_assert_int_eq(redo_locate(rig.redo, 1, lsn_make(5), &pos), ERR_NOT_FOUND);
        ck_assert_int_eq(redo_locate(rig.redo, 2, REDO_LSN_FIRST, &pos), ERR_NOT_FOUND);
        redo_rig_close(&rig);
        rig_open();
    }
}
END_TEST

/* ---- strands -------------------------------------------------------------------------------- */

/* The six writes of test_strand, in order and whole. */
static void
strand_read_back(txid_t tx, txid_t child, struct slice big)
{
    uint8_t *got = xmalloc(big.size);
    struct redo_cursor *c;
    struct redo_record rec;
    size_t have = 0;
    uint64_t seq = 1, commits = 0;
    int rc;

    ck_assert_int_eq(redo_cursor_open(rig.redo, 1, REDO_LSN_FIRST, &c), 0);
    while ((rc = redo_cursor_next(c, &rec)) == 0) {
        struct redo_writes w;
        struct redo_commit end;
        struct redo_op op;

        if (rec.type == REDO_COMMIT) {
            ck_assert_int_eq(redo_decode_commit(&rec, &end), 0);
            ck_assert_uint_eq(end.child_count, 1);
            ck_assert_uint_eq(redo_child(end.children, 0), child);
            ck_assert_uint_eq(seq, 6);
            commits++;
        }
        if (rec.type != REDO_WRITES)
            continue;
        ck_assert_int_eq(redo_decode_writes(&rec, &w), 0);
        ck_assert_uint_eq(w.txid, w.first_seq == 3 ? child : tx);
        while (redo_op_next(&w, &op) == 0) {
            ck_assert_uint_eq(op.seq, seq);
            if (slice_eq(op.key, slice_str("big"))) {
                ck_assert_uint_le(have + op.value.size, big.size);
                memcpy(got + have, op.value.data, op.value.size);
                have += op.value.size;
            }
            seq += op.kind != REDO_OP_PUT_PART;
        }
    }
    ck_assert_int_eq(rc, ERR_END);
    redo_cursor_close(c);
    ck_assert_uint_eq(commits, 1);
    ck_assert_uint_eq(have, big.size);
    ck_assert_int_eq(memcmp(big.data, got, big.size), 0);
    xfree(got);
}

/* Writes of a transaction and a savepoint, a value larger than a part, a drop in the middle: read
 * back in order, with their seq. */
START_TEST(test_strand)
{
    size_t big = 300000;
    uint8_t *value = xmalloc(big);
    struct redo_strand s;
    struct redo_strand_commit commit = { 0 };
    txid_t tx, child;
    struct slice rest;

    for (size_t i = 0; i < big; i++)
        value[i] = (uint8_t)(i * i >> 3);
    rig.options.file_bytes = 64 << 10;
    rig_open();
    tx = txid_make(redo_rig_start(&rig, 0), 1);
    child = tx + 1;
    redo_strand_init(&s, rig.redo);
    redo_strand_begin(&s, 1);
    ck_assert_int_eq(redo_strand_put(&s, tx, 1, 9, slice_str("a"), slice_str("1")), 0);
    ck_assert_int_eq(redo_strand_put(&s, tx, 2, 9, slice_str("b"), slice_str("2")), 0);
    ck_assert_int_eq(redo_strand_delete(&s, child, 3, 9, slice_str("a")), 0);
    rest = slice(value, big);
    ck_assert_int_eq(redo_strand_put_parts(&s, tx, 4, 9, slice_str("big"), &rest), 0);
    ck_assert_uint_le(rest.size, redo_strand_value_max(&s));
    ck_assert_int_eq(redo_strand_put(&s, tx, 4, 9, slice_str("big"), rest), 0);
    ck_assert(s.appended);
    ck_assert_int_eq(redo_strand_tree(&s, REDO_TREE_DROP, tx, 9), 0);
    ck_assert_int_eq(redo_strand_put(&s, tx, 5, 9, slice_str("c"), slice_str("3")), 0);
    commit = (struct redo_strand_commit){ .txid = tx, .children = &child, .child_count = 1 };
    ck_assert_int_eq(redo_strand_commit(&s, &commit), 0);
    ck_assert_uint_eq(commit.scn, 1);
    ck_assert(redo_strand_is_empty(&s));
    ck_assert_int_eq(redo_wait_durable(rig.redo, commit.end_lsn), 0);
    redo_strand_fini(&s);
    strand_read_back(tx, child, slice(value, big));
    xfree(value);
}
END_TEST

/* LOG-12: what comes while the frame before is not acknowledged goes as one frame after it, and it
 * goes without, too, once the pace has ended. */
START_TEST(test_pace)
{
    struct durable_seen seen = { .sealed = REDO_LSN_FIRST };
    struct redo_listener listener = { .on_sealed = on_sealed, .arg = &seen };
    struct redo_part part, last = { 0 };
    struct writer w;
    uint64_t frames;

    wr_init(&w, 0);
    rig.options.second_bytes = 0;
    rig.options.pace_us = UINT32_MAX; /* more than an hour */
    rig_open();
    redo_listen(rig.redo, &listener);
    redo_rig_start(&rig, 0);
    redo_rig_part(&rig, &w, 0, 100, true, &part);
    ck_assert_int_eq(redo_append(rig.redo, &part), 0);
    ck_assert_int_eq(redo_wait_durable(rig.redo, part.end_lsn), 0);
    redo_acknowledged(rig.redo, part.lsn);
    frames = seen.frames;
    for (uint64_t i = 1; i <= 20; i++) {
        redo_rig_part(&rig, &w, i, 100, true, &last);
        ck_assert_int_eq(redo_append(rig.redo, &last), 0);
    }
    redo_acknowledged(rig.redo, part.end_lsn);
    redo_kick(rig.redo);
    ck_assert_int_eq(redo_wait_durable(rig.redo, last.end_lsn), 0);
    ck_assert_uint_eq(seen.frames, frames + 1);
    redo_unlisten(rig.redo, &listener);
    redo_rig_close(&rig);

    rig.options.pace_us = 2000;
    rig_open();
    redo_rig_start(&rig, 1);
    for (uint64_t i = 0; i < 20; i++) {
        redo_rig_part(&rig, &w, i, 100, true, &part);
        redo_acknowledged(rig.redo, REDO_LSN_FIRST);
        ck_assert_int_eq(redo_append(rig.redo, &part), 0);
        ck_assert_int_eq(redo_wait_durable(rig.redo, part.end_lsn), 0);
    }
    wr_fini(&w);
}
END_TEST

int
main(void)
{
    Suite *s = suite_create("redo_log");
    TCase *t = tcase_create("redo_log");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, test_many_appenders);
    tcase_add_test(t, test_group_commit_of_fibers);
    tcase_add_test(t, test_ring_wraps);
    tcase_add_test(t, test_pinned_frames);
    tcase_add_test(t, test_waits_for_senders);
    tcase_add_test(t, test_stop);
    tcase_add_test(t, test_cut_and_orphan);
    tcase_add_test(t, test_locate);
    tcase_add_test(t, test_strand);
    tcase_add_test(t, test_pace);
    tcase_set_timeout(t, 60);
    suite_add_tcase(s, t);
    runner = srunner_create(s);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
