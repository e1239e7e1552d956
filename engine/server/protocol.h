/* PostgreSQL wire protocol 3.0: messages taken apart and put together. Pure functions over bytes:
 * no sockets, no sessions. All integers are big-endian.
 *
 *   startup:  u32 length, counting itself | u32 code | body
 *   others:   u8 type | u32 length, counting itself but not the type | body
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_SERVER_PROTOCOL_H
#define ENGINE_SERVER_PROTOCOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/bytes.h"
#include "engine/base/err.h"
#include "engine/sql/sqlport.h"

enum {
    PROTO_STARTUP_MAX = 10000,         /* bytes of a startup packet */
    PROTO_UNAUTHENTICATED_MAX = 10240, /* of any message before authentication */
    PROTO_MESSAGE_MAX = 0x3fffffff,    /* 1 GiB - 1, after it */
};

/* First words of a startup packet. */
enum proto_code {
    PROTO_V3 = 3 << 16,
    PROTO_CANCEL = 1234 << 16 | 5678,
    PROTO_SSL = 1234 << 16 | 5679,
    PROTO_GSSENC = 1234 << 16 | 5680,
};

/* ---- framing -------------------------------------------------------------------------------- */

struct proto_message {
    uint8_t type; /* 0: a startup packet */
    struct slice body;
    size_t size; /* in the buffer, with type and length */
};

/* Looks at the bytes received so far. 0 with m->size > 0: a whole message. 0 with m->size 0: more
 * is needed; *need is the size of the whole message once its length is known, else the header's.
 * ERR_PROTOCOL: the length cannot be, or is greater than `max`. */
MUST_CHECK
int proto_next(struct slice input, bool startup, size_t max, struct proto_message *m, size_t *need);

/* ---- client messages ------------------------------------------------------------------------ */

enum { PROTO_SETTINGS_MAX = 128 };
struct proto_startup {
    uint32_t code;               /* as sent */
    uint16_t minor;              /* of version 3 */
    uint32_t process_id, secret; /* of a cancel request */
    const char *user, *database, *application_name, *client_encoding, *replication; /* or NULL */
    struct sql_setting settings[PROTO_SETTINGS_MAX]; /* all others, then those of options */
    int setting_count;
    const char *unknown[16]; /* _pq_. options, for NegotiateProtocolVersion */
    int unknown_count;
};
/* Strings point into the body or, for options, into `scratch` (as large as the body). */
MUST_CHECK
int proto_decode_startup(struct slice body, char *scratch, struct proto_startup *out);

struct proto_parse {
    struct slice name, text;
    int type_count;
    const uint8_t *types; /* u32 each */
};
struct proto_bind {
    struct slice portal, statement;
    int param_count, format_count, result_format_count;
    const uint8_t *formats, *params, *result_formats; /* raw; proto_bind_unpack takes them apart */
};
struct proto_target { /* Describe, Close */
    char kind;        /* 'S' or 'P' */
    struct slice name;
};
struct proto_execute {
    struct slice portal;
    int32_t max_rows; /* negative is taken as 0 */
};
MUST_CHECK
int proto_decode_query(struct slice body, struct slice *text);
MUST_CHECK
int proto_decode_parse(struct slice body, struct proto_parse *out);
MUST_CHECK
int proto_decode_bind(struct slice body, struct proto_bind *out);
/* The arrays have room for param_count, format_count, result_format_count. Text parameters are
 * checked: ERR_CHARACTER_NOT_IN_REPERTOIRE. */
MUST_CHECK
int proto_bind_unpack(const struct proto_bind *b, struct slice *params, int16_t *formats,
                      int16_t *result_formats);
MUST_CHECK
int proto_decode_target(struct slice body, struct proto_target *out);
MUST_CHECK
int proto_decode_execute(struct slice body, struct proto_execute *out);

struct proto_sasl_initial {
    struct slice mechanism, response; /* response.data NULL: none sent */
};
MUST_CHECK
int proto_decode_sasl_initial(struct slice body, struct proto_sasl_initial *out);

/* ---- server messages ------------------------------------------------------------------------ */

/* A message: begin gives its offset, end fills the length in. */
size_t proto_begin(struct writer *w, uint8_t type);
void proto_end(struct writer *w, size_t at);

void proto_put_auth_ok(struct writer *w);
void proto_put_auth_sasl(struct writer *w); /* offers SCRAM-SHA-256 */
void proto_put_auth_sasl_data(struct writer *w, bool final, struct slice data);
void proto_put_negotiate(struct writer *w, const struct proto_startup *s);
void proto_put_backend_key(struct writer *w, uint32_t process_id, uint32_t secret);
void proto_put_parameter(struct writer *w, const char *name, const char *value);
void proto_put_ready(struct writer *w, char status);
void proto_put_empty(struct writer *w, uint8_t type); /* '1' '2' '3' 'n' 's' 'I' 'c' */
void proto_put_row_description(struct writer *w, const struct sql_field *fields, int count);
void proto_put_parameter_description(struct writer *w, const uint32_t *oids, int count);
void proto_put_command_complete(struct writer *w, const char *tag);
void proto_put_copy_response(struct writer *w, uint8_t type, int format, int columns); /* G, H */
/* ErrorResponse ('E') or NoticeResponse ('N'). */
void proto_put_error(struct writer *w, uint8_t type, const char *severity, const struct diag *d);

#endif
