/* Kernels of regular expressions. A call site keeps the last pattern compiled.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/types/array.h"
#include "engine/types/func_int.h"
#include "engine/types/regex.h"

enum { SITE_MISSES_MAX = 8 };

struct regex_site {
    struct slice pattern;
    bool no_case;
    int misses; /* with patterns that differ from row to row the site stops keeping them */
    const struct regex *regex;
};

static int
site_regex(struct func_call *call, const struct datum *pattern, bool no_case,
           const struct regex **out)
{
    struct arena *a = call->site_arena != NULL ? call->site_arena : call->arena;
    struct regex_site *s = call->site;
    struct slice p = datum_view(pattern);
    int rc;

    if (s == NULL) {
        s = ARENA_NEW(a, struct regex_site);
        call->site = s;
    }
    if (s->regex != NULL && s->no_case == no_case && slice_eq(s->pattern, p)) {
        *out = s->regex;
        return 0;
    }
    if (s->misses >= SITE_MISSES_MAX)
        return regex_compile(call->arena, p, no_case, out);
    s->misses++;
    s->regex = NULL;
    rc = regex_compile(a, p, no_case, out);
    if (rc != 0)
        return rc;
    s->no_case = no_case;
    s->regex = *out;
    s->pattern = slice(p.size > 0 ? arena_memdup(a, p.data, p.size) : "", p.size);
    return 0;
}

static int
regex_test(struct func_call *call, const struct datum *args, bool no_case, bool negate,
           struct datum *out)
{
    const struct regex *r;
    int rc = site_regex(call, &args[1], no_case, &r);

    if (rc != 0)
        return rc;
    *out = datum_bool(regex_search(r, call->arena, datum_view(&args[0]), 0, NULL) != negate);
    return 0;
}

int
fn_regex(struct func_call *call, const struct datum *args, struct datum *out)
{
    return regex_test(call, args, false, false, out);
}

int
fn_not_regex(struct func_call *call, const struct datum *args, struct datum *out)
{
    return regex_test(call, args, false, true, out);
}

int
fn_iregex(struct func_call *call, const struct datum *args, struct datum *out)
{
    return regex_test(call, args, true, false, out);
}

int
fn_not_iregex(struct func_call *call, const struct datum *args, struct datum *out)
{
    return regex_test(call, args, true, true, out);
}

/* ---- with flags ---------------------------------------------------------------------------- */

static int
parse_flags(const struct datum *flags, bool *no_case, bool *global)
{
    *no_case = *global = false;
    for (uint32_t i = 0; flags != NULL && i < flags->size; i++) {
        switch (flags->p[i]) {
        case 'g':
            *global = true;
            break;
        case 'i':
            *no_case = true;
            break;
        case 'c':
            *no_case = false;
            break;
        case 's':
            break;
        default:
            return DIAG(ERR_NOT_SUPPORTED, "regular expression option \"%.*s\" is not supported",
                        (int)chars_step(flags->p + i, flags->p + flags->size),
                        (const char *)flags->p + i);
        }
    }
    return 0;
}

/* The replacement, with \1 … \9, \& and \\ resolved. */
static void
put_replacement(struct writer *w, struct slice text, struct slice by, const struct regex *r,
                const struct regex_span *spans)
{
    for (size_t i = 0; i < by.size; i++) {
        uint8_t c = by.data[i], next = i + 1 < by.size ? by.data[i + 1] : 0;
        int group = next == '&' ? 0 : next >= '1' && next <= '9' ? next - '0' : -1;
        if (c != '\\' || (group < 0 && next != '\\')) {
            wr_u8(w, c);
            continue;
        }
        i++;
        if (next == '\\')
            wr_u8(w, '\\');
        else if (group <= regex_group_count(r) && spans[group].from >= 0)
            wr_bytes(w, text.data + spans[group].from,
                     (size_t)(spans[group].to - spans[group].from));
    }
}

