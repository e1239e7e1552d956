/* Fuzz targets: for each format that comes from a client, a peer, a disk or a file, one function
 * that takes any bytes at all. It must come back, whatever they are; what it decodes must mean the
 * same when it is encoded and decoded again; sanitizers watch the rest.
 *
 *   tests/fuzz/fuzz_main.c   libFuzzer: make fuzz
 *   tests/unit/test_fuzz.c   replays seeds, what was found (tests/fuzz/found) and simple mutations
 *
 * Checksums would keep a fuzzer at the door: targets whose format has them mend them first, or take
 * the input as a list of patches to good bytes (fuzz_patch).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include "engine/base/bytes.h"

struct fuzz_seeds;
void fuzz_seed(struct fuzz_seeds *to, struct slice bytes);
static inline void
fuzz_seed_text(struct fuzz_seeds *to, const char *text)
{
    fuzz_seed(to, slice_str(text));
}

struct fuzz_target {
    const char *name;
    void (*run)(struct slice in);
    void (*seeds)(struct fuzz_seeds *to); /* gives some to fuzz_seed */
};
#define FUZZ_TARGET_LIST(X)                                                                        \
    X(startup)                                                                                     \
    X(messages)                                                                                    \
    X(server)                                                                                      \
    X(scram)                                                                                       \
    X(sql)                                                                                         \
    X(type_text)                                                                                   \
    X(type_binary)                                                                                 \
    X(row)                                                                                         \
    X(key)                                                                                         \
    X(redo_records)                                                                                \
    X(redo_frame)                                                                                  \
    X(redo_file)                                                                                   \
    X(lineage)                                                                                     \
    X(segment)                                                                                     \
    X(manifest)                                                                                    \
    X(codec)                                                                                       \
    X(link)                                                                                        \
    X(role_message)                                                                                \
    X(role_register)                                                                               \
    X(role_durable)                                                                                \
    X(backup)                                                                                      \
    X(conf)
#define FUZZ_DECLARE(name) extern const struct fuzz_target fuzz_##name;
FUZZ_TARGET_LIST(FUZZ_DECLARE)
#undef FUZZ_DECLARE
extern const struct fuzz_target *const fuzz_targets[];
extern const size_t fuzz_target_count;
const struct fuzz_target *fuzz_target_named(const char *name); /* or NULL */

/* For the targets. */

/* Takes a byte off the input; 0 when nothing is left. */
uint8_t fuzz_byte(struct slice *in);
/* Four bytes of input a patch: u16 place | u8 what | u8 value. Places near the end can be named
 * from there. Gives how many patches were made. */
int fuzz_patch(uint8_t *bytes, size_t size, struct slice in);
/* A folder of the process for files, gone when it ends; made at the first call. */
const char *fuzz_dir(void);
void fuzz_write_file(const char *path, struct slice bytes);

#endif
