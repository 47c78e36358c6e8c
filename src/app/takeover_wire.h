/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How two processes of one node talk while the new one takes over: messages on a Unix socket that
 * keeps their bounds (SOCK_SEQPACKET), and descriptors with them.
 *
 *    new ── hello ─────────────► old
 *    new ◄── offer, descriptors ─ old     the listening socket, the lock of a file, hot keys
 *        opens its store, warms
 *    new ── ready ─────────────► old
 *    new ◄── go ──────────────── old
 *        accepts
 *    new ── serving ───────────► old
 *                                 accepts no more, finishes what it has
 *    new ◄── gone ────────────── old
 *
 * Until `serving` the old one may say `abort` and why, and goes on. A socket that ends without a
 * word means that the other process died. A new one that is stopped says `stopping`, so that the
 * old one does not come back for it.
 *
 * A message is one JSON object; members that are not known are passed over, as are messages of an
 * unknown type. Builds that speak another TAKEOVER_PROTOCOL refuse each other.
 *
 * The socket has no file: its name is in the network namespace where the address is, and ends with
 * the process. Anybody there can take the name or connect, so each side asks the kernel who the
 * other one is: only the same user's processes speak. Thread: main.
 */
#ifndef TURNOUT_APP_TAKEOVER_WIRE_H
#define TURNOUT_APP_TAKEOVER_WIRE_H

#include "base/slice.h"

#include <stdint.h>
#include <sys/types.h>

enum {
    TAKEOVER_PROTOCOL = 1,
    TAKEOVER_BYTES_MAX = 8192, /* of one message */
};

/* The environment's name for the number of a child's socket. */
#define TAKEOVER_VARIABLE "TURNOUT_TAKEOVER_FD"

#define TAKEOVER_TYPE_TABLE(X)                                                                     \
    X(HELLO, "hello")                                                                              \
    X(OFFER, "offer")                                                                              \
    X(READY, "ready")                                                                              \
    X(GO, "go")                                                                                    \
    X(SERVING, "serving")                                                                          \
    X(GONE, "gone")                                                                                \
    X(STOPPING, "stopping")                                                                        \
    X(ABORT, "abort")
#define X(name, word) TAKEOVER_##name,
enum takeover_type_e { TAKEOVER_TYPE_TABLE(X) TAKEOVER_TYPE_COUNT };
#undef X
const char *takeover_type_word(enum takeover_type_e type);

/* What an offer brings. LOCK only with a SQLite file, ROSTER only with a cache, AGENT only with
 * server.agent. */
#define TAKEOVER_FD_TABLE(X)                                                                       \
    X(LISTEN, "listen") X(LOCK, "lock") X(ROSTER, "roster") X(AGENT, "agent")
#define X(name, word) TAKEOVER_FD_##name,
enum takeover_fd_e { TAKEOVER_FD_TABLE(X) TAKEOVER_FD_COUNT };
#undef X

/* X(member, bytes with the NUL) */
#define TAKEOVER_TEXT_TABLE(X)                                                                     \
    X(version, 64)  /* of the sender */                                                            \
    X(listen, 256)  /* OFFER: server.listen as the old one has it */                               \
    X(address, 64)  /* OFFER: where the socket really listens */                                   \
    X(store, 16)    /* OFFER: "sqlite" or "postgres" */                                            \
    X(reason, 256)  /* ABORT */

struct takeover_message {
    enum takeover_type_e type;
    int64_t protocol; /* HELLO, OFFER */
#define X(member, size) char member[size];
    TAKEOVER_TEXT_TABLE(X)
#undef X
    int fds[TAKEOVER_FD_COUNT]; /* -1: none */
};
void takeover_message_init(struct takeover_message *message, enum takeover_type_e type);
void takeover_message_close(struct takeover_message *message); /* the descriptors it still has */
void takeover_put_text(char *to, size_t size, const char *text); /* cut where there is no room */

/* Does not wait: ERR_IO when the other one is gone or takes nothing. */
enum err_e takeover_send(int socket, const struct takeover_message *message) MUST_CHECK;

enum takeover_heard_e {
    TAKEOVER_HEARD,       /* a message; its descriptors are the caller's */
    TAKEOVER_SILENT,      /* there is none yet */
    TAKEOVER_ENDED,       /* the other one is gone, or sent what is no message */
};
/* Does not wait. */
enum takeover_heard_e takeover_hear(int socket, struct takeover_message *ret_message);

/* The door of the process that listens on `address` ("127.0.0.1:8080"). -1 and errno: EADDRINUSE
 * when another process has it, ECONNREFUSED when nobody does. */
int takeover_open_door(const char *address);
int takeover_knock(const char *address);
/* Whether the other end belongs to this user, and its process. */
bool takeover_peer_is_own(int socket, pid_t *ret_pid);

#endif
