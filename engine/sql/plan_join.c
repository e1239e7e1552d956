/* FROM: which entries are joined in which order, and how.
 *
 * Inner joins are put together greedily: from the smallest entry on, always the next one that costs
 * least. An outer join is one unit among them; conditions that cannot hold for its NULL rows turn
 * it into an inner join first.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "engine/sql/plan_int.h"

static const double ROW_COST = 0.01;

/* One side of a join: an entry not planned yet, so that it may still become the inner side of a
 * loop that looks it up by key; or a finished path. */
struct item {
    rels_t rels, deps;
    int32_t rel; /* -1: planned */
    struct from *outer_join;
    struct access access; /* of a table, by itself */
    double rows, cost;
    bool planned;
    struct path path;
    struct bind_list binds; /* what it needs of the entries in deps */
};

struct group {
    struct pquery *pq;
    struct conds *conds;
    rels_t rels;               /* of all items: what a lateral one may find beside it */
    struct bind_list *outside; /* what they need of entries beyond: somebody above sets it */
    int32_t count, capacity;
    struct item *items;
};

static rels_t
from_rels(const struct from *f)
{
    return f->kind == FROM_REL ? rel_bit(f->rel) : from_rels(f->left) | from_rels(f->right);
}

/* ---- filters above a node -------------------------------------------------------------------- */

/* The input row of the node is what it yields. */
static bool
filter_fits(const struct plan_node *n)
{
    if (n->project != NULL)
        return false;
    switch (n->kind) {
    case PLAN_SCAN:
    case PLAN_VALUES:
    case PLAN_FUNCTION:
    case PLAN_CTE_SCAN:
    case PLAN_PROJECT:
        return true;
    case PLAN_HASH_JOIN:
    case PLAN_NEST_LOOP:
        return n->u.join.join <= PLAN_JOIN_FULL;
    default:
        return false;
    }
}

int
path_filter(struct pquery *pq, struct path *path, struct conds *conds)
{
    struct space s = { .layout = &path->layout };
    struct expr_list filters = { 0 };
    int rc = 0;

    for (int32_t i = 0; rc == 0 && i < conds->count; i++) {
        struct cond *c = &conds->list[i];
        struct expr *e;

        if (c->used || (c->rels & ~path->rels) != 0)
            continue;
        if (filters.count == 0 && !filter_fits(path->node)) {
            struct plan_node *n = node_make(pq->p, PLAN_PROJECT, 1);

            n->child[0] = path->node;
            node_copy_columns(pq->p, n, path->node);
            path->node = n;
        }
        rc = translate(pq, c->e, &s, &e);
        if (rc == 0)
            expr_list_add(pq->p->arena, &filters, EXPR_AND, e);
        c->used = true;
        path->rows = fmax(1, path->rows * cond_selectivity(c));
    }
    if (filters.count == 0)
        return rc;
    path->node->filter =
        plan_and(pq->p, path->node->filter, expr_list_finish(pq->p->arena, &filters, EXPR_AND));
    path->node->rows = path->rows;
    path->node->cost = path->cost;
    return rc;
}

/* ---- estimates ------------------------------------------------------------------------------- */

/* The column alone is a key of its table: at most one row has a value. */
static double
unique_rows(struct pquery *pq, const struct expr *e)
{
    const struct rte *rte;

    while (e->kind == EXPR_RELABEL || (e->kind == EXPR_FUNC && e->arg_count == 1))
        e = e->args[0];
    if (e->kind != EXPR_VAR || e->u.var.level != 0 || e->u.var.rel < 0)
        return 0;
    rte = pq->q->rels[e->u.var.rel];
    for (uint32_t i = 0; rte->kind == RTE_TABLE && i < rte->table->index_count; i++) {
        const struct cat_index *ix = &rte->table->indexes[i];

        if (ix->unique && ix->key_count == 1 && ix->keys[0].column == e->u.var.column)
            return table_rows(rte->table);
    }
    return 0;
}

