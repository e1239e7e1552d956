/* nextval, currval, setval.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/sql/session_sequence.h"

#include <inttypes.h>

#include "engine/sql/exec_int.h"

/* The last value that this session got of a sequence. */
struct sequence_value {
    struct sequence_value *next;
    oid_t oid;
    int64_t value;
};

void
sess_sequences_forget(struct sql_session *s)
{
    while (s->sequences != NULL) {
        struct sequence_value *v = s->sequences;

        s->sequences = v->next;
        xfree(v);
    }
    s->last_sequence = 0;
}

static struct sequence_value *
value_find(const struct sql_session *s, oid_t oid)
{
    struct sequence_value *v = s->sequences;

    while (v != NULL && v->oid != oid)
        v = v->next;
    return v;
}

static void
value_keep(struct sql_session *s, oid_t oid, int64_t value)
{
    struct sequence_value *v = value_find(s, oid);

    if (v == NULL) {
        v = xcalloc(1, sizeof *v);
        v->oid = oid;
        v->next = s->sequences;
        s->sequences = v;
    }
    v->value = value;
}

/* ---- the row -----------------------------------------------------------------------------------
 */

int
sequence_def_read(struct sql_session *s, oid_t oid, struct sequence_def *out)
{
    struct datum key = datum_int(oid), row[SEQ_COUNT];
    struct arena a;
    int rc;

    arena_init(&a, NULL);
    rc = sys_get(s->q->catalog, s->txn, SYS_SEQUENCE, &key, NULL, &a, row);
    if (rc == ERR_NOT_FOUND)
        rc = DIAG(ERR_WRONG_OBJECT_TYPE, "relation with OID %u is not a sequence", oid);
    if (rc == 0)
        *out = (struct sequence_def){ .oid = oid,
                                      .type = (oid_t)row[SEQ_TYPID].i,
                                      .start = row[SEQ_START].i,
                                      .increment = row[SEQ_INCREMENT].i,
                                      .max = row[SEQ_MAX].i,
                                      .min = row[SEQ_MIN].i,
                                      .cache = row[SEQ_CACHE].i,
                                      .cycle = row[SEQ_CYCLE].i != 0 };
    arena_fini(&a);
    return rc;
}

static bool
is_own(const struct sql_session *s, oid_t oid)
{
    for (int i = 0; i < s->new_sequence_count; i++)
        if (s->new_sequences[i] == oid)
            return true;
    return false;
}

static void
note_own(struct sql_session *s, oid_t oid)
{
    if (is_own(s, oid))
        return;
    if (s->new_sequence_count == s->new_sequence_cap) {
        s->new_sequence_cap = s->new_sequence_cap == 0 ? 4 : 2 * s->new_sequence_cap;
        s->new_sequences =
            xrealloc(s->new_sequences, (size_t)s->new_sequence_cap * sizeof *s->new_sequences);
    }
    s->new_sequences[s->new_sequence_count++] = oid;
}

static int
state_write(struct txn *txn, const struct cat_table *t, const struct sequence_state *state,
            const struct txn_row *row)
{
    struct datum values[SEQ_STATE_COUNT] = { datum_int(state->last), datum_int(0),
                                             datum_bool(state->called) };
    uint8_t key[8], room[64];
    struct writer w;
    int rc;

    cat_hidden_key(1, key);
    wr_init_fixed(&w, room, sizeof room);
    rc = row_encode(&w, cat_layout(t), values);
    if (rc == 0)
        rc = txn_write(txn, t->tree, slice(key, sizeof key), TXN_PUT, wr_view(&w), row);
    return rc;
}

static int
state_read(struct txn *txn, const struct cat_table *t, struct txn_row *row,
           struct sequence_state *out)
{
    struct datum values[SEQ_STATE_COUNT];
    struct arena a;
    uint8_t key[8];
    int rc;

    cat_hidden_key(1, key);
    rc = txn_read_newest(txn, t->tree, slice(key, sizeof key), LOCK_WAIT, row);
    if (rc != 0)
        return rc;
    if (!row->found) {
        *out = (struct sequence_state){ 0 };
        return 0;
    }
    arena_init(&a, NULL);
    rc = table_decode(t, slice(key, sizeof key), row->value, &a, values);
    if (rc == 0)
        *out = (struct sequence_state){ values[SEQ_STATE_LAST].i, values[SEQ_STATE_CALLED].i != 0 };
    arena_fini(&a);
    return rc;
}

int
sequence_state_set(struct sql_session *s, const struct cat_table *t,
                   const struct sequence_state *state)
{
    struct sequence_state ignored;
    struct txn_row row;
    int rc;

    do {
        rc = state_read(s->txn, t, &row, &ignored);
        if (rc == 0)
            rc = state_write(s->txn, t, state, &row);
    } while (rc == ERR_AGAIN);
    if (rc == 0)
        note_own(s, t->oid);
    return rc;
}

/* ---- changing it -------------------------------------------------------------------------------
 */

typedef int change_fn(const struct sequence_def *def, const char *name,
                      struct sequence_state *state, int64_t arg, bool flag);

