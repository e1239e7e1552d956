/* What clients of a cluster_world were told and saw, against what is there at the end.
 *
 * The final lists are the order of commits: a number that a transaction appended stands at one
 * place in each list that it named, or in none.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/cluster_world.h"
#include "tests/support/sim_wire.h"

#define ANSWER_US (30 * SIM_SECOND)
enum { ABSENT = -1 };

/* The tables at the end. */
struct final {
    struct seen seen;
    uint32_t count[LISTS];   /* of numbers */
    uint32_t *number[LISTS]; /* in their order */
    int32_t (*place)[LISTS]; /* by transaction: where it stands in each list */
    bool *transferred;       /* by transaction: it is in the ledger */
};

/* ---- reading --------------------------------------------------------------------------------- */

static const char tables[] = "SELECT v FROM lists ORDER BY k;"
                             "SELECT balance FROM bank ORDER BY id;"
                             "SELECT count(*) FROM ledger";

static void
connect_to(struct cluster *c, struct sim_wire *w, int member)
{
    char at[32];

    snprintf(at, sizeof at, "%s:5433", c->node[member].name);
    sim_wire_init(w, c->clients);
    EXPECT(c, sim_wire_connect(w, at, ANSWER_US) == SIM_WIRE_OK, "%s takes no connection: %s %s",
           c->node[member].name, w->sqlstate, w->message);
}

static void
take(const struct sim_wire *w, struct seen *out)
{
    int row = 0;

    for (int i = 0; i < LISTS; i++)
        out->list[i] = strdup(sim_wire_field(w, row++, 0));
    for (int i = 0; i < ACCOUNTS; i++)
        out->balance[i] = sim_wire_int(w, row++, 0);
    out->transfers = (uint32_t)sim_wire_int(w, row, 0);
}

static void
forget(struct seen *s)
{
    for (int i = 0; i < LISTS; i++)
        free(s->list[i]);
}

void
cluster_forget(struct cluster *c)
{
    for (uint32_t i = 0; i < c->seens; i++)
        forget(&c->seen[i]);
}

static void
read_ledger(struct cluster *c, struct final *f, struct sim_wire *w)
{
    enum { PAGE = 400 };

    f->transferred = calloc(c->writes + 1, sizeof *f->transferred);
    for (uint32_t from = 0; from < c->writes; from += PAGE) {
        EXPECT(c,
               sim_wire_queryf(w, ANSWER_US,
                               "SELECT id, source, target FROM ledger WHERE id >= %u AND id < %u",
                               from, from + PAGE) == SIM_WIRE_OK,
               "reading the ledger: %s %s", w->sqlstate, w->message);
        for (int row = 0; row < w->rows; row++) {
            uint32_t id = (uint32_t)sim_wire_int(w, row, 0);
            const struct write *t = &c->write[id];

            EXPECT(c, t->from == sim_wire_int(w, row, 1) && t->to == sim_wire_int(w, row, 2),
                   "transfer %u is not as it was written", id);
            f->transferred[id] = true;
        }
    }
}

static void
parse_list(struct cluster *c, struct final *f, int list)
{
    char *at = f->seen.list[list];

    f->number[list] = calloc(strlen(at) + 1, sizeof(uint32_t));
    while (*at != '\0') {
        uint32_t id = (uint32_t)strtoul(at, &at, 10);

        EXPECT(c, *at++ == ',' && id < c->writes && (c->write[id].lists >> list & 1) != 0,
               "list %d holds %u, which nobody appended", list, id);
        EXPECT(c, f->place[id][list] == ABSENT, "list %d holds %u twice", list, id);
        f->place[id][list] = (int32_t)f->count[list];
        f->number[list][f->count[list]++] = id;
    }
}

static void
read_final(struct cluster *c, struct final *f)
{
    struct sim_wire w;

    connect_to(c, &w, cluster_primary(c));
    EXPECT(c, sim_wire_query(&w, ANSWER_US, tables) == SIM_WIRE_OK, "reading the tables: %s %s",
           w.sqlstate, w.message);
    take(&w, &f->seen);
    f->place = calloc(c->writes + 1, sizeof *f->place);
    for (uint32_t i = 0; i < c->writes; i++)
        for (int k = 0; k < LISTS; k++)
            f->place[i][k] = ABSENT;
    for (int k = 0; k < LISTS; k++)
        parse_list(c, f, k);
    read_ledger(c, f, &w);
    sim_wire_fini(&w);
}

