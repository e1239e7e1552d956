/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/types/array.h"

#include "engine/types/func.h"
#include "engine/types/type_int.h"

enum { SIZE_NULL = 0xffffffff };

struct datum
array_make(struct arena *a, oid_t elem_type, const struct datum *elems, uint32_t count,
           int32_t lower_bound)
{
    const struct type *t = type_get(elem_type);
    size_t size = ARRAY_HEAD_SIZE;
    uint8_t *p, *at;

    for (uint32_t i = 0; i < count; i++)
        size += 4 + (elems[i].is_null ? 0 : t->row_size > 0 ? t->row_size : elems[i].size);
    p = arena_alloc(a, size);
    store_u32(p, elem_type);
    store_u32(p + 4, count);
    store_u32(p + 8, (uint32_t)lower_bound);
    at = p + ARRAY_HEAD_SIZE;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t n = t->row_size > 0 ? t->row_size : elems[i].size;
        if (elems[i].is_null) {
            store_u32(at, SIZE_NULL);
            at += 4;
            continue;
        }
        store_u32(at, n);
        if (t->row_size > 0)
            fixed_store(t, at + 4, &elems[i]);
        else if (n > 0)
            memcpy(at + 4, elems[i].p, n);
        at += 4 + n;
    }
    return datum_bytes(p, size);
}

uint32_t
array_count(const struct datum *array)
{
    return array->size < ARRAY_HEAD_SIZE ? 0 : load_u32(array->p + 4);
}

int32_t
array_lower_bound(const struct datum *array)
{
    return array->size < ARRAY_HEAD_SIZE ? 1 : (int32_t)load_u32(array->p + 8);
}

oid_t
array_elem_type(const struct datum *array)
{
    return array->size < ARRAY_HEAD_SIZE ? 0 : load_u32(array->p);
}

void
array_iter_init(struct array_iter *it, const struct datum *array)
{
    oid_t elem;

    *it = (struct array_iter){ .left = 0 };
    rd_init(&it->r, array->p, array->size);
    elem = rd_u32(&it->r);
    it->left = rd_u32(&it->r);
    rd_u32(&it->r);
    it->elem = type_find(elem);
    if (!rd_ok(&it->r) || it->elem == NULL)
        it->left = 0;
}

bool
array_next(struct array_iter *it, struct datum *elem)
{
    uint32_t size;
    const uint8_t *p;

    if (it->left == 0)
        return false;
    it->left--;
    size = rd_u32(&it->r);
    if (rd_ok(&it->r) && size == SIZE_NULL) {
        *elem = datum_null();
        return true;
    }
    p = rd_bytes(&it->r, size);
    if (!rd_ok(&it->r) || (it->elem->row_size > 0 && it->elem->row_size != size)) {
        it->left = 0;
        return false;
    }
    *elem = it->elem->row_size > 0 ? fixed_load(it->elem, p) : datum_bytes(p, size);
    if (!fixed_check(it->elem, elem)) {
        it->left = 0;
        return false;
    }
    return true;
}

struct datum
array_get(const struct datum *array, int64_t subscript)
{
    struct array_iter it;
    struct datum elem;
    int64_t at = array_lower_bound(array);

    array_iter_init(&it, array);
    while (array_next(&it, &elem)) {
        if (at++ == subscript)
            return elem;
    }
    return datum_null();
}

int
array_any(struct func_call *call, const struct datum *value, const struct datum *array, bool is_all,
          struct datum *out)
{
    struct array_iter it;
    struct datum args[2], r;
    bool saw_null = false;

    *out = datum_null();
    if (array->is_null)
        return 0;
    args[0] = *value;
    array_iter_init(&it, array);
    while (array_next(&it, &args[1])) {
        int rc = func_apply(call, args, &r);
        if (rc != 0)
            return rc;
        if (r.is_null) {
            saw_null = true;
        } else if ((r.i != 0) != is_all) {
            *out = datum_bool(!is_all);
            return 0;
        }
    }
    *out = saw_null ? datum_null() : datum_bool(is_all);
    return 0;
}

/* ---- order --------------------------------------------------------------------------------- */

