/* Names of tables: the search path, and what a name means along it.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "engine/sql/session_int.h"

static int
find_in(struct sql_session *s, struct cat_set *set, oid_t schema, const char *name,
        const struct cat_table **out)
{
    return cat_find_table(set, s->txn, schema, slice_str(name), out);
}

/* pg_catalog comes first unless the path names it elsewhere. */
static int
find_on_path(struct sql_session *s, struct cat_set *set, const char *name,
             const struct cat_table **out)
{
    int rc = 0;

    *out = NULL;
    if (!s->path_has_catalog)
        rc = find_in(s, set, CAT_NAMESPACE_CATALOG, name, out);
    for (int i = 0; i < s->path_count && rc == 0 && *out == NULL; i++) {
        oid_t schema;

        rc = cat_find_schema(set, s->txn, slice_str(s->path[i]), &schema);
        if (rc == 0 && schema != 0)
            rc = find_in(s, set, schema, name, out);
    }
    return rc;
}

int
sess_find_table(struct sql_session *s, const char *schema, const char *name,
                const struct cat_table **out, bool *schema_exists)
{
    struct cat_set *set;
    oid_t oid;
    int rc = sess_set(s, &set);

    *out = NULL;
    *schema_exists = true;
    if (rc != 0)
        return rc;
    if (schema == NULL)
        return find_on_path(s, set, name, out);
    rc = cat_find_schema(set, s->txn, slice_str(schema), &oid);
    if (rc != 0)
        return rc;
    *schema_exists = oid != 0;
    return oid == 0 ? 0 : find_in(s, set, oid, name, out);
}

int
sess_table_by_oid(struct sql_session *s, oid_t oid, const struct cat_table **out)
{
    struct cat_set *set;
    int rc = sess_set(s, &set);

    return rc != 0 ? rc : cat_find_table_by_oid(set, s->txn, oid, out);
}

static int
check_catalog(struct sql_session *s, const struct ast_relation *r)
{
    if (r->catalog != NULL && strcmp(r->catalog, s->database) != 0)
        return DIAG(ERR_NOT_SUPPORTED,
                    "cross-database references are not implemented: \"%s.%s.%s\"", r->catalog,
                    r->schema, r->name);
    return 0;
}

int
sess_need_table(struct sql_session *s, const struct ast_relation *r, const struct cat_table **out)
{
    bool schema_exists;
    int rc = check_catalog(s, r);

    if (rc == 0)
        rc = sess_find_table(s, r->schema, r->name, out, &schema_exists);
    if (rc != 0)
        return rc;
    if (*out != NULL)
        return 0;
    if (r->schema == NULL)
        return DIAG(ERR_UNDEFINED_TABLE, "relation \"%s\" does not exist", r->name);
    return DIAG(ERR_UNDEFINED_TABLE, "relation \"%s.%s\" does not exist", r->schema, r->name);
}

static int
first_schema(struct sql_session *s, struct cat_set *set, oid_t *oid, const char **name)
{
    *oid = 0;
    for (int i = 0; i < s->path_count && *oid == 0; i++) {
        int rc = cat_find_schema(set, s->txn, slice_str(s->path[i]), oid);

        if (rc != 0)
            return rc;
        *name = s->path[i];
    }
    if (*oid == 0)
        return DIAG(ERR_UNDEFINED_SCHEMA, "no schema has been selected to create in");
    return 0;
}

int
sess_creation_schema(struct sql_session *s, const struct ast_relation *r, oid_t *oid,
                     const char **name)
{
    struct cat_set *set;
    oid_t owner;
    int rc = sess_set(s, &set);

    if (rc == 0)
        rc = check_catalog(s, r);
    if (rc == 0 && r->schema == NULL) {
        rc = first_schema(s, set, oid, name);
    } else if (rc == 0) {
        *name = r->schema;
        rc = cat_find_schema(set, s->txn, slice_str(r->schema), oid);
        if (rc == 0 && *oid == 0)
            rc = DIAG(ERR_UNDEFINED_SCHEMA, "schema \"%s\" does not exist", r->schema);
    }
    if (rc != 0)
        return rc;
    if (*oid == CAT_NAMESPACE_CATALOG || *oid == CAT_NAMESPACE_INFO) {
        rc = DIAG(ERR_PRIVILEGE, "permission denied to create \"%s.%s\"", *name, r->name);
        diag_detail("System catalog modifications are currently disallowed.");
        return rc;
    }
    if (s->is_superuser)
        return 0;
    rc = cat_schema_owner(set, s->txn, *oid, &owner);
    if (rc == 0 && owner != s->role_oid)
        rc = DIAG(ERR_PRIVILEGE, "permission denied for schema %s", *name);
    return rc;
}

