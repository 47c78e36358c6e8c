/* SPDX-License-Identifier: Apache-2.0 */
/* A walk over the members of one JSON object; what is in nested ones is passed over or walked in
 * turn. It takes some malformed documents for well-formed: the tests of the API are elsewhere. */
#include "reply.h"

struct walk {
    const char *at, *end;
};

static void skip_space(struct walk *walk) {
    while (walk->at < walk->end && (*walk->at == ' ' || *walk->at == '\n' || *walk->at == '\r' ||
                                    *walk->at == '\t')) {
        walk->at++;
    }
}

static bool take(struct walk *walk, char c) {
    skip_space(walk);
    if (walk->at == walk->end || *walk->at != c) {
        return false;
    }
    walk->at++;
    return true;
}

/* Behind the opening quote; the text as it is written, escapes and all. */
static bool take_string(struct walk *walk, struct slice *ret_text) {
    const char *begin = walk->at;
    while (walk->at < walk->end && *walk->at != '"') {
        walk->at += *walk->at == '\\' ? 2 : 1;
    }
    if (walk->at >= walk->end) {
        return false;
    }
    *ret_text = slice_from(begin, (size_t)(walk->at - begin));
    walk->at++;
    return true;
}

static bool skip_nested(struct walk *walk) {
    int depth = 0;
    struct slice text;
    while (walk->at < walk->end) {
        char c = *walk->at++;
        depth += (c == '{' || c == '[') - (c == '}' || c == ']');
        if (c == '"' && !take_string(walk, &text)) {
            return false;
        }
        if (depth == 0) {
            return true;
        }
    }
    return false;
}

struct value {
    struct slice text; /* without the quotes of a string; a nested value whole */
    bool is_string;
};

static bool take_value(struct walk *walk, struct value *ret_value) {
    skip_space(walk);
    if (walk->at == walk->end) {
        return false;
    }
    const char *begin = walk->at;
    ret_value->is_string = take(walk, '"');
    if (ret_value->is_string) {
        return take_string(walk, &ret_value->text);
    }
    if (*begin == '{' || *begin == '[') {
        if (!skip_nested(walk)) {
            return false;
        }
    } else {
        while (walk->at < walk->end && strchr(",}] \r\n\t", *walk->at) == NULL) {
            walk->at++;
        }
    }
    ret_value->text = slice_from(begin, (size_t)(walk->at - begin));
    return ret_value->text.len > 0;
}

/* The next member of an object; false at its end and at what is no member. */
static bool next_member(struct walk *walk, struct slice *ret_key, struct value *ret_value) {
    take(walk, ',');
    return take(walk, '"') && take_string(walk, ret_key) && take(walk, ':') &&
           take_value(walk, ret_value);
}

static bool is_null(const struct value *value) {
    return !value->is_string && slice_eq_text(value->text, "null");
}

static bool read_truth(const struct value *value, bool *ret) {
    *ret = slice_eq_text(value->text, "true");
    return !value->is_string && (*ret || slice_eq_text(value->text, "false"));
}

/* The text of a member of an object that is a value; none when there is no such member. */
static struct slice member_of(struct slice object, const char *name) {
    struct walk walk = {object.at, object.at + object.len};
    struct slice key;
    struct value value;
    if (take(&walk, '{')) {
        while (next_member(&walk, &key, &value)) {
            if (slice_eq_text(key, name)) {
                return value.text;
            }
        }
    }
    return SLICE_NONE;
}

static bool read_participant(const struct value *value, int64_t *ret_id) {
    *ret_id = 0;
    return is_null(value) ||
           slice_to_int(member_of(value->text, "id"), 1, INT64_MAX, ret_id);
}

static bool read_reason(const struct value *value, enum reason_e *ret) {
    *ret = REASON_NONE;
    return is_null(value) || reason_parse(value->text, ret);
}

/* X(member, how it is read) */
#define REPLY_MEMBERS(X)                                                                           \
    X("verdict", verdict_parse(value.text, &ret_reply->verdict))                                   \
    X("reason", read_reason(&value, &ret_reply->reason))                                           \
    X("record_id", slice_to_int(value.text, 0, INT64_MAX, &ret_reply->record_id))                  \
    X("replayed", read_truth(&value, &ret_reply->replayed))                                        \
    X("forced", read_truth(&value, &ret_reply->forced))                                            \
    X("participant", read_participant(&value, &ret_reply->participant))                            \
    X("inside", slice_to_int(value.text, 0, INT64_MAX, &ret_reply->inside))

enum {
#define X(name, read) +1
    MEMBERS_WANTED = 0 REPLY_MEMBERS(X),
#undef X
};

bool reply_parse(struct slice text, struct reply *ret_reply) {
    struct walk walk = {text.at, text.at + text.len};
    struct slice key;
    struct value value;
    int found = 0;
    *ret_reply = (struct reply){.index = -1};
    if (!take(&walk, '{')) {
        return false;
    }
    while (next_member(&walk, &key, &value)) {
        if (slice_eq_text(key, "index") &&
            !slice_to_int(value.text, 0, INT64_MAX, &ret_reply->index)) {
            return false;
        }
        if (slice_eq_text(key, "error")) {
            slice_to_cstr(member_of(value.text, "code"), ret_reply->code, REPLY_CODE_SIZE);
        }
#define X(name, read)                                                                              \
    if (slice_eq_text(key, name)) {                                                                \
        if (!(read)) {                                                                             \
            return false;                                                                          \
        }                                                                                          \
        found++;                                                                                   \
    }
        REPLY_MEMBERS(X)
#undef X
    }
    return take(&walk, '}') && (found == MEMBERS_WANTED || ret_reply->code[0] != '\0');
}

struct slice reply_problem_code(struct slice text) {
    return member_of(text, "code");
}
