/* SPDX-License-Identifier: Apache-2.0 */
/* turnout version: what this binary is and what it runs with. */
#include "app/build_facts.h"
#include "app/report.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <uv.h>

static const struct flag flags[] = {FLAG_JSON, {0}};
static const struct command_form form = {
    .name = "version",
    .usage = "[--json]",
    .summary = "print the version and what it was built with",
    .flags = flags,
};

struct fact {
    const char *key;
    const char *value;
};

int cmd_version(int argc, char **argv) {
    struct args args;
    enum flags_e result = flags_parse(&form, argc, argv, &args);
    if (result != FLAGS_GOOD) {
        return result == FLAGS_HELP ? EXIT_DONE : EXIT_USAGE;
    }
    /* libuv and OpenSSL are asked. The others may be included in one unit each: for them it is the
     * version that this binary was built with. */
    const struct fact facts[] = {
        {"version", TURNOUT_VERSION},
        {"build", build_facts.type},
        {"sanitizer", build_facts.sanitizer},
        {"planted_bug", build_facts.plant},
        {"compiler", build_facts.compiler},
        {"libh2o", build_facts.h2o},
        {"libuv", uv_version_string()},
        {"sqlite", build_facts.sqlite},
        {"jansson", build_facts.jansson},
        {"inih", build_facts.inih},
        {"openssl", OpenSSL_version(OPENSSL_VERSION_STRING)},
    };
    enum { FACTS = sizeof facts / sizeof facts[0] };
    struct report_json report;
    report_json_begin(&report);
    json_begin_object(&report.json);
    for (size_t i = 0; i < FACTS; i++) {
        json_put_cstr(&report.json, facts[i].key, facts[i].value);
    }
    json_end_object(&report.json);
    if (args_has(&args, "--json")) {
        return report_json_end(&report);
    }
    buf_clear(&report.buf);
    buf_printf(&report.buf, "turnout %s\n", TURNOUT_VERSION);
    for (size_t i = 1; i < FACTS; i++) {
        buf_printf(&report.buf, "  %-12s %s\n", facts[i].key, facts[i].value);
    }
    report.buf.len--; /* report_json_end ends the line */
    return report_json_end(&report);
}
