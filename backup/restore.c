/* Making a database out of a backup and the redo since: see backup.h.
 *
 * The redo is read out of copies of its files, and written anew, frame by frame, as redo of the new
 * database: frames carry no database id, files do. Then the manifest is made, the engine replays,
 * and an incarnation is begun at the target, which leaves what lies beyond as an orphan branch.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "backup/backup_int.h"
#include "engine/base/env.h"
#include "engine/base/mem.h"
#include "engine/engine.h"
#include "engine/lsm/manifest.h"
#include "engine/txn/follow.h"

#define WORK_NAME "restore-redo"

struct restore {
    struct restore_options o;
    struct redo *redo;
    struct redo_pos at;
    uint64_t done, total;
};

/* ---- the target ---------------------------------------------------------------------------------
 */

/* "2026-11-30 00:12:33Z" */
static const char *
time_words(uint64_t us, char out[32])
{
    time_t t = (time_t)(us / 1000000);
    struct tm tm;

    if (gmtime_r(&t, &tm) == NULL || strftime(out, 32, "%Y-%m-%d %H:%M:%SZ", &tm) == 0)
        snprintf(out, 32, "%" PRIu64 " us", us);
    return out;
}

int
restore_check(const struct backup *b, const struct restore_target *t,
              const struct restore_reach *reach)
{
    char first[32], last[32];
    int rc = 0;

    if (t->has_scn && (t->scn < b->horizon || t->scn > reach->scn))
        rc = DIAG(ERR_TARGET_UNREACHABLE, "SCN %" PRIu64 " cannot be restored", t->scn);
    else if (t->has_time && (t->time_us < b->horizon_time_us || t->time_us > reach->time_us))
        rc = DIAG(ERR_TARGET_UNREACHABLE, "that time cannot be restored");
    if (rc == 0)
        return 0;
    diag_detail("The backup and the redo given reach from SCN %" PRIu64 " to SCN %" PRIu64
                ", %s to %s.",
                b->horizon, reach->scn, time_words(b->horizon_time_us, first),
                time_words(reach->time_us, last));
    if (t->has_scn ? t->scn < b->horizon : t->time_us < b->horizon_time_us)
        diag_hint("Earlier moments need an older backup.");
    else
        diag_hint("Later moments need the redo since: --redo FOLDER, or --at a live member that is "
                  "there already.");
    return rc;
}

static bool
is_past(const struct restore_target *t, const struct redo_pos *at)
{
    if (t->has_scn)
        return at->scn >= t->scn;
    return t->has_time && at->time_us > t->time_us;
}

bool
restore_is_there(const struct restore *r)
{
    return is_past(&r->o.target, &r->at);
}

bool
restore_is_within(const struct backup *b, const struct restore_target *t)
{
    return is_past(t, &b->end);
}

struct redo_pos
restore_at(const struct restore *r)
{
    return r->at;
}

int
restore_choose(const struct backup *b, const struct restore_target *t, struct lineage *l,
               incarnation_t *inc, struct restore_reach *reach)
{
    struct lsn end;
    scn_t shared;
    int rc = lineage_merge(l, &b->lineage);

    if (rc != 0 || (lineage_redo_end(l, *inc, b->end.inc, &end) && lsn_le(b->end.lsn, end)))
        return rc;
    shared = lineage_part(l, b->inc, *inc);
    if (t->has_scn && t->scn <= shared && restore_is_within(b, t)) {
        *inc = b->inc;
        *reach = (struct restore_reach){ b->end.scn, b->end.time_us };
        lineage_copy(l, &b->lineage);
        return 0;
    }
    rc =
        DIAG(ERR_TARGET_UNREACHABLE,
             "the backup ends at SCN %" PRIu64 " of incarnation %u, which is not in the history of "
             "the member's incarnation %u",
             b->end.scn, b->end.inc, *inc);
    diag_detail("They are the same up to SCN %" PRIu64 ".", shared);
    diag_hint("Without --at the backup restores what it holds itself. For later moments take redo "
              "from a member of the same branch, or a newer backup.");
    return rc;
}

/* ---- redo out of folders ------------------------------------------------------------------------
 */

struct folder_copy {
    struct env *env;
    const char *from;
    char to[BACKUP_FULL_MAX];
    bool found;
};

