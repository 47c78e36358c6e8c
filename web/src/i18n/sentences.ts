// SPDX-License-Identifier: Apache-2.0
// Sentences that nodes write in English, and the same in Korean. {#} is a figure, {*} any text,
// which is looked up itself; {1}, {2}… put them where the Korean sentence wants them.
const SENTENCES: readonly [english: string, korean: string][] = [
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
];

const FIGURE = '([-+]?[\\d.,]+(?:e[-+]?\\d+)?)';

function patternOf(english: string): RegExp {
  const escaped = english.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
  const groups = escaped.replace(/\\\{#\\\}/g, FIGURE).replace(/\\\{\\\*\\\}/g, '(.+)');
  return new RegExp(`^${groups}$`, 's');
}

let patterns: { pattern: RegExp; korean: string }[] | null = null;

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
  return null;
}
