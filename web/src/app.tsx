// SPDX-License-Identifier: Apache-2.0
// The frame around the pages: who is looked at, whether figures come, which page, language and
// theme.
import type { ComponentChildren } from 'preact';
import { useEffect, useState } from 'preact/hooks';

import { resumeActing, type AlertsDocument } from './data/alerts';
import { live, retryNow, startLive, stopLive, type Performance } from './data/live';
import { usePolled, type Polled } from './data/poll';
import { lang, setLang, setTheme, theme, type Lang, type Theme } from './data/prefs';
import { askWhoIAm, logOut, maySeeFigures, session, type Session } from './data/session';
import { useStore } from './data/store';
import { useText } from './i18n';
import { backoffMs } from './logic/backoff';
import { formatClock, formatDateTime, formatSpan, parseTime } from './logic/format';
import { ageMs, isStale } from './logic/freshness';
import { hashOf, PAGES, routeOf, type Route } from './logic/route';
import { AlertsPage } from './pages/alerts';
import { ApiPage } from './pages/api';
import { CachePage } from './pages/cache';
import { DatabasePage } from './pages/database';
import { EventPage } from './pages/event';
import { KpiPage } from './pages/kpi';
import { Login } from './pages/login';
import { NodesPage } from './pages/nodes';
import { SuggestionsPage } from './pages/suggestions';
import { OrderButton, OrderDialog } from './ui/order';
import { Note, ToneIcon } from './ui/parts';

const ALERTS_EVERY_MS = 3000;

function useRoute(): Route {
  const [route, setRoute] = useState(() => routeOf(location.hash));
  useEffect(() => {
    const turn = () => setRoute(routeOf(location.hash));
    addEventListener('hashchange', turn);
    return () => removeEventListener('hashchange', turn);
  }, []);
  return route;
}

// The time of this browser, each second.
function useNow(): number {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 1000);
    return () => clearInterval(timer);
  }, []);
  return now;
}

function LinkState() {
  const { t } = useText();
  const { link, lastMs } = useStore(live);
  const now = useNow();
  const old = link === 'live' && isStale(lastMs, now);
  const tone = link === 'lost' ? 'bad' : old ? 'warn' : link === 'live' ? 'good' : 'none';
  const text =
    link === 'connecting' || lastMs === null
      ? t('link.connecting')
      : link === 'lost' || old
        ? t('link.stale', { span: formatSpan((ageMs(lastMs, now) ?? 0) / 1000) })
        : t('link.live');
  return (
    <span class={`link ${tone}`} data-link={link}>
      <ToneIcon tone={tone} />
      {text}
    </span>
  );
}

function LostBanner() {
  const { t } = useText();
  const { link, lastMs, retryAtMs } = useStore(live);
  const now = useNow();
  if (link !== 'lost') {
    return null;
  }
  const wait = Math.max(0, Math.ceil(((retryAtMs ?? now) - now) / 1000));
  return (
    <div class="banner bad" role="alert">
      <ToneIcon tone="bad" />
      <span>
        {lastMs === null
          ? t('link.lostEmpty', { wait })
          : t('link.lost', { wait, clock: formatClock(lastMs) })}
      </span>
      <button type="button" onClick={retryNow}>
        {t('link.retry')}
      </button>
    </div>
  );
}

function ResumeButton() {
  const { t } = useText();
  return (
    <OrderButton text={t('acting.resume')}>
      {(onClose) => (
        <OrderDialog
          title={t('acting.resume')}
          what={t('acting.resume.what')}
          button={t('acting.resume')}
          send={(_form, key) => resumeActing(key)}
          onClose={onClose}
        />
      )}
    </OrderButton>
  );
}

// On every page: nothing repairs itself while this stands.
function ActingBanner({ alerts }: { alerts: AlertsDocument | null }) {
  const { t } = useText();
  const acting = alerts?.acting;
  if (acting === undefined || acting.state === 'on') {
    return null;
  }
  if (acting.state === 'unknown') {
    return (
      <div class="banner warn" role="status">
        <ToneIcon tone="warn" />
        <span>{t('acting.unknown')}</span>
      </div>
    );
  }
  const clock = formatDateTime(parseTime(acting.at));
  return (
    <div class="banner bad loud" role="alert">
      <ToneIcon tone="bad" />
      <span>
        <b>{t('acting.stopped')}</b> {t('acting.since', { clock, by: acting.by ?? '–' })}{' '}
        {acting.reason}
      </span>
      <ResumeButton />
    </div>
  );
}

// On every page, too: some of what pages ask for is refused.
function SheddingBanner({ alerts }: { alerts: AlertsDocument | null }) {
  const { t } = useText();
  const shedding = alerts?.shedding ?? null;
  if (shedding === null) {
    return null;
  }
  const { rule, by } = shedding;
  const clock = formatDateTime(parseTime(shedding.until));
  return (
    <div class="banner warn" role="status">
      <ToneIcon tone="warn" />
      <span>{t('acting.shedding', { clock, rule, by })}</span>
    </div>
  );
}

function Settings() {
  const { t } = useText();
  const language = useStore(lang);
  const chosen = useStore(theme);
  const who = useStore(session);
  return (
    <div class="settings">
      <select
        aria-label={t('app.language')}
        value={language}
        onChange={(event) => setLang(event.currentTarget.value as Lang)}
      >
        <option value="en" lang="en">
          English
        </option>
        <option value="ko" lang="ko">
          한국어
        </option>
      </select>
      <select
        aria-label={t('app.theme')}
        value={chosen}
        onChange={(event) => setTheme(event.currentTarget.value as Theme)}
      >
        {(['auto', 'light', 'dark'] as const).map((one) => (
          <option key={one} value={one}>
            {t(`theme.${one}`)}
          </option>
        ))}
      </select>
      {who && who.auth === 'required' && (
        <button type="button" class="plain" onClick={() => void logOut()}>
          {t('app.logout')}
        </button>
      )}
    </div>
  );
}

