/* INSERT, UPDATE, DELETE, and row locks.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/sql/plan_int.h"

/* ---- rows to lock or change ------------------------------------------------------------------ */

static int32_t
layout_find(const struct layout *l, int32_t rel, int32_t column)
{
    for (int32_t i = 0; i < l->count; i++)
        if (l->columns[i].rel == rel && l->columns[i].column == column)
            return i;
    return -1;
}

int
plan_target(struct pquery *pq, int32_t rel, const struct layout *layout, struct expr *where,
            struct plan_target *out)
{
    struct space s = { .layout = layout };

    *out = (struct plan_target){ .table = pq->q->rels[rel]->table };
    out->key_column = layout_find(layout, rel, PLAN_COLUMN_KEY);
    out->row_column = layout_find(layout, rel, PLAN_COLUMN_ROW);
    CHECK(out->key_column >= 0);
    out->copies = ARENA_ARRAY(pq->p->arena, struct plan_copy, layout->count + 1);
    for (int32_t i = 0; i < layout->count; i++)
        if (layout->columns[i].rel == rel && layout->columns[i].column >= 0)
            out->copies[out->copy_count++] = (struct plan_copy){ i, layout->columns[i].column };
    return where == NULL ? 0 : translate(pq, where, &s, &out->recheck);
}

static void
from_conditions(struct planner *p, const struct from *f, struct expr **out)
{
    if (f == NULL || f->kind == FROM_REL)
        return;
    from_conditions(p, f->left, out);
    if (f->join == AST_JOIN_INNER) {
        from_conditions(p, f->right, out);
        *out = plan_and(p, *out, f->on);
    }
}

struct expr *
query_recheck(struct pquery *pq)
{
    struct expr *all = NULL;

    from_conditions(pq->p, pq->q->from, &all);
    return plan_and(pq->p, all, pq->q->where);
}

int
plan_locks(struct pquery *pq, struct path *path, struct expr *recheck)
{
    struct planner *p = pq->p;
    struct plan_node *n;
    int rc = 0, count = 0;

    for (int32_t i = 0; i < pq->q->rel_count; i++)
        count += pq->q->rels[i]->lock != AST_LOCK_NONE;
    if (count == 0)
        return 0;
    n = node_make(p, PLAN_LOCK_ROWS, 1);
    n->child[0] = path->node;
    node_copy_columns(p, n, path->node);
    n->rows = path->rows;
    n->cost = path->cost;
    n->u.lock_rows.targets = ARENA_ARRAY(p->arena, struct plan_lock_target, count);
    for (int32_t i = 0; rc == 0 && i < pq->q->rel_count; i++) {
        const struct rte *rte = pq->q->rels[i];
        struct plan_lock_target *t = &n->u.lock_rows.targets[n->u.lock_rows.count];

        if (rte->lock == AST_LOCK_NONE)
            continue;
        n->u.lock_rows.count++;
        t->strength = rte->lock;
        t->wait = rte->lock_wait;
        rc = plan_target(pq, i, &path->layout, recheck, &t->target);
    }
    p->plan->locks_rows = true;
    path->node = n;
    return rc;
}

/* ---- what a write has to keep up ----------------------------------------------------------------
 */

static bool
is_set(const struct query *q, int32_t column)
{
    for (int32_t i = 0; i < q->assignment_count; i++)
        if (q->assignments[i].column == column)
            return true;
    return false;
}

static bool
index_is_set(const struct query *q, const struct cat_index *ix)
{
    for (uint32_t i = 0; i < ix->key_count; i++)
        if (is_set(q, ix->keys[i].column))
            return true;
    return false;
}

static bool
fk_is_set(const struct query *q, const struct cat_fk *fk, const uint16_t *columns)
{
    for (uint32_t i = 0; i < fk->column_count; i++)
        if (is_set(q, columns[i]))
            return true;
    return false;
}

