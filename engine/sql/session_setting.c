/* SET, SHOW, RESET, and what each setting does to the session.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "engine/sql/session_int.h"
#include "engine/types/datetime.h"
#include "engine/types/zone.h"

/* ---- what a value does -------------------------------------------------------------------------
 */

/* The path as names; "$user" is the role. */
static void
apply_path(struct sql_session *s, const char *value)
{
    const char *item, *at = value;
    struct writer key;
    bool bad = false;
    int cap = 8;

    arena_reset(&s->path_arena);
    s->path = ARENA_ARRAY(&s->path_arena, const char *, cap);
    s->path_count = 0;
    s->path_has_catalog = false;
    wr_init(&key, 0);
    while (setting_list_next(&at, &s->path_arena, &item, &bad)) {
        if (strcmp(item, "$user") == 0)
            item = arena_strdup(&s->path_arena, s->role);
        if (s->path_count == cap) {
            const char **more = ARENA_ARRAY(&s->path_arena, const char *, 2 * cap);

            memcpy(more, s->path, (size_t)cap * sizeof *more);
            s->path = more;
            cap *= 2;
        }
        s->path[s->path_count++] = item;
        s->path_has_catalog |= strcmp(item, "pg_catalog") == 0;
        wr_bytes(&key, item, strlen(item));
        wr_u8(&key, '\n');
    }
    wr_u8(&key, '\0');
    s->path_key = arena_strdup(&s->path_arena, (const char *)key.data);
    wr_fini(&key);
}

static int8_t
least_message(const char *level)
{
    if (strcmp(level, "error") == 0)
        return -1;
    if (strcmp(level, "warning") == 0)
        return SQL_WARNING;
    if (strcmp(level, "notice") == 0 || strcmp(level, "info") == 0)
        return SQL_NOTICE;
    return strcmp(level, "log") == 0 ? SQL_LOG : SQL_DEBUG;
}

static void
apply_zone(struct sql_session *s, const char *value)
{
    if (sess_zone(s->q, slice_str(value), &s->types.zone) != 0)
        s->types.zone = NULL; /* it was there when it was set; UTC if its file has gone since */
}

static void
apply(struct sql_session *s, enum setting_id id, const char *value)
{
    switch (id) {
    case SET_SEARCH_PATH:
        apply_path(s, value);
        break;
    case SET_TIMEZONE:
        apply_zone(s, value);
        break;
    case SET_DATE_STYLE:
        s->types.date_order = strstr(value, "YMD") != NULL   ? DATE_ORDER_YMD
                              : strstr(value, "DMY") != NULL ? DATE_ORDER_DMY
                                                             : DATE_ORDER_MDY;
        break;
    case SET_EXTRA_FLOAT_DIGITS:
        s->types.extra_float_digits = (int8_t)setting_int(value);
        break;
    case SET_BYTEA_OUTPUT:
        s->types.bytea_escape = strcmp(value, "escape") == 0;
        break;
    case SET_CLIENT_MIN_MESSAGES:
        s->least_message = least_message(value);
        break;
    case SET_WORK_MEM:
        s->work_bytes = (size_t)setting_int(value) << 10;
        break;
    case SET_STANDBY_MAX_DATA_DELAY:
        s->max_delay_ms = setting_int(value);
        break;
    case SET_STATEMENT_TIMEOUT:
        s->client->statement_timeout_ms = (uint32_t)setting_int(value);
        break;
    case SET_IDLE_IN_TRANSACTION_SESSION_TIMEOUT:
        s->client->idle_in_transaction_timeout_ms = (uint32_t)setting_int(value);
        break;
    case SET_DEFAULT_TRANSACTION_ISOLATION:
        s->default_isolation =
            strcmp(value, "repeatable read") == 0 ? TXN_REPEATABLE_READ : TXN_READ_COMMITTED;
        break;
    case SET_DEFAULT_TRANSACTION_READ_ONLY:
        s->default_read_only = setting_bool(value);
        break;
    case SET_APPLICATION_NAME:
        env_mutex_lock(&s->activity.mutex);
        snprintf(s->activity.info.application_name, sizeof s->activity.info.application_name, "%s",
                 value);
        env_mutex_unlock(&s->activity.mutex);
        break;
    default:
        break;
    }
}

