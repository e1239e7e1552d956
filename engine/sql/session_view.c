/* Virtual tables that SQL itself provides: pg_settings, pg_stat_activity, v$database,
 * v$dataguard_stats, v$incarnation.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/lsm/lsm.h"
#include "engine/sql/session_int.h"
#include "engine/types/datetime.h"

#define COLUMNS(array) .columns = (array), .column_count = sizeof(array) / sizeof *(array)

enum { VIEW_SETTINGS, VIEW_ACTIVITY, VIEW_DATABASE, VIEW_STATS, VIEW_INCARNATION, VIEW_COUNT };

struct session_views {
    struct sys_provider providers[VIEW_COUNT];
};

static struct datum
text(const char *s)
{
    return s != NULL ? datum_slice(slice_str(s)) : datum_null();
}

/* ---- pg_settings -------------------------------------------------------------------------------
 */

static const struct sys_column settings_columns[] = {
    { "name", TYPE_TEXT },       { "setting", TYPE_TEXT },         { "unit", TYPE_TEXT },
    { "category", TYPE_TEXT },   { "short_desc", TYPE_TEXT },      { "extra_desc", TYPE_TEXT },
    { "context", TYPE_TEXT },    { "vartype", TYPE_TEXT },         { "source", TYPE_TEXT },
    { "min_val", TYPE_TEXT },    { "max_val", TYPE_TEXT },         { "enumvals", TYPE_TEXT_ARRAY },
    { "boot_val", TYPE_TEXT },   { "reset_val", TYPE_TEXT },       { "sourcefile", TYPE_TEXT },
    { "sourceline", TYPE_INT4 }, { "pending_restart", TYPE_BOOL },
};

static const char *
number_text(struct arena *a, const struct setting *def, double v)
{
    bool has = def->type == SETTING_INT || def->type == SETTING_REAL;

    return has ? arena_printf(a, "%.15g", v) : NULL;
}

static int
setting_row(struct sys_virtual *v, struct sql_session *s, enum setting_id id)
{
    static const char *const types[] = { "bool", "integer", "real", "string", "enum" };
    const struct setting *def = setting_get(id);
    const char *value = s != NULL ? sess_setting_raw(s, id) : def->value;
    const char *reset = s != NULL ? settings_default(&s->settings, id) : def->value;
    const struct datum row[] = {
        text(def->name),
        text(value),
        text(def->unit),
        text(def->category),
        text(def->description),
        datum_null(),
        text((def->flags & SETTING_INTERNAL) != 0 ? "internal" : "user"),
        text(types[def->type]),
        text(strcmp(value, def->value) == 0 ? "default" : "session"),
        text(number_text(v->arena, def, def->min)),
        text(number_text(v->arena, def, def->max)),
        datum_null(),
        text(def->value),
        text(reset),
        datum_null(),
        datum_null(),
        datum_bool(false),
    };

    return v->fn(v->arg, row);
}

static int
settings_rows(void *arg, struct sys_virtual *v)
{
    int rc = 0;

    (void)arg;
    for (int i = 0; i < SETTING_COUNT && rc == 0; i++)
        rc = setting_row(v, v->session, (enum setting_id)i);
    return rc;
}

/* ---- pg_stat_activity --------------------------------------------------------------------------
 */

static const struct sys_column activity_columns[] = {
    { "datid", TYPE_OID },
    { "datname", TYPE_NAME },
    { "pid", TYPE_INT4 },
    { "leader_pid", TYPE_INT4 },
    { "usesysid", TYPE_OID },
    { "usename", TYPE_NAME },
    { "application_name", TYPE_TEXT },
    { "client_addr", TYPE_TEXT },
    { "client_hostname", TYPE_TEXT },
    { "client_port", TYPE_INT4 },
    { "backend_start", TYPE_TIMESTAMPTZ },
    { "xact_start", TYPE_TIMESTAMPTZ },
    { "query_start", TYPE_TIMESTAMPTZ },
    { "state_change", TYPE_TIMESTAMPTZ },
    { "wait_event_type", TYPE_TEXT },
    { "wait_event", TYPE_TEXT },
    { "state", TYPE_TEXT },
    { "query", TYPE_TEXT },
    { "backend_type", TYPE_TEXT },
};

