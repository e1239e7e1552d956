/* A small SQL port for tests of the server: a language of a dozen words instead of SQL.
 *
 *   echo X | echo $1     one row, one column: the text, or the parameter's bytes as bound
 *   rows N [SIZE]        N rows: the number, and SIZE bytes of filler
 *   begin | commit | rollback
 *   error X              42601 at position 7, hint and detail
 *   notice X             a NOTICE
 *   sleep                until cancelled
 *   require SCN          the answer waits until (1, SCN) is visible
 *   stamp                takes the next number of `newest` and waits for it: tag "stamp INC SCN"
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
    _Atomic bool is_standby;
    _Atomic int open_count, sleeping_count;
    _Atomic uint64_t newest; /* incarnation << 40 | SCN */
};

void echo_init(struct echo *e);
static inline struct moment
echo_moment(uint64_t packed)
{
    return (struct moment){ (incarnation_t)(packed >> 40), packed & ((UINT64_C(1) << 40) - 1) };
}

#endif
