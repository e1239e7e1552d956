/* Functions about the session and its settings; sequences.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <math.h>
#include <strings.h>

#include "engine/base/fiber.h"
#include "engine/sql/func_session_int.h"
#include "engine/sql/session_sequence.h"
#include "engine/types/array.h"
#include "engine/types/datetime.h"

/* ---- constants ---------------------------------------------------------------------------------
 */

int
fn_null(struct func_call *call, const struct datum *args, struct datum *out)
{
    (void)call;
    (void)args;
    *out = datum_null();
    return 0;
}

int
fn_true(struct func_call *call, const struct datum *args, struct datum *out)
{
    (void)call;
    (void)args;
    *out = datum_bool(true);
    return 0;
}

int
fn_false(struct func_call *call, const struct datum *args, struct datum *out)
{
    (void)call;
    (void)args;
    *out = datum_bool(false);
    return 0;
}

int
fn_zero_oid(struct func_call *call, const struct datum *args, struct datum *out)
{
    (void)call;
    (void)args;
    *out = datum_int(0);
    return 0;
}

/* ---- who and where -----------------------------------------------------------------------------
 */

int
fn_version(struct func_call *call, const struct datum *args, struct datum *out)
{
    const char *v = sess_of_call(call)->q->version;

    (void)args;
    func_text(call,
              arena_printf(call->arena, "PostgreSQL %s, compiled by " __VERSION__ ", 64-bit", v),
              out);
    return 0;
}

int
fn_current_database(struct func_call *call, const struct datum *args, struct datum *out)
{
    (void)args;
    func_text(call, sess_of_call(call)->database, out);
    return 0;
}

int
fn_current_user(struct func_call *call, const struct datum *args, struct datum *out)
{
    (void)args;
    func_text(call, sess_of_call(call)->role, out);
    return 0;
}

int
fn_session_user(struct func_call *call, const struct datum *args, struct datum *out)
{
    (void)args;
    func_text(call, sess_of_call(call)->session_role, out);
    return 0;
}

static int
schema_exists(struct sql_session *s, const char *name, bool *yes)
{
    struct cat_set *set;
    oid_t oid = 0;
    int rc = sess_set(s, &set);

    if (rc == 0)
        rc = cat_find_schema(set, s->txn, slice_str(name), &oid);
    *yes = oid != 0;
    return rc;
}

int
fn_current_schema(struct func_call *call, const struct datum *args, struct datum *out)
{
    struct sql_session *s = sess_of_call(call);

    (void)args;
    *out = datum_null();
    for (int i = 0; i < s->path_count; i++) {
        bool yes;
        int rc = schema_exists(s, s->path[i], &yes);

        if (rc != 0)
            return rc;
        if (yes) {
            func_text(call, s->path[i], out);
            return 0;
        }
    }
    return 0;
}

int
fn_current_schemas(struct func_call *call, const struct datum *args, struct datum *out)
{
    struct sql_session *s = sess_of_call(call);
    struct datum *names = ARENA_ARRAY(call->arena, struct datum, s->path_count + 2);
    uint32_t count = 0;

    if (args[0].i != 0 && !s->path_has_catalog)
        func_text(call, "pg_catalog", &names[count++]);
    for (int i = 0; i < s->path_count; i++) {
        bool yes;
        int rc = schema_exists(s, s->path[i], &yes);

        if (rc != 0)
            return rc;
        if (yes)
            func_text(call, s->path[i], &names[count++]);
    }
    *out = array_make(call->arena, TYPE_NAME, names, count, 1);
    return 0;
}

int
fn_backend_pid(struct func_call *call, const struct datum *args, struct datum *out)
{
    (void)args;
    *out = datum_int((int32_t)sess_of_call(call)->client->process_id);
    return 0;
}

int
fn_userbyid(struct func_call *call, const struct datum *args, struct datum *out)
{
    struct sql_session *s = sess_of_call(call);
    const char *name;
    int rc = cat_role_name(s->q->catalog, s->txn, (oid_t)args[0].i, call->arena, &name);

    if (rc == ERR_NOT_FOUND)
        name = arena_printf(call->arena, "unknown (OID=%u)", (oid_t)args[0].i);
    else if (rc != 0)
        return rc;
    func_text(call, name, out);
    return 0;
}

int
fn_start_time(struct func_call *call, const struct datum *args, struct datum *out)
{
    (void)args;
    *out = datum_int(sess_of_call(call)->q->started);
    return 0;
}

/* ---- transactions ------------------------------------------------------------------------------
 */

/* PostgreSQL's numbers are positive: bit 63, which all of ours have, stays away. */
int
fn_txid_if_assigned(struct func_call *call, const struct datum *args, struct datum *out)
{
    txid_t id = txn_id(sess_of_call(call)->txn);

    (void)args;
    *out = id == 0 ? datum_null() : datum_int((int64_t)(id & ~TXID_BIT));
    return 0;
}

