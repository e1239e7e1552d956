/* Plans for a session's statements: out of the shared cache, or made; kept right while the
 * catalogue changes.
 *
 * SESS-3: a plan is run only in a snapshot whose catalogue has the version that the plan was made
 * for, and after the locks of the tables that it writes have been taken.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "engine/sql/planner.h"
#include "engine/sql/session_int.h"

/* ---- which tables a plan locks ----------------------------------------------------------------
 */

enum { PLAN_LOCKS_MAX = 256 };

struct lock_list {
    struct sql_session *s;
    struct cat_set *set;
    int count;
    struct plan_lock locks[PLAN_LOCKS_MAX];
};

static int
lock_add(struct lock_list *l, const struct cat_table *t, int mode, bool *is_new)
{
    *is_new = false;
    for (int i = 0; i < l->count; i++) {
        if (l->locks[i].oid != t->oid)
            continue;
        if (l->locks[i].mode < mode) {
            l->locks[i].mode = (uint8_t)mode;
            *is_new = true;
        }
        return 0;
    }
    if (l->count == PLAN_LOCKS_MAX)
        return DIAG(ERR_LIMIT, "statement changes or refers to more than %d tables",
                    PLAN_LOCKS_MAX);
    l->locks[l->count++] = (struct plan_lock){ t->oid, (uint8_t)mode, t->change };
    *is_new = true;
    return 0;
}

static int lock_written(struct lock_list *l, const struct cat_table *t, int depth);

static bool
fk_acts(const struct cat_fk *fk)
{
    return (fk->on_delete != CAT_FK_NO_ACTION && fk->on_delete != CAT_FK_RESTRICT) ||
           (fk->on_update != CAT_FK_NO_ACTION && fk->on_update != CAT_FK_RESTRICT);
}

/* Another table of a foreign key: read, or changed by its actions. */
static int
lock_other(struct lock_list *l, oid_t oid, bool written, int depth)
{
    const struct cat_table *t;
    bool is_new;
    int rc = cat_find_table_by_oid(l->set, l->s->txn, oid, &t);

    if (rc != 0 || t == NULL)
        return rc;
    return written ? lock_written(l, t, depth + 1) : lock_add(l, t, TABLE_ROW_SHARE, &is_new);
}

static int
lock_written(struct lock_list *l, const struct cat_table *t, int depth)
{
    bool is_new;
    int rc = lock_add(l, t, TABLE_ROW_EXCLUSIVE, &is_new);

    if (rc != 0 || !is_new || depth > 32)
        return rc;
    for (uint32_t i = 0; i < t->fk_count && rc == 0; i++)
        rc = lock_other(l, t->fks[i].ref_oid, false, depth);
    for (uint32_t i = 0; i < t->ref_count && rc == 0; i++)
        rc = lock_other(l, t->refs[i].table_oid, fk_acts(&t->refs[i]), depth);
    return rc;
}

static int
refuse_system(const struct cat_table *t)
{
    if (t->is_system || t->is_virtual)
        return DIAG(ERR_PRIVILEGE, "permission denied: \"%s\" is a system catalog", t->name);
    return 0;
}

static int
lock_node(struct lock_list *l, const struct plan_node *n)
{
    bool is_new;
    int rc = 0;

    if (n == NULL)
        return 0;
    if (n->kind == PLAN_INSERT || n->kind == PLAN_UPDATE || n->kind == PLAN_DELETE) {
        rc = refuse_system(n->u.modify.table);
        if (rc == 0)
            rc = lock_written(l, n->u.modify.table, 0);
    } else if (n->kind == PLAN_LOCK_ROWS) {
        for (int32_t i = 0; i < n->u.lock_rows.count && rc == 0; i++)
            rc = lock_add(l, n->u.lock_rows.targets[i].target.table, TABLE_ROW_SHARE, &is_new);
    }
    for (int32_t i = 0; i < n->child_count && rc == 0; i++)
        rc = lock_node(l, n->child[i]);
    return rc;
}

