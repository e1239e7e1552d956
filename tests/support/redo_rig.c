/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/redo_rig.h"

#include <stdio.h>

#include "engine/base/mem.h"

void
redo_rig_init(struct redo_rig *g, struct env *env, const char *dir)
{
    *g = (struct redo_rig){ .env = env, .seed = 1 };
    snprintf(g->dir, sizeof g->dir, "%s/redo", dir);
    snprintf(g->archive, sizeof g->archive, "%s/archive", dir);
    lineage_init(&g->lineage);
    g->options = (struct redo_options){ .env = env,
                                        .second_bytes = 1, /* writes overlap */
                                        .dir = g->dir,
                                        .database_id = 77,
                                        .ring_bytes = 256 << 10,
                                        .frame_cache_bytes = 1 << 20,
                                        .file_bytes = 1 << 20,
                                        .spare_count = 1 };
}

int
redo_rig_open(struct redo_rig *g)
{
    CHECK(g->redo == NULL);
    g->options.lineage = &g->lineage;
    return redo_open(&g->options, &g->redo);
}

void
redo_rig_close(struct redo_rig *g)
{
    redo_close(g->redo);
    g->redo = NULL;
}

void
redo_rig_fini(struct redo_rig *g)
{
    redo_rig_close(g);
    lineage_fini(&g->lineage);
}

uint64_t
redo_rig_random(struct redo_rig *g)
{
    g->seed ^= g->seed << 13;
    g->seed ^= g->seed >> 7;
    g->seed ^= g->seed << 17;
    return g->seed;
}

void
redo_rig_start_at(struct redo_rig *g, incarnation_t inc, const struct redo_pos *from,
                  incarnation_t parent, scn_t fork_scn)
{
    struct redo_incarnation record = { .first_scn = fork_scn + 1 };
    struct redo_part part = { .commit_at = REDO_NO_COMMIT, .inc = inc };
    struct writer w;
    int rc;

    record.entry =
        (struct lineage_entry){ inc, parent, fork_scn, from->inc, from->lsn, 0x1000 + inc };
    rc = lineage_add(&g->lineage, &record.entry);
    CHECK(rc == 0);
    redo_set_lineage(g->redo, &g->lineage);
    rc = redo_start_writing(g->redo, inc, from, fork_scn + 1);
    CHECK(rc == 0);
    wr_init(&w, 0);
    redo_encode_incarnation(&w, &record);
    part.data = w.data;
    part.size = w.size;
    rc = redo_append(g->redo, &part);
    CHECK(rc == 0);
    wr_fini(&w);
}

incarnation_t
redo_rig_start(struct redo_rig *g, incarnation_t prev)
{
    struct redo_pos from = { .lsn = REDO_LSN_FIRST };
    incarnation_t inc = lineage_max(&g->lineage) + 1;
    int rc = prev != 0 ? redo_end(g->redo, prev, &from) : 0;

    CHECK(rc == 0);
    redo_rig_start_at(g, inc, &from, prev, from.scn);
    return inc;
}

void
redo_rig_part(struct redo_rig *g, struct writer *w, uint64_t number, size_t size, bool commit,
              struct redo_part *part)
{
    incarnation_t inc = redo_incarnation(g->redo);
    txid_t txid = txid_make(inc, number + 1);
    uint8_t key[8], *value = xmalloc(size);
    struct redo_commit c = { .txid = txid, .mode_level = 3 };
    size_t at;

    store_u64_be(key, number);
    for (size_t i = 0; i < size; i++)
        value[i] = (uint8_t)(number * 7 + i * i);
    wr_reset(w);
    at = redo_encode_writes_begin(w, txid, 1);
    redo_encode_op(w, REDO_OP_PUT, 5, slice(key, 8), slice(value, size));
    redo_encode_writes_end(w, at);
    *part = (struct redo_part){ .commit_at = REDO_NO_COMMIT, .inc = inc };
    if (commit) {
        part->commit_at = (int64_t)w->size;
        redo_encode_commit(w, &c, NULL);
    }
    part->data = w->data;
    part->size = w->size;
    xfree(value);
}

struct lsn
redo_rig_put(struct redo_rig *g, uint64_t number, size_t size, bool wait)
{
    struct redo_part part;
    struct writer w;
    int rc;

    wr_init(&w, 0);
    redo_rig_part(g, &w, number, size, true, &part);
    rc = redo_append(g->redo, &part);
    CHECK(rc == 0);
    if (wait)
        rc = redo_wait_durable(g->redo, part.end_lsn);
    CHECK(rc == 0);
    wr_fini(&w);
    return part.end_lsn;
}

/* Checks one write; gives its key. */
static uint64_t
read_write(const struct redo_record *rec)
{
    struct redo_writes writes;
    struct redo_op op;
    uint64_t number;
    int rc = redo_decode_writes(rec, &writes);

    CHECK(rc == 0);
    rc = redo_op_next(&writes, &op);
    CHECK(rc == 0 && op.kind == REDO_OP_PUT && op.tree == 5 && op.key.size == 8);
    number = load_u64_be(op.key.data);
    CHECK(txid_counter(writes.txid) == number + 1 && txid_incarnation(writes.txid) == rec->inc);
    for (size_t i = 0; i < op.value.size; i++)
        CHECK(op.value.data[i] == (uint8_t)(number * 7 + i * i));
    CHECK(redo_op_next(&writes, &op) == ERR_END);
    return number;
}

static uint64_t
read_all(struct redo_rig *g, incarnation_t target, struct lsn from, scn_t scn, bool keys,
         uint64_t key, struct lsn *end, int *out_rc)
{
    struct redo_cursor *c;
    struct redo_record rec;
    uint64_t count = 0, time_us = 0;
    struct lsn at = from;
    int rc = redo_cursor_open(g->redo, target, from, &c);

    CHECK(rc == 0);
    while ((rc = redo_cursor_next(c, &rec)) == 0) {
        CHECK(rec.lsn.v == at.v);
        at = rec.end_lsn;
        if (rec.type == REDO_WRITES) {
            uint64_t number = read_write(&rec);

            CHECK(!keys || number == key);
            key++;
        } else if (rec.type == REDO_COMMIT) {
            struct redo_commit commit;

            rc = redo_decode_commit(&rec, &commit);
            CHECK(rc == 0 && commit.scn == scn && commit.time_us > time_us);
            scn++;
            time_us = commit.time_us;
            count++;
        }
    }
    CHECK(redo_cursor_lsn(c).v == at.v || rc != ERR_END);
    redo_cursor_close(c);
    if (out_rc == NULL && rc != ERR_END)
        PANIC("read of redo: %s", diag_last()->message);
    if (out_rc != NULL)
        *out_rc = rc;
    if (end != NULL)
        *end = at;
    return count;
}

uint64_t
redo_rig_read(struct redo_rig *g, incarnation_t target, struct lsn from, scn_t first_scn,
              struct lsn *end, int *rc)
{
    return read_all(g, target, from, first_scn, false, 0, end, rc);
}

uint64_t
redo_rig_read_keys(struct redo_rig *g, incarnation_t target, struct lsn from, scn_t first_scn,
                   uint64_t first, struct lsn *end, int *rc)
{
    return read_all(g, target, from, first_scn, true, first, end, rc);
}
