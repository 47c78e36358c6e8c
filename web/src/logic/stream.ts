// SPDX-License-Identifier: Apache-2.0
// What the page and its worker agree on about the stream of figures.
export const STREAM_PATH = '/v1/performance/stream';
export const STREAM_EVENT = 'performance';
export const SILENCE_MAX_MS = 20000; // the server says something at least every 15 s
