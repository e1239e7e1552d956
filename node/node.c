/* Opening and closing a node.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "node/node.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "engine/lsm/lsm.h"
#include "engine/sql/spill.h"
#include "node/node_int.h"

enum { NODE_JOB_THREADS = 4 };

/* ---- init ---------------------------------------------------------------------------------------
 */

static int
write_file(struct env *env, const char *path, struct slice bytes, bool is_private)
{
    struct env_file *f;
    int flags = ENV_WRITE | ENV_CREATE | ENV_EXCLUSIVE | (is_private ? ENV_MODE_PRIVATE : 0);
    int rc = env_open(env, path, flags, &f);

    if (rc != 0)
        return rc;
    rc = env_pwrite(f, bytes.data, bytes.size, 0);
    if (rc == 0)
        rc = env_sync(f);
    env_close(f);
    return rc;
}

static int
write_conf(struct env *env, const char *dir, const char *name, const char *sql, const char *guard)
{
    char path[NODE_PATH_MAX];
    struct writer w;
    int rc;

    wr_init(&w, 0);
    conf_write_sample(&w, name, sql, guard);
    snprintf(path, sizeof path, "%s/redoubt.yaml", dir);
    rc = write_file(env, path, wr_view(&w), false);
    wr_fini(&w);
    return rc;
}

int
node_write_files(struct env *env, const char *dir, const char *name, const char *sql,
                 const char *guard, const struct ship_key *key)
{
    char path[NODE_PATH_MAX];
    int rc;

    snprintf(path, sizeof path, "%s/cluster.key", dir);
    rc = env_exists(env, path) ? 0 : ship_key_write(env, path, key);
    if (rc == 0)
        rc = write_conf(env, dir, name, sql, guard);
    return rc != 0 ? rc : env_sync_dir(env, dir);
}

static int
write_role(struct env *env, const char *dir, uint64_t database_id, const char *name)
{
    char path[NODE_PATH_MAX];
    struct role_durable first;
    struct manifest *m;
    struct conf *conf;
    struct writer w;
    int rc;

    snprintf(path, sizeof path, "%s/redoubt.yaml", dir);
    rc = conf_load(env, path, &conf);
    if (rc != 0)
        return rc;
    role_durable_first(&first, database_id, name, conf->guard_listen.items[0],
                       conf->sql_listen.items[0]);
    conf_free(conf);
    wr_init(&w, 0);
    role_durable_encode(&w, &first);
    rc = manifest_open(env, dir, &m);
    if (rc == 0) {
        rc = manifest_put_blob(m, NODE_ROLE_BLOB, first.sequence, wr_view(&w));
        manifest_close(m);
    }
    wr_fini(&w);
    return rc;
}

int
node_init(struct env *env, const char *dir, const char *name, const char *sql, const char *guard)
{
    struct ship_key key;
    uint64_t id;
    int rc = engine_create(env, dir, &id);

    ship_key_generate(env, &key);
    if (rc == 0)
        rc = node_write_files(env, dir, name, sql, guard, &key);
    memset(&key, 0, sizeof key);
    if (rc == 0)
        rc = write_role(env, dir, id, name);
    return rc != 0 ? rc : env_sync_dir(env, dir);
}

/* ---- opening
 * -------------------------------------------------------------------------------------- */

static int
open_engine(struct node *n, const struct node_options *options)
{
    const struct conf *c = n->conf;
    struct engine_options o = {
        .env = n->env,
        .dir = n->dir,
        .log = n->log,
        .memtable_bytes = (size_t)c->memory_memtables,
        .cache_bytes = (size_t)c->memory_cache,
        .ring_bytes = (size_t)c->redo_ring,
        .redo_file_bytes = (uint64_t)c->redo_file_size,
        .redo_keep_bytes = (uint64_t)c->redo_keep,
        .hold_redo = true, /* until the members are known (destinations_set) */
        .archive_dir = c->archive_dir[0] != '\0' ? c->archive_dir : NULL,
        .retention_us = (uint64_t)c->retention_time_us,
        .retention_bytes = (uint64_t)c->retention_size,
        .progress = options != NULL ? options->progress : NULL,
        .progress_arg = options != NULL ? options->progress_arg : NULL,
    };
    int rc;

    if (options != NULL && options->memtable_bytes != 0)
        o.memtable_bytes = (size_t)options->memtable_bytes;
    rc = engine_mount(&o, &n->engine);

    if (rc != 0)
        return rc;
    n->catalog = catalog_new(n->engine);
    n->destinations = destinations_new(n->env);
    destinations_keep_redo(n->destinations, engine_redo(n->engine));
    engine_set_members_limit(n->engine,
                             &(struct members_limit){ destinations_limit, n->destinations });
    node_gate_init(n);
    return 0;
}

