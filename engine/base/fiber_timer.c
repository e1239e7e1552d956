/* A scheduler's timers: a binary heap of the fibers that wait with a limit, the earliest first.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/base/fiber_int.h"
#include "engine/base/mem.h"

static void
timer_place(struct sched *s, size_t at, struct fiber *f)
{
    s->timers[at] = f;
    f->timer_index = (int64_t)at;
}

/* Moves f, which belongs at `at` or above. */
static void
timer_rise(struct sched *s, size_t at, struct fiber *f)
{
    while (at > 0) {
        size_t up = (at - 1) / 2;

        if (s->timers[up]->deadline_ns <= f->deadline_ns)
            break;
        timer_place(s, at, s->timers[up]);
        at = up;
    }
    timer_place(s, at, f);
}

/* Moves f, which belongs at `at` or below. */
static void
timer_sink(struct sched *s, size_t at, struct fiber *f)
{
    for (;;) {
        size_t down = 2 * at + 1;

        if (down >= s->timer_count)
            break;
        if (down + 1 < s->timer_count &&
            s->timers[down + 1]->deadline_ns < s->timers[down]->deadline_ns)
            down++;
        if (f->deadline_ns <= s->timers[down]->deadline_ns)
            break;
        timer_place(s, at, s->timers[down]);
        at = down;
    }
    timer_place(s, at, f);
}

void
timer_add(struct sched *s, struct fiber *f, uint64_t delay_us)
{
    uint64_t delay_ns;

    if (!mul_ok(delay_us, (uint64_t)1000, &delay_ns) ||
        !add_ok(env_boot_ns(s->env), delay_ns, &f->deadline_ns))
        f->deadline_ns = UINT64_MAX;
    if (s->timer_count == s->timer_cap) {
        s->timer_cap = s->timer_cap != 0 ? s->timer_cap * 2 : 64;
        s->timers = xrealloc(s->timers, s->timer_cap * sizeof *s->timers);
    }
    timer_rise(s, s->timer_count++, f);
}

void
timer_remove(struct sched *s, struct fiber *f)
{
    size_t at = (size_t)f->timer_index;
    struct fiber *last;

    if (f->timer_index == FIBER_NO_TIMER)
        return;
    f->timer_index = FIBER_NO_TIMER;
    last = s->timers[--s->timer_count];
    if (last == f)
        return;
    if (at > 0 && last->deadline_ns < s->timers[(at - 1) / 2]->deadline_ns)
        timer_rise(s, at, last);
    else
        timer_sink(s, at, last);
}

void
timer_run_due(struct sched *s)
{
    uint64_t now_ns;

    if (s->timer_count == 0)
        return;
    now_ns = env_boot_ns(s->env);
    while (s->timer_count > 0 && s->timers[0]->deadline_ns <= now_ns) {
        struct fiber *f = s->timers[0];

        timer_remove(s, f);
        if (f->completion == NULL || completion_abandon(f->completion))
            fiber_make_ready(f, FIBER_WOKEN_TIMEOUT);
    }
}

int64_t
timer_next_us(struct sched *s)
{
    uint64_t now_ns, left_us;

    if (s->timer_count == 0)
        return -1;
    now_ns = env_boot_ns(s->env);
    if (s->timers[0]->deadline_ns <= now_ns)
        return 0;
    left_us = (s->timers[0]->deadline_ns - now_ns + 999) / 1000;
    return left_us < INT64_MAX ? (int64_t)left_us : INT64_MAX;
}
