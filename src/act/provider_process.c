/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nodes as processes of this machine: `turnout serve` on a free port each. What there is stands in
 * a folder, a file a node, and not in memory, so a controller that is killed at any moment leaves
 * nothing that the next one does not know:
 *
 *   FOLDER/lock           held while somebody looks or changes
 *   FOLDER/node-3.json    wanted, or stopping since; which process; where it serves; its tries
 *   FOLDER/node-3.out     its standard output: the line `ready url=…`
 *   FOLDER/node-3.log     its standard error, of all its tries
 *
 *            scale up                   the line `ready`
 *   (none) ───────────► STARTING ──────────────────────────► SERVING
 *                        ▲    │ ended by itself, or not        │  │ ended by itself
 *             its moment │    ▼ ready in time: killed          │  │
 *                       RESTING ◄──────────────────────────────┼──┘
 *                        │      1, 2, 4 … 60 s                 │
 *                        │ scale down                          │ scale down: SIGTERM
 *                        ▼                                     ▼
 *                      (none) ◄──── it ended, by SIGKILL if it took too long ──── STOPPING
 *
 * 1. A slot's file says who its process is before that process runs anything (act/process.h).
 * 2. A slot is marked as stopping before it is told, and told once: the second SIGTERM ends a node
 *    at once.
 * 3. A node may hand over to a new process of itself (SIGUSR2). That one has the same standard
 *    output, where it says its own line `ready`: it is the slot's process from then on. The one
 *    before is remembered until it has ended, since it goes on when the new one dies early.
 * 4. Times are of the monotonic clock, which all processes of a boot share; after another boot no
 *    process is alive, and every slot that is wanted starts anew.
 */
#include "act/process.h"
#include "act/provider_priv.h"

#include "base/clock.h"
#include "base/log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    SECOND_US = 1000000,
    URL_SIZE = 256,
    SLOT_TEXT_MAX = 4096,
    OUTPUT_MAX = 16384, /* of what a node prints, up to its line `ready` */
    REST_DOUBLINGS_MAX = 6,
    REST_S_MAX = 60,
    GOOD_LIFE_S = 60, /* who lived this long failed for a new reason: it rests a second again */
    KEPT_US = 1,      /* of a stopping slot's time: 0 says wanted */
};

struct slot {
    int64_t number;       /* node-NUMBER, from 1 */
    struct process_id id; /* pid 0: it rests */
    struct process_id before; /* that handed over to it; pid 0: none, or it has ended */
    int64_t started_us;
    int64_t rests_until_us;
    int64_t stopping_us; /* 0: it is wanted */
    int64_t tries;       /* ends in a row without a good life */
    char url[URL_SIZE];  /* empty: it does not serve yet */
};

struct processes {
    struct provider base;
    struct process_options options;
    int lock_fd;
    struct slot *slots; /* of the folder, by number */
    size_t slots_len;
    struct buf text;
    struct arena arena;
};

static int64_t now_us(void) {
    return clock_mono_us(clock_system());
}

/* ---- the folder ---- */

static bool path_of(const struct processes *all, const char *name, char ret_path[PATH_MAX]) {
    int len = snprintf(ret_path, PATH_MAX, "%s/%s", all->options.folder, name);
    return len > 0 && len < PATH_MAX;
}

static void slot_path(const struct processes *all, int64_t number, const char *ending,
                      char ret_path[PATH_MAX]) {
    char name[64];
    snprintf(name, sizeof name, "node-%" PRId64 ".%s", number, ending);
    if (!path_of(all, name, ret_path)) {
        ret_path[0] = '\0'; /* the folder's length was looked at: never */
    }
}

MAY_BLOCK static enum err_e fail(struct problem *problem, const char *doing, const char *path) {
    return problem_set(problem, ERR_IO, "", "cannot %s %.150s: %s", doing, path, strerror(errno));
}

