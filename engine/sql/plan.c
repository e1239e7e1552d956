/* Plans as objects, and the planner's entry point.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/sql/plan_int.h"

struct plan *
plan_ref(struct plan *plan)
{
    atomic_fetch_add_explicit(&plan->ref_count, 1, memory_order_relaxed);
    return plan;
}

void
plan_unref(struct plan *plan)
{
    if (plan == NULL || atomic_fetch_sub_explicit(&plan->ref_count, 1, memory_order_acq_rel) != 1)
        return;
    point_program_free(atomic_load_explicit(&plan->program, memory_order_relaxed));
    catalog_release(plan->set);
    for (int i = 0; i < plan->past_count; i++)
        catalog_release(plan->past[i]);
    arena_fini(&plan->arena);
    xfree(plan);
}

/* ---- nodes --------------------------------------------------------------------------------- */

struct plan_node *
node_make(struct planner *p, enum plan_kind kind, int32_t children)
{
    struct plan_node *n = ARENA_NEW(p->arena, struct plan_node);

    n->kind = kind;
    n->id = p->plan->node_count++;
    n->child_count = children;
    n->child = ARENA_ARRAY(p->arena, struct plan_node *, children + 1);
    return n;
}

void
node_set_columns(struct planner *p, struct plan_node *n, struct expr **list, int32_t count)
{
    n->column_count = count;
    n->columns = ARENA_ARRAY(p->arena, struct plan_column, count + 1);
    for (int32_t i = 0; i < count; i++)
        n->columns[i].type = list[i]->type;
}

void
node_copy_columns(struct planner *p, struct plan_node *n, const struct plan_node *from)
{
    n->column_count = from->column_count;
    n->columns = ARENA_ARRAY(p->arena, struct plan_column, from->column_count + 1);
    if (from->column_count > 0)
        memcpy(n->columns, from->columns, sizeof *n->columns * (size_t)from->column_count);
}

void
node_project(struct planner *p, struct plan_node *n, struct expr **list, int32_t count)
{
    n->project = list;
    n->project_count = count;
    node_set_columns(p, n, list, count);
}

struct expr *
plan_and(struct planner *p, struct expr *x, struct expr *y)
{
    struct expr *e;
    int32_t count;

    if (x == NULL || y == NULL)
        return x == NULL ? y : x;
    count = x->kind == EXPR_AND ? x->arg_count + 1 : 2;
    e = expr_with_args(p->arena, EXPR_AND, (struct sql_type){ TYPE_BOOL, -1 }, -1, count);
    for (int32_t i = 0; i + 1 < count; i++)
        e->args[i] = x->kind == EXPR_AND ? x->args[i] : x;
    e->args[count - 1] = y;
    return e;
}

/* Bytes of a row, for EXPLAIN. */
static void
node_widths(struct plan_node *n)
{
    n->width = 0;
    for (int32_t i = 0; i < n->column_count; i++) {
        const struct type *t = type_find(n->columns[i].type.oid);
        int32_t typmod = n->columns[i].type.typmod;
        bool sized = typmod >= 0 && (n->columns[i].type.oid == TYPE_BPCHAR ||
                                     n->columns[i].type.oid == TYPE_VARCHAR);

        n->width += t != NULL && t->len > 0 ? t->len : sized && typmod < 64 ? typmod : 32;
    }
    for (int32_t i = 0; i < n->child_count; i++)
        node_widths(n->child[i]);
}

/* ---- what the executor may take for a point statement -----------------------------------------
 */

static bool
is_table_scan(const struct plan_node *n)
{
    return n->kind == PLAN_SCAN && n->u.scan.index == NULL && n->u.scan.has_range &&
           !n->u.scan.table->is_virtual && n->u.scan.as_of_scn == NULL &&
           n->u.scan.as_of_time == NULL;
}

