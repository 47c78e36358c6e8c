/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The strict reading of a request's head (RFC 9112, with the characters of RFC 9110).
 *
 * libh2o's own parser serves what two servers in a row may read in two ways: a length beside a
 * coding, two lengths, a bare LF, a folded line. Each of them is refused here, before libh2o sees
 * it.
 */
#include "http/head_priv.h"

#include "http/http.h"

#define REFUSE(problem, field, ...)                                                                \
    return problem_set(problem, ERR_MALFORMED_REQUEST, field, __VA_ARGS__)

/* Sets of bytes: bit c of the 256. */
struct byte_set {
    uint64_t bits[4];
};
/* ALPHA DIGIT ! # $ % & ' * + - . ^ _ ` | ~ */
static const struct byte_set token_chars = {{0x03ff6cfa00000000, 0x57ffffffc7fffffe, 0, 0}};
/* HTAB, space, visible ASCII and everything above it */
static const struct byte_set text_chars = {
    {0xffffffff00000200, 0x7fffffffffffffff, UINT64_MAX, UINT64_MAX}};
/* visible ASCII without # */
static const struct byte_set target_chars = {{0xfffffff600000000, 0x7fffffffffffffff, 0, 0}};
/* RFC 3986 reg-name: ALPHA DIGIT - . _ ~ % ! $ & ' ( ) * + , ; = */
static const struct byte_set host_chars = {{0x2bff7ff200000000, 0x47fffffe87fffffe, 0, 0}};
/* what may stand between the brackets of an IP literal */
static const struct byte_set literal_chars = {{0x2fff7ff200000000, 0x47fffffe87fffffe, 0, 0}};

static bool has(const struct byte_set *set, char c) {
    return (set->bits[(unsigned char)c >> 6] >> ((unsigned char)c & 63) & 1) != 0;
}

bool head_is_token_char(unsigned char c) {
    return has(&token_chars, (char)c);
}

bool head_is_text_char(unsigned char c) {
    return has(&text_chars, (char)c);
}

enum head_end_e head_find_end(struct slice input, size_t *scanned) {
    if (input.len > 0 && *scanned == 0 && !has(&token_chars, input.at[0])) {
        return HEAD_END_NEVER;
    }
    for (;;) {
        const char *lf = memchr(input.at + *scanned, '\n', input.len - *scanned);
        if (lf == NULL) {
            *scanned = input.len;
            return HEAD_END_MISSING;
        }
        size_t at = (size_t)(lf - input.at);
        if (at == 0 || input.at[at - 1] != '\r') {
            return HEAD_END_NEVER;
        }
        *scanned = at + 1;
        if (at >= 3 && input.at[at - 2] == '\n') {
            return HEAD_END_FOUND;
        }
    }
}

/* Takes the bytes of `set` off the front of `rest`. */
static struct slice take_while(struct slice *rest, const struct byte_set *set) {
    size_t len = 0;
    while (len < rest->len && has(set, rest->at[len])) {
        len++;
    }
    struct slice taken = slice_from(rest->at, len);
    *rest = slice_from(rest->at + len, rest->len - len);
    return taken;
}

static bool take_text(struct slice *rest, struct slice text) {
    if (!slice_starts_with(*rest, text)) {
        return false;
    }
    *rest = slice_from(rest->at + text.len, rest->len - text.len);
    return true;
}

static bool is_port(struct slice port) {
    int64_t number;
    return port.len == 0 || (port.len <= 5 && slice_to_int(port, 0, 65535, &number));
}

/* uri-host [ ":" port ], not empty and without user information. */
static bool is_host(struct slice value) {
    struct slice rest = value;
    if (take_text(&rest, SLICE_LIT("["))) {
        if (take_while(&rest, &literal_chars).len == 0 || !take_text(&rest, SLICE_LIT("]"))) {
            return false;
        }
    } else if (take_while(&rest, &host_chars).len == 0) {
        return false;
    }
    return rest.len == 0 || (take_text(&rest, SLICE_LIT(":")) && is_port(rest));
}

static void split_query(struct slice target, struct head *head) {
    const char *mark = memchr(target.at, '?', target.len);
    size_t path = mark == NULL ? target.len : (size_t)(mark - target.at);
    head->path = path == 0 ? SLICE_LIT("/") : slice_from(target.at, path);
    head->query = mark == NULL ? SLICE_NONE : slice_from(mark + 1, target.len - path - 1);
}

