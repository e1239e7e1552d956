/* The catalogue as of a moment: a set of descriptions, loaded on demand, shared by all who see the
 * same catalogue.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/base/checksum.h"
#include "engine/catalog/catalog_int.h"

static const char *const no_schema = "";

struct catalog *
catalog_new(struct engine *e)
{
    struct catalog *c = xcalloc(1, sizeof *c);
    uint16_t wanted[ROW_COLUMNS_MAX];

    c->engine = e;
    env_mutex_init(engine_env(e), &c->mutex);
    list_init(&c->sets);
    arena_init(&c->arena, NULL);
    for (uint16_t i = 0; i < ROW_COLUMNS_MAX; i++)
        wanted[i] = i;
    for (int i = 0; i < SYS_COUNT; i++) {
        struct cat_table *t = &c->system[i];
        const struct row_layout *l;

        describe_systable(&c->arena, systable_get((enum systable_id)i), "pg_catalog", t);
        l = cat_layout(t);
        if (i < SYS_STORED_COUNT &&
            row_map_init(&c->system_maps[i], &c->arena, l, l, wanted, t->column_count) != 0)
            UNREACHABLE();
    }
    return c;
}

static void
set_free(struct cat_set *s)
{
    for (int i = 0; i < CAT_SET_BUCKETS; i++) {
        struct cat_entry *next, *entry = s->by_oid[i];

        for (; entry != NULL; entry = next) {
            next = entry->next;
            arena_fini(&entry->arena);
            xfree(entry);
        }
    }
    xfree(s);
}

void
catalog_free(struct catalog *c)
{
    struct list *link;

    if (c == NULL)
        return;
    while ((link = list_pop_front(&c->sets)) != NULL) {
        struct cat_set *s = container_of(link, struct cat_set, link);

        CHECK(s->ref_count == 1); /* the cache's own */
        set_free(s);
    }
    arena_fini(&c->arena);
    env_mutex_fini(&c->mutex);
    xfree(c);
}

/* ---- acquiring ------------------------------------------------------------------------------- */

/* Mixed so that incarnation and SCN share one number; never 0. */
static uint64_t
version_of(struct catalog *c, incarnation_t inc, scn_t scn)
{
    scn_t change = engine_catalog_change(c->engine, scn);
    uint64_t parts[2] = { inc, change };

    return hash64(parts, sizeof parts, 0) | 1;
}

uint64_t
catalog_version_now(struct catalog *c, struct txn *t)
{
    if (txn_wrote_catalog(t))
        return 0;
    return version_of(c, engine_incarnation(c->engine), txn_snapshot_scn(t));
}

static struct cat_set *
set_new(struct catalog *c, uint64_t version, const struct read_moment *m)
{
    struct cat_set *s = xcalloc(1, sizeof *s);

    s->catalog = c;
    s->ref_count = 1;
    s->version = version;
    s->has_moment = m != NULL;
    if (m != NULL)
        s->moment = *m;
    list_init(&s->link);
    return s;
}

/* The cache keeps a reference of its own to the sets used last. */
static void
cache_add_locked(struct catalog *c, struct cat_set *s)
{
    s->ref_count++;
    list_push_front(&c->sets, &s->link);
    if (++c->set_count <= CATALOG_SETS_MAX)
        return;
    s = container_of(c->sets.prev, struct cat_set, link);
    list_remove(&s->link);
    c->set_count--;
    if (--s->ref_count == 0)
        set_free(s);
}

/* A set reads what it has not loaded yet as of its moment, which the statement has pinned, or else
 * in the snapshot of whoever asks. */
static bool
same_moment(const struct cat_set *s, const struct read_moment *m)
{
    if (m == NULL || !s->has_moment)
        return m == NULL && !s->has_moment;
    return s->moment.inc == m->inc && s->moment.scn == m->scn;
}

int
catalog_acquire(struct catalog *c, struct txn *t, const struct read_moment *m, struct cat_set **out)
{
    uint64_t version;

    if (m != NULL)
        version = version_of(c, m->inc != 0 ? m->inc : engine_incarnation(c->engine), m->scn);
    else
        version = catalog_version_now(c, t);
    if (version == 0) {
        *out = set_new(c, 0, m);
        return 0;
    }
    env_mutex_lock(&c->mutex);
    list_for_each (s, &c->sets, struct cat_set, link) {
        if (s->version == version && same_moment(s, m)) {
            s->ref_count++;
            list_remove(&s->link);
            list_push_front(&c->sets, &s->link);
            env_mutex_unlock(&c->mutex);
            *out = s;
            return 0;
        }
    }
    *out = set_new(c, version, m);
    cache_add_locked(c, *out);
    env_mutex_unlock(&c->mutex);
    return 0;
}

void
catalog_release(struct cat_set *s)
{
    struct catalog *c;
    bool last;

    if (s == NULL)
        return;
    c = s->catalog;
    env_mutex_lock(&c->mutex);
    last = --s->ref_count == 0;
    env_mutex_unlock(&c->mutex);
    if (last)
        set_free(s);
}

uint64_t
cat_set_version(const struct cat_set *s)
{
    return s->version;
}

/* ---- finding --------------------------------------------------------------------------------- */

static struct cat_entry *
set_find(struct cat_set *s, oid_t oid)
{
    struct cat_entry *entry;

    env_mutex_lock(&s->catalog->mutex);
    entry = s->by_oid[oid % CAT_SET_BUCKETS];
    while (entry != NULL && entry->table.oid != oid)
        entry = entry->next;
    env_mutex_unlock(&s->catalog->mutex);
    return entry;
}

