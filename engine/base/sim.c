/* The simulated world's scheduler and its nodes.
 *
 * All threads of all nodes are stacks of the one real thread that calls sim_run. They switch to its
 * stack ("home") whenever they give way; there the dice pick who goes on, and when nobody can, time
 * moves to the next timer.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/base/sim_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/checksum.h"
#include "engine/base/fiber.h"

enum {
    LIVELOCK_STEPS = 20000000,
    REPORT_BYTES = 64 << 10,
    YIELD_PER_MILLE_DEFAULT = 125,
    DELAY_MIN_US_DEFAULT = 50,
    DELAY_MAX_US_DEFAULT = 500,
};

/* ---- memory, dice, trace ------------------------------------------------------------------- */

void *
sim_alloc(size_t size)
{
    struct heap *heap = heap_enter(NULL);
    void *p = xcalloc(1, size);

    heap_enter(heap);
    return p;
}

void *
sim_realloc(void *p, size_t size)
{
    struct heap *heap = heap_enter(NULL);

    p = xrealloc(p, size);
    heap_enter(heap);
    return p;
}

char *
sim_strdup(const char *s)
{
    size_t n = strlen(s) + 1;

    return memcpy(sim_alloc(n), s, n);
}

static uint64_t
mix(uint64_t x)
{
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

uint64_t
sim_random_u64(struct sim *sim)
{
    sim->random_state += 0x9e3779b97f4a7c15u;
    return mix(sim->random_state);
}

uint64_t
sim_random(struct sim *sim, uint64_t below)
{
    return below <= 1 ? 0 : sim_random_u64(sim) % below;
}

bool
sim_chance(struct sim *sim, uint64_t of, uint64_t per)
{
    return of != 0 && sim_random(sim, per) < of;
}

uint64_t
sim_between(struct sim *sim, uint64_t low, uint64_t high)
{
    return high <= low ? low : low + sim_random(sim, high - low + 1);
}

void
sim_trace(struct sim *sim, uint64_t a, uint64_t b)
{
    sim->trace = mix(sim->trace * 31 + a) ^ mix(b + sim->now_ns);
}

void
sim_trace_bytes(struct sim *sim, const void *data, size_t size)
{
    sim_trace(sim, crc32c(0, data, size), size);
}

uint64_t
sim_trace_hash(const struct sim *sim)
{
    return sim->trace;
}

/* ---- timers -------------------------------------------------------------------------------- */

static bool
timer_before(const struct sim_timer *a, const struct sim_timer *b)
{
    return a->at_ns != b->at_ns ? a->at_ns < b->at_ns : a->tie < b->tie;
}

static void
timer_place(struct sim *sim, size_t at, struct sim_timer *t)
{
    sim->timers[at] = t;
    t->index = (int64_t)at;
}

static void
timer_rise(struct sim *sim, size_t at, struct sim_timer *t)
{
    while (at > 0 && timer_before(t, sim->timers[(at - 1) / 2])) {
        timer_place(sim, at, sim->timers[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    timer_place(sim, at, t);
}

static void
timer_sink(struct sim *sim, size_t at, struct sim_timer *t)
{
    for (size_t down; (down = 2 * at + 1) < sim->timer_count; at = down) {
        if (down + 1 < sim->timer_count && timer_before(sim->timers[down + 1], sim->timers[down]))
            down++;
        if (!timer_before(sim->timers[down], t))
            break;
        timer_place(sim, at, sim->timers[down]);
    }
    timer_place(sim, at, t);
}

void
sim_timer_init(struct sim_timer *t, void (*fire)(struct sim *sim, struct sim_timer *t))
{
    *t = (struct sim_timer){ .index = SIM_TIMER_OFF, .fire = fire };
}

void
sim_timer_clear(struct sim *sim, struct sim_timer *t)
{
    size_t at = (size_t)t->index;
    struct sim_timer *last;

    if (t->index == SIM_TIMER_OFF)
        return;
    t->index = SIM_TIMER_OFF;
    last = sim->timers[--sim->timer_count];
    if (last == t)
        return;
    if (at > 0 && timer_before(last, sim->timers[(at - 1) / 2]))
        timer_rise(sim, at, last);
    else
        timer_sink(sim, at, last);
}

void
sim_timer_set(struct sim *sim, struct sim_timer *t, uint64_t at_ns)
{
    sim_timer_clear(sim, t);
    t->at_ns = at_ns;
    t->tie = sim_random_u64(sim);
    if (sim->timer_count == sim->timer_cap) {
        sim->timer_cap = sim->timer_cap != 0 ? sim->timer_cap * 2 : 64;
        sim->timers = sim_realloc(sim->timers, sim->timer_cap * sizeof *sim->timers);
    }
    timer_rise(sim, sim->timer_count++, t);
}

/* ---- giving way ---------------------------------------------------------------------------- */

struct env_thread *
sim_thread_self(void)
{
    return task_self()->thread;
}

static void
runnable_push(struct env_thread *t)
{
    struct sim *sim = sim_of(t->env);

    if (sim_node_of(t->env)->is_paused) {
        t->state = SIM_SUSPENDED;
        return;
    }
    t->state = SIM_RUNNABLE;
    if (sim->runnable_count == sim->runnable_cap) {
        sim->runnable_cap = sim->runnable_cap != 0 ? sim->runnable_cap * 2 : 64;
        sim->runnable = sim_realloc(sim->runnable, sim->runnable_cap * sizeof *sim->runnable);
    }
    sim->runnable[sim->runnable_count++] = t;
}

static void
runnable_remove(struct sim *sim, const struct env_thread *t)
{
    for (size_t i = 0; i < sim->runnable_count; i++) {
        if (sim->runnable[i] == t) {
            sim->runnable[i] = sim->runnable[--sim->runnable_count];
            return;
        }
    }
}

void
sim_make_runnable(struct env_thread *t)
{
    if (t->state != SIM_BLOCKED)
        return;
    sim_timer_clear(sim_of(t->env), &t->timer);
    runnable_push(t);
}

/* From whatever runs on this thread, the thread itself or a fiber, to home; and back. */
static void
switch_out(struct env_thread *t)
{
    struct task *task = task_self();

    t->resume_task = task;
    context_switch(task->context, &sim_of(t->env)->home);
}

bool
sim_block(const char *waits_for, uint64_t until_ns)
{
    struct env_thread *t = sim_thread_self();

    if (t == NULL)
        PANIC("a wait for %s outside of the simulation", waits_for);
    t->state = SIM_BLOCKED;
    t->waits_for = waits_for;
    t->is_timed_out = false;
    if (until_ns != UINT64_MAX)
        sim_timer_set(sim_of(t->env), &t->timer, until_ns);
    switch_out(t);
    t->waits_for_thread = NULL;
    return !t->is_timed_out;
}

void
sim_yield(struct env *env)
{
    struct env_thread *t = sim_thread_self();

    (void)env;
    if (t == NULL)
        return;
    runnable_push(t);
    switch_out(t);
}

void
sim_maybe_yield(struct env *env)
{
    struct sim *sim = sim_of(env);

    if (sim_thread_self() != NULL && sim_chance(sim, sim->yield_per_mille, 1000))
        sim_yield(env);
}

void
sim_delay(struct env *env, uint64_t average_us)
{
    struct sim *sim = sim_of(env);

    if (sim_thread_self() == NULL)
        return;
    if (average_us == 0)
        sim_maybe_yield(env);
    else
        sim_block("the disk", sim->now_ns + sim_between(sim, average_us * 500, average_us * 1500));
}

void
sim_leave(struct sim *sim)
{
    context_leave(task_self()->context, &sim->home);
    __builtin_trap();
}

/* ---- nodes --------------------------------------------------------------------------------- */

static void
node_drop_threads(struct sim_node *n)
{
    list_for_each_safe (t, next, &n->threads, struct env_thread, node_link) {
        runnable_remove(n->sim, t);
        sim_thread_free(t);
    }
    n->main = NULL;
}

/* None of the node's stacks is in use now. */
static void
node_reap(struct sim_node *n, enum sim_death how)
{
    n->dying = SIM_DEATH_NONE;
    n->is_up = false;
    n->has_power = how != SIM_DEATH_POWER;
    sim_trace(n->sim, 'D' + (uint64_t)how, (uint64_t)n->index);
    if (how == SIM_DEATH_EXIT)
        n->leaked_bytes = heap_used_bytes(n->heap);
    list_for_each_safe (l, next, &n->loops, struct env_loop, node_link)
        sim_loop_free(l);
    while (!list_empty(&n->socks)) /* a listener takes those that it has not accepted along */
        sim_sock_free(list_first(&n->socks, struct env_sock, node_link), how);
    list_for_each_safe (f, next, &n->files, struct env_file, node_link)
        sim_close(f);
    node_drop_threads(n);
    if (how == SIM_DEATH_POWER)
        sim_disk_power_cut(n->sim, n->disk);
    stack_pool_clear(n->env.stacks);
    heap_free(n->heap);
    n->heap = NULL;
}

void
sim_node_die(struct sim_node *n, enum sim_death how)
{
    struct env_thread *self = sim_thread_self();

    if (!n->is_up) {
        if (how == SIM_DEATH_POWER) {
            n->has_power = false;
            sim_disk_power_cut(n->sim, n->disk);
        }
        return;
    }
    if (self != NULL && self->env == &n->env) {
        n->dying = how;
        sim_leave(n->sim);
    }
    node_reap(n, how);
}

void
sim_node_crash(struct env *node)
{
    sim_node_die(sim_node_of(node), SIM_DEATH_POWER);
}

void
sim_node_kill(struct env *node)
{
    sim_node_die(sim_node_of(node), SIM_DEATH_KILL);
}

static void
sim_panic(struct env *env, const char *file, int line, const char *what)
{
    struct sim_node *n = sim_node_of(env);
    struct env_thread *self = sim_thread_self();

    snprintf(n->last_words, sizeof n->last_words, "%s (%s:%d)", what, file, line);
    n->has_last_words = true;
    if (!n->sim->is_panic_allowed || self == NULL || self->env != env)
        fprintf(stderr, "[%12.6f %s] PANIC: %s\n", (double)n->sim->now_ns / 1e9, n->name,
                n->last_words);
    if (self == NULL || self->env != env)
        abort();
    n->sim->has_panicked = true;
    sim_node_die(n, SIM_DEATH_KILL);
}

static void
sim_log_write(struct env *env, const void *data, size_t size)
{
    struct sim_node *n = sim_node_of(env);

    sim_trace_bytes(n->sim, data, size);
    if (n->sim->is_verbose)
        fprintf(stderr, "[%12.6f %s] %.*s", (double)n->sim->now_ns / 1e9, n->name, (int)size,
                (const char *)data);
}

static void
sim_env_free(struct env *env)
{
    (void)env;
    PANIC("a simulated node is freed by sim_free");
}

struct env *
sim_node_new(struct sim *sim, const char *name)
{
    struct sim_node *n = sim_alloc(sizeof *n);

    CHECK(sim->node_count < SIM_NODES_MAX);
    n->env.ops = &sim_ops;
    n->env.stacks = stack_pool_new();
    n->sim = sim;
    n->index = sim->node_count;
    snprintf(n->name, sizeof n->name, "%s", name);
    list_init(&n->threads);
    list_init(&n->loops);
    list_init(&n->socks);
    list_init(&n->files);
    n->disk = sim_disk_new();
    n->speed = (struct sim_disk_speed){ 80, 4, 60, 200, 10 };
    n->next_port = 40000;
    for (int i = 0; i < SIM_NODES_MAX; i++) {
        struct sim_link l = { .delay_min_us = DELAY_MIN_US_DEFAULT,
                              .delay_max_us = DELAY_MAX_US_DEFAULT };

        sim->links[n->index][i] = sim->links[i][n->index] = l;
    }
    sim->links[n->index][n->index].delay_min_us = 5;
    sim->links[n->index][n->index].delay_max_us = 20;
    sim->nodes[sim->node_count++] = n;
    return &n->env;
}

void
sim_node_start(struct env *node, void (*fn)(void *arg), void *arg)
{
    struct sim_node *n = sim_node_of(node);

    CHECK(!n->is_up);
    n->is_up = n->has_power = true;
    n->is_paused = false;
    n->boot_count++;
    n->heap = heap_new();
    n->boot_offset_ns = sim_between(n->sim, 1, 1000) * 1000000000;
    sim_trace(n->sim, 'B', (uint64_t)n->index);
    n->main = sim_thread_make(n, "main", fn, arg);
    runnable_push(n->main);
}

static const struct sim_node *
node_const(const struct env *node)
{
    return (const struct sim_node *)(const void *)node;
}

bool
sim_node_is_up(const struct env *node)
{
    return node_const(node)->is_up;
}

void
sim_node_pause(struct env *node)
{
    struct sim_node *n = sim_node_of(node);
    struct env_thread *self = sim_thread_self();

    n->is_paused = true;
    list_for_each (t, &n->threads, struct env_thread, node_link) {
        if (t->state == SIM_RUNNABLE) {
            runnable_remove(n->sim, t);
            t->state = SIM_SUSPENDED;
        }
    }
    if (self != NULL && self->env == node)
        sim_yield(node);
}

void
sim_node_resume(struct env *node)
{
    struct sim_node *n = sim_node_of(node);

    n->is_paused = false;
    list_for_each (t, &n->threads, struct env_thread, node_link)
        if (t->state == SIM_SUSPENDED)
            runnable_push(t);
}

const char *
sim_node_last_words(const struct env *node)
{
    const struct sim_node *n = node_const(node);

    return n->has_last_words ? n->last_words : NULL;
}

size_t
sim_node_leaked_bytes(const struct env *node)
{
    return node_const(node)->leaked_bytes;
}

const char *
sim_node_name(const struct env *node)
{
    return node_const(node)->name;
}

void
sim_node_skew_wall(struct env *node, int64_t us)
{
    sim_node_of(node)->wall_skew_us += us;
}

/* ---- the simulation ------------------------------------------------------------------------ */

struct sim *
sim_new(uint64_t seed)
{
    struct sim *sim = sim_alloc(sizeof *sim);

    sim->seed = seed;
    sim->random_state = mix(seed + 0x9e3779b97f4a7c15u);
    sim->yield_per_mille = YIELD_PER_MILLE_DEFAULT;
    sim->home_task = task_self();
    list_init(&sim->word_waiters);
    list_init(&sim->connections);
    return sim;
}

void
sim_free(struct sim *sim)
{
    for (int i = 0; i < sim->node_count; i++) {
        struct sim_node *n = sim->nodes[i];

        if (n->is_up)
            node_reap(n, SIM_DEATH_KILL);
    }
    sim_connections_free(sim);
    for (int i = 0; i < sim->node_count; i++) {
        struct sim_node *n = sim->nodes[i];

        list_for_each_safe (f, next, &n->files, struct env_file, node_link)
            sim_close(f);
        sim_disk_free(n->disk);
        stack_pool_free(n->env.stacks);
        xfree(n);
    }
    CHECK(sim->timer_count == 0);
    xfree(sim->timers);
    xfree(sim->runnable);
    xfree(sim->report);
    xfree(sim);
}

uint64_t
sim_now_us(const struct sim *sim)
{
    return sim->now_ns / 1000;
}

void
sim_set_yield(struct sim *sim, unsigned per_mille)
{
    sim->yield_per_mille = per_mille;
}

void
sim_set_verbose(struct sim *sim, bool on)
{
    sim->is_verbose = on;
}

void
sim_allow_panic(struct sim *sim, bool allowed)
{
    sim->is_panic_allowed = allowed;
}

/* One thread runs until it gives way, ends or dies. */
static void
step(struct sim *sim)
{
    size_t at = sim_random(sim, sim->runnable_count);
    struct env_thread *t = sim->runnable[at];
    struct sim_node *n = sim_node_of(t->env);

    sim->runnable[at] = sim->runnable[--sim->runnable_count];
    sim->step_count++;
    sim_trace(sim, t->id, (uint64_t)n->index);
    t->state = SIM_RUNNING;
    sim->running = t;
    task_current_or_null = t->resume_task;
    context_switch(&sim->home, t->resume_task->context);
    task_current_or_null = sim->home_task;
    sim->running = NULL;
    if (n->dying != SIM_DEATH_NONE) {
        node_reap(n, n->dying);
    } else if (t->state == SIM_ENDED) {
        stack_put(n->env.stacks, t->stack);
        t->stack = NULL;
        if (t->joiner != NULL)
            sim_make_runnable(t->joiner);
    }
}

static bool
has_threads(const struct sim *sim)
{
    for (int i = 0; i < sim->node_count; i++)
        if (!list_empty(&sim->nodes[i]->threads))
            return true;
    return false;
}

static bool
has_paused(const struct sim *sim)
{
    for (int i = 0; i < sim->node_count; i++)
        if (sim->nodes[i]->is_up && sim->nodes[i]->is_paused)
            return true;
    return false;
}

/* Nobody can run: the next thing to happen happens. */
static enum sim_result
advance(struct sim *sim, uint64_t limit_ns)
{
    struct sim_timer *t;

    if (!has_threads(sim))
        return SIM_IDLE;
    if (sim->timer_count == 0) {
        if (limit_ns == UINT64_MAX || !has_paused(sim))
            return SIM_DEADLOCK;
        sim->now_ns = limit_ns;
        return SIM_TIME;
    }
    t = sim->timers[0];
    sim->step_count = 0;
    if (t->at_ns > limit_ns) {
        sim->now_ns = limit_ns;
        return SIM_TIME;
    }
    if (t->at_ns > sim->now_ns)
        sim->now_ns = t->at_ns;
    sim_timer_clear(sim, t);
    t->fire(sim, t);
    return SIM_DONE;
}

enum sim_result
sim_run(struct sim *sim, uint64_t for_us, bool (*until)(void *arg), void *arg)
{
    uint64_t limit_ns = UINT64_MAX;
    enum sim_result result = SIM_DONE;

    CHECK(sim_thread_self() == NULL && sim->running == NULL);
    if (for_us < (UINT64_MAX - sim->now_ns) / 1000)
        limit_ns = sim->now_ns + for_us * 1000;
    sim->home_task = task_self();
    sim->step_count = 0;
    while (result == SIM_DONE) {
        if (sim->has_panicked) {
            sim->has_panicked = false;
            if (!sim->is_panic_allowed)
                return SIM_PANIC;
        }
        if (until != NULL && until(arg))
            break;
        if (sim->runnable_count == 0)
            result = advance(sim, limit_ns);
        else if (sim->step_count > LIVELOCK_STEPS)
            result = SIM_LIVELOCK;
        else
            step(sim);
    }
    return result;
}

const char *
sim_result_name(enum sim_result r)
{
    static const char *const names[] = {
        [SIM_DONE] = "done",         [SIM_TIME] = "time",   [SIM_IDLE] = "idle",
        [SIM_DEADLOCK] = "deadlock", [SIM_PANIC] = "panic", [SIM_LIVELOCK] = "livelock",
    };

    return names[r];
}

/* ---- the report ---------------------------------------------------------------------------- */

static void
report_line(void *arg, const char *text)
{
    char *report = arg;
    size_t n = strlen(report);

    snprintf(report + n, REPORT_BYTES - n, "    %s\n", text);
}

static void
report_thread(char *report, const struct env_thread *t)
{
    size_t n = strlen(report);
    const char *state = t->state == SIM_BLOCKED ? t->waits_for
                        : t->state == SIM_ENDED ? "has ended"
                                                : "can run";

    if (t->state == SIM_BLOCKED && t->waits_for_thread != NULL)
        snprintf(report + n, REPORT_BYTES - n, "  thread %s waits for %s of thread %s\n", t->name,
                 state, t->waits_for_thread->name);
    else
        snprintf(report + n, REPORT_BYTES - n, "  thread %s %s%s\n", t->name,
                 t->state == SIM_BLOCKED ? "waits for " : "", state);
    if (t->task.sched != NULL)
        sched_describe(t->task.sched, report_line, report);
}

const char *
sim_report(struct sim *sim)
{
    if (sim->report == NULL)
        sim->report = sim_alloc(REPORT_BYTES);
    snprintf(sim->report, REPORT_BYTES, "seed %llu, at %.6f s\n", (unsigned long long)sim->seed,
             (double)sim->now_ns / 1e9);
    for (int i = 0; i < sim->node_count; i++) {
        struct sim_node *node = sim->nodes[i];
        size_t n = strlen(sim->report);

        snprintf(sim->report + n, REPORT_BYTES - n, "node %s: %s\n", node->name,
                 !node->is_up      ? "down"
                 : node->is_paused ? "paused"
                                   : "up");
        list_for_each (t, &node->threads, struct env_thread, node_link)
            report_thread(sim->report, t);
    }
    return sim->report;
}

/* ---- the table ----------------------------------------------------------------------------- */

const struct env_ops sim_ops = {
    .free = sim_env_free,
    .wall_us = sim_wall_us,
    .boot_ns = sim_boot_ns,
    .sleep_us = sim_sleep_us,
    .random = sim_env_random,
    .panic = sim_panic,
    .log_write = sim_log_write,
    .open = sim_open,
    .close = sim_close,
    .pread = sim_pread,
    .pwritev = sim_pwritev,
    .sync = sim_sync,
    .truncate = sim_truncate,
    .allocate = sim_allocate,
    .size = sim_size,
    .rename = sim_rename,
    .unlink = sim_unlink,
    .rmdir = sim_rmdir,
    .mkdir = sim_mkdir,
    .sync_dir = sim_sync_dir,
    .link = sim_file_link,
    .exists = sim_exists,
    .list_dir = sim_list_dir,
    .disk_free = sim_disk_free_bytes,
    .lock_file = sim_lock_file,
    .thread_start = sim_thread_start,
    .thread_join = sim_thread_join,
    .thread_yield = sim_yield,
    .cpu_count = sim_cpu_count,
    .mutex_init = sim_mutex_init,
    .mutex_fini = sim_mutex_fini,
    .mutex_lock = sim_mutex_lock,
    .mutex_unlock = sim_mutex_unlock,
    .cond_init = sim_cond_init,
    .cond_fini = sim_cond_fini,
    .cond_wait = sim_cond_wait,
    .cond_wake = sim_cond_wake,
    .word_wait = sim_word_wait,
    .word_wake = sim_word_wake,
    .loop_new = sim_loop_new,
    .loop_free = sim_loop_free,
    .loop_run_once = sim_loop_run_once,
    .loop_wake = sim_loop_wake,
    .event_new = sim_event_new,
    .event_arm = sim_event_arm,
    .event_free = sim_event_free,
    .timer_new = sim_timer_event_new,
    .timer_arm = sim_timer_event_arm,
    .timer_disarm = sim_timer_event_disarm,
    .listen = sim_listen,
    .accept = sim_accept,
    .connect = sim_connect,
    .connect_result = sim_connect_result,
    .recv = sim_recv,
    .sendv = sim_sendv,
    .sock_close = sim_sock_close,
    .sock_name = sim_sock_name,
    .sock_is_loopback = sim_sock_is_loopback,
};
