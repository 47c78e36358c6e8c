// SPDX-License-Identifier: Apache-2.0
// Sentences that nodes write in English, and the same in Korean. {#} is a figure, {op} a
// comparison, {*} any text, which is looked up itself; {1}, {2}… put them where the Korean sentence
// wants them. The first that fits is taken. web/tests/logic.test.ts looks for sentences in the
// program's sources that are not here.
const SENTENCES: readonly [english: string, korean: string][] = [
  // why a rule asked
  ['{*}: {*} {#} {op} {#} for {#} s on {*}', '{1}: {2} {3} {4} {5}, {6}초 동안, 노드 {7}'],
  ['{*}: {*} {#} {op} {#} for {#} s', '{1}: {2} {3} {4} {5}, {6}초 동안'],
  ['{*}: {*} {#} {op} {#} on {*}', '{1}: {2} {3} {4} {5}, 노드 {6}'],
  ['{*}: {*} {#} {op} {#}', '{1}: {2} {3} {4} {5}'],
  // the scaler
  ['up: {*}, so {#} nodes become {#}', '확장: {1}. 노드 {2}개를 {3}개로 늘립니다'],
  ['down: {*}, so {#} nodes become {#}', '축소: {1}. 노드 {2}개를 {3}개로 줄입니다'],
  ['maximum: healthy nodes are {#}, more than {#}', '최대: 정상 노드 {1}개, {2}개를 넘음'],
  ['maximum: {*}, and {#} nodes are the most allowed', '최대: {1}. 노드 {2}개가 허용된 최대입니다'],
  ['minimum: healthy nodes are {#}, fewer than {#}', '최소: 정상 노드 {1}개, {2}개에 못 미침'],
  ['minimum: {*}, and {#} nodes are the fewest that will do', '최소: {1}. 노드 {2}개가 최소입니다'],
  ['cooldown: {*}, and the last step up has {#} s left', '대기: {1}. 지난 확장 후 {2}초 남음'],
  ['cooldown: {*}, and the last change has {#} s left', '대기: {1}. 지난 변경 후 {2}초 남음'],
  ['hold: {*}, and must stay so for {#} s more', '보류: {1}. {2}초 더 이어져야 합니다'],
  ['hold: {*}, and an alert rule that scales is firing', '보류: {1}. 확장 규칙이 발생 중입니다'],
  [
    'steady: average memory {#} % did not fall in {#} steps, more nodes do not help',
    '유지: 평균 메모리 {1} %, {2}번 늘려도 줄지 않음: 노드를 늘려도 소용없습니다',
  ],
  [
    'steady: the figures of {#} of {#} nodes ask for no change',
    '유지: 노드 {2}개 중 {1}개의 수치로는 바꿀 이유가 없습니다',
  ],
  [
    'steady: average CPU {#} % and memory {#} % are within the limits',
    '유지: 평균 CPU {1} %, 메모리 {2} %, 한도 안',
  ],
  ['missing: no healthy node gives its CPU or memory', '모름: 정상 노드의 CPU·메모리 수치 없음'],
  ['missing: the snapshot lists no nodes', '모름: 노드가 없습니다'],
  ['average CPU {#} % is above {#} %', '평균 CPU {1} %, {2} % 초과'],
  ['average memory {#} % is above {#} %', '평균 메모리 {1} %, {2} % 초과'],
  ['average CPU {#} % and memory {#} % are low', '평균 CPU {1} %, 메모리 {2} %로 낮음'],
  ['an alert rule asks for more nodes', '경고 규칙이 노드를 더 요청함'],
  // the balancer
  ['lowest CPU: {#} %', '가장 낮은 CPU: {1} %'],
  ['fewest connections: {#}', '가장 적은 연결: {1}개'],
  ['highest hit rate: {#}', '가장 높은 적중률: {1}'],
  ['least loaded by CPU, memory and connections', 'CPU, 메모리, 연결 부하가 가장 적음'],
  [
    'no node knows its hit rate: least loaded instead',
    '적중률을 아는 노드가 없어 부하가 가장 적은 노드',
  ],
  ['keeps the entries of this key', '이 키의 항목을 보관함'],
  ['No healthy nodes available', '정상 노드가 없습니다'],
  ['the controller has not looked yet', '컨트롤러가 아직 살펴보지 않았습니다'],
  // the life of a node
  ['its store reads and writes', '저장소를 읽고 쓸 수 있음'],
  ['its store fails: see /readyz', '저장소 실패: /readyz 참고'],
  ['it has not answered yet', '아직 응답하지 않음'],
  ['it answers in time', '제때 응답함'],
  ['it answers again, {#} of {#} times', '다시 응답함: {2}번 중 {1}번'],
  ['it registered anew', '새로 등록함'],
  ['it registered that it is about to stop', '곧 멈춘다고 등록함'],
  ['it finishes what it has and stops', '하던 일을 마치고 멈춤'],
  ['its registration ended and it does not answer', '등록이 끝났고 응답하지 않음'],
  ['it left', '떠남'],
  ['it was chosen to go: others take its load over', '축소 대상: 다른 노드가 부하를 넘겨받음'],
  ['slow: {*}', '느림: {1}'],
  ['missed: {*}', '응답 없음: {1}'],
  ['not ready: {*}', '준비 안 됨: {1}'],
  ['lies: {*}', '믿을 수 없음: {1}'],
  ['missed', '응답 없음'],
  ['it took {#} ms', '{1} ms 걸림'],
  ['it answers {#}', '응답 코드 {1}'],
  ['it says that it is {*}', '자신을 {1}(이)라고 함'],
  [
    'another run of it answers than the one that registered',
    '등록된 것과 다른 프로세스가 응답함',
  ],
  [
    "its answer is not sealed with the cluster's secret, or answers another question",
    '응답이 클러스터 비밀로 봉인되지 않았거나 다른 질문의 답임',
  ],
  [
    'it refuses our question: its cluster.secret is another, or its clock is off by more than ' +
      'ten minutes',
    '질문을 거부함: cluster.secret이 다르거나 시계가 10분 넘게 다름',
  ],
  // what the controller plans to do
  ['call a person', '사람을 부름'],
  ['change the number of nodes', '노드 수를 바꿈'],
  ['let the optimizer take few safe steps and measure', '최적화기가 안전한 단계를 거쳐 측정함'],
  ['empty every level of the cache', '캐시의 모든 계층을 비움'],
  ['let new processes take over, one node after the other', '새 프로세스가 노드 하나씩 넘겨받음'],
  ['refuse analytics for a while, check-ins never', '잠시 분석 요청을 거절함(체크인은 계속)'],
  ['hold all acting on every controller', '모든 컨트롤러의 조치를 멈춤'],
  ['let controllers act again', '컨트롤러가 다시 조치하게 함'],
  // why it was held, or left undone
  ['recovery.mode is advise', 'recovery.mode가 advise입니다'],
  [
    'the budget of this hour is used up: see recovery.budget',
    '이 시간의 조치 한도를 다 썼습니다: recovery.budget 참고',
  ],
  ['too many wait for an approval', '승인을 기다리는 조치가 너무 많습니다'],
  ['the journal could not be read yet', '조치 기록을 아직 읽지 못했습니다'],
  [
    'an earlier controller did it {#} s ago: its cooldown is not over',
    '이전 컨트롤러가 {1}초 전에 실행함: 대기 시간이 끝나지 않았습니다',
  ],
  [
    'nodes are being changed: one change at a time',
    '노드를 바꾸는 중입니다: 한 번에 하나만 바꿉니다',
  ],
  ['whether acting is stopped was not read yet', '조치 중지 여부를 아직 읽지 못했습니다'],
  ['acting is stopped by {*}: {*}', '{1}이(가) 조치를 중지함: {2}'],
  ['nobody approved it in time', '시한 안에 승인한 사람이 없습니다'],
  ['approved by {*}', '승인: {1}'],
  ['refused by {*}', '거부: {1}'],
  ['the lead was lost before it began', '시작하기 전에 컨트롤러의 주도권을 잃었습니다'],
  ['it took longer than recovery.limit', 'recovery.limit보다 오래 걸렸습니다'],
  [
    'its controller ended, or lost the lead, in the middle of it',
    '도중에 컨트롤러가 끝났거나 주도권을 잃었습니다',
  ],
  [
    'its controller ended, or lost the lead, before somebody approved it',
    '승인되기 전에 컨트롤러가 끝났거나 주도권을 잃었습니다',
  ],
  ['what the rule may do about it did not help', '규칙이 할 수 있는 조치로 나아지지 않았습니다'],
  // what cannot be done here
  [
    'a SQLite file is served by one node: move to PostgreSQL first',
    'SQLite 파일은 노드 하나만 서비스합니다: 먼저 PostgreSQL로 옮기십시오',
  ],
  [
    'a node starts no others: add one, or let a provider do it',
    '노드는 다른 노드를 시작하지 않습니다: 직접 추가하거나 provider에 맡기십시오',
  ],
  ['there is nothing to do', '할 일이 없습니다'],
  ['this node has no cache: cache.policy', '이 노드에는 캐시가 없습니다: cache.policy'],
  ['the last one has not ended yet', '지난 조치가 아직 끝나지 않았습니다'],
  [
    'no provider starts and stops nodes here: scaler.provider is none',
    '노드를 켜고 끄는 provider가 없습니다: scaler.provider가 none입니다',
  ],
  ['the number of nodes is being changed', '노드 수를 바꾸는 중입니다'],
  [
    'the last change failed a short while ago: the next one waits',
    '조금 전 변경이 실패해 다음 변경은 기다립니다',
  ],
  // restarts, node by node
  [
    '{*} cannot be taken over by a new process of itself',
    '{1}은(는) 새 프로세스가 넘겨받을 수 없습니다',
  ],
  ['{*} does not tell when it began', '{1}이(가) 시작 시각을 알려 주지 않습니다'],
  [
    '{*} began a short while ago: see recovery.restart_after',
    '{1}은(는) 조금 전에 시작했습니다: recovery.restart_after 참고',
  ],
  ['{*} was started anew already', '{1}은(는) 이미 다시 시작했습니다'],
  ['no node is there to be started anew', '다시 시작할 노드가 없습니다'],
  [
    '{*} is not healthy: no node goes while another is down',
    '{1}이(가) 정상이 아닙니다: 다른 노드가 내려가 있으면 아무 노드도 다시 시작하지 않습니다',
  ],
  ['no more was needed', '더는 필요 없었습니다'],
  ['{#} started anew: {*}', '{1}개 다시 시작: {2}'],
  ['{#} started anew', '{1}개 다시 시작'],
  [
    '{*} did not come back in time: see its log, and recovery.restart_within',
    '{1}이(가) 제때 돌아오지 않았습니다: 로그와 recovery.restart_within 참고',
  ],
  ['{*} was told', '{1}에 지시함'],
  ['{*} could not be told: {*}', '{1}에 지시하지 못함: {2}'],
  ['{*} is back', '{1}이(가) 돌아옴'],
  ['a new process of {*} serves', '{1}의 새 프로세스가 서비스합니다'],
  // what the provider did
  ['the scaler leaves it at {#} nodes', '스케일러가 노드 {1}개로 둡니다'],
  ['taken back while {#} nodes drained: {*}', '노드 {1}개를 비우는 중에 취소함: {2}'],
  [
    'the provider did not take it, asked {#} times: {*}',
    'provider가 받아들이지 않음, {1}번 요청: {2}',
  ],
  [
    'too many nodes serve, but {*} runs none that could go',
    '노드가 너무 많지만 {1}이(가) 줄일 수 있는 노드가 없습니다',
  ],
  [
    '{#} of {#} nodes did not serve within {#} s, and were taken back',
    '노드 {2}개 중 {1}개가 {3}초 안에 서비스하지 않아 되돌렸습니다',
  ],
  [
    '{#} of {#} nodes did not serve within {#} s, and could not be taken back',
    '노드 {2}개 중 {1}개가 {3}초 안에 서비스하지 않았고 되돌리지도 못했습니다',
  ],
  [
    '{#} of {#} nodes did not serve within {#} s',
    '노드 {2}개 중 {1}개가 {3}초 안에 서비스하지 않았습니다',
  ],
  [
    '{*} went from {#} to {#}; {#} nodes serve, after {#} s',
    '{1}: {2}개에서 {3}개로, {5}초 뒤 노드 {4}개가 서비스함',
  ],
  [
    '{#} nodes run, but {#} of {#} are healthy and take traffic',
    '노드 {1}개가 실행 중이지만 {3}개 중 {2}개만 정상이며 요청을 받습니다',
  ],
  ['{*} went from {#} to {#} after {#} s', '{1}: {4}초 뒤 {2}개에서 {3}개로'],
  ['{#} nodes still run, {#} are wanted', '노드 {1}개가 아직 실행 중, 목표는 {2}개'],
  // what the others did
  [
    'the optimizer did {#} steps, left out {#}, took back {#}; {#} failed',
    '최적화기: {1}단계 실행, {2}단계 건너뜀, {3}단계 되돌림, {4}단계 실패',
  ],
  ['No critical query changed.', '주요 쿼리에 변화가 없습니다.'],
  [
    '{*}: {#} entries of this node, {#} keys of Redis',
    '{1}: 이 노드의 항목 {2}개, Redis의 키 {3}개',
  ],
  ['dropped', '비움'],
  ['analytics are refused until {*}', '{1}까지 분석 요청을 거절합니다'],
  ['analytics are answered again', '분석 요청에 다시 응답합니다'],
  ['taken back', '되돌림'],
  ['could not be taken back: {*}', '되돌리지 못함: {1}'],
  ['{*} does not fire any more', '{1}이(가) 더는 발생하지 않습니다'],
  // of what a rule sees
  ['{*} a second', '초당 {1}'],
];

