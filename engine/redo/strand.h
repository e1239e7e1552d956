/* A strand: the private buffer in which one transaction's records gather before they get an LSN.
 *
 * Order of a write: the version goes into the memtable first, then its record into the strand
 * (REDO-1); a call that parks has taken the record already. One task uses a strand at a time,
 * except that redo_strand_flush may be called by another fiber of the same worker (sealing a
 * memtable).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_REDO_STRAND_H
#define ENGINE_REDO_STRAND_H

#include "engine/base/bytes.h"
#include "engine/base/fiber.h"
#include "engine/base/id.h"
#include "engine/redo/record.h"
#include "engine/redo/redo.h"

enum { REDO_STRAND_FLUSH = 256 << 10 };

struct redo_strand {
    struct redo *redo;
    incarnation_t inc;    /* for which it writes */
    struct writer buffer; /* records not yet appended */
    struct writer spare;  /* takes the buffer's place while that is being appended */
    bool writes_open;     /* a WRITES record at writes_at still takes ops */
    size_t writes_at;
    txid_t writes_txid;
    uint64_t writes_next_seq;
    bool flushing;              /* somebody is inside redo_append with this strand's records */
    bool appended;              /* something of this transaction has an LSN */
    struct lsn first_lsn;       /* of that; valid if appended */
    int failed;                 /* records were lost with this error: it can only be rolled back */
    struct fiber_queue waiters; /* until flushing ends */
};

void redo_strand_init(struct redo_strand *s, struct redo *r);
void redo_strand_fini(struct redo_strand *s);
/* Empty again, for the next transaction; memory is kept. */
void redo_strand_begin(struct redo_strand *s, incarnation_t inc);
static inline bool
redo_strand_is_empty(const struct redo_strand *s)
{
    return s->buffer.size == 0;
}

/* A write of `txid` (the transaction's or a savepoint's) with its seq. When the strand passes
 * REDO_STRAND_FLUSH it is appended: then it parks, and fails as redo_append does; what was in it is
 * gone then, and the transaction can only be rolled back: redo_strand_commit refuses it.
 *
 * A large value goes in pieces: redo_strand_put sees to it. Who has to do something between them
 * takes the leading ones off with put_parts, which leaves the rest for redo_strand_put; it does
 * nothing for a value of at most redo_strand_value_max bytes. */
MUST_CHECK
int redo_strand_put_parts(struct redo_strand *s, txid_t txid, uint64_t seq, tree_id_t tree,
                          struct slice key, struct slice *value);
MUST_CHECK
int redo_strand_put(struct redo_strand *s, txid_t txid, uint64_t seq, tree_id_t tree,
                    struct slice key, struct slice value);
size_t redo_strand_value_max(const struct redo_strand *s);
MUST_CHECK
int redo_strand_delete(struct redo_strand *s, txid_t txid, uint64_t seq, tree_id_t tree,
                       struct slice key);
MUST_CHECK
int redo_strand_tree(struct redo_strand *s, enum redo_record_type type, txid_t txid,
                     tree_id_t tree); /* TREE_CREATE or TREE_DROP */

/* What a commit gives redo_append, and gets. */
struct redo_strand_commit {
    txid_t txid;
    uint8_t mode_level;
    const txid_t *children; /* savepoints that committed */
    uint32_t child_count;   /* more than REDO_CHILDREN_MAX: ERR_LIMIT */
    unsigned flags;         /* REDO_PART_* */
    void (*on_reserved)(void *arg, scn_t scn, uint64_t time_us, struct lsn end_lsn);
    void *arg;
    struct lsn end_lsn; /* results */
    scn_t scn;
    uint64_t time_us;
};
/* Appends what is there with a COMMIT record behind it. Parks. On an error nothing was committed.
 */
MUST_CHECK
int redo_strand_commit(struct redo_strand *s, struct redo_strand_commit *c);
/* Appends an ABORT record of txid: for a savepoint, or for a transaction of which something has an
 * LSN already (else dropping the strand is enough). What has not been appended of a whole
 * transaction may be dropped first with redo_strand_begin. Parks. */
MUST_CHECK
int redo_strand_abort(struct redo_strand *s, txid_t txid, const txid_t *children, uint32_t count,
                      bool now); /* now: append at once; else it goes with the next */
/* Appends what is there. Parks. */
MUST_CHECK
int redo_strand_flush(struct redo_strand *s);

#endif
