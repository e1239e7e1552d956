/* The manifest's bytes: header, mark, records, items. manifest_int.h has the table.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/base/checksum.h"
#include "engine/lsm/manifest_int.h"

static uint32_t
salted_crc(uint64_t salt, const void *data, size_t size)
{
    return crc32c(crc32c(0, &salt, sizeof salt), data, size);
}

void
manifest_header_encode(uint8_t out[MANIFEST_HEADER_SIZE], struct manifest_header *h)
{
    memset(out, 0, MANIFEST_HEADER_SIZE);
    store_u64(out, MANIFEST_MAGIC);
    store_u32(out + 8, MANIFEST_VERSION);
    store_u64(out + 16, h->salt);
    store_u64(out + 24, h->first_sequence);
    h->crc = crc32c(0, out, MANIFEST_HEADER_SIZE);
    store_u32(out + MANIFEST_HEADER_OFF_CRC, h->crc);
}

void
manifest_mark_encode(uint8_t out[MANIFEST_MARK_SIZE], uint64_t salt, uint64_t end,
                     uint64_t sequence)
{
    store_u64(out, MANIFEST_MARK_MAGIC);
    store_u64(out + 8, end);
    store_u64(out + 16, sequence);
    store_u32(out + 24, salted_crc(salt, out, 24));
}

uint32_t
manifest_record_encode(struct writer *w, uint64_t salt, uint64_t sequence, uint32_t crc_before,
                       struct slice payload, uint32_t item_count)
{
    static const uint8_t zeros[MANIFEST_RECORD_ALIGN];
    size_t at = w->size, covered = MANIFEST_RECORD_HEADER - 8 + payload.size;
    uint32_t crc;

    wr_u32(w, MANIFEST_RECORD_MAGIC);
    wr_u32(w, 0);
    wr_u32(w, (uint32_t)payload.size);
    wr_u32(w, item_count);
    wr_u64(w, sequence);
    wr_u32(w, crc_before);
    wr_u32(w, 0);
    wr_slice(w, payload);
    if (w->size % MANIFEST_RECORD_ALIGN != 0)
        wr_bytes(w, zeros, MANIFEST_RECORD_ALIGN - w->size % MANIFEST_RECORD_ALIGN);
    CHECK(!w->bad);
    crc = salted_crc(salt, w->data + at + 8, covered);
    store_u32(w->data + at + MANIFEST_RECORD_OFF_CRC, crc);
    return crc;
}

int
manifest_reader_init(struct manifest_reader *r, const void *data, size_t size)
{
    struct reader in;
    uint8_t head[MANIFEST_HEADER_SIZE];

    *r = (struct manifest_reader){ .data = (const uint8_t *)data, .size = size };
    if (size < MANIFEST_RECORDS_AT)
        return DIAG(ERR_CORRUPT, "manifest: %zu bytes, shorter than its header", size);
    memcpy(head, data, sizeof head);
    store_u32(head + MANIFEST_HEADER_OFF_CRC, 0);
    r->header.crc = load_u32(r->data + MANIFEST_HEADER_OFF_CRC);
    if (load_u64(head) != MANIFEST_MAGIC)
        return DIAG(ERR_CORRUPT, "manifest: not a manifest");
    if (r->header.crc != crc32c(0, head, sizeof head))
        return DIAG(ERR_CORRUPT, "manifest: the header's checksum does not fit");
    if (load_u32(head + 8) != MANIFEST_VERSION)
        return DIAG(ERR_NOT_SUPPORTED, "manifest: format version %u is not known",
                    load_u32(head + 8));
    r->header.salt = load_u64(head + 16);
    r->header.first_sequence = load_u64(head + 24);
    rd_init(&in, r->data + MANIFEST_MARK_AT, MANIFEST_MARK_SIZE);
    if (rd_u64(&in) == MANIFEST_MARK_MAGIC) {
        uint64_t end = rd_u64(&in);

        (void)rd_u64(&in);
        if (rd_u32(&in) == salted_crc(r->header.salt, r->data + MANIFEST_MARK_AT, 24))
            r->mark_end = end;
    }
    r->at = MANIFEST_RECORDS_AT;
    r->sequence = r->header.first_sequence;
    r->crc_before = r->header.crc;
    return 0;
}

/* Whether a whole record lies at `at`. */
static bool
record_at(const struct manifest_reader *r, size_t at, struct manifest_record *out,
          uint32_t *crc_before)
{
    struct reader in;
    uint32_t length;

    if (at > r->size || r->size - at < MANIFEST_RECORD_HEADER)
        return false;
    rd_init(&in, r->data + at, r->size - at);
    if (rd_u32(&in) != MANIFEST_RECORD_MAGIC)
        return false;
    out->crc = rd_u32(&in);
    length = rd_u32(&in);
    out->item_count = rd_u32(&in);
    out->sequence = rd_u64(&in);
    *crc_before = rd_u32(&in);
    (void)rd_u32(&in);
    if (length > MANIFEST_EDIT_MAX)
        return false;
    out->payload = rd_slice(&in, length);
    return rd_ok(&in) && out->crc == salted_crc(r->header.salt, r->data + at + 8,
                                                MANIFEST_RECORD_HEADER - 8 + (size_t)length);
}

