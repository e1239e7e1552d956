/* What the files of a session share. Reading order: session.c (the port), session_tx.c
 * (transactions), session_statement.c (one statement's snapshot, locks, what must be visible),
 * session_plan.c (plans), session_query.c (simple queries), session_prepared.c, session_portal.c
 * (the extended protocol), session_utility.c (all else), session_setting.c, session_types.c.
 *
 * Functions that may park are those that read, write or commit: nearly all that return int.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_SQL_SESSION_INT_H
#define ENGINE_SQL_SESSION_INT_H

#include "engine/base/env.h"
#include "engine/base/list.h"
#include "engine/catalog/catalog.h"
#include "engine/catalog/systable.h"
#include "engine/sql/binder_catalog.h"
#include "engine/sql/exec.h"
#include "engine/sql/parse.h"
#include "engine/sql/plan_cache.h"
#include "engine/sql/session.h"
#include "engine/sql/setting.h"
#include "engine/types/func.h"

extern const struct func_set func_set_session; /* func_session.c: on top of func_set_builtin */

struct session_views;

struct sql_engine {
    struct env *env; /* read-only after sql_engine_new, to `zones` */
    struct engine *engine;
    struct catalog *catalog;
    struct log *log;
    struct job_pool *jobs;
    bool commits_in_turns;
    struct spill_space *spill; /* the caller's; NULL: operators do not spill */
    char *version;
    const char *defaults[SETTING_COUNT]; /* NULL: the built-in one */
    char *own_defaults[SETTING_COUNT];   /* what of them is to be freed */
    struct sql_node node;
    struct sql_port port;
    struct session_views *views;
    int64_t started; /* timestamptz */
    struct budget memory;
    struct plan_cache plans;

    struct env_mutex mutex;
    struct list sessions;             /* of struct sql_session.link; mutex */
    int session_count;                /* mutex */
    struct sql_engine_figures closed; /* of sessions that are no more; mutex */
    struct zone_entry *zones;         /* never freed before the engine; mutex */
    struct arena zone_arena;          /* mutex */
    int zone_count;                   /* mutex */
};

/* ---- a session ------------------------------------------------------------------------------- */

enum session_tx { TX_NONE, TX_IMPLICIT, TX_BLOCK, TX_FAILED };

/* What others may look at: pg_stat_activity. All of it under its mutex. */
struct session_activity {
    struct env_mutex mutex;
    struct sql_session_info info;
};

struct held_lock {
    uint32_t oid;
    uint8_t mode; /* enum table_lock */
};

struct statement;
struct portal;
enum { STATEMENT_BUCKETS = 16 };

/* Catalogues of moments that a plan in the making has descriptions from. */
enum { SESS_PAST_MAX = 16 };
struct sess_past {
    int count;
    struct cat_set *sets[SESS_PAST_MAX];
};

struct sql_session {
    struct sess_past *past; /* while a plan is made */
    struct list link;       /* sql_engine.sessions */
    struct sql_engine *q;
    struct sql_client *client;
    struct session_activity activity;
    _Atomic uint64_t statement_total, commit_total, rollback_total,
        row_total; /* written by the owner */

    /* who */
    oid_t role_oid, session_role_oid;
    bool is_superuser, can_create_role; /* as the last statement found it */
    uint64_t role_known[2]; /* incarnation and change of the catalogue that they are of */
    char role[64], session_role[64], database[64], peer[64];
    oid_t database_oid;

    /* the transaction */
    struct txn *txn;
    enum session_tx tx;
    bool tx_several;      /* implicit, of several statements of one simple query */
    bool tx_read_only;    /* of the transaction at hand */
    bool tx_queried;      /* it has had a statement with a snapshot */
    incarnation_t tx_inc; /* where it began */
    enum txn_isolation isolation;
    int64_t tx_time, statement_time; /* timestamptz */
    struct moment required; /* the newest that the client's answers were made to wait for */
    int savepoint_count, savepoint_cap;
    char (*savepoints)[64]; /* names; number n of the engine is entry n - 1 */
    int lock_count, lock_cap;
    struct held_lock *locks; /* table locks held */

    /* the statement */
    int statement_depth;
    struct cat_set *set;  /* of the present statement, or NULL: not asked for yet */
    struct arena message; /* emptied at each simple query, parse, utility statement */
    struct arena scratch; /* emptied before each execution */
    struct budget memory;
    size_t work_bytes;    /* work_mem */
    int64_t max_delay_ms; /* standby_max_data_delay; -1: none */
    struct exec_ctx ctx;

