"""The HTML of evaluation pages (Jinja2), with their style; filled in by page.py and bag_report.py."""
from __future__ import annotations

from typing import Any

STYLE = """\
:root {
  color-scheme: light dark;
  --paper: #ffffff; --ink: #1c2126; --soft: #66707a; --rule: #e3e6e9; --panel: #f7f8f9;
  --right: #2f7d5b; --wrong: #c0532b; --curve: #24589b; --on-shade: #ffffff;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #16191d; --ink: #e6e8ea; --soft: #98a1aa; --rule: #2d3339; --panel: #1d2126;
    --right: #3f9b73; --wrong: #cc6a44; --curve: #7fb0ec; --on-shade: #ffffff;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, "DejaVu Sans", sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 40px 28px 72px; }
h1 { font-size: 26px; line-height: 1.25; font-weight: 600; margin: 0 0 4px; }
h2 { font-size: 18px; font-weight: 600; margin: 48px 0 6px; }
h3 { font-size: 15px; font-weight: 600; margin: 0 0 2px; }
p { margin: 0 0 12px; max-width: 72ch; }
.soft, figcaption { color: var(--soft); font-size: 13.5px; }
code { font: 13px ui-monospace, "DejaVu Sans Mono", monospace; overflow-wrap: anywhere; }
.tiles { display: grid; grid-template-columns: repeat(auto-fill, minmax(160px, 1fr)); gap: 12px; margin: 28px 0 8px; }
.tile { background: var(--panel); border-radius: 8px; padding: 12px 14px; }
.tile b { display: block; font-size: 25px; font-weight: 600; line-height: 1.3; font-variant-numeric: tabular-nums; }
.tile small { display: block; color: var(--soft); font-size: 12.5px; line-height: 1.4; }
.tile small + small { margin-top: 4px; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; font-size: 14px; }
th { font-weight: 500; color: var(--soft); text-align: right; white-space: nowrap; }
th, td { padding: 6px 10px; border-bottom: 1px solid var(--rule); text-align: right; white-space: nowrap; }
.scroll + p { margin-top: 10px; }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
tfoot td { border-bottom: 0; font-weight: 600; }
.facts { width: auto; }
.facts td { text-align: left; vertical-align: top; white-space: normal; }
.facts td:first-child { color: var(--soft); white-space: nowrap; }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(300px, 1fr)); gap: 28px; margin-top: 16px; }
figure { margin: 0; }
svg { display: block; width: 100%; height: auto; }
svg text { fill: var(--ink); font-size: 14px; }
svg .small { font-size: 12px; fill: var(--soft); }
svg .tiny { font-size: 10.5px; fill: var(--soft); }
svg .cell { font-size: 15px; }
svg .count { font-size: 10.5px; fill-opacity: 0.8; }
svg .strong { fill: var(--on-shade); }
svg .frame { fill: none; stroke: var(--rule); }
svg .grid { stroke: var(--rule); stroke-width: 1; }
svg .reference { fill: none; stroke: var(--soft); stroke-width: 1; stroke-dasharray: 4 4; }
svg .curve { fill: none; stroke: var(--curve); stroke-width: 2; stroke-linejoin: round; }
svg .bar, svg .mark { fill: var(--curve); }
.map { display: flex; flex-wrap: wrap; gap: 12px 28px; }
.map svg { flex: 0 1 620px; min-width: 280px; }
.legend { display: flex; flex-flow: column wrap; gap: 6px 16px; max-height: 230px; }
.legend { font-size: 13.5px; }
.legend span { min-width: 100px; }
.legend i { display: inline-block; width: 10px; height: 10px; border-radius: 5px; margin-right: 6px; }
.faces { display: grid; grid-template-columns: repeat(auto-fill, minmax(112px, 1fr)); gap: 18px 14px; }
.faces { margin-top: 16px; }
.faces img { width: 96px; height: 96px; object-fit: contain; border-radius: 6px; background: var(--panel); }
.faces figcaption { font-size: 12.5px; line-height: 1.4; overflow-wrap: anywhere; }
.faces b { display: block; color: var(--ink); font-weight: 500; }
.notice { border-left: 3px solid var(--wrong); padding: 4px 0 4px 12px; margin-top: 16px; }
.swatches { display: flex; flex-wrap: wrap; gap: 4px 18px; margin: 12px 0 4px; font-size: 13.5px; }
.swatches i { display: inline-block; width: 10px; height: 10px; border-radius: 5px; margin-right: 6px; }
.timelines figure { margin-top: 18px; }
"""