/* Whether a later edit lies anywhere behind: then the one at r->at was durable once. */
static bool
later_record_follows(const struct manifest_reader *r)
{
    struct manifest_record record;
    uint32_t crc_before;

    for (size_t at = r->at + MANIFEST_RECORD_ALIGN; at + MANIFEST_RECORD_HEADER <= r->size;
         at += MANIFEST_RECORD_ALIGN)
        if (record_at(r, at, &record, &crc_before) && record.sequence > r->sequence)
            return true;
    return false;
}

int
manifest_reader_next(struct manifest_reader *r, struct manifest_record *out)
{
    uint32_t crc_before;
    size_t size;

    if (record_at(r, r->at, out, &crc_before) && out->sequence == r->sequence &&
        crc_before == r->crc_before) {
        size = MANIFEST_RECORD_HEADER + out->payload.size;
        r->at += (size + MANIFEST_RECORD_ALIGN - 1) / MANIFEST_RECORD_ALIGN * MANIFEST_RECORD_ALIGN;
        r->sequence++;
        r->crc_before = out->crc;
        return 0;
    }
    if (r->at < r->mark_end)
        return DIAG(ERR_CORRUPT, "manifest: edit %llu at offset %zu is damaged; it was durable",
                    (unsigned long long)r->sequence, r->at);
    if (later_record_follows(r))
        return DIAG(ERR_CORRUPT, "manifest: edit %llu at offset %zu is damaged, later ones follow",
                    (unsigned long long)r->sequence, r->at);
    return ERR_END;
}

bool
manifest_item_next(struct reader *r, struct manifest_item *out)
{
    uint8_t op, type;

    if (!rd_ok(r) || rd_left(r) == 0)
        return false;
    op = rd_u8(r);
    type = rd_u8(r);
    *out = (struct manifest_item){ .type = (enum manifest_type)type,
                                   .removed = op == MANIFEST_OP_REMOVE };
    out->key = rd_lenslice(r);
    if (op == MANIFEST_OP_PUT)
        out->value = rd_lenslice(r);
    else if (op != MANIFEST_OP_REMOVE)
        rd_fail(r);
    if (type == 0 || type >= MANIFEST_TYPE_END || out->key.size > MANIFEST_KEY_MAX ||
        out->value.size > MANIFEST_VALUE_MAX)
        rd_fail(r);
    return rd_ok(r);
}

int
manifest_read_file(struct env *env, const char *path, uint8_t **data, size_t *size)
{
    struct env_file *f;
    uint64_t bytes = 0;
    int rc = env_open(env, path, ENV_READ, &f);

    *data = NULL;
    if (rc != 0)
        return rc;
    rc = env_size(f, &bytes);
    if (rc == 0 && bytes > (uint64_t)4 << 30)
        rc = DIAG(ERR_CORRUPT, "manifest: %llu bytes is more than any can have",
                  (unsigned long long)bytes);
    if (rc == 0) {
        *data = xmalloc(bytes + 1);
        rc = env_pread(f, *data, bytes, 0, size);
    }
    if (rc != 0) {
        xfree(*data);
        *data = NULL;
    }
    env_close(f);
    return rc;
}

const char *
manifest_type_name(enum manifest_type type)
{
    static const char *const names[MANIFEST_TYPE_END] = {
        [MANIFEST_DATABASE] = "database", [MANIFEST_COUNTER] = "counter",
        [MANIFEST_TREE] = "tree",         [MANIFEST_SEGMENT] = "segment",
        [MANIFEST_RUNS] = "runs",         [MANIFEST_POSITION] = "position",
        [MANIFEST_STATUS] = "status",     [MANIFEST_HORIZON] = "horizon",
        [MANIFEST_PIN] = "pin",           [MANIFEST_BRANCH] = "branch",
        [MANIFEST_LINEAGE] = "lineage",   [MANIFEST_BLOB] = "blob",
        [MANIFEST_CURRENT] = "current",   [MANIFEST_REREAD] = "reread",
    };

    return type > 0 && type < MANIFEST_TYPE_END ? names[type] : "?";
}
