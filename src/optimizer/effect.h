/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether a change helped: one query measured before and after it.
 *
 * Blocks decide before time does: they repeat, while a time of some milliseconds is mostly noise.
 * Pure; thread: any.
 */
#ifndef TURNOUT_OPTIMIZER_EFFECT_H
#define TURNOUT_OPTIMIZER_EFFECT_H

#include <stddef.h>

enum effect_e { EFFECT_NONE, EFFECT_BETTER, EFFECT_WORSE };

struct effect_figures {
    double ms;
    double blocks; /* touched, in the cache or not */
};

/* A fifth of the blocks and at least 8 of them; with the same blocks half of the time and at least
 * 5 ms of it. */
enum effect_e effect_judge(struct effect_figures before, struct effect_figures after);

/* Of several queries: worse when one is worse and none is better. A change that helps one and
 * harms another stays, and is told. */
enum effect_e effect_of_all(const enum effect_e *effects, size_t count);

const char *effect_word(enum effect_e effect);

#endif
