/* SQL over a real engine in a folder of its own, with clients that keep what they are told as text.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_SUPPORT_SQL_RIG_H
#define TESTS_SUPPORT_SQL_RIG_H

#include "engine/base/env.h"
#include "engine/catalog/catalog.h"
#include "engine/sql/session.h"
#include "engine/sql/spill.h"

enum { RIG_CLIENTS_MAX = 8 };
struct rig_client;
struct sql_rig {
    struct env *env;
    char dir[64];
    struct engine *engine;
    struct catalog *catalog;
    struct sql_engine *sql;
    struct spill_space *spill;
    struct job_pool *jobs;
    bool is_guest; /* in a world that the caller made, with his jobs */
    incarnation_t inc;
    size_t memory_bytes;                         /* 0: as by default */
    uint64_t temp_limit;                         /* of temporary files; 0: none */
    struct rig_client *clients[RIG_CLIENTS_MAX]; /* connected; a test that fails leaves
                                                  * them so: none may lie on the stack */
};
void sql_rig_start(struct sql_rig *r);
/* With so much query memory. */
void sql_rig_start_small(struct sql_rig *r, size_t memory_bytes);
/* The same in the caller's world, which has no /db yet. */
void sql_rig_start_in(struct sql_rig *r, struct env *env, struct job_pool *jobs,
                      size_t memory_bytes);
/* Mounted only: as a standby is. */
void sql_rig_read_only(struct sql_rig *r);
/* Closed and opened again for writing. No client may be connected. */
void sql_rig_restart(struct sql_rig *r);
void sql_rig_stop(struct sql_rig *r);

/* A client. `said` is all it heard since it was cleared, one message a line:
 *   T a,b            RowDescription        t 23,25    ParameterDescription
 *   D 1|x            DataRow, text; \N for null; binary values in hex after x
 *   C SELECT 1       CommandComplete       n  NoData  s  PortalSuspended  I  EmptyQuery
 *   NOTICE 00000 x   notices               S name=value   ParameterStatus
 *   G / H / c        COPY begins in, out; out ends; d ... CopyData */
struct rig_client {
    struct sql_client c;
    struct sql_rig *rig;
    struct sql_session *s;
    struct writer said;
    bool does_not_wait;     /* for what it requires: the test looks at that itself */
    struct moment required; /* the newest */
    const char *copy_data;  /* what COPY FROM STDIN reads */
    size_t copy_at, copy_piece;
    int rc; /* of the last call */
};
void rig_connect(struct sql_rig *r, struct rig_client *c);
MUST_CHECK
int rig_connect_as(struct sql_rig *r, struct rig_client *c, const char *user, const char *database,
                   const struct sql_setting *settings, int setting_count);
void rig_disconnect(struct rig_client *c);
/* Runs a simple query; gives what was said, and an error as "ERROR 42601 message". */
const char *rig_query(struct rig_client *c, const char *text);
/* The rows alone, "1|x;2|y"; an error as above. */
const char *rig_rows(struct rig_client *c, const char *text);
/* Must succeed. */
void rig_run(struct rig_client *c, const char *text);
/* The pieces of the extended protocol; parameters as text, NULL for null. */
int rig_parse(struct rig_client *c, const char *name, const char *text);
int rig_bind(struct rig_client *c, const char *portal, const char *statement, int count,
             const char *const *params, int16_t result_format);
int rig_execute(struct rig_client *c, const char *portal, int32_t max_rows);
int rig_sync(struct rig_client *c);
const char *rig_said(struct rig_client *c); /* and clears */

#endif
