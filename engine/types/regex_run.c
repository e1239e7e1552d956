/* Matching: all threads of the program side by side, one character at a time. No thread is followed
 * twice at one place of the text, which bounds the work.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/types/regex.h"
#include "engine/types/regex_int.h"
#include "engine/types/text_int.h"

struct run {
    const struct regex *r;
    const uint8_t *begin, *end;
    int slots; /* positions kept per thread: 0, or 2 per group */
    uint32_t *pc[2];
    int64_t *pos[2]; /* slots entries per thread */
    uint32_t count[2];
    uint32_t *mark; /* per instruction: the step in which it was added */
    uint32_t step;
    /* what is still to be followed while adding: an instruction, or a slot to set back */
    struct follow {
        uint32_t pc;
        int32_t slot; /* >= 0: set it to pos */
        int64_t pos;
    } * stack;
    bool has_match;
    int64_t *best;
};

static uint32_t
fold_char(const struct regex *r, uint32_t c)
{
    return r->no_case && c < 128 ? ascii_lower((uint8_t)c) : c;
}

static bool
set_has(const struct regex_set *s, uint32_t c)
{
    bool found = false;

    if (c < 128) {
        found = s->ascii[c >> 6] >> (c & 63) & 1;
    } else {
        for (uint32_t i = 0; i < s->count && !found; i++)
            found = c >= s->ranges[i].low && c <= s->ranges[i].high;
    }
    return found != s->is_negated;
}

static bool
takes(const struct regex *r, const struct regex_inst *i, uint32_t c)
{
    switch (i->op) {
    case RX_CHAR:
        return i->arg == c || (r->no_case && fold_char(r, i->arg) == fold_char(r, c));
    case RX_ANY:
        return true;
    case RX_SET:
        return set_has(&r->sets[i->arg], c);
    default:
        return false;
    }
}

static bool
holds(const struct run *m, uint32_t assertion, const uint8_t *at)
{
    bool before = at > m->begin && regex_is_word(at[-1]);
    bool after = at < m->end && regex_is_word(*at);

    switch (assertion) {
    case RX_BEGIN:
        return at == m->begin;
    case RX_END:
        return at == m->end;
    case RX_WORD_BEGIN:
        return !before && after;
    case RX_WORD_END:
        return before && !after;
    case RX_WORD_EDGE:
        return before != after;
    default:
        return before == after;
    }
}

/* Is a match from `from` that ends at `to` better than the one at hand? */
static void
note_match(struct run *m, const int64_t *pos, int64_t to)
{
    if (m->slots == 0) {
        m->has_match = true;
        return;
    }
    if (m->has_match &&
        (pos[0] > m->best[0] || (pos[0] == m->best[0] && (m->r->is_shortest || to <= m->best[1]))))
        return;
    m->has_match = true;
    memcpy(m->best, pos, sizeof *pos * (size_t)m->slots);
    m->best[1] = to;
}

/* Follows everything that needs no character from pc on, in order of preference. */
static void
add_thread(struct run *m, int list, uint32_t pc, const uint8_t *at, int64_t *pos)
{
    const struct regex *r = m->r;
    uint32_t top = 0;

    m->stack[top++] = (struct follow){ .pc = pc, .slot = -1 };
    while (top > 0) {
        struct follow f = m->stack[--top];
        const struct regex_inst *i;
        if (f.slot >= 0) {
            pos[f.slot] = f.pos;
            continue;
        }
        if (m->mark[f.pc] == m->step)
            continue;
        m->mark[f.pc] = m->step;
        i = &r->code[f.pc];
        switch (i->op) {
        case RX_SPLIT:
            m->stack[top++] = (struct follow){ .pc = i->arg, .slot = -1 };
            m->stack[top++] = (struct follow){ .pc = f.pc + 1, .slot = -1 };
            break;
        case RX_JUMP:
            m->stack[top++] = (struct follow){ .pc = i->arg, .slot = -1 };
            break;
        case RX_SAVE:
            if ((int)i->arg < m->slots) {
                m->stack[top++] = (struct follow){ .slot = (int32_t)i->arg, .pos = pos[i->arg] };
                pos[i->arg] = at - m->begin;
            }
            m->stack[top++] = (struct follow){ .pc = f.pc + 1, .slot = -1 };
            break;
        case RX_ASSERT:
            if (holds(m, i->arg, at))
                m->stack[top++] = (struct follow){ .pc = f.pc + 1, .slot = -1 };
            break;
        case RX_MATCH:
            note_match(m, pos, at - m->begin);
            break;
        default:
            m->pc[list][m->count[list]] = f.pc;
            if (m->slots > 0)
                memcpy(m->pos[list] + (size_t)m->count[list] * (size_t)m->slots, pos,
                       sizeof *pos * (size_t)m->slots);
            m->count[list]++;
        }
    }
}

