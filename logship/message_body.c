/* The bodies of messages: encode and decode.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "logship/message.h"

static int
finish(const struct reader *r, const char *what)
{
    if (rd_ok(r) && rd_left(r) == 0)
        return 0;
    return DIAG(ERR_PROTOCOL, "%s is malformed", what);
}

static struct slice
rest(struct reader *r)
{
    return rd_slice(r, rd_left(r));
}

/* Codes travel as positive numbers; one that this program does not know becomes INTERNAL. */
static void
write_code(struct writer *w, int code)
{
    wr_u32(w, code < 0 ? (uint32_t)-code : 0);
}

static int
read_code(struct reader *r)
{
    uint32_t v = rd_u32(r);

    return v == 0 ? 0 : v <= ERR_COUNT ? -(int)v : ERR_INTERNAL;
}

static bool
read_bool(struct reader *r)
{
    uint8_t v = rd_u8(r);

    if (v > 1)
        rd_fail(r);
    return v == 1;
}

static incarnation_t
read_inc(struct reader *r)
{
    uint32_t v = rd_u32(r);

    if (v > INCARNATION_MAX)
        rd_fail(r);
    return v;
}

/* ---- before authentication ------------------------------------------------------------------ */

void
ship_auth_hello_encode(struct writer *w, const struct ship_auth_hello *m)
{
    size_t n = strlen(m->name);

    wr_u8(w, (uint8_t)m->kind);
    wr_bytes(w, m->nonce, sizeof m->nonce);
    wr_u8(w, (uint8_t)n);
    wr_bytes(w, m->name, n);
}

int
ship_auth_hello_decode(struct slice body, struct ship_auth_hello *out)
{
    struct reader r;
    const uint8_t *nonce;
    struct slice name;
    uint8_t kind;

    memset(out, 0, sizeof *out);
    rd_init(&r, body.data, body.size);
    kind = rd_u8(&r);
    nonce = rd_bytes(&r, sizeof out->nonce);
    name = rd_slice(&r, rd_u8(&r));
    if (kind < SHIP_PEER || kind > SHIP_JOINING || name.size >= sizeof out->name)
        rd_fail(&r);
    if (nonce == NULL || !rd_ok(&r))
        return DIAG(ERR_PROTOCOL, "AUTH_HELLO is malformed");
    out->kind = (enum ship_kind)kind;
    memcpy(out->nonce, nonce, sizeof out->nonce);
    for (size_t i = 0; i < name.size; i++) /* it will be in a log */
        out->name[i] = name.data[i] > 0x20 && name.data[i] < 0x7f ? (char)name.data[i] : '?';
    return finish(&r, "AUTH_HELLO");
}

void
ship_auth_challenge_encode(struct writer *w, const struct ship_auth_challenge *m)
{
    wr_bytes(w, m->nonce, sizeof m->nonce);
    wr_bytes(w, m->proof, sizeof m->proof);
}

int
ship_auth_challenge_decode(struct slice body, struct ship_auth_challenge *out)
{
    memset(out, 0, sizeof *out);
    if (body.size != sizeof out->nonce + sizeof out->proof)
        return DIAG(ERR_PROTOCOL, "AUTH_CHALLENGE is malformed");
    memcpy(out->nonce, body.data, sizeof out->nonce);
    memcpy(out->proof, body.data + sizeof out->nonce, sizeof out->proof);
    return 0;
}

void
ship_goodbye_encode(struct writer *w, const struct ship_goodbye *m)
{
    write_code(w, m->code);
    wr_slice(w, m->text);
}

int
ship_goodbye_decode(struct slice body, struct ship_goodbye *out)
{
    struct reader r;

    rd_init(&r, body.data, body.size);
    out->code = read_code(&r);
    out->text = rest(&r);
    return finish(&r, "GOODBYE");
}

/* ---- peers ---------------------------------------------------------------------------------- */

static void
write_chain(struct writer *w, struct hash128 chain)
{
    wr_u64(w, chain.lo);
    wr_u64(w, chain.hi);
}

static struct hash128
read_chain(struct reader *r)
{
    struct hash128 chain;

    chain.lo = rd_u64(r);
    chain.hi = rd_u64(r);
    return chain;
}

