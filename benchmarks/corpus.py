"""Records per second and core, and peak memory, of building a corpus from the product archive.

A made-up archive (words of seven languages, long and short descriptions, one record in ten of a
mapped cluster, as in the published mapping) is read, and then built whole, in fresh processes with
one thread; beside them stands a plain loop (gzip module, json, one dictionary), in the same run.
Two sizes show how memory grows.

    python benchmarks/corpus.py [--records 400000] [--mapped 0.1]
"""

import argparse
import gzip
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

MEMBERS = 4


def make(folder, records, mapped):
    """Archive and mapping with so many records in clusters of about two."""
    from trueness.text.mapping import CATEGORIES
    from trueness.text.synthetic import vocabulary

    rng = random.Random(0)
    words = [w for role in vocabulary().values() for one in role for w in one.values()]
    with zipfile.ZipFile(folder / "a.zip", "w") as file:
        for member in range(MEMBERS):
            lines = []
            for k in range(records // MEMBERS):
                title = " ".join([*rng.choices(words, k=4), f"{rng.randrange(10**6)}"])
                long = " ".join(rng.choices(words, k=rng.choice((0, 0, 20, 60, 120))))
                lines.append(json.dumps({
                    "id": member * records + k, "cluster_id": rng.randrange(records // 2),
                    "title": title, "description": long, "brand": words[k % len(words)],
                    "url": f"https://shop{k % 997}.example/{k}", "price": "12.30",
                }))  # fmt: skip
            file.writestr(f"{member}.json.gz", gzip.compress("\n".join(lines).encode(), 6))
    with (folder / "m.tsv").open("w") as file:
        for cluster in range(records // 2):
            if rng.random() < mapped:
                file.write(f"{cluster}\t{CATEGORIES[cluster % 7]}\n")


def plain(folder):
    """What one would write in ten minutes."""
    pairs = (line.rstrip("\n").split("\t") for line in (folder / "m.tsv").open())
    category = {int(cluster): name for cluster, name in pairs}
    read, rows = 0, []
    with zipfile.ZipFile(folder / "a.zip") as archive:
        for name in archive.namelist():
            with archive.open(name) as raw, gzip.open(raw) as file:
                for line in file:
                    record = json.loads(line)
                    read += 1
                    label = category.get(record["cluster_id"])
                    text = f"{record['title']} {record['description']}".strip()
                    if label and text:
                        rows.append((record["id"], " ".join(text.split()), label))
    return read, len(rows)


def reading(folder):
    """The reader alone."""
    from trueness.text.archive import Archive

    with tempfile.TemporaryDirectory() as scratch:
        source = Archive(folder / "a.zip", folder / "m.tsv").prepared(Path(scratch))
        batches = [(b.read, len(b.frame)) for p in source.pieces() for b in source.batches(p)]
    return sum(read for read, _ in batches), sum(rows for _, rows in batches)


def building(folder, **options):
    """The whole way to a corpus on disk."""
    from trueness.text.archive import Archive
    from trueness.text.building import Plan, build

    source = Archive(folder / "a.zip", folder / "m.tsv")
    corpus = build(source, folder / "corpus", Plan(**options))
    return corpus.reports["read"], sum(corpus.statistics["rows"].values())


STAGES = {
    "plain loop, rows in memory": plain,
    "reader": reading,
    "build, neither languages nor near-duplicates": lambda folder: building(
        folder, detect=False, threshold=None
    ),
    "build, with languages": lambda folder: building(folder, threshold=None),
    "build, with near-duplicates": lambda folder: building(folder, detect=False),
    "build, with both": building,
}


def measure(stage, folder):
    """Time one stage in this process."""
    import polars  # noqa: F401 - importing is not reading

    began = time.process_time()
    read, rows = STAGES[stage](Path(folder))
    seconds = time.process_time() - began
    print(json.dumps({"read": read, "rows": rows, "seconds": seconds, "peak_mb": peak_mb()}))


def peak_mb():
    """Largest memory of this process; `getrusage` would count that of its parent before exec."""
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1024


def fresh(stage, folder):
    command = [sys.executable, __file__, "--stage", stage, "--folder", str(folder)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1"}
    ran = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    return json.loads(ran.stdout.splitlines()[-1])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--records", type=int, default=400_000)
    parser.add_argument("--mapped", type=float, default=0.1)
    parser.add_argument("--stage")
    parser.add_argument("--folder")
    arguments = parser.parse_args()
    if arguments.stage:
        measure(arguments.stage, arguments.folder)
        return
    print(
        f"{'stage':46}{'records':>9}{'rows':>9}{'records/CPU s':>15}{'to plain':>10}{'peak MB':>9}"
    )
    for records in (arguments.records // 4, arguments.records):
        with tempfile.TemporaryDirectory() as folder:
            make(Path(folder), records, arguments.mapped)
            speed = None
            for stage in STAGES:
                result = fresh(stage, folder)
                rate = result["read"] / result["seconds"]
                speed = speed or rate
                print(
                    f"{stage:46}{result['read']:9,}{result['rows']:9,}{rate:15,.0f}"
                    f"{rate / speed:10.2f}{result['peak_mb']:9,.0f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
