/* SPDX-License-Identifier: Apache-2.0 */
#include "node/command_call.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/conf.h"
#include "engine/base/env.h"
#include "engine/base/fiber.h"
#include "engine/base/mem.h"
#include "logship/link.h"

enum { SHOW_WAIT_US = 2000000, WAIT_STEP_US = 200000 };
#define DEFAULT_AT "127.0.0.1:7433"

int
call_check_key(const char *path)
{
    struct stat st;
    int rc;

    if (stat(path, &st) != 0 || (st.st_mode & 077) == 0) /* banned-ok: env knows no modes */
        return 0;
    rc = DIAG(ERR_INVALID_AUTHORIZATION, "\"%s\" can be read by others (mode %04o)", path,
              (unsigned)st.st_mode & 07777);
    diag_hint("Whoever holds the key is a member: chmod 600 %s", path);
    return rc;
}

int
call_open(struct env *env, const char *at, const char *key_file, struct call *out)
{
    int rc;

    if (at == NULL)
        at = getenv("REDOUBT_AT");
    if (key_file == NULL)
        key_file = getenv("REDOUBT_KEY");
    if (key_file == NULL) {
        rc = DIAG(ERR_USAGE, "which configuration's key is to be used?");

        diag_hint("Give --key FILE, or set REDOUBT_KEY: every data directory has a cluster.key.");
        return rc;
    }
    if (at != NULL && !conf_is_address(at))
        return DIAG(ERR_USAGE, "--at (or REDOUBT_AT) wants HOST:PORT, not \"%s\"", at);
    snprintf(out->key_file, sizeof out->key_file, "%s%s", key_file,
             env_is_dir(env, key_file) ? "/cluster.key" : "");
    rc = call_check_key(out->key_file);
    if (rc != 0)
        return rc;
    out->env = env;
    snprintf(out->at, sizeof out->at, "%s", at != NULL ? at : DEFAULT_AT);
    return ship_key_read(env, out->key_file, &out->key);
}

/* ---- one question -------------------------------------------------------------------------------
 */

struct asking {
    const struct call *call;
    const char *address;
    const char *const *words;
    uint32_t count;
    struct writer *text;
    struct sched *sched;
    struct link *link;
    struct fiber_queue news;
    bool ended, down;
    int rc;
    struct diag why;
};

static void
on_up(void *arg, struct link *l)
{
    (void)arg;
    (void)l;
}

static void
on_down(void *arg, struct link *l, int code)
{
    struct asking *a = arg;

    (void)l;
    (void)code;
    a->down = true;
    a->link = NULL;
    fiber_queue_wake_all(&a->news);
}

/* The text of an END is message, detail and hint, a line each. */
static int
take_error(int code, struct slice text)
{
    char copy[1024], *detail, *hint;

    snprintf(copy, sizeof copy, "%.*s", (int)text.size, (const char *)text.data);
    detail = strchr(copy, '\n');
    if (detail != NULL)
        *detail++ = '\0';
    hint = detail != NULL ? strchr(detail, '\n') : NULL;
    if (hint != NULL)
        *hint++ = '\0';
    (void)DIAG(code, "%s", copy);
    if (detail != NULL && *detail != '\0')
        diag_detail("%s", detail);
    if (hint != NULL && *hint != '\0')
        diag_hint("%s", hint);
    return code;
}

static int
on_message(void *arg, struct link *l, const struct ship_header *h, struct slice body)
{
    struct asking *a = arg;
    struct ship_reply r;
    int rc;

    (void)l;
    if (h->type != SHIP_REPLY)
        return 0;
    rc = ship_reply_decode(body, &r);
    if (rc != 0)
        return rc;
    if (r.what == SHIP_REPLY_TEXT) {
        wr_bytes(a->text, r.text.data, r.text.size);
    } else if (r.what == SHIP_REPLY_END) {
        a->ended = true;
        a->rc = r.code == 0 ? 0 : take_error(r.code, r.text);
        a->why = *diag_last();
        fiber_queue_wake_all(&a->news);
    }
    return 0;
}

static int
ask(struct asking *a)
{
    struct ship_command c = { .count = a->count };
    struct writer w;
    int rc;

    for (uint32_t i = 0; i < a->count; i++)
        c.words[i] = slice_str(a->words[i]);
    wr_init(&w, ship_type_limit(SHIP_COMMAND));
    ship_command_encode(&w, &c);
    rc = wr_finish(&w);
    if (rc == 0)
        rc = link_send(a->link, SHIP_COMMAND, wr_view(&w));
    wr_fini(&w);
    return rc;
}

static void
wait_answer(struct asking *a)
{
    bool shows = isatty(STDERR_FILENO) != 0, shown = false;
    uint64_t start = env_boot_ns(a->call->env);

    while (!a->ended && !a->down) {
        uint64_t us = (env_boot_ns(a->call->env) - start) / 1000;

        (void)fiber_queue_wait_us(&a->news, WAIT_STEP_US);
        if (shows && us > SHOW_WAIT_US) {
            shown = true;
            fprintf(stderr, "\r%s: waiting for %s, %u s ", a->words[0], a->address,
                    (unsigned)(us / 1000000));
        }
    }
    if (shown)
        fputs("\r\033[K", stderr);
}