void
ship_hello_encode(struct writer *w, const struct ship_hello *m)
{
    size_t at;

    wr_u32(w, m->promised);
    wr_u32(w, m->log.follows);
    wr_u64(w, m->log.end.v);
    wr_u64(w, m->log.end_scn);
    write_chain(w, m->log.chain);
    wr_u64(w, m->log.acknowledged.v);
    wr_u64(w, m->published_scn);
    at = w->size;
    wr_u32(w, 0);
    register_encode(w, &m->reg);
    if (!w->bad)
        store_u32(w->data + at, (uint32_t)(w->size - at - sizeof(uint32_t)));
    wr_u32(w, (uint32_t)m->lineage.size);
    wr_slice(w, m->lineage);
}

int
ship_hello_decode(struct slice body, struct ship_hello *out)
{
    struct reader r;
    struct slice reg;
    int rc;

    memset(out, 0, sizeof *out);
    rd_init(&r, body.data, body.size);
    out->promised = read_inc(&r);
    out->log.follows = read_inc(&r);
    out->log.end = lsn_make(rd_u64(&r));
    out->log.end_scn = rd_u64(&r);
    out->log.chain = read_chain(&r);
    out->log.acknowledged = lsn_make(rd_u64(&r));
    out->published_scn = rd_u64(&r);
    reg = rd_slice(&r, rd_u32(&r));
    out->lineage = rd_slice(&r, rd_u32(&r));
    rc = finish(&r, "HELLO");
    return rc != 0 ? rc : register_decode(reg, &out->reg);
}

void
ship_redo_envelope(uint8_t bytes[SHIP_REDO_ENVELOPE], const struct ship_redo *m)
{
    store_u32(bytes, m->inc);
    store_u64(bytes + 4, m->published_scn);
    store_u64(bytes + 12, m->published.v);
}

int
ship_redo_decode(struct slice body, struct ship_redo *out)
{
    struct reader r;

    rd_init(&r, body.data, body.size);
    out->inc = read_inc(&r);
    out->published_scn = rd_u64(&r);
    out->published = lsn_make(rd_u64(&r));
    out->frame = rest(&r);
    if (out->frame.size < REDO_FRAME_HEADER)
        rd_fail(&r);
    return finish(&r, "REDO");
}

void
ship_ack_encode(struct writer *w, const struct ship_ack *m)
{
    wr_u32(w, m->inc);
    wr_u64(w, m->received.v);
    wr_u64(w, m->durable.v);
    wr_u64(w, m->applied.v);
    wr_u64(w, m->applied_scn);
    write_chain(w, m->chain);
}

int
ship_ack_decode(struct slice body, struct ship_ack *out)
{
    struct reader r;

    rd_init(&r, body.data, body.size);
    out->inc = read_inc(&r);
    out->received = lsn_make(rd_u64(&r));
    out->durable = lsn_make(rd_u64(&r));
    out->applied = lsn_make(rd_u64(&r));
    out->applied_scn = rd_u64(&r);
    out->chain = read_chain(&r);
    return finish(&r, "ACK");
}

void
ship_pointer_encode(struct writer *w, const struct ship_pointer *m)
{
    wr_u32(w, m->inc);
    wr_u64(w, m->published_scn);
    wr_u64(w, m->published.v);
}

int
ship_pointer_decode(struct slice body, struct ship_pointer *out)
{
    struct reader r;

    rd_init(&r, body.data, body.size);
    out->inc = read_inc(&r);
    out->published_scn = rd_u64(&r);
    out->published = lsn_make(rd_u64(&r));
    return finish(&r, "POINTER");
}

static void
write_pos(struct writer *w, const struct ship_pos *p)
{
    wr_u32(w, p->inc);
    wr_u64(w, p->lsn.v);
    wr_u64(w, p->scn);
    wr_u64(w, p->time_us);
    write_chain(w, p->chain);
}

static void
read_pos(struct reader *r, struct ship_pos *p)
{
    p->inc = read_inc(r);
    p->lsn = lsn_make(rd_u64(r));
    p->scn = rd_u64(r);
    p->time_us = rd_u64(r);
    p->chain = read_chain(r);
}

static enum ship_redo_purpose
read_purpose(struct reader *r)
{
    uint8_t v = rd_u8(r);

    if (v < SHIP_REDO_FOLLOW || v > SHIP_REDO_TAIL)
        rd_fail(r);
    return (enum ship_redo_purpose)v;
}

