/* redoubt join: a member is admitted, the database is copied to it over the guard port, and it
 * begins with the register that admitted it.
 *
 * The role's state and the configuration file are written last: a folder without them is not a node
 * yet, and join may be run again on it.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/conf.h"
#include "engine/base/env.h"
#include "engine/base/mem.h"
#include "engine/lsm/manifest.h"
#include "node/command_copy.h"
#include "node/node.h"
#include "node/role.h"

enum { PATH_SIZE = 512, TRIES_MAX = 30, TRY_EVERY_US = 1000000 };
static const uint64_t LONG_TRY_NS = 5000000000;

struct joining {
    struct env *env;
    const char *dir, *name;
    struct call call;
    char sql[CALL_ADDR_MAX], guard[CALL_ADDR_MAX], primary[CALL_ADDR_MAX];
    struct role_durable first;
};

/* ---- admission ----------------------------------------------------------------------------------
 */

static int
decode_admission(struct joining *j, const char *text)
{
    const char *hex = strchr(text, '\n');
    uint8_t bytes[REGISTER_BYTES_MAX];
    struct role_register reg;
    size_t size = 0;
    unsigned byte;
    int rc;

    for (hex = hex != NULL ? hex + 1 : ""; size < sizeof bytes && sscanf(hex, "%2x", &byte) == 1;
         hex += 2)
        bytes[size++] = (uint8_t)byte;
    rc = register_decode(slice(bytes, size), &reg);
    if (rc != 0)
        return rc;
    role_durable_joining(&j->first, reg.database_id);
    j->first.reg = reg;
    j->first.promised = reg.key.inc;
    j->first.promised_to = reg.primary;
    return 0;
}

static int
admit(struct joining *j)
{
    const char *words[] = { "add", j->name, j->guard, j->sql };
    struct writer text;
    int rc = call_find(&j->call, NULL, j->primary);

    wr_init(&text, 0);
    if (rc == 0)
        rc = call_run(&j->call, j->primary, words, 4, &text);
    if (rc == 0)
        rc = decode_admission(j, (const char *)text.data);
    wr_fini(&text);
    return rc;
}

/* ---- the copy
 * ------------------------------------------------------------------------------------
 */

/* The connection was cut, or the primary restarted, or another member is the primary now. */
static bool
may_go_on(int code)
{
    return code == ERR_STOPPED || code == ERR_CONNECT || code == ERR_TIMEOUT || code == ERR_AGAIN ||
           code == ERR_ROLE || code == ERR_DIVERGED || code == ERR_NO_FILE || code == ERR_NOT_FOUND;
}

/* What has come stays, so that each try takes up where the one before was cut off (COPY-4). */
static int
copy(struct joining *j)
{
    for (int tries = 1;; tries++) {
        uint64_t began = env_boot_ns(j->env);
        int rc =
            copy_database(&j->call, j->primary, j->name, j->dir, j->first.reg.database_id, NULL);

        if (env_boot_ns(j->env) - began > LONG_TRY_NS)
            tries = 1;
        if (rc == 0 || !may_go_on(rc) || tries >= TRIES_MAX)
            return rc;
        fprintf(stderr, "redoubt join: %s; trying to go on\n", diag_last()->message);
        env_sleep_us(j->env, TRY_EVERY_US);
        if (call_find(&j->call, NULL, j->primary) != 0)
            diag_clear(); /* the one from before */
    }
}

/* ---- the rest of the folder ---------------------------------------------------------------------
 */

static int
write_role(struct joining *j)
{
    struct manifest *m;
    struct writer w;
    int rc = manifest_open(j->env, j->dir, &m);

    if (rc != 0)
        return rc;
    wr_init(&w, 0);
    role_durable_encode(&w, &j->first);
    rc = manifest_put_blob(m, "role", j->first.sequence, wr_view(&w));
    wr_fini(&w);
    manifest_close(m);
    return rc;
}

static int
check_folder(struct joining *j)
{
    static const char *const left[] = {
        "cluster.key", "redo", "segments", "lock", "manifest", NULL
    };
    char path[PATH_SIZE];
    int rc = command_check_new(j->env, j->dir, left);

    snprintf(path, sizeof path, "%s/manifest", j->dir);
    if (rc == 0 && env_exists(j->env, path)) /* whole, but no member yet: its segments are used */
        rc = env_unlink(j->env, path);
    return rc == 0 ? env_make_dir(j->env, j->dir) : rc;
}

static int
join(struct joining *j)
{
    int rc = check_folder(j);

    if (rc == 0)
        rc = admit(j);
    if (rc == 0)
        rc = copy(j);
    if (rc == 0)
        rc = write_role(j);
    if (rc == 0)
        rc = node_write_files(j->env, j->dir, j->name, j->sql, j->guard, &j->call.key);
    if (rc == 0)
        printf("Made %s, a standby of %s. Start it with: redoubt start %s\n", j->dir, j->primary,
               j->dir);
    return rc;
}

/* The key of the DIR that is named, when no other is and somebody has put it there. */
static const char *
key_of(struct env *env, const char *dir, const char *given)
{
    char path[PATH_SIZE];

    snprintf(path, sizeof path, "%s/cluster.key", dir);
    return given == NULL && getenv("REDOUBT_KEY") == NULL && env_exists(env, path) ? dir : given;
}

int
command_join(struct env *env, int argc, char **argv)
{
    struct command_option o[] = { { "--name", NULL },
                                  { "--from", NULL },
                                  { "--sql", NULL },
                                  { "--guard", NULL },
                                  { "--key", NULL } };
    struct joining *j = xcalloc(1, sizeof *j);
    int rc;

    j->env = env;
    rc = command_parse(argc, argv, o, 5, &j->dir, 1);
    if (rc == 0)
        rc = command_check_name(o[0].value);
    if (rc == 0 && o[1].value == NULL)
        rc = DIAG(ERR_USAGE, "--from is missing: which member is to be asked?");
    for (int i = 1; i < 4 && rc == 0; i++)
        rc = command_check_address(&o[i]);
    if (rc == 0)
        rc = call_open(env, o[1].value, key_of(env, j->dir, o[4].value), &j->call);
    if (rc == 0) {
        j->name = o[0].value;
        snprintf(j->sql, sizeof j->sql, "%s", o[2].value != NULL ? o[2].value : NODE_SQL_DEFAULT);
        snprintf(j->guard, sizeof j->guard, "%s",
                 o[3].value != NULL ? o[3].value : NODE_GUARD_DEFAULT);
        rc = command_check_addresses(o[2].value, o[3].value);
    }
    if (rc == 0) {
        rc = join(j);
    }
    xfree(j);
    return rc;
}
