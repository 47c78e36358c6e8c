/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One try to hand a notice to its receiver: by HTTP or SMTP, signed, with secrets read anew each
 * time. Thread: any that may block.
 */
#ifndef TURNOUT_ACT_DELIVER_H
#define TURNOUT_ACT_DELIVER_H

#include "act/notifier.h"

/*
 * DELIVERED: an answer of 2xx (SMTP: the server took it for all). REFUSED: one that another try
 * will not change: 4xx but 408, 425 and 429; SMTP 5xx. WAITING: everything else. `ret_detail` says
 * what happened and holds no address that is a secret.
 *
 * A webhook gets X-Turnout-Id, and with a secret X-Turnout-Signature: t=SECONDS,v1=HEX, the
 * HMAC-SHA256 of SECONDS, a line feed and the body.
 */
MAY_BLOCK enum delivery_e deliver_notice(const struct receiver *receiver, struct slice body,
                                         struct clock *clock, const atomic_bool *cancel,
                                         char ret_detail[NOTIFIER_DETAIL_SIZE]);

#endif
