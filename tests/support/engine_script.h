/* One client that takes a storage engine through all that it can do, on a disk that fails, and
 * knows at every moment what must be there: the content after each step, of every branch. Each life
 * of the node verifies all of it (TXNE-2, A1 to A13) and goes on where the script stands.
 *
 *     struct script *s = script_new(sim, node);
 *     sim_node_start(node, script_life, s);      until s->finished, or the node died: start it
 * again sim_node_start(node, script_look, s);      only verifies
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_SUPPORT_ENGINE_SCRIPT_H
#define TESTS_SUPPORT_ENGINE_SCRIPT_H

#include "engine/base/id.h"
#include "engine/base/sim.h"

struct engine;

enum { SCRIPT_TREES = 3, SCRIPT_KEYS = 12, SCRIPT_MOMENTS = 64 };

/* What the trees hold: 0 for no row, else the number of a value. The third tree is one that comes
 * and goes; `made` counts which one it is, 0 for none. */
struct script_state {
    uint32_t value[SCRIPT_TREES][SCRIPT_KEYS];
    uint32_t made;
};
struct script_moment {
    struct moment at;
    struct script_state state;
    uint32_t step;
    bool gone; /* its branch was given up */
};

struct script {
    struct sim *sim;
    struct env *node;
    bool no_background; /* flush and merge only where the script says so */

    uint32_t step; /* the next one */
    uint32_t next_inc;
    struct script_state state; /* as the client was told */
    /* A commit or a cut whose outcome is not known; told by the next life. */
    bool is_pending, pending_is_cut;
    struct script_state pending;
    uint32_t pending_cut; /* the moment to which */
    bool dropping;        /* a branch is being given up */
    struct script_moment moments[SCRIPT_MOMENTS];
    uint32_t moment_count;
    uint64_t ids_given, tree_ids_given;
    bool created;

    /* Of the present life. */
    bool finished; /* the script, or the look: verified and closed */
    uint32_t errors;
    uint32_t errors_max; /* so many are borne; more, and the life ends without being finished */
    int last_error;
    char last_message[300];
    uint64_t compared; /* states, over all lives */
};

struct script *script_new(struct sim *sim, struct env *node);
void script_free(struct script *s);
void script_life(void *arg);
void script_look(void *arg);
uint32_t script_steps(void);
/* Opens, without verifying: for tests that damage the disk and look at what is answered. */
MUST_CHECK
int script_mount(struct script *s, struct engine **out);
/* Compares all that is held with what must be there; aborts at a difference. Writable engines only.
 * An error of reading is returned. */
MUST_CHECK
int script_verify(struct script *s, struct engine *e);

/* A node of its own, on a disk that may fail, and the script that it plays. */
struct script_world {
    struct sim *sim;
    struct env *node;
    struct script *s;
};
void script_world_init(struct script_world *w, uint64_t seed);
void script_world_fini(struct script_world *w);
/* One life of the node, to its end: its own, or by a fault. */
void script_world_live(struct script_world *w, void (*fn)(void *arg), void *arg);

#endif
