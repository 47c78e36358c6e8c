/* SPDX-License-Identifier: Apache-2.0 */
/* The OpenAPI document, made into an array at build time from openapi.json. */
#include "api/api.h"

extern const unsigned char openapi_document[];
extern const size_t openapi_document_len;

struct slice api_openapi(void) {
    return slice_from((const char *)openapi_document, openapi_document_len);
}
