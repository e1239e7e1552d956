/* What the files of this folder share: server, worker, session from the inside.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_SERVER_SERVER_INT_H
#define ENGINE_SERVER_SERVER_INT_H

#include <stdatomic.h>

#include "engine/base/checksum.h"
#include "engine/base/fiber.h"
#include "engine/base/list.h"
#include "engine/base/log.h"
#include "engine/base/mem.h"
#include "engine/base/scram.h"
#include "engine/base/utf8.h"
#include "engine/server/protocol.h"
#include "engine/server/server.h"
#include "engine/server/session.h"
#include "engine/sql/sqlport.h"

enum {
    BUFFER_SIZE = 16 << 10,     /* of input and output, pooled by the worker */
    BUFFERS_FREE_MAX = 128,     /* kept by a worker */
    RUNNERS_IDLE_MAX = 64,      /* fibers kept by a worker */
    OUT_FLUSH_BYTES = 32 << 10, /* rows are sent when so much has gathered */
    OUT_HIGH_BYTES = 256 << 10, /* a session waits when so much cannot leave */
    OUT_LIMIT_BYTES = 1100 << 20,
    HOLDS_MAX = 8,
    SESSION_HASH_SIZE = 1024,
};

/* ---- session -------------------------------------------------------------------------------- */

/* Output from offset `at` on may leave once `m` is visible. */
struct hold {
    size_t at;
    struct moment m;
};

/* Only until a session is ready. */
struct session_auth {
    struct proto_startup startup;
    char *body, *scratch; /* what the startup's strings point into */
    size_t body_size;
    struct sql_role role;
    struct scram_server scram;
    bool ssl_asked, gss_asked;
};

enum cancel_reason { CANCEL_NONE, CANCEL_USER, CANCEL_TIMEOUT, CANCEL_GONE, CANCEL_ENDING };

struct session {
    struct sql_client client; /* must be first: SQL hands it back */
    struct worker *worker;
    struct env_sock *sock;
    struct env_event *event;
    struct env_event *timer; /* statement and idle-in-transaction timeouts; made when first used */
    struct sql_session *sql; /* NULL before SESSION_READY */
    struct session_auth *auth;
    struct runner *runner;   /* the fiber that works on it, or NULL */
    struct fiber_queue wait; /* its fiber, waiting for input or for room in the output */
    enum session_state state;
    uint32_t secret;
    int armed;    /* ENV_EV_* of event */
    int end_code; /* why it ends; 0: by the client's wish */
    const char *end_message;
    enum cancel_reason cancel_reason;
    bool is_superuser, is_counted;
    bool eof;          /* no more input will come */
    bool broken;       /* nothing can be sent either */
    bool failed;       /* the FATAL error is in the output already */
    bool ending;       /* its fiber closes it as soon as it gets there */
    bool skip_to_sync; /* after an error in an extended batch */
    bool role_changed; /* report parameters before the next ReadyForQuery */
    bool timer_is_statement, timer_armed;
    bool copy_in, copy_done, copy_text; /* COPY FROM STDIN is under way, has ended; is text */
    char sent_status;                   /* of the last ReadyForQuery */
    struct utf8_stream copy_utf8;

    uint8_t *in; /* received bytes [in_at, in_end) of in_cap; NULL while idle */
    size_t in_at, in_end, in_cap;
    size_t in_message;   /* size of the message being handled: not to be moved; 0: none */
    size_t copy_message; /* size of the CopyData whose data SQL has; 0: none */
    uint8_t *pinned;     /* the buffer of the message that began a COPY */
    size_t pinned_cap;

    size_t out_sent;              /* of client.out */
    size_t out_ready;             /* whole answers up to here: the worker may send them */
    size_t batch_start;           /* where the output since the last Sync, query or Flush begins */
    struct hold holds[HOLDS_MAX]; /* in order of offset and of moment */
    int hold_count;

    struct list all_link;      /* of worker.sessions */
    struct list early_link;    /* of worker.early, until authenticated */
    struct list dirty_link;    /* of worker.dirty or worker.held */
    struct session *hash_next; /* of worker.hash */
    uint64_t accepted_ns;
    char *peer; /* "host:port" or "local" */
};

/* session.c */
void session_work(struct session *s); /* the fiber's part; may free the session */
void session_event_cb(void *arg, int what);
void session_arm(struct session *s, int what);
void session_cancel_as(struct session *s, enum cancel_reason why);
/* Makes room for `need` bytes from in_at on. Not while a message is being handled. */
MUST_CHECK
int session_make_room(struct session *s, size_t need);
/* In its fiber: waits for more input. ERR_CONNECTION_FAILURE when none will come. */
MUST_CHECK
int session_more_input(struct session *s, size_t need);
void session_timer_arm(struct session *s, bool is_statement, uint32_t ms);
void session_timer_disarm(struct session *s);
void session_report_role(struct session *s);
void session_set_ending(struct session *s); /* its fiber will close it */
/* Puts the current diag as ErrorResponse, with the words that fit why it was cancelled. */
void session_put_error(struct session *s, const char *severity);
/* Ends it from within its fiber with the current diag as FATAL. */
void session_fail(struct session *s);

