/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `turnout doctor` looks at: each check adds findings, with what is wrong and how to mend it.
 * Thread: main.
 */
#ifndef TURNOUT_APP_DOCTOR_H
#define TURNOUT_APP_DOCTOR_H

#include "app/config.h"
#include "store/sqlite_inspect.h"

/* X(NAME, text) */
#define FINDING_LEVEL_TABLE(X)                                                                     \
    X(OK, "ok")           /* looked at, and well */                                                \
    X(WARNING, "warning") /* works, and should be known or changed */                              \
    X(UNSAFE, "unsafe")   /* records, people's data or the service are at risk */
#define X(name, text) FINDING_##name,
enum finding_level_e { FINDING_LEVEL_TABLE(X) FINDING_LEVEL_COUNT };
#undef X
const char *finding_level_text(enum finding_level_e level);

struct finding {
    const char *check; /* a literal: "store", "clock" */
    enum finding_level_e level;
    char says[320];
    const char *mend; /* a literal; NULL: nothing to mend */
};

enum { FINDINGS_MAX = 128 }; /* checks are some twenty; wrong lines of a file may be more */
struct findings {
    struct finding items[FINDINGS_MAX];
    size_t len;
};

/* What does not fit any more is counted in the last one. */
void findings_add(struct findings *findings, const char *check, enum finding_level_e level,
                  const char *mend, const char *format, ...) PRINTF_LIKE(5, 6);
enum finding_level_e findings_worst(const struct findings *findings);

MAY_BLOCK void doctor_check_system(const struct config *config, struct findings *findings);
MAY_BLOCK void doctor_check_store(const struct config *config, enum sqlite_depth_e depth,
                                  struct findings *findings);
MAY_BLOCK void doctor_check_hands(const struct config *config, struct findings *findings);
MAY_BLOCK void doctor_check_postgres(const struct config *config, struct findings *findings);

#endif