static double
join_rows(struct pquery *pq, double left_rows, double right_rows, rels_t left, rels_t right,
          const struct conds *conds)
{
    double rows = left_rows * right_rows;

    for (int32_t i = 0; i < conds->count; i++) {
        const struct cond *c = &conds->list[i];
        struct equality eq;

        if (c->used || (c->rels & ~(left | right)) != 0 || (c->rels & left) == 0 ||
            (c->rels & right) == 0)
            continue;
        if (cond_equality(pq->p, c, left, right, &eq)) {
            double distinct = fmax(unique_rows(pq, eq.left), unique_rows(pq, eq.right));

            if (distinct == 0)
                distinct = fmax(1, fmin(left_rows, right_rows));
            rows /= distinct;
        } else {
            rows *= cond_selectivity(c);
        }
    }
    return fmax(1, rows);
}

/* ---- items --------------------------------------------------------------------------------- */

static struct item *
group_add(struct group *g)
{
    if (g->count == g->capacity) {
        int32_t capacity = g->capacity == 0 ? 4 : 2 * g->capacity;
        struct item *more = ARENA_ARRAY(g->pq->p->arena, struct item, capacity);

        if (g->count > 0)
            memcpy(more, g->items, sizeof *more * (size_t)g->count);
        g->items = more;
        g->capacity = capacity;
    }
    g->items[g->count] = (struct item){ .rel = -1 };
    return &g->items[g->count++];
}

/* A left join whose NULL rows some condition throws away. */
static bool
is_really_inner(const struct group *g, const struct from *f)
{
    rels_t right = from_rels(f->right);

    for (int32_t i = 0; f->join == AST_JOIN_LEFT && i < g->conds->count; i++)
        if (!g->conds->list[i].used && rejects_null(g->conds->list[i].e, right))
            return true;
    return false;
}

static void
collect(struct group *g, struct from *f)
{
    struct item *item;

    if (f->kind == FROM_JOIN && (f->join == AST_JOIN_INNER || is_really_inner(g, f))) {
        conds_add(g->pq->p, g->conds, f->on);
        collect(g, f->left);
        collect(g, f->right);
        return;
    }
    item = group_add(g);
    item->rels = from_rels(f);
    if (f->kind == FROM_REL)
        item->rel = f->rel;
    else
        item->outer_join = f;
}

static bool
is_table(const struct group *g, const struct item *item)
{
    return item->rel >= 0 && g->pq->q->rels[item->rel]->kind == RTE_TABLE;
}

static int plan_outer(struct group *g, struct item *item);
static int plan_group(struct pquery *pq, struct from *from, struct conds *conds,
                      struct bind_list *outside, struct path *out);

/* What an item needs of entries beyond the group is handed on. */
static void
split_binds(struct group *g, struct item *item)
{
    int32_t kept = 0;

    item->deps = 0;
    for (int32_t i = 0; i < item->binds.count; i++) {
        struct plan_bind *b = &item->binds.binds[i];
        rels_t rels = expr_rels(b->value, 0);

        if ((rels & ~g->rels) != 0) {
            CHECK(g->outside != NULL);
            bind_list_add(g->pq->p, g->outside, b->slot, b->value);
        } else {
            item->deps |= rels;
            item->binds.binds[kept++] = *b;
        }
    }
    item->binds.count = kept;
}

/* What the item costs by itself; all but tables are planned right away. */
static int
item_prepare(struct group *g, struct item *item, const struct wanted_order *order)
{
    int rc;

    if (is_table(g, item)) {
        rc = choose_access(g->pq, item->rel, g->conds, 0, order, &item->access);
        item->rows = item->access.rows;
        item->cost = item->access.cost;
        for (int32_t i = 0; i < g->conds->count; i++)
            if (g->conds->list[i].rels == item->rels && !item->access.consumed[i])
                item->rows *= cond_selectivity(&g->conds->list[i]);
        item->rows = fmax(1, item->rows);
        return rc;
    }
    rc = item->rel >= 0 ? plan_rel(g->pq, item->rel, g->conds, &item->binds, &item->path)
                        : plan_outer(g, item);
    item->planned = true;
    if (rc == 0)
        split_binds(g, item);
    item->rows = item->path.rows;
    item->cost = item->path.cost;
    return rc;
}

static int
item_plan(struct group *g, struct item *item)
{
    if (item->planned)
        return 0;
    item->planned = true;
    return scan_path(g->pq, item->rel, &item->access, g->conds, 0, NULL, &item->path);
}

/* ---- joining two ----------------------------------------------------------------------------- */

