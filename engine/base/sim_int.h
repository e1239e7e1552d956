/* Between the files of the simulated world: sim.c (scheduler, nodes), sim_thread.c, sim_disk.c (the
 * two layers), sim_file.c (the seam's file calls, faults), sim_loop.c, sim_net.c.
 *
 * Everything the simulation itself needs lies in the process's heap, also what it makes on behalf
 * of a node: each such object is in a list of its node, which frees it when the node dies.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_BASE_SIM_INT_H
#define ENGINE_BASE_SIM_INT_H

#include "engine/base/context.h"
#include "engine/base/env_int.h"
#include "engine/base/mem.h"
#include "engine/base/sim.h"

struct sim_node;

/* Something that happens at a moment of virtual time. Embedded in what it happens to. */
struct sim_timer {
    uint64_t at_ns;
    uint64_t tie;  /* random, so that what falls on one moment comes in any order */
    int64_t index; /* in struct sim.timers, or SIM_TIMER_OFF */
    void (*fire)(struct sim *sim, struct sim_timer *t);
};
enum { SIM_TIMER_OFF = -1 };

struct sim_link {
    bool is_blocked, is_cut; /* is_cut: at the byte after cut_after more */
    uint32_t corrupt_per_million;
    uint64_t delay_min_us, delay_max_us, cut_after;
};

struct sim {
    uint64_t seed;
    uint64_t random_state;
    uint64_t now_ns;
    uint64_t trace;
    unsigned yield_per_mille;
    bool is_verbose, is_panic_allowed;
    bool has_panicked;         /* since sim_run looked last */
    struct sim_timer **timers; /* a binary heap by (at_ns, tie) */
    size_t timer_count, timer_cap;
    struct env_thread **runnable; /* in no order */
    size_t runnable_count, runnable_cap;
    size_t step_count;   /* since time moved last */
    struct context home; /* the test's own stack */
    struct task *home_task;
    struct env_thread *running;
    struct sim_node *nodes[SIM_NODES_MAX];
    int node_count;
    struct sim_link links[SIM_NODES_MAX][SIM_NODES_MAX]; /* [from][to] */
    struct list word_waiters;                            /* of struct env_thread.word_link */
    struct list connections;                             /* of struct sim_connection.link */
    char *report;
};

enum sim_death { SIM_DEATH_NONE, SIM_DEATH_EXIT, SIM_DEATH_KILL, SIM_DEATH_POWER };

enum { SIM_FAULTS_MAX = 32 };

struct sim_fault_slot {
    struct sim_fault fault;
    bool is_used;
    uint32_t seen, hits;
};

struct sim_node {
    struct env env; /* first: a struct env * is its node */
    struct sim *sim;
    int index;
    char name[32];
    struct heap *heap;
    bool is_up, is_paused; /* the process */
    bool has_power;        /* the machine: it answers for a process that is gone */
    enum sim_death dying;  /* reaped as soon as none of its stacks is in use */
    uint64_t boot_count;
    int64_t wall_skew_us;
    uint64_t boot_offset_ns;
    struct env_thread *main;
    struct list threads;   /* of struct env_thread.node_link */
    struct list loops;     /* of struct env_loop.node_link */
    struct list socks;     /* of struct env_sock.node_link */
    struct list files;     /* of struct env_file.node_link */
    struct sim_disk *disk; /* survives */
    struct sim_disk_speed speed;
    struct sim_fault_slot faults[SIM_FAULTS_MAX];
    uint16_t next_port;
    size_t leaked_bytes;
    bool has_last_words;
    char last_words[600];
};

enum sim_thread_state { SIM_RUNNABLE, SIM_RUNNING, SIM_BLOCKED, SIM_SUSPENDED, SIM_ENDED };

