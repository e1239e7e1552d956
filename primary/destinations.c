/* SPDX-License-Identifier: Apache-2.0 */
#include "primary/destinations.h"

#include <string.h>

#include "engine/base/mem.h"
#include "engine/redo/redo.h"

enum { SAMPLES = 2048 };
#define SAMPLE_NS 10000000ull /* samples are at least so far apart */

/* When the log had grown to this. */
struct sample {
    struct lsn end;
    uint64_t ns;
};

struct known {
    member_id_t member;
    bool promotable, connected, heard;
    struct gate_ack ack;
    scn_t applied_scn;
    uint64_t heard_ns;
    struct redo_pin *pin; /* NULL: none is kept */
};

struct destinations {
    struct env *env;
    struct env_mutex mutex; /* outside redo's own locks */
    struct redo *redo;      /* NULL: nothing is kept */
    struct known known[GATE_MEMBERS_MAX];
    uint32_t count;
    struct sample samples[SAMPLES]; /* a ring, oldest first */
    uint32_t first, sample_count;
    struct lsn end;
    uint64_t end_ns;
};

struct destinations *
destinations_new(struct env *env)
{
    struct destinations *d = xcalloc(1, sizeof *d);

    d->env = env;
    env_mutex_init(env, &d->mutex);
    return d;
}

void
destinations_free(struct destinations *d)
{
    if (d == NULL)
        return;
    destinations_keep_redo(d, NULL);
    env_mutex_fini(&d->mutex);
    xfree(d);
}

/* ---- redo that is kept ----------------------------------------------------------------------- */

static void
keep(struct destinations *d, struct known *k)
{
    if (d->redo == NULL || k->pin != NULL)
        return;
    k->pin = xcalloc(1, sizeof *k->pin);
    redo_pin(d->redo, k->pin, 0, k->heard ? k->ack.durable : lsn_make(0));
}

static void
keep_no_more(struct destinations *d, struct known *k)
{
    if (k->pin == NULL)
        return;
    redo_unpin(d->redo, k->pin);
    xfree(k->pin);
    k->pin = NULL;
}

/* A claim that was lost begins anew with a member that is there again. */
static void
keep_moved(struct destinations *d, struct known *k)
{
    if (k->pin != NULL)
        redo_pin_move(d->redo, k->pin, 0, k->ack.durable);
}

void
destinations_keep_redo(struct destinations *d, struct redo *redo)
{
    env_mutex_lock(&d->mutex);
    if (d->redo != NULL)
        redo_hold(d->redo, true);
    for (uint32_t i = 0; i < d->count; i++)
        keep_no_more(d, &d->known[i]);
    d->redo = redo;
    for (uint32_t i = 0; i < d->count; i++)
        keep(d, &d->known[i]);
    env_mutex_unlock(&d->mutex);
}

/* ---- members --------------------------------------------------------------------------------- */

/* With the mutex. */
static struct known *
find(struct destinations *d, member_id_t member)
{
    for (uint32_t i = 0; i < d->count; i++)
        if (d->known[i].member == member)
            return &d->known[i];
    return NULL;
}

void
destinations_set(struct destinations *d, const member_id_t *members, const bool *promotable,
                 uint32_t count)
{
    struct known now[GATE_MEMBERS_MAX] = { 0 };

    CHECK(count <= GATE_MEMBERS_MAX);
    env_mutex_lock(&d->mutex);
    for (uint32_t i = 0; i < count; i++) {
        struct known *k = find(d, members[i]);
        uint32_t at = i;

        for (; at > 0 && now[at - 1].member > members[i]; at--)
            now[at] = now[at - 1];
        now[at] = k != NULL ? *k : (struct known){ .member = members[i] };
        now[at].promotable = promotable[i];
        if (k != NULL)
            k->pin = NULL; /* it has moved */
    }
    for (uint32_t i = 0; i < d->count; i++)
        keep_no_more(d, &d->known[i]);
    for (uint32_t i = 0; i < count; i++)
        keep(d, &now[i]);
    memcpy(d->known, now, sizeof now);
    d->count = count;
    if (d->redo != NULL)
        redo_hold(d->redo, false);
    env_mutex_unlock(&d->mutex);
}

