/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The seam: operations go to the writers' mailbox or to the readers', and come back through `done`.
 * A read that begins after a write was answered sees it, unless it may lag.
 */
#include "store/postgres_priv.h"

#include <pthread.h>

enum {
    WRITERS_MAX = 4,
    READERS_MAX = 16,
    DOOR_FIRST_MS = 100,
    DOOR_MOST_MS = 2000,
    REPLICA_FIRST_MS = 1000, /* reads have the primary meanwhile */
    REPLICA_MOST_MS = 30000,
    CLERK_MS = 250,
};

struct postgres_store {
    struct store base;
    char *url;
    struct clock *clock;
    struct pg_team writes, reads;
    struct pg_writer_thread writers[WRITERS_MAX];
    struct pg_reader_thread readers[READERS_MAX];
    struct mailbox clerk_box; /* nothing comes: it is closed when the clerk is to end */
    thrd_t clerk;
    bool clerk_started;
    size_t writers_open, writers_started;
    size_t readers_open, readers_started;
    struct pg_connector connector;
};

static void postgres_submit(struct store *store, struct store_op *op) {
    struct postgres_store *postgres = (struct postgres_store *)store;
    bool writes = store_op_writes(op->kind);
    op->submitted_us = clock_mono_us(postgres->clock);
    if (!mailbox_post(writes ? &postgres->writes.box : &postgres->reads.box, &op->link)) {
        op->err = ERR_OVERLOADED;
        op->begun_us = op->submitted_us;
        pg_finish_op(op, postgres->clock);
    }
}

/* Works, or fills in why not. */
static bool see_state(struct pg_state *state, const char *what, char reason[160]) {
    mtx_lock(&state->lock);
    bool works = state->works;
    if (!works) {
        snprintf(reason, 160, "%s: %.140s", what, state->reason);
    }
    mtx_unlock(&state->lock);
    return works;
}

static void postgres_health(struct store *store, struct store_health *ret_health) {
    struct postgres_store *postgres = (struct postgres_store *)store;
    *ret_health = (struct store_health){.reads = false};
    char reason[160] = "";
    for (size_t i = 0; i < postgres->readers_started; i++) {
        ret_health->reads |= see_state(&postgres->readers[i].state, "reads", reason);
    }
    for (size_t i = 0; i < postgres->writers_started; i++) {
        ret_health->writes |= see_state(&postgres->writers[i].state, "writes", reason);
    }
    if (!ret_health->reads || !ret_health->writes) {
        memcpy(ret_health->reason, reason, sizeof ret_health->reason);
    }
}

/* ── the clerk ── */

/* Threads that wait for a silent server answer nobody meanwhile. What waits for them in a mailbox
 * is answered by the clerk when its deadline has passed. */
static bool is_late(const struct message *message, void *now_us) {
    const struct store_op *op = (const struct store_op *)message;
    return op->deadline_us != 0 && *(const int64_t *)now_us > op->deadline_us;
}

static void answer_late(struct postgres_store *postgres, struct pg_team *team) {
    if (mailbox_count(&team->box) == 0) {
        return;
    }
    int64_t now_us = clock_mono_us(postgres->clock);
    struct message *list = mailbox_take_if(&team->box, is_late, &now_us);
    while (list != NULL) {
        struct store_op *op = (struct store_op *)list;
        list = list->next;
        op->begun_us = now_us;
        op->err = ERR_DEADLINE;
        pg_finish_op(op, postgres->clock);
    }
}

MAY_BLOCK static int clerk_main(void *store) {
    struct postgres_store *postgres = store;
    pthread_setname_np(pthread_self(), "clerk");
    while (!mailbox_is_closed(&postgres->clerk_box)) {
        struct message *none = mailbox_wait(&postgres->clerk_box, CLERK_MS);
        ASSERT(none == NULL);
        answer_late(postgres, &postgres->writes);
        answer_late(postgres, &postgres->reads);
    }
    return 0;
}

/* ── open and close ── */

static void init_team(struct pg_team *team, size_t queue_max) {
    mailbox_init(&team->box, queue_max, NULL, NULL);
    pg_door_init(&team->door, DOOR_FIRST_MS, DOOR_MOST_MS);
    pg_door_init(&team->replica_door, REPLICA_FIRST_MS, REPLICA_MOST_MS);
}

static void fini_team(struct pg_team *team) {
    mailbox_fini(&team->box);
    pg_door_fini(&team->door);
    pg_door_fini(&team->replica_door);
}

static MAY_BLOCK void stop_threads(struct postgres_store *postgres) {
    mailbox_close(&postgres->writes.box);
    mailbox_close(&postgres->reads.box);
    for (size_t i = 0; i < postgres->writers_started; i++) {
        thrd_join(postgres->writers[i].thread, NULL);
    }
    for (size_t i = 0; i < postgres->readers_started; i++) {
        thrd_join(postgres->readers[i].thread, NULL);
    }
    mailbox_close(&postgres->clerk_box);
    if (postgres->clerk_started) {
        thrd_join(postgres->clerk, NULL);
    }
}

