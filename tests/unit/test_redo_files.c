/* Files: torn tails and corruption told apart, missing files, recycled ones, following, the
 * archive, what is kept. LOG-n: engine/redo/README.md.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "engine/base/mem.h"
#include "engine/redo/redo_int.h"
#include "tests/support/folder.h"
#include "tests/support/redo_rig.h"

static struct env *env;
static char dir[64];
static struct redo_rig rig;

static void PRINTF_LIKE(1, 2) run(const char *fmt, ...)
{
    char command[400];
    va_list args;

    va_start(args, fmt);
    vsnprintf(command, sizeof command, fmt, args);
    va_end(args);
    ck_assert_int_eq(system(command), 0);
}

static void
setup(void)
{
    env = env_posix_new();
    test_folder(dir, sizeof dir, "test-redo");
    redo_rig_init(&rig, env, dir);
    rig.options.file_bytes = 256 << 10;
    rig.options.lz4_bytes_min = UINT32_MAX;
}

static void
teardown(void)
{
    redo_rig_fini(&rig);
    env_free(env);
    run("rm -rf %s", dir);
}

static void
rig_open(void)
{
    int rc = redo_rig_open(&rig);

    ck_assert_msg(rc == 0, "%s", diag_last()->message);
}

/* ---- files as bytes ------------------------------------------------------------------------- */

struct image {
    char path[128];
    uint8_t *bytes;
    size_t size;
};

static void
image_read(struct image *m, incarnation_t inc, uint64_t lsn)
{
    char name[64];
    FILE *f;

    redo_file_name(inc, lsn_make(lsn), name);
    snprintf(m->path, sizeof m->path, "%s/%s.redo", rig.dir, name);
    f = fopen(m->path, "rb");
    ck_assert_ptr_nonnull(f);
    fseek(f, 0, SEEK_END);
    m->size = (size_t)ftell(f);
    m->bytes = xmalloc(m->size);
    rewind(f);
    ck_assert_uint_eq(fread(m->bytes, 1, m->size, f), m->size);
    fclose(f);
}

static void
image_write(const struct image *m)
{
    FILE *f = fopen(m->path, "r+b");

    ck_assert_ptr_nonnull(f);
    ck_assert_uint_eq(fwrite(m->bytes, 1, m->size, f), m->size);
    ck_assert_int_eq(fclose(f), 0);
}

static bool
image_is_on_disk(const struct image *m)
{
    struct image now;
    bool same;

    snprintf(now.path, sizeof now.path, "%s", m->path);
    FILE *f = fopen(m->path, "rb");

    now.bytes = xmalloc(m->size);
    same = fread(now.bytes, 1, m->size, f) == m->size && memcmp(now.bytes, m->bytes, m->size) == 0;
    fclose(f);
    xfree(now.bytes);
    return same;
}

struct unit_place {
    uint64_t offset;
    size_t size;
    struct lsn lsn, end;
};

/* The units of an image that is in order. */
static size_t
image_units(const struct image *m, struct unit_place *units, size_t max)
{
    uint64_t sequence = load_u64(m->bytes + 24), at = REDO_FILE_HEADER;
    struct redo_local local;
    size_t count = 0;

    while (at < m->size && redo_local_decode(m->bytes + at, sequence, at, &local) &&
           local.size > 0) {
        struct redo_frame_head h;

        ck_assert_uint_lt(count, max);
        ck_assert_int_eq(redo_frame_verify(m->bytes + at + 64, local.size, &h), 0);
        units[count] =
            (struct unit_place){ at, redo_align(64 + local.size), h.lsn, redo_frame_end(&h) };
        at += units[count++].size;
    }
    return count;
}

/* A log as a crash leaves it: `count` parts in one file, each durable before the next, and not
 * closed in order. The last part is larger. */
static void
make_crashed(uint64_t count)
{
    rig_open();
    redo_rig_start(&rig, 0);
    for (uint64_t i = 0; i < count; i++)
        redo_rig_put(&rig, i, i + 1 == count ? 9000 : 500, true);
    run("cp -r %s %s/saved", rig.dir, dir);
    redo_rig_close(&rig);
    run("rm -rf %s && mv %s/saved %s", rig.dir, dir, rig.dir);
}

/* ---- torn tails and corruption -------------------------------------------------------------- */

/* LOG-4, A3, B3: whatever sectors of the last write are there, in front or behind, over zeros or
 * over what the file held before, the log ends before it; and opens. */
