/* INSERT, UPDATE, DELETE, and FOR UPDATE's locks.
 *
 * Under READ COMMITTED a row that was changed since the snapshot is looked at again in its newest
 * form, and the statement goes on with it if its condition still holds.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "engine/sql/exec_int.h"

struct modify {
    const struct plan_modify *plan;
    struct write_target w;
    struct fk_later later;
    struct arena row; /* emptied after each row */
    bool done;
    struct row_store *returned;                   /* RETURNING */
    struct row_reader reader;                     /* of those, once all is done */
    struct datum *input, *old, *values, *written; /* room for one row each */
    uint32_t input_width;
};

static struct eval
eval_over(struct exec_node *n, struct modify *s, const struct datum *columns)
{
    return (struct eval){
        .x = n->x, .ctx = &n->x->ctx, .columns = columns, .outer = n->x->outer, .arena = &s->row
    };
}

/* ---- checks and results
 * -------------------------------------------------------------------------- */

static int
check_constraints(struct exec_node *n, struct modify *s, const struct datum *values)
{
    struct eval v = eval_over(n, s, values);

    return exec_checks_hold(&v, s->plan);
}

/* The written row, then the input row. */
static int
return_row(struct exec_node *n, struct modify *s, const struct datum *written)
{
    uint32_t width = s->plan->table->column_count;
    struct datum *out = ARENA_ARRAY(&s->row, struct datum, s->plan->returning_count + 1);
    struct eval v = eval_over(n, s, s->written);
    int rc = 0;

    if (!s->plan->has_returning)
        return 0;
    memcpy(s->written, written, width * sizeof *written);
    memcpy(s->written + width, s->input, s->input_width * sizeof *s->input);
    for (int32_t i = 0; i < s->plan->returning_count && rc == 0; i++)
        rc = eval_row(&v, s->plan->returning[i], &out[i]);
    return rc != 0 ? rc : row_store_add(s->returned, out);
}

/* ---- the newest version of a row
 * ------------------------------------------------------------------ */

/* Puts the table's columns of the newest version in their places in the input row, and asks the
 * condition again. *gone: the row is no more, or is not meant any more. */
static int
refresh(struct exec_node *n, struct modify *s, const struct plan_target *t, struct slice key,
        const struct txn_row *row, struct datum *input, struct datum *values, bool *gone)
{
    struct eval v = eval_over(n, s, input);
    bool pass = true;
    int rc;

    *gone = !row->found;
    if (*gone)
        return 0;
    rc = table_decode(t->table, key, row->value, &s->row, values);
    if (rc != 0 || !row->changed)
        return rc;
    for (int32_t i = 0; i < t->copy_count; i++)
        input[t->copies[i].input] = values[t->copies[i].column];
    if (t->recheck != NULL)
        rc = eval_pass(&v, t->recheck, &pass);
    *gone = !pass;
    return rc;
}

/* ---- INSERT
 * --------------------------------------------------------------------------------------- */

/* The row in the way as DO UPDATE wants it, from s->old and the row that was to be inserted; NULL:
 * its condition does not hold. */
static int
conflict_values(struct exec_node *n, struct modify *s, struct datum **out)
{
    uint32_t width = s->plan->table->column_count;
    struct datum *both = ARENA_ARRAY(&s->row, struct datum, 2 * width + 1);
    struct datum *new = ARENA_ARRAY(&s->row, struct datum, width + 1);
    struct eval v = eval_over(n, s, both);
    bool pass = true;
    int rc = 0;

    memcpy(both, s->old, width * sizeof *both);
    memcpy(both + width, s->values, width * sizeof *both);
    memcpy(new, s->old, width * sizeof *new);
    if (s->plan->conflict_where != NULL)
        rc = eval_pass(&v, s->plan->conflict_where, &pass);
    for (int32_t i = 0; pass && i < s->plan->conflict_value_count && rc == 0; i++) {
        rc = eval_row(&v, s->plan->conflict_values[i].value,
                      &new[s->plan->conflict_values[i].column]);
    }
    *out = pass ? new : NULL;
    return rc;
}

