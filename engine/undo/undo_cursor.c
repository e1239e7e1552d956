/* Scans: all runs of a view walked side by side, the rules applied key by key.
 *
 * Forwards on the branch followed, the value is borrowed from the source that has the best version,
 * which then stays where it is until the next call; otherwise it is copied.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/base/mem.h"
#include "engine/undo/undo_int.h"

struct bytes_buffer {
    uint8_t *data;
    size_t size, cap;
};

struct undo_cursor {
    struct undo_read read;
    struct undo_scope scope;
    bool backward, keys_only, copies, has_lo, has_hi, at_end;
    struct bytes_buffer lo, hi, key, value;
    struct lsm_source *sources; /* memtables, runs, undo files; newest first in main */
    uint32_t main_count, source_count;
    uint32_t *heap, heap_count;     /* of sources, by (key in the cursor's direction, index) */
    uint32_t *popped, popped_count; /* sources that stood on c->key; forwards they still do */
};

static void
buffer_set(struct bytes_buffer *b, struct slice s)
{
    if (s.size > b->cap) {
        b->cap = s.size < 64 ? 64 : s.size * 2;
        xfree(b->data);
        b->data = xmalloc(b->cap);
    }
    if (s.size != 0)
        memcpy(b->data, s.data, s.size);
    b->size = s.size;
}

static struct slice
buffer_slice(const struct bytes_buffer *b)
{
    return slice(b->data, b->size);
}

/* ---- the heap ---------------------------------------------------------------------------------
 */

static bool
heap_before(const struct undo_cursor *c, uint32_t a, uint32_t b)
{
    int order = slice_cmp(c->sources[a].v.key, c->sources[b].v.key);

    if (order == 0)
        return a < b;
    return c->backward ? order > 0 : order < 0;
}