MAY_BLOCK static enum err_e take_lock(struct processes *all, struct problem *problem) {
    char path[PATH_MAX];
    if (!path_of(all, "lock", path)) {
        return problem_set(problem, ERR_CONFIG, "folder", "the folder's path is too long");
    }
    if (mkdir(all->options.folder, 0750) != 0 && errno != EEXIST) {
        return fail(problem, "make", all->options.folder);
    }
    all->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0640);
    if (all->lock_fd < 0) {
        return fail(problem, "open", path);
    }
    /* no flock: a child has that until it runs its program, and the next look may come sooner */
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (fcntl(all->lock_fd, F_SETLK, &whole) != 0) {
        close(all->lock_fd);
        all->lock_fd = -1;
        return problem_set(problem, ERR_CONFLICT, "", "another controller is at work in %.150s",
                           all->options.folder);
    }
    return ERR_OK;
}

static void give_lock(struct processes *all) {
    close(all->lock_fd);
    all->lock_fd = -1;
}

/* True when the file is there and not longer than `text` may be. */
MAY_BLOCK static bool read_file(const char *path, struct buf *text) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    buf_clear(text);
    while (fd >= 0 && buf_reserve(text, 4096)) {
        ssize_t got = read(fd, text->at + text->len, 4096);
        if (got <= 0) {
            break;
        }
        text->len += (size_t)got;
    }
    if (fd >= 0) {
        close(fd);
    }
    return fd >= 0;
}

static bool copy_text(const struct json_t *document, const char *key, char *ret, size_t size) {
    return slice_to_cstr(json_text_at(document, key, SLICE_NONE), ret, size);
}

/* False for what this program did not write. */
static bool read_slot(struct processes *all, struct slot *ret_slot) {
    struct json_t *document;
    arena_reset(&all->arena);
    if (json_parse(&all->arena, buf_slice(&all->text), &document, NULL) != ERR_OK) {
        return false;
    }
    ret_slot->id.pid = json_int_at(document, JSON_PATH("pid"), -1);
    ret_slot->id.began = json_int_at(document, JSON_PATH("began"), -1);
    ret_slot->before.pid = json_int_at(document, JSON_PATH("before_pid"), 0);
    ret_slot->before.began = json_int_at(document, JSON_PATH("before_began"), 0);
    ret_slot->started_us = json_int_at(document, JSON_PATH("started_us"), -1);
    ret_slot->rests_until_us = json_int_at(document, JSON_PATH("rests_until_us"), -1);
    ret_slot->stopping_us = json_int_at(document, JSON_PATH("stopping_us"), -1);
    ret_slot->tries = json_int_at(document, JSON_PATH("tries"), -1);
    return copy_text(document, "boot", ret_slot->id.boot, sizeof ret_slot->id.boot) &&
           copy_text(document, "boot", ret_slot->before.boot, sizeof ret_slot->before.boot) &&
           copy_text(document, "url", ret_slot->url, sizeof ret_slot->url) &&
           ret_slot->id.pid >= 0 && ret_slot->stopping_us >= 0 && ret_slot->tries >= 0;
}

/* N of "node-N.json"; 0 for any other file. */
static int64_t number_of(const char *name) {
    int64_t number = 0;
    struct slice rest = slice_of(name);
    if (!slice_starts_with(rest, SLICE_LIT("node-")) || strchr(name, '.') == NULL ||
        strcmp(strchr(name, '.'), ".json") != 0) {
        return 0;
    }
    rest = slice_skip(rest, strlen("node-"));
    rest.len -= strlen(".json");
    return slice_to_int(rest, 1, PROVIDER_NODES_MAX, &number) ? number : 0;
}

static int by_number(const void *a, const void *b) {
    const struct slot *first = a, *second = b;
    return first->number < second->number ? -1 : first->number > second->number;
}