/* http://authority[/path][?query]: whoever routes by the target and whoever routes by Host must
 * come to the same server, so the two must say the same. Runs when the fields are known. */
static enum err_e check_absolute(struct head *head, struct problem *ret_problem) {
    const char *slashes = memchr(head->target.at, '/', head->target.len);
    struct slice rest = slice_skip(head->target, (size_t)(slashes - head->target.at) + 2);
    size_t len = 0;
    while (len < rest.len && rest.at[len] != '/' && rest.at[len] != '?') {
        len++;
    }
    struct slice authority = slice_from(rest.at, len);
    if (!is_host(authority)) {
        REFUSE(ret_problem, "", "The request target names no valid host.");
    }
    if (head->hosts == 1 && !slice_eq_nocase(authority, head->host)) {
        REFUSE(ret_problem, "host", "The request target and the Host field name different hosts.");
    }
    if (len < rest.len) {
        split_query(slice_from(rest.at + len, rest.len - len), head);
    } else {
        head->path = SLICE_LIT("/");
    }
    return ERR_OK;
}

static bool is_absolute(struct slice target) {
    return (target.len > 7 && slice_eq_nocase(slice_from(target.at, 7), SLICE_LIT("http://"))) ||
           (target.len > 8 && slice_eq_nocase(slice_from(target.at, 8), SLICE_LIT("https://")));
}

static enum err_e check_target(struct head *head, struct problem *ret_problem) {
    if (head->target.len > 0 && head->target.at[0] == '/') {
        split_query(head->target, head);
        return ERR_OK;
    }
    if (slice_eq(head->target, SLICE_LIT("*")) && slice_eq(head->method, SLICE_LIT("OPTIONS"))) {
        head->path = SLICE_LIT("/");
        return ERR_OK;
    }
    if (is_absolute(head->target)) {
        return check_absolute(head, ret_problem);
    }
    REFUSE(ret_problem, "", "The request target must be a path that begins with /.");
}

static enum err_e parse_request_line(struct slice *rest, struct head *head,
                                     struct problem *ret_problem) {
    head->method = take_while(rest, &token_chars);
    if (head->method.len == 0 || head->method.len > HEAD_METHOD_MAX ||
        !take_text(rest, SLICE_LIT(" "))) {
        REFUSE(ret_problem, "", "The request line must begin with a method and one space.");
    }
    head->target = take_while(rest, &target_chars);
    if (head->target.len == 0 || !take_text(rest, SLICE_LIT(" "))) {
        REFUSE(ret_problem, "",
               "The request target must be visible ASCII without # and end in one space.");
    }
    if (take_text(rest, SLICE_LIT("HTTP/1.1\r\n"))) {
        head->minor = 1;
    } else if (!take_text(rest, SLICE_LIT("HTTP/1.0\r\n"))) {
        REFUSE(ret_problem, "", "The request line must end in HTTP/1.1 or HTTP/1.0.");
    }
    return ERR_OK;
}

static enum err_e on_content_length(struct head *head, struct slice value,
                                    struct problem *ret_problem) {
    /* 18 digits: below INT64_MAX and beyond any body. Leading zeros are digits (RFC 9110, 8.6). */
    if (++head->lengths > 1 || value.len == 0 || value.len > 18 ||
        !slice_to_int(value, 0, INT64_MAX, &head->content_length)) {
        REFUSE(ret_problem, "content-length",
               "There must be one Content-Length and it must be a decimal number.");
    }
    return ERR_OK;
}

static enum err_e on_transfer_encoding(struct head *head, struct slice value,
                                       struct problem *ret_problem) {
    if (++head->codings > 1 || !slice_eq_nocase(value, SLICE_LIT("chunked"))) {
        REFUSE(ret_problem, "transfer-encoding",
               "The only transfer coding that is known is chunked.");
    }
    head->chunked = true;
    return ERR_OK;
}

static enum err_e on_host(struct head *head, struct slice value, struct problem *ret_problem) {
    if (++head->hosts > 1 || !is_host(value)) {
        REFUSE(ret_problem, "host", "There must be one Host field with a valid host in it.");
    }
    head->host = value;
    return ERR_OK;
}

