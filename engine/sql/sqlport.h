/* The line between a connection and SQL: two tables of functions.
 *
 *   struct sql_port    what SQL gives to the server: sessions and what one can ask of them.
 *                      engine/sql implements it; tests have a small one of their own.
 *   struct sql_client  what the server gives to a session: where results go, where COPY data comes
 *                      from, what must be visible before an answer may leave.
 *
 * It lies here, below both, so that SQL never includes the server.
 *
 * Threads: a session lives on one worker. Every function of the port but the three at its top is
 * called in a fiber of that worker, one at a time per session, and may park, unless it says
 * otherwise; not always in the same fiber (an idle session has none). The fiber's stack is
 * SQL_STACK_SIZE. Functions of the client are called only while a function of the port runs.
 *
 * Errors: a function that fails returns the code with the diag set; the server makes the
 * ErrorResponse of it. In an extended-query batch the server then skips to Sync. SQL itself moves
 * its transaction to the failed state before it returns an error.
 *
 * Text (queries, names, text parameters, COPY data in text format) has been checked to be UTF-8
 * without NUL bytes before SQL sees it.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_SQL_SQLPORT_H
#define ENGINE_SQL_SQLPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/base/bytes.h"
#include "engine/base/err.h"
#include "engine/base/id.h"

struct sql_session; /* SQL's own */
struct sql_client;

enum { SQL_STACK_SIZE = 256 << 10 };

/* ---- the client, as SQL sees it ------------------------------------------------------------- */

/* A column of a result, as RowDescription has it. */
struct sql_field {
    const char *name;
    uint32_t table_oid; /* 0: not a table's column */
    int16_t attribute;  /* its number in the table; 0: none */
    uint32_t type_oid;
    int16_t type_size; /* negative: variable */
    int32_t typmod;    /* -1: none */
    int16_t format;    /* 0 text, 1 binary */
};

enum sql_severity { SQL_WARNING, SQL_NOTICE, SQL_INFO, SQL_LOG, SQL_DEBUG };

struct sql_client_ops {
    /* None of these parks, except where it says so. A client that is gone is noticed by flush. */
    void (*row_description)(struct sql_client *c, const struct sql_field *fields, int count);
    void (*parameter_description)(struct sql_client *c, const uint32_t *oids, int count);
    void (*no_data)(struct sql_client *c);
    void (*command_complete)(struct sql_client *c, const char *tag); /* "INSERT 0 1" */
    void (*empty_query)(struct sql_client *c);
    void (*portal_suspended)(struct sql_client *c);
    /* `d` has code (its SQLSTATE is sent; 0: 00000), message, detail, hint, position. */
    void (*notice)(struct sql_client *c, enum sql_severity severity, const struct diag *d);
    /* For the parameters that PostgreSQL reports; the server has sent its own at the start. */
    void (*parameter_status)(struct sql_client *c, const char *name, const char *value);
    /* Sends when much has gathered, and waits when the client does not read: called by
     * client_row_end and client_copy_row_end. Parks. ERR_CONNECTION_FAILURE when the client is
     * gone, ERR_QUERY_CANCELED, ERR_NOMEM for a row past the limits. */
    int (*flush)(struct sql_client *c);
    /* Nothing written since the current message began may leave before `m` is visible (and nothing
     * after it: answers keep their order). For what was read or written beyond the snapshot; call
     * it before the first row that depends on it. A commit: the token's moment. */
    void (*require)(struct sql_client *c, struct moment m);
    /* COPY FROM STDIN: begin sends CopyInResponse; read gives the next piece of data, cut anywhere,
     * which lives until the next read. Parks. read: 0, ERR_END at CopyDone, ERR_QUERY_CANCELED at
     * CopyFail or cancel, ERR_CONNECTION_FAILURE. After ERR_END or an error, no more calls. If SQL
     * gives up before the end, it just returns its error: the server skips what still comes. */
    int (*copy_in_begin)(struct sql_client *c, int format, int columns);
    int (*copy_in_read)(struct sql_client *c, struct slice *data);
    /* COPY TO STDOUT: begin, rows by client_copy_row_begin/end, end (CopyDone). */
    int (*copy_out_begin)(struct sql_client *c, int format, int columns);
    void (*copy_out_end)(struct sql_client *c);
};

/* Made by the server, one per connection; lives as long as the session. */
struct sql_client {
    const struct sql_client_ops *ops;
    struct writer out; /* the connection's output: rows are encoded straight into it */
    size_t flush_at;   /* client_row_end flushes past this size */
    bool canceled; /* long statements look at it at each yield and end with ERR_QUERY_CANCELED */
    /* SET statement_timeout and its kin write here; 0: none. */
    uint32_t statement_timeout_ms;
    uint32_t idle_in_transaction_timeout_ms;
    uint32_t process_id; /* pg_backend_pid() */
    int worker;          /* 0 .. workers-1 */
};

/* A DataRow: begin, then for each column client_null or value_begin, the bytes appended to c->out,
 * value_end; then row_end. Offsets, not pointers, since the buffer grows. Running out of room is
 * remembered by the writer and reported by row_end. */
