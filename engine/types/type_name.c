/* Names of types with their modifiers: parsing, printing, applying.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/types/numeric.h"
#include "engine/types/type.h"
#include "engine/types/type_int.h"

enum {
    VARLENA_HEAD = 4, /* PostgreSQL counts its header in the typmod of varchar and numeric */
    CHAR_LENGTH_MAX = 10485760,
    SECONDS_PRECISION_MAX = 6
};

/* ---- printing ------------------------------------------------------------------------------ */

static void
format_numeric_typmod(int32_t typmod, struct writer *w)
{
    int32_t scale = ((typmod - VARLENA_HEAD) & 0x7ff) ^ 1024;

    wr_u8(w, '(');
    wr_int(w, (typmod - VARLENA_HEAD) >> 16 & 0xffff);
    wr_u8(w, ',');
    wr_int(w, scale - 1024);
    wr_u8(w, ')');
}

static void
format_parens(struct writer *w, int32_t v)
{
    wr_u8(w, '(');
    wr_int(w, v);
    wr_u8(w, ')');
}

void
type_format(oid_t oid, int32_t typmod, struct writer *w)
{
    const struct type *t = type_find(oid);
    bool is_array = t != NULL && t->category == 'A' && t->len == -1 && t->elem_oid != 0 &&
                    t->oid != TYPE_INT2VECTOR && t->oid != TYPE_OIDVECTOR;

    if (t == NULL) {
        wr_str(w, oid == 0 ? "-" : "???");
        return;
    }
    if (is_array)
        t = type_get(t->elem_oid);
    if (t->oid == TYPE_BPCHAR && typmod < 0) {
        wr_str(w, "bpchar");
    } else if (typmod >= 0 &&
               (t->oid == TYPE_TIME || t->oid == TYPE_TIMESTAMP || t->oid == TYPE_TIMESTAMPTZ)) {
        wr_str(w, t->oid == TYPE_TIME ? "time" : "timestamp");
        format_parens(w, typmod);
        wr_str(w, t->oid == TYPE_TIMESTAMPTZ ? " with time zone" : " without time zone");
    } else {
        wr_str(w, t->sql_name);
        if (typmod >= VARLENA_HEAD && t->oid == TYPE_NUMERIC)
            format_numeric_typmod(typmod, w);
        else if (t->oid == TYPE_BPCHAR || t->oid == TYPE_VARCHAR || t->oid == TYPE_NUMERIC) {
            if (typmod > VARLENA_HEAD)
                format_parens(w, typmod - VARLENA_HEAD);
        } else if (t->oid == TYPE_INTERVAL) {
            if (typmod >= 0 && (typmod & 0xffff) != 0xffff)
                format_parens(w, typmod & 0xffff);
        } else if (typmod >= 0 && strcmp(t->sql_name, t->name) == 0) {
            /* Types of no modifiers show it as it is, but for those SQL has names for. */
            format_parens(w, typmod);
        }
    }
    if (is_array)
        wr_str(w, "[]");
}

const char *
type_format_str(struct arena *a, oid_t oid, int32_t typmod)
{
    uint8_t buf[128];
    struct writer w;

    wr_init_fixed(&w, buf, sizeof buf);
    type_format(oid, typmod, &w);
    return arena_strndup(a, (const char *)buf, w.size);
}

/* ---- parsing ------------------------------------------------------------------------------- */

enum { TOKEN_MAX = 64 };

struct name_scan {
    const uint8_t *at, *end;
    uint8_t token[TOKEN_MAX]; /* a folded word, or one character of punctuation; NUL-ended */
    size_t size;              /* 0 at the end */
    bool is_quoted, is_word, is_number;
};

static void
scan_quoted(struct name_scan *s)
{
    s->at++;
    s->is_word = s->is_quoted = true;
    while (s->at < s->end) {
        if (*s->at == '"') {
            if (s->end - s->at < 2 || s->at[1] != '"') {
                s->at++;
                return;
            }
            s->at++;
        }
        if (s->size < TOKEN_MAX - 1)
            s->token[s->size++] = *s->at;
        s->at++;
    }
}

