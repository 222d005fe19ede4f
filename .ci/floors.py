"""Fails where the figures of a run (`deskhand eval run --json FILE`) are below the floors of the sample suite."""

import json
import sys

FLOORS = {("retrieval", "recall_at_1"): 0.65, ("retrieval", "recall_at_5"): 0.85, ("answers", "citations_resolved"): 1.0}

run = json.load(open(sys.argv[1], encoding="utf-8"))
low = [f"{group}.{name}: {run[group][name]} is below {floor}" for (group, name), floor in FLOORS.items() if not run[group][name] or run[group][name] < floor]
print("\n".join(low) or "above every floor")
sys.exit(bool(low))
