/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many gets a second memcached answers to one connection with 32 of them under way, and the CPU
 * time of this process for one. The gets are its cheapest ("mg KEY v": the answer is a size and the
 * value), a batch is one write, its answers are taken by their known length, and keys and values
 * are as long as what l2_speed asks Redis for: no client that does more can be faster.
 *
 * Every answer must be the value that was put there: anything else ends with 1.
 *
 * Usage: memcached_speed PORT [GETS]   (default 200000 gets), a server on 127.0.0.1. Prints one
 * JSON document.
 */
#include "base/assert.h"
#include "base/clock.h"
#include "base/json.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    DEPTH = 32,
    KEYS = 1024,
    KEY_LEN = 72,
    VALUE_LEN = 92,
    GETS_DEFAULT = 200000,
    GETS_MAX = 100000000,
};
#define ASKED_LEN (sizeof "mg " - 1 + KEY_LEN + sizeof " v\r\n" - 1)
#define ANSWER_HEAD "VA 92\r\n"
#define ANSWER_LEN (sizeof ANSWER_HEAD - 1 + VALUE_LEN + 2)

static char asked[KEYS][ASKED_LEN + 1];
static char answer[ANSWER_LEN];

static _Noreturn void fail(const char *what, const char *detail) {
    fprintf(stderr, "memcached_speed: %s: %s\n", what, detail);
    exit(1);
}

static int connect_to(int64_t port) {
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) != 0) {
        fail("the connection", strerror(errno));
    }
    return fd;
}

static void write_all(int fd, const char *from, size_t len) {
    while (len > 0) {
        ssize_t some = write(fd, from, len);
        if (some <= 0) {
            fail("writing", some == 0 ? "nothing was taken" : strerror(errno));
        }
        from += some;
        len -= (size_t)some;
    }
}

static void read_all(int fd, char *to, size_t len) {
    while (len > 0) {
        ssize_t some = read(fd, to, len);
        if (some <= 0) {
            fail("reading", some == 0 ? "the server closed" : strerror(errno));
        }
        to += some;
        len -= (size_t)some;
    }
}

static void make_data(void) {
    memset(answer, 'v', sizeof answer);
    memcpy(answer, ANSWER_HEAD, sizeof ANSWER_HEAD - 1);
    memcpy(answer + ANSWER_LEN - 2, "\r\n", 2);
    for (unsigned i = 0; i < KEYS; i++) {
        char key[KEY_LEN + 1];
        snprintf(key, sizeof key, "bench:%066u", i);
        snprintf(asked[i], sizeof asked[i], "mg %s v\r\n", key);
    }
}

static void put_values(int fd) {
    for (unsigned i = 0; i < KEYS; i++) {
        char text[512], reply[8];
        int len = snprintf(text, sizeof text, "set %.*s 0 0 %d\r\n%.*s\r\n", KEY_LEN,
                           asked[i] + sizeof "mg " - 1, VALUE_LEN, VALUE_LEN,
                           answer + sizeof ANSWER_HEAD - 1);
        write_all(fd, text, (size_t)len);
        read_all(fd, reply, sizeof reply);
        if (memcmp(reply, "STORED\r\n", sizeof reply) != 0) {
            fail("a value", "not stored");
        }
    }
}

static void get_many(int fd, int64_t count) {
    static char out[DEPTH * ASKED_LEN], in[DEPTH * ANSWER_LEN];
    unsigned at = 0;
    for (int64_t left = count; left > 0;) {
        size_t some = left < DEPTH ? (size_t)left : DEPTH;
        left -= (int64_t)some;
        for (size_t i = 0; i < some; i++) {
            memcpy(out + i * ASKED_LEN, asked[at++ % KEYS], ASKED_LEN);
        }
        write_all(fd, out, some * ASKED_LEN);
        read_all(fd, in, some * ANSWER_LEN);
        for (size_t i = 0; i < some; i++) {
            if (memcmp(in + i * ANSWER_LEN, answer, ANSWER_LEN) != 0) {
                fail("an answer", "not the value that was set");
            }
        }
    }
}

static int64_t cpu_us(void) {
    struct timespec used;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return (int64_t)used.tv_sec * 1000000 + used.tv_nsec / 1000;
}

static void print(int64_t gets, int64_t took_us, int64_t used_us) {
    struct buf text;
    struct json_writer w;
    buf_init(&text, 4096);
    json_writer_init(&w, &text);
    json_begin_object(&w);
    json_put_cstr(&w, "bench", "memcached_speed");
    json_put_int(&w, "depth", DEPTH);
    json_put_int(&w, "gets", gets);
    json_put_real(&w, "per_s", (double)gets * 1e6 / (double)(took_us > 0 ? took_us : 1), 0);
    json_put_real(&w, "cpu_us", (double)used_us / (double)gets, 3);
    json_end_object(&w);
    printf("%.*s\n", SLICE_ARG(buf_slice(&text)));
    buf_fini(&text);
}

int main(int argc, char **argv) {
    int64_t port, gets = GETS_DEFAULT;
    if (argc < 2 || argc > 3 || !slice_to_int(slice_of(argv[1]), 1, 65535, &port) ||
        (argc > 2 && !slice_to_int(slice_of(argv[2]), 1, GETS_MAX, &gets))) {
        fprintf(stderr, "usage: %s PORT [GETS]\n", argv[0]);
        return 2;
    }
    make_data();
    int fd = connect_to(port);
    put_values(fd);
    get_many(fd, KEYS); /* warms it */
    int64_t begun_us = clock_mono_us(clock_system()), used_us = cpu_us();
    get_many(fd, gets);
    print(gets, clock_mono_us(clock_system()) - begun_us, cpu_us() - used_us);
    close(fd);
    return 0;
}