int
fn_regexp_replace(struct func_call *call, const struct datum *args, struct datum *out)
{
    struct slice text = datum_view(&args[0]);
    struct regex_span spans[REGEX_GROUPS_MAX];
    const struct regex *r;
    bool no_case, global;
    size_t from = 0, copied = 0;
    struct writer w;
    int rc = parse_flags(call->arg_count > 3 ? &args[3] : NULL, &no_case, &global);

    if (rc == 0)
        rc = site_regex(call, &args[1], no_case, &r);
    if (rc != 0)
        return rc;
    wr_init(&w, TEXT_SIZE_MAX);
    while (from <= text.size && regex_search(r, call->arena, text, from, spans)) {
        wr_bytes(&w, text.data + copied, (size_t)spans[0].from - copied);
        put_replacement(&w, text, datum_view(&args[2]), r, spans);
        copied = (size_t)spans[0].to;
        from = copied;
        if (spans[0].to == spans[0].from) /* an empty match: step on */
            from += from < text.size ? chars_step(text.data + from, text.data + text.size) : 1;
        if (!global)
            break;
    }
    wr_bytes(&w, text.data + copied, text.size - copied);
    return text_from_writer(call, &w, out);
}

static struct datum
span_text(const struct datum *text, const struct regex_span *s)
{
    if (s->from < 0)
        return datum_null();
    return datum_bytes(text->p + s->from, (size_t)(s->to - s->from));
}

/* The first group, or the whole match when there is none. */
int
fn_substring_regex(struct func_call *call, const struct datum *args, struct datum *out)
{
    struct regex_span spans[REGEX_GROUPS_MAX];
    const struct regex *r;
    int rc = site_regex(call, &args[1], false, &r);

    if (rc != 0)
        return rc;
    if (!regex_search(r, call->arena, datum_view(&args[0]), 0, spans))
        *out = datum_null();
    else
        *out = span_text(&args[0], &spans[regex_group_count(r) > 0 ? 1 : 0]);
    return 0;
}

int
fn_regexp_match(struct func_call *call, const struct datum *args, struct datum *out)
{
    struct regex_span spans[REGEX_GROUPS_MAX];
    struct datum elems[REGEX_GROUPS_MAX];
    const struct regex *r;
    bool no_case, global;
    int groups, rc = parse_flags(call->arg_count > 2 ? &args[2] : NULL, &no_case, &global);

    if (rc == 0 && global) {
        rc = DIAG(ERR_INVALID_PARAMETER_VALUE,
                  "regexp_match() does not support the \"global\" option");
        diag_hint("Use the regexp_matches function instead.");
    }
    if (rc == 0)
        rc = site_regex(call, &args[1], no_case, &r);
    if (rc != 0)
        return rc;
    if (!regex_search(r, call->arena, datum_view(&args[0]), 0, spans)) {
        *out = datum_null();
        return 0;
    }
    groups = regex_group_count(r);
    for (int i = 0; i < (groups > 0 ? groups : 1); i++)
        elems[i] = span_text(&args[0], &spans[groups > 0 ? i + 1 : 0]);
    *out = array_make(call->arena, TYPE_TEXT, elems, (uint32_t)(groups > 0 ? groups : 1), 1);
    return 0;
}

int
fn_regexp_like(struct func_call *call, const struct datum *args, struct datum *out)
{
    bool no_case, global;
    int rc = parse_flags(call->arg_count > 2 ? &args[2] : NULL, &no_case, &global);

    return rc != 0 ? rc : regex_test(call, args, no_case, false, out);
}

int
fn_regexp_count(struct func_call *call, const struct datum *args, struct datum *out)
{
    struct slice text = datum_view(&args[0]);
    struct regex_span spans[REGEX_GROUPS_MAX];
    const struct regex *r;
    int64_t count = 0;
    size_t from = 0;
    int rc = site_regex(call, &args[1], false, &r);

    if (rc != 0)
        return rc;
    while (from <= text.size && regex_search(r, call->arena, text, from, spans)) {
        count++;
        from = (size_t)spans[0].to;
        if (spans[0].to == spans[0].from)
            from += from < text.size ? chars_step(text.data + from, text.data + text.size) : 1;
    }
    *out = datum_int(count);
    return 0;
}