void
sess_setting_changed(void *arg, enum setting_id id)
{
    struct sql_session *s = arg;
    const char *value = settings_value(&s->settings, id);
    const struct setting *def = setting_get(id);

    apply(s, id, value);
    if ((def->flags & SETTING_REPORT) != 0)
        s->client->ops->parameter_status(s->client, def->name, value);
}

/* ---- setting -----------------------------------------------------------------------------------
 */

static int
unknown(const char *name)
{
    return DIAG(ERR_UNDEFINED_OBJECT, "unrecognized configuration parameter \"%s\"", name);
}

/* Those that are about the transaction at hand or the role, not values of their own. */
static int
set_computed(struct sql_session *s, enum setting_id id, const char *value)
{
    enum txn_isolation isolation;
    int rc;

    switch (id) {
    case SET_TRANSACTION_ISOLATION:
        rc = value == NULL ? 0 : sess_isolation_parse(value, &isolation);
        if (rc == 0 && value != NULL)
            rc = sess_tx_set_isolation(s, isolation == TXN_REPEATABLE_READ
                                              ? AST_ISOLATION_REPEATABLE_READ
                                              : AST_ISOLATION_READ_COMMITTED);
        return rc;
    case SET_TRANSACTION_READ_ONLY:
        return value == NULL ? 0 : sess_tx_set_read_only(s, setting_bool(value));
    case SET_TRANSACTION_DEFERRABLE:
        return 0;
    case SET_ROLE:
        if (value == NULL || strcmp(value, "none") == 0 || strcmp(value, s->session_role) == 0)
            return 0;
        return DIAG(ERR_NOT_SUPPORTED, "SET ROLE is not supported");
    case SET_SESSION_AUTHORIZATION:
        if (value == NULL || strcmp(value, "default") == 0 || strcmp(value, s->session_role) == 0)
            return 0;
        return DIAG(ERR_NOT_SUPPORTED, "SET SESSION AUTHORIZATION is not supported");
    default:
        return DIAG(ERR_CANNOT_CHANGE_PARAMETER, "parameter \"%s\" cannot be changed",
                    setting_get(id)->name);
    }
}

/* What the table's own check cannot know. */
static int
check_value(struct sql_session *s, struct arena *a, const struct setting *def, const char *value,
            const char **out)
{
    enum setting_id id = setting_id_of(def);
    enum txn_isolation isolation;
    const struct zone *zone;
    int rc;

    if (id == SET_DATE_STYLE && strcasecmp(value, "default") != 0)
        value =
            arena_printf(a, "%s, %s", strrchr(settings_value(&s->settings, id), ' ') + 1, value);
    if (id == SET_TIMEZONE &&
        (strcasecmp(value, "local") == 0 || strcasecmp(value, "default") == 0))
        value = settings_default(&s->settings, id);
    rc = setting_check(def, a, value, out);
    if (rc == 0 && id == SET_DEFAULT_TRANSACTION_ISOLATION)
        rc = sess_isolation_parse(*out, &isolation);
    if (rc == 0 && id == SET_TIMEZONE) {
        rc = sess_zone(s->q, slice_str(*out), &zone);
        if (rc == ERR_INVALID_PARAMETER_VALUE)
            rc = DIAG(ERR_INVALID_PARAMETER_VALUE,
                      "invalid value for parameter \"TimeZone\": \"%.200s\"", value);
        if (rc == 0)
            *out = arena_strdup(a, zone_name(zone));
    }
    return rc;
}

int
sess_set_value(struct sql_session *s, const char *name, const char *value, bool is_local)
{
    const struct setting *def = setting_find(name);
    struct arena a;
    int rc = 0;

    if (def == NULL) {
        if (!setting_name_is_custom(name))
            return unknown(name);
        settings_set_custom(&s->settings, name, value, is_local, s->savepoint_count);
        return 0;
    }
    arena_init(&a, NULL);
    if (value != NULL)
        rc = check_value(s, &a, def, value, &value);
    else if ((def->flags & SETTING_INTERNAL) != 0)
        rc = setting_check(def, &a, "", &value);
    if (rc == 0 && (def->flags & SETTING_COMPUTED) != 0)
        rc = set_computed(s, setting_id_of(def), value);
    else if (rc == 0)
        settings_set(&s->settings, setting_id_of(def), value, is_local, s->savepoint_count);
    arena_fini(&a);
    return rc;
}

