/* Client messages taken apart.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/server/protocol.h"

#include <string.h>

#include "engine/base/utf8.h"

enum { HEADER_SIZE = 5, STARTUP_HEADER_SIZE = 4, STARTUP_MIN = 8 };

int
proto_next(struct slice input, bool startup, size_t max, struct proto_message *m, size_t *need)
{
    size_t header = startup ? STARTUP_HEADER_SIZE : HEADER_SIZE;
    size_t min = startup ? STARTUP_MIN : 4;
    size_t length;

    *m = (struct proto_message){ 0 };
    *need = header;
    if (input.size < header)
        return 0;
    length = load_u32_be(input.data + header - 4);
    if (length < min || length > max) {
        int rc = DIAG(ERR_PROTOCOL,
                      startup ? "invalid length of startup packet" : "invalid message length");

        diag_detail("The length is %zu, the limit %zu.", length, max);
        return rc;
    }
    *need = length + header - 4;
    if (input.size < *need)
        return 0;
    m->type = startup ? 0 : input.data[0];
    m->body = slice(input.data + header, length - 4);
    m->size = *need;
    return 0;
}

/* ---- pieces --------------------------------------------------------------------------------- */

static struct slice
take_string(struct reader *r)
{
    const char *s = rd_cstr(r);

    return s == NULL ? slice(NULL, 0) : slice_str(s);
}

static int
finish(const struct reader *r, const char *what)
{
    if (!rd_ok(r))
        return DIAG(ERR_PROTOCOL, "insufficient data left in %s message", what);
    if (rd_left(r) != 0)
        return DIAG(ERR_PROTOCOL, "invalid message format");
    return 0;
}

static int
check_text(struct slice s)
{
    return utf8_check(s.data, s.size);
}

/* ---- startup -------------------------------------------------------------------------------- */

static int
add_setting(struct proto_startup *out, const char *name, const char *value)
{
    if (out->setting_count == PROTO_SETTINGS_MAX)
        return DIAG(ERR_LIMIT, "more than %d settings in the startup packet", PROTO_SETTINGS_MAX);
    out->settings[out->setting_count++] = (struct sql_setting){ name, value };
    return 0;
}

/* The next word of "options", backslashes undone; NULL at the end. Words go to *to in turn. */
static char *
option_word(const char **from, char **to)
{
    const char *p = *from;
    char *start = *to, *w = *to;

    while (*p == ' ' || (*p >= '\t' && *p <= '\r'))
        p++;
    if (*p == '\0')
        return NULL;
    for (; *p != '\0' && *p != ' ' && !(*p >= '\t' && *p <= '\r'); p++) {
        if (*p == '\\' && p[1] != '\0')
            p++;
        *w++ = *p;
    }
    *w++ = '\0';
    *from = p;
    *to = w;
    return start;
}

static int
decode_options(const char *options, char *scratch, struct proto_startup *out)
{
    char *word, *equals, *name;

    while ((word = option_word(&options, &scratch)) != NULL) {
        if (strcmp(word, "-c") == 0)
            name = option_word(&options, &scratch);
        else if (strncmp(word, "-c", 2) == 0 || strncmp(word, "--", 2) == 0)
            name = word + 2;
        else
            return DIAG(ERR_SYNTAX, "invalid command-line argument for server process: %.80s",
                        word);
        equals = name == NULL ? NULL : strchr(name, '=');
        if (equals == NULL)
            return DIAG(ERR_SYNTAX, "-c %.80s requires a value", name == NULL ? "" : name);
        *equals = '\0';
        for (char *p = name; *p != '\0'; p++)
            if (*p == '-')
                *p = '_';
        int rc = add_setting(out, name, equals + 1);

        if (rc != 0)
            return rc;
    }
    return 0;
}

static int
startup_pair(struct proto_startup *out, const char *name, const char *value, const char **options)
{
    if (strcmp(name, "user") == 0)
        out->user = value;
    else if (strcmp(name, "database") == 0)
        out->database = value;
    else if (strcmp(name, "options") == 0)
        *options = value;
    else if (strcmp(name, "replication") == 0)
        out->replication = value;
    else if (strcmp(name, "application_name") == 0)
        out->application_name = value;
    else if (strcmp(name, "client_encoding") == 0)
        out->client_encoding = value;
    else if (strncmp(name, "_pq_.", 5) != 0)
        return add_setting(out, name, value);
    else if (out->unknown_count < (int)(sizeof out->unknown / sizeof out->unknown[0]))
        out->unknown[out->unknown_count++] = name;
    return 0;
}

static int
decode_pairs(struct reader *r, char *scratch, struct proto_startup *out)
{
    const char *options = NULL;
    int rc;

    for (;;) {
        const char *name = rd_cstr(r);
        const char *value;

        if (name == NULL)
            return DIAG(ERR_PROTOCOL, "invalid startup packet layout: expected terminator as last "
                                      "byte");
        if (*name == '\0')
            break;
        value = rd_cstr(r);
        if (value == NULL)
            return DIAG(ERR_PROTOCOL, "invalid startup packet layout: a value is missing");
        rc = check_text(slice_str(name));
        if (rc == 0)
            rc = check_text(slice_str(value));
        if (rc == 0)
            rc = startup_pair(out, name, value, &options);
        if (rc != 0)
            return rc;
    }
    rc = finish(r, "startup");
    return rc != 0 || options == NULL ? rc : decode_options(options, scratch, out);
}

