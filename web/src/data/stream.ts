// SPDX-License-Identifier: Apache-2.0
// The stream of figures: shared with the other pages of this browser (stream_worker.ts), or one's
// own where the browser cannot share.
import { STREAM_EVENT, STREAM_PATH } from '../logic/stream';

export interface Stream {
  close(): void;
}

export interface Listener {
  figures: (text: string) => void;
  broken: () => void; // it has ended; nothing comes any more
}

function openOwn(listener: Listener): Stream {
  const source = new EventSource(STREAM_PATH);
  source.addEventListener(STREAM_EVENT, (event) =>
    listener.figures((event as MessageEvent<string>).data),
  );
  source.onerror = () => listener.broken();
  return source;
}

function openShared(key: string, listener: Listener): Stream {
  const worker = new SharedWorker(new URL('./stream_worker.ts', import.meta.url));
  const { port } = worker;
  let own: Stream | null = null;
  let isClosed = false;
  worker.onerror = () => {
    if (!isClosed && own === null) {
      own = openOwn(listener);
    }
  };
  port.onmessage = ({ data }: MessageEvent<string | null>) => {
    if (data === null) {
      listener.broken();
    } else {
      listener.figures(data);
    }
  };
  port.postMessage(key);
  return {
    close() {
      isClosed = true;
      port.postMessage(null);
      port.close();
      own?.close();
    },
  };
}

// `key` is the id of the key whose session listens.
export function openStream(key: string, listener: Listener): Stream {
  return typeof SharedWorker === 'undefined' ? openOwn(listener) : openShared(key, listener);
}
