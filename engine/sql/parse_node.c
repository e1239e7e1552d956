/* Nodes of queries and statements, made for the grammar's actions.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "engine/sql/parse_int.h"

static const char *
list_name(const struct ast_list *list, int32_t i)
{
    return AST_CONST(ast_name, list->item[i])->name;
}

/* ---- names and types ----------------------------------------------------------------------- */

/* NULL (after an error) for NULL. */
struct ast_relation *
node_relation(struct parser *p, const struct ast_list *names, int32_t at)
{
    struct ast_relation *r;

    if (names == NULL)
        return NULL;
    r = NODE(p, AST_RELATION, ast_relation, at);
    r->name = list_name(names, names->count - 1);
    r->schema = names->count > 1 ? list_name(names, names->count - 2) : NULL;
    r->catalog = names->count > 2 ? list_name(names, names->count - 3) : NULL;
    return r;
}

struct ast_type_name *
node_type(struct parser *p, const char *name, struct ast_list *typmods, int32_t at)
{
    struct ast_type_name *t = NODE(p, AST_TYPE_NAME, ast_type_name, at);

    t->schema = "pg_catalog";
    t->name = name;
    t->typmods = typmods;
    return t;
}

struct ast_type_name *
node_type_named(struct parser *p, const struct ast_list *names, struct ast_list *typmods,
                int32_t at)
{
    static const char *const serial[][2] = { { "smallserial", "int2" }, { "serial2", "int2" },
                                             { "serial", "int4" },      { "serial4", "int4" },
                                             { "bigserial", "int8" },   { "serial8", "int8" } };
    struct ast_type_name *t = node_type(p, list_name(names, names->count - 1), typmods, at);

    t->schema = names->count > 1 ? list_name(names, names->count - 2) : NULL;
    for (size_t i = 0; t->schema == NULL && i < sizeof serial / sizeof serial[0]; i++)
        if (strcmp(t->name, serial[i][0]) == 0) {
            t->name = serial[i][1];
            t->is_serial = true;
            break;
        }
    return t;
}

struct ast *
node_target(struct parser *p, struct ast *value, const char *name, int32_t at)
{
    struct ast_target *t = NODE(p, AST_TARGET, ast_target, at);

    t->value = value;
    t->name = name;
    return &t->node;
}

struct ast *
node_option(struct parser *p, const char *name, struct ast *value, int32_t at)
{
    struct ast_option *o = NODE(p, AST_OPTION, ast_option, at);

    o->name = name;
    o->value = value;
    return &o->node;
}

/* ---- FROM ---------------------------------------------------------------------------------- */

struct ast_alias *
node_alias(struct parser *p, const char *name, struct ast_list *columns)
{
    struct ast_alias *a = ARENA_NEW(p->arena, struct ast_alias);

    a->name = name;
    a->columns = columns;
    return a;
}

struct ast *
node_table(struct parser *p, struct ast_relation *relation, const struct ast_alias *alias,
           int32_t at)
{
    struct ast_table *t = NODE(p, AST_TABLE, ast_table, at);

    t->relation = relation;
    if (alias != NULL)
        t->alias = *alias;
    return &t->node;
}

struct ast *
node_as_of(struct parser *p, enum ast_as_of as_of, struct ast *value, int32_t at)
{
    struct ast_table *t = NODE(p, AST_TABLE, ast_table, at);

    t->as_of = as_of;
    t->as_of_value = value;
    return &t->node;
}

/* func: an ast_table_func with its call. */
struct ast *
node_table_func(struct parser *p, struct ast *func, const struct ast_alias *alias, int32_t at)
{
    (void)p;
    func->at = at;
    if (alias != NULL)
        AST_AS(ast_table_func, func)->alias = *alias;
    return func;
}

struct ast *
node_subquery(struct parser *p, struct ast_select *query, const struct ast_alias *alias,
              bool lateral, int32_t at)
{
    struct ast_subquery *s;

    if (alias == NULL) {
        bool values = query->values != NULL;

        parser_fail(p, ERR_SYNTAX, at,
                    values ? "VALUES in FROM must have an alias"
                           : "subquery in FROM must have an alias");
        diag_hint("For example, FROM (%s ...) [AS] foo.", values ? "VALUES" : "SELECT");
        return NULL;
    }
    s = NODE(p, AST_SUBQUERY, ast_subquery, at);
    s->query = &query->node;
    s->alias = *alias;
    s->lateral = lateral;
    return &s->node;
}

struct ast *
node_join(struct parser *p, enum ast_join_kind kind, struct ast *left, struct ast *right,
          int32_t at)
{
    return node_join_qual(node_new(p, AST_JOIN, sizeof(struct ast_join), at), kind, left, right,
                          at);
}

