/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How this binary was built; meson fills build_facts.c.in. Constants. Thread: any.
 */
#ifndef TURNOUT_APP_BUILD_FACTS_H
#define TURNOUT_APP_BUILD_FACTS_H

struct build_facts {
    const char *type;      /* "debugoptimized -O2" */
    const char *sanitizer; /* "none", "address,undefined" */
    const char *plant;     /* a bug that the fault tests must catch: "none" in every release */
    const char *compiler;
    const char *h2o, *sqlite, *jansson, *inih; /* versions built with */
};

extern const struct build_facts build_facts;

#endif
