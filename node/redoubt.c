/* redoubt COMMAND …: the command line.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "engine/base/env.h"
#include "node/command.h"

static const struct command commands[] = {
    { "init", "DIR --name NAME [--sql HOST:PORT] [--guard HOST:PORT]",
      "makes a data directory with an empty database",
      "redoubt init /var/lib/redoubt/a --name A --sql 127.0.0.1:5433", command_init },
    { "start", "DIR", "starts the node of DIR in the background and waits until it serves",
      "redoubt start /var/lib/redoubt/a", command_start },
    { "stop", "DIR", "ends the node of DIR cleanly and waits for it",
      "redoubt stop /var/lib/redoubt/a", command_stop },
    { "join", "DIR --name NAME --from HOST:PORT [--sql HOST:PORT] [--guard HOST:PORT] [--key FILE]",
      "makes a data directory by copying a running database, as a standby of it",
      "redoubt join /var/lib/redoubt/b --name B --from 10.0.0.1:7433 --key cluster.key",
      command_join },
    { "status", "[--json] [--at HOST:PORT] [--key FILE]",
      "shows every member: role, state, how far behind",
      "redoubt status --at 10.0.0.1:7433 --key cluster.key", command_status },
    { "protect", "performance|availability [--sync 'ANY 1 (B, C)'] [--at HOST:PORT] [--key FILE]",
      "sets the protection mode and whose acknowledgement a commit waits for (without --sync "
      "availability keeps the list that there is)",
      "redoubt protect availability --sync 'ANY 1 (B, C)'", command_protect },
    { "switchover", "NAME [--at HOST:PORT] [--key FILE]",
      "makes a synchronized standby primary, and the primary a standby; nothing is lost",
      "redoubt switchover B", command_switchover },
    { "failover", "NAME [--fenced] [--accept-loss] [--at HOST:PORT] [--key FILE]",
      "makes a standby primary when the primary is lost; --fenced is your word that the old one "
      "writes no more",
      "redoubt failover B --fenced", command_failover },
    { "reinstate", "NAME [--at HOST:PORT] [--key FILE]",
      "lets a member that holds commits of an abandoned branch cut them off and follow",
      "redoubt reinstate A", command_reinstate },
    { "branches", "[--at HOST:PORT] [--key FILE]",
      "lists the incarnations that members hold: where each was left, and what is an orphan branch",
      "redoubt branches --at 10.0.0.1:7433", command_branches },
    { "drop", "NAME [--at HOST:PORT] [--key FILE]", "takes a standby out of the configuration",
      "redoubt drop C", command_drop },
    { "backup", "--to FOLDER [--at HOST:PORT] [--key FILE]",
      "copies the running database and its redo into a new folder",
      "redoubt backup --to /backups/monday --at 10.0.0.1:7433", command_backup },
    { "restore",
      "FOLDER --to DIR --name NAME [--sql HOST:PORT] [--guard HOST:PORT] [--scn N | --time T] "
      "[--redo FOLDER | --at HOST:PORT] [--key FILE]",
      "makes a database of its own from a backup, as of an SCN or a time (local, unless it ends in "
      "Z "
      "or +HH:MM), with redo since from a folder or a live member",
      "redoubt restore /backups/monday --to /var/lib/redoubt/d --name D --time '2026-11-23 "
      "03:00:00'",
      command_restore },
    { "dump", "FILE", "prints a redo file, a segment or a manifest in words",
      "redoubt dump /var/lib/redoubt/a/manifest", command_dump },
};

static int
usage(FILE *to)
{
    fputs("Usage: redoubt COMMAND …\n\n", to);
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        fprintf(to, "  redoubt %s %s\n      %s\n", commands[i].name, commands[i].arguments,
                commands[i].what);
    fputs("\nredoubt COMMAND --help shows an example.\n", to);
    return to == stdout ? 0 : 2;
}

static int
help(const struct command *c)
{
    printf("Usage: redoubt %s %s\n\n%s.\n\nExample:\n  %s\n", c->name, c->arguments, c->what,
           c->example);
    return 0;
}

static int
run(const struct command *c, int argc, char **argv)
{
    struct env *env = env_posix_new();
    int rc = c->run(env, argc, argv);
    bool usage_was_wrong = rc == ERR_USAGE;

    if (rc != 0) {
        const struct diag *d = diag_last();

        fprintf(stderr, "redoubt %s: %s\n", c->name, d->message);
        if (d->detail[0] != '\0')
            fprintf(stderr, "  %s\n", d->detail);
        if (d->hint[0] != '\0')
            fprintf(stderr, "  Hint: %s\n", d->hint);
        if (usage_was_wrong)
            fprintf(stderr, "Usage: redoubt %s %s\n", c->name, c->arguments);
    }
    env_free(env);
    return rc == 0 ? 0 : usage_was_wrong ? 2 : 1;
}

int
main(int argc, char **argv)
{
    if (argc >= 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
                      strcmp(argv[1], "help") == 0))
        return usage(stdout);
    if (argc < 2)
        return usage(stderr);
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        if (strcmp(argv[1], commands[i].name) != 0)
            continue;
        for (int a = 2; a < argc; a++)
            if (strcmp(argv[a], "--help") == 0 || strcmp(argv[a], "-h") == 0)
                return help(&commands[i]);
        return run(&commands[i], argc - 2, argv + 2);
    }
    fprintf(stderr, "redoubt: there is no command \"%s\"\n\n", argv[1]);
    return usage(stderr);
}