struct env_thread {
    struct env *env;
    struct list node_link; /* struct sim_node.threads */
    struct list wait_link; /* a mutex's or cond's waiters, while blocked there */
    struct list word_link; /* struct sim.word_waiters */
    uintptr_t word;        /* its address */
    uint32_t id;           /* in order of creation */
    char name[16];
    void (*fn)(void *arg);
    void *arg;
    struct stack *stack;
    struct context context;
    struct task task;
    struct task *resume_task; /* what ran when it gave way: the thread itself or a fiber on it */
    enum sim_thread_state state;
    const char *waits_for;                     /* while blocked */
    const struct env_thread *waits_for_thread; /* who holds it, when that is known */
    struct sim_timer timer;
    bool is_timed_out;
    struct env_thread *joiner;
};

/* ---- sim.c --------------------------------------------------------------------------------- */

static inline struct sim_node *
sim_node_of(struct env *env)
{
    return container_of(env, struct sim_node, env);
}
static inline struct sim *
sim_of(struct env *env)
{
    return sim_node_of(env)->sim;
}
extern const struct env_ops sim_ops;

uint64_t sim_random_u64(struct sim *sim);
bool sim_chance(struct sim *sim, uint64_t of, uint64_t per);
uint64_t sim_between(struct sim *sim, uint64_t low, uint64_t high); /* both ends included */
void sim_trace(struct sim *sim, uint64_t a, uint64_t b);
void sim_trace_bytes(struct sim *sim, const void *data, size_t size);
void *sim_alloc(size_t size); /* zeroed, from the process's heap; xfree */
void *sim_realloc(void *p, size_t size);
char *sim_strdup(const char *s);

void sim_timer_init(struct sim_timer *t, void (*fire)(struct sim *sim, struct sim_timer *t));
void sim_timer_set(struct sim *sim, struct sim_timer *t, uint64_t at_ns);
void sim_timer_clear(struct sim *sim, struct sim_timer *t);

/* NULL on the test's main thread. */
struct env_thread *sim_thread_self(void);
void sim_make_runnable(struct env_thread *t);
/* Gives way until somebody makes the thread runnable; false when until_ns came first. */
bool sim_block(const char *waits_for, uint64_t until_ns);
void sim_yield(struct env *env);       /* lets others run */
void sim_maybe_yield(struct env *env); /* by the dice */
void sim_delay(struct env *env, uint64_t average_us);
NORETURN
void sim_leave(struct sim *sim); /* the running stack never goes on */
void sim_node_die(struct sim_node *n, enum sim_death how);

/* ---- sim_thread.c -------------------------------------------------------------------------- */

struct env_thread *sim_thread_make(struct sim_node *n, const char *name, void (*fn)(void *arg),
                                   void *arg);
void sim_thread_free(struct env_thread *t);

uint64_t sim_wall_us(struct env *env);
uint64_t sim_boot_ns(struct env *env);
void sim_sleep_us(struct env *env, uint64_t us);
void sim_env_random(struct env *env, void *out, size_t size);
struct env_thread *sim_thread_start(struct env *env, const char *name, void (*fn)(void *arg),
                                    void *arg);
void sim_thread_join(struct env_thread *t);
int sim_cpu_count(struct env *env);
void sim_mutex_init(struct env_mutex *m);
void sim_mutex_fini(struct env_mutex *m);
void sim_mutex_lock(struct env_mutex *m);
void sim_mutex_unlock(struct env_mutex *m);
void sim_cond_init(struct env_cond *c);
void sim_cond_fini(struct env_cond *c);
bool sim_cond_wait(struct env_cond *c, struct env_mutex *m, uint64_t timeout_us);
void sim_cond_wake(struct env_cond *c, bool all);
void sim_word_wait(struct env *env, _Atomic uint32_t *word, uint32_t expected, uint64_t timeout_us);
void sim_word_wake(struct env *env, _Atomic uint32_t *word);

/* ---- sim_disk.c: the two layers, without time and faults ----------------------------------- */

/* What a file's layer holds: pages, NULL where there are only zeros. */
struct sim_image {
    uint8_t **pages;
    size_t page_cap;
    uint64_t size;
};

/* A name in a folder. */
struct sim_entry {
    char *name;
    struct sim_inode *inode;
};
struct sim_entries {
    struct sim_entry *at; /* in byte order of the names */
    size_t count, cap;
};

