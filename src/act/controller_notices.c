/* SPDX-License-Identifier: Apache-2.0 */
/* From what is due to be told to documents on their way. */
#include "act/controller_priv.h"
#include "act/notice_document.h"

#include "base/log.h"
#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>

enum { KEY_BYTES = 16 };
_Static_assert(2 * KEY_BYTES + sizeof "n-" <= NOTICE_KEY_SIZE, "a key has its room");

bool notices_open(struct controller *controller) {
    if (controller->options.seams.tell == NULL || controller->options.policy->receivers_len == 0) {
        return true;
    }
    controller->notices = malloc(sizeof *controller->notices);
    if (controller->notices != NULL) {
        notices_init(controller->notices);
    }
    return controller->notices != NULL;
}

void notices_close(struct controller *controller) {
    free(controller->notices);
    controller->notices = NULL;
}

void notices_forget(struct controller *controller) {
    if (controller->notices != NULL) {
        notices_init(controller->notices);
    }
    controller->is_recalled = false;
}

static void make_key(struct rng *rng, char ret_key[NOTICE_KEY_SIZE]) {
    unsigned char bytes[KEY_BYTES];
    rng_fill(rng, bytes, sizeof bytes);
    ret_key[0] = 'n';
    ret_key[1] = '-';
    text_to_hex(bytes, sizeof bytes, ret_key + 2);
}

/* A notice_fn. */
static bool send_notice(const struct notice *notice, void *data) {
    struct controller *controller = data;
    const struct controller_options *options = &controller->options;
    char key[NOTICE_KEY_SIZE];
    struct json_writer w;
    struct buf body;
    make_key(options->rng, key);
    buf_init(&body, NOTICE_DOCUMENT_MAX);
    json_writer_init(&w, &body);
    notice_write(&w, notice, options->policy,
                 &(struct notice_origin){.key = key,
                                         .node = options->node,
                                         .url = options->url,
                                         .at_ms = clock_wall_ms(options->clock)});
    bool taken = !body.failed && options->seams.tell(options->seams.data, notice->receiver, key,
                                                     buf_slice(&body));
    buf_fini(&body);
    return taken;
}

/* Once: when the log cannot be read, what fires is told anew. */
MAY_BLOCK static void recall(struct controller *controller, const struct notice_scene *scene) {
    const struct controller_seams *seams = &controller->options.seams;
    struct told_before *told;
    size_t len;
    if (controller->is_recalled || seams->told == NULL) {
        return;
    }
    controller->is_recalled = true;
    enum err_e err = seams->told(seams->data, &controller->scratch, &told, &len);
    if (err == ERR_OK) {
        notices_recall(controller->notices, scene, told, len);
    } else {
        log_event(LOG_WARN, "notices_not_recalled", "err=%s", err_code(err));
    }
}

MAY_BLOCK void notices_tell(struct controller *controller, int64_t wall_ms) {
    if (controller->notices == NULL) {
        return;
    }
    const struct notice_scene scene = {
        .policy = controller->options.policy,
        .rules = &controller->history.rules,
        .climbs = controller->history.recovery.climbs,
        .silences = controller->silences,
        .silences_len = controller->silences_len,
        .knows_nodes = controller->sensed.knows_nodes,
        .now_ms = controller->history.now_ms,
        .wall_ms = wall_ms,
    };
    recall(controller, &scene);
    notices_step(controller->notices, &scene, send_notice, controller);
}
