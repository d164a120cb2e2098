"""Runs artefacts in a process of its own, without dlcli: reads a JSON list of folders a line, and answers each line.

Every folder holds artefacts, `inputs.npz` (raw rows by field, in order) and `expected.npz` (outputs of the source). The
answer is a JSON string, `same` and the number of folders, or the traceback where an output differs by more than
1e-5 + 1e-5 · |b|.
"""

import json
import sys
import traceback
from pathlib import Path


class _NoDlcli:
    def find_spec(self, name, path=None, target=None):
        if name == "dlcli" or name.startswith("dlcli."):
            raise ImportError(f"{name} is imported, but an artefact must run without it")


sys.meta_path.insert(0, _NoDlcli())

import numpy as np  # noqa: E402
import onnxruntime  # noqa: E402
import torch  # noqa: E402


def onnx_outputs(path, inputs):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    assert {entry.name for entry in session.get_inputs()} == inputs.keys()
    names = [entry.name for entry in session.get_outputs()]
    return dict(zip(names, session.run(None, inputs), strict=True))


def program_outputs(path, inputs, names):
    program = torch.export.load(path).module()
    return dict(zip(names, map(np.asarray, program(*map(torch.from_numpy, inputs.values()))), strict=True))


def compare(folder, part):
    inputs = {name: rows[part] for name, rows in np.load(folder / "inputs.npz").items()}
    expected = {name: rows[part] for name, rows in np.load(folder / "expected.npz").items()}
    found = {
        "onnx": onnx_outputs(folder / "model.onnx", inputs),
        "pt2": program_outputs(folder / "model.pt2", inputs, expected),
    }
    for format, outputs in found.items():
        assert outputs.keys() == expected.keys(), (folder.name, format, sorted(outputs), sorted(expected))
        for name, values in expected.items():
            assert outputs[name].dtype == np.float32, (folder.name, format, name, outputs[name].dtype)
            np.testing.assert_allclose(
                outputs[name], values, rtol=1e-5, atol=1e-5, err_msg=f"{folder.name}, {format}, {name}"
            )


if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    for line in sys.stdin:
        folders = json.loads(line)
        try:
            for folder in folders:
                for rows in (slice(None), slice(0, 1), slice(3, 10)):
                    compare(Path(folder), rows)
            answer = f"same {len(folders)}"
        except Exception:
            answer = traceback.format_exc()
        print(json.dumps(answer), flush=True)
