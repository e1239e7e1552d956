/* EXPLAIN's text, in the shape that PostgreSQL's has, so that people and tools can read it.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "engine/sql/plan_int.h"

/* Which node's row sets a slot, and to what. */
struct slot_use {
    const struct plan_node *row; /* its output */
    const struct expr *value;
};

struct explain {
    const struct plan *plan;
    const struct explain_options *o;
    struct arena *arena;
    struct slot_use *slots;
    int32_t count, capacity;
    const char **lines;
    bool many; /* more than one table: names are qualified */
    int depth;
};

/* The row that an expression of a node is over. */
struct row {
    struct explain *x;
    const struct plan_node *node;
    int32_t child; /* -1: the node's input row; else that child's output alone */
};

static const char *output_name(struct explain *x, const struct plan_node *n, int32_t i);
static const char *input_name(struct explain *x, const struct plan_node *n, int32_t i);

static const char *
row_column(void *arg, int32_t i)
{
    const struct row *r = arg;

    if (r->child >= 0)
        return output_name(r->x, r->node->child[r->child], i);
    return input_name(r->x, r->node, i);
}

static const char *
row_slot(void *arg, int32_t i)
{
    const struct row *r = arg;
    struct explain *x = r->x;

    if (i >= x->plan->outer_count || x->slots[i].row == NULL)
        return NULL;
    if (x->slots[i].value->kind == EXPR_COLUMN)
        return output_name(x, x->slots[i].row, x->slots[i].value->u.index);
    return NULL;
}

static const char *
text_over(struct explain *x, const struct plan_node *n, int32_t child, const struct expr *e)
{
    struct row r = { x, n, child };
    struct expr_text t = {
        .arena = x->arena, .column = row_column, .slot = row_slot, .params = x->o->params, .arg = &r
    };

    return sql_expr_text(&t, e);
}

/* ---- names of columns -------------------------------------------------------------------------
 */

static const char *
scan_column(struct explain *x, const struct plan_scan *s, int32_t i)
{
    int32_t column = i < s->column_count ? s->columns[i] : -1;
    const char *name = column >= 0                      ? s->table->columns[column].name
                       : column == PLAN_COLUMN_TABLEOID ? "tableoid"
                                                        : "(row)";

    if (!x->many)
        return name;
    return arena_printf(x->arena, "%s.%s", s->alias, name);
}

static const char *
agg_text(struct explain *x, const struct plan_node *n, int32_t i)
{
    const struct plan_aggregate *a = &n->u.aggregate;
    const struct plan_agg *g;
    const char *args = "";

    if (i < a->key_count)
        return text_over(x, n, 0, a->keys[i]);
    g = &a->aggs[i - a->key_count];
    for (int32_t k = 0; k < g->arg_count; k++)
        args = arena_printf(x->arena, "%s%s%s", args, k > 0 ? ", " : "",
                            text_over(x, n, 0, g->args[k]));
    return arena_printf(x->arena, "%s(%s%s)", g->func->name, g->distinct ? "DISTINCT " : "",
                        g->arg_count == 0 ? "*" : args);
}

/* Column i of the row that the node's expressions are over. */
static const char *
input_name(struct explain *x, const struct plan_node *n, int32_t i)
{
    const char *name, *dot;

    switch (n->kind) {
    case PLAN_SCAN:
        return scan_column(x, &n->u.scan, i);
    case PLAN_VALUES:
        return arena_printf(x->arena, "column%d", i + 1);
    case PLAN_FUNCTION:
        return i == 0 ? n->u.function.alias : "ordinality";
    case PLAN_CTE_SCAN:
        name = output_name(x, x->plan->ctes[n->u.cte_scan.cte].root, i);
        dot = strrchr(name, '.');
        return arena_printf(x->arena, "%s.%s", n->u.cte_scan.alias, dot != NULL ? dot + 1 : name);
    case PLAN_AGGREGATE:
        return agg_text(x, n, i);
    case PLAN_HASH_JOIN:
    case PLAN_NEST_LOOP:
        return i < n->child[0]->column_count
                   ? output_name(x, n->child[0], i)
                   : output_name(x, n->child[1], i - n->child[0]->column_count);
    default:
        return n->child_count > 0 ? output_name(x, n->child[0], i) : "?";
    }
}