int
sess_set_startup(struct sql_session *s, const struct sql_open *o)
{
    struct arena a;
    int rc = 0;

    arena_init(&a, NULL);
    for (int i = 0; i < SETTING_COUNT; i++) {
        const char *value = settings_value(&s->settings, (enum setting_id)i);

        apply(s, (enum setting_id)i, value);
        if (s->q->defaults[i] != NULL)
            sess_setting_changed(s, (enum setting_id)i);
    }
    if (o->application_name != NULL && o->application_name[0] != '\0')
        settings_set_default(&s->settings, SET_APPLICATION_NAME, o->application_name);
    for (int i = 0; i < o->setting_count && rc == 0; i++) {
        const struct setting *def = setting_find(o->settings[i].name);
        const char *value = o->settings[i].value;

        if (def == NULL || (def->flags & SETTING_COMPUTED) != 0) {
            rc = sess_set_value(s, o->settings[i].name, value, false);
            continue;
        }
        rc = check_value(s, &a, def, value, &value);
        if (rc == 0)
            settings_set_default(&s->settings, setting_id_of(def), value);
    }
    settings_commit(&s->settings);
    arena_fini(&a);
    return rc;
}

/* ---- SET ---------------------------------------------------------------------------------------
 */

/* SET TIME ZONE INTERVAL '-08:00' HOUR TO MINUTE, or a number of hours. */
static int
zone_offset(struct arena *a, int64_t seconds, const char **out)
{
    int64_t size = seconds < 0 ? -seconds : seconds;

    if (size >= 168 * 3600)
        return DIAG(ERR_INVALID_PARAMETER_VALUE, "time zone offset is out of range");
    *out = arena_printf(a, "%c%02" PRId64 ":%02" PRId64, seconds < 0 ? '-' : '+', size / 3600,
                        size / 60 % 60);
    return 0;
}

static int
value_of_cast(struct sql_session *s, const struct ast_cast *c, const char **out)
{
    const struct ast_literal *l = AST_CONST(ast_literal, c->arg);
    struct interval v;
    struct datum d;
    int rc;

    if (strcmp(c->type->name, "interval") != 0 || c->arg->kind != AST_LITERAL)
        return DIAG(ERR_NOT_SUPPORTED, "SET does not take a value of type %s", c->type->name);
    rc = type_in(TYPE_INTERVAL, &s->types, &s->message, l->text, -1, &d);
    if (rc != 0)
        return rc;
    v = interval_load(&d);
    if (v.months != 0 || v.days != 0)
        return DIAG(ERR_INVALID_PARAMETER_VALUE,
                    "invalid interval value for time zone: month or day not allowed");
    return zone_offset(&s->message, v.us / US_PER_SECOND, out);
}

const char *
sess_option_text(struct arena *a, const struct ast *value)
{
    const struct ast_literal *l = AST_CONST(ast_literal, value);

    if (value == NULL)
        return NULL;
    if (value->kind == AST_NAME)
        return AST_CONST(ast_name, value)->name;
    if (value->kind != AST_LITERAL)
        return NULL;
    switch (l->type) {
    case AST_LIT_BOOL:
        return l->boolean ? "true" : "false";
    case AST_LIT_INT:
        return arena_printf(a, "%" PRId64, l->integer);
    case AST_LIT_NUMERIC:
    case AST_LIT_STRING:
        return arena_strndup(a, (const char *)l->text.data, l->text.size);
    default:
        return NULL;
    }
}

static int
value_text(struct sql_session *s, const struct ast_set *a, const struct ast *item, const char **out)
{
    if (item->kind == AST_CAST)
        return value_of_cast(s, AST_CONST(ast_cast, item), out);
    *out = sess_option_text(&s->message, item);
    if (*out == NULL)
        return DIAG(ERR_SYNTAX, "SET %s does not take such a value", a->name);
    if (strcmp(a->name, "timezone") == 0 && item->kind == AST_LITERAL &&
        AST_CONST(ast_literal, item)->type != AST_LIT_STRING)
        return zone_offset(&s->message, (int64_t)(strtod(*out, NULL) * 3600), out);
    return 0;
}

static int
list_text(struct sql_session *s, const struct ast_set *a, const struct setting *def,
          const char **out)
{
    bool is_list =
        def != NULL && ((def->flags & SETTING_LIST) != 0 || setting_id_of(def) == SET_DATE_STYLE);
    const char *all = "";
    int32_t count = ast_count(a->values);

    if (count > 1 && !is_list)
        return DIAG(ERR_INVALID_PARAMETER_VALUE, "SET %s takes only one argument", a->name);
    for (int32_t i = 0; i < count; i++) {
        const char *one;
        int rc = value_text(s, a, a->values->item[i], &one);

        if (rc != 0)
            return rc;
        if (def != NULL && (def->flags & SETTING_LIST) != 0)
            one = sql_quote_ident(&s->message, one);
        all = i == 0 ? one : arena_printf(&s->message, "%s, %s", all, one);
    }
    *out = all;
    return 0;
}