/* ERR_AGAIN: the row in the way went, or has other values in the index by now. */
static int
upsert(struct exec_node *n, struct modify *s, struct slice key)
{
    struct datum *new;
    struct txn_row row;
    int rc = txn_read_newest(n->x->ctx.txn, s->plan->table->tree, key, LOCK_WAIT, &row);

    if (rc != 0 || !row.found)
        return rc != 0 ? rc : ERR_AGAIN;
    if (row.own && txn_wrote_in_statement(n->x->ctx.txn, &row)) {
        (void)DIAG(ERR_CARDINALITY,
                   "ON CONFLICT DO UPDATE command cannot affect row a second time");
        diag_hint("Ensure that no rows proposed for insertion within the same command have "
                  "duplicate constrained values.");
        return ERR_CARDINALITY;
    }
    rc = table_decode(s->plan->table, key, row.value, &s->row, s->old);
    if (rc == 0 && write_entry_changes(&s->w, s->plan->conflict_index, s->old, s->values))
        return ERR_AGAIN;
    if (rc == 0)
        rc = conflict_values(n, s, &new);
    if (rc != 0 || new == NULL)
        return rc;
    rc = check_constraints(n, s, new);
    if (rc == 0)
        rc = fk_check_row(&s->w, s->old, new);
    if (rc == 0)
        rc = write_update(&s->w, key, &row, s->old, new, true);
    if (rc == 0)
        rc = fk_check_referenced(&s->w, s->old, new);
    if (rc == 0)
        rc = return_row(n, s, new);
    n->x->affected += rc == 0;
    return rc;
}

/* DO NOTHING, unless the row in the way is one that the transaction's snapshot does not show. */
static int
leave_row(struct exec_node *n, struct modify *s, struct slice key)
{
    struct txn_row row;

    return txn_read_newest(n->x->ctx.txn, s->plan->table->tree, key, LOCK_WAIT, &row);
}

static int
insert_values(struct exec_node *n, struct modify *s)
{
    struct eval v = eval_over(n, s, s->input);
    int rc = 0;

    for (uint32_t i = 0; i < s->plan->table->column_count; i++)
        s->values[i] = datum_null();
    for (int32_t i = 0; i < s->plan->value_count && rc == 0; i++)
        rc = eval_row(&v, s->plan->values[i].value, &s->values[s->plan->values[i].column]);
    return rc != 0 ? rc : check_constraints(n, s, s->values);
}

static int
row_inserted(struct exec_node *n, struct modify *s)
{
    int rc = fk_check_row(&s->w, NULL, s->values);

    if (rc == 0)
        rc = return_row(n, s, s->values);
    n->x->affected += rc == 0;
    return rc;
}

/* The attempt is undone to a savepoint when an index refuses it, since the row itself was written
 * before. */
static int
try_insert(struct exec_node *n, struct modify *s, enum write_outcome *outcome,
           const struct cat_index **conflict, struct slice *existing)
{
    struct txn *txn = n->x->ctx.txn;
    int savepoint = 0, rc = 0;

    if (s->plan->table->index_count > (s->plan->table->primary != NULL))
        rc = txn_savepoint(txn, &savepoint);
    if (rc == 0)
        rc = write_insert(&s->w, s->values, true, outcome, conflict, existing);
    if (rc == 0 && *outcome == WRITE_EXISTS && savepoint != 0)
        txn_rollback_to(txn, savepoint);
    if (savepoint != 0 && txn_is_open(txn))
        txn_release(txn, savepoint);
    return rc;
}

/* The index that ON CONFLICT names is asked first: what it has decides, whatever other indexes
 * say. (A primary key is what an insert asks first anyway.) *refused: another index has refused the
 * row, so if that index has nothing still, it is an error. ERR_AGAIN: begin anew. */
