/* Reading and writing redoubt.yaml.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "conf/conf.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <yaml.h>

#include "conf/conf_int.h"
#include "engine/base/bytes.h"
#include "engine/base/env.h"
#include "engine/base/mem.h"

enum { FILE_SIZE_MAX = 1 << 20, LINES_MAX = 64 };

/* ---- life ----------------------------------------------------------------------------------- */

struct conf *
conf_new_default(void)
{
    struct conf *c = xcalloc(1, sizeof *c);

    for (int i = 0; i < conf_schema_count; i++) {
        const struct conf_key *k = &conf_schema[i];

        if (k->type != CONF_NAME)
            CHECK(conf_key_set(k, c, k->initial));
    }
    return c;
}

void
conf_free(struct conf *c)
{
    if (c == NULL)
        return;
    for (int i = 0; i < conf_schema_count; i++)
        conf_key_clear(&conf_schema[i], c);
    xfree(c);
}

/* ---- reading -------------------------------------------------------------------------------- */

struct parse {
    const char *path;
    struct conf *conf;
    yaml_parser_t yaml;
    yaml_event_t event; /* the current one */
    bool has_event;
    size_t line_of[LINES_MAX]; /* per key of the schema: where it was given; 0: not yet */
};

/* file:line: message */
PRINTF_LIKE(3, 4)
static int
parse_error(const struct parse *p, size_t line, const char *fmt, ...)
{
    char message[400];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(message, sizeof message, fmt, ap);
    va_end(ap);
    return DIAG(ERR_CONFIG_FILE, "%s:%zu: %s", p->path, line, message);
}

static size_t
line_of(const struct parse *p)
{
    return p->event.start_mark.line + 1;
}

static int
next_event(struct parse *p)
{
    if (p->has_event)
        yaml_event_delete(&p->event);
    p->has_event = yaml_parser_parse(&p->yaml, &p->event) == 1;
    if (!p->has_event)
        return parse_error(p, p->yaml.problem_mark.line + 1, "not YAML: %s",
                           p->yaml.problem != NULL ? p->yaml.problem : "bad text");
    if (p->event.type == YAML_ALIAS_EVENT)
        return parse_error(p, line_of(p), "aliases are not allowed here");
    return 0;
}

/* The scalar's text; NULL if it holds a NUL byte. */
static const char *
scalar_text(const struct parse *p)
{
    const char *text = (const char *)p->event.data.scalar.value;

    return strlen(text) == p->event.data.scalar.length ? text : NULL;
}

static int
bad_value(const struct parse *p, const struct conf_key *k)
{
    char expected[200];
    const char *text = p->event.type == YAML_SCALAR_EVENT ? scalar_text(p) : NULL;

    conf_key_expected(k, expected, sizeof expected);
    if (text == NULL)
        return parse_error(p, line_of(p), "%s: expected %s", k->name, expected);
    return parse_error(p, line_of(p), "%s: expected %s, not \"%.60s\"", k->name, expected, text);
}

static int
set_scalar(struct parse *p, const struct conf_key *k)
{
    const char *text = p->event.type == YAML_SCALAR_EVENT ? scalar_text(p) : NULL;

    return text != NULL && conf_key_set(k, p->conf, text) ? 0 : bad_value(p, k);
}

/* The value of a key; the event is its first. */
static int
parse_value(struct parse *p, const struct conf_key *k, size_t line)
{
    size_t *before = &p->line_of[k - conf_schema];
    int rc;

    if (*before != 0)
        return parse_error(p, line, "%s: given twice, first in line %zu", k->name, *before);
    *before = line;
    if (k->type != CONF_ADDRESSES)
        return set_scalar(p, k);
    conf_key_clear(k, p->conf);
    if (p->event.type != YAML_SEQUENCE_START_EVENT)
        return set_scalar(p, k);
    for (;;) {
        rc = next_event(p);
        if (rc != 0 || p->event.type == YAML_SEQUENCE_END_EVENT)
            return rc;
        rc = set_scalar(p, k);
        if (rc != 0)
            return rc;
    }
}

static int
unknown_key(const struct parse *p, const char *name, size_t line)
{
    const char *nearest = conf_key_nearest(name);
    int rc = parse_error(p, line, "unknown key \"%.80s\"", name);

    if (nearest != NULL)
        diag_hint("Perhaps \"%s\" is meant.", nearest);
    return rc;
}

