/* A small client of the wire protocol that goes through struct env, so that it also lives in the
 * simulated world: it blocks its thread, proves a password by SCRAM, and asks simple queries.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_SUPPORT_SIM_WIRE_H
#define TESTS_SUPPORT_SIM_WIRE_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/base/bytes.h"
#include "engine/base/env.h"

/* The password that sim_wire_connect proves, and the verifier to give a role: one iteration, since
 * nobody is kept out of a simulation. */
void sim_wire_verifier(char *out, size_t size);

enum { SIM_WIRE_ROWS_MAX = 512, SIM_WIRE_COLUMNS_MAX = 8 };

struct sim_wire {
    struct env *env;
    struct env_loop *loop;
    struct env_event *event, *timer;
    struct env_sock *sock; /* NULL: not connected */
    struct writer out, in;
    size_t in_at;
    int woken;
    bool timed_out;
    /* The rows of all statements of the last query, text fields behind each other. */
    struct writer text;
    int rows;
    int columns[SIM_WIRE_ROWS_MAX];
    size_t field[SIM_WIRE_ROWS_MAX][SIM_WIRE_COLUMNS_MAX];
    char sqlstate[6]; /* of the last error; "" if there was none */
    char message[256];
    char status; /* of ReadyForQuery: I, T, E */
};

enum sim_wire_result {
    SIM_WIRE_OK,
    SIM_WIRE_ERROR, /* the server refused; the connection goes on (unless it says 57P01) */
    SIM_WIRE_LOST,  /* the connection is gone or was given up: what was asked may have happened */
};

void sim_wire_init(struct sim_wire *w, struct env *env);
void sim_wire_fini(struct sim_wire *w);
enum sim_wire_result sim_wire_connect(struct sim_wire *w, const char *address, uint64_t timeout_us);
void sim_wire_close(struct sim_wire *w);
/* One simple query, of one or more statements. Longer than timeout_us: LOST, and closed. */
enum sim_wire_result sim_wire_query(struct sim_wire *w, uint64_t timeout_us, const char *text);
enum sim_wire_result sim_wire_queryf(struct sim_wire *w, uint64_t timeout_us, const char *format,
                                     ...) PRINTF_LIKE(3, 4);
const char *sim_wire_field(const struct sim_wire *w, int row, int column);
int64_t sim_wire_int(const struct sim_wire *w, int row, int column);

#endif
