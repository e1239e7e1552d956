/* SQL as PostgreSQL writes it, with Redoubt's AS OF. LALR(1), no conflicts: what needs more than one
 * token of lookahead (NOT IN, NULLS FIRST, WITH TIME, AS OF SCN) is joined in parse.c before it gets
 * here. Nodes are made in parse_node.c. Keywords are listed in keywords.h with their class.
 *
 * SPDX-License-Identifier: Apache-2.0 */
%code requires {
#include "engine/sql/parse_int.h"
}
%code {
#define YYMALLOC xmalloc
#define YYFREE   xfree
#define YYINITDEPTH 64
#define YYMAXDEPTH  8000 /* deeper nesting than that is refused: 54001 */
#define YYLLOC_DEFAULT(cur, rhs, n)                                                                \
    do {                                                                                           \
        (cur).at = (n) > 0 ? YYRHSLOC(rhs, 1).at : -1;                                             \
        for (int i_ = 2; (cur).at < 0 && i_ <= (n); i_++)                                          \
            (cur).at = YYRHSLOC(rhs, i_).at;                                                       \
        (cur).end = YYRHSLOC(rhs, (n) > 0 ? (n) : 0).end;                                          \
    } while (0)
#define UNSUPPORTED(loc, what)                                                                     \
    do {                                                                                           \
        parser_fail(p, ERR_NOT_SUPPORTED, (loc).at, what " not supported");                        \
        YYABORT;                                                                                   \
    } while (0)
#define BAD(loc, what)                                                                             \
    do {                                                                                           \
        parser_fail(p, ERR_SYNTAX, (loc).at, what);                                                \
        YYABORT;                                                                                   \
    } while (0)
#define RANGE(loc, what)                                                                           \
    do {                                                                                           \
        parser_fail(p, ERR_INVALID_PARAMETER_VALUE, (loc).at, what);                               \
        YYABORT;                                                                                   \
    } while (0)
#define BAD_NEAR(loc)                                                                              \
    do {                                                                                           \
        p->error = lexer_error(&p->lexer, "syntax error", (loc).at, (loc).end);                    \
        YYABORT;                                                                                   \
    } while (0)
#define LIST(x)     list_one(p, (x))
#define ADD(l, x)   list_add(p, (l), (x))
#define NAME(s, l)  node_name(p, (s), (l).at)
#define NEW(kind, type, l) node_new(p, (kind), sizeof(struct type), (l).at)
#define OPT(name, value, l) node_option(p, (name), (value), (l).at)
#define ON_(l)      node_bool_literal(p, true, (l))
#define STR(s, l)   node_literal(p, AST_LIT_STRING, (s), (l))
#define TYPE(n, l)  node_type(p, (n), NULL, (l).at)
#define CHECKED     do { if (p->error != 0) YYABORT; } while (0)
#define TEXT(s)     ((const char *)(s).data)
}
%define api.pure full
%define api.prefix {sql_bison_}
%define api.value.type {union sql_value}
%define api.location.type {struct sql_loc}
%define parse.error simple
%locations
%parse-param {struct parser *p}
%lex-param {struct parser *p}
%expect 0

%token MODE_STATEMENTS MODE_EXPR
%token <str> T_IDENT T_OP
%token <text> T_STRING T_NUMERIC T_BITS
%token <integer> T_INT T_PARAM
%token T_TYPECAST T_DOT_DOT T_COLON_EQUALS T_ARROW T_LE T_GE T_NE
%token T_NOT_LA T_NULLS_LA T_WITH_LA T_AS_OF_LA T_IF_LA

%token <str> K_ABORT K_ABSOLUTE K_ACCESS K_ACTION K_ADD K_ALL K_ALTER K_ALWAYS K_ANALYSE K_ANALYZE
%token <str> K_AND K_ANY K_ARRAY K_AS K_ASC K_ASYMMETRIC K_AT K_ATTACH K_AUTHORIZATION K_BACKWARD
%token <str> K_BEGIN K_BETWEEN K_BIGINT K_BINARY K_BIT K_BOOLEAN K_BOTH K_BY K_CACHE K_CASCADE
%token <str> K_CASE K_CAST K_CHAIN K_CHAR K_CHARACTER K_CHARACTERISTICS K_CHECK K_CHECKPOINT
%token <str> K_CLOSE K_CLUSTER K_COALESCE K_COLLATE K_COLLATION K_COLUMN K_COMMENT K_COMMIT
%token <str> K_COMMITTED K_CONCURRENTLY K_CONFLICT K_CONNECTION K_CONSTRAINT K_CONTINUE K_COPY
%token <str> K_CREATE K_CROSS K_CSV K_CUBE K_CURRENT K_CURRENT_CATALOG K_CURRENT_DATE
%token <str> K_CURRENT_ROLE K_CURRENT_SCHEMA K_CURRENT_TIME K_CURRENT_TIMESTAMP K_CURRENT_USER
%token <str> K_CURSOR K_CYCLE K_DATA K_DATABASE K_DAY K_DEALLOCATE K_DEC K_DECIMAL K_DECLARE
%token <str> K_DEFAULT K_DEFERRABLE K_DEFERRED K_DELETE K_DELIMITER K_DESC K_DETACH K_DISABLE
%token <str> K_DISCARD K_DISTINCT K_DO K_DOUBLE K_DROP K_ELSE K_ENABLE K_ENCODING K_ENCRYPTED
%token <str> K_END K_ESCAPE K_EXCEPT K_EXCLUDE K_EXCLUSIVE K_EXECUTE K_EXISTS K_EXPLAIN
%token <str> K_EXTENSION K_EXTRACT K_FALSE K_FETCH K_FILTER K_FIRST K_FLOAT K_FOR K_FORCE
%token <str> K_FOREIGN K_FORWARD K_FREEZE K_FROM K_FULL K_GENERATED K_GLOBAL K_GRANT K_GREATEST
%token <str> K_GROUP K_GROUPING K_HAVING K_HEADER K_HOLD K_HOUR K_IDENTITY K_IF K_ILIKE
%token <str> K_IMMEDIATE K_IN K_INCLUDE K_INCREMENT K_INDEX K_INHERIT K_INHERITS K_INITIALLY
%token <str> K_INNER K_INOUT K_INSENSITIVE K_INSERT K_INT K_INTEGER K_INTERSECT K_INTERVAL K_INTO
%token <str> K_IS K_ISNULL K_ISOLATION K_JOIN K_KEY K_LAST K_LATERAL K_LEADING K_LEAST K_LEFT
%token <str> K_LEVEL K_LIKE K_LIMIT K_LOCAL K_LOCALTIME K_LOCALTIMESTAMP K_LOCK K_LOCKED K_LOGGED
%token <str> K_MATCH K_MATERIALIZED K_MAXVALUE K_MINUTE K_MINVALUE K_MODE K_MONTH K_MOVE K_NAMES
%token <str> K_NATIONAL K_NATURAL K_NCHAR K_NEXT K_NO K_NONE K_NORMALIZE K_NOT K_NOTHING K_NOTNULL
%token <str> K_NOWAIT K_NULL K_NULLIF K_NULLS K_NUMERIC K_OF K_OFFSET K_OIDS K_ON K_ONLY
%token <str> K_OPERATOR K_OR K_ORDER K_ORDINALITY K_OUT K_OUTER K_OVER K_OVERLAPS K_OVERLAY
%token <str> K_OVERRIDING K_OWNED K_OWNER K_PARTIAL K_PARTITION K_PASSWORD K_PLACING K_PLANS
%token <str> K_POSITION K_PRECISION K_PREPARE K_PREPARED K_PRESERVE K_PRIMARY K_PRIOR K_PROGRAM
%token <str> K_QUOTE K_RANGE K_READ K_REAL K_RECURSIVE K_REFERENCES K_RELATIVE K_RELEASE K_RENAME
%token <str> K_REPEATABLE K_REPLACE K_REPLICA K_RESET K_RESTART K_RESTRICT K_RETURNING K_RIGHT
%token <str> K_ROLE K_ROLLBACK K_ROLLUP K_ROW K_ROWS K_SAVEPOINT K_SCHEMA K_SCN K_SCROLL K_SECOND
%token <str> K_SELECT K_SEQUENCE K_SEQUENCES K_SERIALIZABLE K_SESSION K_SESSION_USER K_SET K_SETOF
%token <str> K_SETS K_SHARE K_SHOW K_SIMILAR K_SIMPLE K_SKIP K_SMALLINT K_SNAPSHOT K_SOME K_START
%token <str> K_STATISTICS K_STDIN K_STDOUT K_STORAGE K_STORED K_SUBSTRING K_SYMMETRIC K_SYSTEM
%token <str> K_TABLE K_TABLESAMPLE K_TABLESPACE K_TEMP K_TEMPORARY K_THEN K_TIES K_TIME
%token <str> K_TIMESTAMP K_TO K_TRAILING K_TRANSACTION K_TREAT K_TRIGGER K_TRIM K_TRUE K_TRUNCATE
%token <str> K_TYPE K_UNCOMMITTED K_UNION K_UNIQUE K_UNKNOWN K_UNLOGGED K_UNTIL K_UPDATE K_USER
%token <str> K_USING K_VACUUM K_VALID K_VALIDATE K_VALUE K_VALUES K_VARCHAR K_VARIADIC K_VARYING
%token <str> K_VERBOSE K_VIEW K_WHEN K_WHERE K_WINDOW K_WITH K_WITHIN K_WITHOUT K_WORK K_WRITE
%token <str> K_XMLATTRIBUTES K_XMLCONCAT K_XMLELEMENT K_XMLEXISTS K_XMLFOREST K_XMLNAMESPACES
%token <str> K_XMLPARSE K_XMLPI K_XMLROOT K_XMLSERIALIZE K_XMLTABLE K_YEAR K_ZONE

%type <node> statement statement_opt select_stmt preparable explainable
%type <node> insert_stmt update_stmt delete_stmt transaction_stmt set_stmt show_stmt copy_stmt
%type <node> create_table_stmt create_index_stmt create_other_stmt alter_table_stmt rename_stmt
%type <node> drop_stmt truncate_stmt vacuum_stmt lock_stmt role_stmt comment_stmt cursor_stmt
%type <node> prepare_stmt explain_stmt sequence_stmt
%type <node> a_expr b_expr c_expr func_expr func_application func_common columnref literal number
%type <node> case_expr case_arg case_default in_operand where_opt having_opt table_ref joined_table
%type <node> target sort_item limit_value offset_value fetch_value func_table func_arg
%type <node> set_value set_target insert_column cte locking_item group_item set_clause copy_option_arg
%type <node> table_element column_def index_column alter_cmd copy_option copy_old_option option_item
%type <node> vacuum_target explain_option explain_arg array_expr indirection_el subscript_opt
%type <node> role_option seq_option table_func_column def_value set_item filter_opt
%type <node> alter_default conflict_where index_expr db_option extract_arg utility_option signed_number
%type <node> slice_bound alter_using fetch_rest copy_file plain_func as_of_value join_qual row where_or_current
%type <list> statements target_list target_list_opt expr_list func_args when_list indirection func_name operator_path sort_operator
%type <list> indirection_opt name_list from_list from_opt sort_list sort_opt group_opt group_list values_list
%type <list> any_name relation_list cte_list locking_list locking_opt set_list insert_columns
%type <list> returning_opt set_values table_elements table_elements_opt column_constraints options
%type <list> options_opt option_list columns_opt index_columns include_opt alter_cmds
%type <list> copy_options copy_option_list copy_old_options copy_force vacuum_targets
%type <list> vacuum_targets_opt explain_options utility_options type_list type_list_opt
%type <list> typmods_opt expr_list_opt trim_args overlay_args substr_args role_options seq_options
%type <list> seq_options_opt table_func_columns any_operator any_all_operator names any_names role_names
%type <list> vacuum_words db_options array_items into_names inherits_opt using_opt
%type <select> select_no_parens select_with_parens simple_select select_clause limit_clause
%type <select> limit_clause_opt values_clause
%type <with> with_clause with_opt
%type <relation> relation_expr qualified_name into_opt
%type <type> type_name simple_type numeric_type character_type datetime_type interval_type
%type <alias> alias alias_opt func_alias as_of_alias
%type <insert> insert_rest conflict_opt conflict_target
%type <create_table> table_tail
%type <constraint> column_constraint table_constraint constraint_body column_constraint_body
%type <constraint> fk_tail constraint_attributes
%type <modes> tx_modes tx_modes_opt tx_mode
%type <str> ident col_label bare_label type_func_name reserved_keyword unreserved_keyword
%type <str> col_name_keyword type_func_keyword non_reserved word_or_on var_name using_index
%type <str> alias_name_opt index_name_opt collate_opt opclass_opt tablespace_opt
%type <str> math_op bare_keyword cursor_name_opt savepoint_name using_method_opt owner_opt only_ident
%type <text> comment_text
%type <integer> iconst precision_opt signed_int array_dims
%type <choice> join_type asc_desc nulls_order isolation lock_strength lock_wait temp
%type <choice> fk_action fk_match drop_kind comment_kind lock_mode materialized override on_commit
%type <choice> interval_fields sub_kind rename_kind cursor_options with_data
%type <boolean> not_opt tx_chain if_exists if_not_exists cascade_opt unique_opt
%type <boolean> concurrently_opt varying_opt tz_opt only_with_ties restart_opt nowait_opt ordinality
%type <boolean> nulls_distinct verbose_opt copy_dir role_word set_quantifier

/* Lowest first. */
%nonassoc K_SET
%left K_UNION K_EXCEPT
%left K_INTERSECT
%left K_OR
%left K_AND
%right K_NOT
%nonassoc K_IS K_ISNULL K_NOTNULL
%nonassoc '<' '>' '=' T_LE T_GE T_NE
%nonassoc K_BETWEEN K_IN K_LIKE K_ILIKE K_SIMILAR T_NOT_LA
%nonassoc K_ESCAPE
%nonassoc T_IDENT K_PARTITION K_RANGE K_ROWS K_CUBE K_ROLLUP
%left T_OP K_OPERATOR
%left '+' '-'
%left '*' '/' '%'
%left '^'
%left K_AT
%left K_COLLATE
%right UMINUS
%left '[' ']'
%left '(' ')'
%left T_TYPECAST
%left '.'
%left K_JOIN K_CROSS K_LEFT K_FULL K_RIGHT K_INNER K_NATURAL

%%
input:
      MODE_STATEMENTS statements
    | MODE_EXPR a_expr                  { p->expr = $2; }
    ;
statements:
      statement_opt                     { $$ = NULL; }
    | statements ';' statement_opt      { $$ = NULL; }
    ;
statement_opt:
      %empty                            { $$ = NULL; }
    | statement                         { $$ = $1; parser_add_statement(p, $1, @1); }
    ;
statement:
      preparable
    | transaction_stmt | set_stmt | show_stmt | copy_stmt | create_table_stmt | create_index_stmt
    | create_other_stmt | sequence_stmt | alter_table_stmt | rename_stmt | drop_stmt
    | truncate_stmt | vacuum_stmt | lock_stmt | role_stmt | comment_stmt | cursor_stmt
    | prepare_stmt | explain_stmt
    | K_CHECKPOINT                      { $$ = NEW(AST_CHECKPOINT, ast, @1); }
    ;
preparable:
      select_stmt | insert_stmt | update_stmt | delete_stmt
    ;

/* ---- transactions --------------------------------------------------------------------------- */

transaction_stmt:
      K_BEGIN work_opt tx_modes_opt     { $$ = node_transaction(p, AST_TX_BEGIN, NULL, $3, @1.at); }
    | K_START K_TRANSACTION tx_modes_opt
        { $$ = node_transaction(p, AST_TX_BEGIN, NULL, $3, @1.at);
          AST_AS(ast_transaction, $$)->is_start = true; }
    | K_COMMIT work_opt tx_chain        { $$ = node_transaction(p, AST_TX_COMMIT, NULL, NULL, @1.at);
                                          AST_AS(ast_transaction, $$)->chain = $3; }
    | K_END work_opt tx_chain           { $$ = node_transaction(p, AST_TX_COMMIT, NULL, NULL, @1.at);
                                          AST_AS(ast_transaction, $$)->chain = $3; }
    | K_ROLLBACK work_opt tx_chain      { $$ = node_transaction(p, AST_TX_ROLLBACK, NULL, NULL, @1.at);
                                          AST_AS(ast_transaction, $$)->chain = $3; }
    | K_ABORT work_opt tx_chain         { $$ = node_transaction(p, AST_TX_ROLLBACK, NULL, NULL, @1.at);
                                          AST_AS(ast_transaction, $$)->chain = $3; }
    | K_SAVEPOINT ident                 { $$ = node_transaction(p, AST_TX_SAVEPOINT, $2, NULL, @1.at); }
    | K_RELEASE savepoint_name          { $$ = node_transaction(p, AST_TX_RELEASE, $2, NULL, @1.at); }
    | K_ROLLBACK work_opt K_TO savepoint_name
        { $$ = node_transaction(p, AST_TX_ROLLBACK_TO, $4, NULL, @1.at); }
    | K_PREPARE K_TRANSACTION T_STRING
        { $$ = node_transaction(p, AST_TX_PREPARE, TEXT($3), NULL, @1.at); }
    | K_COMMIT K_PREPARED T_STRING
        { $$ = node_transaction(p, AST_TX_COMMIT_PREPARED, TEXT($3), NULL, @1.at); }
    | K_ROLLBACK K_PREPARED T_STRING
        { $$ = node_transaction(p, AST_TX_ROLLBACK_PREPARED, TEXT($3), NULL, @1.at); }
    ;
savepoint_name:
      K_SAVEPOINT ident                 { $$ = $2; }
    | ident                             { $$ = $1; }
    ;
work_opt: %empty | K_WORK | K_TRANSACTION ;
tx_chain:
      %empty                            { $$ = false; }
    | K_AND K_CHAIN                     { $$ = true; }
    | K_AND K_NO K_CHAIN                { $$ = false; }
    ;
tx_modes_opt: %empty { $$ = node_modes(p); } | tx_modes ;
tx_modes:
      tx_mode
    | tx_modes tx_mode                  { $$ = modes_merge($1, $2); }
    | tx_modes ',' tx_mode              { $$ = modes_merge($1, $3); }
    ;
