/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The disk of power_vfs.h: what is surely there after a number of steps, what waits for a sync, and
 * the dice that say how much of that a cut leaves.
 */
#include "power_priv.h"

#include "base/assert.h"

#include <stdlib.h>
#include <string.h>

enum { SECTOR = 512 };

struct disk_file {
    struct power_content synced;
    size_t first_waiting; /* step from which on its writes wait; those before are in `synced` */
};

static struct disk_file files[POWER_FILES_MAX];
static int files_len;
static int synced_names[POWER_NAMES]; /* the file of each name, or -1 */
static size_t names_waiting;          /* step from which on changes of names wait */
static size_t played;

/* ── content ── */

static void resize(struct power_content *content, size_t len) {
    if (len > content->size || content->at == NULL) {
        content->size = len > 2 * content->size ? len : 2 * content->size;
        content->size = content->size == 0 ? 1 : content->size;
        content->at = realloc(content->at, content->size);
        ASSERT(content->at != NULL);
    }
    if (len > content->len) {
        memset(content->at + content->len, 0, len - content->len);
    }
    content->len = len;
}

static void copy(struct power_content *to, const struct power_content *from) {
    *to = (struct power_content){NULL, 0, 0};
    if (from->at != NULL) {
        resize(to, from->len);
        memcpy(to->at, from->at, from->len);
    }
}

static void write_piece(struct power_content *content, const struct power_step *step, size_t from,
                        size_t to) {
    if (step->at + to > content->len) {
        resize(content, step->at + to);
    }
    memcpy(content->at + step->at + from, step->bytes + from, to - from);
}

static void apply(struct power_content *content, const struct power_step *step) {
    if (step->kind == POWER_WRITE) {
        write_piece(content, step, 0, step->len);
    } else if (step->kind == POWER_RESIZE) {
        resize(content, step->at);
    }
}

void power_image_free(struct power_image *image) {
    for (int name = 0; name < POWER_NAMES; name++) {
        free(image->files[name].at);
    }
    *image = (struct power_image){0};
}

/* ── what is surely there ── */

void power_disk_begin(void) {
    for (int i = 0; i < files_len; i++) {
        free(files[i].synced.at);
    }
    memset(files, 0, sizeof files);
    files_len = POWER_NAMES;
    for (int name = 0; name < POWER_NAMES; name++) {
        const struct power_content *content = &power_journal.image->files[name];
        copy(&files[name].synced, content);
        synced_names[name] = content->at == NULL ? -1 : name;
    }
    names_waiting = 0;
    played = 0;
}

static void sync_file(int number, size_t until) {
    struct disk_file *file = &files[number];
    for (size_t i = file->first_waiting; i < until; i++) {
        if (power_journal.steps[i].file == number) {
            apply(&file->synced, &power_journal.steps[i]);
        }
    }
    file->first_waiting = until;
}

static void play(size_t index) {
    const struct power_step *step = &power_journal.steps[index];
    if (step->kind == POWER_MAKE) {
        files_len = step->file + 1;
        files[step->file] = (struct disk_file){.first_waiting = index};
        resize(&files[step->file].synced, 0);
    } else if (step->kind == POWER_SYNC) {
        sync_file(step->file, index);
    } else if (step->kind == POWER_SYNC_ALL_NAMES) {
        for (size_t i = names_waiting; i < index; i++) {
            const struct power_step *change = &power_journal.steps[i];
            if (change->kind == POWER_MAKE || change->kind == POWER_DELETE) {
                synced_names[change->name] = change->kind == POWER_MAKE ? change->file : -1;
            }
        }
        names_waiting = index;
    }
}

/* ── what a cut leaves ── */

struct dice {
    struct rng *rng;
    uint64_t kept_percent; /* of what waits */
    uint64_t torn_percent; /* of what is not kept */
};

static bool falls(const struct dice *dice, uint64_t percent) {
    return rng_below(dice->rng, 100) < percent;
}

static void tear(struct power_content *content, const struct power_step *step,
                 const struct dice *dice) {
    if (falls(dice, 50)) {
        write_piece(content, step, 0, (size_t)rng_below(dice->rng, step->len + 1));
        return;
    }
    for (size_t from = 0; from < step->len;) {
        size_t to = from + SECTOR - (step->at + from) % SECTOR;
        to = to < step->len ? to : step->len;
        if (falls(dice, 50)) {
            write_piece(content, step, from, to);
        }
        from = to;
    }
}

/* The file's size was written and its content was not. */
static void grow_without_content(struct power_content *content, const struct power_step *step,
                                 const struct dice *dice) {
    size_t was = content->len;
    if (step->at + step->len > was) {
        resize(content, step->at + step->len);
        if (falls(dice, 50)) {
            rng_fill(dice->rng, content->at + was, content->len - was);
        }
    }
}

static void keep_some(struct power_content *content, const struct power_step *step,
                      const struct dice *dice) {
    if (falls(dice, dice->kept_percent)) {
        apply(content, step);
    } else if (step->kind == POWER_WRITE && falls(dice, dice->torn_percent)) {
        if (falls(dice, 70)) {
            tear(content, step, dice);
        } else {
            grow_without_content(content, step, dice);
        }
    }
}

/* Which file has the name: as it was synced, or after some of the changes since. */
static int some_file_of(enum power_name_e name, const struct dice *dice) {
    int number = synced_names[name];
    for (size_t i = names_waiting; i < played; i++) {
        const struct power_step *step = &power_journal.steps[i];
        bool changes = step->kind == POWER_MAKE || step->kind == POWER_DELETE;
        if (changes && step->name == name) {
            if (!falls(dice, dice->kept_percent)) {
                break;
            }
            number = step->kind == POWER_MAKE ? step->file : -1;
        }
    }
    return number;
}

/* Nothing that waits, all of it, or each by itself. */
static struct dice throw_dice(struct rng *rng) {
    static const uint64_t kept[] = {0, 100, 50, 50, 10, 90};
    uint64_t kept_percent = kept[rng_below(rng, sizeof kept / sizeof kept[0])];
    return (struct dice){rng, kept_percent, rng_below(rng, 2) == 0 ? 0 : 60};
}

void power_cut(size_t steps, struct rng *rng, struct power_image *ret_image) {
    ASSERT(steps >= played && steps <= power_journal.len);
    while (played < steps) {
        play(played++);
    }
    struct dice dice = throw_dice(rng);
    for (int name = 0; name < POWER_NAMES; name++) {
        int number = some_file_of((enum power_name_e)name, &dice);
        struct power_content *content = &ret_image->files[name];
        *content = (struct power_content){NULL, 0, 0};
        if (number < 0) {
            continue;
        }
        copy(content, &files[number].synced);
        for (size_t i = files[number].first_waiting; i < steps; i++) {
            if (power_journal.steps[i].file == number) {
                keep_some(content, &power_journal.steps[i], &dice);
            }
        }
    }
}
