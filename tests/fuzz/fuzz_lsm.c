/* The engine's files: segments, the manifest, compressed blocks.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "engine/base/env.h"
#include "engine/lsm/manifest_int.h"
#include "engine/lsm/segment_int.h"
#include "tests/fuzz/fuzz.h"

/* ---- segments ------------------------------------------------------------------------------- */

enum { SEG_VERSIONS = 400, SEG_BLOCKS_MAX = 64 };

/* A good segment of each codec, made once, with the places of its blocks. */
struct good_segment {
    uint8_t *bytes;
    size_t size;
    struct segment_id id;
    struct seg_handle blocks[SEG_BLOCKS_MAX];
    size_t block_count;
};
static struct good_segment good[CODEC_COUNT];
static struct env *env;
static struct codec_pool *codecs;
static char path[128];

static void
build(enum codec codec, struct segment_result *out)
{
    struct segment_build o = { .env = env,
                               .path = path,
                               .file = 1,
                               .nonce = 5,
                               .tree = 77,
                               .tag = 1,
                               .kind = SEGMENT_MAIN,
                               .codec = codec,
                               .block_bytes = 1000,
                               .filter_bits = 10,
                               .codecs = codecs };
    struct segment_builder *b;

    CHECK(segment_builder_new(&o, &b) == 0);
    for (unsigned i = 0; i < SEG_VERSIONS; i++) {
        char key[16], value[48];
        struct version_ref v = { .stamp = 1000 - i % 3 };

        snprintf(key, sizeof key, "key%05u", i / 3);
        snprintf(value, sizeof value, "value %u %u", i, i * 7919);
        v.key = slice_str(key);
        v.value = slice_str(value);
        v.kind = i % 11 == 0 ? VERSION_DELETE : VERSION_PUT;
        if (v.kind == VERSION_DELETE)
            v.value = slice(NULL, 0);
        CHECK(segment_builder_add(b, &v) == 0);
    }
    CHECK(segment_builder_finish(b, out) == 0);
}

static void
add_block(struct good_segment *g, struct seg_handle h)
{
    if (h.size > 0 && g->block_count < SEG_BLOCKS_MAX)
        g->blocks[g->block_count++] = h;
}

static void
find_blocks(struct good_segment *g, struct segment *s)
{
    const struct seg_footer *f = &s->footer;

    add_block(g, f->index);
    add_block(g, f->props);
    add_block(g, f->filter);
    add_block(g, f->dict);
    for (uint32_t i = 0; i < s->top->count; i++)
        add_block(g, index_handle(s->top, i));
    for (uint32_t i = 0; f->levels == 2 && i < s->top->count; i++) {
        struct block *index;

        CHECK(seg_index(s, i, SEG_NO_FILL, &index) == 0);
        for (uint32_t k = 0; k < index->count; k++)
            add_block(g, index_handle(index, k));
        seg_index_unpin(s, index);
    }
}

static struct segment_env
how_to_open(struct cache *cache)
{
    return (struct segment_env){ .env = env, .cache = cache, .codecs = codecs };
}

static const struct good_segment *
good_segment(enum codec codec)
{
    struct good_segment *g = &good[codec];
    struct segment_result r;
    struct segment_env se;
    struct cache *cache;
    struct segment *s;
    FILE *f;

    if (g->bytes != NULL)
        return g;
    if (env == NULL) {
        env = env_posix_new();
        codecs = codec_pool_new(env);
        snprintf(path, sizeof path, "%s/1.seg", fuzz_dir());
    }
    build(codec, &r);
    cache = cache_new(env, 1 << 20);
    se = how_to_open(cache);
    CHECK(segment_open(&se, path, r.id, &s) == 0);
    find_blocks(g, s);
    segment_unref(s);
    cache_free(cache);
    g->id = r.id;
    g->size = r.file_bytes;
    g->bytes = malloc(g->size);
    f = fopen(path, "rb");
    CHECK(g->bytes != NULL && f != NULL && fread(g->bytes, 1, g->size, f) == g->size);
    fclose(f);
    CHECK(unlink(path) == 0);
    return g;
}

