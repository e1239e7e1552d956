/* The definitions of the catalogue's own tables: PostgreSQL 15's names, OIDs and columns.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>

#include "engine/catalog/systable.h"

#define B  TYPE_BOOL
#define C  TYPE_CHAR
#define N  TYPE_NAME
#define O  TYPE_OID
#define I2 TYPE_INT2
#define I4 TYPE_INT4
#define I8 TYPE_INT8
#define F4 TYPE_FLOAT4
#define T  TYPE_TEXT
#define X  TYPE_XID
#define TA TYPE_TEXT_ARRAY
#define OA TYPE_OID_ARRAY
#define CA TYPE_CHAR_ARRAY
#define AC TYPE_ACLITEM_ARRAY
#define PN TYPE_PG_NODE_TREE
#define RP TYPE_REGPROC
#define OV TYPE_OIDVECTOR
#define IV TYPE_INT2VECTOR
#define S2 TYPE_INT2_ARRAY
#define TZ TYPE_TIMESTAMPTZ

static const struct sys_column class_columns[] = {
    { "oid", O },
    { "relname", N },
    { "relnamespace", O },
    { "reltype", O },
    { "reloftype", O },
    { "relowner", O },
    { "relam", O },
    { "relfilenode", O },
    { "reltablespace", O },
    { "relpages", I4 },
    { "reltuples", F4 },
    { "relallvisible", I4 },
    { "reltoastrelid", O },
    { "relhasindex", B },
    { "relisshared", B },
    { "relpersistence", C },
    { "relkind", C },
    { "relnatts", I2 },
    { "relchecks", I2 },
    { "relhasrules", B },
    { "relhastriggers", B },
    { "relhassubclass", B },
    { "relrowsecurity", B },
    { "relforcerowsecurity", B },
    { "relispopulated", B },
    { "relreplident", C },
    { "relispartition", B },
    { "relrewrite", O },
    { "relfrozenxid", X },
    { "relminmxid", X },
    { "relacl", AC },
    { "reloptions", TA },
    { "relpartbound", PN },
    { "rdtree", I8 },
    { "rdversion", I4 },
    { "rdchange", I8 },
    { "rdview", T },
    { "rdbytes", F4 },
};
static_assert(sizeof class_columns / sizeof *class_columns == CLASS_COUNT, "pg_class");

static const struct sys_column attribute_columns[] = {
    { "attrelid", O },       { "attname", N },       { "atttypid", O },
    { "attstattarget", I4 }, { "attlen", I2 },       { "attnum", I2 },
    { "attndims", I4 },      { "attcacheoff", I4 },  { "atttypmod", I4 },
    { "attbyval", B },       { "attalign", C },      { "attstorage", C },
    { "attcompression", C }, { "attnotnull", B },    { "atthasdef", B },
    { "atthasmissing", B },  { "attidentity", C },   { "attgenerated", C },
    { "attisdropped", B },   { "attislocal", B },    { "attinhcount", I4 },
    { "attcollation", O },   { "attacl", AC },       { "attoptions", TA },
    { "attfdwoptions", TA }, { "attmissingval", T }, { "rdtype", O },
    { "rdsince", I4 },       { "rduntil", I4 },      { "rdmissing", TYPE_BYTEA },
};
static_assert(sizeof attribute_columns / sizeof *attribute_columns == ATT_COUNT, "pg_attribute");

static const struct sys_column index_columns[] = {
    { "indexrelid", O },     { "indrelid", O },       { "indnatts", I2 },
    { "indnkeyatts", I2 },   { "indisunique", B },    { "indnullsnotdistinct", B },
    { "indisprimary", B },   { "indisexclusion", B }, { "indimmediate", B },
    { "indisclustered", B }, { "indisvalid", B },     { "indcheckxmin", B },
    { "indisready", B },     { "indislive", B },      { "indisreplident", B },
    { "indkey", IV },        { "indcollation", OV },  { "indclass", OV },
    { "indoption", IV },     { "indexprs", PN },      { "indpred", PN },
};
static_assert(sizeof index_columns / sizeof *index_columns == IND_COUNT, "pg_index");

static const struct sys_column constraint_columns[] = {
    { "oid", O },           { "conname", N },      { "connamespace", O },  { "contype", C },
    { "condeferrable", B }, { "condeferred", B },  { "convalidated", B },  { "conrelid", O },
    { "contypid", O },      { "conindid", O },     { "conparentid", O },   { "confrelid", O },
    { "confupdtype", C },   { "confdeltype", C },  { "confmatchtype", C }, { "conislocal", B },
    { "coninhcount", I4 },  { "connoinherit", B }, { "conkey", S2 },       { "confkey", S2 },
    { "conpfeqop", OA },    { "conppeqop", OA },   { "conffeqop", OA },    { "confdelsetcols", S2 },
    { "conexclop", OA },    { "conbin", PN },
};
static_assert(sizeof constraint_columns / sizeof *constraint_columns == CON_COUNT, "pg_constraint");

static const struct sys_column attrdef_columns[] = {
    { "oid", O },
    { "adrelid", O },
    { "adnum", I2 },
    { "adbin", PN },
};
static const struct sys_column namespace_columns[] = {
    { "oid", O },
    { "nspname", N },
    { "nspowner", O },
    { "nspacl", AC },
};
static const struct sys_column authid_columns[] = {
    { "oid", O },           { "rolname", N },       { "rolsuper", B },    { "rolinherit", B },
    { "rolcreaterole", B }, { "rolcreatedb", B },   { "rolcanlogin", B }, { "rolreplication", B },
    { "rolbypassrls", B },  { "rolconnlimit", I4 }, { "rolpassword", T }, { "rolvaliduntil", TZ },
};
static const struct sys_column database_columns[] = {
    { "oid", O },          { "datname", N },        { "datdba", O },
    { "encoding", I4 },    { "datlocprovider", C }, { "datistemplate", B },
    { "datallowconn", B }, { "datconnlimit", I4 },  { "datfrozenxid", X },
    { "datminmxid", X },   { "dattablespace", O },  { "datcollate", T },
    { "datctype", T },     { "daticulocale", T },   { "datcollversion", T },
    { "datacl", AC },
};
static_assert(sizeof database_columns / sizeof *database_columns == DB_COUNT, "pg_database");
static const struct sys_column sequence_columns[] = {
    { "seqrelid", O }, { "seqtypid", O }, { "seqstart", I8 }, { "seqincrement", I8 },
    { "seqmax", I8 },  { "seqmin", I8 },  { "seqcache", I8 }, { "seqcycle", B },
};
static const struct sys_column description_columns[] = {
    { "objoid", O },
    { "classoid", O },
    { "objsubid", I4 },
    { "description", T },
};

/* ---- virtual --------------------------------------------------------------------------------- */

