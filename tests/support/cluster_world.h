/* A whole configuration in the simulated world: three machines that run the real node, a machine of
 * clients that speak the wire protocol, and an operator who uses the guard port. One seed decides
 * everything.
 *
 * The driver (what a test does) is a thread of the clients' machine. It starts machines, clients
 * and faults, and waits; a failed expectation ends the test with the seed. Between any two steps of
 * any thread the watcher looks at the nodes from outside and checks what must hold at each moment:
 *
 *   INV-1  acknowledgements of two reigns never interleave
 *   FO-32  what a node shows never goes back while it lives, nor, on a standby, past what a primary
 *          has acknowledged
 *
 * What clients saw is judged at the end (cluster_check.c).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_SUPPORT_CLUSTER_WORLD_H
#define TESTS_SUPPORT_CLUSTER_WORLD_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/base/bytes.h"
#include "engine/base/id.h"
#include "engine/base/sim.h"

struct node;

enum { CLUSTER_NODES = 3, CLUSTER_ACTS_MAX = 256, CLUSTER_FAULTS_MAX = 64 };
enum { LISTS = 4, ACCOUNTS = 6, ACCOUNT_BEGIN = 1000, WRITES_MAX = 6000, SEEN_MAX = 3000 };

struct cluster;

struct cluster_node {
    struct cluster *cluster;
    struct env *env;
    char name[8];
    int index;
    struct node *node; /* that is open; NULL: none */
    bool want_stop, want_join;
    int rc; /* of the last opening or join that failed */
    char why[256];
    unsigned life;        /* how often it was started */
    bool faulty;          /* its disk may have failed it: it may panic, or refuse to open */
    bool fenced;          /* isolated, and an operator relies on it: alone, it speaks to nobody */
    incarnation_t reign;  /* of the last acknowledgement here */
    scn_t acknowledged;   /* in it */
    uint64_t shown;       /* visible SCN */
    unsigned shown_life;  /* of that life */
    bool closed_unseen;   /* it was being closed, when nobody looks */
    bool reopened;        /* with a base copy over itself, of which nothing is shown yet */
    bool is_alone;        /* as its gate is now */
    uint64_t alone_until; /* when it last acknowledged alone (µs) */
};

/* A transaction of a client, as the client knows it. */
enum outcome { OUTCOME_NONE, OUTCOME_ACKED, OUTCOME_REFUSED, OUTCOME_UNKNOWN };
struct write {
    enum outcome outcome;
    uint64_t begun, ended; /* µs */
    int member;
    incarnation_t inc; /* that it saw while it ran */
    uint8_t lists;     /* bits: appended to these */
    int from, to;      /* accounts; equal: none */
    bool alone;        /* that member acknowledged alone meanwhile */
};

/* A snapshot that somebody read. */
struct seen {
    uint64_t begun, ended;
    int member;
    unsigned life;
    scn_t scn;
    bool primary;      /* it was open for writing, and said so in the same snapshot */
    uint32_t session;  /* who reads */
    char *list[LISTS]; /* "1,7,12," */
    int64_t balance[ACCOUNTS];
    uint32_t transfers; /* rows of the ledger */
};

struct cluster {
    struct sim *sim;
    uint64_t seed;
    bool verbose;
    const struct cluster_mutant *mutant; /* the rule that is switched off; NULL: none */
    struct env *clients;
    struct cluster_node node[CLUSTER_NODES];
    char key[128]; /* cluster.key, as a file of each machine */
    size_t key_size;

    /* What the watcher does at the first step at which it holds: for faults in the middle of
     * things. NULL: nothing. */
    bool (*trap)(struct cluster *c, void *arg);
    void (*sprung)(struct cluster *c, void *arg);
    void *trap_arg;

    bool done;     /* the driver has ended */
    bool stopping; /* clients end */
    int running;   /* clients */
    int commands;  /* under way */

