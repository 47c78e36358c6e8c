/* SPDX-License-Identifier: Apache-2.0 */
/* The look-ups over the table of rules. */
#include "optimizer/rules.h"

#include "base/assert.h"

#include <stdbool.h>

static const struct rule rules[RULE_COUNT] = {
#define X(name, id, unit, info, warning, critical, when)                                           \
    [RULE_##name] = {id, unit, {info, warning, critical}, when},
    RULE_TABLE(X)
#undef X
};

const struct rule *rule_of(enum rule_e rule) {
    ASSERT((unsigned)rule < RULE_COUNT);
    return &rules[rule];
}

const char *finding_severity_word(enum finding_severity_e severity) {
    static const char *const words[FINDING_COUNT] = {"info", "warning", "critical"};
    ASSERT((unsigned)severity < FINDING_COUNT);
    return words[severity];
}

int rule_judge(enum rule_e rule, double figure) {
    const struct rule *r = rule_of(rule);
    bool is_factor = r->unit[0] == 'x' && r->unit[1] == '\0';
    for (int severity = FINDING_COUNT - 1; severity >= 0; severity--) {
        double threshold = r->thresholds[severity];
        if (figure > threshold || (is_factor && figure >= threshold)) {
            return severity;
        }
    }
    return -1;
}
