/* redoubt status and redoubt branches: what the members say of themselves.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/mem.h"
#include "node/command_call.h"

enum { VALUE_MAX = 128 };

struct told {
    struct call_member member;
    bool reached;
    char why[VALUE_MAX]; /* not */
    const char *report;
    struct call_answer answer;
};

/* What the primary knows of a standby; known: it names it; heard: it ever acknowledged. */
struct figures {
    bool known;
    int connected, heard, redo_lost;
    uint64_t transport_bytes, apply_bytes, transport_us, apply_us, age_us;
};

static int
gather(const struct call *c, struct told *told)
{
    static const char *const words[] = { "report" };
    struct call_member members[CALL_MEMBERS_MAX];
    struct call_answer *a = xcalloc(CALL_MEMBERS_MAX, sizeof *a);
    int count = call_members(c, members);

    for (int i = 0; i < count; i++)
        a[i].address = members[i].guard;
    if (count > 0)
        call_run_all(c, a, count, words, 1);
    for (int i = 0; i < count; i++) {
        told[i] = (struct told){ .member = members[i], .answer = a[i], .reached = a[i].rc == 0 };
        told[i].report = (const char *)told[i].answer.text.data;
        snprintf(told[i].why, VALUE_MAX, "%.*s", VALUE_MAX - 1, a[i].why.message);
    }
    xfree(a);
    return count;
}

static void
release(struct told *told, int count)
{
    for (int i = 0; i < count; i++)
        wr_fini(&told[i].answer.text);
}

static void
value(const struct told *t, const char *key, char out[VALUE_MAX])
{
    out[0] = '\0';
    if (t->reached)
        call_value(t->report, key, out, VALUE_MAX);
}

/* The primary that counts: of several that say so, the one with the highest incarnation. */
static const struct told *
primary_of(const struct told *told, int count)
{
    const struct told *best = NULL;
    unsigned long best_inc = 0;

    for (int i = 0; i < count; i++) {
        char role[VALUE_MAX], inc[VALUE_MAX];

        value(&told[i], "role", role);
        value(&told[i], "incarnation", inc);
        if (strcmp(role, "primary") == 0 && (best == NULL || strtoul(inc, NULL, 10) > best_inc)) {
            best = &told[i];
            best_inc = strtoul(inc, NULL, 10);
        }
    }
    return best;
}

/* What the primary says of a standby. */
static struct figures
figures_of(const struct told *primary, const char *name)
{
    struct figures f = { 0 };
    const char *line = primary != NULL ? primary->report : NULL;

    while (line != NULL && !f.known) {
        char member[VALUE_MAX] = "";

        f.known = sscanf(line,
                         "destination=%31[^\t]\t%d\t%d\t%d\t%" SCNu64 "\t%" SCNu64 "\t%" SCNu64
                         "\t%" SCNu64 "\t%" SCNu64,
                         member, &f.connected, &f.heard, &f.redo_lost, &f.transport_bytes,
                         &f.apply_bytes, &f.transport_us, &f.apply_us, &f.age_us) == 9 &&
                  strcmp(member, name) == 0;
        line = strchr(line, '\n');
        line = line != NULL ? line + 1 : NULL;
    }
    return f;
}

/* What a person wants to know of a member, in a word or two. */
static void
state_words(const struct told *t, const struct figures *f, char out[VALUE_MAX])
{
    char role[VALUE_MAX], state[VALUE_MAX], follow[VALUE_MAX], sync[VALUE_MAX], reseed[VALUE_MAX];
    char linked[VALUE_MAX];
    uint64_t done, total;

    value(t, "role", role);
    value(t, "state", state);
    value(t, "follow", follow);
    value(t, "sync", sync);
    value(t, "reseed", reseed);
    value(t, "linked", linked);
    if (!t->reached)
        snprintf(out, VALUE_MAX, "does not answer%s",
                 f->known && f->redo_lost != 0 ? ", needs reseed" : "");
    else if (sscanf(reseed, "%" SCNu64 "\t%" SCNu64, &done, &total) == 2)
        snprintf(out, VALUE_MAX, "reseeds: %.1f of %.1f MiB", (double)done / (1 << 20),
                 (double)total / (1 << 20));
    else if (strcmp(role, "primary") == 0)
        snprintf(out, VALUE_MAX, "%.60s%s%.60s", state, sync[0] != '\0' ? ", " : "", sync);
    else if (strcmp(linked, "0") == 0 && strcmp(follow, "live") == 0)
        snprintf(out, VALUE_MAX, "%.60s, no primary reached", state);
    else
        snprintf(out, VALUE_MAX, "%.60s, follows: %.60s", state, follow);
}

/* ---- for people ---------------------------------------------------------------------------------
 */

static void
print_lag(const struct figures *f, uint64_t us, uint64_t bytes)
{
    char text[48] = "-";

    if (f->known && f->heard == 0)
        snprintf(text, sizeof text, "UNKNOWN");
    else if (f->known)
        snprintf(text, sizeof text, "%.3f s %" PRIu64 " B", (double)us / 1e6, bytes);
    printf("%-20s ", text);
}