/* All of the folder, not those up to nodes_max alone: it may have been higher. */
MAY_BLOCK static enum err_e list_slots(struct processes *all, struct problem *problem) {
    DIR *folder = opendir(all->options.folder);
    const struct dirent *entry;
    if (folder == NULL) {
        return fail(problem, "list", all->options.folder);
    }
    all->slots_len = 0;
    while ((entry = readdir(folder)) != NULL && all->slots_len < PROVIDER_NODES_MAX) {
        int64_t number = number_of(entry->d_name);
        if (number != 0) {
            all->slots[all->slots_len++] = (struct slot){.number = number};
        }
    }
    closedir(folder);
    qsort(all->slots, all->slots_len, sizeof all->slots[0], by_number);
    return ERR_OK;
}

/* Every slot there is. A file that cannot be read is left alone, and so is its number. */
MAY_BLOCK static enum err_e load(struct processes *all, struct problem *problem) {
    char path[PATH_MAX];
    TRY(list_slots(all, problem));
    for (size_t i = 0; i < all->slots_len; i++) {
        struct slot *slot = &all->slots[i];
        slot_path(all, slot->number, "json", path);
        if (!read_file(path, &all->text)) {
            return fail(problem, "read", path);
        }
        if (!read_slot(all, slot)) {
            return problem_set(problem, ERR_IO, "", "%.150s is damaged: see whether its process "
                                                    "runs, end it, and remove the file", path);
        }
    }
    return ERR_OK;
}

static void write_slot(struct buf *to, const struct slot *slot) {
    struct json_writer w;
    buf_clear(to);
    json_writer_init(&w, to);
    json_begin_object(&w);
    json_put_int(&w, "pid", slot->id.pid);
    json_put_int(&w, "began", slot->id.began);
    json_put_cstr(&w, "boot", slot->id.boot);
    json_put_int(&w, "before_pid", slot->before.pid);
    json_put_int(&w, "before_began", slot->before.began);
    json_put_cstr(&w, "url", slot->url);
    json_put_int(&w, "started_us", slot->started_us);
    json_put_int(&w, "rests_until_us", slot->rests_until_us);
    json_put_int(&w, "stopping_us", slot->stopping_us);
    json_put_int(&w, "tries", slot->tries);
    json_end_object(&w);
    buf_add_char(to, '\n');
}

/* As a whole or not at all: a reader meets the old one or the new one. */
MAY_BLOCK static bool save_slot(struct processes *all, const struct slot *slot) {
    char path[PATH_MAX], fresh[PATH_MAX];
    slot_path(all, slot->number, "json", path);
    slot_path(all, slot->number, "json.new", fresh);
    write_slot(&all->text, slot);
    int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
    bool is_written = fd >= 0 && !all->text.failed &&
                      write(fd, all->text.at, all->text.len) == (ssize_t)all->text.len;
    if (fd >= 0) {
        close(fd);
    }
    if (!is_written || rename(fresh, path) != 0) {
        log_event(LOG_ERROR, "node_not_written_down", "path=\"%s\" reason=\"%s\"", path,
                  strerror(errno));
        return false;
    }
    return true;
}

MAY_BLOCK static void drop_slot(struct processes *all, size_t place) {
    char path[PATH_MAX];
    slot_path(all, all->slots[place].number, "json", path);
    unlink(path);
    slot_path(all, all->slots[place].number, "out", path);
    unlink(path);
    memmove(&all->slots[place], &all->slots[place + 1],
            (all->slots_len - place - 1) * sizeof all->slots[0]);
    all->slots_len--;
}

/* ---- one node ---- */

struct remembering {
    struct processes *all;
    struct slot *slot;
};

static bool remember(void *data, const struct process_id *id) {
    struct remembering *remembering = data;
    remembering->slot->id = *id;
    return save_slot(remembering->all, remembering->slot);
}

static void rest(struct slot *slot, int64_t now) {
    bool was_good = now - slot->started_us >= (int64_t)GOOD_LIFE_S * SECOND_US;
    slot->tries = was_good ? 1 : slot->tries + 1;
    int64_t doublings = slot->tries - 1 < REST_DOUBLINGS_MAX ? slot->tries - 1 : REST_DOUBLINGS_MAX;
    int64_t rest_s = 1LL << doublings;
    slot->rests_until_us = now + (rest_s < REST_S_MAX ? rest_s : REST_S_MAX) * SECOND_US;
    slot->id = slot->before = (struct process_id){.pid = 0};
    slot->url[0] = '\0';
}

