/* redoubt backup and redoubt restore.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "backup/backup.h"
#include "conf/conf.h"
#include "engine/base/env.h"
#include "engine/base/mem.h"
#include "engine/lsm/manifest.h"
#include "node/command_copy.h"
#include "node/node.h"
#include "node/role.h"
#include "standby/apply.h"

enum { PATH_SIZE = 512, VALUE_SIZE = 64 };

/* ---- backup -------------------------------------------------------------------------------------
 */

static int
ask_history(const struct call *c, struct backup *b)
{
    static const char *const words[] = { "report" };
    char value[VALUE_SIZE];
    struct writer text;
    int rc;

    wr_init(&text, 0);
    rc = call_run(c, c->at, words, 1, &text);
    if (rc == 0) {
        call_value((char *)text.data, "database_id", value, sizeof value);
        b->database_id = strtoull(value, NULL, 16);
        call_value((char *)text.data, "horizon_scn", value, sizeof value);
        b->horizon = strtoull(value, NULL, 10);
        call_value((char *)text.data, "horizon_time_us", value, sizeof value);
        b->horizon_time_us = strtoull(value, NULL, 10);
    }
    wr_fini(&text);
    return rc;
}

/* History goes on being dropped while a copy is taken: what the copy says counts. */
static int
read_horizon(struct env *env, const char *dir, struct backup *b)
{
    struct manifest *m;
    struct writer w;
    int rc = manifest_open(env, dir, &m);

    if (rc != 0)
        return rc;
    wr_init(&w, 0);
    if (manifest_get(m, MANIFEST_HORIZON, slice(NULL, 0), &w) == 0 && w.size == 8 &&
        load_u64(w.data) > b->horizon)
        b->horizon = load_u64(w.data);
    wr_fini(&w);
    manifest_close(m);
    return 0;
}

int
command_backup(struct env *env, int argc, char **argv)
{
    static const char *const left[] = { "redo", "segments", NULL }; /* by an attempt */
    struct command_option o[] = { { "--to", NULL }, { "--at", NULL }, { "--key", NULL } };
    char path[PATH_SIZE];
    struct backup b;
    struct call c;
    scn_t horizon;
    int rc = command_parse(argc, argv, o, 3, NULL, 0);

    if (rc == 0 && o[0].value == NULL)
        rc = DIAG(ERR_USAGE, "--to is missing: into which folder?");
    if (rc == 0)
        rc = call_open(env, o[1].value, o[2].value, &c);
    if (rc != 0)
        return rc;
    backup_init(&b);
    b.taken_us = env_wall_us(env);
    snprintf(path, sizeof path, "%s/" BACKUP_NAME, o[0].value);
    if (env_exists(env, path))
        rc = DIAG(ERR_FILE_EXISTS, "%s holds a backup already", o[0].value);
    if (rc == 0)
        rc = command_check_new(env, o[0].value, left);
    if (rc == 0)
        rc = ask_history(&c, &b);
    if (rc == 0)
        rc = copy_database(&c, c.at, "backup", o[0].value, b.database_id, &b);
    horizon = b.horizon;
    if (rc == 0)
        rc = read_horizon(env, o[0].value, &b);
    if (rc == 0 && b.horizon > horizon) /* it moved meanwhile: its time now is no earlier */
        rc = ask_history(&c, &b);
    if (rc == 0)
        rc = backup_finish(env, o[0].value, &b);
    if (rc == 0)
        printf("Backup in %s: %.1f MiB, SCN %" PRIu64 " to %" PRIu64 " without more redo.\n",
               o[0].value, (double)backup_bytes(&b) / (1 << 20), b.horizon, b.end.scn);
    backup_fini(&b);
    return rc;
}

/* ---- restore ------------------------------------------------------------------------------------
 */

struct restoring {
    struct env *env;
    const char *folder, *dir, *name, *sql, *guard, *redo, *at;
    struct call call; /* with `at` */
    struct backup backup;
    struct lineage lineage;
    incarnation_t inc;
    struct restore_target target;
    struct restore_reach reach;
};

