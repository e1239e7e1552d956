/* Transactions as PostgreSQL has them: implicit ones, blocks, failed blocks, savepoints.
 *
 *   TX_NONE      nothing is open
 *   TX_IMPLICIT  opened by a statement; ends with the query string or at Sync
 *   TX_BLOCK     BEGIN was said; ends by COMMIT or ROLLBACK
 *   TX_FAILED    a statement of a block has failed; only its end or ROLLBACK TO is taken
 *
 * A failed block without savepoints gives up its locks at once.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "engine/sql/session_int.h"
#include "engine/types/datetime.h"

/* ---- beginning ------------------------------------------------------------------------------- */

static int
tx_start(struct sql_session *s, enum session_tx tx)
{
    bool read_only = s->default_read_only || !engine_is_open(s->q->engine);
    int rc = txn_begin(s->txn, s->default_isolation, read_only);

    if (rc != 0)
        return rc;
    s->tx = tx;
    s->tx_read_only = read_only;
    s->tx_queried = false;
    s->tx_inc = engine_incarnation(s->q->engine);
    s->isolation = s->default_isolation;
    s->tx_time = s->statement_time;
    return 0;
}

int
sess_tx_need(struct sql_session *s)
{
    if (s->tx == TX_NONE)
        return tx_start(s, TX_IMPLICIT);
    if (s->tx == TX_FAILED)
        return DIAG(ERR_IN_FAILED_TRANSACTION, "current transaction is aborted, commands ignored "
                                               "until end of transaction block");
    return 0;
}

/* ---- ending ---------------------------------------------------------------------------------- */

/* What a transaction leaves behind in the session, however it ended. */
static void
tx_forget(struct sql_session *s)
{
    s->tx = TX_NONE;
    s->lock_count = 0;
    s->savepoint_count = 0;
    s->new_sequence_count = 0;
}

static void
tx_close_statements(struct sql_session *s)
{
    while (s->statement_depth > 0)
        sess_statement_end(s);
}

static int
tx_commit(struct sql_session *s)
{
    struct commit_token token;
    int rc;

    rc = sess_portals_end(s);
    if (rc != 0) {
        sess_tx_abort(s);
        return rc;
    }
    tx_close_statements(s);
    rc = s->q->commits_in_turns ? txn_commit_in_turn(s->txn, &token) : txn_commit(s->txn, &token);
    if (rc != 0) {
        settings_rollback(&s->settings, 0);
        tx_forget(s);
        return rc;
    }
    if (token.scn != 0) {
        sess_require_moment(s, token.inc, token.scn);
        s->commit_total++;
    }
    settings_commit(&s->settings);
    tx_forget(s);
    return 0;
}

/* The answer waits for what the transaction has seen even so: its error may tell of it. */
void
sess_tx_abort(struct sql_session *s)
{
    struct diag why = *diag_last();

    if (s->tx == TX_NONE)
        return;
    sess_portals_close(s, 0);
    tx_close_statements(s);
    if (txn_is_open(s->txn)) {
        sess_require(s);
        txn_rollback(s->txn);
        s->rollback_total++;
    }
    settings_rollback(&s->settings, 0);
    tx_forget(s);
    diag_restore(&why);
}

int
sess_tx_end_implicit(struct sql_session *s)
{
    return s->tx == TX_IMPLICIT ? tx_commit(s) : 0;
}

void
sess_tx_fail(struct sql_session *s)
{
    struct diag why;

    if (s->tx == TX_NONE || s->tx == TX_FAILED)
        return;
    if (s->tx == TX_IMPLICIT) {
        sess_tx_abort(s);
        return;
    }
    why = *diag_last();
    if (s->savepoint_count == 0)
        sess_portals_close(s, 0);
    if (s->running != NULL)
        sess_portal_close(s->running);
    tx_close_statements(s);
    sess_require(s);
    if (s->savepoint_count == 0) {
        txn_rollback(s->txn);
        s->lock_count = 0;
    }
    s->tx = TX_FAILED;
    diag_restore(&why);
}

/* ---- modes ----------------------------------------------------------------------------------- */