    incarnation_t reign; /* the highest that acknowledged anything, … */
    int reigning;        /* … and where */
    scn_t acknowledged;  /* the highest SCN that a primary showed */
    uint64_t word_at;    /* when an operator's word last decided (µs); 0: never */
    bool loss_accepted;

    struct write write[WRITES_MAX];
    uint32_t writes;
    struct seen seen[SEEN_MAX];
    uint32_t seens;
    uint32_t sessions;
    uint32_t acked, reads, standby_reads;
    char note[CLUSTER_ACTS_MAX][96]; /* what was done, for the report */
    uint32_t notes;
};

/* ---- the world (cluster_world.c) ------------------------------------------------------------- */

/* Runs driver(c, arg) in a new world; fails the test when something that must hold does not. */
void cluster_run(struct sim *sim, uint64_t seed, void (*driver)(struct cluster *c, void *arg),
                 void *arg);
/* Ends the test, saying what, the seed and how to run it alone. */
NORETURN
void cluster_fail(struct cluster *c, const char *format, ...) PRINTF_LIKE(2, 3);
#define EXPECT(c, holds, ...) ((holds) ? (void)0 : cluster_fail((c), __VA_ARGS__))
void cluster_note(struct cluster *c, const char *format, ...) PRINTF_LIKE(2, 3);
uint64_t cluster_now(const struct cluster *c); /* µs */
uint64_t cluster_random(struct cluster *c, uint64_t below);
bool cluster_chance(struct cluster *c, unsigned percent);
void cluster_sleep(struct cluster *c, uint64_t us);
/* Waits until it holds; false when us have passed first. */
bool cluster_wait(struct cluster *c, uint64_t us, bool (*holds)(struct cluster *c, void *arg),
                  void *arg);

/* The next step at which `holds` is true, `act` is done, between two steps of any thread. */
void cluster_trap(struct cluster *c, bool (*holds)(struct cluster *c, void *arg),
                  void (*act)(struct cluster *c, void *arg), void *arg);

/* ---- machines (cluster_machine.c) ------------------------------------------------------------ */

/* Three nodes, the first the primary, with the clients' tables. */
void cluster_make(struct cluster *c);
void cluster_start(struct cluster *c, int node);
void cluster_stop(struct cluster *c, int node);  /* cleanly */
void cluster_kill(struct cluster *c, int node);  /* the process */
void cluster_crash(struct cluster *c, int node); /* the power */
bool cluster_is_up(const struct cluster *c, int node);
int cluster_primary(const struct cluster *c); /* that is open for writing; -1: none */
/* Sends a command to a node. 0, or what it answered. Blocks. */
int cluster_command(struct cluster *c, int node, const char *const *words, uint32_t count,
                    char *answer, size_t size);
int cluster_wordsf(struct cluster *c, int node, const char *format, ...) PRINTF_LIKE(3, 4);
/* The same in a thread of its own. */
void cluster_post(struct cluster *c, int node, const char *words);
/* Faults are over, all machines run: waits until one is open and all others follow it. */
void cluster_converge(struct cluster *c);
void cluster_settle(struct cluster *c); /* waits until all show the same moment */

/* ---- rules switched off (cluster_mutant.c) --------------------------------------------------- */

void cluster_mutant_choose(struct cluster *c); /* by SIM_MUTANT */
void cluster_mutant_disks(struct cluster *c);  /* once there are nodes */
void cluster_mutant_step(struct cluster *c);   /* before each step */

/* ---- clients (cluster_load.c) ---------------------------------------------------------------- */

void cluster_load(struct cluster *c, int writers, int readers);
void cluster_unload(struct cluster *c); /* waits for them to end */

/* ---- judging (cluster_check.c) --------------------------------------------------------------- */

/* All that clients saw, against what is there now on all three. */
void cluster_check(struct cluster *c);
void cluster_forget(struct cluster *c); /* frees what was seen */

#endif