static int
open_sql(struct node *n)
{
    char dir[NODE_PATH_MAX + 8], kilobytes[24];
    struct sql_setting work_mem = { "work_mem", kilobytes };
    int rc;
    struct sql_engine_options o = {
        .engine = n->engine,
        .catalog = n->catalog,
        .log = n->log,
        .jobs = n->jobs,
        .memory_bytes = (size_t)n->conf->memory_query,
        .settings = &work_mem,
        .setting_count = 1,
        .commits_in_turns = true, /* gate_kick */
    };

    snprintf(dir, sizeof dir, "%s/tmp", n->dir);
    snprintf(kilobytes, sizeof kilobytes, "%lld", (long long)n->conf->memory_work >> 10);
    rc = spill_space_open(n->env, n->jobs, dir, (uint64_t)n->conf->sql_temp_size, &n->spill);
    if (rc != 0)
        return rc;
    o.spill = n->spill;
    node_fill_view(n, &o.node);
    return sql_engine_new(&o, &n->sql);
}

static struct moment
gate_visible(void *arg)
{
    struct node *n = arg;

    return (struct moment){ engine_incarnation(n->engine), engine_visible_scn(n->engine) };
}

static void
gate_kick(void *arg)
{
    struct node *n = arg;

    engine_kick(n->engine);
}

static enum auth_method
auth_of(int64_t conf)
{
    return conf == CONF_AUTH_TRUST   ? AUTH_TRUST
           : conf == CONF_AUTH_SCRAM ? AUTH_SCRAM
                                     : AUTH_REJECT;
}

static int
open_server(struct node *n)
{
    const struct conf *c = n->conf;
    const char *listen[CONF_LIST_MAX + 1];
    char socket[NODE_PATH_MAX];
    int count = 0, rc;

    for (int i = 0; i < c->sql_listen.count; i++)
        listen[count++] = c->sql_listen.items[i];
    if (c->sql_unix_socket_dir[0] != '\0' && c->sql_listen.count > 0) {
        const char *port = strrchr(c->sql_listen.items[0], ':');

        snprintf(socket, sizeof socket, "%s/.s.PGSQL.%s", c->sql_unix_socket_dir,
                 port != NULL ? port + 1 : "5433");
        listen[count++] = socket;
    }
    struct server_options o = {
        .env = n->env,
        .log = n->log,
        .port = sql_engine_port(n->sql),
        .gate = { .visible = gate_visible, .kick = gate_kick, .arg = n },
        .listen = listen,
        .listen_count = count,
        .workers = (int)c->sql_workers,
        .max_connections = (int)c->sql_max_connections,
        .max_unauthenticated = (int)c->sql_max_unauthenticated,
        .auth_timeout_ms = (uint32_t)c->sql_auth_timeout_ms,
        .auth_unix = auth_of(c->sql_auth_unix),
        .auth_loopback = auth_of(c->sql_auth_loopback),
        .auth_remote = auth_of(c->sql_auth_remote),
        .statement_timeout_ms = (uint32_t)c->sql_statement_timeout_ms,
        .idle_in_transaction_timeout_ms = (uint32_t)c->sql_idle_in_transaction_timeout_ms,
    };
    rc = server_new(&o, &n->server);
    if (rc != 0)
        return rc;
    n->watch = (struct visible_watch){ server_visible_cb, n->server };
    return engine_watch_visible(n->engine, &n->watch);
}

static int
load_key(struct node *n)
{
    char path[NODE_PATH_MAX];

    snprintf(path, sizeof path, "%s/cluster.key", n->dir);
    return ship_key_read(n->env, path, &n->key);
}

static int
load_role(struct node *n, struct role_durable *out)
{
    uint64_t sequence;
    struct writer w;
    int rc;

    wr_init(&w, 0);
    rc = manifest_get_blob(lsm_manifest(engine_lsm(n->engine)), NODE_ROLE_BLOB, &sequence, &w);
    if (rc == ERR_NOT_FOUND)
        rc = DIAG(ERR_CORRUPT, "the manifest in %s has no role state", n->dir);
    if (rc == 0)
        rc = role_durable_decode(wr_view(&w), out);
    wr_fini(&w);
    return rc;
}

static int
open_role(struct node *n)
{
    struct role_durable durable;
    struct role_config config = {
        .database_id = engine_database_id(n->engine),
        .boot_id = n->boot_id,
        .seed = env_random_u64(n->env),
        .times.heartbeat_ns = (uint64_t)n->conf->guard_heartbeat_ms * 1000000,
        .net_timeout_ms = (uint32_t)n->conf->guard_net_timeout_ms,
    };
    const struct register_member *self;
    int rc = load_role(n, &durable);

    if (rc != 0)
        return rc;
    if (durable.follows == 0) /* a copy that has just been made */
        durable.follows = engine_incarnation(n->engine);
    self = register_member_named(&durable.reg, n->conf->name);
    if (self == NULL)
        return DIAG(ERR_CONFIG_FILE,
                    "redoubt.yaml calls this member \"%s\", but the configuration has no such one",
                    n->conf->name);
    config.self = n->self = self->id;
    n->role = role_new(&config, &durable, env_boot_ns(n->env));
    role_actions_init(&n->pending);
    return 0;
}

static void
guard_th_main(void *arg)
{
    struct node *n = arg;

    fiber_start(n->sched, "actor", 0, node_actor, n);
    node_fiber_start(n, "published", node_pointer_main, n);
    node_fiber_start(n, "peers", node_peers_main, n);
    sched_run(n->sched, false);
}