MAY_BLOCK static enum err_e start_it(struct processes *all, struct slot *slot,
                                     struct problem *problem) {
    enum { ARGS_MAX = 8 };
    const char *argv[ARGS_MAX] = {all->options.program, "serve", "--listen", all->options.listen};
    char out[PATH_MAX], log[PATH_MAX];
    slot_path(all, slot->number, "out", out);
    slot_path(all, slot->number, "log", log);
    if (all->options.config != NULL) {
        argv[4] = "--config";
        argv[5] = all->options.config;
    }
    slot->started_us = now_us();
    slot->url[0] = '\0';
    struct remembering remembering = {all, slot};
    enum err_e err = process_start(&(struct process_start){.argv = argv,
                                                           .environment = all->options.environment,
                                                           .folder = all->options.folder,
                                                           .out = out,
                                                           .log = log,
                                                           .remember = remember,
                                                           .data = &remembering},
                                   problem);
    if (err != ERR_OK) {
        rest(slot, now_us());
        (void)save_slot(all, slot);
        log_event(LOG_ERROR, "node_not_started", "node=node-%" PRId64 " reason=\"%s\"",
                  slot->number, problem->detail);
        return err;
    }
    log_event(LOG_INFO, "node_started", "node=node-%" PRId64 " pid=%" PRId64, slot->number,
              slot->id.pid);
    return ERR_OK;
}

struct ready {
    char url[URL_SIZE];
    int64_t pid; /* 0: it does not say */
};

static bool read_ready(struct slice line, struct ready *ret_ready) {
    static const struct slice begin = {"ready url=", sizeof "ready url=" - 1};
    static const struct slice pid = {"pid=", sizeof "pid=" - 1};
    struct slice word;
    if (!slice_starts_with(line, begin)) {
        return false;
    }
    line = slice_skip(line, begin.len);
    bool has_url = slice_next(&line, ' ', &word) && slice_to_cstr(word, ret_ready->url, URL_SIZE);
    ret_ready->pid = 0;
    return has_url && (!slice_starts_with(line, pid) ||
                       slice_to_int(slice_skip(line, pid.len), 1, INT32_MAX, &ret_ready->pid));
}

/* The last whole line "ready url=URL pid=PID" of what the slot's processes printed. */
MAY_BLOCK static bool find_ready(struct processes *all, const struct slot *slot,
                                 struct ready *ret_ready) {
    char path[PATH_MAX];
    struct slice line, text;
    struct ready ready;
    bool is_found = false;
    slot_path(all, slot->number, "out", path);
    if (!read_file(path, &all->text)) {
        return false;
    }
    text = buf_slice(&all->text);
    bool is_whole = text.len > 0 && text.at[text.len - 1] == '\n';
    while (slice_next(&text, '\n', &line)) {
        if ((text.len > 0 || is_whole) && read_ready(line, &ready)) {
            *ret_ready = ready;
            is_found = true;
        }
    }
    return is_found;
}

MAY_BLOCK static void look_whether_it_serves(struct processes *all, struct slot *slot) {
    struct ready ready;
    if (find_ready(all, slot, &ready)) {
        memcpy(slot->url, ready.url, sizeof slot->url);
        (void)save_slot(all, slot); /* when that fails, it is read again */
        log_event(LOG_INFO, "node_serves", "node=node-%" PRId64 " url=%s", slot->number, slot->url);
    } else if (now_us() - slot->started_us > all->options.ready_ms * 1000) {
        log_event(LOG_ERROR, "node_never_ready", "node=node-%" PRId64 " after_ms=%" PRId64,
                  slot->number, all->options.ready_ms);
        process_signal(&slot->id, SIGKILL); /* the next look finds it ended, and lets it rest */
    }
}

/* ---- a process that took over ---- */