enum method { METHOD_HASH, METHOD_LOOKUP, METHOD_LOOP };
struct choice {
    enum method method;
    struct access access; /* METHOD_LOOKUP */
    double rows, cost;
};

static int
choose_method(struct group *g, const struct path *left, struct item *right, enum plan_join join,
              struct choice *out)
{
    struct equality eq;
    bool hashable = false;
    double loop;

    *out = (struct choice){ .method = METHOD_LOOP };
    out->rows = join_rows(g->pq, left->rows, right->rows, left->rels, right->rels, g->conds);
    loop = left->cost + right->cost + left->rows * right->rows * ROW_COST;
    out->cost = right->deps != 0 ? left->cost + left->rows * right->cost : loop;
    for (int32_t i = 0; i < g->conds->count && !hashable; i++)
        hashable = !g->conds->list[i].used &&
                   cond_equality(g->pq->p, &g->conds->list[i], left->rels, right->rels, &eq);
    if (hashable && right->deps == 0) {
        /* Never a plain loop where there are keys: the estimates are too rough to risk that. */
        out->cost = left->cost + right->cost + (left->rows + 1.5 * right->rows) * 2 * ROW_COST;
        out->method = METHOD_HASH;
    }
    if (is_table(g, right) && !right->planned && join != PLAN_JOIN_FULL &&
        join != PLAN_JOIN_ANTI_NULL) {
        struct access a;
        int rc = choose_access(g->pq, right->rel, g->conds, left->rels, NULL, &a);

        if (rc != 0)
            return rc;
        if (a.has_range && left->cost + left->rows * (a.cost + 0.05) < out->cost) {
            out->cost = left->cost + left->rows * (a.cost + 0.05);
            out->method = METHOD_LOOKUP;
            out->access = a;
        }
    }
    out->cost += out->rows * ROW_COST;
    return 0;
}

static void
join_layout(struct pquery *pq, const struct path *l, const struct path *r, bool right_too,
            struct path *out)
{
    int32_t count = l->layout.count + r->layout.count;
    struct plan_node *n = out->node;

    out->layout.columns = ARENA_ARRAY(pq->p->arena, struct layout_column, count + 1);
    n->columns = ARENA_ARRAY(pq->p->arena, struct plan_column, count + 1);
    if (l->layout.count > 0) {
        memcpy(out->layout.columns, l->layout.columns,
               sizeof *l->layout.columns * (size_t)l->layout.count);
        memcpy(n->columns, l->node->columns, sizeof *n->columns * (size_t)l->layout.count);
    }
    if (r->layout.count > 0) {
        memcpy(out->layout.columns + l->layout.count, r->layout.columns,
               sizeof *r->layout.columns * (size_t)r->layout.count);
        memcpy(n->columns + l->layout.count, r->node->columns,
               sizeof *n->columns * (size_t)r->layout.count);
    }
    out->layout.count = count;
    n->column_count = right_too ? count : l->layout.count;
}

/* Equalities become keys of the hash table. */
static int
hash_keys(struct group *g, const struct path *l, const struct path *r, struct plan_join_node *j)
{
    struct planner *p = g->pq->p;
    struct space left = { .layout = &l->layout }, right = { .layout = &r->layout };
    int rc = 0;

    j->left_keys = ARENA_ARRAY(p->arena, struct expr *, g->conds->count + 1);
    j->right_keys = ARENA_ARRAY(p->arena, struct expr *, g->conds->count + 1);
    j->equal = ARENA_ARRAY(p->arena, const struct func *, g->conds->count + 1);
    for (int32_t i = 0; rc == 0 && i < g->conds->count; i++) {
        struct cond *c = &g->conds->list[i];
        struct equality eq;

        if (c->used || !cond_equality(p, c, l->rels, r->rels, &eq))
            continue;
        c->used = true;
        rc = translate(g->pq, eq.left, &left, &j->left_keys[j->key_count]);
        if (rc == 0)
            rc = translate(g->pq, eq.right, &right, &j->right_keys[j->key_count]);
        j->equal[j->key_count++] = eq.equal;
    }
    return rc;
}

