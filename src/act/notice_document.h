/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A notice as a JSON document, in the words of its receiver's language, and what each type of
 * receiver makes of it. The document is what is kept in the store, so that a notice can be sent
 * after a restart, too. Pure. Thread: any.
 */
#ifndef TURNOUT_ACT_NOTICE_DOCUMENT_H
#define TURNOUT_ACT_NOTICE_DOCUMENT_H

#include "control/notice.h"

enum {
    NOTICE_KEY_SIZE = 40,          /* "n-" and 32 hexadecimal digits */
    NOTICE_DOCUMENT_MAX = 256 << 10, /* 64 alerts of at most 2 KiB, twice */
};

/* Who tells, and when. */
struct notice_origin {
    const char *key;  /* of this notice, the same for each try */
    const char *node;
    const char *url;  /* of the node */
    int64_t at_ms;
};

/*
 * {"version":1,"id","at","from","url","receiver","group","status":"firing|resolved","repeat",
 *  "title","text","alerts":[{"rule","node","severity","state":"firing|absent|resolved","metric",
 *  "op","threshold","value","since","ended","needs_person","flapping","action","text"}],"more"}
 */
void notice_write(struct json_writer *w, const struct notice *notice, const struct policy *policy,
                  const struct notice_origin *origin);

/* What such a document told `receiver` of rules that this policy has: at most NOTICE_ITEMS_MAX,
 * which live as long as the document. */
size_t notice_read(const struct json_t *document, const struct policy *policy, size_t receiver,
                   struct told_before ret_told[NOTICE_ITEMS_MAX]);

/* What a receiver of this type gets as its body, made of such a document. The webhook gets the
 * document itself. EMAIL: the text. */
void notice_render(struct buf *to, enum receiver_type_e type, const struct json_t *document,
                   struct slice text);

#endif
