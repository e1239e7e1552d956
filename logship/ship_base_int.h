/* What the files of a base copy's taking side share.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef LOGSHIP_SHIP_BASE_INT_H
#define LOGSHIP_SHIP_BASE_INT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/checksum.h"
#include "engine/base/err.h"

struct env;
struct env_file;

/* A segment: as the list and the manifest name it. */
struct base_file {
    uint64_t id, size;
    struct hash128 hash;
};

struct base_open {
    struct env *env;
    const char *dir, *reuse_dir; /* the latter: NULL: none */
    const struct base_file *wanted;
    bool is_whole;         /* it is there, nothing is to be fetched */
    struct env_file *file; /* else: open … */
    uint64_t offset;       /* … and from where it is to be fetched */
};
/* Both are jobs: struct base_open. */
MUST_CHECK
int base_file_open(void *arg);
/* After fetching: makes it durable and compares it (COPY-4). ERR_CORRUPT: it is empty again, and
 * offset is 0. */
MUST_CHECK
int base_file_check(void *arg);
/* Takes what is not on the list out of DIR/segments and makes the rest of the names durable. */
MUST_CHECK
int base_files_tidy(struct env *env, const char *dir, const struct base_file *files, size_t count);

#endif