static int
copy_redo_file(void *arg, const char *name)
{
    struct folder_copy *c = arg;
    char from[BACKUP_FULL_MAX], to[BACKUP_FULL_MAX + BACKUP_PATH_MAX];

    if (strncmp(name, "redo-", 5) != 0) /* a live member's spares come and go */
        return 0;
    snprintf(from, sizeof from, "%s/%s", c->from, name);
    snprintf(to, sizeof to, "%s/%s", c->to, name);
    c->found = true;
    return backup_copy_file(c->env, from, to);
}

static int
remove_one(void *arg, const char *name)
{
    struct folder_copy *c = arg;
    char path[BACKUP_FULL_MAX + BACKUP_PATH_MAX];

    snprintf(path, sizeof path, "%s/%s", c->to, name);
    return env_unlink(c->env, path);
}

static int
remove_folder(struct folder_copy *c)
{
    int rc;

    if (!env_is_dir(c->env, c->to))
        return 0;
    rc = env_list_dir(c->env, c->to, remove_one, c);
    return rc == 0 ? env_rmdir(c->env, c->to) : rc;
}

/* Opens a copy of the folder as redo of the parent database. */
static int
open_copy(const struct restore_options *o, struct folder_copy *c, struct redo **out)
{
    struct redo_options ro = {
        .env = o->env, .dir = c->to, .database_id = o->backup->database_id, .lineage = o->lineage
    };
    int rc = env_is_dir(o->env, c->from) ? 0 : DIAG(ERR_NO_FILE, "%s is not a folder", c->from);

    if (rc == 0)
        rc = remove_folder(c);
    if (rc == 0)
        rc = env_mkdir(o->env, c->to);
    if (rc == 0)
        rc = env_list_dir(o->env, c->from, copy_redo_file, c);
    if (rc == 0 && !c->found) {
        rc = DIAG(ERR_NO_FILE, "%s holds no redo files", c->from);
        diag_hint("A member's redo is in its folder redo, or in its archive.");
    }
    return rc == 0 ? redo_open(&ro, out) : rc;
}

/* Every frame of the copy from `from` on. fn returns ERR_END when it has enough. */
static int
each_frame(struct redo *redo, incarnation_t inc, struct lsn from,
           int (*fn)(void *arg, struct redo_frame *f), void *arg)
{
    struct redo_cursor *cursor = NULL;
    int rc = redo_cursor_open(redo, inc, from, &cursor);

    while (rc == 0) {
        struct redo_frame *f;

        rc = redo_cursor_next_frame(cursor, &f);
        if (rc == 0)
            rc = fn(arg, f);
    }
    redo_cursor_close(cursor);
    return rc == ERR_END ? 0 : rc;
}

static int
look_at(void *arg, struct redo_frame *f)
{
    struct restore_reach *reach = arg;

    if (f->head.last_scn > reach->scn)
        reach->scn = f->head.last_scn;
    if (f->head.last_time_us > reach->time_us)
        reach->time_us = f->head.last_time_us;
    return 0;
}

int
restore_look(const struct restore_options *o, const char *folder, struct restore_reach *reach)
{
    struct folder_copy c = { .env = o->env, .from = folder };
    struct redo *redo = NULL;
    int rc;

    snprintf(c.to, sizeof c.to, "%s.%s", o->to, WORK_NAME);
    rc = open_copy(o, &c, &redo);
    if (rc == 0)
        rc = each_frame(redo, o->inc, o->backup->end.lsn, look_at, reach);
    redo_close(redo);
    if (rc == 0)
        return remove_folder(&c);
    if (strstr(diag_last()->message, c.to) != NULL)
        diag_detail("%s was a copy of %s, made to read it.", c.to, folder);
    struct diag why = *diag_last();
    if (remove_folder(&c) != 0)
        diag_clear();
    diag_restore(&why);
    return rc;
}

static int
take_frame(void *arg, struct redo_frame *f)
{
    struct restore *r = arg;
    int rc = restore_frame(r, f);

    return rc == 0 && restore_is_there(r) ? ERR_END : rc;
}

/* The folder's redo on the way to `inc`. */
static int
take_folder(struct restore *r, const char *folder, incarnation_t inc)
{
    struct folder_copy c = { .env = r->o.env, .from = folder };
    struct redo *redo = NULL;
    int rc;

    if (restore_is_there(r))
        return 0;
    snprintf(c.to, sizeof c.to, "%s/%s", r->o.to, WORK_NAME);
    rc = open_copy(&r->o, &c, &redo);
    if (rc == 0)
        rc = each_frame(redo, inc, r->at.lsn, take_frame, r);
    redo_close(redo);
    return rc == 0 ? remove_folder(&c) : rc;
}

