/* A small SQL port for tests of the server: a language of a dozen words instead of SQL.
 *
 *   echo X | echo $1     one row, one column: the text, or the parameter's bytes as bound
 *   rows N [SIZE]        N rows: the number, and SIZE bytes of filler
 *   begin | commit | rollback
 *   error X              42601 at position 7, hint and detail
 *   notice X             a NOTICE
 *   sleep                until cancelled
 *   require SCN          the answer waits until (1, SCN) is visible
 *   copyin               reads a COPY, answers COPY <bytes>
 *   copyfail             begins a COPY and fails in the middle of it
 *   copyout N            N lines of COPY data
 *   timeout MS | idletimeout MS
 *   readonly             the session may not write from here on
 *   (nothing)            EmptyQueryResponse
 *
 * Statements are separated by semicolons. Roles: alice (superuser, password "secret"), bob (no
 * password), carol (may not log in).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_SUPPORT_ECHO_PORT_H
#define TESTS_SUPPORT_ECHO_PORT_H

#include <stdatomic.h>
#include <stdbool.h>

#include "engine/sql/sqlport.h"

struct echo {
    struct sql_port port;
    bool all_have_password;
    _Atomic int open_count, sleeping_count;
};

void echo_init(struct echo *e);

#endif
