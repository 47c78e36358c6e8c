/* SPDX-License-Identifier: Apache-2.0 */
/*
 * C11 threads in terms of POSIX threads, linked into ThreadSanitizer builds only.
 *
 * ThreadSanitizer intercepts pthread_create and its kin, but not thrd_create, mtx_lock or cnd_wait,
 * which glibc implements without going through the intercepted names: a thread made by thrd_create
 * crashes on its first instrumented access. Defined in the program itself, these names win over
 * glibc's and every operation becomes visible. The types are unions of the same size in glibc.
 */
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <threads.h>
#include <time.h>

_Static_assert(sizeof(mtx_t) >= sizeof(pthread_mutex_t), "mtx_t holds a pthread_mutex_t");
_Static_assert(sizeof(cnd_t) >= sizeof(pthread_cond_t), "cnd_t holds a pthread_cond_t");
_Static_assert(sizeof(thrd_t) >= sizeof(pthread_t), "thrd_t holds a pthread_t");
_Static_assert(sizeof(once_flag) >= sizeof(pthread_once_t), "once_flag holds a pthread_once_t");
_Static_assert(sizeof(tss_t) >= sizeof(pthread_key_t), "tss_t holds a pthread_key_t");

static int thrd_result(int error) {
    if (error == 0) {
        return thrd_success;
    }
    if (error == ETIMEDOUT) {
        return thrd_timedout;
    }
    if (error == EBUSY) {
        return thrd_busy;
    }
    return error == ENOMEM ? thrd_nomem : thrd_error;
}

struct start {
    thrd_start_t fn;
    void *data;
};

static void *run(void *data) {
    struct start start = *(struct start *)data;
    free(data);
    return (void *)(intptr_t)start.fn(start.data);
}

int thrd_create(thrd_t *thread, thrd_start_t fn, void *data) {
    struct start *start = malloc(sizeof *start);
    if (start == NULL) {
        return thrd_nomem;
    }
    *start = (struct start){fn, data};
    int error = pthread_create((pthread_t *)thread, NULL, run, start);
    if (error != 0) {
        free(start);
    }
    return thrd_result(error);
}

int thrd_join(thrd_t thread, int *ret_result) {
    void *result = NULL;
    int error = pthread_join((pthread_t)thread, &result);
    if (error == 0 && ret_result != NULL) {
        *ret_result = (int)(intptr_t)result;
    }
    return thrd_result(error);
}

int thrd_detach(thrd_t thread) {
    return thrd_result(pthread_detach((pthread_t)thread));
}

_Noreturn void thrd_exit(int result) {
    pthread_exit((void *)(intptr_t)result);
}

int mtx_init(mtx_t *mutex, int type) {
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    if ((type & mtx_recursive) != 0) {
        pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_RECURSIVE);
    }
    int error = pthread_mutex_init((pthread_mutex_t *)mutex, &attributes);
    pthread_mutexattr_destroy(&attributes);
    return thrd_result(error);
}

void mtx_destroy(mtx_t *mutex) {
    pthread_mutex_destroy((pthread_mutex_t *)mutex);
}

int mtx_lock(mtx_t *mutex) {
    return thrd_result(pthread_mutex_lock((pthread_mutex_t *)mutex));
}

int mtx_trylock(mtx_t *mutex) {
    return thrd_result(pthread_mutex_trylock((pthread_mutex_t *)mutex));
}

int mtx_timedlock(mtx_t *restrict mutex, const struct timespec *restrict until) {
    return thrd_result(pthread_mutex_timedlock((pthread_mutex_t *)mutex, until));
}

int mtx_unlock(mtx_t *mutex) {
    return thrd_result(pthread_mutex_unlock((pthread_mutex_t *)mutex));
}

int cnd_init(cnd_t *condition) {
    return thrd_result(pthread_cond_init((pthread_cond_t *)condition, NULL));
}

void cnd_destroy(cnd_t *condition) {
    pthread_cond_destroy((pthread_cond_t *)condition);
}

int cnd_signal(cnd_t *condition) {
    return thrd_result(pthread_cond_signal((pthread_cond_t *)condition));
}

int cnd_broadcast(cnd_t *condition) {
    return thrd_result(pthread_cond_broadcast((pthread_cond_t *)condition));
}

int cnd_wait(cnd_t *condition, mtx_t *mutex) {
    return thrd_result(pthread_cond_wait((pthread_cond_t *)condition, (pthread_mutex_t *)mutex));
}

int cnd_timedwait(cnd_t *restrict condition, mtx_t *restrict mutex,
                  const struct timespec *restrict until) {
    return thrd_result(
        pthread_cond_timedwait((pthread_cond_t *)condition, (pthread_mutex_t *)mutex, until));
}

void call_once(once_flag *flag, void (*fn)(void)) {
    pthread_once((pthread_once_t *)flag, fn);
}

int tss_create(tss_t *key, tss_dtor_t destructor) {
    return thrd_result(pthread_key_create((pthread_key_t *)key, destructor));
}

void tss_delete(tss_t key) {
    pthread_key_delete((pthread_key_t)key);
}

void *tss_get(tss_t key) {
    return pthread_getspecific((pthread_key_t)key);
}

int tss_set(tss_t key, void *value) {
    return thrd_result(pthread_setspecific((pthread_key_t)key, value));
}