START_TEST(test_torn_tail)
{
    struct unit_place units[64], *last;
    struct image m, cut;
    struct redo_pos end;
    size_t count;

    make_crashed(10);
    image_read(&m, 1, REDO_LSN_FIRST.v);
    count = image_units(&m, units, 64);
    ck_assert_uint_ge(count, 10);
    last = &units[count - 1];
    cut = m;
    cut.bytes = xmalloc(m.size);
    for (size_t kept = 0; kept < last->size; kept += 512) {
        for (int how = 0; how < 3; how++) {
            uint8_t *at = cut.bytes + last->offset;

            memcpy(cut.bytes, m.bytes, m.size);
            if (how == 0) /* the front is there, the rest is as zeros */
                memset(at + kept, 0, last->size - kept);
            else if (how == 1) /* the front, over an older frame of this file's place */
                memcpy(at + kept, m.bytes + units[2].offset, ENV_ALIGN - kept % ENV_ALIGN);
            else /* the back alone */
                memset(at, 0, kept + 512);
            image_write(&cut);
            rig_open();
            ck_assert_int_eq(redo_end(rig.redo, 1, &end), 0);
            /* Beyond the frame's bytes lie zeros in any case. */
            if (how < 2 && kept >= 64 + 72 + (last->end.v - last->lsn.v)) {
                ck_assert_uint_eq(end.lsn.v, last->end.v);
            } else {
                ck_assert_uint_eq(end.lsn.v, last->lsn.v);
                ck_assert_uint_eq(end.scn, 9);
            }
            redo_rig_close(&rig);
            ck_assert(image_is_on_disk(&cut));
        }
    }
    /* The next incarnation goes on from there (INC-1). */
    rig_open();
    redo_rig_start(&rig, 1);
    redo_rig_put(&rig, 9, 100, true);
    ck_assert_uint_eq(redo_rig_read_keys(&rig, 2, REDO_LSN_FIRST, 1, 0, NULL, NULL), 10);
    xfree(cut.bytes);
    xfree(m.bytes);
}
END_TEST

/* LOG-4, B4: a frame that had been durable when a later one was written is corruption, wherever the
 * bit is; nothing on disk changes, and file and offset are named. */
START_TEST(test_corruption_in_the_middle)
{
    struct unit_place units[64];
    struct image m;
    size_t count;

    make_crashed(6);
    image_read(&m, 1, REDO_LSN_FIRST.v);
    count = image_units(&m, units, 64);
    for (size_t i = 0; i + 1 < count; i++) {
        size_t used = 64 + 72 + (size_t)(units[i].end.v - units[i].lsn.v);

        for (size_t at = 0; at < used; at += 1 + at % 89) {
            char offset[32];

            m.bytes[units[i].offset + at] ^= 0x10;
            image_write(&m);
            ck_assert_int_eq(redo_rig_open(&rig), ERR_CORRUPT);
            snprintf(offset, sizeof offset, "offset %llu", (unsigned long long)units[i].offset);
            ck_assert_ptr_nonnull(strstr(diag_last()->message, m.path));
            ck_assert_ptr_nonnull(strstr(diag_last()->message, offset));
            ck_assert(image_is_on_disk(&m));
            m.bytes[units[i].offset + at] ^= 0x10;
        }
    }
    image_write(&m);
    rig_open();
    xfree(m.bytes);
}
END_TEST

/* A log that was closed in order, or of which the caller knows more, may not end early. */
START_TEST(test_known_end)
{
    struct unit_place units[64];
    struct redo_pos known = { .inc = 1 };
    struct image m;
    size_t count;

    make_crashed(6);
    image_read(&m, 1, REDO_LSN_FIRST.v);
    count = image_units(&m, units, 64);
    m.bytes[units[count - 1].offset + 200] ^= 1;
    image_write(&m);
    known.lsn = units[count - 1].lsn;
    rig.options.known = &known;
    rig.options.known_count = 1;
    rig_open();
    redo_rig_close(&rig);
    known.lsn = units[count - 1].end;
    ck_assert_int_eq(redo_rig_open(&rig), ERR_CORRUPT);
    known.inc = 2;
    ck_assert_int_eq(redo_rig_open(&rig), ERR_NO_FILE);
    rig.options.known_count = 0;
    xfree(m.bytes);

    /* Closed in order: the mark says how far. */
    rig_open();
    redo_rig_start(&rig, 1);
    redo_rig_put(&rig, 5, 100, true);
    redo_rig_close(&rig);
    image_read(&m, 2, lineage_find(&rig.lineage, 2)->start_lsn.v);
    count = image_units(&m, units, 64);
    m.bytes[units[count - 1].offset + 200] ^= 1;
    image_write(&m);
    ck_assert_int_eq(redo_rig_open(&rig), ERR_CORRUPT);
    xfree(m.bytes);
}
END_TEST

