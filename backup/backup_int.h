/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BACKUP_BACKUP_INT_H
#define BACKUP_BACKUP_INT_H

#include "backup/backup.h"

enum { BACKUP_FULL_MAX = 768 };

/* Calls fn with the file's bytes, piece by piece. Blocks. */
MUST_CHECK
int backup_each_piece(struct env *env, const char *path,
                      int (*fn)(void *arg, struct slice piece, uint64_t offset), void *arg);
/* Durable, but for its name. Blocks. */
MUST_CHECK
int backup_copy_file(struct env *env, const char *from, const char *to);

#endif
