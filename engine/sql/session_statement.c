/* One statement: its table locks, its snapshot, its view of the catalogue, and what the client's
 * answer must wait for.
 *
 * SESS-1: table locks come before the snapshot, and the snapshot has every change of the catalogue
 * that was committed before the locks were granted: a statement that writes never works with a
 * description that misses an index or a constraint.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "engine/sql/session_int.h"
#include "engine/types/datetime.h"

/* ---- locks ----------------------------------------------------------------------------------- */

/* A mode that conflicts with at least what the other does. The modes are numbered so that it holds
 * for those that statements take; SHARE and SHARE UPDATE EXCLUSIVE are the exception. */
static bool
mode_covers(int have, int want)
{
    if (have == TABLE_SHARE && want == TABLE_SHARE_UPDATE_EXCLUSIVE)
        return false;
    if (have == TABLE_SHARE && want == TABLE_ROW_EXCLUSIVE)
        return false;
    return have >= want;
}

bool
sess_has_lock(const struct sql_session *s, uint32_t oid, int mode)
{
    for (int i = s->lock_count; i-- > 0;)
        if (s->locks[i].oid == oid && mode_covers(s->locks[i].mode, mode))
            return true;
    return false;
}

int
sess_lock(struct sql_session *s, uint32_t oid, int mode, enum lock_wait wait)
{
    int rc;

    if (sess_has_lock(s, oid, mode))
        return 0;
    rc = txn_lock_table(s->txn, oid, (enum table_lock)mode, wait);
    if (rc != 0)
        return rc;
    if (s->lock_count == s->lock_cap) {
        s->lock_cap = s->lock_cap == 0 ? 8 : 2 * s->lock_cap;
        s->locks = xrealloc(s->locks, (size_t)s->lock_cap * sizeof *s->locks);
    }
    s->locks[s->lock_count++] = (struct held_lock){ oid, (uint8_t)mode };
    return 0;
}

/* ---- snapshot -------------------------------------------------------------------------------- */

/* standby_max_data_delay: better no answer than one that is too old. */
static int
check_delay(struct sql_session *s)
{
    const struct sql_node *node = &s->q->node;
    uint64_t us;
    int rc;

    if (s->max_delay_ms < 0 || engine_is_open(s->q->engine) || node->delay_us == NULL)
        return 0;
    us = node->delay_us(node->arg);
    if (us <= (uint64_t)s->max_delay_ms * 1000)
        return 0;
    rc = DIAG(ERR_OBJECT_NOT_READY, "standby_max_data_delay of %lld ms is exceeded",
              (long long)s->max_delay_ms);
    if (us == UINT64_MAX)
        diag_detail("How far this standby is behind is not known: it hears of no primary.");
    else
        diag_detail("This standby is up to %llu ms behind.", (unsigned long long)us / 1000);
    diag_hint("Ask another node, or the primary.");
    return rc;
}

/* What a role may do follows the catalogue of now, whatever the snapshot: one that is no superuser
 * any more, or that is gone, has lost its powers with the next statement. */
static int
refresh_role(struct sql_session *s)
{
    struct engine *e = s->q->engine;
    struct read_moment now = { 0, engine_visible_scn(e) };
    uint64_t known[2] = { engine_incarnation(e), engine_catalog_change(e, now.scn) };
    bool own = txn_wrote_catalog(s->txn);
    struct cat_role role;
    int rc;

    if (!own && s->role_known[0] == known[0] && s->role_known[1] == known[1])
        return 0;
    rc = cat_role_by_oid(s->q->catalog, s->txn, s->role_oid, own ? NULL : &now, &role);
    if (rc != 0 && rc != ERR_NOT_FOUND)
        return rc;
    s->is_superuser = rc == 0 && role.is_superuser;
    s->can_create_role = rc == 0 && role.create_role;
    s->role_known[0] = own ? 0 : known[0];
    s->role_known[1] = known[1];
    return 0;
}

int
sess_statement_begin(struct sql_session *s)
{
    int rc = check_delay(s);

    if (rc == 0 && s->running != NULL)
        rc = sess_portal_park(s);
    if (rc == 0)
        rc = txn_statement_begin(s->txn);
    if (rc != 0)
        return rc;
    s->statement_depth++;
    s->tx_queried = true;
    rc = refresh_role(s);
    if (rc != 0)
        sess_statement_end(s);
    return rc;
}

int
sess_wait_visible(struct sql_session *s, scn_t scn)
{
    int rc = engine_wait_visible(s->q->engine, scn, UINT64_MAX);

    return rc == ERR_STOPPED ? DIAG(ERR_SHUTDOWN, "terminating connection because this node is no "
                                                  "longer primary")
                             : rc;
}