void
ship_redo_request_encode(struct writer *w, const struct ship_redo_request *m)
{
    wr_u8(w, (uint8_t)m->purpose);
    wr_u32(w, m->inc);
    wr_u64(w, m->until.v);
    write_pos(w, &m->from);
}

int
ship_redo_request_decode(struct slice body, struct ship_redo_request *out)
{
    struct reader r;

    rd_init(&r, body.data, body.size);
    out->purpose = read_purpose(&r);
    out->inc = read_inc(&r);
    out->until = lsn_make(rd_u64(&r));
    read_pos(&r, &out->from);
    return finish(&r, "REDO_REQUEST");
}

void
ship_redo_end_encode(struct writer *w, const struct ship_redo_end *m)
{
    wr_u8(w, (uint8_t)m->purpose);
    wr_u32(w, m->inc);
    write_code(w, m->code);
    wr_u64(w, m->lsn.v);
    wr_slice(w, m->text);
}

int
ship_redo_end_decode(struct slice body, struct ship_redo_end *out)
{
    struct reader r;

    rd_init(&r, body.data, body.size);
    out->purpose = read_purpose(&r);
    out->inc = read_inc(&r);
    out->code = read_code(&r);
    out->lsn = lsn_make(rd_u64(&r));
    out->text = rest(&r);
    return finish(&r, "REDO_END");
}

void
ship_locate_encode(struct writer *w, const struct ship_locate *m)
{
    wr_u32(w, m->inc);
    wr_u64(w, m->lsn.v);
}

int
ship_locate_decode(struct slice body, struct ship_locate *out)
{
    struct reader r;

    rd_init(&r, body.data, body.size);
    out->inc = read_inc(&r);
    out->lsn = lsn_make(rd_u64(&r));
    return finish(&r, "LOCATE");
}

void
ship_located_encode(struct writer *w, const struct ship_located *m)
{
    ship_locate_encode(w, &m->asked);
    wr_u8(w, m->found);
    write_pos(w, &m->pos);
}

int
ship_located_decode(struct slice body, struct ship_located *out)
{
    struct reader r;

    rd_init(&r, body.data, body.size);
    out->asked.inc = read_inc(&r);
    out->asked.lsn = lsn_make(rd_u64(&r));
    out->found = read_bool(&r);
    read_pos(&r, &out->pos);
    return finish(&r, "LOCATED");
}

/* ---- files ---------------------------------------------------------------------------------- */

bool
ship_path_is_plain(struct slice path)
{
    size_t from = 0;

    if (path.size == 0 || path.size > SHIP_PATH_MAX)
        return false;
    for (size_t i = 0; i <= path.size; i++) {
        size_t n = i - from;

        if (i < path.size && path.data[i] == '\0')
            return false;
        if (i < path.size && path.data[i] != '/')
            continue;
        if (n == 0 || (n == 1 && path.data[from] == '.') ||
            (n == 2 && path.data[from] == '.' && path.data[from + 1] == '.'))
            return false;
        from = i + 1;
    }
    return true;
}

void
ship_copy_begin_encode(struct writer *w, const struct ship_copy_begin *m)
{
    wr_u64(w, m->copy);
    wr_u8(w, m->kind);
    wr_slice(w, m->args);
}

int
ship_copy_begin_decode(struct slice body, struct ship_copy_begin *out)
{
    struct reader r;

    rd_init(&r, body.data, body.size);
    out->copy = rd_u64(&r);
    out->kind = rd_u8(&r);
    out->args = rest(&r);
    return finish(&r, "COPY_BEGIN");
}

void
ship_copy_list_begin(struct writer *w, uint64_t copy, bool last, uint32_t count)
{
    wr_u64(w, copy);
    wr_u8(w, last);
    wr_varint(w, count);
}

void
ship_copy_list_add(struct writer *w, const struct ship_file *f)
{
    wr_lenslice(w, f->path);
    wr_u64(w, f->size);
    write_chain(w, f->hash);
}

int
ship_copy_list_decode(struct slice body, struct ship_copy_list *out)
{
    struct reader r;
    uint64_t count;

    rd_init(&r, body.data, body.size);
    out->copy = rd_u64(&r);
    out->last = read_bool(&r);
    count = rd_varint(&r);
    if (!rd_ok(&r) || count > rd_left(&r))
        return DIAG(ERR_PROTOCOL, "COPY_LIST is malformed");
    out->count = (uint32_t)count;
    out->files = r;
    return 0;
}