/* LOG-4: what a crash left torn is settled when the log goes on: from then on the end of that redo
 * is known, whatever lies behind it, and may not come earlier. */
START_TEST(test_settled_tail)
{
    struct unit_place units[64], *last;
    struct redo_pos end;
    struct image m;
    size_t count;

    make_crashed(6);
    image_read(&m, 1, REDO_LSN_FIRST.v);
    count = image_units(&m, units, 64);
    last = &units[count - 1];
    memset(m.bytes + last->offset, 0, last->size);
    image_write(&m);
    xfree(m.bytes);
    for (int life = 0; life < 2; life++) {
        rig_open();
        ck_assert_int_eq(redo_end(rig.redo, 1, &end), 0);
        ck_assert_uint_eq(end.lsn.v, last->lsn.v);
        if (life == 0)
            redo_rig_start(&rig, 1);
        redo_rig_close(&rig);
    }
    image_read(&m, 1, REDO_LSN_FIRST.v);
    m.bytes[last[-1].offset + 200] ^= 1;
    image_write(&m);
    ck_assert_int_eq(redo_rig_open(&rig), ERR_CORRUPT);
    ck_assert_ptr_nonnull(strstr(diag_last()->message, m.path));
    ck_assert(image_is_on_disk(&m));
    xfree(m.bytes);
}
END_TEST

/* LOG-4: what the log does not go on from is no hindrance where it cannot be marked; it is marked
 * by whoever begins a file later. */
START_TEST(test_orphan_is_marked_later)
{
    struct unit_place units[64];
    struct redo_pos from;
    struct image m;
    size_t count;

    make_crashed(6);
    image_read(&m, 1, REDO_LSN_FIRST.v);
    count = image_units(&m, units, 64);
    rig_open();
    ck_assert_int_eq(redo_locate(rig.redo, 1, units[2].lsn, &from), 0);
    run("mv %s %s.away", m.path, m.path);
    redo_rig_start_at(&rig, 2, &from, 1, from.scn);
    redo_stop(rig.redo);
    run("mv %s.away %s", m.path, m.path);
    (void)redo_rig_start(&rig, 2);
    redo_rig_close(&rig);
    xfree(m.bytes);
    image_read(&m, 1, REDO_LSN_FIRST.v);
    m.bytes[units[count - 1].offset + 200] ^= 1;
    image_write(&m);
    ck_assert_int_eq(redo_rig_open(&rig), ERR_CORRUPT);
    xfree(m.bytes);
}
END_TEST

/* Damage in a file that is not an incarnation's last is met by whoever reads there; until repaired
 * it stays an error, afterwards the same cursor goes on. */
START_TEST(test_cursor_meets_corruption)
{
    struct unit_place units[256];
    struct redo_cursor *c;
    struct redo_frame *f;
    struct image m;
    size_t count;
    int rc;

    rig_open();
    redo_rig_start(&rig, 0);
    for (uint64_t i = 0; i < 200; i++)
        redo_rig_put(&rig, i, 3000, true);
    redo_rig_close(&rig);
    image_read(&m, 1, REDO_LSN_FIRST.v);
    count = image_units(&m, units, 256);
    m.bytes[units[count / 2].offset + 100] ^= 4;
    image_write(&m);
    rig_open();
    ck_assert_int_eq(redo_cursor_open(rig.redo, 1, REDO_LSN_FIRST, &c), 0);
    while ((rc = redo_cursor_next_frame(c, &f)) == 0)
        ck_assert_uint_lt(f->head.lsn.v, units[count / 2].lsn.v);
    ck_assert_int_eq(rc, ERR_CORRUPT);
    ck_assert_ptr_nonnull(strstr(diag_last()->message, m.path));
    ck_assert_int_eq(redo_cursor_next_frame(c, &f), ERR_CORRUPT);
    ck_assert_uint_eq(redo_cursor_lsn(c).v, units[count / 2].lsn.v);
    m.bytes[units[count / 2].offset + 100] ^= 4;
    image_write(&m);
    ck_assert_int_eq(redo_cursor_next_frame(c, &f), 0);
    ck_assert_uint_eq(f->head.lsn.v, units[count / 2].lsn.v);
    redo_cursor_close(c);
    ck_assert_uint_eq(redo_rig_read_keys(&rig, 1, REDO_LSN_FIRST, 1, 0, NULL, NULL), 200);
    xfree(m.bytes);
}
END_TEST