int
sess_statement_begin_locked(struct sql_session *s)
{
    struct engine *e = s->q->engine;

    for (;;) {
        scn_t change = engine_catalog_change(e, engine_newest_scn(e));
        int rc = sess_statement_begin(s);

        if (rc != 0 || txn_snapshot_scn(s->txn) >= change || s->isolation == TXN_REPEATABLE_READ)
            return rc;
        sess_statement_end(s);
        rc = sess_wait_visible(s, change);
        if (rc != 0)
            return rc;
    }
}

void
sess_statement_end(struct sql_session *s)
{
    CHECK(s->statement_depth > 0);
    if (--s->statement_depth == 0) {
        catalog_release(s->set);
        s->set = NULL;
    }
    txn_statement_end(s->txn);
}

int
sess_set(struct sql_session *s, struct cat_set **out)
{
    int rc = 0;

    if (s->set == NULL)
        rc = catalog_acquire(s->q->catalog, s->txn, NULL, &s->set);
    *out = s->set;
    return rc;
}

void
sess_set_renew(struct sql_session *s)
{
    txn_command_done(s->txn);
    catalog_release(s->set);
    s->set = NULL;
}

/* ---- what must be visible -------------------------------------------------------------------- */

void
sess_require_moment(struct sql_session *s, incarnation_t inc, scn_t scn)
{
    if (scn == 0 || (s->required.inc == inc && s->required.scn >= scn))
        return;
    s->required = (struct moment){ inc, scn };
    s->client->ops->require(s->client, s->required);
}

/* SESS-2: nobody is shown what a crash or a failover could take back. */
void
sess_require(struct sql_session *s)
{
    scn_t scn = txn_must_be_visible(s->txn);

    if (scn > engine_visible_scn(s->q->engine))
        sess_require_moment(s, s->tx_inc, scn);
}

/* "UPDATE 1" within a block says little and binds nobody: the block's end waits for all that it
 * rests on. So rows that everybody writes are handed on at the pace of the log, not of the
 * standbys. */
void
sess_require_run(struct sql_session *s, const struct plan *plan, int rc)
{
    if (rc == 0 && s->tx == TX_BLOCK && plan->writes && plan->result_count == 0)
        return;
    sess_require(s);
}

/* ---- the context of a run ---------------------------------------------------------------------
 */

/* An operator's share: work_mem, and of all query memory no more than lets a few work at once. */
static size_t
work_bytes(const struct sql_session *s)
{
    size_t most = s->q->memory.limit / 4;

    return s->work_bytes < most ? s->work_bytes : most;
}

struct exec_ctx *
sess_ctx(struct sql_session *s, struct cat_set *set, const struct datum *params,
         int32_t param_count)
{
    arena_reset(&s->scratch);
    s->ctx = (struct exec_ctx){
        .engine = s->q->engine,
        .catalog = s->q->catalog,
        .set = set,
        .txn = s->txn,
        .types = &s->types,
        .funcs = &func_set_session,
        .params = params,
        .param_count = param_count,
        .memory = &s->memory,
        .work_bytes = work_bytes(s),
        .spill = s->q->spill,
        .canceled = &s->client->canceled,
        .scratch = &s->scratch,
        .session = s,
    };
    return &s->ctx;
}

/* ---- activity -------------------------------------------------------------------------------- */

void
sess_activity_begin(struct sql_session *s, struct slice text)
{
    struct sql_session_info *i = &s->activity.info;
    size_t size = text.size < sizeof i->query ? text.size : sizeof i->query - 1;
    uint64_t now = env_wall_us(s->q->env);

    s->statement_time = timestamp_from_unix_us(now);
    env_mutex_lock(&s->activity.mutex);
    if (size > 0)
        memcpy(i->query, text.data, size);
    i->query[size] = '\0';
    i->state = SQL_ACTIVE;
    i->query_us = i->state_us = now;
    if (s->tx == TX_NONE)
        i->transaction_us = now;
    env_mutex_unlock(&s->activity.mutex);
    atomic_store_explicit(&s->statement_total, s->statement_total + 1, memory_order_relaxed);
}

void
sess_activity_end(struct sql_session *s)
{
    static const enum sql_session_state states[] = {
        [TX_NONE] = SQL_IDLE,
        [TX_IMPLICIT] = SQL_IDLE_IN_TRANSACTION,
        [TX_BLOCK] = SQL_IDLE_IN_TRANSACTION,
        [TX_FAILED] = SQL_IDLE_IN_FAILED,
    };
    struct sql_session_info *i = &s->activity.info;

    env_mutex_lock(&s->activity.mutex);
    i->state = states[s->tx];
    if (s->tx == TX_NONE)
        i->transaction_us = 0;
    env_mutex_unlock(&s->activity.mutex);
}
