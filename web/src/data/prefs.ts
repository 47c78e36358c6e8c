// SPDX-License-Identifier: Apache-2.0
// What a person chose: language and theme, kept in this browser. Nothing secret is stored.
import { Store } from './store';

export type Lang = 'en' | 'ko';
export type Theme = 'auto' | 'light' | 'dark';

function read(name: string): string | null {
  try {
    return localStorage.getItem(`turnout.${name}`);
  } catch {
    return null; // storage can be forbidden: the page works without
  }
}

function write(name: string, value: string): void {
  try {
    localStorage.setItem(`turnout.${name}`, value);
  } catch {
    // as above
  }
}

export function chooseLang(stored: string | null, wanted: readonly string[]): Lang {
  if (stored === 'en' || stored === 'ko') {
    return stored;
  }
  const known = wanted.find((lang) => /^(en|ko)\b/i.test(lang));
  return known !== undefined && /^ko/i.test(known) ? 'ko' : 'en';
}

export function chooseTheme(stored: string | null): Theme {
  return stored === 'light' || stored === 'dark' ? stored : 'auto';
}

const inBrowser = typeof document !== 'undefined';
export const lang = new Store<Lang>(
  inBrowser ? chooseLang(read('lang'), navigator.languages) : 'en',
);
export const theme = new Store<Theme>(inBrowser ? chooseTheme(read('theme')) : 'auto');

const darkQuery = inBrowser ? matchMedia('(prefers-color-scheme: dark)') : null;
// Which of the two is shown now.
export const shade = new Store<'light' | 'dark'>('light');

function apply(): void {
  const isDark = theme.value === 'dark' || (theme.value === 'auto' && darkQuery!.matches);
  document.documentElement.dataset.theme = isDark ? 'dark' : 'light';
  document.documentElement.lang = lang.value;
  if (shade.value !== (isDark ? 'dark' : 'light')) {
    shade.set(isDark ? 'dark' : 'light');
  }
}

if (inBrowser) {
  apply();
  darkQuery!.addEventListener('change', apply);
}

export function setLang(value: Lang): void {
  write('lang', value);
  lang.set(value);
  apply();
}

export function setTheme(value: Theme): void {
  write('theme', value);
  theme.set(value);
  apply();
}