/* session_auth.c */
void session_auth_message(struct session *s, const struct proto_message *m);
void session_auth_free(struct session *s);

/* session_query.c */
void session_message(struct session *s, const struct proto_message *m);

/* session_client.c */
extern const struct sql_client_ops session_client_ops;

/* session_out.c */
void session_out_ready(struct session *s); /* all that is there makes whole answers */
/* In its fiber, between whole messages: sends what may leave now; waits while too much is left. */
MUST_CHECK
int session_flush(struct session *s);
void session_out_drop_held(struct session *s); /* forgets what the gate does not let pass */
void session_out_last(struct session *s);      /* one attempt to send what is left */
void session_out_release(struct session *s);   /* gives the buffer back if it is empty */

/* ---- worker --------------------------------------------------------------------------------- */

/* A fiber that works on one session after another. */
struct runner {
    struct worker *worker;
    struct session *session; /* NULL while idle */
    struct fiber *fiber;
    struct fiber_queue wait;
    struct list idle_link; /* of worker.idle_runners */
};

struct buffer {
    struct buffer *next; /* of worker.free_buffers */
};

struct worker {
    struct server *server;
    int index;
    struct env_thread *thread;
    struct sched *sched;
    struct completion stop;

    /* owner: the worker's thread */
    struct list sessions;     /* of struct session.all_link */
    struct list early;        /* of struct session.early_link, oldest first */
    struct list dirty;        /* of struct session.dirty_link: have answers to send */
    struct list held;         /* of struct session.dirty_link: wait for the gate */
    struct list idle_runners; /* of struct runner.idle_link, the last used first */
    int idle_runner_count, runner_count, early_count, ending_count;
    struct fiber_queue ended; /* worker_main, waiting for sessions or runners to end */
    struct list drains;       /* of struct drain.link */
    struct buffer *free_buffers;
    int free_buffer_count;
    struct env_event *early_timer;
    struct session *hash[SESSION_HASH_SIZE]; /* by process id */
    bool stopping;

    /* any thread */
    _Atomic int session_count; /* for the acceptor's choice; counts those on their way too */
    _Atomic bool gate_waiting; /* somebody is in held: pairs with server_replies_wake */
    _Atomic bool gate_posted;  /* gate_post is in the inbox */
    struct sched_post gate_post;

    /* written by the worker, read by any */
    _Atomic uint64_t messages, bytes_in, bytes_out, writes, replies_held, shed, auth_failures;
};

/* Waits for all ending sessions of a worker to be gone. */
struct drain {
    struct sched_post post;
    struct worker *worker;
    struct completion done;
    struct list link; /* of worker.drains */
    bool is_standby;
};

static inline void
figure_add(_Atomic uint64_t *f, uint64_t n)
{
    atomic_store_explicit(f, atomic_load_explicit(f, memory_order_relaxed) + n,
                          memory_order_relaxed);
}

void worker_init(struct worker *w, struct server *server, int index);
void worker_start(struct worker *w);
void worker_fini(struct worker *w); /* after its thread has ended */
/* From any thread: gives it a connection. */
void worker_adopt(struct worker *w, struct env_sock *sock);
/* From any thread: see server_demoted. d->done is posted when it has been done. */
void worker_role_changed(struct worker *w, bool is_standby, struct drain *d);
/* From any thread: a cancel request. */
void worker_cancel(struct worker *w, uint32_t process_id, uint32_t secret);
/* On its thread. */
void worker_run(struct worker *w, struct session *s); /* gives the session a fiber */
uint8_t *worker_buffer_get(struct worker *w);
void worker_buffer_put(struct worker *w, uint8_t *buffer);
void worker_session_add(struct worker *w, struct session *s);
void worker_session_ready(struct worker *w, struct session *s); /* it is authenticated */
void worker_session_remove(struct worker *w, struct session *s);
void worker_session_ending(struct worker *w, struct session *s);
void worker_choose_key(struct worker *w, struct session *s);
struct moment worker_visible(const struct worker *w);
bool worker_permitted(const struct worker *w);

/* ---- server --------------------------------------------------------------------------------- */

struct listener {
    struct server *server;
    char *address; /* as configured, then as bound */
    struct env_sock *sock;
    struct fiber *fiber;
    bool is_remote; /* reachable from other machines */
};

struct server {
    struct server_options o; /* defaults filled in; read-only after server_new */
    struct worker *workers;
    struct listener *listeners;
    struct sched *accept_sched;
    struct env_thread *accept_thread;
    struct completion accept_stop;
    bool started;
    uint8_t mock_secret[SCRAM_KEY_SIZE];
    _Atomic bool stopping;
    _Atomic int ready_count; /* authenticated sessions */
    _Atomic uint64_t connections;
};

#endif