int
sess_isolation_parse(const char *canonical, enum txn_isolation *out)
{
    if (strcmp(canonical, "serializable") == 0) {
        int rc = DIAG(ERR_NOT_SUPPORTED, "isolation level SERIALIZABLE is not supported");

        diag_hint("REPEATABLE READ gives a snapshot for the whole transaction and refuses lost "
                  "updates.");
        return rc;
    }
    *out = strcmp(canonical, "repeatable read") == 0 ? TXN_REPEATABLE_READ : TXN_READ_COMMITTED;
    return 0;
}

const char *
sess_isolation_name(enum txn_isolation i)
{
    return i == TXN_REPEATABLE_READ ? "repeatable read" : "read committed";
}

static const char *
isolation_word(enum ast_isolation i)
{
    static const char *const words[] = {
        [AST_ISOLATION_DEFAULT] = "read committed",
        [AST_ISOLATION_READ_UNCOMMITTED] = "read uncommitted",
        [AST_ISOLATION_READ_COMMITTED] = "read committed",
        [AST_ISOLATION_REPEATABLE_READ] = "repeatable read",
        [AST_ISOLATION_SERIALIZABLE] = "serializable",
    };
    return words[i];
}

int
sess_tx_set_isolation(struct sql_session *s, enum ast_isolation isolation)
{
    enum txn_isolation i;
    int rc;

    if (isolation == AST_ISOLATION_DEFAULT)
        return 0;
    rc = sess_isolation_parse(isolation_word(isolation), &i);
    if (rc != 0)
        return rc;
    if (s->tx_queried && i != s->isolation)
        return DIAG(ERR_ACTIVE_TRANSACTION,
                    "SET TRANSACTION ISOLATION LEVEL must be called before any query");
    rc = txn_set_isolation(s->txn, i);
    if (rc == 0)
        s->isolation = i;
    return rc;
}

int
sess_tx_set_read_only(struct sql_session *s, bool read_only)
{
    if (!read_only && s->tx_read_only) {
        if (s->savepoint_count > 0)
            return DIAG(ERR_ACTIVE_TRANSACTION, "cannot set transaction read-write mode inside a "
                                                "read-only transaction");
        if (s->tx_queried)
            return DIAG(ERR_ACTIVE_TRANSACTION,
                        "transaction read-write mode must be set before any query");
        if (!engine_is_open(s->q->engine))
            return DIAG(ERR_NOT_SUPPORTED,
                        "cannot set transaction read-write mode during recovery");
    }
    s->tx_read_only = read_only;
    txn_set_read_only(s->txn, read_only);
    return 0;
}

static int
tx_set_modes(struct sql_session *s, const struct ast_tx_modes *m)
{
    int rc;

    if (m->snapshot != NULL)
        return DIAG(ERR_NOT_SUPPORTED, "SET TRANSACTION SNAPSHOT is not supported");
    rc = sess_tx_set_isolation(s, m->isolation);
    if (rc == 0 && m->read_only >= 0)
        rc = sess_tx_set_read_only(s, m->read_only == 1);
    return rc;
}

/* ---- checks for others ----------------------------------------------------------------------- */

int
sess_tx_refuse_block(struct sql_session *s, const char *what)
{
    if (s->tx == TX_BLOCK || s->tx == TX_FAILED || s->tx_several)
        return DIAG(ERR_ACTIVE_TRANSACTION, "%s cannot run inside a transaction block", what);
    return 0;
}

int
sess_tx_want_block(struct sql_session *s, const char *what)
{
    if (s->tx != TX_BLOCK && s->tx != TX_FAILED)
        return DIAG(ERR_NO_ACTIVE_TRANSACTION, "%s can only be used in transaction blocks", what);
    return 0;
}

int
sess_tx_want_write(struct sql_session *s, const char *what)
{
    if (s->tx_read_only || !engine_is_open(s->q->engine))
        return DIAG(ERR_READ_ONLY_TRANSACTION, "cannot execute %s in a read-only transaction",
                    what);
    return 0;
}

/* ---- BEGIN, COMMIT, ROLLBACK ------------------------------------------------------------------
 */