static void
note_indexes(struct planner *p, const struct query *q, struct plan_modify *m)
{
    const struct cat_table *t = m->table;
    bool update = q->command == AST_UPDATE;

    m->sets_key = update && t->primary != NULL && index_is_set(q, t->primary);
    m->indexes = ARENA_ARRAY(p->arena, const struct cat_index *, t->index_count + 1);
    for (uint32_t i = 0; i < t->index_count; i++)
        if (!t->indexes[i].primary && (!update || m->sets_key || index_is_set(q, &t->indexes[i])))
            m->indexes[m->index_count++] = &t->indexes[i];
}

static void
note_fks(struct planner *p, const struct query *q, struct plan_modify *m)
{
    const struct cat_table *t = m->table;
    bool update = q->command == AST_UPDATE;

    m->fks = ARENA_ARRAY(p->arena, const struct cat_fk *, t->fk_count + 1);
    m->refs = ARENA_ARRAY(p->arena, const struct cat_fk *, t->ref_count + 1);
    for (uint32_t i = 0; q->command != AST_DELETE && i < t->fk_count; i++)
        if (!update || fk_is_set(q, &t->fks[i], t->fks[i].columns))
            m->fks[m->fk_count++] = &t->fks[i];
    for (uint32_t i = 0; q->command != AST_INSERT && i < t->ref_count; i++)
        if (!update || fk_is_set(q, &t->refs[i], t->refs[i].ref_columns))
            m->refs[m->ref_count++] = &t->refs[i];
}

/* ---- RETURNING and CHECK over the written row ---------------------------------------------------
 */

/* All columns of the table, then the input row. */
static void
written_layout(struct pquery *pq, const struct layout *input, struct layout *out)
{
    int32_t width = (int32_t)pq->q->rels[pq->q->target_rel]->table->column_count;

    out->columns = ARENA_ARRAY(pq->p->arena, struct layout_column, width + input->count + 1);
    for (int32_t i = 0; i < width; i++)
        out->columns[i] = (struct layout_column){ pq->q->target_rel, i };
    if (input->count > 0)
        memcpy(out->columns + width, input->columns, sizeof *out->columns * (size_t)input->count);
    out->count = width + input->count;
}

static int
note_results(struct pquery *pq, const struct layout *input, struct plan_node *n)
{
    struct query *q = pq->q;
    struct plan_modify *m = &n->u.modify;
    struct layout written;
    struct space s = { .layout = &written };
    int rc = 0;

    written_layout(pq, input, &written);
    m->checks = ARENA_ARRAY(pq->p->arena, struct plan_check, q->check_count + 1);
    m->check_count = q->check_count;
    for (int32_t i = 0; rc == 0 && i < q->check_count; i++) {
        m->checks[i].name = q->checks[i].name;
        rc = translate(pq, q->checks[i].check, &s, &m->checks[i].check);
    }
    m->has_returning = q->has_returning;
    m->returning_count = q->returning_count;
    m->returning = ARENA_ARRAY(pq->p->arena, struct expr *, q->returning_count + 1);
    for (int32_t i = 0; rc == 0 && i < q->returning_count; i++)
        rc = translate(pq, q->returning[i].value, &s, &m->returning[i]);
    if (rc == 0)
        node_set_columns(pq->p, n, m->returning, m->returning_count);
    return rc;
}

static int
note_values(struct pquery *pq, const struct assignment *list, int32_t count, const struct space *s,
            struct plan_value **out)
{
    int rc = 0;

    *out = ARENA_ARRAY(pq->p->arena, struct plan_value, count + 1);
    for (int32_t i = 0; rc == 0 && i < count; i++) {
        (*out)[i].column = list[i].column;
        rc = translate(pq, list[i].value, s, &(*out)[i].value);
    }
    return rc;
}

/* ---- INSERT -------------------------------------------------------------------------------- */

static int
insert_source(struct pquery *pq, struct path *out)
{
    struct conds none = { 0 };
    struct plan_node *n;

    if (pq->q->rel_count > 1 && pq->q->rels[1]->kind != RTE_TABLE)
        return plan_rel(pq, 1, &none, NULL, out);
    *out = (struct path){ .node = node_make(pq->p, PLAN_VALUES, 0), .rows = 1 };
    n = out->node;
    n->u.values.row_count = 1;
    n->u.values.rows = ARENA_ARRAY(pq->p->arena, struct expr **, 1);
    n->u.values.rows[0] = ARENA_ARRAY(pq->p->arena, struct expr *, 1);
    n->columns = ARENA_ARRAY(pq->p->arena, struct plan_column, 1);
    n->rows = 1;
    return 0;
}

