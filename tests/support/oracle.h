/* The oracle of the storage rules: redo and commits of every incarnation of a small world, for
 * ever, and what the table holds on any branch at any SCN. A port of the storage model's Lineage.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_SUPPORT_ORACLE_H
#define TESTS_SUPPORT_ORACLE_H

#include "engine/base/id.h"
#include "engine/redo/lineage.h"

enum {
    ORACLE_KEYS = 3,
    ORACLE_VALUES = 3, /* 1 to this; 0: no row */
    ORACLE_INCS = 64,
    ORACLE_CHILDREN = 16,
};

/* What a transaction changes, or what a table holds. */
struct oracle_rows {
    bool set[ORACLE_KEYS]; /* in a change: it says something of this key */
    uint8_t value[ORACLE_KEYS];
};

enum oracle_record_type {
    ORACLE_PUT,
    ORACLE_COMMIT,
    ORACLE_ABORT,
    ORACLE_TREE_CREATE,
    ORACLE_TREE_DROP,
    ORACLE_HORIZON,
};
struct oracle_record {
    enum oracle_record_type type;
    txid_t txid;
    uint64_t seq;
    tree_id_t tree;
    uint8_t key[4], key_size, kind;
    uint8_t value[8], value_size;
    scn_t scn; /* of a commit; a horizon */
    uint32_t child_count;
    txid_t children[ORACLE_CHILDREN];
};
struct oracle_commit {
    scn_t scn;
    struct oracle_rows rows;
};
struct oracle_inc {
    incarnation_t parent, prev;
    scn_t fork_scn, next_scn;
    uint64_t prev_end, start; /* positions: records of prev that count; LSN of its first record */
    uint64_t next_txn;
    struct oracle_record *records;
    uint64_t record_count, record_cap;
    struct oracle_commit *commits;
    size_t commit_count, commit_cap;
};
struct oracle {
    struct oracle_inc incs[ORACLE_INCS];
    incarnation_t count; /* incarnations 1 to this exist; 0 is the root */
};

void oracle_init(struct oracle *o);
void oracle_fini(struct oracle *o);
/* The next incarnation; 0 when there is no room for one. */
incarnation_t oracle_add(struct oracle *o, incarnation_t parent, scn_t fork_scn, incarnation_t prev,
                         uint64_t prev_end, scn_t next_scn);
void oracle_entry(const struct oracle *o, incarnation_t inc, struct lineage_entry *out);
/* CUT-1, computed apart from the engine's own. */
scn_t oracle_part(const struct oracle *o, incarnation_t a, incarnation_t b);
void oracle_log(struct oracle *o, incarnation_t inc, const struct oracle_record *r);
void oracle_commit(struct oracle *o, incarnation_t inc, scn_t scn, const struct oracle_rows *rows);
/* Forgets what came after the first `end` records: only of a history that breaks INC-1. */
void oracle_cut(struct oracle *o, incarnation_t inc, uint64_t end, scn_t tip);
/* What the table holds on branch b at SCN s: value 0 for no row. */
struct oracle_rows oracle_rows(const struct oracle *o, incarnation_t b, scn_t s);
/* The last commit among the first `end` records of an incarnation, or its fork. */
scn_t oracle_tip(const struct oracle *o, incarnation_t inc, uint64_t end);

#endif
