/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who asks a node how it is, and who answers. No input that was not sealed is answered or believed:
 * the first line is an ask, the second a seal, the rest a body. A body that reads as a status is
 * written and read again as the same.
 */
#include "act/inquiry.h"
#include "base/assert.h"
#include "fuzz.h"

enum { BODY_MAX = 1 << 20 };

static void ask_the_desk(struct slice ask, struct virtual_clock *clock) {
    char seal[SEAL_SIZE];
    struct buf body;
    struct desk *desk = desk_create(&(struct desk_options){.secret = SLICE_LIT("the secret"),
                                                           .clock = &clock->base,
                                                           .id = "n1",
                                                           .incarnation = "i1",
                                                           .version = "1"});
    ASSERT(desk != NULL);
    buf_init(&body, BODY_MAX);
    const struct desk_state state = {.is_ready = true, .reason = ""};
    ASSERT(desk_answer(desk, ask, &state, &body, seal) == ERR_UNAUTHORIZED);
    ASSERT(body.len == 0);
    buf_fini(&body);
    desk_destroy(desk);
}

static void read_status(struct slice text) {
    struct arena arena;
    struct node_status first, second;
    struct problem problem;
    struct buf once, twice;
    arena_init(&arena, (size_t)4 << 20);
    buf_init(&once, BODY_MAX);
    buf_init(&twice, BODY_MAX);
    if (status_read(&arena, text, &first, &problem) == ERR_OK) {
        status_write(&first, &once);
        ASSERT(!once.failed);
        ASSERT(status_read(&arena, buf_slice(&once), &second, &problem) == ERR_OK);
        status_write(&second, &twice);
        ASSERT(slice_eq(buf_slice(&once), buf_slice(&twice)));
    }
    buf_fini(&once);
    buf_fini(&twice);
    arena_fini(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct slice rest = slice_from((const char *)data, size), ask, seal;
    struct virtual_clock clock;
    struct seeded_rng rng;
    struct asker asker;
    char own[INQUIRY_ASK_SIZE];
    virtual_clock_init(&clock, 1790000000000);
    seeded_rng_init(&rng, 1);
    asker_init(&asker, SLICE_LIT("the secret"), &clock.base, &rng.base);
    ASSERT(asker_ask(&asker, SLICE_LIT("n1"), own));
    if (!slice_next(&rest, '\n', &ask) || !slice_next(&rest, '\n', &seal)) {
        return 0;
    }
    if (!slice_eq_text(ask, own)) {
        ask_the_desk(ask, &clock);
    }
    ASSERT(!asker_believes(&asker, own, rest, seal));
    read_status(rest);
    return 0;
}
