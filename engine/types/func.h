/* Functions, operators, casts and aggregates: tables of entries, one line to add one, and the rules
 * by which PostgreSQL chooses among them.
 *
 * The tables are constant. A room above adds its own (version(), pg_table_is_visible(), …) by a
 * struct func_set of its own whose `next` is the one below; the last is func_set_builtin. All
 * lookups take the set to start from.
 *
 * An operator and a cast name the function that does the work, by OID, as in PostgreSQL's
 * catalogues. OIDs are PostgreSQL's where it has the entry.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_TYPES_FUNC_H
#define ENGINE_TYPES_FUNC_H

#include "engine/types/type.h"

enum { FUNC_ARGS_MAX = 100, FUNC_TABLE_ARGS_MAX = 8 };

struct func;

/* One call site of one function in one execution. Zeroed, then filled by the caller:
 * scratch and results come from `arena` (a batch's or a row's); what the function wants to keep
 * between calls (a compiled pattern) goes into `site`, from `site_arena`, which lives as long as
 * the call site. Aggregate states take their memory from `site_arena` too. */
struct func_call {
    const struct func *func;
    const struct type_env *env;
    struct arena *arena;
    struct arena *site_arena;
    void *site; /* the function's own; starts NULL */
    int32_t arg_count;
    const oid_t *arg_types; /* actual types, needed by polymorphic and variadic "any" functions */
    oid_t result_type;      /* actual */
};

/* args[] holds call->arg_count values; a strict function is never called with a null among them.
 * 0 or an error; *out is set on 0. Bytes of the result lie in call->arena or borrow from an
 * argument. */
typedef int func_fn(struct func_call *call, const struct datum *args, struct datum *out);
/* The same for rows sel[0 .. count-1] (sel NULL: rows 0 .. count-1) of the vectors. `out` was made
 * by vec_init; the kernel sets values and validity of those rows, and nothing else. Handles nulls
 * and constant vectors itself. */
typedef int func_batch_fn(struct func_call *call, const struct vec *const *args,
                          const uint16_t *sel, uint32_t count, struct vec *out);

/* How an aggregate works. A state is `state_size` zeroed bytes, 16-aligned, in memory of the
 * caller's choice that may be moved with memcpy; what it points to comes from call->site_arena. */
struct agg {
    uint32_t state_size;
    /* One row. When the aggregate is strict (FUNC_STRICT of its func) rows with a null are not
     * passed. count(*) has no arguments. */
    int (*step)(struct func_call *call, void *state, const struct datum *args);
    /* Rows sel[0..count-1] into one state (states_count 1) or row sel[k] into states[k]; nulls are
     * passed and skipped by the kernel. NULL: the caller loops over step. */
    int (*step_batch)(struct func_call *call, void *const *states, bool one_state,
                      const struct vec *const *args, const uint16_t *sel, uint32_t count);
    int (*combine)(struct func_call *call, void *into, const void *from); /* NULL: not splittable */
    int (*final)(struct func_call *call, const void *state, struct datum *out);
};

enum func_flags {
    FUNC_STRICT = 1,    /* null in, null out */
    FUNC_STABLE = 2,    /* not constant over statements: do not fold at plan time */
    FUNC_VOLATILE = 4,  /* each call may differ; neither flag: immutable */
    FUNC_SET = 8,       /* returns a set: the executor runs it, fn is NULL */
    FUNC_VARIADIC = 16, /* the last argument type repeats (any number, at least one); an array type
                         * there stands for its element type */
    FUNC_VOLATILITY = FUNC_STABLE | FUNC_VOLATILE,
};

struct func {
    oid_t oid;
    const char *name;
    oid_t result; /* may be polymorphic */
    uint8_t flags;
    uint8_t arg_count; /* as declared */
    oid_t args[FUNC_TABLE_ARGS_MAX];
    func_fn *fn;           /* NULL for sets and aggregates */
    func_batch_fn *batch;  /* NULL: the executor loops over fn (func_batch_by_rows) */
    const struct agg *agg; /* of an aggregate, else NULL */
};

/* What an operator means to the planner; from either side's type. */
enum op_order { OP_NONE, OP_LT, OP_LE, OP_EQ, OP_GE, OP_GT, OP_NE };

struct op {
    oid_t oid;
    const char *name;
    oid_t left, right; /* left 0: prefix */
    oid_t result;
    oid_t func_oid;
    oid_t commutator, negator; /* 0: none */
    uint8_t order;             /* enum op_order: of the types' common order (type_cmp) */
};

