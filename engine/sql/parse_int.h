/* What lexer, grammar and parse.c share.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_SQL_PARSE_INT_H
#define ENGINE_SQL_PARSE_INT_H

#include "engine/sql/parse.h"

/* Where a token or a rule's tokens are: bytes [at, end) of the text. */
struct sql_loc {
    int32_t at, end;
};

/* The values that tokens and rules carry. */
union sql_value {
    int64_t integer;
    bool boolean;
    int choice; /* of some enum */
    const char *str;
    struct slice text;
    struct ast *node;
    struct ast_list *list;
    struct ast_select *select;
    struct ast_relation *relation;
    struct ast_type_name *type;
    struct ast_with_clause *with;
    struct ast_insert *insert;
    struct ast_create_table *create_table;
    struct ast_constraint *constraint;
    struct ast_tx_modes *modes;
    struct ast_alias *alias;
};

struct sql_token {
    int kind; /* of the generated header; 0: end of text */
    struct sql_loc loc;
    union sql_value value;
};

/* The state of one run of the lexer. */
struct lexer {
    struct arena *arena;
    struct slice text;
    char *buffer; /* the text's copy that flex works on */
    void *flex;
    int error; /* the first one; the lexer then only gives ends */
    uint32_t token_count;
    struct sql_loc loc; /* of what the last rule matched */
    /* of the token being read, where one rule does not do */
    int32_t start;
    int comment_depth;
    const char *dollar_tag;
    int32_t dollar_tag_size;
};

MUST_CHECK
int lexer_init(struct lexer *lexer, struct arena *arena, struct slice text);
void lexer_fini(struct lexer *lexer);
/* Reads the next token. After an error: its code, and again at each call. */
MUST_CHECK
int lexer_next(struct lexer *lexer, struct sql_token *token);
/* Records `message at or near "token"`; at -2: the token being read. Returns ERR_SYNTAX. */
int lexer_error(struct lexer *lexer, const char *message, int32_t at, int32_t end);

/* literal.c: what the lexer's rules do with the text of a token */
int sql_keyword_token(const char *folded); /* 0: no keyword */
const char *sql_fold_name(struct arena *arena, const char *text, size_t size);
const char *sql_cut_name(struct arena *arena, const char *text, size_t size);
int sql_string_plain(struct lexer *lexer, const char *text, size_t size, struct slice *out);
int sql_string_escaped(struct lexer *lexer, const char *text, size_t size, struct slice *out);
int sql_string_unicode(struct lexer *lexer, const char *text, size_t size, char quote,
                       struct slice *out);
size_t sql_operator_size(const char *text, size_t size);

enum { PARSER_LOOKAHEAD = 4 };

struct parser {
    struct lexer lexer;
    struct arena *arena;
    struct sql_token ahead[PARSER_LOOKAHEAD]; /* a ring of tokens read and not yet given */
    int ahead_at, ahead_count;
    int mode;              /* a token that says what to parse, given first; 0 once given */
    struct sql_token last; /* the last one given */
    int error;
    const struct sql_normal *normal; /* or NULL */
    struct sql_loc first[3];         /* the first tokens of the statement at hand */
    int first_count;
    struct ast_list *statements;
    struct ast *expr;
};

int sql_bison_parse(struct parser *parser);
int sql_bison_lex(union sql_value *value, struct sql_loc *loc, struct parser *parser);
void sql_bison_error(struct sql_loc *loc, struct parser *parser, const char *message);
/* An error found by a grammar action. */
void parser_fail(struct parser *parser, int code, int32_t at, const char *message);

/* ---- nodes for the grammar's actions: parse_expr.c, parse_node.c; `at` is the node's place -----
 */

struct ast *node_new(struct parser *p, enum ast_kind kind, size_t size, int32_t at);
#define NODE(p, kind, type, place) AST_AS(type, node_new((p), (kind), sizeof(struct type), (place)))
struct ast_list *list_one(struct parser *p, void *item);
struct ast_list *list_add(struct parser *p, struct ast_list *list, void *item);
struct ast_list *list_join(struct parser *p, struct ast_list *a, struct ast_list *b);

struct ast *node_name(struct parser *p, const char *name, int32_t at);
struct ast *node_int(struct parser *p, int64_t v, struct sql_loc loc);
struct ast *node_bool_literal(struct parser *p, bool v, struct sql_loc loc);
struct ast *node_literal(struct parser *p, enum ast_literal_type type, struct slice text,
                         struct sql_loc loc);
struct ast *node_param(struct parser *p, int64_t number, int32_t at);
struct ast *node_op(struct parser *p, const char *op, struct ast *left, struct ast *right,
                    int32_t at);
struct ast *node_op_schema(struct parser *p, const struct ast_list *op, struct ast *left,
                           struct ast *right, int32_t at);
struct ast *node_minus(struct parser *p, struct ast *arg, int32_t at);
struct ast *node_bool(struct parser *p, enum ast_kind kind, struct ast *left, struct ast *right,
                      int32_t at);
struct ast *node_func(struct parser *p, const char *schema, const char *name, struct ast_list *args,
                      int32_t at);
struct ast *node_func_names(struct parser *p, const struct ast_list *names, struct ast_list *args,
                            int32_t at);
struct ast_list *node_func_path(struct parser *p, const char *first, const struct ast_list *path,
                                int32_t at);
struct ast *node_sql_func(struct parser *p, const char *name, struct ast_list *args, int32_t at);
struct ast *node_cast(struct parser *p, struct ast *arg, struct ast_type_name *type, int32_t at);
struct ast *node_collate(struct parser *p, struct ast *arg, const struct ast_list *name,
                         int32_t at);
struct ast *node_case(struct parser *p, struct ast *arg, const struct ast_list *pairs,
                      struct ast *otherwise, int32_t at);
