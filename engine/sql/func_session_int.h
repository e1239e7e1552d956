/* The kernels of the session's own functions, which func_session.c's table names.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_SQL_FUNC_SESSION_INT_H
#define ENGINE_SQL_FUNC_SESSION_INT_H

#include "engine/sql/session_int.h"

/* A text result in the call's arena. */
static inline void
func_text(struct func_call *call, const char *s, struct datum *out)
{
    size_t n = strlen(s);

    *out = datum_bytes(arena_memdup(call->arena, s, n), n);
}
static inline const char *
func_arg_text(struct func_call *call, const struct datum *arg)
{
    return arena_strndup(call->arena, (const char *)arg->p, arg->size);
}
/* The relation an argument names or numbers; *out NULL: none. */
MUST_CHECK
int func_relation(struct func_call *call, int arg, const struct datum *args,
                  const struct cat_table **out);

/* func_session_info.c */
func_fn fn_version, fn_current_database, fn_current_schema, fn_current_schemas, fn_current_user,
    fn_session_user, fn_backend_pid, fn_null, fn_true, fn_false, fn_txid_current,
    fn_txid_if_assigned, fn_txid_status, fn_in_recovery, fn_current_setting, fn_set_config,
    fn_userbyid, fn_encoding_to_char, fn_char_to_encoding, fn_client_encoding, fn_start_time,
    fn_sleep, fn_current_scn, fn_wait_for_scn, fn_has_privilege, fn_has_role, fn_nextval,
    fn_currval, fn_lastval, fn_setval, fn_zero_oid;
/* func_session_catalog.c */
func_fn fn_table_is_visible, fn_get_expr, fn_get_indexdef, fn_get_constraintdef, fn_get_viewdef,
    fn_obj_description, fn_col_description, fn_to_regclass, fn_to_regtype, fn_to_regnamespace,
    fn_to_regrole, fn_to_regproc, fn_function_result, fn_function_arguments, fn_relation_size,
    fn_indexes_size, fn_database_size, fn_size_pretty, fn_serial_sequence, fn_sequence_last_value,
    fn_relation_filenode, fn_column_size, fn_is_publishable;

#endif
