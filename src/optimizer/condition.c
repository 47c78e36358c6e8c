/* SPDX-License-Identifier: Apache-2.0 */
/* A tokenizer for deparsed SQL and questions about runs of its tokens. */
#include "optimizer/condition.h"

#include <string.h>

enum token_e {
    TOKEN_END,
    TOKEN_OPEN,   /* ( or [ */
    TOKEN_CLOSE,  /* ) or ] */
    TOKEN_COMMA,
    TOKEN_DOT,
    TOKEN_CAST,   /* :: */
    TOKEN_OPERATOR,
    TOKEN_NAME,   /* a column, function, type or word in lower case, or a quoted name */
    TOKEN_WORD,   /* in upper case: AND, IS, ANY, SubPlan: never a name unless quoted */
    TOKEN_VALUE,  /* 'text', 12.5, $1 */
};

struct token {
    enum token_e kind;
    struct slice text;
};

/* A condition with more words than this is not worth an index. */
enum { TOKENS_MAX = 1024 };

struct run {
    const struct token *at;
    size_t len;
};

static bool is_word_byte(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '$' || (unsigned char)c >= 0x80;
}

/* Bytes up to and with the closing quote, a doubled quote being one; 0 when it never closes. */
static size_t quoted_len(struct slice text, char quote, bool escapes) {
    for (size_t i = 1; i < text.len; i++) {
        if (escapes && text.at[i] == '\\') {
            i++;
        } else if (text.at[i] == quote) {
            if (i + 1 == text.len || text.at[i + 1] != quote) {
                return i + 1;
            }
            i++;
        }
    }
    return 0;
}

static size_t word_len(struct slice text) {
    size_t len = 0;
    while (len < text.len && is_word_byte(text.at[len])) {
        len++;
    }
    return len;
}

static enum token_e word_kind(struct slice word) {
    if ((word.at[0] >= '0' && word.at[0] <= '9') || word.at[0] == '$' ||
        slice_eq_text(word, "true") || slice_eq_text(word, "false") ||
        slice_eq_text(word, "NULL")) {
        return TOKEN_VALUE;
    }
    for (size_t i = 0; i < word.len; i++) {
        if (word.at[i] >= 'A' && word.at[i] <= 'Z') {
            return TOKEN_WORD;
        }
    }
    return TOKEN_NAME;
}

/* 1.5 and 1e+20: the fraction and exponent belong to the number. */
static size_t number_len(struct slice text) {
    size_t len = word_len(text);
    if (len < text.len && text.at[len] == '.') {
        len += 1 + word_len(slice_skip(text, len + 1));
    }
    if (len + 1 < text.len && (text.at[len - 1] | 0x20) == 'e' &&
        strchr("+-", text.at[len]) != NULL) {
        len += 1 + word_len(slice_skip(text, len + 1));
    }
    return len;
}

static struct token token_of(struct slice text, enum token_e kind, size_t len) {
    return (struct token){len == 0 ? TOKEN_END : kind, slice_from(text.at, len)};
}

static struct token word_token(struct slice text) {
    bool escaped = text.len > 1 && text.at[0] == 'E' && text.at[1] == '\'';
    if (escaped) {
        size_t len = quoted_len(slice_skip(text, 1), '\'', true);
        return token_of(text, TOKEN_VALUE, len == 0 ? 0 : len + 1);
    }
    if (text.at[0] >= '0' && text.at[0] <= '9') {
        return token_of(text, TOKEN_VALUE, number_len(text));
    }
    size_t len = word_len(text);
    return token_of(text, word_kind(slice_from(text.at, len)), len);
}

static size_t operator_len(struct slice text) {
    size_t len = 0;
    while (len < text.len && text.at[len] != '\0' && strchr("+-*/<>=~!@#%^&|`?:", text.at[len])) {
        len++;
    }
    return len;
}

/* The token at the start of `text`, which begins with no space; END for what cannot be read. */
static struct token next_token(struct slice text) {
    char c = text.at[0];
    if (c == '(' || c == '[') {
        return token_of(text, TOKEN_OPEN, 1);
    }
    if (c == ')' || c == ']') {
        return token_of(text, TOKEN_CLOSE, 1);
    }
    if (c == ',') {
        return token_of(text, TOKEN_COMMA, 1);
    }
    if (c == '.') {
        return token_of(text, TOKEN_DOT, 1);
    }
    if (c == '\'') {
        return token_of(text, TOKEN_VALUE, quoted_len(text, '\'', false));
    }
    if (c == '"') {
        return token_of(text, TOKEN_NAME, quoted_len(text, '"', false));
    }
    if (slice_starts_with(text, SLICE_LIT("::"))) {
        return token_of(text, TOKEN_CAST, 2);
    }
    return is_word_byte(c) ? word_token(text) : token_of(text, TOKEN_OPERATOR, operator_len(text));
}

