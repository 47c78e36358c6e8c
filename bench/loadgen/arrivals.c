/* SPDX-License-Identifier: Apache-2.0 */
#include "arrivals.h"

#include <math.h>

void arrivals_init(struct arrivals *arrivals, const struct curve *curve, uint64_t seed) {
    *arrivals = (struct arrivals){.curve = curve, .factor = 1, .stretch = 1, .end_s = INFINITY};
    seeded_rng_init(&arrivals->rng, seed);
}

/* How far on a straight line that begins at `rate` and grows by `slope` the area `wanted` is
 * reached: rate * x + slope * x^2 / 2 = wanted, solved without cancellation. INFINITY when it never
 * is. */
static double along(double rate, double slope, double wanted) {
    double square = rate * rate + 2 * slope * wanted;
    if (square < 0) {
        return INFINITY;
    }
    double below = rate + sqrt(square);
    return below > 0 ? 2 * wanted / below : INFINITY;
}

double arrivals_next(struct arrivals *arrivals) {
    /* One more by a process of rate 1 is so much more area below the curve. */
    double wanted = -log(1 - rng_unit(&arrivals->rng.base)) /
                    (arrivals->factor * arrivals->stretch);
    double at = arrivals->at_s;
    while (at < arrivals->end_s) {
        struct piece piece = curve_piece(arrivals->curve, at);
        double step = along(piece.rate, piece.slope, wanted);
        if (at + step < piece.end_s) {
            at += step;
            break;
        }
        double width = piece.end_s - at; /* may be endless: then the rate is 0 for ever */
        wanted = fmax(0, wanted - (piece.rate + piece.slope * width / 2) * width);
        at = piece.end_s;
    }
    arrivals->at_s = at;
    return at < arrivals->end_s ? at * arrivals->stretch : INFINITY;
}
