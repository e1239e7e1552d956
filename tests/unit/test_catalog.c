/* The catalogue over a real engine: definitions, versions, sets, names.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/env.h"
#include "engine/catalog/catalog.h"
#include "engine/catalog/ddl.h"
#include "engine/catalog/systable.h"
#include "tests/support/folder.h"

static struct env *env;
static struct engine *engine;
static struct catalog *catalog;
static struct txn *txn;
static char dir[64];
static incarnation_t inc;

static void
ok(int rc)
{
    ck_assert_msg(rc == 0, "%s: %s", err_name(rc), diag_last()->message);
}

static void
open_all(void)
{
    struct engine_options o = { .env = env, .dir = dir, .redo_file_bytes = 1 << 20 };

    ok(engine_mount(&o, &engine));
    inc++;
    ok(engine_open_write(engine, inc, inc));
    catalog = catalog_new(engine);
    txn = txn_new(engine);
}

static void
close_all(void)
{
    txn_free(txn);
    catalog_free(catalog);
    engine_close(engine);
}

static void
begin(void)
{
    ok(txn_begin(txn, TXN_READ_COMMITTED, false));
    ok(txn_statement_begin(txn));
}

static scn_t
commit(void)
{
    struct commit_token token;

    txn_statement_end(txn);
    ok(txn_commit(txn, &token));
    if (token.scn != 0)
        ok(engine_wait_visible(engine, token.scn, 10000000));
    return token.scn;
}

static void
setup(void)
{
    uint64_t id;

    env = env_posix_new();
    inc = 0;
    test_folder(dir, sizeof dir, "rd-catalog");
    strncat(dir, "/db", 4); /* banned-ok: the room is there */
    ok(engine_create(env, dir, &id));
    open_all();
    begin();
    ok(catalog_bootstrap(catalog, txn, "redoubt"));
    commit();
}

static void
teardown(void)
{
    char command[96];

    close_all();
    env_free(env);
    *strrchr(dir, '/') = '\0';
    snprintf(command, sizeof command, "rm -rf %s", dir);
    ck_assert_int_eq(system(command), 0);
}

static const struct cat_table *
find(struct cat_set *s, const char *name)
{
    const struct cat_table *t;

    ok(cat_find_table(s, txn, CAT_NAMESPACE_PUBLIC, slice_str(name), &t));
    return t;
}

static oid_t
create(const char *name)
{
    struct ddl_column columns[] = {
        { "id", TYPE_INT4, -1, false, 0, NULL },
        { "name", TYPE_TEXT, -1, true, 0, "'x'" },
        { "amount", TYPE_NUMERIC, -1, false, 0, NULL },
    };
    struct ddl_key_column primary[] = { { 0, false, false } };
    char pkey[80];
    struct ddl_table d = {
        .schema = CAT_NAMESPACE_PUBLIC,
        .owner = CAT_ROLE_SUPERUSER,
        .name = name,
        .kind = CAT_TABLE,
        .column_count = 3,
        .columns = columns,
        .primary_count = 1,
        .primary = primary,
        .primary_name = pkey,
    };
    oid_t oid;

    snprintf(pkey, sizeof pkey, "%s_pkey", name);
    ok(ddl_create_table(catalog, txn, &d, &oid));
    return oid;
}

/* ---- tests ---------------------------------------------------------------------------------- */

START_TEST(a_table_is_described)
{
    struct cat_set *s;
    const struct cat_table *t;
    oid_t oid;

    begin();
    oid = create("a");
    /* CAT-3: the transaction sees it, in a set of its own. */
    ok(catalog_acquire(catalog, txn, NULL, &s));
    ck_assert_uint_eq(cat_set_version(s), 0);
    ck_assert_ptr_nonnull(find(s, "a"));
    catalog_release(s);
    commit();
    for (int round = 0; round < 2; round++) {
        begin();
        ok(catalog_acquire(catalog, txn, NULL, &s));
        ck_assert_uint_ne(cat_set_version(s), 0);
        t = find(s, "a");
        ck_assert_uint_eq(t->oid, oid);
        ck_assert_uint_eq(t->column_count, 3);
        ck_assert_str_eq(t->columns[1].name, "name");
        ck_assert_str_eq(t->columns[1].default_text, "'x'");
        ck_assert(t->columns[0].not_null && t->columns[1].not_null && !t->columns[2].not_null);
        ck_assert_ptr_nonnull(t->primary);
        ck_assert_str_eq(t->primary->name, "a_pkey");
        ck_assert_uint_gt(t->tree, ENGINE_TREE_RESERVED);
        catalog_release(s);
        commit();
        close_all();
        open_all();
    }
}
END_TEST

START_TEST(names_are_unique)
{
    struct ddl_column column = { "id", TYPE_INT4, -1, false, 0, NULL };
    struct ddl_table d = { .schema = CAT_NAMESPACE_PUBLIC,
                           .owner = CAT_ROLE_SUPERUSER,
                           .name = "a",
                           .kind = CAT_TABLE,
                           .column_count = 1,
                           .columns = &column };
    oid_t oid;

    begin();
    create("a");
    commit();
    begin();
    /* CAT-4 */
    ck_assert_int_eq(ddl_create_table(catalog, txn, &d, &oid), ERR_DUPLICATE_TABLE);
    txn_rollback(txn);
}
END_TEST

