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

enum { SHOW_WAIT_US = 2000000, WAIT_STEP_US = 200000, MOVE_WAIT_US = 15000000, BRIEF_MS = 1000 };
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
    out->patience_ms = 0;
    snprintf(out->at, sizeof out->at, "%s", at != NULL ? at : DEFAULT_AT);
    return ship_key_read(env, out->key_file, &out->key);
}

/* ---- one question -------------------------------------------------------------------------------
 */

struct asking {
    const struct call *call;
    struct call_answer *answer;
    const char *const *words;
    uint32_t count;
    struct sched *sched;
    struct link *link;
    struct fiber_queue news;
    bool ended, down;
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
        wr_bytes(&a->answer->text, r.text.data, r.text.size);
    } else if (r.what == SHIP_REPLY_END) {
        a->ended = true;
        a->answer->rc = r.code == 0 ? 0 : take_error(r.code, r.text);
        a->answer->why = *diag_last();
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
            fprintf(stderr, "\r\033[K%s: waiting for %s, %u s ", a->words[0], a->answer->address,
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
                              .net_timeout_ms = a->call->patience_ms,
                              .auth_timeout_ms = a->call->patience_ms,
                              .name = "command-line" };
    struct link_hub *hub = link_hub_new(&o);
    int rc = link_connect(hub, a->answer->address, SHIP_COMMAND_LINE, &handler, &a->link);

    if (rc == 0)
        rc = ask(a);
    if (rc == 0)
        wait_answer(a);
    if (rc == 0 && !a->ended)
        rc = DIAG(ERR_CONNECT, "the connection with %s has ended before the command did",
                  a->answer->address);
    if (rc == ERR_PROTOCOL)
        diag_hint("Is %s a guard address? SQL clients have another port.", a->answer->address);
    if (rc == ERR_INVALID_AUTHORIZATION)
        diag_hint("Is %s the key of that configuration?", a->call->key_file);
    if (rc != 0) {
        a->answer->rc = rc;
        a->answer->why = *diag_last();
    }
    link_hub_free(hub);
}

void
call_run_all(const struct call *c, struct call_answer *answers, int answer_count,
             const char *const *words, uint32_t count)
{
    struct sched *sched = sched_new(c->env);
    struct asking *a = xcalloc((size_t)answer_count + 1, sizeof *a);

    for (int i = 0; i < answer_count; i++) {
        a[i] = (struct asking){
            .call = c, .answer = &answers[i], .words = words, .count = count, .sched = sched
        };
        answers[i].rc = 0;
        wr_init(&answers[i].text, 0);
        fiber_queue_init(&a[i].news);
        fiber_start(sched, "command", 0, asking_main, &a[i]);
    }
    sched_run(sched, true);
    sched_free(sched);
    xfree(a);
    for (int i = 0; i < answer_count; i++) {
        wr_u8(&answers[i].text, 0);
        answers[i].text.size--;
    }
}

int
call_run(const struct call *c, const char *address, const char *const *words, uint32_t count,
         struct writer *text)
{
    struct call_answer a = { .address = address };