/* Every way of reading. */
static void
read_segment(struct segment *s)
{
    struct segment_iter *it = segment_iter_new(s, 0);
    struct segment_cursor c;
    size_t steps = 0;
    uint64_t bytes;
    int rc = segment_iter_first(it);

    for (; rc == 0 && segment_iter_current(it) != NULL; steps++)
        rc = segment_iter_next(it);
    CHECK(steps < 1000000);
    for (unsigned i = 0; i < SEG_VERSIONS / 3; i += 17) {
        char key[16];

        snprintf(key, sizeof key, "key%05u", i);
        rc = segment_get(s, slice_str(key), filter_hash(slice_str(key)), &c);
        if (rc == 0 && c.valid && i % 2 == 0)
            rc = segment_cursor_skip(&c, 999);
        while (rc == 0 && c.valid)
            rc = segment_cursor_next(&c);
        if (rc == 0)
            segment_cursor_close(&c);
        (void)!segment_iter_seek(it, slice_str(key));
        (void)!segment_iter_seek_lt(it, slice_str(key));
        (void)!segment_bytes_below(s, slice_str(key), &bytes);
    }
    rc = segment_iter_last(it);
    for (steps = 0; rc == 0 && segment_iter_current(it) != NULL && steps < 50; steps++)
        rc = segment_iter_prev(it);
    segment_iter_free(it);
    (void)!segment_scrub(s, NULL, NULL, NULL);
}

static void
try_segment(struct slice bytes)
{
    struct cache *cache = cache_new(env, 1 << 20);
    struct segment_env se = how_to_open(cache);
    struct segment *s;

    fuzz_write_file(path, bytes);
    if (segment_open(&se, path, (struct segment_id){ 0, 0 }, &s) == 0) {
        read_segment(s);
        segment_unref(s);
    }
    cache_free(cache);
    CHECK(unlink(path) == 0);
}

/* Patches to one block of a good segment, the number of the block first; its checksum is mended. */
static void
forge(const struct good_segment *g, struct slice in)
{
    uint8_t *bytes = malloc(g->size);

    CHECK(bytes != NULL);
    memcpy(bytes, g->bytes, g->size);
    while (in.size > 1) {
        struct seg_handle h = g->blocks[fuzz_byte(&in) % g->block_count];
        size_t size = in.size < 12 ? in.size : 12;

        fuzz_patch(bytes + h.offset, h.size - 4, slice(in.data, size));
        store_u32(bytes + h.offset + h.size - 4,
                  seg_block_crc(g->id, h.offset, bytes + h.offset, h.size - 4));
        in = slice(in.data + size, in.size - size);
    }
    try_segment(slice(bytes, g->size));
    free(bytes);
}

/* A byte: which codec's segment is forged, or the file as it is; then patches or bytes. */
static void
run_segment(struct slice in)
{
    uint8_t how = fuzz_byte(&in) % (CODEC_COUNT + 1);
    const struct good_segment *g = good_segment(how == CODEC_COUNT ? CODEC_NONE : (enum codec)how);

    if (how == CODEC_COUNT)
        try_segment(in);
    else
        forge(g, in);
}

static void
seed_segment(struct fuzz_seeds *to)
{
    for (unsigned c = 0; c < CODEC_COUNT; c++) {
        const struct good_segment *g = good_segment((enum codec)c);
        uint8_t *with = malloc(g->size + 1), script[9] = { (uint8_t)c, 0, 20, 0, 1, 1, 7, 0, 0 };

        CHECK(with != NULL);
        with[0] = CODEC_COUNT;
        memcpy(with + 1, g->bytes, g->size);
        fuzz_seed(to, slice(with, g->size + 1));
        free(with);
        for (uint8_t b = 0; b < 12; b++) {
            script[1] = b;
            script[2] = (uint8_t)(b * 3);
            fuzz_seed(to, slice(script, 6));
        }
    }
}

const struct fuzz_target fuzz_segment = { "segment", run_segment, seed_segment };

/* ---- manifest ------------------------------------------------------------------------------- */

static void
read_manifest(struct slice bytes)
{
    struct manifest_map map = { .nodes = NULL };
    struct manifest_edit snapshot;
    struct manifest_reader r;
    struct manifest_record rec;

    if (manifest_reader_init(&r, bytes.data, bytes.size) != 0)
        return;
    while (manifest_reader_next(&r, &rec) == 0)
        (void)!manifest_map_apply_all(&map, rec.payload, rec.item_count);
    CHECK(r.at <= bytes.size);
    manifest_edit_init(&snapshot);
    manifest_map_snapshot(&map, &snapshot);
    manifest_edit_fini(&snapshot);
    manifest_map_fini(&map);
}

static void
add_record(struct writer *w, const struct manifest_header *h, uint64_t sequence, uint32_t *crc,
           struct slice payload, uint32_t items)
{
    *crc = manifest_record_encode(w, h->salt, sequence, *crc, payload, items);
}