static bool
is_section(const char *name)
{
    size_t n = strlen(name);

    for (int i = 0; i < conf_schema_count; i++)
        if (strncmp(conf_schema[i].name, name, n) == 0 && conf_schema[i].name[n] == '.')
            return true;
    return false;
}

/* Reads the name of a key into out as section.name. */
static int
parse_key(struct parse *p, const char *section, char *out, size_t size, size_t *line)
{
    const char *text = p->event.type == YAML_SCALAR_EVENT ? scalar_text(p) : NULL;

    *line = line_of(p);
    if (text == NULL)
        return parse_error(p, *line, "expected a key");
    snprintf(out, size, "%s%s%s", section, section[0] != '\0' ? "." : "", text);
    return 0;
}

/* The keys of one section; the event is its value's first. An empty one is allowed. */
static int
parse_section(struct parse *p, const char *section)
{
    char name[256];
    size_t line;
    int rc;

    if (p->event.type == YAML_SCALAR_EVENT && p->event.data.scalar.length == 0)
        return 0;
    if (p->event.type != YAML_MAPPING_START_EVENT)
        return parse_error(p, line_of(p), "%s: expected keys below it", section);
    for (;;) {
        const struct conf_key *k;

        rc = next_event(p);
        if (rc != 0 || p->event.type == YAML_MAPPING_END_EVENT)
            return rc;
        rc = parse_key(p, section, name, sizeof name, &line);
        if (rc != 0)
            return rc;
        k = conf_key_find(name);
        if (k == NULL)
            return unknown_key(p, name, line);
        rc = next_event(p);
        if (rc == 0)
            rc = parse_value(p, k, line);
        if (rc != 0)
            return rc;
    }
}

static int
parse_top_key(struct parse *p)
{
    const struct conf_key *k;
    char name[256];
    size_t line;
    int rc = parse_key(p, "", name, sizeof name, &line);

    if (rc != 0)
        return rc;
    k = conf_key_find(name);
    if (k == NULL && !is_section(name))
        return unknown_key(p, name, line);
    rc = next_event(p);
    if (rc != 0)
        return rc;
    return k != NULL ? parse_value(p, k, line) : parse_section(p, name);
}

static int
parse_document(struct parse *p)
{
    int rc;

    do {
        rc = next_event(p);
        if (rc != 0)
            return rc;
        if (p->event.type == YAML_STREAM_END_EVENT)
            return 0;
    } while (
        p->event.type != YAML_MAPPING_START_EVENT &&
        (p->event.type == YAML_STREAM_START_EVENT || p->event.type == YAML_DOCUMENT_START_EVENT));
    if (p->event.type != YAML_MAPPING_START_EVENT)
        return parse_error(p, line_of(p), "expected keys, as in \"name: A\"");
    for (;;) {
        rc = next_event(p);
        if (rc != 0)
            return rc;
        if (p->event.type == YAML_MAPPING_END_EVENT)
            break;
        rc = parse_top_key(p);
        if (rc != 0)
            return rc;
    }
    do {
        rc = next_event(p);
        if (rc != 0)
            return rc;
        if (p->event.type == YAML_DOCUMENT_START_EVENT)
            return parse_error(p, line_of(p), "a second document begins here");
    } while (p->event.type != YAML_STREAM_END_EVENT);
    return 0;
}

/* A link that is quiet for net_timeout is dead: a heartbeat that is late must not look like that.
 */
static int
check_guard(struct parse *p)
{
    const struct conf *c = p->conf;
    size_t line = 1;

    if (c->guard_net_timeout_ms >= 3 * c->guard_heartbeat_ms)
        return 0;
    for (int i = 0; i < conf_schema_count; i++)
        if (strncmp(conf_schema[i].name, "guard.", 6) == 0 && p->line_of[i] > line &&
            strcmp(conf_schema[i].name, "guard.listen") != 0)
            line = p->line_of[i];
    return parse_error(p, line,
                       "guard.net_timeout: expected at least three times guard.heartbeat (%lldms), "
                       "not %lldms",
                       (long long)c->guard_heartbeat_ms, (long long)c->guard_net_timeout_ms);
}