tx_mode:
      K_ISOLATION K_LEVEL isolation     { $$ = node_modes(p); $$->isolation = $3; }
    | K_READ K_ONLY                     { $$ = node_modes(p); $$->read_only = 1; }
    | K_READ K_WRITE                    { $$ = node_modes(p); $$->read_only = 0; }
    | K_DEFERRABLE                      { $$ = node_modes(p); $$->deferrable = 1; }
    | K_NOT K_DEFERRABLE                { $$ = node_modes(p); $$->deferrable = 0; }
    ;
isolation:
      K_READ K_UNCOMMITTED              { $$ = AST_ISOLATION_READ_UNCOMMITTED; }
    | K_READ K_COMMITTED                { $$ = AST_ISOLATION_READ_COMMITTED; }
    | K_REPEATABLE K_READ               { $$ = AST_ISOLATION_REPEATABLE_READ; }
    | K_SERIALIZABLE                    { $$ = AST_ISOLATION_SERIALIZABLE; }
    ;

/* ---- settings ------------------------------------------------------------------------------- */

set_stmt:
      K_SET set_item                    { $$ = $2; $$->at = @1.at; }
    | K_SET K_LOCAL set_item            { $$ = $3; $$->at = @1.at;
                                          if ($$->kind == AST_SET)
                                              AST_AS(ast_set, $$)->local = true; }
    | K_SET K_SESSION set_item          { $$ = $3; $$->at = @1.at; }
    | K_SET K_TRANSACTION tx_modes      { $$ = node_transaction(p, AST_TX_SET, NULL, $3, @1.at); }
    | K_SET K_TRANSACTION K_SNAPSHOT T_STRING
        { $$ = node_transaction(p, AST_TX_SET, NULL, NULL, @1.at);
          AST_AS(ast_transaction, $$)->modes.snapshot = TEXT($4); }
    | K_SET K_SESSION K_CHARACTERISTICS K_AS K_TRANSACTION tx_modes
        { $$ = node_transaction(p, AST_TX_SET_SESSION, NULL, $6, @1.at); }
    | K_RESET var_name                  { $$ = NEW(AST_SET, ast_set, @1);
                                          AST_AS(ast_set, $$)->set = AST_SET_RESET;
                                          AST_AS(ast_set, $$)->name = $2; }
    | K_RESET K_TIME K_ZONE             { $$ = NEW(AST_SET, ast_set, @1);
                                          AST_AS(ast_set, $$)->set = AST_SET_RESET;
                                          AST_AS(ast_set, $$)->name = "timezone"; }
    | K_RESET K_SESSION K_AUTHORIZATION { $$ = NEW(AST_SET, ast_set, @1);
                                          AST_AS(ast_set, $$)->set = AST_SET_RESET;
                                          AST_AS(ast_set, $$)->name = "session_authorization"; }
    | K_RESET K_TRANSACTION K_ISOLATION K_LEVEL
                                        { $$ = NEW(AST_SET, ast_set, @1);
                                          AST_AS(ast_set, $$)->set = AST_SET_RESET;
                                          AST_AS(ast_set, $$)->name = "transaction_isolation"; }
    | K_RESET K_ALL                     { $$ = NEW(AST_SET, ast_set, @1);
                                          AST_AS(ast_set, $$)->set = AST_SET_RESET_ALL; }
    | K_DISCARD K_ALL                   { $$ = NEW(AST_DISCARD, ast_discard, @1); }
    | K_DISCARD K_PLANS                 { $$ = NEW(AST_DISCARD, ast_discard, @1);
                                          AST_AS(ast_discard, $$)->what = AST_DISCARD_PLANS; }
    | K_DISCARD K_SEQUENCES             { $$ = NEW(AST_DISCARD, ast_discard, @1);
                                          AST_AS(ast_discard, $$)->what = AST_DISCARD_SEQUENCES; }
    | K_DISCARD K_TEMP                  { $$ = NEW(AST_DISCARD, ast_discard, @1);
                                          AST_AS(ast_discard, $$)->what = AST_DISCARD_TEMP; }
    | K_DISCARD K_TEMPORARY             { $$ = NEW(AST_DISCARD, ast_discard, @1);
                                          AST_AS(ast_discard, $$)->what = AST_DISCARD_TEMP; }
    ;
set_item:
      var_name to_or_equals set_values  { $$ = NEW(AST_SET, ast_set, @1);
                                          AST_AS(ast_set, $$)->name = $1;
                                          AST_AS(ast_set, $$)->values = $3; }
    | var_name to_or_equals K_DEFAULT   { $$ = NEW(AST_SET, ast_set, @1);
                                          AST_AS(ast_set, $$)->set = AST_SET_TO_DEFAULT;
                                          AST_AS(ast_set, $$)->name = $1; }
    | var_name K_FROM K_CURRENT         { $$ = NEW(AST_SET, ast_set, @1);
                                          AST_AS(ast_set, $$)->set = AST_SET_FROM_CURRENT;
                                          AST_AS(ast_set, $$)->name = $1; }
    | K_TIME K_ZONE set_value           { $$ = NEW(AST_SET, ast_set, @1);
                                          AST_AS(ast_set, $$)->name = "timezone";
                                          AST_AS(ast_set, $$)->values = LIST($3); }
    | K_TIME K_ZONE interval_type T_STRING interval_fields
        { $$ = NEW(AST_SET, ast_set, @1);
          AST_AS(ast_set, $$)->name = "timezone";
          AST_AS(ast_set, $$)->values = LIST(node_cast(p, STR($4, @4), $3, @3.at)); }
    | K_TIME K_ZONE K_DEFAULT           { $$ = NEW(AST_SET, ast_set, @1);
                                          AST_AS(ast_set, $$)->set = AST_SET_TO_DEFAULT;
                                          AST_AS(ast_set, $$)->name = "timezone"; }
    | K_NAMES T_STRING                  { $$ = NEW(AST_SET, ast_set, @1);
                                          AST_AS(ast_set, $$)->name = "client_encoding";
                                          AST_AS(ast_set, $$)->values = LIST(STR($2, @2)); }
    | K_NAMES                           { $$ = NEW(AST_SET, ast_set, @1);
                                          AST_AS(ast_set, $$)->set = AST_SET_TO_DEFAULT;
                                          AST_AS(ast_set, $$)->name = "client_encoding"; }
    | K_SCHEMA T_STRING                 { $$ = NEW(AST_SET, ast_set, @1);
                                          AST_AS(ast_set, $$)->name = "search_path";
                                          AST_AS(ast_set, $$)->values = LIST(STR($2, @2)); }
    | K_ROLE set_value                  { $$ = NEW(AST_SET, ast_set, @1);
                                          AST_AS(ast_set, $$)->name = "role";
                                          AST_AS(ast_set, $$)->values = LIST($2); }
    | K_SESSION K_AUTHORIZATION set_value
                                        { $$ = NEW(AST_SET, ast_set, @1);
                                          AST_AS(ast_set, $$)->name = "session_authorization";
                                          AST_AS(ast_set, $$)->values = LIST($3); }
    | K_SESSION K_AUTHORIZATION K_DEFAULT
                                        { $$ = NEW(AST_SET, ast_set, @1);
                                          AST_AS(ast_set, $$)->set = AST_SET_TO_DEFAULT;
                                          AST_AS(ast_set, $$)->name = "session_authorization"; }
    ;
to_or_equals: K_TO | '=' ;
var_name:
      ident
    | var_name '.' ident                { $$ = arena_printf(p->arena, "%s.%s", $1, $3); }
    ;
set_values:
      set_value                         { $$ = LIST($1); }
    | set_values ',' set_value          { $$ = ADD($1, $3); }
    ;
set_value:
      T_STRING                          { $$ = STR($1, @1); }
    | word_or_on                        { $$ = NAME($1, @1); }
    | K_TRUE                            { $$ = node_bool_literal(p, true, @1); }
    | K_FALSE                           { $$ = node_bool_literal(p, false, @1); }
    | signed_number
    ;
word_or_on: non_reserved | K_ON { $$ = $1; } ;
non_reserved: T_IDENT | unreserved_keyword | col_name_keyword | type_func_keyword ;
show_stmt:
      K_SHOW var_name                   { $$ = NEW(AST_SHOW, ast_show, @1);
                                          AST_AS(ast_show, $$)->name = $2; }
    | K_SHOW K_TIME K_ZONE              { $$ = NEW(AST_SHOW, ast_show, @1);
                                          AST_AS(ast_show, $$)->name = "timezone"; }
    | K_SHOW K_TRANSACTION K_ISOLATION K_LEVEL
                                        { $$ = NEW(AST_SHOW, ast_show, @1);
                                          AST_AS(ast_show, $$)->name = "transaction_isolation"; }
    | K_SHOW K_SESSION K_AUTHORIZATION  { $$ = NEW(AST_SHOW, ast_show, @1);
                                          AST_AS(ast_show, $$)->name = "session_authorization"; }
    | K_SHOW K_ALL                      { $$ = NEW(AST_SHOW, ast_show, @1); }
    ;

/* ---- prepared statements, EXPLAIN, cursors --------------------------------------------------- */

prepare_stmt:
      K_PREPARE ident type_list_opt K_AS preparable
        { $$ = NEW(AST_PREPARE, ast_prepare, @1);
          struct ast_prepare *s = AST_AS(ast_prepare, $$);
          s->name = $2; s->types = $3; s->statement = $5;
          s->statement_at = @5.at; s->statement_end = @5.end; }
    | K_EXECUTE ident expr_list_opt     { $$ = NEW(AST_EXECUTE, ast_execute, @1);
                                          AST_AS(ast_execute, $$)->name = $2;
                                          AST_AS(ast_execute, $$)->args = $3; }
    | K_DEALLOCATE ident                { $$ = NEW(AST_DEALLOCATE, ast_deallocate, @1);
                                          AST_AS(ast_deallocate, $$)->name = $2; }
    | K_DEALLOCATE K_PREPARE ident      { $$ = NEW(AST_DEALLOCATE, ast_deallocate, @1);
                                          AST_AS(ast_deallocate, $$)->name = $3; }
    | K_DEALLOCATE K_ALL                { $$ = NEW(AST_DEALLOCATE, ast_deallocate, @1); }
    | K_DEALLOCATE K_PREPARE K_ALL      { $$ = NEW(AST_DEALLOCATE, ast_deallocate, @1); }
    ;
type_list_opt: %empty { $$ = NULL; } | '(' type_list ')' { $$ = $2; } ;
type_list:
      type_name                         { $$ = LIST($1); }
    | type_list ',' type_name           { $$ = ADD($1, $3); }
    ;
expr_list_opt: %empty { $$ = NULL; } | '(' ')' { $$ = NULL; } | '(' expr_list ')' { $$ = $2; } ;
explain_stmt:
      K_EXPLAIN explainable             { $$ = NEW(AST_EXPLAIN, ast_explain, @1);
                                          AST_AS(ast_explain, $$)->statement = $2; }
    | K_EXPLAIN analyze verbose_opt explainable
        { $$ = NEW(AST_EXPLAIN, ast_explain, @1);
          struct ast_explain *s = AST_AS(ast_explain, $$);
          s->statement = $4;
          s->options = LIST(OPT("analyze", NULL, @2));
          if ($3)
              s->options = ADD(s->options, OPT("verbose", NULL, @3)); }
    | K_EXPLAIN K_VERBOSE explainable
        { $$ = NEW(AST_EXPLAIN, ast_explain, @1);
          AST_AS(ast_explain, $$)->statement = $3;
          AST_AS(ast_explain, $$)->options = LIST(OPT("verbose", NULL, @2)); }
    | K_EXPLAIN '(' explain_options ')' explainable
        { $$ = NEW(AST_EXPLAIN, ast_explain, @1);
          AST_AS(ast_explain, $$)->statement = $5;
          AST_AS(ast_explain, $$)->options = $3; }
    ;
analyze: K_ANALYZE | K_ANALYSE ;
verbose_opt: %empty { $$ = false; } | K_VERBOSE { $$ = true; } ;
explainable: preparable | create_table_stmt | prepare_stmt | cursor_stmt ;
explain_options:
      explain_option                    { $$ = LIST($1); }
    | explain_options ',' explain_option { $$ = ADD($1, $3); }
    ;
explain_option:
      non_reserved explain_arg          { $$ = OPT($1, $2, @1); }
    | analyze explain_arg               { $$ = OPT("analyze", $2, @1); }
    ;
explain_arg: %empty { $$ = NULL; } | set_value ;
cursor_stmt:
      K_DECLARE ident cursor_options K_CURSOR hold_opt K_FOR select_stmt
        { $$ = NEW(AST_DECLARE_CURSOR, ast_declare_cursor, @1);
          struct ast_declare_cursor *s = AST_AS(ast_declare_cursor, $$);
          s->name = $2; s->query = $7; s->query_at = @7.at; s->query_end = @7.end;
          s->binary = ($3 & 1) != 0; s->insensitive = ($3 & 2) != 0;
          s->scroll = ($3 & 4) != 0; s->no_scroll = ($3 & 8) != 0; s->hold = @5.at >= 0; }
    | K_FETCH fetch_rest                { $$ = $2; $$->at = @1.at; }
    | K_MOVE fetch_rest                 { $$ = $2; $$->at = @1.at;
                                          AST_AS(ast_fetch, $$)->move = true; }
    | K_CLOSE ident                     { $$ = NEW(AST_CLOSE, ast_close, @1);
                                          AST_AS(ast_close, $$)->name = $2; }
    | K_CLOSE K_ALL                     { $$ = NEW(AST_CLOSE, ast_close, @1); }
    ;
cursor_options:
      %empty                            { $$ = 0; }
    | cursor_options K_BINARY           { $$ = $1 | 1; }
    | cursor_options K_INSENSITIVE      { $$ = $1 | 2; }
    | cursor_options K_SCROLL           { $$ = $1 | 4; }
    | cursor_options K_NO K_SCROLL      { $$ = $1 | 8; }
    ;
hold_opt: %empty | K_WITH K_HOLD | K_WITHOUT K_HOLD { @$.at = -1; } ;
fetch_rest:
      cursor_name_opt           { $$ = node_fetch(p, $1, AST_FETCH_FORWARD, 1); }
    | K_NEXT cursor_name_opt    { $$ = node_fetch(p, $2, AST_FETCH_FORWARD, 1); }
    | K_PRIOR cursor_name_opt   { $$ = node_fetch(p, $2, AST_FETCH_BACKWARD, 1); }
    | K_FIRST cursor_name_opt   { $$ = node_fetch(p, $2, AST_FETCH_ABSOLUTE, 1); }
    | K_LAST cursor_name_opt    { $$ = node_fetch(p, $2, AST_FETCH_ABSOLUTE, -1); }
    | K_ABSOLUTE signed_int cursor_name_opt
                                { $$ = node_fetch(p, $3, AST_FETCH_ABSOLUTE, $2); }
    | K_RELATIVE signed_int cursor_name_opt
                                { $$ = node_fetch(p, $3, AST_FETCH_RELATIVE, $2); }
    | signed_int cursor_name_opt { $$ = node_fetch(p, $2, AST_FETCH_FORWARD, $1); }
    | K_ALL cursor_name_opt     { $$ = node_fetch(p, $2, AST_FETCH_FORWARD, INT64_MAX); }
    | K_FORWARD cursor_name_opt { $$ = node_fetch(p, $2, AST_FETCH_FORWARD, 1); }
    | K_FORWARD signed_int cursor_name_opt
                                { $$ = node_fetch(p, $3, AST_FETCH_FORWARD, $2); }
    | K_FORWARD K_ALL cursor_name_opt
                                { $$ = node_fetch(p, $3, AST_FETCH_FORWARD, INT64_MAX); }
    | K_BACKWARD cursor_name_opt { $$ = node_fetch(p, $2, AST_FETCH_BACKWARD, 1); }
    | K_BACKWARD signed_int cursor_name_opt
                                { $$ = node_fetch(p, $3, AST_FETCH_BACKWARD, $2); }
    | K_BACKWARD K_ALL cursor_name_opt
                                { $$ = node_fetch(p, $3, AST_FETCH_BACKWARD, INT64_MAX); }
    ;
cursor_name_opt: ident | K_FROM ident { $$ = $2; } | K_IN ident { $$ = $2; } ;

/* ---- COPY ----------------------------------------------------------------------------------- */

copy_stmt:
      K_COPY qualified_name columns_opt copy_dir copy_file copy_options where_opt
        { $$ = $5; $$->at = @1.at;
          struct ast_copy *s = AST_AS(ast_copy, $$);
          s->from = $4; s->relation = $2; s->columns = $3; s->options = $6; s->where = $7;
          if ($7 != NULL && !s->from)
              BAD(@7, "WHERE clause not allowed with COPY TO"); }
    | K_COPY '(' preparable ')' copy_dir copy_file copy_options
        { $$ = $6; $$->at = @1.at;
          AST_AS(ast_copy, $$)->query = $3;
          AST_AS(ast_copy, $$)->options = $7;
          if ($5)
              BAD(@5, "COPY FROM not supported with a query"); }
    ;
copy_dir:
      K_FROM                            { $$ = true; }
    | K_TO                              { $$ = false; }
    ;
copy_file:
      K_STDIN                           { $$ = NEW(AST_COPY, ast_copy, @1); }
    | K_STDOUT                          { $$ = NEW(AST_COPY, ast_copy, @1); }
    | T_STRING                          { $$ = NEW(AST_COPY, ast_copy, @1);
                                          AST_AS(ast_copy, $$)->file = TEXT($1); }
    | K_PROGRAM T_STRING                { $$ = NEW(AST_COPY, ast_copy, @1);
                                          AST_AS(ast_copy, $$)->file = TEXT($2);
                                          AST_AS(ast_copy, $$)->program = true; }
    ;
copy_options:
      with_word_opt copy_old_options            { $$ = $2; }
    | with_word_opt '(' copy_option_list ')'    { $$ = $3; }
    ;
with_word_opt: %empty | K_WITH ;
copy_old_options:
      %empty                            { $$ = NULL; }
    | copy_old_options copy_old_option  { $$ = ADD($1, $2); }
    ;
