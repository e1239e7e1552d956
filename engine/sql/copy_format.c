/* COPY's text and CSV formats.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/sql/copy.h"

/* ---- records -----------------------------------------------------------------------------------
 */

void
copy_reader_init(struct copy_reader *r, const struct copy_options *o)
{
    *r = (struct copy_reader){ .options = o };
    wr_init(&r->buffer, 0);
}

void
copy_reader_fini(struct copy_reader *r)
{
    wr_fini(&r->buffer);
}

int
copy_reader_add(struct copy_reader *r, struct slice piece)
{
    size_t left = r->buffer.size - r->at;

    if (r->ended)
        return 0; /* what comes after the end marker is not looked at */
    if (r->at > 0) {
        if (left > 0)
            memmove(r->buffer.data, r->buffer.data + r->at, left);
        wr_shrink(&r->buffer, left);
        r->at = 0;
    }
    wr_slice(&r->buffer, piece);
    return wr_finish(&r->buffer);
}

void
copy_reader_end(struct copy_reader *r)
{
    r->ended = true;
}

/* Where the record's line break is, from `seen` on; false: not there yet. */
static bool
find_text_end(struct copy_reader *r, size_t *end)
{
    const uint8_t *data = r->buffer.data;
    size_t i = r->at + r->seen;

    while (i < r->buffer.size) {
        const uint8_t *lf = memchr(data + i, '\n', r->buffer.size - i);
        size_t stop = lf != NULL ? (size_t)(lf - data) : r->buffer.size;
        size_t slashes = 0;

        while (stop - slashes > r->at && data[stop - slashes - 1] == '\\')
            slashes++;
        if (lf == NULL)
            break;
        if (slashes % 2 == 0) {
            *end = stop;
            return true;
        }
        i = stop + 1;
    }
    r->seen = r->buffer.size - r->at;
    return false;
}

static bool
find_csv_end(struct copy_reader *r, size_t *end)
{
    const uint8_t *data = r->buffer.data;
    const struct copy_options *o = r->options;

    for (size_t i = r->at + r->seen; i < r->buffer.size; i++) {
        uint8_t c = data[i];

        if (r->after_escape) {
            r->after_escape = false;
            continue;
        }
        if (r->in_quote && c == (uint8_t)o->escape && o->escape != o->quote)
            r->after_escape = true;
        else if (c == (uint8_t)o->quote)
            r->in_quote = !r->in_quote;
        else if (c == '\n' && !r->in_quote) {
            *end = i;
            return true;
        }
    }
    r->seen = r->buffer.size - r->at;
    return false;
}

bool
copy_reader_next(struct copy_reader *r, struct slice *record)
{
    size_t end, size;
    bool found;

    found = r->options->csv ? find_csv_end(r, &end) : find_text_end(r, &end);
    if (!found) {
        if (!r->ended || r->at == r->buffer.size)
            return false;
        end = r->buffer.size; /* the last line has no line break */
    }
    size = end - r->at;
    if (r->line == 0 && found && size > 0 && r->buffer.data[end - 1] == '\r')
        r->has_crlf = true;
    if (r->has_crlf && size > 0 && r->buffer.data[end - 1] == '\r')
        size--;
    *record = slice(r->buffer.data + r->at, size);
    r->at = found ? end + 1 : end;
    r->seen = 0;
    r->in_quote = r->after_escape = false;
    r->line++;
    if (size == 2 && record->data[0] == '\\' && record->data[1] == '.') {
        r->ended = true;
        r->at = r->buffer.size;
        return false;
    }
    return true;
}

/* ---- text fields -------------------------------------------------------------------------------
 */

static int
hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static bool
is_octal(uint8_t c)
{
    return c >= '0' && c <= '7';
}

/* What stands behind a backslash; gives the bytes used of it. */
static size_t
unescape_one(const uint8_t *p, size_t left, uint8_t *out)
{
    static const char from[] = "bfnrtv", to[] = "\b\f\n\r\t\v";
    const char *named = p[0] != '\0' ? memchr(from, p[0], sizeof from - 1) : NULL;
    size_t n = 0;
    int v = 0;

    if (named != NULL) {
        *out = (uint8_t)to[named - from];
        return 1;
    }
    if (is_octal(p[0])) {
        for (; n < 3 && n < left && is_octal(p[n]); n++)
            v = v * 8 + (p[n] - '0');
        *out = (uint8_t)v;
        return n;
    }
    if (p[0] == 'x' && left > 1 && hex_digit(p[1]) >= 0) {
        for (n = 1; n < 3 && n < left && hex_digit(p[n]) >= 0; n++)
            v = v * 16 + hex_digit(p[n]);
        *out = (uint8_t)v;
        return n;
    }
    *out = p[0];
    return 1;
}

static struct slice
unescape(struct arena *a, struct slice raw)
{
    uint8_t *out = arena_alloc(a, raw.size);
    size_t n = 0;

    for (size_t i = 0; i < raw.size; i++) {
        if (raw.data[i] != '\\' || i + 1 == raw.size)
            out[n++] = raw.data[i];
        else
            i += unescape_one(raw.data + i + 1, raw.size - i - 1, &out[n++]);
    }
    return slice(out, n);
}

/* The end of a text field: its delimiter that is not escaped. */
static size_t
text_field_end(const struct copy_options *o, struct slice record, size_t from, bool *escaped)
{
    size_t i = from;

    *escaped = false;
    for (; i < record.size && record.data[i] != (uint8_t)o->delimiter; i++) {
        if (record.data[i] == '\\') {
            *escaped = true;
            i++;
        }
    }
    return i < record.size ? i : record.size;
}

