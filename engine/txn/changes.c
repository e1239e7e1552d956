/* Which commits changed the catalogue: what plan and description caches are keyed by.
 *
 * A commit counts if its transaction wrote to one of the reserved trees. The numbers are in memory
 * only: before the base nothing is known, and a snapshot from there shares with nobody.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/base/mem.h"
#include "engine/txn/engine_int.h"

void
changes_init(struct catalog_changes *c, struct env *env)
{
    env_mutex_init(env, &c->mutex);
}

void
changes_fini(struct catalog_changes *c)
{
    xfree(c->writers);
    env_mutex_fini(&c->mutex);
}

void
changes_reset(struct catalog_changes *c, scn_t base)
{
    env_mutex_lock(&c->mutex);
    c->count = c->first = 0;
    c->writer_count = 0;
    c->base = base;
    env_mutex_unlock(&c->mutex);
}

static scn_t *
changes_at(struct catalog_changes *c, uint32_t i)
{
    return &c->scn[(c->first + i) % CHANGES_MAX];
}

/* Neighbours in the log may be noted the other way round. */
static void
changes_add_locked(struct catalog_changes *c, scn_t scn)
{
    uint32_t at;

    if (c->count == CHANGES_MAX) {
        c->base = c->scn[c->first];
        c->first = (c->first + 1) % CHANGES_MAX;
        c->count--;
    }
    if (scn <= c->base)
        return;
    for (at = c->count; at > 0 && *changes_at(c, at - 1) > scn; at--)
        *changes_at(c, at) = *changes_at(c, at - 1);
    *changes_at(c, at) = scn;
    c->count++;
}

void
changes_note(struct catalog_changes *c, scn_t scn)
{
    env_mutex_lock(&c->mutex);
    changes_add_locked(c, scn);
    env_mutex_unlock(&c->mutex);
}

void
changes_writer(struct catalog_changes *c, txid_t txid)
{
    uint32_t i = 0;

    env_mutex_lock(&c->mutex);
    while (i < c->writer_count && c->writers[i] != txid)
        i++;
    if (i == c->writer_count) {
        if (c->writer_count == c->writer_cap) {
            c->writer_cap = c->writer_cap != 0 ? 2 * c->writer_cap : 16;
            c->writers = xrealloc(c->writers, c->writer_cap * sizeof *c->writers);
        }
        c->writers[c->writer_count++] = txid;
    }
    env_mutex_unlock(&c->mutex);
}

/* The txid has ended; with an SCN it committed. Only the first of a commit's txids is noted. */
void
changes_writer_ended(struct catalog_changes *c, txid_t txid, scn_t scn)
{
    env_mutex_lock(&c->mutex);
    for (uint32_t i = 0; i < c->writer_count; i++) {
        scn_t last = c->count > 0 ? c->scn[(c->first + c->count - 1) % CHANGES_MAX] : 0;

        if (c->writers[i] != txid)
            continue;
        c->writers[i] = c->writers[--c->writer_count];
        if (scn > last)
            changes_add_locked(c, scn);
        break;
    }
    env_mutex_unlock(&c->mutex);
}

scn_t
engine_catalog_change(struct engine *e, scn_t snapshot)
{
    struct catalog_changes *c = &e->changes;
    scn_t found;

    env_mutex_lock(&c->mutex);
    found = snapshot < c->base ? snapshot : c->base;
    for (uint32_t i = c->count; i-- > 0;) {
        scn_t scn = c->scn[(c->first + i) % CHANGES_MAX];

        if (scn <= snapshot) {
            found = scn;
            break;
        }
    }
    env_mutex_unlock(&c->mutex);
    return found;
}

bool
txn_wrote_catalog(const struct txn *t)
{
    return t->wrote_catalog;
}