copy_old_option:
      K_BINARY                          { $$ = OPT("format", STR(slice_str("binary"), @1), @1); }
    | K_CSV                             { $$ = OPT("format", STR(slice_str("csv"), @1), @1); }
    | K_FREEZE                          { $$ = OPT("freeze", NULL, @1); }
    | K_HEADER                          { $$ = OPT("header", NULL, @1); }
    | K_DELIMITER as_opt T_STRING       { $$ = OPT("delimiter", STR($3, @3), @1); }
    | K_NULL as_opt T_STRING            { $$ = OPT("null", STR($3, @3), @1); }
    | K_QUOTE as_opt T_STRING           { $$ = OPT("quote", STR($3, @3), @1); }
    | K_ESCAPE as_opt T_STRING          { $$ = OPT("escape", STR($3, @3), @1); }
    | K_ENCODING T_STRING               { $$ = OPT("encoding", STR($2, @2), @1); }
    | K_FORCE K_QUOTE copy_force        { $$ = OPT("force_quote", NULL, @1);
                                          AST_AS(ast_option, $$)->list = $3;
                                          AST_AS(ast_option, $$)->star = $3 == NULL; }
    | K_FORCE K_NOT K_NULL name_list    { $$ = OPT("force_not_null", NULL, @1);
                                          AST_AS(ast_option, $$)->list = $4; }
    | K_FORCE K_NULL name_list          { $$ = OPT("force_null", NULL, @1);
                                          AST_AS(ast_option, $$)->list = $3; }
    ;
as_opt: %empty | K_AS ;
copy_force: '*' { $$ = NULL; } | name_list ;
copy_option_list:
      copy_option                       { $$ = LIST($1); }
    | copy_option_list ',' copy_option  { $$ = ADD($1, $3); }
    ;
copy_option:
      col_label copy_option_arg         { $$ = OPT($1, $2, @1); }
    | col_label '*'                     { $$ = OPT($1, NULL, @1);
                                          AST_AS(ast_option, $$)->star = true; }
    | col_label '(' name_list ')'       { $$ = OPT($1, NULL, @1);
                                          AST_AS(ast_option, $$)->list = $3; }
    ;
copy_option_arg: %empty { $$ = NULL; } | set_value ;

/* ---- tables --------------------------------------------------------------------------------- */

create_table_stmt:
      K_CREATE temp K_TABLE if_not_exists qualified_name '(' table_elements_opt ')' inherits_opt
          table_tail
        { struct ast_create_table *s = $10;
          s->node.at = @1.at; s->persistence = $2; s->if_not_exists = $4; s->relation = $5;
          s->elements = $7; s->inherits = $9;
          $$ = &s->node; }
    | K_CREATE temp K_TABLE if_not_exists qualified_name columns_opt table_tail K_AS select_stmt
          with_data
        { $$ = NEW(AST_CREATE_TABLE_AS, ast_create_table_as, @1);
          struct ast_create_table_as *s = AST_AS(ast_create_table_as, $$);
          s->persistence = $2; s->if_not_exists = $4; s->relation = $5; s->columns = $6;
          s->options = $7->options; s->query = $9; s->with_no_data = $10; }
    | K_CREATE temp K_TABLE if_not_exists qualified_name columns_opt table_tail K_AS K_EXECUTE
        { UNSUPPORTED(@9, "CREATE TABLE AS EXECUTE is"); }
    | K_CREATE temp K_TABLE if_not_exists qualified_name K_OF
        { UNSUPPORTED(@6, "typed tables are"); }
    | K_CREATE K_MATERIALIZED
        { UNSUPPORTED(@2, "materialized views are"); }
    ;
with_data:
      %empty                            { $$ = 0; }
    | K_WITH K_DATA                     { $$ = 0; }
    | K_WITH K_NO K_DATA                { $$ = 1; }
    ;
temp:
      %empty                            { $$ = AST_PERMANENT; }
    | K_TEMPORARY                       { $$ = AST_TEMPORARY; }
    | K_TEMP                            { $$ = AST_TEMPORARY; }
    | K_LOCAL K_TEMPORARY               { $$ = AST_TEMPORARY; }
    | K_LOCAL K_TEMP                    { $$ = AST_TEMPORARY; }
    | K_GLOBAL K_TEMPORARY              { $$ = AST_TEMPORARY; }
    | K_GLOBAL K_TEMP                   { $$ = AST_TEMPORARY; }
    | K_UNLOGGED                        { $$ = AST_UNLOGGED; }
    ;
inherits_opt:
      %empty                            { $$ = NULL; }
    | K_INHERITS                        { UNSUPPORTED(@1, "inheritance is"); }
    ;
table_tail:
      %empty                            { $$ = NODE(p, AST_CREATE_TABLE, ast_create_table, -1); }
    | table_tail K_PARTITION            { UNSUPPORTED(@2, "partitioning is"); }
    | table_tail K_USING ident          { $$ = $1; $$->access_method = $3; }
    | table_tail K_WITH '(' option_list ')' { $$ = $1; $$->options = $4; }
    | table_tail K_WITHOUT K_OIDS       { $$ = $1; }
    | table_tail K_ON K_COMMIT on_commit { $$ = $1; $$->on_commit = $4; }
    | table_tail K_TABLESPACE ident     { $$ = $1; $$->tablespace = $3; }
    ;
on_commit:
      K_DROP                            { $$ = AST_ON_COMMIT_DROP; }
    | K_DELETE K_ROWS                   { $$ = AST_ON_COMMIT_DELETE; }
    | K_PRESERVE K_ROWS                 { $$ = AST_ON_COMMIT_PRESERVE; }
    ;
if_not_exists: %empty { $$ = false; } | T_IF_LA K_NOT K_EXISTS { $$ = true; } ;
if_exists: %empty { $$ = false; } | T_IF_LA K_EXISTS { $$ = true; } ;
options_opt: %empty { $$ = NULL; } | options ;
options: K_WITH '(' option_list ')' { $$ = $3; } ;
option_list:
      option_item                       { $$ = LIST($1); }
    | option_list ',' option_item       { $$ = ADD($1, $3); }
    ;
option_item:
      col_label                         { $$ = OPT($1, NULL, @1); }
    | col_label '=' def_value           { $$ = OPT($1, $3, @1); }
    | col_label '.' col_label           { $$ = OPT(arena_printf(p->arena, "%s.%s", $1, $3), NULL, @1); }
    | col_label '.' col_label '=' def_value
        { $$ = OPT(arena_printf(p->arena, "%s.%s", $1, $3), $5, @1); }
    ;
def_value:
      col_label                         { $$ = NAME($1, @1); }
    | signed_number
    | T_STRING                          { $$ = STR($1, @1); }
    ;
table_elements_opt: %empty { $$ = NULL; } | table_elements ;
table_elements:
      table_element                     { $$ = LIST($1); }
    | table_elements ',' table_element  { $$ = ADD($1, $3); }
    ;
table_element:
      column_def
    | table_constraint                  { $$ = &$1->node; }
    | K_LIKE qualified_name             { UNSUPPORTED(@1, "CREATE TABLE (LIKE ...) is"); }
    ;
column_def:
      ident type_name column_constraints
        { $$ = NEW(AST_COLUMN_DEF, ast_column_def, @1);
          AST_AS(ast_column_def, $$)->name = $1;
          AST_AS(ast_column_def, $$)->type = $2;
          AST_AS(ast_column_def, $$)->constraints = $3; }
    ;
column_constraints:
      %empty                            { $$ = NULL; }
    | column_constraints column_constraint
        { $$ = constraint_add(p, $1, $2); if (p->error != 0) YYABORT; }
    ;
column_constraint:
      K_CONSTRAINT ident column_constraint_body { $$ = $3; $$->name = $2; $$->node.at = @1.at; }
    | column_constraint_body
    | K_DEFERRABLE                      { $$ = node_constraint(p, AST_CON_ATTRIBUTE, @1.at);
                                          $$->deferrable = true; }
    | K_NOT K_DEFERRABLE                { $$ = node_constraint(p, AST_CON_ATTRIBUTE, @1.at); }
    | K_INITIALLY K_DEFERRED            { $$ = node_constraint(p, AST_CON_ATTRIBUTE, @1.at);
                                          $$->deferrable = $$->initially_deferred = true; }
    | K_INITIALLY K_IMMEDIATE           { $$ = node_constraint(p, AST_CON_ATTRIBUTE, @1.at); }
    | K_COLLATE any_name                { $$ = node_constraint(p, AST_CON_COLLATE, @1.at);
                                          $$->columns = $2; }
    ;
column_constraint_body:
      K_NOT K_NULL                      { $$ = node_constraint(p, AST_CON_NOT_NULL, @1.at); }
    | K_NULL                            { $$ = node_constraint(p, AST_CON_NULL, @1.at); }
    | K_UNIQUE nulls_distinct options_opt
                                        { $$ = node_constraint(p, AST_CON_UNIQUE, @1.at);
                                          $$->nulls_not_distinct = $2; $$->options = $3; }
    | K_PRIMARY K_KEY options_opt       { $$ = node_constraint(p, AST_CON_PRIMARY, @1.at);
                                          $$->options = $3; }
    | K_CHECK '(' a_expr ')'            { $$ = node_constraint(p, AST_CON_CHECK, @1.at);
                                          $$->expr = $3; $$->expr_at = @3.at; $$->expr_end = @3.end; }
    | K_DEFAULT b_expr                  { $$ = node_constraint(p, AST_CON_DEFAULT, @1.at);
                                          $$->expr = $2; $$->expr_at = @2.at; $$->expr_end = @2.end; }
    | K_GENERATED K_ALWAYS K_AS K_IDENTITY seq_options_opt
                                        { $$ = node_constraint(p, AST_CON_IDENTITY, @1.at);
                                          $$->identity_always = true; $$->sequence = $5; }
    | K_GENERATED K_BY K_DEFAULT K_AS K_IDENTITY seq_options_opt
                                        { $$ = node_constraint(p, AST_CON_IDENTITY, @1.at);
                                          $$->sequence = $6; }
    | K_GENERATED K_ALWAYS K_AS '(' a_expr ')' K_STORED
                                        { UNSUPPORTED(@1, "generated columns are"); }
    | K_REFERENCES qualified_name columns_opt fk_tail
                                        { $$ = $4; $$->node.at = @1.at;
                                          $$->ref = $2; $$->ref_columns = $3; }
    ;
nulls_distinct:
      %empty                            { $$ = false; }
    | K_NULLS K_DISTINCT                { $$ = false; }
    | K_NULLS K_NOT K_DISTINCT          { $$ = true; }
    ;
fk_tail:
      fk_match                          { $$ = node_constraint(p, AST_CON_FOREIGN, -1);
                                          $$->match = $1; }
    | fk_tail K_ON K_DELETE fk_action   { $$ = $1; $$->on_delete = $4; }
    | fk_tail K_ON K_UPDATE fk_action   { $$ = $1; $$->on_update = $4; }
    ;
fk_match:
      %empty                            { $$ = AST_FK_MATCH_SIMPLE; }
    | K_MATCH K_SIMPLE                  { $$ = AST_FK_MATCH_SIMPLE; }
    | K_MATCH K_FULL                    { $$ = AST_FK_MATCH_FULL; }
    | K_MATCH K_PARTIAL                 { UNSUPPORTED(@1, "MATCH PARTIAL is"); }
    ;
fk_action:
      K_NO K_ACTION                     { $$ = AST_FK_NO_ACTION; }
    | K_RESTRICT                        { $$ = AST_FK_RESTRICT; }
    | K_CASCADE                         { $$ = AST_FK_CASCADE; }
    | K_SET K_NULL                      { $$ = AST_FK_SET_NULL; }
    | K_SET K_DEFAULT                   { $$ = AST_FK_SET_DEFAULT; }
    ;
table_constraint:
      K_CONSTRAINT ident constraint_body constraint_attributes
        { $$ = constraint_attribute($3, $4); $$->name = $2; $$->node.at = @1.at; }
    | constraint_body constraint_attributes { $$ = constraint_attribute($1, $2); }
    ;
constraint_body:
      K_CHECK '(' a_expr ')'            { $$ = node_constraint(p, AST_CON_CHECK, @1.at);
                                          $$->expr = $3; $$->expr_at = @3.at; $$->expr_end = @3.end; }
    | K_UNIQUE nulls_distinct '(' name_list ')' include_opt options_opt
                                        { $$ = node_constraint(p, AST_CON_UNIQUE, @1.at);
                                          $$->nulls_not_distinct = $2; $$->columns = $4;
                                          $$->include = $6; $$->options = $7; }
    | K_UNIQUE using_index              { $$ = node_constraint(p, AST_CON_UNIQUE, @1.at);
                                          $$->using_index = $2; }
    | K_PRIMARY K_KEY '(' name_list ')' include_opt options_opt tablespace_opt
                                        { $$ = node_constraint(p, AST_CON_PRIMARY, @1.at);
                                          $$->columns = $4; $$->include = $6; $$->options = $7;
                                          $$->tablespace = $8; }
    | K_PRIMARY K_KEY using_index       { $$ = node_constraint(p, AST_CON_PRIMARY, @1.at);
                                          $$->using_index = $3; }
    | K_FOREIGN K_KEY '(' name_list ')' K_REFERENCES qualified_name columns_opt fk_tail
                                        { $$ = $9; $$->node.at = @1.at; $$->columns = $4;
                                          $$->ref = $7; $$->ref_columns = $8; }
    | K_EXCLUDE K_USING                 { UNSUPPORTED(@1, "exclusion constraints are"); }
    | K_EXCLUDE '('                     { UNSUPPORTED(@1, "exclusion constraints are"); }
    ;
using_index: K_USING K_INDEX ident { $$ = $3; } ;
constraint_attributes:
      %empty                            { $$ = node_constraint(p, AST_CON_ATTRIBUTE, -1); }
    | constraint_attributes K_DEFERRABLE { $$ = $1; $$->deferrable = true; }
    | constraint_attributes K_NOT K_DEFERRABLE { $$ = $1; }
    | constraint_attributes K_INITIALLY K_DEFERRED
                                        { $$ = $1; $$->deferrable = $$->initially_deferred = true; }
    | constraint_attributes K_INITIALLY K_IMMEDIATE { $$ = $1; }
    | constraint_attributes K_NOT K_VALID { $$ = $1; $$->not_valid = true; }
    | constraint_attributes K_NO K_INHERIT { $$ = $1; $$->no_inherit = true; }
    ;
include_opt: %empty { $$ = NULL; } | K_INCLUDE '(' index_columns ')' { $$ = $3; } ;
tablespace_opt:
      %empty                            { $$ = NULL; }
    | K_TABLESPACE ident                { $$ = $2; }
    | K_USING K_INDEX K_TABLESPACE ident { $$ = $4; }
    ;
columns_opt: %empty { $$ = NULL; } | '(' name_list ')' { $$ = $2; } ;

/* ---- indexes -------------------------------------------------------------------------------- */

create_index_stmt:
      K_CREATE unique_opt K_INDEX concurrently_opt index_name_opt K_ON relation_expr
          using_method_opt '(' index_columns ')' include_opt nulls_distinct options_opt
          tablespace_opt where_opt
        { $$ = NEW(AST_CREATE_INDEX, ast_create_index, @1);
          struct ast_create_index *s = AST_AS(ast_create_index, $$);
          s->unique = $2; s->concurrently = $4; s->name = $5; s->relation = $7; s->method = $8;
          s->columns = $10; s->include = $12; s->nulls_not_distinct = $13; s->options = $14;
          s->tablespace = $15; s->where = $16; }
    | K_CREATE unique_opt K_INDEX concurrently_opt T_IF_LA K_NOT K_EXISTS ident K_ON relation_expr
          using_method_opt '(' index_columns ')' include_opt nulls_distinct options_opt
          tablespace_opt where_opt
        { $$ = NEW(AST_CREATE_INDEX, ast_create_index, @1);
          struct ast_create_index *s = AST_AS(ast_create_index, $$);
          s->if_not_exists = true;
          s->unique = $2; s->concurrently = $4; s->name = $8; s->relation = $10; s->method = $11;
          s->columns = $13; s->include = $15; s->nulls_not_distinct = $16; s->options = $17;
          s->tablespace = $18; s->where = $19; }
    ;
unique_opt: %empty { $$ = false; } | K_UNIQUE { $$ = true; } ;
concurrently_opt: %empty { $$ = false; } | K_CONCURRENTLY { $$ = true; } ;
index_name_opt: %empty { $$ = NULL; } | ident ;
using_method_opt: %empty { $$ = NULL; } | K_USING ident { $$ = $2; } ;
index_columns:
      index_column                      { $$ = LIST($1); }
    | index_columns ',' index_column    { $$ = ADD($1, $3); }
    ;
index_column:
      index_expr collate_opt opclass_opt asc_desc nulls_order
        { $$ = $1;
          struct ast_index_column *c = AST_AS(ast_index_column, $$);
          c->collation = $2; c->opclass = $3; c->dir = $4; c->nulls = $5; }
    ;
index_expr:
      ident                             { $$ = NEW(AST_INDEX_COLUMN, ast_index_column, @1);
                                          AST_AS(ast_index_column, $$)->column = $1; }
    | plain_func                        { $$ = NEW(AST_INDEX_COLUMN, ast_index_column, @1);
                                          AST_AS(ast_index_column, $$)->expr = $1; }
    | '(' a_expr ')'                    { $$ = NEW(AST_INDEX_COLUMN, ast_index_column, @1);
                                          AST_AS(ast_index_column, $$)->expr = $2; }
    ;
collate_opt:
      %empty                            { $$ = NULL; }
    | K_COLLATE any_name                { $$ = AST_AS(ast_name, $2->item[$2->count - 1])->name; }
    ;
opclass_opt:
      %empty                            { $$ = NULL; }
    | any_name                          { $$ = AST_AS(ast_name, $1->item[$1->count - 1])->name; }
    ;
asc_desc:
      %empty                            { $$ = AST_SORT_DEFAULT; }
    | K_ASC                             { $$ = AST_SORT_ASC; }
    | K_DESC                            { $$ = AST_SORT_DESC; }
    ;
