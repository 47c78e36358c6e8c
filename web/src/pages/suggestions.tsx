// SPDX-License-Identifier: Apache-2.0
// What an operator would do now.
import { usePolled } from '../data/poll';
import { useText } from '../i18n';
import { formatFigure } from '../logic/format';
import { severityRank } from '../logic/status';
import { Chip, Loaded, Note, PageHead, type Tone } from '../ui/parts';

interface Suggestion {
  type: string;
  priority: string;
  message: string;
  evidence: Record<string, number | string | null>;
  actions: string[];
  expected_impact: string;
}

const TONES: Record<string, Tone> = { high: 'bad', medium: 'warn', low: 'none' };

function evidenceText(name: string, value: number | string | null): string {
  if (typeof value !== 'number') {
    return value ?? '–';
  }
  return name.endsWith('_ms')
    ? formatFigure(value, 'ms')
    : name.endsWith('percent')
      ? formatFigure(value, 'percent')
      : value.toLocaleString('en-US');
}

function One({ suggestion }: { suggestion: Suggestion }) {
  const { t, word } = useText();
  const tone = TONES[suggestion.priority] ?? 'none';
  return (
    <article class={`card suggestion ${tone}`}>
      <header class="card-head">
        <Chip tone={tone}>{word('priority', suggestion.priority)}</Chip>
        <code class="quiet">{suggestion.type}</code>
      </header>
      <h2 class="message">{suggestion.message}</h2>
      <div class="columns">
        <div>
          <h3>{t('sug.actions')}</h3>
          <ol>
            {suggestion.actions.map((action) => (
              <li key={action}>{action}</li>
            ))}
          </ol>
          <h3>{t('sug.impact')}</h3>
          <p>{suggestion.expected_impact}</p>
        </div>
        <div>
          <h3>{t('sug.evidence')}</h3>
          <dl class="facts">
            {Object.entries(suggestion.evidence).map(([name, value]) => (
              <div key={name}>
                <dt>
                  <code>{name}</code>
                </dt>
                <dd>{evidenceText(name, value)}</dd>
              </div>
            ))}
          </dl>
        </div>
      </div>
    </article>
  );
}

export function SuggestionsPage() {
  const { t, lang } = useText();
  const path = `/v1/performance/suggestions?lang=${lang}`;
  const polled = usePolled<{ items: Suggestion[] }>(path, 5000);
  return (
    <>
      <PageHead title={t('tab.suggestions')} what={t('sug.what')} />
      <Loaded from={polled} path={path}>
        {(data) =>
          data.items.length === 0 ? (
            <Note tone="good">{t('sug.none')}</Note>
          ) : (
            <div class="stack">
              {[...data.items]
                .sort((a, b) => severityRank(a.priority) - severityRank(b.priority))
                .map((one) => (
                  <One key={one.type} suggestion={one} />
                ))}
            </div>
          )
        }
      </Loaded>
    </>
  );
}