static const struct sys_column type_columns[] = {
    { "oid", O },           { "typname", N },      { "typnamespace", O },
    { "typowner", O },      { "typlen", I2 },      { "typbyval", B },
    { "typtype", C },       { "typcategory", C },  { "typispreferred", B },
    { "typisdefined", B },  { "typdelim", C },     { "typrelid", O },
    { "typsubscript", RP }, { "typelem", O },      { "typarray", O },
    { "typinput", RP },     { "typoutput", RP },   { "typreceive", RP },
    { "typsend", RP },      { "typmodin", RP },    { "typmodout", RP },
    { "typanalyze", RP },   { "typalign", C },     { "typstorage", C },
    { "typnotnull", B },    { "typbasetype", O },  { "typtypmod", I4 },
    { "typndims", I4 },     { "typcollation", O }, { "typdefaultbin", PN },
    { "typdefault", T },    { "typacl", AC },
};
static const struct sys_column proc_columns[] = {
    { "oid", O },          { "proname", N },      { "pronamespace", O },
    { "proowner", O },     { "prolang", O },      { "procost", F4 },
    { "prorows", F4 },     { "provariadic", O },  { "prosupport", RP },
    { "prokind", C },      { "prosecdef", B },    { "proleakproof", B },
    { "proisstrict", B },  { "proretset", B },    { "provolatile", C },
    { "proparallel", C },  { "pronargs", I2 },    { "pronargdefaults", I2 },
    { "prorettype", O },   { "proargtypes", OV }, { "proallargtypes", OA },
    { "proargmodes", CA }, { "proargnames", TA }, { "proargdefaults", PN },
    { "protrftypes", OA }, { "prosrc", T },       { "probin", T },
    { "prosqlbody", PN },  { "proconfig", TA },   { "proacl", AC },
};
static const struct sys_column operator_columns[] = {
    { "oid", O },      { "oprname", N },     { "oprnamespace", O }, { "oprowner", O },
    { "oprkind", C },  { "oprcanmerge", B }, { "oprcanhash", B },   { "oprleft", O },
    { "oprright", O }, { "oprresult", O },   { "oprcom", O },       { "oprnegate", O },
    { "oprcode", RP }, { "oprrest", RP },    { "oprjoin", RP },
};
static const struct sys_column am_columns[] = {
    { "oid", O },
    { "amname", N },
    { "amhandler", RP },
    { "amtype", C },
};
static const struct sys_column collation_columns[] = {
    { "oid", O },           { "collname", N },     { "collnamespace", O },
    { "collowner", O },     { "collprovider", C }, { "collisdeterministic", B },
    { "collencoding", I4 }, { "collcollate", T },  { "collctype", T },
    { "colliculocale", T }, { "collversion", T },
};
static const struct sys_column roles_columns[] = {
    { "rolname", N },     { "rolsuper", B },       { "rolinherit", B },     { "rolcreaterole", B },
    { "rolcreatedb", B }, { "rolcanlogin", B },    { "rolreplication", B }, { "rolconnlimit", I4 },
    { "rolpassword", T }, { "rolvaliduntil", TZ }, { "rolbypassrls", B },   { "rolconfig", TA },
    { "oid", O },
};
static const struct sys_column user_columns[] = {
    { "usename", N },  { "usesysid", O },  { "usecreatedb", B },
    { "usesuper", B }, { "userepl", B },   { "usebypassrls", B },
    { "passwd", T },   { "valuntil", TZ }, { "useconfig", TA },
};
static const struct sys_column tables_columns[] = {
    { "schemaname", N }, { "tablename", N }, { "tableowner", N },  { "tablespace", N },
    { "hasindexes", B }, { "hasrules", B },  { "hastriggers", B }, { "rowsecurity", B },
};
static const struct sys_column indexes_columns[] = {
    { "schemaname", N }, { "tablename", N }, { "indexname", N },
    { "tablespace", N }, { "indexdef", T },
};
/* Tables for what does not exist here yet: they are empty, and their names and columns are what
 * clients ask for. */
