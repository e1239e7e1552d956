/* The commands of redoubt that concern a data directory on this machine.
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

/* Options "--name VALUE" and words: takes them apart. ERR_USAGE for an unknown option, one without
 * its value, or a count of words that is not `word_count`. */
struct command_option {
    const char *name;  /* "--sql" */
    const char *value; /* NULL: not given */
};
MUST_CHECK
int command_parse(int argc, char **argv, struct command_option *options, int count,
                  const char **words, int word_count);

#endif
