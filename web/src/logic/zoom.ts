// SPDX-License-Identifier: Apache-2.0
// What a key does to a chart: the moment that is looked at and the span that is shown.
export interface Span {
  min: number; // seconds since 1970
  max: number;
}

export interface Seen {
  at: number | null;
  view: Span; // what is shown
  whole: Span; // what there is
  stepS: number;
}

export interface Next {
  at: number | null;
  zoom: Span | null; // null: the whole
}

const FASTER = 10;
const STEPS_MIN = 8; // the closest zoom

function clamp(value: number, span: Span): number {
  return Math.min(span.max, Math.max(span.min, value));
}

function isWhole(view: Span, whole: Span): boolean {
  return view.min === whole.min && view.max === whole.max;
}

function scaled(seen: Seen, factor: number): Span | null {
  const length = Math.max((seen.view.max - seen.view.min) * factor, STEPS_MIN * seen.stepS);
  if (length >= seen.whole.max - seen.whole.min) {
    return null;
  }
  const middle = seen.at ?? (seen.view.min + seen.view.max) / 2;
  const min = clamp(middle - length / 2, { min: seen.whole.min, max: seen.whole.max - length });
  return { min, max: min + length };
}

// Null: the key is not one of these.
export function keyboardView(key: string, seen: Seen): Next | null {
  const zoom = isWhole(seen.view, seen.whole) ? null : seen.view;
  const move = (steps: number): Next => ({
    at: clamp((seen.at ?? seen.view.max) + steps * seen.stepS, seen.view),
    zoom,
  });
  switch (key) {
    case 'ArrowLeft':
      return move(-1);
    case 'ArrowRight':
      return move(1);
    case 'PageUp':
      return move(-FASTER);
    case 'PageDown':
      return move(FASTER);
    case 'Home':
      return { at: seen.view.min, zoom };
    case 'End':
      return { at: seen.view.max, zoom };
    case '+':
    case '=':
      return { at: seen.at, zoom: scaled(seen, 0.5) };
    case '-':
      return { at: seen.at, zoom: scaled(seen, 2) };
    case 'Escape':
      return { at: null, zoom: null };
    default:
      return null;
  }
}