int
restore_folder(struct restore *r, const char *folder)
{
    return take_folder(r, folder, r->o.inc);
}

int
restore_frame(struct restore *r, struct redo_frame *f)
{
    const struct redo_frame_head *h = &f->head;
    int rc;

    if (lsn_lt(h->lsn, r->at.lsn))
        return 0;
    rc = redo_check_room(r->redo);
    if (rc == 0)
        rc = redo_append_frame(r->redo, f, r->o.inc);
    if (rc == 0)
        r->at =
            (struct redo_pos){ h->inc, redo_frame_end(h), h->last_scn, h->last_time_us, h->chain };
    return rc == ERR_AGAIN ? 0 : rc;
}

/* ---- the new folder -----------------------------------------------------------------------------
 */

static int
make_dir(struct env *env, const char *dir, const char *sub)
{
    char path[BACKUP_FULL_MAX];

    snprintf(path, sizeof path, "%s%s%s", dir, sub != NULL ? "/" : "", sub != NULL ? sub : "");
    return env_make_dir(env, path);
}

static int
copy_segments(struct restore *r)
{
    const struct backup *b = r->o.backup;
    int rc = 0;

    for (uint32_t i = 0; rc == 0 && i < b->file_count; i++) {
        char from[BACKUP_FULL_MAX], to[BACKUP_FULL_MAX];

        if (strncmp(b->files[i].path, "segments/", 9) != 0)
            continue;
        snprintf(from, sizeof from, "%s/%s", r->o.from, b->files[i].path);
        snprintf(to, sizeof to, "%s/%s", r->o.to, b->files[i].path);
        rc = backup_copy_file(r->o.env, from, to);
        r->done += b->files[i].size;
        if (r->o.progress != NULL)
            r->o.progress(r->o.arg, r->done, r->total);
    }
    return rc;
}

static int
open_new_redo(struct restore *r)
{
    char dir[BACKUP_FULL_MAX];
    struct redo_options ro = {
        .env = r->o.env,
        .dir = dir,
        .database_id = r->o.database_id,
        .lineage = r->o.lineage,
        .file_bytes = REDO_COPY_FILE_BYTES,
    };
    int rc;

    snprintf(dir, sizeof dir, "%s/redo", r->o.to);
    rc = redo_open(&ro, &r->redo);
    if (rc == 0)
        rc = redo_start_following(r->redo, &r->o.backup->from);
    r->at = r->o.backup->from;
    return rc != 0 ? rc : redo_wait_room(r->redo);
}

int
restore_begin(const struct restore_options *o, struct restore **out)
{
    struct restore *r = xcalloc(1, sizeof *r);
    char redo[BACKUP_FULL_MAX];
    int rc;

    r->o = *o;
    r->total = backup_bytes(o->backup);
    *out = r;
    snprintf(redo, sizeof redo, "%s/redo", o->from);
    rc = make_dir(o->env, o->to, NULL);
    if (rc == 0)
        rc = make_dir(o->env, o->to, "segments");
    if (rc == 0)
        rc = copy_segments(r);
    if (rc == 0)
        rc = open_new_redo(r);
    /* All of the backup's redo: its segments may need it, wherever the target lies. It ends in the
     * backup's incarnation, whatever came later. */
    r->o.target = (struct restore_target){ 0 };
    if (rc == 0)
        rc = take_folder(r, redo, o->backup->inc);
    r->o.target = o->target;
    return rc;
}

/* BACKUP-4 */
static void
put_identity(struct restore *r, struct manifest_edit *e)
{
    uint8_t id[8];

    store_u64(id, r->o.database_id);
    manifest_put(e, MANIFEST_DATABASE, slice(NULL, 0), slice(id, sizeof id));
}

/* Known once the target's SCN is. The backup may be of a database that was restored itself: it has
 * a parent then, which is not ours. */
static int
put_parent(struct restore *r, scn_t scn)
{
    uint64_t sequence = 0;
    struct manifest *m;
    struct writer w;
    int rc = manifest_open(r->o.env, r->o.to, &m);

    if (rc != 0)
        return rc;
    wr_init(&w, 0);
    if (manifest_get_blob(m, "parent", &sequence, &w) == 0)
        wr_reset(&w);
    wr_u64(&w, r->o.backup->database_id);
    wr_u32(&w, lineage_owner(r->o.lineage, r->at.inc, scn));
    wr_u64(&w, scn);
    rc = manifest_put_blob(m, "parent", sequence + 1, wr_view(&w));
    wr_fini(&w);
    manifest_close(m);
    return rc;
}