static void
heap_push(struct undo_cursor *c, uint32_t source)
{
    uint32_t at = c->heap_count++;

    while (at > 0 && heap_before(c, source, c->heap[(at - 1) / 2])) {
        c->heap[at] = c->heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    c->heap[at] = source;
}

static uint32_t
heap_pop(struct undo_cursor *c)
{
    uint32_t top = c->heap[0], last = c->heap[--c->heap_count], at = 0;

    for (;;) {
        uint32_t child = 2 * at + 1;

        if (child >= c->heap_count)
            break;
        if (child + 1 < c->heap_count && heap_before(c, c->heap[child + 1], c->heap[child]))
            child++;
        if (!heap_before(c, c->heap[child], last))
            break;
        c->heap[at] = c->heap[child];
        at = child;
    }
    c->heap[at] = last;
    return top;
}

/* ---- positioning ------------------------------------------------------------------------------
 */

/* Forwards to the first key >= at, backwards to the last key < at; NULL data: from the end. */
MUST_CHECK
static int
position(struct undo_cursor *c, struct slice at)
{
    int rc = 0;

    c->heap_count = c->popped_count = 0;
    c->at_end = false;
    for (uint32_t i = 0; rc == 0 && i < c->source_count; i++) {
        struct lsm_source *s = &c->sources[i];

        if (at.data == NULL)
            rc = c->backward ? lsm_source_last(s) : lsm_source_first(s);
        else
            rc = c->backward ? lsm_source_seek_lt(s, at) : lsm_source_seek(s, at);
        if (rc == 0 && s->valid)
            heap_push(c, i);
    }
    return rc;
}

int
undo_cursor_seek(struct undo_cursor *c, struct slice key)
{
    struct slice lo = buffer_slice(&c->lo), hi = buffer_slice(&c->hi);

    if (!c->backward) {
        if (c->has_lo && slice_cmp(key, lo) < 0)
            key = lo;
        return position(c, key.size == 0 ? slice(NULL, 0) : key);
    }
    if (c->has_hi && slice_cmp(key, hi) >= 0)
        return position(c, hi);
    /* The last key <= key is the last one below the next longer key. */
    buffer_set(&c->value, key);
    if (c->value.size == c->value.cap) {
        c->value.cap = c->value.size + 1;
        c->value.data = xrealloc(c->value.data, c->value.cap);
    }
    c->value.data[c->value.size++] = 0;
    return position(c, buffer_slice(&c->value));
}

static void
add_sources(struct undo_cursor *c)
{
    const struct lsm_view *v = c->read.view;
    uint32_t n = v->mem_count + v->run_count + v->undo_count;
    scn_t part;

    c->sources = xmalloc((n + 1) * sizeof *c->sources);
    c->heap = xmalloc((n + 1) * sizeof *c->heap);
    c->popped = xmalloc((n + 1) * sizeof *c->popped);
    for (uint32_t i = 0; i < v->mem_count; i++)
        lsm_source_mem(&c->sources[c->source_count++], &v->mems[i]);
    for (uint32_t i = 0; i < v->run_count; i++)
        lsm_source_files(&c->sources[c->source_count++], v->runs[i].slots, v->runs[i].count, 0);
    c->main_count = c->source_count;
    /* A key that is in ordinary undo alone has no value at any moment that is held, so undo files
     * only ever add to keys of main: those that cannot hold the SCN are left out. */
    for (uint32_t i = 0; i < v->undo_count; i++)
        if (undo_is_revived(&c->scope, &v->undo[i], &part) ||
            lsm_undo_covers(&v->undo[i], c->read.scn) || (c->scope.broken & LSM_BREAK_UNDO_3) != 0)
            lsm_source_files(&c->sources[c->source_count++], &v->undo[i], 1, 0);
}

int
undo_cursor_open(const struct undo_read *r, struct slice lo, struct slice hi, int flags,
                 struct undo_cursor **out)
{
    struct undo_cursor *c = xcalloc(1, sizeof *c);
    int rc;

    c->read = *r;
    undo_scope_init(&c->scope, &c->read);
    c->backward = (flags & UNDO_BACKWARD) != 0;
    c->keys_only = (flags & UNDO_KEYS_ONLY) != 0;
    c->copies = c->backward || !c->scope.ordered;
    c->has_lo = lo.size != 0;
    c->has_hi = hi.data != NULL;
    buffer_set(&c->lo, lo);
    buffer_set(&c->hi, hi);
    lsm_view_ref(c->read.view);
    add_sources(c);
    if (c->backward)
        rc = position(c, c->has_hi ? buffer_slice(&c->hi) : slice(NULL, 0));
    else
        rc = position(c, c->has_lo ? buffer_slice(&c->lo) : slice(NULL, 0));
    if (rc != 0) {
        undo_cursor_close(c);
        return rc;
    }
    *out = c;
    return 0;
}

void
undo_cursor_close(struct undo_cursor *c)
{
    if (c == NULL)
        return;
    for (uint32_t i = 0; i < c->source_count; i++)
        lsm_source_fini(&c->sources[i]);
    lsm_view_release(c->read.view);
    xfree(c->sources);
    xfree(c->heap);
    xfree(c->popped);
    xfree(c->lo.data);
    xfree(c->hi.data);
    xfree(c->key.data);
    xfree(c->value.data);
    xfree(c);
}

/* ---- one key ----------------------------------------------------------------------------------
 */

static void
keep_value(struct undo_cursor *c, struct undo_best *b)
{
    if (c->keys_only)
        b->value.size = 0;
    buffer_set(&c->value, b->value);
    b->value = buffer_slice(&c->value);
}

MUST_CHECK
static int
move(const struct undo_cursor *c, struct lsm_source *s)
{
    return c->backward ? lsm_source_prev(s) : lsm_source_next(s);
}

static bool
on_key(const struct undo_cursor *c, const struct lsm_source *s)
{
    return s->valid && slice_eq(s->v.key, buffer_slice(&c->key));
}

/* Offers the versions of the key in one source of main. Backwards it walks past all of them. */
MUST_CHECK
static int
offer_source(struct undo_cursor *c, struct lsm_source *s, struct undo_best *b, bool *done)
{
    const struct lsm_host *host = c->read.view->host;
    bool newest_first = s->is_mem || !c->backward, stop = *done;
    scn_t part = stop ? 0 : undo_part(&c->scope, s->tag, s->part);
    int rc = 0;

    while (rc == 0 && on_key(c, s) && (!stop || c->backward)) {
        if (!stop) {
            enum lsm_status status;
            enum undo_step step;
            scn_t scn = 0;
            bool taken;

            if (s->is_mem)
                status = lsm_mem_status(host, s->version, &s->v.stamp, &scn);
            else
                status = lsm_stamp_status(host, s->v.stamp, &scn);
            step = undo_offer_main(&c->scope, b, &s->v, status, scn, part, newest_first, &taken);
            if (taken && c->copies)
                keep_value(c, b);
            *done = step == UNDO_STEP_DONE;
            stop = step != UNDO_STEP_NEXT;
        }
        if (!stop || c->backward)
            rc = move(c, s);
    }
    return rc;
}

MUST_CHECK
static int
offer_undo(struct undo_cursor *c, struct lsm_source *s, bool offered, bool revived, scn_t part,
           struct undo_best *b)
{
    int rc = 0;

    while (rc == 0 && on_key(c, s)) {
        if (offered && undo_offer_entry(&c->scope, b, &s->v, part, revived))
            keep_value(c, b);
        rc = move(c, s);
    }
    return rc;
}

/* Undo sources on this key: revived ones first, they have a say in what is newest. */
MUST_CHECK
static int
offer_all_undo(struct undo_cursor *c, struct undo_best *b)
{
    int rc = 0;

    for (int revived = 1; revived >= 0; revived--) {
        bool offered = !b->own && (revived || undo_is_past(&c->scope, b));

        for (uint32_t i = 0; rc == 0 && i < c->popped_count; i++) {
            struct lsm_source *s = &c->sources[c->popped[i]];
            scn_t part;

            if (c->popped[i] < c->main_count || !on_key(c, s) ||
                undo_is_revived(&c->scope, s->slots, &part) != (bool)revived)
                continue;
            rc = offer_undo(c, s, offered, revived, part, b);
        }
    }
    return rc;
}

/* Everything that stands on the least key is popped and offered. */
MUST_CHECK
static int
take_key(struct undo_cursor *c, struct undo_best *b)
{
    bool done = false;
    int rc = 0;

    buffer_set(&c->key, c->sources[c->heap[0]].v.key);
    while (c->heap_count != 0 && on_key(c, &c->sources[c->heap[0]]))
        c->popped[c->popped_count++] = heap_pop(c);
    for (uint32_t i = 0; rc == 0 && i < c->popped_count; i++)
        if (c->popped[i] < c->main_count)
            rc = offer_source(c, &c->sources[c->popped[i]], b, &done);
    /* The last one popped has the highest index. */
    if (rc == 0 && c->popped[c->popped_count - 1] >= c->main_count)
        rc = offer_all_undo(c, b);
    return rc;
}

/* What stood on the last key goes on to the next and back into the heap. */
MUST_CHECK
static int
push_popped(struct undo_cursor *c)
{
    int rc = 0;

    for (uint32_t i = 0; rc == 0 && i < c->popped_count; i++) {
        struct lsm_source *s = &c->sources[c->popped[i]];

        if (on_key(c, s))
            rc = lsm_source_skip(s, buffer_slice(&c->key));
        if (rc == 0 && s->valid)
            heap_push(c, c->popped[i]);
    }
    c->popped_count = 0;
    return rc;
}

static bool
past_range(const struct undo_cursor *c, struct slice key)
{
    if (c->backward)
        return c->has_lo && slice_cmp(key, buffer_slice(&c->lo)) < 0;
    return c->has_hi && slice_cmp(key, buffer_slice(&c->hi)) >= 0;
}

int
undo_cursor_next(struct undo_cursor *c, struct slice *key, struct undo_row *row)
{
    for (;;) {
        struct undo_best b = { 0 };
        int rc;

        if (c->at_end)
            return ERR_END;
        rc = push_popped(c);
        if (rc == 0 && (c->heap_count == 0 || past_range(c, c->sources[c->heap[0]].v.key))) {
            c->at_end = true;
            return ERR_END;
        }
        if (rc == 0)
            rc = take_key(c, &b);
        if (rc != 0) {
            c->at_end = true;
            return rc;
        }
        if (!b.found || b.kind == VERSION_DELETE)
            continue;
        *key = buffer_slice(&c->key);
        *row = (struct undo_row){ .value = b.value, .stamp = b.stamp, .seq = b.seq };
        return 0;
    }
}