static const char *
output_name(struct explain *x, const struct plan_node *n, int32_t i)
{
    const char *name = "...";

    if (x->depth > 100)
        return name;
    x->depth++;
    if (n->kind >= PLAN_INSERT || i >= n->column_count)
        name = "?";
    else if (n->project != NULL)
        name = text_over(x, n, n->kind == PLAN_PROJECT ? 0 : -1, n->project[i]);
    else
        name = input_name(x, n, i);
    x->depth--;
    return name;
}

/* ---- lines --------------------------------------------------------------------------------- */

static void
add_line(struct explain *x, const char *line)
{
    if (x->count == x->capacity) {
        int32_t capacity = x->capacity == 0 ? 16 : 2 * x->capacity;
        const char **more = ARENA_ARRAY(x->arena, const char *, capacity);

        if (x->count > 0)
            memcpy(more, x->lines, sizeof *more * (size_t)x->count);
        x->lines = more;
        x->capacity = capacity;
    }
    x->lines[x->count++] = line;
}

static void
add_detail(struct explain *x, int indent, const char *label, const char *text)
{
    add_line(x, arena_printf(x->arena, "%*s%s: %s", indent, "", label, text));
}

static void
add_expr(struct explain *x, int indent, const char *label, const struct plan_node *n, int32_t child,
         const struct expr *e)
{
    const char *text;

    if (e == NULL)
        return;
    text = text_over(x, n, child, e);
    add_detail(x, indent, label, text[0] == '(' ? text : arena_printf(x->arena, "(%s)", text));
}

/* ---- titles -------------------------------------------------------------------------------- */

static const char *
relation_text(struct explain *x, const struct cat_table *t, const char *alias)
{
    if (alias == NULL || strcmp(alias, t->name) == 0)
        return t->name;
    return arena_printf(x->arena, "%s %s", t->name, alias);
}

static const char *
scan_title(struct explain *x, const struct plan_scan *s)
{
    const char *on = relation_text(x, s->table, s->alias);
    const char *index = s->index != NULL              ? s->index->name
                        : s->has_range || s->backward ? s->table->primary->name
                                                      : NULL;

    if (index == NULL)
        return arena_printf(x->arena, "Seq Scan on %s", on);
    return arena_printf(x->arena, "Index Scan%s using %s on %s", s->backward ? " Backward" : "",
                        index, on);
}

static const char *
join_title(struct explain *x, const struct plan_node *n)
{
    static const char *const kinds[] = { "", " Left", " Full", " Semi", " Anti", " Anti" };
    enum plan_join j = n->u.join.join;

    if (n->kind == PLAN_HASH_JOIN)
        return arena_printf(x->arena, "Hash%s Join", kinds[j]);
    return j == PLAN_JOIN_INNER ? "Nested Loop"
                                : arena_printf(x->arena, "Nested Loop%s Join", kinds[j]);
}

static const char *
set_op_title(const struct plan_set_op *s)
{
    if (s->op == AST_SETOP_UNION)
        return s->all ? "Append" : "HashAggregate";
    if (s->op == AST_SETOP_INTERSECT)
        return s->all ? "HashSetOp Intersect All" : "HashSetOp Intersect";
    return s->all ? "HashSetOp Except All" : "HashSetOp Except";
}