static int
insert_or_conflict(struct exec_node *n, struct modify *s, bool *refused)
{
    const struct cat_index *arbiter = s->plan->conflict_index, *conflict = NULL;
    enum write_outcome outcome = WRITE_EXISTS;
    struct slice existing = { NULL, 0 };
    int rc = 0;

    if (arbiter != NULL && !arbiter->primary)
        rc = write_find(&s->w, arbiter, s->values, &existing);
    if (rc == 0 && existing.data == NULL) {
        rc = *refused ? write_insert(&s->w, s->values, false, &outcome, NULL, NULL)
                      : try_insert(n, s, &outcome, &conflict, &existing);
        *refused = outcome == WRITE_EXISTS && arbiter != NULL && conflict != arbiter;
        if (rc == 0 && *refused)
            return ERR_AGAIN;
    }
    if (rc != 0)
        return rc;
    if (outcome == WRITE_DONE)
        return row_inserted(n, s);
    return s->plan->conflict == AST_CONFLICT_UPDATE ? upsert(n, s, existing)
                                                    : leave_row(n, s, existing);
}

static int
insert_row(struct exec_node *n, struct modify *s)
{
    enum write_outcome outcome;
    bool refused = false;
    int rc = insert_values(n, s);

    if (rc != 0)
        return rc;
    if (s->plan->conflict == AST_CONFLICT_NONE) {
        rc = write_insert(&s->w, s->values, false, &outcome, NULL, NULL);
        return rc != 0 ? rc : row_inserted(n, s);
    }
    do {
        rc = exec_check_interrupt(n->x);
        if (rc == 0)
            rc = insert_or_conflict(n, s, &refused);
    } while (rc == ERR_AGAIN);
    return rc;
}

/* ---- UPDATE, DELETE
 * -------------------------------------------------------------------------------- */

static int
update_row(struct exec_node *n, struct modify *s, struct slice key, const struct txn_row *row)
{
    uint32_t width = s->plan->table->column_count;
    struct eval v = eval_over(n, s, s->input);
    int rc = 0;

    memcpy(s->values, s->old, width * sizeof *s->values);
    for (int32_t i = 0; i < s->plan->value_count && rc == 0; i++)
        rc = eval_row(&v, s->plan->values[i].value, &s->values[s->plan->values[i].column]);
    if (rc == 0)
        rc = check_constraints(n, s, s->values);
    if (rc == 0)
        rc = fk_check_row(&s->w, s->old, s->values);
    if (rc == 0)
        rc = write_update(&s->w, key, row, s->old, s->values,
                          s->plan->sets_key || s->plan->ref_count > 0);
    if (rc == 0)
        rc = fk_check_referenced(&s->w, s->old, s->values);
    return rc != 0 ? rc : return_row(n, s, s->values);
}

static int
delete_row(struct exec_node *n, struct modify *s, struct slice key, const struct txn_row *row)
{
    int rc = write_delete(&s->w, key, row, s->old);

    if (rc == 0)
        rc = fk_check_referenced(&s->w, s->old, NULL);
    return rc != 0 ? rc : return_row(n, s, s->old);
}

/* A row that this statement has written already (a join may name it twice) is left alone. */
static int
change_row(struct exec_node *n, struct modify *s)
{
    const struct plan_target *t = &s->plan->target;
    struct slice key = datum_view(&s->input[t->key_column]);
    struct txn_row row;
    bool gone;
    int rc;

    do {
        rc = txn_read_newest(n->x->ctx.txn, t->table->tree, key, LOCK_WAIT, &row);
        if (rc == 0 && row.own && txn_wrote_in_statement(n->x->ctx.txn, &row))
            return 0;
        if (rc == 0)
            rc = refresh(n, s, t, key, &row, s->input, s->old, &gone);
        if (rc != 0 || gone)
            return rc;
        rc = n->plan->kind == PLAN_DELETE ? delete_row(n, s, key, &row)
                                          : update_row(n, s, key, &row);
    } while (rc == ERR_AGAIN);
    n->x->affected += rc == 0;
    return rc;
}

