/* The horizon, restore points, holds, and giving up an orphan branch.
 *
 * HORIZON-1  The horizon is durable before a merge uses it, never falls, and never passes the tip,
 *            a pin, a hold, or the fork of a kept orphan (HORIZON-4).
 * HORIZON-2  Check and pin are one step: both under lsm.state, where the horizon is decided too.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "engine/lsm/lsm_int.h"

/* ---- the horizon ------------------------------------------------------------------------------
 */

scn_t
lsm_horizon(const struct lsm *l)
{
    return atomic_load(&l->horizon);
}

static void
lower(scn_t *limit, scn_t to)
{
    if (to < *limit)
        *limit = to;
}

/* What a moment on any branch allows: the part of it that is history of the branch followed. */
static scn_t
moment_limit(const struct lsm *l, struct moment at)
{
    scn_t part = lineage_part(&l->lineage, at.inc, atomic_load(&l->branch));

    return at.scn < part ? at.scn : part;
}

/* With lsm.state. */
static scn_t
limit_locked(struct lsm *l, scn_t limit)
{
    bool held = !lsm_is_broken(l, LSM_BREAK_HORIZON_1);
    bool forked = !lsm_is_broken(l, LSM_BREAK_HORIZON_4);

    for (size_t i = 0; held && i < l->pin_count; i++)
        lower(&limit, moment_limit(l, l->pins[i].at));
    for (const struct lsm_hold *h = l->holds.next; held && h != &l->holds; h = h->next)
        lower(&limit, moment_limit(l, h->at));
    for (size_t i = 0; forked && i < l->live_count; i++)
        lower(&limit, moment_limit(l, (struct moment){ l->live[i].inc, SCN_MAX }));
    return limit;
}

scn_t
lsm_horizon_limit(struct lsm *l, scn_t limit)
{
    lower(&limit, l->host.tip(l->host.arg));
    env_mutex_lock(&l->state);
    limit = limit_locked(l, limit);
    env_mutex_unlock(&l->state);
    return limit;
}

/* In memory first, so that nothing can be pinned below it while the edit is written; merges use the
 * durable one (lsm_scene_take). */
int
lsm_horizon_raise(struct lsm *l, scn_t wanted, scn_t limit)
{
    struct manifest_edit e;
    scn_t before;
    int rc = 0;

    lower(&limit, l->host.tip(l->host.arg));
    env_mutex_lock(&l->edit);
    env_mutex_lock(&l->state);
    before = atomic_load(&l->horizon);
    lower(&wanted, limit_locked(l, limit));
    if (wanted > before)
        atomic_store(&l->horizon, wanted);
    env_mutex_unlock(&l->state);
    if (wanted > before) {
        manifest_edit_init(&e);
        lsm_put_singleton(&e, MANIFEST_HORIZON, wanted);
        rc = manifest_commit(l->manifest, &e);
        manifest_edit_fini(&e);
        env_mutex_lock(&l->state);
        if (rc == 0)
            l->durable_horizon = wanted;
        env_mutex_unlock(&l->state);
    }
    env_mutex_unlock(&l->edit);
    return rc;
}

/* ---- restore points ---------------------------------------------------------------------------
 */

static struct lsm_pin *
pin_find(struct lsm *l, const char *name)
{
    for (size_t i = 0; i < l->pin_count; i++)
        if (strcmp(l->pins[i].name, name) == 0)
            return &l->pins[i];
    return NULL;
}

/* With lsm.edit. The pin counts from the moment it is in l->pins; it is answered when durable. */
MUST_CHECK
static int
pin_add_locked(struct lsm *l, const struct lsm_pin *pin, bool replay)
{
    scn_t tip = l->host.tip(l->host.arg);
    struct lsm_pin *there;
    int rc = 0;

    env_mutex_lock(&l->state);
    there = pin_find(l, pin->name);
    if (there != NULL && !replay)
        rc = DIAG(ERR_DUPLICATE_OBJECT, "restore point \"%s\" already exists", pin->name);
    else if (!lsm_holds_locked(l, pin->at.inc, pin->at.scn, tip))
        rc = DIAG(ERR_SNAPSHOT_TOO_OLD, "snapshot too old: SCN %llu of branch %u is not held",
                  (unsigned long long)pin->at.scn, pin->at.inc);
    else if (there != NULL)
        *there = *pin;
    else {
        l->pins = xrealloc(l->pins, (l->pin_count + 1) * sizeof *l->pins);
        l->pins[l->pin_count++] = *pin;
    }
    env_mutex_unlock(&l->state);
    return rc;
}

static bool
pin_forget(struct lsm *l, const char *name)
{
    struct lsm_pin *there;

    env_mutex_lock(&l->state);
    there = pin_find(l, name);
    if (there != NULL)
        *there = l->pins[--l->pin_count];
    env_mutex_unlock(&l->state);
    return there != NULL;
}

int
lsm_pin_put(struct lsm *l, const struct lsm_pin *pin, bool replay)
{
    struct manifest_edit e;
    int rc;

    if (pin->name[0] == '\0' || memchr(pin->name, '\0', sizeof pin->name) == NULL)
        return DIAG(ERR_INVALID_NAME, "a restore point needs a name of 1 to %d bytes",
                    LSM_PIN_NAME_MAX - 1);
    env_mutex_lock(&l->edit);
    rc = pin_add_locked(l, pin, replay);
    if (rc == 0) {
        manifest_edit_init(&e);
        lsm_put_pin(&e, pin);
        rc = manifest_commit(l->manifest, &e);
        manifest_edit_fini(&e);
        if (rc != 0)
            (void)pin_forget(l, pin->name);
    }
    env_mutex_unlock(&l->edit);
    return rc;
}