int
cmp_array(const struct type *t, const struct datum *a, const struct datum *b)
{
    struct array_iter ia, ib;
    struct datum ea, eb;

    (void)t;
    array_iter_init(&ia, a);
    array_iter_init(&ib, b);
    for (;;) {
        bool ha = array_next(&ia, &ea), hb = array_next(&ib, &eb);
        int c;
        if (!ha || !hb)
            return ha ? 1 : hb ? -1 : 0;
        if (ea.is_null || eb.is_null)
            c = ea.is_null - eb.is_null;
        else
            c = ia.elem->cmp(ia.elem, &ea, &eb);
        if (c != 0)
            return c;
    }
}

uint64_t
hash_array(const struct type *t, const struct datum *d)
{
    struct array_iter it;
    struct datum e;
    uint64_t h = 1;

    (void)t;
    array_iter_init(&it, d);
    while (array_next(&it, &e))
        h = mix64(h * 31 + type_hash(it.elem->oid, &e));
    return h;
}

/* ---- text ---------------------------------------------------------------------------------- */

static int
bad_literal(struct slice text, const char *detail)
{
    int rc = DIAG(ERR_INVALID_TEXT, "malformed array literal: \"%.*s\"", SLICE_ARGS(text));

    diag_detail("%s", detail);
    return rc;
}

struct array_parse {
    const struct type *elem;
    const struct type_env *env;
    struct arena *a;
    struct slice text;
    const uint8_t *at, *end;
    int32_t typmod;
    struct datum *elems;
    uint32_t count, cap;
    uint8_t *room; /* for the tokens: as long as the text */
};

static void
parse_space(struct array_parse *p)
{
    while (p->at < p->end && ascii_is_space(*p->at))
        p->at++;
}

/* One element into its own bytes; quotes and backslashes resolved. */
static int
parse_token(struct array_parse *p, struct slice *token, bool *was_quoted)
{
    uint8_t *buf = p->room;
    size_t n = 0, solid = 0;
    bool in_quotes = false, is_closed = false, has_escape = false;

    *was_quoted = false;
    for (; p->at < p->end; p->at++) {
        uint8_t c = *p->at;
        if (c == '"') {
            if (!in_quotes && (n > 0 || *was_quoted))
                return bad_literal(p->text, "Unexpected array element.");
            in_quotes = !in_quotes;
            *was_quoted = is_closed = true;
            solid = n;
        } else if (c == '\\') {
            if (++p->at == p->end)
                return bad_literal(p->text, "Unexpected end of input.");
            buf[n++] = *p->at;
            solid = n;
            has_escape = true;
        } else if (!in_quotes && (c == ',' || c == '}' || c == '{')) {
            break;
        } else if (!in_quotes && is_closed && !ascii_is_space(c)) {
            return bad_literal(p->text, "Unexpected array element.");
        } else {
            buf[n++] = c;
            if (in_quotes || !ascii_is_space(c))
                solid = n;
        }
    }
    *was_quoted |= has_escape;
    if (in_quotes || p->at == p->end)
        return bad_literal(p->text, "Unexpected end of input.");
    *token = slice(buf, solid);
    p->room += n;
    return 0;
}

static int
parse_element(struct array_parse *p)
{
    struct slice token;
    bool was_quoted;
    int rc;

    if (p->count == p->cap) {
        struct datum *more;
        if (p->count >= ARRAY_ELEMENTS_MAX)
            return DIAG(ERR_LIMIT, "array size exceeds the maximum allowed (%d)",
                        ARRAY_ELEMENTS_MAX);
        more = arena_alloc(p->a, sizeof *more * (p->cap = p->cap * 2 + 8));
        if (p->count > 0)
            memcpy(more, p->elems, sizeof *more * p->count);
        p->elems = more;
    }
    parse_space(p);
    if (p->at < p->end && *p->at == '{')
        return DIAG(ERR_NOT_SUPPORTED, "arrays of more than one dimension are not supported");
    rc = parse_token(p, &token, &was_quoted);
    if (rc != 0)
        return rc;
    if (*p->at == '{')
        return bad_literal(p->text, "Unexpected \"{\" character.");
    if (token.size == 0 && !was_quoted)
        return bad_literal(p->text, *p->at == ',' ? "Unexpected \",\" character."
                                                  : "Unexpected \"}\" character.");
    if (!was_quoted && slice_eq_nocase(token, "null")) {
        p->elems[p->count++] = datum_null();
        return 0;
    }
    return p->elem->in(p->elem, p->env, p->a, token, p->typmod, &p->elems[p->count++]);
}