nulls_order:
      %empty                            { $$ = AST_NULLS_DEFAULT; }
    | T_NULLS_LA K_FIRST                { $$ = AST_NULLS_FIRST; }
    | T_NULLS_LA K_LAST                 { $$ = AST_NULLS_LAST; }
    ;

/* ---- sequences, views, schemas, databases ---------------------------------------------------- */

sequence_stmt:
      K_CREATE temp K_SEQUENCE if_not_exists qualified_name seq_options
        { $$ = NEW(AST_CREATE_SEQUENCE, ast_sequence, @1);
          struct ast_sequence *s = AST_AS(ast_sequence, $$);
          s->persistence = $2; s->if_not_exists = $4; s->relation = $5; s->options = $6; }
    ;
seq_options_opt: %empty { $$ = NULL; } | '(' seq_option seq_options ')'
                                        { $$ = list_join(p, LIST($2), $3); } ;
seq_options:
      %empty                            { $$ = NULL; }
    | seq_options seq_option            { $$ = ADD($1, $2); }
    ;
seq_option:
      K_AS type_name                    { $$ = OPT("as", &$2->node, @1); }
    | K_CACHE signed_number             { $$ = OPT("cache", $2, @1); }
    | K_CYCLE                           { $$ = OPT("cycle", ON_(@1), @1); }
    | K_NO K_CYCLE                      { $$ = OPT("cycle", node_bool_literal(p, false, @1), @1); }
    | K_INCREMENT by_opt signed_number  { $$ = OPT("increment", $3, @1); }
    | K_MAXVALUE signed_number          { $$ = OPT("maxvalue", $2, @1); }
    | K_MINVALUE signed_number          { $$ = OPT("minvalue", $2, @1); }
    | K_NO K_MAXVALUE                   { $$ = OPT("maxvalue", NULL, @1);
                                          AST_AS(ast_option, $$)->star = true; }
    | K_NO K_MINVALUE                   { $$ = OPT("minvalue", NULL, @1);
                                          AST_AS(ast_option, $$)->star = true; }
    | K_OWNED K_BY any_name             { $$ = OPT("owned_by", NULL, @1);
                                          AST_AS(ast_option, $$)->list = $3; }
    | K_START with_word_opt signed_number { $$ = OPT("start", $3, @1); }
    | K_RESTART                         { $$ = OPT("restart", NULL, @1); }
    | K_RESTART with_word_opt signed_number { $$ = OPT("restart", $3, @1); }
    ;
by_opt: %empty | K_BY ;
create_other_stmt:
      K_CREATE or_replace temp K_VIEW qualified_name columns_opt options_opt K_AS select_stmt
        { $$ = NEW(AST_CREATE_VIEW, ast_create_view, @1);
          struct ast_create_view *s = AST_AS(ast_create_view, $$);
          s->or_replace = true; s->persistence = $3; s->relation = $5; s->columns = $6;
          s->query = $9; s->query_at = @9.at; s->query_end = @9.end; }
    | K_CREATE temp K_VIEW qualified_name columns_opt options_opt K_AS select_stmt
        { $$ = NEW(AST_CREATE_VIEW, ast_create_view, @1);
          struct ast_create_view *s = AST_AS(ast_create_view, $$);
          s->persistence = $2; s->relation = $4; s->columns = $5;
          s->query = $8; s->query_at = @8.at; s->query_end = @8.end; }
    | K_CREATE K_SCHEMA if_not_exists ident owner_opt
        { $$ = NEW(AST_CREATE_SCHEMA, ast_create_named, @1);
          struct ast_create_named *s = AST_AS(ast_create_named, $$);
          s->if_not_exists = $3; s->name = $4; s->owner = $5; }
    | K_CREATE K_SCHEMA if_not_exists K_AUTHORIZATION ident
        { $$ = NEW(AST_CREATE_SCHEMA, ast_create_named, @1);
          struct ast_create_named *s = AST_AS(ast_create_named, $$);
          s->if_not_exists = $3; s->name = s->owner = $5; }
    | K_CREATE K_DATABASE ident with_word_opt db_options
        { $$ = NEW(AST_CREATE_DATABASE, ast_create_named, @1);
          AST_AS(ast_create_named, $$)->name = $3;
          AST_AS(ast_create_named, $$)->options = $5; }
    ;
or_replace: K_OR K_REPLACE ;
owner_opt: %empty { $$ = NULL; } | K_AUTHORIZATION ident { $$ = $2; } ;
db_options:
      %empty                            { $$ = NULL; }
    | db_options db_option              { $$ = ADD($1, $2); }
    ;
db_option:
      T_IDENT equals_opt set_value      { $$ = OPT($1, $3, @1); }
    | K_ENCODING equals_opt set_value   { $$ = OPT($1, $3, @1); }
    | K_TABLESPACE equals_opt set_value { $$ = OPT($1, $3, @1); }
    | T_IDENT equals_opt K_DEFAULT      { $$ = OPT($1, NULL, @1); }
    | K_ENCODING equals_opt K_DEFAULT   { $$ = OPT($1, NULL, @1); }
    ;
equals_opt: %empty | '=' ;

/* ---- ALTER, RENAME, DROP -------------------------------------------------------------------- */

alter_table_stmt:
      K_ALTER rename_kind if_exists relation_expr alter_cmds
        { $$ = NEW(AST_ALTER_TABLE, ast_alter_table, @1);
          struct ast_alter_table *s = AST_AS(ast_alter_table, $$);
          s->object = (enum ast_object)$2; s->if_exists = $3; s->relation = $4; s->commands = $5; }
    | K_ALTER rename_kind if_exists relation_expr seq_option seq_options
        { if ($2 != AST_OBJ_SEQUENCE)
              BAD_NEAR(@5);
          $$ = NEW(AST_ALTER_SEQUENCE, ast_sequence, @1);
          struct ast_sequence *s = AST_AS(ast_sequence, $$);
          s->if_not_exists = $3; s->relation = $4; s->options = list_join(p, LIST($5), $6); }
    ;
alter_cmds:
      alter_cmd                         { $$ = LIST($1); }
    | alter_cmds ',' alter_cmd          { $$ = ADD($1, $3); }
    ;
alter_cmd:
      K_ADD column_def                  { $$ = &node_alter(p, AST_ALTER_ADD_COLUMN, NULL, @1.at)->node;
                                          AST_AS(ast_alter_cmd, $$)->column = AST_AS(ast_column_def, $2); }
    | K_ADD K_COLUMN if_not_exists column_def
                                        { $$ = &node_alter(p, AST_ALTER_ADD_COLUMN, NULL, @1.at)->node;
                                          AST_AS(ast_alter_cmd, $$)->column = AST_AS(ast_column_def, $4);
                                          AST_AS(ast_alter_cmd, $$)->if_not_exists = $3; }
    | K_ADD T_IF_LA K_NOT K_EXISTS column_def
                                        { $$ = &node_alter(p, AST_ALTER_ADD_COLUMN, NULL, @1.at)->node;
                                          AST_AS(ast_alter_cmd, $$)->column = AST_AS(ast_column_def, $5);
                                          AST_AS(ast_alter_cmd, $$)->if_not_exists = true; }
    | K_ADD table_constraint            { $$ = &node_alter(p, AST_ALTER_ADD_CONSTRAINT, NULL, @1.at)->node;
                                          AST_AS(ast_alter_cmd, $$)->constraint = $2; }
    | K_DROP column_opt ident cascade_opt
                                        { $$ = &node_alter(p, AST_ALTER_DROP_COLUMN, $3, @3.at)->node;
                                          AST_AS(ast_alter_cmd, $$)->cascade = $4; }
    | K_DROP column_opt T_IF_LA K_EXISTS ident cascade_opt
                                        { $$ = &node_alter(p, AST_ALTER_DROP_COLUMN, $5, @5.at)->node;
                                          AST_AS(ast_alter_cmd, $$)->if_exists = true;
                                          AST_AS(ast_alter_cmd, $$)->cascade = $6; }
    | K_DROP K_CONSTRAINT if_exists ident cascade_opt
                                        { $$ = &node_alter(p, AST_ALTER_DROP_CONSTRAINT, $4, @4.at)->node;
                                          AST_AS(ast_alter_cmd, $$)->if_exists = $3;
                                          AST_AS(ast_alter_cmd, $$)->cascade = $5; }
    | K_VALIDATE K_CONSTRAINT ident
                                { $$ = &node_alter(p, AST_ALTER_VALIDATE_CONSTRAINT, $3, @3.at)->node; }
    | K_ALTER column_opt ident alter_default
                                        { $$ = &node_alter(p, AST_ALTER_COLUMN_DEFAULT, $3, @3.at)->node;
                                          AST_AS(ast_alter_cmd, $$)->value = $4;
                                          AST_AS(ast_alter_cmd, $$)->value_at = @4.at;
                                          AST_AS(ast_alter_cmd, $$)->value_end = @4.end; }
    | K_ALTER column_opt ident K_SET K_NOT K_NULL
                                        { $$ = &node_alter(p, AST_ALTER_SET_NOT_NULL, $3, @3.at)->node; }
    | K_ALTER column_opt ident K_DROP K_NOT K_NULL
                                        { $$ = &node_alter(p, AST_ALTER_DROP_NOT_NULL, $3, @3.at)->node; }
    | K_ALTER column_opt ident K_SET K_STATISTICS signed_number
                                        { $$ = &node_alter(p, AST_ALTER_SET_STATISTICS, $3, @3.at)->node;
                                          AST_AS(ast_alter_cmd, $$)->value = $6; }
    | K_ALTER column_opt ident K_SET K_STORAGE ident
                                        { $$ = &node_alter(p, AST_ALTER_SET_STORAGE, $3, @3.at)->node; }
    | K_ALTER column_opt ident set_data_opt K_TYPE type_name collate_opt alter_using
                                        { $$ = &node_alter(p, AST_ALTER_COLUMN_TYPE, $3, @3.at)->node;
                                          struct ast_column_def *c = NODE(p, AST_COLUMN_DEF, ast_column_def, @6.at);
                                          c->name = $3; c->type = $6; c->collation = $7;
                                          AST_AS(ast_alter_cmd, $$)->column = c;
                                          AST_AS(ast_alter_cmd, $$)->value = $8; }
    | K_ALTER column_opt ident K_ADD K_GENERATED
                                        { UNSUPPORTED(@4, "ALTER COLUMN ADD GENERATED is"); }
    | K_ALTER column_opt ident K_DROP K_IDENTITY if_exists
                                        { $$ = &node_alter(p, AST_ALTER_DROP_IDENTITY, $3, @3.at)->node;
                                          AST_AS(ast_alter_cmd, $$)->if_exists = $6; }
    | K_SET '(' option_list ')'         { $$ = &node_alter(p, AST_ALTER_SET_OPTIONS, NULL, @1.at)->node;
                                          AST_AS(ast_alter_cmd, $$)->options = $3; }
    | K_RESET '(' option_list ')'       { $$ = &node_alter(p, AST_ALTER_RESET_OPTIONS, NULL, @1.at)->node;
                                          AST_AS(ast_alter_cmd, $$)->options = $3; }
    | K_OWNER K_TO ident                { $$ = &node_alter(p, AST_ALTER_OWNER, $3, @1.at)->node; }
    | K_SET K_UNLOGGED                  { $$ = &node_alter(p, AST_ALTER_SET_UNLOGGED, NULL, @1.at)->node; }
    | K_SET K_LOGGED                    { $$ = &node_alter(p, AST_ALTER_SET_LOGGED, NULL, @1.at)->node; }
    | K_CLUSTER K_ON ident              { $$ = &node_alter(p, AST_ALTER_CLUSTER_ON, $3, @1.at)->node; }
    | K_ENABLE K_TRIGGER trigger_name   { $$ = &node_alter(p, AST_ALTER_TRIGGERS, NULL, @1.at)->node; }
    | K_DISABLE K_TRIGGER trigger_name  { $$ = &node_alter(p, AST_ALTER_TRIGGERS, NULL, @1.at)->node; }
    | K_REPLICA                         { UNSUPPORTED(@1, "REPLICA IDENTITY is"); }
    | K_ATTACH                          { UNSUPPORTED(@1, "partitioning is"); }
    | K_DETACH                          { UNSUPPORTED(@1, "partitioning is"); }
    | K_INHERIT                         { UNSUPPORTED(@1, "inheritance is"); }
    ;
alter_default:
      K_SET K_DEFAULT a_expr            { $$ = $3; @$ = @3; }
    | K_DROP K_DEFAULT                  { $$ = NULL; }
    ;
alter_using: %empty { $$ = NULL; } | K_USING a_expr { $$ = $2; } ;
set_data_opt: %empty | K_SET K_DATA ;
column_opt: %empty | K_COLUMN ;
trigger_name: ident | K_ALL | K_USER ;
cascade_opt: %empty { $$ = false; } | K_CASCADE { $$ = true; } | K_RESTRICT { $$ = false; } ;
rename_stmt:
      K_ALTER rename_kind if_exists relation_expr K_RENAME K_TO ident
        { $$ = node_rename(p, $2, $4, NULL, $7, $3, @1.at); }
    | K_ALTER rename_kind if_exists relation_expr K_RENAME column_opt ident K_TO ident
        { $$ = node_rename(p, AST_OBJ_COLUMN, $4, $7, $9, $3, @1.at); }
    | K_ALTER rename_kind if_exists relation_expr K_RENAME K_CONSTRAINT ident K_TO ident
        { $$ = node_rename(p, AST_OBJ_CONSTRAINT, $4, $7, $9, $3, @1.at); }
    | K_ALTER rename_kind if_exists relation_expr K_SET K_SCHEMA ident
        { $$ = node_rename(p, $2, $4, NULL, NULL, $3, @1.at);
          AST_AS(ast_rename, $$)->new_schema = $7; }
    | K_ALTER K_SCHEMA ident K_RENAME K_TO ident
        { $$ = node_rename(p, AST_OBJ_SCHEMA, NULL, $3, $6, false, @1.at); }
    | K_ALTER K_DATABASE ident K_RENAME K_TO ident
        { $$ = node_rename(p, AST_OBJ_DATABASE, NULL, $3, $6, false, @1.at); }
    ;
drop_stmt:
      K_DROP drop_kind if_exists any_names cascade_opt
        { $$ = node_drop(p, $2, $3, $4, $5, @1.at); }
    | K_DROP K_INDEX K_CONCURRENTLY if_exists any_names cascade_opt
        { $$ = node_drop(p, AST_OBJ_INDEX, $4, $5, $6, @1.at);
          AST_AS(ast_drop, $$)->concurrently = true; }
    | K_DROP K_DATABASE if_exists ident
        { $$ = node_drop(p, AST_OBJ_DATABASE, $3, LIST(node_relation(p, LIST(NAME($4, @4)), @4.at)),
                         false, @1.at); }
    ;
any_names:
      qualified_name                    { $$ = LIST($1); }
    | any_names ',' qualified_name      { $$ = ADD($1, $3); }
    ;
truncate_stmt:
      K_TRUNCATE table_opt relation_list restart_opt cascade_opt
        { $$ = NEW(AST_TRUNCATE, ast_truncate, @1);
          struct ast_truncate *s = AST_AS(ast_truncate, $$);
          s->relations = $3; s->restart_identity = $4; s->cascade = $5; }
    ;
table_opt: %empty | K_TABLE ;
restart_opt:
      %empty                            { $$ = false; }
    | K_RESTART K_IDENTITY              { $$ = true; }
    | K_CONTINUE K_IDENTITY             { $$ = false; }
    ;
relation_list:
      relation_expr                     { $$ = LIST($1); }
    | relation_list ',' relation_expr   { $$ = ADD($1, $3); }
    ;

/* ---- upkeep, locks, roles ------------------------------------------------------------------- */

vacuum_stmt:
      K_VACUUM vacuum_words vacuum_targets_opt
        { $$ = NEW(AST_VACUUM, ast_vacuum, @1);
          struct ast_vacuum *s = AST_AS(ast_vacuum, $$);
          s->is_vacuum = true; s->options = $2; s->targets = $3; }
    | K_VACUUM '(' utility_options ')' vacuum_targets_opt
        { $$ = NEW(AST_VACUUM, ast_vacuum, @1);
          struct ast_vacuum *s = AST_AS(ast_vacuum, $$);
          s->is_vacuum = true; s->options = $3; s->targets = $5; }
    | analyze verbose_opt vacuum_targets_opt
        { $$ = NEW(AST_VACUUM, ast_vacuum, @1);
          AST_AS(ast_vacuum, $$)->options = $2 ? LIST(OPT("verbose", NULL, @2)) : NULL;
          AST_AS(ast_vacuum, $$)->targets = $3; }
    | analyze '(' utility_options ')' vacuum_targets_opt
        { $$ = NEW(AST_VACUUM, ast_vacuum, @1);
          AST_AS(ast_vacuum, $$)->options = $3;
          AST_AS(ast_vacuum, $$)->targets = $5; }
    ;
vacuum_words:
      %empty                            { $$ = NULL; }
    | vacuum_words K_FULL               { $$ = ADD($1, OPT("full", NULL, @2)); }
    | vacuum_words K_FREEZE             { $$ = ADD($1, OPT("freeze", NULL, @2)); }
    | vacuum_words K_VERBOSE            { $$ = ADD($1, OPT("verbose", NULL, @2)); }
    | vacuum_words analyze              { $$ = ADD($1, OPT("analyze", NULL, @2)); }
    ;
utility_options:
      utility_option                    { $$ = LIST($1); }
    | utility_options ',' utility_option { $$ = ADD($1, $3); }
    ;
utility_option: explain_option ;
vacuum_targets_opt: %empty { $$ = NULL; } | vacuum_targets ;
vacuum_targets:
      vacuum_target                     { $$ = LIST($1); }
    | vacuum_targets ',' vacuum_target  { $$ = ADD($1, $3); }
    ;
vacuum_target:
      qualified_name columns_opt        { $$ = NEW(AST_NONE, ast_vacuum_target, @1);
                                          AST_AS(ast_vacuum_target, $$)->relation = $1;
                                          AST_AS(ast_vacuum_target, $$)->columns = $2; }
    ;
lock_stmt:
      K_LOCK table_opt relation_list lock_mode nowait_opt
        { $$ = NEW(AST_LOCK, ast_lock, @1);
          struct ast_lock *s = AST_AS(ast_lock, $$);
          s->relations = $3; s->mode = (enum ast_lock_mode)$4; s->nowait = $5; }
    ;
