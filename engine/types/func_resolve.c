/* Choosing among functions or operators of one name, by PostgreSQL's rules: an exact match; else
 * those that the arguments can be implicitly cast to; of several the one with most exact matches,
 * then with most preferred types, then by the category that untyped literals suggest.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <stdio.h>

#include "engine/types/func.h"
#include "engine/types/type_int.h"

enum { CANDIDATES_MAX = 128 };

struct candidate {
    const struct func *func; /* NULL for an operator until it is chosen */
    const struct op *op;
    const oid_t *args; /* declared */
    int32_t declared;  /* how many of them */
    bool is_variadic;  /* its last declared type repeats */
};

struct choice {
    const struct func_set *set;
    const oid_t *args;
    int32_t count;
    struct candidate list[CANDIDATES_MAX];
    int32_t list_count;
};

/* The type that the candidate declares for argument i. */
static oid_t
declared_type(const struct candidate *c, int32_t i)
{
    if (c->is_variadic && i >= c->declared - 1) {
        oid_t last = c->args[c->declared - 1];
        if (last == TYPE_ANYARRAY)
            return TYPE_ANYELEMENT;
        if (last == TYPE_ANYCOMPATIBLEARRAY)
            return TYPE_ANYCOMPATIBLE;
        return last == TYPE_ANY ? TYPE_ANY : type_get(last)->elem_oid;
    }
    return c->args[i];
}

/* ---- polymorphic types --------------------------------------------------------------------- */

struct poly {
    oid_t elem;       /* of anyelement and anyarray; 0: not known */
    oid_t compatible; /* of the anycompatible family */
    bool fails, is_unknown;
};

static void
poly_note(struct poly *p, oid_t elem)
{
    if (elem == 0 || (p->elem != 0 && p->elem != elem))
        p->fails = true;
    else
        p->elem = elem;
}

static oid_t
elem_of(oid_t oid)
{
    const struct type *t = type_find(oid);

    return t != NULL && type_is_array(t) ? t->elem_oid : 0;
}

static struct poly
poly_solve(const struct choice *ch, const struct candidate *c)
{
    struct poly p = { 0 };
    oid_t compatible[FUNC_ARGS_MAX];
    int32_t n = 0;
    bool has_compatible = false, has_plain = false;

    for (int32_t i = 0; i < ch->count; i++) {
        oid_t want = declared_type(c, i), got = ch->args[i];
        if (want == TYPE_ANYELEMENT || want == TYPE_ANYNONARRAY || want == TYPE_ANYARRAY) {
            has_plain = true;
            if (got == TYPE_UNKNOWN)
                continue;
            poly_note(&p, want == TYPE_ANYARRAY ? elem_of(got) : got);
            if (want == TYPE_ANYNONARRAY && elem_of(got) != 0)
                p.fails = true;
        } else if (want == TYPE_ANYCOMPATIBLE || want == TYPE_ANYCOMPATIBLEARRAY) {
            has_compatible = true;
            if (got == TYPE_UNKNOWN)
                continue;
            compatible[n] = want == TYPE_ANYCOMPATIBLE ? got : elem_of(got);
            if (compatible[n++] == 0)
                p.fails = true;
        }
    }
    if (!p.fails && has_compatible) {
        if (cast_common_type(ch->set, "anycompatible", compatible, n, &p.compatible, NULL) != 0)
            p.fails = true;
    }
    p.is_unknown = has_plain && p.elem == 0;
    return p;
}

static oid_t
poly_apply(const struct poly *p, oid_t declared, oid_t given)
{
    oid_t elem = declared == TYPE_ANYCOMPATIBLE || declared == TYPE_ANYCOMPATIBLEARRAY
                     ? p->compatible
                     : p->elem;

    switch (declared) {
    case TYPE_ANY:
        return given;
    case TYPE_ANYELEMENT:
    case TYPE_ANYNONARRAY:
    case TYPE_ANYCOMPATIBLE:
        return elem;
    case TYPE_ANYARRAY:
    case TYPE_ANYCOMPATIBLEARRAY:
        return elem == 0 ? 0 : type_get(elem)->array_oid;
    default:
        return declared;
    }
}

/* ---- candidates ---------------------------------------------------------------------------- */

static bool
can_take(const struct choice *ch, const struct candidate *c)
{
    bool is_poly = false;

    for (int32_t i = 0; i < ch->count; i++) {
        oid_t want = declared_type(c, i), got = ch->args[i];
        if (want == TYPE_ANY)
            continue;
        if (type_is_polymorphic(want)) {
            is_poly = true;
            if ((want == TYPE_ANYARRAY || want == TYPE_ANYCOMPATIBLEARRAY) && got != TYPE_UNKNOWN &&
                elem_of(got) == 0)
                return false;
            continue;
        }
        if (got != want && !cast_can(ch->set, got, want, CAST_IMPLICIT))
            return false;
    }
    if (is_poly && poly_solve(ch, c).fails)
        return false;
    return true;
}