/* "Z", "+HH", "+HHMM" or "+HH:MM": seconds east of Greenwich. */
static bool
parse_zone(const char *text, long *east)
{
    int hours, minutes = 0, used = 0;

    while (*text == ' ')
        text++;
    *east = 0;
    if (strcasecmp(text, "z") == 0 || strcasecmp(text, "utc") == 0)
        return true;
    if (*text != '+' && *text != '-')
        return false;
    if (sscanf(text + 1, "%2d:%2d%n", &hours, &minutes, &used) != 2 &&
        sscanf(text + 1, "%2d%2d%n", &hours, &minutes, &used) != 2) {
        minutes = 0;
        if (sscanf(text + 1, "%2d%n", &hours, &used) != 1)
            return false;
    }
    *east = (*text == '-' ? -60L : 60L) * (hours * 60L + minutes);
    return text[1 + used] == '\0' && hours >= 0 && hours <= 15 && minutes >= 0 && minutes < 60;
}

/* "2026-11-23 03:00:00[.123456][zone]", in local time without a zone, or seconds since 1970. */
static int
parse_time(const char *text, uint64_t *us)
{
    struct tm tm = { .tm_isdst = -1 };
    const char *rest = strptime(text, "%Y-%m-%d %H:%M:%S", &tm), *day;
    char *end;
    double seconds = 0;
    long east;
    time_t t;
    int rc =
        DIAG(ERR_USAGE, "--time wants 'YYYY-MM-DD HH:MM:SS', perhaps with a zone, not '%s'", text);

    if (rest == NULL)
        rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
    day = strptime(text, "%Y-%m-%d", &tm);
    if (rest == NULL && day != NULL && *day == '\0') { /* its first moment */
        tm.tm_hour = tm.tm_min = tm.tm_sec = 0;
        rest = day;
    }
    if (rest == NULL) {
        seconds = strtod(text, &end);
        if (end == text || *end != '\0' || !(seconds >= 0 && seconds <= 1e11))
            return rc;
        *us = (uint64_t)(seconds * 1e6);
        diag_clear();
        return 0;
    }
    end = (char *)(uintptr_t)rest;
    if (*rest == '.')
        seconds = strtod(rest, &end);
    if (*end == '\0')
        t = mktime(&tm);
    else if (parse_zone(end, &east))
        t = timegm(&tm) - east;
    else
        return rc;
    if (t < 0 || seconds < 0 || seconds >= 1)
        return rc;
    *us = (uint64_t)t * 1000000 + (uint64_t)(seconds * 1e6 + 0.5);
    diag_clear();
    return 0;
}

static int
take_lineage(struct restoring *r, const char *text)
{
    const char *hex = strchr(text, '\n');
    struct writer bytes;
    struct reader reader;
    unsigned byte;
    int rc;

    r->inc = (incarnation_t)strtoul(text, NULL, 10);
    wr_init(&bytes, 0);
    for (hex = hex != NULL ? hex + 1 : ""; sscanf(hex, "%2x", &byte) == 1; hex += 2)
        wr_u8(&bytes, (uint8_t)byte);
    rd_init(&reader, bytes.data, bytes.size);
    rc = lineage_decode(&reader, &r->lineage);
    wr_fini(&bytes);
    return rc;
}

/* What the live member adds: its lineage, and how far it reaches. */
static int
ask_member(struct restoring *r)
{
    static const char *const lineage[] = { "lineage" }, *const report[] = { "report" };
    char value[VALUE_SIZE];
    struct writer text;
    int rc;

    wr_init(&text, 0);
    rc = call_run(&r->call, r->call.at, lineage, 1, &text);
    if (rc == 0)
        rc = take_lineage(r, (char *)text.data);
    wr_reset(&text);
    if (rc == 0)
        rc = call_run(&r->call, r->call.at, report, 1, &text);
    if (rc == 0) {
        call_value((char *)text.data, "database_id", value, sizeof value);
        if (strtoull(value, NULL, 16) != r->backup.database_id)
            rc = DIAG(ERR_ROLE, "the member at %s is of another database than the backup",
                      r->call.at);
        call_value((char *)text.data, "visible_scn", value, sizeof value);
        r->reach.scn = strtoull(value, NULL, 10);
        call_value((char *)text.data, "time_us", value, sizeof value);
        r->reach.time_us = strtoull(value, NULL, 10);
    }
    wr_fini(&text);
    return rc;
}