int
fn_txid_current(struct func_call *call, const struct datum *args, struct datum *out)
{
    struct sql_session *s = sess_of_call(call);
    int rc = 0;

    if (!engine_is_writable(s->q->engine))
        rc = DIAG(ERR_READ_ONLY_TRANSACTION, "cannot execute pg_current_xact_id() during recovery");
    if (rc == 0)
        rc = txn_assign_id(s->txn);
    return rc == 0 ? fn_txid_if_assigned(call, args, out) : rc;
}

int
fn_txid_status(struct func_call *call, const struct datum *args, struct datum *out)
{
    static const char *const words[] = {
        [TXN_IN_PROGRESS] = "in progress",
        [TXN_COMMITTED] = "committed",
        [TXN_ABORTED] = "aborted",
    };
    enum txn_outcome outcome;
    int rc = args[0].i < 0
                 ? DIAG(ERR_INVALID_PARAMETER_VALUE, "transaction ID %" PRIu64 " is in the future",
                        (uint64_t)args[0].i)
                 : engine_txn_outcome(sess_of_call(call)->q->engine, (txid_t)args[0].i, &outcome);

    if (rc == 0)
        *out = outcome == TXN_UNKNOWN ? datum_null() : datum_slice(slice_str(words[outcome]));
    return rc;
}

int
fn_in_recovery(struct func_call *call, const struct datum *args, struct datum *out)
{
    (void)args;
    *out = datum_bool(!engine_is_open(sess_of_call(call)->q->engine));
    return 0;
}

int
fn_current_scn(struct func_call *call, const struct datum *args, struct datum *out)
{
    (void)args;
    *out = datum_int((int64_t)engine_visible_scn(sess_of_call(call)->q->engine));
    return 0;
}

/* Read your own writes: whether what was committed at the SCN is visible here for the next
 * statement, after waiting so many milliseconds at most (without: as long as it takes). */
int
fn_wait_for_scn(struct func_call *call, const struct datum *args, struct datum *out)
{
    struct sql_session *s = sess_of_call(call);
    scn_t scn = args[0].i > 0 ? (scn_t)args[0].i : 0;
    uint64_t start = env_boot_ns(s->q->env);

    for (;;) {
        uint64_t ms = (env_boot_ns(s->q->env) - start) / 1000000;
        int rc = engine_wait_visible(s->q->engine, scn, 20000);

        if (rc != 0 && rc != ERR_TIMEOUT)
            return rc;
        diag_clear();
        *out = datum_bool(rc == 0);
        if (rc == 0 || (call->func->arg_count > 1 && (int64_t)ms >= args[1].i))
            return 0;
        if (s->client->canceled)
            return DIAG(ERR_QUERY_CANCELED, "canceling statement due to user request");
    }
}

/* ---- settings ----------------------------------------------------------------------------------
 */

int
fn_current_setting(struct func_call *call, const struct datum *args, struct datum *out)
{
    const char *value;
    int rc =
        sess_show_value(sess_of_call(call), call->arena, func_arg_text(call, &args[0]), &value);

    if (rc == ERR_UNDEFINED_OBJECT && call->arg_count > 1 && args[1].i != 0) {
        diag_clear();
        *out = datum_null();
        return 0;
    }
    if (rc == 0)
        func_text(call, value, out);
    return rc;
}

int
fn_set_config(struct func_call *call, const struct datum *args, struct datum *out)
{
    struct sql_session *s = sess_of_call(call);
    const char *name, *value;
    int rc;

    if (args[0].is_null)
        return DIAG(ERR_INVALID_PARAMETER_VALUE, "SET requires parameter name");
    name = func_arg_text(call, &args[0]);
    value = args[1].is_null ? NULL : func_arg_text(call, &args[1]);
    rc = sess_set_value(s, name, value, !args[2].is_null && args[2].i != 0);
    if (rc == 0)
        rc = sess_show_value(s, call->arena, name, &value);
    if (rc == 0)
        func_text(call, value, out);
    return rc;
}

/* ---- encodings ---------------------------------------------------------------------------------
 */

enum { ENCODING_SQL_ASCII = 0, ENCODING_UTF8 = 6 };

int
fn_encoding_to_char(struct func_call *call, const struct datum *args, struct datum *out)
{
    func_text(call,
              args[0].i == ENCODING_UTF8        ? "UTF8"
              : args[0].i == ENCODING_SQL_ASCII ? "SQL_ASCII"
                                                : "",
              out);
    return 0;
}

int
fn_char_to_encoding(struct func_call *call, const struct datum *args, struct datum *out)
{
    const char *name = func_arg_text(call, &args[0]);

    *out = datum_int(strcasecmp(name, "utf8") == 0 || strcasecmp(name, "utf-8") == 0 ? ENCODING_UTF8
                     : strcasecmp(name, "sql_ascii") == 0 ? ENCODING_SQL_ASCII
                                                          : -1);
    return 0;
}