struct ast *node_like(struct parser *p, enum ast_like_kind kind, struct ast *arg,
                      struct ast *pattern, struct ast *escape, bool negated, int32_t at);
struct ast *node_is(struct parser *p, enum ast_is_kind is, struct ast *arg, bool negated,
                    int32_t at);
struct ast *node_distinct(struct parser *p, struct ast *left, struct ast *right, bool negated,
                          int32_t at);
struct ast *node_between(struct parser *p, struct ast *arg, struct ast *low, struct ast *high,
                         bool negated, bool symmetric, int32_t at);
/* x [NOT] IN operand: a query, or an ast_row with the list. */
struct ast *node_in_any(struct parser *p, struct ast *arg, struct ast *operand, bool negated,
                        int32_t at);
struct ast *node_sublink(struct parser *p, enum ast_sublink_kind kind, struct ast *left,
                         const struct ast_list *op, struct ast *query, int32_t at);
struct ast *node_any(struct parser *p, struct ast *left, const struct ast_list *op,
                     struct ast *array, bool all, int32_t at);
struct ast *node_value_func(struct parser *p, enum ast_value_func_kind func, int32_t precision,
                            int32_t at);
struct ast *node_args(struct parser *p, enum ast_kind kind, struct ast_list *args, int32_t at);
struct ast *node_array(struct parser *p, struct ast_list *items, int32_t at);
struct ast *node_row(struct parser *p, struct ast_list *items, bool keyword, int32_t at);
struct ast *node_column(struct parser *p, const struct ast_list *names, bool star, int32_t at);
struct ast *node_indirection(struct parser *p, struct ast *base, const struct ast_list *path);
struct ast *node_sort(struct parser *p, struct ast *value, enum ast_sort_dir dir,
                      enum ast_sort_nulls nulls, const struct ast_list *op, int32_t at);

struct ast_relation *node_relation(struct parser *p, const struct ast_list *names, int32_t at);
struct ast *node_target(struct parser *p, struct ast *value, const char *name, int32_t at);
struct ast *node_option(struct parser *p, const char *name, struct ast *value, int32_t at);
struct ast_alias *node_alias(struct parser *p, const char *name, struct ast_list *columns);
struct ast *node_table(struct parser *p, struct ast_relation *relation,
                       const struct ast_alias *alias, int32_t at);
struct ast *node_as_of(struct parser *p, enum ast_as_of as_of, struct ast *value, int32_t at);
struct ast *node_table_func(struct parser *p, struct ast *func, const struct ast_alias *alias,
                            int32_t at);
struct ast *node_subquery(struct parser *p, struct ast_select *query, const struct ast_alias *alias,
                          bool lateral, int32_t at);
struct ast *node_join(struct parser *p, enum ast_join_kind kind, struct ast *left,
                      struct ast *right, int32_t at);
struct ast *node_join_qual(struct ast *qual, enum ast_join_kind kind, struct ast *left,
                           struct ast *right, int32_t at);
struct ast_type_name *node_type(struct parser *p, const char *name, struct ast_list *typmods,
                                int32_t at);
struct ast_type_name *node_type_named(struct parser *p, const struct ast_list *names,
                                      struct ast_list *typmods, int32_t at);
struct ast_with_clause *node_with(struct parser *p, struct ast_list *ctes, bool recursive,
                                  int32_t at);
struct ast_select *node_set_op(struct parser *p, enum ast_set_op op, bool all,
                               struct ast_select *left, struct ast_select *right, int32_t at);
struct ast_select *node_table_select(struct parser *p, struct ast_relation *relation, int32_t at);
/* Puts ORDER BY, FOR, LIMIT and WITH onto a query; fails where it has one already. */
struct ast_select *select_finish(struct parser *p, struct ast_select *s, struct ast_list *order_by,
                                 struct ast_list *locking, const struct ast_select *limits,
                                 struct ast_with_clause *with);
struct ast *node_insert(struct parser *p, struct ast_insert *rest,
                        const struct ast_insert *conflict, int32_t at);
struct ast_constraint *node_constraint(struct parser *p, enum ast_constraint_kind kind, int32_t at);
/* Adds a column's constraint, or lets DEFERRABLE and the like say more of the one before. */
struct ast_list *constraint_add(struct parser *p, struct ast_list *list,
                                struct ast_constraint *constraint);
struct ast_constraint *constraint_attribute(struct ast_constraint *constraint,
                                            const struct ast_constraint *attributes);
struct ast_alter_cmd *node_alter(struct parser *p, enum ast_alter_kind kind, const char *name,
                                 int32_t at);
struct ast *node_drop(struct parser *p, int object, bool if_exists, struct ast_list *names,
                      bool cascade, int32_t at);
struct ast *node_rename(struct parser *p, int object, struct ast_relation *relation,
                        const char *old_name, const char *new_name, bool if_exists, int32_t at);
struct ast *node_role(struct parser *p, enum ast_role_op op, struct ast_list *names,
                      struct ast_list *options, int32_t at);
struct ast *node_role_flag(struct parser *p, const char *word, int32_t at);
struct ast *node_comment(struct parser *p, enum ast_object object, const struct ast_list *name,
                         const char *text, int32_t at);
struct ast *node_transaction(struct parser *p, enum ast_transaction_op op, const char *name,
                             const struct ast_tx_modes *modes, int32_t at);
struct ast_tx_modes *node_modes(struct parser *p);
struct ast_tx_modes *modes_merge(struct ast_tx_modes *a, const struct ast_tx_modes *b);
struct ast *node_fetch(struct parser *p, const char *name, enum ast_fetch_dir dir, int64_t count);
void parser_add_statement(struct parser *p, struct ast *body, struct sql_loc loc);

#endif