static void
run_init(struct run *m, const struct regex *r, struct arena *a, struct slice text, bool wants_spans)
{
    *m = (struct run){ .r = r, .begin = text.data, .end = text.data + text.size };
    m->slots = wants_spans ? 2 * (regex_group_count(r) + 1) : 0;
    for (int i = 0; i < 2; i++) {
        m->pc[i] = arena_alloc(a, sizeof *m->pc[i] * r->size);
        m->pos[i] = arena_alloc(a, sizeof(int64_t) * r->size * (size_t)m->slots + 8);
    }
    m->mark = ARENA_ARRAY(a, uint32_t, r->size);
    /* Every instruction is followed once a step and leaves at most two entries. */
    m->stack = arena_alloc(a, sizeof *m->stack * (2 * (size_t)r->size + 2));
    m->best = arena_alloc(a, sizeof(int64_t) * (size_t)(m->slots + 2));
}

static void
run_steps(struct run *m, const uint8_t *at)
{
    int64_t pos[2 * REGEX_GROUPS_MAX];
    int now = 0;

    for (;;) {
        size_t n = 0;
        uint32_t c = at < m->end ? chars_decode(at, m->end, &n) : 0;
        int next = 1 - now;
        m->count[next] = 0;
        /* Threads that began earlier are preferred, so a new one comes last. */
        if (!m->has_match && (!m->r->starts_at_begin || at == m->begin)) {
            memset(pos, 0xff, sizeof pos);
            pos[0] = at - m->begin;
            if (m->step == 0)
                m->step = 1;
            add_thread(m, now, 0, at, pos);
        }
        if ((m->has_match && (m->slots == 0 || m->count[now] == 0)) || at >= m->end)
            return;
        if (m->count[now] == 0 && m->r->starts_at_begin)
            return;
        m->step++;
        at += n;
        for (uint32_t k = 0; k < m->count[now]; k++) {
            int64_t *from = m->pos[now] + (size_t)k * (size_t)m->slots;
            if (m->slots > 0 && m->has_match && from[0] > m->best[0])
                continue;
            if (!takes(m->r, &m->r->code[m->pc[now][k]], c))
                continue;
            if (m->slots > 0)
                memcpy(pos, from, sizeof *pos * (size_t)m->slots);
            add_thread(m, next, m->pc[now][k] + 1, at, pos);
        }
        now = next;
    }
}

bool
regex_search(const struct regex *r, struct arena *a, struct slice text, size_t start,
             struct regex_span *spans)
{
    struct arena_mark mark = arena_mark(a);
    struct run m;

    run_init(&m, r, a, text, spans != NULL);
    run_steps(&m, text.data + start);
    for (int i = 0; spans != NULL && m.has_match && i < m.slots / 2; i++) {
        spans[i] = (struct regex_span){ m.best[2 * i], m.best[2 * i + 1] };
        if (spans[i].to < 0)
            spans[i].from = -1;
    }
    arena_rewind(a, mark);
    return m.has_match;
}
