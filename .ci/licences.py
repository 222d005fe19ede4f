"""Reads `cargo metadata` on standard input; fails where a package offers no licence that may be linked into Deskhand."""

import json
import re
import sys

ALLOWED = set(
    "MIT MIT-0 Apache-2.0 BSD-2-Clause BSD-3-Clause BSL-1.0 CC0-1.0 CDLA-Permissive-2.0 ISC MPL-2.0 OpenSSL"
    " Unicode-3.0 Unicode-DFS-2016 Unlicense Zlib 0BSD".split()
)


def allowed(expression):
    """Whether some alternative of an SPDX expression consists of allowed licences only."""
    expression = expression.replace("/", " OR ").replace(" WITH LLVM-exception", "")
    text = re.sub(r"[A-Za-z0-9.-]+", lambda word: {"OR": "or", "AND": "and"}.get(word[0], str(word[0] in ALLOWED)), expression)
    return bool(eval(text, {"__builtins__": {}}))  # Only True, False, and, or and brackets are left.


packages = json.load(sys.stdin)["packages"]
refused = [f"{p['name']} {p['version']}: {p['license']}" for p in packages if not p["license"] or not allowed(p["license"])]
print(f"{len(packages)} packages, {len(refused)} refused")
print("\n".join(refused))
sys.exit(bool(refused))
