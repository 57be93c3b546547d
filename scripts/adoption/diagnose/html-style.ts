/** For paper and dark, for a wide screen and a phone. */
export const style = `
:root {
  --paper: #fbfaf7; --ink: #1d1d1b; --soft: #6b6a64; --line: #e2e0d8; --should: #d5d2c6;
  --says: #3f6b5c; --off: #b4472e; --second: #3b63a8;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #161715; --ink: #e9e7e0; --soft: #9a988f; --line: #2e2f2b; --should: #45463f;
    --says: #7fb39f; --off: #ec8a6f; --second: #8fb0ea;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
main { max-width: 54rem; margin: 0 auto; padding: 3rem 1.25rem 2rem; }
h1 { font-size: clamp(1.7rem, 5vw, 2.6rem); line-height: 1.15; letter-spacing: -.02em;
  font-weight: 650; margin: 0 0 .75rem; text-wrap: balance; }
h2 { font-size: 1.05rem; font-weight: 600; margin: 0 0 .9rem; }
h3 { font-size: 1rem; font-weight: 600; margin: 0 0 .6rem; overflow-wrap: anywhere; }
p { margin: 0 0 .5rem; max-width: 42rem; }
small { font-size: .85em; font-weight: 400; color: var(--soft); white-space: nowrap; }
.eyebrow, .note, footer { color: var(--soft); font-size: .9rem; overflow-wrap: anywhere; }
.eyebrow { margin-bottom: .4rem; }
section { margin-top: 3rem; }
footer { margin-top: 4rem; padding-top: 1rem; border-top: 1px solid var(--line); }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th { font-weight: 400; color: var(--soft); font-size: .85rem; text-align: left; }
th, td { padding: .45rem .9rem .45rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
th:last-child, td:last-child { padding-right: 0; }
.n { text-align: right; white-space: nowrap; }
.off { color: var(--off); font-weight: 600; }
.key { display: inline-block; width: 1.4rem; height: .45rem; border-radius: 2px; vertical-align: middle; }
.key.says { background: var(--says); }
.key.should { background: var(--should); }
.key.second { background: var(--second); }
.key.gap { background: var(--off); }
.legend { display: inline-block; margin-right: 1.2rem; }
ul { list-style: none; margin: 0; padding: 0; }
.accounts > li { padding: 1.2rem 0; border-top: 1px solid var(--line); }
dl { display: grid; grid-template-columns: minmax(8rem, 14rem) 1fr; gap: .35rem 1rem; margin: 0 0 .7rem; }
dt { color: var(--soft); font-size: .9rem; overflow-wrap: anywhere; }
dd { margin: 0; display: grid; grid-template-columns: 1fr 11rem; gap: 1rem; align-items: center; }
.figure { font-variant-numeric: tabular-nums; font-size: .9rem; text-align: right; }
.bars { position: relative; height: .8rem; }
.bars i { position: absolute; border-radius: 2px; }
.bars .should { top: 0; bottom: 0; background: var(--should); }
.bars .says { top: .25rem; bottom: .25rem; background: var(--says); }
.bars .differs { background: var(--off); }
.reasons { font-size: .9rem; }
.reasons li { display: inline-block; margin-right: 1.2rem; }
.drift { display: grid; grid-template-columns: auto 1fr; gap: 0 .7rem; font-size: .85rem;
  color: var(--soft); font-variant-numeric: tabular-nums; }
.scale { display: flex; flex-direction: column; justify-content: space-between; text-align: right; }
.days { grid-column: 2; display: flex; justify-content: space-between; padding-top: .3rem; }
svg { display: block; width: 100%; height: 15rem; overflow: visible; }
svg polyline { fill: none; stroke-width: 2; stroke-linejoin: round; vector-effect: non-scaling-stroke; }
svg .gap { stroke: var(--off); } svg .second { stroke: var(--second); }
svg line { stroke: var(--line); stroke-width: 1; vector-effect: non-scaling-stroke; }
@media (max-width: 40rem) {
  main { padding-top: 1.75rem; }
  table { font-size: .85rem; }
  th, td { padding-right: .6rem; }
  dl { grid-template-columns: 1fr; gap: .1rem; }
  dd { grid-template-columns: 1fr; gap: .15rem; margin-bottom: .5rem; }
  .figure { text-align: left; }
  .reasons li { display: block; }
}
`;