/* ---- the node
 * --------------------------------------------------------------------------------------- */

static int
modify_all(struct exec_node *n, struct modify *s)
{
    struct batch *b;
    int rc;

    while ((rc = exec_node_next(n->child[0], &b)) == 0) {
        for (uint32_t k = 0; k < b->sel_count && rc == 0; k++) {
            batch_row_datums(b, batch_row(b, k), s->input);
            rc = n->plan->kind == PLAN_INSERT ? insert_row(n, s) : change_row(n, s);
            arena_reset(&s->row);
        }
        if (rc != 0)
            return rc;
    }
    if (rc == ERR_END)
        rc = fk_check_later(&s->w);
    if (rc == 0 && s->returned != NULL)
        rc = row_store_end(s->returned);
    s->done = rc == 0;
    return rc;
}

static int
modify_next(struct exec_node *n, struct batch **out)
{
    struct modify *s = n->state;
    int rc = s->done ? 0 : modify_all(n, s);

    if (rc != 0)
        return rc;
    if (s->returned == NULL)
        return ERR_END;
    if (s->reader.store == NULL)
        row_reader_init(&s->reader, s->returned);
    return row_reader_batch(&s->reader, &n->scratch, out);
}

static int
modify_rescan(struct exec_node *n)
{
    (void)n;
    return DIAG(ERR_INTERNAL, "a statement that writes cannot be run twice");
}

static void
modify_close(struct exec_node *n)
{
    struct modify *s = n->state;

    row_reader_fini(&s->reader);
    row_store_free(s->returned);
    arena_fini(&s->row);
    fk_later_fini(&s->later);
}

int
modify_init(struct exec_node *n)
{
    struct modify *s = ARENA_NEW(&n->x->arena, struct modify);
    const struct plan_modify *p = &n->plan->u.modify;
    uint32_t width = p->table->column_count;

    s->plan = p;
    s->w = (struct write_target){
        .ctx = &n->x->ctx, .table = p->table, .arena = &s->row, .later = &s->later
    };
    s->input_width = (uint32_t)n->child[0]->plan->column_count;
    arena_init(&s->row, n->x->ctx.memory);
    fk_later_init(&s->later, n->x->ctx.memory);
    s->input = ARENA_ARRAY(&n->x->arena, struct datum, s->input_width + 1);
    s->old = ARENA_ARRAY(&n->x->arena, struct datum, width + 1);
    s->values = ARENA_ARRAY(&n->x->arena, struct datum, width + 1);
    s->written = ARENA_ARRAY(&n->x->arena, struct datum, width + s->input_width + 1);
    n->state = s;
    n->next = modify_next;
    n->rescan = modify_rescan;
    n->close = modify_close;
    if (p->has_returning) {
        struct plan_column *columns =
            ARENA_ARRAY(&n->x->arena, struct plan_column, p->returning_count + 1);

        for (int32_t i = 0; i < p->returning_count; i++)
            columns[i].type = p->returning[i]->type;
        s->returned = row_store_new(&n->x->ctx, columns, (uint32_t)p->returning_count,
                                    &n->x->spilled[n->plan->id]);
    }
    if (p->table->is_system)
        return DIAG(ERR_PRIVILEGE, "permission denied: \"%s\" is a system catalog", p->table->name);
    return 0;
}

/* ---- FOR UPDATE and its kin
 * --------------------------------------------------------------------------- */

struct lock_rows {
    struct modify m;    /* first: it closes as one does */
    struct batch *left; /* of the child, from row `at` on; NULL: none */
    uint32_t at;
};

static enum row_lock
row_lock_of(enum ast_lock_strength s)
{
    switch (s) {
    case AST_LOCK_KEY_SHARE:
        return ROW_KEY_SHARE;
    case AST_LOCK_SHARE:
        return ROW_SHARE;
    case AST_LOCK_NO_KEY_UPDATE:
        return ROW_NO_KEY_UPDATE;
    default:
        return ROW_UPDATE;
    }
}