static const char *
node_title(struct explain *x, const struct plan_node *n)
{
    switch (n->kind) {
    case PLAN_SCAN:
        return scan_title(x, &n->u.scan);
    case PLAN_VALUES:
        return n->u.values.row_count == 1 ? "Result" : "Values Scan on \"*VALUES*\"";
    case PLAN_FUNCTION:
        return arena_printf(
            x->arena, "Function Scan on %s%s%s", n->u.function.func->name,
            strcmp(n->u.function.func->name, n->u.function.alias) == 0 ? "" : " ",
            strcmp(n->u.function.func->name, n->u.function.alias) == 0 ? "" : n->u.function.alias);
    case PLAN_CTE_SCAN:
        return arena_printf(x->arena, "CTE Scan on %s", n->u.cte_scan.alias);
    case PLAN_PROJECT:
        return "Result";
    case PLAN_AGGREGATE:
        return n->u.aggregate.key_count == 0 ? "Aggregate"
               : n->u.aggregate.sorted       ? "GroupAggregate"
                                             : "HashAggregate";
    case PLAN_SORT:
        return "Sort";
    case PLAN_DISTINCT:
        return n->u.distinct.sorted ? "Unique" : "HashAggregate";
    case PLAN_LIMIT:
        return n->u.limit.gate != NULL ? "Result" : "Limit";
    case PLAN_LOCK_ROWS:
        return "LockRows";
    case PLAN_MATERIALIZE:
        return "Materialize";
    case PLAN_HASH_JOIN:
    case PLAN_NEST_LOOP:
        return join_title(x, n);
    case PLAN_SET_OP:
        return set_op_title(&n->u.set_op);
    case PLAN_INSERT:
        return arena_printf(x->arena, "Insert on %s", n->u.modify.table->name);
    case PLAN_UPDATE:
        return arena_printf(x->arena, "Update on %s", n->u.modify.table->name);
    case PLAN_DELETE:
        return arena_printf(x->arena, "Delete on %s", n->u.modify.table->name);
    }
    return "?";
}

static const char *
node_figures(struct explain *x, const struct plan_node *n)
{
    const struct explain_run *r = x->o->run == NULL ? NULL : &x->o->run[n->id];
    const char *text = "";

    if (x->o->costs)
        text = arena_printf(x->arena, "  (cost=%.2f..%.2f rows=%.0f width=%d)", n->start_cost,
                            n->cost, n->rows, n->width);
    if (r == NULL)
        return text;
    if (r->loops == 0)
        return arena_printf(x->arena, "%s (never executed)", text);
    if (x->o->timing)
        return arena_printf(x->arena, "%s (actual time=%.3f..%.3f rows=%.0f loops=%llu)", text,
                            (double)r->start_us / 1000 / (double)r->loops,
                            (double)r->total_us / 1000 / (double)r->loops,
                            r->rows / (double)r->loops, (unsigned long long)r->loops);
    return arena_printf(x->arena, "%s (actual rows=%.0f loops=%llu)", text,
                        r->rows / (double)r->loops, (unsigned long long)r->loops);
}

/* ---- details ------------------------------------------------------------------------------- */

static const char *
and_text(struct explain *x, const char *all, const char *one)
{
    return all == NULL ? one : arena_printf(x->arena, "%s AND %s", all, one);
}

static void
scan_details(struct explain *x, int indent, const struct plan_node *n)
{
    const struct plan_scan *s = &n->u.scan;
    const struct plan_range *r = &s->range;
    const struct cat_index *ix = s->index != NULL ? s->index : s->table->primary;
    const char *all = NULL, *name, *list = "";
    int32_t i = 0;

    for (; s->has_range && i < r->equal_count; i++)
        all =
            and_text(x, all,
                     arena_printf(x->arena, "(%s = %s)", s->table->columns[ix->keys[i].column].name,
                                  text_over(x, n, -1, r->equal[i])));
    if (s->has_range && i < (int32_t)ix->key_count) {
        name = s->table->columns[ix->keys[i].column].name;
        for (int32_t k = 0; k < r->in_count; k++)
            list = arena_printf(x->arena, "%s%s%s", list, k > 0 ? ", " : "",
                                text_over(x, n, -1, r->in[k]));
        if (r->in_count > 0)
            all = and_text(x, all, arena_printf(x->arena, "(%s = ANY (ARRAY[%s]))", name, list));
        if (r->is_null)
            all = and_text(x, all, arena_printf(x->arena, "(%s IS NULL)", name));
        if (r->low != NULL)
            all = and_text(x, all,
                           arena_printf(x->arena, "(%s %s %s)", name, r->low_inclusive ? ">=" : ">",
                                        text_over(x, n, -1, r->low)));
        if (r->high != NULL)
            all =
                and_text(x, all,
                         arena_printf(x->arena, "(%s %s %s)", name, r->high_inclusive ? "<=" : "<",
                                      text_over(x, n, -1, r->high)));
    }
    if (all != NULL)
        add_detail(x, indent, "Index Cond",
                   strstr(all, ") AND (") != NULL ? arena_printf(x->arena, "(%s)", all) : all);
    add_expr(x, indent, "As Of SCN", n, -1, s->as_of_scn);
    add_expr(x, indent, "As Of Timestamp", n, -1, s->as_of_time);
}