#: What every page begins and ends with, and what has to be known before its figures are believed.
_HEAD = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }}</title>
<style>
{{ style }}</style>
</head>
<body>
<main>
"""

_NOTICES = """\
{% for notice in report.notices %}
<p class="notice">{{ notice }}</p>
{% endfor %}
"""

_FACTS = """\
<table class="facts">
{% for name, value in report.facts.items() %}
<tr><td>{{ name }}</td><td><code>{{ "none" if value is none else value }}</code></td></tr>
{% endfor %}
</table>
</main>
</body>
</html>
"""

TEMPLATE = """\
{% set title = report.dataset ~ " · top-1 " ~ report.top1|percent %}
""" + _HEAD + """\
<h1>{{ report.dataset }}, {{ report.split }}
{%- if "options" in report.facts %}, {{ report.facts.options }}{% endif %}</h1>
<p class="soft">{{ report.n }} faces of {{ report.classes|length }} emotions, against {{ report.anchors }} anchors
{%- if report.anchors_dataset %} from {{ report.anchors_dataset }}{% endif %};
{% if report.threshold is none %}never unknown{% else %}unknown beyond a distance of
{{ '%.3g'|format(report.threshold) }}{% endif %}.</p>
""" + _NOTICES + """\

<div class="tiles">
{% for name, figure, interval, meaning in headline %}
<div class="tile">{{ name }}<b>{{ figure }}</b>
{% if interval %}<small>{{ interval }}</small>{% endif %}
<small>{{ meaning }}</small></div>
{% endfor %}
</div>
<p class="soft">Ranges are {{ '%.0f'|format(100 * report.confidence_intervals.level) }} % bootstrap intervals over
{{ report.confidence_intervals.replicates }} redrawings of the {{ report.confidence_intervals.resampled }}.
Without the threshold, top-1 is {{ report.top1_without_threshold|percent }}.</p>

{% if methods|length > 1 %}
<h2>Other ways to answer, other labels to be held against</h2>
<div class="scroll"><table>
<thead><tr><th></th><th>faces</th><th>top-1</th><th>interval</th><th>macro F1</th><th>balanced</th><th>one-vs-rest</th>
<th>unknown</th></tr></thead>
<tbody>
{% for name, figures in methods %}
<tr><td>{{ name }}</td><td>{{ figures.n }}</td><td>{{ figures.top1|percent }}</td>
<td>{{ figures.confidence_intervals.top1|interval }}</td><td>{{ figures.macro_f1|percent }}</td>
<td>{{ figures.balanced_accuracy|percent }}</td><td>{{ figures.mean_one_vs_rest|percent }}</td>
<td>{{ figures.unknown_rate|percent }}</td></tr>
{% endfor %}
</tbody>
</table></div>
<p class="soft">
{% if report.head is not none %}
Head: the classification head in the model file, a fully connected layer over the embedding.
{% endif %}
{% if report.label_columns %}
FER+: k-NN held against the label that most of ten later voters chose, and only where at least seven of them agree. A
face counts where its label is one of the emotions asked about.
{% endif %}
</p>
{% endif %}

<h2>Each emotion against the rest</h2>
<div class="scroll"><table>
<thead><tr><th></th><th>faces</th><th>TP</th><th>TN</th><th>FP</th><th>FN</th><th>one-vs-rest</th><th>confidence</th>
<th>precision</th><th>recall</th><th>F1</th></tr></thead>
<tbody>
{% for label, row in report.per_class.items() %}
<tr><td>{{ label }}</td><td>{{ row.n }}</td><td>{{ row.TP }}</td><td>{{ row.TN }}</td><td>{{ row.FP }}</td>
<td>{{ row.FN }}</td><td>{{ row.one_vs_rest|percent }}</td><td>{{ row.confidence|percent }}</td>
<td>{{ row.precision|percent }}</td><td>{{ row.recall|percent }}</td><td>{{ row.f1|percent }}</td></tr>
{% endfor %}
</tbody>
<tfoot><tr><td>mean</td><td></td><td></td><td></td><td></td><td></td><td>{{ report.mean_one_vs_rest|percent }}</td>
<td></td><td></td><td>{{ report.balanced_accuracy|percent }}</td><td>{{ report.macro_f1|percent }}</td></tr></tfoot>
</table></div>
<p class="soft">Confidence is the mean of the faces that were given the emotion: where it is above the precision, it
promises too much.</p>

<h2>What was taken for what</h2>
<p class="soft">A row is a true emotion, a column the answer. The shade is the share of the row; green is right.</p>
{{ figures.confusion }}

<h2>Distances and confidence</h2>
<div class="charts">
{% if figures.roc is defined %}
<figure><h3>Same emotion or not</h3>{{ figures.roc }}
<figcaption>{{ report.verification.pairs }} pairs of each kind, told apart by distance alone. Area under the curve
{{ '%.3f'|format(report.verification.auc) }}; equal error at a distance of
{{ '%.3g'|format(report.verification.equal_error_distance) }}.</figcaption></figure>
{% endif %}
<figure><h3>Confidence</h3>{{ figures.reliability }}
<figcaption>A bar on the dashed line means what it says; below it, the confidence promises too much. Dark bars hold most
faces. Expected calibration error {{ report.calibration.expected_calibration_error|percent }}.</figcaption></figure>
{% if figures.unknown is defined %}
<figure><h3>What a threshold would cost</h3>{{ figures.unknown }}
<figcaption>Faces far from every anchor are named last: to the left fewer faces get a label. A curve that falls to the
right means that distance knows when to be silent.</figcaption></figure>
{% endif %}
</div>

