/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How commands speak: failures on standard error, facts on standard output.
 * Thread: main.
 */
#ifndef TURNOUT_APP_REPORT_H
#define TURNOUT_APP_REPORT_H

#include "app/cli.h"
#include "app/flags.h"
#include "base/json.h"

enum { REPORT_MAX = 64 << 20 }; /* bytes of one answer: a list of every key is far below */

/* Prints what failed and what to do about it; the exit code: EXIT_BAD_CONFIG for ERR_CONFIG, else
 * EXIT_FAILED. */
int report_failure(const struct command_form *form, enum err_e err, const struct problem *problem);

/* Writes `text` to standard output; EXIT_FAILED (said on standard error) when it cannot. */
int report_text(struct slice text);

/* One JSON document with its line end: begin, write to `json`, end. */
struct report_json {
    struct buf buf;
    struct json_writer json;
};
void report_json_begin(struct report_json *report);
int report_json_end(struct report_json *report); /* prints and frees; the exit code */

#endif
