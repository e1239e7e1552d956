/* One redoubtd: a data directory, its engine, its catalogue, its SQL server, and its part in a
 * configuration.
 *
 *   node_init   makes a data directory
 *   node_open   mounts it: recovery, then the role machine and the SQL server start
 *   node_close  ends it cleanly
 *
 * Threads: the guard thread runs the role machine and carries out its actions (node_act.c), the
 * workers of the SQL server run sessions, the engine has its own. The node's fields belong to the
 * guard thread unless a comment says otherwise.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef NODE_NODE_H
#define NODE_NODE_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/base/err.h"

struct env;
struct log;
struct node;
struct ship_key;

/* What `redoubt init` writes into an empty or new folder: the database, redoubt.yaml, cluster.key.
 * Addresses NULL: the defaults. ERR_FILE_EXISTS when there is something already. Blocks. */
MUST_CHECK
int node_init(struct env *env, const char *dir, const char *name, const char *sql,
              const char *guard);

/* redoubt.yaml and cluster.key of a data directory, the latter unless it is there. Blocks. */
MUST_CHECK
int node_write_files(struct env *env, const char *dir, const char *name, const char *sql,
                     const char *guard, const struct ship_key *key);

#define NODE_SQL_DEFAULT   "127.0.0.1:5433"
#define NODE_GUARD_DEFAULT "127.0.0.1:7433"

struct node_options {
    void (*progress)(void *arg, uint64_t bytes, uint64_t total); /* of the recovery; or NULL */
    void *progress_arg;
    uint64_t memtable_bytes; /* tests: less than redoubt.yaml may say; 0: what it says */
};

/* Reads DIR/redoubt.yaml, recovers the database, starts everything. Returns once the SQL server
 * listens; the role is taken by itself. Blocks. options: or NULL. */
MUST_CHECK
int node_open(struct env *env, const char *dir, const struct node_options *options,
              struct node **out);
void node_close(struct node *n); /* blocks; NULL allowed */

/* A base copy was taken over the node's own database and waits to be installed: whoever runs the
 * node closes it and opens it again. From any thread. */
bool node_wants_reopen(const struct node *n);

/* For whoever started it: waits until the node is open for writing or follows somebody. False:
 * timeout_us passed first. Blocks. From any plain thread. */
bool node_wait_ready(struct node *n, uint64_t timeout_us);

#endif