static const struct sys_column inherits_columns[] = {
    { "inhrelid", O },
    { "inhparent", O },
    { "inhseqno", I4 },
    { "inhdetachpending", B },
};
static const struct sys_column trigger_columns[] = {
    { "oid", O },
    { "tgrelid", O },
    { "tgparentid", O },
    { "tgname", N },
    { "tgfoid", O },
    { "tgtype", I2 },
    { "tgenabled", C },
    { "tgisinternal", B },
    { "tgconstrrelid", O },
    { "tgconstrindid", O },
    { "tgconstraint", O },
    { "tgdeferrable", B },
    { "tginitdeferred", B },
    { "tgnargs", I2 },
    { "tgattr", IV },
    { "tgargs", TYPE_BYTEA },
    { "tgqual", PN },
    { "tgoldtable", N },
    { "tgnewtable", N },
};
static const struct sys_column policy_columns[] = {
    { "oid", O },           { "polname", N },   { "polrelid", O }, { "polcmd", C },
    { "polpermissive", B }, { "polroles", OA }, { "polqual", PN }, { "polwithcheck", PN },
};
static const struct sys_column publication_columns[] = {
    { "oid", O },          { "pubname", N },     { "pubowner", O },
    { "puballtables", B }, { "pubinsert", B },   { "pubupdate", B },
    { "pubdelete", B },    { "pubtruncate", B }, { "pubviaroot", B },
};
static const struct sys_column publication_rel_columns[] = {
    { "oid", O }, { "prpubid", O }, { "prrelid", O }, { "prqual", PN }, { "prattrs", IV },
};
static const struct sys_column publication_namespace_columns[] = {
    { "oid", O },
    { "pnpubid", O },
    { "pnnspid", O },
};
static const struct sys_column statistic_ext_columns[] = {
    { "oid", O },          { "stxrelid", O }, { "stxname", N },
    { "stxnamespace", O }, { "stxowner", O }, { "stxstattarget", I4 },
    { "stxkeys", IV },     { "stxkind", CA }, { "stxexprs", PN },
};
static const struct sys_column rewrite_columns[] = {
    { "oid", O },        { "rulename", N },   { "ev_class", O }, { "ev_type", C },
    { "ev_enabled", C }, { "is_instead", B }, { "ev_qual", PN }, { "ev_action", PN },
};
static const struct sys_column depend_columns[] = {
    { "classid", O },  { "objid", O },        { "objsubid", I4 }, { "refclassid", O },
    { "refobjid", O }, { "refobjsubid", I4 }, { "deptype", C },
};
static const struct sys_column foreign_table_columns[] = {
    { "ftrelid", O },
    { "ftserver", O },
    { "ftoptions", TA },
};
static const struct sys_column foreign_server_columns[] = {
    { "oid", O },     { "srvname", N },    { "srvowner", O }, { "srvfdw", O },
    { "srvtype", T }, { "srvversion", T }, { "srvacl", AC },  { "srvoptions", TA },
};
static const struct sys_column tablespace_columns[] = {
    { "oid", O }, { "spcname", N }, { "spcowner", O }, { "spcacl", AC }, { "spcoptions", TA },
};
static const struct sys_column enum_columns[] = {
    { "oid", O },
    { "enumtypid", O },
    { "enumsortorder", F4 },
    { "enumlabel", N },
};
static const struct sys_column range_columns[] = {
    { "rngtypid", O },  { "rngsubtype", O },    { "rngmultitypid", O }, { "rngcollation", O },
    { "rngsubopc", O }, { "rngcanonical", RP }, { "rngsubdiff", RP },
};
static const struct sys_column extension_columns[] = {
    { "oid", O },          { "extname", N },        { "extowner", O },
    { "extnamespace", O }, { "extrelocatable", B }, { "extversion", T },
    { "extconfig", OA },   { "extcondition", TA },
};
static const struct sys_column auth_members_columns[] = {
    { "roleid", O },
    { "member", O },
    { "grantor", O },
    { "admin_option", B },
};
static const struct sys_column shdescription_columns[] = {
    { "objoid", O },
    { "classoid", O },
    { "description", T },
};