/* ---- missing and stale files ---------------------------------------------------------------- */

struct first_lsns {
    uint64_t lsn[64];
    size_t count;
};

static int
list_name(void *arg, const char *name)
{
    struct first_lsns *l = arg;
    incarnation_t inc;
    struct lsn lsn;

    if (redo_file_name_parse(name, ".redo", &inc, &lsn) && inc == 1)
        l->lsn[l->count++] = lsn.v;
    return 0;
}

/* LOG-5, B17: a file that is gone is named, at the start or when its redo is wanted. */
START_TEST(test_missing_file)
{
    struct first_lsns l = { .count = 0 };
    char name[64];
    int rc;

    rig_open();
    redo_rig_start(&rig, 0);
    for (uint64_t i = 0; i < 200; i++)
        redo_rig_put(&rig, i, 3000, i % 16 == 0);
    redo_stop(rig.redo);
    redo_rig_start(&rig, 1);
    redo_rig_put(&rig, 200, 10, true);
    redo_rig_close(&rig);
    ck_assert_int_eq(env_list_dir(env, rig.dir, list_name, &l), 0);
    ck_assert_uint_ge(l.count, 3);
    for (size_t i = 0; i < l.count; i++) {
        redo_file_name(1, lsn_make(l.lsn[i]), name);
        run("mv %s/%s.redo %s/away", rig.dir, name, dir);
        rc = redo_rig_open(&rig);
        if (i == 0) { /* it may have been released: only who reads there misses it */
            ck_assert_int_eq(rc, 0);
            redo_rig_read(&rig, 2, REDO_LSN_FIRST, 1, NULL, &rc);
            redo_rig_close(&rig);
        }
        ck_assert_int_eq(rc, ERR_NO_FILE);
        ck_assert_ptr_nonnull(strstr(diag_last()->message, name));
        run("mv %s/away %s/%s.redo", dir, rig.dir, name);
    }
    /* A foreign file is refused. */
    rig.options.database_id++;
    ck_assert_int_eq(redo_rig_open(&rig), ERR_CORRUPT);
    rig.options.database_id--;
    rig_open();
    ck_assert_uint_eq(redo_rig_read_keys(&rig, 2, REDO_LSN_FIRST, 1, 0, NULL, NULL), 201);
}
END_TEST

/* LOG-7: files are recycled full of frames that fit where the new ones end, and none of those is
 * ever read. */
START_TEST(test_recycled_files)
{
    struct redo_stats stats;
    struct redo_pos end;
    uint64_t n = 0;

    rig_open();
    redo_rig_start(&rig, 0);
    for (int round = 0; round < 12; round++) {
        for (int i = 0; i < 40; i++)
            redo_rig_put(&rig, n++, 3000, true);
        redo_release(rig.redo, 1, redo_durable(rig.redo));
        redo_files_settle(rig.redo);
        redo_stats(rig.redo, &stats);
        ck_assert_uint_le(stats.files + stats.spares, 3);
    }
    run("cp -r %s %s/saved", rig.dir, dir);
    end = redo_durable_pos(rig.redo);
    redo_rig_close(&rig);
    run("rm -rf %s && mv %s/saved %s", rig.dir, dir, rig.dir);
    rig_open();
    {
        struct redo_pos found;

        ck_assert_int_eq(redo_end(rig.redo, 1, &found), 0);
        ck_assert_uint_eq(found.lsn.v, end.lsn.v);
        ck_assert_uint_eq(found.scn, n);
        ck_assert(hash128_eq(found.chain, end.chain));
    }
}
END_TEST

static uint64_t
size_of(const char *name)
{
    char path[160];
    struct env_file *file;
    uint64_t size = 0;

    snprintf(path, sizeof path, "%s/%s", rig.dir, name);
    if (env_open(env, path, ENV_READ, &file) != 0)
        return 0;
    ck_assert_int_eq(env_size(file, &size), 0);
    env_close(file);
    return size;
}

