/* A member whose log cannot be gone on with takes a base copy over itself (BASE_COPY).
 *
 *   1  The copy is made in DIR/reseed/, from the primary's guard port; segments that this node
 * holds already are linked. The old database stays mounted meanwhile, for readers. 2  The node is
 * closed, with DIR/reseed/ready written once its role machine has ended: from here on the copy
 * counts. Whoever runs the node opens it again (node_wants_reopen). 3  Opening installs it: the
 * role's state is carried over, the old manifest goes, then the new files take the places of the
 * old ones, the manifest last.
 *
 * RESEED-1  Wherever it is cut off, the next opening has the old database whole, or goes on with 3:
 *           DIR/manifest is there, or DIR/reseed/ready and DIR/reseed/manifest are.
 * RESEED-2  Promises and the register survive: they are read when the old database has been closed.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "engine/lsm/manifest.h"
#include "logship/ship_base.h"
#include "node/node_int.h"

#define RESEED_DIR "reseed"
static const char *const moved[] = { "segments", "redo" };

static void
path_of(char out[NODE_PATH_MAX], const char *dir, const char *name)
{
    snprintf(out, NODE_PATH_MAX, "%.400s/%s", dir, name);
}

static int
unlink_if_there(struct env *env, const char *dir, const char *name)
{
    char path[NODE_PATH_MAX];

    path_of(path, dir, name);
    return env_exists(env, path) ? env_unlink(env, path) : 0;
}

/* ---- 1: the copy --------------------------------------------------------------------------------
 */

static void
copy_up(void *arg, struct link *l)
{
    (void)arg;
    (void)l;
}

static int
copy_message(void *arg, struct link *l, const struct ship_header *h, struct slice body)
{
    struct node *n = arg;

    if (n->reseed.copy == NULL || n->reseed.link != l)
        return 0;
    return ship_base_copy_message(n->reseed.copy, h, body);
}

static void
copy_down(void *arg, struct link *l, int code)
{
    struct node *n = arg;

    (void)code;
    if (n->reseed.link != l)
        return;
    n->reseed.link = NULL;
    if (n->reseed.copy != NULL)
        ship_base_copy_link_down(n->reseed.copy);
}

static void
copy_progress(void *arg, uint64_t bytes, uint64_t total)
{
    struct node *n = arg;

    n->reseed.bytes = bytes;
    n->reseed.total = total;
}

/* A copy that was finished, but not installed, was not wanted any more: its segments are used. */
static int
make_folder(void *arg)
{
    struct node *n = arg;
    char path[NODE_PATH_MAX];
    int rc;

    path_of(path, n->dir, RESEED_DIR);
    rc = env_is_dir(n->env, path) ? 0 : env_mkdir(n->env, path);
    if (rc == 0)
        rc = unlink_if_there(n->env, path, "ready");
    if (rc == 0)
        rc = unlink_if_there(n->env, path, "manifest");
    return rc;
}

static int
run_copy(struct node *n)
{
    char path[NODE_PATH_MAX];
    struct ship_base_options o = {
        .env = n->env,
        .dir = path,
        .reuse_dir = n->dir,
        .jobs = n->jobs,
        .link = n->reseed.link,
        .database_id = engine_database_id(n->engine),
        .progress = copy_progress,
        .arg = n,
    };
    int rc;

    path_of(path, n->dir, RESEED_DIR);
    n->reseed.copy = ship_base_copy_new(&o);
    if (n->task.cancel)
        ship_base_copy_link_down(n->reseed.copy);
    rc = ship_base_copy_run(n->reseed.copy);
    n->reseed.fetched = ship_base_copy_fetched(n->reseed.copy);
    ship_base_copy_free(n->reseed.copy);
    n->reseed.copy = NULL;
    return rc;
}

int
node_reseed_copy(struct node *n, member_id_t from)
{
    const struct register_member *m = register_member(&role_durable_state(n->role)->reg, from);
    struct link_handler handler = { copy_up, copy_message, copy_down, n };
    char address[REGISTER_ADDR_MAX];
    struct link *l;
    int rc;

    if (m == NULL)
        return DIAG(ERR_AGAIN, "member %u is not known here", from);
    snprintf(address, sizeof address, "%s", m->guard);
    log_notice(n->log, "takes a base copy from %s (%s) over itself", m->name, address);
    rc = job_run(n->jobs, make_folder, n);
    if (rc == 0)
        rc = link_connect(n->hub, address, SHIP_JOINING, &handler, &n->reseed.link);
    if (rc != 0)
        return rc;
    rc = run_copy(n);
    l = n->reseed.link;
    n->reseed.link = NULL;
    if (l != NULL)
        link_close(l, 0, "the copy has ended");
    if (rc == 0)
        log_notice(n->log, "the base copy is whole: %llu bytes of segments fetched of %llu",
                   (unsigned long long)n->reseed.fetched, (unsigned long long)n->reseed.total);
    return rc;
}