const FIGURE = '([-+]?[\\d.,]+(?:e[-+]?\\d+)?)';

function patternOf(english: string): RegExp {
  const escaped = english.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
  const groups = escaped
    .replace(/\\\{#\\\}/g, FIGURE)
    .replace(/\\\{op\\\}/g, '(>=|<=|==|!=|>|<)')
    .replace(/\\\{\\\*\\\}/g, '([^;]+)');
  return new RegExp(`^${groups}$`, 's');
}

let patterns: { pattern: RegExp; korean: string }[] | null = null;

// Several sentences, when there are words for all of them.
function koreanOfBoth(sentences: string): string | null {
  const end = sentences.lastIndexOf('; ');
  const first = end < 0 ? null : koreanOf(sentences.slice(0, end));
  const last = first === null ? null : koreanOf(sentences.slice(end + 2));
  return last === null ? null : `${first}; ${last}`;
}

// Null: there are no words for it.
export function koreanOf(sentence: string): string | null {
  patterns ??= SENTENCES.map(([english, korean]) => ({ pattern: patternOf(english), korean }));
  for (const { pattern, korean } of patterns) {
    const found = pattern.exec(sentence);
    if (found !== null) {
      return korean.replace(/\{(\d)\}/g, (_whole, place: string) => {
        const part = found[Number(place)] ?? '';
        return koreanOf(part) ?? part;
      });
    }
  }
  return koreanOfBoth(sentence);
}