static void
free_final(struct final *f)
{
    forget(&f->seen);
    for (int k = 0; k < LISTS; k++)
        free(f->number[k]);
    free(f->place);
    free(f->transferred);
}

/* ---- transactions ---------------------------------------------------------------------------- */

static bool
is_there(const struct cluster *c, const struct final *f, uint32_t id)
{
    const struct write *t = &c->write[id];

    if (t->from != t->to)
        return f->transferred[id];
    for (int k = 0; k < LISTS; k++)
        if ((t->lists >> k & 1) != 0)
            return f->place[id][k] != ABSENT;
    return false;
}

/* A transaction that is not there, and need not be: nobody was told of it, or it was acknowledged
 * alone and an operator accepted the loss since. */
static bool
may_be_lost(const struct cluster *c, uint32_t id)
{
    const struct write *t = &c->write[id];

    return t->outcome != OUTCOME_ACKED || (t->alone && c->word_at >= t->ended);
}

static void
check_writes(struct cluster *c, const struct final *f)
{
    int64_t balance[ACCOUNTS];
    uint32_t transfers = 0;

    for (int i = 0; i < ACCOUNTS; i++)
        balance[i] = ACCOUNT_BEGIN;
    for (uint32_t id = 0; id < c->writes; id++) {
        const struct write *t = &c->write[id];
        bool there = is_there(c, f, id);

        for (int k = 0; k < LISTS; k++)
            EXPECT(c, (t->lists >> k & 1) == 0 || (f->place[id][k] != ABSENT) == there,
                   "transaction %u is torn: list %d", id, k);
        EXPECT(c, there || may_be_lost(c, id),
               "the acknowledged transaction %u is lost (by %s in incarnation %u, %.6f to %.6f s)",
               id, c->node[t->member].name, t->inc, (double)t->begun / 1e6, (double)t->ended / 1e6);
        EXPECT(c, !there || t->outcome != OUTCOME_REFUSED,
               "transaction %u was refused and is there (%.6f to %.6f s)", id,
               (double)t->begun / 1e6, (double)t->ended / 1e6);
        if (there && t->from != t->to) {
            balance[t->from] -= 5;
            balance[t->to] += 5;
            transfers++;
        }
    }
    EXPECT(c, transfers == f->seen.transfers, "the ledger has %u rows, not %u", f->seen.transfers,
           transfers);
    for (int i = 0; i < ACCOUNTS; i++)
        EXPECT(c, balance[i] == f->seen.balance[i], "account %d has %" PRId64 ", not %" PRId64, i,
               f->seen.balance[i], balance[i]);
}

/* Rule 1 of the faults: what was acknowledged before another began stands before it. */
static void
check_order(struct cluster *c, const struct final *f)
{
    for (int k = 0; k < LISTS; k++) {
        uint64_t first_end = UINT64_MAX;
        uint32_t of = 0;

        for (uint32_t i = f->count[k]; i-- > 0;) {
            const struct write *t = &c->write[f->number[k][i]];

            EXPECT(c, t->begun <= first_end,
                   "list %d: %u stands before %u, which was acknowledged before it began", k,
                   f->number[k][i], of);
            if (t->outcome == OUTCOME_ACKED && t->ended < first_end) {
                first_end = t->ended;
                of = f->number[k][i];
            }
        }
    }
}

/* Two reigns never take turns: who was told by a later one before that began is told by no earlier
 * one. (INV-1, as clients see it.) */
static void
check_reigns(struct cluster *c)
{
    for (uint32_t i = 0; i < c->writes; i++) {
        const struct write *later = &c->write[i];

        for (uint32_t j = 0; j < c->writes && later->outcome == OUTCOME_ACKED; j++) {
            const struct write *t = &c->write[j];

            EXPECT(c,
                   t->outcome != OUTCOME_ACKED || t->begun <= later->ended || t->inc >= later->inc,
                   "INV-1: %u of incarnation %u was acknowledged after %u of incarnation %u", j,
                   t->inc, i, later->inc);
        }
    }
}

