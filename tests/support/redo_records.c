/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/redo_records.h"

#include "engine/base/err.h"

void
redo_records_write(struct writer *w)
{
    static const txid_t tx = TXID_BIT | (uint64_t)3 << TXID_COUNTER_BITS | 7;
    txid_t children[2] = { tx + 1, tx + 2 };
    struct redo_incarnation inc = { { 4, 3, 99, 3, { 0x5000 }, 0x1122334455667788 }, 100 };
    struct redo_restore_point point = {
        .guaranteed = true, .moment = { 3, 98 }, .time_us = 1000, .name = slice_str("before")
    };
    size_t at = redo_encode_writes_begin(w, tx, 1);

    redo_encode_op(w, REDO_OP_PUT, 300, slice_str("key"), slice_str("value"));
    redo_encode_op(w, REDO_OP_DELETE, 1, slice_str("k"), slice(NULL, 0));
    redo_encode_op(w, REDO_OP_PUT_PART, 2, slice_str("p"), slice_str("v1"));
    redo_encode_writes_end(w, at);
    redo_encode_commit(w, &(struct redo_commit){ tx, 5, 6, 0x21, 2, NULL }, children);
    redo_encode_abort(w, tx, children, 1);
    redo_encode_tree(w, REDO_TREE_CREATE, tx, 301);
    redo_encode_tree(w, REDO_TREE_DROP, tx, 302);
    redo_encode_checkpoint(w, &(struct redo_checkpoint){ 7, { 0x6000 } });
    redo_encode_incarnation(w, &inc);
    redo_encode_restore_point(w, &point);
    redo_encode_horizon(w, 8);
    redo_encode_time_mark(w, &(struct redo_time_mark){ 9, 10 });
    redo_encode_ids(w, &(struct redo_ids){ slice_str("oid"), 16384 });
    CHECK(wr_finish(w) == 0);
}

void
redo_records_decode(const struct redo_record *rec, struct writer *text)
{
    struct redo_writes writes;
    struct redo_commit commit;
    struct redo_abort aborted;
    struct redo_tree tree;
    struct redo_checkpoint checkpoint;
    struct redo_incarnation inc;
    struct redo_restore_point point;
    struct redo_time_mark mark;
    struct redo_ids ids;
    struct redo_op op;
    scn_t scn;

    if (redo_decode_writes(rec, &writes) == 0)
        while (redo_op_next(&writes, &op) == 0)
            CHECK(op.key.size <= REDO_KEY_MAX);
    if (redo_decode_commit(rec, &commit) == 0 && commit.child_count > 0)
        (void)redo_child(commit.children, commit.child_count - 1);
    if (redo_decode_abort(rec, &aborted) == 0 && aborted.child_count > 0)
        (void)redo_child(aborted.children, aborted.child_count - 1);
    (void)!redo_decode_tree(rec, &tree);
    (void)!redo_decode_checkpoint(rec, &checkpoint);
    (void)!redo_decode_incarnation(rec, &inc);
    (void)!redo_decode_restore_point(rec, &point);
    (void)!redo_decode_horizon(rec, &scn);
    (void)!redo_decode_time_mark(rec, &mark);
    (void)!redo_decode_ids(rec, &ids);
    wr_reset(text);
    redo_record_print(rec, text);
    CHECK(wr_finish(text) == 0);
    CHECK(text->data[text->size - 1] == 0);
}