static enum err_e on_connection(struct head *head, struct slice value,
                                struct problem *ret_problem) {
    (void)ret_problem;
    struct slice part;
    while (slice_next(&value, ',', &part)) {
        part = slice_trim(part);
        head->closes = head->closes || slice_eq_nocase(part, SLICE_LIT("close"));
        head->keeps_alive = head->keeps_alive || slice_eq_nocase(part, SLICE_LIT("keep-alive"));
    }
    return ERR_OK;
}

static enum err_e on_expect(struct head *head, struct slice value, struct problem *ret_problem) {
    (void)ret_problem;
    bool known =
        head->expect == EXPECT_NOTHING && slice_eq_nocase(value, SLICE_LIT("100-continue"));
    head->expect = known ? EXPECT_CONTINUE : EXPECT_UNKNOWN;
    head->expect_name = head->fields[head->field_count - 1].name;
    return ERR_OK;
}

static const struct meaning {
    struct slice name;
    enum err_e (*fn)(struct head *head, struct slice value, struct problem *ret_problem);
} meanings[] = {
    {{"content-length", 14}, on_content_length},
    {{"transfer-encoding", 17}, on_transfer_encoding},
    {{"host", 4}, on_host},
    {{"connection", 10}, on_connection},
    {{"expect", 6}, on_expect},
};

static enum err_e apply_meaning(struct head *head, const struct head_field *field,
                                struct problem *ret_problem) {
    for (size_t i = 0; i < sizeof meanings / sizeof meanings[0]; i++) {
        if (field->name.len == meanings[i].name.len &&
            slice_eq_nocase(field->name, meanings[i].name)) {
            return meanings[i].fn(head, field->value, ret_problem);
        }
    }
    return ERR_OK;
}

static enum err_e parse_field(struct slice *rest, struct head *head, struct problem *ret_problem) {
    if (head->field_count == HEAD_FIELDS_MAX) {
        REFUSE(ret_problem, "", "There must be at most %d fields.", HEAD_FIELDS_MAX);
    }
    struct head_field *field = &head->fields[head->field_count];
    field->name = take_while(rest, &token_chars);
    if (field->name.len == 0 || !take_text(rest, SLICE_LIT(":"))) {
        REFUSE(ret_problem, "",
               "A field line must begin with a name and a colon: no folding, no white space.");
    }
    field->value = slice_trim(take_while(rest, &text_chars));
    if (!take_text(rest, SLICE_LIT("\r\n"))) {
        REFUSE(ret_problem, "",
               "A field value must be free of control characters and end in CR LF.");
    }
    head->field_count++;
    return apply_meaning(head, field, ret_problem);
}

static enum err_e check_framing(const struct head *head, struct problem *ret_problem) {
    if (head->codings > 0 && head->lengths > 0) {
        REFUSE(ret_problem, "transfer-encoding",
               "Content-Length and Transfer-Encoding must not come together.");
    }
    if (head->codings > 0 && head->minor == 0) {
        REFUSE(ret_problem, "transfer-encoding", "HTTP/1.0 has no Transfer-Encoding.");
    }
    if (head->hosts == 0 && head->minor == 1) {
        REFUSE(ret_problem, "host", "HTTP/1.1 needs a Host field.");
    }
    return ERR_OK;
}

enum err_e head_parse(struct slice raw, struct head *ret_head, struct problem *ret_problem) {
    struct head *head = ret_head;
    /* All but the fields, which are written before they are read. */
    memset(head, 0, offsetof(struct head, fields));
    head->content_length = HEAD_NO_LENGTH;
    struct slice rest = raw;
    TRY(parse_request_line(&rest, head, ret_problem));
    while (!take_text(&rest, SLICE_LIT("\r\n"))) {
        TRY(parse_field(&rest, head, ret_problem));
    }
    if (rest.len > 0) {
        REFUSE(ret_problem, "", "The head must end with its empty line.");
    }
    TRY(check_framing(head, ret_problem));
    TRY(check_target(head, ret_problem));
    head->closes = head->closes || (head->minor == 0 && !head->keeps_alive);
    return ERR_OK;
}

struct slice head_find(const struct head *head, struct slice name) {
    for (size_t i = 0; i < head->field_count; i++) {
        if (head->fields[i].name.len == name.len && slice_eq_nocase(head->fields[i].name, name)) {
            return head->fields[i].value;
        }
    }
    return SLICE_NONE;
}

enum err_e http_check_head(struct slice head, struct problem *ret_problem) {
    struct head parsed;
    return head_parse(head, &parsed, ret_problem);
}
