// SPDX-License-Identifier: Apache-2.0
import { lang, type Lang } from '../data/prefs';
import { useStore } from '../data/store';
import { en, type Key } from './en';
import { ko } from './ko';
import { koreanOf } from './sentences';

export type { Key } from './en';
export type Values = Record<string, string | number>;
export type Translate = (key: Key, values?: Values) => string;

const tables: Record<Lang, Record<Key, string>> = { en, ko };

export function translate(language: Lang, key: Key, values: Values = {}): string {
  return tables[language][key].replace(/\{(\w+)\}/g, (whole, name: string) =>
    name in values ? String(values[name]) : whole,
  );
}

// The word that belongs to what a node sent, or the word itself when no table has it.
export function translateWord(language: Lang, prefix: string, word: string): string {
  const key = `${prefix}.${word}`;
  return key in en ? translate(language, key as Key) : word;
}

export function useText(): {
  t: Translate;
  word: (prefix: string, word: string) => string;
  lang: Lang;
} {
  const language = useStore(lang);
  return {
    t: (key, values) => translate(language, key, values),
    word: (prefix, one) => translateWord(language, prefix, one),
    lang: language,
  };
}

// A sentence that a node wrote, in English: null when the language has no words for it.
export function translateSentence(language: Lang, sentence: string): string | null {
  return language === 'en' ? sentence : koreanOf(sentence);
}
