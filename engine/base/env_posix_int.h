/* The real world's parts: env_posix.c (time, threads), env_posix_file.c, env_posix_loop.c,
 * env_posix_sock.c.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_BASE_ENV_POSIX_INT_H
#define ENGINE_BASE_ENV_POSIX_INT_H

#include "engine/base/env_int.h"
#include "engine/base/mem.h"

struct env_sock {
    struct env *env;
    int fd;
    bool is_local;    /* a Unix socket */
    char *bound_path; /* a listening Unix socket's, unlinked at close; or NULL */
};

int posix_open(struct env *env, const char *path, int flags, struct env_file **out);
void posix_close(struct env_file *f);
int posix_pread(struct env_file *f, void *buf, size_t size, uint64_t offset, size_t *got);
int posix_pwritev(struct env_file *f, const struct iovec *v, int count, uint64_t offset);
int posix_sync(struct env_file *f);
int posix_truncate(struct env_file *f, uint64_t size);
int posix_allocate(struct env_file *f, uint64_t size);
int posix_size(struct env_file *f, uint64_t *size);
int posix_rename(struct env *env, const char *from, const char *to);
int posix_unlink(struct env *env, const char *path);
int posix_rmdir(struct env *env, const char *path);
int posix_mkdir(struct env *env, const char *path);
int posix_sync_dir(struct env *env, const char *path);
int posix_link(struct env *env, const char *from, const char *to);
bool posix_exists(struct env *env, const char *path, bool *is_dir);
int posix_list_dir(struct env *env, const char *path, int (*fn)(void *, const char *), void *arg);
int posix_disk_free(struct env *env, const char *path, uint64_t *bytes);
int posix_lock_file(struct env *env, const char *path, struct env_file **out);

struct env_loop *posix_loop_new(struct env *env);
void posix_loop_free(struct env_loop *l);
void posix_loop_run_once(struct env_loop *l, int64_t timeout_us);
void posix_loop_wake(struct env_loop *l);
struct env_event *posix_event_new(struct env_loop *l, struct env_sock *s, void (*fn)(void *, int),
                                  void *arg);
void posix_event_arm(struct env_event *e, int what);
void posix_event_free(struct env_event *e);
struct env_event *posix_timer_new(struct env_loop *l, void (*fn)(void *, int), void *arg);
void posix_timer_arm(struct env_event *t, uint64_t delay_us);
void posix_timer_disarm(struct env_event *t);

int posix_listen(struct env *env, const char *address, int backlog, struct env_sock **out);
int posix_accept(struct env_sock *listener, struct env_sock **out);
int posix_connect(struct env *env, const char *address, struct env_sock **out);
int posix_connect_result(struct env_sock *s);
int posix_recv(struct env_sock *s, void *buf, size_t size, size_t *got);
int posix_sendv(struct env_sock *s, const struct iovec *v, int count, size_t *sent);
void posix_sock_close(struct env_sock *s);
void posix_sock_name(const struct env_sock *s, bool peer, char out[ENV_ADDR_MAX]);
bool posix_sock_is_loopback(const struct env_sock *s);

#endif