static void
scan_next(struct name_scan *s)
{
    while (s->at < s->end && ascii_is_space(*s->at))
        s->at++;
    s->size = 0;
    s->is_quoted = s->is_word = s->is_number = false;
    if (s->at < s->end && *s->at == '"') {
        scan_quoted(s);
    } else if (s->at < s->end) {
        uint8_t c = *s->at;
        s->is_number = ascii_is_digit(c);
        s->is_word = ascii_is_alpha(c) || c == '_' || c >= 0x80;
        do {
            if (s->size < TOKEN_MAX - 1)
                s->token[s->size++] = ascii_lower(*s->at);
            s->at++;
        } while (
            (s->is_word || s->is_number) && s->at < s->end &&
            (ascii_is_alpha(*s->at) || ascii_is_digit(*s->at) || *s->at == '_' || *s->at >= 0x80));
    }
    s->token[s->size] = 0;
}

static bool
scan_take(struct name_scan *s, const char *token)
{
    if (s->is_quoted || s->size != strlen(token) || memcmp(s->token, token, s->size) != 0)
        return false;
    scan_next(s);
    return true;
}

static int
scan_mods(struct name_scan *s, int32_t mods[2], int *count)
{
    *count = 0;
    if (!scan_take(s, "("))
        return 0;
    do {
        bool neg = scan_take(s, "-");
        int64_t v = 0;
        if (!s->is_number || s->size > 9 || *count == 2)
            return -1;
        for (size_t i = 0; i < s->size; i++) {
            if (!ascii_is_digit(s->token[i]))
                return -1;
            v = v * 10 + (s->token[i] - '0');
        }
        mods[(*count)++] = (int32_t)(neg ? -v : v);
        scan_next(s);
    } while (scan_take(s, ","));
    return scan_take(s, ")") ? 0 : -1;
}

/* The words of SQL's own type names that take more than one. 0: not one of these. */
static oid_t
scan_sql_name(struct name_scan *s)
{
    if (scan_take(s, "double"))
        return scan_take(s, "precision") ? TYPE_FLOAT8 : 0;
    if (scan_take(s, "character") || scan_take(s, "char") || scan_take(s, "nchar"))
        return scan_take(s, "varying") ? TYPE_VARCHAR : TYPE_BPCHAR;
    if (scan_take(s, "timestamp"))
        return TYPE_TIMESTAMP;
    if (scan_take(s, "time"))
        return TYPE_TIME;
    return 0;
}

/* "with time zone" or "without time zone" after time and timestamp. */
static oid_t
scan_zone_words(struct name_scan *s, oid_t oid)
{
    bool with = scan_take(s, "with"), without = !with && scan_take(s, "without");

    if (!with && !without)
        return oid;
    if (!scan_take(s, "time") || !scan_take(s, "zone"))
        return 0;
    if (with)
        return oid == TYPE_TIMESTAMP ? TYPE_TIMESTAMPTZ : 0; /* there is no timetz */
    return oid;
}

static int
undefined_type(struct slice text)
{
    return DIAG(ERR_UNDEFINED_OBJECT, "type \"%.*s\" does not exist", SLICE_ARGS(text));
}

static int
bad_type_name(struct slice text)
{
    return DIAG(ERR_SYNTAX, "invalid type name \"%.*s\"", SLICE_ARGS(text));
}

