/* A raw client of the wire protocol for tests: blocking, on a Unix socket, with transcripts.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_SUPPORT_WIRE_H
#define TESTS_SUPPORT_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/bytes.h"

struct wire {
    int fd;
    uint8_t *buffer;
    size_t at, end, cap;
    uint32_t process_id, secret; /* of BackendKeyData */
    struct writer out;           /* gathered by the put functions, sent by wire_send */
};

bool wire_open(struct wire *w, const char *path);
void wire_close(struct wire *w);
/* Startup message with user and database; pairs of further names and values, ended by NULL. */
void wire_startup(struct wire *w, const char *user, const char *database);
void wire_put(struct wire *w, uint8_t type, const void *body, size_t size);
void wire_put_query(struct wire *w, const char *text);
void wire_put_parse(struct wire *w, const char *name, const char *text);
/* One parameter: NULL for none. */
void wire_put_bind(struct wire *w, const char *portal, const char *statement, const char *param,
                   size_t size, int format);
void wire_put_describe(struct wire *w, uint8_t message, char kind, const char *name);
void wire_put_execute(struct wire *w, const char *portal, int32_t max_rows);
void wire_send(struct wire *w);
void wire_send_slowly(struct wire *w); /* one byte a time */

/* The next message, or false at the end of the connection. Fails the test after 20 s. */
bool wire_next(struct wire *w, uint8_t *type, struct slice *body);
/* Reads until `stop` messages of type `until` (or the end of the connection) and writes down what
 * came: D[col|col] C[tag] E[code] N[text] S[name=value] Z[status] d[data], others by their letter,
 * the end of the connection as "EOF". S messages only if they are asked for. */
void wire_transcript(struct wire *w, uint8_t until, int stop, bool parameters, char *out,
                     size_t cap);
bool wire_has_input(struct wire *w, int timeout_ms);

#endif
