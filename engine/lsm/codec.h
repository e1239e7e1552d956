/* Compression of blocks: none, LZ4, zstd, zstd with a dictionary.
 *
 * Contexts are costly to make, so a codec_pool keeps them; their memory is the node's heap.
 *
 * Threads: any. SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_LSM_CODEC_H
#define ENGINE_LSM_CODEC_H

#include <stddef.h>
#include <stdint.h>

#include "engine/base/bytes.h"
#include "engine/base/err.h"

struct codec_dict;
struct codec_pool;
struct env;

/* On disk: explicit, never reused. */
enum codec {
    CODEC_NONE = 0,
    CODEC_LZ4 = 1,
    CODEC_ZSTD = 2,
    CODEC_ZSTD_DICT = 3, /* with the dictionary of the segment */
    CODEC_COUNT
};
const char *codec_name(enum codec c);

struct codec_pool *codec_pool_new(struct env *env);
void codec_pool_free(struct codec_pool *p);

/* A dictionary, ready for both directions; shared by any number of threads. level 0: only for
 * decompression. */
MUST_CHECK
int codec_dict_new(const void *data, size_t size, int level, struct codec_dict **out);
void codec_dict_free(struct codec_dict *d);          /* NULL allowed */
size_t codec_dict_bytes(const struct codec_dict *d); /* memory held */
/* Trains a dictionary of at most `cap` bytes from samples that lie one after the other. Returns its
 * size; 0 when the samples give none. */
size_t codec_dict_train(void *out, size_t cap, const void *samples, const size_t *sizes,
                        unsigned count);

/* The largest size that compressing `size` bytes can need. */
size_t codec_bound(enum codec c, size_t size);
/* Compresses; *got is the size. 0 for *got: it would not fit into cap, keep it as it is. */
void codec_compress(struct codec_pool *p, enum codec c, int level, const struct codec_dict *d,
                    const void *in, size_t size, void *out, size_t cap, size_t *got);
/* The result must have exactly `raw` bytes, else ERR_CORRUPT. */
MUST_CHECK
int codec_decompress(struct codec_pool *p, enum codec c, const struct codec_dict *d, const void *in,
                     size_t size, void *out, size_t raw);

#endif
