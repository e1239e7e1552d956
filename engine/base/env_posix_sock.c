/* The real world's sockets: TCP over IPv4 and IPv6, and Unix sockets.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/base/env_posix_int.h"

#include <errno.h>
#include <limits.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static int
sock_fail(int code, int os_errno, const char *doing, const char *address)
{
    char text[128];

    errno = os_errno;
    return DIAG(code, "could not %s \"%s\": %s", doing, address,
                strerror_r(os_errno, text, sizeof text));
}

static struct env_sock *
sock_make(struct env *env, int fd, int family)
{
    struct env_sock *s = xcalloc(1, sizeof *s);
    int one = 1, idle_s = 60, interval_s = 10, probes = 6;

    s->env = env;
    s->fd = fd;
    s->is_local = family == AF_UNIX;
    if (!s->is_local) { /* a peer that vanished without a word is noticed after two minutes */
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
        setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof idle_s);
        setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval_s, sizeof interval_s);
        setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
    }
    return s;
}

/* ---- addresses ----------------------------------------------------------------------------- */

static int
unix_address(const char *path, struct sockaddr_un *out)
{
    *out = (struct sockaddr_un){ .sun_family = AF_UNIX };
    if (strlen(path) >= sizeof out->sun_path)
        return DIAG(ERR_INVALID_PARAMETER_VALUE, "socket path \"%s\" is too long", path);
    memcpy(out->sun_path, path, strlen(path) + 1);
    return 0;
}

static int
resolve(const char *address, int flags, struct addrinfo **out)
{
    struct addrinfo hints = { .ai_family = AF_UNSPEC,
                              .ai_socktype = SOCK_STREAM,
                              .ai_flags = flags | AI_ADDRCONFIG };
    char host[ENV_ADDR_MAX], port[16];
    int rc;

    if (!env_split_address(address, host, port))
        return DIAG(ERR_INVALID_PARAMETER_VALUE, "\"%s\" is not an address: host:port is needed",
                    address);
    rc = getaddrinfo(host[0] != '\0' ? host : NULL, port, &hints, out);
    if (rc == EAI_NONAME || rc == EAI_ADDRFAMILY) {
        hints.ai_flags &= ~AI_ADDRCONFIG; /* a machine whose only address is the loopback one */
        rc = getaddrinfo(host[0] != '\0' ? host : NULL, port, &hints, out);
    }
    if (rc != 0)
        return DIAG(ERR_CONNECT, "could not resolve \"%s\": %s", address, gai_strerror(rc));
    return 0;
}