static void
print_age(const struct figures *f)
{
    char text[24] = "-";

    if (f->known && f->heard != 0)
        snprintf(text, sizeof text, "%.1f s", (double)f->age_us / 1e6);
    printf("%-9s ", text);
}

static void
print_table(const struct told *told, int count)
{
    const struct told *primary = primary_of(told, count);

    printf("%-8s %-9s %-34s %-12s %-20s %-20s %-9s %s\n", "NAME", "ROLE", "STATE", "SCN",
           "TRANSPORT LAG", "APPLY LAG", "AGE", "SQL");
    for (int i = 0; i < count; i++) {
        struct figures f = figures_of(primary, told[i].member.name);
        char role[VALUE_MAX], state[VALUE_MAX], scn[VALUE_MAX], waits[VALUE_MAX];

        value(&told[i], "role", role);
        value(&told[i], "visible_scn", scn);
        value(&told[i], "waits", waits);
        state_words(&told[i], &f, state);
        printf("%-8s %-9s %-34s %-12s ", told[i].member.name, told[i].reached ? role : "unknown",
               state, scn);
        print_lag(&f, f.transport_us, f.transport_bytes);
        print_lag(&f, f.apply_us, f.apply_bytes);
        print_age(&f);
        printf("%s\n", told[i].member.sql);
        if (waits[0] != '\0')
            printf("%-8s waits for %s\n", "", waits);
        if (!told[i].reached)
            printf("%-8s %s\n", "", told[i].why);
    }
}

static void
print_parent(const struct told *primary)
{
    char id[VALUE_MAX], inc[VALUE_MAX], scn[VALUE_MAX];

    value(primary, "parent", id);
    value(primary, "parent_incarnation", inc);
    value(primary, "parent_scn", scn);
    if (id[0] != '\0')
        printf("Restored from database %s, incarnation %s, SCN %s.\n", id, inc, scn);
}

static void
print_head(const struct told *told, int count)
{
    const struct told *p = primary_of(told, count);
    char id[VALUE_MAX], inc[VALUE_MAX], mode[VALUE_MAX], synchronized[VALUE_MAX], k[VALUE_MAX];
    char level[VALUE_MAX];
    const char *between = "";

    if (p == NULL) {
        puts("No member that answers is the primary.");
        return;
    }
    value(p, "database_id", id);
    value(p, "incarnation", inc);
    value(p, "mode", mode);
    value(p, "level", level);
    value(p, "k", k);
    value(p, "synchronized", synchronized);
    printf("Database %s, incarnation %s, primary %s, %s", id, inc, p->member.name, mode);
    if (strcmp(mode, level) != 0)
        printf(" (level: %s)", level);
    if (strcmp(k, "0") != 0) {
        printf(", ANY %s (", k);
        for (int i = 0; i < count; i++)
            if (told[i].member.listed) {
                printf("%s%s", between, told[i].member.name);
                between = ", ";
            }
        printf("): %s", strcmp(synchronized, "1") == 0 ? "synchronized" : "not synchronized");
    }
    putchar('\n');
    print_parent(p);
}

/* ---- for programs -------------------------------------------------------------------------------
 */

static void
print_string(const char *text)
{
    putchar('"');
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\')
            putchar('\\');
        if ((unsigned char)*text < 32)
            printf("\\u%04x", (unsigned)*text);
        else
            putchar(*text);
    }
    putchar('"');
}

static void
print_pair(const char *key, const char *text, const char *after)
{
    printf("\"%s\": ", key);
    print_string(text);
    fputs(after, stdout);
}

/* Figures as numbers; what is not known is null. */
static void
print_number(const char *key, bool known, uint64_t number)
{
    if (known)
        printf(", \"%s\": %" PRIu64, key, number);
    else
        printf(", \"%s\": null", key);
}

static void
print_figures(const struct figures *f)
{
    bool heard = f->known && f->heard != 0;

    if (!f->known)
        return;
    printf(", \"connected\": %s, \"needs_reseed\": %s", f->connected != 0 ? "true" : "false",
           f->redo_lost != 0 ? "true" : "false");
    print_number("transport_lag_bytes", heard, f->transport_bytes);
    print_number("apply_lag_bytes", heard, f->apply_bytes);
    print_number("transport_lag_us", heard, f->transport_us);
    print_number("apply_lag_us", heard, f->apply_us);
    print_number("age_us", heard, f->age_us);
}