int
array_in(const struct type *t, const struct type_env *env, struct arena *a, struct slice text,
         int32_t typmod, struct datum *out)
{
    struct array_parse p = { .elem = type_get(t->elem_oid),
                             .env = env,
                             .a = a,
                             .text = text,
                             .at = text.data,
                             .end = text.data + text.size,
                             .typmod = typmod };
    int rc;

    p.room = arena_alloc(a, text.size + 1);
    parse_space(&p);
    if (p.at < p.end && *p.at == '[')
        return DIAG(ERR_NOT_SUPPORTED, "array bounds in array literals are not supported");
    if (p.at == p.end || *p.at != '{')
        return bad_literal(text, "Array value must start with \"{\" or dimension information.");
    p.at++;
    parse_space(&p);
    if (p.at < p.end && *p.at == '}') {
        p.at++;
    } else {
        for (;;) {
            rc = parse_element(&p);
            if (rc != 0)
                return rc;
            if (*p.at++ == '}')
                break;
        }
    }
    parse_space(&p);
    if (p.at != p.end)
        return bad_literal(text, "Junk after closing right brace.");
    *out = array_make(a, p.elem->oid, p.elems, p.count, 1);
    return 0;
}

static bool
needs_quotes(struct slice s)
{
    if (s.size == 0 || slice_eq_nocase(s, "null"))
        return true;
    for (size_t i = 0; i < s.size; i++) {
        uint8_t c = s.data[i];
        if (c == '"' || c == '\\' || c == '{' || c == '}' || c == ',' || ascii_is_space(c))
            return true;
    }
    return false;
}

static void
put_element(const struct type *elem, const struct type_env *env, const struct datum *d,
            struct writer *w)
{
    struct writer tmp;

    wr_init(&tmp, 0);
    elem->out(elem, env, d, &tmp);
    if (!needs_quotes(wr_view(&tmp))) {
        wr_slice(w, wr_view(&tmp));
    } else {
        wr_u8(w, '"');
        for (size_t i = 0; i < tmp.size; i++) {
            if (tmp.data[i] == '"' || tmp.data[i] == '\\')
                wr_u8(w, '\\');
            wr_u8(w, tmp.data[i]);
        }
        wr_u8(w, '"');
    }
    wr_fini(&tmp);
}

void
array_out(const struct type *t, const struct type_env *env, const struct datum *d, struct writer *w)
{
    struct array_iter it;
    struct datum e;
    int32_t lower = array_lower_bound(d);
    bool first = true;

    (void)t;
    array_iter_init(&it, d);
    if (lower != 1 && it.left > 0) {
        wr_u8(w, '[');
        wr_int(w, lower);
        wr_u8(w, ':');
        wr_int(w, (int64_t)lower + it.left - 1);
        wr_str(w, "]=");
    }
    wr_u8(w, '{');
    while (array_next(&it, &e)) {
        if (!first)
            wr_u8(w, ',');
        first = false;
        if (e.is_null)
            wr_str(w, "NULL");
        else
            put_element(it.elem, env, &e, w);
    }
    wr_u8(w, '}');
}

/* int2vector and oidvector: numbers with blanks between. */
int
vector_in(const struct type *t, const struct type_env *env, struct arena *a, struct slice text,
          int32_t typmod, struct datum *out)
{
    const struct type *elem = type_get(t->elem_oid);
    const uint8_t *p = text.data, *end = p + text.size;
    struct datum *elems = arena_alloc(a, sizeof *elems * (text.size / 2 + 1));
    uint32_t count = 0;

    for (;;) {
        const uint8_t *from;
        int rc;
        while (p < end && ascii_is_space(*p))
            p++;
        if (p == end)
            break;
        for (from = p; p < end && !ascii_is_space(*p);)
            p++;
        rc = elem->in(elem, env, a, slice(from, (size_t)(p - from)), typmod, &elems[count++]);
        if (rc != 0)
            return rc;
    }
    *out = array_make(a, elem->oid, elems, count, 0);
    return 0;
}

