/* Redo: records, frames, files, lineages.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <unistd.h>

#include "engine/base/env.h"
#include "engine/redo/redo_int.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/redo_records.h"

static void
run_redo_records(struct slice in)
{
    struct redo_record rec;
    struct writer text;
    struct reader r;

    wr_init(&text, 0);
    rd_init(&r, in.data, in.size);
    while (redo_record_next(&r, &rec) == 0)
        redo_records_decode(&rec, &text);
    wr_fini(&text);
}

static void
seed_redo_records(struct fuzz_seeds *to)
{
    struct redo_record rec;
    struct writer w;
    struct reader r;
    const uint8_t *from;

    wr_init(&w, 0);
    redo_records_write(&w);
    fuzz_seed(to, wr_view(&w));
    rd_init(&r, w.data, w.size);
    for (from = r.at; redo_record_next(&r, &rec) == 0; from = r.at)
        fuzz_seed(to, slice(from, (size_t)(r.at - from)));
    wr_fini(&w);
}

const struct fuzz_target fuzz_redo_records = { "redo_records", run_redo_records,
                                               seed_redo_records };

/* ---- frames --------------------------------------------------------------------------------- */

static void
encode_frame(struct writer *w, struct lsn lsn)
{
    uint8_t head[REDO_FRAME_HEADER];
    struct redo_frame_head h = {
        .inc = 4, .lsn = lsn, .last_scn = 5, .last_time_us = 6, .record_count = 11
    };
    struct writer records;
    size_t at = w->size;

    wr_init(&records, 0);
    redo_records_write(&records);
    h.size = h.stored_size = (uint32_t)records.size;
    h.chain = redo_chain_next(wr_view(&records), (struct hash128){ 1, 2 });
    redo_frame_head_encode(&h, head);
    wr_bytes(w, head, sizeof head);
    wr_slice(w, wr_view(&records));
    h.crc = redo_frame_crc(w->data + at, h.stored_size);
    redo_frame_head_encode(&h, head);
    memcpy(w->data + at, head, sizeof head);
    wr_fini(&records);
}

static void
mend_frame(uint8_t *frame, size_t room)
{
    struct redo_frame_head h;

    if (room < REDO_FRAME_HEADER || redo_frame_head_decode(frame, &h) != 0 ||
        h.stored_size > room - REDO_FRAME_HEADER)
        return;
    h.crc = redo_frame_crc(frame, h.stored_size);
    redo_frame_head_encode(&h, frame);
}

/* A byte: mend the checksum or not; the frame. */
static void
run_redo_frame(struct slice in)
{
    static uint8_t scratch[REDO_FRAME_RECORDS_MAX];
    bool mend = fuzz_byte(&in) & 1;
    uint8_t *bytes = xmalloc(in.size + 1);
    struct redo_frame_head h;
    struct redo_frame *f;
    struct slice records;
    struct writer text;

    wr_init(&text, 0);
    if (in.size > 0)
        memcpy(bytes, in.data, in.size);
    if (mend)
        mend_frame(bytes, in.size);
    if (redo_frame_verify(bytes, in.size, &h) == 0) {
        redo_frame_print(&h, &text);
        if (redo_frame_records(&h, bytes, scratch, &records) == 0) {
            CHECK(records.size == h.size);
            (void)!redo_frame_check_chain(&h, records, (struct hash128){ 1, 2 });
            run_redo_records(records);
        }
        CHECK(redo_frame_decode(bytes, in.size, &f) == 0);
        redo_frame_unref(f);
    }
    wr_fini(&text);
    xfree(bytes);
}

/* LZ4 of 40 bytes "abc…" repeated: a literal run and a match. */
static const uint8_t lz4[] = { 0x1f, 'a', 1, 0, 20, 0x50, 'b', 'c', 'd', 'e', 'f' };

static void
seed_redo_frame(struct fuzz_seeds *to)
{
    struct redo_frame_head h = { .flags = REDO_FRAME_LZ4,
                                 .inc = 1,
                                 .lsn = { 4096 },
                                 .size = 45,
                                 .stored_size = sizeof lz4,
                                 .record_count = 1 };
    uint8_t head[REDO_FRAME_HEADER];
    struct writer w;

    wr_init(&w, 0);
    wr_u8(&w, 1);
    encode_frame(&w, lsn_make(4096));
    fuzz_seed(to, wr_view(&w));
    w.data[0] = 0;
    fuzz_seed(to, wr_view(&w));
    wr_reset(&w);
    wr_u8(&w, 1);
    redo_frame_head_encode(&h, head);
    wr_bytes(&w, head, sizeof head);
    wr_bytes(&w, lz4, sizeof lz4);
    fuzz_seed(to, wr_view(&w));
    wr_fini(&w);
}

const struct fuzz_target fuzz_redo_frame = { "redo_frame", run_redo_frame, seed_redo_frame };

/* ---- files ---------------------------------------------------------------------------------- */

enum { FILE_FRAMES = 3 };

struct frame_place {
    size_t at; /* of its local header */
    struct redo_local local;
};

