/* SPDX-License-Identifier: Apache-2.0 */
/* fork, a pipe to wait at, /proc and pidfd. */
#include "act/process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

enum { STAT_SIZE = 1024, STARTTIME_FIELD = 20, LOWEST_FD = 3 };

/* ---- who a process is ---- */

MAY_BLOCK static bool read_small(const char *path, char *ret_text, size_t size) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : read(fd, ret_text, size - 1);
    if (fd >= 0) {
        close(fd);
    }
    ret_text[got < 0 ? 0 : got] = '\0';
    return got > 0;
}

MAY_BLOCK static void read_boot(char ret_boot[PROCESS_BOOT_SIZE]) {
    if (read_small("/proc/sys/kernel/random/boot_id", ret_boot, PROCESS_BOOT_SIZE)) {
        ret_boot[strcspn(ret_boot, "\n")] = '\0';
    }
}

/* The state's letter, and the moment when it began; false when there is no such process. The name
 * in front of them may hold anything. */
MAY_BLOCK static bool read_stat(int64_t pid, char *ret_state, int64_t *ret_began) {
    char path[64], text[STAT_SIZE];
    snprintf(path, sizeof path, "/proc/%lld/stat", (long long)pid);
    if (!read_small(path, text, sizeof text)) {
        return false;
    }
    const char *behind_name = strrchr(text, ')');
    struct slice rest = slice_of(behind_name == NULL ? "" : behind_name + 1);
    struct slice field = SLICE_NONE;
    rest = slice_trim(rest);
    for (int i = 0; i < STARTTIME_FIELD; i++) {
        if (!slice_next(&rest, ' ', &field) || field.len == 0) {
            return false;
        }
        *ret_state = i == 0 ? field.at[0] : *ret_state;
    }
    return slice_to_int(field, 0, INT64_MAX, ret_began);
}

MAY_BLOCK bool process_is_alive(const struct process_id *id) {
    char state = 0;
    char boot[PROCESS_BOOT_SIZE];
    int64_t began;
    read_boot(boot);
    if (id->pid <= 0 || strcmp(boot, id->boot) != 0 || !read_stat(id->pid, &state, &began) ||
        began != id->began) {
        return false;
    }
    if (state != 'Z' && state != 'X') {
        return true;
    }
    waitpid((pid_t)id->pid, NULL, WNOHANG); /* ECHILD when somebody else started it */
    return false;
}

MAY_BLOCK bool process_find(int64_t pid, struct process_id *ret_id) {
    char state;
    *ret_id = (struct process_id){.pid = pid};
    read_boot(ret_id->boot);
    return pid > 0 && read_stat(pid, &state, &ret_id->began);
}

MAY_BLOCK void process_signal(const struct process_id *id, int signal_number) {
    int fd = id->pid <= 0 ? -1 : pidfd_open((pid_t)id->pid, 0);
    if (fd < 0) {
        return;
    }
    if (process_is_alive(id)) { /* asked behind the opening: the descriptor is of this process */
        pidfd_send_signal(fd, signal_number, NULL, 0);
    }
    close(fd);
}

/* ---- starting ---- */

struct files {
    int in, out, log; /* above the three that they become */
    int go[2];        /* the child waits at the first for a byte from the second */
};

static void close_files(struct files *files) {
    int *const all[] = {&files->in, &files->out, &files->log, &files->go[0], &files->go[1]};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        if (*all[i] >= 0) {
            close(*all[i]);
        }
        *all[i] = -1;
    }
}

MAY_BLOCK static int open_high(const char *path, int flags) {
    int fd = open(path, flags | O_CLOEXEC, 0640);
    if (fd < 0 || fd >= LOWEST_FD) {
        return fd;
    }
    int high = fcntl(fd, F_DUPFD_CLOEXEC, LOWEST_FD);
    close(fd);
    return high;
}

MAY_BLOCK static enum err_e open_files(const struct process_start *start, struct files *files,
                                       struct problem *problem) {
    *files = (struct files){-1, -1, -1, {-1, -1}};
    const char *failed = NULL;
    if ((files->in = open_high("/dev/null", O_RDONLY)) < 0) {
        failed = "/dev/null";
    } else if ((files->out = open_high(start->out, O_WRONLY | O_CREAT | O_TRUNC)) < 0) {
        failed = start->out;
    } else if ((files->log = open_high(start->log, O_WRONLY | O_CREAT | O_APPEND)) < 0) {
        failed = start->log;
    } else if (pipe2(files->go, O_CLOEXEC) != 0) {
        failed = "a pipe";
    }
    if (failed != NULL) {
        enum err_e err = problem_set(problem, ERR_IO, "", "cannot open %.150s: %s", failed,
                                     strerror(errno));
        close_files(files);
        return err;
    }
    return ERR_OK;
}

/* Between fork and exec only what is safe in a signal's handler: other threads held locks. */
static _Noreturn void become(const struct process_start *start, const struct files *files) {
    char word = 0;
    sigset_t none;
    close(files->go[1]);
    for (int number = 1; number < NSIG; number++) {
        signal(number, SIG_DFL);
    }
    sigemptyset(&none);
    pthread_sigmask(SIG_SETMASK, &none, NULL);
    union { /* execve writes to no argument; its prototype is older than const */
        const char *const *in;
        char *const *out;
    } arguments = {start->argv};
    ssize_t got = read(files->go[0], &word, 1);
    if (got == 1 && setsid() >= 0 && chdir(start->folder) == 0 && dup2(files->in, 0) == 0 &&
        dup2(files->out, 1) == 1 && dup2(files->log, 2) == 2 && close_range(3, ~0U, 0) == 0) {
        execve(start->argv[0], arguments.out, start->environment);
    }
    _exit(127);
}

/* The child, waiting for its word; signals are blocked so that none of ours is handled in it. */
static pid_t fork_quietly(const struct process_start *start, const struct files *files) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pid_t pid = fork();
    if (pid == 0) {
        become(start, files);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return pid;
}

MAY_BLOCK enum err_e process_start(const struct process_start *start,
                                   struct problem *ret_problem) {
    struct files files;
    struct process_id id = {.pid = 0};
    char state;
    TRY(open_files(start, &files, ret_problem));
    pid_t pid = fork_quietly(start, &files);
    if (pid < 0) {
        close_files(&files);
        return problem_set(ret_problem, ERR_NO_MEMORY, "", "no new process: %s", strerror(errno));
    }
    id.pid = pid;
    read_boot(id.boot);
    bool is_known = read_stat(pid, &state, &id.began) && start->remember(start->data, &id) &&
                    write(files.go[1], "", 1) == 1;
    close_files(&files); /* without the byte this is its end */
    if (!is_known) {
        waitpid(pid, NULL, 0);
        return problem_set(ret_problem, ERR_IO, "", "a new process could not be written down");
    }
    return ERR_OK;
}
