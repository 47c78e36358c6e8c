// SPDX-License-Identifier: Apache-2.0
// Who looks at this page.
import { send, whenUnauthorized, type Problem } from './http';
import { Store } from './store';

export interface Session {
  auth: 'required' | 'off';
  key: string | null;
  scope: 'scanner' | 'analyst' | 'metrics' | 'admin';
  event: string | null;
  ends_at: string | null;
}

// undefined: not asked yet; null: nobody is logged in.
export const session = new Store<Session | null | undefined>(undefined);
export const sessionEnded = new Store(false); // it was there before: say so at the login

whenUnauthorized(() => {
  sessionEnded.set(sessionEnded.value || Boolean(session.value));
  session.set(null);
});

// Null when the answer is known; else what is in the way (the node cannot be reached).
export async function askWhoIAm(): Promise<Problem | null> {
  const answer = await send<Session>('GET', '/v1/session');
  if (answer.ok) {
    session.set(answer.data);
  } else if (answer.problem.status === 401) {
    sessionEnded.set(sessionEnded.value || Boolean(session.value));
    session.set(null);
  } else {
    return answer.problem;
  }
  return null;
}

export async function logIn(key: string): Promise<Problem | null> {
  const answer = await send<Session>('POST', '/v1/session', { key });
  if (!answer.ok) {
    return answer.problem;
  }
  sessionEnded.set(false);
  session.set(answer.data);
  return null;
}

export async function logOut(): Promise<Problem | null> {
  const answer = await send<null>('DELETE', '/v1/session');
  if (!answer.ok) {
    return answer.problem;
  }
  sessionEnded.set(false);
  session.set(null);
  return null;
}

export function maySeeFigures(who: Session): boolean {
  return who.event === null && who.scope !== 'scanner';
}
