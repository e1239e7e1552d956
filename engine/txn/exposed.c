/* What readers were shown, and how far redo was durable: kept over a restart, so that nobody is
 * shown less afterwards (G3).
 *
 * Once a second it goes into the manifest. Where the primary's pointer moves what is visible, on a
 * standby, it is noted first in the file `exposed`, without a sync: that survives the end of the
 * process, and a power cut takes a second of it at most.
 *
 *     0  u32  magic "RDEX"
 *     4  u32  incarnation
 *     8  u64  SCN
 *    16  u32  crc over bytes [0, 16)
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "engine/base/checksum.h"
#include "engine/base/mem.h"
#include "engine/txn/engine_int.h"

#define EXPOSED_MAGIC 0x58454452u
enum { EXPOSED_BYTES = 20 };

/* What of it the branch followed now still has. */
static scn_t
shown_here(struct engine *e, incarnation_t inc, scn_t scn)
{
    scn_t part = lsm_part(e->lsm, inc, engine_incarnation(e));

    return scn < part ? scn : part;
}

/* ---- the file -------------------------------------------------------------------------------- */

void
exposed_open(struct engine *e)
{
    char path[512];

    snprintf(path, sizeof path, "%s/exposed", e->dir);
    if (env_open(e->env, path, ENV_READ | ENV_WRITE | ENV_CREATE, &e->exposed_file) != 0) {
        e->exposed_file = NULL;
        diag_clear(); /* then the manifest alone knows */
    }
}

void
exposed_note(struct engine *e, scn_t scn)
{
    uint8_t buf[EXPOSED_BYTES];

    if (e->exposed_file == NULL)
        return;
    store_u32(buf, EXPOSED_MAGIC);
    store_u32(buf + 4, engine_incarnation(e));
    store_u64(buf + 8, scn);
    store_u32(buf + 16, crc32c(0, buf, 16));
    if (env_pwrite(e->exposed_file, buf, sizeof buf, 0) != 0)
        diag_clear();
}

static scn_t
file_read(struct engine *e)
{
    uint8_t buf[EXPOSED_BYTES];
    size_t got;

    if (e->exposed_file == NULL)
        return 0;
    if (env_pread(e->exposed_file, buf, sizeof buf, 0, &got) != 0) {
        diag_clear();
        return 0;
    }
    if (got < sizeof buf || load_u32(buf) != EXPOSED_MAGIC ||
        load_u32(buf + 16) != crc32c(0, buf, 16))
        return 0;
    return shown_here(e, load_u32(buf + 4), load_u64(buf + 8));
}

/* ---- the manifest ---------------------------------------------------------------------------- */

static const char EXPOSED_BLOB[] = "exposed scn";

scn_t
engine_exposed_scn(struct engine *e, scn_t tip)
{
    scn_t scn = lsm_horizon(e->lsm), noted = file_read(e);
    uint64_t sequence;
    struct reader r;
    struct writer w;

    wr_init(&w, 64);
    if (manifest_get_blob(lsm_manifest(e->lsm), EXPOSED_BLOB, &sequence, &w) == 0) {
        incarnation_t inc;
        scn_t shown;

        rd_init(&r, w.data, w.size);
        inc = rd_u32(&r);
        shown = shown_here(e, inc, rd_u64(&r));
        if (rd_ok(&r) && shown > scn)
            scn = shown;
    }
    wr_fini(&w);
    scn = noted > scn ? noted : scn;
    return scn < tip ? scn : tip;
}

bool
engine_known_durable(struct engine *e, struct redo_pos *out)
{
    uint64_t sequence;
    struct reader r;
    struct writer w;
    bool known = false;

    *out = (struct redo_pos){ 0 };
    wr_init(&w, 64);
    if (manifest_get_blob(lsm_manifest(e->lsm), EXPOSED_BLOB, &sequence, &w) == 0) {
        rd_init(&r, w.data, w.size);
        out->inc = rd_u32(&r);
        out->scn = rd_u64(&r);
        out->lsn.v = rd_u64(&r); /* older ones lack it */
        known = rd_ok(&r) && out->inc == engine_incarnation(e) && begun_has(e, out->inc);
    }
    wr_fini(&w);
    return known;
}

void
engine_store_exposed(struct engine *e)
{
    struct manifest *m = lsm_manifest(e->lsm);
    scn_t scn = engine_visible_scn(e);
    struct lsn durable = redo_durable(e->redo);
    uint64_t sequence = 0;
    struct writer w;

    if (scn == e->exposed_stored)
        return;
    wr_init(&w, 64);
    if (manifest_get_blob(m, EXPOSED_BLOB, &sequence, &w) != 0)
        sequence = 0;
    wr_reset(&w);
    wr_u32(&w, engine_incarnation(e));
    wr_u64(&w, scn);
    wr_u64(&w, durable.v);
    if (manifest_put_blob(m, EXPOSED_BLOB, sequence + 1, wr_view(&w)) == 0)
        e->exposed_stored = scn;
    else
        diag_clear(); /* disk full: readers after a restart may start a little earlier */
    wr_fini(&w);
}
