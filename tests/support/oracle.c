/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/oracle.h"

#include <string.h>

#include "engine/base/mem.h"

void
oracle_init(struct oracle *o)
{
    memset(o, 0, sizeof *o);
}

void
oracle_fini(struct oracle *o)
{
    for (incarnation_t i = 1; i <= o->count; i++) {
        xfree(o->incs[i].records);
        xfree(o->incs[i].commits);
    }
    memset(o, 0, sizeof *o);
}

incarnation_t
oracle_add(struct oracle *o, incarnation_t parent, scn_t fork_scn, incarnation_t prev,
           uint64_t prev_end, scn_t next_scn)
{
    struct oracle_inc *inc;

    if (o->count + 1 >= ORACLE_INCS)
        return 0;
    inc = &o->incs[++o->count];
    memset(inc, 0, sizeof *inc);
    inc->parent = parent;
    inc->prev = prev;
    inc->fork_scn = fork_scn;
    inc->next_scn = next_scn;
    inc->prev_end = prev_end;
    inc->start = prev == 0 ? 4096 : o->incs[prev].start + prev_end;
    inc->next_txn = 1;
    return o->count;
}

void
oracle_entry(const struct oracle *o, incarnation_t inc, struct lineage_entry *out)
{
    const struct oracle_inc *i = &o->incs[inc];

    *out = (struct lineage_entry){ .inc = inc,
                                   .parent = i->parent,
                                   .fork_scn = i->fork_scn,
                                   .prev = i->prev,
                                   .start_lsn = lsn_make(i->start),
                                   .reign_id = 1000 + inc };
}

/* {incarnation: highest SCN of it that the branch sees}. */
static void
path_of(const struct oracle *o, incarnation_t b, scn_t seen[ORACLE_INCS], bool on[ORACLE_INCS])
{
    scn_t limit = SCN_MAX;

    memset(on, 0, ORACLE_INCS * sizeof *on);
    for (;;) {
        seen[b] = limit;
        on[b] = true;
        if (b == 0)
            return;
        if (o->incs[b].fork_scn < limit)
            limit = o->incs[b].fork_scn;
        b = o->incs[b].parent;
    }
}

scn_t
oracle_part(const struct oracle *o, incarnation_t a, incarnation_t b)
{
    scn_t seen_a[ORACLE_INCS], seen_b[ORACLE_INCS];
    bool on_a[ORACLE_INCS], on_b[ORACLE_INCS];
    incarnation_t at = a;

    path_of(o, a, seen_a, on_a);
    path_of(o, b, seen_b, on_b);
    while (!on_b[at])
        at = o->incs[at].parent;
    return seen_a[at] < seen_b[at] ? seen_a[at] : seen_b[at];
}

void
oracle_log(struct oracle *o, incarnation_t inc, const struct oracle_record *r)
{
    struct oracle_inc *i = &o->incs[inc];

    if (i->record_count == i->record_cap) {
        i->record_cap = i->record_cap == 0 ? 32 : i->record_cap * 2;
        i->records = xrealloc(i->records, i->record_cap * sizeof *i->records);
    }
    i->records[i->record_count++] = *r;
}

void
oracle_commit(struct oracle *o, incarnation_t inc, scn_t scn, const struct oracle_rows *rows)
{
    struct oracle_inc *i = &o->incs[inc];

    if (i->commit_count == i->commit_cap) {
        i->commit_cap = i->commit_cap == 0 ? 16 : i->commit_cap * 2;
        i->commits = xrealloc(i->commits, i->commit_cap * sizeof *i->commits);
    }
    i->commits[i->commit_count++] = (struct oracle_commit){ scn, *rows };
}

static void
apply_inc(const struct oracle_inc *inc, scn_t limit, struct oracle_rows *out)
{
    for (size_t c = 0; c < inc->commit_count; c++) {
        const struct oracle_commit *commit = &inc->commits[c];

        if (commit->scn > limit)
            continue;
        for (int k = 0; k < ORACLE_KEYS; k++)
            if (commit->rows.set[k])
                out->value[k] = commit->rows.value[k];
    }
}

struct oracle_rows
oracle_rows(const struct oracle *o, incarnation_t b, scn_t s)
{
    struct oracle_rows out = { 0 };
    scn_t seen[ORACLE_INCS];
    bool on[ORACLE_INCS];

    path_of(o, b, seen, on);
    /* Numbers ascend away from the root. */
    for (incarnation_t i = 1; i <= o->count; i++)
        if (on[i])
            apply_inc(&o->incs[i], seen[i] < s ? seen[i] : s, &out);
    return out;
}

scn_t
oracle_tip(const struct oracle *o, incarnation_t inc, uint64_t end)
{
    scn_t tip = o->incs[inc].fork_scn;

    for (uint64_t i = 0; i < end; i++)
        if (o->incs[inc].records[i].type == ORACLE_COMMIT)
            tip = o->incs[inc].records[i].scn;
    return tip;
}

void
oracle_cut(struct oracle *o, incarnation_t inc, uint64_t end, scn_t tip)
{
    struct oracle_inc *i = &o->incs[inc];

    i->record_count = end;
    while (i->commit_count != 0 && i->commits[i->commit_count - 1].scn > tip)
        i->commit_count--;
    i->next_scn = tip + 1;
    i->next_txn = 1;
    for (uint64_t k = 0; k < end; k++)
        if (i->records[k].txid != 0 && txid_counter(i->records[k].txid) >= i->next_txn)
            i->next_txn = txid_counter(i->records[k].txid) + 1;
}