/* A file that a crash kept from being made ahead is gone on with, and no other is left behind;
 * one of another size is made anew. */
START_TEST(test_unfinished_spare)
{
    const char *name = "spare-00000000000000aa.redo", *more = "spare-00000000000000bb.redo";

    run("mkdir -p %s", rig.dir);
    for (int i = 0; i < 3; i++) {
        static const int kilobytes[] = { 0, 101, 1000 };

        run("head -c %dk /dev/urandom > %s/%s.tmp", kilobytes[i], rig.dir, name);
        rig_open();
        redo_files_settle(rig.redo);
        ck_assert_uint_eq(size_of(name), rig.options.file_bytes);
        redo_rig_close(&rig);
        run("test ! -e %s/%s.tmp && rm %s/%s", rig.dir, name, rig.dir, name);
    }
    run("touch %s/%s.tmp %s/%s.tmp", rig.dir, name, rig.dir, more);
    rig_open();
    redo_files_settle(rig.redo);
    run("test -z \"$(find %s -name '*.tmp')\"", rig.dir);
    ck_assert_uint_eq(size_of(name) + size_of(more), rig.options.file_bytes);
    redo_rig_start(&rig, 0);
    redo_rig_put(&rig, 0, 100, true);
    ck_assert_uint_eq(redo_rig_read_keys(&rig, 1, REDO_LSN_FIRST, 1, 0, NULL, NULL), 1);
}
END_TEST

/* ---- following ------------------------------------------------------------------------------ */

/* A gap, and a frame that follows something else. */
static void
follow_misfits(struct redo_rig *b)
{
    struct redo_pos end;
    struct redo_cursor *c;
    struct redo_frame *f;

    redo_rig_put(&rig, 200, 100, true);
    end = redo_durable_pos(rig.redo);
    redo_rig_put(&rig, 201, 100, true);
    ck_assert_int_eq(redo_cursor_open(rig.redo, 2, end.lsn, &c), 0);
    ck_assert_int_eq(redo_cursor_next_frame(c, &f), 0);
    ck_assert_int_eq(redo_append_frame(b->redo, f, 2), ERR_NOT_FOUND);
    redo_stop(b->redo);
    end.chain.hi ^= 1;
    ck_assert_int_eq(redo_start_following(b->redo, &end), 0);
    ck_assert_int_eq(redo_append_frame(b->redo, f, 2), ERR_DIVERGED);
    redo_cursor_close(c);
}

/* LOG-6, FO-31: a second node takes the first one's frames, through two incarnations and a restart
 * of its own, and refuses all that does not fit. */
START_TEST(test_following)
{
    struct redo_rig b;
    struct redo_cursor *c;
    struct redo_frame *f, *odd, *late = NULL;
    struct redo_pos at = { .lsn = REDO_LSN_FIRST };
    uint64_t frames = 0;
    int rc;

    rig_open();
    redo_rig_start(&rig, 0);
    for (uint64_t i = 0; i < 100; i++)
        redo_rig_put(&rig, i, 3000, i % 4 == 0);
    redo_stop(rig.redo);
    redo_rig_start(&rig, 1);
    rig.options.lz4_bytes_min = 1000;
    for (uint64_t i = 100; i < 200; i++)
        redo_rig_put(&rig, i, 3000, i % 4 == 0);
    ck_assert_int_eq(redo_wait_durable(rig.redo, redo_reserved(rig.redo)), 0);

    redo_rig_init(&b, env, dir);
    snprintf(b.dir, sizeof b.dir, "%s/b", dir);
    b.options.file_bytes = 128 << 10;
    lineage_copy(&b.lineage, &rig.lineage);
    ck_assert_int_eq(redo_rig_open(&b), 0);
    ck_assert_int_eq(redo_cursor_open(rig.redo, 2, REDO_LSN_FIRST, &c), 0);
    while ((rc = redo_cursor_next_frame(c, &f)) == 0) {
        if (frames % 40 == 0) {
            if (frames > 0) {
                redo_rig_close(&b);
                ck_assert_int_eq(redo_rig_open(&b), 0);
                ck_assert_int_eq(redo_end(b.redo, f->head.inc, &at) == 0 ||
                                     redo_end(b.redo, f->head.inc - 1, &at) == 0,
                                 1);
            }
            ck_assert_int_eq(redo_append_frame(b.redo, f, 2), ERR_ROLE);
            ck_assert_int_eq(redo_start_following(b.redo, &at), 0);
        }
        /* As if read from a wire. */
        ck_assert_int_eq(redo_frame_decode(f->bytes, f->bytes_size, &odd), 0);
        if (late != NULL && frames % 40 != 0)
            ck_assert_int_eq(redo_append_frame(b.redo, late, 2), ERR_AGAIN);
        if (odd->head.inc == 2)
            ck_assert_int_eq(redo_append_frame(b.redo, odd, 1), ERR_DIVERGED);
        ck_assert_int_eq(redo_append_frame(b.redo, odd, 2), 0);
        redo_frame_unref(late);
        late = odd;
        frames++;
    }
    ck_assert_int_eq(rc, ERR_END);
    redo_cursor_close(c);
    redo_frame_unref(late);
    ck_assert_int_eq(redo_wait_durable(b.redo, redo_sealed(b.redo)), 0);
    ck_assert_uint_eq(redo_durable(b.redo).v, redo_durable(rig.redo).v);
    ck_assert(hash128_eq(redo_durable_pos(b.redo).chain, redo_durable_pos(rig.redo).chain));
    ck_assert_uint_eq(redo_rig_read_keys(&b, 2, REDO_LSN_FIRST, 1, 0, NULL, NULL), 200);

    follow_misfits(&b);
    redo_rig_fini(&b);
    run("rm -rf %s/b", dir);
}
END_TEST

