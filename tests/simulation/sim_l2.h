/* SPDX-License-Identifier: Apache-2.0 */
/* The L2 of the simulation, as its ports see it. */
#ifndef TURNOUT_TESTS_SIMULATION_SIM_L2_H
#define TURNOUT_TESTS_SIMULATION_SIM_L2_H

#include "sim.h"

struct sim_sweep {
    char pattern[64];
};

enum err_e l2_send(struct sim_port *port, const struct redis_call *call);
void l2_drain(struct sim_port *port);
void l2_sweep(const struct sim_sweep *sweep);
void channel_begin(struct sim_port *port);

#endif
