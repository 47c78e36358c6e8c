/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two workers, each a thread with a list of askers under the service's lock.
 *
 *   submit ─► waiting ─► taken by the worker ─► done, posted to the asker's loop
 *                 └────────── drain ───────────► ERR_DRAINING, posted to the asker's loop
 *
 * An asker is answered once: whoever takes it off under the lock posts to it. Looks of one kind
 * that wait together get the same document.
 */
#include "optimizer/service.h"

#include "base/assert.h"
#include "base/log.h"
#include "optimizer/sqlite.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

enum {
    FRESH_MS = 5000,           /* a look is told again for so long */
    HORIZON_EVERY_MS = 600000, /* the end of the partitions is looked for unasked */
    DOCUMENT_MAX = 64 << 20,
};

static const struct {
    const char *word;
    bool changes;
} job_rows[DB_JOB_COUNT] = {
#define X(name, word, changes) [DB_JOB_##name] = {word, changes},
    DB_JOB_TABLE(X)
#undef X
};

const char *db_job_word(enum db_job_e job) {
    ASSERT((unsigned)job < DB_JOB_COUNT);
    return job_rows[job].word;
}

struct worker {
    struct db_service *service;
    pthread_t thread;
    bool is_started;
    pthread_cond_t wake;
    struct db_job *first, **last;
    size_t waiting;
    struct db_job *current; /* the asker of what runs; NULL also when it was let go */
    bool is_busy;
    bool is_asked; /* what runs: asked for, which and how */
    enum db_job_e kind;
    enum db_mode_e mode;
    struct db *db;          /* open while something runs: for cancelling */
    int64_t next_own_us;    /* when it does something unasked */
};

struct seen {
    char *text;
    size_t len;
    int64_t at_us;
};

struct db_service {
    struct db_service_options options;
    pthread_mutex_t lock;
    bool is_draining, is_stopping;
    struct worker looks, changes;
    struct seen seen[DB_JOB_COUNT]; /* the looks' thread alone */
    _Atomic int64_t horizon_ms;
    _Atomic int64_t changed_us; /* what was seen before may no longer be so */
};

/* ── life ── */

static void init_worker(struct db_service *service, struct worker *worker) {
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&worker->wake, &attributes);
    pthread_condattr_destroy(&attributes);
    worker->service = service;
    worker->last = &worker->first;
    worker->next_own_us = INT64_MAX;
}

struct db_service *db_service_create(const struct db_service_options *options) {
    struct db_service *service = calloc(1, sizeof *service);
    if (service == NULL) {
        return NULL;
    }
    service->options = *options;
    service->options.db.pretended_ms = TIME_NONE;
    pthread_mutex_init(&service->lock, NULL);
    init_worker(service, &service->looks);
    init_worker(service, &service->changes);
    atomic_init(&service->horizon_ms, TIME_NONE);
    atomic_init(&service->changed_us, INT64_MIN);
    return service;
}

void db_service_destroy(struct db_service *service) {
    if (service == NULL) {
        return;
    }
    ASSERT(!service->looks.is_started && !service->changes.is_started);
    for (int i = 0; i < DB_JOB_COUNT; i++) {
        free(service->seen[i].text);
    }
    pthread_cond_destroy(&service->looks.wake);
    pthread_cond_destroy(&service->changes.wake);
    pthread_mutex_destroy(&service->lock);
    free(service);
}

static int64_t now_us(const struct db_service *service) {
    return clock_mono_us(service->options.db.clock);
}

/* ── askers ── */

static void answer(struct db_job *job, enum err_e err, const struct problem *problem) {
    job->err = err;
    job->problem = problem == NULL ? (struct problem){{0}, {0}} : *problem;
    if (job->loop == NULL) {
        job->message.fn(&job->message);
    } else {
        loop_post(job->loop, &job->message); /* the asker's from here on */
    }
}

static bool copy_text(struct db_job *job, const char *text, size_t len) {
    job->text = malloc(len + 1);
    if (job->text != NULL) {
        memcpy(job->text, text, len);
        job->text[len] = '\0';
        job->len = len;
    }
    return job->text != NULL;
}

void db_job_fini(struct db_job *job) {
    free(job->text);
    job->text = NULL;
}

static enum err_e submit_locked(struct db_service *service, struct db_job *job) {
    bool changes = job_rows[job->kind].changes;
    struct worker *worker = changes ? &service->changes : &service->looks;
    if (service->is_draining) {
        return ERR_DRAINING;
    }
    if (changes && (worker->is_busy || worker->waiting > 0)) {
        return ERR_BUSY;
    }
    if (worker->waiting >= DB_LOOKS_MAX) {
        return ERR_OVERLOADED;
    }
    job->next = NULL;
    *worker->last = job;
    worker->last = &job->next;
    worker->waiting++;
    pthread_cond_signal(&worker->wake);
    return ERR_OK;
}

