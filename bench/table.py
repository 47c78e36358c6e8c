# SPDX-License-Identifier: Apache-2.0
"""The result: rows of measured values, what they are compared to, and whether the goal is met."""

import statistics

LESS, MORE = "≤", "≥"


def goal_is_met(value, goal):
    relation, limit = goal
    return value <= limit if relation == LESS else value >= limit


def rounded(value):
    """Four significant digits: more would claim what a shared machine cannot show."""
    return float(f"{value:.4g}")


def aligned(lines):
    widths = [max(len(line[n]) for line in lines) for n in range(len(lines[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip()
            for line in lines]


class Table:
    def __init__(self):
        self.rows = []
        self.sheets = []

    def add_pairs(self, name, unit, pairs, peer, goal=None):
        """`pairs` is [(ours, peer's)] of runs side by side; the goal is of the ratio."""
        ratios = [ours / theirs for ours, theirs in pairs]
        row = {
            "name": name, "unit": unit,
            "value": rounded(statistics.median(ours for ours, _ in pairs)),
            "peer": peer, "peer_value": rounded(statistics.median(theirs for _, theirs in pairs)),
            "ratio": rounded(statistics.median(ratios)),
            "spread": [rounded(min(ratios)), rounded(max(ratios))],
            "runs": len(pairs), "goal": None, "status": "info"}
        if goal is not None:
            row["goal"] = f"ratio {goal[0]} {goal[1]:g}"
            row["status"] = "met" if goal_is_met(statistics.median(ratios), goal) else "missed"
        self.rows.append(row)

    def add_values(self, name, unit, values, goal=None):
        """Runs without a peer; a goal is of the median, without one the row only informs."""
        value = statistics.median(values)
        row = {
            "name": name, "unit": unit, "value": rounded(value), "peer": None, "peer_value": None,
            "ratio": None, "spread": [rounded(min(values)), rounded(max(values))],
            "runs": len(values), "goal": None, "status": "info"}
        if goal is not None:
            row["goal"] = f"{goal[0]} {goal[1]:g}"
            row["status"] = "met" if goal_is_met(value, goal) else "missed"
        self.rows.append(row)

    def add_sheet(self, name, head, rows):
        """Figures behind a row, too many to be rows themselves."""
        self.sheets.append({"name": name, "head": head, "rows": rows})

    def text(self, facts):
        head = ["what", "value", "unit", "peer", "its value", "ratio", "lowest … highest", "goal",
                ""]
        lines = [head]
        for row in self.rows:
            spread = "" if row["runs"] == 1 else "{:g} … {:g}".format(*row["spread"])
            lines.append([
                row["name"], f"{row['value']:g}", row["unit"], row["peer"] or "",
                "" if row["peer_value"] is None else f"{row['peer_value']:g}",
                "" if row["ratio"] is None else f"{row['ratio']:.2f}", spread, row["goal"] or "",
                row["status"]])
        out = [f"commit {facts['commit']}, {facts['machine']['cpu']}, "
               f"{facts['machine']['cores']} cores, Linux {facts['machine']['kernel']}, "
               f"load {facts['load_before']} before the run", *aligned(lines)]
        for sheet in self.sheets:
            cells = [[f"{cell:g}" if isinstance(cell, float) else str(cell) for cell in row]
                     for row in sheet["rows"]]
            out += ["", sheet["name"], *aligned([sheet["head"], *cells])]
        return "\n".join(out)
