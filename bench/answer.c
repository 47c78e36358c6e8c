/* SPDX-License-Identifier: Apache-2.0 */
#include "answer.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

const char *answer_field(const struct answer *answer, const char *at, const char *name) {
    size_t name_len = strlen(name);
    const char *end = at + answer->body_at;
    for (const char *line = at; line < end;) {
        const char *next = memchr(line, '\n', (size_t)(end - line));
        if (next == NULL) {
            return NULL;
        }
        if ((size_t)(next - line) > name_len && line[name_len] == ':' &&
            strncasecmp(line, name, name_len) == 0) {
            const char *value = line + name_len + 1;
            return value + strspn(value, " \t");
        }
        line = next + 1;
    }
    return NULL;
}

static enum answer_e read_head(struct answer *answer, const char *at, size_t len) {
    const char *end = memmem(at, len, "\r\n\r\n", 4);
    if (end == NULL) {
        return ANSWER_PARTIAL;
    }
    if (len < 12 || (memcmp(at, "HTTP/1.1 ", 9) != 0 && memcmp(at, "HTTP/1.0 ", 9) != 0)) {
        return ANSWER_BROKEN;
    }
    answer->body_at = (size_t)(end - at) + 4;
    answer->status = atoi(at + 9);
    const char *length = answer_field(answer, at, "content-length");
    answer->content_length = length == NULL ? -1 : atol(length);
    const char *connection = answer_field(answer, at, "connection");
    answer->closes = connection != NULL && strncasecmp(connection, "close", 5) == 0;
    bool is_told = length != NULL || answer_field(answer, at, "transfer-encoding") != NULL;
    return is_told && answer->content_length >= -1 ? ANSWER_WHOLE : ANSWER_BROKEN;
}

/* Only once the last chunk is there, so that no byte is moved twice. */
static enum answer_e join_chunks(const struct answer *answer, char *at, size_t *len) {
    char *body = at + answer->body_at;
    size_t body_len = *len - answer->body_at;
    if (body_len < 5 || memcmp(body + body_len - 5, "0\r\n\r\n", 5) != 0) {
        return ANSWER_PARTIAL;
    }
    char *to = body;
    const char *from = body, *end = body + body_len;
    while (from < end) {
        const char *line = from;
        char *after;
        unsigned long size = strtoul(line, &after, 16);
        from = memchr(after, '\n', (size_t)(end - after));
        if (from == NULL || !isxdigit((unsigned char)*line) || size > (size_t)(end - from)) {
            return ANSWER_BROKEN;
        }
        from++;
        if (size == 0) {
            *len = (size_t)(to - at);
            at[*len] = '\0';
            return ANSWER_WHOLE;
        }
        memmove(to, from, size);
        to += size;
        from += size + 2;
    }
    return ANSWER_BROKEN;
}

enum answer_e answer_read(struct answer *answer, char *at, size_t *len) {
    if (answer->body_at == 0) {
        enum answer_e head = read_head(answer, at, *len);
        if (head != ANSWER_WHOLE) {
            return head;
        }
    }
    if (answer->content_length < 0) {
        return join_chunks(answer, at, len);
    }
    size_t there = *len - answer->body_at, wanted = (size_t)answer->content_length;
    if (there > wanted) {
        return ANSWER_BROKEN; /* more than was asked for */
    }
    return there == wanted ? ANSWER_WHOLE : ANSWER_PARTIAL;
}
