/* The simulated disks: what power cuts and ordered faults do to files and names.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/mem.h"
#include "engine/base/sim.h"
#include "engine/base/task.h"
#include "tests/support/sim_test.h"

static struct sim *sim;

static void
put(struct env_file *f, const void *data, size_t size, uint64_t offset)
{
    if (env_pwrite(f, data, size, offset) != 0) /* an assertion that holds costs a system call */
        ck_abort();
}

static struct env_file *
open_file(const char *path, int flags)
{
    struct env_file *f;

    ck_assert_int_eq(env_open(env_self(), path, flags | ENV_READ | ENV_WRITE, &f), 0);
    return f;
}

static void
run_node(struct env *node, void (*fn)(void *arg), void *arg)
{
    sim_test_run_node(sim, node, fn, arg);
}

/* ---- files and power cuts ------------------------------------------------------------------ */

enum { SECTORS = 64, SECTOR = 512, HISTORY = 400 };

/* What each sector may hold after a cut: the value at the last sync, and all written since. */
struct file_model {
    uint8_t now[SECTORS], synced[SECTORS];
    uint8_t since[SECTORS][HISTORY];
    int since_count[SECTORS];
    bool is_dsync;
    int rounds;
};

static void
model_write(struct file_model *m, int at, int count, uint8_t value)
{
    for (int s = at; s < at + count; s++) {
        m->now[s] = value;
        if (m->is_dsync) {
            m->synced[s] = value;
            m->since_count[s] = 0;
        } else {
            m->since[s][m->since_count[s]++ % HISTORY] = value;
        }
    }
}

static void
model_sync(struct file_model *m)
{
    memcpy(m->synced, m->now, sizeof m->now);
    memset(m->since_count, 0, sizeof m->since_count);
}

static void
writer_main(void *arg)
{
    struct file_model *m = arg;
    struct env_file *f = open_file("/data", m->is_dsync ? ENV_DSYNC : 0);
    uint8_t buf[SECTORS * SECTOR];

    for (int i = 0; i < m->rounds; i++) {
        int at = (int)(env_random_u64(env_self()) % SECTORS);
        int count = 1 + (int)(env_random_u64(env_self()) % (uint64_t)(SECTORS - at));
        uint8_t value = (uint8_t)(1 + env_random_u64(env_self()) % 255);

        memset(buf, value, (size_t)count * SECTOR);
        put(f, buf, (size_t)count * SECTOR, (uint64_t)at * SECTOR);
        model_write(m, at, count, value);
        if (!m->is_dsync && env_random_u64(env_self()) % 8 == 0) {
            ck_assert_int_eq(env_sync(f), 0);
            model_sync(m);
        }
    }
    sim_node_crash(env_self());
}

static bool
sector_may_be(const struct file_model *m, int s, uint8_t value)
{
    if (value == m->synced[s])
        return true;
    for (int i = 0; i < m->since_count[s] && i < HISTORY; i++)
        if (m->since[s][i] == value)
            return true;
    return false;
}

struct cut_stats {
    int lost, kept, torn;
};

/* The reader's result becomes what the disk now holds for good. */
static void
reader_main(void *arg)
{
    struct file_model *m = arg;
    struct env_file *f = open_file("/data", 0);
    uint8_t buf[SECTORS * SECTOR];
    size_t got;

    ck_assert_int_eq(env_pread(f, buf, sizeof buf, 0, &got), 0);
    ck_assert_uint_eq(got, sizeof buf);
    for (int s = 0; s < SECTORS; s++) {
        uint8_t value = buf[s * SECTOR];

        if (memcmp(buf + s * SECTOR, buf + s * SECTOR + 1, SECTOR - 1) != 0 ||
            !sector_may_be(m, s, value))
            ck_abort_msg("sector %d holds %u", s, value);
        m->now[s] = value;
    }
    env_close(f);
}

static void
create_main(void *arg)
{
    struct file_model *m = arg;
    struct env_file *f = open_file("/data", ENV_CREATE);
    uint8_t zeros[SECTORS * SECTOR] = { 0 };

    memset(m, 0, sizeof *m);
    put(f, zeros, sizeof zeros, 0);
    ck_assert_int_eq(env_sync(f), 0);
    env_close(f);
    ck_assert_int_eq(env_sync_dir(env_self(), "/"), 0);
}

static void
cut_rounds(struct env *node, bool is_dsync, struct cut_stats *stats)
{
    struct file_model m;

    run_node(node, create_main, &m);
    m.is_dsync = is_dsync;
    for (int i = 0; i < 60; i++) {
        uint8_t before[SECTORS];

        m.rounds = 1 + (int)sim_random(sim, 40);
        run_node(node, writer_main, &m);
        memcpy(before, m.now, sizeof before);
        run_node(node, reader_main, &m);
        for (int s = 0; s < SECTORS; s++) {
            stats->kept += m.now[s] == before[s];
            stats->lost += m.now[s] != before[s];
        }
        model_sync(&m);
    }
}