static void
sort_details(struct explain *x, int indent, const struct plan_node *n)
{
    const char *list = "";

    for (int32_t i = 0; i < n->u.sort.key_count; i++) {
        const struct sort_key *k = &n->u.sort.keys[i];

        list = arena_printf(x->arena, "%s%s%s%s%s", list, i > 0 ? ", " : "",
                            text_over(x, n, 0, k->value), k->descending ? " DESC" : "",
                            k->nulls_first == k->descending ? ""
                            : k->nulls_first                ? " NULLS FIRST"
                                                            : " NULLS LAST");
    }
    add_detail(x, indent, "Sort Key", list);
}

static void
key_details(struct explain *x, int indent, const struct plan_node *n, struct expr *const *keys,
            int32_t count)
{
    const char *list = "";

    for (int32_t i = 0; i < count; i++)
        list = arena_printf(x->arena, "%s%s%s", list, i > 0 ? ", " : "",
                            keys != NULL ? text_over(x, n, 0, keys[i])
                                         : output_name(x, n->child[0], i));
    if (count > 0)
        add_detail(x, indent, "Group Key", list);
}

static void
join_details(struct explain *x, int indent, const struct plan_node *n)
{
    const struct plan_join_node *j = &n->u.join;
    const char *all = NULL;

    for (int32_t i = 0; i < j->key_count; i++)
        all = and_text(x, all,
                       arena_printf(x->arena, "(%s = %s)", text_over(x, n, 0, j->left_keys[i]),
                                    text_over(x, n, 1, j->right_keys[i])));
    if (all != NULL)
        add_detail(x, indent, "Hash Cond",
                   j->key_count > 1 ? arena_printf(x->arena, "(%s)", all) : all);
    add_expr(x, indent, "Join Filter", n, -1, j->on);
}

static void
node_details(struct explain *x, int indent, const struct plan_node *n)
{
    switch (n->kind) {
    case PLAN_SCAN:
        scan_details(x, indent, n);
        break;
    case PLAN_SORT:
        sort_details(x, indent, n);
        break;
    case PLAN_LIMIT:
        add_expr(x, indent, "One-Time Filter", n, -1, n->u.limit.gate);
        break;
    case PLAN_AGGREGATE:
        key_details(x, indent, n, n->u.aggregate.keys, n->u.aggregate.key_count);
        break;
    case PLAN_DISTINCT:
        if (!n->u.distinct.sorted)
            key_details(x, indent, n, NULL, n->child[0]->column_count);
        break;
    case PLAN_HASH_JOIN:
    case PLAN_NEST_LOOP:
        join_details(x, indent, n);
        break;
    default:
        break;
    }
    add_expr(x, indent, "Filter", n, n->kind == PLAN_PROJECT ? 0 : -1, n->filter);
    if (x->o->verbose && n->kind < PLAN_INSERT) {
        const char *list = "";

        for (int32_t i = 0; i < n->column_count; i++)
            list = arena_printf(x->arena, "%s%s%s", list, i > 0 ? ", " : "", output_name(x, n, i));
        add_detail(x, indent, "Output", list);
    }
}