static int
open_log(struct node *n)
{
    static const enum log_level levels[] = {
        [CONF_LOG_DEBUG] = LOG_DEBUG,
        [CONF_LOG_INFO] = LOG_INFO,
        [CONF_LOG_WARNING] = LOG_WARNING,
        [CONF_LOG_ERROR] = LOG_ERROR,
    };
    const char *path =
        strcmp(n->conf->log_destination, "stderr") == 0 ? NULL : n->conf->log_destination;

    return log_open(n->env, n->conf->name, path, levels[n->conf->log_level], &n->log);
}

int
node_open(struct env *env, const char *dir, const struct node_options *options, struct node **out)
{
    struct node *n = xcalloc(1, sizeof *n);
    char path[NODE_PATH_MAX];
    int rc;

    n->env = env;
    snprintf(n->dir, sizeof n->dir, "%s", dir);
    env_mutex_init(env, &n->state_mutex);
    env_cond_init(env, &n->state_changed);
    n->boot_id = env_random_u64(env);
    fiber_queue_init(&n->work);
    fiber_queue_init(&n->fibers_gone);
    fiber_queue_init(&n->peer_work);
    fiber_queue_init(&n->pointer_work);
    fiber_queue_init(&n->move.news);
    fiber_queue_init(&n->task.idle);
    fiber_queue_init(&n->task.events);
    fiber_queue_init(&n->follow.started);
    snprintf(path, sizeof path, "%s/redoubt.yaml", dir);
    rc = conf_load(env, path, &n->conf);
    if (rc == 0)
        rc = open_log(n);
    n->jobs = job_pool_new(env, "node-job", NODE_JOB_THREADS);
    if (rc == 0)
        rc = node_reseed_install(env, dir);
    if (rc == 0)
        rc = open_engine(n, options);
    if (rc == 0)
        rc = open_sql(n);
    if (rc == 0)
        rc = open_server(n);
    if (rc == 0)
        rc = open_role(n);
    if (rc == 0)
        rc = load_key(n);
    if (rc == 0)
        rc = env_listen(env, n->conf->guard_listen.items[0], LINK_BACKLOG, &n->guard_listener);
    if (rc == 0)
        rc = server_start(n->server);
    if (rc != 0) {
        struct diag why = *diag_last();

        node_close(n);
        diag_restore(&why);
        return rc;
    }
    n->sched = sched_new(env);
    n->pointer_watch = (struct visible_watch){ node_pointer_moved, n };
    if (engine_watch_visible(n->engine, &n->pointer_watch) != 0)
        PANIC("no place to watch what is visible");
    n->guard = env_thread_start(env, "guard", guard_th_main, n);
    *out = n;
    return 0;
}

/* ---- closing
 * -------------------------------------------------------------------------------------- */

static void
stop_posted(void *arg)
{
    struct node *n = arg;

    n->stopping = true;
    n->task.cancel = true;
    fiber_queue_wake_all(&n->task.events);
    fiber_queue_wake_all(&n->work);
}

static void
stop_guard(struct node *n)
{
    struct sched_post post = { .fn = stop_posted, .arg = n };

    if (n->guard == NULL)
        return;
    sched_post(n->sched, &post);
    env_thread_join(n->guard);
    engine_unwatch_visible(n->engine, &n->pointer_watch);
    sched_free(n->sched);
}

void
node_close(struct node *n)
{
    if (n == NULL)
        return;
    stop_guard(n);
    if (n->guard_listener != NULL)
        env_sock_close(n->guard_listener);
    if (n->reseed.install && node_reseed_mark(n) != 0)
        log_diag(n->log, LOG_ERROR, "the base copy cannot be used");
    if (n->server != NULL) {
        server_stop(n->server);
        engine_unwatch_visible(n->engine, &n->watch);
        server_free(n->server);
    }
    sql_engine_free(n->sql);
    spill_space_close(n->spill);
    if (n->role != NULL) {
        role_actions_fini(&n->pending);
        role_free(n->role);
    }
    catalog_free(n->catalog);
    if (n->engine != NULL)
        node_gate_fini(n);
    if (n->destinations != NULL)
        destinations_keep_redo(n->destinations, NULL);
    engine_close(n->engine);
    destinations_free(n->destinations);
    memset(&n->key, 0, sizeof n->key);
    job_pool_free(n->jobs);
    log_close(n->log);
    conf_free(n->conf);
    env_cond_fini(&n->state_changed);
    env_mutex_fini(&n->state_mutex);
    xfree(n);
}

bool
node_wants_reopen(const struct node *n)
{
    return atomic_load(&n->reseed.is_ready);
}

bool
node_wait_ready(struct node *n, uint64_t timeout_us)
{
    uint64_t until = env_boot_ns(n->env) + timeout_us * 1000;
    bool ready;

    env_mutex_lock(&n->state_mutex);
    while (!n->ready && env_boot_ns(n->env) < until)
        (void)env_cond_wait_us(&n->state_changed, &n->state_mutex, 100000);
    ready = n->ready;
    env_mutex_unlock(&n->state_mutex);
    return ready;
}
