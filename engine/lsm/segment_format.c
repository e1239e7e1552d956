/* Encoding and decoding what segment_format.h describes.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/lsm/segment_int.h"

/* ---- blocks --------------------------------------------------------------------------------- */

uint32_t
seg_block_crc(struct segment_id id, uint64_t offset, const void *stored, size_t size)
{
    uint8_t where[24];

    store_u64(where, id.file);
    store_u64(where + 8, id.nonce);
    store_u64(where + 16, offset);
    return crc32c(crc32c(0, where, sizeof where), stored, size);
}

bool
seg_block_is_good(struct segment_id id, uint64_t offset, const uint8_t *stored, size_t size,
                  enum seg_block_type type)
{
    if (size <= SEG_TAIL_SIZE || size > SEG_RAW_MAX)
        return false;
    return load_u32(stored + size - SEG_TAIL_SIZE + SEG_TAIL_CRC) ==
               seg_block_crc(id, offset, stored, size - 4) &&
           stored[size - SEG_TAIL_SIZE + SEG_TAIL_TYPE] == type;
}

int
seg_block_decode(struct codec_pool *codecs, const struct codec_dict *dict, enum seg_block_type type,
                 const uint8_t *stored, size_t size, struct block **out)
{
    const uint8_t *tail = stored + size - SEG_TAIL_SIZE;
    uint32_t raw = load_u32(tail + SEG_TAIL_RAW);
    struct block *b;
    int rc;

    if (raw > SEG_RAW_MAX)
        return DIAG(ERR_CORRUPT, "block of %u bytes", raw);
    b = block_new(type, raw);
    rc = codec_decompress(codecs, tail[SEG_TAIL_CODEC], dict, stored, size - SEG_TAIL_SIZE, b->data,
                          raw);
    if (rc == 0)
        rc = block_open(b);
    if (rc != 0) {
        block_free(b);
        return rc;
    }
    *out = b;
    return 0;
}

/* ---- header and footer ---------------------------------------------------------------------- */

void
seg_header_encode(uint8_t out[SEG_HEADER_SIZE], struct segment_id id)
{
    memset(out, 0, SEG_HEADER_SIZE);
    store_u32(out + SEG_HDR_MAGIC, SEG_MAGIC);
    store_u16(out + SEG_HDR_VERSION, SEG_VERSION);
    store_u64(out + SEG_HDR_FILE, id.file);
    store_u64(out + SEG_HDR_NONCE, id.nonce);
    store_u32(out + SEG_HDR_CRC, crc32c(0, out, SEG_HDR_CRC));
}

int
seg_header_decode(const uint8_t in[SEG_HEADER_SIZE], struct segment_id *id)
{
    if (load_u32(in + SEG_HDR_MAGIC) != SEG_MAGIC)
        return DIAG(ERR_CORRUPT, "not a segment");
    if (load_u32(in + SEG_HDR_CRC) != crc32c(0, in, SEG_HDR_CRC))
        return DIAG(ERR_CORRUPT, "segment header: checksum does not match");
    if (load_u16(in + SEG_HDR_VERSION) != SEG_VERSION)
        return DIAG(ERR_NOT_SUPPORTED, "segment format %u is not known",
                    load_u16(in + SEG_HDR_VERSION));
    id->file = load_u64(in + SEG_HDR_FILE);
    id->nonce = load_u64(in + SEG_HDR_NONCE);
    return 0;
}

static void
handle_encode(uint8_t *out, struct seg_handle h)
{
    store_u64(out, h.offset);
    store_u32(out + 8, h.size);
    store_u32(out + 12, 0);
}

void
seg_footer_encode(uint8_t out[SEG_FOOTER_SIZE], const struct seg_footer *f)
{
    memset(out, 0, SEG_FOOTER_SIZE);
    store_u32(out + SEG_FTR_MAGIC, SEG_FOOTER_MAGIC);
    store_u16(out + SEG_FTR_VERSION, SEG_VERSION);
    store_u16(out + SEG_FTR_LEVELS, (uint16_t)f->levels);
    store_u64(out + SEG_FTR_FILE, f->id.file);
    store_u64(out + SEG_FTR_NONCE, f->id.nonce);
    store_u64(out + SEG_FTR_BYTES, f->file_bytes);
    handle_encode(out + SEG_FTR_INDEX, f->index);
    handle_encode(out + SEG_FTR_PROPS, f->props);
    handle_encode(out + SEG_FTR_FILTER, f->filter);
    handle_encode(out + SEG_FTR_DICT, f->dict);
    store_u64(out + SEG_FTR_DATA_END, f->data_end);
    store_u32(out + SEG_FTR_CRC, crc32c(0, out, SEG_FTR_CRC));
}

