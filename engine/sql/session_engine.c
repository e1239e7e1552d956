/* What all sessions share, and what a node asks of it.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "engine/sql/session_int.h"
#include "engine/types/datetime.h"

enum { PLAN_CACHE_BYTES = 32 << 20, MEMORY_BYTES = 256 << 20 };

static int
take_defaults(struct sql_engine *q, const struct sql_engine_options *o)
{
    struct arena a;
    int rc = 0;

    arena_init(&a, NULL);
    for (int i = 0; i < o->setting_count && rc == 0; i++) {
        const struct setting *s = setting_find(o->settings[i].name);
        const char *value;

        if (s == NULL || (s->flags & (SETTING_INTERNAL | SETTING_COMPUTED)) != 0) {
            rc = DIAG(ERR_CONFIG_FILE, "unrecognized configuration parameter \"%s\"",
                      o->settings[i].name);
        } else if (setting_check(s, &a, o->settings[i].value, &value) != 0) {
            struct diag why = *diag_last();

            rc = DIAG(ERR_CONFIG_FILE, "%s", why.message);
            if (why.hint[0] != '\0')
                diag_hint("%s", why.hint);
        } else {
            char *mine = xstrdup(value);

            xfree(q->own_defaults[setting_id_of(s)]);
            q->own_defaults[setting_id_of(s)] = mine;
            q->defaults[setting_id_of(s)] = mine;
        }
    }
    arena_fini(&a);
    return rc;
}

int
sql_engine_new(const struct sql_engine_options *o, struct sql_engine **out)
{
    struct sql_engine *q = xcalloc(1, sizeof *q);
    int rc;

    q->env = engine_env(o->engine);
    q->engine = o->engine;
    q->catalog = o->catalog;
    q->log = o->log;
    q->jobs = o->jobs;
    q->node = o->node;
    q->commits_in_turns = o->commits_in_turns;
    q->spill = o->spill;
    q->version = xstrdup(o->version != NULL ? o->version : "15.0 (Redoubt 0.1)");
    q->started = timestamp_from_unix_us(env_wall_us(q->env));
    q->port = (struct sql_port){ &sess_port_ops, q };
    list_init(&q->sessions);
    env_mutex_init(q->env, &q->mutex);
    arena_init(&q->zone_arena, NULL);
    budget_init(&q->memory, "query memory",
                o->memory_bytes != 0 ? o->memory_bytes : (size_t)MEMORY_BYTES, NULL);
    plan_cache_init(&q->plans, q->env,
                    o->plan_cache_bytes != 0 ? o->plan_cache_bytes : (size_t)PLAN_CACHE_BYTES);
    rc = take_defaults(q, o);
    if (rc != 0) {
        sql_engine_free(q);
        return rc;
    }
    q->views = sess_views_new(q);
    *out = q;
    return 0;
}

void
sql_engine_free(struct sql_engine *q)
{
    if (q == NULL)
        return;
    CHECK(list_empty(&q->sessions));
    sess_views_free(q->views);
    plan_cache_fini(&q->plans);
    arena_fini(&q->zone_arena);
    env_mutex_fini(&q->mutex);
    for (int i = 0; i < SETTING_COUNT; i++)
        xfree(q->own_defaults[i]);
    xfree(q->version);
    xfree(q);
}

const struct sql_port *
sql_engine_port(struct sql_engine *q)
{
    return &q->port;
}

void
sql_engine_role_changed(struct sql_engine *q)
{
    plan_cache_clear(&q->plans);
}

/* ---- looking at sessions -----------------------------------------------------------------------
 */

static int
copy_sessions(struct sql_engine *q, struct sql_session_info **out)
{
    struct sql_session_info *all;
    int count = 0;

    env_mutex_lock(&q->mutex);
    all = xcalloc((size_t)q->session_count + 1, sizeof *all);
    list_for_each (s, &q->sessions, struct sql_session, link) {
        env_mutex_lock(&s->activity.mutex);
        all[count] = s->activity.info;
        env_mutex_unlock(&s->activity.mutex);
        all[count++].is_waiting = txn_is_waiting(s->txn);
    }
    env_mutex_unlock(&q->mutex);
    *out = all;
    return count;
}

void
sql_engine_each_session(struct sql_engine *q,
                        bool (*fn)(void *arg, const struct sql_session_info *info), void *arg)
{
    struct sql_session_info *all;
    int count = copy_sessions(q, &all);

    for (int i = 0; i < count; i++)
        if (!fn(arg, &all[i]))
            break;
    xfree(all);
}

void
sql_engine_get_figures(struct sql_engine *q, struct sql_engine_figures *out)
{
    struct plan_cache_figures plans;

    env_mutex_lock(&q->mutex);
    *out = q->closed;
    out->sessions = q->session_count;
    list_for_each (s, &q->sessions, struct sql_session, link) {
        out->statements += atomic_load_explicit(&s->statement_total, memory_order_relaxed);
        out->commits += atomic_load_explicit(&s->commit_total, memory_order_relaxed);
        out->rollbacks += atomic_load_explicit(&s->rollback_total, memory_order_relaxed);
        out->rows_sent += atomic_load_explicit(&s->row_total, memory_order_relaxed);
    }
    env_mutex_unlock(&q->mutex);
    plan_cache_get_figures(&q->plans, &plans);
    out->plan_hits = plans.hits;
    out->plan_misses = plans.misses;
    out->plans_cached = plans.count;
    out->plan_bytes = plans.bytes;
}
