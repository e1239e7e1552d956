/* Retention: how far back history is wanted, and a round of raising the horizon, expiring and
 * merging undo.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/base/env.h"
#include "engine/base/mem.h"
#include "engine/undo/undo.h"

struct undo {
    struct lsm *lsm;
    struct undo_policy_host host;
    struct env_mutex lock;
    struct undo_retention retention; /* with lock */
    scn_t wanted;                    /* with lock */
};

struct undo *
undo_new(struct lsm *lsm, const struct undo_policy_host *host,
         const struct undo_retention *retention)
{
    struct undo *u = xcalloc(1, sizeof *u);

    u->lsm = lsm;
    u->host = *host;
    u->retention = *retention;
    env_mutex_init(lsm_env(lsm), &u->lock);
    return u;
}

void
undo_free(struct undo *u)
{
    if (u == NULL)
        return;
    env_mutex_fini(&u->lock);
    xfree(u);
}

void
undo_set_retention(struct undo *u, const struct undo_retention *retention)
{
    env_mutex_lock(&u->lock);
    u->retention = *retention;
    env_mutex_unlock(&u->lock);
}

void
undo_get_retention(struct undo *u, struct undo_retention *out)
{
    env_mutex_lock(&u->lock);
    *out = u->retention;
    env_mutex_unlock(&u->lock);
}

scn_t
undo_wanted(struct undo *u)
{
    scn_t wanted;

    env_mutex_lock(&u->lock);
    wanted = u->wanted;
    env_mutex_unlock(&u->lock);
    return wanted;
}

/* By time: the newest moment that is old enough. */
static scn_t
wanted_by_time(const struct undo *u, const struct undo_retention *r)
{
    uint64_t now = u->host.now_us(u->host.arg);

    if (r->time_us == 0)
        return SCN_MAX;
    return now <= r->time_us ? 0 : u->host.scn_at_time(u->host.arg, now - r->time_us);
}

/* By size: undo is spread over the SCNs since the horizon about evenly, so the share that is too
 * much is given up from the old end. The next round sees what that has brought. */
static scn_t
wanted_by_size(const struct undo *u, const struct undo_retention *r, scn_t newest)
{
    struct lsm_figures f;
    scn_t horizon = lsm_horizon(u->lsm);

    lsm_get_figures(u->lsm, &f);
    if (r->bytes_max == 0 || f.undo_bytes <= r->bytes_max || newest <= horizon)
        return 0;
    return horizon +
           (scn_t)((double)(newest - horizon) *
                   ((double)(f.undo_bytes - r->bytes_max) / (double)f.undo_bytes)) +
           1;
}

MUST_CHECK
static int
raise_to(struct undo *u, scn_t wanted, scn_t limit)
{
    scn_t before = lsm_horizon(u->lsm);
    int rc;

    if (wanted <= before)
        return 0;
    rc = lsm_horizon_raise(u->lsm, wanted, limit);
    if (rc == 0 && lsm_horizon(u->lsm) > before && u->host.moved != NULL)
        u->host.moved(u->host.arg, lsm_horizon(u->lsm));
    return rc;
}

int
undo_step(struct undo *u)
{
    struct undo_retention r;
    scn_t limit = u->host.limit(u->host.arg), wanted, by_size;
    int rc;

    undo_get_retention(u, &r);
    wanted = wanted_by_time(u, &r);
    by_size = wanted_by_size(u, &r, limit);
    if (by_size > wanted && !r.guarantee)
        wanted = by_size;
    env_mutex_lock(&u->lock);
    u->wanted = wanted;
    env_mutex_unlock(&u->lock);
    rc = raise_to(u, wanted, limit);
    if (rc == 0)
        rc = lsm_expire(u->lsm);
    if (rc == 0)
        rc = lsm_trees_sweep(u->lsm);
    if (rc == 0)
        rc = lsm_merge_undo(u->lsm);
    return rc;
}

/* HORIZON-3: what the primary has given up, nobody can be asked to go back to; but what is pinned
 * here stays. */
int
undo_follow_horizon(struct undo *u, scn_t horizon)
{
    return raise_to(u, horizon, SCN_MAX);
}
