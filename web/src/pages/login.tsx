// SPDX-License-Identifier: Apache-2.0
// A key is shown once; the node answers with a cookie that scripts cannot read.
import { useEffect, useRef, useState } from 'preact/hooks';

import type { Problem } from '../data/http';
import { logIn, sessionEnded } from '../data/session';
import { useStore } from '../data/store';
import { useText, type Translate } from '../i18n';
import { Note } from '../ui/parts';

function sentence(t: Translate, problem: Problem): string {
  switch (problem.status) {
    case 0:
      return t('login.unreachable');
    case 401:
      return t('login.wrong');
    case 429:
      return t('login.limited');
    default:
      return t('login.failed', { detail: problem.detail || problem.code });
  }
}

export function Login() {
  const { t } = useText();
  const ended = useStore(sessionEnded);
  const field = useRef<HTMLInputElement>(null);
  const [busy, setBusy] = useState(false);
  const [wrong, setWrong] = useState<'empty' | Problem | null>(null);
  useEffect(() => field.current?.focus(), []);

  const submit = async (event: Event) => {
    event.preventDefault();
    const key = field.current!.value.trim();
    if (key === '') {
      setWrong('empty');
      return;
    }
    setBusy(true);
    setWrong(null);
    const problem = await logIn(key);
    if (problem !== null) {
      setBusy(false);
      setWrong(problem);
      field.current?.select();
    }
  };

  return (
    <main id="content" class="login">
      <form class="card" onSubmit={(event) => void submit(event)}>
        <h1>{t('login.title')}</h1>
        {ended && wrong === null && <Note tone="warn">{t('login.ended')}</Note>}
        <label for="key">{t('login.key')}</label>
        <input
          id="key"
          ref={field}
          type="password"
          name="key"
          autocomplete="off"
          spellcheck={false}
          maxLength={200}
          aria-describedby="key-hint"
          aria-invalid={wrong !== null}
        />
        <p id="key-hint" class="quiet">
          {t('login.hint')} <code>turnout key create --name NAME --scope analyst</code>
        </p>
        <div role="alert">
          {wrong !== null && (
            <Note tone="bad">{wrong === 'empty' ? t('login.empty') : sentence(t, wrong)}</Note>
          )}
        </div>
        <button type="submit" class="primary" disabled={busy}>
          {busy ? t('login.busy') : t('login.button')}
        </button>
        <p class="quiet small">{t('login.kept')}</p>
      </form>
    </main>
  );
}