/* A handle must lie between header and footer; a missing one is all zeros. */
static bool
handle_decode(const uint8_t *in, uint64_t file_bytes, bool needed, struct seg_handle *h)
{
    h->offset = load_u64(in);
    h->size = load_u32(in + 8);
    if (h->size == 0)
        return !needed;
    return h->size > SEG_TAIL_SIZE && h->size <= SEG_RAW_MAX && h->offset >= SEG_HEADER_SIZE &&
           h->offset <= file_bytes - SEG_FOOTER_SIZE &&
           h->size <= file_bytes - SEG_FOOTER_SIZE - h->offset;
}

int
seg_footer_decode(const uint8_t in[SEG_FOOTER_SIZE], uint64_t file_bytes, struct seg_footer *f)
{
    if (load_u32(in + SEG_FTR_MAGIC) != SEG_FOOTER_MAGIC)
        return DIAG(ERR_CORRUPT, "no segment footer at the end");
    if (load_u32(in + SEG_FTR_CRC) != crc32c(0, in, SEG_FTR_CRC))
        return DIAG(ERR_CORRUPT, "segment footer: checksum does not match");
    if (load_u16(in + SEG_FTR_VERSION) != SEG_VERSION)
        return DIAG(ERR_NOT_SUPPORTED, "segment format %u is not known",
                    load_u16(in + SEG_FTR_VERSION));
    f->levels = load_u16(in + SEG_FTR_LEVELS);
    f->id.file = load_u64(in + SEG_FTR_FILE);
    f->id.nonce = load_u64(in + SEG_FTR_NONCE);
    f->file_bytes = load_u64(in + SEG_FTR_BYTES);
    f->data_end = load_u64(in + SEG_FTR_DATA_END);
    if (f->file_bytes != file_bytes || f->levels < 1 || f->levels > 2 ||
        f->data_end > file_bytes - SEG_FOOTER_SIZE || f->data_end < SEG_HEADER_SIZE ||
        !handle_decode(in + SEG_FTR_INDEX, file_bytes, true, &f->index) ||
        !handle_decode(in + SEG_FTR_PROPS, file_bytes, true, &f->props) ||
        !handle_decode(in + SEG_FTR_FILTER, file_bytes, false, &f->filter) ||
        !handle_decode(in + SEG_FTR_DICT, file_bytes, false, &f->dict))
        return DIAG(ERR_CORRUPT, "segment footer: its figures do not fit the file");
    return 0;
}

/* ---- properties ----------------------------------------------------------------------------- */

static void
prop_slice(struct writer *w, enum seg_prop tag, struct slice s)
{
    wr_varint(w, tag);
    wr_lenslice(w, s);
}

static void
prop_numbers(struct writer *w, enum seg_prop tag, const uint64_t *numbers, size_t count)
{
    wr_varint(w, tag);
    wr_varint(w, count * 8);
    for (size_t i = 0; i < count; i++)
        wr_u64(w, numbers[i]);
}

void
seg_props_encode(struct writer *w, const struct segment_props *p)
{
    const uint64_t counts[] = { p->version_count, p->key_count, p->delete_count,
                                p->unresolved_count, p->block_count };
    const uint64_t bytes[] = { p->raw_bytes, p->stored_bytes, p->key_bytes, p->value_bytes };

    prop_numbers(w, SEG_PROP_TREE, &p->tree, 1);
    prop_numbers(w, SEG_PROP_TAG, (uint64_t[]){ p->tag }, 1);
    prop_numbers(w, SEG_PROP_KIND, (uint64_t[]){ p->kind }, 1);
    prop_numbers(w, SEG_PROP_CODEC, (uint64_t[]){ p->codec }, 1);
    prop_slice(w, SEG_PROP_KEY_MIN, p->key_min);
    prop_slice(w, SEG_PROP_KEY_MAX, p->key_max);
    prop_numbers(w, SEG_PROP_COUNTS, counts, 5);
    prop_numbers(w, SEG_PROP_SCNS, (uint64_t[]){ p->scn_min, p->scn_max }, 2);
    prop_numbers(w, SEG_PROP_SUPERSEDED, (uint64_t[]){ p->superseded_min, p->superseded_max }, 2);
    if (p->txids != NULL)
        prop_numbers(w, SEG_PROP_TXIDS, p->txids, p->txid_count);
    prop_numbers(w, SEG_PROP_TXID_RANGE, (uint64_t[]){ p->txid_min, p->txid_max }, 2);
    prop_numbers(w, SEG_PROP_BYTES, bytes, 4);
    if (p->stats.size != 0)
        prop_slice(w, SEG_PROP_STATS, p->stats);
}

static bool
prop_read_numbers(struct slice in, uint64_t *out, size_t count)
{
    struct reader r;

    rd_init(&r, in.data, in.size);
    for (size_t i = 0; i < count; i++)
        out[i] = rd_u64(&r);
    return rd_ok(&r) && rd_left(&r) == 0;
}

