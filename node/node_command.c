/* What the command line asks of a running node, over the guard port. Commands that change roles are
 * the role machine's: one at a time, and its REPLY ends them.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/lsm/lsm.h"
#include "engine/txn/follow.h"
#include "node/node_int.h"

enum { WORD_MAX = 256, REPLY_HEAD = 5 /* of a text's message */ };

struct words {
    uint32_t count;
    char at[SHIP_ARGS_MAX][WORD_MAX];
};

static int
reply(struct link *l, enum ship_reply_what what, int code, struct slice text)
{
    struct ship_reply r = { what, code, text };
    struct writer w;
    int rc;

    wr_init(&w, ship_type_limit(SHIP_REPLY));
    ship_reply_encode(&w, &r);
    rc = wr_finish(&w);
    if (rc == 0)
        rc = link_send(l, SHIP_REPLY, wr_view(&w));
    wr_fini(&w);
    return rc;
}

static int
reply_end(struct link *l, int code)
{
    const struct diag *d = diag_last();
    char text[1024];

    if (code == 0)
        return reply(l, SHIP_REPLY_END, 0, slice(NULL, 0));
    snprintf(text, sizeof text, "%s\n%s\n%s", d->message, d->detail, d->hint);
    return reply(l, SHIP_REPLY_END, code, slice_str(text));
}

/* ---- telling ------------------------------------------------------------------------------------
 */

static void PRINTF_LIKE(2, 3) line(struct writer *w, const char *fmt, ...)
{
    char text[512];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    wr_bytes(w, text, strlen(text));
    wr_bytes(w, "\n", 1);
}

static void
tell_members(struct node *n, struct writer *w)
{
    const struct role_register *r = &role_durable_state(n->role)->reg;

    for (uint32_t i = 0; i < r->member_count; i++) {
        const struct register_member *m = &r->members[i];
        struct register_member own = *m;

        if (m->id == n->self) /* wherever the register still has it */
            node_move_wanted(n, own.guard, own.sql);
        line(w, "%u\t%s\t%s\t%s\t%d\t%d", m->id, m->name, own.guard, own.sql, m->id == r->primary,
             m->listed);
    }
}

static const char *
name_of(const struct role_register *r, member_id_t id)
{
    const struct register_member *m = register_member(r, id);

    return m != NULL ? m->name : "";
}

static void
tell_destinations(struct node *n, const struct role_register *r, struct writer *w)
{
    struct destination d[GATE_MEMBERS_MAX];
    uint32_t count = destinations_list(n->destinations, env_boot_ns(n->env), d);

    for (uint32_t i = 0; i < count; i++)
        line(w,
             "destination=%s\t%d\t%d\t%d\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64
             "\t%" PRIu64,
             name_of(r, d[i].member), d[i].connected, d[i].heard, d[i].redo_lost,
             d[i].transport_lag_bytes, d[i].apply_lag_bytes, d[i].transport_lag_us,
             d[i].apply_lag_us, d[i].age_us);
}

/* From where to where moments are held here. */
static void
tell_history(struct node *n, struct writer *w)
{
    scn_t horizon = engine_horizon(n->engine);
    uint64_t us = 0;

    /* SCN 0 has no time, nor may the horizon's be known: the next one's is no earlier. */
    if (engine_time_of_scn(n->engine, horizon, &us) != 0 &&
        engine_time_of_scn(n->engine, horizon + 1, &us) != 0)
        diag_clear();
    line(w, "horizon_scn=%" PRIu64, horizon);
    line(w, "horizon_time_us=%" PRIu64, us);
    line(w, "time_us=%" PRIu64, env_wall_us(n->env));
}

/* Of which database this one was restored, and where it parted from it. */
static void
tell_parent(struct node *n, struct writer *w)
{
    struct writer parent;
    struct reader r;
    uint64_t sequence, id;
    uint32_t inc;

    wr_init(&parent, 0);
    if (manifest_get_blob(lsm_manifest(engine_lsm(n->engine)), "parent", &sequence, &parent) == 0) {
        rd_init(&r, parent.data, parent.size);
        id = rd_u64(&r);
        inc = rd_u32(&r);
        line(w, "parent=%016" PRIx64, id);
        line(w, "parent_incarnation=%u", inc);
        line(w, "parent_scn=%" PRIu64, rd_u64(&r));
    }
    wr_fini(&parent);
}