/* False when a byte makes no token, a quote stays open, parentheses do not match or it is long. */
static bool tokenize(struct slice text, struct token tokens[TOKENS_MAX], size_t *ret_count) {
    size_t count = 0;
    long depth = 0;
    while (text.len > 0) {
        if (strchr(" \t\r\n", text.at[0]) != NULL && text.at[0] != '\0') {
            text = slice_skip(text, 1);
            continue;
        }
        struct token token = next_token(text);
        depth += (token.kind == TOKEN_OPEN) - (token.kind == TOKEN_CLOSE);
        if (token.kind == TOKEN_END || depth < 0 || count == TOKENS_MAX) {
            return false;
        }
        tokens[count++] = token;
        text = slice_skip(text, token.text.len);
    }
    *ret_count = count;
    return depth == 0;
}

static bool is(const struct token *token, enum token_e kind, const char *text) {
    return token->kind == kind && slice_eq_text(token->text, text);
}

static struct run sub_run(struct run run, size_t from, size_t to) {
    return (struct run){run.at + from, to - from};
}

/* One past the token that closes what opens at `from`. The tokens match: tokenize saw to it. */
static size_t after_group(struct run run, size_t from) {
    long depth = 0;
    for (size_t i = from; i < run.len; i++) {
        depth += (run.at[i].kind == TOKEN_OPEN) - (run.at[i].kind == TOKEN_CLOSE);
        if (depth == 0) {
            return i + 1;
        }
    }
    return run.len;
}

static struct run strip_parentheses(struct run run) {
    while (run.len >= 2 && run.at[0].kind == TOKEN_OPEN && after_group(run, 0) == run.len) {
        run = sub_run(run, 1, run.len - 1);
    }
    return run;
}

/* The first token outside of parentheses, from `from` on, that is `wanted`; else run.len. */
static size_t find_outside(struct run run, size_t from, bool (*wanted)(const struct token *token)) {
    for (size_t i = from; i < run.len;) {
        if (run.at[i].kind == TOKEN_OPEN) {
            i = after_group(run, i);
        } else if (wanted(&run.at[i])) {
            return i;
        } else {
            i++;
        }
    }
    return run.len;
}

static bool is_and(const struct token *token) {
    return is(token, TOKEN_WORD, "AND");
}

static bool is_word(const struct token *token) {
    return token->kind == TOKEN_WORD;
}

static bool is_operator(const struct token *token) {
    return token->kind == TOKEN_OPERATOR;
}

/* A name in quotes and the same name without. */
static bool names_match(struct slice printed, struct slice raw) {
    if (printed.len < 2 || printed.at[0] != '"') {
        return slice_eq(printed, raw);
    }
    size_t at = 0;
    for (size_t i = 1; i + 1 < printed.len; i++, at++) {
        i += printed.at[i] == '"';
        if (at >= raw.len || raw.at[at] != printed.at[i]) {
            return false;
        }
    }
    return at == raw.len;
}

/* The words of type names that take several: "timestamp with time zone". */
static bool goes_on_in_type(const struct token *token) {
    static const char *const words[] = {"with", "without", "time", "zone",   "varying", "precision",
                                        "year", "month",   "day",  "hour",   "minute",  "second",
                                        "to"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (is(token, TOKEN_NAME, words[i])) {
            return true;
        }
    }
    return false;
}

/* One past the type that follows a cast at `cast`. */
static size_t after_type(struct run run, size_t cast) {
    size_t i = cast + 2;
    while (i + 1 < run.len && run.at[i].kind == TOKEN_DOT) {
        i += 2;
    }
    while (i < run.len && (goes_on_in_type(&run.at[i]) ||
                           run.at[i].kind == TOKEN_OPEN)) {
        i = run.at[i].kind == TOKEN_OPEN ? after_group(run, i) : i + 1;
    }
    return i < run.len ? i : run.len;
}

