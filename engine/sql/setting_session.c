/* Settings of one session, and how a transaction's changes of them are undone.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include <strings.h>

#include "engine/sql/setting.h"

static char *
copy(const char *s)
{
    return s == NULL ? NULL : xstrdup(s);
}

static bool
same(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static void
slot_clear(struct setting_slot *slot)
{
    xfree(slot->current);
    xfree(slot->session);
    *slot = (struct setting_slot){ NULL, NULL };
}

void
settings_init(struct settings *s, const char *const *defaults)
{
    *s = (struct settings){ .defaults = defaults };
}

static void
changes_drop(struct settings *s)
{
    while (s->changes != NULL) {
        struct setting_change *c = s->changes;

        s->changes = c->older;
        slot_clear(&c->before);
        xfree(c);
    }
}

void
settings_fini(struct settings *s)
{
    changes_drop(s);
    for (int i = 0; i < SETTING_COUNT; i++) {
        slot_clear(&s->slots[i]);
        if (s->own_defaults != NULL)
            xfree(s->own_defaults[i]);
    }
    xfree(s->own_defaults);
    while (s->custom != NULL) {
        struct custom_setting *c = s->custom;

        s->custom = c->next;
        slot_clear(&c->slot);
        xfree(c->name);
        xfree(c);
    }
}

/* ---- values ---------------------------------------------------------------------------------- */

const char *
settings_default(const struct settings *s, enum setting_id id)
{
    if (s->own_defaults != NULL && s->own_defaults[id] != NULL)
        return s->own_defaults[id];
    if (s->defaults != NULL && s->defaults[id] != NULL)
        return s->defaults[id];
    return setting_get(id)->value;
}

const char *
settings_value(const struct settings *s, enum setting_id id)
{
    const char *v = s->slots[id].current;

    return v != NULL ? v : settings_default(s, id);
}

static struct custom_setting *
custom_find(const struct settings *s, const char *name)
{
    struct custom_setting *c = s->custom;

    while (c != NULL && strcasecmp(c->name, name) != 0)
        c = c->next;
    return c;
}

const char *
settings_custom(const struct settings *s, const char *name)
{
    const struct custom_setting *c = custom_find(s, name);

    if (c == NULL)
        return NULL;
    return c->slot.current != NULL ? c->slot.current : "";
}

static void
tell(struct settings *s, int id)
{
    if (id >= 0 && s->changed != NULL)
        s->changed(s->arg, (enum setting_id)id);
}

void
settings_set_default(struct settings *s, enum setting_id id, const char *value)
{
    if (s->own_defaults == NULL)
        s->own_defaults = xcalloc(SETTING_COUNT, sizeof *s->own_defaults);
    xfree(s->own_defaults[id]);
    s->own_defaults[id] = xstrdup(value);
    tell(s, id);
}

static void
slot_set(struct settings *s, struct setting_slot *slot, int id, const char *value, bool is_local,
         int level)
{
    struct setting_change *c = xcalloc(1, sizeof *c);

    *c = (struct setting_change){ .older = s->changes,
                                  .slot = slot,
                                  .id = id,
                                  .level = level,
                                  .before = { copy(slot->session), copy(slot->current) } };
    s->changes = c;
    xfree(slot->current);
    slot->current = copy(value);
    if (!is_local) {
        xfree(slot->session);
        slot->session = copy(value);
    }
    if (!same(slot->current, c->before.current))
        tell(s, id);
}

void
settings_set(struct settings *s, enum setting_id id, const char *value, bool is_local, int level)
{
    slot_set(s, &s->slots[id], (int)id, value, is_local, level);
}

void
settings_set_custom(struct settings *s, const char *name, const char *value, bool is_local,
                    int level)
{
    struct custom_setting *c = custom_find(s, name);

    if (c == NULL) {
        c = xcalloc(1, sizeof *c);
        c->name = xstrdup(name);
        c->next = s->custom;
        s->custom = c;
    }
    slot_set(s, &c->slot, -1, value, is_local, level);
}

void
settings_reset_all(struct settings *s, int level)
{
    for (int i = 0; i < SETTING_COUNT; i++)
        if (s->slots[i].current != NULL || s->slots[i].session != NULL)
            settings_set(s, (enum setting_id)i, NULL, false, level);
    for (struct custom_setting *c = s->custom; c != NULL; c = c->next)
        if (c->slot.current != NULL || c->slot.session != NULL)
            slot_set(s, &c->slot, -1, NULL, false, level);
}

/* ---- ends ------------------------------------------------------------------------------------ */

void
settings_commit(struct settings *s)
{
    for (struct setting_change *c = s->changes; c != NULL; c = c->older) {
        struct setting_slot *slot = c->slot;

        if (same(slot->current, slot->session))
            continue;
        xfree(slot->current);
        slot->current = copy(slot->session);
        tell(s, c->id);
    }
    changes_drop(s);
}

void
settings_release(struct settings *s, int level)
{
    for (struct setting_change *c = s->changes; c != NULL; c = c->older)
        if (c->level >= level)
            c->level = level - 1;
}

void
settings_rollback(struct settings *s, int level)
{
    while (s->changes != NULL && s->changes->level >= level) {
        struct setting_change *c = s->changes;
        bool differs = !same(c->slot->current, c->before.current);

        s->changes = c->older;
        slot_clear(c->slot);
        *c->slot = c->before;
        if (differs)
            tell(s, c->id);
        xfree(c);
    }
}