/* A byte: the whole file as it is (0), or payloads of records that are whole: each a byte of items,
 * two of size, the payload. */
static void
run_manifest(struct slice in)
{
    struct manifest_header h = { .salt = 99, .first_sequence = 1 };
    uint8_t how = fuzz_byte(&in);
    uint64_t sequence = 1;
    struct writer w;
    uint32_t crc;

    if ((how & 1) == 0) {
        read_manifest(in);
        return;
    }
    wr_init(&w, 0);
    memset(wr_reserve(&w, MANIFEST_RECORDS_AT), 0, MANIFEST_RECORDS_AT);
    manifest_header_encode(w.data, &h);
    manifest_mark_encode(w.data + MANIFEST_MARK_AT, h.salt, MANIFEST_RECORDS_AT, 0);
    crc = h.crc;
    while (in.size >= 3) {
        size_t size = load_u16(in.data + 1);
        uint8_t items = in.data[0];

        in = slice(in.data + 3, in.size - 3);
        size = size < in.size ? size : in.size;
        add_record(&w, &h, sequence++, &crc, slice(in.data, size), items);
        in = slice(in.data + size, in.size - size);
    }
    read_manifest(wr_view(&w));
    wr_fini(&w);
}

static void
seed_manifest(struct fuzz_seeds *to)
{
    struct manifest_header h = { .salt = 99, .first_sequence = 1 };
    struct manifest_edit e;
    struct writer w;
    uint32_t crc;

    manifest_edit_init(&e);
    manifest_put(&e, MANIFEST_DATABASE, slice(NULL, 0), slice("\1\2\3\4\5\6\7\10", 8));
    manifest_put(&e, MANIFEST_PIN, slice_str("a"), slice_str("value"));
    manifest_remove(&e, MANIFEST_PIN, slice_str("b"));
    wr_init(&w, 0);
    wr_u8(&w, 1);
    for (int i = 0; i < 3; i++) {
        wr_u8(&w, (uint8_t)e.item_count);
        wr_u16(&w, (uint16_t)e.w.size);
        wr_slice(&w, wr_view(&e.w));
        fuzz_seed(to, wr_view(&w));
    }
    wr_reset(&w);
    memset(wr_reserve(&w, MANIFEST_RECORDS_AT), 0, MANIFEST_RECORDS_AT);
    manifest_header_encode(w.data, &h);
    manifest_mark_encode(w.data + MANIFEST_MARK_AT, h.salt, MANIFEST_RECORDS_AT, 0);
    crc = h.crc;
    add_record(&w, &h, 1, &crc, wr_view(&e.w), e.item_count);
    {
        uint8_t *with = xmalloc(w.size + 1);

        with[0] = 0;
        memcpy(with + 1, w.data, w.size);
        fuzz_seed(to, slice(with, w.size + 1));
        xfree(with);
    }
    wr_fini(&w);
    manifest_edit_fini(&e);
}

const struct fuzz_target fuzz_manifest = { "manifest", run_manifest, seed_manifest };

/* ---- compressed bytes ----------------------------------------------------------------------- */

/* A byte for the codec, two for the size wanted, the compressed bytes. */
static void
run_codec(struct slice in)
{
    enum codec c = (enum codec)(fuzz_byte(&in) % CODEC_ZSTD_DICT);
    size_t raw = fuzz_byte(&in);
    uint8_t *out;

    (void)good_segment(CODEC_NONE); /* the pool */
    raw = raw << 8 | fuzz_byte(&in);
    out = xmalloc(raw + 1);
    (void)!codec_decompress(codecs, c, NULL, in.data, in.size, out, raw);
    xfree(out);
}

static void
seed_codec(struct fuzz_seeds *to)
{
    static const char text[] = "a text, a text, a text that repeats a text that repeats, and zeros";
    uint8_t out[300];
    size_t got;

    (void)good_segment(CODEC_NONE);
    for (unsigned c = 0; c < CODEC_ZSTD_DICT; c++) {
        out[0] = (uint8_t)c;
        out[1] = 0;
        out[2] = sizeof text;
        codec_compress(codecs, (enum codec)c, 3, NULL, text, sizeof text, out + 3, 200, &got);
        if (got == 0)
            memcpy(out + 3, text, got = sizeof text);
        fuzz_seed(to, slice(out, 3 + got));
    }
}

const struct fuzz_target fuzz_codec = { "codec", run_codec, seed_codec };
