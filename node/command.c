/* SPDX-License-Identifier: Apache-2.0 */
#include "node/command.h"

#include <stdio.h>
#include <string.h>

#include "backup/backup.h"
#include "conf/conf.h"
#include "engine/base/env.h"
#include "engine/base/mem.h"
#include "engine/lsm/manifest.h"
#include "engine/lsm/segment.h"
#include "engine/redo/redo.h"
#include "node/node.h"

enum { PATH_SIZE = 512, OPTION_SIZE = 32 };

/* ---- words
 * --------------------------------------------------------------------------------------- */

/* "--name=VALUE" is "--name VALUE". */
static struct command_option *
find_option(struct command_option *options, int count, const char *word, const char **value)
{
    const char *equals = strchr(word, '=');
    size_t size = equals != NULL ? (size_t)(equals - word) : strlen(word);

    *value = equals != NULL ? equals + 1 : NULL;
    for (int o = 0; o < count; o++)
        if (strlen(options[o].name) == size && strncmp(options[o].name, word, size) == 0)
            return &options[o];
    return NULL;
}

int
command_parse(int argc, char **argv, struct command_option *options, int count, const char **words,
              int word_count)
{
    uint32_t flags = 0; /* bits: places in options */
    int words_seen = 0;

    CHECK(count <= 32);
    for (int i = 0; i < count; i++)
        flags |= options[i].value != NULL ? 1u << i : 0;
    for (int a = 0; a < argc; a++) {
        struct command_option *o;
        const char *value;

        if (argv[a][0] != '-' || argv[a][1] == '\0') {
            if (words_seen == word_count)
                return DIAG(ERR_USAGE, "\"%s\" is one word too many", argv[a]);
            words[words_seen++] = argv[a];
            continue;
        }
        o = find_option(options, count, argv[a], &value);
        if (o == NULL)
            return DIAG(ERR_USAGE, "there is no option %s", argv[a]);
        if ((flags >> (o - options) & 1) != 0) {
            if (value != NULL)
                return DIAG(ERR_USAGE, "%s takes no value", o->name);
            o->value = "yes";
            continue;
        }
        if (o->value != NULL)
            return DIAG(ERR_USAGE, "%s is given twice", o->name);
        if (value == NULL && a + 1 == argc)
            return DIAG(ERR_USAGE, "%s needs a value", o->name);
        o->value = value != NULL ? value : argv[++a];
    }
    if (words_seen < word_count)
        return DIAG(ERR_USAGE, "an argument is missing");
    return 0;
}

int
command_check_name(const char *name)
{
    if (name == NULL)
        return DIAG(ERR_USAGE, "--name is missing: what is this member to be called?");
    if (conf_is_name(name))
        return 0;
    return DIAG(
        ERR_USAGE,
        "--name wants a letter, then letters, digits, - or _, at most %d in all, not \"%s\"",
        CONF_NAME_MAX, name);
}

int
command_check_address(const struct command_option *o)
{
    if (o->value == NULL || conf_is_address(o->value))
        return 0;
    return DIAG(ERR_USAGE, "%s wants HOST:PORT, not \"%s\"", o->name, o->value);
}

int
command_check_addresses(const char *sql, const char *guard)
{
    if (strcmp(sql != NULL ? sql : NODE_SQL_DEFAULT, guard != NULL ? guard : NODE_GUARD_DEFAULT) !=
        0)
        return 0;
    return DIAG(ERR_USAGE, "--sql and --guard need different ports, not both %s",
                sql != NULL ? sql : guard);
}

struct looking {
    const char *const *allowed;
    char found[OPTION_SIZE];
};

static int
look_one(void *arg, const char *name)
{
    struct looking *l = arg;

    for (int i = 0; l->allowed != NULL && l->allowed[i] != NULL; i++)
        if (strcmp(l->allowed[i], name) == 0)
            return 0;
    snprintf(l->found, sizeof l->found, "%.*s", OPTION_SIZE - 1, name);
    return 0;
}