struct sim_inode {
    struct sim_disk *disk;
    struct list disk_link; /* struct sim_disk.inodes */
    uint32_t ref_count;    /* names in either layer, name changes under way, open files */
    bool is_dir;
    bool is_changed;                      /* since the last power cut */
    struct sim_image seen, durable;       /* a file's */
    struct list writes;                   /* of struct sim_write.link: not durable, oldest first */
    struct sim_entries names, safe_names; /* a folder's */
    struct env_file *lock_holder;
};

/* A write or a truncation that is not durable yet. */
struct sim_write {
    struct list link; /* struct sim_inode.writes */
    uint64_t seq;     /* in order of arrival */
    bool is_truncate;
    bool is_due;      /* while writes are picked to be made durable */
    uint64_t safe_ns; /* durable from then on, without anybody's doing; 0: never */
    uint64_t offset;  /* or the new size */
    size_t size;
    uint8_t data[];
};

struct sim_disk {
    struct sim_inode *root;
    struct list inodes;       /* of struct sim_inode.disk_link, in order of creation */
    uint64_t write_seq;       /* of the latest write */
    struct list name_changes; /* of struct sim_name_change.link: not durable, oldest first */
    uint64_t capacity, used;
};

struct sim_disk *sim_disk_new(void);
void sim_disk_free(struct sim_disk *d);
void sim_disk_power_cut(struct sim *sim, struct sim_disk *d);

/* Both return a reference or NULL. */
struct sim_inode *sim_disk_find(struct sim_disk *d, const char *path);
struct sim_inode *sim_disk_find_parent(struct sim_disk *d, const char *path, const char **name);
void sim_inode_ref(struct sim_inode *i);
void sim_inode_unref(struct sim_inode *i);
struct sim_inode *sim_inode_new(struct sim_disk *d, bool is_dir);
struct sim_inode *sim_entry_find(const struct sim_entries *e, const char *name);
/* Changes names now, and safely later. `inode` NULL removes to_name; from NULL adds. Else to_name
 * in `to` takes the place of from_name in `from`. */
void sim_names_change(struct sim_inode *from, const char *from_name, struct sim_inode *to,
                      const char *to_name, struct sim_inode *inode);
void sim_names_sync(struct sim_inode *dir);

void sim_image_read(const struct sim_image *m, void *buf, size_t size, uint64_t offset);
void sim_image_write(struct sim_image *m, const void *buf, size_t size, uint64_t offset);
void sim_image_resize(struct sim_image *m, uint64_t size);
void sim_image_flip(struct sim_image *m, uint64_t offset, uint8_t mask);
void sim_image_fini(struct sim_image *m);
/* A write that readers see (unless is_hidden) and that is not durable. Returns its number. */
uint64_t sim_write_add(struct sim_inode *i, const void *data, size_t size, uint64_t offset,
                       bool is_hidden);
void sim_truncate_add(struct sim_inode *i, uint64_t size);
/* The write of that number becomes durable at that time, if the power is not cut before. */
void sim_write_safe_at(struct sim_inode *i, uint64_t seq, uint64_t safe_ns);
/* Makes it durable now, after those before it that it overlaps. */
void sim_write_settle(struct sim_inode *i, uint64_t seq);
void sim_inode_sync(struct sim_inode *i, uint64_t seq_max);
/* The writes up to there are over: some of them durable, the others lost. */
void sim_inode_sync_fails(struct sim *sim, struct sim_inode *i, uint64_t seq_max);
/* Writes some of the sectors, by the dice. */
void sim_image_tear(struct sim *sim, struct sim_image *m, const void *data, size_t size,
                    uint64_t offset);

/* ---- sim_file.c ---------------------------------------------------------------------------- */