/* In the order of their OIDs, so that two statements seldom wait for each other. */
static int
lock_cmp(const void *a, const void *b)
{
    const struct plan_lock *x = a, *y = b;

    return x->oid < y->oid ? -1 : x->oid > y->oid;
}

static int
collect_locks(struct sql_session *s, struct cat_set *set, struct shared_plan *p)
{
    struct lock_list *l;
    int rc;

    if (!p->plan->writes && !p->plan->locks_rows)
        return 0;
    l = xcalloc(1, sizeof *l);
    l->s = s;
    l->set = set;
    rc = lock_node(l, p->plan->root);
    for (int32_t i = 0; i < p->plan->subplan_count && rc == 0; i++)
        rc = lock_node(l, p->plan->subplans[i].root);
    for (int32_t i = 0; i < p->plan->cte_count && rc == 0; i++)
        rc = lock_node(l, p->plan->ctes[i].root);
    if (rc == 0 && l->count > 0) {
        p->lock_count = l->count;
        p->locks = xmalloc((size_t)l->count * sizeof *p->locks);
        memcpy(p->locks, l->locks, (size_t)l->count * sizeof *p->locks);
        qsort(p->locks, (size_t)p->lock_count, sizeof *p->locks, lock_cmp);
    }
    xfree(l);
    return rc;
}

/* ---- privileges ------------------------------------------------------------------------------ */

static int
check_privileges(struct sql_session *s, const struct plan *plan)
{
    int rc = 0;

    for (int32_t i = 0; i < plan->object_count && rc == 0 && !s->is_superuser; i++) {
        const struct cat_table *t;

        rc = sess_table_by_oid(s, plan->objects[i].oid, &t);
        if (rc == 0 && t != NULL)
            rc = sess_want_read(s, t);
    }
    return rc;
}

/* ---- making ---------------------------------------------------------------------------------- */

static struct slice
plan_key(struct sql_session *s, const struct plan_source *source, uint64_t version)
{
    struct slice text = source->normal != NULL     ? source->normal->key
                        : source->own.data != NULL ? source->own
                                                   : source->text;
    size_t path = strlen(s->path_key) + 1, types = (size_t)source->type_count * sizeof(uint32_t);
    size_t size = 8 + 4 + 1 + 4 + path + types + text.size;
    uint8_t *key = arena_alloc(&s->message, size), *at = key;

    store_u64(at, version);
    store_u32(at + 8, s->role_oid);
    at[12] = source->normal != NULL;
    store_u32(at + 13, (uint32_t)source->type_count);
    at += 17;
    memcpy(at, s->path_key, path);
    at += path;
    if (types > 0)
        memcpy(at, source->types, types);
    if (text.size > 0)
        memcpy(at + types, text.data, text.size);
    return slice(key, size);
}

static int
parse_source(struct sql_session *s, const struct plan_source *source, const struct ast **out)
{
    struct ast_list *list;
    int rc;

    *out = source->tree;
    if (*out != NULL)
        return 0;
    rc = source->normal != NULL ? sql_parse_lifted(&s->message, source->text, source->normal, &list)
                                : sql_parse(&s->message, source->text, &list);
    if (rc != 0)
        return rc;
    CHECK(ast_count(list) == 1);
    *out = AST_AS(ast_statement, list->item[0])->body;
    return 0;
}

static int
plan_new(struct sql_session *s, const struct plan_source *source, uint64_t version,
         struct shared_plan **out, bool *pinned)
{
    struct binder_catalog names = sess_binder_catalog(s);
    struct plan_request r = { .text = source->text,
                              .catalog = &names,
                              .funcs = &func_set_session,
                              .types = &s->types,
                              .normal = source->normal,
                              .param_count = source->type_count,
                              .param_types = source->types,
                              .budget = &s->q->memory };
    struct sess_past past = { 0 };
    struct cat_set *set;
    struct plan *plan;
    int rc = parse_source(s, source, &r.statement);