<h2>Map of the embeddings</h2>
<p class="soft">t-SNE: neighbours here are neighbours for the recogniser, far distances mean nothing. Rings are faces
that were named wrongly; the colour is the true emotion.</p>
<div class="map">{{ figures.map }}
<div class="legend">
{% for label, color in colors %}
<span><i style="background: {{ color }}"></i>{{ label }}</span>
{% endfor %}
</div></div>

<h2>The worst mistakes</h2>
{% if mistakes %}
<p class="soft">The {{ mistakes|length }} wrong labels given with most confidence, of {{ wrong }}
{%- if several %}; of one person or scene the same mistake at most {{ several }} times{% endif %}.</p>
<div class="faces">
{% for mistake, image in mistakes %}
<figure><img src="{{ image }}" alt="{{ mistake.true }}"><figcaption><b>{{ mistake.true }} → {{ mistake.given }}</b>
{{ '%.0f'|format(100 * mistake.confidence) }} % sure<br>{{ mistake.name }}</figcaption></figure>
{% endfor %}
</div>
{% else %}
<p class="soft">No face was given a wrong label.</p>
{% endif %}

{{ sections }}
<h2>What was measured, and with what</h2>
""" + _FACTS

BAG_SECTIONS = """\
<h2>Face by face</h2>
<p class="soft">What each face was taken for over time{% if timelines and timelines[0][1].truth %}, and below it what it
really showed{% endif %}. Gaps are times at which the face was not seen.
{% if left_out %}{{ left_out }} faces that were seen more briefly are left out.{% endif %}</p>
<div class="swatches">
{% for label, color in colors %}
<span><i style="background: {{ color }}"></i>{{ label }}</span>
{% endfor %}
</div>
<div class="timelines">
{% for face_id, face, timeline in timelines %}
<figure><h3>Face {{ face_id }}</h3>{{ timeline }}
<figcaption>{{ face.images }} images from {{ '%.2f'|format(face.start) }} s to
{{ '%.2f'|format(face.end) }} s</figcaption></figure>
{% else %}
<p class="soft">No face was seen.</p>
{% endfor %}
</div>

<h2>The stream of images</h2>
<table class="facts">
<tr><td>topic</td><td><code>{{ bag.images.topic }}</code> ({{ bag.images.type }})</td></tr>
<tr><td>images</td><td>{{ bag.images.n }} of {{ bag.images.size[0] }}×{{ bag.images.size[1] }} pixels in
{{ '%.2f'|format(bag.images.seconds) }} s{% if bag.images.rate is not none %}, {{ '%.1f'|format(bag.images.rate) }} a
second{% endif %}; {{ bag.faces.images_with_face }} with a face, {{ bag.faces.sightings }} faces in all</td></tr>
<tr><td>not there</td><td>{{ bag.images.missing }} images by the gaps between stamps
{%- if bag.images.largest_gap_ms is not none %}, the largest gap {{ '%.0f'|format(bag.images.largest_gap_ms) }}
ms{% endif %}; {{ bag.images.unreadable.values()|sum }} that cannot be read; stamps jump back
{{ bag.images.jumps_back }} times</td></tr>
<tr><td>from stamp to recording</td><td>
{%- if bag.images.recording_delay_ms is none %}stamps and recording are of different clocks
{%- else %}{{ '%.1f'|format(bag.images.recording_delay_ms.p50) }} ms (99 %:
{{ '%.1f'|format(bag.images.recording_delay_ms.p99) }} ms, most {{ '%.1f'|format(bag.images.recording_delay_ms.max) }}
ms){% endif %}</td></tr>
{% for recorded in bag.recorded %}
<tr><td><code>{{ recorded.topic }}</code></td><td>
{%- if recorded.latency_ms is defined %}{{ recorded.messages }} answers were recorded with {{ recorded.images }} images,
{{ '%.1f'|format(recorded.latency_ms.p50) }} ms after their stamp (99 %: {{ '%.1f'|format(recorded.latency_ms.p99) }}
ms{%- if recorded.agreement is not none %}); {{ '%.1f'|format(100 * recorded.agreement) }} % of {{ recorded.compared }}
single faces have the same label now{% else %}){% endif %}
{%- else %}{{ recorded.images }} images were looked at while it was recorded, {{ recorded.not_looked_at }} of the
recorded ones were not; {{ recorded.images_replaced }} were replaced by newer ones{% endif %}</td></tr>
{% endfor %}
</table>
"""

BARE_PAGE = _HEAD + """\
<h1>{{ title }}</h1>
<p class="soft">What was seen; without a truth to hold it against nothing is said about right or wrong.</p>
""" + _NOTICES + """\
{{ sections }}
<h2>What was replayed, and with what</h2>
""" + _FACTS


def environment() -> Any:
    """A new jinja2.Environment for these templates: it escapes all values and refuses names that have none."""
    from jinja2 import Environment, StrictUndefined

    return Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)


def markup(html: str) -> Any:
    """`html` as a value that `environment` does not escape."""
    from markupsafe import Markup

    return Markup(html)  # noqa: S704