static int
join_on(struct group *g, struct path *joined, struct plan_join_node *j)
{
    struct space s = { .layout = &joined->layout };
    struct expr_list on = { 0 };
    int rc = 0;

    for (int32_t i = 0; rc == 0 && i < g->conds->count; i++) {
        struct cond *c = &g->conds->list[i];
        struct expr *e;

        if (c->used || (c->rels & ~joined->rels) != 0 || (c->is_volatile && c->rels == 0))
            continue;
        c->used = true;
        rc = translate(g->pq, c->e, &s, &e);
        if (rc == 0)
            expr_list_add(g->pq->p->arena, &on, EXPR_AND, e);
    }
    j->on = expr_list_finish(g->pq->p->arena, &on, EXPR_AND);
    return rc;
}

static int
translate_binds(struct pquery *pq, const struct path *left, const struct bind_list *binds,
                struct plan_join_node *j)
{
    struct space s = { .layout = &left->layout };
    int rc = 0;

    j->bind_count = binds->count;
    j->binds = ARENA_ARRAY(pq->p->arena, struct plan_bind, binds->count + 1);
    for (int32_t i = 0; rc == 0 && i < binds->count; i++) {
        j->binds[i].slot = binds->binds[i].slot;
        rc = translate(pq, binds->binds[i].value, &s, &j->binds[i].value);
    }
    return rc;
}

static struct plan_node *
materialize(struct pquery *pq, const struct path *path)
{
    struct plan_node *n = path->node, *m;

    if (n->kind == PLAN_VALUES || n->kind == PLAN_CTE_SCAN || n->kind == PLAN_MATERIALIZE ||
        plan_needs_slots(pq->p, n))
        return n;
    m = node_make(pq->p, PLAN_MATERIALIZE, 1);
    m->child[0] = n;
    m->rows = path->rows;
    m->cost = path->cost;
    node_copy_columns(pq->p, m, n);
    return m;
}

/* All conditions of the group that concern the two are met by the join. */
static int
join_build(struct group *g, struct path *left, struct item *right, enum plan_join join,
           const struct choice *how, struct path *out)
{
    struct pquery *pq = g->pq;
    bool right_too = join <= PLAN_JOIN_FULL;
    struct plan_join_node *j;
    struct path r;
    int rc = 0;

    if (how->method == METHOD_LOOKUP) {
        struct access a = how->access;

        rc = scan_path(pq, right->rel, &a, g->conds, left->rels, &right->binds, &r);
        right->planned = true;
    } else {
        rc = item_plan(g, right);
        r = right->path;
    }
    if (rc != 0)
        return rc;
    out->node = node_make(pq->p, how->method == METHOD_HASH ? PLAN_HASH_JOIN : PLAN_NEST_LOOP, 2);
    j = &out->node->u.join;
    j->join = join;
    out->node->child[0] = left->node;
    out->node->child[1] = r.node;
    out->rels = left->rels | r.rels;
    out->rows = how->rows;
    out->cost = how->cost;
    join_layout(pq, left, &r, right_too, out);
    if (how->method == METHOD_HASH)
        rc = hash_keys(g, left, &r, j);
    else if (right->binds.count > 0)
        rc = translate_binds(pq, left, &right->binds, j);
    else
        out->node->child[1] = materialize(pq, &r);
    if (rc == 0)
        rc = join_on(g, out, j);
    if (!right_too) {
        out->layout.count = left->layout.count;
        out->rels = left->rels;
    }
    out->node->rows = out->rows;
    out->node->cost = out->cost;
    return rc;
}

/* ---- inner joins ----------------------------------------------------------------------------- */

static bool
is_connected(const struct group *g, rels_t left, rels_t right)
{
    for (int32_t i = 0; i < g->conds->count; i++) {
        const struct cond *c = &g->conds->list[i];

        if (!c->used && (c->rels & left) != 0 && (c->rels & right) != 0 &&
            (c->rels & ~(left | right)) == 0)
            return true;
    }
    return false;
}

/* The smaller side of a hash join is the one to build on. */
static int
join_inner(struct group *g, struct path *left, struct item *right, struct choice *how,
           struct path *out)
{
    if (how->method == METHOD_HASH && left->rows < right->rows) {
        struct item swapped = { .rel = -1,
                                .rels = left->rels,
                                .planned = true,
                                .path = *left,
                                .rows = left->rows,
                                .cost = left->cost };
        int rc = item_plan(g, right);

        return rc != 0 ? rc : join_build(g, &right->path, &swapped, PLAN_JOIN_INNER, how, out);
    }
    return join_build(g, left, right, PLAN_JOIN_INNER, how, out);
}