int
ship_copy_list_next(struct ship_copy_list *l, struct ship_file *out)
{
    struct reader *r = &l->files;

    if (l->count == 0) {
        int rc = finish(r, "COPY_LIST");

        return rc != 0 ? rc : ERR_END;
    }
    l->count--;
    out->path = rd_lenslice(r);
    out->size = rd_u64(r);
    out->hash = read_chain(r);
    if (!rd_ok(r) || !ship_path_is_plain(out->path))
        return DIAG(ERR_PROTOCOL, "COPY_LIST names a path that is not plain, or is malformed");
    return 0;
}

void
ship_file_get_encode(struct writer *w, const struct ship_file_get *m)
{
    wr_u64(w, m->copy);
    wr_u64(w, m->offset);
    wr_u64(w, m->size);
    wr_slice(w, m->path);
}

int
ship_file_get_decode(struct slice body, struct ship_file_get *out)
{
    struct reader r;

    rd_init(&r, body.data, body.size);
    out->copy = rd_u64(&r);
    out->offset = rd_u64(&r);
    out->size = rd_u64(&r);
    out->path = rest(&r);
    if (!ship_path_is_plain(out->path))
        rd_fail(&r);
    return finish(&r, "FILE_GET");
}

void
ship_file_chunk_encode(struct writer *w, const struct ship_file_chunk *m)
{
    wr_u64(w, m->copy);
    wr_u64(w, m->offset);
    wr_u8(w, m->last);
    wr_slice(w, m->bytes);
}

int
ship_file_chunk_decode(struct slice body, struct ship_file_chunk *out)
{
    struct reader r;

    rd_init(&r, body.data, body.size);
    out->copy = rd_u64(&r);
    out->offset = rd_u64(&r);
    out->last = read_bool(&r);
    out->bytes = rest(&r);
    if (out->bytes.size > SHIP_CHUNK_MAX)
        rd_fail(&r);
    return finish(&r, "FILE_CHUNK");
}

void
ship_copy_end_encode(struct writer *w, const struct ship_copy_end *m)
{
    wr_u64(w, m->copy);
    write_code(w, m->code);
    wr_slice(w, m->text);
}

int
ship_copy_end_decode(struct slice body, struct ship_copy_end *out)
{
    struct reader r;

    rd_init(&r, body.data, body.size);
    out->copy = rd_u64(&r);
    out->code = read_code(&r);
    out->text = rest(&r);
    return finish(&r, "COPY_END");
}

/* ---- commands ------------------------------------------------------------------------------- */

void
ship_command_encode(struct writer *w, const struct ship_command *m)
{
    wr_u8(w, (uint8_t)m->count);
    for (uint32_t i = 0; i < m->count; i++)
        wr_lenslice(w, m->words[i]);
}

int
ship_command_decode(struct slice body, struct ship_command *out)
{
    struct reader r;

    memset(out, 0, sizeof *out);
    rd_init(&r, body.data, body.size);
    out->count = rd_u8(&r);
    if (out->count > SHIP_ARGS_MAX) {
        out->count = 0;
        rd_fail(&r);
    }
    for (uint32_t i = 0; i < out->count; i++) {
        out->words[i] = rd_lenslice(&r);
        if (out->words[i].size != 0 && memchr(out->words[i].data, 0, out->words[i].size) != NULL)
            rd_fail(&r);
    }
    return finish(&r, "COMMAND");
}

void
ship_reply_encode(struct writer *w, const struct ship_reply *m)
{
    wr_u8(w, (uint8_t)m->what);
    write_code(w, m->code);
    wr_slice(w, m->text);
}

int
ship_reply_decode(struct slice body, struct ship_reply *out)
{
    struct reader r;
    uint8_t what;

    rd_init(&r, body.data, body.size);
    what = rd_u8(&r);
    out->what = (enum ship_reply_what)what;
    out->code = read_code(&r);
    out->text = rest(&r);
    if (what < SHIP_REPLY_PROGRESS || what > SHIP_REPLY_END)
        rd_fail(&r);
    return finish(&r, "REPLY");
}
