/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/wire.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "engine/server/protocol.h"

bool
wire_open(struct wire *w, const char *path)
{
    struct sockaddr_un un = { .sun_family = AF_UNIX };

    *w = (struct wire){ .fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0) };
    wr_init(&w->out, 0);
    snprintf(un.sun_path, sizeof un.sun_path, "%s", path);
    return w->fd >= 0 && connect(w->fd, (struct sockaddr *)&un, sizeof un) == 0;
}

void
wire_close(struct wire *w)
{
    close(w->fd);
    xfree(w->buffer);
    wr_fini(&w->out);
}

void
wire_put(struct wire *w, uint8_t type, const void *body, size_t size)
{
    size_t at = proto_begin(&w->out, type);

    wr_bytes(&w->out, body, size);
    proto_end(&w->out, at);
}

void
wire_put_query(struct wire *w, const char *text)
{
    wire_put(w, 'Q', text, strlen(text) + 1);
}

void
wire_put_parse(struct wire *w, const char *name, const char *text)
{
    size_t at = proto_begin(&w->out, 'P');

    wr_cstr(&w->out, name);
    wr_cstr(&w->out, text);
    wr_u16_be(&w->out, 0);
    proto_end(&w->out, at);
}

void
wire_put_bind(struct wire *w, const char *portal, const char *statement, const char *param,
              size_t size, int format)
{
    size_t at = proto_begin(&w->out, 'B');

    wr_cstr(&w->out, portal);
    wr_cstr(&w->out, statement);
    wr_u16_be(&w->out, 1);
    wr_u16_be(&w->out, (uint16_t)format);
    wr_u16_be(&w->out, param != NULL);
    if (param != NULL) {
        wr_u32_be(&w->out, (uint32_t)size);
        wr_bytes(&w->out, param, size);
    }
    wr_u16_be(&w->out, 1);
    wr_u16_be(&w->out, (uint16_t)format);
    proto_end(&w->out, at);
}

void
wire_put_describe(struct wire *w, uint8_t message, char kind, const char *name)
{
    size_t at = proto_begin(&w->out, message);

    wr_u8(&w->out, (uint8_t)kind);
    wr_cstr(&w->out, name);
    proto_end(&w->out, at);
}

void
wire_put_execute(struct wire *w, const char *portal, int32_t max_rows)
{
    size_t at = proto_begin(&w->out, 'E');

    wr_cstr(&w->out, portal);
    wr_u32_be(&w->out, (uint32_t)max_rows);
    proto_end(&w->out, at);
}

static void
send_all(int fd, const uint8_t *p, size_t size)
{
    while (size > 0) {
        ssize_t n = send(fd, p, size, MSG_NOSIGNAL);

        if (n <= 0)
            return; /* the test sees the end when it reads */
        p += n;
        size -= (size_t)n;
    }
}

void
wire_send(struct wire *w)
{
    send_all(w->fd, w->out.data, w->out.size);
    wr_reset(&w->out);
}

void
wire_send_slowly(struct wire *w)
{
    for (size_t i = 0; i < w->out.size; i++)
        send_all(w->fd, w->out.data + i, 1);
    wr_reset(&w->out);
}

void
wire_startup(struct wire *w, const char *user, const char *database)
{
    size_t at = w->out.size;

    wr_u32_be(&w->out, 0);
    wr_u32_be(&w->out, PROTO_V3);
    wr_cstr(&w->out, "user");
    wr_cstr(&w->out, user);
    wr_cstr(&w->out, "database");
    wr_cstr(&w->out, database);
    wr_u8(&w->out, 0);
    store_u32_be(w->out.data + at, (uint32_t)(w->out.size - at));
}

bool
wire_has_input(struct wire *w, int timeout_ms)
{
    struct pollfd p = { .fd = w->fd, .events = POLLIN };

    return w->at < w->end || poll(&p, 1, timeout_ms) == 1;
}

static bool
fill(struct wire *w)
{
    ssize_t n;

    if (w->at == w->end)
        w->at = w->end = 0;
    if (w->end == w->cap) {
        w->cap = w->cap == 0 ? 65536 : 2 * w->cap;
        w->buffer = xrealloc(w->buffer, w->cap);
    }
    CHECK(wire_has_input(&(struct wire){ .fd = w->fd }, 20000));
    n = recv(w->fd, w->buffer + w->end, w->cap - w->end, 0);
    if (n <= 0)
        return false;
    w->end += (size_t)n;
    return true;
}

bool
wire_next(struct wire *w, uint8_t *type, struct slice *body)
{
    struct proto_message m;
    size_t need;

    for (;;) {
        CHECK(proto_next(slice(w->buffer + w->at, w->end - w->at), false, PROTO_MESSAGE_MAX, &m,
                         &need) == 0);
        if (m.size > 0)
            break;
        if (!fill(w))
            return false;
    }
    w->at += m.size;
    *type = m.type;
    *body = m.body;
    if (m.type == 'K') {
        w->process_id = load_u32_be(m.body.data);
        w->secret = load_u32_be(m.body.data + 4);
    }
    return true;
}

static void
note(char *out, size_t cap, const void *text, size_t size)
{
    size_t used = strlen(out);

    snprintf(out + used, cap - used, "%.*s", (int)size, (const char *)text);
}

static void
note_row(struct slice body, char *out, size_t cap)
{
    struct reader r;
    uint16_t count;

    rd_init(&r, body.data, body.size);
    count = rd_u16_be(&r);
    for (int i = 0; i < count; i++) {
        uint32_t size = rd_u32_be(&r);

        note(out, cap, "|", i > 0);
        if (size == UINT32_MAX)
            note(out, cap, "NULL", 4);
        else if (size > 100)
            note(out, cap, "...", 3), rd_slice(&r, size);
        else
            note(out, cap, rd_slice(&r, size).data, size);
    }
    CHECK(rd_ok(&r) && rd_left(&r) == 0);
}

static void
note_error(struct slice body, char field, char *out, size_t cap)
{
    struct reader r;
    uint8_t f;

    rd_init(&r, body.data, body.size);
    while ((f = rd_u8(&r)) != 0) {
        const char *text = rd_cstr(&r);

        if (f == (uint8_t)field)
            note(out, cap, text, strlen(text));
    }
    CHECK(rd_ok(&r) && rd_left(&r) == 0);
}

static void
note_message(uint8_t type, struct slice body, char *out, size_t cap)
{
    char letter[3] = { (char)type, '[' };

    if (strchr("DCENSZd", type) == NULL) {
        letter[1] = ' ';
        note(out, cap, letter, 2);
        return;
    }
    note(out, cap, letter, 2);
    if (type == 'D')
        note_row(body, out, cap);
    else if (type == 'E' || type == 'N')
        note_error(body, type == 'E' ? 'C' : 'M', out, cap);
    else if (type == 'S')
        snprintf(out + strlen(out), cap - strlen(out), "%s=%s", (const char *)body.data,
                 (const char *)body.data + strlen((const char *)body.data) + 1);
    else
        note(out, cap, body.data, body.size);
    note(out, cap, "] ", 2);
}

void
wire_transcript(struct wire *w, uint8_t until, int stop, bool parameters, char *out, size_t cap)
{
    struct slice body;
    uint8_t type;

    out[0] = '\0';
    while (stop > 0) {
        if (!wire_next(w, &type, &body)) {
            note(out, cap, "EOF", 3);
            return;
        }
        if (type != 'S' || parameters)
            note_message(type, body, out, cap);
        stop -= type == until;
    }
}