static struct datum
moment(uint64_t unix_us)
{
    return unix_us == 0 ? datum_null() : datum_int(timestamp_from_unix_us(unix_us));
}

struct activity_walk {
    struct sys_virtual *v;
    const struct sql_session *viewer;
    int rc;
};

/* What others run is for superusers to see. */
static bool
activity_cb(void *arg, const struct sql_session_info *i)
{
    static const char *const states[] = { "idle", "active", "idle in transaction",
                                          "idle in transaction (aborted)" };
    struct activity_walk *w = arg;
    bool may = w->viewer != NULL && (w->viewer->is_superuser || w->viewer->role_oid == i->role_oid);
    const struct datum row[] = {
        datum_int(CAT_DATABASE),
        text(i->database),
        datum_int((int32_t)i->process_id),
        datum_null(),
        datum_int(i->role_oid),
        text(i->role),
        text(i->application_name),
        text(i->peer),
        datum_null(),
        datum_null(),
        moment(i->opened_us),
        moment(i->transaction_us),
        moment(i->query_us),
        moment(i->state_us),
        text(may && i->is_waiting ? "Lock" : NULL),
        text(may && i->is_waiting ? "transactionid" : NULL),
        text(may ? states[i->state] : NULL),
        text(may ? i->query : "<insufficient privilege>"),
        text("client backend"),
    };

    w->rc = w->v->fn(w->v->arg, row);
    return w->rc == 0;
}

static int
activity_rows(void *arg, struct sys_virtual *v)
{
    struct activity_walk w = { v, v->session, 0 };

    sql_engine_each_session(arg, activity_cb, &w);
    return w.rc;
}

/* ---- v$database --------------------------------------------------------------------------------
 */

static const struct sys_column database_columns[] = {
    { "name", TYPE_TEXT },
    { "dbid", TYPE_INT8 },
    { "role", TYPE_TEXT },
    { "open_mode", TYPE_TEXT },
    { "current_scn", TYPE_INT8 },
    { "incarnation", TYPE_INT8 },
    { "protection_mode", TYPE_TEXT },
    { "protection_level", TYPE_TEXT },
    { "primary_name", TYPE_TEXT },
};

static int
database_rows(void *arg, struct sys_virtual *v)
{
    struct sql_engine *q = arg;
    struct sql_node_database d = { .name = "" };
    struct datum row[sizeof database_columns / sizeof *database_columns];

    if (q->node.database != NULL)
        q->node.database(q->node.arg, &d);
    row[0] = d.name[0] != '\0' ? text(d.name) : datum_null();
    row[1] = datum_int((int64_t)engine_database_id(q->engine));
    row[2] = d.role[0] != '\0' ? text(d.role) : datum_null();
    row[3] = text(d.open_mode[0] != '\0'      ? d.open_mode
                  : engine_is_open(q->engine) ? "READ WRITE"
                                              : "READ ONLY");
    row[4] = datum_int((int64_t)engine_visible_scn(q->engine));
    row[5] = datum_int(engine_incarnation(q->engine));
    row[6] = d.protection_mode[0] != '\0' ? text(d.protection_mode) : datum_null();
    row[7] = d.protection_level[0] != '\0' ? text(d.protection_level) : datum_null();
    row[8] = d.primary_name[0] != '\0' ? text(d.primary_name) : datum_null();
    return v->fn(v->arg, row);
}

/* ---- v$dataguard_stats -------------------------------------------------------------------------
 */

static const struct sys_column stats_columns[] = {
    { "member", TYPE_TEXT },    { "name", TYPE_TEXT },    { "lag", TYPE_INTERVAL },
    { "lag_bytes", TYPE_INT8 }, { "age", TYPE_INTERVAL }, { "state", TYPE_TEXT },
};

