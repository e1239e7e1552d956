/* The simulated world: many nodes in one process, on simulated disks and wires, stepped by one
 * seeded scheduler. The same seed and the same calls give the same run, to the bit.
 *
 * A node is a struct env. Its threads are stacks of this one real thread; one runs at a time, and
 * it gives way only inside env calls (a contended mutex, a wait, a file operation, a sleep, or by
 * the dice). Virtual time moves only when no thread can run. What a node allocates lies in a heap
 * of its own and dies with it, so a library that brings its own malloc leaks when a node is killed:
 * give it xmalloc.
 *
 * Typical use, from the test's main thread:
 *     struct sim *sim = sim_new(seed);
 *     struct env *a = sim_node_new(sim, "a"), *client = sim_node_new(sim, "client");
 *     sim_node_start(a, server_main, &conf);
 *     sim_node_start(client, workload_main, &ledger);
 *     result = sim_run(sim, 10 * SIM_SECOND, workload_is_done, &ledger);
 *     sim_node_crash(a); sim_node_start(a, server_main, &conf); …
 *     sim_free(sim);
 *
 * Between sim_run calls, and in a predicate, the test's main thread may make env calls on a node
 * that need no waiting: its file operations take no time then.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_BASE_SIM_H
#define ENGINE_BASE_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/env.h"

struct sim;

enum { SIM_NODES_MAX = 16 };
#define SIM_MILLISECOND ((uint64_t)1000) /* in µs, the unit of every time here */
#define SIM_SECOND      ((uint64_t)1000000)

struct sim *sim_new(uint64_t seed);
void sim_free(struct sim *sim);

enum sim_result {
    SIM_DONE,     /* the predicate held */
    SIM_TIME,     /* the time was used up */
    SIM_IDLE,     /* no thread is left on any node */
    SIM_DEADLOCK, /* threads are left, none can run, and nothing is to come: see sim_report */
    SIM_PANIC,    /* a node panicked: see sim_node_last_words; sim_run may be called again */
    SIM_LIVELOCK, /* threads run for ever and time stands still */
};
/* Runs for at most for_us of virtual time (UINT64_MAX: no limit), until `until` (or NULL) holds. */
enum sim_result sim_run(struct sim *sim, uint64_t for_us, bool (*until)(void *arg), void *arg);
const char *sim_result_name(enum sim_result r);

uint64_t sim_now_us(const struct sim *sim);
uint64_t sim_random(struct sim *sim, uint64_t below); /* 0 .. below-1: for the test's own dice */
/* Over every choice, write and message so far: equal for equal runs. */
uint64_t sim_trace_hash(const struct sim *sim);
/* Who waits for what, as lines of text. Valid until the next call. */
const char *sim_report(struct sim *sim);
/* The chance, in 1000, that an env call which need not wait gives way all the same. 125. */
void sim_set_yield(struct sim *sim, unsigned per_mille);
void sim_set_verbose(struct sim *sim, bool on); /* nodes' log lines go to standard error */
/* When a panic is what the test wants: sim_run goes on after one. */
void sim_allow_panic(struct sim *sim, bool allowed);

/* ---- nodes --------------------------------------------------------------------------------- */

/* A machine that is switched off, with an empty disk (a folder "/"). Its name is its host name. */
struct env *sim_node_new(struct sim *sim, const char *name);
/* Starts fn(arg) as the thread "main". When it returns, the process has ended well: its other
 * threads end with it, and its sockets close. */
void sim_node_start(struct env *node, void (*fn)(void *arg), void *arg);
/* The power is cut: threads, fibers, memory, sockets are gone without a word to the peers; of what
 * was not synced on the disk, parts are lost. A thread of the node itself does not return. */
void sim_node_crash(struct env *node);
/* The process is killed: the same, but the disk keeps all that was written, and the machine closes
 * its sockets. env_panic does this to its node. */
void sim_node_kill(struct env *node);
bool sim_node_is_up(const struct env *node);
/* The process stops getting the processor, or goes on; time passes for it meanwhile. */
void sim_node_pause(struct env *node);
void sim_node_resume(struct env *node);
const char *sim_node_last_words(const struct env *node); /* of its last panic; NULL: none */
/* What the process still had allocated when it last ended well: 0 unless something leaks. */
size_t sim_node_leaked_bytes(const struct env *node);
void sim_node_skew_wall(struct env *node, int64_t us); /* its wall clock jumps by so much */
const char *sim_node_name(const struct env *node);

/* ---- the disk ------------------------------------------------------------------------------ */