lock_mode:
      %empty                            { $$ = AST_ACCESS_EXCLUSIVE; }
    | K_IN K_ACCESS K_SHARE K_MODE      { $$ = AST_ACCESS_SHARE; }
    | K_IN K_ROW K_SHARE K_MODE         { $$ = AST_ROW_SHARE; }
    | K_IN K_ROW K_EXCLUSIVE K_MODE     { $$ = AST_ROW_EXCLUSIVE; }
    | K_IN K_SHARE K_UPDATE K_EXCLUSIVE K_MODE { $$ = AST_SHARE_UPDATE_EXCLUSIVE; }
    | K_IN K_SHARE K_MODE               { $$ = AST_SHARE; }
    | K_IN K_SHARE K_ROW K_EXCLUSIVE K_MODE { $$ = AST_SHARE_ROW_EXCLUSIVE; }
    | K_IN K_EXCLUSIVE K_MODE           { $$ = AST_EXCLUSIVE; }
    | K_IN K_ACCESS K_EXCLUSIVE K_MODE  { $$ = AST_ACCESS_EXCLUSIVE; }
    ;
nowait_opt: %empty { $$ = false; } | K_NOWAIT { $$ = true; } ;
role_stmt:
      K_CREATE role_word ident with_word_opt role_options
        { $$ = node_role(p, AST_ROLE_CREATE, LIST(NAME($3, @3)), $5, @1.at);
          AST_AS(ast_role, $$)->user = $2; }
    | K_ALTER role_word ident with_word_opt role_options
        { $$ = node_role(p, AST_ROLE_ALTER, LIST(NAME($3, @3)), $5, @1.at); }
    | K_ALTER role_word ident K_SET      { UNSUPPORTED(@4, "ALTER ROLE ... SET is"); }
    | K_ALTER role_word ident K_RENAME   { UNSUPPORTED(@4, "ALTER ROLE ... RENAME is"); }
    | K_DROP role_word if_exists role_names
        { $$ = node_role(p, AST_ROLE_DROP, $4, NULL, @1.at);
          AST_AS(ast_role, $$)->if_exists = $3; }
    ;
role_word:
      K_ROLE                            { $$ = false; }
    | K_USER                            { $$ = true; }
    ;
role_names:
      ident                             { $$ = LIST(NAME($1, @1)); }
    | role_names ',' ident              { $$ = ADD($1, NAME($3, @3)); }
    ;
role_options:
      %empty                            { $$ = NULL; }
    | role_options role_option          { $$ = ADD($1, $2); }
    ;
role_option:
      T_IDENT                           { $$ = node_role_flag(p, $1, @1.at); if ($$ == NULL) YYABORT; }
    | K_INHERIT                         { $$ = OPT("inherit", ON_(@1), @1); }
    | K_PASSWORD T_STRING               { $$ = OPT("password", STR($2, @2), @1); }
    | K_PASSWORD K_NULL                 { $$ = OPT("password", NULL, @1); }
    | K_ENCRYPTED K_PASSWORD T_STRING   { $$ = OPT("password", STR($3, @3), @1); }
    | K_CONNECTION K_LIMIT signed_number { $$ = OPT("connection_limit", $3, @1); }
    | K_VALID K_UNTIL T_STRING          { $$ = OPT("valid_until", STR($3, @3), @1); }
    ;
comment_stmt:
      K_COMMENT K_ON comment_kind any_name K_IS comment_text
        { $$ = node_comment(p, (enum ast_object)$3, $4, ($6).data == NULL ? NULL : TEXT($6), @1.at); }
    | K_COMMENT K_ON K_CONSTRAINT ident K_ON qualified_name K_IS comment_text
        { $$ = NEW(AST_COMMENT, ast_comment, @1);
          struct ast_comment *s = AST_AS(ast_comment, $$);
          s->object = AST_OBJ_CONSTRAINT; s->relation = $6; s->name = $4; s->text = TEXT($8); }
    ;
comment_text: T_STRING | K_NULL { $$ = slice(NULL, 0); } ;
comment_kind:
      rename_kind
    | K_COLUMN                          { $$ = AST_OBJ_COLUMN; }
    | K_SCHEMA                          { $$ = AST_OBJ_SCHEMA; }
    | K_DATABASE                        { $$ = AST_OBJ_DATABASE; }
    | K_ROLE                            { $$ = AST_OBJ_ROLE; }
    ;
rename_kind:
      K_TABLE                           { $$ = AST_OBJ_TABLE; }
    | K_INDEX                           { $$ = AST_OBJ_INDEX; }
    | K_SEQUENCE                        { $$ = AST_OBJ_SEQUENCE; }
    | K_VIEW                            { $$ = AST_OBJ_VIEW; }
    | K_MATERIALIZED K_VIEW             { $$ = AST_OBJ_MATVIEW; }
    ;
drop_kind:
      rename_kind
    | K_SCHEMA                          { $$ = AST_OBJ_SCHEMA; }
    | K_TYPE                            { $$ = AST_OBJ_TYPE; }
    | K_EXTENSION                       { $$ = AST_OBJ_EXTENSION; }
    ;

/* ---- INSERT, UPDATE, DELETE ----------------------------------------------------------------- */

insert_stmt:
      with_opt K_INSERT K_INTO qualified_name alias_name_opt insert_rest conflict_opt returning_opt
        { $$ = node_insert(p, $6, $7, @2.at);
          struct ast_insert *s = AST_AS(ast_insert, $$);
          s->with = $1; s->relation = $4; s->alias = $5; s->returning = $8; }
    ;
alias_name_opt: %empty { $$ = NULL; } | K_AS ident { $$ = $2; } ;
insert_rest:
      select_stmt                       { $$ = NODE(p, AST_INSERT, ast_insert, -1); $$->source = $1; }
    | K_OVERRIDING override K_VALUE select_stmt
                                        { $$ = NODE(p, AST_INSERT, ast_insert, -1);
                                          $$->override = $2; $$->source = $4; }
    | '(' insert_columns ')' select_stmt
                                        { $$ = NODE(p, AST_INSERT, ast_insert, -1);
                                          $$->columns = $2; $$->source = $4; }
    | '(' insert_columns ')' K_OVERRIDING override K_VALUE select_stmt
                                        { $$ = NODE(p, AST_INSERT, ast_insert, -1);
                                          $$->columns = $2; $$->override = $5; $$->source = $7; }
    | K_DEFAULT K_VALUES                { $$ = NODE(p, AST_INSERT, ast_insert, -1); }
    ;
override:
      K_USER                            { $$ = AST_OVERRIDE_USER; }
    | K_SYSTEM                          { $$ = AST_OVERRIDE_SYSTEM; }
    ;
insert_columns:
      insert_column                     { $$ = LIST($1); }
    | insert_columns ',' insert_column  { $$ = ADD($1, $3); }
    ;
insert_column:
      ident indirection_opt             { $$ = node_target(p, NULL, $1, @1.at);
                                          AST_AS(ast_target, $$)->indirection = $2; }
    ;
conflict_opt:
      %empty                            { $$ = NODE(p, AST_INSERT, ast_insert, -1); }
    | K_ON K_CONFLICT conflict_target K_DO K_NOTHING
                                        { $$ = $3; $$->conflict = AST_CONFLICT_NOTHING;
                                          $$->conflict_at = @1.at; }
    | K_ON K_CONFLICT conflict_target K_DO K_UPDATE K_SET set_list where_opt
                                        { $$ = $3; $$->conflict = AST_CONFLICT_UPDATE;
                                          $$->conflict_at = @1.at;
                                          $$->conflict_set = $7; $$->conflict_where = $8; }
    ;
conflict_target:
      %empty                    { $$ = NODE(p, AST_INSERT, ast_insert, -1); }
    | '(' index_columns ')' conflict_where
                                { $$ = NODE(p, AST_INSERT, ast_insert, -1);
                                  $$->conflict_columns = $2;
                                  $$->conflict_index_where = $4; }
    | K_ON K_CONSTRAINT ident   { $$ = NODE(p, AST_INSERT, ast_insert, -1);
                                  $$->conflict_constraint = $3; }
    ;
conflict_where: where_opt ;
returning_opt: %empty { $$ = NULL; } | K_RETURNING target_list { $$ = $2; } ;
update_stmt:
      with_opt K_UPDATE relation_expr only_ident K_SET set_list from_opt where_or_current returning_opt
        { $$ = NEW(AST_UPDATE, ast_update, @2);
          struct ast_update *s = AST_AS(ast_update, $$);
          s->with = $1; s->relation = $3; s->alias = $4; s->set = $6; s->from = $7;
          s->where = $8; s->returning = $9; }
    ;
only_ident:
      %empty %prec UMINUS               { $$ = NULL; }
    | ident
    | K_AS ident                        { $$ = $2; }
    ;
delete_stmt:
      with_opt K_DELETE K_FROM relation_expr only_ident using_opt where_or_current returning_opt
        { $$ = NEW(AST_DELETE, ast_delete, @2);
          struct ast_delete *s = AST_AS(ast_delete, $$);
          s->with = $1; s->relation = $4; s->alias = $5; s->using = $6;
          s->where = $7; s->returning = $8; }
    ;
using_opt:
      %empty                            { $$ = NULL; }
    | K_USING from_list                 { $$ = $2; }
    ;
where_or_current:
      where_opt
    | K_WHERE K_CURRENT K_OF            { UNSUPPORTED(@1, "WHERE CURRENT OF is"); }
    ;
set_list:
      set_clause                        { $$ = LIST($1); }
    | set_list ',' set_clause           { $$ = ADD($1, $3); }
    ;
set_clause:
      set_target '=' a_expr             { $$ = $1; AST_AS(ast_target, $$)->value = $3; }
    | '(' names ')' '=' a_expr          { $$ = node_target(p, $5, NULL, @1.at);
                                          AST_AS(ast_target, $$)->names = $2; }
    ;
set_target:
      ident indirection_opt             { $$ = node_target(p, NULL, $1, @1.at);
                                          AST_AS(ast_target, $$)->indirection = $2; }
    ;
names:
      ident                             { $$ = LIST(NAME($1, @1)); }
    | names ',' ident                   { $$ = ADD($1, NAME($3, @3)); }
    ;

/* ---- queries -------------------------------------------------------------------------------- */

select_stmt:
      select_no_parens %prec UMINUS     { $$ = &$1->node; }
    | select_with_parens %prec UMINUS   { $$ = &$1->node; }
    ;
select_with_parens:
      '(' select_no_parens ')'          { $$ = $2; }
    | '(' select_with_parens ')'        { $$ = $2; }
    ;
select_no_parens:
      simple_select
    | select_clause sort_list           { $$ = select_finish(p, $1, $2, NULL, NULL, NULL); CHECKED; }
    | select_clause sort_opt locking_list limit_clause_opt
                                        { $$ = select_finish(p, $1, $2, $3, $4, NULL); CHECKED; }
    | select_clause sort_opt limit_clause locking_opt
                                        { $$ = select_finish(p, $1, $2, $4, $3, NULL); CHECKED; }
    | with_clause select_clause         { $$ = select_finish(p, $2, NULL, NULL, NULL, $1); CHECKED; }
    | with_clause select_clause sort_list { $$ = select_finish(p, $2, $3, NULL, NULL, $1); CHECKED; }
    | with_clause select_clause sort_opt locking_list limit_clause_opt
                                        { $$ = select_finish(p, $2, $3, $4, $5, $1); CHECKED; }
    | with_clause select_clause sort_opt limit_clause locking_opt
                                        { $$ = select_finish(p, $2, $3, $5, $4, $1); CHECKED; }
    ;
select_clause: simple_select | select_with_parens ;
simple_select:
      K_SELECT all_opt target_list_opt into_opt from_opt where_opt group_opt having_opt window_opt
        { $$ = NODE(p, AST_SELECT, ast_select, @1.at);
          $$->targets = $3; $$->into = $4; $$->from = $5; $$->where = $6; $$->group_by = $7;
          $$->having = $8; }
    | K_SELECT K_DISTINCT target_list into_opt from_opt where_opt group_opt having_opt window_opt
        { $$ = NODE(p, AST_SELECT, ast_select, @1.at);
          $$->distinct = true;
          $$->targets = $3; $$->into = $4; $$->from = $5; $$->where = $6; $$->group_by = $7;
          $$->having = $8; }
    | K_SELECT K_DISTINCT K_ON '(' expr_list ')' target_list into_opt from_opt where_opt group_opt
          having_opt window_opt
        { $$ = NODE(p, AST_SELECT, ast_select, @1.at);
          $$->distinct = true; $$->distinct_on = $5;
          $$->targets = $7; $$->into = $8; $$->from = $9; $$->where = $10; $$->group_by = $11;
          $$->having = $12; }
    | values_clause
    | K_TABLE relation_expr             { $$ = node_table_select(p, $2, @1.at); }
    | select_clause K_UNION set_quantifier select_clause
                                        { $$ = node_set_op(p, AST_SETOP_UNION, $3, $1, $4, @2.at); }
    | select_clause K_INTERSECT set_quantifier select_clause
                                        { $$ = node_set_op(p, AST_SETOP_INTERSECT, $3, $1, $4, @2.at); }
    | select_clause K_EXCEPT set_quantifier select_clause
                                        { $$ = node_set_op(p, AST_SETOP_EXCEPT, $3, $1, $4, @2.at); }
    ;
all_opt: %empty | K_ALL ;
set_quantifier: %empty { $$ = false; } | K_ALL { $$ = true; } | K_DISTINCT { $$ = false; } ;
into_opt:
      %empty                            { $$ = NULL; }
    | K_INTO                            { UNSUPPORTED(@1, "SELECT INTO is"); }
    ;
window_opt: %empty | K_WINDOW { UNSUPPORTED(@1, "window functions are"); } ;
values_clause:
      K_VALUES values_list              { $$ = NODE(p, AST_SELECT, ast_select, @1.at);
                                          $$->values = $2; }
    ;
values_list:
      '(' expr_list ')'                 { $$ = LIST(node_row(p, $2, false, @1.at)); }
    | values_list ',' '(' expr_list ')' { $$ = ADD($1, node_row(p, $4, false, @3.at)); }
    ;
with_opt: %empty { $$ = NULL; } | with_clause ;
with_clause:
      K_WITH cte_list                   { $$ = node_with(p, $2, false, @1.at); }
    | T_WITH_LA cte_list                { $$ = node_with(p, $2, false, @1.at); }
    | K_WITH K_RECURSIVE cte_list       { $$ = node_with(p, $3, true, @1.at); }
    ;
cte_list:
      cte                               { $$ = LIST($1); }
    | cte_list ',' cte                  { $$ = ADD($1, $3); }
    ;
cte:
      ident columns_opt K_AS materialized '(' preparable ')'
        { $$ = NEW(AST_WITH, ast_with, @1);
          struct ast_with *w = AST_AS(ast_with, $$);
          w->name = $1; w->columns = $2; w->materialized = $4; w->query = $6; }
    ;
materialized:
      %empty                            { $$ = AST_MATERIALIZED_DEFAULT; }
    | K_MATERIALIZED                    { $$ = AST_MATERIALIZED_ALWAYS; }
    | K_NOT K_MATERIALIZED              { $$ = AST_MATERIALIZED_NEVER; }
    ;
target_list_opt: %empty { $$ = NULL; } | target_list ;
target_list:
      target                            { $$ = LIST($1); }
    | target_list ',' target            { $$ = ADD($1, $3); }
    ;
target:
      a_expr K_AS col_label             { $$ = node_target(p, $1, $3, @1.at); }
    | a_expr bare_label                 { $$ = node_target(p, $1, $2, @1.at); }
    | a_expr                            { $$ = node_target(p, $1, NULL, @1.at); }
    | '*'                               { $$ = node_target(p, node_column(p, NULL, true, @1.at), NULL,
                                                           @1.at); }
    ;
sort_opt: %empty { $$ = NULL; } | sort_list ;
sort_list:
      K_ORDER K_BY sort_item            { $$ = LIST($3); }
    | sort_list ',' sort_item           { $$ = ADD($1, $3); }
    ;
sort_item:
      a_expr asc_desc nulls_order       { $$ = node_sort(p, $1, $2, $3, NULL, @1.at); }
    | a_expr K_USING sort_operator nulls_order
                                        { $$ = node_sort(p, $1, AST_SORT_USING, $4, $3, @1.at); }
    ;
group_opt: %empty { $$ = NULL; } | group_list ;
group_list:
      K_GROUP K_BY set_quantifier group_item { $$ = LIST($4); }
    | group_list ',' group_item         { $$ = ADD($1, $3); }
    ;
group_item:
      a_expr
    | '(' ')'                           { UNSUPPORTED(@1, "GROUP BY () is"); }
    | K_CUBE '('                        { UNSUPPORTED(@1, "CUBE is"); }
    | K_ROLLUP '('                      { UNSUPPORTED(@1, "ROLLUP is"); }
    | K_GROUPING K_SETS                 { UNSUPPORTED(@1, "GROUPING SETS is"); }
    ;
