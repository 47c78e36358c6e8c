// SPDX-License-Identifier: Apache-2.0
import { render } from 'preact';

import { App } from './app';
import { seconds } from './data/live';
import './style.css';

render(<App />, document.getElementById('app')!);

// How many seconds the page keeps: for whoever wants to see that they are bounded.
declare global {
  interface Window {
    turnoutRows: () => number;
  }
}
window.turnoutRows = () => seconds.length;