static int
choose_next(struct group *g, const struct path *so_far, const bool *done, int32_t *next,
            struct choice *how)
{
    bool connected = false;

    *next = -1;
    for (int32_t i = 0; i < g->count; i++) {
        struct item *item = &g->items[i];
        struct arena_mark mark;
        struct choice c;
        bool joined;
        int rc;

        if (done[i] || (item->deps & ~so_far->rels) != 0)
            continue;
        joined = item->deps != 0 || is_connected(g, so_far->rels, item->rels);
        mark = arena_mark(g->pq->p->arena);
        rc = choose_method(g, so_far, item, PLAN_JOIN_INNER, &c);
        arena_rewind(g->pq->p->arena, mark); /* the best one is worked out again */
        if (rc != 0)
            return rc;
        if (*next < 0 || (joined && !connected) || (joined == connected && c.cost < how->cost)) {
            *next = i;
            *how = c;
            connected = joined;
        }
    }
    return *next < 0 ? 0 : choose_method(g, so_far, &g->items[*next], PLAN_JOIN_INNER, how);
}

static int
join_all(struct group *g, struct path *out)
{
    bool *done = ARENA_ARRAY(g->pq->p->arena, bool, g->count);
    int32_t first = -1;
    int rc;

    for (int32_t i = 0; i < g->count; i++)
        if (g->items[i].deps == 0 && (first < 0 || g->items[i].rows < g->items[first].rows))
            first = i;
    if (first < 0)
        return DIAG(ERR_NOT_SUPPORTED, "entries of FROM depend on each other in a circle");
    rc = item_plan(g, &g->items[first]);
    *out = g->items[first].path;
    done[first] = true;
    for (int32_t n = 1; rc == 0 && n < g->count; n++) {
        struct path left = *out;
        struct choice how;
        int32_t next;

        rc = choose_next(g, &left, done, &next, &how);
        if (rc == 0 && next < 0)
            return DIAG(ERR_NOT_SUPPORTED, "entries of FROM depend on each other in a circle");
        if (rc == 0)
            rc = join_inner(g, &left, &g->items[next], &how, out);
        if (rc == 0)
            done[next] = true;
    }
    return rc;
}

/* ---- outer joins ----------------------------------------------------------------------------- */

/* Conditions from above that only concern the left side go there. */
static void
push_left(struct planner *p, struct conds *above, rels_t left, struct conds *out)
{
    for (int32_t i = 0; i < above->count; i++) {
        struct cond *c = &above->list[i];

        if (c->used || c->rels == 0 || (c->rels & ~left) != 0 || c->is_volatile)
            continue;
        conds_add(p, out, c->e);
        c->used = true;
    }
}

/* The right side by itself; a lateral one finds the left side beside it. */
static int
prepare_right(struct group *g, struct from *f, struct item *right)
{
    struct conds conds = { 0 };
    int rc;

    right->rels = from_rels(f->right);
    if (f->right->kind == FROM_REL && f->join == AST_JOIN_LEFT) {
        right->rel = f->right->rel;
        return item_prepare(g, right, NULL);
    }
    if (f->join == AST_JOIN_LEFT)
        push_left(g->pq->p, g->conds, right->rels, &conds);
    rc = plan_group(g->pq, f->right, &conds, &right->binds, &right->path);
    right->planned = true;
    right->rows = right->path.rows;
    right->cost = right->path.cost;
    if (rc == 0)
        split_binds(g, right);
    return rc;
}

