/* The point path: one table, one key or a short range of keys. No nodes, no batches: the row goes
 * from the tree to the client's buffer, or from the parameters to the tree.
 *
 * What can be settled once per plan is in its program: which columns are wanted and where they lie
 * in a row of the table's present version. Rows of older versions take the same way with a map made
 * on the spot.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "engine/sql/exec_int.h"
#include "engine/sql/sqlport.h"

enum { POINT_KEY_MAX = 512 };

struct point_program {
    struct arena arena;
    const struct plan_node *top;    /* SCAN, or the node that writes */
    const struct plan_node *scan;   /* NULL: INSERT */
    const struct plan_limit *limit; /* NULL: none */
    const struct cat_table *table;
    uint16_t *wanted;   /* table columns that the scan yields; pseudo-columns are left out */
    int32_t *wanted_to; /* where they go in the scan's output */
    uint32_t wanted_count;
    bool wants_key, wants_row; /* the scan yields PLAN_COLUMN_KEY, PLAN_COLUMN_ROW */
    struct row_map current;    /* for rows of the table's present version */
    uint16_t *all_columns;
    struct row_map all; /* all columns, for writing */
};

void
point_program_free(struct point_program *p)
{
    if (p == NULL)
        return;
    arena_fini(&p->arena);
    xfree(p);
}

/* ---- compiling --------------------------------------------------------------------------------
 */

static int
compile_scan(struct point_program *p)
{
    const struct plan_scan *s = &p->scan->u.scan;
    const struct row_layout *l = cat_layout(p->table);

    p->wanted = ARENA_ARRAY(&p->arena, uint16_t, s->column_count + 1);
    p->wanted_to = ARENA_ARRAY(&p->arena, int32_t, s->column_count + 1);
    for (int32_t i = 0; i < s->column_count; i++) {
        p->wants_key |= s->columns[i] == PLAN_COLUMN_KEY;
        p->wants_row |= s->columns[i] == PLAN_COLUMN_ROW;
        if (s->columns[i] < 0)
            continue;
        p->wanted_to[p->wanted_count] = i;
        p->wanted[p->wanted_count++] = (uint16_t)s->columns[i];
    }
    return row_map_init(&p->current, &p->arena, l, l, p->wanted, p->wanted_count);
}

static int
compile_all(struct point_program *p)
{
    const struct row_layout *l = cat_layout(p->table);
    uint16_t *all = ARENA_ARRAY(&p->arena, uint16_t, p->table->column_count + 1);

    p->all_columns = all;
    for (uint16_t i = 0; i < p->table->column_count; i++)
        all[i] = i;
    return row_map_init(&p->all, &p->arena, l, l, all, p->table->column_count);
}

static int
compile(const struct plan *plan, struct point_program **out)
{
    struct point_program *p = xcalloc(1, sizeof *p);
    const struct plan_node *n = plan->root;
    int rc = 0;

    arena_init(&p->arena, NULL);
    if (n->kind == PLAN_LIMIT) {
        p->limit = &n->u.limit;
        n = n->child[0];
    }
    p->top = n;
    if (n->kind == PLAN_SCAN) {
        p->scan = n;
        p->table = n->u.scan.table;
    } else {
        p->table = n->u.modify.table;
        if (n->kind != PLAN_INSERT)
            p->scan = n->child[0];
        rc = compile_all(p);
    }
    if (rc == 0 && p->scan != NULL)
        rc = compile_scan(p);
    if (rc != 0) {
        point_program_free(p);
        return rc;
    }
    *out = p;
    return 0;
}

/* What this path does not do goes the general way. */
static bool
is_point(const struct plan *plan)
{
    const struct plan_node *n = plan->root;

    if (plan->point == PLAN_POINT_NONE || plan->subplan_count > 0 || plan->outer_count > 0)
        return false;
    if (plan->point == PLAN_POINT_SELECT) {
        const struct plan_scan *s = n->kind == PLAN_LIMIT ? &n->child[0]->u.scan : &n->u.scan;

        if (n->kind == PLAN_LIMIT && (n->filter != NULL || n->project != NULL))
            return false;
        return s->index == NULL && !s->table->is_virtual && s->as_of_scn == NULL &&
               s->as_of_time == NULL && s->has_range;
    }
    if (n->u.modify.has_returning || n->u.modify.conflict != AST_CONFLICT_NONE ||
        n->u.modify.table->is_system)
        return false;
    if (plan->point == PLAN_POINT_INSERT)
        return n->child[0]->kind == PLAN_VALUES;
    return n->child[0]->kind == PLAN_SCAN && n->child[0]->u.scan.index == NULL;
}