static void
put_lineage(struct restore *r, struct manifest_edit *e)
{
    for (uint32_t i = 0; i < r->o.lineage->count; i++) {
        const struct lineage_entry *l = &r->o.lineage->entries[i];
        struct writer w;
        uint8_t key[4];

        wr_init(&w, 0);
        lineage_entry_encode(&w, l);
        store_u32_be(key, l->inc);
        manifest_put(e, MANIFEST_LINEAGE, slice(key, sizeof key), wr_view(&w));
        wr_fini(&w);
    }
}

static int
write_manifest(struct restore *r)
{
    struct manifest_edit e;
    struct manifest *m;
    char from[BACKUP_FULL_MAX], copy[BACKUP_FULL_MAX];
    int rc;

    /* The backup itself is never opened: a manifest may mend its end. */
    snprintf(from, sizeof from, "%s/manifest", r->o.from);
    snprintf(copy, sizeof copy, "%s/" WORK_NAME, r->o.to);
    rc = make_dir(r->o.env, copy, NULL);
    snprintf(copy, sizeof copy, "%s/" WORK_NAME "/manifest", r->o.to);
    if (rc == 0)
        rc = backup_copy_file(r->o.env, from, copy);
    snprintf(copy, sizeof copy, "%s/" WORK_NAME, r->o.to);
    if (rc == 0)
        rc = manifest_open(r->o.env, copy, &m);
    if (rc != 0)
        return rc;
    manifest_edit_init(&e);
    manifest_snapshot(m, &e);
    manifest_close(m);
    put_identity(r, &e);
    put_lineage(r, &e);
    rc = env_sync_dir(r->o.env, r->o.to);
    if (rc == 0)
        rc = manifest_create(r->o.env, r->o.to, &e);
    manifest_edit_fini(&e);
    if (rc == 0) {
        struct folder_copy c = { .env = r->o.env };

        snprintf(c.to, sizeof c.to, "%s", copy);
        rc = remove_folder(&c);
    }
    return rc;
}

static int
target_scn(struct engine *e, const struct restore_target *t, scn_t *scn)
{
    struct redo_pos end;
    int rc = engine_end_of_log(e, &end);

    if (rc != 0)
        return rc;
    engine_publish(e, end.lsn); /* nobody else has a say */
    *scn = engine_newest_scn(e);
    if (t->has_time)
        return engine_scn_at_time(e, t->time_us, scn);
    if (t->has_scn && t->scn > *scn)
        return DIAG(ERR_TARGET_UNREACHABLE,
                    "SCN %" PRIu64 " cannot be restored: the redo that came ends at SCN %" PRIu64,
                    t->scn, *scn);
    if (t->has_scn)
        *scn = t->scn;
    return 0;
}

/* Recovery ends with the incarnation of the backup; what came later is applied as a standby does.
 */
static int
go_on(struct restore *r, struct engine *e)
{
    int rc = engine_follow_start(e, r->at.inc);

    if (rc == 0)
        rc = r->o.apply(e, r->at.inc, r->at.lsn);
    engine_follow_stop(e);
    return rc;
}

int
restore_finish(struct restore *r, uint64_t reign_id, incarnation_t *inc, scn_t *scn)
{
    struct engine_options eo = { .env = r->o.env, .dir = r->o.to };
    struct engine *e = NULL;
    int rc;

    redo_stop(r->redo);
    redo_close(r->redo);
    r->redo = NULL;
    rc = write_manifest(r);
    if (rc == 0)
        rc = engine_mount(&eo, &e);
    if (rc == 0 && lsn_lt(engine_applied(e), r->at.lsn))
        rc = go_on(r, e);
    if (rc == 0)
        rc = target_scn(e, &r->o.target, scn);
    if (rc == 0) {
        *inc = lineage_max(engine_lineage(e)) + 1;
        rc = engine_open_write_at(e, *inc, reign_id, *scn);
    }
    engine_close(e);
    return rc == 0 ? put_parent(r, *scn) : rc;
}

void
restore_free(struct restore *r)
{
    if (r == NULL)
        return;
    if (r->redo != NULL)
        redo_stop(r->redo);
    redo_close(r->redo);
    xfree(r);
}
