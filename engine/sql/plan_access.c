/* Access paths: which tree of a table to read, and which range of its keys.
 *
 * A condition goes into the range when it compares a key column with something that does not depend
 * on the row: constants, parameters, slots. Equalities on the first columns, then at most one
 * IN list, pair of bounds, or IS NULL on the next.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "engine/sql/plan_int.h"

enum { ROWS_UNKNOWN = 1000 };
static const double FETCH_COST = 4.0; /* a row by way of an index, against one in order */

double
table_rows(const struct cat_table *t)
{
    return t->row_count < 0 ? ROWS_UNKNOWN : t->row_count < 1 ? 1 : t->row_count;
}

/* ---- one condition, one column --------------------------------------------------------------- */

static bool
is_integer(oid_t t)
{
    return t == TYPE_INT2 || t == TYPE_INT4 || t == TYPE_INT8;
}

static bool
is_oid_like(oid_t t)
{
    return t == TYPE_OID || t == TYPE_REGCLASS || t == TYPE_REGTYPE || t == TYPE_REGPROC ||
           t == TYPE_REGPROCEDURE || t == TYPE_REGNAMESPACE || t == TYPE_REGROLE ||
           t == TYPE_REGCOLLATION;
}

static bool
is_text_like(oid_t t)
{
    return t == TYPE_TEXT || t == TYPE_VARCHAR || t == TYPE_NAME;
}

/* Values of the one are keys of the other as they are. */
static bool
same_keys(oid_t column, oid_t value)
{
    return column == value || (is_integer(column) && is_integer(value)) ||
           (is_oid_like(column) && is_oid_like(value)) ||
           (is_text_like(column) && is_text_like(value));
}

static struct expr *
strip_relabel(struct expr *e)
{
    while (e->kind == EXPR_RELABEL && same_keys(e->type.oid, e->args[0]->type.oid))
        e = e->args[0];
    return e;
}

static bool
is_column(struct expr *e, int32_t rel, int32_t column)
{
    e = strip_relabel(e);
    return e->kind == EXPR_VAR && e->u.var.level == 0 && e->u.var.rel == rel &&
           e->u.var.column == column;
}

/* One value per scan: no column but those of `outer`. */
static bool
is_scan_constant(struct expr *e, rels_t outer)
{
    return (expr_rels(e, 0) & ~outer) == 0 && !expr_has_sublink(e) && !expr_is_volatile(e);
}

/* column op value, as seen from the column; OP_NONE: nothing of the kind. */
static enum op_order
column_compare(const struct cond *c, int32_t rel, int32_t column, oid_t type, rels_t outer,
               struct expr **value)
{
    static const enum op_order turned[] = { OP_NONE, OP_GT, OP_GE, OP_EQ, OP_LE, OP_LT, OP_NE };
    const struct expr *e = c->e;
    enum op_order order;

    if (e->kind != EXPR_FUNC || e->u.call.op == NULL || e->arg_count != 2)
        return OP_NONE;
    order = (enum op_order)e->u.call.op->order;
    if (order == OP_NONE || order == OP_NE)
        return OP_NONE;
    if (is_column(e->args[0], rel, column)) {
        *value = strip_relabel(e->args[1]);
    } else if (is_column(e->args[1], rel, column)) {
        *value = strip_relabel(e->args[0]);
        order = turned[order];
    } else {
        return OP_NONE;
    }
    if (!same_keys(type, (*value)->type.oid) || !is_scan_constant(*value, outer))
        return OP_NONE;
    return order;
}

static bool
column_in_list(const struct cond *c, int32_t rel, int32_t column, oid_t type, rels_t outer)
{
    struct expr *e = c->e;

    if (e->kind != EXPR_IN_LIST || e->u.op.negated || !is_column(e->args[0], rel, column))
        return false;
    for (int32_t i = 1; i < e->arg_count; i++)
        if (!same_keys(type, strip_relabel(e->args[i])->type.oid) ||
            !is_scan_constant(e->args[i], outer))
            return false;
    return true;
}