/* A column of the scan at `i`: name, or alias.name. The number of its tokens, 0 when it is none. */
static size_t own_column(struct run run, size_t i, struct slice alias, struct slice *ret_column) {
    if (run.at[i].kind != TOKEN_NAME || (i > 0 && run.at[i - 1].kind == TOKEN_DOT)) {
        return 0; /* or the field of a row: (InitPlan 1).col1 */
    }
    size_t len = 1;
    if (i + 2 < run.len && run.at[i + 1].kind == TOKEN_DOT) {
        if (!names_match(run.at[i].text, alias) || run.at[i + 2].kind != TOKEN_NAME) {
            return 0;
        }
        len = 3;
    }
    bool goes_on = i + len < run.len && (run.at[i + len].kind == TOKEN_DOT ||
                                         slice_eq_text(run.at[i + len].text, "("));
    if (goes_on) {
        return 0; /* schema.table.column, or a function */
    }
    *ret_column = run.at[i + len - 1].text;
    return len;
}

/* Somewhere in the run, types left out. Of several the last. */
static bool holds_own_column(struct run run, struct slice alias, struct slice *ret_column) {
    bool found = false;
    for (size_t i = 0; i < run.len;) {
        if (run.at[i].kind == TOKEN_CAST) {
            i = after_type(run, i);
            continue;
        }
        size_t len = own_column(run, i, alias, ret_column);
        found = found || len > 0;
        bool other = len == 0 && i + 2 < run.len && run.at[i].kind == TOKEN_NAME &&
                     run.at[i + 1].kind == TOKEN_DOT;
        i += len > 0 ? len : other ? 3 : 1;
    }
    return found;
}

static bool holds_word(struct run run, const char *word) {
    for (size_t i = 0; i < run.len; i++) {
        if (is(&run.at[i], TOKEN_WORD, word)) {
            return true;
        }
    }
    return false;
}

/* Nothing but a column; a varchar is printed as (column)::text, and its index serves as well. */
static bool is_column(struct run run, struct slice alias, struct slice *ret_column) {
    run = strip_parentheses(run);
    if (run.len > 2 && run.at[run.len - 2].kind == TOKEN_CAST &&
        is(&run.at[run.len - 1], TOKEN_NAME, "text") && run.at[0].kind == TOKEN_OPEN) {
        run = strip_parentheses(sub_run(run, 0, run.len - 2));
    }
    return run.len > 0 && own_column(run, 0, alias, ret_column) == run.len;
}

/* Fixed while the scan runs: literals, parameters, columns of other tables, stable functions. */
static bool is_value(struct run run, struct slice alias) {
    struct slice column;
    return run.len > 0 && !holds_own_column(run, alias, &column) && !holds_word(run, "SubPlan") &&
           !holds_word(run, "ALL");
}

static enum condition_e kind_of_operator(struct slice operator) {
    static const struct {
        const char *operator;
        enum condition_e kind;
    } kinds[] = {{"=", CONDITION_EQUAL},  {"<", CONDITION_RANGE},  {">", CONDITION_RANGE},
                 {"<=", CONDITION_RANGE}, {">=", CONDITION_RANGE}, {"<>", CONDITION_WEAK}};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (slice_eq_text(operator, kinds[i].operator)) {
            return kinds[i].kind;
        }
    }
    return CONDITION_OTHER;
}

static struct condition_term other_term(void) {
    return (struct condition_term){.kind = CONDITION_OTHER};
}

/* column IS NULL, column IS NOT NULL */
static struct condition_term null_term(struct run run, size_t is_at, struct slice alias) {
    struct condition_term term = other_term();
    struct run rest = sub_run(run, is_at + 1, run.len);
    if (!is_column(sub_run(run, 0, is_at), alias, &term.column)) {
        return other_term();
    }
    if (rest.len == 1 && slice_eq_text(rest.at[0].text, "NULL")) {
        term.kind = CONDITION_EQUAL;
    } else if (rest.len == 2 && is(&rest.at[0], TOKEN_WORD, "NOT") &&
               slice_eq_text(rest.at[1].text, "NULL")) {
        term = (struct condition_term){.kind = CONDITION_WEAK};
    }
    return term.kind == CONDITION_OTHER ? other_term() : term;
}

static struct condition_term comparison_term(struct run run, size_t at, struct slice alias) {
    struct condition_term term = {.kind = kind_of_operator(run.at[at].text),
                                  .is_list = at + 1 < run.len &&
                                             is(&run.at[at + 1], TOKEN_WORD, "ANY")};
    struct run left = sub_run(run, 0, at);
    struct run right = sub_run(run, at + 1, run.len);
    bool good = (is_column(left, alias, &term.column) && is_value(right, alias)) ||
                (is_column(right, alias, &term.column) && is_value(left, alias));
    if (!good || term.kind == CONDITION_OTHER ||
        (term.is_list && term.kind == CONDITION_RANGE)) {
        return other_term();
    }
    return term.kind == CONDITION_WEAK ? (struct condition_term){.kind = CONDITION_WEAK} : term;
}

