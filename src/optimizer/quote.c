/* SPDX-License-Identifier: Apache-2.0 */
/* The key words that cannot stand bare as a name, of PostgreSQL 15 (pg_get_keywords, all but the
 * unreserved), sorted. */
#include "optimizer/quote.h"

#include <stdlib.h>

static const char *const keywords[] = {
    "all", "analyse", "analyze", "and", "any", "array", "as", "asc", "asymmetric", "authorization",
    "between", "bigint", "binary", "bit", "boolean", "both", "case", "cast", "char", "character",
    "check", "coalesce", "collate", "collation", "column", "concurrently", "constraint", "create",
    "cross", "current_catalog", "current_date", "current_role", "current_schema", "current_time",
    "current_timestamp", "current_user", "dec", "decimal", "default", "deferrable", "desc",
    "distinct", "do", "else", "end", "except", "exists", "extract", "false", "fetch", "float",
    "for", "foreign", "freeze", "from", "full", "grant", "greatest", "group", "grouping", "having",
    "ilike", "in", "initially", "inner", "inout", "int", "integer", "intersect", "interval",
    "into", "is", "isnull", "join", "lateral", "leading", "least", "left", "like", "limit",
    "localtime", "localtimestamp", "national", "natural", "nchar", "none", "normalize", "not",
    "notnull", "null", "nullif", "numeric", "offset", "on", "only", "or", "order", "out", "outer",
    "overlaps", "overlay", "placing", "position", "precision", "primary", "real", "references",
    "returning", "right", "row", "select", "session_user", "setof", "similar", "smallint", "some",
    "substring", "symmetric", "table", "tablesample", "then", "time", "timestamp", "to",
    "trailing", "treat", "trim", "true", "union", "unique", "user", "using", "values", "varchar",
    "variadic", "verbose", "when", "where", "window", "with", "xmlattributes", "xmlconcat",
    "xmlelement", "xmlexists", "xmlforest", "xmlnamespaces", "xmlparse", "xmlpi", "xmlroot",
    "xmlserialize", "xmltable",
};

static int compare(const void *name, const void *keyword) {
    return slice_order(*(const struct slice *)name, slice_of(*(const char *const *)keyword));
}

static bool is_keyword(struct slice name) {
    return bsearch(&name, keywords, sizeof keywords / sizeof keywords[0], sizeof keywords[0],
                   compare) != NULL;
}

static bool is_bare(struct slice name) {
    for (size_t i = 0; i < name.len; i++) {
        char c = name.at[i];
        bool letter = (c >= 'a' && c <= 'z') || c == '_';
        bool later = i > 0 && ((c >= '0' && c <= '9') || c == '$');
        if (!letter && !later) {
            return false;
        }
    }
    return name.len > 0 && !is_keyword(name);
}

void quote_identifier(struct buf *to, struct slice name) {
    if (is_bare(name)) {
        buf_add(to, name);
        return;
    }
    buf_add_char(to, '"');
    for (size_t i = 0; i < name.len; i++) {
        if (name.at[i] == '"') {
            buf_add_char(to, '"');
        }
        buf_add_char(to, name.at[i]);
    }
    buf_add_char(to, '"');
}