    /* prepared statements and portals */
    struct statement *statements[STATEMENT_BUCKETS];
    struct statement *unnamed;
    struct list portals;           /* of struct portal.link, the unnamed one too while it is open */
    struct portal *unnamed_portal; /* made once; reused */
    struct portal *running;        /* suspended, with its statement open; at most one */

    /* settings and what is derived from them */
    struct settings settings;
    struct type_env types;
    struct arena path_arena;
    const char **path; /* search_path, unquoted; "$user" replaced */
    int path_count;
    const char *path_key; /* all of it as one string, for plans' keys */
    bool path_has_catalog;
    enum txn_isolation default_isolation;
    bool default_read_only;
    int8_t least_message; /* enum sql_severity: what is beyond is not sent; -1: nothing is */
    uint64_t random_state[2];
    struct sequence_value *sequences; /* currval, lastval */
    oid_t last_sequence;
    uint32_t *new_sequences; /* made by the transaction at hand */
    int new_sequence_count, new_sequence_cap;
};

/* Where a statement's rows go, and how. */
struct dest {
    bool describe; /* a simple query: RowDescription comes first */
    const int16_t *formats;
    int format_count;
};
enum { TAG_MAX = 64 };

/* ---- session_tx.c ---------------------------------------------------------------------------- */

/* Opens an implicit transaction if none is open. 25P02 in a failed one. */
MUST_CHECK
int sess_tx_need(struct sql_session *s);
/* BEGIN and its kin. `tag`: the statement's command tag. */
MUST_CHECK
int sess_tx_run(struct sql_session *s, const struct ast_transaction *a, char tag[TAG_MAX]);
/* Ends an implicit transaction, if one is open. */
MUST_CHECK
int sess_tx_end_implicit(struct sql_session *s);
/* A statement has failed. The diag stays. */
void sess_tx_fail(struct sql_session *s);
/* Rolls back whatever is open. */
void sess_tx_abort(struct sql_session *s);
/* ERR_ACTIVE_TRANSACTION `VACUUM cannot run inside a transaction block`. */
MUST_CHECK
int sess_tx_refuse_block(struct sql_session *s, const char *what);
/* ERR_NO_ACTIVE_TRANSACTION `LOCK TABLE can only be used in transaction blocks`. */
MUST_CHECK
int sess_tx_want_block(struct sql_session *s, const char *what);
MUST_CHECK
int sess_tx_want_write(struct sql_session *s, const char *what);
/* ERR_NOT_SUPPORTED for SERIALIZABLE. */
MUST_CHECK
int sess_isolation_parse(const char *canonical, enum txn_isolation *out);
const char *sess_isolation_name(enum txn_isolation i);
MUST_CHECK
int sess_tx_set_isolation(struct sql_session *s, enum ast_isolation isolation);
MUST_CHECK
int sess_tx_set_read_only(struct sql_session *s, bool read_only);

/* ---- session_statement.c --------------------------------------------------------------------- */

/* A snapshot for a statement; a portal that is suspended is read to its end first. */
MUST_CHECK
int sess_statement_begin(struct sql_session *s);
void sess_statement_end(struct sql_session *s);
/* The catalogue as the statement sees it; lives until the statement ends or sess_set_renew. */
MUST_CHECK
int sess_set(struct sql_session *s, struct cat_set **out);
/* After a change of the catalogue: what was changed is seen from here on. */
void sess_set_renew(struct sql_session *s);
/* Locks a table for the rest of the transaction, if it is not so locked yet. No statement may be
 * open. *waited_for: the catalogue's newest change; the statement's snapshot must have it. */
MUST_CHECK
int sess_lock(struct sql_session *s, uint32_t oid, int mode, enum lock_wait wait);
bool sess_has_lock(const struct sql_session *s, uint32_t oid, int mode);
/* Begins a statement whose snapshot has every change of the catalogue that the locks just taken
 * waited for. */
MUST_CHECK
int sess_statement_begin_locked(struct sql_session *s);
/* Until that is visible; ERR_SHUTDOWN when the node is primary no more. Parks. */
MUST_CHECK
int sess_wait_visible(struct sql_session *s, scn_t scn);
/* The answer waits for what the transaction has read beyond its snapshot. */
void sess_require(struct sql_session *s);
/* After a run of that plan that ended with rc: as above, but for a write within a block that
 * returns no rows. */