static struct condition_term read_term(struct run run, struct slice alias) {
    run = strip_parentheses(run);
    size_t word = find_outside(run, 0, is_word);
    if (word < run.len && is(&run.at[word], TOKEN_WORD, "IS")) {
        return null_term(run, word, alias);
    }
    if (word < run.len && !is(&run.at[word], TOKEN_WORD, "ANY")) {
        return other_term(); /* OR, NOT, CASE, AT TIME ZONE, LIKE … */
    }
    size_t operator = find_outside(run, 0, is_operator);
    if (operator == run.len || find_outside(run, operator + 1, is_operator) != run.len) {
        return other_term();
    }
    return comparison_term(run, operator, alias);
}

bool condition_read(struct slice text, struct slice alias,
                    struct condition_term terms[CONDITION_TERMS_MAX], size_t *ret_count) {
    struct token tokens[TOKENS_MAX];
    size_t len;
    *ret_count = 0;
    if (!tokenize(text, tokens, &len)) {
        return false;
    }
    struct run run = strip_parentheses((struct run){tokens, len});
    for (size_t from = 0; from < run.len;) {
        size_t to = find_outside(run, from, is_and);
        if (*ret_count == CONDITION_TERMS_MAX) {
            return false;
        }
        terms[(*ret_count)++] = read_term(sub_run(run, from, to), alias);
        from = to + 1;
    }
    return true;
}

static bool is_time_function(const struct token *token) {
    static const char *const names[] = {"date_trunc", "date_part", "to_char", "date",
                                        "timezone",   "date_bin",  "age"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (is(token, TOKEN_NAME, names[i])) {
            return true;
        }
    }
    return is(token, TOKEN_WORD, "EXTRACT");
}

/* (column)::date, (column)::time */
static bool is_coarse_cast(struct run run, size_t cast) {
    static const char *const types[] = {"date", "time"};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (cast + 1 < run.len && is(&run.at[cast + 1], TOKEN_NAME, types[i])) {
            return true;
        }
    }
    return false;
}

/* The tokens before a cast that it applies to: one, or a group in parentheses. */
static struct run cast_operand(struct run run, size_t cast) {
    size_t from = cast == 0 ? 0 : cast - 1;
    if (cast > 0 && run.at[from].kind == TOKEN_CLOSE) {
        long depth = 0;
        for (;; from--) {
            depth += (run.at[from].kind == TOKEN_CLOSE) - (run.at[from].kind == TOKEN_OPEN);
            if (depth == 0 || from == 0) {
                break;
            }
        }
    }
    return sub_run(run, from, cast);
}

static bool wraps_at(struct run run, size_t i, struct slice alias, struct slice *ret_column) {
    bool calls = i + 1 < run.len && slice_eq_text(run.at[i + 1].text, "(");
    if (calls && is_time_function(&run.at[i])) {
        return holds_own_column(sub_run(run, i + 1, after_group(run, i + 1)), alias, ret_column);
    }
    if (run.at[i].kind == TOKEN_CAST && is_coarse_cast(run, i)) {
        return is_column(cast_operand(run, i), alias, ret_column);
    }
    return false;
}

bool condition_wraps_time(struct slice text, struct slice alias, struct slice *ret_column) {
    struct token tokens[TOKENS_MAX];
    size_t len;
    if (!tokenize(text, tokens, &len)) {
        return false;
    }
    struct run run = {tokens, len};
    for (size_t i = 0; i < run.len; i++) {
        if (wraps_at(run, i, alias, ret_column)) {
            return true;
        }
    }
    return false;
}

bool condition_sort_column(struct slice key, struct slice alias, struct slice *ret_column) {
    struct token tokens[TOKENS_MAX];
    size_t len;
    if (!tokenize(key, tokens, &len)) {
        return false;
    }
    while (len > 0 && tokens[len - 1].kind == TOKEN_WORD &&
           !slice_eq_text(tokens[len - 1].text, "COLLATE")) {
        len--; /* DESC, NULLS FIRST */
    }
    return is_column((struct run){tokens, len}, alias, ret_column);
}
