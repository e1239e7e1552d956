/* What a switch costs: two fibers that yield to each other through the scheduler, and the bare
 * switch between two stacks.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "engine/base/context.h"
#include "engine/base/fiber.h"
#include "engine/base/mem.h"

enum { ROUNDS = 20000000, HANDOFFS = 2000000 };

static struct context here, there;

static void
bounce(void *arg)
{
    (void)arg;
    for (;;)
        context_switch(&there, &here);
}

static void
bench_switch(struct env *env)
{
    struct stack_pool *pool = stack_pool_new();
    struct stack *s = stack_get(pool, 64 << 10);
    uint64_t start, ns;

    context_make(&there, s, s->low + s->size, bounce, NULL);
    start = env_boot_ns(env);
    for (int i = 0; i < ROUNDS; i++)
        context_switch(&here, &there);
    ns = env_boot_ns(env) - start;
    printf("switch   %6.1f ns\n", (double)ns / ROUNDS / 2);
    stack_pool_free(pool);
}

static struct fiber_queue ping, pong;

static void
ping_main(void *arg)
{
    (void)arg;
    for (int i = 0; i < HANDOFFS; i++) {
        fiber_queue_wake_one(&pong);
        fiber_queue_wait(&ping);
    }
    fiber_queue_wake_one(&pong);
}

static void
pong_main(void *arg)
{
    (void)arg;
    for (int i = 0; i < HANDOFFS; i++) {
        fiber_queue_wait(&pong);
        fiber_queue_wake_one(&ping);
    }
}

static void
nothing(void *arg)
{
    (void)arg;
}

static void
starter_main(void *arg)
{
    for (int i = 0; i < HANDOFFS / 10; i++) {
        fiber_start(arg, "f", 0, nothing, NULL);
        fiber_yield();
    }
}

int
main(void)
{
    struct env *env = env_posix_new();
    struct sched *s = sched_new(env);
    uint64_t start;

    bench_switch(env);
    fiber_queue_init(&ping);
    fiber_queue_init(&pong);
    fiber_start(s, "pong", 0, pong_main, NULL);
    fiber_start(s, "ping", 0, ping_main, NULL);
    start = env_boot_ns(env);
    sched_run(s, true);
    printf("handoff  %6.1f ns (park, wake, two switches)\n",
           (double)(env_boot_ns(env) - start) / HANDOFFS / 2);
    fiber_start(s, "starter", 0, starter_main, s);
    start = env_boot_ns(env);
    sched_run(s, true);
    printf("fiber    %6.1f ns (start, one loop turn, end)\n",
           (double)(env_boot_ns(env) - start) / (HANDOFFS / 10));
    sched_free(s);
    env_free(env);
    return 0;
}
