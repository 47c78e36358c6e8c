/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests by route and status class. Written by the api's loop only, read by any thread: a reader
 * sums the apis of all loops and subtracts what it saw before.
 */
#ifndef TURNOUT_API_COUNTS_H
#define TURNOUT_API_COUNTS_H

#include "stat/counter.h"

#include <stddef.h>

struct api;

enum api_class_e { API_2XX, API_3XX, API_4XX, API_5XX, API_CLASS_COUNT };
enum { API_ROUTES_MAX = 96 }; /* room for every route; a static assertion holds the table to it */

struct api_counts {
    struct counter requests[API_ROUTES_MAX][API_CLASS_COUNT];
};

const struct api_counts *api_counts(const struct api *api);
/* Names for the first index: "POST /v1/events/{event}/checkins"; the last is "other", for what no
 * route knows. */
size_t api_route_count(void);
const char *api_route_name(size_t index);

#endif