/* ---- one tree ------------------------------------------------------------------------------ */

struct match {
    struct pquery *pq;
    int32_t rel;
    const struct cat_table *table;
    const struct conds *conds;
    rels_t outer;
};

static bool
match_equal(const struct match *m, int32_t column, struct access *a)
{
    for (int32_t i = 0; i < m->conds->count; i++) {
        struct expr *value;

        if (m->conds->list[i].used || a->consumed[i] ||
            column_compare(&m->conds->list[i], m->rel, column, m->table->columns[column].type,
                           m->outer, &value) != OP_EQ)
            continue;
        a->range.equal[a->range.equal_count++] = value;
        a->consumed[i] = true;
        return true;
    }
    return false;
}

/* Sets selectivity of what it found; 1: nothing. */
static double
match_bounds(const struct match *m, int32_t column, struct access *a)
{
    struct plan_range *r = &a->range;
    double sel = 1;

    for (int32_t i = 0; i < m->conds->count; i++) {
        const struct cond *c = &m->conds->list[i];
        struct expr *value;
        enum op_order order;

        if (c->used || a->consumed[i])
            continue;
        order = column_compare(c, m->rel, column, m->table->columns[column].type, m->outer, &value);
        if ((order == OP_GT || order == OP_GE) && r->low == NULL) {
            r->low = value;
            r->low_inclusive = order == OP_GE;
        } else if ((order == OP_LT || order == OP_LE) && r->high == NULL) {
            r->high = value;
            r->high_inclusive = order == OP_LE;
        } else {
            continue;
        }
        a->consumed[i] = true;
        sel = sel == 1 ? 0.33 : 0.02;
    }
    return sel;
}

static double
match_next(const struct match *m, int32_t column, struct access *a)
{
    struct plan_range *r = &a->range;

    for (int32_t i = 0; i < m->conds->count; i++) {
        const struct cond *c = &m->conds->list[i];
        const struct expr *e = c->e;

        if (c->used || a->consumed[i])
            continue;
        if (column_in_list(c, m->rel, column, m->table->columns[column].type, m->outer)) {
            r->in = ARENA_ARRAY(m->pq->p->arena, struct expr *, e->arg_count);
            for (int32_t k = 1; k < e->arg_count; k++)
                r->in[r->in_count++] = strip_relabel(e->args[k]);
            a->consumed[i] = true;
            return 0.005 * r->in_count > 0.5 ? 0.5 : 0.005 * r->in_count;
        }
        if (e->kind == EXPR_IS_NULL && !e->u.is.negated && is_column(e->args[0], m->rel, column)) {
            r->is_null = true;
            a->consumed[i] = true;
            return 0.01;
        }
    }
    return match_bounds(m, column, a);
}

static bool
equals_constant(const struct cat_index *ix, const struct access *a, int32_t column)
{
    for (int32_t k = 0; k < a->range.equal_count; k++)
        if (ix->keys[k].column == column)
            return true;
    return false;
}

/* Whether keys come in the wanted order, one way or the other; columns that equal a constant do not
 * matter, nor does what comes after the whole of a unique key. */
static bool
order_fits(const struct match *m, const struct cat_index *ix, const struct access *a,
           const struct wanted_order *order, bool *backward)
{
    uint32_t key = (uint32_t)a->range.equal_count;
    bool first = true;

    for (int32_t i = 0; i < order->count; i++) {
        const struct order_item *o = &order->items[i];
        const struct expr *e = order->targets[o->target].value;
        bool turned;

        if (key == ix->key_count && ix->primary)
            return true;
        if (e->kind != EXPR_VAR || e->u.var.level != 0 || e->u.var.rel != m->rel)
            return false;
        if (equals_constant(ix, a, e->u.var.column))
            continue;
        if (key == ix->key_count || ix->keys[key].column != e->u.var.column)
            return false;
        turned = o->descending != ix->keys[key].descending;
        if (!m->table->columns[e->u.var.column].not_null &&
            (o->nulls_first != ix->keys[key].nulls_first) != turned)
            return false;
        if (!first && turned != *backward)
            return false;
        *backward = turned;
        first = false;
        key++;
    }
    return true;
}

