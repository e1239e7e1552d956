/* Which incarnations have begun to write redo here, in a blob of the manifest: u32 each.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/txn/engine_int.h"

static const char BEGUN_BLOB[] = "redo begun";

bool
begun_has(struct engine *e, incarnation_t inc)
{
    uint64_t sequence;
    struct reader r;
    struct writer w;
    bool found = false;

    wr_init(&w, 0);
    if (manifest_get_blob(lsm_manifest(e->lsm), BEGUN_BLOB, &sequence, &w) == 0) {
        rd_init(&r, w.data, w.size);
        while (!found && rd_left(&r) >= 4)
            found = rd_u32(&r) == inc;
    }
    wr_fini(&w);
    return found;
}

/* Those whose redo is needed no more are left out on the occasion. */
int
begun_note(struct engine *e, incarnation_t inc)
{
    struct manifest *m = lsm_manifest(e->lsm);
    uint64_t sequence = 0;
    struct writer old, new;
    struct reader r;
    struct lsn from;
    int rc;

    wr_init(&old, 0);
    wr_init(&new, 0);
    if (manifest_get_blob(m, BEGUN_BLOB, &sequence, &old) != 0)
        sequence = 0;
    rd_init(&r, old.data, old.size);
    while (rd_left(&r) >= 4) {
        incarnation_t known = rd_u32(&r);

        if (known != inc && lsm_redo_needed(e->lsm, known, &from))
            wr_u32(&new, known);
    }
    wr_u32(&new, inc);
    rc = manifest_put_blob(m, BEGUN_BLOB, sequence + 1, wr_view(&new));
    wr_fini(&old);
    wr_fini(&new);
    return rc;
}