void sess_require_run(struct sql_session *s, const struct plan *plan, int rc);
void sess_require_moment(struct sql_session *s, incarnation_t inc, scn_t scn);
/* The context of a run, in s->ctx; the scratch arena is empty. */
struct exec_ctx *sess_ctx(struct sql_session *s, struct cat_set *set, const struct datum *params,
                          int32_t param_count);
/* What pg_stat_activity shows. */
void sess_activity_begin(struct sql_session *s, struct slice text);
void sess_activity_end(struct sql_session *s);

/* ---- names: session_name.c ------------------------------------------------------------------- */

/* *out NULL when there is none. */
MUST_CHECK
int sess_find_table(struct sql_session *s, const char *schema, const char *name,
                    const struct cat_table **out, bool *schema_exists);
/* The same of a name in a statement, with PostgreSQL's errors. */
MUST_CHECK
int sess_need_table(struct sql_session *s, const struct ast_relation *r,
                    const struct cat_table **out);
MUST_CHECK
int sess_table_by_oid(struct sql_session *s, oid_t oid, const struct cat_table **out);
/* Where a new object of that name goes. */
MUST_CHECK
int sess_creation_schema(struct sql_session *s, const struct ast_relation *r, oid_t *oid,
                         const char **name);
/* Whether the unqualified name finds this object. */
MUST_CHECK
int sess_is_visible(struct sql_session *s, oid_t schema, const char *name, oid_t oid, bool *yes);
/* ERR_PRIVILEGE. There are no grants: a table is its owner's and the superusers'; the catalogue but
 * for passwords is everybody's to read. */
MUST_CHECK
int sess_want_owner(struct sql_session *s, const struct cat_table *t);
MUST_CHECK
int sess_want_read(struct sql_session *s, const struct cat_table *t);
struct binder_catalog sess_binder_catalog(struct sql_session *s);
/* "name" or schema.name, quoted where needed. */
const char *sess_display_name(struct sql_session *s, struct arena *a, const struct cat_table *t);

/* ---- session_query.c, session.c ----------------------------------------------------------------
 */

MUST_CHECK
int sess_simple_query(struct sql_session *s, struct slice text);
MUST_CHECK
int sess_describe_statement(struct sql_session *s, struct statement *st);
extern const struct sql_port_ops sess_port_ops;

/* ---- session_plan.c -------------------------------------------------------------------------- */

/* What a plan is made of. */
struct plan_source {
    struct slice text;               /* what `tree` was parsed from: places of errors are in it */
    struct slice own;                /* this statement's own part of it; {NULL, 0}: all of it */
    const struct ast *tree;          /* NULL: parsed when it is needed */
    const struct sql_normal *normal; /* with literals lifted out, or NULL */
    int32_t type_count;
    const uint32_t *types;
    bool is_inner; /* the query within another statement: its plan is not shared */
};
/* Opens a statement and gives a plan that is right for it: *plan, if it still is, or another in its
 * place (*plan's reference goes with it). Table locks are taken. On an error no statement is open;
 * *plan is the caller's as before, and may be NULL. */
MUST_CHECK
int sess_plan_open(struct sql_session *s, const struct plan_source *source,
                   struct shared_plan **plan);
/* The plan if it is in the cache, else NULL. */
MUST_CHECK
int sess_plan_cached(struct sql_session *s, const struct plan_source *source,
                     struct shared_plan **plan);
/* As far as it can be told without running it: for Parse and Describe. */
MUST_CHECK
int sess_plan_look(struct sql_session *s, const struct plan_source *source,
                   struct shared_plan **plan);
/* The values of lifted literals as the plan's parameters, in the arena. */
MUST_CHECK
int sess_lifted_params(struct sql_session *s, const struct plan_source *source,
                       const struct plan *plan, struct arena *a, struct datum **out);

/* ---- session_result.c ------------------------------------------------------------------------ */

void sess_describe_plan(struct sql_session *s, const struct plan *plan, const int16_t *formats,
                        int format_count);
/* Runs a plan whose statement is open, with its rows to the client. */
MUST_CHECK
int sess_run_plan(struct sql_session *s, struct shared_plan *p, const struct datum *params,
                  const struct dest *d, char tag[TAG_MAX]);