static MAY_BLOCK void postgres_close(struct store *store) {
    struct postgres_store *postgres = (struct postgres_store *)store;
    stop_threads(postgres);
    pg_connector_stop(&postgres->connector);
    for (size_t i = 0; i < postgres->writers_open; i++) {
        pg_writer_close(&postgres->writers[i]);
    }
    for (size_t i = 0; i < postgres->readers_open; i++) {
        pg_reader_close(&postgres->readers[i]);
    }
    fini_team(&postgres->writes);
    fini_team(&postgres->reads);
    mailbox_fini(&postgres->clerk_box);
    free(postgres->url);
    free(postgres);
}

/* What was opened in part is counted too: closing it is the same. */
static MAY_BLOCK enum err_e open_connections(struct postgres_store *postgres,
                                             const struct postgres_options *options,
                                             struct problem *ret_problem) {
    while (postgres->writers_open < options->writers) {
        struct pg_writer_thread *writer = &postgres->writers[postgres->writers_open++];
        writer->team = &postgres->writes;
        TRY(pg_writer_open(writer, options, ret_problem));
    }
    while (postgres->readers_open < options->readers) {
        struct pg_reader_thread *reader = &postgres->readers[postgres->readers_open++];
        reader->team = &postgres->reads;
        TRY(pg_reader_open(reader, options, ret_problem));
    }
    return ERR_OK;
}

static MAY_BLOCK enum err_e start_threads(struct postgres_store *postgres) {
    for (; postgres->writers_started < postgres->writers_open; postgres->writers_started++) {
        struct pg_writer_thread *writer = &postgres->writers[postgres->writers_started];
        if (thrd_create(&writer->thread, pg_writer_main, writer) != thrd_success) {
            return ERR_NO_MEMORY;
        }
    }
    for (; postgres->readers_started < postgres->readers_open; postgres->readers_started++) {
        struct pg_reader_thread *reader = &postgres->readers[postgres->readers_started];
        if (thrd_create(&reader->thread, pg_reader_main, reader) != thrd_success) {
            return ERR_NO_MEMORY;
        }
    }
    postgres->clerk_started = thrd_create(&postgres->clerk, clerk_main, postgres) == thrd_success;
    return !postgres->clerk_started ? ERR_NO_MEMORY
                                    : pg_connector_start(&postgres->connector, postgres->url,
                                                         &postgres->reads.door);
}

static const struct store_vtable vtable = {"postgres", postgres_submit, postgres_health,
                                           postgres_close};

struct store *postgres_join(struct store *store, struct loop *loop) {
    if (store->vtable != &vtable) {
        return store;
    }
    struct postgres_store *postgres = (struct postgres_store *)store;
    return pg_loop_open(store, &postgres->connector, postgres->clock, loop);
}

void postgres_read_replica(struct store *store, struct store_replica_figures *ret_figures) {
    *ret_figures = (struct store_replica_figures){.limit_us = 0};
    struct postgres_store *postgres = (struct postgres_store *)store;
    if (store->vtable != &vtable || !postgres->readers[0].replica.is_wanted) {
        return;
    }
    ret_figures->limit_us = postgres->readers[0].replica.lag.limit_us;
    ret_figures->reads = atomic_load(&postgres->reads.replica.reads);
    ret_figures->late = atomic_load(&postgres->reads.replica.late);
    ret_figures->behind_us = atomic_load(&postgres->reads.replica.behind_us);
}

void postgres_leave(struct store *own, struct store *store) {
    if (own != NULL && own != store) {
        pg_loop_close(own);
    }
}

static struct postgres_store *new_store(const struct postgres_options *options) {
    struct postgres_store *postgres = calloc(1, sizeof *postgres);
    if (postgres == NULL) {
        return NULL;
    }
    postgres->base.vtable = &vtable;
    postgres->clock = options->clock;
    postgres->url = strdup(options->url);
    if (postgres->url == NULL) {
        free(postgres);
        return NULL;
    }
    init_team(&postgres->writes, options->queue_max);
    init_team(&postgres->reads, options->queue_max);
    mailbox_init(&postgres->clerk_box, 1, NULL, NULL);
    return postgres;
}

MAY_BLOCK enum err_e postgres_open(const struct postgres_options *options,
                                   struct store **ret_store, struct problem *ret_problem) {
    ASSERT(options->writers >= 1 && options->writers <= WRITERS_MAX);
    ASSERT(options->readers >= 1 && options->readers <= READERS_MAX && options->group_max >= 1);
    struct postgres_store *postgres = new_store(options);
    if (postgres == NULL) {
        return ERR_NO_MEMORY;
    }
    struct postgres_options own = *options;
    own.url = postgres->url;
    enum err_e err = open_connections(postgres, &own, ret_problem);
    err = err == ERR_OK ? start_threads(postgres) : err;
    if (err != ERR_OK) {
        postgres_close(&postgres->base);
        return err;
    }
    *ret_store = &postgres->base;
    return ERR_OK;
}