/* qual: an ast_join that has only its condition so far. */
struct ast *
node_join_qual(struct ast *qual, enum ast_join_kind kind, struct ast *left, struct ast *right,
               int32_t at)
{
    struct ast_join *j = AST_AS(ast_join, qual);

    j->node.at = at;
    j->join = kind;
    j->left = left;
    j->right = right;
    return qual;
}

/* ---- queries ------------------------------------------------------------------------------- */

struct ast_with_clause *
node_with(struct parser *p, struct ast_list *ctes, bool recursive, int32_t at)
{
    struct ast_with_clause *w = ARENA_NEW(p->arena, struct ast_with_clause);

    w->ctes = ctes;
    w->recursive = recursive;
    w->at = at;
    return w;
}

struct ast_select *
node_set_op(struct parser *p, enum ast_set_op op, bool all, struct ast_select *left,
            struct ast_select *right, int32_t at)
{
    struct ast_select *s = NODE(p, AST_SELECT, ast_select, at);

    s->set_op = op;
    s->set_all = all;
    s->left = left;
    s->right = right;
    return s;
}

/* TABLE t is SELECT * FROM t. */
struct ast_select *
node_table_select(struct parser *p, struct ast_relation *relation, int32_t at)
{
    struct ast_select *s = NODE(p, AST_SELECT, ast_select, at);

    s->targets = list_one(p, node_target(p, node_column(p, NULL, true, at), NULL, at));
    s->from = list_one(p, node_table(p, relation, NULL, at));
    return s;
}

struct ast_select *
select_finish(struct parser *p, struct ast_select *s, struct ast_list *order_by,
              struct ast_list *locking, const struct ast_select *limits,
              struct ast_with_clause *with)
{
    if (order_by != NULL && s->order_by != NULL)
        parser_fail(p, ERR_SYNTAX, order_by->item[0]->at, "multiple ORDER BY clauses not allowed");
    if (order_by != NULL)
        s->order_by = order_by;
    s->locking = list_join(p, s->locking, locking);
    if (limits != NULL) {
        if (limits->offset != NULL && s->offset != NULL)
            parser_fail(p, ERR_SYNTAX, limits->offset->at, "multiple OFFSET clauses not allowed");
        if (limits->limit != NULL && s->limit != NULL)
            parser_fail(p, ERR_SYNTAX, limits->limit->at, "multiple LIMIT clauses not allowed");
        if (limits->with_ties && s->order_by == NULL)
            parser_fail(p, ERR_SYNTAX, limits->limit->at,
                        "WITH TIES cannot be specified without ORDER BY clause");
        if (limits->offset != NULL)
            s->offset = limits->offset;
        if (limits->limit != NULL)
            s->limit = limits->limit;
        s->with_ties = s->with_ties || limits->with_ties;
    }
    if (with != NULL && s->with != NULL)
        parser_fail(p, ERR_SYNTAX, with->at, "multiple WITH clauses not allowed");
    if (with != NULL)
        s->with = with;
    return s;
}

struct ast *
node_insert(struct parser *p, struct ast_insert *rest, const struct ast_insert *conflict,
            int32_t at)
{
    (void)p;
    rest->node.at = at;
    rest->conflict = conflict->conflict;
    rest->conflict_at = conflict->conflict_at;
    rest->conflict_columns = conflict->conflict_columns;
    rest->conflict_index_where = conflict->conflict_index_where;
    rest->conflict_constraint = conflict->conflict_constraint;
    rest->conflict_set = conflict->conflict_set;
    rest->conflict_where = conflict->conflict_where;
    return &rest->node;
}

/* ---- definitions --------------------------------------------------------------------------- */

struct ast_constraint *
node_constraint(struct parser *p, enum ast_constraint_kind kind, int32_t at)
{
    struct ast_constraint *c = NODE(p, AST_CONSTRAINT, ast_constraint, at);

    c->constraint = kind;
    return c;
}

struct ast_constraint *
constraint_attribute(struct ast_constraint *c, const struct ast_constraint *attributes)
{
    c->deferrable = c->deferrable || attributes->deferrable;
    c->initially_deferred = c->initially_deferred || attributes->initially_deferred;
    c->not_valid = attributes->not_valid;
    c->no_inherit = attributes->no_inherit;
    return c;
}

struct ast_list *
constraint_add(struct parser *p, struct ast_list *list, struct ast_constraint *c)
{
    struct ast_constraint *before;

    if (c->constraint != AST_CON_ATTRIBUTE)
        return list_add(p, list, c);
    before = list == NULL ? NULL : AST_AS(ast_constraint, list->item[list->count - 1]);
    if (before == NULL ||
        (before->constraint != AST_CON_FOREIGN && before->constraint != AST_CON_UNIQUE &&
         before->constraint != AST_CON_PRIMARY)) {
        parser_fail(p, ERR_SYNTAX, c->node.at, "misplaced DEFERRABLE clause");
        return list;
    }
    constraint_attribute(before, c);
    return list;
}