sort_operator: any_operator | math_op { $$ = LIST(NAME($1, @1)); } ;
having_opt: %empty { $$ = NULL; } | K_HAVING a_expr { $$ = $2; } ;
where_opt: %empty { $$ = NULL; } | K_WHERE a_expr { $$ = $2; @$ = @2; } ;
limit_clause_opt: %empty { $$ = NULL; } | limit_clause ;
limit_clause:
      K_LIMIT limit_value               { $$ = NODE(p, AST_SELECT, ast_select, -1); $$->limit = $2; }
    | K_OFFSET offset_value             { $$ = NODE(p, AST_SELECT, ast_select, -1); $$->offset = $2; }
    | K_LIMIT limit_value K_OFFSET offset_value
                                        { $$ = NODE(p, AST_SELECT, ast_select, -1);
                                          $$->limit = $2; $$->offset = $4; }
    | K_OFFSET offset_value K_LIMIT limit_value
                                        { $$ = NODE(p, AST_SELECT, ast_select, -1);
                                          $$->limit = $4; $$->offset = $2; }
    | K_LIMIT limit_value ',' offset_value
        { parser_fail(p, ERR_SYNTAX, @1.at, "LIMIT #,# syntax is not supported");
          diag_hint("Use separate LIMIT and OFFSET clauses.");
          YYABORT; }
    | K_FETCH first_or_next fetch_value row_rows only_with_ties
                                        { $$ = NODE(p, AST_SELECT, ast_select, -1);
                                          $$->limit = $3; $$->with_ties = $5; }
    | K_FETCH first_or_next row_rows only_with_ties
                                        { $$ = NODE(p, AST_SELECT, ast_select, -1);
                                          $$->limit = node_int(p, 1, (struct sql_loc){ -1, -1 });
                                          $$->with_ties = $4; }
    | K_OFFSET offset_value K_FETCH first_or_next row_rows only_with_ties
                                        { $$ = NODE(p, AST_SELECT, ast_select, -1);
                                          $$->offset = $2;
                                          $$->limit = node_int(p, 1, (struct sql_loc){ -1, -1 });
                                          $$->with_ties = $6; }
    | K_OFFSET offset_value K_FETCH first_or_next fetch_value row_rows only_with_ties
                                        { $$ = NODE(p, AST_SELECT, ast_select, -1);
                                          $$->offset = $2; $$->limit = $5; $$->with_ties = $7; }
    ;
limit_value: a_expr | K_ALL { $$ = NULL; } ;
offset_value: a_expr | c_expr row_rows ;
fetch_value:
      c_expr
    | '+' number                        { $$ = $2; }
    | '-' number                        { $$ = node_minus(p, $2, @1.at); }
    ;
first_or_next: K_FIRST | K_NEXT ;
row_rows: K_ROW | K_ROWS ;
only_with_ties: K_ONLY { $$ = false; } | K_WITH K_TIES { $$ = true; } ;
locking_opt: %empty { $$ = NULL; } | locking_list | K_FOR K_READ K_ONLY { $$ = NULL; } ;
locking_list:
      locking_item                      { $$ = LIST($1); }
    | locking_list locking_item         { $$ = ADD($1, $2); }
    ;
locking_item:
      K_FOR lock_strength into_names lock_wait
        { $$ = NEW(AST_LOCKING, ast_locking, @1);
          struct ast_locking *l = AST_AS(ast_locking, $$);
          l->strength = $2; l->of = $3; l->wait = $4; }
    ;
lock_strength:
      K_UPDATE                          { $$ = AST_LOCK_UPDATE; }
    | K_NO K_KEY K_UPDATE               { $$ = AST_LOCK_NO_KEY_UPDATE; }
    | K_SHARE                           { $$ = AST_LOCK_SHARE; }
    | K_KEY K_SHARE                     { $$ = AST_LOCK_KEY_SHARE; }
    ;
into_names: %empty { $$ = NULL; } | K_OF any_names { $$ = $2; } ;
lock_wait:
      %empty                            { $$ = AST_LOCK_WAIT; }
    | K_NOWAIT                          { $$ = AST_LOCK_NOWAIT; }
    | K_SKIP K_LOCKED                   { $$ = AST_LOCK_SKIP_LOCKED; }
    ;

/* ---- FROM ----------------------------------------------------------------------------------- */

from_opt: %empty { $$ = NULL; } | K_FROM from_list { $$ = $2; } ;
from_list:
      table_ref                         { $$ = LIST($1); }
    | from_list ',' table_ref           { $$ = ADD($1, $3); }
    ;
table_ref:
      relation_expr alias_opt           { $$ = node_table(p, $1, $2, @1.at); }
    | relation_expr alias_opt K_TABLESAMPLE { UNSUPPORTED(@3, "TABLESAMPLE is"); }
    | relation_expr as_of_value as_of_alias
                                        { $$ = $2; $$->at = @1.at;
                                          AST_AS(ast_table, $$)->relation = $1;
                                          if ($3 != NULL)
                                              AST_AS(ast_table, $$)->alias = *$3; }
    | func_table func_alias             { $$ = node_table_func(p, $1, $2, @1.at); }
    | K_LATERAL func_table func_alias   { $$ = node_table_func(p, $2, $3, @1.at);
                                          AST_AS(ast_table_func, $$)->lateral = true; }
    | select_with_parens alias_opt      { $$ = node_subquery(p, $1, $2, false, @1.at);
                                          if ($$ == NULL) YYABORT; }
    | K_LATERAL select_with_parens alias_opt
                                        { $$ = node_subquery(p, $2, $3, true, @1.at);
                                          if ($$ == NULL) YYABORT; }
    | joined_table
    | '(' joined_table ')' alias        { $$ = $2; AST_AS(ast_join, $$)->alias = *$4; }
    ;
as_of_value:
      T_AS_OF_LA K_OF K_SCN a_expr      { $$ = node_as_of(p, AST_AS_OF_SCN, $4, @1.at); }
    | T_AS_OF_LA K_OF K_TIMESTAMP a_expr { $$ = node_as_of(p, AST_AS_OF_TIMESTAMP, $4, @1.at); }
    ;
as_of_alias:
      %empty                            { $$ = NULL; }
    | K_AS ident columns_opt            { $$ = node_alias(p, $2, $3); }
    | T_IDENT columns_opt               { $$ = node_alias(p, $1, $2); }
    ;
joined_table:
      '(' joined_table ')'              { $$ = $2; }
    | table_ref K_CROSS K_JOIN table_ref
                                        { $$ = node_join(p, AST_JOIN_INNER, $1, $4, @2.at); }
    | table_ref join_type K_JOIN table_ref join_qual
                                        { $$ = node_join_qual($5, $2, $1, $4, @2.at); }
    | table_ref K_JOIN table_ref join_qual
                                        { $$ = node_join_qual($4, AST_JOIN_INNER, $1, $3, @2.at); }
    | table_ref K_NATURAL join_type K_JOIN table_ref
                                        { $$ = node_join(p, $3, $1, $5, @2.at);
                                          AST_AS(ast_join, $$)->natural = true; }
    | table_ref K_NATURAL K_JOIN table_ref
                                        { $$ = node_join(p, AST_JOIN_INNER, $1, $4, @2.at);
                                          AST_AS(ast_join, $$)->natural = true; }
    ;
join_type:
      K_INNER                           { $$ = AST_JOIN_INNER; }
    | K_LEFT outer_opt                  { $$ = AST_JOIN_LEFT; }
    | K_RIGHT outer_opt                 { $$ = AST_JOIN_RIGHT; }
    | K_FULL outer_opt                  { $$ = AST_JOIN_FULL; }
    ;
outer_opt: %empty | K_OUTER ;
join_qual:
      K_ON a_expr                       { $$ = NEW(AST_JOIN, ast_join, @1);
                                          AST_AS(ast_join, $$)->on = $2; }
    | K_USING '(' name_list ')'         { $$ = NEW(AST_JOIN, ast_join, @1);
                                          AST_AS(ast_join, $$)->using_columns = $3; }
    | K_USING '(' name_list ')' K_AS ident
                                        { $$ = NEW(AST_JOIN, ast_join, @1);
                                          AST_AS(ast_join, $$)->using_columns = $3;
                                          AST_AS(ast_join, $$)->using_alias.name = $6; }
    ;
relation_expr:
      qualified_name                    { $$ = $1; }
    | qualified_name '*'                { $$ = $1; }
    | K_ONLY qualified_name             { $$ = $2; $$->only = true; }
    | K_ONLY '(' qualified_name ')'     { $$ = $3; $$->only = true; }
    ;
alias_opt: %empty { $$ = NULL; } | alias ;
alias:
      K_AS ident                        { $$ = node_alias(p, $2, NULL); }
    | K_AS ident '(' name_list ')'      { $$ = node_alias(p, $2, $4); }
    | ident                             { $$ = node_alias(p, $1, NULL); }
    | ident '(' name_list ')'           { $$ = node_alias(p, $1, $3); }
    ;
func_alias:
      %empty                            { $$ = NULL; }
    | alias
    | K_AS '(' table_func_columns ')'   { UNSUPPORTED(@3, "a column definition list is"); }
    | K_AS ident '(' table_func_columns ')' { UNSUPPORTED(@4, "a column definition list is"); }
    | ident '(' table_func_columns ')'  { UNSUPPORTED(@3, "a column definition list is"); }
    ;
table_func_columns:
      table_func_column                 { $$ = LIST($1); }
    | table_func_columns ',' table_func_column { $$ = ADD($1, $3); }
    ;
table_func_column:
      ident type_name                   { $$ = NEW(AST_COLUMN_DEF, ast_column_def, @1);
                                          AST_AS(ast_column_def, $$)->name = $1;
                                          AST_AS(ast_column_def, $$)->type = $2; }
    ;
func_table:
      plain_func ordinality              { $$ = NEW(AST_TABLE_FUNC, ast_table_func, @1);
                                          AST_AS(ast_table_func, $$)->call = $1;
                                          AST_AS(ast_table_func, $$)->ordinality = $2; }
    | K_ROWS K_FROM '('                 { UNSUPPORTED(@1, "ROWS FROM is"); }
    ;
ordinality: %empty { $$ = false; } | T_WITH_LA K_ORDINALITY { $$ = true; } ;

/* ---- types ---------------------------------------------------------------------------------- */

type_name:
      simple_type array_dims            { $$ = $1; $$->array_dims = (int32_t)$2; }
    | K_SETOF simple_type array_dims    { $$ = $2; $$->array_dims = (int32_t)$3; $$->is_setof = true; }
    | simple_type K_ARRAY               { $$ = $1; $$->array_dims = 1; }
    | simple_type K_ARRAY '[' T_INT ']' { $$ = $1; $$->array_dims = 1; }
    ;
array_dims:
      %empty                            { $$ = 0; }
    | array_dims '[' ']'                { $$ = $1 + 1; }
    | array_dims '[' T_INT ']'          { $$ = $1 + 1; }
    ;
simple_type:
      type_func_name typmods_opt        { $$ = node_type_named(p, LIST(NAME($1, @1)), $2, @1.at); }
    | type_func_name '.' any_name typmods_opt
                                        { $$ = node_type_named(p, list_join(p, LIST(NAME($1, @1)), $3),
                                                               $4, @1.at); }
    | numeric_type | character_type | datetime_type
    | interval_type interval_fields     { $$ = $1; }
    ;
typmods_opt: %empty { $$ = NULL; } | '(' expr_list ')' { $$ = $2; } ;
numeric_type:
      K_INT                             { $$ = TYPE("int4", @1); }
    | K_INTEGER                         { $$ = TYPE("int4", @1); }
    | K_SMALLINT                        { $$ = TYPE("int2", @1); }
    | K_BIGINT                          { $$ = TYPE("int8", @1); }
    | K_REAL                            { $$ = TYPE("float4", @1); }
    | K_FLOAT                           { $$ = TYPE("float8", @1); }
    | K_FLOAT '(' iconst ')'            { if ($3 < 1)
                                              RANGE(@3, "precision for type float must be at least 1 bit");
                                          if ($3 > 53)
                                              RANGE(@3, "precision for type float must be less than 54 bits");
                                          $$ = TYPE($3 <= 24 ? "float4" : "float8", @1); }
    | K_DOUBLE K_PRECISION              { $$ = TYPE("float8", @1); }
    | K_DECIMAL typmods_opt             { $$ = node_type(p, "numeric", $2, @1.at); }
    | K_DEC typmods_opt                 { $$ = node_type(p, "numeric", $2, @1.at); }
    | K_NUMERIC typmods_opt             { $$ = node_type(p, "numeric", $2, @1.at); }
    | K_BOOLEAN                         { $$ = TYPE("bool", @1); }
    ;
character_type:
      char_word varying_opt             { $$ = $2 ? TYPE("varchar", @1)
                                                  : node_type(p, "bpchar",
                                                              LIST(node_int(p, 1, @1)), @1.at); }
    | char_word varying_opt '(' iconst ')'
                                        { $$ = node_type(p, $2 ? "varchar" : "bpchar",
                                                         LIST(node_int(p, $4, @4)), @1.at); }
    | K_VARCHAR                         { $$ = TYPE("varchar", @1); }
    | K_VARCHAR '(' iconst ')'          { $$ = node_type(p, "varchar", LIST(node_int(p, $3, @3)), @1.at); }
    | K_BIT                             { UNSUPPORTED(@1, "type bit is"); }
    ;
char_word: K_CHARACTER | K_CHAR | K_NCHAR | K_NATIONAL K_CHARACTER | K_NATIONAL K_CHAR ;
varying_opt: %empty { $$ = false; } | K_VARYING { $$ = true; } ;
datetime_type:
      K_TIMESTAMP precision_opt tz_opt  { $$ = node_type(p, $3 ? "timestamptz" : "timestamp",
                                                         $2 < 0 ? NULL : LIST(node_int(p, $2, @2)),
                                                         @1.at); }
    | K_TIME precision_opt tz_opt       { $$ = node_type(p, $3 ? "timetz" : "time",
                                                         $2 < 0 ? NULL : LIST(node_int(p, $2, @2)),
                                                         @1.at); }
    ;
precision_opt: %empty { $$ = -1; } | '(' iconst ')' { $$ = $2; } ;
tz_opt:
      %empty                            { $$ = false; }
    | T_WITH_LA K_TIME K_ZONE           { $$ = true; }
    | K_WITHOUT K_TIME K_ZONE           { $$ = false; }
    ;
interval_type:
      K_INTERVAL precision_opt          { $$ = node_type(p, "interval",
                                                         $2 < 0 ? NULL : LIST(node_int(p, $2, @2)),
                                                         @1.at); }
    ;
interval_fields:
      %empty                            { $$ = 0; }
    | K_YEAR                            { UNSUPPORTED(@1, "interval fields are"); }
    | K_MONTH                           { UNSUPPORTED(@1, "interval fields are"); }
    | K_DAY                             { UNSUPPORTED(@1, "interval fields are"); }
    | K_HOUR                            { UNSUPPORTED(@1, "interval fields are"); }
    | K_MINUTE                          { UNSUPPORTED(@1, "interval fields are"); }
    | K_SECOND                          { UNSUPPORTED(@1, "interval fields are"); }
    ;
iconst: T_INT { $$ = $1; if ($1 > INT32_MAX) BAD(@1, "value out of range"); } ;
signed_int: T_INT { $$ = $1; } | '+' T_INT { $$ = $2; } | '-' T_INT { $$ = -$2; } ;

/* ---- expressions ---------------------------------------------------------------------------- */

