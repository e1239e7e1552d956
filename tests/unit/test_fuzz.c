/* Every fuzz target (tests/fuzz) over its seeds, over what fuzzing has found (tests/fuzz/found),
 * and over simple mutations of both from a fixed seed: the same run each time. FUZZ_ROUNDS:
 * mutations of each input; FUZZ_TARGET: one target alone; FUZZ_FILE: one file alone.
 *
 * PROTO-3, SHIP-1, BASE-8, TYPES-3, SEG-1: any bytes give a value or an error.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <check.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/base/mem.h"
#include "tests/fuzz/fuzz.h"

enum { INPUT_MAX = 1 << 16, INPUTS_MAX = 256 };

struct fuzz_seeds {
    struct slice inputs[INPUTS_MAX];
    size_t count;
};

void
fuzz_seed(struct fuzz_seeds *to, struct slice bytes)
{
    uint8_t *copy = xmalloc(bytes.size + 1);

    CHECK(to->count < INPUTS_MAX && bytes.size <= INPUT_MAX);
    if (bytes.size > 0)
        memcpy(copy, bytes.data, bytes.size);
    to->inputs[to->count++] = slice(copy, bytes.size);
}

static void
read_file(struct fuzz_seeds *to, const char *path)
{
    uint8_t *buffer = xmalloc(INPUT_MAX);
    FILE *f = fopen(path, "rb");
    size_t size;

    ck_assert_msg(f != NULL, "%s cannot be read", path);
    size = fread(buffer, 1, INPUT_MAX, f);
    fclose(f);
    fuzz_seed(to, slice(buffer, size));
    xfree(buffer);
}

/* What fuzzing found lies beside the targets' sources: found/TARGET-anything. */
static void
read_found(struct fuzz_seeds *to, const char *target)
{
    static const char folder[] = "tests/fuzz/found";
    size_t size = strlen(target);
    DIR *d = opendir(folder);

    for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) {
        char path[512];

        if (strncmp(e->d_name, target, size) != 0 || e->d_name[size] != '-')
            continue;
        snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        read_file(to, path);
    }
    if (d != NULL)
        closedir(d);
}

static uint64_t
dice(uint64_t *state, uint64_t below)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return (z ^ z >> 31) % below;
}

/* One change of `bytes`, which have room for INPUT_MAX; gives the new size. */
static size_t
mutate(uint8_t *bytes, size_t size, const struct fuzz_seeds *seeds, uint64_t *state)
{
    static const uint8_t telling[] = { 0, 1, 0x7f, 0x80, 0xff, '\'', '(', '%' };
    size_t at = dice(state, size + 1), n = 1 + dice(state, 8);
    struct slice other = seeds->inputs[dice(state, seeds->count)];

    switch (dice(state, 6)) {
    case 0: /* cut off */
        return at;
    case 1: /* bytes lost */
        n = n > size - at ? size - at : n;
        memmove(bytes + at, bytes + at + n, size - at - n);
        return size - n;
    case 2: /* bytes repeated */
        n = n > size - at ? size - at : n;
        if (size + n > INPUT_MAX)
            return size;
        memmove(bytes + at + n, bytes + at, size - at);
        return size + n;
    case 3: /* goes on as another seed does */
        at = at > other.size ? other.size : at;
        if (other.size > 0)
            memcpy(bytes + at, other.data + at, other.size - at);
        return other.size;
    default: /* a bit, or a byte */
        if (size == 0)
            return 0;
        at %= size;
        if (dice(state, 2) == 0)
            bytes[at] ^= (uint8_t)(1u << dice(state, 8));
        else
            bytes[at] = telling[dice(state, sizeof telling)];
        return size;
    }
}

/* In memory of its exact size, so that a step beyond it is seen. */
static void
run_exact(const struct fuzz_target *t, const uint8_t *bytes, size_t size)
{
    uint8_t *exact = malloc(size > 0 ? size : 1);

    ck_assert_ptr_nonnull(exact);
    memcpy(exact, bytes, size);
    t->run(slice(exact, size));
    free(exact);
}

static unsigned long
rounds(const struct fuzz_target *t)
{
    const char *given = getenv("FUZZ_ROUNDS");

    if (given != NULL)
        return strtoul(given, NULL, 10);
    return strcmp(t->name, "server") == 0 ? 20 : 100;
}

static void
run_target(const struct fuzz_target *t)
{
    struct fuzz_seeds seeds = { .count = 0 };
    uint8_t *buffer = xmalloc(INPUT_MAX);
    uint64_t state = 1;

    t->seeds(&seeds);
    read_found(&seeds, t->name);
    ck_assert_uint_gt(seeds.count, 0);
    for (size_t i = 0; i < seeds.count; i++) {
        run_exact(t, seeds.inputs[i].data, seeds.inputs[i].size);
        for (unsigned long n = rounds(t); n > 0; n--) {
            size_t size = seeds.inputs[i].size;

            memcpy(buffer, seeds.inputs[i].data, size);
            for (uint64_t k = 1 + dice(&state, 3); k > 0; k--)
                size = mutate(buffer, size, &seeds, &state);
            run_exact(t, buffer, size);
        }
    }
    for (size_t i = 0; i < seeds.count; i++)
        xfree((void *)(uintptr_t)seeds.inputs[i].data);
    xfree(buffer);
}

START_TEST(test_target)
{
    const struct fuzz_target *t = fuzz_targets[_i];
    const char *only = getenv("FUZZ_TARGET"), *file = getenv("FUZZ_FILE");

    if (only != NULL && strcmp(only, t->name) != 0)
        return;
    if (file != NULL) {
        struct fuzz_seeds one = { .count = 0 };

        read_file(&one, file);
        run_exact(t, one.inputs[0].data, one.inputs[0].size);
        xfree((void *)(uintptr_t)one.inputs[0].data);
        return;
    }
    run_target(t);
}
END_TEST

int
main(void)
{
    Suite *s = suite_create("fuzz targets");
    TCase *t = tcase_create("all");
    SRunner *r;
    int failed;

    tcase_set_timeout(t, 120);
    tcase_add_loop_test(t, test_target, 0, (int)fuzz_target_count);
    suite_add_tcase(s, t);
    r = srunner_create(s);
    srunner_set_fork_status(r, CK_NOFORK);
    srunner_run_all(r, CK_NORMAL);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
