// SPDX-License-Identifier: Apache-2.0
// One event stream for all pages of this browser: over HTTP/1.1 a browser makes six connections to
// a server, so a stream for each page would leave the seventh without an answer.
//
//   a page sends its key's id: it listens; null: it leaves
//   it gets the text of each event; null: the stream has ended, and it is not listening any more
import { SILENCE_MAX_MS, STREAM_EVENT, STREAM_PATH } from '../logic/stream';

declare const self: { onconnect: ((event: MessageEvent) => void) | null };

const FRESH_MS = 2000; // an event as old as that is news to a page that comes

const pages = new Set<MessagePort>();
let source: EventSource | null = null;
let who: string | null = null; // whose cookie opened it
let last: { text: string; ms: number } | null = null;
let watch: ReturnType<typeof setInterval> | undefined;

function close(): void {
  source?.close();
  source = null;
  last = null;
  clearInterval(watch);
}

function end(): void {
  const told = [...pages];
  pages.clear();
  close();
  told.forEach((page) => page.postMessage(null));
}

function listen(): void {
  const openedMs = Date.now();
  source = new EventSource(STREAM_PATH);
  source.onerror = end;
  source.addEventListener(STREAM_EVENT, (event) => {
    last = { text: (event as MessageEvent<string>).data, ms: Date.now() };
    pages.forEach((page) => page.postMessage(last!.text));
  });
  watch = setInterval(() => {
    if (Date.now() - (last?.ms ?? openedMs) > SILENCE_MAX_MS) {
      end();
    }
  }, 2000);
}

function join(page: MessagePort, key: string): void {
  if (source !== null && who !== key) {
    end(); // somebody else has logged in: all ask who they are
  }
  who = key;
  pages.add(page);
  if (source === null) {
    listen();
  } else if (last !== null && Date.now() - last.ms < FRESH_MS) {
    page.postMessage(last.text);
  }
}

function leave(page: MessagePort): void {
  pages.delete(page);
  if (pages.size === 0) {
    close();
  }
}

self.onconnect = (event) => {
  const page = event.ports[0]!;
  page.onmessage = ({ data }: MessageEvent<string | null>) => {
    if (data === null) {
      leave(page);
    } else {
      join(page, data);
    }
  };
};
