/* Sequences, as DDL and functions share them.
 *
 * A sequence is a relation of kind 'S' with a tree of its own, which has one row: last_value,
 * log_cnt, is_called. nextval changes that row in a transaction of its own, so that nobody waits
 * for anybody's commit and no rollback gives a number back; what it gave is shown to a client only
 * when that small commit is durable. While the session's own transaction has made or altered the
 * sequence, the row is changed there instead.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_SQL_SESSION_SEQUENCE_H
#define ENGINE_SQL_SESSION_SEQUENCE_H

#include "engine/sql/session_int.h"

enum {
    SEQ_RELID,
    SEQ_TYPID,
    SEQ_START,
    SEQ_INCREMENT,
    SEQ_MAX,
    SEQ_MIN,
    SEQ_CACHE,
    SEQ_CYCLE,
    SEQ_COUNT
};
enum { SEQ_STATE_LAST, SEQ_STATE_LOG, SEQ_STATE_CALLED, SEQ_STATE_COUNT };

struct sequence_def {
    oid_t oid, type;
    int64_t start, increment, max, min, cache;
    bool cycle;
};
struct sequence_state {
    int64_t last;
    bool called; /* `last` has been given out */
};

MUST_CHECK
int sequence_def_read(struct sql_session *s, oid_t oid, struct sequence_def *out);
/* Writes the row in the session's own transaction, and remembers that it did. */
MUST_CHECK
int sequence_state_set(struct sql_session *s, const struct cat_table *t,
                       const struct sequence_state *state);
MUST_CHECK
int sequence_next(struct sql_session *s, oid_t oid, int64_t *out);
MUST_CHECK
int sequence_set(struct sql_session *s, oid_t oid, int64_t value, bool called);
/* 55000 before nextval in this session. */
MUST_CHECK
int sequence_current(struct sql_session *s, oid_t oid, int64_t *out);
MUST_CHECK
int sequence_last(struct sql_session *s, int64_t *out);

#endif