/* A header, some frames, the mark of an end in order. */
static void
encode_file(struct writer *w, struct frame_place places[FILE_FRAMES])
{
    struct redo_file_head head = { .start = { .inc = 4, .lsn = { 4096 } },
                                   .database_id = 9,
                                   .sequence = 3 };
    uint8_t first[REDO_FILE_HEADER], local[REDO_LOCAL_HEADER];
    struct lsn lsn = { 4096 };

    redo_file_head_encode(&head, first);
    wr_bytes(w, first, sizeof first);
    for (int i = 0; i < FILE_FRAMES; i++) {
        struct redo_frame_head h;
        size_t at = w->size;

        memset(local, 0, sizeof local);
        wr_bytes(w, local, sizeof local);
        encode_frame(w, lsn);
        CHECK(redo_frame_head_decode(w->data + at + sizeof local, &h) == 0);
        places[i] = (struct frame_place){ at,
                                          { .sequence = 3,
                                            .offset = at,
                                            .durable = lsn,
                                            .lsn = lsn,
                                            .size = (uint32_t)(w->size - at - sizeof local) } };
        redo_local_encode(&places[i].local, w->data + at);
        while (w->size % ENV_ALIGN != 0)
            wr_u8(w, 0);
        lsn = redo_frame_end(&h);
    }
}

static void
no_line(void *arg, const char *text)
{
    *(size_t *)arg += strlen(text);
}

static void
read_redo_file(struct slice bytes)
{
    static struct env *env;
    struct redo_source s;
    struct redo_pos end;
    uint64_t end_offset;
    size_t printed = 0;
    bool is_marked;
    char path[128];

    if (env == NULL)
        env = env_posix_new();
    snprintf(path, sizeof path, "%s/file.redo", fuzz_dir());
    fuzz_write_file(path, bytes);
    redo_source_init(&s, env);
    if (redo_source_open(&s, path) == 0 && redo_source_scan(&s, &end, &end_offset, &is_marked) == 0)
        CHECK(end_offset <= redo_align(bytes.size));
    redo_source_fini(&s);
    (void)!redo_dump_file(env, path, true, no_line, &printed);
    CHECK(unlink(path) == 0);
}

/* A byte: the bytes of a file (0), or patches to a good one, after which local headers and frames
 * (1) or frames alone (2) get good checksums. */
static void
run_redo_file(struct slice in)
{
    uint8_t how = fuzz_byte(&in) % 3;
    struct frame_place places[FILE_FRAMES];
    struct writer w;

    wr_init(&w, 0);
    if (how == 0) {
        read_redo_file(in);
    } else {
        encode_file(&w, places);
        fuzz_patch(w.data, w.size, in);
        for (int i = 0; i < FILE_FRAMES; i++) {
            size_t at = places[i].at;

            if (how == 1)
                redo_local_encode(&places[i].local, w.data + at);
            mend_frame(w.data + at + REDO_LOCAL_HEADER, w.size - at - REDO_LOCAL_HEADER);
        }
        read_redo_file(wr_view(&w));
    }
    wr_fini(&w);
}

static void
seed_redo_file(struct fuzz_seeds *to)
{
    struct frame_place places[FILE_FRAMES];
    struct writer w;

    wr_init(&w, 0);
    wr_u8(&w, 0);
    fuzz_seed(to, wr_view(&w));
    wr_fini(&w);
    wr_init(&w, 0);
    encode_file(&w, places);
    {
        uint8_t *with = xmalloc(w.size + 1);

        with[0] = 0;
        memcpy(with + 1, w.data, w.size);
        fuzz_seed(to, slice(with, w.size + 1));
        xfree(with);
    }
    fuzz_seed(to, slice("\1\0\0\1\0", 5));
    fuzz_seed(to, slice("\1\164\20\1\5\100\20\3\1\1\40\2\7", 13));
    fuzz_seed(to, slice("\2\0\20\1\5\0\0\1\1", 9));
    wr_fini(&w);
}

const struct fuzz_target fuzz_redo_file = { "redo_file", run_redo_file, seed_redo_file };

/* ---- lineages ------------------------------------------------------------------------------- */

static void
run_lineage(struct slice in)
{
    struct lineage l, again;
    struct reader r;
    struct writer w;

    lineage_init(&l);
    lineage_init(&again);
    wr_init(&w, 0);
    rd_init(&r, in.data, in.size);
    if (lineage_decode(&r, &l) == 0) {
        incarnation_t max = lineage_max(&l);
        struct lineage_step step = { max, SCN_MAX };
        struct lineage_end a = { &l, max, { 5000 } }, b = { &l, max / 2, { 9000 } };
        struct lineage_fork fork;

        lineage_encode(&w, &l);
        rd_init(&r, w.data, w.size);
        CHECK(lineage_decode(&r, &again) == 0 && again.count == l.count);
        CHECK(lineage_merge(&again, &l) == 0 && again.count == l.count);
        while (lineage_path_next(&l, &step))
            ;
        (void)lineage_part(&l, max, max / 2);
        (void)lineage_redo_at(&l, max, lsn_make(5000));
        (void)!lineage_compare(&a, &b, &fork);
    }
    wr_fini(&w);
    lineage_fini(&l);
    lineage_fini(&again);
}

static void
seed_lineage(struct fuzz_seeds *to)
{
    static const struct lineage_entry entries[] = {
        { 1, 0, 0, 0, { 4096 }, 11 },
        { 2, 1, 50, 1, { 8192 }, 12 },
        { 3, 1, 40, 2, { 9000 }, 13 },
        { 7, 3, 60, 3, { 12000 }, 14 },
    };
    struct lineage l;
    struct writer w;

    lineage_init(&l);
    wr_init(&w, 0);
    lineage_encode(&w, &l);
    fuzz_seed(to, wr_view(&w));
    for (size_t i = 0; i < sizeof entries / sizeof entries[0]; i++) {
        CHECK(lineage_add(&l, &entries[i]) == 0);
        wr_reset(&w);
        lineage_encode(&w, &l);
        fuzz_seed(to, wr_view(&w));
    }
    wr_fini(&w);
    lineage_fini(&l);
}

const struct fuzz_target fuzz_lineage = { "lineage", run_lineage, seed_lineage };
