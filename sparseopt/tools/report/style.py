"""The look of the page: paper and ink by day and by night, wide and narrow."""

STYLE = """
:root { color-scheme: light dark; --ink: #1d1d1b; --soft: #62625d; --line: #deded8;
  --paper: #fbfbf9; --card: #ffffff; --link: #1f5f99; }
@media (prefers-color-scheme: dark) { :root { --ink: #e7e7e2; --soft: #a3a39c; --line: #3a3a37;
  --paper: #161615; --card: #20201e; --link: #86bdf0; } }
* { box-sizing: border-box; }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 60rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; }
a { color: var(--link); }
h1 { font-size: 1.5rem; margin: 0 0 .25rem; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 2.2rem 0 .6rem; }
.soft { color: var(--soft); }
.keys { display: grid; grid-template-columns: repeat(auto-fill, minmax(14rem, 1fr)); gap: .7rem;
  margin: 1.2rem 0 0; }
.keys div { background: var(--card); border: 1px solid var(--line); border-radius: .4rem;
  padding: .6rem .8rem; }
.keys dt { font-size: .85rem; color: var(--soft); }
.keys dd { margin: 0; font-size: 1.35rem; font-variant-numeric: tabular-nums;
  overflow-wrap: anywhere; }
.keys dd + dd { font-size: .85rem; color: var(--soft); }
article, details.layer { background: var(--card); border: 1px solid var(--line);
  border-left: .4rem solid var(--tone); border-radius: .3rem; padding: .8rem 1rem;
  margin: .8rem 0; }
details.layer > summary { font-weight: 600; cursor: pointer; overflow-wrap: anywhere; }
details.layer article { border-width: 1px 0 0; border-radius: 0; margin: .8rem 0 0;
  padding: .8rem 0 0; }
article h3 { font-size: 1rem; margin: 0 0 .3rem; overflow-wrap: anywhere; }
article h4 { font-size: .9rem; margin: .6rem 0 0; }
article p { margin: .3rem 0; overflow-wrap: anywhere; }
.tag { background: var(--tone); color: #fff; border-radius: .2rem; padding: .05rem .45rem;
  font-size: .8rem; margin-right: .5rem; white-space: nowrap; }
.ok { --tone: #2a7d4f; } .info { --tone: #3a6ea5; } .warning { --tone: #8f6000; }
.problem { --tone: #b3261e; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9rem; margin: .4rem 0; }
.overview { width: 100%; }
th, td { border-bottom: 1px solid var(--line); text-align: left; padding: .25rem .6rem;
  vertical-align: top; }
.overview td { overflow-wrap: anywhere; }
th { font-weight: 600; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
figure { margin: .8rem 0 0; }
figure svg { display: block; width: 100%; max-width: 34rem; height: auto; color: var(--ink); }
figcaption { color: var(--soft); font-size: .9rem; }
details { margin-top: .5rem; } summary { cursor: pointer; }
pre { font-size: .85rem; overflow-x: auto; border: 1px solid var(--line); border-radius: .3rem;
  padding: .6rem; white-space: pre-wrap; overflow-wrap: anywhere; }
@media (max-width: 30rem) { body { padding: 1rem .6rem 3rem; }
  .keys { grid-template-columns: 1fr 1fr; }
  .keys dt + dd { font-size: 1.1rem; }
  article, details.layer { padding: .6rem .7rem; } th, td { padding: .25rem .35rem; } }
@media print { details.layer { break-inside: avoid; } }
"""