static void
access_cost(const struct match *m, const struct cat_index *ix, double sel, struct access *a)
{
    double rows = table_rows(m->table), own = ix == NULL || ix->primary ? 1 : 1 + FETCH_COST;

    a->unique = ix != NULL && ix->unique && a->range.equal_count == (int32_t)ix->key_count;
    a->rows = a->unique ? 1 : rows * sel;
    if (a->rows < 1)
        a->rows = 1;
    a->cost = 1 + (log2(rows + 1) + a->rows * own) * 0.02;
}

static void
match_index(const struct match *m, const struct cat_index *ix, const struct wanted_order *order,
            struct access *a)
{
    struct arena *arena = m->pq->p->arena;
    double sel = 1;

    *a = (struct access){ .index = ix == NULL || ix->primary ? NULL : ix };
    a->consumed = ARENA_ARRAY(arena, bool, m->conds->count + 1);
    if (ix != NULL) {
        uint32_t k = 0;

        a->range.equal = ARENA_ARRAY(arena, struct expr *, ix->key_count);
        while (k < ix->key_count && match_equal(m, ix->keys[k].column, a)) {
            sel *= k == 0 ? 0.005 : 0.1;
            k++;
        }
        if (k < ix->key_count)
            sel *= match_next(m, ix->keys[k].column, a);
        a->has_range = a->range.equal_count > 0 || a->range.in_count > 0 || a->range.is_null ||
                       a->range.low != NULL || a->range.high != NULL;
    }
    access_cost(m, ix, sel, a);
    if (order != NULL && order->count > 0) {
        a->ordered = ix != NULL && order_fits(m, ix, a, order, &a->backward);
        if (!a->ordered)
            a->cost += a->rows * log2(a->rows + 1) * 0.01;
        else if (order->limit >= 0 && order->limit < a->rows)
            a->cost = 1 + (a->cost - 1) * (order->limit + 1) / a->rows;
        a->backward = a->ordered && a->backward;
    }
}

int
choose_access(struct pquery *pq, int32_t rel, const struct conds *conds, rels_t outer,
              const struct wanted_order *order, struct access *out)
{
    const struct rte *rte = pq->q->rels[rel];
    struct match m = { pq, rel, rte->table, conds, outer };
    bool past = rte->as_of != AST_AS_OF_NONE;

    match_index(&m, rte->table->is_virtual ? NULL : rte->table->primary, order, out);
    for (uint32_t i = 0; !rte->table->is_virtual && i < rte->table->index_count; i++) {
        const struct cat_index *ix = &rte->table->indexes[i];
        struct access a;

        /* The past of an index is that of its table only since it was made. */
        if (ix->primary || !ix->valid || past)
            continue;
        match_index(&m, ix, order, &a);
        if ((a.has_range || a.ordered) && a.cost < out->cost)
            *out = a;
    }
    return 0;
}

/* ---- the scan ------------------------------------------------------------------------------ */

static void
scan_columns(struct pquery *pq, int32_t rel, struct plan_node *n, struct layout *layout)
{
    const struct rte *rte = pq->q->rels[rel];
    const struct rel_use *u = &pq->uses[rel];
    int32_t most = u->count + PLAN_PSEUDO_COLUMNS, count = 0;

    n->u.scan.columns = ARENA_ARRAY(pq->p->arena, int32_t, most);
    n->columns = ARENA_ARRAY(pq->p->arena, struct plan_column, most);
    layout->columns = ARENA_ARRAY(pq->p->arena, struct layout_column, most);
    for (int32_t i = 0; i < most; i++) {
        int32_t column = i < u->count ? i : i - u->count - PLAN_PSEUDO_COLUMNS;

        if (!u->column[i])
            continue;
        n->columns[count].type = column >= 0 ? rte->columns[column].type
                                 : column == PLAN_COLUMN_TABLEOID
                                     ? (struct sql_type){ TYPE_OID, -1 }
                                 : column == PLAN_COLUMN_SCN ? (struct sql_type){ TYPE_INT8, -1 }
                                                             : (struct sql_type){ TYPE_BYTEA, -1 };
        n->u.scan.columns[count] = column;
        layout->columns[count++] = (struct layout_column){ rel, column };
    }
    n->column_count = n->u.scan.column_count = layout->count = count;
}