static void
tell_report(struct node *n, struct writer *w)
{
    const struct role_durable *d = role_durable_state(n->role);
    const struct role_register *r = &d->reg;
    struct role_status s;
    struct redo_pos end = { 0 };

    role_get_status(n->role, &s);
    if (engine_end_of_log(n->engine, &end) != 0)
        diag_clear();
    line(w, "name=%s", n->conf->name);
    line(w, "database_id=%016" PRIx64, engine_database_id(n->engine));
    line(w, "role=%s", s.is_primary ? "primary" : "standby");
    line(w, "state=%s", role_state_name(s.state));
    line(w, "follow=%s", role_follow_name(s.follow));
    line(w, "sync=%s", s.state == ROLE_OPEN ? role_sync_name(s.sync) : "");
    line(w, "linked=%s", s.is_primary ? "" : node_is_linked(n) ? "1" : "0");
    line(w, "synchronized=%d", r->synchronized);
    line(w, "primary=%s", name_of(r, r->primary));
    line(w, "incarnation=%u", s.inc);
    line(w, "mode=%s", register_mode_name(r->mode));
    line(w, "level=%s",
         r->mode != REGISTER_PERFORMANCE && !r->synchronized ? "resynchronization"
                                                             : register_mode_name(r->mode));
    line(w, "k=%u", r->k);
    line(w, "list=%u", register_list_count(r));
    line(w, "visible_scn=%" PRIu64, engine_visible_scn(n->engine));
    line(w, "writes=%d", engine_is_open(n->engine));
    line(w, "end_lsn=%" PRIu64, end.lsn.v);
    line(w, "applied_lsn=%" PRIu64, engine_applied(n->engine).v);
    tell_history(n, w);
    tell_parent(n, w);
    line(w, "hands_over=%d", s.draining);
    line(w, "waits=%s", s.waits != NULL ? s.waits : "");
    if (s.follow == ROLE_FOLLOW_RESEED)
        line(w, "reseed=%" PRIu64 "\t%" PRIu64, n->reseed.bytes, n->reseed.total);
    if (s.is_primary)
        tell_destinations(n, r, w);
}

/* Every incarnation with redo here: up to where the present history shares it, and up to where its
 * own commits go. What lies between is an orphan branch. */
static void
tell_branches(struct node *n, struct writer *w)
{
    incarnation_t now = engine_incarnation(n->engine);
    struct lineage l;

    lineage_init(&l);
    lsm_lineage(engine_lsm(n->engine), &l);
    for (uint32_t i = 0; i < l.count; i++) {
        const struct lineage_entry *e = &l.entries[i];
        scn_t shared = lineage_part(&l, e->inc, now);
        struct redo_pos end;

        if (redo_end(engine_redo(n->engine), e->inc, &end) != 0) {
            diag_clear();
            continue;
        }
        if (e->inc == now || shared > end.scn)
            shared = end.scn;
        line(w, "%u\t%u\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\t%016" PRIx64 "\t%d", e->inc,
             e->parent, e->fork_scn, shared, end.scn, e->reign_id, e->inc == now);
    }
    lineage_fini(&l);
}

/* The incarnation that the log leads to, and the lineage in hexadecimal. */
static void
tell_lineage(struct node *n, struct writer *w)
{
    struct lineage l;
    struct writer bytes;
    char digits[4];

    lineage_init(&l);
    lsm_lineage(engine_lsm(n->engine), &l);
    wr_init(&bytes, 0);
    lineage_encode(&bytes, &l);
    line(w, "%u", node_log_incarnation(n));
    for (size_t i = 0; i < bytes.size; i++) {
        snprintf(digits, sizeof digits, "%02x", bytes.data[i]);
        wr_bytes(w, digits, 2);
    }
    wr_fini(&bytes);
    lineage_fini(&l);
}

/* ---- commands of roles --------------------------------------------------------------------------
 */

static int
find_member(struct node *n, const char *name, member_id_t *id)
{
    const struct register_member *m =
        register_member_named(&role_durable_state(n->role)->reg, name);

    if (m == NULL)
        return DIAG(ERR_UNDEFINED_OBJECT, "there is no member \"%s\"", name);
    *id = m->id;
    return 0;
}

static int
need(const struct words *w, uint32_t count)
{
    return w->count >= count ? 0 : DIAG(ERR_USAGE, "the command \"%s\" lacks words", w->at[0]);
}

static int
do_switchover(struct node *n, const struct words *w, uint64_t now)
{
    member_id_t id = 0;
    int rc = need(w, 2);

    if (rc == 0)
        rc = find_member(n, w->at[1], &id);
    return rc != 0 ? rc : role_switchover(n->role, now, id, &n->pending);
}

