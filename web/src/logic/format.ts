// SPDX-License-Identifier: Apache-2.0
// Figures as people read them. What is not known is a dash, never 0.
export const UNKNOWN = '–';

export type Figure = number | null | undefined;
export type Unit =
  'count' | 'ms' | 'us' | 'percent' | 'ratio' | 'per_second' | 'bytes' | 'connections' | 'seconds';

function isKnown(value: Figure): value is number {
  return typeof value === 'number' && Number.isFinite(value);
}

function grouped(value: number, decimals: number): string {
  return value.toLocaleString('en-US', {
    minimumFractionDigits: decimals,
    maximumFractionDigits: decimals,
  });
}

// Three digits that mean something: 0.45, 12.3, 187.
function threeDigits(value: number): string {
  const size = Math.abs(value);
  return grouped(value, size === 0 || size >= 99.95 ? 0 : size >= 9.995 ? 1 : 2);
}

export function formatCount(value: Figure): string {
  return isKnown(value) ? grouped(value, 0) : UNKNOWN;
}

export function formatMs(value: Figure): string {
  if (!isKnown(value)) {
    return UNKNOWN;
  }
  return Math.abs(value) >= 9999.5 ? `${threeDigits(value / 1000)} s` : `${threeDigits(value)} ms`;
}

export function formatUs(value: Figure): string {
  return isKnown(value) && Math.abs(value) < 999.5
    ? `${threeDigits(value)} µs`
    : formatMs(isKnown(value) ? value / 1000 : value);
}

// A difference: its sign always shows.
export function formatAhead(seconds: Figure): string {
  return isKnown(seconds)
    ? `${seconds < 0 ? '−' : '+'}${formatMs(Math.abs(seconds) * 1000)}`
    : UNKNOWN;
}

export function formatPercent(value: Figure): string {
  return isKnown(value) ? `${grouped(value, 1)} %` : UNKNOWN;
}

export function formatRatio(value: Figure): string {
  return formatPercent(isKnown(value) ? value * 100 : value);
}

export function formatRate(value: Figure): string {
  return isKnown(value) ? `${threeDigits(value)} /s` : UNKNOWN;
}

const BYTE_UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];

export function formatBytes(value: Figure): string {
  if (!isKnown(value)) {
    return UNKNOWN;
  }
  let size = value;
  let unit = 0;
  while (Math.abs(size) >= 1024 && unit < BYTE_UNITS.length - 1) {
    size /= 1024;
    unit++;
  }
  return `${unit === 0 ? grouped(size, 0) : threeDigits(size)} ${BYTE_UNITS[unit]}`;
}

export function formatSpan(seconds: Figure): string {
  if (!isKnown(seconds)) {
    return UNKNOWN;
  }
  const whole = Math.max(0, Math.floor(seconds));
  const [d, h, m, s] = [
    Math.floor(whole / 86400),
    Math.floor(whole / 3600) % 24,
    Math.floor(whole / 60) % 60,
    whole % 60,
  ];
  if (d > 0) {
    return `${d} d ${h} h`;
  }
  if (h > 0) {
    return `${h} h ${m} min`;
  }
  return m > 0 ? `${m} min ${s} s` : `${s} s`;
}

export function formatFigure(value: Figure, unit: Unit): string {
  switch (unit) {
    case 'count':
    case 'connections':
      return formatCount(value);
    case 'ms':
      return formatMs(value);
    case 'us':
      return formatUs(value);
    case 'percent':
      return formatPercent(value);
    case 'ratio':
      return formatRatio(value);
    case 'per_second':
      return formatRate(value);
    case 'bytes':
      return formatBytes(value);
    case 'seconds':
      return formatSpan(value);
  }
}

// For axes and goals: without decimals that say nothing.
export function formatRound(value: Figure, unit: Unit): string {
  return formatFigure(value, unit)
    .replace(/(\.\d*?)0+(?=\s|$)/, '$1')
    .replace(/\.(?=\s|$)/, '');
}

function two(value: number): string {
  return String(value).padStart(2, '0');
}

// Local time of day, 24 hours.
export function formatClock(ms: Figure): string {
  if (!isKnown(ms)) {
    return UNKNOWN;
  }
  const time = new Date(ms);
  return `${two(time.getHours())}:${two(time.getMinutes())}:${two(time.getSeconds())}`;
}

export function formatDateTime(ms: Figure): string {
  if (!isKnown(ms)) {
    return UNKNOWN;
  }
  const time = new Date(ms);
  const day = `${time.getFullYear()}-${two(time.getMonth() + 1)}-${two(time.getDate())}`;
  return `${day} ${formatClock(ms)}`;
}

export function parseTime(text: unknown): number | null {
  const ms = typeof text === 'string' ? Date.parse(text) : NaN;
  return Number.isFinite(ms) ? ms : null;
}