static bool
is_exact(const struct choice *ch, const struct candidate *c)
{
    for (int32_t i = 0; i < ch->count; i++) {
        if (declared_type(c, i) != ch->args[i])
            return false;
    }
    return true;
}

static bool
same_signature(const struct candidate *a, const struct candidate *b)
{
    return a->declared == b->declared && a->is_variadic == b->is_variadic &&
           memcmp(a->args, b->args, sizeof *a->args * (size_t)a->declared) == 0;
}

static void
add_candidate(struct choice *ch, struct candidate c)
{
    for (int32_t i = 0; i < ch->list_count; i++) {
        if (same_signature(&ch->list[i], &c))
            return; /* a set above has its own */
    }
    CHECK(ch->list_count < CANDIDATES_MAX);
    ch->list[ch->list_count++] = c;
}

/* Keeps the candidates with the highest score; says how many. */
static void
keep_best(struct choice *ch, const int *score)
{
    int32_t kept = 0;
    int best = 0;

    for (int32_t i = 0; i < ch->list_count; i++) {
        if (score[i] > best)
            best = score[i];
    }
    for (int32_t i = 0; i < ch->list_count; i++) {
        if (score[i] == best)
            ch->list[kept++] = ch->list[i];
    }
    ch->list_count = kept;
}

static void
keep_by_matches(struct choice *ch, bool count_preferred)
{
    int score[CANDIDATES_MAX];

    for (int32_t k = 0; k < ch->list_count; k++) {
        score[k] = 0;
        for (int32_t i = 0; i < ch->count; i++) {
            oid_t want = declared_type(&ch->list[k], i);
            const struct type *t = type_find(want), *g = type_find(ch->args[i]);
            if (ch->args[i] == TYPE_UNKNOWN)
                continue;
            if (want == ch->args[i] ||
                (count_preferred && t->is_preferred && t->category == g->category))
                score[k]++;
        }
    }
    keep_best(ch, score);
}

/* For one untyped literal: text if some candidate takes text there, else the category on which all
 * agree (0: they do not). */
static char
literal_category(const struct choice *ch, int32_t i, bool *has_preferred)
{
    char category = 0;
    bool conflict = false;

    *has_preferred = false;
    for (int32_t k = 0; k < ch->list_count; k++) {
        const struct type *t = type_find(declared_type(&ch->list[k], i));
        if (category == 0) {
            category = t->category;
            *has_preferred = t->is_preferred;
        } else if (t->category == category) {
            *has_preferred |= t->is_preferred;
        } else if (t->category == 'S') {
            category = 'S';
            conflict = false;
            *has_preferred = t->is_preferred;
            /* text wins over all others */
        } else if (category != 'S') {
            conflict = true;
        }
    }
    return conflict && category != 'S' ? 0 : category;
}

static void
keep_by_categories(struct choice *ch)
{
    char category[FUNC_ARGS_MAX];
    bool preferred[FUNC_ARGS_MAX];
    struct candidate fits[CANDIDATES_MAX];
    int32_t n = 0;

    for (int32_t i = 0; i < ch->count; i++) {
        category[i] = 0;
        if (ch->args[i] != TYPE_UNKNOWN)
            continue;
        category[i] = literal_category(ch, i, &preferred[i]);
        if (category[i] == 0)
            return;
    }
    for (int32_t k = 0; k < ch->list_count; k++) {
        bool ok = true;
        for (int32_t i = 0; i < ch->count && ok; i++) {
            const struct type *t = type_find(declared_type(&ch->list[k], i));
            if (category[i] != 0)
                ok = t->category == category[i] && (!preferred[i] || t->is_preferred);
        }
        if (ok)
            fits[n++] = ch->list[k];
    }
    if (n > 0) {
        memcpy(ch->list, fits, sizeof *fits * (size_t)n);
        ch->list_count = n;
    }
}

/* Last: if all typed arguments have one type, the untyped ones are taken to have it too. */
static void
keep_by_same_type(struct choice *ch)
{
    oid_t known = 0, args[FUNC_ARGS_MAX];
    struct choice all_known = *ch;
    int32_t found = -1;

    for (int32_t i = 0; i < ch->count; i++) {
        if (ch->args[i] == TYPE_UNKNOWN)
            continue;
        if (known != 0 && known != ch->args[i])
            return;
        known = ch->args[i];
    }
    if (known == 0)
        return;
    for (int32_t i = 0; i < ch->count; i++)
        args[i] = known;
    all_known.args = args;
    for (int32_t k = 0; k < ch->list_count; k++) {
        if (!can_take(&all_known, &ch->list[k]))
            continue;
        if (found >= 0)
            return;
        found = k;
    }
    if (found >= 0) {
        ch->list[0] = ch->list[found];
        ch->list_count = 1;
    }
}

