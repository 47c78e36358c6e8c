/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an experienced operator would say to these figures, in English and Korean. Pure: the rules
 * are suggestion_table.h, their conditions suggest.c. A rule whose figures are not known is silent.
 */
#ifndef TURNOUT_MONITOR_SUGGEST_H
#define TURNOUT_MONITOR_SUGGEST_H

#include "base/buf.h"
#include "monitor/suggestion_table.h"
#include "monitor/view.h"

#define X(type, ...) SUGGEST_##type,
enum suggestion_e { SUGGESTION_TABLE(X) SUGGESTION_COUNT };
#undef X

/* X(NAME, word): most urgent first. */
#define SUGGESTION_PRIORITY_TABLE(X) X(HIGH, "high") X(MEDIUM, "medium") X(LOW, "low")
#define X(name, word) PRIORITY_##name,
enum suggestion_priority_e { SUGGESTION_PRIORITY_TABLE(X) SUGGESTION_PRIORITY_COUNT };
#undef X
const char *suggestion_priority_text(enum suggestion_priority_e priority);
bool suggestion_priority_parse(struct slice word, enum suggestion_priority_e *ret_priority);

/* X(NAME, word): as in ?lang= */
#define SUGGESTION_LANG_TABLE(X) X(EN, "en") X(KO, "ko")
#define X(name, word) LANG_##name,
enum suggestion_lang_e { SUGGESTION_LANG_TABLE(X) SUGGESTION_LANG_COUNT };
#undef X
const char *suggestion_lang_text(enum suggestion_lang_e lang);
bool suggestion_lang_parse(struct slice word, enum suggestion_lang_e *ret_lang);

enum { EVIDENCE_MAX = 10, SUGGESTION_TEXT_MAX = 4096 };

struct evidence {
    const char *name;
    const char *text; /* NULL: a number */
    double value;
    int decimals;
};

struct suggestion {
    enum suggestion_e type;
    enum suggestion_priority_e priority;
    struct evidence evidence[EVIDENCE_MAX];
    size_t evidence_len;
};

/* Those that apply, most urgent first; texts are those of `view`. Returns how many. */
size_t suggest(const struct view *view, struct suggestion ret[SUGGESTION_COUNT]);

const char *suggestion_type_text(enum suggestion_e type);
/* With the figures: the message; what should be done, one action a line; what that will bring. */
void suggestion_message(const struct suggestion *suggestion, enum suggestion_lang_e lang,
                        struct buf *to);
void suggestion_actions(const struct suggestion *suggestion, enum suggestion_lang_e lang,
                        struct buf *to);
void suggestion_impact(const struct suggestion *suggestion, enum suggestion_lang_e lang,
                       struct buf *to);

#endif