void
vector_out(const struct type *t, const struct type_env *env, const struct datum *d,
           struct writer *w)
{
    struct array_iter it;
    struct datum e;
    bool first = true;

    (void)t;
    array_iter_init(&it, d);
    while (array_next(&it, &e)) {
        if (!first)
            wr_u8(w, ' ');
        first = false;
        it.elem->out(it.elem, env, &e, w);
    }
}

/* ---- binary: i32 dimensions, i32 has-null flag, oid, then per dimension i32 size and lower bound,
 * then per element i32 size (-1: null) and its binary form ------------------------------------ */

int
array_recv(const struct type *t, const struct type_env *env, struct arena *a, struct slice bytes,
           int32_t typmod, struct datum *out)
{
    struct reader r;
    const struct type *elem = type_get(t->elem_oid);
    struct datum *elems = NULL;
    uint32_t dims, count = 0;
    int32_t lower_default = t->oid == TYPE_INT2VECTOR || t->oid == TYPE_OIDVECTOR ? 0 : 1;
    int32_t lower = lower_default;
    oid_t oid;

    rd_init(&r, bytes.data, bytes.size);
    dims = rd_u32_be(&r);
    if (rd_u32_be(&r) > 1)
        return DIAG(ERR_INVALID_BINARY, "invalid array flags");
    oid = rd_u32_be(&r);
    if (rd_ok(&r) && dims > 1)
        return DIAG(ERR_NOT_SUPPORTED, "arrays of more than one dimension are not supported");
    if (rd_ok(&r) && oid != elem->oid)
        return DIAG(ERR_DATATYPE_MISMATCH, "wrong element type");
    if (dims == 1) {
        count = rd_u32_be(&r);
        lower = (int32_t)rd_u32_be(&r);
        if (!rd_ok(&r) || count > rd_left(&r) / 4 || lower < -ARRAY_ELEMENTS_MAX ||
            lower > ARRAY_ELEMENTS_MAX)
            return DIAG(ERR_INVALID_BINARY, "invalid array size");
        if (count == 0) /* there is one empty array */
            lower = lower_default;
        elems = arena_alloc(a, sizeof *elems * (count + 1));
    }
    for (uint32_t i = 0; i < count; i++) {
        uint32_t size = rd_u32_be(&r);
        struct slice s;
        int rc;
        elems[i] = datum_null();
        if (size == SIZE_NULL)
            continue;
        s = rd_slice(&r, size);
        if (!rd_ok(&r))
            break;
        rc = elem->recv(elem, env, a, s, typmod, &elems[i]);
        if (rc != 0)
            return rc;
    }
    if (!rd_ok(&r) || rd_left(&r) != 0)
        return DIAG(ERR_INVALID_BINARY, "insufficient data left in message");
    *out = array_make(a, elem->oid, elems, count, lower);
    return 0;
}

void
array_send(const struct type *t, const struct type_env *env, const struct datum *d,
           struct writer *w)
{
    struct array_iter it;
    struct datum e;
    size_t flags_at;

    array_iter_init(&it, d);
    wr_u32_be(w, it.left > 0);
    flags_at = w->size;
    wr_u32_be(w, 0);
    wr_u32_be(w, t->elem_oid);
    if (it.left > 0) {
        wr_u32_be(w, it.left);
        wr_u32_be(w, (uint32_t)array_lower_bound(d));
    }
    while (array_next(&it, &e)) {
        size_t size_at = w->size;
        wr_u32_be(w, SIZE_NULL);
        if (e.is_null) {
            if (!w->bad)
                store_u32_be(w->data + flags_at, 1);
            continue;
        }
        it.elem->send(it.elem, env, &e, w);
        if (!w->bad)
            store_u32_be(w->data + size_at, (uint32_t)(w->size - size_at - 4));
    }
}
