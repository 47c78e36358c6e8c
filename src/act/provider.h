/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What starts and stops nodes: an orchestrator, systemd, or a program of the operator's. The scaler
 * decides how many there should be; a provider is told so and does not decide anything.
 *
 * A change goes from a count to a count. When the count is no longer the one that was decided from,
 * or a rollout is under way, it is refused with ERR_CONFLICT: look again, decide again. So two
 * controllers, or a controller and a person, never add up their changes.
 *
 * Thread: one at a time, never a loop's; each call ends within the provider's time limit.
 */
#ifndef TURNOUT_ACT_PROVIDER_H
#define TURNOUT_ACT_PROVIDER_H

#include "base/slice.h"

struct provider;

enum {
    PROVIDER_TIMEOUT_MS_DEFAULT = 10000,
    PROVIDER_NODES_MAX = 1000,
    PROVIDER_NAME_MAX = 253, /* a DNS name, as in Kubernetes */
};

struct provider_state {
    int64_t desired; /* how many were asked for */
    int64_t running; /* how many exist */
    int64_t ready;   /* how many of them serve, as far as the provider can tell */
    bool busy;       /* a rollout is under way: it would refuse a change */
};

struct provider_change {
    int64_t from, to;            /* 0..PROVIDER_NODES_MAX */
    const struct slice *victims; /* instances to take first when fewer; good names, may be empty */
    size_t victims_len;
    struct slice reason;         /* for the provider's own log */
};

/*
 * ERR_OK. ERR_CONFLICT: see above. ERR_UNAUTHORIZED: the credentials, or what they allow.
 * ERR_CONFIG: there is no such thing to scale, or somebody else scales it. ERR_UNAVAILABLE: it
 * cannot be reached or failed. ERR_DEADLINE: no answer in time; whether it was done is not known.
 * The problem says what, and what to do.
 */
MAY_BLOCK enum err_e provider_look(struct provider *provider, struct provider_state *ret_state,
                                   struct problem *ret_problem) MUST_CHECK;
MAY_BLOCK enum err_e provider_scale(struct provider *provider,
                                    const struct provider_change *change,
                                    struct problem *ret_problem) MUST_CHECK;

/* A node as it calls itself, and where it serves. */
struct provider_node {
    struct slice id; /* "HOST:PORT" */
    struct slice url;
};
/* What the provider calls it, to name it as a victim. False: it cannot tell, and chooses itself. */
MAY_BLOCK bool provider_instance(struct provider *provider, const struct provider_node *node,
                                 char ret_name[PROVIDER_NAME_MAX + 1]);

void provider_close(struct provider *provider); /* NULL: nothing */
const char *provider_name(const struct provider *provider);

/* --- the providers; all texts outlive the provider; each opens without asking anybody yet --- */

/* Advice only: nothing is started, and every change is refused with ERR_CONFIG. */
enum err_e provider_open_none(struct provider **ret_provider, struct problem *problem) MUST_CHECK;

/*
 * Processes of this machine: `PROGRAM serve` each, on a free port. They outlive the controller, and
 * the next one that opens the folder has them: every one is known by its pid and the moment when it
 * began. One that ends by itself is started again after 1, 2, 4 … 60 s, one that is not ready in
 * time is killed first. One that is to go gets SIGTERM, and SIGKILL when its time is up. Looking is
 * what carries this on, so look at least each few seconds.
 */
struct process_options {
    const char *program;      /* absolute path of turnout */
    const char *folder;       /* absolute; for pid files and logs, made when it is not there */
    const char *config;       /* absolute; NULL: none */
    const char *listen;       /* "127.0.0.1:0" */
    char *const *environment; /* of the nodes */
    int64_t nodes_max;        /* 1..PROVIDER_NODES_MAX, those that stop included */
    int64_t ready_ms;         /* until a node must serve */
    int64_t stop_ms;          /* from SIGTERM to SIGKILL */
};
enum err_e provider_open_process(const struct process_options *options,
                                 struct provider **ret_provider,
                                 struct problem *problem) MUST_CHECK;

/*
 * Kubernetes: the scale subresource of a Deployment or StatefulSet, as compare-and-set. Refuses
 * while a HorizontalPodAutoscaler has the same target. Needs get and patch on deployments/scale (or
 * statefulsets/scale), get on the object, list on horizontalpodautoscalers, and patch on pods to
 * name victims of a Deployment; a StatefulSet always drops its highest ordinal.
 */
struct kubernetes_options {
    const char *url;        /* NULL: https://kubernetes.default.svc */
    const char *token_file; /* NULL: the service account's */
    const char *ca_file;    /* NULL: the service account's */
    const char *space;      /* namespace */
    const char *kind;       /* "deployment" or "statefulset" */
    const char *name;
    int64_t timeout_ms;
};
enum err_e provider_open_kubernetes(const struct kubernetes_options *options,
                                    struct provider **ret_provider,
                                    struct problem *problem) MUST_CHECK;

/* Nomad: the count of a task group. The token needs scale-job and read-job. */
struct nomad_options {
    const char *url;        /* NULL: http://127.0.0.1:4646 */
    const char *token_file; /* NULL: none */
    const char *space;      /* namespace; NULL: "default" */
    const char *job;
    const char *group;
    int64_t timeout_ms;
};
enum err_e provider_open_nomad(const struct nomad_options *options, struct provider **ret_provider,
                               struct problem *problem) MUST_CHECK;

/* Docker Swarm: the replicas of a service, by the whole specification as it stands. */
struct swarm_options {
    const char *socket; /* NULL: /var/run/docker.sock */
    const char *service;
    int64_t timeout_ms;
};
enum err_e provider_open_swarm(const struct swarm_options *options, struct provider **ret_provider,
                               struct problem *problem) MUST_CHECK;

/* systemd: units made from a template, TEMPLATE@1.service to TEMPLATE@MAX.service. */
struct systemd_options {
    const char *template;  /* "turnout" */
    bool of_user;          /* systemctl --user */
    int64_t nodes_max;     /* 1..PROVIDER_NODES_MAX */
    const char *systemctl; /* the program; NULL: "systemctl" on the PATH */
    int64_t timeout_ms;
};
enum err_e provider_open_systemd(const struct systemd_options *options,
                                 struct provider **ret_provider,
                                 struct problem *problem) MUST_CHECK;

/*
 * A program of the operator's: one JSON document on its standard input, one on its standard output.
 *   {"action":"look"} → {"desired":2,"running":2,"ready":2,"busy":false}
 *   {"action":"scale","from":2,"to":4,"victims":[],"reason":"…"} → nothing that is read
 * Exit 0: done. 75 (EX_TEMPFAIL): ERR_CONFLICT. Anything else, or no end in time: it failed, and
 * the first line of its standard error says why. It is ended with its children at its time limit.
 */
struct command_options {
    const char *program; /* absolute path; run without arguments and without a shell */
    int64_t timeout_ms;
};
enum err_e provider_open_command(const struct command_options *options,
                                 struct provider **ret_provider,
                                 struct problem *problem) MUST_CHECK;

#endif