int
type_parse(struct slice text, oid_t *oid, int32_t *typmod)
{
    struct name_scan s = { .at = text.data, .end = text.data + text.size };
    int32_t mods[2];
    int mod_count;
    bool has_schema = false;
    oid_t found = 0;
    const struct type *t;

    scan_next(&s);
    if (!s.is_word)
        return bad_type_name(text);
    if (!s.is_quoted)
        found = scan_sql_name(&s);
    while (found == 0) {
        struct name_scan before = s;
        scan_next(&s);
        if (!has_schema && scan_take(&s, ".")) {
            if (strcmp((char *)before.token, "pg_catalog") != 0 || !s.is_word)
                return undefined_type(text);
            has_schema = true;
            continue;
        }
        t = type_by_name(slice(before.token, before.size));
        if (t == NULL)
            return undefined_type(text);
        found = t->oid;
    }
    if (scan_mods(&s, mods, &mod_count) != 0)
        return bad_type_name(text);
    if (found == TYPE_TIME || found == TYPE_TIMESTAMP) {
        found = scan_zone_words(&s, found);
        if (found == 0)
            return undefined_type(text);
    }
    *typmod = -1;
    if (mod_count > 0) {
        int rc = type_typmod(found, mods, mod_count, typmod);
        if (rc != 0)
            return rc;
    } else if (found == TYPE_BPCHAR && slice_eq_nocase(slice_trim_space(text), "character")) {
        *typmod = VARLENA_HEAD + 1;
    }
    if (scan_take(&s, "[")) {
        if (s.is_number)
            scan_next(&s);
        if (!scan_take(&s, "]"))
            return bad_type_name(text);
        found = type_get(found)->array_oid;
        if (found == 0)
            return undefined_type(text);
    }
    if (s.size != 0)
        return bad_type_name(text);
    *oid = found;
    return 0;
}

/* ---- modifiers ----------------------------------------------------------------------------- */

static int
typmod_char(const char *name, const int32_t *mods, int count, int32_t *typmod)
{
    if (count != 1)
        return DIAG(ERR_INVALID_PARAMETER_VALUE, "invalid type modifier");
    if (mods[0] < 1)
        return DIAG(ERR_INVALID_PARAMETER_VALUE, "length for type %s must be at least 1", name);
    if (mods[0] > CHAR_LENGTH_MAX)
        return DIAG(ERR_INVALID_PARAMETER_VALUE, "length for type %s cannot exceed %d", name,
                    CHAR_LENGTH_MAX);
    *typmod = mods[0] + VARLENA_HEAD;
    return 0;
}

static int
typmod_numeric(const int32_t *mods, int count, int32_t *typmod)
{
    int32_t scale = count == 2 ? mods[1] : 0;

    if (count > 2)
        return DIAG(ERR_INVALID_PARAMETER_VALUE, "invalid NUMERIC type modifier");
    if (mods[0] < 1 || mods[0] > NUMERIC_PRECISION_MAX)
        return DIAG(ERR_INVALID_PARAMETER_VALUE, "NUMERIC precision %d must be between 1 and %d",
                    mods[0], NUMERIC_PRECISION_MAX);
    if (scale < -NUMERIC_SCALE_MAX || scale > NUMERIC_SCALE_MAX)
        return DIAG(ERR_INVALID_PARAMETER_VALUE, "NUMERIC scale %d must be between %d and %d",
                    scale, -NUMERIC_SCALE_MAX, NUMERIC_SCALE_MAX);
    *typmod = (mods[0] << 16 | (scale & 0x7ff)) + VARLENA_HEAD;
    return 0;
}

/* More than six digits become six, with a warning in PostgreSQL. */
static int
typmod_seconds(const char *what, const int32_t *mods, int count, int32_t *typmod)
{
    if (count != 1)
        return DIAG(ERR_INVALID_PARAMETER_VALUE, "invalid type modifier");
    if (mods[0] < 0)
        return DIAG(ERR_INVALID_PARAMETER_VALUE, "%s(%d) precision must not be negative", what,
                    mods[0]);
    *typmod = mods[0] > SECONDS_PRECISION_MAX ? SECONDS_PRECISION_MAX : mods[0];
    return 0;
}