function Head({ children }: { children?: ComponentChildren }) {
  const { t } = useText();
  const { figures } = useStore(live);
  const node = figures?.nodes[0];
  return (
    <header class="top">
      <div class="topbar">
        <a class="brand" href="#/kpi">
          <i aria-hidden="true" />
          {t('app.title')}
        </a>
        {node && (
          <span class="node">
            <code>{node.id}</code> <span class="quiet">{node.version}</span>
          </span>
        )}
        {children}
        <Settings />
      </div>
    </header>
  );
}

function Firing({ count }: { count: number }) {
  const { t } = useText();
  return count === 0 ? null : (
    <span class="badge" role="img" aria-label={t('alerts.firing', { count })}>
      {count}
    </span>
  );
}

function Tabs({ route, alerts }: { route: Route; alerts: AlertsDocument | null }) {
  const { t } = useText();
  const loud = (alerts?.items ?? []).filter((one) => one.state === 'firing' && !one.silenced);
  return (
    <nav class="tabs" aria-label={t('app.nav')}>
      <ul>
        {PAGES.map((page) => (
          <li key={page}>
            <a
              href={hashOf({ page, event: null })}
              aria-current={page === route.page ? 'page' : undefined}
            >
              {t(`tab.${page}`)}
              {page === 'alerts' && <Firing count={loud.length} />}
            </a>
          </li>
        ))}
      </ul>
    </nav>
  );
}

interface ContentProps {
  route: Route;
  figures: Performance | null;
  alerts: Polled<AlertsDocument>;
}

function Content({ route, figures, alerts }: ContentProps) {
  const { t } = useText();
  const setEvent = (event: string) => {
    location.hash = hashOf({ page: 'event', event });
  };
  switch (route.page) {
    case 'kpi':
      return <KpiPage />;
    case 'event':
      return <EventPage code={route.event} setCode={setEvent} />;
    case 'alerts':
      return <AlertsPage alerts={alerts} />;
    case 'suggestions':
      return <SuggestionsPage />;
    default:
      break;
  }
  if (figures === null) {
    return (
      <>
        <h1>{t(`tab.${route.page}`)}</h1>
        <p class="quiet">{t('none.loading')}</p>
      </>
    );
  }
  switch (route.page) {
    case 'api':
      return <ApiPage figures={figures} />;
    case 'database':
      return <DatabasePage figures={figures} />;
    case 'cache':
      return <CachePage figures={figures} />;
    case 'nodes':
      return <NodesPage figures={figures} />;
  }
}

// A key that may not see figures is told so, on every page but that of the event.
function Forbidden({ who, page }: { who: Session; page: Route['page'] }) {
  const { t } = useText();
  return (
    <>
      <h1>{t(`tab.${page}`)}</h1>
      <Note>
        {who.event !== null
          ? t('none.forbiddenEvent', { event: who.event })
          : t('none.forbidden', { scope: who.scope })}
      </Note>
    </>
  );
}

function Board({ who }: { who: Session }) {
  const { t } = useText();
  const route = useRoute();
  const { figures } = useStore(live);
  const mayLook = maySeeFigures(who);
  const alerts = usePolled<AlertsDocument>(mayLook ? '/v1/alerts' : null, ALERTS_EVERY_MS);
  useEffect(() => {
    if (!mayLook) {
      return undefined;
    }
    startLive();
    return stopLive;
  }, [mayLook, who.key]);
  useEffect(() => {
    document.title = `${t(`tab.${route.page}`)} · turnout`;
  });
  return (
    <>
      <a
        class="skip"
        href="#content"
        onClick={(event) => {
          event.preventDefault();
          document.getElementById('content')?.focus();
        }}
      >
        {t('app.skip')}
      </a>
      <Head>{mayLook && <LinkState />}</Head>
      <Tabs route={route} alerts={alerts.data} />
      {mayLook && <LostBanner />}
      <ActingBanner alerts={alerts.data} />
      <SheddingBanner alerts={alerts.data} />
      <main id="content" tabIndex={-1} class={`page-${route.page}`}>
        {mayLook || route.page === 'event' ? (
          <Content route={route} figures={figures} alerts={alerts} />
        ) : (
          <Forbidden who={who} page={route.page} />
        )}
      </main>
    </>
  );
}

// Until it is known who looks, the node is asked again and again.
function useIdentity(): { who: Session | null | undefined; isUnreachable: boolean } {
  const who = useStore(session);
  const [isUnreachable, setUnreachable] = useState(false);
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    let tries = 0;
    const ask = async () => {
      if ((await askWhoIAm()) !== null) {
        setUnreachable(true);
        timer = setTimeout(() => void ask(), backoffMs(tries++));
      }
    };
    void ask();
    return () => clearTimeout(timer);
  }, []);
  return { who, isUnreachable };
}

export function App() {
  const { t } = useText();
  const { who, isUnreachable } = useIdentity();
  if (who === undefined) {
    return (
      <>
        <Head />
        <main id="content">
          {isUnreachable ? (
            <Note tone="bad">{t('login.unreachable')}</Note>
          ) : (
            <p class="quiet">{t('none.loading')}</p>
          )}
        </main>
      </>
    );
  }
  return who === null ? (
    <>
      <Head />
      <Login />
    </>
  ) : (
    <Board who={who} />
  );
}