static void
show_restore(void *arg, uint64_t bytes, uint64_t total)
{
    (void)arg;
    copy_show("restoring", bytes, total);
}

static void
show_verify(void *arg, uint64_t bytes, uint64_t total)
{
    (void)arg;
    copy_show("checking the backup", bytes, total);
}

static int
apply_rest(struct engine *e, incarnation_t inc, struct lsn end)
{
    struct apply *a = apply_start(e, inc, &(struct apply_options){ 0 });
    int rc = apply_drain(a, end);

    apply_stop(a);
    return rc;
}

static struct restore_options
options_of(const struct restoring *r)
{
    return (struct restore_options){ .env = r->env,
                                     .from = r->folder,
                                     .to = r->dir,
                                     .backup = &r->backup,
                                     .lineage = &r->lineage,
                                     .inc = r->inc,
                                     .target = r->target,
                                     .database_id = env_random_u64(r->env) | 1,
                                     .apply = apply_rest,
                                     .progress = show_restore };
}

/* The redo between the backup's end and the target, while nothing has been written yet. */
static int
ask_redo(struct restoring *r)
{
    int rc;

    if (restore_is_within(&r->backup, &r->target))
        return 0;
    rc = copy_has_redo(&r->call, r->call.at, r->backup.database_id, r->inc, &r->backup.end);
    if (rc != 0)
        diag_hint(
            "A member keeps redo for its own needs. Keep an archive (archive.dir), give it with "
            "--redo, or take a newer backup.");
    return rc;
}

/* All that can be refused is refused here, before anything is written. */
static int
plan(struct restoring *r)
{
    struct restore_options o;
    int rc;

    if (env_is_dir(r->env, r->dir) || env_exists(r->env, r->dir))
        return DIAG(ERR_FILE_EXISTS, "%s is there already: restore makes a new folder", r->dir);
    rc = backup_read(r->env, r->folder, &r->backup);
    if (rc != 0)
        return rc;
    lineage_copy(&r->lineage, &r->backup.lineage);
    r->inc = r->backup.inc;
    r->reach = (struct restore_reach){ r->backup.end.scn, r->backup.end.time_us };
    if (r->at != NULL)
        rc = ask_member(r);
    o = options_of(r);
    if (rc == 0 && r->redo != NULL)
        rc = restore_look(&o, r->redo, &r->reach);
    if (r->at != NULL && !r->target.has_scn && !r->target.has_time) /* as of now */
        r->target = (struct restore_target){ .has_scn = true, .scn = r->reach.scn };
    if (rc == 0 && r->at != NULL)
        rc = restore_choose(&r->backup, &r->target, &r->lineage, &r->inc, &r->reach);
    if (rc == 0)
        rc = restore_check(&r->backup, &r->target, &r->reach);
    if (rc == 0 && r->at != NULL)
        rc = ask_redo(r);
    if (rc == 0)
        rc = backup_verify(r->env, r->folder, &r->backup, show_verify, NULL);
    copy_shown();
    return rc;
}

/* The role's state of a configuration of one, which has reigned as `inc`. */
static int
write_role(struct restoring *r, uint64_t database_id, uint64_t reign_id, incarnation_t inc)
{
    char path[PATH_SIZE];
    struct role_durable d;
    struct manifest *m;
    struct conf *conf;
    struct writer w;
    int rc;

    snprintf(path, sizeof path, "%s/redoubt.yaml", r->dir);
    rc = conf_load(r->env, path, &conf);
    if (rc != 0)
        return rc;
    role_durable_first(&d, database_id, r->name, conf->guard_listen.items[0],
                       conf->sql_listen.items[0]);
    conf_free(conf);
    d.promised = d.follows = d.reg.key.inc = inc;
    d.reg.reign_id = reign_id;
    rc = manifest_open(r->env, r->dir, &m);
    if (rc != 0)
        return rc;
    wr_init(&w, 0);
    role_durable_encode(&w, &d);
    rc = manifest_put_blob(m, "role", d.sequence, wr_view(&w));
    wr_fini(&w);
    manifest_close(m);
    return rc;
}

