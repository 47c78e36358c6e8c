/* SPDX-License-Identifier: Apache-2.0 */
/* The forms of turnout control. Thread: main. */
#ifndef TURNOUT_APP_CMD_CONTROL_H
#define TURNOUT_APP_CMD_CONTROL_H

#include "app/flags.h"

extern const struct command_form control_run_form, control_approve_form, control_haproxy_form,
    control_refuse_form, control_replay_form, control_resume_acting_form, control_silence_form,
    control_stop_acting_form, control_test_rules_form;

/* Each returns the exit code; argv[0] is the form's own name. */
int control_run(int argc, char *const *argv); /* without a word behind control */
int control_approve(int argc, char *const *argv);
int control_haproxy(int argc, char *const *argv);
int control_refuse(int argc, char *const *argv);
int control_replay(int argc, char *const *argv);
int control_resume_acting(int argc, char *const *argv);
int control_silence(int argc, char *const *argv);
int control_stop_acting(int argc, char *const *argv);
int control_test_rules(int argc, char *const *argv);

#endif