static int
plan_outer(struct group *above, struct item *item)
{
    struct pquery *pq = above->pq;
    struct from *f = item->outer_join;
    bool full = f->join == AST_JOIN_FULL;
    struct conds left_conds = { 0 }, on = { 0 };
    struct group g = { .pq = pq, .conds = &on, .rels = from_rels(f), .outside = &item->binds };
    struct item *right = group_add(&g);
    struct choice how;
    struct path left;
    int rc;

    conds_add(pq->p, &on, f->on);
    if (!full)
        push_left(pq->p, above->conds, from_rels(f->left), &left_conds);
    rc = plan_group(pq, f->left, &left_conds, &item->binds, &left);
    if (rc == 0)
        rc = prepare_right(&g, f, right);
    if (rc == 0)
        rc = choose_method(&g, &left, right, full ? PLAN_JOIN_FULL : PLAN_JOIN_LEFT, &how);
    if (rc != 0)
        return rc;
    if (full && how.method != METHOD_HASH)
        return DIAG(ERR_NOT_SUPPORTED,
                    "FULL JOIN is only supported with hash-joinable join conditions");
    how.rows = fmax(how.rows, left.rows);
    return join_build(&g, &left, right, full ? PLAN_JOIN_FULL : PLAN_JOIN_LEFT, &how, &item->path);
}

/* ---- EXISTS and IN --------------------------------------------------------------------------- */

static int
join_semi(struct pquery *pq, struct semi *semi, struct path *path)
{
    struct group g = { .pq = pq, .conds = &semi->on, .rels = path->rels | rel_bit(semi->rel) };
    struct item *right = group_add(&g);
    struct path left = *path;
    struct choice how;
    int rc;

    right->rel = semi->rel;
    right->rels = rel_bit(semi->rel);
    rc = item_prepare(&g, right, NULL);
    if (rc == 0)
        rc = choose_method(&g, &left, right, semi->join, &how);
    if (rc == 0 && semi->join == PLAN_JOIN_ANTI_NULL && how.method != METHOD_HASH)
        rc = DIAG(ERR_INTERNAL, "NOT IN without a key to hash");
    if (rc != 0)
        return rc;
    how.rows = fmax(1, left.rows * 0.5);
    return join_build(&g, &left, right, semi->join, &how, path);
}

/* Takes the conditions that can be joins out of the list. */
static int
take_semis(struct pquery *pq, struct conds *conds, struct semi **out, int32_t *count)
{
    int rc = 0;

    *count = 0;
    *out = ARENA_ARRAY(pq->p->arena, struct semi, conds->count + 1);
    for (int32_t i = 0; rc == 0 && i < conds->count; i++) {
        bool made = false;

        if (conds->list[i].used || !conds->list[i].has_sublink || conds->list[i].is_volatile)
            continue;
        rc = make_semi(pq, conds->list[i].e, &(*out)[*count], &made);
        if (rc == 0 && made) {
            conds->list[i].used = true;
            (*count)++;
        }
    }
    return rc;
}

/* Inner joins of all that `from` has, outer ones within. */
static int
plan_items(struct group *g, struct from *from, const struct wanted_order *order, struct path *out)
{
    int rc = 0;

    g->rels = from_rels(from);
    collect(g, from);
    for (int32_t i = 0; rc == 0 && i < g->count; i++)
        rc = item_prepare(g, &g->items[i], g->count == 1 ? order : NULL);
    return rc != 0 ? rc : join_all(g, out);
}

static int
plan_group(struct pquery *pq, struct from *from, struct conds *conds, struct bind_list *outside,
           struct path *out)
{
    struct group g = { .pq = pq, .conds = conds, .outside = outside };
    int rc = plan_items(&g, from, NULL, out);

    return rc != 0 ? rc : path_filter(pq, out, conds);
}

int
plan_from(struct pquery *pq, struct from *from, struct conds *conds,
          const struct wanted_order *order, bool *ordered, struct path *out)
{
    struct group g = { .pq = pq, .conds = conds };
    struct semi *semis = NULL;
    int32_t semi_count = 0;
    int rc = take_semis(pq, conds, &semis, &semi_count);

    if (rc == 0)
        rc = plan_items(&g, from, order, out);
    if (ordered != NULL)
        *ordered =
            rc == 0 && g.count == 1 && is_table(&g, &g.items[0]) && g.items[0].access.ordered;
    for (int32_t i = 0; rc == 0 && i < semi_count; i++) {
        rc = join_semi(pq, &semis[i], out);
        /* One that spills yields its rows in another order. */
        if (rc == 0 && ordered != NULL && out->node->kind == PLAN_HASH_JOIN)
            *ordered = false;
    }
    return rc != 0 ? rc : path_filter(pq, out, conds);
}