/* The existing row's columns, then the proposed row's. */
static int
insert_conflict(struct pquery *pq, struct plan_modify *m)
{
    struct query *q = pq->q;
    int32_t width = (int32_t)m->table->column_count;
    struct layout both = { .count = 2 * width };
    struct space s = { .layout = &both };
    int rc;

    m->conflict = q->conflict;
    m->conflict_index = q->conflict_index;
    m->conflict_value_count = q->conflict_count;
    if (q->conflict != AST_CONFLICT_UPDATE)
        return 0;
    both.columns = ARENA_ARRAY(pq->p->arena, struct layout_column, 2 * width + 1);
    for (int32_t i = 0; i < width; i++) {
        both.columns[i] = (struct layout_column){ q->target_rel, i };
        both.columns[width + i] = (struct layout_column){ q->excluded_rel, i };
    }
    rc = note_values(pq, q->conflict_set, q->conflict_count, &s, &m->conflict_values);
    if (rc == 0 && q->conflict_where != NULL)
        rc = translate(pq, q->conflict_where, &s, &m->conflict_where);
    return rc;
}

static struct plan_node *
write_node(struct pquery *pq, enum plan_kind kind, const struct path *source)
{
    struct plan_node *n = node_make(pq->p, kind, 1);

    n->child[0] = source->node;
    n->rows = source->rows;
    n->cost = source->cost + source->rows * 0.05;
    n->u.modify.table = pq->q->rels[pq->q->target_rel]->table;
    return n;
}

static int
plan_insert(struct pquery *pq, struct path *out)
{
    struct path source;
    struct space s = { .layout = &source.layout };
    struct plan_modify *m;
    int rc = insert_source(pq, &source);

    if (rc != 0)
        return rc;
    out->node = write_node(pq, PLAN_INSERT, &source);
    m = &out->node->u.modify;
    m->value_count = pq->q->assignment_count;
    rc = note_values(pq, pq->q->assignments, m->value_count, &s, &m->values);
    note_indexes(pq->p, pq->q, m);
    note_fks(pq->p, pq->q, m);
    if (rc == 0)
        rc = insert_conflict(pq, m);
    return rc != 0 ? rc : note_results(pq, &source.layout, out->node);
}

/* ---- UPDATE, DELETE -------------------------------------------------------------------------- */

static int
plan_change(struct pquery *pq, struct path *out)
{
    struct query *q = pq->q;
    bool update = q->command == AST_UPDATE;
    struct conds conds = { 0 };
    struct path source;
    struct space s = { .layout = &source.layout };
    struct plan_modify *m;
    int rc;

    use_column(pq, q->target_rel, PLAN_COLUMN_KEY);
    use_column(pq, q->target_rel, PLAN_COLUMN_ROW);
    conds_add(pq->p, &conds, q->where);
    rc = plan_from(pq, q->from, &conds, NULL, NULL, &source);
    if (rc != 0)
        return rc;
    out->node = write_node(pq, update ? PLAN_UPDATE : PLAN_DELETE, &source);
    m = &out->node->u.modify;
    rc = plan_target(pq, q->target_rel, &source.layout, query_recheck(pq), &m->target);
    if (rc == 0 && update) {
        m->value_count = q->assignment_count;
        rc = note_values(pq, q->assignments, m->value_count, &s, &m->values);
    }
    note_indexes(pq->p, q, m);
    note_fks(pq->p, q, m);
    return rc != 0 ? rc : note_results(pq, &source.layout, out->node);
}

int
plan_write(struct pquery *pq, struct path *out)
{
    *out = (struct path){ .rows = 1 };
    if (pq->q->rel_count > PLAN_RELS_MAX)
        return DIAG(ERR_LIMIT, "a statement can name at most %d tables", PLAN_RELS_MAX);
    note_uses(pq);
    return pq->q->command == AST_INSERT ? plan_insert(pq, out) : plan_change(pq, out);
}