struct env_file {
    struct env *env;
    char *path;
    struct list node_link; /* struct sim_node.files */
    struct sim_inode *inode;
    int flags;
};
void sim_close(struct env_file *f);
int sim_open(struct env *env, const char *path, int flags, struct env_file **out);
int sim_pread(struct env_file *f, void *buf, size_t size, uint64_t offset, size_t *got);
int sim_pwritev(struct env_file *f, const struct iovec *v, int count, uint64_t offset);
int sim_sync(struct env_file *f);
int sim_truncate(struct env_file *f, uint64_t size);
int sim_allocate(struct env_file *f, uint64_t size);
int sim_size(struct env_file *f, uint64_t *size);
int sim_rename(struct env *env, const char *from, const char *to);
int sim_unlink(struct env *env, const char *path);
int sim_rmdir(struct env *env, const char *path);
int sim_mkdir(struct env *env, const char *path);
int sim_sync_dir(struct env *env, const char *path);
int sim_file_link(struct env *env, const char *from, const char *to);
bool sim_exists(struct env *env, const char *path, bool *is_dir);
int sim_list_dir(struct env *env, const char *path, int (*fn)(void *, const char *), void *arg);
int sim_disk_free_bytes(struct env *env, const char *path, uint64_t *bytes);
int sim_lock_file(struct env *env, const char *path, struct env_file **out);

/* ---- sim_loop.c ---------------------------------------------------------------------------- */

struct env_loop {
    struct env *env;
    struct list node_link; /* struct sim_node.loops */
    struct list events;    /* of struct env_event.loop_link */
    struct list firing;    /* of struct env_event.firing_link */
    bool is_woken;
    struct env_thread *waiter; /* blocked in run_once */
};

struct env_event {
    struct env *env;
    struct env_loop *loop;
    struct list loop_link;   /* struct env_loop.events */
    struct list firing_link; /* struct env_loop.firing */
    void (*fn)(void *arg, int what);
    void *arg;
    struct env_sock *sock; /* or NULL: a timer */
    int armed;
    int ready; /* while in firing */
    bool is_expired;
    struct sim_timer timer;
};
void sim_loop_poke(struct env_loop *l); /* looks again */
struct env_loop *sim_loop_new(struct env *env);
void sim_loop_free(struct env_loop *l);
void sim_loop_run_once(struct env_loop *l, int64_t timeout_us);
void sim_loop_wake(struct env_loop *l);
struct env_event *sim_event_new(struct env_loop *l, struct env_sock *s, void (*fn)(void *, int),
                                void *arg);
void sim_event_arm(struct env_event *e, int what);
void sim_event_free(struct env_event *e);
struct env_event *sim_timer_event_new(struct env_loop *l, void (*fn)(void *, int), void *arg);
void sim_timer_event_arm(struct env_event *t, uint64_t delay_us);
void sim_timer_event_disarm(struct env_event *t);

/* ---- sim_net.c ----------------------------------------------------------------------------- */

struct env_sock {
    struct env *env;
    struct list node_link;    /* struct sim_node.socks */
    struct list pending_link; /* struct env_sock.pending of the listener, until accepted */
    struct env_event *event;  /* or NULL */
    char name[ENV_ADDR_MAX];  /* its own address; a listener's is what it listens on */
    /* A listener's: */
    bool is_listener;
    int backlog, pending_count;
    struct list pending;
    /* A stream's: */
    struct sim_connection *connection;
    int side;
};
int sim_sock_readiness(const struct env_sock *s);
void sim_sock_free(struct env_sock *s, enum sim_death how); /* how the process ended, if it did */
void sim_connections_free(struct sim *sim);
int sim_listen(struct env *env, const char *address, int backlog, struct env_sock **out);
int sim_accept(struct env_sock *listener, struct env_sock **out);
int sim_connect(struct env *env, const char *address, struct env_sock **out);
int sim_connect_result(struct env_sock *s);
int sim_recv(struct env_sock *s, void *buf, size_t size, size_t *got);
int sim_sendv(struct env_sock *s, const struct iovec *v, int count, size_t *sent);
void sim_sock_close(struct env_sock *s);
void sim_sock_name(const struct env_sock *s, bool peer, char out[ENV_ADDR_MAX]);
bool sim_sock_is_loopback(const struct env_sock *s);

#endif
