/* What the command line fetches from a running node: a base copy, redo.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef NODE_COMMAND_COPY_H
#define NODE_COMMAND_COPY_H

#include "backup/backup.h"
#include "node/command_call.h"

/* Copies the database of the node at `address` into `dir`, which has no manifest. database_id 0:
 * whatever it has. With `out` (initialised): what the copy's log is. Blocks; shows progress. */
MUST_CHECK
int copy_database(const struct call *c, const char *address, const char *name, const char *dir,
                  uint64_t database_id, struct backup *out);
/* Redo on the way to `inc`, from where `r` stands until it has enough or there is no more. Blocks.
 */
MUST_CHECK
int copy_redo(const struct call *c, const char *address, uint64_t database_id, incarnation_t inc,
              struct restore *r);

/* Whether the node has the redo that goes on from `from` on the way to `inc`: 0, or why not.
 * Blocks. */
MUST_CHECK
int copy_has_redo(const struct call *c, const char *address, uint64_t database_id,
                  incarnation_t inc, const struct redo_pos *from);

/* A line on a terminal that is written over; nothing elsewhere. */
void copy_show(const char *what, uint64_t bytes, uint64_t total);
void copy_shown(void);

#endif
