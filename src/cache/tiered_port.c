/* SPDX-License-Identifier: Apache-2.0 */
/* What a tiered_loop stands on in a server: an event loop, and a Redis client where there is
 * one. */
#include "cache/tiered_port.h"

#include "cache/tiered_priv.h"

#include <stdlib.h>

struct served_port {
    struct tiered_port base;
    struct loop *loop;
    struct clock *clock;
    void (*closed)(void *data);
    void *closed_data;
};

static struct served_port *served(struct tiered_port *port) {
    return (struct served_port *)port;
}

static int64_t now_us(struct tiered_port *port) {
    return loop_now_us(served(port)->loop);
}

static void post(struct tiered_port *port, struct loop_message *message) {
    loop_post(served(port)->loop, message);
}

static void close_port(struct tiered_port *port, void (*closed)(void *data), void *data) {
    free(port);
    closed(data);
}

static const struct tiered_port_vtable vtable = {
    .now_us = now_us,
    .post = post,
    .close = close_port,
};

enum err_e tiered_loop_open(struct tiered *tiered, const struct tiered_loop_options *options,
                            struct tiered_loop **ret_loop, struct problem *ret_problem) {
    (void)ret_problem;
    struct served_port *port = calloc(1, sizeof *port);
    if (port == NULL) {
        return ERR_NO_MEMORY;
    }
    port->base.vtable = &vtable;
    port->loop = options->loop;
    enum err_e err = tiered_loop_open_on(tiered, &port->base, options, ret_loop);
    if (err != ERR_OK) {
        free(port);
    }
    return err;
}