struct ast_alter_cmd *
node_alter(struct parser *p, enum ast_alter_kind kind, const char *name, int32_t at)
{
    struct ast_alter_cmd *c = NODE(p, AST_ALTER_CMD, ast_alter_cmd, at);

    c->alter = kind;
    c->name = name;
    return c;
}

struct ast *
node_drop(struct parser *p, int object, bool if_exists, struct ast_list *names, bool cascade,
          int32_t at)
{
    struct ast_drop *d = NODE(p, AST_DROP, ast_drop, at);

    d->object = (enum ast_object)object;
    d->if_exists = if_exists;
    d->names = names;
    d->cascade = cascade;
    return &d->node;
}

struct ast *
node_rename(struct parser *p, int object, struct ast_relation *relation, const char *old_name,
            const char *new_name, bool if_exists, int32_t at)
{
    struct ast_rename *r = NODE(p, AST_RENAME, ast_rename, at);

    r->object = (enum ast_object)object;
    r->relation = relation;
    r->old_name = old_name;
    r->new_name = new_name;
    r->if_exists = if_exists;
    return &r->node;
}

/* ---- roles, comments ------------------------------------------------------------------------- */

struct ast *
node_role(struct parser *p, enum ast_role_op op, struct ast_list *names, struct ast_list *options,
          int32_t at)
{
    struct ast_role *r = NODE(p, AST_ROLE, ast_role, at);

    r->op = op;
    r->names = names;
    r->options = options;
    return &r->node;
}

/* SUPERUSER, NOLOGIN and the like: an option with a boolean. NULL after an error. */
struct ast *
node_role_flag(struct parser *p, const char *word, int32_t at)
{
    static const char *const flags[] = { "superuser", "createdb",    "createrole", "login",
                                         "inherit",   "replication", "bypassrls" };
    bool value = strncmp(word, "no", 2) != 0;
    const char *name = value ? word : word + 2;

    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++)
        if (strcmp(name, flags[i]) == 0)
            return node_option(p, flags[i], node_bool_literal(p, value, (struct sql_loc){ at, at }),
                               at);
    parser_fail(p, ERR_SYNTAX, at, arena_printf(p->arena, "unrecognized role option \"%s\"", word));
    return NULL;
}

/* Of a column the name's last part is the column. */
struct ast *
node_comment(struct parser *p, enum ast_object object, const struct ast_list *name,
             const char *text, int32_t at)
{
    struct ast_comment *c = NODE(p, AST_COMMENT, ast_comment, at);
    struct ast_list relation = *name;

    c->object = object;
    c->text = text;
    if (object == AST_OBJ_COLUMN) {
        c->name = list_name(name, name->count - 1);
        relation.count--;
    }
    if (relation.count == 0 || relation.count > 3)
        parser_fail(p, ERR_SYNTAX, name->item[0]->at,
                    object == AST_OBJ_COLUMN ? "column name must be qualified"
                                             : "improper qualified name (too many dotted names)");
    else
        c->relation = node_relation(p, &relation, name->item[0]->at);
    return &c->node;
}

/* ---- transactions and cursors ---------------------------------------------------------------- */

struct ast_tx_modes *
node_modes(struct parser *p)
{
    struct ast_tx_modes *m = ARENA_NEW(p->arena, struct ast_tx_modes);

    m->read_only = m->deferrable = -1;
    return m;
}

/* What b says goes before what a said. */
struct ast_tx_modes *
modes_merge(struct ast_tx_modes *a, const struct ast_tx_modes *b)
{
    if (b->isolation != AST_ISOLATION_DEFAULT)
        a->isolation = b->isolation;
    if (b->read_only >= 0)
        a->read_only = b->read_only;
    if (b->deferrable >= 0)
        a->deferrable = b->deferrable;
    return a;
}

struct ast *
node_transaction(struct parser *p, enum ast_transaction_op op, const char *name,
                 const struct ast_tx_modes *modes, int32_t at)
{
    struct ast_transaction *t = NODE(p, AST_TRANSACTION, ast_transaction, at);

    t->op = op;
    t->name = name;
    t->modes = modes != NULL ? *modes : *node_modes(p);
    return &t->node;
}

struct ast *
node_fetch(struct parser *p, const char *name, enum ast_fetch_dir dir, int64_t count)
{
    struct ast_fetch *f = NODE(p, AST_FETCH, ast_fetch, -1);

    f->name = name;
    f->dir = dir;
    f->count = count;
    return &f->node;
}

void
parser_add_statement(struct parser *p, struct ast *body, struct sql_loc loc)
{
    struct ast_statement *s = NODE(p, AST_STATEMENT, ast_statement, loc.at);

    s->body = body;
    s->end = loc.end;
    p->statements = list_add(p, p->statements, s);
}