int
type_typmod(oid_t oid, const int32_t *mods, int count, int32_t *typmod)
{
    if (count == 0) {
        *typmod = -1;
        return 0;
    }
    switch (oid) {
    case TYPE_VARCHAR:
        return typmod_char("varchar", mods, count, typmod);
    case TYPE_BPCHAR:
        return typmod_char("char", mods, count, typmod);
    case TYPE_NUMERIC:
        return typmod_numeric(mods, count, typmod);
    case TYPE_TIME:
        return typmod_seconds("TIME", mods, count, typmod);
    case TYPE_TIMESTAMP:
        return typmod_seconds("TIMESTAMP", mods, count, typmod);
    case TYPE_TIMESTAMPTZ:
        return typmod_seconds("TIMESTAMP WITH TIME ZONE", mods, count, typmod);
    default:
        return DIAG(ERR_SYNTAX, "type modifier is not allowed for type \"%s\"",
                    type_get(oid)->name);
    }
}

static bool
all_blanks(const uint8_t *p, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (p[i] != ' ')
            return false;
    }
    return true;
}

static int
coerce_varchar(int32_t max_chars, bool is_explicit, const struct datum *in, struct datum *out)
{
    size_t keep;

    *out = *in;
    if (in->size <= (uint32_t)max_chars)
        return 0;
    keep = chars_prefix(datum_view(in), (size_t)max_chars);
    if (!is_explicit && !all_blanks(in->p + keep, in->size - keep))
        return DIAG(ERR_STRING_TRUNCATION, "value too long for type character varying(%d)",
                    max_chars);
    out->size = (uint32_t)keep;
    return 0;
}

static int
coerce_bpchar(int32_t chars, bool is_explicit, struct arena *a, const struct datum *in,
              struct datum *out)
{
    size_t count = chars_count(datum_view(in)), pad;
    uint8_t *p;

    *out = *in;
    if (count == (size_t)chars)
        return 0;
    if (count > (size_t)chars) {
        size_t keep = chars_prefix(datum_view(in), (size_t)chars);
        if (!is_explicit && !all_blanks(in->p + keep, in->size - keep))
            return DIAG(ERR_STRING_TRUNCATION, "value too long for type character(%d)", chars);
        out->size = (uint32_t)keep;
        return 0;
    }
    pad = (size_t)chars - count;
    p = arena_try_alloc(a, in->size + pad);
    if (p == NULL)
        return ERR_NOMEM;
    if (in->size > 0)
        memcpy(p, in->p, in->size);
    memset(p + in->size, ' ', pad);
    *out = datum_bytes(p, in->size + pad);
    return 0;
}

/* Rounds microseconds to `digits` decimals of a second, half away from zero. */
static int64_t
round_us(int64_t us, int32_t digits)
{
    static const int32_t units[] = { 1000000, 100000, 10000, 1000, 100, 10, 1 };
    int64_t unit = units[digits], half = unit / 2;

    if (unit == 1)
        return us;
    return us >= 0 ? (us + half) / unit * unit : -((-us + half) / unit * unit);
}

int
type_coerce_typmod(oid_t oid, int32_t typmod, bool is_explicit, struct arena *a,
                   const struct datum *in, struct datum *out)
{
    *out = *in;
    if (typmod < 0 || in->is_null)
        return 0;
    switch (oid) {
    case TYPE_VARCHAR:
        return typmod < VARLENA_HEAD ? 0
                                     : coerce_varchar(typmod - VARLENA_HEAD, is_explicit, in, out);
    case TYPE_BPCHAR:
        return typmod < VARLENA_HEAD
                   ? 0
                   : coerce_bpchar(typmod - VARLENA_HEAD, is_explicit, a, in, out);
    case TYPE_NUMERIC:
        return numeric_apply_typmod(a, typmod, in, out);
    case TYPE_TIME:
    case TYPE_TIMESTAMP:
    case TYPE_TIMESTAMPTZ:
        if (typmod < SECONDS_PRECISION_MAX && in->i != INT64_MIN && in->i != INT64_MAX)
            out->i = round_us(in->i, typmod);
        return 0;
    default:
        return 0;
    }
}
