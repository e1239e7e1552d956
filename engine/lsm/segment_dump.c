/* Printing a segment in words.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/lsm/segment_int.h"

#include <stdarg.h>
#include <stdio.h>

enum { CACHE_BYTES = 1 << 20, KEY_SHOWN = 32, VALUE_SHOWN = 24 };

struct dump {
    struct segment *segment;
    void (*line)(void *arg, const char *text);
    void *arg;
    bool with_versions;
};

static void PRINTF_LIKE(2, 3) print(struct dump *d, const char *fmt, ...)
{
    char text[512];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    d->line(d->arg, text);
}

/* Printable bytes as they are, others as \xx. */
static const char *
show(struct slice s, size_t most, char *out, size_t cap)
{
    size_t n = 0;

    out[0] = '\0';
    for (size_t i = 0; i < s.size && i < most && n + 8 < cap; i++)
        n += (size_t)snprintf(
            out + n, cap - n,
            s.data[i] > ' ' && s.data[i] < 127 && s.data[i] != '\\' ? "%c" : "\\%02x", s.data[i]);
    if (s.size > most)
        snprintf(out + n, cap - n, "...");
    return out;
}

static const char *
show_stamp(stamp_t s, char *out, size_t cap)
{
    if (stamp_is_txid(s))
        snprintf(out, cap, "txid %u.%lu", txid_incarnation(s), txid_counter(s));
    else
        snprintf(out, cap, "scn %lu", s);
    return out;
}

static void
dump_props(struct dump *d)
{
    const struct segment_props *p = &d->segment->props;
    const struct seg_footer *f = &d->segment->footer;
    char lo[160], hi[160];

    print(d, "segment %lu.%016lx: %s, tree %lu, branch %u, %lu bytes", p->id.file, p->id.nonce,
          p->kind == SEGMENT_UNDO ? "undo" : "main", p->tree, p->tag, p->file_bytes);
    print(d, "keys %s to %s", show(p->key_min, KEY_SHOWN, lo, sizeof lo),
          show(p->key_max, KEY_SHOWN, hi, sizeof hi));
    print(d, "%lu versions of %lu keys, %lu deletes, %lu unresolved", p->version_count,
          p->key_count, p->delete_count, p->unresolved_count);
    if (p->scn_min <= p->scn_max)
        print(d, "scn %lu to %lu", p->scn_min, p->scn_max);
    if (p->superseded_min <= p->superseded_max)
        print(d, "superseded %lu to %lu", p->superseded_min, p->superseded_max);
    for (size_t i = 0; i < p->txid_count; i++)
        print(d, "names %s", show_stamp(p->txids[i], lo, sizeof lo));
    print(d, "%lu data blocks, %s, %lu bytes raw, %lu stored", p->block_count, codec_name(p->codec),
          p->raw_bytes, p->stored_bytes);
    print(d, "index: %d level(s), top at %lu; filter: %u bytes%s; dictionary: %u bytes", f->levels,
          f->index.offset, f->filter.size, d->segment->filter_bad ? " (damaged)" : "",
          f->dict.size);
}

static void
dump_versions(struct dump *d, const struct block *b)
{
    struct block_iter it;
    char key[160], value[120], stamp[64], until[40];

    block_iter_init(&it);
    block_iter_set(&it, b);
    for (block_iter_first(&it); block_iter_valid(&it); block_iter_next(&it)) {
        const struct version_ref *v = &it.v;

        until[0] = '\0';
        if (v->superseded != 0)
            snprintf(until, sizeof until, " until %lu", v->superseded);
        print(d, "  %s %s seq %lu%s %s%s", show(v->key, KEY_SHOWN, key, sizeof key),
              show_stamp(v->stamp, stamp, sizeof stamp), v->seq, until,
              v->kind == VERSION_DELETE       ? "delete"
              : v->kind == VERSION_PUT_NO_KEY ? "put-no-key "
                                              : "put ",
              show(v->value, VALUE_SHOWN, value, sizeof value));
    }
    block_iter_fini(&it);
}

MUST_CHECK
static int
dump_index(struct dump *d, const struct block *index)
{
    char key[160];

    for (uint32_t i = 0; i < index->count; i++) {
        struct block *b;
        int rc;

        print(d, "data block at %lu, %u bytes, up to %s%s", index->offset[i], index->bytes[i],
              show(index_key(index, i), KEY_SHOWN, key, sizeof key),
              index->last[i] != 0 ? " and on" : "");
        if (!d->with_versions)
            continue;
        rc = seg_block(d->segment, index_handle(index, i), SEG_BLOCK_DATA, SEG_NO_FILL, &b);
        if (rc != 0)
            return rc;
        dump_versions(d, b);
        seg_unpin(b);
    }
    return 0;
}

MUST_CHECK
static int
dump_all(struct dump *d)
{
    int rc = 0;

    dump_props(d);
    for (uint32_t i = 0; rc == 0 && i < seg_index_count(d->segment); i++) {
        struct block *index;

        rc = seg_index(d->segment, i, SEG_NO_FILL, &index);
        if (rc != 0)
            break;
        if (d->segment->footer.levels == 2)
            print(d, "index block at %lu, %u bytes", d->segment->top->offset[i],
                  d->segment->top->bytes[i]);
        rc = dump_index(d, index);
        seg_index_unpin(d->segment, index);
    }
    return rc;
}

/* The number of the file, which a dump takes as it finds it. */
MUST_CHECK
static int
peek_id(struct env *env, const char *path, struct segment_id *id)
{
    uint8_t header[SEG_HEADER_SIZE];
    struct env_file *f;
    size_t got = 0;
    int rc = env_open(env, path, ENV_READ, &f);

    if (rc != 0)
        return rc;
    rc = env_pread(f, header, sizeof header, 0, &got);
    env_close(f);
    if (rc == 0 && got != sizeof header)
        rc = DIAG(ERR_CORRUPT, "\"%s\" is too short for a segment", path);
    return rc != 0 ? rc : seg_header_decode(header, id);
}

int
segment_dump(struct env *env, const char *path, bool with_versions,
             void (*line)(void *arg, const char *text), void *arg)
{
    struct segment_env se = { .env = env };
    struct dump d = { .line = line, .arg = arg, .with_versions = with_versions };
    struct segment_id id = { 0, 0 };
    int rc = peek_id(env, path, &id);

    if (rc != 0)
        return rc;
    se.cache = cache_new(env, CACHE_BYTES);
    se.codecs = codec_pool_new(env);
    rc = segment_open(&se, path, id, &d.segment);
    if (rc == 0) {
        rc = dump_all(&d);
        segment_unref(d.segment);
    }
    cache_free(se.cache);
    codec_pool_free(se.codecs);
    return rc;
}
