/* Output files of a merge: begun when the first version comes, split by size and by key.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/lsm/lsm_int.h"

enum {
    TXIDS_PER_FILE = SEGMENT_TXIDS_MAX / 2, /* unresolved versions, before a new file is begun */
    GUARD_SHARE = 8, /* a file may end at a guard once it has this share of file_bytes */
};

void
lsm_output_init(struct lsm_output *o, struct lsm_job *job, enum segment_kind kind, uint8_t level,
                uint64_t run_id)
{
    memset(o, 0, sizeof *o);
    o->job = job;
    o->kind = kind;
    o->level = level;
    o->run_id = run_id;
}

/* Small runs are asked most often per byte, so they get more filter bits. */
static unsigned
filter_bits(const struct lsm_output *o)
{
    if (o->kind == SEGMENT_UNDO)
        return 10;
    return o->level == LSM_LEVEL_FLUSHED ? 14 : o->level == LSM_LEVEL_MERGED ? 12 : 10;
}

MUST_CHECK
static int
begin_file(struct lsm_output *o, incarnation_t tag)
{
    struct lsm *l = o->job->lsm;
    char path[LSM_PATH_MAX];
    struct segment_build build = {
        .env = l->env,
        .path = path,
        .file = atomic_fetch_add(&l->next_file, 1),
        .tree = o->job->tree->id,
        .tag = tag,
        .kind = o->kind,
        .codec = o->level == LSM_LEVEL_LAST ? CODEC_ZSTD_DICT : CODEC_LZ4,
        .level = 1,
        .filter_bits = filter_bits(o),
        .codecs = l->codecs,
        .throttle = lsm_work_throttle,
        .throttle_arg = o->job,
    };

    lsm_file_path(l, build.file, path);
    o->tag = tag;
    o->file_id = build.file;
    o->txid_count = 0;
    return segment_builder_new(&build, &o->builder);
}

MUST_CHECK
static int
end_file(struct lsm_output *o)
{
    struct lsm *l = o->job->lsm;
    struct segment_result result;
    struct lsm_segment_item item;
    int rc;

    if (o->builder == NULL)
        return 0;
    rc = segment_builder_finish(o->builder, &result);
    o->builder = NULL;
    if (rc != 0)
        return rc;
    if (o->file_count == o->file_cap) {
        o->file_cap = o->file_cap == 0 ? 4 : o->file_cap * 2;
        o->files = xrealloc(o->files, o->file_cap * sizeof(struct lsm_file *));
    }
    item = (struct lsm_segment_item){ .tree = o->job->tree->id,
                                      .run = o->run_id,
                                      .kind = (uint8_t)o->kind,
                                      .level = o->level,
                                      .tag = o->tag,
                                      .bytes = result.file_bytes,
                                      .nonce = result.id.nonce,
                                      .hash = result.hash };
    rc = lsm_file_open(l, o->file_id, &item, &o->files[o->file_count]);
    if (rc == 0)
        o->file_count++;
    return rc;
}

/* Whether the key lies above a guard that the last one lay below. */
static bool
passes_guard(struct lsm_output *o, struct slice key)
{
    const struct lsm_job *job = o->job;
    bool passed = false;

    while (o->guard_at < job->guard_count && slice_cmp(job->guards[o->guard_at], key) <= 0) {
        o->guard_at++;
        passed = true;
    }
    return passed;
}

static bool
should_split(struct lsm_output *o, incarnation_t tag, struct slice key)
{
    uint64_t bytes = segment_builder_bytes(o->builder), most = o->job->lsm->o.file_bytes;
    bool guard = passes_guard(o, key);

    return bytes >= most || o->tag != tag || o->txid_count >= TXIDS_PER_FILE ||
           (guard && bytes >= most / GUARD_SHARE);
}

int
lsm_output_add(struct lsm_output *o, incarnation_t tag, const struct version_ref *v,
               bool first_of_key)
{
    int rc = 0;

    if (o->builder != NULL && first_of_key && should_split(o, tag, v->key))
        rc = end_file(o);
    if (rc == 0 && o->builder == NULL)
        rc = begin_file(o, tag);
    if (rc != 0)
        return rc;
    o->txid_count += stamp_is_txid(v->stamp);
    return segment_builder_add(o->builder, v);
}

int
lsm_output_finish(struct lsm_output *o)
{
    return end_file(o);
}

void
lsm_output_fini(struct lsm_output *o, bool deleted)
{
    segment_builder_discard(o->builder);
    for (size_t i = 0; i < o->file_count; i++) {
        if (deleted)
            segment_unlink_at_close(o->files[i]->segment);
        lsm_file_unref(o->files[i]);
    }
    xfree(o->files);
    memset(o, 0, sizeof *o);
}