START_TEST(definitions_have_versions)
{
    struct ddl_column added = { "note", TYPE_TEXT, -1, false, 0, NULL };
    struct datum missing = datum_slice(slice_str("none")), values[4], out[4];
    uint16_t wanted[] = { 0, 1, 2, 3 };
    const struct row_layout *stored;
    const struct cat_table *t;
    struct cat_set *s;
    struct row_map map;
    struct writer row, key;
    struct arena a;

    arena_init(&a, NULL);
    wr_init(&row, 0);
    wr_init(&key, 0);
    begin();
    create("a");
    commit();
    begin();
    ok(catalog_acquire(catalog, txn, NULL, &s));
    t = find(s, "a");
    values[0] = datum_int(7);
    values[1] = datum_slice(slice_str("old"));
    values[2] = datum_null();
    ok(row_encode(&row, cat_layout(t), values));
    row_encode_key(&key, cat_layout(t), values);
    ok(ddl_add_column(catalog, txn, t, &added, &missing));
    catalog_release(s);
    commit();
    begin();
    ok(catalog_acquire(catalog, txn, NULL, &s));
    t = find(s, "a");
    /* CAT-2: a row of the first version is read under the second. */
    ck_assert_uint_eq(t->version, 2);
    ok(cat_row_layout(t, wr_view(&row), &stored));
    ck_assert_uint_eq(stored->version, 1);
    ok(row_map_init(&map, &a, stored, cat_layout(t), wanted, 4));
    ok(row_decode(&map, wr_view(&key), wr_view(&row), &a, out));
    ck_assert_int_eq(out[0].i, 7);
    ck_assert(slice_eq(datum_view(&out[1]), slice_str("old")));
    ck_assert(out[2].is_null);
    ck_assert(slice_eq(datum_view(&out[3]), slice_str("none")));
    ok(ddl_drop_column(catalog, txn, t, 1));
    catalog_release(s);
    commit();
    begin();
    ok(catalog_acquire(catalog, txn, NULL, &s));
    t = find(s, "a");
    ck_assert(t->columns[1].dropped);
    ck_assert_uint_eq(t->version, 3);
    catalog_release(s);
    commit();
    wr_fini(&row);
    wr_fini(&key);
    arena_fini(&a);
}
END_TEST

START_TEST(the_past_has_its_own_catalogue)
{
    struct cat_set *now, *then;
    scn_t before;

    begin();
    create("a");
    before = commit();
    begin();
    create("b");
    commit();
    begin();
    ok(txn_pin_moment(txn, (struct read_moment){ 0, before }));
    ok(catalog_acquire(catalog, txn, NULL, &now));
    ok(catalog_acquire(catalog, txn, &(struct read_moment){ 0, before }, &then));
    /* CAT-1 */
    ck_assert_uint_ne(cat_set_version(now), cat_set_version(then));
    ck_assert_ptr_nonnull(find(now, "b"));
    ck_assert_ptr_null(find(then, "b"));
    ck_assert_ptr_nonnull(find(then, "a"));
    catalog_release(now);
    catalog_release(then);
    commit();
}
END_TEST

START_TEST(what_is_dropped_is_gone)
{
    const struct cat_table *t;
    struct cat_set *s;

    begin();
    create("a");
    create("b");
    commit();
    begin();
    ok(catalog_acquire(catalog, txn, NULL, &s));
    t = find(s, "a");
    ok(ddl_drop_table(catalog, txn, t));
    catalog_release(s);
    commit();
    begin();
    ok(catalog_acquire(catalog, txn, NULL, &s));
    ck_assert_ptr_null(find(s, "a"));
    ck_assert_ptr_nonnull(find(s, "b"));
    catalog_release(s);
    create("a");
    commit();
}
END_TEST

START_TEST(roles_are_found)
{
    struct ddl_role d = { "bob", "SCRAM-SHA-256$x", 0, 1, 0, 0, 1, 0 };
    struct cat_role r;
    bool yes;

    begin();
    ok(cat_find_role(catalog, txn, slice_str("redoubt"), &r));
    ck_assert(r.is_superuser && r.can_login && r.oid == CAT_ROLE_SUPERUSER);
    ok(cat_all_roles_have_password(catalog, txn, &yes));
    ck_assert(!yes);
    ok(ddl_create_role(catalog, txn, &d));
    ok(cat_find_role(catalog, txn, slice_str("bob"), &r));
    ck_assert_str_eq(r.verifier, "SCRAM-SHA-256$x");
    ck_assert_int_eq(cat_find_role(catalog, txn, slice_str("eve"), &r), ERR_NOT_FOUND);
    commit();
}
END_TEST

int
main(void)
{
    Suite *s = suite_create("catalog");
    TCase *c = tcase_create("catalog");
    SRunner *r = srunner_create(s);
    int failed;

    tcase_add_checked_fixture(c, setup, teardown);
    tcase_set_timeout(c, 120);
    tcase_add_test(c, a_table_is_described);
    tcase_add_test(c, names_are_unique);
    tcase_add_test(c, definitions_have_versions);
    tcase_add_test(c, the_past_has_its_own_catalogue);
    tcase_add_test(c, what_is_dropped_is_gone);
    tcase_add_test(c, roles_are_found);
    suite_add_tcase(s, c);
    srunner_set_fork_status(r, getenv("RD_FORK") != NULL ? CK_FORK : CK_NOFORK);
    srunner_run_all(r, CK_NORMAL);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? 0 : 1;
}