void
destinations_link(struct destinations *d, member_id_t member, bool up, uint64_t now_ns)
{
    struct known *k;

    (void)now_ns;
    env_mutex_lock(&d->mutex);
    k = find(d, member);
    if (k != NULL)
        k->connected = up;
    env_mutex_unlock(&d->mutex);
}

void
destinations_ack(struct destinations *d, member_id_t member, const struct ship_ack *ack,
                 uint64_t now_ns)
{
    struct known *k;

    env_mutex_lock(&d->mutex);
    k = find(d, member);
    if (k != NULL && (!k->heard || k->ack.inc <= ack->inc)) {
        k->ack = (struct gate_ack){ member, ack->inc, ack->received, ack->durable, ack->applied };
        k->applied_scn = ack->applied_scn;
        k->heard = true;
        k->heard_ns = now_ns;
        keep_moved(d, k);
    }
    env_mutex_unlock(&d->mutex);
}

void
destinations_log(struct destinations *d, struct lsn end, uint64_t now_ns)
{
    struct sample *last;

    env_mutex_lock(&d->mutex);
    if (lsn_lt(end, d->end))
        d->sample_count = 0; /* a cut */
    d->end = end;
    d->end_ns = now_ns;
    last = d->sample_count > 0 ? &d->samples[(d->first + d->sample_count - 1) % SAMPLES] : NULL;
    if (last == NULL || (last->ns + SAMPLE_NS <= now_ns && lsn_lt(last->end, end))) {
        if (d->sample_count == SAMPLES) {
            d->first = (d->first + 1) % SAMPLES;
            d->sample_count--;
        }
        d->samples[(d->first + d->sample_count++) % SAMPLES] = (struct sample){ end, now_ns };
    }
    env_mutex_unlock(&d->mutex);
}

uint32_t
destinations_acks(struct destinations *d, struct gate_ack *out)
{
    uint32_t count = 0;

    env_mutex_lock(&d->mutex);
    for (uint32_t i = 0; i < d->count; i++)
        if (d->known[i].heard)
            out[count++] = d->known[i].ack;
    env_mutex_unlock(&d->mutex);
    return count;
}

/* How long ago the log grew past `at`: at least so old is the first byte missing there. With the
 * mutex. */
static uint64_t
lag_us(const struct destinations *d, struct lsn at, uint64_t now_ns)
{
    uint64_t since = d->end_ns;

    if (lsn_le(d->end, at))
        return 0;
    for (uint32_t i = 0; i < d->sample_count; i++) {
        const struct sample *s = &d->samples[(d->first + i) % SAMPLES];

        if (lsn_lt(at, s->end)) {
            since = s->ns;
            break;
        }
    }
    return now_ns > since ? (now_ns - since) / 1000 : 0;
}

static uint64_t
behind(const struct destinations *d, struct lsn at)
{
    return lsn_lt(at, d->end) ? d->end.v - at.v : 0;
}

uint32_t
destinations_list(struct destinations *d, uint64_t now_ns, struct destination out[GATE_MEMBERS_MAX])
{
    uint32_t count;

    env_mutex_lock(&d->mutex);
    count = d->count;
    for (uint32_t i = 0; i < count; i++) {
        const struct known *k = &d->known[i];

        out[i] = (struct destination){
            .member = k->member,
            .connected = k->connected,
            .promotable = k->promotable,
            .heard = k->heard,
            .redo_lost = k->heard && k->pin != NULL && redo_pin_is_lost(d->redo, k->pin),
            .ack = k->ack,
            .applied_scn = k->applied_scn,
            .transport_lag_bytes = behind(d, k->ack.durable),
            .apply_lag_bytes = behind(d, k->ack.applied),
            .transport_lag_us = lag_us(d, k->ack.durable, now_ns),
            .apply_lag_us = lag_us(d, k->ack.applied, now_ns),
            .age_us = k->heard && now_ns > k->heard_ns ? (now_ns - k->heard_ns) / 1000 : 0,
        };
    }
    env_mutex_unlock(&d->mutex);
    return count;
}

scn_t
destinations_limit(void *arg, scn_t limit)
{
    struct destinations *d = arg;

    env_mutex_lock(&d->mutex);
    for (uint32_t i = 0; i < d->count; i++) {
        const struct known *k = &d->known[i];
        scn_t scn = k->heard ? k->applied_scn : 0;

        if (k->promotable && scn < limit)
            limit = scn;
    }
    env_mutex_unlock(&d->mutex);
    return limit;
}
