/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/lsm/codec.h"

#define ZSTD_STATIC_LINKING_ONLY /* contexts in our own memory */
#include <lz4.h>
#include <zdict.h>
#include <zstd.h>

#include "engine/base/env.h"
#include "engine/base/mem.h"

enum { POOL_MAX = 32, ZSTD_LEVEL_DEFAULT = 3 };

/* What one thread needs while it works on one block; parts are made when they are first needed. */
struct context {
    void *lz4;
    ZSTD_CCtx *compress;
    ZSTD_DCtx *decompress;
};

struct codec_pool {
    struct env_mutex lock;
    struct context *idle[POOL_MAX]; /* under lock */
    int idle_count;                 /* under lock */
};

struct codec_dict {
    ZSTD_CDict *compress; /* NULL: only for decompression */
    ZSTD_DDict *decompress;
};

static const ZSTD_customMem zstd_memory = { mem_library_alloc, mem_library_free, NULL };

const char *
codec_name(enum codec c)
{
    static const char *const names[CODEC_COUNT] = {
        [CODEC_NONE] = "none",
        [CODEC_LZ4] = "lz4",
        [CODEC_ZSTD] = "zstd",
        [CODEC_ZSTD_DICT] = "zstd+dict",
    };

    return (unsigned)c < CODEC_COUNT ? names[c] : "unknown";
}

/* ---- contexts ------------------------------------------------------------------------------- */

static void
context_free(struct context *x)
{
    xfree(x->lz4);
    ZSTD_freeCCtx(x->compress);
    ZSTD_freeDCtx(x->decompress);
    xfree(x);
}

struct codec_pool *
codec_pool_new(struct env *env)
{
    struct codec_pool *p = xcalloc(1, sizeof *p);

    env_mutex_init(env, &p->lock);
    return p;
}

void
codec_pool_free(struct codec_pool *p)
{
    if (p == NULL)
        return;
    while (p->idle_count > 0)
        context_free(p->idle[--p->idle_count]);
    env_mutex_fini(&p->lock);
    xfree(p);
}

static struct context *
context_take(struct codec_pool *p)
{
    struct context *x = NULL;

    env_mutex_lock(&p->lock);
    if (p->idle_count > 0)
        x = p->idle[--p->idle_count];
    env_mutex_unlock(&p->lock);
    return x != NULL ? x : xcalloc(1, sizeof *x);
}

static void
context_give(struct codec_pool *p, struct context *x)
{
    env_mutex_lock(&p->lock);
    if (p->idle_count < POOL_MAX) {
        p->idle[p->idle_count++] = x;
        x = NULL;
    }
    env_mutex_unlock(&p->lock);
    if (x != NULL)
        context_free(x);
}

/* ---- dictionaries --------------------------------------------------------------------------- */

int
codec_dict_new(const void *data, size_t size, int level, struct codec_dict **out)
{
    struct codec_dict *d = xcalloc(1, sizeof *d);

    *out = NULL;
    d->decompress =
        ZSTD_createDDict_advanced(data, size, ZSTD_dlm_byCopy, ZSTD_dct_fullDict, zstd_memory);
    if (level != 0)
        d->compress =
            ZSTD_createCDict_advanced(data, size, ZSTD_dlm_byCopy, ZSTD_dct_fullDict,
                                      ZSTD_getCParams(level, 16 << 10, size), zstd_memory);
    if (d->decompress == NULL || (level != 0 && d->compress == NULL)) {
        codec_dict_free(d);
        return DIAG(ERR_CORRUPT, "not a compression dictionary");
    }
    *out = d;
    return 0;
}

void
codec_dict_free(struct codec_dict *d)
{
    if (d == NULL)
        return;
    ZSTD_freeCDict(d->compress);
    ZSTD_freeDDict(d->decompress);
    xfree(d);
}

size_t
codec_dict_bytes(const struct codec_dict *d)
{
    return sizeof *d + ZSTD_sizeof_CDict(d->compress) + ZSTD_sizeof_DDict(d->decompress);
}

