/* A connection on its worker: what the worker and the tests may do with one. The life of a session:
 *
 *   STARTUP -> (SASL_FIRST -> SASL_FINAL ->) READY -> CLOSED
 *
 * A session has a fiber only while it has a message to work on; between messages (idle, or idle in
 * a transaction) it is a struct and an armed read event.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_SERVER_SESSION_H
#define ENGINE_SERVER_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/base/err.h"
#include "engine/base/id.h"

struct env_sock;
struct session;
struct worker;

enum session_state {
    SESSION_STARTUP,    /* no startup message yet */
    SESSION_SASL_FIRST, /* mechanism offered */
    SESSION_SASL_FINAL, /* server-first-message sent */
    SESSION_READY,      /* authenticated, has a SQL session */
    SESSION_CLOSED,     /* only until the fiber and the output are done with it */
    SESSION_STATE_COUNT,
};

/* Takes the socket. On the worker's thread. */
void session_start(struct worker *w, struct env_sock *sock);
/* Ends it with FATAL `code` (message for the client) as soon as its fiber has come to an end; a
 * running statement is cancelled. Held output that the gate does not let pass now is dropped. */
void session_terminate(struct session *s, int code, const char *message);
/* A cancel request that fits. */
void session_cancel(struct session *s);
/* Nothing written since the last Sync, query or Flush was answered may leave before `m` is visible:
 * a client that asked for all at once gets all at once. */
void session_require(struct session *s, struct moment m);
/* Sends what may leave. From the worker, outside fibers. True while something is held. */
bool session_flush_permitted(struct session *s, struct moment visible, bool permitted);

#endif
