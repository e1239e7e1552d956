/* A server on a Unix socket with an echo for SQL, and how its tests talk to it.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_SUPPORT_SERVER_FIXTURE_H
#define TESTS_SUPPORT_SERVER_FIXTURE_H

#include <check.h>
#include <stdatomic.h>

#include "engine/base/env.h"
#include "engine/server/server.h"
#include "tests/support/echo_port.h"
#include "tests/support/wire.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { SANITIZED = 1 };
#else
enum { SANITIZED = 0 };
#endif

struct fixture {
    struct env *env;
    struct echo echo;
    struct server *server;
    char dir[64], path[128]; /* of the socket */
    char text[1 << 20];      /* the last transcript */
    _Atomic uint64_t gate_scn, gate_inc;
    _Atomic bool gate_open;
};
extern struct fixture fx;

void fixture_setup(void);
void fixture_teardown(void); /* stops the server */
struct server_options fixture_options(void);
void fixture_start(struct server_options o);
void connect_as(struct wire *w, const char *user);
const char *answers(struct wire *w, int ready);     /* up to so many ReadyForQuery */
const char *ask(struct wire *w, const char *query); /* a simple query */
void put_extended(struct wire *w, const char *query, const char *param);
void put_sync(struct wire *w);
int fixture_run(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