static int
change_in(struct txn *txn, const struct cat_table *t, const struct sequence_def *def, change_fn *fn,
          int64_t arg, bool flag, int64_t *last)
{
    struct sequence_state state;
    struct txn_row row;
    int rc;

    do {
        rc = state_read(txn, t, &row, &state);
        if (rc == 0)
            rc = fn(def, t->name, &state, arg, flag);
        if (rc == 0)
            rc = state_write(txn, t, &state, &row);
    } while (rc == ERR_AGAIN);
    *last = state.last;
    return rc;
}

/* In a transaction of its own: no rollback of the session's takes it back. */
static int
change_apart(struct sql_session *s, const struct cat_table *t, const struct sequence_def *def,
             change_fn *fn, int64_t arg, bool flag, int64_t *last)
{
    struct txn *txn = txn_new(s->q->engine);
    struct commit_token token;
    struct diag why;
    int rc = txn_begin(txn, TXN_READ_COMMITTED, false);

    if (rc == 0)
        rc = txn_statement_begin(txn);
    if (rc == 0) {
        rc = change_in(txn, t, def, fn, arg, flag, last);
        txn_statement_end(txn);
    }
    if (rc == 0)
        rc = txn_commit(txn, &token);
    if (rc == 0)
        sess_require_moment(s, token.inc, token.scn);
    why = *diag_last();
    txn_free(txn);
    if (rc != 0)
        diag_restore(&why);
    return rc;
}

static int
change(struct sql_session *s, oid_t oid, const char *word, change_fn *fn, int64_t arg, bool flag,
       int64_t *last)
{
    const struct cat_table *t;
    struct sequence_def def;
    int rc = sess_tx_want_write(s, word);

    if (rc == 0)
        rc = sess_table_by_oid(s, oid, &t);
    if (rc == 0 && (t == NULL || t->kind != CAT_SEQUENCE))
        rc = t == NULL ? DIAG(ERR_UNDEFINED_TABLE, "relation with OID %u does not exist", oid)
                       : DIAG(ERR_WRONG_OBJECT_TYPE, "\"%s\" is not a sequence", t->name);
    if (rc == 0 && !s->is_superuser && t->owner != s->role_oid)
        rc = DIAG(ERR_PRIVILEGE, "permission denied for sequence %s", t->name);
    if (rc == 0)
        rc = sess_lock(s, oid, TABLE_ROW_EXCLUSIVE, LOCK_WAIT);
    if (rc == 0)
        rc = sequence_def_read(s, oid, &def);
    if (rc != 0)
        return rc;
    return is_own(s, oid) ? change_in(s->txn, t, &def, fn, arg, flag, last)
                          : change_apart(s, t, &def, fn, arg, flag, last);
}

/* ---- nextval, setval ---------------------------------------------------------------------------
 */

static int
step(const struct sequence_def *def, const char *name, struct sequence_state *state, int64_t arg,
     bool flag)
{
    int64_t next = state->last;

    (void)arg;
    (void)flag;
    if (!state->called) {
        state->called = true;
        return 0;
    }
    if (__builtin_add_overflow(state->last, def->increment, &next) || next > def->max ||
        next < def->min) {
        bool up = def->increment > 0;

        if (!def->cycle)
            return DIAG(ERR_LIMIT, "nextval: reached %s value of sequence \"%s\" (%" PRId64 ")",
                        up ? "maximum" : "minimum", name, up ? def->max : def->min);
        next = up ? def->min : def->max;
    }
    state->last = next;
    return 0;
}

static int
put(const struct sequence_def *def, const char *name, struct sequence_state *state, int64_t arg,
    bool flag)
{
    if (arg < def->min || arg > def->max)
        return DIAG(ERR_NUMERIC_RANGE,
                    "setval: value %" PRId64 " is out of bounds for sequence \"%s\" (%" PRId64
                    "..%" PRId64 ")",
                    arg, name, def->min, def->max);
    *state = (struct sequence_state){ arg, flag };
    return 0;
}

int
sequence_next(struct sql_session *s, oid_t oid, int64_t *out)
{
    int rc = change(s, oid, "nextval()", step, 0, false, out);

    if (rc == 0) {
        value_keep(s, oid, *out);
        s->last_sequence = oid;
    }
    return rc;
}

int
sequence_set(struct sql_session *s, oid_t oid, int64_t value, bool called)
{
    int64_t last;
    int rc = change(s, oid, "setval()", put, value, called, &last);

    if (rc == 0 && called)
        value_keep(s, oid, value);
    return rc;
}

int
sequence_current(struct sql_session *s, oid_t oid, int64_t *out)
{
    const struct sequence_value *v = value_find(s, oid);
    const struct cat_table *t;

    if (v != NULL) {
        *out = v->value;
        return 0;
    }
    if (sess_table_by_oid(s, oid, &t) != 0 || t == NULL)
        return DIAG(ERR_UNDEFINED_TABLE, "relation with OID %u does not exist", oid);
    return DIAG(ERR_OBJECT_NOT_READY,
                "currval of sequence \"%s\" is not yet defined in this session", t->name);
}

int
sequence_last(struct sql_session *s, int64_t *out)
{
    if (s->last_sequence == 0)
        return DIAG(ERR_OBJECT_NOT_READY, "lastval is not yet defined in this session");
    return sequence_current(s, s->last_sequence, out);
}
