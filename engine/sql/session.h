/* SQL as the server sees it: the implementation of sqlport.h over one engine and one catalogue.
 *
 *   sql_engine_new    what all sessions share: settings' defaults, the plan cache, the list of
 *                     sessions, the views of the node (v$database and its kin)
 *   sql_engine_port   the port to hand to server_new
 *   sql_engine_free   after the server has been freed
 *
 * Sessions are opened and driven by the server alone. A node does four things more: it says what it
 * is (struct sql_node), it tells when its role has changed (the server's role_changed does so for
 * each session), it may look at the sessions, and on a promotion it drops what belonged to the
 * incarnation before (sql_engine_role_changed).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_SQL_SESSION_H
#define ENGINE_SQL_SESSION_H

#include "engine/base/mem.h"
#include "engine/engine.h"
#include "engine/sql/sqlport.h"

struct catalog;
struct job_pool;
struct log;
struct spill_space;
struct sql_engine;

/* ---- the node, as SQL shows it --------------------------------------------------------------- */

enum { SQL_NODE_TEXT_MAX = 64 };

/* One row of v$database. Text is upper case where Data Guard's is: role PRIMARY, PHYSICAL STANDBY,
 * SNAPSHOT STANDBY; open_mode READ WRITE, READ ONLY, READ ONLY WITH APPLY, MOUNTED; protection_mode
 * and protection_level MAXIMUM PERFORMANCE, AVAILABILITY, PROTECTION, UNPROTECTED,
 * RESYNCHRONIZATION.
 */
struct sql_node_database {
    char name[SQL_NODE_TEXT_MAX]; /* of the member: redoubt init --name */
    char role[SQL_NODE_TEXT_MAX];
    char open_mode[SQL_NODE_TEXT_MAX];
    char protection_mode[SQL_NODE_TEXT_MAX];
    char protection_level[SQL_NODE_TEXT_MAX];
    char primary_name[SQL_NODE_TEXT_MAX]; /* of the configuration's primary; empty: not known */
};

/* One row of v$dataguard_stats: "transport lag", "apply lag" … of one member. */
struct sql_node_stat {
    char member[SQL_NODE_TEXT_MAX]; /* whom it is about */
    char name[SQL_NODE_TEXT_MAX];
    bool has_lag_us, has_lag_bytes;
    uint64_t lag_us, lag_bytes;
    uint64_t age_us;               /* how old the figure is */
    char state[SQL_NODE_TEXT_MAX]; /* "SYNCHRONIZED", "CATCHING UP", "ABSENT" … */
};

/* Answers of the node; called on workers' fibers, must not block or park. NULL functions, or no
 * table at all: what the engine knows by itself. */
struct sql_node {
    void (*database)(void *arg, struct sql_node_database *out);
    /* The index-th figure; false: there are no more. */
    bool (*stat)(void *arg, int index, struct sql_node_stat *out);
    /* How old what is read here may be, at most: what had been published by so long ago is visible.
     * UINT64_MAX: not known. Asked on standbys only. */
    uint64_t (*delay_us)(void *arg);
    void *arg;
};

/* ---- the engine of SQL ----------------------------------------------------------------------- */

struct sql_engine_options {
    struct engine *engine;   /* opened by the caller; stays his */
    struct catalog *catalog; /* the same; providers are added to it, so: before the first session */
    struct log *log;         /* or NULL: quiet */
    struct job_pool *jobs; /* for what takes a millisecond (passwords, zone files); NULL: none, and
                            * such work is done on the spot */
    bool commits_in_turns; /* whoever runs sessions calls engine_kick at the end of his turns */
    struct spill_space *spill; /* where operators spill to; NULL: they do not. Stays the caller's */
    size_t plan_cache_bytes;   /* 0: 32 MiB */
    size_t memory_bytes;       /* query memory of all sessions together; 0: 256 MiB */
    const char *version;       /* server_version; NULL: "15.0 (Redoubt 0.1)" */
    const struct sql_setting *settings; /* defaults other than the built-in ones (from conf) */
    int setting_count;
    struct sql_node node;
};

/* ERR_CONFIG_FILE for a setting that does not exist or a value that it does not take. Copies what
 * it keeps. */
MUST_CHECK
int sql_engine_new(const struct sql_engine_options *o, struct sql_engine **out);
void sql_engine_free(struct sql_engine *q); /* no session may be open; NULL allowed */
/* Lives as long as the engine of SQL. */
const struct sql_port *sql_engine_port(struct sql_engine *q);
/* The node has opened for writing, or has stopped: forgets what it kept of the incarnation before
 * (cached plans). From any thread. */
void sql_engine_role_changed(struct sql_engine *q);

/* ---- sessions, for pg_stat_activity, status and metrics ----------------------------------------
 */

enum sql_session_state { SQL_IDLE, SQL_ACTIVE, SQL_IDLE_IN_TRANSACTION, SQL_IDLE_IN_FAILED };
enum { SQL_QUERY_SHOWN_MAX = 1024 };

struct sql_session_info {
    uint32_t process_id;
    uint32_t role_oid;
    char role[64], database[64], application_name[64], peer[64];
    enum sql_session_state state;
    bool is_waiting;                                        /* for a lock */
    uint64_t opened_us, transaction_us, query_us, state_us; /* since 1970; 0: none */
    char query[SQL_QUERY_SHOWN_MAX];                        /* the present or last one, cut */
};
/* Calls fn for each open session, oldest first, with a copy; fn returns false to stop. No lock is
 * held during the call. From any thread. */
void sql_engine_each_session(struct sql_engine *q,
                             bool (*fn)(void *arg, const struct sql_session_info *info), void *arg);

struct sql_engine_figures {
    uint64_t statements, commits, rollbacks;
    uint64_t plan_hits, plan_misses, plans_cached, plan_bytes;
    uint64_t rows_sent;
    int sessions;
};
void sql_engine_get_figures(struct sql_engine *q, struct sql_engine_figures *out);

#endif