static bool
prop_read_txids(struct slice in, struct segment_props *p, txid_t **txids)
{
    if (*txids != NULL || in.size % 8 != 0 || in.size / 8 > SEGMENT_TXIDS_MAX)
        return false;
    p->txid_count = in.size / 8;
    *txids = xmalloc(in.size == 0 ? 1 : in.size);
    p->txids = *txids;
    if (!prop_read_numbers(in, *txids, p->txid_count))
        return false;
    for (size_t i = 0; i < p->txid_count; i++)
        if (!stamp_is_txid((*txids)[i]) || (i > 0 && (*txids)[i] <= (*txids)[i - 1]))
            return false;
    return true;
}

/* The small numbers; their ranges are checked at the end. */
static bool
prop_read_figures(uint64_t tag, struct slice in, struct segment_props *p)
{
    uint64_t n[5] = { 0 };
    bool ok = true;

    switch (tag) {
    case SEG_PROP_COUNTS:
        ok = prop_read_numbers(in, n, 5);
        p->version_count = n[0];
        p->key_count = n[1];
        p->delete_count = n[2];
        p->unresolved_count = n[3];
        p->block_count = n[4];
        break;
    case SEG_PROP_SCNS:
        ok = prop_read_numbers(in, n, 2);
        p->scn_min = n[0];
        p->scn_max = n[1];
        break;
    case SEG_PROP_SUPERSEDED:
        ok = prop_read_numbers(in, n, 2);
        p->superseded_min = n[0];
        p->superseded_max = n[1];
        break;
    case SEG_PROP_TXID_RANGE:
        ok = prop_read_numbers(in, n, 2);
        p->txid_min = n[0];
        p->txid_max = n[1];
        break;
    case SEG_PROP_BYTES:
        ok = prop_read_numbers(in, n, 4);
        p->raw_bytes = n[0];
        p->stored_bytes = n[1];
        p->key_bytes = n[2];
        p->value_bytes = n[3];
        break;
    default: /* from a later version of the program */
        break;
    }
    return ok;
}

static bool
prop_read(uint64_t tag, struct slice in, struct segment_props *p, txid_t **txids)
{
    uint64_t n = 0;
    bool ok = true;

    switch (tag) {
    case SEG_PROP_TREE:
        return prop_read_numbers(in, &p->tree, 1);
    case SEG_PROP_TAG:
        ok = prop_read_numbers(in, &n, 1) && n <= INCARNATION_MAX;
        p->tag = (incarnation_t)n;
        return ok;
    case SEG_PROP_KIND:
        ok = prop_read_numbers(in, &n, 1) && (n == SEGMENT_MAIN || n == SEGMENT_UNDO);
        p->kind = n == SEGMENT_UNDO ? SEGMENT_UNDO : SEGMENT_MAIN;
        return ok;
    case SEG_PROP_CODEC:
        ok = prop_read_numbers(in, &n, 1) && n < CODEC_COUNT;
        p->codec = (enum codec)n;
        return ok;
    case SEG_PROP_KEY_MIN:
        p->key_min = in;
        return in.size <= VERSION_KEY_MAX;
    case SEG_PROP_KEY_MAX:
        p->key_max = in;
        return in.size <= VERSION_KEY_MAX;
    case SEG_PROP_TXIDS:
        return prop_read_txids(in, p, txids);
    case SEG_PROP_STATS:
        p->stats = in;
        return true;
    default:
        return prop_read_figures(tag, in, p);
    }
}

int
seg_props_decode(struct slice in, struct segment_props *p, txid_t **txids)
{
    struct reader r;
    uint64_t seen = 0;
    const uint64_t needed = 1u << SEG_PROP_TREE | 1u << SEG_PROP_TAG | 1u << SEG_PROP_KIND |
                            1u << SEG_PROP_CODEC | 1u << SEG_PROP_KEY_MIN | 1u << SEG_PROP_KEY_MAX |
                            1u << SEG_PROP_COUNTS | 1u << SEG_PROP_SCNS |
                            1u << SEG_PROP_SUPERSEDED | 1u << SEG_PROP_TXID_RANGE |
                            1u << SEG_PROP_BYTES;

    *txids = NULL;
    rd_init(&r, in.data, in.size);
    while (rd_ok(&r) && rd_left(&r) > 0) {
        uint64_t tag = rd_varint(&r);
        struct slice value = rd_lenslice(&r);

        if (!rd_ok(&r) || !prop_read(tag, value, p, txids))
            rd_fail(&r);
        if (tag < 64)
            seen |= (uint64_t)1 << tag;
    }
    if (rd_ok(&r) && (seen & needed) == needed && slice_cmp(p->key_min, p->key_max) <= 0)
        return 0;
    xfree(*txids);
    *txids = NULL;
    return DIAG(ERR_CORRUPT, "segment properties do not fit");
}
