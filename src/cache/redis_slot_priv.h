/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which of the cluster's 16384 slots a key belongs to: CRC-16 of the key, or of what stands between
 * its first { and the next } when that is not empty (Redis Cluster specification, "Hash tags").
 * Thread: any.
 */
#ifndef TURNOUT_CACHE_REDIS_SLOT_PRIV_H
#define TURNOUT_CACHE_REDIS_SLOT_PRIV_H

#include "base/slice.h"

enum { REDIS_SLOTS = 16384 };

uint16_t redis_crc16(struct slice bytes);
unsigned redis_slot_of(struct slice key);

#endif