enum cast_context { CAST_IMPLICIT = 'i', CAST_ASSIGNMENT = 'a', CAST_EXPLICIT = 'e' };
struct cast {
    oid_t source, target;
    oid_t func_oid; /* 0: the same bytes (relabel) */
    char context;   /* the least explicit in which it is allowed */
};

struct func_set {
    const struct func *funcs;
    size_t func_count;
    const struct op *ops;
    size_t op_count;
    const struct cast *casts;
    size_t cast_count;
    const struct func_set *next;
};
extern const struct func_set func_set_builtin;

/* ---- lookups by OID ------------------------------------------------------------------------ */

const struct func *func_by_oid(const struct func_set *set, oid_t oid); /* NULL: none */
const struct op *op_by_oid(const struct func_set *set, oid_t oid);     /* NULL: none */
/* The operator of exactly these types; NULL: none. */
const struct op *op_exact(const struct func_set *set, const char *name, oid_t left, oid_t right);
/* All entries in turn (for pg_proc, pg_operator, pg_cast); NULL at the end. */
const struct func *func_at(const struct func_set *set, size_t index);
const struct op *op_at(const struct func_set *set, size_t index);
const struct cast *cast_at(const struct func_set *set, size_t index);

/* ---- casts --------------------------------------------------------------------------------- */

enum cast_kind {
    CAST_NO,      /* there is none in this context */
    CAST_RELABEL, /* the same value under another type; also when the types are equal */
    CAST_FUNC,    /* apply `func` (one argument) */
    CAST_IO,      /* text form out, then in */
    CAST_ARRAY,   /* element by element: not supported yet, reported as CAST_NO */
};
struct cast_path {
    enum cast_kind kind;
    const struct func *func;
};
/* From unknown: CAST_IO to every type that has an in function. */
struct cast_path cast_find(const struct func_set *set, oid_t source, oid_t target,
                           enum cast_context context);
bool cast_can(const struct func_set *set, oid_t source, oid_t target, enum cast_context context);
/* One value from one type to another, then to its typmod. ERR_CANNOT_COERCE when there is no way.
 */
MUST_CHECK
int cast_value(const struct func_set *set, const struct type_env *env, struct arena *a,
               oid_t source, oid_t target, int32_t typmod, enum cast_context context,
               const struct datum *in, struct datum *out);
/* The common type of UNION branches, CASE arms, COALESCE, VALUES columns, IN lists (PostgreSQL's
 * rules for UNION). `what` is for the error: "CASE", "UNION", … . *bad (may be NULL): the index
 * that does not fit. ERR_DATATYPE_MISMATCH. All unknown: text. */
MUST_CHECK
int cast_common_type(const struct func_set *set, const char *what, const oid_t *types,
                     int32_t count, oid_t *out, int32_t *bad);

/* ---- choosing an overload ------------------------------------------------------------------ */

struct func_match {
    const struct func *func;
    const struct op *op;       /* of an operator, else NULL */
    int32_t arg_count;         /* as called */
    oid_t args[FUNC_ARGS_MAX]; /* what each argument must be cast to (implicitly); as given
                                * where the declared type is "any" */
    oid_t result;              /* polymorphism resolved */
    const char *cast_name;     /* not NULL: this was a call like int4(x): cast to `result` */
};
/* Function name, unqualified (schema pg_catalog is the caller's to check). Argument types may be
 * TYPE_UNKNOWN for untyped literals. ERR_UNDEFINED_FUNCTION, ERR_AMBIGUOUS_FUNCTION,
 * ERR_TOO_MANY_ARGUMENTS, with PostgreSQL's words and hints. Aggregates are found too. With
 * is_variadic (VARIADIC array) only variadic functions, whose last argument is the array. */
MUST_CHECK
int func_resolve(const struct func_set *set, struct slice name, const oid_t *args,
                 int32_t arg_count, bool is_variadic, struct func_match *out);
/* Operator by name; left TYPE 0: prefix. */
MUST_CHECK
int op_resolve(const struct func_set *set, struct slice name, oid_t left, oid_t right,
               struct func_match *out);

/* ---- applying ------------------------------------------------------------------------------ */

/* One row: tests strictness, then calls fn. */
MUST_CHECK
int func_apply(struct func_call *call, const struct datum *args, struct datum *out);
/* A batch: the batch kernel, or a loop over fn. */
MUST_CHECK
int func_apply_batch(struct func_call *call, const struct vec *const *args, const uint16_t *sel,
                     uint32_t count, struct vec *out);
/* Rows of a batch into aggregate states, as agg.step_batch, whether or not it has that kernel. */
MUST_CHECK
int agg_apply_batch(struct func_call *call, void *const *states, bool one_state,
                    const struct vec *const *args, const uint16_t *sel, uint32_t count);

#endif
