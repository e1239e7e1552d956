/* What tests of segments share: a model of a run's versions, building a segment from it, comparing
 * every way of reading with it, the bytes of the file.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_SUPPORT_SEGMENT_RIG_H
#define TESTS_SUPPORT_SEGMENT_RIG_H

#include <check.h>
#include <stdbool.h>

#include "engine/lsm/segment.h"

/* The world of the test that runs. */
struct segrig {
    struct env *env;
    struct codec_pool *codecs;
    char dir[64], path[96]; /* the file under test */
};
extern struct segrig segrig;
void segrig_setup(void);
void segrig_teardown(void); /* fails the test when it has left files behind */

uint64_t segrig_random(uint64_t *state);
uint64_t segrig_seed(const char *name); /* printed; TEST_SEED gives it */

enum { KEY_MAX = 64, VALUE_MAX = 200 };

struct model_version {
    struct version_ref v;
    uint8_t key[KEY_MAX], value[VALUE_MAX];
};
struct segrig_model {
    struct model_version *versions; /* in the order of version_cmp */
    size_t count;
    enum segment_kind kind;
};
/* About `count` versions of at most `keys` keys, with SCNs up to `chain`. */
struct segrig_model segrig_model_new(uint64_t *random, enum segment_kind kind, size_t count,
                                     unsigned keys, unsigned chain);
void segrig_model_free(struct segrig_model *m);
size_t segrig_model_lower(const struct segrig_model *m, struct slice key);

struct segment_build segrig_build_options(void);
struct segment_result segrig_build(const struct segrig_model *m, struct segment_build o);
struct segment_env segrig_open_options(struct cache *cache);
struct segment *segrig_open(const struct segment_env *se, struct segment_id id);

/* Points, walks and whole scans. 0 when every answer was right, the error when there was one; a
 * wrong answer fails the test. */
int segrig_compare(struct segment *s, const struct segrig_model *m, uint64_t *random, int points);
int segrig_compare_get(struct segment *s, const struct segrig_model *m, struct slice key, bool skip,
                       scn_t at_scn);
int segrig_compare_scan(struct segment *s, const struct segrig_model *m, int flags);
void segrig_compare_props(const struct segment_props *p, const struct segrig_model *m);

struct segrig_file {
    uint8_t *bytes;
    size_t size;
};
struct segrig_file segrig_file_read(void);
void segrig_file_write(const uint8_t *bytes, size_t size);
void segrig_file_write_to(const char *name, const uint8_t *bytes, size_t size);

#endif