int
sess_set_run(struct sql_session *s, const struct ast_set *a, char tag[TAG_MAX])
{
    bool is_reset = a->set == AST_SET_RESET || a->set == AST_SET_RESET_ALL;
    const char *value = NULL;
    int rc = 0;

    snprintf(tag, TAG_MAX, is_reset ? "RESET" : "SET");
    if (a->set == AST_SET_FROM_CURRENT)
        return DIAG(ERR_NOT_SUPPORTED, "SET ... FROM CURRENT is not supported here");
    if (a->set == AST_SET_RESET_ALL) {
        settings_reset_all(&s->settings, s->savepoint_count);
        return 0;
    }
    if (a->local && s->tx == TX_IMPLICIT && !s->tx_several)
        sess_notice(s, SQL_WARNING, ERR_NO_ACTIVE_TRANSACTION,
                    "SET LOCAL can only be used in transaction blocks");
    if (a->set == AST_SET_VALUE)
        rc = list_text(s, a, setting_find(a->name), &value);
    return rc != 0 ? rc : sess_set_value(s, a->name, value, a->local);
}

/* ---- SHOW --------------------------------------------------------------------------------------
 */

const char *
sess_setting_raw(struct sql_session *s, enum setting_id id)
{
    bool open = s->tx != TX_NONE;

    switch (id) {
    case SET_IN_HOT_STANDBY:
        return engine_is_open(s->q->engine) ? "off" : "on";
    case SET_IS_SUPERUSER:
        return s->is_superuser ? "on" : "off";
    case SET_ROLE:
        return "none";
    case SET_SERVER_VERSION:
        return s->q->version;
    case SET_SESSION_AUTHORIZATION:
        return s->session_role;
    case SET_TRANSACTION_ISOLATION:
        return sess_isolation_name(open ? s->isolation : s->default_isolation);
    case SET_TRANSACTION_READ_ONLY:
        return (open ? s->tx_read_only : s->default_read_only) || !engine_is_open(s->q->engine)
                   ? "on"
                   : "off";
    default:
        return settings_value(&s->settings, id);
    }
}

int
sess_show_value(struct sql_session *s, struct arena *a, const char *name, const char **out)
{
    const struct setting *def = setting_find(name);

    if (def == NULL) {
        *out = settings_custom(&s->settings, name);
        return *out != NULL ? 0 : unknown(name);
    }
    *out = setting_show(def, a, sess_setting_raw(s, setting_id_of(def)));
    return 0;
}

static int
show_all(struct sql_session *s)
{
    int rc = 0;

    for (int i = 0; i < SETTING_COUNT && rc == 0; i++) {
        const struct setting *def = setting_get((enum setting_id)i);
        const char *row[3] = { def->name, NULL, def->description };

        row[1] = setting_show(def, &s->message, sess_setting_raw(s, (enum setting_id)i));
        rc = sess_text_row(s, row, 3);
    }
    return rc;
}

int
sess_show_run(struct sql_session *s, const struct ast_show *a, const struct dest *d,
              char tag[TAG_MAX])
{
    const char *value;
    int rc;

    snprintf(tag, TAG_MAX, "SHOW");
    rc = a->name != NULL ? sess_show_value(s, &s->message, a->name, &value) : 0;
    if (rc != 0)
        return rc;
    if (d->describe)
        (void)sess_show_describe(s, a, d->formats, d->format_count);
    return a->name == NULL ? show_all(s) : sess_text_row(s, &value, 1);
}

int
sess_show_describe(struct sql_session *s, const struct ast_show *a, const int16_t *formats,
                   int format_count)
{
    const struct text_column all[] = { { "name", 0 }, { "setting", 0 }, { "description", 0 } };
    const struct setting *def = a->name != NULL ? setting_find(a->name) : NULL;
    struct text_column one = { def != NULL ? def->name : a->name, 0 };

    if (a->name == NULL) {
        sess_text_describe(s, all, 3, formats, format_count);
        return 3;
    }
    sess_text_describe(s, &one, 1, formats, format_count);
    return 1;
}