void
node_reseed_cancel(struct node *n)
{
    if (n->reseed.copy != NULL)
        ship_base_copy_link_down(n->reseed.copy);
}

/* ---- 2: from here on it counts ------------------------------------------------------------------
 */

int
node_reseed_mark(struct node *n)
{
    char dir[NODE_PATH_MAX], path[NODE_PATH_MAX];
    struct env_file *f;
    int rc;

    path_of(dir, n->dir, RESEED_DIR);
    path_of(path, n->dir, RESEED_DIR "/ready");
    rc = env_open(n->env, path, ENV_WRITE | ENV_CREATE, &f);
    if (rc != 0)
        return rc;
    rc = env_sync(f);
    env_close(f);
    return rc == 0 ? env_sync_dir(n->env, dir) : rc;
}

/* ---- 3: installing ------------------------------------------------------------------------------
 */

/* RESEED-2. What was published is in the copy, which says for itself what it follows. */
static int
carry_role(struct env *env, const char *dir, const char *from)
{
    struct manifest *m = NULL;
    struct role_durable d;
    uint64_t sequence;
    struct writer w;
    int rc;

    wr_init(&w, 0);
    rc = manifest_open(env, dir, &m);
    if (rc == 0)
        rc = manifest_get_blob(m, NODE_ROLE_BLOB, &sequence, &w);
    if (rc == 0)
        rc = role_durable_decode(wr_view(&w), &d);
    manifest_close(m);
    m = NULL;
    if (rc == 0)
        rc = manifest_open(env, from, &m);
    if (rc == 0) {
        d.sequence++;
        d.follows = 0;
        d.published = lsn_make(0);
        d.published_scn = 0;
        wr_reset(&w);
        role_durable_encode(&w, &d);
        rc = manifest_put_blob(m, NODE_ROLE_BLOB, d.sequence, wr_view(&w));
        if (rc == ERR_AGAIN) /* done before a crash */
            rc = 0;
        manifest_close(m);
    }
    wr_fini(&w);
    return rc;
}

struct emptying {
    struct env *env;
    const char *dir;
};

static int
empty_one(void *arg, const char *name)
{
    struct emptying *e = arg;

    return unlink_if_there(e->env, e->dir, name);
}

static int
remove_folder(struct env *env, const char *path)
{
    struct emptying e = { env, path };
    int rc;

    if (!env_is_dir(env, path))
        return 0;
    rc = env_list_dir(env, path, empty_one, &e);
    return rc == 0 ? env_rmdir(env, path) : rc;
}

/* Those that were moved before a crash are not in `from` any more. */
static int
move_folders(struct env *env, const char *dir, const char *from)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < sizeof moved / sizeof *moved; i++) {
        char old[NODE_PATH_MAX], new[NODE_PATH_MAX];

        path_of(old, dir, moved[i]);
        path_of(new, from, moved[i]);
        if (!env_is_dir(env, new))
            continue;
        rc = remove_folder(env, old);
        if (rc == 0)
            rc = env_rename(env, new, old);
        if (rc == 0)
            rc = env_sync_dir(env, dir);
    }
    return rc;
}

static int
install(struct env *env, const char *dir, const char *from)
{
    char old[NODE_PATH_MAX], new[NODE_PATH_MAX];
    int rc = 0;

    path_of(old, dir, "manifest");
    path_of(new, from, "manifest");
    if (env_exists(env, new)) {
        if (env_exists(env, old)) {
            rc = carry_role(env, dir, from);
            if (rc == 0)
                rc = env_unlink(env, old);
            if (rc == 0)
                rc = unlink_if_there(env, dir, "manifest.new");
            if (rc == 0)
                rc = env_sync_dir(env, dir);
        }
        if (rc == 0)
            rc = move_folders(env, dir, from);
        if (rc == 0)
            rc = env_rename(env, new, old);
        if (rc == 0)
            rc = env_sync_dir(env, dir);
    }
    return rc == 0 ? remove_folder(env, from) : rc;
}

int
node_reseed_install(struct env *env, const char *dir)
{
    char from[NODE_PATH_MAX], path[NODE_PATH_MAX];
    struct env_file *lock;
    int rc;

    path_of(from, dir, RESEED_DIR);
    path_of(path, dir, RESEED_DIR "/ready");
    if (!env_exists(env, path))
        return 0;
    path_of(path, dir, "lock");
    rc = env_lock_file(env, path, &lock);
    if (rc != 0)
        return rc;
    rc = install(env, dir, from);
    env_close(lock);
    return rc;
}
