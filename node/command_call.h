/* Asking a running node over its guard port.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef NODE_COMMAND_CALL_H
#define NODE_COMMAND_CALL_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/base/bytes.h"
#include "logship/auth.h"
#include "logship/register.h"
#include "node/command.h"

enum {
    CALL_MEMBERS_MAX = REGISTER_MEMBERS_MAX,
    CALL_ADDR_MAX = REGISTER_ADDR_MAX,
    CALL_PATH_MAX = 512
};

/* Whom to ask, and with what key: --at or REDOUBT_AT or the default port here; --key (a key file,
 * or a data directory) or REDOUBT_KEY. */
struct call {
    struct env *env;
    char at[CALL_ADDR_MAX];
    struct ship_key key;
    char key_file[CALL_PATH_MAX];
    uint32_t patience_ms; /* until a member that hangs is given up; 0: 5000 */
};
MUST_CHECK
int call_open(struct env *env, const char *at, const char *key_file, struct call *out);

/* A key that others can read is none: ERR_INVALID_AUTHORIZATION with what to do. A file that is not
 * there is not its concern. */
MUST_CHECK
int call_check_key(const char *path);

/* Sends the words to the node at `address` and gathers the text of its answer, NUL-terminated, in
 * `text` (initialised by the caller). An error is the node's, or says why it cannot be reached.
 * Blocks; shows on a terminal that it waits. */
MUST_CHECK
int call_run(const struct call *c, const char *address, const char *const *words, uint32_t count,
             struct writer *text);

/* The same of several nodes at once: who hangs holds nobody up. */
struct call_answer {
    const char *address;
    struct writer text; /* initialised here; the caller's to release */
    int rc;
    struct diag why; /* of an error */
};
void call_run_all(const struct call *c, struct call_answer *answers, int answer_count,
                  const char *const *words, uint32_t count);

struct call_member {
    member_id_t id;
    char name[REGISTER_NAME_MAX], guard[CALL_ADDR_MAX], sql[CALL_ADDR_MAX];
    bool is_primary, listed;
};
/* The members as the node at c->at knows them. Returns how many, or an error below 0. */
MUST_CHECK
int call_members(const struct call *c, struct call_member out[CALL_MEMBERS_MAX]);
/* The guard address of the member of that name, or (name NULL) of the primary, as the newest of the
 * members that answer knows it. Waits while roles are changing. */
MUST_CHECK
int call_find(const struct call *c, const char *name, char address[CALL_ADDR_MAX]);
/* The value of `key` in a report: until the end of its line. Empty when it is not there. */
void call_value(const char *report, const char *key, char *out, size_t size);

#endif