static int
program_of(struct plan *plan, struct point_program **out)
{
    struct point_program *none = NULL;
    int rc;

    *out = atomic_load_explicit(&plan->program, memory_order_acquire);
    if (*out != NULL)
        return 0;
    rc = compile(plan, out);
    if (rc != 0)
        return rc;
    if (!atomic_compare_exchange_strong_explicit(&plan->program, &none, *out, memory_order_acq_rel,
                                                 memory_order_acquire)) {
        point_program_free(*out);
        *out = none;
    }
    return 0;
}

/* ---- rows -------------------------------------------------------------------------------------
 */

struct point {
    const struct point_program *p;
    const struct exec_ctx *ctx;
    struct arena *arena;
    struct datum *columns; /* the scan's output */
    struct eval eval;      /* over it */
};

static int
decode(struct point *x, const struct row_map *ready, const uint16_t *wanted, uint32_t count,
       struct slice key, struct slice row, struct datum *out)
{
    const struct row_layout *stored;
    struct row_map made;
    int rc = cat_row_layout(x->p->table, row, &stored);

    if (rc != 0)
        return rc;
    if (stored->version == x->p->table->version)
        return row_decode(ready, key, row, x->arena, out);
    rc = row_map_init(&made, x->arena, stored, cat_layout(x->p->table), wanted, count);
    return rc != 0 ? rc : row_decode(&made, key, row, x->arena, out);
}

/* The scan's output for a row, and whether its filter takes it. */
static int
load_row(struct point *x, struct slice key, struct slice row, bool *pass)
{
    const struct plan_node *scan = x->p->scan;
    struct datum *values = ARENA_ARRAY(x->arena, struct datum, x->p->wanted_count + 1);
    int rc = decode(x, &x->p->current, x->p->wanted, x->p->wanted_count, key, row, values);

    if (rc != 0)
        return rc;
    for (uint32_t i = 0; i < x->p->wanted_count; i++)
        x->columns[x->p->wanted_to[i]] = values[i];
    for (int32_t i = 0; i < scan->u.scan.column_count; i++) {
        int32_t c = scan->u.scan.columns[i];

        if (c == PLAN_COLUMN_KEY)
            x->columns[i] = datum_slice(key);
        else if (c == PLAN_COLUMN_ROW)
            x->columns[i] = datum_slice(row);
        else if (c == PLAN_COLUMN_TABLEOID)
            x->columns[i] = datum_int(x->p->table->oid);
        else if (c < 0)
            x->columns[i] = datum_null();
    }
    *pass = true;
    return scan->filter == NULL ? 0 : eval_pass(&x->eval, scan->filter, pass);
}

/* ---- SELECT ------------------------------------------------------------------------------------
 */

struct point_out {
    struct sql_client *client;
    const int16_t *formats;
    int format_count;
    uint64_t skip, left, rows;
};

static int
send_point(struct point *x, const struct plan *plan, struct point_out *o)
{
    const struct plan_node *scan = x->p->scan;
    int count = plan->result_count;
    size_t at;

    if (o->skip > 0) {
        o->skip--;
        return 0;
    }
    o->left--;
    o->rows++;
    if (o->client == NULL)
        return 0;
    at = client_row_begin(o->client, count);
    for (int i = 0; i < count; i++) {
        struct datum d;

        if (scan->project != NULL) {
            int rc = eval_row(&x->eval, scan->project[i], &d);

            if (rc != 0) {
                client_row_abandon(o->client, at);
                return rc;
            }
        } else {
            d = x->columns[i];
        }
        send_datum(o->client, x->ctx->types, plan->results[i].type.oid,
                   format_of(o->formats, o->format_count, i), &d);
    }
    return client_row_end(o->client, at);
}

static int
select_range(struct point *x, const struct plan *plan, const struct key_range *r,
             struct point_out *o)
{
    int flags = x->p->scan->u.scan.backward ? TXN_SCAN_BACKWARD : 0;
    struct txn_cursor *c;
    struct slice key, row;
    int rc = txn_scan(x->ctx->txn, x->p->table->tree, r->lo, r->hi, flags, NULL, &c);

    if (rc != 0)
        return rc;
    while (o->left > 0 && (rc = txn_cursor_next(c, &key, &row)) == 0) {
        bool pass;

        if (x->ctx->canceled != NULL && *x->ctx->canceled) {
            rc = DIAG(ERR_QUERY_CANCELED, "canceling statement due to user request");
            break;
        }
        rc = load_row(x, key, row, &pass);
        if (rc == 0 && pass)
            rc = send_point(x, plan, o);
        if (rc != 0)
            break;
    }
    txn_cursor_close(c);
    return rc == ERR_END ? 0 : rc;
}

