/* SPDX-License-Identifier: Apache-2.0 */
/* All but ASCII goes in base64, so that no line is too long and no server has to be asked whether
 * it takes eight bits. */
#include "act/mail.h"

#include "act/web.h"
#include "act/web_priv.h"
#include "base/assert.h"

#include <curl/curl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    LINE_BYTES = 57,    /* of text in a line of 76 characters */
    WORD_BYTES = 39,    /* of a subject in an encoded word: 64 characters, of at most 75 */
    ADDRESS_MAX = 256,
};

/* ---- the message ---- */

static void add_base64(struct buf *to, struct slice bytes) {
    unsigned char text[4 * ((LINE_BYTES + 2) / 3) + 1];
    ASSERT(bytes.len <= LINE_BYTES);
    int len = EVP_EncodeBlock(text, (const unsigned char *)bytes.at, (int)bytes.len);
    buf_add(to, slice_from((const char *)text, (size_t)len));
}

/* At most `most` bytes from the start, not cut within a character. */
static size_t whole_characters(struct slice text, size_t most) {
    size_t len = text.len < most ? text.len : most;
    while (len > 0 && len < text.len && ((unsigned char)text.at[len] & 0xC0) == 0x80) {
        len--;
    }
    return len;
}

/* Encoded words (RFC 2047), one a line. */
static void add_subject(struct buf *to, struct slice subject) {
    buf_add_text(to, "Subject:");
    struct slice rest = subject;
    while (rest.len > 0) {
        size_t len = whole_characters(rest, WORD_BYTES);
        buf_add_text(to, rest.at == subject.at ? " =?UTF-8?B?" : "\r\n =?UTF-8?B?");
        add_base64(to, slice_from(rest.at, len));
        buf_add_text(to, "?=");
        rest = slice_skip(rest, len);
    }
    buf_add_text(to, "\r\n");
}

/* "Tue, 24 Nov 2026 18:23:24 +0000" */
static void add_date(struct buf *to, int64_t ms) {
    static const char *const days[] = {"Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"};
    static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    int64_t day = ms / 86400000, second = ms / 1000 % 86400;
    struct civil_day civil = civil_from_days(day);
    buf_printf(to, "Date: %s, %d %s %lld %02d:%02d:%02d +0000\r\n", days[day % 7], civil.day,
               months[civil.month - 1], (long long)civil.year, (int)(second / 3600),
               (int)(second / 60 % 60), (int)(second % 60));
}

static const char *host_of(const char *address) {
    const char *at = strrchr(address, '@');
    return at == NULL ? "localhost" : at + 1;
}

void mail_write(struct buf *to, const struct mail *mail) {
    buf_printf(to, "From: <%s>\r\nTo: ", mail->from);
    struct slice rest = slice_of(mail->to), word;
    for (int i = 0; slice_next(&rest, ',', &word); i++) {
        word = slice_trim(word);
        buf_printf(to, "%s<%.*s>", i == 0 ? "" : ",\r\n ", SLICE_ARG(word));
    }
    buf_add_text(to, "\r\n");
    add_subject(to, mail->subject);
    add_date(to, mail->at_ms);
    buf_printf(to, "Message-ID: <%.*s@%s>\r\n", SLICE_ARG(mail->id), host_of(mail->from));
    buf_add_text(to, "Auto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n"
                     "Content-Type: text/plain; charset=utf-8\r\n"
                     "Content-Transfer-Encoding: base64\r\n\r\n");
    for (struct slice text = mail->text; text.len > 0;) {
        size_t len = text.len < LINE_BYTES ? text.len : LINE_BYTES;
        add_base64(to, slice_from(text.at, len));
        buf_add_text(to, "\r\n");
        text = slice_skip(text, len);
    }
}

/* ---- sending ---- */

/* curl's: hands out the next piece. */
static size_t give_piece(char *piece, size_t size, size_t count, void *data) {
    struct slice *rest = data;
    size_t len = rest->len < size * count ? rest->len : size * count;
    if (len > 0) {
        memcpy(piece, rest->at, len);
    }
    *rest = slice_skip(*rest, len);
    return len;
}

static bool add_recipients(struct curl_slist **list, const char *to) {
    struct slice rest = slice_of(to), word;
    while (slice_next(&rest, ',', &word)) {
        char address[ADDRESS_MAX];
        word = slice_trim(word);
        struct curl_slist *longer = !slice_to_cstr(word, address, sizeof address)
                                        ? NULL
                                        : curl_slist_append(*list, address);
        if (longer == NULL) {
            return false;
        }
        *list = longer;
    }
    return true;
}

static void set_up(CURL *curl, const struct mail_options *options, const struct mail *mail,
                   struct slice *rest) {
    curl_easy_setopt(curl, CURLOPT_URL, options->url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "smtp,smtps");
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)options->timeout_ms);
    curl_easy_setopt(curl, CURLOPT_USE_SSL,
                     (long)(options->needs_tls ? CURLUSESSL_ALL : CURLUSESSL_NONE));
    if (options->ca_file != NULL) {
        curl_easy_setopt(curl, CURLOPT_CAINFO, options->ca_file);
    }
    if (options->user != NULL) {
        curl_easy_setopt(curl, CURLOPT_USERNAME, options->user);
        curl_easy_setopt(curl, CURLOPT_PASSWORD, options->password);
    }
    curl_easy_setopt(curl, CURLOPT_MAIL_FROM, mail->from);
    curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(curl, CURLOPT_READFUNCTION, give_piece);
    curl_easy_setopt(curl, CURLOPT_READDATA, rest);
    curl_easy_setopt(curl, CURLOPT_INFILESIZE_LARGE, (curl_off_t)rest->len);
    web_watch_cancel(curl, options->cancel);
}

MAY_BLOCK static enum err_e perform(CURL *curl, int *ret_status, struct problem *ret_problem) {
    long status = 0;
    CURLcode code = curl_easy_perform(curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    *ret_status = (int)status;
    if (code == CURLE_OK) {
        return ERR_OK;
    }
    enum err_e err = code == CURLE_OPERATION_TIMEDOUT ? ERR_DEADLINE : ERR_UNAVAILABLE;
    return problem_set(ret_problem, err, "", "%.100s (last reply %ld)", curl_easy_strerror(code),
                       status);
}

MAY_BLOCK enum err_e mail_send(const struct mail_options *options, const struct mail *mail,
                               int *ret_status, struct problem *ret_problem) {
    struct buf message;
    struct curl_slist *recipients = NULL;
    web_init();
    *ret_status = 0;
    buf_init(&message, MAIL_MAX);
    mail_write(&message, mail);
    CURL *curl = curl_easy_init();
    enum err_e err = ERR_NO_MEMORY;
    struct slice rest = buf_slice(&message);
    if (curl != NULL && !message.failed && add_recipients(&recipients, mail->to)) {
        set_up(curl, options, mail, &rest);
        curl_easy_setopt(curl, CURLOPT_MAIL_RCPT, recipients);
        err = perform(curl, ret_status, ret_problem);
    } else {
        problem_set(ret_problem, err, "", "the message takes too much memory");
    }
    curl_slist_free_all(recipients);
    curl_easy_cleanup(curl);
    buf_fini(&message);
    return err;
}
