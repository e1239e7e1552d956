/* A member's addresses are those of its redoubt.yaml (guard.advertise, else the first of
 * guard.listen; the first of sql.listen). The register is written by the primary: a member that
 * starts under others than the register has tells the primary, over the guard port, and dials
 * everybody until it is found again.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "node/node_int.h"

enum { ANSWER_WAIT_US = 3000000 };
static const uint64_t MOVE_RETRY_NS = 1000000000;

/* Not a place where another machine finds anybody. */
static bool
is_anywhere(const char *address)
{
    size_t n = strlen(address);

    return n == 0 || strncmp(address, "0.0.0.0:", 8) == 0 || strncmp(address, "[::]:", 5) == 0 ||
           (n > 2 && strcmp(address + n - 2, ":0") == 0);
}

void
node_move_wanted(const struct node *n, char guard[REGISTER_ADDR_MAX], char sql[REGISTER_ADDR_MAX])
{
    const struct conf *c = n->conf;
    const char *at = c->guard_advertise[0] != '\0' ? c->guard_advertise : c->guard_listen.items[0];

    if (!is_anywhere(at))
        snprintf(guard, REGISTER_ADDR_MAX, "%s", at);
    if (c->sql_listen.count > 0 && !is_anywhere(c->sql_listen.items[0]))
        snprintf(sql, REGISTER_ADDR_MAX, "%s", c->sql_listen.items[0]);
}

static bool
differs(const struct node *n, struct register_member *wanted)
{
    const struct register_member *m = register_member(&role_durable_state(n->role)->reg, n->self);

    if (m == NULL)
        return false;
    *wanted = *m;
    node_move_wanted(n, wanted->guard, wanted->sql);
    return strcmp(m->guard, wanted->guard) != 0 || strcmp(m->sql, wanted->sql) != 0;
}

bool
node_has_moved(struct node *n)
{
    const struct register_member *m = register_member(&role_durable_state(n->role)->reg, n->self);
    struct register_member wanted;

    return differs(n, &wanted) && strcmp(m->guard, wanted.guard) != 0;
}

/* ---- telling the primary ------------------------------------------------------------------------
 */

static void
move_up(void *arg, struct link *l)
{
    (void)arg;
    (void)l;
}

static void
move_down(void *arg, struct link *l, int code)
{
    struct node *n = arg;

    (void)code;
    if (n->move.link != l)
        return;
    n->move.link = NULL;
    n->move.ended = true;
    fiber_queue_wake_all(&n->move.news);
}

static int
move_message(void *arg, struct link *l, const struct ship_header *h, struct slice body)
{
    struct node *n = arg;
    struct ship_reply r;

    if (n->move.link != l || h->type != SHIP_REPLY || ship_reply_decode(body, &r) != 0 ||
        r.what != SHIP_REPLY_END)
        return 0;
    if (r.code != 0 && r.code != n->move.refused)
        log_warning(n->log, "the primary does not take this member's addresses: %.*s",
                    (int)strcspn((const char *)r.text.data, "\n"), (const char *)r.text.data);
    n->move.refused = r.code;
    n->move.ended = true;
    fiber_queue_wake_all(&n->move.news);
    return 0;
}

static int
tell(struct node *n, const char *address, const struct register_member *wanted)
{
    struct link_handler handler = { move_up, move_message, move_down, n };
    struct ship_command c = {
        .count = 4,
        .words = { slice_str("move"), slice_str(wanted->name), slice_str(wanted->guard),
                   slice_str(wanted->sql) },
    };
    struct writer w;
    int rc = link_connect(n->hub, address, SHIP_COMMAND_LINE, &handler, &n->move.link);

    if (rc != 0)
        return rc;
    wr_init(&w, ship_type_limit(SHIP_COMMAND));
    ship_command_encode(&w, &c);
    rc = wr_finish(&w);
    if (rc == 0)
        rc = link_send(n->move.link, SHIP_COMMAND, wr_view(&w));
    wr_fini(&w);
    if (rc == 0 && !n->move.ended && !n->stopping)
        (void)fiber_queue_wait_us(&n->move.news, ANSWER_WAIT_US);
    return rc;
}

static void
move_main(void *arg)
{
    struct node *n = arg;
    const struct role_register *reg = &role_durable_state(n->role)->reg;
    const struct register_member *primary = register_member(reg, reg->primary);
    struct register_member wanted;
    char address[REGISTER_ADDR_MAX];
    struct link *l;

    if (primary != NULL && differs(n, &wanted)) {
        snprintf(address, sizeof address, "%s", primary->guard);
        if (tell(n, address, &wanted) != 0)
            diag_clear(); /* tried again */
    }
    l = n->move.link;
    n->move.link = NULL;
    if (l != NULL)
        link_close(l, 0, "that was all");
    n->move.busy = false;
    node_fiber_end(n);
}

void
node_move_keep(struct node *n)
{
    const struct role_durable *d = role_durable_state(n->role);
    struct register_member wanted;
    struct role_status s;
    uint64_t now = env_boot_ns(n->env);

    if (n->move.busy || n->stopping || now < n->move.retry_ns || !differs(n, &wanted))
        return;
    n->move.retry_ns = now + MOVE_RETRY_NS;
    role_get_status(n->role, &s);
    if (s.state == ROLE_OPEN) {
        int rc = role_move_member(n->role, now, n->self, wanted.guard, wanted.sql, &n->pending);

        if (rc != 0 && rc != ERR_OBJECT_IN_USE && rc != n->move.refused)
            log_diag(n->log, LOG_WARNING, "this node's addresses");
        n->move.refused = rc;
        node_act_soon(n);
    } else if (s.follow != ROLE_FOLLOW_NONE && d->reg.primary != n->self) {
        n->move.busy = true;
        n->move.ended = false;
        node_fiber_start(n, "move", move_main, n);
    }
}
