/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Generates `prefix_text` and `prefix_parse` for an enum that is an X-macro table of (NAME, text)
 * and whose values count from 0 in the table's order.
 */
#ifndef TURNOUT_DOMAIN_WORDS_H
#define TURNOUT_DOMAIN_WORDS_H

#include "base/assert.h"
#include "base/slice.h"

#define WORDS_TEXT(name, text) text,
#define WORDS(prefix, type, table)                                                                 \
    static const char *const prefix##_words[] = {table(WORDS_TEXT)};                               \
    const char *prefix##_text(type value) {                                                        \
        ASSERT((size_t)value < sizeof prefix##_words / sizeof prefix##_words[0]);                  \
        return prefix##_words[value];                                                              \
    }                                                                                              \
    bool prefix##_parse(struct slice text, type *ret) {                                            \
        for (size_t i = 0; i < sizeof prefix##_words / sizeof prefix##_words[0]; i++) {            \
            if (slice_eq_text(text, prefix##_words[i])) {                                          \
                *ret = (type)i;                                                                    \
                return true;                                                                       \
            }                                                                                      \
        }                                                                                          \
        return false;                                                                              \
    }

#endif