/* SIM-3: what was synced survives every power cut; what was not may be lost, sector by sector. */
START_TEST(test_power_cuts_lose_only_what_was_not_synced)
{
    struct env *node = sim_node_new(sim, "n");
    struct cut_stats stats = { 0 };

    cut_rounds(node, false, &stats);
    ck_assert_int_gt(stats.lost, 0);
    ck_assert_int_gt(stats.kept, 0);
}
END_TEST

START_TEST(test_dsync_writes_are_durable)
{
    struct env *node = sim_node_new(sim, "n");
    struct cut_stats stats = { 0 };

    cut_rounds(node, true, &stats);
    ck_assert_int_eq(stats.lost, 0);
}
END_TEST

static uint8_t early_found;

static void
early_write_main(void *arg)
{
    struct env_file *f = open_file("/data", ENV_DSYNC);

    put(f, "x", 1, 0);
    if (*(bool *)arg)
        env_sleep_us(env_self(), 1000); /* as long as a sync takes, and more */
    sim_node_crash(env_self());
}

static void
early_read_main(void *arg)
{
    struct env_file *f = open_file("/data", ENV_DSYNC);
    size_t got;

    (void)arg;
    ck_assert_int_eq(env_pread(f, &early_found, 1, 0, &got), 0);
    put(f, "", 1, 0);
    ck_assert_int_eq(env_sync(f), 0);
    env_close(f);
}

/* A disk that says too early that a write is safe: it is so soon, and until then may be lost. */
START_TEST(test_early_writes_are_lost)
{
    const struct sim_fault early = { .ops = SIM_OP_WRITE, .kind = SIM_FAULT_EARLY };
    struct env *node = sim_node_new(sim, "n");
    struct file_model m;
    int lost = 0;

    run_node(node, create_main, &m);
    (void)sim_fault_add(node, &early);
    for (int i = 0; i < 40; i++) {
        bool waits = i % 2 == 1;

        run_node(node, early_write_main, &waits);
        run_node(node, early_read_main, NULL);
        lost += early_found != 'x';
        ck_assert(early_found == 'x' || !waits);
    }
    ck_assert_int_gt(lost, 0);
}
END_TEST

struct names {
    bool sync_file, sync_dir, kill;
};

static void
write_text(const char *path, const char *text, bool sync)
{
    struct env_file *f = open_file(path, ENV_CREATE);

    put(f, text, strlen(text), 0);
    if (sync)
        ck_assert_int_eq(env_sync(f), 0);
    env_close(f);
}

static void
names_first_main(void *arg)
{
    (void)arg;
    ck_assert_int_eq(env_mkdir(env_self(), "/d"), 0);
    write_text("/d/current", "old", true);
    ck_assert_int_eq(env_sync_dir(env_self(), "/"), 0);
    ck_assert_int_eq(env_sync_dir(env_self(), "/d"), 0);
}

/* The classic replacement of a file, whole or with a step left out. */
static void
names_replace_main(void *arg)
{
    const struct names *n = arg;

    write_text("/d/current.new", "new", n->sync_file);
    ck_assert_int_eq(env_rename(env_self(), "/d/current.new", "/d/current"), 0);
    if (n->sync_dir)
        ck_assert_int_eq(env_sync_dir(env_self(), "/d"), 0);
    if (n->kill)
        sim_node_kill(env_self());
    sim_node_crash(env_self());
}

static char text_found[16];

static void
names_read_main(void *arg)
{
    struct env_file *f = open_file("/d/current", 0);
    size_t got;

    (void)arg;
    memset(text_found, 0, sizeof text_found);
    ck_assert_int_eq(env_pread(f, text_found, 3, 0, &got), 0);
    env_close(f);
}

static void
replace_often(const struct names *how, int *old_count, int *new_count, int *other_count)
{
    *old_count = *new_count = *other_count = 0;
    for (int i = 0; i < 100; i++) {
        struct names n = *how;
        char name[16];
        struct env *node;

        sim_free(sim);
        sim = sim_new((uint64_t)i);
        snprintf(name, sizeof name, "n%d", i);
        node = sim_node_new(sim, name);
        run_node(node, names_first_main, NULL);
        run_node(node, names_replace_main, &n);
        run_node(node, names_read_main, NULL);
        *old_count += strcmp(text_found, "old") == 0;
        *new_count += strcmp(text_found, "new") == 0;
    }
    *other_count = 100 - *old_count - *new_count;
}

