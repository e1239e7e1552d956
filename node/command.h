/* The commands of redoubt.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef NODE_COMMAND_H
#define NODE_COMMAND_H

#include "engine/base/err.h"

struct env;

struct command {
    const char *name, *arguments, *what, *example;
    /* argv: what follows the command's name. ERR_USAGE: the usage is shown too. */
    int (*run)(struct env *env, int argc, char **argv);
};

MUST_CHECK
int command_init(struct env *env, int argc, char **argv);
MUST_CHECK
int command_start(struct env *env, int argc, char **argv);
MUST_CHECK
int command_stop(struct env *env, int argc, char **argv);
MUST_CHECK
int command_dump(struct env *env, int argc, char **argv);
/* command_roles.c, command_status.c, command_join.c: these speak to a running configuration. */
MUST_CHECK
int command_protect(struct env *env, int argc, char **argv);
MUST_CHECK
int command_switchover(struct env *env, int argc, char **argv);
MUST_CHECK
int command_failover(struct env *env, int argc, char **argv);
MUST_CHECK
int command_reinstate(struct env *env, int argc, char **argv);
MUST_CHECK
int command_drop(struct env *env, int argc, char **argv);
MUST_CHECK
int command_status(struct env *env, int argc, char **argv);
MUST_CHECK
int command_branches(struct env *env, int argc, char **argv);
MUST_CHECK
int command_join(struct env *env, int argc, char **argv);
MUST_CHECK
int command_backup(struct env *env, int argc, char **argv);
MUST_CHECK
int command_restore(struct env *env, int argc, char **argv);

/* Options "--name VALUE" (or "--name=VALUE") and words: takes them apart. ERR_USAGE for an unknown
 * option, one without its value, or a count of words that is not `word_count`. */
struct command_option {
    const char *name;  /* "--sql" */
    const char *value; /* before: NULL, or "" of a flag, which is "yes" when it was given */
};
MUST_CHECK
int command_parse(int argc, char **argv, struct command_option *options, int count,
                  const char **words, int word_count);
/* ERR_USAGE: not a member's name (NULL: --name is missing); not HOST:PORT (NULL is one). */
MUST_CHECK
int command_check_name(const char *name);
MUST_CHECK
int command_check_address(const struct command_option *o);
/* Those of one node differ; NULL: the defaults. */
MUST_CHECK
int command_check_addresses(const char *sql, const char *guard);
/* The folder is not there, or holds nothing but files of those names (NULL: none; ends with NULL).
 * ERR_FILE_EXISTS, saying what is there. */
MUST_CHECK
int command_check_new(struct env *env, const char *dir, const char *const *allowed);

#endif