/* ---- archive and retention ------------------------------------------------------------------ */

/* What is released goes once it is archived, and is read back from there, on into the files. */
START_TEST(test_archive)
{
    struct redo_stats stats;
    uint64_t n = 0, files;
    struct redo_pos pos, want;

    rig.options.archive_dir = rig.archive;
    rig_open();
    redo_rig_start(&rig, 0);
    for (int i = 0; i < 100; i++)
        redo_rig_put(&rig, n++, 3000, true);
    want = redo_durable_pos(rig.redo);
    for (int i = 0; i < 300; i++)
        redo_rig_put(&rig, n++, 3000, i % 8 == 0 || i == 299); /* nothing is left to seal */
    redo_files_settle(rig.redo);
    redo_stats(rig.redo, &stats);
    files = stats.files;
    ck_assert_uint_ge(files, 4);
    ck_assert_uint_eq(stats.archived, files - 1);
    redo_stop(rig.redo);
    redo_rig_start(&rig, 1);
    redo_rig_put(&rig, n++, 10, true);
    redo_release(rig.redo, 1, LSN_MAX);
    redo_files_settle(rig.redo);
    redo_stats(rig.redo, &stats);
    ck_assert_uint_eq(stats.files, 1);
    ck_assert_uint_eq(stats.archived, files);
    for (int life = 0; life < 2; life++) {
        struct lsn end;

        ck_assert_uint_eq(redo_rig_read_keys(&rig, 2, REDO_LSN_FIRST, 1, 0, NULL, NULL), n);
        ck_assert_uint_eq(redo_rig_read_keys(&rig, 1, REDO_LSN_FIRST, 1, 0, &end, NULL), n - 1);
        ck_assert_uint_eq(end.v, lineage_find(&rig.lineage, 2)->start_lsn.v);
        ck_assert_int_eq(redo_locate(rig.redo, 1, want.lsn, &pos), 0);
        ck_assert_uint_eq(pos.lsn.v, want.lsn.v);
        ck_assert(hash128_eq(pos.chain, want.chain));
        redo_rig_close(&rig);
        rig_open();
    }
    /* An archived file that is damaged is an error, not an end. */
    run("for f in %s/*.zst; do printf 'xxxx' | dd of=$f bs=1 seek=3000 conv=notrunc status=none; "
        "done",
        rig.archive);
    {
        int rc;

        redo_rig_read_keys(&rig, 1, REDO_LSN_FIRST, 1, 0, NULL, &rc);
        ck_assert_int_eq(rc, ERR_CORRUPT);
    }
}
END_TEST

/* LOG-8, REDO-2: nothing goes that is not released, or that a sender still wants within the budget.
 */
