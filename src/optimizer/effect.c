/* SPDX-License-Identifier: Apache-2.0 */
/* Before and after. */
#include "optimizer/effect.h"

#include "base/assert.h"

#define BLOCKS_SHARE 0.2
#define BLOCKS_FLOOR 8.0
#define TIME_SHARE 0.5
#define TIME_FLOOR_MS 5.0

/* `less` is so far below `more` that it is no chance. */
static int is_less(double less, double more, double share, double floor) {
    return more - less >= floor && more - less >= share * more;
}

enum effect_e effect_judge(struct effect_figures before, struct effect_figures after) {
    if (is_less(after.blocks, before.blocks, BLOCKS_SHARE, BLOCKS_FLOOR)) {
        return EFFECT_BETTER;
    }
    if (is_less(before.blocks, after.blocks, BLOCKS_SHARE, BLOCKS_FLOOR)) {
        /* a hash join may read more and take less */
        return is_less(after.ms, before.ms, TIME_SHARE, TIME_FLOOR_MS) ? EFFECT_BETTER
                                                                       : EFFECT_WORSE;
    }
    if (is_less(after.ms, before.ms, TIME_SHARE, TIME_FLOOR_MS)) {
        return EFFECT_BETTER;
    }
    return is_less(before.ms, after.ms, TIME_SHARE, TIME_FLOOR_MS) ? EFFECT_WORSE : EFFECT_NONE;
}

enum effect_e effect_of_all(const enum effect_e *effects, size_t count) {
    enum effect_e all = EFFECT_NONE;
    for (size_t i = 0; i < count; i++) {
        if (effects[i] == EFFECT_BETTER) {
            return EFFECT_BETTER;
        }
        all = effects[i] == EFFECT_WORSE ? EFFECT_WORSE : all;
    }
    return all;
}

const char *effect_word(enum effect_e effect) {
    switch (effect) {
    case EFFECT_NONE:
        return "no effect";
    case EFFECT_BETTER:
        return "better";
    case EFFECT_WORSE:
        return "worse";
    }
    UNREACHABLE();
}
