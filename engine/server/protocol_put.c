/* Server messages put together.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "engine/base/utf8.h"
#include "engine/server/protocol.h"

size_t
proto_begin(struct writer *w, uint8_t type)
{
    size_t at = w->size;
    uint8_t *p = wr_reserve(w, 5);

    if (p != NULL)
        p[0] = type;
    return at;
}

void
proto_end(struct writer *w, size_t at)
{
    if (!w->bad)
        store_u32_be(w->data + at + 1, (uint32_t)(w->size - at - 1));
}

static void
put_auth(struct writer *w, uint32_t kind, struct slice data)
{
    size_t at = proto_begin(w, 'R');

    wr_u32_be(w, kind);
    wr_slice(w, data);
    proto_end(w, at);
}

void
proto_put_auth_ok(struct writer *w)
{
    put_auth(w, 0, slice(NULL, 0));
}

void
proto_put_auth_sasl(struct writer *w)
{
    static const char mechanisms[] = "SCRAM-SHA-256\0"; /* a list, ended by an empty name */

    put_auth(w, 10, slice(mechanisms, sizeof mechanisms));
}

void
proto_put_auth_sasl_data(struct writer *w, bool final, struct slice data)
{
    put_auth(w, final ? 12 : 11, data);
}

void
proto_put_negotiate(struct writer *w, const struct proto_startup *s)
{
    size_t at = proto_begin(w, 'v');

    wr_u32_be(w, PROTO_V3);
    wr_u32_be(w, (uint32_t)s->unknown_count);
    for (int i = 0; i < s->unknown_count; i++)
        wr_cstr(w, s->unknown[i]);
    proto_end(w, at);
}

void
proto_put_backend_key(struct writer *w, uint32_t process_id, uint32_t secret)
{
    size_t at = proto_begin(w, 'K');

    wr_u32_be(w, process_id);
    wr_u32_be(w, secret);
    proto_end(w, at);
}

void
proto_put_parameter(struct writer *w, const char *name, const char *value)
{
    size_t at = proto_begin(w, 'S');

    wr_cstr(w, name);
    wr_cstr(w, value);
    proto_end(w, at);
}

void
proto_put_ready(struct writer *w, char status)
{
    uint8_t *p = wr_reserve(w, 6);

    if (p == NULL)
        return;
    p[0] = 'Z';
    store_u32_be(p + 1, 5);
    p[5] = (uint8_t)status;
}

void
proto_put_empty(struct writer *w, uint8_t type)
{
    uint8_t *p = wr_reserve(w, 5);

    if (p == NULL)
        return;
    p[0] = type;
    store_u32_be(p + 1, 4);
}

void
proto_put_row_description(struct writer *w, const struct sql_field *fields, int count)
{
    size_t at = proto_begin(w, 'T');

    wr_u16_be(w, (uint16_t)count);
    for (int i = 0; i < count; i++) {
        const struct sql_field *f = &fields[i];

        wr_cstr(w, f->name);
        wr_u32_be(w, f->table_oid);
        wr_u16_be(w, (uint16_t)f->attribute);
        wr_u32_be(w, f->type_oid);
        wr_u16_be(w, (uint16_t)f->type_size);
        wr_u32_be(w, (uint32_t)f->typmod);
        wr_u16_be(w, (uint16_t)f->format);
    }
    proto_end(w, at);
}

void
proto_put_parameter_description(struct writer *w, const uint32_t *oids, int count)
{
    size_t at = proto_begin(w, 't');

    wr_u16_be(w, (uint16_t)count);
    for (int i = 0; i < count; i++)
        wr_u32_be(w, oids[i]);
    proto_end(w, at);
}

void
proto_put_command_complete(struct writer *w, const char *tag)
{
    size_t size = strlen(tag) + 1;
    uint8_t *p = wr_reserve(w, 5 + size);

    if (p == NULL)
        return;
    p[0] = 'C';
    store_u32_be(p + 1, (uint32_t)(4 + size));
    memcpy(p + 5, tag, size);
}

void
proto_put_copy_response(struct writer *w, uint8_t type, int format, int columns)
{
    size_t at = proto_begin(w, type);

    wr_u8(w, (uint8_t)format);
    wr_u16_be(w, (uint16_t)columns);
    for (int i = 0; i < columns; i++)
        wr_u16_be(w, (uint16_t)format);
    proto_end(w, at);
}

/* A message's text may quote bytes that were refused, or be cut inside a character. */
static void
put_clean_text(struct writer *w, const char *text)
{
    size_t size = strlen(text), at = 0;

    while (at < size) {
        size_t good = utf8_valid_prefix(text + at, size - at);

        wr_bytes(w, text + at, good);
        at += good;
        if (at < size) {
            wr_u8(w, '?');
            at++;
        }
    }
    wr_u8(w, 0);
}

static void
put_field(struct writer *w, char field, const char *text)
{
    if (text[0] == '\0')
        return;
    wr_u8(w, (uint8_t)field);
    put_clean_text(w, text);
}

void
proto_put_error(struct writer *w, uint8_t type, const char *severity, const struct diag *d)
{
    size_t at = proto_begin(w, type);
    char position[16] = "";

    if (d->position > 0)
        snprintf(position, sizeof position, "%d", d->position);
    put_field(w, 'S', severity);
    put_field(w, 'V', severity);
    put_field(w, 'C', d->code == 0 ? "00000" : err_sqlstate(d->code));
    put_field(w, 'M', d->message[0] != '\0' ? d->message : "missing error text");
    put_field(w, 'D', d->detail);
    put_field(w, 'H', d->hint);
    put_field(w, 'W', d->where);
    put_field(w, 'P', position);
    put_field(w, 's', d->schema);
    put_field(w, 't', d->table);
    put_field(w, 'c', d->column);
    put_field(w, 'n', d->constraint);
    wr_u8(w, 0);
    proto_end(w, at);
}
