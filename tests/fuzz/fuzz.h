/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a fuzz target defines: libFuzzer calls it with inputs it makes up, replay.c with those on
 * file. It returns 0 and ends the process by an ASSERT when a promise is broken.
 */
#ifndef TURNOUT_TESTS_FUZZ_H
#define TURNOUT_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
