/* SPDX-License-Identifier: Apache-2.0 */
/* Failures and facts, printed. */
#include "app/report.h"

#include <errno.h>
#include <stdio.h>

int report_failure(const struct command_form *form, enum err_e err,
                   const struct problem *problem) {
    bool said = problem != NULL && problem->detail[0] != '\0';
    fprintf(stderr, "turnout %s: %s%s%s%s\n", form->name,
            said && problem->field[0] != '\0' ? problem->field : "",
            said && problem->field[0] != '\0' ? ": " : "", said ? problem->detail : err_code(err),
            said ? "" : " (nothing more is known)");
    /* The remedies of conflicts and of what may be repeated speak to clients of the API. */
    if (!said || (err_status(err) != 409 && !err_is_retryable(err))) {
        fprintf(stderr, "  %s: %s\n", err_code(err), err_remedy(err));
    }
    return err == ERR_CONFIG ? EXIT_BAD_CONFIG : EXIT_FAILED;
}

int report_text(struct slice text) {
    bool written = fwrite(text.at == NULL ? "" : text.at, 1, text.len, stdout) == text.len;
    if (!written || fflush(stdout) != 0) {
        fprintf(stderr, "turnout: cannot write the answer: %s\n", strerror(errno));
        return EXIT_FAILED;
    }
    return EXIT_DONE;
}

void report_json_begin(struct report_json *report) {
    buf_init(&report->buf, REPORT_MAX);
    json_writer_init(&report->json, &report->buf);
}

int report_json_end(struct report_json *report) {
    buf_add_char(&report->buf, '\n');
    int code = EXIT_FAILED;
    if (report->buf.failed) {
        fprintf(stderr, "turnout: no memory for the answer\n");
    } else {
        code = report_text(buf_slice(&report->buf));
    }
    buf_fini(&report->buf);
    return code;
}