    if (rc == 0)
        rc = sess_set(s, &set);
    if (rc == 0) {
        /* The plan's own reference. A private set cannot be had twice: it goes over. */
        if (version == 0) {
            r.set = s->set;
        } else {
            rc = catalog_acquire(s->q->catalog, s->txn, NULL, &r.set);
        }
    }
    if (rc != 0)
        return rc;
    s->past = &past;
    rc = sql_plan_make(&r, &plan, pinned);
    s->past = NULL;
    if (rc != 0) {
        for (int i = 0; i < past.count; i++)
            catalog_release(past.sets[i]);
        if (version != 0)
            catalog_release(r.set);
        return rc;
    }
    plan->past_count = past.count;
    plan->past = arena_memdup(&plan->arena, past.sets, sizeof past.sets);
    *out = shared_plan_new(plan, version);
    (*out)->role_oid = s->role_oid;
    (*out)->path_key = arena_strdup(&plan->arena, s->path_key);
    rc = collect_locks(s, r.set, *out);
    if (version == 0)
        s->set = NULL;
    if (rc == 0)
        rc = check_privileges(s, plan);
    if (rc != 0) {
        shared_plan_unref(*out);
        *out = NULL;
    }
    return rc;
}

/* A statement is open. */
static int
plan_get(struct sql_session *s, const struct plan_source *source, struct shared_plan **out)
{
    uint64_t version = catalog_version_now(s->q->catalog, s->txn);
    struct slice key = { NULL, 0 };
    bool pinned = false;
    int rc;

    *out = NULL;
    if (version != 0 && !source->is_inner) {
        key = plan_key(s, source, version);
        *out = plan_cache_find(&s->q->plans, key);
        if (*out != NULL)
            return 0;
    }
    rc = plan_new(s, source, version, out, &pinned);
    if (rc == 0 && key.data != NULL && !pinned)
        plan_cache_add(&s->q->plans, key, *out);
    return rc;
}

/* What is held may have been made for another catalogue, role or search_path. */
static bool
is_good(struct sql_session *s, const struct shared_plan *p)
{
    return p->version != 0 && p->version == catalog_version_now(s->q->catalog, s->txn) &&
           p->role_oid == s->role_oid && strcmp(p->path_key, s->path_key) == 0;
}

/* ---- opening --------------------------------------------------------------------------------- */

static const char *
statement_word(const struct plan *plan)
{
    switch (plan->statement) {
    case AST_INSERT:
        return "INSERT";
    case AST_UPDATE:
        return "UPDATE";
    case AST_DELETE:
        return "DELETE";
    default:
        return plan->locks_rows ? "SELECT FOR UPDATE" : "SELECT";
    }
}

static int
check_allowed(struct sql_session *s, const struct plan *plan)
{
    return plan->writes || plan->locks_rows ? sess_tx_want_write(s, statement_word(plan)) : 0;
}

static bool
has_locks(const struct sql_session *s, const struct shared_plan *p)
{
    for (int i = 0; i < p->lock_count; i++)
        if (!sess_has_lock(s, p->locks[i].oid, p->locks[i].mode))
            return false;
    return true;
}

static int
take_locks(struct sql_session *s, const struct shared_plan *p)
{
    int rc = 0;

    for (int i = 0; i < p->lock_count && rc == 0; i++)
        rc = sess_lock(s, p->locks[i].oid, p->locks[i].mode, LOCK_WAIT);
    return rc;
}

/* The snapshot of a whole transaction may be older than a change of a table that is locked only
 * now: what such a change brought (an index, a constraint) must not be passed by. */
static int
refuse_changed(struct sql_session *s, const struct shared_plan *p)
{
    struct engine *e = s->q->engine;
    scn_t change = engine_catalog_change(e, engine_newest_scn(e));
    struct read_moment now = { 0, change };
    struct cat_set *set;
    int rc;

    if (s->isolation != TXN_REPEATABLE_READ || change <= txn_snapshot_scn(s->txn))
        return 0;
    rc = sess_wait_visible(s, change);
    if (rc == 0)
        rc = txn_pin_moment(s->txn, now);
    if (rc == 0)
        rc = catalog_acquire(s->q->catalog, s->txn, &now, &set);
    if (rc != 0)
        return rc;
    for (int i = 0; i < p->lock_count && rc == 0; i++) {
        const struct cat_table *t;

        rc = cat_find_table_by_oid(set, s->txn, p->locks[i].oid, &t);
        if (rc == 0 && (t == NULL || t->change != p->locks[i].change))
            rc = DIAG(ERR_SERIALIZATION_FAILURE,
                      "could not serialize access due to concurrent update");
    }
    catalog_release(set);
    return rc;
}