/* Leaves the candidates that are still possible: one when the choice is clear. */
static void
choose(struct choice *ch)
{
    int32_t kept = 0;
    bool has_unknown = false;

    for (int32_t i = 0; i < ch->list_count; i++) {
        if (is_exact(ch, &ch->list[i])) {
            ch->list[0] = ch->list[i];
            ch->list_count = 1;
            return;
        }
    }
    for (int32_t i = 0; i < ch->list_count; i++) {
        if (can_take(ch, &ch->list[i]))
            ch->list[kept++] = ch->list[i];
    }
    ch->list_count = kept;
    for (int32_t i = 0; i < ch->count; i++)
        has_unknown |= ch->args[i] == TYPE_UNKNOWN;
    if (ch->list_count > 1)
        keep_by_matches(ch, false);
    if (ch->list_count > 1)
        keep_by_matches(ch, true);
    if (ch->list_count > 1 && has_unknown)
        keep_by_categories(ch);
    if (ch->list_count > 1 && has_unknown)
        keep_by_same_type(ch);
}

/* ---- results ------------------------------------------------------------------------------- */

static int
fill_match(const struct choice *ch, struct func_match *out)
{
    const struct candidate *c = &ch->list[0];
    struct poly p = poly_solve(ch, c);
    oid_t result;

    out->func = c->func;
    out->op = c->op;
    out->cast_name = NULL;
    if (c->op != NULL) {
        out->func = func_by_oid(ch->set, c->op->func_oid);
        CHECK(out->func != NULL);
    }
    if (p.is_unknown)
        return DIAG(ERR_DATATYPE_MISMATCH,
                    "could not determine polymorphic type because input has type unknown");
    result = c->op != NULL ? c->op->result : c->func->result;
    out->arg_count = ch->count;
    for (int32_t i = 0; i < ch->count; i++)
        out->args[i] = poly_apply(&p, declared_type(c, i), ch->args[i]);
    out->result = poly_apply(&p, result, result);
    if (out->result == 0)
        return DIAG(ERR_UNDEFINED_OBJECT, "could not find array type for data type %s",
                    type_sql_name(p.elem != 0 ? p.elem : p.compatible));
    return 0;
}

static void
put_types(char *buf, size_t size, const oid_t *args, int32_t count)
{
    struct writer w;

    wr_init_fixed(&w, buf, size - 1);
    for (int32_t i = 0; i < count; i++) {
        if (i > 0)
            wr_str(&w, ", ");
        wr_str(&w, type_sql_name(args[i]));
    }
    buf[w.size] = 0;
}

static int
no_function(struct slice name, const oid_t *args, int32_t count, bool is_ambiguous)
{
    char types[200];
    int rc;

    put_types(types, sizeof types, args, count);
    if (is_ambiguous) {
        rc = DIAG(ERR_AMBIGUOUS_FUNCTION, "function %.*s(%s) is not unique", SLICE_ARGS(name),
                  types);
        diag_hint("Could not choose a best candidate function. You might need to add explicit "
                  "type casts.");
    } else {
        rc = DIAG(ERR_UNDEFINED_FUNCTION, "function %.*s(%s) does not exist", SLICE_ARGS(name),
                  types);
        diag_hint("No function matches the given name and argument types. You might need to add "
                  "explicit type casts.");
    }
    return rc;
}

static int
no_operator(struct slice name, oid_t left, oid_t right, bool is_ambiguous)
{
    char types[160];
    int rc;

    if (left != 0)
        snprintf(types, sizeof types, "%s %.*s %s", type_sql_name(left), SLICE_ARGS(name),
                 type_sql_name(right));
    else
        snprintf(types, sizeof types, "%.*s %s", SLICE_ARGS(name), type_sql_name(right));
    if (is_ambiguous) {
        rc = DIAG(ERR_AMBIGUOUS_FUNCTION, "operator is not unique: %s", types);
        diag_hint("Could not choose a best candidate operator. You might need to add explicit "
                  "type casts.");
    } else {
        rc = DIAG(ERR_UNDEFINED_FUNCTION, "operator does not exist: %s", types);
        diag_hint("No operator matches the given name and argument type%s. You might need to add "
                  "%sexplicit type cast%s.",
                  left != 0 ? "s" : "", left != 0 ? "" : "an ", left != 0 ? "s" : "");
    }
    return rc;
}

/* ---- functions ----------------------------------------------------------------------------- */