/* ---- the tree ------------------------------------------------------------------------------ */

static void explain_node(struct explain *x, int indent, bool arrow, struct plan_node *n);

/* Subplans that a node's expressions use stand under it. */
struct find_subplans {
    bool *used;
};

static int
find_subplan(struct expr **child, void *arg)
{
    struct find_subplans *f = arg;

    if ((*child)->kind == EXPR_SUBPLAN)
        f->used[(*child)->u.subplan.id] = true;
    return expr_each_child(*child, find_subplan, arg);
}

static void
explain_children(struct explain *x, int indent, struct plan_node *n)
{
    bool *used = ARENA_ARRAY(x->arena, bool, x->plan->subplan_count + 1);
    struct find_subplans find = { used };

    for (int32_t i = 0; i < n->child_count; i++) {
        if (n->kind == PLAN_HASH_JOIN && i == 1) {
            add_line(x, arena_printf(x->arena, "%*s->  Hash%s", indent, "",
                                     x->o->run == NULL ? node_figures(x, n->child[1]) : ""));
            explain_node(x, indent + 6, true, n->child[1]);
        } else {
            explain_node(x, indent, true, n->child[i]);
        }
    }
    plan_node_each_expr(n, find_subplan, &find);
    for (int32_t i = 0; i < x->plan->subplan_count; i++) {
        if (!used[i])
            continue;
        add_line(x, arena_printf(x->arena, "%*s%s %d", indent, "",
                                 x->plan->subplans[i].bind_count == 0 ? "InitPlan" : "SubPlan",
                                 i + 1));
        explain_node(x, indent + 2, true, x->plan->subplans[i].root);
    }
}

static void
explain_node(struct explain *x, int indent, bool arrow, struct plan_node *n)
{
    if (x->depth > 200)
        return;
    x->depth++;
    add_line(x, arena_printf(x->arena, "%*s%s%s%s", indent, "", arrow ? "->  " : "",
                             node_title(x, n), node_figures(x, n)));
    indent += arrow ? 6 : 2;
    node_details(x, indent, n);
    if (x->o->spilled != NULL && x->o->spilled[n->id] > 0)
        add_line(x, arena_printf(x->arena, "%*s%sDisk: %llukB", indent, "",
                                 n->kind == PLAN_SORT ? "Sort Method: external merge  " : "",
                                 (unsigned long long)(x->o->spilled[n->id] + 1023) >> 10));
    explain_children(x, indent, n);
    x->depth--;
}

static int
count_tables(struct explain *x, const struct plan_node *n)
{
    int tables = n->kind == PLAN_SCAN || n->kind == PLAN_CTE_SCAN;

    if (n->kind == PLAN_NEST_LOOP)
        for (int32_t i = 0; i < n->u.join.bind_count; i++)
            x->slots[n->u.join.binds[i].slot] =
                (struct slot_use){ n->child[0], n->u.join.binds[i].value };
    for (int32_t i = 0; i < n->child_count; i++)
        tables += count_tables(x, n->child[i]);
    return tables;
}

void
sql_explain(const struct plan *plan, const struct explain_options *o, struct arena *arena,
            const char ***lines, int32_t *count)
{
    struct explain x = { .plan = plan, .o = o, .arena = arena };
    int tables;

    x.slots = ARENA_ARRAY(arena, struct slot_use, plan->outer_count + 1);
    tables = count_tables(&x, plan->root);
    for (int32_t i = 0; i < plan->subplan_count; i++)
        tables += count_tables(&x, plan->subplans[i].root);
    x.many = tables > 1;
    explain_node(&x, 0, false, plan->root);
    for (int32_t i = 0; i < plan->cte_count; i++) {
        add_line(&x, arena_printf(arena, "  CTE %s", plan->ctes[i].name));
        explain_node(&x, 4, true, plan->ctes[i].root);
    }
    *lines = x.lines;
    *count = x.count;
}
