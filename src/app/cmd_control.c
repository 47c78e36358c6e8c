/* SPDX-License-Identifier: Apache-2.0 */
/*
 * turnout control: the control plane in a process of its own, and what it decides.
 *
 *     (no word)       the controller itself: cmd_control_run.c
 *     approve         a word for an action that waits: cmd_control_acting.c
 *     haproxy         a configuration for HAProxy: cmd_control_haproxy.c
 *     refuse          likewise
 *     replay          decisions on recorded figures: cmd_control_replay.c
 *     resume-acting   the end of: cmd_control_acting.c
 *     silence         what is not told: cmd_control_silence.c
 *     stop-acting     the emergency stop: cmd_control_acting.c
 *     test-rules      unit tests of alert rules: cmd_control_tests.c
 */
#include "app/cmd_control.h"

#include "app/cli.h"

static const struct flag group_flags[] = {{0}};
static const struct command_form group = {
    .name = "control",
    .usage = "[FLAGS] | approve ID | refuse ID | haproxy | replay | silence | stop-acting | "
             "resume-acting | test-rules FILE",
    .summary = "look after all nodes; what the control plane decides",
    .flags = group_flags,
};

int cmd_control(int argc, char **argv) {
    static const struct command_form *const forms[] = {
        &control_approve_form, &control_haproxy_form,       &control_refuse_form,
        &control_replay_form,  &control_resume_acting_form, &control_silence_form,
        &control_stop_acting_form, &control_test_rules_form, NULL};
    static const form_fn runs[] = {control_approve, control_haproxy,       control_refuse,
                                   control_replay,  control_resume_acting, control_silence,
                                   control_stop_acting, control_test_rules};
    if (argc < 2 || argv[1][0] == '-') {
        return control_run(argc, argv);
    }
    return forms_run(&group, forms, runs, argc, argv);
}
