/* COPY: its options, and its text and CSV formats taken apart and put together. The formats are
 * pure functions over bytes (copy_format.c); copy_in.c and copy_out.c run the statement.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_SQL_COPY_H
#define ENGINE_SQL_COPY_H

#include "engine/base/bytes.h"
#include "engine/base/mem.h"

struct ast_list;

enum copy_header { COPY_HEADER_NONE, COPY_HEADER_YES, COPY_HEADER_MATCH };

struct copy_options {
    bool csv, freeze;
    enum copy_header header;
    char delimiter, quote, escape;
    const char *null; /* what stands for a null */
    size_t null_size;
    bool force_quote_all;
    const struct ast_list *force_quote, *force_not_null, *force_null; /* of ast_name */
};
/* From the statement's options, with PostgreSQL's defaults and errors. */
MUST_CHECK
int copy_options_read(struct arena *a, const struct ast_list *options, bool is_from,
                      struct copy_options *out);

/* ---- reading -----------------------------------------------------------------------------------
 */

/* Gathers pieces, cut anywhere, and gives records: lines, but for line breaks that are part of a
 * value. */
struct copy_reader {
    const struct copy_options *options;
    struct writer buffer;
    size_t at;         /* of the first byte not yet given out */
    size_t seen;       /* bytes of the next record that have been looked at */
    bool in_quote;     /* CSV: `seen` ends within quotes */
    bool after_escape; /* text: `seen` ends with a backslash that escapes */
    bool has_crlf;     /* lines end with CR LF */
    bool ended;        /* \. has come, or the end of the data */
    uint64_t line;     /* number of the record given last */
};
void copy_reader_init(struct copy_reader *r, const struct copy_options *o);
void copy_reader_fini(struct copy_reader *r);
MUST_CHECK
int copy_reader_add(struct copy_reader *r, struct slice piece);
void copy_reader_end(struct copy_reader *r); /* no more pieces */
/* The next record, without its line break; lives until the next add. False: none is whole yet, or
 * (ended) there are no more. */
bool copy_reader_next(struct copy_reader *r, struct slice *record);

/* One value of a record. */
struct copy_field {
    struct slice value; /* borrows from the record, or lies in the arena */
    bool is_null, was_quoted;
};
/* Up to `max` fields; *count: how many there are, which may be max + 1 for "too many". */
MUST_CHECK
int copy_split(const struct copy_options *o, struct arena *a, struct slice record, uint32_t max,
               struct copy_field *fields, uint32_t *count);

/* ---- writing -----------------------------------------------------------------------------------
 */

void copy_put_null(const struct copy_options *o, struct writer *w);
/* force: quoted whatever it is. only: the row has one column. */
void copy_put_value(const struct copy_options *o, struct slice value, bool force, bool only,
                    struct writer *w);

#endif
