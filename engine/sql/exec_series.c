/* generate_series over numeric and the timestamps: steps by the type's own "+". Integers have a
 * shorter way in exec_misc.c.
 *
 * SPDX-License-Identifier: Apache-2.0 */

#include "engine/sql/exec_int.h"
#include "engine/types/datetime.h"

enum { PLUS_NUMERIC = 1724, PLUS_TIMESTAMP = 2032, PLUS_TIMESTAMPTZ = 1189 };

struct series {
    bool started, ended;
    int direction; /* of the step */
    struct datum at, stop, step;
    struct arena arena; /* their bytes */
    struct func_call plus;
};

static int
one_of(struct arena *a, oid_t type, struct datum *out)
{
    return type_in(type, NULL, a, slice_str("1"), -1, out);
}

static int
series_start(struct exec_node *n, struct series *s)
{
    const struct plan_function *p = &n->plan->u.function;
    oid_t type = p->func->result;
    struct datum d[3], zero;
    int rc = 0;

    arena_reset(&s->arena);
    s->started = true;
    if (p->arg_count == 2)
        rc = one_of(&s->arena, type, &d[2]);
    for (int32_t i = 0; i < p->arg_count && rc == 0; i++) {
        rc = eval_scalar(n->x, p->args[i], &d[i]);
        s->ended |= rc == 0 && d[i].is_null;
        if (rc == 0)
            d[i] = datum_copy(&s->arena, &d[i], (enum type_rep)type_get(p->args[i]->type.oid)->rep);
    }
    if (rc != 0 || s->ended)
        return rc;
    s->at = d[0];
    s->stop = d[1];
    s->step = d[2];
    if (type == TYPE_NUMERIC) {
        rc = type_in(type, NULL, &s->arena, slice_str("0"), -1, &zero);
        s->direction = rc == 0 ? type_cmp(type, &s->step, &zero) : 0;
    } else {
        __int128 span = interval_span(interval_load(&s->step));

        s->direction = (span > 0) - (span < 0);
    }
    if (rc == 0 && s->direction == 0)
        rc = DIAG(ERR_INVALID_PARAMETER_VALUE, "step size cannot equal zero");
    return rc;
}

/* The value to come outlives the batch: its bytes change places with those of the last one. */
static int
series_step(struct exec_node *n, struct series *s, oid_t type)
{
    struct datum args[2] = { s->at, s->step };
    int rc;

    s->plus.arena = &n->scratch;
    rc = s->plus.func->fn(&s->plus, args, &s->at);
    if (rc == 0)
        s->ended = s->direction > 0 ? type_cmp(type, &s->at, &s->stop) > 0
                                    : type_cmp(type, &s->at, &s->stop) < 0;
    return rc;
}

static int
series_next(struct exec_node *n, struct batch **out)
{
    struct series *s = n->state;
    oid_t type = n->plan->u.function.func->result;
    enum type_rep rep = (enum type_rep)type_get(type)->rep;
    struct plan_column column = { { type, -1 } };
    uint32_t rows = 0;
    int rc = 0;

    if (!s->started) {
        rc = series_start(n, s);
        if (rc == 0 && !s->ended)
            s->ended = s->direction > 0 ? type_cmp(type, &s->at, &s->stop) > 0
                                        : type_cmp(type, &s->at, &s->stop) < 0;
    }
    if (rc != 0)
        return rc;
    *out = batch_for(n, &column, 1);
    while (!s->ended && rows < BATCH_ROWS_MAX && rc == 0) {
        struct datum d = datum_copy(&n->scratch, &s->at, rep);

        vec_set(&(*out)->cols[0], rows++, &d);
        rc = series_step(n, s, type);
    }
    if (rc == 0 && !s->ended && rep == REP_BYTES)
        s->at = datum_copy(&s->arena, &s->at, rep);
    (*out)->row_count = (*out)->sel_count = rows;
    return rc != 0 ? rc : rows > 0 ? 0 : ERR_END;
}

static int
series_rescan(struct exec_node *n)
{
    struct series *s = n->state;

    s->started = s->ended = false;
    return 0;
}

static void
series_close(struct exec_node *n)
{
    arena_fini(&((struct series *)n->state)->arena);
}

int
series_init(struct exec_node *n)
{
    struct series *s = ARENA_NEW(&n->x->arena, struct series);
    oid_t type = n->plan->u.function.func->result;
    oid_t *types = ARENA_ARRAY(&n->x->arena, oid_t, 2);

    types[0] = type;
    types[1] = type == TYPE_NUMERIC ? TYPE_NUMERIC : TYPE_INTERVAL;
    arena_init(&s->arena, n->x->ctx.memory);
    s->plus = (struct func_call){ .func = func_by_oid(&func_set_builtin,
                                                      type == TYPE_NUMERIC     ? PLUS_NUMERIC
                                                      : type == TYPE_TIMESTAMP ? PLUS_TIMESTAMP
                                                                               : PLUS_TIMESTAMPTZ),
                                  .env = n->x->ctx.types,
                                  .site_arena = &n->x->arena,
                                  .arg_count = 2,
                                  .arg_types = types,
                                  .result_type = type };
    n->state = s;
    n->next = series_next;
    n->rescan = series_rescan;
    n->close = series_close;
    return 0;
}
