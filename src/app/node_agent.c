/* SPDX-License-Identifier: Apache-2.0 */
/* A thread that accepts, says its line and closes; at most one client at a time, none waited
 * for. */
#include "app/node_agent.h"

#include "base/assert.h"
#include "base/log.h"
#include "http/http.h"

#include <errno.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum { FRESH_US = 5000000, FULL_SHARE = 100, LEAST_SHARE = 1, LINE_SIZE = 16, PAUSE_MS = 100 };

struct node_agent {
    struct clock *clock;
    pthread_t thread;
    int listen_fd, wake_fd, port;
    atomic_bool drains, yields, ends;
    _Atomic int64_t seen_us; /* TIME_NONE: never */
    atomic_int share;
};

static int share_of(struct node_agent *agent) {
    int64_t seen_us = atomic_load(&agent->seen_us);
    if (atomic_load(&agent->drains)) {
        return 0;
    }
    bool is_fresh = seen_us != TIME_NONE && clock_mono_us(agent->clock) - seen_us < FRESH_US;
    return is_fresh ? atomic_load(&agent->share) : FULL_SHARE;
}

/* It fits the socket's buffer of any client: this never waits. */
static void say_line(struct node_agent *agent, int fd) {
    char line[LINE_SIZE];
    int len = snprintf(line, sizeof line, "up %d%%\n", share_of(agent));
    ssize_t ignored = send(fd, line, (size_t)len, MSG_NOSIGNAL | MSG_DONTWAIT);
    (void)ignored; /* who left gets no line */
    close(fd);
}

MAY_BLOCK static void *agent_main(void *data) {
    struct node_agent *agent = data;
    struct pollfd fds[] = {{.fd = agent->wake_fd, .events = POLLIN},
                           {.fd = agent->listen_fd, .events = POLLIN}};
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, NULL);
    pthread_setname_np(pthread_self(), "agent");
    while (!atomic_load(&agent->ends)) {
        uint64_t ignored;
        nfds_t len = atomic_load(&agent->yields) ? 1 : 2;
        fds[1].revents = 0;
        if (poll(fds, len, -1) > 0 && fds[0].revents != 0) {
            (void)!read(agent->wake_fd, &ignored, sizeof ignored);
            continue;
        }
        if (fds[1].revents == 0) {
            continue;
        }
        int fd = accept4(agent->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0) {
            say_line(agent, fd);
        } else if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
            poll(&fds[0], 1, PAUSE_MS); /* no descriptor is free: not a loop at full speed */
        }
    }
    return NULL;
}

/* `taken` when it listens where `address` says; else it is closed, and another is made. */
MAY_BLOCK static enum err_e listen_at(struct node_agent *agent, const char *address, int taken,
                                      struct problem *ret_problem) {
    enum { PLACES_MAX = 8 };
    char places[PLACES_MAX][HTTP_ADDRESS_SIZE], held[HTTP_ADDRESS_SIZE];
    size_t len = http_resolve(slice_of(address), places, PLACES_MAX);
    http_listen_address(taken, held);
    for (size_t i = 0; i < len; i++) {
        if (strcmp(places[i], held) == 0) {
            agent->listen_fd = taken;
            return http_listen_adopt(taken, &agent->port, ret_problem);
        }
    }
    if (taken >= 0) {
        close(taken);
    }
    return http_listen(slice_of(address), &agent->listen_fd, &agent->port, ret_problem);
}

MAY_BLOCK enum err_e node_agent_open(const char *address, int taken, struct clock *clock,
                                     struct node_agent **ret_agent, struct problem *ret_problem) {
    struct node_agent *agent = calloc(1, sizeof *agent);
    if (agent == NULL) {
        return problem_set(ret_problem, ERR_NO_MEMORY, "", "the agent could not start");
    }
    *agent = (struct node_agent){.clock = clock, .listen_fd = -1};
    atomic_init(&agent->seen_us, TIME_NONE);
    enum err_e err = listen_at(agent, address, taken, ret_problem);
    if (err != ERR_OK) {
        free(agent);
        return err;
    }
    agent->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (agent->wake_fd < 0 || pthread_create(&agent->thread, NULL, agent_main, agent) != 0) {
        close(agent->listen_fd);
        if (agent->wake_fd >= 0) {
            close(agent->wake_fd);
        }
        free(agent);
        return problem_set(ret_problem, ERR_NO_MEMORY, "", "the agent could not start");
    }
    log_event(LOG_INFO, "agent", "port=%d", agent->port);
    *ret_agent = agent;
    return ERR_OK;
}

int node_agent_port(const struct node_agent *agent) {
    return agent == NULL ? 0 : agent->port;
}

int node_agent_socket(const struct node_agent *agent) {
    return agent == NULL ? -1 : agent->listen_fd;
}

static void wake(struct node_agent *agent) {
    uint64_t one = 1;
    ssize_t ignored = write(agent->wake_fd, &one, sizeof one);
    (void)ignored; /* it counts up from 0: there is room */
}

void node_agent_yield(struct node_agent *agent, bool yields) {
    if (agent != NULL) {
        atomic_store(&agent->yields, yields);
        wake(agent);
    }
}

void node_agent_see(struct node_agent *agent, double cpu_percent) {
    if (agent == NULL || isnan(cpu_percent)) {
        return;
    }
    int left = FULL_SHARE - (int)cpu_percent;
    left = left < LEAST_SHARE ? LEAST_SHARE : left > FULL_SHARE ? FULL_SHARE : left;
    atomic_store(&agent->share, left);
    atomic_store(&agent->seen_us, clock_mono_us(agent->clock));
}

void node_agent_drain(struct node_agent *agent) {
    if (agent != NULL) {
        atomic_store(&agent->drains, true);
    }
}

MAY_BLOCK void node_agent_close(struct node_agent *agent) {
    if (agent == NULL) {
        return;
    }
    atomic_store(&agent->ends, true);
    wake(agent);
    ASSERT(pthread_join(agent->thread, NULL) == 0);
    close(agent->wake_fd);
    close(agent->listen_fd);
    free(agent);
}