static void
format_address(const struct sockaddr *sa, socklen_t size, char out[ENV_ADDR_MAX])
{
    char host[NI_MAXHOST], port[NI_MAXSERV];

    if (sa->sa_family == AF_UNIX) {
        snprintf(out, ENV_ADDR_MAX, "local");
        return;
    }
    if (getnameinfo(sa, size, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        snprintf(out, ENV_ADDR_MAX, "unknown");
    else
        snprintf(out, ENV_ADDR_MAX, strchr(host, ':') != NULL ? "[%.90s]:%.10s" : "%.90s:%.10s",
                 host, port);
}

void
posix_sock_name(const struct env_sock *s, bool peer, char out[ENV_ADDR_MAX])
{
    struct sockaddr_storage ss = { 0 };
    socklen_t size = sizeof ss;
    struct sockaddr *sa = (struct sockaddr *)&ss;
    int rc = peer ? getpeername(s->fd, sa, &size) : getsockname(s->fd, sa, &size);

    if (rc != 0)
        snprintf(out, ENV_ADDR_MAX, "unknown");
    else
        format_address(sa, size, out);
}

static bool
is_loopback_address(const struct sockaddr_storage *ss)
{
    union {
        struct sockaddr_storage ss;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } u = { .ss = *ss };
    const uint8_t *a = u.v6.sin6_addr.s6_addr;

    if (ss->ss_family == AF_INET)
        return ntohl(u.v4.sin_addr.s_addr) >> 24 == 127;
    return ss->ss_family == AF_INET6 && (IN6_IS_ADDR_LOOPBACK(&u.v6.sin6_addr) ||
                                         (IN6_IS_ADDR_V4MAPPED(&u.v6.sin6_addr) && a[12] == 127));
}

bool
posix_sock_is_loopback(const struct env_sock *s)
{
    struct sockaddr_storage ss = { 0 };
    socklen_t size = sizeof ss;

    if (s->is_local)
        return true;
    return getpeername(s->fd, (struct sockaddr *)&ss, &size) == 0 && is_loopback_address(&ss);
}

/* ---- listening ----------------------------------------------------------------------------- */

static int
listen_fd(const struct sockaddr *sa, socklen_t size, int backlog)
{
    int one = 1, saved;
    int fd = socket(sa->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -1;
    if (sa->sa_family != AF_UNIX)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, sa, size) == 0 && listen(fd, backlog) == 0)
        return fd;
    saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

/* A socket file that nobody listens on any more was left by a process that died. */
static bool
is_stale_socket(const struct sockaddr_un *un)
{
    struct stat st;
    int fd, rc;

    if (lstat(un->sun_path, &st) != 0 || !S_ISSOCK(st.st_mode))
        return false;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    rc = connect(fd, (const struct sockaddr *)un, sizeof *un) == 0 ? 0 : errno;
    close(fd);
    return rc == ECONNREFUSED;
}

static int
listen_unix(struct env *env, const char *path, int backlog, struct env_sock **out)
{
    struct sockaddr_un un;
    int fd, rc = unix_address(path, &un);

    if (rc != 0)
        return rc;
    if (is_stale_socket(&un))
        unlink(path);
    fd = listen_fd((struct sockaddr *)&un, sizeof un, backlog);
    if (fd < 0)
        return sock_fail(ERR_CONNECT, errno, "listen on", path);
    *out = sock_make(env, fd, AF_UNIX);
    (*out)->bound_path = xstrdup(path);
    return 0;
}

int
posix_listen(struct env *env, const char *address, int backlog, struct env_sock **out)
{
    struct addrinfo *list;
    int fd = -1, rc, family = 0;

    *out = NULL;
    if (address[0] == '/')
        return listen_unix(env, address, backlog, out);
    rc = resolve(address, AI_PASSIVE, &list);
    if (rc != 0)
        return rc;
    for (struct addrinfo *a = list; a != NULL && fd < 0; a = a->ai_next) {
        family = a->ai_family;
        fd = listen_fd(a->ai_addr, a->ai_addrlen, backlog);
    }
    rc = errno;
    freeaddrinfo(list);
    if (fd < 0)
        return sock_fail(ERR_CONNECT, rc, "listen on", address);
    *out = sock_make(env, fd, family);
    return 0;
}

/* A connection that broke before it was accepted is nothing to tell of. */
static bool
is_accept_again(int os_errno)
{
    switch (os_errno) {
    case EAGAIN:
    case EINTR:
    case ECONNABORTED:
    case ENETDOWN:
    case EPROTO:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case ENONET:
    case EHOSTUNREACH:
    case EOPNOTSUPP:
    case ENETUNREACH:
        return true;
    default:
        return false;
    }
}

int
posix_accept(struct env_sock *listener, struct env_sock **out)
{
    int fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

    *out = NULL;
    if (fd < 0 && is_accept_again(errno))
        return ERR_AGAIN;
    if (fd < 0)
        return sock_fail(ERR_CONNECT, errno, "accept on", "a listening socket");
    *out = sock_make(listener->env, fd, listener->is_local ? AF_UNIX : AF_INET);
    return 0;
}

/* ---- connecting ---------------------------------------------------------------------------- */

/* A connection begun, or -1. One to this machine that is refused is refused at once, so that the
 * next address of a name gets its turn. */
static int
connect_fd(const struct sockaddr *sa, socklen_t size)
{
    int fd = socket(sa->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct pollfd p = { .fd = fd, .events = POLLOUT };
    socklen_t n = sizeof(int);
    int why = 0;

    if (fd < 0)
        return -1;
    if (connect(fd, sa, size) != 0) {
        why = errno == EINPROGRESS ? 0 : errno;
        if (why == 0 && poll(&p, 1, 0) == 1)
            getsockopt(fd, SOL_SOCKET, SO_ERROR, &why, &n);
    }
    if (why == 0)
        return fd;
    close(fd);
    errno = why;
    return -1;
}

int
posix_connect(struct env *env, const char *address, struct env_sock **out)
{
    struct addrinfo *list;
    struct sockaddr_un un;
    int fd = -1, rc, family = AF_UNIX;

    *out = NULL;
    if (address[0] == '/') {
        rc = unix_address(address, &un);
        if (rc != 0)
            return rc;
        fd = connect_fd((struct sockaddr *)&un, sizeof un);
        rc = errno;
    } else {
        rc = resolve(address, 0, &list);
        if (rc != 0)
            return rc;
        for (struct addrinfo *a = list; a != NULL && fd < 0; a = a->ai_next) {
            family = a->ai_family;
            fd = connect_fd(a->ai_addr, a->ai_addrlen);
        }
        rc = errno;
        freeaddrinfo(list);
    }
    if (fd < 0)
        return sock_fail(ERR_CONNECT, rc, "connect to", address);
    *out = sock_make(env, fd, family);
    return 0;
}

int
posix_connect_result(struct env_sock *s)
{
    struct pollfd p = { .fd = s->fd, .events = POLLOUT };
    socklen_t n = sizeof(int);
    int why = 0;

    if (poll(&p, 1, 0) == 0)
        return ERR_AGAIN;
    if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &why, &n) != 0)
        why = errno;
    return why == 0 ? 0 : sock_fail(ERR_CONNECT, why, "connect to", "the other side");
}

/* ---- data ---------------------------------------------------------------------------------- */

int
posix_recv(struct env_sock *s, void *buf, size_t size, size_t *got)
{
    ssize_t n;

    *got = 0;
    do
        n = recv(s->fd, buf, size, 0);
    while (n < 0 && errno == EINTR);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        return ERR_AGAIN;
    if (n < 0)
        return sock_fail(ERR_CONNECTION_FAILURE, errno, "receive from", "the other side");
    *got = (size_t)n;
    return 0;
}

int
posix_sendv(struct env_sock *s, const struct iovec *v, int count, size_t *sent)
{
    union {
        const struct iovec *in;
        struct iovec *v;
    } data = { .in = v };
    struct msghdr m = { .msg_iov = data.v,
                        .msg_iovlen = (size_t)(count < IOV_MAX ? count : IOV_MAX) };
    ssize_t n;

    *sent = 0;
    do
        n = sendmsg(s->fd, &m, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        return ERR_AGAIN;
    if (n < 0)
        return sock_fail(ERR_CONNECTION_FAILURE, errno, "send to", "the other side");
    *sent = (size_t)n;
    return 0;
}

void
posix_sock_close(struct env_sock *s)
{
    close(s->fd);
    if (s->bound_path != NULL) {
        unlink(s->bound_path);
        xfree(s->bound_path);
    }
    xfree(s);
}
