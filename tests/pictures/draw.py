"""Draws the pictures of the documentation from what the demo really says: `make pictures`.

Usage: draw.py DEMO PROMETHEUS FOLDER

Starts the demo, asks kubectl, lets Prometheus scrape the operator while a domain breaks and is repaired, and writes SVG.
Nothing is invented: every word and every line in a picture comes from a command or a query that the picture shows.
"""

import html
import json
import os
import re
import subprocess
import sys
import tempfile
import textwrap
import time
import urllib.parse
import urllib.request

NAMESPACE = "hybrid-calendar-demo"
COLUMNS = 118
PORT = 39090
# How long is recorded, in seconds: renewals of the demo's short lives, one outage and its end.
RECORDED = 210
BREAK_AT, REPAIR_AT = 60, 130

DASHBOARD = os.path.join(os.path.dirname(__file__), "../../config/grafana/dashboard.json")
PANELS = ["Problems of mailboxes", "Subscriptions by state", "Time until the first one ends", "Calls"]

GREEN, RED, YELLOW, BLUE, GREY, WHITE = "#3fb950", "#ff7b72", "#d29922", "#79c0ff", "#8b949e", "#e6edf3"
COLOURS = ["#3fb950", "#79c0ff", "#d2a8ff", "#ffa657", "#ff7b72", "#d29922", "#56d4dd", "#f778ba", "#8b949e"]
STYLE = "font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;font-size:13px"


def keyed(line):
    """A line of `describe`: what comes before the colon is the lesser part."""
    key = re.match(r"\s*[\w ]+?:(?=\s|$)", line)
    if not key:
        return coloured(line)
    value = html.escape(line[key.end():])
    if key.group().strip() == "Type:":
        value = f'<tspan fill="{BLUE}">{value}</tspan>'
    return f'<tspan fill="{GREY}">{html.escape(key.group())}</tspan>{value}'


def coloured(line):
    """A line of a table: states in colour, everything else plain."""
    parts = re.split(r"(\b(?:True|False|Unknown|Activated|Operational|Warning|Normal)\b)", html.escape(line))
    colour = {"True": GREEN, "Activated": GREEN, "Operational": GREEN, "Normal": GREEN,
              "False": RED, "Warning": RED, "Unknown": YELLOW}
    return "".join(
        f'<tspan fill="{colour[part]}">{part}</tspan>' if part in colour else part for part in parts
    )


def wrapped(text):
    """Lines that fit; what goes on is indented below its beginning."""
    lines = []
    for line in text.rstrip().expandtabs().split("\n"):
        indent = re.match(r"\s*(?:\w+:\s+)?", line).end()
        lines += textwrap.wrap(line, COLUMNS, subsequent_indent=" " * min(indent, 40),
                               drop_whitespace=False, replace_whitespace=False) or [""]
    return [line.rstrip() for line in lines]


def terminal(title, sessions, paint=coloured):
    """A terminal with commands and what they printed."""
    rows = []
    for command, output in sessions:
        first, *more = textwrap.wrap(command, COLUMNS - 2, subsequent_indent="    ", break_long_words=False)
        rows.append(f'<tspan fill="{GREEN}">$</tspan> <tspan fill="{WHITE}" font-weight="bold">{html.escape(first)}</tspan>')
        rows += [f'<tspan fill="{WHITE}" font-weight="bold">{html.escape(line)}</tspan>' for line in more]
        rows += [paint(line) for line in wrapped(output)]
        rows.append("")
    rows.pop()
    width, height = COLUMNS * 7.85 + 40, len(rows) * 18 + 66
    body = "".join(
        f'<text x="20" y="{62 + 18 * number}" xml:space="preserve">{row}</text>\n' for number, row in enumerate(rows)
    )
    dots = "".join(f'<circle cx="{22 + 18 * n}" cy="20" r="6" fill="{c}"/>' for n, c in enumerate((RED, YELLOW, GREEN)))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" width="{width:.0f}" height="{height}" '
        f'role="img" aria-label="{html.escape(title)}">\n'
        f'<rect width="100%" height="100%" rx="10" fill="#0d1117"/>\n{dots}\n'
        f'<text x="{width / 2:.0f}" y="25" fill="{GREY}" text-anchor="middle" style="{STYLE}">{html.escape(title)}</text>\n'
        f'<g fill="{WHITE}" style="{STYLE}">\n{body}</g>\n</svg>\n'
    )