int
sess_is_visible(struct sql_session *s, oid_t schema, const char *name, oid_t oid, bool *yes)
{
    const struct cat_table *found;
    bool schema_exists;
    int rc = sess_find_table(s, NULL, name, &found, &schema_exists);

    (void)schema;
    *yes = rc == 0 && found != NULL && found->oid == oid;
    return rc;
}

/* ---- privileges ------------------------------------------------------------------------------ */

int
sess_want_owner(struct sql_session *s, const struct cat_table *t)
{
    if (s->is_superuser || (!t->is_system && !t->is_virtual && t->owner == s->role_oid))
        return 0;
    return DIAG(ERR_PRIVILEGE, "permission denied for table %s", t->name);
}

int
sess_want_read(struct sql_session *s, const struct cat_table *t)
{
    if ((t->is_system || t->is_virtual) && t->oid != systable_get(SYS_AUTHID)->oid)
        return 0;
    return sess_want_owner(s, t);
}

/* ---- for the binder -------------------------------------------------------------------------- */

static int
binder_find_table(void *arg, const char *schema, const char *name, const struct cat_table **out,
                  bool *schema_exists)
{
    return sess_find_table(arg, schema, name, out, schema_exists);
}

static int
binder_find_table_by_oid(void *arg, oid_t oid, const struct cat_table **out)
{
    return sess_table_by_oid(arg, oid, out);
}

/* The catalogue of the moment; the plan that is being made keeps it. */
static int
past_set(struct sql_session *s, const struct expr *value, bool by_scn, struct cat_set **out)
{
    struct read_moment moment;
    struct cat_set *set;
    struct datum d;
    int rc = sess_set(s, &set);

    if (s->past == NULL)
        return DIAG(ERR_NOT_SUPPORTED, "AS OF is not supported here");
    if (s->past->count == SESS_PAST_MAX)
        return DIAG(ERR_LIMIT, "a statement can read at most %d tables AS OF", SESS_PAST_MAX);
    if (rc == 0)
        rc = exec_eval(sess_ctx(s, set, NULL, 0), value, &s->message, &d);
    if (rc == 0)
        rc = exec_moment(s->q->engine, &d, by_scn, &moment);
    if (rc == 0)
        rc = txn_pin_moment(s->txn, moment);
    if (rc == 0)
        rc = catalog_acquire(s->q->catalog, s->txn, &moment, out);
    if (rc == 0)
        s->past->sets[s->past->count++] = *out;
    return rc;
}

static int
binder_find_table_at(void *arg, const struct expr *value, bool by_scn, const char *schema,
                     const char *name, const struct cat_table **out, bool *schema_exists)
{
    struct sql_session *s = arg;
    struct cat_set *set;
    oid_t oid = 0;
    int rc = past_set(s, value, by_scn, &set);

    *out = NULL;
    *schema_exists = true;
    if (rc == 0 && schema == NULL) {
        rc = find_on_path(s, set, name, out);
    } else if (rc == 0) {
        rc = cat_find_schema(set, s->txn, slice_str(schema), &oid);
        *schema_exists = oid != 0;
        if (rc == 0 && oid != 0)
            rc = find_in(s, set, oid, name, out);
    }
    /* what has been dropped since is looked for in vain when the plan is checked */
    if (rc == 0 && *out != NULL)
        rc = sess_want_read(s, *out);
    return rc;
}

struct binder_catalog
sess_binder_catalog(struct sql_session *s)
{
    return (struct binder_catalog){ binder_find_table, binder_find_table_at,
                                    binder_find_table_by_oid, s };
}

const char *
sess_display_name(struct sql_session *s, struct arena *a, const struct cat_table *t)
{
    bool visible;

    if (sess_is_visible(s, t->schema_oid, t->name, t->oid, &visible) == 0 && visible)
        return sql_quote_ident(a, t->name);
    return arena_printf(a, "%s.%s", sql_quote_ident(a, t->schema), sql_quote_ident(a, t->name));
}