static void
collect_functions(struct choice *ch, struct slice name, bool is_variadic)
{
    for (const struct func_set *s = ch->set; s != NULL; s = s->next) {
        for (size_t i = 0; i < s->func_count; i++) {
            const struct func *f = &s->funcs[i];
            bool repeats = (f->flags & FUNC_VARIADIC) != 0 && !is_variadic;
            if (f->name[0] != (char)name.data[0] || !slice_eq(name, slice_str(f->name)))
                continue;
            if (is_variadic && (f->flags & FUNC_VARIADIC) == 0)
                continue;
            if (repeats ? ch->count < f->arg_count : ch->count != f->arg_count)
                continue;
            add_candidate(ch, (struct candidate){ .func = f,
                                                  .args = f->args,
                                                  .declared = f->arg_count,
                                                  .is_variadic = repeats });
        }
    }
}

/* int4(x), text(x): a type's name used as a function is a cast, where it is one that needs no
 * function of that name. */
static bool
match_cast_call(const struct choice *ch, struct slice name, struct func_match *out)
{
    const struct type *t;
    struct cast_path path;

    if (ch->count != 1)
        return false;
    t = type_by_name(name);
    if (t == NULL || !slice_eq(name, slice_str(t->name)))
        return false;
    path = cast_find(ch->set, ch->args[0], t->oid, CAST_EXPLICIT);
    if (path.kind != CAST_RELABEL && path.kind != CAST_IO)
        return false;
    *out = (struct func_match){ .arg_count = 1, .result = t->oid, .cast_name = t->name };
    out->args[0] = ch->args[0];
    return true;
}

int
func_resolve(const struct func_set *set, struct slice name, const oid_t *args, int32_t arg_count,
             bool is_variadic, struct func_match *out)
{
    struct choice ch = { .set = set, .args = args, .count = arg_count };

    if (arg_count > FUNC_ARGS_MAX)
        return DIAG(ERR_TOO_MANY_ARGUMENTS, "cannot pass more than %d arguments to a function",
                    FUNC_ARGS_MAX);
    if (name.size == 0)
        return no_function(name, args, arg_count, false);
    collect_functions(&ch, name, is_variadic);
    for (int32_t i = 0; i < ch.list_count; i++) {
        if (is_exact(&ch, &ch.list[i])) {
            ch.list[0] = ch.list[i];
            return fill_match(&ch, out);
        }
    }
    if (!is_variadic && match_cast_call(&ch, name, out))
        return 0;
    choose(&ch);
    if (ch.list_count == 1)
        return fill_match(&ch, out);
    return no_function(name, args, arg_count, ch.list_count > 1);
}

/* ---- operators ----------------------------------------------------------------------------- */

static const struct op *
exact_operator(const struct func_set *set, struct slice name, oid_t left, oid_t right)
{
    for (; set != NULL; set = set->next) {
        for (size_t i = 0; i < set->op_count; i++) {
            const struct op *o = &set->ops[i];
            if (o->left == left && o->right == right && slice_eq(name, slice_str(o->name)))
                return o;
        }
    }
    return NULL;
}

static void
collect_operators(struct choice *ch, struct slice name, bool is_prefix)
{
    for (const struct func_set *s = ch->set; s != NULL; s = s->next) {
        for (size_t i = 0; i < s->op_count; i++) {
            const struct op *o = &s->ops[i];
            if ((o->left == 0) != is_prefix || !slice_eq(name, slice_str(o->name)))
                continue;
            /* left and right stand side by side in struct op */
            add_candidate(ch, (struct candidate){ .op = o,
                                                  .args = is_prefix ? &o->right : &o->left,
                                                  .declared = is_prefix ? 1 : 2 });
        }
    }
}
static_assert(offsetof(struct op, right) == offsetof(struct op, left) + sizeof(oid_t),
              "an operator's argument types are read as an array");

int
op_resolve(const struct func_set *set, struct slice name, oid_t left, oid_t right,
           struct func_match *out)
{
    oid_t args[2] = { left, right };
    struct choice ch = { .set = set,
                         .args = left == 0 ? args + 1 : args,
                         .count = left == 0 ? 1 : 2 };
    const struct op *o = exact_operator(set, name, left, right);

    /* An untyped literal is first taken to have the other side's type. */
    if (o == NULL && left == TYPE_UNKNOWN && right != TYPE_UNKNOWN)
        o = exact_operator(set, name, right, right);
    if (o == NULL && right == TYPE_UNKNOWN && left != TYPE_UNKNOWN && left != 0)
        o = exact_operator(set, name, left, left);
    if (o != NULL) {
        ch.list[0] = (struct candidate){ .op = o,
                                         .args = left == 0 ? &o->right : &o->left,
                                         .declared = ch.count };
        ch.list_count = 1;
        return fill_match(&ch, out);
    }
    collect_operators(&ch, name, left == 0);
    choose(&ch);
    if (ch.list_count == 1)
        return fill_match(&ch, out);
    return no_operator(name, left, right, ch.list_count > 1);
}