static int
do_failover(struct node *n, const struct words *w, uint64_t now)
{
    unsigned flags = 0;

    for (uint32_t i = 1; i < w->count; i++) {
        if (strcmp(w->at[i], "fenced") == 0)
            flags |= ROLE_FAILOVER_FENCED;
        else if (strcmp(w->at[i], "accept-loss") == 0)
            flags |= ROLE_FAILOVER_ACCEPT_LOSS;
        else
            return DIAG(ERR_USAGE, "failover does not know \"%s\"", w->at[i]);
    }
    return role_failover(n->role, now, flags, &n->pending);
}

/* protect MODE K NAME … */
static int
do_protect(struct node *n, const struct words *w, uint64_t now)
{
    member_id_t list[REGISTER_MEMBERS_MAX];
    enum register_mode mode;
    uint32_t count = 0;
    long k;
    int rc = need(w, 3);

    if (rc != 0)
        return rc;
    mode = strcmp(w->at[1], "availability") == 0 ? REGISTER_AVAILABILITY : REGISTER_PERFORMANCE;
    if (mode == REGISTER_PERFORMANCE && strcmp(w->at[1], "performance") != 0)
        return DIAG(ERR_NOT_SUPPORTED,
                    "the protection mode \"%s\" is not supported: performance and availability are",
                    w->at[1]);
    k = strtol(w->at[2], NULL, 10);
    for (uint32_t i = 3; i < w->count && rc == 0; i++) {
        if (count == REGISTER_MEMBERS_MAX)
            return DIAG(ERR_LIMIT, "the list is too long");
        rc = find_member(n, w->at[i], &list[count++]);
    }
    if (mode == REGISTER_AVAILABILITY && w->count == 3) { /* the list that there is */
        const struct role_register *r = &role_durable_state(n->role)->reg;

        k = r->k;
        for (uint32_t i = 0; i < r->member_count; i++)
            if (r->members[i].listed)
                list[count++] = r->members[i].id;
    }
    if (rc == 0 && (k < 0 || k > (long)count || (k == 0) != (count == 0)))
        rc = DIAG(ERR_USAGE, "%ld of a list of %u cannot be asked to acknowledge", k, count);
    return rc != 0 ? rc : role_protect(n->role, now, mode, (uint8_t)k, list, count, &n->pending);
}

static int
do_add(struct node *n, const struct words *w, uint64_t now)
{
    int rc = need(w, 4);

    return rc != 0 ? rc
                   : role_add_member(n->role, now, w->at[1], w->at[2], w->at[3], &n->command_member,
                                     &n->pending);
}

/* move NAME GUARD SQL: sent by that member itself. */
static int
do_move(struct node *n, const struct words *w, uint64_t now)
{
    member_id_t id = 0;
    int rc = need(w, 4);

    if (rc == 0)
        rc = find_member(n, w->at[1], &id);
    return rc != 0 ? rc : role_move_member(n->role, now, id, w->at[2], w->at[3], &n->pending);
}

static int
do_drop(struct node *n, const struct words *w, uint64_t now)
{
    member_id_t id = 0;
    int rc = need(w, 2);

    if (rc == 0)
        rc = find_member(n, w->at[1], &id);
    return rc != 0 ? rc : role_drop_member(n->role, now, id, &n->pending);
}

static int
do_reinstate(struct node *n, const struct words *w, uint64_t now)
{
    (void)w;
    return role_reinstate(n->role, now, &n->pending);
}

static const struct role_word {
    const char *name;
    int (*run)(struct node *n, const struct words *w, uint64_t now);
    bool ends_at_once; /* the machine sends no REPLY */
} role_words[] = {
    { "switchover", do_switchover, false },
    { "failover", do_failover, false },
    { "protect", do_protect, false },
    { "add", do_add, false },
    { "drop", do_drop, false },
    { "move", do_move, true },
    { "reinstate", do_reinstate, true },
};

/* The register that a new member begins with, in hexadecimal, behind its id. */
static void
tell_admitted(struct node *n, struct link *l)
{
    struct writer reg, text;
    char digits[24];

    wr_init(&reg, 0);
    wr_init(&text, 0);
    register_encode(&reg, &role_durable_state(n->role)->reg);
    snprintf(digits, sizeof digits, "%u\n", n->command_member);
    wr_bytes(&text, digits, strlen(digits));
    for (size_t i = 0; i < reg.size; i++) {
        snprintf(digits, sizeof digits, "%02x", reg.data[i]);
        wr_bytes(&text, digits, 2);
    }
    if (reply(l, SHIP_REPLY_TEXT, 0, wr_view(&text)) != 0)
        diag_clear();
    wr_fini(&text);
    wr_fini(&reg);
}