/* Two tasks may load the same table at a time; the second one's copy is thrown away. */
static struct cat_entry *
set_add(struct cat_set *s, struct cat_entry *entry)
{
    struct cat_entry **bucket = &s->by_oid[entry->table.oid % CAT_SET_BUCKETS], *have;

    env_mutex_lock(&s->catalog->mutex);
    for (have = *bucket; have != NULL; have = have->next)
        if (have->table.oid == entry->table.oid)
            break;
    if (have == NULL) {
        entry->next = *bucket;
        *bucket = entry;
    }
    env_mutex_unlock(&s->catalog->mutex);
    if (have == NULL)
        return entry;
    arena_fini(&entry->arena);
    xfree(entry);
    return have;
}

static const struct read_moment *
set_moment(const struct cat_set *s)
{
    return s->has_moment ? &s->moment : NULL;
}

int
cat_find_table_by_oid(struct cat_set *s, struct txn *t, oid_t oid, const struct cat_table **out)
{
    struct cat_entry *entry;
    int rc;

    *out = NULL;
    for (int i = 0; i < SYS_COUNT; i++) {
        if (s->catalog->system[i].oid == oid) {
            *out = &s->catalog->system[i];
            return 0;
        }
    }
    for (const struct sys_provider *p = s->catalog->providers; p != NULL; p = p->next) {
        if (p->table.oid == oid) {
            *out = p->description;
            return 0;
        }
    }
    entry = set_find(s, oid);
    if (entry == NULL) {
        rc = load_table(s->catalog, t, set_moment(s), oid, &entry);
        if (rc != 0)
            return rc;
        if (entry == NULL)
            return 0;
        entry = set_add(s, entry);
    }
    *out = &entry->table;
    return 0;
}

static const struct cat_table *
find_fixed(struct cat_set *s, oid_t schema, struct slice name)
{
    const struct systable *def;

    for (const struct sys_provider *p = s->catalog->providers; p != NULL; p = p->next)
        if (schema == p->description->schema_oid && slice_eq(slice_str(p->table.name), name))
            return p->description;
    if (schema != CAT_NAMESPACE_CATALOG)
        return NULL;
    def = systable_by_name(name);
    for (int i = 0; def != NULL && i < SYS_COUNT; i++)
        if (s->catalog->system[i].oid == def->oid)
            return &s->catalog->system[i];
    return NULL;
}

int
cat_find_table(struct cat_set *s, struct txn *t, oid_t schema, struct slice name,
               const struct cat_table **out)
{
    struct datum keys[2] = { datum_int(schema), datum_slice(name) };
    struct datum row[CLASS_COUNT];
    struct arena a;
    int rc;

    *out = find_fixed(s, schema, name);
    if (*out != NULL)
        return 0;
    arena_init(&a, NULL);
    rc = sys_get_by_index(s->catalog, t, SYS_CLASS, 0, keys, set_moment(s), &a, row);
    if (rc == 0)
        rc = cat_find_table_by_oid(s, t, (oid_t)row[CLASS_OID].i, out);
    arena_fini(&a);
    return rc == ERR_NOT_FOUND ? 0 : rc;
}

int
cat_find_schema(struct cat_set *s, struct txn *t, struct slice name, oid_t *oid)
{
    struct datum key = datum_slice(name), row[NSP_COUNT];
    struct arena a;
    int rc;

    *oid = 0;
    if (slice_eq(name, slice_str("pg_catalog"))) {
        *oid = CAT_NAMESPACE_CATALOG;
        return 0;
    }
    arena_init(&a, NULL);
    rc = sys_get_by_index(s->catalog, t, SYS_NAMESPACE, 0, &key, set_moment(s), &a, row);
    if (rc == 0)
        *oid = (oid_t)row[NSP_OID].i;
    arena_fini(&a);
    return rc == ERR_NOT_FOUND ? 0 : rc;
}

int
cat_schema_owner(struct cat_set *s, struct txn *t, oid_t oid, oid_t *owner)
{
    struct datum key = datum_int(oid), row[NSP_COUNT];
    struct arena a;
    int rc;

    *owner = 0;
    arena_init(&a, NULL);
    rc = sys_get(s->catalog, t, SYS_NAMESPACE, &key, set_moment(s), &a, row);
    if (rc == 0)
        *owner = (oid_t)row[NSP_OWNER].i;
    arena_fini(&a);
    return rc == ERR_NOT_FOUND ? 0 : rc;
}

int
cat_schema_name(struct cat_set *s, struct txn *t, oid_t oid, struct arena *a, const char **name)
{
    struct datum key = datum_int(oid), row[NSP_COUNT];
    int rc;

    *name = no_schema;
    rc = sys_get(s->catalog, t, SYS_NAMESPACE, &key, set_moment(s), a, row);
    if (rc == 0)
        *name = arena_strndup(a, (const char *)row[NSP_NAME].p, row[NSP_NAME].size);
    return rc == ERR_NOT_FOUND ? 0 : rc;
}

/* ---- tables of higher rooms --------------------------------------------------------------------
 */

void
catalog_add_provider(struct catalog *c, struct sys_provider *p)
{
    p->description = ARENA_NEW(&c->arena, struct cat_table);
    describe_systable(&c->arena, &p->table, "pg_catalog", p->description);
    p->next = c->providers;
    c->providers = p;
}

const struct sys_provider *
catalog_provider(const struct catalog *c, oid_t oid)
{
    const struct sys_provider *p = c->providers;

    while (p != NULL && p->table.oid != oid)
        p = p->next;
    return p;
}