/* A file has two layers: what a reader sees, and what survives a power cut. A write moves to the
 * second with env_sync, or at once with ENV_DSYNC; before that a cut may keep it, lose it, or keep
 * some of its 512-byte sectors, each write by itself. A name made, removed or moved is safe after
 * env_sync_dir of its folder; before, a cut loses some of the latest such changes of each folder. A
 * sync that fails leaves what it was to write lost for good, though readers still see it. */

enum sim_op {
    SIM_OP_OPEN = 1,
    SIM_OP_READ = 2,
    SIM_OP_WRITE = 4,
    SIM_OP_SYNC = 8,
    SIM_OP_TRUNCATE = 16, /* and env_allocate */
    SIM_OP_RENAME = 32,   /* and env_link */
    SIM_OP_UNLINK = 64,   /* and env_rmdir */
    SIM_OP_MKDIR = 128,
    SIM_OP_SYNC_DIR = 256,
    SIM_OP_ANY = 511,
};

enum sim_fault_kind {
    SIM_FAULT_EIO,
    SIM_FAULT_ENOSPC,
    SIM_FAULT_DELAY,       /* takes delay_us longer */
    SIM_FAULT_BIT_FLIP,    /* write: one bit goes wrong; read: one bit of the file rots first */
    SIM_FAULT_MISREAD,     /* read: one bit of what is read is wrong, and the file is not */
    SIM_FAULT_LOST_WRITE,  /* said to be done, and never reaches the disk */
    SIM_FAULT_EARLY,       /* ENV_DSYNC: said to be done at once, and safe only when it should be */
    SIM_FAULT_MISDIRECTED, /* a write lands some pages further on */
    SIM_FAULT_TORN,        /* write: EIO after some of its sectors were written */
    SIM_FAULT_CRASH,       /* the power is cut in the middle */
    SIM_FAULT_KILL,        /* the process is killed before the operation */
};

struct sim_fault {
    int ops; /* enum sim_op, or-ed */
    enum sim_fault_kind kind;
    const char *path;     /* only paths that contain this; NULL: all. Not copied */
    uint32_t skip;        /* so many matching operations pass first */
    uint32_t count;       /* then so many are hit; 0: all */
    uint32_t per_million; /* each by this chance; 0: surely */
    uint64_t delay_us;
};
int sim_fault_add(struct env *node, const struct sim_fault *fault); /* a handle */
uint32_t sim_fault_hits(struct env *node, int handle);
void sim_fault_remove(struct env *node, int handle);
void sim_fault_clear(struct env *node);
/* Each bit of the mask that is set turns over at that byte, in both layers. */
void sim_disk_flip(struct env *node, const char *path, uint64_t offset, uint8_t mask);
void sim_disk_set_capacity(struct env *node, uint64_t bytes); /* ENOSPC beyond; no limit at first */
void sim_disk_erase(struct env *node); /* a new, empty disk; the node must be down */
/* Operations take this long on average, in µs; what is 0 takes no time. */
struct sim_disk_speed {
    uint32_t read_us, write_us, direct_write_us, sync_us, name_us;
};
void sim_disk_set_speed(struct env *node, const struct sim_disk_speed *speed);

/* ---- the network --------------------------------------------------------------------------- */

/* Streams between nodes. A node is reached by its name, itself also as localhost, 127.0.0.1 or ::1;
 * a Unix path reaches a listener of the same node. */

/* What `from` sends does not arrive at `to` while blocked; TCP delivers it afterwards. */
void sim_net_block(struct sim *sim, struct env *from, struct env *to, bool blocked);
void sim_net_partition(struct sim *sim, struct env *a, struct env *b, bool blocked); /* both ways */
void sim_net_isolate(struct sim *sim, struct env *node, bool blocked); /* from and to all others */
void sim_net_heal(struct sim *sim); /* nothing is blocked any more */
/* Every connection between the two is reset, at both ends, at once. */
void sim_net_reset(struct sim *sim, struct env *a, struct env *b);
/* The connection that carries the byte after so many more from one to the other ends just before
 * it, wherever that is: the reader gets what comes before, and the end; the writer a reset. */
void sim_net_cut(struct sim *sim, struct env *from, struct env *to, uint64_t bytes);
/* One-way delay of what `from` sends; 50 to 500 µs at first. */
void sim_net_set_delay(struct sim *sim, struct env *from, struct env *to, uint64_t min_us,
                       uint64_t max_us);
/* The chance that a segment from one to the other arrives with a bit turned over. */
void sim_net_set_corruption(struct sim *sim, struct env *from, struct env *to,
                            uint32_t per_million);

#endif
