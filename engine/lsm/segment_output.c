/* The file under a segment while it is built.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/lsm/segment_int.h"

int
seg_output_open(struct seg_output *f, const struct segment_build *o)
{
    uint8_t header[SEG_HEADER_SIZE];
    int rc;

    *f = (struct seg_output){ .o = o };
    f->id = (struct segment_id){ o->file, o->nonce };
    if (o->nonce == 0)
        f->id.nonce = env_random_u64(o->env) | 1; /* 0 stands for "any" */
    rc = env_open(o->env, o->path, ENV_READ | ENV_WRITE | ENV_CREATE | ENV_EXCLUSIVE | ENV_DIRECT,
                  &f->file);
    if (rc != 0)
        return rc;
    f->buffer = xaligned(ENV_ALIGN, SEG_PIECE);
    seg_header_encode(header, f->id);
    return seg_output_append(f, header, sizeof header);
}

void
seg_output_close(struct seg_output *f, bool unlink)
{
    if (f->file != NULL && unlink) {
        struct diag kept = *diag_last();

        if (env_unlink(f->o->env, f->o->path) != 0)
            diag_restore(&kept); /* what failed before matters more */
    }
    env_close(f->file);
    f->file = NULL;
    xfree_aligned(f->buffer);
    f->buffer = NULL;
}

/* Writes what the buffer holds: whole pieces, but for the last one of the file. */
MUST_CHECK
static int
output_flush(struct seg_output *f)
{
    int rc = 0;

    if (f->fill == 0)
        return 0;
    CHECK(f->fill % ENV_ALIGN == 0);
    if (f->o->throttle != NULL)
        rc = f->o->throttle(f->o->throttle_arg, f->fill);
    if (rc == 0)
        rc = env_pwrite(f->file, f->buffer, f->fill, f->flushed);
    if (rc != 0)
        return rc;
    f->hash = hash128(f->buffer, f->fill, f->hash);
    f->flushed += f->fill;
    f->fill = 0;
    return 0;
}

int
seg_output_append(struct seg_output *f, const void *data, size_t size)
{
    const uint8_t *p = data;

    while (size > 0) {
        size_t n = SEG_PIECE - f->fill < size ? SEG_PIECE - f->fill : size;

        memcpy(f->buffer + f->fill, p, n);
        f->fill += n;
        p += n;
        size -= n;
        if (f->fill == SEG_PIECE) {
            int rc = output_flush(f);

            if (rc != 0)
                return rc;
        }
    }
    return 0;
}

/* B18: what is about to be written must give back what went in, and match its checksum when that is
 * computed again. A processor or memory that errs is met here, not when the block is needed. */
MUST_CHECK
static int
block_verify(struct seg_output *f, const struct codec_dict *dict, struct slice raw,
             const uint8_t *stored, size_t size)
{
    const uint8_t *tail = stored + size - SEG_TAIL_SIZE;
    uint8_t *again;
    int rc = 0;

    if (tail[SEG_TAIL_CODEC] != CODEC_NONE) {
        again = xmalloc(raw.size);
        rc = codec_decompress(f->o->codecs, tail[SEG_TAIL_CODEC], dict, stored,
                              size - SEG_TAIL_SIZE, again, raw.size);
        if (rc == 0 && memcmp(again, raw.data, raw.size) != 0)
            rc = DIAG(ERR_CORRUPT, "block does not decompress to what was compressed");
        xfree(again);
    } else if (memcmp(stored, raw.data, raw.size) != 0) {
        rc = DIAG(ERR_CORRUPT, "block was not copied as it was");
    }
    if (rc == 0 && load_u32(tail + SEG_TAIL_CRC) !=
                       seg_block_crc(f->id, seg_output_offset(f), stored, size - 4))
        rc = DIAG(ERR_CORRUPT, "block does not match its checksum before it was written");
    if (rc != 0)
        diag_hint("The memory or the processor of this machine is at fault.");
    return rc;
}

int
seg_output_block(struct seg_output *f, enum seg_block_type type, enum codec codec,
                 const struct codec_dict *dict, struct slice raw, struct writer *scratch,
                 struct seg_handle *out)
{
    size_t cap = raw.size - raw.size / 8, got = 0, size;
    uint8_t *stored, *tail;
    int rc;

    CHECK(raw.size > 0 && raw.size <= SEG_RAW_MAX);
    wr_reset(scratch);
    stored = wr_reserve(scratch, raw.size + SEG_TAIL_SIZE);
    CHECK(stored != NULL);
    if (codec != CODEC_NONE) /* less than an eighth saved: not worth the time of reading it */
        codec_compress(f->o->codecs, codec, f->o->level, dict, raw.data, raw.size, stored, cap,
                       &got);
    if (got == 0) {
        codec = CODEC_NONE;
        memcpy(stored, raw.data, raw.size);
        got = raw.size;
    }
    tail = stored + got;
    size = got + SEG_TAIL_SIZE;
    memset(tail, 0, SEG_TAIL_SIZE);
    tail[SEG_TAIL_CODEC] = (uint8_t)codec;
    tail[SEG_TAIL_TYPE] = (uint8_t)type;
    store_u32(tail + SEG_TAIL_RAW, (uint32_t)raw.size);
    store_u32(tail + SEG_TAIL_CRC, seg_block_crc(f->id, seg_output_offset(f), stored, size - 4));
    rc = block_verify(f, dict, raw, stored, size);
    *out = (struct seg_handle){ seg_output_offset(f), (uint32_t)size };
    return rc != 0 ? rc : seg_output_append(f, stored, size);
}

int
seg_output_finish(struct seg_output *f, struct seg_footer *footer)
{
    uint64_t end = seg_output_offset(f) + SEG_FOOTER_SIZE;
    size_t pad = (size_t)(-end & (ENV_ALIGN - 1));
    uint8_t bytes[SEG_FOOTER_SIZE];
    uint8_t *zeros = xcalloc(1, ENV_ALIGN);
    int rc;

    footer->id = f->id;
    footer->file_bytes = end + pad;
    seg_footer_encode(bytes, footer);
    rc = seg_output_append(f, zeros, pad);
    xfree(zeros);
    if (rc == 0)
        rc = seg_output_append(f, bytes, sizeof bytes);
    if (rc == 0)
        rc = output_flush(f);
    return rc != 0 ? rc : env_sync(f->file);
}