static void
asking_main(void *arg)
{
    struct asking *a = arg;
    struct link_handler handler = { on_up, on_message, on_down, a };
    struct link_options o = { .sched = a->sched,
                              .env = a->call->env,
                              .key = a->call->key,
                              .boot_id = env_random_u64(a->call->env),
                              .name = "command line" };
    struct link_hub *hub = link_hub_new(&o);
    int rc = link_connect(hub, a->address, SHIP_COMMAND_LINE, &handler, &a->link);

    if (rc == 0)
        rc = ask(a);
    if (rc == 0)
        wait_answer(a);
    if (rc == 0 && !a->ended)
        rc = DIAG(ERR_CONNECT, "the connection with %s has ended before the command did",
                  a->address);
    if (rc == ERR_INVALID_AUTHORIZATION)
        diag_hint("Is %s the key of that configuration?", a->call->key_file);
    if (rc != 0) {
        a->rc = rc;
        a->why = *diag_last();
    }
    link_hub_free(hub);
}

int
call_run(const struct call *c, const char *address, const char *const *words, uint32_t count,
         struct writer *text)
{
    struct asking a = {
        .call = c, .address = address, .words = words, .count = count, .text = text
    };

    fiber_queue_init(&a.news);
    a.sched = sched_new(c->env);
    fiber_start(a.sched, "command", 0, asking_main, &a);
    sched_run(a.sched, true);
    sched_free(a.sched);
    wr_u8(text, 0);
    text->size--;
    if (a.rc != 0)
        diag_restore(&a.why);
    return a.rc;
}

/* ---- members ------------------------------------------------------------------------------------
 */

static char *
next_field(char **at)
{
    char *field = *at, *tab = field != NULL ? strchr(field, '\t') : NULL;

    if (tab != NULL)
        *tab = '\0';
    *at = tab != NULL ? tab + 1 : NULL;
    return field != NULL ? field : "";
}

static int
members_at(const struct call *c, const char *address, struct call_member *out)
{
    static const char *const words[] = { "members" };
    struct writer text;
    int count = 0, rc;

    wr_init(&text, 0);
    rc = call_run(c, address, words, 1, &text);
    for (char *line = (char *)text.data; rc == 0 && line != NULL && *line != '\0';) {
        char *end = strchr(line, '\n'), *at = line;
        struct call_member *m = &out[count];

        if (end == NULL || count == CALL_MEMBERS_MAX)
            break;
        *end = '\0';
        *m = (struct call_member){ .id = (member_id_t)strtoul(next_field(&at), NULL, 10) };
        snprintf(m->name, sizeof m->name, "%s", next_field(&at));
        snprintf(m->guard, sizeof m->guard, "%s", next_field(&at));
        snprintf(m->sql, sizeof m->sql, "%s", next_field(&at));
        m->is_primary = strcmp(next_field(&at), "1") == 0;
        m->listed = strcmp(next_field(&at), "1") == 0;
        count++;
        line = end + 1;
    }
    wr_fini(&text);
    return rc != 0 ? rc : count;
}

int
call_members(const struct call *c, struct call_member out[CALL_MEMBERS_MAX])
{
    return members_at(c, c->at, out);
}

void
call_value(const char *report, const char *key, char *out, size_t size)
{
    size_t length = strlen(key);

    out[0] = '\0';
    for (const char *line = report; line != NULL && *line != '\0';) {
        const char *end = strchr(line, '\n');

        if (strncmp(line, key, length) == 0 && line[length] == '=') {
            const char *value = line + length + 1;

            snprintf(out, size, "%.*s", end != NULL ? (int)(end - value) : (int)strlen(value),
                     value);
            return;
        }
        line = end != NULL ? end + 1 : NULL;
    }
}

/* Who says of himself that he is the primary, in the highest incarnation. */
static int
find_primary(const struct call *c, const struct call_member *m, int count,
             char address[CALL_ADDR_MAX])
{
    static const char *const words[] = { "report" };
    unsigned long best = 0;

    address[0] = '\0';
    for (int i = 0; i < count; i++) {
        char role[16], inc[16];
        struct writer text;

        wr_init(&text, 0);
        if (call_run(c, m[i].guard, words, 1, &text) == 0) {
            call_value((char *)text.data, "role", role, sizeof role);
            call_value((char *)text.data, "incarnation", inc, sizeof inc);
            if (strcmp(role, "primary") == 0 && strtoul(inc, NULL, 10) + 1 > best) {
                best = strtoul(inc, NULL, 10) + 1;
                snprintf(address, CALL_ADDR_MAX, "%s", m[i].guard);
            }
        }
        wr_fini(&text);
    }
    diag_clear();
    if (address[0] != '\0')
        return 0;
    (void)DIAG(ERR_ROLE, "no member that answers is the primary");
    diag_hint("\"redoubt status\" shows who answers, \"redoubt failover NAME\" makes a standby "
              "primary.");
    return ERR_ROLE;
}

int
call_find(const struct call *c, const char *name, char address[CALL_ADDR_MAX])
{
    struct call_member m[CALL_MEMBERS_MAX];
    int count = call_members(c, m);

    if (count < 0)
        return count;
    if (name == NULL)
        return find_primary(c, m, count, address);
    for (int i = 0; i < count; i++)
        if (strcmp(m[i].name, name) == 0) {
            snprintf(address, CALL_ADDR_MAX, "%s", m[i].guard);
            return 0;
        }
    return DIAG(ERR_UNDEFINED_OBJECT, "there is no member \"%s\"", name);
}