enum err_e db_service_submit(struct db_service *service, struct db_job *job) {
    job->text = NULL;
    job->len = 0;
    pthread_mutex_lock(&service->lock);
    enum err_e err = submit_locked(service, job);
    pthread_mutex_unlock(&service->lock);
    return err;
}

int64_t db_service_horizon_ms(const struct db_service *service) {
    return atomic_load_explicit(&service->horizon_ms, memory_order_relaxed);
}

/* ── work ── */

typedef enum err_e (*run_fn)(struct db *db, struct db_report *report);
static const run_fn runs[DB_JOB_COUNT] = {
    [DB_JOB_QUERIES] = db_analyze,       [DB_JOB_INDEXES] = db_indexes,
    [DB_JOB_PARTITIONS] = db_partitions, [DB_JOB_MAINTAIN] = db_maintain,
    [DB_JOB_OPTIMIZE] = db_optimize,
};

struct task {
    struct worker *worker;
    enum db_job_e kind;
    enum db_mode_e mode;
    struct db_report report;
    struct problem problem;
    bool is_own; /* nobody asked for it */
};

/* NULL takes it back; false: the service is draining, do not begin. */
static bool publish_db(struct worker *worker, struct db *db) {
    struct db_service *service = worker->service;
    pthread_mutex_lock(&service->lock);
    worker->db = db;
    bool go_on = !service->is_draining;
    pthread_mutex_unlock(&service->lock);
    return go_on;
}

static struct db_service_options options_of(struct db_service *service) {
    pthread_mutex_lock(&service->lock);
    struct db_service_options options = service->options;
    pthread_mutex_unlock(&service->lock);
    return options;
}

MAY_BLOCK static enum err_e run_postgres(struct task *task, const struct db_options *options) {
    struct db *db;
    TRY(db_open(options, &db, &task->problem));
    enum err_e err = ERR_DRAINING;
    if (publish_db(task->worker, db)) {
        err = runs[task->kind](db, &task->report);
        task->problem = *db_problem(db);
    }
    int64_t horizon_ms;
    if (err == ERR_OK && db_horizon(db, &horizon_ms) == ERR_OK) {
        atomic_store_explicit(&task->worker->service->horizon_ms, horizon_ms,
                              memory_order_relaxed);
    }
    publish_db(task->worker, NULL);
    db_close(db);
    return err;
}

MAY_BLOCK static enum err_e run_task(struct task *task) {
    struct db_service_options o = options_of(task->worker->service);
    o.db.mode = task->mode;
    if (o.sqlite_path == NULL) {
        return run_postgres(task, &o.db);
    }
    return db_sqlite_run(o.sqlite_path, &o.db, task->kind, &task->report, &task->problem);
}

static enum err_e write_document(struct task *task, struct buf *text) {
    const struct db_service_options *o = &task->worker->service->options;
    struct json_writer w;
    json_writer_init(&w, text);
    json_begin_object(&w);
    json_put_cstr(&w, "store", o->sqlite_path == NULL ? "postgresql" : "sqlite");
    json_put_cstr(&w, "job", db_job_word(task->kind));
    json_put_bool(&w, "dry_run", task->mode == DB_DRY_RUN);
    json_put_time(&w, "as_of", clock_wall_ms(o->db.clock));
    db_report_write_members(&w, &task->report);
    json_end_object(&w);
    return text->failed ? ERR_NO_MEMORY : ERR_OK;
}

static void log_task(const struct task *task, enum err_e err, int64_t took_us) {
    const size_t *counts = task->report.counts;
    log_event(err == ERR_OK || err == ERR_BUSY ? LOG_INFO : LOG_WARN, "database_job",
              "job=%s asked=%s dry_run=%s err=%s took_ms=%lld done=%zu failed=%zu warnings=%zu",
              db_job_word(task->kind), task->is_own ? "no" : "yes",
              task->mode == DB_DRY_RUN ? "yes" : "no", err_code(err), (long long)(took_us / 1000),
              counts[DB_DONE], counts[DB_FAILED], counts[DB_WARNING]);
}

/* The document is the caller's to free, also after a failure. */
MAY_BLOCK static enum err_e work(struct task *task, struct buf *text) {
    int64_t begun_us = now_us(task->worker->service);
    db_report_init(&task->report);
    buf_init(text, DOCUMENT_MAX);
    enum err_e err = run_task(task);
    err = err == ERR_OK ? write_document(task, text) : err;
    if (task->mode == DB_CARRY_OUT) {
        atomic_store_explicit(&task->worker->service->changed_us, now_us(task->worker->service),
                              memory_order_relaxed);
    }
    if (job_rows[task->kind].changes || err != ERR_OK || task->is_own) {
        log_task(task, err, now_us(task->worker->service) - begun_us);
    }
    db_report_fini(&task->report);
    return err;
}