/* One attempt with a plan that is there: *good when it may run, in the statement now open. */
static int
open_with(struct sql_session *s, struct shared_plan *p, bool *good)
{
    bool had_locks = has_locks(s, p);
    int rc = check_allowed(s, p->plan);

    *good = false;
    if (rc == 0 && !had_locks)
        rc = take_locks(s, p);
    if (rc == 0)
        rc = had_locks ? sess_statement_begin(s) : sess_statement_begin_locked(s);
    if (rc != 0)
        return rc;
    *good = is_good(s, p);
    if (*good && !had_locks)
        rc = refuse_changed(s, p);
    if (rc != 0 || !*good)
        sess_statement_end(s);
    return rc;
}

/* One attempt with a new plan: *good when all its locks are held already. */
static int
open_new(struct sql_session *s, const struct plan_source *source, struct shared_plan **plan,
         bool *good)
{
    int rc = sess_statement_begin(s);

    if (rc != 0)
        return rc;
    rc = plan_get(s, source, plan);
    if (rc == 0)
        rc = check_allowed(s, (*plan)->plan);
    *good = rc == 0 && has_locks(s, *plan);
    if (!*good)
        sess_statement_end(s);
    return rc;
}

int
sess_plan_open(struct sql_session *s, const struct plan_source *source, struct shared_plan **plan)
{
    bool good = false;
    int rc = 0;

    if (*plan != NULL && (*plan)->version != 0) {
        rc = open_with(s, *plan, &good);
        if (rc != 0 || good)
            return rc;
    }
    while (rc == 0 && !good) {
        shared_plan_unref(*plan);
        *plan = NULL;
        rc = open_new(s, source, plan, &good);
        if (rc != 0 || good)
            break;
        if ((*plan)->version != 0)
            rc = open_with(s, *plan, &good);
        else
            rc = take_locks(s, *plan);
    }
    return rc;
}

int
sess_plan_cached(struct sql_session *s, const struct plan_source *source, struct shared_plan **plan)
{
    uint64_t version;
    int rc = sess_statement_begin(s);

    *plan = NULL;
    if (rc != 0)
        return rc;
    version = catalog_version_now(s->q->catalog, s->txn);
    if (version != 0)
        *plan = plan_cache_find(&s->q->plans, plan_key(s, source, version));
    sess_statement_end(s);
    return 0;
}

int
sess_plan_look(struct sql_session *s, const struct plan_source *source, struct shared_plan **plan)
{
    int rc = sess_statement_begin(s);

    if (rc != 0)
        return rc;
    if (*plan == NULL || !is_good(s, *plan)) {
        shared_plan_unref(*plan);
        *plan = NULL;
        rc = plan_get(s, source, plan);
    }
    sess_statement_end(s);
    return rc;
}

int
sess_lifted_params(struct sql_session *s, const struct plan_source *source, const struct plan *plan,
                   struct arena *a, struct datum **out)
{
    const struct sql_normal *normal = source->normal;
    int32_t own = plan->param_count - normal->lifted_count;
    int rc = 0;

    CHECK(own >= 0);
    *out = ARENA_ARRAY(a, struct datum, plan->param_count + 1);
    for (int32_t i = 0; i < normal->lifted_count && rc == 0; i++) {
        rc = sql_lifted_value(&normal->lifted[i], plan->param_types[own + i], &s->types, a,
                              &(*out)[own + i]);
        if (rc != 0)
            diag_position(sql_position(source->text, normal->lifted[i].at));
    }
    return rc;
}
