"""Makes a Python environment that passes for the trainer's, and imports in no time: `python3 small_python.py FOLDER`.

For labs that need no torch. The trainer's own has gigabytes, which each installation would read once to know what
scores, and look through again before each scoring. Prints the interpreter's path.
"""

import pathlib
import subprocess
import sys

folder = pathlib.Path(sys.argv[1])
subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
python = folder / "bin" / "python"
code = 'import sysconfig; print(sysconfig.get_paths()["purelib"])'
site = pathlib.Path(subprocess.run([python, "-c", code], check=True, capture_output=True, text=True).stdout.strip())
for name in ["torch", "numpy", "tokenizers", "safetensors", "optuna"]:
    (site / f"{name}.py").write_text("")
about = site / "torch-0.dist-info" / "METADATA"
about.parent.mkdir()
about.write_text("Metadata-Version: 2.1\nName: torch\nVersion: 0\n")
print(python)