int
command_check_new(struct env *env, const char *dir, const char *const *allowed)
{
    struct looking l = { .allowed = allowed };
    char path[PATH_SIZE];
    int rc;

    snprintf(path, sizeof path, "%s/redoubt.yaml", dir);
    if (env_exists(env, path))
        return DIAG(ERR_FILE_EXISTS, "%s is a data directory already", dir);
    if (!env_is_dir(env, dir))
        return env_exists(env, dir) ? DIAG(ERR_FILE_EXISTS, "%s is not a folder", dir) : 0;
    rc = env_list_dir(env, dir, look_one, &l);
    if (rc == 0 && l.found[0] != '\0') {
        rc = DIAG(ERR_FILE_EXISTS, "%s is not empty: it holds \"%s\"", dir, l.found);
        diag_hint("Name a new folder, or empty this one if it is what an attempt left that was cut "
                  "off.");
    }
    return rc;
}

/* ---- init
 * ---------------------------------------------------------------------------------------- */

int
command_init(struct env *env, int argc, char **argv)
{
    struct command_option o[] = { { "--name", NULL }, { "--sql", NULL }, { "--guard", NULL } };
    const char *dir;
    int rc = command_parse(argc, argv, o, 3, &dir, 1);

    if (rc == 0)
        rc = command_check_name(o[0].value);
    for (int i = 1; i < 3 && rc == 0; i++)
        rc = command_check_address(&o[i]);
    if (rc == 0)
        rc = command_check_addresses(o[1].value, o[2].value);
    if (rc == 0)
        rc = command_check_new(env, dir, NULL);
    if (rc == 0)
        rc = node_init(env, dir, o[0].value, o[1].value, o[2].value);
    if (rc == 0)
        printf("Made %s. Start it with: redoubt start %s\n", dir, dir);
    return rc;
}

/* ---- dump
 * ---------------------------------------------------------------------------------------- */

static void
print_line(void *arg, const char *line)
{
    (void)arg;
    puts(line);
}

/* A backup's description is words already; a damaged one is not shown as if it were whole. */
static int
command_dump_text(struct env *env, const char *path)
{
    char dir[PATH_SIZE];
    struct backup b;
    struct writer w;
    int rc;

    snprintf(dir, sizeof dir, "%.*s", (int)(strlen(path) - strlen(BACKUP_NAME)), path);
    rc = backup_read(env, dir[0] != '\0' ? dir : ".", &b);
    wr_init(&w, 0);
    if (rc == 0) {
        backup_encode(&w, &b);
        fwrite(w.data, 1, w.size, stdout);
    }
    wr_fini(&w);
    backup_fini(&b);
    return rc;
}

int
command_dump(struct env *env, int argc, char **argv)
{
    const char *path, *name;
    int rc = command_parse(argc, argv, NULL, 0, &path, 1);

    if (rc != 0)
        return rc;
    name = strrchr(path, '/');
    name = name != NULL ? name + 1 : path;
    if (strcmp(name, "backup") == 0)
        return command_dump_text(env, path);
    if (strncmp(name, "manifest", 8) == 0)
        return manifest_dump(env, path, print_line, NULL);
    if (strstr(name, ".seg") != NULL)
        return segment_dump(env, path, true, print_line, NULL);
    if (strncmp(name, "redo-", 5) == 0)
        return redo_dump_file(env, path, true, print_line, NULL);
    if (strncmp(name, "spare-", 6) == 0 && env_exists(env, path)) {
        printf("%s waits to become a redo file: there is nothing in it\n", path);
        return 0;
    }
    if (env_exists(env, path))
        return DIAG(ERR_USAGE, "%s is neither called redo-…, nor ….seg, manifest or backup", path);
    return DIAG(ERR_NO_FILE, "there is no file %s", path);
}
