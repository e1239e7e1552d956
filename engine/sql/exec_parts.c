/* Rows set aside in files by the hash of their keys.
 *
 * Each level tells the parts apart by five other bits of the hash, from the top; the tables use the
 * lowest ones. Past the last level the same bits are used again: rows whose keys' hashes are all
 * alike stay together, and whoever reads them makes progress by the keys that he takes in.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "engine/sql/exec_int.h"

int
parts_new(const struct exec_ctx *ctx, const uint32_t *types, uint32_t width, uint32_t level,
          uint64_t *spilled, struct parts **out)
{
    struct parts *p = xcalloc(1, sizeof *p);
    int rc = spill_file_new(ctx, spilled, &p->file);

    p->ctx = ctx;
    p->types = types;
    p->width = width;
    p->level = level;
    if (rc != 0) {
        xfree(p);
        return rc;
    }
    *out = p;
    return 0;
}

void
parts_free(struct parts *p)
{
    if (p == NULL)
        return;
    for (int i = 0; i < PARTS; i++)
        spill_stream_free(p->streams[i]);
    spill_file_unref(p->file);
    xfree(p);
}

int
parts_put(struct parts *p, uint64_t hash, const struct datum *row)
{
    struct spill_stream **s =
        &p->streams[hash >> (59 - 5 * (p->level % PARTS_LEVEL_MAX)) & (PARTS - 1)];

    if (*s == NULL)
        *s = spill_stream_new(p->file, p->types, p->width);
    return spill_put(*s, row);
}

int
parts_end(struct parts *p)
{
    int rc = 0;

    for (int i = 0; i < PARTS && rc == 0; i++)
        if (p->streams[i] != NULL)
            rc = spill_end(p->streams[i]);
    return rc;
}

/* ---- inputs ------------------------------------------------------------------------------------
 */

void
parts_input_init(struct parts_input *in, struct exec_node *n, const struct plan_column *columns,
                 uint32_t width)
{
    uint32_t *types = ARENA_ARRAY(&n->x->arena, uint32_t, width + 1);

    for (uint32_t i = 0; i < width; i++)
        types[i] = columns[i].type.oid;
    *in = (struct parts_input){
        .n = n, .spilled = &n->x->spilled[n->plan->id], .types = types, .width = width
    };
}

/* The stream under way has been read. */
static void
drop_current(struct parts_input *in)
{
    struct spill_stream *s = in->reader.stream;

    spill_reader_fini(&in->reader);
    spill_stream_free(s);
}

void
parts_input_reset(struct parts_input *in)
{
    drop_current(in);
    parts_free(in->aside);
    in->aside = NULL;
    while (in->pending != NULL) {
        struct part *p = in->pending;

        in->pending = p->next;
        spill_stream_free(p->stream);
        xfree(p);
    }
    in->level = 0;
}

void
parts_input_fini(struct parts_input *in)
{
    parts_input_reset(in);
}

int
parts_input_aside(struct parts_input *in, uint64_t hash, const struct datum *row)
{
    if (in->aside == NULL) {
        int rc =
            parts_new(&in->n->x->ctx, in->types, in->width, in->level, in->spilled, &in->aside);

        if (rc != 0)
            return rc;
    }
    return parts_put(in->aside, hash, row);
}

int
parts_input_batch(struct parts_input *in, struct batch **out)
{
    int rc;

    if (in->reader.stream == NULL)
        return exec_node_next(in->n->child[0], out);
    rc = exec_check_interrupt(in->n->x);
    fiber_yield();
    return rc != 0 ? rc : spill_get_batch(&in->reader, &in->n->scratch, out);
}

static void
push_parts(struct parts_input *in)
{
    for (int i = PARTS; i-- > 0;) {
        struct part *p;

        if (in->aside->streams[i] == NULL)
            continue;
        p = xcalloc(1, sizeof *p);
        *p = (struct part){ in->pending, in->aside->streams[i], in->aside->level + 1 };
        in->aside->streams[i] = NULL;
        in->pending = p;
    }
}

int
parts_input_next(struct parts_input *in)
{
    struct part *p;

    drop_current(in);
    if (in->aside != NULL) {
        int rc = parts_end(in->aside);

        if (rc != 0)
            return rc;
        push_parts(in);
        parts_free(in->aside);
        in->aside = NULL;
    }
    p = in->pending;
    if (p == NULL)
        return ERR_END;
    in->pending = p->next;
    in->level = p->level;
    spill_reader_init(&in->reader, p->stream);
    xfree(p);
    return 0;
}