a_expr:
      c_expr
    | a_expr T_TYPECAST type_name       { $$ = node_cast(p, $1, $3, @2.at); }
    | a_expr K_COLLATE any_name         { $$ = node_collate(p, $1, $3, @2.at); }
    | a_expr K_AT K_TIME K_ZONE a_expr %prec K_AT
        { $$ = node_sql_func(p, "timezone", ADD(LIST($5), $1), @2.at); }
    | '+' a_expr %prec UMINUS           { $$ = node_op(p, "+", NULL, $2, @1.at); }
    | '-' a_expr %prec UMINUS           { $$ = node_minus(p, $2, @1.at); }
    | a_expr '+' a_expr                 { $$ = node_op(p, "+", $1, $3, @2.at); }
    | a_expr '-' a_expr                 { $$ = node_op(p, "-", $1, $3, @2.at); }
    | a_expr '*' a_expr                 { $$ = node_op(p, "*", $1, $3, @2.at); }
    | a_expr '/' a_expr                 { $$ = node_op(p, "/", $1, $3, @2.at); }
    | a_expr '%' a_expr                 { $$ = node_op(p, "%", $1, $3, @2.at); }
    | a_expr '^' a_expr                 { $$ = node_op(p, "^", $1, $3, @2.at); }
    | a_expr '<' a_expr                 { $$ = node_op(p, "<", $1, $3, @2.at); }
    | a_expr '>' a_expr                 { $$ = node_op(p, ">", $1, $3, @2.at); }
    | a_expr '=' a_expr                 { $$ = node_op(p, "=", $1, $3, @2.at); }
    | a_expr T_LE a_expr                { $$ = node_op(p, "<=", $1, $3, @2.at); }
    | a_expr T_GE a_expr                { $$ = node_op(p, ">=", $1, $3, @2.at); }
    | a_expr T_NE a_expr                { $$ = node_op(p, "<>", $1, $3, @2.at); }
    | a_expr any_operator a_expr %prec T_OP { $$ = node_op_schema(p, $2, $1, $3, @2.at); }
    | any_operator a_expr %prec T_OP    { $$ = node_op_schema(p, $1, NULL, $2, @1.at); }
    | a_expr K_AND a_expr               { $$ = node_bool(p, AST_AND, $1, $3, @2.at); }
    | a_expr K_OR a_expr                { $$ = node_bool(p, AST_OR, $1, $3, @2.at); }
    | K_NOT a_expr                      { $$ = node_bool(p, AST_NOT, $2, NULL, @1.at); }
    | T_NOT_LA a_expr %prec K_NOT       { $$ = node_bool(p, AST_NOT, $2, NULL, @1.at); }
    | a_expr K_LIKE a_expr %prec K_LIKE
        { $$ = node_like(p, AST_LIKE_LIKE, $1, $3, NULL, false, @2.at); }
    | a_expr K_LIKE a_expr K_ESCAPE a_expr %prec K_LIKE
        { $$ = node_like(p, AST_LIKE_LIKE, $1, $3, $5, false, @2.at); }
    | a_expr K_ILIKE a_expr %prec K_ILIKE
        { $$ = node_like(p, AST_LIKE_ILIKE, $1, $3, NULL, false, @2.at); }
    | a_expr K_ILIKE a_expr K_ESCAPE a_expr %prec K_ILIKE
        { $$ = node_like(p, AST_LIKE_ILIKE, $1, $3, $5, false, @2.at); }
    | a_expr K_SIMILAR K_TO a_expr %prec K_SIMILAR
        { $$ = node_like(p, AST_LIKE_SIMILAR, $1, $4, NULL, false, @2.at); }
    | a_expr K_SIMILAR K_TO a_expr K_ESCAPE a_expr %prec K_SIMILAR
        { $$ = node_like(p, AST_LIKE_SIMILAR, $1, $4, $6, false, @2.at); }
    | a_expr T_NOT_LA K_LIKE a_expr %prec T_NOT_LA
        { $$ = node_like(p, AST_LIKE_LIKE, $1, $4, NULL, true, @2.at); }
    | a_expr T_NOT_LA K_LIKE a_expr K_ESCAPE a_expr %prec T_NOT_LA
        { $$ = node_like(p, AST_LIKE_LIKE, $1, $4, $6, true, @2.at); }
    | a_expr T_NOT_LA K_ILIKE a_expr %prec T_NOT_LA
        { $$ = node_like(p, AST_LIKE_ILIKE, $1, $4, NULL, true, @2.at); }
    | a_expr T_NOT_LA K_ILIKE a_expr K_ESCAPE a_expr %prec T_NOT_LA
        { $$ = node_like(p, AST_LIKE_ILIKE, $1, $4, $6, true, @2.at); }
    | a_expr T_NOT_LA K_SIMILAR K_TO a_expr %prec T_NOT_LA
        { $$ = node_like(p, AST_LIKE_SIMILAR, $1, $5, NULL, true, @2.at); }
    | a_expr T_NOT_LA K_SIMILAR K_TO a_expr K_ESCAPE a_expr %prec T_NOT_LA
        { $$ = node_like(p, AST_LIKE_SIMILAR, $1, $5, $7, true, @2.at); }
    | a_expr K_IS K_NULL %prec K_IS     { $$ = node_is(p, AST_IS_NULL, $1, false, @2.at); }
    | a_expr K_ISNULL                   { $$ = node_is(p, AST_IS_NULL, $1, false, @2.at); }
    | a_expr K_IS K_NOT K_NULL %prec K_IS { $$ = node_is(p, AST_IS_NULL, $1, true, @2.at); }
    | a_expr K_NOTNULL                  { $$ = node_is(p, AST_IS_NULL, $1, true, @2.at); }
    | a_expr K_IS not_opt K_TRUE %prec K_IS { $$ = node_is(p, AST_IS_TRUE, $1, $3, @2.at); }
    | a_expr K_IS not_opt K_FALSE %prec K_IS { $$ = node_is(p, AST_IS_FALSE, $1, $3, @2.at); }
    | a_expr K_IS not_opt K_UNKNOWN %prec K_IS { $$ = node_is(p, AST_IS_UNKNOWN, $1, $3, @2.at); }
    | a_expr K_IS not_opt K_DISTINCT K_FROM a_expr %prec K_IS
        { $$ = node_distinct(p, $1, $6, $3, @2.at); }
    | row K_OVERLAPS row                { UNSUPPORTED(@2, "OVERLAPS is"); }
    | a_expr K_BETWEEN K_ASYMMETRIC b_expr K_AND a_expr %prec K_BETWEEN
        { $$ = node_between(p, $1, $4, $6, false, false, @2.at); }
    | a_expr K_BETWEEN b_expr K_AND a_expr %prec K_BETWEEN
        { $$ = node_between(p, $1, $3, $5, false, false, @2.at); }
    | a_expr T_NOT_LA K_BETWEEN K_ASYMMETRIC b_expr K_AND a_expr %prec T_NOT_LA
        { $$ = node_between(p, $1, $5, $7, true, false, @2.at); }
    | a_expr T_NOT_LA K_BETWEEN b_expr K_AND a_expr %prec T_NOT_LA
        { $$ = node_between(p, $1, $4, $6, true, false, @2.at); }
    | a_expr K_BETWEEN K_SYMMETRIC b_expr K_AND a_expr %prec K_BETWEEN
        { $$ = node_between(p, $1, $4, $6, false, true, @2.at); }
    | a_expr T_NOT_LA K_BETWEEN K_SYMMETRIC b_expr K_AND a_expr %prec T_NOT_LA
        { $$ = node_between(p, $1, $5, $7, true, true, @2.at); }
    | a_expr K_IN in_operand            { $$ = node_in_any(p, $1, $3, false, @2.at); }
    | a_expr T_NOT_LA K_IN in_operand %prec T_NOT_LA { $$ = node_in_any(p, $1, $4, true, @2.at); }
    | a_expr any_all_operator sub_kind select_with_parens %prec T_OP
        { $$ = node_sublink(p, $3, $1, $2, &$4->node, @2.at); }
    | a_expr any_all_operator sub_kind '(' a_expr ')' %prec T_OP
        { $$ = node_any(p, $1, $2, $5, $3 == AST_SUBLINK_ALL, @2.at); }
    | K_DEFAULT                         { $$ = NEW(AST_SET_DEFAULT, ast, @1); }
    ;
not_opt: %empty { $$ = false; } | K_NOT { $$ = true; } ;
b_expr:
      c_expr
    | b_expr T_TYPECAST type_name       { $$ = node_cast(p, $1, $3, @2.at); }
    | '+' b_expr %prec UMINUS           { $$ = node_op(p, "+", NULL, $2, @1.at); }
    | '-' b_expr %prec UMINUS           { $$ = node_minus(p, $2, @1.at); }
    | b_expr '+' b_expr                 { $$ = node_op(p, "+", $1, $3, @2.at); }
    | b_expr '-' b_expr                 { $$ = node_op(p, "-", $1, $3, @2.at); }
    | b_expr '*' b_expr                 { $$ = node_op(p, "*", $1, $3, @2.at); }
    | b_expr '/' b_expr                 { $$ = node_op(p, "/", $1, $3, @2.at); }
    | b_expr '%' b_expr                 { $$ = node_op(p, "%", $1, $3, @2.at); }
    | b_expr '^' b_expr                 { $$ = node_op(p, "^", $1, $3, @2.at); }
    | b_expr '<' b_expr                 { $$ = node_op(p, "<", $1, $3, @2.at); }
    | b_expr '>' b_expr                 { $$ = node_op(p, ">", $1, $3, @2.at); }
    | b_expr '=' b_expr                 { $$ = node_op(p, "=", $1, $3, @2.at); }
    | b_expr T_LE b_expr                { $$ = node_op(p, "<=", $1, $3, @2.at); }
    | b_expr T_GE b_expr                { $$ = node_op(p, ">=", $1, $3, @2.at); }
    | b_expr T_NE b_expr                { $$ = node_op(p, "<>", $1, $3, @2.at); }
    | b_expr any_operator b_expr %prec T_OP { $$ = node_op_schema(p, $2, $1, $3, @2.at); }
    | any_operator b_expr %prec T_OP    { $$ = node_op_schema(p, $1, NULL, $2, @1.at); }
    | b_expr K_IS not_opt K_DISTINCT K_FROM b_expr %prec K_IS
        { $$ = node_distinct(p, $1, $6, $3, @2.at); }
    ;
c_expr:
      columnref
    | literal
    | T_PARAM indirection_opt           { $$ = node_indirection(p, node_param(p, $1, @1.at), $2); }
    | '(' a_expr ')' indirection_opt    { $$ = node_indirection(p, $2, $4); }
    | case_expr
    | func_expr
    | select_with_parens %prec UMINUS
        { $$ = node_sublink(p, AST_SUBLINK_SCALAR, NULL, NULL, &$1->node, @1.at); }
    | select_with_parens indirection
        { $$ = node_indirection(p, node_sublink(p, AST_SUBLINK_SCALAR, NULL, NULL, &$1->node, @1.at),
                                $2); }
    | K_EXISTS select_with_parens
        { $$ = node_sublink(p, AST_SUBLINK_EXISTS, NULL, NULL, &$2->node, @1.at); }
    | K_ARRAY select_with_parens
        { $$ = node_sublink(p, AST_SUBLINK_ARRAY, NULL, NULL, &$2->node, @1.at); }
    | K_ARRAY array_expr                { $$ = $2; $$->at = @1.at; }
    | row                               { $$ = $1; }
    | K_GROUPING '('                    { UNSUPPORTED(@1, "GROUPING is"); }
    ;
row:
      K_ROW '(' expr_list ')'           { $$ = node_row(p, $3, true, @1.at); }
    | K_ROW '(' ')'                     { $$ = node_row(p, NULL, true, @1.at); }
    | '(' expr_list ',' a_expr ')'      { $$ = node_row(p, ADD($2, $4), false, @1.at); }
    ;
array_expr:
      '[' ']'                           { $$ = node_array(p, NULL, @1.at); }
    | '[' expr_list ']'                 { $$ = node_array(p, $2, @1.at); }
    | '[' array_items ']'               { $$ = node_array(p, $2, @1.at); }
    ;
array_items:
      array_expr                        { $$ = LIST($1); }
    | array_items ',' array_expr        { $$ = ADD($1, $3); }
    ;
in_operand:
      select_with_parens                { $$ = &$1->node; }
    | '(' expr_list ')'                 { $$ = node_row(p, $2, false, @1.at); }
    ;
sub_kind:
      K_ANY                             { $$ = AST_SUBLINK_ANY; }
    | K_SOME                            { $$ = AST_SUBLINK_ANY; }
    | K_ALL                             { $$ = AST_SUBLINK_ALL; }
    ;
any_operator:
      T_OP                              { $$ = LIST(NAME($1, @1)); }
    | K_OPERATOR '(' operator_path ')'  { $$ = $3; }
    ;
any_all_operator:
      any_operator
    | math_op                           { $$ = LIST(NAME($1, @1)); }
    | K_LIKE                            { $$ = LIST(NAME("~~", @1)); }
    | T_NOT_LA K_LIKE                   { $$ = LIST(NAME("!~~", @1)); }
    | K_ILIKE                           { $$ = LIST(NAME("~~*", @1)); }
    | T_NOT_LA K_ILIKE                  { $$ = LIST(NAME("!~~*", @1)); }
    ;
operator_path:
      T_OP                              { $$ = LIST(NAME($1, @1)); }
    | math_op                           { $$ = LIST(NAME($1, @1)); }
    | ident '.' operator_path           { $$ = list_join(p, LIST(NAME($1, @1)), $3); }
    ;
math_op:
      '+' { $$ = "+"; } | '-' { $$ = "-"; } | '*' { $$ = "*"; } | '/' { $$ = "/"; }
    | '%' { $$ = "%"; } | '^' { $$ = "^"; } | '<' { $$ = "<"; } | '>' { $$ = ">"; }
    | '=' { $$ = "="; } | T_LE { $$ = "<="; } | T_GE { $$ = ">="; } | T_NE { $$ = "<>"; }
    ;
expr_list:
      a_expr                            { $$ = LIST($1); }
    | expr_list ',' a_expr              { $$ = ADD($1, $3); }
    ;
case_expr:
      K_CASE case_arg when_list case_default K_END { $$ = node_case(p, $2, $3, $4, @1.at); }
    ;
case_arg: %empty { $$ = NULL; } | a_expr ;
when_list:
      K_WHEN a_expr K_THEN a_expr       { $$ = ADD(LIST($2), $4); }
    | when_list K_WHEN a_expr K_THEN a_expr { $$ = ADD(ADD($1, $3), $5); }
    ;
case_default: %empty { $$ = NULL; } | K_ELSE a_expr { $$ = $2; } ;
columnref:
      ident                             { $$ = node_column(p, LIST(NAME($1, @1)), false, @1.at); }
    | ident indirection                 { $$ = node_indirection(p, node_column(p, LIST(NAME($1, @1)),
                                                                               false, @1.at), $2); }
    ;
indirection:
      indirection_el                    { $$ = LIST($1); }
    | indirection indirection_el        { $$ = ADD($1, $2); }
    ;
indirection_opt: %empty { $$ = NULL; } | indirection_opt indirection_el { $$ = ADD($1, $2); } ;
indirection_el:
      '.' col_label                     { $$ = NAME($2, @2); }
    | '.' '*'                           { $$ = NAME(NULL, @2); }
    | '[' subscript_opt ']'             { $$ = $2; }
    ;
subscript_opt:
      a_expr                            { $$ = NEW(AST_SUBSCRIPT, ast_subscript, @1);
                                          AST_AS(ast_subscript, $$)->upper = $1; }
    | slice_bound ':' slice_bound       { $$ = NEW(AST_SUBSCRIPT, ast_subscript, @2);
                                          struct ast_subscript *s = AST_AS(ast_subscript, $$);
                                          s->slice = true; s->lower = $1; s->upper = $3; }
    ;
slice_bound: %empty { $$ = NULL; } | a_expr ;

/* ---- function calls ------------------------------------------------------------------------- */

func_expr:
      func_application within_opt filter_opt over_opt
                                        { $$ = $1; AST_AS(ast_func, $$)->filter = $3; }
    | func_common
    ;
plain_func: func_application | func_common ;
within_opt: %empty | K_WITHIN { UNSUPPORTED(@1, "WITHIN GROUP is"); } ;
over_opt: %empty | K_OVER { UNSUPPORTED(@1, "window functions are"); } ;
filter_opt: %empty { $$ = NULL; } | K_FILTER '(' K_WHERE a_expr ')' { $$ = $4; } ;
func_application:
      func_name '(' ')'                 { $$ = node_func_names(p, $1, NULL, @1.at); }
    | func_name '(' func_args sort_opt ')'
                                        { $$ = node_func_names(p, $1, $3, @1.at);
                                          AST_AS(ast_func, $$)->order_by = $4; }
    | func_name '(' K_VARIADIC func_arg sort_opt ')'
                                        { $$ = node_func_names(p, $1, LIST($4), @1.at);
                                          AST_AS(ast_func, $$)->variadic = true; }
    | func_name '(' func_args ',' K_VARIADIC func_arg sort_opt ')'
                                        { $$ = node_func_names(p, $1, ADD($3, $6), @1.at);
                                          AST_AS(ast_func, $$)->variadic = true; }
    | func_name '(' K_ALL func_args sort_opt ')'
                                        { $$ = node_func_names(p, $1, $4, @1.at);
                                          AST_AS(ast_func, $$)->order_by = $5; }
    | func_name '(' K_DISTINCT func_args sort_opt ')'
                                        { $$ = node_func_names(p, $1, $4, @1.at);
                                          AST_AS(ast_func, $$)->distinct = true;
                                          AST_AS(ast_func, $$)->order_by = $5; }
    | func_name '(' '*' ')'             { $$ = node_func_names(p, $1, NULL, @1.at);
                                          AST_AS(ast_func, $$)->star = true; }
    ;
func_name:
      type_func_name                    { $$ = LIST(NAME($1, @1)); }
    | ident indirection                 { $$ = node_func_path(p, $1, $2, @1.at);
                                          if ($$ == NULL) YYABORT; }
    ;
func_args:
      func_arg                          { $$ = LIST($1); }
    | func_args ',' func_arg            { $$ = ADD($1, $3); }
    ;
func_arg:
      a_expr
    | type_func_name T_COLON_EQUALS     { UNSUPPORTED(@1, "named arguments are"); }
    | type_func_name T_ARROW            { UNSUPPORTED(@1, "named arguments are"); }
    ;
func_common:
      K_CURRENT_DATE                    { $$ = node_value_func(p, AST_CURRENT_DATE, -1, @1.at); }
    | K_CURRENT_TIME                    { $$ = node_value_func(p, AST_CURRENT_TIME, -1, @1.at); }
    | K_CURRENT_TIME '(' iconst ')'     { $$ = node_value_func(p, AST_CURRENT_TIME, (int32_t)$3, @1.at); }
    | K_CURRENT_TIMESTAMP               { $$ = node_value_func(p, AST_CURRENT_TIMESTAMP, -1, @1.at); }
    | K_CURRENT_TIMESTAMP '(' iconst ')'
                                        { $$ = node_value_func(p, AST_CURRENT_TIMESTAMP, (int32_t)$3, @1.at); }
    | K_LOCALTIME                       { $$ = node_value_func(p, AST_LOCALTIME, -1, @1.at); }
    | K_LOCALTIME '(' iconst ')'        { $$ = node_value_func(p, AST_LOCALTIME, (int32_t)$3, @1.at); }
    | K_LOCALTIMESTAMP                  { $$ = node_value_func(p, AST_LOCALTIMESTAMP, -1, @1.at); }
    | K_LOCALTIMESTAMP '(' iconst ')'   { $$ = node_value_func(p, AST_LOCALTIMESTAMP, (int32_t)$3, @1.at); }
    | K_CURRENT_ROLE                    { $$ = node_value_func(p, AST_CURRENT_ROLE, -1, @1.at); }
    | K_CURRENT_USER                    { $$ = node_value_func(p, AST_CURRENT_USER, -1, @1.at); }
    | K_SESSION_USER                    { $$ = node_value_func(p, AST_SESSION_USER, -1, @1.at); }
    | K_USER                            { $$ = node_value_func(p, AST_USER, -1, @1.at); }
    | K_CURRENT_CATALOG                 { $$ = node_value_func(p, AST_CURRENT_CATALOG, -1, @1.at); }
    | K_CURRENT_SCHEMA                  { $$ = node_value_func(p, AST_CURRENT_SCHEMA, -1, @1.at); }
    | K_CAST '(' a_expr K_AS type_name ')' { $$ = node_cast(p, $3, $5, @1.at); }
    | K_EXTRACT '(' extract_arg K_FROM a_expr ')'
                                        { $$ = node_sql_func(p, "extract", ADD(LIST($3), $5), @1.at); }
    | K_OVERLAY '(' overlay_args ')'    { $$ = node_sql_func(p, "overlay", $3, @1.at); }
    | K_POSITION '(' b_expr K_IN b_expr ')'
                                        { $$ = node_sql_func(p, "position", ADD(LIST($5), $3), @1.at); }
    | K_SUBSTRING '(' substr_args ')'   { $$ = node_sql_func(p, "substring", $3, @1.at); }
    | K_SUBSTRING '(' expr_list ')'     { $$ = node_func(p, NULL, "substring", $3, @1.at); }
    | K_TRIM '(' K_BOTH trim_args ')'   { $$ = node_sql_func(p, "btrim", $4, @1.at); }
    | K_TRIM '(' K_LEADING trim_args ')' { $$ = node_sql_func(p, "ltrim", $4, @1.at); }
    | K_TRIM '(' K_TRAILING trim_args ')' { $$ = node_sql_func(p, "rtrim", $4, @1.at); }
    | K_TRIM '(' trim_args ')'          { $$ = node_sql_func(p, "btrim", $3, @1.at); }
    | K_NULLIF '(' a_expr ',' a_expr ')' { $$ = node_args(p, AST_NULLIF, ADD(LIST($3), $5), @1.at); }
    | K_COALESCE '(' expr_list ')'      { $$ = node_args(p, AST_COALESCE, $3, @1.at); }
    | K_GREATEST '(' expr_list ')'      { $$ = node_args(p, AST_GREATEST, $3, @1.at); }
    | K_LEAST '(' expr_list ')'         { $$ = node_args(p, AST_LEAST, $3, @1.at); }
    ;