/* SIM-4: a name is durable after the sync of its folder, and not surely before. */
START_TEST(test_names_need_their_folder_synced)
{
    struct names whole = { .sync_file = true, .sync_dir = true };
    struct names no_dir = { .sync_file = true };
    struct names no_file = { .sync_dir = true };
    struct names killed = { .kill = true };
    int old_count, new_count, other;

    replace_often(&whole, &old_count, &new_count, &other);
    ck_assert_int_eq(new_count, 100);
    replace_often(&no_dir, &old_count, &new_count, &other);
    ck_assert(old_count > 0 && new_count > 0 && other == 0);
    replace_often(&no_file, &old_count, &new_count, &other);
    ck_assert(other > 0);
    replace_often(&killed, &old_count, &new_count, &other);
    ck_assert_int_eq(new_count, 100);
}
END_TEST

static void
half_made_main(void *arg)
{
    (void)arg;
    ck_assert_int_eq(env_mkdir(env_self(), "/above"), 0);
    ck_assert_int_eq(env_mkdir(env_self(), "/above/d"), 0);
    sim_node_kill(env_self());
}

static void
make_again_main(void *arg)
{
    (void)arg;
    ck_assert_int_eq(env_make_dir(env_self(), "/above/d/"), 0);
    sim_node_crash(env_self());
}

static void
is_there_main(void *arg)
{
    bool *is_there = arg;

    *is_there = env_is_dir(env_self(), "/above/d");
}

/* SIM-4: a folder that an attempt before this one made is not made before its name is durable. */
START_TEST(test_folders_made_by_halves)
{
    for (uint64_t i = 0; i < 30; i++) {
        struct env *node;
        bool is_there = false;

        sim_free(sim);
        sim = sim_new(i);
        node = sim_node_new(sim, "a");
        run_node(node, half_made_main, NULL);
        run_node(node, make_again_main, NULL);
        run_node(node, is_there_main, &is_there);
        ck_assert(is_there);
    }
}
END_TEST

static int
collect_name(void *arg, const char *name)
{
    char *all = arg;

    snprintf(all + strlen(all), 100 - strlen(all), "%s ", name);
    return 0;
}

static void
folder_main(void *arg)
{
    struct env *env = env_self();
    struct env_file *f, *lock;
    uint64_t size;
    char all[100] = "";

    (void)arg;
    ck_assert_int_eq(env_mkdir(env, "/d"), 0);
    ck_assert_int_eq(env_mkdir(env, "/d"), ERR_FILE_EXISTS);
    ck_assert_int_eq(env_mkdir(env, "/none/d"), ERR_NO_FILE);
    ck_assert(env_is_dir(env, "/d") && env_exists(env, "/d") && !env_exists(env, "/e"));
    write_text("/d/b", "bee", false);
    write_text("/d/a", "ay", false);
    ck_assert_int_eq(env_link(env, "/d/b", "/d/c"), 0);
    ck_assert_int_eq(env_list_dir(env, "/d", collect_name, all), 0);
    ck_assert_str_eq(all, "a b c ");
    ck_assert_int_eq(env_rmdir(env, "/d"), ERR_IO);
    ck_assert_int_eq(env_unlink(env, "/d/b"), 0);
    ck_assert_int_eq(env_unlink(env, "/d/b"), ERR_NO_FILE);
    ck_assert_int_eq(env_open(env, "/d/c", ENV_READ | ENV_WRITE | ENV_CREATE | ENV_EXCLUSIVE, &f),
                     ERR_FILE_EXISTS);
    f = open_file("/d/c", 0);
    ck_assert_int_eq(env_allocate(f, 10000), 0);
    ck_assert_int_eq(env_size(f, &size), 0);
    ck_assert_uint_eq(size, 10000);
    ck_assert_int_eq(env_truncate(f, 1), 0);
    ck_assert_int_eq(env_size(f, &size), 0);
    ck_assert_uint_eq(size, 1);
    env_close(f);
    ck_assert_int_eq(env_lock_file(env, "/d/lock", &lock), 0);
    ck_assert_int_eq(env_lock_file(env, "/d/lock", &f), ERR_OBJECT_IN_USE);
    env_close(lock);
    ck_assert_int_eq(env_lock_file(env, "/d/lock", &lock), 0);
    env_close(lock);
}

START_TEST(test_folders)
{
    struct env *node = sim_node_new(sim, "n");

    run_node(node, folder_main, NULL);
    ck_assert_uint_eq(sim_node_leaked_bytes(node), 0);
}
END_TEST

/* ---- faults -------------------------------------------------------------------------------- */

static int sync_failed_at, write_failed_at;

static void
faulty_main(void *arg)
{
    struct env_file *f = open_file("/data", ENV_CREATE);
    uint8_t page[4096];

    (void)arg;
    sync_failed_at = write_failed_at = -1;
    memset(page, 7, sizeof page);
    for (int i = 0; i < 10; i++) {
        int rc = env_pwrite(f, page, sizeof page, (uint64_t)i * sizeof page);

        if (rc != 0) {
            ck_assert_int_eq(rc, ERR_DISK_FULL);
            write_failed_at = i;
            break;
        }
        rc = env_sync(f);
        if (rc != 0) {
            ck_assert_int_eq(rc, ERR_IO);
            sync_failed_at = i;
        }
    }
    env_close(f);
}

