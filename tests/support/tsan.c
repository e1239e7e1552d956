/* What ThreadSanitizer is told to pass over.
 *
 * libevent gathers its epoll_ctl calls until the next wait. One for a socket that has been closed
 * since may thus meet the same number given out to another thread: the kernel answers ENOENT or
 * EBADF, which libevent ignores.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifdef __SANITIZE_THREAD__

const char *__tsan_default_suppressions(void);

const char *
__tsan_default_suppressions(void)
{
    return "race:libevent_core\n";
}

#else
typedef int tests_support_tsan_is_empty;
#endif