extract_arg:
      T_IDENT                           { $$ = STR(slice_str($1), @1); }
    | K_YEAR                            { $$ = STR(slice_str($1), @1); }
    | K_MONTH                           { $$ = STR(slice_str($1), @1); }
    | K_DAY                             { $$ = STR(slice_str($1), @1); }
    | K_HOUR                            { $$ = STR(slice_str($1), @1); }
    | K_MINUTE                          { $$ = STR(slice_str($1), @1); }
    | K_SECOND                          { $$ = STR(slice_str($1), @1); }
    | T_STRING                          { $$ = STR($1, @1); }
    ;
overlay_args:
      a_expr K_PLACING a_expr K_FROM a_expr { $$ = ADD(ADD(LIST($1), $3), $5); }
    | a_expr K_PLACING a_expr K_FROM a_expr K_FOR a_expr
                                        { $$ = ADD(ADD(ADD(LIST($1), $3), $5), $7); }
    ;
substr_args:
      a_expr K_FROM a_expr              { $$ = ADD(LIST($1), $3); }
    | a_expr K_FROM a_expr K_FOR a_expr { $$ = ADD(ADD(LIST($1), $3), $5); }
    | a_expr K_FOR a_expr K_FROM a_expr { $$ = ADD(ADD(LIST($1), $5), $3); }
    | a_expr K_FOR a_expr               { $$ = ADD(ADD(LIST($1), node_int(p, 1, (struct sql_loc){ -1, -1 })),
                                                   $3); }
    | a_expr K_SIMILAR a_expr K_ESCAPE a_expr { UNSUPPORTED(@2, "SUBSTRING ... SIMILAR is"); }
    ;
trim_args:
      a_expr K_FROM expr_list           { $$ = ADD($3, $1); }
    | K_FROM expr_list                  { $$ = $2; }
    | expr_list
    ;

/* ---- literals and names --------------------------------------------------------------------- */

literal:
      T_INT                             { $$ = node_int(p, $1, @1); }
    | T_NUMERIC                         { $$ = node_literal(p, AST_LIT_NUMERIC, $1, @1); }
    | T_STRING                          { $$ = STR($1, @1); }
    | T_BITS                            { UNSUPPORTED(@1, "bit strings are"); }
    | func_name T_STRING                { $$ = node_cast(p, STR($2, @2),
                                                         node_type_named(p, $1, NULL, @1.at), @1.at); }
    | func_name '(' func_args sort_opt ')' T_STRING
                                        { if ($4 != NULL)
                                              BAD(@4, "type modifier cannot have ORDER BY");
                                          $$ = node_cast(p, STR($6, @6),
                                                         node_type_named(p, $1, $3, @1.at), @1.at); }
    | numeric_type T_STRING             { $$ = node_cast(p, STR($2, @2), $1, @1.at); }
    | character_type T_STRING           { if ($1->typmods != NULL && $1->typmods->item[0]->at == $1->node.at)
                                              $1->typmods = NULL; /* char 'abc' is not cut to one */
                                          $$ = node_cast(p, STR($2, @2), $1, @1.at); }
    | datetime_type T_STRING            { $$ = node_cast(p, STR($2, @2), $1, @1.at); }
    | interval_type T_STRING interval_fields { $$ = node_cast(p, STR($2, @2), $1, @1.at); }
    | K_TRUE                            { $$ = node_bool_literal(p, true, @1); }
    | K_FALSE                           { $$ = node_bool_literal(p, false, @1); }
    | K_NULL                            { $$ = node_literal(p, AST_LIT_NULL, slice(NULL, 0), @1); }
    ;
number:
      T_INT                             { $$ = node_int(p, $1, @1); }
    | T_NUMERIC                         { $$ = node_literal(p, AST_LIT_NUMERIC, $1, @1); }
    ;
signed_number:
      number
    | '+' number                        { $$ = $2; }
    | '-' number                        { $$ = node_minus(p, $2, @1.at); }
    ;
name_list:
      ident                             { $$ = LIST(NAME($1, @1)); }
    | name_list ',' ident               { $$ = ADD($1, NAME($3, @3)); }
    ;
any_name:
      ident                             { $$ = LIST(NAME($1, @1)); }
    | any_name '.' col_label            { $$ = ADD($1, NAME($3, @3)); }
    ;
qualified_name:
      ident                             { $$ = node_relation(p, LIST(NAME($1, @1)), @1.at); }
    | ident indirection                 { $$ = node_relation(p, node_func_path(p, $1, $2, @1.at),
                                                             @1.at);
                                          if ($$ == NULL) YYABORT; }
    ;
ident: T_IDENT | unreserved_keyword | col_name_keyword ;
type_func_name: T_IDENT | unreserved_keyword | type_func_keyword ;
col_label:
      T_IDENT | unreserved_keyword | col_name_keyword | type_func_keyword | reserved_keyword
    ;
bare_label: T_IDENT | bare_keyword ;

/* Generated from the classes in keywords.h; the test of the parser compares the two. */
unreserved_keyword:
      K_ABORT | K_ABSOLUTE | K_ACCESS | K_ACTION | K_ADD | K_ALTER | K_ALWAYS | K_AT
    | K_ATTACH | K_BACKWARD | K_BEGIN | K_BY | K_CACHE | K_CASCADE | K_CHAIN
    | K_CHARACTERISTICS | K_CHECKPOINT | K_CLOSE | K_CLUSTER | K_COMMENT | K_COMMIT
    | K_COMMITTED | K_CONFLICT | K_CONNECTION | K_CONTINUE | K_COPY | K_CSV | K_CUBE
    | K_CURRENT | K_CURSOR | K_CYCLE | K_DATA | K_DATABASE | K_DAY | K_DEALLOCATE
    | K_DECLARE | K_DEFERRED | K_DELETE | K_DELIMITER | K_DETACH | K_DISABLE | K_DISCARD
    | K_DOUBLE | K_DROP | K_ENABLE | K_ENCODING | K_ENCRYPTED | K_ESCAPE | K_EXCLUDE
    | K_EXCLUSIVE | K_EXECUTE | K_EXPLAIN | K_EXTENSION | K_FILTER | K_FIRST | K_FORCE
    | K_FORWARD | K_GENERATED | K_GLOBAL | K_HEADER | K_HOLD | K_HOUR | K_IDENTITY | K_IF
    | K_IMMEDIATE | K_INCLUDE | K_INCREMENT | K_INDEX | K_INHERIT | K_INHERITS
    | K_INSENSITIVE | K_INSERT | K_ISOLATION | K_KEY | K_LAST | K_LEVEL | K_LOCAL | K_LOCK
    | K_LOCKED | K_LOGGED | K_MATCH | K_MATERIALIZED | K_MAXVALUE | K_MINUTE | K_MINVALUE
    | K_MODE | K_MONTH | K_MOVE | K_NAMES | K_NEXT | K_NO | K_NOTHING | K_NOWAIT | K_NULLS
    | K_OF | K_OIDS | K_OPERATOR | K_ORDINALITY | K_OVER | K_OVERRIDING | K_OWNED | K_OWNER
    | K_PARTIAL | K_PARTITION | K_PASSWORD | K_PLANS | K_PREPARE | K_PREPARED | K_PRESERVE
    | K_PRIOR | K_PROGRAM | K_QUOTE | K_RANGE | K_READ | K_RECURSIVE | K_RELATIVE
    | K_RELEASE | K_RENAME | K_REPEATABLE | K_REPLACE | K_REPLICA | K_RESET | K_RESTART
    | K_RESTRICT | K_ROLE | K_ROLLBACK | K_ROLLUP | K_ROWS | K_SAVEPOINT | K_SCHEMA | K_SCN
    | K_SCROLL | K_SECOND | K_SEQUENCE | K_SEQUENCES | K_SERIALIZABLE | K_SESSION | K_SET
    | K_SETS | K_SHARE | K_SHOW | K_SIMPLE | K_SKIP | K_SNAPSHOT | K_START | K_STATISTICS
    | K_STDIN | K_STDOUT | K_STORAGE | K_STORED | K_SYSTEM | K_TABLESPACE | K_TEMP
    | K_TEMPORARY | K_TIES | K_TRANSACTION | K_TRIGGER | K_TRUNCATE | K_TYPE
    | K_UNCOMMITTED | K_UNKNOWN | K_UNLOGGED | K_UNTIL | K_UPDATE | K_VACUUM | K_VALID
    | K_VALIDATE | K_VALUE | K_VARYING | K_VIEW | K_WITHIN | K_WITHOUT | K_WORK | K_WRITE
    | K_YEAR | K_ZONE
    ;
col_name_keyword:
      K_BETWEEN | K_BIGINT | K_BIT | K_BOOLEAN | K_CHAR | K_CHARACTER | K_COALESCE | K_DEC
    | K_DECIMAL | K_EXISTS | K_EXTRACT | K_FLOAT | K_GREATEST | K_GROUPING | K_INOUT
    | K_INT | K_INTEGER | K_INTERVAL | K_LEAST | K_NATIONAL | K_NCHAR | K_NONE
    | K_NORMALIZE | K_NULLIF | K_NUMERIC | K_OUT | K_OVERLAY | K_POSITION | K_PRECISION
    | K_REAL | K_ROW | K_SETOF | K_SMALLINT | K_SUBSTRING | K_TIME | K_TIMESTAMP | K_TREAT
    | K_TRIM | K_VALUES | K_VARCHAR | K_XMLATTRIBUTES | K_XMLCONCAT | K_XMLELEMENT
    | K_XMLEXISTS | K_XMLFOREST | K_XMLNAMESPACES | K_XMLPARSE | K_XMLPI | K_XMLROOT
    | K_XMLSERIALIZE | K_XMLTABLE
    ;
type_func_keyword:
      K_AUTHORIZATION | K_BINARY | K_COLLATION | K_CONCURRENTLY | K_CROSS | K_CURRENT_SCHEMA
    | K_FREEZE | K_FULL | K_ILIKE | K_INNER | K_IS | K_ISNULL | K_JOIN | K_LEFT | K_LIKE
    | K_NATURAL | K_NOTNULL | K_OUTER | K_OVERLAPS | K_RIGHT | K_SIMILAR | K_TABLESAMPLE
    | K_VERBOSE
    ;
reserved_keyword:
      K_ALL | K_ANALYSE | K_ANALYZE | K_AND | K_ANY | K_ARRAY | K_AS | K_ASC | K_ASYMMETRIC
    | K_BOTH | K_CASE | K_CAST | K_CHECK | K_COLLATE | K_COLUMN | K_CONSTRAINT | K_CREATE
    | K_CURRENT_CATALOG | K_CURRENT_DATE | K_CURRENT_ROLE | K_CURRENT_TIME
    | K_CURRENT_TIMESTAMP | K_CURRENT_USER | K_DEFAULT | K_DEFERRABLE | K_DESC | K_DISTINCT
    | K_DO | K_ELSE | K_END | K_EXCEPT | K_FALSE | K_FETCH | K_FOR | K_FOREIGN | K_FROM
    | K_GRANT | K_GROUP | K_HAVING | K_IN | K_INITIALLY | K_INTERSECT | K_INTO | K_LATERAL
    | K_LEADING | K_LIMIT | K_LOCALTIME | K_LOCALTIMESTAMP | K_NOT | K_NULL | K_OFFSET
    | K_ON | K_ONLY | K_OR | K_ORDER | K_PLACING | K_PRIMARY | K_REFERENCES | K_RETURNING
    | K_SELECT | K_SESSION_USER | K_SOME | K_SYMMETRIC | K_TABLE | K_THEN | K_TO
    | K_TRAILING | K_TRUE | K_UNION | K_UNIQUE | K_USER | K_USING | K_VARIADIC | K_WHEN
    | K_WHERE | K_WINDOW | K_WITH
    ;
bare_keyword:
      K_ABORT | K_ABSOLUTE | K_ACCESS | K_ACTION | K_ADD | K_ALL | K_ALTER | K_ALWAYS
    | K_ANALYSE | K_ANALYZE | K_AND | K_ANY | K_ASC | K_ASYMMETRIC | K_AT | K_ATTACH
    | K_AUTHORIZATION | K_BACKWARD | K_BEGIN | K_BETWEEN | K_BIGINT | K_BINARY | K_BIT
    | K_BOOLEAN | K_BOTH | K_BY | K_CACHE | K_CASCADE | K_CASE | K_CAST | K_CHAIN
    | K_CHARACTERISTICS | K_CHECK | K_CHECKPOINT | K_CLOSE | K_CLUSTER | K_COALESCE
    | K_COLLATE | K_COLLATION | K_COLUMN | K_COMMENT | K_COMMIT | K_COMMITTED
    | K_CONCURRENTLY | K_CONFLICT | K_CONNECTION | K_CONSTRAINT | K_CONTINUE | K_COPY
    | K_CROSS | K_CSV | K_CUBE | K_CURRENT | K_CURRENT_CATALOG | K_CURRENT_DATE
    | K_CURRENT_ROLE | K_CURRENT_SCHEMA | K_CURRENT_TIME | K_CURRENT_TIMESTAMP
    | K_CURRENT_USER | K_CURSOR | K_CYCLE | K_DATA | K_DATABASE | K_DEALLOCATE | K_DEC
    | K_DECIMAL | K_DECLARE | K_DEFAULT | K_DEFERRABLE | K_DEFERRED | K_DELETE
    | K_DELIMITER | K_DESC | K_DETACH | K_DISABLE | K_DISCARD | K_DISTINCT | K_DO
    | K_DOUBLE | K_DROP | K_ELSE | K_ENABLE | K_ENCODING | K_ENCRYPTED | K_END | K_ESCAPE
    | K_EXCLUDE | K_EXCLUSIVE | K_EXECUTE | K_EXISTS | K_EXPLAIN | K_EXTENSION | K_EXTRACT
    | K_FALSE | K_FIRST | K_FLOAT | K_FORCE | K_FOREIGN | K_FORWARD | K_FREEZE | K_FULL
    | K_GENERATED | K_GLOBAL | K_GREATEST | K_GROUPING | K_HEADER | K_HOLD | K_IDENTITY
    | K_IF | K_ILIKE | K_IMMEDIATE | K_IN | K_INCLUDE | K_INCREMENT | K_INDEX | K_INHERIT
    | K_INHERITS | K_INITIALLY | K_INNER | K_INOUT | K_INSENSITIVE | K_INSERT | K_INT
    | K_INTEGER | K_INTERVAL | K_IS | K_ISOLATION | K_JOIN | K_KEY | K_LAST | K_LATERAL
    | K_LEADING | K_LEAST | K_LEFT | K_LEVEL | K_LIKE | K_LOCAL | K_LOCALTIME
    | K_LOCALTIMESTAMP | K_LOCK | K_LOCKED | K_LOGGED | K_MATCH | K_MATERIALIZED
    | K_MAXVALUE | K_MINVALUE | K_MODE | K_MOVE | K_NAMES | K_NATIONAL | K_NATURAL
    | K_NCHAR | K_NEXT | K_NO | K_NONE | K_NORMALIZE | K_NOT | K_NOTHING | K_NOWAIT
    | K_NULL | K_NULLIF | K_NULLS | K_NUMERIC | K_OF | K_OIDS | K_ONLY | K_OPERATOR | K_OR
    | K_ORDINALITY | K_OUT | K_OUTER | K_OVERLAY | K_OVERRIDING | K_OWNED | K_OWNER
    | K_PARTIAL | K_PARTITION | K_PASSWORD | K_PLACING | K_PLANS | K_POSITION | K_PREPARE
    | K_PREPARED | K_PRESERVE | K_PRIMARY | K_PRIOR | K_PROGRAM | K_QUOTE | K_RANGE
    | K_READ | K_REAL | K_RECURSIVE | K_REFERENCES | K_RELATIVE | K_RELEASE | K_RENAME
    | K_REPEATABLE | K_REPLACE | K_REPLICA | K_RESET | K_RESTART | K_RESTRICT | K_RIGHT
    | K_ROLE | K_ROLLBACK | K_ROLLUP | K_ROW | K_ROWS | K_SAVEPOINT | K_SCHEMA | K_SCN
    | K_SCROLL | K_SELECT | K_SEQUENCE | K_SEQUENCES | K_SERIALIZABLE | K_SESSION
    | K_SESSION_USER | K_SET | K_SETOF | K_SETS | K_SHARE | K_SHOW | K_SIMILAR | K_SIMPLE
    | K_SKIP | K_SMALLINT | K_SNAPSHOT | K_SOME | K_START | K_STATISTICS | K_STDIN
    | K_STDOUT | K_STORAGE | K_STORED | K_SUBSTRING | K_SYMMETRIC | K_SYSTEM | K_TABLE
    | K_TABLESAMPLE | K_TABLESPACE | K_TEMP | K_TEMPORARY | K_THEN | K_TIES | K_TIME
    | K_TIMESTAMP | K_TRAILING | K_TRANSACTION | K_TREAT | K_TRIGGER | K_TRIM | K_TRUE
    | K_TRUNCATE | K_TYPE | K_UNCOMMITTED | K_UNIQUE | K_UNKNOWN | K_UNLOGGED | K_UNTIL
    | K_UPDATE | K_USER | K_USING | K_VACUUM | K_VALID | K_VALIDATE | K_VALUE | K_VALUES
    | K_VARCHAR | K_VARIADIC | K_VERBOSE | K_VIEW | K_WHEN | K_WORK | K_WRITE
    | K_XMLATTRIBUTES | K_XMLCONCAT | K_XMLELEMENT | K_XMLEXISTS | K_XMLFOREST
    | K_XMLNAMESPACES | K_XMLPARSE | K_XMLPI | K_XMLROOT | K_XMLSERIALIZE | K_XMLTABLE
    | K_ZONE
    ;
%%