START_TEST(test_faults_by_rule)
{
    struct env *node = sim_node_new(sim, "n");
    struct sim_fault eio = {
        .ops = SIM_OP_SYNC, .kind = SIM_FAULT_EIO, .path = "data", .skip = 3, .count = 1
    };
    struct sim_fault flip = { .ops = SIM_OP_READ, .kind = SIM_FAULT_BIT_FLIP, .count = 1 };
    struct sim_fault misread = { .ops = SIM_OP_READ, .kind = SIM_FAULT_MISREAD, .count = 1 };
    uint8_t page[4096], clean[4096];
    struct env_file *f;
    size_t got, wrong = 0;
    int handle = sim_fault_add(node, &eio);

    run_node(node, faulty_main, NULL);
    ck_assert_int_eq(sync_failed_at, 3);
    ck_assert_uint_eq(sim_fault_hits(node, handle), 1);
    sim_disk_set_capacity(node, 10 * 4096);
    ck_assert_int_eq(env_unlink(node, "/data"), 0);
    ck_assert_int_eq(env_sync_dir(node, "/"), 0);
    sim_disk_set_capacity(node, 5 * 4096);
    run_node(node, faulty_main, NULL);
    ck_assert_int_eq(write_failed_at, 5);
    sim_fault_clear(node);
    sim_fault_add(node, &flip);
    ck_assert_int_eq(env_open(node, "/data", ENV_READ, &f), 0);
    ck_assert_int_eq(env_pread(f, page, sizeof page, 0, &got), 0);
    memset(clean, 7, sizeof clean);
    for (size_t i = 0; i < sizeof page; i++)
        wrong += page[i] != clean[i];
    ck_assert_uint_eq(wrong, 1);
    memcpy(clean, page, sizeof clean); /* as it is on the disk from here on */
    sim_fault_add(node, &misread);
    ck_assert_int_eq(env_pread(f, page, sizeof page, 0, &got), 0);
    ck_assert_mem_ne(page, clean, sizeof page);
    ck_assert_int_eq(env_pread(f, page, sizeof page, 0, &got), 0);
    ck_assert_mem_eq(page, clean, sizeof page);
    env_close(f);
}
END_TEST

/* A power cut at each operation in turn of the whole replacement: old or new, never else. */
static void
cut_at_each(struct sim *world, struct sim_test_countdown *c, void *arg)
{
    struct names whole = { .sync_file = true, .sync_dir = true };
    struct env *node = sim_node_new(world, "n");
    int *old_count = arg;

    sim_test_run_node(world, node, names_first_main, NULL);
    sim_test_arm(c, node);
    sim_test_run_node(world, node, names_replace_main, &whole);
    sim_fault_remove(node, c->handle);
    sim_test_run_node(world, node, names_read_main, NULL);
    *old_count += strcmp(text_found, "old") == 0;
    ck_assert(strcmp(text_found, "new") == 0 ||
              (sim_test_has_fired(c) && strcmp(text_found, "old") == 0));
}

START_TEST(test_a_cut_at_each_operation)
{
    struct sim_fault cut = { .ops = SIM_OP_ANY, .kind = SIM_FAULT_CRASH };
    int old_count = 0;

    ck_assert_int_eq(sim_test_count_down(&cut, 0, cut_at_each, &old_count), 5);
    ck_assert_int_gt(old_count, 0);
}
END_TEST

/* ---- the suite ----------------------------------------------------------------------------- */

static void
setup(void)
{
    sim = sim_new(42);
}

static void
teardown(void)
{
    sim_free(sim);
    ck_assert(task_self()->env == NULL);
}

int
main(void)
{
    Suite *suite = suite_create("sim_disk");
    TCase *tc = tcase_create("sim_disk");
    SRunner *sr;
    int failed;

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, test_power_cuts_lose_only_what_was_not_synced);
    tcase_add_test(tc, test_dsync_writes_are_durable);
    tcase_add_test(tc, test_early_writes_are_lost);
    tcase_add_test(tc, test_names_need_their_folder_synced);
    tcase_add_test(tc, test_folders_made_by_halves);
    tcase_add_test(tc, test_a_cut_at_each_operation);
    tcase_add_test(tc, test_folders);
    tcase_add_test(tc, test_faults_by_rule);
    suite_add_tcase(suite, tc);
    sr = srunner_create(suite);
    srunner_set_fork_status(sr, CK_NOFORK);
    srunner_run_all(sr, CK_NORMAL);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed != 0;
}