static inline size_t
client_row_begin(struct sql_client *c, int columns)
{
    size_t at = c->out.size;
    uint8_t *p = wr_reserve(&c->out, 7);

    if (p != NULL) {
        p[0] = 'D';
        store_u16_be(p + 5, (uint16_t)columns);
    }
    return at;
}
static inline void
client_null(struct sql_client *c)
{
    wr_u32_be(&c->out, UINT32_MAX);
}
static inline size_t
client_value_begin(struct sql_client *c)
{
    size_t at = c->out.size;

    (void)wr_reserve(&c->out, 4);
    return at;
}
static inline void
client_value_end(struct sql_client *c, size_t at)
{
    if (!c->out.bad)
        store_u32_be(c->out.data + at, (uint32_t)(c->out.size - at - 4));
}
static inline void
client_value(struct sql_client *c, const void *data, size_t size)
{
    uint8_t *p = wr_reserve(&c->out, size + 4);

    if (p != NULL) {
        store_u32_be(p, (uint32_t)size);
        if (size > 0)
            memcpy(p + 4, data, size);
    }
}
/* Undoes a row that was begun, for an error in the middle of it. */
static inline void
client_row_abandon(struct sql_client *c, size_t at)
{
    if (at <= c->out.size)
        wr_shrink(&c->out, at);
}
/* Parks now and then. */
MUST_CHECK
static inline int
client_row_end(struct sql_client *c, size_t at)
{
    if (!c->out.bad)
        store_u32_be(c->out.data + at + 1, (uint32_t)(c->out.size - at - 1));
    else
        client_row_abandon(c, at);
    if (c->out.size >= c->flush_at || c->out.bad || c->canceled)
        return c->ops->flush(c);
    return 0;
}
/* One CopyData message: a row. */
static inline size_t
client_copy_row_begin(struct sql_client *c)
{
    size_t at = c->out.size;
    uint8_t *p = wr_reserve(&c->out, 5);

    if (p != NULL)
        p[0] = 'd';
    return at;
}
MUST_CHECK
static inline int
client_copy_row_end(struct sql_client *c, size_t at)
{
    return client_row_end(c, at);
}

/* ---- SQL, as the server sees it ------------------------------------------------------------- */

enum { SQL_VERIFIER_MAX = 256 };

struct sql_role {
    bool exists, can_login, is_superuser;
    char verifier[SQL_VERIFIER_MAX]; /* SCRAM-SHA-256$...; empty: no password is set */
};

struct sql_setting {
    const char *name, *value;
};

/* What the startup message asked for. Strings live until open returns. */
struct sql_open {
    const char *user, *database, *application_name;
    const struct sql_setting *settings; /* from the startup message and its options (-c name=value),
                                         * in order: as SET, and what RESET goes back to */
    int setting_count;
    const char *peer; /* "host:port" or "local" */
    bool is_superuser;
    struct sql_client *client;
};

/* A Bind message. Slices live until bind returns; a slice with data NULL is SQL NULL. */
struct sql_bind {
    struct slice portal, statement; /* "": the unnamed one */
    int param_count;
    const struct slice *params;
    int format_count; /* 0: all text; 1: for all; else one each */
    const int16_t *formats;
    int result_format_count;
    const int16_t *result_formats;
};

struct sql_port_ops {
    /* The four that have no session. For an unknown role: 0 with exists false. May park. */
    int (*role_lookup)(void *arg, const char *role, struct sql_role *out);
    /* Whether each role that may log in has a password: asked before listening beyond this machine.
     * Blocks or parks. */
    int (*all_roles_have_password)(void *arg, bool *yes);
    /* For in_hot_standby: the member is no primary, or one that does not yet show all that was
     * committed before it opened. From any thread; does not park. */
    bool (*is_standby)(void *arg);
    /* Opens a session for a user who has been authenticated: unknown database (3D000), a bad
     * setting, a member that does not take sessions now (57P03). SQL reports (parameter_status)
     * what differs from or adds to the server's list: TimeZone, DateStyle, IntervalStyle,
     * application_name, default_transaction_read_only. */
    int (*open)(void *arg, const struct sql_open *o, struct sql_session **out);

    /* Rolls back what is open and frees all. Also after a failed statement or a lost client. */
    void (*close)(struct sql_session *s);
    /* 'I' idle, 'T' in a transaction, 'E' in a failed one. Does not park; in or outside a fiber. */
    char (*status)(const struct sql_session *s);
    /* All statements of the text with their results. An error ends it: the server sends what was
     * said so far, the error, ReadyForQuery. */
    int (*simple_query)(struct sql_session *s, struct slice text);
    /* The extended protocol. The server sends ParseComplete, BindComplete, CloseComplete; SQL the
     * rest. type_oids 0: to be inferred. */
    int (*parse)(struct sql_session *s, struct slice name, struct slice text,
                 const uint32_t *type_oids, int type_count);
    int (*bind)(struct sql_session *s, const struct sql_bind *b);
    int (*describe_statement)(struct sql_session *s, struct slice name);
    int (*describe_portal)(struct sql_session *s, struct slice name);
    int (*execute)(struct sql_session *s, struct slice portal, int32_t max_rows); /* 0: all */
    int (*close_statement)(struct sql_session *s, struct slice name); /* unknown name: no error */
    int (*close_portal)(struct sql_session *s, struct slice name);
    /* Sync: ends the implicit transaction: commit, or rollback if it has failed. */
    int (*sync)(struct sql_session *s);
    /* Something outside SQL failed (a malformed message, bad UTF-8): the transaction fails as if a
     * statement had. Does not park. */
    void (*fail)(struct sql_session *s);
    /* client->canceled has just been set while a statement runs in another fiber: wakes it from a
     * wait for a lock. From the session's worker, outside its fiber. Does not park. */
    void (*cancel)(struct sql_session *s);
    /* Whether the session could write now or later: its transaction is read-write, or its default
     * is. On demotion such sessions are closed. Does not park. */
    bool (*may_write)(const struct sql_session *s);
    /* The member's role has changed; the session lives on. Reports default_transaction_read_only
     * by parameter_status if it is another now. Between statements. Does not park. */
    void (*role_changed)(struct sql_session *s);
};

struct sql_port {
    const struct sql_port_ops *ops;
    void *arg; /* for the first four */
};

#endif
