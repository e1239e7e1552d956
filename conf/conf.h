/* redoubt.yaml: what a node is told by its administrator. The schema is one table (conf_schema.c);
 * this struct has one field per key. What belongs to the configuration as a whole (protection
 * mode, members) lives in the role register and is changed by command.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CONF_CONF_H
#define CONF_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/err.h"

struct env;
struct writer;

enum { CONF_LIST_MAX = 16 };
struct conf_list {
    int count;
    char *items[CONF_LIST_MAX];
};

enum conf_log_level { CONF_LOG_DEBUG, CONF_LOG_INFO, CONF_LOG_WARNING, CONF_LOG_ERROR };
enum conf_auth { CONF_AUTH_TRUST, CONF_AUTH_SCRAM, CONF_AUTH_REJECT };

/* Sizes are in bytes, times in the unit of the name. */
struct conf {
    char *name; /* of the member; the one key that must be there */

    struct conf_list sql_listen;
    char *sql_unix_socket_dir;                                 /* empty: no Unix socket */
    int64_t sql_auth_unix, sql_auth_loopback, sql_auth_remote; /* enum conf_auth */
    int64_t sql_auth_timeout_ms;
    int64_t sql_workers; /* 0: as many as cores */
    int64_t sql_max_connections;
    int64_t sql_max_unauthenticated;
    int64_t sql_temp_size;                                                /* 0: no limit */
    int64_t sql_statement_timeout_ms, sql_idle_in_transaction_timeout_ms; /* 0: none */

    struct conf_list guard_listen;
    int64_t guard_heartbeat_ms;
    int64_t guard_net_timeout_ms;
    char
        *guard_advertise; /* the address that other members are given; empty: the first of listen */

    int64_t memory_cache, memory_memtables, memory_query, memory_work;

    int64_t redo_ring, redo_file_size, redo_keep;

    int64_t retention_time_us;
    int64_t retention_size; /* 0: no cap */

    char *archive_dir; /* empty: no archive */

    int64_t log_level;     /* enum conf_log_level */
    char *log_destination; /* "stderr" or a file's path */
};

/* Defaults for all but the name. */
struct conf *conf_new_default(void);
void conf_free(struct conf *c);
/* Reads and checks a file: ERR_CONFIG_FILE with `file:line: key: what was expected`, ERR_NO_FILE.
 * Blocks. */
MUST_CHECK
int conf_load(struct env *env, const char *path, struct conf **out);
/* The same from text; `path` is for messages. */
MUST_CHECK
int conf_parse(const char *path, const char *text, size_t size, struct conf **out);

/* The commented file that `redoubt init` writes. Addresses NULL: the defaults. All other keys are
 * there as comments with their defaults and what they mean. */
void conf_write_sample(struct writer *w, const char *name, const char *sql, const char *guard);

/* "64MB", "1GiB", "4096"; "250ms", "5s", "1h". Total; whole strings only. KB, MB, GB are powers of
 * 1024, as in PostgreSQL. */
MUST_CHECK
int conf_parse_size(const char *text, int64_t *bytes);
MUST_CHECK
int conf_parse_duration_us(const char *text, int64_t *us);
/* "host:port" or "[v6]:port"; port 0..65535. */
bool conf_is_address(const char *text);
enum { CONF_NAME_MAX = 31 };
/* A member's name: a letter, then letters, digits, - and _. */
bool conf_is_name(const char *text);

#endif