size_t
codec_dict_train(void *out, size_t cap, const void *samples, const size_t *sizes, unsigned count)
{
    size_t size = ZDICT_trainFromBuffer(out, cap, samples, sizes, count);

    return ZDICT_isError(size) ? 0 : size;
}

/* ---- both ways ------------------------------------------------------------------------------ */

size_t
codec_bound(enum codec c, size_t size)
{
    switch (c) {
    case CODEC_LZ4:
        return size > LZ4_MAX_INPUT_SIZE ? 0 : (size_t)LZ4_compressBound((int)size);
    case CODEC_ZSTD:
    case CODEC_ZSTD_DICT:
        return ZSTD_compressBound(size);
    case CODEC_NONE:
    case CODEC_COUNT:
        break;
    }
    return size;
}

static size_t
lz4_compress(struct context *x, const void *in, size_t size, void *out, size_t cap)
{
    int got;

    if (size > LZ4_MAX_INPUT_SIZE || cap > LZ4_MAX_INPUT_SIZE)
        return 0;
    if (x->lz4 == NULL)
        x->lz4 = xmalloc((size_t)LZ4_sizeofState());
    got = LZ4_compress_fast_extState(x->lz4, in, out, (int)size, (int)cap, 1);
    return got > 0 ? (size_t)got : 0;
}

static size_t
zstd_compress(struct context *x, int level, const struct codec_dict *d, const void *in, size_t size,
              void *out, size_t cap)
{
    size_t got;

    if (x->compress == NULL)
        x->compress = ZSTD_createCCtx_advanced(zstd_memory);
    CHECK(x->compress != NULL);
    if (level == 0)
        level = ZSTD_LEVEL_DEFAULT;
    if (d != NULL)
        got = ZSTD_compress_usingCDict(x->compress, out, cap, in, size, d->compress);
    else
        got = ZSTD_compressCCtx(x->compress, out, cap, in, size, level);
    return ZSTD_isError(got) ? 0 : got;
}

void
codec_compress(struct codec_pool *p, enum codec c, int level, const struct codec_dict *d,
               const void *in, size_t size, void *out, size_t cap, size_t *got)
{
    struct context *x = context_take(p);

    *got = 0;
    if (c == CODEC_LZ4)
        *got = lz4_compress(x, in, size, out, cap);
    else if (c == CODEC_ZSTD)
        *got = zstd_compress(x, level, NULL, in, size, out, cap);
    else if (c == CODEC_ZSTD_DICT && d != NULL)
        *got = zstd_compress(x, level, d, in, size, out, cap);
    context_give(p, x);
}

static bool
lz4_decompress(const void *in, size_t size, void *out, size_t raw)
{
    if (size > LZ4_MAX_INPUT_SIZE || raw > LZ4_MAX_INPUT_SIZE)
        return false;
    return LZ4_decompress_safe(in, out, (int)size, (int)raw) == (int)raw;
}

static bool
zstd_decompress(struct context *x, const struct codec_dict *d, const void *in, size_t size,
                void *out, size_t raw)
{
    if (x->decompress == NULL)
        x->decompress = ZSTD_createDCtx_advanced(zstd_memory);
    CHECK(x->decompress != NULL);
    if (d != NULL)
        return ZSTD_decompress_usingDDict(x->decompress, out, raw, in, size, d->decompress) == raw;
    return ZSTD_decompressDCtx(x->decompress, out, raw, in, size) == raw;
}

int
codec_decompress(struct codec_pool *p, enum codec c, const struct codec_dict *d, const void *in,
                 size_t size, void *out, size_t raw)
{
    bool ok = false;

    if (c == CODEC_NONE) {
        ok = size == raw;
        if (ok && raw != 0)
            memcpy(out, in, raw);
    } else if (c == CODEC_LZ4) {
        ok = lz4_decompress(in, size, out, raw);
    } else if (c == CODEC_ZSTD || (c == CODEC_ZSTD_DICT && d != NULL)) {
        struct context *x = context_take(p);

        ok = zstd_decompress(x, c == CODEC_ZSTD ? NULL : d, in, size, out, raw);
        context_give(p, x);
    }
    return ok ? 0 : DIAG(ERR_CORRUPT, "%s data do not decompress to %zu bytes", codec_name(c), raw);
}
