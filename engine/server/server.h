/* The SQL server of a node: listeners, workers, limits.
 *
 *   server_new     checks the options; nothing listens yet
 *   server_start   binds, starts the acceptor and the workers
 *   server_stop    no new connections; sessions end with 57P01; joins all threads
 *   server_free
 *
 * A worker is a thread with a scheduler; a connection is given to the worker with the fewest and
 * stays there. An idle connection has no fiber and no buffers: only its session. Results gather per
 * connection and leave with one writev at the end of a turn, once what they rest on is visible and
 * the node's permit holds (struct reply_gate).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_SERVER_SERVER_H
#define ENGINE_SERVER_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/err.h"
#include "engine/base/id.h"

struct budget;
struct env;
struct log;
struct server;
struct sql_port;

enum auth_method { AUTH_TRUST, AUTH_SCRAM, AUTH_REJECT };

/* What decides when answers may leave. Both are called on workers, once per batch of replies, in
 * this order: what the batch rests on is compared with visible(), and may_reply() comes last (the
 * permit, on a clock read for this batch). Neither blocks. Afterwards, whenever either may give
 * more than before, server_replies_wake() is called. NULL functions: all is visible, always
 * permitted. */
struct reply_gate {
    struct moment (*visible)(void *arg); /* the followed incarnation and its visible SCN */
    bool (*may_reply)(void *arg);
    void *arg;
    /* Called on a worker at the end of each turn, before answers leave: what its sessions committed
     * may be written now. NULL: commits see to that themselves. */
    void (*kick)(void *arg);
};

struct server_options {
    struct env *env;
    struct log *log; /* or NULL: quiet */
    const struct sql_port *port;
    struct reply_gate gate;

    const char *const *listen; /* "host:port", "[v6]:port", or a socket's path; port 0 chooses */
    int listen_count;
    int workers;                               /* 0: as many as cores */
    int max_connections;                       /* authenticated ones; 0: 10,000 */
    int superuser_reserved;                    /* of them, for superusers; default 3, -1: none */
    int max_unauthenticated;                   /* 0: 2,000; the oldest of a worker are shed */
    uint32_t auth_timeout_ms;                  /* 0: 10 s */
    enum auth_method auth_unix, auth_loopback; /* default: trust */
    enum auth_method auth_remote;              /* trust is refused; AUTH_TRUST here means SCRAM */
    size_t message_max;    /* a message's size after authentication; 0: 1 GiB - 1 */
    struct budget *budget; /* large messages are charged to it; NULL: not limited */
    uint32_t statement_timeout_ms, idle_in_transaction_timeout_ms; /* sessions' defaults; 0: none */
    const char *version; /* server_version; NULL: "15.0 (Redoubt 0.1)" */
};

/* Copies what it keeps; port, log, budget, env stay the caller's. ERR_CONFIG_FILE for a combination
 * that cannot be. */
MUST_CHECK
int server_new(const struct server_options *o, struct server **out);
/* ERR_CONNECT when an address cannot be bound; ERR_CONFIG_FILE when one is reachable from other
 * machines and a role that may log in has no password. Blocks. */
MUST_CHECK
int server_start(struct server *s);
/* Every session ends with 57P01, running statements are cancelled; what is gathered is sent as far
 * as the gate lets it. Returns when all threads have ended. From a plain thread. */
void server_stop(struct server *s);
void server_free(struct server *s);

/* The address that was bound, port filled in: 0 <= i < listen_count. After server_start. */
const char *server_address(const struct server *s, int i);

/* From any thread: the visible SCN or the permit has moved. Costs an atomic load per worker when
 * nobody waits. server_visible_cb fits struct visible_watch; unwatch before server_stop. */
void server_replies_wake(struct server *s);
void server_visible_cb(void *arg, scn_t visible); /* arg: the server */

/* The node is primary no more: closes sessions that may write with FATAL 57P01, drops what they had
 * not been told (its outcome is not known), goes on with read-only ones and reports in_hot_standby
 * and default_transaction_read_only anew. Returns when no such session is left on any worker. From
 * a plain thread, after the engine has stopped writing. */
void server_demoted(struct server *s);
/* The node is primary now, and its port says so: sessions stay, parameters are reported anew.
 * Parks, or from a plain thread. */
void server_promoted(struct server *s);

struct server_figures {
    uint64_t connections_total, connections_shed, auth_failures;
    uint64_t messages, bytes_in, bytes_out, writes; /* writes: calls of writev */
    uint64_t replies_held;                          /* flushes that had to wait for the gate */
    int sessions, unauthenticated;
};
void server_get_figures(const struct server *s, struct server_figures *out);

/* Room for the HTTP listener (metrics, health): it will be one more kind of listener here. */

#endif