def ticks(top):
    """Round values from 0 up to `top` or above."""
    step = next(s for s in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 500) if top / s <= 5)
    return [step * n for n in range(int(top / step + 0.999) + 1)]


def shortened(text, most=86):
    """As much of a query as fits on one line."""
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 1] + "…"


def unbroken(points, step=2):
    """Points as runs without a gap: where a series is absent there is no line."""
    runs = []
    for t, v in points:
        if not runs or float(t) - runs[-1][-1][0] > 1.5 * step:
            runs.append([])
        runs[-1].append((float(t), float(v)))
    return runs


class Panel:
    """One query over time, as lines."""

    width, height, left, bottom = 560, 420, 46, 200

    def __init__(self, title, query, label, series):
        self.title, self.query = title, query
        self.series = sorted(((label(s["metric"]), s["values"]) for s in series), key=lambda s: s[0])

    def draw(self, x, y, begin, end):
        values = [float(v) for _, points in self.series for _, v in points]
        scale = ticks(max(values + [1]))
        inner_w, inner_h = self.width - self.left - 28, self.height - self.bottom - 62
        at = lambda t, v: (self.left + (t - begin) / (end - begin) * inner_w, 62 + inner_h * (1 - v / scale[-1]))
        out = [f'<g transform="translate({x} {y})"><rect width="{self.width}" height="{self.height}" rx="8" fill="#161b22"/>',
               f'<text x="16" y="26" fill="{WHITE}" font-size="15" font-weight="bold">{html.escape(self.title)}</text>',
               f'<text x="16" y="46" fill="{GREY}" font-size="10" font-family="monospace">{html.escape(shortened(self.query))}</text>']
        for value in scale:
            _, py = at(begin, value)
            out.append(f'<line x1="{self.left}" x2="{self.left + inner_w}" y1="{py:.1f}" y2="{py:.1f}" stroke="#30363d"/>')
            out.append(f'<text x="{self.left - 6}" y="{py + 4:.1f}" fill="{GREY}" font-size="11" text-anchor="end">{value:g}</text>')
        for minute in range(int((end - begin) // 60) + 1):
            px, py = at(begin + 60 * minute, 0)
            out.append(f'<text x="{px:.1f}" y="{py + 16:.1f}" fill="{GREY}" font-size="11" text-anchor="middle">{minute} min</text>')
        for number, (name, points) in enumerate(self.series):
            colour = COLOURS[number % len(COLOURS)]
            for run in unbroken(points):
                line = " ".join("%.1f,%.1f" % at(t, v) for t, v in run)
                out.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
            column, row = number % 2, number // 2
            lx, ly = 16 + column * 270, self.height - self.bottom + 34 + row * 17
            out.append(f'<rect x="{lx}" y="{ly - 8}" width="10" height="10" fill="{colour}"/>')
            out.append(f'<text x="{lx + 16}" y="{ly + 1}" fill="{WHITE}" font-size="11">{html.escape(name)}</text>')
        return "\n".join(out + ["</g>"])


def dashboard(panels, begin, end):
    width, height = Panel.width * 2 + 60, (Panel.height + 20) * ((len(panels) + 1) // 2) + 20
    drawn = [
        panel.draw(20 + (number % 2) * (Panel.width + 20), 20 + (number // 2) * (Panel.height + 20), begin, end)
        for number, panel in enumerate(panels)
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'font-family="system-ui,sans-serif" role="img" aria-label="Metrics of the demo">\n'
        f'<rect width="100%" height="100%" rx="10" fill="#0d1117"/>\n' + "\n".join(drawn) + "\n</svg>\n"
    )


def wait_for(what, look, seconds=120):
    """Waits until `look` returns something."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            found = look()
        except OSError:
            found = None
        if found:
            return found
        time.sleep(0.5)
    sys.exit(f"pictures: too late: {what}")


class Demo:
    """The demo while it runs, and what it told about itself."""

    def __init__(self, program, log):
        self.log = log
        self.process = subprocess.Popen([program], stdout=open(log, "w"), stderr=subprocess.STDOUT)
        text = wait_for("the demo", self.guide, 600)
        self.environment = dict(os.environ)
        for name, value in re.findall(r'export (\w+)="([^"]*)"', text):
            self.environment[name] = value.replace("$PATH", os.environ["PATH"])
        self.metrics = re.search(r"http://(127\.0\.0\.1:\d+)/metrics", text).group(1)
        self.admin = re.search(r"(http://127\.0\.0\.1:\d+)/journal", text).group(1)

    def guide(self):
        if self.process.poll() is not None:
            sys.exit(f"pictures: the demo ended: {self.log}")
        text = open(self.log).read()
        return text if "Renewals and changes are told below" in text else None

    def run(self, command):
        done = subprocess.run(["sh", "-c", command], env=self.environment, text=True, capture_output=True)
        if done.returncode:
            sys.exit(f"pictures: {command}: {done.stderr}")
        return done.stdout

    def session(self, command):
        return command, self.run(command)

    def world(self, change):
        with urllib.request.urlopen(f"{self.admin}/world") as answer:
            world = answer.read().decode()
        request = urllib.request.Request(f"{self.admin}/world", change(world).encode(), method="PUT")
        urllib.request.urlopen(request).close()
        self.run(f"kubectl -n {NAMESPACE} annotate ct/contoso --overwrite "
                 f"hybridcalendar.dev/reconcile-requested-at=$(date +%s)")

    def end(self):
        self.process.send_signal(2)
        self.process.wait()


def pictures_of_the_terminal(demo):
    kubectl = f"kubectl -n {NAMESPACE}"
    table = terminal("what works, and what does not", [
        demo.session(f"{kubectl} get calendartenants"),
        demo.session(f"{kubectl} get workspacemailboxes"),
    ])
    describe = terminal("one of them, asked", [
        demo.session(f"{kubectl} describe workspacemailbox board-room | sed -n '/^Status:/,$p' | grep -v -e Transition -e Observed"),
    ], keyed)
    return {"table.svg": table, "describe.svg": describe}


def of_the_dashboard(title):
    """Query and legend of a panel of the dashboard that is shipped, for everything that there is."""
    dashboard = json.load(open(DASHBOARD))
    target = next(panel for panel in dashboard["panels"] if panel.get("title") == title)["targets"][0]
    query = target["expr"].replace("$namespace", ".*").replace("$tenant", ".*").replace("$__rate_interval", "30s")
    return query, target["legendFormat"]


def picture_of_the_metrics(demo, prometheus, folder):
    with open(f"{folder}/prometheus.yml", "w") as config:
        config.write("global: {scrape_interval: 2s}\nscrape_configs:\n- job_name: demo\n  honor_labels: true\n"
                     f'  static_configs: [{{targets: ["{demo.metrics}"]}}]\n')
    server = subprocess.Popen([prometheus, f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data",
                               f"--web.listen-address=127.0.0.1:{PORT}"], stderr=open(f"{folder}/prometheus.log", "w"))
    base = f"http://127.0.0.1:{PORT}"
    try:
        wait_for("Prometheus", lambda: urllib.request.urlopen(f"{base}/-/ready").status == 200)
        begin = time.time()
        time.sleep(BREAK_AT)
        demo.world(lambda world: world.replace("default: true\n    initial: false\n    verified: true",
                                               "default: true\n    initial: false\n    verified: false", 1))
        time.sleep(REPAIR_AT - BREAK_AT)
        demo.world(lambda world: world.replace("verified: false", "verified: true", 1))
        time.sleep(RECORDED - REPAIR_AT)
        end = begin + RECORDED

        def panel(title):
            query, legend = of_the_dashboard(title)
            form = urllib.parse.urlencode({"query": query, "start": begin, "end": end, "step": 2})
            with urllib.request.urlopen(f"{base}/api/v1/query_range?{form}") as answer:
                series = json.load(answer)["data"]["result"]
            if not series:
                sys.exit(f"pictures: no data for {query}")
            return Panel(title, query, lambda m: re.sub(r"{{(\w+)}}", lambda name: m[name.group(1)], legend), series)

        panels = [panel(title) for title in PANELS]
        return {"metrics.svg": dashboard(panels, begin, end)}
    finally:
        server.terminate()
        server.wait()


def main():
    program, prometheus, target = sys.argv[1:]
    os.makedirs(target, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        demo = Demo(program, f"{folder}/demo.log")
        try:
            drawn = pictures_of_the_terminal(demo) | picture_of_the_metrics(demo, prometheus, folder)
        finally:
            demo.end()
    for name, svg in drawn.items():
        with open(os.path.join(target, name), "w") as file:
            file.write(svg)
        print(os.path.join(target, name))


if __name__ == "__main__":
    main()
