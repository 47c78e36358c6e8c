/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Assertions that stay on in release builds: a programmer's mistake ends the process before it can
 * harm the record. Operating errors are err_e, never assertions. Thread: any.
 */
#ifndef TURNOUT_BASE_ASSERT_H
#define TURNOUT_BASE_ASSERT_H

_Noreturn void assert_fail(const char *expression, const char *file, int line);

#define ASSERT(expr) ((expr) ? (void)0 : assert_fail(#expr, __FILE__, __LINE__))
#define UNREACHABLE() assert_fail("unreachable", __FILE__, __LINE__)

#endif