void
node_command_ended(struct node *n, const struct role_action *a)
{
    struct link *l = n->command_link;

    n->command_link = NULL;
    n->command_name = NULL;
    if (l == NULL)
        return;
    if (a->code == 0 && a->command == ROLE_CMD_ADD)
        tell_admitted(n, l);
    if (a->code == 0 && a->text[0] != '\0' && a->command != ROLE_CMD_ADD &&
        reply(l, SHIP_REPLY_TEXT, 0, slice_str(a->text)) != 0)
        diag_clear();
    if (a->code != 0)
        (void)DIAG(a->code, "%s", a->text);
    if (reply_end(l, a->code) != 0)
        diag_clear();
}

static int
run_role_word(struct node *n, struct link *l, const struct role_word *word, const struct words *w)
{
    int rc;

    if (n->command_name != NULL)
        return reply_end(
            l, DIAG(ERR_OBJECT_IN_USE, "another command is under way: %s", n->command_name));
    node_tell_log(n);
    rc = word->run(n, w, env_boot_ns(n->env));
    node_act_soon(n);
    if (rc != 0 || word->ends_at_once)
        return reply_end(l, rc);
    n->command_name = word->name;
    n->command_link = l;
    return 0; /* node_command_ended answers */
}

/* ---- the handler of links -----------------------------------------------------------------------
 */

static int
decode_words(struct slice body, struct words *w)
{
    struct ship_command c;
    int rc = ship_command_decode(body, &c);

    if (rc != 0)
        return rc;
    w->count = c.count;
    for (uint32_t i = 0; i < c.count; i++) {
        if (c.words[i].size >= WORD_MAX)
            return DIAG(ERR_LIMIT, "a word of a command is too long");
        memcpy(w->at[i], c.words[i].data, c.words[i].size);
        w->at[i][c.words[i].size] = '\0';
    }
    return w->count > 0 ? 0 : DIAG(ERR_PROTOCOL, "a command without words");
}

static int
run_words(struct node *n, struct link *l, const struct words *w)
{
    static const struct {
        const char *name;
        void (*tell)(struct node *n, struct writer *w);
    } telling[] = { { "members", tell_members },
                    { "report", tell_report },
                    { "branches", tell_branches },
                    { "lineage", tell_lineage } };
    struct writer text;
    bool is_cut;
    int rc;

    for (size_t i = 0; i < sizeof role_words / sizeof *role_words; i++)
        if (strcmp(w->at[0], role_words[i].name) == 0)
            return run_role_word(n, l, &role_words[i], w);
    for (size_t i = 0; i < sizeof telling / sizeof *telling; i++) {
        if (strcmp(w->at[0], telling[i].name) != 0)
            continue;
        wr_init(&text, ship_type_limit(SHIP_REPLY) - REPLY_HEAD);
        telling[i].tell(n, &text);
        is_cut = text.bad;
        rc = is_cut ? 0 : reply(l, SHIP_REPLY_TEXT, 0, wr_view(&text));
        wr_fini(&text);
        if (is_cut)
            return reply_end(
                l, DIAG(ERR_LIMIT, "what \"%s\" tells does not fit in one message", w->at[0]));
        return rc != 0 ? rc : reply_end(l, 0);
    }
    return reply_end(
        l, DIAG(ERR_NOT_SUPPORTED, "this node does not know the command \"%s\"", w->at[0]));
}

static int
command_message(void *arg, struct link *l, const struct ship_header *h, struct slice body)
{
    struct node *n = arg;
    struct words *w;
    int rc;

    if (h->type != SHIP_COMMAND)
        return DIAG(ERR_PROTOCOL, "a command line does not send messages of type %s",
                    ship_type_name(h->type));
    w = xcalloc(1, sizeof *w);
    rc = decode_words(body, w);
    if (rc == 0)
        rc = run_words(n, l, w);
    xfree(w);
    return rc;
}

static void
command_up(void *arg, struct link *l)
{
    (void)arg;
    (void)l;
}

static void
command_down(void *arg, struct link *l, int code)
{
    struct node *n = arg;

    (void)code;
    if (n->command_link == l)
        n->command_link = NULL;
}

void
node_serve_commands(struct node *n, struct link_handler *out)
{
    *out = (struct link_handler){ command_up, command_message, command_down, n };
}