/* ---- snapshots ------------------------------------------------------------------------------- */

/* How many numbers of the final list a text holds. What differs must be lost by an operator's word.
 */
static uint32_t
check_prefix(struct cluster *c, const struct final *f, const struct seen *s, int list)
{
    const char *text = s->list[list], *end = f->seen.list[list];
    uint32_t count = 0;
    size_t at = 0;

    while (text[at] != '\0' && text[at] == end[at])
        count += text[at++] == ',';
    if (text[at] == '\0')
        return count;
    while (at > 0 && text[at - 1] != ',')
        at--;
    for (const char *p = text + at; *p != '\0'; p = strchr(p, ',') + 1) {
        uint32_t id = (uint32_t)strtoul(p, NULL, 10);

        EXPECT(c, c->word_at >= s->begun && may_be_lost(c, id) && !is_there(c, f, id),
               "%s showed list %d with %u where it is not (at %.6f s, SCN %" PRIu64 ")",
               c->node[s->member].name, list, id, (double)s->ended / 1e6, s->scn);
    }
    return count;
}

/* No snapshot has a part of a transaction, and money is never made or lost. */
static void
check_whole(struct cluster *c, const struct final *f, const struct seen *s, const uint32_t *count)
{
    int64_t sum = 0;

    for (int i = 0; i < ACCOUNTS; i++)
        sum += s->balance[i];
    EXPECT(c, sum == (int64_t)ACCOUNTS * ACCOUNT_BEGIN,
           "%s showed accounts that do not add up (at %.6f s, SCN %" PRIu64 ")",
           c->node[s->member].name, (double)s->ended / 1e6, s->scn);
    for (int k = 0; k < LISTS; k++)
        for (uint32_t i = count[k]; i-- > 0 && i + 64 > count[k];) {
            uint32_t id = f->number[k][i];

            for (int other = 0; other < LISTS; other++)
                EXPECT(c,
                       f->place[id][other] == ABSENT ||
                           (uint32_t)f->place[id][other] < count[other],
                       "%s showed a part of transaction %u (at %.6f s, SCN %" PRIu64 ")",
                       c->node[s->member].name, id, (double)s->ended / 1e6, s->scn);
        }
}

/* FO-2: what a primary shows has all that was acknowledged before it was asked. */
static void
check_fresh(struct cluster *c, const struct final *f, const struct seen *s, const uint32_t *count)
{
    for (uint32_t id = 0; id < c->writes && s->primary; id++) {
        const struct write *t = &c->write[id];

        if (t->outcome != OUTCOME_ACKED || t->ended >= s->begun)
            continue;
        for (int k = 0; k < LISTS; k++)
            EXPECT(c, f->place[id][k] == ABSENT || (uint32_t)f->place[id][k] < count[k],
                   "%s, the primary, did not show %u, acknowledged at %.6f s (at %.6f s)",
                   c->node[s->member].name, id, (double)t->ended / 1e6, (double)s->ended / 1e6);
    }
}

struct counts {
    uint32_t at[LISTS], total;
    uint32_t seen;
};

static int
by_total(const void *a, const void *b)
{
    const struct counts *x = a, *y = b;

    return (x->total > y->total) - (x->total < y->total);
}

/* One order for all (rule 1): of any two snapshots, wherever read, one has all that the other has.
 */
static void
check_line(struct cluster *c, struct counts *counts, uint32_t n)
{
    qsort(counts, n, sizeof *counts, by_total);
    for (uint32_t i = 1; i < n; i++)
        for (int k = 0; k < LISTS; k++)
            EXPECT(c, counts[i - 1].at[k] <= counts[i].at[k],
                   "two snapshots contradict each other: %s at %.6f s, %s at %.6f s, list %d",
                   c->node[c->seen[counts[i - 1].seen].member].name,
                   (double)c->seen[counts[i - 1].seen].ended / 1e6,
                   c->node[c->seen[counts[i].seen].member].name,
                   (double)c->seen[counts[i].seen].ended / 1e6, k);
}

