/* The schema, as conf's own files see it.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CONF_CONF_INT_H
#define CONF_CONF_INT_H

#include "conf/conf.h"

enum conf_type {
    CONF_NAME,      /* of a member: char * */
    CONF_TEXT,      /* char * */
    CONF_PATH,      /* char *; empty: none */
    CONF_ADDRESS,   /* char *; empty: none */
    CONF_ADDRESSES, /* struct conf_list; empty: none */
    CONF_INT,       /* int64_t, as all below */
    CONF_SIZE,      /* bytes */
    CONF_DURATION_MS,
    CONF_DURATION_US,
    CONF_ENUM, /* index of the word */
};

enum { CONF_WORDS_MAX = 4, CONF_KEY_MAX = 64 };

struct conf_key {
    const char *name; /* "section.key", or "key" */
    enum conf_type type;
    size_t offset;
    const char *initial; /* as in a file */
    int64_t min, max;
    const char *words[CONF_WORDS_MAX];
    const char *doc; /* lines separated by \n */
};

extern const struct conf_key conf_schema[];
extern const int conf_schema_count;

/* NULL for an unknown name. */
const struct conf_key *conf_key_find(const char *name);
/* The known name that `name` is most likely meant to be, or NULL. */
const char *conf_key_nearest(const char *name);
/* What a value of this key must be, for messages: "a size from 1MB to 1TB". */
void conf_key_expected(const struct conf_key *k, char *out, size_t size);
/* Sets the field from the text of a scalar: false when it does not fit. Addresses: appends. */
bool conf_key_set(const struct conf_key *k, struct conf *c, const char *text);
void conf_key_clear(const struct conf_key *k, struct conf *c);

#endif