static enum plan_point
plan_point_kind(const struct plan *plan)
{
    const struct plan_node *n = plan->root;

    if (plan->subplan_count > 0 || plan->outer_count > 0 || plan->cte_count > 0)
        return PLAN_POINT_NONE;
    switch (n->kind) {
    case PLAN_LIMIT:
        if (n->u.limit.with_ties || n->u.limit.gate != NULL)
            return PLAN_POINT_NONE;
        return is_table_scan(n->child[0]) ? PLAN_POINT_SELECT : PLAN_POINT_NONE;
    case PLAN_SCAN:
        return is_table_scan(n) ? PLAN_POINT_SELECT : PLAN_POINT_NONE;
    case PLAN_INSERT:
        n = n->child[0];
        return n->kind == PLAN_VALUES && n->u.values.row_count == 1 && n->filter == NULL &&
                       n->project == NULL
                   ? PLAN_POINT_INSERT
                   : PLAN_POINT_NONE;
    case PLAN_UPDATE:
    case PLAN_DELETE:
        if (!is_table_scan(n->child[0]) || !n->child[0]->u.scan.unique)
            return PLAN_POINT_NONE;
        return n->kind == PLAN_UPDATE ? PLAN_POINT_UPDATE : PLAN_POINT_DELETE;
    default:
        return PLAN_POINT_NONE;
    }
}

/* ---- entry --------------------------------------------------------------------------------- */

static void
plan_results(struct planner *p, const struct query *q)
{
    bool select = q->command == AST_SELECT;
    const struct target *t = select ? q->targets : q->returning;
    struct plan *plan = p->plan;

    plan->result_count = select ? q->visible_count : q->returning_count;
    plan->results = ARENA_ARRAY(p->arena, struct plan_result, plan->result_count + 1);
    for (int32_t i = 0; i < plan->result_count; i++)
        plan->results[i] = (struct plan_result){ .name = t[i].name,
                                                 .type = t[i].value->type,
                                                 .table_oid = t[i].table_oid,
                                                 .column_number = t[i].column_number };
}

static int
plan_bound(struct plan *plan, const struct plan_request *r, struct bind_result *b)
{
    int32_t lifted = r->normal == NULL ? 0 : r->normal->lifted_count;
    struct planner p = { .arena = &plan->arena,
                         .plan = plan,
                         .funcs = r->funcs,
                         .own_param_count = b->param_count - lifted };
    struct pquery pq;
    struct path path;
    int rc;

    plan_results(&p, b->query);
    pquery_init(&pq, &p, NULL, b->query);
    rc = b->query->command == AST_SELECT ? plan_query(&pq, &path) : plan_write(&pq, &path);
    if (rc != 0)
        return rc;
    plan->root = path.node;
    node_widths(plan->root);
    plan->param_count = b->param_count;
    plan->param_types = b->param_types;
    plan->objects = b->objects;
    plan->object_count = b->object_count;
    plan->is_stable = !b->query->is_volatile;
    plan->point = plan_point_kind(plan);
    return 0;
}

int
sql_plan_make(const struct plan_request *r, struct plan **out, bool *pinned)
{
    struct plan *plan = xcalloc(1, sizeof *plan);
    struct bind_request bind = { .arena = &plan->arena,
                                 .text = r->text,
                                 .catalog = r->catalog,
                                 .funcs = r->funcs,
                                 .types = r->types,
                                 .normal = r->normal,
                                 .param_count = r->param_count,
                                 .param_types = r->param_types };
    struct bind_result bound;
    int rc;

    *out = NULL;
    atomic_init(&plan->ref_count, 1);
    arena_init(&plan->arena, r->budget);
    plan->statement = r->statement->kind;
    plan->writes = r->statement->kind != AST_SELECT;
    rc = sql_bind(&bind, r->statement, &bound);
    *pinned = bound.pinned;
    if (rc == 0)
        rc = plan_bound(plan, r, &bound);
    if (rc != 0) {
        arena_fini(&plan->arena);
        xfree(plan);
        return rc;
    }
    plan->set = r->set;
    *out = plan;
    return 0;
}