void sess_plan_tag(const struct plan *plan, uint64_t rows, char tag[TAG_MAX]);
/* Rows that a utility statement makes: columns of text unless type says otherwise. */
struct text_column {
    const char *name;
    uint32_t type; /* 0: text */
};
void sess_text_describe(struct sql_session *s, const struct text_column *columns, int count,
                        const int16_t *formats, int format_count);
/* values[i] NULL: null. */
MUST_CHECK
int sess_text_row(struct sql_session *s, const char *const *values, int count);
/* A NOTICE, WARNING ... to the client, if it wants to hear of such. */
void sess_notice(struct sql_session *s, enum sql_severity severity, int code, const char *fmt, ...)
    PRINTF_LIKE(4, 5);

/* ---- session_prepared.c ---------------------------------------------------------------------- */

struct statement {
    struct statement *next; /* in its bucket */
    struct sql_session *session;
    char *name;
    uint32_t ref_count;
    struct arena arena; /* text, types, tree */
    struct slice text;
    enum ast_kind kind;     /* AST_NONE: an empty query */
    const struct ast *body; /* of a utility statement; else NULL: the plan is what counts */
    int32_t given_count;
    const uint32_t *given;
    int32_t param_count; /* settled: those of the first plan */
    const uint32_t *param_types;
    struct shared_plan *plan;
    int32_t result_count; /* what the client was told of: it must stay so */
    struct sql_type *results;
    bool from_sql; /* by PREPARE */
    int64_t prepared_at;
};
bool sess_kind_is_planned(enum ast_kind kind);
/* Makes a statement of one statement's text. `tree`: its body if it is parsed already. */
MUST_CHECK
int sess_statement_make(struct sql_session *s, struct slice name, struct slice text,
                        const uint32_t *types, int32_t type_count, struct statement **out);
/* The place of an error in the part of the text that begins there becomes that in the whole text.
 */
MUST_CHECK
int sess_error_within(int rc, struct slice text, int32_t at);
MUST_CHECK
int sess_statement_add(struct sql_session *s, struct statement *st);
struct statement *sess_statement_find(struct sql_session *s, struct slice name);
MUST_CHECK
int sess_statement_need(struct sql_session *s, struct slice name, struct statement **out);
void sess_statement_drop(struct sql_session *s, struct slice name);
void sess_statements_drop_all(struct sql_session *s);
void sess_statement_unref(struct statement *st); /* NULL allowed */
struct plan_source sess_statement_source(const struct statement *st);
/* Opens a statement with the prepared plan; 0A000 when its result would be another. */
MUST_CHECK
int sess_statement_open(struct sql_session *s, struct statement *st);

/* ---- session_portal.c ------------------------------------------------------------------------ */

struct stored_rows;
enum portal_state {
    PORTAL_READY,
    PORTAL_RUNNING, /* its run is open, and so is its statement */
    PORTAL_STORED,  /* the rest of its rows are kept */
    PORTAL_DONE,
    PORTAL_FAILED,
};
struct portal {
    struct list link; /* sql_session.portals */
    struct sql_session *session;
    char *name;
    enum portal_state state;
    bool is_cursor, is_open, hold;
    int savepoint_level;
    struct statement *statement; /* with a reference */
    struct shared_plan *plan;    /* with a reference, once it runs */
    struct arena arena;          /* parameters, formats */
    struct datum *params;
    int32_t param_count;
    int16_t *formats;
    int format_count;
    struct exec *exec;
    struct exec_ctx ctx;
    struct stored_rows *stored;
    uint64_t rows; /* sent so far */
    char tag[TAG_MAX];
};
void sess_portal_close(struct portal *p);
void sess_portals_close(struct sql_session *s, int savepoint_level); /* made at it or later */
struct portal *sess_portal_find(struct sql_session *s, struct slice name);
/* Reads the suspended one to its end, so that another statement can begin. */
MUST_CHECK
int sess_portal_park(struct sql_session *s);
/* Before a commit: keeps the rows of cursors WITH HOLD, closes the others. */
MUST_CHECK
int sess_portals_end(struct sql_session *s);
/* Sends up to max_rows (0: all) of a portal's rows; *done: there are no more. */
MUST_CHECK
int sess_portal_rows(struct portal *p, uint64_t max_rows, bool send, uint64_t *rows, bool *done);
/* Cursors: session_cursor.c */
MUST_CHECK
int sess_cursor_run(struct sql_session *s, const struct ast *a, struct slice text,
                    const struct dest *d, char tag[TAG_MAX]);
