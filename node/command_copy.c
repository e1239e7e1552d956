/* SPDX-License-Identifier: Apache-2.0 */
#include "node/command_copy.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/env.h"
#include "engine/base/fiber.h"
#include "engine/base/mem.h"
#include "logship/link.h"
#include "logship/ship_base.h"
#include "logship/ship_send.h"

enum { COPY_STACK = 256 << 10, JOB_THREADS = 2 };

void
copy_show(const char *what, uint64_t bytes, uint64_t total)
{
    if (isatty(STDERR_FILENO))
        fprintf(stderr, "\r%s: %.1f of %.1f MiB ", what, (double)bytes / (1 << 20),
                (double)total / (1 << 20));
}

void
copy_shown(void)
{
    if (isatty(STDERR_FILENO))
        fputs("\r\033[K", stderr);
}

/* ---- one link to a running node -----------------------------------------------------------------
 */

struct copying {
    const struct call *call;
    const char *address, *name, *dir;
    uint64_t database_id;
    struct backup *out;
    struct sched *sched;
    struct job_pool *jobs;
    struct link *link;
    struct ship_base_copy *copy;
    /* redo */
    struct restore *restore; /* NULL: of a base copy, or it is only asked whether there is redo */
    const struct redo_pos *from;
    incarnation_t inc;
    bool ended, down;
    struct fiber_queue news;
    int rc;
    struct diag why;
};

static void
on_up(void *arg, struct link *l)
{
    (void)arg;
    (void)l;
}

static int
take_redo(struct copying *c, const struct ship_header *h, struct slice body)
{
    struct ship_redo_end end;
    struct ship_redo m;
    struct redo_frame *f = NULL;
    int rc;

    if (h->type == SHIP_REDO_END) {
        rc = ship_redo_end_decode(body, &end);
        c->ended = true;
        if (rc == 0 && end.code != 0)
            rc = DIAG(end.code, "redo since the backup: %.*s", (int)end.text.size,
                      (const char *)end.text.data);
    } else if (h->type == SHIP_REDO && !c->ended) {
        rc = ship_redo_decode(body, &m);
        if (rc == 0 && c->restore == NULL)
            c->ended = true;
        else if (rc == 0)
            rc = redo_frame_decode(m.frame.data, m.frame.size, &f);
        if (rc == 0 && c->restore != NULL) {
            rc = restore_frame(c->restore, f);
            redo_frame_unref(f);
            c->ended = rc == 0 && restore_is_there(c->restore);
        }
    } else {
        return 0;
    }
    if (rc != 0) {
        c->rc = rc;
        c->why = *diag_last();
        c->ended = true;
    }
    fiber_queue_wake_all(&c->news);
    return rc;
}

static int
on_message(void *arg, struct link *l, const struct ship_header *h, struct slice body)
{
    struct copying *c = arg;

    (void)l;
    if (c->restore != NULL || c->from != NULL)
        return take_redo(c, h, body);
    return c->copy != NULL ? ship_base_copy_message(c->copy, h, body) : 0;
}

static void
on_down(void *arg, struct link *l, int code)
{
    struct copying *c = arg;

    (void)l;
    (void)code;
    c->down = true;
    if (c->copy != NULL)
        ship_base_copy_link_down(c->copy);
    fiber_queue_wake_all(&c->news);
}

static void
on_progress(void *arg, uint64_t bytes, uint64_t total)
{
    (void)arg;
    copy_show("copying", bytes, total);
}

/* ---- the base copy ------------------------------------------------------------------------------
 */

static int
run_copy(struct copying *c)
{
    struct ship_base_options b = { .env = c->call->env,
                                   .dir = c->dir,
                                   .jobs = c->jobs,
                                   .link = c->link,
                                   .database_id = c->database_id,
                                   .progress = on_progress };
    int rc;

    c->copy = ship_base_copy_new(&b);
    rc = ship_base_copy_run(c->copy);
    if (rc == 0 && c->out != NULL) {
        struct ship_base_log log = ship_base_copy_log(c->copy);

        c->out->inc = log.inc;
        c->out->from = log.from;
        c->out->end = log.end;
        lineage_copy(&c->out->lineage, log.lineage);
    }
    return rc;
}

static int
run_redo(struct copying *c)
{
    struct redo_pos at = c->restore != NULL ? restore_at(c->restore) : *c->from;
    struct ship_redo_request q = {
        .purpose = SHIP_REDO_GAP, .inc = c->inc, .until = LSN_MAX, .from = ship_pos_of(&at)
    };
    struct writer w;
    int rc;

    wr_init(&w, 256);
    ship_redo_request_encode(&w, &q);
    rc = link_send_wait(c->link, SHIP_REDO_REQUEST, wr_view(&w));
    wr_fini(&w);
    while (rc == 0 && !c->ended && !c->down)
        fiber_queue_wait(&c->news);
    if (rc == 0 && !c->ended)
        rc = DIAG(ERR_CONNECT, "the connection with %s has ended before all redo had come",
                  c->address);
    return rc;
}

static void
copying_main(void *arg)
{
    struct copying *c = arg;
    struct link_handler handler = { on_up, on_message, on_down, c };
    struct link_options o = { .sched = c->sched,
                              .env = c->call->env,
                              .key = c->call->key,
                              .database_id = c->database_id,
                              .boot_id = env_random_u64(c->call->env) };
    struct link_hub *hub;
    int rc;

    snprintf(o.name, sizeof o.name, "%s", c->name);
    hub = link_hub_new(&o);
    rc = link_connect(hub, c->address, SHIP_JOINING, &handler, &c->link);
    if (rc == 0)
        rc = c->restore != NULL || c->from != NULL ? run_redo(c) : run_copy(c);
    if (rc != 0 && c->rc == 0) {
        c->rc = rc;
        c->why = *diag_last();
    }
    link_hub_free(hub);
    ship_base_copy_free(c->copy);
    c->copy = NULL;
}

static int
run(struct copying *c)
{
    fiber_queue_init(&c->news);
    c->jobs = job_pool_new(c->call->env, "copy", JOB_THREADS);
    c->sched = sched_new(c->call->env);
    fiber_start(c->sched, "copy", COPY_STACK, copying_main, c);
    sched_run(c->sched, true);
    sched_free(c->sched);
    job_pool_free(c->jobs);
    copy_shown();
    if (c->rc != 0)
        diag_restore(&c->why);
    return c->rc;
}

int
copy_database(const struct call *c, const char *address, const char *name, const char *dir,
              uint64_t database_id, struct backup *out)
{
    struct copying copying = { .call = c,
                               .address = address,
                               .name = name,
                               .dir = dir,
                               .database_id = database_id,
                               .out = out };

    return run(&copying);
}

int
copy_has_redo(const struct call *c, const char *address, uint64_t database_id, incarnation_t inc,
              const struct redo_pos *from)
{
    struct copying copying = { .call = c,
                               .address = address,
                               .name = "restore",
                               .database_id = database_id,
                               .from = from,
                               .inc = inc };

    return run(&copying);
}

int
copy_redo(const struct call *c, const char *address, uint64_t database_id, incarnation_t inc,
          struct restore *r)
{
    struct copying copying = { .call = c,
                               .address = address,
                               .name = "restore",
                               .database_id = database_id,
                               .restore = r,
                               .inc = inc };

    return restore_is_there(r) ? 0 : run(&copying);
}