static int
make(struct restoring *r)
{
    struct restore_options o = options_of(r);
    uint64_t reign_id = env_random_u64(r->env);
    struct restore *restore = NULL;
    struct ship_key key;
    incarnation_t inc = 0;
    scn_t scn = 0;
    int rc = restore_begin(&o, &restore);

    if (rc == 0 && r->redo != NULL)
        rc = restore_folder(restore, r->redo);
    if (rc == 0 && r->at != NULL)
        rc = copy_redo(&r->call, r->call.at, r->backup.database_id, r->inc, restore);
    if (rc == 0)
        rc = restore_finish(restore, reign_id, &inc, &scn);
    copy_shown();
    restore_free(restore);
    ship_key_generate(r->env, &key);
    if (rc == 0)
        rc = node_write_files(r->env, r->dir, r->name, r->sql, r->guard, &key);
    memset(&key, 0, sizeof key);
    if (rc == 0)
        rc = write_role(r, o.database_id, reign_id, inc);
    if (rc == 0)
        printf("Restored SCN %" PRIu64 " of database %016" PRIx64
               " into %s, as database %016" PRIx64 ". Start it with: redoubt start %s\n",
               scn, r->backup.database_id, r->dir, o.database_id, r->dir);
    return rc;
}

static int
check_words(struct restoring *r, const struct command_option *o)
{
    int rc = 0;

    if (r->dir == NULL)
        return DIAG(ERR_USAGE, "--to is missing: which folder is to be made?");
    rc = command_check_name(r->name);
    if (rc != 0)
        return rc;
    if (o[4].value != NULL && o[5].value != NULL)
        return DIAG(ERR_USAGE, "give --scn or --time, not both");
    if (r->redo != NULL && r->at != NULL)
        return DIAG(ERR_USAGE, "give --redo or --at, not both");
    for (int i = 2; i < 4 && rc == 0; i++)
        rc = command_check_address(&o[i]);
    if (rc == 0)
        rc = command_check_addresses(r->sql, r->guard);
    if (rc != 0)
        return rc;
    if (o[4].value != NULL) {
        char *end;

        r->target.has_scn = true;
        r->target.scn = strtoull(o[4].value, &end, 10);
        if (*end != '\0' || !isdigit((unsigned char)*o[4].value))
            rc = DIAG(ERR_USAGE, "--scn wants a number, not \"%s\"", o[4].value);
    }
    if (o[5].value != NULL) {
        r->target.has_time = true;
        rc = parse_time(o[5].value, &r->target.time_us);
    }
    return rc;
}

int
command_restore(struct env *env, int argc, char **argv)
{
    struct command_option o[] = {
        { "--to", NULL },    { "--name", NULL }, { "--sql", NULL },
        { "--guard", NULL }, { "--scn", NULL },  { "--time", NULL },
        { "--redo", NULL },  { "--at", NULL },   { "--key", NULL },
    };
    struct restoring *r = xcalloc(1, sizeof *r);
    int rc = command_parse(argc, argv, o, 9, &r->folder, 1);

    r->env = env;
    r->dir = o[0].value;
    r->name = o[1].value;
    r->sql = o[2].value;
    r->guard = o[3].value;
    r->redo = o[6].value;
    r->at = o[7].value;
    lineage_init(&r->lineage);
    backup_init(&r->backup);
    if (rc == 0)
        rc = check_words(r, o);
    if (rc == 0 && r->at != NULL)
        rc = call_open(env, r->at, o[8].value, &r->call);
    if (rc == 0)
        rc = plan(r);
    if (rc == 0)
        rc = make(r);
    lineage_fini(&r->lineage);
    backup_fini(&r->backup);
    xfree(r);
    return rc;
}