static int
run_begin(struct sql_session *s, const struct ast_transaction *a, char tag[TAG_MAX])
{
    int rc = 0;

    snprintf(tag, TAG_MAX, "%s", a->is_start ? "START TRANSACTION" : "BEGIN");
    switch (s->tx) {
    case TX_NONE:
        rc = tx_start(s, TX_BLOCK);
        if (rc == 0)
            rc = tx_set_modes(s, &a->modes);
        if (rc != 0)
            sess_tx_abort(s); /* what could not begin as asked has not begun */
        return rc;
    case TX_IMPLICIT: /* what came before belongs to the block */
        s->tx = TX_BLOCK;
        break;
    case TX_BLOCK:
        sess_notice(s, SQL_WARNING, ERR_ACTIVE_TRANSACTION,
                    "there is already a transaction in progress");
        break;
    case TX_FAILED:
        return sess_tx_need(s);
    }
    return rc != 0 ? rc : tx_set_modes(s, &a->modes);
}

/* The next transaction begins with the modes of this one. */
static int
run_chain(struct sql_session *s, enum txn_isolation isolation, bool read_only)
{
    int rc = tx_start(s, TX_BLOCK);

    if (rc != 0)
        return rc;
    s->isolation = isolation;
    rc = txn_set_isolation(s->txn, isolation);
    if (rc == 0 && read_only != s->tx_read_only)
        rc = sess_tx_set_read_only(s, read_only);
    return rc;
}

static int
warn_no_block(struct sql_session *s)
{
    sess_notice(s, SQL_WARNING, ERR_NO_ACTIVE_TRANSACTION, "there is no transaction in progress");
    return 0;
}

static int
run_commit(struct sql_session *s, const struct ast_transaction *a, char tag[TAG_MAX])
{
    enum txn_isolation isolation = s->isolation;
    bool read_only = s->tx_read_only;
    int rc = 0;

    if (a->chain && (rc = sess_tx_want_block(s, "COMMIT AND CHAIN")) != 0)
        return rc;
    snprintf(tag, TAG_MAX, "%s", s->tx == TX_FAILED ? "ROLLBACK" : "COMMIT");
    if (s->tx == TX_NONE || s->tx == TX_IMPLICIT)
        rc = warn_no_block(s);
    if (s->tx == TX_FAILED)
        sess_tx_abort(s);
    else if (s->tx != TX_NONE)
        rc = tx_commit(s);
    return rc == 0 && a->chain ? run_chain(s, isolation, read_only) : rc;
}

static int
run_rollback(struct sql_session *s, const struct ast_transaction *a, char tag[TAG_MAX])
{
    enum txn_isolation isolation = s->isolation;
    bool read_only = s->tx_read_only;
    int rc;

    if (a->chain && (rc = sess_tx_want_block(s, "ROLLBACK AND CHAIN")) != 0)
        return rc;
    snprintf(tag, TAG_MAX, "ROLLBACK");
    if (s->tx == TX_NONE || s->tx == TX_IMPLICIT)
        rc = warn_no_block(s);
    sess_tx_abort(s);
    return a->chain ? run_chain(s, isolation, read_only) : 0;
}

/* ---- savepoints ------------------------------------------------------------------------------ */

static int
run_savepoint(struct sql_session *s, const char *name)
{
    int number, rc = sess_tx_want_block(s, "SAVEPOINT");

    if (rc == 0)
        rc = sess_tx_need(s);
    if (rc == 0)
        rc = sess_portal_park(s);
    if (rc == 0)
        rc = txn_savepoint(s->txn, &number);
    if (rc != 0)
        return rc;
    if (s->savepoint_count == s->savepoint_cap) {
        s->savepoint_cap = s->savepoint_cap == 0 ? 4 : 2 * s->savepoint_cap;
        s->savepoints = xrealloc(s->savepoints, (size_t)s->savepoint_cap * sizeof *s->savepoints);
    }
    snprintf(s->savepoints[s->savepoint_count++], sizeof *s->savepoints, "%s", name);
    CHECK(number == s->savepoint_count);
    return 0;
}