MUST_CHECK
int sess_portal_new(struct sql_session *s, struct slice name, struct portal **out);
void sess_portal_describe(struct portal *p);
/* Opens the run; its statement stays open. */
MUST_CHECK
int sess_portal_start(struct portal *p);
MUST_CHECK
int sess_bind(struct sql_session *s, const struct sql_bind *b);
MUST_CHECK
int sess_execute(struct sql_session *s, struct slice name, int32_t max_rows);

/* ---- utility statements: session_utility.c ----------------------------------------------------
 */

/* Runs a statement that is not planned. `text`: what it was parsed from. */
MUST_CHECK
int sess_utility(struct sql_session *s, const struct ast *body, struct slice text,
                 const struct dest *d, char tag[TAG_MAX]);
/* Sends the RowDescription of its result, if it has one; *count: its columns, 0: none. */
MUST_CHECK
int sess_utility_describe(struct sql_session *s, const struct ast *body, const int16_t *formats,
                          int format_count, int *count);
/* May run in a failed transaction. */
bool sess_utility_ends_transaction(const struct ast *body);

MUST_CHECK
int sess_execute_run(struct sql_session *s, const struct ast_execute *a, struct slice text,
                     const struct dest *d, char tag[TAG_MAX]);
/* PREPARE, DEALLOCATE */
MUST_CHECK
int sess_prepare_run(struct sql_session *s, const struct ast *body, struct slice text,
                     char tag[TAG_MAX]);
MUST_CHECK
int sess_explain_run(struct sql_session *s, const struct ast_explain *a, struct slice text,
                     const struct dest *d);

/* ---- session_setting.c ----------------------------------------------------------------------- */

void sess_setting_changed(void *arg, enum setting_id id);
/* Checks and sets; for SET, set_config and the startup message. value NULL: the default. */
MUST_CHECK
int sess_set_value(struct sql_session *s, const char *name, const char *value, bool is_local);
/* As SHOW gives it, in the arena; 42704. */
MUST_CHECK
int sess_show_value(struct sql_session *s, struct arena *a, const char *name, const char **out);
MUST_CHECK
int sess_set_run(struct sql_session *s, const struct ast_set *a, char tag[TAG_MAX]);
MUST_CHECK
int sess_show_run(struct sql_session *s, const struct ast_show *a, const struct dest *d,
                  char tag[TAG_MAX]);
MUST_CHECK
int sess_set_startup(struct sql_session *s, const struct sql_open *o);
const char *sess_setting_raw(struct sql_session *s, enum setting_id id);
/* RowDescription of SHOW; gives the number of columns. */
int sess_show_describe(struct sql_session *s, const struct ast_show *a, const int16_t *formats,
                       int format_count);
/* The value of an option as text: a literal or a name; NULL: none, or something else. */
const char *sess_option_text(struct arena *a, const struct ast *value);

/* ---- session_types.c ------------------------------------------------------------------------- */

void sess_types_init(struct sql_session *s);
/* A zone by name, from the engine's cache. */
MUST_CHECK
int sess_zone(struct sql_engine *q, struct slice name, const struct zone **out);
int64_t sess_clock(const struct sql_session *s);
static inline struct sql_session *
sess_of_call(const struct func_call *call)
{
    return call->env->arg;
}

/* ---- COPY: copy.c ---------------------------------------------------------------------------- */

MUST_CHECK
int sess_copy_run(struct sql_session *s, const struct ast_copy *a, struct slice text,
                  char tag[TAG_MAX]);

/* ---- DDL: ddl_*.c, see ddl_int.h of this folder ------------------------------------------------
 */

MUST_CHECK
int sess_ddl_run(struct sql_session *s, const struct ast *body, struct slice text,
                 char tag[TAG_MAX]);

/* ---- sequences: session_sequence.c, see session_sequence.h -------------------------------------
 */

void sess_sequences_forget(struct sql_session *s); /* currval and lastval */

/* ---- views: session_view.c ------------------------------------------------------------------- */

struct session_views *sess_views_new(struct sql_engine *q);
void sess_views_free(struct session_views *v);

#endif