/* Whether it prints into the slot's file: then it is a child of the slot's process, however old,
 * and no program that has this pid by chance. */
MAY_BLOCK static bool prints_there(struct processes *all, const struct slot *slot, int64_t pid) {
    char path[PATH_MAX], output[64];
    struct stat wanted, seen;
    slot_path(all, slot->number, "out", path);
    snprintf(output, sizeof output, "/proc/%" PRId64 "/fd/1", pid);
    return stat(path, &wanted) == 0 && stat(output, &seen) == 0 &&
           wanted.st_dev == seen.st_dev && wanted.st_ino == seen.st_ino;
}

/* True when the slot has another process now than before this look. */
MAY_BLOCK static bool follow_takeover(struct processes *all, struct slot *slot) {
    struct ready ready;
    struct process_id next;
    if (!find_ready(all, slot, &ready) || ready.pid == slot->id.pid ||
        ready.pid == slot->before.pid || !process_find(ready.pid, &next) ||
        !process_is_alive(&next) || !prints_there(all, slot, ready.pid)) {
        return false;
    }
    slot->before = slot->id;
    slot->id = next;
    slot->started_us = now_us();
    memcpy(slot->url, ready.url, sizeof slot->url);
    (void)save_slot(all, slot); /* when that fails, it is followed again */
    log_event(LOG_INFO, "node_taken_over", "node=node-%" PRId64 " old_pid=%" PRId64
              " pid=%" PRId64, slot->number, slot->before.pid, slot->id.pid);
    return true;
}

/* The new one died and the one before serves again. */
MAY_BLOCK static bool go_back(struct processes *all, struct slot *slot) {
    if (slot->before.pid == 0 || !process_is_alive(&slot->before)) {
        return false;
    }
    log_event(LOG_WARN, "node_serves_again", "node=node-%" PRId64 " pid=%" PRId64
              " dead_pid=%" PRId64, slot->number, slot->before.pid, slot->id.pid);
    slot->id = slot->before;
    slot->before = (struct process_id){.pid = 0};
    (void)save_slot(all, slot);
    return true;
}

/* A slot that is wanted: takes it one step on. */
MAY_BLOCK static void tend_wanted(struct processes *all, struct slot *slot) {
    struct problem problem = {.detail = ""};
    if (follow_takeover(all, slot)) {
        return;
    }
    if (slot->before.pid != 0 && !process_is_alive(&slot->before)) { /* reaped, when it is ours */
        slot->before = (struct process_id){.pid = 0};
        (void)save_slot(all, slot);
    }
    if (slot->id.pid == 0) {
        if (now_us() >= slot->rests_until_us) {
            (void)start_it(all, slot, &problem); /* told in the log, and tried again */
        }
        return;
    }
    if (process_is_alive(&slot->id)) {
        if (slot->url[0] == '\0') {
            look_whether_it_serves(all, slot);
        }
        return;
    }
    if (go_back(all, slot)) {
        return;
    }
    log_event(LOG_ERROR, "node_ended", "node=node-%" PRId64 " pid=%" PRId64 " log=\"%s/node-%"
              PRId64 ".log\"", slot->number, slot->id.pid, all->options.folder, slot->number);
    rest(slot, now_us());
    (void)save_slot(all, slot);
}

/* False when nothing is left of it. */
MAY_BLOCK static bool tend_stopping(struct processes *all, struct slot *slot) {
    if (!process_is_alive(&slot->id) && !process_is_alive(&slot->before)) {
        log_event(LOG_INFO, "node_stopped", "node=node-%" PRId64, slot->number);
        return false;
    }
    if (now_us() - slot->stopping_us > all->options.stop_ms * 1000) {
        log_event(LOG_WARN, "node_killed", "node=node-%" PRId64 " after_ms=%" PRId64
                  " reason=\"it did not stop\"", slot->number, all->options.stop_ms);
        process_signal(&slot->id, SIGKILL);
        process_signal(&slot->before, SIGKILL);
    }
    return true;
}