static int
translate_all(struct pquery *pq, struct expr **list, int32_t count, const struct space *s)
{
    int rc = 0;

    for (int32_t i = 0; rc == 0 && i < count; i++)
        if (list[i] != NULL)
            rc = translate(pq, list[i], s, &list[i]);
    return rc;
}

static int
scan_range(struct pquery *pq, const struct access *a, struct bind_list *binds,
           struct plan_range *out)
{
    struct space s = { .siblings = binds };
    int rc;

    *out = a->range;
    out->equal = ARENA_ARRAY(pq->p->arena, struct expr *, a->range.equal_count + 1);
    out->in = ARENA_ARRAY(pq->p->arena, struct expr *, a->range.in_count + 1);
    if (a->range.equal_count > 0)
        memcpy(out->equal, a->range.equal, sizeof *out->equal * (size_t)a->range.equal_count);
    if (a->range.in_count > 0)
        memcpy(out->in, a->range.in, sizeof *out->in * (size_t)a->range.in_count);
    rc = translate_all(pq, out->equal, out->equal_count, &s);
    if (rc == 0)
        rc = translate_all(pq, out->in, out->in_count, &s);
    if (rc == 0)
        rc = translate_all(pq, &out->low, 1, &s);
    if (rc == 0)
        rc = translate_all(pq, &out->high, 1, &s);
    return rc;
}

static int
scan_moment(struct pquery *pq, const struct rte *rte, struct plan_scan *scan)
{
    struct space s = { .layout = NULL };

    if (rte->as_of == AST_AS_OF_NONE)
        return 0;
    return translate(pq, rte->as_of_value, &s,
                     rte->as_of == AST_AS_OF_SCN ? &scan->as_of_scn : &scan->as_of_time);
}

int
scan_path(struct pquery *pq, int32_t rel, const struct access *a, struct conds *conds, rels_t outer,
          struct bind_list *binds, struct path *out)
{
    const struct rte *rte = pq->q->rels[rel];
    struct plan_node *n = node_make(pq->p, PLAN_SCAN, 0);
    struct space s = { .layout = &out->layout, .siblings = binds };
    struct expr_list filters = { 0 };
    int rc;

    *out = (struct path){ .node = n, .rels = rel_bit(rel), .rows = a->rows, .cost = a->cost };
    n->u.scan.table = rte->table;
    n->u.scan.rel_id = rel;
    n->u.scan.alias = rte->alias;
    n->u.scan.index = a->index;
    n->u.scan.has_range = a->has_range;
    n->u.scan.backward = a->backward;
    n->u.scan.unique = a->unique;
    scan_columns(pq, rel, n, &out->layout);
    rc = scan_range(pq, a, binds, &n->u.scan.range);
    if (rc == 0)
        rc = scan_moment(pq, rte, &n->u.scan);
    for (int32_t i = 0; rc == 0 && i < conds->count; i++) {
        struct cond *c = &conds->list[i];
        struct expr *filter;

        if (c->used || (c->rels & ~(rel_bit(rel) | outer)) != 0 || (c->is_volatile && c->rels == 0))
            continue;
        c->used = true;
        if (a->consumed[i])
            continue;
        rc = translate(pq, c->e, &s, &filter);
        if (rc == 0)
            expr_list_add(pq->p->arena, &filters, EXPR_AND, filter);
        out->rows *= a->unique ? 1 : cond_selectivity(c);
    }
    if (out->rows < 1)
        out->rows = 1;
    n->filter = expr_list_finish(pq->p->arena, &filters, EXPR_AND);
    n->rows = out->rows;
    n->cost = out->cost;
    return rc;
}