static enum lock_wait
lock_wait_of(enum ast_lock_wait w)
{
    return w == AST_LOCK_NOWAIT ? LOCK_NOWAIT : w == AST_LOCK_SKIP_LOCKED ? LOCK_SKIP : LOCK_WAIT;
}

/* *keep: the row is locked and still meant. */
static int
lock_input(struct exec_node *n, struct modify *s, bool *keep)
{
    const struct plan_lock_rows *p = &n->plan->u.lock_rows;

    *keep = true;
    for (int32_t i = 0; i < p->count && *keep; i++) {
        const struct plan_lock_target *l = &p->targets[i];
        const struct datum *key = &s->input[l->target.key_column];
        struct datum *values;
        struct txn_row row;
        bool gone;
        int rc;

        if (key->is_null) /* the null side of an outer join */
            continue;
        values = ARENA_ARRAY(&n->scratch, struct datum, l->target.table->column_count + 1);
        rc = txn_lock_row(n->x->ctx.txn, l->target.table->tree, datum_view(key),
                          row_lock_of(l->strength), lock_wait_of(l->wait), &row);
        if (rc == ERR_AGAIN) {
            *keep = false;
            return 0;
        }
        if (rc == ERR_LOCK_NOT_AVAILABLE)
            return DIAG(ERR_LOCK_NOT_AVAILABLE, "could not obtain lock on row in relation \"%s\"",
                        l->target.table->name);
        if (rc == 0 && row.found && row.value.data == NULL)
            continue; /* a key share beside an open update that leaves the key alone */
        if (rc == 0)
            rc = refresh(n, s, &l->target, datum_view(key), &row, s->input, values, &gone);
        if (rc != 0)
            return rc;
        *keep = !gone;
    }
    return 0;
}

/* Rows that nobody asks for are not locked: what a batch has left is gone on with in the next call.
 */
static int
lock_rows_next(struct exec_node *n, struct batch **out)
{
    struct lock_rows *s = n->state;
    struct batch *locked;
    uint32_t rows = 0;
    int rc = s->left == NULL ? exec_node_next(n->child[0], &s->left) : 0;

    if (rc != 0)
        return rc;
    locked = batch_for(n, n->child[0]->plan->columns, s->m.input_width);
    while (s->at < s->left->sel_count && rc == 0 && (n->wanted == 0 || rows < n->wanted)) {
        bool keep;

        batch_row_datums(s->left, batch_row(s->left, s->at++), s->m.input);
        rc = lock_input(n, &s->m, &keep);
        if (rc != 0 || !keep)
            continue;
        for (uint32_t i = 0; i < s->m.input_width; i++)
            s->m.input[i] =
                datum_copy(&n->scratch, &s->m.input[i], (enum type_rep)locked->cols[i].rep);
        batch_set_row(locked, rows++, s->m.input);
        arena_reset(&s->m.row);
    }
    if (s->at == s->left->sel_count) {
        s->left = NULL;
        s->at = 0;
    }
    locked->row_count = locked->sel_count = rows;
    *out = locked;
    return rc;
}

static int
lock_rows_rescan(struct exec_node *n)
{
    struct lock_rows *s = n->state;

    s->left = NULL;
    s->at = 0;
    return exec_node_rescan(n->child[0]);
}

int
lock_rows_init(struct exec_node *n)
{
    struct lock_rows *s = ARENA_NEW(&n->x->arena, struct lock_rows);

    s->m.input_width = (uint32_t)n->child[0]->plan->column_count;
    s->m.input = ARENA_ARRAY(&n->x->arena, struct datum, s->m.input_width + 1);
    arena_init(&s->m.row, n->x->ctx.memory);
    fk_later_init(&s->m.later, n->x->ctx.memory);
    n->state = s;
    n->next = lock_rows_next;
    n->rescan = lock_rows_rescan;
    n->close = modify_close;
    return 0;
}