    call_run_all(c, &a, 1, words, count);
    wr_bytes(text, a.text.data, a.text.size + 1);
    text->size--;
    wr_fini(&a.text);
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

/* What a member says of itself that tells where the primary is. */
struct claim {
    bool is_primary, moves; /* moves: roles are changing there */
    unsigned long inc;
    char name[REGISTER_NAME_MAX], primary[REGISTER_NAME_MAX];
};

static struct claim
claim_of(const char *report)
{
    static const char *const changing[] = { "standing", "preparing", "recording", "opening" };
    struct claim k = { 0 };
    char value[32];

    call_value(report, "role", value, sizeof value);
    k.is_primary = strcmp(value, "primary") == 0;
    call_value(report, "incarnation", value, sizeof value);
    k.inc = strtoul(value, NULL, 10);
    call_value(report, "hands_over", value, sizeof value);
    k.moves = strcmp(value, "1") == 0;
    call_value(report, "state", value, sizeof value);
    for (size_t i = 0; i < sizeof changing / sizeof *changing; i++)
        k.moves |= strcmp(value, changing[i]) == 0;
    k.is_primary &= !k.moves; /* not any more, or not yet */
    call_value(report, "name", k.name, sizeof k.name);
    call_value(report, "primary", k.primary, sizeof k.primary);
    return k;
}

static bool
ask_claim(const struct call *c, const char *address, struct claim *k)
{
    static const char *const words[] = { "report" };
    struct call_answer a = { .address = address };

    call_run_all(c, &a, 1, words, 1);
    *k = claim_of((const char *)a.text.data);
    wr_fini(&a.text);
    return a.rc == 0;
}

static const struct call_member *
member_named(const struct call_member *m, int count, const char *name)
{
    for (int i = 0; i < count; i++)
        if (strcmp(m[i].name, name) == 0)
            return &m[i];
    return NULL;
}

/* What members say together. */
struct claims {
    const struct call_member
        *primary; /* who says of himself that he is, in the highest incarnation */
    unsigned long inc;
    unsigned long known; /* the highest incarnation that any of them follows or reigns in, */
    char named[REGISTER_NAME_MAX]; /* and whose it is */
    bool moves;                    /* roles are changing at one of them */
};

static void
add_claim(struct claims *all, const struct call_member *m, const struct claim *k)
{
    all->moves |= k->moves;
    if (k->is_primary && (all->primary == NULL || k->inc > all->inc)) {
        all->primary = m;
        all->inc = k->inc;
    }
    if (!k->moves && k->inc > all->known) {
        all->known = k->inc;
        snprintf(all->named, sizeof all->named, "%s", k->primary);
    }
}

/* Whom the member at c->at takes for the primary, if that one agrees. */
static void
ask_told(const struct call *c, const struct call_member *m, int count, struct claims *all)
{
    const struct call_member *named;
    struct claim k, own;

    if (!ask_claim(c, c->at, &k))
        return;
    named = member_named(m, count, k.is_primary ? k.name : k.primary);
    if (named != NULL && k.is_primary)
        add_claim(all, named, &k);
    else if (named != NULL && ask_claim(c, named->guard, &own) && own.is_primary &&
             own.inc >= k.inc)
        add_claim(all, named, &own);
}

static void
ask_all(const struct call *c, const struct call_member *m, int count, struct claims *all)
{
    static const char *const words[] = { "report" };
    struct call_answer a[CALL_MEMBERS_MAX];

    for (int i = 0; i < count; i++)
        a[i] = (struct call_answer){ .address = m[i].guard };
    call_run_all(c, a, count, words, 1);
    for (int i = 0; i < count; i++) {
        struct claim k = claim_of((const char *)a[i].text.data);

        if (a[i].rc == 0)
            add_claim(all, &m[i], &k);
        wr_fini(&a[i].text);
    }
}

/* A primary that was found may have been deposed by others that it cannot reach: they are asked,
 * and not waited for for long, for some may hang. Where members know of a newer reign than any that
 * answers claims, there is no primary. */
static const struct call_member *
primary_of(const struct call *c, const struct call_member *m, int count, struct claims *all)
{
    struct call brief = *c;

    *all = (struct claims){ 0 };
    ask_told(c, m, count, all);
    if (all->primary != NULL)
        brief.patience_ms = BRIEF_MS;
    ask_all(&brief, m, count, all);
    return all->known > all->inc ? NULL : all->primary;
}

/* While roles are changing there may be none for a moment: it is waited for. */
static int
find_primary(const struct call *c, const struct call_member *m, int count,
             char address[CALL_ADDR_MAX])
{
    uint64_t start = env_boot_ns(c->env), us = 0;
    const struct call_member *p;
    struct claims all;
    bool shown = false;

    while ((p = primary_of(c, m, count, &all)) == NULL && all.moves) {
        us = (env_boot_ns(c->env) - start) / 1000;
        if (us >= MOVE_WAIT_US)
            break;
        if (us > SHOW_WAIT_US && isatty(STDERR_FILENO)) {
            shown = true;
            fprintf(stderr, "\r\033[Kroles are changing: waiting for a primary, %u s ",
                    (unsigned)(us / 1000000));
        }
        env_sleep_us(c->env, WAIT_STEP_US);
    }
    if (shown)
        fputs("\r\033[K", stderr);
    diag_clear();
    if (p != NULL) {
        snprintf(address, CALL_ADDR_MAX, "%s", p->guard);
        return 0;
    }
    if (all.moves)
        return DIAG(ERR_TIMEOUT, "roles are changing, and there is no primary yet");
    if (all.primary != NULL)
        (void)DIAG(ERR_ROLE,
                   "%s was primary of incarnation %lu; of %lu it is %s, which does not answer",
                   all.primary->name, all.inc, all.known, all.named);
    else
        (void)DIAG(ERR_ROLE, "no member that answers is the primary");
    diag_hint("\"redoubt status\" shows who answers, \"redoubt failover NAME\" makes a standby "
              "primary.");
    return ERR_ROLE;
}

int
call_find(const struct call *c, const char *name, char address[CALL_ADDR_MAX])
{
    struct call_member m[CALL_MEMBERS_MAX];
    const struct call_member *named;
    int count = call_members(c, m);

    if (count < 0)
        return count;
    if (name == NULL)
        return find_primary(c, m, count, address);
    named = member_named(m, count, name);
    if (named == NULL)
        return DIAG(ERR_UNDEFINED_OBJECT, "there is no member \"%s\"", name);
    snprintf(address, CALL_ADDR_MAX, "%s", named->guard);
    return 0;
}