int
lsm_pin_drop(struct lsm *l, const char *name)
{
    struct manifest_edit e;
    bool there;
    int rc;

    env_mutex_lock(&l->edit);
    env_mutex_lock(&l->state);
    there = pin_find(l, name) != NULL;
    env_mutex_unlock(&l->state);
    if (!there) {
        rc = DIAG(ERR_UNDEFINED_OBJECT, "restore point \"%s\" does not exist", name);
    } else {
        manifest_edit_init(&e);
        manifest_remove(&e, MANIFEST_PIN, slice_str(name));
        rc = manifest_commit(l->manifest, &e);
        manifest_edit_fini(&e);
        if (rc == 0)
            (void)pin_forget(l, name);
    }
    env_mutex_unlock(&l->edit);
    return rc;
}

size_t
lsm_pins(struct lsm *l, struct lsm_pin *out, size_t max)
{
    size_t count;

    env_mutex_lock(&l->state);
    count = l->pin_count;
    for (size_t i = 0; i < count && i < max; i++)
        out[i] = l->pins[i];
    env_mutex_unlock(&l->state);
    return count;
}

/* ---- holds ------------------------------------------------------------------------------------
 */

int
lsm_hold(struct lsm *l, struct moment at, struct lsm_hold *hold)
{
    scn_t tip = l->host.tip(l->host.arg);
    bool held;

    env_mutex_lock(&l->state);
    held = lsm_holds_locked(l, at.inc, at.scn, tip);
    if (held) {
        hold->at = at;
        hold->prev = l->holds.prev;
        hold->next = &l->holds;
        l->holds.prev->next = hold;
        l->holds.prev = hold;
    }
    env_mutex_unlock(&l->state);
    return held ? 0
                : DIAG(ERR_SNAPSHOT_TOO_OLD,
                       "snapshot too old: SCN %llu of branch %u is not held any more",
                       (unsigned long long)at.scn, at.inc);
}

void
lsm_unhold(struct lsm *l, struct lsm_hold *hold)
{
    env_mutex_lock(&l->state);
    hold->prev->next = hold->next;
    hold->next->prev = hold->prev;
    hold->prev = hold->next = hold;
    env_mutex_unlock(&l->state);
}

/* ---- giving up an orphan ----------------------------------------------------------------------
 */

/* Whether only branch `b` still has the moment. With lsm.state. */
static bool
needs_branch(const struct lsm *l, incarnation_t b, struct moment at)
{
    for (size_t i = 0; i < l->live_count; i++)
        if (l->live[i].inc != b && at.scn <= lineage_part(&l->lineage, at.inc, l->live[i].inc))
            return false;
    return true;
}

/* With lsm.state. */
MUST_CHECK
static int
may_drop_locked(struct lsm *l, incarnation_t inc)
{
    bool kept = false;

    if (inc == atomic_load(&l->branch))
        return DIAG(ERR_OBJECT_IN_USE, "branch %u is the one followed", inc);
    for (size_t i = 0; i < l->live_count; i++)
        kept |= l->live[i].inc == inc;
    if (!kept)
        return DIAG(ERR_UNDEFINED_OBJECT, "there is no branch %u", inc);
    for (size_t i = 0; i < l->pin_count; i++)
        if (needs_branch(l, inc, l->pins[i].at))
            return DIAG(ERR_OBJECT_IN_USE, "branch %u holds restore point \"%s\"", inc,
                        l->pins[i].name);
    for (const struct lsm_hold *h = l->holds.next; h != &l->holds; h = h->next)
        if (needs_branch(l, inc, h->at))
            return DIAG(ERR_OBJECT_IN_USE, "a query or a backup reads branch %u", inc);
    return 0;
}

static void
live_remove_locked(struct lsm *l, incarnation_t inc)
{
    size_t kept = 0;

    for (size_t i = 0; i < l->live_count; i++)
        if (l->live[i].inc != inc)
            l->live[kept++] = l->live[i];
    l->live_count = kept;
}

static void
live_put_back_locked(struct lsm *l, struct lsm_live x)
{
    size_t at = l->live_count++;

    while (at > 0 && l->live[at - 1].inc > x.inc) {
        l->live[at] = l->live[at - 1];
        at--;
    }
    l->live[at] = x;
}

int
lsm_branch_drop(struct lsm *l, incarnation_t inc)
{
    struct lsm_live gone = { 0 };
    struct manifest_edit e;
    int rc;

    env_mutex_lock(&l->edit);
    env_mutex_lock(&l->state);
    rc = may_drop_locked(l, inc);
    if (rc == 0) {
        for (size_t i = 0; i < l->live_count; i++)
            if (l->live[i].inc == inc)
                gone = l->live[i];
        live_remove_locked(l, inc); /* first: no hold may come while the edit is written */
    }
    env_mutex_unlock(&l->state);
    if (rc == 0) {
        manifest_edit_init(&e);
        lsm_remove_branch(&e, inc);
        rc = manifest_commit(l->manifest, &e);
        manifest_edit_fini(&e);
        if (rc != 0) {
            env_mutex_lock(&l->state);
            live_put_back_locked(l, gone);
            env_mutex_unlock(&l->state);
        }
    }
    env_mutex_unlock(&l->edit);
    return rc;
}
