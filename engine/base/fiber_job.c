/* Pools of threads for what a worker must not do itself.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "engine/base/fiber_int.h"
#include "engine/base/mem.h"

struct job {
    struct list link;          /* struct job_pool.queue */
    int (*run)(void *arg);     /* with somebody who waits; or */
    void (*posted)(void *arg); /* with nobody: the job is freed by the thread */
    void *arg;
    int rc;
    struct diag *diag; /* what `run` reported; changes hands with the completion */
    struct completion done;
};

struct job_pool {
    struct env *env;
    struct env_mutex lock;
    struct env_cond more;
    struct list queue; /* of struct job.link; under lock */
    bool is_stopping;  /* under lock */
    int idle_count;    /* threads that wait; under lock */
    int thread_count;
    struct env_thread **threads;
};

static void
job_execute(struct job *j)
{
    struct task *t = task_self();

    if (j->posted != NULL) {
        j->posted(j->arg);
        xfree(j);
        return;
    }
    j->rc = j->run(j->arg);
    if (j->rc != 0) {
        j->diag = t->diag;
        t->diag = NULL;
    }
    completion_post(&j->done); /* j is the waiter's again */
}

static void
job_thread_main(void *arg)
{
    struct job_pool *p = arg;

    env_mutex_lock(&p->lock);
    for (;;) {
        struct list *link = list_pop_front(&p->queue);

        if (link != NULL) {
            env_mutex_unlock(&p->lock);
            job_execute(container_of(link, struct job, link));
            env_mutex_lock(&p->lock);
        } else if (p->is_stopping) {
            break;
        } else {
            p->idle_count++;
            env_cond_wait(&p->more, &p->lock);
            p->idle_count--;
        }
    }
    env_mutex_unlock(&p->lock);
}

struct job_pool *
job_pool_new(struct env *env, const char *name, int threads)
{
    struct job_pool *p = xcalloc(1, sizeof *p);
    char thread_name[16];

    CHECK(threads > 0);
    p->env = env;
    p->thread_count = threads;
    p->threads = xcalloc((size_t)threads, sizeof(struct env_thread *));
    env_mutex_init(env, &p->lock);
    env_cond_init(env, &p->more);
    list_init(&p->queue);
    for (int i = 0; i < threads; i++) {
        snprintf(thread_name, sizeof thread_name, "%.11s-%d", name, i % 1000);
        p->threads[i] = env_thread_start(env, thread_name, job_thread_main, p);
    }
    return p;
}

void
job_pool_free(struct job_pool *p)
{
    env_mutex_lock(&p->lock);
    p->is_stopping = true;
    env_cond_broadcast(&p->more);
    env_mutex_unlock(&p->lock);
    for (int i = 0; i < p->thread_count; i++)
        env_thread_join(p->threads[i]);
    env_cond_fini(&p->more);
    env_mutex_fini(&p->lock);
    xfree(p->threads);
    xfree(p);
}

static void
job_queue(struct job_pool *p, struct job *j)
{
    env_mutex_lock(&p->lock);
    list_push_back(&p->queue, &j->link);
    if (p->idle_count > 0)
        env_cond_signal(&p->more);
    env_mutex_unlock(&p->lock);
}

int
job_run(struct job_pool *p, int (*fn)(void *arg), void *arg)
{
    struct job j = { .run = fn, .arg = arg };

    completion_init(&j.done);
    job_queue(p, &j);
    completion_wait(&j.done);
    if (j.diag != NULL) {
        struct task *t = task_self();

        xfree(t->diag);
        t->diag = j.diag;
    }
    return j.rc;
}

void
job_post(struct job_pool *p, void (*fn)(void *arg), void *arg)
{
    struct job *j = xcalloc(1, sizeof *j);

    j->posted = fn;
    j->arg = arg;
    job_queue(p, j);
}
