/* Commands that change roles: each is sent to the node that decides.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "engine/base/mem.h"
#include "node/command_call.h"

enum {
    HEAR_WAIT_US = 10000000,
    HEAR_STEP_US = 100000,
    OPEN_WAIT_US = 15000000,
    OPEN_STEP_US = 20000,
    SHOW_WAIT_US = 2000000
};
enum { SYNC_WAIT_MS = 5000, SYNC_STEP_MS = 100, SYNC_SHOW_MS = 2000 };
enum { TOKENS_MAX = REGISTER_MEMBERS_MAX + 3, TOKEN_SIZE = REGISTER_NAME_MAX };

/* To the member `name`, or to the primary when that is NULL. Prints what it answers. */
static int
send_to(const struct call *c, const char *name, const char *const *words, uint32_t count)
{
    char address[CALL_ADDR_MAX], before[CALL_ADDR_MAX];
    struct writer text;
    int rc = call_find(c, name, address);

    wr_init(&text, 0);
    if (rc == 0)
        rc = call_run(c, address, words, count, &text);
    if (rc == ERR_ROLE && name == NULL) { /* it may have handed over since it was asked */
        struct diag why = *diag_last();

        snprintf(before, sizeof before, "%s", address);
        if (call_find(c, name, address) == 0 && strcmp(address, before) != 0)
            rc = call_run(c, address, words, count, &text);
        else
            diag_restore(&why);
    }
    if (rc == 0 && text.size > 0)
        printf("%s\n", (const char *)text.data);
    wr_fini(&text);
    return rc;
}

/* A moment later a list is often synchronized: then the next command need not wait for it. */
static void
tell_synchronized(const struct call *c)
{
    static const char *const words[] = { "report" };
    char address[CALL_ADDR_MAX], list[16] = "", synchronized[8] = "";
    uint64_t start = env_boot_ns(c->env), ms = 0;
    bool shown = false;

    while (ms < SYNC_WAIT_MS && synchronized[0] != '1' && list[0] != '0') {
        struct writer text;

        if (ms > 0)
            env_sleep_us(c->env, SYNC_STEP_MS * 1000);
        if (ms >= SYNC_SHOW_MS && isatty(STDERR_FILENO)) {
            shown = true;
            fprintf(stderr, "\r\033[Kwaiting for the list to be synchronized, %u s ",
                    (unsigned)(ms / 1000));
        }
        wr_init(&text, 0);
        if (call_find(c, NULL, address) == 0 && call_run(c, address, words, 1, &text) == 0) {
            call_value((const char *)text.data, "list", list, sizeof list);
            call_value((const char *)text.data, "synchronized", synchronized, sizeof synchronized);
        }
        wr_fini(&text);
        ms = (env_boot_ns(c->env) - start) / 1000000;
    }
    diag_clear();
    if (shown)
        fputs("\r\033[K", stderr);
    if (synchronized[0] != '1' && list[0] != '0')
        puts("Its list is not synchronized yet: see redoubt status.");
}

static int
with_name(struct env *env, int argc, char **argv, const char *word, bool to_primary)
{
    struct command_option o[] = { { "--at", NULL }, { "--key", NULL } };
    const char *words[2] = { word, NULL };
    struct call c;
    int rc = command_parse(argc, argv, o, 2, &words[1], 1);

    if (rc == 0)
        rc = call_open(env, o[0].value, o[1].value, &c);
    if (rc == 0)
        rc = send_to(&c, to_primary ? NULL : words[1], words, to_primary ? 2 : 1);
    return rc;
}

/* The new primary takes writes as soon as what it begins with is acknowledged: a moment later, so
 * this waits for it; where nobody acknowledges, not for ever. */
static int
wait_open(const struct call *c, const char *name)
{
    static const char *const words[] = { "report" };
    uint64_t start = env_boot_ns(c->env), us = 0;
    char address[CALL_ADDR_MAX], writes[8] = "", waits[128] = "";
    bool shown = false;
    int rc;

    while (us < OPEN_WAIT_US && writes[0] != '1') {
        struct writer text;

        wr_init(&text, 0);
        if (call_find(c, name, address) == 0 && call_run(c, address, words, 1, &text) == 0) {
            call_value((const char *)text.data, "writes", writes, sizeof writes);
            call_value((const char *)text.data, "waits", waits, sizeof waits);
        }
        wr_fini(&text);
        if (writes[0] != '1')
            env_sleep_us(c->env, OPEN_STEP_US);
        us = (env_boot_ns(c->env) - start) / 1000;
        if (us > SHOW_WAIT_US && isatty(STDERR_FILENO)) {
            shown = true;
            fprintf(stderr, "\r\033[Kwaiting for %s to take writes, %u s ", name,
                    (unsigned)(us / 1000000));
        }
    }
    diag_clear();
    if (shown)
        fputs("\r\033[K", stderr);
    if (writes[0] == '1')
        return 0;
    rc = DIAG(ERR_TIMEOUT, "%s was elected and does not take writes yet", name);
    if (waits[0] != '\0')
        diag_detail("It waits for %s.", waits);
    diag_hint("\"redoubt status\" shows when it is open, and what it waits for.");
    return rc;
}