static int
split_text(const struct copy_options *o, struct arena *a, struct slice record, uint32_t max,
           struct copy_field *fields, uint32_t *count)
{
    size_t at = 0;

    *count = 0;
    for (;;) {
        bool escaped;
        size_t end = text_field_end(o, record, at, &escaped);
        struct slice raw = slice(record.data + at, end - at);

        if (*count == max) {
            ++*count;
            return 0;
        }
        fields[*count].was_quoted = false;
        fields[*count].is_null =
            raw.size == o->null_size && memcmp(raw.data, o->null, raw.size) == 0;
        fields[*count].value = escaped && !fields[*count].is_null ? unescape(a, raw) : raw;
        ++*count;
        if (end == record.size)
            return 0;
        at = end + 1;
    }
}

/* ---- CSV fields --------------------------------------------------------------------------------
 */

static int
csv_field(const struct copy_options *o, struct arena *a, struct slice record, size_t *at,
          struct copy_field *f)
{
    uint8_t *out = arena_alloc(a, record.size - *at + 1);
    bool quoted = false;
    size_t i = *at, n = 0;

    f->was_quoted = false;
    for (; i < record.size; i++) {
        uint8_t c = record.data[i];

        if (!quoted && c == (uint8_t)o->delimiter)
            break;
        if (!quoted && c == (uint8_t)o->quote) {
            quoted = f->was_quoted = true;
        } else if (quoted && c == (uint8_t)o->escape && i + 1 < record.size &&
                   (record.data[i + 1] == (uint8_t)o->quote ||
                    record.data[i + 1] == (uint8_t)o->escape)) {
            out[n++] = record.data[++i];
        } else if (quoted && c == (uint8_t)o->quote) {
            quoted = false;
        } else {
            out[n++] = c;
        }
    }
    if (quoted)
        return DIAG(ERR_BAD_COPY_FILE, "unterminated CSV quoted field");
    f->value = slice(out, n);
    f->is_null = !f->was_quoted && n == o->null_size && (n == 0 || memcmp(out, o->null, n) == 0);
    *at = i;
    return 0;
}

static int
split_csv(const struct copy_options *o, struct arena *a, struct slice record, uint32_t max,
          struct copy_field *fields, uint32_t *count)
{
    size_t at = 0;

    *count = 0;
    for (;;) {
        int rc;

        if (*count == max) {
            ++*count;
            return 0;
        }
        rc = csv_field(o, a, record, &at, &fields[*count]);
        if (rc != 0)
            return rc;
        ++*count;
        if (at == record.size)
            return 0;
        at++;
    }
}

int
copy_split(const struct copy_options *o, struct arena *a, struct slice record, uint32_t max,
           struct copy_field *fields, uint32_t *count)
{
    return o->csv ? split_csv(o, a, record, max, fields, count)
                  : split_text(o, a, record, max, fields, count);
}

/* ---- writing -----------------------------------------------------------------------------------
 */

void
copy_put_null(const struct copy_options *o, struct writer *w)
{
    wr_bytes(w, o->null, o->null_size);
}

static char
text_escape(const struct copy_options *o, uint8_t c)
{
    switch (c) {
    case '\b':
        return 'b';
    case '\f':
        return 'f';
    case '\n':
        return 'n';
    case '\r':
        return 'r';
    case '\t':
        return 't';
    case '\v':
        return 'v';
    case '\\':
        return '\\';
    default:
        return c == (uint8_t)o->delimiter ? o->delimiter : '\0';
    }
}

static void
put_text(const struct copy_options *o, struct slice value, struct writer *w)
{
    size_t from = 0;

    for (size_t i = 0; i < value.size; i++) {
        char e = text_escape(o, value.data[i]);

        if (e == '\0')
            continue;
        wr_bytes(w, value.data + from, i - from);
        wr_u8(w, '\\');
        wr_u8(w, (uint8_t)e);
        from = i + 1;
    }
    wr_bytes(w, value.data + from, value.size - from);
}

static bool
csv_needs_quotes(const struct copy_options *o, struct slice value, bool only)
{
    if (value.size == o->null_size &&
        (value.size == 0 || memcmp(value.data, o->null, value.size) == 0))
        return true;
    if (only && value.size == 2 && value.data[0] == '\\' && value.data[1] == '.')
        return true;
    for (size_t i = 0; i < value.size; i++) {
        uint8_t c = value.data[i];

        if (c == (uint8_t)o->delimiter || c == (uint8_t)o->quote || c == '\n' || c == '\r')
            return true;
    }
    return false;
}

void
copy_put_value(const struct copy_options *o, struct slice value, bool force, bool only,
               struct writer *w)
{
    if (!o->csv) {
        put_text(o, value, w);
        return;
    }
    if (!force && !csv_needs_quotes(o, value, only)) {
        wr_slice(w, value);
        return;
    }
    wr_u8(w, (uint8_t)o->quote);
    for (size_t i = 0; i < value.size; i++) {
        uint8_t c = value.data[i];

        if (c == (uint8_t)o->quote || c == (uint8_t)o->escape)
            wr_u8(w, (uint8_t)o->escape);
        wr_u8(w, c);
    }
    wr_u8(w, (uint8_t)o->quote);
}