START_TEST(test_retention)
{
    struct redo_stats stats;
    struct redo_pin pin, young;
    uint64_t n = 0, before;
    struct lsn middle;

    rig.options.keep_bytes = 4 * (256 << 10);
    rig_open();
    redo_rig_start(&rig, 0);
    for (int i = 0; i < 400; i++)
        redo_rig_put(&rig, n++, 3000, i % 8 == 0 || i == 399); /* nothing is left to seal */
    middle = redo_reserved(rig.redo);
    for (int i = 0; i < 200; i++)
        redo_rig_put(&rig, n++, 3000,
                     i % 8 == 0 || i == 199); /* within the budget, padded as well */
    redo_files_settle(rig.redo);
    redo_stats(rig.redo, &stats);
    before = stats.files;
    ck_assert_uint_ge(before, 7);
    redo_pin(rig.redo, &pin, 1, middle);
    redo_pin(rig.redo, &young, 1, redo_reserved(rig.redo));
    redo_release(rig.redo, 1, redo_durable(rig.redo));
    redo_files_settle(rig.redo);
    redo_stats(rig.redo, &stats);
    ck_assert_uint_lt(stats.files, before);
    ck_assert(!redo_pin_is_lost(rig.redo, &pin));
    redo_rig_read_keys(&rig, 1, middle, 401, 400, NULL, NULL);
    /* The budget is four files: then the claim gives up what is older. */
    for (int i = 0; i < 400; i++)
        redo_rig_put(&rig, n++, 3000, i % 8 == 0 || i == 399); /* nothing is left to seal */
    redo_pin_move(rig.redo, &young, 1, redo_durable(rig.redo));
    redo_release(rig.redo, 1, redo_durable(rig.redo));
    redo_files_settle(rig.redo);
    ck_assert(redo_pin_is_lost(rig.redo, &pin));
    ck_assert(!redo_pin_is_lost(rig.redo, &young));
    redo_stats(rig.redo, &stats);
    ck_assert_uint_ge(stats.files, 4);
    redo_unpin(rig.redo, &young);
    redo_unpin(rig.redo, &pin);
    redo_files_settle(rig.redo);
    redo_stats(rig.redo, &stats);
    ck_assert_uint_le(stats.files, 2);
}
END_TEST

/* ---- dump ----------------------------------------------------------------------------------- */

struct dump_seen {
    size_t lines, writes, commits, incarnations, others;
};

static void
dump_line(void *arg, const char *line)
{
    struct dump_seen *d = arg;

    d->lines++;
    d->writes += strstr(line, " WRITES tx 1.") != NULL;
    d->commits += strstr(line, " COMMIT tx 1.") != NULL;
    d->incarnations += strstr(line, " INCARNATION 1 ") != NULL;
    d->others += strstr(line, "another write, of LSN") != NULL;
}

START_TEST(test_dump)
{
    struct unit_place units[64];
    struct dump_seen seen = { 0 };
    struct image m;

    make_crashed(6);
    image_read(&m, 1, REDO_LSN_FIRST.v);
    image_units(&m, units, 64);
    ck_assert_int_eq(redo_dump_file(env, m.path, true, dump_line, &seen), 0);
    ck_assert_uint_eq(seen.writes, 6);
    ck_assert_uint_eq(seen.commits, 6);
    ck_assert_uint_eq(seen.incarnations, 1);
    m.bytes[units[3].offset + 300] ^= 1;
    image_write(&m);
    seen = (struct dump_seen){ 0 };
    ck_assert_int_eq(redo_dump_file(env, m.path, true, dump_line, &seen), ERR_CORRUPT);
    ck_assert_uint_eq(seen.others, 1);
    ck_assert_uint_lt(seen.writes, 6);
    ck_assert_uint_ge(seen.writes, 4);
    xfree(m.bytes);
}
END_TEST

int
main(void)
{
    Suite *s = suite_create("redo_files");
    TCase *t = tcase_create("redo_files");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, test_torn_tail);
    tcase_add_test(t, test_corruption_in_the_middle);
    tcase_add_test(t, test_known_end);
    tcase_add_test(t, test_settled_tail);
    tcase_add_test(t, test_orphan_is_marked_later);
    tcase_add_test(t, test_cursor_meets_corruption);
    tcase_add_test(t, test_missing_file);
    tcase_add_test(t, test_recycled_files);
    tcase_add_test(t, test_unfinished_spare);
    tcase_add_test(t, test_following);
    tcase_add_test(t, test_archive);
    tcase_add_test(t, test_retention);
    tcase_add_test(t, test_dump);
    tcase_set_timeout(t, 60);
    suite_add_tcase(s, t);
    runner = srunner_create(s);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