int
command_switchover(struct env *env, int argc, char **argv)
{
    struct command_option o[] = { { "--at", NULL }, { "--key", NULL } };
    const char *words[2] = { "switchover", NULL };
    struct call c;
    int rc = command_parse(argc, argv, o, 2, &words[1], 1);

    if (rc == 0)
        rc = call_open(env, o[0].value, o[1].value, &c);
    if (rc == 0)
        rc = send_to(&c, NULL, words, 2);
    if (rc == 0)
        rc = wait_open(&c, words[1]);
    if (rc != 0)
        return rc;
    puts("Switched over.");
    tell_synchronized(&c);
    return 0;
}

int
command_drop(struct env *env, int argc, char **argv)
{
    int rc = with_name(env, argc, argv, "drop", true);

    if (rc == 0)
        puts("Dropped. Its data directory is still there.");
    return rc;
}

/* A node that was just started has yet to hear whom it shall follow: it is asked for a while. */
int
command_reinstate(struct env *env, int argc, char **argv)
{
    uint64_t until = env_boot_ns(env) + HEAR_WAIT_US * 1000ull;
    int rc;

    while ((rc = with_name(env, argc, argv, "reinstate", false)) == ERR_AGAIN &&
           env_boot_ns(env) < until)
        env_sleep_us(env, HEAR_STEP_US);
    if (rc == 0)
        puts("It follows, or will as soon as it reaches the primary.");
    return rc;
}

int
command_failover(struct env *env, int argc, char **argv)
{
    struct command_option o[] = {
        { "--at", NULL }, { "--key", NULL }, { "--fenced", "" }, { "--accept-loss", "" }
    };
    const char *name, *words[3] = { "failover", NULL, NULL };
    uint32_t count = 1;
    struct call c;
    int rc = command_parse(argc, argv, o, 4, &name, 1);

    if (rc == 0)
        rc = call_open(env, o[0].value, o[1].value, &c);
    if (rc != 0)
        return rc;
    if (o[2].value[0] != '\0')
        words[count++] = "fenced";
    if (o[3].value[0] != '\0')
        words[count++] = "accept-loss";
    rc = send_to(&c, name, words, count);
    if (rc == 0)
        rc = wait_open(&c, name);
    if (rc == 0)
        printf("%s is the primary.\n", name);
    return rc;
}

/* ---- protect ------------------------------------------------------------------------------------
 */

struct tokens {
    int count;
    char at[TOKENS_MAX][TOKEN_SIZE];
};

static int
add_token(struct tokens *t, const char *text, size_t size)
{
    if (t->count == TOKENS_MAX || size >= TOKEN_SIZE)
        return DIAG(ERR_USAGE, "--sync names too many members, or one with too long a name");
    snprintf(t->at[t->count++], TOKEN_SIZE, "%.*s", (int)size, text);
    return 0;
}

/* "ANY 1 (B, C)" as words: "1", "B", "C". */
static int
parse_sync(const char *text, struct tokens *t)
{
    char *end;
    long k;
    int rc = 0;

    while (isspace((unsigned char)*text))
        text++;
    if (strncasecmp(text, "any", 3) != 0 || !isspace((unsigned char)text[3]))
        return DIAG(ERR_USAGE, "--sync wants 'ANY k (NAME, …)', not '%s'", text);
    k = strtol(text + 3, &end, 10);
    while (isspace((unsigned char)*end))
        end++;
    if (k < 1 || k > REGISTER_MEMBERS_MAX || *end++ != '(')
        return DIAG(ERR_USAGE, "--sync wants 'ANY k (NAME, …)', not '%s'", text);
    snprintf(t->at[t->count++], TOKEN_SIZE, "%ld", k);
    while (rc == 0 && *end != ')' && *end != '\0') {
        size_t size = strcspn(end, " \t,)");

        if (size > 0)
            rc = add_token(t, end, size);
        end += size;
        end += strspn(end, " \t,");
    }
    if (rc == 0 && (*end != ')' || t->count < 2 || end[1 + strspn(end + 1, " \t")] != '\0'))
        rc = DIAG(ERR_USAGE, "--sync wants 'ANY k (NAME, …)', not '%s'", text);
    return rc;
}

int
command_protect(struct env *env, int argc, char **argv)
{
    struct command_option o[] = { { "--at", NULL }, { "--key", NULL }, { "--sync", NULL } };
    const char *words[TOKENS_MAX + 2] = { "protect", NULL, "0" };
    struct tokens t = { 0 };
    uint32_t count = 3;
    struct call c;
    int rc = command_parse(argc, argv, o, 3, &words[1], 1);

    if (rc == 0 && o[2].value != NULL)
        rc = parse_sync(o[2].value, &t);
    if (rc == 0)
        rc = call_open(env, o[0].value, o[1].value, &c);
    if (rc != 0)
        return rc;
    for (int i = 0; i < t.count; i++)
        words[2 + i] = t.at[i];
    if (t.count > 0)
        count = 2 + (uint32_t)t.count;
    rc = send_to(&c, NULL, words, count);
    if (rc == 0)
        printf("Protection is maximum %s.\n", words[1]);
    if (rc == 0)
        tell_synchronized(&c);
    return rc;
}