/* ── looks ── */

static void keep_seen(struct db_service *service, enum db_job_e kind, const struct buf *text,
                      int64_t begun_us) {
    struct seen *seen = &service->seen[kind];
    free(seen->text);
    *seen = (struct seen){.text = malloc(text->len + 1), .len = text->len, .at_us = begun_us};
    if (seen->text != NULL) {
        memcpy(seen->text, text->at, text->len);
    }
}

static bool is_fresh(const struct db_service *service, enum db_job_e kind) {
    const struct seen *seen = &service->seen[kind];
    return seen->text != NULL && now_us(service) - seen->at_us < (int64_t)FRESH_MS * 1000 &&
           seen->at_us > atomic_load_explicit(&service->changed_us, memory_order_relaxed);
}

MAY_BLOCK static enum err_e look(struct worker *worker, enum db_job_e kind,
                                 struct problem *ret_problem) {
    struct db_service *service = worker->service;
    if (is_fresh(service, kind)) {
        return ERR_OK;
    }
    struct task task = {.worker = worker, .kind = kind, .mode = DB_DRY_RUN};
    int64_t begun_us = now_us(service);
    struct buf text;
    enum err_e err = work(&task, &text);
    if (err == ERR_OK) {
        keep_seen(service, kind, &text, begun_us);
        err = service->seen[kind].text == NULL ? ERR_NO_MEMORY : ERR_OK;
    }
    *ret_problem = task.problem;
    buf_fini(&text);
    return err;
}

/* ── changes ── */

MAY_BLOCK static enum err_e change(struct worker *worker, struct buf *text,
                                   struct problem *ret_problem) {
    struct task task = {.worker = worker, .kind = worker->kind, .mode = worker->mode};
    enum err_e err = work(&task, text);
    *ret_problem = task.problem;
    return err;
}

/* What a PostgreSQL needs from time to time. Another node may be at it: then it is done. */
MAY_BLOCK static void look_after(struct worker *worker) {
    static const enum db_job_e kinds[] = {DB_JOB_PARTITIONS, DB_JOB_MAINTAIN};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        struct task task = {.worker = worker, .kind = kinds[i], .mode = DB_CARRY_OUT,
                            .is_own = true};
        struct buf text;
        enum err_e ignored = work(&task, &text); /* it is in the log */
        (void)ignored;
        buf_fini(&text);
    }
}

MAY_BLOCK static void look_at_horizon(struct worker *worker) {
    struct problem problem;
    enum err_e ignored = look(worker, DB_JOB_PARTITIONS, &problem);
    (void)ignored;
}

/* ── the threads ── */

static void wait_locked(struct worker *worker) {
    struct db_service *service = worker->service;
    if (worker->next_own_us == INT64_MAX) {
        pthread_cond_wait(&worker->wake, &service->lock);
        return;
    }
    int64_t left_us = worker->next_own_us - now_us(service);
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    int64_t nanoseconds = until.tv_nsec + (left_us < 0 ? 0 : left_us % 1000000) * 1000;
    until.tv_sec += (left_us < 0 ? 0 : left_us / 1000000) + nanoseconds / 1000000000;
    until.tv_nsec = nanoseconds % 1000000000;
    pthread_cond_timedwait(&worker->wake, &service->lock, &until);
}

/* False: stop. Otherwise somebody asks, or it is time for own work. */
static bool take_turn(struct worker *worker) {
    struct db_service *service = worker->service;
    pthread_mutex_lock(&service->lock);
    while (!service->is_stopping && worker->first == NULL &&
           worker->next_own_us > now_us(service)) {
        wait_locked(worker);
    }
    struct db_job *job = worker->first;
    worker->current = job;
    worker->is_asked = job != NULL;
    if (job != NULL) {
        worker->kind = job->kind;
        worker->mode = job->mode;
        worker->first = job->next;
        worker->last = worker->first == NULL ? &worker->first : worker->last;
        worker->waiting--;
    }
    bool go_on = !service->is_stopping;
    worker->is_busy = go_on;
    pthread_mutex_unlock(&service->lock);
    return go_on;
}

/* NULL when a drain has let it go meanwhile. */
static struct db_job *give_back(struct worker *worker) {
    pthread_mutex_lock(&worker->service->lock);
    struct db_job *job = worker->current;
    worker->current = NULL;
    worker->is_busy = false;
    pthread_mutex_unlock(&worker->service->lock);
    return job;
}

