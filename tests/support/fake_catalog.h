/* Tables for tests of binder and planner, made from CREATE TABLE and CREATE INDEX statements, with
 * no engine behind them.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_SUPPORT_FAKE_CATALOG_H
#define TESTS_SUPPORT_FAKE_CATALOG_H

#include "engine/sql/binder_catalog.h"

struct arena;

enum { FAKE_TABLES_MAX = 64 };
struct fake_catalog {
    struct arena *arena;
    int count;
    struct cat_table *tables[FAKE_TABLES_MAX];
    struct binder_catalog binder; /* hand this to sql_bind */
};

void fake_catalog_init(struct fake_catalog *c, struct arena *arena);
/* CREATE TABLE, CREATE INDEX, CREATE VIEW; panics on anything else. Columns' types, NOT NULL,
 * DEFAULT, CHECK, PRIMARY KEY, UNIQUE and REFERENCES are kept. */
void fake_catalog_run(struct fake_catalog *c, const char *sql);
struct cat_table *fake_catalog_table(struct fake_catalog *c, const char *name);

#endif
