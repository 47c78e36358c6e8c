/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The dashboard's files as the program carries them: made by tools/embed-site from web/dist.
 * Constant; thread: any.
 */
#ifndef TURNOUT_API_SITE_PRIV_H
#define TURNOUT_API_SITE_PRIV_H

#include <stddef.h>

struct site_file {
    const char *path; /* below the site's root: "index.html", "assets/index-C0FFEE.js" */
    const char *type;
    const char *hash; /* of its bytes: an ETag's text */
    const unsigned char *bytes;
    size_t len;
    const unsigned char *gzip; /* NULL: compressing it gains nothing */
    size_t gzip_len;
};
extern const struct site_file site_files[];
extern const size_t site_files_len;

#endif
