/* The way into libFuzzer: one program for all targets.
 *
 *   fuzz --target=NAME [libFuzzer's own options] [CORPUS FOLDER...]
 *   fuzz --list                 names of the targets
 *   fuzz --seeds=NAME FOLDER    writes the target's seeds there
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>

#include "tests/fuzz/fuzz.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct fuzz_target *target;

struct fuzz_seeds {
    const char *folder;
    int count;
};

void
fuzz_seed(struct fuzz_seeds *to, struct slice bytes)
{
    char path[512];

    snprintf(path, sizeof path, "%s/seed-%d", to->folder, to->count++);
    fuzz_write_file(path, bytes);
}

static const struct fuzz_target *
named(const char *name)
{
    const struct fuzz_target *t = fuzz_target_named(name);

    if (t == NULL) {
        fprintf(stderr, "no target %s; --list names them\n", name);
        exit(2);
    }
    return t;
}

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
    for (int i = 1; i < *argc; i++) {
        const char *arg = (*argv)[i];

        if (strncmp(arg, "--target=", 9) == 0) {
            target = named(arg + 9);
        } else if (strcmp(arg, "--list") == 0) {
            for (size_t k = 0; k < fuzz_target_count; k++)
                puts(fuzz_targets[k]->name);
            exit(0);
        } else if (strncmp(arg, "--seeds=", 8) == 0 && i + 1 < *argc) {
            named(arg + 8)->seeds(&(struct fuzz_seeds){ .folder = (*argv)[i + 1] });
            exit(0);
        }
    }
    if (target == NULL)
        named("");
    return 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    target->run(slice(data, size));
    return 0;
}