static const struct sys_column cast_columns[] = {
    { "oid", O },      { "castsource", O },  { "casttarget", O },
    { "castfunc", O }, { "castcontext", C }, { "castmethod", C },
};
static const struct sys_column language_columns[] = {
    { "oid", O },       { "lanname", N },      { "lanowner", O },
    { "lanispl", B },   { "lanpltrusted", B }, { "lanplcallfoid", O },
    { "laninline", O }, { "lanvalidator", O }, { "lanacl", AC },
};
static const struct sys_column default_acl_columns[] = {
    { "oid", O },           { "defaclrole", O }, { "defaclnamespace", O },
    { "defaclobjtype", C }, { "defaclacl", AC },
};
static const struct sys_column largeobject_metadata_columns[] = {
    { "oid", O },
    { "lomowner", O },
    { "lomacl", AC },
};
static const struct sys_column subscription_columns[] = {
    { "oid", O },
    { "subdbid", O },
    { "subskiplsn", T },
    { "subname", N },
    { "subowner", O },
    { "subenabled", B },
    { "subbinary", B },
    { "substream", B },
    { "subtwophasestate", C },
    { "subdisableonerr", B },
    { "subconninfo", T },
    { "subslotname", N },
    { "subsynccommit", T },
    { "subpublications", TA },
};
static const struct sys_column db_role_setting_columns[] = {
    { "setdatabase", O },
    { "setrole", O },
    { "setconfig", TA },
};
static const struct sys_column opclass_columns[] = {
    { "oid", O },          { "opcmethod", O },  { "opcname", N },
    { "opcnamespace", O }, { "opcowner", O },   { "opcfamily", O },
    { "opcintype", O },    { "opcdefault", B }, { "opckeytype", O },
};
static const struct sys_column opfamily_columns[] = {
    { "oid", O }, { "opfmethod", O }, { "opfname", N }, { "opfnamespace", O }, { "opfowner", O },
};
static const struct sys_column amop_columns[] = {
    { "oid", O },           { "amopfamily", O },    { "amoplefttype", O },
    { "amoprighttype", O }, { "amopstrategy", I2 }, { "amoppurpose", C },
    { "amopopr", O },       { "amopmethod", O },    { "amopsortfamily", O },
};
static const struct sys_column amproc_columns[] = {
    { "oid", O },        { "amprocfamily", O }, { "amproclefttype", O }, { "amprocrighttype", O },
    { "amprocnum", I2 }, { "amproc", RP },
};
static const struct sys_column foreign_data_wrapper_columns[] = {
    { "oid", O },          { "fdwname", N }, { "fdwowner", O },    { "fdwhandler", O },
    { "fdwvalidator", O }, { "fdwacl", AC }, { "fdwoptions", TA },
};
static const struct sys_column conversion_columns[] = {
    { "oid", O },      { "conname", N },         { "connamespace", O },
    { "conowner", O }, { "conforencoding", I4 }, { "contoencoding", I4 },
    { "conproc", RP }, { "condefault", B },
};
static const struct sys_column event_trigger_columns[] = {
    { "oid", O },     { "evtname", N },    { "evtevent", N }, { "evtowner", O },
    { "evtfoid", O }, { "evtenabled", C }, { "evttags", TA },
};
static const struct sys_column ts_config_columns[] = {
    { "oid", O }, { "cfgname", N }, { "cfgnamespace", O }, { "cfgowner", O }, { "cfgparser", O },
};
static const struct sys_column ts_config_map_columns[] = {
    { "mapcfg", O },
    { "maptokentype", I4 },
    { "mapseqno", I4 },
    { "mapdict", O },
};
static const struct sys_column ts_dict_columns[] = {
    { "oid", O },       { "dictname", N },     { "dictnamespace", O },
    { "dictowner", O }, { "dicttemplate", O }, { "dictinitoption", T },
};
static const struct sys_column ts_parser_columns[] = {
    { "oid", O },       { "prsname", N }, { "prsnamespace", O }, { "prsstart", RP },
    { "prstoken", RP }, { "prsend", RP }, { "prsheadline", RP }, { "prslextype", RP },
};
static const struct sys_column ts_template_columns[] = {
    { "oid", O },       { "tmplname", N },    { "tmplnamespace", O },
    { "tmplinit", RP }, { "tmpllexize", RP },
};
static const struct sys_column partitioned_table_columns[] = {
    { "partrelid", O },  { "partstrat", C },  { "partnatts", I2 },     { "partdefid", O },
    { "partattrs", IV }, { "partclass", OV }, { "partcollation", OV }, { "partexprs", PN },
};
static const struct sys_column user_mapping_columns[] = {
    { "oid", O },
    { "umuser", O },
    { "umserver", O },
    { "umoptions", TA },
};
static const struct sys_column views_columns[] = {
    { "schemaname", N },
    { "viewname", N },
    { "viewowner", N },
    { "definition", T },
};
static const struct sys_column matviews_columns[] = {
    { "schemaname", N }, { "matviewname", N }, { "matviewowner", N }, { "tablespace", N },
    { "hasindexes", B }, { "ispopulated", B }, { "definition", T },
};

