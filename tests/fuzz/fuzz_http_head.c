/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A head that is taken is what it was taken for: its parts lie within it, it ends where the search
 * for its end finds it, no beginning of it is a head, and it has one reading of its length. A
 * refusal names its reason. Whoever is trusted, a client comes out of it, and nobody else's word
 * counts.
 */
#include "base/assert.h"
#include "fuzz.h"
#include "http/forwarded_priv.h"
#include "http/head_priv.h"
#include "http/http.h"

static bool lies_within(struct slice part, struct slice whole) {
    return part.len == 0 || part.at == NULL ||
           (part.at >= whole.at && part.at + part.len <= whole.at + whole.len);
}

static bool has_control(struct slice value) {
    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.at[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f) {
            return true;
        }
    }
    return false;
}

static int count_fields(const struct head *head, struct slice name) {
    int count = 0;
    for (size_t i = 0; i < head->field_count; i++) {
        count += slice_eq_nocase(head->fields[i].name, name);
    }
    return count;
}

static void check_taken(struct slice raw, const struct head *head) {
    ASSERT(lies_within(head->method, raw) && head->method.len > 0);
    ASSERT(head->path.len > 0 && head->path.at[0] == '/');
    ASSERT(slice_eq_text(head->path, "/") || lies_within(head->path, raw));
    ASSERT(lies_within(head->query, raw) && lies_within(head->target, raw));
    ASSERT(lies_within(head->expect_name, raw));
    for (size_t i = 0; i < head->field_count; i++) {
        const struct head_field *field = &head->fields[i];
        ASSERT(lies_within(field->name, raw) && field->name.len > 0);
        ASSERT(lies_within(field->value, raw) && !has_control(field->value));
    }
    int lengths = count_fields(head, SLICE_LIT("content-length"));
    int codings = count_fields(head, SLICE_LIT("transfer-encoding"));
    int hosts = count_fields(head, SLICE_LIT("host"));
    ASSERT(lengths + codings <= 1 && hosts <= 1);
    ASSERT((lengths == 1) == (head->content_length != HEAD_NO_LENGTH));
    ASSERT((codings == 1) == head->chunked);
    ASSERT(head->minor == 1 ? hosts == 1 : !head->chunked);
    size_t scanned = 0;
    ASSERT(head_find_end(raw, &scanned) == HEAD_END_FOUND && scanned == raw.len);
    ASSERT(http_check_head(slice_from(raw.at, raw.len - 1), NULL) != ERR_OK);
}

static void check_origin(const struct head *head) {
    static const struct http_trust nobody;
    struct http_trust everybody = {.len = 1};
    struct http_ip peer = {{0}};
    struct origin origin;
    origin_read(&everybody, head, &peer, &origin);
    ASSERT(!origin.is_ignored);
    origin_read(&nobody, head, &peer, &origin);
    ASSERT(memcmp(&origin.client, &peer, sizeof peer) == 0 && !origin.is_tls);
    ASSERT(origin.is_ignored == (count_fields(head, SLICE_LIT("x-forwarded-for")) > 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct slice raw = slice_from((const char *)data, size);
    struct head head;
    struct problem problem = {{0}, {0}};
    enum err_e err = head_parse(raw, &head, &problem);
    ASSERT(err == http_check_head(raw, NULL));
    if (err == ERR_OK) {
        check_taken(raw, &head);
        check_origin(&head);
    } else {
        ASSERT(err == ERR_MALFORMED_REQUEST && problem.detail[0] != '\0');
    }
    return 0;
}