static void
print_member(const struct told *t, const struct told *primary)
{
    static const char *const words[] = { "role",    "state", "follow",     "sync",
                                         "primary", "waits", "database_id" },
                             *const numbers[] = { "incarnation", "visible_scn", "end_lsn",
                                                  "applied_lsn" };
    struct figures f = figures_of(primary, t->member.name);
    char text[VALUE_MAX];
    uint64_t done, total;

    fputs("    { ", stdout);
    print_pair("name", t->member.name, ", ");
    print_pair("guard", t->member.guard, ", ");
    print_pair("sql", t->member.sql, ", ");
    printf("\"listed\": %s, \"answers\": %s", t->member.listed ? "true" : "false",
           t->reached ? "true" : "false");
    for (size_t i = 0; t->reached && i < sizeof words / sizeof *words; i++) {
        value(t, words[i], text);
        fputs(", ", stdout);
        print_pair(words[i], text, "");
    }
    for (size_t i = 0; t->reached && i < sizeof numbers / sizeof *numbers; i++) {
        value(t, numbers[i], text);
        print_number(numbers[i], text[0] != '\0', strtoull(text, NULL, 10));
    }
    value(t, "linked", text);
    if (text[0] != '\0')
        printf(", \"linked\": %s", strcmp(text, "1") == 0 ? "true" : "false");
    value(t, "reseed", text);
    if (sscanf(text, "%" SCNu64 "\t%" SCNu64, &done, &total) == 2) {
        print_number("reseed_bytes", true, done);
        print_number("reseed_total_bytes", true, total);
    }
    print_figures(&f);
    fputs(" }", stdout);
}

static void
print_json(const struct told *told, int count)
{
    const struct told *p = primary_of(told, count);
    char mode[VALUE_MAX] = "", level[VALUE_MAX] = "", synchronized[VALUE_MAX] = "";
    char parent[VALUE_MAX] = "";

    if (p != NULL) {
        value(p, "mode", mode);
        value(p, "level", level);
        value(p, "synchronized", synchronized);
        value(p, "parent", parent);
    }
    fputs("{ ", stdout);
    print_pair("primary", p != NULL ? p->member.name : "", ", ");
    print_pair("mode", mode, ", ");
    print_pair("level", level, ", ");
    if (parent[0] != '\0')
        print_pair("parent", parent, ", ");
    printf("\"synchronized\": %s, \"members\": [\n",
           strcmp(synchronized, "1") == 0 ? "true" : "false");
    for (int i = 0; i < count; i++) {
        print_member(&told[i], p);
        puts(i + 1 < count ? "," : "");
    }
    puts("] }");
}

int
command_status(struct env *env, int argc, char **argv)
{
    struct command_option o[] = { { "--at", NULL }, { "--key", NULL }, { "--json", "" } };
    struct told *told = xcalloc(CALL_MEMBERS_MAX, sizeof *told);
    struct call c;
    int count = 0, rc = command_parse(argc, argv, o, 3, NULL, 0);

    if (rc == 0)
        rc = call_open(env, o[0].value, o[1].value, &c);
    if (rc == 0)
        count = gather(&c, told);
    if (count < 0)
        rc = count;
    if (rc == 0 && o[2].value[0] != '\0') {
        print_json(told, count);
    } else if (rc == 0) {
        print_head(told, count);
        print_table(told, count);
    }
    release(told, count);
    xfree(told);
    return rc;
}

/* ---- branches -----------------------------------------------------------------------------------
 */

static void
print_branch(const char *member, const char *line)
{
    unsigned inc, parent;
    uint64_t fork, shared, end;
    int now;
    char reign[32];

    if (sscanf(line, "%u\t%u\t%" SCNu64 "\t%" SCNu64 "\t%" SCNu64 "\t%31[0-9a-f]\t%d", &inc,
               &parent, &fork, &shared, &end, reign, &now) != 7)
        return;
    printf("%-8s incarnation %u, reign %s, from %u at SCN %" PRIu64 ": ", member, inc, reign,
           parent, fork);
    if (now != 0)
        printf("current, SCN %" PRIu64 "\n", end);
    else if (end > shared)
        printf("left at SCN %" PRIu64 "; SCN %" PRIu64 " to %" PRIu64 " are an orphan branch\n",
               shared, shared + 1, end);
    else
        printf("left at SCN %" PRIu64 ", nothing beyond it\n", shared);
}

static void
print_branches(const char *member, const char *text)
{
    for (const char *line = text; line != NULL && *line != '\0';) {
        print_branch(member, line);
        line = strchr(line, '\n');
        line = line != NULL ? line + 1 : NULL;
    }
}

int
command_branches(struct env *env, int argc, char **argv)
{
    static const char *const words[] = { "branches" };
    struct command_option o[] = { { "--at", NULL }, { "--key", NULL } };
    struct call_answer *a = xcalloc(CALL_MEMBERS_MAX, sizeof *a);
    struct call_member members[CALL_MEMBERS_MAX];
    struct call c;
    int count = 0, rc = command_parse(argc, argv, o, 2, NULL, 0);

    if (rc == 0)
        rc = call_open(env, o[0].value, o[1].value, &c);
    if (rc == 0)
        count = call_members(&c, members);
    if (count < 0)
        rc = count;
    for (int i = 0; i < count; i++)
        a[i].address = members[i].guard;
    if (count > 0)
        call_run_all(&c, a, count, words, 1);
    for (int i = 0; i < count; i++) {
        if (a[i].rc == 0)
            print_branches(members[i].name, (const char *)a[i].text.data);
        else
            printf("%-8s does not answer\n", members[i].name);
        wr_fini(&a[i].text);
    }
    xfree(a);
    return rc;
}
