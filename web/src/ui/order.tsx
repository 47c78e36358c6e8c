// SPDX-License-Identifier: Apache-2.0
// A dialog that orders something. The session's cookie only reads, so a key is asked for; it is
// sent with that one request and not kept.
import type { ComponentChildren } from 'preact';
import { useEffect, useId, useRef, useState } from 'preact/hooks';

import type { Problem } from '../data/http';
import { session } from '../data/session';
import { useStore } from '../data/store';
import { useText, type Translate } from '../i18n';
import { Note } from './parts';

export function useMayOrder(): boolean {
  return useStore(session)?.scope === 'admin';
}

function sentence(t: Translate, problem: Problem): string {
  switch (problem.status) {
    case 0:
      return t('none.unreachable');
    case 401:
      return t('login.wrong');
    case 403:
      return t('order.scope');
    case 429:
      return t('login.limited');
    default:
      return t('login.failed', { detail: problem.detail || problem.code });
  }
}

export type Send = (form: FormData, key: string | undefined) => Promise<Problem | null>;

interface OrderProps {
  title: string;
  what: string;
  button: string;
  danger?: boolean;
  send: Send;
  onClose: () => void;
  children?: ComponentChildren; // fields, each with a name
}

export function OrderDialog({ title, what, button, danger, send, onClose, children }: OrderProps) {
  const { t } = useText();
  const asksKey = useStore(session)?.auth === 'required';
  const id = useId();
  const dialog = useRef<HTMLDialogElement>(null);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Problem | null>(null);
  useEffect(() => {
    const shown = dialog.current!;
    shown.showModal();
    return () => shown.close();
  }, []);

  const submit = async (event: Event) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget as HTMLFormElement);
    const key = String(form.get('key') ?? '').trim();
    setBusy(true);
    setProblem(null);
    const trouble = await send(form, asksKey ? key : undefined);
    if (trouble === null) {
      onClose();
    } else {
      setBusy(false);
      setProblem(trouble);
    }
  };

  return (
    <dialog ref={dialog} aria-labelledby={id} onClose={onClose}>
      <form class="order" onSubmit={(event) => void submit(event)}>
        <h2 id={id}>{title}</h2>
        <p class="quiet">{what}</p>
        {children}
        {asksKey && (
          <label>
            {t('order.key')}
            <input
              type="password"
              name="key"
              required
              autocomplete="off"
              spellcheck={false}
              maxLength={200}
            />
            <small class="quiet">{t('order.keyHint')}</small>
          </label>
        )}
        <div role="alert">{problem && <Note tone="bad">{sentence(t, problem)}</Note>}</div>
        <div class="buttons">
          <button type="button" class="plain" onClick={onClose}>
            {t('order.cancel')}
          </button>
          <button type="submit" class={danger ? 'primary danger' : 'primary'} disabled={busy}>
            {busy ? t('login.busy') : button}
          </button>
        </div>
      </form>
    </dialog>
  );
}

export function ReasonField() {
  const { t } = useText();
  return (
    <label>
      {t('order.reason')}
      <input type="text" name="reason" required maxLength={200} autocomplete="off" />
    </label>
  );
}

// A button that opens a dialog, where the login may give orders; else nothing.
export function OrderButton({
  text,
  label,
  danger,
  children,
}: {
  text: string;
  label?: string;
  danger?: boolean;
  children: (onClose: () => void) => ComponentChildren;
}) {
  const [isOpen, setOpen] = useState(false);
  if (!useMayOrder()) {
    return null;
  }
  return (
    <>
      <button
        type="button"
        class={danger ? 'plain danger' : 'plain'}
        aria-label={label}
        onClick={() => setOpen(true)}
      >
        {text}
      </button>
      {isOpen && children(() => setOpen(false))}
    </>
  );
}
