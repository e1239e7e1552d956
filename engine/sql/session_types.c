/* What types and functions ask of a session: time, chance, zones, names of objects.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "engine/base/fiber.h"
#include "engine/sql/session_int.h"
#include "engine/types/datetime.h"
#include "engine/types/zone.h"

/* ---- time and chance ---------------------------------------------------------------------------
 */

int64_t
sess_clock(const struct sql_session *s)
{
    return timestamp_from_unix_us(env_wall_us(s->q->env));
}

static int64_t
now_transaction(void *arg)
{
    return ((const struct sql_session *)arg)->tx_time;
}

static int64_t
now_statement(void *arg)
{
    return ((const struct sql_session *)arg)->statement_time;
}

static int64_t
now_clock(void *arg)
{
    return sess_clock(arg);
}

static uint64_t
rotate(uint64_t x, int k)
{
    return x << k | x >> (64 - k);
}

/* xoroshiro128+ */
static uint64_t
random_next(void *arg)
{
    uint64_t *state = ((struct sql_session *)arg)->random_state;
    uint64_t a = state[0], b = state[1], sum = a + b;

    b ^= a;
    state[0] = rotate(a, 24) ^ b ^ b << 16;
    state[1] = rotate(b, 37);
    return sum;
}

static uint64_t
splitmix(uint64_t *x)
{
    uint64_t z = *x += 0x9e3779b97f4a7c15u;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static void
random_seed(void *arg, double seed)
{
    struct sql_session *s = arg;
    uint64_t x;

    memcpy(&x, &seed, sizeof x);
    s->random_state[0] = splitmix(&x);
    s->random_state[1] = splitmix(&x);
}

/* ---- zones -------------------------------------------------------------------------------------
 */

enum { ZONES_MAX = 4096 };

struct zone_entry {
    struct zone_entry *next;
    struct slice name;
    const struct zone *zone;
};

static const struct zone *
zone_find_locked(struct sql_engine *q, struct slice name)
{
    for (const struct zone_entry *e = q->zones; e != NULL; e = e->next)
        if (slice_eq(e->name, name))
            return e->zone;
    return NULL;
}

struct zone_job {
    struct sql_engine *q;
    struct slice name;
    struct arena arena;
    const struct zone *zone;
};

static int
zone_load_cb(void *arg)
{
    struct zone_job *j = arg;

    return zone_load(j->q->env, &j->arena, j->name, &j->zone);
}

/* Loads once more under the lock into memory that stays: by then the file is in the cache. */
static int
zone_add_locked(struct sql_engine *q, struct slice name, const struct zone **out)
{
    struct zone_entry *e;
    int rc;

    *out = zone_find_locked(q, name);
    if (*out != NULL)
        return 0;
    if (q->zone_count >= ZONES_MAX)
        return DIAG(ERR_LIMIT, "too many different time zones are in use");
    e = ARENA_NEW(&q->zone_arena, struct zone_entry);
    rc = zone_load(q->env, &q->zone_arena, name, &e->zone);
    if (rc != 0)
        return rc;
    e->name = slice(arena_memdup(&q->zone_arena, name.data, name.size), name.size);
    e->next = q->zones;
    q->zones = e;
    q->zone_count++;
    *out = e->zone;
    return 0;
}

int
sess_zone(struct sql_engine *q, struct slice name, const struct zone **out)
{
    struct zone_job job = { .q = q, .name = name };
    int rc;

    env_mutex_lock(&q->mutex);
    *out = zone_find_locked(q, name);
    env_mutex_unlock(&q->mutex);
    if (*out != NULL)
        return 0;
    arena_init(&job.arena, NULL);
    rc = q->jobs != NULL ? job_run(q->jobs, zone_load_cb, &job) : zone_load_cb(&job);
    arena_fini(&job.arena);
    if (rc != 0)
        return rc;
    env_mutex_lock(&q->mutex);
    rc = zone_add_locked(q, name, out);
    env_mutex_unlock(&q->mutex);
    return rc;
}

static int
zone_by_name(void *arg, struct slice name, const struct zone **out)
{
    return sess_zone(((const struct sql_session *)arg)->q, name, out);
}

/* ---- names of objects
 * ---------------------------------------------------------------------------- */

/* "a", a.b, "A"."b": parts of a qualified name, folded. */
static int
split_name(struct arena *a, struct slice name, const char **parts, int *count)
{
    const char *text = arena_strndup(a, (const char *)name.data, name.size);
    struct ast *e;
    const struct ast_column *c;
    int rc = sql_parse_expr(a, slice_str(text), &e);

    if (rc != 0 || e->kind != AST_COLUMN || AST_AS(ast_column, e)->star ||
        AST_AS(ast_column, e)->part_count > 3) {
        if (rc == ERR_NOMEM)
            return rc;
        return DIAG(ERR_INVALID_NAME, "invalid name syntax");
    }
    c = AST_CONST(ast_column, e);
    *count = c->part_count;
    for (int i = 0; i < c->part_count; i++)
        parts[i] = c->part[i];
    return 0;
}

static int
class_from_name(struct sql_session *s, const char *schema, const char *name, oid_t *oid)
{
    const struct cat_table *t;
    bool schema_exists;
    int rc = sess_find_table(s, schema, name, &t, &schema_exists);

    if (rc == 0 && t == NULL)
        return schema == NULL
                   ? DIAG(ERR_UNDEFINED_TABLE, "relation \"%s\" does not exist", name)
                   : DIAG(ERR_UNDEFINED_TABLE, "relation \"%s.%s\" does not exist", schema, name);
    if (rc == 0)
        *oid = t->oid;
    return rc;
}

static int
namespace_from_name(struct sql_session *s, const char *name, oid_t *oid)
{
    struct cat_set *set;
    int rc = sess_set(s, &set);

    if (rc == 0)
        rc = cat_find_schema(set, s->txn, slice_str(name), oid);
    if (rc == 0 && *oid == 0)
        rc = DIAG(ERR_UNDEFINED_SCHEMA, "schema \"%s\" does not exist", name);
    return rc;
}

static int
role_from_name(struct sql_session *s, const char *name, oid_t *oid)
{
    struct cat_role role;
    int rc = cat_find_role(s->q->catalog, s->txn, slice_str(name), &role);

    if (rc == ERR_NOT_FOUND)
        return DIAG(ERR_UNDEFINED_OBJECT, "role \"%s\" does not exist", name);
    if (rc == 0)
        *oid = role.oid;
    return rc;
}

static int
proc_from_name(const char *name, oid_t *oid)
{
    const struct func *f, *found = NULL;

    for (size_t i = 0; (f = func_at(&func_set_session, i)) != NULL; i++) {
        if (strcmp(f->name, name) != 0)
            continue;
        if (found != NULL)
            return DIAG(ERR_AMBIGUOUS_FUNCTION, "more than one function named \"%s\"", name);
        found = f;
    }
    if (found == NULL)
        return DIAG(ERR_UNDEFINED_FUNCTION, "function \"%s\" does not exist", name);
    *oid = found->oid;
    return 0;
}

static int
collation_from_name(const char *name, oid_t *oid)
{
    if (strcmp(name, "default") == 0)
        *oid = 100;
    else if (strcmp(name, "C") == 0)
        *oid = 950;
    else if (strcmp(name, "POSIX") == 0)
        *oid = 951;
    else
        return DIAG(ERR_UNDEFINED_OBJECT, "collation \"%s\" for encoding \"UTF8\" does not exist",
                    name);
    return 0;
}

static int
reg_from_name(void *arg, oid_t type, struct slice name, oid_t *oid)
{
    struct sql_session *s = arg;
    const char *parts[4] = { NULL }, *last, *schema = NULL;
    struct arena a;
    int count, rc;

    arena_init(&a, NULL);
    rc = split_name(&a, name, parts, &count);
    if (rc == 0) {
        last = parts[count - 1];
        schema = count > 1 ? parts[count - 2] : NULL;
        switch (type) {
        case TYPE_REGCLASS:
            rc = class_from_name(s, schema, last, oid);
            break;
        case TYPE_REGNAMESPACE:
            rc = namespace_from_name(s, last, oid);
            break;
        case TYPE_REGROLE:
            rc = role_from_name(s, last, oid);
            break;
        case TYPE_REGPROC:
        case TYPE_REGPROCEDURE:
            rc = proc_from_name(last, oid);
            break;
        case TYPE_REGCOLLATION:
            rc = collation_from_name(last, oid);
            break;
        default:
            rc = DIAG(ERR_NOT_SUPPORTED, "names of type %s cannot be looked up",
                      type_sql_name(type));
        }
    }
    arena_fini(&a);
    return rc;
}

static void
put(struct writer *w, const char *text)
{
    wr_bytes(w, text, strlen(text));
}

static bool
class_to_name(struct sql_session *s, struct arena *a, oid_t oid, struct writer *w)
{
    const struct cat_table *t;

    if (sess_table_by_oid(s, oid, &t) != 0 || t == NULL)
        return false;
    put(w, sess_display_name(s, a, t));
    return true;
}

static bool
namespace_to_name(struct sql_session *s, struct arena *a, oid_t oid, struct writer *w)
{
    struct cat_set *set;
    const char *name;

    if (sess_set(s, &set) != 0 || cat_schema_name(set, s->txn, oid, a, &name) != 0 ||
        name[0] == '\0')
        return false;
    put(w, sql_quote_ident(a, name));
    return true;
}

static bool
role_to_name(struct sql_session *s, struct arena *a, oid_t oid, struct writer *w)
{
    const char *name;

    if (cat_role_name(s->q->catalog, s->txn, oid, a, &name) != 0)
        return false;
    put(w, sql_quote_ident(a, name));
    return true;
}

static bool
proc_to_name(struct arena *a, oid_t oid, bool with_args, struct writer *w)
{
    const struct func *f = func_by_oid(&func_set_session, oid);

    if (f == NULL)
        return false;
    put(w, sql_quote_ident(a, f->name));
    if (!with_args)
        return true;
    put(w, "(");
    for (int i = 0; i < f->arg_count && i < FUNC_TABLE_ARGS_MAX; i++) {
        put(w, i > 0 ? "," : "");
        put(w, type_sql_name(f->args[i]));
    }
    put(w, ")");
    return true;
}

static bool
collation_to_name(oid_t oid, struct writer *w)
{
    if (oid != 100 && oid != 950 && oid != 951)
        return false;
    put(w, oid == 100 ? "\"default\"" : oid == 950 ? "\"C\"" : "\"POSIX\"");
    return true;
}

static bool
reg_to_name(void *arg, oid_t type, oid_t oid, struct writer *w)
{
    struct sql_session *s = arg;
    struct arena a;
    bool found = false;

    if (s->statement_depth == 0)
        return false;
    arena_init(&a, NULL);
    switch (type) {
    case TYPE_REGCLASS:
        found = class_to_name(s, &a, oid, w);
        break;
    case TYPE_REGNAMESPACE:
        found = namespace_to_name(s, &a, oid, w);
        break;
    case TYPE_REGROLE:
        found = role_to_name(s, &a, oid, w);
        break;
    case TYPE_REGPROC:
    case TYPE_REGPROCEDURE:
        found = proc_to_name(&a, oid, type == TYPE_REGPROCEDURE, w);
        break;
    case TYPE_REGCOLLATION:
        found = collation_to_name(oid, w);
        break;
    default:
        break;
    }
    arena_fini(&a);
    return found;
}

void
sess_types_init(struct sql_session *s)
{
    env_random(s->q->env, s->random_state, sizeof s->random_state);
    s->random_state[0] |= 1;
    s->types = (struct type_env){ .arg = s,
                                  .extra_float_digits = 1,
                                  .now_transaction = now_transaction,
                                  .now_statement = now_statement,
                                  .now_clock = now_clock,
                                  .random = random_next,
                                  .random_seed = random_seed,
                                  .reg_from_name = reg_from_name,
                                  .reg_to_name = reg_to_name,
                                  .zone_by_name = zone_by_name };
}
