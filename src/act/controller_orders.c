/* SPDX-License-Identifier: Apache-2.0 */
/* The orders of a look. */
#include "act/controller_priv.h"

#include <stdio.h>

void orders_drop(struct controller *controller) {
    order_page_unref(controller->orders);
    controller->orders = NULL;
    controller->silences_len = 0;
}

/* Without room for them nothing is silenced: rather told than not. */
static void take_silences(struct controller *controller) {
    const struct orders *orders = &controller->orders->orders;
    int64_t now_ms = clock_wall_ms(controller->options.clock);
    controller->silences = arena_alloc(
        &controller->scratch, (orders->silences_len + 1) * sizeof *controller->silences);
    for (size_t i = 0; controller->silences != NULL && i < orders->silences_len; i++) {
        if (order_stands(&orders->silences[i].order, now_ms)) {
            controller->silences[controller->silences_len++] = orders->silences[i].covers;
        }
    }
}

void orders_take(struct controller *controller) {
    orders_drop(controller);
    if (controller->options.orders != NULL) {
        controller->orders = order_book_see(controller->options.orders);
    }
    if (controller->orders != NULL) {
        take_silences(controller);
    }
}

MAY_BLOCK void orders_take_anew(struct controller *controller) {
    if (controller->options.orders != NULL) {
        enum err_e ignored = order_book_look(controller->options.orders);
        (void)ignored; /* told in the log; a store that fails takes no row of the journal either */
        orders_take(controller);
    }
}

bool orders_hold(const struct controller *controller, char ret_why[ACT_DETAIL_SIZE]) {
    const struct order_page *page = controller->orders;
    if (controller->options.orders == NULL || (page != NULL && !page->orders.is_stopped)) {
        return false;
    }
    if (page == NULL) {
        snprintf(ret_why, ACT_DETAIL_SIZE, "whether acting is stopped was not read yet");
    } else {
        snprintf(ret_why, ACT_DETAIL_SIZE, "acting is stopped by %.40s: %.160s",
                 page->orders.stop.author.at, page->orders.stop.reason.at);
    }
    return true;
}