/* Another boot: its clock began anew and no process of the old one lives. */
static void forget_boot(struct slot *slot) {
    slot->rests_until_us = 0;
    slot->started_us = now_us();
}

MAY_BLOCK static void tend(struct processes *all) {
    for (size_t i = 0; i < all->slots_len;) {
        struct slot *slot = &all->slots[i];
        if (slot->started_us > now_us()) {
            forget_boot(slot);
        }
        if (slot->stopping_us != 0 && !tend_stopping(all, slot)) {
            drop_slot(all, i);
            continue;
        }
        if (slot->stopping_us == 0) {
            tend_wanted(all, slot);
        }
        i++;
    }
}

/* ---- the interface ---- */

static void count(const struct processes *all, struct provider_state *ret_state) {
    *ret_state = (struct provider_state){.busy = false};
    for (size_t i = 0; i < all->slots_len; i++) {
        const struct slot *slot = &all->slots[i];
        ret_state->desired += slot->stopping_us == 0;
        ret_state->running += slot->id.pid != 0;
        ret_state->ready += slot->stopping_us == 0 && slot->url[0] != '\0';
    }
}

MAY_BLOCK static enum err_e look(struct provider *provider, struct provider_state *ret_state,
                                 struct problem *problem) {
    struct processes *all = (struct processes *)provider;
    TRY(take_lock(all, problem));
    enum err_e err = load(all, problem);
    if (err == ERR_OK) {
        tend(all);
        count(all, ret_state);
    }
    give_lock(all);
    return err;
}

/* New slots at the lowest free numbers; they are started by tending them. */
MAY_BLOCK static enum err_e add_slots(struct processes *all, int64_t wanted,
                                      struct problem *problem) {
    for (int64_t number = 1; number <= all->options.nodes_max && wanted > 0; number++) {
        size_t place = 0;
        while (place < all->slots_len && all->slots[place].number < number) {
            place++;
        }
        if (place < all->slots_len && all->slots[place].number == number) {
            continue;
        }
        struct slot fresh = {.number = number};
        if (!save_slot(all, &fresh)) {
            return problem_set(problem, ERR_IO, "", "cannot write into %.150s",
                               all->options.folder);
        }
        memmove(&all->slots[place + 1], &all->slots[place],
                (all->slots_len - place) * sizeof all->slots[0]);
        all->slots[place] = fresh;
        all->slots_len++;
        wanted--;
    }
    return wanted == 0 ? ERR_OK
                       : problem_set(problem, ERR_CONFIG, "max",
                                     "at most %" PRId64 " processes, those that stop included",
                                     all->options.nodes_max);
}

static bool is_named(const struct provider_change *change, const struct slot *slot) {
    char name[64];
    snprintf(name, sizeof name, "node-%" PRId64, slot->number);
    for (size_t i = 0; i < change->victims_len; i++) {
        if (slice_eq_text(change->victims[i], name)) {
            return true;
        }
    }
    return false;
}

/* Lower goes first: those that were named, those that do not serve, then the highest number. */
static int64_t place_in_line(const struct provider_change *change, const struct slot *slot) {
    int64_t line = is_named(change, slot) ? 0 : slot->url[0] == '\0' ? 1 : 2;
    return line * (PROVIDER_NODES_MAX + 1) + PROVIDER_NODES_MAX - slot->number;
}

static struct slot *next_to_stop(struct processes *all, const struct provider_change *change) {
    struct slot *next = NULL;
    for (size_t i = 0; i < all->slots_len; i++) {
        struct slot *slot = &all->slots[i];
        if (slot->stopping_us == 0 &&
            (next == NULL || place_in_line(change, slot) < place_in_line(change, next))) {
            next = slot;
        }
    }
    return next;
}

MAY_BLOCK static enum err_e stop_slots(struct processes *all, int64_t unwanted,
                                       const struct provider_change *change,
                                       struct problem *problem) {
    for (; unwanted > 0; unwanted--) {
        struct slot *slot = next_to_stop(all, change);
        slot->stopping_us = now_us() + KEPT_US;
        if (!save_slot(all, slot)) {
            return problem_set(problem, ERR_IO, "", "cannot write into %.150s",
                               all->options.folder);
        }
        process_signal(&slot->id, SIGTERM);
    }
    return ERR_OK;
}