#define COLUMNS(array) (array), sizeof(array) / sizeof *(array)
#define VIRTUAL(number, table, array)                                                              \
    {                                                                                              \
        .oid = number, .name = table, .columns = array,                                            \
        .column_count = sizeof(array) / sizeof *(array)                                            \
    }

static const struct systable systables[SYS_COUNT] = {
    [SYS_CLASS] = { 1259,
                    "pg_class",
                    1,
                    COLUMNS(class_columns),
                    1,
                    { CLASS_OID },
                    2662,
                    "pg_class_oid_index",
                    { { 2663,
                        "pg_class_relname_nsp_index",
                        33,
                        true,
                        2,
                        { CLASS_NAMESPACE, CLASS_NAME } } } },
    [SYS_ATTRIBUTE] = { 1249,
                        "pg_attribute",
                        2,
                        COLUMNS(attribute_columns),
                        2,
                        { ATT_RELID, ATT_NUM },
                        2659,
                        "pg_attribute_relid_attnum_index",
                        { { 0 } } },
    [SYS_INDEX] = { 2610,
                    "pg_index",
                    3,
                    COLUMNS(index_columns),
                    1,
                    { IND_RELID },
                    2679,
                    "pg_index_indexrelid_index",
                    { { 2678, "pg_index_indrelid_index", 34, false, 1, { IND_TABLE } } } },
    [SYS_CONSTRAINT] = { 2606,
                         "pg_constraint",
                         4,
                         COLUMNS(constraint_columns),
                         1,
                         { CON_OID },
                         2667,
                         "pg_constraint_oid_index",
                         { { 2665,
                             "pg_constraint_conrelid_contypid_conname_index",
                             35,
                             true,
                             3,
                             { CON_RELID, CON_TYPID, CON_NAME } },
                           { 2664,
                             "pg_constraint_confrelid_index",
                             36,
                             false,
                             1,
                             { CON_FRELID } } } },
    [SYS_ATTRDEF] = { 2604,
                      "pg_attrdef",
                      5,
                      COLUMNS(attrdef_columns),
                      2,
                      { DEF_RELID, DEF_NUM },
                      2656,
                      "pg_attrdef_adrelid_adnum_index",
                      { { 0 } } },
    [SYS_NAMESPACE] = { 2615,
                        "pg_namespace",
                        6,
                        COLUMNS(namespace_columns),
                        1,
                        { NSP_OID },
                        2685,
                        "pg_namespace_oid_index",
                        { { 2684, "pg_namespace_nspname_index", 37, true, 1, { NSP_NAME } } } },
    [SYS_AUTHID] = { 1260,
                     "pg_authid",
                     7,
                     COLUMNS(authid_columns),
                     1,
                     { AUTH_OID },
                     2677,
                     "pg_authid_oid_index",
                     { { 2676, "pg_authid_rolname_index", 38, true, 1, { AUTH_NAME } } } },
    [SYS_DATABASE] = { 1262,
                       "pg_database",
                       8,
                       COLUMNS(database_columns),
                       1,
                       { DB_OID },
                       2672,
                       "pg_database_oid_index",
                       { { 2671, "pg_database_datname_index", 39, true, 1, { DB_NAME } } } },
    [SYS_SEQUENCE] = { 2224,
                       "pg_sequence",
                       9,
                       COLUMNS(sequence_columns),
                       1,
                       { 0 },
                       5002,
                       "pg_sequence_seqrelid_index",
                       { { 0 } } },
    [SYS_DESCRIPTION] = { 2609,
                          "pg_description",
                          10,
                          COLUMNS(description_columns),
                          3,
                          { 0, 1, 2 },
                          2675,
                          "pg_description_o_c_o_index",
                          { { 0 } } },
    [SYS_TYPE] = VIRTUAL(1247, "pg_type", type_columns),
    [SYS_PROC] = VIRTUAL(1255, "pg_proc", proc_columns),
    [SYS_OPERATOR] = VIRTUAL(2617, "pg_operator", operator_columns),
    [SYS_AM] = VIRTUAL(2601, "pg_am", am_columns),
    [SYS_COLLATION] = VIRTUAL(3456, "pg_collation", collation_columns),
    [SYS_ROLES] = VIRTUAL(13100, "pg_roles", roles_columns),
    [SYS_USER] = VIRTUAL(13101, "pg_user", user_columns),
    [SYS_TABLES] = VIRTUAL(13102, "pg_tables", tables_columns),
    [SYS_INDEXES] = VIRTUAL(13103, "pg_indexes", indexes_columns),
    [SYS_INHERITS] = VIRTUAL(2611, "pg_inherits", inherits_columns),
    [SYS_TRIGGER] = VIRTUAL(2620, "pg_trigger", trigger_columns),
    [SYS_POLICY] = VIRTUAL(3256, "pg_policy", policy_columns),
    [SYS_PUBLICATION] = VIRTUAL(6104, "pg_publication", publication_columns),
    [SYS_PUBLICATION_REL] = VIRTUAL(6106, "pg_publication_rel", publication_rel_columns),
    [SYS_PUBLICATION_NAMESPACE] =
        VIRTUAL(6237, "pg_publication_namespace", publication_namespace_columns),
    [SYS_STATISTIC_EXT] = VIRTUAL(3381, "pg_statistic_ext", statistic_ext_columns),
    [SYS_REWRITE] = VIRTUAL(2618, "pg_rewrite", rewrite_columns),
    [SYS_DEPEND] = VIRTUAL(2608, "pg_depend", depend_columns),
    [SYS_FOREIGN_TABLE] = VIRTUAL(3118, "pg_foreign_table", foreign_table_columns),
    [SYS_FOREIGN_SERVER] = VIRTUAL(1417, "pg_foreign_server", foreign_server_columns),
    [SYS_TABLESPACE] = VIRTUAL(1213, "pg_tablespace", tablespace_columns),
    [SYS_ENUM] = VIRTUAL(3501, "pg_enum", enum_columns),
    [SYS_RANGE] = VIRTUAL(3541, "pg_range", range_columns),
    [SYS_EXTENSION] = VIRTUAL(3079, "pg_extension", extension_columns),
    [SYS_AUTH_MEMBERS] = VIRTUAL(1261, "pg_auth_members", auth_members_columns),
    [SYS_SHDESCRIPTION] = VIRTUAL(2396, "pg_shdescription", shdescription_columns),
    [SYS_CAST] = VIRTUAL(2605, "pg_cast", cast_columns),
    [SYS_LANGUAGE] = VIRTUAL(2612, "pg_language", language_columns),
    [SYS_DEFAULT_ACL] = VIRTUAL(826, "pg_default_acl", default_acl_columns),
    [SYS_LARGEOBJECT_METADATA] =
        VIRTUAL(2995, "pg_largeobject_metadata", largeobject_metadata_columns),
    [SYS_SUBSCRIPTION] = VIRTUAL(6100, "pg_subscription", subscription_columns),
    [SYS_DB_ROLE_SETTING] = VIRTUAL(2964, "pg_db_role_setting", db_role_setting_columns),
    [SYS_OPCLASS] = VIRTUAL(2616, "pg_opclass", opclass_columns),
    [SYS_OPFAMILY] = VIRTUAL(2753, "pg_opfamily", opfamily_columns),
    [SYS_AMOP] = VIRTUAL(2602, "pg_amop", amop_columns),
    [SYS_AMPROC] = VIRTUAL(2603, "pg_amproc", amproc_columns),
    [SYS_FOREIGN_DATA_WRAPPER] =
        VIRTUAL(2328, "pg_foreign_data_wrapper", foreign_data_wrapper_columns),
    [SYS_CONVERSION] = VIRTUAL(2607, "pg_conversion", conversion_columns),
    [SYS_EVENT_TRIGGER] = VIRTUAL(3466, "pg_event_trigger", event_trigger_columns),
    [SYS_TS_CONFIG] = VIRTUAL(3602, "pg_ts_config", ts_config_columns),
    [SYS_TS_CONFIG_MAP] = VIRTUAL(3603, "pg_ts_config_map", ts_config_map_columns),
    [SYS_TS_DICT] = VIRTUAL(3600, "pg_ts_dict", ts_dict_columns),
    [SYS_TS_PARSER] = VIRTUAL(3601, "pg_ts_parser", ts_parser_columns),
    [SYS_TS_TEMPLATE] = VIRTUAL(3764, "pg_ts_template", ts_template_columns),
    [SYS_PARTITIONED_TABLE] = VIRTUAL(3350, "pg_partitioned_table", partitioned_table_columns),
    [SYS_USER_MAPPING] = VIRTUAL(1418, "pg_user_mapping", user_mapping_columns),
    [SYS_VIEWS] = VIRTUAL(13104, "pg_views", views_columns),
    [SYS_MATVIEWS] = VIRTUAL(13105, "pg_matviews", matviews_columns),
};

const struct systable *
systable_get(enum systable_id id)
{
    CHECK(id >= 0 && id < SYS_COUNT && systables[id].name != NULL);
    return &systables[id];
}

const struct systable *
systable_by_name(struct slice name)
{
    for (int i = 0; i < SYS_COUNT; i++)
        if (slice_eq(slice_str(systables[i].name), name))
            return &systables[i];
    return NULL;
}