static int
stats_rows(void *arg, struct sys_virtual *v)
{
    struct sql_engine *q = arg;
    struct sql_node_stat s;
    int rc = 0;

    for (int i = 0; rc == 0 && q->node.stat != NULL; i++) {
        struct datum row[sizeof stats_columns / sizeof *stats_columns];

        s = (struct sql_node_stat){ .age_us = 0 };
        if (!q->node.stat(q->node.arg, i, &s))
            break;
        row[0] = text(s.member);
        row[1] = text(s.name);
        row[2] = s.has_lag_us
                     ? interval_make(v->arena, (struct interval){ .us = (int64_t)s.lag_us })
                     : datum_null();
        row[3] = s.has_lag_bytes ? datum_int((int64_t)s.lag_bytes) : datum_null();
        row[4] = s.has_lag_us || s.has_lag_bytes
                     ? interval_make(v->arena, (struct interval){ .us = (int64_t)s.age_us })
                     : datum_null();
        row[5] = s.state[0] != '\0' ? text(s.state) : datum_null();
        rc = v->fn(v->arg, row);
    }
    return rc;
}

/* ---- v$incarnation -----------------------------------------------------------------------------
 */

static const struct sys_column incarnation_columns[] = {
    { "incarnation", TYPE_INT8 }, { "parent", TYPE_INT8 },   { "fork_scn", TYPE_INT8 },
    { "start_lsn", TYPE_INT8 },   { "reign_id", TYPE_TEXT }, { "status", TYPE_TEXT },
};

/* CURRENT is the branch that is followed, PARENT what it goes back through; the others are orphans.
 */
static const char *
status_of(const struct lineage *l, incarnation_t here, incarnation_t inc)
{
    struct lineage_step step = { here, SCN_MAX };

    if (inc == here)
        return "CURRENT";
    while (lineage_path_next(l, &step))
        if (step.inc == inc)
            return "PARENT";
    return "ORPHAN";
}

static int
incarnation_rows(void *arg, struct sys_virtual *v)
{
    struct sql_engine *q = arg;
    incarnation_t here = engine_incarnation(q->engine);
    struct lineage l;
    int rc = 0;

    lineage_init(&l);
    lsm_lineage(engine_lsm(q->engine), &l);
    for (uint32_t i = 0; i < l.count && rc == 0; i++) {
        const struct lineage_entry *e = &l.entries[i];
        const struct datum row[] = {
            datum_int(e->inc),
            datum_int(e->parent),
            datum_int((int64_t)e->fork_scn),
            datum_int((int64_t)e->start_lsn.v),
            text(arena_printf(v->arena, "%016llx", (unsigned long long)e->reign_id)),
            text(status_of(&l, here, e->inc)),
        };

        rc = v->fn(v->arg, row);
    }
    lineage_fini(&l);
    return rc;
}

/* ---- all of them -------------------------------------------------------------------------------
 */

struct session_views *
sess_views_new(struct sql_engine *q)
{
    const struct sys_provider made[VIEW_COUNT] = {
        [VIEW_SETTINGS] = { .table = { .oid = 13110,
                                       .name = "pg_settings",
                                       COLUMNS(settings_columns) },
                            .rows = settings_rows },
        [VIEW_ACTIVITY] = { .table = { .oid = 13111,
                                       .name = "pg_stat_activity",
                                       COLUMNS(activity_columns) },
                            .rows = activity_rows },
        [VIEW_DATABASE] = { .table = { .oid = 13112,
                                       .name = "v$database",
                                       COLUMNS(database_columns) },
                            .rows = database_rows },
        [VIEW_STATS] = { .table = { .oid = 13113,
                                    .name = "v$dataguard_stats",
                                    COLUMNS(stats_columns) },
                         .rows = stats_rows },
        [VIEW_INCARNATION] = { .table = { .oid = 13114,
                                          .name = "v$incarnation",
                                          COLUMNS(incarnation_columns) },
                               .rows = incarnation_rows },
    };
    struct session_views *v = xcalloc(1, sizeof *v);

    for (int i = 0; i < VIEW_COUNT; i++) {
        v->providers[i] = made[i];
        v->providers[i].arg = q;
        catalog_add_provider(q->catalog, &v->providers[i]);
    }
    return v;
}

/* The catalogue refers to them to its end, and ends after SQL: nothing is looked up by then. */
void
sess_views_free(struct session_views *v)
{
    xfree(v);
}