static void
check_seen(struct cluster *c, const struct final *f)
{
    struct counts *counts = calloc(c->seens + 1, sizeof *counts);
    uint32_t last_of[CLUSTER_NODES] = { UINT32_MAX, UINT32_MAX, UINT32_MAX };

    for (uint32_t i = 0; i < c->seens; i++) {
        const struct seen *s = &c->seen[i], *last;
        struct counts *n = &counts[i];

        n->seen = i;
        for (int k = 0; k < LISTS; k++)
            n->total += n->at[k] = check_prefix(c, f, s, k);
        check_whole(c, f, s, n->at);
        check_fresh(c, f, s, n->at);
        /* While it lives a member never shows a moment that goes back. */
        last = last_of[s->member] != UINT32_MAX ? &c->seen[last_of[s->member]] : NULL;
        if (last != NULL && last->life == s->life && last->ended <= s->begun)
            for (int k = 0; k < LISTS; k++)
                EXPECT(c, counts[last_of[s->member]].at[k] <= n->at[k], "%s went back (at %.6f s)",
                       c->node[s->member].name, (double)s->ended / 1e6);
        last_of[s->member] = i;
    }
    check_line(c, counts, c->seens);
    free(counts);
}

/* ---- all of it ------------------------------------------------------------------------------- */

static bool
same(const struct seen *a, const struct seen *b)
{
    bool equal =
        a->transfers == b->transfers && memcmp(a->balance, b->balance, sizeof a->balance) == 0;

    for (int k = 0; k < LISTS; k++)
        equal = equal && strcmp(a->list[k], b->list[k]) == 0;
    return equal;
}

static void
check_members(struct cluster *c, const struct final *f)
{
    for (int i = 0; i < CLUSTER_NODES; i++) {
        struct sim_wire w;
        struct seen s;

        connect_to(c, &w, i);
        EXPECT(c, sim_wire_query(&w, ANSWER_US, tables) == SIM_WIRE_OK, "%s does not answer: %s %s",
               c->node[i].name, w.sqlstate, w.message);
        take(&w, &s);
        EXPECT(c, same(&f->seen, &s), "%s shows other tables than the primary", c->node[i].name);
        forget(&s);
        sim_wire_fini(&w);
    }
}

/* Moments of the past that a primary showed are the same everywhere, whichever branch one is on. */
static void
check_past(struct cluster *c)
{
    enum { MOMENTS = 3 };

    for (int n = 0; n < MOMENTS && c->seens > 0; n++) {
        const struct seen *moment = &c->seen[cluster_random(c, c->seens)];
        struct seen first, s;
        struct sim_wire w;

        for (int i = 0; i < CLUSTER_NODES; i++) {
            connect_to(c, &w, i);
            EXPECT(c,
                   sim_wire_queryf(&w, ANSWER_US,
                                   "SELECT v FROM lists AS OF SCN %" PRIu64 " ORDER BY k;"
                                   "SELECT balance FROM bank AS OF SCN %" PRIu64 " ORDER BY id;"
                                   "SELECT count(*) FROM ledger AS OF SCN %" PRIu64,
                                   moment->scn, moment->scn, moment->scn) == SIM_WIRE_OK,
                   "%s does not answer AS OF SCN %" PRIu64 ": %s %s", c->node[i].name, moment->scn,
                   w.sqlstate, w.message);
            take(&w, i == 0 ? &first : &s);
            sim_wire_fini(&w);
            if (i == 0)
                continue;
            EXPECT(c, same(&first, &s), "%s and %s differ AS OF SCN %" PRIu64, c->node[0].name,
                   c->node[i].name, moment->scn);
            forget(&s);
        }
        forget(&first);
    }
}

void
cluster_check(struct cluster *c)
{
    struct final f = { .place = NULL };

    read_final(c, &f);
    check_writes(c, &f);
    check_order(c, &f);
    check_reigns(c);
    check_seen(c, &f);
    check_members(c, &f);
    check_past(c);
    free_final(&f);
}
