/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fuzz/fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define FUZZ_ADDRESS(name) &fuzz_##name,
const struct fuzz_target *const fuzz_targets[] = { FUZZ_TARGET_LIST(FUZZ_ADDRESS) };
const size_t fuzz_target_count = sizeof fuzz_targets / sizeof fuzz_targets[0];

const struct fuzz_target *
fuzz_target_named(const char *name)
{
    for (size_t i = 0; i < fuzz_target_count; i++)
        if (strcmp(fuzz_targets[i]->name, name) == 0)
            return fuzz_targets[i];
    return NULL;
}

uint8_t
fuzz_byte(struct slice *in)
{
    uint8_t b;

    if (in->size == 0)
        return 0;
    b = *in->data;
    *in = slice(in->data + 1, in->size - 1);
    return b;
}

int
fuzz_patch(uint8_t *bytes, size_t size, struct slice in)
{
    int count = 0;

    for (; in.size >= 4 && size > 0; in = slice(in.data + 4, in.size - 4), count++) {
        size_t at = load_u16(in.data) % size;
        uint8_t *to = bytes + (in.data[2] & 1 ? at : size - 1 - at);

        if (in.data[2] & 2)
            *to = in.data[3];
        else
            *to = (uint8_t)(*to + in.data[3]);
    }
    return count;
}

static char dir[64];
static pid_t owner;

static void
remove_dir(void)
{
    if (getpid() == owner && rmdir(dir) != 0)
        fprintf(stderr, "%s is not empty\n", dir);
}

const char *
fuzz_dir(void)
{
    if (dir[0] == '\0') {
        snprintf(dir, sizeof dir, "/tmp/redoubt-fuzz-XXXXXX");
        CHECK(mkdtemp(dir) != NULL);
        owner = getpid();
        atexit(remove_dir);
    }
    return dir;
}

void
fuzz_write_file(const char *path, struct slice bytes)
{
    FILE *f = fopen(path, "wb");

    CHECK(f != NULL && fwrite(bytes.data, 1, bytes.size, f) == bytes.size && fclose(f) == 0);
}