/* The key of a range whose every column is given: no cursor is needed. False: it is not one. */
static int
whole_key(struct point *x, const struct plan_range *r, uint8_t room[POINT_KEY_MAX],
          struct slice *key, bool *is_key, bool *none)
{
    const struct row_layout *l = cat_layout(x->p->table);
    struct writer w;

    *none = false;
    *is_key = (uint32_t)r->equal_count == l->key_count && r->in_count == 0 && r->low == NULL &&
              r->high == NULL && !r->is_null;
    if (!*is_key)
        return 0;
    wr_init_fixed(&w, room, POINT_KEY_MAX);
    for (int32_t i = 0; i < r->equal_count && !*none; i++) {
        struct datum d;
        int rc = eval_row(&x->eval, r->equal[i], &d);

        if (rc != 0)
            return rc;
        *none = d.is_null ||
                (l->key_parts[i].type == TYPE_INT4 && (d.i < INT32_MIN || d.i > INT32_MAX)) ||
                (l->key_parts[i].type == TYPE_INT2 && (d.i < INT16_MIN || d.i > INT16_MAX));
        if (!*none)
            key_put(&w, &l->key_parts[i], &d);
    }
    *is_key = !w.bad; /* a long one takes the general way */
    *key = wr_view(&w);
    return 0;
}

static int
point_limit(struct point *x, struct point_out *o)
{
    const struct plan_limit *l = x->p->limit;
    struct datum d;
    int rc = 0;

    o->left = UINT64_MAX;
    if (l == NULL)
        return 0;
    if (l->limit != NULL) {
        rc = eval_row(&x->eval, l->limit, &d);
        if (rc == 0 && !d.is_null && d.i < 0)
            rc = DIAG(ERR_INVALID_ROW_COUNT_LIMIT, "LIMIT must not be negative");
        if (rc == 0 && !d.is_null)
            o->left = (uint64_t)d.i;
    }
    if (rc == 0 && l->offset != NULL) {
        rc = eval_row(&x->eval, l->offset, &d);
        if (rc == 0 && !d.is_null && d.i < 0)
            rc = DIAG(ERR_INVALID_ROW_COUNT_LIMIT, "OFFSET must not be negative");
        if (rc == 0 && !d.is_null)
            o->skip = (uint64_t)d.i;
    }
    return rc;
}

static int
point_select(struct point *x, const struct plan *plan, struct point_out *o)
{
    const struct plan_range *r = &x->p->scan->u.scan.range;
    const struct row_layout *l = cat_layout(x->p->table);
    uint8_t room[POINT_KEY_MAX];
    struct key_range *ranges;
    struct slice key, row;
    uint32_t count;
    bool is_key, none, pass;
    int rc = point_limit(x, o);

    if (rc == 0)
        rc = whole_key(x, r, room, &key, &is_key, &none);
    if (rc != 0 || none || o->left == 0)
        return rc;
    if (is_key) {
        rc = txn_get(x->ctx->txn, x->p->table->tree, key, NULL, &row);
        if (rc == 0)
            rc = load_row(x, key, row, &pass);
        if (rc == 0 && pass)
            rc = send_point(x, plan, o);
        return rc == ERR_NOT_FOUND ? 0 : rc;
    }
    rc = range_keys(&x->eval, r, l->key_parts, l->key_count, x->p->scan->u.scan.backward, x->arena,
                    &ranges, &count);
    for (uint32_t i = 0; i < count && rc == 0 && o->left > 0; i++)
        rc = select_range(x, plan, &ranges[i], o);
    return rc;
}

/* ---- writes ------------------------------------------------------------------------------------
 */

static int
checks_hold(struct point *x, const struct plan_modify *m, const struct datum *values)
{
    struct eval v = x->eval;

    v.columns = values;
    v.arena = x->arena;
    return exec_checks_hold(&v, m);
}

static int
point_insert(struct point *x, uint64_t *rows)
{
    const struct plan_modify *m = &x->p->top->u.modify;
    const struct plan_node *source = x->p->top->child[0];
    const struct plan_values *p = &source->u.values;
    struct write_target w = { .ctx = x->ctx, .table = x->p->table, .arena = x->arena };
    struct datum *input = ARENA_ARRAY(x->arena, struct datum, p->column_count + 1);
    struct datum *values = ARENA_ARRAY(x->arena, struct datum, x->p->table->column_count + 1);
    struct eval v = x->eval;
    enum write_outcome outcome;
    int rc = 0;

    for (int32_t i = 0; i < p->column_count && rc == 0; i++)
        rc = eval_row(&v, p->rows[0][i], &input[i]);
    v.columns = input;
    for (uint32_t i = 0; i < x->p->table->column_count; i++)
        values[i] = datum_null();
    for (int32_t i = 0; i < m->value_count && rc == 0; i++)
        rc = eval_row(&v, m->values[i].value, &values[m->values[i].column]);
    if (rc == 0)
        rc = checks_hold(x, m, values);
    if (rc == 0)
        rc = write_insert(&w, values, false, &outcome, NULL, NULL);
    if (rc == 0)
        rc = fk_check_row(&w, NULL, values);
    *rows = rc == 0;
    return rc;
}

