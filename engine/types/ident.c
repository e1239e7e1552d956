/* Identifiers in SQL text.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/types/ident.h"

#include "engine/types/text_int.h"

/* PostgreSQL's key words that need quotes as a column's name: all but the unreserved. Sorted. */
static const char *const ident_keywords[] = { "all",
                                              "analyse",
                                              "analyze",
                                              "and",
                                              "any",
                                              "array",
                                              "as",
                                              "asc",
                                              "asymmetric",
                                              "authorization",
                                              "between",
                                              "bigint",
                                              "binary",
                                              "bit",
                                              "boolean",
                                              "both",
                                              "case",
                                              "cast",
                                              "char",
                                              "character",
                                              "check",
                                              "coalesce",
                                              "collate",
                                              "collation",
                                              "column",
                                              "concurrently",
                                              "constraint",
                                              "create",
                                              "cross",
                                              "current_catalog",
                                              "current_date",
                                              "current_role",
                                              "current_schema",
                                              "current_time",
                                              "current_timestamp",
                                              "current_user",
                                              "dec",
                                              "decimal",
                                              "default",
                                              "deferrable",
                                              "desc",
                                              "distinct",
                                              "do",
                                              "else",
                                              "end",
                                              "except",
                                              "exists",
                                              "extract",
                                              "false",
                                              "fetch",
                                              "float",
                                              "for",
                                              "foreign",
                                              "freeze",
                                              "from",
                                              "full",
                                              "grant",
                                              "greatest",
                                              "group",
                                              "grouping",
                                              "having",
                                              "ilike",
                                              "in",
                                              "initially",
                                              "inner",
                                              "inout",
                                              "int",
                                              "integer",
                                              "intersect",
                                              "interval",
                                              "into",
                                              "is",
                                              "isnull",
                                              "join",
                                              "lateral",
                                              "leading",
                                              "least",
                                              "left",
                                              "like",
                                              "limit",
                                              "localtime",
                                              "localtimestamp",
                                              "national",
                                              "natural",
                                              "nchar",
                                              "none",
                                              "normalize",
                                              "not",
                                              "notnull",
                                              "null",
                                              "nullif",
                                              "numeric",
                                              "offset",
                                              "on",
                                              "only",
                                              "or",
                                              "order",
                                              "out",
                                              "outer",
                                              "overlaps",
                                              "overlay",
                                              "placing",
                                              "position",
                                              "precision",
                                              "primary",
                                              "real",
                                              "references",
                                              "returning",
                                              "right",
                                              "row",
                                              "select",
                                              "session_user",
                                              "setof",
                                              "similar",
                                              "smallint",
                                              "some",
                                              "substring",
                                              "symmetric",
                                              "table",
                                              "tablesample",
                                              "then",
                                              "time",
                                              "timestamp",
                                              "to",
                                              "trailing",
                                              "treat",
                                              "trim",
                                              "true",
                                              "union",
                                              "unique",
                                              "user",
                                              "using",
                                              "values",
                                              "varchar",
                                              "variadic",
                                              "verbose",
                                              "when",
                                              "where",
                                              "window",
                                              "with",
                                              "xmlattributes",
                                              "xmlconcat",
                                              "xmlelement",
                                              "xmlexists",
                                              "xmlforest",
                                              "xmlnamespaces",
                                              "xmlparse",
                                              "xmlpi",
                                              "xmlroot",
                                              "xmlserialize",
                                              "xmltable" };

static bool
ident_is_keyword(struct slice name)
{
    size_t low = 0, high = sizeof ident_keywords / sizeof ident_keywords[0];

    while (low < high) {
        size_t mid = (low + high) / 2;
        int c = slice_cmp(slice_str(ident_keywords[mid]), name);
        if (c == 0)
            return true;
        if (c < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return false;
}

bool
ident_needs_quotes(struct slice name)
{
    if (name.size == 0 || ascii_is_digit(name.data[0]))
        return true;
    for (size_t i = 0; i < name.size; i++) {
        uint8_t c = name.data[i];
        if (!(c >= 'a' && c <= 'z') && !ascii_is_digit(c) && c != '_')
            return true;
    }
    return ident_is_keyword(name);
}

void
ident_put(struct writer *w, struct slice name)
{
    if (!ident_needs_quotes(name)) {
        wr_slice(w, name);
        return;
    }
    wr_u8(w, '"');
    for (size_t i = 0; i < name.size; i++) {
        if (name.data[i] == '"')
            wr_u8(w, '"');
        wr_u8(w, name.data[i]);
    }
    wr_u8(w, '"');
}

void
literal_put(struct writer *w, struct slice text)
{
    if (text.size > 0 && memchr(text.data, '\\', text.size) != NULL)
        wr_u8(w, 'E');
    wr_u8(w, '\'');
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] == '\'' || text.data[i] == '\\')
            wr_u8(w, text.data[i]);
        wr_u8(w, text.data[i]);
    }
    wr_u8(w, '\'');
}
