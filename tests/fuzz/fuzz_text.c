/* Files of text: a backup's descriptor, redoubt.yaml.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "backup/backup.h"
#include "conf/conf.h"
#include "engine/base/mem.h"
#include "tests/fuzz/fuzz.h"

/* ---- a backup's descriptor ------------------------------------------------------------------ */

/* A byte: as it is, or its lines with a good checksum behind them. BACKUP-2: names are plain. */
static void
run_backup(struct slice in)
{
    bool mend = fuzz_byte(&in) & 1;
    struct backup b, again;
    struct writer w, text;

    wr_init(&w, 0);
    wr_init(&text, 0);
    wr_slice(&w, in);
    if (mend) {
        char line[32];
        int n = snprintf(line, sizeof line, "crc %08x\n", crc32c(0, w.data, w.size));

        wr_bytes(&w, line, (size_t)n);
    }
    if (backup_decode(wr_view(&w), &b) == 0) {
        for (uint32_t i = 0; i < b.file_count; i++)
            CHECK(b.files[i].path[0] != '/' && strstr(b.files[i].path, "..") == NULL);
        backup_encode(&text, &b);
        CHECK(backup_decode(wr_view(&text), &again) == 0 && again.file_count == b.file_count);
        backup_fini(&again);
    }
    backup_fini(&b);
    wr_fini(&w);
    wr_fini(&text);
}

static void
seed_backup(struct fuzz_seeds *to)
{
    struct lineage_entry first = { 1, 0, 0, 0, { 4096 }, 11 };
    struct backup_file file = { "segments/12.seg", 4096, { 1, 2 } };
    struct backup b;
    struct writer w;

    backup_init(&b);
    b.database_id = 9;
    b.inc = 1;
    b.from = (struct redo_pos){ .inc = 1, .lsn = { 4096 } };
    b.end = (struct redo_pos){ .inc = 1, .lsn = { 9999 }, .scn = 5, .time_us = 6 };
    b.horizon = 1;
    CHECK(lineage_add(&b.lineage, &first) == 0);
    b.files = xmalloc(sizeof file);
    b.files[0] = file;
    b.file_count = b.file_cap = 1;
    wr_init(&w, 0);
    wr_u8(&w, 0);
    backup_encode(&w, &b);
    fuzz_seed(to, wr_view(&w));
    w.data[0] = 1;
    fuzz_seed(to, slice(w.data, w.size - 13));
    wr_fini(&w);
    backup_fini(&b);
}

const struct fuzz_target fuzz_backup = { "backup", run_backup, seed_backup };

/* ---- redoubt.yaml --------------------------------------------------------------------------- */

static void
run_conf(struct slice in)
{
    char *text = xmalloc(in.size + 1);
    int64_t number;
    struct conf *c;

    if (in.size > 0)
        memcpy(text, in.data, in.size);
    text[in.size] = '\0';
    if (conf_parse("f", text, in.size, &c) == 0) {
        CHECK(c->name != NULL && c->name[0] != '\0');
        conf_free(c);
    }
    (void)!conf_parse_size(text, &number);
    (void)!conf_parse_duration_us(text, &number);
    (void)conf_is_address(text);
    xfree(text);
}

static void
seed_conf(struct fuzz_seeds *to)
{
    static const char *const texts[] = {
        "64MB",
        "1.5h",
        "[::1]:7433",
        "name: A\nsql:\n  listen: [127.0.0.1:5433, \"[::1]:1\"]\n  auth:\n    remote: scram\n",
        "name: A\nmemory:\n  cache: 64MB\nretention:\n  time: 1h\nredo.ring: 8MB\n"
        "  sync: ANY 1 (B, C)\n",
        "name: &a A\nlog: {level: *a, destination: stderr}\n--- x\n",
    };
    struct writer w;

    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        fuzz_seed_text(to, texts[i]);
    wr_init(&w, 0);
    conf_write_sample(&w, "A", NULL, "h:1");
    fuzz_seed(to, wr_view(&w));
    wr_fini(&w);
}

const struct fuzz_target fuzz_conf = { "conf", run_conf, seed_conf };