/* One attempt on the newest version. *done false with 0: there is no row to change. */
static int
change_once(struct point *x, struct slice key, const struct txn_row *row, bool *done)
{
    const struct plan_modify *m = &x->p->top->u.modify;
    const struct cat_table *t = x->p->table;
    struct fk_later later;
    struct write_target w = { .ctx = x->ctx, .table = t, .arena = x->arena, .later = &later };
    struct datum *old = ARENA_ARRAY(x->arena, struct datum, t->column_count + 1);
    struct datum *values = ARENA_ARRAY(x->arena, struct datum, t->column_count + 1);
    bool is_delete = x->p->top->kind == PLAN_DELETE;
    int rc = load_row(x, key, row->value, done);

    if (rc != 0 || !*done)
        return rc;
    rc = decode(x, &x->p->all, x->p->all_columns, t->column_count, key, row->value, old);
    memcpy(values, old, t->column_count * sizeof *values);
    fk_later_init(&later, x->ctx->memory);
    for (int32_t i = 0; i < m->value_count && rc == 0; i++)
        rc = eval_row(&x->eval, m->values[i].value, &values[m->values[i].column]);
    if (rc == 0 && !is_delete)
        rc = checks_hold(x, m, values);
    if (rc == 0 && !is_delete)
        rc = fk_check_row(&w, old, values);
    if (rc == 0)
        rc = is_delete ? write_delete(&w, key, row, old)
                       : write_update(&w, key, row, old, values, m->sets_key || m->ref_count > 0);
    if (rc == 0)
        rc = fk_check_referenced(&w, old, is_delete ? NULL : values);
    if (rc == 0)
        rc = fk_check_later(&w);
    fk_later_fini(&later);
    return rc;
}

/* A row that has changed since the snapshot counts only if the snapshot has it too. */
static int
in_snapshot(struct point *x, struct slice key, const struct txn_row *row, bool *yes)
{
    struct slice value;
    int rc;

    *yes = row->found;
    if (!row->found || !row->changed)
        return 0;
    rc = txn_get(x->ctx->txn, x->p->table->tree, key, NULL, &value);
    *yes = rc == 0;
    return rc == ERR_NOT_FOUND ? 0 : rc;
}

static int
point_change(struct point *x, struct slice key, uint64_t *rows)
{
    struct txn_row row;
    bool yes, done = false;
    int rc;

    do {
        rc = txn_read_newest(x->ctx->txn, x->p->table->tree, key, LOCK_WAIT, &row);
        if (rc == 0)
            rc = in_snapshot(x, key, &row, &yes);
        if (rc != 0 || !yes)
            return rc;
        rc = change_once(x, key, &row, &done);
    } while (rc == ERR_AGAIN);
    *rows = rc == 0 && done;
    return rc;
}

/* ---- the door -----------------------------------------------------------------------------------
 */

int
point_run(struct plan *plan, const struct exec_ctx *ctx, struct sql_client *client,
          const int16_t *formats, int format_count, uint64_t *rows, bool *ran)
{
    struct point_out o = { .client = client, .formats = formats, .format_count = format_count };
    struct point x = { .ctx = ctx, .arena = ctx->scratch };
    struct point_program *program;
    uint8_t room[POINT_KEY_MAX];
    struct slice key;
    bool is_key, none;
    int rc;

    *ran = is_point(plan);
    *rows = 0;
    if (!*ran)
        return 0;
    rc = program_of(plan, &program);
    if (rc != 0)
        return rc;
    x.p = program;
    x.eval = (struct eval){ .ctx = ctx, .arena = x.arena };
    if (plan->point == PLAN_POINT_INSERT)
        return point_insert(&x, rows);
    x.columns = ARENA_ARRAY(x.arena, struct datum, program->scan->u.scan.column_count + 1);
    x.eval.columns = x.columns;
    if (plan->point == PLAN_POINT_SELECT) {
        rc = point_select(&x, plan, &o);
        *rows = o.rows;
        return rc;
    }
    rc = whole_key(&x, &program->scan->u.scan.range, room, &key, &is_key, &none);
    if (rc != 0 || none)
        return rc;
    *ran = is_key;
    return is_key ? point_change(&x, key, rows) : 0;
}