MAY_BLOCK static enum err_e change_count(struct processes *all,
                                         const struct provider_change *change,
                                         struct problem *problem) {
    struct provider_state state;
    TRY(load(all, problem));
    tend(all);
    count(all, &state);
    if (state.desired != change->from) {
        return problem_set(problem, ERR_CONFLICT, "",
                           "%" PRId64 " processes are wanted, decided from %" PRId64,
                           state.desired, change->from);
    }
    enum err_e err = change->to > change->from
                         ? add_slots(all, change->to - change->from, problem)
                         : stop_slots(all, change->from - change->to, change, problem);
    tend(all); /* starts what is new, also when only some of it could be written down */
    return err;
}

MAY_BLOCK static enum err_e scale(struct provider *provider, const struct provider_change *change,
                                  struct problem *problem) {
    struct processes *all = (struct processes *)provider;
    if (access(all->options.program, X_OK) != 0) {
        return problem_set(problem, ERR_CONFIG, "program", "cannot run %.150s: %s",
                           all->options.program, strerror(errno));
    }
    TRY(take_lock(all, problem));
    enum err_e err = change_count(all, change, problem);
    give_lock(all);
    return err;
}

MAY_BLOCK static bool instance(struct provider *provider, const struct provider_node *node,
                               char ret_name[PROVIDER_NAME_MAX + 1]) {
    struct processes *all = (struct processes *)provider;
    bool is_found = false;
    if (take_lock(all, NULL) != ERR_OK) {
        return false;
    }
    enum err_e err = load(all, NULL);
    for (size_t i = 0; err == ERR_OK && i < all->slots_len; i++) {
        if (all->slots[i].stopping_us == 0 && slice_eq_text(node->url, all->slots[i].url)) {
            snprintf(ret_name, PROVIDER_NAME_MAX + 1, "node-%" PRId64, all->slots[i].number);
            is_found = true;
        }
    }
    give_lock(all);
    return is_found;
}

/* The processes go on: the next one to open the folder has them. */
static void close_it(struct provider *provider) {
    struct processes *all = (struct processes *)provider;
    buf_fini(&all->text);
    arena_fini(&all->arena);
    free(all->slots);
    free(all);
}

static enum err_e check_options(const struct process_options *options, struct problem *problem) {
    if (options->program == NULL || options->program[0] != '/') {
        return problem_set(problem, ERR_CONFIG, "program",
                           "program is the absolute path of turnout");
    }
    if (options->folder == NULL || options->folder[0] != '/' ||
        strlen(options->folder) > PATH_MAX - 64) {
        return problem_set(problem, ERR_CONFIG, "folder",
                           "folder is an absolute path for what is known of the processes");
    }
    if (options->nodes_max < 1 || options->nodes_max > PROVIDER_NODES_MAX) {
        return problem_set(problem, ERR_CONFIG, "max", "max is 1 to %d", PROVIDER_NODES_MAX);
    }
    return ERR_OK;
}

enum err_e provider_open_process(const struct process_options *options,
                                 struct provider **ret_provider, struct problem *problem) {
    static const struct provider_vtable vtable = {"process", look, scale, instance, close_it};
    TRY(check_options(options, problem));
    struct processes *all = calloc(1, sizeof *all);
    struct slot *slots = calloc(PROVIDER_NODES_MAX + 1, sizeof *slots);
    if (all == NULL || slots == NULL) {
        free(all);
        free(slots);
        return ERR_NO_MEMORY;
    }
    *all = (struct processes){
        .base.vtable = &vtable, .options = *options, .lock_fd = -1, .slots = slots};
    buf_init(&all->text, OUTPUT_MAX);
    arena_init(&all->arena, SLOT_TEXT_MAX * 4);
    *ret_provider = &all->base;
    return ERR_OK;
}
