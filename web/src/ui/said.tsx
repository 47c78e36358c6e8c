// SPDX-License-Identifier: Apache-2.0
// What a node wrote for people, in the page's language where it has the words, else as it stands.
import { translateSentence, useText } from '../i18n';

export function Said({ text }: { text: string }) {
  const { lang } = useText();
  const own = translateSentence(lang, text);
  return own === null ? <span lang="en">{text}</span> : <>{own}</>;
}

// An address that a node gave: a link only where it is one of the web.
export function Address({ url }: { url: string }) {
  return /^https?:\/\//.test(url) ? (
    <a href={url} rel="noreferrer">
      {url}
    </a>
  ) : (
    <>{url}</>
  );
}