/* The newest of that name. */
static int
savepoint_find(struct sql_session *s, const char *name, int *number)
{
    for (int i = s->savepoint_count; i > 0; i--) {
        if (strcmp(s->savepoints[i - 1], name) == 0) {
            *number = i;
            return 0;
        }
    }
    return DIAG(ERR_INVALID_SAVEPOINT, "savepoint \"%s\" does not exist", name);
}

static int
run_release(struct sql_session *s, const char *name)
{
    int number, rc = sess_tx_want_block(s, "RELEASE SAVEPOINT");

    if (rc == 0)
        rc = sess_tx_need(s);
    if (rc == 0)
        rc = savepoint_find(s, name, &number);
    if (rc != 0)
        return rc;
    txn_release(s->txn, number);
    settings_release(&s->settings, number);
    s->savepoint_count = number - 1;
    list_for_each (p, &s->portals, struct portal, link)
        if (p->savepoint_level > s->savepoint_count)
            p->savepoint_level = s->savepoint_count;
    return 0;
}

static int
run_rollback_to(struct sql_session *s, const char *name)
{
    int number, rc = sess_tx_want_block(s, "ROLLBACK TO SAVEPOINT");

    if (rc == 0)
        rc = savepoint_find(s, name, &number);
    if (rc == 0 && s->running != NULL && s->running->savepoint_level < number)
        rc = sess_portal_park(s);
    if (rc != 0)
        return rc;
    sess_portals_close(s, number);
    tx_close_statements(s);
    txn_rollback_to(s->txn, number);
    settings_rollback(&s->settings, number);
    s->savepoint_count = number;
    s->tx = TX_BLOCK;
    return 0;
}

/* ---- all of them ----------------------------------------------------------------------------- */

static int
run_set(struct sql_session *s, const struct ast_transaction *a)
{
    int rc;

    if (s->tx == TX_NONE || (s->tx == TX_IMPLICIT && !s->tx_several)) {
        sess_notice(s, SQL_WARNING, ERR_NO_ACTIVE_TRANSACTION,
                    "SET TRANSACTION can only be used in transaction blocks");
        return 0;
    }
    rc = sess_tx_need(s);
    return rc != 0 ? rc : tx_set_modes(s, &a->modes);
}

static int
run_set_session(struct sql_session *s, const struct ast_transaction *a)
{
    int rc = sess_tx_need(s);

    if (rc == 0 && a->modes.isolation != AST_ISOLATION_DEFAULT)
        rc = sess_set_value(s, "default_transaction_isolation", isolation_word(a->modes.isolation),
                            false);
    if (rc == 0 && a->modes.read_only >= 0)
        rc = sess_set_value(s, "default_transaction_read_only",
                            a->modes.read_only == 1 ? "on" : "off", false);
    if (rc == 0 && a->modes.deferrable >= 0)
        rc = sess_set_value(s, "default_transaction_deferrable",
                            a->modes.deferrable == 1 ? "on" : "off", false);
    return rc;
}

int
sess_tx_run(struct sql_session *s, const struct ast_transaction *a, char tag[TAG_MAX])
{
    switch (a->op) {
    case AST_TX_BEGIN:
        return run_begin(s, a, tag);
    case AST_TX_COMMIT:
        return run_commit(s, a, tag);
    case AST_TX_ROLLBACK:
        return run_rollback(s, a, tag);
    case AST_TX_SAVEPOINT:
        snprintf(tag, TAG_MAX, "SAVEPOINT");
        return run_savepoint(s, a->name);
    case AST_TX_RELEASE:
        snprintf(tag, TAG_MAX, "RELEASE");
        return run_release(s, a->name);
    case AST_TX_ROLLBACK_TO:
        snprintf(tag, TAG_MAX, "ROLLBACK");
        return run_rollback_to(s, a->name);
    case AST_TX_SET:
        snprintf(tag, TAG_MAX, "SET");
        return run_set(s, a);
    case AST_TX_SET_SESSION:
        snprintf(tag, TAG_MAX, "SET");
        return run_set_session(s, a);
    case AST_TX_PREPARE:
    case AST_TX_COMMIT_PREPARED:
    case AST_TX_ROLLBACK_PREPARED:
        break;
    }
    return DIAG(ERR_NOT_SUPPORTED, "two-phase commit is not supported");
}