int
fn_client_encoding(struct func_call *call, const struct datum *args, struct datum *out)
{
    (void)args;
    func_text(call, settings_value(&sess_of_call(call)->settings, SET_CLIENT_ENCODING), out);
    return 0;
}

/* ---- sleeping ----------------------------------------------------------------------------------
 */

/* In pieces, so that a cancel is noticed. */
int
fn_sleep(struct func_call *call, const struct datum *args, struct datum *out)
{
    struct sql_session *s = sess_of_call(call);
    double seconds = args[0].f;
    uint64_t end;

    *out = datum_int(0);
    if (!(seconds > 0))
        return 0;
    end = env_boot_ns(s->q->env) + (uint64_t)(fmin(seconds, 1e9) * 1e9);
    for (;;) {
        uint64_t now = env_boot_ns(s->q->env);

        if (s->client->canceled)
            return DIAG(ERR_QUERY_CANCELED, "canceling statement due to user request");
        if (now >= end)
            return 0;
        fiber_sleep_us(end - now > 20000000 ? 20000 : (end - now) / 1000 + 1);
    }
}

/* ---- privileges --------------------------------------------------------------------------------
 */

/* There are no grants: superusers may do all, owners what they like with what is theirs, and
 * everybody may use schemas and connect. Arguments: [role,] object [, column], privilege. */
int
fn_has_privilege(struct func_call *call, const struct datum *args, struct datum *out)
{
    struct sql_session *s = sess_of_call(call);
    bool is_table = strstr(call->func->name, "table") != NULL ||
                    strstr(call->func->name, "column") != NULL ||
                    strstr(call->func->name, "sequence") != NULL;
    bool has_role = call->func->arg_count > 2 && strstr(call->func->name, "column") == NULL;
    struct cat_role role = { .oid = s->role_oid, .is_superuser = s->is_superuser };
    const struct cat_table *t;
    int rc;

    if (has_role && call->func->args[0] == TYPE_NAME) {
        rc = cat_find_role(s->q->catalog, s->txn, datum_view(&args[0]), &role);
        if (rc == ERR_NOT_FOUND)
            return DIAG(ERR_UNDEFINED_OBJECT, "role \"%s\" does not exist",
                        func_arg_text(call, &args[0]));
        if (rc != 0)
            return rc;
    }
    if (is_table) {
        rc = func_relation(call, has_role ? 1 : 0, args, &t);
        if (rc != 0)
            return rc;
        if (t == NULL) {
            *out = datum_null();
            return 0;
        }
        *out = datum_bool(role.is_superuser || t->owner == role.oid || t->is_system);
        return 0;
    }
    *out = datum_bool(role.is_superuser ||
                      (args[call->arg_count - 1].size >= 6 &&
                       strncasecmp((const char *)args[call->arg_count - 1].p, "create", 6) != 0));
    return 0;
}

int
fn_has_role(struct func_call *call, const struct datum *args, struct datum *out)
{
    struct sql_session *s = sess_of_call(call);
    int at = call->func->arg_count == 3 ? 1 : 0;
    struct cat_role role = { .oid = (oid_t)args[at].i };
    int rc = 0;

    if (call->func->args[at] == TYPE_NAME)
        rc = cat_find_role(s->q->catalog, s->txn, datum_view(&args[at]), &role);
    if (rc == ERR_NOT_FOUND)
        return DIAG(ERR_UNDEFINED_OBJECT, "role \"%s\" does not exist",
                    func_arg_text(call, &args[at]));
    *out = datum_bool(s->is_superuser || role.oid == s->role_oid);
    return rc;
}

/* ---- sequences ---------------------------------------------------------------------------------
 */

int
fn_nextval(struct func_call *call, const struct datum *args, struct datum *out)
{
    int64_t v = 0;
    int rc = sequence_next(sess_of_call(call), (oid_t)args[0].i, &v);

    *out = datum_int(v);
    return rc;
}

int
fn_currval(struct func_call *call, const struct datum *args, struct datum *out)
{
    int64_t v = 0;
    int rc = sequence_current(sess_of_call(call), (oid_t)args[0].i, &v);

    *out = datum_int(v);
    return rc;
}

int
fn_lastval(struct func_call *call, const struct datum *args, struct datum *out)
{
    int64_t v = 0;
    int rc = sequence_last(sess_of_call(call), &v);

    (void)args;
    *out = datum_int(v);
    return rc;
}

int
fn_setval(struct func_call *call, const struct datum *args, struct datum *out)
{
    bool called = call->arg_count < 3 || args[2].i != 0;
    int rc = sequence_set(sess_of_call(call), (oid_t)args[0].i, args[1].i, called);

    *out = datum_int(args[1].i);
    return rc;
}