static void finish(struct worker *worker, enum err_e err, const struct problem *problem,
                   struct slice text) {
    struct db_job *job = give_back(worker);
    if (job == NULL) {
        return;
    }
    if (err == ERR_OK && !copy_text(job, text.at, text.len)) {
        err = ERR_NO_MEMORY;
    }
    answer(job, err, problem);
}

/* When the changes' worker does something unasked. */
static void plan_own_locked(struct db_service *service) {
    bool is_own = service->options.sqlite_path == NULL && service->options.every_ms > 0;
    service->changes.next_own_us =
        is_own ? now_us(service) + service->options.every_ms * 1000 : INT64_MAX;
}

static void plan_own(struct db_service *service) {
    pthread_mutex_lock(&service->lock);
    plan_own_locked(service);
    pthread_mutex_unlock(&service->lock);
}

void db_service_set(struct db_service *service, const struct db_service_options *options) {
    struct db_options *own = &service->options.db;
    pthread_mutex_lock(&service->lock);
    const struct db_options before = *own;
    bool is_same = service->options.every_ms == options->every_ms;
    *own = options->db;
    own->url = before.url;
    own->clock = before.clock;
    own->actor = before.actor;
    own->pretended_ms = before.pretended_ms;
    own->archive_dir = before.archive_dir;
    service->options.every_ms = options->every_ms;
    if (!is_same) {
        plan_own_locked(service);
        pthread_cond_signal(&service->changes.wake);
    }
    pthread_mutex_unlock(&service->lock);
}

static void *looks_main(void *data) {
    struct worker *worker = data;
    struct db_service *service = worker->service;
    pthread_setname_np(pthread_self(), "db-looks");
    while (take_turn(worker)) {
        struct problem problem = {{0}, {0}};
        if (!worker->is_asked) {
            look_at_horizon(worker);
            worker->next_own_us = now_us(service) + (int64_t)HORIZON_EVERY_MS * 1000;
            give_back(worker);
            continue;
        }
        enum err_e err = look(worker, worker->kind, &problem);
        const struct seen *seen = &service->seen[worker->kind];
        finish(worker, err, &problem, slice_from(seen->text, seen->len));
    }
    return NULL;
}

static void *changes_main(void *data) {
    struct worker *worker = data;
    struct db_service *service = worker->service;
    pthread_setname_np(pthread_self(), "db-changes");
    while (take_turn(worker)) {
        struct problem problem = {{0}, {0}};
        if (!worker->is_asked) {
            look_after(worker);
            plan_own(service);
            give_back(worker);
            continue;
        }
        struct buf text;
        enum err_e err = change(worker, &text, &problem);
        finish(worker, err, &problem, buf_slice(&text));
        buf_fini(&text);
    }
    return NULL;
}

static enum err_e start_worker(struct worker *worker, void *(*main_fn)(void *data)) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    worker->is_started = pthread_create(&worker->thread, NULL, main_fn, worker) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return worker->is_started ? ERR_OK : ERR_NO_MEMORY;
}

enum err_e db_service_start(struct db_service *service) {
    if (service->options.sqlite_path == NULL) {
        service->looks.next_own_us = now_us(service);
    }
    plan_own(service);
    TRY(start_worker(&service->looks, looks_main));
    return start_worker(&service->changes, changes_main);
}

MAY_BLOCK static void drain_worker(struct worker *worker) {
    if (worker->current != NULL) {
        worker->current->next = worker->first;
        worker->first = worker->current;
        worker->current = NULL;
    }
    while (worker->first != NULL) {
        struct db_job *job = worker->first;
        worker->first = job->next;
        answer(job, ERR_DRAINING, NULL);
    }
    worker->last = &worker->first;
    worker->waiting = 0;
    if (worker->db != NULL) {
        db_cancel(worker->db);
    }
}

MAY_BLOCK void db_service_drain(struct db_service *service) {
    pthread_mutex_lock(&service->lock);
    service->is_draining = true;
    drain_worker(&service->looks);
    drain_worker(&service->changes);
    pthread_mutex_unlock(&service->lock);
}

static void join_worker(struct worker *worker) {
    if (worker->is_started) {
        pthread_join(worker->thread, NULL);
        worker->is_started = false;
    }
}

void db_service_stop(struct db_service *service) {
    db_service_drain(service);
    pthread_mutex_lock(&service->lock);
    service->is_stopping = true;
    pthread_cond_signal(&service->looks.wake);
    pthread_cond_signal(&service->changes.wake);
    pthread_mutex_unlock(&service->lock);
    join_worker(&service->looks);
    join_worker(&service->changes);
}