int
conf_parse(const char *path, const char *text, size_t size, struct conf **out)
{
    struct parse p = { .path = path };
    int rc;

    CHECK(conf_schema_count <= LINES_MAX);
    *out = NULL;
    if (yaml_parser_initialize(&p.yaml) != 1)
        return DIAG(ERR_NOMEM, "out of memory");
    p.conf = conf_new_default();
    yaml_parser_set_encoding(&p.yaml, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&p.yaml, (const unsigned char *)text, size);
    rc = parse_document(&p);
    if (rc == 0 && p.conf->name == NULL)
        rc = parse_error(&p, 1, "name: is missing");
    if (rc == 0)
        rc = check_guard(&p);
    if (p.has_event)
        yaml_event_delete(&p.event);
    yaml_parser_delete(&p.yaml);
    if (rc != 0) {
        conf_free(p.conf);
        return rc;
    }
    *out = p.conf;
    return 0;
}

int
conf_load(struct env *env, const char *path, struct conf **out)
{
    struct env_file *file;
    uint64_t size;
    size_t got;
    char *text = NULL;
    int rc;

    *out = NULL;
    rc = env_open(env, path, ENV_READ, &file);
    if (rc != 0)
        return rc;
    rc = env_size(file, &size);
    if (rc == 0 && size > FILE_SIZE_MAX)
        rc = DIAG(ERR_CONFIG_FILE, "%s: larger than %d bytes", path, FILE_SIZE_MAX);
    if (rc == 0) {
        text = xmalloc(size + 1);
        rc = env_pread(file, text, size, 0, &got);
    }
    env_close(file);
    if (rc == 0)
        rc = conf_parse(path, text, got, out);
    xfree(text);
    return rc;
}

/* ---- writing -------------------------------------------------------------------------------- */

static void
put(struct writer *w, const char *text)
{
    wr_bytes(w, text, strlen(text));
}

static void
put_doc(struct writer *w, const char *indent, const char *doc)
{
    while (*doc != '\0') {
        size_t n = strcspn(doc, "\n");

        put(w, indent);
        put(w, "# ");
        wr_bytes(w, doc, n);
        put(w, "\n");
        doc += n + (doc[n] == '\n');
    }
}

/* Quoted where YAML might take it for something else. */
static void
put_value(struct writer *w, const struct conf_key *k, const char *value)
{
    bool list = k->type == CONF_ADDRESSES;
    bool quote = list || value[0] == '\0' || k->type <= CONF_ADDRESS;

    put(w, list ? "[" : "");
    put(w, quote ? "\"" : "");
    put(w, value);
    put(w, quote ? "\"" : "");
    put(w, list ? "]\n" : "\n");
}

void
conf_write_sample(struct writer *w, const char *name, const char *sql, const char *guard)
{
    char section[CONF_KEY_MAX] = "";

    put(w,
        "# A member of a Redoubt configuration. Every key is listed; what is commented out has\n"
        "# its default. Sizes: 64MB, 1GB (powers of 1024). Times: 250ms, 5s, 10min, 1h, 7d.\n\n");
    for (int i = 0; i < conf_schema_count; i++) {
        const struct conf_key *k = &conf_schema[i];
        const char *dot = strchr(k->name, '.'), *given = NULL;
        size_t n = dot == NULL ? 0 : (size_t)(dot - k->name);

        if (n > 0 && (strlen(section) != n || memcmp(section, k->name, n) != 0)) {
            snprintf(section, sizeof section, "%.*s", (int)n, k->name);
            put(w, "\n");
            put(w, section);
            put(w, ":\n");
        }
        if (strcmp(k->name, "name") == 0)
            given = name;
        else if (strcmp(k->name, "sql.listen") == 0)
            given = sql != NULL ? sql : k->initial;
        else if (strcmp(k->name, "guard.listen") == 0)
            given = guard != NULL ? guard : k->initial;
        put_doc(w, n > 0 ? "  " : "", k->doc);
        put(w, n > 0 ? "  " : "");
        put(w, given == NULL ? "# " : "");
        put(w, n > 0 ? dot + 1 : k->name);
        put(w, ": ");
        put_value(w, k, given != NULL ? given : k->initial);
    }
}
