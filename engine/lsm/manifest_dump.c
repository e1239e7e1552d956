/* A manifest file in words.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "engine/lsm/lsm_int.h"
#include "engine/lsm/manifest_int.h"

enum { LINE_MAX_BYTES = 1024 };

struct dump {
    void (*line)(void *arg, const char *text);
    void *arg;
};

static void
dump_record(const struct dump *d, const struct manifest_record *record)
{
    struct manifest_item item;
    struct reader r;
    char text[LINE_MAX_BYTES], words[LINE_MAX_BYTES - 16];

    snprintf(text, sizeof text, "edit %llu: %u items, %zu bytes",
             (unsigned long long)record->sequence, record->item_count, record->payload.size);
    d->line(d->arg, text);
    rd_init(&r, record->payload.data, record->payload.size);
    while (manifest_item_next(&r, &item)) {
        lsm_item_print(item.type, item.key, item.value, words, sizeof words);
        snprintf(text, sizeof text, "  %s %s", item.removed ? "-" : "+", words);
        d->line(d->arg, text);
    }
    if (!rd_ok(&r))
        d->line(d->arg, "  (what follows in this edit is damaged)");
}

int
manifest_dump(struct env *env, const char *path, void (*line)(void *arg, const char *text),
              void *arg)
{
    struct dump d = { .line = line, .arg = arg };
    struct manifest_record record;
    struct manifest_reader reader;
    uint8_t *data;
    size_t size;
    int rc = manifest_read_file(env, path, &data, &size);

    if (rc != 0)
        return rc;
    rc = manifest_reader_init(&reader, data, size);
    while (rc == 0) {
        rc = manifest_reader_next(&reader, &record);
        if (rc == 0)
            dump_record(&d, &record);
    }
    xfree(data);
    return rc == ERR_END ? 0 : rc;
}