int
proto_decode_startup(struct slice body, char *scratch, struct proto_startup *out)
{
    struct reader r;

    memset(out, 0, sizeof *out);
    rd_init(&r, body.data, body.size);
    out->code = rd_u32_be(&r);
    if (!rd_ok(&r))
        return finish(&r, "startup");
    switch (out->code) {
    case PROTO_SSL:
    case PROTO_GSSENC:
        return finish(&r, "startup");
    case PROTO_CANCEL:
        out->process_id = rd_u32_be(&r);
        out->secret = rd_u32_be(&r);
        return finish(&r, "cancel request");
    default:
        break;
    }
    out->minor = (uint16_t)out->code;
    if (out->code >> 16 != PROTO_V3 >> 16)
        return DIAG(ERR_NOT_SUPPORTED,
                    "unsupported frontend protocol %u.%u: server supports 3.0 to 3.0",
                    out->code >> 16, out->code & 0xffff);
    return decode_pairs(&r, scratch, out);
}

/* ---- queries -------------------------------------------------------------------------------- */

int
proto_decode_query(struct slice body, struct slice *text)
{
    struct reader r;
    int rc;

    rd_init(&r, body.data, body.size);
    *text = take_string(&r);
    rc = finish(&r, "query");
    return rc != 0 ? rc : check_text(*text);
}

int
proto_decode_parse(struct slice body, struct proto_parse *out)
{
    struct reader r;
    int rc;

    memset(out, 0, sizeof *out);
    rd_init(&r, body.data, body.size);
    out->name = take_string(&r);
    out->text = take_string(&r);
    out->type_count = rd_u16_be(&r);
    out->types = rd_bytes(&r, 4 * (size_t)out->type_count);
    rc = finish(&r, "parse");
    if (rc == 0)
        rc = check_text(out->name);
    return rc != 0 ? rc : check_text(out->text);
}

static int
skip_params(struct reader *r, int count)
{
    for (int i = 0; i < count && rd_ok(r); i++) {
        uint32_t size = rd_u32_be(r);

        if (size == UINT32_MAX)
            continue;
        if (size > INT32_MAX)
            return DIAG(ERR_PROTOCOL, "invalid length of parameter %d in bind message", i + 1);
        (void)rd_bytes(r, size);
    }
    return 0;
}

int
proto_decode_bind(struct slice body, struct proto_bind *out)
{
    struct reader r;
    int rc;

    memset(out, 0, sizeof *out);
    rd_init(&r, body.data, body.size);
    out->portal = take_string(&r);
    out->statement = take_string(&r);
    out->format_count = rd_u16_be(&r);
    out->formats = rd_bytes(&r, 2 * (size_t)out->format_count);
    out->param_count = rd_u16_be(&r);
    out->params = r.at;
    rc = skip_params(&r, out->param_count);
    if (rc != 0)
        return rc;
    out->result_format_count = rd_u16_be(&r);
    out->result_formats = rd_bytes(&r, 2 * (size_t)out->result_format_count);
    rc = finish(&r, "bind");
    if (rc == 0)
        rc = check_text(out->portal);
    if (rc == 0)
        rc = check_text(out->statement);
    if (rc == 0 && out->format_count > 1 && out->format_count != out->param_count)
        rc = DIAG(ERR_PROTOCOL, "bind message has %d parameter formats but %d parameters",
                  out->format_count, out->param_count);
    return rc;
}

static int
unpack_formats(const uint8_t *from, int count, int16_t *to)
{
    for (int i = 0; i < count; i++) {
        uint16_t format = load_u16_be(from + 2 * i);

        if (format > 1)
            return DIAG(ERR_INVALID_PARAMETER_VALUE, "unsupported format code: %u", format);
        to[i] = (int16_t)format;
    }
    return 0;
}

int
proto_bind_unpack(const struct proto_bind *b, struct slice *params, int16_t *formats,
                  int16_t *result_formats)
{
    const uint8_t *at = b->params; /* proto_decode_bind has been over it */
    int rc = unpack_formats(b->formats, b->format_count, formats);

    if (rc == 0)
        rc = unpack_formats(b->result_formats, b->result_format_count, result_formats);
    for (int i = 0; i < b->param_count && rc == 0; i++) {
        uint32_t size = load_u32_be(at);
        bool binary =
            b->format_count == 1 ? formats[0] != 0 : b->format_count > 1 && formats[i] != 0;

        at += 4;
        params[i] = slice(NULL, 0);
        if (size == UINT32_MAX)
            continue;
        params[i] = slice(at, size);
        at += size;
        if (!binary)
            rc = check_text(params[i]);
    }
    return rc;
}

int
proto_decode_target(struct slice body, struct proto_target *out)
{
    struct reader r;
    int rc;

    rd_init(&r, body.data, body.size);
    out->kind = (char)rd_u8(&r);
    out->name = take_string(&r);
    rc = finish(&r, "describe or close");
    if (rc == 0 && out->kind != 'S' && out->kind != 'P')
        rc = DIAG(ERR_PROTOCOL, "invalid subtype %d of describe or close message", out->kind);
    return rc != 0 ? rc : check_text(out->name);
}

int
proto_decode_execute(struct slice body, struct proto_execute *out)
{
    struct reader r;
    int rc;

    rd_init(&r, body.data, body.size);
    out->portal = take_string(&r);
    out->max_rows = (int32_t)rd_u32_be(&r);
    if (out->max_rows < 0)
        out->max_rows = 0;
    rc = finish(&r, "execute");
    return rc != 0 ? rc : check_text(out->portal);
}

int
proto_decode_sasl_initial(struct slice body, struct proto_sasl_initial *out)
{
    struct reader r;
    uint32_t size;

    rd_init(&r, body.data, body.size);
    out->mechanism = take_string(&r);
    size = rd_u32_be(&r);
    out->response = size == UINT32_MAX ? slice(NULL, 0) : rd_slice(&r, size);
    return finish(&r, "SASL");
}
